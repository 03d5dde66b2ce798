//! RECONCILE_OPERATIONS: a framework asks what became of its operations (upstream:
//! `reconcileOperations`). No operation is known to this master, so each answer is about the agent.

use libprocess::Context;
use mesos::v1::scheduler::call::{ReconcileOperations, reconcile_operations};
use mesos::v1::{self, OperationState};
use mesos::{AgentId, FrameworkId};

use crate::cluster::Cluster;
use crate::frameworks::events;
use crate::master::Master;

/// Answers with updates of operations.
pub(super) fn reconcile(
    master: &mut Master,
    framework: &FrameworkId,
    call: ReconcileOperations,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_reconcile_operations.increment();
    for operation in call.operations {
        let status = answer(&master.cluster, operation);
        master.send(framework, events::operation_update(status), ctx);
    }
}

fn answer(cluster: &Cluster, asked: reconcile_operations::Operation) -> v1::OperationStatus {
    let agent = asked.agent_id.as_ref().map(AgentId::from);
    let (state, text) = match &agent {
        None => (
            OperationState::OperationUnknown,
            "Reconciliation: Operation is unknown and no 'agent_id' was provided",
        ),
        Some(agent) if cluster.recovered_agents().contains_key(agent) => (
            OperationState::OperationRecovering,
            "Reconciliation: Agent is recovered but has not re-registered",
        ),
        Some(agent) if cluster.agent(agent).is_some() => {
            (OperationState::OperationUnknown, "Reconciliation: Operation is unknown")
        }
        Some(agent) if cluster.unreachable_agents().contains_key(agent) => {
            (OperationState::OperationUnreachable, "Reconciliation: Agent is unreachable")
        }
        Some(agent) if cluster.gone_agents().contains_key(agent) => {
            (OperationState::OperationGoneByOperator, "Reconciliation: Agent marked gone by operator")
        }
        Some(_) => (OperationState::OperationUnknown, "Reconciliation: Both operation and agent are unknown"),
    };
    v1::OperationStatus {
        operation_id: Some(asked.operation_id),
        state: state.into(),
        message: Some(text.to_owned()),
        agent_id: asked.agent_id,
        resource_provider_id: asked.resource_provider_id,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    /// The cases of upstream's `Master::reconcileOperations` that a master without operations can meet.
    #[test]
    fn each_case_has_upstreams_state_and_text() {
        let cluster = testing::cluster(&["f"], &["known"]);
        let answered = |agent: Option<&str>| {
            let asked = reconcile_operations::Operation {
                operation_id: v1::OperationId { value: "o".into() },
                agent_id: agent.map(|id| v1::AgentId { value: id.into() }),
                resource_provider_id: None,
            };
            let status = answer(&cluster, asked);
            (status.state(), status.message.unwrap_or_default())
        };
        let unknown = OperationState::OperationUnknown;
        for (agent, text) in [
            (None, "Operation is unknown and no 'agent_id' was provided"),
            (Some("known"), "Operation is unknown"),
            (Some("nobody"), "Both operation and agent are unknown"),
        ] {
            assert_eq!(answered(agent), (unknown, format!("Reconciliation: {text}")));
        }
    }
}
