//! Running a task, or a group of tasks: find or launch the executor, and queue them for it.
//!
//! What it means: the master has accepted an offer for this task. It is launched at most once; if it
//! cannot be, its framework hears `TASK_DROPPED` (`TASK_LOST` without `PARTITION_AWARE`), and the
//! master hears of the executor that was not launched, so that its books stay right. What happens to one task of a group
//! before it is sent happens to all of them.
//!
//! Upstream: `Slave::runTask`, `runTaskGroup` ... `___run`.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::OptionFuture;
use libprocess::{Context, Handle, Pid};
use mesos::internal::{RunTaskGroupMessage, RunTaskMessage};
use mesos::resources::CarriesResources;
use mesos::tasks::only_role;
use mesos::{AgentId, ExecutorId, FrameworkId, TaskId, v1};
use v1::task_status::Reason;

use crate::agent::{Agent, Phase};
use crate::executors::command::executor_of;
use crate::executors::executor::{AfterUpdate, ExecutorPhase, Framework, FrameworkPhase, PendingLaunch};
use crate::recovery::checkpoint::{self, Durability};
use crate::recovery::paths::{Run, UpdatesPath};
use crate::resources::versions_agree;
use crate::status_updates::manager::{Vacate, Vacated};
use crate::tasks::status::{AgentUpdate, dropped_state};

/// What becomes of a task, given its executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Launch its executor, and queue it.
    Launch,
    /// Queue it for the executor that is there.
    Queue,
    /// It cannot run.
    Drop {
        reason: Reason,
        message: &'static str,
        /// What else is wrong between the master's books and ours.
        mend: Mend,
    },
}

/// How the master's book about an executor is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mend {
    Nothing,
    /// Tell it that the executor it expects is not there, if that is so.
    SayNotLaunched,
    /// Shut down an executor that it does not know.
    ShutDown,
}

/// Decides what becomes of a task. `launch_executor` is what the master expects: a new executor, or
/// none; masters before 1.6 do not say.
fn place(executor: Option<ExecutorPhase>, launch_executor: Option<bool>, command_task: bool) -> Placement {
    use ExecutorPhase::{Registering, Running, Terminated, Terminating};
    let drop = |message, mend| Placement::Drop { reason: Reason::ExecutorTerminated, message, mend };
    match (executor, launch_executor) {
        (Some(_), Some(_)) if command_task => Placement::Drop {
            reason: Reason::TaskInvalid,
            message: "Cannot reuse an already existing executor for a command task",
            mend: Mend::Nothing,
        },
        (Some(phase), Some(true)) => {
            let mend = match phase {
                Terminated => Mend::SayNotLaunched,
                Terminating => Mend::Nothing,
                Registering | Running => Mend::ShutDown,
            };
            drop("Master wants to launch executor, but one already exists", mend)
        }
        (None, Some(false)) if !command_task => {
            drop("No executor is expected to launch and there is none running", Mend::Nothing)
        }
        (None, _) => Placement::Launch,
        (Some(Terminating), _) => drop("Executor terminating", Mend::Nothing),
        (Some(Terminated), _) => drop("Executor terminated", Mend::Nothing),
        (Some(Registering | Running), _) => Placement::Queue,
    }
}

/// Why an agent takes no task, whatever its executor.
fn refusal(draining: bool, outdated: bool) -> Option<Placement> {
    let drop = |reason, message| Placement::Drop { reason, message, mend: Mend::SayNotLaunched };
    if draining {
        Some(drop(Reason::AgentDraining, "Task was received while agent was already draining"))
    } else if outdated {
        Some(drop(Reason::InvalidOffers, "Task assumes outdated resource state"))
    } else {
        None
    }
}

impl Handle<RunTaskMessage> for Agent {
    fn handle(&mut self, message: RunTaskMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "run task") {
            return;
        }
        let RunTaskMessage { framework, mut task, resource_version_uuids, pid, launch_executor, .. } =
            message;
        let Some(framework_id) = self.runs_for(&framework, std::slice::from_ref(&task)) else { return };
        // Masters that do not know multi-role frameworks do not say for whom resources are.
        if let Some(role) = only_role(&framework) {
            task.inject_allocation(&role);
        }
        let (executor, generated) = executor_of(&task, &framework_id, self.command_executor.as_ref());
        let pending = PendingLaunch {
            tasks: vec![task],
            is_group: false,
            executor,
            generated,
            launch_executor,
            outdated: !versions_agree(self.resource_version, &resource_version_uuids),
        };
        self.run(framework, &framework_id, pid, pending, ctx);
    }
}

impl Handle<RunTaskGroupMessage> for Agent {
    fn handle(&mut self, message: RunTaskGroupMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "run task group") {
            return;
        }
        let RunTaskGroupMessage {
            framework,
            mut executor,
            task_group,
            resource_version_uuids,
            launch_executor,
        } = message;
        let mut tasks = task_group.tasks;
        let Some(framework_id) = self.runs_for(&framework, &tasks) else { return };
        if let Some(role) = only_role(&framework) {
            executor.inject_allocation(&role);
            tasks.iter_mut().for_each(|task| task.inject_allocation(&role));
        }
        let pending = PendingLaunch {
            tasks,
            is_group: true,
            executor,
            generated: false,
            launch_executor,
            outdated: !versions_agree(self.resource_version, &resource_version_uuids),
        };
        // Frameworks that launch groups speak HTTP.
        self.run(framework, &framework_id, None, pending, ctx);
    }
}

impl Agent {
    /// Whose tasks these are, if this agent can take them.
    fn runs_for(&self, framework: &v1::FrameworkInfo, tasks: &[v1::TaskInfo]) -> Option<FrameworkId> {
        let first = tasks.first()?;
        let Some(framework_id) = framework.id.as_ref().map(FrameworkId::from) else {
            tracing::warn!(task_id = %first.task_id.value, "ignoring a task of a framework without an id");
            return None;
        };
        if self.id.as_ref() != Some(&AgentId::from(&first.agent_id)) {
            tracing::warn!(task_id = %first.task_id.value, agent_id = %first.agent_id.value, "ignoring a task that is for another agent id");
            return None;
        }
        // While it re-registers, the master is being told which tasks there are. One that arrives meanwhile is not
        // among them, and would run although the master calls it gone; not known here, the master finds it missing
        // (upstream accepts it, with a note that it should not).
        if self.phase != Phase::Running {
            tracing::warn!(task_id = %first.task_id.value, phase = %self.phase, "ignoring a task");
            return None;
        }
        Some(framework_id)
    }

    /// Runs what a message brings.
    fn run(
        &mut self,
        framework: v1::FrameworkInfo,
        framework_id: &FrameworkId,
        pid: Option<String>,
        pending: PendingLaunch,
        ctx: &mut Context<Self>,
    ) {
        let mut directories = Vec::new();
        if !self.frameworks.contains_key(framework_id) {
            let agent = self.agent_id();
            directories.push(self.paths.framework_work(&agent, framework_id));
            directories.push(self.paths.framework_meta(&agent, framework_id));
            let scheduler = pid.and_then(|pid| pid.parse().ok()).filter(|pid: &Pid| !pid.is_nobody());
            self.add_framework(framework, framework_id, scheduler);
        }
        self.unschedule_or_launch(framework_id, pending, directories, ctx);
        self.touch(ctx);
    }

    /// A framework launches its first task here.
    fn add_framework(&mut self, info: v1::FrameworkInfo, id: &FrameworkId, pid: Option<Pid>) {
        let mut framework = Framework::new(info, id.clone(), pid);
        if let Some(position) = self.completed.iter().position(|completed| completed.id == *id)
            && let Some(earlier) = self.completed.remove(position)
        {
            framework.completed = earlier.completed;
        }
        self.frameworks.insert(id.clone(), framework);
    }

    /// Writes what a restarted agent must know of a framework that checkpoints.
    pub(crate) fn checkpoint_framework(&self, framework: &Framework) -> Result<(), checkpoint::DiskError> {
        if !framework.checkpoint() {
            return Ok(());
        }
        let agent = self.agent_id();
        let info = self.paths.framework_info(&agent, &framework.id);
        checkpoint::keep_message(&*self.disk, &info, &*framework.info, Durability::Process)?;
        let pid = framework.pid.clone().unwrap_or_else(Pid::nobody).to_string();
        let path = self.paths.framework_pid(&agent, &framework.id);
        checkpoint::keep_text(&*self.disk, &path, &pid, Durability::Process)
    }

    /// Launches a task at once, unless directories that it will use (`directories`, and those of an
    /// executor that is yet to be launched) may be about to be deleted, or an earlier task had its id: what is left of
    /// that goes first.
    fn unschedule_or_launch(
        &mut self,
        framework_id: &FrameworkId,
        pending: PendingLaunch,
        mut directories: Vec<PathBuf>,
        ctx: &mut Context<Self>,
    ) {
        let agent = self.agent_id();
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        if framework.unscheduling {
            framework.pending.push_back(pending);
            return;
        }
        let executor = ExecutorId::from(&pending.executor.executor_id);
        if !framework.executors.contains_key(&executor) {
            directories.push(self.paths.executor_work(&agent, framework_id, &executor));
            directories.push(self.paths.executor_meta(&agent, framework_id, &executor));
        }
        let vacate = self.earlier_tasks(framework_id, &executor, &pending.tasks);
        let logs = vacate.iter().flat_map(|vacate| &vacate.tasks).filter_map(|(_, log)| log.as_ref());
        directories.extend(logs.map(|log| log.task().to_path_buf()));
        let gc = self.colleagues.gc.as_ref().filter(|_| !directories.is_empty());
        let unscheduled = gc.and_then(|gc| gc.unschedule(&directories));
        if unscheduled.is_none() && vacate.is_none() {
            self.launch(framework_id, pending, ctx);
            return;
        }
        if let Some(framework) = self.frameworks.get_mut(framework_id) {
            framework.unscheduling = true;
            // Before those that came later.
            framework.pending.push_front(pending);
        }
        let id = framework_id.clone();
        ctx.defer(OptionFuture::from(unscheduled), move |agent, _, ctx| match vacate {
            Some(vacate) => agent.colleagues.updates.tell(vacate),
            None => agent.launch_pending(&id, ctx),
        });
    }

    /// What the StatusUpdateManager is asked before tasks are launched whose ids earlier ones had that are over, or are
    /// just being acknowledged. A framework may use an id again once it has acknowledged the end of the task.
    fn earlier_tasks(
        &self,
        framework_id: &FrameworkId,
        executor: &ExecutorId,
        tasks: &[v1::TaskInfo],
    ) -> Option<Vacate> {
        let ids = tasks.iter().map(|task| TaskId::from(&task.task_id));
        let earlier = ids.filter_map(|id| self.earlier_task(framework_id, executor, &id));
        let tasks: Vec<_> = earlier.collect();
        (!tasks.is_empty()).then(|| Vacate { framework: framework_id.clone(), tasks })
    }

    fn earlier_task(
        &self,
        framework_id: &FrameworkId,
        executor: &ExecutorId,
        task: &TaskId,
    ) -> Option<(TaskId, Option<UpdatesPath>)> {
        let framework = self.frameworks.get(framework_id)?;
        let holder = framework.executor_of_task.get(task).and_then(|id| framework.executors.get(id));
        let same = framework.executors.get(executor).filter(|executor| executor.checkpoint);
        let log = same.map(|executor| self.paths.task_updates(&self.run_of(framework_id, executor), task));
        // Where the garbage collector was quicker, the journal of status updates still has what it was.
        let was_here = |log: &UpdatesPath| {
            same.is_some_and(|executor| executor.tasks.has_had(task)) || self.disk.exists(log.task())
        };
        let log = log.filter(was_here);
        let is_over = holder.is_none_or(|executor| executor.tasks.is_terminated(task));
        (is_over && (holder.is_some() || log.is_some())).then(|| (task.clone(), log))
    }

    /// Directories are safe: what waited for that goes on, in order.
    fn launch_pending(&mut self, framework_id: &FrameworkId, ctx: &mut Context<Self>) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        framework.unscheduling = false;
        if let Some(first) = self.next_pending(framework_id) {
            self.launch(framework_id, first, ctx);
        }
        while let Some(pending) = self.next_pending(framework_id) {
            self.unschedule_or_launch(framework_id, pending, Vec::new(), ctx);
        }
        self.remove_framework_if_idle(framework_id, ctx);
    }

    /// What may be launched next. The others stay where they are: their framework is not idle, and is not removed if this
    /// one is dropped (found by simulation: they were lost).
    fn next_pending(&mut self, framework_id: &FrameworkId) -> Option<PendingLaunch> {
        let framework = self.frameworks.get_mut(framework_id).filter(|framework| !framework.unscheduling)?;
        framework.pending.pop_front()
    }

    fn launch(&mut self, framework_id: &FrameworkId, pending: PendingLaunch, ctx: &mut Context<Self>) {
        let PendingLaunch { tasks, is_group, executor, generated, launch_executor, outdated } = pending;
        let Some(first) = tasks.first().cloned() else { return };
        let executor_id = ExecutorId::from(&executor.executor_id);
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        if framework.phase == FrameworkPhase::Terminating {
            // Nobody would acknowledge an update. The master's book is put right all the same.
            self.say_not_launched(framework_id, &executor_id, launch_executor, ctx);
            self.remove_framework_if_idle(framework_id, ctx);
            return;
        }
        let is_known =
            |task: &&v1::TaskInfo| framework.executor_of_task.contains_key(task.task_id.value.as_str());
        if let Some(task) = tasks.iter().find(is_known) {
            tracing::warn!(task_id = %task.task_id.value, %framework_id, "ignoring a task: an earlier one with its id is not over");
            let others: Vec<_> = tasks.iter().filter(|task| !is_known(task)).cloned().collect();
            self.say_not_launched(framework_id, &executor_id, launch_executor, ctx);
            let why = (Reason::TaskInvalid, "A task of its group has the id of one that is not over");
            self.drop_tasks(framework_id, &others, &executor_id, why, ctx);
            return;
        }
        let existing = framework.executors.get(&executor_id).map(|executor| executor.phase);
        let placement = refusal(self.draining.is_some(), outdated)
            .unwrap_or_else(|| place(existing, launch_executor, generated));
        match placement {
            Placement::Drop { reason, message, mend } => {
                self.drop_tasks(framework_id, &tasks, &executor_id, (reason, message), ctx);
                // A message that came late may have given the master an earlier version than this agent has.
                if outdated && self.phase == Phase::Running {
                    self.send_resource_update(&self.agent_id(), ctx);
                }
                match mend {
                    Mend::Nothing => {}
                    Mend::SayNotLaunched => {
                        self.say_not_launched(framework_id, &executor_id, launch_executor, ctx);
                    }
                    Mend::ShutDown => self.shut_down_executor(framework_id, &executor_id, ctx),
                }
                self.remove_framework_if_idle(framework_id, ctx);
            }
            Placement::Queue => match self.checkpoint_further(framework_id, &executor_id, &tasks) {
                Ok(()) => self.queue_tasks(framework_id, &executor_id, tasks, is_group, ctx),
                Err(error) => {
                    let message = error.to_string();
                    let why = (Reason::ExecutorTerminated, message.as_str());
                    self.drop_tasks(framework_id, &tasks, &executor_id, why, ctx);
                }
            },
            Placement::Launch => match self.add_executor(framework_id, executor, generated, &tasks) {
                Ok(()) => {
                    self.queue_tasks(framework_id, &executor_id, tasks, is_group, ctx);
                    self.launch_executor(framework_id, &executor_id, &first, ctx);
                }
                Err(error) => {
                    let message = error.to_string();
                    let why = (Reason::ExecutorTerminated, message.as_str());
                    self.drop_tasks(framework_id, &tasks, &executor_id, why, ctx);
                    self.say_not_launched(framework_id, &executor_id, launch_executor, ctx);
                    self.remove_framework_if_idle(framework_id, ctx);
                }
            },
        }
    }

    /// Tells the master that an executor which it expects was not launched: it has it in its books. One of that id that is
    /// there all the same (the launch came twice, or late) is what those books mean; it has not ended.
    pub(crate) fn say_not_launched(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        launch_executor: Option<bool>,
        ctx: &Context<Self>,
    ) {
        let is_there =
            self.executor(framework_id, executor_id).is_some_and(|it| it.phase != ExecutorPhase::Terminated);
        if launch_executor == Some(true) && !is_there {
            self.send_exited(framework_id, executor_id, None, ctx);
        }
    }

    /// Queues tasks until their executor has subscribed and its container has the resources.
    fn queue_tasks(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        tasks: Vec<v1::TaskInfo>,
        is_group: bool,
        ctx: &mut Context<Self>,
    ) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        let Some(executor) = framework.executors.get_mut(executor_id) else { return };
        if is_group {
            executor.tasks.group(tasks.iter().map(|task| TaskId::from(&task.task_id)).collect());
        }
        for task in tasks {
            let id = TaskId::from(&task.task_id);
            framework.executor_of_task.insert(id.clone(), executor_id.clone());
            executor.tasks.queue(id, Arc::new(task));
        }
        if executor.phase == ExecutorPhase::Running {
            self.change_resources(framework_id, executor_id, AfterUpdate::SendQueued, ctx);
        }
    }

    /// Writes down further tasks of an executor, if its framework checkpoints.
    fn checkpoint_further(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        tasks: &[v1::TaskInfo],
    ) -> Result<(), checkpoint::DiskError> {
        let framework = self.frameworks.get(framework_id);
        let executor = framework.and_then(|framework| framework.executors.get(executor_id));
        match executor.filter(|executor| executor.checkpoint) {
            Some(executor) => self.checkpoint_tasks(&self.run_of(framework_id, executor), tasks),
            None => Ok(()),
        }
    }

    /// Writes down what a restarted agent must know of tasks that are about to be sent to their executor: all of them, or
    /// nothing is left of any.
    pub(crate) fn checkpoint_tasks(
        &self,
        run: &Run,
        tasks: &[v1::TaskInfo],
    ) -> Result<(), checkpoint::DiskError> {
        let written = tasks.iter().try_for_each(|task| {
            let path = self.paths.task_info(run, &TaskId::from(&task.task_id));
            let task = mesos::tasks::new_task(task, v1::TaskState::TaskStaging, &run.framework);
            checkpoint::write_message(&*self.disk, &path, &task, Durability::Process)
        });
        if written.is_err() {
            for task in tasks {
                let _ = self.disk.remove(&self.paths.task(run, &TaskId::from(&task.task_id)));
            }
        }
        written
    }

    /// Reports that tasks were not launched.
    fn drop_tasks(
        &mut self,
        framework_id: &FrameworkId,
        tasks: &[v1::TaskInfo],
        executor: &ExecutorId,
        why: (Reason, &str),
        ctx: &mut Context<Self>,
    ) {
        for task in tasks {
            self.drop_task(framework_id, task, executor, why, ctx);
        }
    }

    fn drop_task(
        &mut self,
        framework_id: &FrameworkId,
        task: &v1::TaskInfo,
        executor: &ExecutorId,
        (reason, message): (Reason, &str),
        ctx: &mut Context<Self>,
    ) {
        tracing::warn!(task_id = %task.task_id.value, %framework_id, message, "dropping a task");
        let Some(framework) = self.frameworks.get(framework_id) else { return };
        let update = AgentUpdate {
            framework: framework_id,
            agent: &self.agent_id(),
            task: &TaskId::from(&task.task_id),
            executor: Some(executor),
            state: dropped_state(&framework.info),
            reason,
            message,
            limited: None,
        }
        .into_update(ctx.node().random().uuid(), ctx.now());
        self.agent_update(update, ctx);
    }
}

impl Handle<Vacated> for Agent {
    fn handle(&mut self, Vacated { framework }: Vacated, _: &Pid, ctx: &mut Context<Self>) {
        self.launch_pending(&framework, ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ExecutorPhase::{Registering, Running, Terminated, Terminating};

    fn mend(placement: Placement) -> Option<Mend> {
        match placement {
            Placement::Drop { mend, .. } => Some(mend),
            _ => None,
        }
    }

    #[test]
    fn a_task_launches_its_executor_once_and_joins_it_then() {
        for expected in [None, Some(true)] {
            assert_eq!(place(None, expected, false), Placement::Launch);
        }
        for expected in [None, Some(false)] {
            assert_eq!(place(Some(Registering), expected, false), Placement::Queue);
            assert_eq!(place(Some(Running), expected, false), Placement::Queue);
        }
    }

    #[test]
    fn a_task_is_dropped_when_its_executor_ends() {
        for phase in [Terminating, Terminated] {
            assert_eq!(mend(place(Some(phase), Some(false), false)), Some(Mend::Nothing));
        }
    }

    #[test]
    fn a_task_is_dropped_when_master_and_agent_disagree_about_its_executor() {
        assert_eq!(mend(place(None, Some(false), false)), Some(Mend::Nothing));
        assert_eq!(mend(place(Some(Running), Some(true), false)), Some(Mend::ShutDown));
        assert_eq!(mend(place(Some(Terminated), Some(true), false)), Some(Mend::SayNotLaunched));
        assert_eq!(mend(place(Some(Terminating), Some(true), false)), Some(Mend::Nothing));
    }

    /// Upstream: `SlaveTest.DuplicateTaskIdCommandExecutor`.
    #[test]
    fn a_command_task_never_joins_another_executor() {
        let Placement::Drop { reason, .. } = place(Some(Running), Some(true), true) else {
            panic!("it was not dropped")
        };
        assert_eq!(reason, Reason::TaskInvalid);
        assert_eq!(place(None, Some(true), true), Placement::Launch);
        assert_eq!(place(None, Some(false), true), Placement::Launch);
    }
}
