//! An executor from its launch to its end.
//!
//! ```text
//! add_executor (books, sandbox, checkpoint) -> launch_executor -> the containerizer
//!     -> container_launched -> ... subscribes (subscribe.rs) ... -> container_ended
//!     -> the updates of its tasks are acknowledged -> remove_executor
//! ```
//!
//! Upstream: `Framework::addExecutor`, `Slave::launchExecutor`, `executorLaunched`,
//! `executorTerminated`, `removeExecutor`, `registerExecutorTimeout`.

use libprocess::{Abandoned, Context, Handle, Pid};
use mesos::internal::ExitedExecutorMessage;
use mesos::{ContainerId, ExecutorId, FrameworkId, TaskId, duration, v1};
use v1::TaskState;
use v1::task_status::Reason;

use super::environment::{Facts, environment};
use super::executor::{Executor, ExecutorPhase, FrameworkPhase};
use super::sandbox;
use crate::agent::{Agent, Phase};
use crate::containerizer::{ContainerConfig, LaunchError, Launched, Termination};
use crate::housekeeping::Used;
use crate::recovery::checkpoint::{self, DiskError, Durability};
use crate::tasks::status::AgentUpdate;
use mesos::tasks::is_terminal;

/// An executor did not subscribe in time.
pub struct RegistrationOverdue {
    framework: FrameworkId,
    executor: ExecutorId,
    container: ContainerId,
}

libprocess::messages! { RegistrationOverdue; }

impl Agent {
    /// Enters an executor into the books, with its sandbox and its checkpoints, and those of its first `tasks`.
    pub(crate) fn add_executor(
        &mut self,
        framework_id: &FrameworkId,
        mut info: v1::ExecutorInfo,
        generated: bool,
        tasks: &[v1::TaskInfo],
    ) -> Result<(), sandbox::SandboxError> {
        let Some(framework) = self.frameworks.get(framework_id) else { return Ok(()) };
        info.framework_id.get_or_insert_with(|| framework_id.to_proto());
        let container = ContainerId::new(self.metrics.node().random().uuid().to_string());
        let user = self.user_of(&framework.info, &info);
        let checkpoint = framework.checkpoint();
        let mut executor =
            Executor::new(info, container, std::path::PathBuf::new(), user, checkpoint, generated);
        let run = self.run_of(framework_id, &executor);
        let latest = self.paths.latest_sandbox(&run);
        executor.directory = self.paths.sandbox(&run);
        sandbox::create(&*self.disk, &executor.directory, &latest, executor.user.as_deref())?;
        if checkpoint {
            // What was written before may be deleted since.
            let written = self
                .checkpoint_framework(framework)
                .and_then(|()| self.checkpoint_executor(&run, &executor, tasks));
            if let Err(error) = written {
                // Nothing has run there, and there may be no room for what every attempt leaves.
                for directory in [&executor.directory, &self.paths.run_meta(&run)] {
                    let _ = self.disk.remove(directory);
                }
                return Err(error.into());
            }
        }
        self.attach_sandbox(&run, &executor.directory);
        tracing::info!(executor_id = %executor.id, %framework_id, container_id = %executor.container, directory = %executor.directory.display(), "launching an executor");
        if let Some(framework) = self.frameworks.get_mut(framework_id) {
            framework.executors.insert(executor.id.clone(), executor);
        }
        Ok(())
    }

    /// Who an executor runs as: as its command says, or its framework. `None` is the agent's own user. An empty name is
    /// nobody's: it must not make a task root's (upstream: `Framework::addExecutor`).
    pub(crate) fn user_of(
        &self,
        framework: &v1::FrameworkInfo,
        executor: &v1::ExecutorInfo,
    ) -> Option<String> {
        if !self.settings.switch_user {
            return None;
        }
        let own = executor.command.as_ref().and_then(|command| command.user.clone());
        Some(own.unwrap_or_else(|| framework.user.clone()))
    }

    fn checkpoint_executor(
        &self,
        run: &crate::recovery::paths::Run,
        executor: &Executor,
        tasks: &[v1::TaskInfo],
    ) -> Result<(), DiskError> {
        let (agent, framework) = (&run.agent, &run.framework);
        let info = self.paths.executor_info(agent, framework, &run.executor);
        let disk = &*self.disk;
        checkpoint::write_message(disk, &info, &*executor.info, Durability::Process)?;
        let generated = self.paths.generated_for_command_task(agent, framework, &run.executor);
        let text = if executor.generated { "1" } else { "0" };
        checkpoint::write_text(disk, &generated, text, Durability::Process)?;
        checkpoint::make_directory(disk, &self.paths.run_meta(run), Durability::Process)?;
        // Before the link, which makes it the run that an agent finds: one without its tasks would not be over for it.
        self.checkpoint_tasks(run, tasks)?;
        let container = std::path::Path::new(executor.container.as_str());
        let latest = self.paths.latest_run_meta(run);
        // An earlier run must not come back with a power failure: updates of this one would be taken for its past.
        let durability = if disk.read_link(&latest).is_ok() { Durability::Host } else { Durability::Process };
        checkpoint::replace_link(disk, &latest, container, durability)
    }

    /// Asks for the container of an executor whose first task is `task`.
    pub(crate) fn launch_executor(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        task: &v1::TaskInfo,
        ctx: &mut Context<Self>,
    ) {
        let Some(config) = self.container_config(framework_id, executor_id, task, ctx) else {
            return;
        };
        let timeout = self.settings.executor_registration_timeout;
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        let container = executor.container.clone();
        executor.registration_timer = Some(ctx.after(
            timeout,
            RegistrationOverdue {
                framework: framework_id.clone(),
                executor: executor_id.clone(),
                container: container.clone(),
            },
        ));
        let answer = self.colleagues.containerizer.launch(container.clone(), config);
        let (framework_id, executor_id) = (framework_id.clone(), executor_id.clone());
        ctx.defer(answer, move |agent, answer, ctx| {
            let outcome = answer.unwrap_or(Err(LaunchError::Abandoned));
            agent.container_launched(&framework_id, &executor_id, &container, outcome, ctx);
        });
    }

    fn container_config(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        task: &v1::TaskInfo,
        ctx: &Context<Self>,
    ) -> Option<ContainerConfig> {
        let framework = self.frameworks.get(framework_id)?;
        let executor = framework.executors.get(executor_id)?;
        let settings = &self.settings;
        let variables = environment(&Facts {
            common: &self.executor_variables,
            libprocess_ip: self.libprocess_ip.as_deref(),
            executor: &executor.info,
            directory: &executor.directory,
            agent: &self.agent_id(),
            pid: ctx.pid(),
            domain_socket: settings
                .domain_socket_location
                .as_deref()
                .filter(|_| settings.http_executor_domain_sockets),
            checkpoint: executor.checkpoint,
            // In the launcher directory may be upstream's, which speaks to its agent's actor unless it is told otherwise.
            http_command_executor: executor.generated || settings.http_command_executor,
            shutdown_grace_period: settings.executor_shutdown_grace_period,
            recovery_timeout: settings.recovery_timeout,
            reregistration_timeout: settings.executor_reregistration_timeout,
        });
        let run = self.run_of(framework_id, executor);
        Some(ContainerConfig {
            command: executor.info.command.clone().unwrap_or_default(),
            environment: variables,
            // With its first task's, or an executor that asks for little would start slowly.
            resources: executor.allocated(),
            limits: executor.limits(),
            directory: executor.directory.clone(),
            user: executor.user.clone(),
            forked_pid_path: executor.checkpoint.then(|| self.paths.forked_pid(&run)),
            executor: (*executor.info).clone(),
            task: executor.generated.then(|| task.clone()),
            container: executor.info.container.clone(),
        })
    }

    /// The containerizer has launched the container, or could not.
    fn container_launched(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        container: &ContainerId,
        outcome: Result<Launched, LaunchError>,
        ctx: &mut Context<Self>,
    ) {
        // Also after a failure: what comes of `Wait` cleans up.
        self.await_container(framework_id, executor_id, container, ctx);
        let failure = match outcome {
            Ok(Launched::Launched) => None,
            Ok(Launched::NotSupported) => Some("no enabled containerizer can run it".to_owned()),
            Ok(Launched::AlreadyLaunched) => Some("its container id is in use".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        let containerizer = self.colleagues.containerizer.clone();
        if let Some(failure) = failure {
            let given_up = self
                .executor_in(framework_id, executor_id, container)
                .is_some_and(|executor| executor.generated && executor.tasks.nothing_queued());
            if given_up {
                tracing::info!(container_id = %container, %executor_id, %framework_id, failure, "a container was not launched, and is not needed");
            } else {
                tracing::error!(container_id = %container, %executor_id, %framework_id, failure, "failed to launch a container");
                self.metrics.container_launch_errors.increment();
            }
            containerizer.destroy(container.clone());
            if let Some(executor) = self.executor_in(framework_id, executor_id, container) {
                // It may have been destroyed because it was not launched in time.
                let earlier = executor.pending_termination.take().and_then(|earlier| earlier.message);
                let failure = format!("Failed to launch container: {failure}");
                executor.pending_termination = Some(Termination {
                    state: Some(TaskState::TaskFailed),
                    reason: Some(Reason::ContainerLaunchFailed),
                    message: Some(earlier.into_iter().chain([failure]).collect::<Vec<_>>().join("; ")),
                    ..Termination::default()
                });
            }
            return;
        }
        let terminating = self
            .frameworks
            .get(framework_id)
            .is_none_or(|framework| framework.phase == FrameworkPhase::Terminating);
        match self.executor_in(framework_id, executor_id, container) {
            Some(executor) if !terminating && executor.phase != ExecutorPhase::Terminating => {
                executor.launched = true;
                self.ask_container_status(framework_id, executor_id, ctx);
            }
            Some(executor) => {
                executor.launched = true;
                containerizer.destroy(container.clone());
            }
            None => containerizer.destroy(container.clone()),
        }
    }

    /// A command task was killed before its container was launched: what is still fetched for it is not needed, and no other
    /// task can have its executor. (Upstream's goes on, and ends when it subscribes.)
    pub(crate) fn give_up_launch(&mut self, framework_id: &FrameworkId, executor_id: &ExecutorId) {
        let containerizer = self.colleagues.containerizer.clone();
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        if executor.generated && !executor.launched && executor.phase == ExecutorPhase::Registering {
            executor.phase = ExecutorPhase::Terminating;
            containerizer.destroy(executor.container.clone());
        }
    }

    /// Hears of the end of a container.
    pub(crate) fn await_container(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        container: &ContainerId,
        ctx: &mut Context<Self>,
    ) {
        let answer = self.colleagues.containerizer.wait(container.clone());
        let (framework, executor) = (framework_id.clone(), executor_id.clone());
        let container = container.clone();
        ctx.defer(answer, move |agent, termination, ctx| {
            agent.container_ended(&framework, &executor, &container, termination, ctx);
        });
    }

    /// An executor, if it still is the one in that container.
    pub(crate) fn executor_in(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        container: &ContainerId,
    ) -> Option<&mut Executor> {
        self.executor(framework_id, executor_id).filter(|executor| executor.container == *container)
    }

    /// A container is gone: its tasks end, and its executor once they are acknowledged.
    fn container_ended(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        container: &ContainerId,
        termination: Result<Option<Termination>, Abandoned>,
        ctx: &mut Context<Self>,
    ) {
        let status = termination.as_ref().ok().and_then(|known| known.as_ref()?.status);
        tracing::info!(%executor_id, %framework_id, container_id = %container, ?status, "an executor has ended");
        let Some(executor) = self.executor_in(framework_id, executor_id, container) else { return };
        if executor.phase == ExecutorPhase::Terminated {
            return;
        }
        executor.phase = ExecutorPhase::Terminated;
        if let Some(timer) = executor.registration_timer.take() {
            ctx.cancel(timer);
        }
        let generated = executor.generated;
        self.metrics.executors_terminated.increment();
        let terminating = self
            .frameworks
            .get(framework_id)
            .is_none_or(|framework| framework.phase == FrameworkPhase::Terminating);
        if terminating {
            // Nobody would acknowledge updates; the tasks only stay to be seen for a while.
            if let Some(executor) = self.executor(framework_id, executor_id) {
                executor.tasks.abandon_launched();
            }
        } else {
            self.end_tasks(framework_id, executor_id, &termination, ctx);
        }
        // The master does not know of executors that the agent has made up.
        if !generated {
            self.send_exited(framework_id, executor_id, status, ctx);
        }
        let over = self.phase == Phase::Terminating
            || terminating
            || self
                .executor(framework_id, executor_id)
                .is_some_and(|executor| !executor.tasks.has_incomplete());
        if over {
            self.remove_executor(framework_id, executor_id);
        }
        self.remove_framework_if_idle(framework_id, ctx);
        self.misses_one_less(ctx);
        self.touch(ctx);
    }

    /// Reports the end of every task that an ended executor had.
    fn end_tasks(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        termination: &Result<Option<Termination>, Abandoned>,
        ctx: &mut Context<Self>,
    ) {
        let Some(executor) = self.executor(framework_id, executor_id) else { return };
        let pending = executor.pending_termination.clone();
        let verdict = Verdict::of(termination, pending.as_ref());
        let live = executor
            .tasks
            .launched()
            .filter(|(_, task)| !is_terminal(task.state()))
            .map(|(id, _)| id.clone());
        let tasks: Vec<TaskId> = live.chain(executor.tasks.queued().map(|(id, _)| id.clone())).collect();
        for task in tasks {
            let update = AgentUpdate {
                framework: framework_id,
                agent: &self.agent_id(),
                task: &task,
                executor: Some(executor_id),
                state: verdict.state,
                reason: verdict.reason,
                message: &verdict.message,
                limited: Some(&verdict.limited),
            }
            .into_update(ctx.node().random().uuid(), ctx.now());
            self.agent_update(update, ctx);
        }
    }

    /// Forgets an executor that is over: its directories may be deleted from now on, unless the next agent needs them.
    pub(crate) fn remove_executor(&mut self, framework_id: &FrameworkId, executor_id: &ExecutorId) {
        let limit = self.settings.max_completed_executors_per_framework;
        let Some(framework) = self.frameworks.get(framework_id) else { return };
        let Some(executor) = framework.executors.get(executor_id) else { return };
        tracing::info!(%executor_id, %framework_id, "cleaning up an executor");
        let run = self.run_of(framework_id, executor);
        let owes = self.leaves_to_the_next(framework) && executor.tasks.has_incomplete();
        if executor.checkpoint
            && !owes
            && let Err(error) = checkpoint::touch(&*self.disk, &self.paths.sentinel(&run))
        {
            // As on a full disk. The next agent finds no process of it, and nothing that is yet to be told of its tasks.
            tracing::warn!(%error, "an agent that starts now will take an executor that is over for one that has just ended");
        }
        if !owes {
            let more = framework.pending.iter().any(|p| p.executor.executor_id.value == executor_id.as_str());
            self.collect_executor(&run, executor.checkpoint, !more, Used::UntilNow);
        }
        if let Some(framework) = self.frameworks.get_mut(framework_id) {
            framework.complete_executor(executor_id, limit);
        }
    }

    /// Tells the master that an executor is not, or no longer, there.
    pub(crate) fn send_exited(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        status: Option<i32>,
        ctx: &Context<Self>,
    ) {
        let (Some(master), Some(id)) = (self.master(), &self.id) else { return };
        ctx.post(
            master,
            ExitedExecutorMessage {
                slave_id: id.to_proto(),
                framework_id: framework_id.to_proto(),
                executor_id: executor_id.to_proto(),
                status: status.unwrap_or(-1),
            },
        );
    }
}

/// What is said of the tasks of an ended executor: what the containerizer says comes first, then
/// what the agent itself had against the executor.
#[derive(Debug, PartialEq)]
struct Verdict {
    state: TaskState,
    reason: Reason,
    message: String,
    limited: mesos::Resources,
}

impl Verdict {
    fn of(termination: &Result<Option<Termination>, Abandoned>, pending: Option<&Termination>) -> Verdict {
        let known = termination.as_ref().ok().and_then(Option::as_ref);
        let state = known.and_then(|known| known.state);
        let reason = known.and_then(|known| known.reason);
        let mut messages: Vec<&str> = Vec::new();
        messages.extend(pending.and_then(|pending| pending.message.as_deref()));
        messages.extend(match termination {
            Err(_) => Some("Abnormal executor termination: the containerizer has ended"),
            Ok(None) => Some("Abnormal executor termination: unknown container"),
            Ok(Some(known)) => known.message.as_deref(),
        });
        Verdict {
            state: state
                .or_else(|| pending.and_then(|pending| pending.state))
                .unwrap_or(TaskState::TaskFailed),
            reason: reason
                .or_else(|| pending.and_then(|pending| pending.reason))
                .unwrap_or(Reason::ExecutorTerminated),
            message: if messages.is_empty() { "Executor terminated".to_owned() } else { messages.join("; ") },
            limited: known.map(|known| known.limited_resources.clone()).unwrap_or_default(),
        }
    }
}

impl Handle<RegistrationOverdue> for Agent {
    fn handle(&mut self, overdue: RegistrationOverdue, _: &Pid, ctx: &mut Context<Self>) {
        let RegistrationOverdue { framework, executor, container } = overdue;
        let timeout = self.settings.executor_registration_timeout;
        let containerizer = self.colleagues.containerizer.clone();
        let Some(executor) = self.executor_in(&framework, &executor, &container) else { return };
        executor.registration_timer = None;
        if executor.phase != ExecutorPhase::Registering {
            return;
        }
        tracing::info!(executor_id = %executor.id, framework_id = %framework, ?timeout, "an executor did not subscribe in time; destroying its container");
        executor.phase = ExecutorPhase::Terminating;
        executor.pending_termination = Some(Termination {
            state: Some(TaskState::TaskFailed),
            reason: Some(Reason::ExecutorRegistrationTimeout),
            message: Some(format!("Executor did not register within {}", duration::format(timeout))),
            ..Termination::default()
        });
        containerizer.destroy(container);
        self.touch(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executor_that_just_ends_fails_its_tasks() {
        let verdict = Verdict::of(&Ok(Some(Termination::default())), None);
        assert_eq!((verdict.state, verdict.reason), (TaskState::TaskFailed, Reason::ExecutorTerminated));
        assert_eq!(verdict.message, "Executor terminated");
    }

    #[test]
    fn what_the_containerizer_says_comes_before_what_the_agent_meant() {
        let pending = Termination {
            state: Some(TaskState::TaskGone),
            reason: Some(Reason::ExecutorReregistrationTimeout),
            message: Some("late".into()),
            ..Termination::default()
        };
        let verdict = Verdict::of(&Ok(Some(Termination::default())), Some(&pending));
        assert_eq!(verdict.state, TaskState::TaskGone);
        assert_eq!(verdict.message, "late");
        let said = Termination {
            state: Some(TaskState::TaskFailed),
            reason: Some(Reason::ContainerLimitationMemory),
            message: Some("too big".into()),
            ..Termination::default()
        };
        let verdict = Verdict::of(&Ok(Some(said)), Some(&pending));
        assert_eq!(verdict.reason, Reason::ContainerLimitationMemory);
        assert_eq!(verdict.message, "late; too big");
    }

    #[test]
    fn a_container_that_nobody_knows_is_abnormal() {
        let verdict = Verdict::of(&Ok(None), None);
        assert_eq!(verdict.message, "Abnormal executor termination: unknown container");
    }
}
