//! The lists that the cluster consists of, each in one form, kept from one rendering to the next.
//!
//! Agents are one list. Each framework has five: its tasks, those on unreachable agents, those that are over, its
//! executors and its offers; beside what is said of itself. While a framework is the same, these are not even looked at.
//! What nobody asks for is not made.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use libprocess::breath::{self, RENDERED};
use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, FrameworkId, v1};

use super::Pieces;
use super::list::{Entry, List};
use crate::cluster::{Agent, Executor, Framework, Offer, Snapshot, Task};
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
    fn offer(&self, offer: &Offer, out: &mut Vec<u8>);
    /// A framework without its tasks, executors and offers, complete in itself: other fields may follow.
    fn framework(&self, framework: &Framework, out: &mut Vec<u8>);
}

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

/// What is as its framework is: an `R` that is made with the help of what it was made of the last time.
#[derive(Debug)]
struct Owned<T, R> {
    of: Weak<Framework>,
    past: T,
    rendering: R,
}

impl<T: Default, R: Default> Default for Owned<T, R> {
    fn default() -> Self {
        Self { of: Weak::new(), past: T::default(), rendering: R::default() }
    }
}

impl<T, R: Clone> Owned<T, R> {
    /// As it was, if the framework is; else as `render` makes it.
    fn get(&mut self, of: &Arc<Framework>, render: impl FnOnce(&mut T) -> R) -> R {
        breath::spend(1);
        if self.of.as_ptr() != Arc::as_ptr(of) {
            self.rendering = render(&mut self.past);
            self.of = Arc::downgrade(of);
        }
        self.rendering.clone()
    }
}

/// What belongs to one framework.
#[derive(Debug, Default)]
struct OfFramework {
    itself: Owned<(), Bytes>,
    live: Owned<List<Task>, Pieces>,
    unreachable: Owned<List<Task>, Pieces>,
    completed: Owned<List<Task>, Pieces>,
    executors: Owned<List<Executor>, Pieces>,
    offers: Owned<List<Offer>, Pieces>,
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
    pub(crate) fn agents(&mut self, snapshot: &Snapshot) -> Pieces {
        let entries: Vec<_> = snapshot
            .agents
            .values()
            .map(|agent| {
                breath::spend(1);
                let activation = snapshot.activation(&agent.id);
                Entry { entity: agent, with: activation, is_pure: activation == Activation::default() }
            })
            .collect();
        let form = &self.form;
        self.agents.render(&entries, form.separator(), |agent, activation, out| {
            form.agent(agent, activation, out);
        })
    }

    /// The agents that have not come back yet.
    pub(crate) fn recovered(&mut self, snapshot: &Snapshot) -> Pieces {
        let entries: Vec<_> = snapshot.recovered_agents.values().map(Entry::of).collect();
        let form = &self.form;
        self.recovered.render(&entries, form.separator(), |info, (), out| form.recovered(info, out))
    }

    /// A framework without its tasks, executors and offers.
    pub(crate) fn framework(&mut self, framework: &Arc<Framework>) -> Bytes {
        let form = &self.form;
        let parts = self.frameworks.entry(framework.id.clone()).or_default();
        if is_on(Bug::ShowsStale) && !parts.itself.rendering.is_empty() {
            return parts.itself.rendering.clone();
        }
        parts.itself.get(framework, |()| {
            let mut out = Vec::new();
            form.framework(framework, &mut out);
            breath::spend(RENDERED);
            out.into()
        })
    }

    /// Tasks of a framework, live ones by their ids, the others as they ended.
    pub(crate) fn tasks(&mut self, framework: &Arc<Framework>, which: Tasks) -> Pieces {
        let form = &self.form;
        let parts = self.frameworks.entry(framework.id.clone()).or_default();
        let owned = match which {
            Tasks::Live => &mut parts.live,
            Tasks::Unreachable => &mut parts.unreachable,
            Tasks::Completed => &mut parts.completed,
        };
        owned.get(framework, |list| {
            let entries: Vec<_> = match which {
                // The book is hashed; a reader wants an order.
                Tasks::Live => by_id(framework.tasks.values()).into_iter().map(Entry::of).collect(),
                Tasks::Unreachable => framework.unreachable_tasks.iter().map(Entry::of).collect(),
                Tasks::Completed => framework.completed_tasks.iter().map(Entry::of).collect(),
            };
            list.render(&entries, form.separator(), |task, (), out| form.task(task, which, out))
        })
    }

    /// The executors of a framework.
    pub(crate) fn executors(&mut self, framework: &Arc<Framework>) -> Pieces {
        let form = &self.form;
        let parts = self.frameworks.entry(framework.id.clone()).or_default();
        parts.executors.get(framework, |list| {
            let entries: Vec<_> = framework
                .executors
                .iter()
                .inspect(|_| breath::spend(1))
                .map(|((agent, _), executor)| Entry { entity: executor, with: agent, is_pure: true })
                .collect();
            list.render(&entries, form.separator(), |executor, agent, out| {
                form.executor(executor, agent, out);
            })
        })
    }

    /// The outstanding offers of a framework.
    pub(crate) fn offers(&mut self, framework: &Arc<Framework>, snapshot: &Snapshot) -> Pieces {
        let form = &self.form;
        let parts = self.frameworks.entry(framework.id.clone()).or_default();
        parts.offers.get(framework, |list| {
            let offers = framework.offers.keys().inspect(|_| breath::spend(1));
            let entries: Vec<_> = offers.filter_map(|id| snapshot.offers.get(id)).map(Entry::of).collect();
            list.render(&entries, form.separator(), |offer, (), out| form.offer(offer, out))
        })
    }
}

/// The tasks in the order of their ids.
///
/// Most ids of a framework begin alike: what decides between two is what comes behind that, and it is kept at hand in
/// place of being read from two tasks for each comparison.
fn by_id<'a>(tasks: impl Iterator<Item = &'a Arc<Task>>) -> Vec<&'a Arc<Task>> {
    struct Keyed<'a> {
        key: u64,
        id: &'a [u8],
        task: &'a Arc<Task>,
    }
    let mut keyed: Vec<_> = tasks
        .map(|task| {
            breath::spend(1);
            Keyed { key: 0, id: task.id.as_str().as_bytes(), task }
        })
        .collect();
    let first = keyed.first().map_or(&[][..], |first| first.id);
    let alike = keyed.iter().fold(first.len(), |alike, Keyed { id, .. }| {
        breath::spend(1);
        first.iter().zip(*id).take(alike).take_while(|(a, b)| a == b).count()
    });
    for Keyed { key, id, .. } in &mut keyed {
        breath::spend(1);
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(id.iter().skip(alike)).for_each(|(to, from)| *to = *from);
        *key = u64::from_be_bytes(bytes);
    }
    keyed.sort_unstable_by(|a, b| {
        breath::spend(1);
        a.key.cmp(&b.key).then_with(|| a.id.cmp(b.id))
    });
    keyed.into_iter().map(|keyed| keyed.task).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use mesos::OfferId;

    use crate::cluster::Cluster;
    use crate::cluster::testing::{cluster, offer, snapshot, task};

    /// Entities are their ids. Counts the offers that it writes.
    #[derive(Default)]
    struct Ids {
        offers: Cell<usize>,
    }

    impl Form for Ids {
        fn separator(&self) -> &'static [u8] {
            b","
        }

        fn agent(&self, agent: &Agent, _: Activation, out: &mut Vec<u8>) {
            out.extend_from_slice(agent.id.as_str().as_bytes());
        }

        fn recovered(&self, info: &v1::AgentInfo, out: &mut Vec<u8>) {
            out.extend_from_slice(info.hostname.as_bytes());
        }

        fn task(&self, task: &Task, _: Tasks, out: &mut Vec<u8>) {
            out.extend_from_slice(task.id.as_str().as_bytes());
        }

        fn executor(&self, executor: &Executor, _: &AgentId, out: &mut Vec<u8>) {
            out.extend_from_slice(executor.info.executor_id.value.as_bytes());
        }

        fn offer(&self, offer: &Offer, out: &mut Vec<u8>) {
            self.offers.set(self.offers.get() + 1);
            out.extend_from_slice(offer.id.as_str().as_bytes());
        }

        fn framework(&self, framework: &Framework, out: &mut Vec<u8>) {
            out.extend_from_slice(framework.id.as_str().as_bytes());
        }
    }

    /// Who holds a thousand offers and takes one would have the others rendered again.
    #[test]
    fn offers_that_stay_are_not_rendered_again() {
        let mut cluster = cluster(&["f"], &["a"]);
        let mut parts = Parts::new(Ids::default());
        let mut shown = |cluster: &Cluster| {
            let snapshot = snapshot(cluster);
            let framework = &snapshot.frameworks[&FrameworkId::from("f")];
            let offers = parts.offers(framework, &snapshot).into_pieces().concat();
            (String::from_utf8(offers).unwrap(), parts.form.offers.get())
        };
        assert_eq!(shown(&cluster), (String::new(), 0));
        for id in ["o1", "o2", "o3"] {
            cluster.add_offer(offer(id, "f", "a", "cpus:1"));
        }
        assert_eq!(shown(&cluster), ("o1,o2,o3".into(), 3));
        cluster.remove_offer(&OfferId::from("o2"));
        assert_eq!(shown(&cluster), ("o1,o3".into(), 3));
        cluster.add_offer(offer("o4", "f", "a", "cpus:1"));
        assert_eq!(shown(&cluster), ("o1,o3,o4".into(), 4));
    }

    #[test]
    fn what_is_only_looked_at_is_work_too() {
        let tasks: Vec<_> = (100..200).map(|id| Arc::new(task(&id.to_string(), "cpus:1"))).collect();
        let before = breath::spent();
        by_id(tasks.iter());
        // Each is found, compared with the first one, read, and, but for one, compared with its neighbour.
        assert!(breath::spent() - before >= 4 * tasks.len() - 1);
        let snapshot = snapshot(&cluster(&["f"], &["a"]));
        let mut parts = Parts::new(Ids::default());
        let framework = &snapshot.frameworks[&FrameworkId::from("f")];
        parts.offers(framework, &snapshot);
        let before = breath::spent();
        parts.offers(framework, &snapshot);
        assert_eq!(breath::spent() - before, 1);
    }

    proptest! {
        #[test]
        fn tasks_are_in_the_order_of_their_ids(prefix in "[a-z-]{0,9}", ids in proptest::collection::vec("[\\x00a-c]{0,12}", 0..40)) {
            let mut ids: Vec<String> = ids.into_iter().map(|id| prefix.clone() + &id).collect();
            let tasks: Vec<Arc<Task>> = ids.iter().map(|id| Arc::new(task(id, "cpus:1"))).collect();
            let ordered: Vec<&str> = by_id(tasks.iter()).iter().map(|task| task.id.as_str()).collect();
            ids.sort();
            prop_assert_eq!(ordered, ids);
        }
    }
}
