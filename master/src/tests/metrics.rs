//! The metrics that every master has from its start, and some of frameworks (upstream: `master_tests.cpp`).

use std::collections::BTreeSet;

use libprocess::testing;
use mesos::v1::TaskState;
use serde_json::{Value, json};

use super::agents::{framework_info, reported, running_task};
use super::partition::{bring_back, lose};
use super::shelf::Shelf;
use super::{Cluster, info, task};
use crate::Settings;

/// After `master/`.
const OF_THE_MASTER: &str = "uptime_secs elected slaves_connected slaves_disconnected slaves_active slaves_inactive \
    slaves_unreachable frameworks_connected frameworks_disconnected frameworks_active frameworks_inactive \
    outstanding_offers operator_event_stream_subscribers tasks_staging tasks_starting tasks_running \
    tasks_unreachable tasks_killing tasks_finished tasks_failed tasks_killed tasks_lost tasks_error \
    tasks_dropped tasks_gone tasks_gone_by_operator dropped_messages http_cache_hits \
    messages_register_framework messages_reregister_framework messages_unregister_framework \
    messages_deactivate_framework messages_kill_task messages_status_update_acknowledgement \
    messages_resource_request messages_launch_tasks messages_decline_offers messages_revive_offers \
    messages_suppress_offers messages_reconcile_operations messages_reconcile_tasks \
    messages_framework_to_executor messages_executor_to_framework messages_register_slave \
    messages_reregister_slave messages_unregister_slave messages_status_update messages_exited_executor \
    messages_update_slave messages_authenticate messages_operation_status_update \
    messages_operation_status_update_acknowledgement valid_framework_to_executor_messages \
    invalid_framework_to_executor_messages valid_executor_to_framework_messages \
    invalid_executor_to_framework_messages valid_status_updates invalid_status_updates \
    valid_status_update_acknowledgements invalid_status_update_acknowledgements valid_operation_status_updates \
    invalid_operation_status_updates valid_operation_status_update_acknowledgements \
    invalid_operation_status_update_acknowledgements recovery_slave_removals slave_registrations \
    slave_reregistrations slave_removals slave_removals/reason_unhealthy slave_removals/reason_unregistered \
    slave_removals/reason_registered slave_shutdowns_scheduled slave_shutdowns_completed slave_shutdowns_canceled \
    event_queue_messages event_queue_dispatches event_queue_http_requests slave_unreachable_scheduled \
    slave_unreachable_completed slave_unreachable_canceled cpus_total cpus_used cpus_percent \
    cpus_revocable_total cpus_revocable_used cpus_revocable_percent gpus_total gpus_used gpus_percent \
    gpus_revocable_total gpus_revocable_used gpus_revocable_percent mem_total mem_used mem_percent \
    mem_revocable_total mem_revocable_used mem_revocable_percent disk_total disk_used disk_percent \
    disk_revocable_total disk_revocable_used disk_revocable_percent";

/// After `master/operations/`: of all operations, and of each kind.
const OF_OPERATIONS: &str =
    "total pending recovering unreachable finished failed error dropped gone_by_operator";
const KINDS: &str = "reserve unreserve create destroy grow_volume shrink_volume create_disk destroy_disk";

const OF_OTHERS: [&str; 6] = [
    "registrar/queued_operations",
    "registrar/registry_size_bytes",
    "registrar/state_fetch_ms",
    "registrar/state_store_ms",
    "allocator/event_queue_dispatches",
    "allocator/mesos/event_queue_dispatches",
];

/// What a master shows of itself when it has just been elected.
fn of_the_master() -> BTreeSet<String> {
    let plain = OF_THE_MASTER.split_whitespace().map(|name| format!("master/{name}"));
    let kinds = std::iter::once(String::new()).chain(KINDS.split_whitespace().map(|kind| format!("{kind}/")));
    let operations = kinds.flat_map(|kind| {
        OF_OPERATIONS.split_whitespace().map(move |name| format!("master/operations/{kind}{name}"))
    });
    plain.chain(operations).collect()
}

/// Upstream: `MasterTest.MetricsInMetricsEndpoint`, which does not look for all of them.
#[test]
fn a_master_has_all_its_metrics_from_the_start() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let metrics = cluster.node.metrics();
        let snapshot = metrics.snapshot();
        let shown = snapshot.values().into_iter().map(|(name, _)| name.into_owned());
        let shown: BTreeSet<String> = shown.filter(|name| name.starts_with("master/")).collect();
        let expected = of_the_master();
        let differing: Vec<&String> = shown.symmetric_difference(&expected).collect();
        assert!(differing.is_empty(), "{differing:?}");
        let missing: Vec<&str> = OF_OTHERS.into_iter().filter(|name| metrics.value(name).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(metrics.value("master/elected"), Some(1.0));
    });
}

/// The end of a task that nobody has acknowledged is brought by its agent (upstream: `Framework::addTask`).
#[test]
fn the_next_leader_counts_what_ended_and_was_not_acknowledged() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let id = running_task(&cluster, &agent, info()).await.id;
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        agent.reregister(vec![reported(&agent, &id, TaskState::TaskFinished)], vec![framework_info(&id)]);
        testing::settle().await;
        let metric = format!("master/frameworks/test/{id}/tasks/terminal/task_finished");
        assert_eq!(cluster.metric(&metric), 1.0);
    });
}

/// Upstream counts them for ever.
#[test]
fn a_frameworks_unreachable_tasks_are_counted_for_as_long_as_they_are_remembered_so() {
    testing::run(async {
        let settings = Settings { max_unreachable_tasks_per_framework: 1, ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("u", &agent, 0.5, 32.0)])).await;
        let id = scheduler.id.clone();
        let active = || {
            ["task_staging", "task_running", "task_unreachable"]
                .map(|state| cluster.metric(&format!("master/frameworks/test/{id}/tasks/active/{state}")))
        };
        assert_eq!(active(), [1.0, 1.0, 0.0]);
        lose(&agent, &mut scheduler).await;
        assert_eq!(active(), [0.0, 0.0, 1.0], "one of them is remembered");
        bring_back(&agent, &id, vec![reported(&agent, &id, TaskState::TaskRunning)]).await;
        assert_eq!(active(), [0.0, 1.0, 0.0]);
    });
}

/// Upstream: `Metrics::incrementInvalidSchedulerCalls`.
#[test]
fn calls_that_are_not_valid_are_counted_whoever_brings_them() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let scheduler = cluster.subscribe(info()).await;
        let (agent, task) = (json!({ "value": "S" }), json!({ "value": "t" }));
        let no_uuid = |id: &str, of: &Value| json!({ "agent_id": agent, id: of, "uuid": "YQ==" });
        for (kind, body, metric) in [
            ("ACKNOWLEDGE", no_uuid("task_id", &task), "invalid_status_update_acknowledgements"),
            (
                "ACKNOWLEDGE_OPERATION_STATUS",
                no_uuid("operation_id", &json!({ "value": "o" })),
                "invalid_operation_status_update_acknowledgements",
            ),
            ("MESSAGE", json!(null), "invalid_framework_to_executor_messages"),
        ] {
            let metric = format!("master/{metric}");
            assert_eq!(cluster.metric(&metric), 0.0);
            assert_eq!(scheduler.call(kind, body).await.0, 400, "{kind}");
            assert_eq!(cluster.metric(&metric), 1.0);
        }
    });
}

/// Upstream: `Master::disconnect(Framework*)`, which rescinds.
#[test]
fn what_a_scheduler_was_offered_when_it_went_away_counts_as_rescinded() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        scheduler.offer().await;
        let metric = format!("master/frameworks/test/{}/offers/rescinded", scheduler.id);
        assert_eq!(cluster.metric(&metric), 0.0);
        drop(scheduler);
        testing::settle().await;
        assert_eq!(cluster.metric(&metric), 1.0);
    });
}

/// Upstream: `FrameworkMetrics` belong to the framework, which `Master::Frameworks::completed` keeps.
#[test]
fn what_was_counted_of_a_framework_is_there_while_it_is_remembered() {
    testing::run(async {
        let settings = Settings { max_completed_frameworks: 1, ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let mut described = info();
        described["principal"] = json!("p");
        let metric = |id: &str, what: &str| {
            cluster.node.metrics().value(&format!("master/frameworks/test/{id}/{what}"))
        };
        let mut ended = Vec::new();
        for _ in 0..2 {
            let scheduler = cluster.subscribe(described.clone()).await;
            assert_eq!(metric(&scheduler.id, "subscribed"), Some(1.0));
            assert_eq!(scheduler.call("TEARDOWN", json!(null)).await.0, 202);
            testing::settle().await;
            assert_eq!(metric(&scheduler.id, "calls/teardown"), Some(1.0));
            assert_eq!(metric(&scheduler.id, "subscribed"), Some(0.0));
            assert_eq!(cluster.node.metrics().value("frameworks/p/messages_received"), None);
            ended.push(scheduler.id.clone());
        }
        assert_eq!(metric(&ended[0], "calls/teardown"), None, "only one is remembered");
        assert_eq!(metric(&ended[1], "calls/teardown"), Some(1.0));
    });
}

/// Upstream: `--[no-]publish_per_framework_metrics`, which says nothing of what belongs to principals.
#[test]
fn metrics_of_each_framework_are_shown_unless_they_are_not_to_be() {
    for published in [true, false] {
        testing::run(async move {
            let settings = Settings { publish_per_framework_metrics: published, ..Settings::default() };
            let cluster = Cluster::with(settings).await;
            let _agent = cluster.agent("cpus:2;mem:1024").await;
            let mut described = info();
            described["principal"] = json!("p");
            let mut scheduler = cluster.subscribe(described).await;
            scheduler.offer().await;
            let metrics = cluster.node.metrics();
            let shown =
                |what: &str| metrics.value(&format!("master/frameworks/test/{}/{what}", scheduler.id));
            let if_published = |value: f64| published.then_some(value);
            assert_eq!(shown("subscribed"), if_published(1.0));
            assert_eq!(shown("offers/sent"), if_published(1.0));
            assert_eq!(shown("events/offers"), if_published(1.0));
            assert_eq!(shown("roles/*/suppressed"), if_published(0.0));
            let snapshot = metrics.snapshot();
            let any = snapshot.values().iter().any(|(name, _)| name.starts_with("master/frameworks/"));
            assert_eq!(any, published);
            assert_eq!(metrics.value("frameworks/p/messages_received"), Some(1.0));
            assert_eq!(scheduler.call("TEARDOWN", json!(null)).await.0, 202);
            testing::settle().await;
            assert_eq!(shown("calls/teardown"), if_published(1.0));
            assert_eq!(metrics.value("frameworks/p/messages_received"), None);
            assert_eq!(metrics.value("master/frameworks_active"), Some(0.0));
        });
    }
}
