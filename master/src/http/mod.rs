//! What operators read: `/state`, `/slaves`, `/frameworks` and the other v0 endpoints.
//!
//! Each is a function of a [`Snapshot`]: the Master takes one in microseconds, and the HTTP worker renders it, or a thread
//! beside it if there is much (`crate::rendering`). Whether this master answers at all is decided in one place,
//! `leadership::refusal`, and whether it answers this reader in another, `crate::reads`, before. Nothing here changes the
//! cluster. `explain` asks the allocator; `pages` shows all of it in a browser. (Upstream: `master/http.cpp`,
//! `master/readonly_handler.cpp`.)

mod agents;
mod explain;
mod frameworks;
pub(crate) mod pages;
pub(crate) mod roles;
pub(crate) mod state;
mod summary;
mod tasks;

use ::http::Method;
use libprocess::http::{Body, Query, Realm, Reply, Request, Response, SharedBytes};
use libprocess::{Context, breath};
use mesos::views::{Executor, Task};
use mesos::{AgentId, v1};
use serde::Serialize;

use crate::cluster::{self, Agent, Framework, Offer, Snapshot};
use crate::leadership;
use crate::master::Master;
use crate::reads::Routes;
use crate::registrar::Activation;
use crate::rendering::parts::{self, Form};
use crate::rendering::{Pieces, Question, Reader, Renderings};
use agents::{Detailed, Recovered, Summary};
use frameworks::{Description, OfferView};
use roles::Roles;
use summary::StateSummary;
use tasks::{Page, Tasks};

/// Turns a snapshot into a body, with the help of what was rendered before.
type Render = fn(&Renderings, &Snapshot, &Query) -> Pieces;

/// Registers the routes. Upstream's answer every method alike.
pub(crate) fn install(routes: &mut Routes<'_>) {
    routes.read(
        &[],
        "/state",
        "Everything about the cluster: agents, frameworks, tasks, flags (jsonp).",
        |m, r, c| read(m, r, c, "/state", state::render),
    );
    routes.read(
        &[],
        "/state-summary",
        "Agents and frameworks with their tasks counted by state (jsonp).",
        |m, r, c| read(m, r, c, "/state-summary", |_, snapshot, _| json(&StateSummary::of(snapshot)).into()),
    );
    routes.read(
        &[],
        "/slaves",
        "Agents with each of their resources; slave_id selects one (jsonp).",
        |m, r, c| read(m, r, c, "/slaves", agents::render),
    );
    routes.read(
        &[],
        "/frameworks",
        "Registered and completed frameworks; framework_id selects one (jsonp).",
        |m, r, c| read(m, r, c, "/frameworks", frameworks::render),
    );
    routes.read(
        &[],
        "/tasks",
        "Tasks by the time of their first status: limit (100), offset (0), order (asc, des), framework_id, task_id (jsonp).",
        |m, r, c| {
            read(m, r, c, "/tasks", |_, snapshot, query| json(&Tasks::of(snapshot, &Page::of(query))).into())
        },
    );
    routes.read(&[], "/roles", "Roles with weight, quota, resources and frameworks (jsonp).", |m, r, c| {
        read(m, r, c, "/roles", |_, snapshot, _| json(&Roles::of(snapshot)).into())
    });
    routes
        .read(
            &[Method::GET],
            "/allocator/explain",
            "Why a framework gets no offers: framework (id or name), role, limit (100), offset (0) (jsonp).",
            explain::explain,
        )
        .realm(Realm::ReadOnly);
    routes.read(&[], "/flags", "The settings that this master was started with (jsonp).", flags);
    routes
        .read(
            &[],
            "/allocator/offer_constraints_debug",
            "Agents that offer constraints exclude, for each framework and role.",
            offer_constraints,
        )
        .realm(Realm::ReadOnly);
    pages::install(routes);
    routes.read(&[], "/redirect", "Leads to the leading master.", |master, request, _| {
        leadership::redirect(master, &request).into()
    });
    routes.read(&[], "/health", "200 while this master answers.", |_, _, _| {
        Response::new(http::StatusCode::OK).into()
    });
}

/// Answers from a snapshot if this master leads; otherwise leads to the one that does.
fn read(
    master: &mut Master,
    request: Request,
    ctx: &mut Context<Master>,
    name: &'static str,
    render: Render,
) -> Reply {
    if let Some(refusal) = leadership::refusal(master, &request) {
        return refusal.into();
    }
    let question = Question::endpoint(name, &request.query);
    let query = request.query.clone();
    let render =
        move |renderings: &Renderings, snapshot: &Snapshot| render(renderings, snapshot, &request.query);
    Reader::of(master, ctx).answer(question, render, move |body| finish(&query, body))
}

/// 200 with a JSON document, or with a call of the function that `jsonp` names, as [`Response::jsonp`].
fn finish(query: &Query, document: SharedBytes) -> Response {
    let (media, document) = match query.get("jsonp") {
        None => ("application/json", document),
        Some(function) => {
            let mut call = Pieces::new();
            call.text(function);
            call.text("(");
            for piece in document.pieces() {
                call.share(piece);
            }
            call.text(")");
            ("text/javascript", call.complete())
        }
    };
    let response = Response { body: Body::shared(document), ..Response::new(http::StatusCode::OK) };
    response.header("content-type", media).readable()
}

/// The form of the v0 endpoints.
#[derive(Debug, Clone, Copy)]
pub(crate) enum V0 {
    /// As in `/state`.
    Plain,
    /// As in `/slaves`: agents with each resource whole.
    Detailed,
}

impl Form for V0 {
    fn separator(&self) -> &'static [u8] {
        b","
    }

    fn agent(&self, agent: &Agent, activation: Activation, out: &mut Vec<u8>) {
        match self {
            Self::Plain => write(&Summary(agent, activation), out),
            Self::Detailed => write(&Detailed(agent, activation), out),
        }
    }

    fn recovered(&self, info: &v1::AgentInfo, out: &mut Vec<u8>) {
        write(&Recovered(info), out);
    }

    fn task(&self, task: &cluster::Task, _: parts::Tasks, out: &mut Vec<u8>) {
        write(&Task::with(&task.proto, task.resources.clone()), out);
    }

    fn executor(&self, executor: &cluster::Executor, agent: &AgentId, out: &mut Vec<u8>) {
        write(&Executor { info: &executor.info, agent: Some(agent.as_str()) }, out);
    }

    fn offer(&self, offer: &Offer, out: &mut Vec<u8>) {
        write(&OfferView(offer), out);
    }

    fn framework(&self, framework: &Framework, out: &mut Vec<u8>) {
        write(&Description(framework), out);
    }
}

/// Passes the question on to the allocator, which also answers it itself under its own name.
fn offer_constraints(master: &mut Master, request: Request, ctx: &mut Context<Master>) -> Reply {
    if let Some(refusal) = leadership::refusal(master, &request) {
        return refusal.into();
    }
    let (node, report) = (ctx.node().clone(), master.allocation.report_constraints());
    Reply::later(async move {
        match report.await {
            Ok(report) => {
                let things = report.size();
                let make = move || Response::json(mesos::json::to_vec(&report));
                Reply::render_many(&node, things, make).wait().await
            }
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
    let mut out = Vec::new();
    write(view, &mut out);
    out
}

/// [`json`] into a buffer that is already there.
fn write(view: &impl Serialize, out: &mut Vec<u8>) {
    if let Err(error) = serde_json::to_writer(breath::Text::behind(out), view) {
        tracing::error!(%error, "a view could not be written");
    }
}

#[cfg(test)]
mod tests;
