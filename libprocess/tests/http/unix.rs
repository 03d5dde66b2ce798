//! Unix sockets: who is served on them, and what becomes of their files.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use libprocess::http::{Client, UnixSocket, UnixSocketError, serve_unix, unix_url};
use tokio::net::UnixStream;

use super::*;

/// What agents serve executors so.
const PATHS: [&str; 2] = ["/api/v1/scheduler", "/state"];

fn socket(path: &Path) -> UnixSocket {
    UnixSocket { path: path.to_owned(), mode: 0o600, paths: PATHS.map(str::to_owned).to_vec() }
}

fn url(path: &Path, target: &str) -> String {
    unix_url(path.to_str().unwrap(), target)
}

/// A directory, and the file in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agent's own.sock");
    (home, path)
}

#[test]
fn requests_over_a_unix_socket_are_answered() {
    with_node(|f| async move {
        let (_home, path) = place();
        serve_unix(&f.node, socket(&path)).unwrap();
        let client = Client::new();
        for size in [10, 1 << 20, 10] {
            let request = ClientRequest::get(url(&path, &format!("/state?size={size}")));
            let answer = client.send(request).await.unwrap().text(4 << 20).await.unwrap();
            assert_eq!(answer.len(), size);
        }
        let pipeline = client.pipeline(url(&path, ""));
        let answers: Vec<_> =
            (0..50).map(|size| pipeline.send(ClientRequest::get(format!("/state?size={size}")))).collect();
        for (size, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap().body.len(), size);
        }
    });
}

/// Executors open the connection for their calls long before the first one.
#[test]
fn a_connection_to_a_unix_socket_may_be_opened_long_before_it_is_used() {
    libprocess::testing::run(async {
        let (_home, path) = place();
        let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.unwrap();
        serve_unix(&node, socket(&path)).unwrap();
        libprocess::testing::settle().await;
        let mut stream = UnixStream::connect(&path).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
        stream.write_all(b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 403");
    });
}

#[test]
fn a_stream_over_a_unix_socket_comes_piece_by_piece() {
    with_node(|mut f| async move {
        let (_home, path) = place();
        serve_unix(&f.node, socket(&path)).unwrap();
        let request = ClientRequest::post(url(&path, "/api/v1/scheduler")).body("first").without_timeout();
        let mut response = Client::new().send(request).await.unwrap();
        let sender = f.streams.recv().await.unwrap();
        for piece in ["second", "third"] {
            sender.send(piece).unwrap();
        }
        let mut read = Vec::new();
        while read.len() < "firstsecondthird".len() {
            read.extend_from_slice(&response.chunk().await.unwrap().unwrap());
        }
        assert_eq!(read, b"firstsecondthird");
        drop(response);
        sender.closed().await;
    });
}

#[test]
fn nothing_but_the_paths_of_a_socket_is_served_on_it() {
    with_node(|mut f| async move {
        let (_home, path) = place();
        serve_unix(&f.node, socket(&path)).unwrap();
        let client = Client::new();
        for target in ["/health", "/master/state", "/state/", "/", "/files/read", "/metrics/snapshot"] {
            let answer = client.send(ClientRequest::get(url(&path, target))).await.unwrap();
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{target}");
        }
        // A message is not let in either.
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let message = "POST /master/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\n\
                       Libprocess-From: x@127.0.0.1:1\r\nHost: \r\nConnection: close\r\n\
                       Content-Length: 5\r\n\r\nhello";
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(f.messages.try_recv().is_err());
        // The port serves everything, as before.
        assert_eq!(f.status(Method::GET, "/health").await, 200);
    });
}

#[test]
fn the_file_of_a_socket_has_its_mode_and_one_left_behind_is_replaced() {
    with_node(|f| async move {
        let (_home, path) = place();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a process that died leaves its file");
        serve_unix(&f.node, socket(&path)).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        let state = Client::new().send(ClientRequest::get(url(&path, "/state"))).await.unwrap();
        assert_eq!(state.status, StatusCode::OK);
    });
}

#[test]
fn a_socket_that_cannot_be_is_refused_by_its_path() {
    with_node(|f| async move {
        let (home, path) = place();
        serve_unix(&f.node, socket(&path)).unwrap();
        let taken = serve_unix(&f.node, socket(&path)).unwrap_err();
        assert!(matches!(taken, UnixSocketError::Taken(_)), "{taken}");
        let long = home.path().join("x".repeat(108));
        assert!(matches!(serve_unix(&f.node, socket(&long)), Err(UnixSocketError::Long(_))));
        // What is no socket is not removed.
        let notes = home.path().join("notes");
        std::fs::write(&notes, "of somebody").unwrap();
        let error = serve_unix(&f.node, socket(&notes)).unwrap_err();
        assert!(matches!(error, UnixSocketError::Listen { .. }), "{error}");
        assert!(error.to_string().contains(notes.to_str().unwrap()), "{error}");
        assert_eq!(std::fs::read_to_string(&notes).unwrap(), "of somebody");
        let nobody = Client::new().send(ClientRequest::get(url(&notes, "/state"))).await.unwrap_err();
        assert!(nobody.to_string().contains("cannot connect to /"), "{nobody}");
    });
}

#[test]
fn connections_to_a_socket_end_with_the_node() {
    with_node(|f| async move {
        let (_home, path) = place();
        serve_unix(&f.node, socket(&path)).unwrap();
        let mut idle = UnixStream::connect(&path).await.unwrap();
        let request = ClientRequest::get(url(&path, "/state"));
        assert_eq!(Client::new().send(request.clone()).await.unwrap().status, StatusCode::OK);
        f.node.shutdown().await;
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        assert!(Client::new().send(request).await.is_err());
    });
}
