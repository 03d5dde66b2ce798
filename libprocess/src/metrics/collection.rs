//! Metrics on their way to a [`Snapshot`]: looked up, then asked for as far as actors have to be asked, then read.
//!
//! The three steps are apart because the first and the last take long where there are many metrics, and can be done on a
//! thread for it ([`crate::system::show_metrics`]). Nobody holds the registry's lock for long, since who counts something
//! for the first time waits for it: it is given back after every [`STEP`] metrics.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::RwLock;

use super::describe::Descriptions;
use super::kinds::Metric;
use super::snapshot::{Reading, Snapshot, Value};
use crate::breath;

/// Metrics that are looked up at a time: some 50 microseconds.
const STEP: usize = 512;

/// All metrics of a registry.
pub(super) type Table = BTreeMap<Arc<str>, Metric>;

/// Metrics that were looked up.
pub(crate) struct Collection {
    /// Sorted by name.
    entries: Vec<(Arc<str>, Metric)>,
    descriptions: Arc<Descriptions>,
}

/// What actors said: for each metric that has to be asked for, in order. `None` is no answer.
pub(crate) struct Answers(Vec<Option<f64>>);

impl Collection {
    /// Looks up all metrics. They are copied, and read without the lock: a pulled gauge may itself look for metrics.
    pub(super) fn of(table: &RwLock<Table>, descriptions: Arc<Descriptions>) -> Collection {
        let mut entries = Vec::with_capacity(table.read().len());
        while step(&table.read(), &mut entries) {
            // Not while the lock is held.
            breath::spend(STEP);
        }
        Collection { entries, descriptions }
    }

    /// Asks actors, all at once; who has not answered after `patience` has no answer.
    pub(crate) async fn ask(&self, patience: Duration) -> Answers {
        let questions = self.entries.iter().filter_map(|(_, metric)| match metric {
            Metric::Asked(asked) => Some(tokio::time::timeout(patience, asked.answer())),
            _ => None,
        });
        Answers(join_all(questions).await.into_iter().map(|answer| answer.ok().flatten()).collect())
    }

    /// Reads the values. What has no answer is left out.
    pub(crate) fn read(self, answers: Answers) -> Snapshot {
        let mut answers = answers.0.into_iter();
        let readings = self.entries.into_iter().filter_map(|(name, metric)| {
            breath::spend(breath::LINE);
            let value = match metric {
                Metric::Asked(_) => Value::Gauge(answers.next()??),
                _ => Value::now(&metric)?,
            };
            Some(Reading { name, value })
        });
        Snapshot { readings: readings.collect(), descriptions: self.descriptions }
    }

    /// Reads what can be read at once.
    pub(super) fn read_at_once(self) -> Snapshot {
        self.read(Answers(Vec::new()))
    }
}

/// Copies the next metrics behind the last one. False if that was all of them.
fn step(table: &Table, entries: &mut Vec<(Arc<str>, Metric)>) -> bool {
    let last = entries.last().map_or(Bound::Unbounded, |(name, _)| Bound::Excluded(name.clone()));
    let before = entries.len();
    let next = table.range((last, Bound::Unbounded)).take(STEP);
    entries.extend(next.map(|(name, metric)| (name.clone(), metric.clone())));
    entries.len() == before + STEP
}

#[cfg(test)]
mod tests {
    use super::super::kinds::Counter;
    use super::*;

    #[test]
    fn the_table_is_looked_up_in_steps_and_may_change_between_them() {
        let counter = || Metric::Counter(Counter::default());
        let name = |number: usize| Arc::from(format!("{number:06}"));
        let mut table: Table = (0..2 * STEP).map(|number| (name(number), counter())).collect();
        let mut entries = Vec::new();
        assert!(step(&table, &mut entries));
        assert_eq!(entries.len(), STEP);
        // The last one of this step goes, and so does one that was not looked up; others come.
        table.remove(&name(STEP - 1));
        table.remove(&name(STEP));
        table.insert(Arc::from("000000/before"), counter());
        table.insert(name(2 * STEP), counter());
        while step(&table, &mut entries) {}
        let found: Vec<Arc<str>> = entries.into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, (0..=2 * STEP).filter(|number| *number != STEP).map(name).collect::<Vec<_>>());
    }
}
