//! Agents that cannot be reached, with the tasks on them (upstream: `partition_tests.cpp`).

use std::time::Duration;

use libprocess::testing;
use mesos::internal::ExitedExecutorMessage;
use mesos::tasks::time_info;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use serde_json::{Value, json};

use super::agents::{framework_info, reported, running_task};
use super::shelf::{Shelf, patient};
use super::{Agent, Cluster, Got, Scheduler, info, task};
use crate::Settings;

/// What a framework says of itself that is told TASK_LOST where others are told more.
pub(super) fn unaware() -> Value {
    let mut info = info();
    info["capabilities"] = json!([{ "type": "MULTI_ROLE" }]);
    info
}

/// The agent answers no pings until it is marked unreachable; a scheduler has been told.
pub(super) async fn lose(agent: &Agent, scheduler: &mut Scheduler<'_>) {
    *agent.healthy.lock() = false;
    scheduler.next_of(Type::Failure).await;
}

/// It registers again with these tasks, and answers pings. What it was sent is returned.
pub(super) async fn bring_back(agent: &Agent, framework: &str, tasks: Vec<v1::Task>) -> Vec<Got> {
    agent.taken().await;
    *agent.healthy.lock() = true;
    agent.reregister(tasks, vec![framework_info(framework)]);
    agent.taken().await
}

/// The updates that are there without time passing.
pub(super) async fn updates(scheduler: &mut Scheduler<'_>) -> Vec<v1::TaskStatus> {
    let events = scheduler.pending().await;
    events.into_iter().filter_map(|event| event.update).map(|update| update.status).collect()
}

/// The answer to the question for one task; time passes only if there is none.
pub(super) async fn asked(scheduler: &mut Scheduler<'_>, task: &str, agent: &str) -> v1::TaskStatus {
    let tasks = json!({ "tasks": [{ "task_id": { "value": task }, "agent_id": { "value": agent } }] });
    assert_eq!(scheduler.call("RECONCILE", tasks).await.0, 202);
    scheduler.status().await
}

/// The only framework's tasks in one of the lists of `/state`, each as `id STATE`.
pub(super) async fn listed(cluster: &Cluster, frameworks: &str, list: &str) -> Vec<String> {
    let state = cluster.get("/state").await;
    let tasks = state[frameworks][0][list].as_array().unwrap().iter();
    tasks.map(|t| format!("{} {}", t["id"].as_str().unwrap(), t["state"].as_str().unwrap())).collect()
}

/// Nothing but messages that change nothing.
fn shuts_nothing_down(got: &[Got]) -> bool {
    got.iter().all(|got| matches!(got, Got::Reregistered(_) | Got::UpdateFramework(_)))
}

/// Upstream: `PartitionedSlave`.
#[test]
fn offers_of_an_unreachable_agent_are_rescinded_and_frameworks_hear_that_it_is_lost() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        *agent.healthy.lock() = false;
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        let lost = scheduler.next_of(Type::Failure).await.failure.unwrap();
        assert_eq!((lost.agent_id, lost.executor_id), (agent.info.id.clone(), None));
        for (metric, value) in [
            ("slave_unreachable_scheduled", 1.0),
            ("slave_unreachable_completed", 1.0),
            ("slave_removals", 1.0),
            ("slave_removals/reason_unhealthy", 1.0),
            ("slave_removals/reason_unregistered", 0.0),
        ] {
            assert_eq!(cluster.metric(&format!("master/{metric}")), value, "{metric}");
        }
    });
}

/// Upstream: `ReregisterPartitionedAgentWithEnrouteTask`.
#[test]
fn a_task_that_never_reached_its_agent_is_forgotten_when_the_agent_returns_without_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
        lose(&agent, &mut scheduler).await;
        assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, ["t TASK_UNREACHABLE"]);
        assert_eq!(cluster.get("/state-summary").await["frameworks"][0]["TASK_UNREACHABLE"], 1);
        assert_eq!(cluster.metric("master/tasks_unreachable"), 1.0);

        bring_back(&agent, &scheduler.id, Vec::new()).await;
        for list in ["tasks", "unreachable_tasks", "completed_tasks"] {
            assert_eq!(listed(&cluster, "frameworks", list).await, [""; 0], "{list}");
        }
        assert_eq!(cluster.get("/tasks").await["tasks"], json!([]));
        assert_eq!(cluster.metric("master/tasks_unreachable"), 0.0);
        assert_eq!(asked(&mut scheduler, "t", &agent.id()).await.state(), TaskState::TaskGone);
    });
}

/// Upstream: `ReregisterSlavePartitionAware`, `ReregisterSlaveNotPartitionAware`.
#[test]
fn tasks_run_on_when_their_agent_returns_whatever_their_framework_was_told() {
    for (info, told, unreachable, lost) in
        [(info(), TaskState::TaskUnreachable, 1.0, 0.0), (unaware(), TaskState::TaskLost, 0.0, 1.0)]
    {
        testing::run(async {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = running_task(&cluster, &agent, info).await;
            *agent.healthy.lock() = false;
            let status = scheduler.status().await;
            assert_eq!((status.state(), status.reason()), (told, Reason::AgentRemoved));
            assert_eq!(status.agent_id, agent.info.id);
            assert_eq!(status.unreachable_time, Some(time_info(cluster.node.now())));
            let name = format!("t {}", told.as_str_name());
            assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, [name]);
            assert_eq!(cluster.metric("master/tasks_unreachable"), unreachable);
            assert_eq!(cluster.metric("master/tasks_lost"), lost);
            // Its id is still taken: it may be running.
            scheduler.next_of(Type::Failure).await;

            let task = reported(&agent, &scheduler.id, TaskState::TaskRunning);
            let got = bring_back(&agent, &scheduler.id, vec![task]).await;
            assert!(shuts_nothing_down(&got), "{got:?}");
            let back = scheduler.status().await;
            assert_eq!((back.state(), back.reason()), (TaskState::TaskRunning, Reason::AgentReregistered));
            assert_eq!(back.message(), "Unreachable agent re-reregistered");
            assert_eq!(listed(&cluster, "frameworks", "tasks").await, ["t TASK_RUNNING"]);
            assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, [""; 0]);
            assert_eq!(listed(&cluster, "frameworks", "completed_tasks").await, [""; 0]);
            let summary = cluster.get("/state-summary").await;
            let counts = ["TASK_RUNNING", "TASK_UNREACHABLE", "TASK_LOST"];
            assert_eq!(counts.map(|state| summary["frameworks"][0][state].as_u64().unwrap()), [1, 0, 0]);
            let metrics = ["running", "unreachable", "lost", "killed"];
            let metrics = metrics.map(|state| cluster.metric(&format!("master/tasks_{state}")));
            assert_eq!(metrics, [1.0, 0.0, lost, 0.0]);
        });
    }
}

/// Upstream: `PartitionedSlaveReregistrationMasterFailover`.
#[test]
fn tasks_run_on_when_their_unreachable_agent_returns_to_the_next_leader() {
    for info in [info(), unaware()] {
        testing::run(async {
            let shelf = Shelf::default();
            let cluster = Cluster::on(&shelf, Settings::default()).await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = running_task(&cluster, &agent, info.clone()).await;
            lose(&agent, &mut scheduler).await;
            let id = scheduler.id.clone();

            let cluster = cluster.fail_over(&shelf, Settings::default()).await;
            let mut again = info;
            again["id"] = json!({ "value": id });
            let mut scheduler = cluster.subscribe(again).await;
            // The next leader knows of the agent, not of its tasks.
            assert!(shelf.has("unreachable", &agent.id()));
            assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, [""; 0]);
            let task = reported(&agent, &id, TaskState::TaskRunning);
            let got = bring_back(&agent, &id, vec![task]).await;
            assert!(shuts_nothing_down(&got), "{got:?}");
            let back = scheduler.status().await;
            assert_eq!((back.state(), back.reason()), (TaskState::TaskRunning, Reason::AgentReregistered));
            assert_eq!(asked(&mut scheduler, "t", &agent.id()).await.state(), TaskState::TaskRunning);
            assert!(!shelf.has("unreachable", &agent.id()) && shelf.has("agent", &agent.id()));
        });
    }
}

/// Upstream: `PartitionedSlaveOrphanedTask`.
#[test]
fn a_framework_that_ends_while_its_agent_is_unreachable_is_shut_down_there_afterwards() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut brief = info();
        brief["failover_timeout"] = json!(0.0);
        let mut scheduler = running_task(&cluster, &agent, brief).await;
        lose(&agent, &mut scheduler).await;
        let id = scheduler.id.clone();
        drop(scheduler);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let ended = async || {
            assert_eq!(cluster.get("/state").await["frameworks"], json!([]));
            assert_eq!(listed(&cluster, "completed_frameworks", "completed_tasks").await, ["t TASK_KILLED"]);
            assert_eq!(listed(&cluster, "completed_frameworks", "unreachable_tasks").await, [""; 0]);
            assert_eq!(cluster.metric("master/tasks_unreachable"), 0.0);
        };
        ended().await;
        let got = bring_back(&agent, &id, vec![reported(&agent, &id, TaskState::TaskRunning)]).await;
        let [Got::Reregistered(_), Got::ShutdownFramework(shutdown)] = got.as_slice() else {
            panic!("{got:?}")
        };
        assert_eq!(shutdown.framework_id.value, id);
        ended().await;
        assert_eq!(cluster.get("/tasks").await["tasks"][0]["state"], "TASK_KILLED");
    });
}

/// Upstream: `DisconnectedFramework`.
#[test]
fn a_framework_that_was_away_when_its_agent_became_unreachable_hears_of_it_when_it_asks() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut patient = info();
        patient["failover_timeout"] = json!(3600.0);
        let mut scheduler = running_task(&cluster, &agent, patient.clone()).await;
        let mut watcher = cluster.subscribe(info()).await;
        patient["id"] = json!({ "value": scheduler.id });
        assert!(updates(&mut scheduler).await.is_empty());
        drop(scheduler);
        lose(&agent, &mut watcher).await;
        let since = time_info(cluster.node.now());
        let mut scheduler = cluster.subscribe(patient).await;
        assert!(updates(&mut scheduler).await.is_empty());
        let status = asked(&mut scheduler, "t", &agent.id()).await;
        assert_eq!((status.state(), status.reason()), (TaskState::TaskUnreachable, Reason::Reconciliation));
        assert_eq!(status.unreachable_time, Some(since));
    });
}

/// Upstream: `SpuriousSlaveReregistration`.
#[test]
fn a_registered_agent_that_registers_again_loses_nothing() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, unaware()).await;
        let task = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        let got = bring_back(&agent, &scheduler.id, vec![task]).await;
        assert!(shuts_nothing_down(&got), "{got:?}");
        assert!(updates(&mut scheduler).await.is_empty());
        let status = asked(&mut scheduler, "t", &agent.id()).await;
        assert_eq!((status.state(), status.reason()), (TaskState::TaskRunning, Reason::Reconciliation));
        assert_eq!(cluster.metric("master/tasks_lost"), 0.0);
    });
}

/// Upstream: `PartitionedSlaveStatusUpdates`, `PartitionedSlaveExitedExecutor`.
#[test]
fn what_an_unreachable_agent_reports_is_dropped_and_the_agent_is_left_alone() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let task = super::executor_task("t", &agent, "e", 1.0);
        scheduler.launch(&[&offer], json!([task])).await;
        lose(&agent, &mut scheduler).await;
        agent.taken().await;
        scheduler.pending().await;

        agent.update(&scheduler.id, "t", TaskState::TaskFailed);
        agent.post(ExitedExecutorMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: v1::FrameworkId { value: scheduler.id.clone() },
            executor_id: v1::ExecutorId { value: "e".into() },
            status: 1,
        });
        testing::settle().await;
        assert_eq!(scheduler.pending().await, []);
        assert_eq!(agent.taken().await, []);
        assert_eq!(cluster.metric("master/invalid_status_updates"), 1.0);
        assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, ["t TASK_UNREACHABLE"]);
        assert_eq!(cluster.metric("master/slave_removals"), 1.0);
    });
}

/// Upstream: `TaskCompletedOnPartitionedAgent`, `PartitionAwareTaskCompletedOnPartitionedAgent`.
#[test]
fn a_task_that_ended_while_its_agent_was_unreachable_is_over_once_its_end_is_acknowledged() {
    for (info, unknown) in [(info(), TaskState::TaskGone), (unaware(), TaskState::TaskLost)] {
        testing::run(async {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = running_task(&cluster, &agent, info).await;
            lose(&agent, &mut scheduler).await;
            let task = reported(&agent, &scheduler.id, TaskState::TaskFinished);
            let got = bring_back(&agent, &scheduler.id, vec![task]).await;
            assert!(shuts_nothing_down(&got), "{got:?}");
            // From the master, which needs no acknowledgement.
            let told = scheduler.status().await;
            assert_eq!((told.state(), told.uuid), (TaskState::TaskFinished, None));
            // From the agent, which repeats it.
            agent.update(&scheduler.id, "t", TaskState::TaskFinished);
            let finished = scheduler.status().await;
            scheduler.acknowledge(&finished).await;

            let status = asked(&mut scheduler, "t", &agent.id()).await;
            assert_eq!((status.state(), status.unreachable_time), (unknown, None));
            assert_eq!(listed(&cluster, "frameworks", "completed_tasks").await, ["t TASK_FINISHED"]);
            assert_eq!(listed(&cluster, "frameworks", "tasks").await, [""; 0]);
            assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, [""; 0]);
            assert_eq!(cluster.get("/state").await["slaves"][0]["used_resources"]["cpus"], 0.0);
        });
    }
}

/// Upstream: `AgentWithTerminalTaskPartitioned`.
#[test]
fn a_task_that_was_over_before_its_agent_became_unreachable_keeps_its_state() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        assert_eq!(scheduler.status().await.state(), TaskState::TaskFinished);
        lose(&agent, &mut scheduler).await;
        assert_eq!(listed(&cluster, "frameworks", "tasks").await, [""; 0]);
        assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, ["t TASK_FINISHED"]);
        assert_eq!(cluster.metric("master/tasks_unreachable"), 0.0);
    });
}

/// Upstream: `FailHealthChecksTwice`.
#[test]
fn an_agent_that_fails_its_pings_once_more_while_the_registry_is_written_is_marked_once() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let stores = shelf.stores();
        shelf.hold();
        *agent.healthy.lock() = false;
        tokio::time::sleep(Duration::from_secs(110)).await;
        assert_eq!(shelf.waiting(), 1);
        shelf.release().await;
        scheduler.next_of(Type::Failure).await;
        assert_eq!(shelf.stores(), stores + 1);
        for (metric, value) in [
            ("slave_unreachable_scheduled", 2.0),
            ("slave_unreachable_completed", 2.0),
            ("slave_removals", 1.0),
            ("slave_removals/reason_unhealthy", 1.0),
        ] {
            assert_eq!(cluster.metric(&format!("master/{metric}")), value, "{metric}");
        }
    });
}

/// Upstream: `OneWayPartitionTest.MasterToSlave`, `MasterTest.SlaveActiveEndpoint`. What the agent does then:
/// `agent/src/tests/reaching_a_master.rs`.
#[test]
fn an_agent_that_does_not_notice_that_its_connection_broke_is_told_by_pings_and_can_return() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(*agent.pinged.lock(), Some(true));
        agent.die().await;
        agent.revive();
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(*agent.pinged.lock(), Some(false));
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["active"], false);
        agent.reregister(Vec::new(), Vec::new());
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(*agent.pinged.lock(), Some(true));
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["active"], true);
    });
}

/// Upstream: `OneWayPartitionTest.MasterToScheduler`: a scheduler of the v0 API gets an error; over HTTP it is a status.
#[test]
fn a_scheduler_that_does_not_notice_that_its_stream_broke_is_refused() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut scheduler = cluster.subscribe(info()).await;
        scheduler.break_off();
        testing::settle().await;
        let answer = scheduler.call("REVIVE", json!(null)).await;
        assert_eq!(answer, (403, "Framework is not subscribed".to_owned()));
    });
}
