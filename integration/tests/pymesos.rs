//! A client that we did not write: PyMesos, unmodified from PyPI. `./test` installs it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, framework, scalars};
use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, binary, command, wait};
use serde_json::{Value, json};

/// Runs one of `frameworks/pymesos/` against a cluster; returns what it printed.
async fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let python = python()?;
    let cluster =
        Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:1024"), AgentSpec::new("cpus:4;mem:1024")]).await;
    let master = cluster.master().to_string();
    Some(run_at(&cluster, python, &master, program, arguments).await)
}

fn python() -> Option<OsString> {
    let python = std::env::var_os("MESOS_TEST_PYTHON");
    if python.is_none() {
        println!("skipped: MESOS_TEST_PYTHON does not name a Python with PyMesos (./test installs one)");
    }
    python
}

async fn run_at(
    cluster: &Cluster,
    python: OsString,
    master: &str,
    program: &str,
    arguments: &[&str],
) -> String {
    let mut command = command(python);
    command.arg(binary::workspace().join("frameworks/pymesos").join(program));
    command.arg(master).args(arguments);
    let output = integration::beside(move || command.output().unwrap()).await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    let state = cluster.leader_state().await.unwrap();
    assert_eq!(state["completed_frameworks"].as_array().unwrap().len(), 1, "it has torn itself down");
    printed
}

#[test]
fn pymesos_finds_the_leader_in_zookeeper() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let mut cluster = Cluster::found_at(&zookeeper.url());
        for _ in 0..2 {
            cluster.add_master(&["--registry=in_memory"]).await;
        }
        cluster.add_agent(&AgentSpec::new("cpus:4;mem:1024"));
        cluster.wait_for_agents(1).await;
        let printed = run_at(&cluster, python, &zookeeper.url(), "sum/scheduler.py", &["1000", "2"]).await;
        assert!(printed.contains("sum: 499500"), "{printed}");
    });
}

#[test]
fn pymesos_adds() {
    libprocess::run(async {
        let Some(printed) = run("sum/scheduler.py", &["1000000", "4"]).await else { return };
        assert!(printed.contains("sum: 499999500000"), "{printed}");
    });
}

#[test]
fn pymesos_integrates() {
    libprocess::run(async {
        let expression = ["4*sqrt(1-x*x)", "0", "1", "20000", "2"];
        let Some(printed) = run("integrate/scheduler.py", &expression).await else { return };
        assert!(printed.contains("integral: 3.1415"), "{printed}");
    });
}

/// A task of `integration/pymesos/executor.py`, which is over when a file is there.
fn waiting_task(id: &str, python: &OsString, offer: &Value, until: &Path) -> Value {
    let executor = binary::workspace().join("integration/pymesos/executor.py");
    let command = format!("exec {} {}", Path::new(python).display(), executor.display());
    json!({
        "name": id, "task_id": { "value": id }, "agent_id": offer["agent_id"], "resources": scalars(0.5, 32.0),
        "data": base64(until),
        "executor": {
            "type": "CUSTOM", "executor_id": { "value": "waiting" }, "framework_id": offer["framework_id"],
            "resources": scalars(0.5, 64.0), "command": { "value": command },
        }
    })
}

fn base64(path: &Path) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(path.to_str().unwrap())
}

/// The newest outstanding offer of the only framework.
async fn offer_of(cluster: &Cluster) -> Value {
    wait::until("an offer", async || {
        let state = cluster.leader_state().await?;
        let framework = &state["frameworks"][0];
        let offer = framework["offers"].as_array().and_then(|offers| offers.last()).ok_or("none yet")?;
        let value = |id: &Value| json!({ "value": id });
        Ok::<_, String>(json!({
            "id": value(&offer["id"]), "agent_id": value(&offer["slave_id"]), "framework_id": value(&framework["id"]),
        }))
    })
    .await
}

/// `--recover=reconnect`, with an executor that is not ours.
#[test]
fn an_executor_of_pymesos_goes_on_at_the_next_agent() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        // PyMesos' pauses between its attempts may be longer than the two seconds that an agent waits by default.
        let agent = AgentSpec::new("cpus:4;mem:2048").with("--executor_reregistration_timeout=15secs");
        let mut cluster = Cluster::start(&[], &[agent]).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("steady", Duration::from_secs(600))).await;
        let (one, two) = (cluster.folder().join("one"), cluster.folder().join("two"));
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[waiting_task("t1", &python, &offer, &one)], 0.0).await;
        let process = scheduler.state("t1", "TASK_RUNNING").await["message"].clone();

        // The first task ends while the agent is away; its executor is asked to run another one afterwards.
        cluster.agent_process(0).crash();
        std::fs::write(&one, "").unwrap();
        cluster.agent_process(0).restart();
        let status = scheduler.state("t1", "TASK_FINISHED").await;
        assert_eq!(status["message"], process, "{status}");
        // It may have come before the update.
        let offer = offer_of(&cluster).await;
        scheduler.launch(&offer, &[waiting_task("t2", &python, &offer, &two)], 0.0).await;
        let status = scheduler.state("t2", "TASK_RUNNING").await;
        assert_eq!(status["message"], process, "{status}");
        std::fs::write(&two, "").unwrap();
        scheduler.state("t2", "TASK_FINISHED").await;
    });
}

/// What an operator does with PyMesos: each call of its driver once, and its events.
#[test]
fn pymesos_operates_a_master() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let mut cluster = Cluster::empty();
        let log_dir = format!("--log_dir={}", cluster.folder().join("log").display());
        cluster.add_master(&[&log_dir]).await;
        cluster.add_agent(&AgentSpec::new("cpus:4;mem:1024;disk:512"));
        cluster.wait_for_agents(1).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("steady", Duration::from_secs(600))).await;
        let offer = scheduler.offer().await;
        let never = cluster.folder().join("never");
        scheduler.launch(&offer, &[waiting_task("t", &python, &offer, &never)], 3600.0).await;
        scheduler.state("t", "TASK_RUNNING").await;

        let operator = command(&python)
            .arg(binary::workspace().join("integration/pymesos/operator_api.py"))
            .arg(cluster.master().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait::until("the operator to listen", async || {
            let metrics = cluster.get_at(cluster.master(), "/metrics/snapshot").await?;
            let listening = &metrics["master/operator_event_stream_subscribers"];
            if *listening == 1.0 { Ok(()) } else { Err(listening.to_string()) }
        })
        .await;
        cluster.add_agent(&AgentSpec::new("cpus:1;mem:128;disk:16"));
        cluster.wait_for_agents(2).await;
        let mut execute = command(binary::mesos());
        execute.args(["execute", "--name=passing", "--resources=cpus:0.1;mem:32", "--command=true"]);
        execute.arg(format!("--master={}", cluster.master()));
        let executed = integration::beside(move || execute.output().unwrap()).await;
        assert!(executed.status.success(), "{}", String::from_utf8_lossy(&executed.stderr));
        let output = integration::beside(move || operator.wait_with_output().unwrap()).await;
        let printed = String::from_utf8_lossy(&output.stdout);
        println!("{printed}");
        assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));

        let get = async |path: &str| cluster.get_at(cluster.master(), path).await.unwrap();
        assert_eq!(get("/weights").await, json!([{ "role": "left", "weight": 2.5 }]));
        let quotas = get("/quota").await;
        assert_eq!(
            (quotas["infos"].as_array().unwrap().len(), &quotas["infos"][0]["role"]),
            (1, &json!("left"))
        );
        let schedule = get("/maintenance/schedule").await;
        assert_eq!(schedule["windows"][0]["machine_ids"][0]["hostname"], "elsewhere");
        let agents = get("/slaves").await["slaves"].take();
        assert_eq!(agents.as_array().unwrap().len(), 1, "the other one is gone");
        let reserved = agents[0]["reserved_resources"].as_object().unwrap();
        assert_eq!((reserved.len(), &reserved["left"]["disk"]), (1, &json!(96.0)));
        let reserved = agents[0]["reserved_resources_full"]["left"].as_array().unwrap();
        let volumes: Vec<&Value> = reserved.iter().filter(|resource| resource["disk"].is_object()).collect();
        assert_eq!((volumes.len(), &volumes[0]["disk"]["persistence"]["id"]), (1, &json!("left")));
        scheduler.reconcile(&["t"]).await;
        scheduler.state("t", "TASK_RUNNING").await;
    });
}
