//! The Registrar: the only one who writes the registry (`registrar(1)`).
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`Recover`] | the master, once, when it is elected | reads the registry, stores the new leader in it, and what the last one left undone; answers with what it found |
//! | [`Apply`] | the master | queues one [`Operation`]; answers, when its batch is stored, whether it was possible |
//! | `GET /registry` | operators | shows the registry as JSON, as it is stored |
//!
//! While one batch is being stored the next one gathers: a thousand operations cost two writes, not a thousand.
//! An operation that "fails" (an agent that is admitted already, say) is an answer of `false`; an `Err` means
//! that the store itself failed, and the master must end: all that waits is answered so, and all that comes (upstream:
//! `RegistrarProcess::abort` in `master/registrar.cpp`). The Registrar knows nothing of frameworks, offers or tasks.

mod entries;
mod operations;
mod storage;
pub mod transfer;

use std::collections::HashMap;
use std::time::Duration;

use election::group::Membership;
use libprocess::http::{Reply, Request, Response};
use libprocess::metrics::{Gauge, Metrics, TimerMetric};
use libprocess::{Context, FixedState, Handle, Install, Message, Pid, Process, Promise, Recipient, promise};
use mesos::internal::Registry;
use mesos::sabotage::{Bug, is_on};
use mesos::v1;

pub use entries::{Activation, Change, CorruptRecord, Entries, Record};
pub use operations::{Maintenance, Operation};
pub use storage::{Etcd, FILE, InMemory, Local, Storage, StorageError, ZooKeeper, batches, shared};

/// How far back statistics of stores look (upstream: `master/registrar.cpp`; of the one fetch it makes none).
const STORE_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// How many records one batch changes at most, about, unless a single operation changes more. `--registry_store_timeout` is
/// for one batch, and etcd takes some 60 agents in a transaction. And of what operators set either all of a batch is noted
/// ([`batches`]), or nothing: several large calls that wait at the same time would not fit into one note.
const LARGEST_BATCH: usize = 2_000;

/// Why the registry could not be read or written. Always fatal to the master.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistrarError {
    /// An operation arrived before `Recover` was answered.
    #[error("the registry has not been recovered yet")]
    NotRecovered,
    /// The store said no; the text names the store and what went wrong.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// The store holds something else than a registry.
    #[error("{place}: {corrupt}")]
    Corrupt {
        /// The store.
        place: String,
        /// The record.
        corrupt: CorruptRecord,
    },
    /// Who goes on with a part would let agents in again that are gone for ever.
    #[error(
        "{place} has a part of a registry only: 'mesos registry import' is at work there, or was broken off; repeat it \
         with --replace"
    )]
    Part {
        /// The store.
        place: String,
    },
    /// A newer version has used the registry, for what this one knows nothing of.
    #[error(
        "this master lacks {missing}, which the registry in {place} demands of every master: it was used by a newer \
         version; start that one"
    )]
    Incapable {
        /// The store.
        place: String,
        /// The names of the capabilities.
        missing: String,
    },
    /// The store took longer than allowed.
    #[error("{place} took more than {limit:?} to {what}")]
    Timeout {
        /// The store.
        place: String,
        /// `--registry_fetch_timeout` or `--registry_store_timeout`.
        limit: Duration,
        /// Fetch or store.
        what: &'static str,
    },
}

/// Reads the registry and makes `info` its leader.
#[derive(Debug)]
pub struct Recover {
    /// The master that now leads.
    pub info: v1::MasterInfo,
    /// Its node in the group of masters, if they elect: what is stored from now on is guarded by it.
    pub node: Option<Membership>,
    /// Set to the registry as it was found.
    pub reply: Promise<Result<Registry, RegistrarError>>,
}

impl Message for Recover {
    type Answer = ();
}

/// Applies one operation.
#[derive(Debug)]
pub struct Apply {
    /// What shall change.
    pub operation: Operation,
    /// Set, after the change is stored, to whether the operation was possible.
    pub reply: Promise<Result<bool, RegistrarError>>,
}

impl Message for Apply {
    type Answer = ();
}

/// How the master reaches its registrar, whichever actor that is.
#[derive(Clone)]
pub struct RegistrarHandle {
    /// For [`Recover`].
    pub recover: Recipient<Recover>,
    /// For [`Apply`].
    pub apply: Recipient<Apply>,
}

/// How long a store may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To read everything (`--registry_fetch_timeout`).
    pub fetch: Duration,
    /// To write one batch (`--registry_store_timeout`).
    pub store: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { fetch: Duration::from_secs(60), store: Duration::from_secs(20) }
    }
}

/// Upstream's names for what a registrar measures.
struct Measures {
    queued: Gauge,
    size: Gauge,
    fetch: TimerMetric,
    store: TimerMetric,
}

/// How large the records in the store are.
#[derive(Default)]
struct Sizes {
    /// By their keys, in bytes.
    records: HashMap<String, usize, FixedState>,
    total: usize,
}

impl Sizes {
    /// A record was stored, or deleted.
    fn set(&mut self, key: String, size: Option<usize>) {
        let before = match size {
            Some(size) => self.records.insert(key, size),
            None => self.records.remove(&key),
        };
        self.total = self.total + size.unwrap_or(0) - before.unwrap_or(0);
    }
}

/// The actor.
pub struct Registrar {
    storage: Box<dyn Storage>,
    timeouts: Timeouts,
    measures: Measures,
    entries: Entries,
    /// Why nothing can be stored: nothing was read yet, or a store has failed. That is never tried again: the master ends.
    unusable: Option<RegistrarError>,
    /// A batch is being stored: the entries are ahead of the store.
    storing: bool,
    /// Who wants to see the registry as it will be stored then.
    viewers: Vec<Promise<Entries>>,
    sizes: Sizes,
    queue: Vec<Apply>,
}

impl Registrar {
    /// A registrar that keeps its records in `storage`.
    pub fn new(storage: Box<dyn Storage>, timeouts: Timeouts, metrics: &Metrics) -> Self {
        Self {
            storage,
            timeouts,
            measures: Measures {
                queued: metrics.gauge("registrar/queued_operations"),
                size: metrics.gauge("registrar/registry_size_bytes"),
                fetch: metrics.timer("registrar/state_fetch_ms", None),
                store: metrics.timer("registrar/state_store_ms", Some(STORE_WINDOW)),
            },
            entries: Entries::default(),
            unusable: Some(RegistrarError::NotRecovered),
            storing: false,
            viewers: Vec::new(),
            sizes: Sizes::default(),
            queue: Vec::new(),
        }
    }

    /// Applies all that waits, and stores what it changed. The next batch gathers meanwhile.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        if let Some(error) = &self.unusable {
            self.queue.drain(..).for_each(|apply| apply.reply.set(Err(error.clone())));
            self.measures.queued.set(0.0);
        }
        if self.storing || self.queue.is_empty() {
            return;
        }
        let rest = self.queue.split_off(self.next_batch());
        let batch = std::mem::replace(&mut self.queue, rest);
        self.measures.queued.set(self.queue.len() as f64);
        let mut results: Vec<_> =
            batch.into_iter().map(|apply| (apply.reply, apply.operation.apply(&mut self.entries))).collect();
        if is_on(Bug::AcknowledgesUnstored) {
            results.drain(..).for_each(|(reply, possible)| reply.set(Ok(possible)));
        }
        self.store(ctx, move |this, stored, ctx| {
            for (reply, possible) in results {
                reply.set(stored.clone().map(|()| possible));
            }
            this.unusable = stored.err();
            this.flush(ctx);
        });
    }

    /// How many of the operations that wait are stored together.
    fn next_batch(&self) -> usize {
        let mut records = 0;
        let together = self.queue.iter().take_while(|apply| {
            records += apply.operation.records();
            records <= LARGEST_BATCH
        });
        together.count().max(1)
    }

    /// Stores what has changed, then goes on. What changed nothing costs nothing.
    fn store(
        &mut self,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Result<(), RegistrarError>, &mut Context<Self>) + 'static,
    ) {
        let changes = self.entries.take_changes();
        if changes.is_empty() {
            return then(self, Ok(()), ctx);
        }
        self.storing = true;
        let sizes: Vec<_> =
            changes.iter().map(|change| (change.key.clone(), change.value.as_ref().map(Vec::len))).collect();
        let (place, limit) = (self.storage.name(), self.timeouts.store);
        let storing = tokio::time::timeout(limit, self.storage.store(changes));
        let began = ctx.node().elapsed();
        ctx.defer(storing, move |this, stored, ctx| {
            this.storing = false;
            this.measures.store.record(ctx.node().elapsed().saturating_sub(began));
            let timeout = RegistrarError::Timeout { place, limit, what: "store" };
            let stored: Result<(), RegistrarError> = stored.map_or(Err(timeout), |result| Ok(result?));
            let viewers = std::mem::take(&mut this.viewers);
            if stored.is_ok() {
                sizes.into_iter().for_each(|(key, size)| this.sizes.set(key, size));
                this.measures.size.set(this.sizes.total as f64);
                viewers.into_iter().for_each(|viewer| viewer.set(this.entries.clone()));
            }
            then(this, stored, ctx);
        });
    }
}

/// What the registry demands and the master has not (upstream: `Master::missingMinimumCapabilities`). Asked before
/// anything is written.
fn missing_capabilities(info: &v1::MasterInfo, records: &[Record]) -> Option<String> {
    let has = |name: &str| info.capabilities.iter().any(|has| has.r#type().as_str_name() == name);
    let missing: Vec<&str> = entries::demanded(records).filter(|name| !has(name)).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

impl Process for Registrar {
    const NAME: &'static str = "registrar";

    fn install(install: &mut Install<Self>) {
        install.get(
            "/registry",
            "The registry: agents that belong to the cluster, maintenance, weights, quotas (jsonp).",
            Self::show,
        );
    }
}

impl Registrar {
    fn show(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        if self.unusable.is_some() {
            return Response::jsonp(&request.query, "{}").into();
        }
        // Not here: this is the thread of the master itself.
        let node = ctx.node().clone();
        let show = move |entries: Entries| {
            let things = entries.size();
            let make = move || Response::jsonp(&request.query, mesos::json::to_vec(&entries.to_registry()));
            Reply::render_many(&node, things, make)
        };
        if self.storing {
            let (viewer, stored) = promise();
            self.viewers.push(viewer);
            return Reply::later(async move {
                match stored.await {
                    Ok(entries) => show(entries).wait().await,
                    Err(_) => Response::service_unavailable("The registry could not be stored"),
                }
            });
        }
        show(self.entries.clone())
    }
}

impl Handle<Recover> for Registrar {
    fn handle(&mut self, message: Recover, _: &Pid, ctx: &mut Context<Self>) {
        let (place, limit) = (self.storage.name(), self.timeouts.fetch);
        let began = ctx.node().elapsed();
        let loading = tokio::time::timeout(limit, self.storage.load(message.node.clone()));
        ctx.defer(loading, move |this, loaded, ctx| {
            this.measures.fetch.record(ctx.node().elapsed().saturating_sub(began));
            let records = match loaded {
                Ok(Ok(records)) => records,
                Ok(Err(error)) => return message.reply.set(Err(error.into())),
                Err(_) => {
                    return message.reply.set(Err(RegistrarError::Timeout { place, limit, what: "fetch" }));
                }
            };
            if entries::are_a_part(&records) {
                return message.reply.set(Err(RegistrarError::Part { place }));
            }
            if let Some(missing) = missing_capabilities(&message.info, &records) {
                return message.reply.set(Err(RegistrarError::Incapable { place, missing }));
            }
            records.iter().for_each(|(key, value)| this.sizes.set(key.clone(), Some(value.len())));
            match Entries::from_records(records) {
                Ok(entries) => this.entries = entries,
                Err(corrupt) => {
                    let place = this.storage.place_of(&corrupt.key);
                    return message.reply.set(Err(RegistrarError::Corrupt { place, corrupt }));
                }
            }
            this.entries.settle_maintenance();
            let found = this.entries.to_registry();
            this.entries.set_master(message.info);
            this.store(ctx, move |this, stored, ctx| {
                this.unusable = stored.clone().err();
                message.reply.set(stored.map(|()| found));
                this.flush(ctx);
            });
        });
    }
}

impl Handle<Apply> for Registrar {
    fn handle(&mut self, message: Apply, _: &Pid, ctx: &mut Context<Self>) {
        self.queue.push(message);
        self.measures.queued.set(self.queue.len() as f64);
        self.flush(ctx);
    }
}

#[cfg(test)]
mod tests;
