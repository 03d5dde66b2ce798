//! What happens to a cluster under fire, when, and to whom: drawn from a seed.
//!
//! Faults come in lanes that go on beside each other: one for masters, one for agents, one for executors and
//! schedulers, one for the store. So two may coincide, but a master is not killed while another one is cut off, and the
//! store keeps its majority. A lane is a sequence of rounds; in each round each of its faults happens once, in an order
//! of chance. The first round is always finished.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use libprocess::subprocess::send_signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, PINGS, Place, SESSION};
use super::ground;
use super::store::Store;
use crate::wait;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// SIGKILL, and a restart.
    Kill,
    /// SIGSTOP for less than the time after which it is missed.
    Pause,
    /// SIGSTOP for longer.
    Freeze,
    /// Its host's link is down.
    CutOff,
    /// What it sends to one of the agents gets lost.
    LoseAgent,
    /// What it sends to the store gets lost, and nothing else: agents and schedulers still reach it.
    LoseStore,
    /// Its disk is full: an agent's. What these masters have to remember is in the store.
    FillDisk,
}

/// To whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The master that leads.
    Leader,
    /// A master that does not.
    Standby,
    /// An agent.
    Agent,
    /// An executor.
    Executor,
    /// A framework's scheduler.
    Scheduler,
    /// The server of the store that leads the others.
    StoreLeader,
}

/// A kind of fault.
pub type Fault = (Deed, Victim);

use Deed::{CutOff, FillDisk, Freeze, Kill, LoseAgent, LoseStore, Pause};

/// Of each lane the faults that are possible everywhere.
const MASTERS: [Fault; 6] = [
    (Kill, Victim::Leader),
    (Pause, Victim::Leader),
    (Freeze, Victim::Leader),
    (Kill, Victim::Standby),
    (Pause, Victim::Standby),
    (Freeze, Victim::Standby),
];
const AGENTS: [Fault; 3] = [(Kill, Victim::Agent), (Pause, Victim::Agent), (Freeze, Victim::Agent)];
const CLIENTS: [Fault; 6] = [
    (Kill, Victim::Executor),
    (Pause, Victim::Executor),
    (Freeze, Victim::Executor),
    (Kill, Victim::Scheduler),
    (Pause, Victim::Scheduler),
    (Freeze, Victim::Scheduler),
];
const STORE: [Fault; 3] =
    [(Kill, Victim::StoreLeader), (Pause, Victim::StoreLeader), (Freeze, Victim::StoreLeader)];
/// And those that need a divided ground.
const MASTERS_DIVIDED: [Fault; 4] = [
    (CutOff, Victim::Leader),
    (CutOff, Victim::Standby),
    (LoseAgent, Victim::Leader),
    (LoseStore, Victim::Leader),
];
const AGENTS_DIVIDED: [Fault; 2] = [(CutOff, Victim::Agent), (FillDisk, Victim::Agent)];

/// How long each lane rests between two faults, in milliseconds. The store rests longer: whenever etcd changes its
/// leader it gives all leases their whole time again, and who has died with one leads on.
const RESTS: [(u64, u64); 4] = [(300, 1200), (300, 1200), (300, 1200), (2000, 5000)];

/// How often each kind has happened.
pub type Counts = BTreeMap<Fault, usize>;

/// Strikes at everything for this long (longer if there are kinds that have not happened yet), and mends it. Returns
/// how often each kind happened; a kind that should have and did not is there with 0.
pub async fn rain(cluster: &Cluster, store: &mut Store, divided: bool, seed: u64, time: Duration) -> Counts {
    let until = Instant::now() + time;
    let more = |more: &[Fault]| if divided { more.to_vec() } else { Vec::new() };
    let kinds = [
        [&MASTERS[..], &more(&MASTERS_DIVIDED)].concat(),
        [&AGENTS[..], &more(&AGENTS_DIVIDED)].concat(),
        CLIENTS.to_vec(),
        STORE.to_vec(),
    ];
    let counts: Counts = kinds.iter().flatten().map(|fault| (*fault, 0)).collect();
    let counts = RefCell::new(counts);
    let store = RefCell::new(store);
    let lanes = kinds.into_iter().zip(RESTS).zip(1..).map(|((kinds, rests), lane)| {
        let chance = StdRng::seed_from_u64(seed.wrapping_mul(16).wrapping_add(lane));
        Lane { cluster, store: &store, counts: &counts, kinds, rests, chance }.run(until)
    });
    futures::future::join_all(lanes).await;
    counts.into_inner()
}

struct Lane<'a> {
    cluster: &'a Cluster,
    /// Used by one lane only.
    store: &'a RefCell<&'a mut Store>,
    counts: &'a RefCell<Counts>,
    kinds: Vec<Fault>,
    rests: (u64, u64),
    chance: StdRng,
}

impl Lane<'_> {
    async fn run(mut self, until: Instant) {
        loop {
            let mut round = self.kinds.clone();
            while !round.is_empty() {
                let first = self.kinds.iter().any(|kind| self.counts.borrow()[kind] == 0);
                if Instant::now() >= until && !first {
                    return;
                }
                self.rest(self.rests.0..self.rests.1).await;
                let fault = round.swap_remove(self.chance.random_range(0..round.len()));
                self.strike(fault).await;
                self.cluster.note(&format!("{}: over", Shown(fault)));
                *self.counts.borrow_mut().entry(fault).or_default() += 1;
            }
        }
    }

    fn milliseconds(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.chance.random_range(range))
    }

    async fn rest(&mut self, range: std::ops::Range<u64>) {
        let rest = self.milliseconds(range);
        sleep(rest).await;
    }

    /// Longer than it takes to be missed.
    fn long(&mut self, missed: Duration) -> Duration {
        missed + self.milliseconds(500..2000)
    }

    async fn strike(&mut self, (deed, victim): Fault) {
        self.cluster.note(&format!("{}", Shown((deed, victim))));
        match victim {
            Victim::Leader | Victim::Standby => {
                let leader = self.leader().await;
                let others: Vec<usize> =
                    (0..self.cluster.masters.len()).filter(|index| *index != leader).collect();
                let standby = others[self.chance.random_range(0..others.len())];
                let index = if victim == Victim::Leader { leader } else { standby };
                self.strike_daemon(deed, &self.cluster.masters[index], SESSION).await;
            }
            Victim::Agent if deed == Deed::FillDisk => {
                let last = self.cluster.agents.len() - 1;
                self.fill(&self.cluster.agents[last].work_dir).await;
            }
            Victim::Agent => {
                let index = self.chance.random_range(0..self.cluster.agents.len());
                self.strike_daemon(deed, &self.cluster.agents[index], PINGS).await;
            }
            Victim::Executor => self.strike_executor(deed).await,
            Victim::Scheduler => {
                let index = self.chance.random_range(0..self.cluster.schedulers.len());
                self.strike_process(deed, self.cluster.schedulers[index].0, SESSION).await;
            }
            Victim::StoreLeader => self.strike_store(deed).await,
        }
    }

    async fn leader(&self) -> usize {
        wait::until("a leader to strike at", async || self.cluster.leader().await.ok_or("nobody leads")).await
    }

    async fn strike_daemon(&mut self, deed: Deed, place: &Place, missed: Duration) {
        match deed {
            Deed::CutOff => {
                // Sometimes for so short a time that nobody is missed.
                let time = self.milliseconds(500..1000) + missed * self.chance.random_range(0..3);
                place.host.cut_off();
                sleep(time).await;
                place.host.join();
            }
            Deed::LoseAgent => {
                let agent = self.chance.random_range(0..self.cluster.agents.len());
                let agent = self.cluster.agents[agent].host.address.ip();
                self.lose(place, agent, missed).await;
            }
            Deed::LoseStore => self.lose(place, ground::STORE.into(), missed).await,
            _ => self.strike_process(deed, place.name, missed).await,
        }
    }

    /// What a daemon sends to `other` gets lost for a while.
    async fn lose(&mut self, place: &Place, other: IpAddr, missed: Duration) {
        let time = self.long(missed);
        place.host.lose(other);
        sleep(time).await;
        place.host.find(other);
    }

    async fn strike_process(&mut self, deed: Deed, name: super::init::Name, missed: Duration) {
        if deed == Deed::Kill {
            let rest = self.milliseconds(0..1500);
            self.cluster.init.kill(name, rest);
            return;
        }
        let time = if deed == Deed::Pause { self.milliseconds(200..1000) } else { self.long(missed) };
        self.cluster.init.freeze(name);
        sleep(time).await;
        self.cluster.init.resume(name);
    }

    async fn strike_executor(&mut self, deed: Deed) {
        let executors = wait::until("an executor to strike at", async || {
            let executors = self.cluster.executors();
            if executors.is_empty() { Err("there is none") } else { Ok(executors) }
        })
        .await;
        let pid = executors[self.chance.random_range(0..executors.len())];
        if deed == Deed::Kill {
            send_signal(pid, Signal::KILL);
            return;
        }
        let time = if deed == Deed::Pause { self.milliseconds(200..1000) } else { self.long(SESSION) };
        send_signal(pid, Signal::STOP);
        sleep(time).await;
        send_signal(pid, Signal::CONT);
    }

    /// One server at a time, and back before the next: two of three are a majority.
    #[allow(clippy::await_holding_refcell_ref, reason = "no other lane uses the store")]
    async fn strike_store(&mut self, deed: Deed) {
        let times = [self.milliseconds(0..1500), self.milliseconds(200..1000), self.long(SESSION)];
        let mut store = self.store.borrow_mut();
        let leader = store.leader().await;
        match deed {
            Deed::Kill => {
                store.crash(leader);
                sleep(times[0]).await;
                store.restart(leader);
            }
            _ => {
                store.freeze(leader);
                sleep(if deed == Deed::Pause { times[1] } else { times[2] }).await;
                store.resume(leader);
            }
        }
        store.wait_for(leader).await;
    }

    /// Fills a disk to the last byte, and frees it again.
    async fn fill(&mut self, disk: &Path) {
        let filler = disk.join("filler");
        let time = self.milliseconds(2000..4000);
        let until = Instant::now() + time;
        let mut file = std::fs::File::create(&filler).expect("a disk that has room");
        // What is freed meanwhile is filled, too.
        while Instant::now() < until {
            fill_up(&mut file);
            sleep(Duration::from_millis(100)).await;
        }
        std::fs::remove_file(&filler).expect("it is ours");
    }
}

/// Writes until there is no room.
fn fill_up(file: &mut std::fs::File) {
    use std::io::Write;
    for size in [1 << 16, 1 << 12, 1] {
        while file.write(&vec![0; size]).is_ok_and(|written| written > 0) {}
    }
}

/// `leader killed`
#[derive(Clone, Copy, Debug)]
pub struct Shown(pub Fault);

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deed, victim) = self.0;
        let victim = match victim {
            Victim::Leader => "leader",
            Victim::Standby => "standby",
            Victim::Agent => "agent",
            Victim::Executor => "executor",
            Victim::Scheduler => "scheduler",
            Victim::StoreLeader => "store's leader",
        };
        let deed = match deed {
            Deed::Kill => "killed",
            Deed::Pause => "paused",
            Deed::Freeze => "frozen",
            Deed::CutOff => "cut off",
            Deed::LoseAgent => "not reaching an agent",
            Deed::LoseStore => "not reaching the store",
            Deed::FillDisk => "with a full disk",
        };
        write!(formatter, "{victim} {deed}")
    }
}
