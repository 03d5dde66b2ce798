//! A disk in memory that promises what POSIX does, and keeps no more: a power failure takes what was not synced.
//!
//! A [`SimulatedDisk`] belongs to a host and outlives its processes, each of which has a [`Mount`]. A mount that is
//! [`Mount::revoke`]d does nothing any more: a process that was killed writes nothing while its actors are dropped.
//!
//! After [`SimulatedDisk::lose_power`] a file that was appended to has a part of what was not synced, cut anywhere; one
//! that was rewritten is as it was, empty, or a part of the new; and of the changes to the names in a directory that
//! were not synced, the first few have happened. Links in the middle of a path are not followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::disk::{Disk, DiskUsage, Durability};

/// What the disk of a simulated host holds, in bytes: enough never to be full.
const SIZE: u64 = 1 << 40;

type Id = usize;
const ROOT: Id = 0;

/// The disk of one host. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    volume: Arc<Mutex<Volume>>,
}

/// What a power failure took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Files of which some bytes are gone, or not the last ones.
    pub files: usize,
    /// Changes of names that did not happen.
    pub names: usize,
}

#[derive(Debug)]
struct Volume {
    inodes: Vec<Inode>,
    boots: u64,
    /// Every operation fails with this text.
    broken: Option<String>,
    failures: u64,
    random: SmallRng,
    epoch: SystemTime,
    started: Instant,
}

#[derive(Debug)]
struct Inode {
    modified: SystemTime,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory(Directory),
    File(File),
    Link(PathBuf),
}

#[derive(Debug, Default)]
struct Directory {
    names: BTreeMap<OsString, Id>,
    durable: BTreeMap<OsString, Id>,
    /// What was done to `durable` since it was synced; each happens as a whole.
    changes: Vec<Vec<(OsString, Option<Id>)>>,
}

impl Directory {
    fn change(&mut self, change: Vec<(OsString, Option<Id>)>) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.names);
        self.changes.clear();
    }
}

fn apply(names: &mut BTreeMap<OsString, Id>, change: &[(OsString, Option<Id>)]) {
    for (name, id) in change {
        match id {
            Some(id) => drop(names.insert(name.clone(), *id)),
            None => drop(names.remove(name)),
        }
    }
}

#[derive(Debug, Default)]
struct File {
    data: Vec<u8>,
    /// What a power failure leaves; `None` if that is `data`.
    durable: Option<Vec<u8>>,
}

impl File {
    /// The content changes; what is on the disk is what was there before.
    fn unsynced(&mut self) {
        if self.durable.is_none() {
            self.durable = Some(self.data.clone());
        }
    }

    fn settle(&mut self, durability: Durability) {
        if durability == Durability::Host {
            self.durable = None;
        }
    }
}

impl SimulatedDisk {
    /// An empty disk. What power failures take is drawn from the seed. Wall time is `epoch` now.
    pub fn new(seed: u64, epoch: SystemTime) -> SimulatedDisk {
        let root = Inode { modified: epoch, kind: Kind::Directory(Directory::default()) };
        let volume = Volume {
            inodes: vec![root],
            boots: 1,
            broken: None,
            failures: 0,
            random: SmallRng::seed_from_u64(seed),
            epoch,
            started: Instant::now(),
        };
        SimulatedDisk { volume: Arc::new(Mutex::new(volume)) }
    }

    /// The disk as one process sees it.
    pub fn mount(&self) -> Mount {
        Mount { volume: self.volume.clone(), valid: Arc::new(AtomicBool::new(true)) }
    }

    /// The host loses its power, and boots again.
    pub fn lose_power(&self) -> Lost {
        self.volume.lock().lose_power()
    }

    /// How many operations have failed because the disk was broken, since this was asked last.
    pub fn take_failures(&self) -> u64 {
        std::mem::take(&mut self.volume.lock().failures)
    }

    /// From now on every operation fails with this text; with `None`, none does.
    pub fn set_broken(&self, text: Option<&str>) {
        self.volume.lock().broken = text.map(str::to_owned);
    }
}

/// A disk as one process sees it. Clones are the same process's.
#[derive(Debug, Clone)]
pub struct Mount {
    volume: Arc<Mutex<Volume>>,
    valid: Arc<AtomicBool>,
}

impl Mount {
    /// The process is gone: nothing that is left of it reads or writes.
    pub fn revoke(&self) {
        self.valid.store(false, Ordering::Release);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Volume) -> io::Result<T>) -> io::Result<T> {
        if !self.valid.load(Ordering::Acquire) {
            return Err(io::Error::other("the process has ended"));
        }
        let mut volume = self.volume.lock();
        if let Some(text) = volume.broken.clone() {
            volume.failures += 1;
            return Err(io::Error::other(text));
        }
        work(&mut volume)
    }
}

fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

fn file_name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

impl Volume {
    fn now(&self) -> SystemTime {
        self.epoch + self.started.elapsed()
    }

    fn add(&mut self, kind: Kind) -> Id {
        let modified = self.now();
        self.inodes.push(Inode { modified, kind });
        self.inodes.len() - 1
    }

    fn find(&self, path: &Path) -> io::Result<Id> {
        names(path).try_fold(ROOT, |at, name| {
            let Kind::Directory(directory) = &self.inodes[at].kind else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            directory.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        let id = self.find(path)?;
        match &mut self.inodes[id].kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, id: Id) -> io::Result<&mut File> {
        let now = self.now();
        let inode = &mut self.inodes[id];
        match &mut inode.kind {
            Kind::File(file) => {
                inode.modified = now;
                Ok(file)
            }
            Kind::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
            Kind::Link(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The file at a path; a new one if there is none.
    fn open(&mut self, path: &Path) -> io::Result<&mut File> {
        let id = match self.find(path) {
            Ok(id) => id,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.directory(parent(path))?;
                let id = self.add(Kind::File(File::default()));
                let name = file_name(path)?.to_owned();
                self.directory(parent(path))?.change(vec![(name, Some(id))]);
                id
            }
            Err(error) => return Err(error),
        };
        self.file(id)
    }

    fn create_directory(&mut self, path: &Path, durability: Durability) -> io::Result<()> {
        let mut at = ROOT;
        for name in names(path) {
            let Kind::Directory(directory) = &self.inodes[at].kind else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            let known = directory.names.get(name).copied();
            let next = known.unwrap_or_else(|| self.add(Kind::Directory(Directory::default())));
            if known.is_none()
                && let Kind::Directory(directory) = &mut self.inodes[at].kind
            {
                directory.change(vec![(name.to_owned(), Some(next))]);
                if durability == Durability::Host {
                    directory.sync();
                }
            }
            at = next;
        }
        match self.inodes[at].kind {
            Kind::Directory(_) => Ok(()),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.find(from)?;
        let (old, new) = (file_name(from)?.to_owned(), file_name(to)?.to_owned());
        self.directory(parent(to))?;
        if parent(from) == parent(to) {
            self.directory(parent(to))?.change(vec![(old, None), (new, Some(id))]);
        } else {
            self.directory(parent(to))?.change(vec![(new, Some(id))]);
            self.directory(parent(from))?.change(vec![(old, None)]);
        }
        Ok(())
    }

    fn lose_power(&mut self) -> Lost {
        self.boots += 1;
        let mut lost = Lost::default();
        let random = &mut self.random;
        for inode in &mut self.inodes {
            match &mut inode.kind {
                Kind::Directory(directory) => {
                    let kept = random.random_range(0..=directory.changes.len());
                    lost.names += directory.changes.len() - kept;
                    for change in directory.changes.drain(..).take(kept) {
                        apply(&mut directory.durable, &change);
                    }
                    directory.names.clone_from(&directory.durable);
                }
                Kind::File(file) => {
                    let Some(durable) = file.durable.take() else { continue };
                    let left = remains(&durable, &file.data, random);
                    lost.files += usize::from(left != file.data);
                    file.data = left;
                }
                Kind::Link(_) => {}
            }
        }
        self.collect();
        lost
    }

    /// Frees what has no name any more.
    fn collect(&mut self) {
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![ROOT]);
        while let Some(id) = waiting.pop() {
            if let Kind::Directory(directory) = &self.inodes[id].kind
                && reached.insert(id)
            {
                waiting.extend(directory.names.values());
            } else {
                reached.insert(id);
            }
        }
        for (id, inode) in self.inodes.iter_mut().enumerate() {
            if !reached.contains(&id) {
                inode.kind = Kind::File(File::default());
            }
        }
    }
}

/// What a power failure leaves of a file.
fn remains(durable: &[u8], data: &[u8], random: &mut SmallRng) -> Vec<u8> {
    if data.starts_with(durable) {
        return data[..random.random_range(durable.len()..=data.len())].to_vec();
    }
    match random.random_range(0..3) {
        0 => durable.to_vec(),
        1 => Vec::new(),
        _ => data[..random.random_range(0..=data.len())].to_vec(),
    }
}

impl Disk for Mount {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.with(|volume| {
            let id = volume.find(path)?;
            match &volume.inodes[id].kind {
                Kind::File(file) => Ok(file.data.clone()),
                Kind::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
                Kind::Link(_) => Err(io::ErrorKind::InvalidInput.into()),
            }
        })
    }

    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        self.with(|volume| {
            let file = volume.open(path)?;
            file.unsynced();
            bytes.clone_into(&mut file.data);
            file.settle(durability);
            Ok(())
        })
    }

    fn append(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        self.with(|volume| {
            let file = volume.open(path)?;
            file.unsynced();
            file.data.extend_from_slice(bytes);
            file.settle(durability);
            Ok(())
        })
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.with(|volume| {
            let id = volume.find(path)?;
            volume.file(id)?.settle(Durability::Host);
            Ok(())
        })
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.with(|volume| {
            let id = volume.find(path)?;
            let file = volume.file(id)?;
            file.data.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
            file.settle(Durability::Host);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|volume| volume.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|volume| {
            volume.find(path)?;
            let name = file_name(path)?.to_owned();
            volume.directory(parent(path))?.change(vec![(name, None)]);
            Ok(())
        })
    }

    fn create_directory(&self, path: &Path, durability: Durability) -> io::Result<()> {
        self.with(|volume| volume.create_directory(path, durability))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.with(|volume| {
            volume.directory(path)?.sync();
            Ok(())
        })
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.with(|volume| {
            volume.find(path)?;
            for inode in &mut volume.inodes {
                match &mut inode.kind {
                    Kind::Directory(directory) => directory.sync(),
                    Kind::File(file) => file.settle(Durability::Host),
                    Kind::Link(_) => {}
                }
            }
            Ok(())
        })
    }

    fn create_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.with(|volume| {
            if volume.find(link).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            volume.directory(parent(link))?;
            let id = volume.add(Kind::Link(target.to_owned()));
            let name = file_name(link)?.to_owned();
            volume.directory(parent(link))?.change(vec![(name, Some(id))]);
            Ok(())
        })
    }

    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        self.with(|volume| {
            let id = volume.find(link)?;
            match &volume.inodes[id].kind {
                Kind::Link(target) => Ok(target.clone()),
                _ => Err(io::ErrorKind::InvalidInput.into()),
            }
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.with(|volume| Ok(volume.directory(path)?.names.keys().cloned().collect()))
    }

    fn exists(&self, path: &Path) -> bool {
        self.with(|volume| volume.find(path)).is_ok()
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.with(|volume| {
            let id = volume.find(path)?;
            Ok(volume.inodes[id].modified)
        })
    }

    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.with(|volume| {
            let id = volume.find(path)?;
            volume.inodes[id].modified = time;
            Ok(())
        })
    }

    fn set_mode(&self, path: &Path, _: u32) -> io::Result<()> {
        self.with(|volume| volume.find(path).map(drop))
    }

    fn set_owner(&self, path: &Path, _: u32, _: u32) -> io::Result<()> {
        self.with(|volume| volume.find(path).map(drop))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.with(|volume| volume.find(path))?;
        Ok(path.components().collect())
    }

    fn usage(&self, path: &Path) -> io::Result<DiskUsage> {
        self.with(|volume| volume.find(path))?;
        Ok(DiskUsage { total: SIZE, available: SIZE })
    }

    fn boot_id(&self) -> Option<String> {
        self.with(|volume| Ok(format!("boot-{}", volume.boots))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn disk(seed: u64) -> SimulatedDisk {
        SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000))
    }

    #[test]
    fn it_behaves_as_a_disk() {
        let disk = disk(1);
        disk.mount().create_directory(Path::new("/root"), Durability::Process).unwrap();
        crate::disk::tests::behaves_as_a_disk(&disk.mount(), Path::new("/root"));
    }

    #[test]
    fn a_power_failure_takes_any_part_of_what_was_not_synced_and_nothing_else() {
        let (mut torn, mut names, mut whole) = (0, 0, 0);
        for seed in 0..200 {
            let disk = disk(seed);
            let mount = disk.mount();
            let (directory, log) = (Path::new("/a/b"), Path::new("/a/b/log"));
            mount.create_directory(directory, Durability::Host).unwrap();
            mount.append(log, b"synced", Durability::Host).unwrap();
            mount.sync_directory(directory).unwrap();
            mount.append(log, b" and not", Durability::Process).unwrap();
            mount.write(Path::new("/a/b/new"), b"x", Durability::Host).unwrap();
            let boot = mount.boot_id();
            let lost = disk.lose_power();
            assert_ne!(mount.boot_id(), boot);
            let left = mount.read(log).unwrap();
            assert!(left.starts_with(b"synced") && b"synced and not".starts_with(&left), "{left:?}");
            torn += usize::from(left.len() < 14 && left.len() > 6);
            whole += usize::from(lost == Lost::default());
            // Its bytes are on the disk, but perhaps not its name.
            if mount.exists(Path::new("/a/b/new")) {
                assert_eq!(mount.read(Path::new("/a/b/new")).unwrap(), b"x");
            } else {
                names += 1;
            }
        }
        assert!(torn > 50 && names > 50 && whole > 0, "{torn} {names} {whole}");
    }

    #[test]
    fn what_was_there_when_all_was_synced_stays() {
        for seed in 0..20 {
            let disk = disk(seed);
            let mount = disk.mount();
            mount.create_directory(Path::new("/a/b"), Durability::Process).unwrap();
            mount.write(Path::new("/a/b/file"), b"x", Durability::Process).unwrap();
            mount.sync_all(Path::new("/a")).unwrap();
            assert_eq!(disk.lose_power(), Lost::default());
            assert_eq!(mount.read(Path::new("/a/b/file")).unwrap(), b"x");
        }
    }

    #[test]
    fn a_directory_whose_name_was_not_synced_may_take_its_files_with_it() {
        let gone = (0..50).filter(|&seed| {
            let disk = disk(seed);
            disk.mount().create_directory(Path::new("/a"), Durability::Process).unwrap();
            disk.mount().write(Path::new("/a/file"), b"x", Durability::Host).unwrap();
            disk.mount().sync_directory(Path::new("/a")).unwrap();
            disk.lose_power();
            !disk.mount().exists(Path::new("/a/file"))
        });
        assert!((10..40).contains(&gone.count()));
    }

    #[test]
    fn a_file_that_is_replaced_by_a_rename_is_the_old_or_the_new_one() {
        for seed in 0..100 {
            let disk = disk(seed);
            let (mount, path, temporary) = (disk.mount(), Path::new("/file"), Path::new("/file.tmp"));
            for content in ["old", "new"] {
                mount.write(temporary, content.as_bytes(), Durability::Host).unwrap();
                mount.rename(temporary, path).unwrap();
                if content == "old" {
                    mount.sync_directory(Path::new("/")).unwrap();
                }
            }
            disk.lose_power();
            let left = mount.read(path).unwrap();
            assert!(left == b"old" || left == b"new", "{left:?}");
        }
    }

    #[test]
    fn who_has_ended_or_whose_disk_is_broken_does_nothing() {
        let disk = disk(1);
        let (first, second) = (disk.mount(), disk.mount());
        let path = Path::new("/file");
        first.write(path, b"1", Durability::Host).unwrap();
        first.revoke();
        assert!(first.write(path, b"2", Durability::Host).is_err() && !first.exists(path));
        assert_eq!(second.read(path).unwrap(), b"1");
        disk.set_broken(Some("no space left"));
        assert_eq!(second.read(path).unwrap_err().to_string(), "no space left");
        disk.set_broken(None);
        assert_eq!(second.read(path).unwrap(), b"1");
    }
}
