//! Task groups: launched, killed and dropped together.

use std::time::Duration;

use libprocess::testing::run;
use mesos::internal::{KillTaskMessage, RunTaskGroupMessage, ShutdownExecutorMessage};
use mesos::v1::executor::event;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use mesos::{ExecutorId, FrameworkId, TaskId};

use super::harness::*;
use crate::containerizer::Termination;

/// A group of two tasks under executor `e`.
pub(super) fn group(ids: [&str; 2], launch_executor: bool) -> RunTaskGroupMessage {
    let tasks = ids.map(|id| task(id, "e"));
    RunTaskGroupMessage {
        framework: framework(true),
        executor: tasks[0].executor.clone().unwrap(),
        task_group: v1::TaskGroupInfo { tasks: tasks.to_vec() },
        launch_executor: Some(launch_executor),
        ..Default::default()
    }
}

fn kill_of(task: &str) -> KillTaskMessage {
    KillTaskMessage {
        framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
        task_id: TaskId::from(task).to_proto(),
        kill_policy: None,
    }
}

async fn kill(world: &World, task: &str) {
    world.master_says(kill_of(task)).await;
}

/// Which tasks came in each LAUNCH_GROUP.
fn groups(executor: &TestExecutor) -> Vec<Vec<String>> {
    let groups = executor.events().into_iter().filter_map(|event| event.launch_group);
    groups.map(|group| group.task_group.tasks.into_iter().map(|task| task.task_id.value).collect()).collect()
}

/// Upstream: `SlaveTest.RunTaskGroup`.
#[test]
fn an_executor_gets_each_group_in_one_event() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(group(["a", "b"], true)).await;
        assert_eq!(world.containers.lock().launched.len(), 1);
        let executor = world.subscribe("e").await;
        assert_eq!(groups(&executor), [["a", "b"]]);
        world.master_says(group(["c", "d"], false)).await;
        assert_eq!(groups(&executor), [["a", "b"], ["c", "d"]]);
        assert!(executor.launched().is_empty());
        executor.update("b", TaskState::TaskRunning).await;
        assert_eq!(world.states("b"), [TaskState::TaskRunning]);
    });
}

/// Upstream: `SlaveTest.KillQueuedTaskGroup`.
#[test]
fn a_group_of_which_one_task_is_killed_before_it_is_sent_is_killed() {
    run(async {
        for killed in ["a", "d"] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            world.master_says(group(["a", "b"], true)).await;
            world.master_says(group(["c", "d"], false)).await;
            kill(&world, killed).await;
            let (over, left) =
                if killed == "a" { (["a", "b"], ["c", "d"]) } else { (["c", "d"], ["a", "b"]) };
            for task in over {
                let update = world.updates(task).pop().unwrap();
                assert_eq!(update.status.state(), TaskState::TaskKilled);
                assert_eq!(update.status.reason(), Reason::TaskKilledDuringLaunch);
                let why = "A task within the task group was killed before delivery to the executor";
                assert_eq!(update.status.message(), why);
            }
            assert!(left.iter().all(|task| world.states(task).is_empty()));
            let executor = world.subscribe("e").await;
            assert_eq!(groups(&executor), [left]);
        }
    });
}

/// A world where the framework was before, so that its launches wait until their directories will not be deleted.
async fn world_of_before(directory: &std::path::Path) -> World {
    let world = World::registered(directory).await;
    world.run(&framework(true), task("before", "e")).await;
    world.end(&world.container("e"), Termination::default()).await;
    world.acknowledge("before").await;
    assert_eq!(world.containers.lock().launched.len(), 1);
    world.forget();
    world
}

/// Upstream: `SlaveTest.LaunchTasksReorderUnscheduleGC`.
#[test]
fn groups_that_wait_for_their_directories_are_launched_in_the_order_in_which_they_came() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = world_of_before(directory.path()).await;
        world.master_goes_on(group(["a", "b"], true));
        world.master_goes_on(group(["c", "d"], false));
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.containers.lock().launched.len(), 2);
        assert_eq!(groups(&world.subscribe("e").await), [["a", "b"], ["c", "d"]]);
    });
}

/// Those that come with an executor take it along; the others wanted it, and are dropped.
/// Upstream: `SlaveTest.KillTaskGroupBetweenRunTaskParts`, `SlaveTest.KillTaskBetweenRunTaskParts`,
/// `SlaveTest.KillMultiplePendingTasks`, `SlaveTest.RemoveExecutorUponFailedLaunch`,
/// `SlaveTest.LaunchTaskGroupsUsingSameExecutorKillFirstTaskGroup`,
/// `SlaveTest.LaunchTaskGroupsUsingSameExecutorKillLaterTaskGroup`.
#[test]
fn groups_that_wait_for_their_directories_can_be_killed() {
    run(async {
        let [killed, dropped] = [Some(TaskState::TaskKilled), Some(TaskState::TaskDropped)];
        for (kills, states) in [
            (&["a"][..], [killed, killed, dropped, dropped]),
            (&["d"][..], [None, None, killed, killed]),
            (&["b", "c"][..], [killed; 4]),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let world = world_of_before(directory.path()).await;
            world.master_goes_on(group(["a", "b"], true));
            world.master_goes_on(group(["c", "d"], false));
            for task in kills {
                world.master_goes_on(kill_of(task));
            }
            world.pass(Duration::from_secs(1)).await;
            assert_eq!(["a", "b", "c", "d"].map(|task| world.states(task).pop()), states, "{kills:?}");
            let runs = states[0].is_none();
            assert_eq!(world.containers.lock().launched.len(), if runs { 2 } else { 1 });
            let exited = world.hears().iter().any(|heard| matches!(heard, Heard::Exited(_)));
            assert_eq!(exited, !runs, "the master has the executor in its books");
            assert_eq!(world.metric("slave/frameworks_active"), if runs { 1.0 } else { 0.0 });
            if runs {
                assert_eq!(groups(&world.subscribe("e").await), [["a", "b"]]);
            }
        }
    });
}

/// Upstream: `SlaveTest.ShutdownExecutorWhileTaskLaunching`.
#[test]
fn a_task_that_waits_while_its_executor_is_told_to_end_is_dropped() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = world_of_before(directory.path()).await;
        world.run(&framework(true), task("t", "other")).await;
        let executor = world.subscribe("other").await;
        executor.update("t", TaskState::TaskRunning).await;
        // It waits for directories, and so does what comes after it.
        world.master_goes_on(run_task(&framework(true), task("first", "e"), Some(true)));
        world.master_goes_on(run_task(&framework(true), task("late", "other"), Some(false)));
        world.master_goes_on(ShutdownExecutorMessage {
            executor_id: Some(ExecutorId::from("other").to_proto()),
            framework_id: Some(FrameworkId::from(FRAMEWORK).to_proto()),
        });
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.states("late"), [TaskState::TaskDropped]);
        assert_eq!(executor.kinds().last(), Some(&event::Type::Shutdown));
        assert_eq!(world.subscribe("e").await.launched(), ["first"]);
    });
}

/// Upstream: `SlaveTest.KillTaskUnregisteredHTTPExecutor`.
#[test]
fn an_executor_whose_only_group_was_killed_is_shut_down() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(group(["a", "b"], true)).await;
        kill(&world, "b").await;
        let executor = world.subscribe("e").await;
        assert_eq!(executor.kinds(), [event::Type::Shutdown]);
    });
}

/// Upstream: `SlaveTest.RemoveExecutorUponFailedTaskGroupLaunch`.
#[test]
fn a_group_whose_executor_is_not_there_is_dropped_as_a_whole() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(group(["a", "b"], false)).await;
        for task in ["a", "b"] {
            assert_eq!(world.states(task), [TaskState::TaskDropped]);
        }
        assert!(world.containers.lock().launched.is_empty());
    });
}
