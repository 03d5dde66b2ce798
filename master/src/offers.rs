//! Offers: made of what the allocator gives, and taken back (upstream: `Master::offer`,
//! `rescindOffer`, `discardOffer`).

use allocator::messages::MakeOffers;
use libprocess::Context;
use mesos::resources;
use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, FrameworkId, OfferId, Resources, v1};

use crate::agents::maintenance;
use crate::cluster::{Agent, FrameworkCapabilities, Offer};
use crate::frameworks::events;
use crate::master::{Master, Timeout};

/// So many offers go into one event. Those of 50,000 agents are more than a reader may take at once: our library takes
/// records of up to 64 MiB, and would be offered the same again after it has left.
const MOST_IN_EVENT: usize = 10_000;

/// The allocator gives resources to frameworks. All offers of a framework go out together.
pub(crate) fn make(master: &mut Master, message: MakeOffers, ctx: &mut Context<Master>) {
    for (framework, roles) in message.0 {
        let state = master.cluster.framework(&framework);
        let capabilities = state.filter(|state| state.is_active()).map(|state| state.capabilities);
        let mut sent = Vec::new();
        for (role, agents) in roles {
            for (agent, resources) in agents {
                let full = is_full(master, &agent);
                let offered = capabilities.filter(|_| !full).and_then(|capabilities| {
                    make_one(master, &framework, capabilities, &role, &agent, &resources, ctx)
                });
                match offered {
                    Some(offer) => sent.push(offer),
                    None => {
                        // Of a full agent the allocator would make the same offer at once: not for 5 s, the default.
                        let filters = full.then(v1::Filters::default);
                        master.allocation.recover_offered(&framework, &agent, resources, filters);
                    }
                }
            }
        }
        if !sent.is_empty() {
            tracing::debug!(framework_id = %framework, offers = sent.len(), "sending offers");
            master.metrics.framework(&framework).offers_sent.add(sent.len() as u64);
            for piece in in_pieces(sent, MOST_IN_EVENT) {
                master.send(&framework, events::offers(piece), ctx);
            }
        }
    }
}

fn in_pieces(mut offers: Vec<v1::Offer>, most: usize) -> impl Iterator<Item = Vec<v1::Offer>> {
    std::iter::from_fn(move || {
        let rest = offers.split_off(offers.len().min(most));
        Some(std::mem::replace(&mut offers, rest)).filter(|piece| !piece.is_empty())
    })
}

/// Whether an agent has as many executors as `--max_executors_per_agent` allows, or more. A task that brings no executor
/// of its own is none to the master. (Upstream asks this only if it is built with the port mapping isolator.)
fn is_full(master: &Master, agent: &AgentId) -> bool {
    let Some(most) = master.settings.max_executors_per_agent else { return false };
    let full = master.cluster.agent(agent).is_some_and(|agent| agent.executors.size() >= most);
    let full = full && !is_on(Bug::OffersFull);
    if full {
        tracing::info!(agent_id = %agent, most, "not offering an agent that has its maximum of executors");
    }
    full
}

/// Makes one offer; as it is sent to the framework. `None` if the agent is not there any more, or does not have this any
/// more: the allocator has decided before it heard that an operator has reserved some of it, or that the agent came back
/// with less (found by simulation). Or if the framework has given the role up meanwhile: nobody would take that offer
/// back. (Upstream makes it.)
fn make_one(
    master: &mut Master,
    framework: &FrameworkId,
    capabilities: FrameworkCapabilities,
    role: &str,
    agent: &AgentId,
    resources: &Resources,
    ctx: &mut Context<Master>,
) -> Option<v1::Offer> {
    master.cluster.framework(framework).filter(|state| state.roles.contains(role))?;
    let state = master.cluster.agent(agent).filter(|agent| agent.active)?;
    if !can_offer(state, &(resources + &state.offered)) {
        return None;
    }
    let id = master.ids.offer();
    let unavailability = maintenance::unavailability(state, master.cluster.maintenance());
    let proto = describe(&id, framework, role, state, resources, unavailability, ctx.node().scheme());
    let sent = as_sent(&proto, capabilities);
    master.cluster.add_offer(Offer {
        proto,
        id: id.clone(),
        framework: framework.clone(),
        agent: agent.clone(),
        role: role.to_owned(),
        resources: resources.clone(),
    });
    if let Some(timeout) = master.settings.offer_timeout {
        let timer = ctx.after(timeout, Timeout::Offer(id.clone()));
        master.offer_timers.insert(id, timer);
    }
    Some(sent)
}

/// Whether an agent can offer this beside what is used of it. Shared resources never run out, but may have been destroyed.
pub(crate) fn can_offer(agent: &Agent, resources: &Resources) -> bool {
    let used: Resources = agent.used.values().sum();
    resources.shared().unallocated().iter().all(|resource| agent.total.count(resource) > 0)
        && (agent.total.non_shared() - &used.unallocated()).contains(&resources.non_shared().unallocated())
}

fn describe(
    id: &OfferId,
    framework: &FrameworkId,
    role: &str,
    agent: &Agent,
    resources: &Resources,
    unavailability: Option<v1::Unavailability>,
    scheme: &str,
) -> v1::Offer {
    v1::Offer {
        id: id.to_proto(),
        framework_id: framework.to_proto(),
        agent_id: agent.id.to_proto(),
        hostname: agent.info.hostname.clone(),
        url: Some(url(agent, scheme)),
        domain: agent.info.domain.clone(),
        resources: resources.to_protos(),
        attributes: agent.info.attributes.clone(),
        executor_ids: agent.executors_of(framework).map(|(id, _)| id.to_proto()).collect(),
        unavailability,
        allocation_info: Some(v1::resource::AllocationInfo { role: Some(role.to_owned()) }),
    }
}

/// Where an agent is, for frameworks.
pub(crate) fn url(agent: &Agent, scheme: &str) -> v1::Url {
    let address = agent.pid.address();
    v1::Url {
        scheme: scheme.to_owned(),
        address: v1::Address {
            hostname: Some(agent.info.hostname.clone()),
            ip: Some(address.ip().to_string()),
            port: i32::from(address.port()),
        },
        path: Some(format!("/{}", agent.pid.id())),
        ..Default::default()
    }
}

/// The offer in the form that the framework understands. Frameworks without MULTI_ROLE are not shown
/// allocation info, since they compare resources; those without RESERVATION_REFINEMENT get the role in
/// the old place.
fn as_sent(offer: &v1::Offer, capabilities: FrameworkCapabilities) -> v1::Offer {
    let mut sent = offer.clone();
    sent.resources.retain(|resource| resource.name != "ephemeral_ports");
    if !capabilities.multi_role {
        sent.allocation_info = None;
        for resource in &mut sent.resources {
            resource.allocation_info = None;
        }
    }
    if !capabilities.reservation_refinement && resources::downgrade_all(&mut sent.resources).is_err() {
        tracing::warn!(offer_id = %offer.id.value, "an offer has refined reservations for a framework without them");
    }
    sent
}

/// Takes an offer back, and tells its framework.
pub(crate) fn rescind(master: &mut Master, offer: &OfferId, ctx: &mut Context<Master>) {
    rescind_with(master, offer, None, ctx);
}

/// The same; it is not offered to the framework again for as long as the filters say.
pub(crate) fn rescind_with(
    master: &mut Master,
    offer: &OfferId,
    filters: Option<v1::Filters>,
    ctx: &mut Context<Master>,
) {
    let Some(offer) = take(master, offer, ctx) else { return };
    master.metrics.framework(&offer.framework).offers_rescinded.increment();
    master.send(&offer.framework, events::rescind(&offer.id), ctx);
    master.allocation.recover_offered(&offer.framework, &offer.agent, offer.resources.clone(), filters);
}

/// Takes an offer back without a word: it was declined, or its framework is not there any more.
/// Whether there was such an offer.
pub(crate) fn discard(
    master: &mut Master,
    offer: &OfferId,
    filters: Option<v1::Filters>,
    ctx: &mut Context<Master>,
) -> bool {
    let Some(offer) = take(master, offer, ctx) else { return false };
    master.allocation.recover_offered(&offer.framework, &offer.agent, offer.resources.clone(), filters);
    true
}

/// Removes an offer from the books and cancels its timer; its resources are the caller's.
pub(crate) fn take(
    master: &mut Master,
    offer: &OfferId,
    ctx: &mut Context<Master>,
) -> Option<std::sync::Arc<Offer>> {
    if let Some(timer) = master.offer_timers.swap_remove(offer) {
        ctx.cancel(timer);
    }
    master.cluster.remove_offer(offer)
}

/// Takes back all offers of an agent's resources.
pub(crate) fn rescind_of_agent(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let offers: Option<Vec<OfferId>> =
        master.cluster.agent(agent).map(|agent| agent.offers.keys().cloned().collect());
    for offer in offers.unwrap_or_default() {
        rescind(master, &offer, ctx);
    }
}

#[cfg(test)]
mod tests {
    use mesos::Resource;

    use super::*;
    use crate::cluster::testing::agent;

    #[test]
    fn very_many_offers_go_out_in_pieces() {
        let offer = |id: &str| v1::Offer { id: v1::OfferId { value: id.into() }, ..Default::default() };
        let offers = ["a", "b", "c", "d", "e"].map(offer).to_vec();
        let pieces: Vec<String> = in_pieces(offers, 2)
            .map(|piece| piece.iter().map(|offer| offer.id.value.as_str()).collect())
            .collect();
        assert_eq!(pieces, ["ab", "cd", "e"]);
        assert_eq!(in_pieces(Vec::new(), 2).count(), 0);
    }

    #[test]
    fn a_shared_volume_is_offered_as_often_as_it_is_wanted_while_it_is_there() {
        let volume = serde_json::json!({
            "name": "disk", "type": "SCALAR", "scalar": { "value": 64.0 }, "shared": {},
            "reservations": [{ "type": "DYNAMIC", "role": "r" }],
            "disk": { "persistence": { "id": "v" }, "volume": { "container_path": "path", "mode": "RW" } },
        });
        let volume: v1::Resource = mesos::json::from_slice(volume.to_string().as_bytes()).unwrap();
        let volume = Resources::from(Resource::try_from(&volume).unwrap());
        let wanted = volume.allocated_to("r") + volume.allocated_to("r/s");
        let mut agent = agent("a", "cpus:4");
        assert!(!can_offer(&agent, &wanted));
        agent.total += &volume;
        assert!(can_offer(&agent, &wanted));
        assert!(!can_offer(&agent, &(wanted + Resources::parse("cpus:5", "*").unwrap())));
    }
}
