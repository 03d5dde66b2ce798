//! How long to wait before the next try. Pure: who waits draws a random part, if many wait for the same.

use std::time::Duration;

/// A wait that doubles with each failure. Schedulers wait for a random part of it, so that a thousand do not come back to a
/// new master at once.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// The first wait, and the longest.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Backoff { first, longest, failures: 0 }
    }

    /// How long to wait before the next try.
    pub fn wait(&mut self) -> Duration {
        let wait = self.first.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        wait.min(self.longest)
    }

    /// It worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_longest_and_begins_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(3));
        let waits = [0; 5].map(|_| backoff.wait().as_millis());
        assert_eq!(waits, [500, 1000, 2000, 3000, 3000]);
        backoff.reset();
        assert_eq!(backoff.wait().as_millis(), 500);
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff =
            Backoff { failures: u32::MAX, ..Backoff::new(Duration::from_secs(1), Duration::from_secs(9)) };
        assert_eq!(backoff.wait(), Duration::from_secs(9));
    }
}
