//! The laws of the arithmetic, over drawn bags: few names, roles and kinds, so that identities meet.

use proptest::prelude::*;

use super::*;
use crate::quantities::ResourceQuantities;

fn some_resource() -> impl Strategy<Value = v1::Resource> {
    let name = prop::sample::select(vec!["cpus", "mem", "disk", "ports", "disks"]);
    let role = prop::sample::select(vec!["", "(a)", "(b)", "(a/b)"]);
    (name, role, 1_u32..8, 0_u64..40, 0_u64..8, 0_u8..12).prop_map(
        |(name, role, amount, begin, length, flavour)| {
            let value = match name {
                "ports" => format!("[{begin}-{}]", begin + length),
                "disks" => format!("{{s{},t{}}}", begin % 4, length % 4),
                _ => format!("{}", f64::from(amount) / 8.0),
            };
            let mut resource = proto(&format!("{name}{role}:{value}"));
            match flavour {
                0 => resource.revocable = Some(Default::default()),
                1 => resource.reservations = vec![dynamic("a", "p")],
                2 => resource.allocation_info = Some(v1::resource::AllocationInfo { role: Some("x".into()) }),
                3 if name == "disk" => {
                    return disk(
                        &format!("disk{role}:{value}"),
                        None,
                        None,
                        Some(disk_source(source::Type::Mount, "m")),
                    );
                }
                4 if name == "disk" => return disk(&format!("disk(a):{value}"), Some("v"), None, None),
                5 if name == "disk" => return shared(disk("disk(a):3", Some("w"), None, None)),
                _ => {}
            }
            resource
        },
    )
}

fn some_bag() -> impl Strategy<Value = Resources> {
    prop::collection::vec(some_resource(), 0..8)
        .prop_map(|protos| Resources::try_from_protos(&protos).unwrap())
}

/// What one bag has more than the other, so that the two share no port and no item.
fn only(bag: &Resources, other: &Resources) -> Resources {
    bag.filter(|r| r.scalar().is_some()) + (bag.filter(|r| r.scalar().is_none()) - other)
}

proptest! {
    #[test]
    fn addition_is_commutative_and_associative(a in some_bag(), b in some_bag(), c in some_bag()) {
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!((&a + &b) + &c, &a + &(&b + &c));
        prop_assert_eq!(&a + &Resources::new(), a);
    }

    #[test]
    fn what_was_added_can_be_taken_away(a in some_bag(), b in some_bag()) {
        let a = only(&a, &b);
        prop_assert_eq!(&(&a + &b) - &b, a);
    }

    #[test]
    fn a_sum_contains_its_parts_and_containment_is_an_order(a in some_bag(), b in some_bag(), c in some_bag()) {
        let ab = &a + &b;
        let abc = &ab + &c;
        prop_assert!(ab.contains(&a) && ab.contains(&b) && abc.contains(&ab) && abc.contains(&a));
        prop_assert!(a.contains(&a));
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
    }

    #[test]
    fn subtraction_leaves_part_of_what_was_there(a in some_bag(), b in some_bag()) {
        let rest = &a - &b;
        prop_assert!(a.contains(&rest));
        if a.contains(&b) {
            prop_assert_eq!(&rest + &b, a);
        }
    }

    #[test]
    fn what_is_found_is_part_of_it_and_as_much_as_was_asked(a in some_bag(), b in some_bag()) {
        if let Some(found) = a.find(&b) {
            prop_assert!(a.contains(&found), "{found} in {a}");
            prop_assert_eq!(ResourceQuantities::from_resources(&found), ResourceQuantities::from_resources(&b));
        }
        prop_assert!(a.find(&a).is_some());
    }

    #[test]
    fn filters_split_without_loss(a in some_bag()) {
        prop_assert_eq!(a.unreserved() + a.reserved(None), a.clone());
        prop_assert_eq!(a.revocable() + a.non_revocable(), a.clone());
        prop_assert_eq!(a.shared() + a.non_shared(), a.clone());
        let by_role: Resources = a.reservations().into_values().sum();
        prop_assert_eq!(by_role, a.reserved(None));
    }

    #[test]
    fn quantities_add_up_like_the_scalars_they_count(a in some_bag(), b in some_bag()) {
        let (a, b) = (a.scalars().non_shared(), b.scalars().non_shared());
        let count = ResourceQuantities::from_resources;
        prop_assert_eq!(count(&(&a + &b)), count(&a) + count(&b));
    }

    #[test]
    fn messages_and_back_are_the_same(a in some_bag()) {
        // Messages do not say how many copies of a shared resource there are.
        let once: Resources = a.iter().map(|r| Resource { copies: 1, ..r.clone() }).collect();
        prop_assert_eq!(Resources::try_from_protos(&a.to_protos()).unwrap(), once);
    }

    #[test]
    fn plain_bags_read_back_as_printed(a in some_bag()) {
        let plain = a.to_unreserved().filter(|r| r.disk().is_none() && !r.is_revocable()).unallocated();
        let text = plain.to_text();
        let back = if plain.is_empty() { Resources::new() } else { resources(&text) };
        prop_assert_eq!(back, plain);
    }

    #[test]
    fn entries_are_valid_not_empty_and_of_different_identities(a in some_bag(), b in some_bag()) {
        for bag in [&a + &b, &a - &b] {
            for (i, entry) in bag.iter().enumerate() {
                prop_assert!(!entry.is_empty());
                prop_assert_eq!(validate(&entry.to_proto()), Ok(()));
                let mergeable = bag.iter().enumerate().any(|(j, other)| i != j && entry.is_addable(other));
                prop_assert!(!mergeable, "{bag}");
            }
        }
    }

    #[test]
    fn any_text_is_answered_without_a_panic(text in "[a-z]{0,4}[(:;\\[\\]{}0-9a-z,. -]{0,24}") {
        let _ = Resources::parse(&text, "*");
    }
}
