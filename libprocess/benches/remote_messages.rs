//! Messages between two nodes over loopback, against bare HTTP.
//!
//! *One way*: an actor posts messages of 256 bytes to an actor of another node, at most 10,000 ahead of what that has
//! handled. The comparator: the very requests that our node writes, pipelined on one connection to a bare actix-web
//! server with one worker, which reads each body, decodes nothing and answers 202 (with a body of one byte: with none it
//! may lose requests, see `http/gate.rs`).
//!
//! *Ask*: an actor posts a question of 256 bytes and waits for the other's post. The comparator: one HTTP round trip,
//! the same request to the bare server on an open connection.
//!
//! The bare server handles a request on the thread of its connection, so the actors live there, too ([`Place::Http`]):
//! that is what is held against it. Beside it stands what actors on other arbiters make of it. The nodes announce a
//! schema, as masters and agents do: what a node does not know to be of its own kind is answered at once.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Instant;

use actix_web::HttpResponse;
use bytes::{Bytes, BytesMut};
use harness::bench::{self, Report, Target, in_turn, median};
use libprocess::{Address, Context, Handle, Install, Node, Pid, Place, Process, messages};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use support::{BareServer, Ping, Pong};

const BODY: [u8; 256] = [b'x'; 256];
const MESSAGES: usize = 400_000;
/// Messages that may be on their way; in so many bursts.
const AHEAD: usize = 10_000;
const BURSTS: usize = 100;
/// Requests in flight to the bare server; more make it no faster.
const IN_FLIGHT: usize = 1_024;
const ASKS: usize = 3_000;
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let mut report = Report::new("remote_messages", "messages between two nodes over loopback");
    report.note(format!("{MESSAGES} messages, {ASKS} questions; medians of {ROUNDS}"));
    let request = libprocess::run(request());
    report.note(format!("a message of {} bytes is a request of {}", BODY.len(), request.len()));

    let turns = in_turn(
        ROUNDS,
        [&mut || libprocess::run(one_way::<NEAR>()), &mut || libprocess::run(one_way::<FAR>()), &mut || {
            libprocess::run(requests(&request))
        }],
    );
    report.figure("requests to bare actix-web, pipelined", turns.median(2) / 1e3, "k/s", Target::None);
    report.figure("messages, one way", turns.median(0) / 1e3, "k/s", Target::None);
    report.figure("messages for each such request", turns.ratio(0, 2), "", Target::AtLeast(0.8));
    report.figure("messages, one way, other arbiters", turns.median(1) / 1e3, "k/s", Target::None);
    report.figure("messages for each such request, other arbiters", turns.ratio(1, 2), "", Target::None);

    let turns = in_turn(
        ROUNDS,
        [&mut || libprocess::run(ask::<NEAR>()), &mut || libprocess::run(ask::<FAR>()), &mut || {
            libprocess::run(round_trip(&request))
        }],
    );
    report.figure("HTTP round trip, median", turns.median(2), "us", Target::None);
    report.figure("ask, median", turns.median(0), "us", Target::None);
    report.figure("ask for each HTTP round trip", turns.ratio(0, 2), "times", Target::AtMost(1.3));
    report.figure("ask, other arbiters, median", turns.median(1), "us", Target::None);
    report.figure("ask for each HTTP round trip, other arbiters", turns.ratio(1, 2), "times", Target::None);
    report.verdict()
}

/// On the arbiter of connections.
const NEAR: bool = true;
/// On another.
const FAR: bool = false;

const fn place(near: bool, other: Place) -> Place {
    if near { Place::Http } else { other }
}

/// The bytes that a node writes for a message.
async fn request() -> Vec<u8> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
    let node = support::node().await;
    let to = Pid::new("receiver", listener.local_addr().expect("it is bound"));
    node.post(&node.pid("sender"), &to, Ping(Bytes::from_static(&BODY)));
    let (mut socket, _) = listener.accept().await.expect("the node connects");
    let mut read = BytesMut::new();
    while !read.ends_with(b"\r\n0\r\n\r\n") {
        socket.read_buf(&mut read).await.expect("the node writes");
    }
    node.shutdown().await;
    read.to_vec()
}

/// More may be sent.
struct Credit;

messages! { Credit; }

/// Posts bursts as it gets credit.
struct Sender<const NEAR: bool> {
    to: Pid,
    bursts: usize,
}

impl<const NEAR: bool> Process for Sender<NEAR> {
    const NAME: &'static str = "sender";
    const PLACE: Place = place(NEAR, Place::Control);
}

impl<const NEAR: bool> Handle<Credit> for Sender<NEAR> {
    fn handle(&mut self, Credit: Credit, _: &Pid, ctx: &mut Context<Self>) {
        if self.bursts == 0 {
            return;
        }
        self.bursts -= 1;
        for _ in 0..AHEAD / BURSTS {
            ctx.post(&self.to, Ping(Bytes::from_static(&BODY)));
        }
    }
}

/// Counts pings, and gives credit for those that it had.
struct Receiver<const NEAR: bool> {
    sender: Option<Address<Sender<NEAR>>>,
    count: usize,
    done: Option<oneshot::Sender<()>>,
}

impl<const NEAR: bool> Process for Receiver<NEAR> {
    const NAME: &'static str = "receiver";
    const PLACE: Place = place(NEAR, Place::Own("receiver"));
    fn install(install: &mut Install<Self>) {
        install.message::<Ping>();
    }
}

struct SendTo<const NEAR: bool>(Address<Sender<NEAR>>);

impl<const NEAR: bool> libprocess::Message for SendTo<NEAR> {
    type Answer = ();
}

impl<const NEAR: bool> Handle<SendTo<NEAR>> for Receiver<NEAR> {
    fn handle(&mut self, SendTo(sender): SendTo<NEAR>, _: &Pid, _: &mut Context<Self>) {
        for _ in 0..BURSTS {
            sender.tell(Credit);
        }
        self.sender = Some(sender);
    }
}

impl<const NEAR: bool> Handle<Ping> for Receiver<NEAR> {
    fn handle(&mut self, Ping(body): Ping, _: &Pid, _: &mut Context<Self>) {
        assert_eq!(body.len(), BODY.len());
        self.count += 1;
        if self.count.is_multiple_of(AHEAD / BURSTS)
            && let Some(sender) = &self.sender
        {
            sender.tell(Credit);
        }
        if self.count == MESSAGES
            && let Some(done) = self.done.take()
        {
            let _ = done.send(());
        }
    }
}

/// Messages a second.
async fn one_way<const NEAR: bool>() -> f64 {
    let (near, far): (Node, Node) = (support::node().await, support::node().await);
    let (done, all) = oneshot::channel();
    let receiver = far.spawn(Receiver::<NEAR> { sender: None, count: 0, done: Some(done) });
    let bursts = MESSAGES / (AHEAD / BURSTS);
    let sender = near.spawn(Sender::<NEAR> { to: receiver.pid().clone(), bursts });
    let began = bench::now();
    receiver.tell(SendTo(sender));
    assert_eq!(all.await, Ok(()));
    let took = began.elapsed();
    near.shutdown().await;
    far.shutdown().await;
    MESSAGES as f64 / took.as_secs_f64()
}

fn accepted() -> HttpResponse {
    HttpResponse::Accepted().body("x")
}

/// The comparator of [`one_way`].
async fn requests(request: &[u8]) -> f64 {
    let server = BareServer::start(accepted);
    let rate = support::pipelined(server.address, request, MESSAGES, IN_FLIGHT).await;
    server.stop().await;
    rate
}

/// Answers pings.
struct Answerer<const NEAR: bool>;

impl<const NEAR: bool> Process for Answerer<NEAR> {
    const NAME: &'static str = "answerer";
    const PLACE: Place = place(NEAR, Place::Control);
    fn install(install: &mut Install<Self>) {
        install.message::<Ping>();
    }
}

impl<const NEAR: bool> Handle<Ping> for Answerer<NEAR> {
    fn handle(&mut self, Ping(body): Ping, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, Pong(body));
    }
}

/// Asks one question after the other, and measures each.
struct Asker<const NEAR: bool> {
    to: Pid,
    began: Instant,
    times: Vec<f64>,
    done: Option<oneshot::Sender<Vec<f64>>>,
}

impl<const NEAR: bool> Process for Asker<NEAR> {
    const NAME: &'static str = "asker";
    const PLACE: Place = place(NEAR, Place::Control);
    fn install(install: &mut Install<Self>) {
        install.message::<Pong>();
    }
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.link(&self.to);
        self.ask(ctx);
    }
}

impl<const NEAR: bool> Asker<NEAR> {
    fn ask(&mut self, ctx: &Context<Self>) {
        self.began = bench::now();
        ctx.post(&self.to, Ping(Bytes::from_static(&BODY)));
    }
}

impl<const NEAR: bool> Handle<Pong> for Asker<NEAR> {
    fn handle(&mut self, _: Pong, _: &Pid, ctx: &mut Context<Self>) {
        self.times.push(self.began.elapsed().as_secs_f64() * 1e6);
        if self.times.len() < ASKS {
            self.ask(ctx);
        } else if let Some(done) = self.done.take() {
            let _ = done.send(std::mem::take(&mut self.times));
        }
    }
}

/// Microseconds for a question and its answer: the median.
async fn ask<const NEAR: bool>() -> f64 {
    let (near, far) = (support::node().await, support::node().await);
    let (done, all) = oneshot::channel();
    let to = far.spawn(Answerer::<NEAR>).pid().clone();
    near.spawn(Asker::<NEAR> { to, began: bench::now(), times: Vec::new(), done: Some(done) });
    let times = all.await.expect("all questions are answered");
    near.shutdown().await;
    far.shutdown().await;
    median(&times)
}

/// The comparator of [`ask`].
async fn round_trip(request: &[u8]) -> f64 {
    let server = BareServer::start(accepted);
    let times = round_trips(server.address, request).await;
    server.stop().await;
    median(&times)
}

async fn round_trips(to: SocketAddr, request: &[u8]) -> Vec<f64> {
    let mut stream = TcpStream::connect(to).await.expect("the server listens");
    stream.set_nodelay(true).expect("it is a socket");
    let mut buffer = vec![0; 4 << 10];
    let mut times = Vec::new();
    for _ in 0..ASKS {
        let began = bench::now();
        stream.write_all(request).await.expect("the server reads");
        let mut answers = support::Answers::default();
        while answers.count == 0 {
            let length = stream.read(&mut buffer).await.expect("the server answers");
            answers.take(&buffer[..length]);
        }
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    times
}
