//! The kinds of metrics: what their owners hold and count with, without a lock where it can be.
//!
//! All are cheap to clone; clones are the same metric. Counting never fails and never waits, whether anybody looks or not.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::series::TimeSeries;
use super::statistics::Statistics;

/// A metric of any kind, as the registry holds it.
#[derive(Debug, Clone)]
pub enum Metric {
    /// A number of events.
    Counter(Counter),
    /// A value that its owner sets.
    Gauge(Gauge),
    /// A value that is read when somebody looks.
    Pulled(Pulled),
    /// A value that an actor is asked for when somebody looks.
    Asked(Asked),
    /// Values over time.
    Series(Series),
}

/// What sort of a number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A value over time: the last one, and statistics.
    Series,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Series => "summary",
        }
    }
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

/// A value that is read when somebody looks: a function that runs on the reader's thread and must not block.
#[derive(Clone)]
pub struct Pulled(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Pulled {
    /// `read` gives the value.
    pub fn new(read: impl Fn() -> f64 + Send + Sync + 'static) -> Pulled {
        Pulled(Arc::new(read))
    }

    /// The value now.
    pub fn value(&self) -> f64 {
        (self.0)()
    }
}

type Question = Shared<BoxFuture<'static, Option<f64>>>;

/// A value that an actor is asked for when somebody looks.
///
/// One question is open at a time: who looks while the actor has not answered yet waits for the same answer, so that a
/// busy actor is not flooded. An answer that came too late for everybody is thrown away, not shown later.
#[derive(Clone)]
pub struct Asked {
    ask: Arc<dyn Fn() -> BoxFuture<'static, Option<f64>> + Send + Sync>,
    open: Arc<Mutex<Option<Question>>>,
}

impl Asked {
    /// `ask` puts the question; its future gives the answer, or `None` if there is none.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Asked
    where
        F: Future<Output = Option<f64>> + Send + 'static,
    {
        Asked { ask: Arc::new(move || ask().boxed()), open: Arc::default() }
    }

    /// Waits for the value.
    pub(super) fn answer(&self) -> impl Future<Output = Option<f64>> + Send + use<> {
        let open = self.open.lock().clone();
        if let Some(open) = open
            && open.clone().now_or_never().is_none()
        {
            return open;
        }
        let fresh = (self.ask)().shared();
        *self.open.lock() = Some(fresh.clone());
        fresh
    }
}

/// Values over time: the last one, and statistics of those within a window.
#[derive(Debug, Clone)]
pub struct Series(Arc<Mutex<History>>);

#[derive(Debug, Default)]
struct History {
    /// What statistics are made of, if they are wanted.
    recent: Option<TimeSeries>,
    last: Option<f64>,
    /// Of all values since the start.
    count: u64,
    sum: f64,
}

impl Series {
    /// An empty one; without a window it has no statistics.
    pub(super) fn new(window: Option<Duration>) -> Series {
        Series(Arc::new(Mutex::new(History { recent: window.map(TimeSeries::new), ..History::default() })))
    }

    /// Notes one more value.
    pub fn record(&self, value: f64) {
        let mut history = self.0.lock();
        history.last = Some(value);
        history.count += 1;
        history.sum += value;
        if let Some(recent) = &mut history.recent {
            recent.push(Instant::now(), value);
        }
    }

    /// The last value.
    pub fn last(&self) -> Option<f64> {
        self.0.lock().last
    }

    /// Statistics of the window; `None` with fewer than two values, or without a window.
    pub fn statistics(&self) -> Option<Statistics> {
        // They are sorted outside of the lock: whoever records does not wait for who looks.
        let values = self.0.lock().recent.as_ref()?.values().collect();
        Statistics::of(values)
    }

    /// How many values there were since the start, and their sum.
    pub(super) fn totals(&self) -> (u64, f64) {
        let history = self.0.lock();
        (history.count, history.sum)
    }
}

/// How long something took, in milliseconds: a [`Series`] of durations.
#[derive(Debug, Clone)]
pub struct TimerMetric(pub(super) Series);

impl TimerMetric {
    /// Notes one more duration.
    pub fn record(&self, duration: Duration) {
        self.0.record(duration.as_secs_f64() * 1000.0);
    }

    /// Statistics of the window, in milliseconds; `None` with fewer than two values, or without a window.
    pub fn statistics(&self) -> Option<Statistics> {
        self.0.statistics()
    }

    /// The last value, in milliseconds.
    pub fn last(&self) -> Option<f64> {
        self.0.last()
    }
}

impl From<Counter> for Metric {
    fn from(counter: Counter) -> Metric {
        Metric::Counter(counter)
    }
}

impl From<Gauge> for Metric {
    fn from(gauge: Gauge) -> Metric {
        Metric::Gauge(gauge)
    }
}

impl From<Pulled> for Metric {
    fn from(pulled: Pulled) -> Metric {
        Metric::Pulled(pulled)
    }
}

impl From<Asked> for Metric {
    fn from(asked: Asked) -> Metric {
        Metric::Asked(asked)
    }
}

impl From<Series> for Metric {
    fn from(series: Series) -> Metric {
        Metric::Series(series)
    }
}

impl From<TimerMetric> for Metric {
    fn from(timer: TimerMetric) -> Metric {
        Metric::Series(timer.0)
    }
}

impl fmt::Debug for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pulled")
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[test]
    fn an_open_question_is_not_put_again_and_a_late_answer_is_thrown_away() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let questions = asked.clone();
        let gauge = Asked::new(move || {
            let (sender, receiver) = oneshot::channel();
            questions.lock().push(sender);
            async move { receiver.await.ok() }
        });
        assert_eq!(gauge.answer().now_or_never(), None);
        let waiting = gauge.answer();
        assert_eq!(asked.lock().len(), 1, "the question is open");
        asked.lock().pop().unwrap().send(1.0).unwrap();
        assert_eq!(waiting.now_or_never(), Some(Some(1.0)));
        // Nobody waits for the second answer when it comes.
        assert_eq!(gauge.answer().now_or_never(), None);
        asked.lock().pop().unwrap().send(2.0).unwrap();
        assert_eq!(gauge.answer().now_or_never(), None, "2.0 is of the past");
        drop(asked.lock().pop());
        assert_eq!(gauge.answer().now_or_never(), None, "the actor has ended: the next question is put");
        assert_eq!(asked.lock().len(), 1);
    }

    #[test]
    fn a_series_without_a_window_has_a_last_value_and_no_statistics() {
        let series = Series::new(None);
        series.record(1.0);
        series.record(3.0);
        assert_eq!((series.last(), series.statistics()), (Some(3.0), None));
        assert_eq!(series.totals(), (2, 4.0));
    }
}
