//! What keeps a framework in a role from an agent altogether, whatever is free of it.
//!
//! Upstream: `isCapableOfReceivingAgent` and the first half of `isFiltered` in `hierarchical.cpp`. The pass
//! asks whether there is anything, and an explanation what it is.

use super::Core;
use super::ids::{AgentIdx, MemberIdx};

/// Something that the framework or the agent is not able to do, or that the framework does not want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lack {
    /// The agent has GPUs, which are kept for GPU_RESOURCES frameworks.
    Gpu,
    /// The agent is in another region than the master; for REGION_AWARE frameworks only.
    Region,
    /// The agent knows no MULTI_ROLE frameworks.
    AgentMultiRole,
    /// The agent knows no roles below others.
    AgentHierarchicalRole,
    /// The framework's offer constraints exclude the agent.
    Constraints,
}

impl Core {
    /// What keeps a member from an agent; `None` if nothing does.
    pub(super) fn lack(&self, index: AgentIdx, member: MemberIdx) -> Option<Lack> {
        let entry = &self.members[member];
        let capabilities = self.frameworks[entry.framework].capabilities;
        let agent = &self.agents[index];
        if agent.has_gpu && self.options.filter_gpu_resources && !capabilities.gpu_resources {
            Some(Lack::Gpu)
        } else if agent.is_remote && !capabilities.region_aware {
            Some(Lack::Region)
        } else if capabilities.multi_role && !agent.abilities.multi_role {
            Some(Lack::AgentMultiRole)
        } else if !agent.abilities.hierarchical_role && self.roles[entry.role].is_nested() {
            Some(Lack::AgentHierarchicalRole)
        } else if self.exclusions.excludes(index, member) {
            Some(Lack::Constraints)
        } else {
            None
        }
    }
}
