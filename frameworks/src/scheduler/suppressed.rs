//! Which roles want no offers now. A subscription names all of them: what SUPPRESS and REVIVE have said is kept for the
//! next one (upstream: `suppressedRoles` in `sched/sched.cpp`). Pure.

use std::collections::BTreeSet;

use mesos::{
    tasks::framework_roles,
    v1::{
        FrameworkInfo,
        scheduler::{
            Call,
            call::{self, Type},
        },
    },
};

use super::driver::typed;

/// The roles that want no offers.
pub(super) struct Suppressed {
    roles: BTreeSet<String>,
    /// They are not what the framework began with.
    changed: bool,
    /// Those that the last subscription has named.
    named: BTreeSet<String>,
}

impl Suppressed {
    /// Those that a framework begins with.
    pub(super) fn new(roles: &[String]) -> Self {
        Suppressed { roles: roles.iter().cloned().collect(), changed: false, named: BTreeSet::new() }
    }

    /// What the next subscription names.
    pub(super) fn subscribe(&mut self, framework: &FrameworkInfo) -> Vec<String> {
        if self.changed {
            // A new description may have been refused, or lost. A role that is not its own voids a subscription.
            let own = framework_roles(framework);
            self.roles.retain(|role| own.contains(role));
        }
        self.named = self.roles.clone();
        self.roles.iter().cloned().collect()
    }

    /// Takes notice of a call, whether it reaches a master or not.
    pub(super) fn note(&mut self, call: &Call, framework: &FrameworkInfo) {
        match call.r#type() {
            Type::Suppress => {
                let named = call.suppress.as_ref().map_or(&[][..], |suppress| suppress.roles.as_slice());
                self.roles.extend(meant(named, framework));
            }
            Type::Revive => {
                let named = call.revive.as_ref().map_or(&[][..], |revive| revive.roles.as_slice());
                let revived = meant(named, framework);
                self.roles.retain(|role| !revived.contains(role));
            }
            Type::UpdateFramework => {
                let update = call.update_framework.as_ref();
                self.roles = update.into_iter().flat_map(|update| update.suppressed_roles.clone()).collect();
            }
            _ => return,
        }
        self.changed = true;
    }

    /// What was said since the last subscription was sent: it could not name that.
    pub(super) fn missed(&self) -> Vec<Call> {
        let suppressed: Vec<String> = self.roles.difference(&self.named).cloned().collect();
        let revived: Vec<String> = self.named.difference(&self.roles).cloned().collect();
        let suppress = (!suppressed.is_empty())
            .then(|| Call { suppress: Some(call::Suppress { roles: suppressed }), ..typed(Type::Suppress) });
        let revive = (!revived.is_empty())
            .then(|| Call { revive: Some(call::Revive { roles: revived }), ..typed(Type::Revive) });
        suppress.into_iter().chain(revive).collect()
    }
}

/// The roles that a call is for: all if it names none; none if one is not the framework's, since that voids the call.
fn meant(named: &[String], framework: &FrameworkInfo) -> BTreeSet<String> {
    let own = framework_roles(framework);
    let named: BTreeSet<String> = named.iter().cloned().collect();
    if named.is_empty() {
        return own;
    }
    if named.is_subset(&own) { named } else { BTreeSet::new() }
}

#[cfg(test)]
mod tests {
    use mesos::v1::framework_info::{Capability, capability};

    use super::*;

    fn strings(roles: &[&str]) -> Vec<String> {
        roles.iter().map(ToString::to_string).collect()
    }

    fn framework(roles: &[&str]) -> FrameworkInfo {
        let multi_role = Capability { r#type: Some(capability::Type::MultiRole.into()) };
        FrameworkInfo { roles: strings(roles), capabilities: vec![multi_role], ..Default::default() }
    }

    fn suppress(roles: &[&str]) -> Call {
        Call { suppress: Some(call::Suppress { roles: strings(roles) }), ..typed(Type::Suppress) }
    }

    fn revive(roles: &[&str]) -> Call {
        Call { revive: Some(call::Revive { roles: strings(roles) }), ..typed(Type::Revive) }
    }

    #[test]
    fn a_subscription_names_what_was_said_since() {
        let framework = framework(&["a", "b"]);
        let mut suppressed = Suppressed::new(&strings(&["b"]));
        for (call, roles) in [
            (suppress(&["a"]), &["a", "b"][..]),
            (revive(&["b"]), &["a"][..]),
            (revive(&[]), &[][..]),
            (suppress(&[]), &["a", "b"][..]),
            // A role that is not its own voids the call.
            (revive(&["a", "c"]), &["a", "b"][..]),
            (typed(Type::Reconcile), &["a", "b"][..]),
        ] {
            suppressed.note(&call, &framework);
            assert_eq!(suppressed.subscribe(&framework), roles, "{call:?}");
        }
    }

    #[test]
    fn a_framework_of_one_role_suppresses_that() {
        let framework = FrameworkInfo::default();
        let mut suppressed = Suppressed::new(&[]);
        suppressed.note(&suppress(&[]), &framework);
        assert_eq!(suppressed.subscribe(&framework), ["*"]);
    }

    #[test]
    fn a_description_replaces_them_as_far_as_the_framework_has_the_roles() {
        let framework = framework(&["a", "b"]);
        let mut suppressed = Suppressed::new(&strings(&["a"]));
        let update = call::UpdateFramework { suppressed_roles: strings(&["b", "new"]), ..Default::default() };
        suppressed.note(&Call { update_framework: Some(update), ..typed(Type::UpdateFramework) }, &framework);
        assert_eq!(suppressed.subscribe(&framework), ["b"]);
    }

    /// The master says what is wrong with it.
    #[test]
    fn what_a_framework_begins_with_is_not_changed() {
        assert_eq!(Suppressed::new(&strings(&["c"])).subscribe(&framework(&["a"])), ["c"]);
    }

    #[test]
    fn what_was_said_while_subscribing_is_said_again() {
        let framework = framework(&["a", "b"]);
        let mut suppressed = Suppressed::new(&strings(&["b"]));
        suppressed.subscribe(&framework);
        assert!(suppressed.missed().is_empty());
        suppressed.note(&suppress(&["a"]), &framework);
        suppressed.note(&revive(&["b"]), &framework);
        assert_eq!(suppressed.missed(), [suppress(&["a"]), revive(&["b"])]);
    }
}
