//! Messages between actors of one node, against tokio's channels.
//!
//! *tell*: one actor sends numbers to another, a burst in each of its turns. The comparator: a task sends the same
//! numbers into an unbounded channel, yields after each burst, and another task receives them. Both on one arbiter,
//! and both across two. *ask*: one task asks an actor, and asks again when it has the answer. The comparator: a task
//! sends a request with a oneshot channel to another. Both on one arbiter.

mod support;

use std::process::ExitCode;

use actix_rt::Arbiter;
use harness::bench::{self, Report, Target, in_turn};
use libprocess::{Address, Context, Handle, Pid, Place, Process, messages};
use tokio::sync::{mpsc, oneshot};

const MESSAGES: u64 = 2_000_000;
const ASKS: u64 = 300_000;
/// Messages that are sent in one turn.
const BURST: u64 = 100;
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let mut report = Report::new("tell_and_ask", "actors of one node against tokio's channels");
    report.note(format!("{MESSAGES} numbers in bursts of {BURST}, {ASKS} questions; medians of {ROUNDS}"));
    for (place, far) in [("one arbiter", false), ("two arbiters", true)] {
        let turns = in_turn(
            ROUNDS,
            [&mut || libprocess::run(tell(far)) / 1e6, &mut || libprocess::run(send(far)) / 1e6],
        );
        report.figure(&format!("channel, {place}"), turns.median(1), "M/s", Target::None);
        report.figure(&format!("tell, {place}"), turns.median(0), "M/s", Target::None);
        let name = format!("tell for each message of the channel, {place}");
        report.figure(&name, turns.ratio(0, 1), "", Target::AtLeast(0.7));
    }
    let turns = in_turn(
        ROUNDS,
        [&mut || libprocess::run(ask()), &mut || libprocess::run(question()), &mut || {
            libprocess::run(ask_from_an_actor())
        }],
    );
    report.figure("channel and oneshot, one arbiter", turns.median(1) * 1e9, "ns", Target::None);
    report.figure("ask, one arbiter", turns.median(0) * 1e9, "ns", Target::None);
    report.figure("ask for each channel and oneshot", turns.ratio(0, 1), "times", Target::AtMost(2.0));
    report.figure("Context::ask, from actor to actor", turns.median(2) * 1e9, "ns", Target::None);
    report.verdict()
}

struct Number(u64);
struct Go;
struct Double(u64);

messages! { Number; Go; Double => u64; }

/// Adds up what it is told; answers what it is asked.
struct Sink {
    sum: u64,
    left: u64,
    done: Option<oneshot::Sender<u64>>,
}

impl Process for Sink {
    const NAME: &'static str = "sink";
}

impl Handle<Number> for Sink {
    fn handle(&mut self, Number(number): Number, _: &Pid, _: &mut Context<Self>) {
        self.sum += number;
        self.left -= 1;
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            let _ = done.send(self.sum);
        }
    }
}

impl Handle<Double> for Sink {
    fn handle(&mut self, Double(number): Double, _: &Pid, _: &mut Context<Self>) -> u64 {
        2 * number
    }
}

/// Sends numbers, a burst in each turn.
struct Source<const FAR: bool> {
    sink: Address<Sink>,
    sent: u64,
}

impl<const FAR: bool> Process for Source<FAR> {
    const NAME: &'static str = "source";
    const PLACE: Place = if FAR { Place::Own("source") } else { Place::Control };
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.address().tell(Go);
    }
}

impl<const FAR: bool> Handle<Go> for Source<FAR> {
    fn handle(&mut self, Go: Go, _: &Pid, ctx: &mut Context<Self>) {
        for number in self.sent..self.sent + BURST {
            self.sink.tell(Number(number));
        }
        self.sent += BURST;
        if self.sent < MESSAGES {
            ctx.address().tell(Go);
        }
    }
}

/// Numbers a second.
async fn tell(far: bool) -> f64 {
    let node = support::node().await;
    let (done, all) = oneshot::channel();
    let sink = node.spawn(Sink { sum: 0, left: MESSAGES, done: Some(done) });
    let began = bench::now();
    if far {
        node.spawn(Source::<true> { sink, sent: 0 });
    } else {
        node.spawn(Source::<false> { sink, sent: 0 });
    }
    assert_eq!(all.await, Ok(MESSAGES * (MESSAGES - 1) / 2));
    let took = began.elapsed();
    node.shutdown().await;
    MESSAGES as f64 / took.as_secs_f64()
}

/// The comparator of [`tell`].
async fn send(far: bool) -> f64 {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let began = bench::now();
    let source = async move {
        let mut sent = 0;
        while sent < MESSAGES {
            for number in sent..sent + BURST {
                let _ = sender.send(Number(number));
            }
            sent += BURST;
            tokio::task::yield_now().await;
        }
    };
    let arbiter = far.then(Arbiter::new);
    match &arbiter {
        Some(arbiter) => drop(arbiter.spawn(source)),
        None => drop(actix_rt::spawn(source)),
    }
    let sink = actix_rt::spawn(async move {
        let mut sum = 0;
        while let Some(Number(number)) = receiver.recv().await {
            sum += number;
        }
        sum
    });
    assert_eq!(sink.await.ok(), Some(MESSAGES * (MESSAGES - 1) / 2));
    let took = began.elapsed();
    if let Some(arbiter) = arbiter {
        arbiter.stop();
        let _ = arbiter.join();
    }
    MESSAGES as f64 / took.as_secs_f64()
}

/// Seconds for each question.
async fn ask() -> f64 {
    let node = support::node().await;
    let sink = node.spawn(Sink { sum: 0, left: 0, done: None });
    let asking = actix_rt::spawn(async move {
        let began = bench::now();
        for number in 0..ASKS {
            assert_eq!(sink.ask(Double(number)).await, Ok(2 * number));
        }
        began.elapsed()
    });
    let took = asking.await.expect("every question is answered");
    node.shutdown().await;
    took.as_secs_f64() / ASKS as f64
}

/// The comparator of [`ask`].
async fn question() -> f64 {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Double, oneshot::Sender<u64>)>();
    let answering = actix_rt::spawn(async move {
        while let Some((Double(number), answer)) = receiver.recv().await {
            let _ = answer.send(2 * number);
        }
    });
    let asking = actix_rt::spawn(async move {
        let began = bench::now();
        for number in 0..ASKS {
            let (answer, answered) = oneshot::channel();
            let _ = sender.send((Double(number), answer));
            assert_eq!(answered.await, Ok(2 * number));
        }
        began.elapsed()
    });
    let took = asking.await.expect("every question is answered");
    let _ = answering.await;
    took.as_secs_f64() / ASKS as f64
}

/// Asks as an actor does, and goes on with the answer.
struct Asker {
    sink: Address<Sink>,
    asked: u64,
    done: Option<oneshot::Sender<()>>,
}

impl Process for Asker {
    const NAME: &'static str = "asker";
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.ask(ctx);
    }
}

impl Asker {
    fn ask(&mut self, ctx: &mut Context<Self>) {
        let number = self.asked;
        self.asked += 1;
        ctx.ask(&self.sink, Double(number), move |asker, answer, ctx| {
            assert_eq!(answer, Some(2 * number));
            if asker.asked < ASKS {
                asker.ask(ctx);
            } else if let Some(done) = asker.done.take() {
                let _ = done.send(());
            }
        });
    }
}

async fn ask_from_an_actor() -> f64 {
    let node = support::node().await;
    let sink = node.spawn(Sink { sum: 0, left: 0, done: None });
    let (done, all) = oneshot::channel();
    let began = bench::now();
    node.spawn(Asker { sink, asked: 0, done: Some(done) });
    assert_eq!(all.await, Ok(()));
    let took = began.elapsed();
    node.shutdown().await;
    took.as_secs_f64() / ASKS as f64
}
