//! What an agent keeps of tasks that are over, and tasks that have the id of one.

use std::time::Duration;

use libprocess::disk::HostDisk;
use libprocess::testing::run;
use mesos::v1::TaskState::{TaskFinished, TaskRunning};

use super::harness::*;
use super::restarts::{reregistration, run_task};
use crate::recovery::checkpoint::touch;
use crate::recovery::paths::{Paths, Run};
use crate::recovery::state;
use crate::status_updates::journal::Journal;
use crate::status_updates::log::acknowledgement_record;

/// Upstream's schedulers may use the id of a task again that is over.
#[test]
fn a_task_with_the_id_of_an_earlier_one_of_its_executor_is_not_taken_for_it() {
    run(async {
        // In the last case, what the first has left has been deleted, but for the journal.
        for pause in [0, 3, 15] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::with(directory.path(), &["--gc_delay=10secs"]).await.once_registered().await;
            world.run(&framework(true), task("t", "e")).await;
            let executor = world.subscribe("e").await;
            executor.update("t", TaskFinished).await;
            world.acknowledge("t").await;
            world.pass(Duration::from_secs(pause)).await;

            world.run(&framework(true), task("t", "e")).await;
            assert_eq!(executor.launched(), ["t", "t"]);
            let kept = || {
                let kept = state::read(&HostDisk, &Paths::new(directory.path()), true).unwrap();
                kept.agent.unwrap().frameworks.remove(0).executors.remove(0).run.tasks.remove(0).replay
            };
            assert!(kept().updates.is_empty());
            executor.update("t", TaskRunning).await;
            assert_eq!(world.states("t"), [TaskFinished, TaskRunning]);
            // What was left of the first would have been deleted by now.
            world.pass(Duration::from_secs(15)).await;
            assert_eq!(kept().updates.len(), 1);
            world.crash().await;

            let world = World::new(directory.path()).await;
            let executor = world.subscribe("e").await;
            world.pass(Duration::from_secs(4)).await;
            assert_eq!(reregistration(&world).unwrap().tasks[0].state(), TaskRunning);
            assert_eq!(world.states("t"), [TaskRunning]);
            world.acknowledge("t").await;
            executor.send(executor.status("t", TaskFinished, uuid("again", TaskFinished))).await;
            assert_eq!(world.states("t"), [TaskRunning, TaskFinished]);
            world.acknowledge("t").await;
            world.crash().await;
        }
    });
}

/// That its updates are stored, the executor has not heard, and so says one again. Nobody knows of the task any more, and
/// nothing of it is stored.
#[test]
fn a_task_with_the_id_of_an_earlier_one_is_stored_also_when_something_was_said_of_that_one_meanwhile() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        for state in [TaskRunning, TaskFinished, TaskRunning] {
            executor.update("t", state).await;
            world.acknowledge("t").await;
        }
        assert_eq!(world.states("t"), [TaskRunning, TaskFinished, TaskRunning]);

        world.run(&framework(true), task("t", "e")).await;
        assert_eq!(executor.launched(), ["t", "t"]);
        let again = uuid("again", TaskRunning);
        executor.send(executor.status("t", TaskRunning, again)).await;
        assert_eq!(executor.acknowledged().last(), Some(&again));
        world.crash().await;

        let world = World::new(directory.path()).await;
        world.subscribe("e").await;
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(reregistration(&world).unwrap().tasks[0].state(), TaskRunning);
        assert_eq!(world.updates("t")[0].uuid, Some(again.as_bytes().to_vec()));
        world.crash().await;
    });
}

/// What is left of the earlier one is in the journal only, where an agent that was restarted since finds it.
#[test]
fn a_task_with_the_id_of_one_that_was_deleted_before_a_restart_is_not_taken_for_it() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::with(directory.path(), &["--gc_delay=10secs"]).await.once_registered().await;
        world.run(&framework(true), task("other", "e")).await;
        world.run(&framework(true), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        executor.update("other", TaskRunning).await;
        executor.update("t", TaskFinished).await;
        world.acknowledge("other").await;
        world.acknowledge("t").await;
        world.pass(Duration::from_secs(15)).await;
        let kept = || {
            let kept = state::read(&HostDisk, &Paths::new(directory.path()), true).unwrap();
            let run = kept.agent.unwrap().frameworks.remove(0).executors.remove(0).run;
            let tasks =
                run.tasks.into_iter().map(|kept| (kept.task.task_id.value, kept.replay.updates.len()));
            let mut tasks: Vec<(String, usize)> = tasks.collect();
            tasks.sort();
            (tasks, run.deleted_tasks)
        };
        let other = || ("other".to_owned(), 1);
        assert_eq!(kept(), (vec![other()], vec![mesos::TaskId::from("t")]));
        world.crash().await;

        let world = World::new(directory.path()).await;
        let executor = world.subscribe("e").await;
        world.pass(Duration::from_secs(4)).await;
        world.run(&framework(true), task("t", "e")).await;
        assert_eq!(executor.launched(), ["t"]);
        // Its executor has said nothing of it when the agent is restarted again.
        assert_eq!(kept(), (vec![other(), ("t".to_owned(), 0)], Vec::new()));
        world.crash().await;
    });
}

/// Its executor may live for a long time.
/// Upstream: `GarbageCollectorIntegrationTest.LongLivedDefaultExecutor`,
/// `GarbageCollectorIntegrationTest.LongLivedDefaultExecutorRestart`.
#[test]
fn what_was_kept_of_a_task_that_is_over_is_deleted_while_its_executor_runs_also_after_a_restart() {
    run(async {
        for restart in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let meta = directory.path().join(format!("meta/slaves/{AGENT}/frameworks/{FRAMEWORK}"));
            let tasks = meta.join("executors/e/runs/latest/tasks");
            let arguments = ["--gc_delay=10secs"];
            let world = World::with(directory.path(), &arguments).await.once_registered().await;
            let mut world = run_task(world).await;
            let executor = world.subscribe("e").await;
            world.run(&framework(true), task("short", "e")).await;
            executor.update("short", TaskFinished).await;
            world.acknowledge("short").await;
            if restart {
                world.crash().await;
                world = World::with(directory.path(), &arguments).await;
                world.subscribe("e").await;
            }
            world.pass(Duration::from_secs(5)).await;
            assert!(tasks.join("short").exists());
            world.pass(Duration::from_secs(6)).await;
            world.pass(Duration::from_secs(1)).await;
            assert!(!tasks.join("short").exists() && tasks.join("t").exists(), "{restart}");
            world.crash().await;
        }
    });
}

/// It comes while the acknowledgement of the earlier one is on its way to the disk.
#[test]
fn a_task_with_the_id_of_one_that_has_just_ended_waits_for_it() {
    run(async {
        for checkpoint in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            world.run(&framework(checkpoint), task("t", "e")).await;
            let executor = world.subscribe("e").await;
            executor.update("t", TaskFinished).await;
            // An earlier one is not over before that, whoever says so.
            world.run(&framework(checkpoint), task("t", "e")).await;
            assert_eq!(executor.launched(), ["t"]);

            world.master_goes_on(world.acknowledgement("t"));
            world.run(&framework(checkpoint), task("t", "e")).await;
            assert_eq!(executor.launched(), ["t", "t"]);
            executor.update("t", TaskRunning).await;
            world.acknowledge("t").await;
            executor.send(executor.status("t", TaskFinished, uuid("again", TaskFinished))).await;
            world.acknowledge("t").await;
            assert_eq!(world.states("t"), [TaskFinished, TaskRunning, TaskFinished]);
            world.run(&framework(checkpoint), task("t", "other")).await;
            assert_eq!(world.subscribe("other").await.launched(), ["t"]);
        }
    });
}

/// The master has forgotten it: it heard the acknowledgement, which has not reached this agent.
#[test]
fn a_group_with_the_id_of_a_task_that_is_not_over_is_dropped_but_for_that() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        world.subscribe("e").await.update("t", TaskFinished).await;
        world.forget();
        let group = mesos::internal::RunTaskGroupMessage {
            framework: framework(false),
            executor: task("t", "other").executor.unwrap(),
            task_group: mesos::v1::TaskGroupInfo { tasks: ["t", "u"].map(|id| task(id, "other")).into() },
            resource_version_uuids: Vec::new(),
            launch_executor: Some(true),
        };
        world.master_says(group).await;
        let exited = |heard: &Heard| matches!(heard, Heard::Exited(it) if it.executor_id.value == "other");
        assert_eq!(world.hears().iter().filter(|heard| exited(heard)).count(), 1, "{:?}", world.hears());
        assert_eq!(world.states("u"), [mesos::v1::TaskState::TaskDropped]);
        assert!(world.states("t").is_empty());
        assert_eq!(world.containers.lock().launched.len(), 1);
    });
}

/// What says that nobody needs it any more was torn off the journal, or never written.
#[test]
fn what_was_deleted_after_a_restart_does_not_come_back() {
    run(async {
        for run_is_over in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            world.run(&framework(true), task("t", "e")).await;
            world.subscribe("e").await.update("t", TaskFinished).await;
            let run = Run {
                agent: AGENT.into(),
                framework: FRAMEWORK.into(),
                executor: "e".into(),
                container: world.container("e"),
            };
            world.crash().await;
            let paths = Paths::new(directory.path());
            let log = paths.task_updates(&run, &"t".into());
            let tasks = || {
                let kept = state::read(&HostDisk, &paths, true).unwrap().agent.unwrap();
                kept.frameworks[0].executors[0].run.tasks.len()
            };
            std::fs::remove_dir_all(log.task()).unwrap();
            assert_eq!(tasks(), 1, "it is not over yet");
            if run_is_over {
                touch(&HostDisk, &paths.sentinel(&run)).unwrap();
            } else {
                let acknowledgement = acknowledgement_record(log.clone(), uuid("t", TaskFinished));
                Journal::open(&HostDisk, log.agent()).unwrap().write(&HostDisk, &[acknowledgement]).unwrap();
            }
            World::new(directory.path()).await.crash().await;

            std::fs::remove_dir_all(log.task()).unwrap();
            assert_eq!(tasks(), 0, "{run_is_over}");
        }
    });
}
