//! Which changes of the registry go into which transaction, for stores that limit what one transaction may hold.
//!
//! Pure. A batch of the registrar may hold thousands of changes; ZooKeeper and etcd take some hundred at a time. So
//! it becomes several transactions, made one after the other, and the master may die between two of them. What must
//! not be seen half done therefore stays together:
//!
//! - all changes of one agent: an agent that is marked unreachable leaves `agent/` and enters `unreachable/`. Between
//!   the two it would be in neither, and lost;
//! - what operators set (quotas, weights, whatever else is not an agent's), as far as it fits into one transaction:
//!   one call may set many roles. Where it does not fit, each record stands for itself, in the order in which they come;
//!   only that machines leave after the schedule does not name them any more. So whoever reads a part of a plan for
//!   maintenance knows what holds: the schedule that is there.
//!
//! And a capability that every later master must have is demanded before anything that needs it is there, and until
//! nothing of that is left: so its record comes first, or, when it goes, last.
//!
//! It knows nothing of stores, and nothing of what the records hold.

use std::collections::BTreeMap;

use mesos::sabotage::{Bug, is_on};

use super::super::entries::{CAPABILITY, Change};

/// What one transaction of a store may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So many changes.
    pub changes: usize,
    /// So many bytes.
    pub bytes: usize,
    /// How many bytes each change takes beside its key and its value.
    pub overhead: usize,
    /// How many bytes one of a key may take: more than one where keys are escaped.
    pub key_byte: usize,
}

impl Limits {
    fn size(&self, changes: &[Change]) -> Size {
        let bytes =
            |change: &Change| change.key.len() * self.key_byte + change.value.as_ref().map_or(0, Vec::len);
        let sum = changes.iter().map(|change| bytes(change) + self.overhead).sum();
        Size { changes: changes.len(), bytes: sum }
    }

    fn allow(&self, size: Size) -> bool {
        size.changes <= self.changes && size.bytes <= self.bytes
    }
}

/// How much some changes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    changes: usize,
    bytes: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self { changes: self.changes + other.changes, bytes: self.bytes + other.bytes }
    }
}

/// Changes that belong together are more than a transaction may hold: the store cannot keep them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "record '{key}': {changes} changes with {bytes} bytes belong together, but one transaction may have {} changes \
     and {} bytes",
    limits.changes,
    limits.bytes
)]
pub struct TooLarge {
    /// The first of them.
    pub key: String,
    /// How many.
    pub changes: usize,
    /// How large.
    pub bytes: usize,
    /// What is allowed.
    pub limits: Limits,
}

/// The transactions, in the order in which they are to be made. Each holds at least one change and keeps the limits.
///
/// # Errors
/// When changes that belong together do not fit into one transaction. Then none is to be made.
pub fn batches(changes: Vec<Change>, limits: Limits) -> Result<Vec<Vec<Change>>, TooLarge> {
    let mut batches: Vec<Vec<Change>> = Vec::new();
    let mut filled = Size::default();
    for unit in units(changes, limits) {
        let size = limits.size(&unit);
        if !limits.allow(size) {
            let key = unit.into_iter().next().map_or_else(String::new, |change| change.key);
            return Err(TooLarge { key, changes: size.changes, bytes: size.bytes, limits });
        }
        match batches.last_mut() {
            Some(batch) if limits.allow(filled.plus(size)) => {
                batch.extend(unit);
                filled = filled.plus(size);
            }
            _ => {
                batches.push(unit);
                filled = size;
            }
        }
    }
    Ok(batches)
}

/// The changes by what must be seen together: capabilities that are demanded, what is no agent's, each agent, capabilities
/// that are demanded no longer.
fn units(changes: Vec<Change>, limits: Limits) -> Vec<Vec<Change>> {
    let (mut demanded, mut others, mut withdrawn) = (Vec::new(), Vec::new(), Vec::new());
    let mut agents: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for change in changes {
        match agent_of(&change.key) {
            Some(_) if is_on(Bug::SplitsAgents) => agents.entry(change.key.clone()).or_default().push(change),
            Some(id) => agents.entry(id.to_owned()).or_default().push(change),
            None if !change.key.starts_with(CAPABILITY) => others.push(change),
            None if change.value.is_some() => demanded.push(change),
            None => withdrawn.push(change),
        }
    }
    let together = limits.allow(limits.size(&others));
    others.sort_by_key(|change| change.value.is_none() && change.key.starts_with("machine/"));
    let others = if together { vec![others] } else { others.into_iter().map(|one| vec![one]).collect() };
    let demanded = demanded.into_iter().map(|one| vec![one]);
    let withdrawn = withdrawn.into_iter().map(|one| vec![one]);
    let units = demanded.chain(others).chain(agents.into_values()).chain(withdrawn);
    units.filter(|unit| !unit.is_empty()).collect()
}

/// The agent that a record is about.
fn agent_of(key: &str) -> Option<&str> {
    let (kind, id) = key.split_once('/')?;
    matches!(kind, "agent" | "unreachable" | "gone").then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { changes: 4, bytes: 100, overhead: 10, key_byte: 1 };

    fn put(key: &str, size: usize) -> Change {
        Change { key: key.into(), value: Some(vec![7; size]) }
    }

    fn delete(key: &str) -> Change {
        Change { key: key.into(), value: None }
    }

    fn keys(batches: &[Vec<Change>]) -> Vec<Vec<&str>> {
        batches.iter().map(|batch| batch.iter().map(|change| change.key.as_str()).collect()).collect()
    }

    #[test]
    fn an_agent_moves_from_one_list_to_the_other_within_one_transaction() {
        let changes = vec![
            delete("agent/a"),
            delete("agent/b"),
            delete("agent/c"),
            put("unreachable/a", 1),
            put("gone/b", 1),
            put("unreachable/c", 1),
        ];
        let batches = batches(changes, LIMITS).unwrap();
        assert_eq!(
            keys(&batches),
            [vec!["agent/a", "unreachable/a", "agent/b", "gone/b"], vec!["agent/c", "unreachable/c"]]
        );
    }

    #[test]
    fn what_operators_set_stays_together_while_it_fits() {
        let fits = vec![put("agent/a", 1), put("agent/b", 1), put("quota/x", 1), put("quota/y", 1)];
        assert_eq!(keys(&batches(fits, LIMITS).unwrap())[0][..2], ["quota/x", "quota/y"]);
        let roles: Vec<String> = (0..6).map(|n| format!("quota/role/{n}")).collect();
        let many = roles.iter().map(|role| put(role, 1)).collect();
        assert_eq!(batches(many, LIMITS).unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
    }

    #[test]
    fn machines_come_before_the_schedule_that_names_them_and_go_after_it_does_not_any_more() {
        let changes = vec![
            delete("machine//a"),
            put("machine//b", 1),
            delete("machine//c"),
            put("machine//d", 1),
            put("schedule", 1),
        ];
        let stored = batches(changes, LIMITS).unwrap();
        assert_eq!(
            keys(&stored),
            [vec!["machine//b", "machine//d", "schedule", "machine//a"], vec!["machine//c"]]
        );
    }

    /// A master that lacks it must not take over what needs it, whichever transaction was the last one.
    #[test]
    fn a_capability_is_demanded_before_what_needs_it_is_there_and_until_none_of_that_is_left() {
        let mut changes: Vec<Change> = (0..5).map(|n| put(&format!("quota/{n}"), 1)).collect();
        changes.push(put("capability/QUOTA_V2", 1));
        let stored = batches(changes, LIMITS).unwrap();
        assert_eq!(
            keys(&stored),
            [vec!["capability/QUOTA_V2", "quota/0", "quota/1", "quota/2"], vec!["quota/3", "quota/4"]]
        );
        let mut changes: Vec<Change> = (0..5).map(|n| put(&format!("agent/{n}"), 1)).collect();
        changes.push(delete("capability/AGENT_DRAINING"));
        let stored = batches(changes, LIMITS).unwrap();
        assert_eq!(
            keys(&stored),
            [vec!["agent/0", "agent/1", "agent/2", "agent/3"], vec!["agent/4", "capability/AGENT_DRAINING"]]
        );
    }

    #[test]
    fn what_is_too_large_alone_is_named_and_nothing_is_stored() {
        let error = batches(vec![put("agent/a", 1), put("agent/big", 82)], LIMITS).unwrap_err();
        assert_eq!(
            error.to_string(),
            "record 'agent/big': 1 changes with 101 bytes belong together, but one transaction may have 4 changes \
             and 100 bytes"
        );
        assert_eq!(batches(vec![put("agent/big", 81)], LIMITS).unwrap().len(), 1);
    }

    #[test]
    fn keys_count_as_long_as_they_may_be_when_they_are_escaped() {
        let escaped = Limits { key_byte: 3, ..LIMITS };
        let weights = || vec![put("weight/1234567890", 20), put("weight/abcdefghij", 20)];
        assert_eq!(batches(weights(), LIMITS).unwrap().len(), 1);
        assert_eq!(batches(weights(), escaped).unwrap().len(), 2);
    }

    #[test]
    fn nothing_needs_no_transaction() {
        assert_eq!(batches(Vec::new(), LIMITS), Ok(Vec::new()));
    }

    prop_compose! {
        /// Each key once, as the registrar makes them.
        fn some_changes()(
            kinds in prop::collection::btree_map(
                (0..7_usize, 0..8_usize),
                prop::option::of(0..20_usize),
                0..40,
            )
        ) -> Vec<Change> {
            let kind = ["agent", "unreachable", "gone", "quota", "weight", "machine", "capability"];
            let change = |((k, id), size): ((usize, usize), Option<usize>)| Change {
                key: format!("{}/{id}/{id}", kind[k]),
                value: size.map(|size| vec![7; size]),
            };
            kinds.into_iter().map(change).collect()
        }
    }

    proptest! {
        #[test]
        fn every_change_is_made_once_within_the_limits_and_agents_are_whole(changes in some_changes()) {
            let batches = batches(changes.clone(), LIMITS);
            prop_assume!(batches.is_ok());
            let batches = batches.unwrap();
            for batch in &batches {
                prop_assert!(!batch.is_empty() && LIMITS.allow(LIMITS.size(batch)));
            }
            let agents = |batch: &Vec<Change>| -> std::collections::BTreeSet<String> {
                batch.iter().filter_map(|change| agent_of(&change.key)).map(str::to_owned).collect()
            };
            for (at, batch) in batches.iter().enumerate() {
                for other in &batches[at + 1..] {
                    prop_assert!(agents(batch).is_disjoint(&agents(other)));
                }
            }
            let by_key = |changes: Vec<Change>| -> BTreeMap<String, Change> {
                changes.into_iter().map(|change| (change.key.clone(), change)).collect()
            };
            let all: Vec<Change> = batches.into_iter().flatten().collect();
            prop_assert_eq!(all.len(), changes.len());
            prop_assert_eq!(by_key(all), by_key(changes));
        }
    }
}
