//! An agent made for the tests, which does what it is told, and the node of its executor.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use frameworks::{
    command_executor::{self, CommandExecutorError},
    executor::{self, Error, Executor, ExecutorEnvironment, Recovery},
};
use futures::FutureExt;
use libprocess::{
    Install, Node, Process,
    http::{Request, Response, StreamSender, stream},
    simulation::{Network, Weather},
};
use mesos::{
    MediaType, codec,
    v1::{
        self, TaskState,
        executor::{Call, Event, call::Type, event},
    },
};
use parking_lot::Mutex;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

const MEDIA: MediaType = MediaType::Protobuf;

/// An agent with one executor.
pub(crate) struct FakeAgent {
    calls: mpsc::UnboundedSender<Call>,
    shared: Arc<Shared>,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) stream: Mutex<Option<StreamSender>>,
    /// The answer to the next subscription, instead.
    pub(crate) refuse: Mutex<Option<Response>>,
    /// Nobody may subscribe yet.
    pub(crate) recovers: Mutex<bool>,
    /// The answer to the next call of another kind.
    pub(crate) refuse_call: Mutex<Option<Response>>,
    /// What the framework can.
    pub(crate) capabilities: Mutex<Vec<v1::framework_info::Capability>>,
}

impl Process for FakeAgent {
    const NAME: &'static str = "slave";

    fn install(install: &mut Install<Self>) {
        install
            .post("/api/v1/executor", "The executor API.", |agent, request, _| agent.call(&request).into());
    }
}

impl FakeAgent {
    pub(crate) fn call(&mut self, request: &Request) -> Response {
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

pub(crate) fn of(r#type: event::Type) -> Event {
    Event { r#type: Some(r#type.into()), ..Default::default() }
}

/// The agent, and a node on which executors run.
pub(crate) struct World {
    pub(crate) agent: Node,
    pub(crate) node: Node,
    pub(crate) shared: Arc<Shared>,
    pub(crate) calls: mpsc::UnboundedReceiver<Call>,
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it happens within twenty seconds")
}

impl World {
    pub(crate) async fn new() -> World {
        let bind = "127.0.0.1:0".parse().unwrap();
        let agent = Node::builder().bind(bind).delegate("slave(1)").start().await.unwrap();
        let node = Node::builder().bind(bind).start().await.unwrap();
        let (calls_in, calls) = mpsc::unbounded_channel();
        let shared = Arc::<Shared>::default();
        agent.spawn_numbered(FakeAgent { calls: calls_in, shared: shared.clone() });
        World { agent, node, shared, calls }
    }

    /// In virtual time, with what becomes of the agent.
    pub(crate) async fn simulated<P: Process>(becomes: impl FnOnce(FakeAgent) -> P) -> (Network, World) {
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

    pub(crate) fn environment(&self) -> ExecutorEnvironment {
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

    pub(crate) fn checkpointing(&self) -> ExecutorEnvironment {
        let (timeout, backoff_max) = (Duration::from_secs(60), Duration::from_millis(20));
        ExecutorEnvironment {
            recovery: Recovery::Checkpointed { timeout, backoff_max },
            ..self.environment()
        }
    }

    pub(crate) fn run<E: Executor>(
        &self,
        environment: ExecutorEnvironment,
        executor: E,
    ) -> JoinHandle<Result<(), Error>> {
        let node = self.node.clone();
        tokio::task::spawn_local(async move { executor::run(&node, environment, executor).await.map(drop) })
    }

    /// On a node without a socket: it needs one thread and no port.
    pub(crate) fn run_command(
        &self,
        environment: ExecutorEnvironment,
    ) -> JoinHandle<Result<(), CommandExecutorError>> {
        tokio::task::spawn_local(async move {
            let node = Node::builder().offline().start().await.unwrap();
            let result = command_executor::run(&node, environment).await;
            node.shutdown().await;
            result
        })
    }

    pub(crate) async fn call(&mut self) -> Call {
        soon(self.calls.recv()).await.unwrap()
    }

    pub(crate) async fn subscribe(&mut self) -> v1::executor::call::Subscribe {
        let call = self.call().await;
        assert_eq!(
            (call.executor_id.value.as_str(), call.framework_id.value.as_str()),
            ("executor", "framework")
        );
        call.subscribe.unwrap()
    }

    pub(crate) async fn update(&mut self) -> v1::TaskStatus {
        self.call().await.update.unwrap().status
    }

    pub(crate) fn send(&self, event: &Event) {
        let record = codec::encode_record(MEDIA, event);
        self.shared.stream.lock().as_ref().unwrap().send(record).unwrap();
    }

    pub(crate) fn launch(&self, task: v1::TaskInfo) {
        self.send(&Event { launch: Some(event::Launch { task }), ..of(event::Type::Launch) });
    }

    pub(crate) fn message(&self, data: &[u8]) {
        let message = Some(event::Message { data: data.to_vec() });
        self.send(&Event { message, ..of(event::Type::Message) });
    }

    pub(crate) fn acknowledge(&self, status: &v1::TaskStatus) {
        let (task_id, uuid) = (status.task_id.clone(), status.uuid.clone().unwrap());
        let acknowledged = Some(event::Acknowledged { task_id, uuid });
        self.send(&Event { acknowledged, ..of(event::Type::Acknowledged) });
    }

    /// Receives an update, acknowledges it, and tells its state and message.
    pub(crate) async fn state(&mut self) -> (TaskState, Option<String>) {
        let status = self.update().await;
        self.acknowledge(&status);
        (status.state(), status.message)
    }

    pub(crate) async fn end(self) {
        self.node.shutdown().await;
        self.agent.shutdown().await;
    }
}

pub(crate) fn task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo { name: id.into(), task_id: v1::TaskId { value: id.into() }, ..Default::default() }
}
