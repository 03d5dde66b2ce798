//! The metrics of Mesos by name: what each one means, and which parts of its name vary.
//!
//! The names are upstream's. Whoever registers a metric describes it here, and nowhere else; the help texts and labels
//! of `/metrics` come from these tables. How holes are written says
//! [`libprocess::metrics::Description`].

use libprocess::Metrics;
use libprocess::metrics::Description;

const fn counter(pattern: &'static str, help: &'static str) -> Description {
    Description::counter(pattern, help)
}

const fn gauge(pattern: &'static str, help: &'static str) -> Description {
    Description::gauge(pattern, help)
}

const fn timer(pattern: &'static str, help: &'static str) -> Description {
    Description::series(pattern, help)
}

/// Metrics of one component, with its name.
pub type Group = (&'static str, &'static [Description]);

/// All of them.
pub const GROUPS: [Group; 10] = [
    ("The master", MASTER),
    ("Operations, as the master knows them", OPERATIONS),
    ("Resources, as the master knows them", MASTER_RESOURCES),
    ("One framework", FRAMEWORK),
    ("The allocator", ALLOCATOR),
    ("The registrar", REGISTRAR),
    ("The agent", AGENT),
    ("Resources of the agent", AGENT_RESOURCES),
    ("The agent's containers and sandboxes", CONTAINERS),
    ("A scheduler that uses our library", SCHEDULER),
];

/// Tells a node what its metrics mean: for whoever registers some.
pub fn describe(metrics: &Metrics) {
    for (_, table) in GROUPS {
        metrics.describe(table);
    }
}

/// The master: `master/src/metrics.rs`.
pub const MASTER: &[Description] = &[
    gauge("master/uptime_secs", "How long the master has run, in seconds."),
    gauge("master/elected", "1 if this master leads, else 0."),
    gauge("master/event_queue_messages", "Messages of other nodes that wait for the master."),
    gauge("master/event_queue_dispatches", "Messages of its own node that wait for the master."),
    gauge("master/event_queue_http_requests", "HTTP requests that wait for the master."),
    gauge("master/slaves_connected", "Registered agents whose connection holds."),
    gauge("master/slaves_disconnected", "Registered agents whose connection broke."),
    gauge("master/slaves_active", "Registered agents whose resources are offered."),
    gauge("master/slaves_inactive", "Registered agents whose resources are not offered."),
    gauge("master/slaves_unreachable", "Agents that are marked unreachable and not forgotten yet."),
    gauge("master/frameworks_connected", "Frameworks whose scheduler is connected."),
    gauge("master/frameworks_disconnected", "Registered frameworks whose scheduler is not connected."),
    gauge("master/frameworks_active", "Frameworks that are offered resources."),
    gauge("master/frameworks_inactive", "Registered frameworks that are not offered resources."),
    gauge("master/outstanding_offers", "Offers that are not answered yet."),
    gauge("master/operator_event_stream_subscribers", "Operators who follow what happens."),
    gauge("master/tasks_staging", "Tasks that were launched and have not started."),
    gauge("master/tasks_starting", "Tasks whose executor is starting them."),
    gauge("master/tasks_running", "Tasks that run."),
    gauge("master/tasks_killing", "Tasks that are being killed."),
    gauge("master/tasks_unreachable", "Tasks of unreachable agents that are remembered."),
    counter("master/tasks_finished", "Tasks that ended by themselves and well."),
    counter("master/tasks_failed", "Tasks that ended badly."),
    counter("master/tasks_killed", "Tasks that ended because they were killed."),
    counter("master/tasks_lost", "Tasks that were lost, as frameworks without PARTITION_AWARE are told."),
    counter("master/tasks_error", "Tasks that were refused because their description is wrong."),
    counter("master/tasks_dropped", "Tasks that could not be launched for a reason that is not theirs."),
    counter("master/tasks_gone", "Tasks whose agent came back without them."),
    counter("master/tasks_gone_by_operator", "Tasks of agents that an operator has declared gone."),
    counter(
        "master/task_<state>/source_<source>/reason_<reason>",
        "Updates to a state that gave a reason, by state, source and reason.",
    )
    .family("master_task_updates"),
    counter("master/dropped_messages", "Messages that were dropped because this master does not lead."),
    counter("master/http_cache_hits", "Answers that were rendered for others before."),
    counter("master/messages_<message>", "Messages and calls that were received, by kind."),
    counter("master/valid_<message>", "Messages that were passed on, by kind.")
        .family("master_valid_messages"),
    counter(
        "master/invalid_<message>",
        "Messages that were dropped, because they fit nothing that is known, by kind.",
    )
    .family("master_invalid_messages"),
    counter(
        "master/recovery_slave_removals",
        "Agents that were removed because they did not come back after an election.",
    ),
    counter("master/slave_registrations", "New agents that were registered."),
    counter("master/slave_reregistrations", "Agents that came back."),
    counter("master/slave_removals", "Agents that were removed, for whatever reason."),
    counter("master/slave_removals/reason_<reason>", "Agents that were removed, by reason."),
    counter(
        "master/slave_unreachable_<step>",
        "Agents that were to be marked unreachable (scheduled), that were (completed), and that answered in time \
         (canceled).",
    ),
    counter(
        "master/slave_shutdowns_<step>",
        "Always 0, as in upstream: it is slave_unreachable that counts.",
    ),
];

/// Operations on resources: `master/src/operations/counts.rs`.
pub const OPERATIONS: &[Description] = &[
    gauge("master/operations/total", "Operations that are under way, and all that were.")
        .family("master_operations_known"),
    gauge("master/operations/pending", "Operations that agents have not answered yet."),
    gauge("master/operations/recovering", "Operations whose agents are awaited."),
    gauge("master/operations/unreachable", "Operations whose agents are unreachable."),
    counter("master/operations/finished", "Operations that were applied."),
    counter("master/operations/failed", "Operations that failed."),
    counter("master/operations/error", "Operations that were refused."),
    counter("master/operations/dropped", "Operations that did not reach their agents."),
    counter("master/operations/gone_by_operator", "Operations whose agents were marked gone."),
    gauge("master/operations/<kind>/total", "Operations that are under way, and all that were, by kind.")
        .family("master_operations_known_by_kind"),
    gauge("master/operations/<kind>/pending", "Operations that agents have not answered yet, by kind.")
        .family("master_operations_pending_by_kind"),
    gauge("master/operations/<kind>/recovering", "Operations whose agents are awaited, by kind.")
        .family("master_operations_recovering_by_kind"),
    gauge("master/operations/<kind>/unreachable", "Operations whose agents are unreachable, by kind.")
        .family("master_operations_unreachable_by_kind"),
    counter("master/operations/<kind>/finished", "Operations that were applied, by kind.")
        .family("master_operations_finished_by_kind"),
    counter("master/operations/<kind>/failed", "Operations that failed, by kind.")
        .family("master_operations_failed_by_kind"),
    counter("master/operations/<kind>/error", "Operations that were refused, by kind.")
        .family("master_operations_error_by_kind"),
    counter("master/operations/<kind>/dropped", "Operations that did not reach their agents, by kind.")
        .family("master_operations_dropped_by_kind"),
    counter(
        "master/operations/<kind>/gone_by_operator",
        "Operations whose agents were marked gone, by kind.",
    )
    .family("master_operations_gone_by_operator_by_kind"),
];

/// Resources of all agents: `master/src/metrics.rs`.
pub const MASTER_RESOURCES: &[Description] = &[
    gauge("master/cpus_total", "Processors of all agents."),
    gauge("master/cpus_used", "Processors that tasks and executors have been given."),
    gauge("master/cpus_percent", "Processors that are used, as a fraction of all: 0 to 1."),
    gauge("master/cpus_revocable_total", "Revocable processors of all agents."),
    gauge("master/cpus_revocable_used", "Revocable processors that tasks and executors have been given."),
    gauge(
        "master/cpus_revocable_percent",
        "Revocable processors that are used, as a fraction of all: 0 to 1.",
    ),
    gauge("master/gpus_total", "GPUs of all agents."),
    gauge("master/gpus_used", "GPUs that tasks and executors have been given."),
    gauge("master/gpus_percent", "GPUs that are used, as a fraction of all: 0 to 1."),
    gauge("master/gpus_revocable_total", "Revocable GPUs of all agents."),
    gauge("master/gpus_revocable_used", "Revocable GPUs that tasks and executors have been given."),
    gauge("master/gpus_revocable_percent", "Revocable GPUs that are used, as a fraction of all: 0 to 1."),
    gauge("master/mem_total", "Memory of all agents, in MB."),
    gauge("master/mem_used", "Memory that tasks and executors have been given, in MB."),
    gauge("master/mem_percent", "Memory that is used, as a fraction of all: 0 to 1."),
    gauge("master/mem_revocable_total", "Revocable memory of all agents, in MB."),
    gauge("master/mem_revocable_used", "Revocable memory that tasks and executors have been given, in MB."),
    gauge("master/mem_revocable_percent", "Revocable memory that is used, as a fraction of all: 0 to 1."),
    gauge("master/disk_total", "Disk of all agents, in MB."),
    gauge("master/disk_used", "Disk that tasks and executors have been given, in MB."),
    gauge("master/disk_percent", "Disk that is used, as a fraction of all: 0 to 1."),
    gauge("master/disk_revocable_total", "Revocable disk of all agents, in MB."),
    gauge("master/disk_revocable_used", "Revocable disk that tasks and executors have been given, in MB."),
    gauge("master/disk_revocable_percent", "Revocable disk that is used, as a fraction of all: 0 to 1."),
];

/// One framework, as long as the master remembers it: `master/src/metrics.rs`.
pub const FRAMEWORK: &[Description] = &[
    counter(
        "frameworks/<principal...>/messages_received",
        "Calls of all frameworks with this principal that were received.",
    ),
    counter(
        "frameworks/<principal...>/messages_processed",
        "Calls of all frameworks with this principal that were processed.",
    ),
    gauge(
        "master/frameworks/<framework%>/<framework_id>/subscribed",
        "1 if the framework's scheduler is connected, else 0.",
    ),
    counter("master/frameworks/<framework%>/<framework_id>/calls", "Calls that the framework has made."),
    counter(
        "master/frameworks/<framework%>/<framework_id>/calls/<type>",
        "Calls that the framework has made, by type.",
    )
    .family("master_frameworks_calls_by_type"),
    counter("master/frameworks/<framework%>/<framework_id>/events", "Events that the framework was sent."),
    counter(
        "master/frameworks/<framework%>/<framework_id>/events/<type>",
        "Events that the framework was sent, by type.",
    )
    .family("master_frameworks_events_by_type"),
    counter(
        "master/frameworks/<framework%>/<framework_id>/operations",
        "Operations on offers that the framework asked for.",
    ),
    counter(
        "master/frameworks/<framework%>/<framework_id>/operations/<type>",
        "Operations on offers that the framework asked for, by type.",
    )
    .family("master_frameworks_operations_by_type"),
    counter(
        "master/frameworks/<framework%>/<framework_id>/offers/sent",
        "Offers that the framework was sent.",
    ),
    counter(
        "master/frameworks/<framework%>/<framework_id>/offers/accepted",
        "Offers that the framework has accepted.",
    ),
    counter(
        "master/frameworks/<framework%>/<framework_id>/offers/declined",
        "Offers that the framework has declined.",
    ),
    counter(
        "master/frameworks/<framework%>/<framework_id>/offers/rescinded",
        "Offers that were taken back before the framework answered.",
    ),
    gauge(
        "master/frameworks/<framework%>/<framework_id>/tasks/active/<state>",
        "Tasks of the framework that have not ended, by state.",
    ),
    counter(
        "master/frameworks/<framework%>/<framework_id>/tasks/terminal/<state>",
        "Tasks of the framework that have ended, by state.",
    ),
    gauge(
        "master/frameworks/<framework%>/<framework_id>/roles/<role...>/suppressed",
        "1 if the framework does not want offers for the role, else 0.",
    ),
];

/// The allocator: `allocator/src/metrics.rs`.
pub const ALLOCATOR: &[Description] = &[
    gauge("allocator/event_queue_dispatches", "Messages that wait for the allocator."),
    gauge("allocator/mesos/event_queue_dispatches", "The same under its newer name."),
    counter("allocator/mesos/allocation_runs", "Allocation runs."),
    timer(
        "allocator/mesos/allocation_run_ms",
        "How long allocation runs took, in milliseconds; of the last hour.",
    ),
    timer(
        "allocator/mesos/allocation_run_latency_ms",
        "How long allocation runs waited for their turn, in milliseconds; of the last hour.",
    ),
    gauge("allocator/mesos/resources/<resource>/total", "What all agents have of a resource."),
    gauge(
        "allocator/mesos/resources/<resource>/offered_or_allocated",
        "What frameworks were offered or use of a resource.",
    ),
    gauge(
        "allocator/mesos/offer_filters/roles/<role...>/active",
        "Filters that declined offers have left, by role.",
    ),
    gauge(
        "allocator/mesos/roles/<role...>/shares/dominant",
        "The role's dominant share, divided by its weight.",
    ),
    gauge(
        "allocator/mesos/quota/roles/<role...>/resources/<resource...>/guarantee",
        "What a role is guaranteed of a resource.",
    ),
    gauge(
        "allocator/mesos/quota/roles/<role...>/resources/<resource...>/limit",
        "What a role may have of a resource at most.",
    ),
    gauge(
        "allocator/mesos/quota/roles/<role...>/resources/<resource...>/offered_or_allocated",
        "What counts against a role's quota, offers included.",
    ),
    gauge(
        "allocator/mesos/quota/roles/<role...>/resources/<resource...>/consumed",
        "What counts against a role's quota: what is reserved for it, and what its tasks use of the rest.",
    ),
];

/// The registrar: `master/src/registrar/mod.rs`.
pub const REGISTRAR: &[Description] = &[
    gauge("registrar/queued_operations", "Changes of the registry that wait to be stored."),
    gauge("registrar/registry_size_bytes", "How large the registry is, in bytes."),
    timer("registrar/state_fetch_ms", "How long reading the registry took, in milliseconds."),
    timer(
        "registrar/state_store_ms",
        "How long storing changes of the registry took, in milliseconds; of the last day.",
    ),
];

/// The agent: `agent/src/metrics.rs`. Upstream calls it by its older name.
pub const AGENT: &[Description] = &[
    gauge("slave/uptime_secs", "How long the agent has run, in seconds."),
    gauge("slave/registered", "1 if the agent is registered with a master, else 0."),
    counter("slave/recovery_errors", "Checkpoints that could not be read back."),
    gauge(
        "slave/recovery_time_secs",
        "How long recovery took, in seconds: until the agent looked for a master.",
    ),
    gauge("slave/frameworks_active", "Frameworks that have something on this agent."),
    gauge("slave/tasks_staging", "Tasks that were launched and have not started."),
    gauge("slave/tasks_starting", "Tasks whose executor is starting them."),
    gauge("slave/tasks_running", "Tasks that run."),
    gauge("slave/tasks_killing", "Tasks that are being killed."),
    counter("slave/tasks_finished", "Tasks that ended by themselves and well."),
    counter("slave/tasks_failed", "Tasks that ended badly."),
    counter("slave/tasks_killed", "Tasks that ended because they were killed."),
    counter("slave/tasks_lost", "Tasks that were lost, as frameworks without PARTITION_AWARE are told."),
    counter("slave/tasks_gone", "Tasks that the agent did not find again."),
    gauge("slave/executors_registering", "Executors that have not subscribed yet."),
    gauge("slave/executors_running", "Executors that run."),
    gauge("slave/executors_terminating", "Executors that are being ended."),
    counter("slave/executors_terminated", "Executors that have ended."),
    counter("slave/executors_preempted", "Executors that were ended because others needed their resources."),
    counter("slave/valid_status_updates", "Updates of executors that were accepted."),
    counter("slave/invalid_status_updates", "Updates of executors that were dropped."),
    counter(
        "slave/valid_framework_messages",
        "Messages between schedulers and executors that were passed on.",
    ),
    counter(
        "slave/invalid_framework_messages",
        "Messages between schedulers and executors that were dropped.",
    ),
    counter("slave/container_launch_errors", "Containers that could not be started."),
    gauge(
        "slave/executor_directory_max_allowed_age_secs",
        "How old sandboxes of what has ended may get while the disk is as full as it is, in seconds.",
    ),
];

/// Resources of one agent: `agent/src/metrics.rs`.
pub const AGENT_RESOURCES: &[Description] = &[
    gauge("slave/cpus_total", "Processors of this agent."),
    gauge("slave/cpus_used", "Processors that tasks and executors have been given."),
    gauge("slave/cpus_percent", "Processors that are used, as a fraction of all: 0 to 1."),
    gauge("slave/cpus_revocable_total", "Revocable processors of this agent."),
    gauge("slave/cpus_revocable_used", "Revocable processors that tasks and executors have been given."),
    gauge(
        "slave/cpus_revocable_percent",
        "Revocable processors that are used, as a fraction of all: 0 to 1.",
    ),
    gauge("slave/gpus_total", "GPUs of this agent."),
    gauge("slave/gpus_used", "GPUs that tasks and executors have been given."),
    gauge("slave/gpus_percent", "GPUs that are used, as a fraction of all: 0 to 1."),
    gauge("slave/gpus_revocable_total", "Revocable GPUs of this agent."),
    gauge("slave/gpus_revocable_used", "Revocable GPUs that tasks and executors have been given."),
    gauge("slave/gpus_revocable_percent", "Revocable GPUs that are used, as a fraction of all: 0 to 1."),
    gauge("slave/mem_total", "Memory of this agent, in MB."),
    gauge("slave/mem_used", "Memory that tasks and executors have been given, in MB."),
    gauge("slave/mem_percent", "Memory that is used, as a fraction of all: 0 to 1."),
    gauge("slave/mem_revocable_total", "Revocable memory of this agent, in MB."),
    gauge("slave/mem_revocable_used", "Revocable memory that tasks and executors have been given, in MB."),
    gauge("slave/mem_revocable_percent", "Revocable memory that is used, as a fraction of all: 0 to 1."),
    gauge("slave/disk_total", "Disk of this agent, in MB."),
    gauge("slave/disk_used", "Disk that tasks and executors have been given, in MB."),
    gauge("slave/disk_percent", "Disk that is used, as a fraction of all: 0 to 1."),
    gauge("slave/disk_revocable_total", "Revocable disk of this agent, in MB."),
    gauge("slave/disk_revocable_used", "Revocable disk that tasks and executors have been given, in MB."),
    gauge("slave/disk_revocable_percent", "Revocable disk that is used, as a fraction of all: 0 to 1."),
];

/// What belongs to containers: `agent/src/fetcher/mod.rs`, `agent/src/gc.rs`.
pub const CONTAINERS: &[Description] = &[
    counter(
        "containerizer/fetcher/task_fetches_succeeded",
        "Containers whose files were all fetched, or that have none.",
    ),
    counter("containerizer/fetcher/task_fetches_failed", "Containers whose files could not be fetched."),
    gauge("gc/path_removals_pending", "Paths that are to be removed when they are old enough."),
    counter("gc/path_removals_succeeded", "Paths that were removed."),
    counter("gc/path_removals_failed", "Paths that could not be removed."),
];

/// A scheduler: `frameworks/src/scheduler/gauges.rs`.
pub const SCHEDULER: &[Description] = &[
    gauge("scheduler/event_queue_messages", "Messages of other nodes that wait for the scheduler."),
    gauge("scheduler/event_queue_dispatches", "Messages of its own node that wait for the scheduler."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> impl Iterator<Item = &'static Description> {
        GROUPS.iter().flat_map(|(_, table)| table.iter())
    }

    #[test]
    fn no_two_families_have_one_name() {
        let mut families = BTreeSet::new();
        for description in all() {
            let family = description.family_name();
            assert!(families.insert(family.clone()), "{family}: {}", description.pattern);
        }
    }

    #[test]
    fn every_help_text_is_a_sentence() {
        for Description { pattern, help, .. } in all() {
            assert!(help.ends_with('.') && !help.contains("  "), "{pattern}: {help}");
        }
    }

    #[test]
    fn what_varies_in_a_name_becomes_a_label() {
        for (name, labels) in [
            (
                "master/frameworks/a%2Fb/17-0001/tasks/active/task_running",
                "framework=a/b framework_id=17-0001 state=task_running",
            ),
            (
                "master/frameworks/x/17-0001/roles/eng/dev/suppressed",
                "framework=x framework_id=17-0001 role=eng/dev",
            ),
            (
                "master/task_lost/source_master/reason_slave_removed",
                "state=lost source=master reason=slave_removed",
            ),
            ("master/messages_kill_task", "message=kill_task"),
            ("frameworks/p/messages_processed", "principal=p"),
            ("frameworks/mesos/node1@EXAMPLE.ORG/messages_received", "principal=mesos/node1@EXAMPLE.ORG"),
            ("allocator/mesos/roles/*/shares/dominant", "role=*"),
            ("allocator/mesos/resources/cpus/total", "resource=cpus"),
            (
                "allocator/mesos/quota/roles/eng/dev/resources/cpus/offered_or_allocated",
                "role=eng/dev resource=cpus",
            ),
            (
                "allocator/mesos/quota/roles/eng/resources/nvidia.com/gpu/limit",
                "role=eng resource=nvidia.com/gpu",
            ),
        ] {
            let found: Vec<_> = all().filter_map(|description| description.labels(name)).collect();
            assert_eq!(found.len(), 1, "{name} is described by {} rows", found.len());
            let pairs: Vec<String> =
                found[0].iter().map(|(label, value)| format!("{label}={value}")).collect();
            assert_eq!(pairs.join(" "), labels);
        }
    }
}
