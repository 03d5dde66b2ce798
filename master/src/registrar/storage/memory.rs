//! No storage at all.

use election::group::Membership;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Change, Record, Storage, StorageError};

/// Keeps nothing: the records live as long as the registrar's own memory of them.
#[derive(Debug, Default)]
pub struct InMemory;

impl Storage for InMemory {
    fn name(&self) -> String {
        "in_memory".to_owned()
    }

    fn load(&mut self, _: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn store(&mut self, _: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
        async { Ok(()) }.boxed()
    }
}
