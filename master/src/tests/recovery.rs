//! A new leader, and what agents and frameworks bring it: agents that the registry knows, frameworks that it does not,
//! and tasks of both (upstream: `master_tests.cpp`, `fault_tolerance_tests.cpp`).

use std::time::Duration;

use libprocess::testing;
use mesos::internal::{ExecutorToFrameworkMessage, ExitedExecutorMessage, ReregisterSlaveMessage, archive};
use mesos::tasks::time_info;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use serde_json::{Value, json};

use super::agents::{framework_info, reported, running_task};
use super::partition::{asked, listed, unaware, updates};
use super::shelf::{Shelf, patient};
use super::{Agent, Cluster, Got, capabilities, executor_task, info};
use crate::Settings;

/// The framework's info with its id.
fn again(id: &str) -> Value {
    let mut again = info();
    again["id"] = json!({ "value": id });
    again
}

/// A leader with an agent that runs a framework's task; then the next leader, whom nobody has found yet.
async fn after_a_failover(shelf: &Shelf) -> (Cluster, Agent, String) {
    let cluster = Cluster::on(shelf, Settings::default()).await;
    let agent = cluster.agent("cpus:2;mem:1024").await;
    let scheduler = running_task(&cluster, &agent, info()).await;
    let id = scheduler.id.clone();
    (cluster.fail_over(shelf, Settings::default()).await, agent, id)
}

async fn brings(agent: &Agent, framework: &str, tasks: Vec<v1::Task>) -> Vec<Got> {
    agent.taken().await;
    agent.reregister(tasks, vec![framework_info(framework)]);
    agent.taken().await
}

/// Upstream: `RecoveredSlaves`, `RecoveredSlaveCanReregister`, `MasterAPITest.GetRecoveredAgents`.
#[test]
fn agents_of_the_registry_are_shown_as_recovered_until_they_are_back() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, agent, _) = after_a_failover(&shelf).await;
        for path in ["/slaves", "/state"] {
            let shown = cluster.get(path).await;
            assert_eq!(shown["slaves"], json!([]), "{path}");
            assert_eq!(shown["recovered_slaves"][0]["id"], agent.id(), "{path}");
        }
        agent.reregister(Vec::new(), Vec::new());
        let got = agent.taken().await;
        let [Got::Reregistered(answer)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(answer.slave_id.value, agent.id());
        for path in ["/slaves", "/state"] {
            let shown = cluster.get(path).await;
            assert_eq!(shown["recovered_slaves"], json!([]), "{path}");
            assert_eq!(shown["slaves"][0]["id"], agent.id(), "{path}");
        }
    });
}

/// Upstream: `DuplicatedSlaveIdWhenSlaveReregister` (MESOS-3351), `SlavesEndpointTwoSlaves`, `SlavesEndpointQuerySlave`.
#[test]
fn the_next_leader_gives_no_id_that_an_earlier_one_gave() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, old, _) = after_a_failover(&shelf).await;
        let new = cluster.agent("disk:1").await;
        assert!(old.id().ends_with("-S0") && new.id().ends_with("-S0"));
        assert_ne!(old.id(), new.id());
        old.reregister(Vec::new(), Vec::new());
        testing::settle().await;
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 2);
        for agent in [&old, &new] {
            let shown = cluster.get(&format!("/slaves?slave_id={}", agent.id())).await["slaves"].clone();
            assert_eq!((shown.as_array().unwrap().len(), &shown[0]["id"]), (1, &json!(agent.id())));
        }
    });
}

/// Upstream: `UnreachableTaskAfterFailover`.
#[test]
fn tasks_of_an_agent_that_does_not_come_back_to_the_next_leader_are_answered_for_and_return_with_it() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, unaware()).await;
        let id = scheduler.id.clone();
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        let mut info = unaware();
        info["id"] = json!({ "value": id });
        let mut scheduler = cluster.subscribe(info).await;
        scheduler.next_of(Type::Failure).await;
        let since = time_info(cluster.node.now());
        // The leader knows nothing of the task: it cannot tell what became of it until it is asked.
        assert_eq!(updates(&mut scheduler).await, []);
        let status = asked(&mut scheduler, "t", &agent.id()).await;
        assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::Reconciliation));
        assert_eq!(status.unreachable_time, Some(since));

        brings(&agent, &id, vec![reported(&agent, &id, TaskState::TaskRunning)]).await;
        let status = scheduler.status().await;
        assert_eq!((status.state(), status.reason()), (TaskState::TaskRunning, Reason::AgentReregistered));
        for (metric, value) in [
            ("tasks_lost", 0.0),
            ("tasks_unreachable", 0.0),
            ("tasks_running", 1.0),
            ("slave_unreachable_completed", 1.0),
            ("recovery_slave_removals", 1.0),
        ] {
            assert_eq!(cluster.metric(&format!("master/{metric}")), value, "{metric}");
        }
    });
}

/// A message of an earlier leadership arrives before today's: a broken network had kept it.
#[test]
fn the_last_thing_counts_that_an_agent_has_said_while_the_registry_took_it_back() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, info()).await;
        let id = scheduler.id.clone();
        let cluster = cluster.fail_over(&shelf, patient()).await;
        tokio::time::sleep(Duration::from_secs(601)).await;
        testing::settle().await;
        assert!(shelf.has("unreachable", &agent.id()));
        shelf.hold();
        agent.reregister(Vec::new(), Vec::new());
        let now = vec![reported(&agent, &id, TaskState::TaskRunning)];
        agent.reregister(now.clone(), vec![framework_info(&id)]);
        agent.reregister(now, vec![framework_info(&id)]);
        testing::settle().await;
        shelf.release().await;
        let got = agent.taken().await;
        let answers = got.iter().filter(|got| matches!(got, Got::Reregistered(_))).count();
        assert_eq!(answers, 1, "{got:?}");
        let mut scheduler = cluster.subscribe(again(&id)).await;
        let status = asked(&mut scheduler, "t", &agent.id()).await;
        assert_eq!((status.state(), status.reason()), (TaskState::TaskRunning, Reason::Reconciliation));
    });
}

/// The registry is written for an agent's return when its time is over, and what it has said last is refused. In this list
/// it is shown until then.
async fn returns_in_vain(cluster: &Cluster, shelf: &Shelf, mut agent: Agent, list: &str) {
    shelf.hold();
    agent.info.resources = mesos::Resources::parse("cpus:4;mem:1024", "*").unwrap().to_protos();
    agent.reregister(Vec::new(), Vec::new());
    // This master has none.
    agent.info.domain = Some(v1::DomainInfo::default());
    agent.reregister(Vec::new(), Vec::new());
    tokio::time::sleep(Duration::from_secs(601)).await;
    testing::settle().await;
    assert_eq!(cluster.get("/slaves").await[list][0]["id"], agent.id());
    shelf.release().await;
    testing::settle().await;
    assert_eq!(cluster.get("/slaves").await[list], json!([]));
    assert!(shelf.has("unreachable", &agent.id()) && !shelf.has("agent", &agent.id()));
}

#[test]
fn an_agent_whose_return_has_come_to_nothing_when_its_time_was_over_is_unreachable() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let cluster = cluster.fail_over(&shelf, patient()).await;
        returns_in_vain(&cluster, &shelf, agent, "recovered_slaves").await;
    });
}

#[test]
fn so_is_one_that_its_master_knows_and_whose_connection_broke() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        agent.die().await;
        // It answers its pings.
        agent.revive();
        returns_in_vain(&cluster, &shelf, agent, "slaves").await;
    });
}

/// What this master does not know, or knows to be away, the next one must not await.
#[test]
fn one_that_was_unreachable_is_so_as_before_and_one_that_nobody_knew_is_not_in_the_registry() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        agent.die().await;
        tokio::time::sleep(Duration::from_secs(601)).await;
        testing::settle().await;
        assert!(shelf.has("unreachable", &agent.id()));
        agent.revive();
        let since = cluster.get("/registrar(1)/registry").await["unreachable"].clone();
        let mut stranger = cluster.stranger("cpus:2;mem:1024");
        stranger.info.id = Some(v1::AgentId { value: "another-master-S0".into() });
        for agent in [&mut agent, &mut stranger] {
            shelf.hold();
            agent.reregister(Vec::new(), Vec::new());
            // This master has none.
            agent.info.domain = Some(v1::DomainInfo::default());
            agent.reregister(Vec::new(), Vec::new());
            testing::settle().await;
            shelf.release().await;
            testing::settle().await;
            assert!(!shelf.has("agent", &agent.id()), "{}", agent.id());
        }
        assert_eq!(cluster.get("/registrar(1)/registry").await["unreachable"], since);

        // Whoever is welcome comes back.
        agent.info.domain = None;
        agent.reregister(Vec::new(), Vec::new());
        testing::settle().await;
        assert!(shelf.has("agent", &agent.id()) && !shelf.has("unreachable", &agent.id()));
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["id"], agent.id());
    });
}

/// Upstream: `RegistryUpdateAfterReconfiguration`, `RegistryUpdateAfterMasterFailover`.
#[test]
fn the_registry_learns_what_a_returning_agent_has_now() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, mut agent, _) = after_a_failover(&shelf).await;
        for cpus in [100, 200] {
            // First of a recovered agent, then of a registered one.
            let resources = mesos::Resources::parse(&format!("cpus:{cpus}"), "*").unwrap();
            agent.info.resources = resources.to_protos();
            agent.reregister(Vec::new(), Vec::new());
            assert!(agent.taken().await.iter().any(|got| matches!(got, Got::Reregistered(_))));
            let shown = cluster.get(&format!("/slaves?slave_id={}", agent.id())).await;
            assert_eq!(shown["slaves"][0]["resources"]["cpus"], f64::from(cpus));
            // The second one on this node.
            let registry = cluster.get("/registrar(2)/registry").await;
            let stored = &registry["slaves"]["slaves"][0]["info"];
            assert_eq!(stored["id"]["value"], agent.id());
            assert_eq!(stored["resources"][0]["scalar"]["value"], f64::from(cpus));
        }
    });
}

/// Upstream: `RecoveredFramework`, `FailoverAgentReregisterFirst`, `FaultToleranceTest.MasterFailover`,
/// `SchedulerTest.SchedulerReconnect`.
/// Upstream, too: `MasterAllocatorTest.SlaveReregistersFirst`.
/// Upstream, too: `SlaveRecoveryTest.MasterFailover`.
#[test]
fn a_framework_is_recovered_from_its_agent_and_is_itself_again_when_it_subscribes() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, agent, id) = after_a_failover(&shelf).await;
        brings(&agent, &id, vec![reported(&agent, &id, TaskState::TaskRunning)]).await;
        let state = cluster.get("/state").await;
        let framework = &state["frameworks"][0];
        assert_eq!(framework["id"], id);
        for (key, value) in [("active", false), ("connected", false), ("recovered", true)] {
            assert_eq!(framework[key], value, "{key}");
        }
        assert_eq!(framework["registered_time"], 0.0);
        assert_eq!(framework.get("reregistered_time"), None);
        assert_eq!(
            (&state["unregistered_frameworks"], &state["completed_frameworks"]),
            (&json!([]), &json!([]))
        );
        // It is offered nothing, and its tasks use what they use.
        assert_eq!(framework["offers"], json!([]));
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 1.0);

        let mut scheduler = cluster.subscribe(again(&id)).await;
        assert_eq!(scheduler.id, id);
        let state = cluster.get("/state").await;
        let framework = &state["frameworks"][0];
        for (key, value) in [("active", true), ("connected", true), ("recovered", false)] {
            assert_eq!(framework[key], value, "{key}");
        }
        let now = cluster.node.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((framework["registered_time"].as_f64().unwrap() - now).abs() < 1.0);
        assert_eq!(framework.get("reregistered_time"), None);
        assert_eq!(framework["unregistered_time"], 0.0);
        assert_eq!(asked(&mut scheduler, "t", &agent.id()).await.state(), TaskState::TaskRunning);
        let offer = scheduler.offer().await;
        assert_eq!(super::amount(&offer.resources, "cpus"), 1.0);
    });
}

/// Upstream: `OrphanTasksMultipleAgents`, `DISABLED_RecoverResourcesOrphanedTask`.
#[test]
fn a_framework_that_two_agents_bring_is_shown_once_with_the_tasks_of_both() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agents = [cluster.agent("cpus:2;mem:1024").await, cluster.agent("cpus:2;mem:1024").await];
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        for (agent, id) in agents.iter().zip(["t1", "t2"]) {
            let task_id = v1::TaskId { value: id.into() };
            brings(agent, "f", vec![v1::Task { task_id, ..reported(agent, "f", TaskState::TaskRunning) }])
                .await;
        }
        for path in ["/state", "/frameworks"] {
            let shown = cluster.get(path).await;
            let frameworks = shown["frameworks"].as_array().unwrap();
            assert_eq!(frameworks.len(), 1, "{path}");
            assert_eq!(frameworks[0]["recovered"], true, "{path}");
            assert_eq!(frameworks[0]["tasks"].as_array().unwrap().len(), 2, "{path}");
            assert_eq!(shown["unregistered_frameworks"], json!([]), "{path}");
        }
        assert_eq!(cluster.get("/state").await["orphan_tasks"], json!([]));
        // When a task ends without its framework, its resources are free.
        agents[0].update("f", "t1", TaskState::TaskFinished);
        testing::settle().await;
        let used = cluster.get("/slaves").await;
        let used = [0, 1].map(|agent| used["slaves"][agent]["used_resources"]["cpus"].as_f64().unwrap());
        assert_eq!(used, [0.0, 1.0]);
    });
}

/// Upstream: `UnregisteredFrameworksAfterTearDown` (MESOS-4975).
#[test]
fn a_framework_that_is_torn_down_after_a_failover_leaves_nothing_behind() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(again("of-an-earlier-leader")).await;
        scheduler.offer().await;
        scheduler.call("TEARDOWN", json!(null)).await;
        let state = cluster.get("/state").await;
        assert_eq!((&state["frameworks"], &state["unregistered_frameworks"]), (&json!([]), &json!([])));
        assert_eq!(state["completed_frameworks"][0]["id"], "of-an-earlier-leader");
    });
}

/// Upstream: `ExecutorMessageToRecoveredHttpFramework`.
#[test]
fn an_executors_message_to_a_framework_that_has_not_subscribed_yet_is_dropped() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, agent, id) = after_a_failover(&shelf).await;
        brings(&agent, &id, vec![reported(&agent, &id, TaskState::TaskRunning)]).await;
        let says = |data: &str| ExecutorToFrameworkMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: v1::FrameworkId { value: id.clone() },
            executor_id: v1::ExecutorId { value: "e".into() },
            data: data.into(),
        };
        agent.post(says("lost"));
        testing::settle().await;
        assert_eq!(cluster.metric("master/invalid_executor_to_framework_messages"), 1.0);
        let mut scheduler = cluster.subscribe(again(&id)).await;
        agent.post(says("heard"));
        let message = scheduler.next_of(Type::Message).await.message.unwrap();
        assert_eq!(message.data, b"heard");
    });
}

/// Upstream: `FaultToleranceTest.FrameworkReregisterEmptyExecutor` (MESOS-1821),
/// `FaultToleranceTest.ReregisterFrameworkExitedExecutor` (MESOS-420), `MasterTest.MasterFailoverLongLivedExecutor`.
#[test]
fn an_executor_comes_back_with_its_agent_whether_it_has_tasks_or_not_and_ends() {
    for with_task in [false, true] {
        testing::run(async {
            let shelf = Shelf::default();
            let (cluster, agent, id) = after_a_failover(&shelf).await;
            let described = executor_task("u", &agent, "e", 1.0)["executor"].to_string();
            let mut executor: v1::ExecutorInfo = mesos::json::from_slice(described.as_bytes()).unwrap();
            executor.framework_id = Some(v1::FrameworkId { value: id.clone() });
            executor.resources =
                mesos::Resources::parse("cpus:0.5", "*").unwrap().allocated_to("*").to_protos();
            let executor_id = Some(executor.executor_id.clone());
            let task = v1::Task { executor_id, ..reported(&agent, &id, TaskState::TaskRunning) };
            let tasks = if with_task { vec![task] } else { Vec::new() };
            agent.reregister_with(tasks, vec![framework_info(&id)], vec![executor]);
            testing::settle().await;
            let used = async || cluster.get("/slaves").await["slaves"][0]["used_resources"]["cpus"].clone();
            assert_eq!(used().await, if with_task { 1.5 } else { 0.5 });
            // The executor's end may arrive before that of its task.
            agent.post(ExitedExecutorMessage {
                slave_id: agent.info.id.clone().unwrap(),
                framework_id: v1::FrameworkId { value: id.clone() },
                executor_id: v1::ExecutorId { value: "e".into() },
                status: 9,
            });
            testing::settle().await;
            let mut scheduler = cluster.subscribe(again(&id)).await;
            assert_eq!(used().await, if with_task { 1.0 } else { 0.0 });
            if with_task {
                agent.update(&id, "t", TaskState::TaskFailed);
                let failed = scheduler.status().await;
                scheduler.acknowledge(&failed).await;
            }
            assert_eq!(used().await, 0.0);
            assert_eq!(listed(&cluster, "frameworks", "tasks").await, [""; 0]);
        });
    }
}

/// Upstream: `FaultToleranceTest.ReregisterCompletedFrameworks`.
#[test]
fn what_is_over_on_an_agent_is_the_past_of_a_framework_that_goes_on() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, agent, id) = after_a_failover(&shelf).await;
        let _scheduler = cluster.subscribe(again(&id)).await;
        agent.post(ReregisterSlaveMessage {
            slave: agent.info.clone(),
            completed_frameworks: vec![archive::Framework {
                framework_info: framework_info(&id),
                pid: None,
                tasks: vec![reported(&agent, &id, TaskState::TaskKilled)],
            }],
            version: Some("1.11.0".into()),
            agent_capabilities: capabilities(),
            ..Default::default()
        });
        testing::settle().await;
        assert_eq!(cluster.get("/state").await["completed_frameworks"], json!([]));
        assert_eq!(listed(&cluster, "frameworks", "completed_tasks").await, ["t TASK_KILLED"]);
        assert_eq!(listed(&cluster, "frameworks", "tasks").await, [""; 0]);
    });
}

/// A framework is over for the leader that removed it. The next one does not know: it has to be told again.
#[test]
fn a_framework_that_an_earlier_leader_removed_is_recovered_by_the_next() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, info()).await;
        let id = scheduler.id.clone();
        scheduler.call("TEARDOWN", json!(null)).await;
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        // The agent missed the news, and brings the framework back.
        brings(&agent, &id, vec![reported(&agent, &id, TaskState::TaskRunning)]).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(cluster.get("/state").await["frameworks"][0]["recovered"], true);
        let mut scheduler = cluster.subscribe(again(&id)).await;
        assert_eq!(asked(&mut scheduler, "t", &agent.id()).await.state(), TaskState::TaskRunning);
        scheduler.call("TEARDOWN", json!(null)).await;
        assert!(agent.taken().await.iter().any(|got| matches!(got, Got::ShutdownFramework(_))));
    });
}

/// Upstream: `MasterInfoOnReElection`.
#[test]
fn the_next_leader_says_who_it_is() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, _, id) = after_a_failover(&shelf).await;
        let call = json!({
            "type": "SUBSCRIBE", "framework_id": { "value": id }, "subscribe": { "framework_info": again(&id) }
        });
        let mut scheduler = cluster.open(call).await;
        let subscribed = scheduler.next().await.unwrap().subscribed.unwrap();
        assert_eq!(subscribed.framework_id.value, id);
        assert_eq!(subscribed.master_info, Some(cluster.running.info.clone()));
    });
}

/// The agents were away when the framework was torn down: one had lost its connection, the other had not found the leader.
/// Upstream: `SlaveRecoveryTest.ReconcileShutdownFramework`.
#[test]
fn a_framework_that_was_torn_down_is_shut_down_on_every_agent_that_brings_it_back() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let mut agents = [cluster.agent("cpus:2;mem:1024").await, cluster.agent("disk:1").await];
        let scheduler = running_task(&cluster, &agents[0], info()).await;
        let id = scheduler.id.clone();
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        brings(&agents[0], &id, vec![reported(&agents[0], &id, TaskState::TaskRunning)]).await;
        agents[0].die().await;
        let scheduler = cluster.subscribe(again(&id)).await;
        scheduler.call("TEARDOWN", json!(null)).await;
        agents[0].revive();
        for agent in &agents {
            let got = brings(agent, &id, vec![reported(agent, &id, TaskState::TaskRunning)]).await;
            let [Got::Reregistered(_), Got::ShutdownFramework(shutdown)] = got.as_slice() else {
                panic!("{got:?}")
            };
            assert_eq!(shutdown.framework_id.value, id);
        }
        assert_eq!(cluster.get("/state").await["frameworks"], json!([]));
    });
}

/// Upstream: `FrameworkReregistersFirst`.
#[test]
fn a_framework_that_is_back_before_its_agent_is_offered_what_its_task_leaves() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, agent, id) = after_a_failover(&shelf).await;
        let mut scheduler = cluster.subscribe(again(&id)).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let events = scheduler.pending().await;
        assert!(events.iter().all(|event| event.r#type() != Type::Offers), "{events:?}");
        brings(&agent, &id, vec![reported(&agent, &id, TaskState::TaskRunning)]).await;
        let offer = scheduler.offer().await;
        assert_eq!(
            (super::amount(&offer.resources, "cpus"), super::amount(&offer.resources, "mem")),
            (1.0, 992.0)
        );
    });
}

/// A registration that came late: the registry is still being written for it when the agent, which has its id, comes back.
#[test]
fn an_agent_that_has_another_id_by_then_is_not_admitted() {
    testing::run(async {
        let shelf = Shelf::default();
        let (cluster, agent, _) = after_a_failover(&shelf).await;
        agent.post(mesos::internal::RegisterSlaveMessage {
            slave: v1::AgentInfo { id: None, ..agent.info.clone() },
            version: Some("1.11.0".into()),
            agent_capabilities: capabilities(),
            ..Default::default()
        });
        agent.reregister(Vec::new(), Vec::new());
        let got = agent.taken().await;
        let [Got::Reregistered(answer)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(answer.slave_id.value, agent.id());
        let shown = cluster.get("/slaves").await["slaves"].clone();
        assert_eq!((shown.as_array().unwrap().len(), &shown[0]["id"]), (1, &json!(agent.id())));
        // Nor does the next leader await it.
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        let awaited = cluster.get("/slaves").await["recovered_slaves"].clone();
        assert_eq!((awaited.as_array().unwrap().len(), &awaited[0]["id"]), (1, &json!(agent.id())));
    });
}
