//! What must hold in the masters' books at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allocator::core::Holdings;
use allocator::messages::TakeHoldings;
use libprocess::disk::Disk as _;
use master::TakeSnapshot;
use master::cluster::Snapshot;
use mesos::tasks::is_terminal;
use mesos::v1::DrainState;
use mesos::{AgentId, FrameworkId, Resource, ResourceQuantities, Resources};

use super::absences::Absences;
use super::acknowledged::Checked;
use super::beliefs::Beliefs;
use super::cluster::{Cluster, RunningMaster};
use super::configuration::AGENT_REREGISTER_TIMEOUT;
use super::invariant::Invariant;
use super::offers::OfferChecks;

/// How often the allocator's books are compared with the master's.
const COMPARE: Duration = Duration::from_secs(10);

/// So long a master may take to give up agents that have not come back in time: the write that tells it may wait behind
/// another one, and each may take up to `registry_store_timeout` (20 s).
const GIVES_UP: Duration = Duration::from_secs(45);
/// How often it is looked at whether the volumes are there that tasks use.
const VOLUMES: Duration = Duration::from_secs(1);
/// Who is not looked at for so long was frozen, or did not run.
pub(super) const UNSEEN: Duration = Duration::from_secs(3);

/// What was checked before, so that only what has changed since is checked again.
#[derive(Default)]
pub struct Checks {
    agents: BTreeMap<(SocketAddr, AgentId), Arc<master::cluster::Agent>>,
    versions: BTreeMap<SocketAddr, (u64, Option<SocketAddr>)>,
    compared: BTreeMap<SocketAddr, Compared>,
    offers: BTreeMap<SocketAddr, OfferChecks>,
    known: BTreeMap<SocketAddr, Known>,
    /// Since when a master waits for agents to come back, and when it was looked at last.
    waiting: BTreeMap<SocketAddr, (Duration, Duration)>,
    beliefs: BTreeMap<SocketAddr, Beliefs>,
    absences: BTreeMap<SocketAddr, Absences>,
    steady: BTreeMap<SocketAddr, Steady>,
    /// When to look again for the volumes that tasks use.
    volumes: Duration,
}

/// What is known of one life of a master.
#[derive(Default)]
struct Known {
    id: String,
    checked: Checked,
    agents: BTreeSet<AgentId>,
}

/// Since when a master has not stood still, and when it was looked at last.
struct Steady {
    since: Duration,
    looked: Duration,
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
        if now >= self.volumes {
            self.volumes = now + VOLUMES;
            volumes(cluster);
        }
        for (_, absences) in self.absences.iter_mut().filter(|(master, _)| cluster.has_ended(**master)) {
            absences.end(cluster, now);
        }
        for running in cluster.masters() {
            let address = running.address;
            let Ok(snapshot) = running.master.ask(TakeSnapshot).await else { continue };
            if now >= self.compared.entry(address).or_default().at {
                self.compare(cluster, &running, &snapshot, now).await;
            }
            let state = (snapshot.version, leader_of(&snapshot));
            if snapshot.master.elected.is_some() && state.1 != Some(address) {
                let text = format!("{address} was elected, and goes on although it does not lead");
                cluster.truth.violation(Invariant::OneLeader, text);
            }
            self.recovered(cluster, address, &snapshot, now);
            let steady = self.steady.entry(address).or_insert(Steady { since: now, looked: now });
            let since = if now - steady.looked > UNSEEN { now } else { steady.since };
            *steady = Steady { since, looked: now };
            self.absences.entry(address).or_default().look(cluster, address, &snapshot, now);
            let beliefs = self.beliefs.entry(address).or_default();
            if snapshot.master.elected.is_some() && state.1 == Some(address) {
                beliefs.look(cluster, address, &snapshot, now);
            } else {
                *beliefs = Beliefs::default();
            }
            if self.versions.insert(address, state) != Some(state) {
                self.books(cluster, address, &snapshot);
                out_of_service(cluster, address, &snapshot);
                self.acknowledged(cluster, address, &snapshot, now);
                self.offers.entry(address).or_default().look(cluster, &snapshot, since, now);
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
            let text = format!("the books of {master} and of its allocator differ: {still}");
            cluster.truth.violation(Invariant::BooksAgree, text);
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
            if let Some(wrong) = wrong_with(agent, snapshot, |framework| cluster.truth.may_be_over(framework))
            {
                let text = format!("the books of {master} on agent {id}: {wrong}");
                cluster.truth.violation(Invariant::BooksAddUp, text);
            }
            self.agents.insert(key, Arc::clone(agent));
        }
        self.agents.retain(|(of, id), _| *of != master || snapshot.agents.contains_key(id));
    }
}

impl Checks {
    /// Whether the books say what the registry does, and what those whom it concerns were told.
    fn acknowledged(&mut self, cluster: &Cluster, master: SocketAddr, snapshot: &Snapshot, now: Duration) {
        let known = self.known.entry(master).or_default();
        // Another life of the master.
        if known.id != snapshot.master.info.id {
            *known = Known { id: snapshot.master.info.id.clone(), ..Known::default() };
        }
        if let Some(wrong) = cluster.registry.contradicts(master, snapshot, now, &mut known.checked) {
            let text = format!("{master}: {wrong}");
            cluster.truth.violation(Invariant::AcknowledgedIsFound, text);
        }
        for (id, agent) in snapshot.agents.iter() {
            let host = &agent.info.hostname;
            // One that was never told comes back as another.
            if !known.agents.contains(id) && cluster.is_named(host, id) {
                known.agents.insert(id.clone());
                cluster.registry.told(|told| told.admitted(id, host));
            }
        }
    }

    /// Whether agents that have not come back are given up in time, so that their tasks have a state.
    fn recovered(&mut self, cluster: &Cluster, master: SocketAddr, snapshot: &Snapshot, now: Duration) {
        let waiting = self.waiting.entry(master).or_insert((now, now));
        // While it is frozen, or another life of it begins, nobody looks.
        if snapshot.recovered_agents.is_empty() || now - waiting.1 > UNSEEN {
            waiting.0 = now;
        }
        waiting.1 = now;
        if now - waiting.0 > AGENT_REREGISTER_TIMEOUT + GIVES_UP {
            let absent: Vec<&AgentId> = snapshot.recovered_agents.keys().collect();
            let text = format!("{master} still waits for {absent:?}, which have not come back");
            cluster.truth.violation(Invariant::NothingVanishes, text);
        }
    }
}

/// Whether every volume is there that a task uses: it is destroyed only when none does.
fn volumes(cluster: &Cluster) {
    for (task, host, path) in cluster.truth.volumes_in_use() {
        if cluster.disk_of_host(&host).is_some_and(|disk| !disk.exists(&path)) {
            let text = format!("task {task} uses '{}' on {host}, which is gone", path.display());
            cluster.truth.violation(Invariant::ReservedStays, text);
        }
    }
}

/// Whether what operators have decided of agents is heeded.
fn out_of_service(cluster: &Cluster, master: SocketAddr, snapshot: &Snapshot) {
    for id in snapshot.gone_agents.keys().filter(|id| snapshot.agents.contains_key(*id)) {
        let text = format!("agent {id} was marked gone, and is registered with {master}");
        cluster.truth.violation(Invariant::GoneStaysGone, text);
    }
    for (id, activation) in snapshot.activations.iter() {
        let Some(agent) = snapshot.agents.get(id) else { continue };
        let drained = activation.drain.is_some_and(|drain| drain.state() == DrainState::Drained);
        let mut unfinished = 0;
        for (framework, task) in agent.tasks.keys() {
            // An agent that was away when its framework was ended and it was drained brings its tasks to a new leader, and
            // is told to end them, or has them drained once more.
            if cluster.truth.may_be_over(framework) {
                continue;
            }
            let framework = snapshot.frameworks.get(framework);
            let task = framework.and_then(|framework| framework.tasks.get(task));
            // One that is over may be there: a leader that has died had not told the agent that its end is acknowledged.
            if task.is_some_and(|task| !is_terminal(task.state())) {
                unfinished += 1;
            }
        }
        if drained && unfinished > 0 {
            let text = format!("agent {id} is drained for {master}, and has {unfinished} tasks");
            cluster.truth.violation(Invariant::DrainedIsEmpty, text);
        }
        if activation.deactivated && !agent.offers.is_empty() {
            let text = format!("agent {id} is deactivated for {master}, and offered");
            cluster.truth.violation(Invariant::OutOfServiceIsQuiet, text);
        }
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

/// What does not add up on an agent, where these frameworks may be over for some master.
fn wrong_with(
    agent: &master::cluster::Agent,
    snapshot: &Snapshot,
    may_be_over: impl Fn(&FrameworkId) -> bool,
) -> Option<String> {
    let sum = |sum: Resources, used: &Resources| sum + used;
    let used = agent.used.values().fold(Resources::default(), sum);
    // A master that ends a framework gives what its tasks have to others, before they have ended. The next leader may have
    // all of them from the agent's report (seed 702229).
    let held = agent.used.iter().filter(|(framework, _)| !may_be_over(framework));
    let held = held.map(|(_, used)| used).fold(Resources::default(), sum);
    let once = |resources: &Resources| each_once(&unallocated(resources));
    // A task may have been launched on what an operation before it has made, when neither has reached the agent and that
    // comes back without them. The books have its report then, and the task until the agent has said that it has none.
    let lost = (once(&held) - &agent.total).filter(Resource::is_dynamically_reserved);
    let taken = once(&(held + &agent.offered)) - &lost;
    if !agent.total.contains(&taken) {
        return Some(format!("{} used and {} offered of {}", used, agent.offered, agent.total));
    }
    let described = Resources::from_valid_protos(&agent.info.resources);
    let amounts = ResourceQuantities::from_resources(&agent.total.non_revocable());
    if amounts != ResourceQuantities::from_resources(&described) {
        return Some(format!(
            "it has {}, which is {amounts}, and has said that it has {described}",
            agent.total
        ));
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

/// What is shared counts once, however many have it.
pub(super) fn each_once(resources: &Resources) -> Resources {
    // A message does not say how many copies there are.
    resources.non_shared() + Resources::from_valid_protos(&resources.shared().to_protos())
}

pub(super) fn leader_of(snapshot: &Snapshot) -> Option<SocketAddr> {
    snapshot.master.leader.as_ref().and_then(election::info::address)
}
