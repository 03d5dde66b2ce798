//! Files that must survive: written whole or not at all, and read back.
//!
//! A checkpoint is written to a temporary file beside it and renamed over it, so that a crash leaves
//! the old one or the new one (upstream: `slave/state.hpp`). Messages stand behind their length in
//! four bytes, little endian, as upstream writes them; text stands as it is.
//!
//! All of the agent's durable state goes through here and `status_updates::log`. Blocking; knows no
//! actor.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

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
    /// For `map_err` after a write.
    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
        move |source| DiskError::Write { path: path.to_path_buf(), source }
    }

    /// For `map_err` after a read.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
        move |source| DiskError::Read { path: path.to_path_buf(), source }
    }
}

/// Whether a checkpoint must be on the disk before the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives the agent (the kernel has it). What describes running processes needs no more:
    /// if the host dies, so do they (upstream's default).
    Process,
    /// It survives the host.
    Host,
}

/// Writes `message` to `path`, making its directories.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn write_message<M: mesos::Message>(
    path: &Path,
    message: &M,
    durability: Durability,
) -> Result<(), DiskError> {
    write_bytes(path, &encode_record(message), durability)
}

/// Writes `text` to `path`, making its directories.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn write_text(path: &Path, text: &str, durability: Durability) -> Result<(), DiskError> {
    write_bytes(path, text.as_bytes(), durability)
}

fn write_bytes(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), DiskError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make_directory(directory)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(DiskError::writing(&temporary))?;
    file.write_all(bytes).map_err(DiskError::writing(&temporary))?;
    if durability == Durability::Host {
        file.sync_all().map_err(DiskError::writing(&temporary))?;
    }
    drop(file);
    fs::rename(&temporary, path).map_err(DiskError::writing(path))?;
    if durability == Durability::Host {
        sync_directory(directory)?;
    }
    Ok(())
}

/// Makes a directory and its parents.
///
/// # Errors
/// The disk's, with the name of the directory.
pub fn make_directory(path: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(path).map_err(DiskError::writing(path))
}

/// Makes an empty file.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn touch(path: &Path) -> Result<(), DiskError> {
    make_directory(path.parent().unwrap_or(Path::new(".")))?;
    File::create(path).map(drop).map_err(DiskError::writing(path))
}

/// Makes `link` point at `target`, at once (a link made beside it is renamed over it).
///
/// # Errors
/// The disk's, with the name of the link.
pub fn replace_link(link: &Path, target: &Path) -> Result<(), DiskError> {
    let mut temporary = link.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(DiskError::writing(&temporary)(error)),
    }
    std::os::unix::fs::symlink(target, &temporary).map_err(DiskError::writing(&temporary))?;
    fs::rename(&temporary, link).map_err(DiskError::writing(link))
}

/// Makes what was created in a directory durable.
///
/// # Errors
/// The disk's, with the name of the directory.
pub fn sync_directory(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(DiskError::writing(path))
}

/// The text of a file; `None` if there is none.
///
/// # Errors
/// The disk's, with the name of the file.
pub fn read_text(path: &Path) -> Result<Option<String>, DiskError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DiskError::reading(path)(error)),
    }
}

/// The message in a file; `None` if there is no file, or an empty one (a host that died between
/// the rename and the writing of the data leaves that).
///
/// # Errors
/// The disk's, or that the file holds something else; with the name of the file.
pub fn read_message<M: mesos::Message>(path: &Path) -> Result<Option<M>, DiskError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::reading(path)(error)),
    };
    if bytes.is_empty() {
        return Ok(None);
    }
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
pub fn list(path: &Path) -> Result<Vec<String>, DiskError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DiskError::reading(path)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(DiskError::reading(path))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos::v1;

    fn info(name: &str) -> v1::FrameworkInfo {
        v1::FrameworkInfo { name: name.into(), user: "u".into(), ..v1::FrameworkInfo::default() }
    }

    #[test]
    fn a_checkpoint_is_read_back_and_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/framework.info");
        write_message(&path, &info("one"), Durability::Process).unwrap();
        write_message(&path, &info("two"), Durability::Host).unwrap();
        assert_eq!(read_message::<v1::FrameworkInfo>(&path).unwrap(), Some(info("two")));
        assert_eq!(list(path.parent().unwrap()).unwrap(), ["framework.info"]);
    }

    #[test]
    fn missing_and_empty_files_are_nothing_and_torn_ones_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("framework.info");
        assert_eq!(read_message::<v1::FrameworkInfo>(&path).unwrap(), None);
        fs::write(&path, "").unwrap();
        assert_eq!(read_message::<v1::FrameworkInfo>(&path).unwrap(), None);
        let bytes = encode_record(&info("one"));
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = read_message::<v1::FrameworkInfo>(&path).unwrap_err().to_string();
        assert!(error.contains("framework.info' is corrupt"), "{error}");
    }

    #[test]
    fn a_link_can_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("latest");
        replace_link(&link, Path::new("one")).unwrap();
        replace_link(&link, Path::new("two")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("two"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        assert!(list(&directory.path().join("none")).unwrap().is_empty());
    }
}
