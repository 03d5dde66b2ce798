//! The [`Driver`]: what an executor can say to the agent, and do besides.
//!
//! It only notes what is wanted; the actor carries it out when the callback returns, in order.

use std::{collections::VecDeque, future::Future, time::Duration};

use mesos::v1::{self, TaskState};

use super::{Executor, ExecutorEnvironment};
use crate::later::Later;

/// Something for the agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Saying {
    Update(Box<v1::TaskStatus>),
    Message(Vec<u8>),
}

/// An executor's side of its subscription.
pub struct Driver<E> {
    environment: ExecutorEnvironment,
    pub(super) sayings: VecDeque<Saying>,
    pub(super) later: Vec<Later<E, Driver<E>>>,
    pub(super) end: bool,
}

impl<E: Executor> Driver<E> {
    /// A driver without an agent, for tests of an executor.
    pub fn detached(environment: ExecutorEnvironment) -> Self {
        Driver { environment, sayings: VecDeque::new(), later: Vec::new(), end: false }
    }

    /// What the agent said in the environment.
    pub fn environment(&self) -> &ExecutorEnvironment {
        &self.environment
    }

    /// The updates that wait to be sent.
    pub fn updates(&self) -> impl Iterator<Item = &v1::TaskStatus> {
        self.sayings.iter().filter_map(|saying| match saying {
            Saying::Update(status) => Some(&**status),
            Saying::Message(_) => None,
        })
    }

    /// The messages that wait to be sent.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.sayings.iter().filter_map(|saying| match saying {
            Saying::Message(data) => Some(data.as_slice()),
            Saying::Update(_) => None,
        })
    }

    /// Whether the executor has said that it ends.
    pub fn is_ending(&self) -> bool {
        self.end
    }

    /// Reports a task's state (see [`status`]). The uuid, the time, the source and the executor are
    /// filled in. It is sent again after each reconnection until it is acknowledged.
    pub fn update(&mut self, status: v1::TaskStatus) {
        self.sayings.push_back(Saying::Update(Box::new(status)));
    }

    /// Sends something to the scheduler. Best effort: it may be lost.
    pub fn message(&mut self, data: Vec<u8>) {
        self.sayings.push_back(Saying::Message(data));
    }

    /// Ends the executor, after what was said has left. [`super::run`] returns. What the agent has not acknowledged may
    /// be lost, and is lost while the agent is away: wait for [`Executor::acknowledged`] of the last update.
    pub fn stop(&mut self) {
        self.end = true;
    }

    /// Calls back after a while.
    pub fn after(&mut self, delay: Duration, then: impl FnOnce(&mut E, &mut Driver<E>) + Send + 'static) {
        self.later.push(Later::after(delay, then));
    }

    /// Waits for something, then calls back with it.
    pub fn wait_for<F>(
        &mut self,
        future: F,
        then: impl FnOnce(&mut E, &mut Driver<E>, F::Output) + Send + 'static,
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
        then: impl FnOnce(&mut E, &mut Driver<E>, R) + Send + 'static,
    ) {
        self.later.push(Later::blocking(work, then));
    }
}

/// A status to fill in and to give to [`Driver::update`].
pub fn status(task: &v1::TaskId, state: TaskState) -> v1::TaskStatus {
    v1::TaskStatus { task_id: task.clone(), state: state.into(), ..Default::default() }
}
