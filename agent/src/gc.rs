//! Removes old sandboxes and checkpoints, when their time has come or the disk is full.
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`Schedule`] | the agent, when an executor or framework has ended | notes when the path may go |
//! | [`Unschedule`] | the agent, before it uses such a path again | forgets the path; answers once it is sure that nobody removes it |
//! | [`Prune`] | the agent, when the disk fills up | removes at once what would go within a time |
//! | `Due` | itself | removes what is due |
//!
//! Removing happens off the actor's thread, one batch after the other; what is mounted in a directory is unmounted first, or
//! the directory stays. What could not be removed is tried again later. It knows nothing of executors: only paths and times
//! (upstream: `slave/gc.cpp`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use libprocess::disk::Disk;
use libprocess::metrics::{Counter, Gauge, Metrics};
use libprocess::{Context, Handle, Pid, Process, Promise, messages};
use rustix::mount::UnmountFlags;

use crate::mounts;

/// Remove `path` when `after` has passed. A path that is scheduled already gets the new time.
#[derive(Debug)]
pub struct Schedule {
    /// A file or a directory with all that is in it.
    pub path: PathBuf,
    /// From now.
    pub after: Duration,
    /// Set when the path is gone; abandoned when it is kept after all.
    pub removed: Option<Promise<()>>,
}

/// Keep `path` after all.
#[derive(Debug)]
pub struct Unschedule {
    /// As it was scheduled.
    pub path: PathBuf,
    /// Set to whether it was scheduled; after its removal, if that has begun.
    pub reply: Promise<bool>,
}

/// Remove now what would be removed within this time.
#[derive(Debug, Clone)]
pub struct Prune {
    /// How far to look ahead.
    pub within: Duration,
}

#[derive(Clone)]
struct Due;

messages! { Schedule; Unschedule; Prune; Due; }

/// How old a sandbox may get while `usage` (0 to 1) of the disk is used: `gc_delay` on an empty disk, nothing
/// when less than `headroom` is free (upstream: `Slave::age`).
pub fn max_allowed_age(gc_delay: Duration, headroom: f64, usage: f64) -> Duration {
    let share = (1.0 - headroom - usage).clamp(0.0, 1.0);
    gc_delay.mul_f64(if share.is_nan() { 0.0 } else { share })
}

/// What waits, by the time (since the node's start) at which it goes. Pure.
#[derive(Debug)]
struct Timetable<T> {
    entries: BTreeMap<PathBuf, (Duration, T)>,
    queue: BTreeSet<(Duration, PathBuf)>,
}

impl<T> Timetable<T> {
    fn new() -> Self {
        Self { entries: BTreeMap::new(), queue: BTreeSet::new() }
    }

    fn insert(&mut self, path: PathBuf, at: Duration, with: T) {
        self.remove(&path);
        self.queue.insert((at, path.clone()));
        self.entries.insert(path, (at, with));
    }

    fn remove(&mut self, path: &Path) -> bool {
        let Some((at, _)) = self.entries.remove(path) else { return false };
        self.queue.remove(&(at, path.to_owned()))
    }

    /// Takes out all that is due at `until` or before.
    fn take_due(&mut self, until: Duration) -> Vec<(PathBuf, T)> {
        let mut due = Vec::new();
        while self.queue.first().is_some_and(|(at, _)| *at <= until) {
            let Some((_, path)) = self.queue.pop_first() else { break };
            if let Some((_, with)) = self.entries.remove(&path) {
                due.push((path, with));
            }
        }
        due
    }

    /// Takes out all that lies below a path.
    fn take_below(&mut self, path: &Path) -> Vec<(PathBuf, T)> {
        let from = (std::ops::Bound::Excluded(path.to_owned()), std::ops::Bound::Unbounded);
        let below = self.entries.range(from).take_while(|(other, _)| other.starts_with(path));
        let below: Vec<PathBuf> = below.map(|(other, _)| other.clone()).collect();
        below
            .into_iter()
            .filter_map(|path| {
                let (at, with) = self.entries.remove(&path)?;
                self.queue.remove(&(at, path.clone()));
                Some((path, with))
            })
            .collect()
    }

    fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(at, _)| *at)
    }
}

/// What could not be removed is not tried again sooner than that.
const PAUSE: Duration = Duration::from_secs(60);

/// The actor `agent-garbage-collector(1)`.
pub struct GarbageCollector {
    timetable: Timetable<Option<Promise<()>>>,
    /// How long after a failure a path is due again.
    again: Duration,
    timer: Option<(libprocess::Timer, Duration)>,
    /// Paths that are being removed now, and who waits for that.
    removing: BTreeMap<PathBuf, Vec<Promise<bool>>>,
    pending: Gauge,
    succeeded: Counter,
    failed: Counter,
}

impl GarbageCollector {
    /// With nothing to do; counts under upstream's names `gc/path_removals_*`. What could not be removed is due after
    /// `delay` again, or when the disk fills up.
    pub fn new(metrics: &Metrics, delay: Duration) -> Self {
        Self {
            timetable: Timetable::new(),
            again: delay.max(PAUSE),
            timer: None,
            removing: BTreeMap::new(),
            pending: metrics.gauge("gc/path_removals_pending"),
            succeeded: metrics.counter("gc/path_removals_succeeded"),
            failed: metrics.counter("gc/path_removals_failed"),
        }
    }

    /// One timer, for the path that goes first.
    fn reset_timer(&mut self, ctx: &mut Context<Self>) {
        self.pending.set(self.timetable.entries.len() as f64);
        let next = self.timetable.next();
        if self.timer.as_ref().map(|(_, at)| *at) == next {
            return;
        }
        if let Some((timer, _)) = self.timer.take() {
            ctx.cancel(timer);
        }
        if let Some(at) = next {
            let delay = at.saturating_sub(ctx.node().elapsed());
            self.timer = Some((ctx.after(delay, Due), at));
        }
    }

    fn remove_until(&mut self, until: Duration, ctx: &mut Context<Self>) {
        let mut due = self.timetable.take_due(until);
        // What lies below goes with it, and must not be on the list when something new is there.
        let below: Vec<_> = due.iter().flat_map(|(path, _)| self.timetable.take_below(path)).collect();
        due.extend(below);
        self.reset_timer(ctx);
        if due.is_empty() {
            return;
        }
        self.removing.extend(due.iter().map(|(path, _)| (path.clone(), Vec::new())));
        let node = ctx.node().clone();
        let disk = node.disk().clone();
        let work = async move {
            let remove = move || {
                let done = remove_all(&*disk, Mounted::on_host(&*disk), &mut due);
                (done, due)
            };
            node.blocking(remove).await
        };
        ctx.defer(work, |this, (done, due), ctx| {
            let again = ctx.node().elapsed().saturating_add(this.again);
            for ((path, outcome), (_, promise)) in done.into_iter().zip(due) {
                this.finish(path, outcome, promise, again);
            }
            this.reset_timer(ctx);
        });
    }

    fn finish(&mut self, path: PathBuf, outcome: Outcome, promise: Option<Promise<()>>, again: Duration) {
        let waiting = self.removing.remove(&path).unwrap_or_default();
        match outcome {
            Outcome::Removed => self.succeeded.increment(),
            Outcome::Absent => {}
            Outcome::Failed => {
                self.failed.increment();
                // Who waits for it uses it again; who has scheduled it meanwhile said when.
                if waiting.is_empty() && !self.timetable.entries.contains_key(&path) {
                    self.timetable.insert(path, again, promise);
                }
            }
        }
        for waiting in waiting {
            waiting.set(false);
        }
    }
}

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Removed,
    /// It was gone already, as what is below a removed one: neither a success nor a failure, as with upstream's.
    Absent,
    Failed,
}

/// Removes each path, tells who wanted to know, and returns what became of each, in their order. What is gone is so for
/// good, for the journal of status updates has forgotten what it would have to tell of a task that a power failure brings
/// back.
fn remove_all(
    disk: &dyn Disk,
    mut mounted: Result<Mounted, String>,
    paths: &mut [(PathBuf, Option<Promise<()>>)],
) -> Vec<(PathBuf, Outcome)> {
    let remove = |(path, promise): &mut (PathBuf, Option<Promise<()>>)| match remove(disk, &mut mounted, path)
    {
        Ok(outcome) => {
            if let Some(promise) = promise.take() {
                promise.set(());
            }
            (path.clone(), outcome)
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "an old directory could not be removed");
            (path.clone(), Outcome::Failed)
        }
    };
    let done: Vec<_> = paths.iter_mut().map(remove).collect();
    let parents: BTreeSet<&Path> = done.iter().filter_map(|(path, _)| path.parent()).collect();
    for parent in parents.into_iter().filter(|parent| disk.exists(parent)) {
        if let Err(error) = disk.sync_directory(parent) {
            tracing::warn!(path = %parent.display(), %error, "what was removed may come back after a power failure");
        }
    }
    done
}

fn remove(disk: &dyn Disk, mounted: &mut Result<Mounted, String>, path: &Path) -> Result<Outcome, String> {
    let mounted = mounted.as_mut().map_err(|error| error.clone())?;
    mounted.leave(&disk.canonicalize(path).unwrap_or_else(|_| path.to_path_buf()))?;
    match disk.remove(path) {
        Ok(()) => Ok(Outcome::Removed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Outcome::Absent),
        Err(error) => Err(error.to_string()),
    }
}

/// What is mounted. A task that ran as root may have mounted something in its sandbox and left it so; what is in there is
/// not the sandbox's, and must not go with it (upstream: MESOS-8830).
struct Mounted {
    /// The mount points, the last one first.
    places: Vec<PathBuf>,
    /// How one is unmounted.
    unmount: fn(&Path) -> std::io::Result<()>,
}

impl Mounted {
    /// What the host has mounted now; nothing on a disk that knows no such table.
    fn on_host(disk: &dyn Disk) -> Result<Mounted, String> {
        let places = match disk.read(Path::new(mounts::TABLE)) {
            Ok(table) => mounts::places(&table).rev().collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("what is mounted there is not known: {error}")),
        };
        Ok(Mounted { places, unmount: |place| Ok(rustix::mount::unmount(place, UnmountFlags::NOFOLLOW)?) })
    }

    /// Nothing is mounted in a directory any more, unless this fails.
    fn leave(&mut self, directory: &Path) -> Result<(), String> {
        while let Some(index) = self.places.iter().position(|place| place.starts_with(directory)) {
            let place = &self.places[index];
            tracing::warn!(place = %place.display(), "unmounting what a task has left in a directory that is removed");
            (self.unmount)(place)
                .map_err(|error| format!("'{}' is mounted and stays so: {error}", place.display()))?;
            self.places.remove(index);
        }
        Ok(())
    }
}

impl Process for GarbageCollector {
    const NAME: &'static str = "agent-garbage-collector";
}

impl Handle<Schedule> for GarbageCollector {
    fn handle(&mut self, message: Schedule, _: &Pid, ctx: &mut Context<Self>) {
        let at = ctx.node().elapsed().saturating_add(message.after);
        self.timetable.insert(message.path, at, message.removed);
        self.reset_timer(ctx);
    }
}

impl Handle<Unschedule> for GarbageCollector {
    fn handle(&mut self, message: Unschedule, _: &Pid, ctx: &mut Context<Self>) {
        // Also what is being removed may have got another time meanwhile.
        let was_scheduled = self.timetable.remove(&message.path);
        self.reset_timer(ctx);
        match self.removing.get_mut(&message.path) {
            Some(waiting) => waiting.push(message.reply),
            None => message.reply.set(was_scheduled),
        }
    }
}

impl Handle<Prune> for GarbageCollector {
    fn handle(&mut self, message: Prune, _: &Pid, ctx: &mut Context<Self>) {
        self.remove_until(ctx.node().elapsed().saturating_add(message.within), ctx);
    }
}

impl Handle<Due> for GarbageCollector {
    fn handle(&mut self, _: Due, _: &Pid, ctx: &mut Context<Self>) {
        self.timer = None;
        self.remove_until(ctx.node().elapsed(), ctx);
    }
}

#[cfg(test)]
mod tests {
    use libprocess::disk::HostDisk;
    use libprocess::{Address, promise};

    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    /// Upstream: `GarbageCollectorIntegrationTest.DiskUsage`.
    #[test]
    fn the_fuller_the_disk_the_younger_a_sandbox_goes() {
        assert_eq!(max_allowed_age(WEEK, 0.1, 0.0), WEEK.mul_f64(0.9));
        assert_eq!(max_allowed_age(WEEK, 0.1, 0.4), WEEK.mul_f64(0.5));
        assert_eq!(max_allowed_age(WEEK, 0.1, 0.95), Duration::ZERO);
        assert_eq!(max_allowed_age(WEEK, 0.1, f64::NAN), Duration::ZERO);
    }

    /// Upstream: `GarbageCollectorTest.Schedule`.
    #[test]
    fn a_path_has_one_time_the_last_that_was_said() {
        let mut table = Timetable::new();
        table.insert("a".into(), Duration::from_secs(1), 1);
        table.insert("b".into(), Duration::from_secs(2), 2);
        table.insert("a".into(), Duration::from_secs(3), 3);
        assert_eq!(table.take_due(Duration::from_secs(2)), [(PathBuf::from("b"), 2)]);
        assert_eq!(table.next(), Some(Duration::from_secs(3)));
        assert!(table.remove(Path::new("a")));
        assert!(!table.remove(Path::new("a")));
        assert_eq!(table.next(), None);
    }

    #[test]
    fn what_lies_below_a_path_goes_with_it() {
        let mut table = Timetable::new();
        for (path, at) in [("a", 1), ("a/b", 2), ("a/b/c", 3), ("ab", 4), ("a-b", 5)] {
            table.insert(path.into(), Duration::from_secs(at), at);
        }
        assert_eq!(table.take_below(Path::new("a")), [("a/b".into(), 2), ("a/b/c".into(), 3)]);
        assert_eq!(
            table.take_due(Duration::MAX).into_iter().map(|(_, at)| at).collect::<Vec<_>>(),
            [1, 4, 5]
        );
    }

    async fn unschedule(collector: &Address<GarbageCollector>, path: &Path) -> bool {
        let (reply, answer) = promise();
        collector.tell(Unschedule { path: path.to_owned(), reply });
        answer.await.unwrap()
    }

    /// Upstream: `GarbageCollectorTest.Schedule`, `GarbageCollectorTest.Unschedule`, `GarbageCollectorTest.Prune`,
    /// `GarbageCollectorIntegrationTest.DiskUsage`.
    #[test]
    fn directories_go_when_they_are_due_and_stay_when_unscheduled() {
        libprocess::testing::run(async {
            let node = libprocess::Node::builder().offline().start().await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let [old, kept, full] = ["old", "kept", "full"].map(|name| {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.join("inside")).unwrap();
                path
            });
            let collector = node.spawn_numbered(GarbageCollector::new(node.metrics(), WEEK));
            let schedule = |path: &Path, after| {
                let (removed, answer) = promise();
                let after = Duration::from_secs(after);
                collector.tell(Schedule { path: path.to_owned(), after, removed: Some(removed) });
                answer
            };
            let old_removed = schedule(&old, 10);
            let kept_removed = schedule(&kept, 10);
            let full_removed = schedule(&full, 1_000_000);
            assert!(unschedule(&collector, &kept).await);
            assert!(!unschedule(&collector, &kept).await);
            assert!(kept_removed.await.is_err(), "it is kept");

            old_removed.await.unwrap();
            assert!(!old.exists() && kept.exists() && full.exists());
            collector.tell(Prune { within: Duration::from_secs(5_000_000) });
            full_removed.await.unwrap();
            assert!(!full.exists() && kept.exists());
            // Answered after what was being removed is gone, and counted.
            assert!(!unschedule(&collector, &full).await);
            assert_eq!(node.metrics().value("gc/path_removals_succeeded"), Some(2.0));
            assert_eq!(node.metrics().value("gc/path_removals_pending"), Some(0.0));
            node.shutdown().await;
        });
    }

    /// As of a framework whose next task is killed before it is launched, and which launches another one.
    #[test]
    fn what_gets_another_time_while_it_is_removed_and_is_used_again_then_stays() {
        libprocess::testing::run(async {
            let node = libprocess::Node::builder().offline().start().await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("framework");
            std::fs::create_dir(&path).unwrap();
            let collector = node.spawn_numbered(GarbageCollector::new(node.metrics(), WEEK));
            let schedule = || {
                let after = Duration::from_secs(10);
                collector.tell(Schedule { path: path.clone(), after, removed: None });
            };
            schedule();
            collector.tell(Prune { within: WEEK });
            schedule();
            unschedule(&collector, &path).await;
            assert!(!path.exists());
            std::fs::create_dir(&path).unwrap();
            tokio::time::sleep(Duration::from_secs(11)).await;
            assert!(path.exists());
            node.shutdown().await;
        });
    }

    /// What is above them is no directory, so that not even root can remove them.
    #[test]
    fn what_could_not_be_removed_is_tried_again_unless_it_is_used_again() {
        libprocess::testing::run(async {
            let node = libprocess::Node::builder().offline().start().await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let collector = node.spawn_numbered(GarbageCollector::new(node.metrics(), WEEK));
            let paths = ["one", "two"].map(|name| {
                std::fs::write(folder.path().join(name), "").unwrap();
                folder.path().join(name).join("sandbox")
            });
            let [one, two] = paths.each_ref().map(|path| {
                let (removed, answer) = promise();
                let after = Duration::from_secs(10);
                collector.tell(Schedule { path: path.clone(), after, removed: Some(removed) });
                answer
            });
            tokio::time::sleep(Duration::from_secs(11)).await;
            assert_eq!(node.metrics().value("gc/path_removals_failed"), Some(2.0));
            assert_eq!(node.metrics().value("gc/path_removals_pending"), Some(2.0));
            for path in &paths {
                std::fs::remove_file(path.parent().unwrap()).unwrap();
                std::fs::create_dir_all(path).unwrap();
            }
            assert!(unschedule(&collector, &paths[1]).await);
            assert!(two.await.is_err(), "it is kept");
            one.await.unwrap();
            assert!(node.elapsed() > WEEK && !paths[0].exists() && paths[1].exists());
            assert_eq!(node.metrics().value("gc/path_removals_succeeded"), Some(1.0));
            node.shutdown().await;
        });
    }

    /// A sandbox may go with the directory of its executor.
    #[test]
    fn what_is_gone_already_is_neither_removed_nor_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let [executor, sandbox] = ["executor", "executor/sandbox"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(&sandbox).unwrap();
        let mut paths = [(executor.clone(), None), (sandbox.clone(), None)];
        let done = remove_all(&HostDisk, Mounted::on_host(&HostDisk), &mut paths);
        assert_eq!(done, [(executor, Outcome::Removed), (sandbox, Outcome::Absent)]);
    }

    /// Upstream: `GarbageCollectorIntegrationTest.ROOT_DanglingMount`.
    #[test]
    fn what_a_task_has_mounted_is_not_removed_with_its_sandbox() {
        fn empty(place: &Path) -> std::io::Result<()> {
            std::fs::remove_dir(place)
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [sandbox, other] = ["run/sandbox", "other"].map(|name| root.join(name));
        for path in [&sandbox.join("data"), &other] {
            std::fs::create_dir_all(path).unwrap();
        }
        let remove = |unmount: fn(&Path) -> std::io::Result<()>, paths: [&Path; 2]| {
            let places = vec![sandbox.join("data"), "/proc".into()];
            let mut paths = paths.map(|path| (path.to_path_buf(), None));
            remove_all(&HostDisk, Ok(Mounted { places, unmount }), &mut paths)
        };
        let done = remove(|_| Err(std::io::ErrorKind::ResourceBusy.into()), [&sandbox, &other]);
        assert_eq!(done, [(sandbox.clone(), Outcome::Failed), (other.clone(), Outcome::Removed)]);
        assert!(sandbox.join("data").exists() && !other.exists());
        // It is unmounted once, for all directories that it is in.
        let run = root.join("run");
        let done = remove(empty, [&sandbox, &run]);
        assert_eq!(done, [(sandbox.clone(), Outcome::Removed), (run.clone(), Outcome::Removed)]);
        assert!(!run.exists());
        assert!(Mounted::on_host(&HostDisk).unwrap().places.contains(&PathBuf::from("/proc")));
    }
}
