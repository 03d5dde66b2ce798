//! Weights of roles.

use mesos::internal::registry;
use mesos::v1;

use super::super::entries::Entries;

/// Some roles have other weights from now on.
pub(super) fn update(weights: Vec<v1::WeightInfo>, entries: &mut Entries) -> bool {
    for info in weights {
        entries.put_weight(info.role().to_owned(), registry::Weight { info });
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(role: &str, weight: f64) -> v1::WeightInfo {
        v1::WeightInfo { role: Some(role.into()), weight }
    }

    /// `RegistrarTest.UpdateWeights`.
    #[test]
    fn the_later_weight_of_a_role_holds_and_other_roles_keep_theirs() {
        let mut entries = Entries::default();
        assert!(update(vec![weight("a", 1.0), weight("b", 5.0)], &mut entries));
        assert!(update(vec![weight("a", 2.0)], &mut entries));
        let weights: Vec<_> = entries.to_registry().weights.into_iter().map(|entry| entry.info).collect();
        assert_eq!(weights, [weight("a", 2.0), weight("b", 5.0)]);
    }
}
