//! The registry in memory: one entry per entity, and which of them have changed.
//!
//! What is stored are records, one for each entry and each valid alone, so that admitting an agent into a
//! cluster of 50,000 writes one small record. (Upstream stores one large protobuf, `registry.proto`; [`Registry`]
//! is its form, and the form in which the master reads all of it once.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use libprocess::breath::{self, RENDERED};
use mesos::internal::{Registry, registry};
use mesos::v1::master_info::capability::Type as Capability;
use mesos::v1::quota::QuotaConfig;
use mesos::{AgentId, MachineKey, v1, wire};

use super::operations::Maintenance;
use crate::cluster::Ordered;

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

/// How the keys of demanded capabilities begin.
pub(super) const CAPABILITY: &str = "capability/";

/// The capabilities that a master must have to take over a registry with these records. Read from their keys alone: a
/// newer version may have stored records that this one cannot read, and demands a capability for each such kind.
pub(super) fn demanded(records: &[Record]) -> impl Iterator<Item = &str> {
    records.iter().filter_map(|(key, _)| key.strip_prefix(CAPABILITY))
}

/// The key of what stands in a storage while a whole registry is put there in several transactions
/// ([`super::transfer::import`]).
pub(super) const IMPORTING: &str = "importing";

/// Whether these are a part of a registry only: what was to put it there has not come to its end.
pub(super) fn are_a_part(records: &[Record]) -> bool {
    records.iter().any(|(key, _)| key == IMPORTING)
}

/// Whether an agent may have tasks, as operators decided.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Activation {
    /// It is being emptied, or is empty by now.
    pub drain: Option<v1::DrainInfo>,
    /// Its resources are not offered. Always so when it is drained.
    pub deactivated: bool,
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Master,
    Agent(AgentId),
    Unreachable(AgentId),
    Gone(AgentId),
    Machine(MachineKey),
    Schedule,
    Weight(String),
    Quota(String),
    Capability(String),
}

impl Key {
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Master => "master".to_owned(),
            Self::Agent(id) => format!("agent/{id}"),
            Self::Unreachable(id) => format!("unreachable/{id}"),
            Self::Gone(id) => format!("gone/{id}"),
            Self::Machine(key) => format!("machine/{key}"),
            Self::Schedule => "schedule".to_owned(),
            Self::Weight(role) => format!("weight/{role}"),
            Self::Quota(role) => format!("quota/{role}"),
            Self::Capability(name) => format!("{CAPABILITY}{name}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "master" => return Some(Self::Master),
            "schedule" => return Some(Self::Schedule),
            _ => {}
        }
        // A role may hold slashes: only the first one separates.
        let (kind, rest) = text.split_once('/')?;
        Some(match kind {
            "agent" => Self::Agent(AgentId::from(rest)),
            "unreachable" => Self::Unreachable(AgentId::from(rest)),
            "gone" => Self::Gone(AgentId::from(rest)),
            "machine" => Self::Machine(MachineKey::parse(rest)?),
            "weight" => Self::Weight(rest.to_owned()),
            "quota" => Self::Quota(rest.to_owned()),
            "capability" => Self::Capability(rest.to_owned()),
            _ => return None,
        })
    }
}

/// An admitted agent, in the bytes of its record: there may be tens of thousands, and hardly any is ever looked at.
#[derive(Debug, Clone)]
struct Admitted {
    record: Box<[u8]>,
    activation: Activation,
}

impl Admitted {
    fn new(agent: &registry::Slave) -> Self {
        let activation = Activation { drain: agent.drain_info, deactivated: agent.deactivated() };
        Self { record: wire::encode(agent).into(), activation }
    }

    fn slave(&self) -> registry::Slave {
        wire::decode(&self.record).expect("it was encoded by us")
    }
}

/// The registry. A copy shares its agents and what is planned for machines, of which there may be tens of thousands: each
/// reader gets one, on the master's thread.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    master: Option<registry::Master>,
    agents: Ordered<AgentId, Admitted>,
    unreachable: Ordered<AgentId, registry::UnreachableSlave>,
    gone: Ordered<AgentId, registry::GoneSlave>,
    maintenance: Arc<Maintenance>,
    weights: BTreeMap<String, registry::Weight>,
    quotas: BTreeMap<String, QuotaConfig>,
    capabilities: BTreeSet<String>,
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
            Key::Agent(id) => self.agents.insert_mut(id, Admitted::new(&wire::decode(bytes)?)),
            Key::Unreachable(id) => self.unreachable.insert_mut(id, wire::decode(bytes)?),
            Key::Gone(id) => self.gone.insert_mut(id, wire::decode(bytes)?),
            Key::Machine(key) => {
                let machine: registry::Machine = wire::decode(bytes)?;
                Arc::make_mut(&mut self.maintenance).machines.insert(key, machine.info);
            }
            Key::Schedule => {
                Arc::make_mut(&mut self.maintenance).schedule = Some(wire::decode(bytes)?);
            }
            Key::Weight(role) => drop(self.weights.insert(role, wire::decode(bytes)?)),
            Key::Quota(role) => drop(self.quotas.insert(role, wire::decode(bytes)?)),
            Key::Capability(name) => drop(self.capabilities.insert(name)),
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
            Key::Agent(id) => self.agents.get(id).map(|agent| agent.record.to_vec()),
            Key::Unreachable(id) => self.unreachable.get(id).map(wire::encode),
            Key::Gone(id) => self.gone.get(id).map(wire::encode),
            Key::Machine(key) => {
                let info = self.maintenance.machines.get(key);
                info.map(|info| wire::encode(&registry::Machine { info: info.clone() }))
            }
            Key::Schedule => self.maintenance.schedule.as_ref().map(wire::encode),
            Key::Weight(role) => self.weights.get(role).map(wire::encode),
            Key::Quota(role) => self.quotas.get(role).map(wire::encode),
            Key::Capability(name) => {
                self.capabilities.get(name).map(|name| wire::encode(&minimum_capability(name)))
            }
        }
    }

    /// How many agents, machines, weights and quotas there are.
    pub fn size(&self) -> usize {
        let agents = self.agents.size() + self.unreachable.size() + self.gone.size();
        agents + self.maintenance.machines.len() + self.weights.len() + self.quotas.len()
    }

    /// All of it in upstream's form.
    pub fn to_registry(&self) -> Registry {
        let machines = self.maintenance.machines.values().cloned();
        let agents = self.agents.values().inspect(|_| breath::spend(RENDERED));
        Registry {
            master: self.master.clone(),
            slaves: Some(registry::Slaves { slaves: agents.map(Admitted::slave).collect() }),
            unreachable: Some(registry::UnreachableSlaves {
                slaves: self.unreachable.values().cloned().collect(),
            }),
            gone: Some(registry::GoneSlaves { slaves: self.gone.values().cloned().collect() }),
            machines: Some(registry::Machines {
                machines: machines.map(|info| registry::Machine { info }).collect(),
            }),
            schedules: self.maintenance.schedule.iter().cloned().collect(),
            weights: self.weights.values().cloned().collect(),
            quota_configs: self.quotas.values().cloned().collect(),
            minimum_capabilities: self.capabilities.iter().map(|name| minimum_capability(name)).collect(),
            ..Registry::default()
        }
    }
}

fn minimum_capability(name: &str) -> registry::MinimumCapability {
    registry::MinimumCapability { capability: name.to_owned() }
}

/// The entries, each change noted.
impl Entries {
    /// Notes who leads.
    pub fn set_master(&mut self, info: v1::MasterInfo) {
        self.master = Some(registry::Master { info });
        self.changed.insert(Key::Master);
    }

    /// Whether an agent is admitted.
    pub fn is_admitted(&self, id: &AgentId) -> bool {
        self.agents.contains_key(id)
    }

    /// An admitted agent.
    pub fn agent(&self, id: &AgentId) -> Option<registry::Slave> {
        self.agents.get(id).map(Admitted::slave)
    }

    /// Adds or replaces an admitted agent.
    pub fn put_agent(&mut self, id: AgentId, agent: &registry::Slave) {
        self.changed.insert(Key::Agent(id.clone()));
        self.agents.insert_mut(id, Admitted::new(agent));
    }

    /// Takes an agent out of the admitted ones.
    pub fn remove_agent(&mut self, id: &AgentId) -> Option<registry::Slave> {
        let removed = self.agent(id)?;
        self.agents.remove_mut(id);
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
        self.unreachable.insert_mut(id, agent);
    }

    /// Forgets that an agent was unreachable.
    pub fn remove_unreachable(&mut self, id: &AgentId) -> Option<registry::UnreachableSlave> {
        let removed = self.unreachable.get(id).cloned()?;
        self.unreachable.remove_mut(id);
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
        self.gone.insert_mut(id, agent);
    }

    /// Forgets that an agent is gone.
    pub fn remove_gone(&mut self, id: &AgentId) {
        if self.gone.remove_mut(id) {
            self.changed.insert(Key::Gone(id.clone()));
        }
    }

    /// Whether an admitted or unreachable agent may have tasks; `None` if there is no such agent.
    pub fn activation(&self, id: &AgentId) -> Option<Activation> {
        let unreachable = || {
            let agent = self.unreachable.get(id)?;
            Some(Activation { drain: agent.drain_info, deactivated: agent.deactivated() })
        };
        self.agents.get(id).map(|agent| agent.activation).or_else(unreachable)
    }

    /// Decides whether an admitted or unreachable agent may have tasks. Without such an agent nothing happens.
    pub fn set_activation(&mut self, id: &AgentId, activation: Activation) {
        let Activation { drain, deactivated } = activation;
        let deactivated = deactivated.then_some(true);
        if let Some(mut agent) = self.agent(id) {
            (agent.drain_info, agent.deactivated) = (drain, deactivated);
            self.put_agent(id.clone(), &agent);
        } else if let Some(agent) = self.unreachable.get(id) {
            self.put_unreachable(
                id.clone(),
                registry::UnreachableSlave { drain_info: drain, deactivated, ..agent.clone() },
            );
        }
    }

    /// Whether any admitted or unreachable agent is deactivated.
    pub fn any_deactivated(&self) -> bool {
        self.agents.values().any(|agent| agent.activation.deactivated)
            || self.unreachable.values().any(registry::UnreachableSlave::deactivated)
    }

    /// Planned maintenance.
    pub fn maintenance(&self) -> &Maintenance {
        &self.maintenance
    }

    /// Plans maintenance. Only what is different is a change.
    pub fn set_maintenance(&mut self, maintenance: Maintenance) {
        let before = std::mem::replace(&mut self.maintenance, Arc::new(maintenance));
        if before.schedule != self.maintenance.schedule {
            self.changed.insert(Key::Schedule);
        }
        for key in before.machines.keys().chain(self.maintenance.machines.keys()) {
            if before.machines.get(key) != self.maintenance.machines.get(key) {
                self.changed.insert(Key::Machine(key.clone()));
            }
        }
    }

    /// Makes one plan of what was stored of a change in part. Only what is different then is a change.
    pub fn settle_maintenance(&mut self) {
        let mut maintenance = self.maintenance().clone();
        maintenance.settle();
        self.set_maintenance(maintenance);
    }

    /// Demands of every later master that it has a capability, or no longer.
    pub fn demand(&mut self, capability: Capability, demanded: bool) {
        let name = capability.as_str_name().to_owned();
        let changed = match demanded {
            true => self.capabilities.insert(name.clone()),
            false => self.capabilities.remove(&name),
        };
        if changed {
            self.changed.insert(Key::Capability(name));
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

    /// Whether any role has a quota.
    pub fn has_quotas(&self) -> bool {
        !self.quotas.is_empty()
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
    fn a_registry_is_shown_agent_by_agent() {
        let mut entries = Entries::default();
        for id in ["a1", "a2"] {
            entries.put_agent(id.into(), &agent(id));
        }
        let before = breath::spent();
        entries.to_registry();
        assert!(breath::spent() - before >= 2 * RENDERED);
    }

    #[test]
    fn what_is_stored_is_what_is_read() {
        let mut entries = Entries::default();
        entries.set_master(v1::MasterInfo { id: "m".into(), ip: 1, port: 2, ..Default::default() });
        entries.put_agent("a1".into(), &agent("a1"));
        entries.put_agent("a2".into(), &agent("a2"));
        let info = v1::WeightInfo { role: Some("a/b".into()), weight: 2.0 };
        entries.put_weight("a/b".into(), registry::Weight { info });
        entries.put_quota(QuotaConfig { role: "q".into(), ..Default::default() });
        entries.put_quota(QuotaConfig { role: "r".into(), ..Default::default() });
        let machine = v1::MachineId { hostname: Some("H".into()), ip: None };
        let info = v1::MachineInfo { id: machine.clone(), mode: None, unavailability: None };
        entries.set_maintenance(Maintenance {
            schedule: Some(Default::default()),
            machines: [((&machine).into(), info)].into(),
        });
        entries.demand(Capability::AgentDraining, true);
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
        let keys: Vec<String> = store(entries.take_changes()).into_keys().collect();
        let expected = [
            "agent/a1",
            "agent/a2",
            "capability/AGENT_DRAINING",
            "machine//h",
            "master",
            "quota/q",
            "quota/r",
            "schedule",
            "weight/a/b",
        ];
        assert_eq!(keys, expected);
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
        let records: Vec<Record> = store(changes).into_iter().collect();
        assert_eq!(demanded(&records).collect::<Vec<_>>(), ["AGENT_DRAINING"]);
        let read = Entries::from_records(records).unwrap();
        assert_eq!(read.to_registry(), entries.to_registry());
        assert_eq!(read.size(), 5, "two agents, one of them gone, a machine, a weight and a quota");
        assert_eq!(read.to_registry().machines.unwrap().machines[0].info.id, machine);
        assert_eq!(read.to_registry().schedules.len(), 1);
        assert_eq!(read.to_registry().minimum_capabilities.len(), 1);
        assert_eq!(read.to_registry().weights.len(), 1);
        assert_eq!(read.to_registry().quota_configs.len(), 1);
    }

    #[test]
    fn a_copy_shares_what_is_planned_until_one_of_them_changes() {
        let planned = || Maintenance { schedule: Some(Default::default()), ..Default::default() };
        let mut entries = Entries::default();
        entries.set_maintenance(planned());
        let copy = entries.clone();
        assert!(std::ptr::eq(copy.maintenance(), entries.maintenance()));
        entries.set_maintenance(Maintenance::default());
        assert_eq!(copy.maintenance(), &planned());
        assert_eq!(entries.maintenance(), &Maintenance::default());
    }

    #[test]
    fn a_record_that_makes_no_sense_is_named() {
        let of =
            |key: &str, value: &[u8]| Entries::from_records(vec![(key.into(), value.to_vec())]).unwrap_err();
        assert_eq!(of("volume/x", &[]).key, "volume/x");
        assert_eq!(of("agent/x", &[0xff]).key, "agent/x");
    }
}
