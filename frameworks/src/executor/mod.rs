//! The executor library: the half of a framework that runs tasks.
//!
//! Implement [`Executor`], and give it to [`run`] with the [`ExecutorEnvironment`] that the agent
//! made. The library subscribes with the agent, sends status updates and keeps each until it is
//! acknowledged, comes back to a restarted agent where the framework checkpoints, and ends when told
//! to. The executor answers through its [`Driver`]. `examples/minimal.rs` has a small one, with its `main`.
//!
//! What it does not do: run anything. Upstream: `src/executor/executor.cpp`.

mod actor;
mod driver;
mod environment;
mod unacknowledged;

use libprocess::{Address, Node};
use mesos::v1;
use thiserror::Error;

pub use actor::ExecutorDriver;
pub use driver::{Driver, status};
pub use environment::{EnvironmentError, ExecutorEnvironment, Recovery};

/// What an executor does with the events that the agent sends. One call at a time; be quick, and
/// leave what takes time to [`Driver::blocking`] and [`Driver::wait_for`].
pub trait Executor: Sized + Send + 'static {
    /// Subscribed with the agent, for the first time or again.
    fn subscribed(&mut self, driver: &mut Driver<Self>, subscribed: &v1::executor::event::Subscribed) {
        let _ = (driver, subscribed);
    }

    /// Run a task. The executor must send updates of its state, the last one terminal.
    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo);

    /// Run these tasks together; refused unless implemented.
    fn launch_group(&mut self, driver: &mut Driver<Self>, group: v1::TaskGroupInfo) {
        for task in group.tasks {
            let mut status = status(&task.task_id, v1::TaskState::TaskFailed);
            status.message = Some("this executor does not run task groups".into());
            driver.update(status);
        }
    }

    /// End a task. An update must follow, by default `TASK_KILLED`.
    fn kill(&mut self, driver: &mut Driver<Self>, task: v1::TaskId, policy: Option<v1::KillPolicy>);

    /// The agent has an update, and brings it to the scheduler. The library has forgotten it already.
    fn acknowledged(&mut self, driver: &mut Driver<Self>, status: &v1::TaskStatus) {
        let _ = (driver, status);
    }

    /// The scheduler sent something. Best effort.
    fn message(&mut self, driver: &mut Driver<Self>, data: Vec<u8>) {
        let _ = (driver, data);
    }

    /// End all tasks and then [`Driver::stop`], within the grace period of the environment;
    /// [`run`] ends with [`Error::Grace`] when that has passed.
    fn shutdown(&mut self, driver: &mut Driver<Self>) {
        driver.stop();
    }

    /// The agent says that something went wrong.
    fn error(&mut self, driver: &mut Driver<Self>, message: &str) {
        let _ = (driver, message);
    }

    /// The connection to the agent broke, and the library is trying to come back (or
    /// [`Executor::shutdown`] follows).
    fn disconnected(&mut self, driver: &mut Driver<Self>) {
        let _ = driver;
    }
}

/// Why an executor ended otherwise than by [`Driver::stop`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The agent refuses the subscription. If it had subscribed before, it was told to shut down first, and may not have
    /// stopped in time: who started it should end the process.
    #[error("the agent refused the subscription: {0}")]
    Refused(String),
    /// It was told to shut down and did not end in time. Who started it should end the process.
    #[error("the executor did not stop within its grace period")]
    Grace,
    /// The executor's actor ended without a result (its node was shut down, or a callback panicked).
    #[error("the executor's actor has ended")]
    Gone,
}

/// Runs an executor until it calls [`Driver::stop`], and gives it back.
///
/// # Errors
/// When the agent refuses it, or it does not stop in time: see [`enum@Error`].
pub async fn run<E: Executor>(
    node: &Node,
    environment: ExecutorEnvironment,
    executor: E,
) -> Result<E, Error> {
    let (promise, answer) = libprocess::promise();
    let driver = ExecutorDriver::new(environment, node.scheme(), executor, promise);
    let _end = EndOnDrop(node.spawn_numbered(driver));
    answer.await.unwrap_or(Err(Error::Gone))
}

struct EndOnDrop<E: Executor>(Address<ExecutorDriver<E>>);

impl<E: Executor> Drop for EndOnDrop<E> {
    fn drop(&mut self) {
        self.0.terminate();
    }
}
