//! The turns of large answers: one turn at a time, and whoever asks for little goes first.
//!
//! A peer on this machine takes megabytes at once: without turns, those who ask for little would wait until all who asked
//! for much have had theirs. So a large answer pauses after [`TURN`] bytes and lines up. Each thread has an [`Usher`], who
//! lets one of the line have its turn, then has the runtime look for what has come from the network meanwhile, and then
//! calls the next: what comes waits for one turn, not for as many as there are in the line. What has come may be for an
//! actor on another thread, which was woken on this one's core and waits for it: so the thread gives that away, too. It
//! does so also for one answer alone, whose peer on another core may take it as fast as it is given.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use crate::beside::slice;

/// Bytes of an answer after which others on this thread go first.
pub(super) const TURN: usize = 128 << 10;

/// How much one answer may give away before it lines up again.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Bytes of this turn.
    given: usize,
    /// Since the turn has ended.
    place: Option<Rc<Place>>,
}

impl Turns {
    /// Ready if more may be given away now; else the task is woken when its turn has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.given < TURN {
            return Poll::Ready(());
        }
        let place = self.place.get_or_insert_with(|| Usher::of_this_thread().line_up());
        if !place.called.get() {
            place.waker.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        *self = Turns::default();
        Poll::Ready(())
    }

    /// So many bytes were given away.
    pub(super) fn gave(&mut self, bytes: usize) {
        self.given += bytes;
    }
}

/// A place in the line. Who drops it has left.
#[derive(Debug, Default)]
struct Place {
    called: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Calls those who have lined up on its thread, in order.
#[derive(Debug, Default)]
struct Usher {
    line: RefCell<VecDeque<Weak<Place>>>,
    /// Somebody has lined up.
    news: Notify,
}

thread_local! {
    /// The usher of this thread, as long as the runtime lives that it was made in: a task of that runtime owns it.
    static USHER: RefCell<Weak<Usher>> = const { RefCell::new(Weak::new()) };
}

impl Usher {
    fn of_this_thread() -> Rc<Usher> {
        if let Some(usher) = USHER.with_borrow(Weak::upgrade) {
            return usher;
        }
        // It will give its core away often.
        slice::shorten();
        let usher = Rc::new(Usher::default());
        USHER.set(Rc::downgrade(&usher));
        actix_rt::spawn(usher.clone().call());
        usher
    }

    fn line_up(&self) -> Rc<Place> {
        let place = Rc::default();
        self.line.borrow_mut().push_back(Rc::downgrade(&place));
        self.news.notify_one();
        place
    }

    async fn call(self: Rc<Usher>) {
        loop {
            let next = self.line.borrow_mut().pop_front();
            match next.map(|place| place.upgrade()) {
                None => self.news.notified().await,
                Some(None) => {}
                Some(Some(place)) => {
                    // Comes back once the runtime has looked who else has something to do, here and on other threads.
                    tokio::task::yield_now().await;
                    std::thread::yield_now();
                    place.called.set(true);
                    if let Some(waker) = place.waker.take() {
                        waker.wake();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Gives away this many turns, and writes down each.
    async fn give(name: char, turns: usize, journal: Rc<RefCell<String>>) {
        let mut own = Turns::default();
        for _ in 0..turns {
            poll_fn(|cx| own.poll(cx)).await;
            own.gave(TURN);
            journal.borrow_mut().push(name);
        }
    }

    #[test]
    fn answers_take_turns_and_whoever_leaves_holds_up_nobody() {
        crate::testing::run(async {
            let journal = Rc::default();
            let leaver = actix_rt::spawn(give('x', 9, Rc::clone(&journal)));
            let tasks: Vec<_> =
                "abc".chars().map(|name| actix_rt::spawn(give(name, 3, Rc::clone(&journal)))).collect();
            while journal.borrow().len() < 4 {
                tokio::task::yield_now().await;
            }
            leaver.abort();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(journal.borrow().replace('x', ""), "abcabcabc");
        });
    }

    #[test]
    fn who_is_woken_out_of_turn_stays_in_its_place() {
        crate::testing::run(async {
            let mut turns = Turns::default();
            turns.gave(TURN);
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                // Woken at once, by something else, the first time.
                (polls == 1).then(|| cx.waker().wake_by_ref());
                turns.poll(cx)
            })
            .await;
            assert!(polls >= 2, "{polls}");
            assert!(USHER.with_borrow(Weak::upgrade).unwrap().line.borrow().is_empty());
            // The next turn has begun.
            assert_eq!(turns.given, 0);
        });
    }

    #[test]
    fn what_has_come_meanwhile_waits_for_one_turn_however_many_are_in_the_line() {
        crate::testing::run(async {
            let journal: Rc<RefCell<String>> = Rc::default();
            let (near, mut far) = tokio::net::UnixStream::pair().unwrap();
            let small = actix_rt::spawn({
                let journal = Rc::clone(&journal);
                async move {
                    near.readable().await.unwrap();
                    journal.borrow_mut().push('s');
                }
            });
            // Everybody has had a first turn and has lined up.
            let tasks: Vec<_> =
                "abcdefgh".chars().map(|name| actix_rt::spawn(give(name, 3, Rc::clone(&journal)))).collect();
            while journal.borrow().len() < 10 {
                tokio::task::yield_now().await;
            }
            let before = journal.borrow().len();
            tokio::io::AsyncWriteExt::write_all(&mut far, b"x").await.unwrap();
            small.await.unwrap();
            let waited = journal.borrow().find('s').unwrap() - before;
            assert!(waited <= 2, "{}", journal.borrow());
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}
