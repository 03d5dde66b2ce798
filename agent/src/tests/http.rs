//! What anybody can ask: the keys are those that genuine Mesos was recorded with.

use ::http::Method;
use libprocess::http::{Request, Response, dispatch};
use libprocess::testing::run;
use mesos::v1;
use mesos::v1::TaskState::{TaskFinished, TaskRunning};
use serde_json::{Value, json};

use super::harness::*;
use crate::containerizer::Termination;

async fn get(world: &World, path: &str) -> Response {
    dispatch(&world.node, Request::new(Method::GET, path)).await
}

pub(super) async fn json(world: &World, path: &str) -> Value {
    let response = get(world, path).await;
    assert_eq!(response.status.as_u16(), 200, "{path}");
    serde_json::from_slice(&response.body.collect().await).unwrap()
}

/// A message that is written as JSON.
fn read<M: mesos::Message>(value: &Value) -> M {
    mesos::json::from_slice(value.to_string().as_bytes()).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn has_all(value: &Value, expected: &[&str]) {
    let keys = keys(value);
    for key in expected {
        assert!(keys.contains(key), "{key} is not in {keys:?}");
    }
}

/// Upstream: `SlaveTest.StateEndpoint`.
#[test]
fn state_shows_what_runs_and_what_is_over() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t1", "e")).await;
        world.run(&framework(false), command_task("queued")).await;
        let executor = world.subscribe("e").await;
        executor.update("t1", TaskRunning).await;
        world.run(&framework(false), task("t2", "e")).await;
        executor.update("t2", TaskFinished).await;

        let state = json(&world, "/slave(1)/state").await;
        has_all(
            &state,
            &[
                "version",
                "start_time",
                "id",
                "pid",
                "hostname",
                "capabilities",
                "resources",
                "reserved_resources",
                "unreserved_resources",
                "reserved_resources_full",
                "unreserved_resources_full",
                "reserved_resources_allocated",
                "unreserved_resources_allocated",
                "resource_providers",
                "attributes",
                "flags",
                "frameworks",
                "completed_frameworks",
                "build_date",
                "build_time",
                "build_user",
            ],
        );
        assert_eq!(state["id"], AGENT);
        assert_eq!(state["pid"], "slave(1)@127.0.0.1:5051");
        assert_eq!(state["resources"]["cpus"], 4.0);
        assert_eq!(state["resources"]["ports"], "[31000-31100]");
        assert_eq!(state["unreserved_resources_allocated"]["cpus"], 2.6);
        assert_eq!(state["flags"]["port"], "5051");
        // No more than it does: a master that believed more would send what nobody handles.
        assert_eq!(
            state["capabilities"],
            serde_json::json!([
                "MULTI_ROLE",
                "HIERARCHICAL_ROLE",
                "RESERVATION_REFINEMENT",
                "RESOURCE_PROVIDER",
                "RESIZE_VOLUME",
                "AGENT_OPERATION_FEEDBACK",
                "AGENT_DRAINING"
            ])
        );

        let framework = &state["frameworks"][0];
        has_all(
            framework,
            &[
                "id",
                "name",
                "user",
                "failover_timeout",
                "checkpoint",
                "hostname",
                "roles",
                "executors",
                "completed_executors",
            ],
        );
        let executor = &framework["executors"][0];
        has_all(
            executor,
            &[
                "id",
                "name",
                "source",
                "container",
                "directory",
                "resources",
                "role",
                "tasks",
                "queued_tasks",
                "completed_tasks",
            ],
        );
        assert_eq!(executor["tasks"][0]["id"], "t1");
        assert_eq!(executor["tasks"][0]["state"], "TASK_RUNNING");
        assert_eq!(executor["completed_tasks"][0]["id"], "t2");
        let queued = &framework["executors"][1]["queued_tasks"][0];
        assert_eq!((&queued["id"], &queued["slave_id"]), (&"queued".into(), &AGENT.into()));
    });
}

/// Upstream: `SlaveTest.DiscoveryInfoAndPorts`, `SlaveTest.ExecutorLabels`, `SlaveTest.TaskLabels`,
/// `SlaveTest.TaskStatusLabels`, `SlaveTest.TaskStatusContainerStatus`.
#[test]
fn state_shows_how_tasks_and_executors_are_labelled_and_where_they_are() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        // Two have the same key.
        let pairs = json!([
            { "key": "foo", "value": "bar" }, { "key": "bar", "value": "baz" }, { "key": "bar", "value": "qux" }
        ]);
        let ports = json!([
            { "number": 8888, "name": "one", "protocol": "tcp" },
            { "number": 9999, "name": "two", "protocol": "udp", "labels": { "labels": pairs } }
        ]);
        let discovery = json!({
            "visibility": "CLUSTER", "name": "task", "environment": "test", "location": "here", "version": "1",
            "ports": { "ports": ports }
        });
        let labels: v1::Labels = read(&json!({ "labels": pairs }));
        let mut labelled = task("t", "e");
        labelled.labels = Some(labels.clone());
        labelled.discovery = Some(Box::new(read(&discovery)));
        labelled.executor.as_mut().unwrap().labels = Some(labels.clone());
        world.run(&framework(false), labelled).await;
        let queued = json(&world, "/state").await["frameworks"][0]["executors"][0]["queued_tasks"][0].clone();
        assert_eq!(queued["discovery"], discovery);

        let executor = world.subscribe("e").await;
        let status = executor.status("t", TaskRunning, uuid("t", TaskRunning));
        executor.send(v1::TaskStatus { labels: Some(labels), ..status }).await;
        let shown = json(&world, "/state").await["frameworks"][0]["executors"][0].clone();
        assert_eq!(shown["labels"], pairs);
        let shown = &shown["tasks"][0];
        assert_eq!((&shown["labels"], &shown["discovery"]), (&pairs, &discovery));
        let status = &shown["statuses"][0];
        assert_eq!(status["labels"], pairs);
        let network = &status["container_status"]["network_infos"][0];
        assert_eq!(network["ip_addresses"][0]["ip_address"], "127.0.0.1");
    });
}

#[test]
fn flags_health_and_the_delegate_answer() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        assert_eq!(json(&world, "/flags").await["flags"]["recover"], "reconnect");
        let health = get(&world, "/health").await;
        assert_eq!((health.status.as_u16(), health.body.collect().await.len()), (200, 0));
        assert_eq!(json(&world, "/containerizer/debug").await.to_string(), r#"{"pending":[]}"#);
        assert_eq!(get(&world, "/state.json").await.status.as_u16(), 404);
        let jsonp = get(&world, "/state?jsonp=cb").await;
        assert_eq!(jsonp.headers["content-type"], "text/javascript");
    });
}

/// Upstream: `SlaveTest.StatisticsEndpointNoExecutor`, `SlaveTest.StatisticsEndpointRunningExecutor`,
/// `SlaveTest.ContainersEndpointNoExecutor`, `SlaveTest.ContainersEndpoint`.
#[test]
fn containers_and_statistics_come_from_the_containerizer() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        for path in ["/containers", "/monitor/statistics"] {
            assert_eq!(json(&world, path).await.to_string(), "[]");
        }
        world.run(&framework(false), task("t", "e")).await;
        let containers = json(&world, "/containers").await;
        let container = world.container("e").to_string();
        has_all(
            &containers[0],
            &[
                "container_id",
                "executor_id",
                "executor_name",
                "framework_id",
                "source",
                "statistics",
                "status",
            ],
        );
        assert_eq!(containers[0]["container_id"], container);
        assert_eq!(containers[0]["status"]["executor_pid"], 42);
        let statistics = json(&world, "/monitor/statistics").await;
        assert_eq!(keys(&statistics[0]).len(), 5);
        world.run(&framework(false), task("u", "other")).await;
        for (query, count) in [
            (format!("container_id={container}"), 1),
            ("executor_id=other".to_owned(), 1),
            (format!("framework_id={FRAMEWORK}"), 2),
            (format!("framework_id={FRAMEWORK}&executor_id=e&container_id={container}"), 1),
            (format!("executor_id=other&container_id={container}"), 0),
            ("container_id=nope".to_owned(), 0),
        ] {
            let shown = json(&world, &format!("/containers?{query}")).await;
            assert_eq!(shown.as_array().unwrap().len(), count, "{query}");
        }
    });
}

/// Upstream: `SlaveTest.StatisticsEndpointMissingStatistics`, `SlaveTest.ContainerizerUsageFailure`.
#[test]
fn a_container_of_which_nobody_knows_what_it_uses_has_no_statistics() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.containers.lock().no_usage = true;
        world.run(&framework(false), task("t", "e")).await;
        assert_eq!(json(&world, "/monitor/statistics").await.to_string(), "[]");
        let shown = json(&world, "/containers").await;
        assert!(shown[0].get("statistics").is_none() && shown[0]["executor_id"] == "e", "{shown}");
    });
}

/// Also when the executor is over.
/// Upstream: `SlaveTest.BrowseExecutorSandboxByVirtualPath`.
#[test]
fn sandboxes_can_be_browsed_under_three_paths() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let sandbox = world.containers.lock().launched[0].1.directory.clone();
        std::fs::write(sandbox.join("stdout"), "hello").unwrap();
        let latest = sandbox.parent().unwrap().join("latest");
        let paths = [
            sandbox.to_string_lossy().into_owned(),
            latest.to_string_lossy().into_owned(),
            format!("/frameworks/{FRAMEWORK}/executors/e/runs/latest"),
        ];
        for is_over in [false, true] {
            if is_over {
                world.end(&world.container("e"), Termination::default()).await;
                world.acknowledge("t").await;
            }
            for path in &paths {
                let read = json(&world, &format!("/files/read?path={path}/stdout&offset=0&length=5")).await;
                assert_eq!(read["data"], "hello", "{path}");
                assert_eq!(
                    json(&world, &format!("/files/browse?path={path}")).await.as_array().unwrap().len(),
                    1
                );
            }
        }
    });
}

/// The names that genuine Mesos was recorded with, without their prefix.
const METRICS: &str = "container_launch_errors cpus_percent cpus_revocable_percent cpus_revocable_total cpus_revocable_used cpus_total cpus_used disk_percent disk_revocable_percent disk_revocable_total disk_revocable_used disk_total disk_used executor_directory_max_allowed_age_secs executors_preempted executors_registering executors_running executors_terminated executors_terminating frameworks_active gpus_percent gpus_revocable_percent gpus_revocable_total gpus_revocable_used gpus_total gpus_used invalid_framework_messages invalid_status_updates mem_percent mem_revocable_percent mem_revocable_total mem_revocable_used mem_total mem_used recovery_errors recovery_time_secs registered tasks_failed tasks_finished tasks_gone tasks_killed tasks_killing tasks_lost tasks_running tasks_staging tasks_starting uptime_secs valid_framework_messages valid_status_updates";

/// Upstream: `SlaveTest.MetricsInMetricsEndpoint`.
#[test]
fn metrics_have_upstreams_names() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let snapshot = world.node.metrics().snapshot();
        let names: Vec<String> = snapshot.values().into_iter().map(|(name, _)| name.into_owned()).collect();
        let ours: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("slave/")).collect();
        assert_eq!(ours, METRICS.split_whitespace().collect::<Vec<_>>());
        assert!(snapshot.undescribed().is_empty(), "{:?}", snapshot.undescribed());
        assert_eq!(world.metric("slave/registered"), 1.0);
        assert_eq!(world.metric("slave/mem_total"), 4096.0);
    });
}
