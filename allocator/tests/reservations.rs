//! Reserved resources go to their role and to those below it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crate::common::*;

#[test]
fn reserved_resources_go_to_their_role_and_those_below_it() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a"]);
    cluster.framework("AB", &["a/b"]);
    cluster.framework("C", &["c"]);
    cluster.agent("agent1", "cpus(a):2;mem(a):512");
    cluster.agent("agent2", "cpus(a/b):2;mem(a/b):512");
    cluster.agent("agent3", "cpus(d):2;mem(d):512");
    let offers = cluster.run();
    assert_eq!(offers.len(), 2);
    assert!(offers.iter().all(|offer| offer.framework != "C"));
    let of_agent2 = offers.iter().find(|offer| offer.agent == "agent2").unwrap();
    assert_eq!(of_agent2.framework, "AB");
    // With its own role's reservations taken, the descendant is given its ancestor's.
    let of_agent1 = offers.iter().find(|offer| offer.agent == "agent1").unwrap();
    cluster.decline(of_agent1, 0.0);
    let declined = of_agent1.framework.clone();
    cluster.core.suppress_offers(&framework_id("A"), &BTreeSet::new()).unwrap();
    let again = cluster.only_offer();
    assert_eq!((again.framework.as_str(), again.role.as_str()), ("AB", "a/b"), "after {declined} declined");
}

/// Upstream: `Reservations`.
#[test]
fn what_is_reserved_for_a_role_without_frameworks_is_offered_to_nobody() {
    let mut cluster = Cluster::new();
    cluster.agent("agent1", "cpus(role1):2;mem(role1):1024");
    cluster.agent("agent2", "cpus(role2):2;mem(role2):1024;cpus:1;mem:1024");
    cluster.agent("agent3", "cpus(role3):1;mem(role3):1024");
    cluster.framework("F1", &["role1"]);
    let offers = cluster.run();
    assert_eq!(offers.len(), 2);
    assert_offer(&offers[0], "F1", "role1", "agent1", &resources("cpus(role1):2;mem(role1):1024"));
    assert_offer(&offers[1], "F1", "role1", "agent2", &resources("cpus:1;mem:1024"));
    cluster.framework("F2", &["role2"]);
    let offers = cluster.run();
    assert_eq!(offers.len(), 1);
    assert_offer(&offers[0], "F2", "role2", "agent2", &resources("cpus(role2):2;mem(role2):1024"));
    cluster.nothing_at_tick();
}

/// Upstream: `RecoverResources`.
#[test]
fn reserved_and_unreserved_resources_come_back_one_without_the_other() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus(role1):1;mem(role1):200;cpus:1;mem:200");
    cluster.framework("F", &["role1"]);
    let offer = cluster.run().remove(0);
    assert_eq!(offer.resources, resources("cpus(role1):1;mem(role1):200;cpus:1;mem:200"));
    for part in [offer.resources.reserved(Some("role1")), offer.resources.unreserved()] {
        cluster.give_back(&offer, &part, None);
        assert_offer(&cluster.only_offer(), "F", "role1", "agent", &part);
    }
}

/// Upstream: `NonScalarReservationTrackingMESOS_9555`.
#[test]
fn reserved_ports_come_and_go_with_their_agents() {
    let mut cluster = Cluster::new();
    for agent in ["agent1", "agent2"] {
        cluster.agent(agent, "cpus:1;mem:1;disk:1;ports(role):[1-2]");
    }
    for agent in ["agent1", "agent2"] {
        cluster.core.remove_agent(&agent_id(agent)).unwrap();
        assert!(cluster.core.balances());
    }
    assert!(cluster.core.roles(cluster.now).is_empty());
}

/// Upstream: `OfferAncestorReservationsToDescendantChild`.
#[test]
fn what_is_reserved_above_a_role_is_offered_to_it_with_the_rest() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["a/b/c"]);
    for (agent, total) in
        [("agent1", "cpus(a):1;mem(a):512"), ("agent2", "cpus:2;mem:1024;cpus(a/b):4;mem(a/b):2048")]
    {
        cluster.agent(agent, total);
        let offers = cluster.run();
        assert_eq!(offers.len(), 1);
        assert_offer(&offers[0], "F", "a/b/c", agent, &resources(total));
    }
}

#[test]
fn one_agent_is_divided_where_reservations_divide_it() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a"]);
    cluster.framework("B", &["b"]);
    cluster.agent("agent", "cpus:2;mem:512;cpus(a):1;mem(a):64;cpus(b):1;mem(b):64");
    let offers = cluster.run();
    assert_eq!(offers.len(), 2);
    assert_eq!(offers[0].resources, resources("cpus:2;mem:512;cpus(a):1;mem(a):64"));
    assert_eq!(offers[1].resources, resources("cpus(b):1;mem(b):64"));
}
