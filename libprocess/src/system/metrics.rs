//! `/metrics/snapshot` and `/metrics`: what the node counts and measures.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/snapshot` | anybody | all metrics as one flat JSON object, sorted by name |
//! | GET `/` | anybody | the same in Prometheus's text form, or as OpenMetrics for who asks for it |
//!
//! The registry is [`crate::Metrics`]; [`show_metrics`] reads and renders them. Snapshots are held to a rate, by default
//! two in a second, as upstream's are (3rdparty/libprocess/src/metrics/metrics.cpp): more of them wait for their turn, and
//! at most [`MAX_WAITING`] do. Whoever asks for the same while one waits is given that one. If each had a turn of its own,
//! clients that ask more often would make the line longer and longer, and those who have given up would still stand in it
//! (a client that has gone cannot be told from one that has closed only its own side).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use http::header::ACCEPT;

use crate::beside::MANY;
use crate::breath;
use crate::context::Context;
use crate::duration;
use crate::http::{Query, Realm, Reply, Request, Response};
use crate::install::Install;
use crate::limiter::{Rate, RateLimiter};
use crate::metrics::{Exposition, Snapshot};
use crate::node::Node;
use crate::process::{Place, Process};

/// How long actors may take to answer if nobody says otherwise. (Upstream waits for them without end.) Shorter than the
/// time-outs of usual clients, so that these see the rest.
pub const METRICS_PATIENCE: Duration = Duration::from_secs(5);

/// Requests that may wait for their turn. A client that sends more than the rate allows for long is told so.
const MAX_WAITING: usize = 1000;

/// How often `/metrics/snapshot` is answered; `None` is as often as it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotRate(pub(crate) Option<Rate>);

impl Default for SnapshotRate {
    fn default() -> SnapshotRate {
        SnapshotRate(Some(Rate { permits: 2, per: Duration::from_secs(1) }))
    }
}

/// The actor.
pub(crate) struct MetricsEndpoint {
    limiter: Option<Arc<RateLimiter>>,
    /// The snapshots that wait for their turn, by how long actors may take.
    coming: BTreeMap<Duration, Coming>,
}

/// A snapshot that waits for its turn, for whoever asks for it until then.
struct Coming {
    /// Its turn has come: who asks from now on would be given what was before.
    begun: Arc<AtomicBool>,
    /// Whoever waits for it holds it.
    json: WeakShared<BoxFuture<'static, Bytes>>,
}

impl Coming {
    /// It, if its turn has not come yet and somebody still waits for it.
    fn join(&self) -> Option<Shared<BoxFuture<'static, Bytes>>> {
        if self.begun.load(Ordering::Acquire) { None } else { self.json.upgrade() }
    }
}

impl MetricsEndpoint {
    pub(crate) fn new(rate: SnapshotRate) -> MetricsEndpoint {
        let limiter = rate.0.map(|rate| Arc::new(RateLimiter::new(rate)));
        MetricsEndpoint { limiter, coming: BTreeMap::new() }
    }

    /// The snapshot that comes next with this patience. `None` if too many wait.
    fn next(
        &mut self,
        limiter: Arc<RateLimiter>,
        patience: Duration,
        node: Node,
    ) -> Option<Shared<BoxFuture<'static, Bytes>>> {
        if let Some(json) = self.coming.get(&patience).and_then(Coming::join) {
            return Some(json);
        }
        if limiter.waiting() >= MAX_WAITING {
            return None;
        }
        self.coming.retain(|_, coming| coming.join().is_some());
        let begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&begun);
        let json = async move {
            limiter.acquire().await;
            begins.store(true, Ordering::Release);
            show_metrics(&node, patience, |snapshot: &Snapshot| Bytes::from(snapshot.to_json())).await
        };
        let json = json.boxed().shared();
        if let Some(weak) = json.downgrade() {
            self.coming.insert(patience, Coming { begun, json: weak });
        }
        Some(json)
    }

    fn snapshot(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let patience = match patience(&request.query) {
            Ok(patience) => patience,
            Err(refusal) => return refusal.into(),
        };
        let node = ctx.node().clone();
        let Some(limiter) = self.limiter.clone() else {
            let show = move |snapshot: &Snapshot| Response::jsonp(&request.query, snapshot.to_json());
            return Reply::later(async move { show_metrics(&node, patience, show).await });
        };
        match self.next(limiter, patience, node) {
            Some(json) => Reply::later(async move { Response::jsonp(&request.query, json.await) }),
            None => Response::service_unavailable("Too many requests wait for a snapshot.\n").into(),
        }
    }

    fn exposition(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let patience = match patience(&request.query) {
            Ok(patience) => patience,
            Err(refusal) => return refusal.into(),
        };
        let form = preferred(request.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()));
        let node = ctx.node().clone();
        let show = move |snapshot: &Snapshot| Response::ok(form.content_type(), snapshot.to_text(form));
        Reply::later(async move { show_metrics(&node, patience, show).await })
    }
}

impl Process for MetricsEndpoint {
    const NAME: &'static str = "metrics";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/snapshot", SNAPSHOT_HELP, MetricsEndpoint::snapshot).realm(Realm::ReadOnly);
        install.get("/", EXPOSITION_HELP, MetricsEndpoint::exposition).realm(Realm::ReadOnly);
    }
}

/// Makes something of all metrics. Actors are asked all at once; who has not answered after `patience` is left out. Many
/// metrics are looked up and shown on threads for it; whatever there is, nothing is done before somebody waits for it.
pub async fn show_metrics<T: Send + 'static>(
    node: &Node,
    patience: Duration,
    show: impl FnOnce(&Snapshot) -> T + Send + 'static,
) -> T {
    let metrics = node.metrics().clone();
    if metrics.len() < MANY {
        return show(&metrics.collect(patience).await);
    }
    // Who counts something for the first time waits for the registry's lock: so not on a thread of lower priority.
    let found = node.blocking(move || breath::during(|| metrics.look_up())).await;
    let answers = found.ask(patience).await;
    node.background(move || show(&found.read(answers))).await
}

/// How long a request lets actors take.
fn patience(query: &Query) -> Result<Duration, Response> {
    match query.get("timeout") {
        None => Ok(METRICS_PATIENCE),
        Some(text) => duration::parse(text)
            .map_err(|error| Response::bad_request(format!("Invalid timeout '{text}': {error}.\n"))),
    }
}

/// OpenMetrics for whoever names it at least as willingly as plain text, else the form that everybody reads.
fn preferred<'a>(accept: impl Iterator<Item = &'a str>) -> Exposition {
    let (mut open, mut plain) = (0.0, 0.0);
    for choice in accept.flat_map(|text| text.split(',')) {
        let mut parts = choice.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f64>().ok()).unwrap_or(1.0);
        match name.as_str() {
            "application/openmetrics-text" => open = weight.max(open),
            "text/plain" => plain = weight.max(plain),
            _ => {}
        }
    }
    if open > 0.0 && open >= plain { Exposition::OpenMetrics } else { Exposition::Prometheus }
}

const SNAPSHOT_HELP: &str = "\
### TL;DR; ###
Shows all metrics.

### DESCRIPTION ###
A JSON object: each key is the name of a metric, each value a number. It is made at a limited rate (by default two in a
second); requests wait for the next turn, and those with the same timeout have it together.

>        timeout=VALUE       How long actors may take to give their values (5secs, if nothing is said). What is not
>                            there by then is left out.
";

const EXPOSITION_HELP: &str = "\
### TL;DR; ###
Shows all metrics in Prometheus's text form.

### DESCRIPTION ###
With types, help texts and labels. With 'Accept: application/openmetrics-text' the answer is OpenMetrics.

>        timeout=VALUE       As for /metrics/snapshot.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        for (accept, form) in [
            ("", Exposition::Prometheus),
            ("*/*", Exposition::Prometheus),
            ("application/json", Exposition::Prometheus),
            ("application/openmetrics-text", Exposition::OpenMetrics),
            // What Prometheus 2 and 3 send.
            (
                "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Exposition::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5",
                Exposition::OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text; q=0.3", Exposition::Prometheus),
            ("application/openmetrics-text;q=0", Exposition::Prometheus),
        ] {
            assert_eq!(preferred([accept].into_iter()), form, "{accept}");
        }
    }
}
