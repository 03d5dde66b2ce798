//! The frameworks of a simulation: each has a list of tasks, launches each once when its time has come, and keeps book of
//! what it is told of them. What it has written down survives its scheduler's crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use frameworks::scheduler::{Driver, Scheduler};
use libprocess::simulation::Network;
use mesos::FrameworkId;
use mesos::tasks::is_terminal;
use mesos::v1::scheduler::{Call, call};
use mesos::v1::task_status::Reason;
use mesos::v1::{self, OperationState, TaskState};
use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::SmallRng;

use super::calls::{self, Said};
use super::containers::number_of;
use super::invariant::Invariant;
use super::ledger::{Deed, Ledger};
use super::plan::Size;
use super::truth::Truth;

/// How often a scheduler looks whether a task is due.
const TICK: Duration = Duration::from_secs(5);
/// How often it asks for the states of its tasks.
const RECONCILE: u32 = 9;
/// How often it ends executors that have nothing to do, if it does.
const RELEASE: u32 = 6;
/// The name of a task that it never had.
const UNKNOWN: &str = "unknown";
/// What a master says to a framework that was torn down, or whose scheduler stayed away for too long.
const REMOVED: &str = "Framework has been removed";
/// What a master says to whoever wants to destroy a volume that a task uses.
const IN_USE: &str = "Persistent volumes in use";

/// The roles that the operator sets quotas and weights of.
pub const LIMITED_ROLES: [&str; 3] = ["a", "b", "c"];

/// So many frameworks have roles that differ.
pub const KINDS_OF_ROLES: usize = 5;

/// The roles of the framework of this number: top-level ones, roles below them, and several at once.
pub fn roles(number: usize) -> &'static [&'static str] {
    match number % KINDS_OF_ROLES {
        0 => &["a"],
        1 => &["b"],
        2 => &["a/x"],
        3 => &["b/y", "c"],
        _ => &["a", "b"],
    }
}

/// Those of them that the framework has at present.
pub fn roles_now(number: usize, book: &Book) -> Vec<&'static str> {
    roles(number).iter().copied().filter(|role| book.given_up != Some(*role)).collect()
}

/// How a framework works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Its tasks share an executor on each agent, instead of one for each task.
    pub shares_executor: bool,
    /// Its executors outlive agents.
    pub checkpoint: bool,
    /// It knows of partitions.
    pub partition_aware: bool,
    /// It knows of tasks that are being killed.
    pub killing: bool,
    /// It acknowledges updates itself, later.
    pub explicit: bool,
    /// It knows of refined reservations, and speaks of resources in the newer form.
    pub refines: bool,
    /// Its scheduler speaks the first API, by a driver.
    pub driver: bool,
    /// It knows that a framework may have several roles; else it has one, and is not told which an offer is for.
    pub multi_role: bool,
    /// It reserves disk, and creates volumes.
    pub reserves: bool,
    /// It suppresses its roles when it has nothing to launch; else it refuses what it is offered.
    pub suppresses: bool,
    /// It wants no offers with less than some cpus.
    pub demands: bool,
    /// It is offered agents with GPUs, and uses them.
    pub gpus: bool,
    /// It is offered agents in other regions.
    pub region_aware: bool,
    /// Tasks of one executor do not share its control groups, and are launched as groups only.
    pub isolates: bool,
    /// Several of its tasks, and those of others in its role, use one volume at once.
    pub shares: bool,
    /// It keeps offers for a while.
    pub hoards: bool,
}

impl Style {
    /// How the framework of this number works: the five usual ones differ in everything.
    pub fn of(number: usize) -> Style {
        Style {
            shares_executor: number % 5 == 1 || number % 5 == 2,
            checkpoint: number % 5 != 2,
            partition_aware: number.is_multiple_of(2),
            killing: !number.is_multiple_of(3),
            explicit: number % 5 == 1 || number % 5 == 4,
            refines: number.is_multiple_of(2),
            driver: number % 5 == 1,
            multi_role: number % 5 != 1,
            reserves: number.is_multiple_of(2) && number % 5 != 1,
            suppresses: number % 3 != 1,
            demands: number % 5 == 3,
            gpus: number.is_multiple_of(3),
            region_aware: number % 5 < 2,
            isolates: number % 5 == 2,
            shares: number.is_multiple_of(2),
            hoards: number % 5 >= 3,
        }
    }
}

/// What a framework means to do with a task.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The task's id.
    pub id: String,
    /// When to launch it.
    pub at: Duration,
    /// How long it runs.
    pub runs: Duration,
    /// How it ends.
    pub ends: TaskState,
    /// How long after it began it is killed, if it is.
    pub killed_after: Option<Duration>,
    /// How long it may run at most.
    pub limit: Option<Duration>,
    /// Whether it says how it is checked. (Its executor does not do it.)
    pub checked: bool,
    /// Whether it says how long its end may take when it is killed. (Its executor heeds what the one who kills it says.)
    pub has_kill_policy: bool,
}

/// The tasks of a framework, from chance.
pub fn wishes(framework: usize, size: &Size, random: &mut SmallRng) -> Vec<Wish> {
    let count = (size.tasks + size.frameworks - 1 - framework) / size.frameworks;
    let latest = u64::try_from(size.trouble.as_millis()).unwrap_or(u64::MAX) + 30_000;
    let wish = |number: usize| Wish {
        id: format!("t{framework}.{number}"),
        at: Duration::from_millis(random.random_range(0..latest)),
        runs: match random.random_range(0..6) {
            0 => Duration::from_secs(3600),
            1 | 2 => Duration::from_millis(random.random_range(100..5_000)),
            _ => Duration::from_millis(random.random_range(5_000..180_000)),
        },
        ends: if random.random_range(0..8) == 0 { TaskState::TaskFailed } else { TaskState::TaskFinished },
        killed_after: (random.random_range(0..6) == 0)
            .then(|| Duration::from_millis(random.random_range(0..60_000))),
        limit: (random.random_range(0..8) == 0)
            .then(|| Duration::from_millis(random.random_range(1_000..90_000))),
        checked: random.random_range(0..3) == 0,
        has_kill_policy: random.random_range(0..3) == 0,
    };
    let mut wishes: Vec<Wish> = (0..count).map(wish).collect();
    wishes.sort_by_key(|wish| wish.at);
    wishes
}

/// What a framework has written down.
#[derive(Debug, Default)]
pub struct Book {
    /// Its id, once it has one.
    pub framework: Option<FrameworkId>,
    /// What was told of the tasks that it has launched.
    pub tasks: BTreeMap<String, Entry>,
    /// Tasks and operations whose state it has asked for, and since when it waits for an answer.
    pub asked: BTreeMap<String, Duration>,
    /// How many names of operations, reservations and volumes it has used.
    pub names: u32,
    /// How often it has described itself anew.
    pub described: u32,
    /// The host that it does not want to be offered.
    pub avoided: Option<String>,
    /// The role of several that it does without at present.
    pub given_up: Option<&'static str>,
    /// For how long its scheduler may be away, if not for longer than the run lasts.
    pub brief: Option<Duration>,
    /// Why its scheduler was ended by the master, if it was.
    pub error: Option<String>,
}

/// A task as its framework knows it.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The last state that it was told.
    pub state: Option<TaskState>,
    /// Where it was launched.
    pub agent: Option<v1::AgentId>,
    /// Before its launch, in the same call, stood an operation that is refused.
    pub(super) behind_refused: bool,
}

impl Book {
    /// How many wishes were carried out: each is one task, in the order of the wishes.
    pub fn launched(&self) -> usize {
        self.tasks.len()
    }

    /// Notes what it asks for.
    pub fn ask(&mut self, tasks: impl IntoIterator<Item = String>, now: Duration) {
        for task in tasks {
            self.asked.entry(task).or_insert(now);
        }
    }
}

impl Entry {
    /// Nothing more is expected.
    pub fn is_over(&self) -> bool {
        self.state.is_some_and(is_terminal)
    }
}

/// One life of a scheduler.
pub struct Workload {
    /// Its number.
    pub number: usize,
    /// How it works.
    pub style: Style,
    /// What it wants.
    pub wishes: Arc<[Wish]>,
    /// What it knows.
    pub book: Arc<Mutex<Book>>,
    /// Where it reports.
    pub truth: Truth,
    /// Where it notes what it reserves.
    pub ledger: Ledger,
    /// What it has said when it subscribed, until it says something else.
    pub said: Said,
    /// What it draws from.
    pub random: SmallRng,
    /// Where it sees what time it is.
    pub network: Network,
    /// Ticks so far.
    pub ticks: u32,
    /// How many agents there are.
    pub agents: usize,
    /// How long it says what it need not say.
    pub until: Duration,
    /// Whether it ends executors that have nothing to do: others cannot have more there.
    pub releases: bool,
    /// Offers that it has not answered.
    pub kept: Vec<v1::Offer>,
}

impl Workload {
    /// Whether the time of its next task has come.
    pub(super) fn is_due(&self) -> bool {
        self.is_due_in(&self.book.lock())
    }

    /// The same, by this book.
    pub fn is_due_in(&self, book: &Book) -> bool {
        self.wishes.get(book.launched()).is_some_and(|wish| wish.at <= self.network.elapsed())
    }

    /// The executor of one of its tasks.
    pub fn executor_of(&self, task: &str) -> v1::ExecutorId {
        let shared = || format!("x{}", self.number);
        v1::ExecutorId { value: if self.style.shares_executor { shared() } else { task.to_owned() } }
    }

    fn tick(&mut self, driver: &mut Driver<Self>) {
        self.ticks += 1;
        if self.is_due() {
            self.said.suppressed.clear();
            driver.revive(&self.wanted());
        }
        if self.ticks.is_multiple_of(RECONCILE) {
            if self.ticks.is_multiple_of(2 * RECONCILE) {
                // Of all that the master knows: something may run that was believed to be lost.
                driver.reconcile([]);
                let mut book = self.book.lock();
                let running =
                    book.tasks.iter().filter(|(_, entry)| entry.state == Some(TaskState::TaskRunning));
                let running: Vec<String> = running.map(|(id, _)| id.clone()).collect();
                book.ask(running, self.network.elapsed());
                drop(book);
                calls::send_description(self, driver);
            } else {
                self.reconcile(driver);
            }
            calls::repeat_questions(self, driver);
        }
        if self.releases && self.style.shares_executor && self.ticks.is_multiple_of(RELEASE) {
            calls::release(self, driver);
        }
        calls::say(self, driver);
        self.answer_kept(driver);
        driver.after(TICK, Self::tick);
    }

    /// The role that it wants its next task to run in; with every third task any.
    fn wanted(&self) -> Vec<String> {
        let book = self.book.lock();
        let (roles, launched) = (roles_now(self.number, &book), book.launched());
        if launched.is_multiple_of(3) { Vec::new() } else { vec![roles[launched % roles.len()].to_owned()] }
    }

    fn reconcile(&self, driver: &mut Driver<Self>) {
        let mut book = self.book.lock();
        let open = book.tasks.iter().filter(|(_, entry)| !entry.is_over());
        // It need not say where they are.
        let says = self.ticks % 4 != 1;
        let mut open: Vec<_> = open
            .map(|(id, entry)| (v1::TaskId { value: id.clone() }, entry.agent.clone().filter(|_| says)))
            .collect();
        // One that nobody has ever heard of.
        open.push((v1::TaskId { value: format!("t{}.{UNKNOWN}", self.number) }, None));
        book.ask(open.iter().map(|(id, _)| id.value.clone()), self.network.elapsed());
        drop(book);
        driver.reconcile(open);
    }

    /// Its framework is over, and the next life of its scheduler is another one, with the tasks that are left.
    fn begin_anew(&self, ended: &FrameworkId) {
        // Wherever it is not yet: its scheduler has stayed away, say, and another leader does not know that.
        self.truth.tears_down(ended);
        let mut book = self.book.lock();
        if book.framework.as_ref() != Some(ended) {
            // Another scheduler has the book, and has done so.
            return;
        }
        book.framework = None;
        book.asked.clear();
        for (id, entry) in &mut book.tasks {
            if !entry.is_over() {
                entry.state = Some(TaskState::TaskKilled);
            }
            self.truth.abandoned(id);
        }
        self.truth.count("frameworks that began anew");
    }

    fn kill_later(&self, driver: &mut Driver<Self>, id: &v1::TaskId) {
        let wish = self.wishes.iter().find(|wish| wish.id == id.value);
        if let Some(after) = wish.and_then(|wish| wish.killed_after) {
            let id = id.clone();
            driver.after(after, move |this, driver| {
                let agent = this.book.lock().tasks.get(&id.value).and_then(|entry| entry.agent.clone());
                // It need not say.
                let agent = agent.filter(|_| this.random.random());
                driver.kill(&id, agent.as_ref(), calls::policy(this));
            });
        }
    }
}

/// Whether an operation was refused because no resource provider could do it, or because nobody resizes shared volumes.
fn cannot_be_done(status: &v1::OperationStatus) -> bool {
    let says = |what| status.message().contains(what);
    status.state() == OperationState::OperationError
        && (says("resource provider") || says("a shared persistent volume"))
}

/// What becomes of a task, for frameworks that know of partitions. To others it is lost.
fn is_for_others(state: TaskState) -> bool {
    use TaskState::{TaskDropped, TaskGone, TaskGoneByOperator, TaskUnknown, TaskUnreachable};
    matches!(state, TaskDropped | TaskGone | TaskGoneByOperator | TaskUnknown | TaskUnreachable)
}

impl Scheduler for Workload {
    fn subscribed(&mut self, driver: &mut Driver<Self>, framework: &FrameworkId) {
        if self.truth.is_torn(framework) {
            // The call was lost, or this leader does not know of it.
            return driver.teardown();
        }
        self.book.lock().framework = Some(framework.clone());
        self.said.heard.get_or_insert(self.network.elapsed());
        calls::send_description(self, driver);
        self.reconcile(driver);
        if self.ticks == 0 {
            self.tick(driver);
        }
    }

    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        for offer in offers {
            let (role, now) = (self.role_of(&offer), self.network.elapsed());
            let wrong = self.said.contradicts(&offer, role, &self.book.lock(), now);
            if let Some(wrong) = wrong {
                let text = format!("framework {:?} was offered something {wrong}", driver.framework());
                self.truth.violation(Invariant::SuppressedIsQuiet, text);
            }
            self.consider(driver, offer);
        }
        if !self.is_due() && self.style.suppresses {
            // One role at a time, now and then.
            let roles = roles_now(self.number, &self.book.lock());
            let one = vec![roles[self.ticks as usize % roles.len()].to_owned()];
            driver.suppress(if self.ticks.is_multiple_of(4) { &one } else { &[] });
        }
    }

    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus) {
        let (id, state) = (status.task_id.value.clone(), status.state());
        let number = number_of(&status);
        if is_for_others(state) && !self.style.partition_aware {
            let text = format!("{id} is {}, which its framework does not know of", state.as_str_name());
            self.truth.violation(Invariant::NothingVanishes, text);
        }
        let mut book = self.book.lock();
        book.asked.remove(&id);
        if id.ends_with(UNKNOWN) {
            return;
        }
        self.truth.seen(&id, number, status.uuid.as_deref(), state, is_terminal(state));
        let entry = book.tasks.entry(id.clone()).or_default();
        let started = number.is_some() && state == TaskState::TaskRunning && entry.state != Some(state);
        if started && entry.behind_refused {
            self.truth.count("tasks started behind a refused operation");
        }
        if entry.state.is_none() {
            match status.reason() {
                Reason::ExecutorTerminated => self.truth.count("tasks that came when their executor ended"),
                Reason::InvalidOffers => self.truth.count("tasks on offers that were void"),
                _ => {}
            }
        }
        let is_back = entry.is_over() && !is_terminal(state);
        entry.state = Some(state);
        drop(book);
        if is_back {
            driver.kill(&status.task_id, status.agent_id.as_ref(), None);
        }
        if started {
            self.kill_later(driver, &status.task_id);
        }
        // Some are acknowledged when they come again, as by a scheduler that died with the first.
        let withheld =
            number.filter(|number| self.style.explicit && (self.number + *number as usize).is_multiple_of(3));
        let withheld =
            status.uuid.is_some() && withheld.is_some_and(|number| self.truth.withhold(&id, number));
        if self.style.explicit && !withheld {
            driver.after(Duration::from_millis(700), move |_, driver| driver.acknowledge(&status));
        }
    }

    fn operation_update(&mut self, driver: &mut Driver<Self>, status: v1::OperationStatus) {
        let Some(id) = status.operation_id.clone() else { return };
        self.book.lock().asked.remove(&id.value);
        self.truth.count(match self.ledger.heard(&id.value, status.state()) {
            Some(Deed::Makes(_)) => "reservations and volumes made",
            Some(Deed::Refines(_)) => "reservations refined",
            Some(Deed::Ends(_)) => "reservations and volumes ended",
            Some(Deed::Changes) => "volumes resized",
            Some(Deed::Refused) => {
                let text = format!("operation {id:?} is done, and nobody can do it");
                self.truth.violation(Invariant::NothingPanics, text);
                "operations done that nobody can do"
            }
            None if self.ledger.is_refused(&id.value) && cannot_be_done(&status) => "operations refused",
            None if status.message().contains(IN_USE) => "volumes in use that were not destroyed",
            None => "operations that did not end well",
        });
        let Some(uuid) = status.uuid else { return };
        let acknowledge = call::AcknowledgeOperationStatus {
            agent_id: status.agent_id,
            operation_id: id,
            uuid: uuid.value,
            ..Default::default()
        };
        driver.call(Call {
            r#type: Some(call::Type::AcknowledgeOperationStatus.into()),
            acknowledge_operation_status: Some(acknowledge),
            ..Default::default()
        });
    }

    fn rescind(&mut self, _: &mut Driver<Self>, offer: v1::OfferId) {
        self.taken_back(&offer);
    }

    fn disconnected(&mut self, _: &mut Driver<Self>) {
        self.kept.clear();
    }

    fn inverse_offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::InverseOffer>) {
        calls::answer(self, driver, offers);
    }

    fn message(&mut self, _: &mut Driver<Self>, _: v1::scheduler::event::Message) {
        self.truth.count("answers of executors");
    }

    fn error(&mut self, driver: &mut Driver<Self>, message: &str) {
        let over = driver.framework().filter(|id| message.ends_with(REMOVED) && self.truth.may_be_over(id));
        if let Some(id) = over {
            self.begin_anew(id);
        } else if message == "Framework failed over" {
            // Another has its book now.
            self.truth.count("scheduler failed over");
        } else {
            self.book.lock().error = Some(message.to_owned());
        }
    }
}
