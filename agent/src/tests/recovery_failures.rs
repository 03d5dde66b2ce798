//! An agent that does not start, or starts without a part of what was kept: it has changed, or its disk has.

use std::time::Duration;

use libprocess::testing::run;
use mesos::v1::TaskState::{TaskFinished, TaskKilled, TaskRunning};
use mesos::v1::executor::event;

use super::harness::*;
use super::restarts::{reregistration, with_running_task};
use crate::recovery::paths::{Paths, Run, journal_segment};
use crate::status_updates::journal::format;

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
