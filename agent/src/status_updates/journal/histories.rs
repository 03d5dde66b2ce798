//! What the journal promises, in random histories of agents that are killed between any two steps, and of power failures.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use libprocess::disk::{Disk, DiskUsage, Durability};
use libprocess::simulation::Mount;
use mesos::TaskId;
use mesos::v1::TaskState::TaskRunning;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::{Journal, Record, retire, spill};
use crate::recovery::checkpoint::{DiskError, write_message, write_text};
use crate::recovery::paths::UpdatesPath;
use crate::recovery::state::testing::Host;
use crate::status_updates::log::testing::update;
use crate::status_updates::log::{Replay, acknowledgement_record, update_record};

/// A disk under a process that is killed before its n-th change.
#[derive(Debug)]
pub(super) struct Killing {
    mount: Mount,
    /// How many changes it still makes.
    pub(super) left: AtomicUsize,
}

impl Killing {
    pub(super) fn after(mount: Mount, changes: usize) -> Killing {
        Killing { mount, left: AtomicUsize::new(changes) }
    }

    fn change(&self) -> &Mount {
        let left = self.left.load(Ordering::Relaxed);
        match left.checked_sub(1) {
            Some(left) => self.left.store(left, Ordering::Relaxed),
            None => self.mount.revoke(),
        }
        &self.mount
    }
}

impl Disk for Killing {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.mount.read(path)
    }
    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        self.change().write(path, bytes, durability)
    }
    /// In two steps: the bytes may be there, but not synced, or only some of them.
    fn append(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let (one, two) = bytes.split_at(bytes.len() / 2);
        self.change().append(path, one, Durability::Process)?;
        self.change().append(path, two, Durability::Process)?;
        match durability {
            Durability::Host => self.sync_file(path),
            Durability::Process => Ok(()),
        }
    }
    /// In two steps, as well.
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let half = bytes.len() / 2;
        let (one, two) = bytes.split_at(half);
        self.change().write_at(path, offset, one, Durability::Process)?;
        self.change().write_at(path, offset + half as u64, two, Durability::Process)?;
        match durability {
            Durability::Host => self.sync_file(path),
            Durability::Process => Ok(()),
        }
    }
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.change().sync_file(path)
    }
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.change().truncate(path, length)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change().rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change().remove(path)
    }
    fn create_directory(&self, path: &Path, durability: Durability) -> io::Result<()> {
        self.change().create_directory(path, durability)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.change().sync_directory(path)
    }
    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.change().sync_all(path)
    }
    fn create_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.change().create_link(target, link)
    }
    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        self.mount.read_link(link)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.mount.list(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.mount.exists(path)
    }
    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.mount.modified(path)
    }
    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.change().set_modified(path, time)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.change().set_mode(path, mode)
    }
    fn set_owner(&self, path: &Path, user: u32, group: u32) -> io::Result<()> {
        self.change().set_owner(path, user, group)
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.mount.canonicalize(path)
    }
    fn usage(&self, path: &Path) -> io::Result<DiskUsage> {
        self.mount.usage(path)
    }
    fn boot_id(&self) -> Option<String> {
        self.mount.boot_id()
    }
}

/// A host with an agent whose framework has an executor, and a process of that agent.
struct World {
    host: Host,
    /// What is promised, and what may be there.
    tasks: BTreeMap<String, Task>,
    next: u128,
}

/// A task ends with the acknowledgement of this many updates.
const LAST: usize = 3;

#[derive(Debug, Default)]
struct Task {
    /// Uuids of updates in the order in which they were written.
    written: Vec<Uuid>,
    /// How many of them were promised.
    promised: usize,
    acknowledged: BTreeSet<Uuid>,
    /// Those of them that were certainly written.
    sure: BTreeSet<Uuid>,
    /// Acknowledged to the end, if that is written.
    ending: bool,
    /// That was written: what is kept may be deleted.
    over: bool,
    /// Written to by this process.
    touched: bool,
}

impl World {
    fn new(seed: u64) -> World {
        World { host: Host::with_task(seed, Durability::Process), tasks: BTreeMap::new(), next: 1 }
    }

    fn log(&self, task: &str) -> UpdatesPath {
        self.host.paths.task_updates(&self.host.run, &TaskId::from(task))
    }

    /// A task is launched: its description is written, and not synced.
    fn launch(&self, disk: &dyn Disk, task: &str) -> Result<(), DiskError> {
        let kept = mesos::tasks::new_task(
            &crate::tasks::status::testing::task_info(task, "cpus:1"),
            mesos::v1::TaskState::TaskStaging,
            &self.host.run.framework,
        );
        let path = self.host.paths.task_info(&self.host.run, &TaskId::from(task));
        write_message(disk, &path, &kept, Durability::Process)
    }

    /// A random group of records; what it does to the model if it is written.
    fn group(&mut self, disk: &dyn Disk, random: &mut SmallRng) -> Result<Vec<Record>, DiskError> {
        let mut records = Vec::new();
        for _ in 0..random.random_range(1..4) {
            let name = format!("t{}", random.random_range(0..5));
            let log = self.log(&name);
            if !self.tasks.contains_key(&name) {
                self.launch(disk, &name)?;
            }
            let next = Uuid::from_u128(self.next);
            let task = self.tasks.entry(name.clone()).or_default();
            if task.ending {
                continue;
            }
            let waiting = task.written[..task.promised].iter().find(|uuid| !task.acknowledged.contains(uuid));
            match waiting.copied().filter(|_| random.random_bool(0.5)) {
                Some(uuid) => {
                    task.acknowledged.insert(uuid);
                    records.push(acknowledgement_record(log.clone(), uuid));
                    if task.acknowledged.len() >= LAST {
                        task.ending = true;
                        let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
                        records.push(Record::Forget { agent, path });
                    }
                }
                None => {
                    self.next += 1;
                    let first = !std::mem::replace(&mut task.touched, true);
                    task.written.push(next);
                    let mut update = update(&name, next.as_u128(), TaskRunning);
                    records.push(update_record(log, &mut update, first));
                }
            }
        }
        Ok(records)
    }

    /// A process of the agent works until it is killed.
    fn work(&mut self, disk: &dyn Disk, random: &mut SmallRng) -> Result<(), DiskError> {
        let directory = self.host.paths.agent_meta(&self.host.run.agent);
        let mut journal = Journal::open(disk, &directory)?;
        let (mut spilling, mut retiring) = (None, Vec::new());
        for _ in 0..random.random_range(1..30) {
            match random.random_range(0..9) {
                // Groups are written beside it.
                0 if spilling.is_none() => spilling = Some(journal.begin_spill()),
                1 if retiring.is_empty() && spilling.is_none() => {
                    retiring = journal.rotate(disk)?;
                    spilling = Some(journal.begin_spill());
                }
                0..=2 => {
                    if let Some(unspilled) = spilling.take() {
                        spill(disk, &unspilled)?;
                        journal.end_spill();
                    } else if !retiring.is_empty() {
                        retire(disk, &std::mem::take(&mut retiring))?;
                    }
                }
                3 => {
                    // The garbage collector deletes what is over.
                    for (name, _) in self.tasks.iter().filter(|(_, task)| task.over) {
                        let path = self.log(name).task().to_path_buf();
                        if disk.exists(&path) {
                            disk.remove(&path).map_err(DiskError::writing(&path))?;
                            crate::recovery::checkpoint::sync_names(disk, &path, 1)?;
                        }
                    }
                }
                4 if spilling.is_none() => {
                    // Another task gets the id of one that is over.
                    let over = self.tasks.iter().find(|(_, task)| task.over).map(|(name, _)| name.clone());
                    if let Some(name) = over {
                        let log = self.log(&name);
                        let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
                        journal.write(disk, &[Record::Remove { agent, path }])?;
                        self.tasks.remove(&name);
                        self.launch(disk, &name)?;
                        self.tasks.insert(name, Task::default());
                    }
                }
                _ => {
                    let group = self.group(disk, random)?;
                    journal.write(disk, &group)?;
                    for task in self.tasks.values_mut() {
                        task.sure.clone_from(&task.acknowledged);
                        task.over |= task.ending;
                    }
                    let synced = group.iter().any(Record::needs_sync);
                    for task in self.tasks.values_mut().filter(|_| synced) {
                        task.promised = task.written.len();
                    }
                }
            }
        }
        Ok(())
    }

    /// The agent starts, and finds what was promised.
    fn check(&mut self, killed: &str, power: bool) {
        let kept = self.host.read(true).unwrap_or_else(|error| panic!("{killed}: {error}"));
        let agent = kept.agent.expect("the agent");
        let run = &agent.frameworks.first().and_then(|framework| framework.executors.first());
        let found: BTreeMap<String, &Replay> = run
            .iter()
            .flat_map(|executor| &executor.run.tasks)
            .map(|task| (task.task.task_id.value.clone(), &task.replay))
            .collect();
        for (name, task) in &mut self.tasks {
            let nothing = Replay::default();
            let replay = found.get(name).copied().unwrap_or(&nothing);
            let uuids: Vec<Uuid> =
                replay.updates.iter().map(crate::status_updates::stream::uuid_of).collect();
            assert!(task.written.starts_with(&uuids), "{killed}: {name} has {uuids:?} of {:?}", task.written);
            if !task.over || found.contains_key(name) {
                assert!(uuids.len() >= task.promised, "{killed}: {name} has only {} updates", uuids.len());
            }
            assert!(task.acknowledged.is_superset(&replay.acknowledged), "{killed}: {name}");
            if !power && (!task.over || found.contains_key(name)) {
                assert!(replay.acknowledged.is_superset(&task.sure), "{killed}: {name}");
            }
            if task.over && !found.contains_key(name) {
                // A deletion that was not synced may be undone; it does not matter.
                continue;
            }
            // What is there now is what there is.
            task.promised = uuids.len();
            task.written = uuids;
            task.acknowledged.clone_from(&replay.acknowledged);
            task.sure.clone_from(&replay.acknowledged);
            task.touched = false;
            // The group that was being written when it was killed may be there.
            task.over |= task.acknowledged.len() >= LAST;
            task.ending = task.over;
        }
        self.tasks.retain(|name, task| task.over || found.contains_key(name));
        // The agent is back, and may launch tasks again.
        let known = self.host.paths.boot_id();
        let boot_id = self.host.mount.boot_id().unwrap();
        write_text(&self.host.mount, &known, &boot_id, Durability::Host).unwrap();
        self.host.keep_owners(Durability::Process);
    }
}

#[test]
fn what_was_promised_is_found_whenever_the_process_was_killed_or_the_power_failed() {
    let (mut kills, mut powers, mut found) = (0, 0, 0);
    for seed in 0..400 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut world = World::new(seed);
        for life in 0..4 {
            let disk = Killing::after(world.host.disk.mount(), random.random_range(0..120));
            let killed = world.work(&disk, &mut random).is_err();
            kills += usize::from(killed);
            disk.mount.revoke();
            let power = random.random_bool(0.5);
            if power {
                powers += 1;
                world.host.disk.lose_power();
            }
            world.check(&format!("seed {seed}, life {life}, power failed: {power}"), power);
            found += world.tasks.values().map(|task| task.promised).sum::<usize>();
        }
    }
    assert!(kills > 300 && powers > 300 && found > 3000, "{kills} {powers} {found}");
}
