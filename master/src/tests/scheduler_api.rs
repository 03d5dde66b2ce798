//! The scheduler API as HTTP: encodings, headers and statuses, in JSON and in protobuf (upstream:
//! `scheduler_http_api_tests.cpp`).

use http::{HeaderName, Method, StatusCode};
use libprocess::http::{Body, BodyReceiver, Request, Response, dispatch};
use libprocess::testing;
use mesos::MediaType;
use mesos::recordio::Decoder;
use mesos::v1::scheduler::event::Type;
use mesos::v1::scheduler::{Call, Event};
use serde_json::{Value, json};

use super::{Cluster, info};

const BOTH: [MediaType; 2] = [MediaType::Json, MediaType::Protobuf];

impl Cluster {
    /// Posts these bytes with this type, and with these headers beside it.
    async fn send(&self, media: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::new(Method::POST, "/api/v1/scheduler");
        request.body = body.into();
        for (name, value) in [("Content-Type", media)].iter().chain(headers) {
            let name: HeaderName = name.parse().unwrap();
            request.headers.append(name, value.parse().unwrap());
        }
        dispatch(&self.node, request).await
    }

    /// Makes a call in this encoding: the status of the answer.
    async fn sent(&self, media: MediaType, call: &Value, headers: &[(&str, &str)]) -> u16 {
        self.send(media.as_str(), encoded(media, call), headers).await.status.as_u16()
    }

    /// Subscribes with everything in this encoding: the stream, its id and its first event.
    async fn subscribed(&self, media: MediaType, call: &Value) -> (BodyReceiver, String, Event) {
        let response = self.send(media.as_str(), encoded(media, call), &[("Accept", media.as_str())]).await;
        let stream = response.headers["Mesos-Stream-Id"].to_str().unwrap().to_owned();
        let (body, event) = first_event(response, media).await;
        (body, stream, event)
    }
}

fn encoded(media: MediaType, call: &Value) -> Vec<u8> {
    let call: Call = mesos::json::from_slice(call.to_string().as_bytes()).unwrap();
    mesos::codec::encode(media, &call).to_vec()
}

/// A stream, whose answer says that it is of this type, and its first event.
async fn first_event(response: Response, media: MediaType) -> (BodyReceiver, Event) {
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers["Content-Type"], media.as_str());
    let Body::Stream(mut body) = response.body else { panic!("expected a stream") };
    let record = Decoder::new(1 << 20).feed(&body.next().await.unwrap()).unwrap().remove(0);
    (body, mesos::codec::decode(media, &record).unwrap())
}

fn subscription() -> Value {
    json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info() } })
}

/// Upstream: `SchedulerHttpApiTest.Subscribe`, `NoAcceptHeader`, `DefaultAccept`.
#[test]
fn a_subscription_is_answered_in_the_encoding_that_is_accepted() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for content in BOTH {
            for (accept, answer) in [
                (Some("application/json"), MediaType::Json),
                (Some("application/x-protobuf"), MediaType::Protobuf),
                (Some("*/*"), MediaType::Json),
                (None, MediaType::Json),
            ] {
                let headers: Vec<(&str, &str)> =
                    accept.map(|accept| ("Accept", accept)).into_iter().collect();
                let response =
                    cluster.send(content.as_str(), encoded(content, &subscription()), &headers).await;
                assert_ne!(response.headers["Mesos-Stream-Id"], "");
                let (_stream, event) = first_event(response, answer).await;
                assert_eq!(event.r#type(), Type::Subscribed, "{content:?} {accept:?}");
                assert_ne!(event.subscribed.unwrap().framework_id.value, "");
            }
        }
    });
}

/// Upstream looks at the last line only.
#[test]
fn what_is_accepted_may_be_said_in_several_lines() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for media in BOTH {
            let lines = ["text/html", media.as_str(), "text/plain"];
            let headers = lines.map(|line| ("Accept", line));
            let response = cluster.send(media.as_str(), encoded(media, &subscription()), &headers).await;
            let (_stream, event) = first_event(response, media).await;
            assert_eq!(event.r#type(), Type::Subscribed);
            let mut health = Request::new(Method::POST, "/api/v1");
            health.body = r#"{"type":"GET_HEALTH"}"#.into();
            health.headers.append("content-type", "application/json".parse().unwrap());
            for line in lines {
                health.headers.append("accept", line.parse().unwrap());
            }
            let response = dispatch(&cluster.node, health).await;
            assert_eq!(response.headers["Content-Type"], media.as_str());
        }
    });
}

/// Upstream: `SchedulerHttpApiTest.MalformedContent`, `UnsupportedContentMediaType`,
/// `RejectFrameworkWithInvalidRole`, `SubscribeWithStreamId`, `NotAcceptable`, `GetRequest`.
#[test]
fn both_encodings_are_refused_alike() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for media in BOTH {
            let accept = ("Accept", media.as_str());
            let malformed = cluster.send(media.as_str(), b"MALFORMED_CONTENT".to_vec(), &[accept]).await;
            assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
            let body = encoded(media, &subscription());
            let unknown = cluster.send("application/unknown-media-type", body, &[accept]).await;
            assert_eq!(unknown.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(cluster.sent(media, &subscription(), &[("Accept", "foo")]).await, 406);
            let with_stream = [accept, ("Mesos-Stream-Id", "00000000-0000-0000-0000-000000000000")];
            assert_eq!(cluster.sent(media, &subscription(), &with_stream).await, 400);

            // A role that is none is said on the stream.
            let mut invalid = subscription();
            invalid["subscribe"]["framework_info"]["roles"] = json!(["/test/test1"]);
            let (_, _, event) = cluster.subscribed(media, &invalid).await;
            assert_eq!(event.r#type(), Type::Error);
        }
        let get = Request::new(Method::GET, "/api/v1/scheduler");
        assert_eq!(dispatch(&cluster.node, get).await.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(cluster.get("/frameworks").await["frameworks"], json!([]));
    });
}

/// Upstream: `SchedulerHttpApiTest.SubscribedOnRetry`, `TeardownWithoutStreamId`, `TeardownWrongStreamId`,
/// `MalformedUUID`.
#[test]
fn only_the_stream_of_the_latest_subscription_makes_calls_and_they_must_be_whole() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for media in BOTH {
            let (_first, first, event) = cluster.subscribed(media, &subscription()).await;
            let id = json!({ "value": event.subscribed.unwrap().framework_id.value });
            let mut again = subscription();
            again["framework_id"] = id.clone();
            again["subscribe"]["framework_info"]["id"] = id.clone();
            let (_second, second, event) = cluster.subscribed(media, &again).await;
            assert_eq!(event.subscribed.unwrap().framework_id.value, id["value"]);
            assert_ne!(first, second);

            let accept = ("Accept", media.as_str());
            let teardown = json!({ "type": "TEARDOWN", "framework_id": id });
            assert_eq!(cluster.sent(media, &teardown, &[accept]).await, 400);
            assert_eq!(cluster.sent(media, &teardown, &[accept, ("Mesos-Stream-Id", &first)]).await, 400);
            let acknowledge = json!({
                "type": "ACKNOWLEDGE", "framework_id": id,
                "acknowledge": { "task_id": { "value": "t" }, "agent_id": { "value": "a" }, "uuid": "YmFkLXV1aWQ=" }
            });
            let own = [accept, ("Mesos-Stream-Id", second.as_str())];
            assert_eq!(cluster.sent(media, &acknowledge, &own).await, 400);
            // Nothing of it was done.
            assert_eq!(cluster.sent(media, &teardown, &own).await, 202);
        }
    });
}
