//! An operator says that an agent will never be back, or it was drained to be no more (upstream:
//! `Http::_markAgentGone`, `Master::markGone`).
//!
//! The registry is written first. Then the agent's tasks are over for their frameworks, whatever they do; the agent is
//! told to end, and refused if it ever comes back. Of the tasks of an agent that is still awaited after a failover this
//! master knows nothing: their frameworks learn of it when they ask.

use std::sync::Arc;

use libprocess::Context;
use mesos::tasks::time_info;
use mesos::{AgentId, FrameworkId, v1};

use super::leave::{Departure, leave};
use super::{announce_lost, forget_unreachable_operations, shut_down};
use crate::cluster::{Task, status};
use crate::master::Master;
use crate::registrar::Operation;
use crate::updates;

/// What an agent and its frameworks hear.
const MESSAGE: &str = "Agent has been marked gone";

/// Marks an agent gone that is registered, awaited or unreachable, and not in any other transition. `then` hears
/// whether the registry knew it.
pub(crate) fn mark(
    master: &mut Master,
    agent: &AgentId,
    ctx: &mut Context<Master>,
    then: impl FnOnce(bool) + 'static,
) {
    tracing::info!(agent_id = %agent, "marking the agent gone");
    master.agents.marking_gone.insert(agent.clone());
    let (id, since) = (agent.clone(), time_info(ctx.now()));
    let operation = Operation::MarkAgentGone { id: id.clone(), since };
    master.apply(operation, ctx, move |master, possible, ctx| {
        master.agents.marking_gone.remove(&id);
        if possible {
            marked(master, &id, since, ctx);
        } else {
            tracing::error!(agent_id = %id, "the registry does not know the agent");
        }
        then(possible);
    });
}

/// The registry has it.
fn marked(master: &mut Master, agent: &AgentId, since: v1::TimeInfo, ctx: &mut Context<Master>) {
    tracing::info!(agent_id = %agent, "the agent is gone");
    master.cluster.add_gone_agent(agent.clone(), since);
    if let Some(state) = master.cluster.agent(agent) {
        let pid = state.pid.clone();
        shut_down(&pid, MESSAGE, ctx);
        leave(master, agent, Departure::Gone, MESSAGE, ctx);
        announce_lost(master, agent, ctx);
        return;
    }
    // Upstream goes on to list it as one that is awaited.
    master.cluster.remove_recovered_agent(agent);
    master.cluster.forget_unreachable_agent(agent);
    master.cluster.forget_activation(agent);
    forget_unreachable_operations(master, agent);
    for framework in master.cluster.frameworks_with_unreachable_tasks(agent) {
        for task in master.cluster.take_unreachable_tasks(&framework, |task| &task.agent == agent) {
            end(master, &framework, task, ctx);
        }
    }
}

/// A task that was unreachable never comes back.
fn end(master: &mut Master, framework: &FrameworkId, task: Arc<Task>, ctx: &mut Context<Master>) {
    let aware = master.cluster.framework(framework).is_some_and(|state| state.capabilities.partition_aware);
    let (state, reason) = Departure::Gone.end_of_tasks(aware);
    let gone = status::of_task(&task, state, reason, MESSAGE, ctx.now());
    updates::end_unreachable(master, framework, task, &gone);
    updates::forward(master, framework, gone, ctx);
}
