//! What makes a message a resource (upstream: `Resources::validate`), with upstream's texts and in
//! its order of checks, except that lists are checked in n log n.

use super::{Resource, ResourceError, ResourceValue, descriptor::same_labels, display};
use crate::{
    roles,
    v1::{
        self,
        resource::{ReservationInfo, disk_info::source, reservation_info},
        value,
    },
    values::{Ranges, Scalar, Set},
};

/// Checks one message, in either reservation format.
///
/// # Errors
/// [`ResourceError`] with upstream's text.
pub fn validate(resource: &v1::Resource) -> Result<(), ResourceError> {
    checked_value(resource).map(|_| ())
}

/// Checks several messages.
///
/// # Errors
/// [`ResourceError::InList`] for the first invalid one.
pub fn validate_all(resources: &[v1::Resource]) -> Result<(), ResourceError> {
    if resources.len() > super::bag::MAX_IN_MESSAGE {
        return Err(ResourceError::TooMany(resources.len()));
    }
    resources.iter().try_for_each(|resource| validate(resource).map_err(|error| in_list(resource, error)))
}

pub(super) fn in_list(resource: &v1::Resource, error: ResourceError) -> ResourceError {
    ResourceError::InList { resource: display::Proto(resource).to_string(), error: Box::new(error) }
}

/// Checks everything; what remains to be taken from the message is its value.
pub(super) fn checked_value(resource: &v1::Resource) -> Result<ResourceValue, ResourceError> {
    if resource.name.is_empty() {
        return Err(ResourceError::EmptyName);
    }
    let value = value_of(resource)?;
    check_disk(resource)?;
    if resource.reservations.is_empty() {
        check_old_format(resource)?;
    } else {
        check_new_format(resource)?;
    }
    check_shared(resource)?;
    Ok(value)
}

fn value_of(resource: &v1::Resource) -> Result<ResourceValue, ResourceError> {
    let kind = value::Type::try_from(resource.r#type).map_err(|_| ResourceError::UnknownType)?;
    match (kind, &resource.scalar, &resource.ranges, resource.set.as_deref()) {
        (value::Type::Scalar, Some(scalar), None, None) => {
            checked_scalar(scalar.value).map(ResourceValue::Scalar)
        }
        (value::Type::Ranges, None, Some(ranges), None) => {
            Ok(ResourceValue::Ranges(Ranges::try_from(ranges)?))
        }
        (value::Type::Set, None, None, Some(set)) => Ok(ResourceValue::Set(Set::try_from(set)?)),
        (value::Type::Scalar, ..) => Err(ResourceError::WrongValue("scalar")),
        (value::Type::Ranges, ..) => Err(ResourceError::WrongValue("ranges")),
        (value::Type::Set, ..) => Err(ResourceError::WrongValue("set")),
        (value::Type::Text, ..) => Err(ResourceError::UnsupportedType),
    }
}

/// Zero is allowed (and dropped from bags); what is not zero must be one thousandth at least and
/// fit the fixed point number. Upstream's conversion of larger numbers overflows into a negative.
fn checked_scalar(value: f64) -> Result<Scalar, ResourceError> {
    let scalar = Scalar::from_f64(value);
    let countable = value == 0.0 || (value.is_finite() && scalar.is_positive() && scalar < Scalar::MAX);
    if countable { Ok(scalar) } else { Err(ResourceError::ScalarRange) }
}

fn check_disk(resource: &v1::Resource) -> Result<(), ResourceError> {
    let Some(disk) = &resource.disk else { return Ok(()) };
    if resource.name != "disk" {
        return Err(ResourceError::DiskInfoOnOther(resource.name.clone()));
    }
    let Some(source) = &disk.source else { return Ok(()) };
    match source.r#type() {
        source::Type::Path | source::Type::Mount => Ok(()),
        kind @ (source::Type::Block | source::Type::Raw) => {
            let what = match (&source.mount, &source.path) {
                (Some(_), _) => "Mount",
                (None, Some(_)) => "Path",
                (None, None) => return Ok(()),
            };
            Err(ResourceError::DiskSource { what, source_type: kind.as_str_name() })
        }
        source::Type::Unknown => Err(ResourceError::DiskSourceType(display::Source(source).to_string())),
    }
}

fn wrong(text: impl Into<String>) -> ResourceError {
    ResourceError::Reservation(text.into())
}

/// Before reservation refinement: `role`, and `reservation` if it is a dynamic one.
fn check_old_format(resource: &v1::Resource) -> Result<(), ResourceError> {
    roles::validate(resource.role())?;
    let Some(reservation) = &resource.reservation else { return Ok(()) };
    if reservation.r#type.is_some() {
        return Err(wrong(
            "'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field",
        ));
    }
    if reservation.role.is_some() {
        return Err(wrong(
            "'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field",
        ));
    }
    if resource.role() == roles::UNRESERVED {
        return Err(wrong("Invalid reservation: role \"*\" cannot be dynamically reserved"));
    }
    Ok(())
}

/// After it: `reservations`; a single one may be repeated in the old fields ("endpoint" format).
fn check_new_format(resource: &v1::Resource) -> Result<(), ResourceError> {
    refinement(&resource.reservations)?;
    if let [reservation] = &resource.reservations[..] {
        return check_both_formats(resource, reservation);
    }
    for (set, field) in [(resource.role.is_some(), "role"), (resource.reservation.is_some(), "reservation")] {
        if set {
            return Err(wrong(format!(
                "Invalid resource format: 'Resource.{field}' must not be set if there is more than one reservation in \
                 'Resource.reservations'"
            )));
        }
    }
    Ok(())
}

/// Checks a stack of reservations: complete, roles valid, each a refinement of the one before.
pub(super) fn refinement(reservations: &[ReservationInfo]) -> Result<(), ResourceError> {
    for reservation in reservations {
        let known = reservation.r#type.is_some_and(|kind| reservation_info::Type::try_from(kind).is_ok());
        if !known {
            return Err(wrong("Invalid reservation: 'Resource.ReservationInfo.type' field must be set."));
        }
        let Some(role) = &reservation.role else {
            return Err(wrong("Invalid reservation: 'Resource.ReservationInfo.role' field must be set."));
        };
        roles::validate(role)?;
        if role == roles::UNRESERVED {
            return Err(wrong("Invalid reservation: role \"*\" cannot be reserved"));
        }
    }
    for pair in reservations.windows(2) {
        let (ancestor, descendant) = (pair[0].role(), pair[1].role());
        if pair[1].r#type() == reservation_info::Type::Static {
            return Err(wrong("Invalid refined reservation: A refined reservation cannot be STATIC"));
        }
        if !roles::is_strict_subrole_of(descendant, ancestor) {
            return Err(wrong(format!(
                "Invalid refined reservation: role '{descendant}' is not a refinement of '{ancestor}'"
            )));
        }
    }
    Ok(())
}

fn check_both_formats(resource: &v1::Resource, reservation: &ReservationInfo) -> Result<(), ResourceError> {
    if let Some(role) = resource.role.as_deref().filter(|role| *role != reservation.role()) {
        return Err(wrong(format!(
            "Invalid resource format: 'Resource.role' field with '{role}' does not match the role '{}' in \
             'Resource.reservations'",
            reservation.role()
        )));
    }
    match (reservation.r#type(), &resource.reservation) {
        (reservation_info::Type::Unknown, _) => Err(wrong("Unsupported 'Resource.ReservationInfo.Type'")),
        (reservation_info::Type::Static, None) => Ok(()),
        (reservation_info::Type::Static, Some(_)) => Err(wrong(
            "Invalid resource format: 'Resource.reservation' must not be set if the single reservation in \
             'Resource.reservations' is STATIC",
        )),
        (reservation_info::Type::Dynamic, old) if resource.role.is_some() != old.is_some() => Err(wrong(
            "Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or both not \
             set if the single reservation in 'Resource.reservations' is DYNAMIC",
        )),
        (reservation_info::Type::Dynamic, None) => Ok(()),
        (reservation_info::Type::Dynamic, Some(old)) => check_same_dynamic(old, reservation),
    }
}

fn check_same_dynamic(old: &ReservationInfo, new: &ReservationInfo) -> Result<(), ResourceError> {
    if old.principal() != new.principal() {
        return Err(wrong(format!(
            "Invalid resource format: 'Resource.reservation.principal' field with '{}' does not match the principal \
             '{}' in 'Resource.reservations'",
            old.principal(),
            new.principal()
        )));
    }
    let labels = |reservation: &ReservationInfo| reservation.labels.clone().unwrap_or_default();
    let (old_labels, new_labels) = (labels(old), labels(new));
    if !same_labels(Some(&old_labels), Some(&new_labels)) {
        return Err(wrong(format!(
            "Invalid resource format: 'Resource.reservation.labels' field with '{}' does not match the labels '{}' in \
             'Resource.reservations'",
            display::LabelList(&old_labels),
            display::LabelList(&new_labels)
        )));
    }
    Ok(())
}

fn check_shared(resource: &v1::Resource) -> Result<(), ResourceError> {
    if resource.shared.is_none() {
        return Ok(());
    }
    if resource.name != "disk" {
        return Err(ResourceError::SharedOther(resource.name.clone()));
    }
    if resource.disk.as_ref().is_none_or(|disk| disk.persistence.is_none()) {
        return Err(ResourceError::SharedDisk);
    }
    Ok(())
}

/// What a daemon may be given as its resources: nothing that is made at run time or given to
/// somebody, and one type for one name (upstream: `validateCommandLineResources`).
pub(super) fn command_line<'a>(resources: impl Iterator<Item = &'a Resource>) -> Result<(), ResourceError> {
    let refused = |text: String| Err(ResourceError::CommandLine(text));
    let mut seen: std::collections::BTreeMap<&str, &ResourceValue> = std::collections::BTreeMap::new();
    for resource in resources {
        if resource.is_persistent_volume() {
            return refused("Persistent volumes cannot be specified at the command line".into());
        }
        if resource.is_revocable() {
            return refused(
                "Revocable resources cannot be specified at the command line; do not include a 'revocable' key in the \
                 resources JSON"
                    .into(),
            );
        }
        if resource.is_dynamically_reserved() {
            return refused(
                "Dynamic reservations cannot be specified at the command line; do not include a reservation with \
                 DYNAMIC type in the resources JSON"
                    .into(),
            );
        }
        // Upstream's agent starts with these, and its master offers them again and again.
        if resource.allocation_role().is_some() {
            return refused(
                "Allocated resources cannot be specified at the command line; do not include an 'allocation_info' key \
                 in the resources JSON"
                    .into(),
            );
        }
        let first = seen.entry(resource.name()).or_insert(resource.value());
        if !first.same_kind(resource.value()) {
            return refused(format!(
                "Resources with the same name ('{}') but different types are not allowed",
                resource.name()
            ));
        }
    }
    Ok(())
}
