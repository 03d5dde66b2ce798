//! KILL: a framework wants a task to end (upstream: `kill`).
//!
//! Nothing says that it will: the answer is a terminal update of the task. A task that the master does
//! not know is reconciled instead, so that the framework learns what became of it.

use libprocess::Context;
use mesos::internal::KillTaskMessage;
use mesos::v1::scheduler::call::{Kill, Reconcile, reconcile as reconcile_call};
use mesos::{AgentId, FrameworkId};

use super::reconcile;
use crate::master::Master;

/// Kills a task.
pub(super) fn kill(master: &mut Master, framework: &FrameworkId, call: Kill, ctx: &mut Context<Master>) {
    master.metrics.messages_kill_task.increment();
    let Some(task) = master.cluster.task(framework, &call.task_id.value) else {
        let task = reconcile_call::Task { task_id: call.task_id, agent_id: call.agent_id };
        reconcile::reconcile(master, framework, Reconcile { tasks: vec![task] }, ctx);
        return;
    };
    let (agent, id) = (task.agent.clone(), task.id.clone());
    if call.agent_id.as_ref().is_some_and(|named| AgentId::from(named) != agent) {
        tracing::warn!(framework_id = %framework, task_id = %id, "not killing a task: it is on another agent");
        return;
    }
    // Also if the agent is away: it is told again when it re-registers with the task alive.
    master.cluster.task_killed(&agent, framework, &id, call.kill_policy);
    tell(master, framework, &agent, call, ctx);
}

fn tell(master: &Master, framework: &FrameworkId, agent: &AgentId, call: Kill, ctx: &Context<Master>) {
    match master.cluster.agent(agent).filter(|agent| agent.connected) {
        Some(agent) => {
            let message = KillTaskMessage {
                framework_id: framework.to_proto(),
                task_id: call.task_id,
                kill_policy: call.kill_policy,
            };
            ctx.post(&agent.pid, message);
        }
        None => {
            tracing::warn!(agent_id = %agent, "the agent of a task to be killed is away; it is told when it returns");
        }
    }
}
