//! An agent that is killed and started again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use libprocess::disk::{Disk as _, HostDisk};
use libprocess::simulation::SimulatedDisk;
use libprocess::testing::{run, settle};
use mesos::internal::ShutdownExecutorMessage;
use mesos::v1::TaskState::{TaskDropped, TaskFailed, TaskFinished, TaskGone, TaskKilled, TaskRunning};
use mesos::v1::executor::{call, event};
use mesos::v1::task_status::Reason;

use super::harness::*;
use crate::containerizer::Termination;
use crate::recovery::checkpoint::{read_message, touch};
use crate::recovery::paths::{Paths, Run, journal_segment};
use crate::recovery::state;
use crate::status_updates::journal::{Journal, format};
use crate::status_updates::log::acknowledgement_record;

/// A world with a checkpointing framework, whose task runs and is acknowledged.
async fn with_running_task(directory: &std::path::Path) -> World {
    run_task(World::registered(directory).await).await
}

/// The same, in this world.
pub(super) async fn run_task(world: World) -> World {
    world.run(&framework(true), task("t", "e")).await;
    let executor = world.subscribe("e").await;
    executor.update("t", TaskRunning).await;
    world.acknowledge("t").await;
    world
}

pub(super) fn reregistration(world: &World) -> Option<mesos::internal::ReregisterSlaveMessage> {
    world.hears().into_iter().find_map(|heard| match heard {
        Heard::Reregister(message) => Some(message),
        _ => None,
    })
}

/// Upstream: `SlaveRecoveryTest.DISABLED_ReconnectHTTPExecutor`, `SlaveRecoveryTest.ReconnectExecutor`,
/// `SlaveRecoveryTest.MasterFailover`.
#[test]
fn an_agent_comes_back_with_its_id_and_its_tasks() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let world = World::new(directory.path()).await;
        assert_eq!(world.containers.lock().recovered.len(), 1);
        let executor = world.subscribe("e").await;
        assert_eq!(executor.kinds(), [event::Type::Subscribed]);
        // Nobody is missing, so that nothing is waited for.
        world.pass(Duration::from_secs(1)).await;
        let message = reregistration(&world).unwrap();
        assert_eq!(message.slave.id.unwrap().value, AGENT);
        assert_eq!(message.tasks[0].state(), TaskRunning);
        assert_eq!(message.frameworks[0].id.as_ref().unwrap().value, FRAMEWORK);
        assert_eq!(message.executor_infos[0].executor_id.value, "e");

        executor.update("t", TaskFinished).await;
        assert_eq!(world.states("t"), [TaskFinished]);
        world.acknowledge("t").await;
    });
}

/// Who goes back to upstream's agent can do it on the same work directory: that one refuses to recover from an agent that
/// did not checkpoint. Upstream: `operator==` of `SlaveInfo` in `common/type_utils.cpp`.
#[test]
fn what_an_agent_keeps_of_itself_says_that_it_checkpoints() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.crash().await;
        let file = Paths::new(directory.path()).agent_info(&mesos::AgentId::new(AGENT));
        let info: mesos::v0::SlaveInfo = read_message(&HostDisk, &file).unwrap().unwrap();
        assert_eq!(info.id.unwrap().value, AGENT);
        assert_eq!(info.checkpoint, Some(true));
    });
}

/// What it keeps, and the boot id by which it knows that nothing of it runs any more.
#[test]
fn an_agent_that_has_registered_is_found_after_a_power_failure() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        for seed in 0..20 {
            let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
            let world = World::on(Arc::new(disk.mount()), directory.path(), &[]).await;
            world.once_registered().await.crash().await;
            disk.lose_power();
            let kept = state::read(&disk.mount(), &Paths::new(directory.path()), true).unwrap();
            let id = kept.agent.map(|agent| agent.id.to_string());
            assert_eq!((id.as_deref(), kept.rebooted), (Some(AGENT), true), "seed {seed}");
        }
    });
}

/// The agent of before knew this one, and the framework waits for it.
#[test]
fn an_executor_that_is_back_may_send_updates_while_the_agent_waits_for_others() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let world = World::new(directory.path()).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskFinished).await;
        assert_eq!(executor.acknowledged(), [uuid("t", TaskFinished)]);
        assert!(world.hears().is_empty(), "it has not recovered yet");
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.states("t"), [TaskFinished]);
    });
}

/// Upstream: `SlaveRecoveryTest.DISABLED_ReconnectHTTPExecutor`, `SlaveRecoveryTest.ReconnectExecutor`.
#[test]
fn updates_that_were_made_meanwhile_arrive() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let world = World::new(directory.path()).await;
        let update = TestUpdate::of("t", TaskFinished);
        let subscribe =
            call::Subscribe { unacknowledged_updates: vec![update], ..call::Subscribe::default() };
        let executor = world.subscribe_with("e", subscribe).await;
        assert_eq!(executor.acknowledged(), [uuid("t", TaskFinished)]);
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.states("t"), [TaskFinished]);
    });
}

/// The first run was on the disk, and with it the link to it.
#[test]
fn an_update_of_an_executors_later_run_is_found_after_a_power_failure() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        for seed in 0..20 {
            let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
            let world =
                World::on(Arc::new(disk.mount()), directory.path(), &[]).await.once_registered().await;
            world.run(&framework(true), task("t", "e")).await;
            world.subscribe("e").await.update("t", TaskFinished).await;
            world.acknowledge("t").await;
            world.end(&world.container("e"), Termination::default()).await;
            disk.mount().sync_all(directory.path()).unwrap();

            world.run(&framework(true), task("later", "e")).await;
            let executor = world.subscribe("e").await;
            executor.update("later", TaskRunning).await;
            assert_eq!(executor.acknowledged(), [uuid("later", TaskRunning)]);
            let container = world.container("e");
            world.crash().await;
            disk.lose_power();

            let kept = state::read(&disk.mount(), &Paths::new(directory.path()), true).unwrap();
            let run = kept.agent.unwrap().frameworks.remove(0).executors.remove(0).run;
            assert_eq!(run.container, container, "seed {seed}");
            assert_eq!(run.tasks[0].replay.updates.len(), 1, "seed {seed}");
        }
    });
}

struct TestUpdate;

impl TestUpdate {
    fn of(task: &str, state: mesos::v1::TaskState) -> call::Update {
        call::Update {
            status: mesos::v1::TaskStatus {
                task_id: mesos::TaskId::from(task).to_proto(),
                state: state.into(),
                source: Some(mesos::v1::task_status::Source::Executor.into()),
                uuid: Some(uuid(task, state).as_bytes().to_vec()),
                ..Default::default()
            },
        }
    }
}

/// Its scheduler says it once. What it has to say meanwhile counts.
#[test]
fn an_executor_that_was_told_to_end_is_told_again_by_the_agent_that_comes_back() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        world
            .master_says(ShutdownExecutorMessage {
                executor_id: Some(mesos::ExecutorId::from("e").to_proto()),
                framework_id: Some(mesos::FrameworkId::from(FRAMEWORK).to_proto()),
            })
            .await;
        world.crash().await;

        let world = World::new(directory.path()).await;
        let update = TestUpdate::of("t", TaskKilled);
        let subscribe =
            call::Subscribe { unacknowledged_updates: vec![update], ..call::Subscribe::default() };
        let executor = world.subscribe_with("e", subscribe).await;
        assert!(executor.kinds().contains(&event::Type::Shutdown), "{:?}", executor.kinds());
        assert_eq!(executor.acknowledged(), [uuid("t", TaskKilled)]);
        world.pass(Duration::from_secs(4)).await;
        assert!(world.containers.lock().destroyed.is_empty());
        world.pass(Duration::from_secs(2)).await;
        assert_eq!(world.containers.lock().destroyed.len(), 1);
        assert_eq!(world.states("t"), [TaskKilled]);
    });
}

/// Upstream: `SlaveRecoveryTest.RecoverTaskStatusUpdateManager`, `SlaveRecoveryTest.SchedulerFailover`.
#[test]
fn an_update_that_was_not_acknowledged_is_sent_again_with_the_same_uuid() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskFinished).await;
        let before = world.updates("t").pop().unwrap();
        world.crash().await;

        let world = World::new(directory.path()).await;
        world.subscribe("e").await;
        world.pass(Duration::from_secs(4)).await;
        let after = world.updates("t");
        assert_eq!(after.len(), 1);
        assert_eq!((&after[0].uuid, after[0].status.state()), (&before.uuid, TaskFinished));
        world.acknowledge("t").await;
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(world.updates("t").len(), 1);
    });
}

/// Upstream: `SlaveTest.ROOT_RunTaskWithCommandInfoWithoutUser`,
/// `SlaveTest.ROOT_UNPRIVILEGED_USER_RunTaskWithCommandInfoWithUser`.
#[test]
fn an_executor_keeps_the_user_that_its_command_names() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can run something as another user");
        return;
    }
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::with(directory.path(), &["--switch_user"]).await.once_registered().await;
        let mut own = task("t", "own");
        own.executor.as_mut().unwrap().command.as_mut().unwrap().user = Some("nobody".into());
        world.run(&framework(true), own).await;
        world.run(&framework(true), task("u", "other")).await;
        let users = |world: &World| {
            let book = world.containers.lock();
            let launched = book.launched.iter().map(|(_, config)| config.user.clone().unwrap());
            let recovered = book.recovered.iter().map(|container| container.user.clone().unwrap());
            (launched.collect::<Vec<_>>(), recovered.collect::<Vec<_>>())
        };
        assert_eq!(users(&world).0, ["nobody", "root"]);
        world.crash().await;
        let world = World::with(directory.path(), &["--switch_user"]).await;
        world.pass(Duration::from_millis(1)).await;
        let mut recovered = users(&world).1;
        recovered.sort();
        assert_eq!(recovered, ["nobody", "root"]);
    });
}

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

/// Upstream: `SlaveRecoveryTest.RecoverTerminatedExecutor`.
#[test]
fn an_executor_that_does_not_come_back_in_two_seconds_is_killed_and_its_tasks_are_gone() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let world = World::new(directory.path()).await;
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.containers.lock().destroyed.len(), 1);
        let update = world.updates("t").remove(0);
        assert_eq!(update.status.state(), TaskGone);
        assert_eq!(update.status.reason(), Reason::ExecutorReregistrationTimeout);
        assert_eq!(update.status.message(), "Executor did not reregister within 2secs");
    });
}

/// Upstream: `SlaveRecoveryTest.RecoverUnregisteredExecutor`, `SlaveTest.AgentFailoverTerminatesHTTPExecutorWithNoTask`.
/// Upstream, too: `SlaveRecoveryTest.DISABLED_RecoverUnregisteredHTTPExecutor`.
/// Upstream, too: `SlaveTest.AgentFailoverTerminatesExecutorWithNoTask`.
#[test]
fn an_executor_that_had_not_subscribed_yet_has_as_long() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        world.run(&framework(true), task("late", "slow")).await;
        world.crash().await;

        let world = World::new(directory.path()).await;
        let executor = world.subscribe("e").await;
        world.pass(Duration::from_secs(4)).await;
        // The one that came has not seen its task, which the last agent had kept for it.
        assert!(executor.launched().is_empty());
        assert_eq!(world.updates("t")[0].status.reason(), Reason::AgentRestarted);
        // It would wait for a task for ever.
        assert_eq!(executor.kinds(), [event::Type::Shutdown]);
        assert_eq!(world.containers.lock().destroyed.len(), 1);
        let update = world.updates("late").remove(0);
        assert_eq!(update.status.state(), TaskGone);
        assert_eq!(update.status.reason(), Reason::ExecutorReregistrationTimeout);
        world.acknowledge("late").await;
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(world.updates("late").len(), 1);
    });
}

/// Upstream: `SlaveRecoveryTest.KillQueuedTaskDuringExecutorRegistration`.
#[test]
fn an_executor_whose_only_task_was_killed_before_it_subscribed_ends_after_a_restart() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        world
            .master_says(mesos::internal::KillTaskMessage {
                framework_id: mesos::FrameworkId::from(FRAMEWORK).to_proto(),
                task_id: mesos::TaskId::from("t").to_proto(),
                ..Default::default()
            })
            .await;
        assert_eq!(world.states("t"), [TaskKilled]);
        assert_eq!(world.updates("t")[0].status.reason(), Reason::TaskKilledDuringLaunch);
        world.acknowledge("t").await;
        world.crash().await;

        let world = World::new(directory.path()).await;
        assert_eq!(world.containers.lock().recovered.len(), 1);
        let executor = world.subscribe("e").await;
        assert_eq!(executor.kinds(), [event::Type::Shutdown]);
        world.pass(Duration::from_secs(10)).await;
        assert_eq!(world.containers.lock().destroyed.len(), 1);
    });
}

/// Upstream: `SlaveRecoveryTest.RestartBeforeContainerizerLaunch`.
#[test]
fn a_task_whose_container_was_never_launched_fails() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        world.crash().await;

        let world = World::new(directory.path()).await;
        let container = world.containers.lock().recovered[0].id.clone();
        world.end(&container, Termination::default()).await;
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.states("t"), [TaskFailed]);
        world.acknowledge("t").await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.metric("slave/frameworks_active"), 0.0);
    });
}

/// Upstream: `SlaveRecoveryTest.KillTask`.
/// Upstream, too: `SlaveRecoveryTest.DISABLED_KillTaskWithHTTPExecutor`.
#[test]
fn a_task_can_be_killed_after_the_agent_is_back() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let world = World::new(directory.path()).await;
        let executor = world.subscribe("e").await;
        world.pass(Duration::from_secs(4)).await;
        world
            .master_says(mesos::internal::KillTaskMessage {
                framework_id: mesos::FrameworkId::from(FRAMEWORK).to_proto(),
                task_id: mesos::TaskId::from("t").to_proto(),
                ..Default::default()
            })
            .await;
        assert_eq!(executor.kinds(), [event::Type::Subscribed, event::Type::Kill]);
        executor.update("t", TaskKilled).await;
        assert_eq!(world.states("t"), [TaskKilled]);
    });
}

/// Upstream: `SlaveRecoveryTest.PingTimeoutDuringRecovery`.
/// Upstream, too: `SlaveTest.ExecutorReregistrationTimeoutFlag`.
#[test]
fn an_agent_that_waits_for_its_executors_answers_pings() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let arguments = ["--executor_reregistration_timeout=15secs"];
        let world = World::with(directory.path(), &arguments).await;
        world.master_says(mesos::internal::PingSlaveMessage { connected: false }).await;
        assert!(matches!(world.hears()[..], [Heard::Pong]), "{:?}", world.hears());
        world.pass(Duration::from_secs(13)).await;
        world.subscribe("e").await;
        assert!(world.containers.lock().destroyed.is_empty());
        world.pass(Duration::from_secs(17)).await;
        assert_eq!(reregistration(&world).unwrap().tasks.len(), 1);
    });
}

/// Upstream: `SlaveRecoveryTest.MultipleFrameworks`.
#[test]
fn each_framework_finds_its_own_again() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        let mut other = framework(true);
        other.id = Some(mesos::FrameworkId::from("M-0001").to_proto());
        let mut theirs = task("theirs", "f");
        if let Some(executor) = &mut theirs.executor {
            executor.framework_id = other.id.clone();
        }
        world.run(&other, theirs).await;
        world.crash().await;

        let world = World::new(directory.path()).await;
        assert_eq!(world.containers.lock().recovered.len(), 2);
        world.subscribe("e").await;
        world.pass(Duration::from_millis(1900)).await;
        assert!(world.hears().is_empty(), "it registers only after its executors have had their time");
        world.pass(Duration::from_secs(2)).await;
        let message = reregistration(&world).unwrap();
        let ids: Vec<_> = message.frameworks.iter().map(|info| info.id.clone().unwrap().value).collect();
        assert_eq!(ids, [FRAMEWORK, "M-0001"]);
        // Its executor has not come back.
        assert_eq!(world.states("theirs"), [TaskGone]);
        assert!(world.states("t").is_empty());
    });
}

/// Upstream: `SlaveRecoveryTest.RecoverTerminatedHTTPExecutor`, `SlaveRecoveryTest.RecoverTerminatedExecutor`,
/// `SlaveRecoveryTest.DISABLED_RecoveryTimeout`.
#[test]
fn an_executor_that_ended_meanwhile_fails_its_tasks() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;

        let world = World::new(directory.path()).await;
        let container = world.containers.lock().recovered[0].id.clone();
        world.end(&container, Termination { status: Some(0), ..Termination::default() }).await;
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.states("t"), [TaskFailed]);
        assert_eq!(world.updates("t")[0].status.reason(), Reason::ExecutorTerminated);
    });
}

#[test]
fn a_task_that_never_reached_its_executor_is_dropped() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        // Given to the executor, which is too slow to say anything of it.
        world.run(&framework(true), task("late", "e")).await;
        world.crash().await;

        let world = World::new(directory.path()).await;
        let executor = world.subscribe("e").await;
        assert!(executor.launched().is_empty());
        world.pass(Duration::from_secs(4)).await;
        let update = world.updates("late").remove(0);
        assert_eq!(update.status.state(), TaskDropped);
        assert_eq!(update.status.reason(), Reason::AgentRestarted);
    });
}

/// Upstream: `SlaveRecoveryTest.NonCheckpointingFramework`.
#[test]
fn a_framework_that_does_not_checkpoint_is_forgotten() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        world.crash().await;

        let world = World::new(directory.path()).await;
        world.pass(Duration::from_secs(2)).await;
        let message = reregistration(&world).unwrap();
        assert!(message.frameworks.is_empty() && message.tasks.is_empty());
    });
}

/// Upstream: `SlaveRecoveryTest.RecoverCompletedExecutor`.
#[test]
fn a_completed_executor_is_not_waited_for() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskFinished).await;
        world.acknowledge("t").await;
        let container = world.container("e");
        world.end(&container, Termination::default()).await;
        let sandbox = world.containers.lock().launched[0].1.directory.clone();
        world.crash().await;

        let world = World::new(directory.path()).await;
        assert!(world.containers.lock().recovered.is_empty());
        // What its task has left there runs on.
        assert_eq!(world.containers.lock().over, [sandbox]);
        world.pass(Duration::from_secs(1)).await;
        assert!(reregistration(&world).unwrap().tasks.is_empty());
    });
}

#[test]
fn an_agent_that_has_changed_does_not_start_and_says_what_to_do() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        World::registered(directory.path()).await.crash().await;

        let arguments = ["--resources=cpus:8"];
        let mut world = World::with(directory.path(), &arguments).await;
        let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it runs") };
        assert!(reason.contains("resources") && reason.contains("slaves/latest"), "{reason}");
        world.crash().await;

        std::fs::remove_file(directory.path().join("meta/slaves/latest")).unwrap();
        let world = World::with(directory.path(), &arguments).await;
        world.pass(Duration::from_secs(1)).await;
        assert!(matches!(world.hears()[0], Heard::Register(_)));
    });
}

/// As one that is full: to give up what was kept would not help.
#[test]
fn a_disk_that_cannot_be_written_is_no_reason_to_start_as_a_new_agent() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        // In the way of the file that is written when all has been recovered.
        std::fs::create_dir_all(directory.path().join("meta/boot_id.tmp")).unwrap();
        let mut world = World::new(directory.path()).await;
        let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it runs") };
        assert!(reason.contains("boot_id") && !reason.contains("slaves/latest"), "{reason}");
        world.crash().await;
    });
}

/// It may be this agent that makes room, when the time of old sandboxes has come.
#[test]
fn an_agent_comes_back_without_room_if_there_is_nothing_new_to_write() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;
        // In the way of what would be written.
        std::fs::create_dir(directory.path().join("meta/boot_id.tmp")).unwrap();
        let world = World::new(directory.path()).await;
        world.subscribe("e").await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(reregistration(&world).unwrap().tasks[0].state(), TaskRunning);
    });
}

/// Nor does it need room to register again, to be told of its frameworks, or to drain: it may be told to end what fills its
/// disk.
#[test]
fn an_agent_without_room_registers_again_and_kills_tasks() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        let config = mesos::v1::DrainConfig::default();
        world.master_says(mesos::internal::DrainSlaveMessage { config }).await;
        world.crash().await;
        let paths = Paths::new(directory.path());
        let (agent, framework_id) = (mesos::AgentId::from(AGENT), mesos::FrameworkId::from(FRAMEWORK));
        // In the way of what would be written.
        let in_the_way = [
            paths.boot_id(),
            paths.latest_agent(),
            paths.agent_info(&agent),
            paths.drain_config(&agent),
            paths.framework_info(&agent, &framework_id),
            paths.framework_pid(&agent, &framework_id),
        ]
        .map(|path| {
            assert!(path.exists(), "{}", path.display());
            std::path::PathBuf::from(format!("{}.tmp", path.display()))
        });
        for path in &in_the_way {
            std::fs::create_dir(path).unwrap();
        }

        let world = World::new(directory.path()).await;
        let executor = world.subscribe("e").await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(reregistration(&world).unwrap().tasks[0].state(), TaskRunning);
        let described = mesos::internal::UpdateFrameworkMessage {
            framework_id: framework_id.to_proto(),
            framework_info: Some(framework(true)),
            pid: None,
        };
        world.master_says(described).await;
        assert!(executor.kinds().contains(&event::Type::Kill), "{:?}", executor.kinds());
        executor.update("t", TaskKilled).await;
        assert_eq!(world.states("t"), [TaskKilled]);
        assert!(in_the_way.iter().all(|path| path.is_dir()));
    });
}

/// Its executors run on, and find the next agent: nobody is told to give them up.
#[test]
fn a_disk_that_does_not_take_promised_updates_is_no_reason_to_give_executors_up() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        let run = Run {
            agent: AGENT.into(),
            framework: FRAMEWORK.into(),
            executor: "e".into(),
            container: world.container("e"),
        };
        world.crash().await;
        // Whatever was there comes back from the journal; nothing can be written to where this leads.
        let log = Paths::new(directory.path()).task_updates(&run, &"t".into());
        let _ = std::fs::remove_file(log.path());
        std::os::unix::fs::symlink(directory.path().join("no/such/directory"), log.path()).unwrap();

        for arguments in [vec![], vec!["--no-strict"]] {
            let mut world = World::with(directory.path(), &arguments).await;
            let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it runs") };
            assert!(reason.contains("task.updates") && reason.contains("start again"), "{reason}");
            assert!(!reason.contains("slaves/latest'"), "{reason}");
            world.crash().await;
        }

        std::fs::remove_file(log.path()).unwrap();
        let world = World::new(directory.path()).await;
        world.subscribe("e").await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(reregistration(&world).unwrap().tasks[0].state(), TaskRunning);
    });
}

/// As where somebody has taken the right to: the last thing to do is to give it up.
#[test]
fn what_may_not_be_read_is_to_be_made_readable_first() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        with_running_task(directory.path()).await.crash().await;
        let info = Paths::new(directory.path()).agent_info(&AGENT.into());
        std::fs::remove_file(&info).unwrap();
        std::fs::create_dir(&info).unwrap();
        let mut world = World::new(directory.path()).await;
        let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it runs") };
        let place = |text: &str| reason.find(text).unwrap_or_else(|| panic!("{reason}"));
        assert!(place("slave.info") < place("start again") && place("start again") < place("slaves/latest'"));
        world.crash().await;
    });
}

/// Nobody was promised what is torn; what is damaged, somebody was (`docs/recovery.md`).
#[test]
fn a_damaged_journal_stops_a_strict_agent_and_is_counted_by_another() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        world.subscribe("e").await.update("t", TaskFinished).await;
        // By then the task's own log has both updates.
        world.pass(Duration::from_secs(2)).await;
        world.crash().await;
        let journal = journal_segment(&Paths::new(directory.path()).agent_meta(&AGENT.into()), 1);
        let mut bytes = std::fs::read(&journal).unwrap();
        // In the first group: it brings along whose task it is.
        let middle = format::read(&bytes).whole / 2;
        bytes[middle] ^= 1;
        std::fs::write(&journal, &bytes).unwrap();

        let mut world = World::new(directory.path()).await;
        let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it runs") };
        assert!(reason.contains(&*journal.to_string_lossy()) && reason.contains("corrupt"), "{reason}");
        world.crash().await;
        assert_eq!(std::fs::read(&journal).unwrap(), bytes, "it was left as it is");

        let world = World::with(directory.path(), &["--no-strict"]).await;
        world.subscribe("e").await;
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.metric("slave/recovery_errors"), 1.0);
        let message = reregistration(&world).unwrap();
        assert_eq!((message.slave.id.unwrap().value.as_str(), message.tasks.len()), (AGENT, 1));
        assert_eq!(world.states("t"), [TaskFinished]);
    });
}

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
        let update = TestUpdate::of("t", TaskFinished);
        let subscribe =
            call::Subscribe { unacknowledged_updates: vec![update], ..call::Subscribe::default() };
        let executor = world.subscribe_with("e", subscribe).await;
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

/// It may have killed its tasks before its connection broke.
#[test]
fn an_executor_that_was_told_to_end_and_subscribes_again_is_heard() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = with_running_task(directory.path()).await;
        world
            .master_says(ShutdownExecutorMessage {
                executor_id: Some(mesos::ExecutorId::from("e").to_proto()),
                framework_id: Some(mesos::FrameworkId::from(FRAMEWORK).to_proto()),
            })
            .await;
        let update = TestUpdate::of("t", TaskKilled);
        let subscribe =
            call::Subscribe { unacknowledged_updates: vec![update], ..call::Subscribe::default() };
        let executor = world.subscribe_with("e", subscribe).await;
        assert!(executor.kinds().contains(&event::Type::Shutdown), "{:?}", executor.kinds());
        assert_eq!(executor.acknowledged(), [uuid("t", TaskKilled)]);
        assert_eq!(world.states("t").last(), Some(&TaskKilled));
        world.pass(Duration::from_secs(6)).await;
        assert_eq!(world.containers.lock().destroyed.len(), 1);
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
