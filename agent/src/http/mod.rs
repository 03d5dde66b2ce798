//! What anybody can ask an agent over HTTP: `/state`, `/flags`, `/health`, `/containers`,
//! `/monitor/statistics`, `/containerizer/debug`, the operators' `/api/v1`; and the executors' `/api/v1/executor`.
//!
//! Routes only: what they answer is in the files beside this one. The actor takes a snapshot, and the
//! HTTP worker renders it, or a thread beside it if there is much.

mod containers;
mod operator;
mod state;
mod v1_state;
mod validation;

use libprocess::Install;
use libprocess::http::{Reply, Response};
use mesos::settings::Declared as _;

use crate::agent::{Agent, Phase};
use crate::executors::api;

/// Declares the routes, with the methods that upstream's take (all, where it does not ask).
pub(crate) fn install(install: &mut Install<Agent>) {
    install.route(&[], "/state", "What this agent is and runs.", |agent, request, ctx| {
        if agent.phase == Phase::Recovering {
            return Response::service_unavailable("Agent has not finished recovery").readable().into();
        }
        let snapshot = agent.snapshot(ctx);
        let things = snapshot.size();
        Reply::render_many(ctx.node(), things, move || Response::jsonp(&request.query, snapshot.render()))
    });
    install.route(&[], "/flags", "The settings that this agent runs with.", |agent, request, _| {
        let flags = serde_json::json!({ "flags": agent.settings.effective() });
        Response::jsonp(&request.query, flags.to_string()).into()
    });
    install.route(&[], "/health", "Answers 200 as long as this agent lives.", |_, _, _| {
        Response::new(http::StatusCode::OK).into()
    });
    install.route(&[], "/containers", "What runs, with status and statistics.", containers::containers);
    install.route(
        &[],
        "/monitor/statistics",
        "What executors use of their resources.",
        containers::statistics,
    );
    install.route(
        &[],
        "/containerizer/debug",
        "What the containerizer waits for (nothing is tracked).",
        |_, request, _| Response::jsonp(&request.query, r#"{"pending":[]}"#).into(),
    );
    let help = "Endpoint for API calls against the agent.";
    install.prepared(&[], "/api/v1", help, operator::read, operator::route);
    install.prepared(
        &[http::Method::POST],
        "/api/v1/executor",
        "The API of executors: calls, and the stream of events that answers SUBSCRIBE.",
        api::read,
        api::route,
    );
}
