//! `StatusUpdateMessage`: a task's state changed (upstream: `Master::statusUpdate`).
//!
//! The update goes to the framework first, if it is connected, and then into the books: also when the
//! framework is away, since it will ask. The agent repeats an update until the framework has
//! acknowledged it, so one that is dropped here comes again.

use libprocess::{Context, Pid};
use mesos::internal::{ShutdownFrameworkMessage, StatusUpdate, StatusUpdateMessage};
use mesos::v1::{self, TaskState};
use mesos::{AgentId, FrameworkId};

use super::{apply, forward};
use crate::master::Master;

/// Handles one update.
pub(crate) fn update(
    master: &mut Master,
    message: StatusUpdateMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_status_update.increment();
    let update = message.update;
    if let Some(problem) = problem(master, &update) {
        tracing::warn!(agent = %from, task_id = %update.status.task_id.value, problem, "ignoring a status update");
        master.metrics.invalid_status_updates.increment();
        return;
    }
    let framework = FrameworkId::from(&update.framework_id);
    let agent = update.slave_id.as_ref().map(AgentId::from);
    // The agent has not heard of its end, and would repeat itself for ever. (Upstream says nothing.)
    if master.cluster.framework(&framework).is_none()
        && master.cluster.is_completed(&framework)
        && let Some(agent) = agent.as_ref().and_then(|agent| master.cluster.agent(agent))
    {
        ctx.post(&agent.pid, ShutdownFrameworkMessage { framework_id: framework.to_proto() });
    }
    // That a task is unreachable, this master alone can know. Where an executor says so, and its agent passes it on,
    // the task goes on using what it has. (Upstream frees that, and aborts when the task ends.)
    let is_claim = |state: TaskState| state == TaskState::TaskUnreachable;
    let latest = update.latest_state.and_then(|state| TaskState::try_from(state).ok());
    let latest = latest.filter(|state| !is_claim(*state));
    let status = for_framework(update);
    tracing::debug!(
        framework_id = %framework,
        task_id = %status.task_id.value,
        state = status.state().as_str_name(),
        "status update"
    );
    let connected = master.cluster.framework(&framework).is_some_and(|state| state.is_connected());
    // The same id may have been given to another agent's task meanwhile: that one is none of this agent's.
    let task = master.cluster.task(&framework, &status.task_id.value);
    let known = task.is_some_and(|task| Some(&task.agent) == agent.as_ref());
    if connected {
        forward(master, &framework, status.clone(), ctx);
    }
    if latest.is_some() || !is_claim(status.state()) {
        apply(master, &framework, &status, latest);
    }
    if connected && known {
        master.metrics.valid_status_updates.increment();
    } else {
        master.metrics.invalid_status_updates.increment();
    }
}

/// Why an update is not even looked at.
fn problem(master: &Master, update: &StatusUpdate) -> Option<&'static str> {
    let Some(agent) = update.slave_id.as_ref().map(AgentId::from) else {
        return Some("it names no agent");
    };
    if master.cluster.agent(&agent).is_none() {
        return Some("its agent is removed or unknown");
    }
    match &update.uuid {
        Some(uuid) if mesos::is_uuid(uuid) => None,
        _ => Some("its uuid is not valid"),
    }
}

/// The status as its framework gets it (upstream: `evolve(StatusUpdateMessage)`).
fn for_framework(update: StatusUpdate) -> v1::TaskStatus {
    let mut status = update.status;
    if update.slave_id.is_some() {
        status.agent_id = update.slave_id;
    }
    if update.executor_id.is_some() {
        status.executor_id = update.executor_id;
    }
    status.timestamp = Some(update.timestamp);
    status.uuid = update.uuid.filter(|uuid| !uuid.is_empty());
    status
}
