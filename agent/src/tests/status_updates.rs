//! Status updates: in order, again and again, stored.

use std::time::Duration;

use libprocess::testing::run;
use mesos::internal::{PingSlaveMessage, StatusUpdateAcknowledgementMessage, UpdateFrameworkMessage};
use mesos::v1;
use mesos::v1::TaskState::{
    TaskDropped, TaskFinished, TaskKilled, TaskRunning, TaskStarting, TaskUnreachable,
};
use mesos::v1::executor::call;
use mesos::{AgentId, FrameworkId, TaskId};

use super::harness::*;
use crate::status_updates::log;

async fn running(world: &World, checkpoint: bool) -> TestExecutor {
    world.run(&framework(checkpoint), task("t", "e")).await;
    world.subscribe("e").await
}

/// Upstream: `TaskStatusUpdateManagerTest.LatestTaskState`.
#[test]
fn one_update_of_a_task_is_in_flight_at_a_time() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, false).await;
        for state in [TaskStarting, TaskRunning, TaskFinished] {
            executor.update("t", state).await;
        }
        assert_eq!(world.states("t"), [TaskStarting]);
        world.acknowledge("t").await;
        assert_eq!(world.states("t"), [TaskStarting, TaskRunning]);
        // The master need not wait for the framework to know that the resources are free.
        assert_eq!(world.updates("t")[1].latest_state(), TaskFinished);
        world.acknowledge("t").await;
        assert_eq!(world.states("t"), [TaskStarting, TaskRunning, TaskFinished]);
    });
}

/// The master would free what the task goes on using.
#[test]
fn an_executor_cannot_call_its_task_unreachable() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, false).await;
        executor.update("t", TaskRunning).await;
        world.acknowledge("t").await;
        executor.update("t", TaskUnreachable).await;
        let status = executor.status("t", TaskUnreachable, uuid("t", TaskUnreachable));
        let update = call::Update { status };
        let again = call::Subscribe { unacknowledged_updates: vec![update], ..call::Subscribe::default() };
        let executor = world.subscribe_with("e", again).await;
        executor.update("t", TaskFinished).await;
        assert_eq!(world.states("t"), [TaskRunning, TaskFinished]);
    });
}

/// Upstream: `HttpFaultToleranceTest.SchedulerFailoverStatusUpdate`, `TaskStatusUpdateManagerTest.RetryStatusUpdate`.
#[test]
fn an_update_is_sent_again_after_10_seconds_then_20_then_40() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, false).await;
        world.forget();
        executor.update("t", TaskRunning).await;
        for _ in 0..8 {
            // Pings keep the registration alive.
            world.pass(Duration::from_secs(10)).await;
            world.master_says(PingSlaveMessage { connected: true }).await;
        }
        let times: Vec<u64> = world
            .hears_at()
            .into_iter()
            .filter(|(_, heard)| matches!(heard, Heard::Update(_)))
            .map(|(when, _)| when.as_secs())
            .collect();
        let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [10, 20, 40]);
    });
}

/// An agent that registers again is told of all its frameworks: none hears of its updates for each of them.
#[test]
fn a_framework_that_the_master_describes_anew_hears_its_updates_again_and_no_other_does() {
    run(async {
        const OTHER: &str = "M-0001";
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, false).await;
        executor.update("t", TaskRunning).await;
        let mut others = task("u", "e2");
        if let Some(executor) = &mut others.executor {
            executor.framework_id = Some(FrameworkId::from(OTHER).to_proto());
        }
        let id = Some(FrameworkId::from(OTHER).to_proto());
        world.run(&v1::FrameworkInfo { id, ..framework(false) }, others).await;
        assert_eq!(world.containers.lock().launched.len(), 2);
        let described = |id: &str| UpdateFrameworkMessage {
            framework_id: FrameworkId::from(id).to_proto(),
            framework_info: None,
            pid: None,
        };
        world.master_says(described(OTHER)).await;
        assert_eq!(world.states("t"), [TaskRunning]);
        world.master_says(described(FRAMEWORK)).await;
        assert_eq!(world.states("t"), [TaskRunning, TaskRunning]);
        // It is one in flight, and tried again as such.
        world.pass(Duration::from_secs(11)).await;
        assert_eq!(world.states("t"), [TaskRunning, TaskRunning, TaskRunning]);
    });
}

/// Its scheduler may have been away when it was sent, and the next attempt be minutes away. (Upstream's agent waits.)
#[test]
fn a_framework_that_has_nothing_here_any_more_hears_its_updates_again_as_well() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        // Its master expects an executor that is not there.
        world.run_expecting(&framework(false), task("t", "e"), Some(false)).await;
        assert_eq!(world.states("t"), [TaskDropped]);
        let described = UpdateFrameworkMessage {
            framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
            framework_info: Some(framework(false)),
            pid: None,
        };
        world.master_says(described).await;
        assert_eq!(world.states("t"), [TaskDropped, TaskDropped]);
    });
}

/// Upstream: `TaskStatusUpdateManagerTest.IgnoreUnexpectedStatusUpdateAck`,
/// `TaskStatusUpdateManagerTest.IgnoreDuplicateStatusUpdateAck`.
#[test]
fn an_acknowledgement_of_another_update_or_another_master_changes_nothing() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, false).await;
        executor.update("t", TaskRunning).await;
        executor.update("t", TaskFinished).await;
        let acknowledgement = |uuid: uuid::Uuid| StatusUpdateAcknowledgementMessage {
            slave_id: AgentId::from(AGENT).to_proto(),
            framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
            task_id: TaskId::from("t").to_proto(),
            uuid: uuid.as_bytes().to_vec(),
        };
        world.master_says(acknowledgement(uuid("t", TaskFinished))).await;
        world.stranger_says(acknowledgement(uuid("t", TaskRunning))).await;
        assert_eq!(world.states("t"), [TaskRunning]);
        world.master_says(acknowledgement(uuid("t", TaskRunning))).await;
        assert_eq!(world.states("t"), [TaskRunning, TaskFinished]);
        // It comes again, and the later update still waits for its own.
        world.master_says(acknowledgement(uuid("t", TaskRunning))).await;
        world.pass(Duration::from_secs(11)).await;
        assert_eq!(world.states("t"), [TaskRunning, TaskFinished, TaskFinished]);
    });
}

#[test]
fn nothing_is_sent_without_a_master_and_everything_again_with_one() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, false).await;
        executor.update("t", TaskRunning).await;
        *world.admits.lock() = false;
        world.master_says(PingSlaveMessage { connected: false }).await;
        world.forget();
        world.pass(Duration::from_secs(30)).await;
        assert!(world.states("t").is_empty());
        *world.admits.lock() = true;
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(world.states("t").first(), Some(&TaskRunning));
    });
}

/// Upstream: `SlaveTest.DuplicateTerminalUpdateBeforeAck`, `TaskStatusUpdateManagerTest.DuplicateTerminalUpdateAfterAck`.
/// Upstream, too: `TaskStatusUpdateManagerTest.DuplicatedTerminalStatusUpdate`.
#[test]
fn a_second_end_of_a_task_is_not_told_before_its_framework_has_acknowledged_the_first() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, true).await;
        executor.update("t", TaskFinished).await;
        executor.update("t", TaskKilled).await;
        assert_eq!(executor.acknowledged().len(), 2);
        world.pass(Duration::from_secs(11)).await;
        assert_eq!(world.states("t"), [TaskFinished, TaskFinished]);
        world.acknowledge("t").await;

        // Nobody knows of the task any more: whoever says something of it is heard.
        executor.update("t", TaskKilled).await;
        assert_eq!(world.states("t"), [TaskFinished, TaskFinished, TaskKilled]);
        world.acknowledge("t").await;
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(world.states("t").len(), 3);
    });
}

/// Upstream: `TaskStatusUpdateManagerTest.DuplicateUpdateBeforeAck`.
#[test]
fn a_repeated_update_is_acknowledged_to_its_executor_and_not_forwarded_twice() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, false).await;
        executor.update("t", TaskFinished).await;
        executor.update("t", TaskFinished).await;
        assert_eq!(executor.acknowledged().len(), 2);
        assert_eq!(world.states("t"), [TaskFinished]);
    });
}

/// Upstream: `TaskStatusUpdateManagerTest.CheckpointStatusUpdate`.
#[test]
fn updates_of_checkpointing_frameworks_are_on_disk_before_they_are_acknowledged() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, true).await;
        executor.update("t", TaskRunning).await;
        assert_eq!(executor.acknowledged(), [uuid("t", TaskRunning)]);
        world.acknowledge("t").await;
        // At once in the journal, and a moment later where others look for them.
        let meta = directory.path().join(format!("meta/slaves/{AGENT}"));
        assert!(std::fs::metadata(meta.join("updates.journal.1")).unwrap().len() > 0);
        let path = meta.join(format!("frameworks/{FRAMEWORK}/executors/e/runs/latest/tasks/t/task.updates"));
        assert!(!path.exists());
        world.pass(Duration::from_secs(1)).await;
        let replay = log::read_back(&libprocess::disk::HostDisk, &path).unwrap();
        assert_eq!(replay.updates.len(), 1);
        assert!(replay.acknowledged.contains(&uuid("t", TaskRunning)));
    });
}

/// The repetition comes too late to change anything, and before its first copy is on the disk.
#[test]
fn an_update_that_is_refused_is_not_acknowledged_before_those_that_were_sent_before_it() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let executor = running(&world, true).await;
        let uuids = ["a", "b", "c", "a"].map(|name| uuid(name, TaskRunning));
        let states = [TaskRunning, TaskRunning, TaskFinished, TaskRunning];
        let statuses = std::iter::zip(states, uuids).map(|(state, uuid)| executor.status("t", state, uuid));
        executor.send_at_once(statuses.collect::<Vec<_>>()).await;
        // The end waits for the containerizer.
        assert_eq!(executor.acknowledged(), [uuids[0], uuids[1], uuids[3], uuids[2]]);
        assert_eq!(world.updates("t").len(), 1);
    });
}

#[test]
fn an_agent_that_cannot_store_updates_stops_and_names_the_file() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World::registered(directory.path()).await;
        let executor = running(&world, true).await;
        let tasks = directory
            .path()
            .join(format!("meta/slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/e/runs/latest/tasks/t"));
        std::fs::create_dir(tasks.join("task.updates")).unwrap();
        executor.update("t", TaskRunning).await;
        let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it stopped in order") };
        assert!(reason.contains("task.updates"), "{reason}");
        assert!(executor.acknowledged().is_empty());
    });
}

/// Nobody would hear of anything any more. (Upstream's process aborts with any of its actors.)
#[test]
fn an_agent_ends_when_who_delivers_its_updates_has() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World::registered(directory.path()).await;
        world.node.kill("task-status-update-manager(1)");
        let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it runs") };
        assert!(reason.contains("status updates"), "{reason}");
        world.crash().await;
    });
}
