//! Maintenance: agents that are planned to be unavailable, and inverse offers, by which frameworks are
//! asked to leave them.
//!
//! After each run, every connected framework that holds something of such an agent is asked once. It is
//! asked again when its answer has come (or the inverse offer was rescinded), unless it refused with a
//! filter; a new plan for the agent makes all answers and filters void (the filter of an answer that comes
//! later still counts, as in upstream), and other attributes the filters. An agent in maintenance is offered
//! as any other: the offer says when it will be unavailable, and frameworks decide (upstream:
//! `generateInverseOffers` and `updateInverseOffer` in `hierarchical.cpp`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos::{AgentId, FrameworkId, Resources, v1};

use super::ids::{AgentIdx, FrameworkIdx};
use super::{Core, EventError, filters};

/// What a framework is asked to leave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnavailableResources {
    /// Empty: everything that the framework has on the agent.
    pub resources: Resources,
    /// When.
    pub unavailability: v1::Unavailability,
}

/// The inverse offers of one run: framework, agent, and what is asked.
pub type InverseOffers = BTreeMap<FrameworkId, BTreeMap<AgentId, UnavailableResources>>;

/// What frameworks answered to inverse offers, by agent.
pub type InverseOfferStatuses = BTreeMap<AgentId, BTreeMap<FrameworkId, v1::allocator::InverseOfferStatus>>;

/// A plan for one agent, and what frameworks say to it.
#[derive(Debug, Default)]
struct Plan {
    unavailability: v1::Unavailability,
    /// Who has an inverse offer that is not answered.
    outstanding: BTreeSet<FrameworkIdx>,
    statuses: BTreeMap<FrameworkIdx, v1::allocator::InverseOfferStatus>,
    /// Who does not want to be asked again, and the last moment of that.
    refused: BTreeMap<FrameworkIdx, Duration>,
}

/// The agents with maintenance. A cluster has few of them at a time.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    plans: BTreeMap<AgentIdx, Plan>,
    /// Those that the last run looked at.
    due: Vec<AgentIdx>,
}

impl Maintenance {
    /// Sets or removes the plan for an agent.
    pub(crate) fn plan(&mut self, agent: AgentIdx, unavailability: Option<v1::Unavailability>) {
        match unavailability {
            Some(unavailability) => {
                self.plans.insert(agent, Plan { unavailability, ..Plan::default() });
            }
            None => {
                self.plans.remove(&agent);
            }
        }
    }

    /// When an agent is planned to be unavailable.
    pub(crate) fn unavailability(&self, agent: AgentIdx) -> Option<&v1::Unavailability> {
        self.plans.get(&agent).map(|plan| &plan.unavailability)
    }

    /// A run looks at these agents.
    pub(crate) fn note(&mut self, agents: &[AgentIdx]) {
        self.due.clear();
        if !self.plans.is_empty() {
            self.due.extend(agents.iter().filter(|agent| self.plans.contains_key(agent)));
        }
    }

    /// A framework wants to be asked again, whatever it refused.
    pub(crate) fn forget_filters(&mut self, framework: FrameworkIdx) {
        for plan in self.plans.values_mut() {
            plan.refused.remove(&framework);
        }
    }

    /// An agent is another one than that about which frameworks did not want to be asked again.
    pub(crate) fn forget_filters_on(&mut self, agent: AgentIdx) {
        if let Some(plan) = self.plans.get_mut(&agent) {
            plan.refused.clear();
        }
    }

    /// A framework is gone.
    pub(crate) fn forget(&mut self, framework: FrameworkIdx) {
        self.forget_filters(framework);
        for plan in self.plans.values_mut() {
            plan.outstanding.remove(&framework);
            plan.statuses.remove(&framework);
        }
    }
}

impl Core {
    /// The inverse offers that are due after a run, about the agents that it looked at. They are
    /// outstanding from now on, until [`Core::update_inverse_offer`].
    pub fn inverse_offers(&mut self, now: Duration) -> InverseOffers {
        let mut offers = InverseOffers::new();
        for agent in std::mem::take(&mut self.maintenance.due) {
            let Some(plan) = self.maintenance.plans.get_mut(&agent) else { continue };
            for given in self.agents[agent].given() {
                let framework = self.members[given.member].framework;
                let entry = &self.frameworks[framework];
                let refuses = plan.refused.get(&framework).is_some_and(|until| *until >= now);
                if !entry.added || !entry.active || refuses || !plan.outstanding.insert(framework) {
                    continue;
                }
                let unavailable =
                    UnavailableResources { resources: Resources::new(), unavailability: plan.unavailability };
                let of_framework = offers.entry(entry.id.clone()).or_default();
                of_framework.insert(self.agents[agent].id.clone(), unavailable);
            }
        }
        offers
    }

    /// An inverse offer was answered (`status`), or with `None` rescinded or timed out. With `filters`
    /// the framework is not asked again for their time; here no least time applies.
    ///
    /// # Errors
    /// Unknown frameworks and agents; [`EventError::NoMaintenance`].
    pub fn update_inverse_offer(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        status: Option<v1::allocator::InverseOfferStatus>,
        filters: Option<&v1::Filters>,
        now: Duration,
    ) -> Result<(), EventError> {
        let framework = self.framework(framework)?;
        let index = self.agent(agent)?;
        let plan = self.maintenance.plans.get_mut(&index);
        let plan = plan.ok_or_else(|| EventError::NoMaintenance(agent.clone()))?;
        // An answer to an inverse offer that is not outstanding is late: the plan has changed since.
        if plan.outstanding.remove(&framework)
            && let Some(status) = status
        {
            plan.statuses.insert(framework, status);
        }
        if let Some(filters) = filters {
            let timeout = filters::requested(filters.refuse_seconds);
            if !timeout.is_zero() {
                let until = plan.refused.entry(framework).or_default();
                *until = (*until).max(now.saturating_add(timeout));
            }
        }
        Ok(())
    }

    /// What frameworks answered, for each agent with maintenance.
    pub fn inverse_offer_statuses(&self) -> InverseOfferStatuses {
        let of_plan = |plan: &Plan| {
            let statuses = plan.statuses.iter();
            statuses
                .map(|(framework, status)| (self.frameworks[*framework].id.clone(), status.clone()))
                .collect()
        };
        let plans = self.maintenance.plans.iter();
        plans.map(|(agent, plan)| (self.agents[*agent].id.clone(), of_plan(plan))).collect()
    }
}
