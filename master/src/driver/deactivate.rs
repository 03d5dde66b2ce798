//! `DeactivateFrameworkMessage`: a driver aborted. It stays connected, and is offered nothing until it, or another one,
//! subscribes (upstream: `deactivateFramework`).

use libprocess::{Context, Pid};
use mesos::internal::DeactivateFrameworkMessage;

use super::of_sender;
use crate::frameworks::lifecycle;
use crate::master::Master;

/// Deactivates the framework; what it is offered is rescinded.
pub(crate) fn deactivate(
    master: &mut Master,
    message: DeactivateFrameworkMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_deactivate_framework.increment();
    match of_sender(master, &message.framework_id, from).map(|state| state.id.clone()) {
        Ok(framework) => {
            tracing::info!(framework_id = %framework, driver = %from, "the driver aborted; deactivating its framework");
            lifecycle::deactivate(master, &framework, true, ctx);
        }
        Err(problem) => tracing::warn!(driver = %from, problem, "ignoring a deactivation"),
    }
}
