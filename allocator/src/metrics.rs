//! The allocator's metrics, under upstream's names (`src/master/allocator/mesos/metrics.cpp`,
//! `sorter/drf/metrics.cpp`).
//!
//! Runs are counted as they happen; figures about roles and resources are set each second, so that a reader
//! never has to wait for the allocator. Their gauges are kept: setting those of a
//! thousand roles looks nothing up by name, and writes no text unless a figure is new.
//!
//! Upstream also shows what all roles together consume, as that of a role with an empty name; that one is
//! left out, since whoever adds up what roles consume would count everything twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use libprocess::metrics::{Counter, Gauge, TimerMetric};
use libprocess::{Address, Metrics, Process};

use crate::core::{Core, Figure, NameIdx, RoleFigures, RoleIdx};

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
    roles: BTreeMap<RoleIdx, RoleGauges>,
}

/// The gauges of one role that are shown now.
#[derive(Debug)]
struct RoleGauges {
    /// Tells whether the index still names the same role.
    path: Arc<str>,
    /// Active filters.
    filters: Gauge,
    /// The dominant share, while the role has frameworks.
    share: Option<Gauge>,
    quota: BTreeMap<(Figure, NameIdx), Gauge>,
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
            roles: BTreeMap::new(),
        }
    }

    /// A run began `latency` after it was asked for, and took `took`.
    pub(crate) fn note_run(&mut self, latency: Duration, took: Duration) {
        self.runs.increment();
        self.latency.record(latency);
        self.run_time.record(took);
    }

    /// Sets what is shown of roles and resources.
    pub(crate) fn update(&mut self, core: &Core, now: Duration) {
        for (name, total, taken) in &self.resources {
            let figures = core.resource_use(name);
            total.set(figures.total);
            taken.set(figures.offered_or_allocated);
        }
        let current: BTreeMap<RoleIdx, RoleFigures<'_>> =
            core.role_figures(now).map(|figures| (figures.role, figures)).collect();
        // All that is gone first: a role may have come back under another index, with the same names.
        let known = std::mem::take(&mut self.roles);
        for (role, gauges) in known {
            if current.get(&role).is_some_and(|figures| *figures.path == gauges.path) {
                self.roles.insert(role, gauges);
            } else {
                gauges.remove(core, &self.registry);
            }
        }
        for (role, figures) in &current {
            let gauges = self.roles.entry(*role);
            let gauges = gauges.or_insert_with(|| RoleGauges::new(Arc::clone(figures.path), &self.registry));
            gauges.set(figures, core, &self.registry);
        }
    }
}

impl RoleGauges {
    fn new(path: Arc<str>, registry: &Metrics) -> RoleGauges {
        RoleGauges {
            filters: registry.gauge(&filters_name(&path)),
            share: None,
            quota: BTreeMap::new(),
            path,
        }
    }

    fn set(&mut self, figures: &RoleFigures<'_>, core: &Core, registry: &Metrics) {
        self.filters.set(figures.active_filters as f64);
        self.set_share(figures, registry);
        let mut shown = 0;
        for (figure, resource, value) in figures.quota() {
            let path = &self.path;
            let gauge = self.quota.entry((figure, resource));
            let gauge = gauge.or_insert_with(|| registry.gauge(&quota_name(path, core, figure, resource)));
            gauge.set(value);
            shown += 1;
        }
        if self.quota.len() > shown {
            let current: BTreeSet<_> =
                figures.quota().map(|(figure, resource, _)| (figure, resource)).collect();
            self.quota.retain(|key, _| {
                let kept = current.contains(key);
                if !kept {
                    registry.remove(&quota_name(&self.path, core, key.0, key.1));
                }
                kept
            });
        }
    }

    fn set_share(&mut self, figures: &RoleFigures<'_>, registry: &Metrics) {
        let path = &self.path;
        match figures.dominant_share {
            Some(share) => self.share.get_or_insert_with(|| registry.gauge(&share_name(path))).set(share),
            None => {
                if self.share.take().is_some() {
                    registry.remove(&share_name(path));
                }
            }
        }
    }

    fn remove(self, core: &Core, registry: &Metrics) {
        registry.remove(&filters_name(&self.path));
        if self.share.is_some() {
            registry.remove(&share_name(&self.path));
        }
        for (figure, resource) in self.quota.keys() {
            registry.remove(&quota_name(&self.path, core, *figure, *resource));
        }
    }
}

fn filters_name(role: &str) -> String {
    format!("{PREFIX}/offer_filters/roles/{role}/active")
}

fn share_name(role: &str) -> String {
    format!("{PREFIX}/roles/{role}/shares/dominant")
}

fn quota_name(role: &str, core: &Core, figure: Figure, resource: NameIdx) -> String {
    format!("{PREFIX}/quota/roles/{role}/resources/{}/{}", core.resource_name(resource), figure.name())
}
