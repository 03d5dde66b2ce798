//! The agent's side of cleaning up: what may be deleted, when, and sooner when the disk is full.
//!
//! The GarbageCollector deletes; here the agent says what, asks for paths back that it needs again,
//! and watches the disk. Upstream: `Slave::garbageCollect`, `checkDiskUsage`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _, join_all};
use libprocess::files::{Detach, Files};
use libprocess::{Address, Context, Handle, Node, Pid, promise};

use crate::agent::Agent;
use crate::gc::{GarbageCollector, Prune, Schedule, Unschedule, max_allowed_age};

/// Time to look how full the disk is.
#[derive(Clone)]
pub struct CheckDisk;

libprocess::messages! { CheckDisk; }

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

    /// A path may be deleted `gc_delay` after it was last changed; `/files` no longer shows it under
    /// the virtual paths `shown` then.
    pub fn schedule(&self, path: PathBuf, shown: Vec<PathBuf>) {
        let after = self.delay.saturating_sub(self.age(&path));
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

    fn age(&self, path: &Path) -> Duration {
        let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        changed.and_then(|changed| self.node.now().duration_since(changed).ok()).unwrap_or_default()
    }

    /// Takes back those of `paths` that exist; `None` if none does, and there is nothing to wait for.
    /// A collector that has ended deletes nothing.
    pub fn unschedule_existing(&self, paths: &[PathBuf]) -> Option<BoxFuture<'static, ()>> {
        let answers: Vec<_> = paths
            .iter()
            .filter(|path| path.exists())
            .map(|path| {
                let (reply, answer) = promise();
                self.collector.tell(Unschedule { path: path.clone(), reply });
                answer
            })
            .collect();
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
fn disk_usage(path: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 15 digits")]
    let (free, all) = (disk.f_bavail as f64, disk.f_blocks as f64);
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
        let Some(usage) = disk_usage(self.paths.work_dir()) else {
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
