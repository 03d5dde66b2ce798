//! Walk 6: two masters behind a real ZooKeeper.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, wait};
use serde_json::json;

#[test]
fn a_standby_takes_over_and_nothing_is_lost() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let mut cluster = Cluster::found_at(&zookeeper.url());
        // A short session, so that the death of the leader is noticed soon.
        let flags = ["--registry=in_memory", "--zk_session_timeout=2secs"];
        cluster.add_master(&flags).await;
        cluster.add_master(&flags).await;
        cluster.add_agent(&AgentSpec::new("cpus:4;mem:2048"));
        cluster.wait_for_agents(1).await;

        let leader = leader_index(&cluster).await;
        let standby = 1 - leader;
        let (old, new) = (cluster.master_at(leader), cluster.master_at(standby));

        // The standby sends its callers to the leader.
        let (status, _) = cluster.get_text(new, "/state").await.unwrap();
        assert_eq!(status, 307);

        let mut info = framework("surviving", Duration::from_secs(600));
        let mut scheduler = ApiScheduler::subscribe(old, info.clone()).await;
        let offer = scheduler.offer().await;
        let marker = cluster.folder().join("started");
        let command = format!("echo started >> {}; sleep 1000", marker.display());
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, &command)], 3600.0).await;
        let running = scheduler.state("t", "TASK_RUNNING").await;

        cluster.master_process(leader).crash();
        wait::until("the standby to lead with its agent", async || {
            let state = cluster.get_at(new, "/state").await?;
            if state["activated_slaves"] == 1.0 { Ok(()) } else { Err(state["activated_slaves"].to_string()) }
        })
        .await;

        info["id"] = json!({ "value": scheduler.framework_id });
        let mut scheduler = ApiScheduler::subscribe(new, info).await;
        scheduler.reconcile(&["t"]).await;
        let status = scheduler.state("t", "TASK_RUNNING").await;
        assert_eq!(status["agent_id"], running["agent_id"]);
        let state = cluster.get_at(new, "/state").await.unwrap();
        assert_eq!(state["frameworks"][0]["tasks"].as_array().unwrap().len(), 1);
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), "started\n", "it was started once");

        // And the new leader can end it.
        scheduler
            .accepted(json!({ "type": "KILL", "kill": { "task_id": { "value": "t" }, "agent_id": status["agent_id"] } }))
            .await;
        scheduler.state("t", "TASK_KILLED").await;
    });
}

async fn leader_index(cluster: &Cluster) -> usize {
    wait::until("a leader", async || {
        for index in 0..2 {
            if cluster.get_text(cluster.master_at(index), "/state").await?.0 == 200 {
                return Ok(index);
            }
        }
        Err("nobody leads".to_owned())
    })
    .await
}
