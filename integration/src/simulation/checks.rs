//! What must hold: in the masters' books at every moment, and in the whole cluster when nothing has gone wrong for a
//! while.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use master::TakeSnapshot;
use master::cluster::Snapshot;
use mesos::tasks::is_terminal;
use mesos::v1::TaskState;
use mesos::{AgentId, Resources};

use super::cluster::Cluster;

/// What was checked before, so that only what has changed since is checked again.
#[derive(Default)]
pub struct Checks {
    agents: BTreeMap<(SocketAddr, AgentId), Arc<master::cluster::Agent>>,
    versions: BTreeMap<SocketAddr, (u64, Option<SocketAddr>)>,
}

impl Checks {
    /// Looks at the books of every master.
    pub async fn look(&mut self, cluster: &Cluster) {
        for (address, master) in cluster.masters() {
            let Ok(snapshot) = master.ask(TakeSnapshot).await else { continue };
            let state = (snapshot.version, leader_of(&snapshot));
            if snapshot.master.elected.is_some() && state.1 != Some(address) {
                cluster
                    .truth
                    .violation(format!("{address} was elected, and goes on although it does not lead"));
            }
            if self.versions.insert(address, state) != Some(state) {
                self.books(cluster, address, &snapshot);
            }
        }
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
    for (address, master) in cluster.masters() {
        let Ok(snapshot) = master.ask(TakeSnapshot).await else { continue };
        if leader_of(&snapshot) == Some(address) && snapshot.master.elected.is_some() {
            leading.push(snapshot);
        }
    }
    let [snapshot] = &leading[..] else {
        unwell.push(format!("{} masters lead", leading.len()));
        return unwell;
    };
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
