//! The other order: by lot (upstream: `sorter/random/sorter.cpp`).
//!
//! Shares do not matter; weights do. A client's chance to be first is its *relative weight*:
//!
//! ```text
//! chance(root)  = 1
//! chance(node)  = chance(parent) * weight(node) / sum of the weights of its parent's active children
//! ```
//!
//! A node is active if it is an active client or one is below it. All active clients are shuffled
//! together with these chances, each next place going to one of those that are left; a subtree does not
//! stay together. Who is not in the lane that a walk wants is left out afterwards.

use rand::Rng;
use rand::rngs::SmallRng;

use super::{Kind, Lane, NodeIdx, ROOT, Sorter};

impl Sorter {
    /// The clients of a lane in random order, heavier ones sooner.
    pub fn shuffled(&self, lane: Lane, random: &mut SmallRng) -> Vec<u32> {
        let mut clients = self.chances(lane);
        weighted_shuffle(&mut clients, random);
        clients.into_iter().map(|(client, _)| client).collect()
    }

    /// The clients of a lane, in the order of their paths, each with its chance to be first of all
    /// active ones.
    fn chances(&self, lane: Lane) -> Vec<(u32, f64)> {
        let mut chances = Vec::with_capacity(self.clients.len());
        self.collect_chances(ROOT, 1.0, lane, &mut chances);
        chances
    }

    fn collect_chances(&self, node: NodeIdx, chance: f64, lane: Lane, chances: &mut Vec<(u32, f64)>) {
        if let Kind::Leaf { client, .. } = self.nodes[node].kind {
            if self.nodes[node].stands_in & lane.bit() != 0 {
                chances.push((client, chance));
            }
            return;
        }
        let children = self.nodes[node].children.values().filter(|child| self.is_active(**child));
        let active: Vec<NodeIdx> = children.copied().collect();
        let sum: f64 = active.iter().map(|child| self.nodes[*child].weight).sum();
        for child in active {
            self.collect_chances(child, chance * self.nodes[child].weight / sum, lane, chances);
        }
    }

    /// Whether a node is an active client or has one below it.
    fn is_active(&self, node: NodeIdx) -> bool {
        self.nodes[node].stands_in & Lane::ACTIVE.bit() != 0
    }
}

/// Shuffles items so that at each place the chance of an item is its weight among those that are left
/// (Efraimidis and Spirakis, *Weighted random sampling with a reservoir*, 2006).
///
/// Weights must be greater than 0. Each item waits for a time that is exponentially distributed with its
/// weight as rate, and whoever waits shortest is first. (Upstream compares `random^(1/weight)`, which is
/// the same order, but underflows for the small weights of many clients.)
fn weighted_shuffle<T>(items: &mut [(T, f64)], random: &mut SmallRng) {
    let mut waits = Vec::with_capacity(items.len());
    for (position, (_, weight)) in items.iter().enumerate() {
        // In (0, 1], so that the logarithm is a number.
        let lot = 1.0 - random.random::<f64>();
        waits.push((-lot.ln() / weight, position));
    }
    waits.sort_unstable_by(|(left, _), (right, _)| left.total_cmp(right));
    let mut places = vec![0; items.len()];
    for (place, (_, position)) in waits.into_iter().enumerate() {
        places[position] = place;
    }
    permute(items, &mut places);
}

/// Moves each item to its place.
fn permute<T>(items: &mut [T], places: &mut [usize]) {
    for position in 0..items.len() {
        while places[position] != position {
            let place = places[position];
            items.swap(position, place);
            places.swap(position, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;

    use super::super::Basis;
    use super::*;

    const RUNS: usize = 20_000;

    fn seeded() -> SmallRng {
        SmallRng::seed_from_u64(7)
    }

    /// How often an item had each place, as a part of all runs.
    fn places<T: Ord + Copy>(mut shuffle: impl FnMut() -> Vec<T>) -> BTreeMap<T, Vec<f64>> {
        let mut places: BTreeMap<T, Vec<f64>> = BTreeMap::new();
        for _ in 0..RUNS {
            let shuffled = shuffle();
            let count = shuffled.len();
            for (place, item) in shuffled.into_iter().enumerate() {
                places.entry(item).or_insert_with(|| vec![0.0; count])[place] += 1.0 / RUNS as f64;
            }
        }
        places
    }

    /// Four standard deviations at 20,000 runs are at most 0.014.
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 0.015, "{found} is not {expected}");
    }

    /// Upstream: `ProbabilityDistribution`.
    #[test]
    fn a_weighted_shuffle_gives_each_item_its_chance_at_each_place() {
        let mut random = seeded();
        let places = places(|| {
            let mut items = [('a', 1.0), ('b', 2.0), ('c', 3.0)];
            weighted_shuffle(&mut items, &mut random);
            items.map(|(item, _)| item).to_vec()
        });
        // Of six lots one is a's, two are b's and three c's; second place is what the first left.
        for (item, first) in [('a', 1.0 / 6.0), ('b', 2.0 / 6.0), ('c', 3.0 / 6.0)] {
            assert_near(places[&item][0], first);
        }
        assert_near(places[&'a'][1], 2.0 / 6.0 * 1.0 / 4.0 + 3.0 / 6.0 * 1.0 / 3.0);
        assert_near(places[&'b'][1], 1.0 / 6.0 * 2.0 / 5.0 + 3.0 / 6.0 * 2.0 / 3.0);
        assert_near(places[&'c'][1], 1.0 / 6.0 * 3.0 / 5.0 + 2.0 / 6.0 * 3.0 / 4.0);
    }

    /// Upstream: `ProbabilityDistribution`.
    #[test]
    fn clients_are_shuffled_by_their_weights() {
        let mut sorter = Sorter::new();
        let basis = Basis::default();
        for (client, path, weight) in [(0, "a", 3.0), (1, "b", 2.0), (2, "c", 1.0), (3, "idle", 9.0)] {
            sorter.add(client, path);
            sorter.update_weight(path, weight);
            if path != "idle" {
                sorter.activate(client, &basis);
            }
        }
        let mut random = seeded();
        let places = places(|| sorter.shuffled(Lane::ACTIVE, &mut random));
        for (client, first) in [(0, 3.0 / 6.0), (1, 2.0 / 6.0), (2, 1.0 / 6.0)] {
            assert_near(places[&client][0], first);
        }
        assert_eq!(places.len(), 3, "who is inactive is left out");
    }

    /// Upstream: `HierarchicalProbabilityDistribution`.
    #[test]
    fn a_chance_is_a_part_of_the_parents_chance() {
        // a and b by 1 to 4; in b: its own client, c and d by 1 to 2 to 3; e is inactive.
        let mut sorter = Sorter::new();
        let basis = Basis::default();
        for (client, path) in ["a", "b", "b/c", "b/d", "b/e", "f/g"].into_iter().enumerate() {
            sorter.add(client as u32, path);
        }
        for client in 0..4 {
            sorter.activate(client, &basis);
        }
        for (path, weight) in [("b", 4.0), ("b/c", 2.0), ("b/d", 3.0), ("b/e", 50.0), ("f", 50.0)] {
            sorter.update_weight(path, weight);
        }
        let chances: BTreeMap<u32, f64> = sorter.chances(Lane::ACTIVE).into_iter().collect();
        let expected = [(0, 0.2), (1, 0.8 / 6.0), (2, 0.8 * 2.0 / 6.0), (3, 0.8 * 3.0 / 6.0)];
        assert_eq!(chances.len(), expected.len());
        for (client, chance) in expected {
            assert!((chances[&client] - chance).abs() < 1e-12, "{chances:?}");
        }
        let mut random = seeded();
        let places = places(|| sorter.shuffled(Lane::ACTIVE, &mut random));
        for (client, chance) in expected {
            assert_near(places[&client][0], chance);
        }
    }

    #[test]
    fn small_chances_of_many_clients_keep_apart() {
        let mut sorter = Sorter::new();
        let basis = Basis::default();
        for client in 0..10_000 {
            sorter.add(client, &format!("client-{client:05}"));
            sorter.activate(client, &basis);
        }
        let mut random = seeded();
        let shuffled = sorter.shuffled(Lane::ACTIVE, &mut random);
        // Were chances of 1/10,000 to underflow, most would stay in the order of their names.
        let in_order = shuffled.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((4_800..5_200).contains(&in_order), "{in_order}");
        assert_ne!(sorter.shuffled(Lane::ACTIVE, &mut random), shuffled);
        assert_eq!(sorter.shuffled(Lane::ACTIVE, &mut seeded()), shuffled, "the seed decides");
        assert!(Sorter::new().shuffled(Lane::ACTIVE, &mut random).is_empty());
    }
}
