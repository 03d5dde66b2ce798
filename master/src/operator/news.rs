//! The events of a subscription, each told where it happens (upstream: `protobuf::master::event`).
//!
//! Nothing is made while nobody listens.

use mesos::v1::master::{Event, event};
use mesos::v1::{FrameworkInfo, TaskState, TaskStatus};
use mesos::{AgentId, FrameworkId};

use super::form;
use super::subscribe::publish;
use crate::master::Master;

fn of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Default::default() }
}

/// A framework is in the books now.
pub(crate) fn framework_added(master: &mut Master, id: &FrameworkId) {
    publish(master, |cluster| {
        let framework = form::described(cluster.framework(id)?);
        let framework_added = Some(event::FrameworkAdded { framework });
        Some(Event { framework_added, ..of(event::Type::FrameworkAdded) })
    });
}

/// A framework described itself (again).
pub(crate) fn framework_updated(master: &mut Master, id: &FrameworkId) {
    publish(master, |cluster| {
        let framework = form::described(cluster.framework(id)?);
        let framework_updated = Some(event::FrameworkUpdated { framework });
        Some(Event { framework_updated, ..of(event::Type::FrameworkUpdated) })
    });
}

/// A framework is over. (Perhaps it is remembered: `--max_completed_frameworks`.)
pub(crate) fn framework_removed(master: &mut Master, info: &FrameworkInfo) {
    publish(master, |_| {
        let framework_removed = Some(event::FrameworkRemoved { framework_info: info.clone() });
        Some(Event { framework_removed, ..of(event::Type::FrameworkRemoved) })
    });
}

/// An agent is registered now.
pub(crate) fn agent_added(master: &mut Master, id: &AgentId) {
    publish(master, |cluster| {
        let agent = form::agent(cluster.agent(id)?, cluster.activation(id));
        Some(Event { agent_added: Some(event::AgentAdded { agent }), ..of(event::Type::AgentAdded) })
    });
}

/// An agent is not registered any more. (Upstream is silent of those that are unreachable or gone, which its state does
/// not show either: who adds up events is left with agents that are not there.)
pub(crate) fn agent_removed(master: &mut Master, id: &AgentId) {
    publish(master, |_| {
        let agent_removed = Some(event::AgentRemoved { agent_id: id.to_proto() });
        Some(Event { agent_removed, ..of(event::Type::AgentRemoved) })
    });
}

/// A framework has a task more.
pub(crate) fn task_added(master: &mut Master, framework: &FrameworkId, task: &str) {
    publish(master, |cluster| {
        let task = cluster.task(framework, task)?.proto.clone();
        Some(Event { task_added: Some(event::TaskAdded { task }), ..of(event::Type::TaskAdded) })
    });
}

/// A task has a new status. Its latest state may be a later one.
pub(crate) fn task_updated(master: &mut Master, framework: &FrameworkId, status: &TaskStatus) {
    publish(master, |cluster| {
        let task = cluster.task(framework, &status.task_id.value)?;
        Some(task_is(framework, status, task.state()))
    });
}

/// A task that was unreachable is over: it is in this state, and was not among its framework's tasks before.
pub(crate) fn unreachable_task_ended(
    master: &mut Master,
    framework: &FrameworkId,
    status: &TaskStatus,
    state: TaskState,
) {
    publish(master, |_| Some(task_is(framework, status, state)));
}

fn task_is(framework: &FrameworkId, status: &TaskStatus, state: TaskState) -> Event {
    let (framework_id, status, state) = (framework.to_proto(), status.clone(), state.into());
    let task_updated = Some(event::TaskUpdated { framework_id, status, state });
    Event { task_updated, ..of(event::Type::TaskUpdated) }
}
