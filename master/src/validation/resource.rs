//! Whether resources that a framework names are resources.

use std::collections::BTreeSet;

use mesos::{Resource, Resources, v1};

use super::{Checked, Invalid, id, refuse_if, refuse_if_with};

/// Checks the resources of one task or executor, and makes them ready for arithmetic.
///
/// # Errors
/// In upstream's words, without saying whose resources they are.
pub fn parse(resources: &[v1::Resource]) -> Result<Resources, Invalid> {
    let parsed = Resources::try_from_protos(resources)
        .map_err(|error| Invalid(format!("Invalid resources: {error}")))?;
    mesos::validation::validate_gpus(&parsed)
        .map_err(|error| Invalid::from(error).within("Invalid 'gpus' resource"))?;
    for resource in resources {
        validate_disk(resource).map_err(|error| error.within("Invalid DiskInfo"))?;
    }
    for resource in resources {
        validate_reservation(resource).map_err(|error| error.within("Invalid ReservationInfo"))?;
    }
    Ok(parsed)
}

fn is_reserved(resource: &v1::Resource) -> bool {
    !resource.reservations.is_empty() || resource.role() != "*" || resource.reservation.is_some()
}

fn validate_disk(resource: &v1::Resource) -> Checked {
    let Some(disk) = &resource.disk else { return Ok(()) };
    let Some(persistence) = &disk.persistence else {
        refuse_if(disk.volume.is_some(), "Non-persistent volume not supported")?;
        return refuse_if(disk.source.is_none(), "DiskInfo is set but empty");
    };
    refuse_if(resource.revocable.is_some(), "Persistent volumes cannot be created from revocable resources")?;
    refuse_if(!is_reserved(resource), "Persistent volumes cannot be created from unreserved resources")?;
    let Some(volume) = &disk.volume else {
        return Err("Expecting 'volume' to be set for persistent volume".into());
    };
    refuse_if(volume.host_path.is_some(), "Expecting 'host_path' to be unset for persistent volume")?;
    id(&persistence.id).map_err(|error| error.within("Invalid persistence ID for persistent volume"))
}

fn validate_reservation(resource: &v1::Resource) -> Checked {
    use v1::resource::reservation_info::Type;
    let dynamic = resource.reservation.is_some()
        || resource.reservations.last().is_some_and(|last| last.r#type() == Type::Dynamic);
    refuse_if_with(dynamic && resource.revocable.is_some(), || {
        let shown =
            Resource::try_from(resource).map_or_else(|_| resource.name.clone(), |read| read.to_string());
        format!("Dynamically reserved resource {shown} cannot be created from revocable resources")
    })
}

/// No two persistent volumes of a role may have the same id. Equal shared ones are one in a bag: several tasks may use it.
pub fn validate_unique_persistence_ids<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Checked {
    let mut seen = BTreeSet::new();
    for resource in resources {
        let persistence = resource.disk().and_then(|disk| disk.persistence.as_ref());
        let Some(id) = persistence.map(|persistence| persistence.id.as_str()) else { continue };
        refuse_if_with(!seen.insert((resource.reservation_role(), id)), || {
            format!("Persistence ID '{id}' is not unique")
        })?;
    }
    Ok(())
}

/// All must be allocated, and to the same role.
pub fn validate_single_role(resources: &[v1::Resource]) -> Checked {
    let mut first: Option<&str> = None;
    for resource in resources {
        let role = resource.allocation_info.as_ref().and_then(|info| info.role.as_deref());
        let Some(role) = role else {
            return Err("The resources are not allocated to a role".into());
        };
        match first {
            None => first = Some(role),
            Some(first) if first == role => {}
            Some(first) => {
                return Err(Invalid(format!(
                    "The resources have multiple allocation roles ('{role}' and '{first}') but \
                     only one allocation role is allowed"
                )));
            }
        }
    }
    Ok(())
}

/// Revocable and non-revocable resources of one name do not mix.
pub fn validate_revocability(resources: &Resources) -> Checked {
    let (revocable, others): (Vec<_>, Vec<_>) =
        resources.iter().partition(|resource| resource.is_revocable());
    let revocable: BTreeSet<&str> = revocable.into_iter().map(Resource::name).collect();
    match others.into_iter().map(Resource::name).filter(|name| revocable.contains(name)).min() {
        Some(name) => {
            Err(Invalid(format!("Cannot use both revocable and non-revocable '{name}' at the same time")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> Vec<v1::Resource> {
        json.split(';').map(|one| mesos::json::from_slice(one.as_bytes()).unwrap()).collect()
    }

    const CPU: &str = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},
        "allocation_info":{"role":"a"}}"#;

    #[test]
    fn a_fraction_of_a_gpu_is_refused() {
        let gpus = resources(r#"{"name":"gpus","type":"SCALAR","scalar":{"value":0.5}}"#);
        assert_eq!(
            parse(&gpus).unwrap_err().0,
            "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"
        );
    }

    #[test]
    fn resources_must_be_allocated_to_one_role() {
        let mut cpus = resources(CPU);
        assert_eq!(validate_single_role(&cpus), Ok(()));
        cpus.push(v1::Resource { allocation_info: None, ..cpus[0].clone() });
        assert_eq!(validate_single_role(&cpus).unwrap_err().0, "The resources are not allocated to a role");
        cpus[1].allocation_info = Some(v1::resource::AllocationInfo { role: Some("b".to_owned()) });
        assert_eq!(
            validate_single_role(&cpus).unwrap_err().0,
            "The resources have multiple allocation roles ('b' and 'a') but only one allocation \
             role is allowed"
        );
    }

    #[test]
    fn revocable_and_other_cpus_do_not_mix() {
        let mut cpus = resources(CPU);
        cpus.push(v1::Resource { revocable: Some(Default::default()), ..cpus[0].clone() });
        let parsed = |resources| Resources::try_from_protos(resources).unwrap();
        assert!(validate_revocability(&parsed(&cpus)).is_err());
        assert!(validate_revocability(&parsed(&cpus[1..])).is_ok());
    }

    /// A disk of 128 MB with these fields.
    fn disk(fields: &str) -> Vec<v1::Resource> {
        resources(&format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":128}},{fields}}}"#))
    }

    const STATIC: &str = r#""reservations":[{"type":"STATIC","role":"r"}]"#;
    const DYNAMIC: &str = r#""reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}]"#;
    const VOLUME: &str = r#""disk":{"persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"p"}}"#;

    /// Upstream: `ResourceValidationTest.StaticReservation`, `DynamicReservation`, `PersistentVolume`,
    /// `SharedPersistentVolume`.
    #[test]
    fn what_is_reserved_is_a_resource_and_so_is_a_volume_of_it() {
        for fields in [
            STATIC.to_owned(),
            r#""role":"r""#.to_owned(),
            DYNAMIC.to_owned(),
            format!("{STATIC},{VOLUME}"),
            format!(r#"{STATIC},{VOLUME},"shared":{{}}"#),
        ] {
            assert!(parse(&disk(&fields)).is_ok(), "{fields}");
        }
    }

    /// Upstream: `ResourceValidationTest.RevocableDynamicReservation`, `UnreservedDiskInfo`, `InvalidPersistenceID`,
    /// `PersistentVolumeWithoutVolumeInfo`, `PersistentVolumeWithHostPath`, `NonPersistentVolume`,
    /// `RevocablePersistentVolume`, `UnshareableResource`.
    #[test]
    fn a_disk_is_refused_for_what_is_wrong_with_it() {
        let place = r#""volume":{"mode":"RW","container_path":"p"}"#;
        for (fields, text) in [
            (
                format!(r#"{DYNAMIC},"revocable":{{}}"#),
                "Invalid ReservationInfo: Dynamically reserved resource disk(reservations: [(DYNAMIC,r,p)]){REV}:128 \
                 cannot be created from revocable resources",
            ),
            (
                VOLUME.to_owned(),
                "Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources",
            ),
            (
                format!(r#"{STATIC},"disk":{{"persistence":{{"id":"v/"}},{place}}}"#),
                "Invalid DiskInfo: Invalid persistence ID for persistent volume: 'v/' contains invalid characters",
            ),
            (
                format!(r#"{STATIC},"disk":{{"persistence":{{"id":"v"}}}}"#),
                "Invalid DiskInfo: Expecting 'volume' to be set for persistent volume",
            ),
            (
                format!(
                    r#"{STATIC},"disk":{{"persistence":{{"id":"v"}},
                    "volume":{{"mode":"RW","container_path":"p","host_path":"h"}}}}"#
                ),
                "Invalid DiskInfo: Expecting 'host_path' to be unset for persistent volume",
            ),
            (
                format!(r#"{STATIC},"disk":{{{place}}}"#),
                "Invalid DiskInfo: Non-persistent volume not supported",
            ),
            (
                format!(r#"{STATIC},{VOLUME},"revocable":{{}}"#),
                "Invalid DiskInfo: Persistent volumes cannot be created from revocable resources",
            ),
            (format!(r#"{STATIC},"shared":{{}}"#), "Only persistent volumes can be shared"),
        ] {
            let refused = parse(&disk(&fields)).unwrap_err().0;
            assert!(refused.contains(text), "{fields}: {refused}");
        }
    }
}
