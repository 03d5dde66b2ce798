//! Where everything is on the agent's disk: upstream's layout (`slave/paths.cpp`), so that tools
//! and eyes that know it find what they look for.
//!
//! ```text
//! <work_dir>/slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>   sandbox
//! <work_dir>/volumes/roles/<role>/<id>                                     volume (`operations::volumes`)
//! <work_dir>/meta/boot_id
//! <work_dir>/meta/resources/resources_and_operations.{state,target}
//! <work_dir>/meta/slaves/latest -> <agent>
//! <work_dir>/meta/slaves/<agent>/slave.info, drain.config, updates.journal.<n>
//!     frameworks/<framework>/framework.{info,pid}
//!         executors/<executor>/executor.info, executor_generated_for_command_task
//!             runs/latest -> <container>
//!             runs/<container>/{http.marker, executor.shutdown, executor.sentinel, pids/forked.pid}
//!                 tasks/<task>/{task.info, task.updates}
//! ```
//!
//! Pure: it makes names and touches nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesos::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};

/// The log of a task's status updates, and what its place says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpdatesPath(Arc<Path>);

/// Something that says whose updates a log has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A file.
    File(PathBuf),
    /// A link.
    Link(PathBuf),
}

impl Owner {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Owner::File(path) | Owner::Link(path) => path,
        }
    }
}

impl From<PathBuf> for UpdatesPath {
    fn from(path: PathBuf) -> UpdatesPath {
        UpdatesPath(path.into())
    }
}

impl UpdatesPath {
    /// The log itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory of the task.
    pub fn task(&self) -> &Path {
        self.above(1)
    }

    /// The description of the task.
    pub fn task_info(&self) -> PathBuf {
        self.task().join("task.info")
    }

    /// The directory of the framework.
    pub fn framework(&self) -> &Path {
        self.above(7)
    }

    /// The directory of the agent.
    pub fn agent(&self) -> &Path {
        self.above(9)
    }

    fn above(&self, levels: usize) -> &Path {
        self.0.ancestors().nth(levels).unwrap_or(Path::new("/"))
    }

    /// What an agent must find to know which task it is, and whose.
    pub fn owners(&self) -> [Owner; 6] {
        let (runs, executor) = (self.above(4), self.above(5));
        [
            Owner::File(self.task_info()),
            Owner::Link(runs.join("latest")),
            Owner::File(executor.join("executor.info")),
            Owner::File(executor.join("executor_generated_for_command_task")),
            Owner::File(self.framework().join("framework.info")),
            Owner::File(self.framework().join("framework.pid")),
        ]
    }
}

const JOURNAL: &str = "updates.journal.";

/// A segment of the journal of status updates, in the directory of an agent.
pub fn journal_segment(agent: &Path, number: u64) -> PathBuf {
    agent.join(format!("{JOURNAL}{number}"))
}

/// The number of a segment of the journal; `None` for any other file.
pub fn journal_number(name: &str) -> Option<u64> {
    name.strip_prefix(JOURNAL)?.parse().ok()
}

/// The names below one work directory.
#[derive(Clone, Debug)]
pub struct Paths {
    work: PathBuf,
    meta: PathBuf,
}

/// One run of one executor: what identifies its directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The agent that runs it.
    pub agent: AgentId,
    /// Whose executor it is.
    pub framework: FrameworkId,
    /// Which executor.
    pub executor: ExecutorId,
    /// Its container.
    pub container: ContainerId,
}

impl Paths {
    /// Names below `work_dir`.
    pub fn new(work_dir: &Path) -> Paths {
        Paths { work: work_dir.to_path_buf(), meta: work_dir.join("meta") }
    }

    /// The work directory.
    pub fn work_dir(&self) -> &Path {
        &self.work
    }

    /// What survives a restart.
    pub fn meta_dir(&self) -> &Path {
        &self.meta
    }

    /// The sandboxes of all agent ids that this directory has seen.
    pub fn slaves(&self) -> PathBuf {
        self.work.join("slaves")
    }

    /// The boot id of the host when the agent last recovered.
    pub fn boot_id(&self) -> PathBuf {
        self.meta.join("boot_id")
    }

    /// The agent's reservations and volumes, and operations that somebody must still hear of.
    pub fn resource_state(&self) -> PathBuf {
        self.meta.join("resources").join("resources_and_operations.state")
    }

    /// What is about to take its place.
    pub fn resource_state_target(&self) -> PathBuf {
        self.meta.join("resources").join("resources_and_operations.target")
    }

    /// The link to the agent id in use.
    pub fn latest_agent(&self) -> PathBuf {
        self.meta.join("slaves").join("latest")
    }

    /// All that is kept of one agent id.
    pub fn agent_meta(&self, agent: &AgentId) -> PathBuf {
        self.meta.join("slaves").join(agent.as_str())
    }

    /// The `AgentInfo` it registered with.
    pub fn agent_info(&self, agent: &AgentId) -> PathBuf {
        self.agent_meta(agent).join("slave.info")
    }

    /// How it is drained, while it is.
    pub fn drain_config(&self, agent: &AgentId) -> PathBuf {
        self.agent_meta(agent).join("drain.config")
    }

    /// A framework's sandboxes.
    pub fn framework_work(&self, agent: &AgentId, framework: &FrameworkId) -> PathBuf {
        framework_of(&self.slaves().join(agent.as_str()), framework)
    }

    /// What is kept of a framework.
    pub fn framework_meta(&self, agent: &AgentId, framework: &FrameworkId) -> PathBuf {
        framework_of(&self.agent_meta(agent), framework)
    }

    /// Its `FrameworkInfo`.
    pub fn framework_info(&self, agent: &AgentId, framework: &FrameworkId) -> PathBuf {
        self.framework_meta(agent, framework).join("framework.info")
    }

    /// Its scheduler's pid (`@0.0.0.0:0` for one that speaks HTTP).
    pub fn framework_pid(&self, agent: &AgentId, framework: &FrameworkId) -> PathBuf {
        self.framework_meta(agent, framework).join("framework.pid")
    }

    /// An executor's sandboxes.
    pub fn executor_work(&self, agent: &AgentId, framework: &FrameworkId, executor: &ExecutorId) -> PathBuf {
        executor_of(&self.framework_work(agent, framework), executor)
    }

    /// What is kept of an executor.
    pub fn executor_meta(&self, agent: &AgentId, framework: &FrameworkId, executor: &ExecutorId) -> PathBuf {
        executor_of(&self.framework_meta(agent, framework), executor)
    }

    /// Its `ExecutorInfo`.
    pub fn executor_info(&self, agent: &AgentId, framework: &FrameworkId, executor: &ExecutorId) -> PathBuf {
        self.executor_meta(agent, framework, executor).join("executor.info")
    }

    /// "1" if the agent made it for a command task, "0" otherwise.
    pub fn generated_for_command_task(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) -> PathBuf {
        self.executor_meta(agent, framework, executor).join("executor_generated_for_command_task")
    }

    /// The sandbox of a run.
    pub fn sandbox(&self, run: &Run) -> PathBuf {
        self.executor_work(&run.agent, &run.framework, &run.executor)
            .join("runs")
            .join(run.container.as_str())
    }

    /// The link to the sandbox of the latest run.
    pub fn latest_sandbox(&self, run: &Run) -> PathBuf {
        self.executor_work(&run.agent, &run.framework, &run.executor).join("runs").join("latest")
    }

    /// The path by which everybody may ask for the sandbox of the latest run (no work directory
    /// and no agent id in it).
    pub fn virtual_sandbox(framework: &FrameworkId, executor: &ExecutorId) -> PathBuf {
        executor_of(&framework_of(Path::new("/"), framework), executor).join("runs").join("latest")
    }

    /// What is kept of a run.
    pub fn run_meta(&self, run: &Run) -> PathBuf {
        self.executor_meta(&run.agent, &run.framework, &run.executor)
            .join("runs")
            .join(run.container.as_str())
    }

    /// The link to the latest run.
    pub fn latest_run_meta(&self, run: &Run) -> PathBuf {
        self.executor_meta(&run.agent, &run.framework, &run.executor).join("runs").join("latest")
    }

    /// Marks a run that has ended with all its updates acknowledged.
    pub fn sentinel(&self, run: &Run) -> PathBuf {
        self.run_meta(run).join("executor.sentinel")
    }

    /// Marks an executor that speaks HTTP, and has subscribed.
    pub fn http_marker(&self, run: &Run) -> PathBuf {
        self.run_meta(run).join("http.marker")
    }

    /// Marks an executor that was told to end.
    pub fn shutdown_marker(&self, run: &Run) -> PathBuf {
        self.run_meta(run).join("executor.shutdown")
    }

    /// The pid of the container.
    pub fn forked_pid(&self, run: &Run) -> PathBuf {
        self.run_meta(run).join("pids").join("forked.pid")
    }

    /// What is kept of a task.
    pub fn task(&self, run: &Run, task: &TaskId) -> PathBuf {
        self.run_meta(run).join("tasks").join(task.as_str())
    }

    /// The `Task`.
    pub fn task_info(&self, run: &Run, task: &TaskId) -> PathBuf {
        self.task(run, task).join("task.info")
    }

    /// Its status updates and their acknowledgements, in order.
    pub fn task_updates(&self, run: &Run, task: &TaskId) -> UpdatesPath {
        UpdatesPath::from(self.task(run, task).join("task.updates"))
    }
}

fn framework_of(root: &Path, framework: &FrameworkId) -> PathBuf {
    root.join("frameworks").join(framework.as_str())
}

fn executor_of(framework: &Path, executor: &ExecutorId) -> PathBuf {
    framework.join("executors").join(executor.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            agent: AgentId::from("S0"),
            framework: FrameworkId::from("F"),
            executor: ExecutorId::from("e"),
            container: ContainerId::new("c"),
        }
    }

    /// Upstream: `PathsTest.CreateExecutorDirectory`.
    #[test]
    fn sandboxes_are_where_upstream_has_them() {
        let paths = Paths::new(Path::new("/w"));
        assert_eq!(paths.sandbox(&run()), Path::new("/w/slaves/S0/frameworks/F/executors/e/runs/c"));
        assert_eq!(
            paths.latest_sandbox(&run()),
            Path::new("/w/slaves/S0/frameworks/F/executors/e/runs/latest")
        );
        assert_eq!(
            Paths::virtual_sandbox(&run().framework, &run().executor),
            Path::new("/frameworks/F/executors/e/runs/latest")
        );
    }

    /// Upstream: `Meta`, `BootId`, `Slave`, `Framework`, `Executor`, `Task` of `PathsTest`. docs/architecture.md shows them.
    #[test]
    fn checkpoints_are_where_upstream_has_them() {
        let (paths, run, task) = (Paths::new(Path::new("/w")), run(), TaskId::from("t"));
        let (agent, framework, executor) = (&run.agent, &run.framework, &run.executor);
        let generated = paths.generated_for_command_task(agent, framework, executor);
        for (path, expected) in [
            (paths.boot_id(), "/w/meta/boot_id"),
            (paths.resource_state(), "/w/meta/resources/resources_and_operations.state"),
            (paths.resource_state_target(), "/w/meta/resources/resources_and_operations.target"),
            (paths.latest_agent(), "/w/meta/slaves/latest"),
            (paths.agent_meta(agent), "/w/meta/slaves/S0"),
            (paths.agent_info(agent), "/w/meta/slaves/S0/slave.info"),
            (paths.drain_config(agent), "/w/meta/slaves/S0/drain.config"),
            (paths.framework_info(agent, framework), "/w/meta/slaves/S0/frameworks/F/framework.info"),
            (paths.framework_pid(agent, framework), "/w/meta/slaves/S0/frameworks/F/framework.pid"),
        ] {
            assert_eq!(path, Path::new(expected));
        }
        let below = Path::new("/w/meta/slaves/S0/frameworks/F/executors/e");
        for (path, expected) in [
            (paths.executor_info(agent, framework, executor), "executor.info"),
            (generated, "executor_generated_for_command_task"),
            (paths.latest_run_meta(&run), "runs/latest"),
            (paths.run_meta(&run), "runs/c"),
            (paths.http_marker(&run), "runs/c/http.marker"),
            (paths.sentinel(&run), "runs/c/executor.sentinel"),
            (paths.forked_pid(&run), "runs/c/pids/forked.pid"),
            (paths.task_info(&run, &task), "runs/c/tasks/t/task.info"),
            (paths.task_updates(&run, &task).path().to_path_buf(), "runs/c/tasks/t/task.updates"),
        ] {
            assert_eq!(path, below.join(expected));
        }
    }

    #[test]
    fn what_says_whose_updates_there_are_is_found_from_the_updates() {
        let (paths, run) = (Paths::new(Path::new("/w")), run());
        let task = TaskId::from("t");
        let updates = paths.task_updates(&run, &task);
        assert_eq!(updates.task(), paths.task(&run, &task));
        assert_eq!(updates.framework(), paths.framework_meta(&run.agent, &run.framework));
        assert_eq!(updates.agent(), paths.agent_meta(&run.agent));
        let expected = [
            paths.task_info(&run, &task),
            paths.latest_run_meta(&run),
            paths.executor_info(&run.agent, &run.framework, &run.executor),
            paths.generated_for_command_task(&run.agent, &run.framework, &run.executor),
            paths.framework_info(&run.agent, &run.framework),
            paths.framework_pid(&run.agent, &run.framework),
        ];
        assert_eq!(updates.owners().map(|owner| owner.path().to_path_buf()), expected);
    }

    #[test]
    fn segments_of_the_journal_have_numbers() {
        let path = journal_segment(&Paths::new(Path::new("/w")).agent_meta(&run().agent), 7);
        assert_eq!(path, Path::new("/w/meta/slaves/S0/updates.journal.7"));
        assert_eq!(journal_number("updates.journal.7"), Some(7));
        assert_eq!(journal_number("updates.journal.tmp"), None);
        assert_eq!(journal_number("slave.info"), None);
    }
}
