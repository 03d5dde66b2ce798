//! A rate limiter: so many permits in such a time, spaced evenly.
//!
//! It has no actor and no thread; it waits on the clock that the node and tests share (tokio's). Upstream:
//! 3rdparty/libprocess/include/process/limiter.hpp.

use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::duration;

/// A rate: so many in such a time. As text, `2/1secs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many, at least one.
    pub permits: u32,
    /// In this time.
    pub per: Duration,
}

/// Why a text is no [`Rate`]. The texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// It has not two parts.
    #[error("format is <number of requests>/<interval duration>")]
    Form,
    /// The first part is no number above 0.
    #[error(
        "format is <number of requests>/<interval duration>: Failed to parse the number of requests: {0}"
    )]
    Permits(String),
    /// The second part is no duration above 0.
    #[error("format is <number of requests>/<interval duration>: Failed to parse the interval: {0}")]
    Interval(String),
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Rate, RateError> {
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let [permits, per] = parts[..] else { return Err(RateError::Form) };
        let permits = match permits.parse::<u32>() {
            Ok(0) => return Err(RateError::Permits("it must be at least 1".to_owned())),
            Ok(permits) => permits,
            Err(_) => return Err(RateError::Permits(format!("Failed to convert '{permits}' to number"))),
        };
        match duration::parse(per) {
            Ok(Duration::ZERO) => Err(RateError::Interval("it must be above 0".to_owned())),
            Ok(per) => Ok(Rate { permits, per }),
            Err(error) => Err(RateError::Interval(error.to_string())),
        }
    }
}

/// Gives out permits, first come, first served, no more often than its rate. The first one is there at once; whoever
/// was idle for long does not get several.
#[derive(Debug)]
pub struct RateLimiter {
    spacing: Duration,
    /// When the next permit may be given. Whoever holds the lock waits for it, the others wait for the lock, which is
    /// fair.
    next: Mutex<Option<Instant>>,
    waiting: AtomicUsize,
}

impl RateLimiter {
    /// A limiter that has not given out any permit.
    pub fn new(rate: Rate) -> RateLimiter {
        let spacing = rate.per / rate.permits.max(1);
        RateLimiter { spacing, next: Mutex::new(None), waiting: AtomicUsize::new(0) }
    }

    /// Waits for a permit. Dropping the future gives up the place in the queue, and costs nobody a permit.
    pub async fn acquire(&self) {
        let _waiting = Waiting::of(&self.waiting);
        let mut next = self.next.lock().await;
        if let Some(next) = *next {
            tokio::time::sleep_until(next).await;
        }
        *next = Some(Instant::now() + self.spacing);
    }

    /// How many wait for a permit.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Counts who waits, for as long as they do.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{join_all, poll_immediate};

    const TWO_A_SECOND: Rate = Rate { permits: 2, per: Duration::from_secs(1) };

    #[test]
    fn rates_are_read_with_upstreams_texts() {
        assert_eq!("2/1secs".parse(), Ok(TWO_A_SECOND));
        assert_eq!("1/10mins".parse(), Ok(Rate { permits: 1, per: Duration::from_secs(600) }));
        for (text, error) in [
            ("2", "format is <number of requests>/<interval duration>"),
            ("2/1secs/3", "format is <number of requests>/<interval duration>"),
            (
                "x/1secs",
                "format is <number of requests>/<interval duration>: Failed to parse the number of requests: Failed to \
                 convert 'x' to number",
            ),
            (
                "0/1secs",
                "format is <number of requests>/<interval duration>: Failed to parse the number of requests: it must be \
                 at least 1",
            ),
            (
                "2/second",
                "format is <number of requests>/<interval duration>: Failed to parse the interval: Failed to convert '' \
                 to number",
            ),
            (
                "2/0secs",
                "format is <number of requests>/<interval duration>: Failed to parse the interval: it must be above 0",
            ),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap_err().to_string(), error, "{text}");
        }
    }

    #[test]
    fn permits_are_spaced_evenly_in_the_order_they_were_asked_for() {
        crate::testing::run(async {
            let limiter = RateLimiter::new(TWO_A_SECOND);
            let began = Instant::now();
            let permits = (0..4).map(async |_| {
                limiter.acquire().await;
                began.elapsed().as_millis()
            });
            assert_eq!(join_all(permits).await, [0, 500, 1000, 1500]);
            // Idle time is not saved up.
            tokio::time::sleep(Duration::from_secs(60)).await;
            let began = Instant::now();
            limiter.acquire().await;
            limiter.acquire().await;
            assert_eq!(began.elapsed().as_millis(), 500);
        });
    }

    #[test]
    fn whoever_gives_up_costs_nobody_a_permit() {
        crate::testing::run(async {
            let limiter = RateLimiter::new(TWO_A_SECOND);
            limiter.acquire().await;
            let began = Instant::now();
            let mut impatient = Box::pin(limiter.acquire());
            let mut patient = Box::pin(limiter.acquire());
            assert_eq!(poll_immediate(&mut impatient).await, None);
            assert_eq!(poll_immediate(&mut patient).await, None);
            assert_eq!(limiter.waiting(), 2);
            drop(impatient);
            patient.await;
            assert_eq!(began.elapsed().as_millis(), 500);
            assert_eq!(limiter.waiting(), 0);
        });
    }
}
