//! Whether an agent may have tasks, as operators decide: deactivated, drained, active again (upstream:
//! `Http::_drainAgent`, `_deactivateAgent`, `_reactivateAgent`, `Master::deactivate`,
//! `checkAndTransitionDrainingAgent`).
//!
//! What is said here of an agent holds for its id: whether it is registered, awaited after a failover or unreachable, and
//! it is in the registry. A *deactivated* agent runs on, and is offered to nobody. One that is *drained* is deactivated,
//! and told to end its tasks, each time that it registers again; when the last one is over and acknowledged, and no
//! operation is under way, it is DRAINED, or marked gone if the operator wants it so. Until then nobody can make it
//! active again.

use libprocess::Context;
use mesos::internal::DrainSlaveMessage;
use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, v1};

use super::gone;
use crate::master::Master;
use crate::registrar::{Activation, Operation};
use crate::{inverse_offers, offers};

/// The registry has it: the agent is drained from now on.
pub(crate) fn drain(
    master: &mut Master,
    agent: &AgentId,
    config: v1::DrainConfig,
    ctx: &mut Context<Master>,
) {
    let drain = v1::DrainInfo { state: v1::DrainState::Draining.into(), config };
    master.cluster.set_activation(agent, Activation { drain: Some(drain), deactivated: true });
    let Some(state) = master.cluster.agent(agent) else { return };
    tracing::info!(agent_id = %agent, tasks = state.tasks.size(), "the agent is drained");
    ctx.post(&state.pid, DrainSlaveMessage { config });
    take_out(master, agent, ctx);
    master.cluster.set_drain_started(agent, Some(ctx.now()));
    check_drained(master, agent, ctx);
}

/// The registry has it: the agent is offered to nobody from now on.
pub(crate) fn deactivate(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let drain = master.cluster.activation(agent).drain;
    master.cluster.set_activation(agent, Activation { drain, deactivated: true });
    tracing::info!(agent_id = %agent, "the agent is deactivated");
    take_out(master, agent, ctx);
}

/// The registry has it: the agent is as any other again. One that is disconnected is offered when it is back.
pub(crate) fn reactivate(master: &mut Master, agent: &AgentId) {
    master.cluster.forget_activation(agent);
    master.cluster.set_drain_started(agent, None);
    tracing::info!(agent_id = %agent, "the agent is reactivated");
    if master.cluster.agent(agent).is_some_and(|state| state.connected) {
        master.cluster.set_agent_connection(agent, true, true);
        master.allocation.activate_agent(agent);
    }
}

/// An agent has registered again: what was decided of it still holds. A drained agent is told anew, also when it is
/// empty: it knows how to take that.
pub(super) fn returned(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let activation = master.cluster.activation(agent);
    if activation.deactivated && !is_on(Bug::OffersDeactivated) {
        take_out(master, agent, ctx);
    }
    let Some(state) = master.cluster.agent(agent) else { return };
    if let Some(drain) = activation.drain {
        ctx.post(&state.pid, DrainSlaveMessage { config: drain.config });
        // The operations of one with resource providers are known when it has sent its first update.
        if !state.capabilities.resource_provider {
            check_drained(master, agent, ctx);
        }
    }
}

/// The agent's resources are not offered any more, and what is offered is taken back.
fn take_out(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let connected = state.connected;
    master.cluster.set_agent_connection(agent, connected, false);
    master.allocation.deactivate_agent(agent);
    offers::rescind_of_agent(master, agent, ctx);
    inverse_offers::rescind_of_agent(master, agent, ctx);
}

/// Notes it in the registry if an agent that is being drained has no tasks and no operations any more. Asked whenever one
/// may have been the last.
pub(crate) fn check_drained(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let Some(drain) = master.cluster.activation(agent).drain else { return };
    let state = master.cluster.agent(agent);
    let is_empty = state.is_some_and(|state| {
        (state.tasks.is_empty() || is_on(Bug::DrainsEarly)) && state.operations.is_empty()
    });
    if drain.state() != v1::DrainState::Draining || !is_empty {
        return;
    }
    if master.agents.marking_gone.contains(agent) {
        tracing::info!(agent_id = %agent, "the agent is empty, and about to be gone: it is not marked drained");
        return;
    }
    if drain.config.mark_gone() {
        gone::mark(master, agent, ctx, |_| {});
        return;
    }
    tracing::info!(agent_id = %agent, "the agent is empty: marking it drained");
    let id = agent.clone();
    master.apply(Operation::MarkAgentDrained { id: id.clone() }, ctx, move |master, possible, _| {
        // It may have left meanwhile, or have been marked before.
        let activation = master.cluster.activation(&id);
        if let Some(mut drain) = activation.drain.filter(|_| possible) {
            drain.set_state(v1::DrainState::Drained);
            master.cluster.set_activation(&id, Activation { drain: Some(drain), ..activation });
            tracing::info!(agent_id = %id, "the agent is drained");
        }
    });
}
