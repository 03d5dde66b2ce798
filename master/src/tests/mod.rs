//! The master as a whole, on one thread in paused time: with the real allocator and registrar, agents
//! that are actors of the test, and schedulers that make HTTP calls without a socket.

mod admission;
mod agents;
mod authorization;
mod constraints;
mod described;
mod draining;
mod driver;
mod event_stream;
mod explain;
mod failover;
mod formats;
mod framework_failover;
mod gone;
mod launch;
mod maintenance;
mod metrics;
mod offers;
mod operations;
mod operator_reads;
mod partition;
mod pruning;
mod quota;
mod reads;
mod reconciliation;
mod recovery;
mod registry;
mod removal;
mod reservations;
mod returning_agents;
mod roles;
mod scheduler_api;
mod shelf;
mod state;
mod subscribe;
mod task_groups;
mod teardown;
mod update_framework;
mod upgrade;
mod volumes;
mod weights;
mod whitelist;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use libprocess::http::{Body, BodyReceiver, Request, Response, dispatch};
use libprocess::{Address, Context, Handle, Install, Node, Pid, Process, testing};
use mesos::MediaType;
use mesos::internal::*;
use mesos::recordio::Decoder;
use mesos::v1::scheduler::{Event, event::Type};
use mesos::v1::{self, TaskState};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::authorization::{Authorizer, permits_all};
use crate::openapi::check;
use crate::{EndReason, Running, Settings};

/// What an agent was sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Got {
    Registered(SlaveRegisteredMessage),
    Reregistered(SlaveReregisteredMessage),
    Run(Box<RunTaskMessage>),
    RunGroup(Box<RunTaskGroupMessage>),
    Apply(Box<ApplyOperationMessage>),
    AcknowledgedOperation(AcknowledgeOperationStatusMessage),
    ReconcileOperations(ReconcileOperationsMessage),
    Kill(KillTaskMessage),
    Acknowledged(StatusUpdateAcknowledgementMessage),
    ShutdownFramework(ShutdownFrameworkMessage),
    ShutdownExecutor(ShutdownExecutorMessage),
    UpdateFramework(Box<UpdateFrameworkMessage>),
    Message(FrameworkToExecutorMessage),
    Shutdown(ShutdownMessage),
    Drain(DrainSlaveMessage),
    Checkpoint(CheckpointResourcesMessage),
}

/// What an agent takes beside pings is written down.
macro_rules! logged {
    ($($message:ty => $got:expr;)*) => {
        $(impl Handle<$message> for Logger {
            fn handle(&mut self, message: $message, _: &Pid, _: &mut Context<Self>) {
                self.log.lock().push($got(message));
            }
        })*
        fn install_logged(install: &mut Install<Logger>) {
            $(install.message::<$message>();)*
        }
    };
}

/// An agent: answers pings while it is healthy, and writes down everything else.
struct Logger {
    log: Arc<Mutex<Vec<Got>>>,
    healthy: Arc<Mutex<bool>>,
    pinged: Arc<Mutex<Option<bool>>>,
}

impl Process for Logger {
    const NAME: &'static str = "slave";
    fn install(install: &mut Install<Self>) {
        install.message::<PingSlaveMessage>();
        install_logged(install);
    }
}

impl Handle<PingSlaveMessage> for Logger {
    fn handle(&mut self, ping: PingSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        *self.pinged.lock() = Some(ping.connected);
        if *self.healthy.lock() {
            ctx.post(from, PongSlaveMessage {});
        }
    }
}

logged! {
    SlaveRegisteredMessage => Got::Registered;
    SlaveReregisteredMessage => Got::Reregistered;
    RunTaskMessage => |message| Got::Run(Box::new(message));
    RunTaskGroupMessage => |message| Got::RunGroup(Box::new(message));
    ApplyOperationMessage => |message| Got::Apply(Box::new(message));
    AcknowledgeOperationStatusMessage => Got::AcknowledgedOperation;
    ReconcileOperationsMessage => Got::ReconcileOperations;
    KillTaskMessage => Got::Kill;
    StatusUpdateAcknowledgementMessage => Got::Acknowledged;
    ShutdownFrameworkMessage => Got::ShutdownFramework;
    ShutdownExecutorMessage => Got::ShutdownExecutor;
    UpdateFrameworkMessage => |message| Got::UpdateFramework(Box::new(message));
    FrameworkToExecutorMessage => Got::Message;
    ShutdownMessage => Got::Shutdown;
    DrainSlaveMessage => Got::Drain;
    CheckpointResourcesMessage => Got::Checkpoint;
}

/// The test's handle to an agent.
pub(crate) struct Agent {
    node: Node,
    actor: Address<Logger>,
    pub(crate) log: Arc<Mutex<Vec<Got>>>,
    pub(crate) healthy: Arc<Mutex<bool>>,
    /// Whether the last ping said that it is connected.
    pub(crate) pinged: Arc<Mutex<Option<bool>>>,
    pub(crate) info: v1::AgentInfo,
}

impl Agent {
    pub(crate) fn id(&self) -> String {
        self.info.id.as_ref().unwrap().value.clone()
    }

    /// Registers, and gets its id.
    async fn register(&mut self, version: &str, capabilities: Vec<v1::agent_info::Capability>) {
        self.post(RegisterSlaveMessage {
            slave: self.info.clone(),
            version: Some(version.into()),
            agent_capabilities: capabilities,
            resource_version_uuid: Some(resource_version()),
            ..Default::default()
        });
        // A registry in a file is written by another thread: time stands still meanwhile.
        let mut got = self.taken().await;
        for _ in 0..10_000 {
            if !got.is_empty() {
                break;
            }
            got = self.taken().await;
        }
        let [Got::Registered(registered)] = got.as_slice() else { panic!("{got:?}") };
        self.info.id = Some(registered.slave_id.clone());
    }

    pub(crate) fn post<M: libprocess::WireMessage>(&self, message: M) {
        self.node.post(self.actor.pid(), &self.node.pid("master"), message);
    }

    /// Takes what was sent since the last time.
    pub(crate) async fn taken(&self) -> Vec<Got> {
        testing::settle().await;
        std::mem::take(&mut *self.log.lock())
    }

    /// The tasks that it was told to run since the last time.
    pub(crate) async fn launched(&self) -> Vec<RunTaskMessage> {
        let got = self.taken().await;
        got.into_iter().filter_map(|got| if let Got::Run(run) = got { Some(*run) } else { None }).collect()
    }

    /// Reports a task's state; the uuid of the update.
    pub(crate) fn update(&self, framework: &str, task: &str, state: TaskState) -> Vec<u8> {
        let uuid = self.node.random().uuid().as_bytes().to_vec();
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: state.into(),
            uuid: Some(uuid.clone()),
            ..Default::default()
        };
        let update = StatusUpdate {
            framework_id: v1::FrameworkId { value: framework.into() },
            slave_id: self.info.id.clone(),
            status,
            timestamp: 1.0,
            uuid: Some(uuid.clone()),
            latest_state: Some(state.into()),
            ..Default::default()
        };
        self.post(StatusUpdateMessage { update, pid: Some(self.actor.pid().to_string()) });
        uuid
    }

    /// Its process is gone: the link breaks.
    pub(crate) async fn die(&self) {
        self.actor.kill();
        self.actor.wait().await;
        testing::settle().await;
    }

    /// Its process is there again, at the same address.
    pub(crate) fn revive(&mut self) {
        let id = self.actor.pid().id().to_owned();
        *self.healthy.lock() = true;
        let (log, healthy, pinged) = (self.log.clone(), self.healthy.clone(), self.pinged.clone());
        self.actor = self.node.spawn_as(&id, Logger { log, healthy, pinged });
    }

    pub(crate) fn reregister(&self, tasks: Vec<v1::Task>, frameworks: Vec<v1::FrameworkInfo>) {
        self.reregister_with(tasks, frameworks, Vec::new());
    }

    /// The same, with executors.
    pub(crate) fn reregister_with(
        &self,
        tasks: Vec<v1::Task>,
        frameworks: Vec<v1::FrameworkInfo>,
        executor_infos: Vec<v1::ExecutorInfo>,
    ) {
        self.post(ReregisterSlaveMessage {
            slave: self.info.clone(),
            tasks,
            frameworks,
            executor_infos,
            version: Some("1.11.0".into()),
            agent_capabilities: capabilities(),
            resource_version_uuid: Some(resource_version()),
            ..Default::default()
        });
    }

    /// The operations that it was told to apply since the last time.
    pub(crate) async fn applied(&self) -> Vec<ApplyOperationMessage> {
        let got = self.taken().await;
        got.into_iter().filter_map(|got| if let Got::Apply(it) = got { Some(*it) } else { None }).collect()
    }

    /// Says what became of an operation, with a uuid.
    pub(crate) async fn end_operation(&self, operation: &ApplyOperationMessage, state: v1::OperationState) {
        let uuid = self.node.random().uuid().as_bytes().to_vec();
        let status = v1::OperationStatus {
            operation_id: operation.operation_info.id.clone(),
            state: state.into(),
            uuid: Some(v1::Uuid { value: uuid }),
            agent_id: self.info.id.clone(),
            ..Default::default()
        };
        self.post(UpdateOperationStatusMessage {
            framework_id: operation.framework_id.clone(),
            slave_id: self.info.id.clone(),
            latest_status: Some(status.clone()),
            status,
            operation_uuid: Some(operation.operation_uuid.clone()),
        });
        testing::settle().await;
    }

    /// Says which operations it has, as after each registration.
    pub(crate) async fn report_operations(&self, operations: Vec<v1::Operation>) {
        self.post(UpdateSlaveMessage {
            slave_id: self.info.id.clone().unwrap(),
            update_oversubscribed_resources: Some(false),
            operations: Some(update_slave_message::Operations { operations }),
            resource_version_uuid: Some(resource_version()),
            ..Default::default()
        });
        testing::settle().await;
    }
}

fn resource_version() -> v1::Uuid {
    v1::Uuid { value: vec![7; 16] }
}

fn capabilities() -> Vec<v1::agent_info::Capability> {
    mesos::AgentCapabilities::ALL.to_protos()
}

/// A master on a node of its own.
pub(crate) struct Cluster {
    pub(crate) node: Node,
    pub(crate) running: Running,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::with_authorizer(settings, permits_all).await
    }

    pub(crate) async fn with_authorizer(settings: Settings, authorizer: impl Authorizer) -> Self {
        let node = Node::builder().offline().delegate("master").start().await.unwrap();
        Self::of(node, settings, Arc::new(authorizer)).await
    }

    pub(crate) async fn of(node: Node, settings: Settings, authorizer: Arc<dyn Authorizer>) -> Self {
        let running = crate::start_with_authorizer(&node, settings, authorizer).await.unwrap();
        testing::settle().await;
        Self { node, running }
    }

    /// Why the master ends, which it does within an hour.
    pub(crate) async fn end(&mut self) -> EndReason {
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(hour, self.running.wait()).await.expect("the master ends")
    }

    /// An agent of which the master has not heard.
    pub(crate) fn stranger(&self, resources: &str) -> Agent {
        let total = mesos::Resources::parse(resources, "*").unwrap();
        let info =
            v1::AgentInfo { hostname: "host".into(), resources: total.to_protos(), ..Default::default() };
        let (log, healthy) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::new(Mutex::new(true)));
        let pinged = Arc::<Mutex<Option<bool>>>::default();
        let logger = Logger { log: log.clone(), healthy: healthy.clone(), pinged: pinged.clone() };
        let actor = self.node.spawn_numbered(logger);
        Agent { node: self.node.clone(), actor, log, healthy, pinged, info }
    }

    /// A registered agent.
    pub(crate) async fn agent(&self, resources: &str) -> Agent {
        self.agent_at("host", resources).await
    }

    /// A registered agent of this host.
    pub(crate) async fn agent_at(&self, hostname: &str, resources: &str) -> Agent {
        let mut agent = self.stranger(resources);
        agent.info.hostname = hostname.to_owned();
        agent.register("1.11.0", capabilities()).await;
        agent
    }

    /// A registered agent of an earlier version, that can do only this.
    pub(crate) async fn agent_with(&self, resources: &str, capabilities: mesos::AgentCapabilities) -> Agent {
        let mut agent = self.stranger(resources);
        agent.register("1.1.0", capabilities.to_protos()).await;
        agent
    }

    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: impl Into<String>) -> Response {
        let mut request = Request::new(http::Method::POST, "/api/v1/scheduler");
        request.body = body.into().into();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers.insert(name, value.parse().unwrap());
        }
        dispatch(&self.node, request).await
    }

    /// What an operator asks, as JSON: status and text of the answer.
    pub(crate) async fn ask(&self, method: http::Method, path: &str, body: &str) -> (u16, String) {
        let mut request = Request::new(method, path);
        request.body = body.to_owned().into();
        for (name, value) in JSON {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers.insert(name, value.parse().unwrap());
        }
        let response = dispatch(&self.node, request).await;
        let status = response.status.as_u16();
        let text = String::from_utf8(response.body.collect().await.to_vec()).unwrap();
        testing::settle().await;
        (status, text)
    }

    /// A call of the operator API.
    pub(crate) async fn api(&self, call: Value) -> (u16, String) {
        self.ask(http::Method::POST, "/api/v1", &call.to_string()).await
    }

    /// The response to a call of the operator API, in this encoding of the answer.
    pub(crate) async fn read(&self, kind: &str, media: MediaType) -> v1::master::Response {
        let mut request = Request::new(http::Method::POST, "/api/v1");
        request.body = json!({ "type": kind }).to_string().into();
        request.headers.insert("content-type", "application/json".parse().unwrap());
        request.headers.insert("accept", media.as_str().parse().unwrap());
        let response = dispatch(&self.node, request).await;
        assert_eq!(response.status, http::StatusCode::OK);
        assert_eq!(response.headers["content-type"], media.as_str());
        mesos::codec::decode(media, &response.body.collect().await).unwrap()
    }

    /// What an endpoint shows: it is what the description of the master says of it.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = dispatch(&self.node, Request::new(http::Method::GET, path)).await;
        let status = response.status;
        let answer = serde_json::from_slice(&response.body.collect().await).unwrap();
        if status == http::StatusCode::OK {
            check::holds(path, &answer);
        }
        answer
    }

    /// Subscribes; the stream's events have not been read.
    pub(crate) async fn open(&self, call: Value) -> Scheduler<'_> {
        let response = self.post(&JSON, call.to_string()).await;
        assert_eq!(response.status, http::StatusCode::OK);
        let stream = response.headers["Mesos-Stream-Id"].to_str().unwrap().to_owned();
        let Body::Stream(body) = response.body else { panic!("expected a stream") };
        let decoder = Decoder::new(1 << 20);
        Scheduler { cluster: self, id: String::new(), stream, body, decoder, events: VecDeque::new() }
    }

    /// Subscribes a framework that describes itself so.
    pub(crate) async fn subscribe(&self, info: Value) -> Scheduler<'_> {
        let mut call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info } });
        if let Some(id) = info.get("id") {
            call["framework_id"] = id.clone();
        }
        let mut scheduler = self.open(call).await;
        let event = scheduler.next_of(Type::Subscribed).await;
        scheduler.id = event.subscribed.unwrap().framework_id.value;
        scheduler
    }
}

pub(crate) const JSON: [(&str, &str); 2] =
    [("Content-Type", "application/json"), ("Accept", "application/json")];

/// What most tests' frameworks say of themselves.
pub(crate) fn info() -> Value {
    json!({
        "user": "user", "name": "test", "roles": ["*"], "failover_timeout": 60.0, "checkpoint": true,
        "capabilities": [{ "type": "MULTI_ROLE" }, { "type": "PARTITION_AWARE" }]
    })
}

/// A scheduler with its stream.
pub(crate) struct Scheduler<'a> {
    cluster: &'a Cluster,
    pub(crate) id: String,
    pub(crate) stream: String,
    body: BodyReceiver,
    decoder: Decoder,
    events: VecDeque<Event>,
}

impl Scheduler<'_> {
    /// Its stream breaks, and it does not notice.
    pub(crate) fn break_off(&mut self) {
        let (_, Body::Stream(never)) = libprocess::http::stream() else { panic!("expected a stream") };
        self.body = never;
    }

    /// The next event; time passes until it comes. `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        while self.events.is_empty() {
            let chunk = self.body.next().await?;
            let records = self.decoder.feed(&chunk).unwrap();
            assert_eq!(records.len(), 1, "one record is one chunk");
            assert!(!records[0].contains(&b'\n'));
            self.events.push_back(mesos::json::from_slice(&records[0]).unwrap());
        }
        self.events.pop_front()
    }

    /// The next event of this type; others are passed over.
    pub(crate) async fn next_of(&mut self, kind: Type) -> Event {
        for _ in 0..1000 {
            let event = self.next().await.expect("the stream goes on");
            if event.r#type() == kind {
                return event;
            }
        }
        panic!("no {kind:?} among 1000 events");
    }

    pub(crate) async fn offer(&mut self) -> v1::Offer {
        self.next_of(Type::Offers).await.offers.unwrap().offers.remove(0)
    }

    pub(crate) async fn status(&mut self) -> v1::TaskStatus {
        self.next_of(Type::Update).await.update.unwrap().status
    }

    /// All events that are there without time passing.
    pub(crate) async fn pending(&mut self) -> Vec<Event> {
        testing::settle().await;
        let mut pending = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, self.next()).await {
            pending.push(event);
        }
        pending
    }

    /// Makes a call: status and text of the answer.
    pub(crate) async fn call(&self, kind: &str, body: Value) -> (u16, String) {
        let mut call = json!({ "type": kind, "framework_id": { "value": self.id } });
        if !body.is_null() {
            call[kind.to_lowercase()] = body;
        }
        let headers = [JSON[0], JSON[1], ("Mesos-Stream-Id", &self.stream)];
        let response = self.cluster.post(&headers, call.to_string()).await;
        let text = String::from_utf8(response.body.collect().await.to_vec()).unwrap();
        testing::settle().await;
        (response.status.as_u16(), text)
    }

    /// Launches tasks with an offer, or with several of them.
    pub(crate) async fn launch(&self, offers: &[&v1::Offer], tasks: Value) {
        let ids: Vec<Value> = offers.iter().map(|offer| json!({ "value": offer.id.value })).collect();
        let body = json!({
            "offer_ids": ids,
            "operations": [{ "type": "LAUNCH", "launch": { "task_infos": tasks } }],
            "filters": { "refuse_seconds": 0.0 }
        });
        assert_eq!(self.call("ACCEPT", body).await, (202, String::new()));
    }

    /// Accepts an offer with these operations. What they leave is refused for no time.
    pub(crate) async fn accept(&self, offer: &v1::Offer, operations: Value) {
        let body = json!({
            "offer_ids": [{ "value": offer.id.value }], "operations": operations,
            "filters": { "refuse_seconds": 0.0 }
        });
        assert_eq!(self.call("ACCEPT", body).await, (202, String::new()));
    }

    /// The next status of an operation.
    pub(crate) async fn operation_status(&mut self) -> v1::OperationStatus {
        self.next_of(Type::UpdateOperationStatus).await.update_operation_status.unwrap().status
    }

    pub(crate) async fn acknowledge_operation(&self, status: &v1::OperationStatus) {
        let status = mesos::json::to_value(status);
        let body = json!({
            "agent_id": status["agent_id"], "operation_id": status["operation_id"],
            "uuid": status["uuid"]["value"]
        });
        assert_eq!(self.call("ACKNOWLEDGE_OPERATION_STATUS", body).await, (202, String::new()));
    }

    pub(crate) async fn acknowledge(&self, status: &v1::TaskStatus) {
        let status = mesos::json::to_value(status);
        let body = json!({
            "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]
        });
        assert_eq!(self.call("ACKNOWLEDGE", body).await, (202, String::new()));
    }
}

pub(crate) fn scalar(name: &str, value: f64) -> Value {
    json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } })
}

/// The resource, reserved for a role at run time.
pub(crate) fn reserved(resource: Value, role: &str) -> Value {
    let mut resource = resource;
    resource["reservations"] = json!([{ "type": "DYNAMIC", "role": role }]);
    resource
}

/// A persistent volume on a reserved disk.
pub(crate) fn volume(id: &str, megabytes: f64, role: &str) -> Value {
    let mut volume = reserved(scalar("disk", megabytes), role);
    volume["disk"] = json!({
        "persistence": { "id": id }, "volume": { "container_path": "path", "mode": "RW" }
    });
    volume
}

/// An operation, with this part.
pub(crate) fn operation(kind: &str, part: Value) -> Value {
    let mut operation = json!({ "type": kind });
    operation[kind.to_lowercase()] = part;
    operation
}

pub(crate) fn reserve(resources: Value) -> Value {
    operation("RESERVE", json!({ "resources": resources }))
}

pub(crate) fn create(volumes: Value) -> Value {
    operation("CREATE", json!({ "volumes": volumes }))
}

pub(crate) fn launch(tasks: Value) -> Value {
    operation("LAUNCH", json!({ "task_infos": tasks }))
}

/// What frameworks say of themselves that reserve for the role `r`.
pub(crate) fn reserving_info() -> Value {
    json!({
        "user": "user", "name": "test", "roles": ["r"], "failover_timeout": 60.0, "checkpoint": true,
        "capabilities": [
            { "type": "MULTI_ROLE" }, { "type": "PARTITION_AWARE" }, { "type": "RESERVATION_REFINEMENT" },
            { "type": "SHARED_RESOURCES" }
        ]
    })
}

/// A command task.
pub(crate) fn task(id: &str, agent: &Agent, cpus: f64, mem: f64) -> Value {
    json!({
        "name": id, "task_id": { "value": id }, "agent_id": { "value": agent.id() },
        "resources": [scalar("cpus", cpus), scalar("mem", mem)], "command": { "value": "true" }
    })
}

/// A task with an executor that takes half a cpu.
pub(crate) fn executor_task(id: &str, agent: &Agent, executor: &str, cpus: f64) -> Value {
    json!({
        "name": id, "task_id": { "value": id }, "agent_id": { "value": agent.id() },
        "resources": [scalar("cpus", cpus)],
        "executor": {
            "executor_id": { "value": executor }, "command": { "value": "run" },
            "resources": [scalar("cpus", 0.5)]
        }
    })
}

pub(crate) fn amount(resources: &[v1::Resource], name: &str) -> f64 {
    mesos::Resources::try_from_protos(resources).unwrap().scalar(name).to_f64()
}
