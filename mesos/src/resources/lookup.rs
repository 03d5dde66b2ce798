//! Finding the entry of a bag that a resource belongs to.
//!
//! Most bags have a handful of entries, and looking at each is quickest. An agent with hundreds of
//! reservations has hundreds, whose identities differ only in the last of their labels: there the
//! fingerprints of the identities are compared first, and where two such bags meet, an [`Index`] of one
//! of them makes that take time for the sum of their entries instead of the product.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::{Resource, Resources};

/// Bags with more entries than this look at fingerprints, which must be worked out first.
pub(super) const MANY: usize = 16;

impl Resources {
    /// The first entry that fits, which must have the identity of the resource.
    pub(super) fn place_of(&self, resource: &Resource, fits: impl Fn(&Resource) -> bool) -> Option<usize> {
        let entries = self.entries();
        if entries.len() <= MANY {
            return entries.iter().position(fits);
        }
        let fingerprint = resource.fingerprint();
        entries.iter().position(|entry| entry.fingerprint() == fingerprint && fits(entry))
    }

    /// Whether it pays to make an index of this bag in order to look up everything in the other.
    pub(super) fn is_worth_an_index(&self, other: &Self) -> bool {
        self.len() > MANY && other.len() > MANY
    }
}

/// Where in a bag the entries with a fingerprint are, in the order of the bag.
pub(super) struct Index {
    /// The first and the last entry with a fingerprint.
    ends: HashMap<u64, (usize, usize), BuildHasherDefault<Itself>>,
    /// For each entry the next one with its fingerprint.
    next: Vec<Option<usize>>,
}

impl Index {
    pub(super) fn of(entries: &[Resource]) -> Self {
        let mut index = Self {
            ends: HashMap::with_capacity_and_hasher(entries.len(), BuildHasherDefault::default()),
            next: Vec::with_capacity(entries.len()),
        };
        for entry in entries {
            index.push(entry);
        }
        index
    }

    /// The bag has a new last entry.
    pub(super) fn push(&mut self, entry: &Resource) {
        let place = self.next.len();
        self.next.push(None);
        let (_, last) = self.ends.entry(entry.fingerprint()).or_insert((place, place));
        if *last != place {
            self.next[*last] = Some(place);
            *last = place;
        }
    }

    /// The places of the entries with the resource's fingerprint.
    pub(super) fn places<'a>(&'a self, resource: &Resource) -> impl Iterator<Item = usize> + use<'a> {
        let first = self.ends.get(&resource.fingerprint()).map(|(first, _)| *first);
        std::iter::successors(first, |place| self.next[*place])
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
