//! Files that must survive: written whole or not at all, and read back.
//!
//! A checkpoint is written to a temporary file beside it and renamed over it, so that a crash leaves
//! the old one or the new one (upstream: `slave/state.hpp`). Messages stand behind their length in
//! four bytes, little endian, as upstream writes them; text stands as it is.
//!
//! All of the agent's durable state goes through here and `status_updates::log`. Blocking; knows no
//! actor.

use std::io;
use std::path::{Path, PathBuf};

use libprocess::disk::Disk;
pub use libprocess::disk::Durability;

/// The longest record that is believed (a torn length must not make us allocate gigabytes).
pub const MAX_RECORD: usize = 512 * 1024 * 1024;

/// What a disk did not do.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It could not be written.
    #[error("failed to write '{}': {source}", path.display())]
    Write {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be read.
    #[error("failed to read '{}': {source}", path.display())]
    Read {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was read, and is not what it should be.
    #[error("'{}' is corrupt: {reason}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl DiskError {
    /// Whether something could not be written: what is there may be in order, and is not to be left out or given up.
    pub(crate) fn is_of_writing(&self) -> bool {
        matches!(self, DiskError::Write { .. })
    }

    /// For `map_err` after a write.
    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
        move |source| DiskError::Write { path: path.to_path_buf(), source }
    }

    /// For `map_err` after a read.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
        move |source| DiskError::Read { path: path.to_path_buf(), source }
    }
}

/// Writes `message` to `path`, making its directories.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn write_message<M: mesos::Message>(
    disk: &dyn Disk,
    path: &Path,
    message: &M,
    durability: Durability,
) -> Result<(), DiskError> {
    write_bytes(disk, path, &encode_record(message), durability)
}

/// Writes `text` to `path`, making its directories.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn write_text(disk: &dyn Disk, path: &Path, text: &str, durability: Durability) -> Result<(), DiskError> {
    write_bytes(disk, path, text.as_bytes(), durability)
}

/// As [`write_message`], but where `message` stands already, nothing is written. That needs no room: on a full disk, it may
/// be this agent that deletes something, or is told to end what fills it.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn keep_message<M: mesos::Message>(
    disk: &dyn Disk,
    path: &Path,
    message: &M,
    durability: Durability,
) -> Result<(), DiskError> {
    keep_bytes(disk, path, &encode_record(message), durability)
}

/// As [`keep_message`], for `text`.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn keep_text(disk: &dyn Disk, path: &Path, text: &str, durability: Durability) -> Result<(), DiskError> {
    keep_bytes(disk, path, text.as_bytes(), durability)
}

fn keep_bytes(disk: &dyn Disk, path: &Path, bytes: &[u8], durability: Durability) -> Result<(), DiskError> {
    if !disk.read(path).is_ok_and(|found| found == bytes) {
        return write_bytes(disk, path, bytes, durability);
    }
    if durability == Durability::Host {
        // Whoever wrote it may have died before it was synced.
        disk.sync_file(path).map_err(DiskError::writing(path))?;
        sync_directory(disk, path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

fn write_bytes(disk: &dyn Disk, path: &Path, bytes: &[u8], durability: Durability) -> Result<(), DiskError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make_directory(disk, directory, durability)?;
    let temporary = beside(path);
    // What takes the place of something must be there before that goes, and its name with it, or a power failure leaves
    // neither, or brings back an earlier content that was never whole (found by simulation: a framework's description was
    // torn after UPDATE_FRAMEWORK, and all of its tasks were forgotten).
    let durability = if disk.exists(path) { Durability::Host } else { durability };
    disk.write(&temporary, bytes, durability).map_err(DiskError::writing(&temporary))?;
    disk.rename(&temporary, path).map_err(DiskError::writing(path))?;
    if durability == Durability::Host {
        sync_directory(disk, directory)?;
    }
    Ok(())
}

/// Where something is made before it is renamed to `path`.
fn beside(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    PathBuf::from(temporary)
}

/// Makes a directory and its parents.
///
/// # Errors
/// The disk's, with the name of the directory.
pub fn make_directory(disk: &dyn Disk, path: &Path, durability: Durability) -> Result<(), DiskError> {
    disk.create_directory(path, durability).map_err(DiskError::writing(path))
}

/// Makes an empty file.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn touch(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    make_directory(disk, path.parent().unwrap_or(Path::new(".")), Durability::Process)?;
    disk.write(path, b"", Durability::Process).map_err(DiskError::writing(path))
}

/// Makes `link` point at `target`, at once (a link made beside it is renamed over it).
///
/// # Errors
/// The disk's, with the name of the link.
pub fn replace_link(
    disk: &dyn Disk,
    link: &Path,
    target: &Path,
    durability: Durability,
) -> Result<(), DiskError> {
    let temporary = beside(link);
    match disk.remove(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(DiskError::writing(&temporary)(error)),
    }
    disk.create_link(target, &temporary).map_err(DiskError::writing(&temporary))?;
    disk.rename(&temporary, link).map_err(DiskError::writing(link))?;
    if durability == Durability::Host {
        sync_directory(disk, link.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// As [`replace_link`], but where `link` points at `target` already, nothing is made.
///
/// # Errors
/// The disk's, with the name of the link.
pub fn keep_link(
    disk: &dyn Disk,
    link: &Path,
    target: &Path,
    durability: Durability,
) -> Result<(), DiskError> {
    if !disk.read_link(link).is_ok_and(|found| found == target) {
        return replace_link(disk, link, target, durability);
    }
    if durability == Durability::Host {
        sync_directory(disk, link.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Makes what was created in a directory durable.
///
/// # Errors
/// The disk's, with the name of the directory.
pub fn sync_directory(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    disk.sync_directory(path).map_err(DiskError::writing(path))
}

/// Makes the name of `path` durable, and those of the directories above it, `names` in all.
///
/// # Errors
/// The disk's, with the name of the directory.
pub fn sync_names(disk: &dyn Disk, path: &Path, names: usize) -> Result<(), DiskError> {
    libprocess::disk::sync_names(disk, path, names)
        .map_err(|(parent, error)| DiskError::writing(&parent)(error))
}

/// The bytes of a file; `None` if there is none.
fn read_bytes(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    match disk.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DiskError::reading(path)(error)),
    }
}

/// The text of a file; `None` if there is none.
///
/// # Errors
/// The disk's, or that the file holds something else; with the name of the file.
pub fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>, DiskError> {
    let Some(bytes) = read_bytes(disk, path)? else { return Ok(None) };
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_| DiskError::Corrupt { path: path.to_path_buf(), reason: "it is no text".to_owned() })
}

/// The message in a file; `None` if there is no file, or an empty one (a host that died between
/// the rename and the writing of the data leaves that).
///
/// # Errors
/// The disk's, or that the file holds something else; with the name of the file.
pub fn read_message<M: mesos::Message>(disk: &dyn Disk, path: &Path) -> Result<Option<M>, DiskError> {
    let Some(bytes) = read_bytes(disk, path)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    let corrupt = |reason: String| DiskError::Corrupt { path: path.to_path_buf(), reason };
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(corrupt("it is shorter than its length".to_owned()));
    };
    let length = u32::from_le_bytes(*length) as usize;
    if rest.len() != length {
        return Err(corrupt(format!("{} bytes follow a length of {length}", rest.len())));
    }
    decode_record(path, rest).map(Some)
}

/// A message behind its length.
pub fn encode_record<M: mesos::Message>(message: &M) -> Vec<u8> {
    let body = mesos::wire::encode(message);
    let mut bytes = Vec::with_capacity(4 + body.len());
    // A message is far below 4 GB: protobuf itself ends at 2 GB.
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// A message without its length.
///
/// # Errors
/// That the bytes are no such message, with the name of the file.
pub fn decode_record<M: mesos::Message>(path: &Path, bytes: &[u8]) -> Result<M, DiskError> {
    mesos::wire::decode(bytes)
        .map_err(|error| DiskError::Corrupt { path: path.to_path_buf(), reason: error.to_string() })
}

/// The names in a directory, sorted; none if there is no directory. Names that are not text are
/// left out: no id is such a name.
///
/// # Errors
/// The disk's, with the name of the directory.
pub fn list(disk: &dyn Disk, path: &Path) -> Result<Vec<String>, DiskError> {
    match disk.list(path) {
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(DiskError::reading(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::SystemTime;

    use libprocess::disk::HostDisk;
    use libprocess::simulation::SimulatedDisk;
    use mesos::v1;

    fn info(name: &str) -> v1::FrameworkInfo {
        v1::FrameworkInfo { name: name.into(), user: "u".into(), ..v1::FrameworkInfo::default() }
    }

    /// Upstream: `SlaveStateTest.CheckpointString`, `SlaveStateTest.CheckpointProtobufMessage`.
    #[test]
    fn a_checkpoint_is_read_back_and_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/framework.info");
        write_message(&HostDisk, &path, &info("one"), Durability::Process).unwrap();
        write_message(&HostDisk, &path, &info("two"), Durability::Host).unwrap();
        assert_eq!(read_message::<v1::FrameworkInfo>(&HostDisk, &path).unwrap(), Some(info("two")));
        assert_eq!(list(&HostDisk, path.parent().unwrap()).unwrap(), ["framework.info"]);
    }

    /// A directory where it would be written is in the way, as a full disk would be.
    #[test]
    fn what_stands_there_already_needs_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let keep = |name: &str| {
            keep_message(&HostDisk, &path("framework.info"), &info(name), Durability::Host)?;
            keep_text(&HostDisk, &path("framework.pid"), name, Durability::Process)?;
            keep_link(&HostDisk, &path("latest"), Path::new(name), Durability::Host)
        };
        keep("one").unwrap();
        keep("two").unwrap();
        for name in ["framework.info.tmp", "framework.pid.tmp", "latest.tmp"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        keep("two").unwrap();
        assert_eq!(read_message(&HostDisk, &path("framework.info")).unwrap(), Some(info("two")));
        assert_eq!(read_text(&HostDisk, &path("framework.pid")).unwrap().as_deref(), Some("two"));
        assert_eq!(std::fs::read_link(path("latest")).unwrap(), Path::new("two"));
        assert!(path("latest.tmp").is_dir());
        assert!(keep("three").is_err());
    }

    /// Never the earlier one, which may be torn: what the journal has may be the later one. That the way to it is gone, the
    /// journal mends.
    #[test]
    fn a_checkpoint_that_was_not_synced_does_not_come_back_when_another_has_taken_its_place() {
        let path = Path::new("/work/framework.info");
        let mut left = BTreeSet::new();
        for seed in 0..200 {
            let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
            write_message(&disk.mount(), path, &info("old"), Durability::Process).unwrap();
            write_message(&disk.mount(), path, &info("new"), Durability::Process).unwrap();
            disk.lose_power();
            let found = read_message::<v1::FrameworkInfo>(&disk.mount(), path);
            let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            left.insert(found.map(|info| info.name));
        }
        assert_eq!(left, BTreeSet::from([None, Some("new".to_owned())]));
    }

    /// Whoever dies within the replacement leaves one of both, whole, if the earlier one was synced.
    #[test]
    fn a_power_failure_within_a_replacement_leaves_the_old_checkpoint_or_the_new_one() {
        let path = Path::new("/work/framework.info");
        let mut left = BTreeSet::new();
        for (seed, steps) in (0..200).zip((0..6).cycle()) {
            let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
            write_message(&disk.mount(), path, &info("old"), Durability::Host).unwrap();
            disk.kill_after(steps, false, |_| {});
            let _ = write_message(&disk.mount(), path, &info("new"), Durability::Process);
            disk.lose_power();
            let found = read_message::<v1::FrameworkInfo>(&disk.mount(), path);
            let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            left.insert(found.map_or_else(|| format!("nothing with seed {seed}"), |info| info.name));
        }
        assert_eq!(left, BTreeSet::from(["new".to_owned(), "old".to_owned()]));
    }

    #[test]
    fn missing_and_empty_files_are_nothing_and_torn_ones_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("framework.info");
        assert_eq!(read_message::<v1::FrameworkInfo>(&HostDisk, &path).unwrap(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(read_message::<v1::FrameworkInfo>(&HostDisk, &path).unwrap(), None);
        let bytes = encode_record(&info("one"));
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = read_message::<v1::FrameworkInfo>(&HostDisk, &path).unwrap_err().to_string();
        assert!(error.contains("framework.info' is corrupt"), "{error}");
    }

    #[test]
    fn a_link_can_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("latest");
        replace_link(&HostDisk, &link, Path::new("one"), Durability::Process).unwrap();
        replace_link(&HostDisk, &link, Path::new("two"), Durability::Host).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("two"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        assert!(list(&HostDisk, &directory.path().join("none")).unwrap().is_empty());
    }
}
