//! A group in memory, for tests and simulated clusters: sessions that can be cut, restored and
//! expired, ephemeral nodes with sequence numbers, and watches.
//!
//! Nothing fails by itself; who simulates faults calls [`SimulatedGroup::cut`], [`SimulatedGroup::lose_one_answer`] and
//! their sisters. Sessions are numbered from 1 in the order of their start, and belong to whoever the handle was made for
//! ([`SimulatedGroup::handle`]). Everything happens at once, but for the news of changes, which may be told to take a
//! while. Time is the runtime's, so a paused clock works.

use std::collections::{BTreeMap, BTreeSet};
use std::{sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Notify, mpsc};

use crate::group::{Changed, Connection, Group, GroupError, Membership, Session};

/// A group that lives in this process. Clones share it.
#[derive(Clone)]
pub struct SimulatedGroup {
    state: Arc<Mutex<State>>,
    timeout: Duration,
    owner: Arc<str>,
}

struct State {
    next_sequence: i64,
    next_session: u64,
    members: BTreeMap<Membership, Member>,
    sessions: BTreeMap<u64, Link>,
    /// Tells of changes of `members`, to all in the order in which they began to wait.
    changes: Arc<Notify>,
    /// Those who cannot have new sessions.
    unreachable: BTreeSet<Arc<str>>,
    /// How long news of changes take, if they take any time.
    delays: Option<(SmallRng, Duration)>,
    /// The next one who joins is not told.
    loses_answer: bool,
}

struct Member {
    session: u64,
    data: Vec<u8>,
}

/// A session as the service sees it.
struct Link {
    owner: Arc<str>,
    up: bool,
    /// The service has ended it, and its owner has not heard of that.
    over: bool,
    events: Vec<mpsc::UnboundedSender<Connection>>,
}

impl SimulatedGroup {
    /// An empty group whose sessions have this timeout.
    pub fn new(timeout: Duration) -> Self {
        let state = State {
            next_sequence: 0,
            next_session: 1,
            members: BTreeMap::new(),
            sessions: BTreeMap::new(),
            changes: Arc::default(),
            unreachable: BTreeSet::new(),
            delays: None,
            loses_answer: false,
        };
        SimulatedGroup { state: Arc::new(Mutex::new(state)), timeout, owner: "".into() }
    }

    /// The same group for somebody else, by name.
    #[must_use]
    pub fn handle(&self, owner: &str) -> SimulatedGroup {
        SimulatedGroup { owner: owner.into(), ..self.clone() }
    }

    /// From now on, each who waits for changes learns of them after a time of its own, at most so long.
    pub fn set_delays(&self, seed: u64, longest: Duration) {
        self.state.lock().delays = Some((SmallRng::seed_from_u64(seed), longest));
    }

    /// The data of the members, the leader's first.
    pub fn members(&self) -> Vec<(Membership, Vec<u8>)> {
        let state = self.state.lock();
        state.members.iter().map(|(member, with)| (member.clone(), with.data.clone())).collect()
    }

    /// Whether this node is there, as a conditional write of a real service sees it.
    pub fn has(&self, member: &Membership) -> bool {
        self.state.lock().members.contains_key(member)
    }

    /// The live sessions.
    pub fn sessions(&self) -> Vec<u64> {
        self.state.lock().sessions.keys().copied().collect()
    }

    /// The live sessions of this handle's owner.
    pub fn own_sessions(&self) -> Vec<u64> {
        let state = self.state.lock();
        let own = state.sessions.iter().filter(|(_, link)| link.owner == self.owner);
        own.map(|(id, _)| *id).collect()
    }

    /// Ends those of these sessions whose connections are cut, as a service does after the timeout. Answers how many.
    pub fn expire_if_cut(&self, sessions: &[u64]) -> usize {
        let mut state = self.state.lock();
        let mut ended = 0;
        for &session in sessions {
            if state.sessions.get(&session).is_some_and(|link| !link.up) {
                state.event(session, Connection::Expired);
                state.end(session);
                ended += 1;
            }
        }
        ended
    }

    /// The service ends sessions whose owner hears nothing of it: it is stopped, or paused. Their members vanish; what the
    /// owner asks is not answered until it is [told](SimulatedGroup::tell_expired). Answers whether any had members.
    pub fn expire_unheard(&self, sessions: &[u64]) -> bool {
        let mut state = self.state.lock();
        let had = state.members.values().any(|member| sessions.contains(&member.session));
        for &session in sessions {
            if let Some(link) = state.sessions.get_mut(&session) {
                (link.up, link.over) = (false, true);
                state.remove(|_, member| member.session == session);
            }
        }
        had
    }

    /// Who owns these sessions hears that they have ended, if they have.
    pub fn tell_expired(&self, sessions: &[u64]) {
        let mut state = self.state.lock();
        for &session in sessions {
            if state.sessions.get(&session).is_some_and(|link| link.over) {
                state.event(session, Connection::Expired);
                state.end(session);
            }
        }
    }

    /// Cuts a session's connection; its members stay until [`SimulatedGroup::expire`].
    pub fn cut(&self, session: u64) {
        self.state.lock().event(session, Connection::Lost);
    }

    /// Restores a session's connection.
    pub fn restore(&self, session: u64) {
        self.state.lock().event(session, Connection::Restored);
    }

    /// Ends a session: its members vanish.
    pub fn expire(&self, session: u64) {
        let mut state = self.state.lock();
        state.event(session, Connection::Expired);
        state.end(session);
    }

    /// The next one who joins does, and is told that it should try again.
    pub fn lose_one_answer(&self) {
        self.state.lock().loses_answer = true;
    }

    /// Removes a node, as an operator might.
    pub fn remove(&self, name: &str) {
        self.state.lock().remove(|member, _| member.name == name);
    }

    /// Adds a node that belongs to no session, as another program might.
    pub fn add(&self, label: &str, data: &[u8]) -> Membership {
        self.state.lock().add(0, label, data.to_vec())
    }

    /// Whether this handle's owner can have new sessions.
    pub fn set_reachable(&self, reachable: bool) {
        let mut state = self.state.lock();
        if reachable {
            state.unreachable.remove(&self.owner);
        } else {
            state.unreachable.insert(self.owner.clone());
        }
    }

    /// Whether this handle's owner is in the group's service's sight: it can have sessions, and has one.
    pub fn is_reachable(&self) -> bool {
        let state = self.state.lock();
        let has_session = state.sessions.values().any(|link| link.owner == self.owner && link.up);
        has_session && !state.unreachable.contains(&self.owner)
    }
}

impl State {
    fn event(&mut self, session: u64, event: Connection) {
        if let Some(link) = self.sessions.get_mut(&session) {
            if link.over && event != Connection::Expired {
                return;
            }
            link.up = event == Connection::Restored;
            link.events.retain(|listener| listener.send(event).is_ok());
        }
    }

    fn delay(&mut self) -> Duration {
        let Some((random, longest)) = &mut self.delays else { return Duration::ZERO };
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random.random_range(0..=longest))
    }

    fn end(&mut self, session: u64) {
        self.sessions.remove(&session);
        self.remove(|_, member| member.session == session);
    }

    fn remove(&mut self, which: impl Fn(&Membership, &Member) -> bool) {
        let before = self.members.len();
        self.members.retain(|member, with| !which(member, with));
        if self.members.len() < before {
            self.changes.notify_waiters();
        }
    }

    fn add(&mut self, session: u64, label: &str, data: Vec<u8>) -> Membership {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let member = Membership { sequence, label: label.into(), name: format!("{label}_{sequence:010}") };
        self.members.insert(member.clone(), Member { session, data });
        self.changes.notify_waiters();
        member
    }
}

impl Group for SimulatedGroup {
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Session>, GroupError>> {
        let group = self.clone();
        async move {
            let mut state = group.state.lock();
            if state.unreachable.contains(&group.owner) {
                return Err(GroupError::Retry("the simulated group is out of reach".into()));
            }
            let id = state.next_session;
            state.next_session += 1;
            let owner = group.owner.clone();
            state.sessions.insert(id, Link { owner, up: true, over: false, events: Vec::new() });
            drop(state);
            Ok(Box::new(SimulatedSession { group, id }) as Box<dyn Session>)
        }
        .boxed()
    }

    fn name(&self) -> String {
        "simulated group".into()
    }
}

struct SimulatedSession {
    group: SimulatedGroup,
    id: u64,
}

impl SimulatedSession {
    /// The group's state, if this session can reach it.
    fn act<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, GroupError> {
        let mut state = self.group.state.lock();
        match state.sessions.get(&self.id) {
            Some(link) if link.up => Ok(act(&mut state)),
            Some(_) => Err(GroupError::Retry("connection lost".into())),
            None => Err(GroupError::Session("expired".into())),
        }
    }
}

impl Drop for SimulatedSession {
    /// As with a real service: closed at once when it can be reached, else it ends by timeout,
    /// which is for the simulation to say.
    fn drop(&mut self) {
        let mut state = self.group.state.lock();
        if state.sessions.get(&self.id).is_some_and(|link| link.up) {
            state.end(self.id);
        }
    }
}

impl Session for SimulatedSession {
    fn timeout(&self) -> Duration {
        self.group.timeout
    }

    fn connection(&self) -> BoxStream<'static, Connection> {
        let (listener, events) = mpsc::unbounded_channel();
        match self.group.state.lock().sessions.get_mut(&self.id) {
            Some(link) => link.events.push(listener),
            None => return stream::iter([Connection::Expired]).boxed(),
        }
        stream::unfold(events, |mut events| async move { Some((events.recv().await?, events)) }).boxed()
    }

    fn join(&self, label: &str, data: Vec<u8>) -> BoxFuture<'static, Result<Membership, GroupError>> {
        let joined = self.act(|state| {
            let member = state.add(self.id, label, data);
            match std::mem::take(&mut state.loses_answer) {
                true => Err(GroupError::Retry("the answer was lost".into())),
                false => Ok(member),
            }
        });
        future::ready(joined.flatten()).boxed()
    }

    fn joined(&self, label: &str) -> BoxFuture<'static, Result<Option<Membership>, GroupError>> {
        let found = self.act(|state| {
            let mut own = state.members.iter().filter(|(_, with)| with.session == self.id);
            own.find(|(member, _)| member.label == label).map(|(member, _)| member.clone())
        });
        future::ready(found).boxed()
    }

    fn members(&self) -> BoxFuture<'static, Result<(Vec<Membership>, Changed), GroupError>> {
        let seen = self.act(|state| {
            let change = state.changes.clone().notified_owned();
            let delay = state.delay();
            let changed = async move {
                change.await;
                tokio::time::sleep(delay).await;
            };
            (state.members.keys().cloned().collect(), changed.boxed())
        });
        future::ready(seen).boxed()
    }

    fn data(&self, member: &Membership) -> BoxFuture<'static, Result<Option<Vec<u8>>, GroupError>> {
        future::ready(self.act(|state| state.members.get(member).map(|with| with.data.clone()))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use libprocess::testing::{run, settle};
    use tokio::time::Instant;

    fn group() -> SimulatedGroup {
        SimulatedGroup::new(Duration::from_secs(10))
    }

    /// Those who wait for the next change, in the order of their number; who has learnt of it, and after which time.
    async fn waiting(group: &SimulatedGroup, count: usize) -> Arc<Mutex<Vec<(usize, Duration)>>> {
        let (session, told) = (group.connect().await.unwrap(), Arc::<Mutex<Vec<_>>>::default());
        for number in 0..count {
            let (changed, told) = (session.members().await.unwrap().1, told.clone());
            let began = Instant::now();
            tokio::task::spawn_local(async move {
                changed.await;
                told.lock().push((number, began.elapsed()));
            });
        }
        settle().await;
        assert!(told.lock().is_empty());
        told
    }

    #[test]
    fn each_handle_has_sessions_of_its_own_and_is_out_of_reach_alone() {
        run(async {
            let group = group();
            let (a, b) = (group.handle("a"), group.handle("b"));
            let _first = a.connect().await.unwrap();
            let _second = b.connect().await.unwrap();
            let _third = a.connect().await.unwrap();
            assert_eq!((a.own_sessions(), b.own_sessions()), (vec![1, 3], vec![2]));
            assert!(group.own_sessions().is_empty());
            assert_eq!(group.sessions(), [1, 2, 3]);

            assert!(a.is_reachable() && !group.handle("c").is_reachable());
            a.set_reachable(false);
            assert!(!a.is_reachable());
            assert!(matches!(a.connect().await, Err(GroupError::Retry(_))));
            assert!(b.connect().await.is_ok());
            // Also for others of the same name.
            group.handle("a").set_reachable(true);
            assert!(a.connect().await.is_ok());
        });
    }

    #[test]
    fn only_sessions_that_are_cut_expire_and_take_their_members_with_them() {
        run(async {
            let group = group();
            let (first, second) = (group.connect().await.unwrap(), group.connect().await.unwrap());
            first.join("info", b"first".to_vec()).await.unwrap();
            let stays = second.join("info", b"second".to_vec()).await.unwrap();
            let events = first.connection();
            group.cut(1);
            assert!(matches!(first.members().await, Err(GroupError::Retry(_))));
            assert_eq!(group.members().len(), 2);
            assert_eq!(group.expire_if_cut(&[1, 2, 3]), 1);
            assert_eq!(group.members(), [(stays, b"second".to_vec())]);
            assert_eq!(events.collect::<Vec<_>>().await, [Connection::Lost, Connection::Expired]);
            assert!(matches!(first.members().await, Err(GroupError::Session(_))));

            // One that came back in time lives on; one that is over is over.
            group.cut(2);
            group.restore(2);
            assert_eq!(group.expire_if_cut(&[1, 2]), 0);
            assert_eq!(second.members().await.unwrap().0.len(), 1);
        });
    }

    #[test]
    fn who_was_stopped_hears_late_that_its_session_has_ended() {
        run(async {
            let group = group();
            let (stopped, other) = (group.connect().await.unwrap(), group.connect().await.unwrap());
            stopped.join("info", b"stopped".to_vec()).await.unwrap();
            let node = other.join("info", b"other".to_vec()).await.unwrap();
            let events = stopped.connection();
            assert!(!group.expire_unheard(&[]));
            assert!(group.expire_unheard(&[1]));
            assert_eq!(other.members().await.unwrap().0, [node]);
            assert!(matches!(stopped.members().await, Err(GroupError::Retry(_))));
            // Nothing brings it back.
            group.restore(1);
            assert!(matches!(stopped.members().await, Err(GroupError::Retry(_))));
            group.tell_expired(&[1, 2]);
            assert_eq!(events.collect::<Vec<_>>().await, [Connection::Expired]);
            assert!(matches!(stopped.members().await, Err(GroupError::Session(_))));
            assert!(other.members().await.is_ok());
        });
    }

    /// Otherwise the same seed would not give the same trace.
    #[test]
    fn those_who_wait_are_told_at_once_and_in_the_order_in_which_they_began() {
        run(async {
            let group = group();
            let told = waiting(&group, 50).await;
            group.add("info", b"");
            settle().await;
            assert_eq!(*told.lock(), (0..50).map(|number| (number, Duration::ZERO)).collect::<Vec<_>>());
        });
    }

    #[test]
    fn news_take_a_time_that_the_seed_decides_for_each_who_waits() {
        const LONGEST: Duration = Duration::from_millis(500);
        let told = |seed| {
            run(async move {
                let group = group();
                group.set_delays(seed, LONGEST);
                let told = waiting(&group, 20).await;
                group.add("info", b"");
                settle().await;
                assert!(told.lock().len() < 20, "some must wait");
                tokio::time::sleep(LONGEST + Duration::from_millis(1)).await;
                told.lock().clone()
            })
        };
        let first = told(1);
        assert_eq!(first.len(), 20);
        let times: BTreeSet<_> = first.iter().map(|(_, after)| *after).collect();
        assert!(times.len() > 10 && times.iter().all(|after| *after <= LONGEST), "{times:?}");
        assert_eq!(told(1), first);
        assert_ne!(told(2), first);
    }
}
