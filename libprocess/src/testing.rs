//! Tests and simulations: everything on one thread, with a clock that jumps when nothing is left to do.
//!
//! Inside of [`run`] time passes only while all actors wait for it, chance is seeded, and what would block runs at once: a
//! test waits for hours in no time, and runs the same way each time, as long as it opens no socket (a real peer does not
//! know our clock; [`crate::simulation`] has sockets that do). A panic of an actor fails the run unless somebody waited
//! for that actor.

use std::cell::{Cell, RefCell};
use std::future::Future;

use crate::pid::Pid;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static ACTIVITY: Cell<u64> = const { Cell::new(0) };
    static PANICS: RefCell<Vec<(Pid, String)>> = const { RefCell::new(Vec::new()) };
}

/// Rounds without any actor's turn after which nothing can be runnable.
const QUIET_ROUNDS: u32 = 32;

/// Runs a test on one thread with a paused clock: nodes started inside keep all their actors here, draw from
/// seed 0 unless they are given one, and their wall clock begins at a fixed time. The clock advances by itself, to
/// the next timer, as soon as nothing is runnable.
///
/// # Panics
/// If an actor panicked and nobody waited for it ([`crate::Address::wait`]): a panic is never swallowed.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    run_on(tokio::runtime::Builder::new_current_thread().enable_all(), future)
}

/// As [`run`], on a runtime of one thread that can do what the builder says.
#[allow(clippy::panic, reason = "it fails a test")]
pub(crate) fn run_on<T>(builder: &mut tokio::runtime::Builder, future: impl Future<Output = T>) -> T {
    let system = actix::System::with_tokio_rt(|| {
        builder.start_paused(true).build().expect("a test's runtime needs nothing but file descriptors")
    });
    let inside = Inside(INSIDE.replace(true));
    let output = system.block_on(future);
    drop(inside);
    let panics = PANICS.take();
    drop(system);
    PANICS.take();
    if let Some((pid, text)) = panics.first() {
        panic!("actor {pid} panicked: {text}");
    }
    output
}

struct Inside(bool);

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

/// Waits until no actor of this thread has anything to do but wait for time to pass (upstream: `Clock::settle`).
/// It does not wait for other threads or sockets.
pub async fn settle() {
    let mut quiet = 0;
    let mut seen = ACTIVITY.get();
    while quiet < QUIET_ROUNDS {
        tokio::task::yield_now().await;
        let now = ACTIVITY.get();
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
    }
}

/// The panics of actors since the last time: for who asks after each of many steps, and not at the end of [`run`], which
/// does not know them any more.
pub fn take_panics() -> Vec<String> {
    PANICS.take().into_iter().map(|(pid, text)| format!("actor {pid} panicked: {text}")).collect()
}

/// Whether this thread is inside of [`run`].
pub(crate) fn is_inside() -> bool {
    INSIDE.get()
}

/// An actor had a turn.
pub(crate) fn note_activity() {
    ACTIVITY.set(ACTIVITY.get().wrapping_add(1));
}

/// An actor panicked.
pub(crate) fn note_panic(pid: &Pid, text: &str) {
    if is_inside() {
        PANICS.with_borrow_mut(|panics| panics.push((pid.clone(), text.to_owned())));
    }
}

/// Somebody was told how an actor ended.
pub(crate) fn forgive(pid: &Pid) {
    if is_inside() {
        PANICS.with_borrow_mut(|panics| panics.retain(|(other, _)| other != pid));
    }
}
