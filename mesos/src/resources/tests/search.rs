//! Containment, find, shrink, quantities.

use super::*;
use crate::quantities::{ResourceLimits, ResourceQuantities};

/// Upstream: `ResourcesTest.ScalarSubset`, `ScalarSubset2`; `ReservedResourcesTest.Contains`.
#[test]
fn containment_is_by_identity() {
    let static_one = proto("cpus(role):8");
    let dynamic_one = reserved("cpus:12", dynamic("role", "principal"));
    let (one, other) = (bag(&[&static_one]), bag(&[&dynamic_one]));
    let both = &one + &other;
    assert!(both.contains(&one) && both.contains(&other) && both.contains(&both));
    assert!(!one.contains(&other) && !other.contains(&one) && !one.contains(&both));
    assert!(one.contains(&Resources::new()) && !Resources::new().contains(&one));
    assert!(resources("ports:[1-10]").contains(&resources("ports:[2-3,9-10]")));
    assert!(!resources("ports:[1-10]").contains(&resources("ports:[9-11]")));
    for (more, less) in [("cpus:1;mem:4096", "cpus:1;mem:3072"), ("cpus(role1):3", "cpus(role1):1")] {
        let (more, less) = (resources(more), resources(less));
        assert!(more.contains(&less) && !less.contains(&more), "{more} {less}");
    }
    for (left, right) in [("cpus(role1):1", "cpus(role2):1"), ("cpus(role1):3", "cpus(role2):1")] {
        let (left, right) = (resources(left), resources(right));
        assert!(!left.contains(&right) && !right.contains(&left), "{left} {right}");
    }
}

/// Upstream: `ResourcesTest.Find`.
#[test]
fn find_prefers_the_role_then_the_unreserved_then_others() {
    let find = |have: &str, want: &str| resources(have).find(&resources(want));
    assert_eq!(
        find("cpus(role1):2;mem(role1):10;cpus:4;mem:20", "cpus(role1):3;mem(role1):15"),
        Some(resources("cpus(role1):2;mem(role1):10;cpus:1;mem:5"))
    );
    assert_eq!(
        find(
            "cpus(role1):1;mem(role1):5;cpus(role2):2;mem(role2):8;cpus:1;mem:7",
            "cpus(role1):3;mem(role1):15"
        ),
        Some(resources("cpus(role1):1;mem(role1):5;cpus:1;mem:7;cpus(role2):1;mem(role2):3"))
    );
    assert_eq!(
        find("cpus(role1):5;mem(role1):5;cpus:5;mem:5", "cpus:6;mem:6"),
        Some(resources("cpus:5;mem:5;cpus(role1):1;mem(role1):1"))
    );
    assert_eq!(find("cpus(role1):1;mem(role1):1", "cpus(role1):2;mem(role1):2"), None);
}

/// Upstream: `RevocableResourceTest.Find`.
#[test]
fn find_tells_revocable_resources_from_others() {
    let mut proto = proto("cpus:1");
    proto.revocable = Some(Default::default());
    let (revocable, plain) = (bag(&[&proto]), resources("cpus:1"));
    let both = &revocable + &plain;
    for (wanted, other) in [(&revocable, &plain), (&plain, &revocable)] {
        assert_eq!(both.find(wanted).as_ref(), Some(wanted));
        assert_eq!(other.find(wanted), None);
    }
}

#[test]
fn find_gives_nothing_away_twice() {
    // Two targets that want the same two cpus.
    assert_eq!(resources("cpus:2").find(&resources("cpus(a):2;cpus(b):2")), None);
    assert_eq!(resources("cpus:4").find(&resources("cpus(a):2;cpus(b):2")), Some(resources("cpus:4")));
}

/// Upstream: `ResourcesTest.ShrinkToQuantities`.
#[test]
fn shrinking_to_quantities_drops_what_is_not_named() {
    let shrink =
        |have: &Resources, to: &str| have.shrink_to_quantities(&ResourceQuantities::parse(to).unwrap());
    let have = resources("cpus:2;mem:20;cpus(role):3");
    assert_eq!(shrink(&have, "cpus:1;mem:10;disk:10"), resources("cpus:1;mem:10"));
    assert_eq!(shrink(&have, "cpus:4"), resources("cpus:2;cpus(role):2"));
    assert!(shrink(&have, "").is_empty());
    let mount = bag(&[&disk("disk:20", None, None, Some(disk_source(source::Type::Mount, "mnt")))]);
    assert!(shrink(&mount, "disk:10").is_empty());
    assert_eq!(shrink(&mount, "disk:20"), mount);
}

/// Upstream: `ResourcesTest.ShrinkToLimits`.
#[test]
fn shrinking_to_limits_keeps_what_is_not_named() {
    let shrink = |have: &Resources, to: &str| have.shrink_to_limits(&ResourceLimits::parse(to).unwrap());
    let have = resources("cpus:2;mem:20;ports:[1-2]");
    assert_eq!(shrink(&have, "cpus:1"), resources("cpus:1;mem:20;ports:[1-2]"));
    assert_eq!(shrink(&have, "cpus:0"), resources("mem:20;ports:[1-2]"));
    assert_eq!(shrink(&have, ""), have);
    assert!(shrink(&Resources::new(), "cpus:1").is_empty());
    let mount = bag(&[&disk("disk:20", None, None, Some(disk_source(source::Type::Mount, "mnt")))]);
    assert!(shrink(&mount, "disk:10").is_empty());
}

/// Upstream: `ResourcesTest.ContainsResourceQuantities`.
#[test]
fn quantities_are_found_over_all_reservations() {
    let have = resources("cpus:1;cpus(role):2;ports:[1-10];disks:{a,b}");
    let contains = |text: &str| have.contains_quantities(&ResourceQuantities::parse(text).unwrap());
    assert!(contains("cpus:3;ports:10;disks:2") && contains(""));
    assert!(!contains("cpus:3.001") && !contains("ports:11") && !contains("mem:1"));
    // A shared volume counts once, however many copies there are.
    let volume = shared(disk("disk(role1):64", Some("id1"), Some("path1"), None));
    let disks = ResourceQuantities::parse("disk:128").unwrap();
    assert!(!bag(&[&volume, &volume]).contains_quantities(&disks));
    assert!(bag(&[&volume, &proto("disk:64")]).contains_quantities(&disks));
}

/// Upstream: `ResourcesTest.Get`, `Names`.
#[test]
fn names_and_parts_by_name() {
    let have = resources("cpus:2;mem:3;cpus(r):1");
    assert_eq!(have.names().into_iter().collect::<Vec<_>>(), ["cpus", "mem"]);
    assert_eq!(have.get("cpus"), resources("cpus:2;cpus(r):1"));
    assert_eq!(resources("cpus:1;ports:[1-2]").scalars(), resources("cpus:1"));
}
