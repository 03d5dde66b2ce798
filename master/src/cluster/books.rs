//! What roles hold, summed up over all agents (upstream: `Master::RoleResourceBreakdown`).
//!
//! One walk over the agents makes the books; what is asked of them afterwards costs a few roles, not the
//! whole cluster. Amounts are those of a role and all roles below it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use libprocess::breath::{self, RENDERED};
use mesos::roles::is_strict_subrole_of;
use mesos::{AgentId, ResourceQuantities, Resources};

use super::agent::Agent;
use super::persistent::Ordered;

type ByRole = BTreeMap<String, ResourceQuantities>;

/// The books. See the module.
#[derive(Debug, Default)]
pub struct Books {
    /// By the role that it is allocated to: what tasks and executors use.
    allocated: ByRole,
    /// By the role that it is offered for.
    offered: ByRole,
    /// By the role that it is reserved for.
    reserved: ByRole,
    /// By the role that it is reserved for: what of it no task or executor uses.
    unused: ByRole,
    /// What there is on all agents, without what is revocable: only that can be guaranteed.
    capacity: ResourceQuantities,
}

impl Books {
    /// The books of these agents.
    pub fn of(agents: &Ordered<AgentId, Arc<Agent>>) -> Self {
        #[cfg(test)]
        MADE.set(MADE.get() + 1);
        let mut books = Self::default();
        for agent in agents.values() {
            let mut in_use = ByRole::new();
            for used in agent.used.values() {
                breath::spend(RENDERED);
                add(&mut books.allocated, used.allocations());
                add(&mut in_use, used.reservations());
            }
            breath::spend(RENDERED);
            add(&mut books.offered, agent.offered.allocations());
            // Agent by agent: what several frameworks share of one hides nothing that is reserved on another.
            for (role, reserved) in agent.total.reservations() {
                let reserved = ResourceQuantities::from_resources(&reserved);
                let used = in_use.remove(&role).unwrap_or_default();
                *books.reserved.entry(role.clone()).or_default() += &reserved;
                *books.unused.entry(role).or_default() += reserved - used;
            }
            books.capacity += ResourceQuantities::from_scalar_resources(&agent.total.non_revocable());
        }
        books
    }

    /// The roles that something is reserved for.
    pub fn reserved_roles(&self) -> impl Iterator<Item = &str> {
        self.reserved.keys().map(String::as_str)
    }

    /// What tasks and executors use.
    pub fn allocated(&self, role: &str) -> ResourceQuantities {
        below(&self.allocated, role)
    }

    /// What is in outstanding offers.
    pub fn offered(&self, role: &str) -> ResourceQuantities {
        below(&self.offered, role)
    }

    /// What is reserved, used or not.
    pub fn reserved(&self, role: &str) -> ResourceQuantities {
        below(&self.reserved, role)
    }

    /// What counts against a quota: what is allocated, and what is reserved and not allocated.
    pub fn consumed(&self, role: &str) -> ResourceQuantities {
        self.allocated(role) + below(&self.unused, role)
    }

    /// The irrevocable scalars of all agents, the disconnected ones included: they are likely to be back soon.
    pub fn capacity(&self) -> &ResourceQuantities {
        &self.capacity
    }
}

fn add(sums: &mut ByRole, parts: BTreeMap<String, Resources>) {
    for (role, resources) in parts {
        *sums.entry(role).or_default() += ResourceQuantities::from_resources(&resources);
    }
}

fn below(sums: &ByRole, role: &str) -> ResourceQuantities {
    // Roles below one begin with its name, and so stand behind it.
    let from_here = sums
        .range::<str, _>((Bound::Included(role), Bound::Unbounded))
        .take_while(|(other, _)| other.starts_with(role));
    let belong = from_here.filter(|(other, _)| *other == role || is_strict_subrole_of(other, role));
    let mut sum = ResourceQuantities::default();
    for (_, quantities) in belong {
        sum += quantities;
    }
    sum
}

#[cfg(test)]
thread_local! {
    static MADE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often this thread has made books.
#[cfg(test)]
pub(crate) fn made() -> usize {
    MADE.get()
}

#[cfg(test)]
mod tests {
    use super::super::{Cluster, testing};
    use super::*;

    #[test]
    fn a_role_has_what_is_below_it_and_not_what_only_begins_alike() {
        let quantities = |text: &str| ResourceQuantities::parse(text).unwrap();
        let sums = ["a", "a-b", "a/b", "a/b/c", "ab"].map(|role| (role.to_owned(), quantities("cpus:1")));
        let sums = ByRole::from(sums);
        assert_eq!(below(&sums, "a"), quantities("cpus:3"));
        assert_eq!(below(&sums, "a/b"), quantities("cpus:2"));
        assert_eq!(below(&sums, "ab"), quantities("cpus:1"));
        assert_eq!(below(&sums, "b"), ResourceQuantities::default());
    }

    /// Upstream: `AvailableResourcesMultipleAgents`, `AvailableResourcesSingleReservedAgent`,
    /// `InsufficientResourcesMultipleAgents`.
    #[test]
    fn the_capacity_is_that_of_all_agents_and_ports_of_two_agents_are_different_ones() {
        let mut cluster = Cluster::default();
        for id in ["a", "b"] {
            cluster.add_agent(testing::agent(id, "cpus:4;cpus(r):1;ports(r):[1-10]"));
        }
        let books = Books::of(cluster.agents());
        assert_eq!(books.capacity().to_string(), "cpus:10");
        assert_eq!(books.reserved("r").to_string(), "cpus:2; ports:20");
        assert_eq!(books.consumed("r"), books.reserved("r"));
        assert_eq!(books.reserved_roles().collect::<Vec<_>>(), ["r"]);
    }

    /// Upstream subtracts agent by agent (`RoleResourceBreakdown::consumedQuota`).
    #[test]
    fn what_two_frameworks_share_of_one_agent_hides_nothing_that_is_reserved_on_another() {
        let mut cluster = testing::cluster(&["f", "g"], &[]);
        let volume = serde_json::json!({
            "name": "disk", "type": "SCALAR", "scalar": { "value": 64.0 }, "shared": {},
            "reservations": [{ "type": "DYNAMIC", "role": "r" }],
            "disk": { "persistence": { "id": "v" }, "volume": { "container_path": "path", "mode": "RW" } },
        });
        let volume: mesos::v1::Resource = mesos::json::from_slice(volume.to_string().as_bytes()).unwrap();
        let volume = Resources::from(mesos::Resource::try_from(&volume).unwrap());
        let mut a = testing::agent("a", "cpus:4");
        a.total += &volume;
        cluster.add_agent(a);
        cluster.add_agent(testing::agent("b", "disk(r):64"));
        for framework in ["f", "g"] {
            let mut task = testing::task_of(framework, framework, "a", "cpus:1");
            task.resources = volume.allocated_to("r");
            cluster.add_task(task);
        }
        let books = Books::of(cluster.agents());
        // Upstream counts the volume for each framework that uses it: 2 * 64, and what is free on the other agent.
        assert_eq!(books.consumed("r").to_string(), "disk:192");
    }
}
