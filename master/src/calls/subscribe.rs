//! SUBSCRIBE: a scheduler wants to be a framework, or to be it again (upstream: `subscribe`,
//! `_subscribe`, `failoverFramework`, `connectAndActivateRecoveredFramework`).
//!
//! Without an id it becomes a new framework. With an id it takes the framework over, whoever has it:
//! the old scheduler is told so, the old offers are void. A framework that was removed cannot come back. A
//! refusal is an ERROR event on a stream that then ends, not an HTTP error.
//!
//! Drivers subscribe by the same steps ([`examine`], then [`register`], or [`prepare`] and [`resume`]), with
//! rules of their own in between (`driver::subscribe`).

use std::collections::BTreeMap;

use allocator::FrameworkOptions;
use allocator::core::OfferConstraintsFilter;
use libprocess::Context;
use libprocess::http::Body;
use mesos::sabotage::{Bug, is_on};
use mesos::tasks::framework_roles;
use mesos::v1::scheduler::call::{self, Subscribe};
use mesos::v1::{self, FrameworkInfo};
use mesos::{FrameworkId, MediaType};
use uuid::Uuid;

use crate::agents::reregister::update_message;
use crate::authorization::{Action, NotAuthorized};
use crate::cluster::{Connection, Framework};
use crate::frameworks::scheduler::{self, Scheduler};
use crate::frameworks::stream::Stream;
use crate::frameworks::{lifecycle, recover};
use crate::master::Master;
use crate::operator::news;
use crate::validation::{self, Checked, Invalid, refuse_if};
use crate::{inverse_offers, offers};

/// Subscribes; the body of the answer.
pub(super) fn subscribe(
    master: &mut Master,
    call: Subscribe,
    stream: Uuid,
    media: MediaType,
    ctx: &mut Context<Master>,
) -> Body {
    let (stream, body) = Stream::new(stream, media);
    let stream = Scheduler::Stream(stream);
    let id = id_of(&call.framework_info);
    let name = call.framework_info.name.clone();
    let said = examine(master, call).and_then(|said| match &id {
        Some(id) => prepare(master, id, said),
        None => Ok(said),
    });
    match (said, id) {
        (Ok(said), None) => register(master, said, stream, ctx),
        (Ok(said), Some(id)) => resume(master, &id, said, stream, ctx),
        (Err(error), _) => {
            tracing::info!(name, %error, "refusing a subscription");
            stream.refuse(error.0, ctx);
        }
    }
    body
}

/// The id under which a framework subscribes. One that is empty is none.
pub(crate) fn id_of(info: &FrameworkInfo) -> Option<FrameworkId> {
    info.id.as_ref().filter(|id| !id.value.is_empty()).map(FrameworkId::from)
}

/// What a framework says of itself, found to be valid.
pub(crate) struct Said {
    pub(crate) info: FrameworkInfo,
    /// As it sent them, for readers.
    pub(super) constraints: v1::scheduler::OfferConstraints,
    /// For the allocator, with the constraints compiled.
    pub(super) options: FrameworkOptions,
}

/// Counts a subscription, and validates what does not depend on what is known of the framework.
pub(crate) fn examine(master: &mut Master, call: Subscribe) -> Result<Said, Invalid> {
    match id_of(&call.framework_info) {
        None => master.metrics.messages_register_framework.increment(),
        Some(_) => master.metrics.messages_reregister_framework.increment(),
    }
    let options = validate(master, &call)?;
    Ok(Said { info: call.framework_info, constraints: call.offer_constraints.unwrap_or_default(), options })
}

fn validate(master: &Master, call: &Subscribe) -> Result<FrameworkOptions, Invalid> {
    validate_info(master, &call.framework_info)?;
    authorize(master, &call.framework_info).map_err(|error| Invalid(error.to_string()))?;
    options(master, &call.framework_info, &call.suppressed_roles, call.offer_constraints.as_ref())
}

/// Whether its principal may be a framework that describes itself so.
pub(super) fn authorize(master: &Master, info: &FrameworkInfo) -> Result<(), NotAuthorized> {
    master.authorize(info.principal.as_deref(), [Action::RegisterFramework(info)])
}

/// Whether this master admits a framework that describes itself so.
pub(super) fn validate_info(master: &Master, info: &FrameworkInfo) -> Checked {
    validation::framework::validate(info)?;
    let settings = &master.settings;
    let whitelist = settings.roles.as_ref().map(|roles| &roles.0);
    validation::framework::validate_admission(info, whitelist, settings.root_submissions)?;
    let removed = info.id.as_ref().is_some_and(|id| master.cluster.is_completed(&FrameworkId::from(id)));
    refuse_if(removed && !is_on(Bug::ReadmitsEnded), "Framework has been removed")
}

/// What the allocator is told beside the info, if the roles that a framework suppresses and constrains are
/// its own and the constraints can be used (upstream: `createAllocatorFrameworkOptions`).
pub(super) fn options(
    master: &Master,
    info: &FrameworkInfo,
    suppressed: &[String],
    constraints: Option<&v1::scheduler::OfferConstraints>,
) -> Result<FrameworkOptions, Invalid> {
    let suppressed_roles = suppressed.iter().cloned().collect();
    validation::framework::validate_role_options(&framework_roles(info), &suppressed_roles, constraints)?;
    let limits = master.settings.regex_limits();
    let compiled =
        constraints.map(|constraints| OfferConstraintsFilter::new(constraints, limits)).transpose();
    let constraints =
        compiled.map_err(|error| Invalid(error.to_string()).within("Offer constraints are not valid"))?;
    Ok(FrameworkOptions { suppressed_roles, constraints: constraints.unwrap_or_default() })
}

/// A new framework.
pub(crate) fn register(master: &mut Master, said: Said, scheduler: Scheduler, ctx: &mut Context<Master>) {
    let Said { mut info, constraints, options } = said;
    let id = master.ids.framework();
    info.id = Some(id.to_proto());
    tracing::info!(framework_id = %id, name = info.name, "a framework subscribes");
    let connection = Connection::Connected { active: true };
    let mut framework = Framework::new(id.clone(), info, connection, ctx.now());
    framework.suppressed_roles = options.suppressed_roles.clone().into();
    framework.offer_constraints = constraints.into();
    master.metrics.add_framework(&framework);
    master.metrics.framework(&id).call(call::Type::Subscribe);
    master.allocation.add_framework(&framework, options, BTreeMap::new());
    master.cluster.add_framework(framework);
    super::show_roles(master, &id);
    scheduler::attach(master, &id, scheduler, ctx);
    news::framework_added(master, &id);
}

/// Makes the framework known, and validates what it says of itself now against what it said before.
pub(crate) fn prepare(master: &mut Master, id: &FrameworkId, mut said: Said) -> Result<Said, Invalid> {
    // Neither it nor an agent with its tasks has come back since this master leads.
    if master.cluster.framework(id).is_none() {
        recover::recover(master, said.info.clone());
    }
    if let Some(current) = master.cluster.framework(id).map(|state| state.info.clone()) {
        validation::framework::preserve_immutable(&current, &mut said.info);
        validation::framework::validate_update(&current, &said.info)?;
    }
    Ok(said)
}

/// A framework again: its scheduler restarted, lost its connection, or another instance took over.
pub(crate) fn resume(
    master: &mut Master,
    id: &FrameworkId,
    said: Said,
    scheduler: Scheduler,
    ctx: &mut Context<Master>,
) {
    tracing::info!(framework_id = %id, name = said.info.name, "a framework subscribes again");
    master.metrics.framework(id).call(call::Type::Subscribe);
    update(master, id, said, ctx);
    take_over(master, id, scheduler, ctx);
    tell(master, id, ctx);
}

/// Takes over what a framework says of itself now. Offers to roles that it gave up are void.
pub(super) fn update(master: &mut Master, id: &FrameworkId, said: Said, ctx: &mut Context<Master>) {
    let Said { info, constraints, options } = said;
    let suppressed = options.suppressed_roles.clone();
    master.allocation.update_framework(id, info.clone(), options);
    master.cluster.update_framework(id, info, suppressed, constraints);
    super::show_roles(master, id);
    let Some(state) = master.cluster.framework(id) else { return };
    let roles = state.roles.clone();
    let outstanding: Vec<_> = state.offers.keys().cloned().collect();
    for offer in outstanding {
        let given_up = master.cluster.offer(offer.as_str()).is_some_and(|offer| !roles.contains(&offer.role));
        if given_up && !is_on(Bug::KeepsGivenUp) {
            offers::rescind(master, &offer, ctx);
        }
    }
}

/// The new scheduler is the framework's. The old offers are void; nobody is left to be told so, but a driver that
/// subscribes once more.
fn take_over(master: &mut Master, id: &FrameworkId, scheduler: Scheduler, ctx: &mut Context<Master>) {
    scheduler::replace(master, id, &scheduler, ctx);
    let Some(state) = master.cluster.framework(id) else { return };
    let (was_active, own_driver) = (state.is_active(), state.pid.is_some());
    let outstanding: Vec<_> = state.offers.keys().cloned().collect();
    for offer in outstanding {
        if own_driver {
            offers::rescind(master, &offer, ctx);
        } else {
            offers::discard(master, &offer, None, ctx);
        }
    }
    inverse_offers::rescind_of_framework(master, id, ctx);
    lifecycle::end_absence(master, id, ctx);
    master.cluster.set_reregistered(id, ctx.now());
    master.cluster.set_connection(id, Connection::Connected { active: true });
    if !was_active {
        // After its offers were given back, so that the allocator's view of its share is right.
        master.allocation.activate_framework(id);
    }
    scheduler::attach(master, id, scheduler, ctx);
}

/// Operators hear of it, and all agents: an executor may run where no task does.
pub(super) fn tell(master: &mut Master, id: &FrameworkId, ctx: &Context<Master>) {
    news::framework_updated(master, id);
    let Some(state) = master.cluster.framework(id) else { return };
    for agent in master.cluster.agents().values() {
        ctx.post(&agent.pid, update_message(state));
    }
}
