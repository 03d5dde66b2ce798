//! Long work that gives its core away now and then.
//!
//! A thread that has something to do keeps its core for some milliseconds also when another wakes up; an actor waits for
//! less than rendering takes (docs/performance.md, "A master that is polled").

/// What it costs to render an entity, roughly; to look at one costs 1.
pub(super) const RENDERED: usize = 32;

/// After so much work the core is given to a thread that waits for it: some 0.1 ms.
const WORK: usize = 64 * RENDERED;

/// How much was done since the core was given away.
#[derive(Debug, Default)]
pub(super) struct Breath(usize);

impl Breath {
    /// So much was done; gives the core away if it is time.
    pub(super) fn spend(&mut self, work: usize) {
        self.0 += work;
        if self.0 >= WORK {
            self.0 = 0;
            std::thread::yield_now();
        }
    }
}
