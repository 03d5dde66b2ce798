//! The scheduler library against a master made for the test, over a real socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::{collections::VecDeque, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use election::LeaderChanged;
use frameworks::scheduler::{Act, Driver, Error, Options, Scheduler, SchedulerDriver, start};
use futures::FutureExt;
use libprocess::{
    Address, Answer, Install, Node, Process,
    http::{Reply, Request, Response, StreamSender, stream},
    simulation::{self, Network, Weather},
};
use mesos::{
    FrameworkId, MediaType, codec,
    v1::{
        self,
        scheduler::{Call, Event, call::Type, event},
    },
};
use parking_lot::Mutex;
use support::{hang_up, lead_astray};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

/// A master that subscribes everybody, and notes what it is told.
struct FakeMaster {
    calls: mpsc::UnboundedSender<(Call, Option<String>)>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The subscriptions, the newest last.
    streams: Mutex<Vec<StreamSender>>,
    /// Answers to the next subscriptions, instead.
    refusals: Mutex<VecDeque<Response>>,
    /// The answer to the next call of another kind.
    refuse_call: Mutex<Option<Response>>,
    heartbeat: Mutex<Option<f64>>,
    /// The id of the master: each process has its own.
    id: Mutex<String>,
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
    fn call(&mut self, request: &Request) -> Response {
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

fn of(r#type: event::Type) -> Event {
    Event { r#type: Some(r#type.into()), ..Default::default() }
}

fn record(media: MediaType, event: &Event) -> Vec<u8> {
    codec::encode_record(media, event).to_vec()
}

/// What the scheduler saw.
#[derive(Debug, PartialEq)]
enum Seen {
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

struct Probe(mpsc::UnboundedSender<Seen>);

impl Probe {
    fn see(&self, seen: Seen) {
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
struct World {
    master: Node,
    node: Node,
    shared: Arc<Shared>,
    calls: mpsc::UnboundedReceiver<(Call, Option<String>)>,
    seen: mpsc::UnboundedReceiver<Seen>,
    scheduler: Address<SchedulerDriver<Probe>>,
    answer: Answer<Result<Probe, Error>>,
}

async fn a_node() -> Node {
    Node::builder().bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap()
}

impl World {
    async fn new(prepare: impl FnOnce(&mut Options, &Shared)) -> World {
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

    async fn subscribed(prepare: impl FnOnce(&mut Options, &Shared)) -> World {
        let mut world = World::new(prepare).await;
        assert_eq!(world.call().await.0.r#type(), Type::Subscribe);
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world
    }

    async fn see(&mut self) -> Seen {
        soon(self.seen.recv()).await.unwrap()
    }

    async fn call(&mut self) -> (Call, Option<String>) {
        soon(self.calls.recv()).await.unwrap()
    }

    /// Sends bytes on the newest subscription.
    fn send(&self, bytes: &[u8]) {
        self.shared.streams.lock().last().unwrap().send(bytes.to_vec()).unwrap();
    }

    fn send_event(&self, event: &Event) {
        self.send(&record(MediaType::Protobuf, event));
    }

    async fn end(self) {
        self.node.shutdown().await;
        self.master.shutdown().await;
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("it happens within ten seconds")
}

fn offers(ids: &[&str]) -> Event {
    let offers =
        ids.iter().map(|id| v1::Offer { id: v1::OfferId { value: (*id).into() }, ..Default::default() });
    Event { offers: Some(event::Offers { offers: offers.collect() }), ..of(event::Type::Offers) }
}

fn update(uuid: Option<Vec<u8>>) -> Event {
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: "task".into() },
        agent_id: Some(v1::AgentId { value: "agent".into() }),
        state: v1::TaskState::TaskRunning.into(),
        uuid,
        ..Default::default()
    };
    Event { update: Some(event::Update { status }), ..of(event::Type::Update) }
}

/// Upstream: `SchedulerDriverEventTest.Subscribed`, `SchedulerDriverEventTest.Offers`.
#[test]
fn it_subscribes_and_answers_offers_on_the_same_stream() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        world.send_event(&offers(&["a", "b"]));
        assert_eq!(world.see().await, Seen::Offers(vec!["a".into(), "b".into()]));
        let (call, stream_id) = world.call().await;
        assert_eq!(call.decline.unwrap().offer_ids.len(), 2);
        assert_eq!(call.framework_id.unwrap().value, "framework");
        assert_eq!(stream_id.as_deref(), Some("stream-1"));
        world.end().await;
    });
}

/// With each subscription: also with one after a break.
#[test]
fn it_subscribes_with_what_it_does_not_want() {
    libprocess::run(async {
        let mut constraints = v1::scheduler::OfferConstraints::default();
        constraints.role_constraints.insert("r".into(), Default::default());
        let said = constraints.clone();
        let mut world = World::new(|options, _| {
            options.suppressed_roles = vec!["r".into()];
            options.offer_constraints = Some(said);
        })
        .await;
        for stream in 0..2 {
            let subscribe = world.call().await.0.subscribe.unwrap();
            assert_eq!(subscribe.suppressed_roles, ["r"]);
            assert_eq!(subscribe.offer_constraints.as_ref(), Some(&constraints));
            assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
            if stream == 0 {
                world.shared.streams.lock().last().unwrap().close();
                assert_eq!(world.see().await, Seen::Disconnected);
            }
        }
        world.end().await;
    });
}

impl World {
    /// Has the scheduler say something, and tells what arrived.
    async fn say(&mut self, say: impl FnOnce(&mut Driver<Probe>) + Send + 'static) -> Type {
        self.scheduler.tell(Act::new(move |_: &mut Probe, driver: &mut Driver<Probe>| say(driver)));
        self.call().await.0.r#type()
    }

    /// Breaks the subscription, and tells what the next one says.
    async fn subscribe_again(&mut self) -> v1::scheduler::call::Subscribe {
        self.shared.streams.lock().last().unwrap().close();
        assert_eq!(self.see().await, Seen::Disconnected);
        let subscribe = self.call().await.0.subscribe.unwrap();
        assert_eq!(self.see().await, Seen::Subscribed("framework".into()));
        subscribe
    }
}

fn of_two_roles() -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability};
    let multi_role = Capability { r#type: Some(capability::Type::MultiRole.into()) };
    let roles = vec!["a".into(), "b".into()];
    v1::FrameworkInfo { roles, capabilities: vec![multi_role], ..Default::default() }
}

/// Upstream: `MesosSchedulerDriverTest.ReregisterAfterSuppress`.
#[test]
fn what_it_has_suppressed_stays_so_when_it_subscribes_again() {
    libprocess::run(async {
        let mut world = World::subscribed(|options, _| options.framework = of_two_roles()).await;
        assert_eq!(world.say(|driver| driver.suppress(&["a".into()])).await, Type::Suppress);
        assert_eq!(world.subscribe_again().await.suppressed_roles, ["a"]);
        assert_eq!(world.say(|driver| driver.suppress(&[])).await, Type::Suppress);
        assert_eq!(world.subscribe_again().await.suppressed_roles, ["a", "b"]);
        assert_eq!(world.say(|driver| driver.revive(&["a".into()])).await, Type::Revive);
        assert_eq!(world.subscribe_again().await.suppressed_roles, ["b"]);
        world.end().await;
    });
}

/// What is said without a subscription is said by the next one.
#[test]
fn what_it_suppresses_without_a_master_is_suppressed_when_it_has_one() {
    libprocess::run(async {
        let mut world = World::subscribed(|options, _| options.framework = of_two_roles()).await;
        world.scheduler.tell(LeaderChanged { leader: None, node: None });
        assert_eq!(world.see().await, Seen::Disconnected);
        let suppress = |_: &mut Probe, driver: &mut Driver<Probe>| driver.suppress(&["b".into()]);
        world.scheduler.tell(Act::new(suppress));
        let pid = world.master.pid("master").to_string();
        let leader = v1::MasterInfo { pid: Some(pid), ..Default::default() };
        world.scheduler.tell(LeaderChanged { leader: Some(leader), node: None });
        assert_eq!(world.call().await.0.subscribe.unwrap().suppressed_roles, ["b"]);
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world.end().await;
    });
}

fn describe(framework_info: v1::FrameworkInfo, suppressed_roles: &[&str]) -> Call {
    let update = v1::scheduler::call::UpdateFramework {
        framework_info,
        suppressed_roles: suppressed_roles.iter().map(ToString::to_string).collect(),
        offer_constraints: Some(v1::scheduler::OfferConstraints::default()),
    };
    Call { r#type: Some(Type::UpdateFramework.into()), update_framework: Some(update), ..Default::default() }
}

#[test]
fn a_role_of_a_new_description_is_revived_with_it() {
    libprocess::run(async {
        let mut world = World::subscribed(|options, _| options.framework = of_two_roles()).await;
        let mut framework_info = of_two_roles();
        framework_info.roles.push("c".into());
        let call = describe(framework_info, &["b", "c"]);
        let say = |driver: &mut Driver<Probe>| {
            driver.call(call);
            driver.revive(&["c".into()]);
        };
        assert_eq!(world.say(say).await, Type::UpdateFramework);
        assert_eq!(world.call().await.0.r#type(), Type::Revive);
        // The break of the stream may overtake the answers, which changes nothing.
        let subscribe = world.subscribe_again().await;
        assert_eq!(subscribe.framework_info.roles, ["a", "b", "c"]);
        assert_eq!(subscribe.suppressed_roles, ["b"]);
        world.end().await;
    });
}

#[test]
fn it_subscribes_with_its_new_description() {
    libprocess::run(async {
        let mut world = World::subscribed(|options, _| options.framework = of_two_roles()).await;
        let framework_info = v1::FrameworkInfo { name: "another".into(), ..of_two_roles() };
        let call = describe(framework_info, &["a"]);
        let update = call.update_framework.clone().unwrap();
        assert_eq!(world.say(|driver| driver.call(call)).await, Type::UpdateFramework);
        // The break of the stream may overtake the answer, which changes nothing.
        let subscribe = world.subscribe_again().await;
        assert_eq!(subscribe.framework_info.name, "another");
        assert_eq!(subscribe.framework_info.id.unwrap().value, "framework");
        assert_eq!(subscribe.suppressed_roles, ["a"]);
        assert_eq!(subscribe.offer_constraints, update.offer_constraints);
        world.end().await;
    });
}

#[test]
fn it_speaks_json_too() {
    libprocess::run(async {
        let mut world = World::subscribed(|options, _| options.media = MediaType::Json).await;
        world.send(&record(MediaType::Json, &offers(&["a"])));
        assert_eq!(world.see().await, Seen::Offers(vec!["a".into()]));
        world.end().await;
    });
}

#[test]
fn events_may_arrive_in_any_pieces() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        let sent = event::Message { data: vec![7; 1000], ..Default::default() };
        let message = Event { message: Some(sent.clone()), ..of(event::Type::Message) };
        let bytes =
            [record(MediaType::Protobuf, &message), record(MediaType::Protobuf, &offers(&["a"]))].concat();
        for piece in bytes.chunks(7) {
            world.send(piece);
        }
        assert_eq!(world.see().await, Seen::Message(sent));
        assert_eq!(world.see().await, Seen::Offers(vec!["a".into()]));
        world.end().await;
    });
}

/// Upstream: `SchedulerDriverEventTest.Update`.
#[test]
fn updates_are_acknowledged_before_what_the_scheduler_says_then() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        world.send_event(&update(Some(vec![9; 16])));
        let (call, _) = world.call().await;
        assert_eq!(call.acknowledge.unwrap().uuid, vec![9; 16]);
        assert_eq!(world.call().await.0.r#type(), Type::Revive);
        // One that the master made up has no uuid, and is not acknowledged.
        world.send_event(&update(None));
        assert_eq!(world.call().await.0.r#type(), Type::Revive);
        world.end().await;
    });
}

#[test]
fn explicit_acknowledgements_are_the_schedulers() {
    libprocess::run(async {
        let mut world = World::subscribed(|options, _| options.explicit_acknowledgements = true).await;
        world.send_event(&update(Some(vec![9; 16])));
        assert_eq!(world.call().await.0.r#type(), Type::Revive);
        world.end().await;
    });
}

/// They are more than a connection takes at once.
#[test]
fn calls_wait_for_the_answers_to_those_before_them() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        world.scheduler.tell(Act::new(|_: &mut Probe, driver: &mut Driver<Probe>| {
            for byte in 0..9 {
                driver.message(&Default::default(), &Default::default(), vec![byte; 8 << 20]);
            }
        }));
        for byte in 0..9 {
            let data = world.call().await.0.message.unwrap().data;
            assert_eq!((data.len(), data[0]), (8 << 20, byte));
        }
        world.end().await;
    });
}

/// Upstream: `SchedulerDriverEventTest.SubscribedDisconnection`.
#[test]
fn after_a_broken_stream_it_comes_back_with_its_id() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        world.shared.streams.lock()[0].close();
        assert_eq!(world.see().await, Seen::Disconnected);
        let (call, _) = world.call().await;
        assert_eq!(call.r#type(), Type::Subscribe);
        assert_eq!(call.framework_id.unwrap().value, "framework");
        assert_eq!(call.subscribe.unwrap().framework_info.id.unwrap().value, "framework");
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world.send_event(&offers(&["new"]));
        assert_eq!(world.see().await, Seen::Offers(vec!["new".into()]));
        assert_eq!(world.call().await.1.as_deref(), Some("stream-2"));
        world.end().await;
    });
}

#[test]
fn a_stream_that_is_no_recordio_is_left() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        world.send(b"what?\n");
        assert_eq!(world.see().await, Seen::Disconnected);
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world.end().await;
    });
}

#[test]
fn a_silent_master_is_left_after_five_heartbeats() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, shared| *shared.heartbeat.lock() = Some(0.02)).await;
        assert_eq!(world.see().await, Seen::Disconnected);
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world.end().await;
    });
}

/// A master that has each call but SUBSCRIBE wait for a minute: its process was stopped, or its host is short of memory.
struct Slow(FakeMaster);

impl Process for Slow {
    const NAME: &'static str = "master";

    fn install(install: &mut Install<Self>) {
        install.post("/api/v1/scheduler", "The scheduler API.", |master, request, _| {
            let response = master.0.call(&request);
            if response.status.as_u16() != 202 {
                return response.into();
            }
            Reply::later(async move {
                sleep(Duration::from_secs(60)).await;
                response
            })
        });
    }
}

/// A scheduler that is subscribed with a slow master.
async fn a_slow_world(framework: v1::FrameworkInfo) -> World {
    let network = Network::new(1, Weather::default(), false);
    network.drive(|| async {}.boxed_local());
    let at = |host: u8| SocketAddr::from(([10, 0, 0, host], 5050));
    let master = network.node(at(1), "master").start().await.unwrap();
    let node = network.node(at(2), "scheduler").start().await.unwrap();
    let ((calls_in, calls), (seen_in, seen)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let shared = Arc::<Shared>::default();
    *shared.heartbeat.lock() = Some(15.0);
    master.spawn(Slow(FakeMaster { calls: calls_in, shared: shared.clone() }));
    let url = master.address().to_string().parse().unwrap();
    let (scheduler, answer) = start(&node, Options::new(url, framework), Probe(seen_in));
    let mut world = World { master, node, shared, calls, seen, scheduler, answer };
    assert_eq!(world.call().await.0.r#type(), Type::Subscribe);
    assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
    world
}

/// In virtual time. Who breaks the stream of a framework without a failover timeout ends it.
#[test]
fn a_call_may_take_as_long_as_a_master_may_be_silent() {
    simulation::run(async {
        let mut world = a_slow_world(v1::FrameworkInfo::default()).await;
        assert_eq!(world.say(|driver| driver.reconcile([])).await, Type::Reconcile);
        sleep(Duration::from_secs(61)).await;
        assert!(world.seen.try_recv().is_err());
        world.end().await;
    });
}

/// In virtual time: the answer is there before the stream breaks. What the framework has suppressed stays so, too.
#[test]
fn it_subscribes_without_a_description_that_a_master_has_refused() {
    simulation::run(async {
        let mut world = a_slow_world(of_two_roles()).await;
        assert_eq!(world.say(|driver| driver.suppress(&["a".into()])).await, Type::Suppress);
        *world.shared.refuse_call.lock() = Some(Response::bad_request("no"));
        let refused = describe(v1::FrameworkInfo { name: "another".into(), ..of_two_roles() }, &[]);
        world.scheduler.tell(Act::new(|_: &mut Probe, driver: &mut Driver<Probe>| driver.call(refused)));
        sleep(Duration::from_secs(61)).await;
        assert_eq!(world.call().await.0.r#type(), Type::UpdateFramework);
        let subscribe = world.subscribe_again().await;
        assert_eq!(
            (subscribe.framework_info.name.as_str(), subscribe.suppressed_roles),
            ("", vec!["a".into()])
        );
        world.end().await;
    });
}

/// In virtual time: it waits for the answer to its last call. The agent sends the update to the next scheduler.
#[test]
fn an_update_for_a_scheduler_that_has_stopped_is_not_acknowledged() {
    simulation::run(async {
        let mut world = a_slow_world(v1::FrameworkInfo::default()).await;
        let act = |_: &mut Probe, driver: &mut Driver<Probe>| {
            driver.reconcile([]);
            driver.stop();
        };
        world.scheduler.tell(Act::new(act));
        assert_eq!(world.call().await.0.r#type(), Type::Reconcile);
        world.send_event(&update(Some(vec![1; 16])));
        // What was sent is answered, and what was sent behind it arrives then.
        sleep(Duration::from_secs(61)).await;
        assert!(world.calls.try_recv().is_err());
        assert!(world.seen.try_recv().is_err());
        assert!(soon(world.answer).await.unwrap().is_ok());
        world.node.shutdown().await;
        world.master.shutdown().await;
    });
}

#[test]
fn a_master_that_does_not_confirm_the_subscription_is_asked_again() {
    libprocess::run(async {
        let mut world = World::new(|options, shared| {
            options.subscription_timeout = Duration::from_millis(500);
            // Its stream stays open, and nothing comes on it.
            let (sender, body) = stream();
            shared.streams.lock().push(sender);
            let silent = Response { body, ..Response::ok(MediaType::Protobuf.as_str(), Vec::new()) };
            shared.refusals.lock().push_back(silent);
        })
        .await;
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world.end().await;
    });
}

/// Upstream: `FaultToleranceTest.FrameworkReliableRegistration`.
#[test]
fn a_master_that_is_not_ready_is_asked_again() {
    libprocess::run(async {
        let mut world = World::new(|_, shared| {
            shared
                .refusals
                .lock()
                .extend([Response::service_unavailable("recovering"), Response::not_found()]);
        })
        .await;
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        assert_eq!(world.shared.streams.lock().len(), 1);
        world.end().await;
    });
}

#[test]
fn a_redirection_is_followed() {
    libprocess::run(async {
        let mut leader = World::subscribed(|_, _| {}).await;
        let location = format!("//{}", leader.master.address());
        let mut world = World::new(|_, shared| {
            shared.refusals.lock().push_back(Response::temporary_redirect(&location));
        })
        .await;
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        assert_eq!(leader.call().await.0.r#type(), Type::Subscribe);
        assert!(world.shared.streams.lock().is_empty());
        world.end().await;
        leader.end().await;
    });
}

/// Upstream: `FaultToleranceTest.SplitBrainMasters`, `MasterTest.MasterLost`, of the driver.
/// Upstream, too: `SchedulerDriverEventTest.SubscribedMasterFailover`.
#[test]
fn what_a_master_says_that_is_detected_no_more_is_not_heard() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        let mut leader = World::subscribed(|_, _| {}).await;
        let address = leader.master.pid("master").to_string();
        let info = v1::MasterInfo { pid: Some(address), ..Default::default() };
        world.scheduler.tell(LeaderChanged { leader: None, node: None });
        assert_eq!(world.see().await, Seen::Disconnected);
        world.scheduler.tell(LeaderChanged { leader: Some(info), node: None });
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        let (call, _) = leader.call().await;
        assert_eq!(call.framework_id.unwrap().value, "framework");
        // The old one has not noticed yet. Its stream may be closed by now.
        let stale = record(MediaType::Protobuf, &update(None));
        let _ = world.shared.streams.lock().last().unwrap().send(stale);
        leader.send_event(&offers(&["a"]));
        assert_eq!(world.see().await, Seen::Offers(vec!["a".into()]));
        world.end().await;
        leader.end().await;
    });
}

#[test]
fn a_refusal_ends_it_with_the_reason() {
    libprocess::run(async {
        let mut world =
            World::new(|_, shared| shared.refusals.lock().push_back(Response::bad_request("no such role")))
                .await;
        assert_eq!(world.see().await, Seen::Error("400: no such role".into()));
        let result = soon(world.answer).await.unwrap();
        assert_eq!(result.err(), Some(Error::Refused("400: no such role".into())));
        world.node.shutdown().await;
        world.master.shutdown().await;
    });
}

/// Upstream: `SchedulerDriverEventTest.Error`.
#[test]
fn an_error_event_ends_it() {
    libprocess::run(async {
        let world = World::subscribed(|_, _| {}).await;
        world.end_subscription("Framework has been removed");
        world.has_ended("Framework has been removed").await;
    });
}

/// As by a master that has too many, which closes those that are idle.
#[test]
fn a_connection_that_was_closed_while_it_was_idle_loses_no_call() {
    libprocess::run(async {
        let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (known_in, known) = oneshot::channel();
        let mut world = World::subscribed(|options, _| {
            let master = options.master.to_string();
            options.master = way.local_addr().unwrap().to_string().parse().unwrap();
            tokio::task::spawn_local(hang_up(way, master, known_in));
        })
        .await;
        soon(known).await.unwrap();
        world.send_event(&offers(&["a"]));
        assert_eq!(world.see().await, Seen::Offers(vec!["a".into()]));
        let (call, stream_id) = world.call().await;
        assert_eq!(call.decline.unwrap().offer_ids.len(), 1);
        assert_eq!(stream_id.as_deref(), Some("stream-1"));
        world.end().await;
    });
}

impl World {
    /// Subscribed with its second attempt; the first was lost, and may still reach the master.
    async fn subscribed_at_last() -> World {
        let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
        World::subscribed(|options, _| {
            let master = options.master.to_string();
            options.master = way.local_addr().unwrap().to_string().parse().unwrap();
            tokio::task::spawn_local(lead_astray(way, master));
        })
        .await
    }

    /// The master ends the newest subscription with an error.
    fn end_subscription(&self, message: &str) {
        let error = event::Error { message: message.into() };
        self.send_event(&Event { error: Some(error), ..of(event::Type::Error) });
    }

    /// It has ended with this error.
    async fn has_ended(mut self, message: &str) {
        assert_eq!(self.see().await, Seen::Error(message.into()));
        assert_eq!(soon(self.answer).await.unwrap().err(), Some(Error::Ended(message.into())));
        self.node.shutdown().await;
        self.master.shutdown().await;
    }
}

/// A lost attempt that arrives late takes the place of the one that was answered.
#[test]
fn who_failed_over_to_an_attempt_of_its_own_subscribes_again_and_who_did_to_another_scheduler_ends() {
    libprocess::run(async {
        let mut world = World::subscribed_at_last().await;
        world.end_subscription("Framework failed over");
        assert_eq!(world.see().await, Seen::Disconnected);
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        // Only one attempt was lost.
        world.end_subscription("Framework failed over");
        world.has_ended("Framework failed over").await;
    });
}

/// Of an attempt that found nobody nothing can arrive late.
#[test]
fn who_found_nobody_at_first_leaves_the_framework_to_who_failed_over() {
    libprocess::run(async {
        // A port that nobody listens on: one of a node that has ended.
        let gone = a_node().await;
        let nowhere = format!("//{}", gone.address());
        gone.shutdown().await;
        let mut world = World::new(|_, shared| {
            shared.refusals.lock().push_back(Response::temporary_redirect(&nowhere));
        })
        .await;
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world.end_subscription("Framework failed over");
        world.has_ended("Framework failed over").await;
    });
}

/// What was lost on the way to its last process does not reach the next one.
#[test]
fn who_finds_its_master_started_anew_leaves_the_framework_to_who_failed_over() {
    libprocess::run(async {
        let mut world = World::subscribed_at_last().await;
        *world.shared.id.lock() = "started anew".into();
        world.shared.streams.lock().clear();
        assert_eq!(world.see().await, Seen::Disconnected);
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world.end_subscription("Framework failed over");
        world.has_ended("Framework failed over").await;
    });
}

/// What was lost on the way to an earlier leader does not reach the next one.
#[test]
fn who_has_another_leader_meanwhile_leaves_the_framework_to_who_failed_over() {
    libprocess::run(async {
        let mut world = World::subscribed_at_last().await;
        let leader = World::subscribed(|_, _| {}).await;
        let pid = leader.master.pid("master").to_string();
        let info = v1::MasterInfo { id: "another".into(), pid: Some(pid), ..Default::default() };
        world.scheduler.tell(LeaderChanged { leader: None, node: None });
        assert_eq!(world.see().await, Seen::Disconnected);
        world.scheduler.tell(LeaderChanged { leader: Some(info), node: None });
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        leader.end_subscription("Framework failed over");
        world.has_ended("Framework failed over").await;
        leader.end().await;
    });
}

#[test]
fn an_attempt_that_was_lost_excuses_no_other_error() {
    libprocess::run(async {
        let world = World::subscribed_at_last().await;
        world.end_subscription("Framework has been removed");
        world.has_ended("Framework has been removed").await;
    });
}

#[test]
fn a_tear_down_leaves_before_it_ends() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        world.scheduler.tell(Act::new(|_: &mut Probe, driver: &mut Driver<Probe>| driver.teardown()));
        assert_eq!(world.call().await.0.r#type(), Type::Teardown);
        assert!(soon(world.answer).await.unwrap().is_ok());
        world.node.shutdown().await;
        world.master.shutdown().await;
    });
}

#[test]
fn without_a_master_it_gives_up_when_it_is_told_to() {
    libprocess::run(async {
        let node = a_node().await;
        let (seen, _keep) = mpsc::unbounded_channel();
        let framework = v1::FrameworkInfo::default();
        // A port that nobody listens on: one of a node that has ended.
        let gone = a_node().await;
        let address = gone.address();
        gone.shutdown().await;
        let mut options = Options::new(address.to_string().parse().unwrap(), framework);
        options.patience = Some(Duration::from_millis(300));
        let (_, answer) = start(&node, options, Probe(seen));
        let error = soon(answer).await.unwrap().err().unwrap();
        assert!(
            matches!(&error, Error::NoMaster { master, .. } if *master == address.to_string()),
            "{error}"
        );
        node.shutdown().await;
    });
}

#[test]
fn what_a_callback_leaves_to_be_done_comes_back_to_it() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        world.scheduler.tell(Act::new(|_: &mut Probe, driver: &mut Driver<Probe>| {
            driver.blocking(|| 6 * 7, |probe, _, answer| probe.see(Seen::Update(answer.to_string())));
            driver.after(Duration::from_millis(20), |_, driver| driver.suppress(&[]));
        }));
        assert_eq!(world.see().await, Seen::Update("42".into()));
        assert_eq!(world.call().await.0.r#type(), Type::Suppress);
        world.end().await;
    });
}

#[test]
fn a_dropped_run_tears_down_if_it_is_told_to() {
    libprocess::run(async {
        for teardown in [true, false] {
            let (master, node) = (a_node().await, a_node().await);
            let ((calls_in, mut calls), (seen_in, mut seen)) =
                (mpsc::unbounded_channel(), mpsc::unbounded_channel());
            master.spawn(FakeMaster { calls: calls_in, shared: Arc::default() });
            let mut options =
                Options::new(master.address().to_string().parse().unwrap(), v1::FrameworkInfo::default());
            options.teardown_on_drop = teardown;
            let running = frameworks::scheduler::run(&node, options, Probe(seen_in));
            tokio::select! {
                biased;
                _ = running => panic!("nobody ends it"),
                seen = soon(seen.recv()) => assert_eq!(seen, Some(Seen::Subscribed("framework".into()))),
            }
            node.shutdown().await;
            master.shutdown().await;
            let mut types = Vec::new();
            while let Ok((call, _)) = calls.try_recv() {
                types.push(call.r#type());
            }
            let expected: &[Type] =
                if teardown { &[Type::Subscribe, Type::Teardown] } else { &[Type::Subscribe] };
            assert_eq!(types, expected);
        }
    });
}

/// Upstream: `SchedulerDriverEventTest.Rescind`, `SchedulerDriverEventTest.Failure`, `SchedulerDriverEventTest.Message`.
#[test]
fn each_event_reaches_its_callback() {
    libprocess::run(async {
        let mut world = World::subscribed(|_, _| {}).await;
        let rescind = event::Rescind { offer_id: v1::OfferId { value: "o".into() } };
        world.send_event(&Event { rescind: Some(rescind), ..of(event::Type::Rescind) });
        assert_eq!(world.see().await, Seen::Rescinded("o".into()));
        let rescind = event::RescindInverseOffer { inverse_offer_id: v1::OfferId { value: "i".into() } };
        let kind = event::Type::RescindInverseOffer;
        world.send_event(&Event { rescind_inverse_offer: Some(rescind), ..of(kind) });
        assert_eq!(world.see().await, Seen::InverseRescinded("i".into()));
        let agent_id = v1::AgentId { value: "a".into() };
        let executor_id = v1::ExecutorId { value: "e".into() };
        let agent = event::Failure { agent_id: Some(agent_id.clone()), ..Default::default() };
        let executor =
            event::Failure { executor_id: Some(executor_id.clone()), status: Some(255), ..agent.clone() };
        for failure in [executor, agent] {
            world.send_event(&Event { failure: Some(failure.clone()), ..of(event::Type::Failure) });
            assert_eq!(world.see().await, Seen::Failed(failure));
        }
        let message = event::Message { agent_id, executor_id, data: b"data".to_vec() };
        world.send_event(&Event { message: Some(message.clone()), ..of(event::Type::Message) });
        assert_eq!(world.see().await, Seen::Message(message));
        world.end().await;
    });
}

/// Upstream: `SchedulerDriverEventTest.SubscribedSchedulerFailover`.
#[test]
fn who_has_an_id_takes_the_framework_over() {
    libprocess::run(async {
        let id = v1::FrameworkId { value: "framework".into() };
        let mut world = World::new(|options, _| options.framework.id = Some(id.clone())).await;
        let (call, _) = world.call().await;
        assert_eq!(
            (call.framework_id, call.subscribe.unwrap().framework_info.id),
            (Some(id.clone()), Some(id))
        );
        assert_eq!(world.see().await, Seen::Subscribed("framework".into()));
        world.end().await;
    });
}
