//! Agents that an operator drains, deactivates and reactivates (upstream: `tests/master_draining_tests.cpp`).

use std::time::Duration;

use libprocess::testing;
use mesos::internal::DrainSlaveMessage;
use mesos::v1::scheduler::event::Type;
use mesos::v1::{self, TaskState};
use serde_json::{Value, json};

use super::agents::{framework_info, reported, running_task};
use super::{Agent, Cluster, Got, Scheduler, info, task};
use crate::Settings;

fn ok() -> (u16, String) {
    (200, String::new())
}

fn bad(text: &str) -> (u16, String) {
    (400, text.to_owned())
}

fn drain_with(agent: &str, more: Value) -> Value {
    let mut call = more;
    call["agent_id"] = json!({ "value": agent });
    json!({ "type": "DRAIN_AGENT", "drain_agent": call })
}

fn drain(agent: &str) -> Value {
    drain_with(agent, json!({}))
}

fn deactivate(agent: &str) -> Value {
    json!({ "type": "DEACTIVATE_AGENT", "deactivate_agent": { "agent_id": { "value": agent } } })
}

fn reactivate(agent: &str) -> Value {
    json!({ "type": "REACTIVATE_AGENT", "reactivate_agent": { "agent_id": { "value": agent } } })
}

/// How `/slaves` shows the agent: its state of draining, deactivated, active.
async fn shown(cluster: &Cluster) -> (Value, bool, bool) {
    let agent = &cluster.get("/slaves").await["slaves"][0];
    (
        agent["drain_info"]["state"].clone(),
        agent["deactivated"].as_bool().unwrap(),
        agent["active"].as_bool().unwrap(),
    )
}

/// The configurations that the agent was told to drain with since the last time.
async fn told_to_drain(agent: &Agent) -> Vec<v1::DrainConfig> {
    let told = agent.taken().await.into_iter();
    told.filter_map(|got| match got {
        Got::Drain(DrainSlaveMessage { config }) => Some(config),
        _ => None,
    })
    .collect()
}

/// The task is over, and its framework knows.
async fn end_task(agent: &Agent, scheduler: &mut Scheduler<'_>, state: TaskState) {
    agent.update(&scheduler.id, "t", state);
    let status = scheduler.status().await;
    assert_eq!(status.state(), state);
    scheduler.acknowledge(&status).await;
}

/// Until nothing is offered.
async fn gets_no_offer(scheduler: &mut Scheduler<'_>) {
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(scheduler.pending().await.iter().all(|event| event.r#type() != Type::Offers));
}

/// `MasterAlreadyDrainedTest.DrainAgent`.
#[test]
fn an_empty_agent_is_drained_at_once() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:1;mem:32").await;
        assert!(cluster.get("/slaves").await["slaves"][0].get("drain_info").is_none());
        let call = drain_with(&agent.id(), json!({ "max_grace_period": { "seconds": 10 } }));
        assert_eq!(cluster.api(call).await, ok());
        let expected = json!({
            "state": "DRAINED", "config": { "max_grace_period": { "nanoseconds": 10_000_000_000_i64 }, "mark_gone": false }
        });
        for path in ["/slaves", "/state", "/state-summary"] {
            let agent = &cluster.get(path).await["slaves"][0];
            assert_eq!(agent["drain_info"], expected, "{path}");
            assert!(agent["estimated_drain_start_time_seconds"].as_f64().unwrap() > 0.0, "{path}");
            assert_eq!((&agent["deactivated"], &agent["active"]), (&json!(true), &json!(false)), "{path}");
        }
        let told = told_to_drain(&agent).await;
        assert_eq!(told[0].max_grace_period, Some(v1::DurationInfo { nanoseconds: 10_000_000_000 }));
        let registry = cluster.get("/registrar(1)/registry").await;
        assert_eq!(registry["slaves"]["slaves"][0]["drain_info"], expected);
        assert_eq!(registry["minimum_capabilities"], json!([{ "capability": "AGENT_DRAINING" }]));
    });
}

/// `MasterAlreadyDrainedTest.ReactivateDisconnectedAgent`.
#[test]
fn an_agent_that_is_reactivated_while_it_is_away_is_offered_when_it_is_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        assert_eq!(cluster.api(drain(&agent.id())).await, ok());
        assert_eq!(told_to_drain(&agent).await.len(), 1);
        agent.die().await;
        let mut scheduler = cluster.subscribe(info()).await;
        assert_eq!(cluster.api(reactivate(&agent.id())).await, ok());
        gets_no_offer(&mut scheduler).await;
        agent.revive();
        agent.reregister(Vec::new(), Vec::new());
        assert!(told_to_drain(&agent).await.is_empty());
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
        assert_eq!(agent.launched().await.len(), 1);
    });
}

/// `MasterAlreadyDrainedTest.DrainAgentMarkGone`.
#[test]
fn an_empty_agent_that_is_to_be_gone_is_gone_at_once() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:1;mem:32").await;
        assert_eq!(cluster.api(drain_with(&agent.id(), json!({ "mark_gone": true }))).await, ok());
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Drain(_), Got::Shutdown(_)]), "{got:?}");
        assert_eq!(cluster.get("/slaves").await["slaves"], json!([]));
        assert_eq!(cluster.api(drain(&agent.id())).await, bad("Unknown agent"));
    });
}

/// `MasterAlreadyDrainedTest.DrainAgentDisconnected` and `MasterDrainingTest.DrainAgentDisconnected`.
#[test]
fn an_agent_that_is_away_is_told_to_drain_when_it_is_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        agent.die().await;
        assert_eq!(shown(&cluster).await, (Value::Null, false, false));
        assert_eq!(cluster.api(drain(&agent.id())).await, ok());
        assert_eq!(shown(&cluster).await, (json!("DRAINING"), true, false));

        agent.revive();
        let running = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        agent.reregister(vec![running], vec![framework_info(&scheduler.id)]);
        assert_eq!(told_to_drain(&agent).await.len(), 1);
        assert_eq!(shown(&cluster).await, (json!("DRAINING"), true, false));
        end_task(&agent, &mut scheduler, TaskState::TaskKilled).await;
        assert_eq!(shown(&cluster).await, (json!("DRAINED"), true, false));
        assert_eq!(cluster.api(reactivate(&agent.id())).await, ok());
        assert_eq!(scheduler.offer().await.agent_id.value, agent.id());
    });
}

/// `MasterAlreadyDrainedTest.DrainAgentUnreachable` and `MasterDrainingTest.DrainAgentUnreachable`.
#[test]
fn an_unreachable_agent_is_told_to_drain_when_it_is_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        *agent.healthy.lock() = false;
        tokio::time::sleep(Duration::from_secs(91)).await;
        testing::settle().await;
        assert_eq!(scheduler.status().await.state(), TaskState::TaskUnreachable);
        assert_eq!(cluster.api(drain(&agent.id())).await, ok());
        let unreachable = &cluster.get("/registrar(1)/registry").await["unreachable"]["slaves"][0];
        assert_eq!(unreachable["drain_info"]["state"], "DRAINING");
        assert!(told_to_drain(&agent).await.is_empty());

        *agent.healthy.lock() = true;
        let running = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        agent.reregister(vec![running], vec![framework_info(&scheduler.id)]);
        assert_eq!(told_to_drain(&agent).await.len(), 1);
        assert_eq!(scheduler.status().await.state(), TaskState::TaskRunning);
        assert_eq!(shown(&cluster).await, (json!("DRAINING"), true, false));
        end_task(&agent, &mut scheduler, TaskState::TaskKilled).await;
        assert_eq!(shown(&cluster).await, (json!("DRAINED"), true, false));
        assert_eq!(cluster.api(reactivate(&agent.id())).await, ok());
        assert_eq!(scheduler.offer().await.agent_id.value, agent.id());
    });
}

/// `MasterDrainingTest.DrainAgent`, `MasterDrainingTest2.DisallowReactivationWhileDraining`.
#[test]
fn an_agent_is_drained_when_its_last_task_is_acknowledged() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        // What the task left is offered, and taken back.
        let offer = scheduler.offer().await;
        assert_eq!(cluster.api(drain(&agent.id())).await, ok());
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        assert_eq!(shown(&cluster).await, (json!("DRAINING"), true, false));
        let refused = bad("Agent is still in the DRAINING state");
        assert_eq!(cluster.api(reactivate(&agent.id())).await, refused);

        agent.update(&scheduler.id, "t", TaskState::TaskKilled);
        let killed = scheduler.status().await;
        assert_eq!(shown(&cluster).await.0, "DRAINING", "its framework may not know yet");
        scheduler.acknowledge(&killed).await;
        assert_eq!(shown(&cluster).await, (json!("DRAINED"), true, false));
        gets_no_offer(&mut scheduler).await;

        assert_eq!(cluster.api(reactivate(&agent.id())).await, ok());
        let offer = scheduler.offer().await;
        assert_eq!(super::amount(&offer.resources, "cpus"), 2.0);
        assert_eq!(shown(&cluster).await, (Value::Null, false, true));
        let registry = cluster.get("/registrar(1)/registry").await;
        assert_eq!(registry.get("minimum_capabilities").unwrap_or(&json!([])), &json!([]));
        assert_eq!(cluster.api(reactivate(&agent.id())).await, bad("Agent is not deactivated"));
    });
}

/// `MasterDrainingTest.DrainAgentMarkGone`.
#[test]
fn an_agent_that_is_to_be_gone_is_gone_when_its_last_task_is_acknowledged() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        assert_eq!(cluster.api(drain_with(&agent.id(), json!({ "mark_gone": true }))).await, ok());
        assert!(matches!(agent.taken().await.as_slice(), [Got::Drain(_)]));
        end_task(&agent, &mut scheduler, TaskState::TaskGoneByOperator).await;
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Acknowledged(_), Got::Shutdown(_)]), "{got:?}");
        assert_eq!(cluster.get("/slaves").await["slaves"], json!([]));
        let gone = &cluster.get("/registrar(1)/registry").await["gone"]["slaves"][0];
        assert_eq!(gone["id"]["value"], json!(agent.id()));
    });
}

/// Upstream waits until something else happens on the agent.
#[test]
fn an_agent_is_drained_when_the_framework_of_its_last_task_is_torn_down() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, info()).await;
        assert_eq!(cluster.api(drain(&agent.id())).await, ok());
        assert_eq!(shown(&cluster).await.0, "DRAINING");
        scheduler.call("TEARDOWN", Value::Null).await;
        assert_eq!(shown(&cluster).await.0, "DRAINED");
    });
}

#[test]
fn a_deactivated_agent_runs_on_and_is_offered_to_nobody() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let offer = scheduler.offer().await;
        assert_eq!(cluster.api(deactivate(&agent.id())).await, ok());
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        assert_eq!(shown(&cluster).await, (Value::Null, true, false));
        gets_no_offer(&mut scheduler).await;

        // Its connection breaks, and it comes back.
        agent.die().await;
        agent.revive();
        let running = vec![reported(&agent, &scheduler.id, TaskState::TaskRunning)];
        agent.reregister(running.clone(), vec![framework_info(&scheduler.id)]);
        assert!(told_to_drain(&agent).await.is_empty());
        gets_no_offer(&mut scheduler).await;

        // It does not answer, and comes back.
        *agent.healthy.lock() = false;
        tokio::time::sleep(Duration::from_secs(91)).await;
        testing::settle().await;
        *agent.healthy.lock() = true;
        agent.reregister(running.clone(), vec![framework_info(&scheduler.id)]);
        gets_no_offer(&mut scheduler).await;
        assert_eq!(shown(&cluster).await, (Value::Null, true, false));
        let task = &cluster.get("/state").await["frameworks"][0]["tasks"][0];
        assert_eq!(task["state"], "TASK_RUNNING");

        assert_eq!(cluster.api(reactivate(&agent.id())).await, ok());
        assert_eq!(scheduler.offer().await.agent_id.value, agent.id());
    });
}

#[test]
fn the_next_master_knows_what_was_decided_of_its_agents() {
    testing::run(async {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { work_dir: Some(directory.path().to_owned()), ..Settings::default() };
        let first = Cluster::with(settings.clone()).await;
        let drained = first.agent("cpus:1;mem:32").await.id();
        let deactivated = first.agent("cpus:2;mem:32").await.id();
        let active = first.agent("cpus:4;mem:32").await.id();
        assert_eq!(
            first.api(drain_with(&drained, json!({ "max_grace_period": { "seconds": 5 } }))).await,
            ok()
        );
        assert_eq!(first.api(deactivate(&deactivated)).await, ok());
        first.running.shutdown().await;

        let second = Cluster::with(settings).await;
        super::failover::wait_until_recovered(&second).await;
        // Before it is back, too.
        assert_eq!(second.api(deactivate(&active)).await, ok());
        assert_eq!(second.api(reactivate(&active)).await, ok());
        let returns = async |id: &str, resources: &str| {
            let mut agent = second.stranger(resources);
            agent.info.id = Some(v1::AgentId { value: id.into() });
            agent.reregister(Vec::new(), Vec::new());
            for _ in 0..10_000 {
                if second.get(&format!("/slaves?slave_id={id}")).await["slaves"] != json!([]) {
                    break;
                }
                testing::settle().await;
            }
            agent
        };
        let agent = returns(&drained, "cpus:1;mem:32").await;
        let told = told_to_drain(&agent).await;
        assert_eq!(told[0].max_grace_period, Some(v1::DurationInfo { nanoseconds: 5_000_000_000 }));
        let agent = returns(&deactivated, "cpus:2;mem:32").await;
        assert!(told_to_drain(&agent).await.is_empty());
        returns(&active, "cpus:4;mem:32").await;
        let mut scheduler = second.subscribe(info()).await;
        let offers = scheduler.next_of(Type::Offers).await.offers.unwrap().offers;
        let offered: Vec<&String> = offers.iter().map(|offer| &offer.agent_id.value).collect();
        assert_eq!(offered, [&active]);
        gets_no_offer(&mut scheduler).await;
        for (id, state) in [(&drained, json!("DRAINED")), (&deactivated, Value::Null)] {
            let agent = &second.get(&format!("/slaves?slave_id={id}")).await["slaves"][0];
            assert_eq!((&agent["deactivated"], &agent["drain_info"]["state"]), (&json!(true), &state));
        }
    });
}

#[test]
fn what_cannot_be_drained_is_refused_with_the_reason() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for call in [drain("x"), deactivate("x")] {
            assert_eq!(cluster.api(call).await, bad("Unknown agent"));
        }
        assert_eq!(cluster.api(reactivate("x")).await, bad("Agent is not deactivated"));
        let agent = cluster.agent("cpus:1;mem:32").await;
        let negative = drain_with(&agent.id(), json!({ "max_grace_period": { "seconds": -1 } }));
        let (status, text) = cluster.api(negative).await;
        assert_eq!(status, 400);
        assert!(text.starts_with("Invalid 'max_grace_period': -1 seconds"), "{text}");
        let endless = drain_with(&agent.id(), json!({ "max_grace_period": { "seconds": i64::MAX } }));
        assert_eq!(cluster.api(endless).await.0, 400);

        // One of a version that knows nothing of it.
        agent.post(mesos::internal::ReregisterSlaveMessage {
            slave: agent.info.clone(),
            version: Some("1.8.0".into()),
            agent_capabilities: mesos::AgentCapabilities { multi_role: true, ..Default::default() }
                .to_protos(),
            ..Default::default()
        });
        agent.taken().await;
        let text = format!("Agent {} is not capable of draining", agent.id());
        assert_eq!(cluster.api(drain(&agent.id())).await, bad(&text));
        assert_eq!(shown(&cluster).await, (Value::Null, false, true));
    });
}
