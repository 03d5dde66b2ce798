//! `ReregisterSlaveMessage`: an agent comes back with what it runs (upstream: `reregisterSlave` and
//! what follows it).
//!
//! Three cases. A *known* agent (its connection broke, or its process restarted) is compared with the
//! books. A *recovered* one (the registry knows it, this master does not yet) and one that was
//! *unreachable* are added with everything they bring: tasks and executors of frameworks that this
//! master has never heard of make these frameworks known. Frameworks that were removed meanwhile are
//! shut down on the agent.
//!
//! An agent repeats its message until it is answered, and what it runs changes meanwhile. A message can be old: one that
//! a broken network kept since an earlier leadership arrives before those of today. So the last one counts that has
//! come when the registry agrees (found by simulation; upstream takes the first).

use std::collections::BTreeSet;

use libprocess::{Context, Pid};
use mesos::internal::{
    KillTaskMessage, ReregisterSlaveMessage, ShutdownFrameworkMessage, SlaveReregisteredMessage,
    UpdateFrameworkMessage, archive,
};
use mesos::resources;
use mesos::sabotage::{Bug, is_on};
use mesos::v1::task_status::Reason;
use mesos::{AgentId, ExecutorId, FrameworkId, Resources, v1};

use super::register::watch;
use super::{activation, check_domain, maintenance, reconcile, shut_down};
use crate::authorization::registration;
use crate::cluster::{Agent, AgentResources, Executor, Framework, Introduction, Task, status};
use crate::frameworks;
use crate::master::Master;
use crate::operator::news;
use crate::registrar::Operation;
use crate::updates;
use crate::validation::{self, Invalid, resource};

/// A re-registration, and who sent it.
#[derive(Debug)]
pub(crate) struct Report {
    from: Pid,
    message: ReregisterSlaveMessage,
}

/// What is heard of an agent while the registry is written for its return.
#[derive(Debug, Default)]
pub(crate) struct Meanwhile {
    newest: Option<Report>,
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
pub(crate) fn reregister(
    master: &mut Master,
    mut message: ReregisterSlaveMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_reregister_slave.increment();
    let Some(id) = message.slave.id.as_ref().map(AgentId::from) else { return };
    if let Some(meanwhile) = master.agents.reregistering.get_mut(&id) {
        *meanwhile =
            Meanwhile { newest: Some(Report { from: from.clone(), message }), ..Meanwhile::default() };
        return;
    }
    if master.agents.marking_unreachable.contains(&id) || master.agents.marking_gone.contains(&id) {
        tracing::info!(agent_id = %id, "ignoring a re-registration: another transition is in progress");
        return;
    }
    if master.cluster.gone_agents().contains_key(&id) && !is_on(Bug::ReadmitsGone) {
        tracing::warn!(agent_id = %id, "refusing a re-registration: the agent is marked gone");
        shut_down(from, "Agent has been marked gone", ctx);
        return;
    }
    upgrade(&mut message);
    if let Err(error) = validate(master, &message) {
        tracing::warn!(agent_id = %id, agent = %from, %error, "ignoring an agent's re-registration");
        return;
    }
    if let Err(error) = master.authorize(None, registration(&message.slave)) {
        tracing::warn!(agent_id = %id, agent = %from, %error, "ignoring an agent's re-registration");
        return;
    }
    if let Some(known) = master.cluster.agent(&id)
        && (known.pid.address().ip() != from.address().ip() || known.info.hostname != message.slave.hostname)
    {
        tracing::warn!(agent_id = %id, agent = %from, "refusing a re-registration from another machine");
        shut_down(from, "Agent attempted to reregister with different IP / hostname", ctx);
        return;
    }
    if maintenance::refuse_if_down(master, &message.slave, from, ctx) {
        return;
    }
    // Before the registry is written: an agent that is in it and not in the books would be awaited by every later leader.
    let has = match validation::agent::resources(&message.slave, &message.checkpointed_resources) {
        Ok(has) => has,
        Err(error) => {
            tracing::warn!(agent_id = %id, agent = %from, %error, "refusing a re-registration");
            shut_down(from, &error.0, ctx);
            return;
        }
    };
    tracing::info!(agent_id = %id, agent = %from, hostname = message.slave.hostname, "an agent re-registers");
    let mut report = Report { from: from.clone(), message };
    let was_known = master.cluster.agent(&id).is_some();
    match registry_change(master, &id, &report.message.slave) {
        None => proceed(master, id, report, has, ctx),
        Some(operation) => {
            master.agents.reregistering.insert(id.clone(), Meanwhile::default());
            master.apply(operation, ctx, move |master, possible, ctx| {
                let Meanwhile { newest, exited } = master.agents.reregistering.remove(&id).unwrap_or_default();
                if !possible {
                    tracing::warn!(agent_id = %id, "the registry does not know the agent; it will try again");
                } else if master.agents.marking_gone.contains(&id) {
                    tracing::info!(agent_id = %id, "the agent is marked gone while it re-registers");
                } else if was_known && master.cluster.agent(&id).is_none() {
                    tracing::warn!(agent_id = %id, "the agent was removed while it re-registered; it will try again");
                } else if let Some(Report { from, mut message }) = newest
                    && !is_repeated(&mut message, &report.message)
                {
                    tracing::info!(agent_id = %id, "what the agent runs has changed while it re-registered");
                    leave_out(master, &mut message, &id, &exited);
                    reregister(master, message, &from, ctx);
                } else {
                    leave_out(master, &mut report.message, &id, &exited);
                    proceed(master, id, report, has, ctx);
                }
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

/// Whether the agent has only said the same once more.
fn is_repeated(newer: &mut ReregisterSlaveMessage, older: &ReregisterSlaveMessage) -> bool {
    upgrade(newer);
    newer == older
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

/// All resources in the form that the master works with.
fn upgrade(message: &mut ReregisterSlaveMessage) {
    resources::upgrade_all(&mut message.slave.resources);
    resources::upgrade_all(&mut message.checkpointed_resources);
    for executor in &mut message.executor_infos {
        resources::upgrade_all(&mut executor.resources);
    }
    let archived = message.completed_frameworks.iter_mut().flat_map(|framework| &mut framework.tasks);
    for task in message.tasks.iter_mut().chain(archived) {
        resources::upgrade_all(&mut task.resources);
    }
}

fn validate(master: &Master, message: &ReregisterSlaveMessage) -> Result<(), Invalid> {
    validation::agent::validate_reregistration(message)?;
    validation::agent::validate_version(message.version())?;
    check_domain(master, &message.slave)?;
    Ok(())
}

/// The registry agrees.
fn proceed(
    master: &mut Master,
    id: AgentId,
    report: Report,
    resources: AgentResources,
    ctx: &mut Context<Master>,
) {
    let Report { from: pid, message } = report;
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
        reconcile::known(master, introduction, &message.executor_infos, &message.tasks, ctx);
    } else {
        let brought = Brought {
            executors: message.executor_infos,
            tasks: message.tasks,
            completed: message.completed_frameworks,
        };
        add(master, introduction, brought, &message.frameworks, ctx);
    }
    update_frameworks(master, &pid, message.frameworks, ctx);
    maintenance::leave_if_down(master, &id, ctx);
}

/// What an agent brings.
struct Brought {
    executors: Vec<v1::ExecutorInfo>,
    tasks: Vec<v1::Task>,
    completed: Vec<archive::Framework>,
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
    let agent = Agent::new(introduction, ctx.now());
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
    master.cluster.add_agent(agent);
    master.cluster.set_agent_reregistered(&id, ctx.now());
    master.metrics.slave_reregistrations.increment();
    watch(master, &id, &pid, ctx);
    for executor in brought.executors {
        add_executor(master, &id, executor);
    }
    add_tasks(master, &id, &pid, brought.tasks, ctx);
    if !awaited {
        forget_unreachable_tasks(master, &id);
    }
    add_completed(master, &id, brought.completed);
    if let Some(agent) = master.cluster.agent(&id) {
        tracing::info!(agent_id = %id, agent = %pid, resources = %agent.total, "re-registered an agent");
        let unavailability = master.cluster.maintenance().unavailability(&agent.machine());
        master.allocation.add_agent(agent, unavailability);
    }
    news::agent_added(master, &id);
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

/// Enters an executor of a framework that is known into the books. What it uses, and for whom.
pub(super) fn add_executor(
    master: &mut Master,
    agent: &AgentId,
    mut info: v1::ExecutorInfo,
) -> Option<(FrameworkId, Resources)> {
    let framework = FrameworkId::from(info.framework_id.as_ref()?);
    allocate_to_only_role(master, &framework, &mut info.resources);
    master.cluster.framework(&framework)?;
    let resources = Resources::try_from_protos(&info.resources).ok()?;
    master.cluster.add_executor(&framework, agent, Executor { info, resources: resources.clone() });
    Some((framework, resources))
}

/// Tasks of removed frameworks are not added: these are shut down on the agent. Nor is one whose id the framework has
/// given to a task on another agent since (a new leader may have forgotten this agent, and said so to the framework):
/// the books have one task of an id, and the agent is told to end its own. (Upstream aborts there.)
fn add_tasks(
    master: &mut Master,
    agent: &AgentId,
    pid: &Pid,
    tasks: Vec<v1::Task>,
    ctx: &mut Context<Master>,
) {
    for mut proto in tasks {
        let framework = FrameworkId::from(&proto.framework_id);
        if master.cluster.framework(&framework).is_none() {
            continue;
        }
        if let Some(other) = master.cluster.task(&framework, &proto.task_id.value) {
            tracing::warn!(
                framework_id = %framework, task_id = %proto.task_id.value, agent_id = %agent, runs_on = %other.agent,
                "killing a task whose id is another task's by now"
            );
            let kill = KillTaskMessage {
                framework_id: proto.framework_id,
                task_id: proto.task_id,
                kill_policy: None,
            };
            ctx.post(pid, kill);
            continue;
        }
        // What was lost with the agent is back.
        master.cluster.forget_past_of(&framework, agent, &[&proto.task_id.value]);
        allocate_to_only_role(master, &framework, &mut proto.resources);
        if let Ok(task) = Task::reported(proto) {
            master.metrics.framework(&framework).task_added(task.state());
            let id = task.id.clone();
            master.cluster.add_task(task);
            if !is_on(Bug::HidesReturned) {
                news::task_added(master, &framework, id.as_str());
            }
        }
    }
}

/// None of the agent's tasks is unreachable any more.
pub(super) fn forget_unreachable_tasks(master: &mut Master, agent: &AgentId) {
    for framework in master.cluster.frameworks_with_unreachable_tasks(agent) {
        master.cluster.forget_past_of(&framework, agent, &[]);
    }
}

/// An agent without MULTI_ROLE does not keep allocation info. Its frameworks have one role.
fn allocate_to_only_role(master: &Master, framework: &FrameworkId, resources: &mut [v1::Resource]) {
    let roles = master.cluster.framework(framework).map(|state| state.roles.clone());
    if let Some(role) = roles.as_ref().filter(|roles| roles.len() == 1).and_then(|roles| roles.first()) {
        resource::inject_role(resources, role);
    }
}

/// An agent calls a framework completed when nothing of it runs there any more. What this master knows already, it does not
/// list twice.
fn add_completed(master: &mut Master, agent: &AgentId, completed: Vec<archive::Framework>) {
    for archived in completed {
        let Some(framework) = archived.framework_info.id.as_ref().map(FrameworkId::from) else { continue };
        let tasks = archived.tasks.into_iter().filter_map(|task| Task::reported(task).ok()).collect();
        master.cluster.add_completed_tasks_of(agent, &framework, tasks);
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

/// The agent hears what its frameworks are now, and which of them are no more.
fn update_frameworks(
    master: &mut Master,
    pid: &Pid,
    frameworks: Vec<v1::FrameworkInfo>,
    ctx: &mut Context<Master>,
) {
    for info in frameworks {
        let Some(id) = info.id.as_ref().map(FrameworkId::from) else { continue };
        if let Some(framework) = master.cluster.framework(&id) {
            ctx.post(pid, update_message(framework));
        } else if master.cluster.is_completed(&id) {
            tracing::info!(framework_id = %id, agent = %pid, "shutting a removed framework down on the agent");
            ctx.post(pid, ShutdownFrameworkMessage { framework_id: id.to_proto() });
        } else {
            // Only a known agent brings a framework here that this master does not know.
            frameworks::recover::recover(master, info);
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
