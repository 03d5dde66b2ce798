//! Counters over the cluster's state, kept as it changes, for the gauges of `/metrics/snapshot`.
//!
//! They are atomics, because whoever renders the metrics reads them from another thread. Nothing
//! decides by them.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use mesos::Resources;
use mesos::v1::TaskState;

/// The scalar resources that have gauges of their own (upstream: `master/metrics.cpp`).
pub const RESOURCES: [&str; 4] = ["cpus", "gpus", "mem", "disk"];

/// Amounts of the resources in [`RESOURCES`], in thousandths.
#[derive(Debug, Default)]
pub struct Amounts([AtomicI64; 4]);

impl Amounts {
    fn change(&self, resources: &Resources, sign: i64) {
        if resources.is_empty() {
            return;
        }
        for (amount, name) in self.0.iter().zip(RESOURCES) {
            amount.fetch_add(sign * resources.scalar(name).millis(), Relaxed);
        }
    }

    /// The amount of `RESOURCES[index]`.
    pub fn get(&self, index: usize) -> f64 {
        self.0.get(index).map_or(0.0, |amount| amount.load(Relaxed) as f64 / 1000.0)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    tasks: [AtomicI64; 14],
    /// Agents whose connection holds.
    pub agents_connected: AtomicI64,
    /// Registered agents whose connection broke.
    pub agents_disconnected: AtomicI64,
    /// Agents whose resources are offered.
    pub agents_active: AtomicI64,
    /// Registered agents whose resources are not offered.
    pub agents_inactive: AtomicI64,
    /// Agents marked unreachable.
    pub agents_unreachable: AtomicI64,
    /// Frameworks that are connected.
    pub frameworks_connected: AtomicI64,
    /// Frameworks that are not (recovered ones included).
    pub frameworks_disconnected: AtomicI64,
    /// Frameworks that are offered resources.
    pub frameworks_active: AtomicI64,
    /// Frameworks that are not.
    pub frameworks_inactive: AtomicI64,
    /// Outstanding offers.
    pub offers: AtomicI64,
    /// Remembered tasks whose state is TASK_UNREACHABLE.
    pub tasks_unreachable: AtomicI64,
    /// Of all registered agents, without revocable resources.
    pub total: Amounts,
    /// Used by tasks and executors, without revocable resources.
    pub used: Amounts,
    /// Revocable resources of all registered agents.
    pub revocable_total: Amounts,
    /// Revocable resources used by tasks and executors.
    pub revocable_used: Amounts,
}

impl Tally {
    /// Tasks whose latest state is `state`, among those that are not over.
    pub fn tasks(&self, state: TaskState) -> i64 {
        self.tasks.get(state as usize).map_or(0, |count| count.load(Relaxed))
    }

    pub(super) fn count_task(&self, state: TaskState, change: i64) {
        if let Some(count) = self.tasks.get(state as usize) {
            count.fetch_add(change, Relaxed);
        }
    }

    pub(super) fn count_agent(&self, connected: bool, active: bool, change: i64) {
        let connection = if connected { &self.agents_connected } else { &self.agents_disconnected };
        let activity = if active { &self.agents_active } else { &self.agents_inactive };
        connection.fetch_add(change, Relaxed);
        activity.fetch_add(change, Relaxed);
    }

    pub(super) fn count_framework(&self, connected: bool, active: bool, change: i64) {
        let connection = if connected { &self.frameworks_connected } else { &self.frameworks_disconnected };
        let activity = if active { &self.frameworks_active } else { &self.frameworks_inactive };
        connection.fetch_add(change, Relaxed);
        activity.fetch_add(change, Relaxed);
    }

    pub(super) fn change_total(&self, resources: &Resources, sign: i64) {
        self.total.change(&resources.non_revocable(), sign);
        self.revocable_total.change(&resources.revocable(), sign);
    }

    pub(super) fn change_used(&self, resources: &Resources, sign: i64) {
        let revocable = resources.revocable();
        if revocable.is_empty() {
            self.used.change(resources, sign);
        } else {
            self.used.change(&resources.non_revocable(), sign);
            self.revocable_used.change(&revocable, sign);
        }
    }
}
