//! Agents with planned maintenance: who is asked to leave them, how often, and what is made of the answers.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::common::actor::MILLISECOND;
use crate::common::*;
use allocator::core::{InverseOffers, UnavailableResources};
use allocator::messages::*;
use allocator::{Allocator, EventError, Options};
use libprocess::{Node, Pid, Recipient, testing};
use mesos::v1::allocator::{InverseOfferStatus, inverse_offer_status};
use mesos::{Resources, v1};

const A_MINUTE: i64 = 60_000_000_000;

fn from(nanoseconds: i64) -> v1::Unavailability {
    v1::Unavailability { start: v1::TimeInfo { nanoseconds }, ..Default::default() }
}

fn accepted(framework: &str) -> InverseOfferStatus {
    InverseOfferStatus {
        status: inverse_offer_status::Status::Accept as i32,
        framework_id: v1::FrameworkId { value: framework.into() },
        timestamp: v1::TimeInfo { nanoseconds: 1 },
    }
}

/// Inverse offers as `framework@agent`.
fn asked(offers: &InverseOffers) -> Vec<String> {
    let pairs =
        offers.iter().flat_map(|(framework, by_agent)| by_agent.keys().map(move |at| (framework, at)));
    pairs.map(|(framework, agent)| format!("{framework}@{agent}")).collect()
}

impl Cluster {
    fn plan(&mut self, agent: &str, unavailability: Option<v1::Unavailability>) {
        self.core.update_unavailability(&agent_id(agent), unavailability).unwrap();
    }

    /// Who is asked after a run for what events marked.
    fn asked(&mut self) -> Vec<String> {
        self.run();
        asked(&self.core.inverse_offers(self.now))
    }

    /// Who is asked after the next periodic run.
    fn asked_at_tick(&mut self) -> Vec<String> {
        self.tick();
        asked(&self.core.inverse_offers(self.now))
    }

    fn answer(&mut self, framework: &str, agent: &str, refuse_seconds: Option<f64>) {
        let filters = refuse_seconds.map(refuse);
        let (framework_id, agent_id) = (framework_id(framework), agent_id(agent));
        let status = Some(accepted(framework));
        self.core.update_inverse_offer(&agent_id, &framework_id, status, filters.as_ref(), self.now).unwrap();
    }
}

/// Upstream: `MaintenanceInverseOffers`.
#[test]
fn who_has_something_of_an_agent_with_maintenance_is_asked_once_to_leave_it() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["*"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:2;mem:1024"), ["F/*@agent1: cpus:2; mem:1024"]);
    cluster.agent("agent2", "cpus:2;mem:1024");
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "F", "*", "agent2", &resources("cpus:2;mem:1024"));
    cluster.decline(&offer, A_DAY);
    cluster.plan("agent1", Some(from(A_MINUTE)));
    cluster.plan("agent2", Some(from(A_MINUTE)));
    cluster.run();
    // Of agent2 the framework has nothing. No resources stand for all that it has.
    let unavailable = UnavailableResources { resources: Resources::new(), unavailability: from(A_MINUTE) };
    let expected = BTreeMap::from([(agent_id("agent1"), unavailable)]);
    let offers = cluster.core.inverse_offers(cluster.now);
    assert_eq!(offers, BTreeMap::from([(framework_id("F"), expected)]));
    assert!(cluster.asked_at_tick().is_empty());
}

/// Upstream: `AddAgentWithUnknownFrameworkAndMaintenance`.
#[test]
fn an_agent_with_maintenance_may_be_used_by_a_framework_that_has_not_come_back() {
    let mut cluster = Cluster::new();
    let used = BTreeMap::from([(framework_id("lost"), resources("cpus:2;mem:1024").allocated_to("role"))]);
    let (info, total) = (agent_info("agent1"), resources("cpus:2;mem:1024"));
    let in_a_year = Some(from(365 * 24 * 60 * A_MINUTE));
    let agent1 = agent_id("agent1");
    cluster.core.add_agent(&agent1, info, &agent_capabilities(), in_a_year, &total, &used).unwrap();
    assert!(cluster.asked().is_empty());
    cluster.framework("F", &["role"]);
    assert!(cluster.asked().is_empty());
    assert_eq!(cluster.with_agent("agent2", "cpus:2;mem:1024"), ["F/role@agent2: cpus:2; mem:1024"]);
    cluster.plan("agent2", Some(from(A_MINUTE)));
    assert_eq!(cluster.asked(), ["F@agent2"]);
    // It comes back, and is asked like any other.
    cluster.framework("lost", &["role"]);
    assert_eq!(cluster.asked(), ["lost@agent1"]);
}

#[test]
fn who_answered_is_asked_again_unless_he_refused_for_a_time() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    assert_eq!(cluster.run().len(), 1);
    cluster.plan("agent", Some(from(A_MINUTE)));
    assert_eq!(cluster.asked(), ["F@agent"]);
    cluster.answer("F", "agent", None);
    assert_eq!(cluster.asked_at_tick(), ["F@agent"]);
    // Half a second is not made longer, as it is for offers.
    cluster.answer("F", "agent", Some(0.5));
    assert_eq!(cluster.asked_at_tick(), ["F@agent"]);
    cluster.answer("F", "agent", Some(1.5));
    assert!(cluster.asked_at_tick().is_empty());
    assert_eq!(cluster.asked_at_tick(), ["F@agent"]);
}

#[test]
fn a_shorter_refusal_does_not_end_a_longer_one_but_going_away_does() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    cluster.plan("agent", Some(from(A_MINUTE)));
    assert_eq!(cluster.asked(), ["F@agent"]);
    cluster.answer("F", "agent", Some(A_DAY));
    cluster.answer("F", "agent", Some(0.5));
    assert!(cluster.asked_at_tick().is_empty());
    cluster.core.deactivate_framework(&framework_id("F")).unwrap();
    cluster.core.activate_framework(&framework_id("F")).unwrap();
    assert_eq!(cluster.asked(), ["F@agent"]);
}

/// As upstream's allocator has it (`removeFilters`).
#[test]
fn changed_attributes_of_an_agent_forget_who_did_not_want_to_be_asked_again() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    cluster.plan("agent", Some(from(A_MINUTE)));
    assert_eq!(cluster.asked(), ["F@agent"]);
    cluster.answer("F", "agent", Some(A_DAY));
    let mut info = agent_info("agent");
    info.port = Some(5052);
    cluster.core.update_agent(&agent_id("agent"), info.clone(), None, None).unwrap();
    assert!(cluster.asked().is_empty());
    info.attributes = vec![v1::Attribute { name: "rack".into(), ..Default::default() }];
    cluster.core.update_agent(&agent_id("agent"), info, None, None).unwrap();
    assert_eq!(cluster.asked(), ["F@agent"]);
}

#[test]
fn an_answer_that_nobody_waits_for_is_no_answer() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    cluster.plan("agent", Some(from(A_MINUTE)));
    assert_eq!(cluster.asked(), ["F@agent"]);
    // The plan changes while the answer is on its way.
    cluster.plan("agent", Some(from(2 * A_MINUTE)));
    cluster.answer("F", "agent", None);
    assert!(cluster.core.inverse_offer_statuses()[&agent_id("agent")].is_empty());
    assert_eq!(cluster.asked(), ["F@agent"]);
}

#[test]
fn a_new_plan_makes_answers_and_refusals_void_and_reviving_the_refusals() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    cluster.plan("agent", Some(from(A_MINUTE)));
    assert_eq!(cluster.asked(), ["F@agent"]);
    cluster.answer("F", "agent", Some(A_DAY));
    let statuses = cluster.core.inverse_offer_statuses();
    assert_eq!(statuses[&agent_id("agent")], BTreeMap::from([(framework_id("F"), accepted("F"))]));
    assert!(cluster.asked_at_tick().is_empty());

    cluster.plan("agent", Some(from(2 * A_MINUTE)));
    assert!(cluster.core.inverse_offer_statuses()[&agent_id("agent")].is_empty());
    assert_eq!(cluster.asked(), ["F@agent"]);
    cluster.answer("F", "agent", Some(A_DAY));
    cluster.core.revive_offers(&framework_id("F"), &set(&[])).unwrap();
    assert_eq!(cluster.asked(), ["F@agent"]);

    cluster.plan("agent", None);
    assert!(cluster.asked().is_empty() && cluster.core.inverse_offer_statuses().is_empty());
    let (agent, framework) = (agent_id("agent"), framework_id("F"));
    let late = cluster.core.update_inverse_offer(&agent, &framework, None, None, cluster.now);
    assert_eq!(late, Err(EventError::NoMaintenance(agent)));
}

/// A scheduler that takes a framework over has not heard what the one before it was asked.
#[test]
fn who_says_anew_what_he_is_is_asked_again() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    cluster.plan("agent", Some(from(A_MINUTE)));
    assert_eq!(cluster.asked(), ["F@agent"]);
    cluster.answer("F", "agent", Some(A_DAY));
    assert!(cluster.asked_at_tick().is_empty());
    let (info, options) = (framework_info(&["role"]), FrameworkOptions::default());
    cluster.core.update_framework(&framework_id("F"), &info, &options).unwrap();
    assert_eq!(cluster.asked_at_tick(), ["F@agent"]);
}

#[test]
fn who_is_away_is_not_asked_until_he_is_back() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    assert_eq!(cluster.run().len(), 1);
    cluster.core.deactivate_framework(&framework_id("F")).unwrap();
    cluster.plan("agent", Some(from(A_MINUTE)));
    assert!(cluster.asked().is_empty());
    cluster.core.activate_framework(&framework_id("F")).unwrap();
    assert_eq!(cluster.asked(), ["F@agent"]);
}

#[test]
fn agents_out_of_service_and_full_ones_are_asked_about_too() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    assert_eq!(cluster.run().len(), 1);
    cluster.core.deactivate_agent(&agent_id("agent")).unwrap();
    cluster.plan("agent", Some(from(A_MINUTE)));
    assert_eq!(cluster.asked(), ["F@agent"]);
}

#[test]
fn the_actor_tells_the_master_whom_to_ask() {
    testing::run(async {
        let node = Node::builder().offline().start().await.unwrap();
        let allocator = node.spawn_numbered(Allocator::new());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        let offers = Recipient::from_fn(Pid::nobody(), |_: MakeOffers, _: &Pid| {});
        let inverse_offers = Recipient::from_fn(
            Pid::nobody(),
            move |MakeInverseOffers(offers): MakeInverseOffers, _: &Pid| {
                notes.lock().unwrap().extend(asked(&offers));
            },
        );
        allocator.tell(Initialize {
            options: Options::default(),
            offers,
            inverse_offers: Some(inverse_offers),
        });
        allocator.tell(AddFramework {
            id: framework_id("F"),
            info: framework_info(&["role"]),
            used: BTreeMap::new(),
            active: true,
            options: FrameworkOptions::default(),
        });
        allocator.tell(AddAgent {
            id: agent_id("S"),
            info: agent_info("S"),
            capabilities: agent_capabilities(),
            unavailability: Some(from(A_MINUTE)),
            total: resources("cpus:2;mem:1024"),
            used: BTreeMap::new(),
        });
        tokio::time::sleep(10 * MILLISECOND).await;
        testing::settle().await;
        assert_eq!(*heard.lock().unwrap(), ["F@S"]);
        allocator.tell(UpdateInverseOffer {
            agent: agent_id("S"),
            framework: framework_id("F"),
            status: Some(accepted("F")),
            filters: None,
        });
        let statuses = allocator.ask(GetInverseOfferStatuses).await.unwrap();
        assert_eq!(statuses[&agent_id("S")].len(), 1);
    });
}
