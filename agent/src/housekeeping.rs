//! The agent's side of cleaning up: what may be deleted, when, and sooner when the disk is full.
//!
//! The GarbageCollector deletes; here the agent says what, asks for paths back that it needs again,
//! and watches the disk. Upstream: `Slave::garbageCollect`, `checkDiskUsage`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures::future::{BoxFuture, FutureExt as _, join_all};
use libprocess::disk::Disk;
use libprocess::files::{Detach, Files};
use libprocess::{Address, Context, Handle, Node, Pid, promise};

use crate::agent::Agent;
use crate::gc::{GarbageCollector, Prune, Schedule, Unschedule, max_allowed_age};

/// Time to look how full the disk is.
#[derive(Clone)]
pub struct CheckDisk;

libprocess::messages! { CheckDisk; }

/// When a path was used last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// Something that used it has just ended.
    UntilNow,
    /// It was found at the start: its time of modification says when.
    Before,
    /// Then.
    At(SystemTime),
}

/// The garbage collector, as the agent sees it.
#[derive(Clone)]
pub struct Gc {
    collector: Address<GarbageCollector>,
    files: Option<Address<Files>>,
    node: Node,
    /// How long paths are kept while there is room.
    delay: Duration,
}

impl Gc {
    /// Schedules for `collector`, and takes from `files` what is deleted.
    pub fn new(
        collector: Address<GarbageCollector>,
        files: Option<Address<Files>>,
        node: Node,
        delay: Duration,
    ) -> Gc {
        Gc { collector, files, node, delay }
    }

    /// A path may be deleted `gc_delay` after it was last used; `/files` no longer shows it under the virtual paths
    /// `shown` then.
    pub fn schedule(&self, path: PathBuf, used: Used, shown: Vec<PathBuf>) {
        let after = match used {
            Used::UntilNow => {
                self.mark(&path);
                self.delay
            }
            Used::Before => self.delay.saturating_sub(self.age(&path)),
            Used::At(time) => self.delay.saturating_sub(self.since(time)),
        };
        let (removed, answer) = promise();
        self.collector.tell(Schedule { path, after, removed: Some(removed) });
        if let Some(files) = self.files.clone().filter(|_| !shown.is_empty()) {
            self.node.spawn_task(async move {
                if answer.await.is_ok() {
                    for path in shown {
                        files.tell(Detach { virtual_path: path.to_string_lossy().into_owned() });
                    }
                }
            });
        }
    }

    /// Writes the time into the path, for an agent that starts anew. What it holds may not have changed for a long
    /// time while it was in use (upstream: `os::utime` before each `garbageCollect`).
    fn mark(&self, path: &Path) {
        match self.node.disk().set_modified(path, self.node.now()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot mark when a directory was last used");
            }
            _ => {}
        }
    }

    fn age(&self, path: &Path) -> Duration {
        self.node.disk().modified(path).map(|changed| self.since(changed)).unwrap_or_default()
    }

    fn since(&self, time: SystemTime) -> Duration {
        self.node.now().duration_since(time).unwrap_or_default()
    }

    /// Takes back `paths`, for what is there or will be made there; `None` if none exists, and there is nothing to wait
    /// for. Also one that does not exist may have its time: of a framework that launched nothing, or where somebody has
    /// deleted by hand. A collector that has ended deletes nothing.
    pub fn unschedule(&self, paths: &[PathBuf]) -> Option<BoxFuture<'static, ()>> {
        let mut answers = Vec::new();
        for path in paths {
            let (reply, answer) = promise();
            self.collector.tell(Unschedule { path: path.clone(), reply });
            if self.node.disk().exists(path) {
                answers.push(answer);
            }
        }
        if answers.is_empty() {
            return None;
        }
        Some(join_all(answers).map(drop).boxed())
    }

    fn prune(&self, within: Duration) {
        self.collector.tell(Prune { within });
    }
}

/// The used part of the file system that a path is on.
fn disk_usage(disk: &dyn Disk, path: &Path) -> Option<f64> {
    let usage = disk.usage(path).ok()?;
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 15 digits")]
    let (free, all) = (usage.free as f64, usage.total as f64);
    (all > 0.0).then(|| 1.0 - free / all)
}

impl Agent {
    /// Begins to watch the disk.
    pub(crate) fn start_disk_watch(&mut self, ctx: &mut Context<Self>) {
        if self.colleagues.gc.is_some() {
            ctx.every(self.settings.disk_watch_interval, CheckDisk);
        }
        self.check_disk();
    }

    fn check_disk(&self) {
        let Some(gc) = &self.colleagues.gc else { return };
        let Some(usage) = disk_usage(&*self.disk, self.paths.work_dir()) else {
            tracing::warn!(path = %self.paths.work_dir().display(), "cannot tell how full the disk is");
            return;
        };
        let settings = &self.settings;
        let age = max_allowed_age(settings.gc_delay, settings.gc_disk_headroom, usage);
        self.metrics.allowed_age(age);
        gc.prune(settings.gc_delay.saturating_sub(age));
    }
}

impl Handle<CheckDisk> for Agent {
    fn handle(&mut self, _: CheckDisk, _: &Pid, _: &mut Context<Self>) {
        self.check_disk();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_use_until_now_is_kept_for_the_whole_delay_whatever_its_files_say() {
        libprocess::testing::run(async {
            const DELAY: Duration = Duration::from_secs(100);
            let node = Node::builder().offline().start().await.unwrap();
            let collector = node.spawn_numbered(GarbageCollector::new(node.metrics(), DELAY));
            let gc = Gc::new(collector, None, node.clone(), DELAY);
            let folder = tempfile::tempdir().unwrap();
            let [sandbox, found, young] = ["sandbox", "found", "young"].map(|name| {
                let path = folder.path().join(name);
                std::fs::create_dir(&path).unwrap();
                path
            });
            let last_used = |path: &Path, ago: u64| {
                let times = std::fs::FileTimes::new().set_modified(node.now() - Duration::from_secs(ago));
                std::fs::File::open(path).unwrap().set_times(times).unwrap();
            };
            last_used(&sandbox, 1000);
            last_used(&found, 1000);
            last_used(&young, 40);
            gc.schedule(sandbox.clone(), Used::UntilNow, Vec::new());
            gc.schedule(found.clone(), Used::Before, Vec::new());
            gc.schedule(young.clone(), Used::Before, Vec::new());
            let there = || [&sandbox, &found, &young].map(|path| path.exists());
            for (pass, expected) in
                [(1, [true, false, true]), (60, [true, false, false]), (38, [true, false, false])]
            {
                tokio::time::sleep(Duration::from_secs(pass)).await;
                assert_eq!(there(), expected, "{:?}", node.elapsed());
            }
            // An agent that starts now sees how long ago it was used.
            assert_eq!(gc.age(&sandbox), Duration::from_secs(99));
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(!sandbox.exists());
            node.shutdown().await;
        });
    }
}
