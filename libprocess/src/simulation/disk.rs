//! A disk in memory that promises what POSIX does, and keeps no more: a power failure takes what was not synced.
//!
//! A [`SimulatedDisk`] belongs to a host and outlives its processes, each of which has a [`Mount`]. A mount that is
//! [`Mount::revoke`]d does nothing any more: a process that was killed writes nothing while its actors are dropped.
//!
//! A process can be made to die between any two steps of what it does on the disk, or within one
//! ([`SimulatedDisk::kill_after`]): of what it writes a part is there then. What is on the disk, and what
//! [`SimulatedDisk::lose_power`] leaves of it, is in [`super::volume`].

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::volume::{Lost, Volume, names, parent};
use crate::disk::{Disk, DiskUsage, Durability};

/// What the disk of a simulated host holds, in bytes: enough never to be full.
const SIZE: u64 = 1 << 40;

/// The disk of one host. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    volume: Volume,
    /// Every operation fails with this text.
    broken: Option<String>,
    failures: u64,
    death: Option<Death>,
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

impl SimulatedDisk {
    /// An empty disk. What power failures take is drawn from the seed. Wall time is `epoch` now.
    pub fn new(seed: u64, epoch: SystemTime) -> SimulatedDisk {
        let state = State { volume: Volume::new(seed, epoch), broken: None, failures: 0, death: None };
        SimulatedDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// The disk as one process sees it.
    pub fn mount(&self) -> Mount {
        Mount { state: self.state.clone(), valid: Arc::new(AtomicBool::new(true)) }
    }

    /// The host loses its power, and boots again.
    pub fn lose_power(&self) -> Lost {
        self.state.lock().volume.lose_power()
    }

    /// How many operations have failed because the disk was broken, since this was asked last.
    pub fn take_failures(&self) -> u64 {
        std::mem::take(&mut self.state.lock().failures)
    }

    /// The process that changes the disk dies when it has done so many steps more, each of which is one system call: it
    /// writes, syncs, renames, removes, makes. With `torn` it dies within the next step after that which writes bytes:
    /// some of them are there. `kill` is called from within its last step, which fails.
    pub fn kill_after(&self, steps: u64, torn: bool, kill: impl FnOnce(Torn) + Send + 'static) {
        self.state.lock().death = Some(Death { steps, torn, kill: Box::new(kill) });
    }

    /// Nobody is to die any more.
    pub fn spare(&self) {
        self.state.lock().death = None;
    }

    /// From now on every operation fails with this text; with `None`, none does.
    pub fn set_broken(&self, text: Option<&str>) {
        self.state.lock().broken = text.map(str::to_owned);
    }
}

/// A disk as one process sees it. Clones are the same process's.
#[derive(Debug, Clone)]
pub struct Mount {
    state: Arc<Mutex<State>>,
    valid: Arc<AtomicBool>,
}

impl Mount {
    /// The process is gone: nothing that is left of it reads or writes.
    pub fn revoke(&self) {
        self.valid.store(false, Ordering::Release);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Volume) -> io::Result<T>) -> io::Result<T> {
        self.with_state(|state| work(&mut state.volume))
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        if !self.valid.load(Ordering::Acquire) {
            return Err(ended());
        }
        let mut state = self.state.lock();
        if let Some(text) = state.broken.clone() {
            state.failures += 1;
            return Err(io::Error::other(text));
        }
        work(&mut state)
    }

    /// A change in so many parts, each of which the process may be the last to have done: `work` does so many of them.
    /// If it does not do all, the change is not synced either.
    fn change(&self, parts: usize, work: impl FnOnce(&mut Volume, Part) -> io::Result<()>) -> io::Result<()> {
        let mut last = None;
        let done = self.with_state(|State { volume, death: planned, .. }| {
            let Some(death) = planned else { return work(volume, Part::All) };
            let can_tear = parts > 1;
            if death.steps > 0 || (death.torn && !can_tear) {
                death.steps = death.steps.saturating_sub(1);
                return work(volume, Part::All);
            }
            let Some(death) = planned.take() else { return work(volume, Part::All) };
            let torn = if death.torn {
                let some = volume.some_of(parts);
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
        put: impl FnOnce(&mut Volume, &Path, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.change(bytes.len(), |volume, part| put(volume, path, part.of(bytes)))?;
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

impl Disk for Mount {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.with(|volume| volume.read(path))
    }

    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        self.put(path, bytes, durability, Volume::write)
    }

    fn append(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        self.put(path, bytes, durability, Volume::append)
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8], durability: Durability) -> io::Result<()> {
        self.put(path, bytes, durability, |volume, path, bytes| volume.write_at(path, offset, bytes))
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.change(1, |volume, _| volume.sync_file(path))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.change(1, |volume, _| volume.truncate(path, length))?;
        self.sync_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(1, |volume, _| volume.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(1, |volume, _| volume.remove(path))
    }

    fn create_directory(&self, path: &Path, durability: Durability) -> io::Result<()> {
        // Each directory on the way is made, and its name synced, by itself.
        let mut at = PathBuf::from("/");
        for name in names(path) {
            at.push(name);
            if self.exists(&at) {
                continue;
            }
            self.change(1, |volume, _| volume.create_directory(&at))?;
            if durability == Durability::Host {
                self.sync_directory(parent(&at))?;
            }
        }
        match self.with(|volume| volume.is_directory(path))? {
            true => Ok(()),
            false => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.change(1, |volume, _| volume.sync_directory(path))
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.change(1, |volume, _| {
            volume.exists(path)?;
            volume.sync_all();
            Ok(())
        })
    }

    fn create_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.change(1, |volume, _| volume.create_link(target, link))
    }

    fn read_link(&self, link: &Path) -> io::Result<PathBuf> {
        self.with(|volume| volume.read_link(link))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.with(|volume| volume.list(path))
    }

    fn exists(&self, path: &Path) -> bool {
        self.with(|volume| volume.exists(path)).is_ok()
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.with(|volume| volume.modified(path))
    }

    fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.with(|volume| volume.set_modified(path, time))
    }

    fn set_mode(&self, path: &Path, _: u32) -> io::Result<()> {
        self.with(|volume| volume.exists(path))
    }

    fn set_owner(&self, path: &Path, _: u32, _: u32) -> io::Result<()> {
        self.with(|volume| volume.exists(path))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.with(|volume| volume.exists(path))?;
        Ok(path.components().collect())
    }

    fn usage(&self, path: &Path) -> io::Result<DiskUsage> {
        self.with(|volume| volume.exists(path))?;
        Ok(DiskUsage { total: SIZE, free: SIZE })
    }

    fn boot_id(&self) -> Option<String> {
        self.with(|volume| Ok(volume.boot_id())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
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
    fn of_what_was_written_over_a_power_failure_takes_any_part_and_leaves_what_was_there_before() {
        let (mut old, mut new, mut mixed, mut lengths) = (0, 0, 0, BTreeSet::new());
        for seed in 0..200 {
            let (disk, file) = (disk(seed), Path::new("/file"));
            let mount = disk.mount();
            mount.write(file, &[b'o'; 3000], Durability::Host).unwrap();
            mount.sync_directory(Path::new("/")).unwrap();
            mount.write_at(file, 1000, &[b's'; 100], Durability::Host).unwrap();
            mount.write_at(file, 1100, &[b'n'; 2400], Durability::Process).unwrap();
            let lost = disk.lose_power();
            let left = mount.read(file).unwrap();
            assert!((3000..=3500).contains(&left.len()), "{}", left.len());
            assert!(
                left[..1000].iter().all(|byte| *byte == b'o') && left[1000..1100].iter().all(|b| *b == b's')
            );
            assert!(left[1100..3000].iter().all(|byte| b"on".contains(byte)));
            assert!(left[3000..].iter().all(|byte| b"\0n".contains(byte)));
            let count = left.iter().filter(|byte| **byte == b'n').count();
            assert_eq!(lost == Lost::default(), count == 2400);
            old += usize::from(count == 0);
            new += usize::from(count == 2400);
            // Not even the first of it.
            mixed += usize::from(left[1100] == b'o' && count > 0);
            lengths.insert(left.len());
        }
        assert!(old > 5 && new > 5 && mixed > 20 && lengths.len() > 20, "{old} {new} {mixed} {lengths:?}");
    }

    /// Who cuts it dies before that is synced.
    #[test]
    fn what_is_before_the_end_of_a_file_that_was_cut_stays() {
        let mut left = BTreeSet::new();
        for seed in 0..50 {
            let (disk, log) = (disk(seed), Path::new("/log"));
            let mount = disk.mount();
            mount.write(log, b"synced, torn", Durability::Host).unwrap();
            mount.sync_directory(Path::new("/")).unwrap();
            disk.kill_after(1, false, |_| {});
            mount.truncate(log, 6).unwrap_err();
            disk.lose_power();
            left.insert(String::from_utf8(disk.mount().read(log).unwrap()).unwrap());
        }
        assert_eq!(left, ["synced", "synced, torn"].map(str::to_owned).into());
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
