//! Resource providers of agents: what they bring is offered, and what operations hold of it is not.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::*;
use allocator::EventError;
use mesos::Resources;

impl Cluster {
    fn inactive_framework(&mut self, name: &str, role: &str) {
        let info = framework_info(&[role]);
        self.core
            .add_framework(&framework_id(name), &info, &BTreeMap::new(), false, &FrameworkOptions::default())
            .unwrap();
    }

    fn provider(&mut self, agent: &str, total: &str, used: (&str, &str, &str)) {
        let (framework, role, text) = used;
        let used = BTreeMap::from([(framework_id(framework), resources(text).allocated_to(role))]);
        let total = if total.is_empty() { Resources::new() } else { resources(total) };
        self.core.add_resource_provider(&agent_id(agent), &total, &used).unwrap();
        assert!(self.core.balances());
    }
}

/// Upstream: `AddResourceProvider`.
#[test]
fn a_providers_resources_join_its_agents_and_their_use_counts_in_shares() {
    let mut cluster = Cluster::new();
    cluster.inactive_framework("F1", "role1");
    cluster.inactive_framework("F2", "role2");
    cluster.agent("agent1", "cpus:1;mem:100;disk:10");
    cluster.provider("agent1", "cpus:2;mem:200;disk:20", ("F1", "role1", "cpus:2;mem:200;disk:20"));
    cluster.core.activate_framework(&framework_id("F2")).unwrap();
    assert_eq!(told(&cluster.run()), ["F2/role2@agent1: cpus:1; mem:100; disk:10"]);
    // Shares: role1 2/3, role2 1/3; with the next agent 2/4 and 1/4.
    cluster.core.activate_framework(&framework_id("F1")).unwrap();
    assert!(cluster.run().is_empty());
    let offers = cluster.with_agent("agent2", "cpus:1;mem:100;disk:10");
    assert_eq!(offers, ["F2/role2@agent2: cpus:1; mem:100; disk:10"]);
}

/// Upstream: `AddResourceProviderOverallocated`.
#[test]
fn a_provider_that_reports_more_use_than_it_has_takes_it_from_the_agent() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:2;mem:200;disk:20");
    cluster.inactive_framework("F", "role");
    cluster.provider("agent", "", ("F", "role", "cpus:1;mem:100;disk:10"));
    cluster.core.activate_framework(&framework_id("F")).unwrap();
    let offer = cluster.only_offer();
    assert_offer(&offer, "F", "role", "agent", &resources("cpus:1;mem:100;disk:10"));
    let held = cluster.core.held(&framework_id("F"), &agent_id("agent"));
    assert_eq!(held["role"], resources("cpus:2;mem:200;disk:20"));
}

/// What the master learns of later is used like what an agent brings: it is not offered, and is free when it is over, even
/// if others had it on offer.
#[test]
fn resources_that_are_used_without_an_offer_are_not_offered_until_they_are_given_back() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4");
    cluster.inactive_framework("F", "role");
    let used = resources("cpus:3").allocated_to("role");
    let (framework, agent) = (framework_id("F"), agent_id("agent"));
    cluster.core.track_allocated_resources(&agent, &framework, &used).unwrap();
    cluster.core.activate_framework(&framework).unwrap();
    let offer = cluster.only_offer();
    assert_offer(&offer, "F", "role", "agent", &resources("cpus:1"));
    // Now more is used than there is.
    cluster.core.track_allocated_resources(&agent, &framework, &used).unwrap();
    assert!(cluster.core.balances());
    let now = cluster.now;
    for _ in 0..2 {
        cluster.core.recover_resources(&framework, &agent, &used, None, true, now).unwrap();
    }
    assert!(cluster.core.balances());
    assert_eq!(told(&cluster.run()), ["F/role@agent: cpus:3"]);
    let gone = cluster.core.track_allocated_resources(&agent_id("S"), &framework, &used);
    assert_eq!(gone, Err(allocator::EventError::UnknownAgent(agent_id("S"))));
}

#[test]
fn what_a_provider_brings_is_offered_at_once() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:1;mem:100");
    assert_eq!(cluster.run().len(), 1);
    cluster.provider("agent", "disk:100;cpus:1", ("F", "role", "disk:40"));
    assert_eq!(told(&cluster.run()), ["F/role@agent: cpus:1; disk:60"]);
}

#[test]
fn use_of_a_provider_adds_to_what_the_framework_has_of_the_agent() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role"]);
    cluster.agent("agent", "cpus:1;disk:50");
    assert_eq!(cluster.run().len(), 1);
    cluster.provider("agent", "cpus:1;disk:100", ("F", "role", "disk:40"));
    let held = cluster.core.held(&framework_id("F"), &agent_id("agent"));
    assert_eq!(held["role"], resources("cpus:1;disk:90"));
    assert_eq!(told(&cluster.run()), ["F/role@agent: cpus:1; disk:60"]);
}

#[test]
fn use_by_a_framework_that_has_not_come_back_counts_once_when_it_comes() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:1;mem:100");
    cluster.provider("agent", "disk:100", ("lost", "role", "disk:40"));
    let used = BTreeMap::from([(agent_id("agent"), resources("disk:40").allocated_to("role"))]);
    let (id, info) = (framework_id("lost"), framework_info(&["role"]));
    cluster.core.add_framework(&id, &info, &used, true, &FrameworkOptions::default()).unwrap();
    let role = cluster.core.roles(cluster.now).remove(0);
    assert_eq!(role.consumed, BTreeMap::from([("disk".to_owned(), 40.0)]));
    assert_eq!(told(&cluster.run()), ["lost/role@agent: cpus:1; mem:100; disk:60"]);
}

#[test]
fn a_provider_of_an_unknown_agent_is_an_error() {
    let mut cluster = Cluster::new();
    let error = cluster.core.add_resource_provider(&agent_id("S"), &resources("disk:1"), &BTreeMap::new());
    assert_eq!(error, Err(EventError::UnknownAgent(agent_id("S"))));
}
