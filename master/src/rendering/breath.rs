//! Long work that gives its core away now and then.
//!
//! A thread that has something to do keeps its core for some milliseconds also when another wakes up; an actor waits for
//! less than rendering takes (docs/performance.md, "A master that is polled").

use std::time::{Duration, Instant};

/// What it costs to render an entity, roughly; to look at one costs 1.
pub(super) const RENDERED: usize = 32;

/// After so much work the clock is looked at. How long an entity takes depends on how much there is in it.
const GLANCE: usize = 2 * RENDERED;

/// So long the core is kept from a thread that waits for it.
const KEPT: Duration = Duration::from_micros(100);

/// For how long a piece of work has kept its core.
#[derive(Debug)]
pub(super) struct Breath {
    /// Since the clock was looked at.
    work: usize,
    /// When the core was given away.
    given: Instant,
}

impl Default for Breath {
    fn default() -> Self {
        Self { work: 0, given: now() }
    }
}

impl Breath {
    /// So much was done; gives the core away if it is time.
    pub(super) fn spend(&mut self, work: usize) {
        self.work += work;
        if self.work >= GLANCE {
            self.work = 0;
            if now().duration_since(self.given) >= KEPT {
                std::thread::yield_now();
                self.given = now();
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "it is the core that is shared, also where time is simulated")]
fn now() -> Instant {
    Instant::now()
}
