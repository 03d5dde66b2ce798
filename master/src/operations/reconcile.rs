//! Master and agent compare which operations they know (upstream: `Master::updateSlave`).
//!
//! An agent says after each registration which operations it has. Those that the master does not know were made with an
//! earlier master. Those that only the master knows may have been lost on their way: the agent is asked for them, and
//! says that they were dropped if it has never seen them.

use std::collections::BTreeSet;

use libprocess::Context;
use mesos::AgentId;
use mesos::internal::{ReconcileOperationsMessage, reconcile_operations_message};
use mesos::tasks::is_terminal_operation;
use mesos::v1;
use uuid::Uuid;

use super::update::{self, uuid_of};
use crate::master::Master;

/// Takes over what an agent reports.
pub(crate) fn reconcile(
    master: &mut Master,
    agent: &AgentId,
    reported: Vec<v1::Operation>,
    ctx: &Context<Master>,
) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let known: BTreeSet<Uuid> = state.operations.keys().copied().collect();
    let mut seen = BTreeSet::new();
    for operation in reported {
        let Some(uuid) = uuid_of(&operation.uuid) else { continue };
        seen.insert(uuid);
        if !known.contains(&uuid) {
            let latest = operation.latest_status.state();
            tracing::info!(agent_id = %agent, operation_uuid = %uuid, state = latest.as_str_name(), "the agent brings an operation");
            master.metrics.operations.added(operation.info.r#type(), latest);
            master.cluster.add_operation(agent, uuid, operation);
        }
    }
    let missing: Vec<_> = known.difference(&seen).map(question).collect();
    if let Some(state) = master.cluster.agent(agent).filter(|_| !missing.is_empty()) {
        tracing::warn!(agent_id = %agent, operations = missing.len(), "the agent did not mention operations; asking");
        ctx.post(&state.pid, ReconcileOperationsMessage { operations: missing, framework_id: None });
    }
}

/// The agent was replaced by one without AGENT_OPERATION_FEEDBACK, which does not repeat what became of operations and takes
/// no acknowledgements: those that are over are forgotten (upstream: `Master::_reregisterSlave`).
pub(crate) fn forget_unacknowledged(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let Some(state) = master.cluster.agent(agent) else { return };
    let is_over = |operation: &v1::Operation| is_terminal_operation(operation.latest_status.state());
    let over: Vec<Uuid> = state
        .operations
        .iter()
        .filter(|(_, operation)| operation.info.id.is_some() && is_over(operation))
        .map(|(uuid, _)| *uuid)
        .collect();
    for uuid in over {
        update::remove(master, agent, uuid, ctx);
    }
}

fn question(uuid: &Uuid) -> reconcile_operations_message::Operation {
    reconcile_operations_message::Operation {
        operation_uuid: Some(v1::Uuid { value: uuid.as_bytes().to_vec() }),
        ..Default::default()
    }
}
