//! Which agents belong to the cluster: admitted, unreachable, gone for ever, or forgotten.

use std::collections::BTreeSet;

use mesos::internal::registry;
use mesos::{AgentId, v1};

use super::super::entries::Entries;

fn id_of(info: &v1::AgentInfo) -> AgentId {
    info.id.as_ref().map_or_else(|| AgentId::from(""), AgentId::from)
}

/// A new agent.
pub(super) fn admit(info: v1::AgentInfo, entries: &mut Entries) -> bool {
    let id = id_of(&info);
    if entries.is_admitted(&id) || entries.is_unreachable(&id) || entries.is_gone(&id) {
        return false;
    }
    entries.put_agent(id, &registry::Slave { info, ..Default::default() });
    true
}

/// An admitted agent has changed.
pub(super) fn update(info: v1::AgentInfo, entries: &mut Entries) -> bool {
    let id = id_of(&info);
    let Some(agent) = entries.agent(&id) else { return false };
    if agent.info != info {
        entries.put_agent(id, &registry::Slave { info, ..agent });
    }
    true
}

/// An admitted agent does not answer.
pub(super) fn mark_unreachable(info: &v1::AgentInfo, since: v1::TimeInfo, entries: &mut Entries) -> bool {
    let id = id_of(info);
    let Some(agent) = entries.remove_agent(&id) else { return false };
    let entry = registry::UnreachableSlave {
        id: id.to_proto(),
        timestamp: since,
        drain_info: agent.drain_info,
        deactivated: agent.deactivated,
    };
    entries.put_unreachable(id, entry);
    true
}

/// An agent answers again, or is there when a new master looks.
pub(super) fn mark_reachable(info: v1::AgentInfo, entries: &mut Entries) -> bool {
    let id = id_of(&info);
    let mut agent = registry::Slave { info, ..Default::default() };
    if let Some(entry) = entries.remove_unreachable(&id) {
        agent.drain_info = entry.drain_info;
        agent.deactivated = entry.deactivated;
    }
    if !entries.is_admitted(&id) {
        entries.put_agent(id, &agent);
    }
    true
}

/// An agent will never be back.
pub(super) fn mark_gone(id: &AgentId, since: v1::TimeInfo, entries: &mut Entries) -> bool {
    let was_admitted = entries.remove_agent(id).is_some();
    let was_unreachable = entries.remove_unreachable(id).is_some();
    if was_admitted || was_unreachable {
        entries.put_gone(id.clone(), registry::GoneSlave { id: id.to_proto(), timestamp: since });
    }
    was_admitted || was_unreachable
}

/// An admitted agent has left.
pub(super) fn remove(id: &AgentId, entries: &mut Entries) -> bool {
    entries.remove_agent(id).is_some()
}

/// What was long ago is forgotten. Agents that came back meanwhile are no matter.
pub(super) fn prune(
    unreachable: &BTreeSet<AgentId>,
    gone: &BTreeSet<AgentId>,
    entries: &mut Entries,
) -> bool {
    for id in unreachable {
        entries.remove_unreachable(id);
    }
    for id in gone {
        entries.remove_gone(id);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::super::testing::{info, since};
    use super::*;

    /// `RegistrarTest.Admit`, `RegistrarTest.MarkUnreachable`, `RegistrarTest.MarkGone`, `RegistrarTest.Remove`.
    #[test]
    fn an_agent_goes_from_admitted_to_unreachable_and_back_and_to_gone_for_ever() {
        let mut entries = Entries::default();
        let mut apply = |operation: Operation| operation.apply(&mut entries);
        let admit = || Operation::AdmitAgent { info: info("a") };
        let unreachable = || Operation::MarkAgentUnreachable { info: info("a"), since: since(1) };
        let gone = || Operation::MarkAgentGone { id: "a".into(), since: since(1) };
        assert!(!apply(unreachable()), "it is not known");
        assert!(!apply(gone()));
        assert!(apply(admit()) && !apply(admit()));
        assert!(apply(unreachable()) && !apply(unreachable()));
        assert!(!apply(admit()), "an unreachable agent comes back by another way");
        assert!(apply(Operation::MarkAgentReachable { info: info("a") }));
        assert!(apply(gone()) && !apply(gone()) && !apply(admit()));
        assert!(apply(Operation::PruneAgents { unreachable: BTreeSet::new(), gone: ["a".into()].into() }));
        assert!(apply(admit()));
        assert!(apply(Operation::RemoveAgent { id: "a".into() }));
        assert!(!apply(Operation::RemoveAgent { id: "a".into() }));
    }

    /// `RegistrarTest.MarkReachable`.
    #[test]
    fn an_agent_that_nobody_remembers_may_still_be_reachable() {
        let mut entries = Entries::default();
        assert!(Operation::MarkAgentReachable { info: info("a") }.apply(&mut entries));
        assert!(entries.is_admitted(&"a".into()));
    }

    /// `RegistrarTest.MarkReachable`.
    #[test]
    fn an_admitted_agent_is_reachable_already() {
        let mut entries = Entries::default();
        assert!(admit(*info("a"), &mut entries));
        entries.take_changes();
        assert!(mark_reachable(*info("a"), &mut entries));
        assert!(entries.take_changes().is_empty(), "nothing is stored for it");
    }

    /// `RegistrarTest.UpdateSlave`.
    #[test]
    fn only_an_admitted_agent_that_has_changed_is_stored() {
        let mut entries = Entries::default();
        let changed = v1::AgentInfo { hostname: "other".into(), ..*info("a") };
        assert!(!update(changed.clone(), &mut entries), "it is not admitted");
        assert!(admit(*info("a"), &mut entries));
        entries.take_changes();
        assert!(update(*info("a"), &mut entries));
        assert!(entries.take_changes().is_empty());
        assert!(update(changed, &mut entries));
        assert_eq!(entries.agent(&"a".into()).unwrap().info.hostname, "other");
        assert_eq!(entries.take_changes().len(), 1);
    }

    /// `RegistrarTest.MarkUnreachableGone`.
    #[test]
    fn an_unreachable_agent_may_be_gone_and_is_nothing_else_then() {
        let mut entries = Entries::default();
        assert!(admit(*info("a"), &mut entries) && mark_unreachable(&info("a"), since(1), &mut entries));
        assert!(mark_gone(&"a".into(), since(2), &mut entries));
        let registry = entries.to_registry();
        assert!(registry.slaves.unwrap().slaves.is_empty());
        assert!(registry.unreachable.unwrap().slaves.is_empty());
        assert_eq!(registry.gone.unwrap().slaves[0].timestamp, since(2));
    }

    /// `RegistrarTest.Prune`.
    #[test]
    fn what_is_pruned_is_named_list_by_list() {
        let mut entries = Entries::default();
        for id in ["u1", "u2", "g1", "g2"] {
            assert!(admit(*info(id), &mut entries));
        }
        for id in ["u1", "u2"] {
            assert!(mark_unreachable(&info(id), since(1), &mut entries));
        }
        for id in ["g1", "g2"] {
            assert!(mark_gone(&id.into(), since(1), &mut entries));
        }
        // One that is gone is not named as such, one is not known at all.
        let unreachable = ["u1".into(), "g2".into(), "x".into()].into();
        assert!(prune(&unreachable, &["g1".into()].into(), &mut entries));
        let registry = entries.to_registry();
        let unreachable: Vec<_> =
            registry.unreachable.unwrap().slaves.into_iter().map(|a| a.id.value).collect();
        let gone: Vec<_> = registry.gone.unwrap().slaves.into_iter().map(|a| a.id.value).collect();
        assert_eq!((unreachable, gone), (vec!["u2".to_owned()], vec!["g2".to_owned()]));
    }
}
