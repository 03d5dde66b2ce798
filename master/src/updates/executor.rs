//! `ExitedExecutorMessage` and `ExecutorToFrameworkMessage` (upstream: `exitedExecutor`,
//! `executorMessage`). Neither is delivered reliably. What became of an executor's tasks is reported by
//! its agent, in status updates.

use libprocess::{Context, Pid};
use mesos::internal::{ExecutorToFrameworkMessage, ExitedExecutorMessage};
use mesos::{AgentId, ExecutorId, FrameworkId};

use super::remove_executor;
use crate::agents::reregister;
use crate::frameworks::events;
use crate::master::Master;

/// An executor that its framework named has ended.
pub(crate) fn exited(
    master: &mut Master,
    message: ExitedExecutorMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_exited_executor.increment();
    let agent = AgentId::from(message.slave_id);
    let framework = FrameworkId::from(message.framework_id);
    let executor = ExecutorId::from(message.executor_id);
    reregister::note_exit(master, &agent, &framework, &executor);
    if master.cluster.given_up_has_ended(&agent, &framework, &executor) {
        tracing::info!(framework_id = %framework, agent_id = %agent, executor_id = %executor, "an executor that was given up has ended");
        return;
    }
    if !remove_executor(master, &framework, &agent, &executor) {
        tracing::warn!(agent = %from, executor_id = %executor, "ignoring the exit of an unknown executor");
        return;
    }
    tracing::info!(
        framework_id = %framework,
        agent_id = %agent,
        executor_id = %executor,
        status = message.status,
        "an executor exited"
    );
    master.send(&framework, events::executor_failure(&agent, &executor, message.status), ctx);
}

/// An executor says something to its scheduler.
pub(crate) fn message(
    master: &mut Master,
    message: ExecutorToFrameworkMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_executor_to_framework.increment();
    let framework = FrameworkId::from(&message.framework_id);
    let known = master.cluster.agent(&AgentId::from(&message.slave_id)).is_some();
    let connected = master.cluster.framework(&framework).is_some_and(|state| state.is_connected());
    if !known || !connected {
        tracing::warn!(agent = %from, framework_id = %framework, "dropping an executor's message");
        master.metrics.invalid_executor_to_framework_messages.increment();
        return;
    }
    let event = events::message(message.slave_id, message.executor_id, message.data);
    master.send(&framework, event, ctx);
    master.metrics.valid_executor_to_framework_messages.increment();
}
