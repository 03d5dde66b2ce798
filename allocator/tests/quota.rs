//! Quotas: guarantees come first, limits are never exceeded, headroom is held back.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use allocator::Quota;
use common::*;

/// Upstream: `QuotaProvidesGuarantee`.
#[test]
fn a_guaranteed_role_comes_before_one_with_a_smaller_share() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:4;mem:1024", ""));
    cluster.framework("Q", &["q"]);
    cluster.framework("B", &["b"]);
    cluster.agent("one", "cpus:2;mem:512");
    assert_eq!(cluster.run()[0].framework, "Q");
    cluster.agent("two", "cpus:2;mem:512");
    assert_eq!(cluster.run()[0].framework, "Q");
    cluster.agent("three", "cpus:2;mem:512");
    assert_eq!(cluster.run()[0].framework, "B");
}

/// Upstream: `QuotaProvidesLimit`, `QuotaAllocationGranularity`.
#[test]
fn a_role_is_offered_no_more_than_its_limit() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("", "cpus:3;mem:700"));
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus:2;mem:512;disk:100;ports:[1-9]");
    cluster.agent("two", "cpus:2;mem:512");
    let offers = cluster.run();
    assert_eq!(sum(&offers), resources("cpus:3;mem:700;disk:100;ports:[1-9]"));
    cluster.core.update_quota("q", &Quota::default());
    assert_eq!(sum(&cluster.tick()), resources("cpus:1;mem:324"));
}

#[test]
fn a_limit_holds_in_the_first_stage_too() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:1", "cpus:2;mem:256"));
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus:8;mem:512");
    assert_eq!(told(&cluster.run()), ["Q/q@one: cpus:2; mem:256"]);
    assert!(cluster.tick().is_empty());
}

/// Upstream: `QuotaAgainstStarvation`, `QuotaAbsentFrameworkWholeAgent`.
#[test]
fn what_an_absent_guaranteed_role_lacks_is_held_back() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:2;mem:512", ""));
    cluster.framework("B", &["b"]);
    cluster.agent("one", "cpus:2;mem:512");
    assert!(cluster.run().is_empty());
    cluster.agent("two", "cpus:2;mem:512;ports:[1-9]");
    let offers = cluster.run();
    assert_eq!(sum(&offers).cpus(), resources("cpus:2").cpus());
    cluster.framework("Q", &["q"]);
    let offers = cluster.run();
    assert!(offers.iter().all(|offer| offer.framework == "Q"), "{offers:?}");
    assert_eq!(sum(&offers), resources("cpus:2;mem:512"));
}

#[test]
fn guarantees_that_are_more_than_there_is_are_met_as_far_as_possible() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("p", &quota("cpus:10", ""));
    cluster.core.update_quota("q", &quota("cpus:10", ""));
    cluster.framework("P", &["p"]);
    cluster.framework("Q", &["q"]);
    for agent in ["one", "two", "three", "four"] {
        cluster.agent(agent, "cpus:2;mem:512");
    }
    assert_eq!(counts(&cluster.run()), BTreeMap::from([("P".into(), 2), ("Q".into(), 2)]));
}

/// Upstream: `ReservationWithinQuota`, `QuotaSetAsideReservedResources`.
#[test]
fn reservations_count_against_the_quota_whether_they_are_used_or_not() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:4;mem:512", "cpus:5;mem:1024"));
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus(q):4;mem(q):512");
    cluster.agent("two", "cpus:4;mem:1024");
    let offers = cluster.run();
    let of_two: Vec<&Offer> = offers.iter().filter(|offer| offer.agent == "two").collect();
    assert_eq!(sum(of_two), resources("cpus:1;mem:512"));
    // Nothing is missing to the guarantee, so nothing is held back from others.
    cluster.framework("B", &["b"]);
    assert_eq!(told(&cluster.run()), ["B/b@two: cpus:3; mem:512"]);
}

/// Upstream: `QuotaWithNestedRoleAllocation`.
#[test]
fn what_roles_below_have_counts_for_the_guaranteed_role() {
    let mut cluster = Cluster::new();
    cluster.agent_using("one", "cpus:2;mem:512", &[("AB", "a/b", "cpus:2;mem:512")]);
    cluster.core.update_quota("a", &quota("cpus:2;mem:512", ""));
    cluster.framework("AB", &["a/b"]);
    cluster.framework("C", &["c"]);
    cluster.agent("two", "cpus:2;mem:512");
    assert_eq!(told(&cluster.run()), ["C/c@two: cpus:2; mem:512"]);
    let roles = cluster.core.roles(cluster.now);
    let a = roles.iter().find(|role| role.path == "a").unwrap();
    assert_eq!(a.consumed, BTreeMap::from([("cpus".into(), 2.0), ("mem".into(), 512.0)]));
}

#[test]
fn offers_count_as_offered_and_become_consumed_when_they_are_used() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("", "cpus:2"));
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus:8;mem:512");
    let offer = cluster.run().remove(0);
    let cpus = |cluster: &Cluster| {
        let role = cluster.core.roles(cluster.now).remove(0);
        (role.offered_or_consumed.get("cpus").copied(), role.consumed.get("cpus").copied())
    };
    assert_eq!(cpus(&cluster), (Some(2.0), None));
    cluster.launch(&offer, "cpus:1;mem:100", 0.0);
    assert_eq!(cpus(&cluster), (Some(1.0), Some(1.0)));
    cluster.task_ends(&offer, "cpus:1;mem:100");
    assert_eq!(cpus(&cluster), (None, None));
}

#[test]
fn resources_that_came_back_are_not_consumed_however_they_came_back() {
    let mut cluster = Cluster::new();
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus:8;mem:512");
    let offer = cluster.run().remove(0);
    cluster.launch(&offer, "cpus:1;mem:100", 0.0);
    cluster.give_back(&offer, &resources("cpus:1;mem:100"), None);
    assert_eq!(cluster.core.roles(cluster.now)[0].consumed, BTreeMap::new());
}

#[test]
fn headroom_is_held_back_from_all_agents_together_not_from_each() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:2", ""));
    cluster.framework("B", &["b"]);
    for agent in ["one", "two", "three"] {
        cluster.agent(agent, "cpus:2");
    }
    assert_eq!(sum(&cluster.run()), resources("cpus:4"));
    assert!(cluster.tick().is_empty());
}

#[test]
fn what_a_run_gives_to_a_guaranteed_role_is_no_longer_held_back_from_others() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:2", ""));
    cluster.framework("B", &["b"]);
    cluster.framework("Q", &["q"]);
    for agent in ["one", "two"] {
        cluster.agent(agent, "cpus:2");
    }
    assert_eq!(counts(&cluster.run()), BTreeMap::from([("B".into(), 1), ("Q".into(), 1)]));
}
