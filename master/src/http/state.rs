//! `/state`: everything, in one document.

use mesos::views::{Leader, names, optional, seconds};
use mesos::{v1, version};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::agents::{Agents, Summary};
use super::frameworks::Full;
use crate::cluster::Snapshot;

/// The body of `/state`.
pub(super) struct State<'a>(pub(super) &'a Snapshot);

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let snapshot = self.0;
        let mut map = serializer.serialize_map(None)?;
        self.master(&mut map)?;
        let agents = Agents::of(snapshot, None, Summary);
        map.serialize_entry("slaves", &agents.slaves)?;
        map.serialize_entry("recovered_slaves", &agents.recovered_slaves)?;
        let full = |framework| Full { framework, snapshot };
        let frameworks: Vec<_> = snapshot.frameworks.values().map(|framework| full(framework)).collect();
        map.serialize_entry("frameworks", &frameworks)?;
        let completed: Vec<_> =
            snapshot.completed_frameworks.iter().map(|framework| full(framework)).collect();
        map.serialize_entry("completed_frameworks", &completed)?;
        // Kept empty for readers that expect them, as in upstream.
        map.serialize_entry("orphan_tasks", &[(); 0])?;
        map.serialize_entry("unregistered_frameworks", &[(); 0])?;
        map.end()
    }
}

impl State<'_> {
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
        let active = self.0.agents.values().filter(|agent| agent.active).count();
        map.serialize_entry("activated_slaves", &(active as f64))?;
        map.serialize_entry("deactivated_slaves", &((self.0.agents.size() - active) as f64))?;
        map.serialize_entry("unreachable_slaves", &(self.0.unreachable_agents.size() as f64))
    }
}
