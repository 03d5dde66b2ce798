//! An actor that asks itself and goes on with the answer (upstream: `ProcessTest.Process_BENCHMARK_DispatchDefer`).
//!
//! Each step asks the actor something empty and defers the next step until the answer is there; 10,240 numbers go along,
//! moved in one run and copied in the other (what upstream's compiler does with protobufs). The comparator: a task that
//! asks itself through a channel and a oneshot, with the same numbers.

mod support;

use std::process::ExitCode;

use harness::bench::{self, Report, Target, in_turn};
use libprocess::{Context, Handle, Pid, Process, messages};
use tokio::sync::{mpsc, oneshot};

const STEPS: u32 = 100_000;
const NUMBERS: usize = 10_240;
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let mut report = Report::new("DispatchDefer", "an actor that asks itself and goes on with the answer");
    report.note(format!("{STEPS} steps with {NUMBERS} numbers; medians of {ROUNDS}"));
    for (name, with, target) in
        [("moved", With::Moved, Target::AtMost(3.0)), ("copied", With::Copied, Target::AtMost(1.5))]
    {
        let turns =
            in_turn(ROUNDS, [&mut || libprocess::run(actor(with)), &mut || libprocess::run(channels(with))]);
        report.figure(&format!("channel and oneshot, {name}"), turns.median(1), "ns", Target::None);
        report.figure(&format!("ask and defer, {name}"), turns.median(0), "ns", Target::None);
        let name = format!("ask and defer for each channel and oneshot, {name}");
        report.figure(&name, turns.ratio(0, 1), "times", target);
    }
    report.verdict()
}

/// What becomes of the numbers in each step.
#[derive(Clone, Copy)]
enum With {
    Moved,
    Copied,
}

impl With {
    fn pass_on(self, numbers: Vec<i32>) -> Vec<i32> {
        match self {
            With::Moved => numbers,
            With::Copied => numbers.clone(),
        }
    }
}

struct Nothing;

messages! { Nothing; }

struct Dispatch {
    with: With,
    left: u32,
    done: Option<oneshot::Sender<()>>,
}

impl Process for Dispatch {
    const NAME: &'static str = "dispatch";
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.step(vec![42; NUMBERS], ctx);
    }
}

impl Handle<Nothing> for Dispatch {
    fn handle(&mut self, Nothing: Nothing, _: &Pid, _: &mut Context<Self>) {}
}

impl Dispatch {
    fn step(&mut self, numbers: Vec<i32>, ctx: &mut Context<Self>) {
        self.left -= 1;
        if self.left == 0 {
            let _ = self.done.take().map(|done| done.send(()));
            return;
        }
        let numbers = self.with.pass_on(numbers);
        let itself = ctx.address();
        ctx.ask(&itself, Nothing, |dispatch, _, ctx| dispatch.step(numbers, ctx));
    }
}

/// Nanoseconds for each step.
async fn actor(with: With) -> f64 {
    let node = support::node().await;
    let (done, all) = oneshot::channel();
    let began = bench::now();
    node.spawn(Dispatch { with, left: STEPS, done: Some(done) });
    assert_eq!(all.await, Ok(()));
    let took = began.elapsed();
    node.shutdown().await;
    took.as_secs_f64() * 1e9 / f64::from(STEPS)
}

/// The comparator: two futures of one task, one asks and the other answers.
async fn channels(with: With) -> f64 {
    let (sender, mut receiver) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    let answering = async move {
        while let Some(answer) = receiver.recv().await {
            let _ = answer.send(());
        }
    };
    let asking = async move {
        let mut numbers = vec![42; NUMBERS];
        for _ in 0..STEPS {
            let (answer, answered) = oneshot::channel();
            let _ = sender.send(answer);
            let _ = answered.await;
            numbers = with.pass_on(numbers);
        }
        std::hint::black_box(numbers);
    };
    let began = bench::now();
    actix_rt::spawn(async { tokio::join!(asking, answering) }).await.expect("both end");
    began.elapsed().as_secs_f64() * 1e9 / f64::from(STEPS)
}
