//! Walk 6: two masters behind a real ZooKeeper.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::{Command, Stdio};
use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, beside, binary, wait};
use serde_json::{Value, json};

/// Two masters with a short session, so that the death of the leader is noticed soon, and two agents.
async fn cluster(zookeeper: &ZooKeeper) -> Cluster {
    let mut cluster = Cluster::found_at(&zookeeper.url());
    let flags = ["--registry=in_memory", "--zk_session_timeout=2secs"];
    cluster.add_master(&flags).await;
    cluster.add_master(&flags).await;
    for _ in 0..2 {
        cluster.add_agent(&AgentSpec::new("cpus:4;mem:2048"));
    }
    cluster.wait_for_agents(2).await;
    cluster
}

/// Writes a line each time that it is started, and waits for a file before it ends.
fn waits_for(marker: &std::path::Path, go: &std::path::Path) -> String {
    let (marker, go) = (marker.display(), go.display());
    format!("echo started >> {marker}; while [ ! -e {go} ]; do sleep 0.05; done")
}

#[test]
fn a_standby_takes_over_and_nothing_is_lost() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let mut cluster = cluster(&zookeeper).await;
        let leader = cluster.leader_index().await;
        let (old, new) = (cluster.master_at(leader), cluster.master_at(1 - leader));

        // The standby sends its callers to the leader.
        let (status, _) = cluster.get_text(new, "/state").await.unwrap();
        assert_eq!(status, 307);

        // A framework by hand, and one that finds its way by itself: written on our library.
        let mut info = framework("surviving", Duration::from_secs(600));
        let mut scheduler = ApiScheduler::subscribe(old, info.clone()).await;
        let offer = scheduler.offer().await;
        let at = |name: &str| cluster.folder().join(name);
        let (by_hand, by_library, go) = (at("by-hand"), at("by-library"), at("go"));
        let task = command_task("t", &offer, 1.0, 64.0, &waits_for(&by_hand, &go));
        scheduler.launch(&offer, &[task], 1.0).await;
        let running = scheduler.state("t", "TASK_RUNNING").await;
        let library = Command::new(binary::mesos())
            .args(["execute", "--name=library", "--resources=cpus:1;mem:64", "--checkpoint"])
            .arg(format!("--master={}", zookeeper.url()))
            .arg(format!("--command={}", waits_for(&by_library, &go)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let tasks = async |cluster: &Cluster, master| {
            let state = cluster.get_at(master, "/state").await?;
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            let tasks: Vec<Value> =
                list(&state["frameworks"]).iter().flat_map(|framework| list(&framework["tasks"])).collect();
            let agents = state["activated_slaves"].as_f64().unwrap_or(0.0);
            let running = tasks.iter().filter(|task| task["state"] == "TASK_RUNNING").count();
            let connected =
                list(&state["frameworks"]).iter().filter(|framework| framework["connected"] == true).count();
            Ok::<_, String>((agents, tasks.len(), running, connected))
        };
        let until = async |cluster: &Cluster, what: &str, master, expected| {
            wait::until(what, async || {
                let seen = tasks(cluster, master).await?;
                if seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
            })
            .await;
        };
        until(&cluster, "both tasks to run", old, (2.0, 2, 2, 2)).await;

        cluster.master_process(leader).crash();
        // The library's framework subscribes with the new leader, the other one is still away.
        until(&cluster, "agents, tasks and one framework at the standby", new, (2.0, 2, 2, 1)).await;
        info["id"] = json!({ "value": scheduler.framework_id });
        let mut scheduler = ApiScheduler::subscribe(new, info).await;
        scheduler.reconcile(&["t"]).await;
        let status = scheduler.state("t", "TASK_RUNNING").await;
        assert_eq!(status["agent_id"], running["agent_id"]);
        assert_eq!(status["container_status"], running["container_status"]);
        until(&cluster, "both frameworks at the standby", new, (2.0, 2, 2, 2)).await;

        // The tasks were started once, and end as if nothing had happened.
        std::fs::write(&go, "").unwrap();
        scheduler.state("t", "TASK_FINISHED").await;
        let output = beside(move || library.wait_with_output().unwrap()).await;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(printed.contains("TASK_FINISHED"), "{printed}");
        for marker in [by_hand, by_library] {
            assert_eq!(std::fs::read_to_string(marker).unwrap(), "started\n", "it was started once");
        }
    });
}

#[test]
fn the_new_leader_can_end_what_the_old_one_began() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let mut cluster = cluster(&zookeeper).await;
        let leader = cluster.leader_index().await;
        let (old, new) = (cluster.master_at(leader), cluster.master_at(1 - leader));
        let mut info = framework("killing", Duration::from_secs(600));
        let mut scheduler = ApiScheduler::subscribe(old, info.clone()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, "sleep 1000")], 3600.0).await;
        let running = scheduler.state("t", "TASK_RUNNING").await;

        cluster.master_process(leader).crash();
        wait::until("the standby to lead with its agents", async || {
            let state = cluster.get_at(new, "/state").await?;
            if state["activated_slaves"] == 2.0 { Ok(()) } else { Err(state["activated_slaves"].to_string()) }
        })
        .await;
        info["id"] = json!({ "value": scheduler.framework_id });
        let mut scheduler = ApiScheduler::subscribe(new, info).await;
        let kill = json!({ "task_id": { "value": "t" }, "agent_id": running["agent_id"] });
        scheduler.accepted(json!({ "type": "KILL", "kill": kill })).await;
        scheduler.state("t", "TASK_KILLED").await;
    });
}
