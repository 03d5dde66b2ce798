//! Which frameworks have unreachable tasks of which agent: what each agent's return has to look at, instead of all
//! frameworks with all that they remember.
//!
//! It follows the frameworks' lists of unreachable tasks: what enters or leaves one of these enters or leaves this, too.
//! The entries are counted, since a framework may have many such tasks of one agent.

use std::collections::BTreeMap;

use mesos::{AgentId, FrameworkId};

use super::Task;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct UnreachableTasks(BTreeMap<AgentId, BTreeMap<FrameworkId, usize>>);

impl UnreachableTasks {
    /// A task entered its framework's list.
    pub(super) fn add(&mut self, task: &Task) {
        let of_agent = self.0.entry(task.agent.clone()).or_default();
        *of_agent.entry(task.framework.clone()).or_default() += 1;
    }

    /// A task left its framework's list.
    pub(super) fn remove(&mut self, task: &Task) {
        let Some(of_agent) = self.0.get_mut(&task.agent) else { return };
        if let Some(count) = of_agent.get_mut(&task.framework) {
            *count -= 1;
            if *count == 0 {
                of_agent.remove(&task.framework);
            }
        }
        if of_agent.is_empty() {
            self.0.remove(&task.agent);
        }
    }

    /// The frameworks with unreachable tasks of this agent.
    pub(super) fn frameworks_of(&self, agent: &AgentId) -> Vec<FrameworkId> {
        self.0.get(agent).map(|frameworks| frameworks.keys().cloned().collect()).unwrap_or_default()
    }
}
