//! `/roles`: who shares the cluster, with which weight and quota, and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use libprocess::breath::{self, RENDERED};
use mesos::views::{Limits, Quantities};
use mesos::{FrameworkId, roles};
use serde::Serialize;

use crate::cluster::{Books, Snapshot};

/// The weight of a role that was given none.
pub(crate) const DEFAULT_WEIGHT: f64 = 1.0;

/// The body of `/roles`.
#[derive(Serialize)]
pub(super) struct Roles<'a> {
    roles: Vec<Role<'a>>,
}

#[derive(Serialize)]
struct Role<'a> {
    name: String,
    weight: f64,
    quota: Quota,
    /// `allocated` and `offered` together, for older readers.
    resources: Quantities,
    allocated: Quantities,
    offered: Quantities,
    reserved: Quantities,
    frameworks: Vec<&'a str>,
}

#[derive(Serialize)]
struct Quota {
    role: String,
    guarantee: Quantities,
    limit: Limits,
    consumed: Quantities,
}

/// The roles of `--roles`; without them, every role with a framework (`shared`), a weight, a quota or a reservation. In
/// either case those above them, too (upstream: `Master::knownRoles`).
pub(crate) fn known<'a>(
    snapshot: &Snapshot,
    books: &Books,
    shared: impl Iterator<Item = &'a str>,
) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = match &snapshot.master.role_whitelist {
        Some(whitelist) => whitelist.iter().cloned().chain(["*".to_owned()]).collect(),
        None => {
            let mut names: BTreeSet<String> = shared.map(str::to_owned).collect();
            names.extend(snapshot.weights.keys().chain(snapshot.quotas.keys()).cloned());
            names.extend(books.reserved_roles().map(str::to_owned));
            names
        }
    };
    let above: Vec<String> =
        names.iter().flat_map(|role| roles::ancestors(role)).map(str::to_owned).collect();
    names.extend(above);
    names
}

/// Each role that some framework shares in, with those that do, in the order of their ids. There may be thousands of both.
pub(crate) fn by_role(snapshot: &Snapshot) -> BTreeMap<&str, Vec<&FrameworkId>> {
    let mut sharing: BTreeMap<&str, Vec<&FrameworkId>> = BTreeMap::new();
    for framework in snapshot.frameworks.values() {
        for role in framework.shared_roles() {
            breath::spend(1);
            let of_role = sharing.entry(role).or_default();
            if of_role.last() != Some(&&framework.id) {
                of_role.push(&framework.id);
            }
        }
    }
    sharing
}

impl<'a> Roles<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let books = Books::of(&snapshot.agents);
        let sharing = by_role(snapshot);
        let names = known(snapshot, &books, sharing.keys().copied()).into_iter();
        Self { roles: names.map(|name| Role::of(name, &books, &sharing, snapshot)).collect() }
    }
}

impl<'a> Role<'a> {
    fn of(
        name: String,
        books: &Books,
        sharing: &BTreeMap<&str, Vec<&'a FrameworkId>>,
        snapshot: &Snapshot,
    ) -> Self {
        breath::spend(RENDERED);
        let (allocated, offered) = (books.allocated(&name), books.offered(&name));
        let quota = snapshot.quotas.get(&name).cloned().unwrap_or_default();
        Self {
            weight: snapshot.weights.get(&name).copied().unwrap_or(DEFAULT_WEIGHT),
            quota: Quota {
                role: name.clone(),
                guarantee: Quantities(quota.guarantees),
                limit: Limits(quota.limits),
                consumed: Quantities(books.consumed(&name)),
            },
            resources: Quantities(allocated.clone() + offered.clone()),
            allocated: Quantities(allocated),
            offered: Quantities(offered),
            reserved: Quantities(books.reserved(&name)),
            frameworks: sharing
                .get(name.as_str())
                .into_iter()
                .flatten()
                .copied()
                .map(FrameworkId::as_str)
                .collect(),
            name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Connection, Framework, testing};

    #[test]
    fn each_role_has_its_frameworks_once_and_in_order() {
        let mut cluster = testing::cluster(&["g", "f"], &["a"]);
        let mut info = testing::framework_info("h");
        info.role = Some("r".to_owned());
        cluster.add_framework(Framework::new("h".into(), info, Connection::Recovered, testing::now()));
        // What it runs is allocated to the role that it subscribes in, too.
        cluster.add_task(testing::task_of("t", "f", "a", "cpus:1"));
        let snapshot = testing::snapshot(&cluster);
        let sharing = by_role(&snapshot);
        let ids = |role: &str| sharing[role].iter().map(|id| id.as_str()).collect::<Vec<_>>();
        assert_eq!(sharing.len(), 2);
        assert_eq!((ids("*"), ids("r")), (vec!["f", "g"], vec!["h"]));
    }
}
