//! Offer filters: what a framework refused, and until when it is not offered it again.
//!
//! A filter belongs to one member (a framework in a role) and one agent, and matches an offer that is
//! contained in what was refused: when more has become free, the framework is asked again. The rules
//! are upstream's (`RefusedOfferFilter` and `recoverResources` in `hierarchical.cpp`):
//!
//! - `refuse_seconds` defaults to 5; a negative or unreadable value is the default; more than 365 days
//!   are 365 days; 0 sets no filter;
//! - a filter lives for at least one allocation interval, and through a run at the very end of its life:
//!   otherwise it could expire just before the periodic run that it was meant for;
//! - revive, deactivation, leaving the role and a change of the agent clear it (the callers see to that).
//!
//! Time is the core's: the duration since the allocator started.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bundle::Bundle;
use super::ids::AgentIdx;

/// What `Filters.refuse_seconds` is when it is not set.
pub const DEFAULT_REFUSAL: Duration = Duration::from_secs(5);
/// The longest refusal.
pub const LONGEST_REFUSAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a refusal with this `refuse_seconds` holds; `None` if it sets no filter.
///
/// `None` given is a refusal that says nothing of its duration.
pub fn refusal(refuse_seconds: Option<f64>, allocation_interval: Duration) -> Option<Duration> {
    let timeout = match refuse_seconds {
        Some(seconds) if seconds > LONGEST_REFUSAL.as_secs_f64() => LONGEST_REFUSAL,
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(DEFAULT_REFUSAL),
        None => DEFAULT_REFUSAL,
    };
    (!timeout.is_zero()).then(|| timeout.max(allocation_interval))
}

#[derive(Clone, Debug)]
struct Filter {
    refused: Bundle,
    /// The last moment at which it holds.
    until: Duration,
}

/// The filters of one member.
///
/// Bounded by what was offered: a new filter replaces those of its agent that refuse less for no longer,
/// and expired ones are dropped once they could be half of all.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    by_agent: BTreeMap<AgentIdx, Vec<Filter>>,
    count: usize,
    /// How many were left when all expired ones were last dropped.
    after_purge: usize,
}

impl Filters {
    /// A member refused `refused` on an agent until `until`.
    pub fn insert(&mut self, agent: AgentIdx, refused: Bundle, until: Duration, now: Duration) {
        let filters = self.by_agent.entry(agent).or_default();
        let before = filters.len();
        filters.retain(|old| old.until >= now && !(old.until <= until && refused.contains(&old.refused)));
        filters.push(Filter { refused, until });
        self.count = self.count + filters.len() - before;
        if self.count > 16 && self.count > 2 * self.after_purge {
            self.purge(now);
        }
    }

    /// Whether an offer of `offer` on the agent was refused and still is.
    pub fn matches(&self, agent: AgentIdx, offer: &Bundle, now: Duration) -> bool {
        self.until(agent, offer, now).is_some()
    }

    /// Until when an offer of `offer` on the agent is refused.
    pub fn until(&self, agent: AgentIdx, offer: &Bundle, now: Duration) -> Option<Duration> {
        let filters = self.by_agent.get(&agent)?;
        let matching = filters.iter().filter(|filter| filter.until >= now && filter.refused.contains(offer));
        matching.map(|filter| filter.until).max()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Filters::default();
    }

    /// Forgets those on an agent.
    pub fn forget(&mut self, agent: AgentIdx) {
        if let Some(filters) = self.by_agent.remove(&agent) {
            self.count -= filters.len();
        }
    }

    /// How many hold now.
    pub fn active(&self, now: Duration) -> usize {
        self.by_agent.values().flatten().filter(|filter| filter.until >= now).count()
    }

    fn purge(&mut self, now: Duration) {
        self.by_agent.retain(|_, filters| {
            filters.retain(|filter| filter.until >= now);
            !filters.is_empty()
        });
        self.count = self.by_agent.values().map(Vec::len).sum();
        self.after_purge = self.count;
    }
}

#[cfg(test)]
mod tests {
    use mesos::Resources;

    use super::super::ids::{Index, Names};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bundle(text: &str) -> Bundle {
        Bundle::split(&Resources::parse(text, "*").unwrap(), &mut Names::new())
    }

    fn agent(position: usize) -> AgentIdx {
        AgentIdx::from_position(position)
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
        filters.insert(agent(0), bundle("cpus:2;mem:512"), 5 * SECOND, SECOND);
        assert!(filters.matches(agent(0), &bundle("cpus:2;mem:512"), SECOND));
        assert!(filters.matches(agent(0), &bundle("cpus:1"), SECOND));
        assert!(!filters.matches(agent(0), &bundle("cpus:3"), SECOND));
        assert!(!filters.matches(agent(0), &bundle("cpus:1;ports:[1-2]"), SECOND));
        assert!(!filters.matches(agent(1), &bundle("cpus:1"), SECOND));
    }

    #[test]
    fn a_filter_holds_through_its_last_moment_and_not_longer() {
        let mut filters = Filters::default();
        filters.insert(agent(0), bundle("cpus:2"), 5 * SECOND, SECOND);
        assert!(filters.matches(agent(0), &bundle("cpus:2"), 5 * SECOND));
        assert_eq!(filters.active(5 * SECOND), 1);
        let later = 5 * SECOND + Duration::from_nanos(1);
        assert!(!filters.matches(agent(0), &bundle("cpus:2"), later));
        assert_eq!(filters.active(later), 0);
    }

    #[test]
    fn a_new_filter_replaces_those_that_say_less() {
        let mut filters = Filters::default();
        filters.insert(agent(0), bundle("cpus:1"), 5 * SECOND, SECOND);
        filters.insert(agent(0), bundle("cpus:2"), 3 * SECOND, SECOND);
        assert_eq!(filters.active(SECOND), 2);
        assert_eq!(filters.until(agent(0), &bundle("cpus:1"), SECOND), Some(5 * SECOND));
        filters.insert(agent(0), bundle("cpus:2"), 6 * SECOND, SECOND);
        assert_eq!(filters.active(SECOND), 1);
        filters.forget(agent(0));
        assert_eq!(filters.active(SECOND), 0);
    }

    #[test]
    fn expired_filters_do_not_pile_up() {
        let mut filters = Filters::default();
        for at in 0..10_000_u32 {
            filters.insert(agent(at as usize), bundle("cpus:1"), SECOND * (at + 1), SECOND * at);
        }
        assert!(filters.by_agent.len() < 100);
    }
}
