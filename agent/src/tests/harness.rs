//! The stage for the tests beside this file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use libprocess::disk::{Disk, HostDisk};
use libprocess::system::LogControl;
use libprocess::testing::settle;
use libprocess::{Context, Handle, Install, Node, Pid, Process, Recipient, WireMessage};
use mesos::internal::{self, SlaveRegisteredMessage};
use mesos::v1::executor::{Call, Event, call, event};
use mesos::{ContainerId, FrameworkId, Resources, TaskId, v1};
use parking_lot::Mutex;

pub(super) use super::containers::ContainerBook;
use super::containers::FakeContainerizer;
use crate::containerizer::{Containerizer, Termination};
use crate::executors::api::ExecutorCall;
use crate::executors::connection::LocalEvent;
use crate::settings::testing::settings;
use crate::startup::{Running, start_with};

/// The agent's id.
pub(super) const AGENT: &str = "M-S0";
/// The framework of most tests.
pub(super) const FRAMEWORK: &str = "M-0000";

/// What a master hears.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Register(internal::RegisterSlaveMessage),
    Reregister(internal::ReregisterSlaveMessage),
    Resources(internal::UpdateSlaveMessage),
    Update(internal::StatusUpdate),
    Operation(internal::UpdateOperationStatusMessage),
    Exited(internal::ExitedExecutorMessage),
    Unregister(internal::UnregisterSlaveMessage),
    ToFramework(internal::ExecutorToFrameworkMessage),
    Pong,
}

/// A master that listens, and admits agents if it is told to.
struct FakeMaster {
    heard: Arc<Mutex<Vec<(Duration, Heard)>>>,
    admits: Arc<Mutex<bool>>,
}

impl FakeMaster {
    fn hear(&self, heard: Heard, ctx: &Context<Self>) {
        self.heard.lock().push((ctx.node().elapsed(), heard));
    }
}

impl Process for FakeMaster {
    const NAME: &'static str = "master";

    fn install(install: &mut Install<Self>) {
        install.message::<internal::RegisterSlaveMessage>();
        install.message::<internal::ReregisterSlaveMessage>();
        install.message::<internal::UpdateSlaveMessage>();
        install.message::<internal::StatusUpdateMessage>();
        install.message::<internal::UpdateOperationStatusMessage>();
        install.message::<internal::ExitedExecutorMessage>();
        install.message::<internal::UnregisterSlaveMessage>();
        install.message::<internal::ExecutorToFrameworkMessage>();
        install.message::<internal::PongSlaveMessage>();
    }
}

impl Handle<internal::RegisterSlaveMessage> for FakeMaster {
    fn handle(&mut self, message: internal::RegisterSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        self.hear(Heard::Register(message), ctx);
        if *self.admits.lock() {
            ctx.post(from, registered());
        }
    }
}

impl Handle<internal::ReregisterSlaveMessage> for FakeMaster {
    fn handle(&mut self, message: internal::ReregisterSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        self.hear(Heard::Reregister(message), ctx);
        if *self.admits.lock() {
            let answer = internal::SlaveReregisteredMessage {
                slave_id: v1::AgentId { value: AGENT.into() },
                ..Default::default()
            };
            ctx.post(from, answer);
        }
    }
}

macro_rules! hears {
    ($($message:ty => $heard:expr;)*) => {$(
        impl Handle<$message> for FakeMaster {
            fn handle(&mut self, message: $message, _: &Pid, ctx: &mut Context<Self>) {
                #[allow(clippy::redundant_closure_call, reason = "one shape for all")]
                self.hear(($heard)(message), ctx);
            }
        }
    )*};
}

hears! {
    internal::UpdateSlaveMessage => Heard::Resources;
    internal::UpdateOperationStatusMessage => Heard::Operation;
    internal::StatusUpdateMessage => |message: internal::StatusUpdateMessage| Heard::Update(message.update);
    internal::ExitedExecutorMessage => Heard::Exited;
    internal::UnregisterSlaveMessage => Heard::Unregister;
    internal::ExecutorToFrameworkMessage => Heard::ToFramework;
    internal::PongSlaveMessage => |_| Heard::Pong;
}

/// The answer to a registration.
pub(super) fn registered() -> SlaveRegisteredMessage {
    SlaveRegisteredMessage {
        slave_id: v1::AgentId { value: AGENT.into() },
        connection: Some(internal::MasterSlaveConnection { total_ping_timeout_seconds: Some(75.0) }),
    }
}

/// An agent and its world.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) running: Running,
    pub(super) containers: Arc<Mutex<ContainerBook>>,
    heard: Arc<Mutex<Vec<(Duration, Heard)>>>,
    pub(super) admits: Arc<Mutex<bool>>,
    pub(super) master: Pid,
}

impl World {
    /// An agent that has just been started, with a master that admits it.
    pub(super) async fn new(work_dir: &Path) -> World {
        World::with(work_dir, &[]).await
    }

    /// The same, with further settings.
    pub(super) async fn with(work_dir: &Path, arguments: &[&str]) -> World {
        World::on(Arc::new(HostDisk), work_dir, arguments).await
    }

    /// The same, on this disk.
    pub(super) async fn on(disk: Arc<dyn Disk>, work_dir: &Path, arguments: &[&str]) -> World {
        World::with_containers(disk, work_dir, arguments, ContainerBook::default()).await
    }

    /// The same, with a containerizer that begins with this book.
    pub(super) async fn with_containers(
        disk: Arc<dyn Disk>,
        work_dir: &Path,
        arguments: &[&str],
        book: ContainerBook,
    ) -> World {
        World::then(disk, work_dir, arguments, book, |_: &Running| ()).await
    }

    /// An agent that is told to leave as soon as it is started: it has read nothing by then.
    pub(super) async fn leaving(work_dir: &Path, arguments: &[&str]) -> World {
        let book = ContainerBook::default();
        World::then(Arc::new(HostDisk), work_dir, arguments, book, |running: &Running| running.leave()).await
    }

    /// An agent with containers in the test's hands, with which something is done at once.
    async fn then(
        disk: Arc<dyn Disk>,
        work_dir: &Path,
        arguments: &[&str],
        book: ContainerBook,
        then: impl FnOnce(&Running) + 'static,
    ) -> World {
        let book = Arc::new(Mutex::new(book));
        let containers = book.clone();
        let mut world = World::running(disk, work_dir, arguments, |node| {
            let containerizer = node.spawn_numbered(FakeContainerizer(book));
            (Containerizer::from(&containerizer), Box::new(then))
        })
        .await;
        world.containers = containers;
        world
    }

    /// The same, with other containers. Who makes them says what is done with the agent at once.
    pub(super) async fn running(
        disk: Arc<dyn Disk>,
        work_dir: &Path,
        arguments: &[&str],
        containers: impl FnOnce(&Node) -> (Containerizer, Box<dyn FnOnce(&Running)>),
    ) -> World {
        let node = Node::builder()
            .bind("127.0.0.1:5051".parse().unwrap())
            .delegate("slave(1)")
            .offline()
            .disk(disk)
            .log_control(LogControl::new(|_| Ok(())))
            .start()
            .await
            .unwrap();
        let (heard, admits) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Mutex::new(true)));
        let master = node.spawn_as("master", FakeMaster { heard: heard.clone(), admits: admits.clone() });
        let (containerizer, then) = containers(&node);
        let work_dir = format!("--work_dir={}", work_dir.display());
        let mut all = vec!["--master=127.0.0.1:5051", "--hostname=localhost", work_dir.as_str()];
        if !arguments.contains(&"--switch_user") {
            all.push("--no-switch_user");
        }
        if !arguments.iter().any(|argument| argument.starts_with("--resources")) {
            all.push("--resources=cpus:4;mem:4096;disk:1000;ports:[31000-31100]");
        }
        all.extend(arguments);
        let running = start_with(&node, settings(&all), containerizer).await.unwrap();
        then(&running);
        settle().await;
        let master = master.pid().clone();
        World { node, running, containers: Arc::default(), heard, admits, master }
    }

    /// An agent that has registered.
    pub(super) async fn registered(work_dir: &Path) -> World {
        World::new(work_dir).await.once_registered().await
    }

    /// The same agent, when it has registered.
    pub(super) async fn once_registered(self) -> World {
        self.pass(Duration::from_secs(1)).await;
        let register = |heard: &Heard| matches!(heard, Heard::Register(_) | Heard::Reregister(_));
        assert!(self.hears().iter().any(register));
        self
    }

    /// Lets time pass, and everything happen that is due.
    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::advance(Duration::ZERO).await;
        settle().await;
        tokio::time::sleep(time).await;
        settle().await;
    }

    /// Sends something as the master.
    pub(super) async fn master_says<M: WireMessage>(&self, message: M) {
        self.master_goes_on(message);
        settle().await;
    }

    /// The same, and nothing comes of it before something else is sent.
    pub(super) fn master_goes_on<M: WireMessage>(&self, message: M) {
        self.node.post(&self.master, self.running.agent.pid(), message);
    }

    /// Sends something as somebody else.
    pub(super) async fn stranger_says<M: WireMessage>(&self, message: M) {
        let stranger = Pid::new("master", "10.9.9.9:5050".parse().unwrap());
        self.node.post(&stranger, self.running.agent.pid(), message);
        settle().await;
    }

    /// All that the master has heard.
    pub(super) fn hears(&self) -> Vec<Heard> {
        self.heard.lock().iter().map(|(_, heard)| heard.clone()).collect()
    }

    /// When the master heard it.
    pub(super) fn hears_at(&self) -> Vec<(Duration, Heard)> {
        self.heard.lock().clone()
    }

    /// Forgets what the master has heard.
    pub(super) fn forget(&self) {
        self.heard.lock().clear();
    }

    /// The updates that the master has heard of a task.
    pub(super) fn updates(&self, task: &str) -> Vec<internal::StatusUpdate> {
        self.hears()
            .into_iter()
            .filter_map(|heard| match heard {
                Heard::Update(update) if update.status.task_id.value == task => Some(update),
                _ => None,
            })
            .collect()
    }

    /// The states of those updates.
    pub(super) fn states(&self, task: &str) -> Vec<v1::TaskState> {
        self.updates(task).iter().map(|update| update.status.state()).collect()
    }

    /// The framework acknowledges the last update of a task.
    pub(super) async fn acknowledge(&self, task: &str) {
        self.master_says(self.acknowledgement(task)).await;
    }

    /// What a framework says that acknowledges the last update of a task.
    pub(super) fn acknowledgement(&self, task: &str) -> internal::StatusUpdateAcknowledgementMessage {
        let update = self.updates(task).pop().unwrap();
        internal::StatusUpdateAcknowledgementMessage {
            slave_id: v1::AgentId { value: AGENT.into() },
            framework_id: update.framework_id,
            task_id: update.status.task_id,
            uuid: update.uuid.unwrap(),
        }
    }

    /// The container of an executor.
    pub(super) fn container(&self, executor: &str) -> ContainerId {
        let book = self.containers.lock();
        let found =
            book.launched.iter().rev().find(|(_, config)| config.executor.executor_id.value == executor);
        found.unwrap().0.clone()
    }

    /// A container ends by itself.
    pub(super) async fn end(&self, container: &ContainerId, termination: Termination) {
        self.containers.lock().end(container, termination);
        settle().await;
    }

    /// Runs a task.
    pub(super) async fn run(&self, framework: &v1::FrameworkInfo, task: v1::TaskInfo) {
        self.run_expecting(framework, task, None).await;
    }

    /// Runs a task, and says whether its executor is to be launched.
    pub(super) async fn run_expecting(
        &self,
        framework: &v1::FrameworkInfo,
        task: v1::TaskInfo,
        launch_executor: Option<bool>,
    ) {
        self.master_says(run_task(framework, task, launch_executor)).await;
    }

    /// An executor subscribes.
    pub(super) async fn subscribe(&self, executor: &str) -> TestExecutor {
        self.subscribe_with(executor, call::Subscribe::default()).await
    }

    /// An executor subscribes, with tasks and updates of its own.
    pub(super) async fn subscribe_with(&self, executor: &str, subscribe: call::Subscribe) -> TestExecutor {
        let executor = TestExecutor {
            agent: self.running.agent.recipient(),
            id: executor.into(),
            events: Arc::default(),
        };
        executor
            .call(Call {
                r#type: Some(call::Type::Subscribe.into()),
                subscribe: Some(subscribe),
                ..Call::default()
            })
            .await;
        executor
    }

    /// Stops the agent as a crash would, and forgets the node.
    pub(super) async fn crash(self) {
        self.running.agent.kill();
        let _ = self.running.agent.wait().await;
        self.node.shutdown().await;
    }

    /// A metric.
    pub(super) fn metric(&self, name: &str) -> f64 {
        self.node.metrics().value(name).unwrap()
    }
}

/// An executor in the test's hands.
pub(super) struct TestExecutor {
    agent: Recipient<ExecutorCall>,
    id: String,
    events: Arc<Mutex<Vec<Option<Event>>>>,
}

impl TestExecutor {
    async fn call(&self, call: Call) {
        self.tell(call);
        settle().await;
    }

    fn tell(&self, call: Call) {
        let events = self.events.clone();
        let events = Recipient::from_fn(Pid::nobody(), move |LocalEvent(event), _: &Pid| {
            events.lock().push(event);
        });
        let call = Call {
            executor_id: v1::ExecutorId { value: self.id.clone() },
            framework_id: v1::FrameworkId { value: FRAMEWORK.into() },
            ..call
        };
        self.agent.tell(ExecutorCall { call, events });
    }

    /// Reports a task's state.
    pub(super) async fn update(&self, task: &str, state: v1::TaskState) {
        self.send(self.status(task, state, uuid(task, state))).await;
    }

    /// The status that `update` sends.
    pub(super) fn status(&self, task: &str, state: v1::TaskState, uuid: uuid::Uuid) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: TaskId::from(task).to_proto(),
            state: state.into(),
            executor_id: Some(v1::ExecutorId { value: self.id.clone() }),
            source: Some(v1::task_status::Source::Executor.into()),
            uuid: Some(uuid.as_bytes().to_vec()),
            ..Default::default()
        }
    }

    /// Sends a status.
    pub(super) async fn send(&self, status: v1::TaskStatus) {
        self.send_at_once([status]).await;
    }

    /// Sends several, before anything comes of the first.
    pub(super) async fn send_at_once(&self, statuses: impl IntoIterator<Item = v1::TaskStatus>) {
        for status in statuses {
            self.tell(Call {
                r#type: Some(call::Type::Update.into()),
                update: Some(call::Update { status }),
                ..Call::default()
            });
        }
        settle().await;
    }

    /// Sends a message to its framework.
    pub(super) async fn message(&self, data: &[u8]) {
        self.call(Call {
            r#type: Some(call::Type::Message.into()),
            message: Some(call::Message { data: data.to_vec() }),
            ..Call::default()
        })
        .await;
    }

    /// The kinds of all events so far.
    pub(super) fn kinds(&self) -> Vec<event::Type> {
        self.events.lock().iter().flatten().map(Event::r#type).collect()
    }

    /// All events so far.
    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().iter().flatten().cloned().collect()
    }

    /// The tasks it was given.
    pub(super) fn launched(&self) -> Vec<String> {
        let launched = self.events().into_iter().filter_map(|event| event.launch);
        launched.map(|launch| launch.task.task_id.value).collect()
    }

    /// The uuids that were acknowledged to it.
    pub(super) fn acknowledged(&self) -> Vec<uuid::Uuid> {
        let acknowledged = self.events().into_iter().filter_map(|event| event.acknowledged);
        acknowledged.map(|event| uuid::Uuid::from_slice(&event.uuid).unwrap()).collect()
    }

    /// Whether the agent has closed its stream.
    pub(super) fn is_closed(&self) -> bool {
        self.events.lock().last().is_some_and(Option::is_none)
    }
}

/// The message that runs a task.
pub(super) fn run_task(
    framework: &v1::FrameworkInfo,
    task: v1::TaskInfo,
    launch_executor: Option<bool>,
) -> internal::RunTaskMessage {
    internal::RunTaskMessage { framework: framework.clone(), task, launch_executor, ..Default::default() }
}

/// A uuid for each task and state.
pub(super) fn uuid(task: &str, state: v1::TaskState) -> uuid::Uuid {
    // Of version 4, which stands in two of the bytes.
    let mut bytes = [0x40; 16];
    let places = (0..15).filter(|place| ![6, 8].contains(place));
    for (place, byte) in places.zip(task.bytes()) {
        bytes[place] = byte;
    }
    bytes[15] = state as u8 + 1;
    uuid::Uuid::from_bytes(bytes)
}

/// A framework: partition-aware, and it checkpoints if that is wanted.
pub(super) fn framework(checkpoint: bool) -> v1::FrameworkInfo {
    use v1::framework_info::capability::Type::{MultiRole, PartitionAware};
    v1::FrameworkInfo {
        name: "test".into(),
        user: "root".into(),
        id: Some(FrameworkId::from(FRAMEWORK).to_proto()),
        roles: vec!["*".into()],
        checkpoint: Some(checkpoint),
        capabilities: [MultiRole, PartitionAware]
            .into_iter()
            .map(|kind| v1::framework_info::Capability { r#type: Some(kind.into()) })
            .collect(),
        ..Default::default()
    }
}

/// A task with an executor of its own.
pub(super) fn task(id: &str, executor: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        executor: Some(v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: executor.into() },
            framework_id: Some(FrameworkId::from(FRAMEWORK).to_proto()),
            command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
            resources: resources("cpus:0.5;mem:32"),
            ..Default::default()
        }),
        ..bare_task(id)
    }
}

/// A task that is only a command.
pub(super) fn command_task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        ..bare_task(id)
    }
}

fn bare_task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.into(),
        task_id: TaskId::from(id).to_proto(),
        agent_id: v1::AgentId { value: AGENT.into() },
        resources: resources("cpus:1;mem:64"),
        ..Default::default()
    }
}

fn resources(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*").unwrap().allocated_to("*").to_protos()
}
