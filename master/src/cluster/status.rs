//! Status updates that the master makes itself (upstream: `protobuf::createStatusUpdate`).
//!
//! They have no uuid: nobody acknowledges them.

use std::time::SystemTime;

use mesos::tasks::{container_status, seconds};
use mesos::v1::task_status::{Reason, Source};
use mesos::v1::{self, TaskState};
use mesos::{AgentId, TaskId};

use super::task::Task;

/// A status by the master.
pub fn by_master(
    task: &TaskId,
    agent: Option<&AgentId>,
    state: TaskState,
    reason: Reason,
    message: impl Into<String>,
    now: SystemTime,
) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task.to_proto(),
        state: state.into(),
        message: Some(message.into()),
        source: Some(Source::Master.into()),
        reason: Some(reason.into()),
        agent_id: agent.map(AgentId::to_proto),
        timestamp: Some(seconds(now)),
        ..Default::default()
    }
}

/// A status by the master of a task that it knows: with its agent and executor.
pub fn of_task(
    task: &Task,
    state: TaskState,
    reason: Reason,
    message: impl Into<String>,
    now: SystemTime,
) -> v1::TaskStatus {
    let mut status = by_master(&task.id, Some(&task.agent), state, reason, message, now);
    status.executor_id.clone_from(&task.proto.executor_id);
    status
}

/// A status by the master that repeats what an agent said of a task: with its health, its check
/// and its container, as far as they are known.
pub fn repeated(
    task: &Task,
    state: TaskState,
    reason: Reason,
    message: impl Into<String>,
    now: SystemTime,
) -> v1::TaskStatus {
    let mut status = of_task(task, state, reason, message, now);
    // The last status is the latest TASK_RUNNING or a terminal one, to which health is nothing.
    if let Some(last) = task.proto.statuses.last() {
        status.healthy = last.healthy;
        status.check_status.clone_from(&last.check_status);
    }
    status.container_status = container_status(&task.proto).cloned().map(Box::new);
    status
}
