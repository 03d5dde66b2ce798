//! RECONCILE: a framework asks what became of its tasks (upstream: `reconcile`).
//!
//! Without tasks (*implicitly*) it is told the state of every task that the master knows. For a task
//! that it names (*explicitly*) there are six answers:
//!
//! | the task, or else its agent | answer | without PARTITION_AWARE |
//! |---|---|---|
//! | the task is known | its latest state that was sent | the same |
//! | the agent (or, if none is named, any) is awaited after a failover | none: ask again | none |
//! | the agent is registered | TASK_GONE | TASK_LOST |
//! | the agent is unreachable | TASK_UNREACHABLE, with the time | TASK_LOST |
//! | the agent is gone | TASK_GONE_BY_OPERATOR | TASK_LOST |
//! | the agent is unknown | TASK_UNKNOWN | TASK_LOST |
//!
//! The answers have no uuid and are not acknowledged.

use std::time::SystemTime;

use libprocess::Context;
use mesos::sabotage::{Bug, is_on};
use mesos::tasks::visible_state;
use mesos::v1::scheduler::call::{self, Reconcile};
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use mesos::{AgentId, FrameworkId, TaskId};

use crate::cluster::{Cluster, Framework, Task, status};
use crate::frameworks::events;
use crate::master::Master;

/// Answers with status updates.
pub(super) fn reconcile(
    master: &mut Master,
    framework: &FrameworkId,
    call: Reconcile,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_reconcile_tasks.increment();
    let Some(state) = master.cluster.framework(framework) else { return };
    let answers: Vec<v1::TaskStatus> = if call.tasks.is_empty() {
        state.tasks.values().map(|task| latest(task, ctx.now())).collect()
    } else {
        let tasks = call.tasks.iter();
        tasks.filter_map(|task| answer(&master.cluster, state, task, ctx.now())).collect()
    };
    tracing::info!(framework_id = %framework, asked = call.tasks.len(), answers = answers.len(), "reconciling");
    for status in answers {
        master.send(framework, events::update(status), ctx);
    }
}

fn latest(task: &Task, now: SystemTime) -> v1::TaskStatus {
    let text = "Reconciliation: Latest task state";
    status::repeated(task, task.told_state(), Reason::Reconciliation, text, now)
}

/// The answer for one task; pure.
fn answer(
    cluster: &Cluster,
    framework: &Framework,
    asked: &call::reconcile::Task,
    now: SystemTime,
) -> Option<v1::TaskStatus> {
    if let Some(task) = framework.tasks.get(asked.task_id.value.as_str()) {
        return Some(latest(task, now));
    }
    let agent = asked.agent_id.as_ref().map(AgentId::from);
    let mut since = None;
    let (state, text) = match &agent {
        None if !cluster.recovered_agents().is_empty() => return None,
        Some(agent) if cluster.recovered_agents().contains_key(agent) => return None,
        Some(agent) if cluster.agent(agent).is_some() => {
            (TaskState::TaskGone, "Reconciliation: Task is unknown to the agent")
        }
        Some(agent) if cluster.unreachable_agents().contains_key(agent) => {
            since = cluster.unreachable_agents().get(agent).copied();
            (TaskState::TaskUnreachable, "Reconciliation: Task is unreachable")
        }
        Some(agent) if cluster.gone_agents().contains_key(agent) => {
            (TaskState::TaskGoneByOperator, "Reconciliation: Task is gone")
        }
        _ if is_on(Bug::SilentOnUnknown) => return None,
        _ => (TaskState::TaskUnknown, "Reconciliation: Task is unknown"),
    };
    let state = visible_state(state, &framework.capabilities);
    let id = TaskId::from(&asked.task_id);
    let mut status = status::by_master(&id, agent.as_ref(), state, Reason::Reconciliation, text, now);
    status.unreachable_time = since;
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{FrameworkCapabilities, testing};

    fn ask(cluster: &Cluster, aware: bool, task: &str, agent: Option<&str>) -> Option<v1::TaskStatus> {
        let id = FrameworkId::from("f");
        let mut framework = (**cluster.framework(&id).unwrap()).clone();
        framework.capabilities = FrameworkCapabilities { partition_aware: aware, ..Default::default() };
        let asked = call::reconcile::Task {
            task_id: v1::TaskId { value: task.into() },
            agent_id: agent.map(|agent| v1::AgentId { value: agent.into() }),
        };
        answer(cluster, &framework, &asked, testing::now())
    }

    fn cluster() -> Cluster {
        let mut cluster = testing::cluster(&["f"], &["a"]);
        cluster.add_task(testing::task_of("t", "f", "a", "cpus:1"));
        cluster.add_unreachable_agent("u".into(), v1::TimeInfo { nanoseconds: 7 });
        cluster.add_gone_agent("g".into(), v1::TimeInfo { nanoseconds: 8 });
        cluster
    }

    #[test]
    fn the_six_answers() {
        let mut cluster = cluster();
        let state = |cluster: &Cluster, task, agent| ask(cluster, true, task, agent).map(|s| s.state());
        assert_eq!(state(&cluster, "t", None), Some(TaskState::TaskStaging));
        assert_eq!(state(&cluster, "x", Some("a")), Some(TaskState::TaskGone));
        assert_eq!(state(&cluster, "x", Some("u")), Some(TaskState::TaskUnreachable));
        assert_eq!(state(&cluster, "x", Some("g")), Some(TaskState::TaskGoneByOperator));
        assert_eq!(state(&cluster, "x", Some("z")), Some(TaskState::TaskUnknown));
        assert_eq!(state(&cluster, "x", None), Some(TaskState::TaskUnknown));
        cluster.add_recovered_agent("r".into(), v1::AgentInfo::default());
        assert_eq!(state(&cluster, "x", Some("r")), None);
        assert_eq!(state(&cluster, "x", None), None);
        assert_eq!(state(&cluster, "x", Some("z")), Some(TaskState::TaskUnknown));
    }

    #[test]
    fn a_framework_that_is_not_partition_aware_hears_of_lost_tasks_only() {
        let cluster = cluster();
        for agent in ["a", "u", "g", "z"] {
            let status = ask(&cluster, false, "x", Some(agent)).unwrap();
            assert_eq!(status.state(), TaskState::TaskLost, "{agent}");
            assert_eq!(status.uuid, None);
            assert_eq!(status.unreachable_time.is_some(), agent == "u");
        }
    }
}
