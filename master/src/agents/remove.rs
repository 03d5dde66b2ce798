//! An agent leaves for good: it says so, or another one registered in its place (upstream:
//! `unregisterSlave`, `removeSlave`, `_removeSlave`).

use libprocess::{Context, Pid};
use mesos::AgentId;
use mesos::internal::UnregisterSlaveMessage;
use mesos::v1::TaskState;
use mesos::v1::task_status::Reason;

use super::announce_lost;
use crate::cluster::status;
use crate::master::Master;
use crate::registrar::Operation;
use crate::{offers, updates};

/// Why an agent is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It shuts down in an orderly way.
    Unregistered,
    /// A new one registered in its place: it failed to recover, or was told to start anew.
    Replaced,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Self::Unregistered => "the agent unregistered",
            Self::Replaced => "a new agent registered at the same address",
        }
    }
}

/// `UnregisterSlaveMessage`: an agent shuts down in an orderly way.
pub(crate) fn unregister(
    master: &mut Master,
    message: UnregisterSlaveMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_unregister_slave.increment();
    let id = AgentId::from(message.slave_id);
    if master.cluster.agent(&id).is_none_or(|agent| &agent.pid != from) {
        tracing::warn!(agent_id = %id, agent = %from, "ignoring the unregistration of an unknown agent");
        return;
    }
    remove(master, &id, Cause::Unregistered, ctx);
}

/// Removes an agent from the registry, and then from the books: until then its resources are offered
/// as before, and frameworks see what another master would show them.
pub(super) fn remove(master: &mut Master, agent: &AgentId, cause: Cause, ctx: &mut Context<Master>) {
    let busy =
        master.agents.marking_unreachable.contains(agent) || !master.agents.removing.insert(agent.clone());
    if busy {
        tracing::warn!(agent_id = %agent, "not removing the agent: another transition is in progress");
        return;
    }
    tracing::info!(agent_id = %agent, cause = cause.text(), "removing the agent");
    let id = agent.clone();
    let operation = Operation::RemoveAgent { id: id.clone() };
    master.apply(operation, ctx, move |master, possible, ctx| {
        master.agents.removing.remove(&id);
        if !possible {
            tracing::error!(agent_id = %id, "the registry does not know the agent");
        }
        removed(master, &id, cause, ctx);
    });
}

fn removed(master: &mut Master, agent: &AgentId, cause: Cause, ctx: &mut Context<Master>) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let tasks: Vec<_> = state.tasks.keys().cloned().collect();
    let executors: Vec<_> = state.executors.keys().cloned().collect();
    let (hostname, pid) = (state.info.hostname.clone(), state.pid.clone());
    master.metrics.slave_removals.increment();
    match cause {
        Cause::Unregistered => master.metrics.slave_removals_reason_unregistered.increment(),
        Cause::Replaced => master.metrics.slave_removals_reason_registered.increment(),
    }
    // First, so that what its tasks free is not offered again.
    master.allocation.remove_agent(agent);
    for (framework, id) in tasks {
        let Some(task) = master.cluster.task(&framework, id.as_str()) else { continue };
        let message = format!("Agent {hostname} removed: {}", cause.text());
        let lost = status::of_task(task, TaskState::TaskLost, Reason::AgentRemoved, message, ctx.now());
        updates::apply(master, &framework, &lost, None);
        updates::remove_task(master, &framework, &id, false);
        updates::forward(master, &framework, lost, ctx);
    }
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
    announce_lost(master, agent, ctx);
}
