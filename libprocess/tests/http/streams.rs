//! Open-ended answers: pieces, order, and peers that go away.

use super::*;

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
        let refused = loop {
            match sender.send(piece.clone()) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 100, "the stream never fills");
        };
        assert_eq!(refused, libprocess::http::StreamError::Full);
        // It is broken off: nothing of it is kept, and the peer finds the connection closed.
        assert_eq!(sender.queued(), 0);
        patient(sender.closed()).await;
        let mut rest = chunks.socket;
        patient(async {
            let mut buffer = vec![0; 1 << 20];
            while matches!(rest.read(&mut buffer).await, Ok(read) if read > 0) {}
        })
        .await;
    });
}

#[test]
fn a_stream_that_is_broken_off_does_not_look_complete() {
    with_node(|mut f| async move {
        let chunks = Chunks::subscribe(&f).await;
        let sender = patient(f.streams.recv()).await.unwrap();
        sender.abort();
        let (mut socket, mut rest) = (chunks.socket, Vec::new());
        let _ = patient(socket.read_to_end(&mut rest)).await;
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    });
}

#[test]
fn a_stream_that_begins_with_a_document_goes_on_with_what_was_sent() {
    with_node(|mut f| async move {
        let request = ClientRequest::get(f.url("/opened?mib=3"));
        let response = patient(f.node.client().send(request)).await.unwrap();
        let sender = patient(f.streams.recv()).await.unwrap();
        let events: Vec<String> = (0..1000).map(|n| format!("event {n}\n")).collect();
        let send = async {
            for event in &events {
                sender.send(event.clone()).unwrap();
                tokio::task::yield_now().await;
            }
            sender.close();
        };
        let (text, ()) = tokio::join!(patient(response.text(64 << 20)), send);
        let text = text.unwrap();
        let (document, rest) = text.split_at(3 << 20);
        assert!(document.bytes().all(|byte| byte == b's'));
        assert_eq!(rest, format!("first{}", events.concat()));
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
