//! `RegisterSlaveMessage`: a new agent (upstream: `registerSlave`, `_registerSlave`,
//! `__registerSlave`).

use libprocess::{Context, Pid};
use mesos::internal::{RegisterSlaveMessage, SlaveRegisteredMessage};
use mesos::{AgentId, resources, v1};

use super::{check_domain, maintenance, remove};
use crate::authorization::registration;
use crate::cluster::{Agent, AgentResources, Introduction};
use crate::master::Master;
use crate::operator::news;
use crate::registrar::Operation;
use crate::validation::{self, Invalid};

/// Admits an agent and gives it its id. An agent repeats its message until it is answered: a repetition is ignored while the
/// first is under way, and answered again afterwards; its next ping asks for a report if it may have missed something.
pub(crate) fn register(
    master: &mut Master,
    mut message: RegisterSlaveMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_register_slave.increment();
    resources::upgrade_all(&mut message.slave.resources);
    resources::upgrade_all(&mut message.checkpointed_resources);
    if let Err(error) = validate(master, &message) {
        tracing::warn!(agent = %from, hostname = message.slave.hostname, %error, "ignoring an agent's registration");
        return;
    }
    if let Err(error) = master.authorize(None, registration(&message.slave)) {
        tracing::warn!(agent = %from, hostname = message.slave.hostname, %error, "ignoring an agent's registration");
        return;
    }
    if maintenance::refuse_if_down(master, &message.slave, from, ctx) {
        return;
    }
    if master.agents.registering.contains(from) {
        tracing::info!(agent = %from, "ignoring a registration: it is already in progress");
        return;
    }
    // Before the registry is written: an agent that is in it and not in the books would be awaited by every later leader.
    let resources = match validation::agent::resources(&message.slave, &message.checkpointed_resources) {
        Ok(resources) => resources,
        Err(error) => {
            tracing::warn!(agent = %from, %error, "ignoring a registration: its resources do not fit together");
            return;
        }
    };
    if let Some(known) = master.cluster.agent_at(from) {
        let id = known.id.clone();
        if known.connected {
            answer_again(master, &id, &message.slave, &resources, from, ctx);
            return;
        }
        remove::remove(master, &id, remove::Cause::Replaced, ctx);
    }
    let id = master.ids.agent();
    tracing::info!(agent = %from, hostname = message.slave.hostname, agent_id = %id, "registering an agent");
    message.slave.id = Some(id.to_proto());
    master.agents.registering.insert(from.clone());
    let introduction = Introduction {
        id,
        info: message.slave,
        pid: from.clone(),
        version: message.version.unwrap_or_default(),
        capabilities: message.agent_capabilities,
        resource_version: message.resource_version_uuid,
        resources,
    };
    let operation = Operation::AdmitAgent { info: Box::new(introduction.info.clone()) };
    master.apply(operation, ctx, move |master, admitted, ctx| {
        master.agents.registering.remove(&introduction.pid);
        if !admitted {
            let id = &introduction.id;
            tracing::warn!(agent_id = %id, "the agent's id is in the registry already; it will try again");
            return;
        }
        // The agent has re-registered meanwhile: this was a message that came late. The id is nobody's.
        if let Some(known) = master.cluster.agent_at(&introduction.pid).filter(|known| known.connected) {
            tracing::warn!(agent_id = %known.id, agent = %introduction.pid, "not admitting an agent that has another id");
            master.apply(Operation::RemoveAgent { id: introduction.id }, ctx, |_, _, _| ());
            return;
        }
        admit(master, introduction, ctx);
    });
}

/// Answers an agent that is registered already. It may have missed the answer, and ignored what was sent to it since, or be
/// another process. Then it is asked for a report by its next ping. (Found by simulation: tasks stayed in staging for ever.
/// Upstream believes in them.)
fn answer_again(
    master: &mut Master,
    id: &AgentId,
    says: &v1::AgentInfo,
    resources: &AgentResources,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    let Some(known) = master.cluster.agent(id) else { return };
    tracing::info!(agent_id = %id, "the agent is already registered; answering again");
    let is_new = known.tasks.is_empty() && known.executors.is_empty() && known.operations.is_empty();
    let says_the_same = v1::AgentInfo { id: None, ..(*known.info).clone() } == *says
        && resources.checkpointed == known.checkpointed;
    answer(master, id, from, ctx);
    if !is_new || !says_the_same {
        master.agents.set_connection(id, from, false);
    }
}

fn validate(master: &Master, message: &RegisterSlaveMessage) -> Result<(), Invalid> {
    validation::agent::validate_registration(message)?;
    validation::agent::validate_version(message.version())?;
    check_domain(master, &message.slave)?;
    Ok(())
}

fn admit(master: &mut Master, introduction: Introduction, ctx: &mut Context<Master>) {
    let agent = Agent::new(introduction, ctx.now());
    let (id, pid) = (agent.id.clone(), agent.pid.clone());
    tracing::info!(agent_id = %id, agent = %pid, resources = %agent.total, "registered an agent");
    master.metrics.slave_registrations.increment();
    master.cluster.add_agent(agent);
    watch(master, &id, &pid, ctx);
    if let Some(agent) = master.cluster.agent(&id) {
        let unavailability = maintenance::unavailability(agent, master.cluster.maintenance());
        master.allocation.add_agent(agent, unavailability);
    }
    news::agent_added(master, &id);
    answer(master, &id, &pid, ctx);
    maintenance::leave_if_down(master, &id, ctx);
}

/// Watches an agent that was just added: its connection, and its pings.
pub(super) fn watch(master: &mut Master, id: &AgentId, pid: &Pid, ctx: &mut Context<Master>) {
    ctx.link(pid);
    master.agents.observe(id, pid, ctx);
}

fn answer(master: &Master, id: &AgentId, pid: &Pid, ctx: &Context<Master>) {
    let registered =
        SlaveRegisteredMessage { slave_id: id.to_proto(), connection: Some(master.agents.connection()) };
    ctx.post(pid, registered);
}
