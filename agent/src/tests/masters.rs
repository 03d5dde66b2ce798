//! An agent obeys the master that it has detected, and nobody else: one that was deposed may not know it yet.

use std::time::Duration;

use election::LeaderChanged;
use libprocess::testing::{run, settle};
use libprocess::{Context, Handle, Pid, Process};
use mesos::internal::{
    KillTaskMessage, PingSlaveMessage, RunTaskMessage, ShutdownExecutorMessage, ShutdownFrameworkMessage,
    ShutdownMessage, SlaveReregisteredMessage, StatusUpdateAcknowledgementMessage, UpdateFrameworkMessage,
};
use mesos::v1::TaskState;
use mesos::v1::executor::event::Type;
use mesos::{AgentId, ExecutorId, FrameworkId, TaskId, v1};

use super::harness::*;
use super::http::json;
use crate::agent::Agent;
use crate::containerizer::Termination;

/// The link to this actor broke.
struct Broken(Pid);

libprocess::messages! { Broken; }

impl Handle<Broken> for Agent {
    fn handle(&mut self, Broken(pid): Broken, _: &Pid, ctx: &mut Context<Self>) {
        self.exited(&pid, ctx);
    }
}

/// The detector says who leads.
async fn detect(world: &World, pid: Option<&str>) {
    let leader = pid.map(|pid| v1::MasterInfo { pid: Some(pid.into()), ..Default::default() });
    world.running.agent.tell(LeaderChanged { leader, node: None });
    settle().await;
}

/// Upstream: `IgnoreNonLeaderStatusUpdateAcknowledgement`, of acknowledgements.
#[test]
fn what_another_master_wants_is_not_done() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskState::TaskRunning).await;
        let sent = world.updates("t").len();

        let framework_id = FrameworkId::from(FRAMEWORK).to_proto();
        let task_id = TaskId::from("t").to_proto();
        let run_task = RunTaskMessage {
            framework: framework(false),
            task: task("another", "other"),
            ..Default::default()
        };
        world.stranger_says(run_task).await;
        world
            .stranger_says(KillTaskMessage {
                framework_id: framework_id.clone(),
                task_id: task_id.clone(),
                kill_policy: None,
            })
            .await;
        let shut_down = ShutdownExecutorMessage {
            framework_id: Some(framework_id.clone()),
            executor_id: Some(ExecutorId::from("e").to_proto()),
        };
        world.stranger_says(shut_down).await;
        world.stranger_says(ShutdownFrameworkMessage { framework_id: framework_id.clone() }).await;
        world.stranger_says(ShutdownMessage { message: None }).await;
        world
            .stranger_says(StatusUpdateAcknowledgementMessage {
                slave_id: v1::AgentId { value: AGENT.into() },
                framework_id,
                task_id,
                uuid: world.updates("t")[0].uuid.clone().unwrap(),
            })
            .await;
        assert!(!executor.kinds().iter().any(|kind| matches!(kind, Type::Kill | Type::Shutdown)));
        assert_eq!(world.containers.lock().launched.len(), 1);
        assert_eq!(json(&world, "/state").await["frameworks"][0]["executors"][0]["tasks"][0]["id"], "t");
        // Nobody has acknowledged it: it is sent again.
        world.pass(Duration::from_secs(11)).await;
        assert_eq!(world.updates("t").len(), sent + 1);
    });
}

#[test]
fn another_masters_word_on_a_framework_does_not_count() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let named = |name: &str| UpdateFrameworkMessage {
            framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
            pid: None,
            framework_info: Some(v1::FrameworkInfo { name: name.into(), ..framework(false) }),
        };
        world.master_says(named("new")).await;
        world.stranger_says(named("old")).await;
        assert_eq!(json(&world, "/state").await["frameworks"][0]["name"], "new");
    });
}

/// As on a full disk, which it may be told to make room on.
#[test]
fn a_frameworks_new_description_counts_although_it_cannot_be_written_down() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        let info = crate::recovery::paths::Paths::new(directory.path())
            .framework_info(&AGENT.into(), &FRAMEWORK.into());
        // In the way of what would be written.
        std::fs::create_dir(info.with_file_name("framework.info.tmp")).unwrap();
        let new = UpdateFrameworkMessage {
            framework_id: FrameworkId::from(FRAMEWORK).to_proto(),
            pid: None,
            framework_info: Some(v1::FrameworkInfo { name: "new".into(), ..framework(true) }),
        };
        world.master_says(new).await;
        assert_eq!(json(&world, "/state").await["frameworks"][0]["name"], "new");
    });
}

#[test]
fn another_masters_pings_are_answered_and_change_nothing() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.forget();
        world.stranger_says(PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(10)).await;
        assert!(world.hears().is_empty(), "{:?}", world.hears());
        // They do not stand for the leader's.
        for _ in 0..7 {
            world.stranger_says(PingSlaveMessage { connected: true }).await;
            world.pass(Duration::from_secs(10)).await;
        }
        assert!(matches!(world.hears()[..], [Heard::Reregister(_), ..]), "{:?}", world.hears());
    });
}

/// What it said last may have been lost with it: that an executor has ended, which operations there are.
#[test]
fn an_agent_whose_connection_to_the_master_broke_reports_when_that_pings() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.forget();
        let master = world.master.clone();
        world.running.agent.tell(Broken(master));
        world.pass(Duration::from_secs(30)).await;
        assert!(world.hears().is_empty(), "a master that is gone is not besieged: {:?}", world.hears());
        world.master_says(PingSlaveMessage { connected: true }).await;
        world.pass(Duration::from_secs(5)).await;
        assert!(
            matches!(world.hears()[..], [Heard::Pong, Heard::Reregister(_), Heard::Resources(_)]),
            "{:?}",
            world.hears()
        );
        // Once.
        world.forget();
        world.master_says(PingSlaveMessage { connected: true }).await;
        world.pass(Duration::from_secs(5)).await;
        assert!(matches!(world.hears()[..], [Heard::Pong]), "{:?}", world.hears());
    });
}

/// It came late, was meant for an earlier process at this address, and this one has not asked yet.
#[test]
fn another_id_is_given_back_also_by_an_agent_that_has_not_asked() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        detect(&world, None).await;
        detect(&world, Some("master@127.0.0.1:5051")).await;
        world.forget();
        let mut other = registered();
        other.slave_id.value = "M-S1".into();
        world.master_says(other).await;
        let Heard::Unregister(message) = world.hears().remove(0) else { panic!("{:?}", world.hears()) };
        assert_eq!(message.slave_id.value, "M-S1");
    });
}

/// Its link was removed, or its host has booted and is another; the master takes it for the agent that it knows at this
/// address. What that one has left would be this agent's, and deleted.
#[test]
fn the_id_of_an_agent_that_was_here_before_is_given_back() {
    run(async {
        for left in ["meta/slaves", "slaves"] {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(directory.path().join(left).join(AGENT)).unwrap();
            let world = World::new(directory.path()).await;
            // The first answer comes before it has asked: to a message of the one before. Then each time that it asks.
            settle().await;
            world.master_says(registered()).await;
            world.pass(Duration::from_secs(30)).await;
            let heard = world.hears();
            let [
                Heard::Unregister(_),
                Heard::Register(_),
                Heard::Unregister(message),
                Heard::Register(_),
                ..,
            ] = &heard[..]
            else {
                panic!("{left}: {heard:?}")
            };
            assert_eq!(message.slave_id.value, AGENT);
            assert!(!directory.path().join("meta/slaves/latest").exists());
            // Another one is taken.
            let mut other = registered();
            other.slave_id.value = "M-S1".into();
            world.master_says(other).await;
            world.forget();
            world.pass(Duration::from_secs(60)).await;
            assert!(world.hears().is_empty(), "{left}: {:?}", world.hears());
            let latest = std::fs::read_link(directory.path().join("meta/slaves/latest")).unwrap();
            assert_eq!(latest, std::path::Path::new("M-S1"));
        }
    });
}

/// The master that removed it is gone, and the next one knows of it what this agent has reported.
#[test]
fn a_framework_that_was_shut_down_goes_on_for_a_master_that_does_not_know_that() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskState::TaskRunning).await;
        world.acknowledge("t").await;
        world.containers.lock().immortal = true;
        let framework_id = FrameworkId::from(FRAMEWORK).to_proto();
        world.master_says(ShutdownFrameworkMessage { framework_id }).await;
        detect(&world, Some("master@127.0.0.1:5051")).await;
        world.pass(Duration::from_secs(1)).await;
        world.run(&framework(false), task("new", "e")).await;
        assert_eq!(world.states("new"), [TaskState::TaskDropped]);
        world.forget();
        world.end(&world.container("e"), Termination::default()).await;
        let [end] = &world.states("t")[..] else { panic!("{:?}", world.hears()) };
        assert!(mesos::tasks::is_terminal(*end), "{end:?}");
    });
}

/// Upstream: `SlaveReregisterOnZKExpiration`, `MasterZooKeeperTest.LostZooKeeperCluster`.
#[test]
fn an_agent_registers_again_also_when_the_same_master_is_detected_anew() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.forget();
        detect(&world, None).await;
        world.pass(Duration::from_secs(10)).await;
        assert!(world.hears().is_empty());
        detect(&world, Some("master@127.0.0.1:5051")).await;
        world.pass(Duration::from_secs(1)).await;
        assert!(matches!(world.hears()[0], Heard::Reregister(_)), "{:?}", world.hears());
    });
}

/// An answer to a message that a broken network kept since the master led before: it knows nothing of what runs now.
#[test]
fn an_answer_that_was_not_asked_for_since_the_master_was_detected_is_ignored() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        detect(&world, None).await;
        detect(&world, Some("master@127.0.0.1:5051")).await;
        world.forget();
        let slave_id = AgentId::from(AGENT).to_proto();
        world.master_says(SlaveReregisteredMessage { slave_id, ..Default::default() }).await;
        assert!(world.hears().is_empty(), "it would send its resources: {:?}", world.hears());
        world.pass(Duration::from_secs(1)).await;
        assert!(
            matches!(world.hears()[..], [Heard::Reregister(_), Heard::Resources(_)]),
            "{:?}",
            world.hears()
        );
    });
}

/// The master has compared its books with a report that is older than what has been reserved and launched since.
#[test]
fn an_answer_to_an_older_report_makes_a_connected_agent_report_again() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        world.forget();
        let slave_id = AgentId::from(AGENT).to_proto();
        world.master_says(SlaveReregisteredMessage { slave_id, ..Default::default() }).await;
        world.pass(Duration::from_secs(8)).await;
        let heard = world.hears();
        let [Heard::Reregister(report), Heard::Resources(_)] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(report.tasks[0].task_id.value, "t");
        assert_eq!(world.metric("slave/registered"), 1.0);
    });
}

/// Else each report would be sent twice for ever where answers take longer than the pause between attempts.
#[test]
fn the_pauses_of_an_agent_grow_while_its_reports_are_answered_twice() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let slave_id = AgentId::from(AGENT).to_proto();
        for _ in 0..60 {
            world.pass(Duration::from_secs(1)).await;
            world
                .master_says(SlaveReregisteredMessage { slave_id: slave_id.clone(), ..Default::default() })
                .await;
        }
        let reports = world.hears().iter().filter(|heard| matches!(heard, Heard::Reregister(_))).count();
        assert!((2..20).contains(&reports), "{reports} reports");
    });
}

/// Upstream: `DISABLED_TerminatingSlaveDoesNotReregister`.
#[test]
fn an_agent_that_is_told_to_end_does_not_register_with_the_next_leader() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        // It does not end at once: its executor has five seconds.
        let _executor = world.subscribe("e").await;
        world.containers.lock().immortal = true;
        world.master_says(ShutdownMessage { message: None }).await;
        world.forget();
        detect(&world, None).await;
        detect(&world, Some("master@127.0.0.1:5051")).await;
        world.pass(Duration::from_secs(60)).await;
        assert!(world.hears().is_empty(), "{:?}", world.hears());
    });
}
