//! Fairness as the literature states it: the example of the DRF paper, weights, trees of roles.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::*;
use mesos::v1::framework_info::capability::Type;

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

/// Agents come one by one, and each goes to the role whose dominant share is lowest, and in it to the
/// framework whose share is lowest.
fn each_agent_goes_to_the_lowest_share(cluster: &mut Cluster, first_agent: &str) {
    cluster.agent("agent1", first_agent);
    cluster.framework_of("F1", &framework_with(&["role1"], &[Type::MultiRole, Type::GpuResources]));
    let offers = cluster.run();
    assert_eq!(offers.len(), 1);
    assert_offer(&offers[0], "F1", "role1", "agent1", &resources(first_agent));
    // Shares: role1 2/3, role2 0.
    cluster.framework("F2", &["role2"]);
    assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:512"), ["F2/role2@agent2: cpus:1; mem:512"]);
    // role1 1/3, role2 1/6.
    assert_eq!(cluster.with_agent("agent3", "cpus:3;mem:2048"), ["F2/role2@agent3: cpus:3; mem:2048"]);
    // role1 1/5, role2 2/5; in role1 F1 has everything.
    cluster.framework("F3", &["role1"]);
    assert_eq!(cluster.with_agent("agent4", "cpus:4;mem:4096"), ["F3/role1@agent4: cpus:4; mem:4096"]);
    // role1 6/11, role2 4/11: F4 has nothing, but its role has more.
    cluster.framework("F4", &["role1"]);
    assert_eq!(cluster.with_agent("agent5", "cpus:1;mem:512"), ["F2/role2@agent5: cpus:1; mem:512"]);
}

/// Upstream: `UnreservedDRF`.
/// Upstream, too: `MasterAllocatorTest.SingleFramework`.
#[test]
fn each_new_agent_goes_to_the_lowest_role_and_in_it_to_the_lowest_framework() {
    each_agent_goes_to_the_lowest_share(&mut Cluster::new(), "cpus:2;mem:1024");
}

/// Upstream: `DRFWithFairnessExclusion`.
#[test]
fn excluded_resources_change_nothing_in_who_is_lowest() {
    let options = allocator::Options { excluded_from_shares: set(&["gpus"]), ..Default::default() };
    each_agent_goes_to_the_lowest_share(&mut Cluster::with(options), "cpus:2;mem:1024;gpus:1");
}

/// Upstream: `ReservedDRF`.
#[test]
fn reserved_resources_count_in_the_shares_of_roles_and_of_frameworks() {
    let mut cluster = Cluster::new();
    let total = "cpus:1;mem:512;cpus(role1):100;mem(role1):1024";
    cluster.agent("agent1", total);
    cluster.framework("F1", &["role1"]);
    assert_offer(&cluster.run()[0], "F1", "role1", "agent1", &resources(total));
    cluster.framework("F2", &["role2"]);
    assert_eq!(cluster.with_agent("agent2", "cpus:2;mem:512"), ["F2/role2@agent2: cpus:2; mem:512"]);
    // Without reservations role1 would have less than role2 now.
    assert_eq!(cluster.with_agent("agent3", "cpus:2;mem:512"), ["F2/role2@agent3: cpus:2; mem:512"]);
    cluster.framework("F3", &["role1"]);
    cluster.agent("agent4", "cpus(role1):2;mem(role1):1024");
    let offers = cluster.run();
    assert_eq!(offers.len(), 1);
    assert_offer(&offers[0], "F3", "role1", "agent4", &resources("cpus(role1):2;mem(role1):1024"));
}

/// Upstream: `NestedRoleDRF`.
#[test]
fn a_role_below_one_that_has_much_waits_for_its_share_of_that() {
    let mut cluster = Cluster::new();
    cluster.framework("F1", &["a/b"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:2;mem:1024"), ["F1/a/b@agent1: cpus:2; mem:1024"]);
    cluster.framework("F2", &["a/c"]);
    cluster.framework("F3", &["d/e"]);
    // Both have nothing; but a has 2/3, and d nothing.
    assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:512"), ["F3/d/e@agent2: cpus:1; mem:512"]);
    cluster.framework("F4", &["d/f"]);
    // a has 2/5, d 1/5.
    assert_eq!(cluster.with_agent("agent3", "cpus:2;mem:1024"), ["F4/d/f@agent3: cpus:2; mem:1024"]);
}

/// Upstream: `CoarseGrained`.
#[test]
fn agents_are_offered_whole_and_not_divided_among_roles() {
    let mut cluster = Cluster::new();
    cluster.agent("agent1", "cpus:2;mem:1024");
    cluster.agent("agent2", "cpus:2;mem:1024");
    cluster.framework("F1", &["role1"]);
    let all =
        ["F1/role1@agent1: cpus:2; mem:1024".to_owned(), "F1/role1@agent2: cpus:2; mem:1024".to_owned()];
    let offers = cluster.run();
    assert_eq!(told(&offers), all);
    for offer in &offers {
        cluster.give_back(offer, &offer.resources.clone(), None);
    }
    cluster.framework("F2", &["role2"]);
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("F1".into(), 1), ("F2".into(), 1)]));
    assert!(offers.iter().all(|offer| offer.resources == resources("cpus:2;mem:1024")));
}

/// Upstream: `NoDoubleAccounting`.
#[test]
fn what_framework_and_agent_both_report_counts_once_in_whatever_order_they_come() {
    let mut cluster = Cluster::new();
    let add_framework = |cluster: &mut Cluster, name: &str, role: &str, agent: &str| {
        let used = BTreeMap::from([(agent_id(agent), resources("cpus:1").allocated_to(role))]);
        let (id, info) = (framework_id(name), framework_info(&[role]));
        cluster.core.add_framework(&id, &info, &used, true, &FrameworkOptions::default()).unwrap();
    };
    add_framework(&mut cluster, "F1", "role1", "agent1");
    cluster.agent_using("agent1", "cpus:1", &[("F1", "role1", "cpus:1")]);
    cluster.agent_using("agent2", "cpus:1", &[("F2", "role2", "cpus:1")]);
    add_framework(&mut cluster, "F2", "role2", "agent2");
    assert!(cluster.run().is_empty());
    let roles = cluster.core.roles(cluster.now);
    let shares: Vec<Option<f64>> = roles.iter().map(|role| role.dominant_share).collect();
    assert_eq!(shares, [Some(0.5), Some(0.5)]);
}

/// Upstream: `RemoveSlaveRecoverResources`.
#[test]
fn what_went_with_an_agent_is_no_longer_in_the_shares() {
    let mut cluster = Cluster::new();
    cluster.framework("F1", &["role"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:2;mem:200"), ["F1/role@agent1: cpus:2; mem:200"]);
    cluster.framework("F2", &["role"]);
    assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:100"), ["F2/role@agent2: cpus:1; mem:100"]);
    cluster.core.remove_agent(&agent_id("agent1")).unwrap();
    assert_eq!(cluster.with_agent("agent3", "cpus:1;mem:100"), ["F1/role@agent3: cpus:1; mem:100"]);
}

/// Upstream: `UpdateWeight`.
#[test]
fn roles_get_agents_in_proportion_to_their_weights() {
    let mut cluster = Cluster::new();
    for agent in 1..=6 {
        cluster.agent(&format!("agent{agent}"), "cpus:2;mem:1024");
    }
    let give_back = |cluster: &mut Cluster, offers: &[Offer]| {
        for offer in offers {
            cluster.give_back(offer, &offer.resources.clone(), None);
        }
    };
    cluster.framework("F1", &["role1"]);
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("F1".into(), 6)]));
    cluster.framework("F2", &["role2"]);
    assert!(cluster.run().is_empty());
    give_back(&mut cluster, &offers);

    let offers = cluster.tick();
    assert_eq!(counts(&offers), BTreeMap::from([("F1".into(), 3), ("F2".into(), 3)]));
    give_back(&mut cluster, &offers);

    cluster.core.update_weights(&BTreeMap::from([("role2".to_owned(), 2.0)]));
    let offers = cluster.tick();
    assert_eq!(counts(&offers), BTreeMap::from([("F1".into(), 2), ("F2".into(), 4)]));
    give_back(&mut cluster, &offers);

    // A weight asks for no run, a framework does.
    cluster.core.update_weights(&BTreeMap::from([("role3".to_owned(), 3.0)]));
    assert!(!cluster.core.has_marked());
    cluster.framework("F3", &["role3"]);
    let expected = BTreeMap::from([("F1".into(), 1), ("F2".into(), 2), ("F3".into(), 3)]);
    assert_eq!(counts(&cluster.run()), expected);
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
