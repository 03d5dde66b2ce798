//! The scheduler of `sum`: a task for each range of terms, as soon as an offer has room for it.
//!
//! It owns the ledger of the ranges. It knows nothing of connections: that is the library's.

use std::time::Duration;

use mesos::{FrameworkId, Resources, v1};

use super::{Partial, SumError, SumOptions, SumOutcome, Terms};
use crate::{
    ledger::{ASK_EVERY, Failure, Ledger},
    progress::{Progress, ProgressSink},
    room::{Room, needed},
    scheduler::{Driver, Scheduler},
};

/// What is left of an offer is not offered to us again for so long.
const REFUSE: Duration = Duration::from_secs(5);

/// Adds ranges of terms.
pub struct Sum<P> {
    ledger: Ledger<Terms, u64>,
    executor: v1::ExecutorInfo,
    task: Resources,
    failure: Option<Failure>,
    progress: Progress,
    sink: P,
}

impl<P: ProgressSink> Sum<P> {
    /// A scheduler for these ranges.
    pub fn new(ranges: Vec<Terms>, options: &SumOptions, sink: P) -> Self {
        let parse = |text| Resources::parse(text, "*").expect("a constant that parses");
        let binary = options.binary.display().to_string();
        let executor = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "sum-executor".into() },
            name: Some("sum".into()),
            command: Some(v1::CommandInfo {
                shell: Some(false),
                value: Some(binary.clone()),
                arguments: vec![binary, "run".into(), "sum-executor".into()],
                ..Default::default()
            }),
            resources: parse("cpus:0.5;mem:32").to_protos(),
            ..Default::default()
        };
        let progress = Progress { name: "sum", ..Progress::default() };
        let ledger = Ledger::new("sum", ranges);
        Sum { ledger, executor, task: parse("cpus:1;mem:32"), failure: None, progress, sink }
    }

    /// The total, when the scheduler has stopped.
    ///
    /// # Errors
    /// A piece of the work has failed too often.
    pub fn outcome(self) -> Result<SumOutcome, SumError> {
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        Ok(SumOutcome {
            sum: self.ledger.results().unwrap_or_default().into_iter().sum(),
            retries: self.ledger.tally().retries,
            by_message: self.ledger.by_message(),
        })
    }

    /// The task that adds the next range, on this offer's agent.
    fn next_task(&mut self, offer: &v1::Offer) -> Option<v1::TaskInfo> {
        let (task_id, terms) = self.ledger.assign(&offer.agent_id)?;
        Some(v1::TaskInfo {
            name: format!("add {} to {}", terms.from, terms.to),
            data: serde_json::to_vec(terms).ok(),
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
    fn settle(&mut self, driver: &mut Driver<Self>, outcome: Result<(), Failure>) {
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

impl<P: ProgressSink> Scheduler for Sum<P> {
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
        if let Some(partial) = read(&message.data) {
            let outcome = self.ledger.result(&partial.task, partial.sum);
            self.settle(driver, outcome);
        }
    }

    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus) {
        let partial = status.data.as_deref().and_then(read);
        let had_waiting = self.ledger.has_waiting();
        let outcome = self.ledger.update(&status, partial.map(|partial| partial.sum));
        // Work came back: the filters of earlier answers must not keep offers away.
        if !had_waiting && self.ledger.has_waiting() {
            driver.revive(&[]);
        }
        self.settle(driver, outcome);
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
    use crate::progress::Silent;
    use mesos::v1::{TaskState, scheduler::call::Type};

    fn sum(tasks: u32) -> (Sum<Silent>, Driver<Sum<Silent>>) {
        let master = "127.0.0.1:5050".parse().unwrap();
        let options = SumOptions { tasks, terms: 100, ..SumOptions::new(master, "nobody", "/bin/mesos") };
        let sum = Sum::new(options.ranges().unwrap(), &options, Silent);
        (sum, Driver::detached(Some("f".into())))
    }

    fn offer(id: &str, resources: &str) -> v1::Offer {
        v1::Offer {
            id: v1::OfferId { value: id.into() },
            agent_id: v1::AgentId { value: "agent".into() },
            resources: Resources::parse(resources, "*").unwrap().to_protos(),
            ..Default::default()
        }
    }

    fn launched(driver: &Driver<Sum<Silent>>) -> Vec<v1::TaskInfo> {
        let accepts = driver.calls().filter_map(|call| call.accept.as_ref());
        let operations = accepts.flat_map(|accept| &accept.operations);
        operations.flat_map(|operation| operation.launch.clone().unwrap().task_infos).collect()
    }

    /// What the executor would answer.
    fn answer(task: &v1::TaskInfo) -> Vec<u8> {
        let terms: Terms = serde_json::from_slice(task.data.as_ref().unwrap()).unwrap();
        let partial = Partial { task: task.task_id.value.clone(), sum: (terms.from..terms.to).sum() };
        serde_json::to_vec(&partial).unwrap()
    }

    fn finished(task: &v1::TaskInfo, data: Option<Vec<u8>>) -> v1::TaskStatus {
        v1::TaskStatus { data, ..crate::executor::status(&task.task_id, TaskState::TaskFinished) }
    }

    #[test]
    fn an_offer_is_filled_and_the_rest_waits() {
        let (mut sum, mut driver) = sum(5);
        sum.offers(&mut driver, vec![offer("o", "cpus:4;mem:2048")]);
        let tasks = launched(&driver);
        assert_eq!(tasks.len(), 3);
        assert_eq!(tasks[0].executor.as_ref().unwrap().executor_id.value, "sum-executor");
        assert_eq!(sum.ledger.tally().waiting, 2);
    }

    #[test]
    fn an_offer_that_is_too_small_is_declined_for_five_seconds() {
        let (mut sum, mut driver) = sum(5);
        sum.offers(&mut driver, vec![offer("o", "cpus:1;mem:2048")]);
        let call = driver.calls().next().unwrap();
        assert_eq!(call.decline.as_ref().unwrap().filters.unwrap().refuse_seconds, Some(5.0));
        assert_eq!(sum.progress.too_small.as_deref(), Some("cpus:1.5; mem:64"));
        sum.offers(&mut driver, vec![offer("p", "cpus:2;mem:2048")]);
        assert_eq!(sum.progress.too_small, None);
    }

    #[test]
    fn messages_and_updates_give_the_sum_even_if_a_message_is_lost() {
        let (mut sum, mut driver) = sum(2);
        sum.offers(&mut driver, vec![offer("o", "cpus:4;mem:2048")]);
        let tasks = launched(&driver);
        let message = v1::scheduler::event::Message { data: answer(&tasks[0]), ..Default::default() };
        sum.message(&mut driver, message);
        sum.update(&mut driver, finished(&tasks[0], Some(answer(&tasks[0]))));
        assert!(!driver.is_ending());
        sum.update(&mut driver, finished(&tasks[1], Some(answer(&tasks[1]))));
        assert!(driver.is_ending());
        let outcome = sum.outcome().unwrap();
        assert_eq!(outcome, SumOutcome { sum: 4950, retries: 0, by_message: 1 });
    }

    #[test]
    fn a_failed_task_asks_for_offers_again() {
        let (mut sum, mut driver) = sum(1);
        sum.offers(&mut driver, vec![offer("o", "cpus:4;mem:2048")]);
        let task = launched(&driver).remove(0);
        sum.update(&mut driver, crate::executor::status(&task.task_id, TaskState::TaskLost));
        assert_eq!(driver.calls().last().unwrap().r#type(), Type::Revive);
        assert_eq!(sum.ledger.tally().waiting, 1);
    }

    #[test]
    fn after_a_failover_the_living_tasks_are_reconciled() {
        let (mut sum, mut driver) = sum(1);
        sum.subscribed(&mut driver, &"f".into());
        assert_eq!(driver.calls().count(), 0);
        sum.offers(&mut driver, vec![offer("o", "cpus:4;mem:2048")]);
        sum.subscribed(&mut driver, &"f".into());
        let reconcile = driver.calls().last().unwrap().reconcile.as_ref().unwrap();
        assert_eq!(reconcile.tasks.len(), 1);
    }

    #[test]
    fn the_living_tasks_are_asked_for_again_while_there_is_a_master() {
        let (mut sum, mut driver) = sum(1);
        sum.subscribed(&mut driver, &"f".into());
        sum.ask_again(&mut driver);
        assert_eq!(driver.calls().count(), 0, "there are none");
        sum.offers(&mut driver, vec![offer("o", "cpus:4;mem:2048")]);
        sum.disconnected(&mut driver);
        sum.ask_again(&mut driver);
        assert_eq!(driver.calls().last().unwrap().r#type(), Type::Accept);
        sum.subscribed(&mut driver, &"f".into());
        let before = driver.calls().count();
        sum.ask_again(&mut driver);
        assert_eq!(driver.calls().count(), before + 1);
        assert_eq!(driver.calls().last().unwrap().r#type(), Type::Reconcile);
    }
}
