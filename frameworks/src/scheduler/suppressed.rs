//! Which roles want no offers now. A subscription names all of them: what SUPPRESS, REVIVE and UPDATE_FRAMEWORK have said
//! is kept for the next one (upstream: `suppressedRoles` in `sched/sched.cpp`). Pure.

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

use super::{Options, driver::typed};

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

    /// What the next subscription names. `options` describe the framework as the subscription has to.
    pub(super) fn subscribe(&mut self, options: &mut Options) -> Vec<String> {
        self.settle(options);
        self.named = self.roles.clone();
        self.roles.iter().cloned().collect()
    }

    /// A call is sent. Tells whether its answer matters here.
    pub(super) fn sent(&mut self, call: &Call) -> bool {
        let matters = is_known(call.r#type());
        if matters {
            self.open.push_back(call.clone());
        }
        matters
    }

    /// The master has answered the first of these calls. A description that it refuses changes nothing. (A SUPPRESS or a
    /// REVIVE that does not fit is dropped without a word.)
    pub(super) fn answered(&mut self, taken: bool, options: &mut Options) {
        if let Some(call) = self.open.pop_front()
            && (taken || call.r#type() != Type::UpdateFramework)
        {
            self.note(call, options);
        }
    }

    /// A call cannot be sent. The next subscription says what it would have said, unless it is a description.
    pub(super) fn unsent(&mut self, call: &Call, options: &mut Options) {
        self.settle(options);
        let r#type = call.r#type();
        if is_known(r#type) && r#type != Type::UpdateFramework {
            self.note(call.clone(), options);
        }
    }

    /// Nobody answers any more: what was said last holds. (If the master would have refused a description, it refuses the
    /// subscription.)
    fn settle(&mut self, options: &mut Options) {
        for call in std::mem::take(&mut self.open) {
            self.note(call, options);
        }
    }

    fn note(&mut self, call: Call, options: &mut Options) {
        match call.r#type() {
            Type::Suppress => {
                let named = call.suppress.unwrap_or_default().roles;
                self.roles.extend(meant(named, &options.framework));
            }
            Type::Revive => {
                let revived = meant(call.revive.unwrap_or_default().roles, &options.framework);
                self.roles.retain(|role| !revived.contains(role));
            }
            Type::UpdateFramework => {
                if let Some(update) = call.update_framework {
                    self.roles = update.suppressed_roles.into_iter().collect();
                    options.framework = update.framework_info;
                    options.offer_constraints = update.offer_constraints;
                }
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

/// Whether a call of that type may change what the next subscription says.
fn is_known(r#type: Type) -> bool {
    matches!(r#type, Type::Suppress | Type::Revive | Type::UpdateFramework)
}

/// The roles that a call is for: all if it names none; none if one is not the framework's, since that voids the call.
fn meant(named: Vec<String>, framework: &FrameworkInfo) -> BTreeSet<String> {
    let own = framework_roles(framework);
    if named.is_empty() {
        return own;
    }
    let named: BTreeSet<String> = named.into_iter().collect();
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

    fn options(framework: FrameworkInfo) -> Options {
        Options::new("127.0.0.1:5050".parse().unwrap(), framework)
    }

    fn suppress(roles: &[&str]) -> Call {
        Call { suppress: Some(call::Suppress { roles: strings(roles) }), ..typed(Type::Suppress) }
    }

    fn revive(roles: &[&str]) -> Call {
        Call { revive: Some(call::Revive { roles: strings(roles) }), ..typed(Type::Revive) }
    }

    fn describe(roles: &[&str], suppressed: &[&str]) -> Call {
        let update = call::UpdateFramework {
            framework_info: framework(roles),
            suppressed_roles: strings(suppressed),
            ..Default::default()
        };
        Call { update_framework: Some(update), ..typed(Type::UpdateFramework) }
    }

    #[test]
    fn a_subscription_names_what_was_said_since() {
        let mut options = options(framework(&["a", "b"]));
        let mut suppressed = Suppressed::new(&strings(&["b"]));
        for (call, roles) in [
            (suppress(&["a"]), &["a", "b"][..]),
            (revive(&["b"]), &["a"][..]),
            (revive(&[]), &[][..]),
            (suppress(&[]), &["a", "b"][..]),
            // A role that is not its own voids the call.
            (revive(&["a", "c"]), &["a", "b"][..]),
            (typed(Type::Reconcile), &["a", "b"][..]),
            (describe(&["a", "d"], &["d"]), &["d"][..]),
            (suppress(&[]), &["a", "d"][..]),
        ] {
            if suppressed.sent(&call) {
                suppressed.answered(true, &mut options);
            }
            assert_eq!(suppressed.subscribe(&mut options), roles, "{call:?}");
        }
        assert_eq!(options.framework, framework(&["a", "d"]));
    }

    #[test]
    fn a_framework_of_one_role_suppresses_that() {
        let mut options = options(FrameworkInfo::default());
        let mut suppressed = Suppressed::new(&[]);
        suppressed.unsent(&suppress(&[]), &mut options);
        assert_eq!(suppressed.subscribe(&mut options), ["*"]);
    }

    /// However far the master has come with the answers.
    #[test]
    fn a_new_role_is_revived_with_its_description() {
        for answers in 0..3 {
            let mut options = options(framework(&["a"]));
            let mut suppressed = Suppressed::new(&[]);
            assert!(suppressed.sent(&describe(&["a", "new"], &["a", "new"])));
            assert!(suppressed.sent(&revive(&["new"])));
            (0..answers).for_each(|_| suppressed.answered(true, &mut options));
            assert_eq!(suppressed.subscribe(&mut options), ["a"], "{answers}");
            assert_eq!(options.framework, framework(&["a", "new"]), "{answers}");
        }
    }

    #[test]
    fn a_description_that_is_refused_or_not_sent_changes_nothing() {
        let mut options = options(framework(&["a", "b"]));
        let mut suppressed = Suppressed::new(&[]);
        suppressed.sent(&suppress(&["a"]));
        suppressed.sent(&describe(&["b", "c"], &[]));
        suppressed.sent(&suppress(&["c"]));
        suppressed.answered(true, &mut options);
        suppressed.answered(false, &mut options);
        suppressed.unsent(&describe(&["b", "c"], &[]), &mut options);
        assert_eq!(suppressed.subscribe(&mut options), ["a"]);
        assert_eq!(options.framework, framework(&["a", "b"]));
    }

    #[test]
    fn what_is_not_sent_comes_after_what_is_not_answered() {
        let mut options = options(framework(&["a"]));
        let mut suppressed = Suppressed::new(&[]);
        suppressed.sent(&suppress(&[]));
        suppressed.unsent(&revive(&[]), &mut options);
        assert!(suppressed.subscribe(&mut options).is_empty());
    }

    /// The master says what is wrong with it.
    #[test]
    fn what_a_framework_begins_with_is_not_changed() {
        assert_eq!(Suppressed::new(&strings(&["c"])).subscribe(&mut options(framework(&["a"]))), ["c"]);
    }

    #[test]
    fn what_was_said_while_subscribing_is_said_again() {
        let mut options = options(framework(&["a", "b"]));
        let mut suppressed = Suppressed::new(&strings(&["b"]));
        suppressed.subscribe(&mut options);
        assert!(suppressed.missed().is_empty());
        suppressed.unsent(&suppress(&["a"]), &mut options);
        suppressed.unsent(&revive(&["b"]), &mut options);
        assert_eq!(suppressed.missed(), [suppress(&["a"]), revive(&["b"])]);
    }
}
