//! The command executor (`mesos-executor`): runs the command of one task, and ends with it.
//!
//! An agent starts it for each task that brings a command and no executor. It runs the command as a
//! process group of its own, with its own environment plus the command's, and sends `TASK_STARTING`,
//! `TASK_RUNNING`, and at the end a state that says how the command ended. Asked to kill, it sends
//! `SIGTERM` to the command and everything below it, then `SIGKILL` when the grace period is over.
//! It ends once the last update is acknowledged. Upstream: `src/launcher/executor.cpp`.
//!
//! It does not change the user or the root file system: the container that the agent made has done
//! so. Checks and health checks are not run yet.

mod command;
mod exit;

use std::time::Duration;

use libprocess::Node;
use libprocess::subprocess::kill_tree;
use mesos::{
    tasks::is_terminal,
    v1::{self, TaskState, check_info, executor::event::Subscribed, framework_info, task_status::Reason},
};
use rustix::process::Signal;
use thiserror::Error;
use tokio::time::Instant;
use tracing::{info, warn};

use self::command::NotStarted;
use crate::executor::{self, Driver, Executor, ExecutorEnvironment, status};

/// The grace between `SIGTERM` and `SIGKILL` when no kill policy says otherwise (upstream: 3 s).
pub const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(3);
/// What is kept of the agent's shutdown grace for sending the last update (upstream: 1 s and what
/// its reaper takes).
const SHUTDOWN_RESERVE: Duration = Duration::from_secs(1);
/// How long an agent that is there may take to acknowledge the last update (upstream: 60 s).
const ACKNOWLEDGEMENT_PATIENCE: Duration = Duration::from_secs(60);
/// The same, once it has told the executor to end: that of a framework that is gone acknowledges nothing, and waits itself
/// for the end of its executors (upstream: 1 s, or 60 s over HTTP).
const ENDING_PATIENCE: Duration = Duration::from_secs(2);

/// Why a command executor ended badly.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CommandExecutorError {
    /// The connection with the agent failed.
    #[error(transparent)]
    Executor(#[from] executor::Error),
    /// The agent did not acknowledge the last update.
    #[error("the agent did not acknowledge the last status update")]
    Unacknowledged,
}

/// Runs the executor until its task has ended.
///
/// # Errors
/// See [`CommandExecutorError`].
pub async fn run(node: &Node, environment: ExecutorEnvironment) -> Result<(), CommandExecutorError> {
    let executor = executor::run(node, environment, CommandExecutor::default()).await?;
    if executor.unacknowledged { Err(CommandExecutorError::Unacknowledged) } else { Ok(()) }
}

/// Runs one command.
#[derive(Default)]
pub struct CommandExecutor {
    task: Option<Task>,
    /// The framework wants `TASK_KILLING`.
    wants_killing: bool,
    /// The agent is gone.
    alone: bool,
    /// It was told to end.
    ends: bool,
    /// How often it has begun to wait for the acknowledgement of the last update.
    waits: u64,
    /// It ended although the last update was not acknowledged.
    unacknowledged: bool,
}

struct Task {
    id: v1::TaskId,
    policy: Option<v1::KillPolicy>,
    /// The command's process, which leads its group; none once it has ended.
    pid: Option<i32>,
    kill: Option<Kill>,
    /// It ran for longer than its `max_completion_time`.
    overdue: bool,
    /// What the kind of its check would tell, if it has one.
    check: Option<check_info::Type>,
}

impl Task {
    /// A status of it. One of a task with a check always speaks of that, also without a result (upstream: `mesos.proto`).
    fn status(&self, state: TaskState) -> v1::TaskStatus {
        let check_status = self.check.map(|kind| no_result(kind).into());
        v1::TaskStatus { check_status, ..status(&self.id, state) }
    }
}

/// What is said of a check that has not told anything.
fn no_result(kind: check_info::Type) -> v1::CheckStatusInfo {
    let mut info = v1::CheckStatusInfo { r#type: Some(kind.into()), ..Default::default() };
    match kind {
        check_info::Type::Command => info.command = Some(Default::default()),
        check_info::Type::Http => info.http = Some(Default::default()),
        check_info::Type::Tcp => info.tcp = Some(Default::default()),
        check_info::Type::Unknown => {}
    }
    info
}

/// However the executor ends, nobody is left who would end the command, if its agent is gone.
impl Drop for Task {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            kill_tree(pid, Signal::KILL);
        }
    }
}

/// A kill that was asked for. Asking again can only shorten the grace.
struct Kill {
    since: Instant,
    deadline: Instant,
}

impl Executor for CommandExecutor {
    fn subscribed(&mut self, driver: &mut Driver<Self>, subscribed: &Subscribed) {
        self.alone = false;
        if self.waits > 0 {
            self.await_acknowledgement(driver);
        }
        let mut capabilities = subscribed.framework_info.capabilities.iter();
        self.wants_killing = capabilities
            .any(|capability| capability.r#type() == framework_info::capability::Type::TaskKillingState);
    }

    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo) {
        if self.task.is_some() {
            let mut failed = status(&task.task_id, TaskState::TaskFailed);
            failed.message = Some("Attempted to run multiple tasks using a \"command\" executor".into());
            return driver.update(failed);
        }
        let id = task.task_id.clone();
        self.task = Some(Task {
            id: id.clone(),
            policy: task.kill_policy,
            pid: None,
            kill: None,
            overdue: false,
            check: task.check.as_ref().map(|check| check.r#type()),
        });
        self.tell(driver, TaskState::TaskStarting);
        if task.health_check.is_some() || task.check.is_some() {
            warn!(task_id = %id.value, "checks and health checks are not run yet");
        }
        match command::start(&task) {
            Ok(mut child) => {
                let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
                info!(task_id = %id.value, pid, "started the command");
                if let Some(task) = &mut self.task {
                    task.pid = pid;
                }
                self.tell(driver, TaskState::TaskRunning);
                limit_time(driver, &task);
                driver.wait_for(async move { child.wait().await }, Self::ended);
            }
            Err(error) => {
                // Upstream has seen a process by then, and says so; that it is not the program shows only at its end.
                if matches!(error, NotStarted::NotExecuted { .. }) {
                    self.tell(driver, TaskState::TaskRunning);
                }
                self.finish(driver, TaskState::TaskFailed, None, error.to_string());
            }
        }
    }

    fn kill(&mut self, driver: &mut Driver<Self>, id: v1::TaskId, policy: Option<v1::KillPolicy>) {
        let grace = |policy: &v1::KillPolicy| {
            let nanoseconds = policy.grace_period.as_ref()?.nanoseconds;
            Some(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0)))
        };
        match &self.task {
            Some(task) if task.id == id => {
                let policies = [policy, task.policy];
                let grace = policies.iter().flatten().find_map(grace).unwrap_or(DEFAULT_KILL_GRACE);
                self.begin_kill(driver, grace);
            }
            Some(_) => warn!(task_id = %id.value, "asked to kill a task that is not here"),
            // The task was killed before it was launched, and will not be (upstream: MESOS-8297).
            None => driver.stop(),
        }
    }

    fn acknowledged(&mut self, driver: &mut Driver<Self>, acknowledged: &v1::TaskStatus) {
        let ours = self.task.as_ref().is_some_and(|task| task.id == acknowledged.task_id);
        if ours && is_terminal(acknowledged.state()) {
            driver.stop();
        }
    }

    fn disconnected(&mut self, _: &mut Driver<Self>) {
        self.alone = true;
    }

    fn shutdown(&mut self, driver: &mut Driver<Self>) {
        let grace = driver.environment().shutdown_grace_period.saturating_sub(SHUTDOWN_RESERVE);
        self.ends = true;
        match &self.task {
            None => driver.stop(),
            // The agent is no longer waited for, or not for long.
            Some(_) if self.waits > 0 => self.await_acknowledgement(driver),
            Some(_) => self.begin_kill(driver, grace),
        }
    }
}

impl CommandExecutor {
    fn tell(&self, driver: &mut Driver<Self>, state: TaskState) {
        if let Some(task) = &self.task {
            driver.update(task.status(state));
        }
    }

    fn begin_kill(&mut self, driver: &mut Driver<Self>, grace: Duration) {
        let Some(task) = &mut self.task else { return };
        let Some(pid) = task.pid else { return };
        let now = Instant::now();
        let Some(kill) = &mut task.kill else {
            info!(?grace, "killing the command");
            task.kill = Some(Kill { since: now, deadline: now + grace });
            if self.wants_killing && !task.overdue {
                driver.update(task.status(TaskState::TaskKilling));
            }
            kill_tree(pid, Signal::TERM);
            return driver.after(grace, Self::escalate);
        };
        let deadline = kill.since + grace;
        if deadline < kill.deadline {
            kill.deadline = deadline;
            driver.after(deadline.saturating_duration_since(now), Self::escalate);
        }
    }

    /// A grace period is over, or was before it was shortened.
    fn escalate(&mut self, _: &mut Driver<Self>) {
        let Some(Task { pid: Some(pid), kill: Some(kill), .. }) = &self.task else { return };
        if Instant::now() >= kill.deadline {
            info!("the command did not end within its grace period");
            kill_tree(*pid, Signal::KILL);
        }
    }

    fn ended(&mut self, driver: &mut Driver<Self>, exit: std::io::Result<std::process::ExitStatus>) {
        let Some(task) = &mut self.task else { return };
        task.pid = None;
        let (state, reason) = match &exit {
            Err(_) => (TaskState::TaskFailed, None),
            Ok(_) if task.overdue => (TaskState::TaskFailed, Some(Reason::MaxCompletionTimeReached)),
            Ok(_) if task.kill.is_some() => (TaskState::TaskKilled, None),
            Ok(exit) if exit.success() => (TaskState::TaskFinished, None),
            Ok(_) => (TaskState::TaskFailed, None),
        };
        let message = match exit {
            Ok(exit) => format!("Command {}", exit::describe(exit)),
            Err(error) => format!("Failed to get exit status for Command: {error}"),
        };
        self.finish(driver, state, reason, message);
    }

    fn finish(
        &mut self,
        driver: &mut Driver<Self>,
        state: TaskState,
        reason: Option<Reason>,
        message: String,
    ) {
        let Some(task) = &self.task else { return };
        info!(task_id = %task.id.value, state = state.as_str_name(), %message, "the task has ended");
        let reason = reason.map(i32::from);
        driver.update(v1::TaskStatus { message: Some(message), reason, ..task.status(state) });
        self.await_acknowledgement(driver);
    }

    /// One that is gone may be away for as long as its executors wait for it; when it is back, it has as long again.
    /// (Upstream's executor does not wait for it then, and its task has failed, whatever became of the command.)
    fn await_acknowledgement(&mut self, driver: &mut Driver<Self>) {
        self.waits += 1;
        let waits = self.waits;
        let patience = if self.ends && !self.alone { ENDING_PATIENCE } else { ACKNOWLEDGEMENT_PATIENCE };
        driver.after(patience, move |executor, driver| {
            if executor.waits != waits || (executor.alone && !executor.ends) {
                return;
            }
            // It has gone meanwhile, perhaps with the update.
            if executor.alone && patience == ENDING_PATIENCE {
                return executor.await_acknowledgement(driver);
            }
            executor.unacknowledged = !executor.ends;
            driver.stop();
        });
    }
}

/// Kills the command at once when its `max_completion_time` has passed.
fn limit_time(driver: &mut Driver<CommandExecutor>, task: &v1::TaskInfo) {
    let limit = task.max_completion_time.as_ref().map_or(0, |limit| limit.nanoseconds);
    let Some(limit) = u64::try_from(limit).ok().filter(|limit| *limit > 0) else { return };
    driver.after(Duration::from_nanos(limit), |executor, driver| {
        if let Some(task) = &mut executor.task
            && task.pid.is_some()
            && task.kill.is_none()
        {
            task.overdue = true;
            executor.begin_kill(driver, Duration::ZERO);
        }
    });
}
