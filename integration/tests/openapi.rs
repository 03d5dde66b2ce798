//! Whatever a client sends, the master answers as it is described, lives on, and loses nothing: schemathesis
//! (unmodified, from PyPI) makes requests out of `/openapi.json`. `./test` installs it.

use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::{AgentSpec, Cluster, beside, binary, command, mode};
use serde_json::Value;

/// Tasks of a framework and the state that the master has of it.
async fn tasks(cluster: &Cluster) -> Vec<(String, String)> {
    let shown = cluster.get_at(cluster.master(), "/tasks").await.expect("the master answers");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tasks = shown["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().map(|task| (word(&task["id"]), word(&task["state"]))).collect()
}

#[test]
fn nothing_that_schemathesis_sends_harms_the_master() {
    let Some(python) = std::env::var_os("MESOS_TEST_SCHEMATHESIS") else {
        println!(
            "skipped: MESOS_TEST_SCHEMATHESIS does not name a Python with schemathesis (./test installs one)"
        );
        return;
    };
    libprocess::run(async {
        let mut cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("bystander", Duration::from_secs(600))).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("t", &offer, 0.1, 32.0, "sleep 1000")], 3600.0).await;
        scheduler.state("t", "TASK_RUNNING").await;
        let before = cluster.leader_state().await.expect("the master leads");

        let script = binary::workspace().join("integration/openapi/fuzz.py");
        let url = format!("http://{}", cluster.master());
        let seconds = if mode::is_long() { "300" } else { "20" };
        let output = beside(move || command(python).arg(script).arg(url).arg(seconds).output()).await;
        let output = output.expect("the Python is there");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{printed}\n{complained}");
        println!("{printed}");

        assert!(cluster.master_process(0).is_running());
        let after = cluster.leader_state().await.expect("the master leads");
        assert_eq!((&after["id"], &after["start_time"]), (&before["id"], &before["start_time"]));
        assert_eq!(after["slaves"][0]["id"], before["slaves"][0]["id"]);
        assert_eq!(tasks(&cluster).await, [("t".to_owned(), "TASK_RUNNING".to_owned())]);
        scheduler.reconcile(&["t"]).await;
        assert_eq!(scheduler.update("t").await["state"], "TASK_RUNNING");
    });
}
