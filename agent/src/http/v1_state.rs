//! GET_STATE and its parts, GET_FRAMEWORKS, GET_EXECUTORS and GET_TASKS; and GET_AGENT (upstream: `Http::getState`,
//! `getAgent` in `slave/http.cpp`).

use std::sync::Arc;

use libprocess::breath::{self, RENDERED};
use libprocess::http::Response;
use mesos::operator::respond;
use mesos::tasks::new_task;
use mesos::v1::TaskState;
use mesos::v1::agent::call;
use mesos::v1::agent::response::{
    GetAgent, GetExecutors, GetFrameworks, GetState, GetTasks, Type, get_executors, get_frameworks,
};
use mesos::{FrameworkId, MediaType, json, v1};
use serde_json::Value;

use super::state::{ExecutorView, FrameworkView, Snapshot};
use crate::agent::Agent;
use crate::draining::Draining;

/// GET_AGENT.
pub(super) fn agent(agent: &Agent) -> GetAgent {
    let nanoseconds = |seconds: u64| i64::try_from(seconds).ok()?.checked_mul(1_000_000_000);
    let since = agent.draining.and_then(Draining::seconds).and_then(nanoseconds);
    GetAgent {
        agent_info: Some(agent.info.clone()),
        drain_config: agent.draining.map(|draining| draining.config),
        estimated_drain_start_time: since.map(|nanoseconds| v1::TimeInfo { nanoseconds }),
    }
}

/// Answers one of these calls.
pub(super) fn answer(snapshot: &Snapshot, kind: call::Type, media: MediaType) -> Response {
    let of = |kind: Type| v1::agent::Response { r#type: Some(kind.into()), ..Default::default() };
    let response = match kind {
        call::Type::GetTasks => {
            v1::agent::Response { get_tasks: Some(tasks(snapshot)), ..of(Type::GetTasks) }
        }
        call::Type::GetExecutors => {
            v1::agent::Response { get_executors: Some(executors(snapshot)), ..of(Type::GetExecutors) }
        }
        call::Type::GetFrameworks => {
            v1::agent::Response { get_frameworks: Some(frameworks(snapshot)), ..of(Type::GetFrameworks) }
        }
        _ => {
            let state = GetState {
                get_tasks: Some(tasks(snapshot)),
                get_executors: Some(executors(snapshot)),
                get_frameworks: Some(frameworks(snapshot)),
            };
            v1::agent::Response { get_state: Some(state), ..of(Type::GetState) }
        }
    };
    if media == MediaType::Protobuf {
        return respond(media, &response);
    }
    let mut value = json::to_value(&response);
    for parts in ["", "/get_state"] {
        show_lists(&mut value, parts);
    }
    Response::ok(media.as_str(), json::to_vec(&value))
}

/// These lists are shown also if nothing is in them, unlike those of all other messages (upstream: `jsonifyGetTasks` and
/// its like).
const LISTS: [(&str, &[&str]); 3] = [
    (
        "get_tasks",
        &["pending_tasks", "queued_tasks", "launched_tasks", "terminated_tasks", "completed_tasks"],
    ),
    ("get_executors", &["executors", "completed_executors"]),
    ("get_frameworks", &["frameworks", "completed_frameworks"]),
];

fn show_lists(value: &mut Value, below: &str) {
    for (part, lists) in LISTS {
        let part = value.pointer_mut(&format!("{below}/{part}")).and_then(Value::as_object_mut);
        let Some(part) = part else { continue };
        for list in lists {
            part.entry(*list).or_insert_with(|| Value::Array(Vec::new()));
        }
    }
}

/// Frameworks that have something here, and those that are over and remembered.
fn all(snapshot: &Snapshot) -> impl Iterator<Item = &FrameworkView> {
    snapshot.frameworks.iter().chain(&snapshot.completed)
}

fn frameworks(snapshot: &Snapshot) -> GetFrameworks {
    let list = |frameworks: &[FrameworkView]| {
        let info = |framework: &FrameworkView| (*framework.info).clone();
        frameworks.iter().map(|it| get_frameworks::Framework { framework_info: info(it) }).collect()
    };
    GetFrameworks { frameworks: list(&snapshot.frameworks), completed_frameworks: list(&snapshot.completed) }
}

fn executors(snapshot: &Snapshot) -> GetExecutors {
    let list = |of: fn(&FrameworkView) -> &Vec<ExecutorView>| {
        let executors = all(snapshot).flat_map(of);
        executors.map(|it| get_executors::Executor { executor_info: (*it.info).clone() }).collect()
    };
    GetExecutors { executors: list(|it| &it.executors), completed_executors: list(|it| &it.completed) }
}

fn tasks(snapshot: &Snapshot) -> GetTasks {
    let mut tasks = GetTasks::default();
    for framework in all(snapshot) {
        let id = FrameworkId::from(framework.id.as_str());
        let waiting = |task: &v1::TaskInfo| new_task(task, TaskState::TaskStaging, &id);
        tasks.pending_tasks.extend(framework.pending.iter().map(waiting));
        for executor in framework.executors.iter().chain(&framework.completed) {
            let shown = |tasks: &[Arc<v1::Task>]| -> Vec<v1::Task> {
                tasks.iter().inspect(|_| breath::spend(RENDERED)).map(|task| (**task).clone()).collect()
            };
            tasks.queued_tasks.extend(executor.queued.iter().map(|task| waiting(task)));
            tasks.launched_tasks.extend(shown(&executor.launched));
            tasks.terminated_tasks.extend(shown(&executor.terminated));
            tasks.completed_tasks.extend(shown(&executor.completed));
        }
    }
    tasks
}
