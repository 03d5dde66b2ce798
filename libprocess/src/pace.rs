//! How slowly a peer may give us a body, or take an answer.
//!
//! A peer may pause, and may be slow, but not for ever: who sends a byte a minute would hold its connection, and what
//! it has sent so far, as long as it likes. So it has patience to lose: [`PATIENCE`] at first, which passes as time
//! does; what it moves wins some back, at [`RATE`]. Pure: the caller has the clock.

use std::time::Duration;

use tokio::time::Instant;

/// How long a peer may go without moving a byte: all the patience that there is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that win back a second: in the long run, who moves fewer in a second loses.
const RATE: u64 = 16 << 10;

/// The time of one body, or of one answer.
#[derive(Debug)]
pub(crate) struct Pace {
    deadline: Instant,
    paused: Option<Instant>,
}

impl Pace {
    /// Nothing has moved yet.
    pub(crate) fn new(now: Instant) -> Pace {
        Pace { deadline: now + PATIENCE, paused: None }
    }

    /// So many bytes have moved.
    pub(crate) fn moved(&mut self, bytes: usize, now: Instant) {
        let won = Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / RATE);
        self.deadline = (self.deadline + won).min(now + PATIENCE);
    }

    /// From now on it is not the peer that is waited for. Nothing is lost until [`Pace::go_on`].
    pub(crate) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    /// The peer is waited for again.
    pub(crate) fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.paused.take() {
            self.deadline += now - since;
        }
    }

    /// When the next byte must have moved.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_go_on_and_get_on() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut pace = Pace::new(began);
        assert_eq!(pace.deadline(), at(60));
        // A byte now and then does not help in the long run.
        for second in 0..60 {
            pace.moved(1, at(second));
        }
        assert!(pace.deadline() < at(61));
        // Bytes at the rate go on for ever.
        for second in 0..10_000 {
            assert!(pace.deadline() > at(second));
            pace.moved(RATE as usize, at(second));
        }
        // Who has moved much may pause, but not longer than anybody.
        pace.moved(usize::MAX, at(10_000));
        assert_eq!(pace.deadline(), at(10_060));
        // Our own pauses do not count.
        pace.pause(at(10_010));
        pace.pause(at(10_020));
        pace.go_on(at(10_510));
        pace.go_on(at(10_520));
        assert_eq!(pace.deadline(), at(10_560));
    }
}
