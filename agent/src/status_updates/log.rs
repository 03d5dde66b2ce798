//! The log of a task's status updates on disk: `StatusUpdateRecord`s, each behind its length in four
//! bytes (little endian), appended (upstream's format, `stout/protobuf.hpp`).
//!
//! It is written through the [`journal`](super::journal). A record that was cut short by a crash is the last of its
//! file, and is cut off when the file is read back.
//!
//! Blocking functions; knows no actor. The manager decides what is written and when.

use std::collections::BTreeSet;
use std::path::Path;

use libprocess::disk::Disk;
use mesos::internal::{StatusUpdate, StatusUpdateRecord, status_update_record};
use uuid::Uuid;

use super::journal::Record;
use crate::recovery::checkpoint::{DiskError, MAX_RECORD, decode_record, encode_record};
use crate::recovery::paths::UpdatesPath;

/// The record of an update, which is what it was afterwards.
pub fn update_record(log: UpdatesPath, update: &mut StatusUpdate, first: bool) -> Record {
    // Lent to its record, since a copy of every update would be a part of what it costs.
    let record = StatusUpdateRecord {
        r#type: status_update_record::Type::Update.into(),
        update: Some(std::mem::take(update)),
        uuid: None,
    };
    let bytes = encode_record(&record);
    *update = record.update.unwrap_or_default();
    Record::Log { log, bytes, sync: true, first }
}

/// The record of an acknowledgement.
pub fn acknowledgement_record(log: UpdatesPath, uuid: Uuid) -> Record {
    let record = StatusUpdateRecord {
        r#type: status_update_record::Type::Ack.into(),
        update: None,
        uuid: Some(uuid.as_bytes().to_vec()),
    };
    Record::Log { log, bytes: encode_record(&record), sync: false, first: false }
}

/// What a log says.
#[derive(Clone, Debug, Default, PartialEq)]
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

/// How many of the bytes are whole records.
pub fn whole_length(path: &Path, bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Ok(Some((_, after))) = next_record(path, rest) {
        rest = after;
    }
    bytes.len() - rest.len()
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
pub(crate) mod testing {
    use super::*;
    use mesos::{TaskId, v1};

    /// An update of a task of the framework `F`.
    pub(crate) fn update(task: &str, n: u128, state: v1::TaskState) -> StatusUpdate {
        StatusUpdate {
            framework_id: mesos::FrameworkId::from("F").to_proto(),
            status: v1::TaskStatus {
                task_id: TaskId::from(task).to_proto(),
                state: state.into(),
                ..v1::TaskStatus::default()
            },
            uuid: Some(Uuid::from_u128(n).as_bytes().to_vec()),
            ..StatusUpdate::default()
        }
    }

    /// What a record adds to its log.
    pub(crate) fn bytes_of(record: &Record) -> &[u8] {
        match record {
            Record::Log { bytes, .. } => bytes,
            Record::Forget { .. } | Record::Remove { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::bytes_of;
    use super::*;
    use libprocess::disk::HostDisk;
    use mesos::v1::TaskState::TaskRunning;
    use std::path::PathBuf;

    fn update(n: u128) -> StatusUpdate {
        testing::update("t", n, TaskRunning)
    }

    fn record(n: u128) -> Vec<u8> {
        let log = UpdatesPath::from(PathBuf::from("task.updates"));
        bytes_of(&update_record(log, &mut update(n), true)).to_vec()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("task.updates");
        let log = UpdatesPath::from(path.clone());
        let acknowledgement = acknowledgement_record(log, Uuid::from_u128(1));
        std::fs::write(&path, [record(1).as_slice(), bytes_of(&acknowledgement), &record(2)].concat())
            .unwrap();
        let replay = read_back(&HostDisk, &path).unwrap();
        assert_eq!(replay.updates, [update(1), update(2)]);
        assert_eq!(replay.acknowledged, BTreeSet::from([Uuid::from_u128(1)]));
    }

    #[test]
    fn a_torn_record_is_cut_off_wherever_it_was_torn() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("task.updates");
        let (whole, second) = (record(1), record(2));
        for torn in 0..second.len() {
            std::fs::write(&path, [&whole, &second[..torn]].concat()).unwrap();
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
}
