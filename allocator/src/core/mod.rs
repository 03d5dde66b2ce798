//! The allocator without its actor: books, fairness and the allocation pass, as plain data.
//!
//! [`Core`] is told what happens (`core/framework_events.rs`, `core/agent_events.rs`,
//! `core/resource_events.rs`), and [`Core::allocate`] says who is offered what (`core/pass.rs`). It has
//! no clock, no queue and no randomness of its own: the time is passed in as a duration since the start,
//! and the generator that shuffles agents is seeded by whoever makes it. The same events and the same
//! seed give the same offers.
//!
//! Ids of the protocol are looked up at this boundary, once; everything behind it is dense integers.

mod agent_events;
mod agents;
mod amounts;
mod bits;
mod bundle;
pub mod constraints;
mod exclusions;
pub mod explain;
mod filters;
mod framework_events;
mod frameworks;
mod ids;
mod lack;
mod maintenance;
mod pass;
mod queries;
mod resource_events;
mod roles;
pub mod sorter;

use std::collections::BTreeSet;
use std::time::Duration;

use mesos::{AgentId, FrameworkId, ResourceError, ResourceLimits, ResourceQuantities, Scalar, v1};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::options::Options;
use agents::Agent;
use bits::Bits;
use bundle::Rests;
use exclusions::Exclusions;
use filters::Filters;
use frameworks::{Framework, Member, Minimums};
use ids::{Slab, Slots};
use maintenance::Maintenance;
use roles::Roles;
use sorter::{Basis, Lane, Sorter};

pub use amounts::{Amounts, Limits};
pub use bundle::{Bundle, Rest};
pub use constraints::OfferConstraintsFilter;
pub use filters::{DEFAULT_REFUSAL, LONGEST_REFUSAL, refusal};
pub use frameworks::roles as subscribed_roles;
pub use ids::{AgentIdx, FrameworkIdx, Index, MemberIdx, NameIdx, Names, RoleIdx};
pub use maintenance::{InverseOfferStatuses, InverseOffers, UnavailableResources};
pub use pass::{Grant, Scope};
pub use queries::{Figure, Holdings, Offers, ResourceUse, RoleFigures, RoleView};

/// What a role is guaranteed and what it may have at most. The default guarantees nothing and limits nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quota {
    /// Held back for the role as long as it has less.
    pub guarantees: ResourceQuantities,
    /// Never exceeded by what is allocated to the role.
    pub limits: ResourceLimits,
}

impl From<&v1::quota::QuotaConfig> for Quota {
    fn from(config: &v1::quota::QuotaConfig) -> Quota {
        Quota { guarantees: (&config.guarantees).into(), limits: (&config.limits).into() }
    }
}

/// Why an event was not applied. The caller's view and the core's differ then, which is the caller's
/// mistake, or a message about something that was removed meanwhile; the core is as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EventError {
    /// No such framework was added.
    #[error("framework {0} is not known to the allocator")]
    UnknownFramework(FrameworkId),
    /// The framework was added before.
    #[error("framework {0} was already added to the allocator")]
    FrameworkExists(FrameworkId),
    /// No such agent was added.
    #[error("agent {0} is not known to the allocator")]
    UnknownAgent(AgentId),
    /// The agent was added before.
    #[error("agent {0} was already added to the allocator")]
    AgentExists(AgentId),
    /// Resources must say which role they are allocated to, and in some events all the same.
    #[error("the resources '{0}' are not allocated to exactly one role")]
    NotOneRole(String),
    /// The framework does not hold the resources that an event is about.
    #[error("framework {framework} does not hold '{resources}' on agent {agent}")]
    NotHeld {
        /// The framework.
        framework: FrameworkId,
        /// The agent.
        agent: AgentId,
        /// What it should hold.
        resources: String,
    },
    /// An answer about maintenance of an agent for which none is planned.
    #[error("no maintenance is planned for agent {0}")]
    NoMaintenance(AgentId),
    /// An operation does not fit the resources.
    #[error(transparent)]
    Resources(#[from] ResourceError),
}

/// A hold of all allocation after a master's failover.
#[derive(Debug)]
struct Hold {
    /// How many agents end it.
    agents: usize,
    /// The moment that ends it.
    until: Duration,
}

/// The roles to whose guarantees something is missing.
const LACKING: Lane = Lane::SECOND;
/// The roles whose limits leave room for at least the least offer. Only kept while any role has a limit;
/// without limits all are.
const OPEN: Lane = Lane::THIRD;

/// The allocator's state. See the module.
#[derive(Debug)]
pub struct Core {
    options: Options,
    minimums: Minimums,
    /// How many members have minimums of their own.
    own_minimums: usize,
    names: Names,
    rests: Rests,
    agents: Slots<AgentId, AgentIdx, Agent>,
    frameworks: Slots<FrameworkId, FrameworkIdx, Framework>,
    members: Slab<MemberIdx, Member>,
    /// The members that take part: connected, subscribed, not suppressed.
    active: Bits<MemberIdx>,
    filters: Filters,
    exclusions: Exclusions,
    roles: Roles,
    /// The roles with members, in their order. Besides all of them it keeps those that the two stages of
    /// a pass look for: [`LACKING`] and [`OPEN`].
    role_sorter: Sorter,
    /// All agents' scalars, which shares are fractions of.
    basis: Basis,
    whitelist: Option<BTreeSet<String>>,
    maintenance: Maintenance,
    hold: Option<Hold>,
    paused: bool,
    /// Agents that the next run of marked agents looks at. May name agents that are gone or unmarked.
    marked: Vec<AgentIdx>,
    all_marked: bool,
    random: SmallRng,
}

impl Core {
    /// An empty allocator. The seed decides the order in which agents are looked at.
    pub fn new(options: Options, seed: u64) -> Core {
        let mut names = Names::new();
        let excluded = options.excluded_from_shares.iter().map(|name| names.intern(name)).collect();
        let minimums = options.min_allocatable_resources.iter();
        let minimums = Minimums(minimums.map(|minimum| amounts_of(minimum, &mut names)).collect());
        Core {
            options,
            minimums,
            own_minimums: 0,
            names,
            rests: Rests::default(),
            agents: Slots::new(),
            frameworks: Slots::new(),
            members: Slab::new(),
            active: Bits::default(),
            filters: Filters::default(),
            exclusions: Exclusions::default(),
            roles: Roles::new(),
            role_sorter: Sorter::new(),
            basis: Basis::new(excluded),
            whitelist: None,
            maintenance: Maintenance::default(),
            hold: None,
            paused: false,
            marked: Vec::new(),
            all_marked: false,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// The settings that it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether an event has marked an agent since the last run.
    pub fn has_marked(&self) -> bool {
        self.all_marked || !self.marked.is_empty()
    }

    fn mark(&mut self, agent: AgentIdx) {
        let entry = &mut self.agents[agent];
        if !entry.marked && !self.all_marked {
            entry.marked = true;
            self.marked.push(agent);
        }
    }

    /// Constant time, so that a thousand frameworks may revive at once.
    fn mark_all(&mut self) {
        self.all_marked = true;
    }

    fn agent(&self, id: &AgentId) -> Result<AgentIdx, EventError> {
        self.agents.find(id).ok_or_else(|| EventError::UnknownAgent(id.clone()))
    }

    /// A framework that was added.
    fn framework(&self, id: &FrameworkId) -> Result<FrameworkIdx, EventError> {
        let found = self.frameworks.find(id).filter(|framework| self.frameworks[*framework].added);
        found.ok_or_else(|| EventError::UnknownFramework(id.clone()))
    }

    /// The framework of an id, made if it is not there.
    fn intern_framework(&mut self, id: &FrameworkId) -> FrameworkIdx {
        match self.frameworks.find(id) {
            Some(framework) => framework,
            None => self.frameworks.insert(id.clone(), Framework::unknown(id.clone())),
        }
    }

    fn find_member(&self, framework: FrameworkIdx, path: &str) -> Option<MemberIdx> {
        let role = self.roles.find(path)?;
        self.frameworks[framework].members.get(&role).copied()
    }

    /// The member of a framework and a role, made (inactive) if it is not there.
    fn intern_member(&mut self, framework: FrameworkIdx, path: &str) -> MemberIdx {
        let role = self.roles.intern(path);
        if let Some(member) = self.frameworks[framework].members.get(&role) {
            return *member;
        }
        let member = self.members.insert(Member::new(framework, role));
        self.frameworks[framework].members.insert(role, member);
        if self.roles[role].members.is_empty() {
            let path = self.roles[role].path.clone();
            self.role_sorter.add(role.0, &path);
            self.put_into_lanes(role);
            self.role_sorter.activate(role.0, &self.basis);
        }
        self.roles[role].members.add(member.0, self.frameworks[framework].id.as_str());
        member
    }

    /// Takes out a member that neither subscribes nor holds anything, and with it a framework that was
    /// never added and is not mentioned by any agent any more.
    fn release_member(&mut self, member: MemberIdx) {
        let Some(entry) = self.members.get(member) else { return };
        if entry.subscribed || entry.holdings > 0 {
            return;
        }
        let (framework, role) = (entry.framework, entry.role);
        self.set_minimums(member, None);
        self.set_constraints(member, None);
        self.filters.forget_member(member);
        self.active.remove(member);
        self.roles[role].members.remove(member.0, &self.basis);
        if self.roles[role].members.is_empty() {
            self.role_sorter.remove(role.0, &self.basis);
        }
        self.members.remove(member);
        let owner = &mut self.frameworks[framework];
        owner.members.remove(&role);
        if !owner.added && owner.members.is_empty() {
            let id = owner.id.clone();
            self.frameworks.remove(&id);
            self.maintenance.forget(framework);
        }
        self.roles.release(role);
    }

    /// Lets a member take part or not, as its framework's state and its own say.
    fn refresh(&mut self, member: MemberIdx) {
        let entry = &self.members[member];
        let framework = &self.frameworks[entry.framework];
        let takes_part = framework.added && framework.active && entry.subscribed && !entry.suppressed;
        let sorter = &mut self.roles[entry.role].members;
        if takes_part {
            sorter.activate(member.0, &self.basis);
            self.active.insert(member);
        } else {
            sorter.deactivate(member.0, &self.basis);
            self.active.remove(member);
        }
    }

    /// Sets what a member's offers must reach in place of the cluster's minimums.
    fn set_minimums(&mut self, member: MemberIdx, minimums: Option<Minimums>) {
        let entry = &mut self.members[member];
        let role = &mut self.roles[entry.role];
        let (more, less) = (usize::from(minimums.is_some()), usize::from(entry.minimums.is_some()));
        role.own_minimums = role.own_minimums + more - less;
        self.own_minimums = self.own_minimums + more - less;
        entry.minimums = minimums;
        let role = entry.role;
        self.put_into_lanes(role);
    }

    /// Keeps a role in the lanes that its quota puts it into.
    fn put_into_lanes(&mut self, role: RoleIdx) {
        let entry = &self.roles[role];
        let lacking = !entry.missing().is_zero();
        let open = self.roles.any_limit() && !self.is_closed(role);
        self.role_sorter.set_lane(role.0, LACKING, lacking, &self.basis);
        self.role_sorter.set_lane(role.0, OPEN, open, &self.basis);
    }

    /// Whether a role's limits leave less than the least offer, so that it can be offered nothing that
    /// counts against them.
    fn is_closed(&self, role: RoleIdx) -> bool {
        let role = &self.roles[role];
        let limits = &role.quota().limits;
        if limits.is_empty() || role.own_minimums > 0 {
            return false;
        }
        !self.minimums.within(limits, &role.offered_or_consumed())
    }

    /// What counts against a quota changed for a role, and so for its top-level role.
    fn quota_use_changed(&mut self, role: RoleIdx) {
        let top = self.roles.top(role);
        if self.roles[top].has_quota() {
            self.put_into_lanes(top);
        }
    }

    /// Gives a bundle of an agent to a member, in all books. `chosen`: it was the member's turn.
    fn give(&mut self, agent: AgentIdx, member: MemberIdx, bundle: &Bundle, chosen: bool) {
        let (to_member, to_role) = self.counted(agent, member, bundle);
        let twice = self.counted_twice(agent, member, bundle, &to_role);
        if self.agents[agent].give(member, bundle, &self.names) {
            self.members[member].holdings += 1;
        }
        let role = self.members[member].role;
        if chosen {
            self.roles[role].members.allocated(member.0, &to_member, &self.basis);
            self.role_sorter.allocated(role.0, &to_role, &self.basis);
        } else {
            self.roles[role].members.update(member.0, &Amounts::ZERO, &to_member, &self.basis);
            self.role_sorter.update(role.0, &Amounts::ZERO, &to_role, &self.basis);
        }
        for (above, twice) in twice {
            self.role_sorter.update_inner(&above, &twice, &Amounts::ZERO, &self.basis);
        }
        self.roles.take(role, &bundle.loose());
        self.quota_use_changed(role);
    }

    /// Takes a bundle back, in all books; what the member does not have is left out. The member itself
    /// stays, even if it has nothing any more.
    fn take_back(&mut self, agent: AgentIdx, member: MemberIdx, bundle: &Bundle) -> Bundle {
        let Some((taken, keeps)) = self.agents[agent].take_back(member, bundle, &self.names) else {
            return Bundle::default();
        };
        if !keeps {
            self.members[member].holdings -= 1;
        }
        let (from_member, from_role) = self.counted(agent, member, &taken);
        let twice = self.counted_twice(agent, member, &taken, &from_role);
        let role = self.members[member].role;
        self.roles[role].members.unallocated(member.0, &from_member, &self.basis);
        self.role_sorter.unallocated(role.0, &from_role, &self.basis);
        for (above, twice) in twice {
            self.role_sorter.update_inner(&above, &Amounts::ZERO, &twice, &self.basis);
        }
        self.roles.give_back(role, &taken.loose());
        self.quota_use_changed(role);
        taken
    }

    /// What a bundle adds to (or, once taken back, takes from) the shares of a member and of its role: a
    /// shared resource counts once for each, however many copies of it there are on an agent.
    fn counted(&self, agent: AgentIdx, member: MemberIdx, bundle: &Bundle) -> (Amounts, Amounts) {
        if !bundle.rest.has_shared() {
            let amounts = bundle.amounts();
            return (amounts.clone(), amounts);
        }
        let role = self.members[member].role;
        (
            self.counted_for(agent, bundle, |other| other == member),
            self.counted_for(agent, bundle, |other| self.members[other].role == role),
        )
    }

    /// What of `to_role`, as [`Core::counted`] has it, the nodes above a role count already, because another
    /// role below them has the same shared resources.
    fn counted_twice(
        &self,
        agent: AgentIdx,
        member: MemberIdx,
        bundle: &Bundle,
        to_role: &Amounts,
    ) -> Vec<(String, Amounts)> {
        if !bundle.rest.has_shared() {
            return Vec::new();
        }
        let path = &*self.roles[self.members[member].role].path;
        let above = path.match_indices('/').map(|(end, _)| &path[..end]).chain(["", path]);
        let twice = above.map(|above| {
            let is_below = |other: MemberIdx| {
                let other = self.roles[self.members[other].role].path.strip_prefix(above);
                other.is_some_and(|rest| above.is_empty() || rest.is_empty() || rest.starts_with('/'))
            };
            (above.to_owned(), to_role.minus(&self.counted_for(agent, bundle, is_below)))
        });
        twice.filter(|(_, twice)| !twice.is_zero()).collect()
    }

    /// The amounts of a bundle without the shared resources that some members have of the agent.
    fn counted_for(&self, agent: AgentIdx, bundle: &Bundle, have: impl Fn(MemberIdx) -> bool) -> Amounts {
        let mut sum = bundle.non_shared_amounts(&self.names);
        for resource in self.agents[agent].shared_not_held(bundle, have, &self.names).iter() {
            if let Some(name) = self.names.find(resource.name()) {
                sum.increase(name, resource.scalar().map_or(0, Scalar::millis));
            }
        }
        sum
    }
}

fn amounts_of(quantities: &ResourceQuantities, names: &mut Names) -> Amounts {
    let mut amounts = Amounts::ZERO;
    for (name, scalar) in quantities.iter() {
        amounts.set(names.intern(name), scalar.millis());
    }
    amounts
}
