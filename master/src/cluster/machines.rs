//! Which agents are on which machine: what maintenance has to look at, instead of all agents for each machine.
//!
//! It follows the registered agents: one that is added, comes back elsewhere, or is removed changes its entry here. Agents
//! that are awaited or unreachable have none: nobody asks for the machine of an agent that is not there. A copy costs a
//! few pointers, so that a reader looks up machines on its own thread.

use mesos::{AgentId, MachineKey};

use super::Agent;
use super::persistent::{Ordered, ordered};

/// See the module.
#[derive(Debug, Clone)]
pub struct Machines(Ordered<(MachineKey, AgentId), ()>);

impl Default for Machines {
    fn default() -> Self {
        Self(ordered())
    }
}

impl Machines {
    /// An agent is on its machine.
    pub(super) fn add(&mut self, agent: &Agent) {
        self.0.insert_mut((agent.machine(), agent.id.clone()), ());
    }

    /// An agent is not on this machine any more.
    pub(super) fn remove(&mut self, machine: MachineKey, agent: &AgentId) {
        self.0.remove_mut(&(machine, agent.clone()));
    }

    /// The registered agents on a machine, in the order of their ids.
    pub fn agents_on<'a>(&'a self, machine: &'a MachineKey) -> impl Iterator<Item = &'a AgentId> {
        // No id is empty: every agent on the machine stands behind this.
        let first = (machine.clone(), AgentId::from(""));
        let from_here = self.0.range(first..).map(|((on, agent), ())| (on, agent));
        from_here.take_while(move |(on, _)| *on == machine).map(|(_, agent)| agent)
    }

    /// Agents that are on a machine.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.size()
    }
}
