//! Where the records of the registry are kept.
//!
//! | module | where | who uses it |
//! |---|---|---|
//! | [`memory`] | nowhere | tests, a single master without `--work_dir`, whoever says `--registry=in_memory` |
//! | [`local`] | one file that survives a power failure | a single master |
//! | [`zookeeper`] | nodes in the ZooKeeper that elects the leader | several masters |
//! | [`etcd`] | the etcd that elects the leader | several masters |
//! | [`batches`] | what goes into one transaction where a store limits it | the stores that several masters share |

pub mod batches;
mod etcd;
mod local;
mod memory;
mod zookeeper;

use std::time::Duration;

use election::MasterUrl;
use election::group::Membership;
use futures::future::BoxFuture;
use libprocess::Node;

use super::entries::{Change, Record};

pub use etcd::Etcd;
pub use local::{FILE, Local};
pub use memory::InMemory;
pub use zookeeper::ZooKeeper;

/// Why records could not be read or written; the text names the place.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct StorageError {
    /// A file, or the address of a server.
    pub place: String,
    /// What went wrong.
    pub reason: String,
}

/// The storage in what elects the leader of several masters; `None` where nothing does. Nothing is connected yet.
pub fn shared(node: &Node, election: &MasterUrl, session_timeout: Duration) -> Option<Box<dyn Storage>> {
    match election {
        MasterUrl::ZooKeeper(url) => Some(Box::new(ZooKeeper::new(node, url.clone(), session_timeout))),
        MasterUrl::Etcd(url) => Some(Box::new(Etcd::new(node, url))),
        MasterUrl::Standalone(_) | MasterUrl::File(_) | MasterUrl::Group(_) => None,
    }
}

/// A place for records. One registrar uses it at a time, and waits for each answer.
pub trait Storage: Send + 'static {
    /// What it is called in messages.
    fn name(&self) -> String;
    /// Where one record is, in messages about it.
    fn place_of(&self, _key: &str) -> String {
        self.name()
    }
    /// Reads every record, for a master that leads from now on. What is stored afterwards is stored only while `leader`,
    /// its node in the group of masters, is there: a deposed leader's write fails. Without a group nothing guards it.
    fn load(&mut self, leader: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>>;
    /// Writes the changes. When it has answered `Ok`, they survive. Otherwise the master ends, and its successor may find
    /// some of them: those of one agent all or none, and so those that are no agent's, unless there are too many (see
    /// [`batches`]).
    fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>>;
    /// Whether it always stores all of the changes or none, however many there are.
    fn is_atomic(&self) -> bool {
        false
    }
}
