//! The sorter's order: shares, weights, ties, trees. Cases follow upstream's `sorter_tests.cpp`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::amounts::Amounts;
use super::super::ids::{Index, NameIdx};
use super::*;

/// A sorter that is spoken to with paths.
struct Sorted {
    sorter: Sorter,
    basis: Basis,
    paths: Vec<&'static str>,
}

fn amounts(cpus: i64, mem: i64) -> Amounts {
    let mut result = Amounts::ZERO;
    result.set(NameIdx::from_position(0), cpus * 1000);
    result.set(NameIdx::from_position(1), mem * 1000);
    result
}

impl Sorted {
    fn over(cpus: i64, mem: i64) -> Self {
        let mut basis = Basis::default();
        basis.replace(&Amounts::ZERO, &amounts(cpus, mem));
        Sorted { sorter: Sorter::new(), basis, paths: Vec::new() }
    }

    fn client(&mut self, path: &'static str) -> u32 {
        if let Some(at) = self.paths.iter().position(|known| *known == path) {
            return at as u32;
        }
        self.paths.push(path);
        (self.paths.len() - 1) as u32
    }

    fn add(&mut self, path: &'static str) {
        let client = self.client(path);
        self.sorter.add(client, path);
        self.sorter.activate(client, &self.basis);
    }

    fn allocate(&mut self, path: &'static str, cpus: i64, mem: i64) {
        let client = self.client(path);
        self.sorter.allocated(client, &amounts(cpus, mem), &self.basis);
    }

    fn unallocate(&mut self, path: &'static str, cpus: i64, mem: i64) {
        let client = self.client(path);
        self.sorter.unallocated(client, &amounts(cpus, mem), &self.basis);
    }

    fn add_with(&mut self, path: &'static str, cpus: i64, mem: i64) {
        self.add(path);
        self.allocate(path, cpus, mem);
    }

    fn remove(&mut self, path: &'static str) {
        let client = self.client(path);
        self.sorter.remove(client, &self.basis);
    }

    fn deactivate(&mut self, path: &'static str) {
        let client = self.client(path);
        self.sorter.deactivate(client, &self.basis);
    }

    fn activate(&mut self, path: &'static str) {
        let client = self.client(path);
        self.sorter.activate(client, &self.basis);
    }

    fn retotal(&mut self, cpus: i64, mem: i64) {
        let old = self.basis.total().clone();
        self.basis.replace(&old, &amounts(cpus, mem));
    }

    fn order(&mut self) -> Vec<&'static str> {
        let paths = &self.paths;
        self.sorter.sorted(&self.basis).into_iter().map(|client| paths[client as usize]).collect()
    }
}

#[test]
fn the_smallest_dominant_share_comes_first() {
    let mut sorted = Sorted::over(100, 100);
    assert!(sorted.order().is_empty());
    sorted.add_with("a", 5, 5);
    sorted.add_with("b", 6, 6);
    assert_eq!(sorted.order(), ["a", "b"]);
    sorted.add_with("c", 1, 1);
    sorted.add_with("d", 3, 1);
    assert_eq!(sorted.order(), ["c", "d", "a", "b"]);
    sorted.remove("a");
    sorted.unallocate("b", 4, 4);
    assert_eq!(sorted.order(), ["c", "b", "d"]);
    sorted.add_with("e", 1, 5);
    sorted.retotal(50, 100);
    assert_eq!(sorted.order(), ["c", "b", "e", "d"]);
    sorted.retotal(50, 200);
    sorted.add_with("f", 5, 1);
    sorted.allocate("c", 0, 15);
    assert_eq!(sorted.order(), ["e", "b", "d", "c", "f"]);
    assert_eq!(sorted.sorter.len(), 5);
}

#[test]
fn an_inactive_client_is_left_out_and_keeps_what_it_has() {
    let mut sorted = Sorted::over(100, 100);
    sorted.add_with("a", 1, 1);
    sorted.add_with("b", 2, 2);
    sorted.deactivate("a");
    assert_eq!(sorted.order(), ["b"]);
    assert_eq!(sorted.sorter.allocation(0), Some(&amounts(1, 1)));
    sorted.allocate("a", 4, 4);
    sorted.activate("a");
    assert_eq!(sorted.order(), ["b", "a"]);
}

#[test]
fn a_weight_divides_the_share() {
    let mut sorted = Sorted::over(100, 100);
    sorted.add_with("a", 5, 5);
    sorted.sorter.update_weight("b", 2.0);
    sorted.add_with("b", 6, 6);
    assert_eq!(sorted.order(), ["b", "a"]);
    sorted.allocate("b", 5, 5);
    assert_eq!(sorted.order(), ["a", "b"]);
    sorted.sorter.update_weight("b", 3.0);
    assert_eq!(sorted.order(), ["b", "a"]);
    sorted.sorter.update_weight("b", 0.0);
    assert_eq!(sorted.order(), ["a", "b"]);
}

#[test]
fn ties_go_to_whoever_was_chosen_less_often_then_by_path() {
    let mut sorted = Sorted::over(100, 100);
    for path in ["c", "a", "b"] {
        sorted.add(path);
    }
    assert_eq!(sorted.order(), ["a", "b", "c"]);
    sorted.allocate("a", 1, 1);
    sorted.unallocate("a", 1, 1);
    assert_eq!(sorted.order(), ["b", "c", "a"]);
    sorted.allocate("b", 1, 1);
    sorted.unallocate("b", 1, 1);
    assert_eq!(sorted.order(), ["c", "a", "b"]);
}

#[test]
fn excluded_names_do_not_count_towards_shares() {
    let mut sorted = Sorted::over(100, 100);
    sorted.basis = Basis::new(vec![NameIdx::from_position(1)]);
    sorted.basis.replace(&Amounts::ZERO, &amounts(100, 100));
    sorted.add_with("a", 2, 1);
    sorted.add_with("b", 1, 50);
    assert_eq!(sorted.order(), ["b", "a"]);
    assert_eq!(sorted.sorter.share(1, &sorted.basis), Some(0.01));
}

/// Upstream's picture: "a" 0.20, "b/c" and "b/d" together 0.16, "e/f" 0.06 and "e/g" 0.01.
#[test]
fn subtrees_stand_where_their_sum_puts_them() {
    let mut sorted = Sorted::over(100, 100);
    sorted.add_with("a", 20, 20);
    sorted.add_with("b/c", 9, 9);
    sorted.add_with("b/d", 7, 7);
    sorted.add_with("e/f", 6, 6);
    sorted.add_with("e/g", 1, 1);
    assert_eq!(sorted.order(), ["e/g", "e/f", "b/d", "b/c", "a"]);
    sorted.unallocate("a", 19, 19);
    sorted.allocate("e/g", 10, 10);
    assert_eq!(sorted.order(), ["a", "b/d", "b/c", "e/f", "e/g"]);
    sorted.remove("b/d");
    assert_eq!(sorted.order(), ["a", "b/c", "e/f", "e/g"]);
    assert_eq!(*sorted.sorter.allocation_of_all(), amounts(27, 27));
}

#[test]
fn a_client_with_clients_below_it_competes_with_them_as_a_leaf_of_its_own() {
    let mut sorted = Sorted::over(100, 100);
    sorted.add_with("a", 3, 3);
    sorted.add_with("b", 10, 10);
    sorted.add_with("a/x", 4, 4);
    sorted.add_with("a/y/z", 1, 1);
    assert_eq!(sorted.order(), ["a/y/z", "a", "a/x", "b"]);
    assert_eq!(sorted.sorter.allocation(0), Some(&amounts(3, 3)));
    sorted.allocate("a", 1, 1);
    assert_eq!(sorted.order(), ["a/y/z", "a/x", "a", "b"]);
    sorted.allocate("a/x", 1, 1);
    assert_eq!(sorted.order(), ["b", "a/y/z", "a", "a/x"]);
    sorted.remove("a/x");
    sorted.remove("a/y/z");
    assert_eq!(sorted.order(), ["a", "b"]);
    sorted.deactivate("a");
    sorted.add("a/w");
    assert_eq!(sorted.order(), ["a/w", "b"]);
    sorted.activate("a");
    assert_eq!(sorted.order(), ["a/w", "a", "b"]);
}

#[test]
fn a_client_may_come_after_those_below_it_and_leave_before_them() {
    let mut sorted = Sorted::over(100, 100);
    sorted.add_with("a/b", 2, 2);
    sorted.add_with("a", 1, 1);
    assert_eq!(sorted.order(), ["a", "a/b"]);
    sorted.remove("a");
    assert_eq!(sorted.order(), ["a/b"]);
    assert_eq!(*sorted.sorter.allocation_of_all(), amounts(2, 2));
    sorted.remove("a/b");
    assert!(sorted.sorter.is_empty());
    assert!(sorted.order().is_empty());
}

#[test]
fn the_weight_of_a_role_is_that_of_everything_below_it() {
    let mut sorted = Sorted::over(100, 100);
    sorted.add_with("a/x", 6, 6);
    sorted.add_with("b", 4, 4);
    assert_eq!(sorted.order(), ["b", "a/x"]);
    sorted.sorter.update_weight("a", 2.0);
    assert_eq!(sorted.order(), ["a/x", "b"]);
    // A role added later below the weighted one is in the same subtree.
    sorted.add_with("a/y", 3, 3);
    assert_eq!(sorted.order(), ["b", "a/y", "a/x"]);
    // The weight does not pass to the virtual leaf, or it would count twice.
    sorted.add_with("a", 2, 2);
    assert_eq!(sorted.order(), ["b", "a", "a/y", "a/x"]);
}

#[test]
fn the_rest_of_a_walk_is_the_old_order() {
    let mut sorted = Sorted::over(100, 100);
    for path in ["a", "b", "c"] {
        sorted.add(path);
    }
    let mut cursor = Cursor::default();
    sorted.sorter.start(&mut cursor, Lane::ACTIVE, &sorted.basis);
    assert_eq!(sorted.sorter.next(&mut cursor), Some(0));
    assert_eq!(sorted.sorter.rest(&mut cursor), [1, 2]);
    assert_eq!(sorted.sorter.next(&mut cursor), None);
}

const PATHS: [&str; 9] = ["a", "a/b", "a/b/c", "a/d", "e", "e/f", "g/h", "g/i", "j"];

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    Activate(usize),
    Deactivate(usize),
    Allocate(usize, i64, i64),
    Unallocate(usize),
    Weight(usize, u8),
    Lane(usize, bool),
    Total(i64, i64),
    Sort,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = 0..PATHS.len();
    let step = prop_oneof![
        3 => at.clone().prop_map(Step::Add),
        1 => at.clone().prop_map(Step::Remove),
        1 => at.clone().prop_map(Step::Activate),
        1 => at.clone().prop_map(Step::Deactivate),
        6 => (at.clone(), 0i64..5, 0i64..5).prop_map(|(at, cpus, mem)| Step::Allocate(at, cpus, mem)),
        3 => at.clone().prop_map(Step::Unallocate),
        2 => (at.clone(), any::<bool>()).prop_map(|(at, is_in)| Step::Lane(at, is_in)),
        1 => (at, 1u8..4).prop_map(|(at, weight)| Step::Weight(at, weight)),
        1 => (50i64..100, 50i64..100).prop_map(|(cpus, mem)| Step::Total(cpus, mem)),
        4 => Just(Step::Sort),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    /// The order that is kept is the order that sorting everything anew would give, and a lane is the
    /// part of it that was put there.
    #[test]
    fn the_order_that_is_kept_is_the_order_of_a_sorted_tree(steps in steps()) {
        let mut sorted = Sorted::over(100, 100);
        let mut held: BTreeMap<usize, Vec<(i64, i64)>> = BTreeMap::new();
        let mut in_lane: BTreeSet<u32> = BTreeSet::new();
        for path in PATHS {
            sorted.client(path);
        }
        for step in steps {
            match step {
                Step::Add(at) if !held.contains_key(&at) => {
                    sorted.add(PATHS[at]);
                    held.insert(at, Vec::new());
                }
                Step::Remove(at) if held.remove(&at).is_some() => {
                    sorted.remove(PATHS[at]);
                    in_lane.remove(&(at as u32));
                }
                Step::Lane(at, is_in) if held.contains_key(&at) => {
                    sorted.sorter.set_lane(at as u32, Lane::SECOND, is_in, &sorted.basis);
                    if is_in { in_lane.insert(at as u32) } else { in_lane.remove(&(at as u32)) };
                }
                Step::Activate(at) => sorted.activate(PATHS[at]),
                Step::Deactivate(at) => sorted.deactivate(PATHS[at]),
                Step::Allocate(at, cpus, mem) => {
                    if let Some(pieces) = held.get_mut(&at) {
                        pieces.push((cpus, mem));
                        sorted.allocate(PATHS[at], cpus, mem);
                    }
                }
                Step::Unallocate(at) => {
                    if let Some((cpus, mem)) = held.get_mut(&at).and_then(Vec::pop) {
                        sorted.unallocate(PATHS[at], cpus, mem);
                    }
                }
                Step::Weight(at, weight) => sorted.sorter.update_weight(PATHS[at], f64::from(weight)),
                Step::Total(cpus, mem) => sorted.retotal(cpus, mem),
                _ => {
                    let kept = sorted.order();
                    let mut cursor = Cursor::default();
                    sorted.sorter.start(&mut cursor, Lane::SECOND, &sorted.basis);
                    let lane = sorted.sorter.rest(&mut cursor);
                    let active = sorted.sorter.sorted(&sorted.basis);
                    let expected: Vec<u32> =
                        active.into_iter().filter(|client| in_lane.contains(client)).collect();
                    prop_assert_eq!(lane, expected);
                    sorted.sorter.dirty = true;
                    prop_assert_eq!(kept, sorted.order());
                }
            }
        }
        let sum = held.values().flatten().fold((0, 0), |sum, piece| (sum.0 + piece.0, sum.1 + piece.1));
        prop_assert_eq!(sorted.sorter.allocation_of_all(), &amounts(sum.0, sum.1));
    }
}

proptest! {
    /// Whoever is given something in the course of a walk does not change whom the walk comes to.
    #[test]
    fn a_walk_goes_on_as_if_nothing_had_changed(
        held in proptest::collection::vec(0i64..5, PATHS.len()),
        given in proptest::collection::vec((any::<bool>(), 0i64..20, any::<bool>()), PATHS.len()),
    ) {
        let mut sorted = Sorted::over(100, 100);
        for (path, cpus) in PATHS.iter().zip(&held) {
            sorted.add_with(path, *cpus, 0);
            let client = sorted.client(path);
            sorted.sorter.set_lane(client, Lane::SECOND, true, &sorted.basis);
        }
        let before = sorted.sorter.sorted(&sorted.basis);
        let mut cursor = Cursor::default();
        sorted.sorter.start(&mut cursor, Lane::SECOND, &sorted.basis);
        let mut visited = Vec::new();
        while let Some(client) = sorted.sorter.next(&mut cursor) {
            visited.push(client);
            let (is_given, cpus, leaves) = given[client as usize];
            if is_given {
                sorted.sorter.allocated(client, &amounts(cpus, 0), &sorted.basis);
                sorted.sorter.set_lane(client, Lane::SECOND, !leaves, &sorted.basis);
                sorted.sorter.go_on(&mut cursor);
            }
        }
        prop_assert_eq!(visited, before);
    }
}
