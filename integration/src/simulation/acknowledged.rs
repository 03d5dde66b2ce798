//! What of the registry was acknowledged, and to whom, beside what is stored:
//! [`Invariant::AcknowledgedIsFound`](super::invariant::Invariant::AcknowledgedIsFound).
//!
//! Whoever was told that something is so must find it so with every later leader: operators (of what they have decided:
//! [`super::decisions`]), agents (that they are admitted), frameworks (that an agent is unreachable or gone). What a
//! master's books say is what it has told, or may tell at once; so its books must never be ahead of what it has read
//! and stored, and must begin with all that it has read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use allocator::Quota;
use master::cluster::Snapshot;
use master::registrar::{Activation, Change, Record};
use mesos::AgentId;

use super::decisions::{Fate, Records, Setting, activation_in, host_in, quota_in, weight_in};

/// How often to look whether a master has forgotten anything.
const AGAIN: Duration = Duration::from_secs(1);

/// The values of a key that one master has read or stored, in order.
type History = Vec<Option<Vec<u8>>>;

/// What one master has read, and what it has stored since.
#[derive(Debug, Default)]
pub struct View {
    keys: BTreeMap<String, History>,
    /// The agents that were out of service when it was read, and the keys of their records.
    out: Vec<(String, AgentId, Activation)>,
}

impl View {
    /// A master has read everything.
    pub fn read(records: &[Record]) -> View {
        let keys = records.iter().map(|(key, value)| (key.clone(), vec![Some(value.clone())]));
        let out = records.iter().filter_map(|(key, value)| {
            let (kind, id) = key.split_once('/')?;
            let activation = activation_in(kind, value).filter(|found| *found != Activation::default())?;
            Some((key.clone(), AgentId::from(id), activation))
        });
        View { keys: keys.collect(), out: out.collect() }
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
        for (id, activation) in snapshot.activations.iter() {
            if checked.activations.get(id) == Some(activation) {
                continue;
            }
            if !self.activations_of(id).any(|known| known == *activation) {
                return Some(format!("agent {id} is {activation:?} in its books, but not in the registry"));
            }
            checked.activations.insert(id.clone(), *activation);
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

    /// What the registry has said of an agent's activation, one after the other.
    fn activations_of(&self, id: &AgentId) -> impl Iterator<Item = Activation> {
        ["agent", "unreachable"].into_iter().flat_map(move |kind| {
            let history = self.keys.get(&format!("{kind}/{id}"));
            let values = history.into_iter().flatten().flatten();
            values.filter_map(move |value| activation_in(kind, value))
        })
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
        let as_read = self.out.iter().filter(|(key, ..)| self.keys.get(key).is_some_and(View::is_as_read));
        let mut otherwise = as_read.filter(|(_, id, activation)| snapshot.activation(id) != *activation);
        otherwise.next().map(|(key, _, activation)| {
            format!("{key} was {activation:?} in the registry when it was read, and is not so in its books")
        })
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
    activations: BTreeMap<AgentId, Activation>,
    /// When to look again whether anything is lacking.
    again: Duration,
}

/// What those outside of the masters know of the registry.
#[derive(Debug, Default)]
pub struct Told {
    /// By subject: the last setting that an operator was told of, and those that it does not know the outcome of.
    settings: BTreeMap<String, (Option<Setting>, Vec<Setting>)>,
    /// Agents that were told that they are admitted, and their hosts.
    admitted: BTreeMap<AgentId, String>,
    /// By host: the agents that were ever stored as admitted, the earliest first.
    stored: BTreeMap<String, Vec<AgentId>>,
}

impl Told {
    /// An operator asks for something. It may come to pass from now on.
    pub fn asked(&mut self, setting: Setting) {
        self.settings.entry(setting.subject()).or_default().1.push(setting);
    }

    /// The operator has been answered: it is so, or it will not be.
    pub fn answered(&mut self, setting: &Setting, done: bool) {
        let (last, open) = self.settings.entry(setting.subject()).or_default();
        if let Some(at) = open.iter().position(|asked| asked == setting) {
            open.remove(at);
        }
        if done {
            *last = Some(setting.clone());
        }
    }

    /// Something was stored, whoever may hear of it.
    pub fn stored(&mut self, changes: &[Change]) {
        for Change { key, value } in changes {
            let Some((id, host)) = key.strip_prefix("agent/").zip(host_in(value.as_deref())) else {
                continue;
            };
            let (id, agents) = (AgentId::from(id), self.stored.entry(host).or_default());
            if !agents.contains(&id) {
                agents.push(id);
            }
        }
    }

    /// Whether another agent of its host was admitted after it. That may have been a registration that was long on its
    /// way, of the agent before it had its id: there is one agent at an address, and the master has removed this one
    /// until it registers again (found with seed 421083).
    fn has_successor(&self, id: &AgentId, host: &str) -> bool {
        self.stored.get(host).is_some_and(|agents| agents.contains(id) && agents.last() != Some(id))
    }

    /// An agent of a host was told that it is registered.
    pub fn admitted(&mut self, id: &AgentId, host: &str) {
        self.admitted.entry(id.clone()).or_insert_with(|| host.to_owned());
    }

    /// The first thing that somebody was told, and that a new leader does not find. Agents may have left whose hosts were
    /// installed anew, or were down, or have another agent since, or that do not know that they were admitted: then they
    /// come back without what was decided of them.
    pub fn missing(
        &self,
        records: &Records,
        is_replaced: impl Fn(&str) -> bool,
        was_down: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let is_known = |id: &AgentId| {
            ["agent", "unreachable", "gone"].iter().any(|kind| records.contains_key(&format!("{kind}/{id}")))
        };
        let has_left = |id: &AgentId| {
            self.host_of(id).is_none_or(|host| {
                ((is_replaced(host) || self.has_successor(id, host)) && !is_known(id)) || was_down(host)
            })
        };
        for (last, open) in self.settings.values() {
            let Some(last) = last else { continue };
            let left = matches!(last, Setting::Agent(id, fate) if *fate != Fate::Gone && has_left(id));
            if !left && !last.is_in(records) && !open.iter().any(|setting| setting.is_in(records)) {
                return Some(format!("an operator was told of {last:?}, a new leader does not find it so"));
            }
        }
        let stays = |host: &str| !is_replaced(host) && !was_down(host);
        let mut agents = self.admitted.iter();
        let lost = agents.find(|(id, host)| stays(host) && !is_known(id) && !self.has_successor(id, host));
        lost.map(|(id, host)| format!("agent {id} of {host} was admitted, a new leader does not find it"))
    }

    /// The host of an agent that was admitted.
    pub fn host_of(&self, id: &AgentId) -> Option<&str> {
        self.admitted.get(id).map(String::as_str)
    }

    /// All agents that were ever admitted.
    pub fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.admitted.keys()
    }

    /// Whether this is what an operator was told last, or may have come to pass besides. If it was told nothing,
    /// anything is.
    pub fn may_be(&self, setting: &Setting) -> bool {
        let Some((last, open)) = self.settings.get(&setting.subject()) else { return true };
        last.as_ref().is_none_or(|last| last == setting) || open.contains(setting)
    }

    /// What operators were told, as far as nothing else that they have asked for may have come to pass.
    pub fn settled(&self) -> impl Iterator<Item = &Setting> {
        self.settings.values().filter(|(_, open)| open.is_empty()).filter_map(|(last, _)| last.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use mesos::internal::registry;
    use mesos::{v1, wire};

    use super::*;

    fn admits(id: &str, host: &str) -> Change {
        let info = v1::AgentInfo { hostname: host.into(), ..v1::AgentInfo::default() };
        let agent = registry::Slave { info, ..registry::Slave::default() };
        Change { key: format!("agent/{id}"), value: Some(wire::encode(&agent)) }
    }

    #[test]
    fn an_agent_is_missing_unless_another_one_of_its_host_came_after_it() {
        let mut told = Told::default();
        told.stored(&[admits("S1", "a"), admits("S2", "b")]);
        told.admitted(&"S1".into(), "a");
        let missing = |told: &Told| told.missing(&Records::new(), |_| false, |_| false);
        assert!(missing(&told).is_some_and(|text| text.contains("S1 of a")));
        // It is the same one, and another one's.
        told.stored(&[admits("S1", "a"), admits("S3", "b")]);
        assert!(missing(&told).is_some());
        told.stored(&[admits("S4", "a")]);
        assert_eq!(missing(&told), None);
        told.admitted(&"S4".into(), "a");
        assert!(missing(&told).is_some_and(|text| text.contains("S4 of a")));
    }
}
