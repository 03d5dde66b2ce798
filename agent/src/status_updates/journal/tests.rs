//! What the journal promises, on disks that fail between any two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use libprocess::disk::{Disk, DiskUsage, Durability};
use libprocess::simulation::Mount;
use mesos::TaskId;
use mesos::v1::TaskState::{TaskFinished, TaskRunning};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::format::Fault;
use super::*;
use crate::recovery::checkpoint::{write_message, write_text};
use crate::recovery::paths::{UpdatesPath, journal_segment};
use crate::recovery::state::testing::Host;
use crate::status_updates::log::testing::{bytes_of, update};
use crate::status_updates::log::{Replay, acknowledgement_record, update_record};

/// A disk under a process that is killed before its n-th change.
#[derive(Debug)]
struct Killing {
    mount: Mount,
    left: AtomicUsize,
}

impl Killing {
    fn after(mount: Mount, changes: usize) -> Killing {
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

/// What a fresh process finds of the task "t".
fn replay_of(host: &Host) -> Replay {
    let agent = host.read(true).unwrap().agent.unwrap();
    agent.frameworks[0].executors[0].run.tasks[0].replay.clone()
}

fn log_of(host: &Host) -> UpdatesPath {
    host.paths.task_updates(&host.run, &TaskId::from("t"))
}

fn journal_of(host: &Host) -> Journal {
    Journal::open(&host.mount, &host.paths.agent_meta(&host.run.agent)).unwrap()
}

fn record(host: &Host, n: u128) -> Record {
    update_record(log_of(host), &mut update("t", n, TaskRunning), true)
}

fn spill_all(journal: &mut Journal, host: &Host) {
    spill(&host.mount, &journal.begin_spill()).unwrap();
    journal.end_spill();
    assert!(!journal.has_unspilled());
}

/// How long a segment is without its room.
fn whole_of(host: &Host, path: &Path) -> usize {
    format::read(&host.mount.read(path).unwrap()).whole
}

/// A directory is no file, and no link, that could be read.
fn unreadable(host: &Host, path: &Path) {
    host.mount.remove(path).unwrap();
    host.mount.create_directory(path, Durability::Host).unwrap();
}

fn segment_of(host: &Host, number: u64) -> PathBuf {
    journal_segment(&host.paths.agent_meta(&host.run.agent), number)
}

#[test]
fn one_group_is_one_sync_for_any_number_of_tasks() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    let records: Vec<Record> = (0..50)
        .map(|n| {
            let log = host.paths.task_updates(&host.run, &TaskId::from(format!("t{n}")));
            update_record(log, &mut update("t", n, TaskRunning), false)
        })
        .collect();
    // In halves, and one sync.
    let disk = Killing::after(host.mount.clone(), 3);
    journal.write(&disk, &records).unwrap();
    assert_eq!(disk.left.load(Ordering::Relaxed), 0);
}

#[test]
fn the_tasks_own_logs_get_what_the_journal_has_and_the_journal_ends() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    journal.write(&host.mount, &[acknowledgement_record(log_of(&host), Uuid::from_u128(1))]).unwrap();
    assert!(journal.has_unspilled() && !host.mount.exists(log_of(&host).path()));
    spill_all(&mut journal, &host);
    let replay = replay_of(&host);
    assert_eq!((replay.updates.len(), replay.acknowledged.len()), (1, 1));
    let ended = journal.rotate(&host.mount).unwrap();
    assert_eq!(ended, [segment_of(&host, 1)]);
    retire(&host.mount, &ended).unwrap();
    assert!(!host.mount.exists(&ended[0]));
    host.disk.lose_power();
    assert_eq!(replay_of(&host), replay);
}

/// Its bytes are in the logs' order, and none is missing or there twice.
#[test]
fn groups_are_written_while_the_tasks_own_logs_are() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    let first = journal.begin_spill();
    journal.write(&host.mount, &[record(&host, 2)]).unwrap();
    // All of it is over.
    let (agent, path) = (log_of(&host).agent().to_path_buf(), log_of(&host).task().to_path_buf());
    journal.write(&host.mount, &[Record::Forget { agent, path }]).unwrap();
    spill(&host.mount, &first).unwrap();
    journal.end_spill();
    journal.write(&host.mount, &[record(&host, 3)]).unwrap();
    // Somebody has deleted it.
    host.mount.remove(log_of(&host).task()).unwrap();
    let second = journal.begin_spill();
    spill(&host.mount, &second).unwrap();
    let log = host.mount.read(log_of(&host).path()).unwrap();
    assert_eq!(log, [bytes_of(&record(&host, 2)), bytes_of(&record(&host, 3))].concat());
}

/// The garbage collector may be quicker than the task's own log is written, or even than what is being written now.
#[test]
fn what_is_over_and_was_removed_is_not_made_again() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    let log = log_of(&host);
    for has_begun in [false, true] {
        host.mount.create_directory(log.task(), Durability::Process).unwrap();
        journal.write(&host.mount, &[record(&host, 1)]).unwrap();
        let begun = has_begun.then(|| journal.begin_spill());
        let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
        journal.write(&host.mount, &[Record::Forget { agent, path }]).unwrap();
        host.mount.remove(log.task()).unwrap();
        let unspilled = begun.unwrap_or_else(|| journal.begin_spill());
        spill(&host.mount, &unspilled).unwrap();
        journal.end_spill();
        assert!(!host.mount.exists(log.task()), "{has_begun}");
    }
}

#[test]
fn a_journal_does_not_grow_without_end() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    let mut long = update("t", 1, TaskRunning);
    long.status.data = Some(vec![1; 6_000_000]);
    for round in 0..3 {
        let mut groups = 0;
        while !journal.is_full() {
            journal.write(&host.mount, &[update_record(log_of(&host), &mut long, groups == 0)]).unwrap();
            if journal.must_spill() {
                spill_all(&mut journal, &host);
            }
            groups += 1;
        }
        assert!(groups < 20, "{groups}");
        let ended = journal.rotate(&host.mount).unwrap();
        spill_all(&mut journal, &host);
        assert_eq!(ended, [segment_of(&host, round + 1)]);
        retire(&host.mount, &ended).unwrap();
    }
    assert!(segments(&host.mount, segment_of(&host, 1).parent().unwrap()).unwrap().is_empty());
}

/// Growing is what makes a sync slow.
#[test]
fn a_segment_has_room_that_few_groups_make_and_that_ends_with_it() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    let path = segment_of(&host, 1);
    let length = || host.mount.read(&path).unwrap().len();
    let mut lengths = BTreeSet::new();
    for n in 0..1000 {
        journal.write(&host.mount, &[record(&host, n)]).unwrap();
        lengths.insert(length());
    }
    assert!(lengths.len() < 7, "{lengths:?}");
    let whole = whole_of(&host, &path);
    assert!(
        *lengths.first().unwrap() < 20_000 && length() > whole && length() < 2 * whole,
        "{lengths:?} {whole}"
    );
    // The next process finds it.
    let before = length();
    assert_eq!(replay_of(&host).updates.len(), 1000);
    journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1000)]).unwrap();
    assert_eq!(length(), before);
    assert_eq!(replay_of(&host).updates.len(), 1001);
    let whole = whole_of(&host, &path);
    journal.rotate(&host.mount).unwrap();
    assert_eq!(length(), whole);
    // Only the last one has room.
    journal.write(&host.mount, &[record(&host, 1001)]).unwrap();
    host.mount.truncate(&path, whole as u64 + 1).unwrap();
    let error = host.read(true).unwrap_err().to_string();
    assert!(error.contains("updates.journal.1' is corrupt"), "{error}");
}

/// A group is written where a torn one was: nothing of that is left behind it.
#[test]
fn what_a_torn_group_has_left_in_the_room_is_never_read() {
    let mut tails = 0;
    for seed in 0..200 {
        let host = Host::with_task(seed, Durability::Process);
        let mut journal = journal_of(&host);
        journal.write(&host.mount, &[record(&host, 1)]).unwrap();
        let path = segment_of(&host, 1);
        // Acknowledgements are not synced: of many of them any may be there after a power failure.
        for n in 0..20 {
            journal.write(&host.mount, &[acknowledgement_record(log_of(&host), Uuid::from_u128(n))]).unwrap();
        }
        host.disk.lose_power();
        let bytes = host.mount.read(&path).unwrap();
        let found = format::read(&bytes);
        tails += usize::from(found.fault == Some(Fault::Torn));
        let known = replay_of(&host);
        let mut journal = journal_of(&host);
        // As long as one of those.
        let forty = acknowledgement_record(log_of(&host), Uuid::from_u128(40));
        journal.write(&host.mount, &[forty]).unwrap();
        let mut expected = known.acknowledged;
        expected.insert(Uuid::from_u128(40));
        assert_eq!(replay_of(&host).acknowledged, expected, "seed {seed}");
    }
    assert!(tails > 20, "{tails}");
}

#[test]
fn a_journal_of_the_version_before_is_read_and_gone_on_with_in_another_segment() {
    let host = Host::with_task(1, Durability::Process);
    journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
    let (first, second) = (segment_of(&host, 1), segment_of(&host, 2));
    let bytes = host.mount.read(&first).unwrap();
    let entries = format::read(&bytes).entries;
    let old = format::testing::old_segment(&[entries], true);
    host.mount.write(&first, &old, Durability::Host).unwrap();
    assert_eq!(replay_of(&host).updates.len(), 1);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 2)]).unwrap();
    assert_eq!(host.mount.read(&first).unwrap(), old);
    assert!(host.mount.read(&second).unwrap().starts_with(format::HEAD));
    assert_eq!(replay_of(&host).updates.len(), 2);
    let mut journal = journal_of(&host);
    assert_eq!(journal.rotate(&host.mount).unwrap(), [first, second]);
}

#[test]
fn a_torn_group_is_cut_off_and_the_next_one_follows() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    let path = segment_of(&host, 1);
    let whole = whole_of(&host, &path);
    journal.write(&host.mount, &[record(&host, 2)]).unwrap();
    let length = whole_of(&host, &path);
    for torn in whole + 1..length {
        for has_room in [true, false] {
            host.mount.truncate(&path, torn as u64).unwrap();
            if has_room {
                host.mount.truncate(&path, length as u64 + 1000).unwrap();
            }
            assert_eq!(replay_of(&host).updates.len(), 1, "{torn} of {length} bytes");
            assert_eq!(host.mount.read(&path).unwrap().len(), whole, "{torn} of {length} bytes");
            journal_of(&host).write(&host.mount, &[record(&host, 2)]).unwrap();
        }
    }
    assert_eq!(replay_of(&host).updates.len(), 2);
}

#[test]
fn a_damaged_middle_stops_a_strict_agent_with_the_name_of_the_file_and_is_counted_by_another() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    for n in 1..=3 {
        journal.write(&host.mount, &[record(&host, n)]).unwrap();
    }
    let path = segment_of(&host, 1);
    let mut bytes = host.mount.read(&path).unwrap();
    let middle = format::read(&bytes).whole / 2 + 100;
    bytes[middle] ^= 1;
    host.mount.write(&path, &bytes, Durability::Host).unwrap();
    let error = host.read(true).unwrap_err().to_string();
    assert!(error.contains("updates.journal.1' is corrupt"), "{error}");
    assert_eq!(host.mount.read(&path).unwrap(), bytes, "nothing was lost by looking at it");
    let kept = host.read(false).unwrap();
    assert_eq!(kept.errors, 1);
    let found = kept.agent.unwrap().frameworks[0].executors[0].run.tasks[0].replay.updates.len();
    assert!(found < 3, "{found}");
    // What follows is found again.
    journal_of(&host).write(&host.mount, &[record(&host, 4)]).unwrap();
    assert_eq!(replay_of(&host).updates.len(), found + 1);
}

/// As where a sector of its disk is bad.
#[test]
fn a_segment_that_cannot_be_read_stops_a_strict_agent_and_another_goes_on_without_what_is_in_it() {
    let host = Host::with_task(1, Durability::Process);
    journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
    let path = segment_of(&host, 1);
    unreadable(&host, &path);
    let error = host.read(true).unwrap_err().to_string();
    assert!(error.contains("failed to read") && error.contains("updates.journal.1'"), "{error}");
    assert_eq!(host.read(false).unwrap().errors, 1);
    // What follows is found again.
    journal_of(&host).write(&host.mount, &[record(&host, 2)]).unwrap();
    let kept = host.read(false).unwrap();
    assert_eq!(kept.errors, 1);
    let found = kept.agent.unwrap().frameworks[0].executors[0].run.tasks[0].replay.updates.len();
    assert_eq!(found, 1);
    assert!(host.mount.exists(&path), "it may be read another time");
}

#[test]
fn what_leads_to_updates_and_cannot_be_read_stops_a_strict_agent_and_is_counted_by_another() {
    for owner in log_of(&Host::new(1)).owners() {
        let host = Host::with_task(1, Durability::Host);
        journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
        let path = owner.path();
        unreadable(&host, path);
        let error = host.read(true).unwrap_err().to_string();
        assert!(error.contains(&format!("failed to read '{}'", path.display())), "{error}");
        let kept = host.read(false).unwrap();
        assert_eq!(kept.errors, 1, "{}", path.display());
        assert!(kept.agent.is_some());
    }
}

/// As one that is full: what it does not take was promised, and `--no-strict` is about what cannot be read.
#[test]
fn what_the_journal_has_and_the_disk_does_not_take_stops_every_agent_and_is_not_lost() {
    for strict in [true, false] {
        let mut host = Host::with_task(1, Durability::Host);
        journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
        // The journal is synced, and its name; then the task's log is written.
        host.disk.kill_after(2, false, |_| {});
        let error = host.read(strict).unwrap_err().to_string();
        let log = log_of(&host).path().display().to_string();
        assert!(error.contains(&format!("failed to write '{log}'")), "{error}");
        host.mount = host.disk.mount();
        assert_eq!(replay_of(&host).updates.len(), 1);
    }
}

#[test]
fn a_last_group_that_is_damaged_is_torn_only_after_a_boot() {
    let host = Host::with_task(1, Durability::Host);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    journal.write(&host.mount, &[record(&host, 2)]).unwrap();
    let path = segment_of(&host, 1);
    let mut bytes = host.mount.read(&path).unwrap();
    let last = format::read(&bytes).whole - 1;
    bytes[last] ^= 1;
    host.mount.write(&path, &bytes, Durability::Host).unwrap();
    assert!(host.read(true).is_err());
    host.disk.lose_power();
    assert_eq!(replay_of(&host).updates.len(), 1);
}

/// Its logs were synced one by one, but for the acknowledgements at their end.
#[test]
fn logs_of_an_agent_without_a_journal_are_read_and_gone_on_with() {
    for seed in 0..50 {
        let host = Host::with_task(seed, Durability::Host);
        let (disk, log) = (&host.mount, log_of(&host));
        let old = [bytes_of(&record(&host, 1)).to_vec(), bytes_of(&record(&host, 2)).to_vec()].concat();
        disk.append(log.path(), &old, Durability::Host).unwrap();
        disk.sync_directory(log.task()).unwrap();
        let acknowledgement = acknowledgement_record(log.clone(), Uuid::from_u128(1));
        disk.append(log.path(), bytes_of(&acknowledgement), Durability::Process).unwrap();
        let before = replay_of(&host);
        assert_eq!((before.updates.len(), before.acknowledged.len()), (2, 1));
        journal_of(&host).write(disk, &[record(&host, 3)]).unwrap();
        host.disk.lose_power();
        let after = replay_of(&host);
        assert_eq!((after.updates.len(), after.acknowledged.len()), (3, 1), "seed {seed}");
    }
}

/// An operator went back to an agent without a journal for a while.
#[test]
fn what_an_earlier_version_wrote_behind_the_journal_stays() {
    let host = Host::with_task(1, Durability::Host);
    let mut journal = journal_of(&host);
    journal.write(&host.mount, &[record(&host, 1)]).unwrap();
    spill_all(&mut journal, &host);
    host.mount.append(log_of(&host).path(), bytes_of(&record(&host, 2)), Durability::Host).unwrap();
    assert_eq!(replay_of(&host).updates.len(), 2);
    journal_of(&host).write(&host.mount, &[record(&host, 3)]).unwrap();
    assert_eq!(replay_of(&host).updates.len(), 3);
}

#[test]
fn what_is_over_is_not_brought_back_once_it_was_deleted() {
    let host = Host::with_task(1, Durability::Host);
    let mut journal = journal_of(&host);
    let log = log_of(&host);
    let last = update_record(log.clone(), &mut update("t", 1, TaskFinished), true);
    let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
    let acknowledgement = acknowledgement_record(log.clone(), Uuid::from_u128(1));
    journal.write(&host.mount, &[last]).unwrap();
    journal.write(&host.mount, &[acknowledgement, Record::Forget { agent, path }]).unwrap();
    // Only its acknowledgement may be missing.
    assert_eq!(replay_of(&host).acknowledged.len(), 1);
    host.mount.remove(log.task()).unwrap();
    assert!(host.read(true).unwrap().agent.unwrap().frameworks[0].executors[0].run.tasks.is_empty());
    assert!(!host.mount.exists(log.task()));
    // The whole framework is over.
    let other = host.paths.task_updates(&host.run, &TaskId::from("other"));
    let record = update_record(other.clone(), &mut update("other", 2, TaskRunning), true);
    let (agent, path) = (other.agent().to_path_buf(), other.framework().to_path_buf());
    journal.write(&host.mount, &[record, Record::Forget { agent, path }]).unwrap();
    host.mount.remove(other.framework()).unwrap();
    assert!(host.read(true).unwrap().agent.unwrap().frameworks.is_empty());
}

#[test]
fn a_task_with_the_id_of_one_that_is_over_has_a_log_of_its_own() {
    for seed in 0..100 {
        let host = Host::with_task(seed, Durability::Process);
        let mut journal = journal_of(&host);
        let log = log_of(&host);
        let (agent, path) = (log.agent().to_path_buf(), log.task().to_path_buf());
        let last = update_record(log.clone(), &mut update("t", 1, TaskFinished), true);
        journal.write(&host.mount, &[last]).unwrap();
        if seed % 2 == 0 {
            spill_all(&mut journal, &host);
        }
        let over = Record::Forget { agent: agent.clone(), path: path.clone() };
        let acknowledgement = acknowledgement_record(log.clone(), Uuid::from_u128(1));
        journal.write(&host.mount, &[acknowledgement, over]).unwrap();
        journal.write(&host.mount, &[Record::Remove { agent, path }]).unwrap();
        assert!(!host.mount.exists(log.task()));
        // It says something else of itself.
        let mut second = crate::tasks::status::testing::task_info("t", "cpus:1");
        second.name = "second".into();
        let second = mesos::tasks::new_task(&second, TaskRunning, &host.run.framework);
        write_message(&host.mount, &log.task_info(), &second, Durability::Process).unwrap();
        assert_eq!(replay_of(&host), Replay::default());
        journal.write(&host.mount, &[record(&host, 2)]).unwrap();
        if seed % 3 == 0 {
            spill_all(&mut journal, &host);
        }
        host.disk.lose_power();
        let agent = host.read(true).unwrap().agent.unwrap();
        let kept = &agent.frameworks[0].executors[0].run.tasks[0];
        assert_eq!((kept.task.name.as_str(), kept.replay.updates.len()), ("second", 1), "seed {seed}");
        assert_eq!(kept.replay.updates[0].uuid.as_deref(), Some(&Uuid::from_u128(2).as_bytes()[..]));
    }
}

/// The framework said something else of itself after the journal had a copy.
#[test]
fn an_owner_that_changed_is_not_replaced_by_the_copy_of_the_journal() {
    for seed in 0..50 {
        let host = Host::with_task(seed, Durability::Process);
        journal_of(&host).write(&host.mount, &[record(&host, 1)]).unwrap();
        let path = host.paths.framework_info(&host.run.agent, &host.run.framework);
        let info =
            mesos::v1::FrameworkInfo { name: "renamed".into(), user: "u".into(), ..Default::default() };
        write_message(&host.mount, &path, &info, Durability::Host).unwrap();
        host.disk.lose_power();
        let agent = host.read(true).unwrap().agent.unwrap();
        assert_eq!(agent.frameworks[0].info.name, "renamed", "seed {seed}");
        assert_eq!(replay_of(&host).updates.len(), 1);
    }
}

/// It was over, and what was kept of it was deleted. The journal still has the copies from then.
#[test]
fn a_framework_that_comes_again_is_found_as_it_is_now() {
    for seed in 0..50 {
        let host = Host::with_task(seed, Durability::Process);
        let mut journal = journal_of(&host);
        journal.write(&host.mount, &[record(&host, 1)]).unwrap();
        let log = log_of(&host);
        let (agent, framework) = (log.agent().to_path_buf(), log.framework().to_path_buf());
        // Of a framework whose tasks had all ended before, only their ends are noted.
        let over = if seed % 2 == 0 { log.task() } else { log.framework() }.to_path_buf();
        journal.write(&host.mount, &[Record::Forget { agent, path: over }]).unwrap();
        spill_all(&mut journal, &host);
        host.mount.remove(&framework).unwrap();
        host.mount.sync_directory(framework.parent().unwrap()).unwrap();

        host.keep_owners(Durability::Process);
        let path = host.paths.framework_info(&host.run.agent, &host.run.framework);
        // Nothing is synced where nothing was before.
        host.mount.remove(&path).unwrap();
        host.mount.sync_directory(&framework).unwrap();
        let info =
            mesos::v1::FrameworkInfo { name: "renamed".into(), user: "u".into(), ..Default::default() };
        write_message(&host.mount, &path, &info, Durability::Process).unwrap();
        journal.write(&host.mount, &[record(&host, 2)]).unwrap();
        host.disk.lose_power();
        let agent = host.read(true).unwrap().agent.unwrap();
        assert_eq!(agent.frameworks[0].info.name, "renamed", "seed {seed}");
        assert_eq!(replay_of(&host).updates.len(), 1, "seed {seed}");
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_an_error_that_names_the_file() {
    let host = Host::with_task(1, Durability::Process);
    let mut journal = journal_of(&host);
    let records = [record(&host, 1)];
    host.disk.set_broken(Some("no space left on device"));
    let error = journal.write(&host.mount, &records).unwrap_err().to_string();
    assert!(error.contains("framework") || error.contains("updates"), "{error}");
    assert!(error.contains("no space left"), "{error}");
}

/// A disk writes in any order: what follows may be whole.
#[test]
fn a_hole_in_what_was_not_synced_is_cut_off_after_a_boot_and_one_in_what_was_stops_a_strict_agent() {
    let acknowledgement = |host: &Host, n| acknowledgement_record(log_of(host), Uuid::from_u128(n));
    let hole_in = |synced: bool| {
        let host = Host::with_task(1, Durability::Host);
        let mut journal = journal_of(&host);
        journal.write(&host.mount, &[record(&host, 1), record(&host, 2)]).unwrap();
        let path = segment_of(&host, 1);
        let promised = whole_of(&host, &path);
        journal.write(&host.mount, &[acknowledgement(&host, 1)]).unwrap();
        let end = whole_of(&host, &path);
        if synced {
            journal.write(&host.mount, &[record(&host, 3)]).unwrap();
        }
        journal.write(&host.mount, &[acknowledgement(&host, 2)]).unwrap();
        let mut bytes = host.mount.read(&path).unwrap();
        bytes[promised + 5..end].fill(0);
        host.mount.write(&path, &bytes, Durability::Host).unwrap();
        assert!(host.read(true).unwrap_err().to_string().contains("updates.journal.1' is corrupt"));
        host.disk.lose_power();
        (host, promised)
    };
    let (host, promised) = hole_in(false);
    let replay = replay_of(&host);
    assert_eq!((replay.updates.len(), replay.acknowledged.len()), (2, 0));
    assert_eq!(host.mount.read(&segment_of(&host, 1)).unwrap().len(), promised);
    let (host, _) = hole_in(true);
    assert!(host.read(true).unwrap_err().to_string().contains("updates.journal.1' is corrupt"));
}
