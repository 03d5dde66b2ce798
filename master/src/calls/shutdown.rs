//! SHUTDOWN: a framework wants an executor to end (upstream: `shutdown`).

use libprocess::Context;
use mesos::internal::ShutdownExecutorMessage;
use mesos::v1::scheduler::call::Shutdown;
use mesos::{AgentId, FrameworkId};

use crate::master::Master;

/// Passes the wish on to the agent.
pub(super) fn shutdown(
    master: &mut Master,
    framework: &FrameworkId,
    call: Shutdown,
    ctx: &mut Context<Master>,
) {
    let Some(agent) = master.cluster.agent(&AgentId::from(&call.agent_id)) else {
        tracing::warn!(framework_id = %framework, agent_id = %call.agent_id.value, "cannot shut an executor down: unknown agent");
        return;
    };
    let message = ShutdownExecutorMessage {
        executor_id: Some(call.executor_id),
        framework_id: Some(framework.to_proto()),
    };
    ctx.post(&agent.pid, message);
}
