//! How fast agents may be removed (`--agent_removal_rate_limit`), so that an operator has time to act
//! when a network failure makes many agents look dead. Pure: time is an argument.
//!
//! Whoever waits and is not to be removed any more costs nothing (upstream: permits that are discarded, in
//! `RateLimiterProcess`): when the network is whole again, an agent that really dies does not wait behind all that had
//! seemed to.

use std::collections::VecDeque;
use std::time::Duration;

/// Spaces removals evenly, in the order in which they were asked for.
#[derive(Debug, Clone)]
pub struct RemovalLimiter<T> {
    spacing: Duration,
    /// When the next removal may happen, as the node's elapsed time.
    next: Duration,
    waiting: VecDeque<T>,
}

/// What comes out when it is asked whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn<T> {
    /// Whose turn it is.
    pub removal: Option<T>,
    /// Those that were passed over.
    pub spared: Vec<T>,
}

impl<T> RemovalLimiter<T> {
    /// At most `removals` in each `period`.
    pub fn new(removals: u32, period: Duration) -> Self {
        Self { spacing: period / removals.max(1), next: Duration::ZERO, waiting: VecDeque::new() }
    }

    /// A removal waits for its turn.
    pub fn wait(&mut self, removal: T) {
        self.waiting.push_back(removal);
    }

    /// The removal whose turn it is now, if it is anybody's. Those before it that are not wanted any more are passed over.
    pub fn take(&mut self, now: Duration, is_wanted: impl Fn(&T) -> bool) -> Turn<T> {
        let mut turn = Turn { removal: None, spared: Vec::new() };
        if now < self.next {
            return turn;
        }
        while let Some(removal) = self.waiting.pop_front() {
            if is_wanted(&removal) {
                self.next = now + self.spacing;
                turn.removal = Some(removal);
                break;
            }
            turn.spared.push(removal);
        }
        turn
    }

    /// Whether anybody waits.
    pub fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How long until the next turn; `None` if nobody waits for it.
    pub fn next_turn(&self, now: Duration) -> Option<Duration> {
        self.is_awaited().then(|| self.next.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn removals_are_spaced_evenly() {
        let mut limiter = RemovalLimiter::new(2, second(60));
        for agent in ["a", "b", "c"] {
            limiter.wait(agent);
        }
        let mut taken = Vec::new();
        let mut now = second(100);
        while let Some(wait) = limiter.next_turn(now) {
            now += wait;
            taken.push((limiter.take(now, |_| true).removal.unwrap(), now.as_secs()));
            assert_eq!(limiter.take(now, |_| true), Turn { removal: None, spared: Vec::new() });
        }
        assert_eq!(taken, [("a", 100), ("b", 130), ("c", 160)]);
        limiter.wait("d");
        assert_eq!(limiter.next_turn(second(1000)), Some(Duration::ZERO));
    }

    #[test]
    fn those_that_are_spared_cost_nothing() {
        let mut limiter = RemovalLimiter::new(1, second(600));
        for agent in 0..200 {
            limiter.wait(agent);
        }
        assert_eq!(limiter.take(second(0), |_| true).removal, Some(0));
        // Two answer again, then all others.
        let turn = limiter.take(second(600), |agent| *agent > 2);
        assert_eq!(turn, Turn { removal: Some(3), spared: vec![1, 2] });
        let turn = limiter.take(second(1200), |_| false);
        assert_eq!(turn, Turn { removal: None, spared: (4..200).collect() });
        assert_eq!(limiter.next_turn(second(1200)), None);
        limiter.wait(7);
        assert_eq!(limiter.take(second(1300), |_| true).removal, Some(7));
    }
}
