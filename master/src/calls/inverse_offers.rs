//! ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS: a framework says whether it will vacate an agent
//! before its maintenance (upstream: `acceptInverseOffers`, `declineInverseOffers`).
//!
//! The answer binds nobody: operators see it in the status of maintenance. With filters the framework is not asked
//! again for their time.

use libprocess::Context;
use mesos::v1::allocator::inverse_offer_status::Status;
use mesos::v1::scheduler::call::{AcceptInverseOffers, DeclineInverseOffers};
use mesos::{FrameworkId, OfferId, v1};

use crate::inverse_offers;
use crate::master::Master;

/// Accepts inverse offers.
pub(super) fn accept(
    master: &mut Master,
    framework: &FrameworkId,
    call: AcceptInverseOffers,
    ctx: &mut Context<Master>,
) {
    if call.inverse_offer_ids.is_empty() {
        tracing::warn!(framework_id = %framework, "ACCEPT_INVERSE_OFFERS names no inverse offer");
    }
    answer(master, framework, call.inverse_offer_ids, Status::Accept, call.filters, ctx);
}

/// Declines inverse offers.
pub(super) fn decline(
    master: &mut Master,
    framework: &FrameworkId,
    call: DeclineInverseOffers,
    ctx: &mut Context<Master>,
) {
    answer(master, framework, call.inverse_offer_ids, Status::Decline, call.filters, ctx);
}

/// Those that are not valid (any more), or another framework's, are passed over. (Upstream takes the answer of any
/// framework.)
fn answer(
    master: &mut Master,
    framework: &FrameworkId,
    ids: Vec<v1::OfferId>,
    status: Status,
    filters: Option<v1::Filters>,
    ctx: &mut Context<Master>,
) {
    // Without filters their default holds: it refuses for 5 seconds.
    let filters = filters.unwrap_or_default();
    let ids = ids.into_iter().map(OfferId::from);
    let mut invalid =
        ids.filter(|id| !inverse_offers::answer(master, framework, id, status, Some(filters), ctx));
    // There may be millions, and to write a line takes longer than all else.
    if let Some(first) = invalid.next() {
        let others = invalid.count();
        tracing::warn!(framework_id = %framework, offer_id = %first, others, "ignoring inverse offers that are not valid");
    }
}
