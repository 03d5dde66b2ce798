//! Doing again what the journal has: before an agent reads what it kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use libprocess::disk::{Disk, Durability};
use mesos::sabotage::{Bug, is_on};

use super::format::{self, Entry, Fault, HEAD};
use super::segments;
use crate::recovery::checkpoint::{DiskError, make_directory, sync_directory};
use crate::recovery::paths::{Owner, UpdatesPath, journal_segment};
use crate::status_updates::log;

/// What to do with an error: `Err` stops, `Ok` goes on without what the error is about.
type Tolerate<'a> = &'a mut dyn FnMut(DiskError) -> Result<(), DiskError>;

/// What there is of the logs that a journal knows.
#[derive(Debug, Default)]
pub struct Redone {
    /// The logs that it will bring back until it is told that nobody needs them any more.
    pub needed: BTreeSet<PathBuf>,
    /// The logs of tasks that were deleted since. If one of their ids is used again, it must be told first.
    pub deleted: BTreeSet<PathBuf>,
}

/// Brings into the logs of tasks what the journal in an agent's directory has and they have not, and back what leads to
/// them. A torn end of the journal is cut off; after a boot, that may be all that is not known to have been synced.
///
/// The journal stays: nothing that is done again is synced.
///
/// # Errors
/// The disk's. What is corrupt, does not fit or cannot be read, with the name of the file, if `tolerate` says so.
pub fn redo(
    disk: &dyn Disk,
    directory: &Path,
    rebooted: bool,
    tolerate: Tolerate<'_>,
) -> Result<Redone, DiskError> {
    let segments = segments(disk, directory)?;
    let mut wanted = Wanted::default();
    for (index, number) in segments.iter().enumerate() {
        let path = journal_segment(directory, *number);
        let is_last = index + 1 == segments.len();
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                tolerate(DiskError::reading(&path)(error))?;
                if is_last {
                    // It may be read another time: the next group is not written there. The number that is left out says
                    // that nobody has ended it.
                    let next = journal_segment(directory, number + 2);
                    disk.write(&next, b"", Durability::Host).map_err(DiskError::writing(&next))?;
                    sync_directory(disk, directory)?;
                }
                continue;
            }
        };
        let segment = format::read(&bytes);
        // Only one that nobody has ended has room behind its groups, or a torn end.
        let is_open = segments.get(index + 1).is_none_or(|next| *next > number + 1);
        let has_room = segment.whole < bytes.len();
        if let Some(fault) = segment.fault.or((has_room && !is_open).then_some(Fault::Short)) {
            let torn = is_open && (fault == Fault::Short || (fault == Fault::Torn && rebooted));
            if torn {
                tracing::warn!(path = %path.display(), torn = bytes.len() - segment.whole, "cutting a torn group of status updates off the journal");
            } else {
                let reason = match fault {
                    Fault::Short | Fault::Torn => format!("it is damaged at byte {}", segment.whole),
                    Fault::Corrupt(reason) => reason,
                };
                tolerate(DiskError::Corrupt { path: path.clone(), reason })?;
            }
            if !is_on(Bug::KeepsTornGroup) {
                cut(disk, &path, segment.whole)?;
            }
        }
        for entry in segment.entries {
            wanted.enter(entry);
        }
        if is_last {
            // The last group may have been written by a process that died before it had synced it. It counts from now
            // on, and executors that repeat it are told so.
            disk.sync_file(&path).map_err(DiskError::writing(&path))?;
            sync_directory(disk, directory)?;
        }
    }
    let deleted = wanted.bring(disk, directory, tolerate)?;
    let needed = wanted.logs.iter().filter(|(_, log)| log.needed);
    Ok(Redone { needed: needed.map(|(path, _)| directory.join(path)).collect(), deleted })
}

/// Cuts a segment behind its last whole group; the next one follows there.
fn cut(disk: &dyn Disk, path: &Path, whole: usize) -> Result<(), DiskError> {
    // Even the head is torn: it is written again with the first group.
    let whole = if whole < HEAD.len() { 0 } else { whole };
    disk.truncate(path, whole as u64).map_err(DiskError::writing(path))
}

/// What the disk should have.
#[derive(Default)]
struct Wanted {
    owners: BTreeMap<PathBuf, Content>,
    logs: BTreeMap<PathBuf, Log>,
}

enum Content {
    File(Vec<u8>),
    Link(String),
}

/// What a log should have.
#[derive(Default)]
struct Log {
    /// In order. What is between them is on the disk.
    parts: Vec<Part>,
    /// Whether it is missed if it is not there.
    needed: bool,
}

struct Part {
    /// Where it begins.
    offset: u64,
    bytes: Vec<u8>,
}

impl Log {
    fn enter(&mut self, offset: u64, bytes: &[u8]) {
        self.needed = true;
        // Before what is known: the log was deleted, and begun anew.
        while self.parts.last().is_some_and(|part| offset < part.offset) {
            self.parts.pop();
        }
        if let Some(part) = self.parts.last_mut()
            && let Ok(at) = usize::try_from(offset - part.offset)
            && at <= part.bytes.len()
        {
            part.bytes.truncate(at);
            part.bytes.extend_from_slice(bytes);
        } else {
            self.parts.push(Part { offset, bytes: bytes.to_vec() });
        }
    }
}

impl Wanted {
    fn enter(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Owner { path, content } => {
                self.owners.insert(path.into(), Content::File(content.to_vec()));
            }
            Entry::OwnerLink { path, target } => {
                self.owners.insert(path.into(), Content::Link(target.to_owned()));
            }
            Entry::Log { path, offset, bytes } => {
                self.logs.entry(path.into()).or_default().enter(offset, bytes);
            }
            Entry::Forget { path } => {
                let path = PathBuf::from(path);
                for (_, log) in
                    self.logs.range_mut(path.clone()..).take_while(|(log, _)| log.starts_with(&path))
                {
                    log.needed = false;
                }
            }
            Entry::Removed { path } => {
                let path = Path::new(path);
                self.owners.retain(|owner, _| !owner.starts_with(path));
                self.logs.retain(|log, _| !log.starts_with(path));
            }
        }
    }

    /// Answers the logs whose tasks are not there any more.
    fn bring(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        tolerate: Tolerate<'_>,
    ) -> Result<BTreeSet<PathBuf>, DiskError> {
        let mut deleted = BTreeSet::new();
        for (path, log) in &self.logs {
            let updates = UpdatesPath::from(directory.join(path));
            if log.needed {
                self.bring_owners(disk, directory, &updates)?;
            }
            // It was over, and was deleted.
            if !disk.exists(&updates.task_info()) {
                deleted.insert(updates.path().to_path_buf());
                continue;
            }
            for part in &log.parts {
                match bring_part(disk, updates.path(), part) {
                    Err(error) if log.needed => tolerate(error)?,
                    _ => {}
                }
            }
        }
        Ok(deleted)
    }

    /// What cannot be read is left as it is: whoever reads it next says so.
    fn bring_owners(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        updates: &UpdatesPath,
    ) -> Result<(), DiskError> {
        for owner in updates.owners() {
            let below = owner.path().strip_prefix(directory).ok();
            let Some(content) = below.and_then(|path| self.owners.get(path)) else { continue };
            let parent = owner.path().parent().unwrap_or(directory);
            match (&owner, content) {
                (Owner::File(path), Content::File(content)) if is_missing(disk, path, content) => {
                    tracing::info!(path = %path.display(), "bringing back what says whose status updates there are");
                    make_directory(disk, parent, Durability::Process)?;
                    disk.write(path, content, Durability::Process).map_err(DiskError::writing(path))?;
                }
                (Owner::Link(path), Content::Link(target)) => match disk.read_link(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        make_directory(disk, parent, Durability::Process)?;
                        disk.create_link(Path::new(target), path).map_err(DiskError::writing(path))?;
                    }
                    // Perhaps to a later run.
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a file is not there, or not whole: cut off, or with zeros where the disk had not come to write. One that says
/// something else is newer.
fn is_missing(disk: &dyn Disk, path: &Path, content: &[u8]) -> bool {
    match disk.read(path) {
        Ok(found) => {
            let is_part = found.len() <= content.len()
                && found.iter().zip(content).all(|(found, byte)| found == byte || *found == 0);
            found != content && (is_part || found.iter().all(|byte| *byte == 0))
        }
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Brings a part of a log, of which any part may be there, and more.
fn bring_part(disk: &dyn Disk, path: &Path, part: &Part) -> Result<(), DiskError> {
    let found = match disk.read(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(DiskError::reading(path)(error)),
    };
    let Some(there) = usize::try_from(part.offset).ok().and_then(|offset| found.get(offset..)) else {
        return Err(DiskError::Corrupt {
            path: path.to_path_buf(),
            reason: format!("it has {} bytes; the journal goes on after {}", found.len(), part.offset),
        });
    };
    if let Some(more) = there.strip_prefix(part.bytes.as_slice()) {
        if more.is_empty() {
            return Ok(());
        }
        // An acknowledgement that the journal lost, or an earlier version of the agent, which had no journal, wrote
        // this. What is torn of it is cut off, and the rest must not be lost any more: the journal goes on behind it.
        let whole = (found.len() - more.len() + log::whole_length(path, more)) as u64;
        return disk.truncate(path, whole).map_err(DiskError::writing(path));
    }
    let missing = match part.bytes.strip_prefix(there) {
        Some(missing) => missing,
        None => {
            disk.truncate(path, part.offset).map_err(DiskError::writing(path))?;
            &part.bytes
        }
    };
    make_directory(disk, path.parent().unwrap_or(Path::new(".")), Durability::Process)?;
    disk.append(path, missing, Durability::Process).map_err(DiskError::writing(path))
}
