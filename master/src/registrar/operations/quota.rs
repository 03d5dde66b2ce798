//! Quotas of roles.
//!
//! A master that knows nothing of limits would let roles have more than theirs. So the registry demands the capability
//! QUOTA_V2 of every later master as long as any role has a quota.

use allocator::Quota;
use mesos::v1::master_info::capability::Type::QuotaV2;
use mesos::v1::quota::QuotaConfig;

use super::super::entries::Entries;

/// Some roles have other quotas from now on, or none.
pub(super) fn update(configs: Vec<QuotaConfig>, entries: &mut Entries) -> bool {
    for config in configs {
        if Quota::from(&config) == Quota::default() {
            entries.remove_quota(&config.role);
        } else {
            entries.put_quota(config);
        }
    }
    entries.demand(QuotaV2, entries.has_quotas());
    true
}

#[cfg(test)]
mod tests {
    use mesos::v1;

    use super::super::testing::demands;
    use super::*;

    fn config(role: &str, cpus: Option<f64>) -> QuotaConfig {
        QuotaConfig {
            role: role.into(),
            limits: cpus.map(|value| ("cpus".to_owned(), v1::value::Scalar { value })).into_iter().collect(),
            ..Default::default()
        }
    }

    /// `RegistrarTest.UpdateQuota`.
    #[test]
    fn a_quota_of_nothing_is_no_quota() {
        let mut entries = Entries::default();
        // A limit of 0 is one: the role may have none.
        for cpus in [2.0, 0.0] {
            assert!(update(vec![config("r", Some(cpus))], &mut entries));
            assert_eq!(entries.to_registry().quota_configs, [config("r", Some(cpus))]);
            assert_eq!(demands(&entries), ["QUOTA_V2"]);
        }
        assert!(update(vec![config("r", None)], &mut entries));
        assert!(!entries.has_quotas() && demands(&entries).is_empty());
    }

    /// `RegistrarTest.UpdateQuota`.
    #[test]
    fn roles_that_are_not_named_keep_their_quotas() {
        let mut entries = Entries::default();
        assert!(update(vec![config("a", Some(1.0)), config("b", Some(2.0))], &mut entries));
        assert!(update(vec![config("a", None), config("c", Some(3.0))], &mut entries));
        let left = entries.to_registry().quota_configs;
        assert_eq!(left, [config("b", Some(2.0)), config("c", Some(3.0))]);
        assert_eq!(demands(&entries), ["QUOTA_V2"]);
    }
}
