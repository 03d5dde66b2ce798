//! An agent does not answer its pings, or does not come back: it is marked unreachable (upstream:
//! `markUnreachable`, `__removeSlave`, `agentReregisterTimeout`, `recoveredSlavesTimeout`).
//!
//! The registry is written first. Then its tasks become TASK_UNREACHABLE for frameworks that are
//! partition-aware, TASK_LOST for others; they may be running all the same, and are what they are when
//! the agent returns.

use std::time::Duration;

use libprocess::Context;
use mesos::sabotage::{Bug, is_on};
use mesos::tasks::time_info;
use mesos::{AgentId, v1};

use super::announce_lost;
use super::leave::{Departure, leave};
use super::observer::Health;
use crate::master::{EndReason, Master, Timeout};
use crate::registrar::Operation;

/// An agent whose turn to be marked unreachable comes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Removal {
    agent: AgentId,
    cause: Cause,
}

/// Why an agent is taken for unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It misses its pings.
    Unhealthy,
    /// It has not re-registered since its connection broke.
    Disconnected,
    /// It has not re-registered since this master leads.
    NotRecovered,
}

/// An observer reports. An answer that comes before the removal cancels it.
pub(crate) fn health_changed(master: &mut Master, message: Health, ctx: &mut Context<Master>) {
    let Health { agent, healthy } = message;
    if !healthy {
        if master.agents.unhealthy.insert(agent.clone()) {
            schedule(master, Removal { agent, cause: Cause::Unhealthy }, ctx);
        }
    } else if master.agents.unhealthy.remove(&agent) {
        tracing::info!(agent_id = %agent, "the agent answers again; it is not marked unreachable");
        master.metrics.slave_unreachable_canceled.increment();
    }
}

/// A disconnected agent has not re-registered in time.
pub(crate) fn reregistration_timed_out(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    master.agents.reregistration_timers.swap_remove(agent);
    if master.cluster.agent(agent).is_some_and(|state| !state.connected) {
        master.agents.overdue.insert(agent.clone());
        schedule(master, Removal { agent: agent.clone(), cause: Cause::Disconnected }, ctx);
    }
}

/// The agents that the registry knows have had their time to come back.
pub(crate) fn recovery_timed_out(master: &mut Master, known: usize, ctx: &mut Context<Master>) {
    master.agents.recovery_is_over = true;
    let absent: Vec<AgentId> = master.cluster.recovered_agents().keys().cloned().collect();
    let limit = master.settings.recovery_agent_removal_limit.0;
    if known > 0 && absent.len() as f64 / known as f64 > limit / 100.0 {
        master.end(EndReason::TooManyAgentsLost { lost: absent.len(), known, limit }, ctx);
        return;
    }
    for agent in absent {
        if !master.agents.reregistering.contains_key(&agent) && !is_on(Bug::LeavesRecovered) {
            schedule(master, Removal { agent, cause: Cause::NotRecovered }, ctx);
        }
    }
}

/// The registry was written for the return of an agent. If that came to nothing, and its time was over meanwhile, nobody
/// else would look again whether it is back. (Upstream awaits it for ever.)
pub(super) fn unless_back(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    if master.agents.reregistering.contains_key(agent) || master.agents.is_leaving(agent) {
        return;
    }
    if master.cluster.recovered_agents().contains_key(agent) {
        if master.agents.recovery_is_over {
            schedule(master, Removal { agent: agent.clone(), cause: Cause::NotRecovered }, ctx);
        }
    } else if master.cluster.agent(agent).is_none() {
        stays_away(master, agent, ctx);
    } else if !master.agents.reregistration_timers.contains_key(agent)
        && !master.agents.overdue.contains(agent)
    {
        // Its connection broke, and its turn was passed over while it seemed to return.
        reregistration_timed_out(master, agent, ctx);
    }
}

/// The registry was written for the return of an agent that this master does not know, and that came to nothing: it is
/// unreachable as before, or nobody's. Or else the next leader would await it.
fn stays_away(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let operation = match master.cluster.unreachable_agents().get(agent).copied() {
        Some(since) => {
            let info = v1::AgentInfo { id: Some(agent.to_proto()), ..Default::default() };
            Operation::MarkAgentUnreachable { info: Box::new(info), since }
        }
        None => Operation::RemoveAgent { id: agent.clone() },
    };
    // If it reports again before that is stored, its return is stored behind it.
    master.apply(operation, ctx, |_, _, _| ());
}

/// Marks the agent unreachable when the rate limit allows it: at once without a limit.
fn schedule(master: &mut Master, removal: Removal, ctx: &mut Context<Master>) {
    master.metrics.slave_unreachable_scheduled.increment();
    match &mut master.agents.limiter {
        None => removal_due(master, removal, ctx),
        Some(limiter) => {
            tracing::info!(agent_id = %removal.agent, "the agent will be marked unreachable in its turn");
            let is_first = !limiter.is_awaited();
            limiter.wait(removal);
            // For others that wait a timer runs already.
            if is_first {
                take_turns(master, ctx);
            }
        }
    }
}

/// Marks those agents unreachable whose turn has come, and waits for the next turn.
pub(crate) fn take_turns(master: &mut Master, ctx: &mut Context<Master>) {
    let now = ctx.node().elapsed();
    while let Some(removal) = next_removal(master, now) {
        removal_due(master, removal, ctx);
    }
    if let Some(wait) = master.agents.limiter.as_ref().and_then(|limiter| limiter.next_turn(now)) {
        ctx.after(wait, Timeout::Removal);
    }
}

/// Those that are back meanwhile are passed over. (In upstream only who answers its pings again costs no turn; and who was
/// back, and has just disconnected anew, is marked in the turn of its first absence.)
fn next_removal(master: &mut Master, now: Duration) -> Option<Removal> {
    let recovered = master.cluster.recovered_agents();
    let agents = &mut master.agents;
    let (unhealthy, overdue) = (&agents.unhealthy, &agents.overdue);
    let is_wanted = |removal: &Removal| match removal.cause {
        Cause::Unhealthy => unhealthy.contains(&removal.agent),
        Cause::Disconnected => overdue.contains(&removal.agent),
        Cause::NotRecovered => recovered.contains_key(&removal.agent),
    };
    let turn = agents.limiter.as_mut()?.take(now, is_wanted);
    // That an agent answers its pings was counted when it did.
    let canceled = turn.spared.iter().filter(|removal| removal.cause != Cause::Unhealthy);
    master.metrics.slave_unreachable_canceled.add(canceled.count() as u64);
    turn.removal
}

/// Its turn has come, and it is not back.
fn removal_due(master: &mut Master, removal: Removal, ctx: &mut Context<Master>) {
    let Removal { agent, cause } = removal;
    let timeout = mesos::duration::format(master.settings.agent_reregister_timeout);
    let message = match cause {
        Cause::Unhealthy => {
            master.agents.unhealthy.remove(&agent);
            "health check timed out".to_owned()
        }
        Cause::Disconnected => {
            master.agents.overdue.remove(&agent);
            format!("agent did not reregister within {timeout} after disconnecting")
        }
        Cause::NotRecovered => format!("did not reregister within {timeout} after master failover"),
    };
    let begins = mark(master, &agent, cause == Cause::NotRecovered, message, ctx);
    // As upstream counts: an observer's turn counts as used also where another transition is in progress.
    if begins || cause != Cause::NotRecovered {
        master.metrics.slave_unreachable_completed.increment();
    } else {
        master.metrics.slave_unreachable_canceled.increment();
    }
}

/// Marks an agent unreachable in the registry, and then in the books. Whether that began.
fn mark(
    master: &mut Master,
    agent: &AgentId,
    after_failover: bool,
    message: String,
    ctx: &mut Context<Master>,
) -> bool {
    let info = if after_failover {
        master.cluster.recovered_agents().get(agent).map(|info| (**info).clone())
    } else {
        master.cluster.agent(agent).map(|state| (*state.info).clone())
    };
    let Some(info) = info else { return false };
    let busy = master.agents.reregistering.contains_key(agent)
        || master.agents.is_leaving(agent)
        || master.cluster.gone_agents().contains_key(agent);
    if busy {
        tracing::info!(agent_id = %agent, "not marking the agent unreachable: another transition is in progress");
        return false;
    }
    tracing::info!(agent_id = %agent, message, "marking the agent unreachable");
    master.agents.marking_unreachable.insert(agent.clone());
    // The same time in the registry and in all status updates.
    let since = time_info(ctx.now());
    let operation = Operation::MarkAgentUnreachable { info: Box::new(info), since };
    let agent = agent.clone();
    master.apply(operation, ctx, move |master, possible, ctx| {
        master.agents.marking_unreachable.remove(&agent);
        if !possible {
            tracing::error!(agent_id = %agent, "the registry does not know the agent");
            return;
        }
        marked(master, &agent, after_failover, since, &message, ctx);
    });
    true
}

/// The registry has it.
fn marked(
    master: &mut Master,
    agent: &AgentId,
    after_failover: bool,
    since: v1::TimeInfo,
    message: &str,
    ctx: &mut Context<Master>,
) {
    tracing::info!(agent_id = %agent, message, "the agent is unreachable");
    master.metrics.slave_removals.increment();
    master.metrics.slave_removals_reason_unhealthy.increment();
    if after_failover {
        master.cluster.remove_recovered_agent(agent);
        master.metrics.recovery_slave_removals.increment();
    } else {
        leave(master, agent, Departure::Unreachable(since), message, ctx);
    }
    master.cluster.add_unreachable_agent(agent.clone(), since);
    announce_lost(master, agent, ctx);
}
