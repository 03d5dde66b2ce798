//! The calls of the scheduler API, one file each, all with the same parts in the same order: what the
//! call means, `validate` (where there is more to check than its form), `apply` to the state, `tell`
//! those who must know. A part that a call does not have is left out. What is validated is authorized before it is
//! applied ([`crate::authorization`]).
//!
//! [`http`] takes a call from a request and finds its framework; [`dispatch`] brings it to its file.

pub(crate) mod accept;
pub(crate) mod acknowledge;
pub(crate) mod acknowledge_operation_status;
pub(crate) mod convert;
pub(crate) mod decline;
pub(crate) mod http;
pub(crate) mod inverse_offers;
pub(crate) mod kill;
pub(crate) mod launch;
pub(crate) mod launch_group;
pub(crate) mod message;
pub(crate) mod reconcile;
pub(crate) mod reconcile_operations;
pub(crate) mod request;
pub(crate) mod revive;
pub(crate) mod shutdown;
pub(crate) mod subscribe;
pub(crate) mod suppress;
pub(crate) mod teardown;
pub(crate) mod update_framework;

use std::collections::BTreeSet;

use ::http::StatusCode;
use libprocess::Context;
use libprocess::http::Response;
use mesos::FrameworkId;
use mesos::roles;
use mesos::v1::scheduler::{Call, call::Type};

use crate::master::Master;

/// Remembers which roles a framework has suppressed, and shows it.
fn set_suppressed(master: &mut Master, framework: &FrameworkId, suppressed: BTreeSet<String>) {
    master.cluster.set_suppressed_roles(framework, suppressed);
    show_roles(master, framework);
}

/// Shows a framework's roles among its metrics.
pub(crate) fn show_roles(master: &mut Master, framework: &FrameworkId) {
    if let Some(state) = master.cluster.framework(framework) {
        let (roles, suppressed) = (state.roles.clone(), state.suppressed_roles.clone());
        master.metrics.framework(framework).set_roles(&roles, &suppressed);
    }
}

/// Handles a call of a connected framework, SUBSCRIBE excepted. Its form was validated: the part that
/// its type names is there.
pub(crate) fn dispatch(
    master: &mut Master,
    framework: &FrameworkId,
    call: Call,
    ctx: &mut Context<Master>,
) -> Response {
    match call.r#type() {
        Type::Teardown => teardown::teardown(master, framework, ctx),
        Type::Accept => accept::accept(master, framework, call.accept.unwrap_or_default(), ctx),
        Type::Decline => decline::decline(master, framework, call.decline.unwrap_or_default(), ctx),
        Type::AcceptInverseOffers => {
            inverse_offers::accept(master, framework, call.accept_inverse_offers.unwrap_or_default(), ctx);
        }
        Type::DeclineInverseOffers => {
            let call = call.decline_inverse_offers.unwrap_or_default();
            inverse_offers::decline(master, framework, call, ctx);
        }
        Type::Revive => revive::revive(master, framework, call.revive.unwrap_or_default()),
        Type::Suppress => suppress::suppress(master, framework, call.suppress.unwrap_or_default()),
        Type::Kill => kill::kill(master, framework, call.kill.unwrap_or_default(), ctx),
        Type::Shutdown => shutdown::shutdown(master, framework, call.shutdown.unwrap_or_default(), ctx),
        Type::Acknowledge => {
            acknowledge::acknowledge(master, framework, call.acknowledge.unwrap_or_default(), ctx);
        }
        Type::AcknowledgeOperationStatus => {
            let call = call.acknowledge_operation_status.unwrap_or_default();
            acknowledge_operation_status::acknowledge(master, framework, call, ctx);
        }
        // Of a driver: one of the HTTP API does not come here.
        Type::Reconcile => reconcile::of_driver(master, framework, call.reconcile.unwrap_or_default(), ctx),
        Type::ReconcileOperations => {
            let call = call.reconcile_operations.unwrap_or_default();
            reconcile_operations::reconcile(master, framework, call, ctx);
        }
        Type::Message => message::message(master, framework, call.message.unwrap_or_default(), ctx),
        Type::Request => request::request(master, framework, call.request.unwrap_or_default()),
        Type::UpdateFramework => {
            let call = call.update_framework.unwrap_or_default();
            return update_framework::update(master, framework, call, ctx);
        }
        // SUBSCRIBE does not come here; UNKNOWN is a type that is newer than this master.
        Type::Subscribe | Type::Unknown => return Response::new(StatusCode::NOT_IMPLEMENTED),
    }
    Response::accepted()
}

/// Roles that a call names must be roles of its framework: all of them, or the call is dropped.
fn validate_roles(
    master: &Master,
    framework: &FrameworkId,
    named: Vec<String>,
) -> Result<BTreeSet<String>, String> {
    let subscribed = master.cluster.framework(framework).map(|state| state.roles.clone()).unwrap_or_default();
    for role in &named {
        roles::validate(role).map_err(|error| format!("role '{role}' is invalid: {error}"))?;
        if !subscribed.contains(role) {
            return Err(format!("role '{role}' is not one of the framework's subscribed roles"));
        }
    }
    Ok(named.into_iter().collect())
}
