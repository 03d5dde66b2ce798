//! Chance: one seeded generator for each node. A node with the same seed draws the same, in the order of its draws.
//!
//! Nothing in these crates draws from anywhere else. It is not for secrets.

use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngCore, SeedableRng};
use uuid::Uuid;

/// The node's generator. Shared: drawing takes a short lock.
#[derive(Debug)]
pub struct Random(Mutex<StdRng>);

impl Random {
    /// The same seed gives the same draws.
    pub fn seeded(seed: u64) -> Random {
        Random(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Seeded by the operating system.
    pub(crate) fn from_os() -> Random {
        Random(Mutex::new(StdRng::from_os_rng()))
    }

    /// A version 4 UUID.
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.lock().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A number in `0..n`; 0 if `n` is 0.
    pub fn below(&self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.0.lock().random_range(0..n) }
    }

    /// A duration in `0..=longest`, in nanoseconds (for back-off).
    pub fn duration_up_to(&self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.0.lock().random_range(0..=nanos))
    }

    /// Puts the items into random order.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        items.shuffle(&mut *self.0.lock());
    }

    /// A seed for a generator of one's own.
    pub fn seed(&self) -> u64 {
        self.0.lock().next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_draws_the_same_uuids_and_another_seed_others() {
        let (a, b, c) = (Random::seeded(7), Random::seeded(7), Random::seeded(8));
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.uuid(), c.uuid());
        assert_eq!(a.uuid().get_version_num(), 4);
    }

    #[test]
    fn draws_stay_within_their_limits() {
        let random = Random::seeded(1);
        assert_eq!(random.below(0), 0);
        assert!((0..100).all(|_| random.below(3) < 3));
        assert!(
            (0..100).all(|_| random.duration_up_to(Duration::from_millis(5)) <= Duration::from_millis(5))
        );
    }
}
