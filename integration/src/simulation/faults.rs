//! How things go wrong in a simulated cluster, and are mended.

use std::rc::Rc;
use std::time::Duration;

use agent::executors::shutdown::Leave;
use libprocess::disk::Disk as _;
use libprocess::simulation::{Crash, Torn, Weather};
use mesos::AgentId;
use rand::Rng;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::cluster::{Cluster, RESTART, SESSION, SchedulerSlot};
use super::configuration::agent_id_link;
use super::plan::{Fault, Host, Step, TIMED_OUT, Way, Who};
use super::registry::When;

/// Agents that are lost together.
const RACK: usize = 4;
/// After how long a fault that has harmed nobody is made again.
const AGAIN: Duration = Duration::from_secs(2);
/// How often an agent's executors end at most until its fragile connection has broken.
const CRASHES: u32 = 10;
/// How often to look whether something has happened that something else depends on.
const LOOK: Duration = Duration::from_millis(250);
/// How long a leader whose write is late does not reach the election, at most.
const LATE: Duration = Duration::from_secs(15);
/// How late a process learns what became of its session while it did nothing, in milliseconds.
const LEARNS: std::ops::Range<u64> = 0..4_000;

impl Cluster {
    /// Makes something go wrong, and counts it if that was to anybody's harm. If it was not (who should die is dead, say),
    /// it goes wrong again a little later.
    pub async fn inflict(self: &Rc<Self>, fault: &Fault) {
        if self.make(fault).await || fault.waits() {
            return;
        }
        let (cluster, fault) = (Rc::clone(self), fault.clone());
        libprocess::simulation::spawn(async move {
            while !cluster.healing.get() {
                sleep(AGAIN).await;
                if cluster.healing.get() || cluster.make(&fault).await {
                    return;
                }
            }
        });
    }

    /// Answers whether it is known to be to anybody's harm.
    async fn make(self: &Rc<Self>, fault: &Fault) -> bool {
        let happened = match fault {
            Fault::Break(one, other) => {
                let broken = self.network.break_connections(self.address(*one), self.address(*other));
                (broken > 0).then_some("connections broken")
            }
            Fault::Fragile(agent, way, long) => {
                self.strain(self.busy(*agent), *way, *long);
                None
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
            Fault::Freeze(who, long) => {
                self.freeze_when_up(*who, *long);
                None
            }
            Fault::Registry(when) => {
                self.registry.fail_next(*when);
                if *when == When::Reading {
                    // For another to read it.
                    self.end(Who::Leader, Crash::Process, RESTART).await;
                }
                None
            }
            Fault::Rack(first, long) => self.lose_rack(*first, *long).await.then_some("rack lost"),
            Fault::SlowRegistry(long) => {
                self.registry.set_slow(true);
                self.later(*long, |cluster| cluster.registry.set_slow(false));
                None
            }
            Fault::WriteTwice => {
                self.registry.repeat_next();
                None
            }
            Fault::LateWrite => {
                self.delay_write();
                None
            }
            Fault::Checkpoint(agent, step, fate, down) => {
                self.die_at(self.busy(*agent), *step, *fate, *down);
                None
            }
            Fault::Reinstall(agent, fate, down) => {
                self.reinstall(*agent, *fate, *down).await.then_some("agent returned as another")
            }
            Fault::Grow(agent, down) => {
                self.grow(*agent, *down).await.then_some("agent returned with more resources")
            }
            Fault::Leave(agent) => self.leave(*agent).then_some("agent left"),
            Fault::Failover(scheduler, long) => {
                let (cluster, scheduler, long) = (Rc::clone(self), *scheduler, *long);
                libprocess::simulation::spawn(async move {
                    while !cluster.healing.get() && !cluster.fail_over(scheduler, long).await {
                        sleep(AGAIN).await;
                    }
                });
                None
            }
            Fault::Desert(first, long) => {
                self.desert(*first, *long);
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
        happened.is_some()
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

    /// For so long, and until something was lost with a connection.
    fn strain(self: &Rc<Self>, number: usize, way: Way, long: Duration) {
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            let (mut counted, end) = (false, cluster.network.elapsed() + long);
            let mut crashes = CRASHES;
            while !cluster.healing.get() && (!counted || cluster.network.elapsed() < end) {
                let (agent, leader) = (cluster.address(Who::Agent(number)), cluster.address(Who::Leader));
                let (from, to) = if way == Way::Out { (agent, leader) } else { (leader, agent) };
                cluster.network.set_fragile(from, to);
                if way == Way::Out && !counted && crashes > 0 {
                    crashes -= 1;
                    cluster.agents[number].host.crash_executors().await;
                }
                sleep(AGAIN).await;
                if cluster.network.strengthen(from, to) > 0 && !std::mem::replace(&mut counted, true) {
                    cluster.truth.count("connections broken in one direction");
                }
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

    /// Several agents are cut off from all masters, and the leader dies: the next one waits for them, and gives them up at
    /// once. It does not get far with that the first time.
    async fn lose_rack(self: &Rc<Self>, first: usize, long: Duration) -> bool {
        let agents =
            (0..RACK.min(self.size.agents)).map(|next| Who::Agent((first + next) % self.size.agents));
        let masters = (0..self.size.masters).map(Who::Master);
        let pairs: Vec<(Who, Who)> =
            agents.flat_map(|agent| masters.clone().map(move |master| (agent, master))).collect();
        let cut = self.cut(&pairs, Way::Both, long);
        self.registry.fail_next(When::Within);
        self.end(Who::Leader, Crash::Process, RESTART).await;
        cut
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
            let agent = &cluster.agents[number];
            let disk = agent.host.disk();
            disk.take_failures();
            disk.set_broken(Some("simulated failure"));
            agent.broken.set(true);
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
            agent.broken.set(false);
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
            agent.broken.set(false);
            agent.host.disk().spare();
        }
        for who in self.everybody() {
            if self.slot(who).frozen.replace(false) {
                self.network.thaw(self.address(who));
            }
            let group = self.group(who);
            group.set_reachable(true);
            group.tell_expired(&group.own_sessions());
            self.restore_sessions(who, &group.own_sessions());
        }
    }

    // ---- processes that stop, die at a certain point, or come back as others

    /// Freezes a process as soon as it runs: nothing reaches its actors, and no timer of theirs fires; meanwhile its
    /// session may end. It learns that a while after it goes on.
    fn freeze_when_up(self: &Rc<Self>, who: Who, long: Duration) {
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            loop {
                // A frozen master answers nobody: nobody may be asking it.
                let looking = cluster.checks.lock().await;
                let (who, runs) = cluster.resolve_if_it_runs(who);
                if cluster.healing.get() || (runs && cluster.network.freeze(cluster.address(who))) {
                    cluster.slot(who).frozen.set(runs);
                    drop(looking);
                    return if runs {
                        cluster.stay_frozen(who, long).await
                    };
                }
                drop(looking);
                sleep(LOOK).await;
            }
        });
    }

    fn resolve_if_it_runs(&self, who: Who) -> (Who, bool) {
        let leads = who == Who::Leader;
        let who = self.resolve(who);
        let slot = self.slot(who);
        let somebody_leads = !leads || !self.group(who).members().is_empty();
        (who, slot.up.get() && !slot.frozen.get() && somebody_leads && !self.healing.get())
    }

    async fn stay_frozen(self: &Rc<Self>, who: Who, long: Duration) {
        let (life, sessions) = (self.slot(who).life.get(), self.group(who).own_sessions());
        let is_frozen = || {
            let slot = self.slot(who);
            slot.frozen.get() && slot.life.get() == life
        };
        self.network.note(format!("{who} is frozen"));
        sleep(SESSION.min(long)).await;
        if is_frozen() && long > SESSION {
            let led = self.group(who).expire_unheard(&sessions);
            self.truth.count(if led { "leader frozen" } else { "client frozen" });
        }
        sleep(long.saturating_sub(SESSION)).await;
        if is_frozen() {
            self.network.note(format!("{who} goes on"));
            self.slot(who).frozen.set(false);
            self.network.thaw(self.address(who));
        }
        let late = self.random.borrow_mut().random_range(LEARNS);
        sleep(Duration::from_millis(late)).await;
        self.group(who).tell_expired(&sessions);
    }

    /// The next write of the leader is held back, and the leader loses its session meanwhile.
    fn delay_write(self: &Rc<Self>) {
        self.registry.hold_next();
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            while !cluster.registry.is_holding() {
                if cluster.healing.get() {
                    return;
                }
                sleep(LOOK).await;
            }
            cluster.session(cluster.resolve(Who::Leader), LATE);
        });
    }

    /// An agent dies at a step on its disk.
    fn die_at(self: &Rc<Self>, number: usize, step: Step, fate: Host, down: Duration) {
        let (network, address) = (self.network.clone(), self.address(Who::Agent(number)));
        let (tell, told) = oneshot::channel();
        let how = if fate == Host::RunsOn { Crash::Process } else { Crash::Host };
        let (steps, torn) = match step {
            Step::After(steps) => (steps, false),
            Step::Within(steps) => (steps, true),
        };
        self.agents[number].host.disk().kill_after(steps, torn, move |torn| {
            network.kill(address, how);
            // Nobody listens any more when the run is over.
            let _ = tell.send(torn);
        });
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            let Ok(torn) = told.await else { return };
            cluster.network.note(format!("a{number} dies at a step on its disk"));
            cluster.truth.count(match torn {
                Torn::No => "crashed between two steps on the disk",
                Torn::Yes => "write torn",
            });
            cluster.fell(number, fate, down).await;
        });
    }

    /// An agent ends, perhaps with its host.
    async fn fell(self: &Rc<Self>, number: usize, fate: Host, down: Duration) {
        match fate {
            Host::RunsOn => self.end(Who::Agent(number), Crash::Process, down).await,
            Host::LosesPower => drop(self.lose_power(number, down).await),
        }
    }

    /// An agent ends, and what says who it is is removed. Answers whether it was anybody.
    async fn reinstall(self: &Rc<Self>, number: usize, fate: Host, down: Duration) -> bool {
        self.fell(number, fate, down).await;
        let (disk, link) = (self.agents[number].host.disk().mount(), agent_id_link());
        let removed = disk.remove(&link).is_ok();
        if let Some(directory) = link.parent().filter(|_| removed) {
            // It may be broken; then a power failure brings the agent back as it was.
            let _ = disk.sync_directory(directory);
            self.truth.replaced(&format!("a{number}"));
        }
        removed
    }

    /// The agent of a host, by number, and its id as it stands on the disk. `None` if it is none, or cannot be read.
    fn installed(&self, host: &str) -> Option<(usize, AgentId)> {
        let number = host.strip_prefix('a').and_then(|number| number.parse::<usize>().ok())?;
        let target = self.agents.get(number)?.host.disk().mount().read_link(&agent_id_link()).ok()?;
        Some((number, AgentId::from(target.file_name()?.to_str()?)))
    }

    /// Whether the agent of a host has been told that this is its id, and remembers it.
    pub(super) fn is_named(&self, host: &str, id: &AgentId) -> bool {
        self.installed(host).is_some_and(|(_, found)| found == *id)
    }

    /// Whether the agent of a host is another one than this.
    pub(super) fn is_another(&self, host: &str, id: &AgentId) -> bool {
        self.installed(host).is_some_and(|(_, found)| found != *id)
    }

    /// An agent that is gone for ever is replaced by another one on its host after a while, unless it is already.
    pub(super) async fn replace(self: &Rc<Self>, host: &str, id: &AgentId, after: Duration) {
        let number = || self.installed(host).filter(|(_, found)| found == id).map(|(number, _)| number);
        if number().is_none() {
            return;
        }
        sleep(after).await;
        if let Some(number) = number()
            && self.reinstall(number, Host::RunsOn, RESTART).await
        {
            self.truth.count("gone agents replaced");
        }
    }

    /// An agent ends, and will have more. Answers whether it was anybody.
    async fn grow(self: &Rc<Self>, number: usize, down: Duration) -> bool {
        let agent = &self.agents[number];
        let was_somebody = agent.host.disk().mount().exists(&agent_id_link());
        agent.grown.set(agent.grown.get() + 1);
        self.fell(number, Host::RunsOn, down).await;
        was_somebody
    }

    /// An agent is told to leave (as by SIGUSR1): it ends its executors, and then itself. What starts it again does not care.
    /// Answers whether it was anybody.
    fn leave(&self, number: usize) -> bool {
        let agent = &self.agents[number];
        let runs = agent.slot.up.get() && !agent.slot.frozen.get();
        let is_somebody = runs && agent.host.disk().mount().exists(&agent_id_link());
        let Some(actor) = agent.actor.borrow().clone().filter(|_| is_somebody) else { return false };
        self.truth.may_go_down(&format!("a{number}"));
        actor.tell(Leave);
        true
    }

    /// Schedulers end, one after the other, that have said that they will not be away for long, and are back later, until a
    /// framework is over therefore.
    fn desert(self: &Rc<Self>, first: usize, long: Duration) {
        let cluster = Rc::clone(self);
        libprocess::simulation::spawn(async move {
            let over = || cluster.healing.get() || cluster.truth.counts().contains_key(TIMED_OUT);
            let brief = |number: usize| {
                let SchedulerSlot { slot, book, .. } = &cluster.schedulers[number];
                let book = book.lock();
                let runs = slot.up.get() && !slot.frozen.get() && book.framework.is_some();
                Some((number, book.brief.filter(|_| runs)?))
            };
            let count = cluster.schedulers.len();
            while !over() {
                let Some((number, brief)) = (first..count).chain(0..first).find_map(brief) else {
                    sleep(AGAIN).await;
                    continue;
                };
                let away = brief + long;
                cluster.end(Who::Scheduler(number), Crash::Process, away).await;
                sleep(away + AGAIN).await;
            }
        });
    }

    /// A second scheduler subscribes as the framework of one that runs. The first ends when it is told, or after so long.
    async fn fail_over(self: &Rc<Self>, number: usize, long: Duration) -> bool {
        let (scheduler, who) = (&self.schedulers[number], Who::Scheduler(number));
        if !scheduler.slot.up.get() || scheduler.book.lock().framework.is_none() {
            return false;
        }
        let old = scheduler.address.get();
        let mut new = old;
        new.set_port(old.port() + 1);
        scheduler.address.set(new);
        // Whoever waits for the end of the first does nothing then.
        scheduler.slot.life.set(scheduler.slot.life.get() + 1);
        self.network.note(format!("{who} is started at {new}, too"));
        if let Err(error) = self.start_scheduler(number).await {
            self.network.note(format!("{who} does not start: {error}"));
            self.end(who, Crash::Process, RESTART).await;
        }
        let network = self.network.clone();
        libprocess::simulation::spawn(async move {
            sleep(long).await;
            network.crash(old, Crash::Process).await;
        });
        true
    }
}
