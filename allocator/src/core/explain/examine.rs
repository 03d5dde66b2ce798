//! One agent under the eyes of one framework in one role: what the allocation pass would say of it.
//!
//! The pass only answers yes or no, and as fast as it can. Here the same questions are asked one by one,
//! with the pass's own predicates, and the first that is answered with no is kept.

use std::time::Duration;

use super::super::Core;
use super::super::amounts::Amounts;
use super::super::bundle::Bundle;
use super::super::ids::{AgentIdx, MemberIdx, RoleIdx};
use super::super::lack::Lack;
use super::super::pass::{Pass, Stage};
use super::MAX_LISTED;

/// The kinds of resources that a framework cannot use, of those that are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kinds {
    pub(super) shared: bool,
    pub(super) revocable: bool,
    pub(super) refined: bool,
}

/// What the pass would say of an agent.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Inactive,
    NotListed,
    NothingFree,
    ReservedForOthers,
    BelowMinimum,
    Lacks(Lack),
    Unusable(Kinds),
    /// The limits cut this, of which the minimum is not left.
    LimitReached(Amounts),
    Headroom,
    Filtered(Duration),
    /// The master would not offer it.
    Full,
    /// It may have it, in this stage.
    Eligible(Stage, Bundle),
}

/// By what agents are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Inactive,
    NotListed,
    NothingFree,
    ReservedForOthers,
    BelowMinimum,
    Lacks(Lack),
    Unusable(Kinds),
    LimitReached,
    Headroom,
    Filtered,
    Full,
    NothingElse,
    InLine,
    WouldBeOffered,
}

/// Whose turn an agent is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// These are asked before; more than these if the second is true.
    After(Vec<MemberIdx>, bool),
    /// Nobody else can have it.
    Own,
}

/// Asks the pass's questions for one member.
pub(super) struct Examiner<'a, 'core> {
    pub(super) pass: &'a Pass<'core>,
    pub(super) member: MemberIdx,
    pub(super) role: RoleIdx,
    pub(super) now: Duration,
    /// All who take part, in the order of fair sharing.
    pub(super) line: &'a [MemberIdx],
    /// How many of them stand before the member; all of them, if it takes no part.
    pub(super) place: usize,
    /// Whether lots are drawn in the place of that order.
    pub(super) by_lot: bool,
    /// How many more times others may be asked about agents.
    pub(super) questions_left: usize,
}

impl Examiner<'_, '_> {
    fn core(&self) -> &Core {
        self.pass.core
    }

    /// What the pass would say of an agent: the first no, in its order.
    pub(super) fn examine(&self, agent: AgentIdx) -> Verdict {
        let (core, member) = (self.core(), self.member);
        let entry = &core.agents[agent];
        if !entry.active {
            return Verdict::Inactive;
        }
        if core.whitelist.as_ref().is_some_and(|listed| !listed.contains(&entry.info.hostname)) {
            return Verdict::NotListed;
        }
        if entry.free().is_empty() {
            return Verdict::NothingFree;
        }
        let free = self.pass.free_for(agent, self.role);
        if free.is_empty() {
            return Verdict::ReservedForOthers;
        }
        if !self.pass.reaches_minimum(member, &free) {
            return Verdict::BelowMinimum;
        }
        if let Some(lack) = core.lack(agent, member) {
            return Verdict::Lacks(lack);
        }
        let usable = self.usable(member, free.clone());
        if !self.pass.reaches_minimum(member, &usable) {
            return Verdict::Unusable(self.kinds(&free));
        }
        self.examine_quota(agent, &usable)
    }

    /// What of a bundle a member's framework can use.
    fn usable(&self, member: MemberIdx, free: Bundle) -> Bundle {
        let core = self.core();
        let capabilities = core.frameworks[core.members[member].framework].capabilities;
        free.without(capabilities.unusable(), &core.names)
    }

    /// The kinds that are taken out of a bundle because the framework cannot use them.
    fn kinds(&self, free: &Bundle) -> Kinds {
        let core = self.core();
        let unusable = core.frameworks[core.members[self.member].framework].capabilities.unusable();
        let resources = free.rest.resources();
        let any = |property: fn(&mesos::Resource) -> bool| resources.iter().any(property);
        Kinds {
            shared: unusable.shared && any(mesos::Resource::is_shared),
            revocable: unusable.revocable && any(mesos::Resource::is_revocable),
            refined: unusable.refined && any(mesos::Resource::has_refined_reservations),
        }
    }

    /// The rest of the questions: quota, and what was refused.
    fn examine_quota(&self, agent: AgentIdx, usable: &Bundle) -> Verdict {
        let (core, member) = (self.core(), self.member);
        let mut refused = None;
        for stage in self.stages() {
            let Some(offer) = self.pass.within_quota(self.role, usable.clone(), stage) else { continue };
            if !self.pass.reaches_minimum(member, &offer) {
                continue;
            }
            match core.filters.until(agent, member, &offer, self.now) {
                None => return Verdict::Eligible(stage, offer),
                // What the first stage would give decides: the second gives no more of it.
                Some(until) => refused = refused.or(Some(until)),
            }
        }
        if let Some(until) = refused {
            return Verdict::Filtered(until);
        }
        let quota_role = &core.roles[self.role];
        let loose = usable.loose();
        let allowed = quota_role.quota().limits.shrink(&loose, &quota_role.offered_or_consumed());
        if self.pass.reaches_minimum(member, &usable.cut_to(&allowed, &core.names)) {
            Verdict::Headroom
        } else {
            Verdict::LimitReached(loose.minus(&allowed))
        }
    }

    /// The stages in which the member's role is asked.
    fn stages(&self) -> impl Iterator<Item = Stage> + use<> {
        let first = self.asked_for_guarantees(self.role).then_some(Stage::Guarantees);
        first.into_iter().chain([Stage::Everybody])
    }

    fn asked_for_guarantees(&self, role: RoleIdx) -> bool {
        !self.pass.required.is_zero() && !self.core().roles[role].missing().is_zero()
    }

    /// Who is asked before the member about an agent that it may have in `stage`.
    ///
    /// `Own` is said only if the member gets the agent however the run goes: nobody else can use it, and
    /// no quota lets the run's other offers change what the member is given.
    pub(super) fn turn(&mut self, agent: AgentIdx, stage: Stage) -> Turn {
        let (before, after) = self.line.split_at(self.place);
        let mut others = after;
        if self.by_lot {
            others = self.line;
        } else {
            let mut ahead = Vec::new();
            let all_asked = self.ask_those_ahead(before, agent, stage, &mut ahead);
            if !all_asked || !ahead.is_empty() {
                return Turn::After(ahead, !all_asked);
            }
        }
        let alone = self.line.len() <= 1;
        let quota_matters =
            !self.pass.required.is_zero() || !self.core().roles[self.role].quota().limits.is_empty();
        if quota_matters && !alone {
            return Turn::After(Vec::new(), self.by_lot);
        }
        for other in others.iter().filter(|other| **other != self.member) {
            if self.questions_left == 0 || self.could_want(agent, *other) {
                return Turn::After(Vec::new(), self.by_lot);
            }
            self.questions_left -= 1;
        }
        Turn::Own
    }

    /// Finds the members who would be offered an agent before this one. False if not all could be asked.
    fn ask_those_ahead(
        &mut self,
        before: &[MemberIdx],
        agent: AgentIdx,
        stage: Stage,
        ahead: &mut Vec<MemberIdx>,
    ) -> bool {
        if stage == Stage::Everybody && !self.pass.required.is_zero() {
            let guaranteed =
                |member: &MemberIdx| self.asked_for_guarantees(self.core().members[*member].role);
            let first: Vec<MemberIdx> = self.line.iter().copied().filter(guaranteed).collect();
            if !self.ask_until(&first, agent, Stage::Guarantees, ahead) {
                return false;
            }
        }
        self.ask_until(before, agent, stage, ahead)
    }

    /// Adds the members who would be offered an agent in a stage. False if not all could be asked.
    fn ask_until(
        &mut self,
        members: &[MemberIdx],
        agent: AgentIdx,
        stage: Stage,
        found: &mut Vec<MemberIdx>,
    ) -> bool {
        for member in members {
            if self.questions_left == 0 || found.len() >= MAX_LISTED {
                return false;
            }
            self.questions_left -= 1;
            let role = self.core().members[*member].role;
            if stage == Stage::Guarantees && !self.asked_for_guarantees(role) || found.contains(member) {
                continue;
            }
            let free = self.pass.free_for(agent, role);
            if self.pass.offer_for(agent, *member, &free, stage).is_some() {
                found.push(*member);
            }
        }
        true
    }

    /// Whether a member could be offered the agent if no quota cut anything: less can only be refused more.
    fn could_want(&self, agent: AgentIdx, member: MemberIdx) -> bool {
        let core = self.core();
        let free = self.pass.free_for(agent, core.members[member].role);
        if free.is_empty() || core.lack(agent, member).is_some() {
            return false;
        }
        let usable = self.usable(member, free);
        self.pass.reaches_minimum(member, &usable)
            && core.filters.until(agent, member, &usable, self.now).is_none()
    }
}
