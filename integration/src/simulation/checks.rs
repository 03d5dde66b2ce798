//! What must hold: in the masters' books at every moment, and in the whole cluster when nothing has gone wrong for a
//! while.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allocator::Quota;
use allocator::core::Holdings;
use allocator::messages::TakeHoldings;
use master::TakeSnapshot;
use master::cluster::Snapshot;
use mesos::tasks::is_terminal;
use mesos::v1::TaskState;
use mesos::{AgentId, Resources};

use super::cluster::{Cluster, RunningMaster};
use super::offers::OfferChecks;

/// How often the allocator's books are compared with the master's.
const COMPARE: Duration = Duration::from_secs(10);

/// What was checked before, so that only what has changed since is checked again.
#[derive(Default)]
pub struct Checks {
    agents: BTreeMap<(SocketAddr, AgentId), Arc<master::cluster::Agent>>,
    versions: BTreeMap<SocketAddr, (u64, Option<SocketAddr>)>,
    compared: BTreeMap<SocketAddr, Compared>,
    offers: BTreeMap<SocketAddr, OfferChecks>,
}

/// When the books of a master and its allocator were compared last, and how they differed.
#[derive(Default)]
struct Compared {
    at: Duration,
    difference: Option<String>,
}

impl Checks {
    /// Looks at the books of every master.
    pub async fn look(&mut self, cluster: &Cluster) {
        let now = cluster.network.elapsed();
        for running in cluster.masters() {
            let address = running.address;
            let Ok(snapshot) = running.master.ask(TakeSnapshot).await else { continue };
            if now >= self.compared.entry(address).or_default().at {
                self.compare(cluster, &running, &snapshot, now).await;
            }
            let state = (snapshot.version, leader_of(&snapshot));
            if snapshot.master.elected.is_some() && state.1 != Some(address) {
                cluster
                    .truth
                    .violation(format!("{address} was elected, and goes on although it does not lead"));
            }
            if self.versions.insert(address, state) != Some(state) {
                self.books(cluster, address, &snapshot);
                self.offers.entry(address).or_default().look(cluster, &snapshot, now);
            }
        }
    }

    /// Whether the allocator's books are the master's. Messages may be on their way between the two: what differs
    /// must do so twice, a moment apart, to be wrong.
    async fn compare(
        &mut self,
        cluster: &Cluster,
        running: &RunningMaster,
        snapshot: &Snapshot,
        now: Duration,
    ) {
        let Ok(holdings) = running.allocator.ask(TakeHoldings).await else { return };
        let difference = difference(snapshot, &holdings);
        cluster.truth.count("books compared");
        let compared = self.compared.entry(running.address).or_default();
        let still = difference.as_ref().filter(|_| difference == compared.difference);
        if let Some(still) = still {
            let master = running.address;
            cluster.truth.violation(format!("the books of {master} and of its allocator differ: {still}"));
        }
        compared.at = if difference.is_some() { now } else { now + COMPARE };
        compared.difference = difference;
    }

    fn books(&mut self, cluster: &Cluster, master: SocketAddr, snapshot: &Snapshot) {
        for (id, agent) in snapshot.agents.iter() {
            let key = (master, id.clone());
            if self.agents.get(&key).is_some_and(|known| Arc::ptr_eq(known, agent)) {
                continue;
            }
            if let Some(wrong) = wrong_with(agent, snapshot) {
                cluster.truth.violation(format!("the books of {master} on agent {id}: {wrong}"));
            }
            if !self.agents.contains_key(&key) && !cluster.registry.has(&format!("agent/{id}")) {
                cluster
                    .truth
                    .violation(format!("{master} has registered agent {id}, the registry does not know it"));
            }
            self.agents.insert(key, Arc::clone(agent));
        }
        self.agents.retain(|(of, id), _| *of != master || snapshot.agents.contains_key(id));
    }
}

/// The first thing in which the master's books and its allocator's differ.
fn difference(snapshot: &Snapshot, holdings: &Holdings) -> Option<String> {
    let mut known: Holdings = snapshot
        .agents
        .values()
        .map(|agent| {
            let used = agent.used.iter().map(|(framework, used)| (framework.clone(), used.clone()));
            (agent.id.clone(), used.collect::<BTreeMap<_, _>>())
        })
        .collect();
    for offer in snapshot.offers.values() {
        let of_agent = known.entry(offer.agent.clone()).or_default();
        *of_agent.entry(offer.framework.clone()).or_default() += &offer.resources;
    }
    let agents: BTreeSet<&AgentId> = known.keys().chain(holdings.keys()).collect();
    agents.into_iter().find_map(|agent| match (known.get(agent), holdings.get(agent)) {
        (Some(known), Some(held)) if known == held => None,
        (Some(known), Some(held)) => {
            Some(format!("on agent {agent} {known:?} is held for the one, {held:?} for the other"))
        }
        (known, _) => Some(format!("agent {agent} is known to the {}", who(known.is_some()))),
    })
}

fn who(is_master: bool) -> &'static str {
    if is_master { "master only" } else { "allocator only" }
}

/// What does not add up on an agent.
fn wrong_with(agent: &master::cluster::Agent, snapshot: &Snapshot) -> Option<String> {
    let used: Resources = agent.used.values().fold(Resources::default(), |sum, used| sum + used);
    let taken = unallocated(&(used.clone() + &agent.offered));
    if !agent.total.contains(&taken) {
        return Some(format!("{} used and {} offered of {}", used, agent.offered, agent.total));
    }
    let mut of_tasks = Resources::default();
    for (framework, task) in agent.tasks.keys() {
        let Some(framework) = snapshot.frameworks.get(framework) else {
            return Some(format!("task {task} of a framework that is not there"));
        };
        let Some(task) = framework.tasks.get(task) else {
            return Some(format!("task {task} that its framework does not have"));
        };
        if !is_terminal(task.state()) {
            of_tasks += &task.resources;
        }
    }
    for executor in agent.executors.values() {
        of_tasks += &executor.resources;
    }
    (unallocated(&of_tasks) != unallocated(&used))
        .then(|| format!("{used} used, but its tasks and executors have {of_tasks}"))
}

fn unallocated(resources: &Resources) -> Resources {
    let mut resources = resources.clone();
    resources.unallocate();
    resources
}

fn leader_of(snapshot: &Snapshot) -> Option<SocketAddr> {
    snapshot.master.leader.as_ref().and_then(election::info::address)
}

/// What is not well yet, when everything could be.
pub async fn unwell(cluster: &Cluster) -> Vec<String> {
    let mut unwell = cluster.truth.missing();
    let mut leading = Vec::new();
    for running in cluster.masters() {
        let Ok(snapshot) = running.master.ask(TakeSnapshot).await else { continue };
        if leader_of(&snapshot) == Some(running.address) && snapshot.master.elected.is_some() {
            leading.push(snapshot);
        }
    }
    let [snapshot] = &leading[..] else {
        unwell.push(format!("{} masters lead", leading.len()));
        return unwell;
    };
    if !cluster.are_quotas_reset() {
        unwell.push("the operator could not take the quotas away".to_owned());
    }
    for (role, quota) in snapshot.quotas.iter().filter(|(_, quota)| **quota != Quota::default()) {
        unwell.push(format!("the quota of {role} was taken away, and is there: {quota:?}"));
    }
    for address in cluster.agents() {
        let known = snapshot.agents.values().find(|agent| agent.pid.address() == address);
        if !known.is_some_and(|agent| agent.connected && agent.active) {
            unwell.push(format!("the agent at {address} is not registered"));
        }
    }
    let running: BTreeMap<String, String> = cluster.truth.running().into_iter().collect();
    for (book, wishes) in cluster.books() {
        let book = book.lock();
        if let Some(error) = &book.error {
            unwell.push(format!("a scheduler was ended: {error}"));
        }
        let Some(framework) = book.framework.as_ref().and_then(|id| snapshot.frameworks.get(id)) else {
            unwell.push("a framework is not subscribed".to_owned());
            continue;
        };
        if !framework.is_connected() {
            unwell.push(format!("framework {} is not connected", framework.id));
        }
        if book.launched() < wishes.len() {
            unwell.push(format!("framework {} waits to launch {}", framework.id, wishes[book.launched()].id));
        }
        for (id, entry) in &book.tasks {
            let state = entry.state.map_or("nothing", |state| state.as_str_name());
            match (running.contains_key(id), entry.is_over(), entry.state) {
                (true, false, Some(TaskState::TaskRunning)) | (false, true, _) => {}
                // The master does not know it, and says so; nothing runs.
                (false, false, Some(TaskState::TaskUnknown | TaskState::TaskGone)) => {}
                (true, _, _) => unwell.push(format!("{id} runs, its framework was told {state}")),
                (false, _, _) => unwell.push(format!("{id} does not run, its framework was told {state}")),
            }
        }
        let waiting = framework.tasks.values().filter(|task| is_terminal(task.state()));
        for task in waiting {
            unwell.push(format!("the end of {} is not acknowledged", task.id));
        }
    }
    unwell
}
