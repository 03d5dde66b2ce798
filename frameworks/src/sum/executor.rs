//! The executor of `sum`: adds the terms of its tasks, each on a thread of its own.
//!
//! It owns nothing but the flags by which running tasks can be stopped.

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use libprocess::Node;
use mesos::v1::{self, TaskState};

use super::{Partial, Terms};
use crate::executor::{self, Driver, Executor, ExecutorEnvironment, status};

/// Runs the executor until the agent ends it.
///
/// # Errors
/// See [`executor::Error`].
pub async fn run(node: &Node, environment: ExecutorEnvironment) -> Result<(), executor::Error> {
    executor::run(node, environment, Adder::default()).await.map(drop)
}

/// Adds.
#[derive(Default)]
pub struct Adder {
    /// Set to stop a running task.
    running: BTreeMap<String, Arc<AtomicBool>>,
}

impl Executor for Adder {
    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo) {
        let data = task.data.unwrap_or_default();
        let Ok(terms) = serde_json::from_slice::<Terms>(&data) else {
            let mut failed = status(&task.task_id, TaskState::TaskFailed);
            failed.message = Some("the task's data are no bounds".into());
            return driver.update(failed);
        };
        driver.update(status(&task.task_id, TaskState::TaskRunning));
        let stop = Arc::<AtomicBool>::default();
        self.running.insert(task.task_id.value.clone(), stop.clone());
        driver.blocking(
            move || add(terms, &stop),
            move |adder, driver, sum| adder.done(driver, &task.task_id, sum),
        );
    }

    fn kill(&mut self, _: &mut Driver<Self>, task: v1::TaskId, _: Option<v1::KillPolicy>) {
        if let Some(stop) = self.running.get(&task.value) {
            stop.store(true, Ordering::Relaxed);
        }
    }

    fn shutdown(&mut self, driver: &mut Driver<Self>) {
        self.running.values().for_each(|stop| stop.store(true, Ordering::Relaxed));
        driver.stop();
    }
}

impl Adder {
    /// The answer goes by message, and again with the update in case that the message is lost.
    fn done(&mut self, driver: &mut Driver<Self>, task: &v1::TaskId, sum: Option<u64>) {
        self.running.remove(&task.value);
        let Some(sum) = sum else { return driver.update(status(task, TaskState::TaskKilled)) };
        let partial = serde_json::to_vec(&Partial { task: task.value.clone(), sum }).unwrap_or_default();
        driver.message(partial.clone());
        driver.update(v1::TaskStatus { data: Some(partial), ..status(task, TaskState::TaskFinished) });
    }
}

/// Between two looks at `stop`: a few milliseconds of adding.
const STRIDE: u64 = 1 << 22;

/// Adds each term, one by one; `None` if stopped.
fn add(terms: Terms, stop: &AtomicBool) -> Option<u64> {
    let (mut sum, mut next) = (0, terms.from);
    while next < terms.to && !stop.load(Ordering::Relaxed) {
        let end = terms.to.min(next.saturating_add(STRIDE));
        for term in next..end {
            // The compiler knows the formula for the sum of a range, and would use it.
            sum += black_box(term);
        }
        next = end;
    }
    (next >= terms.to).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_is_added_once() {
        let going = AtomicBool::new(false);
        assert_eq!(add(Terms { from: 0, to: 101 }, &going), Some(5050));
        assert_eq!(add(Terms { from: 7, to: 7 }, &going), Some(0));
        let (from, to) = (5, 5 + STRIDE + 3);
        assert_eq!(add(Terms { from, to }, &going), Some((from..to).sum()));
    }

    #[test]
    fn a_stopped_task_has_no_sum() {
        assert_eq!(add(Terms { from: 0, to: 10 }, &AtomicBool::new(true)), None);
    }
}
