//! A group in memory, for tests and simulated clusters: sessions that can be cut, restored and
//! expired, ephemeral nodes with sequence numbers, and watches.
//!
//! Everything happens at once and nothing fails by itself; who simulates faults calls
//! [`SimulatedGroup::cut`] and its sisters. Sessions are numbered from 1 in the order of their
//! start. Time is the runtime's, so a paused clock works.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::group::{Changed, Connection, Group, GroupError, Membership, Session};

/// A group that lives in this process. Clones share it.
#[derive(Clone)]
pub struct SimulatedGroup {
    state: Arc<Mutex<State>>,
    timeout: Duration,
}

struct State {
    next_sequence: i64,
    next_session: u64,
    members: BTreeMap<Membership, Member>,
    sessions: BTreeMap<u64, Link>,
    /// Counts changes of `members`; watchers wait for the next value.
    version: watch::Sender<u64>,
    /// Whether new sessions can be had.
    reachable: bool,
}

struct Member {
    session: u64,
    data: Vec<u8>,
}

/// A session as the service sees it.
struct Link {
    up: bool,
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
            version: watch::channel(0).0,
            reachable: true,
        };
        SimulatedGroup { state: Arc::new(Mutex::new(state)), timeout }
    }

    /// The data of the members, the leader's first.
    pub fn members(&self) -> Vec<(Membership, Vec<u8>)> {
        let state = self.state.lock();
        state.members.iter().map(|(member, with)| (member.clone(), with.data.clone())).collect()
    }

    /// The live sessions.
    pub fn sessions(&self) -> Vec<u64> {
        self.state.lock().sessions.keys().copied().collect()
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

    /// Removes a node, as an operator might.
    pub fn remove(&self, name: &str) {
        self.state.lock().remove(|member, _| member.name == name);
    }

    /// Adds a node that belongs to no session, as another program might.
    pub fn add(&self, label: &str, data: &[u8]) -> Membership {
        self.state.lock().add(0, label, data.to_vec())
    }

    /// Whether new sessions can be had.
    pub fn set_reachable(&self, reachable: bool) {
        self.state.lock().reachable = reachable;
    }
}

impl State {
    fn event(&mut self, session: u64, event: Connection) {
        if let Some(link) = self.sessions.get_mut(&session) {
            link.up = event == Connection::Restored;
            link.events.retain(|listener| listener.send(event).is_ok());
        }
    }

    fn end(&mut self, session: u64) {
        self.sessions.remove(&session);
        self.remove(|_, member| member.session == session);
    }

    fn remove(&mut self, which: impl Fn(&Membership, &Member) -> bool) {
        let before = self.members.len();
        self.members.retain(|member, with| !which(member, with));
        if self.members.len() < before {
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn add(&mut self, session: u64, label: &str, data: Vec<u8>) -> Membership {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let member = Membership { sequence, label: label.into(), name: format!("{label}_{sequence:010}") };
        self.members.insert(member.clone(), Member { session, data });
        self.version.send_modify(|version| *version += 1);
        member
    }
}

impl Group for SimulatedGroup {
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Session>, GroupError>> {
        let group = self.clone();
        async move {
            let mut state = group.state.lock();
            if !state.reachable {
                return Err(GroupError::Retry("the simulated group is out of reach".into()));
            }
            let id = state.next_session;
            state.next_session += 1;
            state.sessions.insert(id, Link { up: true, events: Vec::new() });
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
        future::ready(self.act(|state| state.add(self.id, label, data))).boxed()
    }

    fn members(&self) -> BoxFuture<'static, Result<(Vec<Membership>, Changed), GroupError>> {
        let seen = self.act(|state| {
            let mut version = state.version.subscribe();
            let changed = async move {
                // Only a group that is gone closes the channel; then nothing changes any more.
                if version.changed().await.is_err() {
                    future::pending::<()>().await;
                }
            };
            (state.members.keys().cloned().collect(), changed.boxed())
        });
        future::ready(seen).boxed()
    }

    fn data(&self, member: &Membership) -> BoxFuture<'static, Result<Option<Vec<u8>>, GroupError>> {
        future::ready(self.act(|state| state.members.get(member).map(|with| with.data.clone()))).boxed()
    }
}
