//! Filters: what members refused, and how long it holds.
//!
//! A framework that declines an offer is not offered the same, or less, of that agent again until its
//! filter ends. "Less" means contained in what was refused: when more has become free, the framework is
//! asked again. The rules are upstream's (`RefusedOfferFilter` and `recoverResources` in
//! `hierarchical.cpp`):
//!
//! - `refuse_seconds` defaults to 5; a negative or unreadable value is the default; more than 365 days
//!   are 365 days; 0 sets no filter;
//! - a filter lives for at least one allocation interval, and through a run at the very end of its life:
//!   otherwise it could end just before the periodic run that it was meant for;
//! - revive, deactivation, leaving the role and a change of the agent end it (the callers see to that).
//!
//! **How they are kept.** In a quiet cluster every framework has refused every agent: a thousand
//! frameworks on ten thousand agents make ten million filters, and each run asks for all of them. But
//! what is refused of an agent is nearly always the same, everything that is free of it. So an agent has
//! a short list of what was refused, and with each entry the set of members who refused it, a bit each,
//! and the moments until which. A run takes the whole set out of those who may be asked, 64 members at a
//! time ([`Filters::without_refusers`]). A filter takes 8 bytes and a bit.
//!
//! Forgetting all filters of a member touches every agent. It is put off ([`Filters::forget_member`]),
//! and done for all such members together before the next run ([`Filters::settle`]), or when one of them
//! refuses something before that: a thousand frameworks may revive at once.
//!
//! Time is the core's: the duration since the allocator started.

use std::time::Duration;

use smallvec::SmallVec;

use super::bits::Bits;
use super::bundle::Bundle;
use super::ids::{AgentIdx, Index, MemberIdx};

/// What `Filters.refuse_seconds` is when it is not set.
pub const DEFAULT_REFUSAL: Duration = Duration::from_secs(5);
/// The longest refusal.
pub const LONGEST_REFUSAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a refusal with this `refuse_seconds` holds; `None` if it sets no filter.
///
/// `None` given is a refusal that says nothing of its duration.
pub fn refusal(refuse_seconds: Option<f64>, allocation_interval: Duration) -> Option<Duration> {
    let timeout = requested(refuse_seconds);
    (!timeout.is_zero()).then(|| timeout.max(allocation_interval))
}

/// How long something is refused, before any least time; zero if it is not.
pub(crate) fn requested(refuse_seconds: Option<f64>) -> Duration {
    match refuse_seconds {
        Some(seconds) if seconds > LONGEST_REFUSAL.as_secs_f64() => LONGEST_REFUSAL,
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(DEFAULT_REFUSAL),
        None => DEFAULT_REFUSAL,
    }
}

/// A moment in 8 bytes: nanoseconds since the allocator started (enough for 584 years).
fn nanos(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

/// One thing that was refused of an agent, and by whom.
#[derive(Clone, Debug)]
struct Refused {
    what: Bundle,
    by: Bits<MemberIdx>,
    /// The last moment of each member's filter, in the order of the members.
    until: Vec<u64>,
}

impl Refused {
    fn until(&self, member: MemberIdx) -> Option<u64> {
        if !self.by.contains(member) {
            return None;
        }
        self.until.get(self.by.rank(member)).copied()
    }

    /// True if the member had not refused it before. If it had, the later end counts.
    fn add(&mut self, member: MemberIdx, until: u64) -> bool {
        let rank = self.by.rank(member);
        if !self.by.insert(member) {
            self.until[rank] = self.until[rank].max(until);
            return false;
        }
        if self.until.len() == self.until.capacity() {
            // By an eighth: doubling would waste half of the memory of ten million filters.
            self.until.reserve_exact(4.max(self.until.len() / 8));
        }
        self.until.insert(rank, until);
        true
    }

    fn remove(&mut self, member: MemberIdx) {
        let rank = self.by.rank(member);
        if self.by.remove(member) {
            self.until.remove(rank);
        }
    }

    /// Takes out the members that are to go, and says which they were.
    fn take_out(&mut self, goes: impl Fn(MemberIdx, u64) -> bool) -> Vec<MemberIdx> {
        let gone: Vec<MemberIdx> = self
            .by
            .iter()
            .zip(&self.until)
            .filter(|(by, until)| goes(*by, **until))
            .map(|(by, _)| by)
            .collect();
        if gone.is_empty() {
            return gone;
        }
        let mut members = self.by.iter();
        self.until.retain(|until| members.next().is_some_and(|member| !goes(member, *until)));
        drop(members);
        for member in &gone {
            self.by.remove(*member);
        }
        gone
    }
}

/// The filters on one agent.
#[derive(Clone, Debug)]
struct OnAgent {
    /// Mostly one thing, everything that is free of the agent: it lies here, not behind a pointer.
    refused: SmallVec<[Refused; 1]>,
    /// No filter ends before this.
    first_end: u64,
}

impl Default for OnAgent {
    fn default() -> Self {
        OnAgent { refused: SmallVec::new(), first_end: u64::MAX }
    }
}

impl OnAgent {
    /// Takes out filters of the members that are to go; says whose.
    fn take_out(&mut self, goes: impl Fn(MemberIdx, u64) -> bool) -> Vec<MemberIdx> {
        let mut gone = Vec::new();
        for refused in &mut self.refused {
            gone.extend(refused.take_out(&goes));
        }
        self.refused.retain(|refused| !refused.until.is_empty());
        // Anew even if nobody goes: the filter that would have ended first may have been replaced.
        self.first_end =
            self.refused.iter().flat_map(|refused| &refused.until).copied().min().unwrap_or(u64::MAX);
        gone
    }
}

/// All filters of the cluster. See the module.
///
/// Bounded by what was offered: a new filter replaces those of its member and agent that refuse less for
/// no longer, and those that ended are dropped at the next run that could offer something of the agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    on: Vec<OnAgent>,
    /// How many filters each member has, those that have ended unnoticed included.
    count: Vec<u32>,
    /// Members whose filters are forgotten, but still kept with the agents.
    forgotten: Bits<MemberIdx>,
}

impl Filters {
    /// A member refused something of an agent until a moment.
    pub(crate) fn insert(
        &mut self,
        agent: AgentIdx,
        member: MemberIdx,
        refused: &Bundle,
        until: Duration,
        now: Duration,
    ) {
        if self.forgotten.contains(member) {
            self.settle();
        }
        self.expire(agent, now);
        if self.on.len() <= agent.position() {
            self.on.resize_with(agent.position() + 1, OnAgent::default);
        }
        if self.count.len() <= member.position() {
            self.count.resize(member.position() + 1, 0);
        }
        let until = nanos(until);
        let on = &mut self.on[agent.position()];
        on.first_end = on.first_end.min(until);
        let mut same = None;
        let mut emptied = false;
        for (at, entry) in on.refused.iter_mut().enumerate() {
            if entry.what == *refused {
                same = Some(at);
            } else if entry.until(member).is_some_and(|old| old <= until) && refused.contains(&entry.what) {
                entry.remove(member);
                emptied |= entry.until.is_empty();
                self.count[member.position()] -= 1;
            }
        }
        let at = same.unwrap_or_else(|| {
            on.refused.push(Refused { what: refused.clone(), by: Bits::default(), until: Vec::new() });
            on.refused.len() - 1
        });
        if on.refused[at].add(member, until) {
            self.count[member.position()] += 1;
        }
        if emptied {
            on.refused.retain(|refused| !refused.until.is_empty());
        }
    }

    /// Whether anything of an agent is refused.
    pub(crate) fn any_on(&self, agent: AgentIdx) -> bool {
        self.on.get(agent.position()).is_some_and(|on| !on.refused.is_empty())
    }

    /// Takes out of `members` those who refuse all of `offer`, and so any part of it. Filters that have
    /// ended must be gone ([`Filters::expire`]), and forgotten ones ([`Filters::settle`]).
    pub(crate) fn without_refusers(&self, members: &mut Bits<MemberIdx>, agent: AgentIdx, offer: &Bundle) {
        let Some(on) = self.on.get(agent.position()) else { return };
        for refused in on.refused.iter().filter(|refused| refused.what.contains(offer)) {
            members.subtract(&refused.by);
        }
    }

    /// Whether a member refuses an offer.
    pub(crate) fn matches(&self, agent: AgentIdx, member: MemberIdx, offer: &Bundle, now: Duration) -> bool {
        self.until(agent, member, offer, now).is_some()
    }

    /// Until when a member refuses an offer.
    pub(crate) fn until(
        &self,
        agent: AgentIdx,
        member: MemberIdx,
        offer: &Bundle,
        now: Duration,
    ) -> Option<Duration> {
        let on = self.on.get(agent.position())?;
        if self.forgotten.contains(member) {
            return None;
        }
        let refused = on.refused.iter().filter_map(|refused| Some((refused.until(member)?, &refused.what)));
        let matching = refused.filter(|(until, what)| *until >= nanos(now) && what.contains(offer));
        matching.map(|(until, _)| Duration::from_nanos(until)).max()
    }

    /// Forgets all of a member.
    pub(crate) fn forget_member(&mut self, member: MemberIdx) {
        if self.count.get(member.position()).is_some_and(|count| *count > 0) {
            self.forgotten.insert(member);
        }
    }

    /// Forgets all on an agent.
    pub(crate) fn forget_agent(&mut self, agent: AgentIdx) {
        let Some(on) = self.on.get_mut(agent.position()) else { return };
        let on = std::mem::take(on);
        for member in on.refused.iter().flat_map(|refused| refused.by.iter()) {
            self.count[member.position()] -= 1;
        }
    }

    /// Takes the filters of forgotten members out of all agents.
    pub(crate) fn settle(&mut self) {
        if self.forgotten.is_empty() {
            return;
        }
        let forgotten = std::mem::take(&mut self.forgotten);
        for on in &mut self.on {
            if on.refused.iter().any(|refused| refused.by.intersects(&forgotten)) {
                on.take_out(|member, _| forgotten.contains(member));
            }
        }
        for member in forgotten.iter() {
            self.count[member.position()] = 0;
        }
    }

    /// Takes out those on an agent that have ended.
    pub(crate) fn expire(&mut self, agent: AgentIdx, now: Duration) {
        let now = nanos(now);
        let Some(on) = self.on.get_mut(agent.position()).filter(|on| on.first_end < now) else { return };
        for member in on.take_out(|_, until| until < now) {
            self.count[member.position()] -= 1;
        }
    }

    /// How many filters each member has that hold now, by the members' positions.
    pub(crate) fn active(&self, now: Duration) -> Vec<u32> {
        let now = nanos(now);
        let mut active = self.count.clone();
        for refused in self.on.iter().filter(|on| on.first_end < now).flat_map(|on| &on.refused) {
            let ended = refused.by.iter().zip(&refused.until).filter(|(_, until)| **until < now);
            for (member, _) in ended {
                active[member.position()] -= 1;
            }
        }
        for member in self.forgotten.iter() {
            active[member.position()] = 0;
        }
        active
    }
}

#[cfg(test)]
mod tests {
    use mesos::Resources;

    use super::super::ids::Names;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ONE: MemberIdx = MemberIdx(1);
    const TWO: MemberIdx = MemberIdx(2);

    fn bundle(text: &str) -> Bundle {
        Bundle::split(&Resources::parse(text, "*").unwrap(), &mut Names::new())
    }

    fn agent(position: usize) -> AgentIdx {
        AgentIdx::from_position(position)
    }

    fn count(filters: &Filters, now: Duration) -> u32 {
        filters.active(now).iter().sum()
    }

    #[test]
    fn a_refusal_lasts_as_long_as_it_says_within_the_limits() {
        assert_eq!(refusal(None, SECOND), Some(5 * SECOND));
        assert_eq!(refusal(Some(30.5), SECOND), Some(Duration::from_millis(30_500)));
        assert_eq!(refusal(Some(0.0), SECOND), None);
        assert_eq!(refusal(Some(0.1), SECOND), Some(SECOND));
        assert_eq!(refusal(Some(-1.0), SECOND), Some(5 * SECOND));
        assert_eq!(refusal(Some(f64::NAN), SECOND), Some(5 * SECOND));
        assert_eq!(refusal(Some(f64::INFINITY), SECOND), Some(LONGEST_REFUSAL));
        assert_eq!(refusal(Some(1e9), SECOND), Some(LONGEST_REFUSAL));
        assert_eq!(refusal(Some(0.1), 10 * SECOND), Some(10 * SECOND));
    }

    #[test]
    fn a_filter_matches_what_is_contained_in_the_refused() {
        let mut filters = Filters::default();
        filters.insert(agent(0), ONE, &bundle("cpus:2;mem:512"), 5 * SECOND, SECOND);
        let matches = |at, by, text| filters.matches(agent(at), by, &bundle(text), SECOND);
        assert!(matches(0, ONE, "cpus:2;mem:512"));
        assert!(matches(0, ONE, "cpus:1"));
        assert!(!matches(0, ONE, "cpus:3"));
        assert!(!matches(0, ONE, "cpus:1;ports:[1-2]"));
        assert!(!matches(1, ONE, "cpus:1"));
        assert!(!matches(0, TWO, "cpus:1"));
    }

    #[test]
    fn those_who_refuse_the_whole_are_taken_out_together() {
        let mut filters = Filters::default();
        let mut wanting = Bits::default();
        for member in (0..200).map(MemberIdx) {
            wanting.insert(member);
            if member.0 % 2 == 0 {
                filters.insert(agent(0), member, &bundle("cpus:2"), 5 * SECOND, SECOND);
            } else if member.0 > 100 {
                filters.insert(agent(0), member, &bundle("cpus:4"), 5 * SECOND, SECOND);
            }
        }
        let mut left = wanting.clone();
        filters.without_refusers(&mut left, agent(0), &bundle("cpus:2"));
        assert_eq!(
            left.iter().map(|member| member.0).collect::<Vec<_>>(),
            (1..100).step_by(2).collect::<Vec<_>>()
        );
        let mut left = wanting.clone();
        filters.without_refusers(&mut left, agent(0), &bundle("cpus:3"));
        assert_eq!(left.len(), 150);
    }

    #[test]
    fn a_filter_holds_through_its_last_moment_and_not_longer() {
        let mut filters = Filters::default();
        filters.insert(agent(0), ONE, &bundle("cpus:2"), 5 * SECOND, SECOND);
        filters.insert(agent(0), TWO, &bundle("cpus:2"), 6 * SECOND, SECOND);
        assert!(filters.matches(agent(0), ONE, &bundle("cpus:2"), 5 * SECOND));
        assert_eq!(count(&filters, 5 * SECOND), 2);
        let later = 5 * SECOND + Duration::from_nanos(1);
        assert!(!filters.matches(agent(0), ONE, &bundle("cpus:2"), later));
        assert_eq!(filters.active(later), [0, 0, 1]);
        filters.expire(agent(0), later);
        assert_eq!(filters.active(later), [0, 0, 1]);
        assert!(filters.matches(agent(0), TWO, &bundle("cpus:2"), later));
        filters.expire(agent(0), 7 * SECOND);
        assert!(filters.on[0].refused.is_empty());
    }

    #[test]
    fn a_new_filter_replaces_those_that_say_less() {
        let mut filters = Filters::default();
        filters.insert(agent(0), ONE, &bundle("cpus:1"), 5 * SECOND, SECOND);
        filters.insert(agent(0), ONE, &bundle("cpus:2"), 3 * SECOND, SECOND);
        assert_eq!(count(&filters, SECOND), 2);
        assert_eq!(filters.until(agent(0), ONE, &bundle("cpus:1"), SECOND), Some(5 * SECOND));
        filters.insert(agent(0), ONE, &bundle("cpus:2"), 6 * SECOND, SECOND);
        assert_eq!(count(&filters, SECOND), 1);
        assert_eq!(filters.on[0].refused.len(), 1);
        filters.forget_agent(agent(0));
        assert_eq!(count(&filters, SECOND), 0);
    }

    #[test]
    fn a_filter_that_was_replaced_does_not_make_every_run_look_for_its_end() {
        let mut filters = Filters::default();
        filters.insert(agent(0), ONE, &bundle("cpus:2"), 10 * SECOND, SECOND);
        filters.insert(agent(0), ONE, &bundle("cpus:4"), 3600 * SECOND, SECOND);
        filters.expire(agent(0), 11 * SECOND);
        assert_eq!(filters.on[0].first_end, nanos(3600 * SECOND));
    }

    #[test]
    fn a_member_that_was_forgotten_refuses_nothing_until_it_refuses_again() {
        let mut filters = Filters::default();
        for at in 0..3 {
            filters.insert(agent(at), ONE, &bundle("cpus:1"), 5 * SECOND, SECOND);
            filters.insert(agent(at), TWO, &bundle("cpus:1"), 5 * SECOND, SECOND);
        }
        filters.forget_member(ONE);
        assert_eq!(filters.active(SECOND), [0, 0, 3]);
        assert!(!filters.matches(agent(0), ONE, &bundle("cpus:1"), SECOND));
        filters.insert(agent(1), ONE, &bundle("cpus:1"), 5 * SECOND, SECOND);
        assert_eq!(filters.active(SECOND), [0, 1, 3]);
        assert!(filters.matches(agent(1), ONE, &bundle("cpus:1"), SECOND));
        assert!(!filters.matches(agent(0), ONE, &bundle("cpus:1"), SECOND));
        filters.forget_member(TWO);
        filters.settle();
        assert_eq!(filters.active(SECOND), [0, 1, 0]);
        assert!(filters.on[0].refused.is_empty());
    }

    #[test]
    fn a_filter_takes_little_more_than_eight_bytes() {
        let mut filters = Filters::default();
        for member in (0..1000).map(MemberIdx) {
            filters.insert(agent(0), member, &bundle("cpus:1"), 5 * SECOND, SECOND);
        }
        assert!(filters.on[0].refused[0].until.capacity() <= 1125);
    }
}
