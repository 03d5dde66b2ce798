//! The registry forgets agents that have been unreachable for long, or are too many (upstream: `RegistryGc*` of
//! `partition_tests.cpp`).

use std::time::Duration;

use libprocess::testing;
use mesos::tasks::time_info;
use mesos::v1::TaskState;
use serde_json::json;

use super::agents::{reported, running_task};
use super::partition::{asked, bring_back, listed, lose};
use super::shelf::{Shelf, patient};
use super::{Cluster, Got, info};
use crate::Settings;

const MINUTE: Duration = Duration::from_secs(60);

/// Upstream: `PartitionTest.RegistryGcByCount`.
#[test]
fn the_agent_that_has_been_unreachable_for_longest_is_forgotten_when_there_are_too_many() {
    testing::run(async {
        let shelf = Shelf::default();
        let settings = Settings { registry_max_agent_count: 1, ..Settings::default() };
        let cluster = Cluster::on(&shelf, settings).await;
        let mut scheduler = cluster.subscribe(info()).await;
        let mut agents = Vec::new();
        for _ in 0..2 {
            let agent = cluster.agent("disk:1").await;
            lose(&agent, &mut scheduler).await;
            agents.push(agent);
        }
        for agent in &agents {
            let status = asked(&mut scheduler, "t", &agent.id()).await;
            assert_eq!(status.state(), TaskState::TaskUnreachable);
        }
        tokio::time::sleep(15 * MINUTE).await;
        let status = asked(&mut scheduler, "t", &agents[0].id()).await;
        assert_eq!((status.state(), status.unreachable_time), (TaskState::TaskUnknown, None));
        assert_eq!(asked(&mut scheduler, "t", &agents[1].id()).await.state(), TaskState::TaskUnreachable);
        assert_eq!([0, 1].map(|i| shelf.has("unreachable", &agents[i].id())), [false, true]);
    });
}

/// Upstream: `PartitionTest.RegistryGcByAge`, with its times.
#[test]
fn agents_are_forgotten_that_have_been_unreachable_for_too_long() {
    testing::run(async {
        let settings = Settings {
            registry_gc_interval: 15 * MINUTE,
            registry_max_agent_age: 20 * MINUTE,
            ..Settings::default()
        };
        let cluster = Cluster::with(settings).await;
        let start = cluster.node.elapsed();
        let until = |minutes: u32| {
            let left =
                (start + minutes * MINUTE + Duration::from_secs(1)).saturating_sub(cluster.node.elapsed());
            tokio::time::sleep(left)
        };
        let mut scheduler = cluster.subscribe(info()).await;
        let first = cluster.agent("disk:1").await;
        lose(&first, &mut scheduler).await;
        let first_since = time_info(cluster.node.now());
        until(10).await;
        let second = cluster.agent("disk:1").await;
        lose(&second, &mut scheduler).await;
        let second_since = time_info(cluster.node.now());

        let (unreachable, unknown) = (TaskState::TaskUnreachable, TaskState::TaskUnknown);
        for (minutes, of_first, of_second) in [
            (15, (unreachable, Some(first_since)), (unreachable, Some(second_since))),
            (30, (unknown, None), (unreachable, Some(second_since))),
            (45, (unknown, None), (unknown, None)),
        ] {
            until(minutes).await;
            for (agent, expected) in [(&first, of_first), (&second, of_second)] {
                let status = asked(&mut scheduler, "t", &agent.id()).await;
                assert_eq!((status.state(), status.unreachable_time), expected, "after {minutes} minutes");
            }
        }
    });
}

/// Upstream: `PartitionTest.RegistryGcRace`.
#[test]
fn an_agent_that_returns_while_it_is_being_forgotten_is_registered() {
    testing::run(async {
        let shelf = Shelf::default();
        let settings = Settings { registry_max_agent_count: 1, ..patient() };
        let cluster = Cluster::on(&shelf, settings).await;
        let mut scheduler = cluster.subscribe(info()).await;
        let mut agents = Vec::new();
        for _ in 0..3 {
            let agent = cluster.agent("disk:1").await;
            lose(&agent, &mut scheduler).await;
            agents.push(agent);
        }
        shelf.hold();
        agents[1].reregister(Vec::new(), Vec::new());
        tokio::time::sleep(15 * MINUTE).await;
        // The one waits for the registry, the other for its turn.
        assert_eq!(shelf.waiting(), 1);
        assert_eq!(cluster.metric("registrar/queued_operations"), 1.0);
        agents[1].taken().await;
        shelf.release().await;
        let got = agents[1].taken().await;
        assert!(matches!(got.as_slice(), [Got::Reregistered(_)]), "{got:?}");
        let states = [TaskState::TaskUnknown, TaskState::TaskGone, TaskState::TaskUnreachable];
        for (agent, state) in agents.iter().zip(states) {
            let status = asked(&mut scheduler, "t", &agent.id()).await;
            assert_eq!(status.state(), state, "{}", agent.id());
            assert_eq!(status.unreachable_time.is_some(), state == TaskState::TaskUnreachable);
        }
        assert!(shelf.has("agent", &agents[1].id()));
    });
}

#[test]
fn an_agent_that_was_forgotten_returns_with_its_tasks() {
    testing::run(async {
        let shelf = Shelf::default();
        let settings = Settings { registry_max_agent_count: 0, ..Settings::default() };
        let cluster = Cluster::on(&shelf, settings).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        lose(&agent, &mut scheduler).await;
        tokio::time::sleep(15 * MINUTE).await;
        assert!(!shelf.has("unreachable", &agent.id()) && !shelf.has("agent", &agent.id()));
        // Nobody is shown what ran there, and its id may be used again (upstream: `_doRegistryGc`).
        assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, [""; 0]);
        assert_eq!(cluster.metric("master/tasks_unreachable"), 0.0);
        let task = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        bring_back(&agent, &scheduler.id, vec![task]).await;
        let status = scheduler.status().await;
        assert_eq!(
            (status.state(), status.message()),
            (TaskState::TaskRunning, "Unknown agent reregistered")
        );
        assert!(shelf.has("agent", &agent.id()));
        // Nor is its task among the unreachable ones any more.
        assert_eq!(listed(&cluster, "frameworks", "tasks").await, ["t TASK_RUNNING"]);
        assert_eq!(listed(&cluster, "frameworks", "unreachable_tasks").await, [""; 0]);
    });
}

/// Upstream: `MasterTest.RegistryGcByCount`.
#[test]
fn the_agent_that_has_been_gone_for_longest_is_forgotten_when_there_are_too_many() {
    testing::run(async {
        let shelf = Shelf::default();
        let settings = Settings { registry_max_agent_count: 1, ..Settings::default() };
        let cluster = Cluster::on(&shelf, settings).await;
        let mut scheduler = cluster.subscribe(info()).await;
        let mut agents = Vec::new();
        for _ in 0..2 {
            let agent = cluster.agent("disk:1").await;
            let gone = json!({
                "type": "MARK_AGENT_GONE", "mark_agent_gone": { "agent_id": { "value": agent.id() } }
            });
            assert_eq!(cluster.api(gone).await.0, 200);
            agents.push(agent);
            tokio::time::sleep(MINUTE).await;
        }
        for agent in &agents {
            assert_eq!(asked(&mut scheduler, "t", &agent.id()).await.state(), TaskState::TaskGoneByOperator);
        }
        tokio::time::sleep(15 * MINUTE).await;
        assert_eq!(asked(&mut scheduler, "t", &agents[0].id()).await.state(), TaskState::TaskUnknown);
        assert_eq!(asked(&mut scheduler, "t", &agents[1].id()).await.state(), TaskState::TaskGoneByOperator);
        assert_eq!([0, 1].map(|i| shelf.has("gone", &agents[i].id())), [false, true]);
    });
}
