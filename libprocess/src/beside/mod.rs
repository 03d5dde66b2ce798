//! What is done beside the actors: on threads that nobody's handler waits for.
//!
//! | | for | where |
//! |---|---|---|
//! | [`Node::blocking`] | what blocks, and what somebody waits for | threads of the process, as many as are needed |
//! | [`Node::background`] | what computes for long | as many threads as there are cores, of lower priority (`background`) |
//! | [`Node::beside`] | what is one or the other by the number of things | here, or in the background |
//! | `reading` | what comes from outside and is large | as what blocks, in turns |
//!
//! What computes gives its core away now and then ([`breath`]), and has short slices of it (`slice`).
//!
//! A node that keeps to one thread, as in a test or a simulation, does all of it there and at once, so that it repeats
//! itself.

mod background;
mod blocking;
pub mod breath;
mod reading;
pub(crate) mod slice;

pub(crate) use reading::{LARGE_MESSAGE, LARGE_REQUEST, RequestTurn, Turns};

use crate::node::Node;

/// Things from which on an answer about them is not made between other requests: that takes a millisecond, or more.
pub(crate) const MANY: usize = 1000;

impl Node {
    /// Runs what blocks (file systems, libraries) on a thread for it; on the current thread if the node keeps to one,
    /// so that a simulation repeats itself, and if the system has no thread left. A panic in it is the caller's.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        if self.is_single() {
            return work();
        }
        #[allow(clippy::disallowed_methods, reason = "this is the one place that may")]
        let spawn = |job: blocking::Job| drop(tokio::task::spawn_blocking(job));
        blocking::run(work, spawn).await
    }

    /// As [`Node::blocking`], for what computes for long: it gives way to all other threads of the process, the more so
    /// where it says what it does ([`breath`]).
    pub async fn background<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        if self.is_single() {
            return work();
        }
        match background::threads() {
            Some(threads) => {
                let work = move || breath::during(work);
                blocking::run(work, |job| drop(threads.spawn_blocking(job))).await
            }
            None => self.blocking(work).await,
        }
    }

    /// Runs what takes about a microsecond for each of so many things, such as an answer about them: at once where they are
    /// few, else as [`Node::background`] does.
    pub async fn beside<T: Send + 'static>(
        &self,
        things: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if things < MANY { breath::during(work) } else { self.background(work).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_computes_gives_its_core_away_and_what_blocks_does_not() {
        crate::run(async {
            // A node that is offline keeps to one thread.
            let node = Node::builder().bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
            assert!(node.background(breath::is_during).await);
            for things in [MANY - 1, MANY] {
                assert!(node.beside(things, breath::is_during).await, "{things} things");
            }
            assert!(!node.blocking(breath::is_during).await);
            assert!(!breath::is_during());
            node.shutdown().await;
        });
    }
}
