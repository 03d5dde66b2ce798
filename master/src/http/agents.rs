//! `/slaves`: an agent with its resources, as `/state` and `/state-summary` show it too.

use libprocess::http::Query;
use mesos::views::{self, Full, Sums, names, optional, seconds};
use mesos::{AgentId, MediaType, Resources, v1};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::json;
use crate::cluster::{Agent, Snapshot};
use crate::registrar::Activation;
use crate::rendering::document::Document;
use crate::rendering::{Pieces, Renderings};

/// What is known of an agent before it has registered, too.
fn description<M: SerializeMap>(map: &mut M, info: &v1::AgentInfo) -> Result<(), M::Error> {
    map.serialize_entry("id", info.id.as_ref().map_or("", |id| &id.value))?;
    map.serialize_entry("hostname", &info.hostname)?;
    map.serialize_entry("port", &info.port())?;
    map.serialize_entry("attributes", &views::attributes(&info.attributes))?;
    optional(map, "domain", info.domain.as_ref())
}

/// Resources that tasks and executors of all frameworks hold.
pub(super) fn used(agent: &Agent) -> Resources {
    agent.used.values().cloned().sum()
}

/// The part of a registered agent that all views share.
pub(super) fn common<M: SerializeMap>(
    map: &mut M,
    agent: &Agent,
    activation: Activation,
) -> Result<(), M::Error> {
    description(map, &agent.info)?;
    map.serialize_entry("pid", &agent.pid.to_string())?;
    map.serialize_entry("registered_time", &seconds(agent.registered))?;
    optional(map, "reregistered_time", agent.reregistered.map(seconds))?;
    map.serialize_entry("resources", &Sums(&agent.total))?;
    map.serialize_entry("used_resources", &Sums(&used(agent)))?;
    map.serialize_entry("offered_resources", &Sums(&agent.offered))?;
    map.serialize_entry("reserved_resources", &views::reserved(&agent.total))?;
    map.serialize_entry("unreserved_resources", &Sums(&agent.total.unreserved()))?;
    map.serialize_entry("active", &agent.active)?;
    // An operator took it out of service, whether it is connected or not.
    map.serialize_entry("deactivated", &activation.deactivated)?;
    map.serialize_entry("version", &agent.version)?;
    let capabilities = agent.capability_list.iter().filter_map(|capability| capability.r#type);
    map.serialize_entry("capabilities", &names::<v1::agent_info::capability::Type>(capabilities))?;
    if let Some(drain) = activation.drain {
        map.serialize_entry("drain_info", &drain)?;
        optional(map, "estimated_drain_start_time_seconds", agent.drain_started.map(seconds))?;
    }
    Ok(())
}

/// An agent as in `/state`.
pub(super) struct Summary<'a>(pub(super) &'a Agent, pub(super) Activation);

impl Serialize for Summary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        common(&mut map, self.0, self.1)?;
        map.end()
    }
}

/// An agent as in `/slaves`: with each resource whole, so that it can be named to `/unreserve` and the like.
pub(super) struct Detailed<'a>(pub(super) &'a Agent, pub(super) Activation);

impl Serialize for Detailed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let agent = self.0;
        let mut map = serializer.serialize_map(None)?;
        common(&mut map, agent, self.1)?;
        map.serialize_entry("reserved_resources_full", &views::reserved_full(&agent.total))?;
        map.serialize_entry("unreserved_resources_full", &Full(&agent.total.unreserved()))?;
        map.serialize_entry("used_resources_full", &Full(&used(agent)))?;
        map.serialize_entry("offered_resources_full", &Full(&agent.offered))?;
        map.end()
    }
}

/// An agent that the registry knows and that has not come back yet.
pub(super) struct Recovered<'a>(pub(super) &'a v1::AgentInfo);

impl Serialize for Recovered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        description(&mut map, self.0)?;
        map.end()
    }
}

/// `/slaves`: all agents, or the one whose id is the query's `slave_id`, which waits for no rendering of all.
pub(super) fn render(renderings: &Renderings, snapshot: &Snapshot, query: &Query) -> Pieces {
    let mut body = Document::new(MediaType::Json);
    match query.get("slave_id") {
        None => {
            let mut parts = renderings.v0_detailed.lock();
            body.list(("slaves", 0), [parts.agents(snapshot)]);
            body.list(("recovered_slaves", 0), [parts.recovered(snapshot)]);
        }
        Some(wanted) => {
            let id = AgentId::from(wanted);
            let agent = snapshot.agents.get(&id);
            let agent = agent.map(|agent| json(&Detailed(agent, snapshot.activation(&id))).into());
            let recovered = snapshot.recovered_agents.get(&id).map(|info| json(&Recovered(info)).into());
            body.list(("slaves", 0), agent);
            body.list(("recovered_slaves", 0), recovered);
        }
    }
    body.complete()
}
