//! Whether agents may have tasks: drained, deactivated, active again.
//!
//! A master that knows nothing of this would offer what an operator took away. So the registry demands the
//! capability AGENT_DRAINING of every later master, from the first agent that is deactivated until the last one is
//! reactivated.

use mesos::v1::master_info::capability::Type::AgentDraining;
use mesos::{AgentId, v1};

use super::super::entries::{Activation, Entries};

/// An agent is to be emptied.
pub(super) fn drain(id: &AgentId, config: v1::DrainConfig, entries: &mut Entries) -> bool {
    if entries.activation(id).is_none() {
        return false;
    }
    let drain = v1::DrainInfo { state: v1::DrainState::Draining.into(), config };
    entries.set_activation(id, Activation { drain: Some(drain), deactivated: true });
    entries.demand(AgentDraining, true);
    true
}

/// An agent is empty.
pub(super) fn mark_drained(id: &AgentId, entries: &mut Entries) -> bool {
    let Some(activation) = entries.activation(id) else { return false };
    let Some(mut drain) = activation.drain.filter(|drain| drain.state() == v1::DrainState::Draining) else {
        return false;
    };
    drain.set_state(v1::DrainState::Drained);
    entries.set_activation(id, Activation { drain: Some(drain), ..activation });
    true
}

/// An agent gets no new tasks.
pub(super) fn deactivate(id: &AgentId, entries: &mut Entries) -> bool {
    let Some(activation) = entries.activation(id) else { return false };
    entries.set_activation(id, Activation { deactivated: true, ..activation });
    entries.demand(AgentDraining, true);
    true
}

/// An agent is as any other again.
pub(super) fn reactivate(id: &AgentId, entries: &mut Entries) -> bool {
    if entries.activation(id).is_none() {
        return false;
    }
    entries.set_activation(id, Activation::default());
    if !entries.any_deactivated() {
        entries.demand(AgentDraining, false);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::super::testing::{demands, info, since};
    use super::*;

    fn with_agents(ids: &[&str]) -> Entries {
        let mut entries = Entries::default();
        for id in ids {
            assert!(Operation::AdmitAgent { info: info(id) }.apply(&mut entries));
        }
        entries
    }

    fn unreachable(id: &str, entries: &mut Entries) {
        assert!(Operation::MarkAgentUnreachable { info: info(id), since: since(1) }.apply(entries));
    }

    fn reachable(id: &str, entries: &mut Entries) {
        assert!(Operation::MarkAgentReachable { info: info(id) }.apply(entries));
    }

    fn config(mark_gone: bool) -> v1::DrainConfig {
        v1::DrainConfig { mark_gone: Some(mark_gone), ..Default::default() }
    }

    fn state(id: &str, entries: &Entries) -> (Option<v1::DrainState>, bool) {
        let activation = entries.activation(&id.into()).unwrap();
        (activation.drain.map(|drain| drain.state()), activation.deactivated)
    }

    /// `RegistrarTest.DrainAgent`.
    #[test]
    fn an_agent_stays_draining_while_it_is_unreachable_and_when_it_is_back() {
        let mut entries = with_agents(&["a"]);
        assert!(!drain(&"other".into(), config(true), &mut entries), "it is not known");
        assert!(demands(&entries).is_empty());
        assert_eq!(state("a", &entries), (None, false));

        assert!(drain(&"a".into(), config(true), &mut entries));
        let expected = (Some(v1::DrainState::Draining), true);
        assert_eq!(state("a", &entries), expected);
        assert_eq!(demands(&entries), ["AGENT_DRAINING"]);
        unreachable("a", &mut entries);
        assert_eq!(state("a", &entries), expected);
        reachable("a", &mut entries);
        assert_eq!(state("a", &entries), expected);
        assert_eq!(entries.activation(&"a".into()).unwrap().drain.unwrap().config, config(true));
    }

    /// `RegistrarTest.DrainAgent`.
    #[test]
    fn an_unreachable_agent_is_drained_too() {
        let mut entries = with_agents(&["a"]);
        unreachable("a", &mut entries);
        assert!(drain(&"a".into(), config(false), &mut entries));
        assert!(mark_drained(&"a".into(), &mut entries));
        reachable("a", &mut entries);
        assert_eq!(state("a", &entries), (Some(v1::DrainState::Drained), true));
    }

    /// `RegistrarTest.MarkAgentDrained`.
    #[test]
    fn only_an_agent_that_is_being_drained_is_drained_some_day() {
        let mut entries = with_agents(&["a"]);
        assert!(!mark_drained(&"other".into(), &mut entries));
        assert!(!mark_drained(&"a".into(), &mut entries), "it is not being drained");
        assert!(drain(&"a".into(), config(false), &mut entries));
        assert!(mark_drained(&"a".into(), &mut entries));
        assert!(!mark_drained(&"a".into(), &mut entries), "it is drained already");
        // It may be drained anew, with another configuration.
        assert!(drain(&"a".into(), config(true), &mut entries));
        assert_eq!(state("a", &entries), (Some(v1::DrainState::Draining), true));
    }

    /// `RegistrarTest.DeactivateAgent`.
    #[test]
    fn an_agent_stays_deactivated_while_it_is_unreachable_and_when_it_is_back() {
        let mut entries = with_agents(&["a"]);
        assert!(!deactivate(&"other".into(), &mut entries));
        assert!(demands(&entries).is_empty());
        assert!(deactivate(&"a".into(), &mut entries));
        unreachable("a", &mut entries);
        assert_eq!(state("a", &entries), (None, true));
        reachable("a", &mut entries);
        assert_eq!(state("a", &entries), (None, true));
        assert_eq!(demands(&entries), ["AGENT_DRAINING"]);
    }

    /// `RegistrarTest.ReactivateAgent`.
    #[test]
    fn the_capability_is_demanded_until_the_last_agent_is_active_again() {
        let mut entries = with_agents(&["a", "b", "c"]);
        unreachable("c", &mut entries);
        assert!(!reactivate(&"other".into(), &mut entries));
        assert!(drain(&"a".into(), config(false), &mut entries));
        assert!(deactivate(&"b".into(), &mut entries) && deactivate(&"c".into(), &mut entries));
        for (id, demanded) in [("a", true), ("b", true), ("c", false)] {
            assert!(reactivate(&id.into(), &mut entries));
            assert_eq!(state(id, &entries), (None, false));
            assert_eq!(!demands(&entries).is_empty(), demanded, "after {id}");
        }
    }
}
