//! Who is offered what, and who is not: filters, suppression, reservations, capabilities, minimums.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use allocator::core::Scope;
use allocator::{EventError, Options};
use common::*;
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
    cluster.decline(&other, 1000.0);
    assert_eq!(cluster.only_offer().framework, "A");
}

/// Upstream: `SmallOfferFilterTimeout`.
#[test]
fn a_short_refusal_outlives_the_next_run() {
    let options = Options { allocation_interval: 10 * SECOND, ..Default::default() };
    let mut cluster = Cluster::with(options);
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.decline(&offer, 0.001);
    cluster.now += 10 * SECOND;
    assert!(cluster.run_over(Scope::All).is_empty());
    cluster.now += 10 * SECOND;
    assert_eq!(cluster.run_over(Scope::All).len(), 1);
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
    cluster.core.add_framework(&id, &info, &BTreeMap::new(), true, &set(&["a", "b"])).unwrap();
    assert!(cluster.run().is_empty());
    cluster.core.update_framework(&id, &info, &set(&["a"])).unwrap();
    let offer = cluster.run().remove(0);
    assert_eq!(offer.role, "b");
    // It leaves the role, and keeps what it has of it until it gives that back.
    cluster.core.update_framework(&id, &framework_info(&["c"]), &BTreeSet::new()).unwrap();
    assert_eq!(cluster.core.held(&id, &agent_id("agent"))["b"], resources("cpus:4;mem:1024"));
    cluster.decline(&offer, 1000.0);
    assert_eq!(cluster.only_offer().role, "c");
    assert!(cluster.core.roles(cluster.now).iter().all(|role| role.path == "c"));
}

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
}

/// Upstream: `FrameworkMinAllocatable`, `FrameworkEmptyMinAllocatable`.
#[test]
fn a_framework_may_set_minimums_of_its_own_for_a_role() {
    let minimums = |quantities: Vec<&[(&str, f64)]>| v1::OfferFilters {
        min_allocatable_resources: Some(v1::offer_filters::MinAllocatableResources {
            quantities: quantities
                .into_iter()
                .map(|of| v1::offer_filters::ResourceQuantities {
                    quantities: of
                        .iter()
                        .map(|(name, value)| ((*name).into(), v1::value::Scalar { value: *value }))
                        .collect(),
                })
                .collect(),
        }),
    };
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

fn revocable(text: &str) -> mesos::Resources {
    let mut protos = resources(text).to_protos();
    for proto in &mut protos {
        proto.revocable = Some(v1::resource::RevocableInfo {});
    }
    mesos::Resources::try_from_protos(&protos).unwrap()
}

/// Upstream: `OversubscribedNotAllocated`, `RecoverOversubscribedResources`.
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

fn shared_volume(role: &str) -> mesos::Resources {
    let mut proto = resources(&format!("disk({role}):100")).to_protos().remove(0);
    proto.disk = Some(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence { id: "volume".into(), ..Default::default() }),
        volume: Some(v1::Volume { mode: 1, container_path: "data".into(), ..Default::default() }),
        ..Default::default()
    });
    proto.shared = Some(v1::resource::SharedInfo {});
    mesos::Resources::try_from_protos(&[proto]).unwrap()
}

/// Upstream: `SharedResourcesCapability`, `AllocateSharedResources`.
#[test]
fn a_shared_volume_is_offered_once_a_run_while_it_is_in_use() {
    let mut cluster = Cluster::new();
    cluster.framework("N", &["role"]);
    cluster.framework_of("S1", &framework_with(&["role"], &[Type::MultiRole, Type::SharedResources]));
    cluster.framework_of("S2", &framework_with(&["role"], &[Type::MultiRole, Type::SharedResources]));
    cluster.core.suppress_offers(&framework_id("N"), &BTreeSet::new()).unwrap();
    let volume = shared_volume("role");
    let total = resources("cpus:4;mem:1024") + &volume;
    cluster
        .core
        .add_agent(
            &agent_id("agent"),
            agent_info("agent"),
            &agent_capabilities(),
            None,
            &total,
            &BTreeMap::new(),
        )
        .unwrap();
    let first = cluster.run();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].resources, total);
    cluster.launch(&first[0], "cpus:1;mem:512", 0.0);
    // The volume came back with the rest; now the first framework uses it.
    let second = cluster.tick();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].resources, resources("cpus:3;mem:512") + &volume);
    cluster.give_back(&second[0], &resources("cpus:3;mem:512"), None);
    let third = cluster.tick();
    assert_eq!(third.len(), 1);
    assert_eq!(third[0].resources, resources("cpus:3;mem:512") + &volume);
    cluster.core.revive_offers(&framework_id("N"), &BTreeSet::new()).unwrap();
    cluster.give_back(&third[0], &resources("cpus:3;mem:512"), None);
    cluster.core.suppress_offers(&framework_id("S1"), &BTreeSet::new()).unwrap();
    cluster.core.suppress_offers(&framework_id("S2"), &BTreeSet::new()).unwrap();
    assert_eq!(told(&cluster.tick()), ["N/role@agent: cpus:3; mem:512"]);
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
        cluster.core.add_framework(&a, &info, &BTreeMap::new(), true, &BTreeSet::new()),
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
