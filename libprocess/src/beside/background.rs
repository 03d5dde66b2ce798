//! Threads for long computations, which give way to all others.
//!
//! A thread that computes keeps its core for some milliseconds also while an actor waits for it, and one that is woken by
//! the thread that serves HTTP mostly gets that one's core. With a ninth of its weight (nice(2)) it has used up its share
//! when it gives the core away the next time, and is not given it back at once (docs/performance.md, "A master that is
//! polled").

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

use super::slice;

/// By so much these threads are nicer than the process.
const NICER: i32 = 10;

/// Of the process: priorities are the machine's affair, not a node's. Nothing runs on it but blocking work, whose threads
/// end when they have had nothing to do for a while.
static THREADS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_current_thread()
        .thread_name("background")
        .max_blocking_threads(cores)
        .on_thread_start(|| {
            // Who may not lower it has to do without.
            if let Err(error) = rustix::process::nice(NICER) {
                tracing::debug!(%error, "a thread for long computations has the priority of others");
            }
            slice::shorten();
        })
        .build()
});

/// The threads, if they can be had.
pub(crate) fn threads() -> Option<&'static Runtime> {
    THREADS.as_ref().ok()
}

#[cfg(test)]
mod tests {
    use crate::node::Node;

    #[test]
    fn a_long_computation_gives_way_and_its_panic_is_the_callers() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        crate::run(async move {
            // A node that is offline keeps to one thread.
            let node = Node::builder().bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
            let lower = node.background(priority).await;
            assert_eq!(lower, (priority() + super::NICER).min(19));
            let node_of_panic = node.clone();
            let computation = node_of_panic.background(|| panic!("what it computed was wrong"));
            let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(computation)).await;
            assert!(outcome.is_err());
            node.shutdown().await;
        });
    }
}
