//! Whether a quota makes sense (upstream: `master/quota.cpp`).

use std::collections::{BTreeMap, BTreeSet};
use std::num::FpCategory;

use allocator::Quota;
use mesos::v1::quota::QuotaConfig;
use mesos::v1::value::{self, Scalar};
use mesos::{roles, v1};

use super::{Checked, Invalid, refuse_if, refuse_if_with};

/// An exabyte in megabytes: the most memory or disk of a quota.
const MAX_MEGABYTES: u64 = 1024 * 1024 * 1024 * 1024;
/// A trillion: the most of everything else.
const MAX_OTHER: u64 = 1_000_000_000_000;

/// Checks what UPDATE_QUOTA sets for one role: the role, each amount, and that no more is guaranteed than the limits
/// allow.
pub fn config(config: &QuotaConfig) -> Checked {
    role(&config.role).map_err(|error| error.within("Invalid 'QuotaConfig.role'"))?;
    let sets = [("guarantees", "guarantee", &config.guarantees), ("limits", "limit", &config.limits)];
    for (field, _, amounts) in sets {
        amounts.keys().try_for_each(|name| super::name("The resource name", name))?;
        amounts
            .iter()
            .try_for_each(|(name, amount)| not_too_large(name, amount))
            .map_err(|error| error.within(&format!("Invalid 'QuotaConfig.{field}'")))?;
    }
    for (_, kind, amounts) in sets {
        for (name, amount) in amounts {
            let context = || format!("Invalid {kind} configuration {{'{name}': {}}}", shown(amount));
            number(amount.value).map_err(|error| error.within(&context()))?;
        }
    }
    let quota = Quota::from(config);
    refuse_if_with(!quota.limits.contains_quantities(&quota.guarantees), || {
        format!(
            "'QuotaConfig.guarantees' {} is not contained within the 'QuotaConfig.limits' {}",
            listed(&config.guarantees),
            listed(&config.limits)
        )
    })
}

/// Checks what SET_QUOTA guarantees to a role: unreserved scalars, each name once. The resources are valid.
pub fn guarantee(name: &str, guarantee: &[v1::Resource]) -> Checked {
    role(name).map_err(|error| error.within("QuotaInfo with invalid role"))?;
    refuse_if(guarantee.is_empty(), "QuotaInfo with empty 'guarantee'")?;
    let mut names = BTreeSet::new();
    for resource in guarantee {
        refuse_if(!resource.reservations.is_empty(), "QuotaInfo must not contain any ReservationInfo")?;
        refuse_if(resource.disk.is_some(), "QuotaInfo must not contain DiskInfo")?;
        refuse_if(resource.revocable.is_some(), "QuotaInfo must not contain RevocableInfo")?;
        refuse_if(
            resource.r#type() != value::Type::Scalar,
            "QuotaInfo must not include non-scalar resources",
        )?;
        refuse_if_with(!names.insert(&resource.name), || {
            format!("QuotaInfo contains duplicate resource name '{}'", resource.name)
        })?;
    }
    Ok(())
}

fn role(name: &str) -> Checked {
    super::name("The role", name)?;
    roles::validate(name).map_err(|error| Invalid(error.to_string()))
}

/// Amounts are fixed-point numbers, which have an end; this is far from it.
fn not_too_large(name: &str, amount: &Scalar) -> Checked {
    let (most, said) = match name {
        "mem" | "disk" => (MAX_MEGABYTES, "1 exabyte"),
        _ => (MAX_OTHER, "1 trillion"),
    };
    refuse_if_with(amount.value > most as f64, || {
        format!(
            "{{'{name}': {}}} is invalid: values greater than {said} ({most}) are not supported",
            shown(amount)
        )
    })
}

/// The rule for numbers that operators choose (upstream: `validateInputScalarValue`).
fn number(value: f64) -> Checked {
    match value.classify() {
        FpCategory::Infinite => refuse_if(true, "Infinite values not supported"),
        FpCategory::Nan => refuse_if(true, "NaN not supported"),
        FpCategory::Subnormal => refuse_if(true, "Subnormal values not supported"),
        FpCategory::Zero => Ok(()),
        FpCategory::Normal => refuse_if(value < 0.0, "Negative values not supported"),
    }
}

/// A number as it was sent: an infinite one is shown as such.
fn shown(amount: &Scalar) -> String {
    if amount.value.is_finite() { mesos::Scalar::from(amount).to_string() } else { amount.value.to_string() }
}

/// `{ cpus: 1, mem: 32 }`.
fn listed(amounts: &BTreeMap<String, Scalar>) -> String {
    let items: Vec<String> =
        amounts.iter().map(|(name, amount)| format!("{name}: {}", shown(amount))).collect();
    super::listed(items.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(text: &[(&str, f64)]) -> BTreeMap<String, Scalar> {
        text.iter().map(|(name, value)| ((*name).to_owned(), Scalar { value: *value })).collect()
    }

    fn checked(role: &str, guarantees: &[(&str, f64)], limits: &[(&str, f64)]) -> String {
        let role = role.to_owned();
        let given = QuotaConfig { role, guarantees: amounts(guarantees), limits: amounts(limits) };
        config(&given).map_or_else(|error| error.0, |()| "fine".into())
    }

    /// Upstream: `UpdateQuotaTooLarge`, `MasterCallValidationTest.UpdateQuota`, and `validate` in `quota.cpp`.
    #[test]
    fn a_configuration_is_refused_for_what_is_wrong_with_it() {
        assert_eq!(checked("r", &[("cpus", 1.0)], &[("cpus", 1.0)]), "fine");
        assert_eq!(checked("r", &[("cpus", 1.0)], &[("mem", 1.0)]), "fine");
        assert_eq!(checked("r", &[], &[("cpus", 0.0)]), "fine");
        assert_eq!(checked("r", &[], &[]), "fine");
        assert_eq!(checked("*", &[], &[]), "fine");
        let most =
            [("disk", MAX_MEGABYTES as f64), ("mem", MAX_MEGABYTES as f64), ("ports", MAX_OTHER as f64)];
        assert_eq!(checked("r", &most, &most), "fine");
        assert_eq!(
            checked("r", &[("cpus", 1.0), ("disk", 2.0)], &[("cpus", 1.0), ("gpus", 1.0)]),
            "fine",
            "each resource is compared on its own"
        );
        for (role, guarantees, limits, text) in [
            ("", vec![], vec![], "Invalid 'QuotaConfig.role': Role names cannot be the empty string"),
            (
                "r",
                vec![("cpus", 3.0)],
                vec![("cpus", 2.0)],
                "'QuotaConfig.guarantees' { cpus: 3 } is not contained within the 'QuotaConfig.limits' { cpus: 2 }",
            ),
            (
                "r",
                vec![("cpus", -1.0)],
                vec![],
                "Invalid guarantee configuration {'cpus': -1}: Negative values not supported",
            ),
            (
                "r",
                vec![],
                vec![("cpus", f64::NAN)],
                "Invalid limit configuration {'cpus': NaN}: NaN not supported",
            ),
            (
                "r",
                vec![("mem", 1.2e12)],
                vec![],
                "Invalid 'QuotaConfig.guarantees': {'mem': 1200000000000} is invalid: values greater than 1 exabyte \
                 (1099511627776) are not supported",
            ),
            (
                "r",
                vec![],
                vec![("cpus", f64::INFINITY)],
                "Invalid 'QuotaConfig.limits': {'cpus': inf} is invalid: values greater than 1 trillion \
                 (1000000000000) are not supported",
            ),
        ] {
            assert_eq!(checked(role, &guarantees, &limits), text);
        }
    }

    /// Upstream: `InvalidSetRequest`, `SetRequestWithInvalidData`.
    #[test]
    fn an_older_request_guarantees_plain_scalars_once_each() {
        let parsed = |text: &str| mesos::Resources::parse(text, "*").unwrap().to_protos();
        let refused = |role: &str, guaranteed: &[v1::Resource]| guarantee(role, guaranteed).unwrap_err().0;
        assert_eq!(guarantee("r", &parsed("cpus:1;mem:5")), Ok(()));
        assert_eq!(
            refused("", &parsed("cpus:1")),
            "QuotaInfo with invalid role: Role names cannot be the empty string"
        );
        assert_eq!(refused("r", &[]), "QuotaInfo with empty 'guarantee'");
        assert_eq!(refused("r", &parsed("ports:[1-2]")), "QuotaInfo must not include non-scalar resources");
        assert_eq!(refused("r", &parsed("cpus(other):1")), "QuotaInfo must not contain any ReservationInfo");
        let twice = [parsed("cpus:1"), parsed("cpus:2")].concat();
        assert_eq!(refused("r", &twice), "QuotaInfo contains duplicate resource name 'cpus'");
        let mut revocable = parsed("cpus:1");
        revocable[0].revocable = Some(v1::resource::RevocableInfo::default());
        assert_eq!(refused("r", &revocable), "QuotaInfo must not contain RevocableInfo");
        revocable[0].disk = Some(Box::default());
        assert_eq!(refused("r", &revocable), "QuotaInfo must not contain DiskInfo");
    }
}
