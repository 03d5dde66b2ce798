//! ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS: a framework says whether it will vacate an agent
//! before its maintenance (upstream: `acceptInverseOffers`, `declineInverseOffers`).
//!
//! Without maintenance no inverse offer is ever made, so none that a call names is valid.

use mesos::v1::scheduler::call::{AcceptInverseOffers, DeclineInverseOffers};
use mesos::{FrameworkId, v1};

use crate::master::Master;

/// Accepts inverse offers.
pub(super) fn accept(framework: &FrameworkId, call: &AcceptInverseOffers) {
    ignore(framework, &call.inverse_offer_ids);
}

/// Declines inverse offers.
pub(super) fn decline(master: &Master, framework: &FrameworkId, call: &DeclineInverseOffers) {
    master.metrics.messages_decline_offers.increment();
    ignore(framework, &call.inverse_offer_ids);
}

fn ignore(framework: &FrameworkId, offers: &[v1::OfferId]) {
    for offer in offers {
        tracing::warn!(framework_id = %framework, offer_id = %offer.value, "ignoring an inverse offer that is not valid");
    }
}
