//! A whole registry read out of a storage, or put into one: what `mesos registry` does.
//!
//! Its form outside of a storage is the JSON of `mesos.internal.Registry`, as `/registrar(1)/registry` shows it. Fields
//! have names there, so that another version, which keeps its records otherwise, can read it; what this version does not
//! know is refused, not dropped. It knows no actor: while a master uses the storage nobody else may write.

use std::collections::BTreeMap;

use mesos::internal::Registry;
use mesos::{AgentId, MachineKey, v1, wire};
use serde_json::Value;

use super::RegistrarError;
use super::entries::{Change, Entries, IMPORTING, Key, Record, are_a_part};
use super::storage::{Storage, StorageError};
use crate::validation::{self, Invalid};

/// Why a registry was not put into a storage.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The storage could not be read or written.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// It has entries already.
    #[error(
        "{place} is not empty: it has {records} records (first: '{first}'); use --replace to have them deleted"
    )]
    NotEmpty {
        /// The storage.
        place: String,
        /// How many records, without that of the latest leader.
        records: usize,
        /// The key of one.
        first: String,
    },
    /// Some of it may have been put there.
    #[error("the registry may be there in part: {0}; repeat it with --replace")]
    Torn(StorageError),
}

/// A text that is not the JSON of a registry, or says more than this version understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or a field has the wrong type.
    #[error("not the JSON of a registry: {0}")]
    Json(String),
    /// There is something that would be lost.
    #[error("this version does not know what '{0}' is")]
    UnknownField(String),
}

/// A registry that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRegistry {
    /// Nobody could refer to it.
    #[error("an agent has no id")]
    NoId,
    /// Which of them holds?
    #[error("there are two entries '{0}'")]
    Twice(String),
    /// Upstream had that before version 1.9; or more of something than there can be.
    #[error("'{0}' cannot be kept: {1}")]
    Unsupported(&'static str, &'static str),
    /// No operator could have set it, and a master would not know what to do with it.
    #[error("'{0}' is not valid: {1}")]
    Invalid(String, Invalid),
}

/// Everything that a storage holds.
///
/// # Errors
/// When it cannot be read, or holds something else than a registry, or a part of one.
pub async fn read(storage: &mut dyn Storage) -> Result<Registry, RegistrarError> {
    let records = storage.load(None).await?;
    if are_a_part(&records) {
        return Err(RegistrarError::Part { place: storage.name() });
    }
    match Entries::from_records(records) {
        Ok(entries) => Ok(entries.to_registry()),
        Err(corrupt) => Err(RegistrarError::Corrupt { place: storage.place_of(&corrupt.key), corrupt }),
    }
}

/// Whether there is nothing in a registry, not even who led last.
pub fn is_empty(registry: &Registry) -> bool {
    *registry == Entries::default().to_registry()
}

/// Puts a whole registry into a storage. Who led last does not count as an entry: a master that started once has noted
/// itself.
///
/// Some storages take it in many transactions, and this process may be killed between two of them. What stands there
/// beside the records until all of them are stored keeps everybody from taking a part for the whole. (Where it is one
/// transaction, what was there before stays good whatever happens.)
///
/// # Errors
/// When there are entries and they are not to be replaced, or when the storage fails.
pub async fn import(storage: &mut dyn Storage, records: Records, replace: bool) -> Result<(), ImportError> {
    let Records(new) = records;
    let found = storage.load(None).await?;
    let is_entry = |key: &str| key != "master" && key != IMPORTING;
    let taken: Vec<&Record> = found.iter().filter(|(key, _)| is_entry(key)).collect();
    if let (Some((first, _)), false) = (taken.first(), replace) {
        let (place, first) = (storage.name(), first.clone());
        return Err(ImportError::NotEmpty { place, records: taken.len(), first });
    }
    let gone = found.iter().filter(|(key, _)| key != IMPORTING && !new.contains_key(key));
    let mut changes: Vec<Change> = gone.map(|(key, _)| Change { key: key.clone(), value: None }).collect();
    changes.extend(new.into_iter().map(|(key, value)| Change { key, value: Some(value) }));
    if storage.is_atomic() {
        // One may have been left there by an earlier version.
        changes.push(importing(None));
        storage.store(changes).await?;
        return Ok(());
    }
    storage.store(vec![importing(Some(Vec::new()))]).await?;
    if let Err(error) = storage.store(changes).await {
        return Err(given_up(storage, &found, error).await);
    }
    storage.store(vec![importing(None)]).await.map_err(ImportError::Torn)
}

fn importing(value: Option<Vec<u8>>) -> Change {
    Change { key: IMPORTING.to_owned(), value }
}

/// The records could not be stored. If not one of them was, as where the first is refused, what was there before is whole
/// still, and is to be good as before.
async fn given_up(storage: &mut dyn Storage, before: &[Record], error: StorageError) -> ImportError {
    let Ok(mut found) = storage.load(None).await else { return ImportError::Torn(error) };
    found.retain(|(key, _)| key != IMPORTING);
    found.sort();
    let mut before = before.to_vec();
    before.sort();
    // What was a part before is one still.
    match found == before && storage.store(vec![importing(None)]).await.is_ok() {
        true => ImportError::Storage(error),
        false => ImportError::Torn(error),
    }
}

/// The records of a whole registry, each of which can be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records(BTreeMap<String, Vec<u8>>);

impl TryFrom<Registry> for Records {
    type Error = BadRegistry;

    fn try_from(registry: Registry) -> Result<Self, BadRegistry> {
        records(registry).map(Self)
    }
}

fn records(registry: Registry) -> Result<BTreeMap<String, Vec<u8>>, BadRegistry> {
    let agent = |id: Option<&v1::AgentId>| id.map(AgentId::from).ok_or(BadRegistry::NoId);
    let mut all: Vec<(Key, Vec<u8>)> = Vec::new();
    all.extend(registry.master.map(|master| (Key::Master, wire::encode(&master))));
    for entry in registry.slaves.unwrap_or_default().slaves {
        all.push((Key::Agent(agent(entry.info.id.as_ref())?), wire::encode(&entry)));
    }
    for entry in registry.unreachable.unwrap_or_default().slaves {
        all.push((Key::Unreachable(AgentId::from(&entry.id)), wire::encode(&entry)));
    }
    for entry in registry.gone.unwrap_or_default().slaves {
        all.push((Key::Gone(AgentId::from(&entry.id)), wire::encode(&entry)));
    }
    for entry in registry.machines.unwrap_or_default().machines {
        all.push((Key::Machine(MachineKey::from(&entry.info.id)), wire::encode(&entry)));
    }
    all.extend(registry.schedules.iter().map(|schedule| (Key::Schedule, wire::encode(schedule))));
    let invalid = |key: &Key| {
        let key = key.to_text();
        move |reason| BadRegistry::Invalid(key, reason)
    };
    for entry in &registry.weights {
        let (role, key) = (entry.info.role(), Key::Weight(entry.info.role().to_owned()));
        validation::weight::role(role).map_err(invalid(&key))?;
        validation::weight::value(entry.info.weight).map_err(invalid(&key))?;
        all.push((key, wire::encode(entry)));
    }
    for config in &registry.quota_configs {
        let key = Key::Quota(config.role.clone());
        validation::quota::config(config).map_err(invalid(&key))?;
        all.push((key, wire::encode(config)));
    }
    for entry in &registry.minimum_capabilities {
        all.push((Key::Capability(entry.capability.clone()), wire::encode(entry)));
    }
    if !registry.quotas.is_empty() {
        return Err(BadRegistry::Unsupported("quotas", "set them as quota_configs"));
    }
    if registry.resource_provider_registry.is_some() {
        return Err(BadRegistry::Unsupported(
            "resource_provider_registry",
            "there are no resource providers",
        ));
    }
    let mut records = BTreeMap::new();
    for (key, value) in all {
        if records.insert(key.to_text(), value).is_some() {
            return Err(BadRegistry::Twice(key.to_text()));
        }
    }
    Ok(records)
}

/// Reads the JSON of a registry.
///
/// # Errors
/// When it is none, or has fields that this version would drop.
pub fn parse(text: &[u8]) -> Result<Registry, ParseError> {
    let mut given: Value =
        serde_json::from_slice(text).map_err(|error| ParseError::Json(error.to_string()))?;
    forget_checkpoint(&mut given);
    let registry: Registry =
        mesos::json::from_slice(text).map_err(|error| ParseError::Json(error.to_string()))?;
    let understood = serde_json::from_slice(&mesos::json::to_vec(&registry)).unwrap_or_default();
    match missing(&given, &understood, "") {
        Some(path) => Err(ParseError::UnknownField(path)),
        None => Ok(registry),
    }
}

/// What upstream's master shows says of each agent whether it checkpoints. Every agent does.
fn forget_checkpoint(given: &mut Value) {
    let agents = given.pointer_mut("/slaves/slaves").and_then(Value::as_array_mut);
    for agent in agents.into_iter().flatten() {
        if let Some(info) = agent.get_mut("info").and_then(Value::as_object_mut) {
            info.remove("checkpoint");
        }
    }
}

/// The path of a field that is in the one and not in the other. What is null or an empty list is not there.
fn missing(given: &Value, understood: &Value, path: &str) -> Option<String> {
    let is_there = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            given.iter().filter(|(_, value)| is_there(value)).find_map(|(name, value)| {
                let path = format!("{path}.{name}").trim_start_matches('.').to_owned();
                match understood.get(name) {
                    Some(other) => missing(value, other, &path),
                    None => Some(path),
                }
            })
        }
        (Value::Array(given), Value::Array(understood)) => {
            let pairs = given.iter().zip(understood);
            pairs
                .enumerate()
                .find_map(|(at, (given, understood))| missing(given, understood, &format!("{path}[{at}]")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use election::group::Membership;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use mesos::internal::registry;
    use parking_lot::Mutex;

    use super::*;
    use crate::registrar::tests::recover;
    use crate::registrar::{Local, Registrar, Timeouts};

    const FULL: &str = include_str!("transfer.json");

    fn kept(registry: Registry) -> Records {
        registry.try_into().unwrap()
    }

    #[test]
    fn a_registry_goes_from_one_storage_to_another_and_is_the_same() {
        libprocess::run(async {
            let node = libprocess::Node::builder().offline().start().await.unwrap();
            let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
            let [mut first, mut second] =
                folders.each_ref().map(|folder| Local::open(&node, folder.path()).unwrap());
            let registry = parse(FULL.as_bytes()).unwrap();
            assert!(first.is_atomic());
            import(&mut first, kept(registry.clone()), false).await.unwrap();
            let read_again = read(&mut first).await.unwrap();
            assert_eq!(read_again, registry);
            let text = mesos::json::to_vec(&read_again);
            assert_eq!(
                serde_json::from_slice::<Value>(&text).unwrap(),
                serde_json::from_str::<Value>(FULL).unwrap()
            );

            // Who led last is no entry.
            second.store(vec![Change { key: "master".into(), value: Some(b"any".to_vec()) }]).await.unwrap();
            import(&mut second, kept(parse(&text).unwrap()), false).await.unwrap();
            assert_eq!(read(&mut second).await.unwrap(), registry);

            let refused =
                import(&mut second, kept(Registry::default()), false).await.unwrap_err().to_string();
            assert!(refused.contains("is not empty") && refused.contains("--replace"), "{refused}");
            assert_eq!(read(&mut second).await.unwrap(), registry);
            import(&mut second, kept(Registry::default()), true).await.unwrap();
            assert!(second.load(None).await.unwrap().is_empty());
            node.shutdown().await;
        });
    }

    /// Takes one change after the other, until it has taken so many.
    #[derive(Clone, Default)]
    struct Limited {
        records: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
        left: usize,
    }

    impl Storage for Limited {
        fn name(&self) -> String {
            "limited".to_owned()
        }

        fn load(&mut self, _: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
            let records = self.records.lock().clone();
            async move { Ok(records.into_iter().collect()) }.boxed()
        }

        fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
            let mut records = self.records.lock();
            let mut result = Ok(());
            for Change { key, value } in changes {
                let Some(left) = self.left.checked_sub(1) else {
                    result = Err(StorageError { place: self.name(), reason: "no space".to_owned() });
                    break;
                };
                self.left = left;
                match value {
                    Some(value) => drop(records.insert(key, value)),
                    None => drop(records.remove(&key)),
                }
            }
            async move { result }.boxed()
        }
    }

    /// An agent that is gone for ever would be let in again.
    #[test]
    fn a_part_of_a_registry_is_not_taken_for_the_whole() {
        const GONE: &str = "a gone agent";
        libprocess::testing::run(async {
            let node = libprocess::Node::builder().offline().start().await.unwrap();
            let registry = parse(FULL.as_bytes()).unwrap();
            let records = kept(registry.clone());
            // Each record, something that is there before, and what stands there meanwhile, twice.
            let steps = records.0.len() + 3;
            for taken in 0..=steps {
                let mut storage = Limited { left: taken, ..Limited::default() };
                let before = v1::AgentId { value: GONE.to_owned() };
                let before = registry::GoneSlave { id: before, timestamp: v1::TimeInfo { nanoseconds: 1 } };
                storage.records.lock().insert(format!("gone/{GONE}"), wire::encode(&before));
                let done = import(&mut storage, records.clone(), true).await;
                assert_eq!(done.is_ok(), taken == steps, "after {taken}: {done:?}");
                let says_so = matches!(done, Err(ImportError::Torn(_)));
                assert_eq!(says_so, taken > 0 && taken < steps, "after {taken}: {done:?}");

                let found = read(&mut storage).await;
                let master = Limited { left: usize::MAX, ..storage.clone() };
                let master = node.spawn_numbered(Registrar::new(
                    Box::new(master),
                    Timeouts::default(),
                    node.metrics(),
                ));
                let recovered = recover(&master).await;
                master.terminate();
                master.wait().await;
                if taken == 0 || taken == steps {
                    assert_eq!(recovered.unwrap(), found.unwrap());
                    continue;
                }
                for refused in [found.unwrap_err().to_string(), recovered.unwrap_err().to_string()] {
                    assert_eq!(
                        refused,
                        "limited has a part of a registry only: 'mesos registry import' is at work there, or was broken \
                         off; repeat it with --replace"
                    );
                }
                storage.left = usize::MAX;
                import(&mut storage, records.clone(), true).await.unwrap();
                assert_eq!(read(&mut storage).await.unwrap(), registry, "after {taken}");
            }
            node.shutdown().await;
        });
    }

    /// Takes all changes or none: none if one is of the key that it refuses, as one that is too large for a server.
    #[derive(Clone, Default)]
    struct Choosy {
        records: BTreeMap<String, Vec<u8>>,
        refused: &'static str,
        atomic: bool,
        writes: usize,
    }

    impl Storage for Choosy {
        fn name(&self) -> String {
            "choosy".to_owned()
        }

        fn load(&mut self, _: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
            let records = self.records.clone();
            async move { Ok(records.into_iter().collect()) }.boxed()
        }

        fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
            if changes.iter().any(|change| change.key == self.refused) {
                let error = StorageError { place: self.name(), reason: "too large".to_owned() };
                return async move { Err(error) }.boxed();
            }
            self.writes += 1;
            for Change { key, value } in changes {
                match value {
                    Some(value) => drop(self.records.insert(key, value)),
                    None => drop(self.records.remove(&key)),
                }
            }
            async { Ok(()) }.boxed()
        }

        fn is_atomic(&self) -> bool {
            self.atomic
        }
    }

    #[test]
    fn a_registry_that_an_import_has_not_touched_is_as_good_as_before() {
        const SMALL: &str = r#"{"weights":[{"info":{"role":"a","weight":2}}]}"#;
        const LARGE: &str = r#"{"weights":[{"info":{"role":"b","weight":3}}]}"#;
        libprocess::testing::run(async {
            let [small, large] = [SMALL, LARGE].map(|text| parse(text.as_bytes()).unwrap());
            let mut storage = Choosy { refused: "weight/b", ..Choosy::default() };
            import(&mut storage, kept(small), false).await.unwrap();
            let before = storage.records.clone();
            let refused = import(&mut storage, kept(large.clone()), true).await.unwrap_err().to_string();
            assert_eq!((refused.as_str(), &storage.records), ("choosy: too large", &before));

            // What was broken off before is none.
            storage.records.insert(IMPORTING.to_owned(), Vec::new());
            let refused = import(&mut storage, kept(large), true).await.unwrap_err();
            assert!(matches!(refused, ImportError::Torn(_)), "{refused:?}");
            assert!(read(&mut storage).await.is_err());
        });
    }

    #[test]
    fn where_a_registry_is_stored_in_one_transaction_no_import_is_broken_off() {
        libprocess::testing::run(async {
            let registry = parse(FULL.as_bytes()).unwrap();
            let mut storage = Choosy { atomic: true, ..Choosy::default() };
            storage.records.insert(IMPORTING.to_owned(), Vec::new());
            import(&mut storage, kept(registry.clone()), false).await.unwrap();
            assert_eq!((storage.writes, read(&mut storage).await.unwrap()), (1, registry));
        });
    }

    /// As Mesos 1.11 has shown it at `/registrar(1)/registry`, shortened.
    #[test]
    fn what_upstreams_master_shows_can_be_imported() {
        let text = r#"{"minimum_capabilities":[{"capability":"QUOTA_V2"}],
            "quota_configs":[{"limits":{"cpus":{"value":3.0}},"role":"q"}],
            "slaves":{"slaves":[{"deactivated":false,"info":{"checkpoint":true,"hostname":"localhost",
            "id":{"value":"3d70437b-S0"},"port":5051,"resources":[{"name":"cpus","role":"*",
            "scalar":{"value":2.0},"type":"SCALAR"}]}}]},"weights":[{"info":{"role":"x","weight":2.0}}]}"#;
        let found = records(parse(text.as_bytes()).unwrap()).unwrap();
        let keys: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(keys, ["agent/3d70437b-S0", "capability/QUOTA_V2", "quota/q", "weight/x"]);
    }

    /// `jq 'del(.weights[], .unreachable.slaves[])'` leaves empty lists.
    #[test]
    fn a_list_from_which_all_was_deleted_by_hand_is_no_field_that_is_not_known() {
        let text =
            r#"{"slaves":{"slaves":[]},"unreachable":{"slaves":[]},"gone":{"slaves":null},"weights":[]}"#;
        assert!(records(parse(text.as_bytes()).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let refused = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(refused(r#"{"slave":{}}"#), "this version does not know what 'slave' is");
        let agent = r#"{"info":{"hostname":"h","id":{"value":"a"}},"colour":1}"#;
        assert_eq!(
            refused(&format!(r#"{{"slaves":{{"slaves":[{agent}]}}}}"#)),
            "this version does not know what 'slaves.slaves[0].colour' is"
        );
        assert!(refused("[1]").starts_with("not the JSON of a registry"), "{}", refused("[1]"));
        assert!(refused("").starts_with("not the JSON of a registry"));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_by_name() {
        let refused = |text: &str| records(parse(text.as_bytes()).unwrap()).unwrap_err().to_string();
        assert_eq!(refused(r#"{"slaves":{"slaves":[{"info":{"hostname":"h"}}]}}"#), "an agent has no id");
        let old = r#"{"quotas":[{"info":{"role":"a"}}]}"#;
        assert_eq!(refused(old), "'quotas' cannot be kept: set them as quota_configs");
        let twice = r#"{"weights":[{"info":{"role":"a","weight":1}},{"info":{"role":"a","weight":2}}]}"#;
        assert_eq!(refused(twice), "there are two entries 'weight/a'");
        let weight = |info: &str| refused(&format!(r#"{{"weights":[{{"info":{info}}}]}}"#));
        assert_eq!(
            weight(r#"{"role":"a","weight":-1}"#),
            "'weight/a' is not valid: Invalid weight '-1': Weights must be positive"
        );
        assert_eq!(
            weight(r#"{"role":"a b","weight":1}"#),
            "'weight/a b' is not valid: Invalid role 'a b': Role component 'a b' is invalid because it contains \
             backspace or whitespace"
        );
        let quota = refused(r#"{"quota_configs":[{"role":"a","limits":{"cpus":{"value":-3}}}]}"#);
        assert!(quota.starts_with("'quota/a' is not valid: Invalid limit configuration"), "{quota}");
    }
}
