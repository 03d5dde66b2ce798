//! When agents are removed or marked unreachable, how fast, and what happens when two things happen to an agent at once.

use std::time::Duration;

use libprocess::testing;
use mesos::internal::{ReregisterSlaveMessage, UnregisterSlaveMessage, archive};
use mesos::v1::scheduler::event::Type;
use mesos::v1::{TaskState, scheduler::Event};
use serde_json::json;

use super::agents::{framework_info, reported, running_task};
use super::partition::{bring_back, listed, lose};
use super::shelf::{Shelf, patient};
use super::{Agent, Cluster, Got, Scheduler, capabilities, executor_task, info};
use crate::settings::{Percentage, Rate};
use crate::{EndReason, Settings};

/// Longer than an agent may take to come back.
const TOO_LONG: Duration = Duration::from_secs(601);

fn limited() -> Settings {
    Settings {
        agent_removal_rate_limit: Some(Rate { count: 1, period: Duration::from_secs(60) }),
        ..Settings::default()
    }
}

fn unregister(agent: &Agent) {
    agent.post(UnregisterSlaveMessage { slave_id: agent.info.id.clone().unwrap() });
}

fn failures(events: &[Event]) -> usize {
    events.iter().filter(|event| event.r#type() == Type::Failure).count()
}

/// How many agents were lost while this time passed.
async fn lost_within(scheduler: &mut Scheduler<'_>, time: Duration) -> usize {
    tokio::time::sleep(time).await;
    failures(&scheduler.pending().await)
}

/// Upstream: `MasterTest.AgentRestartNoReregister`, `MasterTest.AgentRestartNoReregisterRateLimit`.
#[test]
fn agents_that_answer_pings_and_do_not_register_again_become_unreachable_one_by_one() {
    testing::run(async {
        let cluster = Cluster::with(limited()).await;
        let mut agents = [cluster.agent("cpus:1;mem:64").await, cluster.agent("disk:1").await];
        let mut scheduler = running_task(&cluster, &agents[0], info()).await;
        for agent in &mut agents {
            agent.die().await;
            agent.revive();
        }
        scheduler.pending().await;
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(599)).await, 0);
        assert_eq!(cluster.get("/state").await["frameworks"][0]["tasks"][0]["state"], "TASK_RUNNING");
        let status = scheduler.status().await;
        assert_eq!(status.state(), TaskState::TaskUnreachable);
        assert_eq!(status.message(), "agent did not reregister within 10mins after disconnecting");
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(58)).await, 1);
        assert_eq!(cluster.metric("master/slave_unreachable_scheduled"), 2.0);
        assert_eq!(cluster.metric("master/slave_unreachable_completed"), 1.0);
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(5)).await, 1);
        assert_eq!(cluster.metric("master/slave_unreachable_completed"), 2.0);
    });
}

/// Upstream: `SlaveTest.RateLimitSlaveRemoval`. The other half, `CancelSlaveRemoval`: `agents.rs`.
#[test]
fn agents_that_fail_their_pings_are_marked_as_the_rate_limit_permits() {
    testing::run(async {
        let cluster = Cluster::with(limited()).await;
        let agents = [cluster.agent("disk:1").await, cluster.agent("disk:1").await];
        let mut scheduler = cluster.subscribe(info()).await;
        for agent in &agents {
            *agent.healthy.lock() = false;
        }
        scheduler.next_of(Type::Failure).await;
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(58)).await, 0);
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(4)).await, 1);
    });
}

/// Upstream: `RateLimiterProcess` passes over permits that were discarded.
#[test]
fn an_agent_that_dies_does_not_wait_behind_those_that_only_seemed_to() {
    testing::run(async {
        let settings = Settings {
            agent_removal_rate_limit: Some(Rate { count: 1, period: Duration::from_secs(600) }),
            ..Settings::default()
        };
        let cluster = Cluster::with(settings).await;
        let mut agents = Vec::new();
        for _ in 0..10 {
            agents.push(cluster.agent("disk:1").await);
        }
        let mut scheduler = cluster.subscribe(info()).await;
        for agent in &agents {
            *agent.healthy.lock() = false;
        }
        scheduler.next_of(Type::Failure).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(cluster.metric("master/slave_unreachable_scheduled"), 10.0);
        for agent in &agents {
            *agent.healthy.lock() = true;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(cluster.metric("master/slave_unreachable_canceled"), 9.0);
        // One of them dies, and its turn is the next.
        *agents[9].healthy.lock() = false;
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(600)).await, 1);
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(3600)).await, 0);
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 8);
    });
}

/// Upstream: `MasterTest.RateLimitRecoveredSlaveRemoval`, `MasterTest.CancelRecoveredSlaveRemoval`,
/// `MasterTest.RecoveredSlaveReregisters`.
#[test]
fn after_a_failover_agents_that_stay_away_are_marked_one_by_one_and_those_that_return_are_spared() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, limited()).await;
        let mut agents = Vec::new();
        for _ in 0..4 {
            agents.push(cluster.agent("disk:1").await);
        }
        let cluster = cluster.fail_over(&shelf, limited()).await;
        let mut scheduler = cluster.subscribe(info()).await;
        agents[0].reregister(Vec::new(), Vec::new());
        assert_eq!(lost_within(&mut scheduler, TOO_LONG).await, 1);
        // Its turn has not come.
        agents[2].reregister(Vec::new(), Vec::new());
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(57)).await, 0);
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(600)).await, 1);
        let known = cluster.get("/slaves").await;
        let ids: Vec<_> = known["slaves"].as_array().unwrap().iter().map(|agent| &agent["id"]).collect();
        assert_eq!(ids, [&json!(agents[0].id()), &json!(agents[2].id())]);
        assert_eq!(known["recovered_slaves"], json!([]));
        for (metric, value) in [
            ("slave_unreachable_scheduled", 3.0),
            ("slave_unreachable_completed", 2.0),
            ("slave_unreachable_canceled", 1.0),
            ("recovery_slave_removals", 2.0),
            ("slave_removals/reason_unhealthy", 2.0),
        ] {
            assert_eq!(cluster.metric(&format!("master/{metric}")), value, "{metric}");
        }
    });
}

/// Upstream's turns are used up by those that have returned.
#[test]
fn after_a_failover_an_agent_that_stays_away_does_not_wait_behind_those_that_return() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, limited()).await;
        let mut agents = Vec::new();
        for _ in 0..4 {
            agents.push(cluster.agent("disk:1").await);
        }
        let cluster = cluster.fail_over(&shelf, limited()).await;
        let mut scheduler = cluster.subscribe(info()).await;
        assert_eq!(lost_within(&mut scheduler, TOO_LONG).await, 1);
        for agent in &agents[1..3] {
            agent.reregister(Vec::new(), Vec::new());
        }
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(62)).await, 1);
        assert_eq!(cluster.get("/slaves").await["recovered_slaves"], json!([]));
        let counted = ["scheduled", "completed", "canceled"]
            .map(|what| cluster.metric(&format!("master/slave_unreachable_{what}")));
        assert_eq!(counted, [4.0, 2.0, 2.0]);
    });
}

/// Upstream's turn comes all the same, and finds it away.
#[test]
fn an_agent_that_was_back_before_its_turn_has_all_of_its_time_when_it_is_away_again() {
    testing::run(async {
        let cluster = Cluster::with(limited()).await;
        let mut agents = [cluster.agent("disk:1").await, cluster.agent("disk:1").await];
        let mut scheduler = cluster.subscribe(info()).await;
        for agent in &mut agents {
            agent.die().await;
            agent.revive();
        }
        scheduler.pending().await;
        assert_eq!(lost_within(&mut scheduler, TOO_LONG).await, 1);
        agents[1].reregister(Vec::new(), Vec::new());
        agents[1].taken().await;
        agents[1].die().await;
        agents[1].revive();
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(590)).await, 0);
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(20)).await, 1);
        let counted = ["scheduled", "completed", "canceled"]
            .map(|what| cluster.metric(&format!("master/slave_unreachable_{what}")));
        assert_eq!(counted, [3.0, 2.0, 1.0]);
    });
}

#[test]
fn a_leader_that_most_agents_do_not_return_to_ends() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let mut agents = Vec::new();
        for _ in 0..4 {
            agents.push(cluster.agent("disk:1").await);
        }
        let careful = || Settings { recovery_agent_removal_limit: Percentage(50.0), ..Settings::default() };
        // Half of them: that is not more than the limit.
        let cluster = cluster.fail_over(&shelf, careful()).await;
        for agent in &agents[..2] {
            agent.reregister(Vec::new(), Vec::new());
        }
        tokio::time::sleep(TOO_LONG).await;
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 2);
        assert!(shelf.has("unreachable", &agents[3].id()));

        let mut cluster = cluster.fail_over(&shelf, careful()).await;
        let reason = cluster.running.wait().await;
        assert_eq!(reason, EndReason::TooManyAgentsLost { lost: 2, known: 2, limit: 50.0 });
        // None of them was marked.
        assert!(shelf.has("agent", &agents[0].id()) && shelf.has("agent", &agents[1].id()));
    });
}

/// Upstream: `MasterTest.RecoveredSlaveReregisterThenUnreachableRace`.
#[test]
fn an_agent_whose_return_is_being_stored_is_not_marked_unreachable() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let mut agent = cluster.agent("disk:1").await;
        let cluster = cluster.fail_over(&shelf, patient()).await;
        let mut scheduler = cluster.subscribe(info()).await;
        shelf.hold();
        agent.info.port = Some(1);
        agent.reregister(Vec::new(), Vec::new());
        assert_eq!(lost_within(&mut scheduler, TOO_LONG).await, 0);
        assert_eq!(shelf.waiting(), 1);
        assert_eq!(cluster.metric("registrar/queued_operations"), 0.0);
        shelf.release().await;
        assert!(matches!(agent.taken().await.as_slice(), [Got::Reregistered(_)]));
        assert_eq!(cluster.metric("master/slave_removals"), 0.0);
    });
}

/// Upstream: `MasterTest.AgentReregistrationDuringMarkingUnreachable` (MESOS-10209).
#[test]
fn an_agent_that_is_being_marked_unreachable_returns_afterwards() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let agent = cluster.agent("disk:1").await;
        let cluster = cluster.fail_over(&shelf, patient()).await;
        shelf.hold();
        tokio::time::sleep(TOO_LONG).await;
        assert_eq!(shelf.waiting(), 1);
        agent.reregister(Vec::new(), Vec::new());
        assert_eq!(agent.taken().await, []);
        shelf.release().await;
        assert!(shelf.has("unreachable", &agent.id()));
        assert_eq!(agent.taken().await, []);
        // It tries again.
        agent.reregister(Vec::new(), Vec::new());
        assert!(matches!(agent.taken().await.as_slice(), [Got::Reregistered(_)]));
        assert!(shelf.has("agent", &agent.id()) && !shelf.has("unreachable", &agent.id()));
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["id"], agent.id());
    });
}

/// Upstream: `SlaveTest.HealthCheckUnregisterRace`.
#[test]
fn an_agent_that_has_left_is_not_marked_unreachable() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let agent = cluster.agent("disk:1").await;
        let mut scheduler = cluster.subscribe(info()).await;
        unregister(&agent);
        scheduler.next_of(Type::Failure).await;
        let stores = shelf.stores();
        let health = crate::agents::observer::Health { agent: agent.id().as_str().into(), healthy: false };
        cluster.running.master.tell(health);
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(1)).await, 0);
        assert_eq!(shelf.stores(), stores);
        assert!(!shelf.has("agent", &agent.id()) && !shelf.has("unreachable", &agent.id()));
    });
}

/// Upstream: `SlaveTest.UnreachableThenUnregisterRace`, `MasterTest.EndpointsForHalfRemovedSlave`.
#[test]
fn an_agent_that_leaves_while_it_is_being_marked_unreachable_is_unreachable() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let agent = cluster.agent("disk:1").await;
        let mut scheduler = cluster.subscribe(info()).await;
        shelf.hold();
        *agent.healthy.lock() = false;
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(95)).await, 0);
        unregister(&agent);
        testing::settle().await;
        // Until the registry is written nothing has changed.
        assert_eq!(shelf.waiting(), 1);
        assert_eq!(cluster.get("/state").await["slaves"][0]["id"], agent.id());
        let removals = || {
            let reasons = ["", "/reason_unhealthy", "/reason_unregistered"];
            reasons.map(|reason| cluster.metric(&format!("master/slave_removals{reason}")))
        };
        assert_eq!(removals(), [0.0; 3]);

        shelf.release().await;
        assert_eq!(failures(&scheduler.pending().await), 1);
        assert_eq!(cluster.get("/state").await["slaves"], json!([]));
        assert_eq!(cluster.get("/state").await["unreachable_slaves"], 1.0);
        assert_eq!(removals(), [1.0, 1.0, 0.0]);
        assert!(shelf.has("unreachable", &agent.id()));
    });
}

/// Upstream: `SlaveTest.UnregisterThenUnreachableRace`.
#[test]
fn an_agent_that_fails_its_pings_while_it_is_being_removed_is_removed() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let agent = cluster.agent("disk:1").await;
        let mut scheduler = cluster.subscribe(info()).await;
        shelf.hold();
        unregister(&agent);
        *agent.healthy.lock() = false;
        assert_eq!(lost_within(&mut scheduler, Duration::from_secs(95)).await, 0);
        assert_eq!(shelf.waiting(), 1);
        assert_eq!(cluster.metric("master/slave_unreachable_scheduled"), 1.0);
        shelf.release().await;
        assert_eq!(failures(&scheduler.pending().await), 1);
        assert!(!shelf.has("agent", &agent.id()) && !shelf.has("unreachable", &agent.id()));
        assert_eq!(cluster.metric("master/slave_removals/reason_unhealthy"), 0.0);
    });
}

/// An unreachable agent that comes back is consulted about in the registry; one that the registry has is not
/// (upstream: `SlaveTest.UnreachableAgentReregisterAfterFailover`, `SlaveTest.RegisteredAgentReregisterAfterFailover`).
#[test]
fn the_registry_is_written_for_an_agent_that_was_unreachable_and_not_for_one_that_it_has() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let (unreachable, known) = (cluster.agent("disk:1").await, cluster.agent("disk:1").await);
        let mut scheduler = cluster.subscribe(info()).await;
        lose(&unreachable, &mut scheduler).await;
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        for (agent, stores) in [(&unreachable, 1), (&known, 0)] {
            let before = shelf.stores();
            agent.taken().await;
            agent.reregister(Vec::new(), Vec::new());
            assert!(matches!(agent.taken().await.as_slice(), [Got::Reregistered(_)]));
            assert_eq!(shelf.stores() - before, stores);
        }
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 2);
    });
}

/// Found by simulation.
#[test]
fn what_is_over_on_an_agent_that_left_and_returns_is_listed_once_and_as_the_agent_knows_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        for before in ["t TASK_LOST", "t TASK_KILLED"] {
            unregister(&agent);
            if before == "t TASK_LOST" {
                assert_eq!(scheduler.status().await.state(), TaskState::TaskLost);
            }
            testing::settle().await;
            assert_eq!(listed(&cluster, "frameworks", "completed_tasks").await, [before]);
            agent.post(ReregisterSlaveMessage {
                slave: agent.info.clone(),
                completed_frameworks: vec![archive::Framework {
                    framework_info: framework_info(&scheduler.id),
                    pid: None,
                    tasks: vec![reported(&agent, &scheduler.id, TaskState::TaskKilled)],
                }],
                version: Some("1.11.0".into()),
                agent_capabilities: capabilities(),
                ..Default::default()
            });
            testing::settle().await;
            assert_eq!(listed(&cluster, "frameworks", "completed_tasks").await, ["t TASK_KILLED"]);
        }
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 1);
    });
}

/// Upstream: `LostTaskCleanup` (MESOS-9940), where the agent is lost by `/machine/down`.
#[test]
fn an_agent_that_left_and_returns_takes_its_running_tasks_out_of_the_past() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        unregister(&agent);
        assert_eq!(scheduler.status().await.state(), TaskState::TaskLost);
        assert_eq!(listed(&cluster, "frameworks", "completed_tasks").await, ["t TASK_LOST"]);
        bring_back(&agent, &scheduler.id, vec![reported(&agent, &scheduler.id, TaskState::TaskRunning)])
            .await;
        assert_eq!(scheduler.status().await.state(), TaskState::TaskRunning);
        assert_eq!(listed(&cluster, "frameworks", "tasks").await, ["t TASK_RUNNING"]);
        assert_eq!(listed(&cluster, "frameworks", "completed_tasks").await, [""; 0]);
    });
}

/// Upstream: `NonCheckpointingFrameworkAgentDisconnectionExecutorOnly` (MESOS-9609).
#[test]
fn an_executor_without_tasks_is_given_up_with_its_agents_connection_and_all_ends_well() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut plain = info();
        plain["checkpoint"] = json!(false);
        let mut scheduler = cluster.subscribe(plain).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("t", &agent, "e", 1.0)])).await;
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let finished = scheduler.status().await;
        scheduler.acknowledge(&finished).await;
        let used = async || cluster.get("/slaves").await["slaves"][0]["used_resources"]["cpus"].clone();
        assert_eq!(used().await, 0.5);
        agent.die().await;
        assert_eq!(used().await, 0.0);
        scheduler.call("TEARDOWN", json!(null)).await;
        tokio::time::sleep(TOO_LONG).await;
        assert_eq!(cluster.get("/state").await["unreachable_slaves"], 1.0);
        assert_eq!(cluster.get("/state").await["slaves"], json!([]));
    });
}
