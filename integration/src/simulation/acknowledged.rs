//! What of the registry was acknowledged, and to whom, beside what is stored: [`Invariant::AcknowledgedIsFound`](super::invariant::Invariant::AcknowledgedIsFound).
//!
//! Whoever was told that something is so must find it so with every later leader: operators (quotas and weights), agents
//! (that they are admitted), frameworks (that an agent is unreachable or gone). What a master's books say is what it has
//! told, or may tell at once; so its books must never be ahead of what it has read and stored, and must begin with all
//! that it has read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use allocator::Quota;
use master::cluster::Snapshot;
use master::registrar::{Change, Record};
use mesos::internal::registry::Weight;
use mesos::v1::quota::QuotaConfig;
use mesos::{AgentId, wire};

/// How often to look whether a master has forgotten anything.
const AGAIN: Duration = Duration::from_secs(1);

/// The values of a key that one master has read or stored, in order.
type History = Vec<Option<Vec<u8>>>;

/// What one master has read, and what it has stored since.
#[derive(Debug, Default)]
pub struct View {
    keys: BTreeMap<String, History>,
}

impl View {
    /// A master has read everything.
    pub fn read(records: &[Record]) -> View {
        let keys = records.iter().map(|(key, value)| (key.clone(), vec![Some(value.clone())]));
        View { keys: keys.collect() }
    }

    /// It has stored something.
    pub fn stored(&mut self, changes: &[Change]) {
        for Change { key, value } in changes {
            // What was not there before is what a history begins with.
            let history = self.keys.entry(key.clone()).or_insert_with(|| vec![None]);
            history.push(value.clone());
        }
    }

    fn was_there(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|history| history.iter().any(Option::is_some))
    }

    /// Whether something was there when it was read, and has not been changed since.
    fn is_as_read(history: &History) -> bool {
        matches!(&history[..], [Some(_)])
    }

    /// The first thing in which a master's books are ahead of this, or lack what was read.
    pub fn contradicts(&self, snapshot: &Snapshot, now: Duration, checked: &mut Checked) -> Option<String> {
        if let Some(ahead) = self.ahead(snapshot, checked) {
            return Some(ahead);
        }
        // What is lacking goes on lacking.
        if now < checked.again {
            return None;
        }
        checked.again = now + AGAIN;
        self.forgotten(snapshot)
    }

    fn ahead(&self, snapshot: &Snapshot, checked: &mut Checked) -> Option<String> {
        for (kind, id) in marks(snapshot) {
            let known = checked.marks.entry(kind).or_default();
            if known.contains(id) {
                continue;
            }
            let key = format!("{kind}/{id}");
            if !self.was_there(&key) {
                return Some(format!("agent {id} is in its books as {key}, the registry does not know that"));
            }
            known.insert(id.clone());
        }
        if !Arc::ptr_eq(&checked.quotas, &snapshot.quotas) {
            checked.quotas = snapshot.quotas.clone();
            for (role, quota) in snapshot.quotas.iter() {
                // A quota that was taken away may be there as one that is empty.
                let history = self.keys.get(&format!("quota/{role}"));
                let is_there = match history {
                    Some(history) => history.iter().any(|value| quota_in(value.as_deref()) == *quota),
                    None => *quota == Quota::default(),
                };
                if !is_there {
                    return Some(format!(
                        "{role} has the quota {quota:?} in its books, but not in the registry"
                    ));
                }
            }
        }
        if !Arc::ptr_eq(&checked.weights, &snapshot.weights) {
            checked.weights = snapshot.weights.clone();
            for (role, weight) in snapshot.weights.iter() {
                let history = self.keys.get(&format!("weight/{role}"));
                let is = |value: &Option<Vec<u8>>| weight_in(value.as_deref()) == *weight;
                if !history.is_some_and(|history| history.iter().any(is)) {
                    return Some(format!("{role} weighs {weight} in its books, but not in the registry"));
                }
            }
        }
        None
    }

    fn forgotten(&self, snapshot: &Snapshot) -> Option<String> {
        // It knows nothing before it has read everything.
        marks(snapshot).next()?;
        for (key, _) in self.keys.iter().filter(|(_, history)| View::is_as_read(history)) {
            let Some((kind, name)) = key.split_once('/') else { continue };
            let id = AgentId::from(name);
            let is_there = match kind {
                "agent" => snapshot.agents.contains_key(&id) || snapshot.recovered_agents.contains_key(&id),
                "unreachable" => snapshot.unreachable_agents.contains_key(&id),
                "gone" => snapshot.gone_agents.contains_key(&id),
                "quota" => snapshot.quotas.contains_key(name),
                "weight" => snapshot.weights.contains_key(name),
                _ => true,
            };
            if !is_there {
                return Some(format!("{key} was in the registry when it was read, and is not in its books"));
            }
        }
        None
    }
}

/// Of every agent that a master's books have, what the registry must know.
fn marks(snapshot: &Snapshot) -> impl Iterator<Item = (&'static str, &AgentId)> {
    let admitted = snapshot.agents.keys().chain(snapshot.recovered_agents.keys()).map(|id| ("agent", id));
    let unreachable = snapshot.unreachable_agents.keys().map(|id| ("unreachable", id));
    admitted.chain(unreachable).chain(snapshot.gone_agents.keys().map(|id| ("gone", id)))
}

/// What of one master's books was looked at before.
#[derive(Debug, Default)]
pub struct Checked {
    marks: BTreeMap<&'static str, BTreeSet<AgentId>>,
    quotas: Arc<BTreeMap<String, Quota>>,
    weights: Arc<BTreeMap<String, f64>>,
    /// When to look again whether anything is lacking.
    again: Duration,
}

fn quota_in(value: Option<&[u8]>) -> Quota {
    let config = value.and_then(|bytes| wire::decode::<QuotaConfig>(bytes).ok());
    config.map(|config| Quota::from(&config)).unwrap_or_default()
}

/// A role without a weight weighs 1.
fn weight_in(value: Option<&[u8]>) -> f64 {
    let weight = value.and_then(|bytes| wire::decode::<Weight>(bytes).ok());
    weight.map_or(1.0, |weight| weight.info.weight)
}

/// What an operator has asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// The quota of a role.
    Quota(String, Quota),
    /// The weight of a role.
    Weight(String, f64),
}

impl Setting {
    fn key(&self) -> String {
        match self {
            Setting::Quota(role, _) => format!("quota/{role}"),
            Setting::Weight(role, _) => format!("weight/{role}"),
        }
    }

    fn is(&self, value: Option<&[u8]>) -> bool {
        match self {
            Setting::Quota(_, quota) => quota_in(value) == *quota,
            Setting::Weight(_, weight) => weight_in(value) == *weight,
        }
    }
}

/// What those outside of the masters know of the registry.
#[derive(Debug, Default)]
pub struct Told {
    /// By key: the last setting that an operator was told of, and those that it does not know the outcome of.
    settings: BTreeMap<String, (Option<Setting>, Vec<Setting>)>,
    /// Agents that were admitted, and their hosts.
    admitted: BTreeMap<AgentId, String>,
}

impl Told {
    /// An operator asks for something. It may come to pass from now on.
    pub fn asked(&mut self, setting: Setting) {
        self.settings.entry(setting.key()).or_default().1.push(setting);
    }

    /// The operator has been answered: it is so, or it will not be.
    pub fn answered(&mut self, setting: &Setting, done: bool) {
        let (last, open) = self.settings.entry(setting.key()).or_default();
        if let Some(at) = open.iter().position(|asked| asked == setting) {
            open.remove(at);
        }
        if done {
            *last = Some(setting.clone());
        }
    }

    /// An agent of a host is registered.
    pub fn admitted(&mut self, id: &AgentId, host: &str) {
        self.admitted.entry(id.clone()).or_insert_with(|| host.to_owned());
    }

    /// The first thing that somebody was told, and that a new leader does not find. Hosts that were installed anew may
    /// have left.
    pub fn missing(
        &self,
        records: &BTreeMap<String, Vec<u8>>,
        is_replaced: impl Fn(&str) -> bool,
    ) -> Option<String> {
        for (key, (last, open)) in &self.settings {
            let Some(last) = last else { continue };
            let found = records.get(key).map(Vec::as_slice);
            if !last.is(found) && !open.iter().any(|setting| setting.is(found)) {
                return Some(format!("an operator was told of {last:?}, a new leader finds {found:?}"));
            }
        }
        let lost = self.admitted.iter().find(|(id, host)| {
            let kinds = ["agent", "unreachable", "gone"];
            !is_replaced(host) && !kinds.iter().any(|kind| records.contains_key(&format!("{kind}/{id}")))
        });
        lost.map(|(id, host)| format!("agent {id} of {host} was admitted, a new leader does not find it"))
    }
}
