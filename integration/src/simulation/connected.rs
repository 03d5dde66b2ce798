//! Whether agents that nothing keeps from the leader are connected to it, at every moment: part of
//! [`Invariant::GetsWell`].
//!
//! A leader that holds an agent for disconnected says so in its pings, and the agent registers again. At the end of a run
//! that could not be seen any more: an agent that does not listen is marked unreachable after a while, hears no pings
//! then, and looks for its master by itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use master::cluster::Snapshot;
use mesos::AgentId;

use super::cluster::Cluster;
use super::invariant::Invariant;

/// So long an agent may be disconnected with nothing in its way: until the second ping, and a little more. (After
/// [`super::configuration::AGENT_REREGISTER_TIMEOUT`] it is not disconnected any more, but unreachable.)
const PATIENCE: Duration = Duration::from_secs(35);
/// How often it is looked at.
const AGAIN: Duration = Duration::from_secs(1);
/// A leader that is not looked at for so much longer was frozen.
const UNSEEN: Duration = Duration::from_secs(2);

/// The agents that one master holds for disconnected.
#[derive(Default)]
pub struct Disconnected {
    /// Since when with nothing in the way, and in which life of the agent.
    since: BTreeMap<AgentId, (u64, Duration)>,
    /// When to look again.
    again: Duration,
}

impl Disconnected {
    /// Looks at the books of the leader at this address.
    pub fn look(&mut self, cluster: &Cluster, leader: SocketAddr, snapshot: &Snapshot, now: Duration) {
        if now < self.again {
            return;
        }
        // While it is frozen, nobody looks.
        if now > self.again + UNSEEN {
            self.since.clear();
        }
        self.again = now + AGAIN;
        let mut since = BTreeMap::new();
        for (id, agent) in snapshot.agents.iter().filter(|(_, agent)| !agent.connected) {
            let Some(life) = cluster.in_touch(agent.pid.address(), leader) else { continue };
            let known = self.since.get(id).filter(|(known, _)| *known == life);
            let (_, began) = *since.entry(id.clone()).or_insert(*known.unwrap_or(&(life, now)));
            if now - began > PATIENCE {
                let text = format!(
                    "agent {id} is still disconnected, although nothing has kept it from {leader} for {PATIENCE:?}"
                );
                cluster.truth.violation(Invariant::GetsWell, text);
            }
        }
        self.since = since;
    }
}
