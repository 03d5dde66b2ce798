//! The registry in a file: what survives, and who is refused.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::testing::PoweredFile;
use super::*;

async fn node() -> Node {
    Node::builder().offline().start().await.unwrap()
}

fn put(key: &str, value: &[u8]) -> Change {
    Change { key: key.into(), value: Some(value.to_vec()) }
}

/// Upstream: `FetchAndStoreAndFetch`, `FetchAndStoreAndStoreAndFetch`, `FetchAndStoreAndStoreFailAndFetch`,
/// `FetchAndStoreAndExpungeAndFetch`, `Names` of `LevelDBStateTest`.
#[test]
fn records_survive_the_process_and_a_second_master_is_told() {
    libprocess::run(async {
        let (node, folder) = (node().await, tempfile::tempdir().unwrap());
        let mut first = Local::open(&node, folder.path()).unwrap();
        assert!(first.load(None).await.unwrap().is_empty());
        first.store(vec![put("a", b"1"), put("b", b"2"), put("c", b"3")]).await.unwrap();
        first.store(vec![put("a", b"4"), Change { key: "b".into(), value: None }]).await.unwrap();
        let refused = Local::open(&node, folder.path()).err().unwrap().to_string();
        assert!(refused.contains(FILE) && refused.contains("another master"), "{refused}");
        drop(first);

        let mut second = Local::open(&node, folder.path()).unwrap();
        let records = second.load(None).await.unwrap();
        assert_eq!(records, [("a".to_owned(), b"4".to_vec()), ("c".to_owned(), b"3".to_vec())]);
        node.shutdown().await;
    });
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    libprocess::run(async {
        let node = node().await;
        let refused = Local::open(&node, Path::new("/proc/nothing")).err().unwrap();
        assert!(refused.place.starts_with("/proc/nothing"), "{refused}");
        node.shutdown().await;
    });
}

#[test]
fn a_file_that_was_only_begun_is_made_anew() {
    libprocess::run(async {
        let (node, folder) = (node().await, tempfile::tempdir().unwrap());
        let begun = folder.path().join("registry.begun");
        // What a process leaves that is killed while it makes one: a length, and nothing at its beginning.
        std::fs::write(&begun, vec![0; 1 << 20]).unwrap();
        let mut first = Local::open(&node, folder.path()).unwrap();
        first.store(vec![put("a", b"1")]).await.unwrap();
        assert!(!begun.exists());
        drop(first);
        // It is of no use where there is a registry.
        std::fs::write(&begun, b"begun").unwrap();
        let mut second = Local::open(&node, folder.path()).unwrap();
        assert_eq!(second.load(None).await.unwrap(), [("a".to_owned(), b"1".to_vec())]);
        node.shutdown().await;
    });
}

/// As to a disk that is not mounted yet.
#[test]
fn a_link_that_leads_nowhere_is_not_replaced_by_an_empty_registry() {
    libprocess::run(async {
        let (node, folder) = (node().await, tempfile::tempdir().unwrap());
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        std::fs::create_dir(&here).unwrap();
        std::os::unix::fs::symlink(there.join(FILE), here.join(FILE)).unwrap();
        let refused = Local::open(&node, &here).err().unwrap().to_string();
        assert!(refused.contains("/here/registry.redb: it is a link that leads nowhere"), "{refused}");

        let mut local = Local::open(&node, &there).unwrap();
        local.store(vec![put("a", b"1")]).await.unwrap();
        drop(local);
        let records = Local::open(&node, &here).unwrap().load(None).await.unwrap();
        assert_eq!(records, [("a".to_owned(), b"1".to_vec())]);
        node.shutdown().await;
    });
}

/// As a copy that was broken off. redb panics at the longer ones.
#[test]
fn a_file_that_was_cut_off_is_called_damaged() {
    libprocess::run(async {
        let (node, folder) = (node().await, tempfile::tempdir().unwrap());
        let mut local = Local::open(&node, folder.path()).unwrap();
        local.store(vec![put("a", b"1")]).await.unwrap();
        drop(local);
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 1, 100, 4096, 100_000, whole.len() / 2] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let refused = Local::open(&node, folder.path()).err().unwrap().to_string();
            assert!(refused.contains("damaged") && refused.contains(FILE), "{length} bytes: {refused}");
        }
        std::fs::write(&path, &whole).unwrap();
        let records = Local::open(&node, folder.path()).unwrap().load(None).await.unwrap();
        assert_eq!(records, [("a".to_owned(), b"1".to_vec())]);
        node.shutdown().await;
    });
}

/// Some damages redb comes across only when it reads, or writes.
#[test]
fn no_damage_makes_the_master_panic() {
    const PAGE: usize = 4096;
    libprocess::run(async {
        let (node, folder) = (node().await, tempfile::tempdir().unwrap());
        let mut local = Local::open(&node, folder.path()).unwrap();
        local.store((0..200).map(|n| put(&format!("agent/{n}"), &[0; 100])).collect()).await.unwrap();
        drop(local);
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        let (mut opened, mut refused) = (0, 0);
        for at in
            (0..whole.len()).step_by(PAGE).filter(|at| whole[*at..][..PAGE].iter().any(|byte| *byte != 0))
        {
            let mut damaged = whole.clone();
            damaged[at..][..PAGE].fill(0xab);
            std::fs::write(&path, damaged).unwrap();
            let Ok(mut local) = Local::open(&node, folder.path()) else { continue };
            opened += 1;
            let done = match local.load(None).await {
                Ok(_) => local.store(vec![put("agent/3", b"new")]).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                refused += 1;
                assert!(error.to_string().contains(FILE), "{error}");
            }
        }
        assert!(opened > 0 && refused > 0, "{opened} {refused}");
        node.shutdown().await;
    });
}

#[test]
fn a_registry_that_another_master_is_making_is_its_own() {
    libprocess::run(async {
        let (node, folder) = (node().await, tempfile::tempdir().unwrap());
        let begun = File::create(folder.path().join("registry.begun")).unwrap();
        let lock = FileBackend::new(begun).unwrap();
        let refused = Local::open(&node, folder.path()).err().unwrap().to_string();
        assert!(refused.contains("another master"), "{refused}");
        drop(lock);
        Local::open(&node, folder.path()).unwrap();
        node.shutdown().await;
    });
}

#[test]
fn a_file_in_the_earlier_format_is_brought_to_the_present_one() {
    libprocess::run(async {
        let (node, folder) = (node().await, tempfile::tempdir().unwrap());
        let path = folder.path().join(FILE);
        let earlier = Database::create(&path).unwrap();
        let transaction = earlier.begin_write().unwrap();
        transaction.open_table(TABLE).unwrap().insert("a", b"1".as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(earlier);

        let mut local = Local::open(&node, folder.path()).unwrap();
        assert_eq!(local.load(None).await.unwrap(), [("a".to_owned(), b"1".to_vec())]);
        local.store(vec![put("b", b"2")]).await.unwrap();
        drop(local);
        let mut database = Database::open(&path).unwrap();
        assert!(!database.upgrade().unwrap(), "there is nothing left to do");
        node.shutdown().await;
    });
}

/// Records by their keys.
type Records = BTreeMap<String, Vec<u8>>;

/// A few changes, and what they make of the records. Now and then they need another length of the file.
fn some_changes(before: &Records, count: usize, random: &mut SmallRng) -> (Vec<Change>, Records) {
    let (mut changes, mut after) = (Vec::new(), before.clone());
    for key in 0..12 {
        if random.random_bool(0.8) {
            continue;
        }
        let key = format!("agent/{key}");
        let longest = if random.random_bool(0.2) { 300_000 } else { 300 };
        let length = random.random_range(1..longest);
        let value = random.random_bool(0.7).then(|| vec![count as u8; length]);
        match value.clone() {
            Some(value) => drop(after.insert(key.clone(), value)),
            None => drop(after.remove(&key)),
        }
        changes.push(Change { key, value });
    }
    (changes, after)
}

/// A registry whose power fails again and again, and what it has promised.
struct World {
    node: Node,
    file: PoweredFile,
    random: SmallRng,
    /// What was acknowledged.
    known: Records,
    /// What would be there, had the store been acknowledged at which the power failed.
    unsure: Option<Records>,
    /// The file has its name.
    is_made: bool,
    stores: usize,
}

impl World {
    /// One process: it opens the file, stores until the power fails, or ends in order. `None` if it does not get to the
    /// records; else whether they are those of the store that was not acknowledged.
    async fn live(&mut self, place: &str, fails_at: usize) -> Option<bool> {
        let opened = self.file.open(fails_at);
        let database = Arc::new(self.unless_off(place, database(opened))?);
        self.is_made = true;
        let mut local = Local { node: self.node.clone(), path: PathBuf::from(place), database };
        let found = local.load(None).await;
        let found: Records = self.unless_off(place, found)?.into_iter().collect();
        let is_new = self.unsure.take().is_some_and(|unsure| unsure == found);
        assert!(is_new || found == self.known, "{place}: what is found was never there");
        self.known = found;
        for _ in 0..self.random.random_range(0..12) {
            let (changes, after) = some_changes(&self.known, self.stores, &mut self.random);
            let stored = local.store(changes).await;
            if self.unless_off(place, stored).is_none() {
                self.unsure = Some(after);
                break;
            }
            self.known = after;
            self.stores += 1;
        }
        Some(is_new)
    }

    /// It only fails because the power has failed.
    fn unless_off<T, E: std::fmt::Display>(&self, place: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                assert!(self.file.is_off(), "{place}: {error}");
                None
            }
        }
    }
}

/// Upstream: `FetchAndStoreAndExpungeAndExpunge`, `FetchAndStoreAndExpungeAndStoreAndFetch` of `LevelDBStateTest`.
#[test]
fn what_was_acknowledged_is_found_whole_whenever_the_power_fails() {
    libprocess::testing::run(async {
        let node = node().await;
        let (mut stores, mut opened, mut new) = (0, 0, 0);
        for seed in 0..100 {
            // For where redb panics.
            println!("seed {seed}");
            let (file, random) = (PoweredFile::new(seed), SmallRng::seed_from_u64(seed));
            let (known, node) = (Records::new(), node.clone());
            let mut world = World { node, file, random, known, unsure: None, is_made: false, stores: 0 };
            for life in 0..4 {
                let fails_at = world.random.random_range(1..20);
                let found = world.live(&format!("seed {seed}, life {life}"), fails_at).await;
                opened += usize::from(found.is_some());
                new += usize::from(found == Some(true));
                world.file.lose_power();
                if !world.is_made {
                    // It has another name until it is whole.
                    world.file.clear();
                }
            }
            assert!(world.live(&format!("seed {seed}, at last"), usize::MAX).await.is_some());
            stores += world.stores;
        }
        assert!(stores > 1000 && opened > 200 && new > 20, "{stores} {opened} {new}");
        node.shutdown().await;
    });
}
