//! Schedulers that go and come, and instances of one that take over from each other (upstream:
//! `fault_tolerance_tests.cpp`).

use std::time::Duration;

use libprocess::testing;
use mesos::internal::ExecutorToFrameworkMessage;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use serde_json::{Value, json};

use super::agents::running_task;
use super::partition::{listed, updates};
use super::shelf::Shelf;
use super::{Cluster, Got, Scheduler, amount, info};
use crate::Settings;

fn again(info: &Value, id: &str) -> Value {
    let mut again = info.clone();
    again["id"] = json!({ "value": id });
    again
}

/// Subscribes, to be refused: what the error says.
async fn refusal(cluster: &Cluster, info: Value) -> String {
    let id = info["id"].clone();
    let call = json!({ "type": "SUBSCRIBE", "framework_id": id, "subscribe": { "framework_info": info } });
    let mut refused = cluster.open(call).await;
    let error = refused.next().await.unwrap().error.unwrap();
    assert!(refused.next().await.is_none());
    error.message
}

async fn failed_over(old: &mut Scheduler<'_>) {
    assert_eq!(old.next_of(Type::Error).await.error.unwrap().message, "Framework failed over");
    assert!(old.next().await.is_none());
}

/// Upstream: `SchedulerFailover`, `SchedulerFailoverRetriedReregistration`, `SchedulerTest.SchedulerFailover`.
#[test]
fn each_new_instance_takes_over_and_the_one_before_is_told() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut first = running_task(&cluster, &agent, info()).await;
        let id = first.id.clone();
        let mut second = cluster.subscribe(again(&info(), &id)).await;
        failed_over(&mut first).await;
        // It asks once more, because it has not seen the answer: the new stream is the framework's.
        let third = cluster.subscribe(again(&info(), &id)).await;
        failed_over(&mut second).await;
        assert_eq!((&second.id, &third.id), (&id, &id));
        assert_eq!(third.call("REVIVE", json!(null)).await.0, 202);
        // Its tasks ran on, and its timeout does not end it.
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(listed(&cluster, "frameworks", "tasks").await, ["t TASK_RUNNING"]);
        let frameworks = cluster.get("/frameworks").await["frameworks"].clone();
        assert_eq!(frameworks.as_array().unwrap().len(), 1);
        // The agents have heard of it.
        let got = agent.taken().await;
        let updates = got.iter().filter(|got| matches!(got, Got::UpdateFramework(_))).count();
        assert_eq!(updates, 2, "{got:?}");
    });
}

/// Upstream: `SchedulerReregisterAfterFailoverTimeout`.
/// Upstream, too: `HttpFaultToleranceTest.SchedulerSubscribeAfterFailoverTimeout`.
#[test]
fn a_scheduler_that_comes_after_its_failover_timeout_is_refused() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, info()).await;
        let id = scheduler.id.clone();
        drop(scheduler);
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(refusal(&cluster, again(&info(), &id)).await, "Framework has been removed");
        assert!(agent.taken().await.iter().any(|got| matches!(got, Got::ShutdownFramework(_))));
        assert_eq!(cluster.get("/state").await["frameworks"], json!([]));
    });
}

#[test]
fn a_scheduler_that_comes_and_goes_has_its_whole_failover_timeout_each_time() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let scheduler = cluster.subscribe(info()).await;
        let id = scheduler.id.clone();
        drop(scheduler);
        tokio::time::sleep(Duration::from_secs(40)).await;
        drop(cluster.subscribe(again(&info(), &id)).await);
        // The first timeout would have been over after 60 s.
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(cluster.get("/frameworks").await["frameworks"][0]["id"], json!(id));
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert_eq!(refusal(&cluster, again(&info(), &id)).await, "Framework has been removed");
    });
}

/// Upstream: `FaultToleranceTest.SchedulerExit`. Without a failover timeout nothing is waited for.
#[test]
fn a_framework_without_failover_timeout_ends_with_its_scheduler() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut brief = info();
        brief["failover_timeout"] = json!(0.0);
        let scheduler = running_task(&cluster, &agent, brief).await;
        let id = scheduler.id.clone();
        drop(scheduler);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let got = agent.taken().await;
        let [Got::ShutdownFramework(shutdown)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(shutdown.framework_id.value, id);
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["used_resources"]["cpus"], 0.0);
    });
}

/// Upstream: `FrameworkReregister`, `SchedulerTest.MasterFailover`.
#[test]
fn a_framework_goes_on_with_the_next_leader_and_is_offered_what_there_is() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let old = scheduler.offer().await;
        let id = scheduler.id.clone();
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        agent.reregister(Vec::new(), Vec::new());
        let mut scheduler = cluster.subscribe(again(&info(), &id)).await;
        assert_eq!(scheduler.id, id);
        assert_ne!(scheduler.offer().await.id, old.id);
        // The earlier leader's offers are void.
        scheduler.launch(&[&old], json!([super::task("t", &agent, 1.0, 32.0)])).await;
        let status = scheduler.status().await;
        assert_eq!((status.state(), status.reason()), (TaskState::TaskDropped, Reason::InvalidOffers));
    });
}

/// Upstream: `SchedulerFailoverStatusUpdate`.
/// Upstream, too: `SlaveRecoveryTest.SchedulerFailover`.
#[test]
fn an_update_that_nobody_acknowledged_reaches_the_next_instance_when_the_agent_repeats_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut first = running_task(&cluster, &agent, info()).await;
        agent.update(&first.id, "t", TaskState::TaskFinished);
        assert_eq!(first.status().await.state(), TaskState::TaskFinished);
        let id = first.id.clone();
        drop(first);
        testing::settle().await;
        // While the scheduler is away its updates are in the books, and count as invalid.
        agent.update(&id, "t", TaskState::TaskFinished);
        testing::settle().await;
        assert_eq!(cluster.metric("master/invalid_status_updates"), 1.0);

        let mut second = cluster.subscribe(again(&info(), &id)).await;
        assert_eq!(updates(&mut second).await, []);
        agent.update(&id, "t", TaskState::TaskFinished);
        let finished = second.status().await;
        second.acknowledge(&finished).await;
        assert_eq!(listed(&cluster, "frameworks", "completed_tasks").await, ["t TASK_FINISHED"]);
    });
}

/// Upstream: `ForwardStatusUpdateUnknownExecutor`.
#[test]
fn an_update_of_a_task_that_the_master_does_not_know_is_passed_on() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        agent.update(&scheduler.id, "unknown", TaskState::TaskRunning);
        let status = scheduler.status().await;
        assert_eq!((status.task_id.value.as_str(), status.state()), ("unknown", TaskState::TaskRunning));
        // Its acknowledgement, too.
        scheduler.acknowledge(&status).await;
        assert!(matches!(agent.taken().await.as_slice(), [Got::Acknowledged(_)]));
    });
}

/// Upstream: `SchedulerFailoverExecutorToFrameworkMessage`, `SchedulerFailoverFrameworkToExecutorMessage`,
/// `MasterTest.FrameworkMessage`.
#[test]
fn messages_between_executors_and_schedulers_find_the_new_instance() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let first = running_task(&cluster, &agent, info()).await;
        let mut second = cluster.subscribe(again(&info(), &first.id)).await;
        agent.taken().await;
        agent.post(ExecutorToFrameworkMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: v1::FrameworkId { value: second.id.clone() },
            executor_id: v1::ExecutorId { value: "e".into() },
            data: b"up".to_vec(),
        });
        assert_eq!(second.next_of(Type::Message).await.message.unwrap().data, b"up");
        let down = json!({
            "agent_id": { "value": agent.id() }, "executor_id": { "value": "e" }, "data": "ZG93bg=="
        });
        assert_eq!(second.call("MESSAGE", down).await.0, 202);
        let got = agent.taken().await;
        let [Got::Message(message)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(message.data, b"down");
    });
}

/// Upstream: `IgnoreKillTaskFromUnregisteredFramework`.
#[test]
fn the_instance_before_can_do_nothing_any_more() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let first = running_task(&cluster, &agent, info()).await;
        let second = cluster.subscribe(again(&info(), &first.id)).await;
        agent.taken().await;
        for (call, body) in [("KILL", json!({ "task_id": { "value": "t" } })), ("TEARDOWN", json!(null))] {
            let (status, text) = first.call(call, body).await;
            assert_eq!(status, 400, "{call}: {text}");
            assert!(text.contains("didn't match the stream ID currently associated"), "{text}");
        }
        assert_eq!(agent.taken().await, []);
        assert_eq!(listed(&cluster, "frameworks", "tasks").await, ["t TASK_RUNNING"]);
        assert_eq!(second.call("KILL", json!({ "task_id": { "value": "t" } })).await.0, 202);
        assert!(matches!(agent.taken().await.as_slice(), [Got::Kill(_)]));
    });
}

/// Upstream: `ChangePrincipalOnReRegistrationFails`.
/// Upstream, too: `HttpFaultToleranceTest.FrameworkPrincipalChangeFails`.
#[test]
fn another_principal_does_not_get_the_framework() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut info = info();
        info["principal"] = json!("owner");
        let owner = cluster.subscribe(info.clone()).await;
        info["principal"] = json!("thief");
        let text = refusal(&cluster, again(&info, &owner.id)).await;
        assert_eq!(text, "Changing framework's principal is not allowed.");
        // The owner notices nothing.
        assert_eq!(owner.call("REVIVE", json!(null)).await.0, 202);
    });
}

/// Upstream: `UpdateFrameworkInfoOnSchedulerFailover`, `UpdateFrameworkInfoOnMasterFailover`.
#[test]
fn what_an_instance_says_of_the_framework_counts_from_then_on() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, info()).await;
        let id = scheduler.id.clone();
        let described = |name: &str, port: u16| {
            let mut info = again(&info(), &id);
            info["name"] = json!(name);
            info["webui_url"] = json!(format!("http://localhost:{port}"));
            info["failover_timeout"] = json!(f64::from(port));
            info["labels"] = json!({ "labels": [{ "key": name }] });
            info
        };
        let shown = async |cluster: &Cluster, name: &str, port: u16| {
            let frameworks = cluster.get("/frameworks").await["frameworks"].clone();
            assert_eq!(frameworks.as_array().unwrap().len(), 1);
            let framework = &frameworks[0];
            assert_eq!(framework["name"], name);
            assert_eq!(framework["webui_url"], format!("http://localhost:{port}"));
            assert_eq!(framework["failover_timeout"], f64::from(port));
            assert_eq!(framework["labels"][0]["key"], name);
            let got = agent.taken().await;
            let told = got.iter().any(|got| match got {
                Got::UpdateFramework(update) => update.framework_info.as_ref().unwrap().name == name,
                _ => false,
            });
            assert!(told, "{got:?}");
        };
        let _second = cluster.subscribe(described("second", 2)).await;
        shown(&cluster, "second", 2).await;

        // The next leader learns of it from the agent first, as it was.
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        let task = super::agents::reported(&agent, &id, TaskState::TaskRunning);
        agent.reregister(vec![task], vec![super::agents::framework_info(&id)]);
        testing::settle().await;
        let _third = cluster.subscribe(described("third", 3)).await;
        shown(&cluster, "third", 3).await;
    });
}

/// Upstream: `MasterTest.FrameworkSubscribeEmptyId`.
#[test]
fn an_empty_id_is_none() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": again(&info(), "") } });
        let subscribed = cluster.open(call).await.next().await.unwrap().subscribed.unwrap();
        assert_eq!(subscribed.framework_id.value, format!("{}-0000", cluster.running.info.id));
    });
}

/// Upstream: `SchedulerTest.NoOffersOnReregistrationWithAllRolesSuppressed`.
#[test]
fn a_scheduler_that_returns_with_its_roles_suppressed_is_offered_nothing_until_it_revives() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut first = cluster.subscribe(info()).await;
        first.offer().await;
        let call = json!({
            "type": "SUBSCRIBE", "framework_id": { "value": first.id },
            "subscribe": { "framework_info": again(&info(), &first.id), "suppressed_roles": ["*"] }
        });
        let mut second = cluster.open(call).await;
        second.id = first.id.clone();
        failed_over(&mut first).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let events = second.pending().await;
        assert!(!events.iter().any(|event| event.r#type() == Type::Offers), "{events:?}");
        second.call("REVIVE", json!(null)).await;
        assert_eq!(second.offer().await.agent_id.value, agent.id());
    });
}

/// Upstream: `MasterAllocatorTest.SchedulerFailover`.
#[test]
fn what_its_task_uses_is_not_offered_to_the_next_instance() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:3;mem:1024").await;
        let mut first = cluster.subscribe(info()).await;
        let offer = first.offer().await;
        first.launch(&[&offer], json!([super::task("t", &agent, 1.0, 256.0)])).await;
        let id = first.id.clone();
        drop(first);
        testing::settle().await;
        assert_eq!(cluster.get("/frameworks").await["frameworks"][0]["active"], false);
        let mut second = cluster.subscribe(again(&info(), &id)).await;
        let offer = second.offer().await;
        assert_eq!((amount(&offer.resources, "cpus"), amount(&offer.resources, "mem")), (2.0, 768.0));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let events = second.pending().await;
        assert!(events.iter().all(|event| event.r#type() != Type::Offers), "{events:?}");
    });
}
