//! What the files endpoints do with the file system: virtual paths, listings, pieces of files.
//!
//! No actor and no HTTP; everything here may block. The rules are upstream's (src/files/files.cpp): a
//! virtual path belongs to the longest attached prefix; what resolves to a place outside of it, by `..` or
//! by a symbolic link, is refused. What it resolves to is opened without following any more links: a task may change its
//! sandbox at any time, and we may read more than it may.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use thiserror::Error;

/// Bytes that one read gives at most: 16 pages of 4 KiB.
pub const MAX_READ: u64 = 16 * 4096;

/// Entries that a listing has at most.
const MAX_ENTRIES: usize = 100_000;

/// Why a file operation was refused. The texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FilesError {
    /// The request cannot be right (400).
    #[error("{0}")]
    Invalid(String),
    /// No such path (404).
    #[error("no such file")]
    NotFound,
    /// The file system failed (500).
    #[error("{0}")]
    Failed(String),
}

/// Why a path could not be attached.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AttachError {
    /// It does not exist, or cannot be resolved.
    #[error("Failed to get realpath of '{path}': {cause}")]
    Realpath {
        /// The path.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// It cannot be read.
    #[error("Failed to access '{path}': Access denied")]
    Denied {
        /// The path.
        path: String,
    },
}

/// One entry of a listing, as `mesos.FileInfo` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// The virtual path.
    pub path: String,
    /// Hard links.
    pub nlink: u64,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Type and permissions as `stat` gives them.
    pub mode: u32,
    /// The owner's name, or number if it has none.
    pub uid: String,
    /// The group's name, or number if it has none.
    pub gid: String,
}

impl FileInfo {
    /// The mode as `ls -l` prints it: `-rw-r--r--`.
    pub(crate) fn mode_text(&self) -> String {
        let kind = match self.mode & 0o170_000 {
            0o040_000 => 'd',
            0o020_000 => 'c',
            0o060_000 => 'b',
            0o010_000 => 'p',
            0o120_000 => 'l',
            0o140_000 => 's',
            _ => '-',
        };
        let bits = "rwxrwxrwx".chars().enumerate();
        let permissions = bits.map(|(n, c)| if self.mode & (0o400 >> n) != 0 { c } else { '-' });
        std::iter::once(kind).chain(permissions).collect()
    }
}

/// Attached directories and files by virtual path.
#[derive(Debug, Clone, Default)]
pub(super) struct Attached {
    paths: BTreeMap<String, PathBuf>,
}

impl Attached {
    /// Makes `path` visible as `virtual_path`, replacing what was there.
    pub(super) fn attach(&mut self, virtual_path: &str, path: &Path) -> Result<(), AttachError> {
        let text = path.display().to_string();
        let real = fs::canonicalize(path)
            .map_err(|error| AttachError::Realpath { path: text.clone(), cause: plain(&error) })?;
        rustix::fs::access(&real, rustix::fs::Access::READ_OK)
            .map_err(|_| AttachError::Denied { path: text })?;
        self.paths.insert(key(virtual_path).into_owned(), real);
        Ok(())
    }

    pub(super) fn detach(&mut self, virtual_path: &str) -> bool {
        self.paths.remove(&*key(virtual_path)).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.paths.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// The real path of a virtual one.
    pub(super) fn resolve(&self, virtual_path: &str) -> Result<PathBuf, FilesError> {
        let wanted = key(virtual_path);
        let mut prefix: &str = &wanted;
        let attached = loop {
            if let Some(path) = self.paths.get(prefix) {
                break path;
            }
            prefix = prefix.rsplit_once('/').ok_or(FilesError::NotFound)?.0;
        };
        let suffix = wanted[prefix.len()..].trim_start_matches('/');
        if !attached.is_dir() {
            // A file has nothing below it. It may have become a link since, where logs are rotated.
            let real = || fs::canonicalize(attached).unwrap_or_else(|_| attached.clone());
            return if suffix.is_empty() { Ok(real()) } else { Err(FilesError::NotFound) };
        }
        let path = attached.join(suffix);
        let shown = path.display();
        match fs::canonicalize(&path) {
            Ok(real) if real.starts_with(attached) => Ok(real),
            Ok(_) => Err(FilesError::Invalid(format!("'{shown}' is inaccessible.\n"))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(FilesError::NotFound)
            }
            Err(error) => Err(FilesError::Invalid(format!(
                "Failed to determine canonical path of '{shown}': {}.\n",
                plain(&error)
            ))),
        }
    }

    /// What is in a directory, sorted by name; empty for a file.
    pub(super) fn browse(&self, virtual_path: &str) -> Result<Vec<FileInfo>, FilesError> {
        let real = self.resolve(virtual_path)?;
        let Ok(directory) = open_real(&real, OFlags::DIRECTORY) else { return Ok(Vec::new()) };
        // What was opened, wherever its path leads by now.
        let opened = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        let Ok(entries) = fs::read_dir(&opened) else { return Ok(Vec::new()) };
        let mut names: Vec<OsString> =
            entries.take(MAX_ENTRIES).filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        let (users, groups) = (Names::of("/etc/passwd"), Names::of("/etc/group"));
        let shown = without_end(virtual_path);
        let mut listing = Vec::with_capacity(names.len());
        for name in names {
            // An entry that went meanwhile, or a link that leads nowhere.
            let Ok(stat) = fs::metadata(opened.join(&name)) else { continue };
            listing.push(FileInfo {
                path: format!("{shown}/{}", name.to_string_lossy()),
                nlink: stat.nlink(),
                size: stat.size(),
                mtime: stat.mtime(),
                mode: stat.mode(),
                uid: users.of_id(stat.uid()),
                gid: groups.of_id(stat.gid()),
            });
        }
        Ok(listing)
    }

    /// A piece of a file and the size of the whole. At most [`MAX_READ`] bytes; behind the end, or with
    /// length 0, nothing but the size.
    pub(super) fn read(
        &self,
        virtual_path: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(u64, Bytes), FilesError> {
        let (mut file, _, size) = self.open(virtual_path, "Cannot read a directory.\n")?;
        let length = length.unwrap_or(u64::MAX).min(size.saturating_sub(offset)).min(MAX_READ);
        if length == 0 {
            return Ok((size, Bytes::new()));
        }
        let mut data = Vec::with_capacity(length as usize);
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.take(length).read_to_end(&mut data)).map_err(
            |error| FilesError::Failed(format!("Failed to read '{virtual_path}': {}.\n", plain(&error))),
        )?;
        Ok((size, data.into()))
    }

    /// Opens a file: itself, its real path and its size. `directory` is what to say of a directory.
    pub(super) fn open(
        &self,
        virtual_path: &str,
        directory: &str,
    ) -> Result<(File, PathBuf, u64), FilesError> {
        let real = self.resolve(virtual_path)?;
        if real.is_dir() {
            return Err(FilesError::Invalid(directory.to_owned()));
        }
        // A task may put a pipe into its sandbox: opening must not wait for a writer.
        let opened = open_real(&real, OFlags::NONBLOCK);
        let sized = opened.and_then(|file| Ok((file.metadata()?, file)));
        match sized {
            Ok((stat, file)) if stat.is_file() => Ok((file, real, stat.len())),
            Ok(_) => Err(FilesError::Invalid(format!("'{virtual_path}' is not a regular file.\n"))),
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                Err(FilesError::Invalid(format!("'{}' is inaccessible.\n", real.display())))
            }
            Err(error) => Err(FilesError::Failed(format!(
                "Failed to open file at '{}': {}.\n",
                real.display(),
                plain(&error)
            ))),
        }
    }
}

/// Opens a path that had no symbolic link in it when it was resolved. If there is one now, it is `ELOOP`.
fn open_real(real: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    match openat2(CWD, real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Linux before 5.6, and containers that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            let file = File::from(rustix::fs::open(real, flags, Mode::empty())?);
            let opened = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
            if opened == real { Ok(file) } else { Err(Errno::LOOP.into()) }
        }
        opened => Ok(File::from(opened?)),
    }
}

/// What it is attached as: several slashes are as good as one, and the one at the end does not count. (Upstream joins the
/// parts of a path so.)
fn key(virtual_path: &str) -> Cow<'_, str> {
    if !virtual_path.contains("//") {
        return without_end(virtual_path).into();
    }
    let mut key = String::with_capacity(virtual_path.len());
    for letter in virtual_path.chars() {
        if letter != '/' || !key.ends_with('/') {
            key.push(letter);
        }
    }
    without_end(&key).to_owned().into()
}

/// Without the slash at its end.
fn without_end(virtual_path: &str) -> &str {
    virtual_path.strip_suffix('/').unwrap_or(virtual_path)
}

/// The system's text without Rust's `(os error 2)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Names by number from a file of the form of `/etc/passwd` and `/etc/group`.
struct Names(BTreeMap<u32, String>);

impl Names {
    fn of(file: &str) -> Names {
        let text = fs::read_to_string(file).unwrap_or_default();
        let parse = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        // The first name of a number counts, as for getpwuid: later ones are overwritten.
        Names(text.lines().rev().filter_map(parse).collect())
    }

    fn of_id(&self, id: u32) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}
