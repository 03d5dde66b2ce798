//! A scheduler driver that we did not write: upstream's (libmesos), by its Python binding. `MESOS_TEST_LIBMESOS` names a
//! Python 2.7 that has it; without it these tests are skipped.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use integration::libmesos::{LibmesosDriver, python};
use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, wait};
use serde_json::{Value, json};

const FOREVER: &str = "sleep 1000";

/// A framework as schedulers of libmesos describe theirs: without newer capabilities.
fn framework(name: &str) -> Value {
    json!({ "user": "", "name": name, "checkpoint": true, "failover_timeout": 600.0 })
}

fn again(name: &str, id: &str) -> Value {
    let mut info = framework(name);
    info["id"] = json!({ "value": id });
    info
}

fn scalar(name: &str, value: f64) -> Value {
    json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } })
}

/// A command task on the agent of an offer, in the words of the first API.
fn task(id: &str, offer: &Value, command: &str) -> Value {
    json!({
        "name": id, "task_id": { "value": id }, "slave_id": offer["slave_id"],
        "resources": [scalar("cpus", 1.0), scalar("mem", 64.0)],
        "command": { "value": command }
    })
}

/// The only framework, as the leading master shows it.
async fn shown(cluster: &Cluster, what: &str, wanted: impl Fn(&Value) -> bool) {
    wait::until(what, async || {
        let state = cluster.leader_state().await?;
        let framework = state["frameworks"][0].clone();
        if wanted(&framework) { Ok(()) } else { Err(framework.to_string()) }
    })
    .await;
}

async fn completed(cluster: &Cluster) {
    wait::until("the framework to be over", async || {
        let state = cluster.leader_state().await?;
        let completed = state["completed_frameworks"].as_array().map_or(0, Vec::len);
        if completed == 1 { Ok(()) } else { Err(state["frameworks"].to_string()) }
    })
    .await;
}

#[test]
fn a_framework_on_libmesos_runs_from_registration_to_its_end() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let master = cluster.master().to_string();
        let mut driver = LibmesosDriver::registered(&python, &master, &framework("life"), true).await;
        let offer = driver.offer().await;
        let filters = json!({ "refuse_seconds": 3600.0 });
        driver.call("declineOffer", json!({ "offers": [offer["id"]["value"]], "filters": filters }));
        driver.call("reviveOffers", json!({}));
        let offer = driver.offer().await;
        let resources = offer["resources"].as_array().unwrap();
        assert!(resources.iter().all(|resource| resource["allocation_info"].is_null()), "{offer}");
        assert!(resources.iter().all(|resource| resource["role"] == "*"), "{offer}");

        // Three tasks: one ends, one fails, one is killed. The driver acknowledges by itself.
        let tasks =
            [task("ends", &offer, "true"), task("fails", &offer, "exit 3"), task("runs", &offer, FOREVER)];
        driver.launch(&offer, &tasks);
        let mut last = std::collections::BTreeMap::new();
        while last.get("ends") != Some(&"TASK_FINISHED".to_owned())
            || last.get("fails") != Some(&"TASK_FAILED".to_owned())
            || last.get("runs") != Some(&"TASK_RUNNING".to_owned())
        {
            let status = driver.hears("statusUpdate").await["status"].take();
            assert!(status["uuid"].is_string(), "an update of an agent is to be acknowledged: {status}");
            last.insert(
                status["task_id"]["value"].as_str().unwrap().to_owned(),
                status["state"].as_str().unwrap().to_owned(),
            );
        }
        let acknowledged = |framework: &Value| {
            let completed = framework["completed_tasks"].as_array().map_or(0, Vec::len);
            completed == 2 && framework["pid"].as_str().is_some_and(|pid| pid.starts_with("scheduler-"))
        };
        shown(&cluster, "two ends to be acknowledged", acknowledged).await;

        driver.call("reconcileTasks", json!({ "statuses": [] }));
        let status = driver.hears("statusUpdate").await["status"].take();
        assert_eq!(status["reason"], "REASON_RECONCILIATION");
        assert_eq!((&status["state"], &status["uuid"]), (&json!("TASK_RUNNING"), &Value::Null));
        let asked = json!({ "task_id": { "value": "never" }, "state": "TASK_STAGING" });
        driver.call("reconcileTasks", json!({ "statuses": [asked] }));
        driver.state("never", "TASK_LOST", false).await;

        driver.call("killTask", json!({ "task": "runs" }));
        driver.state("runs", "TASK_KILLED", false).await;
        driver.call("stop", json!({}));
        assert_eq!(driver.hears("ended").await["status"], "DRIVER_STOPPED");
        completed(&cluster).await;
    });
}

/// What upstream's `ExplicitAcknowledgements` and its like show, with the driver itself.
#[test]
fn updates_are_repeated_until_the_scheduler_acknowledges_them() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let master = cluster.master().to_string();
        let mut driver = LibmesosDriver::registered(&python, &master, &framework("explicit"), false).await;
        let offer = driver.offer().await;
        // Of the master's own updates the driver knows that nobody waits for an acknowledgement.
        let mut greedy = task("greedy", &offer, "true");
        greedy["resources"] = json!([scalar("cpus", 64.0)]);
        driver.launch(&offer, &[greedy, task("t", &offer, "true")]);
        let status = driver.state("greedy", "TASK_ERROR", true).await;
        assert_eq!((&status["source"], &status["uuid"]), (&json!("SOURCE_MASTER"), &Value::Null));
        let first = driver.hears("statusUpdate").await["status"].take();
        let repeated = driver.hears("statusUpdate").await["status"].take();
        assert_eq!((&first["uuid"], &first["state"]), (&repeated["uuid"], &repeated["state"]));
        driver.call("acknowledgeStatusUpdate", json!({ "status": first }));
        driver.state("t", "TASK_FINISHED", true).await;
        shown(&cluster, "the task to be over", |framework| framework["tasks"] == json!([])).await;
    });
}

/// The driver sends what is for an executor directly to its agent, which answers to the driver.
/// Upstream: `SchedulerDriverEventTest.Offers`.
#[test]
fn executors_and_the_driver_talk_to_each_other() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let master = cluster.master().to_string();
        let mut driver = LibmesosDriver::registered(&python, &master, &framework("talk"), true).await;
        let offer = driver.offer().await;
        let mut said = task("t", &offer, "");
        said.as_object_mut().unwrap().remove("command");
        said["executor"] = json!({
            "executor_id": { "value": "e" }, "framework_id": { "value": driver.framework_id },
            "command": { "value": format!("exec {} {}", "python3", echo_executor().display()) },
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)]
        });
        driver.launch(&offer, &[said]);
        driver.state("t", "TASK_RUNNING", false).await;
        let data = "aGVsbG8=";
        let message = json!({ "executor": "e", "agent": offer["slave_id"]["value"], "data": data });
        driver.call("sendFrameworkMessage", message);
        let heard = driver.hears("frameworkMessage").await;
        assert_eq!((&heard["executor"], &heard["data"]), (&json!("e"), &json!(data)));
        assert_eq!(heard["agent"], offer["slave_id"]["value"]);
        let metrics = cluster.get_at(cluster.master(), "/metrics/snapshot").await.unwrap();
        for way in ["framework_to_executor", "executor_to_framework"] {
            assert_eq!(metrics[format!("master/messages_{way}")], json!(0.0), "it went around the master");
        }
        driver.call("killTask", json!({ "task": "t" }));
        driver.state("t", "TASK_KILLED", false).await;
        assert_eq!(driver.hears("executorLost").await["executor"], "e");
    });
}

fn echo_executor() -> std::path::PathBuf {
    integration::binary::workspace().join("integration/libmesos/echo_executor.py")
}

/// Upstream: `SchedulerDriverEventTest.SubscribedSchedulerFailover`.
#[test]
fn a_second_driver_takes_over_and_the_first_one_aborts() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let master = cluster.master().to_string();
        let mut first = LibmesosDriver::registered(&python, &master, &framework("twice"), true).await;
        let offer = first.offer().await;
        first.launch(&offer, &[task("t", &offer, FOREVER)]);
        first.state("t", "TASK_RUNNING", false).await;
        let id = first.framework_id.clone();
        let mut second = LibmesosDriver::registered(&python, &master, &again("twice", &id), true).await;
        assert_eq!(second.framework_id, id);
        loop {
            let callback = first.any().await;
            if callback["event"] == "error" {
                assert_eq!(callback["message"], "Framework failed over");
                break;
            }
        }
        assert_eq!(first.hears("ended").await["status"], "DRIVER_ABORTED");
        // The end of its process is none of the framework's.
        drop(first);
        second.call("reconcileTasks", json!({ "statuses": [] }));
        second.state("t", "TASK_RUNNING", false).await;

        // A crash: the framework waits for another one.
        drop(second);
        shown(&cluster, "the driver to be missed", |framework| framework["connected"] == json!(false)).await;
        let mut third = LibmesosDriver::registered(&python, &master, &again("twice", &id), true).await;
        third.call("reconcileTasks", json!({ "statuses": [] }));
        third.state("t", "TASK_RUNNING", false).await;
        third.call("killTask", json!({ "task": "t" }));
        third.state("t", "TASK_KILLED", false).await;
        third.call("abort", json!({}));
        assert_eq!(third.hears("ended").await["status"], "DRIVER_ABORTED");
        let inactive = |framework: &Value| framework["active"] == json!(false);
        shown(&cluster, "the framework to be inactive", inactive).await;
    });
}

/// A driver finds the leader in ZooKeeper; with an address it would not notice that its master is another one.
/// Upstream: `SchedulerDriverEventTest.SubscribedMasterFailover`.
#[test]
fn a_driver_goes_on_with_the_next_leading_master() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let url = zookeeper.url();
        let mut cluster = Cluster::found_at(&url);
        for _ in 0..2 {
            cluster.add_master(&["--zk_session_timeout=5secs"]).await;
        }
        cluster.add_agent(&AgentSpec::new("cpus:4;mem:2048"));
        cluster.wait_for_agents(1).await;
        let mut driver = LibmesosDriver::registered(&python, &url, &framework("zk"), true).await;
        let offer = driver.offer().await;
        driver.launch(&offer, &[task("t", &offer, FOREVER)]);
        driver.state("t", "TASK_RUNNING", false).await;

        let leader = cluster.leader_index().await;
        cluster.master_process(leader).crash();
        driver.hears("disconnected").await;
        // A new leader has not known the framework: the driver is registered, not reregistered.
        let registered = driver.hears("registered").await;
        assert_eq!(registered["framework"], json!(driver.framework_id));
        wait::until("the agent to be back", async || {
            driver.call("reconcileTasks", json!({ "statuses": [] }));
            match tokio::time::timeout(Duration::from_millis(500), driver.hears("statusUpdate")).await {
                Ok(status) if status["status"]["state"] == "TASK_RUNNING" => Ok(()),
                Ok(status) => Err(status.to_string()),
                Err(_) => Err("no answer".to_owned()),
            }
        })
        .await;
        driver.call("killTask", json!({ "task": "t" }));
        driver.state("t", "TASK_KILLED", false).await;
        driver.call("stop", json!({}));
        assert_eq!(driver.hears("ended").await["status"], "DRIVER_STOPPED");
    });
}
