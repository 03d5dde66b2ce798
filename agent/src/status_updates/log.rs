//! The log of a task's status updates on disk: `StatusUpdateRecord`s, each behind its length in four
//! bytes (little endian), appended (upstream's format, `stout/protobuf.hpp`).
//!
//! Writing is done in groups: one call writes all records that wait, for any number of tasks, and
//! syncs each file once. A record that was cut short by a crash is the last of its file, and is cut
//! off when the file is read back.
//!
//! Blocking functions; knows no actor. The manager decides what is written and when.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use libprocess::disk::{Disk, Durability};
use mesos::internal::{StatusUpdate, StatusUpdateRecord, status_update_record};
use mesos::sabotage::{Bug, is_on};
use uuid::Uuid;

use crate::recovery::checkpoint::{
    DiskError, MAX_RECORD, decode_record, encode_record, make_directory, sync_directory,
};
use crate::recovery::paths::{OWNERS, above_updates};

/// A record that waits to be written.
#[derive(Debug)]
pub struct Record {
    /// The file of its task.
    pub path: PathBuf,
    /// The record, encoded, with its length.
    pub bytes: Vec<u8>,
    /// Whether somebody waits until it is on the disk. Acknowledgements need not be: one that is
    /// lost leads to one repetition more.
    pub sync: bool,
    /// Whether it is the first of its file that this process writes: what leads to the file may not be synced yet.
    pub first: bool,
}

/// The record of an update.
pub fn update_record(path: PathBuf, update: &StatusUpdate, first: bool) -> Record {
    let record = StatusUpdateRecord {
        r#type: status_update_record::Type::Update.into(),
        update: Some(update.clone()),
        uuid: None,
    };
    Record { path, bytes: encode_record(&record), sync: true, first }
}

/// The record of an acknowledgement.
pub fn acknowledgement_record(path: PathBuf, uuid: Uuid) -> Record {
    let record = StatusUpdateRecord {
        r#type: status_update_record::Type::Ack.into(),
        update: None,
        uuid: Some(uuid.as_bytes().to_vec()),
    };
    Record { path, bytes: encode_record(&record), sync: false, first: false }
}

/// Appends all records, in order, and syncs the files of those that ask for it.
///
/// # Errors
/// The first failure, with the file's name. What was written before it stays written.
pub fn append_all(disk: &dyn Disk, records: Vec<Record>) -> Result<(), DiskError> {
    let mut files: BTreeMap<PathBuf, (Vec<u8>, bool, bool)> = BTreeMap::new();
    for record in records {
        let (bytes, sync, first) = files.entry(record.path).or_default();
        bytes.extend_from_slice(&record.bytes);
        *sync |= record.sync;
        *first |= record.first;
    }
    let mut settled = BTreeSet::new();
    for (path, (bytes, sync, first)) in &files {
        if !disk.exists(path) {
            make_directory(disk, path.parent().unwrap_or(Path::new(".")), Durability::Process)?;
        }
        let synced = *sync && !is_on(Bug::PromisesBeforeSync);
        let durability = if synced { Durability::Host } else { Durability::Process };
        disk.append(path, bytes, durability).map_err(DiskError::writing(path))?;
        // Not only for a new file: the process that made it may have died at this point.
        if *first {
            settle(disk, path, &mut settled)?;
        }
    }
    Ok(())
}

/// Makes durable what leads to a new log: the names of its directories, and the files that say whose updates it has.
/// They are written for the process only, since they describe what a power failure ends anyway; but updates that were
/// promised to be delivered must find their way afterwards, too (found by simulation). Most was synced with an
/// earlier log, and costs nothing.
fn settle<'a>(disk: &dyn Disk, log: &'a Path, settled: &mut BTreeSet<&'a Path>) -> Result<(), DiskError> {
    for directory in above_updates(log) {
        if !settled.insert(directory) {
            break;
        }
        for owner in OWNERS.map(|name| directory.join(name)) {
            match disk.sync_file(&owner) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(DiskError::writing(&owner)(error));
                }
                _ => {}
            }
        }
        sync_directory(disk, directory)?;
    }
    Ok(())
}

/// What a log says.
#[derive(Debug, Default, PartialEq)]
pub struct Replay {
    /// The updates, in order.
    pub updates: Vec<StatusUpdate>,
    /// The uuids of those that were acknowledged.
    pub acknowledged: BTreeSet<Uuid>,
}

/// Reads a log back, and cuts a torn record off its end.
///
/// # Errors
/// The file cannot be read or cut, or a whole record in it is not one (nothing is cut then).
pub fn read_back(disk: &dyn Disk, path: &Path) -> Result<Replay, DiskError> {
    let bytes = disk.read(path).map_err(DiskError::reading(path))?;

    let mut replay = Replay::default();
    let mut rest = bytes.as_slice();
    while let Some((record, after)) = next_record(path, rest)? {
        match record.r#type() {
            status_update_record::Type::Update => replay.updates.extend(record.update),
            status_update_record::Type::Ack => {
                let uuid = record.uuid.as_deref().and_then(|bytes| Uuid::from_slice(bytes).ok());
                replay.acknowledged.extend(uuid);
            }
        }
        rest = after;
    }
    if !rest.is_empty() {
        let whole = (bytes.len() - rest.len()) as u64;
        tracing::warn!(path = %path.display(), torn = rest.len(), "cutting a torn record off a log of status updates");
        disk.truncate(path, whole).map_err(DiskError::writing(path))?;
    }
    Ok(replay)
}

/// The next whole record and what follows it; `None` at the end, or before a torn one.
fn next_record<'a>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<Option<(StatusUpdateRecord, &'a [u8])>, DiskError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_RECORD {
        return Err(DiskError::Corrupt {
            path: path.to_path_buf(),
            reason: format!("a record claims {length} bytes; at most {MAX_RECORD} are possible"),
        });
    }
    if rest.len() < length {
        return Ok(None);
    }
    let (record, after) = rest.split_at(length);
    Ok(Some((decode_record(path, record)?, after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use libprocess::disk::HostDisk;
    use mesos::{TaskId, v1};

    use crate::recovery::state::testing::Host;

    fn update(n: u128) -> StatusUpdate {
        StatusUpdate {
            framework_id: mesos::FrameworkId::from("F").to_proto(),
            status: v1::TaskStatus {
                task_id: TaskId::from("t").to_proto(),
                state: v1::TaskState::TaskRunning.into(),
                ..v1::TaskStatus::default()
            },
            uuid: Some(Uuid::from_u128(n).as_bytes().to_vec()),
            ..StatusUpdate::default()
        }
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tasks/t/task.updates");
        append_all(&HostDisk, vec![update_record(path.clone(), &update(1), true)]).unwrap();
        append_all(
            &HostDisk,
            vec![
                acknowledgement_record(path.clone(), Uuid::from_u128(1)),
                update_record(path.clone(), &update(2), false),
            ],
        )
        .unwrap();
        let replay = read_back(&HostDisk, &path).unwrap();
        assert_eq!(replay.updates, [update(1), update(2)]);
        assert_eq!(replay.acknowledged, BTreeSet::from([Uuid::from_u128(1)]));
    }

    #[test]
    fn a_torn_record_is_cut_off_wherever_it_was_torn() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("task.updates");
        append_all(&HostDisk, vec![update_record(path.clone(), &update(1), true)]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let second = update_record(path.clone(), &update(2), false).bytes;
        for torn in 0..second.len() {
            let mut bytes = whole.clone();
            bytes.extend_from_slice(&second[..torn]);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(read_back(&HostDisk, &path).unwrap().updates, [update(1)], "torn after {torn} bytes");
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_record_that_is_no_record_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("task.updates");
        std::fs::write(&path, [3, 0, 0, 0, 255, 255, 255]).unwrap();
        let error = read_back(&HostDisk, &path).unwrap_err().to_string();
        assert!(error.contains("task.updates"), "{error}");
    }

    #[test]
    fn an_update_is_found_whose_log_an_earlier_process_had_begun() {
        for seed in 0..100 {
            let host = Host::with_task(seed, Durability::Process);
            let log = host.paths.task_updates(&host.run, &TaskId::from("t"));
            // It died before it had synced the way to it.
            let begun = update_record(log.clone(), &update(1), true).bytes;
            host.mount.create_directory(log.parent().unwrap(), Durability::Process).unwrap();
            host.mount.append(&log, &begun, Durability::Host).unwrap();
            append_all(&host.mount, vec![update_record(log, &update(2), true)]).unwrap();
            host.disk.lose_power();
            let kept = host.read(true).unwrap().agent.unwrap();
            let updates = &kept.frameworks[0].executors[0].run.tasks[0].replay.updates;
            assert_eq!(updates.len(), 2, "seed {seed}");
        }
    }

    /// Which task it is, and whose, was not synced before there was an update.
    #[test]
    fn after_a_power_failure_updates_are_found_with_the_task_that_they_belong_to() {
        for seed in 0..100 {
            let host = Host::with_task(seed, Durability::Process);
            let log = host.paths.task_updates(&host.run, &TaskId::from("t"));
            append_all(&host.mount, vec![update_record(log.clone(), &update(1), true)]).unwrap();
            append_all(&host.mount, vec![update_record(log, &update(2), false)]).unwrap();
            host.disk.lose_power();
            let kept = host.read(true).unwrap().agent.unwrap();
            let executor = kept.frameworks.first().and_then(|framework| framework.executors.first());
            let task = executor.and_then(|executor| executor.run.tasks.first());
            assert_eq!(
                task.map(|task| task.replay.updates.as_slice()),
                Some([update(1), update(2)].as_slice()),
                "seed {seed}"
            );
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = append_all(&HostDisk, vec![update_record(file.join("t/task.updates"), &update(1), true)])
            .unwrap_err()
            .to_string();
        assert!(error.contains("file/t"), "{error}");
    }
}
