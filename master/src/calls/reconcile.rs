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
//!
//! A call may name a million tasks. A scheduler of the HTTP API is answered for some hundred of them at a time, and between
//! two such slices the master does what others have asked for meanwhile. Where that takes long, slices are longer: all calls
//! of the scheduler on that connection wait behind this one. Each answer is of the time when it is sent, so that nothing
//! older comes behind something newer. They end with the stream of who has asked: a scheduler that takes its place, or comes
//! back, asks for itself. A driver is answered at once: it waits for nothing, and what it asks for next would gather here.

use std::time::{Duration, SystemTime};

use libprocess::http::{Reply, Response};
use libprocess::{Context, Promise, promise};
use mesos::sabotage::{Bug, is_on};
use mesos::tasks::visible_state;
use mesos::v1::scheduler::call::{self, Reconcile};
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use mesos::{AgentId, FrameworkId, TaskId};
use uuid::Uuid;

use crate::cluster::{Cluster, Framework, Task, status};
use crate::frameworks::events;
use crate::master::Master;

/// So many tasks are answered for at a time: that takes about a millisecond.
const SLICE: usize = 500;
/// It is longer if others have had this many times its time since the last one.
const OTHERS: u128 = 16;
/// But never longer than so many slices: others wait for it.
const MOST: usize = 10;

/// How many tasks are answered for next, if others have had so much time. At a fixed length a call would take hundreds of
/// times what waits at a busy master, as when all agents report to a new one: more than the patience of schedulers.
fn next_slice(others: Duration) -> usize {
    SLICE * usize::try_from(others.as_millis() / OTHERS).unwrap_or(MOST).clamp(1, MOST)
}

/// What is asked for, and not answered yet.
enum Asked {
    All(std::vec::IntoIter<TaskId>),
    Named(std::vec::IntoIter<call::reconcile::Task>),
}

impl Asked {
    fn of(framework: &Framework, call: Reconcile) -> Self {
        if call.tasks.is_empty() {
            Self::All(framework.tasks.keys().cloned().collect::<Vec<_>>().into_iter())
        } else {
            Self::Named(call.tasks.into_iter())
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::All(tasks) => tasks.len(),
            Self::Named(tasks) => tasks.len(),
        }
    }

    /// The answers for the next tasks; what they are now.
    fn answers(
        &mut self,
        tasks: usize,
        cluster: &Cluster,
        framework: &Framework,
        now: SystemTime,
    ) -> Vec<v1::TaskStatus> {
        match self {
            Self::All(all) => {
                let known = all.take(tasks).filter_map(|id| framework.tasks.get(id.as_str()));
                known.map(|task| latest(task, now)).collect()
            }
            Self::Named(named) => {
                named.take(tasks).filter_map(|task| answer(cluster, framework, &task, now)).collect()
            }
        }
    }
}

/// The rest of a call of which a part is answered.
pub(crate) struct Rest {
    framework: FrameworkId,
    /// The stream of who asks: a scheduler that takes its place has not asked.
    stream: Uuid,
    asked: Asked,
    /// When the last slice was sent, by the node's clock.
    sent: Duration,
    answered: Promise<Response>,
}

impl Rest {
    fn is_heard(&self, master: &Master) -> bool {
        master.streams.get(&self.framework).is_some_and(|stream| stream.id == self.stream)
    }
}

libprocess::messages! { Rest; }

/// Answers with status updates.
pub(super) fn reconcile(
    master: &mut Master,
    framework: &FrameworkId,
    call: Reconcile,
    ctx: &mut Context<Master>,
) {
    if let Some(mut asked) = begin(master, framework, call) {
        let all = asked.len();
        send(master, framework, &mut asked, all, ctx);
    }
}

/// The same, slice by slice. The call is answered behind the last one, so that its sender waits before it asks for more.
pub(super) fn reconcile_in_slices(
    master: &mut Master,
    framework: &FrameworkId,
    call: Reconcile,
    ctx: &mut Context<Master>,
) -> Reply {
    let Some(asked) = begin(master, framework, call) else { return Response::accepted().into() };
    let Some(stream) = master.streams.get(framework).map(|stream| stream.id) else {
        return Response::accepted().into();
    };
    let (answered, answer) = promise::<Response>();
    let (framework, sent) = (framework.clone(), ctx.node().elapsed());
    go_on(master, Rest { framework, stream, asked, sent, answered }, ctx);
    Reply::later(async move {
        let ended =
            |_| Response::service_unavailable("The master ended before it had answered for all tasks");
        answer.await.unwrap_or_else(ended)
    })
}

/// Sends the next slice. The others come when it is their turn, behind what waits already.
pub(crate) fn go_on(master: &mut Master, mut rest: Rest, ctx: &mut Context<Master>) {
    if rest.is_heard(master) {
        let others = ctx.node().elapsed().saturating_sub(rest.sent);
        send(master, &rest.framework, &mut rest.asked, next_slice(others), ctx);
        if rest.asked.len() > 0 {
            rest.sent = ctx.node().elapsed();
            ctx.address().tell(rest);
            return;
        }
    }
    rest.answered.set(Response::accepted());
}

fn begin(master: &Master, framework: &FrameworkId, call: Reconcile) -> Option<Asked> {
    master.metrics.messages_reconcile_tasks.increment();
    let state = master.cluster.framework(framework)?;
    let named = call.tasks.len();
    let asked = Asked::of(state, call);
    tracing::info!(framework_id = %framework, named, asked = asked.len(), "reconciling");
    Some(asked)
}

fn send(
    master: &mut Master,
    framework: &FrameworkId,
    asked: &mut Asked,
    tasks: usize,
    ctx: &mut Context<Master>,
) {
    let Some(state) = master.cluster.framework(framework) else { return };
    for status in asked.answers(tasks, &master.cluster, state, ctx.now()) {
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
    let state =
        if is_on(Bug::SpeaksOfPartitions) { state } else { visible_state(state, &framework.capabilities) };
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

    #[test]
    fn a_slice_is_longer_where_others_take_long() {
        let after = |milliseconds| next_slice(Duration::from_millis(milliseconds));
        assert_eq!([0, 31, 32, 100, 160, 60_000].map(after), [500, 500, 1000, 3000, 5000, 5000]);
        assert_eq!(next_slice(Duration::MAX), 5000);
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
