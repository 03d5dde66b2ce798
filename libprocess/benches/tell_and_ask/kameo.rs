//! Actors of the crate kameo, with unbounded queues.

use std::convert::Infallible;

use ::kameo::actor::{Actor, ActorRef, Spawn};
use ::kameo::mailbox;
use ::kameo::message::{Context, Message};
use actix_rt::Arbiter;
use harness::bench;
use tokio::sync::oneshot;

use super::{ASKS, BURST, MESSAGES};

struct Sink {
    sum: u64,
    left: u64,
    done: Option<oneshot::Sender<u64>>,
}

struct Number(u64);
struct Double(u64);

impl Actor for Sink {
    type Args = Sink;
    type Error = Infallible;

    async fn on_start(sink: Sink, _: ActorRef<Sink>) -> Result<Sink, Infallible> {
        Ok(sink)
    }
}

impl Message<Number> for Sink {
    type Reply = ();

    async fn handle(&mut self, Number(number): Number, _: &mut Context<Sink, ()>) {
        self.sum += number;
        self.left -= 1;
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            let _ = done.send(self.sum);
        }
    }
}

impl Message<Double> for Sink {
    type Reply = u64;

    async fn handle(&mut self, Double(number): Double, _: &mut Context<Sink, u64>) -> u64 {
        2 * number
    }
}

/// Sends numbers, a burst in each turn.
struct Source {
    sink: ActorRef<Sink>,
    sent: u64,
}

struct Go;

impl Actor for Source {
    type Args = ActorRef<Sink>;
    type Error = Infallible;

    async fn on_start(sink: ActorRef<Sink>, myself: ActorRef<Source>) -> Result<Source, Infallible> {
        let _ = myself.tell(Go).try_send();
        Ok(Source { sink, sent: 0 })
    }
}

impl Message<Go> for Source {
    type Reply = ();

    async fn handle(&mut self, _: Go, ctx: &mut Context<Source, ()>) {
        for number in self.sent..self.sent + BURST {
            let _ = self.sink.tell(Number(number)).try_send();
        }
        self.sent += BURST;
        if self.sent < MESSAGES {
            let _ = ctx.actor_ref().tell(Go).try_send();
        } else {
            ctx.stop();
        }
    }
}

/// Numbers a second.
pub(crate) async fn tell(far: bool) -> f64 {
    let (done, all) = oneshot::channel();
    let sink =
        Sink::spawn_with_mailbox(Sink { sum: 0, left: MESSAGES, done: Some(done) }, mailbox::unbounded());
    let to = sink.clone();
    let began = bench::now();
    let start = async move { drop(Source::spawn_with_mailbox(to, mailbox::unbounded())) };
    let arbiter = far.then(Arbiter::new);
    match &arbiter {
        Some(arbiter) => drop(arbiter.spawn(start)),
        None => start.await,
    }
    assert_eq!(all.await, Ok(MESSAGES * (MESSAGES - 1) / 2));
    let took = began.elapsed();
    sink.kill();
    if let Some(arbiter) = arbiter {
        arbiter.stop();
        let _ = arbiter.join();
    }
    MESSAGES as f64 / took.as_secs_f64()
}

/// Seconds for each question.
pub(crate) async fn ask() -> f64 {
    let sink = Sink::spawn_with_mailbox(Sink { sum: 0, left: 0, done: None }, mailbox::unbounded());
    let to = sink.clone();
    let asking = actix_rt::spawn(async move {
        let began = bench::now();
        for number in 0..ASKS {
            assert_eq!(to.ask(Double(number)).await.ok(), Some(2 * number));
        }
        began.elapsed()
    });
    let took = asking.await.expect("every question is answered");
    sink.kill();
    took.as_secs_f64() / ASKS as f64
}
