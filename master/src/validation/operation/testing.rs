//! Resources, agents and frameworks for the tests beside this file.

use std::sync::Arc;

use mesos::capabilities::AgentCapabilities;
use mesos::v1;
use mesos::v1::resource::{DiskInfo, ReservationInfo, disk_info, reservation_info};

use super::Requester;
use crate::cluster::{Agent, Framework, testing};

pub(super) const OPERATOR: Requester<'static> = Requester::Operator { principal: None };

fn scalar(name: &str, value: f64) -> v1::Resource {
    let mut resource = v1::Resource {
        name: name.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..v1::Resource::default()
    };
    resource.set_type(v1::value::Type::Scalar);
    resource
}

pub(super) fn cpus(amount: f64) -> v1::Resource {
    scalar("cpus", amount)
}

/// A disk, dynamically reserved unless the role is `*`.
pub(super) fn disk(role: &str, megabytes: f64) -> v1::Resource {
    let disk = scalar("disk", megabytes);
    if role == "*" { disk } else { reserved(disk, role, None) }
}

/// The resource with one more reservation.
pub(super) fn reserved(resource: v1::Resource, role: &str, principal: Option<&str>) -> v1::Resource {
    let mut reservations = resource.reservations.clone();
    reservations.push(ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic.into()),
        role: Some(role.into()),
        principal: principal.map(str::to_owned),
        ..ReservationInfo::default()
    });
    v1::Resource { reservations, ..resource }
}

pub(in crate::validation) fn allocated(resource: v1::Resource, role: &str) -> v1::Resource {
    let allocation_info = Some(v1::resource::AllocationInfo { role: Some(role.into()) });
    v1::Resource { allocation_info, ..resource }
}

/// A volume on a reserved disk.
pub(in crate::validation) fn volume(role: &str, id: &str, megabytes: f64) -> v1::Resource {
    let persistence = disk_info::Persistence { id: id.into(), principal: None };
    let mut place = v1::Volume { container_path: "path".into(), ..v1::Volume::default() };
    place.set_mode(v1::volume::Mode::Rw);
    let info = DiskInfo { persistence: Some(persistence), volume: Some(place), source: None };
    v1::Resource { disk: Some(info.into()), ..disk(role, megabytes) }
}

pub(in crate::validation) fn shared(volume: v1::Resource) -> v1::Resource {
    v1::Resource { shared: Some(v1::resource::SharedInfo {}), ..volume }
}

/// The resource on a disk of its own.
pub(super) fn on_mount(resource: v1::Resource) -> v1::Resource {
    let source = disk_info::Source {
        r#type: disk_info::source::Type::Mount.into(),
        mount: Some(disk_info::source::Mount { root: Some("/mnt".into()) }),
        ..disk_info::Source::default()
    };
    let disk = DiskInfo { source: Some(source), ..resource.disk.as_deref().cloned().unwrap_or_default() };
    v1::Resource { disk: Some(disk.into()), ..resource }
}

fn with(capabilities: AgentCapabilities) -> Agent {
    Agent { capabilities, ..testing::agent("a", "cpus:4;disk:100") }
}

pub(super) fn agent() -> Agent {
    with(AgentCapabilities::ALL)
}

/// An agent from before all capabilities.
pub(super) fn old_agent() -> Agent {
    with(AgentCapabilities::NONE)
}

/// An agent that knows roles within roles, and nothing else.
pub(super) fn knowing_roles() -> Agent {
    with(AgentCapabilities { hierarchical_role: true, ..AgentCapabilities::NONE })
}

pub(super) fn framework(roles: &[&str], principal: Option<&str>) -> Framework {
    let mut framework = testing::framework("f");
    framework.roles = Arc::new(roles.iter().map(|role| (*role).to_owned()).collect());
    Arc::make_mut(&mut framework.info).principal = principal.map(str::to_owned);
    framework
}
