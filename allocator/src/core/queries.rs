//! What can be asked of the core: its decisions in the protocol's terms, and the figures behind metrics.
//!
//! Owns nothing, changes nothing: these are methods of [`Core`]. Here indices become ids again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesos::{AgentId, FrameworkId, Resources, v1};

use super::ids::{Index, NameIdx, RoleIdx};
use super::pass::Grant;
use super::roles::QuotaAmounts;
use super::{Amounts, Bundle, Core};

/// The decisions of one run: framework, role, agent, and the resources, allocated to the role.
pub type Offers = BTreeMap<FrameworkId, BTreeMap<String, BTreeMap<AgentId, Resources>>>;

/// What everybody holds, offered and used: by agent and framework, each part allocated to its role.
pub type Holdings = BTreeMap<AgentId, BTreeMap<FrameworkId, Resources>>;

/// How much of a scalar resource there is and is taken, in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResourceUse {
    /// On all agents.
    pub total: f64,
    /// Offered to frameworks or used by tasks.
    pub offered_or_allocated: f64,
}

/// A role as seen from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleView {
    /// `eng/search`.
    pub path: String,
    /// How many filters hold in it.
    pub active_filters: usize,
    /// Its dominant share, divided by its weight; `None` for a role without frameworks of its own.
    pub dominant_share: Option<f64>,
    /// What counts against its quota: reservations and what tasks use (upstream: `consumed`).
    pub consumed: BTreeMap<String, f64>,
    /// The same, with what is offered.
    pub offered_or_consumed: BTreeMap<String, f64>,
    /// Its weight.
    pub weight: f64,
}

/// A figure of a role's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// What the role is guaranteed.
    Guarantee,
    /// What it may have at most.
    Limit,
    /// What it has: reservations, offers, and what tasks use.
    OfferedOrAllocated,
    /// The same without offers.
    Consumed,
}

impl Figure {
    /// Its name among the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Figure::Guarantee => "guarantee",
            Figure::Limit => "limit",
            Figure::OfferedOrAllocated => "offered_or_allocated",
            Figure::Consumed => "consumed",
        }
    }
}

/// The figures of a role, without text: what metrics show of it.
#[derive(Debug)]
pub struct RoleFigures<'a> {
    /// The role. Another one may have the index when this one is gone.
    pub role: RoleIdx,
    /// `eng/search`.
    pub path: &'a Arc<str>,
    /// How many filters hold in it.
    pub active_filters: usize,
    /// Its dominant share, divided by its weight; `None` for a role without frameworks of its own.
    pub dominant_share: Option<f64>,
    quota: &'a QuotaAmounts,
    consumed: Amounts,
    offered_or_consumed: Amounts,
}

impl RoleFigures<'_> {
    /// All figures of the quota, in units. What the role has (offers included) is shown for what it is
    /// guaranteed or limited; what it consumes always (upstream: `updateQuota`, `updateConsumed`).
    pub fn quota(&self) -> impl Iterator<Item = (Figure, NameIdx, f64)> {
        let guarantees = self.quota.guarantees.iter().map(|(name, amount)| (Figure::Guarantee, name, amount));
        let limits = self.quota.limits.iter().map(|(name, limit)| (Figure::Limit, name, limit));
        let guaranteed = self.quota.guarantees.iter().map(|(name, _)| name);
        let only_limited = self.quota.limits.iter().map(|(name, _)| name);
        let only_limited = only_limited.filter(|name| self.quota.guarantees.get(*name) == 0);
        let has = guaranteed.chain(only_limited);
        let has = has.map(|name| (Figure::OfferedOrAllocated, name, self.offered_or_consumed.get(name)));
        let consumed = self.consumed.iter().map(|(name, amount)| (Figure::Consumed, name, amount));
        let all = guarantees.chain(limits).chain(has).chain(consumed);
        all.map(|(figure, name, amount)| (figure, name, amount as f64 / 1000.0))
    }
}

impl Core {
    /// The decisions of a run in the protocol's terms.
    pub fn offers(&self, grants: &[Grant]) -> Offers {
        let mut grants: Vec<&Grant> = grants.iter().collect();
        grants.sort_by_key(|grant| (grant.framework, grant.role));
        let mut offers = Offers::new();
        for of_member in grants.chunk_by(|one, next| (one.framework, one.role) == (next.framework, next.role))
        {
            let Some(first) = of_member.first() else { continue };
            let role = &*self.roles[first.role].path;
            let mut alike: Option<(&Bundle, Resources)> = None;
            let mut by_agent: BTreeMap<AgentId, Resources> = BTreeMap::new();
            for grant in of_member {
                // Agents are mostly alike: equal resources are one, which costs a counter.
                let resources = match &alike {
                    Some((bundle, resources)) if **bundle == grant.bundle => resources.clone(),
                    _ => grant.bundle.join(&self.names).allocated_to(role),
                };
                alike = Some((&grant.bundle, resources.clone()));
                // A member may be chosen in both stages.
                *by_agent.entry(self.agents[grant.agent].id.clone()).or_default() += resources;
            }
            let by_role = offers.entry(self.frameworks[first.framework].id.clone()).or_default();
            by_role.insert(role.to_owned(), by_agent);
        }
        offers
    }

    /// The number of agents.
    pub fn agent_count(&self) -> usize {
        self.agents.len()
    }

    /// What a framework holds of an agent, offered and allocated, by role.
    pub fn held(&self, framework: &FrameworkId, agent: &AgentId) -> BTreeMap<String, Resources> {
        let (Some(framework), Some(agent)) = (self.frameworks.find(framework), self.agents.find(agent))
        else {
            return BTreeMap::new();
        };
        let members = self.frameworks[framework].members.iter();
        let held = members.filter_map(|(role, member)| {
            let given = self.agents[agent].given_to(*member)?;
            Some((self.roles[*role].path.to_string(), given.join(&self.names)))
        });
        held.collect()
    }

    /// What everybody holds.
    pub fn holdings(&self) -> Holdings {
        let mut holdings = Holdings::new();
        for (_, agent) in self.agents.iter() {
            let of_agent = holdings.entry(agent.id.clone()).or_default();
            for given in agent.given() {
                let member = &self.members[given.member];
                let mut resources = given.bundle.join(&self.names);
                resources.allocate(&self.roles[member.role].path);
                *of_agent.entry(self.frameworks[member.framework].id.clone()).or_default() += resources;
            }
        }
        holdings
    }

    /// What is free of an agent.
    pub fn free(&self, agent: &AgentId) -> Option<Resources> {
        Some(self.agents[self.agents.find(agent)?].free().join(&self.names))
    }

    /// When an agent is planned to be unavailable.
    pub fn unavailability(&self, agent: &AgentId) -> Option<&v1::Unavailability> {
        self.maintenance.unavailability(self.agents.find(agent)?)
    }

    /// How much of a scalar resource there is and is taken.
    pub fn resource_use(&self, name: &str) -> ResourceUse {
        let Some(name) = self.names.find(name) else { return ResourceUse::default() };
        let units = |amounts: &Amounts| amounts.get(name) as f64 / 1000.0;
        ResourceUse {
            total: units(self.basis.total()),
            offered_or_allocated: units(self.role_sorter.allocation_of_all()),
        }
    }

    /// The figures of all roles in the tree, in the order of their indices.
    pub fn role_figures(&self, now: Duration) -> impl Iterator<Item = RoleFigures<'_>> {
        let by_member = self.filters.active(now);
        let mut filters: Vec<usize> = Vec::new();
        for (index, member) in self.members.iter() {
            let position = member.role.position();
            if filters.len() <= position {
                filters.resize(position + 1, 0);
            }
            filters[position] += by_member.get(index.position()).copied().unwrap_or(0) as usize;
        }
        self.roles.iter().map(move |(index, role)| RoleFigures {
            role: index,
            path: &role.path,
            active_filters: filters.get(index.position()).copied().unwrap_or(0),
            dominant_share: self.role_sorter.share(index.0, &self.basis),
            quota: role.quota(),
            consumed: role.consumed(),
            offered_or_consumed: role.offered_or_consumed(),
        })
    }

    /// The name of a scalar resource.
    pub fn resource_name(&self, name: NameIdx) -> &str {
        self.names.name(name)
    }

    /// All roles in the tree, by path.
    pub fn roles(&self, now: Duration) -> Vec<RoleView> {
        let named = |amounts: &Amounts| {
            amounts
                .iter()
                .map(|(name, amount)| (self.names.name(name).to_owned(), amount as f64 / 1000.0))
                .collect()
        };
        let mut roles: Vec<RoleView> = self
            .role_figures(now)
            .map(|figures| RoleView {
                path: figures.path.to_string(),
                active_filters: figures.active_filters,
                dominant_share: figures.dominant_share,
                consumed: named(&figures.consumed),
                offered_or_consumed: named(&figures.offered_or_consumed),
                weight: self.roles[figures.role].weight(),
            })
            .collect();
        roles.sort_by(|left, right| left.path.cmp(&right.path));
        roles
    }

    /// Whether all books agree: each agent's given + free = total; what roles and members count is what
    /// agents gave; the total is the agents'. Slow, for tests.
    pub fn balances(&self) -> bool {
        let mut total = Amounts::ZERO;
        let mut by_role: BTreeMap<_, Amounts> = BTreeMap::new();
        let mut by_member: BTreeMap<_, (Amounts, usize)> = BTreeMap::new();
        for (_, agent) in self.agents.iter() {
            total += &agent.total().amounts();
            if !agent.balances(&self.names) {
                return false;
            }
            // Of one agent together, because a shared resource counts once for a role.
            let mut roles_here: BTreeMap<_, Bundle> = BTreeMap::new();
            for given in agent.given() {
                let Some(member) = self.members.get(given.member) else { return false };
                let here = roles_here.entry(member.role).or_default();
                *here = here.plus(&given.bundle, &self.names);
                let sums = by_member.entry(given.member).or_default();
                sums.0 += &given.bundle.amounts();
                sums.1 += 1;
            }
            for (role, bundle) in roles_here {
                *by_role.entry(role).or_default() += &bundle.amounts();
            }
        }
        let members_agree = self.members.iter().all(|(index, member)| {
            let (given, holdings) = by_member.get(&index).cloned().unwrap_or_default();
            let counted = self.roles[member.role].members.allocation(index.0);
            let listed = self.frameworks[member.framework].members.get(&member.role) == Some(&index);
            counted == Some(&given) && holdings == member.holdings && listed
        });
        let roles_agree = self.roles.iter().all(|(index, _)| {
            let given = by_role.get(&index).cloned().unwrap_or_default();
            self.role_sorter.allocation(index.0).cloned().unwrap_or_default() == given
        });
        &total == self.basis.total() && members_agree && roles_agree
    }
}
