//! `POST /api/v1` (upstream: the agent's part of `api_tests.cpp`). Its answers are compared with genuine ones in
//! `integration/tests/recorded.rs`.

use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method};
use libprocess::http::{Request, Response, dispatch};
use libprocess::testing::run;
use mesos::internal::ShutdownFrameworkMessage;
use mesos::v1::TaskState::{TaskFinished, TaskRunning};
use mesos::v1::agent::response::Type;
use mesos::{Enum, FrameworkId, MediaType, codec, v1};
use serde_json::{Value, json};

use super::harness::*;
use crate::containerizer::Termination;

async fn send(world: &World, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request = Request::new(Method::POST, "/api/v1");
    for (name, value) in headers {
        request.headers.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    request.body = body.to_owned().into();
    dispatch(&world.node, request).await
}

/// Status and text of the answer to a call.
async fn call(world: &World, call: Value) -> (u16, String) {
    let response = send(world, &[("Content-Type", "application/json")], &call.to_string()).await;
    let status = response.status.as_u16();
    (status, String::from_utf8(response.body.collect().await.to_vec()).unwrap())
}

pub(super) async fn get(world: &World, kind: &str) -> Value {
    let (status, text) = call(world, json!({ "type": kind })).await;
    assert_eq!(status, 200, "{kind}: {text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["type"], kind);
    value[kind.to_lowercase()].clone()
}

fn ids(tasks: &Value) -> Vec<&str> {
    tasks.as_array().unwrap().iter().map(|task| task["task_id"]["value"].as_str().unwrap()).collect()
}

/// Upstream: `AgentAPITest.GetTasks`, `GetState`, `GetExecutors`, `GetFrameworks`, `GetContainers`.
#[test]
fn tasks_are_told_by_what_has_become_of_them() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        for id in ["running", "ended", "over"] {
            world.run(&framework(false), task(id, "e")).await;
        }
        world.run(&framework(false), command_task("queued")).await;
        let executor = world.subscribe("e").await;
        executor.update("running", TaskRunning).await;
        executor.update("ended", TaskFinished).await;
        executor.update("over", TaskFinished).await;
        world.acknowledge("over").await;

        let tasks = get(&world, "GET_TASKS").await;
        assert_eq!(ids(&tasks["pending_tasks"]), [""; 0]);
        assert_eq!(ids(&tasks["queued_tasks"]), ["queued"]);
        assert_eq!(tasks["queued_tasks"][0]["state"], "TASK_STAGING");
        assert_eq!(ids(&tasks["launched_tasks"]), ["running"]);
        assert_eq!(ids(&tasks["terminated_tasks"]), ["ended"]);
        assert_eq!(ids(&tasks["completed_tasks"]), ["over"]);

        let state = get(&world, "GET_STATE").await;
        assert_eq!(state["get_tasks"], tasks);
        assert_eq!(state["get_executors"], get(&world, "GET_EXECUTORS").await);
        assert_eq!(state["get_frameworks"], get(&world, "GET_FRAMEWORKS").await);
        assert_eq!(state["get_executors"]["executors"].as_array().unwrap().len(), 2);
        assert_eq!(state["get_executors"]["completed_executors"], json!([]));
        let framework = &state["get_frameworks"]["frameworks"][0]["framework_info"];
        assert_eq!(framework["id"]["value"], FRAMEWORK);
        assert_eq!(state["get_frameworks"]["completed_frameworks"], json!([]));

        let headers = [("Content-Type", "application/json"), ("Accept", "application/x-protobuf")];
        let response = send(&world, &headers, r#"{"type":"GET_STATE"}"#).await;
        let body = response.body.collect().await;
        let read: v1::agent::Response = codec::decode_call(MediaType::Protobuf, &body).unwrap();
        assert_eq!(read.r#type, Some(Type::GetState.into()));
        let tasks = read.get_state.unwrap().get_tasks.unwrap();
        assert_eq!((tasks.launched_tasks.len(), tasks.terminated_tasks.len()), (1, 1));

        let (_, text) = call(&world, json!({ "type": "GET_CONTAINERS" })).await;
        let containers: Value = serde_json::from_str(&text).unwrap();
        let names = containers["get_containers"]["containers"].as_array().unwrap();
        assert_eq!(names.len(), 2, "{containers}");
        assert!(names.iter().any(|container| container["executor_id"]["value"] == "e"));
    });
}

/// Upstream: `AgentAPITest.GetStateWithNonTerminalCompletedTask`, `TeardownAndGetStateWithNonTerminalCompletedTask`.
#[test]
fn a_task_is_over_with_its_executor_whatever_it_was_last_said_to_do() {
    async fn check(world: &World) {
        let state = get(world, "GET_STATE").await;
        assert_eq!(state["get_frameworks"]["frameworks"], json!([]));
        assert_eq!(state["get_frameworks"]["completed_frameworks"].as_array().unwrap().len(), 1);
        assert_eq!(state["get_executors"]["executors"], json!([]));
        assert_eq!(state["get_executors"]["completed_executors"].as_array().unwrap().len(), 1);
        let tasks = &state["get_tasks"];
        assert_eq!(tasks["launched_tasks"], json!([]));
        assert_eq!(ids(&tasks["terminated_tasks"]), ["t"]);
        assert_eq!(tasks["terminated_tasks"][0]["state"], "TASK_RUNNING");
    }
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        world.subscribe("e").await.update("t", TaskRunning).await;
        let framework_id = FrameworkId::from(FRAMEWORK).to_proto();
        world.master_says(ShutdownFrameworkMessage { framework_id }).await;
        world.end(&world.container("e"), Termination::default()).await;
        check(&world).await;
        world.crash().await;
        check(&World::registered(directory.path()).await).await;
    });
}

/// Upstream: `AgentAPITest.GetLoggingLevel`, `SetLoggingLevel`.
#[test]
fn more_is_logged_for_as_long_as_an_operator_wants() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let level = async || get(&world, "GET_LOGGING_LEVEL").await["level"].clone();
        assert_eq!(level().await, 0);
        let more = json!({ "level": 1, "duration": { "nanoseconds": 60_000_000_000_i64 } });
        let set = json!({ "type": "SET_LOGGING_LEVEL", "set_logging_level": more });
        assert_eq!(call(&world, set).await, (200, String::new()));
        assert_eq!(level().await, 1);
        world.pass(Duration::from_secs(61)).await;
        assert_eq!(level().await, 0);
    });
}

/// Upstream: `AgentAPITest.ListFiles`, `ListFilesInvalidPath`, `ReadFile`, `ReadFileInvalidPath`.
#[test]
fn a_sandbox_can_be_listed_and_read() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(false), task("t", "e")).await;
        let sandbox = world.containers.lock().launched[0].1.directory.clone();
        std::fs::write(sandbox.join("stdout"), "hello\n").unwrap();
        let path = |below: &str| format!("{}/{below}", sandbox.display());

        let list = async |path: String| {
            call(&world, json!({ "type": "LIST_FILES", "list_files": { "path": path } })).await
        };
        let (status, text) = list(path("")).await;
        assert_eq!(status, 200, "{text}");
        let listed: Value = serde_json::from_str(&text).unwrap();
        let files = listed["list_files"]["file_infos"].as_array().unwrap();
        assert_eq!(files.len(), 1, "{text}");
        assert_eq!((&files[0]["path"], &files[0]["size"]), (&json!(path("stdout")), &json!(6)));
        assert_eq!(list("/nope".into()).await, (404, String::new()));

        let read = async |path: String, offset: u64, length: u64| {
            let part = json!({ "path": path, "offset": offset, "length": length });
            call(&world, json!({ "type": "READ_FILE", "read_file": part })).await
        };
        let answer = r#"{"type":"READ_FILE","read_file":{"size":6,"data":"ZWxs"}}"#;
        assert_eq!(read(path("stdout"), 1, 3).await, (200, answer.to_owned()));
        assert_eq!(read(path("nope"), 1, 2).await, (404, String::new()));
    });
}

/// Upstream: `AgentAPITest.GetFlags`, `GetHealth`, `GetVersion`, `GetMetrics`, `GetAgent`.
#[test]
fn what_the_agent_is_and_how_it_is_set() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        assert_eq!(get(&world, "GET_HEALTH").await["healthy"], true);
        assert_eq!(get(&world, "GET_VERSION").await["version_info"]["version"], mesos::version());
        let flags = get(&world, "GET_FLAGS").await;
        let is_set = |flag: &Value| flag["name"] == "recover" && flag["value"] == "reconnect";
        assert!(flags["flags"].as_array().unwrap().iter().any(is_set), "{flags}");
        let agent = get(&world, "GET_AGENT").await;
        assert_eq!(agent["agent_info"]["id"]["value"], AGENT);
        assert!(agent.get("drain_config").is_none(), "{agent}");
        let metrics = json!({ "type": "GET_METRICS", "get_metrics": {} });
        assert!(call(&world, metrics).await.1.contains("slave/tasks_running"));
    });
}

/// Upstream: `AgentAPITest.HeaderValidation`, `DefaultAccept`.
#[test]
fn what_is_wrong_with_a_call_is_said() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let id = json!({ "value": "c" });
        let below = json!({ "value": "c", "parent": { "value": "p" } });
        let refused = |text: &str| (400, format!("Failed to validate agent::Call: {text}"));
        for (asked, answer) in [
            (json!({}), refused("Expecting 'type' to be present")),
            (json!({ "type": "LIST_FILES" }), refused("Expecting 'list_files' to be present")),
            (
                json!({ "type": "WAIT_NESTED_CONTAINER", "wait_nested_container": { "container_id": id } }),
                refused("Expecting 'wait_nested_container.container_id.parent' to be present"),
            ),
            (
                json!({ "type": "WAIT_NESTED_CONTAINER", "wait_nested_container": { "container_id": below } }),
                (
                    501,
                    "501 Not Implemented: this agent does not know the call WAIT_NESTED_CONTAINER yet".into(),
                ),
            ),
        ] {
            assert_eq!(call(&world, asked).await, answer);
        }
        const JSON: (&str, &str) = ("Content-Type", "application/json");
        for (headers, status) in [
            (&[][..], 400),
            (&[("Content-Type", "application/recordio")][..], 400),
            (&[("Content-Type", "application/recordio"), ("Message-Content-Type", "text/plain")][..], 415),
            (
                &[("Content-Type", "application/recordio"), ("Message-Content-Type", "application/json")][..],
                501,
            ),
            (&[JSON, ("Message-Content-Type", "application/json")][..], 415),
            (&[JSON, ("Message-Accept", "application/json")][..], 406),
            (&[JSON, ("Accept", "application/recordio")][..], 406),
            (&[JSON, ("Accept", "application/recordio"), ("Message-Accept", "text/plain")][..], 406),
            (&[JSON, ("Accept", "*/*")][..], 200),
        ] {
            let response = send(&world, headers, r#"{"type":"GET_HEALTH"}"#).await;
            assert_eq!(response.status.as_u16(), status, "{headers:?}");
            if status == 200 {
                assert_eq!(response.headers["content-type"], "application/json");
            }
        }
    });
}

/// What upstream's `mesos task exec` and `attach` ask for. Upstream: `Http::_api` in `slave/http.cpp`.
#[test]
fn who_wants_a_stream_is_told_that_it_is_not_there_yet_or_never() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/recordio"),
            ("Message-Accept", "application/json"),
        ];
        let below = r#"{"value": "c", "parent": {"value": "p"}}"#;
        for (asked, status, text) in [
            (
                format!(
                    r#"{{"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session":
                    {{"container_id": {below}, "command": {{"value": "ls"}}}}}}"#
                ),
                501,
                "501 Not Implemented: this agent does not know the call LAUNCH_NESTED_CONTAINER_SESSION yet",
            ),
            (
                r#"{"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": {"value": "c"}}}"#
                    .to_owned(),
                501,
                "501 Not Implemented: this agent does not know the call ATTACH_CONTAINER_OUTPUT yet",
            ),
            (
                r#"{"type": "GET_HEALTH"}"#.to_owned(),
                406,
                "Streaming response is not supported for GET_HEALTH call",
            ),
            (
                r#"{"type": "LIST_FILES"}"#.to_owned(),
                400,
                "Failed to validate agent::Call: Expecting 'list_files' to be present",
            ),
        ] {
            let response = send(&world, &headers, &asked).await;
            assert_eq!(response.status.as_u16(), status, "{asked}");
            assert_eq!(String::from_utf8(response.body.collect().await.to_vec()).unwrap(), text);
        }
    });
}

/// A kind is dealt with, or is said not to be there yet; none is forgotten.
#[test]
fn every_call_is_answered() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let mut missing = Vec::new();
        for (name, _) in v1::agent::call::Type::descriptor().values {
            let (status, text) = call(&world, json!({ "type": name })).await;
            match status {
                200 => {}
                400 => assert!(text.contains("' to be present"), "{name}: {text}"),
                501 => missing.push(*name),
                _ => panic!("{name}: {status} {text}"),
            }
        }
        assert_eq!(missing, ["UNKNOWN"]);
    });
}

/// Upstream: `SlaveTest.StateEndpointUnavailableDuringRecovery`.
#[test]
fn an_agent_that_recovers_says_so() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        world.subscribe("e").await.update("t", TaskRunning).await;
        world.crash().await;
        // It waits for its executor.
        let world = World::new(directory.path()).await;
        let answer = call(&world, json!({ "type": "GET_HEALTH" })).await;
        assert_eq!(answer, (503, "Agent has not finished recovery".to_owned()));
        let state = dispatch(&world.node, Request::new(Method::GET, "/state")).await;
        assert_eq!(state.status.as_u16(), 503);
    });
}
