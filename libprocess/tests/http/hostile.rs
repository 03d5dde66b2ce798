//! Clients that mean harm, or are broken: what they may cost, and that the others notice nothing.

use std::net::{IpAddr, Ipv4Addr};

use super::*;

/// Connects as if from another host: all of 127.0.0.0/8 is this one.
async fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Reads one answer that has a body of known length, and gives its status.
async fn answer(socket: &mut TcpStream) -> u16 {
    let mut bytes = Vec::new();
    let text = loop {
        assert!(patient(socket.read_buf(&mut bytes)).await.unwrap() > 0, "closed after {bytes:?}");
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break text;
        }
    };
    text[9..12].parse().unwrap()
}

async fn ask(socket: &mut TcpStream) -> u16 {
    socket.write_all(b"GET /path HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    answer(socket).await
}

/// A message as another node sends it.
const MESSAGE: &str = "POST /master/test.Note HTTP/1.1\r\nUser-Agent: libprocess/a@127.0.0.1:9\r\n\
                       Libprocess-From: a@127.0.0.1:9\r\nConnection: Keep-Alive\r\nHost: \r\n";

async fn send(socket: &mut TcpStream, text: &str) -> u16 {
    let message = format!("{MESSAGE}Content-Length: {}\r\n\r\n{text}", text.len());
    socket.write_all(message.as_bytes()).await.unwrap();
    answer(socket).await
}

/// Waits until the other side closes (or resets) the connection.
async fn closed(socket: &mut TcpStream) {
    let mut rest = [0; 1024];
    while matches!(patient(socket.read(&mut rest)).await, Ok(length) if length > 0) {}
}

/// Writes the same bytes until the connection is closed; gives how many it took.
async fn flood(socket: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut written = 0;
    // What the kernel's buffers hold is not the node's.
    while written < 64 << 20 {
        match patient(socket.write(bytes)).await {
            Ok(length) => written += length,
            Err(_) => break,
        }
    }
    written
}

#[test]
fn endless_heads_end() {
    with_node(|f| async move {
        for start in ["GET /path HTTP/1.1\r\nHost: x\r\n", "POST /path HTTP/1.1\r\nHost: x\r\n", MESSAGE] {
            for rest in ["Name: value\r\n", "no-end-of-line", "\r\n \r\n"] {
                let mut socket = f.connect().await;
                socket.write_all(start.as_bytes()).await.unwrap();
                let taken = flood(&mut socket, rest.repeat(100).as_bytes()).await;
                assert!(taken < 32 << 20, "{taken} bytes were taken of {start}{rest}");
            }
        }
        assert_eq!(f.status(Method::GET, "/state").await, 200);
    });
}

#[test]
fn a_head_byte_by_byte_is_a_head() {
    with_node(|f| async move {
        let mut socket = f.connect().await;
        socket.set_nodelay(true).unwrap();
        for byte in b"\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" {
            socket.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(answer(&mut socket).await, 200);
    });
}

/// Sends a byte as often as given until the connection is closed; gives how many it took.
async fn drip(address: SocketAddr, start: &str, drop: &[u8], pause: Duration) -> usize {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(start.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = socket.split();
    let end = async {
        let mut rest = [0; 1024];
        while matches!(reading.read(&mut rest).await, Ok(length) if length > 0) {}
    };
    let mut dripped = 0;
    let dripping = async {
        loop {
            tokio::time::sleep(pause).await;
            if writing.write_all(drop).await.is_err() {
                return;
            }
            dripped += 1;
        }
    };
    tokio::select! { () = end => {}, () = dripping => {} }
    dripped
}

#[test]
fn bodies_that_never_end_end_after_a_minute() {
    let message = format!("{MESSAGE}Content-Length: 1000\r\n\r\nx");
    let chunks = format!("{MESSAGE}Transfer-Encoding: chunked\r\n\r\n");
    for (start, drop) in [
        ("POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", "x"),
        // Extensions of chunks are no progress.
        ("POST /version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1;extension\r\nx\r\n"),
        (message.as_str(), "x"),
        (chunks.as_str(), "1;extension\r\nx\r\n"),
    ] {
        libprocess::testing::run(async move {
            let node = Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0))).start().await.unwrap();
            let began = tokio::time::Instant::now();
            let dripped = drip(node.address(), start, drop.as_bytes(), Duration::from_secs(7)).await;
            let took = began.elapsed();
            assert!(took >= Duration::from_secs(55) && took < Duration::from_secs(80), "{start}: {took:?}");
            assert!((7..12).contains(&dripped), "{start}: {dripped}");
            node.shutdown().await;
        });
    }
}

#[test]
fn an_answer_that_is_read_drop_by_drop_is_given_up() {
    in_paused_time(Limits::default(), |f| async move {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut socket = socket.connect(f.address()).await.unwrap();
        socket.write_all(b"GET /state?size=50000000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        // 1 kB/s, for two minutes; then what waits in the kernel's buffers.
        let (mut read, mut drop) = (0, [0; 1024]);
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            read += socket.read(&mut drop).await.unwrap_or(0);
        }
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        read += rest.len();
        assert!(read < 50_000_000, "all of it came");
    });
}

/// The head of a POST of so many bytes.
fn post(path: &str, bytes: usize) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n").into_bytes()
}

const KB: usize = 1 << 10;

#[test]
fn one_host_that_fills_the_memory_for_requests_leaves_half_of_it_to_others() {
    let limits = Limits { requests: 1000 * KB, ..Limits::default() };
    in_paused_time(limits, |mut f| async move {
        let mut greedy = f.connect().await;
        greedy.write_all(&[post("/echo", 600 * KB), vec![b'x'; 550 * KB]].concat()).await.unwrap();
        // Time goes on when all that was written is read.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let large = [post("/echo", 200 * KB), vec![b'x'; 200 * KB]].concat();
        let mut same_host = f.connect().await;
        same_host.write_all(&large).await.unwrap();
        assert_eq!(answer(&mut same_host).await, 503);
        // Small ones are, and those of other hosts, and their messages.
        assert_eq!(f.status(Method::POST, "/echo").await, 200);
        let mut other_host = connect_from(2, f.address()).await;
        other_host.write_all(&large).await.unwrap();
        assert_eq!(answer(&mut other_host).await, 200);
        let mut node = connect_from(2, f.address()).await;
        assert_eq!(send(&mut node, &"y".repeat(200 * KB)).await, 202);
        assert_eq!(patient(f.messages.recv()).await.unwrap().0.len(), 200 * KB);
        // A node on the greedy host waits, until there is room. (An eighth more, for which it insists, is not enough.)
        let mut node = f.connect().await;
        let text = "z".repeat(300 * KB);
        {
            let mut sending = std::pin::pin!(send(&mut node, &text));
            let early = tokio::select! {
                status = &mut sending => Some(status),
                status = ask(&mut other_host) => { assert_eq!(status, 200); None }
            };
            assert_eq!(early, None);
            drop(greedy);
            assert_eq!(sending.await, 202);
        }
        assert_eq!(patient(f.messages.recv()).await.unwrap().0, text);
    });
}

/// As when all agents report to a new master: what they say comes in pieces, and nothing is whole when the memory is full.
#[test]
fn messages_that_wait_for_each_other_are_read_all_the_same() {
    // One host may have 800 KB, beside the first 64 of each.
    let limits = Limits { requests: 1600 * KB, ..Limits::default() };
    in_paused_time(limits, |f| async move {
        let mut nodes = Vec::new();
        for _ in 0..8 {
            let mut node = f.connect().await;
            let head = format!("{MESSAGE}Content-Length: {}\r\n\r\n", 260 * KB);
            node.write_all(head.as_bytes()).await.unwrap();
            nodes.push(node);
        }
        // There is room for all of the first, for three of the second, and for none of the third.
        for part in [150, 30, 40, 40] {
            for node in &mut nodes {
                node.write_all(&vec![b'y'; part * KB]).await.unwrap();
            }
            // Time goes on when all that was written is read.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let began = tokio::time::Instant::now();
        for node in &mut nodes {
            assert_eq!(answer(node).await, 202);
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
}

#[test]
fn a_node_whose_message_finds_no_memory_is_closed_after_a_minute() {
    libprocess::testing::run(async {
        let limits = Limits { requests: 0, ..Limits::default() };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let node = Node::builder().bind(address).limits(limits).start().await.unwrap();
        let mut socket = TcpStream::connect(node.address()).await.unwrap();
        let head = format!("{MESSAGE}Content-Length: {}\r\n\r\n", 200 * KB);
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&vec![b'x'; 100 * KB]).await.unwrap();
        let began = tokio::time::Instant::now();
        assert!(!matches!(socket.read(&mut [0; 64]).await, Ok(length) if length > 0));
        assert!(began.elapsed() < Duration::from_secs(62), "{:?}", began.elapsed());
        node.shutdown().await;
    });
}

#[test]
fn answers_beyond_the_memory_for_them_are_503() {
    let limits = Limits { answers: 1000 * KB, ..Limits::default() };
    with_limits(limits, |f| async move {
        assert_eq!(f.status(Method::GET, "/state?size=500000").await, 200);
        assert_eq!(f.status(Method::GET, "/state?size=700000").await, 503);
        assert_eq!(f.status(Method::GET, "/state?size=500000").await, 200);
    });
}

#[test]
fn a_stream_that_nobody_reads_is_broken_off_when_the_memory_for_all_is_full() {
    let limits = Limits { answers: 1000 * KB, ..Limits::default() };
    with_limits(limits, |mut f| async move {
        let subscribe = [post("/api/v1/scheduler", 2), b"hi".to_vec()].concat();
        let mut reading = connect_from(3, f.address()).await;
        reading.write_all(&subscribe).await.unwrap();
        let read = patient(f.streams.recv()).await.unwrap();
        let mut silent = connect_from(2, f.address()).await;
        silent.write_all(&subscribe).await.unwrap();
        let unread = patient(f.streams.recv()).await.unwrap();
        // The kernel's buffers take some megabytes first.
        let mut sent = 0;
        while unread.send(vec![b'x'; 100 * KB]).is_ok() {
            sent += 100 * KB;
            assert!(sent < 64 << 20);
            tokio::task::yield_now().await;
        }
        assert!(unread.is_closed());
        closed(&mut silent).await;
        read.send("still here").unwrap();
        let mut text = String::new();
        while !text.contains("still here") {
            let mut bytes = [0; 1024];
            let length = patient(reading.read(&mut bytes)).await.unwrap();
            text += &String::from_utf8_lossy(&bytes[..length]);
        }
    });
}

#[test]
fn a_stream_may_wait_for_its_reader_for_an_hour() {
    in_paused_time(Limits::default(), |mut f| async move {
        let mut socket = f.connect().await;
        socket.write_all(&[post("/api/v1/scheduler", 2), b"hi".to_vec()].concat()).await.unwrap();
        let stream = patient(f.streams.recv()).await.unwrap();
        // More than the kernel's buffers take.
        for _ in 0..20 {
            stream.send(vec![b'x'; 1 << 20]).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(stream.queued() > 0 && !stream.is_closed());
        drop(stream);
        let (mut read, mut piece) = (Vec::new(), vec![0; 1 << 20]);
        while !read.ends_with(b"\r\n0\r\n\r\n") {
            let length = socket.read(&mut piece).await.unwrap();
            assert!(length > 0, "it ended after {} bytes", read.len());
            read.extend_from_slice(&piece[..length]);
        }
        assert!(read.len() > 20 << 20);
    });
}

#[test]
fn a_stream_that_has_begun_may_wait_for_its_reader_for_an_hour() {
    in_paused_time(Limits::default(), |mut f| async move {
        // The kernel would make room for all that comes for somebody who has read much.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let mut socket = socket.connect(f.address()).await.unwrap();
        socket.write_all(b"GET /opened?mib=1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let stream = patient(f.streams.recv()).await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"first\r\n") {
            assert!(socket.read_buf(&mut bytes).await.unwrap() > 0);
        }
        // More than the kernel's buffers take.
        for _ in 0..20 {
            stream.send(vec![b'x'; 1 << 20]).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(stream.queued() > 0 && !stream.is_closed());
    });
}

const OPEN: &[u8] = b"GET /opened?mib=40&name=a HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn who_does_not_read_what_a_stream_begins_with_is_disconnected_after_a_minute() {
    let limits = Limits { answers: 100 << 20, ..Limits::default() };
    in_paused_time(limits, |mut f| async move {
        let mut silent = f.connect().await;
        silent.write_all(OPEN).await.unwrap();
        let stream = f.streams.recv().await.unwrap();
        let began = tokio::time::Instant::now();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(15)).await;
            stream.send("event").unwrap();
        }
        // One host may hold 50 MiB.
        assert_eq!(f.status(Method::GET, "/document?mib=40&name=b").await, 503);
        let _ = tokio::time::timeout(Duration::from_secs(300), stream.closed()).await;
        let took = began.elapsed();
        assert!(took > Duration::from_secs(55) && took < Duration::from_secs(65), "{took:?}");
        assert_eq!(f.status(Method::GET, "/document?mib=40&name=b").await, 200);
        let mut rest = Vec::new();
        let _ = silent.read_to_end(&mut rest).await;
        assert!(rest.len() < 40 << 20, "all of it came");
    });
}

#[test]
fn subscribers_whose_streams_begin_with_the_same_document_hold_it_once() {
    let limits = Limits { answers: 100 << 20, ..Limits::default() };
    with_limits(limits, |mut f| async move {
        let mut silent = f.connect().await;
        silent.write_all(OPEN).await.unwrap();
        let stream = patient(f.streams.recv()).await.unwrap();
        let mut second = f.connect().await;
        second.write_all(OPEN).await.unwrap();
        let other = patient(f.streams.recv()).await.unwrap();
        assert_eq!(f.status(Method::GET, "/document?mib=40&name=a").await, 200);
        // Another one has no room beside it, and is refused before anything of it is there.
        assert_eq!(f.status(Method::GET, "/opened?mib=40&name=b").await, 503);
        let refused = patient(f.streams.recv()).await.unwrap();
        patient(refused.closed()).await;
        drop(silent);
        patient(stream.closed()).await;
        assert_eq!(f.status(Method::GET, "/opened?mib=40&name=b").await, 503);
        drop(second);
        patient(other.closed()).await;
        // The one that asked for the document alone may take a moment to go.
        patient(async { while f.status(Method::GET, "/opened?mib=40&name=b").await != 200 {} }).await;
    });
}

#[test]
fn the_least_used_idle_connection_of_the_host_with_most_gives_way() {
    let limits = Limits { clients: 4, ..Limits::default() };
    with_limits(limits, |mut f| async move {
        let mut streaming = connect_from(2, f.address()).await;
        streaming.write_all(&[post("/api/v1/scheduler", 2), b"hi".to_vec()].concat()).await.unwrap();
        let stream = patient(f.streams.recv()).await.unwrap();
        let mut node = connect_from(2, f.address()).await;
        assert_eq!(send(&mut node, "hello").await, 202);
        let mut other = connect_from(3, f.address()).await;
        assert_eq!(ask(&mut other).await, 200);
        // The stream, the other host, and these two are four; more replace the older of these.
        let (mut old, mut used) = (connect_from(2, f.address()).await, connect_from(2, f.address()).await);
        assert_eq!(ask(&mut old).await, 200);
        assert_eq!(ask(&mut used).await, 200);
        for _ in 0..20 {
            let mut silent = connect_from(2, f.address()).await;
            closed(&mut old).await;
            old = used;
            assert_eq!(ask(&mut silent).await, 200);
            used = silent;
        }
        assert_eq!(ask(&mut other).await, 200);
        assert_eq!(send(&mut node, "hello").await, 202);
        stream.send("still here").unwrap();
        let mut text = String::new();
        while !text.contains("still here") {
            let mut bytes = [0; 1024];
            let length = patient(streaming.read(&mut bytes)).await.unwrap();
            assert!(length > 0, "the stream ended after {text}");
            text += &String::from_utf8_lossy(&bytes[..length]);
        }
    });
}

#[test]
fn whoever_comes_when_all_are_busy_is_told_so() {
    let limits = Limits { clients: 2, ..Limits::default() };
    with_limits(limits, |mut f| async move {
        let mut streaming = Vec::new();
        for _ in 0..2 {
            let mut socket = f.connect().await;
            socket.write_all(&[post("/api/v1/scheduler", 2), b"hi".to_vec()].concat()).await.unwrap();
            streaming.push((socket, patient(f.streams.recv()).await.unwrap()));
        }
        let mut late = f.connect().await;
        assert_eq!(answer(&mut late).await, 503);
        // A stream that ends leaves a connection that is idle, and gives way.
        streaming[0].1.close();
        loop {
            let mut socket = f.connect().await;
            if matches!(ask_or_nothing(&mut socket).await, Some(200)) {
                break;
            }
        }
    });
}

/// As [`ask`], of a node that may close at once.
async fn ask_or_nothing(socket: &mut TcpStream) -> Option<u16> {
    socket.write_all(b"GET /path HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
    let mut bytes = [0; 64];
    let length = patient(socket.read(&mut bytes)).await.ok()?;
    String::from_utf8_lossy(&bytes[..length]).get(9..12)?.parse().ok()
}

#[test]
fn too_many_nodes_do_not_crowd_out_clients() {
    let limits = Limits { peers: 2, ..Limits::default() };
    with_limits(limits, |f| async move {
        let mut client = f.connect().await;
        assert_eq!(ask(&mut client).await, 200);
        let mut nodes = Vec::new();
        for _ in 0..10 {
            let mut node = connect_from(2, f.address()).await;
            assert_eq!(send(&mut node, "hello").await, 202);
            nodes.push(node);
        }
        for node in &mut nodes[..8] {
            closed(node).await;
        }
        assert_eq!(send(&mut nodes[9], "hello").await, 202);
        assert_eq!(ask(&mut client).await, 200);
    });
}
