//! DECLINE: a framework does not want what it was offered, and for some time nothing like it (upstream:
//! `decline`).

use libprocess::Context;
use mesos::v1::scheduler::call::Decline;
use mesos::{FrameworkId, OfferId, v1};

use crate::master::Master;
use crate::offers;

/// Gives offers back. Those that are not valid (any more) are passed over.
pub(super) fn decline(
    master: &mut Master,
    framework: &FrameworkId,
    call: Decline,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_decline_offers.increment();
    // Without filters the defaults hold: they refuse for 5 seconds.
    let filters = call.filters.unwrap_or_default();
    let mut invalid = call.offer_ids.iter().filter(|id| !apply(master, framework, id, &filters, ctx));
    // There may be millions, and to write a line takes longer than all else.
    if let Some(first) = invalid.next() {
        let others = invalid.count();
        tracing::warn!(framework_id = %framework, offer_id = %first.value, others, "ignoring the decline of offers that are not valid");
    }
}

fn apply(
    master: &mut Master,
    framework: &FrameworkId,
    id: &v1::OfferId,
    filters: &v1::Filters,
    ctx: &mut Context<Master>,
) -> bool {
    let own = master.cluster.offer(&id.value).is_some_and(|offer| &offer.framework == framework);
    let declined = own && offers::discard(master, &OfferId::from(id), Some(*filters), ctx);
    if declined {
        master.metrics.framework(framework).offers_declined.increment();
    }
    declined
}
