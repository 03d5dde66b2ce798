//! What happens to frameworks and roles: added, removed, connected or not, suppressed, revived, weighted.
//!
//! Owns nothing: these are methods of [`Core`]. Which events mark agents for a run at once is decided
//! here: whenever somebody new wants offers, or something became free.

use std::collections::{BTreeMap, BTreeSet};

use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, FrameworkId, Resources, v1};

use super::frameworks::{self, Capabilities};
use super::ids::{AgentIdx, FrameworkIdx, MemberIdx, RoleIdx};
use super::roles::QuotaAmounts;
use super::{Bundle, Core, EventError, Limits, Quota, amounts_of};
use crate::options::FrameworkOptions;

impl Core {
    /// A framework subscribed, or came back after a failover of the master.
    ///
    /// What it holds is known from the agents that were added before, and agents added later bring
    /// theirs; `used` is what the caller knows of it, by agent, and adds what an agent did not report.
    ///
    /// # Errors
    /// [`EventError::FrameworkExists`].
    pub fn add_framework(
        &mut self,
        id: &FrameworkId,
        info: &v1::FrameworkInfo,
        used: &BTreeMap<AgentId, Resources>,
        active: bool,
        options: &FrameworkOptions,
    ) -> Result<(), EventError> {
        if self.framework(id).is_ok() {
            return Err(EventError::FrameworkExists(id.clone()));
        }
        let framework = self.intern_framework(id);
        let entry = &mut self.frameworks[framework];
        entry.added = true;
        entry.active = active;
        entry.capabilities = Capabilities::new(info);
        for role in frameworks::roles(info) {
            let member = self.intern_member(framework, &role);
            self.members[member].subscribed = true;
            self.members[member].suppressed = options.suppressed_roles.contains(&role);
            self.set_constraints(member, options.constraints.of_role(&role).cloned());
            let minimums = frameworks::minimums(info, &role, &mut self.names);
            self.set_minimums(member, minimums);
            self.refresh(member);
        }
        for (agent, resources) in used {
            if let Some(agent) = self.agents.find(agent) {
                self.complete(agent, id, resources);
            }
        }
        if active {
            self.mark_all();
        }
        Ok(())
    }

    /// Gives a framework what it uses of an agent and does not hold in the books yet.
    pub(super) fn complete(&mut self, agent: AgentIdx, framework: &FrameworkId, used: &Resources) {
        for (role, resources) in used.allocations() {
            let used = Bundle::split(&resources, &mut self.names);
            if used.is_empty() {
                continue;
            }
            // Here, and not before: a framework of which nothing is used stays unknown.
            let framework = self.intern_framework(framework);
            let member = self.intern_member(framework, &role);
            let missing = match self.agents[agent].given_to(member) {
                Some(given) => used.minus(given, &self.names),
                None => used,
            };
            if !missing.is_empty() {
                self.give(agent, member, &missing, true);
                self.allocate_loose(agent, self.members[member].role, &missing.loose());
            }
            self.release_member(member);
        }
    }

    /// A framework is gone: what it held is free, and offered at once if the options say so.
    ///
    /// # Errors
    /// [`EventError::UnknownFramework`].
    pub fn remove_framework(&mut self, id: &FrameworkId) -> Result<(), EventError> {
        let framework = self.framework(id)?;
        let members: Vec<MemberIdx> = self.frameworks[framework].members.values().copied().collect();
        for member in members {
            self.take_back_everything(member);
            self.members[member].subscribed = false;
            self.release_member(member);
        }
        self.frameworks.remove(id);
        self.maintenance.forget(framework);
        if self.options.allocation_on_recovery {
            // All, because the master gave its offers back one by one before, as if they were declined.
            self.mark_all();
        }
        Ok(())
    }

    fn take_back_everything(&mut self, member: MemberIdx) {
        if self.members[member].holdings == 0 {
            return;
        }
        let held: Vec<_> = self
            .agents
            .iter()
            .filter_map(|(agent, entry)| Some((agent, entry.given_to(member)?.clone())))
            .collect();
        for (agent, bundle) in held {
            self.take_back(agent, member, &bundle);
            self.settle_allocated(agent, self.members[member].role);
        }
    }

    /// A framework connected again. It wants offers at once.
    ///
    /// # Errors
    /// [`EventError::UnknownFramework`].
    pub fn activate_framework(&mut self, id: &FrameworkId) -> Result<(), EventError> {
        let framework = self.framework(id)?;
        self.frameworks[framework].active = true;
        self.refresh_all(framework);
        self.mark_all();
        Ok(())
    }

    /// A framework disconnected. It keeps what it holds, gets no offers, and its filters are gone.
    ///
    /// # Errors
    /// [`EventError::UnknownFramework`].
    pub fn deactivate_framework(&mut self, id: &FrameworkId) -> Result<(), EventError> {
        let framework = self.framework(id)?;
        self.frameworks[framework].active = false;
        self.refresh_all(framework);
        for member in self.frameworks[framework].members.values() {
            self.filters.forget_member(*member);
        }
        self.maintenance.forget_filters(framework);
        Ok(())
    }

    fn refresh_all(&mut self, framework: FrameworkIdx) {
        let members: Vec<MemberIdx> = self.frameworks[framework].members.values().copied().collect();
        for member in members {
            self.refresh(member);
        }
    }

    /// A framework changed its roles, capabilities, constraints or filters. Roles that it left lose their
    /// filters; roles that it revived in passing do, too. Constraints that changed may let more agents
    /// through, which are looked at at once. About maintenance it is asked again: who subscribes now need
    /// not be who answered (upstream: `reviveRoles`, which each update ends in).
    ///
    /// # Errors
    /// [`EventError::UnknownFramework`].
    pub fn update_framework(
        &mut self,
        id: &FrameworkId,
        info: &v1::FrameworkInfo,
        options: &FrameworkOptions,
    ) -> Result<(), EventError> {
        let framework = self.framework(id)?;
        self.frameworks[framework].capabilities = Capabilities::new(info);
        self.maintenance.forget_filters(framework);
        let subscribed = frameworks::roles(info);
        let members: Vec<MemberIdx> = self.frameworks[framework].members.values().copied().collect();
        for member in members {
            let role = self.members[member].role;
            if !subscribed.contains(&*self.roles[role].path) {
                let entry = &mut self.members[member];
                entry.subscribed = false;
                entry.suppressed = false;
                self.set_constraints(member, None);
                self.set_minimums(member, None);
                self.filters.forget_member(member);
                self.refresh(member);
                self.release_member(member);
            }
        }
        for role in subscribed {
            let member = self.intern_member(framework, &role);
            let minimums = frameworks::minimums(info, &role, &mut self.names);
            let suppressed = options.suppressed_roles.contains(&role);
            let constraints_changed =
                self.set_constraints(member, options.constraints.of_role(&role).cloned());
            let entry = &mut self.members[member];
            let wants_offers_now = !suppressed && (entry.suppressed || !entry.subscribed);
            entry.subscribed = true;
            entry.suppressed = suppressed;
            self.set_minimums(member, minimums);
            self.refresh(member);
            if wants_offers_now {
                self.filters.forget_member(member);
            }
            if wants_offers_now || constraints_changed {
                self.mark_all();
            }
        }
        Ok(())
    }

    /// A framework wants no offers for some roles; for all of its roles if none is named.
    ///
    /// # Errors
    /// [`EventError::UnknownFramework`].
    pub fn suppress_offers(&mut self, id: &FrameworkId, roles: &BTreeSet<String>) -> Result<(), EventError> {
        for member in self.members_of(id, roles)? {
            self.members[member].suppressed = true;
            self.refresh(member);
        }
        Ok(())
    }

    /// A framework wants offers for some roles (for all of its roles if none is named), and takes back
    /// what it refused there. It wants them at once.
    ///
    /// # Errors
    /// [`EventError::UnknownFramework`].
    pub fn revive_offers(&mut self, id: &FrameworkId, roles: &BTreeSet<String>) -> Result<(), EventError> {
        let framework = self.framework(id)?;
        self.maintenance.forget_filters(framework);
        let none = BTreeSet::new();
        let roles = if is_on(Bug::RevivesAll) { &none } else { roles };
        for member in self.members_of(id, roles)? {
            self.members[member].suppressed = false;
            self.filters.forget_member(member);
            self.refresh(member);
        }
        self.mark_all();
        Ok(())
    }

    /// The subscribed members of a framework in some roles, or in all if none is named.
    fn members_of(&self, id: &FrameworkId, roles: &BTreeSet<String>) -> Result<Vec<MemberIdx>, EventError> {
        let framework = self.framework(id)?;
        let members = self.frameworks[framework].members.values().copied();
        let wanted = members.filter(|member| {
            let entry = &self.members[*member];
            entry.subscribed && (roles.is_empty() || roles.contains(&*self.roles[entry.role].path))
        });
        Ok(wanted.collect())
    }

    /// Weights of roles were set. They show in the runs to come; what is offered is not taken back here
    /// (the master rescinds).
    pub fn update_weights(&mut self, weights: &BTreeMap<String, f64>) {
        for (role, weight) in weights {
            // The master validates; a weight that is no weight must not poison the shares.
            let weight =
                if *weight > 0.0 && weight.is_finite() { *weight } else { super::sorter::DEFAULT_WEIGHT };
            self.roles.set_weight(role, weight);
            self.role_sorter.update_weight(role, weight);
        }
    }

    /// The quota of a top-level role was set; the default removes it. Shows in the runs to come.
    pub fn update_quota(&mut self, role: &str, quota: &Quota) {
        let guarantees = amounts_of(&quota.guarantees, &mut self.names);
        let heeded = !is_on(Bug::IgnoresLimits);
        let limits = quota.limits.iter().filter(|_| heeded);
        let limits = limits.map(|(name, limit)| (self.names.intern(name), limit.millis()));
        let limits = Limits::new(limits);
        let any_limit = self.roles.any_limit();
        let role = self.roles.intern(role);
        self.roles.set_quota(role, QuotaAmounts { guarantees, limits });
        if any_limit == self.roles.any_limit() {
            self.put_into_lanes(role);
        } else {
            let all: Vec<RoleIdx> = self.roles.iter().map(|(role, _)| role).collect();
            for role in all {
                self.put_into_lanes(role);
            }
        }
        self.roles.release(role);
    }
}
