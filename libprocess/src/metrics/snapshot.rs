//! The values of all metrics at one moment, and how `/metrics/snapshot` shows them.

use std::borrow::Cow;
use std::sync::Arc;

use super::describe::Descriptions;
use super::exposition::{self, Exposition};
use super::kinds::{Kind, Metric};
use super::statistics::Statistics;
use crate::breath;

/// The values of all metrics at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) readings: Vec<Reading>,
    pub(super) descriptions: Arc<Descriptions>,
}

/// One metric.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) name: Arc<str>,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Counter(u64),
    Gauge(f64),
    Series { last: Option<f64>, statistics: Option<Statistics>, count: u64, sum: f64 },
}

impl Value {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Value::Counter(_) => Kind::Counter,
            Value::Gauge(_) => Kind::Gauge,
            Value::Series { .. } => Kind::Series,
        }
    }

    /// The value of what can be read at once.
    pub(super) fn now(metric: &Metric) -> Option<Value> {
        Some(match metric {
            Metric::Counter(counter) => Value::Counter(counter.value()),
            Metric::Gauge(gauge) => Value::Gauge(gauge.value()),
            Metric::Pulled(pulled) => Value::Gauge(pulled.value()),
            Metric::Series(series) => {
                let (count, sum) = series.totals();
                Value::Series { last: series.last(), statistics: series.statistics(), count, sum }
            }
            Metric::Asked(_) => return None,
        })
    }
}

impl Snapshot {
    /// All values by name, sorted. A series gives its last value and, if it has a window and two values in it, its
    /// statistics under `<name>/count` and so on. What is not finite is left out.
    pub fn values(&self) -> Vec<(Cow<'_, str>, f64)> {
        let mut values: Vec<(Cow<'_, str>, f64)> = Vec::with_capacity(self.readings.len());
        for Reading { name, value } in &self.readings {
            breath::spend(breath::LINE);
            match value {
                Value::Counter(count) => values.push((Cow::Borrowed(name), *count as f64)),
                Value::Gauge(value) => values.push((Cow::Borrowed(name), *value)),
                Value::Series { last, statistics, .. } => {
                    values.extend(last.map(|last| (Cow::Borrowed(&**name), last)));
                    let entries = statistics.iter().flat_map(Statistics::entries);
                    values.extend(entries.map(|(key, value)| (Cow::Owned(format!("{name}/{key}")), value)));
                }
            }
        }
        values.retain(|(_, value)| value.is_finite());
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        values
    }

    /// The flat JSON object of `/metrics/snapshot`.
    pub fn to_json(&self) -> Vec<u8> {
        let values = self.values();
        let mut json = Vec::with_capacity(values.len() * 48 + 2);
        json.push(b'{');
        for (n, (name, value)) in values.iter().enumerate() {
            breath::spend(breath::LINE);
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

    /// The names of metrics that nobody described, or described as another kind: a test of whoever registers metrics
    /// finds none.
    pub fn undescribed(&self) -> Vec<&str> {
        let described = |reading: &&Reading| {
            self.descriptions.find(&reading.name).is_none_or(|(found, _)| found.kind != reading.value.kind())
        };
        self.readings.iter().filter(described).map(|reading| &*reading.name).collect()
    }

    /// The text that a Prometheus server reads.
    pub fn to_text(&self, form: Exposition) -> String {
        exposition::render(self, form)
    }
}
