//! MESSAGE: a framework says something to one of its executors; not delivered reliably (upstream:
//! `message`).

use libprocess::Context;
use mesos::internal::FrameworkToExecutorMessage;
use mesos::v1::scheduler::call::Message;
use mesos::{AgentId, FrameworkId};

use crate::master::Master;

/// Passes the message on to the agent.
pub(super) fn message(
    master: &mut Master,
    framework: &FrameworkId,
    call: Message,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_framework_to_executor.increment();
    let agent = master.cluster.agent(&AgentId::from(&call.agent_id)).filter(|agent| agent.connected);
    let Some(agent) = agent else {
        tracing::warn!(framework_id = %framework, agent_id = %call.agent_id.value, "dropping a message: its agent is not there");
        master.metrics.invalid_framework_to_executor_messages.increment();
        return;
    };
    let message = FrameworkToExecutorMessage {
        slave_id: call.agent_id,
        framework_id: framework.to_proto(),
        executor_id: call.executor_id,
        data: call.data,
    };
    ctx.post(&agent.pid, message);
    master.metrics.valid_framework_to_executor_messages.increment();
}
