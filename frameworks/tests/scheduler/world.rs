//! A master made for the tests, and a scheduler that tells what it sees.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use frameworks::scheduler::{Act, Driver, Error, Options, Scheduler, SchedulerDriver, start};
use libprocess::{
    Address, Answer, Install, Node, Process,
    http::{Request, Response, StreamSender, stream},
};
use mesos::{
    FrameworkId, MediaType, codec,
    v1::{
        self,
        scheduler::{Call, Event, call::Type, event},
    },
};
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::timeout};

/// A master that subscribes everybody, and notes what it is told.
pub(crate) struct FakeMaster {
    pub(crate) calls: mpsc::UnboundedSender<(Call, Option<String>)>,
    pub(crate) shared: Arc<Shared>,
}

#[derive(Default)]
pub(crate) struct Shared {
    /// The subscriptions, the newest last.
    pub(crate) streams: Mutex<Vec<StreamSender>>,
    /// Answers to the next subscriptions, instead.
    pub(crate) refusals: Mutex<VecDeque<Response>>,
    /// The answer to the next call of another kind.
    pub(crate) refuse_call: Mutex<Option<Response>>,
    pub(crate) heartbeat: Mutex<Option<f64>>,
    /// The id of the master: each process has its own.
    pub(crate) id: Mutex<String>,
}

impl Process for FakeMaster {
    const NAME: &'static str = "master";

    fn install(install: &mut Install<Self>) {
        install.post("/api/v1/scheduler", "The scheduler API.", |master, request, _| {
            master.call(&request).into()
        });
    }
}

impl FakeMaster {
    pub(crate) fn call(&mut self, request: &Request) -> Response {
        let media = MediaType::from_name(request.header("content-type").unwrap()).unwrap();
        let call: Call = codec::decode(media, &request.body).unwrap();
        let subscribe = call.r#type() == Type::Subscribe;
        self.calls.send((call, request.header("mesos-stream-id").map(str::to_owned))).unwrap();
        if !subscribe {
            return self.shared.refuse_call.lock().take().unwrap_or_else(Response::accepted);
        }
        if let Some(refusal) = self.shared.refusals.lock().pop_front() {
            return refusal;
        }
        let (sender, body) = stream();
        let subscribed = event::Subscribed {
            framework_id: v1::FrameworkId { value: "framework".into() },
            heartbeat_interval_seconds: *self.shared.heartbeat.lock(),
            master_info: Some(v1::MasterInfo { id: self.shared.id.lock().clone(), ..Default::default() }),
        };
        sender
            .send(record(media, &Event { subscribed: Some(subscribed), ..of(event::Type::Subscribed) }))
            .unwrap();
        let mut streams = self.shared.streams.lock();
        streams.push(sender);
        let id = format!("stream-{}", streams.len());
        Response { body, ..Response::ok(media.as_str(), Vec::new()) }.header("mesos-stream-id", id)
    }
}

pub(crate) fn of(r#type: event::Type) -> Event {
    Event { r#type: Some(r#type.into()), ..Default::default() }
}

pub(crate) fn record(media: MediaType, event: &Event) -> Vec<u8> {
    codec::encode_record(media, event).to_vec()
}

/// What the scheduler saw.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Subscribed(String),
    Offers(Vec<String>),
    Update(String),
    Rescinded(String),
    InverseRescinded(String),
    Message(event::Message),
    Failed(event::Failure),
    Error(String),
    Disconnected,
}

/// A scheduler that tells the test what it sees.
pub(crate) struct Probe(pub(crate) mpsc::UnboundedSender<Seen>);

impl Probe {
    pub(crate) fn see(&self, seen: Seen) {
        let _ = self.0.send(seen);
    }
}

impl Scheduler for Probe {
    fn subscribed(&mut self, _: &mut Driver<Self>, framework: &FrameworkId) {
        self.see(Seen::Subscribed(framework.to_string()));
    }
    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        driver.decline(offers.iter().map(|offer| &offer.id), Duration::from_secs(5));
        self.see(Seen::Offers(offers.into_iter().map(|offer| offer.id.value).collect()));
    }
    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus) {
        driver.revive(&[]);
        self.see(Seen::Update(status.task_id.value));
    }
    fn message(&mut self, _: &mut Driver<Self>, message: event::Message) {
        self.see(Seen::Message(message));
    }
    fn rescind(&mut self, _: &mut Driver<Self>, offer: v1::OfferId) {
        self.see(Seen::Rescinded(offer.value));
    }
    fn rescind_inverse_offer(&mut self, _: &mut Driver<Self>, inverse_offer: v1::OfferId) {
        self.see(Seen::InverseRescinded(inverse_offer.value));
    }
    fn failure(&mut self, _: &mut Driver<Self>, failure: event::Failure) {
        self.see(Seen::Failed(failure));
    }
    fn error(&mut self, _: &mut Driver<Self>, message: &str) {
        self.see(Seen::Error(message.into()));
    }
    fn disconnected(&mut self, _: &mut Driver<Self>) {
        self.see(Seen::Disconnected);
    }
}

/// A master and a scheduler, each on its node.
pub(crate) struct World {
    pub(crate) master: Node,
    pub(crate) node: Node,
    pub(crate) shared: Arc<Shared>,
    pub(crate) calls: mpsc::UnboundedReceiver<(Call, Option<String>)>,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) scheduler: Address<SchedulerDriver<Probe>>,
    pub(crate) answer: Answer<Result<Probe, Error>>,
}

pub(crate) async fn a_node() -> Node {
    Node::builder().bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap()
}

impl World {
    pub(crate) async fn new(prepare: impl FnOnce(&mut Options, &Shared)) -> World {
        let (master, node) = (a_node().await, a_node().await);
        let ((calls_in, calls), (seen_in, seen)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let shared = Arc::<Shared>::default();
        *shared.heartbeat.lock() = Some(15.0);
        let framework =
            v1::FrameworkInfo { user: "nobody".into(), name: "probe".into(), ..Default::default() };
        let mut options = Options::new(master.address().to_string().parse().unwrap(), framework);
        options.connection_delay_max = Duration::ZERO;
        prepare(&mut options, &shared);
        master.spawn(FakeMaster { calls: calls_in, shared: shared.clone() });
        let (scheduler, answer) = start(&node, options, Probe(seen_in));
        World { master, node, shared, calls, seen, scheduler, answer }
    }

    pub(crate) async fn subscribed(prepare: impl FnOnce(&mut Options, &Shared)) -> World {
        let mut world = World::new(prepare).await;
        assert_eq!(world.call().await.0.r#type(), Type::Subscribe);
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world
    }

    pub(crate) async fn see(&mut self) -> Seen {
        soon(self.seen.recv()).await.unwrap()
    }

    pub(crate) async fn call(&mut self) -> (Call, Option<String>) {
        soon(self.calls.recv()).await.unwrap()
    }

    /// Sends bytes on the newest subscription.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.shared.streams.lock().last().unwrap().send(bytes.to_vec()).unwrap();
    }

    pub(crate) fn send_event(&self, event: &Event) {
        self.send(&record(MediaType::Protobuf, event));
    }

    pub(crate) async fn end(self) {
        self.node.shutdown().await;
        self.master.shutdown().await;
    }

    /// Has the scheduler say something, and tells what arrived.
    pub(crate) async fn say(&mut self, say: impl FnOnce(&mut Driver<Probe>) + Send + 'static) -> Type {
        self.scheduler.tell(Act::new(move |_: &mut Probe, driver: &mut Driver<Probe>| say(driver)));
        self.call().await.0.r#type()
    }

    /// Breaks the subscription, and tells what the next one says.
    pub(crate) async fn subscribe_again(&mut self) -> v1::scheduler::call::Subscribe {
        self.shared.streams.lock().last().unwrap().close();
        assert_eq!(self.see().await, Seen::Disconnected);
        let subscribe = self.call().await.0.subscribe.unwrap();
        assert_eq!(self.see().await, Seen::Subscribed("framework".into()));
        subscribe
    }

    /// The master ends the newest subscription with an error.
    pub(crate) fn end_subscription(&self, message: &str) {
        let error = event::Error { message: message.into() };
        self.send_event(&Event { error: Some(error), ..of(event::Type::Error) });
    }

    /// It has ended with this error.
    pub(crate) async fn has_ended(mut self, message: &str) {
        assert_eq!(self.see().await, Seen::Error(message.into()));
        assert_eq!(soon(self.answer).await.unwrap().err(), Some(Error::Ended(message.into())));
        self.node.shutdown().await;
        self.master.shutdown().await;
    }
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("it happens within ten seconds")
}

pub(crate) fn offers(ids: &[&str]) -> Event {
    let offers =
        ids.iter().map(|id| v1::Offer { id: v1::OfferId { value: (*id).into() }, ..Default::default() });
    Event { offers: Some(event::Offers { offers: offers.collect() }), ..of(event::Type::Offers) }
}

pub(crate) fn update(uuid: Option<Vec<u8>>) -> Event {
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: "task".into() },
        agent_id: Some(v1::AgentId { value: "agent".into() }),
        state: v1::TaskState::TaskRunning.into(),
        uuid,
        ..Default::default()
    };
    Event { update: Some(event::Update { status }), ..of(event::Type::Update) }
}

pub(crate) fn of_two_roles() -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability};
    let multi_role = Capability { r#type: Some(capability::Type::MultiRole.into()) };
    let roles = vec!["a".into(), "b".into()];
    v1::FrameworkInfo { roles, capabilities: vec![multi_role], ..Default::default() }
}

pub(crate) fn describe(framework_info: v1::FrameworkInfo, suppressed_roles: &[&str]) -> Call {
    let update = v1::scheduler::call::UpdateFramework {
        framework_info,
        suppressed_roles: suppressed_roles.iter().map(ToString::to_string).collect(),
        offer_constraints: Some(v1::scheduler::OfferConstraints::default()),
    };
    Call { r#type: Some(Type::UpdateFramework.into()), update_framework: Some(update), ..Default::default() }
}
