//! RESERVE and UNRESERVE.

use mesos::v1::offer::operation::{Reserve, Unreserve};
use mesos::v1::resource::ReservationInfo;
use mesos::{Resource, Resources};

use super::super::{Checked, Invalid, listed, refuse_if, refuse_if_with};
use super::{Requester, checked, validate_one_role, validate_reservations_known, validate_single_provider};
use crate::cluster::{Agent, Framework};

pub(super) fn reserve(reserve: &Reserve, requester: Requester<'_>, agent: &Agent) -> Checked {
    // This is also where a reservation for `*` is refused.
    let resources = checked(&reserve.resources, "Invalid resources")?;
    let source = checked(&reserve.source, "Invalid source")?;
    if !source.is_empty() {
        validate_change(&source, &resources)?;
    }
    // Its directory is named after the role: the agent would begin with an empty one. (Upstream's does.)
    if let Some(volume) = resources.iter().chain(&source).find(|resource| resource.is_persistent_volume()) {
        return Err(Invalid(format!(
            "The persistent volume {volume} cannot be reserved, since that would lose what is in it. Destroy it first"
        )));
    }
    validate_single_provider(&resources).map_err(|error| error.within("Invalid resources"))?;
    for resource in &resources {
        refuse_if_with(!resource.is_dynamically_reserved(), || {
            format!("Resource {resource} is not dynamically reserved")
        })?;
        validate_reservations_known(resource, agent, "Resource", "reserved")?;
        validate_principal(resource.reservations(), requester)?;
        match requester {
            Requester::Framework(framework) => validate_roles(resource, framework)?,
            Requester::Operator { .. } => refuse_if(
                resource.allocation_role().is_some(),
                "A reserve operation was attempted with an allocated resource, but the operator API only allows \
                 reservations to be made to unallocated resources",
            )?,
        }
    }
    validate_one_role(&reserve.resources, requester, "Invalid reservation resources")
}

/// One reservation is replaced by another.
fn validate_change(source: &[Resource], target: &[Resource]) -> Checked {
    validate_alike(source).map_err(|error| error.within("Invalid source"))?;
    validate_alike(target).map_err(|error| error.within("Invalid resources"))?;
    let bare = |resources: &[Resource]| resources.iter().cloned().collect::<Resources>().to_unreserved();
    let (source, target) = (bare(source), bare(target));
    refuse_if_with(source != target, || {
        format!(
            "Source and target resources should refer to identical resource quantities: {source} vs. {target}"
        )
    })
}

fn validate_alike(resources: &[Resource]) -> Checked {
    let Some(first) = resources.first() else { return Err("Resource cannot be empty".into()) };
    let mixed = resources.iter().any(|resource| resource.reservations() != first.reservations());
    refuse_if_with(mixed, || {
        let all: Vec<String> = resources.iter().map(ToString::to_string).collect();
        format!("Mixed reservations are not supported: {}", listed(all.iter().map(String::as_str)))
    })
}

/// Who is known by name reserves in that name.
fn validate_principal(reservations: &[ReservationInfo], requester: Requester<'_>) -> Checked {
    let Some(principal) = requester.principal() else { return Ok(()) };
    match reservations.last().and_then(|reservation| reservation.principal.as_deref()) {
        None => Err(Invalid(format!(
            "A reserve operation was attempted by principal '{principal}', but there is a reserved resource in the \
             request with no principal set"
        ))),
        Some(named) if named != principal => Err(Invalid(format!(
            "A reserve operation was attempted by authenticated principal '{principal}', which does not match a \
             reserved resource in the request with principal '{named}'"
        ))),
        Some(_) => Ok(()),
    }
}

/// A framework reserves for a role of its own, what was offered to that role.
fn validate_roles(resource: &Resource, framework: &Framework) -> Checked {
    let reserved = resource.reservation_role().unwrap_or_default();
    let Some(allocated) = resource.allocation_role() else {
        return Err(Invalid(format!(
            "A reserve operation was attempted on unallocated resource {resource}, but frameworks can only perform \
             reservations on allocated resources"
        )));
    };
    refuse_if_with(allocated != reserved, || {
        format!(
            "A reserve operation was attempted for a resource with role '{reserved}', but the resource was allocated \
             to role '{allocated}'"
        )
    })?;
    refuse_if_with(!framework.roles.contains(allocated), || {
        format!(
            "A reserve operation was attempted for a resource allocated to role '{allocated}', but the framework only \
             has roles '{}'",
            listed(framework.roles.iter().map(String::as_str))
        )
    })
}

pub(super) fn unreserve(unreserve: &Unreserve) -> Checked {
    let resources = checked(&unreserve.resources, "Invalid resources")?;
    validate_single_provider(&resources).map_err(|error| error.within("Invalid resources"))?;
    for resource in &resources {
        refuse_if_with(!resource.is_dynamically_reserved(), || {
            format!("Resource {resource} is not dynamically reserved")
        })?;
        refuse_if_with(resource.is_persistent_volume(), || {
            format!(
                "A dynamically reserved persistent volume {resource} cannot be unreserved directly. Please destroy the \
                 persistent volume first then unreserve the resource"
            )
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use mesos::v1;

    fn check(resources: Vec<v1::Resource>, requester: Requester<'_>) -> Result<(), String> {
        let operation = Reserve { resources, source: Vec::new() };
        reserve(&operation, requester, &agent()).map_err(|error| error.0)
    }

    fn refused(resources: Vec<v1::Resource>, requester: Requester<'_>) -> String {
        check(resources, requester).unwrap_err()
    }

    /// Upstream: `MatchingRole`, `MismatchedAllocation`, `MixedAllocationRoles`, `DisallowReservingToStar`.
    #[test]
    fn a_framework_reserves_for_its_own_role_what_was_offered_to_that_role() {
        let framework = framework(&["a", "b"], None);
        let by = Requester::Framework(&framework);
        let reserved = |role: &str, offered: &str| allocated(reserved(cpus(1.0), role, None), offered);
        assert_eq!(check(vec![reserved("a", "a")], by), Ok(()));
        assert!(
            refused(vec![reserved("a", "b")], by)
                .contains("role 'a', but the resource was allocated to role 'b'")
        );
        assert!(refused(vec![reserved("c", "c")], by).contains("the framework only has roles '{ a, b }'"));
        let mixed = vec![reserved("a", "a"), reserved("b", "b")];
        assert!(refused(mixed, by).starts_with("Invalid reservation resources: The resources have multiple"));
        assert!(refused(vec![reserved("*", "*")], by).starts_with("Invalid resources: "));
        let unallocated = super::super::testing::reserved(cpus(1.0), "a", None);
        assert!(refused(vec![unallocated], by).contains("on unallocated resource"));
    }

    /// Upstream: `MatchingPrincipal`, `NonMatchingPrincipal`, `ReservationInfoMissingPrincipal`,
    /// `ReservationTest.WithoutAuthenticationWithPrincipal`.
    #[test]
    fn whoever_has_a_name_reserves_in_that_name() {
        for (named, expected) in [
            (Some("p"), None),
            (None, Some("with no principal set")),
            (Some("q"), Some("does not match a reserved resource in the request with principal 'q'")),
        ] {
            let operator = Requester::Operator { principal: Some("p") };
            let framework = framework(&["a"], Some("p"));
            let plain = reserved(cpus(1.0), "a", named);
            let offered = allocated(plain.clone(), "a");
            for result in
                [check(vec![plain], operator), check(vec![offered], Requester::Framework(&framework))]
            {
                match expected {
                    None => assert_eq!(result, Ok(())),
                    Some(text) => assert!(result.as_ref().unwrap_err().contains(text), "{result:?}"),
                }
            }
        }
    }

    /// Upstream: `StaticReservation` (of both operations), `UnexpectedAllocatedResource`.
    #[test]
    fn only_dynamic_reservations_are_made_and_undone_and_operators_take_what_is_not_allocated() {
        let fixed = v1::Resource { role: Some("a".into()), ..cpus(1.0) };
        assert!(refused(vec![fixed.clone()], OPERATOR).ends_with("is not dynamically reserved"));
        let text = unreserve(&Unreserve { resources: vec![fixed] }).unwrap_err().0;
        assert!(text.ends_with("is not dynamically reserved"), "{text}");
        let taken = allocated(reserved(cpus(1.0), "a", None), "a");
        assert!(refused(vec![taken], OPERATOR).contains("attempted with an allocated resource"));
    }

    /// Upstream: `NoPersistentVolumes` (of both operations: RESERVE there only checks what is not dynamically reserved),
    /// `WithoutACL`, `FrameworkMissingPrincipal`.
    #[test]
    fn a_volume_is_destroyed_before_it_is_unreserved() {
        let undone = |resource| unreserve(&Unreserve { resources: vec![resource] }).map_err(|error| error.0);
        assert_eq!(undone(reserved(cpus(1.0), "a", Some("p"))), Ok(()));
        assert!(
            undone(volume("a", "v", 8.0)).unwrap_err().contains("Please destroy the persistent volume first")
        );
    }

    #[test]
    fn a_volume_is_not_reserved_for_another_role() {
        assert!(refused(vec![volume("a", "v", 8.0)], OPERATOR).contains("cannot be reserved"));
        let operation =
            Reserve { resources: vec![reserved(cpus(1.0), "b", None)], source: vec![volume("a", "v", 8.0)] };
        assert!(reserve(&operation, OPERATOR, &agent()).is_err());
    }

    /// Upstream: `AgentHierarchicalRoleCapability`.
    #[test]
    fn an_agent_must_know_roles_within_roles_and_refined_reservations() {
        let operation = |resource| Reserve { resources: vec![resource], source: Vec::new() };
        let old = old_agent();
        let text = |resource| reserve(&operation(resource), OPERATOR, &old).unwrap_err().0;
        assert!(text(reserved(cpus(1.0), "a/b", None)).contains("without HIERARCHICAL_ROLE capability"));
        let mut refined = reserved(cpus(1.0), "a", None);
        refined.reservations.insert(0, refined.reservations[0].clone());
        refined.reservations[1].role = Some("a/c".into());
        let knows_roles = knowing_roles();
        let text = reserve(&operation(refined.clone()), OPERATOR, &knows_roles).unwrap_err().0;
        assert!(text.contains("without RESERVATION_REFINEMENT capability"), "{text}");
        assert_eq!(check(vec![refined], OPERATOR), Ok(()));
    }

    /// Upstream: `MultipleResourceProviders` (of RESERVE and of UNRESERVE), `ResourceValidationTest.SingleResourceProvider`.
    #[test]
    fn all_resources_are_of_one_provider() {
        let of = |provider: Option<&str>| v1::Resource {
            provider_id: provider.map(|id| Box::new(v1::ResourceProviderId { value: id.into() })),
            ..reserved(disk("*", 8.0), "a", None)
        };
        for (providers, expected) in [
            ([Some("p"), None], "Some resources have a resource provider and some do not"),
            ([Some("p"), Some("q")], "The resources have multiple resource providers: p, q"),
        ] {
            let resources = providers.map(of).to_vec();
            assert_eq!(refused(resources.clone(), OPERATOR), format!("Invalid resources: {expected}"));
            let text = unreserve(&Unreserve { resources }).unwrap_err().0;
            assert_eq!(text, format!("Invalid resources: {expected}"));
        }
    }

    #[test]
    fn a_changed_reservation_is_of_as_much_and_of_one_kind() {
        let check = |source: Vec<v1::Resource>, resources: Vec<v1::Resource>| {
            reserve(&Reserve { resources, source }, OPERATOR, &agent()).map_err(|error| error.0)
        };
        let of = |role: &str, amount: f64| reserved(cpus(amount), role, None);
        assert_eq!(check(vec![of("a", 1.0)], vec![of("b", 1.0)]), Ok(()));
        let text = check(vec![of("a", 1.0)], vec![of("b", 2.0)]).unwrap_err();
        assert!(text.contains("identical resource quantities: cpus:1 vs. cpus:2"), "{text}");
        let text = check(vec![of("a", 1.0), of("b", 1.0)], vec![of("b", 2.0)]).unwrap_err();
        assert!(text.starts_with("Invalid source: Mixed reservations are not supported"), "{text}");
    }
}
