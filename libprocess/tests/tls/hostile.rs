//! Clients that speak something else, or half of it.

use libprocess::http::{Client, ClientRequest};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// The first bytes of a handshake.
const BEGINNING: [u8; 6] = [0x16, 0x03, 0x01, 0x40, 0x00, 0x01];

/// What a server says to bytes, until it closes.
async fn answer(host: &Host, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(host.node.address()).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    soon(socket.read_to_end(&mut answer)).await.unwrap();
    answer
}

async fn is_well(host: &Host, authority: &Authority) -> bool {
    let client = Client::secured(&authority.strict()).unwrap();
    let response = soon(client.send(ClientRequest::get(host.url("/ear/hello")))).await.unwrap();
    response.status == StatusCode::OK
}

#[test]
fn who_speaks_in_the_clear_is_told_so_and_the_connection_closes_cleanly() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let host = Host::with_tls(authority.strict()).await;
        let large =
            [b"POST /ear/echo HTTP/1.1\r\nContent-Length: 100000\r\n\r\n".to_vec(), vec![b'x'; 100_000]];
        for bytes in [&b"GET /ear/hello HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"ping", &[0], &large.concat()] {
            let answer = String::from_utf8(answer(&host, bytes).await).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{answer}");
            assert!(body.contains("TLS only"), "{answer}");
        }
        assert!(is_well(&host, &authority).await);
        host.node.shutdown().await;
    });
}

#[test]
fn who_begins_a_handshake_and_goes_on_with_rubbish_is_refused_at_once() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let host = Host::with_tls(authority.strict()).await;
        let no_hello = [&[0x16, 0x03, 0x01, 0x00, 0x40, 0x01, 0x00, 0x00, 0x3c][..], &[0xff; 60]].concat();
        let alert = answer(&host, &no_hello).await;
        assert_eq!((alert.len(), alert[0], alert[5]), (7, 0x15, 2), "a fatal alert: {alert:?}");
        // To what is no record at all there is no answer.
        for length in [0x40, 0xff] {
            let record = [&[0x16, 0x03, 0x01, length, 0xff][..], &[0xff; 70_000]].concat();
            let alert = answer(&host, &record).await;
            assert!(alert.is_empty() || alert[0] == 0x15, "{alert:?}");
        }
        assert!(is_well(&host, &authority).await);
        host.node.shutdown().await;
    });
}

#[test]
fn thousands_of_half_open_handshakes_do_not_keep_others_out() {
    // Our ends and the node's.
    const FILES: u64 = 2 * 3_000 + 500;
    libprocess::raise_file_limit().unwrap();
    let limit = getrlimit(Resource::Nofile).current;
    if limit.is_some_and(|limit| limit < FILES) {
        eprintln!("skipped: it needs {FILES} open files, and may have {limit:?}");
        return;
    }
    libprocess::run(async {
        let authority = Authority::new("of all");
        let host = Host::with_tls(authority.strict()).await;
        let mut sockets = Vec::new();
        for _ in 0..3_000 {
            let mut socket = TcpStream::connect(host.node.address()).await.unwrap();
            socket.write_all(&BEGINNING).await.unwrap();
            sockets.push(socket);
        }
        let no_time = Duration::from_secs(4);
        assert!(tokio::time::timeout(no_time, is_well(&host, &authority)).await.unwrap(), "without waiting");
        drop(sockets);
        assert!(is_well(&host, &authority).await);
        host.node.shutdown().await;
    });
}

/// Under a paused clock, which jumps whenever nothing happens.
#[test]
fn a_handshake_that_stands_still_is_ended() {
    libprocess::testing::run(async {
        let authority = Authority::new("of all");
        let host = Host::with_tls(authority.strict()).await;
        let began = tokio::time::Instant::now();
        assert_eq!(answer(&host, &BEGINNING).await, b"");
        let waited = began.elapsed();
        assert!((4..=6).contains(&waited.as_secs()), "{waited:?}");
        host.node.shutdown().await;
    });
}
