//! RECONCILE_OPERATIONS: a framework asks what became of its operations (upstream:
//! `reconcileOperations`). Without names it is told of all to which it gave ids. Of an operation that this master does not
//! know, the answer is about its agent. No answer has a uuid: there is nothing to acknowledge.

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
    let statuses: Vec<v1::OperationStatus> = if call.operations.is_empty() {
        master.cluster.operations_of(framework, None).map(|(_, operation)| latest(operation)).collect()
    } else {
        call.operations.into_iter().map(|asked| answer(&master.cluster, framework, asked)).collect()
    };
    for status in statuses {
        master.send(framework, events::operation_update(status), ctx);
    }
}

/// What its framework was told last of an operation.
fn latest(operation: &v1::Operation) -> v1::OperationStatus {
    let status = operation.statuses.last().unwrap_or(&operation.latest_status);
    v1::OperationStatus { uuid: None, ..status.clone() }
}

fn answer(
    cluster: &Cluster,
    framework: &FrameworkId,
    asked: reconcile_operations::Operation,
) -> v1::OperationStatus {
    let known = cluster.operations_of(framework, Some(&asked.operation_id.value));
    if let Some((_, operation)) = known.last() {
        return latest(operation);
    }
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

    /// Upstream: `OperationReconciliationTest.UnknownOperationRecoveredAgent`, and the other cases of
    /// `Master::reconcileOperations` in which the operation is not known.
    #[test]
    fn each_case_has_upstreams_state_and_text() {
        let mut cluster = testing::cluster(&["f"], &["known"]);
        cluster.add_recovered_agent("recovered".into(), v1::AgentInfo::default());
        cluster.add_unreachable_agent("unreachable".into(), v1::TimeInfo::default());
        cluster.add_gone_agent("gone".into(), v1::TimeInfo::default());
        let answered = |agent: Option<&str>| {
            let asked = reconcile_operations::Operation {
                operation_id: v1::OperationId { value: "o".into() },
                agent_id: agent.map(|id| v1::AgentId { value: id.into() }),
                resource_provider_id: None,
            };
            let status = answer(&cluster, &FrameworkId::from("f"), asked);
            (status.state(), status.message.unwrap_or_default())
        };
        let unknown = OperationState::OperationUnknown;
        for (agent, state, text) in [
            (None, unknown, "Operation is unknown and no 'agent_id' was provided"),
            (Some("known"), unknown, "Operation is unknown"),
            (Some("nobody"), unknown, "Both operation and agent are unknown"),
            (
                Some("recovered"),
                OperationState::OperationRecovering,
                "Agent is recovered but has not re-registered",
            ),
            (Some("unreachable"), OperationState::OperationUnreachable, "Agent is unreachable"),
            (Some("gone"), OperationState::OperationGoneByOperator, "Agent marked gone by operator"),
        ] {
            assert_eq!(answered(agent), (state, format!("Reconciliation: {text}")));
        }
    }
}
