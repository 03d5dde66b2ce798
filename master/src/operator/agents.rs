//! Agents: marked gone, drained, deactivated, reactivated by an operator (upstream: `Http::_markAgentGone`,
//! `drainAgent`, `deactivateAgent`, `reactivateAgent` in `master/http.cpp`).
//!
//! An agent may be registered, awaited after a failover, or unreachable: what is decided of it is kept in the registry
//! and holds when it comes back, for this master and for later ones. The answer comes when it is stored.

use ::http::StatusCode;
use libprocess::http::{Reply, Response};
use libprocess::{Context, promise};
use mesos::google::protobuf::Duration;
use mesos::v1::master::call::DrainAgent;
use mesos::{AgentId, v1};

use super::{later, store_unless_removed};
use crate::agents::{activation, gone};
use crate::authorization::Action;
use crate::master::Master;
use crate::registrar::Operation;

/// MARK_AGENT_GONE. Where another transition is under way, the answer is 503: try again.
pub(super) fn mark_gone(
    master: &mut Master,
    agent: v1::AgentId,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    let id = AgentId::from(agent);
    master.authorize(principal, [Action::MarkAgentGone(&id)])?;
    if master.cluster.gone_agents().contains_key(&id) {
        return Ok(Response::new(StatusCode::OK).into());
    }
    let transitions = [
        (&master.agents.marking_gone, format!("Agent '{id}' is already being transitioned to gone")),
        (&master.agents.removing, format!("Agent '{id}' is being transitioned to removed")),
        (&master.agents.marking_unreachable, format!("Agent '{id}' is being transitioned to unreachable")),
    ];
    if let Some((_, text)) = transitions.into_iter().find(|(agents, _)| agents.contains(&id)) {
        return Err(Response::service_unavailable(text));
    }
    if !is_known(master, &id) {
        return Err(not_found(&id));
    }
    let (reply, answer) = promise();
    gone::mark(master, &id.clone(), ctx, move |possible| {
        reply.set(if possible { Response::new(StatusCode::OK) } else { not_found(&id) });
    });
    Ok(later(answer))
}

fn not_found(id: &AgentId) -> Response {
    Response::text(StatusCode::NOT_FOUND, format!("Agent '{id}' not found"))
}

/// DRAIN_AGENT.
pub(super) fn drain(
    master: &mut Master,
    call: DrainAgent,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    let id = AgentId::from(&call.agent_id);
    let max_grace_period = call.max_grace_period.map(grace_period).transpose()?;
    let gone = call.mark_gone().then_some(Action::MarkAgentGone(&id));
    master.authorize(principal, [Action::DrainAgent(&id)].into_iter().chain(gone))?;
    if let Some(agent) = master.cluster.agent(&id) {
        // As far as it is known: an agent that is not registered may be on such a machine, or of an old version.
        if let Some(machine) = agent.planned(master.cluster.maintenance()) {
            return Err(Response::bad_request(format!(
                "Agent {id} is part of a maintenance schedule under Machine {}",
                machine_text(&machine.id)
            )));
        }
        if !agent.capabilities.agent_draining {
            return Err(Response::bad_request(format!("Agent {id} is not capable of draining")));
        }
    }
    if !is_known(master, &id) {
        return Err(Response::bad_request("Unknown agent"));
    }
    if master.agents.marking_gone.contains(&id) {
        return Err(Response::text(StatusCode::CONFLICT, "Agent is currently being marked gone"));
    }
    let config = v1::DrainConfig { max_grace_period, mark_gone: Some(call.mark_gone()) };
    let operation = Operation::DrainAgent { id: id.clone(), config };
    Ok(store_unless_removed(master, operation, "Agent", ctx, move |master, ctx| {
        activation::drain(master, &id, config, ctx);
    }))
}

/// The operators' duration in the agents' form (upstream: `devolve(v1::master::Call)`). Upstream takes a negative one.
fn grace_period(duration: Duration) -> Result<v1::DurationInfo, Response> {
    let seconds = duration.seconds().checked_mul(1_000_000_000);
    let nanoseconds = seconds.and_then(|seconds| seconds.checked_add(i64::from(duration.nanos())));
    match nanoseconds {
        Some(nanoseconds @ 0..) => Ok(v1::DurationInfo { nanoseconds }),
        _ => Err(Response::bad_request(format!(
            "Invalid 'max_grace_period': {} seconds and {} nanoseconds; expecting 0 or more, and less than 292 years",
            duration.seconds(),
            duration.nanos()
        ))),
    }
}

/// A machine as upstream's texts show it.
fn machine_text(id: &v1::MachineId) -> String {
    match (&id.hostname, &id.ip) {
        (Some(hostname), Some(ip)) => format!("{hostname} ({ip})"),
        (Some(hostname), None) => hostname.clone(),
        (None, _) => format!("({})", id.ip()),
    }
}

/// DEACTIVATE_AGENT.
pub(super) fn deactivate(
    master: &mut Master,
    agent: v1::AgentId,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    let id = AgentId::from(agent);
    master.authorize(principal, [Action::DeactivateAgent(&id)])?;
    if !is_known(master, &id) {
        return Err(Response::bad_request("Unknown agent"));
    }
    let operation = Operation::DeactivateAgent { id: id.clone() };
    Ok(store_unless_removed(master, operation, "Agent", ctx, move |master, ctx| {
        activation::deactivate(master, &id, ctx);
    }))
}

/// REACTIVATE_AGENT. Not while its tasks are still being ended.
pub(super) fn reactivate(
    master: &mut Master,
    agent: v1::AgentId,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    let id = AgentId::from(agent);
    master.authorize(principal, [Action::ReactivateAgent(&id)])?;
    let activation = master.cluster.activation(&id);
    if !activation.deactivated {
        return Err(Response::bad_request("Agent is not deactivated"));
    }
    if activation.drain.is_some_and(|drain| drain.state() == v1::DrainState::Draining) {
        return Err(Response::bad_request("Agent is still in the DRAINING state"));
    }
    let operation = Operation::ReactivateAgent { id: id.clone() };
    Ok(store_unless_removed(master, operation, "Agent", ctx, move |master, _| {
        // It may be away, and is active when it is back. (Upstream answers 409 then, as if it had not been done.)
        activation::reactivate(master, &id);
    }))
}

/// Whether an agent is registered, awaited, or unreachable.
fn is_known(master: &Master, id: &AgentId) -> bool {
    master.cluster.recovered_agents().contains_key(id)
        || master.cluster.agent(id).is_some()
        || master.cluster.unreachable_agents().contains_key(id)
}
