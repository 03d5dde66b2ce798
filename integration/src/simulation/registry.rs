//! The registry's storage that the masters of a simulation share. As ZooKeeper and etcd do, it takes writes only while
//! the node of the leader that makes them is in the group: a deposed leader's write fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use election::group::Membership;
use election::simulated::SimulatedGroup;
use futures::FutureExt;
use futures::future::BoxFuture;
use master::registrar::{Change, Record, Storage, StorageError};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::truth::Truth;

/// The longest that one way to it takes, in milliseconds.
const DELAY: u64 = 20;

/// The storage itself. Clones are the same.
#[derive(Clone)]
pub struct SharedRegistry {
    state: Arc<Mutex<State>>,
    group: SimulatedGroup,
    truth: Truth,
}

struct State {
    records: BTreeMap<String, Vec<u8>>,
    /// The next operation fails, either before or after it has happened.
    failing: bool,
    random: SmallRng,
}

impl SharedRegistry {
    /// Without records, beside the group in which the masters elect their leader.
    pub fn new(seed: u64, group: SimulatedGroup, truth: Truth) -> SharedRegistry {
        let state = State { records: BTreeMap::new(), failing: false, random: SmallRng::seed_from_u64(seed) };
        SharedRegistry { state: Arc::new(Mutex::new(state)), group, truth }
    }

    /// The storage as one life of a master has it.
    pub fn of_master(&self) -> Box<dyn Storage> {
        Box::new(Access { shared: self.clone(), leader: Arc::default() })
    }

    /// The next operation fails.
    pub fn fail_next(&self) {
        self.state.lock().failing = true;
    }

    /// Nothing more fails.
    pub fn repair(&self) {
        self.state.lock().failing = false;
    }

    /// Whether there is a record of this key.
    pub fn has(&self, key: &str) -> bool {
        self.state.lock().records.contains_key(key)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.state.lock().random.random_range(1..=DELAY))
    }

    fn failure(&self, reason: &str) -> StorageError {
        StorageError { place: "the simulated registry".to_owned(), reason: reason.to_owned() }
    }

    /// Whether this operation fails: before it happens (true) or after.
    fn fails(&self) -> Option<bool> {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.failing) {
            return None;
        }
        let early = state.random.random();
        drop(state);
        self.truth.count("registry failed");
        Some(early)
    }
}

/// One master's way to it.
struct Access {
    shared: SharedRegistry,
    /// Its node in the group, from when it has read everything.
    leader: Arc<Mutex<Option<Membership>>>,
}

impl Storage for Access {
    fn name(&self) -> String {
        "the simulated registry".to_owned()
    }

    fn load(&mut self, leader: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
        let (shared, mine) = (self.shared.clone(), self.leader.clone());
        async move {
            sleep(shared.delay()).await;
            if shared.fails().is_some() {
                return Err(shared.failure("out of order"));
            }
            *mine.lock() = leader;
            let records =
                shared.state.lock().records.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            sleep(shared.delay()).await;
            Ok(records)
        }
        .boxed()
    }

    fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
        let (shared, mine) = (self.shared.clone(), self.leader.lock().clone());
        async move {
            sleep(shared.delay()).await;
            let fails = shared.fails();
            if fails == Some(true) {
                return Err(shared.failure("out of order"));
            }
            {
                let mut state = shared.state.lock();
                if !mine.is_some_and(|leader| shared.group.has(&leader)) {
                    drop(state);
                    shared.truth.count("writes of deposed masters");
                    return Err(
                        shared.failure("this master's node has left the group: it does not lead any more")
                    );
                }
                for Change { key, value } in changes {
                    match value {
                        Some(value) => drop(state.records.insert(key, value)),
                        None => drop(state.records.remove(&key)),
                    }
                }
            }
            sleep(shared.delay()).await;
            // It has happened, but nobody is told.
            if fails.is_some() { Err(shared.failure("out of order")) } else { Ok(()) }
        }
        .boxed()
    }
}
