//! The HTTP server over loopback: routing, limits, compression, streams, pipelining, and what genuine Mesos
//! answered (`data/http.jsonl`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::future::Future;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use ::http::{Method, StatusCode};
use bytes::Bytes;
use libprocess::http::{ClientRequest, Query, Reply, Request, Response, StreamSender, stream};
use libprocess::{
    Context, DecodeError, Encoding, Handle, Install, Node, Pid, Process, WireMessage, messages,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// What a test waits for at most; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stands in for a master: the delegate, with routes of every kind.
struct Master {
    streams: mpsc::UnboundedSender<StreamSender>,
    messages: mpsc::UnboundedSender<(String, Pid)>,
}

#[derive(Debug)]
struct Note(String);

messages! { Note; }

impl WireMessage for Note {
    const NAME: &'static str = "test.Note";
    fn encode(&self, _: Encoding) -> Vec<u8> {
        self.0.clone().into_bytes()
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Note(String::from_utf8_lossy(bytes).into_owned()))
    }
}

impl Handle<Note> for Master {
    fn handle(&mut self, message: Note, from: &Pid, _: &mut Context<Self>) {
        self.messages.send((message.0, from.clone())).unwrap();
    }
}

impl Process for Master {
    const NAME: &'static str = "master";

    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
        install.get("/state", "### TL;DR; ###\nThe state.\n", |_, request, _| {
            let size = request.query.get("size").and_then(|s| s.parse().ok()).unwrap_or(2);
            Reply::render(move || Response::json("x".repeat(size)))
        });
        install.route(&[], "/health", "Health", |_, _, _| Response::new(StatusCode::OK).into());
        install.post("/echo", "Echo", |_, request, _| Response::ok("text/plain", request.body).into());
        install.post("/api/v1", "Operator calls", |_, _, _| Response::accepted().into());
        install.post("/api/v1/scheduler", "Scheduler calls", |master, request, _| {
            let (sender, body) = stream();
            sender.send(request.body).unwrap();
            master.streams.send(sender).unwrap();
            Response::streaming("application/json", body).into()
        });
        install
            .get("/path", "Where it went", |_, request, _| Response::ok("text/plain", request.path).into());
        install.get("/quota", "Quota", |_, _, _| Response::json("{}").into());
        install.post("/quota", "Quota", |_, _, _| Response::accepted().into());
        install.get("/later", "Later", |_, _, ctx| {
            let node = ctx.node().clone();
            Reply::later(async move { Response::ok("text/plain", node.blocking(|| "later").await) })
        });
    }
}

struct Fixture {
    node: Node,
    streams: mpsc::UnboundedReceiver<StreamSender>,
    messages: mpsc::UnboundedReceiver<(String, Pid)>,
}

impl Fixture {
    fn address(&self) -> SocketAddr {
        self.node.address()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Sends bytes and reads until the server closes the connection.
    async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // A server that closes before it has read everything resets the connection.
        let _ = patient(socket.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn status(&self, method: Method, path: &str) -> u16 {
        let request = ClientRequest::new(method, self.url(path));
        self.node.client().send(request).await.unwrap().status.as_u16()
    }

    async fn get(&self, path: &str) -> String {
        let response = self.node.client().send(ClientRequest::get(self.url(path))).await.unwrap();
        response.text(64 << 20).await.unwrap()
    }
}

async fn patient<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Runs a test against a node.
fn with_node<F: Future<Output = ()>>(test: impl FnOnce(Fixture) -> F) {
    libprocess::run(async {
        let version: Value = serde_json::from_str(
            r#"{"build_date":"2026-11-23 21:17:45 UTC","build_time":1795468665.0,"build_user":"","version":"1.12.0"}"#,
        )
        .unwrap();
        let node = Node::builder()
            .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .delegate("master")
            .version(version)
            .firewall(vec!["/master/later".to_owned()])
            .start()
            .await
            .unwrap();
        let (streams, streams_receiver) = mpsc::unbounded_channel();
        let (messages, messages_receiver) = mpsc::unbounded_channel();
        node.spawn(Master { streams, messages });
        node.spawn(libprocess::files::Files::new());
        let fixture = Fixture { node: node.clone(), streams: streams_receiver, messages: messages_receiver };
        patient(test(fixture)).await;
        node.shutdown().await;
    });
}

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
            ("/later", 403),
            ("/master/later", 403),
        ] {
            assert_eq!(f.status(Method::GET, path).await, status, "{path}");
        }
        assert_eq!(f.get("/later").await, "Endpoint '/master/later' is disabled");
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
    });
}

#[test]
fn recorded_requests_are_answered_as_genuine_mesos_did() {
    with_node(|f| async move {
        let mut compared = 0;
        for line in include_str!("data/http.jsonl").lines() {
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
fn a_body_over_the_limit_is_refused() {
    with_node(|f| async move {
        let request =
            ClientRequest::post(f.url("/echo")).body(vec![b'x'; libprocess::http::MAX_REQUEST_BODY + 1]);
        let response = f.node.client().send(request).await.unwrap();
        assert_eq!(response.status.as_u16(), 413);
        // What unpacks to more than the limit is, too.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeroes = vec![0; 1 << 20];
        for _ in 0..65 {
            std::io::Write::write_all(&mut encoder, &zeroes).unwrap();
        }
        let bomb = ClientRequest::post(f.url("/echo"))
            .header("content-encoding", "gzip")
            .body(encoder.finish().unwrap());
        assert_eq!(f.node.client().send(bomb).await.unwrap().status.as_u16(), 413);
        assert_eq!(f.status(Method::GET, "/state").await, 200);
    });
}

#[test]
fn what_is_no_http_is_refused() {
    with_node(|f| async move {
        for request in [
            "garbage\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let answer = f.raw(request).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(200 << 10));
        let answer = f.raw(long).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(f.status(Method::GET, "/state").await, 200);
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
fn the_pipeline_client_keeps_order_and_reports_the_end() {
    with_node(|f| async move {
        let pipeline = f.node.client().pipeline(f.address().to_string());
        let answers: Vec<_> = (0..500)
            .map(|n| {
                let path = if n % 2 == 0 { "/echo" } else { "/api/v1" };
                (n, pipeline.send(ClientRequest::post(path).body(n.to_string())))
            })
            .collect();
        for (n, answer) in answers {
            let answer = answer.await.unwrap();
            if n % 2 == 0 {
                assert_eq!((answer.status.as_u16(), answer.body), (200, Bytes::from(n.to_string())));
            } else {
                assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0));
            }
        }
        assert_eq!(pipeline.ended(), None);
        let closing = pipeline.send(ClientRequest::get("/path").header("connection", "close"));
        let lost = pipeline.send(ClientRequest::get("/path"));
        assert_eq!(closing.await.unwrap().status.as_u16(), 200);
        assert!(lost.await.unwrap_err().to_string().contains(&f.address().to_string()));
        pipeline.closed().await;
        assert!(pipeline.send(ClientRequest::get("/path")).await.is_err());
    });
}

#[test]
fn a_pipeline_to_nobody_says_so() {
    with_node(|f| async move {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let pipeline = f.node.client().pipeline(port.to_string());
        let error = pipeline.send(ClientRequest::get("/x")).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot connect to {port}: Connection refused (os error 111)"));
        assert_eq!(pipeline.closed().await, error);
    });
}

/// Reads the head of a chunked answer, then exactly one chunk after the other.
struct Chunks {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Chunks {
    async fn subscribe(f: &Fixture) -> Chunks {
        let mut socket = f.connect().await;
        socket
            .write_all(b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
            .await
            .unwrap();
        let mut chunks = Chunks { socket, buffer: Vec::new() };
        let head = chunks.until(b"\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
        chunks
    }

    async fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|w| w == end) {
                let piece: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                return String::from_utf8(piece).unwrap();
            }
            assert!(patient(self.socket.read_buf(&mut self.buffer)).await.unwrap() > 0, "closed");
        }
    }

    async fn next(&mut self) -> String {
        let size = self.until(b"\r\n").await;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        while self.buffer.len() < size + 2 {
            assert!(patient(self.socket.read_buf(&mut self.buffer)).await.unwrap() > 0, "closed");
        }
        let chunk: Vec<u8> = self.buffer.drain(..size + 2).collect();
        String::from_utf8(chunk[..size].to_vec()).unwrap()
    }
}

#[test]
fn every_piece_of_a_stream_is_one_chunk_and_leaves_at_once() {
    with_node(|mut f| async move {
        let mut chunks = Chunks::subscribe(&f).await;
        let sender = patient(f.streams.recv()).await.unwrap();
        assert_eq!(chunks.next().await, "hello");
        sender.send("one").unwrap();
        assert_eq!(chunks.next().await, "one");
        for n in 0..100 {
            sender.send(format!("event {n}")).unwrap();
        }
        let large = "x".repeat(300_000);
        sender.send(large.clone()).unwrap();
        for n in 0..100 {
            assert_eq!(chunks.next().await, format!("event {n}"));
        }
        assert_eq!(chunks.next().await, large);
        sender.close();
        assert_eq!(chunks.next().await, "");
    });
}

#[test]
fn a_stream_whose_peer_went_away_is_closed_though_nothing_is_sent() {
    with_node(|mut f| async move {
        // A clean close, a close with unread data (a reset), and a half close.
        for way in ["close", "reset", "half"] {
            let mut chunks = Chunks::subscribe(&f).await;
            let sender = patient(f.streams.recv()).await.unwrap();
            assert_eq!(chunks.next().await, "hello");
            let closed = sender.closed();
            match way {
                "reset" => {
                    sender.send("unread").unwrap();
                    chunks.socket.readable().await.unwrap();
                    drop(chunks);
                    patient(closed).await;
                }
                "half" => {
                    chunks.socket.shutdown().await.unwrap();
                    patient(closed).await;
                    // The server closes its side as well.
                    let mut rest = Vec::new();
                    let _ = patient(chunks.socket.read_to_end(&mut rest)).await;
                }
                _ => {
                    drop(chunks);
                    patient(closed).await;
                }
            }
            assert!(sender.send("late").is_err(), "{way}");
        }
    });
}

#[test]
fn a_peer_that_does_not_read_fills_the_stream_and_not_the_memory() {
    with_node(|mut f| async move {
        let chunks = Chunks::subscribe(&f).await;
        let sender = patient(f.streams.recv()).await.unwrap();
        let piece = Bytes::from(vec![b'x'; 8 << 20]);
        let mut sent = 0;
        while sender.send(piece.clone()).is_ok() {
            sent += 1;
            assert!(sent < 100, "the stream never fills");
        }
        assert_eq!(sender.send(piece), Err(libprocess::http::StreamError::Full));
        drop(chunks);
        patient(sender.closed()).await;
    });
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    with_node(|f| async move {
        let mut socket = f.connect().await;
        socket.write_all(b"GET /state?size=100000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert!(answer.len() > 100_000);
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
fn the_client_streams_reuses_connections_and_names_what_failed() {
    with_node(|mut f| async move {
        let client = f.node.client().clone();
        let mut response =
            client.send(ClientRequest::post(f.url("/api/v1/scheduler")).body("first")).await.unwrap();
        let sender = patient(f.streams.recv()).await.unwrap();
        assert_eq!(response.chunk().await.unwrap(), Some(Bytes::from("first")));
        sender.send("second").unwrap();
        assert_eq!(response.chunk().await.unwrap(), Some(Bytes::from("second")));
        sender.close();
        assert_eq!(response.chunk().await.unwrap(), None);

        let over = client.send(ClientRequest::get(f.url("/state?size=5000"))).await.unwrap();
        assert_eq!(
            over.bytes(100).await.unwrap_err().to_string(),
            format!("the answer of {} is larger than 100 bytes", f.address())
        );
        for (url, text) in [
            ("https://x/", "cannot use the URL 'https://x/': only http:// is supported"),
            ("nonsense", "cannot use the URL 'nonsense': only http:// is supported"),
        ] {
            assert_eq!(client.send(ClientRequest::get(url)).await.unwrap_err().to_string(), text);
        }
        let bad = ClientRequest::get(f.url("/")).header("x", "a\r\nb");
        assert_eq!(client.send(bad).await.unwrap_err().to_string(), "cannot send the header 'x'");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = ClientRequest::get(format!("http://{}/", nobody.local_addr().unwrap()))
            .timeout(Duration::from_millis(50));
        assert!(
            client.send(silent).await.unwrap_err().to_string().ends_with("took more than 50ms (answering)")
        );
    });
}

/// Redirects to wherever its query says.
struct Redirector;

impl Process for Redirector {
    const NAME: &'static str = "redirector";
    fn install(install: &mut Install<Self>) {
        install.route(&[], "/to", "", |_, request: Request, _| {
            Response::temporary_redirect(request.query.get("where").unwrap_or("")).into()
        });
    }
}

#[test]
fn redirects_are_followed_when_asked_for() {
    with_node(|f| async move {
        f.node.spawn(Redirector);
        let client = f.node.client();
        let address = f.address();
        let to = |place: &str| f.url(&format!("/redirector/to?where={place}"));
        let plain = client.send(ClientRequest::get(to("/path"))).await.unwrap();
        assert_eq!((plain.status.as_u16(), plain.header("location")), (307, Some("/path")));
        for place in ["/path".to_owned(), format!("//{address}/path"), format!("http://{address}/path")] {
            let response = client.send(ClientRequest::get(to(&place)).follow_redirects(3)).await.unwrap();
            assert_eq!(response.text(100).await.unwrap(), "/master/path", "{place}");
        }
        let post = ClientRequest::post(to("/echo")).body("again").follow_redirects(1);
        assert_eq!(client.send(post).await.unwrap().text(100).await.unwrap(), "again");
        let circle = ClientRequest::get(to("/redirector/to%3Fwhere=/redirector/to")).follow_redirects(2);
        assert!(client.send(circle).await.unwrap_err().to_string().starts_with("too many redirects"));
    });
}

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
        assert!(f.get("/metrics").await.contains("master_dropped_messages 3\n"));
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
            "### USAGE ###\n>        /state\n>        /master/state\n\n### TL;DR; ###\nThe state.\n"
        );
        let json: Value = serde_json::from_str(&f.get("/help?format=json").await).unwrap();
        let master = json["processes"].as_array().unwrap().iter().find(|p| p["id"] == "master").unwrap();
        assert!(master["endpoints"].as_array().unwrap().iter().any(|e| e["name"] == "/api/v1/scheduler"));
        assert_eq!(f.status(Method::GET, "/help/nobody").await, 400);
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

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    with_node(|f| async move {
        let mut socket = f.connect().await;
        socket
            .write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            .await
            .unwrap();
        let mut chunks = Chunks { socket, buffer: Vec::new() };
        assert_eq!(chunks.until(b"\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        chunks.socket.write_all(b"hello").await.unwrap();
        assert!(chunks.until(b"hello").await.starts_with("HTTP/1.1 200 OK"));
    });
}

#[test]
fn many_connections_do_not_mix_their_answers() {
    with_node(|f| async move {
        let client = f.node.client().clone();
        let url = f.url("/echo");
        let requests = (0..300).map(|n| {
            let (client, url) = (client.clone(), url.clone());
            async move {
                let request = ClientRequest::post(url).body(n.to_string());
                client.send(request).await.unwrap().text(100).await.unwrap() == n.to_string()
            }
        });
        assert!(futures::future::join_all(requests).await.into_iter().all(|right| right));
    });
}

/// A node under a paused clock, which jumps whenever nothing happens: limits of time are reached at once.
fn in_jumping_time<F: Future<Output = ()>>(test: impl FnOnce(SocketAddr) -> F) {
    libprocess::testing::run(async {
        let node = Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0))).start().await.unwrap();
        test(node.address()).await;
        node.shutdown().await;
    });
}

const VERSION: &[u8] = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_first_request_that_comes_too_slowly_is_answered_with_408() {
    in_jumping_time(|address| async move {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /version HTTP/1.1\r\nHo").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    });
}

#[test]
fn a_later_request_or_a_body_that_comes_too_slowly_ends_the_connection() {
    for rest in [
        &b"GET /version HTTP/1.1\r\nHo"[..],
        b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx",
    ] {
        in_jumping_time(|address| async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(&[VERSION, rest].concat()).await.unwrap();
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer).await;
            let answer = String::from_utf8(answer).unwrap();
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        });
    }
}

#[test]
fn an_idle_connection_is_kept_for_as_long_as_its_peer_keeps_it() {
    in_jumping_time(|address| async move {
        let mut socket = TcpStream::connect(address).await.unwrap();
        for _ in 0..3 {
            socket.write_all(VERSION).await.unwrap();
            let mut answer = [0; 8];
            socket.read_exact(&mut answer).await.unwrap();
            let mut rest = vec![0; 4096];
            assert!(socket.read(&mut rest).await.unwrap() > 0);
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
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

#[test]
fn what_an_accept_header_means() {
    let accepts = |value: &str, wanted: &str| {
        let mut request = Request::new(Method::GET, "/");
        request.headers.insert("accept", value.parse().unwrap());
        request.accepts_media_type(wanted)
    };
    assert!(Request::new(Method::GET, "/").accepts_media_type("application/json"));
    assert!(accepts("*/*", "application/json"));
    assert!(accepts("text/html, application/*;q=0.5", "application/json"));
    assert!(!accepts("text/html", "application/json"));
    assert!(!accepts("application/json;q=0", "application/json"));
}
