//! Dense ids: inside the core agents, frameworks, roles, members and resource names are small integers.
//!
//! Owns the index types, the table that gives an id a slot and takes it back ([`Slots`]), and the
//! interning of resource names ([`Names`]). Strings are looked up here, at the boundary, and nowhere
//! in an inner loop. Knows nothing of allocation.

use std::hash::{Hash, Hasher};

use indexmap::IndexMap;
use libprocess::FixedState;

/// Hashes for maps whose keys are small integers of our own: nobody outside chooses them, so that one
/// multiplication spreads them well enough.
pub(crate) type Spread = std::hash::BuildHasherDefault<SpreadHasher>;

/// See [`Spread`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpreadHasher(u64);

impl Hasher for SpreadHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, key: u32) {
        // 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, 6.4).
        self.0 = (self.0 ^ u64::from(key)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }
}

/// A dense index: a position in the table of its kind.
pub trait Index: Copy + Eq + Ord + Hash {
    /// The index of a position. Tables hold fewer than 2^32 entries.
    fn from_position(position: usize) -> Self;
    /// The position in its table.
    fn position(self) -> usize;
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u32);

        impl Index for $name {
            fn from_position(position: usize) -> Self {
                $name(u32::try_from(position).expect("a table has fewer than 2^32 entries"))
            }
            fn position(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index! {
    /// An agent, while the core knows it. Reused after its removal.
    AgentIdx
}
index! {
    /// A framework, while the core knows it. Reused after its removal.
    FrameworkIdx
}
index! {
    /// A role of the tree of roles, while anything refers to it. Reused afterwards.
    RoleIdx
}
index! {
    /// A framework in one of its roles: what is sorted, suppressed, filtered and given resources. Reused after its
    /// removal.
    MemberIdx
}
index! {
    /// The name of a resource. Never reused.
    NameIdx
}

/// A table of `T` with dense, reused indices.
#[derive(Debug)]
pub(crate) struct Slab<I, T> {
    slots: Vec<Option<T>>,
    free: Vec<I>,
}

impl<I: Index, T> Slab<I, T> {
    pub(crate) fn new() -> Self {
        Slab { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> I {
        if let Some(index) = self.free.pop() {
            self.slots[index.position()] = Some(value);
            return index;
        }
        let index = I::from_position(self.slots.len());
        self.slots.push(Some(value));
        index
    }

    pub(crate) fn remove(&mut self, index: I) -> Option<T> {
        let removed = self.slots.get_mut(index.position())?.take();
        if removed.is_some() {
            self.free.push(index);
        }
        removed
    }

    pub(crate) fn get(&self, index: I) -> Option<&T> {
        self.slots.get(index.position())?.as_ref()
    }

    /// Live entries, in the order of their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(position, slot)| Some((I::from_position(position), slot.as_ref()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// Indexing is for indices that the core itself holds, which always name a live entry.
impl<I: Index, T> std::ops::Index<I> for Slab<I, T> {
    type Output = T;
    fn index(&self, index: I) -> &T {
        self.slots[index.position()].as_ref().expect("an index that the core holds names a live entry")
    }
}

impl<I: Index, T> std::ops::IndexMut<I> for Slab<I, T> {
    fn index_mut(&mut self, index: I) -> &mut T {
        self.slots[index.position()].as_mut().expect("an index that the core holds names a live entry")
    }
}

/// A [`Slab`] whose entries can also be found by an id from outside.
#[derive(Debug)]
pub(crate) struct Slots<K, I, T> {
    by_id: IndexMap<K, I, FixedState>,
    entries: Slab<I, T>,
}

impl<K: Hash + Eq + Clone, I: Index, T> Slots<K, I, T> {
    pub(crate) fn new() -> Self {
        Slots { by_id: IndexMap::default(), entries: Slab::new() }
    }

    pub(crate) fn find(&self, id: &K) -> Option<I> {
        self.by_id.get(id).copied()
    }

    /// Puts a new entry under an id that has none yet.
    pub(crate) fn insert(&mut self, id: K, value: T) -> I {
        let index = self.entries.insert(value);
        self.by_id.insert(id, index);
        index
    }

    pub(crate) fn remove(&mut self, id: &K) -> Option<T> {
        let index = self.by_id.swap_remove(id)?;
        self.entries.remove(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.entries.iter()
    }

    pub(crate) fn get(&self, index: I) -> Option<&T> {
        self.entries.get(index)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<K, I: Index, T> std::ops::Index<I> for Slots<K, I, T> {
    type Output = T;
    fn index(&self, index: I) -> &T {
        &self.entries[index]
    }
}

impl<K, I: Index, T> std::ops::IndexMut<I> for Slots<K, I, T> {
    fn index_mut(&mut self, index: I) -> &mut T {
        &mut self.entries[index]
    }
}

/// The names of scalar resources, each with its position in every [`super::Amounts`].
///
/// The four that every cluster has come first, so that they fall into the fixed part of an `Amounts`.
/// Names are never forgotten: operators give them to agents and quotas, and a cluster has a handful. Those that
/// frameworks bring are bounded.
#[derive(Debug)]
pub struct Names {
    by_name: IndexMap<Box<str>, (), FixedState>,
}

impl Names {
    /// `cpus`, `mem`, `disk` and `gpus`, which upstream calls the standard resources.
    pub const STANDARD: [&'static str; 4] = ["cpus", "mem", "disk", "gpus"];

    /// The standard names only.
    pub fn new() -> Self {
        let mut names = Names { by_name: IndexMap::default() };
        for name in Names::STANDARD {
            names.intern(name);
        }
        names
    }

    /// The index of a name, which is given one if it has none.
    pub fn intern(&mut self, name: &str) -> NameIdx {
        match self.find(name) {
            Some(index) => index,
            None => NameIdx::from_position(self.by_name.insert_full(name.into(), ()).0),
        }
    }

    /// The index of a name, which is given one if it has none and there are fewer than `most`.
    pub(crate) fn intern_within(&mut self, name: &str, most: usize) -> Option<NameIdx> {
        if self.by_name.len() < most { Some(self.intern(name)) } else { self.find(name) }
    }

    /// The index of a name that was interned before.
    pub fn find(&self, name: &str) -> Option<NameIdx> {
        self.by_name.get_index_of(name).map(NameIdx::from_position)
    }

    /// The name behind an index of this table.
    pub fn name(&self, index: NameIdx) -> &str {
        self.by_name.get_index(index.position()).map_or("", |(name, ())| name)
    }
}

impl Default for Names {
    fn default() -> Self {
        Names::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_reused_after_its_entry_is_removed() {
        let mut slots: Slots<&str, AgentIdx, i32> = Slots::new();
        let first = slots.insert("a", 1);
        let second = slots.insert("b", 2);
        assert_eq!(slots.remove(&"a"), Some(1));
        assert_eq!(slots.find(&"a"), None);
        assert_eq!(slots.insert("c", 3), first);
        assert_eq!(slots.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(slots[second], 2);
        assert_eq!(slots.len(), 2);
    }

    #[test]
    fn the_standard_names_come_first_and_keep_their_places() {
        let mut names = Names::new();
        assert_eq!(names.find("cpus"), Some(NameIdx(0)));
        assert_eq!(names.find("tokens"), None);
        assert_eq!(names.intern("tokens"), NameIdx(4));
        assert_eq!(names.intern("tokens"), NameIdx(4));
        assert_eq!(names.name(NameIdx(4)), "tokens");
    }
}
