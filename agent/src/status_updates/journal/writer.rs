//! Writing the journal: groups, the tasks' own logs, and the end of a segment.

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use libprocess::disk::{Disk, Durability};
use mesos::sabotage::{Bug, is_on};

use super::format::{Entry, HEAD, frame};
use super::segments;
use crate::recovery::checkpoint::{DiskError, make_directory, sync_directory};
use crate::recovery::paths::{Owner, UpdatesPath, journal_segment};

/// How long a segment gets before the next one is begun, in bytes: what a start has to do again at most (and as much
/// again, while it is being retired).
const SEGMENT: u64 = 64 << 20;
/// How much waits in memory for the tasks' own logs, in bytes.
const UNSPILLED: usize = 4 << 20;
/// How many of the tasks' own logs are written in one go: whoever waits for the next group waits for that, too. With many
/// of them, it is all in so many goes.
const SPILLED_AT_ONCE: usize = 32;
const GOES: usize = 8;
/// A group is divided into frames of some such size, in bytes.
const FRAME: usize = 1 << 20;

/// Something to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The next bytes of a task's log.
    Log {
        /// The log.
        log: UpdatesPath,
        /// The record, encoded, with its length.
        bytes: Vec<u8>,
        /// Whether somebody waits until it is on the disk. Acknowledgements need not be: one that is lost leads to one
        /// repetition more.
        sync: bool,
        /// Whether it is the first of its log that this process writes: what leads to the log may not be synced yet.
        first: bool,
    },
    /// A task or a framework is over: nobody needs what is kept of it, and it may be deleted.
    Forget {
        /// The agent's directory.
        agent: PathBuf,
        /// The directory of the task or framework.
        path: PathBuf,
    },
    /// What is kept of a task that is over goes at once: another one of the same id will have its place.
    Remove {
        /// The agent's directory.
        agent: PathBuf,
        /// The directory of the task.
        path: PathBuf,
    },
}

impl Record {
    /// The directory of the agent whose journal it belongs to.
    pub fn agent(&self) -> &Path {
        match self {
            Record::Log { log, .. } => log.agent(),
            Record::Forget { agent, .. } | Record::Remove { agent, .. } => agent,
        }
    }

    /// Whether its group is synced. What is over must not come back when it was deleted.
    pub(super) fn needs_sync(&self) -> bool {
        !matches!(self, Record::Log { sync: false, .. })
    }
}

/// A log of which this process has written something.
#[derive(Debug)]
struct Log {
    /// Its length, with what waits.
    length: u64,
    /// What waits to be written to the log itself.
    unspilled: Vec<u8>,
    /// Nothing more is expected.
    over: bool,
}

/// The journal of one agent, being written.
#[derive(Debug)]
pub struct Journal {
    /// The agent's.
    directory: PathBuf,
    segment: u64,
    /// How long the segment is; 0 if there is none yet.
    length: u64,
    /// How much of it is on the disk for sure.
    synced: u64,
    /// Segments before this one.
    older: Vec<PathBuf>,
    /// Owners of which this segment has a copy.
    carried: BTreeSet<PathBuf>,
    logs: BTreeMap<PathBuf, Log>,
    /// Logs for which something waits, in the order in which it came.
    waiting: VecDeque<PathBuf>,
    /// How many bytes wait.
    unspilled: usize,
    /// How many of the logs that wait are being written, and how many of them in one go.
    spilling: usize,
    at_once: usize,
}

impl Journal {
    /// Goes on with the journal in an agent's directory, or begins one. What is in it was done again
    /// ([`redo()`](super::redo())).
    ///
    /// # Errors
    /// The disk's, with the name of the file.
    pub fn open(disk: &dyn Disk, directory: &Path) -> Result<Journal, DiskError> {
        let mut numbers = segments(disk, directory)?;
        let last = numbers.pop();
        let (segment, length) = match last {
            Some(number) => {
                let path = journal_segment(directory, number);
                (number, disk.read(&path).map_err(DiskError::reading(&path))?.len() as u64)
            }
            None => {
                // What the logs have was not written through a journal: it must be on the disk before this one goes on
                // behind it.
                if disk.exists(directory) {
                    disk.sync_all(directory).map_err(DiskError::writing(directory))?;
                }
                (1, 0)
            }
        };
        Ok(Journal {
            older: numbers.into_iter().map(|number| journal_segment(directory, number)).collect(),
            directory: directory.to_path_buf(),
            segment,
            length,
            // What was found was synced before it was used.
            synced: length,
            carried: BTreeSet::new(),
            logs: BTreeMap::new(),
            waiting: VecDeque::new(),
            unspilled: 0,
            spilling: 0,
            at_once: 0,
        })
    }

    /// The agent's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a group of records of this agent, in order, with one sync if any asks for it. After an error the end of
    /// the journal is unknown: nothing more may be written.
    ///
    /// # Errors
    /// The disk's, with the name of the file. Nothing of the group is promised then.
    pub fn write(&mut self, disk: &dyn Disk, records: &[Record]) -> Result<(), DiskError> {
        if records.is_empty() {
            return Ok(());
        }
        let sync = records.iter().any(Record::needs_sync) && !is_on(Bug::PromisesBeforeSync);
        let is_new = self.length == 0;
        let mut bytes = if is_new { HEAD.to_vec() } else { Vec::new() };
        let mut entries = Vec::new();
        let mut size = 0;
        for record in records {
            size += self.enter(disk, record, &mut entries)?;
            if size >= FRAME {
                bytes.extend(frame(&std::mem::take(&mut entries), self.synced));
                size = 0;
            }
        }
        if !entries.is_empty() {
            bytes.extend(frame(&entries, self.synced));
        }
        let path = journal_segment(&self.directory, self.segment);
        if is_new {
            make_directory(disk, &self.directory, Durability::Host)?;
        }
        // The name of a new segment must be there as well, whoever asked first.
        let durability = if sync || is_new { Durability::Host } else { Durability::Process };
        disk.append(&path, &bytes, durability).map_err(DiskError::writing(&path))?;
        if is_new {
            sync_directory(disk, &self.directory)?;
        }
        self.length += bytes.len() as u64;
        if durability == Durability::Host {
            self.synced = self.length;
        }
        Ok(())
    }

    /// What one record adds to a group; its size.
    fn enter(
        &mut self,
        disk: &dyn Disk,
        record: &Record,
        entries: &mut Vec<Entry>,
    ) -> Result<usize, DiskError> {
        match record {
            Record::Log { log, bytes, first, .. } => {
                let mut size = bytes.len();
                if *first {
                    size += self.carry_owners(disk, log, entries)?;
                }
                let path = log.path();
                let below = self.below(path)?;
                let log = match self.logs.entry(path.to_path_buf()) {
                    Slot::Occupied(slot) => slot.into_mut(),
                    Slot::Vacant(slot) => {
                        let length = length_of(disk, path)?;
                        slot.insert(Log { length, unspilled: Vec::new(), over: false })
                    }
                };
                entries.push(Entry::Log { path: below, offset: log.length, bytes: bytes.clone() });
                log.length += bytes.len() as u64;
                if log.unspilled.is_empty() {
                    self.waiting.push_back(path.to_path_buf());
                }
                log.unspilled.extend_from_slice(bytes);
                log.over = false;
                self.unspilled += bytes.len();
                Ok(size)
            }
            Record::Forget { path, .. } => {
                entries.push(Entry::Forget { path: self.below(path)? });
                for (_, log) in
                    self.logs.range_mut(path.clone()..).take_while(|(log, _)| log.starts_with(path))
                {
                    log.over = true;
                }
                Ok(0)
            }
            Record::Remove { path, .. } => {
                let below = self.below(path)?;
                // First, and for good: an agent that dies in between finds nothing there, and no other task either.
                remove(disk, path)?;
                self.carried.retain(|owner| !owner.starts_with(path));
                self.logs.retain(|log, _| !log.starts_with(path));
                self.waiting.retain(|log| !log.starts_with(path));
                self.spilling = self.spilling.min(self.waiting.len());
                self.unspilled = self.logs.values().map(|log| log.unspilled.len()).sum();
                entries.push(Entry::Removed { path: below });
                Ok(0)
            }
        }
    }

    /// Adds copies of the files that say whose updates a log has, unless the segment has them.
    fn carry_owners(
        &mut self,
        disk: &dyn Disk,
        log: &UpdatesPath,
        entries: &mut Vec<Entry>,
    ) -> Result<usize, DiskError> {
        let mut size = 0;
        for owner in log.owners() {
            let is_known = !self.carried.insert(owner.path().to_path_buf());
            // A link may lead elsewhere than before: to a later run.
            if is_known && matches!(owner, Owner::File(_)) {
                continue;
            }
            let path = self.below(owner.path())?;
            let read = match &owner {
                Owner::File(file) => disk.read(file).map(|content| {
                    size += content.len();
                    Entry::Owner { path, content }
                }),
                Owner::Link(link) => disk.read_link(link).map(|target| {
                    let target = target.to_string_lossy().into_owned();
                    Entry::OwnerLink { path, target }
                }),
            };
            match read {
                Ok(entry) => entries.push(entry),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(DiskError::reading(owner.path())(error)),
            }
        }
        Ok(size)
    }

    /// A path without the agent's directory. Every part of it is an id or a name of ours, and so is text.
    fn below(&self, path: &Path) -> Result<String, DiskError> {
        let below = path.strip_prefix(&self.directory).ok().and_then(Path::to_str);
        below.map(str::to_owned).ok_or_else(|| DiskError::Corrupt {
            path: path.to_path_buf(),
            reason: format!("it is not below '{}'", self.directory.display()),
        })
    }

    /// Whether something waits for the tasks' own logs.
    pub fn has_unspilled(&self) -> bool {
        self.unspilled > 0
    }

    /// Whether too much does.
    pub fn must_spill(&self) -> bool {
        self.unspilled >= UNSPILLED
    }

    /// What waits now is to be written to the tasks' own logs, by [`Journal::spill`].
    pub fn begin_spill(&mut self) {
        self.spilling = self.waiting.len();
        self.at_once = self.spilling.div_ceil(GOES).max(SPILLED_AT_ONCE);
    }

    /// Whether some of that is left.
    pub fn is_spilling(&self) -> bool {
        self.spilling > 0
    }

    /// Writes to some of the tasks' own logs what waits for them, without a sync.
    ///
    /// # Errors
    /// The disk's, with the name of the file.
    pub fn spill(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        for _ in 0..self.at_once.min(self.spilling) {
            self.spilling -= 1;
            let Some(path) = self.waiting.pop_front() else { break };
            let Some(log) = self.logs.get_mut(&path) else { continue };
            // It was made with the task, unless that was deleted by hand.
            make_directory(disk, path.parent().unwrap_or(Path::new(".")), Durability::Process)?;
            let bytes = std::mem::take(&mut log.unspilled);
            disk.append(&path, &bytes, Durability::Process).map_err(DiskError::writing(&path))?;
            self.unspilled -= bytes.len();
        }
        if !self.is_spilling() {
            self.logs.retain(|_, log| !log.over || !log.unspilled.is_empty());
        }
        Ok(())
    }

    /// Whether the segment is so long that the next one should begin.
    pub fn is_full(&self) -> bool {
        self.length >= SEGMENT
    }

    /// Ends a segment. Those that are returned are needed no longer once everything that was written until now is on
    /// the disk ([`retire`]).
    ///
    /// # Errors
    /// The disk's, with the name of the file.
    pub fn rotate(&mut self, disk: &dyn Disk) -> Result<Vec<PathBuf>, DiskError> {
        if self.length == 0 {
            return Ok(Vec::new());
        }
        let path = journal_segment(&self.directory, self.segment);
        // Only the last segment may be torn.
        disk.sync_file(&path).map_err(DiskError::writing(&path))?;
        while self.has_unspilled() {
            self.begin_spill();
            self.spill(disk)?;
        }
        self.segment += 1;
        (self.length, self.synced) = (0, 0);
        self.carried.clear();
        self.older.push(path);
        Ok(std::mem::take(&mut self.older))
    }
}

/// Removes a directory for good.
fn remove(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(DiskError::writing(path)(error));
        }
        // The garbage collector may have been first, and does not sync.
        _ => {}
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    if disk.exists(parent) { sync_directory(disk, parent) } else { Ok(()) }
}

/// The length of a file; 0 if there is none.
fn length_of(disk: &dyn Disk, path: &Path) -> Result<u64, DiskError> {
    match disk.read(path) {
        Ok(bytes) => Ok(bytes.len() as u64),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(DiskError::reading(path)(error)),
    }
}

/// Removes segments, once everything that they would do again is on the disk, with one sync of the file system: logs,
/// owners, and the directories that lead to them. It waits for all that others write there as well; nobody waits for
/// it.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn retire(disk: &dyn Disk, directory: &Path, segments: &[PathBuf]) -> Result<(), DiskError> {
    disk.sync_all(directory).map_err(DiskError::writing(directory))?;
    for segment in segments {
        disk.remove(segment).map_err(DiskError::writing(segment))?;
    }
    // A segment may not come back when the one that followed it is gone.
    sync_directory(disk, directory)
}
