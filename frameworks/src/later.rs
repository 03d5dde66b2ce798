//! What a callback of a scheduler or an executor leaves to be done: wait, or compute elsewhere, and
//! come back to it with the result. The drivers' actors carry it out.

use std::{future::Future, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use libprocess::Node;
use tokio::time::sleep;

/// What to do when the result is there: with the scheduler or executor `T`, and its driver `D`.
pub(crate) type Then<T, D> = Box<dyn FnOnce(&mut T, &mut D) + Send>;

/// Something to be done outside of the callback.
pub(crate) enum Later<T, D> {
    /// Wait for this.
    Future(BoxFuture<'static, Then<T, D>>),
    /// Compute this on a thread for such things.
    Blocking(Box<dyn FnOnce() -> Then<T, D> + Send>),
}

impl<T: 'static, D: 'static> Later<T, D> {
    pub(crate) fn after(delay: Duration, then: impl FnOnce(&mut T, &mut D) + Send + 'static) -> Self {
        let then: Then<T, D> = Box::new(then);
        // Timed from when it is carried out, so that a driver without a node needs no clock.
        let then = async move {
            sleep(delay).await;
            then
        };
        Later::Future(then.boxed())
    }

    pub(crate) fn future<F>(future: F, then: impl FnOnce(&mut T, &mut D, F::Output) + Send + 'static) -> Self
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let then = async move {
            let output = future.await;
            Box::new(move |this: &mut T, driver: &mut D| then(this, driver, output)) as Then<T, D>
        };
        Later::Future(then.boxed())
    }

    pub(crate) fn blocking<R: Send + 'static>(
        work: impl FnOnce() -> R + Send + 'static,
        then: impl FnOnce(&mut T, &mut D, R) + Send + 'static,
    ) -> Self {
        Later::Blocking(Box::new(move || {
            let output = work();
            Box::new(move |this: &mut T, driver: &mut D| then(this, driver, output))
        }))
    }

    /// The future that ends with what is to be done then.
    pub(crate) fn run(self, node: &Node) -> BoxFuture<'static, Then<T, D>> {
        match self {
            Later::Future(future) => future,
            Later::Blocking(work) => {
                let node = node.clone();
                async move { node.blocking(work).await }.boxed()
            }
        }
    }
}
