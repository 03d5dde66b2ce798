//! Addition, subtraction, equality, by kind and identity.

use super::*;

/// Upstream: `ResourcesTest.ScalarEquals`, `EmptyUnequal`.
#[test]
fn the_order_of_entries_does_not_matter() {
    assert_eq!(resources("cpus:4;mem:2"), resources("mem:2;cpus:4"));
    assert_ne!(resources("cpus(role1):3"), resources("cpus(role2):3"));
    assert_ne!(resources("cpus:4"), resources("cpus:4;mem:2"));
    assert_ne!(resources("cpus:4"), resources(""));
}

/// Upstream: `ResourcesTest.ScalarAddition`, `ScalarAddition2`.
#[test]
fn equal_identities_add_up_and_others_stay_apart() {
    let sum = resources("cpus:1;mem:5") + resources("cpus:2;cpus(role):1");
    assert_eq!(sum, resources("cpus:3;mem:5;cpus(role):1"));
    assert_eq!(sum.len(), 3);
    assert_eq!(sum.cpus().unwrap().millis(), 4000);
}

/// Upstream: `ResourcesTest.ScalarSubtraction`, `ScalarSubtraction2`.
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
    let some = resources("cpus(role1):5;cpus(role2):3;mem:4096");
    assert_eq!(
        some - resources("cpus(role1):0.5;mem:1024"),
        resources("cpus(role1):4.5;cpus(role2):3;mem:3072")
    );
}

/// Upstream: `ResourcesTest.RangesEquals`, `RangesSubset`.
#[test]
fn ranges_contain_what_their_numbers_do() {
    let ports = |ranges: &str| resources(&format!("ports:{ranges}"));
    assert_eq!(ports("[20-40]"), ports("[20-30, 31-39, 40-40]"));
    let all = ["[2-2, 4-5]", "[1-10]", "[2-3]", "[1-2, 4-6]", "[1-4, 5-5]"].map(ports);
    let contains = |of: usize, part: usize| all[of].contains(&all[part]);
    for (of, part) in [(1, 0), (1, 2), (3, 0), (1, 3), (4, 0)] {
        assert!(contains(of, part) && !contains(part, of), "{of} {part}");
    }
    assert!(!contains(2, 0) && !contains(0, 2));
}

/// Upstream: `ResourcesTest.RangesAddition`, `RangesAddition2`, `RangesAddition3`, `RangesAddition4`.
#[test]
fn ranges_add_up_to_the_fewest_intervals() {
    for (left, right, sum) in [
        ("[20000-40000]", "[30000-50000, 10000-20000]", "[10000-50000]"),
        ("[1-10, 5-30, 50-60]", "[1-65, 70-80]", "[1-65, 70-80]"),
        ("[1-2]", "[3-4]", "[1-4]"),
        ("[7-8]", "[5-6]", "[5-8]"),
        ("[5-8]", "[1-4]", "[1-8]"),
        ("[1-4, 9-10, 20-22, 26-30]", "[5-8, 23-25]", "[1-10, 20-30]"),
    ] {
        let total = resources(&format!("ports:{left}")) + resources(&format!("ports:{right}"));
        assert_eq!(total.to_text(), format!("ports:{sum}"), "{left} {right}");
    }
}

/// Upstream: `ResourcesTest.RangesSubtraction`, `RangesSubtraction1`, `RangesSubtraction2`, `RangesSubtraction3`,
/// `RangesSubtraction4`, `RangesSubtraction5`, `RangesSubtraction6`.
#[test]
fn ranges_are_cut_out_of_ranges() {
    for (left, right, rest) in [
        ("[20000-40000]", "[10000-20000, 30000-50000]", "ports:[20001-29999]"),
        ("[50000-60000]", "[50000-50001]", "ports:[50002-60000]"),
        ("[50000-60000]", "[50000-50000]", "ports:[50001-60000]"),
        ("[50000-60000]", "[50000-60000]", "{}"),
        ("[1-10, 20-30, 40-50]", "[2-9, 15-45, 48-50]", "ports:[1-1, 10-10, 46-47]"),
        ("[1-10]", "[11-20]", "ports:[1-10]"),
    ] {
        let rest_of = resources(&format!("ports:{left}")) - resources(&format!("ports:{right}"));
        assert_eq!(rest_of.to_text(), rest, "{left} {right}");
    }
}

/// Upstream: `ResourcesTest.SetEquals`, `SetSubset`, `SetAddition`, `SetSubtraction`.
#[test]
fn items_of_sets_are_there_once() {
    let disks = |items: &str| resources(&format!("disks:{{{items}}}"));
    assert_eq!(disks("sda1"), disks("sda1"));
    let (two, four) = (disks("sda1,sda2"), disks("sda1,sda3,sda4,sda2"));
    assert!(four.contains(&two) && !two.contains(&four));
    assert_eq!(disks("sda1,sda2,sda3") + disks("sda1,sda2,sda3,sda4"), four);
    assert_eq!(four - disks("sda2,sda3,sda4"), disks("sda1"));
}

/// Upstream: `ResourcesTest.PrecisionSimple`, `PrecisionManyOps`, `PrecisionManyConsecutiveOps`, `PrecisionLost`,
/// `PrecisionRounding`.
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
    for _ in 0..2500 {
        current = &(&(&current + &current) + &current) - &(&current + &resources("cpus:0"));
        current -= &cpu;
        assert_eq!(current, cpu);
    }
    assert_eq!(resources("cpus:1.5011").cpus().unwrap().to_f64(), 1.501);
    assert_eq!(resources("cpus:1.5015").cpus().unwrap().to_f64(), 1.502);
}

/// Upstream: `ResourcesTest.BadResourcesNotAllocatable`.
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

/// Upstream: `ReservedResourcesTest.Validation`, `Equals`, `AdditionStaticallyReserved`,
/// `AdditionDynamicallyReservedWithoutLabels`, `AdditionDynamicallyReservedWithSameLabels`,
/// `AdditionDynamicallyReservedWithDistinctLabels`, `Subtraction`.
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
            let sum = bag(&[left, right]);
            assert_eq!(sum.len(), if i == j { 1 } else { 2 });
            assert_eq!(sum.cpus().unwrap().millis(), 16_000);
            let rest = bag(&[left]) - bag(&[right]);
            assert_eq!(rest, if i == j { Resources::new() } else { bag(&[left]) });
        }
    }
    let one_order = reserved("cpus:8", labelled(&[("a", "1"), ("b", "2")]));
    let other_order = reserved("cpus:8", labelled(&[("b", "2"), ("a", "1")]));
    assert_eq!(bag(&[&one_order, &other_order]).len(), 1);
}

#[test]
fn a_label_without_a_value_is_the_same_as_one_with_an_empty_one() {
    let reservation = |labels: &[(&str, Option<&str>)]| {
        let label =
            |&(key, value): &(&str, Option<&str>)| Label { key: key.into(), value: value.map(Into::into) };
        let labels = labels.iter().map(label).collect();
        one(&reserved("cpus:1", ReservationInfo { labels: Some(labels), ..dynamic("r", "p") }))
    };
    let lacking = reservation(&[("k", None), ("a", Some("1"))]);
    let empty = reservation(&[("a", Some("1")), ("k", Some(""))]);
    assert_eq!(lacking, empty);
    assert_eq!(lacking.fingerprint(), empty.fingerprint());
    for other in [reservation(&[("a", Some("1"))]), reservation(&[("k", Some("1")), ("a", Some(""))])] {
        assert_ne!(lacking, other);
        assert_ne!(empty, other);
    }
}

/// Upstream: `ResourceProviderIDTest.Addition`, `Subtraction`, `Equals`, `Contains`; `RevocableResourceTest.Addition`,
/// `Subtraction`, `Equals`, `Contains`, `Filter`; `AllocatedResourcesTest.Equality`, `Contains`, `Addition`, `Subtraction`.
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
    let own = bag(&[&plain]);
    for other in [bag(&[&provided]), bag(&[&revocable]), own.allocated_to("role1")] {
        assert_ne!(own, other);
        assert!(!own.contains(&other) && !other.contains(&own));
        let (both, twice) = (&own + &other, &other + &other);
        assert!(both.contains(&own) && both.contains(&other) && !both.contains(&twice));
        assert_eq!((both.len(), twice.len()), (2, 1));
        assert_eq!(
            (&both - &own, &both - &other, &twice - &other),
            (other.clone(), own.clone(), other.clone())
        );
        assert_eq!((&own - &other, &other - &own), (own.clone(), other.clone()));
        assert!((&other - &other).is_empty());
    }
    let allocated = resources("cpus:2").allocated_to("role1");
    assert_ne!(allocated, resources("cpus:2"));
    assert_eq!(allocated.unallocated(), resources("cpus:2"));
    assert_eq!((&allocated + &resources("cpus:2").allocated_to("role2")).len(), 2);
}

/// Upstream: `AllocatedResourcesTest.Allocations`.
#[test]
fn allocations_are_grouped_by_role() {
    let both = resources("cpus:1").allocated_to("role1") + resources("cpus:2;mem:1").allocated_to("role2");
    let groups = both.allocations();
    assert_eq!(groups["role1"], resources("cpus:1").allocated_to("role1"));
    assert_eq!(groups["role2"], resources("cpus:2;mem:1").allocated_to("role2"));
    assert_eq!(both.unallocated(), resources("cpus:3;mem:1"));
    assert_eq!(both.unallocated().len(), 2);
}

/// Upstream: `ResourcesTest.Reservations`, `HierarchicalReservations`, `ToUnreserved`.
#[test]
fn reserved_parts_are_found_by_role_and_subtree() {
    let all = resources("cpus:1;cpus(eng):2;cpus(eng/ads):3;cpus(ops):4");
    assert_eq!(all.unreserved(), resources("cpus:1"));
    assert_eq!(all.reserved(None), resources("cpus(eng):2;cpus(eng/ads):3;cpus(ops):4"));
    assert_eq!(all.reserved(Some("eng")), resources("cpus(eng):2"));
    assert!(all.reserved(Some("*")).is_empty());
    assert_eq!(all.reservations().keys().collect::<Vec<_>>(), ["eng", "eng/ads", "ops"]);
    assert_eq!(all.reservations()["eng"], resources("cpus(eng):2"));
    // What begins with the same word is no role below.
    for role in ["*", "engine", "en"] {
        assert_eq!(all.allocatable_to(role), resources("cpus:1"), "{role}");
    }
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

/// Upstream: `SharedResourcesTest.ScalarAdditionShared`, `ScalarSubtractionShared`, `Filter`; `ResourcesTest.Count`.
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
    assert_eq!((&volume - &twice).count(&one(&proto)), 0);
}

/// Upstream: `ResourcesTest.Count`.
#[test]
fn what_is_not_shared_is_there_once_or_as_another_amount() {
    let volume = disk("disk(role1):100", Some("1"), Some("path1"), None);
    for volumes in [bag(&[&volume]), bag(&[&volume, &volume])] {
        assert_eq!(volumes.count(&one(&volume)), 1);
    }
    let cpu = one(&proto("cpus:1"));
    assert_eq!((resources("cpus:1").count(&cpu), resources("cpus:2").count(&cpu)), (1, 0));
}

/// Upstream: `SharedResourcesTest.ScalarSharedCompoundExpressions`, `ScalarNonEqualSharedOperations`,
/// `ScalarSharedAndNonSharedOperations`.
#[test]
fn copies_come_and_go_with_the_sums_that_they_are_in() {
    let volume = shared(disk("disk(role1):50", Some("1"), Some("path"), None));
    let other = shared(disk("disk(role1):100", Some("2"), Some("path2"), None));
    let alone = disk("disk(role1):50", Some("1"), Some("path"), None);
    let with = |copies: usize| resources("cpus:2;mem:10") + bag(&vec![&volume; copies]);
    let (four, three) = (with(4), with(3));
    assert_eq!(&(&four + &three) - &four, three);
    assert_eq!(&(&three + &four) - &three, four);
    assert_eq!(&(&four - &three) + &three, four);
    assert_eq!(&(&three - &four) + &four, four);
    assert!((&three - &four).is_empty() && !(&four - &three).is_empty());
    assert_eq!(bag(&[&volume, &other]) - bag(&[&volume]), bag(&[&other]));
    assert_eq!(bag(&[&volume]) - bag(&[&other]), bag(&[&volume]));
    // The same volume, but for that it cannot be shared, is another one.
    let both = bag(&[&volume, &volume, &alone]);
    assert_eq!((both.len(), both.disk().unwrap().millis()), (2, 100_000));
    assert_eq!((both.count(&one(&volume)), both.count(&one(&alone))), (2, 1));
    assert_eq!(bag(&[&alone]) - bag(&[&volume]), bag(&[&alone]));
    assert!(!bag(&[&alone]).contains(&bag(&[&volume])) && !bag(&[&volume]).contains(&bag(&[&alone])));
}

/// Upstream: `ResourcesOperationTest.StrippedResourcesVolume`, `StrippedResourcesAllocated`, `StrippedResourcesReserved`,
/// `StrippedResourcesResourceProvider`, `StrippedResourcesNonScalar`; `ResourceOperationTest.StrippedResourcesRevocable`.
#[test]
fn stripped_quantities_are_bare_amounts() {
    let mut revocable = proto("cpus:1");
    revocable.revocable = Some(Default::default());
    let volume = disk("disk(role):200", Some("1"), Some("path"), None);
    let mut provided = proto("cpus:1");
    provided.provider_id = Some(Box::new(v1::ResourceProviderId { value: "rp".into() }));
    let (reserved, ports, names) = (proto("cpus(role):2"), proto("ports:[1-2]"), proto("names:{foo,bar}"));
    let all = bag(&[&revocable, &provided, &reserved, &volume, &ports, &names]).allocated_to("role");
    assert_eq!(all.create_stripped_scalar_quantity(), resources("cpus:4;disk:200"));
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
