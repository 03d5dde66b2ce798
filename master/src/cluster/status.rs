//! Status updates that the master makes itself (upstream: `protobuf::createStatusUpdate`).
//!
//! They have no uuid: nobody acknowledges them.

use std::time::{SystemTime, UNIX_EPOCH};

use mesos::v1::task_status::{Reason, Source};
use mesos::v1::{self, TaskState};
use mesos::{AgentId, TaskId};

use super::task::Task;

/// Seconds since 1970, as the protocol's doubles want it.
pub fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The time as a `TimeInfo`.
pub fn time_info(time: SystemTime) -> v1::TimeInfo {
    let nanoseconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    v1::TimeInfo { nanoseconds: i64::try_from(nanoseconds).unwrap_or(i64::MAX) }
}

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
    let statuses = &task.proto.statuses;
    // The last status is the latest TASK_RUNNING or a terminal one, to which health is nothing.
    if let Some(last) = statuses.last() {
        status.healthy = last.healthy;
        status.check_status.clone_from(&last.check_status);
    }
    status.container_status =
        statuses.iter().rev().find_map(|status| status.container_status.clone());
    status
}
