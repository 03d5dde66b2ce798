//! The journal of an agent's status updates: records of all tasks in one file, so that one sync makes all of them
//! durable that wait.
//!
//! ```text
//! group of records --one write, one sync--> updates.journal.<n>        promised: executors may forget them
//!     --a second later, beside, not synced-> tasks/<task>/task.updates  for the eyes, and for the next agent
//!     --every 64 MiB, beside: everything on the file system is synced-> updates.journal.<n> is removed
//! ```
//!
//! It is a redo log. The tasks' own logs, in upstream's layout, are what an agent reads when it starts
//! (`recovery/state.rs`); before it does, [`redo()`] brings into them what the journal has and they have not. What is
//! done again twice is done once: every record says where in its log it stands.
//!
//! After a power failure the way to a log may be lost, too: its directories, and the files that say which task it is,
//! and whose (they are written without a sync, since they describe what a power failure ends anyway; but updates that
//! were promised must find their framework afterwards, too: found by simulation). So the first record of a task brings
//! a copy of them along. A task that is over is noted, or the journal would bring back what was deleted meanwhile.
//!
//! `format` is what stands in the files, `writer` what the StatusUpdateManager does with them, `redo` what a start does.
//! Blocking; knows no actor. Upstream has none: it syncs the log of each task with each record.

pub mod format;
#[cfg(test)]
mod histories;
mod redo;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use libprocess::disk::Disk;

use crate::recovery::checkpoint::{DiskError, list};
use crate::recovery::paths::journal_number;

pub use redo::{Redone, redo};
pub use writer::{Journal, Record, Unspilled, retire, spill};

/// The numbers of the segments in an agent's directory, the oldest first.
fn segments(disk: &dyn Disk, directory: &Path) -> Result<Vec<u64>, DiskError> {
    let mut numbers: Vec<u64> =
        list(disk, directory)?.iter().filter_map(|name| journal_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
