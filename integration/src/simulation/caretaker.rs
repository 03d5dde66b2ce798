//! The operator who looks after the agents of a simulated cluster: takes some out of service for a while, some for ever, and
//! has machines [maintained](super::machines), and says which may be offered, while things go wrong. When everything is
//! mended, all but a few are in service again, and what was planned last is there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use libprocess::Node;
use master::TakeSnapshot;
use master::registrar::Activation;
use mesos::AgentId;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::cluster::Cluster;
use super::decisions::{Ask, Fate, Setting};
use super::machines::Machines;
use super::operator::{RETRY, UNDER_WAY, decide};

/// Where it is.
const ADDRESS: ([u8; 4], u16) = ([10, 4, 0, 2], 7000);
/// One in so many agents, at most, is told at a time not to be offered, and is left so at the end.
const OUT: usize = 5;
/// One in so many agents, at most, is told in all that it will not be back.
const GONE: usize = 10;
/// How often to look whether an agent is gone.
const LOOK: Duration = Duration::from_secs(2);

/// What it has done.
pub(super) struct Caretaker {
    pub(super) cluster: Rc<Cluster>,
    pub(super) node: Node,
    pub(super) random: SmallRng,
    pub(super) machines: Machines,
    /// Agents that may be out of service, and whether it knows that they are.
    out: BTreeMap<AgentId, bool>,
    /// Agents that may be gone for ever.
    gone: BTreeSet<AgentId>,
}

/// Works until everything is in service again that shall be, after everything is mended.
///
/// # Errors
/// If its node does not start.
pub async fn run(cluster: Rc<Cluster>, seed: u64) -> Result<(), String> {
    let address = SocketAddr::from(ADDRESS);
    let node = cluster.network.node(address, "care").start().await.map_err(|error| error.to_string())?;
    let random = SmallRng::seed_from_u64(seed);
    let (machines, out, gone) = (Machines::default(), BTreeMap::new(), BTreeSet::new());
    let mut caretaker = Caretaker { cluster, node, random, machines, out, gone };
    while !caretaker.cluster.is_healing() {
        sleep(Duration::from_millis(caretaker.random.random_range(3_000..20_000))).await;
        // A machine is not down for long.
        let often = if caretaker.has_machines_down() { 3 } else { 5 };
        match caretaker.random.random_range(0..=often) {
            0 => caretaker.maintain().await,
            1 => caretaker.list(),
            _ => caretaker.look_after_agents().await,
        }
    }
    sleep(UNDER_WAY).await;
    caretaker.settle().await;
    Ok(())
}

impl Caretaker {
    /// Says which agents may be offered: mostly all but a few.
    fn list(&mut self) {
        let hosts: Vec<&String> = self.cluster.whitelist.hosts().collect();
        let count = self.random.random_range(0..=(hosts.len() / OUT).max(1));
        let left_out = hosts.choose_multiple(&mut self.random, count);
        let left_out: BTreeSet<String> = left_out.map(|host| (*host).clone()).collect();
        self.cluster.network.note(format!("agents are listed, but not {left_out:?}"));
        self.cluster.whitelist.leave_out(left_out, self.cluster.network.elapsed());
    }

    /// Takes an agent out of service, or back.
    async fn look_after_agents(&mut self) {
        let agents = self.cluster.agents().len();
        let is_full = self.out.len() >= (agents / OUT).max(1);
        if is_full || (!self.out.is_empty() && self.random.random_range(0..4) == 0) {
            let out: Vec<AgentId> = self.out.keys().cloned().collect();
            if let Some(id) = out.choose(&mut self.random).cloned() {
                self.take_back(&id).await;
            }
            return;
        }
        let mut known = Vec::new();
        self.cluster.registry.told(|told| known.extend(told.agents().cloned()));
        known.retain(|id| !self.gone.contains(id));
        let Some(id) = known.choose(&mut self.random).cloned() else { return };
        let may_end = self.gone.len() < (agents / GONE).max(1);
        let fate = match self.random.random_range(0..8) {
            0 if may_end => Fate::Gone,
            1 if may_end => Fate::DrainedAndGone,
            0..=4 => Fate::Drained,
            _ => Fate::Deactivated,
        };
        self.take_out(&id, fate).await;
    }

    async fn take_out(&mut self, id: &AgentId, fate: Fate) {
        if fate.ends() {
            self.gone.insert(id.clone());
            self.out.remove(id);
            self.replace_when_gone(id);
        } else {
            self.out.insert(id.clone(), false);
        }
        match self.ask(id, fate).await {
            Some(200) => {
                if let Some(known) = self.out.get_mut(id) {
                    *known = true;
                }
                self.cluster.truth.count(match fate {
                    Fate::Gone => "agents marked gone",
                    Fate::DrainedAndGone => "agents drained to be gone",
                    Fate::Drained => "agents drained",
                    Fate::Deactivated | Fate::Active => "agents deactivated",
                });
            }
            // It is not there any more, say.
            Some(400..500) => drop(self.out.remove(id)),
            _ => {}
        }
    }

    /// Whether it is in service again, or not there any more.
    async fn take_back(&mut self, id: &AgentId) -> bool {
        let done = self.ask(id, Fate::Active).await == Some(200);
        if done {
            self.cluster.truth.count("agents reactivated");
        }
        // Another request for it, or another agent on its host, may have come before this.
        let activation = self.cluster.registry.activation(id).unwrap_or_default();
        let is_back = done || activation == Activation::default();
        if is_back {
            self.out.remove(id);
        } else {
            self.out.insert(id.clone(), false);
        }
        is_back
    }

    /// An agent that was being drained, and whose host has become another one, will be unreachable for ever, and never
    /// drained: all that can be done is to mark it gone.
    async fn give_up(&mut self, id: &AgentId) -> bool {
        let mut host = None;
        self.cluster.registry.told(|told| host = told.host_of(id).map(str::to_owned));
        let is_lost = self.cluster.registry.holds(&format!("unreachable/{id}"))
            && host.is_some_and(|host| self.cluster.is_another(&host, id));
        is_lost && self.ask(id, Fate::Gone).await == Some(200)
    }

    /// Whether an agent will be drained only after the run.
    async fn has_orphans(&self, id: &AgentId) -> bool {
        for running in self.cluster.masters() {
            if let Ok(snapshot) = running.master.ask(TakeSnapshot).await
                && let Some(agent) = snapshot.agents.get(id)
                && self.cluster.truth.has_orphans(agent)
            {
                self.cluster.truth.count("agents that wait for a framework that is over");
                return true;
            }
        }
        false
    }

    async fn ask(&mut self, id: &AgentId, fate: Fate) -> Option<u16> {
        let seconds = self.random.random_range(0..30);
        let setting = [Setting::Agent(id.clone(), fate)];
        decide(&self.cluster, &self.node, &setting, Ask::fate(id, fate, seconds)).await
    }

    /// When the agent is gone, another one takes its place after a while. Until then it may try to come back.
    fn replace_when_gone(&mut self, id: &AgentId) {
        let (cluster, id) = (Rc::clone(&self.cluster), id.clone());
        let mut host = None;
        cluster.registry.told(|told| host = told.host_of(&id).map(str::to_owned));
        let Some(host) = host else { return };
        let after = Duration::from_millis(self.random.random_range(0..20_000));
        libprocess::simulation::spawn(async move {
            loop {
                sleep(LOOK).await;
                if cluster.registry.holds(&format!("gone/{id}")) {
                    cluster.replace(&host, &id, after).await;
                }
            }
        });
    }

    /// Everything is mended: all but a few agents are in service again, and what was planned is there.
    async fn settle(&mut self) {
        self.cluster.whitelist.leave_out(BTreeSet::new(), self.cluster.network.elapsed());
        self.settle_machines().await;
        let mut stay = (self.cluster.agents().len() / GONE).max(1);
        let out: Vec<(AgentId, bool)> = self.out.iter().map(|(id, known)| (id.clone(), *known)).collect();
        for (id, known) in out {
            if known && stay > 0 {
                stay -= 1;
                continue;
            }
            // One that is being drained is asked for again.
            while !self.take_back(&id).await && !self.give_up(&id).await && !self.has_orphans(&id).await {
                sleep(RETRY).await;
            }
        }
        self.cluster.network.note("the caretaker has done its work");
        self.cluster.set_agents_settled();
    }
}
