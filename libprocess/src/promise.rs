//! Answers that come later: a message carries a [`Promise`], its sender keeps the [`Answer`].
//!
//! An answer always ends: with the value, or with [`Abandoned`] when whoever held the promise dropped it, or ended.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// A promise and its answer.
pub fn promise<T>() -> (Promise<T>, Answer<T>) {
    let (sender, receiver) = oneshot::channel();
    (Promise(sender), Answer(receiver))
}

/// The obligation to answer once. Dropping it abandons the answer.
#[derive(Debug)]
pub struct Promise<T>(oneshot::Sender<T>);

impl<T> Promise<T> {
    /// Answers. Nothing happens if nobody waits any more.
    pub fn set(self, value: T) {
        let _ = self.0.send(value);
    }

    /// Whether nobody waits any more (upstream: a discarded future).
    pub fn is_discarded(&self) -> bool {
        self.0.is_closed()
    }
}

/// The future of a [`Promise`].
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<T>);

/// The promise was dropped without an answer: its keeper ended or forgot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the promise was abandoned")]
pub struct Abandoned;

impl<T> Future for Answer<T> {
    type Output = Result<T, Abandoned>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(task).map_err(|_| Abandoned)
    }
}
