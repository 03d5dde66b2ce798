//! One file that survives a power failure.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use election::group::Membership;
use futures::FutureExt;
use futures::future::BoxFuture;
use libprocess::Node;
use libprocess::disk::{HostDisk, sync_names};
use redb::{Database, ReadableTable, TableDefinition};

use super::{Change, Record, Storage, StorageError};

/// The name of the file in the master's work directory.
pub const FILE: &str = "registry.redb";

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("registry");

/// One redb file: a copy-on-write tree with checksums, synced before a change is acknowledged.
pub struct Local {
    node: Node,
    path: PathBuf,
    database: Arc<Database>,
}

impl Local {
    /// Opens or creates the file in `work_dir`, and the directory if there is none. Reads and writes happen on the node's
    /// threads for blocking work.
    ///
    /// # Errors
    /// When the file cannot be opened: it is another master's, it is damaged, or the directory cannot be written.
    pub fn open(node: &Node, work_dir: &Path) -> Result<Self, StorageError> {
        let unusable = |error: std::io::Error| StorageError {
            place: work_dir.display().to_string(),
            reason: format!("{error}; choose a directory that can be written with --work_dir"),
        };
        std::fs::create_dir_all(work_dir).map_err(unusable)?;
        let path = work_dir.join(FILE);
        let database = Database::create(&path).map_err(|error| at(&path, &error.into()))?;
        // What is in the file is synced; its name, and those that lead to it, must not be lost with the power either.
        let name = path.canonicalize().map_err(unusable)?;
        sync_names(&HostDisk, &name, usize::MAX).map_err(|(_, error)| unusable(error))?;
        Ok(Self { node: node.clone(), path, database: Arc::new(database) })
    }

    /// Runs `work` on the database, away from the actors' threads.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let (node, path, database) = (self.node.clone(), self.path.clone(), Arc::clone(&self.database));
        async move {
            let result = node.blocking(move || work(&database)).await;
            result.map_err(|error| at(&path, &error))
        }
        .boxed()
    }
}

fn at(path: &Path, error: &redb::Error) -> StorageError {
    let reason = match error {
        redb::Error::DatabaseAlreadyOpen => {
            "another master uses it; end that one, or choose another --work_dir (a running master shows its registry \
             at /registrar(1)/registry)"
                .to_owned()
        }
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            format!("{error}; make it this user's, or choose another --work_dir")
        }
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => damaged(error),
        redb::Error::Corrupted(text) => damaged(text),
        other => other.to_string(),
    };
    StorageError { place: path.display().to_string(), reason }
}

fn damaged(what: &dyn std::fmt::Display) -> String {
    format!(
        "not a registry, or damaged ({what}); bring back a copy, or move it away to begin with an empty one"
    )
}

impl Storage for Local {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn load(&mut self, _: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
        self.run(|database| {
            let transaction = database.begin_read()?;
            let table = match transaction.open_table(TABLE) {
                Ok(table) => table,
                // Nothing was ever stored.
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let mut records = Vec::new();
            for entry in table.iter()? {
                let (key, value) = entry?;
                records.push((key.value().to_owned(), value.value().to_owned()));
            }
            Ok(records)
        })
    }

    fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
        self.run(move |database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for Change { key, value } in &changes {
                    match value {
                        Some(value) => drop(table.insert(key.as_str(), value.as_slice())?),
                        None => drop(table.remove(key.as_str())?),
                    }
                }
            }
            // Synced to the disk when this returns (redb's default durability).
            transaction.commit()?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn node() -> Node {
        Node::builder().offline().start().await.unwrap()
    }

    fn put(key: &str, value: &[u8]) -> Change {
        Change { key: key.into(), value: Some(value.to_vec()) }
    }

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
}
