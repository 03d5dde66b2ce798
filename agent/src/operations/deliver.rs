//! The outcome of an operation is told to the master until it is acknowledged: at once, after each registration, and
//! with growing pauses in between (upstream: `StatusUpdateManagerProcess`, with the intervals of task updates).

use std::time::Duration;

use libprocess::{Context, Handle, Pid};
use mesos::internal::{AcknowledgeOperationStatusMessage, UpdateOperationStatusMessage};
use mesos::sabotage::{Bug, is_on};
use mesos::v1;
use uuid::Uuid;

use super::uuid_of;
use crate::agent::{Agent, Phase};

/// The first pause.
pub const FIRST_DELAY: Duration = Duration::from_secs(10);
/// The longest pause; each is twice the one before.
pub const MAX_DELAY: Duration = Duration::from_secs(10 * 60);

/// Time to tell again what was not acknowledged.
pub struct RetryOperations;

libprocess::messages! { RetryOperations; }

impl Agent {
    /// Tells the outcome of an operation, and sets the time of the next attempt.
    pub(crate) fn forward_operation(&mut self, uuid: Uuid, ctx: &mut Context<Self>) {
        let running = self.phase == Phase::Running;
        let Some(master) = self.registration.master.clone().filter(|_| running) else { return };
        let Some(known) = self.operations.known.get_mut(&uuid) else { return };
        known.due = ctx.node().elapsed() + known.delay;
        known.delay = (known.delay * 2).min(MAX_DELAY);
        let operation = &known.operation;
        let message = UpdateOperationStatusMessage {
            framework_id: operation.framework_id.clone(),
            slave_id: operation.agent_id.clone(),
            status: operation.latest_status.clone(),
            latest_status: Some(operation.latest_status.clone()),
            operation_uuid: Some(operation.uuid.clone()),
        };
        ctx.post(&master, message);
        self.arm_operations(ctx);
    }

    /// A master has just registered the agent: it is told everything.
    pub(crate) fn forward_operations(&mut self, ctx: &mut Context<Self>) {
        if is_on(Bug::OutcomesToldOnce) {
            return;
        }
        for uuid in self.operations.known.keys().copied().collect::<Vec<_>>() {
            if let Some(known) = self.operations.known.get_mut(&uuid) {
                known.delay = FIRST_DELAY;
            }
            self.forward_operation(uuid, ctx);
        }
    }

    /// One timer serves all operations: it is set to the earliest attempt. It may find nothing to do, and is set anew
    /// then.
    fn arm_operations(&mut self, ctx: &mut Context<Self>) {
        let Some(due) = self.operations.known.values().map(|known| known.due).min() else { return };
        match self.operations.retry.take() {
            Some((when, timer)) if when <= due => self.operations.retry = Some((when, timer)),
            previous => {
                if let Some((_, timer)) = previous {
                    ctx.cancel(timer);
                }
                let delay = due.saturating_sub(ctx.node().elapsed());
                self.operations.retry = Some((due, ctx.after(delay, RetryOperations)));
            }
        }
    }
}

impl Handle<RetryOperations> for Agent {
    fn handle(&mut self, _: RetryOperations, _: &Pid, ctx: &mut Context<Self>) {
        self.operations.retry = None;
        if is_on(Bug::OutcomesToldOnce) {
            return;
        }
        let now = ctx.node().elapsed();
        let due = self.operations.known.iter().filter(|(_, known)| known.due <= now);
        for uuid in due.map(|(uuid, _)| *uuid).collect::<Vec<_>>() {
            tracing::warn!(operation_uuid = %uuid, "telling an operation's outcome again");
            self.forward_operation(uuid, ctx);
        }
        // Without a master there is nobody to tell; the next registration sets it again.
        if self.phase == Phase::Running {
            self.arm_operations(ctx);
        }
    }
}

impl Handle<AcknowledgeOperationStatusMessage> for Agent {
    fn handle(&mut self, message: AcknowledgeOperationStatusMessage, from: &Pid, ctx: &mut Context<Self>) {
        if !self.is_from_master(from, "operation status acknowledgement") {
            return;
        }
        let Some(uuid) = uuid_of(&message.operation_uuid) else { return };
        let is_latest =
            |operation: &v1::Operation| operation.latest_status.uuid.as_ref() == Some(&message.status_uuid);
        if !self.operations.known.get(&uuid).is_some_and(|known| is_latest(&known.operation)) {
            tracing::warn!(operation_uuid = %uuid, "ignoring the acknowledgement of an unknown status of an operation");
            return;
        }
        self.operations.known.remove(&uuid);
        if let Err(error) = self.checkpoint_resources() {
            self.fail(error.to_string(), ctx);
            return;
        }
        self.end_draining_if_empty(ctx);
        self.touch(ctx);
    }
}
