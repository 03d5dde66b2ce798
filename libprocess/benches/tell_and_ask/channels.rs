//! Tokio's channels, without actors.

use actix_rt::Arbiter;
use harness::bench;
use tokio::sync::{mpsc, oneshot};

use super::{ASKS, BURST, MESSAGES};

/// Numbers a second.
pub(crate) async fn tell(far: bool) -> f64 {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let began = bench::now();
    let source = async move {
        let mut sent = 0;
        while sent < MESSAGES {
            for number in sent..sent + BURST {
                let _ = sender.send(number);
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
        while let Some(number) = receiver.recv().await {
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
pub(crate) async fn ask() -> f64 {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(u64, oneshot::Sender<u64>)>();
    let answering = actix_rt::spawn(async move {
        while let Some((number, answer)) = receiver.recv().await {
            let _ = answer.send(2 * number);
        }
    });
    let asking = actix_rt::spawn(async move {
        let began = bench::now();
        for number in 0..ASKS {
            let (answer, answered) = oneshot::channel();
            let _ = sender.send((number, answer));
            assert_eq!(answered.await, Ok(2 * number));
        }
        began.elapsed()
    });
    let took = asking.await.expect("every question is answered");
    let _ = answering.await;
    took.as_secs_f64() / ASKS as f64
}
