//! What operators read: `/state`, `/slaves`, `/frameworks` and the other v0 endpoints.
//!
//! Each is a function of a [`Snapshot`]: the Master takes one in microseconds, and the HTTP worker renders it.
//! Whether this master answers at all is decided in one place, `leadership::refusal`. Nothing here changes the cluster.
//! `explain` asks the allocator. (Upstream: `master/http.cpp`, `master/readonly_handler.cpp`.)

mod agents;
mod explain;
mod frameworks;
mod roles;
mod state;
mod summary;
mod tasks;

use libprocess::http::{Query, Realm, Reply, Request, Response};
use libprocess::{Context, Install};
use serde::Serialize;

use crate::cluster::Snapshot;
use crate::leadership;
use crate::master::Master;
use agents::{Agents, Detailed};
use frameworks::Frameworks;
use roles::Roles;
use state::State;
use summary::StateSummary;
use tasks::{Page, Tasks};

/// Turns a snapshot into a body.
type Render = fn(&Snapshot, &Query) -> Vec<u8>;

/// Registers the routes. Upstream's answer every method alike.
pub(crate) fn install(install: &mut Install<Master>) {
    install.route(
        &[],
        "/state",
        "Everything about the cluster: agents, frameworks, tasks, flags (jsonp).",
        |m, r, c| read(m, r, c, |snapshot, _| json(&State(snapshot))),
    );
    install.route(
        &[],
        "/state-summary",
        "Agents and frameworks with their tasks counted by state (jsonp).",
        |m, r, c| read(m, r, c, |snapshot, _| json(&StateSummary::of(snapshot))),
    );
    install.route(
        &[],
        "/slaves",
        "Agents with each of their resources; slave_id selects one (jsonp).",
        |m, r, c| {
            read(m, r, c, |snapshot, query| json(&Agents::of(snapshot, query.get("slave_id"), Detailed)))
        },
    );
    install.route(
        &[],
        "/frameworks",
        "Registered and completed frameworks; framework_id selects one (jsonp).",
        |m, r, c| read(m, r, c, |snapshot, query| json(&Frameworks::of(snapshot, query.get("framework_id")))),
    );
    install.route(
        &[],
        "/tasks",
        "Tasks by the time of their first status: limit (100), offset (0), order (asc, des), framework_id, task_id (jsonp).",
        |m, r, c| read(m, r, c, |snapshot, query| json(&Tasks::of(snapshot, &Page::of(query)))),
    );
    install.route(&[], "/roles", "Roles with weight, quota, resources and frameworks (jsonp).", |m, r, c| {
        read(m, r, c, |snapshot, _| json(&Roles::of(snapshot)))
    });
    install
        .get(
            "/allocator/explain",
            "Why a framework gets no offers: framework (id or name), role, limit (100), offset (0) (jsonp).",
            explain::explain,
        )
        .realm(Realm::ReadOnly);
    install.route(&[], "/flags", "The settings that this master was started with (jsonp).", flags);
    install
        .route(
            &[],
            "/allocator/offer_constraints_debug",
            "Agents that offer constraints exclude, for each framework and role.",
            offer_constraints,
        )
        .realm(Realm::ReadOnly);
    install.route(&[], "/redirect", "Leads to the leading master.", |master, request, _| {
        leadership::redirect(master, &request).into()
    });
    install.route(&[], "/health", "200 while this master answers.", |_, _, _| {
        Response::new(http::StatusCode::OK).into()
    });
}

/// Answers from a snapshot if this master leads; otherwise leads to the one that does.
fn read(master: &mut Master, request: Request, ctx: &mut Context<Master>, render: Render) -> Reply {
    if let Some(refusal) = leadership::refusal(master, &request) {
        return refusal.into();
    }
    let snapshot = master.snapshot(ctx.now());
    Reply::render(move || Response::jsonp(&request.query, render(&snapshot, &request.query)))
}

/// Passes the question on to the allocator, which also answers it itself under its own name.
fn offer_constraints(master: &mut Master, request: Request, _: &mut Context<Master>) -> Reply {
    if let Some(refusal) = leadership::refusal(master, &request) {
        return refusal.into();
    }
    let report = master.allocation.report_constraints();
    Reply::later(async move {
        match report.await {
            Ok(report) => Response::json(mesos::json::to_vec(&report)),
            Err(_) => Response::service_unavailable("The allocator has ended"),
        }
    })
}

/// The settings are this master's own: every master shows them, leading or not.
fn flags(master: &mut Master, request: Request, _: &mut Context<Master>) -> Reply {
    #[derive(Serialize)]
    struct Flags<'a> {
        flags: &'a std::collections::BTreeMap<String, String>,
    }
    Response::jsonp(&request.query, json(&Flags { flags: &master.flags })).into()
}

/// The views hold no map with keys that are not text and no number that JSON lacks: serialising cannot fail.
fn json(view: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(view).unwrap_or_else(|error| {
        tracing::error!(%error, "a view could not be written");
        b"{}".to_vec()
    })
}

#[cfg(test)]
mod tests;
