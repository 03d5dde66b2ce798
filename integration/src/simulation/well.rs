//! What must hold in the whole cluster when nothing has gone wrong for a while.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use allocator::Quota;
use libprocess::disk::Disk as _;
use master::TakeSnapshot;
use master::cluster::{Agent, Snapshot};
use mesos::tasks::{is_terminal, is_terminal_operation};
use mesos::v1::{self, DrainState, TaskState};
use mesos::{AgentId, FrameworkId, Resources};
use uuid::Uuid;

use super::beliefs;
use super::checks::{each_once, leader_of};
use super::cluster::Cluster;
use super::configuration::{pages, volume_path};
use super::decisions::{Fate, Setting};
use super::invariant::{Invariant, Violation};
use super::workload::{Book, Entry, Wish};

/// How long something may take that must come.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is not well yet, when everything could be.
pub async fn unwell(cluster: &Cluster) -> Vec<Violation> {
    let mut unwell = Unwell::default();
    let mut leading = Vec::new();
    for running in cluster.masters() {
        let Ok(snapshot) = running.master.ask(TakeSnapshot).await else { continue };
        if leader_of(&snapshot) == Some(running.address) && snapshot.master.elected.is_some() {
            leading.push((running.address, snapshot));
        }
    }
    match &leading[..] {
        [(address, snapshot)] => {
            if let Some(wrong) = cluster.heard.borrow_mut().unlike(*address, snapshot) {
                unwell.note(Invariant::EventsAddUp, format!("an operator listens to {address}: {wrong}"));
            }
            unwell.operator(cluster, snapshot);
            unwell.agents(cluster, snapshot);
            let now = cluster.network.elapsed();
            let running = cluster.truth.running().into_iter().collect();
            for (number, (book, wishes)) in cluster.books().enumerate() {
                let book = book.lock();
                unwell.framework(&book, wishes, &running, snapshot);
                unwell.description(number, &book, snapshot);
                let waits = book.asked.iter().filter(|(_, since)| now - **since > PATIENCE);
                for (task, _) in waits {
                    unwell.note(Invariant::Reconciled, format!("nobody answers what became of {task}"));
                }
            }
        }
        _ => unwell.note(Invariant::GetsWell, format!("{} masters lead", leading.len())),
    }
    for late in cluster.truth.not_repeated(PATIENCE) {
        unwell.note(Invariant::UpdatesRepeated, late);
    }
    for missing in cluster.truth.missing() {
        unwell.note(Invariant::UpdatesArrive, missing);
    }
    unwell.0.sort_by_key(|violation| rank(violation.invariant));
    unwell.0
}

/// What is not well often follows from something else that is not: that comes first.
fn rank(invariant: Invariant) -> u8 {
    match invariant {
        Invariant::GetsWell => 3,
        Invariant::NothingVanishes => 2,
        Invariant::UpdatesArrive => 1,
        _ => 0,
    }
}

impl Entry {
    fn is_unreachable_in(&self, snapshot: &Snapshot) -> bool {
        let agent = self.agent.as_ref().map(AgentId::from);
        agent.is_some_and(|agent| snapshot.unreachable_agents.contains_key(&agent))
    }
}

/// Operations of frameworks that go on, on an agent, that are done and not acknowledged.
fn unheard(cluster: &Cluster, agent: &Agent) -> impl Iterator<Item = Uuid> {
    let goes_on = move |operation: &v1::Operation| {
        let framework = operation.framework_id.as_ref().map(FrameworkId::from);
        operation.info.id.is_some() && framework.is_some_and(|id| !cluster.truth.may_be_over(&id))
    };
    let done = agent.operations.iter().filter(move |(_, operation)| {
        is_terminal_operation(operation.latest_status.state()) && goes_on(operation)
    });
    done.map(|(uuid, _)| *uuid)
}

#[derive(Default)]
struct Unwell(Vec<Violation>);

impl Unwell {
    fn note(&mut self, invariant: Invariant, text: impl Into<String>) {
        self.0.push(Violation::new(invariant, text));
    }

    fn operator(&mut self, cluster: &Cluster, snapshot: &Snapshot) {
        if !cluster.are_quotas_reset() {
            self.note(Invariant::GetsWell, "the operator could not take the quotas away");
        }
        for (role, quota) in snapshot.quotas.iter().filter(|(_, quota)| **quota != Quota::default()) {
            let text = format!("the quota of {role} was taken away, and is there: {quota:?}");
            self.note(Invariant::AcknowledgedIsFound, text);
        }
    }

    fn agents(&mut self, cluster: &Cluster, snapshot: &Snapshot) {
        for address in cluster.agents() {
            let known = snapshot.agents.values().find(|agent| agent.pid.address() == address);
            let Some(agent) = known.filter(|agent| agent.connected) else {
                self.note(Invariant::GetsWell, format!("the agent at {address} is not registered"));
                continue;
            };
            let here = snapshot.agents.values().filter(|other| other.pid.address() == address).count();
            if here > 1 {
                self.note(Invariant::GetsWell, format!("there are {here} agents at {address}"));
            }
            self.reserved(cluster, address, agent);
            for belief in beliefs::wrong(cluster, agent) {
                self.note(
                    belief.invariant(),
                    format!("the leader believes of agent {}: {belief:?}", agent.id),
                );
            }
            let activation = snapshot.activation(&agent.id);
            if agent.active == activation.deactivated {
                let (id, is) = (&agent.id, if agent.active { "active" } else { "not active" });
                self.note(Invariant::GetsWell, format!("agent {id} is {is}, and shall be as {activation:?}"));
            }
            let draining = activation.drain.map(|drain| drain.state() != DrainState::Drained);
            if draining == Some(false)
                && let Some(task) = cluster.truth.task_on(&agent.info.hostname)
            {
                self.note(
                    Invariant::DrainedIsEmpty,
                    format!("agent {} is drained, and {task} runs on it", agent.id),
                );
            }
            if draining == Some(true) && !cluster.truth.has_orphans(agent) {
                self.note(Invariant::GetsWell, format!("agent {} is not drained yet", agent.id));
            }
        }
        let awaited = snapshot.agents.values().flat_map(move |agent| {
            let open = beliefs::awaited(agent).map(|uuid| (uuid, false));
            open.chain(unheard(cluster, agent).map(|uuid| (uuid, true)))
        });
        for (late, is_done) in cluster.ledger.late(awaited.collect(), cluster.network.elapsed(), PATIENCE) {
            let (invariant, text) = match is_done {
                true => (Invariant::UpdatesArrive, "who wanted it has not said that it knows the end"),
                false => (Invariant::ReservedStays, "nobody says what became"),
            };
            self.note(invariant, format!("{text} of operation {late}"));
        }
        self.decided(cluster, snapshot);
    }

    /// What was reserved on an agent is there: for its master, in its file, and as directories of volumes.
    fn reserved(&mut self, cluster: &Cluster, address: SocketAddr, agent: &Agent) {
        let host = &agent.info.hostname;
        for wrong in cluster.ledger.missing(host, &agent.total) {
            self.note(Invariant::ReservedStays, wrong);
        }
        let used = each_once(&agent.used.values().map(Resources::unallocated).sum());
        if !agent.total.contains(&used) {
            let text = format!("{used} is used on {host}, which has {}", agent.total);
            self.note(Invariant::ReservedStays, text);
        }
        let Some(disk) = cluster.disk_of(address) else { return };
        for path in cluster.ledger.volumes(host).iter().filter_map(volume_path) {
            if !disk.exists(&path) {
                self.note(Invariant::ReservedStays, format!("'{}' on {host} is gone", path.display()));
            }
        }
    }

    /// What was decided of agents that are still there.
    fn decided(&mut self, cluster: &Cluster, snapshot: &Snapshot) {
        if !cluster.are_agents_settled() {
            self.note(Invariant::GetsWell, "the caretaker has not done its work");
        }
        let mut otherwise = Vec::new();
        cluster.registry.told(|told| {
            let settled = told.settled().filter(|setting| match setting {
                Setting::Agent(_, Fate::Gone) => true,
                Setting::Agent(id, _) => {
                    let truth = &cluster.truth;
                    let stays = |host| !truth.is_replaced(host) && !truth.may_have_been_down(host);
                    told.host_of(id).is_some_and(stays)
                }
                _ => true,
            });
            otherwise.extend(settled.filter(|setting| !setting.is_in_books(snapshot)).cloned());
        });
        for setting in otherwise {
            let text = format!("an operator was told of {setting:?}, the leader's books say otherwise");
            self.note(Invariant::AcknowledgedIsFound, text);
        }
    }

    /// The leader knows the framework as it has described itself last.
    fn description(&mut self, number: usize, book: &Book, snapshot: &Snapshot) {
        let framework = book.framework.as_ref().and_then(|id| snapshot.frameworks.get(id));
        let (known, said) = (framework.and_then(|it| it.info.webui_url.clone()), pages(number, book));
        if known.as_ref().is_some_and(|known| *known != said) {
            let text = format!("the leader finds the pages of a framework at {known:?}, they are at {said}");
            self.note(Invariant::GetsWell, text);
        }
    }

    fn framework(
        &mut self,
        book: &Book,
        wishes: &[Wish],
        running: &BTreeMap<String, String>,
        snapshot: &Snapshot,
    ) {
        if let Some(error) = &book.error {
            self.note(Invariant::GetsWell, format!("a scheduler was ended: {error}"));
        }
        let framework = book.framework.as_ref().and_then(|id| snapshot.frameworks.get(id));
        let Some(framework) = framework else {
            self.note(Invariant::GetsWell, "a framework is not subscribed");
            return;
        };
        if !framework.is_connected() {
            self.note(Invariant::GetsWell, format!("framework {} is not connected", framework.id));
        }
        if book.launched() < wishes.len() {
            let next = &wishes[book.launched()].id;
            self.note(Invariant::GetsWell, format!("framework {} waits to launch {next}", framework.id));
        }
        for (id, entry) in &book.tasks {
            let state = entry.state.map_or("nothing", |state| state.as_str_name());
            let is_not = match (running.contains_key(id), entry.is_over(), entry.state) {
                (true, false, Some(TaskState::TaskRunning)) | (false, true, _) => continue,
                // The master does not know it, and says so; nothing runs.
                (false, false, Some(TaskState::TaskUnknown | TaskState::TaskGone)) => continue,
                // Its agent will not come back: its host has become another.
                (false, false, Some(TaskState::TaskUnreachable)) if entry.is_unreachable_in(snapshot) => {
                    continue;
                }
                (true, _, _) => "runs",
                (false, _, _) => "does not run",
            };
            self.note(Invariant::NothingVanishes, format!("{id} {is_not}, its framework was told {state}"));
        }
        let waiting = framework.tasks.values().filter(|task| is_terminal(task.state()));
        for task in waiting {
            self.note(Invariant::UpdatesArrive, format!("the end of {} is not acknowledged", task.id));
        }
    }
}
