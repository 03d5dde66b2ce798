//! Whether an operation on resources may be applied (upstream: `operation::validate` in
//! `master/validation.cpp`). One file for each pair of operations that undo each other.
//!
//! Whether the resources are there to be converted is not asked here: applying finds that out. The resources are valid
//! and in the format after reservation refinement (`mesos::resources::validate_and_upgrade_operation`).

mod reserve;
mod resize;
#[cfg(test)]
pub(super) mod testing;
mod volumes;

use std::collections::BTreeSet;

use mesos::v1::offer::{Operation, operation::Type};
use mesos::{Resource, v1};

use super::{Checked, Invalid, resource};
use crate::cluster::{Agent, Framework};

/// Who wants an operation.
#[derive(Debug, Clone, Copy)]
pub enum Requester<'a> {
    /// A framework, with what it was offered.
    Framework(&'a Framework),
    /// An operator, with what nobody uses.
    Operator {
        /// Who that is, if it had to say.
        principal: Option<&'a str>,
    },
}

impl<'a> Requester<'a> {
    fn principal(self) -> Option<&'a str> {
        match self {
            Self::Framework(framework) => framework.info.principal.as_deref(),
            Self::Operator { principal } => principal,
        }
    }
}

/// Checks an operation that converts resources of an agent.
///
/// # Errors
/// In upstream's words.
pub fn validate(operation: &Operation, requester: Requester<'_>, agent: &Agent) -> Checked {
    let kind = operation.r#type();
    let missing = || Invalid(format!("{} operation without its part", kind.as_str_name()));
    match kind {
        Type::Reserve => reserve::reserve(operation.reserve.as_ref().ok_or_else(missing)?, requester, agent),
        Type::Unreserve => reserve::unreserve(operation.unreserve.as_ref().ok_or_else(missing)?),
        Type::Create => volumes::create(operation.create.as_ref().ok_or_else(missing)?, requester, agent),
        Type::Destroy => volumes::destroy(operation.destroy.as_ref().ok_or_else(missing)?, agent),
        Type::GrowVolume => resize::grow(operation.grow_volume.as_ref().ok_or_else(missing)?, agent),
        Type::ShrinkVolume => resize::shrink(operation.shrink_volume.as_ref().ok_or_else(missing)?, agent),
        Type::CreateDisk => provided(&operation.create_disk.as_ref().ok_or_else(missing)?.source),
        Type::DestroyDisk => provided(&operation.destroy_disk.as_ref().ok_or_else(missing)?.source),
        Type::Launch | Type::LaunchGroup | Type::Unknown => {
            Err(Invalid(format!("{} does not convert resources", kind.as_str_name())))
        }
    }
}

/// Only resource providers make disks, and no agent has any.
fn provided(source: &v1::Resource) -> Checked {
    let resources = checked(std::slice::from_ref(source), "Invalid resource")?;
    match resources.first().and_then(Resource::provider_id) {
        None => Err("'source' is not managed by a resource provider".into()),
        Some(id) => {
            Err(Invalid(format!("Resource provider {id} is unknown: no agent has resource providers")))
        }
    }
}

/// The resources one by one; equal ones do not become one.
fn checked(resources: &[v1::Resource], what: &str) -> Result<Vec<Resource>, Invalid> {
    resource::parse(resources).map_err(|error| error.within(what))?;
    let one_by_one = resources.iter().map(Resource::try_from).collect::<Result<_, _>>();
    one_by_one.map_err(|error| Invalid(format!("{what}: {error}")))
}

/// All must be of the agent itself, or of one resource provider.
fn validate_single_provider(resources: &[Resource]) -> Checked {
    let providers: BTreeSet<_> = resources.iter().map(Resource::provider_id).collect();
    if providers.len() == 1 {
        return Ok(());
    }
    if providers.contains(&None) {
        return Err("Some resources have a resource provider and some do not".into());
    }
    let ids: Vec<String> = providers.into_iter().flatten().map(ToString::to_string).collect();
    Err(Invalid(format!("The resources have multiple resource providers: {}", ids.join(", "))))
}

/// Reservations for roles within roles, and refined ones, need an agent that knows them.
fn validate_reservations_known(resource: &Resource, agent: &Agent, what: &str, done: &str) -> Checked {
    let role = resource.reservation_role().unwrap_or_default();
    super::refuse_if_with(!agent.capabilities.hierarchical_role && role.contains('/'), || {
        format!(
            "{what} {resource} with reservation for hierarchical role '{role}' cannot be {done} on an agent without \
             HIERARCHICAL_ROLE capability"
        )
    })?;
    let refined = resource.has_refined_reservations();
    super::refuse_if_with(!agent.capabilities.reservation_refinement && refined, || {
        format!(
            "{what} {resource} with reservation refinement cannot be {done} on an agent without \
             RESERVATION_REFINEMENT capability"
        )
    })
}

/// A framework's operation is about resources that are allocated to one role.
fn validate_one_role(resources: &[v1::Resource], requester: Requester<'_>, what: &str) -> Checked {
    match requester {
        Requester::Framework(_) => {
            resource::validate_single_role(resources).map_err(|error| error.within(what))
        }
        Requester::Operator { .. } => Ok(()),
    }
}

/// All must be volumes that can be written to.
fn validate_volumes(volumes: &[Resource]) -> Checked {
    for volume in volumes {
        let Some(disk) = volume.disk() else {
            return Err(Invalid(format!("Resource {volume} does not have DiskInfo")));
        };
        super::refuse_if(disk.persistence.is_none(), "'persistence' is not set in DiskInfo")?;
        let Some(place) = &disk.volume else {
            return Err("Expecting 'volume' to be set for persistent volume".into());
        };
        super::refuse_if(place.mode() == v1::volume::Mode::Ro, "Read-only persistent volume not supported")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    /// Upstream: `OperationValidationTest.CreateDisk`, `DestroyDisk`.
    #[test]
    fn disks_are_made_by_resource_providers_only() {
        let source = |provider: Option<&str>| v1::Resource {
            provider_id: provider.map(|id| Box::new(v1::ResourceProviderId { value: id.into() })),
            ..disk("*", 64.0)
        };
        for kind in [Type::CreateDisk, Type::DestroyDisk] {
            let text = |provider| {
                let operation = Operation {
                    r#type: Some(kind.into()),
                    create_disk: Some(v1::offer::operation::CreateDisk {
                        source: source(provider),
                        ..Default::default()
                    }),
                    destroy_disk: Some(v1::offer::operation::DestroyDisk { source: source(provider) }),
                    ..Default::default()
                };
                validate(&operation, OPERATOR, &agent()).unwrap_err().0
            };
            assert_eq!(text(None), "'source' is not managed by a resource provider");
            assert_eq!(text(Some("p")), "Resource provider p is unknown: no agent has resource providers");
        }
    }
}
