//! Smallest, largest and percentiles of some values. Pure.
//!
//! The rules are upstream's (3rdparty/libprocess/include/process/statistics.hpp): at least two values, linear
//! interpolation between neighbours.

/// The percentiles that a snapshot shows, by the last part of their key.
const SHOWN: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999)];

/// Statistics of at least two values.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    sorted: Vec<f64>,
}

impl Statistics {
    /// Statistics of `values`; `None` with fewer than two.
    pub fn of(mut values: Vec<f64>) -> Option<Statistics> {
        if values.len() < 2 {
            return None;
        }
        values.sort_by(f64::total_cmp);
        Some(Statistics { sorted: values })
    }

    /// How many values.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.sorted[0]
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.sorted[self.sorted.len() - 1]
    }

    /// The value below which the fraction `at` (0 to 1) of the values lies, interpolated linearly between the two
    /// neighbours.
    pub fn percentile(&self, at: f64) -> f64 {
        let last = self.sorted.len() - 1;
        let position = at.clamp(0.0, 1.0) * last as f64;
        let index = position as usize;
        if index >= last {
            return self.sorted[last];
        }
        let (below, above) = (self.sorted[index], self.sorted[index + 1]);
        below + (above - below) * (position - index as f64)
    }

    /// What a snapshot shows of them, by the last part of the key, in the order of the keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        [("count", self.count() as f64), ("max", self.max()), ("min", self.min())]
            .into_iter()
            .chain(SHOWN.into_iter().map(|(key, at)| (key, self.percentile(at))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_interpolated_between_neighbours() {
        let statistics = Statistics::of((0..=100).map(f64::from).rev().collect()).unwrap();
        assert_eq!(statistics.count(), 101);
        assert_eq!((statistics.min(), statistics.max()), (0.0, 100.0));
        assert_eq!(statistics.percentile(0.25), 25.0);
        assert_eq!(statistics.percentile(0.5), 50.0);
        assert!((statistics.percentile(0.999) - 99.9).abs() < 1e-9);
        let two = Statistics::of(vec![1.0, 3.0]).unwrap();
        assert_eq!((two.percentile(0.0), two.percentile(0.5), two.percentile(1.0)), (1.0, 2.0, 3.0));
    }

    #[test]
    fn one_value_has_no_statistics() {
        assert_eq!(Statistics::of(vec![1.0]), None);
    }

    #[test]
    fn what_genuine_mesos_showed_is_what_we_compute() {
        // `registrar/state_store_ms` of Mesos 1.11.0 after two stores.
        let two = Statistics::of(vec![7.755776, 0.658944]).unwrap();
        let shown: Vec<(&str, f64)> = two.entries().collect();
        assert_eq!(
            shown,
            [
                ("count", 2.0),
                ("max", 7.755776),
                ("min", 0.658944),
                ("p50", 4.2073599999999995),
                ("p90", 7.0460928),
                ("p95", 7.4009344),
                ("p99", 7.68480768),
                ("p999", 7.748679168),
                ("p9999", 7.7550663168),
            ]
        );
    }
}
