//! What really happened, as no part of the cluster knows it: which tasks ran where, which updates were promised to
//! arrive and which did. Everybody in the simulation reports here; what must never happen is noticed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libprocess::simulation::Network;
use master::cluster::Agent;
use mesos::FrameworkId;
use mesos::v1::TaskState;
use parking_lot::Mutex;

use super::invariant::{Invariant, Violation};

/// The account. Clones are the same account.
#[derive(Clone)]
pub struct Truth {
    network: Network,
    account: Arc<Mutex<Account>>,
}

#[derive(Default)]
struct Account {
    tasks: BTreeMap<String, Task>,
    counts: BTreeMap<&'static str, u64>,
    violations: Vec<Violation>,
    /// Hosts whose agents have come back as others.
    replaced: BTreeSet<String>,
    /// Hosts that may go down for maintenance at any time, or whose agents were told to leave.
    maintained: BTreeSet<String>,
    /// Frameworks that somebody has wanted to end.
    torn: BTreeSet<FrameworkId>,
    /// Frameworks that a leader has ended because their schedulers stayed away.
    timed_out: BTreeSet<FrameworkId>,
}

/// One task.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// How often an executor was told to run it.
    pub starts: u32,
    /// The host that it runs on.
    pub runs_on: Option<String>,
    /// The last update of its executor that the agent has acknowledged: from then on it must arrive.
    pub promised: u32,
    /// The last update of its executor that its framework has seen.
    pub seen: u32,
    /// Its framework has seen the last update that there will be of its executor.
    pub ended: bool,
    /// Its framework was told by a master that it is gone.
    pub gone: bool,
    /// Updates that the agent had acknowledged may be lost: the framework does not checkpoint, or is over, or the host was
    /// installed anew or may be taken down.
    pub forgetful: bool,
    /// The host that it ran on last.
    pub host: Option<String>,
    /// The directories of the volumes that it uses, and whether others may use them at the same time.
    volumes: BTreeMap<PathBuf, bool>,
    /// The uuid of each update of its executor, as it was first seen.
    uuids: BTreeMap<u32, Vec<u8>>,
    /// Updates that its framework has not acknowledged when it saw them first, and when that was.
    withheld: BTreeMap<u32, Duration>,
    /// The last that it has ever withheld.
    withheld_to: u32,
}

impl Truth {
    /// An empty account of what happens on this network.
    pub fn new(network: &Network) -> Truth {
        Truth { network: network.clone(), account: Arc::default() }
    }

    /// Something happened that must not.
    pub fn violation(&self, invariant: Invariant, what: impl Into<String>) {
        let violation = Violation::new(invariant, what);
        self.network.note(format!("VIOLATION: {violation}"));
        self.account.lock().violations.push(violation);
    }

    /// What happened that must not, first things first.
    pub fn violations(&self) -> Vec<Violation> {
        self.account.lock().violations.clone()
    }

    /// Counts something that happened.
    pub fn count(&self, what: &'static str) {
        *self.account.lock().counts.entry(what).or_default() += 1;
    }

    /// All counts.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.account.lock().counts.clone()
    }

    /// The agent of this host has become another.
    pub fn replaced(&self, host: &str) {
        let mut account = self.account.lock();
        account.replaced.insert(host.to_owned());
        let there = account.tasks.values_mut().filter(|task| task.host.as_deref() == Some(host));
        there.for_each(|task| task.forgetful = true);
    }

    /// Whether the agent of this host has become another.
    pub fn is_replaced(&self, host: &str) -> bool {
        self.account.lock().replaced.contains(host)
    }

    /// This host may be taken down, or its agent may be told to leave: it leaves the cluster, perhaps without anybody hearing of
    /// it, and its tasks with it.
    pub fn may_go_down(&self, host: &str) {
        let mut account = self.account.lock();
        account.maintained.insert(host.to_owned());
        let there = account.tasks.values_mut().filter(|task| task.host.as_deref() == Some(host));
        there.for_each(|task| task.forgetful = true);
    }

    /// Whether this host was, or may have been, taken down, or its agent told to leave.
    pub fn may_have_been_down(&self, host: &str) -> bool {
        self.account.lock().maintained.contains(host)
    }

    /// Somebody asks for the end of a framework.
    pub fn tears_down(&self, framework: &FrameworkId) {
        self.account.lock().torn.insert(framework.clone());
    }

    /// The frameworks that somebody has wanted to end.
    pub fn torn(&self) -> Vec<FrameworkId> {
        self.account.lock().torn.iter().cloned().collect()
    }

    /// Whether somebody has wanted a framework to end.
    pub fn is_torn(&self, framework: &FrameworkId) -> bool {
        self.account.lock().torn.contains(framework)
    }

    /// A leader has ended a framework whose scheduler stayed away for too long. Another leader will not know that.
    pub fn times_out(&self, framework: &FrameworkId) {
        self.account.lock().timed_out.insert(framework.clone());
    }

    /// Whether a framework is over for some leader, or somebody has wanted it to be.
    pub fn may_be_over(&self, framework: &FrameworkId) -> bool {
        let account = self.account.lock();
        account.torn.contains(framework) || account.timed_out.contains(framework)
    }

    /// Whether an agent has operations of a framework that is over. A leader that has not known it waits ten minutes for it
    /// before it acknowledges them in its place, which is longer than a run; so long the agent is not drained.
    pub fn has_orphans(&self, agent: &Agent) -> bool {
        let mut of = agent.operations.values().filter_map(|operation| operation.framework_id.as_ref());
        of.any(|framework| self.may_be_over(&FrameworkId::from(framework)))
    }

    /// The framework of a task is over: nobody is told any more what becomes of it.
    pub fn abandoned(&self, id: &str) {
        self.change(id, |task| task.forgetful = true);
    }

    /// A task, as it really is.
    pub fn task(&self, id: &str) -> Task {
        self.account.lock().tasks.get(id).cloned().unwrap_or_default()
    }

    /// The tasks that run, and where.
    pub fn running(&self) -> Vec<(String, String)> {
        let account = self.account.lock();
        let running = account.tasks.iter().filter_map(|(id, task)| Some((id.clone(), task.runs_on.clone()?)));
        running.collect()
    }

    /// A task that runs on a host, unless its framework is over or does not checkpoint.
    pub fn task_on(&self, host: &str) -> Option<String> {
        let account = self.account.lock();
        let mut there = account.tasks.iter().filter(|(_, task)| task.runs_on.as_deref() == Some(host));
        there.find(|(_, task)| !task.forgetful).map(|(id, _)| id.clone())
    }

    /// An executor was told to run a task.
    pub fn started(&self, id: &str, host: &str, forgetful: bool) {
        let forgetful = forgetful || self.may_have_been_down(host);
        let (starts, gone) = self.change(id, |task| {
            task.starts += 1;
            task.runs_on = Some(host.to_owned());
            task.host = Some(host.to_owned());
            task.forgetful |= forgetful;
            (task.starts, task.gone && !task.forgetful)
        });
        self.network.note(format!("{id} runs on {host}"));
        if starts > 1 {
            self.violation(Invariant::RunsOnce, format!("task {id} was started {starts} times"));
        }
        if gone {
            self.violation(Invariant::GoneIsTrue, format!("task {id} was called gone, and starts on {host}"));
        }
        self.count("tasks started");
    }

    /// A task that runs uses these volumes, of which some may be shared.
    pub fn uses(&self, id: &str, volumes: BTreeMap<PathBuf, bool>) {
        if volumes.is_empty() {
            return;
        }
        self.count("tasks with a volume");
        let mut account = self.account.lock();
        let task = account.tasks.entry(id.to_owned()).or_default();
        task.volumes = volumes.clone();
        let (host, forgetful) = (task.runs_on.clone(), task.forgetful);
        let others = account.tasks.iter().filter(|(other, task)| *other != id && task.runs_on == host);
        let both = others.filter(|(_, task)| task.volumes.keys().any(|path| volumes.contains_key(path)));
        // What a framework has that is over is given to others while its executors end.
        let both: Vec<&String> = both.filter(|(_, task)| !task.forgetful).map(|(other, _)| other).collect();
        let Some(other) = both.first().filter(|_| !forgetful).map(|other| (*other).clone()) else { return };
        drop(account);
        self.count("tasks that share a volume with another");
        if volumes.values().any(|shared| !shared) {
            let text = format!("tasks {id} and {other} both use a volume that cannot be shared: {volumes:?}");
            self.violation(Invariant::BooksAddUp, text);
        }
    }

    /// The volumes that running tasks use, by task and host; not those of frameworks that are over, whose executors end when
    /// they hear of it.
    pub fn volumes_in_use(&self) -> Vec<(String, String, PathBuf)> {
        let account = self.account.lock();
        let running = account.tasks.iter().filter(|(_, task)| !task.forgetful);
        let running = running.filter_map(|(id, task)| Some((id, task.runs_on.as_ref()?, &task.volumes)));
        let volumes = running.flat_map(|(id, host, volumes)| {
            volumes.keys().map(|path| (id.clone(), host.clone(), path.clone()))
        });
        volumes.collect()
    }

    /// A task runs no more.
    pub fn stopped(&self, id: &str, why: &str) {
        if self.change(id, |task| task.runs_on.take()).is_some() {
            self.network.note(format!("{id} runs no more: {why}"));
        }
    }

    /// The agent has acknowledged an executor's update.
    pub fn promised(&self, id: &str, update: u32) {
        self.change(id, |task| task.promised = task.promised.max(update));
    }

    /// A framework has seen an update of a task: its executor's (`update`, counted from 1), or someone else's.
    pub fn seen(&self, id: &str, update: Option<u32>, uuid: Option<&[u8]>, state: TaskState, terminal: bool) {
        let Some(update) = update else {
            let (ended, runs) = self.change(id, |task| {
                let gone = state == TaskState::TaskGone && uuid.is_none();
                task.gone |= gone;
                (task.ended, task.runs_on.clone().filter(|_| gone && !task.forgetful))
            });
            if let Some(host) = runs {
                self.violation(
                    Invariant::GoneIsTrue,
                    format!("task {id} is called gone, and runs on {host}"),
                );
            }
            if ended && !terminal {
                self.count("late states of ended tasks");
            }
            return;
        };
        let (before, ended) = self.change(id, |task| {
            let before = (task.seen, task.ended);
            task.seen = task.seen.max(update);
            task.ended |= terminal;
            before
        });
        if update > before + 1 {
            let (state, missing) = (state.as_str_name(), before + 1);
            self.violation(
                Invariant::UpdatesInOrder,
                format!("update {update} of task {id} ({state}) arrived before update {missing}"),
            );
        }
        if ended && update > before {
            let text = format!("task {id} goes on after its end: {}", state.as_str_name());
            self.violation(Invariant::UpdatesInOrder, text);
        }
        if let Some(uuid) = uuid {
            self.repeated(id, update, uuid);
        }
        self.count(if update > before { "updates delivered" } else { "updates delivered again" });
    }

    fn repeated(&self, id: &str, update: u32, uuid: &[u8]) {
        let first = self.change(id, |task| {
            task.withheld.remove(&update);
            task.uuids.entry(update).or_insert_with(|| uuid.to_vec()).clone()
        });
        if first != uuid {
            let text = format!("update {update} of task {id} has come with another uuid than before");
            self.violation(Invariant::UpdatesRepeated, text);
        }
    }

    /// A framework does not acknowledge an update, which must come again therefore. True for the first time only.
    pub fn withhold(&self, id: &str, update: u32) -> bool {
        let now = self.network.elapsed();
        let first = self.change(id, |task| {
            let first = update > task.withheld_to;
            if first {
                task.withheld_to = update;
                task.withheld.insert(update, now);
            }
            first
        });
        if first {
            self.count("acknowledgements withheld");
        }
        first
    }

    /// Updates that were not acknowledged, and have not come again for so long.
    pub fn not_repeated(&self, patience: Duration) -> Vec<String> {
        let (account, now) = (self.account.lock(), self.network.elapsed());
        let tasks = account.tasks.iter().filter(|(_, task)| !task.forgetful);
        let late = tasks.flat_map(|(id, task)| {
            let late = task.withheld.iter().filter(|(_, since)| now - **since > patience);
            late.map(move |(update, _)| {
                format!("update {update} of task {id} was not acknowledged, and did not come again")
            })
        });
        late.collect()
    }

    /// Updates that were promised and have not arrived.
    pub fn missing(&self) -> Vec<String> {
        let account = self.account.lock();
        let missing = account.tasks.iter().filter(|(_, task)| !task.forgetful && task.seen < task.promised);
        missing
            .map(|(id, task)| {
                format!(
                    "the agent acknowledged update {} of task {id}, its framework has seen {}",
                    task.promised, task.seen
                )
            })
            .collect()
    }

    fn change<T>(&self, id: &str, change: impl FnOnce(&mut Task) -> T) -> T {
        change(self.account.lock().tasks.entry(id.to_owned()).or_default())
    }
}
