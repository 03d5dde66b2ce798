//! An agent that ends with its executors: with `--recover=cleanup`, or told to leave while it recovers.

use std::time::Duration;

use libprocess::testing::{run, settle};
use mesos::v1::TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskRunning};
use mesos::v1::executor::event;

use super::harness::*;
use super::restarts::{reregistration, with_running_task, with_unacknowledged};
use crate::containerizer::Termination;

/// Upstream: `SlaveRecoveryTest.DISABLED_CleanupHTTPExecutor`.
#[test]
fn cleaning_up_ends_the_executors_and_then_the_agent() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let mut world = World::with(directory.path(), &["--recover=cleanup"]).await;
        let executor = world.subscribe("e").await;
        assert_eq!(executor.kinds(), [event::Type::Subscribed, event::Type::Shutdown]);
        settle().await;
        assert_eq!(world.running.wait().await, crate::Ended::Stopped);
        assert_eq!(world.containers.lock().destroyed.len(), 1);
    });
}

/// The next agent tells how its tasks have ended, and what its predecessors have promised. (Upstream's takes the executor
/// for one that is over, and says that the tasks were dropped.)
#[test]
fn what_is_owed_to_a_framework_is_left_to_the_agent_after_the_one_that_cleans_up() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        let executor = world.subscribe("e").await;
        world.run(&framework(true), task("u", "e")).await;
        executor.update("u", TaskFinished).await;
        assert_eq!(executor.acknowledged(), [uuid("u", TaskFinished)]);
        world.crash().await;

        let mut world = World::with(directory.path(), &["--recover=cleanup"]).await;
        assert_eq!(world.running.wait().await, crate::Ended::Stopped);
        assert_eq!(world.containers.lock().destroyed.len(), 1);
        world.crash().await;

        let world = World::new(directory.path()).await;
        let container = world.containers.lock().recovered[0].id.clone();
        world.end(&container, Termination::default()).await;
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.states("u"), [TaskFinished]);
        assert_eq!(world.updates("u")[0].uuid, Some(uuid("u", TaskFinished).as_bytes().to_vec()));
        assert_eq!(world.states("t"), [TaskFailed]);
        for task in ["t", "u"] {
            world.acknowledge(task).await;
        }
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.metric("slave/frameworks_active"), 0.0);
    });
}

/// A task may have finished while there was no agent, and others end now. (Upstream's agent does not listen: they have
/// failed.)
#[test]
fn an_executor_is_heard_by_the_agent_that_comes_only_to_end_it() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        let executor = world.subscribe("e").await;
        world.run(&framework(true), task("u", "e")).await;
        executor.update("u", TaskRunning).await;
        world.acknowledge("u").await;
        world.crash().await;

        let mut world = World::with(directory.path(), &["--recover=cleanup"]).await;
        let executor = world.subscribe_with("e", with_unacknowledged("t", TaskFinished)).await;
        assert_eq!(executor.acknowledged(), [uuid("t", TaskFinished)]);
        executor.update("u", TaskKilled).await;
        assert_eq!(executor.acknowledged(), [uuid("t", TaskFinished), uuid("u", TaskKilled)]);
        let container = world.containers.lock().recovered[0].id.clone();
        world.end(&container, Termination::default()).await;
        assert_eq!(world.running.wait().await, crate::Ended::Stopped);
        world.crash().await;

        let world = World::new(directory.path()).await;
        let container = world.containers.lock().recovered[0].id.clone();
        world.end(&container, Termination::default()).await;
        world.pass(Duration::from_secs(4)).await;
        assert_eq!((world.states("t"), world.states("u")), (vec![TaskFinished], vec![TaskKilled]));
    });
}

/// At any time: it ends anyway.
#[test]
fn an_agent_that_cleans_up_and_is_told_to_leave_leaves_what_is_owed_to_the_next_one() {
    run(async {
        for at_once in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let world = with_running_task(directory.path()).await;
            world.subscribe("e").await.update("t", TaskFinished).await;
            world.crash().await;

            let cleanup = ["--recover=cleanup"];
            let mut world = if at_once {
                World::leaving(directory.path(), &cleanup).await
            } else {
                let world = World::with(directory.path(), &cleanup).await;
                world.running.leave();
                world
            };
            assert_eq!(world.running.wait().await, crate::Ended::Stopped);
            assert_eq!(world.containers.lock().destroyed.len(), 1);
            world.crash().await;

            let world = World::new(directory.path()).await;
            let container = world.containers.lock().recovered[0].id.clone();
            world.end(&container, Termination::default()).await;
            world.pass(Duration::from_secs(4)).await;
            assert_eq!(world.states("t"), [TaskFinished], "{at_once}");
        }
    });
}

/// Upstream: `SlaveRecoveryTest.ShutdownSlaveSIGUSR1`, whose agent has recovered.
#[test]
fn an_agent_that_is_told_to_leave_while_it_recovers_ends_its_executors_first() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let mut world = World::leaving(directory.path(), &[]).await;
        assert_eq!(world.containers.lock().recovered.len(), 1);
        let executor = world.subscribe("e").await;
        assert_eq!(executor.kinds(), [event::Type::Shutdown]);
        assert_eq!(world.running.wait().await, crate::Ended::Stopped);
        assert_eq!(world.containers.lock().destroyed.len(), 1);
        assert!(reregistration(&world).is_none());
    });
}
