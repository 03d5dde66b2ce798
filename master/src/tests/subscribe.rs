//! SUBSCRIBE, streams, and the form of calls.

use std::time::Duration;

use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use serde_json::json;

use super::{Cluster, JSON, info};

/// Upstream: `SchedulerTest.Subscribe`, `SchedulerHttpApiTest.Subscribe`.
#[test]
fn a_stream_begins_with_subscribed_and_a_heartbeat_and_goes_on_with_heartbeats() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info() } });
        let mut scheduler = cluster.open(call).await;
        let subscribed = scheduler.next().await.unwrap().subscribed.unwrap();
        assert_eq!(subscribed.framework_id.value, format!("{}-0000", cluster.running.info.id));
        assert_eq!(subscribed.heartbeat_interval_seconds, Some(15.0));
        assert_eq!(subscribed.master_info, Some(cluster.running.info.clone()));
        assert_eq!(scheduler.next().await.unwrap().r#type(), Type::Heartbeat);
        let before = cluster.node.elapsed();
        assert_eq!(scheduler.next().await.unwrap().r#type(), Type::Heartbeat);
        assert_eq!((cluster.node.elapsed() - before).as_secs(), 15);
    });
}

#[test]
fn a_second_subscription_with_the_same_id_ends_the_first() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let mut old = cluster.subscribe(info()).await;
        let offer = old.offer().await;
        let mut again = info();
        again["id"] = json!({ "value": old.id });
        let mut new = cluster.subscribe(again).await;
        assert_eq!(new.id, old.id);
        let error = old.next_of(Type::Error).await.error.unwrap();
        assert_eq!(error.message, "Framework failed over");
        assert!(old.next().await.is_none());
        // The old stream's id and the old offers are void; the framework is offered the agent again.
        assert_eq!(old.call("REVIVE", json!(null)).await.0, 400);
        assert_ne!(new.offer().await.id, offer.id);
    });
}

/// Upstream: `FaultToleranceTest.SchedulerReregisterAfterUnregistration`.
/// Upstream, too: `HttpFaultToleranceTest.SchedulerSubscribeAfterTeardown`.
#[test]
fn a_torn_down_framework_cannot_come_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let scheduler = cluster.subscribe(info()).await;
        assert_eq!(scheduler.call("TEARDOWN", json!(null)).await.0, 202);
        let answer = scheduler.call("REVIVE", json!(null)).await;
        assert_eq!(answer, (400, "Framework cannot be found".to_owned()));
        let mut again = info();
        again["id"] = json!({ "value": scheduler.id });
        let call = json!({
            "type": "SUBSCRIBE", "framework_id": again["id"], "subscribe": { "framework_info": again }
        });
        let mut refused = cluster.open(call).await;
        let error = refused.next().await.unwrap().error.unwrap();
        assert_eq!(error.message, "Framework has been removed");
        assert!(refused.next().await.is_none());
    });
}

/// Headers, body, and the status and text of the answer.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);

/// `recorded/scheduler.jsonl`. Upstream: `SchedulerHttpApiTest.NoContentType`, `ValidJsonButInvalidProtobuf`.
#[test]
fn calls_are_refused_with_upstreams_status_and_text() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let scheduler = cluster.subscribe(info()).await;
        let subscribe = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info() } }).to_string();
        let revive = json!({ "type": "REVIVE", "framework_id": { "value": scheduler.id } }).to_string();
        let json = JSON[0];
        let stream = ("Mesos-Stream-Id", scheduler.stream.as_str());
        let cases: &[Case<'_>] = &[
            (&[], &subscribe, 400, "Expecting 'Content-Type' to be present"),
            (
                &[("Content-Type", "text/plain")],
                &subscribe,
                415,
                "Expecting 'Content-Type' of application/json or application/x-protobuf",
            ),
            (
                &[json, ("Accept", "text/html")],
                &subscribe,
                406,
                "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
            ),
            (
                &[json, stream],
                &subscribe,
                400,
                "Subscribe calls should not include the 'Mesos-Stream-Id' header",
            ),
            (&[json], &revive, 400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header"),
            (&[json], "{}", 400, "Failed to validate scheduler::Call: Expecting 'type' to be present"),
            (&[json], "{", 400, "Failed to parse body into JSON: syntax error at line 1 near: "),
            (
                &[json],
                r#"{"type":"SUBSCRIBE","subscribe":{}}"#,
                400,
                "Failed to convert JSON into Call protobuf: Missing required fields: \
                 subscribe.framework_info",
            ),
        ];
        for (headers, body, status, text) in cases {
            let response = cluster.post(headers, *body).await;
            assert_eq!(response.status.as_u16(), *status, "{text}");
            assert_eq!(response.body.collect().await, text.as_bytes(), "{text}");
        }
        let wrong = cluster.post(&[json, ("Mesos-Stream-Id", "deadbeef")], revive.clone()).await;
        let text = String::from_utf8(wrong.body.collect().await.to_vec()).unwrap();
        assert_eq!(
            text,
            format!(
                "The stream ID 'deadbeef' included in this request didn't match the stream ID currently \
                 associated with framework ID {}",
                scheduler.id
            )
        );
    });
}

#[test]
fn a_framework_that_does_not_come_back_in_time_is_removed() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let scheduler = cluster.subscribe(info()).await;
        let id = scheduler.id.clone();
        drop(scheduler);
        tokio::time::sleep(Duration::from_secs(59)).await;
        let frameworks = cluster.get("/frameworks").await;
        assert_eq!(frameworks["frameworks"][0]["id"], id.as_str());
        assert_eq!(frameworks["frameworks"][0]["active"], false);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let frameworks = cluster.get("/frameworks").await;
        assert_eq!(frameworks["frameworks"], json!([]));
        assert_eq!(frameworks["completed_frameworks"][0]["id"], id.as_str());
    });
}

#[test]
fn a_framework_that_comes_back_in_time_stays() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let scheduler = cluster.subscribe(info()).await;
        let mut again = info();
        again["id"] = json!({ "value": scheduler.id });
        drop(scheduler);
        tokio::time::sleep(Duration::from_secs(50)).await;
        let scheduler = cluster.subscribe(again).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(scheduler.call("REVIVE", json!(null)).await.0, 202);
    });
}

/// Upstream: `Metrics::Frameworks`, of which it makes one for each principal.
#[test]
fn calls_are_counted_for_each_principal_for_as_long_as_it_has_a_framework() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut described = info();
        described["principal"] = json!("p");
        let first = cluster.subscribe(described.clone()).await;
        let second = cluster.subscribe(described).await;
        assert_eq!(first.call("SUPPRESS", json!(null)).await.0, 202);
        let received = || cluster.node.metrics().value("frameworks/p/messages_received");
        assert_eq!(received(), Some(3.0));
        assert_eq!(cluster.node.metrics().value("frameworks/p/messages_processed"), received());
        assert!(cluster.node.metrics().snapshot().undescribed().is_empty());
        assert_eq!(first.call("TEARDOWN", json!(null)).await.0, 202);
        assert_eq!(received(), Some(4.0));
        assert_eq!(second.call("TEARDOWN", json!(null)).await.0, 202);
        assert_eq!(received(), None);
    });
}
