//! Finds and kills what was left in sandboxes while there was no agent.
//!
//! What a container starts has its `MESOS_DIRECTORY`, whatever session it is in. This reads `/proc`, and sends signals; of
//! containers it knows only where their sandboxes are. (Upstream's finds unknown containers by the pids below
//! `--runtime_dir`.)

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use libprocess::disk::{Disk as _, HostDisk};
use libprocess::subprocess::{ProcessEntry, kill_tree, process_table};
use rustix::process::Signal;

use super::launcher;

/// The sandboxes that an agent knows when it starts.
pub(super) struct Sandboxes<'a> {
    /// All of this agent's are below it, and nobody else's.
    pub(super) below: &'a Path,
    /// Of containers whose first process runs.
    pub(super) live: BTreeSet<&'a Path>,
    /// Of containers whose first process has ended while there was no agent.
    pub(super) gone: BTreeSet<&'a Path>,
    /// Of containers that ended while there was one.
    pub(super) over: &'a [PathBuf],
}

impl Sandboxes<'_> {
    /// Kills what was left:
    ///
    /// - In those of containers whose first process has ended, whatever that has started.
    /// - In those that this agent does not know, what works there or prints there. They are of frameworks that do not
    ///   checkpoint, of executors that could not be read, and of agents that were given up; their tasks are lost, and may run
    ///   elsewhere by now. A daemon that a task had restarted, long ago perhaps, works elsewhere, and is none of them.
    /// - In none of those that were over: an agent was there when they ended, and what a task has left runs on.
    /// - In none of those in which this agent (`own` is its pid), or what it descends from, was started: by a task that
    ///   restarts agents, say.
    pub(super) fn kill_strays(&self, own: i32) {
        let table = process_table();
        let mut beginnings: Vec<PathBuf> =
            lineage(own, &table).into_iter().flat_map(launcher::sandboxes_of).collect();
        // Not another agent's, in which all of this one may be.
        beginnings.retain(|sandbox| sandbox.starts_with(self.below));
        let others = self.over.iter().chain(&beginnings).map(PathBuf::as_path);
        let spared: BTreeSet<&Path> = self.live.iter().copied().chain(others).collect();
        let is_left = |pid: i32, sandbox: &Path| {
            // A container may have an agent of its own in it, with sandboxes below its own.
            let is_spared = sandbox.ancestors().any(|above| spared.contains(above));
            let is_unknown = || {
                let ours = sandbox.starts_with(self.below);
                ours && launcher::is_at(pid, sandbox) && launcher::sees(pid, sandbox)
            };
            !is_spared && (self.gone.contains(sandbox) || is_unknown())
        };
        for ProcessEntry { pid, .. } in table.into_iter().filter(|entry| !entry.zombie) {
            let sandboxes = launcher::sandboxes_of(pid);
            let Some(sandbox) = sandboxes.iter().find(|sandbox| is_left(pid, sandbox)) else { continue };
            let (sandbox, program) = (sandbox.display(), program_of(pid));
            tracing::info!(pid, program, %sandbox, "killing what was left in a sandbox");
            kill_tree(pid, Signal::KILL);
        }
    }
}

/// A process, and what it descends from.
fn lineage(pid: i32, table: &[ProcessEntry]) -> Vec<i32> {
    let parents: BTreeMap<i32, i32> = table.iter().map(|entry| (entry.pid, entry.parent)).collect();
    // The table is not of one moment: it might lead round in a circle.
    std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).take(table.len()).collect()
}

/// The name of the program that a process runs, cut after 15 bytes; empty if the process has ended.
fn program_of(pid: i32) -> String {
    let name = HostDisk.read(Path::new(&format!("/proc/{pid}/comm"))).unwrap_or_default();
    String::from_utf8_lossy(name.trim_ascii_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use libprocess::subprocess::{descendants, session_of};
    use mesos::{ContainerId, Resources, v1};

    use super::super::RecoveredContainer;
    use super::super::testing::{containerizer, node, until};
    use super::*;

    #[test]
    fn what_an_executor_left_behind_while_there_was_no_agent_is_ended() {
        libprocess::run(async {
            let node = node().await;
            let containers = containerizer(&node, Path::new("/nowhere/slaves"));
            let sandbox = tempfile::tempdir().unwrap();
            let mut executor = std::process::Command::new("setsid")
                .args(["sh", "-c", "sleep 1000 & setsid sleep 1001 & echo ready > ready; wait"])
                .env("MESOS_DIRECTORY", sandbox.path())
                .current_dir(sandbox.path())
                .spawn()
                .unwrap();
            until(|| sandbox.path().join("ready").exists()).await;
            let strays = || {
                let table = process_table().into_iter();
                let stems = |pid| launcher::stems_from(pid, |directory| directory == sandbox.path());
                table.filter(|entry| !entry.zombie && stems(entry.pid)).count()
            };
            let pid = executor.id();
            executor.kill().unwrap();
            executor.wait().unwrap();
            assert_eq!(strays(), 2);
            let found = RecoveredContainer {
                user: None,
                id: ContainerId::new("left"),
                pid: Some(pid),
                directory: sandbox.path().to_owned(),
                executor: v1::ExecutorInfo::default(),
                resources: Resources::default(),
            };
            containers.recover(vec![found], Vec::new()).await.unwrap().unwrap();
            assert!(containers.wait(ContainerId::new("left")).await.unwrap().is_some());
            until(|| strays() == 0).await;
            node.shutdown().await;
        });
    }

    /// As of a framework that does not checkpoint.
    #[test]
    fn what_runs_in_a_sandbox_that_the_agent_does_not_know_is_ended() {
        libprocess::run(async {
            let node = node().await;
            let work_dir = tempfile::tempdir().unwrap();
            let slaves = work_dir.path().join("slaves");
            let containers = containerizer(&node, &slaves);
            let start = |sandbox: &Path, at: &Path| {
                std::fs::create_dir_all(sandbox).unwrap();
                let mut command = std::process::Command::new("setsid");
                command
                    .args(["sleep", "1000"])
                    .env("MESOS_DIRECTORY", sandbox)
                    .current_dir(at)
                    .spawn()
                    .unwrap()
            };
            let (known, unknown) = (slaves.join("known"), slaves.join("unknown"));
            let (inner, elsewhere) = (known.join("work/slaves/inner"), work_dir.path().join("elsewhere"));
            let (daemon, over) = (slaves.join("daemon"), slaves.join("over"));
            let mut kept = [
                start(&known, &known),
                start(&inner, &inner),
                start(&elsewhere, &elsewhere),
                // A task has restarted it.
                start(&daemon, Path::new("/")),
                // The agent was there when its container ended.
                start(&over, &over),
            ];
            let mut stray = start(&unknown, &unknown);
            let all = kept.iter().chain([&stray]).zip([&known, &inner, &elsewhere, &daemon, &over, &unknown]);
            for (child, sandbox) in all {
                until(|| launcher::is_container(child.id() as i32, sandbox)).await;
            }
            let found = RecoveredContainer {
                user: None,
                id: ContainerId::new("known"),
                pid: Some(kept[0].id()),
                directory: known,
                executor: v1::ExecutorInfo::default(),
                resources: Resources::default(),
            };
            containers.recover(vec![found], vec![over]).await.unwrap().unwrap();
            assert!(!stray.wait().unwrap().success());
            for child in &mut kept {
                assert!(child.try_wait().unwrap().is_none());
                child.kill().unwrap();
                child.wait().unwrap();
            }
            node.shutdown().await;
        });
    }

    /// It would lose its supervisor, and who writes its log.
    #[test]
    fn an_agent_that_a_task_has_started_does_not_end_what_has_started_it() {
        libprocess::run(async {
            let work_dir = tempfile::tempdir().unwrap();
            let slaves = work_dir.path().join("slaves");
            let sandbox = slaves.join("task");
            std::fs::create_dir_all(&sandbox).unwrap();
            let mut supervisor = std::process::Command::new("setsid")
                .args(["sh", "-c", "env -u MESOS_DIRECTORY sleep 1000 & wait"])
                .env("MESOS_DIRECTORY", &sandbox)
                .current_dir(&sandbox)
                .spawn()
                .unwrap();
            let pid = supervisor.id() as i32;
            until(|| session_of(pid) == Some(pid) && descendants(pid).len() == 1).await;
            let agent = descendants(pid)[0];
            let (live, gone) = (BTreeSet::new(), BTreeSet::new());
            let sandboxes = Sandboxes { below: &slaves, live, gone, over: &[] };
            sandboxes.kill_strays(agent);
            assert!(supervisor.try_wait().unwrap().is_none());
            sandboxes.kill_strays(std::process::id() as i32);
            assert!(!supervisor.wait().unwrap().success());
        });
    }
}
