//! Quotas that change while resources are offered and used: the allocator's part of what an operator does.
//!
//! The master decides which offers it rescinds, and checks a quota before it tells the allocator.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::*;
use allocator::Quota;

fn figures(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// Upstream: `AvailableResourcesAfterRescinding`, `RescindOffersForUpdateQuotaGuarantees`.
#[test]
fn what_was_rescinded_for_a_guarantee_goes_to_its_role() {
    let mut cluster = Cluster::new();
    for agent in ["agent1", "agent2", "agent3"] {
        cluster.agent(agent, "cpus:2;mem:1024");
    }
    cluster.framework("F1", &["role1"]);
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("F1".into(), 3)]));
    cluster.framework("F2", &["role2"]);
    cluster.framework("F3", &["role2"]);
    assert!(cluster.run().is_empty());
    // For each framework in the role the master takes one offer back.
    cluster.core.update_quota("role2", &quota("cpus:1;mem:512", ""));
    for offer in &offers[..2] {
        cluster.give_back(offer, &offer.resources.clone(), None);
    }
    let offers = cluster.tick();
    assert_eq!(counts(&offers), BTreeMap::from([("F2".into(), 1), ("F3".into(), 1)]));
    assert_eq!(sum(&offers), resources("cpus:4;mem:2048"));
}

/// Upstream: `RescindOffersEnforcingLimits`.
#[test]
fn what_is_offered_below_a_role_counts_as_offered_to_it() {
    let mut cluster = Cluster::new();
    cluster.framework("F1", &["role1"]);
    cluster.agent("agent1", "cpus:1;mem:1024");
    let first = cluster.run().remove(0);
    cluster.framework("F2", &["role1/child"]);
    cluster.agent("agent2", "cpus:1;mem:1024");
    let second = cluster.run().remove(0);
    assert_eq!((&*first.framework, &*second.framework), ("F1", "F2"));
    let offered = |cluster: &Cluster| cluster.core.roles(cluster.now).remove(0).offered_or_consumed;
    assert_eq!(offered(&cluster), figures(&[("cpus", 2.0), ("mem", 2048.0)]));
    // The master takes both back for a lower limit: half an agent may be offered to the role itself, and the
    // role below it is not bound by the limit.
    cluster.core.update_quota("role1", &quota("", "cpus:0.5;mem:512"));
    for offer in [&first, &second] {
        cluster.give_back(offer, &offer.resources.clone(), None);
    }
    assert_eq!(offered(&cluster), BTreeMap::new());
    let offers = cluster.tick();
    let to_f1 = sum(offers.iter().filter(|offer| offer.framework == "F1"));
    assert!(resources("cpus:0.5;mem:512").contains(&to_f1), "{offers:?}");
    assert_eq!(sum(&offers), resources("cpus:2;mem:2048"));
}

/// Upstream: `ValidateLimitAgainstConsumed`.
#[test]
fn what_a_role_consumes_is_known_and_may_be_more_than_a_later_limit() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role1"]);
    cluster.agent("agent1", "cpus:2;mem:1024");
    let offer = cluster.run().remove(0);
    cluster.launch(&offer, "cpus:2;mem:1024", 0.0);
    let consumed = cluster.core.roles(cluster.now).remove(0).consumed;
    assert_eq!(consumed, figures(&[("cpus", 2.0), ("mem", 1024.0)]));
    // The operator forces it: what runs stays, and nothing more of it is offered.
    cluster.core.update_quota("role1", &quota("", "cpus:1"));
    assert_eq!(cluster.with_agent("agent2", "cpus:2;mem:1024"), ["F/role1@agent2: mem:1024"]);
    cluster.task_ends(&offer, "cpus:2;mem:1024");
    assert_eq!(told(&cluster.run()), ["F/role1@agent1: cpus:1; mem:1024"]);
}

/// Upstream: `RecoverQuotaEmptyCluster`.
#[test]
fn a_recovered_quota_is_in_force_in_an_empty_cluster_and_can_be_removed() {
    let mut cluster = Cluster::new();
    let quotas = BTreeMap::from([("role1".to_owned(), exact_quota("cpus:1;mem:512"))]);
    cluster.core.recover(0, &quotas, cluster.now);
    assert!(!cluster.core.is_held(cluster.now));
    cluster.framework("N", &["n"]);
    assert!(cluster.with_agent("agent", "cpus:1;mem:512").is_empty());
    cluster.core.update_quota("role1", &Quota::default());
    assert_eq!(told(&cluster.tick()), ["N/n@agent: cpus:1; mem:512"]);
    assert!(cluster.core.roles(cluster.now).iter().all(|role| role.path == "n"));
}

/// Upstream: `UpdateQuotaTooLarge`. Larger ones the master refuses.
#[test]
fn the_largest_quotas_of_many_roles_together_are_still_numbers() {
    let mut cluster = Cluster::new();
    // An exabyte, in megabytes, and a trillion of anything else.
    let largest = "cpus:1000000000000;mem:1099511627776;disk:1099511627776";
    for role in 0..10_000 {
        cluster.core.update_quota(&format!("q{role}"), &exact_quota(largest));
    }
    cluster.framework("Q", &["q1"]);
    cluster.framework("N", &["n"]);
    assert_eq!(cluster.with_agent("agent", "cpus:1;mem:512"), ["Q/q1@agent: cpus:1; mem:512"]);
    cluster.nothing_at_tick();
}
