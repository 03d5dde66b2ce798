//! `ReregisterSlaveMessage`: an agent comes back with what it runs (upstream: `reregisterSlave` and
//! what follows it).
//!
//! Three cases. A *known* agent (its connection broke, or its process restarted) is compared with the
//! books. A *recovered* one (the registry knows it, this master does not yet) and one that was
//! *unreachable* are added with everything they bring: tasks and executors of frameworks that this
//! master has never heard of make these frameworks known. Frameworks that were removed meanwhile are
//! shut down on the agent. Another agent that was at its address is replaced.
//!
//! An agent repeats its message until it is answered, and what it runs changes meanwhile. A message can be old: one that
//! a broken network kept since an earlier leadership arrives before those of today. So the last one counts that has
//! come when the registry agrees (found by simulation; upstream takes the first).

use std::collections::BTreeSet;
use std::sync::Arc;

use libprocess::{Context, Pid};
use mesos::internal::{
    KillTaskMessage, ReregisterSlaveMessage, ShutdownFrameworkMessage, SlaveReregisteredMessage,
    UpdateFrameworkMessage,
};
use mesos::sabotage::{Bug, is_on};
use mesos::v1::task_status::Reason;
use mesos::{AgentId, ExecutorId, FrameworkId, Resources, v1};

use super::register::watch;
use super::report::{Completed, Report, Said};
use super::{
    activation, check_domain, forget_unreachable_operations, maintenance, reconcile, remove, shut_down,
    unreachable,
};
use crate::authorization::registration;
use crate::cluster::{Agent, AgentResources, Executor, Framework, Introduction, Task, status};
use crate::frameworks;
use crate::master::Master;
use crate::operator::news;
use crate::registrar::Operation;
use crate::updates;
use crate::validation::Invalid;

/// What is heard of an agent while the registry is written for its return.
#[derive(Debug, Default)]
pub(crate) struct Meanwhile {
    newest: Option<(Pid, Report)>,
    /// The executors that have ended since its last report.
    exited: BTreeSet<(FrameworkId, ExecutorId)>,
}

/// An executor has ended: a report that still waits is not to bring it back.
pub(crate) fn note_exit(
    master: &mut Master,
    agent: &AgentId,
    framework: &FrameworkId,
    executor: &ExecutorId,
) {
    if let Some(meanwhile) = master.agents.reregistering.get_mut(agent) {
        meanwhile.exited.insert((framework.clone(), executor.clone()));
    }
}

/// Takes an agent back. It repeats its message until it is answered.
pub(crate) fn reregister(master: &mut Master, report: Report, from: &Pid, ctx: &mut Context<Master>) {
    master.metrics.messages_reregister_slave.increment();
    let Some(id) = report.said.message.slave.id.as_ref().map(AgentId::from) else { return };
    if let Some(meanwhile) = master.agents.reregistering.get_mut(&id) {
        *meanwhile = Meanwhile { newest: Some((from.clone(), report)), ..Meanwhile::default() };
        return;
    }
    if master.agents.is_leaving(&id) {
        tracing::info!(agent_id = %id, "ignoring a re-registration: another transition is in progress");
        return;
    }
    if master.cluster.gone_agents().contains_key(&id) && !is_on(Bug::ReadmitsGone) {
        tracing::warn!(agent_id = %id, "refusing a re-registration: the agent is marked gone");
        shut_down(from, "Agent has been marked gone", ctx);
        return;
    }
    let slave = &report.said.message.slave;
    if let Err(error) = validate(master, &report) {
        tracing::warn!(agent_id = %id, agent = %from, %error, "ignoring an agent's re-registration");
        return;
    }
    if let Err(error) = master.authorize(None, registration(slave)) {
        tracing::warn!(agent_id = %id, agent = %from, %error, "ignoring an agent's re-registration");
        return;
    }
    if let Some(known) = master.cluster.agent(&id)
        && (known.pid.address().ip() != from.address().ip() || known.info.hostname != slave.hostname)
    {
        tracing::warn!(agent_id = %id, agent = %from, "refusing a re-registration from another machine");
        shut_down(from, "Agent attempted to reregister with different IP / hostname", ctx);
        return;
    }
    if maintenance::refuse_if_down(master, slave, from, ctx) {
        return;
    }
    // Before the registry is written: an agent that is in it and not in the books would be awaited by every later leader.
    let Report { mut said, resources, .. } = report;
    let has = match resources {
        Ok(has) => has,
        Err(error) => {
            tracing::warn!(agent_id = %id, agent = %from, %error, "refusing a re-registration");
            shut_down(from, &error.0, ctx);
            return;
        }
    };
    let slave = &said.message.slave;
    tracing::info!(agent_id = %id, agent = %from, hostname = slave.hostname, "an agent re-registers");
    let pid = from.clone();
    let was_known = master.cluster.agent(&id).is_some();
    match registry_change(master, &id, slave) {
        None => proceed(master, id, pid, said, has, ctx),
        Some(operation) => {
            master.agents.reregistering.insert(id.clone(), Meanwhile::default());
            let awaited = id.clone();
            master.apply(operation, ctx, move |master, possible, ctx| {
                let Meanwhile { newest, exited } = master.agents.reregistering.remove(&id).unwrap_or_default();
                if !possible {
                    tracing::warn!(agent_id = %id, "the registry does not know the agent; it will try again");
                } else if master.agents.marking_gone.contains(&id) {
                    tracing::info!(agent_id = %id, "the agent is marked gone while it re-registers");
                } else if was_known && master.cluster.agent(&id).is_none() {
                    tracing::warn!(agent_id = %id, "the agent was removed while it re-registered; it will try again");
                } else if let Some((from, mut report)) = newest
                    && !said.is_repeated_by(&report.said)
                {
                    tracing::info!(agent_id = %id, "what the agent runs has changed while it re-registered");
                    leave_out(master, &mut report.said.message, &id, &exited);
                    reregister(master, report, &from, ctx);
                } else {
                    leave_out(master, &mut said.message, &id, &exited);
                    proceed(master, id, pid, said, has, ctx);
                }
                unreachable::unless_back(master, &awaited, ctx);
            });
        }
    }
}

/// Takes from a report those of its executors that have ended since, unless they were launched anew.
fn leave_out(
    master: &Master,
    message: &mut ReregisterSlaveMessage,
    agent: &AgentId,
    exited: &BTreeSet<(FrameworkId, ExecutorId)>,
) {
    let state = master.cluster.agent(agent);
    message.executor_infos.retain(|info| {
        key_of(info).is_none_or(|key| {
            !exited.contains(&key) || state.is_some_and(|it| it.has_executor(&key.0, &key.1))
        })
    });
}

/// What has to be stored first. Nothing, if the agent is admitted and has not changed.
fn registry_change(master: &Master, id: &AgentId, info: &v1::AgentInfo) -> Option<Operation> {
    let known = master.cluster.agent(id).map(|agent| &*agent.info);
    let recovered = master.cluster.recovered_agents().get(id).map(|info| &**info);
    match known.or(recovered) {
        Some(stored) if stored == info => None,
        Some(_) => Some(Operation::UpdateAgent { info: Box::new(info.clone()) }),
        None => Some(Operation::MarkAgentReachable { info: Box::new(info.clone()) }),
    }
}

fn validate(master: &Master, report: &Report) -> Result<(), Invalid> {
    report.validity.clone()?;
    check_domain(master, &report.said.message.slave)?;
    Ok(())
}

/// The registry agrees.
fn proceed(
    master: &mut Master,
    id: AgentId,
    pid: Pid,
    said: Said,
    resources: AgentResources,
    ctx: &mut Context<Master>,
) {
    // There is one agent at an address. Another one was admitted when a registration came late, which this one's id has
    // overtaken: nobody would answer for its tasks.
    let other = master.cluster.agent_at(&pid).map(|other| other.id.clone());
    if let Some(other) = other.filter(|other| *other != id) {
        tracing::warn!(agent_id = %id, other_id = %other, agent = %pid, "another agent was at this address");
        remove::remove(master, &other, remove::Cause::Replaced, ctx);
    }
    let Said { message, tasks, completed } = said;
    let introduction = Introduction {
        id: id.clone(),
        info: message.slave,
        pid: pid.clone(),
        version: message.version.unwrap_or_default(),
        capabilities: message.agent_capabilities,
        resource_version: message.resource_version_uuid,
        resources,
    };
    if master.cluster.agent(&id).is_some() {
        reconcile::known(master, introduction, &message.executor_infos, &tasks, ctx);
    } else {
        let brought = Brought { executors: message.executor_infos, tasks, completed };
        add(master, introduction, brought, &message.frameworks, ctx);
    }
    update_frameworks(master, &pid, &message.frameworks, ctx);
    maintenance::leave_if_down(master, &id, ctx);
}

/// What an agent brings.
struct Brought {
    executors: Vec<v1::ExecutorInfo>,
    tasks: Vec<Arc<Task>>,
    completed: Vec<Completed>,
}

/// Adds an agent that this master does not know (any more).
fn add(
    master: &mut Master,
    introduction: Introduction,
    brought: Brought,
    frameworks: &[v1::FrameworkInfo],
    ctx: &mut Context<Master>,
) {
    let awaited = master.cluster.recovered_agents().contains_key(&introduction.id);
    let unreachable = master.cluster.unreachable_agents().contains_key(&introduction.id);
    let now = ctx.now();
    let agent = Agent { reregistered: Some(now), ..Agent::new(introduction, now) };
    let (id, pid) = (agent.id.clone(), agent.pid.clone());
    // Before its tasks, which belong to them.
    for info in frameworks {
        let framework = info.id.as_ref().map(FrameworkId::from);
        let known = framework
            .is_none_or(|id| master.cluster.framework(&id).is_some() || master.cluster.is_completed(&id));
        if !known {
            frameworks::recover::recover(master, info.clone());
        }
    }
    let executors = brought.executors.into_iter().filter_map(|info| executor(master, info));
    let executors = executors.collect();
    let entered = master.cluster.add_agent_with(agent, executors, brought.tasks);
    master.metrics.slave_reregistrations.increment();
    watch(master, &id, &pid, ctx);
    // Before its tasks, so that where they are is known.
    news::agent_added(master, &id);
    for (framework, task, state) in entered.added {
        master.metrics.framework(&framework).task_added(state);
        if !is_on(Bug::HidesReturned) {
            news::task_added(master, &framework, task.as_str());
        }
    }
    end_namesakes(master, &pid, &entered.refused, ctx);
    if !awaited {
        forget_unreachable_tasks(master, &id);
        forget_unreachable_operations(master, &id);
    }
    add_completed(master, &id, brought.completed);
    if let Some(agent) = master.cluster.agent(&id) {
        tracing::info!(agent_id = %id, agent = %pid, resources = %agent.total, "re-registered an agent");
        let unavailability = maintenance::unavailability(agent, master.cluster.maintenance());
        master.allocation.add_agent(agent, unavailability);
    }
    let answer = SlaveReregisteredMessage {
        slave_id: id.to_proto(),
        reconciliations: Vec::new(),
        connection: Some(master.agents.connection()),
    };
    ctx.post(&pid, answer);
    activation::returned(master, &id, ctx);
    if !awaited {
        let message = match unreachable {
            true => "Unreachable agent re-reregistered",
            false => "Unknown agent reregistered",
        };
        report_tasks(master, &id, message, ctx);
    }
}

/// An executor of a framework that is known.
fn executor(master: &Master, info: v1::ExecutorInfo) -> Option<Executor> {
    let framework = FrameworkId::from(info.framework_id.as_ref()?);
    master.cluster.framework(&framework)?;
    let resources = Resources::try_from_protos(&info.resources).ok()?;
    Some(Executor { info, resources })
}

/// Enters an executor of a framework that is known into the books. What it uses, and for whom.
pub(super) fn add_executor(
    master: &mut Master,
    agent: &AgentId,
    info: v1::ExecutorInfo,
) -> Option<(FrameworkId, Resources)> {
    let framework = FrameworkId::from(info.framework_id.as_ref()?);
    let executor = executor(master, info)?;
    let resources = executor.resources.clone();
    master.cluster.add_executor(&framework, agent, executor);
    Some((framework, resources))
}

/// Ends the tasks of an agent whose ids their frameworks have given to tasks on another agent since (a new leader may have
/// forgotten this agent, and said so to the framework): the books have one task of an id. (Upstream aborts there.)
fn end_namesakes(master: &Master, pid: &Pid, tasks: &[Arc<Task>], ctx: &Context<Master>) {
    for task in tasks {
        let other = master.cluster.task(&task.framework, task.id.as_str());
        tracing::warn!(
            framework_id = %task.framework, task_id = %task.id, agent_id = %task.agent,
            runs_on = other.map(|other| other.agent.as_str()),
            "killing a task whose id is another task's by now"
        );
        let kill = KillTaskMessage {
            framework_id: task.framework.to_proto(),
            task_id: task.id.to_proto(),
            kill_policy: None,
        };
        ctx.post(pid, kill);
    }
}

/// None of the agent's tasks is unreachable any more.
pub(super) fn forget_unreachable_tasks(master: &mut Master, agent: &AgentId) {
    for framework in master.cluster.frameworks_with_unreachable_tasks(agent) {
        master.cluster.forget_past_of(&framework, agent, &[]);
    }
}

/// An agent calls a framework completed when nothing of it runs there any more. What this master knows already, it does not
/// list twice.
fn add_completed(master: &mut Master, agent: &AgentId, completed: Vec<Completed>) {
    for Completed { framework, tasks } in completed {
        if let Some(id) = framework.framework_info.id.as_ref().map(FrameworkId::from) {
            master.cluster.add_completed_tasks_of(agent, &id, tasks);
        }
    }
}

/// Frameworks are told in which state the tasks of an agent are that was thought lost.
fn report_tasks(master: &mut Master, agent: &AgentId, message: &str, ctx: &mut Context<Master>) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let keys: Vec<_> = state.tasks.keys().cloned().collect();
    for (framework, id) in keys {
        let connected = master.cluster.framework(&framework).is_some_and(|state| state.is_connected());
        let Some(task) = master.cluster.task(&framework, id.as_str()).filter(|_| connected) else { continue };
        let status = status::repeated(task, task.state(), Reason::AgentReregistered, message, ctx.now());
        updates::forward(master, &framework, status, ctx);
    }
}

/// The agent hears what its frameworks are now, and which of them are no more. Those of an agent that was added are known by
/// now, unless they are over; and what was on a known one, this master has known: one that it does not know any more was
/// removed while the agent was away, and is not even remembered. (Upstream recovers that, and offers what its tasks use.)
fn update_frameworks(master: &Master, pid: &Pid, frameworks: &[v1::FrameworkInfo], ctx: &Context<Master>) {
    for info in frameworks {
        let Some(id) = info.id.as_ref().map(FrameworkId::from) else { continue };
        if let Some(framework) = master.cluster.framework(&id) {
            ctx.post(pid, update_message(framework));
        } else {
            tracing::info!(framework_id = %id, agent = %pid, "shutting a removed framework down on the agent");
            ctx.post(pid, ShutdownFrameworkMessage { framework_id: id.to_proto() });
        }
    }
}

/// What agents are told when a framework changed.
pub(crate) fn update_message(framework: &Framework) -> UpdateFrameworkMessage {
    UpdateFrameworkMessage {
        framework_id: framework.id.to_proto(),
        pid: Some(framework.pid_text()),
        framework_info: Some((*framework.info).clone()),
    }
}

/// The framework of an executor, if it says so, and its id.
pub(super) fn key_of(info: &v1::ExecutorInfo) -> Option<(FrameworkId, ExecutorId)> {
    Some((FrameworkId::from(info.framework_id.as_ref()?), ExecutorId::from(&info.executor_id)))
}

/// The executors of an agent, by framework and id.
pub(super) fn keys_of(executors: &[v1::ExecutorInfo]) -> Vec<(FrameworkId, ExecutorId)> {
    executors.iter().filter_map(key_of).collect()
}
