//! Forgets agents that have been unreachable or gone for long (upstream: `doRegistryGc`).
//!
//! The lists only serve reconciliation: of a task on a forgotten agent nothing is known.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use libprocess::Context;
use mesos::tasks::time_info;
use mesos::{AgentId, v1};

use super::forget_unreachable_operations;
use super::reregister::forget_unreachable_tasks;
use crate::cluster::Ordered;
use crate::master::Master;
use crate::registrar::Operation;

/// How long an entry is kept (`--registry_max_agent_age`), and how many (`--registry_max_agent_count`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PruneLimits {
    /// The oldest entry that is kept.
    pub(crate) age: Duration,
    /// The most entries that each list keeps.
    pub(crate) count: usize,
}

/// Prunes both lists, in the registry first.
pub(crate) fn prune(master: &mut Master, ctx: &mut Context<Master>) {
    let limits = master.settings.prune_limits();
    let unreachable = expired(master.cluster.unreachable_agents(), limits, ctx.now());
    let gone = expired(master.cluster.gone_agents(), limits, ctx.now());
    if unreachable.is_empty() && gone.is_empty() {
        return;
    }
    let operation = Operation::PruneAgents { unreachable: unreachable.clone(), gone: gone.clone() };
    master.apply(operation, ctx, move |master, _, _| {
        tracing::info!(unreachable = unreachable.len(), gone = gone.len(), "pruned agents from the registry");
        for agent in &unreachable {
            // It may have come back while the registry was written.
            if !master.agents.marking_unreachable.contains(agent) {
                if master.cluster.agent(agent).is_none() {
                    master.cluster.forget_activation(agent);
                    // Their ids may be used again, and nobody is shown them.
                    forget_unreachable_tasks(master, agent);
                }
                master.cluster.forget_unreachable_agent(agent);
                forget_unreachable_operations(master, agent);
            }
        }
        for agent in &gone {
            master.cluster.forget_gone_agent(agent);
        }
    });
}

/// The entries that are too old, and the oldest of those that are too many.
fn expired(
    agents: &Ordered<AgentId, v1::TimeInfo>,
    limits: PruneLimits,
    now: SystemTime,
) -> BTreeSet<AgentId> {
    let oldest = time_info(now).nanoseconds - i64::try_from(limits.age.as_nanos()).unwrap_or(i64::MAX);
    let mut by_age: Vec<_> = agents.iter().map(|(id, since)| (since.nanoseconds, id)).collect();
    by_age.sort_unstable();
    let surplus = by_age.len().saturating_sub(limits.count);
    let too_old = |index: usize, since: i64| index < surplus || since < oldest;
    let expired = by_age.into_iter().enumerate().filter(|(index, (since, _))| too_old(*index, *since));
    expired.map(|(_, (_, id))| id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::persistent::ordered;

    /// Upstream: `PartitionTest.RegistryGcByCountManySlaves`.
    #[test]
    fn the_oldest_entries_go_first_by_age_and_by_number() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let mut agents = ordered();
        for (id, second) in [("a", 100), ("b", 900), ("c", 950), ("d", 990)] {
            agents.insert_mut(AgentId::from(id), v1::TimeInfo { nanoseconds: second * 1_000_000_000 });
        }
        let names = |age, count| {
            let limits = PruneLimits { age: Duration::from_secs(age), count };
            expired(&agents, limits, now).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(500, 10), ["a"]);
        assert_eq!(names(500, 2), ["a", "b"]);
        assert_eq!(names(2000, 4), [""; 0]);
    }
}
