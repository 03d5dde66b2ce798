//! Reservations and volumes by operators: RESERVE_RESOURCES, UNRESERVE_RESOURCES, CREATE_VOLUMES, DESTROY_VOLUMES,
//! GROW_VOLUME, SHRINK_VOLUME, and `/reserve`, `/unreserve`, `/create-volumes`, `/destroy-volumes` (upstream:
//! `Http::_reserve` ... `_operation` in `master/http.cpp`).
//!
//! What an operator wants to convert may be offered. Offers that have some of it are taken back, one after the other,
//! until it is enough; what is free in the allocator after that is converted there first, since only the allocator knows
//! what is free. Then the operation is applied as a framework's, and answered with 202: the agent will do it.

use ::http::{Method, StatusCode};
use libprocess::http::{Query, Reply, Request, Response};
use libprocess::{Context, promise};
use mesos::resources::{conversions, validate_and_upgrade_operation};
use mesos::v1::master::{Call, call::Type};
use mesos::v1::offer::{Operation, operation};
use mesos::{AgentId, OfferId, Resource, Resources, json, v1};

use super::{body, later};
use crate::cluster::Agent;
use crate::master::Master;
use crate::validation::operation::{Requester, validate};
use crate::{authorization, offers, operations};

/// What the older endpoints are for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Endpoint {
    Reserve,
    Unreserve,
    Create,
    Destroy,
}

/// The operation that a call asks for, and of which agent; `None` for other calls.
pub(super) fn operation_of(kind: Type, call: &mut Call) -> Option<(v1::AgentId, Operation)> {
    let (agent, operation) = match kind {
        Type::ReserveResources => {
            let call = call.reserve_resources.take()?;
            (call.agent_id, reserve(call.source, call.resources))
        }
        Type::UnreserveResources => {
            let call = call.unreserve_resources.take()?;
            (call.agent_id, unreserve(call.resources))
        }
        Type::CreateVolumes => {
            let call = call.create_volumes.take()?;
            (call.agent_id, create(call.volumes))
        }
        Type::DestroyVolumes => {
            let call = call.destroy_volumes.take()?;
            (call.agent_id, destroy(call.volumes))
        }
        Type::GrowVolume => {
            let call = call.grow_volume.take()?;
            let grow = operation::GrowVolume { volume: call.volume, addition: call.addition };
            let operation = Operation { grow_volume: Some(grow), ..of_type(operation::Type::GrowVolume) };
            (call.agent_id?, operation)
        }
        Type::ShrinkVolume => {
            let call = call.shrink_volume.take()?;
            let shrink = operation::ShrinkVolume { volume: call.volume, subtract: call.subtract };
            let operation =
                Operation { shrink_volume: Some(shrink), ..of_type(operation::Type::ShrinkVolume) };
            (call.agent_id?, operation)
        }
        _ => return None,
    };
    Some((agent, operation))
}

fn of_type(kind: operation::Type) -> Operation {
    Operation { r#type: Some(kind.into()), ..Operation::default() }
}

fn reserve(source: Vec<v1::Resource>, resources: Vec<v1::Resource>) -> Operation {
    let reserve = operation::Reserve { source, resources };
    Operation { reserve: Some(reserve), ..of_type(operation::Type::Reserve) }
}

fn unreserve(resources: Vec<v1::Resource>) -> Operation {
    let unreserve = operation::Unreserve { resources };
    Operation { unreserve: Some(unreserve), ..of_type(operation::Type::Unreserve) }
}

fn create(volumes: Vec<v1::Resource>) -> Operation {
    Operation { create: Some(operation::Create { volumes }), ..of_type(operation::Type::Create) }
}

fn destroy(volumes: Vec<v1::Resource>) -> Operation {
    Operation { destroy: Some(operation::Destroy { volumes }), ..of_type(operation::Type::Destroy) }
}

/// `POST` with a form: `slaveId`, and `resources` (with `source`) or `volumes` as JSON.
pub(super) fn endpoint(
    master: &mut Master,
    request: &Request,
    asked: Result<(v1::AgentId, Operation), Response>,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    if request.method != Method::POST {
        return Err(Response::method_not_allowed_for(&[Method::POST], &request.method));
    }
    let (agent, operation) = asked?;
    apply(master, &agent, operation, principal, ctx)
}

/// What the form of a request asks for, and of which agent. The Master is not asked.
pub(super) fn read(request: &Request, endpoint: Endpoint) -> Result<(v1::AgentId, Operation), Response> {
    let form = body::form(&request.body)?;
    let Some(agent) = form.get("slaveId") else { return Err(missing("slaveId")) };
    let agent = v1::AgentId { value: agent.to_owned() };
    let operation = match endpoint {
        Endpoint::Reserve => {
            let source = if form.contains("source") { list(&form, "source", "")? } else { Vec::new() };
            reserve(source, list(&form, "resources", "")?)
        }
        Endpoint::Unreserve => unreserve(list(&form, "resources", "in ")?),
        Endpoint::Create => create(list(&form, "volumes", "in ")?),
        Endpoint::Destroy => destroy(list(&form, "volumes", "in ")?),
    };
    Ok((agent, operation))
}

fn missing(name: &str) -> Response {
    Response::bad_request(format!("Missing '{name}' query parameter in the request body"))
}

/// Resources in a form. Upstream's texts differ in a word (`preposition`).
fn list(form: &Query, name: &str, preposition: &str) -> Result<Vec<v1::Resource>, Response> {
    let text = form.get(name).ok_or_else(|| missing(name))?;
    let bad = |error: &dyn std::fmt::Display| {
        Response::bad_request(format!(
            "Error {preposition}parsing '{name}' query parameter in the request body: {error}"
        ))
    };
    let value = json::parse(text.as_bytes()).map_err(|error| bad(&error))?;
    let Some(items) = value.as_array() else { return Err(bad(&"Unexpected JSON type parsed")) };
    items.iter().map(json::from_value).collect::<Result<_, _>>().map_err(|error: json::Error| bad(&error))
}

/// Applies an operation to what nobody uses.
pub(super) fn apply(
    master: &mut Master,
    agent: &v1::AgentId,
    mut operation: Operation,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    let id = AgentId::from(agent);
    let Some(state) = master.cluster.agent(&id) else {
        return Err(Response::bad_request("No agent found with specified ID"));
    };
    validate_and_upgrade_operation(&mut operation)
        .map_err(|error| Response::bad_request(error.to_string()))?;
    check(&operation, principal, state)?;
    master.authorize(principal, authorization::actions(&operation))?;
    if !state.connected {
        // Upstream answers 202, and the operation is lost.
        return Err(conflict(format!("Agent {id} is disconnected")));
    }
    make_room(master, &id, &operation, ctx)?;
    let (reply, answer) = promise::<Response>();
    let available = master.allocation.update_available(&id, operation.clone());
    let principal = principal.map(str::to_owned);
    ctx.defer(available, move |master, available, ctx| {
        reply.set(match available {
            Ok(Ok(())) => applied(master, &id, operation, principal.as_deref(), ctx),
            Ok(Err(error)) => conflict(error.to_string()),
            Err(_) => Response::service_unavailable("The allocator has ended"),
        });
    });
    Ok(later(answer))
}

/// Whether the operation may be applied to the agent as it is now.
fn check(operation: &Operation, principal: Option<&str>, agent: &Agent) -> Result<(), Response> {
    validate(operation, Requester::Operator { principal }, agent).map_err(|error| {
        let kind = operation.r#type();
        // Upstream's texts of what is undone do not name the agent.
        let place = match kind {
            operation::Type::Unreserve | operation::Type::Destroy => String::new(),
            _ => format!(" on agent {}", agent.label()),
        };
        Response::bad_request(format!("Invalid {} operation{place}: {error}", kind.as_str_name()))
    })
}

fn conflict(text: String) -> Response {
    Response::text(StatusCode::CONFLICT, text)
}

/// The allocator has converted what is free.
fn applied(
    master: &mut Master,
    agent: &AgentId,
    operation: Operation,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Response {
    let Some(state) = master.cluster.agent(agent) else {
        return conflict(format!("Agent {agent} was removed while processing the call"));
    };
    // Others may have been applied while the allocator was asked. A volume that was created twice could never be
    // destroyed, and no other one be created on its agent. (Upstream applies both.)
    let done = check(&operation, principal, state).and_then(|()| {
        operations::apply::apply(master, agent, None, operation, ctx)
            .map_err(|error| conflict(error.to_string()))
    });
    // The agent may have come back while the allocator was asked: with something else, or with what it had before the
    // operation, which the allocator heard behind the question. It is to believe the master again, and what it has offered
    // meanwhile is taken back (found by simulation).
    if let Some(state) = master.cluster.agent(agent) {
        master.allocation.update_agent(state);
        if !offers::can_offer(state, &state.offered) {
            offers::rescind_of_agent(master, agent, ctx);
        }
    }
    done.err().unwrap_or_else(Response::accepted)
}

/// Takes offers back that have something of what the operation needs, until it is enough. What is free in the allocator
/// is not counted: it may be on its way into an offer.
fn make_room(
    master: &mut Master,
    agent: &AgentId,
    operation: &Operation,
    ctx: &mut Context<Master>,
) -> Result<(), Response> {
    let steps = conversions(operation).map_err(|error| {
        Response::bad_request(format!("Invalid {} operation: {error}", operation.r#type().as_str_name()))
    })?;
    let mut required: Resources = steps.iter().map(|step| &step.consumed).sum();
    let Some(state) = master.cluster.agent(agent) else { return Ok(()) };
    let outstanding: Vec<OfferId> = state.offers.keys().cloned().collect();
    let mut recovered = Resources::default();
    // A shared volume may be in many offers. None of them may be accepted any more.
    let destroyed = operation.destroy.iter().flat_map(|destroy| &destroy.volumes);
    let destroyed: Resources = destroyed.filter_map(|volume| Resource::try_from(volume).ok()).collect();
    for id in outstanding {
        let Some(offer) = master.cluster.offer(id.as_str()) else { continue };
        let offered = offer.resources.unallocated();
        let rest = &required - &offered;
        if rest == required && !destroyed.iter().any(|volume| offered.count(volume) > 0) {
            continue;
        }
        required = rest;
        recovered += offered;
        // With the default filter of 5 seconds, so that it does not go back to the same framework at once.
        offers::rescind_with(master, &id, Some(v1::Filters::default()), ctx);
        if destroyed.is_empty() && recovered.apply_conversions(&steps).is_ok() {
            break;
        }
    }
    Ok(())
}
