//! Values with their time: the recent past in full, the older one thinned out. Pure: time is an argument.
//!
//! (Upstream: 3rdparty/libprocess/include/process/timeseries.hpp.)

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Values that are kept.
const CAPACITY: usize = 1000;

/// Values within a window, at most 1,000 of them.
///
/// A new value pushes out what has left the window; the last value stays however old it is. When there are too many,
/// every other value of the older half goes, one for each new one, round after round: much of the recent past is kept
/// and some of the older, but no end of the window is lost.
#[derive(Debug)]
pub(crate) struct TimeSeries {
    window: Duration,
    values: VecDeque<(Instant, f64)>,
    /// The value that is thinned out next, counted from the oldest; none at the beginning of a round.
    next: Option<usize>,
}

impl TimeSeries {
    /// An empty series.
    pub(crate) fn new(window: Duration) -> TimeSeries {
        TimeSeries { window, values: VecDeque::new(), next: None }
    }

    /// Adds a value. Of several at one instant, the last counts. Time does not go back: an earlier instant counts as
    /// the latest.
    pub(crate) fn push(&mut self, now: Instant, value: f64) {
        match self.values.back_mut() {
            Some(last) if now <= last.0 => last.1 = value,
            _ => self.values.push_back((now, value)),
        }
        self.truncate(now);
        self.sparsify();
    }

    /// The values, oldest first.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.values.iter().map(|(_, value)| *value)
    }

    fn truncate(&mut self, now: Instant) {
        let expired = self.values.iter().take_while(|(at, _)| now.duration_since(*at) >= self.window).count();
        // The last one stays.
        let gone = expired.min(self.values.len().saturating_sub(1));
        self.values.drain(..gone);
        self.next = self.next.filter(|next| *next > gone).map(|next| next - gone);
    }

    fn sparsify(&mut self) {
        while self.values.len() > CAPACITY {
            let next = match self.next {
                Some(next) if next <= self.values.len() / 2 => next,
                // The oldest value stays, so that the series keeps its beginning.
                _ => 1,
            };
            self.values.remove(next);
            // Skips one.
            self.next = Some(next + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(series: &TimeSeries) -> Vec<f64> {
        series.values().collect()
    }

    #[test]
    fn what_left_the_window_is_forgotten_but_for_the_last() {
        let mut series = TimeSeries::new(Duration::from_secs(10));
        let start = Instant::now();
        for second in 0..5 {
            series.push(start + Duration::from_secs(second), second as f64);
        }
        series.push(start + Duration::from_secs(13), 13.0);
        assert_eq!(values(&series), [4.0, 13.0]);
        series.push(start + Duration::from_secs(100), 100.0);
        assert_eq!(values(&series), [100.0]);
    }

    #[test]
    fn a_full_series_is_thinned_out_in_its_older_half() {
        let mut series = TimeSeries::new(Duration::from_secs(3600));
        let start = Instant::now();
        for n in 0..10_000u64 {
            series.push(start + Duration::from_millis(n), n as f64);
        }
        let values = values(&series);
        assert_eq!(values.len(), CAPACITY);
        assert_eq!(values[0], 0.0);
        // The youngest stay complete.
        assert_eq!(values[CAPACITY - 400..], (9_600..10_000).map(f64::from).collect::<Vec<_>>());
        assert!(values.is_sorted());
    }

    #[test]
    fn every_other_value_of_the_older_half_goes_then_the_round_begins_anew() {
        let mut series = TimeSeries::new(Duration::from_secs(3600));
        let start = Instant::now();
        let push = |series: &mut TimeSeries, n: u64| series.push(start + Duration::from_millis(n), n as f64);
        for n in 0..1003 {
            push(&mut series, n);
        }
        assert_eq!(values(&series)[..7], [0.0, 2.0, 4.0, 6.0, 7.0, 8.0, 9.0]);
        // The middle is reached after 500.
        for n in 1003..1501 {
            push(&mut series, n);
        }
        assert_eq!(values(&series)[..4], [0.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn of_two_values_at_one_instant_the_last_counts() {
        let mut series = TimeSeries::new(Duration::from_secs(3600));
        let now = Instant::now();
        series.push(now, 1.0);
        series.push(now, 2.0);
        assert_eq!(values(&series), [2.0]);
    }
}
