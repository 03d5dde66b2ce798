//! `/metrics/snapshot`: what the node counts and measures.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/snapshot` | anybody | all metrics as one flat JSON object, sorted by name |
//! | GET `/` | anybody | the same in Prometheus's text form |
//!
//! The registry is [`crate::Metrics`]; rendering happens on the connection's thread. Upstream holds
//! snapshots to two a second by default, because they go through the actors; here they only read atomics.

use crate::context::Context;
use crate::duration;
use crate::http::{Realm, Reply, Request, Response};
use crate::install::Install;
use crate::process::{Place, Process};

/// The actor.
pub(crate) struct MetricsEndpoint;

impl Process for MetricsEndpoint {
    const NAME: &'static str = "metrics";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.route(&[], "/snapshot", SNAPSHOT_HELP, MetricsEndpoint::snapshot).realm(Realm::ReadOnly);
        install.get("/", PROMETHEUS_HELP, MetricsEndpoint::prometheus).realm(Realm::ReadOnly);
    }
}

impl MetricsEndpoint {
    fn snapshot(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        // Values are there at once, so that the timeout is never reached; a wrong one is still refused.
        if let Some(text) = request.query.get("timeout")
            && let Err(error) = duration::parse(text)
        {
            return Response::bad_request(format!("Invalid timeout '{text}': {error}.\n")).into();
        }
        let metrics = ctx.node().metrics().clone();
        Reply::render(move || Response::jsonp(&request.query, metrics.snapshot_json()))
    }

    fn prometheus(&mut self, _: Request, ctx: &mut Context<Self>) -> Reply {
        let metrics = ctx.node().metrics().clone();
        Reply::render(move || Response::ok("text/plain; version=0.0.4", metrics.snapshot_prometheus()))
    }
}

const SNAPSHOT_HELP: &str = "\
### TL;DR; ###
Shows all metrics.

### DESCRIPTION ###
A JSON object: each key is the name of a metric, each value a number.

>        timeout=VALUE       How long the answer may take at most (5secs, say).
";

const PROMETHEUS_HELP: &str = "\
### TL;DR; ###
Shows all metrics in Prometheus's text form.
";
