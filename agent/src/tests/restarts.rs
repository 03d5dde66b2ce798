//! An agent that is killed and started again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use libprocess::disk::{Disk as _, HostDisk};
use libprocess::simulation::SimulatedDisk;
use libprocess::testing::run;
use mesos::internal::ShutdownExecutorMessage;
use mesos::v1::TaskState::{self, TaskDropped, TaskFailed, TaskFinished, TaskGone, TaskKilled, TaskRunning};
use mesos::v1::executor::{call, event};
use mesos::v1::task_status::Reason;

use super::harness::*;
use crate::containerizer::Termination;
use crate::recovery::checkpoint::read_message;
use crate::recovery::paths::Paths;
use crate::recovery::state;

/// A world with a checkpointing framework, whose task runs and is acknowledged.
pub(super) async fn with_running_task(directory: &std::path::Path) -> World {
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

/// What an executor subscribes with that has heard of no acknowledgement of this update.
pub(super) fn with_unacknowledged(task: &str, state: TaskState) -> call::Subscribe {
    let status = mesos::v1::TaskStatus {
        task_id: mesos::TaskId::from(task).to_proto(),
        state: state.into(),
        source: Some(mesos::v1::task_status::Source::Executor.into()),
        uuid: Some(uuid(task, state).as_bytes().to_vec()),
        ..Default::default()
    };
    call::Subscribe { unacknowledged_updates: vec![call::Update { status }], ..call::Subscribe::default() }
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
        let executor = world.subscribe_with("e", with_unacknowledged("t", TaskFinished)).await;
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
        let executor = world.subscribe_with("e", with_unacknowledged("t", TaskKilled)).await;
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
        let executor = world.subscribe_with("e", with_unacknowledged("t", TaskKilled)).await;
        assert!(executor.kinds().contains(&event::Type::Shutdown), "{:?}", executor.kinds());
        assert_eq!(executor.acknowledged(), [uuid("t", TaskKilled)]);
        assert_eq!(world.states("t").last(), Some(&TaskKilled));
        world.pass(Duration::from_secs(6)).await;
        assert_eq!(world.containers.lock().destroyed.len(), 1);
    });
}
