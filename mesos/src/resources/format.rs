//! The two ways in which messages say how a resource is reserved (upstream:
//! `convertResourceFormat` in `src/common/resources_utils.cpp`):
//!
//! - before reservation refinement: `role`, and `reservation` when it is a dynamic one;
//! - after it: `reservations`, a stack;
//! - the "endpoint" format, in the JSON of the operator's endpoints: both, where the old one can
//!   say it.
//!
//! Inside, everything is in the format after refinement.

use crate::{
    roles,
    v1::{
        self,
        resource::{ReservationInfo, reservation_info},
    },
};

/// A framework or agent that does not know reservation refinement cannot be told of a refined one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Cannot downgrade resources containing refined reservations")]
pub struct DowngradeError;

/// The reservation that `role` and `reservation` say, `None` for `*`.
pub(super) fn implied_reservation(resource: &v1::Resource) -> Option<ReservationInfo> {
    if resource.role() == roles::UNRESERVED {
        return None;
    }
    let mut reservation = resource.reservation.as_deref().cloned().unwrap_or_default();
    let kind = match resource.reservation {
        Some(_) => reservation_info::Type::Dynamic,
        None => reservation_info::Type::Static,
    };
    reservation.set_type(kind);
    reservation.role = Some(resource.role().to_owned());
    Some(reservation)
}

/// To the format after refinement, from any of the three.
pub fn upgrade(resource: &mut v1::Resource) {
    if resource.reservations.is_empty() {
        let implied = implied_reservation(resource);
        resource.reservations.extend(implied);
    }
    resource.role = None;
    resource.reservation = None;
}

/// [`upgrade`] for several.
pub fn upgrade_all(resources: &mut [v1::Resource]) {
    resources.iter_mut().for_each(upgrade);
}

/// To the format before refinement, from the one after it.
///
/// # Errors
/// [`DowngradeError`]; the resource is then as it was.
pub fn downgrade(resource: &mut v1::Resource) -> Result<(), DowngradeError> {
    if resource.reservations.len() > 1 {
        return Err(DowngradeError);
    }
    to_endpoint(resource);
    resource.reservations.clear();
    Ok(())
}

/// [`downgrade`] for several.
///
/// # Errors
/// [`DowngradeError`]; those before the refined one are converted, the others as they were.
pub fn downgrade_all(resources: &mut [v1::Resource]) -> Result<(), DowngradeError> {
    resources.iter_mut().try_for_each(downgrade)
}

/// To the endpoint format, from the one after refinement.
pub fn to_endpoint(resource: &mut v1::Resource) {
    match &resource.reservations[..] {
        [] => resource.role = Some(roles::UNRESERVED.to_owned()),
        [reservation] => {
            resource.role = Some(reservation.role().to_owned());
            if reservation.r#type() == reservation_info::Type::Dynamic {
                let old = ReservationInfo { r#type: None, role: None, ..reservation.clone() };
                resource.reservation = Some(Box::new(old));
            }
        }
        _ => {}
    }
}
