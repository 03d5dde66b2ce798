//! The master's metrics, under upstream's names (`master/metrics.cpp`).
//!
//! Counters are held here and counted where things happen. Gauges are read from the cluster's
//! [`Tally`] when somebody asks. Each framework has counters of its own below
//! `master/frameworks/<name>/<id>/`, for as long as the cluster remembers it: also after its end. With
//! `--no-publish_per_framework_metrics` they count all the same, and nobody sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use indexmap::IndexMap;
use libprocess::metrics::{Counter, Gauge};
use libprocess::{Address, FixedState, Node, QueueLengths};
use mesos::tasks::is_terminal;
use mesos::v1::scheduler::{call, event};
use mesos::v1::task_status::{Reason, Source};
use mesos::v1::{self, TaskState};
use mesos::{Enum, FrameworkId, v1::offer::operation};

use crate::cluster::tally::RESOURCES;
use crate::cluster::{Cluster, Framework, Tally};
use crate::leadership::encoded;
use crate::master::Master;
use crate::operations::counts::OperationCounts;

macro_rules! counters {
    ($($field:ident $(= $name:literal)?,)*) => {
        /// The master's counters, as fields, and those of frameworks.
        pub(crate) struct Metrics {
            $(pub(crate) $field: Counter,)*
            node: libprocess::Metrics,
            /// Where frameworks' own metrics are: the node's, or some that are not shown.
            of_frameworks: libprocess::Metrics,
            /// Of frameworks that are registered, and of those that are over and are remembered.
            frameworks: IndexMap<FrameworkId, FrameworkMetrics, FixedState>,
            /// `master/task_lost/source_master/reason_invalid_offers` and its like. There is no more of them than the
            /// protocol has states, sources and reasons.
            reasons: IndexMap<(TaskState, Source, Reason), Counter, FixedState>,
            /// For frameworks that are not registered: counted nowhere.
            nobody: FrameworkMetrics,
            elected: Gauge,
            pub(crate) operator_event_stream_subscribers: Gauge,
            pub(crate) operations: OperationCounts,
        }

        impl Metrics {
            /// Registers everything, and will register what belongs to a framework if that is to be published.
            pub(crate) fn new(node: &Node, cluster: &Cluster, publish_per_framework: bool) -> Self {
                let metrics = node.metrics();
                mesos::metrics::describe(metrics);
                register_gauges(node, cluster.tally());
                register_deprecated(metrics);
                Self {
                    $($field: metrics.counter(counters!(@name $field $(= $name)?)),)*
                    of_frameworks: if publish_per_framework { metrics.clone() } else { libprocess::Metrics::new() },
                    node: metrics.clone(),
                    frameworks: IndexMap::default(),
                    reasons: IndexMap::default(),
                    nobody: FrameworkMetrics::new(libprocess::Metrics::new(), String::new(), Arc::default()),
                    elected: metrics.gauge("master/elected"),
                    operator_event_stream_subscribers: metrics
                        .gauge("master/operator_event_stream_subscribers"),
                    operations: OperationCounts::new(metrics),
                }
            }
        }
    };
    (@name $field:ident) => { concat!("master/", stringify!($field)) };
    (@name $field:ident = $name:literal) => { concat!("master/", $name) };
}

counters! {
    dropped_messages,
    http_cache_hits,
    tasks_finished,
    tasks_failed,
    tasks_killed,
    tasks_lost,
    tasks_error,
    tasks_dropped,
    tasks_gone,
    tasks_gone_by_operator,
    messages_register_framework,
    messages_reregister_framework,
    messages_unregister_framework,
    messages_deactivate_framework,
    messages_authenticate,
    messages_kill_task,
    messages_status_update_acknowledgement,
    messages_operation_status_update_acknowledgement,
    messages_resource_request,
    messages_launch_tasks,
    messages_decline_offers,
    messages_revive_offers,
    messages_suppress_offers,
    messages_reconcile_operations,
    messages_reconcile_tasks,
    messages_framework_to_executor,
    messages_executor_to_framework,
    messages_register_slave,
    messages_reregister_slave,
    messages_unregister_slave,
    messages_status_update,
    messages_operation_status_update,
    messages_exited_executor,
    messages_update_slave,
    valid_framework_to_executor_messages,
    invalid_framework_to_executor_messages,
    valid_executor_to_framework_messages,
    invalid_executor_to_framework_messages,
    valid_status_updates,
    invalid_status_updates,
    valid_status_update_acknowledgements,
    invalid_status_update_acknowledgements,
    valid_operation_status_updates,
    invalid_operation_status_updates,
    valid_operation_status_update_acknowledgements,
    invalid_operation_status_update_acknowledgements,
    recovery_slave_removals,
    slave_registrations,
    slave_reregistrations,
    slave_removals,
    slave_removals_reason_unhealthy = "slave_removals/reason_unhealthy",
    slave_removals_reason_unregistered = "slave_removals/reason_unregistered",
    slave_removals_reason_registered = "slave_removals/reason_registered",
    slave_unreachable_scheduled,
    slave_unreachable_completed,
    slave_unreachable_canceled,
}

impl Metrics {
    /// This master leads from now on.
    pub(crate) fn set_elected(&self) {
        self.elected.set(1.0);
    }

    /// A task became terminal (or unreachable, which is counted by a gauge). The state is that of the task: where an
    /// agent has overtaken the update that says so, upstream goes by the update's and counts nothing.
    pub(crate) fn task_ended(&mut self, state: TaskState) {
        let counter = match state {
            TaskState::TaskFinished => &self.tasks_finished,
            TaskState::TaskFailed => &self.tasks_failed,
            TaskState::TaskKilled => &self.tasks_killed,
            TaskState::TaskLost => &self.tasks_lost,
            TaskState::TaskError => &self.tasks_error,
            TaskState::TaskDropped => &self.tasks_dropped,
            TaskState::TaskGone => &self.tasks_gone,
            TaskState::TaskGoneByOperator => &self.tasks_gone_by_operator,
            _ => return,
        };
        counter.increment();
    }

    /// Why a task ended. The metric is there from the first such end on.
    pub(crate) fn task_reason(&mut self, status: &v1::TaskStatus) {
        if status.reason.is_none() {
            return;
        }
        let (state, source, reason) = (status.state(), status.source(), status.reason());
        let registered = || {
            let parts = [state.as_str_name(), source.as_str_name(), reason.as_str_name()];
            // Upstream's metrics know agents under their old name.
            let name = format!("master/{}", parts.join("/")).to_lowercase().replace("agent", "slave");
            self.node.counter(&name)
        };
        self.reasons.entry((state, source, reason)).or_insert_with(registered).increment();
    }

    /// A scheduler's call is not valid (upstream: `Metrics::incrementInvalidSchedulerCalls`).
    pub(crate) fn count_invalid(&self, kind: call::Type) {
        let counter = match kind {
            call::Type::Acknowledge => &self.invalid_status_update_acknowledgements,
            call::Type::AcknowledgeOperationStatus => &self.invalid_operation_status_update_acknowledgements,
            call::Type::Message => &self.invalid_framework_to_executor_messages,
            _ => return,
        };
        counter.increment();
    }

    /// The metrics of a framework; of nobody if it is not registered.
    pub(crate) fn framework(&mut self, id: &FrameworkId) -> &mut FrameworkMetrics {
        match self.frameworks.get_mut(id) {
            Some(metrics) if !metrics.is_over => metrics,
            _ => &mut self.nobody,
        }
    }

    /// A framework is registered.
    pub(crate) fn add_framework(&mut self, framework: &Framework) {
        let Framework { id, info, unreachable, .. } = framework;
        let prefix = format!("master/frameworks/{}/{id}/", encoded(&info.name));
        let mut metrics = FrameworkMetrics::new(self.of_frameworks.clone(), prefix, unreachable.clone());
        if let Some(principal) = &info.principal {
            // A principal's are not one framework's: they are always shown.
            let counter = |name: &&str| self.node.counter(&of_principal(principal, name));
            metrics.of_principal = PRINCIPALS_COUNTERS.iter().map(counter).collect();
            metrics.principal = Some(principal.clone());
        }
        self.frameworks.insert(id.clone(), metrics);
    }

    /// A framework is no longer registered. What was counted stays.
    pub(crate) fn complete_framework(&mut self, id: &FrameworkId) {
        let Some(metrics) = self.frameworks.get_mut(id) else { return };
        metrics.is_over = true;
        metrics.set_subscribed(false);
        // Several frameworks may have one principal.
        let principal = metrics.principal.clone();
        let has_it = |other: &FrameworkMetrics| !other.is_over && other.principal == principal;
        if let Some(name) = principal.as_ref().filter(|_| !self.frameworks.values().any(has_it)) {
            for counter in PRINCIPALS_COUNTERS {
                self.node.remove(&of_principal(name, counter));
            }
        }
    }

    /// A framework that is over is not remembered any more.
    pub(crate) fn forget_framework(&mut self, id: &FrameworkId) {
        if let Some(metrics) = self.frameworks.swap_remove(id) {
            metrics.home.remove_prefix(&metrics.prefix);
        }
    }
}

/// What is counted for each principal of a framework.
const PRINCIPALS_COUNTERS: [&str; 2] = ["messages_received", "messages_processed"];

/// The name of a principal's metric (upstream: `Metrics::Frameworks`).
fn of_principal(principal: &str, name: &str) -> String {
    format!("frameworks/{principal}/{name}")
}

/// The counters of one framework. All are there from the start, as upstream's are: what monitors them sees 0, not
/// nothing.
pub(crate) struct FrameworkMetrics {
    /// Where they are registered.
    home: libprocess::Metrics,
    prefix: String,
    is_over: bool,
    pub(crate) offers_sent: Counter,
    pub(crate) offers_accepted: Counter,
    pub(crate) offers_declined: Counter,
    pub(crate) offers_rescinded: Counter,
    calls_total: Counter,
    events_total: Counter,
    operations_total: Counter,
    subscribed: Gauge,
    principal: Option<String>,
    /// Calls of all frameworks with its principal, if it has one: received, and processed. Until there are rate limits
    /// these are the same. (Upstream counts only messages of version 0.)
    of_principal: Vec<Counter>,
    /// By group and name: `SUBSCRIBE` is a call, `MESSAGE` a call and an event.
    by_name: IndexMap<(&'static str, &'static str), Counter, FixedState>,
    active: IndexMap<&'static str, Gauge, FixedState>,
    /// `roles/<role>/suppressed` of the roles that it has.
    suppressed: BTreeMap<String, Gauge>,
}

/// The names of an enum's values, but for the one that says that there is none.
fn names<E: Enum>() -> impl Iterator<Item = &'static str> {
    E::descriptor().values.iter().map(|(name, _)| *name).filter(|name| *name != "UNKNOWN")
}

impl FrameworkMetrics {
    /// `unreachable` is how many unreachable tasks are remembered of it.
    fn new(home: libprocess::Metrics, prefix: String, unreachable: Arc<AtomicI64>) -> Self {
        let counter = |name: &str| home.counter(&format!("{prefix}{name}"));
        home.pull_gauge(&format!("{prefix}tasks/active/task_unreachable"), move || {
            unreachable.load(Relaxed) as f64
        });
        let mut metrics = Self {
            offers_sent: counter("offers/sent"),
            offers_accepted: counter("offers/accepted"),
            offers_declined: counter("offers/declined"),
            offers_rescinded: counter("offers/rescinded"),
            calls_total: counter("calls"),
            events_total: counter("events"),
            operations_total: counter("operations"),
            subscribed: home.gauge(&format!("{prefix}subscribed")),
            of_principal: Vec::new(),
            principal: None,
            by_name: IndexMap::default(),
            active: IndexMap::default(),
            suppressed: BTreeMap::new(),
            is_over: false,
            home,
            prefix,
        };
        metrics.register_names();
        metrics
    }

    fn register_names(&mut self) {
        for name in names::<call::Type>() {
            self.by_name("calls/", name);
        }
        for name in names::<event::Type>() {
            self.by_name("events/", name);
        }
        for name in names::<operation::Type>() {
            self.by_name("operations/", name);
        }
        for (name, number) in TaskState::descriptor().values {
            match TaskState::try_from(*number) {
                Ok(state) if is_terminal(state) => drop(self.by_name("tasks/terminal/", name)),
                // It is counted where these are remembered.
                Ok(TaskState::TaskUnreachable) | Err(_) => {}
                Ok(state) => drop(self.active(state).clone()),
            }
        }
    }

    /// Which roles it has, and which of them it has suppressed.
    pub(crate) fn set_roles(&mut self, roles: &BTreeSet<String>, suppressed: &BTreeSet<String>) {
        let name = |prefix: &str, role: &str| format!("{prefix}roles/{role}/suppressed");
        let (home, prefix) = (&self.home, &self.prefix);
        self.suppressed.retain(|role, _| {
            let kept = roles.contains(role);
            if !kept {
                home.remove(&name(prefix, role));
            }
            kept
        });
        for role in roles {
            let gauge =
                self.suppressed.entry(role.clone()).or_insert_with(|| home.gauge(&name(prefix, role)));
            gauge.set(if suppressed.contains(role) { 1.0 } else { 0.0 });
        }
    }

    fn by_name(&mut self, group: &'static str, name: &'static str) -> Counter {
        let (home, prefix) = (&self.home, &self.prefix);
        self.by_name
            .entry((group, name))
            .or_insert_with(|| home.counter(&format!("{prefix}{group}{}", name.to_lowercase())))
            .clone()
    }

    fn count(&mut self, group: &'static str, name: &'static str) {
        self.by_name(group, name).increment();
    }

    /// It made a call.
    pub(crate) fn call(&mut self, kind: call::Type) {
        self.calls_total.increment();
        self.of_principal.iter().for_each(Counter::increment);
        // A kind that we do not know has no name.
        if kind != call::Type::Unknown {
            self.count("calls/", kind.as_str_name());
        }
    }

    /// It was sent an event.
    pub(crate) fn event(&mut self, kind: event::Type) {
        self.events_total.increment();
        self.count("events/", kind.as_str_name());
    }

    /// It accepted offers with an operation.
    pub(crate) fn operation(&mut self, kind: operation::Type) {
        self.operations_total.increment();
        self.count("operations/", kind.as_str_name());
    }

    /// Whether its scheduler is connected.
    pub(crate) fn set_subscribed(&self, subscribed: bool) {
        self.subscribed.set(if subscribed { 1.0 } else { 0.0 });
    }

    /// It has one task more; perhaps one that is over, and that an agent brings because its end is not acknowledged.
    pub(crate) fn task_added(&mut self, state: TaskState) {
        self.task_in(state);
    }

    /// One of its tasks changed its state.
    pub(crate) fn task_changed(&mut self, from: TaskState, to: TaskState) {
        if !is_terminal(from) {
            self.change_active(from, -1.0);
        }
        self.task_in(to);
    }

    fn task_in(&mut self, state: TaskState) {
        if is_terminal(state) {
            self.count("tasks/terminal/", state.as_str_name());
        } else {
            self.change_active(state, 1.0);
        }
    }

    /// Tasks that are unreachable leave that state in many ways, also forgotten: their gauge follows the books.
    fn change_active(&mut self, state: TaskState, change: f64) {
        if state != TaskState::TaskUnreachable {
            self.active(state).add(change);
        }
    }

    fn active(&mut self, state: TaskState) -> &Gauge {
        let (home, prefix) = (&self.home, &self.prefix);
        self.active.entry(state.as_str_name()).or_insert_with(|| {
            home.gauge(&format!("{prefix}tasks/active/{}", state.as_str_name().to_lowercase()))
        })
    }
}

/// What upstream shows and counts no more itself, for dashboards that look for it.
fn register_deprecated(metrics: &libprocess::Metrics) {
    for step in ["scheduled", "completed", "canceled"] {
        metrics.counter(&format!("master/slave_shutdowns_{step}"));
    }
}

/// A gauge: its name, and what it shows of the queue.
type QueueGauge = (&'static str, fn(QueueLengths) -> usize);

/// What waits for the master, by kind.
pub(crate) fn register_queue(node: &Node, master: &Address<Master>) {
    let kinds: [QueueGauge; 3] = [
        ("master/event_queue_messages", |queue| queue.messages),
        ("master/event_queue_dispatches", |queue| queue.dispatches),
        ("master/event_queue_http_requests", |queue| queue.http_requests),
    ];
    for (name, of) in kinds {
        let master = master.clone();
        node.metrics().pull_gauge(name, move || of(master.queue_lengths()) as f64);
    }
}

/// A count of the tally.
type Field = fn(&Tally) -> &AtomicI64;

fn register_gauges(node: &Node, tally: &Arc<Tally>) {
    let metrics = node.metrics();
    let clock = node.downgrade();
    let started = node.elapsed();
    metrics.pull_gauge("master/uptime_secs", move || {
        clock.upgrade().map_or(0.0, |node| (node.elapsed() - started).as_secs_f64())
    });
    let plain: [(&str, Field); 11] = [
        ("slaves_connected", |tally| &tally.agents_connected),
        ("slaves_disconnected", |tally| &tally.agents_disconnected),
        ("slaves_active", |tally| &tally.agents_active),
        ("slaves_inactive", |tally| &tally.agents_inactive),
        ("slaves_unreachable", |tally| &tally.agents_unreachable),
        ("frameworks_connected", |tally| &tally.frameworks_connected),
        ("frameworks_disconnected", |tally| &tally.frameworks_disconnected),
        ("frameworks_active", |tally| &tally.frameworks_active),
        ("frameworks_inactive", |tally| &tally.frameworks_inactive),
        ("outstanding_offers", |tally| &tally.offers),
        ("tasks_unreachable", |tally| &tally.tasks_unreachable),
    ];
    for (name, field) in plain {
        let tally = tally.clone();
        metrics.pull_gauge(&format!("master/{name}"), move || field(&tally).load(Relaxed) as f64);
    }
    let states = [
        ("tasks_staging", TaskState::TaskStaging),
        ("tasks_starting", TaskState::TaskStarting),
        ("tasks_running", TaskState::TaskRunning),
        ("tasks_killing", TaskState::TaskKilling),
    ];
    for (name, state) in states {
        let tally = tally.clone();
        metrics.pull_gauge(&format!("master/{name}"), move || tally.tasks(state) as f64);
    }
    register_resources(metrics, tally);
}

fn register_resources(metrics: &libprocess::Metrics, tally: &Arc<Tally>) {
    for (index, name) in RESOURCES.into_iter().enumerate() {
        for revocable in [false, true] {
            let prefix =
                if revocable { format!("master/{name}_revocable") } else { format!("master/{name}") };
            let amounts = move |tally: &Tally| match revocable {
                true => (tally.revocable_total.get(index), tally.revocable_used.get(index)),
                false => (tally.total.get(index), tally.used.get(index)),
            };
            let source = tally.clone();
            metrics.pull_gauge(&format!("{prefix}_total"), move || amounts(&source).0);
            let source = tally.clone();
            metrics.pull_gauge(&format!("{prefix}_used"), move || amounts(&source).1);
            let source = tally.clone();
            metrics.pull_gauge(&format!("{prefix}_percent"), move || {
                let (total, used) = amounts(&source);
                if total > 0.0 { used / total } else { 0.0 }
            });
        }
    }
}
