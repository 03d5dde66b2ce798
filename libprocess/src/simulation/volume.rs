//! What is on a disk in memory: directories, files, links, and of each what a power failure leaves.
//!
//! A name or a byte that was not synced may be lost ([`Volume::lose_power`]): a file that was appended to keeps a part of
//! what was not synced, cut anywhere, and perhaps with holes: a disk writes in any order, and what it had not written yet
//! reads as zeros. One that was written over has the old bytes or the new ones, at each place. One that was replaced or cut
//! is as it was, empty, or a part of the new; and of the changes to the names in a directory that were not synced, the
//! first few have happened. Links in the middle of a path are not followed. It knows nothing of processes: those are in
//! [`super::disk`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

/// What a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

type Id = usize;
const ROOT: Id = 0;

/// What a power failure took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Files of which some bytes are gone, or not the last ones.
    pub files: usize,
    /// Changes of names that did not happen.
    pub names: usize,
}

/// What is on the disk.
#[derive(Debug)]
pub(super) struct Volume {
    inodes: Vec<Inode>,
    boots: u64,
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
    /// The first so many bytes are in both, and were not written since: no power failure takes them.
    kept: usize,
    /// It was replaced or cut since it was synced; otherwise every byte of `durable` has its place in `data`.
    replaced: bool,
}

impl File {
    /// The content changes; what is on the disk is what was there before.
    fn unsynced(&mut self) {
        if self.durable.is_none() {
            self.durable = Some(self.data.clone());
            self.kept = self.data.len();
        }
    }

    /// It has another content or length, in place of what it had.
    fn replace(&mut self, kept: usize) {
        self.unsynced();
        self.kept = self.kept.min(kept);
        self.replaced = true;
    }

    fn sync(&mut self) {
        self.durable = None;
        self.replaced = false;
    }
}

pub(super) fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

fn file_name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// The tree.
impl Volume {
    /// With nothing but its root. What power failures take is drawn from the seed. Wall time is `epoch` now.
    pub(super) fn new(seed: u64, epoch: SystemTime) -> Volume {
        let root = Inode { modified: epoch, kind: Kind::Directory(Directory::default()) };
        let random = SmallRng::seed_from_u64(seed);
        Volume { inodes: vec![root], boots: 1, random, epoch, started: Instant::now() }
    }

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
                self.link_name(path, id)?;
                id
            }
            Err(error) => return Err(error),
        };
        self.file(id)
    }

    fn link_name(&mut self, path: &Path, id: Id) -> io::Result<()> {
        let name = file_name(path)?.to_owned();
        self.directory(parent(path))?.change(vec![(name, Some(id))]);
        Ok(())
    }
}

/// What can be done with it, each as one system call.
impl Volume {
    /// Whether anything has this name.
    pub(super) fn exists(&self, path: &Path) -> io::Result<()> {
        self.find(path).map(drop)
    }

    pub(super) fn is_directory(&self, path: &Path) -> io::Result<bool> {
        Ok(matches!(self.inodes[self.find(path)?].kind, Kind::Directory(_)))
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match &self.inodes[self.find(path)?].kind {
            Kind::File(file) => Ok(file.data.clone()),
            Kind::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
            Kind::Link(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Other bytes take the place of those of a file; makes it if there is none.
    pub(super) fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.open(path)?;
        file.replace(0);
        bytes.clone_into(&mut file.data);
        Ok(())
    }

    /// More bytes at the end of a file; makes it if there is none.
    pub(super) fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.open(path)?;
        file.unsynced();
        file.data.extend_from_slice(bytes);
        Ok(())
    }

    /// Changes the length of a file that is there.
    pub(super) fn truncate(&mut self, path: &Path, length: u64) -> io::Result<()> {
        let id = self.find(path)?;
        let file = self.file(id)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        file.replace(length);
        file.data.resize(length, 0);
        Ok(())
    }

    /// Bytes in the place of those that a file has from `offset` on, or behind its end; makes it if there is none.
    pub(super) fn write_at(&mut self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let file = self.open(path)?;
        file.unsynced();
        file.kept = file.kept.min(offset);
        let end = offset + bytes.len();
        file.data.resize(file.data.len().max(end), 0);
        file.data[offset..end].copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        self.file(id)?.sync();
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        self.directory(path)?.sync();
        Ok(())
    }

    pub(super) fn sync_all(&mut self) {
        for inode in &mut self.inodes {
            match &mut inode.kind {
                Kind::Directory(directory) => directory.sync(),
                Kind::File(file) => file.sync(),
                Kind::Link(_) => {}
            }
        }
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        let name = file_name(path)?.to_owned();
        self.directory(parent(path))?.change(vec![(name, None)]);
        Ok(())
    }

    pub(super) fn create_link(&mut self, target: &Path, link: &Path) -> io::Result<()> {
        if self.find(link).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.directory(parent(link))?;
        let id = self.add(Kind::Link(target.to_owned()));
        self.link_name(link, id)
    }

    pub(super) fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        match &self.inodes[self.find(link)?].kind {
            Kind::Link(target) => Ok(target.clone()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    pub(super) fn list(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.directory(path)?.names.keys().cloned().collect())
    }

    pub(super) fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        Ok(self.inodes[self.find(path)?].modified)
    }

    pub(super) fn set_modified(&mut self, path: &Path, time: SystemTime) -> io::Result<()> {
        let id = self.find(path)?;
        self.inodes[id].modified = time;
        Ok(())
    }

    /// Says whether the host has booted since.
    pub(super) fn boot_id(&self) -> String {
        format!("boot-{}", self.boots)
    }

    /// Makes one directory; that which it is in is there.
    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        self.directory(parent(path))?;
        let id = self.add(Kind::Directory(Directory::default()));
        self.link_name(path, id)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
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

    /// The host loses its power, and boots again.
    pub(super) fn lose_power(&mut self) -> Lost {
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
                    let replaced = std::mem::take(&mut file.replaced);
                    let left = if replaced || file.data.starts_with(&durable) {
                        remains(&durable, &file.data, file.kept, random)
                    } else {
                        mixture(&durable, &file.data, file.kept, random)
                    };
                    lost.files += usize::from(left != file.data);
                    file.data = left;
                }
                Kind::Link(_) => {}
            }
        }
        self.collect();
        lost
    }

    /// A part of a write that is not done in full: more than nothing of it, and less than all.
    pub(super) fn some_of(&mut self, parts: usize) -> usize {
        self.random.random_range(1..parts)
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

/// What a power failure leaves of a file, of which so many bytes are kept in any case.
fn remains(durable: &[u8], data: &[u8], kept: usize, random: &mut SmallRng) -> Vec<u8> {
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
        1 => data[..kept].to_vec(),
        _ => data[..random.random_range(kept..=data.len())].to_vec(),
    }
}

/// What a power failure leaves of a file that was written over, of which so many bytes are the same in any case: it is as
/// long as it was, or longer, and each of its sectors has the old bytes, the new ones, or some of the new ones.
fn mixture(durable: &[u8], data: &[u8], kept: usize, random: &mut SmallRng) -> Vec<u8> {
    let share = match random.random_range(0..10) {
        0 => 0.0,
        1 => return data.to_vec(),
        _ => random.random_range(0.0..1.0),
    };
    let length = random.random_range(durable.len()..=data.len());
    let mut left = durable.to_vec();
    left.resize(length, 0);
    let mut at = kept;
    while at < length {
        let end = length.min((at / SECTOR + 1) * SECTOR);
        if random.random_bool(share) {
            let end = if random.random_bool(0.2) { random.random_range(at..=end) } else { end };
            left[at..end].copy_from_slice(&data[at..end]);
        }
        at = (at / SECTOR + 1) * SECTOR;
    }
    left
}
