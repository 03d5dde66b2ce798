//! Whether a framework may subscribe as it describes itself.

use std::collections::BTreeSet;

use mesos::roles;
use mesos::tasks::framework_roles;
use mesos::v1::scheduler::OfferConstraints;
use mesos::v1::{self, FrameworkInfo};

use super::{Checked, Invalid, id, listed, refuse_if};
use crate::cluster::FrameworkCapabilities;

/// The longest failover timeout: what fits into nanoseconds in 64 bits (upstream: `Duration`).
const MAX_FAILOVER_SECONDS: f64 = i64::MAX as f64 / 1e9;

/// The rules that hold whatever else is subscribed.
pub fn validate(info: &FrameworkInfo) -> Checked {
    validate_roles(info)?;
    if let Some(framework) = info.id.as_ref().filter(|id| !id.value.is_empty()) {
        id(&framework.value)?;
    }
    for filters in info.offer_filters.values() {
        validate_offer_filters(filters)?;
    }
    let timeout = info.failover_timeout();
    refuse_if(
        timeout.is_nan() || timeout.abs() > MAX_FAILOVER_SECONDS,
        format!("The framework failover_timeout ({}) is invalid", mesos::text::general(timeout, 6)),
    )
}

fn validate_roles(info: &FrameworkInfo) -> Checked {
    if !FrameworkCapabilities::from_protos(&info.capabilities).multi_role {
        refuse_if(
            !info.roles.is_empty(),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        )?;
        return roles::validate(info.role())
            .map_err(|error| Invalid(format!("'FrameworkInfo.role' is not a valid role: {error}")));
    }
    refuse_if(
        info.role.is_some(),
        "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
    )?;
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> =
        info.roles.iter().map(String::as_str).filter(|role| !seen.insert(*role)).collect();
    refuse_if(
        !twice.is_empty(),
        format!("'FrameworkInfo.roles' contains duplicate items: {}", listed(twice)),
    )?;
    info.roles.iter().try_for_each(|role| {
        roles::validate(role)
            .map_err(|error| Invalid(format!("'FrameworkInfo.roles' contains invalid role: {error}")))
    })
}

/// Minimal quantities below which a framework wants no offer.
fn validate_offer_filters(filters: &v1::OfferFilters) -> Checked {
    let Some(minimum) = &filters.min_allocatable_resources else { return Ok(()) };
    for quantities in &minimum.quantities {
        refuse_if(
            quantities.quantities.is_empty(),
            "Resource quantities must contain at least one quantity",
        )?;
        for (name, amount) in &quantities.quantities {
            validate_quantity(amount.value)
                .map_err(|error| error.within(&format!("Invalid resource quantity for '{name}'")))?;
        }
    }
    Ok(())
}

fn validate_quantity(value: f64) -> Checked {
    refuse_if(value.is_infinite(), "Infinite values not supported")?;
    refuse_if(value.is_nan(), "NaN not supported")?;
    refuse_if(value.is_subnormal(), "Subnormal values not supported")?;
    refuse_if(value < 0.0, "Negative values not supported")
}

/// The master's own rules: which roles and users it admits.
pub fn validate_admission(
    info: &FrameworkInfo,
    whitelist: Option<&BTreeSet<String>>,
    root_submissions: bool,
) -> Checked {
    if let Some(whitelist) = whitelist {
        let roles = framework_roles(info);
        let foreign: Vec<&str> = roles
            .iter()
            .filter(|role| *role != "*" && !whitelist.contains(*role))
            .map(String::as_str)
            .collect();
        refuse_if(
            !foreign.is_empty(),
            format!("Roles {} are not present in the master's --roles", listed(foreign)),
        )?;
    }
    refuse_if(
        info.user == "root" && !root_submissions,
        "User 'root' is not allowed to run frameworks without --root_submissions set",
    )
}

/// Suppressed roles and roles with offer constraints must be subscribed.
pub fn validate_role_options(
    roles: &BTreeSet<String>,
    suppressed: &BTreeSet<String>,
    constraints: Option<&OfferConstraints>,
) -> Checked {
    let foreign: Vec<&str> = suppressed.difference(roles).map(String::as_str).collect();
    refuse_if(
        !foreign.is_empty(),
        format!("Suppressed roles {} are not contained in the set of roles", listed(foreign)),
    )?;
    let constrained = constraints.map(|constraints| constraints.role_constraints.keys());
    match constrained.into_iter().flatten().find(|role| !roles.contains(*role)) {
        // Upstream forgets the blank after the role.
        Some(role) => Err(Invalid(format!(
            "Offer constraints specify `role_constraints` for a role '{role}' not contained in the \
             set of roles"
        ))),
        None => Ok(()),
    }
}

/// What a framework may not change.
pub fn validate_update(old: &FrameworkInfo, new: &FrameworkInfo) -> Checked {
    // The old principal is not told to somebody who does not have it.
    refuse_if(old.principal != new.principal, "Changing framework's principal is not allowed.")?;
    refuse_if(
        old.user != new.user,
        format!(
            "Updating 'FrameworkInfo.user' is unsupported; attempted to update from '{}' to '{}'",
            old.user, new.user
        ),
    )?;
    refuse_if(
        old.checkpoint() != new.checkpoint(),
        format!(
            "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '{}' to \
             '{}'",
            old.checkpoint(),
            new.checkpoint()
        ),
    )
}

/// A re-subscription keeps what may not change, instead of being refused.
pub fn preserve_immutable(old: &FrameworkInfo, new: &mut FrameworkInfo) {
    new.user.clone_from(&old.user);
    new.checkpoint = old.checkpoint;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(json: &str) -> FrameworkInfo {
        let json = format!(r#"{{"user":"u","name":"n",{json}}}"#);
        mesos::json::from_slice(json.as_bytes()).unwrap()
    }

    fn refusal(json: &str) -> String {
        validate(&info(json)).unwrap_err().0
    }

    /// The texts of `recorded/scheduler.jsonl`. Upstream: `FrameworkInfoValidationTest.ValidateRoles`.
    #[test]
    fn roles_are_refused_in_the_recorded_words() {
        let multi = r#""capabilities":[{"type":"MULTI_ROLE"}]"#;
        assert_eq!(
            refusal(&format!(r#"{multi},"role":"a""#)),
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
        );
        assert_eq!(
            refusal(r#""roles":["a"]"#),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
        );
        assert_eq!(
            refusal(&format!(r#"{multi},"roles":["a","a"]"#)),
            "'FrameworkInfo.roles' contains duplicate items: { a }"
        );
        assert_eq!(
            refusal(&format!(r#"{multi},"roles":["/bad"]"#)),
            "'FrameworkInfo.roles' contains invalid role: Role '/bad' cannot start with a slash"
        );
        assert_eq!(
            refusal(&format!(r#"{multi},"roles":[".."]"#)),
            "'FrameworkInfo.roles' contains invalid role: Role '..' cannot include '..' as a \
             component"
        );
        // An empty list is none; who may have several need not have any.
        for fine in [
            r#""checkpoint":true"#.to_owned(),
            r#""role":"a""#.to_owned(),
            format!(r#"{multi},"roles":[]"#),
            format!(r#"{multi},"roles":["a","b"]"#),
        ] {
            assert_eq!(validate(&info(&fine)), Ok(()), "{fine}");
        }
        for wrong in
            [r#""roles":["a","b"],"role":"c""#.to_owned(), format!(r#"{multi},"roles":["a"],"role":"b""#)]
        {
            assert!(validate(&info(&wrong)).is_err(), "{wrong}");
        }
    }

    /// Upstream: `FrameworkInfoValidationTest.ValidateFrameworkID`.
    #[test]
    fn a_frameworks_id_is_none_or_could_be_the_name_of_a_directory() {
        for good in ["", "a6b0-4711"] {
            assert_eq!(validate(&info(&format!(r#""id":{{"value":"{good}"}}"#))), Ok(()), "{good}");
        }
        for bad in ["a/b", "a/.."] {
            assert!(refusal(&format!(r#""id":{{"value":"{bad}"}}"#)).contains("invalid characters"), "{bad}");
        }
    }

    /// Upstream: `FrameworkInfoValidationTest.ValidateOfferFilters`, `CommonValidationTest.OfferFilters`.
    #[test]
    fn the_least_that_a_framework_wants_to_be_offered_is_an_amount() {
        use v1::offer_filters::{MinAllocatableResources, ResourceQuantities};

        let wanting = |amount: Option<f64>| {
            let amount = amount.map(|value| ("cpus".to_owned(), v1::value::Scalar { value }));
            let quantities = vec![ResourceQuantities { quantities: amount.into_iter().collect() }];
            let minimum = MinAllocatableResources { quantities };
            let filters = v1::OfferFilters { min_allocatable_resources: Some(minimum) };
            let mut info = info(r#""role":"a""#);
            info.offer_filters.insert("a".into(), filters);
            validate(&info).map_err(|error| error.0)
        };
        for fine in [2.0, 0.0, -0.0] {
            assert_eq!(wanting(Some(fine)), Ok(()), "{fine}");
        }
        for (wrong, text) in [
            (-2.0, "Negative values not supported"),
            (f64::INFINITY, "Infinite values not supported"),
            (f64::NEG_INFINITY, "Infinite values not supported"),
            (f64::NAN, "NaN not supported"),
            (f64::MIN_POSITIVE / 2.0, "Subnormal values not supported"),
        ] {
            let text = format!("Invalid resource quantity for 'cpus': {text}");
            assert_eq!(wanting(Some(wrong)), Err(text), "{wrong}");
        }
        let any = v1::OfferFilters { min_allocatable_resources: Some(MinAllocatableResources::default()) };
        for empty in [v1::OfferFilters::default(), any] {
            let mut info = info(r#""role":"a""#);
            info.offer_filters.insert("a".into(), empty);
            assert_eq!(validate(&info), Ok(()));
        }
        let text = "Resource quantities must contain at least one quantity";
        assert_eq!(wanting(None), Err(text.to_owned()));
    }

    /// Upstream: `MasterTest.RejectFrameworkWithInvalidFailoverTimeout`.
    #[test]
    fn a_negative_failover_timeout_is_accepted_as_upstream_does() {
        assert_eq!(validate(&info(r#""failover_timeout":-1"#)), Ok(()));
        assert!(refusal(r#""failover_timeout":1e300"#).contains("is invalid"));
    }

    /// Upstream: `FrameworkInfoValidationTest.ValidateUpdate`.
    #[test]
    fn user_checkpoint_and_principal_cannot_be_changed() {
        let old = info(r#""principal":"p""#);
        let new = FrameworkInfo { principal: Some("q".into()), ..old.clone() };
        assert!(validate_update(&old, &new).is_err());
        let new = FrameworkInfo { role: Some("r".into()), name: "m".into(), ..old.clone() };
        assert_eq!(validate_update(&old, &new), Ok(()));
        let new = FrameworkInfo { checkpoint: Some(true), ..old.clone() };
        assert_eq!(
            validate_update(&old, &new).unwrap_err().0,
            "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from 'false' to 'true'"
        );
        let new = FrameworkInfo { user: "other".into(), ..old.clone() };
        assert_eq!(
            validate_update(&old, &new).unwrap_err().0,
            "Updating 'FrameworkInfo.user' is unsupported; attempted to update from 'u' to 'other'"
        );
        let mut new = FrameworkInfo { user: "other".into(), checkpoint: Some(true), ..old.clone() };
        preserve_immutable(&old, &mut new);
        assert_eq!(new, old);
    }

    #[test]
    fn roles_outside_the_whitelist_and_root_can_be_kept_out() {
        let framework = info(r#""role":"a""#);
        let whitelist = BTreeSet::from(["b".to_owned()]);
        assert_eq!(
            validate_admission(&framework, Some(&whitelist), true).unwrap_err().0,
            "Roles { a } are not present in the master's --roles"
        );
        let root = FrameworkInfo { user: "root".into(), ..framework };
        assert!(validate_admission(&root, None, true).is_ok());
        assert!(validate_admission(&root, None, false).is_err());
    }

    #[test]
    fn only_subscribed_roles_can_be_suppressed() {
        let roles = BTreeSet::from(["a".to_owned()]);
        let suppressed = BTreeSet::from(["b".to_owned()]);
        assert_eq!(
            validate_role_options(&roles, &suppressed, None).unwrap_err().0,
            "Suppressed roles { b } are not contained in the set of roles"
        );
        assert_eq!(validate_role_options(&roles, &roles, None), Ok(()));
    }

    #[test]
    fn only_subscribed_roles_can_have_constraints() {
        let roles = BTreeSet::from(["a".to_owned()]);
        let constraints = |role: &str| OfferConstraints {
            role_constraints: [(role.to_owned(), Default::default())].into_iter().collect(),
        };
        let check = |role| validate_role_options(&roles, &BTreeSet::new(), Some(&constraints(role)));
        assert_eq!(check("a"), Ok(()));
        assert_eq!(
            check("b").unwrap_err().0,
            "Offer constraints specify `role_constraints` for a role 'b' not contained in the set of roles"
        );
    }
}
