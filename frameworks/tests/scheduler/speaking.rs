//! What the scheduler library says, and what it hands to the scheduler.

use std::time::Duration;

use election::LeaderChanged;
use frameworks::scheduler::{Act, Driver};
use mesos::{
    MediaType,
    v1::{
        self,
        scheduler::{Event, call::Type, event},
    },
};

use crate::world::{Probe, Seen, World, describe, of, of_two_roles, offers, record, update};

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
