//! Actors of the crate ractor. Their queues are unbounded, as all of its are.

use ::ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use actix_rt::Arbiter;
use harness::bench;
use tokio::sync::oneshot;

use super::{ASKS, BURST, MESSAGES};

struct Sink;

enum ToSink {
    Number(u64),
    Double(u64, RpcReplyPort<u64>),
}

struct Sum {
    sum: u64,
    left: u64,
    done: Option<oneshot::Sender<u64>>,
}

impl Actor for Sink {
    type Msg = ToSink;
    type State = Sum;
    type Arguments = Sum;

    async fn pre_start(&self, _: ActorRef<ToSink>, sum: Sum) -> Result<Sum, ActorProcessingErr> {
        Ok(sum)
    }

    async fn handle(
        &self,
        _: ActorRef<ToSink>,
        message: ToSink,
        state: &mut Sum,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ToSink::Number(number) => {
                state.sum += number;
                state.left -= 1;
                if state.left == 0
                    && let Some(done) = state.done.take()
                {
                    let _ = done.send(state.sum);
                }
            }
            ToSink::Double(number, answer) => answer.send(2 * number)?,
        }
        Ok(())
    }
}

/// Sends numbers, a burst in each turn.
struct Source;

struct Go;

struct Sent {
    sink: ActorRef<ToSink>,
    sent: u64,
}

impl Actor for Source {
    type Msg = Go;
    type State = Sent;
    type Arguments = ActorRef<ToSink>;

    async fn pre_start(
        &self,
        myself: ActorRef<Go>,
        sink: ActorRef<ToSink>,
    ) -> Result<Sent, ActorProcessingErr> {
        myself.cast(Go)?;
        Ok(Sent { sink, sent: 0 })
    }

    async fn handle(&self, myself: ActorRef<Go>, _: Go, state: &mut Sent) -> Result<(), ActorProcessingErr> {
        for number in state.sent..state.sent + BURST {
            state.sink.cast(ToSink::Number(number))?;
        }
        state.sent += BURST;
        if state.sent < MESSAGES {
            myself.cast(Go)?;
        } else {
            myself.stop(None);
        }
        Ok(())
    }
}

async fn sink(left: u64, done: Option<oneshot::Sender<u64>>) -> ActorRef<ToSink> {
    Actor::spawn(None, Sink, Sum { sum: 0, left, done }).await.expect("it starts").0
}

/// Numbers a second.
pub(crate) async fn tell(far: bool) -> f64 {
    let (done, all) = oneshot::channel();
    let sink = sink(MESSAGES, Some(done)).await;
    let to = sink.clone();
    let began = bench::now();
    let start = async move { drop(Actor::spawn(None, Source, to).await.expect("it starts")) };
    let arbiter = far.then(Arbiter::new);
    match &arbiter {
        Some(arbiter) => drop(arbiter.spawn(start)),
        None => start.await,
    }
    assert_eq!(all.await, Ok(MESSAGES * (MESSAGES - 1) / 2));
    let took = began.elapsed();
    sink.stop(None);
    if let Some(arbiter) = arbiter {
        arbiter.stop();
        let _ = arbiter.join();
    }
    MESSAGES as f64 / took.as_secs_f64()
}

/// Seconds for each question.
pub(crate) async fn ask() -> f64 {
    let sink = sink(0, None).await;
    let to = sink.clone();
    let asking = actix_rt::spawn(async move {
        let began = bench::now();
        for number in 0..ASKS {
            assert_eq!(call!(to, ToSink::Double, number).ok(), Some(2 * number));
        }
        began.elapsed()
    });
    let took = asking.await.expect("every question is answered");
    sink.stop(None);
    took.as_secs_f64() / ASKS as f64
}
