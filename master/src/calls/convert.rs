//! RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME, the operations of ACCEPT that make other
//! resources of what was offered. (CREATE_DISK and DESTROY_DISK come here to be refused: no agent has resource
//! providers.)
//!
//! They are applied at once, so that what comes behind them in the same call can use what they have made: nothing can
//! keep the agent from doing the same. An operation that does not fit is dropped, and the others are applied all the
//! same.

use libprocess::Context;
use mesos::resources::conversions;
use mesos::v1::TaskState;
use mesos::v1::offer::{Operation, operation::Type};
use mesos::v1::task_status::Reason;
use mesos::{FrameworkId, OfferId, Resources};

use super::accept::{Taken, drop_operation};
use crate::master::Master;
use crate::validation::operation::{Requester, validate};
use crate::{authorization, offers, operations};

/// Applies an operation, or drops it with the reason.
pub(super) fn convert(
    master: &mut Master,
    framework: &FrameworkId,
    operation: Operation,
    taken: &mut Taken,
    ctx: &mut Context<Master>,
) {
    let kind = operation.r#type();
    let applied = check(master, framework, &operation, taken)
        .and_then(|()| apply(master, framework, &operation, taken, ctx));
    if let Err(text) = applied {
        // The state and the reason are for tasks, of which it has none.
        let refusal = (TaskState::TaskError, Reason::TaskInvalid, text);
        drop_operation(master, framework, operation, &refusal, &mut taken.lines, ctx);
        return;
    }
    if matches!(kind, Type::Create | Type::Destroy) {
        taken.shared = taken.remaining.shared();
    }
}

fn check(
    master: &Master,
    framework: &FrameworkId,
    operation: &Operation,
    taken: &Taken,
) -> Result<(), String> {
    let framework = master.cluster.framework(framework).ok_or("Framework cannot be found")?;
    let agent = master.cluster.agent(&taken.agent).ok_or("Agent removed")?;
    validate(operation, Requester::Framework(framework), agent)
        .map_err(|error| format!("{error}; on agent {}", agent.label()))?;
    let principal = framework.info.principal.as_deref();
    master.authorize(principal, authorization::actions(operation)).map_err(|error| error.to_string())
}

/// What it does to the offers, to the books, and to what the allocator will be told.
fn apply(
    master: &mut Master,
    framework: &FrameworkId,
    operation: &Operation,
    taken: &mut Taken,
    ctx: &mut Context<Master>,
) -> Result<(), String> {
    // Not before it is known that the volumes are the framework's to destroy.
    if let Some(destroy) = &operation.destroy
        && taken
            .remaining
            .unallocated()
            .contains(&Resources::from_valid_protos(&destroy.volumes).unallocated())
    {
        rescind_offers_with(master, taken, &destroy.volumes, ctx);
    }
    let steps = conversions(operation).map_err(|error| error.to_string())?;
    let kind = operation.r#type();
    let (mut remaining, mut resized) = (taken.remaining.clone(), taken.resized.clone());
    if matches!(kind, Type::GrowVolume | Type::ShrinkVolume) {
        for step in &steps {
            if !remaining.contains(&step.consumed) {
                return Err(format!(
                    "Invalid {} operation: {remaining} does not contain {}",
                    kind.as_str_name(),
                    step.consumed
                ));
            }
            remaining -= &step.consumed;
            resized += &step.converted;
        }
    } else {
        remaining = remaining.apply_conversions(&steps).map_err(|error| error.to_string())?;
    }
    operations::apply::apply(master, &taken.agent, Some(framework), operation.clone(), ctx)
        .map_err(|error| error.to_string())?;
    (taken.remaining, taken.resized) = (remaining, resized);
    taken.conversions.extend(steps);
    Ok(())
}

/// A shared volume that is to be destroyed may be offered to others.
fn rescind_offers_with(
    master: &mut Master,
    taken: &Taken,
    volumes: &[mesos::v1::Resource],
    ctx: &mut Context<Master>,
) {
    let volumes = Resources::from_valid_protos(volumes).unallocated();
    let Some(agent) = master.cluster.agent(&taken.agent) else { return };
    let concerned = agent.offers.keys().filter(|id| {
        let offered = master.cluster.offer(id.as_str()).map(|offer| offer.resources.unallocated());
        offered.is_some_and(|offered| volumes.iter().any(|volume| offered.contains_resource(volume)))
    });
    let concerned: Vec<OfferId> = concerned.cloned().collect();
    for offer in concerned {
        offers::rescind(master, &offer, ctx);
    }
}
