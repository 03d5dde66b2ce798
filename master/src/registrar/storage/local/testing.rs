//! A file whose power can fail.
//!
//! It keeps what POSIX promises: of what was done since the last sync, a power failure leaves any part, in whatever order
//! the disk wrote it. A sector has the old bytes, the new ones, or some of the new ones; the file has its old length, or
//! one of the new ones, and what was written behind its end is lost.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use redb::StorageBackend;

/// What a disk writes at once, in bytes.
const SECTOR: usize = 512;

/// The file. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct PoweredFile(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// As processes see it.
    content: Vec<u8>,
    /// As it was synced.
    durable: Vec<u8>,
    /// What was done since, by turn and place: redb writes the pages of one turn in an order of its own, which another
    /// run does not repeat.
    unsynced: BTreeMap<(usize, usize), Step>,
    /// Each change of the length begins another one.
    turn: usize,
    /// Steps until the power fails; 0 when it has.
    left: usize,
    /// How often the power has come back: who opened the file before is dead.
    life: usize,
    random: SmallRng,
}

#[derive(Debug)]
enum Step {
    Resize(usize),
    Write(Vec<u8>),
}

impl PoweredFile {
    /// An empty file. What power failures leave is drawn from the seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            content: Vec::new(),
            durable: Vec::new(),
            unsynced: BTreeMap::new(),
            turn: 0,
            left: 0,
            life: 0,
            random: SmallRng::seed_from_u64(seed),
        })))
    }

    /// Opens it, for a process whose power fails at this step: the first, the second, ... sync or change of the length.
    pub(super) fn open(&self, fails_at: usize) -> Opened {
        let mut state = self.0.lock();
        state.left = fails_at;
        Opened { file: self.clone(), life: state.life }
    }

    /// Whether the power has failed.
    pub(super) fn is_off(&self) -> bool {
        self.0.lock().left == 0
    }

    /// The power fails, if it has not, and comes back.
    pub(super) fn lose_power(&self) {
        let mut state = self.0.lock();
        let State { content, durable, unsynced, random, .. } = &mut *state;
        // How much of it the disk had written by then.
        let share = [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)];
        for ((_, at), step) in std::mem::take(unsynced) {
            match step {
                Step::Resize(length) if random.random_bool(share) => durable.resize(length, 0),
                Step::Resize(_) => {}
                Step::Write(bytes) => write_some(durable, at, &bytes, share, random),
            }
        }
        content.clone_from(durable);
        state.left = 0;
        state.life += 1;
    }

    /// It is empty again.
    pub(super) fn clear(&self) {
        let mut state = self.0.lock();
        state.content.clear();
        state.durable.clear();
        state.unsynced.clear();
    }
}

/// Writes each sector with this probability.
fn write_some(durable: &mut [u8], at: usize, bytes: &[u8], share: f64, random: &mut SmallRng) {
    let (mut from, end) = (at, (at + bytes.len()).min(durable.len()));
    while from < end {
        let mut until = ((from / SECTOR + 1) * SECTOR).min(end);
        let next = until;
        if random.random_bool(share) {
            if random.random_bool(0.05) {
                until = random.random_range(from..until);
            }
            durable[from..until].copy_from_slice(&bytes[from - at..until - at]);
        }
        from = next;
    }
}

/// The file as one process has it open: it answers nothing any more when the power has failed.
#[derive(Debug)]
pub(super) struct Opened {
    file: PoweredFile,
    life: usize,
}

impl Opened {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.file.0.lock();
        if state.left == 0 || state.life != self.life {
            return Err(off());
        }
        work(&mut state)
    }
}

impl State {
    /// A step is done; the power may fail with it.
    fn step(&mut self) -> io::Result<()> {
        self.left -= 1;
        if self.left == 0 { Err(off()) } else { Ok(()) }
    }
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

/// A place in the file: tests' files fit in memory.
fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Opened {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.content.len() as u64))
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let at = place(offset);
        self.with(|state| {
            let found = state.content.get(at..at + len).map(<[u8]>::to_vec);
            found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.content.resize(place(len), 0);
            state.unsynced.insert((state.turn + 1, 0), Step::Resize(place(len)));
            state.turn += 2;
            state.step()
        })
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        self.with(|state| {
            state.step()?;
            for ((_, at), step) in std::mem::take(&mut state.unsynced) {
                match step {
                    Step::Resize(length) => state.durable.resize(length, 0),
                    Step::Write(bytes) => state.durable[at..at + bytes.len()].copy_from_slice(&bytes),
                }
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = place(offset);
        self.with(|state| {
            state.content[at..at + data.len()].copy_from_slice(data);
            state.unsynced.insert((state.turn, at), Step::Write(data.to_vec()));
            Ok(())
        })
    }
}
