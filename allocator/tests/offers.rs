//! Who is offered what, and who is not: capabilities, minimums, regions, agents out of service, mistakes.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::*;
use allocator::{EventError, Options};
use mesos::v1::framework_info::capability::Type;
use mesos::v1::{self, DomainInfo};

#[test]
fn what_was_declined_waits_for_the_interval_and_what_ended_is_offered_at_once() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.launch(&offer, "cpus:1;mem:100", 0.0);
    assert!(!cluster.core.has_marked());
    assert!(cluster.run().is_empty());
    let rest = cluster.only_offer();
    assert_eq!(rest.resources, resources("cpus:3;mem:924"));
    cluster.task_ends(&offer, "cpus:1;mem:100");
    assert!(cluster.core.has_marked());
    assert_eq!(cluster.run()[0].resources, resources("cpus:1;mem:100"));
}

#[test]
fn without_allocation_on_recovery_what_ended_waits_as_well() {
    let mut cluster = Cluster::with(Options { allocation_on_recovery: false, ..Default::default() });
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    cluster.framework("B", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.launch(&offer, "cpus:1;mem:100", 0.0);
    let _rest = cluster.only_offer();
    cluster.task_ends(&offer, "cpus:1;mem:100");
    assert!(!cluster.core.has_marked());
    assert_eq!(cluster.only_offer().resources, resources("cpus:1;mem:100"));
    cluster.core.remove_framework(&framework_id("A")).unwrap();
    assert!(!cluster.core.has_marked());
}

#[test]
fn what_a_removed_framework_held_is_offered_at_once() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    cluster.framework("B", &["role"]);
    assert_eq!(cluster.run()[0].framework, "A");
    cluster.core.remove_framework(&framework_id("A")).unwrap();
    let offer = cluster.run().remove(0);
    assert_eq!(told(std::slice::from_ref(&offer)), ["B/role@agent: cpus:4; mem:1024"]);
    // The same if the master took its offers back before it removed it.
    cluster.framework("A", &["role"]);
    cluster.run();
    cluster.give_back(&offer, &offer.resources.clone(), None);
    cluster.core.remove_framework(&framework_id("B")).unwrap();
    assert_eq!(told(&cluster.run()), ["A/role@agent: cpus:4; mem:1024"]);
}

/// Upstream: `Allocatable`.
#[test]
fn less_than_the_minimum_is_not_offered() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["role"]);
    cluster.agent("none", "cpus:0.005;mem:31");
    cluster.agent("cpu", "cpus:0.01");
    cluster.agent("mem", "mem:32");
    let mut offered: Vec<String> = cluster.run().into_iter().map(|offer| offer.agent).collect();
    offered.sort();
    assert_eq!(offered, ["cpu", "mem"]);
    // Half a minimum reserved and half of it not are a whole one.
    let both = "cpus:0.005;mem:16;cpus(role):0.005;mem(role):16;disk:128";
    cluster.agent("both", both);
    assert_offer(&cluster.run()[0], "A", "role", "both", &resources(both));
}

/// Upstream: `FrameworkMinAllocatable`.
#[test]
fn a_framework_may_lower_its_minimum_later() {
    let mut cluster = Cluster::new();
    cluster.framework("F", &["role1"]);
    assert!(cluster.with_agent("agent", "cpus:0.005;mem:16;disk:128").is_empty());
    let mut info = framework_info(&["role1"]);
    info.offer_filters.insert("role1".into(), minimums(vec![&[("cpus", 0.003)]]));
    cluster.core.update_framework(&framework_id("F"), &info, &FrameworkOptions::default()).unwrap();
    assert_eq!(told(&cluster.tick()), ["F/role1@agent: cpus:0.005; mem:16; disk:128"]);
}

/// What a framework demands of an offer for one of its roles: one of several lists of quantities.
fn minimums(alternatives: Vec<&[(&str, f64)]>) -> v1::OfferFilters {
    let quantities = |of: &[(&str, f64)]| v1::offer_filters::ResourceQuantities {
        quantities: of
            .iter()
            .map(|(name, value)| ((*name).into(), v1::value::Scalar { value: *value }))
            .collect(),
    };
    v1::OfferFilters {
        min_allocatable_resources: Some(v1::offer_filters::MinAllocatableResources {
            quantities: alternatives.into_iter().map(quantities).collect(),
        }),
    }
}

/// Upstream: `FrameworkMinAllocatable`, `FrameworkEmptyMinAllocatable`.
#[test]
fn a_framework_may_set_minimums_of_its_own_for_a_role() {
    let mut cluster = Cluster::new();
    let mut demanding = framework_info(&["a"]);
    demanding.offer_filters.insert("a".into(), minimums(vec![&[("cpus", 2.0), ("mem", 512.0)]]));
    let mut modest = framework_info(&["b"]);
    modest.offer_filters.insert("b".into(), minimums(vec![]));
    cluster.framework_of("A", &demanding);
    cluster.framework_of("B", &modest);
    cluster.agent("small", "cpus:1;mem:512");
    cluster.agent("tiny", "disk:1");
    assert_eq!(counts(&cluster.run()), BTreeMap::from([("B".into(), 2)]));
    cluster.agent("large", "cpus:2;mem:512");
    assert_eq!(told(&cluster.run()), ["A/a@large: cpus:2; mem:512"]);

    // Of ranges and sets the members count (upstream: `ResourcesTest.ContainsResourceQuantities`).
    let mut cluster = Cluster::new();
    let mut listening = framework_info(&["l"]);
    listening.offer_filters.insert("l".into(), minimums(vec![&[("ports", 3.0), ("zones", 2.0)]]));
    cluster.framework_of("L", &listening);
    cluster.agent("two", "cpus:1;ports:[1-2];zones:{a,b}");
    cluster.agent("one", "cpus:1;ports:[1-3];zones:{a}");
    cluster.agent("enough", "ports:[1-1,3-4];zones:{a,b}");
    assert_eq!(told(&cluster.run()), ["L/l@enough: ports:[1-1, 3-4]; zones:{a, b}"]);
}

#[test]
fn agents_with_gpus_are_kept_for_those_who_use_them() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a"]);
    cluster.agent("agent", "cpus:4;mem:1024;gpus:1");
    assert!(cluster.run().is_empty());
    cluster.framework_of("G", &framework_with(&["g"], &[Type::MultiRole, Type::GpuResources]));
    assert_eq!(cluster.run()[0].framework, "G");
    let mut cluster = Cluster::with(Options { filter_gpu_resources: false, ..Default::default() });
    cluster.framework("A", &["a"]);
    cluster.agent("agent", "cpus:4;mem:1024;gpus:1");
    assert_eq!(cluster.run()[0].resources, resources("cpus:4;mem:1024;gpus:1"));
}

#[test]
fn an_agent_in_another_region_goes_to_region_aware_frameworks() {
    let domain = |region: &str| DomainInfo {
        fault_domain: Some(v1::domain_info::FaultDomain {
            region: v1::domain_info::fault_domain::RegionInfo { name: region.into() },
            zone: v1::domain_info::fault_domain::ZoneInfo { name: "zone".into() },
        }),
    };
    let mut cluster = Cluster::with(Options { region: Some("here".into()), ..Default::default() });
    cluster.framework("A", &["a"]);
    for (agent, region) in [("near", "here"), ("far", "there")] {
        let info = v1::AgentInfo { domain: Some(domain(region)), ..agent_info(agent) };
        let total = resources("cpus:2;mem:512");
        cluster
            .core
            .add_agent(&agent_id(agent), info, &agent_capabilities(), None, &total, &BTreeMap::new())
            .unwrap();
    }
    assert_eq!(told(&cluster.run()), ["A/a@near: cpus:2; mem:512"]);
    cluster.framework_of("R", &framework_with(&["r"], &[Type::MultiRole, Type::RegionAware]));
    assert_eq!(told(&cluster.run()), ["R/r@far: cpus:2; mem:512"]);
}

/// Upstream: `UpdateSlaveCapabilities`.
#[test]
fn an_agent_that_learns_about_several_roles_is_offered_at_once() {
    let mut cluster = Cluster::new();
    let (id, info, total) = (agent_id("agent"), agent_info("agent"), resources("cpus:1;mem:1;disk:1"));
    cluster.core.add_agent(&id, info.clone(), &[], None, &total, &BTreeMap::new()).unwrap();
    cluster.framework("F", &["role1"]);
    assert!(cluster.run().is_empty());
    cluster.core.update_agent(&id, info, None, Some(&agent_capabilities())).unwrap();
    assert_eq!(told(&cluster.run()), ["F/role1@agent: cpus:1; mem:1; disk:1"]);
}

/// Upstream: `FrameworkLoopMESOS_9554`.
#[test]
fn what_the_lowest_framework_cannot_use_goes_to_the_next_in_its_role() {
    let mut cluster = Cluster::new();
    cluster.framework("F1", &["parent/child"]);
    let offers = cluster.with_agent("agent1", "cpus:1;mem:1;disk:1");
    assert_eq!(offers, ["F1/parent/child@agent1: cpus:1; mem:1; disk:1"]);
    // F2 has nothing yet, but does not understand reservations that were refined.
    cluster.framework_of("F2", &framework_with(&["parent/child"], &[Type::MultiRole]));
    assert!(cluster.run().is_empty());
    let parents = reserved(&resources("cpus:1;mem:1;disk:1"), Reservation::Dynamic, "parent");
    let refined = reserved(&parents, Reservation::Dynamic, "parent/child");
    cluster.agent_of("agent2", &refined);
    assert_offer(&cluster.run()[0], "F1", "parent/child", "agent2", &refined);
}

/// Upstream: `DontOfferOldAgentToMultiRoleFramework`.
#[test]
fn an_old_agent_goes_to_frameworks_with_one_plain_role() {
    let mut cluster = Cluster::new();
    cluster.framework("M", &["m"]);
    let total = resources("cpus:2;mem:512");
    cluster.core.add_agent(&agent_id("old"), agent_info("old"), &[], None, &total, &BTreeMap::new()).unwrap();
    assert!(cluster.run().is_empty());
    cluster.framework_of("N", &v1::FrameworkInfo { role: Some("a/b".into()), ..framework_with(&[], &[]) });
    assert!(cluster.run().is_empty());
    cluster.framework_of("S", &v1::FrameworkInfo { role: Some("s".into()), ..framework_with(&[], &[]) });
    assert_eq!(cluster.run()[0].framework, "S");
    let capabilities = agent_capabilities();
    cluster.core.update_agent(&agent_id("old"), agent_info("old"), None, Some(&capabilities)).unwrap();
    assert!(cluster.core.has_marked());
}

/// Upstream: `Whitelist`.
#[test]
fn only_agents_that_are_listed_and_in_service_are_offered() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a"]);
    for agent in ["one", "two", "three"] {
        cluster.agent(agent, "cpus:2;mem:512");
    }
    cluster.core.update_whitelist(Some(set(&["one.example", "two.example"])));
    cluster.core.deactivate_agent(&agent_id("two")).unwrap();
    assert_eq!(told(&cluster.tick()), ["A/a@one: cpus:2; mem:512"]);
    cluster.core.activate_agent(&agent_id("two")).unwrap();
    assert_eq!(told(&cluster.run()), ["A/a@two: cpus:2; mem:512"]);
    cluster.core.update_whitelist(None);
    assert_eq!(cluster.only_offer().agent, "three");
}

#[test]
fn a_removed_agent_takes_everything_on_it_along() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a"]);
    cluster.agent("one", "cpus:2;mem:512;cpus(a):1;mem(a):32");
    cluster.agent("two", "cpus:2;mem:512");
    let offers = cluster.run();
    cluster.core.remove_agent(&agent_id("one")).unwrap();
    assert!(cluster.core.balances());
    assert_eq!(cluster.core.resource_use("cpus").total, 2.0);
    assert_eq!(cluster.core.resource_use("cpus").offered_or_allocated, 2.0);
    // The master gives back what it had offered of it, too late.
    let late = offers.iter().find(|offer| offer.agent == "one").unwrap();
    let resources = late.resources.allocated_to("a");
    let error = cluster
        .core
        .recover_resources(&framework_id("A"), &agent_id("one"), &resources, None, false, cluster.now)
        .unwrap_err();
    assert_eq!(error, EventError::UnknownAgent(agent_id("one")));
    cluster.agent("one", "cpus:2;mem:512");
    let refused = cluster.run().remove(0);
    cluster.decline(&refused, 1000.0);
    cluster.core.remove_agent(&agent_id("one")).unwrap();
    // Its index serves another agent, to which none of that applies.
    cluster.agent("three", "cpus:1;mem:64");
    assert_eq!(told(&cluster.run()), ["A/a@three: cpus:1; mem:64"]);
}

#[test]
fn mistaken_events_change_nothing() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["a"]);
    cluster.agent("one", "cpus:2;mem:512");
    let offer = cluster.run().remove(0);
    let (a, one) = (framework_id("A"), agent_id("one"));
    let info = framework_info(&["a"]);
    assert_eq!(
        cluster.core.add_framework(&a, &info, &BTreeMap::new(), true, &FrameworkOptions::default()),
        Err(EventError::FrameworkExists(a.clone()))
    );
    assert_eq!(
        cluster.core.revive_offers(&framework_id("Z"), &BTreeSet::new()),
        Err(EventError::UnknownFramework(framework_id("Z")))
    );
    let twice =
        cluster.core.add_agent(&one, agent_info("one"), &[], None, &resources("cpus:1"), &BTreeMap::new());
    assert_eq!(twice, Err(EventError::AgentExists(one.clone())));
    let unallocated = cluster.core.recover_resources(&a, &one, &resources("cpus:1"), None, false, SECOND);
    assert!(matches!(unallocated, Err(EventError::NotOneRole(_))));
    cluster.decline(&offer, 0.0);
    let again =
        cluster.core.recover_resources(&a, &one, &resources("cpus:1").allocated_to("a"), None, false, SECOND);
    assert!(matches!(again, Err(EventError::NotHeld { .. })));
    assert!(cluster.core.balances());
    assert_eq!(cluster.core.free(&one), Some(resources("cpus:2;mem:512")));
}

#[test]
fn a_framework_that_an_agent_names_without_anything_used_stays_unknown() {
    let mut cluster = Cluster::new();
    let used = BTreeMap::from([(framework_id("Z"), mesos::Resources::new())]);
    let (id, info, total) = (agent_id("one"), agent_info("one"), resources("cpus:2;mem:512"));
    cluster.core.add_agent(&id, info, &agent_capabilities(), None, &total, &used).unwrap();
    let part = resources("cpus:1").allocated_to("a");
    let error = cluster.core.recover_resources(&framework_id("Z"), &id, &part, None, false, SECOND);
    assert_eq!(error, Err(EventError::UnknownFramework(framework_id("Z"))));
}

#[test]
fn a_held_allocator_waits_for_its_agents_or_its_time() {
    let quota = allocator::Quota {
        guarantees: mesos::ResourceQuantities::parse("cpus:1").unwrap(),
        ..Default::default()
    };
    let quotas = BTreeMap::from([("a".to_owned(), quota)]);
    for by_time in [false, true] {
        let mut cluster = Cluster::new();
        cluster.core.recover(5, &quotas, cluster.now);
        cluster.framework("A", &["a"]);
        for agent in ["one", "two", "three"] {
            cluster.agent(agent, "cpus:2;mem:512");
        }
        assert!(cluster.core.is_held(cluster.now));
        assert!(cluster.run().is_empty() && cluster.tick().is_empty());
        if by_time {
            cluster.now += Duration::from_secs(600);
            assert_eq!(cluster.tick().len(), 3);
        } else {
            cluster.agent("four", "cpus:2;mem:512");
            assert_eq!(cluster.run().len(), 4);
        }
    }
    let mut cluster = Cluster::new();
    cluster.core.recover(5, &BTreeMap::new(), cluster.now);
    assert!(!cluster.core.is_held(cluster.now));
}

#[test]
fn minimums_name_only_so_many_resources_and_what_no_agent_has_is_never_reached() {
    let mut cluster = Cluster::new();
    cluster.agent("S", "cpus:4;mem:1024");
    let mut info = framework_info(&["role"]);
    let minimum = |name: &str| v1::offer_filters::ResourceQuantities {
        quantities: [(name.to_owned(), v1::value::Scalar { value: 1.0 })].into(),
    };
    let quantities = (0..1000).map(|at| minimum(&format!("name{at}"))).collect();
    let minimums = v1::offer_filters::MinAllocatableResources { quantities };
    let filters = v1::OfferFilters { min_allocatable_resources: Some(minimums) };
    info.offer_filters.insert("role".to_owned(), filters);
    cluster.framework_of("F", &info);
    assert!(cluster.tick().is_empty());
}

/// Upstream: `MasterAllocatorTest.OutOfOrderDispatch`.
#[test]
fn what_comes_back_of_a_removed_framework_was_free_already() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:2;mem:1024");
    cluster.framework("F1", &["role"]);
    let offer = cluster.run().remove(0);
    let (f1, agent) = (framework_id("F1"), agent_id("agent"));
    let part = offer.resources.allocated_to("role");
    cluster.core.deactivate_framework(&f1).unwrap();
    cluster.core.remove_framework(&f1).unwrap();
    let unknown = Err(EventError::UnknownFramework(f1.clone()));
    assert_eq!(cluster.core.recover_resources(&f1, &agent, &part, None, false, cluster.now), unknown);
    cluster.framework("F2", &["role"]);
    assert_eq!(told(&cluster.run()), ["F2/role@agent: cpus:2; mem:1024"]);
    // Not even when it has been given to another one meanwhile.
    assert_eq!(cluster.core.recover_resources(&f1, &agent, &part, None, false, cluster.now), unknown);
    assert!(cluster.core.balances());
    cluster.nothing_at_tick();
}

/// Upstream: `MinAllocatableResources`.
#[test]
fn an_offer_reaches_one_of_the_masters_minimums_in_all_that_it_names() {
    let flag = "cpus:1;mem:100|disk:100|cpus:1;ports:10";
    let min_allocatable_resources = Options::parse_min_allocatable_resources(flag).unwrap();
    let mut cluster = Cluster::with(Options { min_allocatable_resources, ..Default::default() });
    for (agent, total) in [
        ("too little 1", "cpus:1;mem:10;disk:10;ports:[1-5]"),
        ("too little 2", "cpus:0.5;mem:100;disk:10;ports:[6-10]"),
        ("too little 3", "cpus:0.5;mem:200;disk:10;ports:[11-15]"),
        ("too little 4", "cpus:0.5;mem:10;disk:50;ports:[16-20]"),
        ("cpus and memory", "cpus:1;mem:100;disk:0;ports:[1-5]"),
        ("disk", "cpus:0.5;mem:10;disk:100;ports:[1-5]"),
        ("more", "cpus:1;mem:100;disk:50"),
        ("ports", "cpus:1;mem:10;disk:10;ports:[1-10]"),
    ] {
        cluster.agent(agent, total);
    }
    cluster.framework("F", &["role"]);
    let mut offered: Vec<String> = cluster.run().into_iter().map(|offer| offer.agent).collect();
    offered.sort();
    assert_eq!(offered, ["cpus and memory", "disk", "more", "ports"]);
}
