//! `sum`: a framework that adds up 0 + 1 + ... + (n − 1), one range of terms to a task.
//!
//! It is what `examples/minimal.rs` grows into when tasks may be lost and offers are to be used well:
//!
//! - [`scheduler`] takes offers and launches as many tasks as they have room for;
//! - [`executor`] adds, and sends its partial sum back.
//!
//! A task gets its range in `TaskInfo.data` ([`Terms`]), and answers with a framework message
//! ([`Partial`]). Messages may be lost, so the last status update carries the same bytes: updates are
//! sent again until they are acknowledged. [`crate::ledger`] keeps the books, [`crate::room`] counts how many tasks an
//! offer has room for, and [`crate::progress`] tells who watches. The commands `mesos run sum` and `mesos run
//! sum-executor` (`cli/src/commands/run.rs`, `cli/src/commands/executors.rs`) start both ends.

pub mod executor;
pub mod scheduler;

use std::path::PathBuf;

use election::MasterUrl;
use libprocess::Node;
use mesos::v1;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ledger::Failure,
    progress::{DEFAULT_PATIENCE, ProgressSink},
    scheduler as library,
};

/// The range of terms that a task adds: `TaskInfo.data`, as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The first term.
    pub from: u64,
    /// The first term that is the next task's.
    pub to: u64,
}

/// What a task answers: the data of its message and of its last update, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// The task's id, since messages carry only the executor's.
    pub task: String,
    /// The sum of its terms.
    pub sum: u64,
}

/// More terms than this have a sum that does not fit into 64 bits.
pub const MAX_TERMS: u64 = 6_074_001_000;
/// More tasks than this are refused: each costs the master and its agent some memory.
pub const MAX_TASKS: u32 = 10_000;

/// How to add.
#[derive(Clone, Debug)]
pub struct SumOptions {
    /// Where the masters are.
    pub master: MasterUrl,
    /// How many tasks: 10, unless set.
    pub tasks: u32,
    /// How many terms: 2·10⁹, unless set.
    pub terms: u64,
    /// The user that the executors run as.
    pub user: String,
    /// The `mesos` binary, which agents start as `mesos run sum-executor`.
    pub binary: PathBuf,
}

impl SumOptions {
    /// The sum of the demo.
    pub fn new(master: MasterUrl, user: impl Into<String>, binary: impl Into<PathBuf>) -> Self {
        SumOptions { master, tasks: 10, terms: 2_000_000_000, user: user.into(), binary: binary.into() }
    }

    /// The ranges, of equal length but for one term.
    ///
    /// # Errors
    /// When there are too many or too few tasks or terms.
    fn ranges(&self) -> Result<Vec<Terms>, SumError> {
        if !(1..=MAX_TASKS).contains(&self.tasks) {
            return Err(SumError::Tasks(self.tasks));
        }
        if !(1..=MAX_TERMS).contains(&self.terms) {
            return Err(SumError::Terms(self.terms));
        }
        let bound = |task: u32| {
            let bound = u128::from(self.terms) * u128::from(task) / u128::from(self.tasks);
            u64::try_from(bound).unwrap_or(self.terms)
        };
        Ok((0..self.tasks).map(|task| Terms { from: bound(task), to: bound(task + 1) }).collect())
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumOutcome {
    /// 0 + 1 + ... + (terms − 1).
    pub sum: u64,
    /// Tasks that failed and were tried again.
    pub retries: usize,
    /// Results that came by framework message.
    pub by_message: usize,
}

/// Why there is no sum.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SumError {
    /// No tasks, or too many.
    #[error("cannot add with {0} tasks: expecting 1 to {MAX_TASKS}")]
    Tasks(u32),
    /// No terms, or too many.
    #[error("cannot add {0} terms: expecting 1 to {MAX_TERMS}, so that the sum fits into 64 bits")]
    Terms(u64),
    /// The scheduler was stopped.
    #[error(transparent)]
    Scheduler(#[from] library::Error),
    /// Tasks failed.
    #[error(transparent)]
    Work(#[from] Failure),
}

/// Adds on the cluster.
///
/// # Errors
/// When the options are impossible, no master is found, or tasks fail again and again.
pub async fn run(
    node: &Node,
    options: SumOptions,
    progress: impl ProgressSink,
) -> Result<SumOutcome, SumError> {
    let sum = scheduler::Sum::new(options.ranges()?, &options, progress);
    let framework = v1::FrameworkInfo {
        user: options.user,
        name: "sum".into(),
        // Long enough to find a new master after the old one has died.
        failover_timeout: Some(60.0),
        ..Default::default()
    };
    let mut library_options = library::Options::new(options.master, framework);
    library_options.patience = Some(DEFAULT_PATIENCE);
    library_options.teardown_on_drop = true;
    library::run(node, library_options, sum).await?.outcome()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(tasks: u32, terms: u64) -> SumOptions {
        let master = "127.0.0.1:5050".parse().unwrap();
        SumOptions { tasks, terms, ..SumOptions::new(master, "nobody", "/bin/mesos") }
    }

    #[test]
    fn the_ranges_are_the_whole_without_gap_or_overlap() {
        for (tasks, terms) in [(10, 2_000_000_000), (3, 10), (7, 3), (1, 1), (MAX_TASKS, MAX_TERMS)] {
            let ranges = options(tasks, terms).ranges().unwrap();
            assert_eq!(ranges.len(), tasks as usize);
            assert_eq!((ranges[0].from, ranges[ranges.len() - 1].to), (0, terms));
            assert!(ranges.windows(2).all(|pair| pair[0].to == pair[1].from));
        }
    }

    #[test]
    fn the_largest_sum_fits_and_the_next_does_not() {
        assert!((u128::from(MAX_TERMS) * u128::from(MAX_TERMS - 1) / 2) <= u128::from(u64::MAX));
        let next = u128::from(MAX_TERMS) + 1;
        assert!(next * (next - 1) / 2 > u128::from(u64::MAX));
        assert_eq!(options(1, MAX_TERMS + 1).ranges(), Err(SumError::Terms(MAX_TERMS + 1)));
    }

    #[test]
    fn no_tasks_and_no_terms_are_refused() {
        assert_eq!(options(0, 1).ranges(), Err(SumError::Tasks(0)));
        assert_eq!(options(1, 0).ranges(), Err(SumError::Terms(0)));
    }
}
