//! `integrate`: a framework that integrates an expression in `x`, some steps of the range to a task.
//!
//! It is made as `sum` is; read that one first. What it has more: an [`expression`] that is checked
//! before anything is launched, a [`rule`] by which steps are added, and tasks that can fail for a
//! reason that trying again does not change (no finite value at some `x`).

pub mod executor;
pub mod expression;
pub mod rule;
pub mod scheduler;

use std::path::PathBuf;

use election::MasterUrl;
use libprocess::Node;
use mesos::v1;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::expression::{BadExpression, Expression};
pub use self::rule::{Rule, Steps};
use crate::{
    ledger::Failure,
    progress::{DEFAULT_PATIENCE, ProgressSink},
    scheduler as library,
};

/// What a task answers: the data of its message and of its last update, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// The task's id, since messages carry only the executor's.
    pub task: String,
    /// The area of its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<f64>,
    /// Why there is none, and never will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A task has at most so many steps.
pub const MAX_STEPS_PER_TASK: u64 = 500_000;
/// More steps than this are refused (they would be 2,000 tasks).
pub const MAX_STEPS: u64 = 1_000_000_000;

/// What to integrate.
#[derive(Clone, Debug)]
pub struct IntegrateOptions {
    /// Where the masters are.
    pub master: MasterUrl,
    /// The expression in `x`; see [`expression`] for what it may contain.
    pub expression: String,
    /// Where the range begins.
    pub from: f64,
    /// Where the range ends.
    pub to: f64,
    /// Into how many steps it is cut: 1,000,000, unless set.
    pub steps: u64,
    /// How a step's area is estimated.
    pub rule: Rule,
    /// The user that the executors run as.
    pub user: String,
    /// The `mesos` binary, which agents start as `mesos run integrate-executor`.
    pub binary: PathBuf,
}

impl IntegrateOptions {
    /// The integral of `expression` from `from` to `to` in a million steps.
    pub fn new(
        master: MasterUrl,
        (expression, from, to): (impl Into<String>, f64, f64),
        user: impl Into<String>,
        binary: impl Into<PathBuf>,
    ) -> Self {
        IntegrateOptions {
            master,
            expression: expression.into(),
            from,
            to,
            steps: 1_000_000,
            rule: Rule::default(),
            user: user.into(),
            binary: binary.into(),
        }
    }

    /// The tasks' parts.
    ///
    /// # Errors
    /// When the expression cannot be used, or the range or the steps are impossible.
    fn parts(&self) -> Result<Vec<Steps>, IntegrateError> {
        Expression::parse(&self.expression)?;
        let &IntegrateOptions { from, to, steps, rule, .. } = self;
        if !(from.is_finite() && to.is_finite() && (to - from).is_finite()) {
            return Err(IntegrateError::Range(from, to));
        }
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(IntegrateError::Steps(steps));
        }
        let expression = self.expression.clone();
        Ok(Steps::cut(
            &Steps { expression, rule, from, to, of: steps, first: 0, end: steps },
            MAX_STEPS_PER_TASK,
        ))
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegrateOutcome {
    /// The integral.
    pub integral: f64,
    /// Tasks that failed and were tried again.
    pub retries: usize,
    /// Results that came by framework message.
    pub by_message: usize,
}

/// Why there is no integral.
#[derive(Debug, Error, PartialEq)]
pub enum IntegrateError {
    /// The expression cannot be used.
    #[error(transparent)]
    Expression(#[from] BadExpression),
    /// A range without end.
    #[error("cannot integrate from {0} to {1}: expecting finite numbers")]
    Range(f64, f64),
    /// No steps, or too many.
    #[error("cannot integrate in {0} steps: expecting 1 to {MAX_STEPS}")]
    Steps(u64),
    /// The expression has no finite value somewhere in the range.
    #[error("cannot integrate: {0}")]
    Value(String),
    /// The scheduler was stopped.
    #[error(transparent)]
    Scheduler(#[from] library::Error),
    /// Tasks failed.
    #[error(transparent)]
    Work(#[from] Failure),
}

/// Integrates on the cluster.
///
/// # Errors
/// When the options are impossible, no master is found, the expression has no value somewhere, or
/// tasks fail again and again.
pub async fn run(
    node: &Node,
    options: IntegrateOptions,
    progress: impl ProgressSink,
) -> Result<IntegrateOutcome, IntegrateError> {
    let integrate = scheduler::Integrate::new(options.parts()?, &options, progress);
    let framework = v1::FrameworkInfo {
        user: options.user,
        name: "integrate".into(),
        // Long enough to find a new master after the old one has died.
        failover_timeout: Some(60.0),
        ..Default::default()
    };
    let mut library_options = library::Options::new(options.master, framework);
    library_options.patience = Some(DEFAULT_PATIENCE);
    library_options.teardown_on_drop = true;
    library::run(node, library_options, integrate).await?.outcome()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(expression: &str, from: f64, to: f64, steps: u64) -> IntegrateOptions {
        let master = "127.0.0.1:5050".parse().unwrap();
        IntegrateOptions {
            steps,
            ..IntegrateOptions::new(master, (expression, from, to), "nobody", "/bin/mesos")
        }
    }

    #[test]
    fn a_million_steps_are_two_tasks() {
        assert_eq!(options("1/x", 1.0, 2.0, 1_000_000).parts().unwrap().len(), 2);
    }

    #[test]
    fn what_is_impossible_is_refused_before_anything_is_launched() {
        assert!(matches!(options("1/", 1.0, 2.0, 1).parts(), Err(IntegrateError::Expression(_))));
        assert!(matches!(options("x", 0.0, f64::INFINITY, 1).parts(), Err(IntegrateError::Range(..))));
        assert!(matches!(options("x", -f64::MAX, f64::MAX, 1).parts(), Err(IntegrateError::Range(..))));
        assert_eq!(options("x", 0.0, 1.0, 0).parts(), Err(IntegrateError::Steps(0)));
    }
}
