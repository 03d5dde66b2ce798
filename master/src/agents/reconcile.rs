//! A known agent came back: its report is compared with the books (upstream: `___reregisterSlave`,
//! `reconcileKnownSlave`).
//!
//! Tasks that only the master knows may have been lost on their way, or may be on it still: the agent
//! is asked, and answers with status updates. Executors that only the master knows are gone, and
//! are taken back if a later report has them. Tasks that were to be killed, and are alive, are killed again. Tasks that only
//! the agent knows, and executors that were given up when its connection broke, are ended: their framework was told so.
//! (Upstream takes for granted that there is no such thing.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use libprocess::{Context, Pid};
use mesos::internal::{
    KillTaskMessage, ReconcileTasksMessage, ShutdownExecutorMessage, SlaveReregisteredMessage,
};
use mesos::tasks::is_terminal;
use mesos::v1;
use mesos::v1::task_status::Reason;
use mesos::{AgentId, FrameworkId, TaskId};

use super::activation;
use super::reregister::{add_executor, key_of, keys_of};
use crate::cluster::{Agent, Introduction, Task, status};
use crate::master::Master;
use crate::operations::apply;
use crate::operations::reconcile::forget_unacknowledged;
use crate::{offers, updates};

/// Takes a known agent back.
pub(super) fn known(
    master: &mut Master,
    introduction: Introduction,
    executors: &[v1::ExecutorInfo],
    tasks: &[Arc<Task>],
    ctx: &mut Context<Master>,
) {
    let (id, pid) = (introduction.id.clone(), introduction.pid.clone());
    let was_connected = master.cluster.agent(&id).is_some_and(|agent| agent.connected);
    let before = master.cluster.agent(&id).map(|agent| agent.total.clone());
    let gave_feedback = gives_feedback(master, &id);
    master.cluster.update_agent(introduction, ctx.now());
    if gave_feedback && !gives_feedback(master, &id) {
        forget_unacknowledged(master, &id, ctx);
    }
    // Also when it seems connected: the connection that was linked may be one that is long dead.
    ctx.link(&pid);
    if let Some(agent) = master.cluster.agent(&id) {
        let changed = before.is_some_and(|before| before != agent.total);
        master.allocation.update_agent(agent);
        answer(master, agent, tasks, ctx);
        if changed {
            // An operation has not reached it: what is offered may not be there.
            offers::rescind_of_agent(master, &id, ctx);
        }
    }
    remove_lost_executors(master, &id, executors);
    take_executors_back(master, &id, executors, ctx);
    end_unwanted(master, &id, &pid, executors, tasks, ctx);
    if !was_connected {
        if let Some(timer) = master.agents.reregistration_timers.swap_remove(&id) {
            ctx.cancel(timer);
        }
        master.agents.overdue.remove(&id);
        tracing::info!(agent_id = %id, "the agent is connected again");
        let active = !master.cluster.activation(&id).deactivated;
        master.cluster.set_agent_connection(&id, true, active);
        if active {
            // After its tasks were compared, so that the allocator's view of it is right.
            master.allocation.activate_agent(&id);
        }
    }
    master.agents.set_connection(&id, &pid, true);
    send_checkpointed(master, &id, ctx);
    activation::returned(master, &id, ctx);
}

fn gives_feedback(master: &Master, agent: &AgentId) -> bool {
    master.cluster.agent(agent).is_some_and(|agent| agent.capabilities.agent_operation_feedback)
}

/// Answers, with the tasks that the agent did not mention.
fn answer(master: &Master, agent: &Agent, tasks: &[Arc<Task>], ctx: &Context<Master>) {
    let mentioned: BTreeSet<(&str, &str)> =
        tasks.iter().map(|task| (task.framework.as_str(), task.id.as_str())).collect();
    let mut missing: BTreeMap<&FrameworkId, Vec<v1::TaskStatus>> = BTreeMap::new();
    for (framework, task) in agent.tasks.keys() {
        if !mentioned.contains(&(framework.as_str(), task.as_str())) {
            tracing::warn!(framework_id = %framework, task_id = %task, agent_id = %agent.id, "the agent did not mention a task; asking");
            missing.entry(framework).or_default().extend(question(master, framework, task, ctx.now()));
        }
    }
    let reconciliations = missing.into_iter().map(|(framework, statuses)| ReconcileTasksMessage {
        framework_id: framework.to_proto(),
        statuses,
        framework: master.cluster.framework(framework).map(|state| (*state.info).clone()),
    });
    let answer = SlaveReregisteredMessage {
        slave_id: agent.id.to_proto(),
        reconciliations: reconciliations.collect(),
        connection: Some(master.agents.connection()),
    };
    ctx.post(&agent.pid, answer);
}

/// The master's view of a task, for the agent to correct.
fn question(
    master: &Master,
    framework: &FrameworkId,
    task: &TaskId,
    now: SystemTime,
) -> Option<v1::TaskStatus> {
    let task = master.cluster.task(framework, task.as_str())?;
    let text = "Reconciliation request";
    let state = task.told_state();
    Some(status::by_master(&task.id, Some(&task.agent), state, Reason::Reconciliation, text, now))
}

fn remove_lost_executors(master: &mut Master, agent: &AgentId, executors: &[v1::ExecutorInfo]) {
    let alive: BTreeSet<_> = keys_of(executors).into_iter().collect();
    let Some(state) = master.cluster.agent(agent) else { return };
    let lost: Vec<_> = state.executors.keys().filter(|key| !alive.contains(*key)).cloned().collect();
    for (framework, executor) in lost {
        tracing::warn!(agent_id = %agent, executor_id = %executor, "the agent does not know an executor (any more)");
        updates::remove_executor(master, &framework, agent, &executor);
    }
}

/// An executor that the master does not know was taken for lost: a report that came late, and was made before the executor
/// was launched, did not have it. It has been running all the while. (Upstream does not count it from then on.)
fn take_executors_back(
    master: &mut Master,
    agent: &AgentId,
    executors: &[v1::ExecutorInfo],
    ctx: &mut Context<Master>,
) {
    master.cluster.compare_given_up(agent, &keys_of(executors));
    let Some(state) = master.cluster.agent(agent) else { return };
    let is_missing = |info: &&v1::ExecutorInfo| {
        key_of(info).is_some_and(|key| {
            let is_known = master.cluster.framework(&key.0).is_some();
            is_known && !state.executors.contains_key(&key) && !state.given_up.contains_key(&key)
        })
    };
    let missing: Vec<_> = executors.iter().filter(is_missing).cloned().collect();
    if missing.is_empty() {
        return;
    }
    // What they use was free meanwhile.
    offers::rescind_of_agent(master, agent, ctx);
    for info in missing {
        let executor = info.executor_id.value.clone();
        if let Some((framework, resources)) = add_executor(master, agent, info) {
            tracing::warn!(agent_id = %agent, framework_id = %framework, executor_id = executor, "an executor that was taken for lost is back");
            master.allocation.track(&framework, agent, resources);
        }
    }
}

/// Ends what must not run on the agent: tasks that were to be killed, and tasks and executors that the master has given
/// up, of frameworks that do not checkpoint, when their agent had only lost its connection (found by simulation).
fn end_unwanted(
    master: &Master,
    agent: &AgentId,
    pid: &Pid,
    executors: &[v1::ExecutorInfo],
    tasks: &[Arc<Task>],
    ctx: &Context<Master>,
) {
    let Some(state) = master.cluster.agent(agent) else { return };
    // A framework that is unknown altogether is shut down as a whole.
    let is_known = |framework: &FrameworkId| master.cluster.framework(framework).is_some();
    for (framework, executor) in keys_of(executors) {
        if is_known(&framework) && !state.has_executor(&framework, &executor) {
            tracing::warn!(agent_id = %agent, framework_id = %framework, executor_id = %executor, "ending an executor that was given up");
            let shutdown = ShutdownExecutorMessage {
                framework_id: Some(framework.to_proto()),
                executor_id: Some(executor.to_proto()),
            };
            ctx.post(pid, shutdown);
        }
    }
    for task in tasks.iter().filter(|task| !is_terminal(task.state())) {
        let key = (task.framework.clone(), task.id.clone());
        let given_up = is_known(&key.0) && !state.tasks.contains_key(&key);
        if given_up {
            tracing::warn!(agent_id = %agent, framework_id = %key.0, task_id = %key.1, "ending a task that was given up");
        }
        let killed = state.killed_tasks.get(&key).copied();
        if given_up || killed.is_some() {
            let kill = KillTaskMessage {
                framework_id: task.framework.to_proto(),
                task_id: task.id.to_proto(),
                // Without it, a task that was to have a minute would be cut off after the 3 s of executors, or what it
                // asked for itself. (Upstream leaves it out.)
                kill_policy: killed.flatten(),
            };
            ctx.post(pid, kill);
        }
    }
}

/// An agent without resource providers is told what it has to remember: an operation may not have
/// reached it.
fn send_checkpointed(master: &Master, agent: &AgentId, ctx: &Context<Master>) {
    if let Some(agent) = master.cluster.agent(agent)
        && !agent.capabilities.resource_provider
    {
        apply::send_checkpointed(agent, ctx);
    }
}
