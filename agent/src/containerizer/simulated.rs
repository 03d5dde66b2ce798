//! A containerizer that starts nothing: containers are entries in a table, and in each of them an
//! executor of this process runs tasks that end by the clock.
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`ServeExecutorsOf`] | startup | remembers the agent that its executors subscribe to |
//! | [`Launch`] ... [`Recover`] | the Agent | as the seam says |
//! | `ContainerEvent` | the Agent, for an executor | plays the executor |
//! | `TaskDue` | itself | ends a task |
//!
//! For tests and benchmarks of everything around containers: the agent, its books, its updates and
//! the executor API's calls are the real ones; only processes, sockets to executors and their
//! encoding are missing. A task's labels say what becomes of it: [`DURATION_LABEL`] how long it runs
//! (a second without), [`STATE_LABEL`] how it ends (`TASK_FINISHED` without).
//!
//! [`Recover`]: super::Recover

use std::collections::BTreeMap;
use std::time::Duration;

use libprocess::{Context, Handle, Pid, Process, Promise, Recipient, Timer};
use mesos::tasks::seconds;
use mesos::v1::executor::{Call, Event, call, event};
use mesos::{ContainerId, Resources, TaskId, duration, v1};
use v1::TaskState;

use super::{Containers, Destroy, Launch, Launched, RecoverError, Status, Termination, Update, Usage, Wait};
use crate::executors::api::ExecutorCall;
use crate::executors::connection::LocalEvent;

/// The label that says how long a task runs: "250ms".
pub const DURATION_LABEL: &str = "simulated.duration";
/// The label that says how a task ends: "TASK_FAILED".
pub const STATE_LABEL: &str = "simulated.state";
/// How long a task runs that does not say.
const DEFAULT_DURATION: Duration = Duration::from_secs(1);

/// The agent whose executors are simulated.
pub struct ServeExecutorsOf(pub Recipient<ExecutorCall>);

/// An event for the executor in a container.
struct ContainerEvent {
    container: ContainerId,
    event: Option<Event>,
}

/// A task has run for as long as it was to.
struct TaskDue {
    container: ContainerId,
    task: TaskId,
}

libprocess::messages! { ServeExecutorsOf; ContainerEvent; TaskDue; }

struct Container {
    executor: v1::ExecutorId,
    framework: v1::FrameworkId,
    /// Whether it is for one command task, and ends with it.
    single: bool,
    resources: Resources,
    waits: Vec<Promise<Option<Termination>>>,
    /// What runs, how it will end, and when.
    tasks: BTreeMap<TaskId, (TaskState, Timer)>,
}

/// See the module.
#[derive(Default)]
pub struct SimulatedContainerizer {
    agent: Option<Recipient<ExecutorCall>>,
    containers: BTreeMap<ContainerId, Container>,
}

impl SimulatedContainerizer {
    /// Without containers.
    pub fn new() -> SimulatedContainerizer {
        SimulatedContainerizer::default()
    }

    fn call(&self, container: &ContainerId, call: Call, ctx: &Context<Self>) {
        let (Some(agent), Some(entry)) = (&self.agent, self.containers.get(container)) else { return };
        let call =
            Call { executor_id: entry.executor.clone(), framework_id: entry.framework.clone(), ..call };
        let (containerizer, container) = (ctx.address(), container.clone());
        let events = Recipient::from_fn(ctx.pid().clone(), move |LocalEvent(event), _: &Pid| {
            containerizer.tell(ContainerEvent { container: container.clone(), event });
        });
        agent.tell(ExecutorCall { call, events });
    }

    fn update(&self, container: &ContainerId, task: &TaskId, state: TaskState, ctx: &Context<Self>) {
        let Some(entry) = self.containers.get(container) else { return };
        let status = v1::TaskStatus {
            task_id: task.to_proto(),
            state: state.into(),
            executor_id: Some(entry.executor.clone()),
            source: Some(v1::task_status::Source::Executor.into()),
            uuid: Some(ctx.node().random().uuid().as_bytes().to_vec()),
            timestamp: Some(seconds(ctx.now())),
            ..v1::TaskStatus::default()
        };
        let call = Call {
            r#type: Some(call::Type::Update.into()),
            update: Some(call::Update { status }),
            ..Call::default()
        };
        self.call(container, call, ctx);
    }

    fn launch_task(&mut self, container: &ContainerId, task: &v1::TaskInfo, ctx: &mut Context<Self>) {
        let id = TaskId::from(&task.task_id);
        let (runs, state) = plan(task);
        self.update(container, &id, TaskState::TaskRunning, ctx);
        let due = TaskDue { container: container.clone(), task: id.clone() };
        let timer = ctx.after(runs, due);
        if let Some(entry) = self.containers.get_mut(container) {
            entry.tasks.insert(id, (state, timer));
        }
    }

    fn end_task(
        &mut self,
        container: &ContainerId,
        task: &TaskId,
        state: Option<TaskState>,
        ctx: &mut Context<Self>,
    ) {
        let Some(entry) = self.containers.get_mut(container) else { return };
        let Some((planned, timer)) = entry.tasks.remove(task) else { return };
        ctx.cancel(timer);
        self.update(container, task, state.unwrap_or(planned), ctx);
    }

    fn end_container(&mut self, container: &ContainerId, ctx: &mut Context<Self>) {
        let Some(entry) = self.containers.remove(container) else { return };
        for (_, (_, timer)) in entry.tasks {
            ctx.cancel(timer);
        }
        for wait in entry.waits {
            wait.set(Some(Termination { status: Some(0), ..Termination::default() }));
        }
    }
}

/// How long a task runs, and how it ends, as its labels say.
pub fn plan(task: &v1::TaskInfo) -> (Duration, TaskState) {
    let label = |key: &str| task.labels.as_ref()?.value(key);
    let runs = label(DURATION_LABEL).and_then(|text| duration::parse(text).ok());
    let ends = label(STATE_LABEL).and_then(TaskState::from_str_name);
    (runs.unwrap_or(DEFAULT_DURATION), ends.unwrap_or(TaskState::TaskFinished))
}

impl Process for SimulatedContainerizer {
    const NAME: &'static str = "simulated-containerizer";
}

impl Handle<ServeExecutorsOf> for SimulatedContainerizer {
    fn handle(&mut self, ServeExecutorsOf(agent): ServeExecutorsOf, _: &Pid, _: &mut Context<Self>) {
        self.agent = Some(agent);
    }
}

impl Handle<Launch> for SimulatedContainerizer {
    fn handle(&mut self, launch: Launch, _: &Pid, ctx: &mut Context<Self>) {
        let Launch { container_id, config, reply } = launch;
        if self.containers.contains_key(&container_id) {
            reply.set(Ok(Launched::AlreadyLaunched));
            return;
        }
        let entry = Container {
            executor: config.executor.executor_id,
            framework: config.executor.framework_id.unwrap_or_default(),
            single: config.task.is_some(),
            resources: config.resources,
            waits: Vec::new(),
            tasks: BTreeMap::new(),
        };
        self.containers.insert(container_id.clone(), entry);
        reply.set(Ok(Launched::Launched));
        let call = Call {
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe::default()),
            ..Call::default()
        };
        self.call(&container_id, call, ctx);
    }
}

impl Handle<ContainerEvent> for SimulatedContainerizer {
    fn handle(&mut self, message: ContainerEvent, _: &Pid, ctx: &mut Context<Self>) {
        let ContainerEvent { container, event } = message;
        let Some(event) = event else { return };
        match event.r#type() {
            event::Type::Launch => {
                if let Some(launch) = event.launch {
                    self.launch_task(&container, &launch.task, ctx);
                }
            }
            event::Type::LaunchGroup => {
                let group = event.launch_group.map(|launch| launch.task_group.tasks);
                for task in group.unwrap_or_default() {
                    self.launch_task(&container, &task, ctx);
                }
            }
            event::Type::Kill => {
                if let Some(kill) = event.kill {
                    let task = TaskId::from(kill.task_id);
                    self.end_task(&container, &task, Some(TaskState::TaskKilled), ctx);
                }
            }
            event::Type::Acknowledged => {
                // The executor of a command task ends when nothing of it is unacknowledged.
                let over = self
                    .containers
                    .get(&container)
                    .is_some_and(|entry| entry.single && entry.tasks.is_empty());
                if over {
                    self.end_container(&container, ctx);
                }
            }
            event::Type::Shutdown => {
                let Some(entry) = self.containers.get(&container) else { return };
                let tasks: Vec<TaskId> = entry.tasks.keys().cloned().collect();
                for task in tasks {
                    self.end_task(&container, &task, Some(TaskState::TaskKilled), ctx);
                }
                self.end_container(&container, ctx);
            }
            _ => {}
        }
    }
}

impl Handle<TaskDue> for SimulatedContainerizer {
    fn handle(&mut self, TaskDue { container, task }: TaskDue, _: &Pid, ctx: &mut Context<Self>) {
        self.end_task(&container, &task, None, ctx);
    }
}

impl Handle<Update> for SimulatedContainerizer {
    fn handle(&mut self, update: Update, _: &Pid, _: &mut Context<Self>) {
        if let Some(entry) = self.containers.get_mut(&update.container_id) {
            entry.resources = update.resources;
        }
        update.reply.set(Ok(()));
    }
}

impl Handle<Wait> for SimulatedContainerizer {
    fn handle(&mut self, wait: Wait, _: &Pid, _: &mut Context<Self>) {
        match self.containers.get_mut(&wait.container_id) {
            Some(entry) => entry.waits.push(wait.reply),
            None => wait.reply.set(None),
        }
    }
}

impl Handle<Destroy> for SimulatedContainerizer {
    fn handle(&mut self, destroy: Destroy, _: &Pid, ctx: &mut Context<Self>) {
        self.end_container(&destroy.container_id, ctx);
    }
}

impl Handle<Usage> for SimulatedContainerizer {
    fn handle(&mut self, usage: Usage, _: &Pid, ctx: &mut Context<Self>) {
        let entry = self.containers.get(&usage.container_id);
        usage.reply.set(entry.map(|entry| v1::ResourceStatistics {
            timestamp: seconds(ctx.now()),
            cpus_limit: entry.resources.cpus().map(|cpus| cpus.to_f64()),
            ..v1::ResourceStatistics::default()
        }));
    }
}

impl Handle<Status> for SimulatedContainerizer {
    fn handle(&mut self, status: Status, _: &Pid, _: &mut Context<Self>) {
        let known = self.containers.contains_key(&status.container_id);
        status.reply.set(known.then(|| v1::ContainerStatus {
            container_id: Some(status.container_id.to_proto()),
            ..v1::ContainerStatus::default()
        }));
    }
}

impl Handle<Containers> for SimulatedContainerizer {
    fn handle(&mut self, _: Containers, _: &Pid, _: &mut Context<Self>) -> Vec<ContainerId> {
        self.containers.keys().cloned().collect()
    }
}

impl Handle<super::Recover> for SimulatedContainerizer {
    /// Nothing has survived: `Wait` answers `None` for whatever the agent believes in.
    fn handle(&mut self, recover: super::Recover, _: &Pid, _: &mut Context<Self>) {
        recover.reply.set(Ok::<(), RecoverError>(()));
    }
}
