//! The rendering of a list of shared entities, which is made anew only where they have changed.
//!
//! An entity of the cluster is behind an [`Arc`] and never changes while somebody holds it: what the master changes, it
//! changes in a copy. So an entity at the same place in memory is rendered as before. The list keeps weak references,
//! which hold the places but not the entities: the master still changes in place what no reader holds.
//!
//! The bytes are in chunks, and a chunk whose entities are all as they were is shared with the renderings of before. So
//! a change writes the chunk that it is in, however long the list is; all entities are looked at.

use std::collections::HashMap;
use std::mem::take;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use libprocess::breath::RENDERED;
use libprocess::{FixedState, breath};

use super::Pieces;

/// How far ahead an entity is looked for where others were removed before it.
const WINDOW: usize = 8;

/// Entities in a row that are not found near by, until all are looked up.
const PATIENCE: usize = 64;

/// A chunk with so many bytes is closed: so much is copied for a change.
const CHUNK: usize = 64 << 10;

/// A chunk with fewer bytes is not kept as it is, but goes with its neighbour: else a list would fall to crumbs, change
/// by change. [`Pieces`] shares from here on.
const CRUMB: usize = CHUNK / 4;

/// After so many entities it is known how long they are.
const SAMPLE: usize = 32;

/// The rendering of the entities that were there the last time.
#[derive(Debug)]
pub(crate) struct List<T> {
    chunks: Vec<Chunk<T>>,
}

/// Entities in a row, a separator before each.
#[derive(Debug)]
struct Chunk<T> {
    bytes: Bytes,
    items: Vec<Item<T>>,
}

/// What one entity became.
#[derive(Debug)]
struct Item<T> {
    /// Of no entity, if it must not be used again.
    of: Weak<T>,
    /// Where it ends in its chunk. It begins where the one before it ends.
    end: usize,
}

impl<T> Item<T> {
    fn is_of<C>(&self, entry: &Entry<'_, T, C>) -> bool {
        entry.is_pure && self.of.as_ptr() == Arc::as_ptr(entry.entity)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Default for Chunk<T> {
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
    pub(super) fn render<C: Copy>(
        &mut self,
        entries: &[Entry<'_, T, C>],
        separator: &[u8],
        mut write: impl FnMut(&T, C, &mut Vec<u8>),
    ) -> Pieces {
        if !self.is_of(entries) {
            let mut old = Search::among(take(&mut self.chunks));
            // What grows behind a chunk of before has room in it, and does not move all that follow.
            let full = if old.chunks.is_empty() { CHUNK } else { 2 * CHUNK };
            let mut open = Open::default();
            let mut rest = entries;
            while let Some((entry, behind)) = rest.split_first() {
                let found = if entry.is_pure { old.find(entry.entity) } else { None };
                if let Some(place) = found
                    && (open.items.is_empty() || open.bytes.len() >= CRUMB)
                    && let Some(chunk) = old.take_whole(place, rest)
                {
                    self.close(&mut open);
                    breath::spend(chunk.items.len());
                    rest = rest.get(chunk.items.len()..).unwrap_or_default();
                    self.chunks.push(chunk);
                    continue;
                }
                open.make_room(rest.len(), full);
                let last = match found.and_then(|place| old.get(place)) {
                    Some((bytes, is_last)) => {
                        open.bytes.extend_from_slice(bytes);
                        breath::spend(1);
                        is_last
                    }
                    None => {
                        open.bytes.extend_from_slice(separator);
                        write(entry.entity, entry.with, &mut open.bytes);
                        breath::spend(RENDERED);
                        false
                    }
                };
                open.end(if entry.is_pure { Arc::downgrade(entry.entity) } else { Weak::new() });
                if open.bytes.len() >= full || last && open.bytes.len() >= CRUMB {
                    self.close(&mut open);
                }
                rest = behind;
            }
            self.close(&mut open);
        }
        self.pieces(separator)
    }

    /// Whether the last rendering is that of these entities.
    fn is_of<C>(&self, entries: &[Entry<'_, T, C>]) -> bool {
        let items = || self.chunks.iter().flat_map(|chunk| &chunk.items);
        let length: usize = self.chunks.iter().map(|chunk| chunk.items.len()).sum();
        length == entries.len() && items().zip(entries).all(|(item, entry)| item.is_of(entry))
    }

    fn close(&mut self, open: &mut Open<T>) {
        if !open.items.is_empty() {
            self.chunks.push(open.close());
        }
    }

    /// All of it, but for the separator before the first entity.
    fn pieces(&self, separator: &[u8]) -> Pieces {
        let mut pieces = Pieces::new();
        for (place, chunk) in self.chunks.iter().enumerate() {
            let begin = if place == 0 { separator.len() } else { 0 };
            pieces.share(&chunk.bytes.slice(begin..));
        }
        pieces
    }
}

/// The chunk that is being written.
struct Open<T> {
    bytes: Vec<u8>,
    items: Vec<Item<T>>,
    /// Of the chunks before it.
    written: usize,
    entities: usize,
}

impl<T> Default for Open<T> {
    fn default() -> Self {
        Self { bytes: Vec::new(), items: Vec::new(), written: 0, entities: 0 }
    }
}

impl<T> Open<T> {
    /// For as many entities as are to come, but no more than fit a chunk: they are about as long as those before.
    fn make_room(&mut self, to_come: usize, full: usize) {
        let entities = self.entities + self.items.len();
        if self.items.is_empty() && entities >= SAMPLE || entities == SAMPLE {
            let length = (self.written + self.bytes.len()) / entities;
            let wanted = length.saturating_mul(to_come + 1).min(full + 2 * length);
            self.bytes.reserve(wanted.saturating_sub(self.bytes.len()));
        }
    }

    fn end(&mut self, of: Weak<T>) {
        self.items.push(Item { of, end: self.bytes.len() });
    }

    fn close(&mut self) -> Chunk<T> {
        self.written += self.bytes.len();
        self.entities += self.items.len();
        let (mut bytes, mut items) = (take(&mut self.bytes), take(&mut self.items));
        // It may be kept for long.
        bytes.shrink_to_fit();
        items.shrink_to_fit();
        Chunk { bytes: bytes.into(), items }
    }
}

/// A chunk of before and one of its items.
type Place = (usize, usize);

/// Finds entities among those of the last time. Mostly the next one is where the last one was found.
struct Search<T> {
    chunks: Vec<Chunk<T>>,
    next: Place,
    /// How many in a row were not found near by.
    missed: usize,
    /// All of them, once it is worth it.
    places: Option<HashMap<*const T, Place, FixedState>>,
}

impl<T> Search<T> {
    fn among(chunks: Vec<Chunk<T>>) -> Self {
        Self { chunks, next: (0, 0), missed: 0, places: None }
    }

    fn find(&mut self, entity: &Arc<T>) -> Option<Place> {
        let wanted = Arc::as_ptr(entity);
        let mut ahead = self.ahead(self.next).take(WINDOW);
        let near = ahead.find(|(_, item)| item.of.as_ptr() == wanted).map(|(place, _)| place);
        drop(ahead);
        let found = near.or_else(|| self.look_up(wanted));
        self.missed = if near.is_some() { 0 } else { self.missed + 1 };
        if let Some((chunk, item)) = found {
            self.next = (chunk, item + 1);
        }
        found
    }

    /// The items from a place on.
    fn ahead(&self, (chunk, item): Place) -> impl Iterator<Item = (Place, &Item<T>)> {
        self.chunks.iter().enumerate().skip(chunk).flat_map(move |(place, found)| {
            let from = if place == chunk { item } else { 0 };
            let items = found.items.get(from..).unwrap_or_default();
            items.iter().enumerate().map(move |(item, of)| ((place, from + item), of))
        })
    }

    fn look_up(&mut self, wanted: *const T) -> Option<Place> {
        if self.missed < PATIENCE {
            return None;
        }
        if self.places.is_none() {
            let all = self.ahead((0, 0)).inspect(|_| breath::spend(1));
            self.places = Some(all.map(|(place, item)| (item.of.as_ptr(), place)).collect());
        }
        self.places.as_ref()?.get(&wanted).copied()
    }

    /// The bytes of an item with its separator, and whether it is the last of its chunk.
    fn get(&self, (chunk, item): Place) -> Option<(&[u8], bool)> {
        let Chunk { bytes, items } = self.chunks.get(chunk)?;
        let begin = if item == 0 { 0 } else { items.get(item - 1)?.end };
        Some((bytes.get(begin..items.get(item)?.end)?, item + 1 == items.len()))
    }

    /// The chunk, if it begins here, the next entities are those in it, and it is large enough or the last one.
    fn take_whole<C>(&mut self, (chunk, item): Place, entries: &[Entry<'_, T, C>]) -> Option<Chunk<T>> {
        let whole = self.chunks.get_mut(chunk).filter(|_| item == 0)?;
        let (these, others) = entries.split_at_checked(whole.items.len())?;
        let is_kept = whole.bytes.len() >= CRUMB || others.is_empty();
        if !is_kept || !whole.items.iter().zip(these).all(|(item, entry)| item.is_of(entry)) {
            return None;
        }
        self.next = (chunk + 1, 0);
        Some(take(whole))
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
        (String::from_utf8(bytes.into_pieces().concat()).unwrap(), written)
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

    /// The chunks that a rendering shares with the one before it, and all of them.
    fn shared(list: &mut List<String>, entities: &[Arc<String>]) -> (usize, usize) {
        let places =
            |list: &List<String>| list.chunks.iter().map(|chunk| chunk.bytes.as_ptr()).collect::<Vec<_>>();
        let before = places(list);
        render(list, entities);
        let after = places(list);
        (after.iter().filter(|place| before.contains(place)).count(), after.len())
    }

    #[test]
    fn a_change_costs_the_chunk_that_it_is_in() {
        let mut list = List::default();
        let mut all: Vec<_> = (0..1000).map(|n| Arc::new(format!("{n:01000}"))).collect();
        assert_eq!(shared(&mut list, &all), (0, 16));
        Arc::make_mut(&mut all[500]).push('!');
        assert_eq!(shared(&mut list, &all), (15, 16));
        all.remove(700);
        assert_eq!(shared(&mut list, &all), (15, 16));
        all.insert(0, Arc::new("first".into()));
        assert_eq!(shared(&mut list, &all), (15, 16));
        // What grows at its end, one by one, becomes no crumbs: two chunks are being written at most.
        for n in 0..200 {
            all.push(Arc::new(format!("{n:01000}")));
            let (kept, chunks) = shared(&mut list, &all);
            assert!(chunks - kept <= 2, "{kept} of {chunks}");
        }
        assert!(list.chunks.len() <= 16 + 200 * 1000 / CRUMB + 1, "{}", list.chunks.len());
        // Nor does what shrinks everywhere.
        let mut n = 0;
        while all.len() > 100 {
            n = (n + 13) % all.len();
            all.remove(n);
            render(&mut list, &all);
        }
        let small = list.chunks.iter().filter(|chunk| chunk.bytes.len() < CRUMB).count();
        assert!(small <= 1, "{small} of {}", list.chunks.len());
    }

    #[test]
    fn what_depends_on_more_than_its_entity_is_rendered_each_time() {
        let mut list = List::default();
        let entity = Arc::new(String::new());
        for state in ["up", "down"] {
            let entries = [Entry { entity: &entity, with: state, is_pure: false }];
            let bytes = list.render(&entries, b",", |_, state, bytes| {
                bytes.extend_from_slice(state.as_bytes());
            });
            assert_eq!(bytes.into_pieces().concat(), state.as_bytes());
        }
    }

    proptest! {
        /// Whatever was there before, a rendering is that of the entities that are there now.
        #[test]
        fn a_rendering_is_what_it_would_be_without_a_past(
            rounds in proptest::collection::vec(proptest::collection::vec((0usize..40, any::<bool>()), 0..60), 1..6)
        ) {
            // So long that there are many chunks.
            let mut pool: Vec<_> = (0..40).map(|n| Arc::new(format!("{n:05000}"))).collect();
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
                let crumbs = list.chunks.iter().rev().skip(1).any(|chunk| chunk.bytes.len() < CRUMB);
                prop_assert!(!crumbs);
            }
        }
    }
}
