//! Executors: late, failing, shut down, messages; and the end of frameworks.

use std::time::Duration;

use libprocess::testing::{run, settle};
use mesos::internal::{
    FrameworkToExecutorMessage, PingSlaveMessage, ShutdownExecutorMessage, ShutdownFrameworkMessage,
    UpdateFrameworkMessage,
};
use mesos::v1;
use mesos::v1::TaskState::{TaskFailed, TaskFinished, TaskRunning};
use mesos::v1::executor::event::Type;
use mesos::v1::task_status::Reason;
use mesos::{AgentId, ExecutorId, FrameworkId};

use super::harness::*;
use crate::containerizer::{LaunchError, Termination};
use crate::recovery::paths::{Paths, Run};

/// Upstream: `SlaveTest.ShutdownUnregisteredExecutor`.
#[test]
fn an_executor_that_does_not_subscribe_within_a_minute_is_destroyed() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        world.pass(Duration::from_secs(59)).await;
        assert!(world.containers.lock().destroyed.is_empty());
        world.pass(Duration::from_secs(2)).await;
        let container = world.container("e");
        assert_eq!(world.containers.lock().destroyed, [container]);
        let update = world.updates("t").remove(0);
        assert_eq!(update.status.state(), TaskFailed);
        assert_eq!(update.status.reason(), Reason::ExecutorRegistrationTimeout);
        assert_eq!(update.status.message(), "Executor did not register within 1mins");
    });
}

/// Upstream: `SlaveTest.ExecutorTimeoutCausedBySlowFetch`. What it waited for in vain is said, too.
#[test]
fn a_container_that_is_not_launched_within_a_minute_is_destroyed() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.containers.lock().held_launches = Some(Vec::new());
        world.run(&framework(false), task("t", "e")).await;
        world.pass(Duration::from_secs(61)).await;
        let container = world.container("e");
        assert_eq!(world.containers.lock().destroyed, [container]);
        assert!(world.states("t").is_empty());
        let held = world.containers.lock().held_launches.take();
        held.into_iter().flatten().for_each(|reply| reply.set(Err(LaunchError::Destroyed)));
        settle().await;
        let update = world.updates("t").remove(0);
        assert_eq!(
            (update.status.state(), update.status.reason()),
            (TaskFailed, Reason::ContainerLaunchFailed)
        );
        let message = update.status.message();
        assert!(
            message.starts_with(
                "Executor did not register within 1mins; \
                 Failed to launch container: container destroyed during launching"
            ),
            "{message}"
        );
        assert!(world.hears().iter().any(|heard| matches!(heard, Heard::Exited(_))));
        assert_eq!(world.metric("slave/container_launch_errors"), 1.0);
    });
}

#[test]
fn an_executor_that_ends_fails_its_tasks_and_goes_when_that_is_acknowledged() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskRunning).await;
        world.acknowledge("t").await;
        let container = world.container("e");
        world.end(&container, Termination { status: Some(256), ..Termination::default() }).await;
        let update = world.updates("t").pop().unwrap();
        assert_eq!(update.status.state(), TaskFailed);
        assert_eq!(update.status.reason(), Reason::ExecutorTerminated);
        assert_eq!(update.status.message(), "Executor terminated");
        let exited = world.hears().into_iter().find_map(|heard| match heard {
            Heard::Exited(message) => Some(message),
            _ => None,
        });
        assert_eq!(exited.unwrap().status, 256);
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.metric("slave/frameworks_active"), 1.0);
        world.acknowledge("t").await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.metric("slave/frameworks_active"), 0.0);
        assert_eq!(world.metric("slave/executors_terminated"), 1.0);
    });
}

/// As on a full disk: the marks are for the next agent, which can do without.
#[test]
fn an_executor_that_cannot_be_marked_subscribes_and_ends_all_the_same() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        let container = world.container("e");
        let marked = Run {
            agent: AGENT.into(),
            framework: FRAMEWORK.into(),
            executor: "e".into(),
            container: container.clone(),
        };
        let paths = Paths::new(directory.path());
        // In the way of what would be written.
        for mark in [paths.http_marker(&marked), paths.sentinel(&marked)] {
            std::fs::create_dir(mark).unwrap();
        }
        let executor = world.subscribe("e").await;
        assert_eq!(executor.launched(), ["t"]);
        executor.update("t", TaskFinished).await;
        world.acknowledge("t").await;
        world.end(&container, Termination::default()).await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.metric("slave/frameworks_active"), 0.0);

        world.run(&framework(true), task("u", "e")).await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.subscribe("e").await.launched(), ["u"]);
    });
}

/// Upstream: `SlaveTest.MetricsSlaveLaunchErrors`.
#[test]
fn a_container_that_cannot_be_launched_fails_its_task_with_the_reason() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.containers.lock().refuse = Some("no room".into());
        world.run(&framework(false), command_task("t")).await;
        let update = world.updates("t").remove(0);
        assert_eq!(update.status.state(), TaskFailed);
        assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
        assert!(update.status.message().contains("no room"), "{}", update.status.message());
        // The master does not know of command executors.
        assert!(!world.hears().iter().any(|heard| matches!(heard, Heard::Exited(_))));
        assert_eq!(world.metric("slave/container_launch_errors"), 1.0);
    });
}

/// The master says it once, and may not know that the agent is about to report.
#[test]
fn an_executor_is_asked_to_end_also_by_a_disconnected_agent() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        *world.admits.lock() = false;
        world.master_says(PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_millis(100)).await;
        assert_eq!(world.metric("slave/registered"), 0.0);
        world
            .master_says(ShutdownExecutorMessage {
                executor_id: Some(ExecutorId::from("e").to_proto()),
                framework_id: Some(FrameworkId::from(FRAMEWORK).to_proto()),
            })
            .await;
        assert_eq!(executor.kinds().last(), Some(&Type::Shutdown));
    });
}

#[test]
fn an_executor_is_asked_to_end_and_destroyed_five_seconds_later() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        world
            .master_says(ShutdownExecutorMessage {
                executor_id: Some(ExecutorId::from("e").to_proto()),
                framework_id: Some(FrameworkId::from(FRAMEWORK).to_proto()),
            })
            .await;
        assert_eq!(executor.kinds().last(), Some(&Type::Shutdown));
        world.pass(Duration::from_millis(4900)).await;
        assert!(world.containers.lock().destroyed.is_empty());
        world.pass(Duration::from_millis(200)).await;
        assert_eq!(world.containers.lock().destroyed.len(), 1);
        assert_eq!(world.states("t"), [TaskFailed]);
    });
}

/// Upstream: `SlaveTest.ExecutorShutdownGracePeriod`.
#[test]
fn an_executor_may_have_longer_to_end_than_others() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let mut own = task("t", "e");
        let period = v1::DurationInfo { nanoseconds: 10_000_000_000 };
        own.executor.as_mut().unwrap().shutdown_grace_period = Some(period);
        world.run(&framework(false), own).await;
        let executor = world.subscribe("e").await;
        let launched = executor.events().pop().unwrap().launch.unwrap().task;
        assert_eq!(launched.executor.unwrap().shutdown_grace_period, Some(period));
        executor.update("t", TaskRunning).await;
        world.acknowledge("t").await;
        world
            .master_says(ShutdownExecutorMessage {
                executor_id: Some(ExecutorId::from("e").to_proto()),
                framework_id: Some(FrameworkId::from(FRAMEWORK).to_proto()),
            })
            .await;
        world.pass(Duration::from_millis(9900)).await;
        assert!(world.containers.lock().destroyed.is_empty());
        world.pass(Duration::from_millis(200)).await;
        assert_eq!(world.containers.lock().destroyed.len(), 1);
        let update = world.updates("t").pop().unwrap();
        assert_eq!((update.status.state(), update.status.reason()), (TaskFailed, Reason::ExecutorTerminated));
    });
}

/// Upstream: `SlaveTest.MaxCompletedExecutorsPerFrameworkFlag`.
#[test]
fn so_many_executors_of_a_framework_are_shown_when_they_are_over_as_the_operator_wants() {
    run(async {
        for limit in 0..3 {
            let directory = tempfile::tempdir().unwrap();
            let limiting = format!("--max_completed_executors_per_framework={limit}");
            let world = World::with(directory.path(), &[&limiting]).await.once_registered().await;
            for id in ["a", "b"] {
                world.run(&framework(false), task(id, id)).await;
                world.subscribe(id).await.update(id, TaskFinished).await;
                world.acknowledge(id).await;
            }
            for id in ["a", "b"] {
                world.end(&world.container(id), Termination::default()).await;
            }
            let state = super::http::json(&world, "/state").await;
            let over = state["completed_frameworks"][0]["completed_executors"].as_array().unwrap();
            let over: Vec<_> = over.iter().map(|executor| executor["id"].as_str().unwrap()).collect();
            assert_eq!(over, &["a", "b"][2 - limit..]);
        }
    });
}

/// Upstream: `HttpFaultToleranceTest.SchedulerExit`.
#[test]
fn a_framework_that_is_shut_down_hears_no_more() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskRunning).await;
        world.forget();
        let framework_id = FrameworkId::from(FRAMEWORK).to_proto();
        world.master_says(ShutdownFrameworkMessage { framework_id }).await;
        assert_eq!(executor.kinds().last(), Some(&Type::Shutdown));
        executor.update("t", TaskFinished).await;
        world.pass(Duration::from_secs(60)).await;
        assert!(world.states("t").is_empty());
        assert_eq!(world.metric("slave/frameworks_active"), 0.0);
    });
}

/// Upstream: `HttpFaultToleranceTest.SchedulerFailoverExecutorToFrameworkMessage`,
/// `HttpFaultToleranceTest.SchedulerFailoverFrameworkToExecutorMessage`, `SlaveTest.HTTPScheduler`.
#[test]
fn messages_go_both_ways() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let message = |data: &[u8]| FrameworkToExecutorMessage {
            slave_id: AgentId::from(AGENT).to_proto(),
            framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
            executor_id: ExecutorId::from("e").to_proto(),
            data: data.to_vec(),
        };
        world.master_says(message(b"too early")).await;
        let executor = world.subscribe("e").await;
        world.master_says(message(b"hello")).await;
        assert_eq!(executor.events().pop().unwrap().message.unwrap().data, b"hello");
        executor.message(b"world").await;
        let heard = world.hears().pop().unwrap();
        let Heard::ToFramework(message) = heard else { panic!("{heard:?}") };
        assert_eq!(message.data, b"world");
        assert_eq!(world.metric("slave/invalid_framework_messages"), 1.0);
        assert_eq!(world.metric("slave/valid_framework_messages"), 2.0);
    });
}

/// A driver has an address of its own, until its framework goes on without one.
/// Upstream: `SlaveTest.HTTPSchedulerLiveUpgrade`, `SlaveTest.HTTPSchedulerSlaveRestart`.
#[test]
fn a_message_for_a_scheduler_without_an_address_goes_through_the_master_also_after_a_restart() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let heard = |world: &World| {
            let hears = world.hears().into_iter();
            hears.filter(|heard| matches!(heard, Heard::ToFramework(_))).count()
        };
        let message = run_task(&framework(true), task("t", "e"), None);
        let pid = Some("scheduler(1)@10.9.9.9:8080".to_owned());
        world.master_says(mesos::internal::RunTaskMessage { pid, ..message }).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskRunning).await;
        world.acknowledge("t").await;
        executor.message(b"to itself").await;
        assert_eq!(heard(&world), 0);
        world
            .master_says(UpdateFrameworkMessage {
                framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
                framework_info: Some(framework(true)),
                pid: Some(String::new()),
            })
            .await;
        executor.message(b"through the master").await;
        assert_eq!(heard(&world), 1);
        world.crash().await;

        let world = World::new(directory.path()).await;
        let executor = world.subscribe("e").await;
        world.pass(Duration::from_secs(1)).await;
        executor.message(b"again").await;
        assert_eq!(heard(&world), 1);
    });
}

#[test]
fn an_executor_that_subscribes_again_replaces_its_stream() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let first = world.subscribe("e").await;
        first.update("t", TaskRunning).await;
        let second = world.subscribe("e").await;
        assert!(first.is_closed());
        // What it has, it is not given again.
        assert_eq!(second.kinds(), [Type::Subscribed]);
        world.run(&framework(false), task("t2", "e")).await;
        assert_eq!(second.launched(), ["t2"]);
    });
}

/// Upstream: `SlaveTest.RemoveUnregisteredTerminatedExecutor`.
#[test]
fn a_terminated_executor_that_subscribes_is_told_to_end() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let container = world.container("e");
        world.end(&container, Termination::default()).await;
        let late = world.subscribe("e").await;
        assert_eq!(late.kinds(), [Type::Shutdown]);
        assert!(late.is_closed());
        let update = world.updates("t").remove(0);
        assert_eq!((update.status.state(), update.status.reason()), (TaskFailed, Reason::ExecutorTerminated));
        assert!(world.hears().iter().any(|heard| matches!(heard, Heard::Exited(_))));
        world.acknowledge("t").await;
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.metric("slave/frameworks_active"), 0.0);
    });
}

/// Upstream: `ExecutorHttpApiTest.HeartbeatEvents`.
#[test]
fn executors_hear_a_heartbeat_every_half_hour() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        world.pass(Duration::from_secs(30 * 60)).await;
        assert_eq!(executor.kinds().last(), Some(&Type::Heartbeat));
    });
}
