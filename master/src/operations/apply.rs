//! An operation is applied to the books, and sent to its agent (upstream: `Master::_apply`).

use libprocess::Context;
use mesos::internal::{ApplyOperationMessage, CheckpointResourcesMessage, ResourceVersionUuid};
use mesos::resources::{CarriesResources as _, conversions, downgrade_all};
use mesos::v1::offer::Operation;
use mesos::v1::{self, OperationState};
use mesos::{AgentId, FrameworkId, ResourceError};

use super::status;
use crate::cluster::Agent;
use crate::master::Master;

/// Applies an operation that is valid. The allocator is the caller's to tell.
///
/// # Errors
/// The agent does not have what it converts; nothing has happened then.
pub(crate) fn apply(
    master: &mut Master,
    agent: &AgentId,
    framework: Option<&FrameworkId>,
    info: Operation,
    ctx: &Context<Master>,
) -> Result<(), ResourceError> {
    // What an agent has is nobody's, whatever of it is offered or used.
    let mut bare = info.clone();
    bare.strip_allocation();
    master.cluster.convert(agent, &conversions(&bare)?)?;
    let kind = info.r#type();
    let Some(state) = master.cluster.agent(agent) else { return Ok(()) };
    tracing::info!(agent_id = %agent, kind = kind.as_str_name(), total = %state.total, "applying an operation");
    match state.resource_version.clone().filter(|_| state.capabilities.resource_provider) {
        Some(version) => send(master, agent, framework, info, version, ctx),
        None => send_checkpointed(state, ctx),
    }
    if let Some(framework) = framework {
        master.metrics.framework(framework).operation(kind);
    }
    Ok(())
}

/// The operation is in the books before it is sent: its end may come at once.
fn send(
    master: &mut Master,
    agent: &AgentId,
    framework: Option<&FrameworkId>,
    info: Operation,
    version: v1::Uuid,
    ctx: &Context<Master>,
) {
    let uuid = ctx.node().random().uuid();
    let pending = status(OperationState::OperationPending, info.id.clone(), None, Some(agent.to_proto()));
    let operation = v1::Operation {
        framework_id: framework.map(FrameworkId::to_proto),
        agent_id: Some(agent.to_proto()),
        info,
        latest_status: pending,
        statuses: Vec::new(),
        uuid: v1::Uuid { value: uuid.as_bytes().to_vec() },
    };
    let message = ApplyOperationMessage {
        framework_id: operation.framework_id.clone(),
        operation_info: operation.info.clone(),
        operation_uuid: operation.uuid.clone(),
        resource_version_uuid: ResourceVersionUuid { resource_provider_id: None, uuid: version },
    };
    master.metrics.operations.added(operation.info.r#type(), OperationState::OperationPending);
    master.cluster.add_operation(agent, uuid, operation);
    if let Some(state) = master.cluster.agent(agent) {
        ctx.post(&state.pid, message);
    }
}

/// An agent that knows nothing of operations is told what it has to remember.
pub(crate) fn send_checkpointed(agent: &Agent, ctx: &Context<Master>) {
    let mut resources = agent.checkpointed.to_protos();
    if !agent.capabilities.reservation_refinement && downgrade_all(&mut resources).is_err() {
        // It was another one when it was given them.
        tracing::warn!(agent_id = %agent.id, "the agent does not know the refined reservations that it has to remember");
        return;
    }
    ctx.post(&agent.pid, CheckpointResourcesMessage { resources });
}
