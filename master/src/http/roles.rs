//! `/roles`: who shares the cluster, with which weight, and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use mesos::views::Quantities;
use mesos::{ResourceQuantities, Resources};
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
    /// Every role with a framework, a weight or a reservation.
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut books =
            Books { used: Resources::default(), offered: Resources::default(), total: Resources::default() };
        for agent in snapshot.agents.values() {
            books.used += agent.used.values().cloned().sum::<Resources>();
            books.offered += &agent.offered;
            books.total += &agent.total;
        }
        let mut names: BTreeSet<String> = frameworks::roles(snapshot);
        names.extend(snapshot.weights.keys().cloned());
        names.extend(books.total.reservations().into_keys());
        Self { roles: names.into_iter().map(|name| Role::of(name, &books, snapshot)).collect() }
    }
}

impl<'a> Role<'a> {
    fn of(name: String, books: &Books, snapshot: &'a Snapshot) -> Self {
        let quantities = |resources: &Resources| ResourceQuantities::from_scalar_resources(resources);
        let to_role = |resources: &Resources| {
            resources.filter(|resource| resource.allocation_role() == Some(name.as_str()))
        };
        let (used, offered) = (to_role(&books.used), to_role(&books.offered));
        let both = &used + &offered;
        let reserved = books.total.reserved(Some(&name));
        Self {
            weight: snapshot.weights.get(&name).copied().unwrap_or(DEFAULT_WEIGHT),
            quota: Quota {
                role: name.clone(),
                guarantee: BTreeMap::new(),
                limit: BTreeMap::new(),
                consumed: Quantities(consumed(&name, books)),
            },
            resources: Quantities(quantities(&both)),
            allocated: Quantities(quantities(&used)),
            offered: Quantities(quantities(&offered)),
            reserved: Quantities(quantities(&reserved)),
            frameworks: frameworks::subscribed_in(snapshot, &name),
            name,
        }
    }
}

/// What counts against a quota: every reservation of the role and those below it, allocated or not, and what
/// is allocated to them without a reservation. Revocable resources do not count.
fn consumed(role: &str, books: &Books) -> ResourceQuantities {
    let reserved = books.total.reserved_to_role_subtree(role);
    let allocated =
        |resources: &Resources| resources.allocated_to_role_subtree(role).unreserved().non_revocable();
    let unreserved = allocated(&books.used) + allocated(&books.offered);
    ResourceQuantities::from_scalar_resources(&(reserved.non_revocable() + unreserved))
}
