//! The allocation algorithm, slow and obvious: what the core must do, without anything that makes it fast.
//!
//! Written from upstream's `__generateOffers` (`hierarchical.cpp`) and `sorter/drf/sorter.cpp`, and from
//! nothing of `src/core`. Ids are strings, amounts are sums over all agents, made anew whenever they are
//! asked for, and everything is sorted anew for every agent. Where the core differs from upstream knowingly
//! (the crate's README says where), so does the model. `books.rs` says what events change.
//!
//! Chance is the core's: agents stand in the order of their places, which are reused, the last one that
//! was freed first, and are shuffled with a generator of the same seed.

#![allow(dead_code, unreachable_pub, reason = "tests and benchmarks use their parts")]

mod books;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use allocator::core::{OfferConstraintsFilter, Scope};
use allocator::{Offers, Options, Quota};
use mesos::{AgentId, FrameworkId, Resource, ResourceQuantities, Resources, v1};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

/// The state of the cluster, and nothing that follows from it.
pub struct Model {
    options: Options,
    agents: BTreeMap<AgentId, Agent>,
    frameworks: BTreeMap<FrameworkId, Framework>,
    weights: BTreeMap<String, f64>,
    quotas: BTreeMap<String, Quota>,
    whitelist: Option<BTreeSet<String>>,
    /// Agents that the next run of marked agents looks at; `all_marked`: at all.
    marked: BTreeSet<AgentId>,
    all_marked: bool,
    /// The agents' places, and those that are free. They decide the order before the shuffle.
    places: Vec<Option<AgentId>>,
    free_places: Vec<usize>,
    /// How often each node of the tree of roles was chosen: `a`, `a/b`, and `a/.` for the role `a` itself
    /// if there are roles below it. The nodes are those of roles with members.
    chosen: BTreeMap<String, u64>,
    /// The same of the members of each role. A member is a framework that subscribes to the role or
    /// holds something for it.
    chosen_members: BTreeMap<(String, FrameworkId), u64>,
    random: SmallRng,
}

struct Agent {
    info: v1::AgentInfo,
    capabilities: Vec<v1::agent_info::Capability>,
    active: bool,
    total: Resources,
    /// What is offered to or used by a framework in a role.
    given: BTreeMap<(FrameworkId, String), Resources>,
}

struct Framework {
    active: bool,
    info: v1::FrameworkInfo,
    constraints: OfferConstraintsFilter,
    roles: BTreeMap<String, Subscription>,
}

#[derive(Default)]
struct Subscription {
    suppressed: bool,
    filters: Vec<Filter>,
}

struct Filter {
    agent: AgentId,
    refused: Resources,
    until: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Guarantees,
    Everybody,
}

/// One run.
struct Run<'a> {
    model: &'a mut Model,
    now: Duration,
    offers: Offers,
    offered_shared: BTreeMap<AgentId, Resources>,
    /// The headroom: what must stay free for guarantees, and what is free that could meet them.
    required: ResourceQuantities,
    available: ResourceQuantities,
}

impl Model {
    /// Who is offered what. It is given in the books.
    pub fn allocate(&mut self, now: Duration, scope: Scope) -> Offers {
        let mut agents = self.candidates(scope);
        if agents.is_empty() || self.chosen.is_empty() {
            return Offers::new();
        }
        let required = self.quotas.keys().map(|role| self.missing(role)).sum();
        let available = self.agents.values().map(|agent| quantities(&loose(&agent.free()))).sum();
        let mut random = self.random.clone();
        let mut run = Run {
            model: self,
            now,
            offers: Offers::new(),
            offered_shared: BTreeMap::new(),
            required,
            available,
        };
        if !run.required.is_empty() {
            agents.shuffle(&mut random);
            agents.iter().for_each(|agent| run.offer_agent(agent, Stage::Guarantees));
        }
        agents.shuffle(&mut random);
        agents.iter().for_each(|agent| run.offer_agent(agent, Stage::Everybody));
        let offers = run.offers;
        self.random = random;
        offers
    }

    /// The agents of a run that can be offered, by their places. Their marks are gone.
    fn candidates(&mut self, scope: Scope) -> Vec<AgentId> {
        let all = std::mem::take(&mut self.all_marked) || scope == Scope::All;
        let marked = std::mem::take(&mut self.marked);
        let is_asked = |id: &&AgentId| (all || marked.contains(*id)) && self.takes_part(&self.agents[*id]);
        self.places.iter().flatten().filter(is_asked).cloned().collect()
    }

    /// All roles with members, in the order of their turns: the tree, siblings by share.
    pub fn roles_by_share(&self) -> Vec<String> {
        self.roles_below("")
    }

    fn roles_below(&self, parent: &str) -> Vec<String> {
        let is_child = |node: &&String| node.rsplit_once('/').map_or("", |(above, _)| above) == parent;
        let mut children: Vec<&String> = self.chosen.keys().filter(is_child).collect();
        children.sort_by_cached_key(|node| (in_order(self.share_of_node(node)), self.chosen[*node], *node));
        let mut roles = Vec::new();
        for child in children {
            let below = self.roles_below(child);
            if below.is_empty() {
                roles.push(child.trim_end_matches("/.").to_owned());
            }
            roles.extend(below);
        }
        roles
    }

    /// The share of a role with all roles below it, or of the role alone (`a/.`), by its weight.
    fn share_of_node(&self, node: &str) -> f64 {
        let has = match node.strip_suffix("/.") {
            Some(alone) => self.given(|_, role| role == alone),
            None => self.given(|_, role| is_at_or_below(role, node)),
        };
        self.dominant_share(&has) / self.weights.get(node).unwrap_or(&1.0)
    }

    /// The frameworks of a role that want offers for it, in the order of their turns.
    pub fn frameworks_by_share(&self, role: &str) -> Vec<FrameworkId> {
        let wants_offers = |id: &&FrameworkId| {
            let framework = &self.frameworks[*id];
            framework.active && framework.roles.get(role).is_some_and(|role| !role.suppressed)
        };
        let mut frameworks: Vec<&FrameworkId> = self.frameworks.keys().filter(wants_offers).collect();
        frameworks.sort_by_cached_key(|id| {
            let chosen = self.chosen_members[&(role.to_owned(), (*id).clone())];
            (in_order(self.share_of_framework(id, role)), chosen, *id)
        });
        frameworks.into_iter().cloned().collect()
    }

    /// The share of a framework in a role.
    pub fn share_of_framework(&self, framework: &FrameworkId, role: &str) -> f64 {
        self.dominant_share(&self.given(|to, for_role| to == framework && for_role == role))
    }

    fn dominant_share(&self, has: &ResourceQuantities) -> f64 {
        let total: ResourceQuantities = self.agents.values().map(|agent| quantities(&agent.total)).sum();
        let counts = |name: &str| !self.options.excluded_from_shares.contains(name);
        let shares = total.iter().filter(|(name, _)| counts(name));
        let shares = shares.map(|(name, of)| has.get(name).millis() as f64 / of.millis() as f64);
        shares.fold(0.0, f64::max)
    }

    /// The scalars that some are given; of what is shared one copy counts on each agent.
    fn given(&self, to: impl Fn(&FrameworkId, &str) -> bool) -> ResourceQuantities {
        let of_agent = |agent: &Agent| {
            let given = agent.given.iter().filter(|((framework, role), _)| to(framework, role));
            quantities(&given.map(|(_, resources)| resources.clone()).sum())
        };
        self.agents.values().map(of_agent).sum()
    }

    /// What counts against a quota: reservations, given or not, and what is given of the unreserved.
    pub fn consumed(&self, role: &str) -> ResourceQuantities {
        let of_agent = |agent: &Agent| {
            let of_role = |resource: &Resource| {
                resource.reservation_role().is_some_and(|other| is_at_or_below(other, role))
            };
            let given = agent.given.iter().filter(|((_, for_role), _)| is_at_or_below(for_role, role));
            let given: ResourceQuantities = given.map(|(_, resources)| quantities(&loose(resources))).sum();
            quantities(&agent.total.filter(of_role)) + given
        };
        self.agents.values().map(of_agent).sum()
    }

    /// What is missing to a role's guarantees.
    pub fn missing(&self, role: &str) -> ResourceQuantities {
        match self.quotas.get(role) {
            Some(quota) => &quota.guarantees - &self.consumed(role),
            None => ResourceQuantities::new(),
        }
    }

    /// What a framework's role may get of an agent at all, were there no quotas and filters.
    pub fn usable(&self, agent: &AgentId, framework: &FrameworkId, role: &str) -> Option<Resources> {
        let free = self.agents[agent].free().allocatable_to(role);
        self.usable_of(free, agent, framework, role)
    }

    fn usable_of(
        &self,
        free: Resources,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &str,
    ) -> Option<Resources> {
        use v1::framework_info::capability::Type;
        let framework = &self.frameworks[framework];
        let can = |wanted: Type| framework.info.capabilities.iter().any(|one| one.r#type() == wanted);
        let agent = &self.agents[agent];
        if !self.reaches_minimum(&free, framework, role)
            || !self.may_use(agent, can, role)
            || framework.constraints.is_agent_excluded(role, &agent.info)
        {
            return None;
        }
        Some(free.filter(|resource| {
            (can(Type::SharedResources) || !resource.is_shared())
                && (can(Type::RevocableResources) || !resource.is_revocable())
                && (can(Type::ReservationRefinement) || !resource.has_refined_reservations())
        }))
    }

    /// Whether a framework has a filter that covers this much of an agent.
    pub fn refuses(
        &self,
        framework: &FrameworkId,
        role: &str,
        agent: &AgentId,
        offer: &Resources,
        now: Duration,
    ) -> bool {
        self.frameworks[framework].roles[role]
            .filters
            .iter()
            .any(|filter| filter.agent == *agent && filter.until >= now && filter.refused.contains(offer))
    }

    /// Whether this much is enough for an offer.
    pub fn is_enough(&self, resources: &Resources, framework: &FrameworkId, role: &str) -> bool {
        self.reaches_minimum(resources, &self.frameworks[framework], role)
    }

    /// Each agent that takes part with each framework and role that wants offers.
    pub fn pairs(&self) -> Vec<(AgentId, FrameworkId, String)> {
        let agents = self.agents.iter().filter(|(_, agent)| self.takes_part(agent));
        let of_agent = |(agent, _): (&AgentId, &Agent)| {
            let roles = self.roles_by_share().into_iter();
            let members = roles.flat_map(|role| {
                let frameworks = self.frameworks_by_share(&role).into_iter();
                frameworks.map(move |framework| (framework, role.clone()))
            });
            let agent = agent.clone();
            members.map(move |(framework, role)| (agent.clone(), framework, role)).collect::<Vec<_>>()
        };
        agents.flat_map(of_agent).collect()
    }

    fn takes_part(&self, agent: &Agent) -> bool {
        let listed = self.whitelist.as_ref().is_none_or(|listed| listed.contains(&agent.info.hostname));
        agent.active && listed && !agent.free().is_empty()
    }

    fn may_use(
        &self,
        agent: &Agent,
        can: impl Fn(v1::framework_info::capability::Type) -> bool,
        role: &str,
    ) -> bool {
        use v1::agent_info::capability::Type as AgentType;
        use v1::framework_info::capability::Type;
        let agent_can = |wanted: AgentType| agent.capabilities.iter().any(|one| one.r#type() == wanted);
        let has_gpus = agent.total.scalar("gpus").is_positive();
        let domain = agent.info.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
        let is_remote =
            domain.is_some_and(|domain| self.options.region.as_ref() != Some(&domain.region.name));
        (can(Type::GpuResources) || !has_gpus || !self.options.filter_gpu_resources)
            && (can(Type::RegionAware) || !is_remote)
            && (agent_can(AgentType::MultiRole) || !can(Type::MultiRole))
            && (agent_can(AgentType::HierarchicalRole) || !role.contains('/'))
    }

    /// One minimum is enough; without minimums anything is. Nothing is never enough.
    fn reaches_minimum(&self, resources: &Resources, framework: &Framework, role: &str) -> bool {
        let own = framework.info.offer_filters.get(role);
        let minimums: Vec<ResourceQuantities> =
            match own.and_then(|filters| filters.min_allocatable_resources.as_ref()) {
                Some(own) => own.quantities.iter().map(|one| (&one.quantities).into()).collect(),
                None => self.options.min_allocatable_resources.clone(),
            };
        let reached = minimums.is_empty() || minimums.iter().any(|one| resources.contains_quantities(one));
        !resources.is_empty() && reached
    }
}

impl Run<'_> {
    fn offer_agent(&mut self, agent: &AgentId, stage: Stage) {
        for role in self.model.roles_by_share() {
            if self.model.agents[agent].free().is_empty() {
                break;
            }
            for framework in self.model.frameworks_by_share(&role) {
                if stage == Stage::Guarantees && self.model.missing(&role).is_empty() {
                    break;
                }
                if let Some(offer) = self.offer_for(agent, &framework, &role, stage) {
                    self.offer(agent, &framework, &role, offer, stage);
                }
            }
        }
    }

    /// What a framework is offered of an agent for a role, if it may and wants to have it.
    fn offer_for(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &str,
        stage: Stage,
    ) -> Option<Resources> {
        let mut free = self.model.agents[agent].free().allocatable_to(role);
        if let Some(offered) = self.offered_shared.get(agent) {
            free -= offered;
        }
        let usable = self.model.usable_of(free, agent, framework, role)?;
        let offer = self.within_quota(role, &usable, stage)?;
        let is_wanted = self.model.is_enough(&offer, framework, role)
            && !self.model.refuses(framework, role, agent, &offer, self.now);
        is_wanted.then_some(offer)
    }

    /// Cuts the unreserved and irrevocable scalars. In the first stage there must be some that are missing.
    fn within_quota(&self, role: &str, usable: &Resources, stage: Stage) -> Option<Resources> {
        let unlimited = Quota::default();
        let quota = self.model.quotas.get(role).unwrap_or(&unlimited);
        if quota.limits.is_empty() && self.required.is_empty() {
            return Some(usable.clone());
        }
        let missing = self.model.missing(role);
        let all = quantities(&loose(usable));
        let guaranteed =
            if stage == Stage::Guarantees { min(&all, &missing) } else { ResourceQuantities::new() };
        let mut beyond = &all - &guaranteed;
        let consumed = self.model.consumed(role) + &guaranteed;
        for (name, limit) in quota.limits.iter() {
            let left = limit.minus_or_zero(consumed.get(name));
            beyond.decrease(name, beyond.get(name).minus_or_zero(left));
        }
        if !self.required.is_empty() {
            beyond = min(&beyond, &(&self.available - &self.required));
        }
        let mut offer = cut(&loose(usable), &(guaranteed + &beyond));
        if stage == Stage::Guarantees && min(&quantities(&offer), &missing).is_empty() {
            return None;
        }
        offer += usable.filter(|resource| !is_loose(resource));
        Some(offer)
    }

    fn offer(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &str,
        offer: Resources,
        stage: Stage,
    ) {
        let amounts = quantities(&loose(&offer));
        if stage == Stage::Guarantees {
            self.required -= min(&amounts, &self.model.missing(role));
        }
        self.available -= amounts;
        *self.offered_shared.entry(agent.clone()).or_default() += offer.shared();
        self.model.give(agent, framework, role, &offer);
        self.model.choose(framework, role);
        let by_role = self.offers.entry(framework.clone()).or_default();
        let by_agent = by_role.entry(role.to_owned()).or_default();
        *by_agent.entry(agent.clone()).or_default() += offer.allocated_to(role);
    }
}

impl Agent {
    /// What is not given. Shared resources always are free; where a total shrank nothing is free.
    fn free(&self) -> Resources {
        self.given.values().fold(self.total.clone(), |free, given| free - given.non_shared())
    }
}

/// Shares are not negative, and the bits of such numbers are in the order of the numbers.
fn in_order(share: f64) -> u64 {
    share.to_bits()
}

fn is_at_or_below(role: &str, top: &str) -> bool {
    role.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn quantities(resources: &Resources) -> ResourceQuantities {
    ResourceQuantities::from_scalar_resources(resources)
}

fn is_loose(resource: &Resource) -> bool {
    resource.scalar().is_some() && resource.is_unreserved() && !resource.is_revocable()
}

/// What quotas count when it is given, and headroom is made of.
fn loose(resources: &Resources) -> Resources {
    resources.filter(is_loose)
}

fn min(left: &ResourceQuantities, right: &ResourceQuantities) -> ResourceQuantities {
    left - &(left - right)
}

/// At most so much, of plain scalars first, and of disks with a source what remains.
fn cut(resources: &Resources, allowed: &ResourceQuantities) -> Resources {
    let is_plain = |resource: &Resource| resource.disk().is_none() && resource.provider_id().is_none();
    let plain = resources.filter(is_plain).shrink_to_quantities(allowed);
    let left = allowed - &quantities(&plain);
    plain + resources.filter(|resource| !is_plain(resource)).shrink_to_quantities(&left)
}
