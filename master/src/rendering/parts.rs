//! The lists that the cluster consists of, each in one form, kept from one rendering to the next.
//!
//! Agents are one list. Each framework has four: its tasks, those on unreachable agents, those that are over, and its
//! executors; beside what is said of itself. While a framework is the same, these are not even looked at. What nobody
//! asks for is not made.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, FrameworkId, OfferId, v1};

use super::list::{Entry, List};
use crate::cluster::{Agent, Executor, Framework, Map, Offer, Snapshot, Task};
use crate::registrar::Activation;

/// A form in which entities are written: as elements of the list that they are in.
pub(crate) trait Form {
    /// What stands between two elements.
    fn separator(&self) -> &'static [u8];
    fn agent(&self, agent: &Agent, activation: Activation, out: &mut Vec<u8>);
    /// An agent that has not come back yet.
    fn recovered(&self, info: &v1::AgentInfo, out: &mut Vec<u8>);
    fn task(&self, task: &Task, list: Tasks, out: &mut Vec<u8>);
    fn executor(&self, executor: &Executor, agent: &AgentId, out: &mut Vec<u8>);
    /// A framework without its tasks and executors.
    fn framework(&self, framework: &Framework, offers: &Offers, out: &mut Vec<u8>);
}

/// The outstanding offers of all frameworks.
type Offers = Map<OfferId, Arc<Offer>>;

/// Which of a framework's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tasks {
    /// Those that are not over, or whose end is not acknowledged.
    Live,
    /// On agents that do not answer.
    Unreachable,
    /// Over.
    Completed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Parts<F> {
    pub(crate) form: F,
    agents: List<Agent>,
    recovered: List<v1::AgentInfo>,
    frameworks: BTreeMap<FrameworkId, OfFramework>,
}

/// What is as its framework is.
#[derive(Debug)]
struct Owned<T> {
    of: Weak<Framework>,
    past: T,
    bytes: Bytes,
}

impl<T: Default> Default for Owned<T> {
    fn default() -> Self {
        Self { of: Weak::new(), past: T::default(), bytes: Bytes::new() }
    }
}

impl<T> Owned<T> {
    /// As it was, if the framework is; else as `render` makes it.
    fn get(&mut self, of: &Arc<Framework>, render: impl FnOnce(&mut T) -> Bytes) -> Bytes {
        if self.of.as_ptr() != Arc::as_ptr(of) {
            self.bytes = render(&mut self.past);
            self.of = Arc::downgrade(of);
        }
        self.bytes.clone()
    }
}

/// What belongs to one framework.
#[derive(Debug, Default)]
struct OfFramework {
    itself: Owned<()>,
    live: Owned<List<Task>>,
    unreachable: Owned<List<Task>>,
    completed: Owned<List<Task>>,
    executors: Owned<List<Executor>>,
}

impl<F: Form> Parts<F> {
    pub(crate) fn new(form: F) -> Self {
        Self { form, agents: List::default(), recovered: List::default(), frameworks: BTreeMap::new() }
    }

    /// Forgets frameworks that are not even remembered any more.
    pub(crate) fn forget_others(&mut self, snapshot: &Snapshot) {
        if self.frameworks.len() > snapshot.frameworks.size() + snapshot.completed_frameworks.len() {
            let is_completed = |id: &FrameworkId| snapshot.completed_frameworks.iter().any(|f| &f.id == id);
            self.frameworks.retain(|id, _| snapshot.frameworks.contains_key(id) || is_completed(id));
        }
    }

    /// The registered agents.
    pub(crate) fn agents(&mut self, snapshot: &Snapshot) -> Bytes {
        let entries: Vec<_> = snapshot
            .agents
            .values()
            .map(|agent| {
                let activation = snapshot.activation(&agent.id);
                Entry { entity: agent, with: activation, is_pure: activation == Activation::default() }
            })
            .collect();
        let form = &self.form;
        self.agents
            .render(&entries, form.separator(), |agent, activation, out| form.agent(agent, activation, out))
    }

    /// The agents that have not come back yet.
    pub(crate) fn recovered(&mut self, snapshot: &Snapshot) -> Bytes {
        let entries: Vec<_> = snapshot.recovered_agents.values().map(Entry::of).collect();
        let form = &self.form;
        self.recovered.render(&entries, form.separator(), |info, (), out| form.recovered(info, out))
    }

    /// A framework without its tasks and executors.
    pub(crate) fn framework(&mut self, framework: &Arc<Framework>, snapshot: &Snapshot) -> Bytes {
        let form = &self.form;
        let parts = self.frameworks.entry(framework.id.clone()).or_default();
        if is_on(Bug::ShowsStale) && !parts.itself.bytes.is_empty() {
            return parts.itself.bytes.clone();
        }
        parts.itself.get(framework, |()| {
            let mut out = Vec::new();
            form.framework(framework, &snapshot.offers, &mut out);
            out.into()
        })
    }

    /// Tasks of a framework, live ones by their ids, the others as they ended.
    pub(crate) fn tasks(&mut self, framework: &Arc<Framework>, which: Tasks) -> Bytes {
        let form = &self.form;
        let parts = self.frameworks.entry(framework.id.clone()).or_default();
        let owned = match which {
            Tasks::Live => &mut parts.live,
            Tasks::Unreachable => &mut parts.unreachable,
            Tasks::Completed => &mut parts.completed,
        };
        owned.get(framework, |list| {
            let entries: Vec<_> = match which {
                Tasks::Live => {
                    // The book is hashed; a reader wants an order.
                    let mut live: Vec<_> = framework.tasks.values().collect();
                    live.sort_unstable_by(|a, b| a.id.cmp(&b.id));
                    live.into_iter().map(Entry::of).collect()
                }
                Tasks::Unreachable => framework.unreachable_tasks.iter().map(Entry::of).collect(),
                Tasks::Completed => framework.completed_tasks.iter().map(Entry::of).collect(),
            };
            list.render(&entries, form.separator(), |task, (), out| form.task(task, which, out))
        })
    }

    /// The executors of a framework.
    pub(crate) fn executors(&mut self, framework: &Arc<Framework>) -> Bytes {
        let form = &self.form;
        let parts = self.frameworks.entry(framework.id.clone()).or_default();
        parts.executors.get(framework, |list| {
            let entries: Vec<_> = framework
                .executors
                .iter()
                .map(|((agent, _), executor)| Entry { entity: executor, with: agent, is_pure: true })
                .collect();
            list.render(&entries, form.separator(), |executor, agent, out| {
                form.executor(executor, agent, out)
            })
        })
    }
}
