//! The executor library and the command executor against an agent made for the test, over a real
//! socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use frameworks::{
    command_executor::{self, CommandExecutorError},
    executor::{self, Driver, Error, Executor, ExecutorEnvironment, Recovery, status},
    sum,
};
use futures::FutureExt;
use libprocess::{
    Install, Node, Process,
    http::{Reply, Request, Response, StreamSender, stream},
    simulation::{self, Network, Weather},
};
use mesos::{
    MediaType, codec,
    v1::{
        self, TaskState,
        executor::{Call, Event, call::Type, event},
    },
};
use parking_lot::Mutex;
use support::{hang_up, lead_astray};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

const MEDIA: MediaType = MediaType::Protobuf;

/// An agent with one executor.
struct FakeAgent {
    calls: mpsc::UnboundedSender<Call>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stream: Mutex<Option<StreamSender>>,
    /// The answer to the next subscription, instead.
    refuse: Mutex<Option<Response>>,
    /// Nobody may subscribe yet.
    recovers: Mutex<bool>,
    /// The answer to the next call of another kind.
    refuse_call: Mutex<Option<Response>>,
    /// What the framework can.
    capabilities: Mutex<Vec<v1::framework_info::Capability>>,
}

impl Process for FakeAgent {
    const NAME: &'static str = "slave";

    fn install(install: &mut Install<Self>) {
        install
            .post("/api/v1/executor", "The executor API.", |agent, request, _| agent.call(&request).into());
    }
}

impl FakeAgent {
    fn call(&mut self, request: &Request) -> Response {
        let call: Call = codec::decode(MEDIA, &request.body).unwrap();
        if call.r#type() != Type::Subscribe {
            self.calls.send(call).unwrap();
            return self.shared.refuse_call.lock().take().unwrap_or_else(Response::accepted);
        }
        if let Some(refusal) = self.shared.refuse.lock().take() {
            self.calls.send(call).unwrap();
            return refusal;
        }
        if *self.shared.recovers.lock() {
            self.calls.send(call).unwrap();
            return Response::service_unavailable("Agent has not finished recovery");
        }
        let (sender, body) = stream();
        let capabilities = self.shared.capabilities.lock().clone();
        let framework_info = v1::FrameworkInfo { capabilities, ..Default::default() };
        let subscribed = event::Subscribed { framework_info, ..Default::default() };
        let subscribed = Event { subscribed: Some(subscribed), ..of(event::Type::Subscribed) };
        sender.send(codec::encode_record(MEDIA, &subscribed)).unwrap();
        *self.shared.stream.lock() = Some(sender);
        self.calls.send(call).unwrap();
        Response { body, ..Response::ok(MEDIA.as_str(), Vec::new()) }
    }
}

fn of(r#type: event::Type) -> Event {
    Event { r#type: Some(r#type.into()), ..Default::default() }
}

/// Finishes every task when it is told so by a message.
#[derive(Default)]
struct Obedient(Option<v1::TaskId>);

impl Executor for Obedient {
    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo) {
        driver.update(status(&task.task_id, TaskState::TaskRunning));
        self.0 = Some(task.task_id);
    }
    fn kill(&mut self, driver: &mut Driver<Self>, task: v1::TaskId, _: Option<v1::KillPolicy>) {
        driver.update(status(&task, TaskState::TaskKilled));
    }
    fn message(&mut self, driver: &mut Driver<Self>, data: Vec<u8>) {
        driver.message(data);
        if let Some(task) = &self.0 {
            driver.update(status(task, TaskState::TaskFinished));
        }
    }
}

/// Says more with each task than a connection takes at once.
struct Talkative;

impl Executor for Talkative {
    fn launch(&mut self, driver: &mut Driver<Self>, _: v1::TaskInfo) {
        for byte in 0..9 {
            driver.message(vec![byte; 8 << 20]);
        }
    }
    fn kill(&mut self, _: &mut Driver<Self>, _: v1::TaskId, _: Option<v1::KillPolicy>) {}
}

/// Does not stop when it is told to.
struct Stubborn;

impl Executor for Stubborn {
    fn launch(&mut self, _: &mut Driver<Self>, _: v1::TaskInfo) {}
    fn kill(&mut self, _: &mut Driver<Self>, _: v1::TaskId, _: Option<v1::KillPolicy>) {}
    fn shutdown(&mut self, _: &mut Driver<Self>) {}
}

/// Needs its time to end, until a message comes.
#[derive(Default)]
struct Lingering(Option<v1::TaskId>);

impl Executor for Lingering {
    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo) {
        driver.update(status(&task.task_id, TaskState::TaskRunning));
        self.0 = Some(task.task_id);
    }
    fn kill(&mut self, _: &mut Driver<Self>, _: v1::TaskId, _: Option<v1::KillPolicy>) {}
    fn shutdown(&mut self, _: &mut Driver<Self>) {}
    fn message(&mut self, driver: &mut Driver<Self>, _: Vec<u8>) {
        if let Some(task) = &self.0 {
            driver.update(status(task, TaskState::TaskKilled));
        }
    }
    fn acknowledged(&mut self, driver: &mut Driver<Self>, status: &v1::TaskStatus) {
        if status.state() == TaskState::TaskKilled {
            driver.stop();
        }
    }
}

struct World {
    agent: Node,
    node: Node,
    shared: Arc<Shared>,
    calls: mpsc::UnboundedReceiver<Call>,
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it happens within twenty seconds")
}

impl World {
    async fn new() -> World {
        let bind = "127.0.0.1:0".parse().unwrap();
        let agent = Node::builder().bind(bind).delegate("slave(1)").start().await.unwrap();
        let node = Node::builder().bind(bind).start().await.unwrap();
        let (calls_in, calls) = mpsc::unbounded_channel();
        let shared = Arc::<Shared>::default();
        agent.spawn_numbered(FakeAgent { calls: calls_in, shared: shared.clone() });
        World { agent, node, shared, calls }
    }

    /// In virtual time, with what becomes of the agent.
    async fn simulated<P: Process>(becomes: impl FnOnce(FakeAgent) -> P) -> (Network, World) {
        let network = Network::new(1, Weather::default(), false);
        network.drive(|| async {}.boxed_local());
        let at = |host: u8| SocketAddr::from(([10, 0, 0, host], 5051));
        let agent = network.node(at(1), "agent").delegate("slave(1)").start().await.unwrap();
        let node = network.node(at(2), "executor").start().await.unwrap();
        let (calls_in, calls) = mpsc::unbounded_channel();
        let shared = Arc::<Shared>::default();
        agent.spawn_numbered(becomes(FakeAgent { calls: calls_in, shared: shared.clone() }));
        (network, World { agent, node, shared, calls })
    }

    fn environment(&self) -> ExecutorEnvironment {
        ExecutorEnvironment {
            agent_endpoint: self.agent.address().to_string(),
            agent_actor: None,
            domain_socket: None,
            framework_id: "framework".into(),
            executor_id: "executor".into(),
            agent_id: None,
            sandbox: None,
            shutdown_grace_period: Duration::from_millis(300),
            authentication_token: None,
            recovery: Recovery::None,
        }
    }

    fn checkpointing(&self) -> ExecutorEnvironment {
        let (timeout, backoff_max) = (Duration::from_secs(60), Duration::from_millis(20));
        ExecutorEnvironment {
            recovery: Recovery::Checkpointed { timeout, backoff_max },
            ..self.environment()
        }
    }

    fn run<E: Executor>(
        &self,
        environment: ExecutorEnvironment,
        executor: E,
    ) -> JoinHandle<Result<(), Error>> {
        let node = self.node.clone();
        tokio::task::spawn_local(async move { executor::run(&node, environment, executor).await.map(drop) })
    }

    /// On a node without a socket: it needs one thread and no port.
    fn run_command(&self, environment: ExecutorEnvironment) -> JoinHandle<Result<(), CommandExecutorError>> {
        tokio::task::spawn_local(async move {
            let node = Node::builder().offline().start().await.unwrap();
            let result = command_executor::run(&node, environment).await;
            node.shutdown().await;
            result
        })
    }

    async fn call(&mut self) -> Call {
        soon(self.calls.recv()).await.unwrap()
    }

    async fn subscribe(&mut self) -> v1::executor::call::Subscribe {
        let call = self.call().await;
        assert_eq!(
            (call.executor_id.value.as_str(), call.framework_id.value.as_str()),
            ("executor", "framework")
        );
        call.subscribe.unwrap()
    }

    async fn update(&mut self) -> v1::TaskStatus {
        self.call().await.update.unwrap().status
    }

    fn send(&self, event: &Event) {
        let record = codec::encode_record(MEDIA, event);
        self.shared.stream.lock().as_ref().unwrap().send(record).unwrap();
    }

    fn launch(&self, task: v1::TaskInfo) {
        self.send(&Event { launch: Some(event::Launch { task }), ..of(event::Type::Launch) });
    }

    fn message(&self, data: &[u8]) {
        let message = Some(event::Message { data: data.to_vec() });
        self.send(&Event { message, ..of(event::Type::Message) });
    }

    fn acknowledge(&self, status: &v1::TaskStatus) {
        let (task_id, uuid) = (status.task_id.clone(), status.uuid.clone().unwrap());
        let acknowledged = Some(event::Acknowledged { task_id, uuid });
        self.send(&Event { acknowledged, ..of(event::Type::Acknowledged) });
    }

    /// Receives an update, acknowledges it, and tells its state and message.
    async fn state(&mut self) -> (TaskState, Option<String>) {
        let status = self.update().await;
        self.acknowledge(&status);
        (status.state(), status.message)
    }

    async fn end(self) {
        self.node.shutdown().await;
        self.agent.shutdown().await;
    }
}

fn task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo { name: id.into(), task_id: v1::TaskId { value: id.into() }, ..Default::default() }
}

fn shell(command: &str) -> v1::TaskInfo {
    let command = v1::CommandInfo { value: Some(command.into()), ..Default::default() };
    v1::TaskInfo { command: Some(command), ..task("command") }
}

fn told_of_kills() -> v1::framework_info::Capability {
    v1::framework_info::Capability {
        r#type: Some(v1::framework_info::capability::Type::TaskKillingState.into()),
    }
}

fn kill(grace: Option<Duration>) -> Event {
    let grace_period =
        grace.map(|grace| v1::DurationInfo { nanoseconds: grace.as_nanos().try_into().unwrap() });
    let kill_policy = grace.map(|_| v1::KillPolicy { grace_period });
    let kill = event::Kill { task_id: v1::TaskId { value: "command".into() }, kill_policy };
    Event { kill: Some(kill), ..of(event::Type::Kill) }
}

#[test]
fn an_update_is_complete() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.environment(), Obedient::default());
        assert!(world.subscribe().await.unacknowledged_updates.is_empty());
        world.launch(task("t"));
        let status = world.update().await;
        assert_eq!(status.state(), TaskState::TaskRunning);
        assert_eq!(status.uuid.unwrap().len(), 16);
        assert_eq!(status.source, Some(v1::task_status::Source::Executor.into()));
        assert_eq!(status.executor_id.unwrap().value, "executor");
        assert!(status.timestamp.unwrap() > 1e9);
        world.end().await;
    });
}

#[test]
fn messages_and_updates_keep_their_order() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        world.update().await;
        world.message(b"now");
        assert_eq!(world.call().await.message.unwrap().data, b"now");
        assert_eq!(world.update().await.state(), TaskState::TaskFinished);
        world.end().await;
    });
}

#[test]
fn calls_wait_for_the_answers_to_those_before_them() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.environment(), Talkative);
        world.subscribe().await;
        world.launch(task("t"));
        for byte in 0..9 {
            let data = world.call().await.message.unwrap().data;
            assert_eq!((data.len(), data[0]), (8 << 20, byte));
        }
        world.end().await;
    });
}

#[test]
fn a_restarted_agent_gets_what_was_not_acknowledged() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.checkpointing(), Obedient::default());
        world.subscribe().await;
        world.launch(task("a"));
        let first = world.update().await;
        world.acknowledge(&first);
        world.launch(task("b"));
        let second = world.update().await;

        world.shared.stream.lock().take().unwrap().close();
        let subscribe = world.subscribe().await;
        assert_eq!(subscribe.unacknowledged_tasks.iter().map(|task| &task.name).collect::<Vec<_>>(), ["b"]);
        let updates: Vec<_> =
            subscribe.unacknowledged_updates.into_iter().map(|update| update.status).collect();
        assert_eq!(updates, [second]);
        world.end().await;
    });
}

#[test]
fn an_agent_that_is_not_ready_is_asked_again() {
    libprocess::run(async {
        let mut world = World::new().await;
        *world.shared.refuse.lock() = Some(Response::service_unavailable("Agent has not finished recovery"));
        let _executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        world.subscribe().await;
        world.end().await;
    });
}

#[test]
fn an_update_that_an_agent_is_not_ready_for_comes_with_a_new_subscription() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.checkpointing(), Obedient::default());
        world.subscribe().await;
        let recovering = Response::service_unavailable("Agent has not finished recovery");
        *world.shared.refuse_call.lock() = Some(recovering);
        world.launch(task("t"));
        let refused = world.update().await;
        let updates = world.subscribe().await.unacknowledged_updates;
        assert_eq!(updates, [v1::executor::call::Update { status: refused }]);
        world.end().await;
    });
}

/// As by an agent that has too many, which closes those that are idle: the task goes on, also without checkpoints.
#[test]
fn a_connection_that_was_closed_while_it_was_idle_loses_nothing() {
    libprocess::run(async {
        let mut world = World::new().await;
        let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent_endpoint = way.local_addr().unwrap().to_string();
        let (known_in, known) = oneshot::channel();
        tokio::task::spawn_local(hang_up(way, world.agent.address().to_string(), known_in));
        let environment = ExecutorEnvironment { agent_endpoint, ..world.environment() };
        let _executor = world.run(environment, Obedient::default());
        world.subscribe().await;
        soon(known).await.unwrap();
        world.launch(task("t"));
        assert_eq!(world.update().await.state(), TaskState::TaskRunning);
        world.end().await;
    });
}

/// An agent that has each call wait for a minute: its process was stopped, or its host is short of memory.
struct Slow(FakeAgent);

impl Process for Slow {
    const NAME: &'static str = "slave";

    fn install(install: &mut Install<Self>) {
        install.post("/api/v1/executor", "The executor API.", |agent, request, _| {
            let response = agent.0.call(&request);
            Reply::later(async move {
                sleep(Duration::from_secs(60)).await;
                response
            })
        });
    }
}

/// Upstream: `ExecutorHttpApiTest.HeartbeatCalls`.
#[test]
fn an_agent_hears_a_heartbeat_every_half_hour() {
    simulation::run(async {
        let (_network, mut world) = World::simulated(|agent| agent).await;
        let _executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        for _ in 0..2 {
            sleep(Duration::from_secs(29 * 60)).await;
            assert!(world.calls.try_recv().is_err());
            sleep(Duration::from_secs(60)).await;
            assert_eq!(world.call().await.r#type(), Type::Heartbeat);
        }
        world.end().await;
    });
}

#[test]
fn an_agent_that_stands_still_is_waited_for() {
    simulation::run(async {
        let (_network, mut world) = World::simulated(Slow).await;
        let _executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        sleep(Duration::from_secs(61)).await;
        assert_eq!(world.update().await.state(), TaskState::TaskRunning);
        // It has given nothing up meanwhile.
        sleep(Duration::from_secs(55)).await;
        world.message(b"now");
        assert_eq!(world.call().await.message.unwrap().data, b"now");
        world.end().await;
    });
}

#[test]
fn an_agent_that_ends_before_it_has_answered_is_asked_again() {
    libprocess::run(async {
        let mut world = World::new().await;
        let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent_endpoint = way.local_addr().unwrap().to_string();
        tokio::task::spawn_local(lead_astray(way, world.agent.address().to_string()));
        let environment = ExecutorEnvironment { agent_endpoint, ..world.checkpointing() };
        let _executor = world.run(environment, Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        assert_eq!(world.update().await.state(), TaskState::TaskRunning);
        world.end().await;
    });
}

#[test]
fn without_checkpoints_a_lost_agent_is_the_end() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        world.update().await;
        world.shared.stream.lock().take().unwrap().close();
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// Upstream: `SlaveRecoveryTest.DISABLED_RecoveryTimeout`.
#[test]
fn a_recovery_timeout_is_the_end() {
    libprocess::run(async {
        let mut world = World::new().await;
        let recovery = Recovery::Checkpointed {
            timeout: Duration::from_millis(200),
            backoff_max: Duration::from_millis(20),
        };
        let executor =
            world.run(ExecutorEnvironment { recovery, ..world.environment() }, Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        world.update().await;
        world.agent.shutdown().await;
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.node.shutdown().await;
    });
}

#[test]
fn a_shutdown_has_a_grace_period() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run(world.environment(), Stubborn);
        world.subscribe().await;
        world.send(&of(event::Type::Shutdown));
        assert_eq!(soon(executor).await.unwrap(), Err(Error::Grace));
        world.end().await;
    });
}

/// As when its agent is restarted within its grace period.
#[test]
fn an_executor_that_is_shutting_down_comes_back_and_says_how_its_tasks_end() {
    libprocess::run(async {
        let mut world = World::new().await;
        let shutdown_grace_period = Duration::from_secs(3600);
        let environment = ExecutorEnvironment { shutdown_grace_period, ..world.checkpointing() };
        let executor = world.run(environment, Lingering::default());
        world.subscribe().await;
        world.launch(task("t"));
        assert_eq!(world.state().await.0, TaskState::TaskRunning);
        world.send(&of(event::Type::Shutdown));
        world.shared.stream.lock().take().unwrap().close();
        world.subscribe().await;
        world.message(b"end");
        assert_eq!(world.state().await.0, TaskState::TaskKilled);
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

#[test]
fn a_refused_executor_ends_with_the_reason() {
    libprocess::run(async {
        let mut world = World::new().await;
        *world.shared.refuse.lock() = Some(Response::bad_request("Framework cannot be found"));
        let executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        let refused = Error::Refused("400: Framework cannot be found".into());
        assert_eq!(soon(executor).await.unwrap(), Err(refused));
        world.end().await;
    });
}

#[test]
fn the_executor_of_sum_answers_twice() {
    libprocess::run(async {
        let mut world = World::new().await;
        let (node, environment) = (world.node.clone(), world.environment());
        let executor = tokio::task::spawn_local(async move { sum::executor::run(&node, environment).await });
        world.subscribe().await;
        let terms = sum::Terms { from: 0, to: 101 };
        world.launch(v1::TaskInfo { data: serde_json::to_vec(&terms).ok(), ..task("t") });
        assert_eq!(world.update().await.state(), TaskState::TaskRunning);
        let message = world.call().await.message.unwrap().data;
        assert_eq!(message, br#"{"task":"t","sum":5050}"#);
        let finished = world.update().await;
        assert_eq!((finished.state(), finished.data), (TaskState::TaskFinished, Some(message)));
        world.send(&of(event::Type::Shutdown));
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// Upstream: `HTTPCommandExecutorTest.TerminateWithACK`.
#[test]
fn a_command_runs_and_its_status_is_told() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run_command(world.environment());
        world.subscribe().await;
        world.launch(shell("exit 0"));
        assert_eq!(world.state().await, (TaskState::TaskStarting, None));
        assert_eq!(world.state().await, (TaskState::TaskRunning, None));
        assert_eq!(
            world.state().await,
            (TaskState::TaskFinished, Some("Command exited with status 0".into()))
        );
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// Upstream: `launchTaskSubprocess` in `launcher/executor.cpp` gives it to the shell.
#[test]
fn a_shell_that_has_nothing_to_do_finishes() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        world.launch(shell(""));
        world.state().await;
        assert_eq!(world.state().await.0, TaskState::TaskRunning);
        assert_eq!(world.state().await.0, TaskState::TaskFinished);
        world.end().await;
    });
}

#[test]
fn a_command_that_has_ended_waits_for_an_agent_that_is_gone() {
    libprocess::run(async {
        let mut world = World::new().await;
        let (timeout, backoff_max) = (Duration::from_secs(15 * 60), Duration::from_millis(20));
        let recovery = Recovery::Checkpointed { timeout, backoff_max };
        let executor = world.run_command(ExecutorEnvironment { recovery, ..world.environment() });
        world.subscribe().await;
        world.launch(shell("exit 0"));
        world.state().await;
        world.state().await;
        let finished = world.update().await;
        assert_eq!(finished.state(), TaskState::TaskFinished);

        *world.shared.recovers.lock() = true;
        world.shared.stream.lock().take().unwrap().close();
        world.subscribe().await;
        // An agent that is there would have had to acknowledge the update within a minute.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::time::resume();
        world.subscribe().await;
        *world.shared.recovers.lock() = false;
        while world.shared.stream.lock().is_none() {
            let updates = world.subscribe().await.unacknowledged_updates;
            assert_eq!(updates, [v1::executor::call::Update { status: finished.clone() }]);
        }
        world.acknowledge(&finished);
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// Upstream: `SlaveTest.CommandTaskWithArguments`.
#[test]
fn a_program_gets_its_own_arguments_and_no_others() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        let mut task = shell("/bin/sh");
        let command = task.command.as_mut().unwrap();
        command.shell = Some(false);
        let test = r#"test "$#" = 1 && test "$1" = --author"#;
        command.arguments = ["sh", "-c", test, "sh", "--author"].map(str::to_owned).into();
        world.launch(task);
        world.state().await;
        world.state().await;
        assert_eq!(world.state().await.0, TaskState::TaskFinished);
        world.end().await;
    });
}

/// As when its framework is gone: its agent takes no updates any more.
#[test]
fn a_command_that_was_told_to_end_does_not_wait_long_for_an_acknowledgement() {
    libprocess::run(async {
        let mut world = World::new().await;
        let shutdown_grace_period = Duration::from_secs(3600);
        let environment = ExecutorEnvironment { shutdown_grace_period, ..world.environment() };
        let executor = world.run_command(environment);
        world.subscribe().await;
        world.launch(shell("sleep 1000"));
        world.state().await;
        world.state().await;
        world.send(&of(event::Type::Shutdown));
        assert_eq!(world.update().await.state(), TaskState::TaskKilled);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3)).await;
        tokio::time::resume();
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// The pid that a command writes to a file.
async fn pid_in(file: &std::path::Path) -> String {
    soon(async {
        loop {
            match std::fs::read_to_string(file) {
                Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await
}

/// Whether a process runs. Whoever is its parent may not have waited for it yet.
fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

#[test]
fn a_command_does_not_outlive_an_executor_that_has_no_time_to_end() {
    libprocess::run(async {
        let mut world = World::new().await;
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let shutdown_grace_period = Duration::ZERO;
        let environment = ExecutorEnvironment { shutdown_grace_period, ..world.environment() };
        let executor = world.run_command(environment);
        world.subscribe().await;
        let command = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", pid_file.display());
        world.launch(shell(&command));
        let pid = pid_in(&pid_file).await;
        world.send(&of(event::Type::Shutdown));
        let ended = soon(executor).await.unwrap();
        assert_eq!(ended, Err(CommandExecutorError::Executor(Error::Grace)));
        soon(async {
            while runs(&pid) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        world.end().await;
    });
}

/// As when its run is not among what the agent has kept.
#[test]
fn a_command_does_not_outlive_an_executor_that_its_agent_does_not_know_any_more() {
    libprocess::run(async {
        let mut world = World::new().await;
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let executor = world.run_command(world.checkpointing());
        world.subscribe().await;
        world.launch(shell(&format!("echo $$ > {}; exec sleep 1000", pid_file.display())));
        let pid = pid_in(&pid_file).await;
        for state in [TaskState::TaskStarting, TaskState::TaskRunning] {
            assert_eq!(world.state().await.0, state);
        }

        *world.shared.refuse.lock() = Some(Response::bad_request("Executor cannot be found"));
        world.shared.stream.lock().take().unwrap().close();
        world.subscribe().await;
        let refused = Error::Refused("400: Executor cannot be found".into());
        assert_eq!(soon(executor).await.unwrap(), Err(CommandExecutorError::Executor(refused)));
        assert!(!runs(&pid));
        world.end().await;
    });
}

#[test]
fn a_command_that_fails_says_how() {
    libprocess::run(async {
        for (command, message) in [
            ("exit 7", "Command exited with status 7"),
            ("kill -TERM $$", "Command terminated with signal Terminated"),
        ] {
            let mut world = World::new().await;
            let executor = world.run_command(world.environment());
            world.subscribe().await;
            world.launch(shell(command));
            world.state().await;
            world.state().await;
            assert_eq!(world.state().await, (TaskState::TaskFailed, Some(message.into())));
            assert_eq!(soon(executor).await.unwrap(), Ok(()));
            world.end().await;
        }
    });
}

#[test]
fn a_program_that_is_not_there_fails_with_its_name() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        let mut task = shell("/nowhere/program");
        task.command.as_mut().unwrap().shell = Some(false);
        world.launch(task);
        assert_eq!(world.state().await.0, TaskState::TaskStarting);
        assert_eq!(
            world.state().await,
            (TaskState::TaskRunning, None),
            "there was a process, as upstream sees it"
        );
        let (state, message) = world.state().await;
        assert_eq!(state, TaskState::TaskFailed);
        assert!(message.unwrap().contains("'/nowhere/program'"));
        world.end().await;
    });
}

/// Upstream: `SlaveTest.CommandTaskWithKillPolicy`, `CommandExecutorTest.NoTaskKillingCapability`.
#[test]
fn a_kill_ends_the_command_and_its_children() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run_command(world.environment());
        world.subscribe().await;
        let mut task = shell("sleep 60 & sleep 60 & wait");
        // It does not need the time that it may take.
        let grace_period = Some(v1::DurationInfo { nanoseconds: 100_000_000_000 });
        task.kill_policy = Some(v1::KillPolicy { grace_period });
        world.launch(task);
        world.state().await;
        world.state().await;
        world.send(&kill(None));
        let (state, message) = world.state().await;
        assert_eq!(state, TaskState::TaskKilled);
        assert_eq!(message.unwrap(), "Command terminated with signal Terminated");
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_after_its_grace_and_a_second_kill_can_shorten_it() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        // The message says that the trap is set.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trap-is-set");
        world.launch(shell(&format!("trap '' TERM; touch {}; while :; do sleep 0.1; done", file.display())));
        world.state().await;
        world.state().await;
        soon(async {
            while !file.exists() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        world.send(&kill(Some(Duration::from_secs(3600))));
        world.send(&kill(Some(Duration::from_millis(100))));
        let (state, message) = world.state().await;
        assert_eq!(state, TaskState::TaskKilled);
        assert_eq!(message.unwrap(), "Command terminated with signal Killed");
        world.end().await;
    });
}

/// Upstream: `CommandExecutorTest.TaskKillingCapability`.
#[test]
fn a_framework_that_wants_to_know_is_told_that_its_task_is_being_killed() {
    libprocess::run(async {
        let mut world = World::new().await;
        *world.shared.capabilities.lock() = vec![told_of_kills()];
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        world.launch(shell("sleep 60"));
        world.state().await;
        world.state().await;
        world.send(&kill(None));
        assert_eq!(world.state().await, (TaskState::TaskKilling, None));
        assert_eq!(world.state().await.0, TaskState::TaskKilled);
        world.end().await;
    });
}

/// Nobody has killed it. Upstream: `CommandExecutorTest.MaxCompletionTime`.
#[test]
fn a_command_may_run_only_so_long() {
    libprocess::run(async {
        let mut world = World::new().await;
        *world.shared.capabilities.lock() = vec![told_of_kills()];
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        let max_completion_time = Some(v1::DurationInfo { nanoseconds: 50_000_000 });
        world.launch(v1::TaskInfo { max_completion_time, ..shell("sleep 60") });
        world.state().await;
        world.state().await;
        let status = world.update().await;
        assert_eq!(status.state(), TaskState::TaskFailed);
        assert_eq!(status.reason(), v1::task_status::Reason::MaxCompletionTimeReached);
        world.end().await;
    });
}

/// The check is not run yet. Upstream: `createTaskStatus` in `launcher/executor.cpp`.
#[test]
fn each_status_of_a_task_with_a_check_speaks_of_it() {
    use v1::check_info::Type;

    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        let check = v1::CheckInfo { r#type: Some(Type::Command.into()), ..Default::default() };
        world.launch(v1::TaskInfo { check: Some(check.into()), ..shell("exit 0") });
        for state in [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished] {
            let status = world.update().await;
            assert_eq!(status.state(), state);
            let check = status.check_status.unwrap();
            let told = check.command.as_ref().map(|command| command.exit_code);
            assert_eq!((check.r#type(), told), (Type::Command, Some(None)));
        }
        world.end().await;
    });
}

#[test]
fn a_second_task_is_refused() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run_command(world.environment());
        world.subscribe().await;
        world.launch(shell("sleep 60"));
        world.state().await;
        world.state().await;
        world.launch(v1::TaskInfo { task_id: v1::TaskId { value: "second".into() }, ..shell("true") });
        let (state, message) = world.state().await;
        assert_eq!(state, TaskState::TaskFailed);
        assert!(message.unwrap().contains("multiple tasks"));
        world.send(&kill(None));
        world.state().await;
        world.end().await;
    });
}

#[test]
fn a_kill_before_the_launch_ends_the_executor() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run_command(world.environment());
        world.subscribe().await;
        world.send(&kill(None));
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}
