//! A single master, whose registry is a file in its work directory (`--registry=local`): what it has acknowledged is there
//! after its process was killed, and after its disk was full.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::disk::SmallDisk;
use integration::{AgentSpec, Cluster, wait};
use libprocess::http::ClientRequest;
use serde_json::{Value, json};

/// An agent of a single master looks for it again when no ping has come for so long as these say.
const LOCAL: [&str; 3] = ["--registry=local", "--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=3"];
const AN_HOUR: f64 = 3600.0;

/// A call of the operator API; status and text of the answer, or how the connection ended without one.
async fn ask(cluster: &Cluster, call: Value) -> Result<(u16, String), String> {
    let request = ClientRequest::post(format!("http://{}/api/v1", cluster.master()))
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .timeout(Duration::from_secs(30))
        .body(call.to_string());
    let response = cluster.client().send(request).await.map_err(|error| error.to_string())?;
    let status = response.status.as_u16();
    Ok((status, response.text(16 << 20).await.map_err(|error| error.to_string())?))
}

async fn set_quota(cluster: &Cluster, role: &str) -> Result<(u16, String), String> {
    let config = json!({ "role": role, "limits": { "cpus": { "value": 2.0 } } });
    let update = json!({ "force": true, "quota_configs": [config] });
    ask(cluster, json!({ "type": "UPDATE_QUOTA", "update_quota": update })).await
}

async fn set_weight(cluster: &Cluster, role: &str, weight: f64) -> Result<(u16, String), String> {
    let update = json!({ "weight_infos": [{ "role": role, "weight": weight }] });
    ask(cluster, json!({ "type": "UPDATE_WEIGHTS", "update_weights": update })).await
}

async fn answer(cluster: &Cluster, call: &str) -> Value {
    let (status, text) = ask(cluster, json!({ "type": call })).await.unwrap();
    assert_eq!(status, 200, "{call}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// The roles with a quota, each of which is what [`set_quota`] makes it.
async fn quotas(cluster: &Cluster) -> BTreeSet<String> {
    let status = answer(cluster, "GET_QUOTA").await["get_quota"]["status"].take();
    let configs = status["configs"].as_array().cloned().unwrap_or_default();
    let roles = configs.iter().map(|config| {
        assert_eq!(config["limits"], json!({ "cpus": { "value": 2.0 } }), "{config}");
        config["role"].as_str().unwrap().to_owned()
    });
    roles.collect()
}

async fn weights(cluster: &Cluster) -> Value {
    answer(cluster, "GET_WEIGHTS").await["get_weights"]["weight_infos"].take()
}

/// `docs/architecture.md`, "What survives what": the registry is read again; agents re-register with what they run,
/// frameworks re-subscribe, tasks run on.
#[test]
fn a_master_that_was_killed_reads_its_registry_again_and_tasks_run_on() {
    libprocess::run(async {
        let mut cluster = Cluster::start(&LOCAL, &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let mut info = framework("steady", Duration::from_secs(600));
        let mut scheduler = ApiScheduler::subscribe(cluster.master(), info.clone()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, "sleep 1000")], AN_HOUR).await;
        let running = scheduler.state("t", "TASK_RUNNING").await;
        let processes = cluster.in_sandboxes();
        assert_eq!(set_quota(&cluster, "eng").await, Ok((200, String::new())));
        assert_eq!(set_weight(&cluster, "eng", 2.5).await, Ok((200, String::new())));

        cluster.master_process(0).crash();
        cluster.master_process(0).restart();
        cluster.wait_for_agents(1).await;
        assert_eq!(quotas(&cluster).await, BTreeSet::from(["eng".to_owned()]));
        assert_eq!(weights(&cluster).await, json!([{ "role": "eng", "weight": 2.5 }]));
        let state = cluster.leader_state().await.unwrap();
        assert_eq!(json!({ "value": state["slaves"][0]["id"] }), running["agent_id"], "it keeps its id");
        let [known] = state["frameworks"].as_array().unwrap().as_slice() else { panic!("{state}") };
        assert_eq!(
            (&known["recovered"], &known["tasks"][0]["state"]),
            (&json!(true), &json!("TASK_RUNNING"))
        );

        info["id"] = json!({ "value": scheduler.framework_id });
        let mut scheduler = ApiScheduler::subscribe(cluster.master(), info).await;
        scheduler.reconcile(&["t"]).await;
        let status = scheduler.state("t", "TASK_RUNNING").await;
        assert_eq!(status["container_status"], running["container_status"], "it is the same container");
        assert_eq!(cluster.in_sandboxes(), processes, "and the same processes");
        let kill = json!({ "task_id": { "value": "t" }, "agent_id": running["agent_id"] });
        scheduler.accepted(json!({ "type": "KILL", "kill": kill })).await;
        scheduler.state("t", "TASK_KILLED").await;
    });
}

/// Once its disk is full, the master ends with a line that names the file.
async fn ends_with_the_file(cluster: &mut Cluster) {
    let code = wait::until("the master to end", async || cluster.master_process(0).exit_code()).await;
    let log = cluster.master_process(0).log();
    let said = log.lines().last().unwrap_or_default();
    let file = cluster.master_work_dir(0).join("registry.redb").display().to_string();
    assert!(said.contains(&file) && said.contains("No space left on device"), "{said}");
    assert_eq!(code, 1, "{said}");
}

#[test]
fn a_master_whose_disk_is_full_ends_and_loses_nothing_that_it_acknowledged() {
    // Far more than fits.
    const TRIES: usize = 5000;
    libprocess::run(async {
        let mut cluster = Cluster::empty();
        let Some(disk) = SmallDisk::mount(&cluster.master_work_dir(0), 8) else { return };
        cluster.add_master(&LOCAL).await;
        cluster.add_agent(&AgentSpec::new("cpus:4;mem:2048"));
        cluster.wait_for_agents(1).await;
        let agent = cluster.leader_state().await.unwrap()["slaves"][0]["id"].clone();
        assert_eq!(set_weight(&cluster, "eng", 2.5).await, Ok((200, String::new())));

        let mut acknowledged = BTreeSet::new();
        // It fails at the first write, and where some of it fits.
        for room in [0, 4096, 20480] {
            let full = disk.fill_but(room);
            let before = acknowledged.len();
            let refused = loop {
                let role = format!("role-{}", acknowledged.len());
                match set_quota(&cluster, &role).await {
                    Ok((200, _)) => drop(acknowledged.insert(role)),
                    refusal => {
                        let said_why = refusal.as_ref().map_or(true, |(status, _)| *status == 503);
                        assert!(said_why, "{refusal:?}");
                        break role;
                    }
                }
                assert!(acknowledged.len() < before + TRIES, "the disk is not full");
            };
            println!("room for {room} bytes: {} quotas were stored", acknowledged.len() - before);
            ends_with_the_file(&mut cluster).await;

            // Where the file has room of its own it starts, and else it ends again. Nothing is lost by that, either.
            disk.fill();
            cluster.master_process(0).restart();
            let serves = wait::until("the master to serve or to end", async || {
                if !cluster.master_process(0).is_running() {
                    return Ok(false);
                }
                cluster.leader_state().await.map(|_| true)
            })
            .await;
            if !serves {
                ends_with_the_file(&mut cluster).await;
            }

            cluster.master_process(0).crash();
            std::fs::remove_file(full).unwrap();
            cluster.master_process(0).restart();
            cluster.wait_for_agents(1).await;
            let found = quotas(&cluster).await;
            // What was not acknowledged may be there or not.
            if found.contains(&refused) {
                acknowledged.insert(refused);
            }
            assert_eq!(found, acknowledged);
            assert_eq!(weights(&cluster).await, json!([{ "role": "eng", "weight": 2.5 }]));
            let slaves = cluster.leader_state().await.unwrap()["slaves"].take();
            assert_eq!((slaves.as_array().unwrap().len(), &slaves[0]["id"]), (1, &agent));
        }
        assert!(!acknowledged.is_empty(), "nothing was stored on a disk that had some room");
    });
}
