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
        // The one that answers.
        assert_eq!(f.status(Method::GET, "/__processes__/__processes__").await, 200);
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
fn many_metrics_are_looked_up_and_shown_on_a_thread_for_it() {
    with_node(|f| async move {
        let metrics = f.node.metrics();
        let (looked, threads) = std::sync::mpsc::channel();
        metrics.pull_gauge("who/looks", move || {
            looked.send(std::thread::current().id()).unwrap();
            1.0
        });
        assert!(f.get("/metrics/snapshot").await.contains(r#""who/looks":1.0"#));
        let http = threads.try_recv().unwrap();
        (0..1000).for_each(|number| metrics.counter(&format!("many/{number}")).increment());
        for path in ["/metrics/snapshot", "/metrics"] {
            let shown = f.get(path).await;
            assert!(shown.contains("many/999\":1.0") || shown.contains("many_999_total 1\n"), "{shown}");
            let thread = threads.try_recv().unwrap();
            assert_ne!(thread, http, "{path}");
            assert_ne!(thread, std::thread::current().id(), "{path}");
        }
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
fn every_route_of_every_actor_has_a_text_in_every_form() {
    with_node(|f| async move {
        let json: Value = serde_json::from_str(&f.get("/help?format=json").await).unwrap();
        let processes = json["processes"].as_array().unwrap();
        let mut shown: Vec<&str> = processes.iter().map(|process| process["id"].as_str().unwrap()).collect();
        shown.sort_unstable();
        let living: Vec<String> = f.node.ids().iter().map(ToString::to_string).collect();
        assert_eq!(shown, living);
        let index = f.get("/help").await;
        let mut routes = Vec::new();
        for process in processes {
            let id = process["id"].as_str().unwrap();
            assert!(index.contains(&format!("<a href=\"/help/{id}\">/{id}</a>")), "{id} is not in {index}");
            let list = f.get(&format!("/help/{id}")).await;
            for endpoint in process["endpoints"].as_array().unwrap() {
                let (name, text) = (endpoint["name"].as_str().unwrap(), endpoint["text"].as_str().unwrap());
                let path = format!("/{id}{}", name.trim_end_matches('/'));
                assert!(text.contains(&format!(">        {path}\n")), "{path} is not in {text}");
                let link = format!("<a href=\"/help{path}\">{path}</a>");
                assert!(list.contains(&link), "{link} is not in {list}");
                let curl = ClientRequest::get(f.url(&format!("/help{path}"))).header("user-agent", "curl/8");
                let markdown = f.node.client().send(curl).await.unwrap().text(1 << 20).await.unwrap();
                assert!(markdown.ends_with(text), "{path}: {markdown}");
                let page = f.get(&format!("/help{path}")).await;
                assert!(page.starts_with("<!DOCTYPE html>") && page.contains("AUTHENTICATION"), "{page}");
                routes.push(path);
            }
        }
        for path in ["/master/state", "/master/api/v1", "/version", "/metrics/snapshot", "/files/download"] {
            assert!(routes.iter().any(|route| route == path), "{path} is not in {routes:?}");
        }
    });
}

#[test]
fn documents_come_as_calls_of_a_function_for_those_who_ask() {
    with_node(|f| async move {
        for path in ["/version", "/__processes__", "/__processes__/master", "/system/stats.json"] {
            let plain = f.node.client().send(ClientRequest::get(f.url(path))).await.unwrap();
            assert_eq!(plain.header("content-type"), Some("application/json"), "{path}");
            let call = ClientRequest::get(f.url(&format!("{path}?jsonp=see%5F")));
            let call = f.node.client().send(call).await.unwrap();
            assert_eq!(call.header("content-type"), Some("text/javascript"), "{path}");
            let text = call.text(1 << 20).await.unwrap();
            let document = text.strip_prefix("see_(").and_then(|text| text.strip_suffix(')'));
            let document: Value = serde_json::from_str(document.unwrap()).unwrap();
            assert!(document.is_object() || document.is_array());
        }
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

#[test]
fn snapshots_are_answered_at_the_nodes_rate() {
    const EACH: Duration = Duration::from_millis(100);
    libprocess::run(async {
        let node = Node::builder()
            .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .snapshot_rate(Some(libprocess::Rate { permits: 1, per: EACH }))
            .start()
            .await
            .unwrap();
        let began = node.elapsed();
        let snapshots = (1..=4).map(async |seconds| {
            let url = format!("http://{}/metrics/snapshot?timeout={seconds}secs", node.address());
            node.client().send(ClientRequest::get(url)).await.unwrap().status
        });
        assert_eq!(patient(futures::future::join_all(snapshots)).await, [200; 4]);
        // The first is answered at once, each of the others after its turn.
        assert!(node.elapsed() - began >= 3 * EACH, "{:?}", node.elapsed() - began);
        node.shutdown().await;
    });
}

/// Under a paused clock: however many ask for snapshots and go, nobody waits for long.
#[test]
fn those_who_ask_for_the_same_snapshot_have_one_turn() {
    in_paused_time(Limits::default(), |f| async move {
        const EACH: Duration = Duration::from_millis(500);
        let mut impatient = Vec::new();
        for _ in 0..20 {
            let mut socket = TcpStream::connect(f.node.address()).await.unwrap();
            socket.write_all(b"GET /metrics/snapshot HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            impatient.push(socket);
        }
        drop(impatient);
        let value = async || {
            let snapshot: Value = serde_json::from_str(&f.get("/metrics/snapshot").await).unwrap();
            snapshot["test/asked"].as_f64().unwrap()
        };
        // Nobody is given what was before the request.
        for asked in 1..=3 {
            f.node.metrics().counter("test/asked").add(1);
            let began = f.node.elapsed();
            assert_eq!(value().await, f64::from(asked));
            assert!(f.node.elapsed() - began <= 4 * EACH, "{:?}", f.node.elapsed() - began);
        }
    });
}

#[cfg(feature = "profiler")]
#[test]
fn a_profile_shows_where_time_is_spent() {
    #[inline(never)]
    fn work_hard(until: impl Fn() -> bool) -> u64 {
        let mut sum = 1_u64;
        while !until() {
            for step in 0..100_000_u64 {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(step));
            }
        }
        sum
    }
    with_node(|f| async move {
        assert_eq!(f.get("/profiler/stop").await, "Profiler not running.\n");
        for form in ["folded", "pprof"] {
            assert_eq!(f.get("/profiler/start?frequency=500").await, "Profiler started.\n");
            assert_eq!(f.get("/profiler/start").await, "Profiler already started.\n");
            let began = f.node.elapsed();
            work_hard(|| f.node.elapsed() - began > Duration::from_millis(200));
            let url = f.url(&format!("/profiler/stop?format={form}"));
            let response = f.node.client().send(ClientRequest::get(url)).await.unwrap();
            assert_eq!(response.status, 200);
            let bytes = response.bytes(10_000_000).await.unwrap();
            let found = bytes.windows(b"work_hard".len()).any(|part| part == b"work_hard");
            assert!(found, "{form}: {}", String::from_utf8_lossy(&bytes));
        }
        assert_eq!(f.get("/profiler/stop").await, "Profiler not running.\n");
    });
}

#[cfg(feature = "allocation-stats")]
#[test]
fn the_allocator_says_what_it_has_given_out() {
    with_node(|f| async move {
        let statistics: Value = serde_json::from_str(&f.get("/memory-profiler/statistics").await).unwrap();
        let allocated = async || {
            let snapshot: Value = serde_json::from_str(&f.get("/metrics/snapshot").await).unwrap();
            snapshot["memory/allocated_bytes"].as_f64().unwrap()
        };
        assert!(statistics["jemalloc"]["stats"]["allocated"].as_u64().unwrap() > 100_000);
        // Large, so that what other tests do meanwhile does not matter; it is not touched, so it costs no memory.
        const LARGE: usize = 1 << 30;
        let before = allocated().await;
        let block: Vec<u8> = std::hint::black_box(Vec::with_capacity(LARGE));
        let grown = allocated().await - before;
        drop(block);
        let shrunk = allocated().await - before;
        assert!(grown > 0.5 * LARGE as f64 && shrunk < 0.5 * LARGE as f64, "{grown} {shrunk}");
    });
}
