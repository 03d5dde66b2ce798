//! `/roles`: who shares the cluster, with which weight, and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use mesos::views::Quantities;
use mesos::{ResourceQuantities, Resources, roles};
use serde::Serialize;

use super::frameworks;
use crate::cluster::Snapshot;

/// The weight of a role that was given none.
const DEFAULT_WEIGHT: f64 = 1.0;

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
    guarantee: BTreeMap<String, f64>,
    limit: BTreeMap<String, f64>,
    consumed: Quantities,
}

/// What the agents hold, ready to be looked up by role.
struct Books {
    used: Resources,
    offered: Resources,
    total: Resources,
}

impl<'a> Roles<'a> {
    /// The roles of `--roles`; without them, every role with a framework, a weight or a reservation. In either case
    /// those above them, too (upstream: `Master::knownRoles`).
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut books =
            Books { used: Resources::default(), offered: Resources::default(), total: Resources::default() };
        for agent in snapshot.agents.values() {
            books.used += agent.used.values().cloned().sum::<Resources>();
            books.offered += &agent.offered;
            books.total += &agent.total;
        }
        let mut names: BTreeSet<String> = match &snapshot.master.role_whitelist {
            Some(whitelist) => whitelist.iter().cloned().chain(["*".to_owned()]).collect(),
            None => {
                let mut names = frameworks::roles(snapshot);
                names.extend(snapshot.weights.keys().cloned());
                names.extend(books.total.reservations().into_keys());
                names
            }
        };
        let above: Vec<String> =
            names.iter().flat_map(|role| roles::ancestors(role)).map(str::to_owned).collect();
        names.extend(above);
        Self { roles: names.into_iter().map(|name| Role::of(name, &books, snapshot)).collect() }
    }
}

impl<'a> Role<'a> {
    /// Amounts are those of the role and all below it (upstream: `Master::RoleResourceBreakdown`).
    fn of(name: String, books: &Books, snapshot: &'a Snapshot) -> Self {
        let allocated_to = |resources: &Resources| {
            ResourceQuantities::from_resources(&resources.allocated_to_role_subtree(&name))
        };
        let reserved_to = |resources: &Resources| {
            ResourceQuantities::from_resources(&resources.reserved_to_role_subtree(&name))
        };
        let (allocated, offered) = (allocated_to(&books.used), allocated_to(&books.offered));
        let reserved = reserved_to(&books.total);
        // What counts against a quota: what is allocated, and what is reserved and not allocated.
        let consumed = allocated.clone() + (reserved.clone() - reserved_to(&books.used));
        Self {
            weight: snapshot.weights.get(&name).copied().unwrap_or(DEFAULT_WEIGHT),
            quota: Quota {
                role: name.clone(),
                guarantee: BTreeMap::new(),
                limit: BTreeMap::new(),
                consumed: Quantities(consumed),
            },
            resources: Quantities(allocated.clone() + offered.clone()),
            allocated: Quantities(allocated),
            offered: Quantities(offered),
            reserved: Quantities(reserved),
            frameworks: frameworks::subscribed_in(snapshot, &name),
            name,
        }
    }
}
