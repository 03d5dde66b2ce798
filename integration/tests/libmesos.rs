//! A scheduler driver that we did not write: upstream's (libmesos), by its Python binding. `MESOS_TEST_LIBMESOS` names a
//! Python 2.7 that has it; without it these tests are skipped.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use election::group::{Group, Session};
use election::zookeeper::ZooKeeperGroup;
use integration::libmesos::{LibmesosDriver, python};
use integration::ports::Port;
use integration::wire::Wire;
use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, wait};
use rustix::process::Signal;
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

async fn metric(cluster: &Cluster, wanted: impl Fn(&str) -> bool) -> f64 {
    let metrics = cluster.get_at(cluster.master(), "/metrics/snapshot").await.unwrap();
    let mut found = metrics.as_object().unwrap().iter().filter(|(name, _)| wanted(name));
    found.next().unwrap().1.as_f64().unwrap()
}

/// Waits for so many runs of the allocator.
async fn allocations(cluster: &Cluster, count: f64) {
    let runs = async || metric(cluster, |name| name == "allocator/mesos/allocation_runs").await;
    let before = runs().await;
    wait::until("more allocations", async || {
        let now = runs().await;
        if now >= before + count { Ok(()) } else { Err(now) }
    })
    .await;
}

fn amount(offer: &Value, name: &str) -> f64 {
    let resources = offer["resources"].as_array().unwrap().iter();
    resources
        .filter(|resource| resource["name"] == name)
        .filter_map(|resource| resource["scalar"]["value"].as_f64())
        .sum()
}

/// The names of callbacks.
fn names(callbacks: &[Value]) -> Vec<&str> {
    callbacks.iter().map(|callback| callback["event"].as_str().unwrap()).collect()
}

/// Runs a task for ever on the next offer, and has what that leaves offered.
async fn rest_beside(driver: &mut LibmesosDriver, id: &str) -> Value {
    let offer = driver.offer().await;
    driver.launch(&offer, &[task(id, &offer, FOREVER)]);
    driver.state(id, "TASK_RUNNING", false).await;
    driver.call("reviveOffers", json!({}));
    driver.offer().await
}

/// Reconciles until the master knows again that the only task runs.
async fn agent_is_back(driver: &mut LibmesosDriver) {
    wait::until("the agent to be back", async || {
        driver.call("reconcileTasks", json!({ "statuses": [] }));
        match tokio::time::timeout(Duration::from_millis(500), driver.hears("statusUpdate")).await {
            Ok(status) if status["status"]["state"] == "TASK_RUNNING" => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
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

/// What upstream's `HTTPCommandExecutorTest.ExplicitAcknowledgements` and its like show, with the driver itself.
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
        agent_is_back(&mut driver).await;
        driver.call("killTask", json!({ "task": "t" }));
        driver.state("t", "TASK_KILLED", false).await;
        driver.call("stop", json!({}));
        assert_eq!(driver.hears("ended").await["status"], "DRIVER_STOPPED");
    });
}

/// Has the cluster's master, which knows nothing of it, lead in a ZooKeeper: until what is returned is dropped.
async fn appoint(zookeeper: &ZooKeeper, cluster: &Cluster) -> Box<dyn Session> {
    let group = ZooKeeperGroup::new(zookeeper.url().parse().unwrap(), Duration::from_secs(10));
    let member = group.connect().await.unwrap();
    let master = election::info::from_address("master".into(), "localhost".into(), cluster.master());
    member.join("json.info", election::info::to_json(&master)).await.unwrap();
    member
}

/// A driver that loses sight of its master and finds the same one again. That has missed nothing, and its offers may have
/// been answered in vain: it gives new ones.
/// Upstream: `FaultToleranceTest.FrameworkReregister`, `FaultToleranceTest.DisconnectedSchedulerLaunchLost`,
/// `SchedulerDriverEventTest.SubscribedDisconnection`.
#[test]
fn a_driver_that_finds_its_master_again_is_reregistered() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let leads = appoint(&zookeeper, &cluster).await;
        let mut info = framework("again");
        info["roles"] = json!(["one", "two"]);
        info["capabilities"] = json!([{ "type": "MULTI_ROLE" }]);
        let mut driver = LibmesosDriver::registered(&python, &zookeeper.url(), &info, true).await;
        let rest = rest_beside(&mut driver, "t").await;

        drop(leads);
        assert_eq!(driver.any().await, json!({ "event": "disconnected" }));
        // The driver answers itself, and tells the master of the suppression as soon as it has one.
        driver.launch(&rest, &[task("late", &rest, FOREVER)]);
        let status = driver.any().await["status"].take();
        assert_eq!((&status["task_id"]["value"], &status["state"]), (&json!("late"), &json!("TASK_LOST")));
        assert_eq!(status["reason"], "REASON_MASTER_DISCONNECTED");
        let suppressed = rest["allocation_info"]["role"].clone();
        driver.call("suppressOffers", json!({ "roles": [suppressed] }));
        let there = |framework: &Value| {
            framework["connected"] == json!(true) && framework["offers"][0]["id"] == rest["id"]["value"]
        };
        shown(&cluster, "the framework to be as it was", there).await;

        let _leads = appoint(&zookeeper, &cluster).await;
        let reregistered = driver.any().await;
        assert_eq!(reregistered["event"], "reregistered", "{reregistered}");
        assert_eq!(reregistered["master"]["pid"], format!("master@{}", cluster.master()));
        let offer = driver.any().await["offers"][0].take();
        assert_eq!((amount(&offer, "cpus"), amount(&offer, "mem")), (3.0, 1984.0), "{offer}");
        assert_ne!(offer["id"], rest["id"]);
        assert_ne!(offer["allocation_info"]["role"], suppressed);
        driver.launch(&offer, &[task("next", &offer, FOREVER)]);
        driver.state("next", "TASK_RUNNING", false).await;
        driver.call("killTask", json!({ "task": "t" }));
        driver.state("t", "TASK_KILLED", false).await;
        driver.call("stop", json!({}));
        assert_eq!(driver.hears("ended").await["status"], "DRIVER_STOPPED");
        completed(&cluster).await;
    });
}

/// Upstream: `FaultToleranceTest.SchedulerFailoverStatusUpdate`.
#[test]
fn what_happens_between_two_drivers_is_told_to_the_second() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let master = cluster.master().to_string();
        let mut first = LibmesosDriver::registered(&python, &master, &framework("next"), true).await;
        let offer = first.offer().await;
        let end = cluster.folder().join("end");
        let until_then = format!("while [ ! -e {} ]; do sleep 0.1; done", end.display());
        first.launch(&offer, &[task("ends", &offer, &until_then), task("runs", &offer, FOREVER)]);
        first.state("ends", "TASK_RUNNING", false).await;
        // What it does not acknowledge before it stops the agent repeats, before anything newer.
        first.before_an_answer().await;
        first.call("stop", json!({ "failover": true }));
        assert_eq!(first.hears("ended").await["status"], "DRIVER_STOPPED");
        let id = first.framework_id.clone();
        // The driver has stopped; its connections end with its process.
        drop(first);
        shown(&cluster, "the driver to be missed", |framework| framework["connected"] == json!(false)).await;
        std::fs::write(end, "").unwrap();
        let has_ended = |framework: &Value| {
            let tasks = framework["tasks"].as_array();
            tasks.is_some_and(|tasks| tasks.iter().any(|task| task["state"] == "TASK_FINISHED"))
        };
        shown(&cluster, "the task to end", has_ended).await;

        let mut second = LibmesosDriver::registered(&python, &master, &again("next", &id), true).await;
        assert_eq!(second.framework_id, id);
        let status = second.state("ends", "TASK_FINISHED", false).await;
        assert!(status["uuid"].is_string(), "it was not acknowledged: {status}");
        second.call("reconcileTasks", json!({ "statuses": [] }));
        second.state("runs", "TASK_RUNNING", false).await;
        second.call("stop", json!({}));
        assert_eq!(second.hears("ended").await["status"], "DRIVER_STOPPED");
        completed(&cluster).await;
    });
}

/// The master's way to a driver breaks, and the driver does not notice: it gets no heartbeats.
/// Upstream: `SchedulerDriverEventTest.Error`.
#[test]
fn a_driver_that_the_master_lost_is_told_to_abort() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let master = cluster.master().to_string();
        let port = Port::reserve().unwrap();
        let wire = Wire::to(port.address()).await;
        let mut driver = LibmesosDriver::behind(&python, &master, &framework("cut off"), &port, &wire);
        driver.is_registered().await;
        let offer = driver.offer().await;
        driver.launch(&offer, &[task("t", &offer, FOREVER)]);
        driver.state("t", "TASK_RUNNING", false).await;

        wire.cut();
        let error = driver.up_to("error").await.pop().unwrap();
        assert_eq!(error["message"], "Framework disconnected");
        assert_eq!(driver.any().await, json!({ "event": "ended", "status": "DRIVER_ABORTED" }));
        let away =
            |framework: &Value| framework["connected"] == json!(false) && framework["active"] == json!(false);
        shown(&cluster, "the driver to be missed", away).await;
        let info = again("cut off", &driver.framework_id);
        let mut next = LibmesosDriver::registered(&python, &master, &info, true).await;
        next.call("reconcileTasks", json!({ "statuses": [] }));
        next.state("t", "TASK_RUNNING", false).await;
    });
}

/// Upstream: `MasterAllocatorTest.SlaveLost`, `PartitionTest.PartitionedSlave`, for those whom it tells;
/// `SchedulerDriverEventTest.Failure`.
#[test]
fn a_driver_hears_of_an_agent_that_leaves_and_of_one_that_is_silent() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let flags = ["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=2"];
        let agent = AgentSpec::new("cpus:4;mem:2048").with("--registration_backoff_factor=50ms");
        let mut cluster = Cluster::start(&flags, &[agent]).await;
        let master = cluster.master().to_string();
        let mut driver = LibmesosDriver::registered(&python, &master, &framework("lost"), true).await;
        let rest = rest_beside(&mut driver, "t").await;
        cluster.agent_process(0).signal(Signal::USR1);
        let heard = driver.up_to("slaveLost").await;
        assert_eq!(names(&heard), ["statusUpdate", "offerRescinded", "slaveLost"], "{heard:?}");
        let status = &heard[0]["status"];
        assert_eq!((&status["task_id"]["value"], &status["state"]), (&json!("t"), &json!("TASK_LOST")));
        assert_eq!(status["reason"], "REASON_SLAVE_REMOVED");
        assert_eq!(
            (&heard[1]["offer"], &heard[2]["agent"]),
            (&rest["id"]["value"], &rest["slave_id"]["value"])
        );

        wait::until("the agent to end", async || cluster.agent_process(0).exit_code()).await;
        cluster.agent_process(0).restart();
        let rest = rest_beside(&mut driver, "u").await;
        assert_eq!(amount(&rest, "cpus"), 3.0, "nothing is left of the first task: {rest}");
        cluster.agent_process(0).crash();
        let heard = driver.up_to("slaveLost").await;
        assert_eq!(names(&heard), ["offerRescinded", "statusUpdate", "slaveLost"], "{heard:?}");
        let status = &heard[1]["status"];
        assert_eq!((&status["task_id"]["value"], &status["state"]), (&json!("u"), &json!("TASK_LOST")));
        assert_eq!(status["message"], "health check timed out");
        assert_eq!(
            (&heard[0]["offer"], &heard[2]["agent"]),
            (&rest["id"]["value"], &rest["slave_id"]["value"])
        );
        // It ran all the time.
        cluster.agent_process(0).restart();
        agent_is_back(&mut driver).await;
        driver.call("killTask", json!({ "task": "u" }));
        driver.state("u", "TASK_KILLED", false).await;
    });
}

/// Upstream: `MasterTest.OfferTimeout`, `SchedulerTest.Suppress`, `SchedulerTest.Revive`,
/// `SchedulerDriverEventTest.Rescind`.
#[test]
fn offers_that_are_not_answered_are_rescinded_and_none_come_while_they_are_suppressed() {
    libprocess::run(async {
        let Some(python) = python() else { return };
        let flags = ["--offer_timeout=500ms", "--allocation_interval=100ms"];
        let cluster = Cluster::start(&flags, &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let master = cluster.master().to_string();
        let mut driver = LibmesosDriver::registered(&python, &master, &framework("wanted"), true).await;
        let offer = driver.offer().await;
        assert_eq!(driver.any().await, json!({ "event": "offerRescinded", "offer": offer["id"]["value"] }));
        let next = driver.any().await["offers"][0].take();
        assert_eq!(next["slave_id"], offer["slave_id"]);
        assert_ne!(next["id"], offer["id"]);
        driver.launch(&offer, &[task("late", &offer, "true")]);
        let status = driver.state("late", "TASK_LOST", false).await;
        assert_eq!(status["reason"], "REASON_INVALID_OFFERS", "{status}");

        driver.call("suppressOffers", json!({}));
        driver.before_an_answer().await;
        assert_eq!(metric(&cluster, |name| name.ends_with("/roles/*/suppressed")).await, 1.0);
        allocations(&cluster, 2.0).await;
        shown(&cluster, "the last offer to be taken back", |framework| framework["offers"] == json!([]))
            .await;
        driver.before_an_answer().await;
        allocations(&cluster, 4.0).await;
        assert_eq!(driver.before_an_answer().await, Vec::<Value>::new());
        driver.call("reviveOffers", json!({}));
        let offers = driver.any().await;
        assert_eq!(offers["offers"][0]["slave_id"], offer["slave_id"], "{offers}");
    });
}
