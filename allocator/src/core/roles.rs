//! The tree of roles: weights, quotas, reservations and what is consumed.
//!
//! A role is in the tree while anything refers to it: a framework, a reservation, a weight, a quota, or
//! a role below it (upstream: `RoleTree` in `hierarchical.hpp`). The sums of a role include those of
//! all roles below it. The order of roles is the sorter's business, not the tree's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::amounts::{Amounts, Limits};
use super::ids::{RoleIdx, Slab};
use super::sorter::{DEFAULT_WEIGHT, Sorter};

/// What a role is guaranteed and what it may have at most. The default guarantees nothing and limits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QuotaAmounts {
    /// Held back for the role as long as it has less.
    pub(crate) guarantees: Amounts,
    /// Never exceeded by what is allocated to the role.
    pub(crate) limits: Limits,
}

impl QuotaAmounts {
    fn is_default(&self) -> bool {
        self.guarantees.is_zero() && self.limits.is_empty()
    }
}

/// One role.
#[derive(Debug)]
pub(crate) struct Role {
    /// `eng/search`.
    pub(crate) path: Arc<str>,
    parent: Option<RoleIdx>,
    /// The top-level role above it, or itself.
    top: Option<RoleIdx>,
    children: usize,
    weight: f64,
    quota: QuotaAmounts,
    /// Its members: the frameworks that subscribed to it, or hold something of it.
    pub(crate) members: Sorter,
    /// How many of them have minimums of their own.
    pub(crate) own_minimums: usize,
    /// Reserved scalars on all agents, here and below, allocated or not.
    reserved: Amounts,
    /// Unreserved irrevocable scalars that are offered or allocated, here and below.
    offered_or_allocated: Amounts,
    /// Those of them that tasks use.
    allocated: Amounts,
}

impl Role {
    pub(crate) fn quota(&self) -> &QuotaAmounts {
        &self.quota
    }

    pub(crate) fn is_nested(&self) -> bool {
        self.parent.is_some()
    }

    pub(crate) fn has_quota(&self) -> bool {
        !self.quota.is_default()
    }

    pub(crate) fn weight(&self) -> f64 {
        self.weight
    }

    /// What counts against the quota: reservations whether allocated or not, and what is taken of the
    /// unreserved (upstream: `quotaOfferedOrConsumed`).
    pub(crate) fn offered_or_consumed(&self) -> Amounts {
        self.reserved.clone() + &self.offered_or_allocated
    }

    /// The same, without what is only offered.
    pub(crate) fn consumed(&self) -> Amounts {
        self.reserved.clone() + &self.allocated
    }

    /// What is still missing to the guarantees.
    pub(crate) fn missing(&self) -> Amounts {
        self.quota.guarantees.minus(&self.offered_or_consumed())
    }

    fn is_idle(&self) -> bool {
        self.children == 0
            && self.members.is_empty()
            && self.reserved.is_zero()
            && self.quota.is_default()
            && self.weight == DEFAULT_WEIGHT
    }
}

/// All roles. See the module.
#[derive(Debug)]
pub(crate) struct Roles {
    roles: Slab<RoleIdx, Role>,
    by_path: BTreeMap<Arc<str>, RoleIdx>,
    /// How many roles have a guarantee: none in most clusters, and the first stage is not needed then.
    guaranteed: usize,
    /// How many have a limit.
    limited: usize,
}

impl Roles {
    pub(crate) fn new() -> Self {
        Roles { roles: Slab::new(), by_path: BTreeMap::new(), guaranteed: 0, limited: 0 }
    }

    pub(crate) fn find(&self, path: &str) -> Option<RoleIdx> {
        self.by_path.get(path).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoleIdx, &Role)> {
        self.roles.iter()
    }

    /// The role of a path, put into the tree with all roles above it if it is not there.
    ///
    /// Whoever asks makes it referred to at once, or calls [`Roles::release`].
    pub(crate) fn intern(&mut self, path: &str) -> RoleIdx {
        if let Some(role) = self.find(path) {
            return role;
        }
        let parent = path.rsplit_once('/').map(|(above, _)| self.intern(above));
        let top = parent.map(|parent| self.top(parent));
        if let Some(parent) = parent {
            self.roles[parent].children += 1;
        }
        let path: Arc<str> = path.into();
        let role = self.roles.insert(Role {
            path: Arc::clone(&path),
            parent,
            top,
            children: 0,
            weight: DEFAULT_WEIGHT,
            quota: QuotaAmounts::default(),
            members: Sorter::new(),
            own_minimums: 0,
            reserved: Amounts::ZERO,
            offered_or_allocated: Amounts::ZERO,
            allocated: Amounts::ZERO,
        });
        self.by_path.insert(path, role);
        role
    }

    /// Takes a role out of the tree if nothing refers to it, and then those above it likewise.
    pub(crate) fn release(&mut self, role: RoleIdx) {
        let mut current = Some(role);
        while let Some(role) = current {
            if !self.roles.get(role).is_some_and(Role::is_idle) {
                return;
            }
            let Some(removed) = self.roles.remove(role) else { return };
            self.by_path.remove(&removed.path);
            if let Some(parent) = removed.parent {
                self.roles[parent].children -= 1;
            }
            current = removed.parent;
        }
    }

    pub(crate) fn set_weight(&mut self, path: &str, weight: f64) {
        let role = self.intern(path);
        self.roles[role].weight = weight;
        self.release(role);
    }

    /// Sets a role's quota. Without one the role may be released.
    pub(crate) fn set_quota(&mut self, role: RoleIdx, quota: QuotaAmounts) {
        let old = std::mem::replace(&mut self.roles[role].quota, quota);
        let new = &self.roles[role].quota;
        let guarantees = |quota: &QuotaAmounts| usize::from(!quota.guarantees.is_zero());
        self.guaranteed = self.guaranteed - guarantees(&old) + guarantees(new);
        let limits = |quota: &QuotaAmounts| usize::from(!quota.limits.is_empty());
        self.limited = self.limited - limits(&old) + limits(new);
    }

    /// Whether any role has a guarantee.
    pub(crate) fn any_guarantee(&self) -> bool {
        self.guaranteed > 0
    }

    /// Whether any role has a limit.
    pub(crate) fn any_limit(&self) -> bool {
        self.limited > 0
    }

    /// The top-level role of a role.
    pub(crate) fn top(&self, role: RoleIdx) -> RoleIdx {
        self.roles[role].top.unwrap_or(role)
    }

    /// What must be held back so that every guarantee can still be met: the sum of what is missing to
    /// them. Quotas stand on top-level roles only, so nothing is counted twice.
    pub(crate) fn required_headroom(&self) -> Amounts {
        let mut required = Amounts::ZERO;
        for (_, role) in self.roles.iter().filter(|(_, role)| role.parent.is_none()) {
            required += &role.missing();
        }
        required
    }

    /// Counts a reservation for a role, which is put into the tree if it is not there.
    pub(crate) fn reserve(&mut self, path: &str, amounts: &Amounts) -> RoleIdx {
        let role = self.intern(path);
        self.upwards(role, |role| role.reserved += amounts);
        role
    }

    /// Counts a reservation that is gone. The role stays until it is released.
    pub(crate) fn unreserve(&mut self, role: RoleIdx, amounts: &Amounts) {
        self.upwards(role, |role| role.reserved -= amounts);
    }

    pub(crate) fn take(&mut self, role: RoleIdx, loose: &Amounts) {
        self.upwards(role, |role| role.offered_or_allocated += loose);
    }

    pub(crate) fn give_back(&mut self, role: RoleIdx, loose: &Amounts) {
        self.upwards(role, |role| role.offered_or_allocated -= loose);
    }

    pub(crate) fn allocate(&mut self, role: RoleIdx, loose: &Amounts) {
        self.upwards(role, |role| role.allocated += loose);
    }

    pub(crate) fn unallocate(&mut self, role: RoleIdx, loose: &Amounts) {
        self.upwards(role, |role| role.allocated -= loose);
    }

    fn upwards(&mut self, role: RoleIdx, change: impl Fn(&mut Role)) {
        let mut current = Some(role);
        while let Some(role) = current {
            let role = &mut self.roles[role];
            change(role);
            current = role.parent;
        }
    }
}

impl std::ops::Index<RoleIdx> for Roles {
    type Output = Role;
    fn index(&self, role: RoleIdx) -> &Role {
        &self.roles[role]
    }
}

impl std::ops::IndexMut<RoleIdx> for Roles {
    fn index_mut(&mut self, role: RoleIdx) -> &mut Role {
        &mut self.roles[role]
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::{Index, NameIdx};
    use super::*;

    fn cpus(amount: i64) -> Amounts {
        let mut result = Amounts::ZERO;
        result.set(NameIdx::from_position(0), amount);
        result
    }

    fn guarantee(amount: i64) -> QuotaAmounts {
        QuotaAmounts { guarantees: cpus(amount), limits: Limits::default() }
    }

    fn set_quota(roles: &mut Roles, path: &str, quota: QuotaAmounts) {
        let role = roles.intern(path);
        roles.set_quota(role, quota);
        roles.release(role);
    }

    #[test]
    fn a_role_stays_while_anything_refers_to_it() {
        let mut roles = Roles::new();
        roles.set_weight("a/b", 2.0);
        assert!(roles.find("a").is_some() && roles.find("a/b").is_some());
        roles.reserve("a/b", &cpus(1));
        roles.set_weight("a/b", 1.0);
        assert!(roles.find("a/b").is_some());
        let role = roles.find("a/b").unwrap();
        roles.unreserve(role, &cpus(1));
        roles.release(role);
        assert!(roles.find("a").is_none() && roles.find("a/b").is_none());
        assert_eq!(roles.iter().count(), 0);
    }

    #[test]
    fn what_is_consumed_below_a_role_counts_for_it() {
        let mut roles = Roles::new();
        set_quota(&mut roles, "a", guarantee(10));
        roles.reserve("a/b", &cpus(3));
        let c = roles.intern("a/c");
        roles.take(c, &cpus(4));
        let a = roles.find("a").unwrap();
        assert_eq!(roles[a].offered_or_consumed(), cpus(7));
        assert_eq!(roles[a].consumed(), cpus(3));
        assert_eq!(roles[a].missing(), cpus(3));
        roles.give_back(c, &cpus(4));
        assert_eq!(roles[a].missing(), cpus(7));
    }

    #[test]
    fn the_required_headroom_is_what_is_missing_to_all_guarantees() {
        let mut roles = Roles::new();
        assert!(!roles.any_guarantee());
        set_quota(&mut roles, "a", guarantee(10));
        set_quota(&mut roles, "b", guarantee(5));
        roles.reserve("b", &cpus(8));
        assert_eq!(roles.required_headroom(), cpus(10));
        set_quota(&mut roles, "a", QuotaAmounts::default());
        assert!(roles.any_guarantee());
        assert_eq!(roles.required_headroom(), Amounts::ZERO);
    }
}
