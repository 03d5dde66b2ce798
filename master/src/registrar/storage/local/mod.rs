//! One file that survives a power failure.
//!
//! It is redb's: a copy-on-write tree with checksums. What redb leaves open is closed here, so that the file is there
//! with all that was acknowledged, whatever a power failure took (`tests` has a file in memory that loses much):
//!
//! - A file that is being made cannot be opened, nor told from a damaged one: it has another name until it is whole.
//! - A file that is shorter than its beginning says cannot be opened: what says so is written when the length is synced
//!   ([`SyncedLength`]; <https://github.com/cberner/redb/pull/1276>, not in redb 2).
//! - In the format that redb 2 has by default, a second power failure, during the repair after the first, may leave an
//!   old map of what is free, and what is in use is written over later. The next format has no such map.

use std::fs::{File, rename};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use election::group::Membership;
use futures::FutureExt;
use futures::future::BoxFuture;
use libprocess::Node;
use libprocess::disk::{HostDisk, sync_names};
use redb::backends::FileBackend;
use redb::{Database, ReadableTable, StorageBackend, TableDefinition};

use super::{Change, Record, Storage, StorageError};

/// The name of the file in the master's work directory.
pub const FILE: &str = "registry.redb";

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("registry");

/// One redb file, synced before a change is acknowledged.
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
        let database = open_or_make(&path).map_err(|error| at(&path, &error))?;
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
            let result = node.blocking(move || caught(|| work(&database))).await;
            result.map_err(|error| at(&path, &error))
        }
        .boxed()
    }
}

/// Opens the file at `path`, which has another name while it is made.
fn open_or_make(path: &Path) -> Result<Database, redb::Error> {
    let open = |path: &Path, make| {
        let file = File::options().read(true).write(true).create(make).truncate(false).open(path)?;
        // Locked from now on.
        Ok::<_, redb::Error>(FileBackend::new(file)?)
    };
    let begun = path.with_extension("begun");
    if is_missing(path) {
        let file = open(&begun, true)?;
        // Whoever makes it has the lock until it has its name.
        if is_missing(path) {
            // What was begun before was never used.
            file.set_len(0)?;
            let database = database(file)?;
            rename(&begun, path)?;
            return Ok(database);
        }
    }
    let file = open(path, false)?;
    // A registry is never that, but a copy that was broken off may be. redb would make a new one of it.
    if file.len()? == 0 {
        return Err(redb::Error::Corrupted("it is empty".to_owned()));
    }
    database(file)
}

/// Whether nothing has this name, not even a link that leads nowhere: what it led to may be back later.
fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// The database in a file, which may be empty.
fn database(file: impl StorageBackend) -> Result<Database, redb::Error> {
    caught(|| {
        let mut builder = Database::builder();
        let mut database =
            builder.create_with_file_format_v3(true).create_with_backend(SyncedLength(file))?;
        // It may be of an earlier version of this master, in the earlier format.
        database.upgrade()?;
        Ok(database)
    })
}

/// What redb does with a file. Of some damages, as of a file that was cut off, it says nothing but panics.
fn caught<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(redb::Error::Corrupted("it is cut off, or contradicts itself".to_owned())))
}

/// A file whose length is synced before anything is written of it.
#[derive(Debug)]
struct SyncedLength<F>(F);

impl<F: StorageBackend> StorageBackend for SyncedLength<F> {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.0.read(offset, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.sync_data(false)
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        self.0.sync_data(eventual)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn at(path: &Path, error: &redb::Error) -> StorageError {
    let reason = match error {
        redb::Error::DatabaseAlreadyOpen => {
            "another master uses it; end that one, or choose another --work_dir (a running master shows its registry \
             at /registrar(1)/registry)"
                .to_owned()
        }
        redb::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            "it is a link that leads nowhere; bring back what it led to, or remove it to begin with an empty registry"
                .to_owned()
        }
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            format!("{error}; make it this user's, or choose another --work_dir")
        }
        redb::Error::Io(error)
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            damaged(error)
        }
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

    fn is_atomic(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
