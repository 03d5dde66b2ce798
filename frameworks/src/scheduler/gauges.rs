//! How much waits for a scheduler, as `scheduler/event_queue_*` shows it (upstream: `scheduler/scheduler.cpp`).

use libprocess::metrics::Pulled;
use libprocess::{Address, Metrics, Process, QueueLengths};

/// A gauge: its name, and what it shows of the queue.
type QueueGauge = (&'static str, fn(QueueLengths) -> usize);

const GAUGES: [QueueGauge; 2] = [
    ("scheduler/event_queue_messages", |queue| queue.messages),
    ("scheduler/event_queue_dispatches", |queue| queue.dispatches),
];

/// The gauges of one scheduler, for as long as this lives.
pub(super) struct QueueGauges {
    metrics: Metrics,
    names: Vec<&'static str>,
}

impl QueueGauges {
    /// Of several schedulers on a node, the first is shown.
    pub(super) fn register<P: Process>(metrics: &Metrics, scheduler: &Address<P>) -> Self {
        mesos::metrics::describe(metrics);
        let added = GAUGES.into_iter().filter_map(|(name, of)| {
            let scheduler = scheduler.clone();
            let gauge = Pulled::new(move || of(scheduler.queue_lengths()) as f64);
            metrics.add(name, gauge).is_ok().then_some(name)
        });
        Self { names: added.collect(), metrics: metrics.clone() }
    }
}

impl Drop for QueueGauges {
    fn drop(&mut self) {
        for name in &self.names {
            self.metrics.remove(name);
        }
    }
}
