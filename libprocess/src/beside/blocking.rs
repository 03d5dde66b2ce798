//! Threads for what blocks, and what is done when there is none to be had.
//!
//! A host, a user or a container may have as many processes as it is allowed. tokio panics then if not one of its threads
//! for blocking work is there, and whichever actor had something to do would be lost; so the actor's thread does it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// What a thread is asked to do.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Has `work` done on a thread that `spawn` finds, or on this one if `spawn` panics because there is none. A panic in it is
/// the caller's.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    spawn: impl FnOnce(Job),
) -> T {
    let (report, reported) = oneshot::channel();
    // Where it is taken from by who does it: tokio keeps a job that it could not find a thread for, and may find one later.
    let work = Arc::new(Mutex::new(Some(work)));
    let offered = Arc::clone(&work);
    let job = move || {
        let work = offered.lock().take();
        if let Some(work) = work {
            // Nobody may be waiting any more.
            let _ = report.send(catch_unwind(AssertUnwindSafe(work)));
        }
    };
    let found = catch_unwind(AssertUnwindSafe(|| spawn(Box::new(job)))).is_ok();
    let left = if found { None } else { work.lock().take() };
    drop(work);
    if let Some(work) = left {
        tracing::warn!("no thread can be started (too many processes?): what blocks holds up others");
        return work();
    }
    match reported.await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => resume_unwind(panic),
        // The runtime ends; whoever waits ends with it.
        Err(_) => futures::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use futures::FutureExt;

    use super::*;

    fn this_thread() -> ThreadId {
        thread::current().id()
    }

    #[tokio::test]
    async fn a_thread_that_is_found_does_it_and_its_panic_is_the_callers() {
        let spawn = |job: Job| drop(thread::spawn(job));
        assert_ne!(run(this_thread, spawn).await, this_thread());
        let panics = run(|| panic!("it was wrong"), |job| drop(thread::spawn(job)));
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
    }

    /// As tokio does it when the system has no thread left.
    #[tokio::test]
    async fn without_threads_it_is_done_here_and_once() {
        let mut kept: Option<Job> = None;
        let done = Arc::new(Mutex::new(0));
        let counts = Arc::clone(&done);
        let work = move || {
            *counts.lock() += 1;
            this_thread()
        };
        let fails = |job: Job| {
            kept = Some(job);
            panic!("OS can't spawn worker thread");
        };
        assert_eq!(run(work, fails).await, this_thread());
        // A thread is found after all.
        kept.unwrap()();
        assert_eq!(*done.lock(), 1);
    }

    #[tokio::test]
    async fn a_thread_that_was_found_meanwhile_is_waited_for() {
        let spawn = |job: Job| {
            thread::spawn(job).join().unwrap();
            panic!("OS can't spawn worker thread");
        };
        assert_ne!(run(this_thread, spawn).await, this_thread());
    }
}
