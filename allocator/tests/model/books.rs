//! What events change in the model: each method does what the core's of the same name does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use allocator::core::subscribed_roles;
use allocator::{FrameworkOptions, Options, Quota};
use mesos::resources::ResourceConversion;
use mesos::{AgentId, FrameworkId, ResourceError, Resources, v1};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::{Agent, Filter, Framework, Model, Subscription, is_at_or_below};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Model {
    pub fn new(options: Options, seed: u64) -> Model {
        Model {
            options,
            agents: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            weights: BTreeMap::new(),
            quotas: BTreeMap::new(),
            whitelist: None,
            marked: BTreeSet::new(),
            all_marked: false,
            places: Vec::new(),
            free_places: Vec::new(),
            chosen: BTreeMap::new(),
            chosen_members: BTreeMap::new(),
            random: SmallRng::seed_from_u64(seed),
        }
    }

    pub fn add_framework(
        &mut self,
        id: &FrameworkId,
        info: &v1::FrameworkInfo,
        active: bool,
        options: &FrameworkOptions,
    ) {
        let (info, constraints) = (info.clone(), options.constraints.clone());
        let subscribed = subscribed_roles(&info);
        self.frameworks.insert(id.clone(), Framework { active, info, constraints, roles: BTreeMap::new() });
        for role in subscribed {
            self.subscribe(id, &role, options.suppressed_roles.contains(&role));
        }
        self.all_marked |= active;
    }

    pub fn remove_framework(&mut self, id: &FrameworkId) {
        self.frameworks.remove(id);
        for agent in self.agents.values_mut() {
            agent.given.retain(|(framework, _), _| framework != id);
        }
        self.all_marked |= self.options.allocation_on_recovery;
        self.settle();
    }

    pub fn activate_framework(&mut self, id: &FrameworkId) {
        self.framework(id).active = true;
        self.all_marked = true;
    }

    pub fn deactivate_framework(&mut self, id: &FrameworkId) {
        let framework = self.framework(id);
        framework.active = false;
        framework.roles.values_mut().for_each(|role| role.filters.clear());
    }

    pub fn update_framework(
        &mut self,
        id: &FrameworkId,
        info: &v1::FrameworkInfo,
        options: &FrameworkOptions,
    ) {
        let subscribed = subscribed_roles(info);
        let framework = self.framework(id);
        framework.info = info.clone();
        let constraints = std::mem::replace(&mut framework.constraints, options.constraints.clone());
        framework.roles.retain(|role, _| subscribed.contains(role));
        self.settle();
        for role in subscribed {
            let is_suppressed = options.suppressed_roles.contains(&role);
            let was = self.framework(id).roles.get(&role).map(|role| role.suppressed);
            self.subscribe(id, &role, is_suppressed);
            if !is_suppressed && was != Some(false) {
                self.revive(id, &role);
            }
            let constraints_before = was.and_then(|_| constraints.of_role(&role));
            self.all_marked |= constraints_before != options.constraints.of_role(&role);
        }
    }

    fn subscribe(&mut self, id: &FrameworkId, role: &str, suppressed: bool) {
        self.framework(id).roles.entry(role.to_owned()).or_default().suppressed = suppressed;
        self.settle();
    }

    pub fn suppress_offers(&mut self, id: &FrameworkId, roles: &BTreeSet<String>) {
        for (role, subscription) in &mut self.framework(id).roles {
            subscription.suppressed |= roles.is_empty() || roles.contains(role);
        }
    }

    pub fn revive_offers(&mut self, id: &FrameworkId, roles: &BTreeSet<String>) {
        let all: Vec<String> = self.framework(id).roles.keys().cloned().collect();
        for role in all.iter().filter(|role| roles.is_empty() || roles.contains(*role)) {
            self.revive(id, role);
        }
        self.all_marked = true;
    }

    fn revive(&mut self, id: &FrameworkId, role: &str) {
        self.framework(id).roles.insert(role.to_owned(), Subscription::default());
        self.all_marked = true;
    }

    pub fn update_weights(&mut self, weights: &BTreeMap<String, f64>) {
        self.weights.extend(weights.clone());
    }

    pub fn update_quota(&mut self, role: &str, quota: &Quota) {
        self.quotas.insert(role.to_owned(), quota.clone());
    }

    pub fn add_agent(
        &mut self,
        id: &AgentId,
        info: v1::AgentInfo,
        capabilities: &[v1::agent_info::Capability],
        total: &Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    ) {
        let capabilities = capabilities.to_vec();
        let agent = Agent { info, capabilities, active: true, total: total.clone(), given: BTreeMap::new() };
        self.agents.insert(id.clone(), agent);
        let place = self.free_places.pop().unwrap_or(self.places.len());
        if place == self.places.len() {
            self.places.push(None);
        }
        self.places[place] = Some(id.clone());
        for (framework, used) in used {
            for (role, used) in used.allocations() {
                self.give(id, framework, &role, &used);
                self.settle();
                self.choose(framework, &role);
            }
        }
        self.marked.insert(id.clone());
    }

    pub fn remove_agent(&mut self, id: &AgentId) {
        self.agents.remove(id);
        self.marked.remove(id);
        if let Some(place) = self.places.iter().position(|place| place.as_ref() == Some(id)) {
            self.places[place] = None;
            self.free_places.push(place);
        }
        self.forget_filters(id);
        self.settle();
    }

    pub fn update_agent(
        &mut self,
        id: &AgentId,
        info: v1::AgentInfo,
        total: Option<&Resources>,
        capabilities: Option<&[v1::agent_info::Capability]>,
    ) {
        if self.agent(id).info.attributes != info.attributes {
            self.forget_filters(id);
        }
        let agent = self.agent(id);
        let total = total.unwrap_or(&agent.total).clone();
        let capabilities = capabilities.unwrap_or(&agent.capabilities).to_vec();
        let same = agent.info == info && agent.total == total && agent.capabilities == capabilities;
        (agent.info, agent.total, agent.capabilities) = (info, total, capabilities);
        if !same {
            self.marked.insert(id.clone());
        }
    }

    fn forget_filters(&mut self, id: &AgentId) {
        let roles = self.frameworks.values_mut().flat_map(|framework| framework.roles.values_mut());
        roles.for_each(|role| role.filters.retain(|filter| filter.agent != *id));
    }

    pub fn activate_agent(&mut self, id: &AgentId) {
        self.agent(id).active = true;
        self.marked.insert(id.clone());
    }

    pub fn deactivate_agent(&mut self, id: &AgentId) {
        self.agent(id).active = false;
    }

    pub fn update_whitelist(&mut self, whitelist: Option<BTreeSet<String>>) {
        self.whitelist = whitelist;
    }

    /// `resources` are allocated to one role.
    pub fn recover_resources(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        filters: Option<&v1::Filters>,
        is_allocated: bool,
        now: Duration,
    ) {
        let Some((role, resources)) = resources.allocations().pop_first() else { return };
        self.take_back(agent, framework, &role, &resources);
        let interval = self.options.allocation_interval;
        let known = self.frameworks.get_mut(framework);
        let subscription = known.and_then(|framework| framework.roles.get_mut(&role));
        if let Some(subscription) = subscription
            && let Some(timeout) = filters.and_then(|filters| refusal(filters.refuse_seconds))
        {
            let (agent, refused) = (agent.clone(), resources.unallocated());
            subscription.filters.push(Filter { agent, refused, until: now + timeout.max(interval) });
        }
        if is_allocated && self.options.allocation_on_recovery {
            self.marked.insert(agent.clone());
        }
        self.settle();
    }

    /// `offered` is allocated to one role, and the framework has it.
    pub fn update_allocation(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        offered: &Resources,
        conversions: &[ResourceConversion],
    ) -> Result<(), ResourceError> {
        let Some((role, offered)) = offered.allocations().pop_first() else { return Ok(()) };
        let converted = offered.apply_conversions(conversions)?;
        // Another copy of a shared resource consumes nothing, and changes nothing of what the agent has.
        let steps = conversions.iter().filter(|step| !step.consumed.is_empty());
        let steps = steps
            .map(|step| ResourceConversion::new(step.consumed.unallocated(), step.converted.unallocated()));
        let total = self.agent(agent).total.apply_conversions(&steps.collect::<Vec<_>>())?;
        self.agent(agent).total = total;
        self.take_back(agent, framework, &role, &offered);
        self.give(agent, framework, &role, &converted);
        self.settle();
        Ok(())
    }

    /// An operator's operation on what is free.
    pub fn update_available(
        &mut self,
        agent: &AgentId,
        operation: &v1::offer::Operation,
    ) -> Result<(), ResourceError> {
        let agent = self.agent(agent);
        agent.free().apply(operation)?;
        agent.total = agent.total.apply(operation)?;
        Ok(())
    }

    /// What a framework holds of an agent for a role.
    pub fn held(&self, framework: &FrameworkId, agent: &AgentId, role: &str) -> Resources {
        let key = (framework.clone(), role.to_owned());
        self.agents.get(agent).and_then(|agent| agent.given.get(&key)).cloned().unwrap_or_default()
    }

    pub(super) fn give(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &str,
        resources: &Resources,
    ) {
        let key = (framework.clone(), role.to_owned());
        *self.agent(agent).given.entry(key).or_default() += resources.unallocated();
    }

    fn take_back(&mut self, agent: &AgentId, framework: &FrameworkId, role: &str, resources: &Resources) {
        let given = &mut self.agent(agent).given;
        if let Some(held) = given.get_mut(&(framework.clone(), role.to_owned())) {
            *held -= resources.unallocated();
        }
        given.retain(|_, held| !held.is_empty());
    }

    /// Notes that it was a framework's turn in a role.
    pub(super) fn choose(&mut self, framework: &FrameworkId, role: &str) {
        *self.chosen_members.entry((role.to_owned(), framework.clone())).or_default() += 1;
        let leaf = format!("{role}/.");
        for (node, times) in &mut self.chosen {
            *times += u64::from(*node == leaf || is_at_or_below(role, node));
        }
    }

    /// Whose turn it was how often is known of those who are members, and of their roles.
    fn settle(&mut self) {
        let subscribed = self.frameworks.iter().flat_map(|(id, framework)| {
            framework.roles.keys().map(|role| (role.clone(), id.clone())).collect::<Vec<_>>()
        });
        let holders = self.agents.values().flat_map(|agent| agent.given.keys());
        let holders = holders.map(|(framework, role)| (role.clone(), framework.clone()));
        let members: BTreeSet<(String, FrameworkId)> = subscribed.chain(holders).collect();
        let old_roles: BTreeSet<String> = self.chosen_members.keys().map(|(role, _)| role.clone()).collect();
        let roles: BTreeSet<String> = members.iter().map(|(role, _)| role.clone()).collect();
        self.chosen_members.retain(|member, _| members.contains(member));
        for member in members {
            self.chosen_members.entry(member).or_insert(0);
        }
        let old = std::mem::take(&mut self.chosen);
        for role in &roles {
            let above = role.match_indices('/').map(|(end, _)| &role[..end]);
            for node in above.chain([role.as_str()]) {
                let times = old.get(node).copied().unwrap_or(0);
                self.chosen.insert(node.to_owned(), times);
            }
            if roles.iter().any(|other| other != role && is_at_or_below(other, role)) {
                // A role that gets others below it goes on as a leaf of its own with its count.
                let leaf = format!("{role}/.");
                let was_leaf = old_roles.contains(role) && !old.contains_key(&leaf);
                let inherited = if was_leaf { old.get(role) } else { None };
                let times = old.get(&leaf).or(inherited).copied().unwrap_or(0);
                self.chosen.insert(leaf, times);
            }
        }
    }

    fn agent(&mut self, id: &AgentId) -> &mut Agent {
        self.agents.get_mut(id).expect("events are about agents that were added")
    }

    fn framework(&mut self, id: &FrameworkId) -> &mut Framework {
        self.frameworks.get_mut(id).expect("events are about frameworks that were added")
    }
}

/// How long a refusal holds: 5 seconds by default, not at all for 0 seconds, a year at most.
fn refusal(refuse_seconds: Option<f64>) -> Option<Duration> {
    let default = Duration::from_secs(5);
    match refuse_seconds {
        None => Some(default),
        Some(0.0) => None,
        Some(seconds) if seconds > YEAR.as_secs_f64() => Some(YEAR),
        Some(seconds) => Some(Duration::try_from_secs_f64(seconds).unwrap_or(default)),
    }
}
