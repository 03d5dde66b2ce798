//! Upstream's cases (`sorter_tests.cpp`), with its numbers.

use mesos::ResourceQuantities;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::super::amounts::Amounts;
use super::super::ids::Names;
use super::{Basis, Lane, Sorter};

/// A sorter that is spoken to with paths and texts.
struct Case {
    sorter: Sorter,
    basis: Basis,
    names: Names,
    paths: Vec<&'static str>,
}

impl Case {
    /// A cluster that has so much.
    fn over(total: &str) -> Case {
        let mut case =
            Case { sorter: Sorter::new(), basis: Basis::default(), names: Names::new(), paths: Vec::new() };
        case.total(total);
        case
    }

    fn total(&mut self, total: &str) {
        let (old, new) = (self.basis.total().clone(), self.amounts(total));
        self.basis.replace(&old, &new);
    }

    fn amounts(&mut self, text: &str) -> Amounts {
        let mut amounts = Amounts::ZERO;
        for (name, scalar) in ResourceQuantities::parse(text).unwrap().iter() {
            amounts.set(self.names.intern(name), scalar.millis());
        }
        amounts
    }

    fn client(&mut self, path: &'static str) -> u32 {
        let known = self.paths.iter().position(|known| *known == path);
        let position = known.unwrap_or_else(|| {
            self.paths.push(path);
            self.paths.len() - 1
        });
        position as u32
    }

    fn add(&mut self, path: &'static str) {
        let client = self.client(path);
        self.sorter.add(client, path);
        self.sorter.activate(client, &self.basis);
    }

    fn add_with(&mut self, path: &'static str, allocated: &str) {
        self.add(path);
        self.allocated(path, allocated);
    }

    fn remove(&mut self, path: &'static str) {
        let client = self.client(path);
        self.sorter.remove(client, &self.basis);
    }

    fn activate(&mut self, path: &'static str) {
        let client = self.client(path);
        self.sorter.activate(client, &self.basis);
    }

    fn deactivate(&mut self, path: &'static str) {
        let client = self.client(path);
        self.sorter.deactivate(client, &self.basis);
    }

    fn allocated(&mut self, path: &'static str, text: &str) {
        let (client, amounts) = (self.client(path), self.amounts(text));
        self.sorter.allocated(client, &amounts, &self.basis);
    }

    fn unallocated(&mut self, path: &'static str, text: &str) {
        let (client, amounts) = (self.client(path), self.amounts(text));
        self.sorter.unallocated(client, &amounts, &self.basis);
    }

    fn update(&mut self, path: &'static str, old: &str, new: &str) {
        let (client, old, new) = (self.client(path), self.amounts(old), self.amounts(new));
        self.sorter.update(client, &old, &new, &self.basis);
    }

    fn weight(&mut self, path: &'static str, weight: f64) {
        self.sorter.update_weight(path, weight);
    }

    fn contains(&mut self, path: &'static str) -> bool {
        let client = self.client(path);
        self.sorter.contains(client)
    }

    /// What a client has, or all of them.
    #[track_caller]
    fn assert_allocation(&mut self, path: Option<&'static str>, expected: &str) {
        let expected = self.amounts(expected);
        let found = match path {
            Some(path) => {
                let client = self.client(path);
                self.sorter.allocation(client)
            }
            None => Some(self.sorter.allocation_of_all()),
        };
        assert_eq!(found, Some(&expected));
    }

    /// The order by share; the random order must have the same clients.
    #[track_caller]
    fn assert_order(&mut self, expected: &[&str]) {
        let path = |client: u32| self.paths[client as usize];
        let sorted: Vec<&str> = self.sorter.sorted(&self.basis).into_iter().map(path).collect();
        assert_eq!(sorted, expected);
        let mut random = SmallRng::seed_from_u64(0);
        let mut shuffled: Vec<&str> =
            self.sorter.shuffled(Lane::ACTIVE, &mut random).into_iter().map(path).collect();
        let mut expected = expected.to_vec();
        shuffled.sort_unstable();
        expected.sort_unstable();
        assert_eq!(shuffled, expected, "the random order");
    }
}

/// The same history with other names: `a` to `f`, wherever they are in the tree.
fn history(names: [&'static str; 6]) {
    let [a, b, c, d, e, f] = names;
    let mut case = Case::over("cpus:100;mem:100");
    case.assert_order(&[]);
    case.add_with(a, "cpus:5;mem:5");
    case.add_with(b, "cpus:6;mem:6");
    case.assert_order(&[a, b]);
    case.add_with(c, "cpus:1;mem:1");
    case.add_with(d, "cpus:3;mem:1");
    case.assert_order(&[c, d, a, b]);
    case.remove(a);
    case.unallocated(b, "cpus:4;mem:4");
    case.assert_order(&[c, b, d]);
    case.add_with(e, "cpus:1;mem:5");
    case.total("cpus:50;mem:100");
    case.assert_order(&[c, b, e, d]);
    case.total("cpus:50;mem:200");
    case.add_with(f, "cpus:5;mem:1");
    case.allocated(c, "mem:15");
    case.assert_order(&[e, b, d, c, f]);
    assert!(case.contains(b) && !case.contains(a));
    assert_eq!(case.sorter.len(), 5);
    case.deactivate(d);
    assert!(case.contains(d));
    case.assert_order(&[e, b, c, f]);
    assert_eq!(case.sorter.len(), 5);
    case.activate(d);
    case.assert_order(&[e, b, d, c, f]);
}

/// Upstream: `DRF`.
#[test]
fn the_lowest_share_comes_first_whatever_happens() {
    history(["a", "b", "c", "d", "e", "f"]);
}

/// Upstream: `ShallowHierarchy`.
#[test]
fn branches_with_one_client_each_change_nothing() {
    history(["a/a", "b/b", "c/c", "d/d", "e/e", "f/f"]);
}

/// Upstream: `DeepHierarchy`.
#[test]
fn the_depth_of_a_branch_changes_nothing() {
    history(["a/a/a/a/a", "b/b/b/b", "c/c/c", "d/d", "e/e/e/e/e/e", "f/f"]);
}

/// Upstream: `WDRF`.
#[test]
fn shares_are_divided_by_weights() {
    let mut case = Case::over("cpus:100;mem:100");
    case.add_with("a", "cpus:5;mem:5");
    case.add("b");
    case.weight("b", 2.0);
    case.allocated("b", "cpus:6;mem:6");
    case.assert_order(&["b", "a"]);
    case.add_with("c", "cpus:4;mem:4");
    case.assert_order(&["b", "c", "a"]);
    case.add("d");
    case.weight("d", 10.0);
    case.allocated("d", "cpus:10;mem:20");
    case.assert_order(&["d", "b", "c", "a"]);
    case.remove("b");
    case.assert_order(&["d", "c", "a"]);
    case.allocated("d", "cpus:10;mem:25");
    case.assert_order(&["c", "d", "a"]);
    case.add("e");
    case.weight("e", 0.1);
    case.allocated("e", "cpus:1;mem:1");
    case.assert_order(&["c", "d", "a", "e"]);
    case.remove("a");
    case.assert_order(&["c", "d", "e"]);
}

/// Upstream: `UpdateWeight`.
#[test]
fn a_weight_that_changes_changes_the_order() {
    let mut case = Case::over("cpus:100;mem:100");
    case.add_with("a", "cpus:5;mem:5");
    case.add_with("b", "cpus:6;mem:6");
    case.assert_order(&["a", "b"]);
    case.weight("b", 2.0);
    case.assert_order(&["b", "a"]);
}

/// Upstream: `AllocationCountTieBreak`.
#[test]
fn of_equal_shares_the_one_that_was_chosen_less_often_comes_first() {
    let mut case = Case::over("cpus:100;mem:100");
    for path in ["a", "b", "e"] {
        case.add_with(path, "cpus:3;mem:3");
    }
    case.add("c");
    for _ in 0..3 {
        case.allocated("c", "cpus:1;mem:1");
    }
    case.add_with("d", "cpus:2;mem:2");
    case.allocated("d", "cpus:1;mem:1");
    case.assert_order(&["a", "b", "e", "d", "c"]);
    // What is given back is not forgotten, nor is what happened before a pause or during it.
    case.unallocated("c", "cpus:3;mem:3");
    case.assert_order(&["c", "a", "b", "e", "d"]);
    case.allocated("c", "cpus:3;mem:3");
    case.assert_order(&["a", "b", "e", "d", "c"]);
    case.deactivate("c");
    case.activate("c");
    case.assert_order(&["a", "b", "e", "d", "c"]);
    case.deactivate("a");
    case.unallocated("a", "cpus:1;mem:3");
    case.allocated("a", "cpus:1;mem:3");
    case.assert_order(&["b", "e", "d", "c"]);
    case.activate("a");
    case.assert_order(&["b", "e", "a", "d", "c"]);
}

/// Upstream: `HierarchicalAllocation`.
#[test]
fn a_branch_has_what_the_clients_in_it_have() {
    let mut case = Case::over("cpus:100;mem:100");
    for path in ["a", "b/c", "b/d"] {
        case.add(path);
    }
    assert_eq!(case.sorter.len(), 3);
    assert!(!case.contains("b"));
    case.assert_order(&["a", "b/c", "b/d"]);
    case.allocated("a", "cpus:6;mem:6");
    case.assert_order(&["b/c", "b/d", "a"]);
    case.allocated("b/c", "cpus:4;mem:4");
    case.allocated("b/d", "cpus:3;mem:3");
    case.assert_order(&["a", "b/d", "b/c"]);
    case.assert_allocation(Some("a"), "cpus:6;mem:6");
    case.assert_allocation(Some("b/c"), "cpus:4;mem:4");
    case.assert_allocation(Some("b/d"), "cpus:3;mem:3");
    case.assert_allocation(None, "cpus:13;mem:13");
    case.allocated("a", "cpus:2;mem:2");
    case.assert_order(&["b/d", "b/c", "a"]);
    case.add("b/e/f");
    assert!(!case.contains("b/e"));
    case.assert_order(&["b/e/f", "b/d", "b/c", "a"]);
    case.allocated("b/e/f", "cpus:3.5;mem:3.5");
    case.assert_order(&["a", "b/d", "b/e/f", "b/c"]);
    case.remove("b/e/f");
    assert_eq!(case.sorter.len(), 3);
    case.assert_order(&["b/d", "b/c", "a"]);
    case.update("b/c", "cpus:4;mem:4", "cpus:1;mem:1");
    case.assert_order(&["b/c", "b/d", "a"]);
    case.add_with("b/e/f", "cpus:3.5;mem:3.5");
    case.assert_order(&["b/c", "b/d", "b/e/f", "a"]);
    assert_eq!(case.sorter.len(), 4);
}

/// Upstream: `HierarchicalIterationOrder`.
#[test]
fn a_branch_stays_together() {
    let mut case = Case::over("cpus:100;mem:100");
    for path in ["a/b", "c", "d", "d/e"] {
        case.add(path);
    }
    case.assert_order(&["a/b", "c", "d", "d/e"]);
    case.allocated("c", "cpus:8;mem:8");
    case.assert_order(&["a/b", "d", "d/e", "c"]);
    case.allocated("d", "cpus:3;mem:3");
    case.allocated("d/e", "cpus:2;mem:2");
    case.assert_order(&["a/b", "d/e", "d", "c"]);
    case.allocated("a/b", "cpus:6;mem:6");
    case.assert_order(&["d/e", "d", "a/b", "c"]);
}

/// Upstream: `AddChildToLeaf`.
#[test]
fn a_client_may_get_another_below_it() {
    let mut case = Case::over("cpus:100;mem:100");
    case.add_with("a", "cpus:10;mem:10");
    case.add_with("b", "cpus:6;mem:6");
    case.assert_order(&["b", "a"]);
    case.add_with("a/c", "cpus:5;mem:5");
    case.assert_order(&["b", "a/c", "a"]);
    case.remove("a");
    assert!(!case.contains("a"));
    case.assert_order(&["a/c", "b"]);
    case.add_with("a", "cpus:10;mem:10");
    case.assert_order(&["b", "a/c", "a"]);
    // Against a/c the client a itself has the weight 1; its own weight is for the whole branch.
    case.weight("a/c", 0.2);
    case.assert_order(&["b", "a", "a/c"]);
    case.weight("a", 3.0);
    case.assert_order(&["a", "a/c", "b"]);
    case.weight("a/c", 1.0);
    case.assert_order(&["a/c", "a", "b"]);
}

/// Upstream: `AddChildToInternal`.
#[test]
fn a_client_may_come_above_others() {
    let mut case = Case::over("cpus:100;mem:100");
    case.add_with("x/a", "cpus:10;mem:10");
    case.add_with("x/b", "cpus:6;mem:6");
    case.assert_order(&["x/b", "x/a"]);
    case.add_with("x", "cpus:7;mem:7");
    case.assert_order(&["x/b", "x", "x/a"]);
    case.add_with("z", "cpus:20;mem:20");
    case.assert_order(&["z", "x/b", "x", "x/a"]);
    case.remove("x");
    case.assert_order(&["x/b", "x/a", "z"]);
}

/// Upstream: `AddChildToInactiveLeaf`.
#[test]
fn an_inactive_client_may_get_an_active_one_below_it() {
    let mut case = Case::over("cpus:100;mem:100");
    case.add_with("a", "cpus:10;mem:10");
    case.add_with("b", "cpus:6;mem:6");
    case.deactivate("a");
    case.assert_order(&["b"]);
    case.add_with("a/c", "cpus:5;mem:5");
    case.assert_order(&["b", "a/c"]);
}

/// Upstream: `RemoveLeafCollapseParent`.
#[test]
fn a_client_whose_last_companion_below_it_leaves_is_a_leaf_again() {
    let mut case = Case::over("cpus:100;mem:100");
    case.add_with("a", "cpus:10;mem:10");
    case.add_with("b", "cpus:6;mem:6");
    case.add_with("a/c", "cpus:5;mem:5");
    case.assert_order(&["b", "a/c", "a"]);
    case.remove("a/c");
    case.assert_order(&["b", "a"]);
    case.assert_allocation(Some("a"), "cpus:10;mem:10");
}

/// Upstream: `RemoveLeafCollapseParentInactive`.
#[test]
fn an_inactive_client_whose_last_companion_leaves_stays_inactive() {
    let mut case = Case::over("cpus:100;mem:100");
    case.add_with("a", "cpus:10;mem:10");
    case.add_with("b", "cpus:6;mem:6");
    case.add_with("a/c", "cpus:5;mem:5");
    case.deactivate("a");
    case.assert_order(&["b", "a/c"]);
    case.remove("a/c");
    case.assert_order(&["b"]);
}

/// Upstream: `ChangeWeightOnSubtree`.
#[test]
fn a_branch_may_have_a_weight_before_anybody_is_in_it() {
    let mut case = Case::over("cpus:100;mem:100");
    case.weight("b", 3.0);
    case.weight("a", 2.0);
    case.add("a/x");
    case.add("b/y");
    case.assert_order(&["a/x", "b/y"]);
    case.allocated("a/x", "cpus:10;mem:10");
    case.allocated("b/y", "cpus:10;mem:10");
    case.assert_order(&["b/y", "a/x"]);
    case.add_with("b/z", "cpus:5;mem:5");
    // No tie: in floating point 0.15 / 3 is a little less than 0.1 / 2.
    case.assert_order(&["b/z", "b/y", "a/x"]);
    case.add_with("b", "cpus:4;mem:4");
    case.assert_order(&["a/x", "b", "b/z", "b/y"]);
    case.add_with("a/zz", "cpus:2;mem:2");
    case.assert_order(&["a/zz", "a/x", "b", "b/z", "b/y"]);
}

/// Upstream: `AllocationForInactiveClient`.
#[test]
fn what_an_inactive_client_has_counts_for_all() {
    let mut case = Case::over("cpus:10;mem:10");
    case.add("a");
    case.add("b");
    case.deactivate("a");
    case.allocated("a", "cpus:2;mem:2");
    case.allocated("b", "cpus:3;mem:3");
    case.assert_allocation(Some("a"), "cpus:2;mem:2");
    case.assert_allocation(Some("b"), "cpus:3;mem:3");
    case.assert_allocation(None, "cpus:5;mem:5");
}

/// Upstream: `UpdateTotal`.
#[test]
fn another_total_makes_another_resource_dominant() {
    let mut case = Case::over("cpus:10;mem:100");
    case.add_with("a", "cpus:2;mem:1");
    case.add_with("b", "cpus:1;mem:2");
    case.assert_order(&["b", "a"]);
    case.total("cpus:100;mem:10");
    case.assert_order(&["a", "b"]);
}

/// Upstream: `MultipleSlavesUpdateTotal`.
#[test]
fn another_total_of_one_of_two_agents_changes_the_order() {
    let mut case = Case::over("cpus:5;mem:50;cpus:5;mem:50");
    case.add_with("a", "cpus:2;mem:1");
    case.add_with("b", "cpus:1;mem:3");
    case.assert_order(&["b", "a"]);
    let (old, new) = (case.amounts("cpus:5;mem:50"), case.amounts("cpus:95;mem:50"));
    case.basis.replace(&old, &new);
    case.assert_order(&["a", "b"]);
}

/// Upstream: `RemoveResources`.
#[test]
fn resources_may_be_taken_from_the_total_and_a_client_at_once() {
    let mut case = Case::over("cpus:10");
    case.add_with("a", "cpus:6");
    case.add_with("b", "cpus:4");
    case.assert_order(&["b", "a"]);
    case.total("cpus:5");
    case.update("a", "cpus:6", "cpus:1");
    case.assert_order(&["a", "b"]);
}
