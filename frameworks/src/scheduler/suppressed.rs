//! Which roles want no offers now. A subscription names all of them: what SUPPRESS and REVIVE have said is kept for the
//! next one (upstream: `suppressedRoles` in `sched/sched.cpp`). Pure.

use std::collections::{BTreeSet, VecDeque};

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
    /// Those that the last subscription has named.
    named: BTreeSet<String>,
    /// Calls that the master has not answered. Which roles they mean hangs on the descriptions among them.
    open: VecDeque<Call>,
}

impl Suppressed {
    /// Those that a framework begins with.
    pub(super) fn new(roles: &[String]) -> Self {
        Suppressed { roles: roles.iter().cloned().collect(), named: BTreeSet::new(), open: VecDeque::new() }
    }

    /// What the next subscription names.
    pub(super) fn subscribe(&mut self, framework: &FrameworkInfo) -> Vec<String> {
        self.settle(framework);
        self.named = self.roles.clone();
        self.roles.iter().cloned().collect()
    }

    /// A call is sent. Tells whether its answer matters here.
    pub(super) fn sent(&mut self, call: &Call) -> bool {
        let matters = matches!(call.r#type(), Type::Suppress | Type::Revive | Type::UpdateFramework);
        if matters {
            self.open.push_back(call.clone());
        }
        matters
    }

    /// The master has answered the first of these calls; `framework` is as it knows it now. It drops a SUPPRESS or a
    /// REVIVE without a word if it does not fit.
    pub(super) fn answered(&mut self, taken: bool, framework: &FrameworkInfo) {
        if let Some(call) = self.open.pop_front()
            && (taken || !is_description(&call))
        {
            self.note(&call, framework);
        }
    }

    /// A call cannot be sent. The next subscription says what it would have said, unless it is a description.
    pub(super) fn unsent(&mut self, call: &Call, framework: &FrameworkInfo) {
        self.settle(framework);
        if !is_description(call) {
            self.note(call, framework);
        }
    }

    /// Nobody answers any more. A description counts as not taken.
    fn settle(&mut self, framework: &FrameworkInfo) {
        for call in std::mem::take(&mut self.open) {
            if !is_description(&call) {
                self.note(&call, framework);
            }
        }
    }

    fn note(&mut self, call: &Call, framework: &FrameworkInfo) {
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
            _ => {}
        }
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

fn is_description(call: &Call) -> bool {
    call.r#type() == Type::UpdateFramework
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

    fn describe(suppressed: &[&str]) -> Call {
        let update = call::UpdateFramework { suppressed_roles: strings(suppressed), ..Default::default() };
        Call { update_framework: Some(update), ..typed(Type::UpdateFramework) }
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
    fn a_new_role_is_revived_before_the_master_has_answered() {
        let (old, new) = (framework(&["a"]), framework(&["a", "new"]));
        let said = || {
            let mut suppressed = Suppressed::new(&[]);
            assert!(suppressed.sent(&describe(&["a", "new"])) && suppressed.sent(&revive(&["new"])));
            assert!(!suppressed.sent(&typed(Type::Reconcile)));
            suppressed
        };
        let mut taken = said();
        taken.answered(true, &new);
        taken.answered(true, &new);
        assert_eq!(taken.subscribe(&new), ["a"]);
        let mut half_answered = said();
        half_answered.answered(true, &new);
        assert_eq!(half_answered.subscribe(&new), ["a"]);
        let mut refused = said();
        refused.answered(false, &old);
        refused.answered(true, &old);
        assert!(refused.subscribe(&old).is_empty());
        assert!(said().subscribe(&old).is_empty(), "no answer");
    }

    #[test]
    fn a_description_that_is_refused_or_lost_leaves_them_as_they_were() {
        let framework = framework(&["a", "b"]);
        let mut suppressed = Suppressed::new(&[]);
        suppressed.sent(&suppress(&["a"]));
        suppressed.sent(&describe(&["b"]));
        suppressed.answered(true, &framework);
        suppressed.answered(false, &framework);
        assert_eq!(suppressed.subscribe(&framework), ["a"]);
        suppressed.unsent(&describe(&["b"]), &framework);
        suppressed.unsent(&suppress(&["b"]), &framework);
        assert_eq!(suppressed.subscribe(&framework), ["a", "b"]);
    }

    /// What was said last holds, also if the master has not answered what was said before.
    #[test]
    fn what_is_not_sent_comes_after_what_is_not_answered() {
        let framework = framework(&["a"]);
        let mut suppressed = Suppressed::new(&[]);
        suppressed.sent(&suppress(&[]));
        suppressed.unsent(&revive(&[]), &framework);
        assert!(suppressed.subscribe(&framework).is_empty());
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
