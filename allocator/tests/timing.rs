//! When the actor runs: events at once and together, declined resources at the interval.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allocator::messages::*;
use allocator::{Allocator, Options};
use common::*;
use libprocess::{Address, Node, Pid, Recipient, testing};

const MILLISECOND: Duration = Duration::from_millis(1);

/// What was offered, and when.
type Heard = Vec<(Duration, Vec<Offer>)>;

/// An allocator, and a master that notes what is offered and when.
struct Setup {
    node: Node,
    allocator: Address<Allocator>,
    heard: Arc<Mutex<Heard>>,
}

impl Setup {
    async fn new(options: Options) -> Setup {
        let node = Node::builder().offline().start().await.unwrap();
        let allocator = node.spawn_numbered(Allocator::new());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (notes, clock) = (Arc::clone(&heard), node.clone());
        let offers = Recipient::from_fn(Pid::nobody(), move |MakeOffers(offers): MakeOffers, _: &Pid| {
            notes.lock().unwrap().push((clock.elapsed(), list(&offers)));
        });
        allocator.tell(Initialize { options, offers, inverse_offers: None });
        testing::settle().await;
        Setup { node, allocator, heard }
    }

    fn add_framework(&self, name: &str) {
        self.allocator.tell(AddFramework {
            id: framework_id(name),
            info: framework_info(&["role"]),
            used: BTreeMap::new(),
            active: true,
            suppressed_roles: BTreeSet::new(),
        });
    }

    fn add_agent(&self, name: &str) {
        self.allocator.tell(AddAgent {
            id: agent_id(name),
            info: agent_info(name),
            capabilities: agent_capabilities(),
            unavailability: None,
            total: resources("cpus:4;mem:1024"),
            used: BTreeMap::new(),
        });
    }

    fn recover(&self, offer: &Offer, text: &str, is_allocated: bool, refuse_seconds: Option<f64>) {
        self.allocator.tell(RecoverResources {
            framework: framework_id(&offer.framework),
            agent: agent_id(&offer.agent),
            resources: resources(text).allocated_to(&offer.role),
            filters: refuse_seconds.map(refuse),
            is_allocated,
        });
    }

    /// What was offered since the last call.
    fn heard(&self) -> Heard {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        testing::settle().await;
    }

    fn runs(&self) -> f64 {
        self.node.metrics().value("allocator/mesos/allocation_runs").unwrap()
    }
}

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
            setup.add_framework(&format!("F{framework:03}"));
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
        setup.add_framework("F");
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
        setup.add_framework("F");
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
        setup.add_framework("F");
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
        setup.add_framework("F");
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
fn metrics_carry_upstreams_names_and_go_with_their_roles() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        setup.add_agent("S");
        setup.add_framework("F");
        setup.pass(1100 * MILLISECOND).await;
        let metrics = setup.node.metrics();
        assert_eq!(metrics.value("allocator/mesos/resources/cpus/total"), Some(4.0));
        assert_eq!(metrics.value("allocator/mesos/resources/mem/offered_or_allocated"), Some(1024.0));
        assert_eq!(metrics.value("allocator/mesos/roles/role/shares/dominant"), Some(1.0));
        assert_eq!(metrics.value("allocator/mesos/offer_filters/roles/role/active"), Some(0.0));
        assert_eq!(metrics.value("allocator/mesos/event_queue_dispatches"), Some(0.0));
        let offer = setup.heard().remove(0).1.remove(0);
        setup.recover(&offer, "cpus:4;mem:1024", false, Some(1000.0));
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(metrics.value("allocator/mesos/offer_filters/roles/role/active"), Some(1.0));
        setup.allocator.tell(RemoveFramework { id: framework_id("F") });
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(metrics.value("allocator/mesos/offer_filters/roles/role/active"), None);
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
