//! Our actors.

use harness::bench;
use libprocess::{Address, Context, Handle, Pid, Place, Process, messages};
use tokio::sync::oneshot;

use super::{ASKS, BURST, MESSAGES, support};

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
pub(crate) async fn tell(far: bool) -> f64 {
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

/// Seconds for each question.
pub(crate) async fn ask() -> f64 {
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

/// As [`ask`], from actor to actor.
pub(crate) async fn ask_from_an_actor() -> f64 {
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
