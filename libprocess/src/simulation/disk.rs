//! A disk in memory that promises what POSIX does, and keeps no more: a power failure takes what was not synced.
//!
//! A [`SimulatedDisk`] belongs to a host and outlives its processes, each of which has a [`Mount`]. A mount that is
//! [`Mount::revoke`]d does nothing any more: a process that was killed writes nothing while its actors are dropped.
//!
//! After [`SimulatedDisk::lose_power`] a file that was appended to has a part of what was not synced, cut anywhere, and
//! perhaps with holes: a disk writes in any order, and what it had not written yet reads as zeros. One that was rewritten
//! is as it was, empty, or a part of the new; and of the changes to the names in a directory that were not synced, the
//! first few have happened. Links in the middle of a path are not followed.
//!
//! A process can be made to die between any two steps of what it does on the disk, or within one
//! ([`SimulatedDisk::kill_after`]): of what it writes a part is there then.

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

/// What a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

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

/// A process is to die when it works on the disk.
struct Death {
    /// So many steps are done before.
    steps: u64,
    /// It dies within a step that writes something, not between two.
    torn: bool,
    kill: Box<dyn FnOnce(Torn) + Send>,
}

/// Whether a process died within a step, of which a part was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// Between two.
    No,
    /// A part of what it was about to write is there.
    Yes,
}

impl std::fmt::Debug for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Death(after {} steps)", self.steps)
    }
}

#[derive(Debug)]
struct Volume {
    inodes: Vec<Inode>,
    boots: u64,
    /// Every operation fails with this text.
    broken: Option<String>,
    failures: u64,
    death: Option<Death>,
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

    fn sync(&mut self) {
        self.durable = None;
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
            death: None,
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

    /// The process that changes the disk dies when it has done so many steps more, each of which is one system call: it
    /// writes, syncs, renames, removes, makes. With `torn` it dies within the next step after that which writes bytes:
    /// some of them are there. `kill` is called from within its last step, which fails.
    pub fn kill_after(&self, steps: u64, torn: bool, kill: impl FnOnce(Torn) + Send + 'static) {
        self.volume.lock().death = Some(Death { steps, torn, kill: Box::new(kill) });
    }

    /// Nobody is to die any more.
    pub fn spare(&self) {
        self.volume.lock().death = None;
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
            return Err(ended());
        }
        let mut volume = self.volume.lock();
        if let Some(text) = volume.broken.clone() {
            volume.failures += 1;
            return Err(io::Error::other(text));
        }
        work(&mut volume)
    }

    /// A change in so many parts, each of which the process may be the last to have done: `work` does so many of them.
    /// If it does not do all, the change is not synced either.
    fn change(&self, parts: usize, work: impl FnOnce(&mut Volume, Part) -> io::Result<()>) -> io::Result<()> {
        let mut last = None;
        let done = self.with(|volume| {
            let Some(death) = &mut volume.death else { return work(volume, Part::All) };
            let can_tear = parts > 1;
            if death.steps > 0 || (death.torn && !can_tear) {
                death.steps = death.steps.saturating_sub(1);
                return work(volume, Part::All);
            }
            let Some(death) = volume.death.take() else { return work(volume, Part::All) };
            let torn = if death.torn {
                let some = volume.random.random_range(1..parts);
                work(volume, Part::Some(some))?;
                Torn::Yes
            } else {
                Torn::No
            };
            last = Some((death.kill, torn));
            Err(ended())
        });
        if let Some((kill, torn)) = last {
            self.revoke();
            kill(torn);
        }
        done
    }

    /// Writes to a file; syncing it is a step of its own.
    fn put(
        &self,
        path: &Path,
        bytes: &[u8],
        durability: Durability,
        put: impl FnOnce(&mut Vec<u8>, &[u8]),
    ) -> io::Result<()> {
        self.change(bytes.len(), |volume, part| {
            let file = volume.open(path)?;
            file.unsynced();
            put(&mut file.data, part.of(bytes));
            Ok(())
        })?;
        if durability == Durability::Host { self.sync_file(path) } else { Ok(()) }
    }
}

/// How much of a change is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Some(usize),
}

impl Part {
    fn of(self, bytes: &[u8]) -> &[u8] {
        match self {
            Part::All => bytes,
            Part::Some(count) => &bytes[..count],
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("the process has ended")
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

    /// Makes one directory; that which it is in is there.
    fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        self.directory(parent(path))?;
        let id = self.add(Kind::Directory(Directory::default()));
        let name = file_name(path)?.to_owned();
        self.directory(parent(path))?.change(vec![(name, Some(id))]);
        Ok(())
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
        let mut left = data[..random.random_range(durable.len()..=data.len())].to_vec();
        if random.random_bool(0.5) {
            let mut at = durable.len();
            while at < left.len() {
                let end = left.len().min((at / SECTOR + 1) * SECTOR);
                if random.random_bool(0.2) {
                    left[at..end].fill(0);
                }
                at = end;
            }
        }
        return left;
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
        self.put(path, bytes, durability, |data, bytes| bytes.clone_into(data))
    }

    fn append(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        self.put(path, bytes, durability, Vec::extend_from_slice)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.change(1, |volume, _| {
            let id = volume.find(path)?;
            volume.file(id)?.sync();
            Ok(())
        })
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.change(1, |volume, _| {
            let id = volume.find(path)?;
            let file = volume.file(id)?;
            file.unsynced();
            file.data.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
            Ok(())
        })?;
        self.sync_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(1, |volume, _| volume.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(1, |volume, _| {
            volume.find(path)?;
            let name = file_name(path)?.to_owned();
            volume.directory(parent(path))?.change(vec![(name, None)]);
            Ok(())
        })
    }

    fn create_directory(&self, path: &Path, durability: Durability) -> io::Result<()> {
        // Each directory on the way is made, and its name synced, by itself.
        let mut at = PathBuf::from("/");
        for name in names(path) {
            at.push(name);
            if self.with(|volume| volume.find(&at).map(drop)).is_ok() {
                continue;
            }
            self.change(1, |volume, _| volume.create_directory(&at))?;
            if durability == Durability::Host {
                self.sync_directory(parent(&at))?;
            }
        }
        self.with(|volume| match volume.inodes[volume.find(path)?].kind {
            Kind::Directory(_) => Ok(()),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        })
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.change(1, |volume, _| {
            volume.directory(path)?.sync();
            Ok(())
        })
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.change(1, |volume, _| {
            volume.find(path)?;
            for inode in &mut volume.inodes {
                match &mut inode.kind {
                    Kind::Directory(directory) => directory.sync(),
                    Kind::File(file) => file.sync(),
                    Kind::Link(_) => {}
                }
            }
            Ok(())
        })
    }

    fn create_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.change(1, |volume, _| {
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
        let (mut torn, mut holes, mut names, mut whole) = (0, 0, 0, 0);
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
            let is_hole = left.len() > 6 && left[6..].iter().all(|byte| *byte == 0);
            assert!(
                left.starts_with(b"synced") && (is_hole || b"synced and not".starts_with(&left)),
                "{left:?}"
            );
            torn += usize::from(left.len() < 14 && left.len() > 6);
            holes += usize::from(is_hole);
            whole += usize::from(lost == Lost::default());
            // Its bytes are on the disk, but perhaps not its name.
            if mount.exists(Path::new("/a/b/new")) {
                assert_eq!(mount.read(Path::new("/a/b/new")).unwrap(), b"x");
            } else {
                names += 1;
            }
        }
        assert!(torn > 50 && holes > 5 && names > 50 && whole > 0, "{torn} {holes} {names} {whole}");
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

    /// What a process does that replaces a file: five steps.
    fn replace(mount: &Mount, content: &[u8]) -> io::Result<()> {
        let (directory, temporary) = (Path::new("/d"), Path::new("/d/file.tmp"));
        mount.create_directory(directory, Durability::Process)?;
        mount.write(temporary, content, Durability::Host)?;
        mount.rename(temporary, Path::new("/d/file"))?;
        mount.sync_directory(directory)
    }

    #[test]
    fn a_process_dies_between_any_two_steps_and_the_next_one_finds_what_it_had_done() {
        let found = |steps| {
            let disk = disk(1);
            let (mount, died) = (disk.mount(), Arc::new(Mutex::new(None)));
            let told = died.clone();
            disk.kill_after(steps, false, move |torn| *told.lock() = Some(torn));
            let done = replace(&mount, b"content");
            let died = *died.lock();
            assert_eq!(died, done.is_err().then_some(Torn::No));
            assert_eq!(mount.read(Path::new("/d/file")).is_ok(), done.is_ok(), "the dead read nothing");
            let next = disk.mount();
            let there = |path| next.exists(Path::new(path));
            (there("/d"), there("/d/file.tmp"), there("/d/file"))
        };
        let expected = [
            (false, false, false),
            (true, false, false),
            (true, true, false),
            (true, true, false),
            (true, false, true),
            (true, false, true),
        ];
        for (steps, expected) in (0..).zip(expected) {
            assert_eq!(found(steps), expected, "{steps}");
        }
    }

    #[test]
    fn a_write_is_torn_anywhere_and_is_not_the_directory_before_it() {
        let mut lengths = BTreeSet::new();
        for seed in 0..50 {
            let disk = disk(seed);
            disk.kill_after(0, true, |torn| assert_eq!(torn, Torn::Yes));
            assert!(replace(&disk.mount(), b"content").is_err());
            let left = disk.mount().read(Path::new("/d/file.tmp")).unwrap();
            assert!(b"content".starts_with(&left), "{left:?}");
            lengths.insert(left.len());
            // Only one process dies, and none that is spared.
            replace(&disk.mount(), b"content").unwrap();
            disk.kill_after(0, false, |_| panic!("it was spared"));
            disk.spare();
            replace(&disk.mount(), b"content").unwrap();
        }
        assert_eq!(lengths, (1..7).collect());
    }
}
