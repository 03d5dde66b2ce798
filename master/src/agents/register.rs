//! `RegisterSlaveMessage`: a new agent (upstream: `registerSlave`, `_registerSlave`,
//! `__registerSlave`).

use libprocess::{Context, Pid};
use mesos::internal::{RegisterSlaveMessage, SlaveRegisteredMessage};
use mesos::resources;
use mesos::{AgentId, Resources, v1};

use super::{check_domain, maintenance, remove};
use crate::cluster::{Agent, Introduction};
use crate::master::Master;
use crate::operator::news;
use crate::registrar::Operation;
use crate::validation::{self, Invalid};

/// Admits an agent and gives it its id. An agent repeats its message until it is answered: a repetition
/// is ignored while the first is under way, and answered again afterwards.
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
    if maintenance::refuse_if_down(master, &message.slave, from, ctx) {
        return;
    }
    if master.agents.registering.contains(from) {
        tracing::info!(agent = %from, "ignoring a registration: it is already in progress");
        return;
    }
    if let Some(known) = master.cluster.agent_at(from) {
        let id = known.id.clone();
        if known.connected {
            tracing::info!(agent_id = %id, "the agent is already registered; answering again");
            answer(master, &id, from, ctx);
            return;
        }
        remove::remove(master, &id, remove::Cause::Replaced, ctx);
    }
    let id = master.ids.agent();
    tracing::info!(agent = %from, hostname = message.slave.hostname, agent_id = %id, "registering an agent");
    message.slave.id = Some(id.to_proto());
    master.agents.registering.insert(from.clone());
    let operation = Operation::AdmitAgent { info: Box::new(message.slave.clone()) };
    let pid = from.clone();
    master.apply(operation, ctx, move |master, admitted, ctx| {
        master.agents.registering.remove(&pid);
        if !admitted {
            tracing::warn!(agent_id = %id, "the agent's id is in the registry already; it will try again");
            return;
        }
        match introduction(id, pid, message) {
            Ok(introduction) => admit(master, introduction, ctx),
            Err(error) => tracing::warn!(%error, "an agent's resources do not fit together"),
        }
    });
}

fn validate(master: &Master, message: &RegisterSlaveMessage) -> Result<(), Invalid> {
    validation::agent::validate_registration(message)?;
    validation::agent::validate_version(message.version())?;
    check_domain(master, &message.slave)?;
    Ok(())
}

fn introduction(id: AgentId, pid: Pid, message: RegisterSlaveMessage) -> Result<Introduction, Invalid> {
    introduce(
        id,
        pid,
        message.slave,
        message.version.unwrap_or_default(),
        message.agent_capabilities,
        message.resource_version_uuid,
        &message.checkpointed_resources,
    )
}

/// What an agent says of itself, in the master's terms.
pub(super) fn introduce(
    id: AgentId,
    pid: Pid,
    info: v1::AgentInfo,
    version: String,
    capabilities: Vec<v1::agent_info::Capability>,
    resource_version: Option<v1::Uuid>,
    checkpointed: &[v1::Resource],
) -> Result<Introduction, Invalid> {
    let checkpointed = Resources::try_from_protos(checkpointed)?;
    let total = Resources::try_from_protos(&info.resources)?.apply_checkpointed(&checkpointed)?;
    Ok(Introduction { id, info, pid, version, capabilities, resource_version, checkpointed, total })
}

fn admit(master: &mut Master, introduction: Introduction, ctx: &mut Context<Master>) {
    let agent = Agent::new(introduction, ctx.now());
    let (id, pid) = (agent.id.clone(), agent.pid.clone());
    tracing::info!(agent_id = %id, agent = %pid, resources = %agent.total, "registered an agent");
    master.metrics.slave_registrations.increment();
    master.cluster.add_agent(agent);
    watch(master, &id, &pid, ctx);
    if let Some(agent) = master.cluster.agent(&id) {
        let unavailability = master.cluster.maintenance().unavailability(&agent.machine());
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
