//! The agent comes back after its host was booted, or with other settings.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use libprocess::disk::Disk as _;
use libprocess::simulation::SimulatedDisk;
use libprocess::testing::run;
use mesos::v1::TaskState::{TaskFailed, TaskFinished, TaskRunning};
use mesos::{Resources, v1};

use super::harness::*;
use super::restarts::{reregistration, run_task};
use crate::containerizer::Termination;

const WORK: &str = "/work";

/// A host whose agent has run a task and sent that it runs; then it lost its power.
async fn booted(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
    let world = on(&disk, &[]).await.once_registered().await;
    run_task(world).await.crash().await;
    disk.lose_power();
    disk
}

async fn on(disk: &SimulatedDisk, arguments: &[&str]) -> World {
    World::on(Arc::new(disk.mount()), Path::new(WORK), arguments).await
}

/// Upstream: `SlaveRecoveryTest.Reboot`, `RebootWithExecutorPidReused`.
#[test]
fn after_a_boot_the_agent_keeps_its_id_and_what_ran_has_failed() {
    run(async {
        for seed in 0..20 {
            let disk = booted(seed).await;
            let world = on(&disk, &[]).await;
            let recovered = world.containers.lock().recovered.clone();
            assert_eq!(recovered.len(), 1, "seed {seed}");
            assert_eq!(recovered[0].pid, None, "whatever has that number now is not it");
            world.end(&recovered[0].id, Termination::default()).await;
            world.pass(Duration::from_secs(4)).await;
            let message = reregistration(&world).unwrap();
            assert_eq!(message.slave.id.unwrap().value, AGENT, "seed {seed}");
            // What the framework had acknowledged may come once more: acknowledgements are not synced.
            let states = world.states("t");
            assert!(states == [TaskFailed] || states == [TaskRunning], "seed {seed}: {states:?}");
            if states == [TaskRunning] {
                world.acknowledge("t").await;
                assert_eq!(world.states("t"), [TaskRunning, TaskFailed], "seed {seed}");
            }
            world.acknowledge("t").await;
            world.crash().await;
        }
    });
}

#[test]
fn after_a_boot_updates_that_were_promised_arrive_with_the_same_uuid() {
    run(async {
        for seed in 0..20 {
            let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
            let world = run_task(on(&disk, &[]).await.once_registered().await).await;
            let executor = world.subscribe("e").await;
            executor.update("t", TaskFinished).await;
            assert_eq!(executor.acknowledged(), [uuid("t", TaskFinished)]);
            world.crash().await;
            disk.lose_power();

            let world = on(&disk, &[]).await;
            let container = world.containers.lock().recovered[0].id.clone();
            world.end(&container, Termination::default()).await;
            world.pass(Duration::from_secs(4)).await;
            // At most the one before it comes first.
            if world.states("t").last() != Some(&TaskFinished) {
                world.acknowledge("t").await;
            }
            assert_eq!(world.states("t").last(), Some(&TaskFinished), "seed {seed}");
            let update = world.updates("t").pop().unwrap();
            assert_eq!(update.uuid, Some(uuid("t", TaskFinished).as_bytes().to_vec()), "seed {seed}");
            world.acknowledge("t").await;
            world.crash().await;
        }
    });
}

/// Upstream: `SlaveRecoveryTest.RebootWithSlaveInfoMismatch`, `RebootWithSlaveInfoMismatchAndRestart`, `GCExecutor`.
#[test]
fn a_host_that_was_changed_and_booted_has_a_new_agent_and_the_old_ones_directories_go() {
    run(async {
        let disk = booted(1).await;
        let directories = ["/work/slaves/M-S0", "/work/meta/slaves/M-S0"].map(Path::new);
        for directory in directories {
            // It was made long ago, and in use until now.
            disk.mount().set_modified(directory, SystemTime::UNIX_EPOCH).unwrap();
        }
        let arguments = ["--resources=cpus:8", "--gc_delay=10secs"];
        let mut kept = Vec::new();
        // The first try ends before it has registered.
        for _ in 0..2 {
            let world = on(&disk, &arguments).await;
            *world.admits.lock() = false;
            world.pass(Duration::from_secs(2)).await;
            kept.push(directories.map(|directory| disk.mount().exists(directory)));
            let [Heard::Register(message), ..] = &world.hears()[..] else { panic!("{:?}", world.hears()) };
            assert_eq!(message.slave.id, None);
            assert!(world.containers.lock().recovered.is_empty());
            world.pass(Duration::from_secs(10)).await;
            world.crash().await;
        }
        assert_eq!(kept, [[true; 2], [false; 2]]);
    });
}

/// Upstream: `SlaveRecoveryTest.AgentReconfigurationWithRunningTask`.
/// Upstream, too: `SlaveTest.ReconfigurationPolicy`.
#[test]
fn an_agent_may_come_back_with_more_while_its_tasks_run() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        run_task(World::registered(directory.path()).await).await.crash().await;

        let arguments = [
            "--resources=cpus:8;mem:4096;disk:1000;ports:[31000-31100]",
            "--attributes=rack:a",
            "--reconfiguration_policy=additive",
        ];
        let world = World::with(directory.path(), &arguments).await;
        world.subscribe("e").await;
        world.pass(Duration::from_secs(4)).await;
        let message = reregistration(&world).unwrap();
        assert_eq!(message.slave.id.as_ref().unwrap().value, AGENT);
        assert_eq!(message.tasks[0].state(), TaskRunning);
        let cpus = |info: &v1::AgentInfo| Resources::from_valid_protos(&info.resources).cpus();
        assert_eq!(cpus(&message.slave).unwrap().to_f64(), 8.0);
        world.crash().await;

        // What it came back with is what it has to keep from now on.
        let mut world = World::with(directory.path(), &["--reconfiguration_policy=additive"]).await;
        let crate::Ended::Failed(reason) = world.running.wait().await else { panic!("it runs") };
        assert!(reason.contains("resources"), "{reason}");
    });
}
