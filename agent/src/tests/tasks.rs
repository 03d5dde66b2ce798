//! Tasks: run, killed.

use std::time::Duration;

use libprocess::testing::{run, settle};
use mesos::internal::KillTaskMessage;
use mesos::v1::TaskState::{
    TaskDropped, TaskFailed, TaskFinished, TaskGone, TaskKilled, TaskLost, TaskRunning,
};
use mesos::v1::executor::event::Type;
use mesos::v1::task_status::{Reason, Source};
use mesos::{FrameworkId, TaskId};

use super::harness::*;
use super::task_groups::group;
use crate::containerizer::{LaunchError, Termination};
use crate::recovery::paths::Paths;

fn kill(task: &str) -> KillTaskMessage {
    KillTaskMessage {
        framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
        task_id: TaskId::from(task).to_proto(),
        kill_policy: None,
    }
}

#[test]
fn a_task_is_launched_reported_and_completed() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        assert_eq!(executor.kinds(), [Type::Subscribed, Type::Launch]);
        executor.update("t", TaskRunning).await;
        assert_eq!(executor.acknowledged(), [uuid("t", TaskRunning)]);
        let update = world.updates("t").remove(0);
        assert_eq!(update.latest_state(), TaskRunning);
        assert_eq!(update.status.source(), Source::Executor);
        let container = update.status.container_status.unwrap();
        assert_eq!(container.executor_pid, Some(42));
        assert_eq!(container.container_id, Some(world.container("e").to_proto()));
        assert_eq!(container.network_infos[0].ip_addresses[0].ip_address(), "127.0.0.1");
        world.acknowledge("t").await;
        executor.update("t", TaskFinished).await;
        assert_eq!(world.states("t"), [TaskRunning, TaskFinished]);
        world.acknowledge("t").await;
        world.pass(std::time::Duration::from_secs(60)).await;
        assert_eq!(world.states("t").len(), 2);
        assert_eq!(world.metric("slave/tasks_finished"), 1.0);
        assert_eq!(world.metric("slave/executors_running"), 1.0);
        assert_eq!(world.metric("slave/cpus_used"), 0.5);
    });
}

/// As on a full disk. (Upstream's agent aborts.)
#[test]
fn a_task_is_dropped_if_its_framework_cannot_be_written_down() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let info = Paths::new(directory.path()).framework_info(&AGENT.into(), &FRAMEWORK.into());
        // In the way of what would be written.
        let in_the_way = info.with_file_name("framework.info.tmp");
        std::fs::create_dir_all(&in_the_way).unwrap();
        world.run(&framework(true), task("t", "e")).await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.states("t"), [TaskDropped]);
        let message = world.updates("t")[0].status.message().to_owned();
        assert!(message.contains("framework.info"), "{message}");
        world.acknowledge("t").await;

        std::fs::remove_dir(&in_the_way).unwrap();
        world.run(&framework(true), task("u", "e")).await;
        world.pass(Duration::from_secs(1)).await;
        let executor = world.subscribe("e").await;
        assert_eq!(executor.launched(), ["u"]);
        assert!(info.exists());
    });
}

/// Its executor, which could be, is not launched either, and nothing is left of it.
#[test]
fn a_first_task_is_dropped_if_it_cannot_be_written_down() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        // A master would not take it: no file can be called so.
        let long = "t".repeat(300);
        world.run_expecting(&framework(true), task(&long, "e"), Some(true)).await;
        assert_eq!(world.states(&long), [TaskDropped]);
        let exited: Vec<_> = world
            .hears()
            .into_iter()
            .filter_map(|heard| match heard {
                Heard::Exited(exited) => Some(exited.executor_id.value),
                _ => None,
            })
            .collect();
        assert_eq!(exited, ["e"]);
        assert!(world.containers.lock().launched.is_empty());
        let (paths, agent, framework_id) =
            (Paths::new(directory.path()), AGENT.into(), FrameworkId::from(FRAMEWORK));
        for executor in [
            paths.executor_work(&agent, &framework_id, &"e".into()),
            paths.executor_meta(&agent, &framework_id, &"e".into()),
        ] {
            let runs = std::fs::read_dir(executor.join("runs")).unwrap().map(|entry| entry.unwrap().path());
            assert_eq!(runs.filter(|path| path.is_dir()).count(), 0, "{}", executor.display());
        }
        world.acknowledge(&long).await;

        world.run_expecting(&framework(true), task("u", "e"), Some(true)).await;
        world.pass(Duration::from_secs(1)).await;
        let executor = world.subscribe("e").await;
        assert_eq!(executor.launched(), ["u"]);
    });
}

/// As on a full disk: its executor goes on. (Upstream's agent aborts.)
#[test]
fn a_further_task_of_an_executor_is_dropped_if_it_cannot_be_written_down() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        // A master would not take it: no file can be called so.
        let long = "u".repeat(300);
        world.run(&framework(true), task(&long, "e")).await;
        assert_eq!(world.states(&long), [TaskDropped]);
        world.run(&framework(true), task("v", "e")).await;
        assert_eq!(executor.launched(), ["t", "v"]);
        executor.update("v", TaskFinished).await;
        assert_eq!(world.states("v"), [TaskFinished]);
    });
}

#[test]
fn two_tasks_with_one_executor_share_it() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run_expecting(&framework(false), task("t1", "e"), Some(true)).await;
        world.run_expecting(&framework(false), task("t2", "e"), Some(false)).await;
        let executor = world.subscribe("e").await;
        world.run_expecting(&framework(false), task("t3", "e"), Some(false)).await;
        assert_eq!(executor.launched(), ["t1", "t2", "t3"]);
        let book = world.containers.lock();
        assert_eq!(book.launched.len(), 1);
        assert_eq!(book.updates.last().unwrap().1.cpus().unwrap().to_f64(), 3.5);
    });
}

#[test]
fn a_command_task_gets_an_executor_of_its_own() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run_expecting(&framework(false), command_task("t"), Some(true)).await;
        let book = world.containers.lock();
        let (_, config) = &book.launched[0];
        assert_eq!(config.executor.executor_id.value, "t");
        assert_eq!(config.task.as_ref().unwrap().name, "t");
        // The task's and the executor's.
        assert_eq!(config.resources.cpus().unwrap().to_f64(), 1.1);
        assert_eq!(config.resources.mem().unwrap().to_f64(), 96.0);
        assert_eq!(config.environment["MESOS_EXECUTOR_ID"], "t");
        // Whatever the agent's settings: nobody answers one that speaks libprocess.
        assert_eq!(config.environment["MESOS_HTTP_COMMAND_EXECUTOR"], "1");
        assert!(config.directory.join("../latest").canonicalize().unwrap().is_dir());
    });
}

/// Upstream: `SlaveTest.ROOT_RunTaskWithCommandInfoWithInvalidUser`, `FetcherTest.InvalidUser`.
#[test]
fn a_task_of_a_user_whom_the_host_does_not_know_is_dropped() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can run something as another user");
        return;
    }
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::with(directory.path(), &["--switch_user"]).await.once_registered().await;
        for (id, user) in [("t", "nobody-of-that-name"), ("u", "")] {
            let mut strange = command_task(id);
            strange.command.as_mut().unwrap().user = Some(user.into());
            world.run_expecting(&framework(false), strange, Some(true)).await;
            let update = world.updates(id).remove(0);
            assert_eq!((update.status.state(), update.status.source()), (TaskDropped, Source::Agent));
            let message = update.status.message();
            assert!(message.contains(&format!("there is no user '{user}'")), "{message}");
        }
        assert!(world.containers.lock().launched.is_empty());
    });
}

#[test]
fn a_task_for_another_agent_or_from_another_master_is_ignored() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let mut other = task("t", "e");
        other.agent_id.value = "M-S7".into();
        world.run(&framework(false), other).await;
        let message = mesos::internal::RunTaskMessage {
            framework: framework(false),
            task: task("t", "e"),
            ..Default::default()
        };
        world.stranger_says(message).await;
        assert!(world.containers.lock().launched.is_empty());
    });
}

#[test]
fn a_task_whose_executor_is_not_there_is_dropped() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run_expecting(&framework(false), task("t", "e"), Some(false)).await;
        assert!(world.containers.lock().launched.is_empty());
        assert_eq!(world.states("t"), [TaskDropped]);
        world.run(&framework(false), task("t0", "other")).await;
        world.run_expecting(&framework(false), task("t1", "e"), Some(false)).await;
        let update = world.updates("t1").remove(0);
        assert_eq!(update.status.state(), TaskDropped);
        assert_eq!(update.status.reason(), Reason::ExecutorTerminated);
    });
}

/// Their framework has been here before: all wait until its directories are safe from the garbage collector, and it must
/// not be over when the first of them is dropped.
#[test]
fn each_of_several_tasks_whose_executor_is_not_there_is_dropped() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let info = framework(true);
        world.run(&info, task("t", "e")).await;
        world.end(&world.container("e"), Termination::default()).await;
        assert_eq!(world.states("t"), [TaskFailed]);
        world.acknowledge("t").await;
        for id in ["t1", "t2", "t3"] {
            world.master_goes_on(run_task(&info, task(id, "e"), Some(false)));
        }
        world.pass(Duration::from_secs(1)).await;
        for id in ["t1", "t2", "t3"] {
            assert_eq!(world.states(id), [TaskDropped], "{id}");
        }
    });
}

/// Upstream: `SlaveTest.ContainerUpdatedBeforeTaskReachesExecutor`, `SlaveTest.TaskLaunchContainerizerUpdateFails`, and what
/// `___run` says.
#[test]
fn a_task_is_not_sent_to_an_executor_whose_container_cannot_have_its_resources() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        world.containers.lock().refuse_updates = Some("no such cgroup".into());
        let executor = world.subscribe("e").await;
        assert_eq!(executor.kinds(), [Type::Subscribed]);
        let container = world.container("e");
        assert_eq!(world.containers.lock().destroyed, [container]);
        let update = world.updates("t").remove(0);
        assert_eq!(
            (update.status.state(), update.status.reason()),
            (TaskGone, Reason::ContainerUpdateFailed)
        );
        assert!(update.status.message().contains("no such cgroup"), "{}", update.status.message());
    });
}

/// Upstream: `SlaveTest.TerminalTaskContainerizerUpdateFailsWithLost`,
/// `SlaveTest.TerminalTaskContainerizerUpdateFailsWithGone`.
#[test]
fn a_container_that_cannot_give_back_what_a_task_had_is_destroyed_and_its_other_tasks_are_gone() {
    run(async {
        for (aware, state, counted) in [(true, TaskGone, [1.0, 0.0]), (false, TaskLost, [0.0, 1.0])] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            let mut info = framework(false);
            if !aware {
                info.capabilities.truncate(1);
            }
            world.run(&info, task("t1", "e")).await;
            world.run(&info, task("t2", "e")).await;
            let executor = world.subscribe("e").await;
            for id in ["t1", "t2"] {
                executor.update(id, TaskRunning).await;
                world.acknowledge(id).await;
            }
            world.containers.lock().refuse_updates = Some("no such cgroup".into());
            executor.update("t1", TaskKilled).await;
            let update = world.updates("t1").pop().unwrap();
            assert_eq!((update.status.state(), update.status.source()), (TaskKilled, Source::Executor));
            let update = world.updates("t2").pop().unwrap();
            assert_eq!((update.status.state(), update.status.source()), (state, Source::Agent));
            assert_eq!(update.status.reason(), Reason::ContainerUpdateFailed);
            assert_eq!(world.containers.lock().destroyed.len(), 1);
            assert_eq!(["slave/tasks_gone", "slave/tasks_lost"].map(|name| world.metric(name)), counted);
        }
    });
}

/// Upstream: `SlaveTest.KillQueuedTaskDuringExecutorRegistration`.
#[test]
fn a_queued_task_is_killed_at_once() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        world.master_says(kill("t")).await;
        let update = world.updates("t").remove(0);
        assert_eq!(update.status.state(), TaskKilled);
        assert_eq!(update.status.reason(), Reason::TaskKilledDuringLaunch);
        assert_eq!(update.status.message(), "Killed before delivery to the executor");
        // An executor with nothing to do is told to go when it comes.
        let executor = world.subscribe("e").await;
        assert_eq!(executor.kinds(), [Type::Shutdown]);
    });
}

/// As one whose files are being fetched.
#[test]
fn a_command_task_that_is_killed_before_its_container_is_launched_takes_that_along() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.containers.lock().held_launches = Some(Vec::new());
        world.run(&framework(false), command_task("t")).await;
        world.master_says(kill("t")).await;
        assert_eq!(world.states("t"), [TaskKilled]);
        let container = world.container("t");
        assert_eq!(world.containers.lock().destroyed, [container]);
        let held = world.containers.lock().held_launches.take();
        held.into_iter().flatten().for_each(|reply| reply.set(Err(LaunchError::Destroyed)));
        settle().await;
        assert_eq!(world.metric("slave/container_launch_errors"), 0.0);
        // Its id is free again at once.
        world.acknowledge("t").await;
        world.run(&framework(false), command_task("t")).await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.containers.lock().launched.len(), 2);
        assert_eq!(world.states("t"), [TaskKilled]);
    });
}

/// While the container gets what the task needs, the executor has not been sent it.
/// Upstream: `SlaveTest.KillAllInitialTasksTerminatesExecutor`, `SlaveTest.KillAllInitialTasksTerminatesHTTPExecutor`.
#[test]
fn an_executor_whose_first_tasks_are_killed_before_it_is_sent_them_ends() {
    run(async {
        for is_group in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            if is_group {
                world.master_says(group(["t", "u"], true)).await;
            } else {
                world.run(&framework(true), task("t", "e")).await;
            }
            world.containers.lock().held_updates = Some(Vec::new());
            let executor = world.subscribe("e").await;
            assert_eq!(executor.kinds(), [Type::Subscribed]);
            world.master_says(kill("t")).await;
            assert_eq!(executor.kinds(), [Type::Subscribed, Type::Shutdown]);
            let held = world.containers.lock().held_updates.take();
            held.into_iter().flatten().for_each(|reply| reply.set(Ok(())));
            world.pass(Duration::from_secs(1)).await;
            for id in if is_group { &["t", "u"][..] } else { &["t"][..] } {
                let update = world.updates(id).pop().unwrap();
                assert_eq!(
                    (update.status.state(), update.status.reason()),
                    (TaskKilled, Reason::TaskKilledDuringLaunch),
                    "{id}"
                );
            }
            assert_eq!(executor.kinds(), [Type::Subscribed, Type::Shutdown]);
        }
    });
}

#[test]
fn a_running_task_is_killed_by_its_executor() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskRunning).await;
        world.acknowledge("t").await;
        world.master_says(kill("t")).await;
        let kill = executor.events().pop().unwrap().kill.unwrap();
        assert_eq!(kill.task_id.value, "t");
        executor.update("t", TaskKilled).await;
        assert_eq!(world.states("t"), [TaskRunning, TaskKilled]);
    });
}

#[test]
fn killing_a_task_that_nobody_knows_reports_it() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        world.master_says(kill("unknown")).await;
        assert_eq!(world.states("unknown"), [TaskDropped]);
    });
}

/// Upstream: `SlaveTest.RunTaskResourceVersions`, there of a resource provider.
#[test]
fn a_task_whose_resources_have_changed_is_dropped() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t0", "other")).await;
        world
            .master_says(mesos::internal::RunTaskMessage {
                framework: framework(false),
                task: task("t", "e"),
                resource_version_uuids: vec![mesos::internal::ResourceVersionUuid {
                    resource_provider_id: None,
                    uuid: mesos::v1::Uuid { value: vec![1; 16] },
                }],
                launch_executor: Some(true),
                ..Default::default()
            })
            .await;
        assert_eq!(world.updates("t")[0].status.reason(), Reason::InvalidOffers);
        assert!(world.hears().iter().any(|heard| matches!(heard, Heard::Exited(_))));
    });
}

/// It came twice, or late: the executor that it is for runs, and the master has it in its books.
#[test]
fn an_executor_that_runs_has_not_exited_whatever_becomes_of_a_launch() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run_expecting(&framework(false), task("t", "e"), Some(true)).await;
        world.subscribe("e").await;
        let uuid = mesos::v1::Uuid { value: vec![1; 16] };
        let version = mesos::internal::ResourceVersionUuid { resource_provider_id: None, uuid };
        let launch = run_task(&framework(false), task("late", "e"), Some(true));
        let launch = mesos::internal::RunTaskMessage { resource_version_uuids: vec![version], ..launch };
        world.master_says(launch).await;
        assert_eq!(world.states("late"), [TaskDropped]);
        assert!(!world.hears().iter().any(|heard| matches!(heard, Heard::Exited(_))), "{:?}", world.hears());
    });
}

/// While the acknowledgement of the earlier one's end is on its way to the disk, the later one waits.
#[test]
fn a_task_that_is_killed_before_its_predecessor_of_the_same_id_is_forgotten_is_reported() {
    run(async {
        for checkpoint in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            world.run(&framework(checkpoint), task("t", "e")).await;
            world.subscribe("e").await.update("t", TaskFinished).await;
            world.master_goes_on(world.acknowledgement("t"));
            world.master_goes_on(run_task(&framework(checkpoint), task("t", "e"), Some(false)));
            world.master_says(kill("t")).await;
            world.pass(Duration::from_secs(1)).await;
            assert_eq!(world.states("t"), [TaskFinished, TaskKilled], "{checkpoint}");
            // What the earlier one was is not said of it.
            let latest = world.updates("t")[1].latest_state;
            assert!(latest.is_none_or(|state| state == TaskKilled as i32), "{latest:?}");
            world.acknowledge("t").await;
            world.run_expecting(&framework(checkpoint), task("t", "e"), Some(false)).await;
            world.pass(Duration::from_secs(60)).await;
            assert_eq!(world.states("t"), [TaskFinished, TaskKilled], "{checkpoint}");
        }
    });
}
