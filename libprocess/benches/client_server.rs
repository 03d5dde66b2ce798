//! Round trips between many clients and one server (upstream: `ProcessTest.Process_BENCHMARK_ClientServer`).
//!
//! 8 clients each keep 250 requests of 3 bytes on their way to one server, which answers each, and links to each client
//! when it first hears from it. Messages go by pid and name (`Context::post`), all within one node: first with every
//! actor on one arbiter, then with the server on another. The comparator: tasks and channels in the same places.
//!
//! For scale: genuine libprocess made 0.88 to 1.27 M round trips a second on a machine of this kind.

mod support;

use std::collections::BTreeSet;
use std::process::ExitCode;

use actix_rt::Arbiter;
use bytes::Bytes;
use harness::bench::{self, Report, Target, in_turn};
use libprocess::{Context, Handle, Install, Node, Pid, Place, Process};
use tokio::sync::{mpsc, oneshot};

use support::{Ping, Pong};

const CLIENTS: usize = 8;
/// Requests of each client. Upstream makes 10,000: a tenth of a second, too short to measure here.
const REQUESTS: usize = 100_000;
const CONCURRENCY: usize = 250;
const ROUNDS: usize = 9;
/// The best of genuine libprocess, in round trips a second.
const GENUINE: f64 = 1.27e6;

fn main() -> ExitCode {
    let mut report =
        Report::new("ClientServer", "round trips between 8 clients and one server, by pid and name");
    report.note(format!("{REQUESTS} requests of each client, {CONCURRENCY} at a time; medians of {ROUNDS}"));
    for (place, far) in [("one arbiter", false), ("two arbiters", true)] {
        let turns =
            in_turn(ROUNDS, [&mut || libprocess::run(actors(far)), &mut || libprocess::run(channels(far))]);
        report.figure(&format!("channels, {place}"), turns.median(1) / 1e6, "M/s", Target::None);
        report.figure(&format!("actors, {place}"), turns.median(0) / 1e6, "M/s", Target::None);
        report.figure(
            &format!("actors for each of the channels, {place}"),
            turns.ratio(0, 1),
            "",
            Target::None,
        );
        let name = format!("actors for each of genuine libprocess, {place}");
        report.figure(&name, turns.median(0) / GENUINE, "", Target::None);
    }
    report.verdict()
}

const BODY: &[u8] = b"111";

/// Answers pings, wherever it is.
#[derive(Default)]
struct Server<const FAR: bool> {
    links: BTreeSet<Pid>,
}

impl<const FAR: bool> Process for Server<FAR> {
    const NAME: &'static str = "server";
    const PLACE: Place = if FAR { Place::Own("server") } else { Place::Control };
    fn install(install: &mut Install<Self>) {
        install.message::<Ping>();
    }
}

impl<const FAR: bool> Handle<Ping> for Server<FAR> {
    fn handle(&mut self, Ping(body): Ping, from: &Pid, ctx: &mut Context<Self>) {
        if !self.links.contains(from) {
            ctx.link(from);
            self.links.insert(from.clone());
        }
        ctx.post(from, Pong(body));
    }
}

/// Keeps requests on their way until it has made all.
struct Client {
    server: Pid,
    sent: usize,
    answered: usize,
    done: Option<oneshot::Sender<()>>,
}

impl Process for Client {
    const NAME: &'static str = "client";
    fn install(install: &mut Install<Self>) {
        install.message::<Pong>();
    }
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.link(&self.server);
        for _ in 0..CONCURRENCY {
            self.ping(ctx);
        }
    }
}

impl Client {
    fn ping(&mut self, ctx: &Context<Self>) {
        self.sent += 1;
        ctx.post(&self.server, Ping(Bytes::copy_from_slice(BODY)));
    }
}

impl Handle<Pong> for Client {
    fn handle(&mut self, _: Pong, _: &Pid, ctx: &mut Context<Self>) {
        self.answered += 1;
        if self.sent < REQUESTS {
            self.ping(ctx);
        } else if self.answered == REQUESTS
            && let Some(done) = self.done.take()
        {
            let _ = done.send(());
        }
    }
}

fn rate(began: std::time::Instant) -> f64 {
    (CLIENTS * REQUESTS) as f64 / began.elapsed().as_secs_f64()
}

/// Round trips a second.
async fn actors(far: bool) -> f64 {
    let node: Node = support::node().await;
    let server = if far {
        node.spawn(Server::<true>::default()).pid().clone()
    } else {
        node.spawn(Server::<false>::default()).pid().clone()
    };
    let began = bench::now();
    let clients = (0..CLIENTS).map(|_| {
        let (done, answered) = oneshot::channel();
        node.spawn_numbered(Client { server: server.clone(), sent: 0, answered: 0, done: Some(done) });
        answered
    });
    for answered in clients.collect::<Vec<_>>() {
        assert_eq!(answered.await, Ok(()));
    }
    let rate = rate(began);
    node.shutdown().await;
    rate
}

/// The comparator.
async fn channels(far: bool) -> f64 {
    let (sender, mut requests) = mpsc::unbounded_channel::<(usize, Bytes)>();
    let (answers, clients): (Vec<_>, Vec<_>) =
        (0..CLIENTS).map(|_| mpsc::unbounded_channel::<Bytes>()).unzip();
    let began = bench::now();
    let server = async move {
        while let Some((client, body)) = requests.recv().await {
            let _ = answers[client].send(body);
        }
    };
    let arbiter = far.then(Arbiter::new);
    match &arbiter {
        Some(arbiter) => drop(arbiter.spawn(server)),
        None => drop(actix_rt::spawn(server)),
    }
    let clients = clients.into_iter().enumerate().map(|(number, mut answers)| {
        let sender = sender.clone();
        actix_rt::spawn(async move {
            let ping = || drop(sender.send((number, Bytes::copy_from_slice(BODY))));
            (0..CONCURRENCY).for_each(|_| ping());
            for answered in 1..=REQUESTS {
                let _ = answers.recv().await;
                if answered + CONCURRENCY <= REQUESTS {
                    ping();
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        assert!(client.await.is_ok());
    }
    let rate = rate(began);
    if let Some(arbiter) = arbiter {
        arbiter.stop();
        let _ = arbiter.join();
    }
    rate
}
