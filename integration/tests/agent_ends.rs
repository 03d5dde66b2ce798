//! How an agent ends: told to by an operator, or by its disk.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::disk::SmallDisk;
use integration::{AgentSpec, Cluster, wait};
use rustix::process::Signal;
use serde_json::json;

const AN_HOUR: f64 = 3600.0;

/// A cluster with one agent, and a framework on it whose task "t" runs.
async fn with_task() -> (Cluster, ApiScheduler) {
    // Nobody is to be killed who is only slow.
    let agent = AgentSpec::new("cpus:4;mem:2048").with("--executor_shutdown_grace_period=30secs");
    let cluster = Cluster::start(&[], &[agent]).await;
    let mut scheduler =
        ApiScheduler::subscribe(cluster.master(), framework("steady", Duration::from_secs(600))).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, "sleep 1000")], AN_HOUR).await;
    scheduler.state("t", "TASK_RUNNING").await;
    (cluster, scheduler)
}

async fn exit_code(cluster: &mut Cluster) -> i32 {
    wait::until("the agent to end", async || cluster.agent_process(0).exit_code()).await
}

/// Upstream: `SlaveRecoveryTest.ShutdownSlaveSIGUSR1`.
/// Upstream, too: `SlaveRecoveryTest.ShutdownSlave`.
#[test]
fn sigusr1_takes_the_agent_and_all_that_runs_on_it_out_of_the_cluster() {
    libprocess::run(async {
        let (mut cluster, mut scheduler) = with_task().await;
        let before = cluster.leader_state().await.unwrap()["slaves"][0]["id"].clone();
        cluster.agent_process(0).signal(Signal::USR1);
        let status = scheduler.state("t", "TASK_LOST").await;
        assert_eq!(
            (&status["source"], &status["reason"]),
            (&json!("SOURCE_MASTER"), &json!("REASON_AGENT_REMOVED"))
        );
        assert_eq!(exit_code(&mut cluster).await, 0);
        wait::until("the task's processes to be gone", async || {
            let left = cluster.in_sandboxes();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        let state = cluster.leader_state().await.unwrap();
        assert_eq!(state["activated_slaves"], 0.0, "{}", state["slaves"]);
        assert_eq!(state["unreachable_slaves"], 0.0);

        // It may come back, with nothing of what it had.
        cluster.agent_process(0).restart();
        cluster.wait_for_agents(1).await;
        let after = cluster.leader_state().await.unwrap()["slaves"][0].clone();
        assert_eq!((&after["id"], &after["used_resources"]["cpus"]), (&before, &json!(0.0)));
    });
}

#[test]
fn sigterm_leaves_the_executors_of_a_checkpointing_framework_to_the_next_agent() {
    libprocess::run(async {
        let (mut cluster, mut scheduler) = with_task().await;
        let processes = cluster.in_sandboxes();
        assert_eq!(cluster.agent_process(0).terminate(), Some(0));
        assert_eq!(cluster.in_sandboxes(), processes);
        cluster.agent_process(0).restart();
        cluster.wait_for_agents(1).await;
        assert_eq!(cluster.in_sandboxes(), processes);
        scheduler.reconcile(&["t"]).await;
        scheduler.state("t", "TASK_RUNNING").await;
    });
}

/// Upstream: `SlaveRecoveryTest.CleanupExecutor`.
#[test]
fn an_agent_that_only_cleans_up_ends_what_its_predecessor_has_left() {
    libprocess::run(async {
        let (mut cluster, mut scheduler) = with_task().await;
        cluster.agent_process(0).crash();
        assert!(!cluster.in_sandboxes().is_empty());
        cluster.agent_process(0).restart_with("--recover=cleanup");
        assert_eq!(exit_code(&mut cluster).await, 0);
        wait::until("the task's processes to be gone", async || {
            let left = cluster.in_sandboxes();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        // Its executor had time to say how it has ended.
        cluster.agent_process(0).restart_without("--recover=cleanup");
        scheduler.state("t", "TASK_KILLED").await;
    });
}

#[test]
fn an_agent_whose_disk_is_full_ends_and_loses_no_update() {
    // More than the last pages of the files that are there can hold.
    const TASKS: usize = 20;
    libprocess::run(async {
        let mut cluster = Cluster::start(&[], &[]).await;
        let Some(disk) = SmallDisk::mount(&cluster.agent_work_dir(0), 8) else { return };
        cluster.add_agent(&AgentSpec::new("cpus:4;mem:2048"));
        cluster.wait_for_agents(1).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("steady", Duration::from_secs(600))).await;
        let go = cluster.folder().join("go");
        let command = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
        let offer = scheduler.offer().await;
        let tasks: Vec<_> =
            (0..TASKS).map(|n| command_task(&format!("t{n}"), &offer, 0.1, 32.0, &command)).collect();
        scheduler.launch(&offer, &tasks, AN_HOUR).await;
        let mut states = std::collections::BTreeMap::new();
        let mut next = async |until: &str| {
            while states.values().filter(|state| *state == until).count() < TASKS {
                let status = scheduler.event("UPDATE").await["update"]["status"].take();
                scheduler.acknowledge(&status).await;
                states.insert(status["task_id"].to_string(), status["state"].as_str().unwrap().to_owned());
            }
        };
        next("TASK_RUNNING").await;

        let full = disk.fill();
        std::fs::write(&go, "").unwrap();
        assert_eq!(exit_code(&mut cluster).await, 1);
        let log = cluster.agent_process(0).log();
        let said = log.lines().find(|line| line.contains("cannot store status updates")).unwrap_or(&log);
        assert!(said.contains("updates") && said.contains("No space left on device"), "{said}");

        // Updates that were not acknowledged, their executors send again.
        std::fs::remove_file(full).unwrap();
        cluster.agent_process(0).restart();
        next("TASK_FINISHED").await;
    });
}

/// As one of a server that is gone: whoever starts agents anew waits for this one to end.
#[test]
fn an_agent_whose_disk_does_not_answer_ends_when_it_is_told_to() {
    libprocess::run(async {
        let mut cluster = Cluster::start(&[], &[]).await;
        let meta = cluster.agent_work_dir(0).join("meta");
        std::fs::create_dir_all(&meta).unwrap();
        // Whoever opens a pipe waits for somebody at its other end.
        let made = std::process::Command::new("mkfifo").arg(meta.join("boot_id")).status().unwrap();
        assert!(made.success());
        cluster.add_agent(&AgentSpec::new("cpus:4;mem:2048"));
        wait::until("the agent to run", async || {
            let log = cluster.agent_process(0).log();
            if log.contains("the agent runs") { Ok(()) } else { Err(log) }
        })
        .await;
        cluster.agent_process(0).signal(Signal::TERM);
        assert_eq!(exit_code(&mut cluster).await, 0);
    });
}
