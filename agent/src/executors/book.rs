//! The tasks of one executor, from queued to completed: what moves when, and what may not.
//!
//! ```text
//! queued --send--> launched --terminal update--> terminated --acknowledged--> completed
//!    \______________terminal update (killed before delivery)____/
//! ```
//!
//! Pure: no actor, no clock, no disk. Upstream: `Executor` in `slave/slave.cpp`.
//!
//! Tasks are behind `Arc`, so that a rendering of `/state` shares them instead of copying; a change
//! copies a task only while such a snapshot is alive.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;

use indexmap::IndexMap;
use libprocess::FixedState;
use mesos::{FrameworkId, Resources, TaskId, v1};

use mesos::tasks::{is_terminal, new_task, record_status};

/// How many completed tasks of an executor `/state` shows; the oldest is forgotten first
/// (upstream: `MAX_COMPLETED_TASKS_PER_EXECUTOR`).
pub const MAX_COMPLETED_TASKS: usize = 200;

/// Why an update did not change a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateRefused {
    /// A task that was never sent to the executor can only end.
    #[error("a queued task cannot become {0}, which is not terminal")]
    Queued(&'static str),
    /// It had a terminal state before.
    #[error("the task is already terminated with state {0}")]
    Terminated(&'static str),
    /// No such task.
    #[error("the task is unknown")]
    Unknown,
}

fn hash(id: &TaskId) -> u64 {
    FixedState::default().hash_one(id)
}

/// What is sent to an executor in one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    /// A task.
    Task(Arc<v1::TaskInfo>),
    /// Tasks that are launched together.
    Group(Vec<Arc<v1::TaskInfo>>),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct TaskBook {
    queued: IndexMap<TaskId, Arc<v1::TaskInfo>, FixedState>,
    /// The groups among them: what came together is sent, or killed, together.
    groups: Vec<Vec<TaskId>>,
    launched: BTreeMap<TaskId, Arc<v1::Task>>,
    terminated: BTreeMap<TaskId, Arc<v1::Task>>,
    /// Launched tasks that are to be killed, and how.
    killed: BTreeMap<TaskId, Option<v1::KillPolicy>>,
    completed: VecDeque<Arc<v1::Task>>,
    /// Hashes of the ids of all that were completed.
    ended: HashSet<u64, FixedState>,
    /// What queued and launched tasks hold.
    held: Resources,
    /// Whether some task ever asked for limits beyond its resources; most agents never see one.
    limits: bool,
}

impl TaskBook {
    /// A task waits for the executor.
    pub fn queue(&mut self, id: TaskId, task: Arc<v1::TaskInfo>) {
        self.held += resources_of(&task.resources);
        self.limits |= !task.limits.is_empty();
        self.queued.insert(id, task);
    }

    /// Tasks that are queued belong together.
    pub fn group(&mut self, tasks: Vec<TaskId>) {
        self.groups.push(tasks);
    }

    /// A task is queued no more: the next one of its id belongs to nobody.
    fn leave_group(&mut self, id: &TaskId) {
        for group in &mut self.groups {
            group.retain(|member| member != id);
        }
        self.groups.retain(|group| !group.is_empty());
    }

    /// The queued tasks that a queued one came with, itself among them.
    pub fn queued_with(&self, id: &TaskId) -> Vec<TaskId> {
        let group = self.groups.iter().find(|group| group.contains(id));
        let together = group.map_or(std::slice::from_ref(id), Vec::as_slice);
        together.iter().filter(|id| self.queued.contains_key(*id)).cloned().collect()
    }

    /// Whether a queued task came in a group.
    pub fn is_in_group(&self, id: &TaskId) -> bool {
        self.groups.iter().any(|group| group.contains(id))
    }

    /// All that waits, in the order in which it came.
    pub fn queued(&self) -> impl Iterator<Item = (&TaskId, &Arc<v1::TaskInfo>)> {
        self.queued.iter()
    }

    /// Takes all that waits, to be sent; each is launched from now on, in state `TASK_STAGING`. Groups are where the
    /// first of their tasks was.
    pub fn launch_queued(&mut self, framework: &FrameworkId) -> Vec<Sent> {
        let mut sent = Vec::with_capacity(self.queued.len());
        let (mut queued, groups) = (std::mem::take(&mut self.queued), std::mem::take(&mut self.groups));
        while let Some((id, info)) = queued.shift_remove_index(0) {
            let mut infos = vec![info];
            let group = groups.iter().find(|group| group.contains(&id));
            infos.extend(group.into_iter().flatten().filter_map(|id| queued.shift_remove(id)));
            for info in &infos {
                let task = new_task(info, v1::TaskState::TaskStaging, framework);
                self.launched.insert(TaskId::from(&info.task_id), Arc::new(task));
            }
            sent.push(match (infos.pop(), group) {
                (Some(task), None) => Sent::Task(task),
                (last, _) => {
                    infos.extend(last);
                    Sent::Group(infos)
                }
            });
        }
        sent
    }

    /// A task that was read back after a restart.
    pub fn recover(&mut self, id: TaskId, task: v1::Task) {
        self.held += resources_of(&task.resources);
        self.limits |= !task.limits.is_empty();
        self.launched.insert(id, Arc::new(task));
    }

    /// Tasks that the executor has been sent and that have not ended.
    pub fn launched(&self) -> impl Iterator<Item = (&TaskId, &Arc<v1::Task>)> {
        self.launched.iter()
    }

    /// Tasks that have ended, with updates that nobody has acknowledged yet.
    pub fn terminated(&self) -> impl Iterator<Item = (&TaskId, &Arc<v1::Task>)> {
        self.terminated.iter()
    }

    /// Tasks that are over, the oldest first.
    pub fn completed(&self) -> impl Iterator<Item = &Arc<v1::Task>> {
        self.completed.iter()
    }

    /// Is it queued?
    pub fn is_queued(&self, id: &TaskId) -> bool {
        self.queued.contains_key(id)
    }

    /// Was it sent, and has it not ended?
    pub fn is_launched(&self, id: &TaskId) -> bool {
        self.launched.contains_key(id)
    }

    /// Has it ended, with updates outstanding?
    pub fn is_terminated(&self, id: &TaskId) -> bool {
        self.terminated.contains_key(id)
    }

    /// Is nothing queued?
    pub fn nothing_queued(&self) -> bool {
        self.queued.is_empty()
    }

    /// How many are queued.
    pub fn queued_len(&self) -> usize {
        self.queued.len()
    }

    /// Whether anything is not completed.
    pub fn has_incomplete(&self) -> bool {
        !self.queued.is_empty() || !self.launched.is_empty() || !self.terminated.is_empty()
    }

    /// Whether any task asked for limits.
    pub fn asks_for_limits(&self) -> bool {
        self.limits
    }

    /// What queued and launched tasks hold together.
    pub fn held(&self) -> &Resources {
        &self.held
    }

    /// Applies an update. `status` has a uuid, and becomes the last of the task's statuses,
    /// replacing one of the same state.
    ///
    /// # Errors
    /// [`UpdateRefused`] if the task cannot take it; nothing has changed then.
    pub fn update(
        &mut self,
        id: &TaskId,
        status: &v1::TaskStatus,
        framework: &FrameworkId,
    ) -> Result<(), UpdateRefused> {
        let state = status.state();
        let terminal = is_terminal(state);
        if let Some(info) = self.queued.get(id) {
            if !terminal {
                return Err(UpdateRefused::Queued(state.as_str_name()));
            }
            let mut task = new_task(info, state, framework);
            record(&mut task, status);
            self.release(&task.resources);
            self.queued.shift_remove(id);
            self.leave_group(id);
            self.terminated.insert(id.clone(), Arc::new(task));
            return Ok(());
        }
        if let Some(task) = self.terminated.get(id) {
            return Err(UpdateRefused::Terminated(task.state().as_str_name()));
        }
        let Some(task) = self.launched.get_mut(id) else { return Err(UpdateRefused::Unknown) };
        record(Arc::make_mut(task), status);
        if terminal && let Some(task) = self.launched.remove(id) {
            self.killed.remove(id);
            self.release(&task.resources);
            self.terminated.insert(id.clone(), task);
        }
        Ok(())
    }

    /// Whether a terminated task has this update among its statuses.
    pub fn has_status(&self, id: &TaskId, uuid: Option<&[u8]>) -> bool {
        let task = self.terminated.get(id);
        task.is_some_and(|task| task.statuses.iter().any(|status| status.uuid.as_deref() == uuid))
    }

    /// Remembers which state the master has been told of, for re-registration, and answers the
    /// latest state; `None` for a task that is neither launched nor terminated. An end that a terminated task does not have
    /// is a later task's of the same id, which has ended before it came to an executor.
    pub fn forwarded(&mut self, id: &TaskId, state: v1::TaskState, uuid: &[u8]) -> Option<v1::TaskState> {
        if is_terminal(state) && self.is_terminated(id) && !self.has_status(id, Some(uuid)) {
            return Some(state);
        }
        let task = match self.launched.get_mut(id) {
            Some(task) => task,
            None => self.terminated.get_mut(id)?,
        };
        let task = Arc::make_mut(task);
        task.status_update_state = Some(state.into());
        task.status_update_uuid = Some(uuid.to_vec());
        Some(task.state())
    }

    /// The last update of a terminated task was acknowledged. `false` if it was not terminated.
    pub fn complete(&mut self, id: &TaskId) -> bool {
        let Some(task) = self.terminated.remove(id) else { return false };
        self.ended.insert(hash(id));
        if self.completed.len() == MAX_COMPLETED_TASKS {
            self.completed.pop_front();
        }
        self.completed.push_back(task);
        true
    }

    /// A task was completed and deleted before a restart. The journal of status updates still has what it was.
    pub fn recover_deleted(&mut self, id: &TaskId) {
        self.ended.insert(hash(id));
    }

    /// Whether a task of this id was completed, be it long ago; of others it may be said, too, once in a very long time.
    pub fn has_had(&self, id: &TaskId) -> bool {
        self.ended.contains(&hash(id))
    }

    /// The executor is to kill a launched task. Its connection may break before it has heard that. A kill that does not say
    /// how leaves it at what was said before: an operator's bound, when the agent is drained.
    pub fn kill(&mut self, id: &TaskId, policy: Option<v1::KillPolicy>) {
        if self.launched.contains_key(id) {
            let known = self.killed.entry(id.clone()).or_default();
            *known = policy.or(*known);
        }
    }

    /// The launched tasks that are to be killed, and how that was said last.
    pub fn killed(&self) -> impl Iterator<Item = (&TaskId, Option<v1::KillPolicy>)> {
        self.killed.iter().map(|(id, policy)| (id, *policy))
    }

    /// What runs can no longer be told of (its framework is going away): it counts as over.
    pub fn abandon_launched(&mut self) {
        self.killed.clear();
        while let Some((id, task)) = self.launched.pop_first() {
            self.release(&task.resources);
            self.terminated.insert(id, task);
        }
    }

    /// Whether any task of this executor had an update that the executor itself sent.
    pub fn executor_has_reported(&self) -> bool {
        let reported = |task: &v1::Task| {
            task.statuses.iter().any(|status| status.source() == v1::task_status::Source::Executor)
        };
        self.terminated.values().any(|task| reported(task))
            || self.completed.iter().any(|task| reported(task))
    }

    fn release(&mut self, resources: &[v1::Resource]) {
        self.held -= resources_of(resources);
    }
}

/// Resources that the master has checked.
pub(crate) fn resources_of(resources: &[v1::Resource]) -> Resources {
    Resources::from_valid_protos(resources)
}

fn record(task: &mut v1::Task, status: &v1::TaskStatus) {
    record_status(task, status);
    task.state = status.state;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::status::testing::{status, task_info};
    use v1::TaskState::{TaskFinished, TaskKilled, TaskLost, TaskRunning, TaskStarting};

    fn framework() -> FrameworkId {
        FrameworkId::from("F")
    }

    fn book_with(id: &str) -> TaskBook {
        let mut book = TaskBook::default();
        book.queue(TaskId::from(id), Arc::new(task_info(id, "cpus:1;mem:32")));
        book
    }

    #[test]
    fn a_task_goes_from_queued_to_completed() {
        let id = TaskId::from("t");
        let mut book = book_with("t");
        assert_eq!(book.launch_queued(&framework()).len(), 1);
        assert!(book.is_launched(&id));
        book.update(&id, &status("t", TaskRunning), &framework()).unwrap();
        book.update(&id, &status("t", TaskFinished), &framework()).unwrap();
        assert!(book.is_terminated(&id) && book.has_incomplete());
        assert!(book.held().is_empty());
        assert!(book.complete(&id));
        assert!(!book.has_incomplete());
        assert_eq!(book.completed().next().unwrap().state(), TaskFinished);
        assert!(!book.complete(&id));
    }

    #[test]
    fn what_came_together_is_sent_together_unless_it_was_killed() {
        let mut book = book_with("a");
        for id in ["b", "c", "d", "e"] {
            book.queue(TaskId::from(id), Arc::new(task_info(id, "cpus:1")));
        }
        book.group(vec!["b".into(), "d".into()]);
        book.group(vec!["c".into(), "e".into()]);
        assert_eq!(book.queued_with(&"d".into()), ["b".into(), "d".into()]);
        assert_eq!(book.queued_with(&"a".into()), ["a".into()]);
        for id in ["c", "e"] {
            book.update(&TaskId::from(id), &status(id, TaskKilled), &framework()).unwrap();
        }
        let names = |sent: Sent| match sent {
            Sent::Task(task) => task.name.clone(),
            Sent::Group(tasks) => tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join("+"),
        };
        let sent: Vec<String> = book.launch_queued(&framework()).into_iter().map(names).collect();
        assert_eq!(sent, ["a", "b+d"]);
        assert!(book.is_launched(&"d".into()) && book.nothing_queued());
    }

    #[test]
    fn a_group_is_forgotten_with_its_tasks_and_does_not_hold_later_ones_of_their_ids() {
        let mut book = book_with("a");
        book.queue(TaskId::from("b"), Arc::new(task_info("b", "cpus:1")));
        book.group(vec!["a".into(), "b".into()]);
        for id in ["a", "b"] {
            book.update(&TaskId::from(id), &status(id, TaskKilled), &framework()).unwrap();
            assert!(book.complete(&TaskId::from(id)));
        }
        assert!(book.groups.is_empty());
        for id in ["a", "b"] {
            book.queue(TaskId::from(id), Arc::new(task_info(id, "cpus:1")));
        }
        assert_eq!(book.queued_with(&"a".into()), ["a".into()]);
        let sent = book.launch_queued(&framework());
        assert!(matches!(sent[..], [Sent::Task(_), Sent::Task(_)]), "{sent:?}");
    }

    #[test]
    fn queued_and_launched_tasks_hold_their_resources() {
        let mut book = book_with("a");
        book.launch_queued(&framework());
        book.queue(TaskId::from("b"), Arc::new(task_info("b", "cpus:2;mem:64")));
        assert_eq!(book.held().cpus().unwrap().to_f64(), 3.0);
        book.update(&TaskId::from("b"), &status("b", TaskKilled), &framework()).unwrap();
        assert_eq!(book.held().cpus().unwrap().to_f64(), 1.0);
    }

    #[test]
    fn a_queued_task_can_only_end() {
        let id = TaskId::from("t");
        let mut book = book_with("t");
        assert_eq!(
            book.update(&id, &status("t", TaskRunning), &framework()),
            Err(UpdateRefused::Queued("TASK_RUNNING"))
        );
        book.update(&id, &status("t", TaskKilled), &framework()).unwrap();
        assert!(book.nothing_queued());
        assert!(book.is_terminated(&id));
    }

    #[test]
    fn a_second_terminal_update_is_refused() {
        let id = TaskId::from("t");
        let mut book = book_with("t");
        book.launch_queued(&framework());
        book.update(&id, &status("t", TaskFinished), &framework()).unwrap();
        assert_eq!(
            book.update(&id, &status("t", TaskLost), &framework()),
            Err(UpdateRefused::Terminated("TASK_FINISHED"))
        );
        assert_eq!(
            book.update(&TaskId::from("other"), &status("other", TaskLost), &framework()),
            Err(UpdateRefused::Unknown)
        );
    }

    #[test]
    fn statuses_of_the_same_state_replace_each_other() {
        let id = TaskId::from("t");
        let mut book = book_with("t");
        book.launch_queued(&framework());
        for state in [TaskStarting, TaskRunning, TaskRunning] {
            book.update(&id, &status("t", state), &framework()).unwrap();
        }
        let task = book.launched().next().unwrap().1;
        assert_eq!(task.statuses.len(), 2);
    }

    #[test]
    fn forwarding_remembers_what_the_master_knows() {
        let id = TaskId::from("t");
        let mut book = book_with("t");
        book.launch_queued(&framework());
        book.update(&id, &status("t", TaskRunning), &framework()).unwrap();
        book.update(&id, &status("t", TaskFinished), &framework()).unwrap();
        assert_eq!(book.forwarded(&id, TaskRunning, b"uuid"), Some(TaskFinished));
        let task = book.terminated().next().unwrap().1;
        assert_eq!(task.status_update_state(), TaskRunning);
        assert_eq!(book.forwarded(&TaskId::from("other"), TaskRunning, b"uuid"), None);
    }

    #[test]
    fn only_the_latest_completed_tasks_are_kept() {
        let mut book = TaskBook::default();
        for n in 0..MAX_COMPLETED_TASKS + 5 {
            let name = format!("t{n:04}");
            let id = TaskId::from(name.as_str());
            book.queue(id.clone(), Arc::new(task_info(&name, "cpus:1")));
            book.launch_queued(&framework());
            book.update(&id, &status(&name, TaskFinished), &framework()).unwrap();
            book.complete(&id);
        }
        assert_eq!(book.completed().count(), MAX_COMPLETED_TASKS);
        assert_eq!(book.completed().next().unwrap().name, "t0005");
    }
}
