//! Which changes of the registry go into which transaction, for stores that limit what one transaction may hold.
//!
//! Pure. A batch of the registrar may hold thousands of changes; ZooKeeper and etcd take some hundred at a time. So
//! it becomes several transactions, made one after the other, and the master may die between two of them. What must
//! not be seen half done therefore stays together:
//!
//! - all changes of one agent: an agent that is marked unreachable leaves `agent/` and enters `unreachable/`. Between
//!   the two it would be in neither, and lost;
//! - what operators set (quotas, weights, whatever else is not an agent's), if it fits into one transaction: one call may
//!   set many roles. Where it does not fit, all of it is noted first, in one record of its own (`pending`), which goes
//!   when the last change is made. Who leads next, and finds the note, makes all of these changes again, before anything
//!   else ([`settled`]). So whoever asked for them finds all of them or none.
//!   If even the note is too large for a transaction (in ZooKeeper, of some 2,500 quotas of four resources each, or of 5,000
//!   weights of roles whose names have some 50 letters), each record stands for itself, in the order in which they come; only
//!   that machines leave after the schedule does not name them any more. So whoever reads a part of a plan for maintenance
//!   knows what holds: the schedule that is there.
//!
//! And a capability that every later master must have is demanded before anything that needs it is there, and until
//! nothing of that is left: so its record comes first, or, when it goes, last.
//!
//! It knows nothing of stores, and nothing of what the records hold.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesos::sabotage::{Bug, is_on};

use super::super::entries::{CAPABILITY, Change, Record};

/// The key of the note: what is to be changed by the transactions that follow, as JSON, with values in base64. It never
/// reaches the registrar.
const PENDING: &str = "pending";

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
    packed(units(changes, limits), limits)
}

/// As many of the units in each transaction as it may hold, in their order.
fn packed(units: Vec<Vec<Change>>, limits: Limits) -> Result<Vec<Vec<Change>>, TooLarge> {
    let mut batches: Vec<Vec<Change>> = Vec::new();
    let mut filled = Size::default();
    for unit in units {
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

/// What a leader has noted, and not made to the end: a part of it may be stored. It is made before anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// All of what was noted, and then that the note goes; nothing if there is no note.
    changes: Vec<Change>,
}

impl Unfinished {
    /// The transactions that end it, and then those of other changes, which may be of the same records.
    ///
    /// # Errors
    /// As [`batches`]. Then none is to be made.
    pub fn batches(self, changes: Vec<Change>, limits: Limits) -> Result<Vec<Vec<Change>>, TooLarge> {
        let left = self.changes.into_iter().map(|one| vec![one]).collect();
        let mut transactions = packed(left, limits)?;
        transactions.extend(batches(changes, limits)?);
        Ok(transactions)
    }
}

/// The records as they are once what the last leader has noted is made, and what is to be made for that.
///
/// # Errors
/// When there is a note that makes no sense.
pub fn settled(mut records: Vec<Record>) -> Result<(Vec<Record>, Unfinished), String> {
    let Some(at) = records.iter().position(|(key, _)| key == PENDING) else {
        return Ok((records, Unfinished::default()));
    };
    let (_, note) = records.remove(at);
    let garbled = |error: &dyn std::fmt::Display| format!("record '{PENDING}' cannot be read: {error}");
    let noted: Vec<(String, Option<String>)> =
        serde_json::from_slice(&note).map_err(|error| garbled(&error))?;
    let mut records: BTreeMap<String, Vec<u8>> = records.into_iter().collect();
    let mut changes = Vec::with_capacity(noted.len() + 1);
    for (key, value) in noted {
        let value = value.map(|value| STANDARD.decode(value)).transpose().map_err(|error| garbled(&error))?;
        match value.clone() {
            Some(value) => drop(records.insert(key.clone(), value)),
            None => drop(records.remove(&key)),
        }
        changes.push(Change { key, value });
    }
    changes.push(Change { key: PENDING.to_owned(), value: None });
    Ok((records.into_iter().collect(), Unfinished { changes }))
}

/// What is noted of changes that do not fit into one transaction, if that fits into one.
fn note(changes: &[Change], limits: Limits) -> Option<Change> {
    let encoded = |change: &Change| change.value.as_ref().map(|value| STANDARD.encode(value));
    let noted: Vec<_> = changes.iter().map(|change| (&change.key, encoded(change))).collect();
    let note = Change { key: PENDING.to_owned(), value: Some(serde_json::to_vec(&noted).ok()?) };
    limits.allow(limits.size(std::slice::from_ref(&note))).then_some(note)
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
    let others = if together {
        vec![others]
    } else {
        let noted = note(&others, limits).filter(|_| others.len() > 1);
        let made = noted.as_ref().map(|note| Change { key: note.key.clone(), value: None });
        noted.into_iter().chain(others).chain(made).map(|one| vec![one]).collect()
    };
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

    fn store(records: &mut BTreeMap<String, Vec<u8>>, changes: &[Change]) {
        for Change { key, value } in changes {
            match value {
                Some(value) => drop(records.insert(key.clone(), value.clone())),
                None => drop(records.remove(key)),
            }
        }
    }

    /// The leader dies after whichever transaction; so does the next one, which has read what it left.
    #[test]
    fn of_what_operators_set_the_next_leader_finds_all_or_nothing() {
        let limits = Limits { bytes: 1_000, ..LIMITS };
        let old: Vec<Record> = (0..4).map(|n| (format!("quota/{n}"), vec![1])).collect();
        let mut change: Vec<Change> = (0..10).map(|n| put(&format!("quota/{n}"), 1)).collect();
        change.extend([delete("quota/2"), put("weight/a", 1), put("weight/b", 0)]);
        change.remove(2);
        let mut new: BTreeMap<String, Vec<u8>> = old.iter().cloned().collect();
        store(&mut new, &change);
        let new: Vec<Record> = new.into_iter().collect();

        let transactions = batches(change, limits).unwrap();
        assert_eq!(transactions.len(), 4);
        for stored in 0..=transactions.len() {
            let mut records: BTreeMap<String, Vec<u8>> = old.iter().cloned().collect();
            transactions[..stored].iter().for_each(|transaction| store(&mut records, transaction));
            let (found, left) = settled(records.clone().into_iter().collect()).unwrap();
            assert_eq!(found, if stored == 0 { old.clone() } else { new.clone() }, "after {stored}");
            // What it stores first may be of the same records.
            let next = left.batches(vec![put("quota/2", 2), delete("weight/a")], limits).unwrap();
            for stored in 0..next.len() {
                let mut records = records.clone();
                next[..stored].iter().for_each(|transaction| store(&mut records, transaction));
                assert_eq!(settled(records.into_iter().collect()).unwrap().0, found);
            }
            next.iter().for_each(|transaction| store(&mut records, transaction));
            let mut expected: BTreeMap<String, Vec<u8>> = found.into_iter().collect();
            store(&mut expected, &[put("quota/2", 2), delete("weight/a")]);
            assert_eq!(records, expected);
        }
        for note in ["?", r#"[["quota/2","?"]]"#] {
            let garbled = settled(vec![("pending".into(), note.into())]).unwrap_err();
            assert!(garbled.starts_with("record 'pending' cannot be read: "), "{garbled}");
        }
    }

    /// Numbers would make it three times as large as what it is about.
    #[test]
    fn what_is_noted_takes_little_more_than_what_it_is_about() {
        let roles = (0..1_000).map(|n| Change { key: format!("quota/{n:03}"), value: Some(vec![200; 300]) });
        let limits = Limits { changes: 500, bytes: 500_000, overhead: 0, key_byte: 1 };
        let stored = batches(roles.collect(), limits).unwrap();
        assert_eq!(keys(&stored)[0][0], "pending");
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
        let stored = batches(changes, Limits { bytes: 120, ..LIMITS }).unwrap();
        assert_eq!(
            keys(&stored),
            [
                vec!["capability/QUOTA_V2"],
                vec!["pending"],
                vec!["quota/0", "quota/1", "quota/2", "quota/3"],
                vec!["quota/4", "pending"]
            ]
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
