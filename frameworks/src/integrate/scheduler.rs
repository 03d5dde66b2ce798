//! The scheduler of `integrate`: a task for each part of the range, as soon as an offer has room.
//!
//! It owns the ledger of the parts. It knows nothing of connections: that is the library's.

use std::time::Duration;

use mesos::{FrameworkId, Resources, v1};

use super::{IntegrateError, IntegrateOptions, IntegrateOutcome, Partial, Steps};
use crate::{
    ledger::{ASK_EVERY, Ledger},
    progress::{Progress, ProgressSink},
    room::{Room, needed},
    scheduler::{Driver, Scheduler},
};

/// What is left of an offer is not offered to us again for so long.
const REFUSE: Duration = Duration::from_secs(5);

/// Integrates parts of a range.
pub struct Integrate<P> {
    ledger: Ledger<Steps, f64>,
    executor: v1::ExecutorInfo,
    task: Resources,
    failure: Option<IntegrateError>,
    progress: Progress,
    sink: P,
}

impl<P: ProgressSink> Integrate<P> {
    /// A scheduler for these parts.
    pub fn new(parts: Vec<Steps>, options: &IntegrateOptions, sink: P) -> Self {
        let parse = |text| Resources::parse(text, "*").expect("a constant that parses");
        let binary = options.binary.display().to_string();
        let executor = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "integrate-executor".into() },
            name: Some("integrate".into()),
            command: Some(v1::CommandInfo {
                shell: Some(false),
                value: Some(binary.clone()),
                arguments: vec![binary, "run".into(), "integrate-executor".into()],
                ..Default::default()
            }),
            resources: parse("cpus:0.5;mem:32").to_protos(),
            ..Default::default()
        };
        let progress = Progress { name: "integrate", ..Progress::default() };
        let ledger = Ledger::new("integrate", parts);
        Integrate { ledger, executor, task: parse("cpus:1;mem:32"), failure: None, progress, sink }
    }

    /// The integral, when the scheduler has stopped. The parts are added in their order, so that the
    /// result is the same whichever task ended first.
    ///
    /// # Errors
    /// A part has failed too often, or the expression has no finite value somewhere in it.
    pub fn outcome(self) -> Result<IntegrateOutcome, IntegrateError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        Ok(IntegrateOutcome {
            integral: self.ledger.results().unwrap_or_default().into_iter().sum(),
            retries: self.ledger.tally().retries,
            by_message: self.ledger.by_message(),
        })
    }

    /// The task that integrates the next part, on this offer's agent.
    fn next_task(&mut self, offer: &v1::Offer) -> Option<v1::TaskInfo> {
        let (task_id, steps) = self.ledger.assign(&offer.agent_id)?;
        Some(v1::TaskInfo {
            name: format!("steps {} to {} of {}", steps.first, steps.end, steps.of),
            data: serde_json::to_vec(steps).ok(),
            task_id,
            agent_id: offer.agent_id.clone(),
            resources: self.task.to_protos(),
            executor: Some(self.executor.clone()),
            ..Default::default()
        })
    }

    fn reconcile(&self, driver: &mut Driver<Self>) {
        let alive = self.ledger.alive();
        if !alive.is_empty() {
            driver.reconcile(alive);
        }
    }

    /// See [`ASK_EVERY`].
    fn ask_again(&mut self, driver: &mut Driver<Self>) {
        if self.progress.connected {
            self.reconcile(driver);
        }
        driver.after(ASK_EVERY, Self::ask_again);
    }

    /// After each event: tell how it goes, and stop when there is nothing more to do.
    fn settle(&mut self, driver: &mut Driver<Self>, outcome: Result<(), IntegrateError>) {
        self.progress.tasks = self.ledger.tally();
        self.sink.show(&self.progress);
        if driver.is_ending() {
            return;
        }
        self.failure = outcome.err();
        if self.failure.is_some() || self.ledger.results().is_some() {
            driver.teardown();
        }
    }
}

impl<P: ProgressSink> Scheduler for Integrate<P> {
    fn subscribed(&mut self, driver: &mut Driver<Self>, framework: &FrameworkId) {
        self.executor.framework_id = Some(framework.to_proto());
        // After a failover: what became of them?
        self.reconcile(driver);
        if self.progress.framework.is_none() {
            driver.after(ASK_EVERY, Self::ask_again);
        }
        self.progress.framework = Some(framework.to_string());
        self.progress.connected = true;
        self.settle(driver, Ok(()));
    }

    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        self.progress.offers += offers.len() as u64;
        for offer in offers {
            let mut room = Room::of(&offer, &self.executor);
            let mut tasks = Vec::new();
            while self.ledger.has_waiting() && room.take(&self.task) {
                tasks.extend(self.next_task(&offer));
            }
            driver.launch(&offer.id, tasks, REFUSE);
        }
        // Nothing runs and nothing was launched: every offer was too small.
        let starved = self.ledger.has_waiting() && self.ledger.alive().is_empty();
        self.progress.too_small = starved.then(|| needed(&self.executor, &self.task).to_string());
        self.settle(driver, Ok(()));
    }

    fn message(&mut self, driver: &mut Driver<Self>, message: v1::scheduler::event::Message) {
        // What is no answer is no answer; the task's last update brings it again.
        if let Some(Partial { task, area: Some(area), .. }) = read(&message.data) {
            let outcome = self.ledger.result(&task, area);
            self.settle(driver, outcome.map_err(Into::into));
        }
    }

    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus) {
        let partial = status.data.as_deref().and_then(read);
        if let Some(Partial { error: Some(error), .. }) = partial {
            // Every other task would find the same.
            return self.settle(driver, Err(IntegrateError::Value(error)));
        }
        let had_waiting = self.ledger.has_waiting();
        let outcome = self.ledger.update(&status, partial.and_then(|partial| partial.area));
        // Work came back: the filters of earlier answers must not keep offers away.
        if !had_waiting && self.ledger.has_waiting() {
            driver.revive(&[]);
        }
        self.settle(driver, outcome.map_err(Into::into));
    }

    fn disconnected(&mut self, driver: &mut Driver<Self>) {
        self.progress.connected = false;
        self.settle(driver, Ok(()));
    }
}

fn read(data: &[u8]) -> Option<Partial> {
    serde_json::from_slice(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{executor::status, progress::Silent};
    use mesos::v1::TaskState;

    fn launched() -> (Integrate<Silent>, Driver<Integrate<Silent>>) {
        let master = "127.0.0.1:5050".parse().unwrap();
        let options = IntegrateOptions::new(master, ("1/x", 1.0, 2.0), "nobody", "/bin/mesos");
        let mut integrate = Integrate::new(options.parts().unwrap(), &options, Silent);
        let mut driver = Driver::detached(Some("f".into()));
        let offer = v1::Offer {
            resources: Resources::parse("cpus:4;mem:2048", "*").unwrap().to_protos(),
            ..Default::default()
        };
        integrate.offers(&mut driver, vec![offer]);
        assert_eq!(integrate.ledger.tally().staging, 2);
        (integrate, driver)
    }

    fn ended(task: &str, state: TaskState, partial: &Partial) -> v1::TaskStatus {
        let data = serde_json::to_vec(partial).ok();
        v1::TaskStatus { data, ..status(&v1::TaskId { value: task.into() }, state) }
    }

    #[test]
    fn the_parts_are_added_in_their_order() {
        let (mut integrate, mut driver) = launched();
        for (task, area) in [("integrate-1-1", 0.25), ("integrate-0-1", 0.5)] {
            let partial = Partial { task: task.into(), area: Some(area), error: None };
            integrate.update(&mut driver, ended(task, TaskState::TaskFinished, &partial));
        }
        assert!(driver.is_ending());
        assert_eq!(integrate.outcome().unwrap().integral, 0.75);
    }

    #[test]
    fn a_value_that_does_not_exist_ends_it_without_another_try() {
        let (mut integrate, mut driver) = launched();
        let task = "integrate-0-1";
        let partial = Partial { task: task.into(), area: None, error: Some("no value at x = 0".into()) };
        integrate.update(&mut driver, ended(task, TaskState::TaskFailed, &partial));
        assert!(driver.is_ending());
        assert_eq!(integrate.outcome(), Err(IntegrateError::Value("no value at x = 0".into())));
    }
}
