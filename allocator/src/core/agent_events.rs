//! What happens to agents: added, removed, changed, put in and out of service, joined by resource
//! providers; and the hold after a failover.
//!
//! Owns nothing: these are methods of [`Core`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, FrameworkId, Resources, v1};

use super::agents::{Abilities, Agent};
use super::ids::{AgentIdx, RoleIdx};
use super::{Amounts, Bundle, Core, EventError, Hold, Quota};

impl Core {
    /// A master has taken over: with quotas in the registry, nothing is allocated until enough of the
    /// agents in it are back, or a time has passed. With only some of the agents in sight, guarantees
    /// would be met out of resources that others need (upstream: `recover` in `hierarchical.cpp`).
    pub fn recover(&mut self, expected_agents: usize, quotas: &BTreeMap<String, Quota>, now: Duration) {
        for (role, quota) in quotas {
            self.update_quota(role, quota);
        }
        // Rounded down, as upstream: of one expected agent none is waited for.
        let agents = (expected_agents as f64 * self.options.agent_recovery_factor) as usize;
        if !quotas.is_empty() && agents > self.agents.len() && !is_on(Bug::OffersEarly) {
            self.hold = Some(Hold { agents, until: now.saturating_add(self.options.recovery_timeout) });
        }
    }

    /// Stops allocation until [`Core::resume`]. Events still count, and are served then.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Ends a pause, and a hold after a failover (upstream has one switch for both).
    pub fn resume(&mut self) {
        self.paused = false;
        if self.hold.take().is_some() {
            self.mark_all();
        }
    }

    /// Whether allocation is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether allocation is held until agents have come back.
    pub fn is_held(&self, now: Duration) -> bool {
        self.hold.as_ref().is_some_and(|hold| now < hold.until)
    }

    /// Until when allocation is held at the latest.
    pub fn held_until(&self) -> Option<Duration> {
        self.hold.as_ref().map(|hold| hold.until)
    }

    /// An agent registered, or came back after a failover of the master. `used` is what its tasks and
    /// executors use, by framework, each part allocated to a role; frameworks in it may be unknown yet.
    ///
    /// # Errors
    /// [`EventError::AgentExists`].
    pub fn add_agent(
        &mut self,
        id: &AgentId,
        info: v1::AgentInfo,
        capabilities: &[v1::agent_info::Capability],
        unavailability: Option<v1::Unavailability>,
        total: &Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    ) -> Result<(), EventError> {
        if self.agents.find(id).is_some() {
            return Err(EventError::AgentExists(id.clone()));
        }
        let abilities = Abilities::new(capabilities);
        let agent = Agent::new(id.clone(), info, abilities, total, &mut self.names, &mut self.rests);
        let agent = self.agents.insert(id.clone(), agent);
        self.maintenance.plan(agent, unavailability);
        self.note_region(agent);
        self.judge_agent(agent);
        self.count_total(agent, &Bundle::default());
        for (framework, resources) in used {
            self.complete(agent, framework, resources);
        }
        if self.hold.as_ref().is_some_and(|hold| self.agents.len() >= hold.agents) {
            self.hold = None;
            self.mark_all();
        }
        self.mark(agent);
        Ok(())
    }

    /// An agent is gone, with all that was on it.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`].
    pub fn remove_agent(&mut self, id: &AgentId) -> Result<(), EventError> {
        let agent = self.agent(id)?;
        for (role, loose) in self.agents[agent].allocated().to_vec() {
            self.unallocate_loose(agent, role, &loose);
        }
        for given in self.agents[agent].given().to_vec() {
            self.take_back(agent, given.member, &given.bundle);
            self.release_member(given.member);
        }
        self.filters.forget_agent(agent);
        self.exclusions.forget_agent(agent);
        self.maintenance.plan(agent, None);
        let total = self.agents[agent].total().clone();
        self.basis.replace(&total.amounts(), &Amounts::ZERO);
        for (role, amounts) in total.reservations(&self.names) {
            self.unreserve(&role, &amounts);
        }
        self.agents.remove(id);
        Ok(())
    }

    /// An agent changed: its info, its total (oversubscription, reconfiguration) or its capabilities.
    /// Filters on it are gone if its attributes changed, for they may have been the reason.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`].
    pub fn update_agent(
        &mut self,
        id: &AgentId,
        info: v1::AgentInfo,
        total: Option<&Resources>,
        capabilities: Option<&[v1::agent_info::Capability]>,
    ) -> Result<(), EventError> {
        let agent = self.agent(id)?;
        let mut changed = false;
        if self.agents[agent].info.attributes != info.attributes {
            self.filters.forget_agent(agent);
            self.maintenance.forget_filters_on(agent);
        }
        if *self.agents[agent].info != info {
            *self.agents[agent].info = info;
            self.note_region(agent);
            self.judge_agent(agent);
            changed = true;
        }
        if let Some(abilities) = capabilities.map(Abilities::new) {
            changed |= self.agents[agent].abilities != abilities;
            self.agents[agent].abilities = abilities;
        }
        if let Some(total) = total {
            changed |= self.set_total(agent, total);
        }
        if changed {
            self.mark(agent);
        }
        Ok(())
    }

    /// A resource provider of an agent came, with its resources: a disk or a storage system that the agent
    /// learnt of after it registered. `used` is what operations on them hold, by framework, each part
    /// allocated to a role; it is added to what the frameworks have of the agent already (upstream:
    /// `addResourceProvider`). New resources are offered at once.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`].
    pub fn add_resource_provider(
        &mut self,
        id: &AgentId,
        total: &Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    ) -> Result<(), EventError> {
        let agent = self.agent(id)?;
        let total = self.agents[agent].total().join(&self.names) + total;
        if self.set_total(agent, &total) {
            self.mark(agent);
        }
        for (framework, resources) in used {
            self.track(agent, framework, resources);
        }
        Ok(())
    }

    /// An agent uses resources for a framework that nobody has been offered: the master has learnt of something that runs
    /// there. They are added to what the framework has of the agent; if that is more than is free, what is missing is
    /// made up for when resources come back.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`].
    pub fn track_allocated_resources(
        &mut self,
        id: &AgentId,
        framework: &FrameworkId,
        resources: &Resources,
    ) -> Result<(), EventError> {
        let agent = self.agent(id)?;
        self.track(agent, framework, resources);
        Ok(())
    }

    fn track(&mut self, agent: AgentIdx, framework: &FrameworkId, resources: &Resources) {
        for (role, resources) in resources.allocations() {
            let used = Bundle::split(&resources, &mut self.names);
            if used.is_empty() {
                continue;
            }
            let framework = self.intern_framework(framework);
            let member = self.intern_member(framework, &role);
            self.give(agent, member, &used, true);
            self.allocate_loose(agent, self.members[member].role, &used.loose());
        }
    }

    fn note_region(&mut self, agent: AgentIdx) {
        let region = self.agents[agent].region();
        self.agents[agent].is_remote = region.is_some() && region != self.options.region.as_deref();
    }

    /// Changes what an agent has. True if that is something else than before.
    pub(super) fn set_total(&mut self, agent: AgentIdx, total: &Resources) -> bool {
        let total = Bundle::split(total, &mut self.names);
        if *self.agents[agent].total() == total {
            return false;
        }
        let old = self.agents[agent].total().clone();
        self.agents[agent].set_total(total, &mut self.names, &mut self.rests);
        self.count_total(agent, &old);
        true
    }

    fn count_total(&mut self, agent: AgentIdx, old: &Bundle) {
        let new = self.agents[agent].total().clone();
        self.basis.replace(&old.amounts(), &new.amounts());
        self.count_reservations(old, &new);
    }

    /// What was reserved in `old` is reserved as in `new` now.
    pub(super) fn count_reservations(&mut self, old: &Bundle, new: &Bundle) {
        for (role, amounts) in new.reservations(&self.names) {
            let role = self.roles.reserve(&role, &amounts);
            self.quota_use_changed(role);
        }
        for (role, amounts) in old.reservations(&self.names) {
            self.unreserve(&role, &amounts);
        }
    }

    fn unreserve(&mut self, role: &str, amounts: &Amounts) {
        let Some(role) = self.roles.find(role) else { return };
        self.roles.unreserve(role, amounts);
        self.quota_use_changed(role);
        self.roles.release(role);
    }

    /// An agent is in service again.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`].
    pub fn activate_agent(&mut self, id: &AgentId) -> Result<(), EventError> {
        let agent = self.agent(id)?;
        self.agents[agent].active = true;
        self.mark(agent);
        Ok(())
    }

    /// An agent is out of service (disconnected, draining): nothing of it is offered.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`].
    pub fn deactivate_agent(&mut self, id: &AgentId) -> Result<(), EventError> {
        let agent = self.agent(id)?;
        self.agents[agent].active = false;
        Ok(())
    }

    /// Maintenance of an agent was planned or cancelled. Who holds something of it is asked anew.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`].
    pub fn update_unavailability(
        &mut self,
        id: &AgentId,
        unavailability: Option<v1::Unavailability>,
    ) -> Result<(), EventError> {
        let agent = self.agent(id)?;
        self.maintenance.plan(agent, unavailability);
        self.mark(agent);
        Ok(())
    }

    /// Only agents with these host names are offered; `None` for all. Shows in the runs to come.
    pub fn update_whitelist(&mut self, whitelist: Option<BTreeSet<String>>) {
        self.whitelist = whitelist;
    }

    pub(super) fn allocate_loose(&mut self, agent: AgentIdx, role: RoleIdx, loose: &Amounts) {
        self.agents[agent].allocate(role, loose);
        self.roles.allocate(role, loose);
    }

    pub(super) fn unallocate_loose(&mut self, agent: AgentIdx, role: RoleIdx, loose: &Amounts) {
        let taken = self.agents[agent].unallocate(role, loose);
        self.roles.unallocate(role, &taken);
    }

    /// What a role uses of an agent is at most what it was given there.
    pub(super) fn settle_allocated(&mut self, agent: AgentIdx, role: RoleIdx) {
        let entry = &self.agents[agent];
        let Some((_, allocated)) = entry.allocated().iter().find(|(of, _)| *of == role) else { return };
        let mut given = Amounts::ZERO;
        for of_role in entry.given().iter().filter(|given| self.members[given.member].role == role) {
            given += &of_role.bundle.loose();
        }
        let excess = allocated.minus(&given);
        self.unallocate_loose(agent, role, &excess);
    }
}
