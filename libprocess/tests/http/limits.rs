//! What is too large, too slow, or no HTTP.

use super::*;

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
        // Where a request ends that cannot be read, nobody can say: what follows it is not answered.
        let endless = format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;{}\r\nhello\r\n0\r\n\r\n",
            "x".repeat(1 << 20)
        );
        let answer = f.raw(endless).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        for request in [
            "garbage\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
            "GET /path HTTP/1.1\r\nHost: x\r\nX-Folded: one\r\n two\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            let answer = f.raw(request).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
        }
        for chunks in ["zz\r\n", "2\r\nabXX0\r\n\r\n", "2\r\nab\r\n-1\r\n", "2\r\nab\r\n\r\n"] {
            let head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
            let answer = f.raw(format!("{head}{chunks}GET /path HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            let text = "\r\n\r\nThe chunks of the request's body are malformed";
            assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with(text), "{chunks}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(200 << 10));
        let answer = f.raw(long).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(f.status(Method::GET, "/state").await, 200);
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
