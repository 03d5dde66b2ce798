//! What really happened, as no part of the cluster knows it: which tasks ran where, which updates were promised to
//! arrive and which did. Everybody in the simulation reports here; what must never happen is noticed at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use libprocess::simulation::Network;
use mesos::v1::TaskState;
use parking_lot::Mutex;

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
    violations: Vec<String>,
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
    /// Updates that the agent had acknowledged may be lost with it: the framework does not checkpoint.
    pub forgetful: bool,
}

impl Truth {
    /// An empty account of what happens on this network.
    pub fn new(network: &Network) -> Truth {
        Truth { network: network.clone(), account: Arc::default() }
    }

    /// Something happened that must not.
    pub fn violation(&self, what: String) {
        self.network.note(format!("VIOLATION: {what}"));
        self.account.lock().violations.push(what);
    }

    /// What happened that must not, first things first.
    pub fn violations(&self) -> Vec<String> {
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

    /// An executor was told to run a task.
    pub fn started(&self, id: &str, host: &str, forgetful: bool) {
        let starts = self.change(id, |task| {
            task.starts += 1;
            task.runs_on = Some(host.to_owned());
            task.forgetful = forgetful;
            task.starts
        });
        self.network.note(format!("{id} runs on {host}"));
        if starts > 1 {
            self.violation(format!("task {id} was started {starts} times"));
        }
        self.count("tasks started");
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
    pub fn seen(&self, id: &str, update: Option<u32>, state: TaskState, terminal: bool) {
        let Some(update) = update else {
            if self.change(id, |task| task.ended) && !terminal {
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
            self.violation(format!(
                "update {update} of task {id} ({}) arrived before update {}",
                state.as_str_name(),
                before + 1
            ));
        }
        if ended && update > before {
            self.violation(format!("task {id} goes on after its end: {}", state.as_str_name()));
        }
        self.count(if update > before { "updates delivered" } else { "updates delivered again" });
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
