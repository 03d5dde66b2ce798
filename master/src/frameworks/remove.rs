//! The end of a framework: it was torn down, or did not come back in time (upstream:
//! `removeFramework`).

use std::collections::BTreeSet;

use libprocess::Context;
use mesos::internal::ShutdownFrameworkMessage;
use mesos::v1::TaskState;
use mesos::v1::task_status::Reason;
use mesos::{AgentId, ExecutorId, FrameworkId};

use super::lifecycle;
use crate::agents::activation;
use crate::cluster::status;
use crate::master::Master;
use crate::operator::news;
use crate::updates;

/// Removes a framework: its agents are told, its tasks count as killed, its resources are free.
pub(crate) fn remove(master: &mut Master, framework: &FrameworkId, ctx: &mut Context<Master>) {
    let Some(info) = master.cluster.framework(framework).map(|state| state.info.clone()) else { return };
    tracing::info!(framework_id = %framework, "removing the framework");
    lifecycle::end_absence(master, framework, ctx);
    lifecycle::deactivate(master, framework, false, ctx);
    // All agents: an executor may run where no task does.
    for agent in master.cluster.agents().values() {
        ctx.post(&agent.pid, ShutdownFrameworkMessage { framework_id: framework.to_proto() });
    }
    end_tasks(master, framework, ctx);
    end_unreachable_tasks(master, framework, ctx);
    remove_executors(master, framework);
    if let Some(stream) = master.streams.swap_remove(framework) {
        stream.close();
    }
    master.allocation.remove_framework(framework);
    let forgotten = master.cluster.complete_framework(framework, ctx.now());
    news::framework_removed(master, &info);
    master.metrics.complete_framework(framework);
    if let Some(forgotten) = forgotten {
        master.metrics.forget_framework(&forgotten);
    }
}

fn reason(framework: &FrameworkId) -> String {
    format!("Framework {framework} removed")
}

/// Nobody is told: who tears a framework down is not interested any more. TASK_KILLED is the nearest
/// state, although the task may end in another one while its executor shuts down.
fn end_tasks(master: &mut Master, framework: &FrameworkId, ctx: &mut Context<Master>) {
    let Some(state) = master.cluster.framework(framework) else { return };
    let tasks: Vec<_> = state.tasks.values().cloned().collect();
    let agents: BTreeSet<AgentId> = tasks.iter().map(|task| task.agent.clone()).collect();
    for task in tasks {
        let killed = status::of_task(
            &task,
            TaskState::TaskKilled,
            Reason::FrameworkRemoved,
            reason(framework),
            ctx.now(),
        );
        updates::apply(master, framework, &killed, None);
        updates::remove_task(master, framework, &task.id, false);
    }
    for agent in agents {
        activation::check_drained(master, &agent, ctx);
    }
}

fn end_unreachable_tasks(master: &mut Master, framework: &FrameworkId, ctx: &mut Context<Master>) {
    for task in master.cluster.take_unreachable_tasks(framework, |_| true) {
        let killed = status::of_task(
            &task,
            TaskState::TaskKilled,
            Reason::FrameworkRemoved,
            reason(framework),
            ctx.now(),
        );
        updates::end_unreachable(master, framework, task, &killed);
    }
}

fn remove_executors(master: &mut Master, framework: &FrameworkId) {
    let Some(state) = master.cluster.framework(framework) else { return };
    let executors: Vec<(AgentId, ExecutorId)> = state.executors.keys().cloned().collect();
    for (agent, executor) in executors {
        updates::remove_executor(master, framework, &agent, &executor);
    }
}
