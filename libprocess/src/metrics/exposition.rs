//! The Prometheus form of a snapshot: text format 0.0.4, and OpenMetrics 1.0.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>. Counters are counters, a series
//! is a summary: quantiles of its window (0 and 1 are its smallest and largest value), count and sum since the start.
//! Everything else is a gauge. Families, help texts and labels come from what was declared ([`super::Description`]); what
//! nobody described is a family of its own, under its name with `_` for what Prometheus does not allow.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use super::describe::clean;
use super::kinds::Kind;
use super::snapshot::{Reading, Snapshot, Value};
use super::statistics::Statistics;
use crate::breath;

/// The quantiles of a summary.
const QUANTILES: [f64; 8] = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];

/// The two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus's own text format, which every scraper reads.
    Prometheus,
    /// OpenMetrics.
    OpenMetrics,
}

impl Exposition {
    /// The media type of an answer in this form.
    pub fn content_type(self) -> &'static str {
        match self {
            Exposition::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Metrics that differ in their labels only.
struct Family<'a> {
    kind: Kind,
    help: String,
    /// By the text of their labels.
    members: BTreeMap<String, &'a Value>,
}

/// Writes all families, sorted by name.
pub(super) fn render(snapshot: &Snapshot, form: Exposition) -> String {
    let mut text = String::with_capacity(snapshot.readings.len() * 64);
    for (name, family) in families(snapshot) {
        family.write(&mut text, &name, form);
    }
    if form == Exposition::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// Of two metrics with the same family and labels the first is shown; a metric of another kind than its family's first
/// is not.
fn families(snapshot: &Snapshot) -> BTreeMap<String, Family<'_>> {
    let mut families = BTreeMap::new();
    for Reading { name, value } in &snapshot.readings {
        breath::spend(breath::RENDERED);
        // As in the JSON.
        if matches!(value, Value::Gauge(value) if !value.is_finite()) {
            continue;
        }
        let kind = value.kind();
        let (family, help, labels) = match snapshot.descriptions.find(name) {
            Some((described, labels)) => {
                (described.family.clone(), described.help.to_owned(), written(&labels))
            }
            None => (clean(name), format!("The metric '{name}'."), String::new()),
        };
        // The kind adds it.
        let family = match (kind, family.strip_suffix("_total")) {
            (Kind::Counter, Some(base)) => base.to_owned(),
            _ => family,
        };
        let family = match families.entry(family) {
            Entry::Vacant(vacant) => vacant.insert(Family { kind, help, members: BTreeMap::new() }),
            Entry::Occupied(known) => known.into_mut(),
        };
        if family.kind == kind {
            family.members.entry(labels).or_insert(value);
        } else {
            tracing::debug!(%name, "a metric is of another kind than its family");
        }
    }
    families
}

/// `a="1",b="2"`
fn written(labels: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{}=\"{}\"", clean(name), escaped(value, true));
    }
    text
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

impl Family<'_> {
    fn write(&self, text: &mut String, name: &str, form: Exposition) {
        // The older form knows a counter by the name of its one sample.
        let headline = match (self.kind, form) {
            (Kind::Counter, Exposition::Prometheus) => format!("{name}_total"),
            _ => name.to_owned(),
        };
        let help = escaped(&self.help, form == Exposition::OpenMetrics);
        let _ = writeln!(text, "# HELP {headline} {help}");
        let _ = writeln!(text, "# TYPE {headline} {}", self.kind.name());
        for (labels, value) in &self.members {
            breath::spend(breath::LINE);
            match value {
                Value::Counter(count) => sample(text, name, "_total", labels, *count as f64),
                Value::Gauge(value) => sample(text, name, "", labels, *value),
                Value::Series { statistics, count, sum, .. } => {
                    if let Some(statistics) = statistics {
                        quantiles(text, name, labels, statistics);
                    }
                    sample(text, name, "_sum", labels, *sum);
                    sample(text, name, "_count", labels, *count as f64);
                }
            }
        }
    }
}

fn quantiles(text: &mut String, name: &str, labels: &str, statistics: &Statistics) {
    for at in QUANTILES {
        let comma = if labels.is_empty() { "" } else { "," };
        sample(text, name, "", &format!("{labels}{comma}quantile=\"{at:?}\""), statistics.percentile(at));
    }
}

/// One line.
fn sample(text: &mut String, name: &str, suffix: &str, labels: &str, value: f64) {
    let _ = match labels {
        "" => writeln!(text, "{name}{suffix} {value}"),
        _ => writeln!(text, "{name}{suffix}{{{labels}}} {value}"),
    };
}
