//! A framework under fire that is written on our scheduler library: a process that may be killed at any moment, and
//! goes on where its [`super::journal`] ends.
//!
//! It keeps a few tasks running until it is told to finish (by a file), asks every few seconds what became of them, and
//! says in its journal when none is alive. It then stays, so that what comes after that is seen, too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use frameworks::room::{Room, needed};
use frameworks::scheduler::{Driver, Options, Scheduler, run};
use libprocess::Node;
use mesos::{FrameworkId, Resources, v1};
use serde::{Deserialize, Serialize};

use super::journal::{self, Journal, Record, Told};
use super::task;

/// How often it asks what became of its tasks: a launch may be lost with its master.
const RECONCILE: Duration = Duration::from_secs(3);
/// How often it looks whether it is to finish.
const LOOK: Duration = Duration::from_millis(200);
/// How long what an offer has left is not wanted.
const REFUSE: Duration = Duration::from_millis(200);
/// How long its tasks live on without it.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(3600);

/// What such a process is told, as JSON, in its only argument; the framework in Python is told the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// Where the masters are: `zk://...`, `etcd://...`.
    pub master: String,
    /// Addresses of the masters, for who cannot read the URL.
    pub masters: Vec<String>,
    /// Its name; ids of its tasks begin with it.
    pub name: String,
    /// Whether it knows of TASK_UNREACHABLE and its kind.
    pub partition_aware: bool,
    /// How many tasks it wants to have alive at a time.
    pub width: usize,
    /// Its journal.
    pub journal: PathBuf,
    /// Where its tasks write what they do.
    pub ran: PathBuf,
    /// When this file exists it launches no more.
    pub finish: PathBuf,
}

/// The framework.
struct Work {
    orders: Orders,
    node: Node,
    journal: Journal,
    /// The tasks that it believes to live, and the agents that they are on.
    alive: BTreeMap<String, v1::AgentId>,
    launched: usize,
    begun: bool,
    done: bool,
}

/// Runs the framework until it is killed.
///
/// # Panics
/// When the orders cannot be read, or the master will have no more of the framework: its process ends.
pub fn main(orders: &str) {
    let orders: Orders = serde_json::from_str(orders).expect("orders are JSON");
    libprocess::run(async move {
        let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("there is a port");
        let (work, framework) = Work::resume(orders, node.clone());
        let options = Options::new(work.orders.master.parse().expect("a URL of masters"), framework);
        run(&node, options, work).await.expect("the master keeps the framework");
    });
}

impl Work {
    /// The framework as its journal left it, and what it subscribes with.
    fn resume(orders: Orders, node: Node) -> (Self, v1::FrameworkInfo) {
        let mut alive = BTreeMap::new();
        let (mut launched, mut id, mut done) = (0, None, false);
        for record in journal::read(&orders.journal) {
            match record {
                Record::Subscribed { framework, .. } => id = Some(v1::FrameworkId { value: framework }),
                Record::Launched { task, agent, .. } => {
                    launched += 1;
                    alive.insert(task, v1::AgentId { value: agent });
                }
                Record::Told(told) if journal::gives_up(&told.state) => drop(alive.remove(&told.task)),
                Record::Told(_) => {}
                Record::Done { .. } => done = true,
            }
        }
        let capability = v1::framework_info::capability::Type::PartitionAware;
        let capability = v1::framework_info::Capability { r#type: Some(capability.into()) };
        let framework = v1::FrameworkInfo {
            user: crate::own_user(),
            name: orders.name.clone(),
            id,
            checkpoint: Some(true),
            failover_timeout: Some(FAILOVER_TIMEOUT.as_secs_f64()),
            capabilities: orders.partition_aware.then_some(capability).into_iter().collect(),
            ..Default::default()
        };
        let journal = Journal::open(&orders.journal);
        (Self { orders, node, journal, alive, launched, begun: false, done }, framework)
    }

    fn now(&self) -> f64 {
        self.node.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }

    fn is_to_finish(&self) -> bool {
        self.orders.finish.exists()
    }

    /// The next task, noted before anybody else hears of it.
    fn next(&mut self, offer: &v1::Offer) -> v1::TaskInfo {
        let number = self.launched;
        let id = format!("{}-{number}", self.orders.name);
        self.launched += 1;
        self.alive.insert(id.clone(), offer.agent_id.clone());
        let at = self.now();
        self.journal.write(&Record::Launched { at, task: id.clone(), agent: offer.agent_id.value.clone() });
        v1::TaskInfo {
            name: id.clone(),
            agent_id: offer.agent_id.clone(),
            resources: resources().to_protos(),
            command: Some(v1::CommandInfo {
                value: Some(task::command(&self.orders.ran.join(&id), number)),
                ..Default::default()
            }),
            task_id: v1::TaskId { value: id },
            ..Default::default()
        }
    }

    fn ask(&mut self, driver: &mut Driver<Self>) {
        let alive = self.alive.iter();
        let alive: Vec<_> =
            alive.map(|(id, agent)| (v1::TaskId { value: id.clone() }, Some(agent.clone()))).collect();
        // Asking for none would be asking for all.
        if !alive.is_empty() {
            driver.reconcile(alive);
        }
    }

    fn ask_on(&mut self, driver: &mut Driver<Self>) {
        self.ask(driver);
        driver.after(RECONCILE, Self::ask_on);
    }

    fn look(&mut self, driver: &mut Driver<Self>) {
        if !self.done && self.alive.is_empty() && self.is_to_finish() {
            self.done = true;
            let at = self.now();
            self.journal.write(&Record::Done { at });
        }
        driver.after(LOOK, Self::look);
    }
}

fn resources() -> Resources {
    Resources::parse(task::RESOURCES, "*").expect("they are written well")
}

impl Scheduler for Work {
    fn subscribed(&mut self, driver: &mut Driver<Self>, framework: &FrameworkId) {
        let at = self.now();
        self.journal.write(&Record::Subscribed { at, framework: framework.to_string() });
        self.ask(driver);
        if !self.begun {
            self.begun = true;
            driver.after(RECONCILE, Self::ask_on);
            driver.after(LOOK, Self::look);
        }
    }

    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        let each = needed(&v1::ExecutorInfo::default(), &resources());
        let finish = self.is_to_finish();
        for offer in offers {
            let mut room = Room::of(&offer, &v1::ExecutorInfo::default());
            let mut tasks = Vec::new();
            while !finish && self.alive.len() < self.orders.width && room.take(&each) {
                tasks.push(self.next(&offer));
            }
            driver.launch(&offer.id, tasks, REFUSE);
        }
    }

    fn update(&mut self, _: &mut Driver<Self>, status: v1::TaskStatus) {
        let uuid = status.uuid.as_ref().and_then(|bytes| uuid::Uuid::from_slice(bytes).ok());
        let told = Told {
            at: self.now(),
            task: status.task_id.value.clone(),
            state: status.state().as_str_name().into(),
            uuid: uuid.map(|uuid| uuid.simple().to_string()),
            reason: status.reason.map(|_| status.reason().as_str_name().into()),
            source: status.source.map(|_| status.source().as_str_name().into()),
            message: status.message,
        };
        if journal::gives_up(&told.state) {
            self.alive.remove(&told.task);
        }
        // The library acknowledges it afterwards.
        self.journal.write(&Record::Told(told));
    }
}
