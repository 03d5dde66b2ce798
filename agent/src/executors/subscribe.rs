//! An executor subscribes: for the first time, after the agent or its connection broke.
//!
//! What it means: the executor says which tasks and updates it has that were not acknowledged, and gets, over one long
//! answer, `SUBSCRIBED` and then whatever concerns it. Tasks that an agent has sent and this executor has never seen
//! (the agent died in between) are reported as dropped. What it was to kill, it is told again, and that it is to end. One
//! that is ending is heard all the same: how its tasks have ended may be among what it says.
//!
//! Upstream: `Slave::subscribe`, `ResponseHeartbeater`.

use std::collections::BTreeSet;
use std::time::Duration;

use libprocess::{Context, Handle, Pid};
use mesos::sabotage::{Bug, is_on};
use mesos::tasks::status_update;
use mesos::v1::executor::Call;
use mesos::{ExecutorId, FrameworkId, TaskId, v1};
use v1::task_status::Reason;

use super::book::Sent;
use super::connection::{self, Connection};
use super::executor::{AfterUpdate, Executor, ExecutorPhase, Framework, FrameworkPhase};
use crate::agent::Agent;
use crate::recovery::checkpoint;
use crate::status_updates::manager::Origin;
use crate::tasks::status::dropped_state;

/// Between heartbeats to an executor (upstream: `DEFAULT_EXECUTOR_HEARTBEAT_INTERVAL`).
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Time for a heartbeat to every executor.
#[derive(Clone)]
pub struct Heartbeat;

libprocess::messages! { Heartbeat; }

impl Agent {
    /// An executor that is in the books subscribes.
    pub(crate) fn subscribe(&mut self, call: Call, connection: Connection, ctx: &mut Context<Self>) {
        let framework_id = FrameworkId::from(&call.framework_id);
        let executor_id = ExecutorId::from(&call.executor_id);
        let Some(framework) = self.frameworks.get_mut(&framework_id) else { return };
        let unheard = framework.phase == FrameworkPhase::Terminating;
        let Some(executor) = framework.executors.get_mut(&executor_id) else { return };
        tracing::info!(%executor_id, %framework_id, phase = ?executor.phase, "an executor subscribes");
        if unheard || executor.phase == ExecutorPhase::Terminated {
            connection.send(connection::shutdown());
            connection.close();
            return;
        }
        if let Some(earlier) = executor.connection.replace(connection) {
            tracing::warn!(%executor_id, "closing the executor's earlier connection");
            earlier.close();
        }
        let ends = executor.phase == ExecutorPhase::Terminating;
        if !ends {
            executor.phase = ExecutorPhase::Running;
        }
        if let Some(timer) = executor.registration_timer.take() {
            ctx.cancel(timer);
        }
        self.mark_http(&framework_id, &executor_id);
        let subscribe = call.subscribe.unwrap_or_default();
        for update in subscribe.unacknowledged_updates {
            let agent = self.id.as_ref();
            let update = status_update(&framework_id, update.status, agent, ctx.now());
            self.status_update(update, Origin::Executor(executor_id.clone()), ctx);
        }
        let known: BTreeSet<TaskId> =
            subscribe.unacknowledged_tasks.iter().map(|task| TaskId::from(&task.task_id)).collect();
        self.drop_unseen(&framework_id, &executor_id, &known, ctx);
        if ends {
            self.dismiss(&framework_id, &executor_id);
            self.touch(ctx);
            return;
        }
        self.greet(&framework_id, &executor_id, ctx);
        self.repeat_kills(&framework_id, &executor_id);
        if self.executor(&framework_id, &executor_id).is_some_and(|executor| executor.was_told_to_end) {
            self.shut_down_executor(&framework_id, &executor_id, ctx);
        }
        self.misses_one_less(ctx);
        self.touch(ctx);
    }

    /// For upstream's agent, if one starts there: ours knows no other executors, and goes on without, as on a full disk.
    fn mark_http(&self, framework_id: &FrameworkId, executor_id: &ExecutorId) {
        let framework = self.frameworks.get(framework_id);
        let executor = framework.and_then(|framework| framework.executors.get(executor_id));
        let Some(executor) = executor.filter(|executor| executor.checkpoint) else { return };
        let marker = self.paths.http_marker(&self.run_of(framework_id, executor));
        if let Err(error) = checkpoint::touch(&*self.disk, &marker) {
            tracing::warn!(%error, "another version of the agent will not know how to speak to an executor");
        }
    }

    /// Reports tasks that were sent to the executor but never reached it.
    fn drop_unseen(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        known: &BTreeSet<TaskId>,
        ctx: &mut Context<Self>,
    ) {
        let Some(framework) = self.frameworks.get(framework_id) else { return };
        let state = dropped_state(&framework.info);
        let Some(executor) = framework.executors.get(executor_id) else { return };
        let unseen: Vec<TaskId> = executor
            .tasks
            .launched()
            .filter(|(id, task)| task.state() == v1::TaskState::TaskStaging && !known.contains(*id))
            .map(|(id, _)| id.clone())
            .collect();
        for task in unseen {
            let why = (state, Reason::AgentRestarted, "Task launched during agent restart");
            self.report(framework_id, &task, Some(executor_id), why, ctx);
        }
    }

    /// Sends `SUBSCRIBED` and what is queued; or `SHUTDOWN` if nothing is left to do.
    fn greet(&mut self, framework_id: &FrameworkId, executor_id: &ExecutorId, ctx: &mut Context<Self>) {
        let Some(framework) = self.frameworks.get(framework_id) else { return };
        let Some(executor) = framework.executors.get(executor_id) else { return };
        if !executor.was_ever_sent_a_task() && executor.tasks.nothing_queued() {
            tracing::warn!(%executor_id, "shutting down an executor whose tasks were all killed before it subscribed");
            self.shut_down_executor(framework_id, executor_id, ctx);
            return;
        }
        self.say_subscribed(framework, executor);
        self.change_resources(framework_id, executor_id, AfterUpdate::SendQueued, ctx);
    }

    fn say_subscribed(&self, framework: &Framework, executor: &Executor) {
        if let Some(connection) = &executor.connection {
            connection.send(connection::subscribed(
                &executor.info,
                &framework.info,
                &self.info,
                &executor.container,
            ));
        }
    }

    /// Sends `SUBSCRIBED`, or the executor would keep to itself what it has to say, and `SHUTDOWN`. (Upstream's agent sends
    /// only the latter, takes no update with the subscription, and closes the connection. What was to be acknowledged over
    /// it is lost: a task that has finished has failed.)
    fn dismiss(&self, framework_id: &FrameworkId, executor_id: &ExecutorId) {
        let Some(framework) = self.frameworks.get(framework_id) else { return };
        let Some(executor) = framework.executors.get(executor_id) else { return };
        self.say_subscribed(framework, executor);
        if let Some(connection) = &executor.connection {
            connection.send(connection::shutdown());
        }
    }

    /// Sends what is queued, now that the container has the resources for it.
    pub(crate) fn send_queued(&mut self, framework_id: &FrameworkId, executor_id: &ExecutorId) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        if framework.phase == FrameworkPhase::Terminating {
            return;
        }
        let Some(executor) = framework.executors.get_mut(executor_id) else { return };
        if executor.phase != ExecutorPhase::Running || executor.tasks.nothing_queued() {
            return;
        }
        // One whose connection broke gets them when it subscribes again: they stay queued.
        let Some(connection) = executor.connection.clone().filter(Connection::is_open) else {
            return;
        };
        executor.ever_sent_task = true;
        for sent in executor.tasks.launch_queued(framework_id) {
            let event = match &sent {
                Sent::Task(task) => {
                    tracing::debug!(task_id = %task.task_id.value, %executor_id, "sending a task to its executor");
                    connection::launch(task)
                }
                Sent::Group(tasks) => {
                    tracing::debug!(tasks = tasks.len(), %executor_id, "sending a task group to its executor");
                    connection::launch_group(tasks)
                }
            };
            if is_on(Bug::LaunchesTwice) {
                connection.send(event.clone());
            }
            connection.send(event);
        }
    }

    /// Begins to send heartbeats, so that proxies do not close idle connections.
    pub(crate) fn start_heartbeats(&mut self, ctx: &mut Context<Self>) {
        ctx.every(HEARTBEAT_INTERVAL, Heartbeat);
    }
}

impl Handle<Heartbeat> for Agent {
    fn handle(&mut self, _: Heartbeat, _: &Pid, _: &mut Context<Self>) {
        for executor in self.frameworks.values().flat_map(|framework| framework.executors.values()) {
            if let Some(connection) = &executor.connection {
                connection.send(connection::heartbeat());
            }
        }
    }
}
