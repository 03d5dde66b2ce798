//! An agent leaves for good: it says so, or another one registered in its place (upstream:
//! `unregisterSlave`, `removeSlave`, `_removeSlave`).

use libprocess::{Context, Pid};
use mesos::AgentId;
use mesos::internal::UnregisterSlaveMessage;

use super::announce_lost;
use super::leave::{Departure, leave};
use crate::master::Master;
use crate::registrar::Operation;

/// Why an agent is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It shuts down in an orderly way.
    Unregistered,
    /// Another one (re-)registered at its address: it failed to recover, or was told to start anew.
    Replaced,
    /// Its machine goes down for maintenance.
    MachineDown,
}

impl Cause {
    /// What its frameworks are told.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Unregistered => "the agent unregistered",
            Self::Replaced => "a new agent registered at the same address",
            Self::MachineDown => "Operator initiated 'Machine DOWN'",
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
    if master.agents.is_leaving(agent) {
        tracing::warn!(agent_id = %agent, "not removing the agent: another transition is in progress");
        return;
    }
    tracing::info!(agent_id = %agent, cause = cause.text(), "removing the agent");
    master.agents.removing.insert(agent.clone());
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
    let message = format!("Agent {} removed: {}", state.info.hostname, cause.text());
    master.metrics.slave_removals.increment();
    match cause {
        Cause::Unregistered => master.metrics.slave_removals_reason_unregistered.increment(),
        Cause::Replaced => master.metrics.slave_removals_reason_registered.increment(),
        Cause::MachineDown => {}
    }
    leave(master, agent, Departure::Left, &message, ctx);
    announce_lost(master, agent, ctx);
}
