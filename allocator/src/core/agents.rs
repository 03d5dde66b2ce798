//! The books of one agent: what it has, who was given what of it, and what is free.
//!
//! The law: *given + free = total*, kept at each change and checked in debug builds. Two things bend it,
//! as upstream's `Slave` does (`hierarchical.hpp`). A shared resource stays free however often it is
//! given. An agent whose total shrank below what is given has nothing free of that resource, and not less
//! than nothing.

use mesos::{AgentId, Resources, v1};
use smallvec::SmallVec;

use super::amounts::Amounts;
use super::bundle::{Bundle, Rest, Rests};
use super::ids::{MemberIdx, Names, RoleIdx};

/// What one member was given of an agent: offered to it, or used by its tasks and executors.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) member: MemberIdx,
    pub(crate) bundle: Bundle,
}

/// One agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) info: Box<v1::AgentInfo>,
    pub(crate) abilities: Abilities,
    /// Whether it takes part. Agents that are disconnected or draining do not.
    pub(crate) active: bool,
    /// Whether it waits for the next run of marked agents.
    pub(crate) marked: bool,
    pub(crate) has_gpu: bool,
    /// Whether it is in another region than the master.
    pub(crate) is_remote: bool,
    total: Bundle,
    given: SmallVec<[Given; 1]>,
    /// Of what is given, the loose amounts that tasks use, by role. The remainder is only offered.
    allocated: Vec<(RoleIdx, Amounts)>,
    free: Bundle,
    /// Whether more may be given of something than there is.
    overcommitted: bool,
}

/// What an agent understands (`AgentInfo.Capability`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) multi_role: bool,
    pub(crate) hierarchical_role: bool,
}

impl Abilities {
    pub(crate) fn new(capabilities: &[v1::agent_info::Capability]) -> Abilities {
        use v1::agent_info::capability::Type;
        let has = |wanted: Type| capabilities.iter().any(|capability| capability.r#type() == wanted);
        Abilities { multi_role: has(Type::MultiRole), hierarchical_role: has(Type::HierarchicalRole) }
    }
}

impl Agent {
    pub(crate) fn new(
        id: AgentId,
        info: v1::AgentInfo,
        abilities: Abilities,
        total: &Resources,
        names: &mut Names,
        rests: &mut Rests,
    ) -> Agent {
        let mut agent = Agent {
            id,
            info: Box::new(info),
            abilities,
            active: true,
            marked: false,
            has_gpu: false,
            is_remote: false,
            total: Bundle::default(),
            given: SmallVec::new(),
            allocated: Vec::new(),
            free: Bundle::default(),
            overcommitted: false,
        };
        agent.set_total(Bundle::split(total, names), names, rests);
        agent
    }

    pub(crate) fn total(&self) -> &Bundle {
        &self.total
    }

    pub(crate) fn free(&self) -> &Bundle {
        &self.free
    }

    pub(crate) fn given(&self) -> &[Given] {
        &self.given
    }

    /// What a member has of the agent.
    pub(crate) fn given_to(&self, member: MemberIdx) -> Option<&Bundle> {
        self.given.iter().find(|given| given.member == member).map(|given| &given.bundle)
    }

    /// Everything that is given.
    pub(crate) fn given_in_all(&self, names: &Names) -> Bundle {
        Bundle::sum(self.given.iter().map(|given| &given.bundle), names)
    }

    pub(crate) fn set_total(&mut self, total: Bundle, names: &mut Names, rests: &mut Rests) {
        self.total = rests.unite(total);
        let gpus = names.intern("gpus");
        self.has_gpu = self.total.has(gpus);
        self.count_anew(names);
    }

    /// Gives a bundle to a member. True if the member had nothing of the agent before.
    pub(crate) fn give(&mut self, member: MemberIdx, bundle: &Bundle, names: &Names) -> bool {
        let is_free = self.free.contains(bundle);
        let first = match self.given.iter_mut().find(|given| given.member == member) {
            Some(given) => {
                given.bundle = given.bundle.plus(bundle, names);
                false
            }
            None => {
                self.given.push(Given { member, bundle: bundle.clone() });
                true
            }
        };
        if self.free == *bundle && !bundle.rest.has_shared() && !self.overcommitted {
            self.free = Bundle::default();
        } else if is_free && !self.overcommitted {
            self.free = self.free.minus(&without_shared(bundle, names), names);
            self.check(names);
        } else {
            self.count_anew(names);
        }
        first
    }

    /// Takes back what a member has of a bundle, and says what that was and whether the member still has
    /// something. `None` if the member has nothing of the agent.
    pub(crate) fn take_back(
        &mut self,
        member: MemberIdx,
        bundle: &Bundle,
        names: &Names,
    ) -> Option<(Bundle, bool)> {
        let at = self.given.iter().position(|given| given.member == member)?;
        let held = &self.given[at].bundle;
        let (taken, keeps) = if held == bundle {
            (self.given.swap_remove(at).bundle, false)
        } else {
            let left = held.minus(bundle, names);
            let taken = if held.contains(bundle) { bundle.clone() } else { held.minus(&left, names) };
            let keeps = !left.is_empty();
            if keeps {
                self.given[at].bundle = left;
            } else {
                self.given.swap_remove(at);
            }
            (taken, keeps)
        };
        if self.overcommitted {
            self.count_anew(names);
        } else {
            self.free = self.free.plus(&without_shared(&taken, names), names);
            self.use_the_totals_rest();
            self.check(names);
        }
        Some((taken, keeps))
    }

    /// Equal parts that are one part are compared by looking at the pointer: an agent that is free again
    /// has the very rest of its total, as what was refused of it when it was free before.
    fn use_the_totals_rest(&mut self) {
        if self.free.rest == self.total.rest {
            self.free.rest = self.total.rest.clone();
        }
    }

    /// Whether given + free = total, without the exceptions: nothing is shared in what is asked for, and
    /// the agent has all that it gave.
    pub(crate) fn can_exchange(&self, less: &Bundle, more: &Bundle) -> bool {
        let shared = less.rest.has_shared() || more.rest.has_shared();
        !self.overcommitted && !shared && !less.is_empty() && less.is_as_much_as(more)
    }

    /// Converts a part of what a member was given: that and the total change alike, and what is free
    /// stays. See [`Agent::can_exchange`]; the member must have `less`.
    pub(crate) fn exchange(&mut self, member: MemberIdx, less: &Bundle, more: &Bundle, names: &Names) {
        if let Some(given) = self.given.iter_mut().find(|given| given.member == member) {
            given.bundle.exchange(less, more, names);
            self.total.exchange(less, more, names);
        }
        self.check(names);
    }

    /// Marks loose amounts that were offered to a role as used by tasks.
    pub(crate) fn allocate(&mut self, role: RoleIdx, loose: &Amounts) {
        match self.allocated.iter_mut().find(|(of, _)| *of == role) {
            Some((_, amounts)) => *amounts += loose,
            None => self.allocated.push((role, loose.clone())),
        }
    }

    /// Takes from the allocated loose amounts of a role, at most what is there, and says how much it was.
    pub(crate) fn unallocate(&mut self, role: RoleIdx, loose: &Amounts) -> Amounts {
        let Some(at) = self.allocated.iter().position(|(of, _)| *of == role) else { return Amounts::ZERO };
        let amounts = &mut self.allocated[at].1;
        let taken = amounts.min(loose);
        *amounts -= &taken;
        if amounts.is_zero() {
            self.allocated.remove(at);
        }
        taken
    }

    pub(crate) fn allocated(&self) -> &[(RoleIdx, Amounts)] {
        &self.allocated
    }

    fn count_anew(&mut self, names: &Names) {
        self.free = self.counted(names);
        self.use_the_totals_rest();
        self.overcommitted = !self.total.contains(&without_shared(&self.given_in_all(names), names));
    }

    /// What is free by the law.
    fn counted(&self, names: &Names) -> Bundle {
        self.total.minus(&without_shared(&self.given_in_all(names), names), names)
    }

    fn check(&self, names: &Names) {
        debug_assert_eq!(self.free, self.counted(names), "the books of agent {} do not balance", self.id);
    }

    /// Whether given + free = total. For tests of whole histories; each change checks it too.
    pub(crate) fn balances(&self, names: &Names) -> bool {
        self.free == self.counted(names)
    }

    /// The region of the agent's fault domain.
    pub(crate) fn region(&self) -> Option<&str> {
        let domain = self.info.domain.as_ref()?.fault_domain.as_ref()?;
        Some(&domain.region.name)
    }

    /// The shared resources of a bundle that a set of members does not hold yet, or no longer: what
    /// counts once in shares.
    pub(crate) fn shared_not_held(
        &self,
        bundle: &Bundle,
        by: impl Fn(MemberIdx) -> bool,
        names: &Names,
    ) -> Resources {
        // Any copy counts: a member may have fewer than the bundle.
        let held = |resource: &mesos::Resource| {
            self.given.iter().any(|given| by(given.member) && given.bundle.rest.has_copy(resource))
        };
        bundle.rest.shared(names).resources().filter(|resource| !held(resource))
    }
}

/// What leaves the free resources when a bundle is given: all but the shared.
fn without_shared(bundle: &Bundle, names: &Names) -> Bundle {
    let rest: Rest = bundle.rest.non_shared(names);
    Bundle { plain: bundle.plain.clone(), rest }
}

#[cfg(test)]
mod tests {
    use super::super::ids::Index;
    use super::*;

    fn resources(text: &str) -> Resources {
        Resources::parse(text, "*").unwrap()
    }

    fn agent(total: &str, names: &mut Names) -> Agent {
        let info = v1::AgentInfo { hostname: "host".into(), ..Default::default() };
        Agent::new(
            AgentId::from("S0"),
            info,
            Abilities::default(),
            &resources(total),
            names,
            &mut Rests::default(),
        )
    }

    fn member(position: usize) -> MemberIdx {
        MemberIdx::from_position(position)
    }

    #[test]
    fn what_is_given_and_taken_back_is_free_again() {
        let mut names = Names::new();
        let mut agent = agent("cpus:4;mem:1024;ports:[1-10]", &mut names);
        let half = Bundle::split(&resources("cpus:2;ports:[1-5]"), &mut names);
        assert!(agent.give(member(0), &half, &names));
        assert!(!agent.give(member(0), &Bundle::split(&resources("mem:24"), &mut names), &names));
        assert_eq!(agent.free().join(&names), resources("cpus:2;mem:1000;ports:[6-10]"));
        let (taken, keeps) = agent.take_back(member(0), &half, &names).unwrap();
        assert_eq!(taken, half);
        assert!(keeps);
        assert!(agent.take_back(member(1), &half, &names).is_none());
        assert_eq!(agent.free().join(&names), resources("cpus:4;mem:1000;ports:[1-10]"));
    }

    #[test]
    fn a_member_gives_back_no_more_than_it_has() {
        let mut names = Names::new();
        let mut agent = agent("cpus:4", &mut names);
        agent.give(member(0), &Bundle::split(&resources("cpus:1"), &mut names), &names);
        let (taken, keeps) = agent
            .take_back(member(0), &Bundle::split(&resources("cpus:3;mem:5"), &mut names), &names)
            .unwrap();
        assert_eq!(taken.join(&names), resources("cpus:1"));
        assert!(!keeps);
        assert_eq!(agent.free().join(&names), resources("cpus:4"));
    }

    #[test]
    fn an_overcommitted_agent_frees_only_what_it_really_has() {
        let mut names = Names::new();
        let mut agent = agent("cpus:4", &mut names);
        let three = Bundle::split(&resources("cpus:3"), &mut names);
        agent.give(member(0), &three, &names);
        let two = Bundle::split(&resources("cpus:2"), &mut names);
        agent.set_total(two, &mut names, &mut Rests::default());
        assert!(agent.free().is_empty());
        agent.take_back(member(0), &Bundle::split(&resources("cpus:2"), &mut names), &names).unwrap();
        assert_eq!(agent.free().join(&names), resources("cpus:1"));
        agent.take_back(member(0), &Bundle::split(&resources("cpus:1"), &mut names), &names).unwrap();
        assert_eq!(agent.free().join(&names), resources("cpus:2"));
    }

    #[test]
    fn allocated_amounts_never_fall_below_nothing() {
        let mut names = Names::new();
        let mut agent = agent("cpus:4", &mut names);
        let role = RoleIdx::from_position(0);
        let one = Bundle::split(&resources("cpus:1"), &mut names).plain;
        agent.allocate(role, &one);
        assert_eq!(agent.unallocate(role, &(one.clone() + &one)), one);
        assert_eq!(agent.unallocate(role, &one), Amounts::ZERO);
        assert!(agent.allocated().is_empty());
    }
}
