//! The allocation pass: who is offered what.
//!
//! Agents are taken in random order. For each agent, the roles are asked in the order of their shares,
//! and in each role its members in the order of theirs; whoever may and wants to have what is free is
//! offered all of it. Two stages (upstream: `__generateOffers` in `hierarchical.cpp`):
//!
//! 1. Roles that lack something to their guarantees. They are offered what they lack, and beyond it what
//!    their limits and the others' guarantees leave. Skipped when nobody has a guarantee.
//! 2. Everybody, with what the guarantees still lack held back.
//!
//! What is offered is given in the books at once, so that the order of roles and members changes as the
//! pass goes on. The order within one agent's turn is that of its beginning, as upstream's, which copies
//! it; here the walk goes on through the changed order ([`Walk`]).
//!
//! Never offered: agents that are out of service or not whitelisted; to a member, what it refused and its
//! filter still covers, what its framework has no capability for, an agent that it lacks something for or
//! excludes (`lack.rs`), a shared resource twice in a run, and less than the minimum.
//!
//! That is all there is to it. What else stands here are short cuts, so that the pass does not ask whom it
//! need not ask; none of them changes what is offered:
//!
//! - an agent with less than any minimum is passed over, and one of which everybody refused what is free;
//! - those who refused what is free, or whose constraints exclude the agent, are left out of the walk
//!   ([`super::filters`], [`super::exclusions`]);
//! - in the first stage only roles that lack something are asked, and in the second roles whose limits are
//!   reached are not, where an agent has nothing but unreserved amounts ([`Lane`]).

use std::collections::BTreeMap;
use std::time::Duration;

use mesos::sabotage::{Bug, is_on};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::amounts::Amounts;
use super::bits::Bits;
use super::bundle::{Bundle, Rest};
use super::ids::{AgentIdx, FrameworkIdx, MemberIdx, RoleIdx};
use super::sorter::{Basis, Cursor, Lane, Sorter};
use super::{Core, LACKING, OPEN};
use crate::options::SorterKind;

/// Which agents a run looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that events marked since the last run.
    Marked,
    /// All.
    All,
}

/// One decision: all of this, of one agent, to a framework in a role.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The framework.
    pub framework: FrameworkIdx,
    /// The role it is offered for.
    pub role: RoleIdx,
    /// The agent.
    pub agent: AgentIdx,
    /// What is offered.
    pub bundle: Bundle,
}

impl Core {
    /// Runs the pass, and gives in the books what it says. Nothing while allocation is held or paused.
    pub fn allocate(&mut self, now: Duration, scope: Scope) -> Vec<Grant> {
        if self.paused || self.is_held(now) {
            return Vec::new();
        }
        if self.hold.take().is_some() {
            self.mark_all();
        }
        let agents = self.candidates(scope);
        if agents.is_empty() || self.role_sorter.is_empty() {
            return Vec::new();
        }
        Pass::new(self, now).run(agents)
    }

    /// The agents of a run that take part, in the order of their indices. Their marks are gone.
    fn candidates(&mut self, scope: Scope) -> Vec<AgentIdx> {
        let mut marked = std::mem::take(&mut self.marked);
        let all = std::mem::take(&mut self.all_marked) || scope == Scope::All;
        if all {
            marked.clear();
            marked.extend(self.agents.iter().map(|(agent, _)| agent));
        } else {
            // An agent that came in the place of one that was marked and is gone is marked itself.
            marked.retain(|agent| self.agents.get(*agent).is_some_and(|entry| entry.marked));
            marked.sort_unstable();
            marked.dedup();
        }
        for agent in &marked {
            self.agents[*agent].marked = false;
        }
        self.maintenance.note(&marked);
        let heeded = !is_on(Bug::OffersUnlisted);
        marked.retain(|agent| {
            let entry = &self.agents[*agent];
            let listed = self.whitelist.as_ref().is_none_or(|listed| listed.contains(&entry.info.hostname));
            entry.active && (listed || !heeded) && !entry.free().is_empty()
        });
        marked
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Guarantees,
    Everybody,
}

/// A walk over a sorter's clients in the order of its beginning.
enum Walk {
    /// Through the sorter's own order.
    Live(Cursor),
    /// The clients that were left when the order was about to change.
    Kept(std::vec::IntoIter<u32>),
}

impl Walk {
    /// Begins a walk over the clients of a lane in the order that the options ask for.
    fn begin(
        sorter: &mut Sorter,
        kind: SorterKind,
        lane: Lane,
        basis: &Basis,
        random: &mut SmallRng,
    ) -> Walk {
        match kind {
            SorterKind::Drf => {
                let mut cursor = Cursor::default();
                sorter.start(&mut cursor, lane, basis);
                Walk::Live(cursor)
            }
            SorterKind::Random => Walk::Kept(sorter.shuffled(lane, random).into_iter()),
        }
    }

    fn next(&mut self, sorter: &Sorter) -> Option<u32> {
        match self {
            Walk::Live(cursor) => sorter.next(cursor),
            Walk::Kept(clients) => clients.next(),
        }
    }

    /// Must be called before the sorter changes in other ways than [`Walk::go_on`] allows.
    fn keep(&mut self, sorter: &Sorter) {
        if let Walk::Live(cursor) = self {
            *self = Walk::Kept(sorter.rest(cursor).into_iter());
        }
    }

    /// Must be called after the last client was given something, before the walk goes on.
    fn go_on(&mut self, sorter: &Sorter) {
        if let Walk::Live(cursor) = self {
            sorter.go_on(cursor);
        }
    }
}

pub(super) struct Pass<'a> {
    pub(super) core: &'a mut Core,
    now: Duration,
    grants: Vec<Grant>,
    /// Shared resources that were offered in this run: once is enough.
    offered_shared: BTreeMap<AgentIdx, Rest>,
    /// What must stay free for the guarantees; zero when there are none.
    pub(super) required: Amounts,
    /// What is free of what guarantees are met with. Only counted when something is required.
    pub(super) available: Amounts,
    /// Whom to ask on the present agent: the active members without those who refused what is free, or
    /// exclude the agent.
    asked: Bits<MemberIdx>,
    /// The roles of these, where they are few.
    asked_roles: Vec<RoleIdx>,
}

/// Up to so many members it pays to look up which roles they are in, before a walk over all roles.
const FEW: usize = 8;
/// So many agents are looked at before the turn of the first of them.
const TOGETHER: usize = 16;

impl<'a> Pass<'a> {
    pub(super) fn new(core: &'a mut Core, now: Duration) -> Self {
        let mut pass = Pass {
            core,
            now,
            grants: Vec::new(),
            offered_shared: BTreeMap::new(),
            required: Amounts::ZERO,
            available: Amounts::ZERO,
            asked: Bits::default(),
            asked_roles: Vec::new(),
        };
        if pass.core.roles.any_guarantee() && !is_on(Bug::IgnoresGuarantees) {
            pass.required = pass.core.roles.required_headroom();
            for (_, agent) in pass.core.agents.iter() {
                pass.available += &agent.free().loose();
            }
        }
        pass
    }

    fn run(mut self, mut agents: Vec<AgentIdx>) -> Vec<Grant> {
        self.core.filters.settle();
        let mut idle = Bits::default();
        for agent in &agents {
            self.core.filters.expire(*agent, self.now);
            if !self.is_wanted(*agent) {
                idle.insert(*agent);
            }
        }
        if !self.required.is_zero() {
            agents.shuffle(&mut self.core.random);
            self.offer_agents(&agents, &idle, Stage::Guarantees);
        }
        // Shuffled again: the first stage leaves the end of its list fuller than the beginning.
        agents.shuffle(&mut self.core.random);
        self.offer_agents(&agents, &idle, Stage::Everybody);
        self.grants
    }

    fn offer_agents(&mut self, agents: &[AgentIdx], idle: &Bits<AgentIdx>, stage: Stage) {
        // Agents lie scattered in memory. To look at several before the turn of the first brings them into
        // the cache together, instead of one after the other.
        for several in agents.chunks(TOGETHER) {
            let mut wanted = [None; TOGETHER];
            for (place, agent) in wanted.iter_mut().zip(several) {
                *place = Some(*agent)
                    .filter(|agent| !idle.contains(*agent) && self.is_worth_a_walk(*agent, stage));
            }
            for agent in wanted.into_iter().flatten() {
                self.offer_agent(agent, stage);
            }
        }
    }

    /// Whether anybody could be offered an agent, as it is at the beginning of a run. Asked of all agents in
    /// the order in which they lie in memory: most agents of a quiet cluster are passed over here.
    fn is_wanted(&mut self, agent: AgentIdx) -> bool {
        let core = &*self.core;
        let free = core.agents[agent].free();
        if core.own_minimums == 0 && !core.minimums.reached_by(free) {
            return false;
        }
        if !core.filters.any_on(agent) && !core.exclusions.any_on(agent) {
            return true;
        }
        self.find_asked(agent)
    }

    fn offer_agent(&mut self, agent: AgentIdx, stage: Stage) {
        if !self.find_asked(agent) {
            return;
        }
        let lane = self.lane(agent, stage);
        let core = &mut *self.core;
        let kind = core.options.role_sorter;
        let mut roles = Walk::begin(&mut core.role_sorter, kind, lane, &core.basis, &mut core.random);
        while !self.core.agents[agent].free().is_empty() {
            let Some(role) = roles.next(&self.core.role_sorter) else { return };
            let role = RoleIdx(role);
            if self.asked_roles.is_empty() || self.asked_roles.contains(&role) {
                self.offer_role(agent, role, stage, &mut roles);
            }
        }
    }

    /// Whether what is free of an agent, and may be given away, reaches the least offer.
    fn is_worth_a_walk(&self, agent: AgentIdx, stage: Stage) -> bool {
        let free = self.core.agents[agent].free();
        let minimums = &self.core.minimums;
        if free.is_empty() {
            return false;
        }
        if self.core.own_minimums > 0 || minimums.ask_for_other_than_plain(free) {
            return true;
        }
        if stage == Stage::Guarantees || self.required.is_zero() {
            return minimums.reached_by_amounts(&free.plain);
        }
        minimums.reached_by_amounts(&free.plain.min(&self.available.minus(&self.required)))
    }

    /// Finds out whom to ask on an agent. False if nobody.
    fn find_asked(&mut self, agent: AgentIdx) -> bool {
        let core = &*self.core;
        self.asked.copy_from(&core.active);
        core.filters.without_refusers(&mut self.asked, agent, core.agents[agent].free());
        core.exclusions.without_excluding(&mut self.asked, agent);
        let asked = self.asked.len();
        self.asked_roles.clear();
        if asked <= FEW {
            self.asked_roles.extend(self.asked.iter().map(|member| core.members[member].role));
        }
        asked > 0
    }

    /// The lane with the roles that are asked in a stage.
    fn lane(&self, agent: AgentIdx, stage: Stage) -> Lane {
        let free = self.core.agents[agent].free();
        match stage {
            Stage::Guarantees => LACKING,
            Stage::Everybody
                if self.core.roles.any_limit() && !self.core.minimums.ask_for_other_than_plain(free) =>
            {
                OPEN
            }
            Stage::Everybody => Lane::ACTIVE,
        }
    }

    /// Offers what is free of an agent to the members of a role. `roles` is the walk that stands at the role.
    fn offer_role(&mut self, agent: AgentIdx, role: RoleIdx, stage: Stage, roles: &mut Walk) {
        let mut free = self.free_for(agent, role);
        if free.is_empty() {
            return;
        }
        let core = &mut *self.core;
        let kind = core.options.framework_sorter;
        let members = &mut core.roles[role].members;
        let mut members = Walk::begin(members, kind, Lane::ACTIVE, &core.basis, &mut core.random);
        while let Some(member) = members.next(&self.core.roles[role].members) {
            let member = MemberIdx(member);
            if !self.asked.contains(member) {
                continue;
            }
            let Some(offer) = self.offer_for(agent, member, &free, stage) else { continue };
            let top = self.core.roles.top(role);
            if top != role && self.core.roles[top].has_quota() {
                // The top-level role may leave a lane for it.
                roles.keep(&self.core.role_sorter);
            }
            self.grant(agent, member, offer, stage);
            if self.core.agents[agent].free().is_empty() {
                return;
            }
            roles.go_on(&self.core.role_sorter);
            members.go_on(&self.core.roles[role].members);
            free = self.free_for(agent, role);
            if free.is_empty() || stage == Stage::Guarantees && self.core.roles[role].missing().is_zero() {
                return;
            }
        }
    }

    /// What of an agent a role may be offered now.
    pub(super) fn free_for(&self, agent: AgentIdx, role: RoleIdx) -> Bundle {
        let names = &self.core.names;
        let free = self.core.agents[agent].free().allocatable_to(&self.core.roles[role].path, names);
        match self.offered_shared.get(&agent) {
            None => free,
            Some(offered) => Bundle { rest: free.rest.minus(offered, names), plain: free.plain },
        }
    }

    /// What a member is offered of what is free for its role; `None` if nothing.
    pub(super) fn offer_for(
        &self,
        agent: AgentIdx,
        member: MemberIdx,
        free: &Bundle,
        stage: Stage,
    ) -> Option<Bundle> {
        let core = &*self.core;
        // First, because it is cheap and turns away most, once agents are nearly full.
        if !self.reaches_minimum(member, free) || core.lack(agent, member).is_some() {
            return None;
        }
        let capabilities = core.frameworks[core.members[member].framework].capabilities;
        let usable = free.clone().without(capabilities.unusable(), &core.names);
        let offer = self.within_quota(core.members[member].role, usable, stage)?;
        let wanted =
            self.reaches_minimum(member, &offer) && !core.filters.matches(agent, member, &offer, self.now);
        wanted.then_some(offer)
    }

    pub(super) fn reaches_minimum(&self, member: MemberIdx, bundle: &Bundle) -> bool {
        self.core.members[member].minimums.as_ref().unwrap_or(&self.core.minimums).reached_by(bundle)
    }

    /// Cuts a bundle down to what the role's limits and the guarantees of all allow. In the first stage
    /// `None` if nothing of it is missing to the role's guarantees.
    pub(super) fn within_quota(&self, role: RoleIdx, bundle: Bundle, stage: Stage) -> Option<Bundle> {
        let role = &self.core.roles[role];
        let quota = role.quota();
        if quota.limits.is_empty() && self.required.is_zero() {
            return Some(bundle);
        }
        let loose = bundle.loose();
        // What the role lacks is given in any case, even if all guarantees together are more than there is.
        let guaranteed = match stage {
            Stage::Guarantees => loose.min(&role.missing()),
            Stage::Everybody => Amounts::ZERO,
        };
        let mut beyond = loose.minus(&guaranteed);
        if !quota.limits.is_empty() {
            beyond = quota.limits.shrink(&beyond, &(role.offered_or_consumed() + &guaranteed));
        }
        if !self.required.is_zero() {
            beyond = beyond.min(&self.available.minus(&self.required));
        }
        let allowed = guaranteed + &beyond;
        let offer = if allowed == loose { bundle } else { bundle.cut_to(&allowed, &self.core.names) };
        let progress = stage == Stage::Everybody || !offer.loose().min(&role.missing()).is_zero();
        progress.then_some(offer)
    }

    fn grant(&mut self, agent: AgentIdx, member: MemberIdx, bundle: Bundle, stage: Stage) {
        let entry = &self.core.members[member];
        let (framework, role) = (entry.framework, entry.role);
        if bundle.rest.has_shared() {
            let shared = bundle.rest.shared(&self.core.names);
            let offered = self.offered_shared.entry(agent).or_default();
            *offered = offered.plus(&shared, &self.core.names);
        }
        if !self.required.is_zero() {
            let loose = bundle.loose();
            if stage == Stage::Guarantees {
                let met = loose.min(&self.core.roles[role].missing());
                self.required = self.required.minus(&met);
            }
            self.available = self.available.minus(&loose);
        }
        self.core.give(agent, member, &bundle, true);
        self.grants.push(Grant { framework, role, agent, bundle });
    }
}
