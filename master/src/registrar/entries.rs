//! The registry in memory: one entry per entity, and which of them have changed.
//!
//! What is stored are records, one for each entry and each valid alone, so that admitting an agent into a
//! cluster of 50,000 writes one small record. (Upstream stores one large protobuf, `registry.proto`; [`Registry`]
//! is its form, and the form in which the master reads all of it once.)

use std::collections::{BTreeMap, BTreeSet};

use mesos::internal::{Registry, registry};
use mesos::v1::master_info::capability::Type as Capability;
use mesos::v1::quota::QuotaConfig;
use mesos::{AgentId, v1, wire};

/// One change of one record. What is `None` is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `agent/<id>`, `weight/<role>`, ...
    pub key: String,
    /// The protobuf of the entry.
    pub value: Option<Vec<u8>>,
}

/// A record as it is read back.
pub type Record = (String, Vec<u8>);

/// A record that cannot be understood. The master does not start on such a registry.
#[derive(Debug, Clone, thiserror::Error)]
#[error("record '{key}' cannot be read: {reason}")]
pub struct CorruptRecord {
    /// Which.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Master,
    Agent(AgentId),
    Unreachable(AgentId),
    Gone(AgentId),
    Weight(String),
    Quota(String),
}

impl Key {
    fn to_text(&self) -> String {
        match self {
            Self::Master => "master".to_owned(),
            Self::Agent(id) => format!("agent/{id}"),
            Self::Unreachable(id) => format!("unreachable/{id}"),
            Self::Gone(id) => format!("gone/{id}"),
            Self::Weight(role) => format!("weight/{role}"),
            Self::Quota(role) => format!("quota/{role}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "master" {
            return Some(Self::Master);
        }
        // A role may hold slashes: only the first one separates.
        let (kind, rest) = text.split_once('/')?;
        Some(match kind {
            "agent" => Self::Agent(AgentId::from(rest)),
            "unreachable" => Self::Unreachable(AgentId::from(rest)),
            "gone" => Self::Gone(AgentId::from(rest)),
            "weight" => Self::Weight(rest.to_owned()),
            "quota" => Self::Quota(rest.to_owned()),
            _ => return None,
        })
    }
}

/// The registry.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    master: Option<registry::Master>,
    agents: BTreeMap<AgentId, registry::Slave>,
    unreachable: BTreeMap<AgentId, registry::UnreachableSlave>,
    gone: BTreeMap<AgentId, registry::GoneSlave>,
    weights: BTreeMap<String, registry::Weight>,
    quotas: BTreeMap<String, QuotaConfig>,
    changed: BTreeSet<Key>,
}

/// Reading and writing.
impl Entries {
    /// From what was stored.
    ///
    /// # Errors
    /// When a record is of a kind that is not known, or its protobuf is not valid.
    pub fn from_records(records: Vec<Record>) -> Result<Self, CorruptRecord> {
        let mut entries = Self::default();
        for (text, bytes) in records {
            let corrupt = |reason: String| CorruptRecord { key: text.clone(), reason };
            let key =
                Key::parse(&text).ok_or_else(|| corrupt("this version does not know its kind".into()))?;
            entries.read(key, &bytes).map_err(|error| corrupt(error.to_string()))?;
        }
        Ok(entries)
    }

    fn read(&mut self, key: Key, bytes: &[u8]) -> Result<(), wire::Error> {
        match key {
            Key::Master => self.master = Some(wire::decode(bytes)?),
            Key::Agent(id) => drop(self.agents.insert(id, wire::decode(bytes)?)),
            Key::Unreachable(id) => drop(self.unreachable.insert(id, wire::decode(bytes)?)),
            Key::Gone(id) => drop(self.gone.insert(id, wire::decode(bytes)?)),
            Key::Weight(role) => drop(self.weights.insert(role, wire::decode(bytes)?)),
            Key::Quota(role) => drop(self.quotas.insert(role, wire::decode(bytes)?)),
        }
        Ok(())
    }

    /// What has changed since this was last asked.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().map(|key| Change { key: key.to_text(), value: self.encoded(key) }).collect()
    }

    fn encoded(&self, key: &Key) -> Option<Vec<u8>> {
        match key {
            Key::Master => self.master.as_ref().map(wire::encode),
            Key::Agent(id) => self.agents.get(id).map(wire::encode),
            Key::Unreachable(id) => self.unreachable.get(id).map(wire::encode),
            Key::Gone(id) => self.gone.get(id).map(wire::encode),
            Key::Weight(role) => self.weights.get(role).map(wire::encode),
            Key::Quota(role) => self.quotas.get(role).map(wire::encode),
        }
    }

    /// All of it in upstream's form.
    pub fn to_registry(&self) -> Registry {
        Registry {
            master: self.master.clone(),
            slaves: Some(registry::Slaves { slaves: self.agents.values().cloned().collect() }),
            unreachable: Some(registry::UnreachableSlaves {
                slaves: self.unreachable.values().cloned().collect(),
            }),
            gone: Some(registry::GoneSlaves { slaves: self.gone.values().cloned().collect() }),
            weights: self.weights.values().cloned().collect(),
            quota_configs: self.quotas.values().cloned().collect(),
            minimum_capabilities: self.minimum_capabilities(),
            ..Registry::default()
        }
    }
}

impl Entries {
    /// What a master must be capable of to take this registry over: one that knows no quotas would let
    /// roles have more than their limits (upstream: `UpdateQuota::perform`).
    fn minimum_capabilities(&self) -> Vec<registry::MinimumCapability> {
        let quota = (!self.quotas.is_empty()).then_some(Capability::QuotaV2);
        let named = quota.into_iter().map(|capability| capability.as_str_name().to_owned());
        named.map(|capability| registry::MinimumCapability { capability }).collect()
    }
}

/// The entries, each change noted.
impl Entries {
    /// Notes who leads.
    pub fn set_master(&mut self, info: v1::MasterInfo) {
        self.master = Some(registry::Master { info });
        self.changed.insert(Key::Master);
    }

    /// An admitted agent.
    pub fn agent(&self, id: &AgentId) -> Option<&registry::Slave> {
        self.agents.get(id)
    }

    /// Adds or replaces an admitted agent.
    pub fn put_agent(&mut self, id: AgentId, agent: registry::Slave) {
        self.changed.insert(Key::Agent(id.clone()));
        self.agents.insert(id, agent);
    }

    /// Takes an agent out of the admitted ones.
    pub fn remove_agent(&mut self, id: &AgentId) -> Option<registry::Slave> {
        let removed = self.agents.remove(id)?;
        self.changed.insert(Key::Agent(id.clone()));
        Some(removed)
    }

    /// Whether an agent is marked unreachable.
    pub fn is_unreachable(&self, id: &AgentId) -> bool {
        self.unreachable.contains_key(id)
    }

    /// Marks an agent unreachable.
    pub fn put_unreachable(&mut self, id: AgentId, agent: registry::UnreachableSlave) {
        self.changed.insert(Key::Unreachable(id.clone()));
        self.unreachable.insert(id, agent);
    }

    /// Forgets that an agent was unreachable.
    pub fn remove_unreachable(&mut self, id: &AgentId) -> Option<registry::UnreachableSlave> {
        let removed = self.unreachable.remove(id)?;
        self.changed.insert(Key::Unreachable(id.clone()));
        Some(removed)
    }

    /// Whether an agent is marked gone.
    pub fn is_gone(&self, id: &AgentId) -> bool {
        self.gone.contains_key(id)
    }

    /// Marks an agent gone for ever.
    pub fn put_gone(&mut self, id: AgentId, agent: registry::GoneSlave) {
        self.changed.insert(Key::Gone(id.clone()));
        self.gone.insert(id, agent);
    }

    /// Forgets that an agent is gone.
    pub fn remove_gone(&mut self, id: &AgentId) {
        if self.gone.remove(id).is_some() {
            self.changed.insert(Key::Gone(id.clone()));
        }
    }

    /// Sets the weight of a role.
    pub fn put_weight(&mut self, role: String, weight: registry::Weight) {
        self.changed.insert(Key::Weight(role.clone()));
        self.weights.insert(role, weight);
    }

    /// Sets the quota of the role that it names.
    pub fn put_quota(&mut self, config: QuotaConfig) {
        self.changed.insert(Key::Quota(config.role.clone()));
        self.quotas.insert(config.role.clone(), config);
    }

    /// A role has no quota any more.
    pub fn remove_quota(&mut self, role: &str) {
        if self.quotas.remove(role).is_some() {
            self.changed.insert(Key::Quota(role.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str) -> registry::Slave {
        let id = Some(v1::AgentId { value: id.into() });
        registry::Slave {
            info: v1::AgentInfo { id, hostname: "h".into(), ..Default::default() },
            ..Default::default()
        }
    }

    #[test]
    fn what_is_stored_is_what_is_read() {
        let mut entries = Entries::default();
        entries.set_master(v1::MasterInfo { id: "m".into(), ip: 1, port: 2, ..Default::default() });
        entries.put_agent("a1".into(), agent("a1"));
        entries.put_agent("a2".into(), agent("a2"));
        let info = v1::WeightInfo { role: Some("a/b".into()), weight: 2.0 };
        entries.put_weight("a/b".into(), registry::Weight { info });
        entries.put_quota(QuotaConfig { role: "q".into(), ..Default::default() });
        entries.put_quota(QuotaConfig { role: "r".into(), ..Default::default() });
        let mut records: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut store = |changes: Vec<Change>| {
            for change in changes {
                match change.value {
                    Some(value) => drop(records.insert(change.key, value)),
                    None => drop(records.remove(&change.key)),
                }
            }
            records.clone()
        };
        store(entries.take_changes());
        assert!(entries.take_changes().is_empty());
        entries.remove_agent(&"a1".into());
        entries.remove_quota("r");
        entries.put_gone(
            "a1".into(),
            registry::GoneSlave {
                id: v1::AgentId { value: "a1".into() },
                timestamp: v1::TimeInfo { nanoseconds: 1 },
            },
        );
        let changes = entries.take_changes();
        assert_eq!(
            changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>(),
            ["agent/a1", "gone/a1", "quota/r"]
        );
        let read = Entries::from_records(store(changes).into_iter().collect()).unwrap();
        assert_eq!(read.to_registry(), entries.to_registry());
        assert_eq!(read.to_registry().weights.len(), 1);
        assert_eq!(read.to_registry().quota_configs.len(), 1);
    }

    #[test]
    fn a_record_that_makes_no_sense_is_named() {
        let of =
            |key: &str, value: &[u8]| Entries::from_records(vec![(key.into(), value.to_vec())]).unwrap_err();
        assert_eq!(of("volume/x", &[]).key, "volume/x");
        assert_eq!(of("agent/x", &[0xff]).key, "agent/x");
    }
}
