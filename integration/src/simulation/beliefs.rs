//! Whether agents that nothing keeps from the leader are connected to it, at every moment (part of
//! [`Invariant::GetsWell`]), and are as it believes: their executors ([`Invariant::ExecutorsAgree`]), and what they remember
//! of reservations (part of [`Invariant::ReservedStays`]).
//!
//! A leader that holds an agent for disconnected says so in its pings, and the agent registers again. One whose messages
//! were lost, or came too late, reports at the next ping. At the end of a run neither could be seen any more: an agent that
//! does not listen is marked unreachable after a while, hears no pings then, and looks for its master by itself; and there
//! is always another leader, who is told everything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use master::cluster::{Agent, Snapshot};
use mesos::tasks::is_terminal_operation;
use mesos::{AgentId, ExecutorId, FrameworkId};
use uuid::Uuid;

use super::cluster::Cluster;
use super::configuration::kept_on;
use super::invariant::Invariant;

/// So long the leader may be wrong about an agent with nothing in the way: until the second ping, and a little more. (After
/// [`super::configuration::AGENT_REREGISTER_TIMEOUT`] an agent is not disconnected any more, but unreachable.)
const PATIENCE: Duration = Duration::from_secs(35);
/// How often it is looked at.
const AGAIN: Duration = Duration::from_secs(1);
/// A leader that is not looked at for so much longer was frozen.
const UNSEEN: Duration = Duration::from_secs(2);

/// What the leader believes of an agent, and is not so, or not to stay so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Belief {
    /// It is disconnected.
    Disconnected,
    /// It has an executor.
    Has(FrameworkId, ExecutorId),
    /// It does not have an executor.
    Lacks(FrameworkId, ExecutorId),
    /// It remembers other reservations and volumes than it does.
    Remembers {
        /// What the leader believes.
        believed: String,
        /// What it does remember.
        kept: String,
    },
}

impl Belief {
    /// What must hold in the place of it.
    pub(super) fn invariant(&self) -> Invariant {
        match self {
            Belief::Disconnected => Invariant::GetsWell,
            Belief::Has(..) | Belief::Lacks(..) => Invariant::ExecutorsAgree,
            Belief::Remembers { .. } => Invariant::ReservedStays,
        }
    }
}

/// What one master believes of agents.
#[derive(Default)]
pub struct Beliefs {
    /// Since when with nothing in the way, and in which life of the agent.
    since: BTreeMap<(AgentId, Belief), (u64, Duration)>,
    /// When to look again.
    again: Duration,
}

impl Beliefs {
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
        for (id, agent) in snapshot.agents.iter() {
            let Some(life) = cluster.in_touch(agent.pid.address(), leader) else { continue };
            for belief in wrong(cluster, agent) {
                let key = (id.clone(), belief);
                let known = self.since.get(&key).filter(|(known, _)| *known == life);
                let (_, began) = *known.unwrap_or(&(life, now));
                if now - began > PATIENCE {
                    let belief = &key.1;
                    let text = format!(
                        "{leader} believes of agent {id}: {belief:?}, although nothing has kept it away for {PATIENCE:?}"
                    );
                    cluster.truth.violation(belief.invariant(), text);
                }
                since.insert(key, (life, began));
            }
        }
        self.since = since;
    }
}

/// What the leader has otherwise in its books than it is on an agent.
pub(super) fn wrong(cluster: &Cluster, agent: &Agent) -> Vec<Belief> {
    if !agent.connected {
        return vec![Belief::Disconnected];
    }
    let address = agent.pid.address();
    let run = cluster.executors_at(address);
    let over = agent.executors.keys().filter(|executor| !run.contains(*executor));
    let over = over.map(|(framework, executor)| Belief::Has(framework.clone(), executor.clone()));
    let unknown = run.iter().filter(|executor| !agent.executors.contains_key(*executor));
    let unknown = unknown.map(|(framework, executor)| Belief::Lacks(framework.clone(), executor.clone()));
    let mut wrong: Vec<Belief> = over.chain(unknown).collect();
    // It has applied what the agent has yet to do.
    if awaited(agent).next().is_none()
        && let Some(kept) = cluster.disk_of(address).map(|disk| kept_on(&disk))
        && kept != agent.checkpointed
    {
        let (believed, kept) = (agent.checkpointed.to_string(), kept.to_string());
        wrong.push(Belief::Remembers { believed, kept });
    }
    wrong
}

/// The operations that an agent has been sent and has not answered.
pub(super) fn awaited(agent: &Agent) -> impl Iterator<Item = Uuid> {
    let operations = agent.operations.iter();
    let open = operations.filter(|(_, operation)| !is_terminal_operation(operation.latest_status.state()));
    open.map(|(uuid, _)| *uuid)
}
