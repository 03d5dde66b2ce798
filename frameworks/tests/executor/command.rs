//! The command executor: one task, which is a command of the shell or a program.

use std::time::Duration;

use frameworks::{
    command_executor::CommandExecutorError,
    executor::{Error, ExecutorEnvironment, Recovery},
};
use libprocess::http::Response;
use mesos::v1::{
    self, TaskState,
    executor::{Event, event},
};

use crate::world::{World, of, soon, task};

fn shell(command: &str) -> v1::TaskInfo {
    let command = v1::CommandInfo { value: Some(command.into()), ..Default::default() };
    v1::TaskInfo { command: Some(command), ..task("command") }
}

fn told_of_kills() -> v1::framework_info::Capability {
    v1::framework_info::Capability {
        r#type: Some(v1::framework_info::capability::Type::TaskKillingState.into()),
    }
}

fn kill(grace: Option<Duration>) -> Event {
    let grace_period =
        grace.map(|grace| v1::DurationInfo { nanoseconds: grace.as_nanos().try_into().unwrap() });
    let kill_policy = grace.map(|_| v1::KillPolicy { grace_period });
    let kill = event::Kill { task_id: v1::TaskId { value: "command".into() }, kill_policy };
    Event { kill: Some(kill), ..of(event::Type::Kill) }
}

impl World {
    /// The executor subscribes, is sent a task, and says that it starts and runs.
    async fn begin(&mut self, task: v1::TaskInfo) {
        self.subscribe().await;
        self.launch(task);
        self.state().await;
        self.state().await;
    }
}

/// Upstream: `HTTPCommandExecutorTest.TerminateWithACK`.
#[test]
fn a_command_runs_and_its_status_is_told() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run_command(world.environment());
        world.subscribe().await;
        world.launch(shell("exit 0"));
        assert_eq!(world.state().await, (TaskState::TaskStarting, None));
        assert_eq!(world.state().await, (TaskState::TaskRunning, None));
        assert_eq!(
            world.state().await,
            (TaskState::TaskFinished, Some("Command exited with status 0".into()))
        );
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// Upstream: `launchTaskSubprocess` in `launcher/executor.cpp` gives it to the shell.
#[test]
fn a_shell_that_has_nothing_to_do_finishes() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        world.launch(shell(""));
        world.state().await;
        assert_eq!(world.state().await.0, TaskState::TaskRunning);
        assert_eq!(world.state().await.0, TaskState::TaskFinished);
        world.end().await;
    });
}

#[test]
fn a_command_that_has_ended_waits_for_an_agent_that_is_gone() {
    libprocess::run(async {
        let mut world = World::new().await;
        let (timeout, backoff_max) = (Duration::from_secs(15 * 60), Duration::from_millis(20));
        let recovery = Recovery::Checkpointed { timeout, backoff_max };
        let executor = world.run_command(ExecutorEnvironment { recovery, ..world.environment() });
        world.begin(shell("exit 0")).await;
        let finished = world.update().await;
        assert_eq!(finished.state(), TaskState::TaskFinished);

        *world.shared.recovers.lock() = true;
        world.shared.stream.lock().take().unwrap().close();
        world.subscribe().await;
        // An agent that is there would have had to acknowledge the update within a minute.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::time::resume();
        world.subscribe().await;
        *world.shared.recovers.lock() = false;
        while world.shared.stream.lock().is_none() {
            let updates = world.subscribe().await.unacknowledged_updates;
            assert_eq!(updates, [v1::executor::call::Update { status: finished.clone() }]);
        }
        world.acknowledge(&finished);
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// Upstream: `SlaveTest.CommandTaskWithArguments`.
#[test]
fn a_program_gets_its_own_arguments_and_no_others() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        let mut task = shell("/bin/sh");
        let command = task.command.as_mut().unwrap();
        command.shell = Some(false);
        let test = r#"test "$#" = 1 && test "$1" = --author"#;
        command.arguments = ["sh", "-c", test, "sh", "--author"].map(str::to_owned).into();
        world.begin(task).await;
        assert_eq!(world.state().await.0, TaskState::TaskFinished);
        world.end().await;
    });
}

/// As when its framework is gone: its agent takes no updates any more.
#[test]
fn a_command_that_was_told_to_end_does_not_wait_long_for_an_acknowledgement() {
    libprocess::run(async {
        let mut world = World::new().await;
        let shutdown_grace_period = Duration::from_secs(3600);
        let environment = ExecutorEnvironment { shutdown_grace_period, ..world.environment() };
        let executor = world.run_command(environment);
        world.begin(shell("sleep 1000")).await;
        world.send(&of(event::Type::Shutdown));
        assert_eq!(world.update().await.state(), TaskState::TaskKilled);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3)).await;
        tokio::time::resume();
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// The pid that a command writes to a file.
async fn pid_in(file: &std::path::Path) -> String {
    soon(async {
        loop {
            match std::fs::read_to_string(file) {
                Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

/// Whether a process runs. Whoever is its parent may not have waited for it yet.
fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

#[test]
fn a_command_does_not_outlive_an_executor_that_has_no_time_to_end() {
    libprocess::run(async {
        let mut world = World::new().await;
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let shutdown_grace_period = Duration::ZERO;
        let environment = ExecutorEnvironment { shutdown_grace_period, ..world.environment() };
        let executor = world.run_command(environment);
        world.subscribe().await;
        let command = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", pid_file.display());
        world.launch(shell(&command));
        let pid = pid_in(&pid_file).await;
        world.send(&of(event::Type::Shutdown));
        let ended = soon(executor).await.unwrap();
        assert_eq!(ended, Err(CommandExecutorError::Executor(Error::Grace)));
        soon(async {
            while runs(&pid) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        world.end().await;
    });
}

/// As when its run is not among what the agent has kept.
#[test]
fn a_command_does_not_outlive_an_executor_that_its_agent_does_not_know_any_more() {
    libprocess::run(async {
        let mut world = World::new().await;
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let executor = world.run_command(world.checkpointing());
        world.subscribe().await;
        world.launch(shell(&format!("echo $$ > {}; exec sleep 1000", pid_file.display())));
        let pid = pid_in(&pid_file).await;
        for state in [TaskState::TaskStarting, TaskState::TaskRunning] {
            assert_eq!(world.state().await.0, state);
        }

        *world.shared.refuse.lock() = Some(Response::bad_request("Executor cannot be found"));
        world.shared.stream.lock().take().unwrap().close();
        world.subscribe().await;
        let refused = Error::Refused("400: Executor cannot be found".into());
        assert_eq!(soon(executor).await.unwrap(), Err(CommandExecutorError::Executor(refused)));
        assert!(!runs(&pid));
        world.end().await;
    });
}

#[test]
fn a_command_that_fails_says_how() {
    libprocess::run(async {
        for (command, message) in [
            ("exit 7", "Command exited with status 7"),
            ("kill -TERM $$", "Command terminated with signal Terminated"),
        ] {
            let mut world = World::new().await;
            let executor = world.run_command(world.environment());
            world.begin(shell(command)).await;
            assert_eq!(world.state().await, (TaskState::TaskFailed, Some(message.into())));
            assert_eq!(soon(executor).await.unwrap(), Ok(()));
            world.end().await;
        }
    });
}

#[test]
fn a_program_that_is_not_there_fails_with_its_name() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        let mut task = shell("/nowhere/program");
        task.command.as_mut().unwrap().shell = Some(false);
        world.launch(task);
        assert_eq!(world.state().await.0, TaskState::TaskStarting);
        assert_eq!(
            world.state().await,
            (TaskState::TaskRunning, None),
            "there was a process, as upstream sees it"
        );
        let (state, message) = world.state().await;
        assert_eq!(state, TaskState::TaskFailed);
        assert!(message.unwrap().contains("'/nowhere/program'"));
        world.end().await;
    });
}

/// Upstream: `SlaveTest.CommandTaskWithKillPolicy`, `CommandExecutorTest.NoTaskKillingCapability`.
#[test]
fn a_kill_ends_the_command_and_its_children() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run_command(world.environment());
        let mut task = shell("sleep 60 & sleep 60 & wait");
        // It does not need the time that it may take.
        let grace_period = Some(v1::DurationInfo { nanoseconds: 100_000_000_000 });
        task.kill_policy = Some(v1::KillPolicy { grace_period });
        world.begin(task).await;
        world.send(&kill(None));
        let (state, message) = world.state().await;
        assert_eq!(state, TaskState::TaskKilled);
        assert_eq!(message.unwrap(), "Command terminated with signal Terminated");
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_after_its_grace_and_a_second_kill_can_shorten_it() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        // The message says that the trap is set.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trap-is-set");
        world
            .begin(shell(&format!("trap '' TERM; touch {}; while :; do sleep 0.1; done", file.display())))
            .await;
        soon(async {
            while !file.exists() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        world.send(&kill(Some(Duration::from_secs(3600))));
        world.send(&kill(Some(Duration::from_millis(100))));
        let (state, message) = world.state().await;
        assert_eq!(state, TaskState::TaskKilled);
        assert_eq!(message.unwrap(), "Command terminated with signal Killed");
        world.end().await;
    });
}

/// Upstream: `CommandExecutorTest.TaskKillingCapability`.
#[test]
fn a_framework_that_wants_to_know_is_told_that_its_task_is_being_killed() {
    libprocess::run(async {
        let mut world = World::new().await;
        *world.shared.capabilities.lock() = vec![told_of_kills()];
        let _executor = world.run_command(world.environment());
        world.begin(shell("sleep 60")).await;
        world.send(&kill(None));
        assert_eq!(world.state().await, (TaskState::TaskKilling, None));
        assert_eq!(world.state().await.0, TaskState::TaskKilled);
        world.end().await;
    });
}

/// Nobody has killed it. Upstream: `CommandExecutorTest.MaxCompletionTime`.
#[test]
fn a_command_may_run_only_so_long() {
    libprocess::run(async {
        let mut world = World::new().await;
        *world.shared.capabilities.lock() = vec![told_of_kills()];
        let _executor = world.run_command(world.environment());
        let max_completion_time = Some(v1::DurationInfo { nanoseconds: 50_000_000 });
        world.begin(v1::TaskInfo { max_completion_time, ..shell("sleep 60") }).await;
        let status = world.update().await;
        assert_eq!(status.state(), TaskState::TaskFailed);
        assert_eq!(status.reason(), v1::task_status::Reason::MaxCompletionTimeReached);
        world.end().await;
    });
}

/// The check is not run yet. Upstream: `createTaskStatus` in `launcher/executor.cpp`.
#[test]
fn each_status_of_a_task_with_a_check_speaks_of_it() {
    use v1::check_info::Type;

    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        let check = v1::CheckInfo { r#type: Some(Type::Command.into()), ..Default::default() };
        world.launch(v1::TaskInfo { check: Some(check.into()), ..shell("exit 0") });
        for state in [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished] {
            let status = world.update().await;
            assert_eq!(status.state(), state);
            let check = status.check_status.unwrap();
            let told = check.command.as_ref().map(|command| command.exit_code);
            assert_eq!((check.r#type(), told), (Type::Command, Some(None)));
        }
        world.end().await;
    });
}

#[test]
fn a_second_task_is_refused() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.begin(shell("sleep 60")).await;
        world.launch(v1::TaskInfo { task_id: v1::TaskId { value: "second".into() }, ..shell("true") });
        let (state, message) = world.state().await;
        assert_eq!(state, TaskState::TaskFailed);
        assert!(message.unwrap().contains("multiple tasks"));
        world.send(&kill(None));
        world.state().await;
        world.end().await;
    });
}

#[test]
fn a_kill_before_the_launch_ends_the_executor() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run_command(world.environment());
        world.subscribe().await;
        world.send(&kill(None));
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}
