//! Killing a task: before it reached its executor, or through it.
//!
//! What it means: the framework no longer wants the task. A task that waits is over at once
//! (`TASK_KILLED`), and with it the group that it came in; one that was sent is the executor's to end, and to
//! report. One that nobody knows is reported as dropped (`TASK_LOST` without `PARTITION_AWARE`).
//!
//! Upstream: `Slave::killTask`, `Slave::kill`.

use libprocess::{Context, Handle, Pid};
use mesos::internal::KillTaskMessage;
use mesos::{ExecutorId, FrameworkId, TaskId, v1};
use v1::TaskState;
use v1::task_status::Reason;

use crate::agent::{Agent, Phase};
use crate::executors::connection;
use crate::executors::executor::{ExecutorPhase, FrameworkPhase};
use crate::tasks::status::{AgentUpdate, dropped_state};

impl Handle<KillTaskMessage> for Agent {
    fn handle(&mut self, message: KillTaskMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "kill task") {
            return;
        }
        let task = TaskId::from(&message.task_id);
        let framework_id = FrameworkId::from(&message.framework_id);
        tracing::info!(task_id = %task, %framework_id, "asked to kill a task");
        if matches!(self.phase, Phase::Recovering | Phase::Terminating) {
            tracing::warn!(task_id = %task, phase = %self.phase, "cannot kill a task");
            return;
        }
        self.kill_task(&framework_id, &task, message.kill_policy, ctx);
        self.touch(ctx);
    }
}

/// Why a task is over that its executor was not sent. Of a group, that may be another one that nobody wants any more.
fn before_delivery(in_group: bool) -> &'static str {
    if in_group {
        "A task within the task group was killed before delivery to the executor"
    } else {
        "Killed before delivery to the executor"
    }
}

fn is(info: &v1::TaskInfo, task: &TaskId) -> bool {
    info.task_id.value == task.as_str()
}

impl Agent {
    /// Ends a task, or has its executor end it. Without a `policy` it gets the time that it asks for.
    pub(crate) fn kill_task(
        &mut self,
        framework_id: &FrameworkId,
        task: &TaskId,
        policy: Option<v1::KillPolicy>,
        ctx: &mut Context<Self>,
    ) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            tracing::warn!(task_id = %task, %framework_id, "no such framework runs here");
            return;
        };
        // Nobody would acknowledge an update.
        if framework.phase == FrameworkPhase::Terminating {
            return;
        }
        let position = framework
            .pending
            .iter()
            .position(|pending| pending.tasks.iter().any(|pending| is(pending, task)));
        if let Some(pending) = position.and_then(|position| framework.pending.remove(position)) {
            let executor = ExecutorId::from(&pending.executor.executor_id);
            self.say_not_launched(framework_id, &executor, pending.launch_executor, ctx);
            let message = before_delivery(pending.is_group);
            for task in &pending.tasks {
                let task = TaskId::from(&task.task_id);
                self.killed_before_delivery(framework_id, &task, &executor, message, ctx);
            }
            return;
        }
        let Some(executor) = framework.executor_with(task) else {
            let state = dropped_state(&framework.info);
            let why = (state, Reason::ExecutorTerminated, "Cannot find executor");
            self.report(framework_id, task, None, why, ctx);
            return;
        };
        let executor_id = executor.id.clone();
        match executor.phase {
            ExecutorPhase::Terminating | ExecutorPhase::Terminated => {
                tracing::warn!(task_id = %task, executor_id = %executor.id, "its executor ends already");
            }
            ExecutorPhase::Registering | ExecutorPhase::Running if executor.tasks.is_queued(task) => {
                self.kill_queued(framework_id, &executor_id, task, ctx);
            }
            ExecutorPhase::Registering | ExecutorPhase::Running => {
                let Some(executor) = framework.executors.get_mut(&executor_id) else { return };
                executor.tasks.kill(task, policy);
                match &executor.connection {
                    Some(connection) => {
                        connection.send(connection::kill(task, policy));
                    }
                    None => {
                        tracing::warn!(task_id = %task, %executor_id, "its executor is not connected; it is told when it is back");
                    }
                }
            }
        }
    }

    /// Ends a task that waits for its executor, and with it its group.
    fn kill_queued(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        task: &TaskId,
        ctx: &mut Context<Self>,
    ) {
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        let running = executor.phase == ExecutorPhase::Running;
        let message = before_delivery(executor.tasks.is_in_group(task));
        for task in executor.tasks.queued_with(task) {
            self.killed_before_delivery(framework_id, &task, executor_id, message, ctx);
        }
        // A command executor that never gets its task would wait for ever.
        let idle = self
            .executor(framework_id, executor_id)
            .is_some_and(|executor| !executor.was_ever_sent_a_task() && executor.tasks.nothing_queued());
        if running && idle {
            self.shut_down_executor(framework_id, executor_id, ctx);
        } else if idle {
            self.give_up_launch(framework_id, executor_id);
        }
    }

    /// An executor has subscribed again: it may not have heard what it was told when its connection broke. (Upstream leaves
    /// it at that.)
    pub(crate) fn repeat_kills(&mut self, framework_id: &FrameworkId, executor_id: &ExecutorId) {
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        let Some(connection) = &executor.connection else { return };
        for (task, policy) in executor.tasks.killed() {
            connection.send(connection::kill(task, policy));
        }
    }

    fn killed_before_delivery(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        executor: &ExecutorId,
        message: &str,
        ctx: &mut Context<Self>,
    ) {
        let why = (TaskState::TaskKilled, Reason::TaskKilledDuringLaunch, message);
        self.report(framework, task, Some(executor), why, ctx);
    }

    /// Sends an update that the agent itself makes.
    pub(crate) fn report(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        executor: Option<&ExecutorId>,
        (state, reason, message): (TaskState, Reason, &str),
        ctx: &mut Context<Self>,
    ) {
        let update = AgentUpdate {
            framework,
            agent: &self.agent_id(),
            task,
            executor,
            state,
            reason,
            message,
            limited: None,
        }
        .into_update(ctx.node().random().uuid(), ctx.now());
        self.agent_update(update, ctx);
    }
}
