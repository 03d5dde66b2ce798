//! The processes of a simulated cluster: masters, agents and schedulers, each with what starts it again when it has
//! ended, as an init system would. What goes wrong with them is in [`super::faults`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use agent::containerizer::Containerizer;
use allocator::Allocator;
use election::simulated::SimulatedGroup;
use election::{MasterUrl, SharedGroup};
use frameworks::scheduler::{self, Options};
use libprocess::Address;
use libprocess::simulation::{Crash, Mount, Network, SimulatedDisk, Weather};
use master::Master;
use mesos::{ExecutorId, FrameworkId};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use super::calls::Said;
use super::caretaker;
use super::checks::Checks;
use super::configuration::{agent_settings, framework, master_settings};
use super::containers::{Host, HostContainerizer};
use super::driver::Driver;
use super::invariant::Invariant;
use super::ledger::Ledger;
use super::listener::{self, Heard};
use super::mix;
use super::operator;
use super::plan::{Size, Who};
use super::reader;
use super::registry::SharedRegistry;
use super::truth::Truth;
use super::whitelist::Whitelist;
use super::workload::{Book, Style, Wish, Workload, wishes};

/// After how long the election takes a silent participant for dead.
pub(super) const SESSION: Duration = Duration::from_secs(10);
/// After how long a process that has ended by itself is started again.
pub(super) const RESTART: Duration = Duration::from_secs(3);

/// The port of schedulers that have not failed over.
const SCHEDULERS: u16 = 6000;

/// A process that comes and goes.
#[derive(Default)]
pub(super) struct Slot {
    /// Which of its lives this is; a new one begins when it starts.
    pub(super) life: Cell<u64>,
    pub(super) up: Cell<bool>,
    /// It does nothing for a while.
    pub(super) frozen: Cell<bool>,
}

pub(super) struct MasterSlot {
    slot: Slot,
    address: SocketAddr,
    group: SimulatedGroup,
    actors: RefCell<Option<(Address<Master>, Address<Allocator>)>>,
}

/// A master that runs.
#[derive(Clone)]
pub struct RunningMaster {
    /// Its address on the network.
    pub address: SocketAddr,
    /// Which of its lives this is.
    pub life: u64,
    /// The master itself.
    pub master: Address<Master>,
    /// Its allocator.
    pub allocator: Address<Allocator>,
}

pub(super) struct AgentSlot {
    pub(super) slot: Slot,
    pub(super) address: SocketAddr,
    group: SimulatedGroup,
    pub(super) host: Host,
    /// How often it was given more resources.
    pub(super) grown: Cell<u32>,
    /// Its disk fails at present.
    pub(super) broken: Cell<bool>,
    /// Itself, while it runs.
    pub(super) actor: RefCell<Option<Address<agent::Agent>>>,
    mount: RefCell<Option<Mount>>,
}

pub(super) struct SchedulerSlot {
    pub(super) slot: Slot,
    /// Of its latest life.
    pub(super) address: Cell<SocketAddr>,
    group: SimulatedGroup,
    wishes: Arc<[Wish]>,
    pub(super) book: Arc<Mutex<Book>>,
}

/// The cluster. It is used through an `Rc`: what happens later holds it, too.
pub struct Cluster {
    /// Its network.
    pub network: Network,
    /// What really happens in it.
    pub truth: Truth,
    /// What was reserved in it.
    pub ledger: Ledger,
    /// What an operator hears who listens.
    pub heard: RefCell<Heard>,
    /// The registry's storage.
    pub registry: SharedRegistry,
    /// The agents that may be offered.
    pub whitelist: Whitelist,
    /// The settings of every master.
    pub settings: master::Settings,
    /// What looks at the masters' books. Whoever holds the lock knows that no master is being asked.
    pub checks: tokio::sync::Mutex<Checks>,
    pub(super) size: Size,
    pub(super) masters: Vec<MasterSlot>,
    pub(super) agents: Vec<AgentSlot>,
    pub(super) schedulers: Vec<SchedulerSlot>,
    /// Sessions with the election of processes that are dead: nothing restores them.
    dead: RefCell<BTreeSet<u64>>,
    pub(super) random: RefCell<SmallRng>,
    /// From now on nothing goes wrong any more.
    pub(super) healing: Cell<bool>,
    quotas_reset: Cell<bool>,
    agents_settled: Cell<bool>,
}

fn host(kind: u8, number: usize) -> IpAddr {
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    [10, kind, number, 1].into()
}

impl Cluster {
    /// A cluster of which nothing runs yet.
    pub fn new(seed: u64, size: Size, network: &Network) -> Rc<Cluster> {
        let truth = Truth::new(network);
        let group = SimulatedGroup::new(SESSION);
        group.set_delays(mix(seed, 1), Duration::from_millis(400));
        let registry = SharedRegistry::new(mix(seed, 2), group.clone(), truth.clone());
        let mut random = SmallRng::seed_from_u64(mix(seed, 3));
        let masters = (0..size.masters).map(|number| MasterSlot {
            slot: Slot::default(),
            address: (host(1, number), 5050).into(),
            group: group.handle(&format!("m{number}")),
            actors: RefCell::default(),
        });
        let agents = (0..size.agents).map(|number| {
            let (name, ip) = (format!("a{number}"), host(2, number));
            let disk = SimulatedDisk::new(mix(seed, 100 + number as u64), network.now());
            AgentSlot {
                slot: Slot::default(),
                address: (ip, 5051).into(),
                group: group.handle(&name),
                host: Host::new(network, &truth, &name, ip, disk),
                grown: Cell::default(),
                broken: Cell::default(),
                actor: RefCell::default(),
                mount: RefCell::default(),
            }
        });
        let (masters, agents) = (masters.collect(), agents.collect());
        let schedulers = (0..size.frameworks).map(|number| SchedulerSlot {
            slot: Slot::default(),
            address: Cell::new((host(3, number), SCHEDULERS).into()),
            group: group.handle(&format!("s{number}")),
            wishes: wishes(number, &size, &mut random).into(),
            book: Arc::default(),
        });
        let schedulers = schedulers.collect();
        Rc::new(Cluster {
            network: network.clone(),
            truth,
            ledger: Ledger::default(),
            heard: RefCell::default(),
            registry,
            whitelist: Whitelist::new(
                mix(seed, 8),
                network,
                (0..size.agents).map(|number| format!("a{number}")),
            ),
            settings: master_settings(mix(seed, 9)),
            checks: tokio::sync::Mutex::default(),
            size,
            masters,
            agents,
            schedulers,
            dead: RefCell::default(),
            random: RefCell::new(random),
            healing: Cell::new(false),
            quotas_reset: Cell::new(false),
            agents_settled: Cell::new(false),
        })
    }

    /// Starts everything.
    pub async fn start(self: &Rc<Self>) {
        for who in self.everybody() {
            self.start_process(who).await;
        }
    }

    /// Starts the operators, who draw from these seeds.
    pub fn start_operators(self: &Rc<Self>, seeds: [u64; 4]) {
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            let [operator, caretaker, listener, reader] = seeds;
            let operator = operator::run(Rc::clone(&cluster), operator);
            let caretaker = caretaker::run(Rc::clone(&cluster), caretaker);
            let listener = listener::run(Rc::clone(&cluster), listener);
            let reader = reader::run(Rc::clone(&cluster), reader);
            if let Err(error) = futures::try_join!(operator, caretaker, listener, reader) {
                let text = format!("an operator does not start: {error}");
                cluster.truth.violation(Invariant::NothingPanics, text);
            }
        });
    }

    pub(super) fn everybody(&self) -> Vec<Who> {
        let masters = (0..self.size.masters).map(Who::Master);
        let agents = (0..self.size.agents).map(Who::Agent);
        masters.chain(agents).chain((0..self.size.frameworks).map(Who::Scheduler)).collect()
    }

    /// The masters that run, and are not frozen.
    pub fn masters(&self) -> Vec<RunningMaster> {
        let works = |slot: &Slot| slot.up.get() && !slot.frozen.get();
        let up = self.masters.iter().filter(|master| works(&master.slot));
        let running = up.filter_map(|slot| {
            let (master, allocator) = slot.actors.borrow().clone()?;
            Some(RunningMaster { address: slot.address, life: slot.slot.life.get(), master, allocator })
        });
        running.collect()
    }

    /// Whether the master at an address does not run.
    pub fn has_ended(&self, master: SocketAddr) -> bool {
        !self.masters.iter().any(|slot| slot.address == master && slot.slot.up.get())
    }

    /// The addresses of the masters.
    pub fn master_addresses(&self) -> Vec<SocketAddr> {
        self.masters.iter().map(|master| master.address).collect()
    }

    /// Where whoever leads is reached.
    pub fn leading_address(&self) -> SocketAddr {
        self.masters[self.leader()].address
    }

    /// Whether nothing goes wrong any more.
    pub fn is_healing(&self) -> bool {
        self.healing.get()
    }

    /// No role has a quota any more.
    pub fn set_quotas_reset(&self) {
        self.quotas_reset.set(true);
    }

    /// Whether the operator has taken all quotas away.
    pub fn are_quotas_reset(&self) -> bool {
        self.quotas_reset.get()
    }

    /// Every agent is in service again that shall be.
    pub fn set_agents_settled(&self) {
        self.agents_settled.set(true);
    }

    /// Whether the caretaker has done its work.
    pub fn are_agents_settled(&self) -> bool {
        self.agents_settled.get()
    }

    /// The addresses of the agents.
    pub fn agents(&self) -> Vec<SocketAddr> {
        self.agents.iter().map(|agent| agent.address).collect()
    }

    /// The disk of the agent at this address, unless it is broken: whoever reads it then would count as harmed.
    pub fn disk_of(&self, address: SocketAddr) -> Option<Mount> {
        let agent = self.agents.iter().find(|agent| agent.address == address)?;
        (!agent.broken.get()).then(|| agent.host.disk().mount())
    }

    /// The disk of a host that has an agent, by its name, unless it is broken.
    pub fn disk_of_host(&self, name: &str) -> Option<Mount> {
        let number: usize = name.strip_prefix('a')?.parse().ok()?;
        self.disk_of(self.agents.get(number)?.address)
    }

    /// The frameworks' own executors on the host of the agent at this address.
    pub fn executors_at(&self, address: SocketAddr) -> BTreeSet<(FrameworkId, ExecutorId)> {
        let agent = self.agents.iter().find(|agent| agent.address == address);
        agent.map(|agent| agent.host.executors()).unwrap_or_default()
    }

    /// The agent that runs at an address, by number, if any does and is not frozen.
    fn running_agent(&self, address: SocketAddr) -> Option<usize> {
        let number = self.agents.iter().position(|agent| agent.address == address)?;
        let slot = &self.agents[number].slot;
        (slot.up.get() && !slot.frozen.get()).then_some(number)
    }

    /// If nothing keeps the agent at this address from the leader: which of its lives that is.
    pub fn in_touch(&self, agent: SocketAddr, leader: SocketAddr) -> Option<u64> {
        let AgentSlot { slot, group, .. } = &self.agents[self.running_agent(agent)?];
        let is_cut = |from: SocketAddr, to: SocketAddr| self.network.is_cut(from.ip(), to.ip());
        let is_fragile = |from, to| self.network.is_fragile(from, to);
        let free = !is_cut(agent, leader) && !is_cut(leader, agent) && group.is_reachable();
        let holds = !is_fragile(agent, leader) && !is_fragile(leader, agent);
        let calm = self.network.weather() == Weather::default() && !self.registry.is_slow();
        (free && holds && calm).then(|| slot.life.get())
    }

    /// What the frameworks have written down, and what they want.
    pub fn books(&self) -> impl Iterator<Item = (&Arc<Mutex<Book>>, &[Wish])> {
        self.schedulers.iter().map(|scheduler| (&scheduler.book, &*scheduler.wishes))
    }

    fn leader(&self) -> usize {
        let members = self.masters[0].group.members();
        let first = members.first().and_then(|(_, data)| election::info::from_json(data).ok());
        let address = first.and_then(|info| election::info::address(&info));
        self.masters.iter().position(|master| Some(master.address) == address).unwrap_or(0)
    }

    pub(super) fn resolve(&self, who: Who) -> Who {
        if who == Who::Leader { Who::Master(self.leader()) } else { who }
    }

    pub(super) fn slot(&self, who: Who) -> &Slot {
        match self.resolve(who) {
            Who::Agent(number) => &self.agents[number].slot,
            Who::Scheduler(number) => &self.schedulers[number].slot,
            Who::Master(number) => &self.masters[number].slot,
            Who::Leader => &self.masters[0].slot,
        }
    }

    pub(super) fn address(&self, who: Who) -> SocketAddr {
        match self.resolve(who) {
            Who::Agent(number) => self.agents[number].address,
            Who::Scheduler(number) => self.schedulers[number].address.get(),
            Who::Master(number) => self.masters[number].address,
            Who::Leader => self.masters[0].address,
        }
    }

    pub(super) fn group(&self, who: Who) -> &SimulatedGroup {
        match self.resolve(who) {
            Who::Agent(number) => &self.agents[number].group,
            Who::Scheduler(number) => &self.schedulers[number].group,
            Who::Master(number) => &self.masters[number].group,
            Who::Leader => &self.masters[0].group,
        }
    }

    // ---- beginnings and ends

    pub(super) async fn start_process(self: &Rc<Self>, who: Who) {
        let slot = self.slot(who);
        if slot.up.replace(true) {
            return;
        }
        slot.life.set(slot.life.get() + 1);
        slot.frozen.set(false);
        self.network.note(format!("{who} starts"));
        let started = match who {
            Who::Leader => Ok(()),
            Who::Master(number) => self.start_master(number).await,
            Who::Agent(number) => self.start_agent(number).await,
            Who::Scheduler(number) => self.start_scheduler(number).await,
        };
        if let Err(error) = started {
            self.network.note(format!("{who} does not start: {error}"));
            self.end(who, Crash::Process, RESTART).await;
        }
    }

    async fn start_master(self: &Rc<Self>, number: usize) -> Result<(), String> {
        let master = &self.masters[number];
        let settings = self.settings.clone();
        let builder = self.network.place(master::node(&settings), master.address, &format!("m{number}"));
        let node = builder.disk(Arc::new(self.whitelist.mount())).start().await;
        let node = node.map_err(|error| error.to_string())?;
        let (group, storage) = (Arc::new(master.group.clone()), self.registry.of_master(master.address));
        let mut running = master::start_in_group(&node, settings, group, storage).await;
        *master.actors.borrow_mut() = Some((running.master.clone(), running.allocator().clone()));
        self.watch(Who::Master(number), async move { running.wait().await.to_string() });
        Ok(())
    }

    async fn start_agent(self: &Rc<Self>, number: usize) -> Result<(), String> {
        let agent = &self.agents[number];
        let settings = agent_settings(&agent.group, number, agent.grown.get())?;
        let mount = agent.host.disk().mount();
        *agent.mount.borrow_mut() = Some(mount.clone());
        let builder = agent::node(&settings).map_err(|error| error.to_string())?;
        let builder = self.network.place(builder, agent.address, &format!("a{number}"));
        let node = builder.disk(Arc::new(mount)).start().await.map_err(|error| error.to_string())?;
        let containerizer = node.spawn_numbered(HostContainerizer(agent.host.clone()));
        let containerizer = Containerizer::from(&containerizer);
        let started = agent::startup::start_with(&node, settings, containerizer).await;
        let mut running = started.map_err(|error| error.to_string())?;
        agent.actor.replace(Some(running.agent.clone()));
        self.watch(Who::Agent(number), async move { format!("{:?}", running.wait().await) });
        Ok(())
    }

    pub(super) async fn start_scheduler(self: &Rc<Self>, number: usize) -> Result<(), String> {
        let scheduler = &self.schedulers[number];
        let style = Style::of(number);
        let builder = self.network.node(scheduler.address.get(), &format!("s{number}"));
        // A driver has another pid in each of its lives.
        let driver = format!("scheduler-{}", scheduler.slot.life.get());
        let node = builder.delegate(&driver).start().await.map_err(|error| error.to_string())?;
        let mut url = MasterUrl::Group(SharedGroup(Arc::new(scheduler.group.clone())));
        if style.driver {
            node.spawn_as(&driver, Driver::new(url));
            url = MasterUrl::Standalone(node.address().to_string());
        }
        let book = scheduler.book.lock();
        let said = Said::draw(number, style, &book, self.size.agents, &mut self.random.borrow_mut());
        let mut options = Options::new(url, framework(number, style, &book));
        drop(book);
        said.tell(&mut options);
        for (is_said, what) in [
            (!said.suppressed.is_empty(), "subscriptions with suppressed roles"),
            (said.avoided.is_some(), "subscriptions with offer constraints"),
        ] {
            if is_said {
                self.truth.count(what);
            }
        }
        options.explicit_acknowledgements = style.explicit;
        if number % 5 == 3 {
            options.media = mesos::MediaType::Json;
        }
        let workload = Workload {
            number,
            style,
            wishes: scheduler.wishes.clone(),
            book: scheduler.book.clone(),
            truth: self.truth.clone(),
            ledger: self.ledger.clone(),
            said,
            random: SmallRng::from_rng(&mut *self.random.borrow_mut()),
            network: self.network.clone(),
            ticks: 0,
            agents: self.size.agents,
            until: self.size.trouble,
            releases: self.settings.max_executors_per_agent.is_some(),
            kept: Vec::new(),
        };
        let (_, ended) = scheduler::start(&node, options, workload);
        self.watch(Who::Scheduler(number), async move {
            match ended.await {
                Ok(Err(error)) => error.to_string(),
                Ok(Ok(_)) | Err(_) => "ended".to_owned(),
            }
        });
        Ok(())
    }

    /// When a process ends by itself, it is started again.
    fn watch(self: &Rc<Self>, who: Who, end: impl Future<Output = String> + 'static) {
        let (cluster, life) = (Rc::clone(self), self.slot(who).life.get());
        libprocess::simulation::spawn(async move {
            let why = end.await;
            let slot = cluster.slot(who);
            if slot.up.get() && slot.life.get() == life {
                cluster.network.note(format!("{who} ends: {why}"));
                cluster.truth.count("processes ended by themselves");
                cluster.end(who, Crash::Process, RESTART).await;
            }
        });
    }

    /// Ends a process; it is back after `down`.
    pub(super) async fn end(self: &Rc<Self>, who: Who, how: Crash, down: Duration) {
        let who = self.resolve(who);
        let slot = self.slot(who);
        if !slot.up.replace(false) {
            return;
        }
        // A dead process writes nothing, and its session ends by time-out.
        if let Who::Agent(number) = who
            && let Some(mount) = self.agents[number].mount.take()
        {
            mount.revoke();
        }
        if let Who::Agent(number) = who {
            self.agents[number].actor.take();
        }
        if let Who::Master(number) = who {
            self.masters[number].actors.take();
        }
        let sessions = self.cut_sessions(who);
        self.dead.borrow_mut().extend(&sessions);
        self.network.crash(self.address(who), how).await;
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            sleep(SESSION).await;
            cluster.group(who).expire_if_cut(&sessions);
        });
        let (cluster, life) = (Rc::clone(self), slot.life.get());
        libprocess::simulation::spawn(async move {
            sleep(down).await;
            let slot = cluster.slot(who);
            if !slot.up.get() && slot.life.get() == life {
                cluster.start_process(who).await;
            }
        });
    }

    pub(super) fn cut_sessions(&self, who: Who) -> Vec<u64> {
        let group = self.group(who);
        let sessions = group.own_sessions();
        sessions.iter().for_each(|session| group.cut(*session));
        sessions
    }

    pub(super) fn restore_sessions(&self, who: Who, sessions: &[u64]) {
        let dead = self.dead.borrow();
        let living = sessions.iter().filter(|session| !dead.contains(session));
        living.for_each(|session| self.group(who).restore(*session));
    }
}
