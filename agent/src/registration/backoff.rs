//! How long an agent waits between its attempts to register.

use std::time::Duration;

/// The shortest window that the pause after an attempt is drawn from. Where `--registration_backoff_factor` is 0, windows
/// would never grow, and a master that cannot be reached be asked all the time. (Upstream's agent does that.)
const WINDOW_MIN: Duration = Duration::from_millis(100);
/// The longest window that a pause between attempts is drawn from.
const WINDOW_MAX: Duration = Duration::from_secs(60);

/// How long to wait between attempts to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    factor: Duration,
    /// The window of the next pause.
    window: Duration,
}

impl Backoff {
    /// The factor is `--registration_backoff_factor`.
    pub(super) fn new(factor: Duration) -> Backoff {
        Backoff { factor, window: Backoff::first(factor) }
    }

    /// The window of the pause after the first attempt.
    fn first(factor: Duration) -> Duration {
        (factor * 2).max(WINDOW_MIN)
    }

    /// A new leader: the window of the pause before the first attempt.
    pub(super) fn restart(&mut self) -> Duration {
        self.window = Backoff::first(self.factor);
        self.factor
    }

    /// Whether the pauses have become longer than a new leader's.
    pub(super) fn has_grown(&self) -> bool {
        self.window > Backoff::first(self.factor)
    }

    /// The window of the pause after an attempt: each is twice the one before, up to a minute.
    pub(super) fn next(&mut self) -> Duration {
        let window = self.window.min(WINDOW_MAX);
        self.window = window * 2;
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_one_second_then_two_doubling_to_a_minute() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        assert_eq!(backoff.restart(), Duration::from_secs(1));
        let windows: Vec<u64> = (0..8).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(windows, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(backoff.has_grown());
        backoff.restart();
        assert!(!backoff.has_grown());
        assert_eq!(backoff.next(), Duration::from_secs(2));
    }

    #[test]
    fn without_a_factor_the_first_attempt_is_made_at_once_and_the_others_after_growing_pauses() {
        let mut backoff = Backoff::new(Duration::ZERO);
        assert_eq!(backoff.restart(), Duration::ZERO);
        assert!(!backoff.has_grown());
        let windows: Vec<u128> = (0..4).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(windows, [100, 200, 400, 800]);
        assert!(backoff.has_grown());
    }
}
