//! Inverse offers: frameworks are asked to leave agents before their maintenance, as the allocator decides (upstream:
//! `Master::inverseOffer`, `removeInverseOffer`, `inverseOfferTimeout`).
//!
//! An inverse offer is outstanding until it is answered (`calls::inverse_offers`), times out (`--offer_timeout`), or is
//! rescinded: the agent is deactivated or leaves, its maintenance is planned anew, or the framework is away. The
//! allocator is told each time, so that it asks again when that makes sense.

use allocator::messages::MakeInverseOffers;
use indexmap::IndexMap;
use libprocess::{Context, FixedState, Timer};
use mesos::v1::allocator::InverseOfferStatus;
use mesos::{AgentId, FrameworkId, OfferId, v1};

use crate::agents::maintenance;
use crate::frameworks::events;
use crate::master::{Master, Timeout};
use crate::offers::url;

/// What is outstanding, by id. Ids are those of offers: no inverse offer has the id of an offer.
pub(crate) type InverseOffers = IndexMap<OfferId, InverseOffer, FixedState>;

/// A framework was asked to leave an agent.
pub(crate) struct InverseOffer {
    pub(crate) framework: FrameworkId,
    agent: AgentId,
    /// Of `--offer_timeout`.
    timer: Option<Timer>,
}

/// The allocator says whom to ask. All inverse offers of a framework go out in one event.
pub(crate) fn make(master: &mut Master, message: MakeInverseOffers, ctx: &mut Context<Master>) {
    for (framework, agents) in message.0 {
        let active = master.cluster.framework(&framework).is_some_and(|state| state.is_active());
        let mut sent = Vec::new();
        for (agent, asked) in agents {
            let made =
                active.then(|| make_one(master, &framework, &agent, asked.unavailability, ctx)).flatten();
            match made {
                Some(offer) => sent.push(offer),
                None => master.allocation.update_inverse_offer(&agent, &framework, None, None),
            }
        }
        if !sent.is_empty() {
            tracing::info!(framework_id = %framework, inverse_offers = sent.len(), "sending inverse offers");
            master.send(&framework, events::inverse_offers(sent), ctx);
        }
    }
}

/// Makes one. `None` if the agent is not there any more, or its maintenance was cancelled meanwhile.
fn make_one(
    master: &mut Master,
    framework: &FrameworkId,
    agent: &AgentId,
    unavailability: v1::Unavailability,
    ctx: &mut Context<Master>,
) -> Option<v1::InverseOffer> {
    let state = master.cluster.agent(agent).filter(|agent| agent.active)?;
    maintenance::unavailability(state, master.cluster.maintenance())?;
    let url = url(state, ctx.node().scheme());
    let id = master.ids.offer();
    let proto = v1::InverseOffer {
        id: id.to_proto(),
        url: Some(url),
        framework_id: framework.to_proto(),
        agent_id: Some(agent.to_proto()),
        unavailability,
        resources: Vec::new(),
    };
    let timeout = master.settings.offer_timeout;
    let timer = timeout.map(|timeout| ctx.after(timeout, Timeout::InverseOffer(id.clone())));
    let offer = InverseOffer { framework: framework.clone(), agent: agent.clone(), timer };
    master.cluster.add_inverse_offer(id.clone(), framework, proto.clone());
    master.inverse_offers.insert(id, offer);
    Some(proto)
}

/// A framework answered. Whether there was such an inverse offer, of this framework.
pub(crate) fn answer(
    master: &mut Master,
    framework: &FrameworkId,
    id: &OfferId,
    answer: v1::allocator::inverse_offer_status::Status,
    filters: Option<v1::Filters>,
    ctx: &mut Context<Master>,
) -> bool {
    if master.inverse_offers.get(id).is_none_or(|offer| &offer.framework != framework) {
        return false;
    }
    let Some(offer) = take(master, id, ctx) else { return false };
    let status = InverseOfferStatus {
        status: answer.into(),
        framework_id: framework.to_proto(),
        timestamp: mesos::tasks::time_info(ctx.now()),
    };
    master.allocation.update_inverse_offer(&offer.agent, framework, Some(status), filters);
    true
}

/// Takes an inverse offer back.
pub(crate) fn rescind(master: &mut Master, id: &OfferId, ctx: &mut Context<Master>) {
    let Some(offer) = take(master, id, ctx) else { return };
    master.send(&offer.framework, events::rescind_inverse_offer(id), ctx);
    master.allocation.update_inverse_offer(&offer.agent, &offer.framework, None, None);
}

/// Takes back all inverse offers about an agent.
pub(crate) fn rescind_of_agent(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    rescind_where(master, |offer| &offer.agent == agent, ctx);
}

/// Takes back all inverse offers of a framework.
pub(crate) fn rescind_of_framework(master: &mut Master, framework: &FrameworkId, ctx: &mut Context<Master>) {
    rescind_where(master, |offer| &offer.framework == framework, ctx);
}

/// There are few at a time: those of agents with maintenance.
fn rescind_where(master: &mut Master, wanted: impl Fn(&InverseOffer) -> bool, ctx: &mut Context<Master>) {
    let found = master.inverse_offers.iter().filter(|(_, offer)| wanted(offer));
    let ids: Vec<OfferId> = found.map(|(id, _)| id.clone()).collect();
    for id in ids {
        rescind(master, &id, ctx);
    }
}

fn take(master: &mut Master, id: &OfferId, ctx: &mut Context<Master>) -> Option<InverseOffer> {
    let mut offer = master.inverse_offers.swap_remove(id)?;
    master.cluster.remove_inverse_offer(id, &offer.framework);
    if let Some(timer) = offer.timer.take() {
        ctx.cancel(timer);
    }
    Some(offer)
}
