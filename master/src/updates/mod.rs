//! What tasks and executors report: applied to the books, and passed on to their framework.
//!
//! | file | message |
//! |---|---|
//! | [`status`] | `StatusUpdateMessage`: a task's state changed |
//! | [`executor`] | `ExitedExecutorMessage`, `ExecutorToFrameworkMessage` |
//!
//! Here is what they share, and what the rest of the master uses when it ends tasks itself.

pub(crate) mod executor;
pub(crate) mod status;

use std::sync::Arc;

use libprocess::Context;
use mesos::sabotage::{Bug, is_on};
use mesos::v1::{self, TaskState};
use mesos::{AgentId, ExecutorId, FrameworkId, TaskId};

use crate::cluster::Task;
use crate::frameworks::events;
use crate::master::Master;
use crate::operator::news;

/// Sends a status to a framework. If it has a uuid the framework is to acknowledge it, and the task
/// remembers that.
pub(crate) fn forward(
    master: &mut Master,
    framework: &FrameworkId,
    status: v1::TaskStatus,
    ctx: &mut Context<Master>,
) {
    if status.uuid.is_some() {
        master.cluster.task_sent(framework, &status);
    }
    master.send(framework, events::update(status), ctx);
}

/// Applies a status to a task. What it no longer uses goes back to the allocator.
pub(crate) fn apply(
    master: &mut Master,
    framework: &FrameworkId,
    status: &v1::TaskStatus,
    latest: Option<TaskState>,
) {
    let Some((change, freed)) = master.cluster.update_task(framework, status, latest) else { return };
    if change.notable {
        news::task_updated(master, framework, status);
    }
    if change.from != change.to {
        master.metrics.framework(framework).task_changed(change.from, change.to);
    }
    if let Some(freed) = freed {
        if is_on(Bug::FreesTwice) {
            master.allocation.recover_used(freed.clone());
        }
        master.allocation.recover_used(freed);
        master.metrics.task_ended(change.to);
    }
    if change.last {
        master.metrics.task_reason(status);
    }
}

/// Applies the last status to a task that was taken from the unreachable ones: it is completed. It uses nothing.
pub(crate) fn end_unreachable(
    master: &mut Master,
    framework: &FrameworkId,
    task: Arc<Task>,
    status: &v1::TaskStatus,
) {
    let mut task = Arc::unwrap_or_clone(task);
    let change = task.update(status, None);
    if change.notable {
        news::unreachable_task_ended(master, framework, status, change.to);
    }
    if change.from != change.to {
        master.metrics.framework(framework).task_changed(change.from, change.to);
    }
    master.cluster.add_completed_task(framework, task.into());
}

/// Removes a task from the books; what it still used goes back to the allocator.
pub(crate) fn remove_task(master: &mut Master, framework: &FrameworkId, task: &TaskId, unreachable: bool) {
    if let Some(freed) = master.cluster.remove_task(framework, task, unreachable) {
        tracing::warn!(framework_id = %framework, task_id = %task, "removing a task that is not over");
        master.allocation.recover_used(freed);
    }
}

/// Removes an executor from the books; what it used goes back to the allocator.
pub(crate) fn remove_executor(
    master: &mut Master,
    framework: &FrameworkId,
    agent: &AgentId,
    executor: &ExecutorId,
) -> bool {
    match master.cluster.remove_executor(framework, agent, executor) {
        Some(freed) => {
            master.allocation.recover_used(freed);
            true
        }
        None => false,
    }
}
