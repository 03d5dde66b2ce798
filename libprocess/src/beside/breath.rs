//! Long work that gives its core away now and then.
//!
//! A thread that has something to do keeps its core for some milliseconds also when another wakes up; an actor waits for
//! less than rendering takes (docs/performance.md, "A master that is polled"). So what runs for long says how much it has
//! done ([`spend`]), and what is done by [`Node::background`](crate::Node::background) and
//! [`Node::beside`](crate::Node::beside) gives its core to a thread that waits for it, ten times in a millisecond. An actor
//! that does the same work keeps its core.

use std::cell::Cell;
use std::io;
use std::time::Instant;

use super::slice::SLICE;

/// What it costs to render an entity, roughly; to look at one costs 1.
pub const RENDERED: usize = 32;

/// What it costs to write a line about one thing.
pub(crate) const LINE: usize = 8;

/// After so much work the clock is looked at. How long an entity takes depends on how much there is in it.
const GLANCE: usize = 2 * RENDERED;

/// Bytes of text that cost as much as an entity.
const TEXT: usize = 1 << 10;

thread_local! {
    static SPENT: Cell<usize> = const { Cell::new(0) };
    /// When it gave its core away; of what keeps it, nothing.
    static GIVEN: Cell<Option<Instant>> = const { Cell::new(None) };
    #[cfg(test)]
    static TIMES: Cell<usize> = const { Cell::new(0) };
}

/// So much was done; gives the core away if it is time.
pub fn spend(work: usize) {
    let before = SPENT.get();
    let after = before.wrapping_add(work);
    SPENT.set(after);
    if before / GLANCE != after / GLANCE
        && let Some(given) = GIVEN.get()
        && given.elapsed() >= SLICE
    {
        #[cfg(test)]
        TIMES.set(TIMES.get() + 1);
        std::thread::yield_now();
        GIVEN.set(Some(now()));
    }
}

/// What this thread has spent in all.
pub fn spent() -> usize {
    SPENT.get()
}

/// Does this, and gives the core away meanwhile where it [`spend`]s.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> T {
    /// Also if the work panics: the thread goes on.
    struct Before(Option<Instant>);
    impl Drop for Before {
        fn drop(&mut self) {
            GIVEN.set(self.0);
        }
    }
    let _before = Before(GIVEN.replace(Some(now())));
    work()
}

/// Whether this thread gives its core away where it spends.
#[cfg(test)]
pub(crate) fn is_during() -> bool {
    GIVEN.get().is_some()
}

#[allow(clippy::disallowed_methods, reason = "it is the machine's core that is given away")]
fn now() -> Instant {
    Instant::now()
}

/// Appends text to a buffer, which is work.
#[derive(Debug)]
pub struct Text<'a> {
    buffer: &'a mut Vec<u8>,
    /// How much of it was counted.
    counted: usize,
}

impl<'a> Text<'a> {
    /// Behind what is there.
    pub fn behind(buffer: &'a mut Vec<u8>) -> Self {
        Self { counted: buffer.len(), buffer }
    }

    fn count(&mut self) {
        let length = self.buffer.len();
        spend(RENDERED * (length - self.counted) / TEXT);
        self.counted = length;
    }
}

impl io::Write for Text<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.write_all(text)?;
        Ok(text.len())
    }

    // JSON is written a bracket, a comma, a word at a time, by other crates: a call of a function would cost more.
    #[inline]
    fn write_all(&mut self, text: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(text);
        if self.buffer.len() - self.counted >= TEXT {
            self.count();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    /// Works as `step` does, until the core was given away so often, or for so long if it never is; how often it was.
    fn times(most: usize, long: Duration, mut step: impl FnMut()) -> usize {
        let (began, before) = (now(), TIMES.get());
        while TIMES.get() - before < most && began.elapsed() < long {
            step();
        }
        TIMES.get() - before
    }

    /// Five times, which takes at least as long as there is between them, however fast or slow the machine is.
    fn is_given_away_now_and_then(step: impl FnMut()) {
        let began = now();
        assert_eq!(times(5, Duration::from_secs(30), step), 5);
        assert!(began.elapsed() >= 4 * SLICE, "{:?}", began.elapsed());
    }

    #[test]
    fn what_is_done_beside_gives_its_core_away_and_what_is_not_keeps_it() {
        let keeps = || times(1, 10 * SLICE, || spend(1));
        assert_eq!(keeps(), 0);
        during(|| is_given_away_now_and_then(|| spend(1)));
        let panicked = std::panic::catch_unwind(|| during(|| panic!("what it did was wrong")));
        assert!(panicked.is_err());
        assert_eq!(keeps(), 0);
    }

    #[test]
    fn what_is_done_beside_within_such_work_leaves_it_as_it_was() {
        during(|| {
            during(|| spend(1));
            is_given_away_now_and_then(|| spend(1));
        });
    }

    #[test]
    fn text_is_work() {
        let mut buffer = b"behind ".to_vec();
        let mut write = || {
            buffer.truncate("behind ".len());
            let mut text = Text::behind(&mut buffer);
            (0..TEXT).for_each(|_| text.write_all(b"words ").unwrap());
        };
        during(|| is_given_away_now_and_then(&mut write));
        assert_eq!(String::from_utf8(buffer).unwrap(), format!("behind {}", "words ".repeat(TEXT)));
    }
}
