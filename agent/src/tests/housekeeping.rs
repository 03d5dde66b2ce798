//! What executors and frameworks leave behind: it goes when its time has come, and not before (upstream:
//! `tests/gc_tests.cpp`). On a simulated disk, which is never full.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use libprocess::disk::{Disk as _, Durability};
use libprocess::simulation::SimulatedDisk;
use libprocess::testing::run;
use mesos::v1::TaskState::{TaskDropped, TaskFinished};

use super::harness::*;
use crate::containerizer::Termination;

async fn on(disk: &SimulatedDisk) -> World {
    World::on(Arc::new(disk.mount()), Path::new("/work"), &["--gc_delay=100secs"]).await
}

/// The directories of the framework, where tasks work and where the agent keeps what it must know.
fn of_framework() -> [PathBuf; 2] {
    ["/work/slaves", "/work/meta/slaves"]
        .map(|root| Path::new(root).join(AGENT).join("frameworks").join(FRAMEWORK))
}

/// The directories of one of its executors.
fn of_executor(id: &str) -> [PathBuf; 2] {
    of_framework().map(|framework| framework.join("executors").join(id))
}

/// A task has finished, and its executor has ended.
async fn over(world: &World, id: &str) {
    world.run(&framework(true), task(id, id)).await;
    world.subscribe(id).await.update(id, TaskFinished).await;
    world.acknowledge(id).await;
    world.end(&world.container(id), Termination::default()).await;
}

/// Upstream: `GarbageCollectorIntegrationTest.ExitedExecutor`, `GarbageCollectorIntegrationTest.ExitedFramework`.
#[test]
fn what_an_executor_has_left_goes_when_its_time_has_come_and_in_the_end_what_its_framework_has() {
    run(async {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH);
        let world = on(&disk).await.once_registered().await;
        let there = |paths: [PathBuf; 2]| paths.map(|path| disk.mount().exists(&path));
        world.run(&framework(true), task("running", "running")).await;
        let executor = world.subscribe("running").await;
        over(&world, "over").await;
        world.pass(Duration::from_secs(90)).await;
        assert_eq!(there(of_executor("over")), [true; 2]);
        world.pass(Duration::from_secs(20)).await;
        assert_eq!(there(of_executor("over")), [false; 2]);
        assert_eq!(there(of_executor("running")), [true; 2]);

        executor.update("running", TaskFinished).await;
        world.acknowledge("running").await;
        world.end(&world.container("running"), Termination::default()).await;
        world.pass(Duration::from_secs(110)).await;
        assert_eq!(there(of_framework()), [false; 2]);
        assert_eq!(world.metric("gc/path_removals_failed"), 0.0);
    });
}

/// Upstream: `GarbageCollectorIntegrationTest.Unschedule`.
#[test]
fn what_is_used_again_stays() {
    run(async {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH);
        let world = on(&disk).await.once_registered().await;
        let there = |paths: [PathBuf; 2]| paths.map(|path| disk.mount().exists(&path));
        over(&world, "first").await;
        let first_run = world.containers.lock().launched[0].1.directory.clone();
        world.pass(Duration::from_secs(50)).await;
        world.run(&framework(true), task("second", "first")).await;
        let executor = world.subscribe("first").await;
        assert_eq!(executor.launched(), ["second"]);
        world.pass(Duration::from_secs(100)).await;
        assert!(!disk.mount().exists(&first_run));
        assert_eq!(there(of_executor("first")), [true; 2]);
        assert!(disk.mount().exists(&world.containers.lock().launched[1].1.directory));
    });
}

/// Its time had been set before.
#[test]
fn what_is_made_where_somebody_has_deleted_by_hand_stays() {
    run(async {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH);
        let world = on(&disk).await.once_registered().await;
        let there = |paths: [PathBuf; 2]| paths.map(|path| disk.mount().exists(&path));
        over(&world, "e").await;
        world.pass(Duration::from_secs(50)).await;
        for directory in of_framework() {
            disk.mount().remove(&directory).unwrap();
        }
        world.run(&framework(true), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        assert_eq!(executor.launched(), ["t"]);
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(there(of_executor("e")), [true; 2]);
        assert!(disk.mount().exists(&world.containers.lock().launched[1].1.directory));
    });
}

/// It was over once, when it had none: what is made for it later has a time of its own.
#[test]
fn what_is_made_for_a_framework_whose_first_task_was_dropped_stays() {
    run(async {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH);
        let world = on(&disk).await.once_registered().await;
        let there = |paths: [PathBuf; 2]| paths.map(|path| disk.mount().exists(&path));
        // Its master expects an executor that is not there.
        world.run_expecting(&framework(true), task("dropped", "e"), Some(false)).await;
        assert_eq!(world.states("dropped"), [TaskDropped]);
        world.acknowledge("dropped").await;
        assert_eq!(there(of_framework()), [false; 2]);
        world.run(&framework(true), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        assert_eq!(executor.launched(), ["t"]);
        world.pass(Duration::from_secs(110)).await;
        assert_eq!(there(of_executor("e")), [true; 2]);
    });
}

/// Upstream: `GarbageCollectorIntegrationTest.Restart`.
#[test]
fn an_agent_that_is_started_again_keeps_its_own_directories() {
    run(async {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH);
        let world = on(&disk).await.once_registered().await;
        over(&world, "over").await;
        world.crash().await;
        let world = on(&disk).await.once_registered().await;
        world.pass(Duration::from_secs(110)).await;
        for root in ["/work/slaves", "/work/meta/slaves"] {
            assert!(disk.mount().exists(&Path::new(root).join(AGENT)), "{root}");
        }
        // What was left in them has had its time.
        assert!(!disk.mount().exists(&of_executor("over")[0]));
    });
}

/// The agent keeps nothing else of it. (Upstream's agent leaves that where it is.)
#[test]
fn after_a_restart_the_sandboxes_of_a_framework_that_does_not_checkpoint_go_so_long_after_its_last_output() {
    run(async {
        for (ago, returns, kept) in
            [(0, false, [true, false]), (1000, false, [false; 2]), (0, true, [true; 2])]
        {
            let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH);
            let world = on(&disk).await.once_registered().await;
            world.run(&framework(false), task("t", "e")).await;
            let sandbox = world.containers.lock().launched[0].1.directory.clone();
            disk.mount().set_modified(&sandbox, world.node.now() - Duration::from_secs(ago)).unwrap();
            world.crash().await;

            let world = on(&disk).await.once_registered().await;
            world.pass(Duration::from_secs(5)).await;
            let mut found = vec![disk.mount().exists(&sandbox)];
            if returns {
                world.run(&framework(false), task("again", "e")).await;
            }
            world.pass(Duration::from_secs(50)).await;
            if returns {
                // Its executor would be taken for one that does not come.
                world.subscribe("e").await;
            }
            world.pass(Duration::from_secs(60)).await;
            found.push(disk.mount().exists(&sandbox));
            assert_eq!(found, kept, "{ago} {returns}");
        }
    });
}

/// As what was begun for a framework before its description was there.
#[test]
fn after_a_restart_what_does_not_say_whose_it_is_goes() {
    run(async {
        let disk = SimulatedDisk::new(1, SystemTime::UNIX_EPOCH);
        on(&disk).await.once_registered().await.crash().await;
        let nobodys = Path::new("/work/meta/slaves").join(AGENT).join("frameworks/M-0009");
        disk.mount().create_directory(&nobodys.join("executors/e"), Durability::Host).unwrap();
        let world = on(&disk).await.once_registered().await;
        world.pass(Duration::from_secs(50)).await;
        assert!(disk.mount().exists(&nobodys));
        world.pass(Duration::from_secs(60)).await;
        assert!(!disk.mount().exists(&nobodys));
        assert!(disk.mount().exists(&Path::new("/work/meta/slaves").join(AGENT)));
    });
}
