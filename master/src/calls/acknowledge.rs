//! ACKNOWLEDGE: a framework has seen a status update, and need not be sent it again (upstream:
//! `acknowledge`). The acknowledgement of a terminal update ends the task in the master's books.

use libprocess::Context;
use mesos::internal::StatusUpdateAcknowledgementMessage;
use mesos::v1::scheduler::call::Acknowledge;
use mesos::{AgentId, FrameworkId};

use crate::agents::activation;
use crate::cluster::Agent;
use crate::master::Master;
use crate::updates;

/// Passes the acknowledgement on to the agent.
pub(super) fn acknowledge(
    master: &mut Master,
    framework: &FrameworkId,
    call: Acknowledge,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_status_update_acknowledgement.increment();
    let (id, agent) = match validate(master, framework, &call) {
        Ok(agent) => (agent.id.clone(), agent.pid.clone()),
        Err(problem) => {
            tracing::warn!(framework_id = %framework, task_id = %call.task_id.value, problem, "ignoring an acknowledgement");
            master.metrics.invalid_status_update_acknowledgements.increment();
            return;
        }
    };
    apply(master, framework, &call);
    let message = StatusUpdateAcknowledgementMessage {
        slave_id: call.agent_id,
        framework_id: framework.to_proto(),
        task_id: call.task_id,
        uuid: call.uuid,
    };
    ctx.post(&agent, message);
    master.metrics.valid_status_update_acknowledgements.increment();
    activation::check_drained(master, &id, ctx);
}

fn validate<'a>(
    master: &'a Master,
    framework: &FrameworkId,
    call: &Acknowledge,
) -> Result<&'a Agent, &'static str> {
    let agent = master.cluster.agent(&AgentId::from(&call.agent_id)).ok_or("its agent is not registered")?;
    if !agent.connected {
        return Err("its agent is disconnected");
    }
    let task = master.cluster.task(framework, &call.task_id.value).filter(|task| task.agent == agent.id);
    // The agent will repeat the update, and this master will then pass it on.
    if task.is_some_and(|task| task.proto.status_update_state.is_none()) {
        return Err("this master did not send the update");
    }
    Ok(agent)
}

fn apply(master: &mut Master, framework: &FrameworkId, call: &Acknowledge) {
    let Some(task) = master.cluster.task(framework, &call.task_id.value) else { return };
    if task.agent.as_str() == call.agent_id.value && task.is_ended_by(&call.uuid) {
        let id = task.id.clone();
        updates::remove_task(master, framework, &id, false);
    }
}
