//! What can be done to the registry, as pure functions on it (upstream:
//! `master/registry_operations.cpp`, `weights.cpp`).
//!
//! Each operation says whether it was possible. None of them fails otherwise: the registry is
//! plain data.

use std::collections::BTreeSet;

use mesos::internal::{Registry, registry};
use mesos::{AgentId, v1};

/// One change of the registry.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A new agent. Not possible when its id is known already.
    AdmitAgent {
        /// The agent, its id included.
        info: Box<v1::AgentInfo>,
    },
    /// An admitted agent came back with different information.
    UpdateAgent {
        /// What it is from now on.
        info: Box<v1::AgentInfo>,
    },
    /// An admitted agent does not answer any more.
    MarkAgentUnreachable {
        /// The agent.
        info: Box<v1::AgentInfo>,
        /// Since when.
        since: v1::TimeInfo,
    },
    /// An agent answers again. Possible also when nothing is known of it (its entry in the list of
    /// unreachable agents may have been pruned).
    MarkAgentReachable {
        /// The agent.
        info: Box<v1::AgentInfo>,
    },
    /// An operator said that an agent will never return. Not possible for an unknown agent.
    MarkAgentGone {
        /// The agent.
        id: AgentId,
        /// Since when.
        since: v1::TimeInfo,
    },
    /// An admitted agent left in an orderly way.
    RemoveAgent {
        /// The agent.
        id: AgentId,
    },
    /// Forgets old entries of the lists of unreachable and of gone agents.
    PruneAgents {
        /// No longer remembered as unreachable.
        unreachable: BTreeSet<AgentId>,
        /// No longer remembered as gone.
        gone: BTreeSet<AgentId>,
    },
    /// Sets the weights of some roles; the others keep theirs.
    UpdateWeights {
        /// Role and weight.
        weights: Vec<v1::WeightInfo>,
    },
}

impl Operation {
    /// Applies the change; whether it was possible.
    pub fn apply(self, registry: &mut Registry) -> bool {
        match self {
            Self::AdmitAgent { info } => admit(*info, registry),
            Self::UpdateAgent { info } => update(*info, registry),
            Self::MarkAgentUnreachable { info, since } => mark_unreachable(*info, since, registry),
            Self::MarkAgentReachable { info } => mark_reachable(*info, registry),
            Self::MarkAgentGone { id, since } => mark_gone(&id, since, registry),
            Self::RemoveAgent { id } => remove(&id, registry).is_some(),
            Self::PruneAgents { unreachable, gone } => prune(&unreachable, &gone, registry),
            Self::UpdateWeights { weights } => update_weights(weights, registry),
        }
    }
}

fn id_of(info: &v1::AgentInfo) -> &str {
    info.id.as_ref().map_or("", |id| id.value.as_str())
}

fn admitted(registry: &mut Registry) -> &mut Vec<registry::Slave> {
    &mut registry.slaves.get_or_insert_default().slaves
}

fn unreachable(registry: &mut Registry) -> &mut Vec<registry::UnreachableSlave> {
    &mut registry.unreachable.get_or_insert_default().slaves
}

fn gone(registry: &mut Registry) -> &mut Vec<registry::GoneSlave> {
    &mut registry.gone.get_or_insert_default().slaves
}

fn remove(id: &AgentId, registry: &mut Registry) -> Option<registry::Slave> {
    let agents = admitted(registry);
    let index = agents.iter().position(|agent| id_of(&agent.info) == id.as_str())?;
    Some(agents.remove(index))
}

fn admit(info: v1::AgentInfo, registry: &mut Registry) -> bool {
    let id = id_of(&info).to_owned();
    let known = admitted(registry).iter().any(|agent| id_of(&agent.info) == id)
        || unreachable(registry).iter().any(|agent| agent.id.value == id)
        || gone(registry).iter().any(|agent| agent.id.value == id);
    if !known {
        admitted(registry).push(registry::Slave { info, ..Default::default() });
    }
    !known
}

fn update(info: v1::AgentInfo, registry: &mut Registry) -> bool {
    let id = id_of(&info).to_owned();
    match admitted(registry).iter_mut().find(|agent| id_of(&agent.info) == id) {
        Some(agent) => {
            agent.info = info;
            true
        }
        None => false,
    }
}

fn mark_unreachable(info: v1::AgentInfo, since: v1::TimeInfo, registry: &mut Registry) -> bool {
    let id = AgentId::from(id_of(&info));
    match remove(&id, registry) {
        Some(agent) => {
            unreachable(registry).push(registry::UnreachableSlave {
                id: id.to_proto(),
                timestamp: since,
                drain_info: agent.drain_info,
                deactivated: agent.deactivated,
            });
            true
        }
        None => false,
    }
}

fn mark_reachable(info: v1::AgentInfo, registry: &mut Registry) -> bool {
    let id = id_of(&info).to_owned();
    let mut agent = registry::Slave { info, ..Default::default() };
    let list = unreachable(registry);
    if let Some(index) = list.iter().position(|entry| entry.id.value == id) {
        let entry = list.remove(index);
        agent.drain_info = entry.drain_info;
        agent.deactivated = entry.deactivated;
    }
    if !admitted(registry).iter().any(|agent| id_of(&agent.info) == id) {
        admitted(registry).push(agent);
    }
    true
}

fn mark_gone(id: &AgentId, since: v1::TimeInfo, registry: &mut Registry) -> bool {
    let was_admitted = remove(id, registry).is_some();
    let list = unreachable(registry);
    let before = list.len();
    list.retain(|agent| agent.id.value != id.as_str());
    let was_unreachable = list.len() < before;
    if was_admitted || was_unreachable {
        gone(registry).push(registry::GoneSlave { id: id.to_proto(), timestamp: since });
    }
    was_admitted || was_unreachable
}

fn prune(
    unreachable_ids: &BTreeSet<AgentId>,
    gone_ids: &BTreeSet<AgentId>,
    registry: &mut Registry,
) -> bool {
    unreachable(registry).retain(|agent| !unreachable_ids.contains(&AgentId::from(&agent.id)));
    gone(registry).retain(|agent| !gone_ids.contains(&AgentId::from(&agent.id)));
    true
}

fn update_weights(weights: Vec<v1::WeightInfo>, registry: &mut Registry) -> bool {
    for info in weights {
        match registry.weights.iter_mut().find(|entry| entry.info.role == info.role) {
            Some(entry) => entry.info.weight = info.weight,
            None => registry.weights.push(registry::Weight { info }),
        }
    }
    true
}
