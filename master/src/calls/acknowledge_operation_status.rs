//! ACKNOWLEDGE_OPERATION_STATUS: a framework has seen the status of an operation, and need not be sent it again
//! (upstream: `acknowledgeOperationStatus`). If the operation is over, it is forgotten.

use libprocess::Context;
use mesos::tasks::is_terminal_operation;
use mesos::v1;
use mesos::v1::scheduler::call::AcknowledgeOperationStatus;
use mesos::{AgentId, FrameworkId};
use uuid::Uuid;

use crate::master::Master;
use crate::operations::update;

/// Passes the acknowledgement on to the agent.
pub(super) fn acknowledge(
    master: &mut Master,
    framework: &FrameworkId,
    call: AcknowledgeOperationStatus,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_operation_status_update_acknowledgement.increment();
    let (agent, uuid, state) = match validate(master, framework, &call) {
        Ok(found) => found,
        Err(problem) => {
            tracing::warn!(framework_id = %framework, operation_id = %call.operation_id.value, problem, "ignoring the acknowledgement of an operation's status");
            master.metrics.invalid_operation_status_update_acknowledgements.increment();
            return;
        }
    };
    let operation = master.cluster.agent(&agent).and_then(|agent| agent.operations.get(&uuid)).cloned();
    if let Some(operation) = operation {
        update::acknowledge(master, &agent, &operation, v1::Uuid { value: call.uuid }, ctx);
    }
    master.metrics.valid_operation_status_update_acknowledgements.increment();
    if is_terminal_operation(state) {
        update::remove(master, &agent, uuid, ctx);
    }
}

/// The operation, and its state that was acknowledged.
fn validate(
    master: &Master,
    framework: &FrameworkId,
    call: &AcknowledgeOperationStatus,
) -> Result<(AgentId, Uuid, v1::OperationState), &'static str> {
    let id = call.agent_id.as_ref().map(AgentId::from).ok_or("it names no agent")?;
    let agent = master.cluster.agent(&id).ok_or("its agent is not registered")?;
    if !agent.connected {
        return Err("its agent is disconnected");
    }
    if !agent.capabilities.agent_operation_feedback {
        return Err("its agent gives no feedback on operations");
    }
    let named = master.cluster.operations_of(framework, Some(&call.operation_id.value));
    let mut known = false;
    for (uuid, operation) in named.filter(|(uuid, _)| agent.operations.contains_key(uuid)) {
        known = true;
        let is_acknowledged =
            |status: &&v1::OperationStatus| status.uuid.as_ref().is_some_and(|uuid| uuid.value == call.uuid);
        if let Some(status) = operation.statuses.iter().find(is_acknowledged) {
            return Ok((id, uuid, status.state()));
        }
    }
    Err(if known { "its status is unknown" } else { "it is unknown" })
}
