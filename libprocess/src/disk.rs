//! The file system that must survive: the seam between actors that keep something and the disk under them.
//!
//! Who keeps state asks its node for the disk ([`crate::Node::disk`]). [`HostDisk`] is the operating system's; a
//! simulation brings one that loses what was not synced ([`crate::simulation`]). What is promised is what POSIX
//! promises, and no more: bytes survive the process once they are written, and a power failure once they are synced;
//! a name survives a power failure once its directory is synced.
//!
//! All calls block: for [`crate::Node::blocking`], or for files so small that nobody waits.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, StatVfs, openat, unlinkat};
use rustix::io::Errno;

/// What a change must survive before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The process: the kernel has it, and may write it later. What describes running processes needs no more: if the
    /// host dies, so do they.
    Process,
    /// The host: it is on the disk.
    Host,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// Its size, in bytes.
    pub total: u64,
    /// What is not used, in bytes. Some of it may be kept for root.
    pub free: u64,
}

impl DiskUsage {
    /// As upstream's `fs::usage` counts: what is kept for root (5 % of a usual ext4) is not used.
    fn of(disk: &StatVfs) -> DiskUsage {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        DiskUsage { total: bytes(disk.f_blocks), free: bytes(disk.f_bfree) }
    }
}

/// A disk. Paths are absolute. Errors are the operating system's, of the same kinds.
pub trait Disk: Send + Sync + std::fmt::Debug + 'static {
    /// The content of a file.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Makes a file, or replaces its content. Not atomic: beside [`Disk::rename`] it is.
    ///
    /// # Errors
    /// The system's.
    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()>;

    /// Adds to the end of a file, which is made if there is none.
    ///
    /// # Errors
    /// The system's.
    fn append(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()>;

    /// Writes over the bytes of a file from `offset` on, and beyond its end if they are more; makes it if there is none.
    /// What lies between its end and the offset is zeros. Where nothing is added, syncing it is cheaper: the disk need not
    /// learn of another length.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8], durability: Durability) -> io::Result<()>;

    /// Makes the content of a file durable that was written before.
    ///
    /// # Errors
    /// The system's; `NotFound` if there is nothing.
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// Cuts a file to `length` bytes, and syncs it.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Gives a file, link or directory another name, at once; what had that name is gone.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, a link, or a directory with all that is in it.
    ///
    /// # Errors
    /// The system's; `NotFound` if there is nothing. What cannot be removed from a directory does not keep the rest.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory and its parents. With [`Durability::Host`] the names of all that were made are durable.
    ///
    /// # Errors
    /// The system's.
    fn create_directory(&self, path: &Path, durability: Durability) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes everything durable that was written to the file system that a path is on, whoever wrote it: contents and
    /// names. It may take long.
    ///
    /// # Errors
    /// The system's.
    fn sync_all(&self, path: &Path) -> io::Result<()>;

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// The system's; `AlreadyExists` if there is something.
    fn create_link(&self, target: &Path, link: &Path) -> io::Result<()>;

    /// Where a link points.
    ///
    /// # Errors
    /// The system's.
    fn read_link(&self, link: &Path) -> io::Result<PathBuf>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Whether there is anything under a path.
    fn exists(&self, path: &Path) -> bool;

    /// When a file or directory was last changed.
    ///
    /// # Errors
    /// The system's.
    fn modified(&self, path: &Path) -> io::Result<SystemTime>;

    /// Says when a file or directory was last changed.
    ///
    /// # Errors
    /// The system's.
    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()>;

    /// Sets the permissions of a file or directory, as `chmod` takes them.
    ///
    /// # Errors
    /// The system's.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Gives a file or directory to a user and a group.
    ///
    /// # Errors
    /// The system's.
    fn set_owner(&self, path: &Path, user: u32, group: u32) -> io::Result<()>;

    /// The one name of a file or directory, without links and dots.
    ///
    /// # Errors
    /// The system's.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// How full the file system is that a path is on.
    ///
    /// # Errors
    /// The system's.
    fn usage(&self, path: &Path) -> io::Result<DiskUsage>;

    /// Names the time since the host booted: after another boot no process of before runs, and what was not synced may
    /// be gone. `None` where it cannot be told.
    fn boot_id(&self) -> Option<String>;
}

/// Makes the name of `path` durable, and those of the directories above it, `names` in all; also if they were there
/// already: who made them may have died before it did so (found by simulation). In a directory that may not be read, or on
/// a file system that cannot be written and so knows no sync, none was made.
///
/// # Errors
/// The system's, with the directory.
pub fn sync_names(disk: &dyn Disk, path: &Path, names: usize) -> Result<(), (PathBuf, io::Error)> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
    for parent in path.ancestors().skip(1).take(names) {
        match disk.sync_directory(parent) {
            Err(error) if matches!(error.kind(), PermissionDenied | InvalidInput | ReadOnlyFilesystem) => {}
            synced => synced.map_err(|error| (parent.to_path_buf(), error))?,
        }
    }
    Ok(())
}

/// The operating system's. What is done to it does not fail because this process has as many files open as it may: one is
/// kept for that, from its first use on.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostDisk;

/// What is closed when no other file can be opened. Without it, an agent with too many containers or connections could not
/// keep what it promises, and would end.
static SPARE: LazyLock<Mutex<Option<File>>> = LazyLock::new(|| Mutex::new(keep_one()));

/// How often it is tried again, and after which time, if somebody else was quicker to use what was closed.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

fn keep_one() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether this process, or the host, has as many files open as it may.
pub(crate) fn has_too_many_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Does what needs a file to be opened (no more than one at a time), and can be done again where that has failed.
pub(crate) fn with_spare<T>(operation: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let kept = LazyLock::force(&SPARE);
    match operation() {
        Err(error) if has_too_many_files(&error) => {}
        done => {
            // Where somebody else was quicker to use it, another one is kept as soon as there is one.
            if let Some(mut spare) = kept.try_lock()
                && spare.is_none()
            {
                *spare = keep_one();
            }
            return done;
        }
    }
    // One after the other.
    let mut spare = kept.lock();
    drop(spare.take());
    let mut done = operation();
    for _ in 0..TRIES {
        if !done.as_ref().is_err_and(has_too_many_files) {
            break;
        }
        std::thread::sleep(PAUSE);
        done = operation();
    }
    *spare = keep_one();
    done
}

impl HostDisk {
    fn put(mut file: File, bytes: &[u8], durability: Durability) -> io::Result<()> {
        file.write_all(bytes)?;
        match durability {
            Durability::Host => file.sync_data(),
            Durability::Process => Ok(()),
        }
    }
}

impl Disk for HostDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        with_spare(|| fs::read(path))
    }

    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        with_spare(|| HostDisk::put(File::create(path)?, bytes, durability))
    }

    fn append(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        with_spare(|| {
            HostDisk::put(OpenOptions::new().create(true).append(true).open(path)?, bytes, durability)
        })
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8], durability: Durability) -> io::Result<()> {
        with_spare(|| {
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            HostDisk::put(file, bytes, durability)
        })
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        with_spare(|| File::open(path)?.sync_data())
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        with_spare(|| {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(length)?;
            file.sync_data()
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(path)?.is_dir() {
            return fs::remove_file(path);
        }
        with_spare(|| fs::remove_dir_all(path)).or_else(|error| {
            if let Ok(directory) = rustix::fs::open(path, DIRECTORY, Mode::empty()) {
                remove_what_can_be(&directory, DEPTH);
            }
            // Somebody may only have written there meanwhile.
            fs::remove_dir(path).map_err(|_| error)
        })
    }

    fn create_directory(&self, path: &Path, durability: Durability) -> io::Result<()> {
        let missing: Vec<&Path> = match durability {
            Durability::Host => path.ancestors().take_while(|ancestor| !ancestor.exists()).collect(),
            Durability::Process => Vec::new(),
        };
        fs::create_dir_all(path)?;
        // The parent of each keeps its name.
        for made in missing {
            if let Some(parent) = made.parent() {
                self.sync_directory(parent)?;
            }
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        with_spare(|| File::open(path)?.sync_all())
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        with_spare(|| Ok(rustix::fs::syncfs(File::open(path)?)?))
    }

    fn create_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, link)
    }

    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        fs::read_link(link)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let read = || fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
        let mut names = with_spare(read)?;
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        fs::metadata(path)?.modified()
    }

    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        with_spare(|| File::open(path)?.set_times(FileTimes::new().set_modified(time)))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    fn set_owner(&self, path: &Path, user: u32, group: u32) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(user), Some(group))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn usage(&self, path: &Path) -> io::Result<DiskUsage> {
        Ok(DiskUsage::of(&rustix::fs::statvfs(path)?))
    }

    fn boot_id(&self) -> Option<String> {
        let read = with_spare(|| fs::read_to_string("/proc/sys/kernel/random/boot_id"));
        read.ok().map(|id| id.trim().to_owned())
    }
}

/// How a directory is opened to be emptied: not by a link that somebody puts in its place.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How many directories below each other are emptied of what can be removed: two descriptors each are open meanwhile.
const DEPTH: usize = 64;

/// Empties a directory of which something cannot be removed, as far as possible.
fn remove_what_can_be(directory: &OwnedFd, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(entries) = Dir::read_from(directory) else { return };
    for entry in entries {
        let Ok(entry) = entry else { return };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || unlinkat(directory, name, AtFlags::empty()).is_ok() {
            continue;
        }
        if let Ok(below) = openat(directory, name, DIRECTORY, Mode::empty()) {
            remove_what_can_be(&below, depth);
            let _ = unlinkat(directory, name, AtFlags::REMOVEDIR);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What every disk must do; simulated ones are held to it, too.
    pub(crate) fn behaves_as_a_disk(disk: &dyn Disk, root: &Path) {
        let (directory, file) = (root.join("a/b"), root.join("a/b/file"));
        assert_eq!(disk.write(&file, b"x", Durability::Process).unwrap_err().kind(), io::ErrorKind::NotFound);
        disk.create_directory(&directory, Durability::Host).unwrap();
        disk.create_directory(&directory, Durability::Process).unwrap();
        disk.write(&file, b"one", Durability::Process).unwrap();
        disk.append(&file, b"+two", Durability::Host).unwrap();
        assert_eq!(disk.read(&file).unwrap(), b"one+two");
        disk.truncate(&file, 3).unwrap();
        let patched = root.join("a/patched");
        disk.write_at(&patched, 2, b"cdef", Durability::Process).unwrap();
        disk.write_at(&patched, 3, b"D", Durability::Host).unwrap();
        disk.write_at(&patched, 5, b"FG", Durability::Host).unwrap();
        assert_eq!(disk.read(&patched).unwrap(), b"\0\0cDeFG");
        disk.remove(&patched).unwrap();
        disk.append(&root.join("a/new"), b"new", Durability::Process).unwrap();
        assert_eq!(disk.read(&root.join("a/new")).unwrap(), b"new");
        disk.rename(&file, &root.join("a/new")).unwrap();
        assert_eq!(disk.read(&root.join("a/new")).unwrap(), b"one");
        assert!(!disk.exists(&file) && disk.exists(&directory));

        let link = root.join("a/link");
        disk.create_link(Path::new("b"), &link).unwrap();
        assert_eq!(disk.create_link(Path::new("c"), &link).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.read_link(&link).unwrap(), Path::new("b"));
        assert!(disk.read_link(&root.join("none")).is_err());
        assert_eq!(disk.list(&root.join("a")).unwrap(), ["b", "link", "new"]);

        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        disk.set_modified(&directory, time).unwrap();
        assert_eq!(disk.modified(&directory).unwrap(), time);
        disk.set_mode(&directory, 0o750).unwrap();
        disk.sync_directory(&root.join("a")).unwrap();
        disk.sync_all(&root.join("a")).unwrap();
        assert_eq!(disk.sync_all(&root.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(disk.usage(root).unwrap().total > 0);

        disk.remove(&root.join("a")).unwrap();
        assert!(!disk.exists(&link));
        assert_eq!(disk.remove(&root.join("a")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(disk.read(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_host_disk_behaves_as_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        behaves_as_a_disk(&HostDisk, &folder.path().canonicalize().unwrap());
        assert!(HostDisk.boot_id().is_some_and(|id| !id.is_empty()));
    }

    /// Upstream: `fs::usage`. Else a file system that keeps much for root would let nothing get old.
    #[test]
    fn what_is_kept_for_root_counts_as_free() {
        let mut disk = rustix::fs::statvfs("/").unwrap();
        (disk.f_frsize, disk.f_blocks, disk.f_bfree, disk.f_bavail) = (4096, 100, 60, 20);
        assert_eq!(DiskUsage::of(&disk), DiskUsage { total: 409_600, free: 245_760 });
    }

    /// Upstream: `os::rmdir` with `continueOnError`, for the garbage collector.
    #[test]
    fn what_cannot_be_removed_does_not_keep_what_is_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (folder.path().join("sandbox"), folder.path().join("elsewhere"));
        let fill = || {
            for path in [root.join("a/b"), root.join("kept"), root.join("z"), elsewhere.clone()] {
                fs::create_dir_all(&path).unwrap();
                fs::write(path.join("file"), "x").unwrap();
            }
            HostDisk.create_link(&elsewhere, &root.join("link")).unwrap();
        };
        fill();
        let directory = rustix::fs::open(&root, DIRECTORY, Mode::empty()).unwrap();
        remove_what_can_be(&directory, DEPTH);
        assert!(HostDisk.list(&root).unwrap().is_empty() && HostDisk.exists(&elsewhere.join("file")));
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped in part: root can remove everything");
            return;
        }
        fill();
        HostDisk.set_mode(&root.join("kept"), 0o555).unwrap();
        let error = HostDisk.remove(&root).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(HostDisk.list(&root).unwrap(), ["kept"]);
        HostDisk.set_mode(&root.join("kept"), 0o755).unwrap();
        HostDisk.remove(&root).unwrap();
    }
}
