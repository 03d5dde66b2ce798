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
//! A call may name a million tasks. A scheduler is answered for some hundred of them at a time, and between two such slices
//! the master does what others have asked for meanwhile. Where that takes long, slices are longer. Each answer is of the
//! time when it is sent, so that nothing older comes behind something newer. A task that is over since it was asked for has
//! no answer where that would be only that nobody knows it any more: its end was told. They end with who has asked: a
//! scheduler that takes its place, or one of the HTTP API that comes back, asks for itself.
//!
//! | who asks | what it asks for meanwhile |
//! |---|---|
//! | a scheduler of the HTTP API | waits, on the same connection: the call is answered (202) behind its last slice |
//! | a driver | is done between two slices: a driver waits for no answer. But another question is answered behind this one |
//!
//! So a driver that asks and asks takes no more of the master than one that asks once. What drivers have asked for, and is
//! not answered, is limited ([`MOST_ASKED`]). Beyond that a question is answered at once, as upstream does: then what
//! drivers send waits in the master's queue, and before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use indexmap::IndexMap;
use libprocess::http::{Reply, Response};
use libprocess::{Context, FixedState, Pid, Promise, promise};
use mesos::sabotage::{Bug, is_on};
use mesos::tasks::visible_state;
use mesos::v1::scheduler::call::{self, Reconcile};
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use mesos::{AgentId, FrameworkId, TaskId};
use uuid::Uuid;

use crate::cluster::{Cluster, Framework, Map, Task, status};
use crate::frameworks::events;
use crate::master::Master;

/// So many tasks are answered for at a time: that takes about a millisecond.
const SLICE: usize = 500;
/// It is longer if others have had this many times its time since the last one.
const OTHERS: u128 = 16;
/// But never longer than so many slices: others wait for it.
const MOST: usize = 10;
/// Drivers may ask for so many tasks before these are answered for, all drivers together. That is some hundred MB.
const MOST_ASKED: usize = 1_000_000;

/// How many tasks are answered for next, if others have had so much time. At a fixed length a call would take hundreds of
/// times what waits at a busy master, as when all agents report to a new one: more than the patience of schedulers.
fn next_slice(others: Duration) -> usize {
    SLICE * usize::try_from(others.as_millis() / OTHERS).unwrap_or(MOST).clamp(1, MOST)
}

/// What is asked for, and not answered yet.
enum Asked {
    All(std::vec::IntoIter<TaskId>),
    Named { tasks: std::vec::IntoIter<call::reconcile::Task>, then: Tasks },
}

/// The tasks that a framework had when it asked. A copy costs nothing.
type Tasks = Map<TaskId, Arc<Task>>;

impl Asked {
    fn of(framework: &Framework, call: Reconcile, then: Tasks) -> Self {
        if call.tasks.is_empty() {
            Self::All(framework.tasks.keys().cloned().collect::<Vec<_>>().into_iter())
        } else {
            Self::Named { tasks: call.tasks.into_iter(), then }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::All(tasks) => tasks.len(),
            Self::Named { tasks, .. } => tasks.len(),
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
            Self::Named { tasks: named, then } => {
                let open = named.take(tasks).filter(|task| !is_over_since(cluster, framework, then, task));
                open.filter_map(|task| answer(cluster, framework, &task, now)).collect()
            }
        }
    }
}

/// Who has asked. A scheduler that takes its place has not.
enum Asker {
    /// A scheduler of the HTTP API: its stream, and the answer to its call.
    Stream { id: Uuid, answered: Promise<Response> },
    /// A driver.
    Driver { pid: Pid, _weight: Weight },
}

/// The rest of a call of which a part is answered.
pub(crate) struct Rest {
    framework: FrameworkId,
    asker: Asker,
    asked: Asked,
    /// When the last slice was sent, by the node's clock.
    sent: Duration,
}

impl Rest {
    fn is_heard(&self, master: &Master) -> bool {
        match &self.asker {
            Asker::Stream { id, .. } => {
                master.streams.get(&self.framework).is_some_and(|stream| stream.id == *id)
            }
            Asker::Driver { pid, .. } => {
                master.cluster.framework(&self.framework).is_some_and(|state| is_driver(state, pid))
            }
        }
    }

    /// All is answered, or nobody hears it any more: what its driver has asked for since, if it is a driver's.
    fn end(self, master: &mut Master, now: Duration) -> Option<Rest> {
        match self.asker {
            Asker::Stream { answered, .. } => {
                answered.set(Response::accepted());
                None
            }
            Asker::Driver { .. } => next_of_driver(master, self.framework, now),
        }
    }
}

libprocess::messages! { Rest; }

fn is_driver(framework: &Framework, pid: &Pid) -> bool {
    framework.is_connected() && framework.pid.as_ref() == Some(pid)
}

/// What drivers have asked for, and is not answered yet.
#[derive(Debug, Default)]
pub(crate) struct OfDrivers {
    /// The frameworks whose drivers are being answered (there is one [`Rest`] for each), with what they have asked since.
    waiting: IndexMap<FrameworkId, VecDeque<Question>, FixedState>,
    /// How many tasks all that asks for, what is being answered included.
    tasks: Arc<AtomicUsize>,
}

impl OfDrivers {
    /// Room for a question that names so many tasks, unless too much waits before it. However large it is: then those behind
    /// it have none.
    fn room(&self, named: usize) -> Option<Weight> {
        if self.tasks.load(Ordering::Relaxed) >= MOST_ASKED {
            return None;
        }
        // Of short questions it is their number that counts.
        let tasks = named.max(SLICE);
        self.tasks.fetch_add(tasks, Ordering::Relaxed);
        Some(Weight { sum: Arc::clone(&self.tasks), tasks })
    }
}

/// A driver's question that waits for the end of an earlier one. If it is for all tasks, which these are is seen then.
#[derive(Debug)]
struct Question {
    pid: Pid,
    call: Reconcile,
    then: Tasks,
    weight: Weight,
}

/// A question's part of [`OfDrivers::tasks`], until it is answered or dropped.
#[derive(Debug)]
struct Weight {
    sum: Arc<AtomicUsize>,
    tasks: usize,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.tasks, Ordering::Relaxed);
    }
}

/// Answers for what a KILL names, at once.
pub(super) fn reconcile(
    master: &mut Master,
    framework: &FrameworkId,
    call: Reconcile,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_reconcile_tasks.increment();
    answer_at_once(master, framework, call, ctx);
}

/// Answers a scheduler of the HTTP API, slice by slice.
pub(super) fn of_stream(
    master: &mut Master,
    framework: &FrameworkId,
    call: Reconcile,
    ctx: &mut Context<Master>,
) -> Reply {
    master.metrics.messages_reconcile_tasks.increment();
    let (Some(state), Some(stream)) = (master.cluster.framework(framework), master.streams.get(framework))
    else {
        return Response::accepted().into();
    };
    let (answered, answer) = promise::<Response>();
    let asked = begin(state, call, state.tasks.clone());
    let asker = Asker::Stream { id: stream.id, answered };
    go_on(master, Rest { framework: framework.clone(), asker, asked, sent: ctx.node().elapsed() }, ctx);
    Reply::later(async move {
        let ended =
            |_| Response::service_unavailable("The master ended before it had answered for all tasks");
        answer.await.unwrap_or_else(ended)
    })
}

/// Answers a driver, slice by slice, behind what it has asked before.
pub(super) fn of_driver(
    master: &mut Master,
    framework: &FrameworkId,
    call: Reconcile,
    ctx: &mut Context<Master>,
) {
    master.metrics.messages_reconcile_tasks.increment();
    let Some(state) = master.cluster.framework(framework) else { return };
    let Some(pid) = state.pid.clone() else { return };
    let then = state.tasks.clone();
    let Some(weight) = master.reconciliations.room(call.tasks.len()) else {
        return answer_at_once(master, framework, call, ctx);
    };
    let question = Question { pid, call, then, weight };
    if let Some(waiting) = master.reconciliations.waiting.get_mut(framework) {
        waiting.push_back(question);
        return;
    }
    master.reconciliations.waiting.insert(framework.clone(), VecDeque::from([question]));
    if let Some(rest) = next_of_driver(master, framework.clone(), ctx.node().elapsed()) {
        go_on(master, rest, ctx);
    }
}

/// What is to be answered next of what a framework's driver has asked for. Nobody hears what another one has asked for.
fn next_of_driver(master: &mut Master, framework: FrameworkId, now: Duration) -> Option<Rest> {
    let waiting = master.reconciliations.waiting.get_mut(&framework)?;
    if let Some(state) = master.cluster.framework(&framework) {
        while let Some(Question { pid, call, then, weight }) = waiting.pop_front() {
            if is_driver(state, &pid) {
                let asked = begin(state, call, then);
                return Some(Rest {
                    framework,
                    asker: Asker::Driver { pid, _weight: weight },
                    asked,
                    sent: now,
                });
            }
        }
    }
    master.reconciliations.waiting.swap_remove(&framework);
    None
}

/// Sends the next slice. The others come when it is their turn, behind what waits already.
pub(crate) fn go_on(master: &mut Master, rest: Rest, ctx: &mut Context<Master>) {
    let now = ctx.node().elapsed();
    let mut left = next_slice(now.saturating_sub(rest.sent));
    let mut next = Some(rest);
    while let Some(mut rest) = next {
        if left == 0 {
            rest.sent = ctx.node().elapsed();
            ctx.address().tell(rest);
            return;
        }
        let asked = if rest.is_heard(master) { rest.asked.len() } else { 0 };
        if asked > 0 {
            send(master, &rest.framework, &mut rest.asked, left, ctx);
        }
        next = if asked > left { Some(rest) } else { rest.end(master, now) };
        // A question to which there is no answer takes some time, too.
        left = left.saturating_sub(asked.max(1));
    }
}

fn answer_at_once(master: &mut Master, framework: &FrameworkId, call: Reconcile, ctx: &mut Context<Master>) {
    let Some(state) = master.cluster.framework(framework) else { return };
    let mut asked = begin(state, call, state.tasks.clone());
    let all = asked.len();
    send(master, framework, &mut asked, all, ctx);
}

fn begin(framework: &Framework, call: Reconcile, then: Tasks) -> Asked {
    let named = call.tasks.len();
    let asked = Asked::of(framework, call, then);
    tracing::info!(framework_id = %framework.id, named, asked = asked.len(), "reconciling");
    asked
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

/// Whether a task was the framework's when it asked, and is over, on an agent that is still there. Its end came before the
/// answer would: behind a TASK_FINISHED that its scheduler has acknowledged meanwhile, TASK_LOST or TASK_GONE would look as
/// if it had not finished. Of an agent that is not there any more the answer tells.
fn is_over_since(
    cluster: &Cluster,
    framework: &Framework,
    then: &Tasks,
    asked: &call::reconcile::Task,
) -> bool {
    let id = asked.task_id.value.as_str();
    !framework.tasks.contains_key(id) && then.get(id).is_some_and(|task| cluster.agent(&task.agent).is_some())
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

    #[test]
    fn drivers_may_ask_for_a_million_tasks_or_in_two_thousand_short_questions_before_these_are_answered() {
        let drivers = OfDrivers::default();
        let large = drivers.room(4_000_000);
        assert!(large.is_some() && drivers.room(1).is_none());
        drop(large);
        let short: Vec<Weight> = (0..3_000).map_while(|_| drivers.room(1)).collect();
        assert_eq!(short.len(), 2_000);
        drop(short);
        assert_eq!(drivers.tasks.load(Ordering::Relaxed), 0);
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
