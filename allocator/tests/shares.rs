//! What counts in shares, and how often: cases of upstream's `sorter_tests.cpp` whose sorter knows agents
//! and resources. Ours knows amounts only, so that these are told to the core. Each client is a framework
//! with a role of its own.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::*;
use allocator::core::RoleView;
use mesos::Resources;
use mesos::v1::framework_info::capability::Type;

/// What clients use of an agent, by name.
type Used<'a> = &'a [(&'a str, Resources)];

/// A cluster with one agent and with clients that use of it what is said.
fn cluster(total: &Resources, used: Used<'_>) -> Cluster {
    let mut cluster = Cluster::new();
    for (name, _) in used {
        let capabilities = [Type::MultiRole, Type::SharedResources, Type::RevocableResources];
        cluster.framework_of(name, &framework_with(&[role(name)], &capabilities));
    }
    add_agent(&mut cluster, "S", total, used);
    cluster
}

fn add_agent(cluster: &mut Cluster, name: &str, total: &Resources, used: Used<'_>) {
    let used: BTreeMap<_, _> =
        used.iter().map(|(name, used)| (framework_id(name), used.allocated_to(role(name)))).collect();
    let (info, capabilities) = (agent_info(name), agent_capabilities());
    cluster.core.add_agent(&agent_id(name), info, &capabilities, None, total, &used).unwrap();
    assert!(cluster.core.balances());
}

/// Framework `a` has the role `a`, framework `a-x` the role `a/x`.
fn role(name: &str) -> &'static str {
    match name {
        "a" => "a",
        "b" => "b",
        "c" => "c",
        "d" => "d",
        "a-x" => "a/x",
        "b-y" => "b/y",
        _ => "other",
    }
}

/// The roles that have frameworks, with their shares, lowest first; equal ones by name.
fn shares(cluster: &Cluster) -> Vec<(String, f64)> {
    let roles = cluster.core.roles(cluster.now).into_iter();
    let shares = roles.filter_map(|role: RoleView| Some((role.path, role.dominant_share?)));
    let mut shares: Vec<_> = shares.collect();
    shares.sort_by(|left, right| left.1.total_cmp(&right.1));
    shares
}

#[track_caller]
fn assert_shares(cluster: &Cluster, expected: &[(&str, f64)]) {
    let shares = shares(cluster);
    let names = |shares: &[(String, f64)]| shares.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&shares), expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for ((_, share), (name, expected)) in shares.iter().zip(expected) {
        assert!((share - expected).abs() < 1e-9, "{name}: {share} is not {expected}");
    }
}

/// A task of a client ends and leaves this free.
fn ends(cluster: &mut Cluster, name: &str, used: &Resources) {
    let used = used.allocated_to(role(name));
    let (framework, agent) = (framework_id(name), agent_id("S"));
    cluster.core.recover_resources(&framework, &agent, &used, None, true, cluster.now).unwrap();
    assert!(cluster.core.balances());
}

fn create_volume(cluster: &mut Cluster, name: &str, agent: &str, held: &Resources) -> Resources {
    let offer = Offer {
        framework: name.into(),
        role: role(name).into(),
        agent: agent.into(),
        resources: held.clone(),
    };
    cluster.apply(&offer, create, &volume(&resources(&format!("disk({}):5", role(name))), "ID")).resources
}

#[track_caller]
fn assert_held(cluster: &Cluster, name: &str, agent: &str, expected: &Resources) {
    let held = cluster.core.held(&framework_id(name), &agent_id(agent));
    assert_eq!(held.get(role(name)), Some(expected));
}

/// Upstream: `SplitResourceShares`.
#[test]
fn volumes_with_one_identity_count_each() {
    let volume = volume(&resources("disk(b):5"), "ID2");
    let volumes = &volume + &volume;
    let total = resources("cpus:100;mem:100;disk:90") + &volumes;
    let used = [("a", resources("cpus:9;mem:9;disk:9")), ("b", resources("cpus:9;mem:9") + volumes)];
    assert_shares(&cluster(&total, &used), &[("a", 0.09), ("b", 0.1)]);
}

/// Upstream: `UpdateAllocation`.
#[test]
fn a_new_volume_changes_what_is_held_and_not_how_much() {
    let held = resources("cpus:10;mem:10;disk(a):10");
    let mut cluster = cluster(&held, &[("a", held.clone()), ("b", Resources::new())]);
    let updated = create_volume(&mut cluster, "a", "S", &held);
    assert_ne!(updated, held);
    assert_held(&cluster, "a", "S", &updated);
    assert_shares(&cluster, &[("b", 0.0), ("a", 1.0)]);
    let disk = cluster.core.resource_use("disk");
    assert_eq!((disk.total, disk.offered_or_allocated), (10.0, 10.0));
    // To nothing at all.
    ends(&mut cluster, "a", &updated);
    assert_shares(&cluster, &[("a", 0.0), ("b", 0.0)]);
    assert!(cluster.core.held(&framework_id("a"), &agent_id("S")).is_empty());
}

/// Upstream: `UpdateAllocationNestedClient`.
#[test]
fn a_new_volume_of_a_role_below_another_changes_only_what_is_held() {
    let held = resources("cpus:10;mem:10;disk(a/x):10");
    let mut cluster = cluster(&held, &[("a-x", held.clone()), ("b-y", Resources::new())]);
    let updated = create_volume(&mut cluster, "a-x", "S", &held);
    assert_held(&cluster, "a-x", "S", &updated);
    assert_shares(&cluster, &[("b/y", 0.0), ("a/x", 1.0)]);
}

/// Upstream: `MultipleSlaves`.
#[test]
fn what_is_held_is_known_agent_by_agent() {
    let held = resources("cpus:2;mem:512;ports:[31000-32000]");
    let mut cluster = cluster(&held, &[("a", held.clone())]);
    add_agent(&mut cluster, "T", &held, &[("a", held.clone())]);
    for agent in ["S", "T"] {
        assert_held(&cluster, "a", agent, &held);
    }
    let mem = cluster.core.resource_use("mem");
    assert_eq!((mem.total, mem.offered_or_allocated), (1024.0, 1024.0));
    assert_shares(&cluster, &[("a", 1.0)]);
}

/// Upstream: `MultipleSlavesUpdateAllocation`.
#[test]
fn a_new_volume_is_held_where_it_was_made() {
    let held = resources("cpus:2;mem:512;disk(a):10;ports:[31000-32000]");
    let mut cluster = cluster(&held, &[("a", held.clone())]);
    add_agent(&mut cluster, "T", &held, &[("a", held.clone())]);
    for agent in ["S", "T"] {
        let updated = create_volume(&mut cluster, "a", agent, &held);
        assert_held(&cluster, "a", agent, &updated);
    }
    let disk = cluster.core.resource_use("disk");
    assert_eq!((disk.total, disk.offered_or_allocated), (20.0, 20.0));
}

/// Upstream: `RevocableResources`.
#[test]
fn revocable_resources_count_like_others() {
    let total = resources("cpus:10;mem:100") + revocable("cpus:10");
    let (a, b) = (resources("cpus:2;mem:1"), resources("cpus:1;mem:1") + revocable("cpus:9"));
    let cluster = cluster(&total, &[("a", a.clone()), ("b", b.clone())]);
    assert_held(&cluster, "a", "S", &a);
    assert_held(&cluster, "b", "S", &b);
    assert_shares(&cluster, &[("a", 0.1), ("b", 0.5)]);
}

/// A shared volume of this size, for every role, and a cluster's resources that are 1000 of disk with it.
fn with_shared(size: u32) -> (Resources, Resources) {
    let shared = shared_volume(&resources(&format!("disk(role1):{size}")), "id1");
    let total = resources(&format!("cpus:100;mem:100;disk(role1):{}", 1000 - size)) + &shared;
    (total, shared)
}

/// Upstream: `SharedResources`.
#[test]
fn a_shared_volume_counts_for_everybody_who_has_it() {
    let (total, shared) = with_shared(100);
    let used = [
        ("a", resources("cpus:5;mem:5") + &shared),
        ("b", resources("cpus:6;mem:6")),
        ("c", resources("cpus:1;mem:1") + &shared),
        ("d", Resources::new()),
    ];
    let mut cluster = cluster(&total, &used);
    assert_shares(&cluster, &[("d", 0.0), ("b", 0.06), ("a", 0.1), ("c", 0.1)]);
    cluster.core.remove_framework(&framework_id("a")).unwrap();
    ends(&mut cluster, "b", &resources("cpus:4;mem:4"));
    assert_shares(&cluster, &[("d", 0.0), ("b", 0.02), ("c", 0.1)]);
    let used = resources("cpus:1;mem:5") + &shared;
    add_used(&mut cluster, "d", &used);
    assert_shares(&cluster, &[("b", 0.02), ("c", 0.1), ("d", 0.1)]);
}

/// The framework comes back, and says that it uses this of the agent.
fn add_used(cluster: &mut Cluster, name: &str, used: &Resources) {
    let id = framework_id(name);
    cluster.core.remove_framework(&id).unwrap();
    let info = framework_with(&[role(name)], &[Type::MultiRole, Type::SharedResources]);
    let used = BTreeMap::from([(agent_id("S"), used.allocated_to(role(name)))]);
    cluster.core.add_framework(&id, &info, &used, true, &FrameworkOptions::default()).unwrap();
    assert!(cluster.core.balances());
}

/// Upstream: `SameDominantSharedResourcesAcrossClients`.
#[test]
fn a_large_shared_volume_makes_all_who_have_it_equal() {
    let (total, shared) = with_shared(900);
    let used = [
        ("b", resources("cpus:5;mem:20") + &shared),
        ("c", resources("cpus:10;mem:6") + &shared),
        ("a", resources("cpus:50;mem:40") + &shared),
    ];
    assert_shares(&cluster(&total, &used), &[("a", 0.9), ("b", 0.9), ("c", 0.9)]);
}

/// Upstream: `SameSharedResourcesSameClient`.
#[test]
fn more_copies_of_a_shared_volume_count_once() {
    let (total, shared) = with_shared(50);
    let a = resources("cpus:2;mem:2") + &shared;
    let mut cluster = cluster(&total, &[("a", a.clone()), ("b", resources("cpus:6;mem:6"))]);
    assert_shares(&cluster, &[("a", 0.05), ("b", 0.06)]);
    add_used(&mut cluster, "a", &(a + &shared + &shared + &shared));
    assert_shares(&cluster, &[("a", 0.05), ("b", 0.06)]);
}

/// Upstream: `SharedResourcesUnallocated`.
#[test]
fn a_shared_volume_counts_until_its_last_copy_is_given_back() {
    let (total, shared) = with_shared(100);
    let a = resources("cpus:2;mem:2") + &shared + &shared + &shared;
    let mut cluster = cluster(&total, &[("a", a), ("b", resources("cpus:6;mem:6"))]);
    assert_shares(&cluster, &[("b", 0.06), ("a", 0.1)]);
    ends(&mut cluster, "a", &shared);
    assert_shares(&cluster, &[("b", 0.06), ("a", 0.1)]);
    ends(&mut cluster, "a", &(&shared + &shared));
    assert_shares(&cluster, &[("a", 0.02), ("b", 0.06)]);
}

/// Upstream: `RolesTracking`.
#[test]
fn a_role_is_there_with_those_above_it_while_something_refers_to_it() {
    let mut cluster = Cluster::new();
    let paths = |cluster: &Cluster| -> Vec<String> {
        cluster.core.roles(cluster.now).into_iter().map(|role| role.path).collect()
    };
    let branch = ["a", "a/b", "a/b/c"];
    let none: [&str; 0] = [];

    let weight = |weight: f64| BTreeMap::from([("a/b/c".to_owned(), weight)]);
    cluster.core.update_weights(&weight(2.0));
    assert_eq!(paths(&cluster), branch);
    let weights: Vec<f64> = cluster.core.roles(cluster.now).iter().map(|role| role.weight).collect();
    assert_eq!(weights, [1.0, 1.0, 2.0]);
    cluster.core.update_weights(&weight(1.0));
    assert_eq!(paths(&cluster), none);

    cluster.core.update_quota("a/b/c", &quota("cpus:1", ""));
    assert_eq!(paths(&cluster), branch);
    cluster.core.update_quota("a/b/c", &quota("", ""));
    assert_eq!(paths(&cluster), none);

    cluster.agent("S", "cpus(a/b/c):1");
    assert_eq!(paths(&cluster), branch);
    for role in cluster.core.roles(cluster.now) {
        assert_eq!(role.consumed, BTreeMap::from([("cpus".to_owned(), 1.0)]), "{}", role.path);
    }
    cluster.core.remove_agent(&agent_id("S")).unwrap();
    assert_eq!(paths(&cluster), none);

    cluster.framework("F", &["a/b/c"]);
    assert_eq!(paths(&cluster), branch);
    // Only a role with frameworks of its own has a share.
    assert_eq!(shares(&cluster), [("a/b/c".to_owned(), 0.0)]);
    cluster.core.remove_framework(&framework_id("F")).unwrap();
    assert_eq!(paths(&cluster), none);
}
