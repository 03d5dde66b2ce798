//! GET_STATE and its parts: GET_AGENTS, GET_FRAMEWORKS, GET_EXECUTORS, GET_TASKS (upstream:
//! `master/readonly_handler.cpp`).
//!
//! They are put together of the same lists, which are rendered once for each encoding. GET_OPERATIONS and GET_ROLES are
//! rendered whole, each in a file of its own.

use std::sync::Arc;

use libprocess::Context;
use libprocess::http::{Body, Reply, Response, SharedBytes};
use mesos::v1::master::{call, response::Type};
use mesos::{Enum, MediaType};

use super::form::{V1, field};
use crate::cluster::{Framework, Snapshot};
use crate::master::Master;
use crate::rendering::document::{Document, Field};
use crate::rendering::parts::{Parts, Tasks};
use crate::rendering::{Pieces, Question, Reader, Renderings};

/// A part of the state: as it stands in a `Response`, and in `GetState`.
struct Part {
    kind: Type,
    /// Its field in `Response`.
    field: Field,
    render: fn(&mut Parts<V1>, &Snapshot) -> Document,
}

const TASKS: Part = Part { kind: Type::GetTasks, field: ("get_tasks", 13), render: tasks };
const EXECUTORS: Part = Part { kind: Type::GetExecutors, field: ("get_executors", 12), render: executors };
const FRAMEWORKS: Part =
    Part { kind: Type::GetFrameworks, field: ("get_frameworks", 11), render: frameworks };
const AGENTS: Part = Part { kind: Type::GetAgents, field: ("get_agents", 10), render: agents };
const STATE: Part = Part { kind: Type::GetState, field: ("get_state", 9), render: state };

/// Answers one of these calls.
pub(super) fn answer(
    master: &mut Master,
    kind: call::Type,
    media: MediaType,
    ctx: &mut Context<Master>,
) -> Reply {
    let part = match kind {
        call::Type::GetTasks => &TASKS,
        call::Type::GetExecutors => &EXECUTORS,
        call::Type::GetFrameworks => &FRAMEWORKS,
        call::Type::GetAgents => &AGENTS,
        _ => &STATE,
    };
    let render =
        move |renderings: &Renderings, snapshot: &Snapshot| respond(part, renderings, snapshot, media);
    let question = Question::call(part.kind.name(), media);
    Reader::of(master, ctx).answer(question, render, move |body| ok(media, body))
}

/// 200 with a body that is rendered already.
pub(super) fn ok(media: MediaType, document: SharedBytes) -> Response {
    let body = Body::shared(document);
    let response = Response { body, ..Response::new(::http::StatusCode::OK) };
    response.header("content-type", media.as_str())
}

/// The body of the answer to GET_STATE.
pub(crate) fn get_state(renderings: &Renderings, snapshot: &Snapshot, media: MediaType) -> Pieces {
    respond(&STATE, renderings, snapshot, media)
}

fn respond(part: &Part, renderings: &Renderings, snapshot: &Snapshot, media: MediaType) -> Pieces {
    let mut parts = renderings.v1(media).lock();
    parts.forget_others(snapshot);
    let mut response = Document::new(media);
    response.value(("type", 1), part.kind.name(), part.kind.into());
    response.message(part.field, (part.render)(&mut parts, snapshot));
    response.complete()
}

/// `GetState`, for GET_STATE and for the first event of a subscription.
pub(super) fn state(parts: &mut Parts<V1>, snapshot: &Snapshot) -> Document {
    let mut state = Document::new(parts.form.0);
    for (number, part) in [(1, TASKS), (2, EXECUTORS), (3, FRAMEWORKS), (4, AGENTS)] {
        state.message((part.field.0, number), (part.render)(parts, snapshot));
    }
    state
}

/// Registered frameworks, and those that are over and remembered.
fn all(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Framework>> {
    snapshot.frameworks.values().chain(snapshot.completed_frameworks.iter())
}

fn tasks(parts: &mut Parts<V1>, snapshot: &Snapshot) -> Document {
    let mut tasks = Document::new(parts.form.0);
    for (field, which) in [
        (field::TASKS, Tasks::Live),
        (field::UNREACHABLE_TASKS, Tasks::Unreachable),
        (field::COMPLETED_TASKS, Tasks::Completed),
    ] {
        tasks.list(field, all(snapshot).map(|framework| parts.tasks(framework, which)));
    }
    tasks
}

fn executors(parts: &mut Parts<V1>, snapshot: &Snapshot) -> Document {
    let mut executors = Document::new(parts.form.0);
    executors.list(field::EXECUTORS, all(snapshot).map(|framework| parts.executors(framework)));
    executors
}

fn frameworks(parts: &mut Parts<V1>, snapshot: &Snapshot) -> Document {
    let mut frameworks = Document::new(parts.form.0);
    let mut whole = |framework, field| framework_with_offers(parts, framework, snapshot).element(field);
    let registered = snapshot.frameworks.values();
    frameworks.list(field::FRAMEWORKS, registered.map(|framework| whole(framework, field::FRAMEWORKS)));
    let completed = snapshot.completed_frameworks.iter();
    let completed = completed.map(|framework| whole(framework, field::COMPLETED_FRAMEWORKS));
    frameworks.list(field::COMPLETED_FRAMEWORKS, completed);
    frameworks
}

/// Without the list where there are none, as the JSON of other messages.
fn framework_with_offers(parts: &mut Parts<V1>, framework: &Arc<Framework>, snapshot: &Snapshot) -> Document {
    let mut document = Document::beginning_with(parts.form.0, &parts.framework(framework));
    let offers = parts.offers(framework, snapshot);
    if !offers.is_empty() {
        document.list(field::OFFERS, [offers]);
    }
    document
}

fn agents(parts: &mut Parts<V1>, snapshot: &Snapshot) -> Document {
    let mut agents = Document::new(parts.form.0);
    agents.list(field::AGENTS, [parts.agents(snapshot)]);
    agents.list(field::RECOVERED_AGENTS, [parts.recovered(snapshot)]);
    agents
}
