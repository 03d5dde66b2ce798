//! Addition, subtraction, equality, by kind and identity.

use super::*;

#[test]
fn the_order_of_entries_does_not_matter() {
    assert_eq!(resources("cpus:4;mem:2"), resources("mem:2;cpus:4"));
    assert_ne!(resources("cpus:4"), resources("cpus:4;mem:2"));
    assert_ne!(resources("cpus:4"), resources(""));
}

#[test]
fn equal_identities_add_up_and_others_stay_apart() {
    let sum = resources("cpus:1;mem:5") + resources("cpus:2;cpus(role):1");
    assert_eq!(sum, resources("cpus:3;mem:5;cpus(role):1"));
    assert_eq!(sum.len(), 3);
    assert_eq!(sum.cpus().unwrap().millis(), 4000);
}

#[test]
fn subtracting_everything_leaves_nothing() {
    let all = resources("cpus:50;mem:4096;ports:[1-10];disks:{a}");
    assert!((&all - &all).is_empty());
    assert_eq!(
        all.clone() - resources("mem:4096;ports:[3-4]"),
        resources("cpus:50;ports:[1-2,5-10];disks:{a}")
    );
    // More than there is: gone, never negative.
    assert!((resources("cpus:1") - resources("cpus:2")).is_empty());
    // Something else: untouched.
    assert_eq!(resources("cpus:1") - resources("cpus(role):1"), resources("cpus:1"));
}

#[test]
fn thousandths_neither_grow_nor_get_lost() {
    let cpu = resources("cpus:1.001");
    let mut current = cpu.clone();
    for _ in 0..100_000 {
        current += &cpu;
    }
    for _ in 0..100_000 {
        current -= &cpu;
    }
    assert_eq!(current, cpu);
    assert_eq!(resources("cpus:1.5011").cpus().unwrap().to_f64(), 1.501);
    assert_eq!(resources("cpus:1.5015").cpus().unwrap().to_f64(), 1.502);
}

#[test]
fn invalid_and_empty_messages_are_refused_and_dropped() {
    let mut nameless = proto("cpus:1");
    nameless.name.clear();
    assert_eq!(
        Resources::try_from_protos(&[proto("mem:1"), nameless.clone()]).unwrap_err().to_string(),
        "Resource ':1' is invalid: Empty resource name"
    );
    assert!(Resources::from_valid_protos(&[nameless, proto("cpus:0")]).is_empty());
}

#[test]
fn a_flood_of_resources_is_refused_before_any_work() {
    let flood = vec![proto("cpus:1"); 10_001];
    let message = Resources::try_from_protos(&flood).unwrap_err().to_string();
    assert_eq!(message, "10001 resources are more than the 10000 that one message may have");
    assert!(validate_all(&flood).is_err());
    assert_eq!(Resources::try_from_protos(&flood[1..]).unwrap(), resources("cpus:10000"));
}

#[test]
fn reservations_that_differ_anywhere_are_different() {
    let labelled =
        |pairs: &[(&str, &str)]| ReservationInfo { labels: Some(labels(pairs)), ..dynamic("role1", "p2") };
    let unique = [
        proto("cpus:8"),
        proto("cpus(role1):8"),
        proto("cpus(role2):8"),
        reserved("cpus:8", dynamic("role1", "p1")),
        reserved("cpus:8", dynamic("role1", "p2")),
        reserved("cpus:8", dynamic("role2", "p1")),
        reserved("cpus:8", labelled(&[("foo", "bar")])),
        reserved("cpus:8", labelled(&[("foo", "baz")])),
    ];
    for (i, left) in unique.iter().enumerate() {
        for (j, right) in unique.iter().enumerate() {
            assert_eq!(bag(&[left]) == bag(&[right]), i == j);
            assert_eq!(bag(&[left, right]).len(), if i == j { 1 } else { 2 });
        }
    }
    let one_order = reserved("cpus:8", labelled(&[("a", "1"), ("b", "2")]));
    let other_order = reserved("cpus:8", labelled(&[("b", "2"), ("a", "1")]));
    assert_eq!(bag(&[&one_order, &other_order]).len(), 1);
}

#[test]
fn providers_revocability_and_allocation_are_part_of_the_identity() {
    let plain = proto("cpus:2");
    let mut provided = plain.clone();
    provided.provider_id = Some(Box::new(v1::ResourceProviderId { value: "rp".into() }));
    let mut revocable = plain.clone();
    revocable.revocable = Some(Default::default());
    let all = bag(&[&plain, &provided, &revocable]);
    assert_eq!(all.len(), 3);
    assert_eq!(all.revocable(), bag(&[&revocable]));
    assert_eq!(all.non_revocable(), bag(&[&plain, &provided]));
    let allocated = resources("cpus:2").allocated_to("role1");
    assert_ne!(allocated, resources("cpus:2"));
    assert_eq!(allocated.unallocated(), resources("cpus:2"));
    assert_eq!((&allocated + &resources("cpus:2").allocated_to("role2")).len(), 2);
}

#[test]
fn allocations_are_grouped_by_role() {
    let both = resources("cpus:1").allocated_to("role1") + resources("cpus:2;mem:1").allocated_to("role2");
    let groups = both.allocations();
    assert_eq!(groups["role1"], resources("cpus:1").allocated_to("role1"));
    assert_eq!(groups["role2"], resources("cpus:2;mem:1").allocated_to("role2"));
    assert_eq!(both.unallocated(), resources("cpus:3;mem:1"));
    assert_eq!(both.unallocated().len(), 2);
}

#[test]
fn reserved_parts_are_found_by_role_and_subtree() {
    let all = resources("cpus:1;cpus(eng):2;cpus(eng/ads):3;cpus(ops):4");
    assert_eq!(all.unreserved(), resources("cpus:1"));
    assert_eq!(all.reserved(None), resources("cpus(eng):2;cpus(eng/ads):3;cpus(ops):4"));
    assert_eq!(all.reserved(Some("eng")), resources("cpus(eng):2"));
    assert_eq!(all.reserved_to_role_subtree("eng"), resources("cpus(eng):2;cpus(eng/ads):3"));
    assert_eq!(all.allocatable_to("eng/ads"), resources("cpus:1;cpus(eng):2;cpus(eng/ads):3"));
    assert_eq!(all.allocatable_to("ops"), resources("cpus:1;cpus(ops):4"));
    assert_eq!(all.to_unreserved(), resources("cpus:10"));
    assert_eq!(all.to_unreserved().len(), 1);
}

#[test]
fn reservations_are_pushed_and_popped_like_a_stack() {
    let base = resources("cpus:2;mem:10");
    let eng = base.push_reservation(&dynamic("eng", "p")).unwrap();
    let ads = eng.push_reservation(&dynamic("eng/ads", "p")).unwrap();
    assert_eq!(ads.reservations().keys().collect::<Vec<_>>(), ["eng/ads"]);
    assert_eq!(ads.pop_reservation(), Some(eng.clone()));
    assert_eq!(eng.pop_reservation(), Some(base.clone()));
    assert_eq!(base.pop_reservation(), None);
    assert_eq!(
        eng.push_reservation(&dynamic("ops", "p")).unwrap_err().to_string(),
        "Invalid refined reservation: role 'ops' is not a refinement of 'eng'"
    );
}

#[test]
fn shared_resources_are_counted() {
    let proto = shared(disk("disk(role):64", Some("id"), Some("path"), None));
    let volume = bag(&[&proto]);
    let twice = &volume + &volume;
    assert_eq!((twice.len(), twice.count(&one(&proto))), (1, 2));
    assert_eq!(twice.disk().unwrap().millis(), 64_000);
    assert!(twice.contains(&volume) && !volume.contains(&twice));
    assert_ne!(twice, volume);
    assert_eq!(&twice - &volume, volume);
    assert!((&volume - &twice).is_empty());
    assert_eq!((&twice + &resources("cpus:1")).shared(), twice);
    assert_eq!((&twice + &resources("cpus:1")).non_shared(), resources("cpus:1"));
}

#[test]
fn stripped_quantities_are_bare_amounts() {
    let mut revocable = proto("cpus:1");
    revocable.revocable = Some(Default::default());
    let volume = disk("disk(role):200", Some("1"), Some("path"), None);
    let all = bag(&[&revocable, &proto("cpus(role):2"), &volume, &proto("ports:[1-2]")]).allocated_to("role");
    assert_eq!(all.create_stripped_scalar_quantity(), resources("cpus:3;disk:200"));
}

#[test]
fn cloning_shares_and_changing_does_not_leak() {
    let original = resources("cpus:4;mem:8");
    let mut changed = original.clone();
    changed -= resources("cpus:1");
    changed.allocate("role");
    assert_eq!(original, resources("cpus:4;mem:8"));
    assert_eq!(changed, resources("cpus:3;mem:8").allocated_to("role"));
}
