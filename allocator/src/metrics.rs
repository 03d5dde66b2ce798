//! The allocator's metrics, under upstream's names (`src/master/allocator/mesos/metrics.cpp`).
//!
//! Runs are counted as they happen; figures about roles and resources are set after each periodic run,
//! so that a reader never has to wait for the allocator.

use std::collections::BTreeSet;
use std::time::Duration;

use libprocess::metrics::{Counter, Gauge, TimerMetric};
use libprocess::{Address, Metrics, Process};

use crate::core::Core;

const PREFIX: &str = "allocator/mesos";
/// How far back statistics of runs look.
const WINDOW: Duration = Duration::from_secs(3600);
/// The resources that have figures of their own.
const SHOWN: [&str; 3] = ["cpus", "mem", "disk"];

#[derive(Debug)]
pub(crate) struct AllocatorMetrics {
    registry: Metrics,
    runs: Counter,
    run_time: TimerMetric,
    latency: TimerMetric,
    resources: Vec<(&'static str, Gauge, Gauge)>,
    /// The names of gauges about roles that are registered now.
    roles: BTreeSet<String>,
}

impl AllocatorMetrics {
    pub(crate) fn new<P: Process>(registry: &Metrics, allocator: &Address<P>) -> Self {
        mesos::metrics::describe(registry);
        for name in
            ["allocator/event_queue_dispatches".to_owned(), format!("{PREFIX}/event_queue_dispatches")]
        {
            let allocator = allocator.clone();
            registry.pull_gauge(&name, move || allocator.queue_lengths().dispatches as f64);
        }
        let resources = SHOWN.map(|name| {
            let gauge = |what: &str| registry.gauge(&format!("{PREFIX}/resources/{name}/{what}"));
            (name, gauge("total"), gauge("offered_or_allocated"))
        });
        AllocatorMetrics {
            registry: registry.clone(),
            runs: registry.counter(&format!("{PREFIX}/allocation_runs")),
            run_time: registry.timer(&format!("{PREFIX}/allocation_run_ms"), Some(WINDOW)),
            latency: registry.timer(&format!("{PREFIX}/allocation_run_latency_ms"), Some(WINDOW)),
            resources: resources.into(),
            roles: BTreeSet::new(),
        }
    }

    /// A run began `latency` after it was asked for, and took `took`.
    pub(crate) fn note_run(&mut self, latency: Duration, took: Duration) {
        self.runs.increment();
        self.latency.record(latency);
        self.run_time.record(took);
    }

    pub(crate) fn update(&mut self, core: &Core, now: Duration) {
        for (name, total, taken) in &self.resources {
            let figures = core.resource_use(name);
            total.set(figures.total);
            taken.set(figures.offered_or_allocated);
        }
        let mut roles = BTreeSet::new();
        for role in core.roles(now) {
            let mut set = |name: String, value: f64| {
                self.registry.gauge(&name).set(value);
                roles.insert(name);
            };
            set(format!("{PREFIX}/offer_filters/roles/{}/active", role.path), role.active_filters as f64);
            if let Some(share) = role.dominant_share {
                set(format!("{PREFIX}/roles/{}/shares/dominant", role.path), share);
            }
        }
        for gone in self.roles.difference(&roles) {
            self.registry.remove(gone);
        }
        self.roles = roles;
    }
}
