//! An agent leaves the books, and its tasks with it (upstream: `_removeSlave`, `__removeSlave`).
//!
//! The registry says so already. Frameworks are told what became of their tasks:
//!
//! | the agent | partition-aware frameworks | others | the tasks are remembered as |
//! |---|---|---|---|
//! | left, or was replaced | TASK_LOST | TASK_LOST | completed |
//! | does not answer | TASK_UNREACHABLE | TASK_LOST | unreachable |
//! | is gone for ever | TASK_GONE_BY_OPERATOR | TASK_LOST | completed |

use libprocess::Context;
use mesos::AgentId;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, OperationState, TaskState};

use crate::cluster::status;
use crate::master::Master;
use crate::operator::news;
use crate::{inverse_offers, offers, operations, updates};

/// Why an agent is not in the books any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departure {
    /// It left, or another one took its place.
    Left,
    /// It does not answer since then. It may come back.
    Unreachable(v1::TimeInfo),
    /// An operator says that it will never be back.
    Gone,
}

impl Departure {
    /// How a task of the agent ends for its framework, and why.
    pub(super) fn end_of_tasks(self, partition_aware: bool) -> (TaskState, Reason) {
        match (self, partition_aware) {
            (Self::Unreachable(_), true) => (TaskState::TaskUnreachable, Reason::AgentRemoved),
            (Self::Gone, true) => (TaskState::TaskGoneByOperator, Reason::AgentRemovedByOperator),
            _ => (TaskState::TaskLost, Reason::AgentRemoved),
        }
    }

    /// What a framework is told of an operation on the agent, once: with an agent that left, upstream says nothing.
    fn end_of_operations(self) -> Option<(OperationState, &'static str)> {
        match self {
            Self::Left => None,
            Self::Unreachable(_) => {
                Some((OperationState::OperationUnreachable, "Agent was marked unreachable"))
            }
            Self::Gone => Some((OperationState::OperationGoneByOperator, "Agent has been marked gone")),
        }
    }
}

/// Removes a registered agent. Who left, or is gone, is neither drained nor deactivated any more.
pub(super) fn leave(
    master: &mut Master,
    agent: &AgentId,
    departure: Departure,
    message: &str,
    ctx: &mut Context<Master>,
) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let tasks: Vec<_> = state.tasks.keys().cloned().collect();
    let executors: Vec<_> = state.executors.keys().cloned().collect();
    let pid = state.pid.clone();
    inverse_offers::rescind_of_agent(master, agent, ctx);
    // Before its tasks are over: what they free is not offered again.
    master.allocation.remove_agent(agent);
    for (framework, id) in tasks {
        let aware =
            master.cluster.framework(&framework).is_some_and(|state| state.capabilities.partition_aware);
        let (state, reason) = departure.end_of_tasks(aware);
        let Some(task) = master.cluster.task(&framework, id.as_str()) else { continue };
        let mut end = status::of_task(task, state, reason, message, ctx.now());
        let mut unreachable = false;
        if let Departure::Unreachable(since) = departure {
            end.unreachable_time = Some(since);
            unreachable = true;
        }
        updates::apply(master, &framework, &end, None);
        updates::remove_task(master, &framework, &id, unreachable);
        updates::forward(master, &framework, end, ctx);
    }
    operations::feedback::lose(master, agent, departure.end_of_operations(), ctx);
    for (framework, executor) in executors {
        updates::remove_executor(master, &framework, agent, &executor);
    }
    offers::rescind_of_agent(master, agent, ctx);
    master.agents.forget(agent, ctx);
    let replaced = master.cluster.agent_at(&pid).is_some_and(|other| &other.id != agent);
    if !replaced {
        ctx.unlink(&pid);
    }
    master.cluster.remove_agent(agent);
    news::agent_removed(master, agent);
    if !matches!(departure, Departure::Unreachable(_)) {
        master.cluster.forget_activation(agent);
    }
}
