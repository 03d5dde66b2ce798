//! Masters that are slow, silent, somewhere else or gone, and how a run of the library ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use election::LeaderChanged;
use frameworks::scheduler::{Act, Driver, Error, Options, start};
use futures::FutureExt;
use libprocess::{
    Install, Process,
    http::{Reply, Response, stream},
    simulation::{self, Network, Weather},
};
use mesos::{
    MediaType,
    v1::{self, scheduler::call::Type},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::sleep,
};

use crate::support::hang_up;
use crate::world::{
    FakeMaster, Probe, Seen, Shared, World, a_node, describe, of_two_roles, offers, record, soon, update,
};

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
