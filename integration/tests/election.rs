//! Two masters behind a real ZooKeeper, or a real etcd.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::etcd::Etcd;
use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, beside, binary, command, wait};
use libprocess::http::ClientRequest;
use serde_json::{Value, json};

/// Two masters with a short session, so that the death of the leader is noticed soon, and two agents.
async fn cluster(url: &str) -> Cluster {
    let mut cluster = Cluster::found_at(url);
    let flags = ["--zk_session_timeout=2secs"];
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

/// Upstream: `RegistrarZooKeeperTest.TaskRunning`.
#[test]
fn a_standby_takes_over_and_nothing_is_lost() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        a_standby_takes_over(&zookeeper.url()).await;
    });
}

#[test]
fn a_standby_takes_over_by_etcd_and_nothing_is_lost() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        a_standby_takes_over(&etcd.url()).await;
    });
}

async fn a_standby_takes_over(url: &str) {
    let mut cluster = cluster(url).await;
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
    let library = command(binary::mesos())
        .args(["execute", "--name=library", "--resources=cpus:1;mem:64", "--checkpoint"])
        .arg(format!("--master={url}"))
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
}

#[test]
fn the_new_leader_can_end_what_the_old_one_began() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let mut cluster = cluster(&zookeeper.url()).await;
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

#[test]
fn a_leader_that_stood_still_ends_and_writes_nothing_more() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        a_leader_stands_still(&zookeeper.url()).await;
    });
}

#[test]
fn a_leader_by_etcd_that_stood_still_ends_and_writes_nothing_more() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        a_leader_stands_still(&etcd.url()).await;
    });
}

/// A leader that stood still for longer than its session finds out when it goes on: nothing that it writes is stored, and
/// it ends.
async fn a_leader_stands_still(url: &str) {
    let mut cluster = cluster(url).await;
    let leader = cluster.leader_index().await;
    let (old, new) = (cluster.master_at(leader), cluster.master_at(1 - leader));
    set_quota(&cluster, old, "kept", 1.0).await;

    cluster.master_process(leader).freeze();
    wait::until("the standby to lead with its agents", async || {
        let state = cluster.get_at(new, "/state").await?;
        if state["activated_slaves"] == 2.0 { Ok(()) } else { Err(state["activated_slaves"].to_string()) }
    })
    .await;
    // What an operator has set survives the master that was told.
    assert_eq!(quotas(&cluster, new).await, ["kept"]);
    set_quota(&cluster, new, "new", 2.0).await;

    // It waits in the old leader's socket for it to go on.
    let client = cluster.client().clone();
    let late = tokio::task::spawn_local(async move { client.send(quota_request(old, "late", 3.0)).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.master_process(leader).resume();
    let code =
        wait::until("the old leader to end", async || cluster.master_process(leader).exit_code()).await;
    assert_ne!(code, 0);
    let log = cluster.master_process(leader).log();
    assert!(log.contains("lost leadership") || log.contains("does not lead any more"), "{log}");
    let stored = late.await.unwrap().is_ok_and(|response| response.status.is_success());
    assert!(!stored, "the old leader has acknowledged what it could not store");
    assert_eq!(quotas(&cluster, new).await, ["kept", "new"]);

    // It comes back as a standby, and knows all when its turn comes.
    cluster.master_process(leader).restart();
    wait::until("the old leader to be a standby", async || match cluster.get_text(old, "/state").await? {
        (307, _) => Ok(()),
        (status, _) => Err(status.to_string()),
    })
    .await;
    cluster.master_process(1 - leader).crash();
    wait::until("the old leader to lead again", async || cluster.get_at(old, "/state").await.map(drop)).await;
    assert_eq!(quotas(&cluster, old).await, ["kept", "new"]);
}

fn quota_request(master: SocketAddr, role: &str, cpus: f64) -> ClientRequest {
    let config = json!({ "role": role, "limits": { "cpus": { "value": cpus } } });
    let call =
        json!({ "type": "UPDATE_QUOTA", "update_quota": { "force": true, "quota_configs": [config] } });
    ClientRequest::post(format!("http://{master}/api/v1"))
        .header("Content-Type", "application/json")
        .body(call.to_string())
}

async fn set_quota(cluster: &Cluster, master: SocketAddr, role: &str, cpus: f64) {
    let response = cluster.client().send(quota_request(master, role, cpus)).await.unwrap();
    let status = response.status;
    assert!(status.is_success(), "{status}: {}", response.text(1 << 20).await.unwrap());
}

/// The roles that have a quota.
async fn quotas(cluster: &Cluster, master: SocketAddr) -> Vec<String> {
    let request = ClientRequest::post(format!("http://{master}/api/v1"))
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .body(json!({ "type": "GET_QUOTA" }).to_string());
    let answer = cluster.client().send(request).await.unwrap().text(1 << 20).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let configs = answer["get_quota"]["status"]["configs"].as_array().cloned().unwrap_or_default();
    let mut roles: Vec<String> =
        configs.iter().filter_map(|config| config["role"].as_str().map(str::to_owned)).collect();
    roles.sort();
    roles
}

/// Upstream: `MasterContenderDetectorTest.File`.
#[test]
fn an_agent_follows_a_file_to_another_master() {
    libprocess::run(async {
        let [first, second] = [Cluster::start(&[], &[]).await, Cluster::start(&[], &[]).await];
        let file = first.folder().join("master");
        std::fs::write(&file, first.master().to_string()).unwrap();
        let mut agents = Cluster::found_at(&format!("file://{}", file.display()));
        agents.add_agent(&AgentSpec::new("cpus:1;mem:64"));
        first.wait_for_agents(1).await;
        std::fs::write(&file, second.master().to_string()).unwrap();
        second.wait_for_agents(1).await;
    });
}

#[test]
fn zookeeper_may_want_a_password_which_nobody_is_shown() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let mut cluster = Cluster::found_at(&zookeeper.url().replace("zk://", "zk://jake:secret@"));
        cluster.add_master(&[]).await;
        cluster.add_agent(&AgentSpec::new("cpus:1;mem:64"));
        cluster.wait_for_agents(1).await;
        for node in [cluster.master(), cluster.agent_at(0)] {
            let (status, flags) = cluster.get_text(node, "/flags").await.unwrap();
            assert!(status == 200 && flags.contains("zk://") && !flags.contains("secret"), "{flags}");
        }
        assert!(!cluster.master_process(0).log().contains("secret"));
        assert!(!cluster.agent_process(0).log().contains("secret"));

        // Agents and frameworks need no password to find the leader; a master does.
        let mut others = Cluster::found_at(&zookeeper.url());
        others.add_agent(&AgentSpec::new("cpus:1;mem:64"));
        cluster.wait_for_agents(2).await;
        others.start_master(&[]);
        let code =
            wait::until("the other master to end", async || others.master_process(0).exit_code()).await;
        assert_ne!(code, 0);
        let log = others.master_process(0).log();
        assert!(log.contains("not authorized"), "{log}");
    });
}
