//! Messages, links and answers between nodes over loopback, and the bytes on the wire.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use libprocess::http::{ClientRequest, Response};
use libprocess::{
    Address, Context, DecodeError, Encoding, Environment, Exit, Handle, Install, Node, NodeBuilder, Pid,
    Place, Process, StartError, WireMessage, messages,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What an actor tells its test.
#[derive(Debug, PartialEq)]
enum Event {
    Note(String, Pid),
    Exited(Pid),
}

struct Ear(mpsc::UnboundedSender<Event>);

/// Its encodings differ, so that a test sees which was used.
#[derive(Debug, Clone)]
struct Note(String);
struct Link(Pid);
struct Relink(Pid);
struct Disconnect(Pid);
struct Post(Pid, usize);

messages! { Note; Link; Relink; Disconnect; Post; }

impl WireMessage for Note {
    const NAME: &'static str = "test.Note";
    fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.0.clone().into_bytes(),
            Encoding::Bincode => format!("bincode:{}", self.0).into_bytes(),
        }
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(bytes).map_err(|error| DecodeError::new(error.to_string()))?;
        Ok(Note(text.to_owned()))
    }
}

impl Process for Ear {
    const NAME: &'static str = "ear";
    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
        install.get("/hello", "Says hello.", |_, _, _| Response::text(StatusCode::OK, "hello").into());
    }
    fn exited(&mut self, pid: &Pid, _: &mut Context<Self>) {
        let _ = self.0.send(Event::Exited(pid.clone()));
    }
}
impl Handle<Note> for Ear {
    fn handle(&mut self, Note(text): Note, from: &Pid, _: &mut Context<Self>) {
        let _ = self.0.send(Event::Note(text, from.clone()));
    }
}
impl Handle<Link> for Ear {
    fn handle(&mut self, Link(pid): Link, _: &Pid, ctx: &mut Context<Self>) {
        ctx.link(&pid);
    }
}
impl Handle<Relink> for Ear {
    fn handle(&mut self, Relink(pid): Relink, _: &Pid, ctx: &mut Context<Self>) {
        ctx.relink(&pid);
    }
}
impl Handle<Disconnect> for Ear {
    fn handle(&mut self, Disconnect(pid): Disconnect, _: &Pid, ctx: &mut Context<Self>) {
        ctx.disconnect(&pid);
    }
}
impl Handle<Post> for Ear {
    fn handle(&mut self, Post(to, count): Post, _: &Pid, ctx: &mut Context<Self>) {
        for number in 0..count {
            ctx.post(&to, Note(number.to_string()));
        }
    }
}

/// A node with one ear.
struct Host {
    node: Node,
    ear: Address<Ear>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Host {
    async fn start() -> Host {
        Host::with(|builder| builder).await
    }
    async fn with(settings: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Host {
        let builder = Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let node = settings(builder).start().await.unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let ear = node.spawn(Ear(sender));
        Host { node, ear, events }
    }
    async fn event(&mut self) -> Event {
        soon(self.events.recv()).await.unwrap()
    }
    async fn note(&mut self) -> String {
        match self.event().await {
            Event::Note(text, _) => text,
            Event::Exited(pid) => panic!("{pid} exited"),
        }
    }
    async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.node.address()).await.unwrap()
    }
}

/// What must happen soon fails the test if it does not.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it happens within a minute")
}

/// A port that nobody listens on.
async fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn request(id: &str, body: &str) -> String {
    format!(
        "POST /{id}/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\n\
         Libprocess-From: x@127.0.0.1:1\r\nConnection: Keep-Alive\r\nHost: \r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

/// Reads until `count` heads of answers came; gives their status lines.
async fn answers(stream: &mut TcpStream, count: usize) -> Vec<String> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while text.matches("\r\n\r\n").count() < count {
        let length = soon(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(length, 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    text.split("\r\n\r\n")
        .filter(|head| !head.is_empty())
        .map(|head| head.lines().next().unwrap().into())
        .collect()
}

#[test]
fn messages_to_another_node_arrive_in_order_with_their_sender() {
    libprocess::run(async {
        let (a, mut b) = (Host::start().await, Host::start().await);
        a.ear.tell(Post(b.ear.pid().clone(), 20_000));
        for number in 0..20_000 {
            assert_eq!(b.event().await, Event::Note(number.to_string(), a.ear.pid().clone()));
        }
        a.node.shutdown().await;
        b.node.shutdown().await;
    });
}

#[test]
fn a_link_breaks_when_the_other_node_goes() {
    libprocess::run(async {
        let (mut a, mut b) = (Host::start().await, Host::start().await);
        a.ear.tell(Link(b.ear.pid().clone()));
        a.ear.tell(Post(b.ear.pid().clone(), 1));
        assert_eq!(b.note().await, "0");
        b.node.shutdown().await;
        assert_eq!(a.event().await, Event::Exited(b.ear.pid().clone()));
        a.node.shutdown().await;
    });
}

#[test]
fn a_link_to_where_nobody_listens_breaks() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let nobody = Pid::new("nobody", dead_address().await);
        a.ear.tell(Link(nobody.clone()));
        assert_eq!(a.event().await, Event::Exited(nobody));
        a.node.shutdown().await;
    });
}

#[test]
fn a_link_does_not_notice_that_a_remote_actor_ends_while_its_node_lives() {
    libprocess::run(async {
        let (mut a, b) = (Host::start().await, Host::start().await);
        a.ear.tell(Link(b.ear.pid().clone()));
        b.ear.terminate();
        assert_eq!(soon(b.ear.wait()).await, Exit::Terminated);
        let (sender, mut second) = mpsc::unbounded_channel();
        let other = b.node.spawn_as("second", Ear(sender));
        a.ear.tell(Post(other.pid().clone(), 1));
        assert!(matches!(soon(second.recv()).await, Some(Event::Note(..))));
        other.tell(Post(a.ear.pid().clone(), 1));
        assert_eq!(a.note().await, "0");
        b.node.shutdown().await;
        assert_eq!(a.event().await, Event::Exited(b.ear.pid().clone()));
        a.node.shutdown().await;
    });
}

#[test]
fn a_new_connection_replaces_an_old_one_without_breaking_links() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Pid::new("far", listener.local_addr().unwrap());
        a.ear.tell(Link(far.clone()));
        let (mut first, _) = soon(listener.accept()).await.unwrap();
        a.ear.tell(Relink(far.clone()));
        let (second, _) = soon(listener.accept()).await.unwrap();
        assert_eq!(soon(first.read(&mut [0; 1])).await.unwrap(), 0, "the old connection closes");
        a.node.post(&Pid::nobody(), a.ear.pid(), Note("no exit so far".into()));
        assert_eq!(a.note().await, "no exit so far");
        drop(second);
        assert_eq!(a.event().await, Event::Exited(far));
        a.node.shutdown().await;
    });
}

/// The other thread opens the next connection, to send what it has, at whatever moment the first one is found to be over.
#[test]
fn a_connection_that_ends_just_when_another_begins_breaks_its_links() {
    libprocess::run(async {
        let mut a = Host::start().await;
        for _ in 0..100 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let far = Pid::new("far", listener.local_addr().unwrap());
            a.ear.tell(Link(far.clone()));
            let (first, _) = soon(listener.accept()).await.unwrap();
            let (node, to, broken) = (a.node.clone(), far.clone(), Arc::new(AtomicBool::new(false)));
            let until = Arc::clone(&broken);
            let sending = std::thread::spawn(move || {
                while !until.load(Ordering::Relaxed) {
                    node.post(&Pid::nobody(), &to, Note("next".into()));
                    std::thread::yield_now();
                }
            });
            drop(first);
            // It stays open: what breaks the link is the end of the first.
            let (_second, _) = soon(listener.accept()).await.unwrap();
            assert_eq!(a.event().await, Event::Exited(far));
            broken.store(true, Ordering::Relaxed);
            sending.join().unwrap();
        }
        a.node.shutdown().await;
        assert!(a.events.try_recv().is_err(), "no link breaks twice");
    });
}

#[test]
fn a_message_leaves_with_upstreams_bytes() {
    libprocess::run(async {
        let a = Host::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Pid::new("far(1)", listener.local_addr().unwrap());
        a.node.post(a.ear.pid(), &far, Note("hello".into()));
        a.node.post(a.ear.pid(), &far, Note(String::new()));
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        let from = a.ear.pid();
        let head = format!(
            "POST /far(1)/test.Note HTTP/1.1\r\nUser-Agent: libprocess/{from}\r\nLibprocess-From: {from}\r\n\
             Connection: Keep-Alive\r\nHost: \r\n"
        );
        let expected = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{head}\r\n");
        let mut bytes = vec![0; expected.len()];
        soon(stream.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        a.node.shutdown().await;
    });
}

#[test]
fn upstreams_bytes_are_taken_in_every_cut_and_answered_202_or_404() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let bytes = request("ear", "hello");
        for cut in 1..bytes.len() {
            let mut stream = a.socket().await;
            stream.set_nodelay(true).unwrap();
            stream.write_all(&bytes.as_bytes()[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            stream.write_all(&bytes.as_bytes()[cut..]).await.unwrap();
            assert_eq!(a.event().await, Event::Note("hello".into(), "x@127.0.0.1:1".parse().unwrap()));
            assert_eq!(answers(&mut stream, 1).await, ["HTTP/1.1 202 Accepted"]);
        }
        let mut stream = a.socket().await;
        let pipelined = [request("ear", "1"), request("nobody", "2"), request("ear", "3")].concat();
        stream.write_all(pipelined.as_bytes()).await.unwrap();
        let expected = ["HTTP/1.1 202 Accepted", "HTTP/1.1 404 Not Found", "HTTP/1.1 202 Accepted"];
        assert_eq!(answers(&mut stream, 3).await, expected);
        assert_eq!((a.note().await, a.note().await), ("1".into(), "3".into()));
        a.node.shutdown().await;
    });
}

/// As a node of our own kind writes it.
fn announcing(request: &str) -> String {
    request.replacen("\r\n", "\r\nLibprocess-Schema: 1\r\n", 1)
}

/// The same, on a connection that it has opened after so many others.
fn nth(number: u32, request: &str) -> String {
    announcing(request).replacen("\r\n", &format!("\r\nLibprocess-Connection: 2a.{number}\r\n"), 1)
}

/// Reads to the end.
async fn rest(stream: &mut TcpStream) -> std::io::Result<usize> {
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    loop {
        match soon(stream.read(&mut buffer)).await? {
            0 => return Ok(total),
            length => total += length,
        }
    }
}

#[test]
fn what_comes_on_an_earlier_connection_after_a_later_one_has_spoken_is_not_heard() {
    libprocess::run(async {
        let mut a = Host::with(|builder| builder.schema("1")).await;
        let (mut first, mut second, mut third) = (a.socket().await, a.socket().await, a.socket().await);
        first.write_all(nth(7, &request("ear", "1")).as_bytes()).await.unwrap();
        assert_eq!(a.note().await, "1");
        second.write_all(nth(8, &request("ear", "2")).as_bytes()).await.unwrap();
        assert_eq!(a.note().await, "2");
        first.write_all(request("ear", "late").as_bytes()).await.unwrap();
        third.write_all(nth(6, &request("ear", "later")).as_bytes()).await.unwrap();
        assert!(rest(&mut first).await.is_ok() && rest(&mut third).await.is_ok());
        second.write_all(request("ear", "3").as_bytes()).await.unwrap();
        assert_eq!(a.note().await, "3");
        // Who does not count is heard on all of them.
        for number in ["4", "5"] {
            let mut uncounted = a.socket().await;
            uncounted.write_all(announcing(&request("ear", number)).as_bytes()).await.unwrap();
            assert_eq!(a.note().await, number);
        }
        a.node.shutdown().await;
    });
}

#[test]
fn who_is_disconnected_receives_nothing_more_of_what_was_sent() {
    const MEGABYTES: usize = 32;
    libprocess::run(async {
        let mut a = Host::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Pid::new("far(1)", listener.local_addr().unwrap());
        a.ear.tell(Link(far.clone()));
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        for _ in 0..MEGABYTES {
            a.node.post(a.ear.pid(), &far, Note("x".repeat(1 << 20)));
        }
        // It has been received when it was sent.
        soon(stream.read_exact(&mut [0; 1 << 16])).await.unwrap();
        a.ear.tell(Disconnect(far.clone()));
        assert_eq!(a.event().await, Event::Exited(far.clone()));
        let error = rest(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        // What is sent now goes on another connection, and nothing comes before it.
        a.node.post(a.ear.pid(), &far, Note("new".into()));
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        let mut bytes = vec![0; 4096];
        let length = soon(stream.read(&mut bytes)).await.unwrap();
        assert!(std::str::from_utf8(&bytes[..length]).unwrap().ends_with("3\r\nnew\r\n0\r\n\r\n"));
        a.node.shutdown().await;
    });
}

#[test]
fn a_node_of_our_kind_is_answered_in_order_as_well_later_or_with_what_cannot_wait() {
    libprocess::run(async {
        let mut a = Host::with(|builder| builder.schema("1")).await;
        let mut stream = a.socket().await;
        stream.write_all(announcing(&request("ear", "first")).as_bytes()).await.unwrap();
        assert_eq!(answers(&mut stream, 1).await, ["HTTP/1.1 202 Accepted"]);
        stream.write_all(request("ear", "alone").as_bytes()).await.unwrap();
        assert_eq!(answers(&mut stream, 1).await, ["HTTP/1.1 202 Accepted"]);
        for name in ["ear", "ear", "nobody"] {
            stream.write_all(request(name, "more").as_bytes()).await.unwrap();
        }
        let expected = ["HTTP/1.1 202 Accepted", "HTTP/1.1 202 Accepted", "HTTP/1.1 404 Not Found"];
        assert_eq!(answers(&mut stream, 3).await, expected);
        for note in ["first", "alone", "more", "more"] {
            assert_eq!(a.note().await, note);
        }
        a.node.shutdown().await;
    });
}

#[test]
fn answers_that_wait_are_written_before_either_side_leaves() {
    libprocess::run(async {
        let mut a = Host::with(|builder| builder.schema("1")).await;
        let mut streams = [a.socket().await, a.socket().await];
        for stream in &mut streams {
            stream.write_all(announcing(&request("ear", "first")).as_bytes()).await.unwrap();
            assert_eq!(answers(stream, 1).await, ["HTTP/1.1 202 Accepted"]);
            stream.write_all(request("ear", "second").as_bytes()).await.unwrap();
            assert_eq!((a.note().await, a.note().await), ("first".into(), "second".into()));
        }
        let [mut leaving, mut staying] = streams;
        leaving.shutdown().await.unwrap();
        assert_eq!(answers(&mut leaving, 1).await, ["HTTP/1.1 202 Accepted"]);
        a.node.shutdown().await;
        assert_eq!(answers(&mut staying, 1).await, ["HTTP/1.1 202 Accepted"]);
        assert_eq!(soon(staying.read(&mut [0; 1])).await.unwrap(), 0);
    });
}

#[test]
fn a_length_serves_as_well_as_chunks_and_an_unknown_message_is_accepted_and_dropped() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let mut stream = a.socket().await;
        let head = "HTTP/1.1\r\nLibprocess-From: x@127.0.0.1:1\r\n";
        let text =
            format!("POST /ear/no.Such {head}\r\nPOST /ear/test.Note {head}Content-Length: 2\r\n\r\nhi");
        stream.write_all(text.as_bytes()).await.unwrap();
        assert_eq!(answers(&mut stream, 2).await, ["HTTP/1.1 202 Accepted", "HTTP/1.1 202 Accepted"]);
        assert_eq!(a.note().await, "hi");
        a.node.shutdown().await;
    });
}

#[test]
fn a_body_that_is_no_message_does_not_disturb_the_next() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let mut stream = a.socket().await;
        let mut bytes = request("ear", "??").into_bytes();
        let at = bytes.windows(2).position(|pair| pair == b"??").unwrap();
        bytes[at..at + 2].copy_from_slice(&[0xff, 0xfe]);
        bytes.extend_from_slice(request("ear", "next").as_bytes());
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(a.note().await, "next");
        a.node.shutdown().await;
    });
}

#[test]
fn a_peer_that_speaks_nonsense_is_answered_400_and_left() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let mut stream = a.socket().await;
        let text = format!("{}POST nonsense\r\n\r\n", request("ear", "1"));
        stream.write_all(text.as_bytes()).await.unwrap();
        assert_eq!(answers(&mut stream, 2).await, ["HTTP/1.1 202 Accepted", "HTTP/1.1 400 Bad Request"]);
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0);
        assert_eq!(a.note().await, "1");
        a.node.shutdown().await;
    });
}

#[test]
fn an_ordinary_client_can_send_messages_among_other_requests() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let mut stream = a.socket().await;
        let head = "HTTP/1.1\r\nHost: here\r\nUser-Agent: curl/8\r\nLibprocess-From: me@127.0.0.1:1\r\n";
        let message = |body: &str| format!("POST /ear/test.Note {head}Content-Length: 2\r\n\r\n{body}");
        let bytes = [message("hi"), format!("GET /nowhere {head}\r\n"), message("ho")].concat();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let me: Pid = "me@127.0.0.1:1".parse().unwrap();
        assert_eq!(a.event().await, Event::Note("hi".into(), me.clone()));
        assert_eq!(a.event().await, Event::Note("ho".into(), me));
        let heads = answers(&mut stream, 3).await;
        assert_eq!(heads[0], "HTTP/1.1 202 Accepted");
        // Behind the body of the 404.
        assert!(heads[2].ends_with("HTTP/1.1 202 Accepted"), "{heads:?}");
        a.node.shutdown().await;
    });
}

#[test]
fn a_path_without_an_actor_is_the_delegates() {
    libprocess::run(async {
        let a = Host::with(|builder| builder.delegate("ear")).await;
        for (path, status) in [("/ear/hello", "200 OK"), ("/hello", "200 OK"), ("/else", "404 Not Found")] {
            let mut stream = a.socket().await;
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            assert_eq!(answers(&mut stream, 1).await[0], format!("HTTP/1.1 {status}"), "{path}");
        }
        a.node.shutdown().await;
    });
}

#[test]
fn a_peer_that_does_not_read_breaks_the_link_instead_of_memory() {
    libprocess::run(async {
        const LIMIT: usize = 1 << 20;
        let mut a = Host::with(|builder| builder.queue_limit(LIMIT)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Pid::new("far", listener.local_addr().unwrap());
        a.ear.tell(Link(far.clone()));
        let (stream, _) = soon(listener.accept()).await.unwrap();
        let body = "x".repeat(LIMIT / 8);
        // What the kernel buffers comes on top of the limit. Nothing is posted once the link is broken: it would open
        // further connections. A note of the ear to itself comes behind the news.
        let mut broken = false;
        for _ in 0..1000 {
            a.node.post(a.ear.pid(), &far, Note(body.clone()));
            a.ear.tell(Post(a.ear.pid().clone(), 1));
            broken = a.event().await == Event::Exited(far.clone());
            if broken {
                break;
            }
        }
        assert!(broken);
        assert_eq!(a.note().await, "0");
        // The socket is closed though nobody reads from it, and that breaks no link of the next connection.
        a.ear.tell(Link(far.clone()));
        let (mut next, _) = soon(listener.accept()).await.unwrap();
        let mut stream = stream;
        let mut buffer = vec![0; 1 << 20];
        soon(async { while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {} }).await;
        a.node.post(a.ear.pid(), &far, Note("still linked".into()));
        let mut first = [0; 10];
        soon(next.read_exact(&mut first)).await.unwrap();
        assert_eq!(&first, b"POST /far/");
        assert!(a.events.try_recv().is_err());
        drop(next);
        assert_eq!(a.event().await, Event::Exited(far));
        a.node.shutdown().await;
    });
}

#[test]
fn a_message_that_comes_too_slowly_ends_the_conversation() {
    for (begin, most) in [
        ("POST /ear/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\nHo", 21),
        (
            "POST /ear/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\nContent-Length: 9\r\n\r\nx",
            61,
        ),
    ] {
        // Under a paused clock, which jumps whenever nothing happens.
        libprocess::testing::run(async {
            let a = Host::start().await;
            let mut stream = a.socket().await;
            // A whole message first: between two of them there is no limit.
            stream.write_all(request("ear", "1").as_bytes()).await.unwrap();
            assert_eq!(answers(&mut stream, 1).await.len(), 1);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            stream.write_all(begin.as_bytes()).await.unwrap();
            let began = tokio::time::Instant::now();
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);
            let waited = began.elapsed();
            assert!(waited > Duration::from_secs(15) && waited < Duration::from_secs(most), "{waited:?}");
            a.node.shutdown().await;
        });
    }
}

#[test]
fn what_was_posted_before_a_shutdown_still_leaves() {
    libprocess::run(async {
        let (a, mut b) = (Host::start().await, Host::start().await);
        a.ear.tell(Post(b.ear.pid().clone(), 1000));
        a.node.shutdown().await;
        for number in 0..1000 {
            assert_eq!(b.note().await, number.to_string());
        }
        b.node.shutdown().await;
    });
}

#[test]
fn equal_schemas_speak_bincode_after_the_first_answer_and_others_never() {
    libprocess::run(async {
        let a = Host::with(|builder| builder.schema("1")).await;
        let mut same = Host::with(|builder| builder.schema("1")).await;
        let mut other = Host::with(|builder| builder.schema("2")).await;
        let mut none = Host::start().await;
        a.node.post(a.ear.pid(), same.ear.pid(), Note("first".into()));
        assert_eq!(same.note().await, "first");
        // The answer comes some time after the message.
        let switched = async {
            loop {
                a.node.post(a.ear.pid(), same.ear.pid(), Note("later".into()));
                if same.note().await == "bincode:later" {
                    break;
                }
            }
        };
        soon(switched).await;
        for host in [&mut other, &mut none] {
            for _ in 0..20 {
                a.node.post(a.ear.pid(), host.ear.pid(), Note("plain".into()));
                assert_eq!(host.note().await, "plain");
            }
        }
        for node in [a.node, same.node, other.node, none.node] {
            node.shutdown().await;
        }
    });
}

#[test]
fn bincode_of_a_schema_that_was_not_announced_is_refused() {
    libprocess::run(async {
        let a = Host::with(|builder| builder.schema("1")).await;
        for announced in ["", "Libprocess-Schema: 2\r\n"] {
            let mut stream = a.socket().await;
            let text = format!(
                "POST /ear/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\n{announced}\
                 Content-Type: application/x-bincode\r\nContent-Length: 1\r\n\r\nx"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
            assert_eq!(answers(&mut stream, 1).await, ["HTTP/1.1 400 Bad Request"]);
        }
        a.node.shutdown().await;
    });
}

/// Says its thread, and holds it up until it is told to go on.
struct Blocker<const PLACE: u8>(usize);
struct WhichThread;
struct HoldUp(std::sync::mpsc::Receiver<()>);
messages! { WhichThread => std::thread::ThreadId; HoldUp; HowMany => usize; }
struct HowMany;

impl<const PLACE: u8> Process for Blocker<PLACE> {
    const NAME: &'static str = "blocker";
    const PLACE: Place = match PLACE {
        0 => Place::Control,
        1 => Place::Own("other"),
        2 => Place::Http,
        _ => Place::Own("blockers"),
    };
    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
    }
}
impl<const PLACE: u8> Handle<WhichThread> for Blocker<PLACE> {
    fn handle(&mut self, _: WhichThread, _: &Pid, _: &mut Context<Self>) -> std::thread::ThreadId {
        std::thread::current().id()
    }
}
impl<const PLACE: u8> Handle<HoldUp> for Blocker<PLACE> {
    fn handle(&mut self, HoldUp(go_on): HoldUp, _: &Pid, _: &mut Context<Self>) {
        let _ = go_on.recv();
    }
}
impl<const PLACE: u8> Handle<Note> for Blocker<PLACE> {
    fn handle(&mut self, _: Note, _: &Pid, _: &mut Context<Self>) {
        self.0 += 1;
    }
}
impl<const PLACE: u8> Handle<HowMany> for Blocker<PLACE> {
    fn handle(&mut self, _: HowMany, _: &Pid, _: &mut Context<Self>) -> usize {
        self.0
    }
}

#[test]
fn each_place_is_a_thread_of_its_own_and_actors_may_be_spawned_from_any() {
    libprocess::run(async {
        let a = Host::start().await;
        let control = a.node.spawn_numbered(Blocker::<0>(0)).ask(WhichThread).await.unwrap();
        assert_eq!(control, std::thread::current().id());
        let node = a.node.clone();
        let foreign = move || {
            let http = node.spawn_numbered(Blocker::<2>(0)).ask(WhichThread);
            (node.spawn_numbered(Blocker::<1>(0)).ask(WhichThread), http, node)
        };
        let (allocator, http, node) = std::thread::spawn(foreign).join().unwrap();
        let own = [node.spawn_numbered(Blocker::<3>(0)), node.spawn_numbered(Blocker::<3>(0))];
        let (one, two) = (own[0].ask(WhichThread).await.unwrap(), own[1].ask(WhichThread).await.unwrap());
        assert_eq!(one, two);
        let threads = [control, allocator.await.unwrap(), http.await.unwrap(), one];
        let distinct: std::collections::HashSet<_> = threads.into_iter().collect();
        assert_eq!(distinct.len(), 4);
        a.node.shutdown().await;
        assert_eq!(own[0].exit(), Some(Exit::Terminated));
    });
}

#[test]
fn a_peer_is_not_read_while_the_queue_of_its_actor_is_long() {
    const MESSAGES: usize = 300_000;
    const HIGH_WATER: usize = 100_000;
    libprocess::run(async {
        let a = Host::start().await;
        let slow = a.node.spawn(Blocker::<3>(0));
        let (go_on, held) = std::sync::mpsc::channel();
        slow.tell(HoldUp(held));
        let mut stream = a.socket().await;
        let message = "POST /blocker/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\n\r\n";
        let bytes = message.repeat(MESSAGES);
        let (mut reader, mut writer) = stream.split();
        let mut writing = std::pin::pin!(writer.write_all(bytes.as_bytes()));
        // Answers must be read, or they hold the peer's loop up by themselves.
        let mut sink = tokio::io::sink();
        let mut reading = std::pin::pin!(tokio::io::copy(&mut reader, &mut sink));
        let filled = std::future::poll_fn(|task| {
            assert!(writing.as_mut().poll(task).is_pending(), "everything was taken");
            assert!(reading.as_mut().poll(task).is_pending());
            task.waker().wake_by_ref();
            if slow.waiting() > HIGH_WATER { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        soon(filled).await;
        let most = HIGH_WATER + 2 * (128 << 10) / message.len();
        assert!(slow.waiting() < most, "{} wait", slow.waiting());
        go_on.send(()).unwrap();
        let all = async {
            tokio::select! {
                biased;
                written = writing => written.unwrap(),
                _ = &mut reading => panic!("the peer closed"),
            }
            while slow.ask(HowMany).await.unwrap() < MESSAGES {
                tokio::task::yield_now().await;
            }
        };
        soon(all).await;
        assert!(slow.waiting() < most);
        a.node.shutdown().await;
    });
}

#[test]
fn a_port_that_is_taken_is_named() {
    libprocess::run(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Node::builder().bind(address).start().await.unwrap_err();
        assert!(matches!(&error, StartError::Bind { address: named, .. } if *named == address));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    });
}

#[test]
fn a_port_is_free_after_shutdown_and_a_node_can_take_it_again() {
    libprocess::run(async {
        let a = Host::start().await;
        let address = a.node.address();
        a.node.shutdown().await;
        let again = Host::with(|builder| builder.bind(address)).await;
        assert_eq!(again.node.address(), address);
        again.node.shutdown().await;
    });
}

#[test]
fn a_node_is_known_by_what_it_advertises() {
    libprocess::run(async {
        let a = Host::with(|builder| builder.advertise(SocketAddr::from(([10, 1, 2, 3], 0)))).await;
        assert_eq!(a.node.address().ip().to_string(), "10.1.2.3");
        assert_ne!(a.node.address().port(), 0);
        assert_eq!(a.ear.pid().address(), a.node.address());
        a.node.shutdown().await;
    });
}

#[test]
fn the_environment_counts_where_the_program_says_nothing() {
    libprocess::run(async {
        let environment = Environment {
            ip: Some([127, 0, 0, 1].into()),
            advertise_ip: Some([10, 1, 2, 3].into()),
            advertise_port: Some(77),
            ..Environment::default()
        };
        let any = || Node::builder().bind(SocketAddr::from(([0, 0, 0, 0], 0)));
        let node = any().environment(environment.clone()).start().await.unwrap();
        assert_eq!(node.address().to_string(), "10.1.2.3:77");
        node.shutdown().await;
        let told = any().environment(environment).advertise(SocketAddr::from(([10, 9, 9, 9], 0)));
        let node = told.start().await.unwrap();
        assert_eq!(node.address().to_string(), "10.9.9.9:77");
        node.shutdown().await;
        let environment = Environment { ip: Some([127, 0, 0, 2].into()), ..Environment::default() };
        let node = Node::builder().environment(environment.clone()).start().await.unwrap();
        assert_eq!(node.address().ip().to_string(), "127.0.0.2");
        let port = node.address().port();
        node.shutdown().await;
        let environment = Environment { port: Some(port), ..environment };
        let node = Node::builder().environment(environment).start().await.unwrap();
        assert_eq!(node.address(), SocketAddr::from(([127, 0, 0, 2], port)));
        node.shutdown().await;
    });
}

#[test]
fn who_must_live_where_its_connection_comes_from_cannot_speak_for_others() {
    libprocess::run(async {
        let mut a = Host::with(|builder| builder.require_peer_address_ip_match(true)).await;
        let mut b = Host::start().await;
        // Nodes of this host are believed, over whatever connection.
        b.ear.tell(Post(a.ear.pid().clone(), 1));
        assert_eq!(a.note().await, "0");
        let mut socket = a.socket().await;
        let forged = request("ear", "forged").replace("127.0.0.1:", "10.1.2.3:");
        assert!(forged.contains("10.1.2.3:"), "{forged}");
        socket.write_all(forged.as_bytes()).await.unwrap();
        socket.write_all(request("ear", "honest").as_bytes()).await.unwrap();
        let answers = answers(&mut socket, 2).await;
        assert!(answers[0].starts_with("HTTP/1.1 400"), "{answers:?}");
        assert!(answers[1].starts_with("HTTP/1.1 202"), "{answers:?}");
        assert_eq!(a.note().await, "honest");
        // The way of ordinary clients.
        let url = format!("http://{}/ear/test.Note", a.node.address());
        let post =
            ClientRequest::post(url).header("user-agent", "curl").header("libprocess-from", "x@10.1.2.3:4");
        let response = b.node.client().send(post.body("x")).await.unwrap();
        assert_eq!(response.status.as_u16(), 400);
        let text = response.text(1000).await.unwrap();
        assert!(
            text.starts_with(
                "UPID IP address validation failed: Message from x@10.1.2.3:4 was sent from IP 127.0.0.1:"
            ),
            "{text}"
        );
        a.node.shutdown().await;
        b.node.shutdown().await;
        assert!(b.events.try_recv().is_err());
    });
}
