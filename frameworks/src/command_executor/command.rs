//! From a task to a process: its command line, its environment, its group.

use std::{io, os::unix::process::CommandExt, process};

use mesos::v1;
use thiserror::Error;
use tokio::process::{Child, Command};

/// Why a command did not start, for the task's last update.
#[derive(Debug, Error)]
pub(super) enum NotStarted {
    /// The task does not say what to run.
    #[error("{0}")]
    Unspecified(&'static str),
    /// There was a process for it, which could not become the program.
    #[error("Failed to execute command '{program}': {source}")]
    NotExecuted { program: String, source: io::Error },
}

/// Starts the task's command, as the leader of its own process group, with the standard streams and
/// the environment of this process.
///
/// # Errors
/// See [`NotStarted`].
pub(super) fn start(task: &v1::TaskInfo) -> Result<Child, NotStarted> {
    use NotStarted::{NotExecuted, Unspecified};
    let command = task.command.as_ref().ok_or(Unspecified("the task has no command"))?;
    // An empty one is one, too: a shell has nothing to do, and no program is called so.
    let value = command.value.as_deref();
    let mut process = if command.shell.unwrap_or(true) {
        let line = value.ok_or(Unspecified("the task's shell command is not specified"))?;
        let mut process = process::Command::new("/bin/sh");
        process.arg0("sh").arg("-c").arg(line);
        process
    } else {
        let program = value.ok_or(Unspecified("the task's executable is not specified"))?;
        let mut process = process::Command::new(program);
        // The arguments begin with the name of the program, as for execve.
        if let Some((name, arguments)) = command.arguments.split_first() {
            process.arg0(name).args(arguments);
        }
        process
    };
    process
        .env_remove("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
        .envs(environment(task, command))
        .process_group(0);
    let program = process.get_program().to_string_lossy().into_owned();
    Command::from(process).spawn().map_err(|source| NotExecuted { program, source })
}

/// What the command's environment has beyond ours.
fn environment(task: &v1::TaskInfo, command: &v1::CommandInfo) -> Vec<(String, String)> {
    let variables = command.environment.iter().flat_map(|environment| &environment.variables);
    // Secrets have no value here: the agent has resolved them, and they stand in our own environment.
    let mut all: Vec<_> =
        variables.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?))).collect();
    let allocation = task.resources.first().and_then(|resource| resource.allocation_info.as_ref());
    if let Some(role) = allocation.and_then(|allocation| allocation.role.clone()) {
        all.push(("MESOS_ALLOCATION_ROLE".into(), role));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(command: v1::CommandInfo) -> v1::TaskInfo {
        v1::TaskInfo { command: Some(command), ..Default::default() }
    }

    fn variable(name: &str, value: Option<&str>) -> v1::environment::Variable {
        v1::environment::Variable { name: name.into(), value: value.map(Into::into), ..Default::default() }
    }

    /// Upstream: `CommandExecutorTest.AllocationRoleEnvironmentVariable`.
    #[test]
    fn the_environment_has_the_commands_variables_and_the_role() {
        let variables = vec![variable("A", Some("1")), variable("SECRET", None)];
        let command =
            v1::CommandInfo { environment: Some(v1::Environment { variables }), ..Default::default() };
        let mut task = task(command.clone());
        task.resources = vec![v1::Resource {
            allocation_info: Some(v1::resource::AllocationInfo { role: Some("ads".into()) }),
            ..Default::default()
        }];
        let expected = [("A", "1"), ("MESOS_ALLOCATION_ROLE", "ads")];
        assert_eq!(environment(&task, &command), expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn a_command_that_cannot_start_says_why() {
        let nothing = start(&v1::TaskInfo::default()).unwrap_err().to_string();
        assert_eq!(nothing, "the task has no command");
        let unspecified = start(&task(v1::CommandInfo::default())).unwrap_err().to_string();
        assert_eq!(unspecified, "the task's shell command is not specified");
        let missing = v1::CommandInfo {
            shell: Some(false),
            value: Some("/nowhere/program".into()),
            ..Default::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        let error = start(&task(missing)).unwrap_err().to_string();
        assert!(error.starts_with("Failed to execute command '/nowhere/program'"), "{error}");
    }
}
