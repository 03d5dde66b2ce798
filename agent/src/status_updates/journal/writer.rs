//! Writing the journal: groups, the tasks' own logs, and the end of a segment.
//!
//! A segment has room beyond its last group, zeros that are on the disk: to sync a group there, the disk need not learn of
//! another length of the file, which would be a write of its own (half the time of a sync: docs/performance.md). Room is
//! made with the group for which there is none left.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libprocess::disk::{Disk, Durability};
use mesos::sabotage::{Bug, is_on};

use super::format::{self, Entry, Frames, HEAD};
use super::segments;
use crate::recovery::checkpoint::{DiskError, make_directory, sync_directory};
use crate::recovery::paths::{Owner, UpdatesPath, journal_segment};

/// How long a segment gets before the next one is begun, in bytes: what a start has to do again at most (and as much
/// again, while it is being retired).
const SEGMENT: u64 = 64 << 20;
/// How much room is made behind a group, in bytes: as much as there is in the segment, so that a journal of few updates
/// stays small. More would make the group wait that makes it.
const ROOM: std::ops::RangeInclusive<u64> = 16 << 10..=512 << 10;
/// How much waits in memory for the tasks' own logs until they are written early, in bytes, and how much may wait while
/// they are being written.
const UNSPILLED: usize = 4 << 20;
const UNSPILLED_AT_MOST: usize = 16 << 20;
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

    /// Whether it takes away what may just be written to the tasks' own logs: a group with it waits for that.
    pub fn removes(&self) -> bool {
        matches!(self, Record::Remove { .. })
    }
}

/// What is to be written to one of the tasks' own logs.
#[derive(Debug)]
pub struct Unspilled {
    log: PathBuf,
    bytes: Vec<u8>,
    over: Arc<AtomicBool>,
}

/// A log of which this process has written something.
#[derive(Debug)]
struct Log {
    /// Where it is.
    path: PathBuf,
    /// Its length, with what waits.
    length: u64,
    /// What waits to be written to the log itself.
    unspilled: Vec<u8>,
    /// Nothing more is expected, and what is there may be deleted. Who writes to the log sees it, too.
    over: Arc<AtomicBool>,
}

/// The journal of one agent, being written.
#[derive(Debug)]
pub struct Journal {
    /// The agent's.
    directory: PathBuf,
    segment: u64,
    /// How long the segment is, without its room; 0 if there is none yet.
    length: u64,
    /// How long its file is.
    allocated: u64,
    /// How much of it is on the disk for sure.
    synced: u64,
    /// Segments before this one.
    older: Vec<PathBuf>,
    /// Files of owners of which this segment has a copy, with a hash of that: whoever is there next, as a framework that
    /// comes again, may say something else of itself.
    carried: BTreeMap<PathBuf, u64>,
    /// By their paths below the agent's directory: texts, which are compared faster than paths.
    logs: BTreeMap<String, Log>,
    /// Logs for which something waits, in the order in which it came.
    waiting: Vec<String>,
    /// How many bytes wait.
    unspilled: usize,
}

impl Journal {
    /// Goes on with the journal in an agent's directory, or begins one. What is in it was done again
    /// ([`redo()`](super::redo())).
    ///
    /// # Errors
    /// The disk's, with the name of the file.
    pub fn open(disk: &dyn Disk, directory: &Path) -> Result<Journal, DiskError> {
        let mut numbers = segments(disk, directory)?;
        let (segment, length, allocated) = match numbers.last().copied() {
            Some(number) => {
                let path = journal_segment(directory, number);
                let bytes = disk.read(&path).map_err(DiskError::reading(&path))?;
                let found = format::read(&bytes);
                if found.is_old {
                    (number + 1, 0, 0)
                } else {
                    numbers.pop();
                    // A torn group is not there any more (`redo`).
                    let length = if found.fault.is_none() { found.whole } else { bytes.len() };
                    (number, length as u64, bytes.len() as u64)
                }
            }
            None => {
                // What the logs have was not written through a journal: it must be on the disk before this one goes on
                // behind it.
                if disk.exists(directory) {
                    disk.sync_all(directory).map_err(DiskError::writing(directory))?;
                }
                (1, 0, 0)
            }
        };
        Ok(Journal {
            older: numbers.into_iter().map(|number| journal_segment(directory, number)).collect(),
            directory: directory.to_path_buf(),
            segment,
            length,
            allocated,
            // What was found was synced before it was used.
            synced: length,
            carried: BTreeMap::new(),
            logs: BTreeMap::new(),
            waiting: Vec::new(),
            unspilled: 0,
        })
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
        let mut frames = Frames::after(if is_new { HEAD } else { b"" }, self.synced, FRAME);
        for record in records {
            self.enter(disk, record, &mut frames)?;
        }
        let bytes = frames.finish();
        let path = journal_segment(&self.directory, self.segment);
        if is_new {
            make_directory(disk, &self.directory, Durability::Host)?;
        }
        // The name of a new segment must be there as well, whoever asked first.
        let durability = if sync || is_new { Durability::Host } else { Durability::Process };
        self.make_room(disk, &path, bytes.len() as u64)?;
        disk.write_at(&path, self.length, &bytes, durability).map_err(DiskError::writing(&path))?;
        if is_new {
            sync_directory(disk, &self.directory)?;
        }
        self.length += bytes.len() as u64;
        if durability == Durability::Host {
            self.synced = self.length;
        }
        Ok(())
    }

    /// Lengthens the file of the segment if there is no room for so many bytes. Nothing is synced.
    fn make_room(&mut self, disk: &dyn Disk, path: &Path, bytes: u64) -> Result<(), DiskError> {
        let length = self.length + bytes;
        if length <= self.allocated {
            return Ok(());
        }
        let room = length.clamp(*ROOM.start(), *ROOM.end());
        let zeros = vec![0; usize::try_from(room).unwrap_or(0)];
        disk.write_at(path, length, &zeros, Durability::Process).map_err(DiskError::writing(path))?;
        self.allocated = length + room;
        Ok(())
    }

    /// Adds a record to a group.
    fn enter(&mut self, disk: &dyn Disk, record: &Record, frames: &mut Frames) -> Result<(), DiskError> {
        match record {
            Record::Log { log, bytes, first, .. } => {
                if *first {
                    self.carry_owners(disk, log, frames)?;
                }
                let path = log.path();
                let below = below(&self.directory, path)?;
                if !self.logs.contains_key(below) {
                    let length = length_of(disk, path)?;
                    let (path, over) = (path.to_path_buf(), Arc::default());
                    let log = Log { path, length, unspilled: Vec::new(), over };
                    self.logs.insert(below.to_owned(), log);
                }
                if let Some(log) = self.logs.get_mut(below) {
                    if log.unspilled.is_empty() {
                        self.waiting.push(below.to_owned());
                    }
                    frames.add(Entry::Log { path: below, offset: log.length, bytes });
                    log.length += bytes.len() as u64;
                    log.unspilled.extend_from_slice(bytes);
                    log.over.store(false, Ordering::Release);
                    self.unspilled += bytes.len();
                }
            }
            Record::Forget { path, .. } => {
                let below = below(&self.directory, path)?;
                let logs = self.logs.range(format!("{below}/")..);
                for (_, log) in logs.take_while(|(log, _)| is_below(log, below)) {
                    log.over.store(true, Ordering::Release);
                }
                frames.add(Entry::Forget { path: below });
            }
            Record::Remove { path, .. } => {
                let below = below(&self.directory, path)?;
                // First, and for good: an agent that dies in between finds nothing there, and no other task either.
                remove(disk, path)?;
                self.carried.retain(|owner, _| !owner.starts_with(path));
                self.logs.retain(|log, _| !is_below(log, below));
                self.waiting.retain(|log| !is_below(log, below));
                self.unspilled = self.logs.values().map(|log| log.unspilled.len()).sum();
                frames.add(Entry::Removed { path: below });
            }
        }
        Ok(())
    }

    /// Adds copies of what says whose updates a log has: of files, unless the segment has them as they are now. A link may
    /// lead elsewhere than before, to a later run, and is short.
    fn carry_owners(
        &mut self,
        disk: &dyn Disk,
        log: &UpdatesPath,
        frames: &mut Frames,
    ) -> Result<(), DiskError> {
        for owner in log.owners() {
            let path = below(&self.directory, owner.path())?;
            let carried = match &owner {
                Owner::File(file) => disk.read(file).map(|content| {
                    let mut hasher = DefaultHasher::new();
                    hasher.write(&content);
                    let hash = hasher.finish();
                    if self.carried.insert(file.clone(), hash) != Some(hash) {
                        frames.add(Entry::Owner { path, content: &content });
                    }
                }),
                Owner::Link(link) => disk.read_link(link).map(|target| {
                    frames.add(Entry::OwnerLink { path, target: &target.to_string_lossy() });
                }),
            };
            match carried {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(DiskError::reading(owner.path())(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether something waits for the tasks' own logs.
    pub fn has_unspilled(&self) -> bool {
        self.unspilled > 0
    }

    /// Whether too much does.
    pub fn must_spill(&self) -> bool {
        self.unspilled >= UNSPILLED
    }

    /// Whether so much does that no group should be added while the logs are being written.
    pub fn is_flooded(&self) -> bool {
        self.unspilled >= UNSPILLED_AT_MOST
    }

    /// What waits now, to be written to the tasks' own logs by [`spill`]: the next group may be written beside that, but
    /// for one that [removes](Record::removes) something. [`Journal::end_spill`] ends it.
    pub fn begin_spill(&mut self) -> Vec<Unspilled> {
        self.unspilled = 0;
        let logs = std::mem::take(&mut self.waiting).into_iter();
        logs.filter_map(|log| {
            let log = self.logs.get_mut(&log)?;
            let (path, over) = (log.path.clone(), Arc::clone(&log.over));
            Some(Unspilled { log: path, bytes: std::mem::take(&mut log.unspilled), over })
        })
        .collect()
    }

    /// What [`Journal::begin_spill`] gave is in the tasks' own logs.
    pub fn end_spill(&mut self) {
        self.logs.retain(|_, log| !log.over.load(Ordering::Acquire) || !log.unspilled.is_empty());
    }

    /// Whether the segment is so long that the next one should begin.
    pub fn is_full(&self) -> bool {
        self.length >= SEGMENT
    }

    /// Ends a segment. Those that are returned are needed no longer once all that waits now, or is being written, is in the
    /// tasks' own logs, and everything that was written until then is on the disk ([`retire`]).
    ///
    /// # Errors
    /// The disk's, with the name of the file.
    pub fn rotate(&mut self, disk: &dyn Disk) -> Result<Vec<PathBuf>, DiskError> {
        if self.length == 0 {
            return Ok(Vec::new());
        }
        let path = journal_segment(&self.directory, self.segment);
        // Only the last segment may be torn, or have room. This syncs it, too.
        disk.truncate(&path, self.length).map_err(DiskError::writing(&path))?;
        self.segment += 1;
        (self.length, self.allocated, self.synced) = (0, 0, 0);
        self.carried.clear();
        self.older.push(path);
        Ok(std::mem::take(&mut self.older))
    }
}

/// Writes to the tasks' own logs what waited for them, without a sync.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn spill(disk: &dyn Disk, unspilled: &[Unspilled]) -> Result<(), DiskError> {
    for Unspilled { log, bytes, over } in unspilled {
        let appended = match disk.append(log, bytes, Durability::Process) {
            // The garbage collector was quicker. Nobody would remove again what is made now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && over.load(Ordering::Acquire) => {
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // The directory was made with the task, and deleted by hand.
                make_directory(disk, log.parent().unwrap_or(Path::new(".")), Durability::Process)?;
                disk.append(log, bytes, Durability::Process)
            }
            appended => appended,
        };
        appended.map_err(DiskError::writing(log))?;
    }
    Ok(())
}

/// A path without the agent's `directory`. Every part of it is an id or a name of ours, and so is text. It is compared as
/// text, too, and not part by part, since every record has one.
fn below<'a>(directory: &Path, path: &'a Path) -> Result<&'a str, DiskError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let rest = bytes.strip_prefix(directory.as_os_str().as_encoded_bytes());
    let below = rest.and_then(|rest| std::str::from_utf8(rest).ok()?.strip_prefix('/'));
    below.ok_or_else(|| DiskError::Corrupt {
        path: path.to_path_buf(),
        reason: format!("it is not below '{}'", directory.display()),
    })
}

/// Whether a log is below a directory; both are below the agent's.
fn is_below(log: &str, directory: &str) -> bool {
    log.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Removes a directory for good.
fn remove(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(DiskError::writing(path)(error));
        }
        // The garbage collector may have been first, and not have synced yet.
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
pub fn retire(disk: &dyn Disk, segments: &[PathBuf]) -> Result<(), DiskError> {
    let Some(directory) = segments.first().and_then(|segment| segment.parent()) else { return Ok(()) };
    disk.sync_all(directory).map_err(DiskError::writing(directory))?;
    for segment in segments {
        disk.remove(segment).map_err(DiskError::writing(segment))?;
    }
    // A segment may not come back when the one that followed it is gone.
    sync_directory(disk, directory)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_path_is_below_its_own_agents_directory_only() {
        let path = |text: &'static [u8]| Path::new(OsStr::from_bytes(text));
        let directory = Path::new("/w/meta/slaves/S1");
        assert_eq!(below(directory, path(b"/w/meta/slaves/S1/frameworks/F")).unwrap(), "frameworks/F");
        for other in [
            &b"/w/meta/slaves/S10/frameworks/F"[..],
            b"/w/meta/slaves/S1",
            b"/w/meta/slaves/S1/\xff",
            b"/other",
        ] {
            let error = below(directory, path(other)).unwrap_err().to_string();
            assert!(error.contains("it is not below '/w/meta/slaves/S1'"), "{error}");
        }
    }
}
