//! Schedulers and agents that are killed. All frameworks checkpoint.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::{AgentSpec, Cluster, wait};
use serde_json::{Value, json};

const FOREVER: &str = "sleep 1000";
const AN_HOUR: f64 = 3600.0;

#[test]
fn a_scheduler_that_returns_in_time_finds_its_tasks_running() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let mut info = framework("returning", Duration::from_secs(600));
        let mut scheduler = ApiScheduler::subscribe(cluster.master(), info.clone()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, FOREVER)], AN_HOUR).await;
        let running = scheduler.state("t", "TASK_RUNNING").await;
        let processes = cluster.in_sandboxes();
        let id = scheduler.framework_id.clone();
        drop(scheduler);
        wait::until("the master to notice", async || {
            let state = cluster.leader_state().await?;
            match state["frameworks"][0]["connected"].as_bool() {
                Some(false) => Ok(()),
                other => Err(format!("connected: {other:?}")),
            }
        })
        .await;

        info["id"] = json!({ "value": id });
        let mut scheduler = ApiScheduler::subscribe(cluster.master(), info).await;
        assert_eq!(scheduler.framework_id, id);
        scheduler.reconcile(&["t"]).await;
        let status = scheduler.update("t").await;
        assert_eq!(status["state"], "TASK_RUNNING");
        assert_eq!(status["reason"], "REASON_RECONCILIATION");
        assert!(status["uuid"].is_null(), "an answer to reconciliation must not be acknowledged");
        assert_eq!(status["container_status"], running["container_status"], "it is the same container");
        assert_eq!(cluster.in_sandboxes(), processes, "and the same processes");
        // Implicit reconciliation knows it as well.
        scheduler.reconcile(&[]).await;
        assert_eq!(scheduler.update("t").await["state"], "TASK_RUNNING");
    });
}

#[test]
fn a_second_scheduler_with_the_same_id_takes_over() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:1;mem:128")]).await;
        let mut info = framework("twice", Duration::from_secs(600));
        let mut old = ApiScheduler::subscribe(cluster.master(), info.clone()).await;
        info["id"] = json!({ "value": old.framework_id });
        let mut new = ApiScheduler::subscribe(cluster.master(), info).await;
        let error = loop {
            let event = old.any_event().await.unwrap();
            if event["type"] == "ERROR" {
                break event;
            }
        };
        assert_eq!(error["error"]["message"], "Framework failed over");
        assert!(old.any_event().await.is_err(), "the old stream ends");
        // The old instance may not speak for the framework any more.
        let (status, text) = old.call(json!({ "type": "REVIVE" })).await;
        assert_eq!((status, text.contains("stream")), (400, true), "{text}");
        new.offer().await;
    });
}

#[test]
fn a_scheduler_that_does_not_return_loses_its_tasks() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let mut info = framework("lost", Duration::from_secs(1));
        let mut scheduler = ApiScheduler::subscribe(cluster.master(), info.clone()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, FOREVER)], AN_HOUR).await;
        scheduler.state("t", "TASK_RUNNING").await;
        let id = scheduler.framework_id.clone();
        drop(scheduler);

        wait::until("the framework to be completed", async || {
            let state = cluster.leader_state().await?;
            let completed = state["completed_frameworks"].as_array().map_or(0, Vec::len);
            if completed == 1 { Ok(()) } else { Err(state["frameworks"].to_string()) }
        })
        .await;
        // The agent was told: it has no executor of it any more.
        wait::until("the agent to have ended the executor", async || {
            let state = cluster.get_at(cluster.agent_at(0), "/state").await?;
            if state["frameworks"] == json!([]) { Ok(()) } else { Err(state["frameworks"].to_string()) }
        })
        .await;
        wait::until("the task's processes to be gone", async || {
            let left = cluster.in_sandboxes();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        // And its id is never accepted again.
        info["id"] = json!({ "value": id });
        let refused = ApiScheduler::try_subscribe(cluster.master(), info).await.err().unwrap();
        assert!(refused.1.contains("Framework has been removed"), "{refused:?}");
    });
}

#[test]
fn tasks_of_a_killed_agent_are_unreachable_until_it_returns() {
    libprocess::run(async {
        let mut cluster = Cluster::start(
            &["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=2"],
            &[AgentSpec::new("cpus:4;mem:2048")],
        )
        .await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("patient", Duration::from_secs(600))).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, FOREVER)], AN_HOUR).await;
        let running = scheduler.state("t", "TASK_RUNNING").await;

        cluster.agent_process(0).crash();
        let status = scheduler.state("t", "TASK_UNREACHABLE").await;
        assert!(status["unreachable_time"].is_object(), "{status}");
        assert_eq!(status["reason"], "REASON_AGENT_REMOVED", "{status}");
        let state = cluster.leader_state().await.unwrap();
        assert_eq!(state["unreachable_slaves"], 1.0);

        cluster.agent_process(0).restart();
        let status = scheduler.state("t", "TASK_RUNNING").await;
        assert_eq!(status["agent_id"], running["agent_id"], "the agent keeps its id");
        let container = |status: &Value| status["container_status"]["container_id"].clone();
        wait::until("the task to be known again", async || {
            let state = cluster.leader_state().await?;
            let task = &state["frameworks"][0]["tasks"][0];
            if task["state"] == "TASK_RUNNING" { Ok(()) } else { Err(state["frameworks"].to_string()) }
        })
        .await;
        scheduler.reconcile(&["t"]).await;
        let again = scheduler.state("t", "TASK_RUNNING").await;
        assert_eq!(container(&again), container(&running), "it is the same container");
    });
}

#[test]
fn tasks_of_a_framework_that_is_not_partition_aware_are_lost_with_their_agent() {
    libprocess::run(async {
        let mut cluster = Cluster::start(
            &["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=2"],
            &[AgentSpec::new("cpus:4;mem:2048")],
        )
        .await;
        let mut info = framework("old style", Duration::from_secs(600));
        info["capabilities"] = json!([{ "type": "MULTI_ROLE" }]);
        let mut scheduler = ApiScheduler::subscribe(cluster.master(), info).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, FOREVER)], AN_HOUR).await;
        scheduler.state("t", "TASK_RUNNING").await;
        cluster.agent_process(0).crash();
        scheduler.state("t", "TASK_LOST").await;
    });
}

#[test]
fn a_restarted_agent_goes_on_with_its_running_tasks() {
    libprocess::run(async {
        let mut cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("steady", Duration::from_secs(600))).await;
        let offer = scheduler.offer().await;
        let marker = cluster.folder().join("go");
        let command = format!("while [ ! -e {} ]; do sleep 0.05; done", marker.display());
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, &command)], AN_HOUR).await;
        scheduler.state("t", "TASK_RUNNING").await;

        // It ends while the agent is away; the executor keeps the update for the agent's return.
        cluster.agent_process(0).crash();
        std::fs::write(&marker, "").unwrap();
        cluster.agent_process(0).restart();
        let status = scheduler.state("t", "TASK_FINISHED").await;
        assert_eq!(status["source"], "SOURCE_EXECUTOR", "{status}");
    });
}
