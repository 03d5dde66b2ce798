//! What a node counts and measures, by name.
//!
//! [`Metrics`] is a registry that any thread may add to and read: counters and gauges are atomics that
//! their owners keep, so that counting costs no lock. It knows neither actors nor HTTP; the endpoint
//! `/metrics/snapshot` is `system::metrics`. Rules of names, percentiles and windows are upstream's
//! (3rdparty/libprocess/include/process/{statistics,timeseries}.hpp, src/metrics/metrics.cpp).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

/// How far back a timer's percentiles look, unless it is told otherwise.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(3600);

/// Values that a timer keeps; beyond it the older half is thinned out, not cut off.
const CAPACITY: usize = 1000;

/// The percentiles that are shown, by the last part of their key.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999)];

/// The metrics of a node. Clones are the same registry.
#[derive(Clone, Default)]
pub struct Metrics {
    table: Arc<RwLock<BTreeMap<Arc<str>, Source>>>,
}

#[derive(Clone)]
enum Source {
    Counter(Counter),
    Gauge(Gauge),
    Pull(Arc<dyn Fn() -> f64 + Send + Sync>),
    Timer(TimerMetric),
}

/// A number of events. Only grows, until it is taken out of the registry.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that its owner sets.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds to the value; a negative `change` takes away.
    pub fn add(&self, change: f64) {
        let mut bits = self.0.load(Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(bits) + change).to_bits();
            match self.0.compare_exchange_weak(bits, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => bits = now,
            }
        }
    }

    /// The value.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// How long something took: the last value, and percentiles of those within the window.
#[derive(Debug, Clone)]
pub struct TimerMetric(Arc<Mutex<Series>>);

impl TimerMetric {
    fn new(window: Duration) -> TimerMetric {
        TimerMetric(Arc::new(Mutex::new(Series::new(window))))
    }

    /// Notes one more duration; it is shown in milliseconds.
    pub fn record(&self, duration: Duration) {
        self.0.lock().push(Instant::now(), duration.as_secs_f64() * 1000.0);
    }

    /// Statistics of the window; `None` with fewer than two values.
    pub fn statistics(&self) -> Option<Statistics> {
        Statistics::of(self.0.lock().values())
    }

    /// The last value, in milliseconds.
    pub fn last(&self) -> Option<f64> {
        self.0.lock().last()
    }
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// The counter of this name; a new one if there is none.
    pub fn counter(&self, name: &str) -> Counter {
        let fresh = Counter::default();
        match self.get_or_add(name, Source::Counter(fresh.clone())) {
            Some(Source::Counter(counter)) => counter,
            _ => fresh,
        }
    }

    /// The gauge of this name; a new one (0) if there is none.
    pub fn gauge(&self, name: &str) -> Gauge {
        let fresh = Gauge::default();
        match self.get_or_add(name, Source::Gauge(fresh.clone())) {
            Some(Source::Gauge(gauge)) => gauge,
            _ => fresh,
        }
    }

    /// A value that is asked for when somebody looks. `read` runs on the thread of the reader, must not
    /// block, and replaces an earlier one of this name; a value that is not finite is not shown.
    pub fn pull_gauge(&self, name: &str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.table.write().insert(Arc::from(name), Source::Pull(Arc::new(read)));
    }

    /// The timer of this name, with the window of an hour. Upstream's timers end in their unit, which
    /// is part of `name`: `registrar/state_store_ms`.
    pub fn timer(&self, name: &str) -> TimerMetric {
        self.timer_with_window(name, DEFAULT_WINDOW)
    }

    /// As [`Metrics::timer`] with another window.
    pub fn timer_with_window(&self, name: &str, window: Duration) -> TimerMetric {
        let fresh = TimerMetric::new(window);
        match self.get_or_add(name, Source::Timer(fresh.clone())) {
            Some(Source::Timer(timer)) => timer,
            _ => fresh,
        }
    }

    /// Forgets a metric. Whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.table.write().remove(name).is_some()
    }

    /// Forgets every metric whose name begins with `prefix` (those of a framework, say); how many.
    pub fn remove_prefix(&self, prefix: &str) -> usize {
        let mut table = self.table.write();
        let names: Vec<Arc<str>> = table
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .map(|(name, _)| name.clone())
            .take_while(|name| name.starts_with(prefix))
            .collect();
        for name in &names {
            table.remove(name);
        }
        names.len()
    }

    /// How many metrics there are.
    pub fn len(&self) -> usize {
        self.table.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.read().is_empty()
    }

    /// All values by name, sorted; a timer gives its last value and, from two values on, its statistics.
    pub fn snapshot(&self) -> Vec<(String, f64)> {
        // Values are read without the lock: a pulled gauge may itself ask for metrics.
        let sources: Vec<(Arc<str>, Source)> =
            self.table.read().iter().map(|(name, source)| (name.clone(), source.clone())).collect();
        let mut values = Vec::with_capacity(sources.len());
        for (name, source) in sources {
            match source {
                Source::Counter(counter) => values.push((name.to_string(), counter.value() as f64)),
                Source::Gauge(gauge) => values.push((name.to_string(), gauge.value())),
                Source::Pull(read) => values.push((name.to_string(), read())),
                Source::Timer(timer) => {
                    values.extend(timer.last().map(|last| (name.to_string(), last)));
                    if let Some(statistics) = timer.statistics() {
                        values.extend(
                            statistics.entries().map(|(key, value)| (format!("{name}/{key}"), value)),
                        );
                    }
                }
            }
        }
        values.retain(|(_, value)| value.is_finite());
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        values
    }

    /// One value of the snapshot.
    pub fn value(&self, name: &str) -> Option<f64> {
        let source = self.table.read().get(name).cloned();
        match source {
            Some(Source::Counter(counter)) => Some(counter.value() as f64),
            Some(Source::Gauge(gauge)) => Some(gauge.value()),
            Some(Source::Pull(read)) => Some(read()),
            Some(Source::Timer(timer)) => timer.last(),
            None => {
                let (timer, key) = name.rsplit_once('/')?;
                match self.table.read().get(timer)? {
                    Source::Timer(timer) => {
                        timer.statistics()?.entries().find(|(k, _)| *k == key).map(|(_, v)| v)
                    }
                    _ => None,
                }
            }
        }
    }

    /// The snapshot as the flat JSON object of `/metrics/snapshot`.
    pub fn snapshot_json(&self) -> Vec<u8> {
        let values = self.snapshot();
        let mut json = Vec::with_capacity(values.len() * 48 + 2);
        json.push(b'{');
        for (n, (name, value)) in values.iter().enumerate() {
            if n > 0 {
                json.push(b',');
            }
            // Writing into a vector cannot fail, and a string and a finite number are always JSON.
            let _ = serde_json::to_writer(&mut json, name);
            json.push(b':');
            let _ = serde_json::to_writer(&mut json, value);
        }
        json.push(b'}');
        json
    }

    /// The snapshot in Prometheus's text form: names with `_` for what it does not allow, each once.
    pub fn snapshot_prometheus(&self) -> String {
        use fmt::Write;
        let mut text = String::new();
        let mut seen = std::collections::BTreeSet::new();
        for (name, value) in self.snapshot() {
            let mut clean: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' }).collect();
            if clean.starts_with(|c: char| c.is_ascii_digit()) {
                clean.insert(0, '_');
            }
            if seen.insert(clean.clone()) {
                let _ = writeln!(text, "{clean} {value}");
            }
        }
        text
    }

    /// Adds `fresh`, unless the name is taken: then gives what is there. A name that is taken by
    /// another kind is a mistake of the program; the new metric then counts, but is not shown.
    fn get_or_add(&self, name: &str, fresh: Source) -> Option<Source> {
        let mut table = self.table.write();
        if let Some(existing) = table.get(name) {
            if std::mem::discriminant(existing) != std::mem::discriminant(&fresh) {
                tracing::warn!(name, "a metric of another kind has this name");
            }
            return Some(existing.clone());
        }
        table.insert(Arc::from(name), fresh);
        None
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("len", &self.len()).finish()
    }
}

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

    /// The value below which the fraction `at` (0 to 1) of the values lies, interpolated linearly
    /// between the two neighbours.
    pub fn percentile(&self, at: f64) -> f64 {
        let position = at.clamp(0.0, 1.0) * (self.sorted.len() - 1) as f64;
        let index = (position as usize).min(self.sorted.len() - 2);
        let (below, above) = (self.sorted[index], self.sorted[index + 1]);
        below + (above - below) * (position - index as f64)
    }

    /// What is shown of them, by the last part of the key.
    fn entries(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        [("count", self.count() as f64), ("max", self.max()), ("min", self.min())]
            .into_iter()
            .chain(PERCENTILES.into_iter().map(|(key, at)| (key, self.percentile(at))))
    }
}

/// Values with their time, at most [`CAPACITY`] of them and (but for the last) none older than the window.
///
/// When it is full, every other value of the older half goes, round after round: much of the recent
/// past is kept and some of the older (upstream: `TimeSeries::sparsify`).
#[derive(Debug)]
struct Series {
    window: Duration,
    values: VecDeque<(Instant, f64)>,
    /// The value that is thinned out next, counted from the oldest.
    next: usize,
}

impl Series {
    fn new(window: Duration) -> Series {
        Series { window, values: VecDeque::new(), next: 1 }
    }

    fn push(&mut self, now: Instant, value: f64) {
        self.values.push_back((now, value));
        while self.values.len() > 1 && now.duration_since(self.values[0].0) >= self.window {
            self.values.pop_front();
            self.next = self.next.saturating_sub(1).max(1);
        }
        while self.values.len() > CAPACITY {
            if self.next > self.values.len() / 2 {
                self.next = 1;
            }
            self.values.remove(self.next);
            self.next += 1;
        }
    }

    fn values(&self) -> Vec<f64> {
        self.values.iter().map(|(_, value)| *value).collect()
    }

    fn last(&self) -> Option<f64> {
        self.values.back().map(|(_, value)| *value)
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
        assert_eq!(statistics.percentile(0.5), 50.0);
        assert!((statistics.percentile(0.999) - 99.9).abs() < 1e-9);
        let two = Statistics::of(vec![1.0, 3.0]).unwrap();
        assert_eq!((two.percentile(0.0), two.percentile(0.5), two.percentile(1.0)), (1.0, 2.0, 3.0));
        assert_eq!(Statistics::of(vec![1.0]), None);
    }

    #[test]
    fn a_timer_shows_statistics_from_its_second_value_on() {
        let metrics = Metrics::new();
        let timer = metrics.timer("allocation_run_ms");
        assert!(metrics.snapshot().is_empty());
        timer.record(Duration::from_millis(2));
        assert_eq!(metrics.snapshot(), [("allocation_run_ms".to_owned(), 2.0)]);
        timer.record(Duration::from_millis(4));
        let names: Vec<String> = metrics.snapshot().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["", "/count", "/max", "/min", "/p50", "/p90", "/p95", "/p99", "/p999", "/p9999"]
                .map(|end| format!("allocation_run_ms{end}"))
        );
        assert_eq!(metrics.value("allocation_run_ms/p50"), Some(3.0));
        assert_eq!(metrics.value("allocation_run_ms"), Some(4.0));
    }

    #[test]
    fn what_left_the_window_is_forgotten_but_for_the_last() {
        let mut series = Series::new(Duration::from_secs(10));
        let start = Instant::now();
        for second in 0..5 {
            series.push(start + Duration::from_secs(second), second as f64);
        }
        series.push(start + Duration::from_secs(13), 13.0);
        assert_eq!(series.values(), [4.0, 13.0]);
        series.push(start + Duration::from_secs(100), 100.0);
        assert_eq!(series.values(), [100.0]);
    }

    #[test]
    fn a_full_series_is_thinned_out_in_its_older_half() {
        let mut series = Series::new(Duration::from_secs(3600));
        let start = Instant::now();
        for n in 0..10_000u64 {
            series.push(start + Duration::from_millis(n), n as f64);
        }
        let values = series.values();
        assert_eq!(values.len(), CAPACITY);
        assert_eq!(values[0], 0.0);
        // The youngest stay complete.
        assert_eq!(values[CAPACITY - 400..], (9_600..10_000).map(f64::from).collect::<Vec<_>>());
        assert!(values.is_sorted());
    }

    #[test]
    fn the_json_is_flat_sorted_and_has_decimal_points() {
        let metrics = Metrics::new();
        metrics.counter("master/b").add(2);
        metrics.gauge("master/a").set(0.5);
        metrics.gauge("master/a").add(1.0);
        metrics.pull_gauge("master/c", || 22_244_188_160.0);
        metrics.pull_gauge("master/d", || f64::NAN);
        assert_eq!(
            String::from_utf8(metrics.snapshot_json()).unwrap(),
            r#"{"master/a":1.5,"master/b":2.0,"master/c":22244188160.0}"#
        );
        assert_eq!(metrics.snapshot_prometheus(), "master_a 1.5\nmaster_b 2\nmaster_c 22244188160\n");
    }

    #[test]
    fn metrics_can_be_removed_one_by_one_and_by_prefix() {
        let metrics = Metrics::new();
        for name in ["frameworks/a/x", "frameworks/a/y", "frameworks/ab/x", "z"] {
            metrics.counter(name).increment();
        }
        assert_eq!(metrics.remove_prefix("frameworks/a/"), 2);
        assert!(metrics.remove("z"));
        assert!(!metrics.remove("z"));
        assert_eq!(metrics.snapshot(), [("frameworks/ab/x".to_owned(), 1.0)]);
    }

    #[test]
    fn the_same_name_is_the_same_counter() {
        let metrics = Metrics::new();
        metrics.counter("a").increment();
        metrics.counter("a").increment();
        assert_eq!(metrics.counter("a").value(), 2);
        // Another kind of the same name is not shown.
        metrics.gauge("a").set(7.0);
        assert_eq!(metrics.value("a"), Some(2.0));
    }

    #[test]
    fn a_hundred_thousand_counters_are_added_and_shown_in_seconds() {
        let metrics = Metrics::new();
        let start = Instant::now();
        for n in 0..100_000 {
            metrics.counter(&format!("frameworks/{n}/calls")).increment();
        }
        assert_eq!(metrics.snapshot().len(), 100_000);
        // An unoptimised build on a loaded machine needs well below a second.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
