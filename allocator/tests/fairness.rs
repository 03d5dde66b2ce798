//! Fairness as the literature states it: the example of the DRF paper, weights, trees of roles.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use common::*;

/// Ghodsi et al., "Dominant Resource Fairness", 4.1: 9 cpus and 18 GB; A's tasks need 1 cpu and 4 GB,
/// B's 3 cpus and 1 GB. A ends with 3 tasks and B with 2, both with a dominant share of 2/3.
#[test]
fn the_example_of_the_paper_ends_with_three_tasks_and_two() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:9;mem:18432");
    cluster.framework("A", &["a"]);
    cluster.framework("B", &["b"]);
    let needs = BTreeMap::from([("A", "cpus:1;mem:4096"), ("B", "cpus:3;mem:1024")]);
    let mut order = String::new();
    for _ in 0..8 {
        let Some(offer) = cluster.tick().pop() else { break };
        let task = needs[offer.framework.as_str()];
        if offer.resources.contains(&resources(task)) {
            order += &offer.framework;
            cluster.launch(&offer, task, 0.0);
        } else {
            cluster.decline(&offer, 0.0);
        }
    }
    // A goes first for its name; then always the one whose dominant share is smaller.
    assert_eq!(order, "ABABA");
    assert_eq!(order.matches('A').count(), 3);
    assert_eq!(order.matches('B').count(), 2);
    let share = |role: &str| {
        let roles = cluster.core.roles(cluster.now);
        roles.iter().find(|view| view.path == role).unwrap().dominant_share
    };
    assert_eq!(share("a"), Some(12.0 / 18.0));
    assert_eq!(share("b"), Some(6.0 / 9.0));
}

#[test]
fn equal_frameworks_get_equally_many_agents() {
    let mut cluster = Cluster::new();
    for framework in ["A", "B", "C"] {
        cluster.framework(framework, &["role"]);
    }
    for agent in 0..9 {
        cluster.agent(&format!("agent{agent}"), "cpus:2;mem:1024;ports:[31000-32000]");
    }
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("A".into(), 3), ("B".into(), 3), ("C".into(), 3)]));
    assert!(offers.iter().all(|offer| offer.resources == resources("cpus:2;mem:1024;ports:[31000-32000]")));
    assert!(cluster.tick().is_empty());
}

#[test]
fn a_role_of_twice_the_weight_gets_twice_the_agents() {
    let mut cluster = Cluster::new();
    cluster.core.update_weights(&BTreeMap::from([("heavy".to_owned(), 2.0)]));
    cluster.framework("H", &["heavy"]);
    cluster.framework("L", &["light"]);
    for agent in 0..12 {
        cluster.agent(&format!("agent{agent}"), "cpus:2;mem:1024");
    }
    assert_eq!(counts(&cluster.run()), BTreeMap::from([("H".into(), 8), ("L".into(), 4)]));
}

#[test]
fn a_weight_that_is_changed_shows_in_the_next_runs() {
    let mut cluster = Cluster::new();
    cluster.framework("H", &["heavy"]);
    cluster.framework("L", &["light"]);
    for agent in 0..6 {
        cluster.agent(&format!("agent{agent}"), "cpus:2;mem:1024");
    }
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("H".into(), 3), ("L".into(), 3)]));
    cluster.core.update_weights(&BTreeMap::from([("heavy".to_owned(), 2.0)]));
    for offer in &offers {
        cluster.decline(offer, 0.0);
    }
    assert_eq!(counts(&cluster.tick()), BTreeMap::from([("H".into(), 4), ("L".into(), 2)]));
}

/// Upstream: `NestedRoleDRF`.
#[test]
fn roles_below_one_role_share_what_it_gets() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a"]);
    cluster.framework("BC", &["b/c"]);
    cluster.framework("BD", &["b/d"]);
    for agent in 0..8 {
        cluster.agent(&format!("agent{agent}"), "cpus:2;mem:1024");
    }
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("A".into(), 4), ("BC".into(), 2), ("BD".into(), 2)]));
}

#[test]
fn the_weight_of_a_role_holds_for_everything_below_it() {
    let mut cluster = Cluster::new();
    cluster.core.update_weights(&BTreeMap::from([("b".to_owned(), 3.0)]));
    cluster.framework("A", &["a"]);
    cluster.framework("BC", &["b/c"]);
    cluster.framework("BD", &["b/d"]);
    for agent in 0..8 {
        cluster.agent(&format!("agent{agent}"), "cpus:2;mem:1024");
    }
    assert_eq!(counts(&cluster.run()), BTreeMap::from([("A".into(), 2), ("BC".into(), 3), ("BD".into(), 3)]));
}

/// Upstream: `SameShareFairness`.
#[test]
fn frameworks_with_the_same_share_take_turns() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["role"]);
    cluster.framework("B", &["role"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    let mut seen = BTreeMap::new();
    for _ in 0..10 {
        let offer = cluster.only_offer();
        *seen.entry(offer.framework.clone()).or_insert(0) += 1;
        cluster.decline(&offer, 0.0);
    }
    assert_eq!(seen, BTreeMap::from([("A".into(), 5), ("B".into(), 5)]));
}

/// Upstream: `DRFWithFairnessExclusion`.
#[test]
fn excluded_resources_do_not_make_a_share() {
    let options = allocator::Options { excluded_from_shares: set(&["gpus"]), ..Default::default() };
    let mut cluster = Cluster::with(options);
    cluster.agent_using("agent1", "cpus:2;mem:512;gpus:1", &[("A", "a", "cpus:1;mem:256;gpus:1")]);
    cluster.agent_using("agent2", "cpus:2;mem:512", &[("B", "b", "cpus:2;mem:512")]);
    cluster.framework("A", &["a"]);
    cluster.framework("B", &["b"]);
    cluster.agent("agent3", "cpus:1;mem:256");
    // Were gpus counted, A would have all of them.
    let offers = cluster.run();
    assert_eq!(told(&offers), ["A/a@agent3: cpus:1; mem:256"]);
}

#[test]
fn tasks_of_a_framework_that_has_not_come_back_count_for_its_role() {
    let mut cluster = Cluster::new();
    cluster.agent_using("agent1", "cpus:2;mem:1024", &[("lost", "a", "cpus:2;mem:1024")]);
    cluster.framework("A", &["a"]);
    cluster.framework("B", &["b"]);
    cluster.agent("agent2", "cpus:2;mem:1024");
    assert_eq!(told(&cluster.run()), ["B/b@agent2: cpus:2; mem:1024"]);
    // It comes back, and holds what the agent said.
    cluster.framework("lost", &["a"]);
    let held = cluster.core.held(&framework_id("lost"), &agent_id("agent1"));
    assert_eq!(held["a"], resources("cpus:2;mem:1024"));
}
