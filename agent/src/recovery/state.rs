//! Reads back what an agent kept of itself: its id, the frameworks that checkpoint, their executors,
//! tasks and status updates.
//!
//! Blocking; knows no actor. What is missing is left out with a warning (the agent died before it
//! was written); what cannot be read stops a strict agent, and is counted by another. What cannot be written stops both:
//! it is not lost yet. After a boot, torn files are what is to be expected, and removed. Neither goes for reservations and
//! volumes: see [`ReadError::Resources`]. Upstream: `slave/state.cpp`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use libprocess::Pid;
use libprocess::disk::Disk;
use mesos::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId, v1};

use super::checkpoint::{DiskError, list, read_message, read_text, sync_names};
use super::paths::{Paths, Run};
use crate::operations::kept::{self, KeptResources};
use crate::status_updates::journal::{self, Redone};
use crate::status_updates::log::{self, Replay};

/// All that was kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// Its reservations and volumes. They are the host's, whatever the agent's id.
    pub resources: KeptResources,
    /// The agent, unless it never registered (or its `latest` link was removed).
    pub agent: Option<KeptAgent>,
    /// Whether the host has booted since: then no container of it runs.
    pub rebooted: bool,
    /// What could not be read, in an agent that is not strict.
    pub errors: u64,
}

/// An agent.
#[derive(Debug)]
pub struct KeptAgent {
    /// Its id.
    pub id: AgentId,
    /// What it registered with.
    pub info: v1::AgentInfo,
    /// How it was being drained, if it was.
    pub drain: Option<v1::DrainConfig>,
    /// Its frameworks.
    pub frameworks: Vec<KeptFramework>,
}

/// A framework.
#[derive(Debug)]
pub struct KeptFramework {
    /// Its id.
    pub id: FrameworkId,
    /// Its description.
    pub info: v1::FrameworkInfo,
    /// Its scheduler, if that is an actor.
    pub pid: Option<Pid>,
    /// Its executors.
    pub executors: Vec<KeptExecutor>,
}

/// An executor.
#[derive(Debug)]
pub struct KeptExecutor {
    /// Its description.
    pub info: v1::ExecutorInfo,
    /// Whether the agent made it for a command task.
    pub generated: bool,
    /// Its latest run.
    pub run: KeptRun,
    /// Its earlier runs.
    pub earlier: Vec<ContainerId>,
}

/// A run of an executor.
#[derive(Debug)]
pub struct KeptRun {
    /// Its container.
    pub container: ContainerId,
    /// Whether it has ended, with all updates acknowledged.
    pub completed: bool,
    /// Whether it was told to end.
    pub told_to_end: bool,
    /// The pid of its container.
    pub forked_pid: Option<u32>,
    /// Its tasks.
    pub tasks: Vec<KeptTask>,
    /// Tasks of which nothing is left but what the journal has.
    pub deleted_tasks: Vec<TaskId>,
}

/// A task.
#[derive(Debug)]
pub struct KeptTask {
    /// The task as it was launched.
    pub task: v1::Task,
    /// Its updates.
    pub replay: Replay,
    /// Whether the journal would bring it back if it were deleted.
    pub in_journal: bool,
}

/// What keeps an agent from starting where the last one was.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Something of the agent, of executors or of tasks; only in a strict agent, unless it could not be written.
    #[error("{0}")]
    Agent(#[from] DiskError),
    /// Whether the host has booted, in any agent. It is the host's as well, and read whatever the agent's id.
    #[error("{0}")]
    Boot(DiskError),
    /// Its reservations and volumes, in any agent and also after a boot. They are synced before anybody is promised
    /// anything, and an agent that left them out would offer what is reserved to everybody, and the disk of volumes that
    /// are full. (Upstream starts without them if it is not strict.)
    #[error("{0}")]
    Resources(DiskError),
}

/// Reads everything below a work directory.
///
/// # Errors
/// In a strict agent, the first thing that cannot be read; in any agent, that its reservations and volumes cannot be,
/// or whether the host has booted.
pub fn read(disk: &dyn Disk, paths: &Paths, strict: bool) -> Result<Kept, ReadError> {
    let mut reader = Reader { disk, paths, strict, kept: Kept::default(), journal: Redone::default() };
    let earlier = read_text(disk, &paths.boot_id()).map_err(ReadError::Boot)?;
    // No file: no agent has recovered here. An empty one counts as another boot's, as in upstream: an agent that did not
    // sync it (upstream's does not) has left it in a power failure.
    reader.kept.rebooted = match (earlier, disk.boot_id()) {
        (Some(earlier), Some(boot_id)) => earlier.trim() != boot_id.trim(),
        _ => false,
    };
    reader.kept.resources = kept::read(disk, paths).map_err(ReadError::Resources)?.unwrap_or_default();
    reader.kept.agent = reader.agent()?;
    Ok(reader.kept)
}

struct Reader<'a> {
    disk: &'a dyn Disk,
    paths: &'a Paths,
    strict: bool,
    kept: Kept,
    /// What the journal knows of the agent's logs.
    journal: Redone,
}

impl Reader<'_> {
    /// What a file says; nothing if it cannot be read and that is tolerated.
    fn tolerate<T>(&mut self, read: Result<Option<T>, DiskError>) -> Result<Option<T>, DiskError> {
        match read {
            // After a power failure, what was not synced may be there in parts: it was needed by nobody any more. It is
            // removed, or it would stop the next start, for which nothing has booted (found by simulation).
            Err(DiskError::Corrupt { path, reason }) if self.kept.rebooted => {
                tracing::warn!(path = %path.display(), %reason, "removing what the host lost when it went down");
                self.disk.remove(&path).map_err(DiskError::writing(&path))?;
                Ok(None)
            }
            Err(error) if !self.strict && !error.is_of_writing() => {
                tracing::warn!(%error, "leaving out what cannot be read");
                self.kept.errors += 1;
                Ok(None)
            }
            read => read,
        }
    }

    /// The names in a directory; none if it cannot be read and that is tolerated.
    fn names(&mut self, directory: &Path) -> Result<Vec<String>, DiskError> {
        let read = list(self.disk, directory);
        Ok(self.tolerate(read.map(Some))?.unwrap_or_default())
    }

    fn message<M: mesos::Message>(&mut self, path: &Path) -> Result<Option<M>, DiskError> {
        let read = match read_message(self.disk, path) {
            // Somebody has put a file where directories are: nothing was kept in it. (Upstream passes it over, too.)
            Err(DiskError::Read { source, .. }) if source.kind() == ErrorKind::NotADirectory => Ok(None),
            read => read,
        };
        let message = self.tolerate(read)?;
        if message.is_none() {
            tracing::warn!(path = %path.display(), "a checkpoint is missing or empty");
        }
        Ok(message)
    }

    /// The file that says whose its directory is. If a power failure has taken it, nothing in the directory was promised to
    /// anybody, and the directory is removed: who owns it next would be taken for the owner of what is left in it, or be
    /// stopped by it (found by simulation). A disk that does not read it has not lost it.
    fn owner<M: mesos::Message>(&mut self, path: &Path) -> Result<Option<M>, DiskError> {
        let errors = self.kept.errors;
        let info = self.message(path)?;
        let could_be_read = self.kept.errors == errors;
        if info.is_none()
            && self.kept.rebooted
            && could_be_read
            && let Some(directory) = path.parent()
        {
            self.disk.remove(directory).map_err(DiskError::writing(directory))?;
            sync_names(self.disk, directory, 1)?;
        }
        Ok(info)
    }

    fn agent(&mut self) -> Result<Option<KeptAgent>, DiskError> {
        let Some(id) = link_name(self.disk, &self.paths.latest_agent())? else { return Ok(None) };
        let id = AgentId::from(id);
        let path = self.paths.agent_info(&id);
        let Some(info) = self.message::<v1::AgentInfo>(&path)? else { return Ok(None) };
        self.redo(&id)?;
        let read = read_message(self.disk, &self.paths.drain_config(&id));
        let drain = self.tolerate(read)?;
        let mut frameworks = Vec::new();
        for name in self.names(&self.paths.agent_meta(&id).join("frameworks"))? {
            frameworks.extend(self.framework(&id, FrameworkId::from(name))?);
        }
        Ok(Some(KeptAgent { id, info, drain, frameworks }))
    }

    /// What the journal of status updates has, the logs of tasks must have before they are read.
    fn redo(&mut self, id: &AgentId) -> Result<(), DiskError> {
        let (strict, errors) = (self.strict, &mut self.kept.errors);
        let directory = self.paths.agent_meta(id);
        self.journal = journal::redo(self.disk, &directory, self.kept.rebooted, &mut |error| {
            // What a full disk does not take was promised, and the journal still has it.
            if strict || error.is_of_writing() {
                return Err(error);
            }
            tracing::warn!(%error, "leaving out status updates that cannot be read");
            *errors += 1;
            Ok(())
        })?;
        Ok(())
    }

    fn framework(&mut self, agent: &AgentId, id: FrameworkId) -> Result<Option<KeptFramework>, DiskError> {
        let path = self.paths.framework_info(agent, &id);
        let Some(info) = self.owner::<v1::FrameworkInfo>(&path)? else { return Ok(None) };
        let read = read_text(self.disk, &self.paths.framework_pid(agent, &id));
        let pid = self.tolerate(read)?.and_then(|pid| pid.trim().parse::<Pid>().ok());
        let mut executors = Vec::new();
        for name in self.names(&self.paths.framework_meta(agent, &id).join("executors"))? {
            executors.extend(self.executor(agent, &id, ExecutorId::from(name))?);
        }
        let pid = pid.filter(|pid| !pid.is_nobody());
        Ok(Some(KeptFramework { id, info, pid, executors }))
    }

    fn executor(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        id: ExecutorId,
    ) -> Result<Option<KeptExecutor>, DiskError> {
        let path = self.paths.executor_info(agent, framework, &id);
        let Some(info) = self.owner::<v1::ExecutorInfo>(&path)? else { return Ok(None) };
        let read = read_text(self.disk, &self.paths.generated_for_command_task(agent, framework, &id));
        let generated = self.tolerate(read)?.is_some_and(|text| text.trim() == "1");
        let runs = self.paths.executor_meta(agent, framework, &id).join("runs");
        let read = link_name(self.disk, &runs.join("latest"));
        let Some(latest) = self.tolerate(read)? else {
            tracing::warn!(executor_id = %id, "no run of the executor was kept");
            return Ok(None);
        };
        let container = ContainerId::new(latest);
        let earlier = self
            .names(&runs)?
            .into_iter()
            .filter(|name| name != "latest" && name != container.as_str())
            .map(ContainerId::new)
            .collect();
        let run = Run { agent: agent.clone(), framework: framework.clone(), executor: id, container };
        let run = self.run(run)?;
        Ok(Some(KeptExecutor { info, generated, run, earlier }))
    }

    fn run(&mut self, run: Run) -> Result<KeptRun, DiskError> {
        // Nothing is left of a run whose deletion the last agent had begun.
        let deleted = !self.disk.exists(&self.paths.run_meta(&run));
        let completed = deleted || self.disk.exists(&self.paths.sentinel(&run));
        let told_to_end = self.disk.exists(&self.paths.shutdown_marker(&run));
        let mut tasks = Vec::new();
        let directory = self.paths.run_meta(&run).join("tasks");
        for name in self.names(&directory)? {
            tasks.extend(self.task(&run, &TaskId::from(name))?);
        }
        let known = self.journal.deleted.range(directory.clone()..);
        let of_run = known.take_while(|log| log.starts_with(&directory));
        let id = |log: &PathBuf| Some(TaskId::from(log.parent()?.file_name()?.to_str()?));
        let deleted_tasks = of_run.filter_map(id).collect();
        let read = read_text(self.disk, &self.paths.forked_pid(&run));
        let pid = self.tolerate(read)?.and_then(|pid| pid.trim().parse().ok());
        // After a boot, the number may belong to anybody.
        let forked_pid = if self.kept.rebooted { None } else { pid };
        Ok(KeptRun { container: run.container, completed, told_to_end, forked_pid, tasks, deleted_tasks })
    }

    fn task(&mut self, run: &Run, id: &TaskId) -> Result<Option<KeptTask>, DiskError> {
        let Some(task) = self.message::<v1::Task>(&self.paths.task_info(run, id))? else {
            return Ok(None);
        };
        let updates = self.paths.task_updates(run, id);
        let replay = if self.disk.exists(updates.path()) {
            let read = log::read_back(self.disk, updates.path()).map(Some);
            self.tolerate(read)?.unwrap_or_default()
        } else {
            Replay::default()
        };
        let in_journal = self.journal.needed.contains(updates.path());
        Ok(Some(KeptTask { task, replay, in_journal }))
    }
}

/// The last part of where a link points; `None` if there is no link.
fn link_name(disk: &dyn Disk, link: &Path) -> Result<Option<String>, DiskError> {
    match disk.read_link(link) {
        Ok(target) => Ok(target.file_name().and_then(|name| name.to_str()).map(str::to_owned)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DiskError::reading(link)(error)),
    }
}

/// A host on whose disk an agent has kept something.
#[cfg(test)]
pub(crate) mod testing {
    use std::time::SystemTime;

    use libprocess::simulation::{Mount, SimulatedDisk};

    use super::*;
    use crate::recovery::checkpoint::{Durability, make_directory, replace_link, write_message, write_text};
    use crate::tasks::status::testing::task_info;

    pub(crate) struct Host {
        pub(crate) disk: SimulatedDisk,
        pub(crate) mount: Mount,
        pub(crate) paths: Paths,
        pub(crate) run: Run,
    }

    impl Host {
        /// Nothing is on its disk. The seed decides what power failures take.
        pub(crate) fn new(seed: u64) -> Host {
            let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
            let run = Run {
                agent: AgentId::from("S0"),
                framework: FrameworkId::from("F"),
                executor: ExecutorId::from("e"),
                container: ContainerId::new("c"),
            };
            Host { mount: disk.mount(), disk, paths: Paths::new(Path::new("/work")), run }
        }

        /// The host of an agent with one framework, one executor, one task, all of which were written like this. The
        /// agent itself is on the disk.
        pub(crate) fn with_task(seed: u64, durability: Durability) -> Host {
            let host = Host::new(seed);
            let (disk, paths, run) = (&host.mount, &host.paths, &host.run);
            let info = v1::AgentInfo { hostname: "host".into(), ..v1::AgentInfo::default() };
            write_message(disk, &paths.agent_info(&run.agent), &info, Durability::Host).unwrap();
            replace_link(disk, &paths.latest_agent(), Path::new("S0"), Durability::Host).unwrap();
            write_text(disk, &paths.boot_id(), "boot-1", Durability::Host).unwrap();
            host.keep_owners(durability);
            host
        }

        /// The framework, the executor and the task are written like this, as they were.
        pub(crate) fn keep_owners(&self, durability: Durability) {
            let (disk, paths, run) = (&self.mount, &self.paths, &self.run);
            let framework = v1::FrameworkInfo { name: "f".into(), user: "u".into(), ..Default::default() };
            let path = paths.framework_info(&run.agent, &run.framework);
            write_message(disk, &path, &framework, durability).unwrap();
            let path = paths.framework_pid(&run.agent, &run.framework);
            write_text(disk, &path, "@0.0.0.0:0", durability).unwrap();
            let executor = v1::ExecutorInfo { executor_id: run.executor.to_proto(), ..Default::default() };
            let path = paths.executor_info(&run.agent, &run.framework, &run.executor);
            write_message(disk, &path, &executor, durability).unwrap();
            let path = paths.generated_for_command_task(&run.agent, &run.framework, &run.executor);
            write_text(disk, &path, "1", durability).unwrap();
            make_directory(disk, &paths.run_meta(run), durability).unwrap();
            replace_link(disk, &paths.latest_run_meta(run), Path::new("c"), durability).unwrap();
            write_text(disk, &paths.forked_pid(run), "42", durability).unwrap();
            let task =
                mesos::tasks::new_task(&task_info("t", "cpus:1"), v1::TaskState::TaskStaging, &run.framework);
            let path = paths.task_info(run, &TaskId::from("t"));
            write_message(disk, &path, &task, durability).unwrap();
        }

        pub(crate) fn read(&self, strict: bool) -> Result<Kept, ReadError> {
            read(&self.mount, &self.paths, strict)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Host;
    use super::*;
    use crate::recovery::checkpoint::{Durability, touch};

    fn host() -> Host {
        Host::with_task(1, Durability::Host)
    }

    #[test]
    fn an_agent_that_never_registered_has_kept_nothing() {
        let kept = Host::new(1).read(true).unwrap();
        assert!(kept.agent.is_none() && !kept.rebooted);
    }

    /// Upstream: `SlaveRecoveryTest.RecoverSlaveState`.
    #[test]
    fn an_agent_finds_its_executors_and_tasks_again() {
        let host = host();
        let kept = host.read(true).unwrap();
        assert!(!kept.rebooted);
        let agent = kept.agent.unwrap();
        assert_eq!(agent.id, host.run.agent);
        let framework = &agent.frameworks[0];
        assert_eq!((framework.id.as_str(), framework.pid.is_none()), ("F", true));
        let executor = &framework.executors[0];
        assert!(executor.generated && !executor.run.completed);
        assert_eq!(executor.run.forked_pid, Some(42));
        assert_eq!(executor.run.tasks[0].task.name, "t");
    }

    #[test]
    fn after_a_boot_no_pid_is_believed() {
        let host = host();
        host.disk.lose_power();
        let kept = host.read(true).unwrap();
        assert!(kept.rebooted);
        assert_eq!(kept.agent.unwrap().frameworks[0].executors[0].run.forked_pid, None);
    }

    /// Only a host that went down leaves an empty boot id: no agent writes one.
    #[test]
    fn an_empty_boot_id_is_another_boots_and_none_is_nobodys() {
        let host = host();
        host.mount.write(&host.paths.boot_id(), b"", Durability::Host).unwrap();
        let kept = host.read(true).unwrap();
        assert!(kept.rebooted);
        assert_eq!(kept.agent.unwrap().frameworks[0].executors[0].run.forked_pid, None);
        host.mount.remove(&host.paths.boot_id()).unwrap();
        assert!(!host.read(true).unwrap().rebooted);
    }

    #[test]
    fn a_completed_run_is_recognised() {
        let host = host();
        touch(&host.mount, &host.paths.sentinel(&host.run)).unwrap();
        assert!(host.read(true).unwrap().agent.unwrap().frameworks[0].executors[0].run.completed);
    }

    /// Upstream: `SlaveRecoveryTest.ExecutorDanglingLatestSymlink`.
    #[test]
    fn an_executor_whose_latest_run_was_deleted_is_over() {
        let host = host();
        host.mount.remove(&host.paths.run_meta(&host.run)).unwrap();
        let kept = host.read(true).unwrap().agent.unwrap();
        let run = &kept.frameworks[0].executors[0].run;
        assert!(run.completed && run.tasks.is_empty());
    }

    #[test]
    fn what_cannot_be_read_stops_only_a_strict_agent() {
        let host = host();
        let path = host.paths.task_info(&host.run, &TaskId::from("t"));
        host.mount.write(&path, &[9, 0, 0, 0, 1], Durability::Host).unwrap();
        let error = host.read(true).unwrap_err().to_string();
        assert!(error.contains("task.info"), "{error}");
        let kept = host.read(false).unwrap();
        assert_eq!(kept.errors, 1);
        assert!(kept.agent.unwrap().frameworks[0].executors[0].run.tasks.is_empty());
    }

    #[test]
    fn a_stray_file_among_directories_is_passed_over() {
        let host = host();
        let (paths, run) = (&host.paths, &host.run);
        for directory in [
            paths.agent_meta(&run.agent).join("frameworks"),
            paths.framework_meta(&run.agent, &run.framework).join("executors"),
            paths.run_meta(run).join("tasks"),
        ] {
            host.mount.write(&directory.join(".stray"), b"x", Durability::Host).unwrap();
        }
        let kept = host.read(true).unwrap();
        assert_eq!(kept.errors, 0);
        let frameworks = kept.agent.unwrap().frameworks;
        assert_eq!((frameworks.len(), frameworks[0].executors.len()), (1, 1));
        assert_eq!(frameworks[0].executors[0].run.tasks.len(), 1);
    }

    /// Not even with `--no-strict`, nor after a boot: what is reserved would be offered to everybody.
    /// Upstream: `OperationStatusUpdateManagerTest.NonStrictRecoveryCorruptedFile`,
    /// `OperationStatusUpdateManagerTest.StrictRecoveryCorruptedFile`.
    #[test]
    fn no_agent_starts_without_reservations_and_volumes_that_cannot_be_read() {
        let damages: [&[u8]; 3] = [&[9, 0, 0, 0, 1], &[1, 0, 0, 0, 0xff], &[]];
        for file in [Paths::resource_state, Paths::resource_state_target] {
            for bytes in damages {
                let host = host();
                let path = file(&host.paths);
                host.mount.create_directory(path.parent().unwrap(), Durability::Host).unwrap();
                host.mount.write(&path, bytes, Durability::Host).unwrap();
                host.mount.sync_directory(path.parent().unwrap()).unwrap();
                let refuses = |strict| match host.read(strict).unwrap_err() {
                    ReadError::Resources(error) => {
                        assert!(error.to_string().contains(&format!("'{}'", path.display())), "{error}")
                    }
                    other => panic!("{other}"),
                };
                refuses(false);
                host.disk.lose_power();
                refuses(true);
                refuses(false);
                assert!(host.mount.exists(&path), "whoever can repair it finds it");
            }
        }
    }

    /// It is not the agent's: a new one would not start, either.
    #[test]
    fn a_boot_id_that_cannot_be_read_is_told_from_what_a_new_agent_leaves_behind() {
        let host = host();
        host.mount.write(&host.paths.boot_id(), &[0xff], Durability::Host).unwrap();
        for strict in [true, false] {
            let error = host.read(strict).unwrap_err();
            assert!(matches!(&error, ReadError::Boot(_)), "{error}");
            assert!(error.to_string().contains("boot_id"), "{error}");
        }
    }

    /// They were needed by nobody any more, and stop nobody, however strict.
    #[test]
    fn after_a_boot_torn_files_are_left_out() {
        let with_torn = |file: fn(&Paths, &Run) -> PathBuf| {
            let host = host();
            let path = file(&host.paths, &host.run);
            // The length has arrived, what it counts has not.
            host.mount.write(&path, &[3, 0, 0, 0, 0, 0, 0], Durability::Host).unwrap();
            host.mount.sync_directory(path.parent().unwrap()).unwrap();
            assert!(host.read(true).is_err(), "{}", path.display());
            host.disk.lose_power();
            let kept = host.read(true).unwrap();
            assert_eq!(kept.errors, 0);
            // The next start has not seen a boot.
            let boot_id = host.mount.boot_id().unwrap();
            let known = host.paths.boot_id();
            crate::recovery::checkpoint::write_text(&host.mount, &known, &boot_id, Durability::Host).unwrap();
            assert!(!host.read(true).unwrap().rebooted);
            kept.agent.unwrap().frameworks
        };
        assert!(with_torn(|paths, run| paths.framework_info(&run.agent, &run.framework)).is_empty());
        let frameworks =
            with_torn(|paths, run| paths.executor_info(&run.agent, &run.framework, &run.executor));
        assert!(frameworks[0].executors.is_empty());
        let frameworks = with_torn(|paths, run| paths.task_info(run, &TaskId::from("t")));
        assert!(frameworks[0].executors[0].run.tasks.is_empty());
        let frameworks =
            with_torn(|paths, run| paths.task_updates(run, &TaskId::from("t")).path().to_path_buf());
        assert_eq!(frameworks[0].executors[0].run.tasks[0].replay, Replay::default());
    }

    /// The disk may read it another time.
    #[test]
    fn after_a_boot_nothing_is_removed_of_what_has_an_owner_that_cannot_be_read() {
        let host = host();
        let framework = host.paths.framework_info(&host.run.agent, &host.run.framework);
        host.mount.remove(&framework).unwrap();
        // A directory is no file that could be read.
        host.mount.create_directory(&framework, Durability::Host).unwrap();
        host.mount.sync_directory(framework.parent().unwrap()).unwrap();
        host.disk.lose_power();
        assert!(host.read(true).is_err());
        let kept = host.read(false).unwrap();
        assert_eq!((kept.errors, kept.agent.unwrap().frameworks.len()), (1, 0));
        assert!(host.mount.exists(&host.paths.task_info(&host.run, &TaskId::from("t"))));
    }

    /// The framework is described again by its next task, and the agent restarts without a boot.
    #[test]
    fn after_a_boot_nothing_is_left_of_what_lost_its_owner() {
        let host = host();
        let (paths, run) = (&host.paths, &host.run);
        let framework = paths.framework_info(&run.agent, &run.framework);
        let executor = paths.executor_info(&run.agent, &run.framework, &run.executor);
        for torn in [&framework, &executor] {
            host.mount.write(torn, &[3, 0, 0, 0, 0, 0, 0], Durability::Host).unwrap();
        }
        host.disk.lose_power();
        assert!(host.read(true).unwrap().agent.unwrap().frameworks.is_empty());

        let boot_id = host.mount.boot_id().unwrap();
        crate::recovery::checkpoint::write_text(&host.mount, &paths.boot_id(), &boot_id, Durability::Host)
            .unwrap();
        let info = v1::FrameworkInfo { name: "f".into(), user: "u".into(), ..Default::default() };
        crate::recovery::checkpoint::write_message(&host.mount, &framework, &info, Durability::Host).unwrap();
        let kept = host.read(true).unwrap();
        assert!(!kept.rebooted);
        let frameworks = kept.agent.unwrap().frameworks;
        assert_eq!((frameworks.len(), frameworks[0].executors.len()), (1, 0));
    }
}
