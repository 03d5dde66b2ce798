//! Pings and pongs of several pairs of actors (upstream: `ProcessTest.Process_BENCHMARK_ThroughputPerformance`).
//!
//! A pair for each core, on an arbiter of its own: a client keeps 1,000 empty pings on their way to its destination,
//! which answers each. As upstream counts: pings that were answered, a second, of all pairs. Once by pid and name
//! (`Context::post`), once by address (`Context::tell`). The comparator: tasks and channels in the same places.
//!
//! For scale: genuine libprocess counted 4.2 to 7.4 M a second on a machine of this kind.

mod support;

use std::process::ExitCode;
use std::sync::Arc;

use actix_rt::Arbiter;
use bytes::Bytes;
use harness::bench::{self, Report, Target, in_turn};
use libprocess::{Address, Context, Handle, Install, Pid, Place, Process, messages};
use tokio::sync::{mpsc, oneshot};

use support::{Ping, Pong};

/// Pings of both pairs.
const PINGS: usize = 4_000_000;
const PAIRS: usize = 2;
const CONCURRENCY: usize = 1_000;
const ROUNDS: usize = 9;
/// The best of genuine libprocess, in pings a second.
const GENUINE: f64 = 7.4e6;

fn main() -> ExitCode {
    let mut report =
        Report::new("ThroughputPerformance", "pings and pongs of two pairs of actors, a pair to an arbiter");
    report.note(format!("{PINGS} empty pings, {CONCURRENCY} at a time in each pair; medians of {ROUNDS}"));
    let turns = in_turn(
        ROUNDS,
        [
            &mut || libprocess::run(actors(By::Name)),
            &mut || libprocess::run(actors(By::Address)),
            &mut || libprocess::run(channels()),
        ],
    );
    report.figure("channels", turns.median(2) / 1e6, "M/s", Target::None);
    for (index, how) in ["by pid and name", "by address"].into_iter().enumerate() {
        report.figure(&format!("actors, {how}"), turns.median(index) / 1e6, "M/s", Target::None);
        report.figure(
            &format!("actors for each of the channels, {how}"),
            turns.ratio(index, 2),
            "",
            Target::None,
        );
        let name = format!("actors for each of genuine libprocess, {how}");
        report.figure(&name, turns.median(index) / GENUINE, "", Target::None);
    }
    report.verdict()
}

/// How messages are addressed.
#[derive(Clone, Copy)]
enum By {
    Name,
    Address,
}

/// A ping by address, with the address of who sent it.
struct Tell<const PAIR: usize>(Address<Client<PAIR>>);
struct Told;

messages! { Told; }

impl<const PAIR: usize> libprocess::Message for Tell<PAIR> {
    type Answer = ();
}

const fn place(pair: usize) -> Place {
    if pair == 0 { Place::Own("first pair") } else { Place::Own("second pair") }
}

struct Destination<const PAIR: usize>;

impl<const PAIR: usize> Process for Destination<PAIR> {
    const NAME: &'static str = "destination";
    const PLACE: Place = place(PAIR);
    fn install(install: &mut Install<Self>) {
        install.message::<Ping>();
    }
}

impl<const PAIR: usize> Handle<Ping> for Destination<PAIR> {
    fn handle(&mut self, _: Ping, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, Pong(Bytes::new()));
    }
}

impl<const PAIR: usize> Handle<Tell<PAIR>> for Destination<PAIR> {
    fn handle(&mut self, Tell(client): Tell<PAIR>, _: &Pid, ctx: &mut Context<Self>) {
        ctx.tell(&client, Told);
    }
}

struct Client<const PAIR: usize> {
    destination: Address<Destination<PAIR>>,
    by: By,
    sent: usize,
    answered: usize,
    done: Option<oneshot::Sender<()>>,
}

impl<const PAIR: usize> Process for Client<PAIR> {
    const NAME: &'static str = "client";
    const PLACE: Place = place(PAIR);
    fn install(install: &mut Install<Self>) {
        install.message::<Pong>();
    }
    fn started(&mut self, ctx: &mut Context<Self>) {
        for _ in 0..CONCURRENCY {
            self.ping(ctx);
        }
    }
}

impl<const PAIR: usize> Client<PAIR> {
    fn ping(&mut self, ctx: &Context<Self>) {
        self.sent += 1;
        match self.by {
            By::Name => ctx.post(self.destination.pid(), Ping(Bytes::new())),
            By::Address => ctx.tell(&self.destination, Tell(ctx.address())),
        }
    }

    fn answered(&mut self, ctx: &Context<Self>) {
        self.answered += 1;
        if self.sent < PINGS / PAIRS {
            self.ping(ctx);
        } else if self.answered == PINGS / PAIRS
            && let Some(done) = self.done.take()
        {
            let _ = done.send(());
        }
    }
}

impl<const PAIR: usize> Handle<Pong> for Client<PAIR> {
    fn handle(&mut self, _: Pong, _: &Pid, ctx: &mut Context<Self>) {
        self.answered(ctx);
    }
}

impl<const PAIR: usize> Handle<Told> for Client<PAIR> {
    fn handle(&mut self, _: Told, _: &Pid, ctx: &mut Context<Self>) {
        self.answered(ctx);
    }
}

/// Starts a pair.
fn pair<const PAIR: usize>(node: &libprocess::Node, by: By) -> oneshot::Receiver<()> {
    let (done, answered) = oneshot::channel();
    let destination = node.spawn_as(&format!("destination({PAIR})"), Destination::<PAIR>);
    let client = Client { destination, by, sent: 0, answered: 0, done: Some(done) };
    node.spawn_as(&format!("client({PAIR})"), client);
    answered
}

/// Pings a second.
async fn actors(by: By) -> f64 {
    let node = support::node().await;
    let began = bench::now();
    let (first, second) = (pair::<0>(&node, by), pair::<1>(&node, by));
    assert_eq!((first.await, second.await), (Ok(()), Ok(())));
    let rate = PINGS as f64 / began.elapsed().as_secs_f64();
    node.shutdown().await;
    rate
}

/// The comparator.
async fn channels() -> f64 {
    let arbiters: Vec<Arbiter> = (0..PAIRS).map(|_| Arbiter::new()).collect();
    let began = bench::now();
    let done = arbiters.iter().map(|arbiter| {
        let (ping, mut pings) = mpsc::unbounded_channel::<Arc<mpsc::UnboundedSender<()>>>();
        let (done, answered) = oneshot::channel();
        arbiter.spawn(async move {
            while let Some(client) = pings.recv().await {
                let _ = client.send(());
            }
        });
        arbiter.spawn(async move {
            let (pong, mut pongs) = mpsc::unbounded_channel();
            let pong = Arc::new(pong);
            (0..CONCURRENCY).for_each(|_| drop(ping.send(Arc::clone(&pong))));
            for answered in 1..=PINGS / PAIRS {
                let _ = pongs.recv().await;
                if answered + CONCURRENCY <= PINGS / PAIRS {
                    let _ = ping.send(Arc::clone(&pong));
                }
            }
            let _ = done.send(());
        });
        answered
    });
    for answered in done.collect::<Vec<_>>() {
        assert_eq!(answered.await, Ok(()));
    }
    let rate = PINGS as f64 / began.elapsed().as_secs_f64();
    for arbiter in arbiters {
        arbiter.stop();
        let _ = arbiter.join();
    }
    rate
}
