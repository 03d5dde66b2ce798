//! Registration, re-registration, pings.

use std::time::Duration;

use libprocess::testing::run;
use mesos::capabilities::AgentCapabilities;
use mesos::internal;
use mesos::v1::TaskState::{TaskDropped, TaskFinished, TaskLost, TaskRunning};

use super::harness::*;
use super::restarts::reregistration;
use crate::containerizer::Termination;

/// Upstream: `SlaveTest.ResourceVersions`.
#[test]
fn an_agent_registers_within_a_second_with_what_it_has() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let (when, heard) = world.hears_at().remove(0);
        assert!(when <= Duration::from_secs(1), "{when:?}");
        let Heard::Register(message) = heard else { panic!("{heard:?}") };
        assert_eq!(message.slave.hostname, "localhost");
        assert_eq!(message.slave.port, Some(5051));
        assert_eq!(message.slave.resources.len(), 4);
        assert_eq!(message.version(), "1.11.0");
        let capabilities = AgentCapabilities::from_protos(&message.agent_capabilities);
        assert_eq!(
            capabilities.names().collect::<Vec<_>>(),
            [
                "MULTI_ROLE",
                "HIERARCHICAL_ROLE",
                "RESERVATION_REFINEMENT",
                "RESOURCE_PROVIDER",
                "RESIZE_VOLUME",
                "AGENT_OPERATION_FEEDBACK",
                "AGENT_DRAINING"
            ]
        );
        assert_eq!(message.resource_version_uuid.unwrap().value.len(), 16);
        assert!(matches!(world.hears()[1], Heard::Resources(_)));
        let info = directory.path().join("meta/slaves/latest/slave.info");
        assert!(info.exists());
    });
}

/// Upstream: `FaultToleranceTest.SlaveReliableRegistration`.
#[test]
fn an_agent_that_is_not_answered_tries_again_with_growing_pauses() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::new(directory.path()).await;
        *world.admits.lock() = false;
        world.pass(Duration::from_secs(300)).await;
        let times: Vec<Duration> = world.hears_at().iter().map(|(when, _)| *when).collect();
        assert!(times[0] <= Duration::from_secs(1));
        let mut window = Duration::from_secs(2);
        for pair in times.windows(2) {
            // The clock's grain is a millisecond, rounded up.
            assert!(pair[1] - pair[0] <= window + Duration::from_millis(2), "{times:?}");
            window = (window * 2).min(Duration::from_secs(60));
        }
        assert!(times.len() >= 6, "{times:?}");
    });
}

#[test]
fn only_the_leaders_messages_count() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::new(directory.path()).await;
        *world.admits.lock() = false;
        world.pass(Duration::from_secs(1)).await;
        world.stranger_says(registered()).await;
        world.pass(Duration::from_millis(100)).await;
        assert_eq!(world.metric("slave/registered"), 0.0);
        world.master_says(registered()).await;
        world.pass(Duration::from_millis(100)).await;
        assert_eq!(world.metric("slave/registered"), 1.0);
    });
}

/// Upstream: `OneWayPartitionTest.MasterToSlave`.
#[test]
fn a_ping_is_answered_and_one_that_says_disconnected_leads_to_a_new_registration() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.forget();
        world.master_says(internal::PingSlaveMessage { connected: true }).await;
        assert!(matches!(world.hears()[..], [Heard::Pong]));
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(1)).await;
        assert!(matches!(world.hears()[2], Heard::Reregister(_)));
    });
}

/// Upstream: `SlaveTest.PingTimeoutNoPings`, `SlaveTest.PingTimeoutSomePings`.
#[test]
fn an_agent_without_pings_registers_again_after_the_time_that_the_master_named() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.forget();
        for _ in 0..5 {
            world.pass(Duration::from_secs(60)).await;
            world.master_says(internal::PingSlaveMessage { connected: true }).await;
        }
        assert!(world.hears().iter().all(|heard| matches!(heard, Heard::Pong)));
        world.forget();
        world.pass(Duration::from_secs(74)).await;
        assert!(world.hears().is_empty());
        world.pass(Duration::from_secs(3)).await;
        let Heard::Reregister(message) = &world.hears()[0] else { panic!("{:?}", world.hears()) };
        assert_eq!(message.slave.id.as_ref().unwrap().value, AGENT);
    });
}

/// Upstream: `MasterSlaveReconciliationTest.SlaveReregisterPendingTask`,
/// `MasterSlaveReconciliationTest.SlaveReregisterFrameworks`,
/// `MasterSlaveReconciliationTest.SlaveReregisterTaskExecutorIds`.
#[test]
fn an_agent_that_registers_again_tells_all_that_it_runs() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t1", "e")).await;
        world.run(&framework(false), command_task("t2")).await;
        let executor = world.subscribe("e").await;
        executor.update("t1", mesos::v1::TaskState::TaskRunning).await;
        world.forget();
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(1)).await;
        let message = world.hears().into_iter().find_map(|heard| match heard {
            Heard::Reregister(message) => Some(message),
            _ => None,
        });
        let message = message.unwrap();
        assert_eq!(message.frameworks.len(), 1);
        let tasks: Vec<_> = message.tasks.iter().map(|task| (task.name.as_str(), task.state())).collect();
        assert_eq!(
            tasks,
            [("t1", mesos::v1::TaskState::TaskRunning), ("t2", mesos::v1::TaskState::TaskStaging)]
        );
        // The command executor is the agent's own affair.
        let executors: Vec<_> =
            message.executor_infos.iter().map(|info| info.executor_id.value.as_str()).collect();
        assert_eq!(executors, ["e"]);
    });
}

/// A broken network made the pauses long. That it is well again is heard from the master, if that has known the agent.
#[test]
fn a_ping_ends_the_long_pauses_of_an_agent_that_was_not_answered() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        *world.admits.lock() = false;
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(300)).await;
        let reports = || {
            let heard = world.hears_at().into_iter();
            heard.filter(|(_, heard)| matches!(heard, Heard::Reregister(_))).collect::<Vec<_>>()
        };
        // Until the next one there is a pause that may be as long as a minute: one that is longer than ten seconds is
        // waited for.
        let begun = world.node.elapsed();
        loop {
            let before = reports().len();
            world.pass(Duration::from_secs(10)).await;
            if reports().len() == before {
                break;
            }
            assert!(world.node.elapsed() - begun < Duration::from_secs(600));
        }
        world.forget();
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(1)).await;
        // The pause after the first one may be so short that there are two.
        assert!(!reports().is_empty(), "{:?}", world.hears());
        // The answer to that may be on its way still.
        world.forget();
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        assert!(matches!(world.hears()[..], [Heard::Pong]));
    });
}

/// The master gave the agent up meanwhile, so that nobody expects the task to run.
#[test]
fn a_launch_that_was_on_its_way_when_the_agent_registered_again_is_dropped() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let Heard::Register(message) = world.hears().remove(0) else { panic!("{:?}", world.hears()) };
        let launch = |task_id, version| internal::RunTaskMessage {
            resource_version_uuids: vec![internal::ResourceVersionUuid {
                resource_provider_id: None,
                uuid: version,
            }],
            ..run_task(&framework(true), task(task_id, task_id), Some(true))
        };
        let before = message.resource_version_uuid.unwrap();
        world.master_says(launch("t1", before.clone())).await;
        assert!(world.updates("t1").is_empty());
        world.forget();
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(1)).await;
        let heard = world.hears().into_iter();
        let mut message = heard.filter_map(|heard| match heard {
            Heard::Reregister(message) => Some(message),
            _ => None,
        });
        let message = message.next_back().unwrap();
        assert_eq!(message.tasks.len(), 1);
        let since = message.resource_version_uuid.unwrap();
        world.forget();
        world.master_says(launch("t2", before)).await;
        assert_eq!(world.states("t2"), [TaskDropped]);
        // The master is told which it is.
        let told = world.hears().into_iter().find_map(|heard| match heard {
            Heard::Resources(message) => message.resource_version_uuid,
            _ => None,
        });
        assert_eq!(told.as_ref(), Some(&since));
        world.master_says(launch("t3", since)).await;
        world.pass(Duration::from_secs(1)).await;
        assert!(world.updates("t3").is_empty());
        assert_eq!(world.metric("slave/tasks_staging"), 2.0);
    });
}

/// Upstream: `MasterSlaveReconciliationTest.ReconcileLostTask`, `MasterSlaveReconciliationTest.ReconcileDroppedTask`.
/// Upstream, too: `SlaveRecoveryTest.ReconcileTasksMissingFromSlave`.
#[test]
fn tasks_that_only_the_master_knows_are_dropped() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        *world.admits.lock() = false;
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(1)).await;
        let status = |task: &str| mesos::v1::TaskStatus {
            task_id: mesos::TaskId::from(task).to_proto(),
            ..Default::default()
        };
        let reconciliation = |task: &str, framework| internal::ReconcileTasksMessage {
            framework_id: mesos::FrameworkId::from(FRAMEWORK).to_proto(),
            statuses: vec![status(task)],
            framework,
        };
        world
            .master_says(internal::SlaveReregisteredMessage {
                slave_id: mesos::AgentId::from(AGENT).to_proto(),
                reconciliations: vec![
                    reconciliation("aware", Some(framework(false))),
                    reconciliation("unaware", None),
                ],
                connection: None,
            })
            .await;
        assert_eq!(world.states("aware"), [TaskDropped]);
        assert_eq!(world.states("unaware"), [TaskLost]);
    });
}

/// Nothing of the framework is left on the agent by then. (Found by simulation: the master waited for ever.)
#[test]
fn what_was_said_of_a_dropped_task_is_repeated_when_its_framework_has_ended_everything_else() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        *world.admits.lock() = false;
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(1)).await;
        let status =
            mesos::v1::TaskStatus { task_id: mesos::TaskId::from("lost").to_proto(), ..Default::default() };
        let reconciliation = internal::ReconcileTasksMessage {
            framework_id: mesos::FrameworkId::from(FRAMEWORK).to_proto(),
            statuses: vec![status],
            framework: Some(framework(false)),
        };
        let slave_id = mesos::AgentId::from(AGENT).to_proto();
        let reconciliations = vec![reconciliation];
        world
            .master_says(internal::SlaveReregisteredMessage { slave_id, reconciliations, connection: None })
            .await;
        assert_eq!(world.states("lost"), [TaskDropped]);

        executor.update("t", TaskFinished).await;
        world.acknowledge("t").await;
        world.end(&world.container("e"), Termination::default()).await;
        world.forget();
        world.pass(Duration::from_secs(20)).await;
        assert_eq!(world.states("lost"), [TaskDropped]);

        // The master says that the framework is no more.
        world
            .master_says(internal::ShutdownFrameworkMessage {
                framework_id: mesos::FrameworkId::from(FRAMEWORK).to_proto(),
            })
            .await;
        world.forget();
        world.pass(Duration::from_secs(45)).await;
        assert!(world.states("lost").is_empty());
    });
}

/// The master had forgotten the agent when its first message reached it once more.
#[test]
fn a_disconnected_agent_keeps_its_id() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        *world.admits.lock() = false;
        world.master_says(internal::PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(1)).await;
        let mut other = registered();
        other.slave_id.value = "M-S1".into();
        world.forget();
        world.master_says(other).await;
        world.pass(Duration::from_millis(100)).await;
        assert_eq!(world.metric("slave/registered"), 0.0);
        let Heard::Unregister(message) = world.hears().remove(0) else { panic!("{:?}", world.hears()) };
        assert_eq!(message.slave_id.value, "M-S1");
        // Nor does a repeated answer to that message say that the master knows what runs here.
        world.master_says(registered()).await;
        assert_eq!(world.metric("slave/registered"), 0.0);
        let slave_id = mesos::v1::AgentId { value: AGENT.into() };
        world.master_says(internal::SlaveReregisteredMessage { slave_id, ..Default::default() }).await;
        world.pass(Duration::from_millis(100)).await;
        assert_eq!(world.metric("slave/registered"), 1.0);
        world.run(&framework(false), task("t", "e")).await;
        assert_eq!(world.containers.lock().launched.len(), 1);
    });
}

#[test]
fn an_agent_with_two_ids_stops() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World::registered(directory.path()).await;
        let mut other = registered();
        other.slave_id.value = "M-S1".into();
        world.master_says(other).await;
        let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it stopped in order") };
        assert!(reason.contains("M-S1") && reason.contains("M-S0"), "{reason}");
    });
}

#[test]
fn a_master_can_shut_an_agent_down() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t1", "e")).await;
        let executor = world.subscribe("e").await;
        world.stranger_says(internal::ShutdownMessage { message: None }).await;
        assert!(!executor.kinds().contains(&mesos::v1::executor::event::Type::Shutdown));
        world.master_says(internal::ShutdownMessage { message: Some("enough".into()) }).await;
        assert!(executor.kinds().contains(&mesos::v1::executor::event::Type::Shutdown));
        assert_eq!(world.running.wait().await, crate::Ended::Stopped);
        assert_eq!(world.containers.lock().destroyed.len(), 1);
    });
}

/// Upstream: `SlaveReregisterTerminatedExecutor`, `SlaveReregisterTerminalTask`.
#[test]
fn a_task_is_told_of_until_its_end_is_acknowledged_with_its_executor_or_without() {
    run(async {
        for executor_ends in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let world = World::registered(directory.path()).await;
            world.run(&framework(false), task("t", "e")).await;
            let executor = world.subscribe("e").await;
            executor.update("t", TaskRunning).await;
            world.acknowledge("t").await;
            executor.update("t", TaskFinished).await;
            if executor_ends {
                world.end(&world.container("e"), Termination::default()).await;
            }
            // The master may not have heard of it.
            world.forget();
            world.master_says(internal::PingSlaveMessage { connected: false }).await;
            world.pass(Duration::from_secs(1)).await;
            let report = reregistration(&world).unwrap();
            let tasks: Vec<_> =
                report.tasks.iter().map(|task| (task.task_id.value.as_str(), task.state())).collect();
            assert_eq!(tasks, [("t", TaskFinished)]);
            assert_eq!(report.executor_infos.is_empty(), executor_ends);
            // It is told again, and nothing else of it.
            assert_eq!(world.states("t"), [TaskFinished]);
        }
    });
}
