//! Agents that register, fall silent, break off, are back, and are removed.

use std::time::Duration;

use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::{Reason, Source};
use mesos::v1::{self, TaskState};
use serde_json::json;

use super::{Agent, Cluster, Got, Scheduler, info, task};

/// A framework with one running task.
pub(super) async fn running_task<'a>(
    cluster: &'a Cluster,
    agent: &Agent,
    info: serde_json::Value,
) -> Scheduler<'a> {
    let mut scheduler = cluster.subscribe(info).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&[&offer], json!([task("t", agent, 1.0, 32.0)])).await;
    agent.update(&scheduler.id, "t", TaskState::TaskRunning);
    let running = scheduler.status().await;
    scheduler.acknowledge(&running).await;
    agent.taken().await;
    scheduler
}

pub(super) fn reported(agent: &Agent, framework: &str, state: TaskState) -> v1::Task {
    let resources = mesos::Resources::parse("cpus:1;mem:32", "*").unwrap().allocated_to("*");
    v1::Task {
        name: "t".into(),
        task_id: v1::TaskId { value: "t".into() },
        framework_id: v1::FrameworkId { value: framework.into() },
        agent_id: agent.info.id.clone().unwrap(),
        state: state.into(),
        resources: resources.to_protos(),
        ..Default::default()
    }
}

pub(super) fn framework_info(id: &str) -> v1::FrameworkInfo {
    let mut json = info();
    json["id"] = json!({ "value": id });
    mesos::json::from_slice(json.to_string().as_bytes()).unwrap()
}

#[test]
fn an_agent_is_told_its_id_and_when_to_miss_pings() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:1;mem:32").await;
        assert_eq!(agent.id(), format!("{}-S0", cluster.running.info.id));
        // A repetition is answered again, with the same id.
        agent.post(mesos::internal::RegisterSlaveMessage {
            slave: v1::AgentInfo { id: None, ..agent.info.clone() },
            version: Some("1.11.0".into()),
            ..Default::default()
        });
        let got = agent.taken().await;
        let [Got::Registered(registered)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(registered.slave_id.value, agent.id());
        assert_eq!(registered.connection.unwrap().total_ping_timeout_seconds, Some(75.0));
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 1);
    });
}

pub(super) fn everything_is_free(state: &serde_json::Value) -> bool {
    let agents = state["slaves"].as_array().unwrap().iter();
    agents.clone().all(|agent| agent["used_resources"]["cpus"] == 0.0)
}

/// Upstream looks the task up on the agent that the update names.
#[test]
fn an_update_says_nothing_of_a_task_of_the_same_id_on_another_agent() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let (agent, other) = (cluster.agent("cpus:2;mem:1024").await, cluster.agent("disk:1").await);
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        other.update(&scheduler.id, "t", TaskState::TaskFailed);
        // The framework is told, as by upstream; it knows which agent it is about.
        let status = scheduler.status().await;
        assert_eq!((status.state(), status.agent_id.unwrap().value), (TaskState::TaskFailed, other.id()));
        let state = cluster.get("/state").await;
        assert_eq!(state["frameworks"][0]["tasks"][0]["state"], "TASK_RUNNING");
        assert!(!everything_is_free(&state));
        assert_eq!(cluster.node.metrics().value("master/invalid_status_updates"), Some(1.0));
        // One that names no agent is not even passed on.
        agent.post(mesos::internal::StatusUpdateMessage {
            update: mesos::internal::StatusUpdate {
                framework_id: v1::FrameworkId { value: scheduler.id.clone() },
                status: v1::TaskStatus {
                    task_id: v1::TaskId { value: "t".into() },
                    state: TaskState::TaskFailed.into(),
                    ..Default::default()
                },
                uuid: Some(cluster.node.random().uuid().as_bytes().to_vec()),
                ..Default::default()
            },
            pid: None,
        });
        assert!(scheduler.pending().await.iter().all(|event| event.r#type() != Type::Update));
        assert_eq!(cluster.node.metrics().value("master/invalid_status_updates"), Some(2.0));
    });
}

#[test]
fn an_agent_that_answers_no_pings_is_unreachable_and_its_tasks_return_with_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        *agent.healthy.lock() = false;
        let before = cluster.node.elapsed();
        let status = scheduler.status().await;
        let after = (cluster.node.elapsed() - before).as_secs();
        assert!((60..=105).contains(&after), "{after}");
        assert_eq!(status.state(), TaskState::TaskUnreachable);
        assert_eq!(status.reason(), Reason::AgentRemoved);
        assert!(status.unreachable_time.is_some());
        assert_eq!(status.uuid, None);
        let lost = scheduler.next_of(Type::Failure).await.failure.unwrap();
        assert_eq!(lost.agent_id.unwrap().value, agent.id());
        assert_eq!(cluster.get("/slaves").await["slaves"], json!([]));
        assert_eq!(cluster.node.metrics().value("master/slaves_unreachable"), Some(1.0));
        // What it sends now is ignored, until it re-registers.
        agent.update(&scheduler.id, "t", TaskState::TaskRunning);
        testing::settle().await;
        *agent.healthy.lock() = true;
        let task = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        agent.reregister(vec![task], vec![framework_info(&scheduler.id)]);
        let back = scheduler.status().await;
        assert_eq!((back.state(), back.reason()), (TaskState::TaskRunning, Reason::AgentReregistered));
        let state = cluster.get("/state").await;
        assert_eq!(state["frameworks"][0]["tasks"][0]["state"], "TASK_RUNNING");
        assert_eq!(state["frameworks"][0]["unreachable_tasks"], json!([]));
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 1.0);
        assert_eq!(cluster.node.metrics().value("master/slaves_unreachable"), Some(0.0));
    });
}

/// Upstream: `SlaveRecoveryTest.ReconcileKillTask`.
#[test]
fn an_agent_that_breaks_off_gets_no_offers_until_it_is_back_and_keeps_its_tasks() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        scheduler.offer().await;
        agent.die().await;
        scheduler.next_of(Type::Rescind).await;
        let slaves = cluster.get("/slaves").await;
        assert_eq!(slaves["slaves"][0]["active"], false);
        // Not checkpointed by the agent's fault: the task is still there.
        assert_eq!(cluster.get("/state").await["frameworks"][0]["tasks"][0]["state"], "TASK_RUNNING");
        // The kill waits for the agent.
        let minute = json!({ "grace_period": { "nanoseconds": 60_000_000_000_i64 } });
        scheduler.call("KILL", json!({ "task_id": { "value": "t" }, "kill_policy": minute })).await;
        agent.revive();
        let task = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        agent.reregister(vec![task], vec![framework_info(&scheduler.id)]);
        let got = agent.taken().await;
        let [Got::Reregistered(answer), Got::Kill(kill), Got::UpdateFramework(update)] = got.as_slice()
        else {
            panic!("{got:?}")
        };
        assert_eq!(answer.reconciliations, []);
        assert_eq!(kill.task_id.value, "t");
        // With the time that it was to have.
        let grace = kill.kill_policy.and_then(|policy| policy.grace_period).map(|grace| grace.nanoseconds);
        assert_eq!(grace, Some(60_000_000_000));
        assert_eq!(update.framework_id.value, scheduler.id);
        scheduler.offer().await;
    });
}

/// Upstream: `SlaveRecoveryTest.RemoveNonCheckpointingFramework`.
#[test]
fn tasks_of_frameworks_that_do_not_checkpoint_are_lost_when_the_agent_breaks_off() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut plain = info();
        plain["checkpoint"] = json!(false);
        let mut scheduler = running_task(&cluster, &agent, plain).await;
        agent.die().await;
        let status = scheduler.status().await;
        assert_eq!(
            (status.state(), status.source(), status.reason()),
            (TaskState::TaskLost, Source::Master, Reason::AgentDisconnected)
        );
        assert_eq!(cluster.get("/state").await["frameworks"][0]["tasks"], json!([]));
    });
}

/// Upstream: `SlaveTest.Shutdown`.
/// Upstream, too: `MasterAllocatorTest.SlaveLost`.
#[test]
fn an_agent_that_unregisters_is_removed_and_its_tasks_are_lost() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let slave_id = agent.info.id.clone().unwrap();
        agent.post(mesos::internal::UnregisterSlaveMessage { slave_id });
        let status = scheduler.status().await;
        assert_eq!((status.state(), status.reason()), (TaskState::TaskLost, Reason::AgentRemoved));
        scheduler.next_of(Type::Failure).await;
        assert_eq!(cluster.get("/slaves").await["slaves"], json!([]));
        let metrics = cluster.node.metrics();
        assert_eq!(metrics.value("master/slave_removals/reason_unregistered"), Some(1.0));
        scheduler.pending().await;
        let total = "cpus:3;mem:256;disk:1024;ports:[31000-32000]";
        let other = cluster.agent(total).await;
        let offer = scheduler.offer().await;
        assert_eq!(offer.agent_id.value, other.id());
        let offered = mesos::Resources::try_from_protos(&offer.resources).unwrap().unallocated();
        assert_eq!(offered, mesos::Resources::parse(total, "*").unwrap());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(scheduler.pending().await.iter().all(|event| event.r#type() != Type::Offers));
    });
}

#[test]
fn an_agent_does_not_move_to_another_machine() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        agent.info.hostname = "elsewhere".into();
        agent.reregister(Vec::new(), Vec::new());
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Shutdown(_)]), "{got:?}");
    });
}

/// Upstream: `SlaveTest.CancelSlaveRemoval`.
#[test]
fn removals_wait_for_the_rate_limit_and_a_pong_cancels_them() {
    testing::run(async {
        let rate = crate::settings::Rate { count: 1, period: Duration::from_secs(600) };
        let settings = crate::Settings { agent_removal_rate_limit: Some(rate), ..Default::default() };
        let cluster = Cluster::with(settings).await;
        let agents = [cluster.agent("cpus:1;mem:32").await, cluster.agent("cpus:1;mem:32").await];
        for agent in &agents {
            *agent.healthy.lock() = false;
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 1);
        for agent in &agents {
            *agent.healthy.lock() = true;
        }
        tokio::time::sleep(Duration::from_secs(900)).await;
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 1);
        let metrics = cluster.node.metrics();
        assert_eq!(metrics.value("master/slave_unreachable_scheduled"), Some(2.0));
        assert_eq!(metrics.value("master/slave_unreachable_canceled"), Some(1.0));
    });
}

/// It has missed the answer to its first message, or is another process: what was sent to it since was ignored.
#[test]
fn an_agent_that_registers_again_with_tasks_in_the_books_is_asked_for_a_report() {
    testing::run(async {
        for (launched, changed) in [(false, false), (true, false), (false, true)] {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            if launched {
                let mut scheduler = cluster.subscribe(info()).await;
                let offer = scheduler.offer().await;
                scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
                assert_eq!(agent.launched().await.len(), 1);
            }
            let mut slave = v1::AgentInfo { id: None, ..agent.info.clone() };
            if changed {
                slave.attributes = mesos::Attributes::parse("rack:1").unwrap().to_protos();
            }
            let version = Some("1.11.0".into());
            agent.post(mesos::internal::RegisterSlaveMessage { slave, version, ..Default::default() });
            let got = agent.taken().await;
            let [Got::Registered(answer)] = got.as_slice() else { panic!("{got:?}") };
            assert_eq!(Some(&answer.slave_id), agent.info.id.as_ref());
            tokio::time::sleep(Duration::from_secs(16)).await;
            assert_eq!(*agent.pinged.lock(), Some(!launched && !changed));

            agent.reregister(Vec::new(), Vec::new());
            let got = agent.taken().await;
            let Some(Got::Reregistered(answer)) = got.first() else { panic!("{got:?}") };
            let missing = answer.reconciliations.iter().flat_map(|of| &of.statuses);
            assert_eq!(missing.count(), usize::from(launched));
            tokio::time::sleep(Duration::from_secs(16)).await;
            assert_eq!(*agent.pinged.lock(), Some(true));
        }
    });
}

/// It could not recover, and starts as a new one. Upstream: `SlaveRecoveryTest.RegisterDisconnectedSlave`.
#[test]
fn an_agent_that_was_away_and_comes_without_its_id_is_another_one() {
    testing::run(async {
        for info in [info(), super::partition::unaware()] {
            let cluster = Cluster::start().await;
            let mut agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = running_task(&cluster, &agent, info).await;
            agent.die().await;
            agent.revive();
            agent.post(mesos::internal::RegisterSlaveMessage {
                slave: v1::AgentInfo { id: None, ..agent.info.clone() },
                version: Some("1.11.0".into()),
                ..Default::default()
            });
            let got = agent.taken().await;
            let [Got::Registered(registered)] = got.as_slice() else { panic!("{got:?}") };
            assert_ne!(registered.slave_id.value, agent.id());
            let lost = scheduler.status().await;
            assert_eq!(
                (lost.state(), lost.source(), lost.reason()),
                (TaskState::TaskLost, Source::Master, Reason::AgentRemoved)
            );
            let text = lost.message.unwrap();
            assert!(text.ends_with(" removed: a new agent registered at the same address"), "{text}");
            assert_eq!(lost.agent_id, agent.info.id);
            let failure = scheduler.next_of(Type::Failure).await.failure.unwrap();
            assert_eq!(failure.agent_id, agent.info.id);
            let shown = cluster.get("/slaves").await["slaves"].clone();
            let known = shown.as_array().unwrap().iter().map(|agent| agent["id"].clone());
            assert_eq!(known.collect::<Vec<_>>(), [json!(registered.slave_id.value)]);
            for (metric, value) in [
                ("tasks_lost", 1.0),
                ("tasks_unreachable", 0.0),
                ("slave_unreachable_scheduled", 0.0),
                ("slave_unreachable_completed", 0.0),
                ("slave_removals", 1.0),
                ("slave_removals/reason_registered", 1.0),
            ] {
                assert_eq!(cluster.metric(&format!("master/{metric}")), value, "{metric}");
            }
            // The new one is pinged, and offered whole.
            scheduler.pending().await;
            tokio::time::sleep(Duration::from_secs(120)).await;
            assert_eq!(cluster.get("/slaves").await["slaves"][0]["active"], true);
            let used = cluster.get("/slaves").await["slaves"][0]["used_resources"]["cpus"].clone();
            assert_eq!(used, 0.0);
        }
    });
}

/// A registration came late, after the agent that it was for had its id.
#[test]
fn there_is_one_agent_at_an_address() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        let ghost = agent.id();
        agent.info.id = Some(v1::AgentId { value: "known".into() });
        agent.reregister(Vec::new(), Vec::new());
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Reregistered(_)]), "{got:?}");
        let shown = cluster.get("/slaves").await["slaves"].clone();
        assert_eq!(shown.as_array().unwrap().len(), 1, "{ghost} is there no more");
        assert_eq!(shown[0]["id"], "known");
        // Its pings are for the one that is there.
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["active"], true);
    });
}

/// It would be taken out of the books right after it was told that it is in them.
#[test]
fn an_agent_that_is_being_removed_is_taken_back_afterwards() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        agent.post(mesos::internal::UnregisterSlaveMessage { slave_id: agent.info.id.clone().unwrap() });
        agent.reregister(Vec::new(), Vec::new());
        assert_eq!(agent.taken().await, []);
        assert_eq!(cluster.get("/slaves").await["slaves"], json!([]));
        // It repeats its message.
        agent.reregister(Vec::new(), Vec::new());
        assert!(matches!(agent.taken().await.as_slice(), [Got::Reregistered(_)]));
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["id"], agent.id());
    });
}
