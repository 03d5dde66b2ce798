//! Refusals and how long they last; suppressing and reviving.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use allocator::Options;
use allocator::core::Scope;
use mesos::v1;

/// Upstream: `OfferFilter`.
#[test]
fn a_refusal_holds_for_its_time_for_the_one_who_refused() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.decline(&offer, 3.0);
    for _ in 0..3 {
        assert!(cluster.tick().is_empty());
    }
    assert_eq!(cluster.core.roles(cluster.now)[0].active_filters, 1);
    cluster.framework("B", &["role"]);
    let other = cluster.run().remove(0);
    assert_eq!(other.framework, "B");
    cluster.decline(&other, 0.0);
    cluster.seconds_pass(1);
    assert_eq!(cluster.core.roles(cluster.now)[0].active_filters, 0);
    assert_offer(&cluster.run_over(Scope::All)[0], "A", "role", "agent", &offer.resources);
}

/// Upstream: `SmallOfferFilterTimeout`.
#[test]
fn a_short_refusal_outlives_the_next_run() {
    let options = Options { allocation_interval: 60 * SECOND, ..Default::default() };
    let mut cluster = Cluster::with(options);
    cluster.framework("A", &["role"]);
    cluster.framework("B", &["role"]);
    cluster.agent_using("agent1", "cpus:1;mem:512", &[("A", "role", "cpus:1;mem:512")]);
    assert!(cluster.run().is_empty());
    assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:512"), ["B/role@agent2: cpus:1; mem:512"]);
    let offer = Offer {
        framework: "B".into(),
        role: "role".into(),
        agent: "agent2".into(),
        resources: resources("cpus:1;mem:512"),
    };
    cluster.decline(&offer, 1.0);
    // The refusal is over after a second, but counts for the run that comes after a minute.
    cluster.seconds_pass(60);
    let offers = cluster.run_over(Scope::All);
    assert_eq!(told(&offers), ["A/role@agent2: cpus:1; mem:512"]);
    cluster.give_back(&offers[0], &offer.resources, None);
    cluster.seconds_pass(60);
    assert_eq!(told(&cluster.run_over(Scope::All)), ["B/role@agent2: cpus:1; mem:512"]);
}

#[test]
fn more_than_was_refused_is_offered() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.launch(&offer, "cpus:1;mem:100", 1000.0);
    assert!(cluster.tick().is_empty());
    cluster.task_ends(&offer, "cpus:1;mem:100");
    assert_eq!(cluster.run()[0].resources, resources("cpus:4;mem:1024"));
}

#[test]
fn a_shorter_refusal_of_the_same_does_not_end_a_longer_one() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let mut offer = cluster.run().remove(0);
    for refuse_seconds in [1000.0, 1.0] {
        cluster.launch(&offer, "cpus:2;mem:512", refuse_seconds);
        cluster.seconds_pass(10);
        assert!(cluster.run_over(Scope::All).is_empty());
        // With what the task had it is more than was refused.
        cluster.task_ends(&offer, "cpus:2;mem:512");
        offer = cluster.run().remove(0);
        assert_eq!(offer.resources, resources("cpus:4;mem:1024"));
    }
}

#[test]
fn a_refusal_in_one_role_does_not_hold_in_another() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["a", "b"]);
    let first = cluster.run().remove(0);
    assert_eq!(first.role, "a");
    cluster.decline(&first, 1000.0);
    let second = cluster.only_offer();
    assert_eq!(second.role, "b");
    cluster.decline(&second, 1000.0);
    assert!(cluster.tick().is_empty());
    cluster.core.revive_offers(&framework_id("A"), &set(&["b"])).unwrap();
    assert_eq!(cluster.run()[0].role, "b");
}

/// Upstream: `ReviveOffers`.
#[test]
fn reviving_forgets_what_was_refused() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.decline(&offer, 1000.0);
    assert!(cluster.tick().is_empty());
    cluster.core.revive_offers(&framework_id("A"), &BTreeSet::new()).unwrap();
    assert_eq!(cluster.run().len(), 1);
}

#[test]
fn a_framework_that_was_away_has_refused_nothing() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.decline(&offer, 1000.0);
    cluster.core.deactivate_framework(&framework_id("A")).unwrap();
    assert!(cluster.tick().is_empty());
    cluster.core.activate_framework(&framework_id("A")).unwrap();
    assert_eq!(cluster.run().len(), 1);
}

/// Upstream: `RemoveFilters`.
#[test]
fn changed_attributes_of_an_agent_forget_what_was_refused_there() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.decline(&offer, 1000.0);
    let mut info = agent_info("agent");
    info.port = Some(5052);
    cluster.core.update_agent(&agent_id("agent"), info.clone(), None, None).unwrap();
    assert!(cluster.run().is_empty());
    info.attributes = vec![v1::Attribute { name: "rack".into(), ..Default::default() }];
    cluster.core.update_agent(&agent_id("agent"), info, None, None).unwrap();
    assert_eq!(cluster.run().len(), 1);
}

/// Upstream: `SuppressAndReviveOffersWithMultiRole`.
#[test]
fn reviving_one_role_leaves_what_was_refused_in_another() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role1", "role2"]);
    cluster.core.suppress_offers(&framework_id("F"), &set(&["role1"])).unwrap();
    cluster.agent("agent", "cpus:2;mem:1024");
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "F", "role2", "agent", &resources("cpus:2;mem:1024"));
    cluster.decline(&offer, A_DAY);
    cluster.nothing_at_tick();
    cluster.core.revive_offers(&framework_id("F"), &set(&["role1"])).unwrap();
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "F", "role1", "agent", &resources("cpus:2;mem:1024"));
    cluster.decline(&offer, A_DAY);
    cluster.nothing_at_tick();
}

/// Upstream: `SuppressAndReviveOffers`.
#[test]
fn reviving_without_need_does_no_harm_and_after_suppressing_brings_offers() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:2;mem:1024");
    cluster.framework("F", &["role1"]);
    let offer = cluster.run().remove(0);
    let (id, all) = (framework_id("F"), BTreeSet::new());
    cluster.core.revive_offers(&id, &all).unwrap();
    assert!(cluster.run().is_empty());
    cluster.give_back(&offer, &offer.resources.clone(), None);
    cluster.core.suppress_offers(&id, &all).unwrap();
    cluster.nothing_at_tick();
    cluster.core.revive_offers(&id, &all).unwrap();
    assert_eq!(told(&cluster.run()), ["F/role1@agent: cpus:2; mem:1024"]);
}

/// Upstream: `DeactivateAndReactivateFramework`.
#[test]
fn a_framework_that_suppressed_and_went_away_gets_offers_when_it_is_back_and_revives() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:2;mem:1024");
    cluster.framework("F", &["role1"]);
    let offer = cluster.run().remove(0);
    cluster.give_back(&offer, &offer.resources.clone(), None);
    let (id, all) = (framework_id("F"), BTreeSet::new());
    cluster.core.suppress_offers(&id, &all).unwrap();
    cluster.core.deactivate_framework(&id).unwrap();
    cluster.nothing_at_tick();
    // It is back, and still wants nothing until it says so.
    cluster.core.activate_framework(&id).unwrap();
    assert!(cluster.run().is_empty());
    cluster.core.revive_offers(&id, &all).unwrap();
    assert_eq!(told(&cluster.run()), ["F/role1@agent: cpus:2; mem:1024"]);
}

#[test]
fn a_suppressed_role_gets_no_offers_until_it_is_revived() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a", "b"]);
    cluster.core.suppress_offers(&framework_id("A"), &set(&["a"])).unwrap();
    cluster.agent("agent1", "cpus:4;mem:1024");
    assert_eq!(told(&cluster.run()), ["A/b@agent1: cpus:4; mem:1024"]);
    cluster.core.suppress_offers(&framework_id("A"), &BTreeSet::new()).unwrap();
    cluster.agent("agent2", "cpus:4;mem:1024");
    assert!(cluster.run().is_empty());
    assert!(cluster.tick().is_empty());
    cluster.core.revive_offers(&framework_id("A"), &BTreeSet::new()).unwrap();
    assert_eq!(told(&cluster.run()), ["A/a@agent2: cpus:4; mem:1024"]);
}

#[test]
fn a_framework_may_begin_suppressed_and_change_that_with_its_info() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    let (id, info) = (framework_id("A"), framework_info(&["a", "b"]));
    cluster.core.add_framework(&id, &info, &BTreeMap::new(), true, &set(&["a", "b"]).into()).unwrap();
    assert!(cluster.run().is_empty());
    cluster.core.update_framework(&id, &info, &set(&["a"]).into()).unwrap();
    let offer = cluster.run().remove(0);
    assert_eq!(offer.role, "b");
    // It leaves the role, and keeps what it has of it until it gives that back.
    cluster.core.update_framework(&id, &framework_info(&["c"]), &FrameworkOptions::default()).unwrap();
    assert_eq!(cluster.core.held(&id, &agent_id("agent"))["b"], resources("cpus:4;mem:1024"));
    cluster.decline(&offer, 1000.0);
    assert_eq!(cluster.only_offer().role, "c");
    assert!(cluster.core.roles(cluster.now).iter().all(|role| role.path == "c"));
}
