//! An actor's turn, and whom it wakes: who sends in a turn has its receivers woken when the turn ends.
//!
//! A turn handles many events ([`crate::cell`]). If each message woke whom it is for, an actor of another thread, or the
//! writer of a connection, would handle that one message and sleep again: a system call, a write and a segment for every
//! message. So they are woken together, once, when all is said.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::Waker;

use crate::transport::Connection;

/// Who has something to do since the turn began.
#[derive(Default)]
struct Unwoken {
    actors: Vec<Waker>,
    writers: Vec<Arc<Connection>>,
}

thread_local! {
    /// Of this thread's turn; `None` between turns.
    static UNWOKEN: RefCell<Option<Unwoken>> = const { RefCell::new(None) };
}

/// Runs a turn, then wakes.
pub(crate) fn take<R>(turn: impl FnOnce() -> R) -> R {
    let _end = End(UNWOKEN.replace(Some(Unwoken::default())));
    turn()
}

/// The end of a turn, also of one that panics; it knows what it had interrupted.
struct End(Option<Unwoken>);

impl Drop for End {
    fn drop(&mut self) {
        let Some(Unwoken { actors, writers }) = UNWOKEN.replace(self.0.take()) else { return };
        writers.iter().for_each(|writer| writer.wake());
        actors.into_iter().for_each(Waker::wake);
    }
}

/// Wakes an actor: at the end of this thread's turn, or now if there is none.
pub(crate) fn wake_actor(waker: Waker) {
    let now = UNWOKEN.with_borrow_mut(|unwoken| match unwoken {
        Some(unwoken) => {
            unwoken.actors.push(waker);
            None
        }
        None => Some(waker),
    });
    if let Some(waker) = now {
        waker.wake();
    }
}

/// Wakes the writer of a connection: at the end of this thread's turn, or now if there is none.
pub(crate) fn wake_writer(connection: &Arc<Connection>) {
    let later = UNWOKEN.with_borrow_mut(|unwoken| {
        let writers = unwoken.as_mut().map(|unwoken| &mut unwoken.writers);
        writers.map(|writers| writers.push(Arc::clone(connection))).is_some()
    });
    if !later {
        connection.wake();
    }
}
