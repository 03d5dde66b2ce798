//! How long things take on a simulated network.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

/// What one way takes between processes of one host, whatever the weather. Nothing waits there for long: a process that
/// was killed is not heard of seconds later, when its successor has begun.
const WITHIN_HOST: (u64, u64) = (0, 2);

/// Delays, in whole milliseconds (the grain of the clock). The defaults are those of a data centre on a normal day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weather {
    /// What one way usually takes.
    pub delay: (u64, u64),
    /// One in so many is slow; 0 means none.
    pub slow_one_in: u64,
    /// What a slow one takes.
    pub slow_delay: (u64, u64),
    /// After how long a side gives a connection up whose packets do not arrive.
    pub give_up: (u64, u64),
}

impl Default for Weather {
    fn default() -> Weather {
        Weather { delay: (1, 4), slow_one_in: 200, slow_delay: (20, 900), give_up: (20_000, 240_000) }
    }
}

impl Weather {
    /// Packets crawl, and overtake each other where they may.
    pub fn storm() -> Weather {
        Weather { delay: (1, 300), slow_one_in: 20, slow_delay: (500, 8_000), ..Weather::default() }
    }

    pub(super) fn one_way(&self, within_host: bool, random: &mut SmallRng) -> Duration {
        if within_host {
            return draw(WITHIN_HOST, random);
        }
        let slow = self.slow_one_in > 0 && random.random_range(0..self.slow_one_in) == 0;
        draw(if slow { self.slow_delay } else { self.delay }, random)
    }

    pub(super) fn patience(&self, random: &mut SmallRng) -> Duration {
        draw(self.give_up, random)
    }
}

fn draw((least, most): (u64, u64), random: &mut SmallRng) -> Duration {
    Duration::from_millis(random.random_range(least..=most.max(least)))
}
