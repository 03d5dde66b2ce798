//! How fast agents may be removed (`--agent_removal_rate_limit`), so that an operator has time to act
//! when a network failure makes many agents look dead. Pure: time is an argument.

use std::time::Duration;

/// Spaces removals evenly.
#[derive(Debug, Clone)]
pub struct RemovalLimiter {
    spacing: Duration,
    /// When the next removal may happen, as the node's elapsed time.
    next: Duration,
}

impl RemovalLimiter {
    /// At most `removals` in each `period`.
    pub fn new(removals: u32, period: Duration) -> Self {
        Self { spacing: period / removals.max(1), next: Duration::ZERO }
    }

    /// Takes the next permit; how long to wait for it.
    pub fn acquire(&mut self, now: Duration) -> Duration {
        let at = self.next.max(now);
        self.next = at + self.spacing;
        at - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_are_spaced_evenly() {
        let mut limiter = RemovalLimiter::new(2, Duration::from_secs(60));
        let now = Duration::from_secs(100);
        let waits: Vec<u64> = (0..3).map(|_| limiter.acquire(now).as_secs()).collect();
        assert_eq!(waits, [0, 30, 60]);
        assert_eq!(limiter.acquire(Duration::from_secs(1000)).as_secs(), 0);
    }
}
