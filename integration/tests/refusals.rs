//! What is wrong is answered as upstream answers it, and changes nothing.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework, post};
use integration::{AgentSpec, Cluster};
use libprocess::http::ClientRequest;
use serde_json::json;

const AN_HOUR: f64 = 3600.0;

fn raw(cluster: &Cluster, body: &str) -> ClientRequest {
    ClientRequest::post(format!("http://{}/api/v1/scheduler", cluster.master())).body(body.to_owned())
}

#[test]
fn requests_that_make_no_sense_are_refused_by_name() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("strict", Duration::ZERO)).await;
        let offer = scheduler.offer().await;
        let other = ApiScheduler::subscribe(cluster.master(), framework("other", Duration::ZERO)).await;
        let before = cluster.leader_state().await.unwrap();
        let json = "application/json";
        let stream = scheduler.stream_id.as_str();
        let id = scheduler.framework_id.as_str();
        let call = json!({ "type": "REVIVE", "framework_id": { "value": id } }).to_string();
        let text = call.as_str();
        let subscribe =
            json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": framework("x", Duration::ZERO) } });
        let subscribe_text = &subscribe.to_string();
        let typed = |body: &str| raw(&cluster, body).header("Content-Type", json);

        let cases = [
            (
                "malformed JSON",
                typed("{\"type\":").header("Accept", json),
                400,
                "Failed to parse body into JSON",
            ),
            ("no content type", raw(&cluster, text), 400, "Expecting 'Content-Type' to be present"),
            (
                "another content type",
                raw(&cluster, text).header("Content-Type", "text/plain"),
                415,
                "Expecting 'Content-Type' of",
            ),
            (
                "an Accept that we do not have",
                typed(subscribe_text).header("Accept", "text/plain"),
                406,
                "Expecting 'Accept' to allow",
            ),
            ("an unknown call", typed("{\"type\":\"NONSENSE\"}"), 400, "Expecting 'type' to be present"),
            ("a call without its type", typed("{}"), 400, "Expecting 'type' to be present"),
            (
                "a subscription without its body",
                typed("{\"type\":\"SUBSCRIBE\"}"),
                400,
                "Expecting 'subscribe' to be present",
            ),
            (
                "a missing field",
                typed("{\"type\":\"SUBSCRIBE\",\"subscribe\":{\"framework_info\":{\"name\":\"n\"}}}"),
                400,
                "user",
            ),
            (
                "no stream id",
                typed(text),
                400,
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
            ),
            (
                "nobody's stream id",
                typed(text).header("Mesos-Stream-Id", "f3e0f2a6-9c4f-4d9f-8f7e-4d1f2a6c9e01"),
                400,
                "The stream ID",
            ),
            (
                "another framework's stream id",
                typed(text).header("Mesos-Stream-Id", &other.stream_id),
                400,
                "The stream ID",
            ),
            (
                "a call that aborts genuine Mesos",
                typed(&json!({ "type": "UNKNOWN", "framework_id": { "value": id } }).to_string())
                    .header("Mesos-Stream-Id", stream),
                501,
                "",
            ),
            (
                "an unknown framework",
                typed("{\"type\":\"REVIVE\",\"framework_id\":{\"value\":\"nobody\"}}")
                    .header("Mesos-Stream-Id", stream),
                400,
                "Framework cannot be found",
            ),
        ];
        for (what, request, status, part) in cases {
            let answer = scheduler.send(request).await;
            assert_eq!(answer.0, status, "{what}: {}", answer.1);
            assert!(answer.1.contains(part), "{what}: {}", answer.1);
        }

        // A second subscription on the strength of a stream id is a contradiction.
        let (status, text) =
            scheduler.send(post(cluster.master(), &subscribe).header("Mesos-Stream-Id", stream)).await;
        assert_eq!(status, 400);
        assert!(text.contains("Subscribe calls should not include the 'Mesos-Stream-Id' header"), "{text}");

        // The cluster is as before, and the offer can still be used.
        let after = cluster.leader_state().await.unwrap();
        for key in ["slaves", "frameworks", "completed_frameworks"] {
            assert_eq!(after[key], before[key], "{key}");
        }
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, "true")], 0.0).await;
        scheduler.state("t", "TASK_FINISHED").await;
    });
}

#[test]
fn tasks_that_cannot_be_launched_end_in_a_state_that_says_why() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("greedy", Duration::ZERO)).await;

        // Too big for its offer.
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("big", &offer, 3.0, 64.0, "true")], 0.0).await;
        let status = scheduler.update("big").await;
        assert_eq!(
            (&status["state"], &status["reason"]),
            (&json!("TASK_ERROR"), &json!("REASON_TASK_INVALID"))
        );
        assert!(status["message"].as_str().unwrap().contains("more than available"), "{status}");

        // A stale offer.
        let task = command_task("stale", &offer, 1.0, 64.0, "true");
        scheduler.launch(&offer, &[task], 0.0).await;
        let status = scheduler.update("stale").await;
        assert_eq!(
            (&status["state"], &status["reason"]),
            (&json!("TASK_DROPPED"), &json!("REASON_INVALID_OFFERS"))
        );
        assert!(status["message"].as_str().unwrap().contains("no longer valid"), "{status}");

        // A task id that is taken.
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("twin", &offer, 0.5, 64.0, "sleep 1000")], 0.0).await;
        scheduler.state("twin", "TASK_RUNNING").await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, &[command_task("twin", &offer, 0.5, 64.0, "true")], 0.0).await;
        let status = scheduler.update("twin").await;
        assert_eq!(status["state"], "TASK_ERROR");
        assert!(status["message"].as_str().unwrap().contains("duplicate ID"), "{status}");

        // Another framework's offer.
        let mut other = ApiScheduler::subscribe(cluster.master(), framework("other", Duration::ZERO)).await;
        let offer = other.offer().await;
        scheduler.launch(&offer, &[command_task("theirs", &offer, 0.5, 64.0, "true")], 0.0).await;
        assert_eq!(scheduler.update("theirs").await["state"], "TASK_DROPPED");

        // What is left after all this: the one task that was right, and everything else free.
        other.decline(&offer, AN_HOUR).await;
        let state = cluster.leader_state().await.unwrap();
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 0.5);
        let greedy =
            state["frameworks"].as_array().unwrap().iter().find(|f| f["name"] == "greedy").unwrap().clone();
        assert_eq!(greedy["tasks"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn nonsense_is_answered_and_does_no_harm() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:1;mem:128")]).await;
        // What a peer sends is answered before it is read, as upstream does.
        let from = ("Libprocess-From", "slave(1)@127.0.0.1:1");
        let json = ("Content-Type", "application/json");
        for (path, header, body, status) in [
            ("/api/v1/scheduler", json, "\u{0}\u{1}", 400),
            ("/api/v1/scheduler", json, "[[[[[[[[[[[[[[", 400),
            ("/master/mesos.internal.RegisterSlaveMessage", from, "\u{ff}\u{ff}", 202),
            ("/nobody/mesos.internal.RegisterSlaveMessage", from, "", 404),
        ] {
            let request = ClientRequest::post(format!("http://{}{path}", cluster.master()))
                .header(header.0, header.1)
                .body(body.to_owned());
            let response = cluster.client().send(request).await.unwrap();
            assert_eq!(response.status.as_u16(), status, "{path} {body:?}");
        }
        cluster.wait_for_agents(1).await;
    });
}
