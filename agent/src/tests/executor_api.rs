//! The executor API as HTTP: statuses and texts as recorded from genuine Mesos.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use libprocess::disk::HostDisk;
use libprocess::http::{Body, Request, Response, dispatch};
use libprocess::testing::{run, settle};
use mesos::recordio::Decoder;
use mesos::v1::TaskState;
use mesos::v1::executor::{Call, Event, call, event};

use super::harness::*;

const IDS: &str = r#""executor_id":{"value":"e"},"framework_id":{"value":"M-0000"}"#;

async fn post(world: &World, content_type: Option<&str>, accept: Option<&str>, body: &[u8]) -> Response {
    let mut request = Request::new(Method::POST, "/slave(1)/api/v1/executor");
    let headers = [("content-type", content_type), ("accept", accept)];
    for (name, value) in headers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        request.headers.insert(http::HeaderName::from_static(name), value.parse().unwrap());
    }
    request.body = Bytes::copy_from_slice(body);
    let response = dispatch(&world.node, request).await;
    settle().await;
    response
}

async fn json(world: &World, body: &str) -> (u16, String) {
    let json = Some("application/json");
    let response = post(world, json, json, body.as_bytes()).await;
    let status = response.status.as_u16();
    (status, String::from_utf8(response.body.collect().await.to_vec()).unwrap())
}

fn update(fields: &str) -> String {
    format!(
        r#"{{"type":"UPDATE",{IDS},"update":{{"status":{{"task_id":{{"value":"t"}},"state":"TASK_RUNNING"{fields}}}}}}}"#
    )
}

const GOOD: &str =
    r#","uuid":"T/aLLxg4Q2+21Bvu6qqQCw==","source":"SOURCE_EXECUTOR","executor_id":{"value":"e"}"#;

async fn world(directory: &std::path::Path) -> World {
    let world = World::registered(directory).await;
    world.run(&framework(false), task("t", "e")).await;
    world
}

/// Upstream: `ExecutorHttpApiTest.NoContentType`, `ExecutorHttpApiTest.ValidJsonButInvalidProtobuf`,
/// `ExecutorHttpApiTest.MalformedContent`, `ExecutorHttpApiTest.UnsupportedContentMediaType`,
/// `ExecutorHttpApiTest.MessageFromUnknownFramework`, `ExecutorHttpApiTest.ValidProtobufInvalidCall`,
/// `ExecutorHttpApiTest.StatusUpdateCallFailedValidation`.
#[test]
fn bad_calls_are_answered_as_upstream_does() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = world(directory.path()).await;
        let invalid = "Failed to validate Executor::Call:";
        let no_ids = r#"{"type":"MESSAGE","framework_id":{"value":"M-0000"},"message":{"data":"aGVsbG8="}}"#;
        let cases = [
            (update(GOOD), 403, "Executor is not subscribed".to_owned()),
            (update(""), 400, format!("{invalid} Expecting 'uuid' to be present")),
            (update(r#","uuid":"AAAA""#), 400, format!("{invalid} Not a valid UUID")),
            (
                format!(r#"{{"type":"SUBSCRIBE",{IDS}}}"#),
                400,
                format!("{invalid} Expecting 'subscribe' to be present"),
            ),
            (
                "MALFORMED_CONTENT".to_owned(),
                400,
                "Failed to parse body into JSON: syntax error at line 1 near: MALFORMED_CONTENT".into(),
            ),
            (
                no_ids.to_owned(),
                400,
                "Failed to convert JSON into Call protobuf: Missing required fields: executor_id".into(),
            ),
            (
                r#"{"type":"MESSAGE","executor_id":{"value":"x"},"framework_id":{"value":"x"},"message":{"data":"AAAA"}}"#.into(),
                400,
                "Framework cannot be found".into(),
            ),
            (
                r#"{"type":"MESSAGE","executor_id":{"value":"x"},"framework_id":{"value":"M-0000"},"message":{"data":"AAAA"}}"#.into(),
                400,
                "Executor cannot be found".into(),
            ),
        ];
        for (body, status, text) in cases {
            assert_eq!(json(&world, &body).await, (status, text), "{body}");
        }
        let wrong = post(&world, Some("text/plain"), None, b"{}").await;
        assert_eq!(wrong.status.as_u16(), 415);
        let missing = post(&world, None, None, b"{}").await;
        assert_eq!(missing.status.as_u16(), 400);
    });
}

/// Upstream: `ExecutorHttpApiTest.NotAcceptable`, `ExecutorHttpApiTest.DefaultAccept`,
/// `ExecutorHttpApiTest.NoAcceptHeader`.
#[test]
fn an_answer_must_be_acceptable() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = world(directory.path()).await;
        let body = format!(r#"{{"type":"SUBSCRIBE",{IDS},"subscribe":{{}}}}"#);
        for refused in ["text/html", "foo"] {
            let response = post(&world, Some("application/json"), Some(refused), body.as_bytes()).await;
            assert_eq!(response.status.as_u16(), 406, "{refused}");
        }
        for anything in [Some("*/*"), None] {
            let response = post(&world, Some("application/json"), anything, body.as_bytes()).await;
            assert_eq!(response.status.as_u16(), 200, "{anything:?}");
            assert_eq!(response.headers["content-type"], "application/json");
        }
    });
}

/// Upstream: `ExecutorHttpApiTest.SubscribeBeforeContainerizerRecovery`.
#[test]
fn nobody_subscribes_before_the_containers_are_known() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        world.subscribe("e").await.update("t", TaskState::TaskRunning).await;
        world.acknowledge("t").await;
        world.crash().await;

        let book = ContainerBook::recovering();
        let world = World::with_containers(Arc::new(HostDisk), directory.path(), &[], book).await;
        let subscribe = format!(r#"{{"type":"SUBSCRIBE",{IDS},"subscribe":{{}}}}"#);
        let refused = (503, "Agent has not finished recovery".to_owned());
        assert_eq!(json(&world, &subscribe).await, refused);
        let held = world.containers.lock().held_recovery.take();
        held.into_iter().flatten().for_each(|reply| reply.set(Ok(())));
        settle().await;
        let kind = Some("application/json");
        let stream = post(&world, kind, kind, subscribe.as_bytes()).await;
        assert_eq!(stream.status.as_u16(), 200);
    });
}

/// The events that have arrived on a stream.
async fn events(body: &mut Body, decode: impl Fn(&[u8]) -> Event) -> Vec<Event> {
    let Body::Stream(stream) = body else { panic!("not a stream") };
    let mut decoder = Decoder::new(1 << 20);
    let mut events = Vec::new();
    while let Some(Some(chunk)) = futures::FutureExt::now_or_never(stream.next()) {
        let records = decoder.feed(&chunk).unwrap();
        // One record is one chunk.
        assert_eq!(records.len(), 1);
        events.extend(records.iter().map(|record| decode(record)));
    }
    events
}

/// Upstream: `ExecutorHttpApiTest.Subscribe`.
#[test]
fn an_executor_speaks_json() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = world(directory.path()).await;
        let body = format!(r#"{{"type":"SUBSCRIBE",{IDS},"subscribe":{{}}}}"#);
        let kind = Some("application/json");
        let mut response = post(&world, kind, kind, body.as_bytes()).await;
        assert_eq!(response.status.as_u16(), 200);
        assert_eq!(response.headers["content-type"], "application/json");
        let decode = |record: &[u8]| mesos::json::from_slice::<Event>(record).unwrap();
        let first = events(&mut response.body, decode).await;
        let subscribed = first[0].subscribed.as_ref().unwrap();
        // What PyMesos looks at.
        assert_eq!(subscribed.executor_info.executor_id.value, "e");
        assert_eq!(subscribed.framework_info.id.as_ref().unwrap().value, FRAMEWORK);
        assert_eq!(subscribed.agent_info.hostname, "localhost");
        assert_eq!(first[1].r#type(), event::Type::Launch);

        assert_eq!(json(&world, &update(GOOD)).await, (202, String::new()));
        let next = events(&mut response.body, decode).await;
        assert_eq!(next[0].r#type(), event::Type::Acknowledged);
        let message = format!(r#"{{"type":"MESSAGE",{IDS},"message":{{"data":"aGVsbG8="}}}}"#);
        assert_eq!(json(&world, &message).await, (202, String::new()));
        let Some(Heard::ToFramework(message)) = world.hears().pop() else { panic!("nothing heard") };
        assert_eq!(message.data, b"hello");
        let heartbeat = format!(r#"{{"type":"HEARTBEAT",{IDS}}}"#);
        assert_eq!(json(&world, &heartbeat).await, (202, String::new()));
    });
}

/// Upstream refuses all updates until it has recovered.
#[test]
fn an_agent_that_recovers_takes_updates_from_executors_that_are_back_only() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.run(&framework(true), task("t", "e")).await;
        let executor = world.subscribe("e").await;
        executor.update("t", TaskState::TaskStarting).await;
        world.acknowledge("t").await;
        world.crash().await;

        let world = World::new(directory.path()).await;
        let refused = (503, "Agent has not finished recovery".to_owned());
        assert_eq!(json(&world, &update(GOOD)).await, refused);
        let subscribe = format!(r#"{{"type":"SUBSCRIBE",{IDS},"subscribe":{{}}}}"#);
        let kind = Some("application/json");
        let stream = post(&world, kind, kind, subscribe.as_bytes()).await;
        assert_eq!(stream.status.as_u16(), 200);
        assert_eq!(json(&world, &update(GOOD)).await, (202, String::new()));
        assert!(world.hears().is_empty(), "it has not recovered yet");
        world.pass(Duration::from_secs(4)).await;
        assert_eq!(world.states("t"), [TaskState::TaskRunning]);
    });
}

/// Upstream: `ExecutorHttpApiTest.Subscribe`, `ExecutorHttpApiTest.MalformedContent`.
#[test]
fn an_executor_speaks_protobuf() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = world(directory.path()).await;
        let call = Call {
            executor_id: mesos::v1::ExecutorId { value: "e".into() },
            framework_id: mesos::v1::FrameworkId { value: FRAMEWORK.into() },
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe::default()),
            ..Call::default()
        };
        let kind = Some("application/x-protobuf");
        let mut response = post(&world, kind, kind, &mesos::wire::encode(&call)).await;
        assert_eq!(response.headers["content-type"], "application/x-protobuf");
        let decode = |record: &[u8]| mesos::wire::decode::<Event>(record).unwrap();
        let events = events(&mut response.body, decode).await;
        assert_eq!(events[0].r#type(), event::Type::Subscribed);
        let broken = post(&world, kind, kind, &[0xff]).await;
        assert_eq!(broken.status.as_u16(), 400);
        assert_eq!(&broken.body.collect().await[..], b"Failed to parse body into Call protobuf");
    });
}

/// Upstream: `ExecutorHttpApiTest.GetRequest`.
#[test]
fn only_posts_are_taken() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = world(directory.path()).await;
        let request = Request::new(Method::GET, "/api/v1/executor");
        let response = dispatch(&world.node, request).await;
        assert_eq!(response.status.as_u16(), 405);
        assert_eq!(response.headers["allow"], "POST");
    });
}
