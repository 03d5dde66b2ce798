//! What agents have changes: oversubscribed resources come and go, totals grow and shrink.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::*;
use mesos::v1::framework_info::capability::Type;

/// Upstream: `OversubscribedNotAllocated`.
#[test]
fn revocable_resources_go_to_those_who_can_bear_it() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a"]);
    cluster.agent("agent", "cpus:2;mem:1024");
    let total = resources("cpus:2;mem:1024") + revocable("cpus:3");
    cluster.core.update_agent(&agent_id("agent"), agent_info("agent"), Some(&total), None).unwrap();
    assert_eq!(cluster.run()[0].resources, resources("cpus:2;mem:1024"));
    cluster.framework_of("R", &framework_with(&["r"], &[Type::MultiRole, Type::RevocableResources]));
    let offer = cluster.run().remove(0);
    assert_eq!((offer.framework.as_str(), &offer.resources), ("R", &revocable("cpus:3")));
    cluster.decline(&offer, 0.0);
    assert_eq!(cluster.only_offer().resources, revocable("cpus:3"));
    // The estimate shrinks while they are offered: nothing is free, and nothing breaks.
    let total = resources("cpus:2;mem:1024") + revocable("cpus:1");
    cluster.core.update_agent(&agent_id("agent"), agent_info("agent"), Some(&total), None).unwrap();
    assert!(cluster.core.free(&agent_id("agent")).unwrap().is_empty());
    assert!(cluster.core.balances());
}

/// Upstream: `UpdateSlaveOversubscribedResources`.
#[test]
fn an_estimate_that_grows_is_offered_and_one_that_shrinks_is_not() {
    let mut cluster = Cluster::new();
    cluster.framework_of("F", &framework_with(&["role1"], &[Type::MultiRole, Type::RevocableResources]));
    let own = resources("cpus:100;mem:100;disk:100");
    cluster.agent_of("agent", &own);
    assert_offer(&cluster.run()[0], "F", "role1", "agent", &own);
    cluster.update_total("agent", &(&own + &revocable("cpus:10")));
    assert_offer(&cluster.run()[0], "F", "role1", "agent", &revocable("cpus:10"));
    cluster.update_total("agent", &(&own + &revocable("cpus:12")));
    assert_offer(&cluster.run()[0], "F", "role1", "agent", &revocable("cpus:2"));
    cluster.update_total("agent", &(&own + &revocable("cpus:5")));
    assert!(cluster.run().is_empty());
}

/// Upstream: `RecoverOversubscribedResources`.
#[test]
fn what_comes_back_of_an_estimate_is_offered_again() {
    let mut cluster = Cluster::new();
    cluster.framework_of("F", &framework_with(&["role1"], &[Type::MultiRole, Type::RevocableResources]));
    let own = resources("cpus:100;mem:100;disk:100");
    cluster.agent_of("agent", &own);
    cluster.run();
    cluster.update_total("agent", &(&own + &revocable("cpus:10")));
    let offer = cluster.run().remove(0);
    assert_eq!(offer.resources, revocable("cpus:10"));
    let back = revocable("cpus:6") + resources("cpus:2");
    cluster.give_back(&offer, &back, None);
    assert_offer(&cluster.only_offer(), "F", "role1", "agent", &back);
}

/// Upstream: `UpdateSlaveTotalResources`.
#[test]
fn an_agents_total_may_grow_and_shrink_below_what_is_given() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role1"]);
    let (whole, half) = (resources("cpus:100;mem:100;disk:100"), resources("cpus:50;mem:50;disk:50"));
    cluster.agent_of("agent", &whole);
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "F", "role1", "agent", &whole);
    cluster.update_total("agent", &(&whole + &resources("cpus:12")));
    assert_eq!(told(&cluster.run()), ["F/role1@agent: cpus:12"]);
    // More is given than there is: nothing is offered until it comes back.
    cluster.update_total("agent", &half);
    assert!(cluster.run().is_empty());
    cluster.give_back(&offer, &(&whole + &resources("cpus:12")), None);
    assert_offer(&cluster.only_offer(), "F", "role1", "agent", &half);
    cluster.update_total("agent", &whole);
    assert_offer(&cluster.run()[0], "F", "role1", "agent", &half);
}

#[test]
fn what_one_framework_leaves_of_an_agent_goes_to_the_next() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["role"]);
    cluster.framework_of("R", &framework_with(&["role"], &[Type::MultiRole, Type::RevocableResources]));
    let total = resources("cpus:2;mem:1024") + revocable("cpus:3");
    let (id, info) = (agent_id("agent"), agent_info("agent"));
    cluster.core.add_agent(&id, info, &agent_capabilities(), None, &total, &BTreeMap::new()).unwrap();
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("A".into(), 1), ("R".into(), 1)]));
    assert_eq!(offers[1].resources, revocable("cpus:3"));
}
