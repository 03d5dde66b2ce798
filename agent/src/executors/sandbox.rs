//! The directory that an executor runs in: made, given to its user, shown under `/files`, and
//! handed to the garbage collector in the end.
//!
//! Upstream: `paths::createExecutorDirectory`, `Framework::addExecutor`, `Slave::removeExecutor`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use libprocess::disk::{Disk, Durability};
use mesos::{ExecutorId, FrameworkId, TaskId};

use crate::agent::Agent;
use crate::housekeeping::Used;
use crate::recovery::checkpoint::{self, DiskError};
use crate::recovery::paths::{Paths, Run};
use crate::users::{self, UserError};

/// Of a sandbox: nobody but its user and group may look inside (upstream: `slave/paths.cpp`, MESOS-8332).
const MODE: u32 = 0o750;

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Its user does not exist.
    #[error("cannot give the sandbox to user '{user}': {reason}")]
    User {
        /// Who.
        user: String,
        /// Why not.
        reason: String,
    },
}

/// Makes a sandbox and the link `latest` to it. It belongs to `user`, if that is given and not the
/// user that runs the agent. One that cannot be given away is removed again.
///
/// # Errors
/// [`SandboxError`].
pub fn create(
    disk: &dyn Disk,
    directory: &Path,
    latest: &Path,
    user: Option<&str>,
) -> Result<(), SandboxError> {
    checkpoint::make_directory(disk, directory, Durability::Process)?;
    if let Some(name) = directory.file_name() {
        checkpoint::replace_link(disk, latest, Path::new(name), Durability::Process)?;
    }
    disk.set_mode(directory, MODE).map_err(DiskError::writing(directory))?;
    let Some(user) = user else { return Ok(()) };
    give(disk, directory, user).map_err(|reason| {
        // It is empty; that it stays is no harm.
        let _ = disk.remove(directory);
        SandboxError::User { user: user.to_owned(), reason }
    })
}

/// Gives a directory to a user, unless that is who runs the agent.
pub(crate) fn give(disk: &dyn Disk, directory: &Path, user: &str) -> Result<(), String> {
    let found = users::find(user).map_err(|error| error.to_string())?;
    if found.uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    disk.set_owner(directory, found.uid, found.gid).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied if !rustix::process::geteuid().is_root() => {
            UserError::NotRoot(user.to_owned()).to_string()
        }
        _ => error.to_string(),
    })
}

impl Agent {
    /// Shows a sandbox under its real path, under the `latest` one, and under one that has neither
    /// the work directory nor the agent's id in it.
    pub(crate) fn attach_sandbox(&self, run: &Run, directory: &Path) {
        let Some(files) = &self.colleagues.files else { return };
        for path in self.sandbox_paths(run, directory) {
            files.tell(libprocess::files::Attach {
                virtual_path: path.to_string_lossy().into_owned(),
                path: directory.to_path_buf(),
            });
        }
    }

    fn sandbox_paths(&self, run: &Run, directory: &Path) -> [PathBuf; 3] {
        [
            directory.to_path_buf(),
            self.paths.latest_sandbox(run),
            Paths::virtual_sandbox(&run.framework, &run.executor),
        ]
    }

    /// The directories of an executor's run, and of the executor itself if no task waits for it, may
    /// be deleted.
    pub(crate) fn collect_executor(&self, run: &Run, checkpoint: bool, whole: bool, used: Used) {
        let Some(gc) = &self.colleagues.gc else { return };
        let (agent, framework, executor) = (&run.agent, &run.framework, &run.executor);
        let sandbox = self.paths.sandbox(run);
        let shown = vec![sandbox.clone()];
        gc.schedule(sandbox, used, shown);
        if whole {
            let shown = vec![self.paths.latest_sandbox(run), Paths::virtual_sandbox(framework, executor)];
            gc.schedule(self.paths.executor_work(agent, framework, executor), used, shown);
        }
        if checkpoint {
            gc.schedule(self.paths.run_meta(run), used, Vec::new());
            if whole {
                gc.schedule(self.paths.executor_meta(agent, framework, executor), used, Vec::new());
            }
        }
    }

    /// What was kept of a completed task may be deleted.
    pub(crate) fn collect_task(&self, framework_id: &FrameworkId, executor_id: &ExecutorId, task: &TaskId) {
        let framework = self.frameworks.get(framework_id);
        let executor = framework.and_then(|framework| framework.executors.get(executor_id));
        if let Some(executor) = executor.filter(|executor| executor.checkpoint) {
            self.collect_task_of(&self.run_of(framework_id, executor), task, Used::UntilNow);
        }
    }

    /// The same, of the task of a run.
    pub(crate) fn collect_task_of(&self, run: &Run, task: &TaskId, used: Used) {
        if let Some(gc) = &self.colleagues.gc {
            gc.schedule(self.paths.task(run, task), used, Vec::new());
        }
    }

    /// The directories of a framework may be deleted.
    pub(crate) fn collect_framework(&self, framework_id: &FrameworkId, checkpoint: bool) {
        let Some(gc) = &self.colleagues.gc else { return };
        let agent = self.agent_id();
        gc.schedule(self.paths.framework_work(&agent, framework_id), Used::UntilNow, Vec::new());
        if checkpoint {
            gc.schedule(self.paths.framework_meta(&agent, framework_id), Used::UntilNow, Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libprocess::disk::HostDisk;
    use std::os::unix::fs::PermissionsExt;

    /// Upstream: `PathsTest.CreateExecutorDirectory`.
    #[test]
    fn a_sandbox_is_made_with_a_link_to_the_latest() {
        let directory = tempfile::tempdir().unwrap();
        let runs = directory.path().join("executors/e/runs");
        create(&HostDisk, &runs.join("one"), &runs.join("latest"), None).unwrap();
        create(&HostDisk, &runs.join("two"), &runs.join("latest"), None).unwrap();
        assert_eq!(
            std::fs::canonicalize(runs.join("latest")).unwrap(),
            runs.join("two").canonicalize().unwrap()
        );
        assert_eq!(std::fs::metadata(runs.join("two")).unwrap().permissions().mode() & 0o777, 0o750);
    }

    #[test]
    fn who_is_not_root_is_told_what_can_be_done() {
        if rustix::process::geteuid().is_root() {
            println!("skipped: root can give a sandbox to everybody");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let error = create(&HostDisk, &path("one"), &path("latest"), Some("root")).unwrap_err().to_string();
        assert!(error.contains("--no-switch_user"), "{error}");
    }

    #[test]
    fn a_user_that_does_not_exist_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = create(
            &HostDisk,
            &directory.path().join("one"),
            &directory.path().join("latest"),
            Some("no-such-user"),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("no-such-user"), "{error}");
        assert!(!directory.path().join("one").exists());
    }
}
