//! What happens to resources: given back, used, converted.
//!
//! Owns nothing: these are methods of [`Core`]. Resources in these events carry the role that they are
//! allocated to, as upstream's do.

use std::time::Duration;

use mesos::resources::ResourceConversion;
use mesos::{AgentId, FrameworkId, Resources, v1};

use super::filters;
use super::ids::{AgentIdx, FrameworkIdx, MemberIdx};
use super::{Bundle, Core, EventError};

impl Core {
    /// A framework gave resources back: an offer was declined, used in part or rescinded, or a task
    /// ended (`is_allocated`).
    ///
    /// What a task used is offered again at once, if the options say so. What was merely offered waits
    /// for the interval: with `refuse_seconds` 0 it would otherwise go to and fro as fast as messages
    /// travel. With `filters` the framework refuses it; see `core/filters.rs`.
    ///
    /// # Errors
    /// Unknown frameworks and agents: the master says later what it heard earlier, so that a message
    /// about something removed meanwhile is nothing unusual. Resources that are not allocated to one role.
    pub fn recover_resources(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        filters: Option<&v1::Filters>,
        is_allocated: bool,
        now: Duration,
    ) -> Result<(), EventError> {
        if resources.is_empty() {
            return Ok(());
        }
        let agent = self.agent(agent)?;
        let owner = self.holder(framework)?;
        let (member, bundle) = self.one_member(owner, agent, resources)?;
        let taken = self.take_back(agent, member, &bundle);
        let role = self.members[member].role;
        if is_allocated {
            self.unallocate_loose(agent, role, &taken.loose());
        }
        self.settle_allocated(agent, role);
        // What was given is kept rather than its equal, which saves comparisons later.
        let refused = if taken == bundle { &taken } else { &bundle };
        let missing = (!taken.contains(refused)).then(|| self.not_held(owner, agent, resources));
        if let Some(filters) =
            filters.filter(|_| self.frameworks[owner].added && self.members[member].subscribed)
            && let Some(timeout) = filters::refusal(filters.refuse_seconds, self.options.allocation_interval)
        {
            let until = now.saturating_add(timeout);
            self.filters.insert(agent, member, refused, until, now);
        }
        if is_allocated && self.options.allocation_on_recovery {
            self.mark(agent);
        }
        self.release_member(member);
        missing.map_or(Ok(()), Err)
    }

    /// Offered resources were accepted for tasks.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`].
    pub fn transition_offered_to_allocated(
        &mut self,
        agent: &AgentId,
        resources: &Resources,
    ) -> Result<(), EventError> {
        let agent = self.agent(agent)?;
        for (role, resources) in resources.allocations() {
            let Some(role) = self.roles.find(&role) else { continue };
            let loose = Bundle::split(&resources, &mut self.names).loose();
            self.allocate_loose(agent, role, &loose);
            self.settle_allocated(agent, role);
        }
        Ok(())
    }

    /// A framework applied operations to resources that were offered to it: what it holds and what the
    /// agent has change alike (upstream: `updateAllocation`).
    ///
    /// # Errors
    /// Unknown frameworks and agents; resources that are not allocated to one role, that the framework
    /// does not hold, or that the conversions do not fit.
    pub fn update_allocation(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        offered: &Resources,
        conversions: &[ResourceConversion],
    ) -> Result<(), EventError> {
        let agent = self.agent(agent)?;
        let framework = self.framework(framework)?;
        let (member, old) = self.one_member(framework, agent, offered)?;
        let holds = self.agents[agent].given_to(member).is_some_and(|given| given.contains(&old));
        if !holds {
            return Err(self.not_held(framework, agent, offered));
        }
        let new = offered.apply_conversions(conversions)?;
        let mut part = |resources: &Resources| Bundle::split(resources, &mut self.names);
        let steps: Vec<(Bundle, Bundle)> =
            conversions.iter().map(|step| (part(&step.consumed), part(&step.converted))).collect();
        if steps.iter().all(|(less, more)| self.agents[agent].can_exchange(less, more)) {
            self.exchange(agent, member, &steps);
            return Ok(());
        }
        // Additional copies of a shared resource consume nothing, and are not in the agent's total.
        let stripped: Vec<ResourceConversion> = conversions
            .iter()
            .filter(|conversion| !conversion.consumed.is_empty())
            .map(|step| ResourceConversion::new(step.consumed.unallocated(), step.converted.unallocated()))
            .collect();
        let total = self.agents[agent].total().join(&self.names).apply_conversions(&stripped)?;
        let new = Bundle::split(&new, &mut self.names);
        self.replace(agent, member, &old, &new, &total);
        Ok(())
    }

    /// Converts parts of what a member holds, step by step, into as much of the same resources. What is
    /// free and what counts in shares stays, so that this takes time for what is converted only: agents
    /// with hundreds of reservations are converted as quickly as others.
    fn exchange(&mut self, agent: AgentIdx, member: MemberIdx, steps: &[(Bundle, Bundle)]) {
        let role = self.members[member].role;
        for (less, more) in steps {
            self.agents[agent].exchange(member, less, more, &self.names);
            self.roles.give_back(role, &less.loose());
            self.roles.take(role, &more.loose());
            self.count_reservations(less, more);
        }
        self.quota_use_changed(role);
        self.settle_allocated(agent, role);
    }

    /// What a member holds and what its agent has change at once. The member is not chosen by that.
    fn replace(&mut self, agent: AgentIdx, member: MemberIdx, old: &Bundle, new: &Bundle, total: &Resources) {
        let role = self.members[member].role;
        self.take_back(agent, member, old);
        self.set_total(agent, total);
        if !new.is_empty() {
            self.give(agent, member, new, false);
        }
        self.settle_allocated(agent, role);
        self.release_member(member);
    }

    /// An operator applied operations (RESERVE, CREATE ...) to resources that nobody holds.
    ///
    /// # Errors
    /// [`EventError::UnknownAgent`]; [`EventError::Resources`] if what is free does not suffice, which
    /// happens when it was offered meanwhile.
    pub fn update_available(
        &mut self,
        agent: &AgentId,
        operations: &[v1::offer::Operation],
    ) -> Result<(), EventError> {
        let agent = self.agent(agent)?;
        let mut free = self.agents[agent].free().join(&self.names);
        let mut total = self.agents[agent].total().join(&self.names);
        for operation in operations {
            free = free.apply(operation)?;
            total = total.apply(operation)?;
        }
        self.set_total(agent, &total);
        Ok(())
    }

    /// A framework that was added, or that an agent says it runs something for.
    fn holder(&self, id: &FrameworkId) -> Result<FrameworkIdx, EventError> {
        self.frameworks.find(id).ok_or_else(|| EventError::UnknownFramework(id.clone()))
    }

    /// The member that resources are allocated to, which must be one.
    fn one_member(
        &mut self,
        framework: FrameworkIdx,
        agent: AgentIdx,
        resources: &Resources,
    ) -> Result<(MemberIdx, Bundle), EventError> {
        let mut roles = resources.iter().map(mesos::Resource::allocation_role);
        let first = roles.next().flatten();
        let (Some(role), true) = (first, roles.all(|role| role == first)) else {
            return Err(EventError::NotOneRole(resources.to_string()));
        };
        let Some(member) = self.find_member(framework, role) else {
            return Err(self.not_held(framework, agent, resources));
        };
        Ok((member, Bundle::split(resources, &mut self.names)))
    }

    fn not_held(&self, framework: FrameworkIdx, agent: AgentIdx, resources: &Resources) -> EventError {
        EventError::NotHeld {
            framework: self.frameworks[framework].id.clone(),
            agent: self.agents[agent].id.clone(),
            resources: resources.to_string(),
        }
    }
}
