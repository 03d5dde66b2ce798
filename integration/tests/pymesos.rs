//! A client that we did not write: PyMesos, unmodified from PyPI. `./test` installs it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::ffi::OsString;
use std::process::Command;

use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, binary};

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
    let mut command = Command::new(python);
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
