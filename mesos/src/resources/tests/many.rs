//! Bags of many entries, which are looked up by fingerprints and indices, against plain lists.

use proptest::prelude::*;

use super::*;
use crate::{resources::lookup::MANY, values::Scalar};

/// A reservation with labels, which differ from others' in the last place.
fn labelled(label: u32, swapped: bool) -> ReservationInfo {
    let label = label.to_string();
    let mut pairs = [("key", "value"), ("unique", &*label)];
    if swapped {
        pairs.reverse();
    }
    ReservationInfo { labels: Some(labels(&pairs)), ..dynamic("a", "p") }
}

fn some_resource() -> impl Strategy<Value = v1::Resource> {
    (0_u32..40, 0_u8..6, 1_u32..4, any::<bool>()).prop_map(|(label, kind, amount, swapped)| match kind {
        0 => proto(&format!("ports:[{amount}-{}]", amount + label)),
        1 => disk("disk(a):2", Some(&label.to_string()), None, None),
        2 => shared(disk("disk(a):3", Some(&label.to_string()), None, None)),
        _ => {
            let mut resource = proto(&format!("{}:{amount}", ["cpus", "mem"][label as usize % 2]));
            resource.reservations = vec![labelled(label, swapped)];
            resource
        }
    })
}

fn some_list() -> impl Strategy<Value = Vec<Resource>> {
    let resources = prop::collection::vec(some_resource(), 0..80);
    resources.prop_map(|protos| protos.iter().map(|proto| Resource::try_from(proto).unwrap()).collect())
}

/// Addition one by one, with a look at each entry.
fn add(list: &mut Vec<Resource>, resource: &Resource) {
    match list.iter_mut().find(|entry| entry.is_addable(resource)) {
        Some(entry) if entry.is_shared() => entry.copies += resource.copies,
        Some(entry) => entry.value.add(&resource.value),
        None => list.push(resource.clone()),
    }
}

fn subtract(list: &mut Vec<Resource>, resource: &Resource) {
    let Some(entry) = list.iter_mut().find(|entry| entry.is_subtractable(resource)) else { return };
    if entry.is_shared() {
        entry.copies = entry.copies.saturating_sub(resource.copies);
    } else {
        entry.value.subtract(&resource.value);
    }
    list.retain(|entry| !entry.is_empty());
}

/// Takes away what is found, and so finds each whole thing once.
fn contains(list: &[Resource], others: &[Resource]) -> bool {
    let mut list = list.to_vec();
    others.iter().all(|wanted| {
        let found = list.iter().any(|entry| entry.contains(wanted));
        subtract(&mut list, wanted);
        found
    })
}

fn added_up(resources: &[Resource]) -> Vec<Resource> {
    let mut list = Vec::new();
    resources.iter().for_each(|resource| add(&mut list, resource));
    list
}

proptest! {
    #[test]
    fn bags_of_many_entries_are_what_lists_would_be(a in some_list(), b in some_list()) {
        let (left, right): (Resources, Resources) = (a.iter().cloned().collect(), b.iter().cloned().collect());
        let (a, b) = (added_up(&a), added_up(&b));
        prop_assert_eq!(left.entries(), &a[..]);
        let mut both = a.clone();
        b.iter().for_each(|resource| add(&mut both, resource));
        let sum = &left + &right;
        prop_assert_eq!(sum.entries(), &both[..]);
        let mut rest = a.clone();
        b.iter().for_each(|resource| subtract(&mut rest, resource));
        let difference = &left - &right;
        prop_assert_eq!(difference.entries(), &rest[..]);
        prop_assert_eq!(left.contains(&right), contains(&a, &b));
        prop_assert!(sum.contains(&right));
        prop_assert_eq!(left == right, contains(&a, &b) && contains(&b, &a));
        for resource in &b {
            let found = a.iter().any(|entry| entry.contains(resource));
            prop_assert_eq!(left.contains_resource(resource), found);
        }
        let mut backwards = a.clone();
        backwards.reverse();
        prop_assert_eq!(left, backwards.into_iter().collect());
    }

    #[test]
    fn equal_identities_have_equal_fingerprints(a in some_list(), b in some_list()) {
        for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            prop_assert!(!a.same_identity(b) || a.fingerprint() == b.fingerprint(), "{a} {b}");
        }
    }
}

#[test]
fn what_changes_an_identity_changes_its_fingerprint() {
    let cpus = Resource::try_from(&proto("cpus:1")).unwrap();
    let plain = cpus.fingerprint();
    let reserved = cpus.with_reservations(vec![labelled(1, false)]);
    assert_ne!(reserved.fingerprint(), plain);
    assert_eq!(reserved.to_unreserved().fingerprint(), plain);
    assert_eq!(cpus.with_reservations(vec![labelled(1, true)]).fingerprint(), reserved.fingerprint());
    assert_ne!(cpus.with_reservations(vec![labelled(2, false)]).fingerprint(), reserved.fingerprint());
    let volume = Resource::try_from(&disk("disk(a):2", Some("v"), None, None)).unwrap();
    assert_ne!(volume.without_persistence().fingerprint(), volume.fingerprint());
}

/// Time for the product of the entries would be minutes here; time for their sum is nothing.
#[test]
fn as_many_as_a_message_may_have_add_up() {
    let mut protos: Vec<v1::Resource> = Vec::new();
    for label in 0..10_000 {
        let mut resource = proto("cpus:1");
        resource.reservations = vec![labelled(label, false)];
        protos.push(resource);
    }
    let bag = Resources::try_from_protos(&protos).unwrap();
    assert!(bag.len() == 10_000 && bag.len() > MANY);
    let again = Resources::try_from_protos(&protos).unwrap();
    assert_eq!(bag, again);
    assert!((&bag - &again).is_empty());
    assert_eq!((&bag + &again).scalar("cpus"), Scalar::from_f64(20_000.0));
}
