//! Another client that we did not write: mesoshttp, unmodified from PyPI. `./test` installs it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::ffi::OsString;

use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, binary, command};

fn python() -> Option<OsString> {
    let python = std::env::var_os("MESOS_TEST_MESOSHTTP");
    if python.is_none() {
        println!("skipped: MESOS_TEST_MESOSHTTP does not name a Python with mesoshttp (./test installs one)");
    }
    python
}

fn agent() -> AgentSpec {
    AgentSpec::new("cpus:4;mem:1024")
}

/// A framework subscribes, launches, is told, kills, shuts down, goes, comes back, reconciles and is torn down.
async fn live(cluster: &Cluster, python: OsString, masters: &str) {
    let mut command = command(python);
    command.arg(binary::workspace().join("frameworks/mesoshttp/life.py")).arg(masters);
    let output = integration::beside(move || command.output().unwrap()).await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    // Each once: none is sent again that was acknowledged.
    for line in [
        "finishes: TASK_STARTING TASK_RUNNING TASK_FINISHED",
        "fails: TASK_STARTING TASK_RUNNING TASK_FAILED",
        "is-killed: TASK_STARTING TASK_RUNNING TASK_KILLED",
        "is-shut-down: TASK_STARTING TASK_RUNNING TASK_KILLED",
        "late: TASK_STARTING TASK_RUNNING TASK_FINISHED",
        "stays: TASK_STARTING TASK_RUNNING",
        "reconciled stays: TASK_RUNNING",
        "reconciled nobody: TASK_UNKNOWN",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in\n{printed}\n{errors}");
    }
    let subscriptions: Vec<&str> = printed.lines().filter(|line| line.starts_with("subscribed as")).collect();
    assert!(subscriptions.len() == 2 && subscriptions[0] == subscriptions[1], "{printed}");

    let state = cluster.leader_state().await.unwrap();
    assert_eq!(state["frameworks"].as_array().unwrap().len(), 0, "it has torn itself down");
    let framework = &state["completed_frameworks"][0];
    assert_eq!(framework["name"], "mesoshttp");
    let stays = framework["completed_tasks"].as_array().unwrap().iter().find(|task| task["id"] == "stays");
    assert_eq!(stays.unwrap()["state"], "TASK_KILLED", "what still ran has ended with it");
}

#[test]
fn mesoshttp_lives_with_one_master() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let cluster = Cluster::start(&[], &[agent(), agent()]).await;
        live(&cluster, python, &format!("http://{}", cluster.master())).await;
    });
}

/// It knows nothing of leaders: each of its requests goes to the standby, and is redirected.
#[test]
fn mesoshttp_is_redirected_to_the_leader() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let cluster = two_masters(&zookeeper).await;
        let standby = 1 - cluster.leader_index().await;
        live(&cluster, python, &format!("http://{}", cluster.master_at(standby))).await;
    });
}

/// Its own reading of ZooKeeper takes whichever contender the server names first, which need not be the leader.
#[test]
fn mesoshttp_finds_a_master_in_zookeeper() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let cluster = two_masters(&zookeeper).await;
        live(&cluster, python, &zookeeper.url()).await;
    });
}

async fn two_masters(zookeeper: &ZooKeeper) -> Cluster {
    let mut cluster = Cluster::found_at(&zookeeper.url());
    for _ in 0..2 {
        cluster.add_master(&["--registry=in_memory"]).await;
    }
    cluster.add_agent(&agent());
    cluster.wait_for_agents(1).await;
    cluster
}
