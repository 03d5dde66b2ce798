//! The HTTP server over loopback: routing, limits, compression, streams, pipelining, and what genuine Mesos
//! answered (`data/http.jsonl`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod access;
mod assets;
mod client;
mod hostile;
mod limits;
mod server;
mod streams;
mod system;
mod throughput;
mod unix;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use ::http::{Method, StatusCode};
use bytes::Bytes;
use libprocess::http::{
    Body, ClientRequest, Query, Reply, Request, Response, SharedBytes, StreamSender, opened_stream, stream,
};
use libprocess::{
    Context, DecodeError, Encoding, Handle, Install, Limits, Node, Pid, Process, WireMessage, messages,
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
    /// By how many MiB they have, and by name.
    documents: BTreeMap<(usize, String), SharedBytes>,
}

impl Master {
    /// The document that a query names, made when it is asked for first.
    fn document(&mut self, query: &Query) -> SharedBytes {
        let number = |name| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(1);
        let name = query.get("name").unwrap_or_default().to_owned();
        let document = self.documents.entry((number("mib"), name)).or_insert_with_key(|(mib, _)| {
            let piece = Bytes::from(vec![b's'; 1 << 20]);
            SharedBytes::new(vec![piece; *mib])
        });
        document.clone()
    }
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
        install.get("/pieces", "Pieces", |_, _, _| {
            let pieces = ["a".repeat(100_000), String::new(), "b".repeat(3), "c".repeat(100_000)];
            let body = Body::shared(SharedBytes::new(pieces.map(Bytes::from)));
            Response { body, ..Response::new(StatusCode::OK) }.into()
        });
        install.get("/document", "A document", |master, request, _| {
            let body = Body::shared(master.document(&request.query));
            Response { body, ..Response::new(StatusCode::OK) }.into()
        });
        install.get("/opened", "A stream that begins with a document", |master, request, _| {
            let (sender, opening) = opened_stream();
            sender.send("first").unwrap();
            master.streams.send(sender).unwrap();
            let document = master.document(&request.query);
            Reply::render(move || Response::streaming("text/plain", opening.with(document)))
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
        install.get("/hidden", "Hidden", |_, _, _| Response::json("{}").into());
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
    with_limits(Limits::default(), test);
}

/// Runs a test against a node that takes so much.
fn with_limits<F: Future<Output = ()>>(limits: Limits, test: impl FnOnce(Fixture) -> F) {
    libprocess::run(on_a_node(limits, |fixture| patient(test(fixture))));
}

/// The same on one thread, under a clock that jumps when nothing is left to do.
fn in_paused_time<F: Future<Output = ()>>(limits: Limits, test: impl FnOnce(Fixture) -> F) {
    libprocess::testing::run(on_a_node(limits, test));
}

async fn on_a_node<F: Future<Output = ()>>(limits: Limits, test: impl FnOnce(Fixture) -> F) {
    let version: Value = serde_json::from_str(
        r#"{"build_date":"2026-11-23 21:17:45 UTC","build_time":1795468665.0,"build_user":"","version":"1.12.0"}"#,
    )
    .unwrap();
    let node = Node::builder()
        .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .delegate("master")
        .limits(limits)
        .version(version)
        .firewall(["/master/later", "master//hidden/", "/master/path/closed"].map(str::to_owned).to_vec())
        .start()
        .await
        .unwrap();
    let (streams, streams_receiver) = mpsc::unbounded_channel();
    let (messages, messages_receiver) = mpsc::unbounded_channel();
    node.spawn(Master { streams, messages, documents: BTreeMap::new() });
    node.spawn(libprocess::files::Files::new());
    let fixture = Fixture { node: node.clone(), streams: streams_receiver, messages: messages_receiver };
    test(fixture).await;
    node.shutdown().await;
}
