//! The connection to an agent broke (upstream: `exited(UPID)`).
//!
//! That is no removal. The agent may have restarted, or its network may have hiccuped: its tasks stay
//! in the books, its offers are taken back, and it gets none until it re-registers. Only frameworks
//! that do not checkpoint lose their tasks there at once: nobody will find them after a restart.

use libprocess::{Context, Pid};
use mesos::v1::TaskState;
use mesos::v1::task_status::Reason;
use mesos::{AgentId, FrameworkId};

use crate::cluster::status;
use crate::master::{Master, Timeout};
use crate::{inverse_offers, offers, updates};

/// A link broke.
pub(crate) fn link_broke(master: &mut Master, pid: &Pid, ctx: &mut Context<Master>) {
    let Some(agent) = master.cluster.agent_at(pid) else { return };
    // A second notice of the same break.
    if !agent.connected {
        return;
    }
    let (id, hostname, frameworks) = (agent.id.clone(), agent.info.hostname.clone(), agent.frameworks());
    tracing::info!(agent_id = %id, agent = %pid, "the agent disconnected");
    master.cluster.set_agent_connection(&id, false, false);
    master.agents.set_connection(&id, pid, false);
    master.allocation.deactivate_agent(&id);
    offers::rescind_of_agent(master, &id, ctx);
    inverse_offers::rescind_of_agent(master, &id, ctx);
    for framework in frameworks {
        let checkpointing = master.cluster.framework(&framework).is_none_or(|state| state.is_checkpointing());
        if !checkpointing {
            lose(master, &framework, &id, &hostname, ctx);
        }
    }
    let timeout = master.settings.agent_reregister_timeout;
    let timer = ctx.after(timeout, Timeout::AgentReregistration(id.clone()));
    if let Some(previous) = master.agents.reregistration_timers.insert(id, timer) {
        ctx.cancel(previous);
    }
}

/// A framework's tasks and executors on an agent are lost.
fn lose(
    master: &mut Master,
    framework: &FrameworkId,
    agent: &AgentId,
    hostname: &str,
    ctx: &mut Context<Master>,
) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let tasks = state.tasks_of(framework);
    let executors: Vec<_> = state.executors_of(framework).map(|(id, _)| id.clone()).collect();
    for id in tasks {
        let Some(task) = master.cluster.task(framework, id.as_str()) else { continue };
        let message = format!("Agent {hostname} disconnected");
        let lost = status::of_task(task, TaskState::TaskLost, Reason::AgentDisconnected, message, ctx.now());
        updates::apply(master, framework, &lost, None);
        updates::remove_task(master, framework, &id, false);
        updates::forward(master, framework, lost, ctx);
    }
    for executor in executors {
        updates::remove_executor(master, framework, agent, &executor);
        master.cluster.executor_given_up(agent, framework, &executor);
    }
}
