//! The executor that the agent makes up for a task that brings only a command.
//!
//! Pure. Upstream: `Slave::getExecutorInfo`. Whether the executor's program is there is looked up
//! once, at start-up, and passed in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use mesos::{FrameworkId, Resources, v1};

/// What a command executor has beside its task: upstream's `DEFAULT_EXECUTOR_CPUS` and `_MEM` (in
/// megabytes). It is a small overcommit: the master does not count it.
pub const OVERHEAD: &str = "cpus:0.1;mem:32";

/// Time that is added to a task's kill grace period, so that the executor can still report
/// `TASK_KILLED` before its container is destroyed: upstream's longest reap interval and a second.
pub const KILL_GRACE_MARGIN: Duration = Duration::from_secs(2);

/// How to start the command executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandExecutor {
    /// The program: `<launcher_dir>/mesos-executor`, or this binary.
    pub program: PathBuf,
    /// Its arguments, with `argv[0]`.
    pub arguments: Vec<String>,
}

impl CommandExecutor {
    /// `<launcher_dir>/mesos-executor` if it is there, else `this` (the running binary) with the
    /// argument `executor`.
    pub fn locate(launcher_dir: &std::path::Path, this: Option<PathBuf>) -> Option<CommandExecutor> {
        let installed = launcher_dir.join("mesos-executor");
        if let Ok(program) = installed.canonicalize() {
            let launcher = format!("--launcher_dir={}", launcher_dir.display());
            return Some(CommandExecutor { program, arguments: vec!["mesos-executor".into(), launcher] });
        }
        let program = this?;
        Some(CommandExecutor { program, arguments: vec!["mesos".into(), "executor".into()] })
    }
}

/// The executor of a task: the one it brings, or one made for its command. The second value says
/// that it was made.
pub fn executor_of(
    task: &v1::TaskInfo,
    framework: &FrameworkId,
    command_executor: Option<&CommandExecutor>,
) -> (v1::ExecutorInfo, bool) {
    match &task.executor {
        Some(executor) => (executor.clone(), false),
        None => (command_executor_of(task, framework, command_executor), true),
    }
}

fn command_executor_of(
    task: &v1::TaskInfo,
    framework: &FrameworkId,
    command_executor: Option<&CommandExecutor>,
) -> v1::ExecutorInfo {
    let default = v1::CommandInfo::default();
    let wanted = task.command.as_ref().unwrap_or(&default);
    let mut command = v1::CommandInfo {
        uris: wanted.uris.clone(),
        environment: wanted.environment.clone(),
        user: wanted.user.clone(),
        ..v1::CommandInfo::default()
    };
    match command_executor {
        Some(executor) => {
            command.shell = Some(false);
            command.value = Some(executor.program.to_string_lossy().into_owned());
            command.arguments = executor.arguments.clone();
        }
        None => {
            command.shell = Some(true);
            command.value = Some("echo 'there is no mesos-executor on this agent' >&2; exit 1".into());
        }
    }
    let mut overhead = Resources::parse(OVERHEAD, "*").unwrap_or_default();
    let role = task.resources.iter().find_map(|r| r.allocation_info.as_ref()?.role.clone());
    if let Some(role) = role {
        overhead.allocate(&role);
    }
    let grace = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    let grace = grace.map(|grace| v1::DurationInfo {
        nanoseconds: grace
            .nanoseconds
            .saturating_add(i64::try_from(KILL_GRACE_MARGIN.as_nanos()).unwrap_or(i64::MAX)),
    });
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: task.task_id.value.clone() },
        framework_id: Some(framework.to_proto()),
        container: task.container.as_deref().cloned(),
        command: Some(command),
        name: Some(format!("Command Executor (Task: {}) (Command: {})", task.task_id.value, summary(wanted))),
        source: Some(task.task_id.value.clone()),
        labels: task.labels.clone(),
        discovery: task.discovery.as_deref().cloned(),
        shutdown_grace_period: grace,
        resources: overhead.to_protos(),
        ..v1::ExecutorInfo::default()
    }
}

/// The beginning of a command, as the executor's name shows it.
fn summary(command: &v1::CommandInfo) -> String {
    const SHOWN: usize = 15;
    let shorten = |text: &str| {
        if text.len() > SHOWN {
            // Upstream cuts bytes; we cut at a character, so that the name stays text.
            let end = (0..=SHOWN - 3).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            format!("{}...", &text[..end])
        } else {
            text.to_owned()
        }
    };
    match (command.shell(), &command.value) {
        (true, None) => "NO COMMAND".to_owned(),
        (true, Some(value)) => format!("sh -c '{}'", shorten(value)),
        (false, None) => "NO EXECUTABLE".to_owned(),
        (false, Some(value)) => {
            let all = format!("{value}, {}", command.arguments.join(", "));
            format!("[{}]", shorten(&all))
        }
    }
}

/// The limits of a container: the executor's resources and all tasks' limits, for the names that
/// some task limits; a task without one counts with what it requests (upstream:
/// `computeExecutorLimits`). Empty if no task asks for limits.
pub fn limits(
    executor: &[v1::Resource],
    tasks: &[(&[v1::Resource], &BTreeMap<String, v1::value::Scalar>)],
) -> BTreeMap<String, f64> {
    let scalar = |resources: &[v1::Resource], name: &str| -> f64 {
        let matching = resources.iter().filter(|resource| resource.name == name);
        matching.filter_map(|resource| resource.scalar.as_ref()).map(|scalar| scalar.value).sum()
    };
    let mut limits = BTreeMap::new();
    for name in ["cpus", "mem"] {
        if !tasks.iter().any(|(_, wanted)| wanted.contains_key(name)) {
            continue;
        }
        let of_tasks = tasks.iter().map(|(resources, wanted)| {
            wanted.get(name).map_or_else(|| scalar(resources, name), |limit| limit.value)
        });
        limits.insert(name.to_owned(), scalar(executor, name) + of_tasks.sum::<f64>());
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::status::testing::task_info;

    fn command(shell: bool, value: Option<&str>, arguments: &[&str]) -> v1::CommandInfo {
        v1::CommandInfo {
            shell: Some(shell),
            value: value.map(str::to_owned),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            ..v1::CommandInfo::default()
        }
    }

    #[test]
    fn names_show_the_beginning_of_the_command_as_upstream_does() {
        assert_eq!(summary(&command(true, Some("echo hello; sleep 3"), &[])), "sh -c 'echo hello; ...'");
        assert_eq!(summary(&command(true, Some("true"), &[])), "sh -c 'true'");
        assert_eq!(summary(&command(true, None, &[])), "NO COMMAND");
        assert_eq!(summary(&command(false, None, &[])), "NO EXECUTABLE");
        assert_eq!(summary(&command(false, Some("ls"), &["ls", "-l"])), "[ls, ls, -l]");
        assert_eq!(summary(&command(false, Some("/usr/bin/ls"), &["ls", "-l"])), "[/usr/bin/ls,...]");
        assert_eq!(summary(&command(true, Some("ééééééééé"), &[])), "sh -c 'éééééé...'");
    }

    /// Upstream: `SlaveTest.GetExecutorInfo`, `SlaveTest.GetExecutorInfoForTaskWithContainer`.
    #[test]
    fn a_command_task_gets_an_executor_of_its_own_name_with_the_overhead() {
        let mut task = task_info("t", "cpus:1;mem:64");
        let command = command(true, Some("true"), &["its", "own"]);
        task.command = Some(v1::CommandInfo { user: Some("u".into()), ..command });
        let container = v1::ContainerInfo { hostname: Some("h".into()), ..v1::ContainerInfo::default() };
        task.container = Some(Box::new(container.clone()));
        let program = CommandExecutor { program: "/bin/mesos".into(), arguments: vec!["mesos".into()] };
        let (executor, made) = executor_of(&task, &FrameworkId::from("F"), Some(&program));
        assert!(made);
        assert_eq!(executor.executor_id.value, "t");
        assert_eq!(executor.name(), "Command Executor (Task: t) (Command: sh -c 'true')");
        let command = executor.command.unwrap();
        assert_eq!((command.value(), command.shell(), command.user()), ("/bin/mesos", false, "u"));
        assert_eq!(command.arguments, ["mesos"]);
        assert_eq!(executor.container, Some(container));
        let resources = Resources::try_from_protos(&executor.resources).unwrap();
        assert_eq!(resources.cpus().unwrap().to_f64(), 0.1);
        assert_eq!(resources.mem().unwrap().to_f64(), 32.0);
        assert_eq!(resources.allocations().keys().collect::<Vec<_>>(), ["*"]);
    }

    #[test]
    fn a_kill_grace_period_leaves_time_to_report() {
        let mut task = task_info("t", "cpus:1");
        task.kill_policy =
            Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 10_000_000_000 }) });
        let (executor, _) = executor_of(&task, &FrameworkId::from("F"), None);
        assert_eq!(executor.shutdown_grace_period.unwrap().nanoseconds, 12_000_000_000);
    }

    #[test]
    fn a_tasks_own_executor_is_taken_as_it_is() {
        let mut task = task_info("t", "cpus:1");
        task.executor = Some(v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "mine".into() },
            ..v1::ExecutorInfo::default()
        });
        let (executor, made) = executor_of(&task, &FrameworkId::from("F"), None);
        assert!(!made);
        assert_eq!(executor.executor_id.value, "mine");
    }

    #[test]
    fn tasks_without_a_limit_count_with_what_they_request() {
        let resources = |text: &str| Resources::parse(text, "*").unwrap().to_protos();
        let (one, two) = (resources("cpus:1;mem:10"), resources("cpus:2;mem:20"));
        let none = BTreeMap::new();
        let some = BTreeMap::from([("cpus".to_owned(), v1::value::Scalar { value: 4.0 })]);
        let executor = resources("cpus:0.5");
        let with = limits(&executor, &[(&one[..], &none), (&two[..], &some)]);
        assert_eq!(with, BTreeMap::from([("cpus".to_owned(), 5.5)]));
        assert!(limits(&executor, &[(&one[..], &none)]).is_empty());
    }
}
