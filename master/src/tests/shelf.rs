//! A registry for tests: it outlives its masters, counts what is stored, and can be held, so that a test can look at what
//! happens while the registry is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use election::group::{Group, Membership};
use election::simulated::SimulatedGroup;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use libprocess::{Node, testing};
use parking_lot::Mutex;

use super::Cluster;
use crate::Settings;
use crate::registrar::{Change, Record, Storage, StorageError};

/// The registry. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    records: BTreeMap<String, Vec<u8>>,
    stores: usize,
    held: bool,
    waiting: Vec<oneshot::Sender<()>>,
    /// Nothing is ever read.
    closed: bool,
    /// Nothing can be read or stored any more, for this reason.
    broken: Option<&'static str>,
}

/// What it is called in messages.
pub(crate) const NAME: &str = "the test's registry";

impl State {
    fn check(&self) -> Result<(), StorageError> {
        match self.broken {
            Some(reason) => Err(StorageError { place: NAME.into(), reason: reason.into() }),
            None => Ok(()),
        }
    }
}

impl Shelf {
    /// What is stored from now on waits.
    pub(crate) fn hold(&self) {
        self.0.lock().held = true;
    }

    /// Whoever reads it waits for ever.
    pub(crate) fn close(&self) {
        self.0.lock().closed = true;
    }

    /// Whoever reads it, or stores something, is told this.
    pub(crate) fn break_down(&self, reason: &'static str) {
        self.0.lock().broken = Some(reason);
    }

    /// What waits is stored, and what comes is no longer held.
    pub(crate) async fn release(&self) {
        let waiting = {
            let mut state = self.0.lock();
            state.held = false;
            std::mem::take(&mut state.waiting)
        };
        for store in waiting {
            store.send(()).unwrap();
        }
        testing::settle().await;
    }

    /// How many stores wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// How many stores there were, that of each new leader's own description included.
    pub(crate) fn stores(&self) -> usize {
        self.0.lock().stores
    }

    /// Whether a record of this kind (`agent`, `unreachable`, `gone`) is there for an agent.
    pub(crate) fn has(&self, kind: &str, agent: &str) -> bool {
        self.0.lock().records.contains_key(&format!("{kind}/{agent}"))
    }
}

impl Storage for Shelf {
    fn name(&self) -> String {
        NAME.into()
    }

    fn load(&mut self, _: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
        let state = self.0.lock();
        if state.closed {
            return futures::future::pending().boxed();
        }
        let records = state.check().map(|()| state.records.clone().into_iter().collect());
        async { records }.boxed()
    }

    fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
        let shelf = self.0.clone();
        let mut state = self.0.lock();
        state.stores += 1;
        let held = state.held.then(|| {
            let (release, released) = oneshot::channel();
            state.waiting.push(release);
            released
        });
        async move {
            if let Some(held) = held {
                held.await.unwrap();
            }
            let mut state = shelf.lock();
            state.check()?;
            for Change { key, value } in changes {
                match value {
                    Some(value) => drop(state.records.insert(key, value)),
                    None => drop(state.records.remove(&key)),
                }
            }
            Ok(())
        }
        .boxed()
    }
}

/// Settings with which a registry may be held for long.
pub(crate) fn patient() -> Settings {
    Settings { registry_store_timeout: Duration::from_secs(86_400), ..Settings::default() }
}

/// A group for masters to elect their leader in, with sessions of ten seconds.
pub(crate) fn group() -> SimulatedGroup {
    SimulatedGroup::new(Duration::from_secs(10))
}

impl Cluster {
    /// A master whose registry is `shelf`.
    pub(crate) async fn on(shelf: &Shelf, settings: Settings) -> Self {
        let node = Node::builder().offline().delegate("master").start().await.unwrap();
        Self::on_node(node, shelf, settings).await
    }

    /// The same, which may not have read the registry yet.
    pub(crate) async fn begin_on(shelf: &Shelf, settings: Settings) -> Self {
        Self::of_group(1, Arc::new(group()), shelf, settings).await
    }

    /// One of several masters, which elect their leader in `group`. They draw their ids from different seeds.
    pub(crate) async fn of_group(
        seed: u64,
        group: Arc<dyn Group>,
        shelf: &Shelf,
        settings: Settings,
    ) -> Self {
        let node = Node::builder().offline().delegate("master").seed(seed).start().await.unwrap();
        let running = crate::start_in_group(&node, settings, group, Box::new(shelf.clone())).await;
        Self { node, running }
    }

    async fn on_node(node: Node, shelf: &Shelf, settings: Settings) -> Self {
        let running =
            crate::start_in_group(&node, settings, Arc::new(group()), Box::new(shelf.clone())).await;
        let cluster = Self { node, running };
        super::failover::wait_until_recovered(&cluster).await;
        cluster
    }

    /// The master ends, and another one leads in its place; agents are still there, and have not noticed.
    pub(crate) async fn fail_over(self, shelf: &Shelf, settings: Settings) -> Self {
        let Self { node, running } = self;
        running.shutdown().await;
        Self::on_node(node, shelf, settings).await
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.node.metrics().value(name).unwrap_or_else(|| panic!("no metric {name}"))
    }
}
