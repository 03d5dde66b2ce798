//! The transitions of agents: registered, disconnected, awaited, unreachable, gone, removed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use allocator::Quota;
use libprocess::Pid;
use mesos::{AgentId, Resources, v1};

use super::{Agent, Cluster, Introduction};
use crate::registrar::{Activation, Maintenance};

/// Removed agents whose messages are dropped by name; the oldest are forgotten.
const MAX_REMOVED_AGENTS: usize = 100_000;

impl Cluster {
    pub(super) fn agent_mut(&mut self, id: &AgentId) -> Option<&mut Agent> {
        self.version += 1;
        self.agents.get_mut(id).map(Arc::make_mut)
    }

    /// Adds an agent that is not registered yet; it is no longer awaited, unreachable or removed.
    pub fn add_agent(&mut self, agent: Agent) {
        self.version += 1;
        self.recovered_agents.remove_mut(&agent.id);
        if self.unreachable_agents.remove_mut(&agent.id) {
            self.tally.agents_unreachable.fetch_sub(1, Relaxed);
        }
        self.removed_agents.shift_remove(&agent.id);
        self.tally.count_agent(agent.connected, agent.active, 1);
        self.tally.change_total(&agent.total, 1);
        self.agents_by_pid.insert(agent.pid.clone(), agent.id.clone());
        self.machines.add(&agent);
        self.agents.insert_mut(agent.id.clone(), Arc::new(agent));
    }

    /// Unless another agent is at that pid by now.
    fn forget_pid(&mut self, pid: &Pid, id: &AgentId) {
        if self.agents_by_pid.get(pid) == Some(id) {
            self.agents_by_pid.swap_remove(pid);
        }
    }

    /// A registered agent re-registered.
    pub fn update_agent(&mut self, introduction: Introduction, now: SystemTime) {
        let (id, tally) = (introduction.id.clone(), self.tally.clone());
        let Some(agent) = self.agent_mut(&id) else { return };
        let (old_pid, old_machine) = (agent.pid.clone(), agent.machine());
        tally.change_total(&agent.total, -1);
        agent.update(introduction, now);
        tally.change_total(&agent.total, 1);
        self.forget_pid(&old_pid, &id);
        self.machines.remove(old_machine, &id);
        if let Some(agent) = self.agents.get(&id) {
            self.machines.add(agent);
            self.agents_by_pid.insert(agent.pid.clone(), id);
        }
    }

    /// An agent reported other resources, or another version of them.
    pub fn set_agent_resources(&mut self, id: &AgentId, total: Resources, version: Option<v1::Uuid>) {
        let tally = self.tally.clone();
        let Some(agent) = self.agent_mut(id) else { return };
        tally.change_total(&agent.total, -1);
        tally.change_total(&total, 1);
        agent.total = total;
        if version.is_some() {
            agent.resource_version = version;
        }
    }

    /// An agent's connection broke or came back, or its resources are (no longer) offered.
    pub fn set_agent_connection(&mut self, id: &AgentId, connected: bool, active: bool) {
        let tally = self.tally.clone();
        let Some(agent) = self.agent_mut(id) else { return };
        tally.count_agent(agent.connected, agent.active, -1);
        agent.connected = connected;
        agent.active = active;
        tally.count_agent(connected, active, 1);
    }

    /// Removes an agent that has no tasks, executors and offers any more.
    pub fn remove_agent(&mut self, id: &AgentId) -> Option<Arc<Agent>> {
        self.version += 1;
        let agent = self.agents.get(id)?.clone();
        self.agents.remove_mut(id);
        self.forget_pid(&agent.pid, id);
        self.machines.remove(agent.machine(), id);
        self.tally.count_agent(agent.connected, agent.active, -1);
        self.tally.change_total(&agent.total, -1);
        if self.removed_agents.len() == MAX_REMOVED_AGENTS {
            self.removed_agents.shift_remove_index(0);
        }
        self.removed_agents.insert(id.clone());
        Some(agent)
    }

    /// The registry knows this agent; it is awaited.
    pub fn add_recovered_agent(&mut self, id: AgentId, info: v1::AgentInfo) {
        self.version += 1;
        self.recovered_agents.insert_mut(id, Arc::new(info));
    }

    /// An awaited agent is awaited no longer.
    pub fn remove_recovered_agent(&mut self, id: &AgentId) -> Option<Arc<v1::AgentInfo>> {
        self.version += 1;
        let info = self.recovered_agents.get(id)?.clone();
        self.recovered_agents.remove_mut(id);
        Some(info)
    }

    /// An agent is unreachable.
    pub fn add_unreachable_agent(&mut self, id: AgentId, since: v1::TimeInfo) {
        self.version += 1;
        if !self.unreachable_agents.contains_key(&id) {
            self.tally.agents_unreachable.fetch_add(1, Relaxed);
        }
        self.unreachable_agents.insert_mut(id, since);
    }

    /// An unreachable agent is forgotten.
    pub fn forget_unreachable_agent(&mut self, id: &AgentId) {
        self.version += 1;
        if self.unreachable_agents.remove_mut(id) {
            self.tally.agents_unreachable.fetch_sub(1, Relaxed);
        }
    }

    /// An agent will never come back.
    pub fn add_gone_agent(&mut self, id: AgentId, since: v1::TimeInfo) {
        self.version += 1;
        self.gone_agents.insert_mut(id, since);
    }

    /// A gone agent is forgotten.
    pub fn forget_gone_agent(&mut self, id: &AgentId) {
        self.version += 1;
        self.gone_agents.remove_mut(id);
    }

    /// An operator decided whether an agent may have tasks.
    pub fn set_activation(&mut self, id: &AgentId, activation: Activation) {
        self.version += 1;
        self.activations.insert_mut(id.clone(), activation);
    }

    /// An agent is as any other again, or will not be back.
    pub fn forget_activation(&mut self, id: &AgentId) {
        self.version += 1;
        self.activations.remove_mut(id);
    }

    /// When a registered agent was told to end its tasks; `None` when it is drained no longer.
    pub fn set_drain_started(&mut self, id: &AgentId, since: Option<SystemTime>) {
        if let Some(agent) = self.agent_mut(id) {
            agent.drain_started = since;
        }
    }

    /// Maintenance is planned, begins or ends.
    pub fn set_maintenance(&mut self, maintenance: Maintenance) {
        self.version += 1;
        self.maintenance = Arc::new(maintenance);
    }

    /// Sets the weights of all roles that have one.
    pub fn set_weights(&mut self, weights: BTreeMap<String, f64>) {
        self.version += 1;
        self.weights = Arc::new(weights);
    }

    /// Sets the quotas of all roles that have one.
    pub fn set_quotas(&mut self, quotas: BTreeMap<String, Quota>) {
        self.version += 1;
        self.quotas = Arc::new(quotas);
    }

    /// Sets the quota of a role.
    pub fn set_quota(&mut self, role: String, quota: Quota) {
        self.version += 1;
        Arc::make_mut(&mut self.quotas).insert(role, quota);
    }

    /// A role has no quota any more.
    pub fn remove_quota(&mut self, role: &str) {
        self.version += 1;
        Arc::make_mut(&mut self.quotas).remove(role);
    }
}
