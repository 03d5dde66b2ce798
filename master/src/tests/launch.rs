//! Offers, ACCEPT and the way of a task to its acknowledged end.

use std::time::Duration;

use libprocess::testing;
use mesos::v1::TaskState;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::{Reason, Source};
use serde_json::json;

use super::{Cluster, Got, amount, executor_task, info, scalar, task};
use crate::Settings;

/// Upstream: `SchedulerTest.TaskRunning`, `MasterTest.TaskRunning`, `StatusUpdateAck`.
/// Upstream, too: `MasterAllocatorTest.SingleFramework`.
#[test]
fn a_task_runs_from_its_offer_to_its_acknowledged_end() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        assert_eq!(offer.agent_id.value, agent.id());
        assert_eq!(offer.hostname, "host");
        assert_eq!(amount(&offer.resources, "cpus"), 4.0);
        assert_eq!(offer.allocation_info.as_ref().unwrap().role(), "*");

        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 64.0)])).await;
        let launched = agent.launched().await;
        assert_eq!(launched.len(), 1);
        assert_eq!(launched[0].task.task_id.value, "t");
        assert_eq!(launched[0].framework.id.as_ref().unwrap().value, scheduler.id);
        assert_eq!(launched[0].launch_executor, Some(true));
        // The role of the offer was put in.
        assert_eq!(launched[0].task.resources[0].allocation_info.as_ref().unwrap().role(), "*");
        // The rest is offered again.
        assert_eq!(amount(&scheduler.offer().await.resources, "cpus"), 3.0);

        agent.update(&scheduler.id, "t", TaskState::TaskRunning);
        let running = scheduler.status().await;
        assert_eq!(running.state(), TaskState::TaskRunning);
        scheduler.acknowledge(&running).await;
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let finished = scheduler.status().await;
        // Ended, but not acknowledged: still a task, without resources.
        let state = cluster.get("/state").await;
        assert_eq!(state["frameworks"][0]["tasks"][0]["state"], "TASK_FINISHED");
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 0.0);
        scheduler.acknowledge(&finished).await;
        let state = cluster.get("/state").await;
        assert_eq!(state["frameworks"][0]["tasks"], json!([]));
        assert_eq!(state["frameworks"][0]["completed_tasks"][0]["id"], "t");
        let acknowledged = agent.taken().await.into_iter().filter_map(|got| match got {
            Got::Acknowledged(message) => Some(message.uuid),
            _ => None,
        });
        assert_eq!(
            acknowledged.collect::<Vec<_>>(),
            [running.uuid.clone().unwrap(), finished.uuid.clone().unwrap()]
        );
        let metrics = cluster.node.metrics();
        let snapshot = metrics.snapshot();
        assert!(snapshot.undescribed().is_empty(), "{:?}", snapshot.undescribed());
        assert_eq!(metrics.value("master/event_queue_http_requests"), Some(0.0));
        assert_eq!(metrics.value("master/tasks_finished"), Some(1.0));
        assert_eq!(metrics.value("master/valid_status_updates"), Some(2.0));
        assert_eq!(metrics.value("master/cpus_used"), Some(0.0));
    });
}

/// Upstream frees what the task uses, and aborts when it ends.
#[test]
fn a_task_that_an_agent_calls_unreachable_goes_on_using_what_it_has() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 64.0)])).await;
        let told = [TaskState::TaskUnreachable, TaskState::TaskRunning, TaskState::TaskFinished];
        for (state, used) in told.into_iter().zip([1.0, 1.0, 0.0]) {
            agent.update(&scheduler.id, "t", state);
            let status = scheduler.status().await;
            assert_eq!(status.state(), state);
            scheduler.acknowledge(&status).await;
            let shown = cluster.get("/state").await;
            assert_eq!(shown["slaves"][0]["used_resources"]["cpus"], used, "{state:?}");
        }
    });
}

/// Upstream passes `accept.filters()` on, whose default refuses for 5 seconds.
#[test]
fn what_an_accept_leaves_is_refused_for_five_seconds_unless_it_says_otherwise() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        for (filters, earliest, latest) in [(json!(null), 5, 6), (json!({ "refuse_seconds": 0.0 }), 0, 1)] {
            let offer = scheduler.offer().await;
            let body =
                json!({ "offer_ids": [{ "value": offer.id.value }], "operations": [], "filters": filters });
            assert_eq!(scheduler.call("ACCEPT", body).await.0, 202);
            let began = cluster.node.elapsed();
            let again = scheduler.offer().await;
            let waited = cluster.node.elapsed() - began;
            assert!(
                waited >= Duration::from_secs(earliest) && waited <= Duration::from_secs(latest),
                "{waited:?} with {filters}"
            );
            let back = json!({
                "offer_ids": [{ "value": again.id.value }], "filters": { "refuse_seconds": 0.0 }
            });
            scheduler.call("DECLINE", back).await;
        }
    });
}

/// Upstream: `TaskValidationTest.ExecutorMissingFrameworkID`.
#[test]
fn two_tasks_of_one_executor_are_launched_with_one_executor() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let tasks = json!([executor_task("a", &agent, "e", 1.0), executor_task("b", &agent, "e", 1.0)]);
        scheduler.launch(&[&offer], tasks).await;
        let launched = agent.launched().await;
        let new: Vec<_> = launched.iter().map(|run| run.launch_executor.unwrap()).collect();
        assert_eq!(new, [true, false]);
        // Whose it is was put in.
        for run in &launched {
            let executor = run.task.executor.as_ref().unwrap();
            assert_eq!(executor.framework_id.as_ref().unwrap().value, scheduler.id);
        }
        let rest = scheduler.offer().await;
        assert_eq!(amount(&rest.resources, "cpus"), 1.5);
        assert_eq!(rest.executor_ids[0].value, "e");
    });
}

/// Upstream: `TaskValidationTest.TaskUsesMoreResourcesThanOffered`.
#[test]
fn a_task_too_big_for_what_is_left_is_refused_and_the_others_run() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let tasks = [("a", 1.5), ("b", 1.0), ("c", 0.5), ("d", 1.0)];
        let tasks = json!(tasks.map(|(id, cpus)| task(id, &agent, cpus, 32.0)));
        scheduler.launch(&[&offer], tasks).await;
        let launched = agent.launched().await;
        let names: Vec<_> = launched.iter().map(|run| run.task.task_id.value.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        let refused = scheduler.status().await;
        assert_eq!(refused.task_id.value, "b");
        assert_eq!(refused.state(), TaskState::TaskError);
        assert_eq!(refused.reason(), Reason::TaskInvalid);
        assert_eq!(refused.source(), Source::Master);
        assert_eq!(refused.uuid, None);
        assert!(refused.message().contains("is more than available"), "{}", refused.message());
        assert_eq!(scheduler.status().await.task_id.value, "d");
        assert_eq!(cluster.node.metrics().value("master/tasks_error"), Some(2.0));
        let reasons = "master/task_error/source_master/reason_task_invalid";
        assert_eq!(cluster.node.metrics().value(reasons), Some(2.0));
    });
}

/// Upstream: `TaskValidationTest.DuplicatedTaskID`.
#[test]
fn a_duplicate_task_id_is_refused() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let twice = json!([task("t", &agent, 0.5, 32.0), task("t", &agent, 0.5, 32.0)]);
        scheduler.launch(&[&offer], twice).await;
        let refused = scheduler.status().await;
        assert_eq!(refused.message(), "Task has duplicate ID: t");
        assert_eq!(agent.launched().await.len(), 1);
    });
}

#[test]
fn a_stale_offer_voids_the_whole_call() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let mut stale = offer.clone();
        stale.id.value.push('x');
        scheduler.launch(&[&offer, &stale], json!([task("t", &agent, 1.0, 32.0)])).await;
        let dropped = scheduler.status().await;
        assert_eq!(dropped.state(), TaskState::TaskDropped);
        assert_eq!(dropped.reason(), Reason::InvalidOffers);
        assert_eq!(
            dropped.message(),
            format!("Task launched with invalid offers: Offer {} is no longer valid", stale.id.value)
        );
        assert_eq!(agent.launched().await, []);
        // The valid offer was given back: it is made anew.
        assert_eq!(amount(&scheduler.offer().await.resources, "cpus"), 2.0);
        // For a framework that does not tell losses apart.
        let plain = json!({ "user": "u", "name": "plain", "failover_timeout": 60.0 });
        let mut plain = cluster.subscribe(plain).await;
        plain.launch(&[&stale], json!([task("t", &agent, 1.0, 32.0)])).await;
        assert_eq!(plain.status().await.state(), TaskState::TaskLost);
    });
}

#[test]
fn the_offers_of_others_cannot_be_used() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut owner = cluster.subscribe(info()).await;
        let offer = owner.offer().await;
        let mut thief = cluster.subscribe(info()).await;
        thief.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
        assert!(thief.status().await.message().contains("has invalid framework"));
        let decline = json!({ "offer_ids": [{ "value": offer.id.value }] });
        assert_eq!(thief.call("DECLINE", decline).await.0, 202);
        owner.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
        assert_eq!(agent.launched().await.len(), 1);
    });
}

#[test]
fn an_operation_that_this_master_does_not_know_is_dropped_with_an_error() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let group = json!({
            "executor": { "type": "DEFAULT", "executor_id": { "value": "e" } },
            "task_group": { "tasks": [task("g", &agent, 1.0, 32.0)] }
        });
        let body = json!({
            "offer_ids": [{ "value": offer.id.value }],
            "operations": [
                { "type": "RESERVE", "id": { "value": "r" }, "reserve": { "resources": [] } },
                { "type": "LAUNCH_GROUP", "launch_group": group }
            ],
            "filters": { "refuse_seconds": 0.0 }
        });
        assert_eq!(scheduler.call("ACCEPT", body).await.0, 202);
        let event = scheduler.next_of(Type::UpdateOperationStatus).await;
        let status = event.update_operation_status.unwrap().status;
        assert_eq!(status.operation_id.as_ref().unwrap().value, "r");
        assert_eq!(status.state(), mesos::v1::OperationState::OperationError);
        assert_eq!(scheduler.status().await.state(), TaskState::TaskError);
        assert_eq!(amount(&scheduler.offer().await.resources, "cpus"), 2.0);
    });
}

/// Upstream: `SchedulerTest.OperationFeedbackValidationWithResourceProviderCapability`.
#[test]
fn who_launches_asks_for_no_feedback_of_the_operation() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let mut named = super::launch(json!([task("t", &agent, 1.0, 32.0)]));
        named["id"] = json!({ "value": "x" });
        scheduler.accept(&offer, json!([named])).await;
        let refused = scheduler.status().await;
        assert_eq!((refused.state(), refused.task_id.value.as_str()), (TaskState::TaskError, "t"));
        assert_eq!(refused.message(), "The `id` field cannot be set on LAUNCH operations");
        assert_eq!(agent.launched().await, []);
    });
}

/// Upstream: `SchedulerTest.Request`.
/// Upstream, too: `ResourceOffersTest.Request`.
#[test]
fn what_a_framework_requests_is_counted_and_changes_nothing() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        scheduler.offer().await;
        let wish = json!({ "requests": [{ "resources": [scalar("cpus", 8.0)] }] });
        assert_eq!(scheduler.call("REQUEST", wish).await, (202, String::new()));
        assert_eq!(cluster.node.metrics().value("master/messages_resource_request"), Some(1.0));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(scheduler.pending().await.iter().all(|event| event.r#type() == Type::Heartbeat));
    });
}

/// Upstream: `MasterTest.OfferTimeout`.
#[test]
fn an_offer_that_nobody_answers_is_taken_back() {
    testing::run(async {
        let settings = Settings { offer_timeout: Some(Duration::from_secs(30)), ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let before = cluster.node.elapsed();
        let rescinded = scheduler.next_of(Type::Rescind).await.rescind.unwrap();
        assert_eq!(rescinded.offer_id, offer.id);
        assert!((cluster.node.elapsed() - before).as_secs().abs_diff(30) <= 1);
        let again = scheduler.offer().await;
        assert_ne!(again.id, offer.id);
        assert_eq!(again.resources, offer.resources);
        let metric =
            |name: &str| cluster.metric(&format!("master/frameworks/test/{}/offers/{name}", scheduler.id));
        assert_eq!((metric("accepted"), metric("sent"), metric("rescinded")), (0.0, 2.0, 1.0));
    });
}

/// Upstream: `SchedulerTest.Decline`, `Revive`.
#[test]
fn declined_resources_are_not_offered_again_for_as_long_as_the_filter_says() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let before = cluster.node.elapsed();
        let decline = json!({
            "offer_ids": [{ "value": offer.id.value }], "filters": { "refuse_seconds": 60.0 }
        });
        scheduler.call("DECLINE", decline).await;
        scheduler.offer().await;
        assert!(cluster.node.elapsed() - before >= Duration::from_secs(60));
        // REVIVE forgets filters.
        let offer = cluster.get("/state").await["frameworks"][0]["offers"][0]["id"].clone();
        let decline = json!({ "offer_ids": [{ "value": offer }], "filters": { "refuse_seconds": 3600.0 } });
        scheduler.call("DECLINE", decline).await;
        scheduler.call("REVIVE", json!(null)).await;
        let before = cluster.node.elapsed();
        scheduler.offer().await;
        assert!(cluster.node.elapsed() - before <= Duration::from_secs(2));
    });
}

/// Upstream: `SchedulerTest.Suppress`.
#[test]
fn a_suppressed_framework_gets_no_offers_until_it_revives() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut scheduler = cluster.subscribe(info()).await;
        let suppressed = format!("master/frameworks/test/{}/roles/*/suppressed", scheduler.id);
        assert_eq!(cluster.metric(&suppressed), 0.0);
        scheduler.call("SUPPRESS", json!({ "roles": ["*"] })).await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let pending = scheduler.pending().await;
        assert!(pending.iter().all(|event| event.r#type() == Type::Heartbeat), "{pending:?}");
        assert_eq!(cluster.metric(&suppressed), 1.0);
        // A role that is not its own voids the call.
        scheduler.call("REVIVE", json!({ "roles": ["x"] })).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(scheduler.pending().await.is_empty());
        scheduler.call("REVIVE", json!({ "roles": ["*"] })).await;
        assert_eq!(cluster.metric(&suppressed), 0.0);
        scheduler.offer().await;
    });
}

/// Upstream: `SchedulerTest.KillTask`, `ShutdownExecutor`, `Message`, `MasterTest.KillTask`.
#[test]
fn messages_kills_and_shutdowns_reach_the_agent() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("t", &agent, "e", 1.0)])).await;
        agent.taken().await;
        let ids = json!({ "agent_id": { "value": agent.id() }, "executor_id": { "value": "e" } });
        let mut message = ids.clone();
        message["data"] = json!("aGVsbG8=");
        scheduler.call("MESSAGE", message).await;
        let policy = json!({ "grace_period": { "nanoseconds": 7 } });
        scheduler.call("KILL", json!({ "task_id": { "value": "t" }, "kill_policy": policy })).await;
        scheduler.call("SHUTDOWN", ids).await;
        let got = agent.taken().await;
        let [Got::Message(message), Got::Kill(kill), Got::ShutdownExecutor(shutdown)] = got.as_slice() else {
            panic!("{got:?}")
        };
        assert_eq!(message.data, b"hello");
        assert_eq!(kill.task_id.value, "t");
        let policy = kill.kill_policy.as_ref().unwrap();
        assert_eq!(policy.grace_period.as_ref().unwrap().nanoseconds, 7);
        assert_eq!(shutdown.executor_id.as_ref().unwrap().value, "e");
        agent.update(&scheduler.id, "t", TaskState::TaskKilled);
        let killed = scheduler.status().await;
        assert_eq!((killed.task_id.value.as_str(), killed.state()), ("t", TaskState::TaskKilled));
        // A task that nobody knows is reconciled.
        scheduler.call("KILL", json!({ "task_id": { "value": "x" } })).await;
        let unknown = scheduler.status().await;
        assert_eq!((unknown.state(), unknown.reason()), (TaskState::TaskUnknown, Reason::Reconciliation));
    });
}

/// Upstream: `SchedulerTest.ShutdownExecutor`.
#[test]
fn what_an_executor_says_and_its_end_reach_the_scheduler() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("t", &agent, "e", 1.0)])).await;
        let framework_id = mesos::v1::FrameworkId { value: scheduler.id.clone() };
        let executor_id = mesos::v1::ExecutorId { value: "e".into() };
        let slave_id = agent.info.id.clone().unwrap();
        agent.post(mesos::internal::ExecutorToFrameworkMessage {
            slave_id: slave_id.clone(),
            framework_id: framework_id.clone(),
            executor_id: executor_id.clone(),
            data: b"hi".to_vec(),
        });
        assert_eq!(scheduler.next_of(Type::Message).await.message.unwrap().data, b"hi");
        agent.post(mesos::internal::ExitedExecutorMessage { slave_id, framework_id, executor_id, status: 9 });
        let failure = scheduler.next_of(Type::Failure).await.failure.unwrap();
        assert_eq!((failure.status, failure.executor_id.unwrap().value), (Some(9), "e".to_owned()));
        // Its half cpu is free again.
        let state = cluster.get("/state").await;
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 1.0);
    });
}

/// Upstream: `MasterTest.ShutdownFrameworkWhileTaskRunning`.
/// Upstream, too: `HttpFaultToleranceTest.SchedulerExit`, `ResourceOffersTest.ResourcesGetReofferedAfterFrameworkStops`.
#[test]
fn a_teardown_shuts_the_framework_down_on_its_agents() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
        agent.taken().await;
        scheduler.call("TEARDOWN", json!(null)).await;
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::ShutdownFramework(_)]), "{got:?}");
        let state = cluster.get("/state").await;
        assert_eq!(state["completed_frameworks"][0]["completed_tasks"][0]["state"], "TASK_KILLED");
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 0.0);
        // The resources are free for others.
        let mut other = cluster.subscribe(info()).await;
        assert_eq!(amount(&other.offer().await.resources, "cpus"), 2.0);
    });
}
