//! An agent is replaced by one of another version while its tasks run.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::{AgentSpec, Cluster, beside, binary, wait};
use serde_json::{Value, json};

const AN_HOUR: f64 = 3600.0;
const NEXT: &str = "1.11.1";

/// A command that ends once there is a file.
fn until_there_is(file: &std::path::Path) -> String {
    format!("while [ ! -e {} ]; do sleep 0.05; done", file.display())
}

/// What the master says of its only agent, once it is of this version and active.
async fn agent_of_version(cluster: &Cluster, version: &str) -> Value {
    wait::until(&format!("an active agent of version {version}"), async || {
        let agents = cluster.get_at(cluster.master(), "/slaves").await?;
        let agent = agents["slaves"][0].clone();
        let is_there = agent["version"] == version && agent["active"] == true;
        if is_there { Ok(agent) } else { Err(agents["slaves"].to_string()) }
    })
    .await
}

#[test]
fn tasks_run_on_while_their_agent_is_replaced_by_another_version() {
    libprocess::run(async {
        let mut cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("steady", Duration::from_secs(600))).await;
        let [meanwhile, afterwards] = ["meanwhile", "afterwards"].map(|name| cluster.folder().join(name));
        let offer = scheduler.offer().await;
        let tasks = [("meanwhile", &meanwhile), ("afterwards", &afterwards)]
            .map(|(id, file)| command_task(id, &offer, 1.0, 64.0, &until_there_is(file)));
        scheduler.launch(&offer, &tasks, AN_HOUR).await;
        scheduler.accepted(json!({ "type": "SUPPRESS" })).await;
        let mut running = Vec::new();
        while running.len() < 2 {
            let status = scheduler.event("UPDATE").await["update"]["status"].take();
            scheduler.acknowledge(&status).await;
            if status["state"] == "TASK_RUNNING" {
                running.push(status);
            }
        }
        let before = agent_of_version(&cluster, mesos::version()).await;

        let next = cluster.folder().join("next");
        std::fs::create_dir(&next).unwrap();
        let next = next.join("mesos");
        let copy = next.clone();
        beside(move || binary::relabelled(&copy, NEXT)).await;
        // As a packager's script does: the old one is told to end, its executors are not.
        assert_eq!(cluster.agent_process(0).terminate(), Some(0));
        assert!(!cluster.in_sandboxes().is_empty(), "they have ended with it");
        std::fs::write(&meanwhile, "").unwrap();
        cluster.agent_process(0).restart_from(&next);

        let after = agent_of_version(&cluster, NEXT).await;
        assert_eq!(after["id"], before["id"], "it is the same agent");
        let version = cluster.get_at(cluster.agent_at(0), "/version").await.unwrap();
        assert_eq!(version["version"], NEXT);
        let status = scheduler.state("meanwhile", "TASK_FINISHED").await;
        assert_eq!(status["source"], "SOURCE_EXECUTOR", "{status}");

        // The other one runs on, and new ones do as well.
        scheduler.reconcile(&["afterwards"]).await;
        let status = scheduler.state("afterwards", "TASK_RUNNING").await;
        let container = |status: &Value| status["container_status"]["container_id"].clone();
        let was = running.iter().find(|status| status["task_id"]["value"] == "afterwards").unwrap();
        assert_eq!(container(&status), container(was), "in the same container");
        scheduler.accepted(json!({ "type": "REVIVE" })).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("new", &offer, 1.0, 64.0, "true")], AN_HOUR).await;
        scheduler.state("new", "TASK_FINISHED").await;
        std::fs::write(&afterwards, "").unwrap();
        scheduler.state("afterwards", "TASK_FINISHED").await;
    });
}
