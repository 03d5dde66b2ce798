//! `/roles`: who shares the cluster, with which weight and quota, and what they hold.

use std::collections::BTreeSet;

use mesos::roles;
use mesos::views::{Limits, Quantities};
use serde::Serialize;

use super::frameworks;
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

/// The roles of `--roles`; without them, every role with a framework, a weight, a quota or a reservation. In
/// either case those above them, too (upstream: `Master::knownRoles`).
pub(crate) fn known(snapshot: &Snapshot, books: &Books) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = match &snapshot.master.role_whitelist {
        Some(whitelist) => whitelist.iter().cloned().chain(["*".to_owned()]).collect(),
        None => {
            let mut names = frameworks::roles(snapshot);
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

impl<'a> Roles<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let books = Books::of(&snapshot.agents);
        let names = known(snapshot, &books).into_iter();
        Self { roles: names.map(|name| Role::of(name, &books, snapshot)).collect() }
    }
}

impl<'a> Role<'a> {
    fn of(name: String, books: &Books, snapshot: &'a Snapshot) -> Self {
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
            frameworks: frameworks::sharing_in(snapshot, &name),
            name,
        }
    }
}
