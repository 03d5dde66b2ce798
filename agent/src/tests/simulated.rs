//! The whole way of a task with simulated containers.

use std::sync::Arc;
use std::time::Duration;

use libprocess::disk::HostDisk;
use libprocess::testing::{run, settle};
use mesos::v1::TaskState::{TaskFailed, TaskFinished, TaskRunning};

use super::harness::*;
use super::task_groups::group;
use crate::containerizer::Containerizer;
use crate::containerizer::simulated::{
    DURATION_LABEL, STATE_LABEL, ServeExecutorsOf, SimulatedContainerizer,
};
use crate::startup::Running;

fn labelled(mut task: mesos::v1::TaskInfo, labels: &[(&str, &str)]) -> mesos::v1::TaskInfo {
    let labels = labels
        .iter()
        .map(|(key, value)| mesos::v1::Label { key: (*key).into(), value: Some((*value).into()) });
    task.labels = Some(labels.collect());
    task
}

#[test]
fn simulated_tasks_end_by_the_clock() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::simulated(directory.path()).await;
        let short = labelled(command_task("short"), &[(DURATION_LABEL, "500ms")]);
        let failing = labelled(task("failing", "e"), &[(STATE_LABEL, "TASK_FAILED")]);
        world.run(&framework(false), short).await;
        world.run(&framework(false), failing).await;
        assert_eq!(world.states("short"), [TaskRunning]);
        world.acknowledge("short").await;
        world.acknowledge("failing").await;
        world.pass(Duration::from_millis(600)).await;
        assert_eq!(world.states("short"), [TaskRunning, TaskFinished]);
        assert_eq!(world.states("failing"), [TaskRunning]);
        world.pass(Duration::from_millis(600)).await;
        assert_eq!(world.states("failing"), [TaskRunning, TaskFailed]);
        world.acknowledge("short").await;
        settle().await;
        world.pass(Duration::from_secs(1)).await;
        // The command executor has ended with its task; the other waits for more.
        assert_eq!(world.metric("slave/executors_running"), 1.0);
        world.master_says(group(["one", "other"], false)).await;
        world.pass(Duration::from_millis(100)).await;
        assert_eq!((world.states("one"), world.states("other")), (vec![TaskRunning], vec![TaskRunning]));
    });
}

impl World {
    async fn simulated(directory: &std::path::Path) -> World {
        World::running(Arc::new(HostDisk), directory, &[], |node| {
            let containerizer = node.spawn_numbered(SimulatedContainerizer::new());
            let handle = Containerizer::from(&containerizer);
            let serve = move |running: &Running| {
                containerizer.tell(ServeExecutorsOf(running.agent.recipient()));
            };
            (handle, Box::new(serve))
        })
        .await
        .once_registered()
        .await
    }
}
