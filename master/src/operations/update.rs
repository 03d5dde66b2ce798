//! `UpdateOperationStatusMessage`: an agent says what became of an operation (upstream:
//! `Master::updateOperationStatus`).
//!
//! A framework hears of its operations to which it gave ids, and acknowledges what has a uuid. For all others, and for
//! frameworks that are no more, the master acknowledges.

use std::time::Duration;

use libprocess::{Context, Pid};
use mesos::internal::{AcknowledgeOperationStatusMessage, UpdateOperationStatusMessage};
use mesos::tasks::is_terminal_operation;
use mesos::{AgentId, FrameworkId, v1};
use uuid::Uuid;

use crate::agents::activation;
use crate::cluster::OperationChange;
use crate::frameworks::events;
use crate::master::Master;

/// For how long after its agent's return an operation waits for a framework that this master does not know (upstream:
/// `MIN_WAIT_BEFORE_ORPHAN_OPERATION_ADOPTION`).
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Notes the update, and passes it on.
pub(crate) fn update(
    master: &mut Master,
    message: UpdateOperationStatusMessage,
    from: &Pid,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_operation_status_update.increment();
    let UpdateOperationStatusMessage { framework_id, slave_id, mut status, latest_status, operation_uuid } =
        message;
    let framework = framework_id.as_ref().map(FrameworkId::from);
    let agent = slave_id.as_ref().map(AgentId::from);
    let (Some(agent), Some(uuid)) = (agent, operation_uuid.as_ref().and_then(uuid_of)) else {
        // The answer to what a framework asked about an operation that this master does not know.
        if let Some(framework) = framework {
            master.send(&framework, events::operation_update(status), ctx);
        }
        return;
    };
    if master.cluster.agent(&agent).is_none() {
        tracing::warn!(agent = %from, operation_uuid = %uuid, "ignoring an operation's status from an agent that is not registered");
        master.metrics.invalid_operation_status_updates.increment();
        return;
    }
    let latest = latest_status.as_ref().unwrap_or(&status);
    let Some(change) = master.cluster.update_operation(&agent, uuid, latest) else {
        unknown(master, framework, status, ctx);
        return;
    };
    master.metrics.valid_operation_status_updates.increment();
    master.metrics.operations.changed(change.operation.info.r#type(), change.from, change.to);
    // An agent that drops an operation does not say whose it was.
    if change.operation.info.id.is_some() {
        status.operation_id = change.operation.info.id.clone();
    }
    tracing::info!(agent_id = %agent, operation_uuid = %uuid, state = change.to.as_str_name(), "an operation's state");
    // One that has no uuid is said once.
    let reliable = status.uuid.is_some();
    match listener(master, &change) {
        Some(framework) => {
            master.send(&framework, events::operation_update(status), ctx);
            if is_terminal_operation(change.to) && !reliable {
                remove(master, &agent, uuid, ctx);
            }
        }
        None if reliable && waits_for_framework(master, &agent, &change, ctx) => {}
        None => {
            if let Some(status_uuid) = status.uuid {
                acknowledge(master, &agent, &change.operation, status_uuid, ctx);
            }
            if is_terminal_operation(change.to) {
                remove(master, &agent, uuid, ctx);
            }
        }
    }
}

/// The master has forgotten the operation, and the agent's update has crossed with that.
fn unknown(
    master: &mut Master,
    framework: Option<FrameworkId>,
    status: v1::OperationStatus,
    ctx: &mut Context<Master>,
) {
    if let Some(framework) = framework {
        master.send(&framework, events::operation_update(status), ctx);
        master.metrics.invalid_operation_status_updates.increment();
    }
}

/// The framework that wants to hear of an operation, if it is not over.
fn listener(master: &Master, change: &OperationChange) -> Option<FrameworkId> {
    change.operation.info.id.as_ref()?;
    let framework = change.operation.framework_id.as_ref().map(FrameworkId::from)?;
    master.cluster.framework(&framework).is_some().then_some(framework)
}

/// After a failover agents and frameworks come back in any order. The agent will say it again.
fn waits_for_framework(
    master: &Master,
    agent: &AgentId,
    change: &OperationChange,
    ctx: &Context<Master>,
) -> bool {
    let framework = change.operation.framework_id.as_ref().map(FrameworkId::from);
    let (Some(framework), Some(_)) = (framework, &change.operation.info.id) else { return false };
    let returned = master.cluster.agent(agent).and_then(|agent| agent.reregistered);
    let recent = returned.is_some_and(|time| ctx.now().duration_since(time).unwrap_or_default() < PATIENCE);
    recent && !master.cluster.is_completed(&framework)
}

/// Tells the agent that somebody has heard the status of this uuid.
pub(crate) fn acknowledge(
    master: &Master,
    agent: &AgentId,
    operation: &v1::Operation,
    status_uuid: v1::Uuid,
    ctx: &Context<Master>,
) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let message = AcknowledgeOperationStatusMessage {
        status_uuid,
        operation_uuid: operation.uuid.clone(),
        resource_provider_id: None,
    };
    ctx.post(&state.pid, message);
}

/// Forgets an operation. An agent that is drained may be empty then.
pub(crate) fn remove(master: &mut Master, agent: &AgentId, uuid: Uuid, ctx: &mut Context<Master>) {
    if let Some(operation) = master.cluster.remove_operation(agent, uuid) {
        master.metrics.operations.removed(operation.info.r#type(), operation.latest_status.state());
        activation::check_drained(master, agent, ctx);
    }
}

/// The sixteen bytes of a uuid, if they are sixteen.
pub(crate) fn uuid_of(uuid: &v1::Uuid) -> Option<Uuid> {
    Uuid::from_slice(&uuid.value).ok()
}
