//! One executor on this agent, and its framework: the agent's books about them.
//!
//! ```text
//! Registering --subscribes--> Running --told to stop--> Terminating --its container ended--> Terminated
//! ```
//!
//! Plain data; the files beside this one change it. Upstream: `Executor` and `Framework` in
//! `slave/slave.hpp`.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use libprocess::{Pid, Timer};
use mesos::internal::StatusUpdate;
use mesos::{ContainerId, ExecutorId, FrameworkId, Resources, TaskId, v1};

use super::book::{TaskBook, resources_of};
use super::connection::Connection;
use crate::containerizer::Termination;
use crate::status_updates::manager::Origin;
use crate::tasks::status::is_partition_aware;

/// Where an executor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExecutorPhase {
    /// Its container was asked for; it has not subscribed (since the agent started).
    Registering,
    /// It has subscribed.
    Running,
    /// It was told to stop, or its container is being destroyed.
    Terminating,
    /// Its container has ended; it stays until all updates of its tasks are acknowledged.
    Terminated,
}

/// An update that cannot go on before something else is known.
pub struct WaitingUpdate {
    /// The update.
    pub update: StatusUpdate,
    /// Who sent it.
    pub origin: Origin,
}

/// What is to happen once the container has the resources that its tasks need.
pub enum AfterUpdate {
    /// Send what is queued.
    SendQueued,
    /// Report a terminal update (its resources are free now).
    Report(Box<WaitingUpdate>),
}

/// The changes of a container's resources: one at a time, and those that come meanwhile together.
#[derive(Default)]
pub struct ResourceChanges {
    /// Whether the containerizer works on one.
    pub in_flight: bool,
    /// What happens when the next one is done.
    pub next: Vec<AfterUpdate>,
}

/// See the module.
pub struct Executor {
    /// Where it is in its life.
    pub phase: ExecutorPhase,
    /// Its id.
    pub id: ExecutorId,
    /// As its framework, or the agent itself, described it.
    pub info: Arc<v1::ExecutorInfo>,
    /// Its container.
    pub container: ContainerId,
    /// Its sandbox.
    pub directory: PathBuf,
    /// Who it runs as.
    pub user: Option<String>,
    /// Whether its framework checkpoints.
    pub checkpoint: bool,
    /// Whether the agent made it for a command task. The master does not know of such executors.
    pub generated: bool,
    /// Its subscription.
    pub connection: Option<Connection>,
    /// Its tasks.
    pub tasks: TaskBook,
    /// Whether the containerizer has launched its container.
    pub launched: bool,
    /// Whether it was ever given a task. One that was not, and has none left, is shut down
    /// (upstream: MESOS-8411).
    pub ever_sent_task: bool,
    /// Whether the agent of before has told it to end. It is told again when it subscribes.
    pub was_told_to_end: bool,
    /// Why the agent ends it, for its tasks' last updates.
    pub pending_termination: Option<Termination>,
    /// What the containerizer said of its container, for its tasks' updates.
    pub container_status: Option<v1::ContainerStatus>,
    /// Whether the containerizer has been asked.
    pub asking_status: bool,
    /// Updates that wait for `container_status`, in order.
    pub awaiting_status: VecDeque<WaitingUpdate>,
    /// Changes of the container's resources.
    pub changes: ResourceChanges,
    /// Kills it if it does not subscribe in time.
    pub registration_timer: Option<Timer>,
    /// What `info` asks for.
    own: Resources,
}

impl Executor {
    /// An executor whose container is yet to be launched.
    pub fn new(
        info: v1::ExecutorInfo,
        container: ContainerId,
        directory: PathBuf,
        user: Option<String>,
        checkpoint: bool,
        generated: bool,
    ) -> Executor {
        Executor {
            phase: ExecutorPhase::Registering,
            id: ExecutorId::from(&info.executor_id),
            own: resources_of(&info.resources),
            info: Arc::new(info),
            container,
            directory,
            user,
            checkpoint,
            generated,
            connection: None,
            tasks: TaskBook::default(),
            launched: false,
            ever_sent_task: false,
            was_told_to_end: false,
            pending_termination: None,
            container_status: None,
            asking_status: false,
            awaiting_status: VecDeque::new(),
            changes: ResourceChanges::default(),
            registration_timer: None,
        }
    }

    /// What it and its tasks hold.
    pub fn allocated(&self) -> Resources {
        &self.own + self.tasks.held()
    }

    /// The limits of its container.
    pub fn limits(&self) -> BTreeMap<String, f64> {
        if !self.tasks.asks_for_limits() {
            return BTreeMap::new();
        }
        let queued = self.tasks.queued().map(|(_, task)| (&task.resources[..], &task.limits));
        let launched = self.tasks.launched().map(|(_, task)| (&task.resources[..], &task.limits));
        let tasks: Vec<_> = queued.chain(launched).collect();
        super::command::limits(&self.info.resources, &tasks)
    }

    /// Whether it was ever given a task, as far as anybody can tell after a restart.
    pub fn was_ever_sent_a_task(&self) -> bool {
        self.ever_sent_task || self.tasks.launched().next().is_some() || self.tasks.executor_has_reported()
    }

    /// Whether it may still subscribe.
    pub fn is_alive(&self) -> bool {
        matches!(self.phase, ExecutorPhase::Registering | ExecutorPhase::Running)
    }
}

/// Whether a framework is being shut down on this agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameworkPhase {
    /// It may launch tasks.
    Running,
    /// The master said that it is gone. Nobody hears of it any more, unless it is reported to a master, or one says that it
    /// is there.
    Terminating,
}

/// A task, or a group of tasks, that came while old directories of its executor wait to be deleted: it is launched once
/// they are safe.
pub struct PendingLaunch {
    /// The task, or all those of the group.
    pub tasks: Vec<v1::TaskInfo>,
    /// Whether they came as a group: then they are launched together, or not at all.
    pub is_group: bool,
    /// Their executor.
    pub executor: v1::ExecutorInfo,
    /// Whether the agent made the executor.
    pub generated: bool,
    /// Whether the master expects that an executor is launched for it, if it says.
    pub launch_executor: Option<bool>,
    /// Whether the master believed the agent's resources to be other than they were when the launch came.
    pub outdated: bool,
}

impl PendingLaunch {
    /// Whether the master has an executor in its books that is launched for this one.
    pub fn brings_executor(&self) -> bool {
        !self.generated && self.launch_executor == Some(true)
    }
}

/// A framework with executors on this agent.
pub struct Framework {
    /// Where it is in its life here.
    pub phase: FrameworkPhase,
    /// Its id.
    pub id: FrameworkId,
    /// As the master described it last.
    pub info: Arc<v1::FrameworkInfo>,
    /// Its scheduler, if that is an actor of its own; messages go through the master otherwise.
    pub pid: Option<Pid>,
    /// What waits for directories, in the order in which it came.
    pub pending: VecDeque<PendingLaunch>,
    /// Whether an answer about directories is awaited.
    pub unscheduling: bool,
    /// Its executors.
    pub executors: BTreeMap<ExecutorId, Executor>,
    /// Which executor has a task (queued, launched or terminated).
    pub executor_of_task: BTreeMap<TaskId, ExecutorId>,
    /// Executors that are over, the oldest first; bounded by
    /// `--max_completed_executors_per_framework`.
    pub completed: VecDeque<Executor>,
}

impl Framework {
    /// A framework that launches its first task here.
    pub fn new(info: v1::FrameworkInfo, id: FrameworkId, pid: Option<Pid>) -> Framework {
        Framework {
            phase: FrameworkPhase::Running,
            id,
            info: Arc::new(info),
            pid,
            pending: VecDeque::new(),
            unscheduling: false,
            executors: BTreeMap::new(),
            executor_of_task: BTreeMap::new(),
            completed: VecDeque::new(),
        }
    }

    /// Whether it checkpoints.
    pub fn checkpoint(&self) -> bool {
        self.info.checkpoint()
    }

    /// Whether it can tell the ways of losing a task apart.
    pub fn is_partition_aware(&self) -> bool {
        is_partition_aware(&self.info)
    }

    /// If it was shut down: a master wants to hear of it all the same.
    pub fn go_on(&mut self) {
        if self.phase == FrameworkPhase::Terminating {
            tracing::info!(framework_id = %self.id, "a framework that was shut down goes on");
            self.phase = FrameworkPhase::Running;
        }
    }

    /// Whether nothing of it is left here.
    pub fn is_idle(&self) -> bool {
        self.executors.is_empty() && self.pending.is_empty()
    }

    /// The executor that has a task.
    pub fn executor_with(&mut self, task: &TaskId) -> Option<&mut Executor> {
        let executor = self.executor_of_task.get(task)?;
        self.executors.get_mut(executor)
    }

    /// Whether a task is known here and not completed.
    pub fn has_task(&self, task: &TaskId) -> bool {
        self.executor_of_task.contains_key(task) || self.is_pending(task)
    }

    /// Whether a task waits for directories.
    pub fn is_pending(&self, task: &TaskId) -> bool {
        self.pending_tasks().any(|pending| pending.task_id.value == task.as_str())
    }

    /// The tasks that wait for directories.
    pub fn pending_tasks(&self) -> impl Iterator<Item = &v1::TaskInfo> {
        self.pending.iter().flat_map(|pending| &pending.tasks)
    }

    /// Moves an executor that is over to the completed ones, of which at most `limit` are kept.
    pub fn complete_executor(&mut self, id: &ExecutorId, limit: usize) {
        let Some(mut executor) = self.executors.remove(id) else { return };
        executor.connection = None;
        let queued = executor.tasks.queued().map(|(task, _)| task);
        let sent = executor.tasks.launched().chain(executor.tasks.terminated());
        for task in queued.chain(sent.map(|(task, _)| task)) {
            self.executor_of_task.remove(task);
        }
        self.completed.push_back(executor);
        while self.completed.len() > limit {
            self.completed.pop_front();
        }
    }

    /// What its executors and tasks hold.
    pub fn allocated(&self) -> Resources {
        let mut allocated = Resources::default();
        for executor in self.executors.values() {
            allocated += executor.allocated();
        }
        for pending in self.pending_tasks() {
            allocated += resources_of(&pending.resources);
        }
        allocated
    }
}
