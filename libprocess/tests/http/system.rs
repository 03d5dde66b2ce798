//! The actors that every node has.

use super::*;

#[test]
fn every_node_shows_itself() {
    with_node(|f| async move {
        let processes: Value = serde_json::from_str(&f.get("/__processes__").await).unwrap();
        let ids: Vec<&str> =
            processes.as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
        for id in ["__processes__", "files", "help", "logging", "master", "metrics", "system", "version"] {
            assert!(ids.contains(&id), "{id} is not in {ids:?}");
        }
        assert_eq!(f.get("/__processes__/master").await, r#"{"events":[],"id":"master"}"#);
        assert_eq!(f.status(Method::GET, "/__processes__/nobody").await, 404);

        let stats: Value = serde_json::from_str(&f.get("/system/stats.json").await).unwrap();
        assert!(stats["mem_total_bytes"].as_u64() > stats["mem_free_bytes"].as_u64());
        assert!(stats["cpus_total"].as_u64() >= Some(1) && stats["avg_load_1min"].is_f64());

        f.node.metrics().counter("master/dropped_messages").add(3);
        let snapshot: Value = serde_json::from_str(&f.get("/metrics/snapshot?timeout=1secs").await).unwrap();
        assert_eq!(snapshot["master/dropped_messages"], json!(3.0));
        assert_eq!(
            snapshot["system/mem_total_bytes"],
            json!(stats["mem_total_bytes"].as_u64().unwrap() as f64)
        );
        assert!(f.get("/metrics/snapshot?jsonp=f").await.starts_with("f({"));
        assert!(f.get("/metrics").await.contains("master_dropped_messages_total 3\n"));
    });
}

#[test]
fn help_is_there_in_three_forms() {
    with_node(|f| async move {
        let html = f.get("/help").await;
        assert!(html.starts_with("<!DOCTYPE html>") && html.contains("<a href=\"/help/master\">/master</a>"));
        let curl = ClientRequest::get(f.url("/help/master/state")).header("user-agent", "curl/7.88");
        let response = f.node.client().send(curl).await.unwrap();
        assert_eq!(response.header("content-type"), Some("text/x-markdown"));
        assert_eq!(
            response.text(1000).await.unwrap(),
            "### USAGE ###\n>        /state\n>        /master/state\n\n### TL;DR; ###\nThe state.\n\n\
             ### AUTHENTICATION ###\nAnybody may call it.\n"
        );
        let json: Value = serde_json::from_str(&f.get("/help?format=json").await).unwrap();
        let master = json["processes"].as_array().unwrap().iter().find(|p| p["id"] == "master").unwrap();
        assert!(master["endpoints"].as_array().unwrap().iter().any(|e| e["name"] == "/api/v1/scheduler"));
        assert_eq!(f.status(Method::GET, "/help/nobody").await, 404);
        assert_eq!(f.get("/help/master/nope").await, "No help available for '/master/nope'.\n");
    });
}

#[test]
fn the_log_level_is_raised_for_a_while() {
    libprocess::run(async {
        let (levels, mut heard) = mpsc::unbounded_channel();
        let control =
            libprocess::system::LogControl::new(move |level| levels.send(level).map_err(|e| e.to_string()));
        let node = Node::builder()
            .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .log_control(control)
            .start()
            .await
            .unwrap();
        let get = |path: &str| {
            let request = ClientRequest::get(format!("http://{}{path}", node.address()));
            async { node.client().send(request).await.unwrap().text(1000).await.unwrap() }
        };
        assert_eq!(get("/logging/toggle").await, "0\n");
        assert_eq!(get("/logging/toggle?level=2&duration=50ms").await, "");
        assert_eq!(patient(heard.recv()).await, Some(2));
        assert_eq!(patient(heard.recv()).await, Some(0));
        assert_eq!(get("/logging/toggle").await, "0\n");
        assert_eq!(get("/logging/toggle?level=x&duration=1secs").await, "Failed to convert 'x' to number.\n");
        node.shutdown().await;
    });
}

#[test]
fn a_node_without_log_control_says_so() {
    with_node(|f| async move {
        assert_eq!(f.get("/logging/toggle").await, "0\n");
        assert_eq!(f.status(Method::GET, "/logging/toggle?level=1&duration=1secs").await, 501);
    });
}
