//! A cluster for tests of the core: agents and frameworks by name, offers as text.

#![allow(clippy::unwrap_used, reason = "tests")]

pub(crate) mod actor;
mod make;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) use allocator::FrameworkOptions;
use allocator::core::{Core, Scope};
use allocator::{Offers, Options};
use mesos::v1::{self, agent_info, framework_info};
use mesos::{AgentId, FrameworkId, Resources};

pub(crate) use make::*;

/// A second of the core's time.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// One offer: framework, role, agent, resources without allocation info.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) framework: String,
    pub(crate) role: String,
    pub(crate) agent: String,
    pub(crate) resources: Resources,
}

pub(crate) struct Cluster {
    pub(crate) core: Core,
    pub(crate) now: Duration,
}

pub(crate) fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

pub(crate) fn framework_id(name: &str) -> FrameworkId {
    FrameworkId::from(name)
}

pub(crate) fn agent_id(name: &str) -> AgentId {
    AgentId::from(name)
}

pub(crate) fn agent_info(name: &str) -> v1::AgentInfo {
    v1::AgentInfo { hostname: format!("{name}.example"), ..Default::default() }
}

pub(crate) fn agent_capabilities() -> Vec<agent_info::Capability> {
    use agent_info::capability::Type;
    [Type::MultiRole, Type::HierarchicalRole, Type::ReservationRefinement]
        .map(|kind| agent_info::Capability { r#type: Some(kind as i32) })
        .into()
}

/// A MULTI_ROLE framework in some roles.
pub(crate) fn framework_info(roles: &[&str]) -> v1::FrameworkInfo {
    use framework_info::capability::Type;
    framework_with(roles, &[Type::MultiRole, Type::ReservationRefinement])
}

pub(crate) fn framework_with(
    roles: &[&str],
    capabilities: &[framework_info::capability::Type],
) -> v1::FrameworkInfo {
    let capability =
        |kind: &framework_info::capability::Type| framework_info::Capability { r#type: Some(*kind as i32) };
    v1::FrameworkInfo {
        user: "user".into(),
        name: "name".into(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        capabilities: capabilities.iter().map(capability).collect(),
        ..Default::default()
    }
}

pub(crate) fn refuse(seconds: f64) -> v1::Filters {
    v1::Filters { refuse_seconds: Some(seconds) }
}

pub(crate) fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What is in a run's result, one by one.
pub(crate) fn list(offers: &Offers) -> Vec<Offer> {
    let mut list = Vec::new();
    for (framework, by_role) in offers {
        for (role, by_agent) in by_role {
            for (agent, offered) in by_agent {
                assert!(offered.iter().all(|resource| resource.allocation_role() == Some(role)));
                list.push(Offer {
                    framework: framework.to_string(),
                    role: role.clone(),
                    agent: agent.to_string(),
                    resources: offered.unallocated(),
                });
            }
        }
    }
    list
}

impl Cluster {
    pub(crate) fn new() -> Cluster {
        Cluster::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Cluster {
        Cluster { core: Core::new(options, 0), now: SECOND }
    }

    pub(crate) fn agent(&mut self, name: &str, total: &str) {
        self.agent_using(name, total, &[]);
    }

    /// `used`: framework, role, resources.
    pub(crate) fn agent_using(&mut self, name: &str, total: &str, used: &[(&str, &str, &str)]) {
        let mut by_framework: BTreeMap<FrameworkId, Resources> = BTreeMap::new();
        for (framework, role, text) in used {
            *by_framework.entry(framework_id(framework)).or_default() += resources(text).allocated_to(role);
        }
        let (info, capabilities) = (agent_info(name), agent_capabilities());
        self.core
            .add_agent(&agent_id(name), info, &capabilities, None, &resources(total), &by_framework)
            .unwrap();
    }

    pub(crate) fn framework(&mut self, name: &str, roles: &[&str]) {
        self.framework_of(name, &framework_info(roles));
    }

    pub(crate) fn framework_of(&mut self, name: &str, info: &v1::FrameworkInfo) {
        self.core
            .add_framework(&framework_id(name), info, &BTreeMap::new(), true, &FrameworkOptions::default())
            .unwrap();
    }

    /// What events ask for.
    pub(crate) fn run(&mut self) -> Vec<Offer> {
        self.run_over(Scope::Marked)
    }

    /// A periodic run, one interval later.
    pub(crate) fn tick(&mut self) -> Vec<Offer> {
        self.now += SECOND;
        self.run_over(Scope::All)
    }

    pub(crate) fn run_over(&mut self, scope: Scope) -> Vec<Offer> {
        let grants = self.core.allocate(self.now, scope);
        assert!(self.core.balances(), "the books do not balance after a run");
        list(&self.core.offers(&grants))
    }

    /// The only offer of a periodic run.
    pub(crate) fn only_offer(&mut self) -> Offer {
        let mut offers = self.tick();
        assert_eq!(offers.len(), 1, "{offers:?}");
        offers.remove(0)
    }

    pub(crate) fn decline(&mut self, offer: &Offer, seconds: f64) {
        self.give_back(offer, &offer.resources.clone(), Some(refuse(seconds)));
    }

    pub(crate) fn give_back(&mut self, offer: &Offer, part: &Resources, filters: Option<v1::Filters>) {
        let (framework, agent) = (framework_id(&offer.framework), agent_id(&offer.agent));
        let part = part.allocated_to(&offer.role);
        self.core.recover_resources(&framework, &agent, &part, filters.as_ref(), false, self.now).unwrap();
        assert!(self.core.balances());
    }

    /// A framework launches a task out of an offer and declines the rest.
    pub(crate) fn launch(&mut self, offer: &Offer, task: &str, refuse_seconds: f64) {
        let task = resources(task);
        assert!(offer.resources.contains(&task), "{} does not fit into {}", task, offer.resources);
        let used = task.allocated_to(&offer.role);
        self.core.transition_offered_to_allocated(&agent_id(&offer.agent), &used).unwrap();
        self.give_back(offer, &(&offer.resources - &task), Some(refuse(refuse_seconds)));
    }

    pub(crate) fn task_ends(&mut self, offer: &Offer, task: &str) {
        let (framework, agent) = (framework_id(&offer.framework), agent_id(&offer.agent));
        let task = resources(task).allocated_to(&offer.role);
        self.core.recover_resources(&framework, &agent, &task, None, true, self.now).unwrap();
        assert!(self.core.balances());
    }
}

/// Offers as `framework/role@agent: resources`, in order.
pub(crate) fn told(offers: &[Offer]) -> Vec<String> {
    offers
        .iter()
        .map(|offer| format!("{}/{}@{}: {}", offer.framework, offer.role, offer.agent, offer.resources))
        .collect()
}

/// Who got how many offers.
pub(crate) fn counts(offers: &[Offer]) -> BTreeMap<String, usize> {
    offers.iter().fold(BTreeMap::new(), |mut counts, offer| {
        *counts.entry(offer.framework.clone()).or_default() += 1;
        counts
    })
}
