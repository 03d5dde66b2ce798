//! What operators ask with the v1 API, beside what genuine Mesos answered.

use std::sync::Arc;

use libprocess::system::LogControl;
use libprocess::{Node, testing};
use mesos::v1::master::response::Type;
use mesos::v1::{self, TaskState};
use mesos::{Enum, MediaType};
use parking_lot::Mutex;
use serde_json::json;

use super::agents::running_task;
use super::{Cluster, amount, executor_task, info, task};
use crate::Settings;

const EVERY: [&str; 12] = [
    "GET_HEALTH",
    "GET_FLAGS",
    "GET_VERSION",
    "GET_LOGGING_LEVEL",
    "GET_STATE",
    "GET_AGENTS",
    "GET_FRAMEWORKS",
    "GET_EXECUTORS",
    "GET_OPERATIONS",
    "GET_TASKS",
    "GET_ROLES",
    "GET_MASTER",
];

/// Upstream: `MasterAPITest.GetHealth`, `GetTasksNoRunningTask`, `GetOperations`; the texts are recorded.
#[test]
fn a_master_at_rest_answers_as_upstreams() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for (kind, answer) in [
            ("GET_HEALTH", r#"{"type":"GET_HEALTH","get_health":{"healthy":true}}"#),
            (
                "GET_FRAMEWORKS",
                r#"{"type":"GET_FRAMEWORKS","get_frameworks":{"frameworks":[],"completed_frameworks":[]}}"#,
            ),
            ("GET_EXECUTORS", r#"{"type":"GET_EXECUTORS","get_executors":{"executors":[]}}"#),
            ("GET_OPERATIONS", r#"{"type":"GET_OPERATIONS","get_operations":{}}"#),
            (
                "GET_TASKS",
                r#"{"type":"GET_TASKS","get_tasks":{"tasks":[],"unreachable_tasks":[],"completed_tasks":[]}}"#,
            ),
            ("GET_ROLES", r#"{"type":"GET_ROLES","get_roles":{}}"#),
            ("GET_LOGGING_LEVEL", r#"{"type":"GET_LOGGING_LEVEL","get_logging_level":{"level":0}}"#),
            ("GET_AGENTS", r#"{"type":"GET_AGENTS","get_agents":{"agents":[],"recovered_agents":[]}}"#),
        ] {
            assert_eq!(cluster.api(json!({ "type": kind })).await, (200, answer.to_owned()));
        }
    });
}

/// Upstream: `MasterAPITest.GetState`, `GetTasks`, `GetExecutors`, `GetFrameworks`.
#[test]
fn every_read_says_the_same_in_json_and_in_protobuf() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;ports:[31000-31100]").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let offer = scheduler.offer().await;
        scheduler
            .launch(
                &[&offer],
                json!([task("over", &agent, 0.5, 32.0), executor_task("own", &agent, "e", 0.5)]),
            )
            .await;
        agent.update(&scheduler.id, "over", TaskState::TaskFinished);
        let finished = scheduler.status().await;
        scheduler.acknowledge(&finished).await;
        let offer = scheduler.offer().await;
        for kind in EVERY {
            // As JSON, which has defaults where protobuf has nothing.
            let [json, protobuf] = [MediaType::Json, MediaType::Protobuf];
            let json = mesos::json::to_value(&cluster.read(kind, json).await);
            assert_eq!(json, mesos::json::to_value(&cluster.read(kind, protobuf).await), "{kind}");
        }
        let state = cluster.read("GET_STATE", MediaType::Protobuf).await.get_state.unwrap();
        let tasks = state.get_tasks.clone().unwrap();
        let ids = |tasks: &[v1::Task]| tasks.iter().map(|t| t.task_id.value.clone()).collect::<Vec<_>>();
        assert_eq!(
            (ids(&tasks.tasks), ids(&tasks.completed_tasks)),
            (vec!["own".into(), "t".into()], vec!["over".into()])
        );
        assert_eq!(tasks.tasks[1].state(), TaskState::TaskRunning);
        let executor = &state.get_executors.clone().unwrap().executors[0];
        assert_eq!(
            (&*executor.executor_info.executor_id.value, &executor.agent_id.value),
            ("e", &agent.id())
        );
        let framework = &state.get_frameworks.clone().unwrap().frameworks[0];
        assert!(framework.active && framework.connected && !framework.recovered);
        assert_eq!(amount(&framework.allocated_resources, "cpus"), 2.0);
        let offers: Vec<_> = framework.offers.iter().map(|offer| &*offer.id.value).collect();
        assert_eq!(offers, [&*offer.id.value]);
        for (kind, part) in [
            ("GET_TASKS", v1::master::Response { get_tasks: state.get_tasks, ..of(Type::GetTasks) }),
            (
                "GET_EXECUTORS",
                v1::master::Response { get_executors: state.get_executors, ..of(Type::GetExecutors) },
            ),
            (
                "GET_FRAMEWORKS",
                v1::master::Response { get_frameworks: state.get_frameworks, ..of(Type::GetFrameworks) },
            ),
            ("GET_AGENTS", v1::master::Response { get_agents: state.get_agents, ..of(Type::GetAgents) }),
        ] {
            assert_eq!(cluster.read(kind, MediaType::Protobuf).await, part, "{kind}");
        }
    });
}

fn of(kind: Type) -> v1::master::Response {
    v1::master::Response { r#type: Some(kind.into()), ..Default::default() }
}

/// Upstream: `MasterAPITest.GetAgents`, `GetRoles`.
#[test]
fn agents_and_roles_are_shown_with_what_is_held() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;cpus(r):1").await;
        let _scheduler = running_task(&cluster, &agent, info()).await;
        let call = json!({ "type": "DEACTIVATE_AGENT", "deactivate_agent": { "agent_id": { "value": agent.id() } } });
        assert_eq!(cluster.api(call).await.0, 200);
        let shown = cluster.read("GET_AGENTS", MediaType::Json).await.get_agents.unwrap().agents.remove(0);
        assert_eq!(shown.agent_info.id, agent.info.id);
        assert_eq!((shown.active, shown.deactivated, &*shown.version), (false, Some(true), "1.11.0"));
        assert!(shown.pid.unwrap().starts_with("slave(1)@"));
        assert_eq!(
            (amount(&shown.total_resources, "cpus"), amount(&shown.allocated_resources, "cpus")),
            (5.0, 1.0)
        );
        // For older readers, too.
        let reserved =
            shown.total_resources.iter().find(|resource| !resource.reservations.is_empty()).unwrap();
        assert_eq!((reserved.role(), reserved.reservations[0].role()), ("r", "r"));
        let roles = cluster.read("GET_ROLES", MediaType::Json).await.get_roles.unwrap().roles;
        assert_eq!(roles.iter().map(|role| &*role.name).collect::<Vec<_>>(), ["*", "r"]);
        assert_eq!((roles[0].weight, roles[0].frameworks.len()), (1.0, 1));
        assert_eq!(amount(&roles[0].resources, "cpus"), 1.0);
    });
}

/// Upstream: `MasterAPITest.GetFlags`, `GetVersion`, `GetMetrics`, `GetMaster`.
#[test]
fn a_master_says_who_it_is_and_how_it_does() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let flags = cluster.read("GET_FLAGS", MediaType::Json).await.get_flags.unwrap().flags;
        assert!(flags.iter().any(|flag| flag.name == "max_completed_frameworks" && flag.value() == "50"));
        let version = cluster.read("GET_VERSION", MediaType::Json).await.get_version.unwrap().version_info;
        assert_eq!(version.version, mesos::version());
        let master = cluster.read("GET_MASTER", MediaType::Protobuf).await.get_master.unwrap();
        assert_eq!(master.master_info.as_ref(), Some(&cluster.running.info));
        assert!(master.start_time <= master.elected_time);
        for timeout in [-1_i64, 5_000_000_000] {
            let call =
                json!({ "type": "GET_METRICS", "get_metrics": { "timeout": { "nanoseconds": timeout } } });
            let (status, answer) = cluster.api(call).await;
            assert_eq!(status, 200);
            let answer: v1::master::Response = mesos::json::from_slice(answer.as_bytes()).unwrap();
            let metrics = answer.get_metrics.unwrap().metrics;
            assert!(metrics.iter().any(|metric| metric.name == "master/elected" && metric.value() == 1.0));
        }
    });
}

/// Upstream: `MasterAPITest.GetLoggingLevel`, `SetLoggingLevel`.
#[test]
fn more_is_logged_for_as_long_as_an_operator_wants() {
    testing::run(async {
        let set = Arc::new(Mutex::new(Vec::new()));
        let levels = set.clone();
        let control = LogControl::new(move |level| {
            levels.lock().push(level);
            Ok(())
        });
        let node = Node::builder().offline().delegate("master").log_control(control).start().await.unwrap();
        let running = crate::start(&node, Settings::default()).await.unwrap();
        testing::settle().await;
        let cluster = Cluster { node, running };
        let call = json!({
            "type": "SET_LOGGING_LEVEL",
            "set_logging_level": { "level": 2, "duration": { "nanoseconds": 60_000_000_000_i64 } }
        });
        assert_eq!(cluster.api(call).await, (200, String::new()));
        let level = async || {
            cluster.read("GET_LOGGING_LEVEL", MediaType::Json).await.get_logging_level.unwrap().level
        };
        assert_eq!(level().await, 2);
        tokio::time::sleep(std::time::Duration::from_secs(61)).await;
        assert_eq!(level().await, 0);
        assert_eq!(*set.lock(), [2, 0]);
    });
}

/// Upstream: `MasterAPITest.ListFiles`, `ListFilesInvalidPath`, `ReadFile`, `ReadFileInvalidPath`.
#[test]
fn the_log_can_be_read() {
    testing::run(async {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("mesos-master.log"), "hello\n").unwrap();
        let log_dir = Some(directory.path().display().to_string());
        let cluster = Cluster::with(Settings { log_dir, ..Settings::default() }).await;
        let read = async |path: &str, rest: serde_json::Value| {
            let mut call = json!({ "type": "READ_FILE", "read_file": { "path": path } });
            call["read_file"].as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            cluster.api(call).await
        };
        let answer = |size: u64, data: &str| {
            (200, format!(r#"{{"type":"READ_FILE","read_file":{{"size":{size},"data":"{data}"}}}}"#))
        };
        assert_eq!(read("/master/log", json!({ "offset": 0 })).await, answer(6, "aGVsbG8K"));
        assert_eq!(read("/master/log", json!({ "offset": 1, "length": 3 })).await, answer(6, "ZWxs"));
        assert_eq!(read("/master/log", json!({ "offset": 1_000_000_000 })).await, answer(6, ""));
        assert_eq!(read("/nope", json!({ "offset": 0 })).await, (404, String::new()));
        let list = async |path: &str| {
            cluster.api(json!({ "type": "LIST_FILES", "list_files": { "path": path } })).await
        };
        assert_eq!(list("/master/log").await, (200, r#"{"type":"LIST_FILES","list_files":{}}"#.to_owned()));
        assert_eq!(list("/nope").await, (404, String::new()));
        assert!(
            cluster.get("/files/debug").await["/master/log"].as_str().unwrap().ends_with("mesos-master.log")
        );
        assert_eq!(
            cluster.get("/files/read?path=/master/log&offset=0").await,
            json!({ "data": "hello\n", "offset": 0 })
        );
    });
}

/// Upstream: `MasterLoadTest.SimultaneousBatchedRequests`, `QueryParameters`.
#[test]
fn equal_questions_about_one_version_of_the_cluster_are_answered_with_the_same_bytes() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:1;mem:32").await;
        let hits = || cluster.node.metrics().value("master/http_cache_hits").unwrap();
        let first = cluster.get("/slaves").await;
        assert_eq!(hits(), 0.0);
        assert_eq!(cluster.get("/slaves").await, first);
        assert_eq!(hits(), 1.0);
        assert_eq!(cluster.get("/slaves?slave_id=nope").await["slaves"], json!([]));
        assert_eq!(hits(), 1.0);
        let (_, wrapped) = cluster.ask(http::Method::GET, "/slaves?jsonp=f", "").await;
        assert!(wrapped.starts_with("f({") && wrapped.ends_with("})"), "{wrapped}");
        assert_eq!(hits(), 2.0);
        assert_eq!(cluster.read("GET_AGENTS", MediaType::Json).await.r#type().name(), "GET_AGENTS");
        cluster.read("GET_AGENTS", MediaType::Protobuf).await;
        assert_eq!(hits(), 2.0);
        let _another = cluster.agent("cpus:2").await;
        assert_eq!(cluster.get("/slaves").await["slaves"].as_array().unwrap().len(), 2);
        assert_eq!(hits(), 2.0);
    });
}
