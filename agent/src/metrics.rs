//! The agent's metrics, under upstream's names (`slave/metrics.cpp`).
//!
//! Counters count at once. Gauges are read off the agent's books a moment after they changed
//! ([`REFRESH`]), all together: reading them takes a walk over tasks, which launches should not pay
//! for one by one.

use std::time::Duration;

use libprocess::metrics::{Counter, Gauge};
use libprocess::{Context, Handle, Node, Pid};
use mesos::{Resources, v1};
use v1::TaskState;

use crate::agent::{Agent, Phase};
use crate::executors::executor::ExecutorPhase;

/// How late a gauge may be.
const REFRESH: Duration = Duration::from_millis(50);

/// Time to bring the gauges up to date.
pub(crate) struct RefreshGauges;

libprocess::messages! { RefreshGauges; }

/// See the module.
pub(crate) struct Metrics {
    node: Node,
    /// Whether a refresh is due.
    due: bool,
    pub(crate) recovery_errors: Counter,
    pub(crate) executors_terminated: Counter,
    pub(crate) valid_status_updates: Counter,
    pub(crate) invalid_status_updates: Counter,
    pub(crate) valid_framework_messages: Counter,
    pub(crate) invalid_framework_messages: Counter,
    pub(crate) container_launch_errors: Counter,
    finished: Counter,
    failed: Counter,
    killed: Counter,
    lost: Counter,
    gone: Counter,
    registered: Gauge,
    frameworks_active: Gauge,
    tasks: [(TaskState, Gauge); 4],
    executors: [(ExecutorPhase, Gauge); 3],
    resources: Vec<ResourceGauges>,
}

struct ResourceGauges {
    name: &'static str,
    revocable: bool,
    total: Gauge,
    used: Gauge,
    percent: Gauge,
}

impl Metrics {
    /// The metrics of an agent that has just started.
    pub(crate) fn new(node: &Node) -> Metrics {
        let metrics = node.metrics();
        mesos::metrics::describe(metrics);
        let counter = |name: &str| metrics.counter(&format!("slave/{name}"));
        let gauge = |name: &str| metrics.gauge(&format!("slave/{name}"));
        let (clock, started) = (node.downgrade(), node.elapsed());
        metrics.pull_gauge("slave/uptime_secs", move || {
            clock.upgrade().map_or(0.0, |node| (node.elapsed().saturating_sub(started)).as_secs_f64())
        });
        // No executor is ever preempted, and there is no QoS controller yet that would.
        let _ = counter("executors_preempted");
        let resources = [false, true].into_iter().flat_map(|revocable| {
            ["cpus", "gpus", "mem", "disk"].map(|name| {
                let of = |what: &str| {
                    let infix = if revocable { "revocable_" } else { "" };
                    metrics.gauge(&format!("slave/{name}_{infix}{what}"))
                };
                ResourceGauges {
                    name,
                    revocable,
                    total: of("total"),
                    used: of("used"),
                    percent: of("percent"),
                }
            })
        });
        Metrics {
            node: node.clone(),
            due: false,
            recovery_errors: counter("recovery_errors"),
            executors_terminated: counter("executors_terminated"),
            valid_status_updates: counter("valid_status_updates"),
            invalid_status_updates: counter("invalid_status_updates"),
            valid_framework_messages: counter("valid_framework_messages"),
            invalid_framework_messages: counter("invalid_framework_messages"),
            container_launch_errors: counter("container_launch_errors"),
            finished: counter("tasks_finished"),
            failed: counter("tasks_failed"),
            killed: counter("tasks_killed"),
            lost: counter("tasks_lost"),
            gone: counter("tasks_gone"),
            registered: gauge("registered"),
            frameworks_active: gauge("frameworks_active"),
            tasks: [
                (TaskState::TaskStaging, gauge("tasks_staging")),
                (TaskState::TaskStarting, gauge("tasks_starting")),
                (TaskState::TaskRunning, gauge("tasks_running")),
                (TaskState::TaskKilling, gauge("tasks_killing")),
            ],
            executors: [
                (ExecutorPhase::Registering, gauge("executors_registering")),
                (ExecutorPhase::Running, gauge("executors_running")),
                (ExecutorPhase::Terminating, gauge("executors_terminating")),
            ],
            resources: resources.collect(),
        }
    }

    /// The node, for uuids.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// A task has ended.
    pub(crate) fn count_terminal(&self, state: TaskState) {
        match state {
            TaskState::TaskFinished => self.finished.increment(),
            TaskState::TaskFailed => self.failed.increment(),
            TaskState::TaskKilled => self.killed.increment(),
            TaskState::TaskLost => self.lost.increment(),
            TaskState::TaskGone => self.gone.increment(),
            _ => {}
        }
    }

    /// How old directories of what is over may get now.
    pub(crate) fn allowed_age(&self, age: Duration) {
        self.node.metrics().gauge("slave/executor_directory_max_allowed_age_secs").set(age.as_secs_f64());
    }

    /// Recovery took that long.
    pub(crate) fn recovered(&self, took: Duration) {
        self.node.metrics().gauge("slave/recovery_time_secs").set(took.as_secs_f64());
    }
}

impl Agent {
    /// The books have changed: the gauges follow.
    pub(crate) fn touch(&mut self, ctx: &mut Context<Self>) {
        if !self.metrics.due {
            self.metrics.due = true;
            ctx.after(REFRESH, RefreshGauges);
        }
    }

    fn tasks_in(&self, state: TaskState) -> usize {
        let executors = self.frameworks.values().flat_map(|framework| framework.executors.values());
        let launched = executors
            .clone()
            .map(|executor| executor.tasks.launched().filter(|(_, task)| task.state() == state).count())
            .sum::<usize>();
        if state != TaskState::TaskStaging {
            return launched;
        }
        let queued: usize = executors.map(|executor| executor.tasks.queued_len()).sum();
        let pending: usize =
            self.frameworks.values().map(|framework| framework.pending_tasks().count()).sum();
        launched + queued + pending
    }

    fn executors_in(&self, phase: ExecutorPhase) -> usize {
        let executors = self.frameworks.values().flat_map(|framework| framework.executors.values());
        executors.filter(|executor| executor.phase == phase).count()
    }
}

/// A part of a whole; a whole of nothing has no parts.
fn share(used: f64, total: f64) -> f64 {
    if total > 0.0 { used / total } else { 0.0 }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
impl Handle<RefreshGauges> for Agent {
    fn handle(&mut self, _: RefreshGauges, _: &Pid, _: &mut Context<Self>) {
        self.metrics.due = false;
        let metrics = &self.metrics;
        metrics.registered.set(if self.phase == Phase::Running { 1.0 } else { 0.0 });
        metrics.frameworks_active.set(self.frameworks.len() as f64);
        for (state, gauge) in &metrics.tasks {
            gauge.set(self.tasks_in(*state) as f64);
        }
        for (phase, gauge) in &metrics.executors {
            gauge.set(self.executors_in(*phase) as f64);
        }
        let used = self
            .frameworks
            .values()
            .fold(Resources::default(), |used, framework| used + framework.allocated());
        let parts = [
            (false, self.total.non_revocable(), used.non_revocable()),
            (true, self.total.revocable(), used.revocable()),
        ];
        for (revocable, total, used) in parts {
            for gauges in metrics.resources.iter().filter(|gauges| gauges.revocable == revocable) {
                let total = total.scalar(gauges.name).to_f64();
                let used = used.scalar(gauges.name).to_f64();
                gauges.total.set(total);
                gauges.used.set(used);
                gauges.percent.set(share(used, total));
            }
        }
    }
}
