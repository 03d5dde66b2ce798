//! What constraints do at the moment: the agents that they exclude, for each framework and role.

use std::collections::BTreeMap;

use mesos::{AgentId, FrameworkId};
use serde::Serialize;

use super::super::Core;

/// The body of `/allocator/offer_constraints_debug`, under upstream's names (`offerConstraintsDebug_` in
/// `hierarchical.cpp`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConstraintsReport {
    /// Every framework that was added.
    pub frameworks: BTreeMap<FrameworkId, FrameworkConstraints>,
}

/// What a framework's constraints exclude.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameworkConstraints {
    /// Its roles that want no offers at all.
    pub suppressed_roles: Vec<String>,
    /// For each of its roles the agents that are not offered to it, in no order.
    pub excluded_by_attribute_constraints: BTreeMap<String, Vec<AgentId>>,
}

impl ConstraintsReport {
    /// How many frameworks there are, and agents that are excluded: what it costs to write it.
    pub fn size(&self) -> usize {
        let excluded = |shown: &FrameworkConstraints| -> usize {
            shown.excluded_by_attribute_constraints.values().map(Vec::len).sum()
        };
        self.frameworks.values().map(|shown| 1 + excluded(shown)).sum()
    }
}

impl Core {
    /// Evaluates the constraints of all frameworks on all agents.
    pub fn constraints_report(&self) -> ConstraintsReport {
        let added = self.frameworks.iter().filter(|(_, framework)| framework.added);
        let frameworks = added.map(|(_, framework)| {
            let mut shown = FrameworkConstraints::default();
            let members = framework.members.iter().map(|(role, member)| (role, &self.members[*member]));
            for (role, member) in members.filter(|(_, member)| member.subscribed) {
                let path = self.roles[*role].path.to_string();
                if member.suppressed {
                    shown.suppressed_roles.push(path.clone());
                }
                let excluded = match &member.constraints {
                    Some(constraints) => {
                        let excluded =
                            self.agents.iter().filter(|(_, agent)| constraints.excludes(&agent.info));
                        excluded.map(|(_, agent)| agent.id.clone()).collect()
                    }
                    None => Vec::new(),
                };
                shown.excluded_by_attribute_constraints.insert(path, excluded);
            }
            shown.suppressed_roles.sort();
            (framework.id.clone(), shown)
        });
        ConstraintsReport { frameworks: frameworks.collect() }
    }
}
