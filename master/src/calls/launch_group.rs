//! LAUNCH_GROUP, the operation of ACCEPT: tasks that are launched together, or not at all, under one executor of the
//! framework's.
//!
//! If one task is refused all of them become TASK_ERROR (TASK_DROPPED if they may be launched later). The agent gets them in
//! one message, and hands them to the executor in one event.

use libprocess::Context;
use mesos::internal::RunTaskGroupMessage;
use mesos::v1::TaskState;
use mesos::v1::offer::{Operation, operation::LaunchGroup};
use mesos::v1::task_status::Reason;
use mesos::{ExecutorId, FrameworkId};

use super::accept::{Refusal, Taken, check_given_up, refuse_task};
use super::launch::{downgrade, resource_versions};
use crate::authorization::Action;
use crate::cluster::{Executor, Task};
use crate::master::Master;
use crate::operator::news;
use crate::validation::group::{self, LaunchableGroup};

/// Launches the operation's tasks.
pub(super) fn launch(
    master: &mut Master,
    framework: &FrameworkId,
    operation: Operation,
    taken: &mut Taken,
    ctx: &mut Context<Master>,
) {
    let kind = operation.r#type();
    let Some(mut launch) = operation.launch_group else { return };
    if launch.task_group.tasks.is_empty() {
        // No agent starts an executor for it. (Upstream's master counts the executor all the same.)
        tracing::warn!(framework_id = %framework, "ignoring a task group that has no tasks");
        return;
    }
    complete(&mut launch);
    match validate(master, framework, &launch, taken) {
        Ok(launchable) => {
            apply(master, framework, &launch, &launchable, taken);
            master.metrics.framework(framework).operation(kind);
            tell(master, framework, launch, launchable.new_executor.is_some(), taken, ctx);
        }
        Err(refusal) => {
            for task in &launch.task_group.tasks {
                refuse_task(master, framework, task, &refusal, &mut taken.lines, ctx);
            }
        }
    }
}

/// Each task names its executor, for whoever looks at the task alone.
fn complete(launch: &mut LaunchGroup) {
    let LaunchGroup { executor, task_group } = launch;
    for task in &mut task_group.tasks {
        task.executor.get_or_insert_with(|| executor.clone());
    }
}

fn validate(
    master: &Master,
    framework: &FrameworkId,
    launch: &LaunchGroup,
    taken: &Taken,
) -> Result<LaunchableGroup, Refusal> {
    let invalid = |text: &str| (TaskState::TaskError, Reason::TaskGroupInvalid, text.to_owned());
    let state = master.cluster.framework(framework).ok_or_else(|| invalid("Framework cannot be found"))?;
    let agent = master.cluster.agent(&taken.agent).ok_or_else(|| invalid("Agent removed"))?;
    let launchable = group::validate(&launch.task_group, &launch.executor, state, agent, &taken.remaining)
        .map_err(|error| invalid(&error.0))?;
    let principal = state.info.principal.as_deref();
    let actions = launch.task_group.tasks.iter().map(|task| Action::RunTask(task, &state.info));
    master
        .authorize(principal, actions)
        .map_err(|error| (TaskState::TaskError, Reason::TaskGroupUnauthorized, error.to_string()))?;
    check_given_up(master, framework, &taken.agent, &launch.executor)?;
    Ok(launchable)
}

/// The tasks are in the books before they are sent: an update may come at once.
fn apply(
    master: &mut Master,
    framework: &FrameworkId,
    launch: &LaunchGroup,
    launchable: &LaunchableGroup,
    taken: &mut Taken,
) {
    if let Some(resources) = &launchable.new_executor {
        let executor = Executor { info: launch.executor.clone(), resources: resources.clone() };
        master.cluster.add_executor(framework, &taken.agent, executor);
        taken.launch(resources);
    }
    for (info, resources) in launch.task_group.tasks.iter().zip(&launchable.tasks) {
        master.cluster.add_task(Task::staging(info, resources.clone(), framework));
        master.metrics.framework(framework).task_added(TaskState::TaskStaging);
        news::task_added(master, framework, &info.task_id.value);
        taken.launch(resources);
    }
}

fn tell(
    master: &Master,
    framework: &FrameworkId,
    launch: LaunchGroup,
    new_executor: bool,
    taken: &Taken,
    ctx: &Context<Master>,
) {
    let (Some(state), Some(agent)) =
        (master.cluster.framework(framework), master.cluster.agent(&taken.agent))
    else {
        return;
    };
    let LaunchGroup { mut executor, mut task_group } = launch;
    let executor_id = ExecutorId::from(&executor.executor_id);
    tracing::debug!(framework_id = %framework, %executor_id, tasks = task_group.tasks.len(), agent_id = %agent.id, "launching a task group");
    if !agent.capabilities.reservation_refinement {
        downgrade(&mut executor);
        task_group.tasks.iter_mut().for_each(downgrade);
    }
    let message = RunTaskGroupMessage {
        framework: (*state.info).clone(),
        executor,
        task_group,
        resource_version_uuids: resource_versions(agent),
        launch_executor: Some(new_executor),
    };
    ctx.post(&agent.pid, message);
}
