//! `/state`: everything, in one document, most of which was rendered before.

use libprocess::breath;
use libprocess::http::Query;
use mesos::views::{Leader, names, optional, seconds};
use mesos::{MediaType, v1, version};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::frameworks::whole;
use super::json;
use crate::cluster::Snapshot;
use crate::rendering::document::Document;
use crate::rendering::{Pieces, Renderings};

/// `/state`.
pub(crate) fn render(renderings: &Renderings, snapshot: &Snapshot, _: &Query) -> Pieces {
    let mut parts = renderings.v0.lock();
    parts.forget_others(snapshot);
    let mut body = Document::beginning_with(MediaType::Json, &json(&Master(snapshot)));
    body.list(("slaves", 0), [parts.agents(snapshot)]);
    body.list(("recovered_slaves", 0), [parts.recovered(snapshot)]);
    let registered = snapshot.frameworks.values();
    body.list(("frameworks", 0), registered.map(|framework| whole(&mut parts, framework, snapshot)));
    let completed = snapshot.completed_frameworks.iter();
    body.list(("completed_frameworks", 0), completed.map(|framework| whole(&mut parts, framework, snapshot)));
    // Kept empty for readers that expect them, as in upstream.
    body.list(("orphan_tasks", 0), []);
    body.list(("unregistered_frameworks", 0), []);
    body.complete()
}

/// Who the master is, how it was started, and how many agents it has.
struct Master<'a>(&'a Snapshot);

impl Serialize for Master<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.master(&mut map)?;
        map.end()
    }
}

impl Master<'_> {
    /// Who the master is and how it was started.
    fn master<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let master = &self.0.master;
        let info = &master.info;
        for (key, value) in version::build().to_json().as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("start_time", &seconds(master.started))?;
        optional(map, "elected_time", master.elected.map(seconds))?;
        map.serialize_entry("id", &info.id)?;
        map.serialize_entry("pid", info.pid.as_deref().unwrap_or_default())?;
        map.serialize_entry("hostname", info.hostname.as_deref().unwrap_or_default())?;
        let capabilities = info.capabilities.iter().filter_map(|capability| capability.r#type);
        map.serialize_entry("capabilities", &names::<v1::master_info::capability::Type>(capabilities))?;
        self.counts(map)?;
        optional(map, "domain", info.domain.as_ref())?;
        if let Some(leader) = &master.leader {
            map.serialize_entry("leader", leader.pid.as_deref().unwrap_or_default())?;
            map.serialize_entry("leader_info", &Leader(leader))?;
        }
        optional(map, "cluster", master.cluster.as_ref())?;
        optional(map, "log_dir", master.log_dir.as_ref())?;
        map.serialize_entry("flags", &*master.flags)
    }

    /// Agents by how they are. Numbers with a point, as upstream writes them.
    fn counts<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let agents = self.0.agents.values().inspect(|_| breath::spend(1));
        let active = agents.filter(|agent| agent.active).count();
        map.serialize_entry("activated_slaves", &(active as f64))?;
        map.serialize_entry("deactivated_slaves", &((self.0.agents.size() - active) as f64))?;
        map.serialize_entry("unreachable_slaves", &(self.0.unreachable_agents.size() as f64))
    }
}
