//! An agent is lost, and with it what would have become of its operations (upstream: `sendBulkOperationFeedback`).

use libprocess::Context;
use mesos::v1::OperationState;
use mesos::{AgentId, FrameworkId};

use super::status;
use crate::agents::count_unreachable_operation;
use crate::frameworks::events;
use crate::master::Master;

/// Tells frameworks what to think of their operations on an agent, and forgets these.
pub(crate) fn lose(
    master: &mut Master,
    agent: &AgentId,
    outcome: Option<(OperationState, &str)>,
    ctx: &mut Context<Master>,
) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let operations: Vec<_> =
        state.operations.iter().map(|(uuid, operation)| (*uuid, operation.clone())).collect();
    for (uuid, operation) in operations {
        let framework = operation.framework_id.as_ref().map(FrameworkId::from);
        if let (Some((state, message)), Some(framework), Some(id)) = (outcome, framework, &operation.info.id)
        {
            let lost = status(state, Some(id.clone()), Some(message), Some(agent.to_proto()));
            master.send(&framework, events::operation_update(lost), ctx);
        }
        master.cluster.remove_operation(agent, uuid);
        let (kind, was) = (operation.info.r#type(), operation.latest_status.state());
        match outcome {
            // It is over, and is counted for ever.
            Some((gone @ OperationState::OperationGoneByOperator, _)) => {
                master.metrics.operations.changed(kind, was, gone);
            }
            Some((OperationState::OperationUnreachable, _)) => {
                count_unreachable_operation(master, agent, kind, was);
            }
            _ => master.metrics.operations.removed(kind, was),
        }
    }
}
