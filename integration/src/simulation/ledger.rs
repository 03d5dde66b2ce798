//! What the frameworks and the operator of a simulated cluster have reserved and created, and what they were told of it.
//!
//! Each reservation has a label of its own, which what is made of it keeps (reservations within it, too), and each volume
//! an id of its own. From the moment when somebody is told that it is there, until somebody asks for its end, it must be
//! there; when somebody was told of its end, it must not. What was asked for and not answered may be there or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mesos::v1::{self, OperationState};
use mesos::{Resource, Resources};
use parking_lot::Mutex;
use uuid::Uuid;

/// The label of a reservation.
pub const LABEL: &str = "reservation";

/// The book. Clones are the same book.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    things: BTreeMap<String, Thing>,
    /// What operations do to things, by the operations' ids.
    operations: BTreeMap<String, Deed>,
    /// Operations that somebody waits for, whether they are done, and when that was seen first.
    awaited: BTreeMap<(Uuid, bool), Duration>,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It makes this.
    Makes(String),
    /// It makes this within another reservation, which stays.
    Refines(String),
    /// It ends this.
    Ends(String),
    /// It changes what stays.
    Changes,
    /// It is refused, whatever becomes of the rest of its call.
    Refused,
}

/// A reservation, or a volume.
#[derive(Debug, Clone, Default)]
pub struct Thing {
    /// The host that it is on.
    pub host: String,
    /// As it was asked for, of which agent; without who is offered it.
    pub resource: v1::Resource,
    /// See there.
    pub agent: v1::AgentId,
    /// Somebody was told that it is there.
    told: bool,
    /// Somebody has asked for its end.
    ending: bool,
    /// Somebody was told of its end.
    ended: bool,
}

impl Ledger {
    /// Somebody asks for this, on this agent.
    pub fn asks_for(&self, name: &str, resource: &v1::Resource, host: &str, agent: &v1::AgentId) {
        let resource = v1::Resource { allocation_info: None, ..resource.clone() };
        let thing = Thing { host: host.to_owned(), resource, agent: agent.clone(), ..Thing::default() };
        self.0.lock().things.insert(name.to_owned(), thing);
    }

    /// Somebody asks for the end of this.
    pub fn asks_for_end_of(&self, name: &str) {
        if let Some(thing) = self.0.lock().things.get_mut(name) {
            thing.ending = true;
        }
    }

    /// Something has become this, as far as somebody knows.
    pub fn is_now(&self, name: &str, resource: v1::Resource) {
        if let Some(thing) = self.0.lock().things.get_mut(name) {
            thing.resource = resource;
        }
    }

    /// An operation of this id is on its way.
    pub fn sent(&self, operation: &str, deed: Deed) {
        self.0.lock().operations.insert(operation.to_owned(), deed);
    }

    /// Somebody hears what became of an operation. What was made, or ended by it.
    pub fn heard(&self, operation: &str, state: OperationState) -> Option<Deed> {
        let mut book = self.0.lock();
        let deed =
            book.operations.get(operation).filter(|_| state == OperationState::OperationFinished)?.clone();
        if let Deed::Makes(name) | Deed::Refines(name) | Deed::Ends(name) = &deed
            && let Some(thing) = book.things.get_mut(name)
        {
            match deed {
                Deed::Ends(_) => thing.ended = true,
                _ => thing.told = true,
            }
        }
        Some(deed)
    }

    /// How much this is, as it was asked for.
    pub fn size(&self, name: &str) -> Option<f64> {
        let book = self.0.lock();
        Some(book.things.get(name)?.resource.scalar.as_ref()?.value)
    }

    /// The agent of what an operation makes or ends, if it is known.
    pub fn agent_of(&self, operation: &str) -> Option<v1::AgentId> {
        let book = self.0.lock();
        match book.operations.get(operation)? {
            Deed::Makes(name) | Deed::Refines(name) | Deed::Ends(name) => {
                Some(book.things.get(name)?.agent.clone())
            }
            Deed::Changes | Deed::Refused => None,
        }
    }

    /// Whether an operation is to be refused.
    pub fn is_refused(&self, operation: &str) -> bool {
        self.0.lock().operations.get(operation) == Some(&Deed::Refused)
    }

    /// Somebody waits for these operations to be done, or for who wanted them to hear that they are (`true`), now. Those that
    /// are waited for longer than `patience`.
    pub fn late(
        &self,
        awaited: BTreeSet<(Uuid, bool)>,
        now: Duration,
        patience: Duration,
    ) -> Vec<(Uuid, bool)> {
        let mut book = self.0.lock();
        book.awaited.retain(|operation, _| awaited.contains(operation));
        for operation in awaited {
            book.awaited.entry(operation).or_insert(now);
        }
        let late = book.awaited.iter().filter(|(_, since)| now - **since > patience);
        late.map(|(operation, _)| *operation).collect()
    }

    /// What nobody has asked the end of: the operator may.
    pub fn things(&self) -> Vec<(String, Thing)> {
        let book = self.0.lock();
        let there = book.things.iter().filter(|(_, thing)| !thing.ending);
        there.map(|(name, thing)| (name.clone(), thing.clone())).collect()
    }

    /// What is not on a host as it must be, if the host has this.
    pub fn missing(&self, host: &str, has: &Resources) -> Vec<String> {
        let there: BTreeSet<&str> = has.iter().flat_map(names).collect();
        let book = self.0.lock();
        let of_host = book.things.iter().filter(|(_, thing)| thing.host == host);
        let wrong = of_host.filter_map(|(name, thing)| match there.contains(name.as_str()) {
            false if thing.must_be_there() => {
                Some(format!("{name} on {host} is gone, and nobody has asked for that"))
            }
            true if thing.ended => {
                Some(format!("{name} on {host} is there, and somebody was told of its end"))
            }
            _ => None,
        });
        wrong.collect()
    }

    /// The volumes that must be on a host.
    pub fn volumes(&self, host: &str) -> Vec<Resource> {
        let book = self.0.lock();
        let there = book.things.values().filter(|thing| thing.host == host && thing.must_be_there());
        let resources = there.filter_map(|thing| Resource::try_from(&thing.resource).ok());
        resources.filter(Resource::is_persistent_volume).collect()
    }
}

impl Thing {
    fn must_be_there(&self) -> bool {
        self.told && !self.ending
    }
}

/// The reservations, one within the other, and the volume that a resource belongs to.
fn names(resource: &Resource) -> impl Iterator<Item = &str> {
    resource.reservations().iter().filter_map(name_of).chain(resource.persistence_id())
}

/// The label of a reservation.
pub fn name_of(reservation: &v1::resource::ReservationInfo) -> Option<&str> {
    reservation.labels.as_ref()?.value(LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINISHED: OperationState = OperationState::OperationFinished;

    fn disk(name: &str) -> v1::Resource {
        let label = v1::Label { key: LABEL.to_owned(), value: Some(name.to_owned()) };
        let reservation = v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            role: Some("r".to_owned()),
            labels: Some(v1::Labels::from_iter([label])),
            ..Default::default()
        };
        let parsed = Resources::parse("disk:1", "*").unwrap().to_protos().remove(0);
        v1::Resource { reservations: vec![reservation], ..parsed }
    }

    #[test]
    fn what_somebody_was_told_of_must_be_there_until_its_end_is_asked_for() {
        let (ledger, none) = (Ledger::default(), Resources::default());
        let there = Resources::try_from_protos(&[disk("r1")]).unwrap();
        ledger.asks_for("r1", &disk("r1"), "h", &v1::AgentId::default());
        ledger.sent("1", Deed::Makes("r1".to_owned()));
        assert_eq!(ledger.missing("h", &none).len(), 0);
        ledger.heard("1", OperationState::OperationDropped);
        assert_eq!(ledger.missing("h", &none).len(), 0);
        ledger.heard("1", FINISHED);
        assert_eq!((ledger.missing("h", &none).len(), ledger.missing("h", &there).len()), (1, 0));
        assert_eq!(ledger.missing("other", &none).len(), 0);
        ledger.asks_for_end_of("r1");
        ledger.sent("2", Deed::Ends("r1".to_owned()));
        assert_eq!((ledger.missing("h", &none).len(), ledger.missing("h", &there).len()), (0, 0));
        ledger.heard("2", FINISHED);
        assert_eq!((ledger.missing("h", &none).len(), ledger.missing("h", &there).len()), (0, 1));
    }

    #[test]
    fn what_is_reserved_within_a_reservation_is_still_reserved_by_that() {
        let ledger = Ledger::default();
        let outer = disk("r1");
        let inner = super::super::reserving::reserved(&outer, "r/s", "r2");
        for (operation, name, thing, deed) in [
            ("1", "r1", &outer, Deed::Makes("r1".to_owned())),
            ("2", "r2", &inner, Deed::Refines("r2".to_owned())),
        ] {
            ledger.asks_for(name, thing, "h", &v1::AgentId::default());
            ledger.sent(operation, deed);
            ledger.heard(operation, FINISHED);
        }
        let missing = |there: &v1::Resource| {
            ledger.missing("h", &Resources::try_from_protos(std::slice::from_ref(there)).unwrap()).len()
        };
        assert_eq!((missing(&inner), missing(&outer)), (0, 1));
        // Its end leaves the outer one.
        ledger.asks_for_end_of("r2");
        ledger.sent("3", Deed::Ends("r2".to_owned()));
        ledger.heard("3", FINISHED);
        assert_eq!((missing(&inner), missing(&outer)), (1, 0));
        assert_eq!((ledger.size("r1"), ledger.size("r3")), (Some(1.0), None));
        assert_eq!((ledger.agent_of("1"), ledger.agent_of("r1")), (Some(v1::AgentId::default()), None));
    }

    #[test]
    fn an_operation_that_is_awaited_too_long_is_late() {
        let (ledger, second) = (Ledger::default(), Duration::from_secs);
        let late = |uuids: &[u128], is_done, now| {
            let operations = uuids.iter().map(|uuid| (Uuid::from_u128(*uuid), is_done));
            ledger.late(operations.collect(), second(now), second(10)).len()
        };
        assert_eq!((late(&[1], false, 0), late(&[1, 2], false, 10), late(&[1, 2], false, 11)), (0, 0, 1));
        // Done, and seen again: it is another's.
        assert_eq!((late(&[2], false, 12), late(&[1, 2], false, 20), late(&[1, 2], false, 21)), (0, 0, 1));
        // Who wanted it has its own time to hear of it.
        assert_eq!((late(&[2], true, 22), late(&[2], true, 32), late(&[2], true, 33)), (0, 0, 1));
    }
}
