//! Maps whose copies share what has not changed since.
//!
//! A snapshot of the cluster is a copy of these maps: a few pointers. What the master changes
//! afterwards is copied first, one path of the tree and one entity at a time, and only if a
//! snapshot is still held by a reader. Iteration order is the same in every run: by key for
//! [`Ordered`], by a fixed hash for [`Map`].

use std::collections::VecDeque;
use std::sync::Arc;

use libprocess::FixedState;

/// For what there is much of: tasks and offers.
pub type Map<K, V> = rpds::HashTrieMapSync<K, V, FixedState>;
/// For what is also listed in order: agents, frameworks, executors.
pub type Ordered<K, V> = rpds::RedBlackTreeMapSync<K, V>;

/// An empty [`Map`].
pub fn map<K: Eq + std::hash::Hash, V>() -> Map<K, V> {
    Map::new_with_hasher_and_ptr_kind(FixedState::default())
}

/// An empty [`Ordered`].
pub fn ordered<K: Ord, V>() -> Ordered<K, V> {
    Ordered::new_sync()
}

/// The last `limit` entities of a kind that are over, oldest first.
#[derive(Debug, Clone)]
pub struct History<T> {
    entries: Arc<VecDeque<Arc<T>>>,
    limit: usize,
}

impl<T> History<T> {
    /// An empty history that forgets its oldest entry when it would hold more than `limit`.
    pub fn new(limit: usize) -> Self {
        Self { entries: Arc::default(), limit }
    }

    /// From now on at most `limit` entries are kept.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        if self.entries.len() > limit {
            let surplus = self.entries.len() - limit;
            Arc::make_mut(&mut self.entries).drain(..surplus);
        }
    }

    /// Adds the newest entry; what is forgotten for it.
    pub fn push(&mut self, entry: Arc<T>) -> Option<Arc<T>> {
        if self.limit == 0 {
            return Some(entry);
        }
        let entries = Arc::make_mut(&mut self.entries);
        let forgotten = if entries.len() == self.limit { entries.pop_front() } else { None };
        entries.push_back(entry);
        forgotten
    }

    /// Keeps only the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        if self.entries.iter().any(|entry| !keep(entry)) {
            Arc::make_mut(&mut self.entries).retain(|entry| keep(entry));
        }
    }

    /// Takes the entries for which `take` holds.
    pub fn extract(&mut self, mut take: impl FnMut(&T) -> bool) -> Vec<Arc<T>> {
        let taken: Vec<Arc<T>> = self.iter().filter(|entry| take(entry)).cloned().collect();
        if !taken.is_empty() {
            Arc::make_mut(&mut self.entries).retain(|entry| !take(entry));
        }
        taken
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> + ExactSizeIterator {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is over yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_history_forgets_its_oldest_entry() {
        let mut history = History::new(2);
        let forgotten = (1..=3).map(|entry| history.push(Arc::new(entry)).map(|entry| *entry));
        assert_eq!(forgotten.collect::<Vec<_>>(), [None, None, Some(1)]);
        assert_eq!(history.iter().map(|entry| **entry).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut entries = map();
        entries.insert_mut("a", 1);
        let copy = entries.clone();
        entries.insert_mut("b", 2);
        assert_eq!((copy.size(), entries.size()), (1, 2));
    }
}
