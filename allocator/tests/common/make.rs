//! Resources, quotas and operations that tests are made of, and what a cluster does with them.

use std::collections::BTreeMap;

use allocator::Quota;
use mesos::resources::conversions;
use mesos::v1::offer::{Operation, operation};
use mesos::v1::resource::{DiskInfo, ReservationInfo, SharedInfo, disk_info, reservation_info};
use mesos::{ResourceLimits, ResourceQuantities, Resources, v1};

use super::{Cluster, Offer, SECOND, agent_capabilities, agent_id, agent_info, framework_id, resources};

/// A day of `refuse_seconds`: to the end of any test.
pub(crate) const A_DAY: f64 = 24.0 * 60.0 * 60.0;

/// A quota; an empty text guarantees or limits nothing.
pub(crate) fn quota(guarantees: &str, limits: &str) -> Quota {
    let mut quota = Quota::default();
    if !guarantees.is_empty() {
        quota.guarantees = ResourceQuantities::parse(guarantees).unwrap();
    }
    if !limits.is_empty() {
        quota.limits = ResourceLimits::parse(limits).unwrap();
    }
    quota
}

/// A guarantee that is the limit as well, as upstream's tests set most quotas.
pub(crate) fn exact_quota(text: &str) -> Quota {
    quota(text, text)
}

pub(crate) use reservation_info::Type as Reservation;

/// Resources, reserved once more for a role.
pub(crate) fn reserved(of: &Resources, kind: Reservation, role: &str) -> Resources {
    let reservation =
        ReservationInfo { r#type: Some(kind as i32), role: Some(role.into()), ..Default::default() };
    of.push_reservation(&reservation).unwrap()
}

pub(crate) fn revocable(text: &str) -> Resources {
    with_protos(&resources(text), |proto| proto.revocable = Some(v1::resource::RevocableInfo {}))
}

/// A persistent volume on a disk.
pub(crate) fn volume(disk: &Resources, id: &str) -> Resources {
    with_protos(disk, |proto| {
        proto.disk = Some(Box::new(DiskInfo {
            persistence: Some(disk_info::Persistence { id: id.into(), ..Default::default() }),
            volume: Some(v1::Volume { mode: 1, container_path: "data".into(), ..Default::default() }),
            ..Default::default()
        }));
    })
}

/// A persistent volume that several tasks may use.
pub(crate) fn shared_volume(disk: &Resources, id: &str) -> Resources {
    with_protos(&volume(disk, id), |proto| proto.shared = Some(SharedInfo {}))
}

/// A disk that cannot be divided.
pub(crate) fn mount_disk(text: &str) -> Resources {
    let mut source = disk_info::Source::default();
    source.set_type(disk_info::source::Type::Mount);
    source.mount = Some(disk_info::source::Mount { root: Some("mnt".into()) });
    with_protos(&resources(text), |proto| {
        proto.disk = Some(DiskInfo { source: Some(source.clone()), ..Default::default() }.into());
    })
}

fn with_protos(of: &Resources, change: impl Fn(&mut v1::Resource)) -> Resources {
    let mut protos = of.to_protos();
    protos.iter_mut().for_each(change);
    Resources::try_from_protos(&protos).unwrap()
}

fn operation(kind: operation::Type) -> Operation {
    Operation { r#type: Some(kind as i32), ..Default::default() }
}

pub(crate) fn reserve(reserved: &Resources) -> Operation {
    let part = operation::Reserve { resources: reserved.to_protos(), ..Default::default() };
    Operation { reserve: Some(part), ..operation(operation::Type::Reserve) }
}

pub(crate) fn unreserve(reserved: &Resources) -> Operation {
    let part = operation::Unreserve { resources: reserved.to_protos() };
    Operation { unreserve: Some(part), ..operation(operation::Type::Unreserve) }
}

pub(crate) fn create(volumes: &Resources) -> Operation {
    let part = operation::Create { volumes: volumes.to_protos() };
    Operation { create: Some(part), ..operation(operation::Type::Create) }
}

pub(crate) fn destroy(volumes: &Resources) -> Operation {
    let part = operation::Destroy { volumes: volumes.to_protos() };
    Operation { destroy: Some(part), ..operation(operation::Type::Destroy) }
}

/// What is in some offers, together.
pub(crate) fn sum<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> Resources {
    offers.into_iter().map(|offer| &offer.resources).sum()
}

/// Compares an offer with framework, role, agent and resources.
#[track_caller]
pub(crate) fn assert_offer(offer: &Offer, framework: &str, role: &str, agent: &str, resources: &Resources) {
    assert_eq!((&*offer.framework, &*offer.role, &*offer.agent), (framework, role, agent));
    assert_eq!(&offer.resources, resources);
}

impl Cluster {
    pub(crate) fn agent_of(&mut self, name: &str, total: &Resources) {
        let (info, capabilities) = (agent_info(name), agent_capabilities());
        self.core.add_agent(&agent_id(name), info, &capabilities, None, total, &BTreeMap::new()).unwrap();
    }

    /// Adds an agent, and says what is offered thereupon.
    pub(crate) fn with_agent(&mut self, name: &str, total: &str) -> Vec<String> {
        self.agent(name, total);
        super::told(&self.run())
    }

    /// An agent says that it has something else now.
    pub(crate) fn update_total(&mut self, agent: &str, total: &Resources) {
        self.core.update_agent(&agent_id(agent), agent_info(agent), Some(total), None).unwrap();
        assert!(self.core.balances());
    }

    /// A framework converts a part of an offer; says what the offer's resources are then.
    pub(crate) fn apply(
        &mut self,
        offer: &Offer,
        make: fn(&Resources) -> Operation,
        of: &Resources,
    ) -> Offer {
        let steps = conversions(&make(&of.allocated_to(&offer.role))).unwrap();
        let offered = offer.resources.allocated_to(&offer.role);
        let (framework, agent) = (framework_id(&offer.framework), agent_id(&offer.agent));
        self.core.update_allocation(&framework, &agent, &offered, &steps).unwrap();
        assert!(self.core.balances());
        let converted = offered.apply_conversions(&steps).unwrap();
        Offer { resources: converted.unallocated(), ..offer.clone() }
    }

    /// An operator applies an operation to what is free of an agent.
    pub(crate) fn apply_to_free(&mut self, agent: &str, operation: &Operation) {
        self.core.update_available(&agent_id(agent), std::slice::from_ref(operation)).unwrap();
        assert!(self.core.balances());
    }

    /// Time until the next periodic run passes, and that run offers nothing.
    #[track_caller]
    pub(crate) fn nothing_at_tick(&mut self) {
        let offers = self.tick();
        assert!(offers.is_empty(), "{offers:?}");
    }

    pub(crate) fn seconds_pass(&mut self, seconds: u32) {
        self.now += SECOND * seconds;
    }
}
