//! `UpdateSlaveMessage`: an agent reports other resources (upstream: `Master::updateSlave`).
//!
//! Oversubscribed resources change often, so only offers with revocable resources are taken back for
//! them. Operations that it mentions, and those that it does not, are reconciled. Resource providers are not there yet: what
//! an agent says of them is not heeded.

use libprocess::{Context, Pid};
use mesos::internal::UpdateSlaveMessage;
use mesos::resources;
use mesos::{AgentId, OfferId, Resources};

use super::activation;
use crate::master::Master;
use crate::{offers, operations};

/// Takes over what the agent reports.
pub(crate) fn update(
    master: &mut Master,
    mut message: UpdateSlaveMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_update_slave.increment();
    let id = AgentId::from(&message.slave_id);
    if master.cluster.agent(&id).is_none() {
        tracing::warn!(agent = %from, "ignoring the update of a removed agent");
        return;
    }
    if let Some(operations) = message.operations.take() {
        operations::reconcile::reconcile(master, &id, operations.operations, ctx);
    }
    let Some(agent) = master.cluster.agent(&id) else { return };
    // Agents before 1.5 leave the flag out and mean it.
    let oversubscribed = message.update_oversubscribed_resources.unwrap_or(true);
    resources::upgrade_all(&mut message.oversubscribed_resources);
    let revocable = match Resources::try_from_protos(&message.oversubscribed_resources) {
        Ok(resources) if oversubscribed => resources,
        Ok(_) => agent.total.revocable(),
        Err(error) => {
            tracing::warn!(agent = %from, %error, "ignoring an update with invalid resources");
            return;
        }
    };
    let total = agent.total.non_revocable() + &revocable;
    let version = message.resource_version_uuid;
    let same_version = version.is_none() || version == agent.resource_version;
    if total == agent.total && same_version {
        activation::check_drained(master, &id, ctx);
        return;
    }
    tracing::info!(agent_id = %id, resources = %total, "an agent's resources changed");
    master.cluster.set_agent_resources(&id, total, version);
    if let Some(agent) = master.cluster.agent(&id) {
        master.allocation.update_agent(agent);
    }
    if oversubscribed {
        for offer in revocable_offers(master, &id) {
            offers::rescind(master, &offer, ctx);
        }
    }
    activation::check_drained(master, &id, ctx);
}

fn revocable_offers(master: &Master, agent: &AgentId) -> Vec<OfferId> {
    let Some(agent) = master.cluster.agent(agent) else { return Vec::new() };
    let offers = agent.offers.keys().filter(|id| {
        let offer = master.cluster.offer(id.as_str());
        offer.is_some_and(|offer| !offer.resources.revocable().is_empty())
    });
    offers.cloned().collect()
}
