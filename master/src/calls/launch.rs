//! LAUNCH, the operation of ACCEPT: tasks go to the agent whose resources were offered.
//!
//! Each task is validated against what its predecessors left over. One that is refused becomes
//! TASK_ERROR (TASK_DROPPED if it may be launched later), and the others are launched all the same. A framework's own
//! executor is counted once, with the first of its tasks; the executor of a command task is the agent's affair.

use libprocess::Context;
use mesos::FrameworkId;
use mesos::internal::{ResourceVersionUuid, RunTaskMessage};
use mesos::resources;
use mesos::v1::offer::Operation;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};

use super::accept::{Refusal, Taken, check_given_up, refuse_task};
use crate::authorization::Action;
use crate::cluster::{Agent, Executor, Task};
use crate::master::Master;
use crate::operator::news;
use crate::validation::task::{self, Launchable};

/// Launches the operation's tasks.
pub(super) fn launch(
    master: &mut Master,
    framework: &FrameworkId,
    operation: Operation,
    taken: &mut Taken,
    ctx: &mut Context<Master>,
) {
    let kind = operation.r#type();
    for mut task in operation.launch.map_or_else(Vec::new, |launch| launch.task_infos) {
        complete(&mut task, framework);
        match validate(master, framework, &task, taken) {
            Ok(launchable) => {
                apply(master, framework, &task, &launchable, taken);
                master.metrics.framework(framework).operation(kind);
                tell(master, framework, task, launchable.new_executor.is_some(), taken, ctx);
            }
            Err(refusal) => refuse_task(master, framework, &task, &refusal, &mut taken.lines, ctx),
        }
    }
}

/// Fills in what a framework may leave out.
fn complete(task: &mut v1::TaskInfo, framework: &FrameworkId) {
    use v1::health_check::Type;
    if let Some(executor) = &mut task.executor {
        executor.framework_id.get_or_insert_with(|| framework.to_proto());
    }
    // The type came later than its two first kinds.
    if let Some(check) = task.health_check.as_mut().filter(|check| check.r#type.is_none()) {
        match (check.command.is_some(), check.http.is_some()) {
            (true, false) => check.r#type = Some(Type::Command.into()),
            (false, true) => check.r#type = Some(Type::Http.into()),
            _ => {}
        }
    }
}

fn validate(
    master: &Master,
    framework: &FrameworkId,
    task: &v1::TaskInfo,
    taken: &Taken,
) -> Result<Launchable, Refusal> {
    let invalid = |text: &str| (TaskState::TaskError, Reason::TaskInvalid, text.to_owned());
    let state = master.cluster.framework(framework).ok_or_else(|| invalid("Framework cannot be found"))?;
    let agent = master.cluster.agent(&taken.agent).ok_or_else(|| invalid("Agent removed"))?;
    let launchable =
        task::validate(task, state, agent, &taken.available()).map_err(|error| invalid(&error.0))?;
    let principal = state.info.principal.as_deref();
    master
        .authorize(principal, [Action::RunTask(task, &state.info)])
        .map_err(|error| (TaskState::TaskError, Reason::TaskUnauthorized, error.to_string()))?;
    if let Some(executor) = &task.executor {
        check_given_up(master, framework, &taken.agent, executor)?;
    }
    Ok(launchable)
}

/// The task is in the books before it is sent: an update may come at once.
fn apply(
    master: &mut Master,
    framework: &FrameworkId,
    info: &v1::TaskInfo,
    launchable: &Launchable,
    taken: &mut Taken,
) {
    if let (Some(executor), Some(resources)) = (&info.executor, &launchable.new_executor) {
        let executor = Executor { info: executor.clone(), resources: resources.clone() };
        master.cluster.add_executor(framework, &taken.agent, executor);
    }
    master.cluster.add_task(Task::staging(info, launchable.task.clone(), framework));
    master.metrics.framework(framework).task_added(TaskState::TaskStaging);
    news::task_added(master, framework, &info.task_id.value);
    taken.launch(&launchable.total());
}

fn tell(
    master: &Master,
    framework: &FrameworkId,
    mut task: v1::TaskInfo,
    new_executor: bool,
    taken: &Taken,
    ctx: &Context<Master>,
) {
    let (Some(state), Some(agent)) =
        (master.cluster.framework(framework), master.cluster.agent(&taken.agent))
    else {
        return;
    };
    tracing::debug!(framework_id = %framework, task_id = %task.task_id.value, agent_id = %agent.id, "launching a task");
    // A command task always has an executor of its own.
    let launch_executor = task.executor.is_none() || new_executor;
    if !agent.capabilities.reservation_refinement {
        downgrade(&mut task);
    }
    let message = RunTaskMessage {
        framework_id: None,
        framework: (*state.info).clone(),
        task,
        resource_version_uuids: resource_versions(agent),
        pid: Some(state.pid_text()),
        launch_executor: Some(launch_executor),
    };
    ctx.post(&agent.pid, message);
}

/// What the master believes the agent's resources to be.
pub(super) fn resource_versions(agent: &Agent) -> Vec<ResourceVersionUuid> {
    let version = agent.resource_version.clone();
    version.map(|uuid| ResourceVersionUuid { resource_provider_id: None, uuid }).into_iter().collect()
}

/// An agent without RESERVATION_REFINEMENT never offers refined reservations: nothing is lost.
pub(super) fn downgrade(message: &mut impl resources::CarriesResources) {
    if message.downgrade_resources().is_err() {
        tracing::warn!("a refined reservation for an agent that does not know them");
    }
}
