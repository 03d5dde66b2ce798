//! The processes of a simulated cluster: masters, agents and schedulers, each with what starts it again when it has
//! ended, as an init system would.

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
use mesos::settings::{Outcome, Sources, load};
use mesos::v1;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::containers::{Host, HostContainerizer};
use super::mix;
use super::operator;
use super::plan::{Fault, Size, Way, Who};
use super::registry::SharedRegistry;
use super::truth::Truth;
use super::workload::{Book, Style, Wish, Workload, roles, wishes};

/// After how long the election takes a silent participant for dead.
const SESSION: Duration = Duration::from_secs(10);
/// After how long a process that has ended by itself is started again.
const RESTART: Duration = Duration::from_secs(3);

/// What an agent has.
const RESOURCES: &str = "cpus:4;mem:4096;disk:8192;ports:[31000-32000]";

/// A process that comes and goes.
#[derive(Default)]
struct Slot {
    /// Which of its lives this is; a new one begins when it starts.
    life: Cell<u64>,
    up: Cell<bool>,
}

struct MasterSlot {
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
    /// The master itself.
    pub master: Address<Master>,
    /// Its allocator.
    pub allocator: Address<Allocator>,
}

struct AgentSlot {
    slot: Slot,
    address: SocketAddr,
    group: SimulatedGroup,
    host: Host,
    mount: RefCell<Option<Mount>>,
}

struct SchedulerSlot {
    slot: Slot,
    address: SocketAddr,
    group: SimulatedGroup,
    wishes: Arc<[Wish]>,
    book: Arc<Mutex<Book>>,
}

/// The cluster. It is used through an `Rc`: what happens later holds it, too.
pub struct Cluster {
    /// Its network.
    pub network: Network,
    /// What really happens in it.
    pub truth: Truth,
    /// The registry's storage.
    pub registry: SharedRegistry,
    size: Size,
    masters: Vec<MasterSlot>,
    agents: Vec<AgentSlot>,
    schedulers: Vec<SchedulerSlot>,
    /// Sessions with the election of processes that are dead: nothing restores them.
    dead: RefCell<BTreeSet<u64>>,
    random: RefCell<SmallRng>,
    /// From now on nothing goes wrong any more.
    healing: Cell<bool>,
    quotas_reset: Cell<bool>,
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
                mount: RefCell::default(),
            }
        });
        let (masters, agents) = (masters.collect(), agents.collect());
        let schedulers = (0..size.frameworks).map(|number| SchedulerSlot {
            slot: Slot::default(),
            address: (host(3, number), 6000).into(),
            group: group.handle(&format!("s{number}")),
            wishes: wishes(number, &size, &mut random).into(),
            book: Arc::default(),
        });
        let schedulers = schedulers.collect();
        Rc::new(Cluster {
            network: network.clone(),
            truth,
            registry,
            size,
            masters,
            agents,
            schedulers,
            dead: RefCell::default(),
            random: RefCell::new(random),
            healing: Cell::new(false),
            quotas_reset: Cell::new(false),
        })
    }

    /// Starts everything.
    pub async fn start(self: &Rc<Self>) {
        for who in self.everybody() {
            self.start_process(who).await;
        }
    }

    /// Starts the operator, who draws from this seed.
    pub fn start_operator(self: &Rc<Self>, seed: u64) {
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            if let Err(error) = operator::run(Rc::clone(&cluster), seed).await {
                cluster.truth.violation(format!("the operator does not start: {error}"));
            }
        });
    }

    fn everybody(&self) -> Vec<Who> {
        let masters = (0..self.size.masters).map(Who::Master);
        let agents = (0..self.size.agents).map(Who::Agent);
        masters.chain(agents).chain((0..self.size.frameworks).map(Who::Scheduler)).collect()
    }

    /// The masters that run.
    pub fn masters(&self) -> Vec<RunningMaster> {
        let up = self.masters.iter().filter(|master| master.slot.up.get());
        let running = up.filter_map(|slot| {
            let (master, allocator) = slot.actors.borrow().clone()?;
            Some(RunningMaster { address: slot.address, master, allocator })
        });
        running.collect()
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

    /// The addresses of the agents.
    pub fn agents(&self) -> Vec<SocketAddr> {
        self.agents.iter().map(|agent| agent.address).collect()
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

    fn resolve(&self, who: Who) -> Who {
        if who == Who::Leader { Who::Master(self.leader()) } else { who }
    }

    fn slot(&self, who: Who) -> &Slot {
        match self.resolve(who) {
            Who::Agent(number) => &self.agents[number].slot,
            Who::Scheduler(number) => &self.schedulers[number].slot,
            Who::Master(number) => &self.masters[number].slot,
            Who::Leader => &self.masters[0].slot,
        }
    }

    fn address(&self, who: Who) -> SocketAddr {
        match self.resolve(who) {
            Who::Agent(number) => self.agents[number].address,
            Who::Scheduler(number) => self.schedulers[number].address,
            Who::Master(number) => self.masters[number].address,
            Who::Leader => self.masters[0].address,
        }
    }

    fn group(&self, who: Who) -> &SimulatedGroup {
        match self.resolve(who) {
            Who::Agent(number) => &self.agents[number].group,
            Who::Scheduler(number) => &self.schedulers[number].group,
            Who::Master(number) => &self.masters[number].group,
            Who::Leader => &self.masters[0].group,
        }
    }

    // ---- beginnings and ends

    async fn start_process(self: &Rc<Self>, who: Who) {
        let slot = self.slot(who);
        if slot.up.replace(true) {
            return;
        }
        slot.life.set(slot.life.get() + 1);
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
        let settings = master::Settings::default();
        let settings = master::Settings { hostname_lookup: false, ..settings };
        let builder = self.network.place(master::node(&settings), master.address, &format!("m{number}"));
        let node = builder.start().await.map_err(|error| error.to_string())?;
        let (group, storage) = (Arc::new(master.group.clone()), self.registry.of_master());
        let mut running = master::start_in_group(&node, settings, group, storage).await;
        *master.actors.borrow_mut() = Some((running.master.clone(), running.allocator().clone()));
        self.watch(Who::Master(number), async move { running.wait().await.to_string() });
        Ok(())
    }

    async fn start_agent(self: &Rc<Self>, number: usize) -> Result<(), String> {
        let agent = &self.agents[number];
        let settings = agent_settings(&agent.group, number)?;
        let mount = agent.host.disk().mount();
        *agent.mount.borrow_mut() = Some(mount.clone());
        let builder = agent::node(&settings).map_err(|error| error.to_string())?;
        let builder = self.network.place(builder, agent.address, &format!("a{number}"));
        let node = builder.disk(Arc::new(mount)).start().await.map_err(|error| error.to_string())?;
        let containerizer = node.spawn_numbered(HostContainerizer(agent.host.clone()));
        let containerizer = Containerizer::from(&containerizer);
        let started = agent::startup::start_with(&node, settings, containerizer).await;
        let mut running = started.map_err(|error| error.to_string())?;
        self.watch(Who::Agent(number), async move { format!("{:?}", running.wait().await) });
        Ok(())
    }

    async fn start_scheduler(self: &Rc<Self>, number: usize) -> Result<(), String> {
        let scheduler = &self.schedulers[number];
        let style = Style::of(number);
        let builder = self.network.node(scheduler.address, &format!("s{number}"));
        let node = builder.start().await.map_err(|error| error.to_string())?;
        let url = MasterUrl::Group(SharedGroup(Arc::new(scheduler.group.clone())));
        let mut options = Options::new(url, framework(number, style, &scheduler.book.lock()));
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
            network: self.network.clone(),
            ticks: 0,
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
    async fn end(self: &Rc<Self>, who: Who, how: Crash, down: Duration) {
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

    fn cut_sessions(&self, who: Who) -> Vec<u64> {
        let group = self.group(who);
        let sessions = group.own_sessions();
        sessions.iter().for_each(|session| group.cut(*session));
        sessions
    }

    fn restore_sessions(&self, who: Who, sessions: &[u64]) {
        let dead = self.dead.borrow();
        let living = sessions.iter().filter(|session| !dead.contains(session));
        living.for_each(|session| self.group(who).restore(*session));
    }

    // ---- faults

    /// Makes something go wrong, and counts it if that was to anybody's harm.
    pub async fn inflict(self: &Rc<Self>, fault: &Fault) {
        let happened = match fault {
            Fault::Break(one, other) => {
                let broken = self.network.break_connections(self.address(*one), self.address(*other));
                (broken > 0).then_some("connections broken")
            }
            Fault::Isolate(who, way, long) => {
                let who = self.resolve(*who);
                let others = self.everybody().into_iter().filter(|other| *other != who);
                let pairs: Vec<(Who, Who)> = others.map(|other| (who, other)).collect();
                let cut = self.cut(&pairs, *way, *long);
                self.session(who, *long);
                cut.then_some("host isolated")
            }
            Fault::Cut(one, other, way, long) => {
                let pair = (self.resolve(*one), self.resolve(*other));
                let both = *way == Way::Both;
                let kind = if both { "way cut in both directions" } else { "way cut in one direction" };
                self.cut(&[pair], *way, *long).then_some(kind)
            }
            Fault::Crash(who, down) => {
                let who = self.resolve(*who);
                let was_up = self.slot(who).up.get();
                self.end(who, Crash::Process, *down).await;
                let kind = match who {
                    Who::Agent(_) => "agent crashed",
                    Who::Scheduler(_) => "scheduler crashed",
                    Who::Master(_) | Who::Leader => "master crashed",
                };
                was_up.then_some(kind)
            }
            Fault::CrashExecutor(agent) => self.crash_executor(*agent).await.then_some("executor crashed"),
            Fault::PowerLoss(agent, down) => {
                self.lose_power(self.busy(*agent), *down).await.then_some("power lost")
            }
            Fault::Session(who, long) => {
                let kind = if *long > SESSION { "session expired" } else { "session interrupted" };
                self.session(self.resolve(*who), *long).then_some(kind)
            }
            Fault::Registry => {
                self.registry.fail_next();
                None
            }
            Fault::Disk(agent, long) => {
                self.break_disk(self.busy(*agent), *long);
                None
            }
            Fault::Storm(long) => {
                self.network.set_weather(Weather::storm());
                self.later(*long, |cluster| cluster.network.set_weather(Weather::default()));
                Some("storm")
            }
        };
        if let Some(kind) = happened {
            self.truth.count(kind);
        }
    }

    /// Does something later, unless everything was mended before.
    fn later(self: &Rc<Self>, after: Duration, undo: impl FnOnce(&Rc<Self>) + 'static) {
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            sleep(after).await;
            if !cluster.healing.get() {
                undo(&cluster);
            }
        });
    }

    /// Answers whether anything was connected there.
    fn cut(self: &Rc<Self>, pairs: &[(Who, Who)], way: Way, long: Duration) -> bool {
        let mut ways = Vec::new();
        let mut affected = 0;
        for (one, other) in pairs {
            let (one, other) = (self.address(*one).ip(), self.address(*other).ip());
            affected += self.network.connections(one, other);
            if way != Way::In {
                ways.push((one, other));
            }
            if way != Way::Out {
                ways.push((other, one));
            }
        }
        ways.iter().for_each(|(from, to)| self.network.cut(*from, *to));
        self.later(long, move |cluster| ways.iter().for_each(|(from, to)| cluster.network.mend(*from, *to)));
        affected > 0
    }

    /// A process does not reach the election. Answers whether it had a session.
    fn session(self: &Rc<Self>, who: Who, long: Duration) -> bool {
        self.group(who).set_reachable(false);
        let sessions = self.cut_sessions(who);
        let had = !sessions.is_empty();
        let cut = sessions.clone();
        if long > SESSION {
            // Whoever is cut off has heard of the election later than the election of it: there may be two leaders then.
            let early = Duration::from_millis(self.random.borrow_mut().random_range(0..4_000));
            self.later(SESSION - early, move |cluster| {
                cluster.group(who).expire_if_cut(&cut);
            });
        }
        self.later(long, move |cluster| {
            cluster.group(who).set_reachable(true);
            cluster.restore_sessions(who, &sessions);
        });
        had
    }

    /// An executor somewhere, first on this agent's host.
    async fn crash_executor(&self, agent: usize) -> bool {
        for number in (agent..self.size.agents).chain(0..agent) {
            if self.agents[number].host.crash_executor().await {
                return true;
            }
        }
        false
    }

    /// Answers whether anything was lost.
    async fn lose_power(self: &Rc<Self>, number: usize, down: Duration) -> bool {
        let agent = &self.agents[number];
        let who = Who::Agent(number);
        if agent.slot.up.get() {
            self.end(who, Crash::Host, down).await;
        }
        agent.host.lose_power().await;
        let lost = agent.host.disk().lose_power();
        self.network.note(format!("a{number} has lost {} files and {} names", lost.files, lost.names));
        self.later(down, move |cluster| cluster.network.power_on(cluster.agents[number].host.ip()));
        lost.files + lost.names > 0
    }

    /// The first agent from this one on whose host has something to lose.
    fn busy(&self, agent: usize) -> usize {
        let from_here = (agent..self.size.agents).chain(0..agent);
        let mut busy = from_here.filter(|number| self.agents[*number].host.containers() > 0);
        busy.next().unwrap_or(agent)
    }

    /// For so long, and until somebody has noticed.
    fn break_disk(self: &Rc<Self>, number: usize, long: Duration) {
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            let disk = cluster.agents[number].host.disk();
            disk.take_failures();
            disk.set_broken(Some("simulated failure"));
            let mut wait = long;
            while !cluster.healing.get() {
                sleep(wait).await;
                if disk.take_failures() > 0 {
                    cluster.truth.count("disk failed");
                    break;
                }
                wait = Duration::from_millis(250);
            }
            disk.set_broken(None);
        });
    }

    /// Ends all that goes wrong.
    pub fn heal(self: &Rc<Self>) {
        self.healing.set(true);
        self.network.note("everything is mended");
        self.network.mend_all();
        self.network.set_weather(Weather::default());
        self.registry.repair();
        for agent in &self.agents {
            self.network.power_on(agent.host.ip());
            agent.host.disk().set_broken(None);
        }
        for who in self.everybody() {
            let group = self.group(who);
            group.set_reachable(true);
            self.restore_sessions(who, &group.own_sessions());
        }
    }
}

/// What an agent reserves for roles.
fn reservations(number: usize) -> &'static str {
    match number % 4 {
        1 => ";cpus(a):1;mem(a):512",
        3 => ";cpus(b/y):0.5;mem(b/y):256;disk(b/y):100",
        _ => "",
    }
}

fn agent_settings(group: &SimulatedGroup, number: usize) -> Result<agent::Settings, String> {
    let arguments = [
        "--master=127.0.0.1:5050".to_owned(),
        "--work_dir=/var/lib/mesos".to_owned(),
        format!("--resources={RESOURCES}{}", reservations(number)),
        format!("--hostname=a{number}"),
        "--no-switch_user".to_owned(),
        "--containerizers=simulated".to_owned(),
    ];
    match load(Sources::arguments(arguments), agent::UNSUPPORTED).map_err(|error| error.to_string())? {
        Outcome::Run(loaded) => {
            let url = MasterUrl::Group(SharedGroup(Arc::new(group.clone())));
            Ok(agent::Settings { master: url.into(), ..loaded.settings })
        }
        _ => Err("an agent's settings are no settings".to_owned()),
    }
}

fn framework(number: usize, style: Style, book: &Book) -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability::Type};
    let mut capabilities = vec![Type::MultiRole];
    if style.partition_aware {
        capabilities.push(Type::PartitionAware);
    }
    if style.refines {
        capabilities.push(Type::ReservationRefinement);
    }
    v1::FrameworkInfo {
        user: "nobody".to_owned(),
        name: format!("f{number}"),
        id: book.framework.as_ref().map(mesos::FrameworkId::to_proto),
        failover_timeout: Some(24.0 * 3600.0),
        checkpoint: Some(style.checkpoint),
        roles: roles(number).iter().map(|role| (*role).to_owned()).collect(),
        capabilities: capabilities.into_iter().map(|kind| Capability { r#type: Some(kind.into()) }).collect(),
        ..Default::default()
    }
}
