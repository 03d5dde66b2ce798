//! One scheduler of a framework takes over from another, or from an attempt of its own.

use election::LeaderChanged;
use libprocess::http::Response;
use mesos::v1;
use tokio::net::TcpListener;

use crate::support::lead_astray;
use crate::world::{Seen, World, a_node};

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
