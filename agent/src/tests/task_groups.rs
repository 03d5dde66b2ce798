//! Task groups: launched, killed and dropped together.

use libprocess::testing::run;
use mesos::internal::{KillTaskMessage, RunTaskGroupMessage};
use mesos::v1::executor::event;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use mesos::{FrameworkId, TaskId};

use super::harness::*;

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

async fn kill(world: &World, task: &str) {
    let message = KillTaskMessage {
        framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
        task_id: TaskId::from(task).to_proto(),
        kill_policy: None,
    };
    world.master_says(message).await;
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

/// Upstream: `SlaveTest.KillQueuedTaskGroup`, `LaunchTaskGroupsUsingSameExecutorKillFirstTaskGroup`,
/// `LaunchTaskGroupsUsingSameExecutorKillLaterTaskGroup`.
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
            }
            assert!(left.iter().all(|task| world.states(task).is_empty()));
            let executor = world.subscribe("e").await;
            assert_eq!(groups(&executor), [left]);
        }
    });
}

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
