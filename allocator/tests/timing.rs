//! When the actor runs: events at once and together, declined resources at the interval.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::actor::{MILLISECOND, Setup};
use crate::common::*;
use allocator::Options;
use allocator::messages::*;
use libprocess::testing;

#[test]
fn the_allocator_has_upstreams_name() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        assert_eq!(setup.allocator.pid().id(), "hierarchical-allocator(1)");
    });
}

#[test]
fn a_thousand_events_are_served_by_two_runs_at_most() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        for framework in 0..100 {
            setup.add_framework(&format!("F{framework:03}"), "role");
        }
        for agent in 0..900 {
            setup.add_agent(&format!("S{agent:03}"));
        }
        testing::settle().await;
        setup.pass(10 * MILLISECOND).await;
        assert!(setup.runs() <= 2.0, "{} runs", setup.runs());
        let offered: usize = setup.heard().iter().map(|(_, offers)| offers.len()).sum();
        assert_eq!(offered, 900);
    });
}

#[test]
fn an_ended_task_is_offered_again_within_milliseconds_and_a_declined_offer_at_the_interval() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        setup.add_agent("S");
        setup.add_framework("F", "role");
        testing::settle().await;
        let offer = setup.heard().remove(0).1.remove(0);

        setup.recover(&offer, "cpus:3;mem:924", false, Some(0.0));
        setup.pass(500 * MILLISECOND).await;
        assert!(setup.heard().is_empty());
        setup.pass(600 * MILLISECOND).await;
        let (_, offers) = setup.heard().remove(0);
        assert_eq!(offers[0].resources, resources("cpus:3;mem:924"));

        let ended = setup.node.elapsed();
        setup.allocator.tell(TransitionOfferedToAllocated {
            agent: agent_id("S"),
            resources: resources("cpus:1;mem:100").allocated_to("role"),
        });
        setup.recover(&offer, "cpus:1;mem:100", true, None);
        setup.pass(20 * MILLISECOND).await;
        let (at, offers) = setup.heard().remove(0);
        assert_eq!(offers[0].resources, resources("cpus:1;mem:100"));
        assert!(at - ended <= 10 * MILLISECOND, "it took {:?}", at - ended);
    });
}

#[test]
fn refusing_for_no_time_does_not_spin() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        setup.add_agent("S");
        setup.add_framework("F", "role");
        let mut offers = 0;
        for _ in 0..1000 {
            setup.pass(10 * MILLISECOND).await;
            for (_, heard) in setup.heard() {
                offers += heard.len();
                setup.recover(&heard[0], "cpus:4;mem:1024", false, Some(0.0));
            }
        }
        assert!((10..=12).contains(&offers), "{offers} offers in 10 seconds");
    });
}

#[test]
fn runs_keep_their_distance() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        setup.add_framework("F", "role");
        setup.pass(100 * MILLISECOND).await;
        let before = setup.runs();
        // An agent each millisecond for 100 ms.
        for agent in 0..100 {
            setup.add_agent(&format!("S{agent}"));
            setup.pass(MILLISECOND).await;
        }
        setup.pass(10 * MILLISECOND).await;
        let runs = setup.runs() - before;
        assert!((10.0..=22.0).contains(&runs), "{runs} runs in 100 ms");
        let offered: usize = setup.heard().iter().map(|(_, offers)| offers.len()).sum();
        assert_eq!(offered, 100);
    });
}

#[test]
fn without_allocation_on_recovery_an_ended_task_waits_for_the_interval() {
    testing::run(async {
        let setup = Setup::new(Options { allocation_on_recovery: false, ..Default::default() }).await;
        setup.add_agent("S");
        setup.add_framework("F", "role");
        testing::settle().await;
        let offer = setup.heard().remove(0).1.remove(0);
        setup.recover(&offer, "cpus:1;mem:100", true, None);
        setup.pass(500 * MILLISECOND).await;
        assert!(setup.heard().is_empty());
        setup.pass(600 * MILLISECOND).await;
        assert_eq!(setup.heard().len(), 1);
    });
}

#[test]
fn an_operation_on_what_is_not_there_is_answered_with_an_error() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        let unknown = UpdateAvailable { agent: agent_id("S"), operations: Vec::new() };
        assert!(setup.allocator.ask(unknown.clone()).await.unwrap().is_err());
        setup.add_agent("S");
        assert_eq!(setup.allocator.ask(unknown).await.unwrap(), Ok(()));
    });
}

/// Upstream: `pause` and `resume` of the allocator's interface.
#[test]
fn while_allocation_is_paused_nothing_is_offered_and_what_happened_is_served_afterwards() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        setup.add_framework("F", "role");
        testing::settle().await;
        setup.allocator.tell(Pause);
        setup.add_agent("S");
        setup.pass(3 * SECOND).await;
        assert!(setup.heard().is_empty());
        let runs = setup.runs();
        setup.allocator.tell(Resume);
        setup.pass(10 * MILLISECOND).await;
        assert_eq!(setup.only_heard().agent, "S");
        assert_eq!(setup.runs(), runs + 1.0);
    });
}
