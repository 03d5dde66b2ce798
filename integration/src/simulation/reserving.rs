//! What frameworks make of the disk that they are offered: they reserve, reserve within what is reserved for a role above
//! theirs, create volumes, resize and destroy them, and unreserve, at random. Only disk: quotas limit the rest.

use mesos::roles::is_strict_subrole_of;
use mesos::v1::offer::{Operation, operation};
use mesos::v1::resource::{
    AllocationInfo, DiskInfo, ReservationInfo, SharedInfo, disk_info, reservation_info,
};
use mesos::v1::{self, volume};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use super::ledger::{Deed, LABEL, Ledger, name_of};

/// How much is reserved at once, in megabytes.
const AMOUNT: f64 = 64.0;
/// How much a volume grows and shrinks.
pub const STEP: f64 = 16.0;

/// Disk that nobody has reserved.
pub fn disk() -> v1::Resource {
    v1::Resource {
        name: "disk".to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: AMOUNT }),
        ..Default::default()
    }
}

/// Part of this, reserved for a role under a name of its own; within what it is reserved for already, if it is.
pub fn reserved(part_of: &v1::Resource, role: &str, name: &str) -> v1::Resource {
    let label = v1::Label { key: LABEL.to_owned(), value: Some(name.to_owned()) };
    let reservation = ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic.into()),
        role: Some(role.to_owned()),
        labels: Some(v1::Labels::from_iter([label])),
        ..Default::default()
    };
    let mut reserved = sized(part_of, AMOUNT.min(size(part_of)));
    reserved.reservations.push(reservation);
    reserved
}

/// All of this, whose innermost reservation has this name now.
pub fn renamed(disk: &v1::Resource, name: &str) -> v1::Resource {
    let mut outer = disk.clone();
    let role = outer.reservations.pop().map(|reservation| reservation.role().to_owned()).unwrap_or_default();
    reserved(&outer, &role, name)
}

/// The role of the innermost reservation.
pub fn reserved_for(disk: &v1::Resource) -> Option<&str> {
    disk.reservations.last().map(ReservationInfo::role)
}

/// A volume on this reserved disk.
pub fn volume_on(disk: &v1::Resource, name: &str) -> v1::Resource {
    let volume =
        v1::Volume { container_path: "v".to_owned(), mode: volume::Mode::Rw.into(), ..Default::default() };
    let persistence = disk_info::Persistence { id: name.to_owned(), principal: None };
    let disk_info = DiskInfo { persistence: Some(persistence), volume: Some(volume), ..Default::default() };
    v1::Resource { disk: Some(disk_info.into()), ..disk.clone() }
}

/// A volume as an operator wants it: smaller, or larger by what it gave back before (with this addition, then). Never
/// larger than it was made.
pub fn resized(volume: &v1::Resource, random: &mut SmallRng) -> (Option<v1::Resource>, v1::Resource) {
    let size = size(volume);
    if size <= STEP || (size < AMOUNT && random.random()) {
        let addition = v1::Resource { disk: None, ..sized(volume, STEP) };
        return (Some(addition), sized(volume, size + STEP));
    }
    (None, sized(volume, size - STEP))
}

fn sized(resource: &v1::Resource, megabytes: f64) -> v1::Resource {
    v1::Resource { scalar: Some(v1::value::Scalar { value: megabytes }), ..resource.clone() }
}

fn size(resource: &v1::Resource) -> f64 {
    resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value)
}

/// The id of the volume that a resource is, if it is one.
pub fn volume_id(resource: &v1::Resource) -> Option<&str> {
    Some(&resource.disk.as_ref()?.persistence.as_ref()?.id)
}

fn of_kind(kind: operation::Type, id: &str) -> Operation {
    Operation {
        r#type: Some(kind.into()),
        id: Some(v1::OperationId { value: id.to_owned() }),
        ..Default::default()
    }
}

/// One framework, at one offer.
pub struct Reserving<'a> {
    /// The framework's number.
    pub number: usize,
    /// How many names it has used in its life.
    pub names: &'a mut u32,
    /// Where it is noted.
    pub ledger: &'a Ledger,
    /// What it draws from.
    pub random: &'a mut SmallRng,
    /// Whether several tasks may use one of its volumes at once.
    pub shares: bool,
    /// Whether it makes reservations within reservations.
    pub refines: bool,
}

impl Reserving<'_> {
    /// The operations for an offer, and a volume of it for a task. Mostly none.
    pub fn draw(&mut self, offer: &v1::Offer) -> (Vec<Operation>, Option<v1::Resource>) {
        let role = offer.allocation_info.as_ref().and_then(|info| info.role.clone()).unwrap_or_default();
        let allocated = |disk: &&v1::Resource| {
            disk.name == "disk" && disk.allocation_info.as_ref().map(AllocationInfo::role) == Some(&role)
        };
        let disks: Vec<&v1::Resource> = offer.resources.iter().filter(allocated).collect();
        let named = |disk: &&&v1::Resource| disk.reservations.last().and_then(name_of).is_some();
        let is_volume = |disk: &&&v1::Resource| volume_id(disk).is_some();
        let free = disks.iter().find(|disk| disk.reservations.is_empty() && size(disk) >= AMOUNT);
        let plain: Vec<_> = disks.iter().filter(named).filter(|disk| !is_volume(disk)).collect();
        let volumes: Vec<_> = disks.iter().filter(named).filter(is_volume).collect();
        let (plain, volume) = (plain.choose(self.random).copied(), volumes.choose(self.random).copied());
        let shared: Vec<_> = volumes.iter().filter(|volume| volume.shared.is_some()).collect();
        let outer = plain.filter(|disk| {
            self.refines && reserved_for(disk).is_some_and(|outer| is_strict_subrole_of(&role, outer))
        });
        match self.random.random_range(0..30) {
            0..=2 => (free.map_or_else(Vec::new, |disk| self.reserve(disk, &role, offer)), None),
            3..=5 | 9..=11 if outer.is_some() => {
                (outer.map_or_else(Vec::new, |disk| self.refine(disk, &role, offer)), None)
            }
            3 | 4 => (plain.map(|disk| self.create(disk, offer)).into_iter().collect(), None),
            5 => (plain.map(|disk| self.unreserve(disk)).into_iter().collect(), None),
            6 => (volume.map(|volume| self.destroy(volume)).into_iter().collect(), None),
            7 => (volume.and_then(|volume| self.resize(volume, &disks)).into_iter().collect(), None),
            8 => (free.map(|disk| self.convert_disk(disk)).into_iter().collect(), None),
            _ => {
                let shared = shared.choose(self.random).map(|shared| **shared);
                (Vec::new(), shared.or(volume).map(|volume| (**volume).clone()))
            }
        }
    }

    fn next(&mut self, kind: &str) -> String {
        *self.names += 1;
        format!("{kind}{}.{}", self.number, self.names)
    }

    fn reserve(&mut self, free: &v1::Resource, role: &str, offer: &v1::Offer) -> Vec<Operation> {
        let name = self.next("r");
        self.make(reserved(free, role, &name), &name, Deed::Makes(name.clone()), offer)
    }

    /// A reservation for its role within one for a role above it: of all of that, or of half.
    fn refine(&mut self, outer: &v1::Resource, role: &str, offer: &v1::Offer) -> Vec<Operation> {
        let name = self.next("r");
        let half = sized(outer, size(outer) / 2.0);
        let disk = reserved(if self.random.random() { outer } else { &half }, role, &name);
        self.make(disk, &name, Deed::Refines(name.clone()), offer)
    }

    /// Sometimes with a volume on it in the same call.
    fn make(&mut self, disk: v1::Resource, name: &str, deed: Deed, offer: &v1::Offer) -> Vec<Operation> {
        let id = self.next("o");
        self.ledger.asks_for(name, &disk, &offer.hostname, &offer.agent_id);
        self.ledger.sent(&id, deed);
        let reserve = operation::Reserve { resources: vec![disk.clone()], ..Default::default() };
        let reserve = Operation { reserve: Some(reserve), ..of_kind(operation::Type::Reserve, &id) };
        if self.random.random() { vec![reserve, self.create(&disk, offer)] } else { vec![reserve] }
    }

    fn create(&mut self, disk: &v1::Resource, offer: &v1::Offer) -> Operation {
        let (id, name) = (self.next("o"), self.next("v"));
        let mut volume = volume_on(disk, &name);
        volume.shared = (self.shares && self.random.random()).then(SharedInfo::default);
        self.ledger.asks_for(&name, &volume, &offer.hostname, &offer.agent_id);
        self.ledger.sent(&id, Deed::Makes(name));
        let create = operation::Create { volumes: vec![volume] };
        Operation { create: Some(create), ..of_kind(operation::Type::Create, &id) }
    }

    /// What only a resource provider could do, and no agent has any: it is refused, and what is behind it in the call is
    /// done.
    fn convert_disk(&mut self, disk: &v1::Resource) -> Operation {
        let (id, source) = (self.next("o"), disk.clone());
        self.ledger.sent(&id, Deed::Refused);
        if self.random.random() {
            let target_type = disk_info::source::Type::Mount.into();
            let create = operation::CreateDisk { source, target_type, target_profile: None };
            return Operation { create_disk: Some(create), ..of_kind(operation::Type::CreateDisk, &id) };
        }
        let destroy = operation::DestroyDisk { source };
        Operation { destroy_disk: Some(destroy), ..of_kind(operation::Type::DestroyDisk, &id) }
    }

    fn unreserve(&mut self, disk: &v1::Resource) -> Operation {
        let id = self.next("o");
        if let Some(name) = disk.reservations.last().and_then(name_of) {
            self.ledger.asks_for_end_of(name);
            // Else another part of it is a volume, or reserved once more.
            if self.ledger.size(name).is_some_and(|all| size(disk) >= all) {
                self.ledger.sent(&id, Deed::Ends(name.to_owned()));
            }
        }
        let unreserve = operation::Unreserve { resources: vec![disk.clone()] };
        Operation { unreserve: Some(unreserve), ..of_kind(operation::Type::Unreserve, &id) }
    }

    fn destroy(&mut self, volume: &v1::Resource) -> Operation {
        let id = self.next("o");
        if let Some(name) = volume_id(volume) {
            self.ledger.asks_for_end_of(name);
            self.ledger.sent(&id, Deed::Ends(name.to_owned()));
        }
        let destroy = operation::Destroy { volumes: vec![volume.clone()] };
        Operation { destroy: Some(destroy), ..of_kind(operation::Type::Destroy, &id) }
    }

    /// It grows by what is left of its reservation, or gives some of it back. One that is shared can do neither.
    fn resize(&mut self, volume: &v1::Resource, disks: &[&v1::Resource]) -> Option<Operation> {
        let id = self.next("o");
        self.ledger.sent(&id, if volume.shared.is_some() { Deed::Refused } else { Deed::Changes });
        let is_rest = |disk: &&&v1::Resource| {
            disk.reservations == volume.reservations && volume_id(disk).is_none() && size(disk) >= STEP
        };
        if let Some(rest) = disks.iter().find(is_rest) {
            let grow = operation::GrowVolume { volume: volume.clone(), addition: sized(rest, STEP) };
            return Some(Operation { grow_volume: Some(grow), ..of_kind(operation::Type::GrowVolume, &id) });
        }
        let subtract = v1::value::Scalar { value: STEP };
        let shrink = operation::ShrinkVolume { volume: volume.clone(), subtract };
        (size(volume) > STEP)
            .then(|| Operation { shrink_volume: Some(shrink), ..of_kind(operation::Type::ShrinkVolume, &id) })
    }
}
