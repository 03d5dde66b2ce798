//! The rendering of a list of shared entities, which is made anew only where they have changed.
//!
//! An entity of the cluster is behind an [`Arc`] and never changes while somebody holds it: what the master changes, it
//! changes in a copy. So an entity at the same place in memory is rendered as before. The list keeps weak references,
//! which hold the places but not the entities: the master still changes in place what no reader holds.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use libprocess::FixedState;

/// How far ahead an entity is looked for where others were removed before it.
const WINDOW: usize = 8;

/// Entities in a row that are not found near by, until all are looked up.
const PATIENCE: usize = 64;

/// After so many entities the core is given to a thread that waits for it: actors wait for less than rendering takes.
const BREATH: usize = 64;

/// After so many entities it is known how long they are.
const SAMPLE: usize = 32;

/// The rendering of the entities that were there the last time.
#[derive(Debug)]
pub(crate) struct List<T> {
    bytes: Bytes,
    items: Vec<Item<T>>,
}

/// What one entity became.
#[derive(Debug)]
struct Item<T> {
    /// Of no entity, if it must not be used again.
    of: Weak<T>,
    begin: usize,
    end: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { bytes: Bytes::new(), items: Vec::new() }
    }
}

/// An entity and what else it is rendered with.
pub(crate) struct Entry<'a, T, C> {
    pub(crate) entity: &'a Arc<T>,
    pub(crate) with: C,
    /// Whether the entity alone decides what it is rendered as.
    pub(crate) is_pure: bool,
}

impl<'a, T> Entry<'a, T, ()> {
    /// An entity that is rendered with nothing else.
    pub(crate) fn of(entity: &'a Arc<T>) -> Self {
        Self { entity, with: (), is_pure: true }
    }
}

impl<T> List<T> {
    /// Renders these entities, `separator` between them.
    pub(crate) fn render<C: Copy>(
        &mut self,
        entries: &[Entry<'_, T, C>],
        separator: &[u8],
        mut write: impl FnMut(&T, C, &mut Vec<u8>),
    ) -> Bytes {
        if self.is_of(entries) {
            return self.bytes.clone();
        }
        let old = std::mem::take(self);
        let mut search = Search { items: &old.items, next: 0, missed: 0, places: None };
        let mut bytes = Vec::with_capacity(old.bytes.len() + old.bytes.len() / 16);
        let mut items = Vec::with_capacity(entries.len());
        // Neighbours that are still neighbours are copied at once, with what stands between them.
        let mut run: Option<(usize, usize)> = None;
        for (place, entry) in entries.iter().enumerate() {
            if place % BREATH == BREATH - 1 {
                std::thread::yield_now();
            }
            if place == SAMPLE {
                // They are alike: what is to come is about as long, and the buffer need not grow step by step.
                bytes.reserve((bytes.len() / SAMPLE * entries.len()).saturating_sub(bytes.len()));
            }
            let found = if entry.is_pure { search.find(entry.entity) } else { None };
            let continued = match (run, found) {
                (Some((_, last)), Some(found)) => found == last + 1,
                _ => false,
            };
            if !continued {
                copy(&old, run.take(), &mut bytes);
                if !items.is_empty() {
                    bytes.extend_from_slice(separator);
                }
            }
            match found.and_then(|found| Some((found, old.items.get(found)?))) {
                Some((found, item)) => {
                    let first = run.map_or(found, |(first, _)| first);
                    let base = old.items.get(first).map_or(0, |first| first.begin);
                    let begin = bytes.len() + item.begin - base;
                    run = Some((first, found));
                    items.push(Item { of: item.of.clone(), begin, end: begin + item.end - item.begin });
                }
                None => {
                    let begin = bytes.len();
                    write(entry.entity, entry.with, &mut bytes);
                    let of = if entry.is_pure { Arc::downgrade(entry.entity) } else { Weak::new() };
                    items.push(Item { of, begin, end: bytes.len() });
                }
            }
        }
        copy(&old, run, &mut bytes);
        *self = Self { bytes: bytes.into(), items };
        self.bytes.clone()
    }

    /// Whether the last rendering is that of these entities.
    fn is_of<C>(&self, entries: &[Entry<'_, T, C>]) -> bool {
        let same = |(item, entry): (&Item<T>, &Entry<'_, T, C>)| {
            entry.is_pure && item.of.as_ptr() == Arc::as_ptr(entry.entity)
        };
        self.items.len() == entries.len() && self.items.iter().zip(entries).all(same)
    }
}

fn copy<T>(old: &List<T>, run: Option<(usize, usize)>, bytes: &mut Vec<u8>) {
    let Some((first, last)) = run else { return };
    if let (Some(first), Some(last)) = (old.items.get(first), old.items.get(last)) {
        bytes.extend_from_slice(&old.bytes[first.begin..last.end]);
    }
}

/// Finds entities among those of the last time. Mostly the next one is where the last one was found.
struct Search<'a, T> {
    items: &'a [Item<T>],
    next: usize,
    /// How many in a row were not found near by.
    missed: usize,
    /// All of them, once it is worth it.
    places: Option<HashMap<*const T, usize, FixedState>>,
}

impl<T> Search<'_, T> {
    fn find(&mut self, entity: &Arc<T>) -> Option<usize> {
        let wanted = Arc::as_ptr(entity);
        let is_it = |place: &usize| self.items.get(*place).is_some_and(|item| item.of.as_ptr() == wanted);
        let near = (self.next..self.next + WINDOW).find(is_it);
        let found = near.or_else(|| self.look_up(wanted));
        self.missed = if near.is_some() { 0 } else { self.missed + 1 };
        if let Some(found) = found {
            self.next = found + 1;
        }
        found
    }

    fn look_up(&mut self, wanted: *const T) -> Option<usize> {
        if self.missed < PATIENCE {
            return None;
        }
        let items = self.items;
        let all = || items.iter().enumerate().map(|(place, item)| (item.of.as_ptr(), place)).collect();
        self.places.get_or_insert_with(all).get(&wanted).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Renders, and says how many entities were written.
    fn render(list: &mut List<String>, entities: &[Arc<String>]) -> (String, usize) {
        let entries: Vec<_> = entities.iter().map(Entry::of).collect();
        let mut written = 0;
        let bytes = list.render(&entries, b",", |entity, (), bytes| {
            written += 1;
            bytes.extend_from_slice(entity.as_bytes());
        });
        (String::from_utf8(bytes.to_vec()).unwrap(), written)
    }

    fn entities(count: usize) -> Vec<Arc<String>> {
        (0..count).map(|n| Arc::new(format!("entity {n}"))).collect()
    }

    #[test]
    fn only_what_changed_is_rendered_again() {
        let mut list = List::default();
        let mut all = entities(1000);
        assert_eq!(render(&mut list, &all).1, 1000);
        assert_eq!(render(&mut list, &all).1, 0);
        // Changed in place, as the master does: nobody else holds it.
        Arc::make_mut(&mut all[500]).push('!');
        let (text, written) = render(&mut list, &all);
        assert_eq!(written, 1);
        assert!(text.contains("entity 499,entity 500!,entity 501"), "{text}");
        all.insert(3, Arc::new("new".into()));
        all.remove(700);
        assert_eq!(render(&mut list, &all).1, 1);
        // Of a long gap all behind it are found again, but for those where it was looked for.
        all.drain(100..800);
        assert!(render(&mut list, &all).1 <= PATIENCE);
    }

    #[test]
    fn what_depends_on_more_than_its_entity_is_rendered_each_time() {
        let mut list = List::default();
        let entity = Arc::new(String::new());
        for state in ["up", "down"] {
            let entries = [Entry { entity: &entity, with: state, is_pure: false }];
            let bytes =
                list.render(&entries, b",", |_, state, bytes| bytes.extend_from_slice(state.as_bytes()));
            assert_eq!(bytes, state);
        }
    }

    proptest! {
        /// Whatever was there before, a rendering is that of the entities that are there now.
        #[test]
        fn a_rendering_is_what_it_would_be_without_a_past(
            rounds in proptest::collection::vec(proptest::collection::vec((0usize..40, any::<bool>()), 0..60), 1..6)
        ) {
            let mut pool = entities(40);
            let mut list = List::default();
            for round in rounds {
                for (index, changed) in &round {
                    if *changed {
                        Arc::make_mut(&mut pool[*index]).push('x');
                    }
                }
                let chosen: Vec<_> = round.iter().map(|(index, _)| pool[*index].clone()).collect();
                let (text, _) = render(&mut list, &chosen);
                let expected: Vec<_> = chosen.iter().map(|entity| entity.as_str()).collect();
                prop_assert_eq!(text, expected.join(","));
            }
        }
    }
}
