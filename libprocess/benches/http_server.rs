//! What a node answers to ordinary HTTP clients, against bare actix-web.
//!
//! *`/version`*: 64 connections, one request at a time on each; the route of an actor, which answers. The comparator: a
//! bare actix-web server with one worker that answers the same bytes, asked in the same way. *Calls*: POSTs of 256 bytes
//! to an actor's route, pipelined on one connection as Mesos's C++ scheduler library does; then on 64, one at a time.
//! The comparator: the same requests to the bare server, which reads the body and answers 202.
//!
//! For scale: genuine Mesos answered 16,000 `/version` a second at 64 connections on a machine of this kind.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;

use actix_web::HttpResponse;
use harness::bench::{self, Report, Target, in_turn};
use libprocess::http::Response;
use libprocess::{Install, Node, Place, Process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::{Answers, BareServer};

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 64 * 1024;
/// Calls that wait for their answers on the pipelined connection.
const IN_FLIGHT: usize = 64;
const ROUNDS: usize = 9;
/// Genuine Mesos, in requests a second.
const GENUINE: f64 = 16e3;

const VERSION: &str = r#"{"build_date":"2026-11-23 21:17:45 UTC","build_time":1795468665.0,"build_user":"","version":"1.12.0"}"#;

fn main() -> ExitCode {
    let mut report = Report::new("http_server", "ordinary HTTP clients of a node");
    report.note(format!("{REQUESTS} requests; medians of {ROUNDS}"));

    let version = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let turns = in_turn(
        ROUNDS,
        [&mut || libprocess::run(served(version, Clients::Many)), &mut || {
            libprocess::run(bare(version, Clients::Many))
        }],
    );
    report.figure("bare actix-web, 64 connections", turns.median(1) / 1e3, "k/s", Target::None);
    report.figure("/version, 64 connections", turns.median(0) / 1e3, "k/s", Target::None);
    report.figure("/version for each of bare actix-web", turns.ratio(0, 1), "", Target::None);
    let name = "/version for each of genuine Mesos";
    report.figure(name, turns.median(0) / GENUINE, "", Target::None);

    for (place, path) in [("on another arbiter", "/far/call"), ("on that of connections", "/near/call")] {
        for (how, clients) in
            [("pipelined on one connection", Clients::One), ("on 64 connections", Clients::Many)]
        {
            let call = call(path);
            let turns = in_turn(
                ROUNDS,
                [&mut || libprocess::run(served(&call, clients)), &mut || {
                    libprocess::run(bare(&call, clients))
                }],
            );
            report.note(format!("calls {how}, the actor {place}:"));
            report.figure("bare actix-web", turns.median(1) / 1e3, "k/s", Target::None);
            report.figure("calls", turns.median(0) / 1e3, "k/s", Target::None);
            report.figure("calls for each of bare actix-web", turns.ratio(0, 1), "", Target::None);
        }
    }
    report.verdict()
}

#[derive(Clone, Copy)]
enum Clients {
    /// One connection, pipelined.
    One,
    /// Many, one request at a time on each.
    Many,
}

fn call(path: &str) -> Vec<u8> {
    let body = "x".repeat(256);
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Takes calls, on the arbiter of connections or on another.
struct Calls<const FAR: bool>;

impl<const FAR: bool> Process for Calls<FAR> {
    const NAME: &'static str = if FAR { "far" } else { "near" };
    const PLACE: Place = if FAR { Place::Own("calls") } else { Place::Http };
    fn install(install: &mut Install<Self>) {
        install.post("/call", "Takes a call.", |_, _, _| Response::accepted().into());
    }
}

/// Answers of a node, a second.
async fn served(request: &[u8], clients: Clients) -> f64 {
    let version = serde_json::from_str(VERSION).expect("it is JSON");
    let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).version(version).start().await;
    let node = node.expect("a port is free");
    node.spawn(Calls::<true>);
    node.spawn(Calls::<false>);
    let rate = rate(node.address(), request, clients).await;
    node.shutdown().await;
    rate
}

/// The comparator.
async fn bare(request: &[u8], clients: Clients) -> f64 {
    let server = BareServer::start(if request.starts_with(b"GET") { version } else { accepted });
    let rate = rate(server.address, request, clients).await;
    server.stop().await;
    rate
}

fn version() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(VERSION)
}

fn accepted() -> HttpResponse {
    HttpResponse::Accepted().body("x")
}

async fn rate(to: SocketAddr, request: &[u8], clients: Clients) -> f64 {
    match clients {
        Clients::One => support::pipelined(to, request, REQUESTS, IN_FLIGHT).await,
        Clients::Many => one_at_a_time(to, request).await,
    }
}

async fn one_at_a_time(to: SocketAddr, request: &[u8]) -> f64 {
    let began = bench::now();
    let clients = (0..CONNECTIONS).map(|_| {
        let request = request.to_vec();
        actix_rt::spawn(async move {
            let mut stream = TcpStream::connect(to).await.expect("the server listens");
            stream.set_nodelay(true).expect("it is a socket");
            let (mut buffer, mut answers) = (vec![0; 4 << 10], Answers::default());
            for sent in 1..=REQUESTS / CONNECTIONS {
                stream.write_all(&request).await.expect("the server reads");
                while answers.count < sent {
                    let length = stream.read(&mut buffer).await.expect("the server answers");
                    assert!(length > 0, "the server closed the connection");
                    answers.take(&buffer[..length]);
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        assert!(client.await.is_ok());
    }
    REQUESTS as f64 / began.elapsed().as_secs_f64()
}
