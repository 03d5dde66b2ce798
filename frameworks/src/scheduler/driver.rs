//! The [`Driver`]: what a scheduler can say to the master, and do besides.
//!
//! It only notes what is wanted; the actor carries it out when the callback returns, in order. So a
//! scheduler can be tested without an actor: give it a [`Driver::detached`], and look at its calls.

use std::{collections::VecDeque, future::Future, time::Duration};

use mesos::{
    FrameworkId,
    v1::{
        self,
        offer::{Operation, operation},
        scheduler::{
            Call,
            call::{self, Type},
        },
    },
};

use super::Scheduler;
use crate::later::Later;

/// Calls that wait to be sent. More than this is a scheduler gone wild, or a master that does not answer:
/// the rest is dropped with a warning.
const MAX_CALLS: usize = 100_000;

/// A scheduler's side of its subscription.
pub struct Driver<S> {
    pub(super) framework: Option<FrameworkId>,
    pub(super) calls: VecDeque<Call>,
    pub(super) later: Vec<Later<S, Driver<S>>>,
    pub(super) end: bool,
}

impl<S: Scheduler> Driver<S> {
    /// A driver without a master, for tests of a scheduler.
    pub fn detached(framework: Option<FrameworkId>) -> Self {
        Driver { framework, calls: VecDeque::new(), later: Vec::new(), end: false }
    }

    /// The framework's id, from the first subscription on.
    pub fn framework(&self) -> Option<&FrameworkId> {
        self.framework.as_ref()
    }

    /// The calls that wait to be sent.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }

    /// Whether the scheduler has said that it ends.
    pub fn is_ending(&self) -> bool {
        self.end
    }

    /// Uses offers (all of one agent): performs the operations in order. What they leave is declined
    /// for `refuse`.
    pub fn accept<'a>(
        &mut self,
        offers: impl IntoIterator<Item = &'a v1::OfferId>,
        operations: Vec<Operation>,
        refuse: Duration,
    ) {
        let offer_ids = offers.into_iter().cloned().collect();
        let accept = call::Accept { offer_ids, operations, filters: Some(filters(refuse)) };
        self.call(Call { accept: Some(accept), ..typed(Type::Accept) });
    }

    /// Launches tasks on an offer's agent; without tasks the offer is declined.
    pub fn launch(&mut self, offer: &v1::OfferId, tasks: Vec<v1::TaskInfo>, refuse: Duration) {
        if tasks.is_empty() {
            return self.decline([offer], refuse);
        }
        let launch = Operation {
            r#type: Some(operation::Type::Launch.into()),
            launch: Some(operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        self.accept([offer], vec![launch], refuse);
    }

    /// Gives offers back, and does not want their resources for `refuse`.
    pub fn decline<'a>(&mut self, offers: impl IntoIterator<Item = &'a v1::OfferId>, refuse: Duration) {
        let offer_ids = offers.into_iter().cloned().collect();
        let decline = call::Decline { offer_ids, filters: Some(filters(refuse)) };
        self.call(Call { decline: Some(decline), ..typed(Type::Decline) });
    }

    /// Removes all filters, and asks for offers again (for these roles; none means all).
    pub fn revive(&mut self, roles: &[String]) {
        self.call(Call { revive: Some(call::Revive { roles: roles.to_vec() }), ..typed(Type::Revive) });
    }

    /// Wants no offers (for these roles; none means all) until [`Driver::revive`].
    pub fn suppress(&mut self, roles: &[String]) {
        self.call(Call { suppress: Some(call::Suppress { roles: roles.to_vec() }), ..typed(Type::Suppress) });
    }

    /// Kills a task; the agent's default grace applies unless a policy is given.
    pub fn kill(&mut self, task: &v1::TaskId, agent: Option<&v1::AgentId>, policy: Option<v1::KillPolicy>) {
        let kill = call::Kill { task_id: task.clone(), agent_id: agent.cloned(), kill_policy: policy };
        self.call(Call { kill: Some(kill), ..typed(Type::Kill) });
    }

    /// Shuts an executor down, and its tasks with it.
    pub fn shutdown(&mut self, executor: &v1::ExecutorId, agent: &v1::AgentId) {
        let shutdown = call::Shutdown { executor_id: executor.clone(), agent_id: agent.clone() };
        self.call(Call { shutdown: Some(shutdown), ..typed(Type::Shutdown) });
    }

    /// Says that an update was received. Updates without a uuid need no acknowledgement.
    pub fn acknowledge(&mut self, status: &v1::TaskStatus) {
        let (Some(uuid), Some(agent_id)) = (status.uuid.clone(), status.agent_id.clone()) else { return };
        let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id.clone(), uuid };
        self.call(Call { acknowledge: Some(acknowledge), ..typed(Type::Acknowledge) });
    }

    /// Asks for the states of these tasks; of all tasks that the master knows, if none is named.
    pub fn reconcile(&mut self, tasks: impl IntoIterator<Item = (v1::TaskId, Option<v1::AgentId>)>) {
        let tasks = tasks
            .into_iter()
            .map(|(task_id, agent_id)| call::reconcile::Task { task_id, agent_id })
            .collect();
        self.call(Call { reconcile: Some(call::Reconcile { tasks }), ..typed(Type::Reconcile) });
    }

    /// Sends something to an executor. Best effort.
    pub fn message(&mut self, agent: &v1::AgentId, executor: &v1::ExecutorId, data: Vec<u8>) {
        let message = call::Message { agent_id: agent.clone(), executor_id: executor.clone(), data };
        self.call(Call { message: Some(message), ..typed(Type::Message) });
    }

    /// Tells the allocator what would be welcome; upstream's allocator takes no notice.
    pub fn request(&mut self, requests: Vec<v1::Request>) {
        self.call(Call { request: Some(call::Request { requests }), ..typed(Type::Request) });
    }

    /// Any call, for what has no function of its own here. The framework's id is filled in.
    pub fn call(&mut self, call: Call) {
        if self.calls.len() >= MAX_CALLS {
            tracing::warn!(limit = MAX_CALLS, "too many calls wait to be sent, dropping the rest");
            return;
        }
        self.calls.push_back(call);
    }

    /// Ends the framework: its executors are shut down, its tasks killed. [`super::run`] returns. Without a subscription,
    /// or if that breaks now, no master may hear of it: then the framework ends by its `failover_timeout`, unless another
    /// leader is elected, who lets the tasks run.
    pub fn teardown(&mut self) {
        self.call(typed(Type::Teardown));
        self.end = true;
    }

    /// Leaves without ending the framework: tasks run on for its `failover_timeout`.
    /// [`super::run`] returns.
    pub fn stop(&mut self) {
        self.end = true;
    }

    /// Calls back after a while.
    pub fn after(&mut self, delay: Duration, then: impl FnOnce(&mut S, &mut Driver<S>) + Send + 'static) {
        self.later.push(Later::after(delay, then));
    }

    /// Waits for something, then calls back with it.
    pub fn wait_for<F>(
        &mut self,
        future: F,
        then: impl FnOnce(&mut S, &mut Driver<S>, F::Output) + Send + 'static,
    ) where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.later.push(Later::future(future, then));
    }

    /// Computes something on a thread for what blocks, then calls back with it.
    pub fn blocking<R: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> R + Send + 'static,
        then: impl FnOnce(&mut S, &mut Driver<S>, R) + Send + 'static,
    ) {
        self.later.push(Later::blocking(work, then));
    }
}

/// A call of that type, with nothing else in it.
pub(super) fn typed(r#type: Type) -> Call {
    Call { r#type: Some(r#type.into()), ..Default::default() }
}

fn filters(refuse: Duration) -> v1::Filters {
    v1::Filters { refuse_seconds: Some(refuse.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Scheduler for Nobody {
        fn offers(&mut self, _: &mut Driver<Self>, _: Vec<v1::Offer>) {}
        fn update(&mut self, _: &mut Driver<Self>, _: v1::TaskStatus) {}
    }

    fn types(driver: &Driver<Nobody>) -> Vec<Type> {
        driver.calls().map(Call::r#type).collect()
    }

    #[test]
    fn calls_keep_their_order() {
        let mut driver = Driver::<Nobody>::detached(None);
        driver.revive(&[]);
        driver.decline([], Duration::from_secs(5));
        driver.teardown();
        assert_eq!(types(&driver), [Type::Revive, Type::Decline, Type::Teardown]);
        assert!(driver.is_ending());
    }

    #[test]
    fn a_launch_of_nothing_declines() {
        let mut driver = Driver::<Nobody>::detached(None);
        driver.launch(&v1::OfferId { value: "o".into() }, Vec::new(), Duration::from_secs(5));
        let call = driver.calls().next().unwrap();
        let decline = call.decline.as_ref().unwrap();
        assert_eq!(decline.offer_ids[0].value, "o");
        assert_eq!(decline.filters.unwrap().refuse_seconds, Some(5.0));
    }

    #[test]
    fn an_update_without_uuid_is_not_acknowledged() {
        let mut driver = Driver::<Nobody>::detached(None);
        let mut status =
            v1::TaskStatus { agent_id: Some(v1::AgentId { value: "a".into() }), ..Default::default() };
        driver.acknowledge(&status);
        assert!(types(&driver).is_empty());
        status.uuid = Some(vec![1; 16]);
        driver.acknowledge(&status);
        assert_eq!(types(&driver), [Type::Acknowledge]);
    }
}
