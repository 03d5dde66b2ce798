//! ACCEPT: a framework uses what it was offered (upstream: `accept`, `_accept`).
//!
//! Several offers can be taken together if they are of one agent and one role. The operations are
//! applied in order to what is left of them; what is left at the end goes back, and is not offered to
//! the framework again for as long as its filters say. One offer that is not valid (any more) voids the
//! whole call: its tasks are dropped, and its other offers are given back.

use libprocess::Context;
use mesos::sabotage::{Bug, is_on};
use mesos::v1::offer::{Operation, operation};
use mesos::v1::scheduler::call::Accept;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, OperationState, TaskState};
use mesos::{AgentId, FrameworkId, OfferId, Resources, TaskId};

use super::launch;
use crate::cluster::status;
use crate::frameworks::events;
use crate::master::Master;
use crate::validation::{self, Invalid};
use crate::{offers, updates};

/// What is left of the offers while the operations are applied.
pub(super) struct Taken {
    pub(super) agent: AgentId,
    pub(super) role: String,
    pub(super) remaining: Resources,
    pub(super) launched: Resources,
}

/// Accepts offers.
pub(super) fn accept(master: &mut Master, framework: &FrameworkId, call: Accept, ctx: &mut Context<Master>) {
    count(master, &call.operations);
    if let Err(error) = validation::offer::validate(&call.offer_ids, framework, &master.cluster) {
        refuse(master, framework, call, &error, ctx);
        return;
    }
    let Some(mut taken) = take(master, framework, &call.offer_ids, ctx) else { return };
    for operation in call.operations {
        apply(master, framework, operation, &mut taken, ctx);
    }
    let Taken { agent, remaining, launched, .. } = taken;
    // As with DECLINE, what comes without filters is refused for their default of 5 seconds.
    let filters = call.filters.unwrap_or_default();
    if !remaining.is_empty() && !is_on(Bug::KeepsRest) {
        master.allocation.recover_offered(framework, &agent, remaining, Some(filters));
    }
    if !launched.is_empty() {
        master.allocation.allocate(&agent, launched);
    }
}

fn count(master: &Master, operations: &[Operation]) {
    for operation in operations.iter().filter(|operation| operation.r#type() == operation::Type::Launch) {
        if operation.launch.as_ref().is_some_and(|launch| !launch.task_infos.is_empty()) {
            master.metrics.messages_launch_tasks.increment();
        } else {
            master.metrics.messages_decline_offers.increment();
        }
    }
}

/// The offers are not valid: nothing of the call is done.
fn refuse(
    master: &mut Master,
    framework: &FrameworkId,
    call: Accept,
    error: &Invalid,
    ctx: &mut Context<Master>,
) {
    tracing::warn!(framework_id = %framework, %error, "an ACCEPT call used invalid offers");
    for offer in &call.offer_ids {
        // Those of others are not its to give back.
        let own = master.cluster.offer(&offer.value).is_some_and(|offer| &offer.framework == framework);
        if own {
            offers::discard(master, &OfferId::from(offer), None, ctx);
        }
    }
    let aware = master.cluster.framework(framework).is_some_and(|state| state.capabilities.partition_aware);
    let state = if aware { TaskState::TaskDropped } else { TaskState::TaskLost };
    for operation in call.operations {
        let text = match operation.r#type() {
            operation::Type::Launch | operation::Type::LaunchGroup => {
                format!("Task launched with invalid offers: {error}")
            }
            _ => format!("Operation attempted with invalid offers: {error}"),
        };
        drop_operation(master, framework, operation, state, Reason::InvalidOffers, &text, ctx);
    }
}

/// Removes the offers from the books; their resources are the operations'.
fn take(
    master: &mut Master,
    framework: &FrameworkId,
    ids: &[v1::OfferId],
    ctx: &mut Context<Master>,
) -> Option<Taken> {
    let mut taken: Option<Taken> = None;
    for id in ids {
        let Some(offer) = offers::take(master, &OfferId::from(id), ctx) else { continue };
        master.metrics.framework(framework).offers_accepted.increment();
        match &mut taken {
            Some(taken) => taken.remaining += &offer.resources,
            None => {
                taken = Some(Taken {
                    agent: offer.agent.clone(),
                    role: offer.role.clone(),
                    remaining: offer.resources.clone(),
                    launched: Resources::default(),
                });
            }
        }
    }
    taken
}

fn apply(
    master: &mut Master,
    framework: &FrameworkId,
    operation: Operation,
    taken: &mut Taken,
    ctx: &mut Context<Master>,
) {
    match operation.r#type() {
        operation::Type::Launch => launch::launch(master, framework, operation, taken, ctx),
        operation::Type::Unknown => {
            tracing::warn!(framework_id = %framework, "ignoring an unknown operation")
        }
        kind => {
            let text = format!("{} operations are not supported by this master", kind.as_str_name());
            let (state, reason) = (TaskState::TaskError, Reason::TaskGroupInvalid);
            drop_operation(master, framework, operation, state, reason, &text, ctx);
        }
    }
}

/// An operation is not done. Tasks become `state`; another operation is answered only if it asked for
/// feedback by an id.
pub(super) fn drop_operation(
    master: &mut Master,
    framework: &FrameworkId,
    operation: Operation,
    state: TaskState,
    reason: Reason,
    text: &str,
    ctx: &mut Context<Master>,
) {
    let tasks = match operation.r#type() {
        operation::Type::Launch => operation.launch.map(|launch| launch.task_infos),
        operation::Type::LaunchGroup => operation.launch_group.map(|launch| launch.task_group.tasks),
        kind => {
            tracing::warn!(framework_id = %framework, kind = kind.as_str_name(), text, "dropping an operation");
            if operation.id.is_some() {
                let status = v1::OperationStatus {
                    operation_id: operation.id,
                    state: OperationState::OperationError.into(),
                    message: Some(text.to_owned()),
                    ..Default::default()
                };
                master.send(framework, events::operation_update(status), ctx);
            }
            return;
        }
    };
    for task in tasks.unwrap_or_default() {
        refuse_task(master, framework, &task, state, reason, text, ctx);
    }
}

/// A task was not launched, and its framework is told why.
pub(super) fn refuse_task(
    master: &mut Master,
    framework: &FrameworkId,
    task: &v1::TaskInfo,
    state: TaskState,
    reason: Reason,
    text: &str,
    ctx: &mut Context<Master>,
) {
    tracing::info!(framework_id = %framework, task_id = %task.task_id.value, text, "not launching a task");
    let agent = AgentId::from(&task.agent_id);
    let id = TaskId::from(&task.task_id);
    let status = status::by_master(&id, Some(&agent), state, reason, text, ctx.now());
    master.metrics.task_ended(&status);
    updates::forward(master, framework, status, ctx);
}
