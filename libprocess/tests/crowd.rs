//! Ten thousand idle connections, and what they cost.
//!
//! Alone in its file: it looks at the memory and the files of the whole process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::time::Duration;

use libprocess::{Limits, Node};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const CROWD: usize = 10_000;
/// What the node may keep of them. Ours and the node's ends of the connections are files of one process.
const KEPT: usize = 4096;
const FILES: u64 = (CROWD + KEPT + 500) as u64;

/// What an idle connection may cost, with our end of it.
const COST: usize = 64 << 10;

#[test]
fn ten_thousand_idle_connections_are_bounded_in_number_and_memory_and_disturb_nobody() {
    libprocess::raise_file_limit().unwrap();
    let limit = getrlimit(Resource::Nofile).current;
    if limit.is_some_and(|limit| limit < FILES) {
        eprintln!("skipped: it needs {FILES} open files, and may have {limit:?}");
        return;
    }
    libprocess::run(async {
        let limits = Limits { clients: KEPT, ..Limits::default() };
        let node = Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0))).limits(limits).start().await;
        let node = node.unwrap();
        let mut client = connect(1, node.address()).await;
        assert_eq!(ask(&mut client, CLIENT).await, "200");
        let mut peer = connect(1, node.address()).await;
        assert_eq!(ask(&mut peer, PEER).await, "202");

        let before = resident_bytes();
        let mut crowd = Vec::with_capacity(CROWD);
        for number in 0..CROWD {
            let mut connection = connect(2, node.address()).await;
            // Some say nothing at all, most have asked once.
            if number % 4 > 0 {
                assert_eq!(ask(&mut connection, CLIENT).await, "200");
            }
            crowd.push(connection);
        }
        let cost = resident_bytes().saturating_sub(before) / KEPT;
        eprintln!("{cost} bytes for each connection that is kept, with all our ends");
        assert!(cost < COST, "{cost} bytes for each connection that is kept");

        // The oldest are closed, all but as many as may be.
        for connection in &mut crowd[..CROWD - KEPT - 10] {
            wait_for_close(connection).await;
        }
        assert_eq!(ask(crowd.last_mut().unwrap(), CLIENT).await, "200");
        // Others keep theirs, and can open more.
        assert_eq!(ask(&mut client, CLIENT).await, "200");
        assert_eq!(ask(&mut peer, PEER).await, "202");
        let mut late = connect(3, node.address()).await;
        assert_eq!(ask(&mut late, CLIENT).await, "200");
        drop(crowd);
        node.shutdown().await;
    });
}

const CLIENT: &str = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
const PEER: &str = "POST /version/hello HTTP/1.1\r\nUser-Agent: libprocess/a@127.0.0.1:9\r\n\r\n";

/// Connects as another host; all of 127.0.0.0/8 is this one.
async fn connect(host: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends a request; gives the status of the answer, which is short.
async fn ask(connection: &mut TcpStream, request: &str) -> String {
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 4096];
    let length = soon(connection.read(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).get(9..12).unwrap_or("nothing").to_owned()
}

async fn wait_for_close(connection: &mut TcpStream) {
    let mut rest = [0; 64];
    while matches!(soon(connection.read(&mut rest)).await, Ok(length) if length > 0) {}
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it happens within a minute")
}

/// The memory that this process has at the moment.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}
