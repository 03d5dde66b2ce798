//! Routing, methods, encodings, pipelining, and what genuine Mesos answered.

use super::*;

#[test]
fn paths_reach_the_actor_they_name_or_the_delegate() {
    with_node(|f| async move {
        for path in ["/path", "/master/path", "//path/", "/master//path", "/path/below", "/m%61ster/path"] {
            let answer = f.get(path).await;
            assert!(answer.starts_with("/master/path"), "{path}: {answer}");
        }
        for (path, status) in [
            ("/state", 200),
            ("/nope", 404),
            ("/state.json", 404),
            ("/MASTER/state", 404),
            ("/master/../state", 404),
            ("/master/%2e%2e/state", 404),
            ("/%zz", 404),
            ("/version", 200),
            ("/master/version", 404),
            ("/metrics", 200),
        ] {
            assert_eq!(f.status(Method::GET, path).await, status, "{path}");
        }
    });
}

#[test]
fn nothing_leads_to_a_parent() {
    with_node(|f| async move {
        for path in [
            "/..",
            "/../state",
            "/master/..",
            "/master/../state",
            "/master/%2e%2e/state",
            "/master/%2E./state",
            "/master/.%2e%2fstate",
            "/state/../path",
            "/files/download/../../../etc/passwd",
        ] {
            let answer = f.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        }
        // Dots that are no parents.
        assert_eq!(f.get("/path/a..b").await, "/master/path/a..b");
    });
}

#[test]
fn what_a_path_says_in_percents_is_what_it_means() {
    with_node(|f| async move {
        assert_eq!(f.get("/path/a%20b%2fc+d%C3%A4").await, "/master/path/a b/c+d\u{e4}");
        for path in ["/path/%", "/path/%4", "/path/%zz", "/path/%ff"] {
            assert_eq!(f.status(Method::GET, path).await, 404, "{path}");
        }
    });
}

#[test]
fn a_disabled_endpoint_is_refused_however_it_is_written() {
    with_node(|f| async move {
        for path in [
            "/later",
            "/master/later",
            "/later/",
            "//later",
            "/master//later/",
            "/master/l%61ter",
            "/later?x=1",
            "/later/below",
            "/master/later/below/it",
        ] {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
                assert_eq!(f.status(method.clone(), path).await, 403, "{method} {path}");
            }
        }
        assert_eq!(f.get("/later").await, "Endpoint '/master/later' is disabled");
        // It was named without its slashes.
        assert_eq!(f.status(Method::GET, "/hidden").await, 403);
        assert_eq!(f.status(Method::GET, "/late").await, 404);
        // A path that no route has of its own, in a list: only this one.
        assert_eq!(f.status(Method::GET, "/path/closed").await, 403);
        assert_eq!(f.status(Method::GET, "/path/closed/below").await, 200);
        assert_eq!(f.status(Method::GET, "/path").await, 200);
    });
}

#[test]
fn a_target_that_should_be_encoded_and_is_not_is_taken() {
    with_node(|f| async move {
        for path in ["/path/\u{e4}\u{20ac}", "/path/a<b>c\"d`e", "/path/plain"] {
            // In one piece, and behind another request on the same connection.
            let request = |end: &str| format!("GET {path}?x=\u{e4}\" HTTP/1.1\r\nHost: x\r\n{end}\r\n");
            let answers = f.raw(format!("{}{}", request(""), request("Connection: close\r\n"))).await;
            let whole = format!("\r\n\r\n/master{path}");
            assert_eq!(answers.matches(&whole).count(), 2, "{answers}");
            assert!(answers.ends_with(&whole), "{answers}");
        }
        // Bytes that are no UTF-8 name nothing.
        let request = b"GET /path/\xe4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert!(f.raw(request).await.starts_with("HTTP/1.1 404 "));
        // What has no target is no request.
        for request in ["GET \u{e4}\r\n\r\n", "\u{e4}\r\n\r\n"] {
            assert!(f.raw(request).await.starts_with("HTTP/1.1 400 "), "{request}");
        }
    });
}

#[test]
fn wrong_methods_are_refused_with_those_that_are_allowed() {
    with_node(|f| async move {
        let client = f.node.client();
        let response = client.send(ClientRequest::new(Method::PUT, f.url("/quota"))).await.unwrap();
        assert_eq!((response.status.as_u16(), response.header("allow")), (405, Some("GET, POST")));
        assert_eq!(
            response.text(1000).await.unwrap(),
            "405 Method Not Allowed. Expecting one of { 'GET', 'POST' }, but received 'PUT'."
        );
        let options = client.send(ClientRequest::new(Method::OPTIONS, f.url("/quota"))).await.unwrap();
        assert_eq!((options.status.as_u16(), options.header("allow")), (200, Some("GET, POST")));
        assert_eq!(f.status(Method::HEAD, "/state").await, 200);
        let head = f.raw("HEAD /state?size=5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(head.contains("Content-Length: 5\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        // A route that takes every method takes these, too.
        assert_eq!(f.status(Method::OPTIONS, "/health").await, 200);
        assert_eq!(f.status(Method::DELETE, "/health").await, 200);
        // What nobody serves has no methods.
        assert_eq!(f.status(Method::OPTIONS, "/nope").await, 404);
        assert_eq!(f.status(Method::HEAD, "/nope").await, 404);
    });
}

#[test]
fn recorded_requests_are_answered_as_genuine_mesos_did() {
    with_node(|f| async move {
        let mut compared = 0;
        for line in include_str!("../data/http.jsonl").lines() {
            let pair: Value = serde_json::from_str(line).unwrap();
            let name = pair["name"].as_str().unwrap();
            let answer = f.raw(raw_request(&pair)).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{name}: {answer:?}"));
            let status = head.lines().next().unwrap();
            let expected = pair["status"].as_str().unwrap();
            // An answer to HTTP/1.0 is one of HTTP/1.0 here.
            assert_eq!(status[8..], expected[8..], "{name}: {answer}");
            // Messages are answered by the peers' loop, which has no use for a date.
            let dated = head.to_ascii_lowercase().contains("\r\ndate: ");
            assert!(dated || name.contains("message"), "{name}: {head}");
            if pair["response_left_out"].is_null() {
                assert_eq!(body, pair["response"].as_str().unwrap(), "{name}");
                for header in pair["response_headers"].as_array().unwrap() {
                    let header = header.as_str().unwrap();
                    assert!(head.lines().any(|line| line == header), "{name}: no '{header}' in {head}");
                }
            }
            compared += 1;
        }
        assert!(compared > 40);
    });
}

/// The bytes of a recorded request. Raw ones carry their lines as they were.
fn raw_request(pair: &Value) -> String {
    let lines: Vec<&str> =
        pair["headers"].as_array().unwrap().iter().map(|header| header.as_str().unwrap()).collect();
    let (method, path) = (pair["method"].as_str().unwrap(), pair["path"].as_str().unwrap());
    let body = pair["body"].as_str().unwrap_or("");
    if pair["name"].as_str().unwrap().contains("-raw-") {
        let close = if path.contains("HTTP/1.1") { "Connection: close\r\n" } else { "" };
        let lines: String =
            lines.iter().filter(|l| !l.contains("pgrade")).map(|l| format!("{l}\n")).collect();
        return format!("{method} {path}\n{close}{lines}");
    }
    let headers: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn an_upgrade_nobody_asked_for_is_ignored() {
    with_node(|f| async move {
        let answer = f
            .raw("GET /version HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with(r#""version":"1.12.0"}"#), "{answer}");
    });
}

/// Nothing more is answered on such a connection, so it is said.
#[test]
fn who_proposes_an_upgrade_is_told_that_the_connection_ends() {
    with_node(|f| async move {
        for lines in ["Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", "Connection: upgrade\r\n"] {
            let answer = f.raw(format!("GET /version HTTP/1.1\r\nHost: x\r\n{lines}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        }
    });
}

#[test]
fn large_answers_are_compressed_for_those_who_accept_it() {
    with_node(|f| async move {
        for (size, accept, packed) in
            [(1023, "gzip", false), (1024, "gzip", true), (5000, "*", true), (5000, "gzip;q=0", false)]
        {
            let request =
                ClientRequest::get(f.url(&format!("/state?size={size}"))).header("accept-encoding", accept);
            let response = f.node.client().send(request).await.unwrap();
            assert_eq!(response.header("content-encoding").is_some(), packed, "{size} {accept}");
            let body = response.bytes(1 << 20).await.unwrap();
            let mut text = String::new();
            if packed {
                assert!(body.len() < size / 2);
                flate2::read::GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
            } else {
                text = String::from_utf8(body.to_vec()).unwrap();
            }
            assert_eq!(text, "x".repeat(size));
        }
    });
}

#[test]
fn others_are_answered_while_a_very_large_answer_is_compressed() {
    with_node(|f| async move {
        let large = ClientRequest::get(f.url("/state?size=30000000")).header("accept-encoding", "gzip");
        let large = async {
            let response = f.node.client().send(large).await.unwrap();
            assert_eq!(response.header("content-encoding"), Some("gzip"));
        };
        let others = async {
            // On another connection, and behind it.
            tokio::time::sleep(Duration::from_millis(50)).await;
            f.get("/version").await;
        };
        let (large, others) = (std::pin::pin!(large), std::pin::pin!(others));
        let first = futures::future::select(large, others).await;
        assert!(matches!(first, futures::future::Either::Right(_)), "nobody was answered meanwhile");
    });
}

#[test]
fn a_body_in_pieces_is_one_body() {
    with_node(|f| async move {
        let whole = format!("{}bbb{}", "a".repeat(100_000), "c".repeat(100_000));
        assert_eq!(f.get("/pieces").await, whole);
        let packed = ClientRequest::get(f.url("/pieces")).header("accept-encoding", "gzip");
        let response = f.node.client().send(packed).await.unwrap();
        assert_eq!(response.header("content-encoding"), Some("gzip"));
        let mut text = String::new();
        let body = response.bytes(1 << 20).await.unwrap();
        flate2::read::GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
        assert_eq!(text, whole);
        let head = f.raw("HEAD /pieces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(head.contains("Content-Length: 200003\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    });
}

#[test]
fn compressed_and_chunked_requests_are_unpacked() {
    with_node(|f| async move {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, b"hello").unwrap();
        let packed = encoder.finish().unwrap();
        let request =
            ClientRequest::post(f.url("/echo")).header("content-encoding", "gzip").body(packed.clone());
        assert_eq!(f.node.client().send(request).await.unwrap().text(100).await.unwrap(), "hello");
        let broken = ClientRequest::post(f.url("/echo")).header("content-encoding", "gzip").body("nonsense");
        assert_eq!(f.node.client().send(broken).await.unwrap().status.as_u16(), 400);
        let chunked = f
            .raw(
                "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            )
            .await;
        assert!(chunked.ends_with("\r\n\r\nabcde"), "{chunked}");
    });
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    with_node(|f| async move {
        let mut socket = f.connect().await;
        let (mut reading, mut writing) = socket.split();
        // Empty answers (202) to requests with bodies, cut at every size: actix-http alone loses requests here.
        const CALLS: usize = 3000;
        let mut bytes = Vec::new();
        for n in 0..CALLS {
            let body = format!("{n:0width$}", width = 1 + n % 300);
            let path = if n % 3 == 0 { "/echo" } else { "/api/v1" };
            bytes.extend_from_slice(
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                    .as_bytes(),
            );
        }
        bytes.extend_from_slice(b"GET /path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let write = async {
            for piece in bytes.chunks(1777) {
                writing.write_all(piece).await.unwrap();
            }
        };
        let mut answers = String::new();
        let (_, read) = tokio::join!(write, reading.read_to_string(&mut answers));
        read.unwrap();
        assert_eq!(answers.matches("HTTP/1.1 202 Accepted").count(), CALLS * 2 / 3);
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), CALLS / 3 + 1);
        // Only the last one closes.
        assert_eq!(answers.to_ascii_lowercase().matches("connection: close").count(), 1);
        let echoed: Vec<usize> = answers
            .split("\r\n\r\n")
            .filter_map(|part| part.split("HTTP/1.1").next()?.parse().ok())
            .collect();
        assert_eq!(echoed, (0..CALLS).step_by(3).collect::<Vec<_>>());
        assert!(answers.ends_with("\r\n\r\n/master/path"));
    });
}

#[test]
fn an_ordinary_client_can_send_a_message() {
    with_node(|mut f| async move {
        let request = ClientRequest::post(f.url("/master/test.Note"))
            .header("libprocess-from", "somebody@127.0.0.1:9")
            .body("hello");
        assert_eq!(f.node.client().send(request).await.unwrap().status.as_u16(), 202);
        let (text, from) = patient(f.messages.recv()).await.unwrap();
        assert_eq!((text.as_str(), from.to_string().as_str()), ("hello", "somebody@127.0.0.1:9"));
        let request =
            ClientRequest::post(f.url("/nobody/test.Note")).header("user-agent", "libprocess/a@127.0.0.1:9");
        assert_eq!(f.node.client().send(request).await.unwrap().status.as_u16(), 404);
        // On a connection that began with an ordinary request, too.
        let answers = f
            .raw(
                "GET /path HTTP/1.1\r\nHost: x\r\n\r\n\
                 POST /master/test.Note HTTP/1.1\r\nHost: \r\nLibprocess-From: b@127.0.0.1:9\r\n\
                 Connection: close\r\nContent-Length: 3\r\n\r\nbye",
            )
            .await;
        assert!(answers.contains("HTTP/1.1 202 Accepted"), "{answers}");
        assert_eq!(patient(f.messages.recv()).await.unwrap().0, "bye");
    });
}

#[test]
fn queries_are_decoded() {
    let query = Query::parse("a=1&b=x%20y+z;c&a=2&=3&d=%C3%A4");
    assert_eq!(query.get("a"), Some("2"));
    assert_eq!(query.get("b"), Some("x y z"));
    assert_eq!(query.get("c"), Some(""));
    assert_eq!(query.get("d"), Some("ä"));
    assert_eq!(query.get("e"), None);
}
