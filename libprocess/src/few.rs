//! Ordered maps and sets that take no more memory than their entries while they are few.
//!
//! A leaf of a B-tree has room for eleven entries, whatever is in it; there are as many of these as there are actors
//! and links, and hardly any holds two. Up to [`FEW`] entries are a sorted list here, more are a B-tree, until none is left.

use std::collections::{BTreeMap, btree_map};
use std::vec;

/// The most entries that are kept as a list.
const FEW: usize = 4;

/// A map in the order of its keys.
#[derive(Debug)]
pub(crate) enum FewMap<K, V> {
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for FewMap<K, V> {
    fn default() -> Self {
        FewMap::Few(Vec::new())
    }
}

impl<K: Ord, V> FewMap<K, V> {
    /// Puts it in the place of what has the same key.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self {
            FewMap::Few(list) => match list.binary_search_by(|(known, _)| known.cmp(&key)) {
                Ok(at) => list[at].1 = value,
                Err(at) if list.len() < FEW => {
                    list.reserve_exact(1);
                    list.insert(at, (key, value));
                }
                Err(_) => {
                    let mut map: BTreeMap<K, V> = std::mem::take(list).into_iter().collect();
                    map.insert(key, value);
                    *self = FewMap::Many(map);
                }
            },
            FewMap::Many(map) => {
                map.insert(key, value);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            FewMap::Few(list) => {
                let at = list.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
                Some(list.remove(at).1)
            }
            FewMap::Many(map) => {
                let removed = map.remove(key);
                self.shrink();
                removed
            }
        }
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        match self {
            FewMap::Few(list) => list.binary_search_by(|(known, _)| known.cmp(key)).is_ok(),
            FewMap::Many(map) => map.contains_key(key),
        }
    }

    /// The entry with the least key.
    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        match self {
            FewMap::Few(list) => list.first().map(|(key, value)| (key, value)),
            FewMap::Many(map) => map.first_key_value(),
        }
    }

    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        match self {
            FewMap::Few(list) if list.is_empty() => None,
            FewMap::Few(list) => Some(list.remove(0)),
            FewMap::Many(map) => {
                let first = map.pop_first();
                self.shrink();
                first
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    fn shrink(&mut self) {
        if self.is_empty() {
            *self = FewMap::default();
        }
    }
}

/// A set in order.
#[derive(Debug)]
pub(crate) struct FewSet<T>(FewMap<T, ()>);

impl<T> Default for FewSet<T> {
    fn default() -> Self {
        FewSet(FewMap::default())
    }
}

impl<T: Ord> FewSet<T> {
    pub(crate) fn insert(&mut self, item: T) {
        self.0.insert(item, ());
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, item: &T) -> bool {
        self.0.remove(item).is_some()
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.0.first().map(|(item, ())| item)
    }

    pub(crate) fn pop_first(&mut self) -> Option<T> {
        self.0.pop_first().map(|(item, ())| item)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// In order.
pub(crate) enum Items<T> {
    Few(vec::IntoIter<(T, ())>),
    Many(btree_map::IntoKeys<T, ()>),
}

impl<T> Iterator for Items<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            Items::Few(items) => items.next().map(|(item, ())| item),
            Items::Many(items) => items.next(),
        }
    }
}

impl<T> IntoIterator for FewSet<T> {
    type Item = T;
    type IntoIter = Items<T>;

    fn into_iter(self) -> Items<T> {
        match self.0 {
            FewMap::Few(list) => Items::Few(list.into_iter()),
            FewMap::Many(map) => Items::Many(map.into_keys()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is done with it, a B-tree would answer the same.
        #[test]
        fn it_is_a_map_in_order(steps in prop::collection::vec((0..4, 0..12u8), 0..80)) {
            let (mut few, mut tree) = (FewMap::default(), BTreeMap::new());
            for (step, (kind, key)) in steps.into_iter().enumerate() {
                match kind {
                    0 | 1 => {
                        few.insert(key, step);
                        tree.insert(key, step);
                    }
                    2 => prop_assert_eq!(few.remove(&key), tree.remove(&key)),
                    _ => prop_assert_eq!(few.pop_first(), tree.pop_first()),
                }
                prop_assert_eq!(few.first(), tree.first_key_value());
                prop_assert_eq!(few.is_empty(), tree.is_empty());
                prop_assert_eq!(few.contains_key(&key), tree.contains_key(&key));
            }
        }

        #[test]
        fn a_set_is_taken_apart_in_order(items in prop::collection::vec(0..20u8, 0..9)) {
            let mut few = FewSet::default();
            items.iter().for_each(|item| few.insert(*item));
            let sorted: std::collections::BTreeSet<u8> = items.into_iter().collect();
            prop_assert!(few.into_iter().eq(sorted));
        }
    }

    #[test]
    fn few_entries_take_no_more_than_themselves() {
        let mut map = FewMap::default();
        (0..3).for_each(|key| map.insert(key, [0_u8; 100]));
        assert!(matches!(&map, FewMap::Few(list) if list.capacity() == 3));
        (3..9).for_each(|key| map.insert(key, [0; 100]));
        assert!(matches!(&map, FewMap::Many(_)));
        while map.pop_first().is_some() {}
        assert!(matches!(&map, FewMap::Few(list) if list.capacity() == 0));
    }
}
