//! An agent that is drained (upstream: `SlaveTest.Drain...` in `tests/slave_tests.cpp`).

use std::time::Duration;

use libprocess::testing::run;
use mesos::internal::{DrainSlaveMessage, KillTaskMessage, ShutdownFrameworkMessage};
use mesos::v1::TaskState::{
    TaskDropped, TaskFinished, TaskGoneByOperator, TaskKilled, TaskKilling, TaskLost, TaskRunning,
};
use mesos::v1::executor::event::Type;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use mesos::{FrameworkId, TaskId};
use serde_json::json;

use super::harness::*;
use super::http;
use crate::containerizer::Termination;

fn drain(max_grace_period: Option<Duration>, mark_gone: bool) -> DrainSlaveMessage {
    let nanoseconds = |period: Duration| i64::try_from(period.as_nanos()).unwrap();
    let max_grace_period =
        max_grace_period.map(|period| v1::DurationInfo { nanoseconds: nanoseconds(period) });
    DrainSlaveMessage { config: v1::DrainConfig { max_grace_period, mark_gone: Some(mark_gone) } }
}

/// What a framework wants, with so many nanoseconds for it.
fn kill(task: &str, grace: Option<i64>) -> KillTaskMessage {
    let grace_period = grace.map(|nanoseconds| v1::DurationInfo { nanoseconds });
    KillTaskMessage {
        framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
        task_id: TaskId::from(task).to_proto(),
        kill_policy: grace_period.map(|period| v1::KillPolicy { grace_period: Some(period) }),
    }
}

async fn state(world: &World) -> serde_json::Value {
    http::json(world, "/state").await
}

/// A task that asks for 10 s to end.
fn slow_task(id: &str, executor: &str) -> v1::TaskInfo {
    let grace_period = Some(v1::DurationInfo { nanoseconds: 10_000_000_000 });
    v1::TaskInfo { kill_policy: Some(v1::KillPolicy { grace_period }), ..task(id, executor) }
}

/// A task that runs, and its executor.
async fn running(world: &World, framework: &v1::FrameworkInfo, task: v1::TaskInfo) -> TestExecutor {
    let id = task.task_id.value.clone();
    world.run(framework, task).await;
    let executor = world.subscribe("e").await;
    executor.update(&id, TaskRunning).await;
    world.acknowledge(&id).await;
    executor
}

/// How the executor was told to kill, each time; the inner value is its time for it.
fn kills(executor: &TestExecutor) -> Vec<Option<i64>> {
    let kills = executor.events().into_iter().filter_map(|event| event.kill);
    kills
        .map(|kill| kill.kill_policy.and_then(|policy| policy.grace_period).map(|period| period.nanoseconds))
        .collect()
}

/// It may be drained for that.
#[test]
fn an_agent_without_room_drains() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, &framework(true), task("t", "e")).await;
        // In the way of what would be written.
        let config = crate::recovery::paths::Paths::new(directory.path()).drain_config(&AGENT.into());
        std::fs::create_dir(config.with_file_name("drain.config.tmp")).unwrap();
        world.master_says(drain(None, false)).await;
        assert_eq!(kills(&executor).len(), 1);
        executor.update("t", TaskKilled).await;
        assert_eq!(world.updates("t").pop().unwrap().status.reason(), Reason::AgentDraining);
        world.acknowledge("t").await;
        assert!(state(&world).await.get("drain_config").is_none());
    });
}

/// `DrainAgentKillsRunningTask`.
#[test]
fn a_running_task_is_killed_within_the_time_that_the_operator_allows() {
    run(async {
        for (allowed, told) in [
            (None, None),
            (Some(Duration::from_secs(5)), Some(5_000_000_000)),
            (Some(Duration::from_secs(20)), None),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            let executor = running(&world, &framework(false), slow_task("t", "e")).await;
            assert!(state(&world).await.get("drain_config").is_none());
            world.master_says(drain(allowed, false)).await;
            assert_eq!(kills(&executor), [told]);
            let shown = state(&world).await;
            assert_eq!(shown["drain_config"]["mark_gone"], false);
            assert!(shown["estimated_drain_start_time_seconds"].as_u64().unwrap() > 0);

            executor.update("t", TaskKilled).await;
            let update = world.updates("t").pop().unwrap();
            assert_eq!((update.status.state(), update.status.reason()), (TaskKilled, Reason::AgentDraining));
            assert!(state(&world).await.get("drain_config").is_some(), "its framework may not know yet");
            world.acknowledge("t").await;
            assert!(state(&world).await.get("drain_config").is_none());
        }
    });
}

/// The same, `mark_gone`.
/// `SlaveTest.DrainAgentKillsRunningTask`.
#[test]
fn a_task_that_is_killed_on_an_agent_that_will_be_no_more_is_gone() {
    run(async {
        let mut unaware = framework(false);
        unaware.capabilities.truncate(1);
        for (framework, last) in [(framework(false), TaskGoneByOperator), (unaware, TaskKilled)] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            let executor = running(&world, &framework, task("t", "e")).await;
            world.master_says(drain(None, true)).await;
            executor.update("t", TaskKilling).await;
            world.acknowledge("t").await;
            executor.update("t", TaskKilled).await;
            assert_eq!(world.states("t"), [TaskRunning, TaskKilling, last]);
            let reasons = world.updates("t").into_iter().map(|update| update.status.reason());
            assert_eq!(reasons.skip(1).collect::<Vec<_>>(), [Reason::AgentDraining; 2]);
        }
    });
}

#[test]
fn a_task_that_ends_by_itself_is_what_it_is() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, &framework(false), task("t", "e")).await;
        world.master_says(drain(None, true)).await;
        executor.update("t", TaskFinished).await;
        let update = world.updates("t").pop().unwrap();
        assert_eq!((update.status.state(), update.status.reason), (TaskFinished, None));
    });
}

#[test]
fn an_executor_whose_connection_was_broken_is_told_when_it_is_back() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let earlier = running(&world, &framework(false), slow_task("t", "e")).await;
        world.master_says(drain(Some(Duration::from_secs(5)), false)).await;
        assert_eq!(kills(&earlier), [Some(5_000_000_000)]);
        // One that does not say how takes nothing back.
        world.master_says(kill("t", None)).await;
        let executor = world.subscribe("e").await;
        assert_eq!(kills(&executor), [Some(5_000_000_000)]);
    });
}

/// `DrainAgentKillsQueuedTask`.
#[test]
fn a_queued_task_is_killed_before_its_executor_comes() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        world.master_says(drain(None, false)).await;
        let update = world.updates("t").remove(0);
        assert_eq!((update.status.state(), update.status.reason()), (TaskKilled, Reason::AgentDraining));
        assert_eq!(world.subscribe("e").await.kinds(), [Type::Shutdown]);
    });
}

/// It waits until directories of its framework will not be deleted. That framework may be over meanwhile.
#[test]
fn an_agent_with_only_a_pending_task_is_drained_with_it() {
    run(async {
        for is_over in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let config = directory.path().join(format!("meta/slaves/{AGENT}/drain.config"));
            let world = World::registered(directory.path()).await;
            running(&world, &framework(false), task("t", "e")).await.update("t", TaskFinished).await;
            world.acknowledge("t").await;
            world.end(&world.container("e"), Termination::default()).await;
            world.master_goes_on(run_task(&framework(false), task("t2", "e"), Some(true)));
            if is_over {
                let framework_id = FrameworkId::from(FRAMEWORK).to_proto();
                world.master_goes_on(ShutdownFrameworkMessage { framework_id });
            }
            world.master_says(drain(None, false)).await;
            assert_eq!(world.containers.lock().launched.len(), 1);
            assert!(state(&world).await.get("drain_config").is_none() && !config.exists());
            let updates = world.updates("t2").into_iter().map(|update| update.status);
            let told: Vec<_> = updates.map(|status| (status.state(), status.reason())).collect();
            let killed = (TaskKilled, Reason::AgentDraining);
            assert_eq!(told, if is_over { vec![] } else { vec![killed] });
            assert_eq!(running(&world, &framework(false), task("t3", "e")).await.launched(), ["t3"]);
        }
    });
}

/// `DrainingAgentRejectLaunch`.
#[test]
fn no_task_is_launched_until_the_last_one_is_over() {
    run(async {
        for (aware, state) in [(true, TaskDropped), (false, TaskLost)] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            let mut info = framework(false);
            if !aware {
                info.capabilities.truncate(1);
            }
            let executor = running(&world, &info, task("t", "e")).await;
            world.master_says(drain(None, false)).await;
            world.run_expecting(&info, task("t2", "e2"), Some(true)).await;
            world.run_expecting(&info, task("t3", "e"), Some(false)).await;
            for id in ["t2", "t3"] {
                let update = world.updates(id).remove(0);
                assert_eq!((update.status.state(), update.status.reason()), (state, Reason::AgentDraining));
                assert_eq!(update.status.message(), "Task was received while agent was already draining");
            }
            let exited: Vec<String> = world
                .hears()
                .into_iter()
                .filter_map(|heard| match heard {
                    Heard::Exited(message) => Some(message.executor_id.value),
                    _ => None,
                })
                .collect();
            assert_eq!(exited, ["e2"], "the master expects this one to be launched");
            assert_eq!(world.containers.lock().launched.len(), 1);

            // Its executor goes on: it may have another task all the same.
            executor.update("t", TaskKilled).await;
            world.acknowledge("t").await;
            world.run_expecting(&info, task("t4", "e"), Some(false)).await;
            assert_eq!(executor.launched(), ["t", "t4"]);
        }
    });
}

/// `CheckpointedDrainInfo`.
#[test]
fn a_restarted_agent_drains_on() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join(format!("meta/slaves/{AGENT}/drain.config"));
        let world = World::registered(directory.path()).await;
        let executor = running(&world, &framework(true), task("t", "e")).await;
        assert!(!config.exists());
        world.master_says(drain(Some(Duration::from_secs(5)), false)).await;
        assert_eq!(kills(&executor), [Some(5_000_000_000)]);
        world.crash().await;
        assert!(config.exists());

        let world = World::new(directory.path()).await;
        let executor = world.subscribe("e").await;
        assert_eq!(kills(&executor), [Some(5_000_000_000)]);
        assert_eq!(
            state(&world).await["drain_config"]["max_grace_period"],
            json!({ "nanoseconds": 5_000_000_000_i64 })
        );
        world.pass(Duration::from_secs(1)).await;
        executor.update("t", TaskKilled).await;
        assert_eq!(world.updates("t").pop().unwrap().status.reason(), Reason::AgentDraining);
        world.acknowledge("t").await;
        assert!(!config.exists());
        assert!(state(&world).await.get("drain_config").is_none());
    });
}

#[test]
fn an_agent_that_comes_back_empty_is_not_drained_any_more() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join(format!("meta/slaves/{AGENT}/drain.config"));
        let world = World::registered(directory.path()).await;
        // Of this framework nothing is kept.
        running(&world, &framework(false), task("t", "e")).await;
        world.master_says(drain(None, false)).await;
        world.crash().await;
        assert!(config.exists());
        let world = World::new(directory.path()).await.once_registered().await;
        assert!(!config.exists());
        running(&world, &framework(false), task("t2", "e")).await;
        assert_eq!(world.states("t2"), [TaskState::TaskRunning]);
    });
}

#[test]
fn an_empty_agent_has_nothing_to_drain_and_only_its_master_may_say_so() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(drain(None, false)).await;
        assert!(state(&world).await.get("drain_config").is_none());
        let executor = running(&world, &framework(false), task("t", "e")).await;
        world.stranger_says(drain(None, false)).await;
        assert!(kills(&executor).is_empty());
    });
}

/// It may not have heard it the first time. (Upstream does not.)
#[test]
fn a_kill_is_repeated_to_an_executor_that_subscribes_again_until_its_task_is_over() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let earlier = running(&world, &framework(false), slow_task("t", "e")).await;
        world.master_says(kill("t", Some(7))).await;
        assert_eq!(kills(&earlier), [Some(7)]);
        let executor = world.subscribe("e").await;
        assert_eq!(kills(&executor), [Some(7)]);
        executor.update("t", TaskKilled).await;
        assert_eq!(kills(&world.subscribe("e").await), []);
    });
}
