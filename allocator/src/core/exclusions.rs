//! Which agents offer constraints exclude, judged when a framework or an agent changes and not in a run:
//! constraints may hold regular expressions, and a run would match them for each agent again.

use super::Core;
use super::bits::Bits;
use super::constraints::RoleConstraints;
use super::ids::{AgentIdx, Index, MemberIdx};

/// For each agent the members whose constraints exclude it.
#[derive(Debug, Default)]
pub(crate) struct Exclusions {
    /// The members with constraints.
    constrained: Bits<MemberIdx>,
    on: Vec<Bits<MemberIdx>>,
}

impl Exclusions {
    /// Whether a member's constraints exclude an agent.
    pub(crate) fn excludes(&self, agent: AgentIdx, member: MemberIdx) -> bool {
        self.on.get(agent.position()).is_some_and(|members| members.contains(member))
    }

    /// Takes out of `members` those who exclude an agent.
    pub(crate) fn without_excluding(&self, members: &mut Bits<MemberIdx>, agent: AgentIdx) {
        if let Some(excluding) = self.on.get(agent.position()) {
            members.subtract(excluding);
        }
    }

    /// Whether anybody excludes an agent.
    pub(crate) fn any_on(&self, agent: AgentIdx) -> bool {
        self.on.get(agent.position()).is_some_and(|members| !members.is_empty())
    }

    /// An agent is gone.
    pub(crate) fn forget_agent(&mut self, agent: AgentIdx) {
        if let Some(members) = self.on.get_mut(agent.position()) {
            *members = Bits::default();
        }
    }

    fn set(&mut self, agent: AgentIdx, member: MemberIdx, excludes: bool) {
        if !excludes {
            if let Some(members) = self.on.get_mut(agent.position()) {
                members.remove(member);
            }
            return;
        }
        if self.on.len() <= agent.position() {
            self.on.resize_with(agent.position() + 1, Bits::default);
        }
        self.on[agent.position()].insert(member);
    }
}

impl Core {
    /// Sets a member's constraints. True if they are others than before.
    pub(super) fn set_constraints(
        &mut self,
        member: MemberIdx,
        constraints: Option<RoleConstraints>,
    ) -> bool {
        let entry = &mut self.members[member];
        if entry.constraints == constraints {
            return false;
        }
        entry.constraints = constraints;
        match &entry.constraints {
            Some(constraints) => {
                self.exclusions.constrained.insert(member);
                for (agent, entry) in self.agents.iter() {
                    self.exclusions.set(agent, member, constraints.excludes(&entry.info));
                }
            }
            None => {
                self.exclusions.constrained.remove(member);
                for members in &mut self.exclusions.on {
                    members.remove(member);
                }
            }
        }
        true
    }

    /// Judges an agent that is new, or whose info has changed, by all constraints.
    pub(super) fn judge_agent(&mut self, agent: AgentIdx) {
        let constrained: Vec<MemberIdx> = self.exclusions.constrained.iter().collect();
        for member in constrained {
            let constraints = self.members[member].constraints.as_ref();
            let excludes =
                constraints.is_some_and(|constraints| constraints.excludes(&self.agents[agent].info));
            self.exclusions.set(agent, member, excludes);
        }
    }
}
