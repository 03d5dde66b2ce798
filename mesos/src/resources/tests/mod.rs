//! What resources do, case by case; the facts are those of upstream's
//! `src/tests/resources_tests.cpp`. The laws of the arithmetic are in `laws.rs`.

mod arithmetic;
mod disks;
mod formats;
mod laws;
mod many;
mod operations;
mod parsing;
mod search;

use super::*;
use crate::v1::{
    self, Label, Labels,
    resource::{DiskInfo, ReservationInfo, SharedInfo, disk_info, disk_info::source, reservation_info},
};

fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn bag(protos: &[&v1::Resource]) -> Resources {
    Resources::try_from_protos(&protos.iter().map(|&proto| proto.clone()).collect::<Vec<_>>()).unwrap()
}

/// `disk(role1):10` as a message.
fn proto(text: &str) -> v1::Resource {
    parse_unchecked(text, "*").unwrap().remove(0)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let label = |&(key, value): &(&str, &str)| Label { key: key.into(), value: Some(value.into()) };
    pairs.iter().map(label).collect()
}

fn dynamic(role: &str, principal: &str) -> ReservationInfo {
    let mut reservation =
        ReservationInfo { role: Some(role.into()), principal: Some(principal.into()), ..Default::default() };
    reservation.set_type(reservation_info::Type::Dynamic);
    reservation
}

fn reserved(text: &str, reservation: ReservationInfo) -> v1::Resource {
    v1::Resource { reservations: vec![reservation], ..proto(text) }
}

fn disk_source(kind: source::Type, root: &str) -> disk_info::Source {
    let mut source = disk_info::Source::default();
    source.set_type(kind);
    match kind {
        source::Type::Path => source.path = Some(source::Path { root: Some(root.into()) }),
        source::Type::Mount => source.mount = Some(source::Mount { root: Some(root.into()) }),
        _ => {}
    }
    source
}

/// A disk with a source and, with an id, a persistent volume on it.
fn disk(
    text: &str,
    persistence: Option<&str>,
    path: Option<&str>,
    source: Option<disk_info::Source>,
) -> v1::Resource {
    let persistence = persistence.map(|id| disk_info::Persistence { id: id.into(), principal: None });
    let volume = path.map(|path| v1::Volume { container_path: path.into(), ..Default::default() });
    v1::Resource { disk: Some(DiskInfo { persistence, volume, source }.into()), ..proto(text) }
}

fn shared(mut resource: v1::Resource) -> v1::Resource {
    resource.shared = Some(SharedInfo {});
    resource
}

fn one(proto: &v1::Resource) -> Resource {
    Resource::try_from(proto).unwrap()
}
