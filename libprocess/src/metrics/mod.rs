//! What a node counts and measures, by name.
//!
//! [`Metrics`] is a registry that any thread may add to and read. Its owners keep counters and gauges (`kinds`), which
//! are atomics: counting costs no lock. Who looks takes a [`Snapshot`]: JSON for `/metrics/snapshot`, or the Prometheus
//! form for `/metrics`, with help texts and labels as they were declared ([`Description`]).
//!
//! It knows neither actors nor HTTP; the endpoints are `system::metrics`. Rules of names, percentiles and windows are
//! upstream's (3rdparty/libprocess/include/process/{statistics,timeseries}.hpp, src/metrics/metrics.cpp).

mod collection;
mod describe;
mod exposition;
mod kinds;
mod series;
mod snapshot;
mod statistics;

use std::collections::btree_map::Entry;
use std::fmt;
use std::future::Future;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

pub use describe::Description;
pub use exposition::Exposition;
pub use kinds::{Asked, Counter, Gauge, Kind, Metric, Pulled, Series, TimerMetric};
pub use snapshot::Snapshot;
pub use statistics::Statistics;

use collection::{Collection, Table};
use describe::Descriptions;
use snapshot::Value;

/// A metric of this name is there already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Metric '{0}' was already added")]
pub struct Duplicate(pub String);

/// The metrics of a node. Clones are the same registry.
#[derive(Clone, Default)]
pub struct Metrics {
    table: Arc<RwLock<Table>>,
    descriptions: Arc<RwLock<Arc<Descriptions>>>,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// Adds a metric.
    ///
    /// # Errors
    /// [`Duplicate`] if the name is taken; what is there stays.
    pub fn add(&self, name: &str, metric: impl Into<Metric>) -> Result<(), Duplicate> {
        match self.table.write().entry(Arc::from(name)) {
            Entry::Vacant(vacant) => drop(vacant.insert(metric.into())),
            Entry::Occupied(_) => return Err(Duplicate(name.to_owned())),
        }
        Ok(())
    }

    /// The counter of this name; a new one if there is none.
    pub fn counter(&self, name: &str) -> Counter {
        let fresh = Counter::default();
        match self.get_or_add(name, Metric::Counter(fresh.clone())) {
            Some(Metric::Counter(counter)) => counter,
            _ => fresh,
        }
    }

    /// The gauge of this name; a new one (0) if there is none.
    pub fn gauge(&self, name: &str) -> Gauge {
        let fresh = Gauge::default();
        match self.get_or_add(name, Metric::Gauge(fresh.clone())) {
            Some(Metric::Gauge(gauge)) => gauge,
            _ => fresh,
        }
    }

    /// The series of this name; a new one if there is none. Statistics are of the last `window`, and of at most 1,000
    /// values, the older of them thinned out; without a window there are none.
    pub fn series(&self, name: &str, window: Option<Duration>) -> Series {
        let fresh = Series::new(window);
        match self.get_or_add(name, Metric::Series(fresh.clone())) {
            Some(Metric::Series(series)) => series,
            _ => fresh,
        }
    }

    /// The timer of this name; see [`Metrics::series`]. Upstream's timers end in their unit, which is part of `name`:
    /// `registrar/state_store_ms`.
    pub fn timer(&self, name: &str, window: Option<Duration>) -> TimerMetric {
        TimerMetric(self.series(name, window))
    }

    /// A value that is asked for when somebody looks ([`Pulled`]). It replaces an earlier one of this name: an actor
    /// that starts again brings its own. A value that is not finite is not shown.
    pub fn pull_gauge(&self, name: &str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.table.write().insert(Arc::from(name), Metric::Pulled(Pulled::new(read)));
    }

    /// A value that an actor is asked for when somebody looks ([`Asked`]), as with [`crate::Address::ask`]. It replaces
    /// an earlier one of this name.
    pub fn ask_gauge<F>(&self, name: &str, ask: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Option<f64>> + Send + 'static,
    {
        self.table.write().insert(Arc::from(name), Metric::Asked(Asked::new(ask)));
    }

    /// Forgets a metric. Whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.table.write().remove(name).is_some()
    }

    /// Forgets every metric whose name begins with `prefix` (those of a framework, say); how many.
    pub fn remove_prefix(&self, prefix: &str) -> usize {
        let mut table = self.table.write();
        let names: Vec<Arc<str>> = table
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(name, _)| name.clone())
            .take_while(|name| name.starts_with(prefix))
            .collect();
        for name in &names {
            table.remove(name);
        }
        names.len()
    }

    /// How many metrics there are.
    pub fn len(&self) -> usize {
        self.table.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.read().is_empty()
    }

    /// Declares what metrics mean. They need not be there yet.
    pub fn describe(&self, table: &[Description]) {
        Arc::make_mut(&mut *self.descriptions.write()).add(table);
    }

    /// What can be read at once: all but what actors have to be asked for.
    pub fn snapshot(&self) -> Snapshot {
        self.look_up().read_at_once()
    }

    /// Everything. Actors are asked all at once; who has not answered after `patience` is left out. Nothing is looked up
    /// before somebody waits for it. Where there may be many metrics: [`crate::system::show_metrics`].
    pub async fn collect(&self, patience: Duration) -> Snapshot {
        let found = self.look_up();
        let answers = found.ask(patience).await;
        found.read(answers)
    }

    /// All metrics as they are now, to be asked for and read.
    pub(crate) fn look_up(&self) -> Collection {
        let descriptions = self.descriptions.read().clone();
        Collection::of(&self.table, descriptions)
    }

    /// One value of the snapshot.
    pub fn value(&self, name: &str) -> Option<f64> {
        let find = |name: &str| self.table.read().get(name).cloned();
        if let Some(metric) = find(name) {
            return match Value::now(&metric)? {
                Value::Counter(count) => Some(count as f64),
                Value::Gauge(value) => Some(value),
                Value::Series { last, .. } => last,
            };
        }
        let (series, key) = name.rsplit_once('/')?;
        match find(series)? {
            Metric::Series(series) => series.statistics()?.entries().find(|(k, _)| *k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Adds `fresh`, unless the name is taken: then gives what is there. A name that is taken by
    /// another kind is a mistake of the program; the new metric then counts, but is not shown.
    fn get_or_add(&self, name: &str, fresh: Metric) -> Option<Metric> {
        match self.table.write().entry(Arc::from(name)) {
            Entry::Vacant(vacant) => {
                vacant.insert(fresh);
                None
            }
            Entry::Occupied(occupied) => {
                let existing = occupied.get();
                if std::mem::discriminant(existing) != std::mem::discriminant(&fresh) {
                    tracing::warn!(name, "a metric of another kind has this name");
                }
                Some(existing.clone())
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests;
