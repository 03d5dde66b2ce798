//! The registry's storage that the masters of a simulation share. As ZooKeeper and etcd do, it takes writes only while
//! the node of the leader that makes them is in the group: a deposed leader's write fails.
//!
//! A write that has left its master arrives, whatever becomes of the master meanwhile. It may arrive late, after
//! another master leads; be applied twice, as one that a client repeats that has not heard of the first; fail before it
//! has happened, or after.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use election::group::Membership;
use election::simulated::SimulatedGroup;
use futures::FutureExt;
use futures::future::BoxFuture;
use master::cluster::Snapshot;
use master::registrar::batches::{Limits, Unfinished, settled};
use master::registrar::{Activation, Change, Record, Storage, StorageError};
use mesos::AgentId;
use mesos::sabotage::{Bug, is_on};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::acknowledged::{Checked, Told, View};
use super::decisions::{Records, activation_of};
use super::invariant::Invariant;
use super::truth::Truth;

/// The longest that one way to it takes, in milliseconds.
const DELAY: u64 = 20;
/// How much longer it takes when it is slow, mostly; and sometimes: then the master does not wait so long.
const SLOW: std::ops::Range<u64> = 100..6_000;
const SLOWEST: std::ops::Range<u64> = 20_000..35_000;
/// What fits into one transaction: little, so that there are often several.
const LIMITS: Limits = Limits { changes: 2, bytes: 1 << 20, overhead: 0, key_byte: 1 };
/// How often to look whether a write that is held back may go on.
const LOOK: Duration = Duration::from_millis(100);

/// Which operation fails, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// It is not read: the next leader does not know who belongs to the cluster.
    Reading,
    /// It does not happen.
    Before,
    /// One transaction of a batch has happened, those that follow do not.
    Within,
    /// It has happened, but who asked for it is not told.
    After,
}

/// The storage itself. Clones are the same.
#[derive(Clone)]
pub struct SharedRegistry {
    state: Arc<Mutex<State>>,
    group: SimulatedGroup,
    truth: Truth,
}

struct State {
    records: Records,
    /// The leader that was the last to read everything.
    reader: Option<Membership>,
    /// What fails the next time.
    failing: BTreeSet<When>,
    /// It is slow.
    slow: bool,
    /// The next write is applied twice.
    twice: bool,
    /// The next write arrives when its master does not lead any more; whether one is under way, and since when.
    held: Held,
    /// By address: what each master has read and stored.
    views: BTreeMap<SocketAddr, View>,
    /// What those outside were told of it.
    told: Told,
    random: SmallRng,
}

/// Of the write that arrives too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// There is none.
    No,
    /// It will be the next.
    Next,
    /// It is under way.
    UnderWay,
}

impl SharedRegistry {
    /// Without records, beside the group in which the masters elect their leader.
    pub fn new(seed: u64, group: SimulatedGroup, truth: Truth) -> SharedRegistry {
        let state = State {
            records: Records::new(),
            reader: None,
            failing: BTreeSet::new(),
            slow: false,
            twice: false,
            held: Held::No,
            views: BTreeMap::new(),
            told: Told::default(),
            random: SmallRng::seed_from_u64(seed),
        };
        SharedRegistry { state: Arc::new(Mutex::new(state)), group, truth }
    }

    /// The storage as one life of the master at this address has it.
    pub fn of_master(&self, master: SocketAddr) -> Box<dyn Storage> {
        Box::new(Access { shared: self.clone(), master, leader: Arc::default(), left: Arc::default() })
    }

    /// The next operation of its kind fails.
    pub fn fail_next(&self, when: When) {
        self.state.lock().failing.insert(when);
    }

    /// Whether it is slow from now on.
    pub fn set_slow(&self, slow: bool) {
        self.state.lock().slow = slow;
    }

    /// Whether it is slow.
    pub fn is_slow(&self) -> bool {
        self.state.lock().slow
    }

    /// The next write is applied twice.
    pub fn repeat_next(&self) {
        self.state.lock().twice = true;
    }

    /// The next write arrives when another master leads, if one ever does before everything is mended.
    pub fn hold_next(&self) {
        self.state.lock().held = Held::Next;
    }

    /// Whether a write is held back.
    pub fn is_holding(&self) -> bool {
        self.state.lock().held == Held::UnderWay
    }

    /// Nothing goes wrong any more.
    pub fn repair(&self) {
        let mut state = self.state.lock();
        state.failing.clear();
        (state.slow, state.twice, state.held) = (false, false, Held::No);
    }

    /// Whether there is a record with this key.
    pub fn holds(&self, key: &str) -> bool {
        self.state.lock().records.contains_key(key)
    }

    /// Whether an agent that is admitted or unreachable may have tasks.
    pub fn activation(&self, id: &AgentId) -> Option<Activation> {
        activation_of(id, &self.state.lock().records)
    }

    /// Notes what somebody was told, or asks for.
    pub fn told(&self, note: impl FnOnce(&mut Told)) {
        note(&mut self.state.lock().told);
    }

    /// The first thing in which a master's books contradict what it has read and stored, if it has read anything.
    pub fn contradicts(
        &self,
        master: SocketAddr,
        snapshot: &Snapshot,
        now: Duration,
        checked: &mut Checked,
    ) -> Option<String> {
        self.state.lock().views.get(&master)?.contradicts(snapshot, now, checked)
    }

    /// One way to it or back.
    async fn way(&self) {
        let millis = {
            let mut state = self.state.lock();
            let slow = if !state.slow {
                0
            } else if state.random.random_range(0..8) == 0 {
                state.random.random_range(SLOWEST)
            } else {
                state.random.random_range(SLOW)
            };
            if slow > 0 {
                self.truth.count("registry slow");
            }
            slow + state.random.random_range(1..=DELAY)
        };
        sleep(Duration::from_millis(millis)).await;
    }

    fn failure(&self, reason: &str) -> StorageError {
        StorageError { place: "the simulated registry".to_owned(), reason: reason.to_owned() }
    }

    fn fails(&self, when: When) -> bool {
        let fails = self.state.lock().failing.remove(&when);
        if fails {
            self.truth.count(match when {
                When::Reading => "registry could not be read",
                When::Before => "registry failed before a write",
                When::Within => "registry failed within a batch",
                When::After => "registry failed after a write",
            });
        }
        fails
    }

    /// Everything, for a leader, and what the last one has left undone.
    async fn read(
        self,
        master: SocketAddr,
        leader: Option<Membership>,
    ) -> Result<(Vec<Record>, Unfinished), StorageError> {
        self.way().await;
        if self.fails(When::Reading) {
            return Err(self.failure("out of order"));
        }
        let found = {
            let mut state = self.state.lock();
            // What a deposed master reads late changes nothing.
            if state.reader < leader {
                if state.reader.is_some() {
                    self.truth.count("leader changed");
                }
                state.reader = leader;
                let truth = &self.truth;
                let missing = state.told.missing(
                    &state.records,
                    |host| truth.is_replaced(host),
                    |host| truth.may_have_been_down(host),
                );
                if let Some(missing) = missing {
                    self.truth.violation(Invariant::AcknowledgedIsFound, missing);
                }
            }
            let records = state.records.iter().map(|(key, value)| (key.clone(), value.clone()));
            let (records, left) = settled(records.collect()).map_err(|reason| self.failure(&reason))?;
            state.views.insert(master, View::read(&records));
            (records, left)
        };
        self.way().await;
        Ok(found)
    }

    /// One transaction, from when it leaves its master until the answer is there.
    async fn write(
        self,
        changes: Vec<Change>,
        master: SocketAddr,
        author: Option<Membership>,
    ) -> Result<(), StorageError> {
        self.way().await;
        if self.take_held() {
            self.wait_for_another(author.as_ref()).await;
        }
        if self.fails(When::Before) {
            return Err(self.failure("out of order"));
        }
        let mut stored = self.apply(&changes, master, author.as_ref());
        if stored.is_ok() && std::mem::take(&mut self.state.lock().twice) {
            // The answer was lost, and the client asks again.
            self.way().await;
            stored = self.apply(&changes, master, author.as_ref());
            self.truth.count("registry wrote twice");
        }
        self.way().await;
        if stored.is_ok() && self.fails(When::After) {
            return Err(self.failure("out of order"));
        }
        stored
    }

    /// Sends something on its way: it happens even if nobody waits for the answer any more.
    fn send<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let lost = self.failure("no answer");
        async move {
            let (answer, answered) = oneshot::channel();
            libprocess::simulation::spawn(async move { drop(answer.send(operation.await)) });
            answered.await.unwrap_or(Err(lost))
        }
        .boxed()
    }

    fn take_held(&self) -> bool {
        let mut state = self.state.lock();
        let held = state.held == Held::Next;
        if held {
            state.held = Held::UnderWay;
        }
        held
    }

    /// Until another leader has read everything.
    async fn wait_for_another(&self, author: Option<&Membership>) {
        loop {
            {
                let mut state = self.state.lock();
                let late = state.reader.as_ref() != author;
                if late || state.held == Held::No {
                    state.held = Held::No;
                    if late {
                        self.truth.count("write of a deposed leader");
                    }
                    return;
                }
            }
            sleep(LOOK).await;
        }
    }

    /// All changes or none. The condition is the leader's node, as it is in a transaction of a real service.
    fn apply(
        &self,
        changes: &[Change],
        master: SocketAddr,
        author: Option<&Membership>,
    ) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        let leads = author.is_some_and(|author| self.group.has(author));
        if !leads && !is_on(Bug::FenceNotAsked) {
            self.truth.count("writes of deposed masters refused");
            return Err(self.failure("this master's node has left the group: it does not lead any more"));
        }
        if !leads || state.reader.as_ref() != author {
            let (author, reader) = (name(author), name(state.reader.as_ref()));
            let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
            self.truth.violation(
                Invariant::OneWriter,
                format!("a write of {author} was stored, {keys:?}, after {reader} had read everything"),
            );
        }
        for Change { key, value } in changes {
            match value {
                Some(value) => drop(state.records.insert(key.clone(), value.clone())),
                None => drop(state.records.remove(key)),
            }
        }
        state.told.stored(changes);
        if let Some(view) = state.views.get_mut(&master) {
            view.stored(changes);
        }
        Ok(())
    }
}

fn name(member: Option<&Membership>) -> &str {
    member.map_or("nobody", |member| &member.name)
}

/// One master's way to it.
struct Access {
    shared: SharedRegistry,
    /// Where the master is.
    master: SocketAddr,
    /// Its node in the group, from when it has read everything.
    leader: Arc<Mutex<Option<Membership>>>,
    /// What the last leader has left undone.
    left: Arc<Mutex<Unfinished>>,
}

impl Storage for Access {
    fn name(&self) -> String {
        "the simulated registry".to_owned()
    }

    fn load(&mut self, leader: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
        (*self.leader.lock()).clone_from(&leader);
        let reading = self.shared.send(self.shared.clone().read(self.master, leader));
        let left = Arc::clone(&self.left);
        async move {
            let (records, unfinished) = reading.await?;
            *left.lock() = unfinished;
            Ok(records)
        }
        .boxed()
    }

    fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
        let (shared, master, author) = (self.shared.clone(), self.master, self.leader.lock().clone());
        let left = std::mem::take(&mut *self.left.lock());
        async move {
            // The master makes one after the other, and may die between two of them.
            let transactions =
                left.batches(changes, LIMITS).map_err(|error| shared.failure(&error.to_string()))?;
            for (number, changes) in transactions.into_iter().enumerate() {
                if number > 0 && shared.fails(When::Within) {
                    return Err(shared.failure("out of order"));
                }
                shared.send(shared.clone().write(changes, master, author.clone())).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
