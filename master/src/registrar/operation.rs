//! What can be done to the registry, as pure functions on it (upstream:
//! `master/registry_operations.cpp`, `weights.cpp`, `quota.cpp`).
//!
//! Each operation says whether it was possible. None of them fails otherwise: the registry is
//! plain data.

use std::collections::BTreeSet;

use allocator::Quota;
use mesos::internal::registry;
use mesos::v1::quota::QuotaConfig;
use mesos::{AgentId, v1};

use super::entries::Entries;

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
    /// Sets the quotas of some roles; the others keep theirs. One that guarantees nothing and limits nothing
    /// is no quota, and is removed.
    UpdateQuota {
        /// Validated configurations, each with its role.
        configs: Vec<QuotaConfig>,
    },
}

impl Operation {
    /// Applies the change; whether it was possible. An operation that is not possible changes nothing.
    pub fn apply(self, entries: &mut Entries) -> bool {
        match self {
            Self::AdmitAgent { info } => admit(*info, entries),
            Self::UpdateAgent { info } => update(*info, entries),
            Self::MarkAgentUnreachable { info, since } => mark_unreachable(&info, since, entries),
            Self::MarkAgentReachable { info } => mark_reachable(*info, entries),
            Self::MarkAgentGone { id, since } => mark_gone(&id, since, entries),
            Self::RemoveAgent { id } => entries.remove_agent(&id).is_some(),
            Self::PruneAgents { unreachable, gone } => prune(&unreachable, &gone, entries),
            Self::UpdateWeights { weights } => update_weights(weights, entries),
            Self::UpdateQuota { configs } => update_quota(configs, entries),
        }
    }
}

fn id_of(info: &v1::AgentInfo) -> AgentId {
    info.id.as_ref().map_or_else(|| AgentId::from(""), AgentId::from)
}

fn admit(info: v1::AgentInfo, entries: &mut Entries) -> bool {
    let id = id_of(&info);
    if entries.agent(&id).is_some() || entries.is_unreachable(&id) || entries.is_gone(&id) {
        return false;
    }
    entries.put_agent(id, registry::Slave { info, ..Default::default() });
    true
}

fn update(info: v1::AgentInfo, entries: &mut Entries) -> bool {
    let id = id_of(&info);
    let Some(agent) = entries.agent(&id).cloned() else { return false };
    if agent.info != info {
        entries.put_agent(id, registry::Slave { info, ..agent });
    }
    true
}

fn mark_unreachable(info: &v1::AgentInfo, since: v1::TimeInfo, entries: &mut Entries) -> bool {
    let id = id_of(info);
    let Some(agent) = entries.remove_agent(&id) else { return false };
    let entry = registry::UnreachableSlave {
        id: id.to_proto(),
        timestamp: since,
        drain_info: agent.drain_info,
        deactivated: agent.deactivated,
    };
    entries.put_unreachable(id, entry);
    true
}

fn mark_reachable(info: v1::AgentInfo, entries: &mut Entries) -> bool {
    let id = id_of(&info);
    let mut agent = registry::Slave { info, ..Default::default() };
    if let Some(entry) = entries.remove_unreachable(&id) {
        agent.drain_info = entry.drain_info;
        agent.deactivated = entry.deactivated;
    }
    if entries.agent(&id).is_none() {
        entries.put_agent(id, agent);
    }
    true
}

fn mark_gone(id: &AgentId, since: v1::TimeInfo, entries: &mut Entries) -> bool {
    let was_admitted = entries.remove_agent(id).is_some();
    let was_unreachable = entries.remove_unreachable(id).is_some();
    if was_admitted || was_unreachable {
        entries.put_gone(id.clone(), registry::GoneSlave { id: id.to_proto(), timestamp: since });
    }
    was_admitted || was_unreachable
}

fn prune(unreachable: &BTreeSet<AgentId>, gone: &BTreeSet<AgentId>, entries: &mut Entries) -> bool {
    for id in unreachable {
        entries.remove_unreachable(id);
    }
    for id in gone {
        entries.remove_gone(id);
    }
    true
}

fn update_weights(weights: Vec<v1::WeightInfo>, entries: &mut Entries) -> bool {
    for info in weights {
        entries.put_weight(info.role().to_owned(), registry::Weight { info });
    }
    true
}

fn update_quota(configs: Vec<QuotaConfig>, entries: &mut Entries) -> bool {
    for config in configs {
        if Quota::from(&config) == Quota::default() {
            entries.remove_quota(&config.role);
        } else {
            entries.put_quota(config);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: &str) -> Box<v1::AgentInfo> {
        let id = Some(v1::AgentId { value: id.into() });
        Box::new(v1::AgentInfo { id, hostname: "h".into(), ..Default::default() })
    }

    fn since() -> v1::TimeInfo {
        v1::TimeInfo { nanoseconds: 1 }
    }

    #[test]
    fn an_agent_goes_from_admitted_to_unreachable_and_back_and_to_gone_for_ever() {
        let mut entries = Entries::default();
        let mut apply = |operation: Operation| operation.apply(&mut entries);
        let admit = || Operation::AdmitAgent { info: info("a") };
        let unreachable = || Operation::MarkAgentUnreachable { info: info("a"), since: since() };
        let gone = || Operation::MarkAgentGone { id: "a".into(), since: since() };
        assert!(!apply(unreachable()), "it is not known");
        assert!(!apply(gone()));
        assert!(apply(admit()) && !apply(admit()));
        assert!(apply(unreachable()) && !apply(unreachable()));
        assert!(!apply(admit()), "an unreachable agent comes back by another way");
        assert!(apply(Operation::MarkAgentReachable { info: info("a") }));
        assert!(apply(gone()) && !apply(gone()) && !apply(admit()));
        assert!(apply(Operation::PruneAgents { unreachable: BTreeSet::new(), gone: ["a".into()].into() }));
        assert!(apply(admit()));
        assert!(apply(Operation::RemoveAgent { id: "a".into() }));
        assert!(!apply(Operation::RemoveAgent { id: "a".into() }));
    }

    #[test]
    fn an_agent_that_nobody_remembers_may_still_be_reachable() {
        let mut entries = Entries::default();
        assert!(Operation::MarkAgentReachable { info: info("a") }.apply(&mut entries));
        assert!(entries.agent(&"a".into()).is_some());
    }

    #[test]
    fn a_quota_of_nothing_is_no_quota() {
        let mut entries = Entries::default();
        let config = |cpus: Option<f64>| QuotaConfig {
            role: "r".into(),
            limits: cpus.map(|value| ("cpus".to_owned(), v1::value::Scalar { value })).into_iter().collect(),
            ..Default::default()
        };
        let mut registry = |cpus: Option<f64>| {
            assert!(Operation::UpdateQuota { configs: vec![config(cpus)] }.apply(&mut entries));
            entries.to_registry()
        };
        // A limit of 0 is one: the role may have none.
        for cpus in [2.0, 0.0] {
            let found = registry(Some(cpus));
            assert_eq!(found.quota_configs, [config(Some(cpus))]);
            assert_eq!(found.minimum_capabilities[0].capability, "QUOTA_V2");
        }
        let found = registry(None);
        assert!(found.quota_configs.is_empty() && found.minimum_capabilities.is_empty());
    }

    #[test]
    fn the_later_weight_of_a_role_holds() {
        let mut entries = Entries::default();
        for weight in [1.0, 2.0] {
            let info = v1::WeightInfo { role: Some("r".into()), weight };
            assert!(Operation::UpdateWeights { weights: vec![info] }.apply(&mut entries));
        }
        let registry = entries.to_registry();
        assert_eq!(registry.weights.len(), 1);
        assert_eq!(registry.weights[0].info.weight, 2.0);
    }
}
