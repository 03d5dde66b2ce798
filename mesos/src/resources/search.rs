//! Containment, equality and search.

use super::{Resource, ResourceValue, Resources, lookup::Index};
use crate::{
    quantities::{ResourceLimits, ResourceQuantities},
    values::Scalar,
};

impl Resources {
    /// Whether everything of the other is here: each of its entries in one entry of ours.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        if self.is_worth_an_index(other) {
            return self.is_the_same_list(other) || self.contains_many(other);
        }
        // Entries of different identities are independent; equal whole things must be found each
        // for itself, so that they are taken away once found.
        let mut whole_things: Option<Self> = None;
        other.iter().all(|wanted| {
            if !(wanted.is_exclusive() || wanted.is_shared()) {
                return self.contains_resource(wanted);
            }
            let remaining = whole_things.get_or_insert_with(|| self.clone());
            let found = remaining.contains_resource(wanted);
            remaining.subtract_one(wanted);
            found
        })
    }

    fn contains_many(&self, other: &Self) -> bool {
        let entries = self.entries();
        let index = Index::of(entries);
        // Whole things that were found: each is there once.
        let mut found = vec![false; entries.len()];
        other.iter().all(|wanted| {
            let fits = |place: &usize| !found[*place] && entries[*place].contains(wanted);
            let place = index.places(wanted).find(fits);
            if let Some(place) = place.filter(|_| wanted.is_exclusive() || wanted.is_shared()) {
                found[place] = true;
            }
            place.is_some()
        })
    }

    /// Whether the entries of both are the same in the same order.
    fn is_the_same_list(&self, other: &Self) -> bool {
        self.len() == other.len()
            && (std::ptr::eq(self.entries(), other.entries()) || self.entries() == other.entries())
    }

    /// Whether one of the bags can stand for both: they have the same entries in the same order, the parts of a disk that do
    /// not count for equality included. Cheap, and answered with yes only for plain resources with usual names, which most
    /// tasks have and nothing else, or for copies of one bag.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(mine, theirs)| mine.is_alike(theirs))
    }

    /// Whether one entry contains this resource.
    #[must_use]
    pub fn contains_resource(&self, resource: &Resource) -> bool {
        self.place_of(resource, |entry| entry.contains(resource)).is_some()
    }

    /// Whether there is at least this much of each name, whatever its reservations; ranges and sets
    /// count their members.
    #[must_use]
    pub fn contains_quantities(&self, quantities: &ResourceQuantities) -> bool {
        quantities.iter().all(|(name, wanted)| self.quantity(name) >= wanted)
    }

    fn quantity(&self, name: &str) -> Scalar {
        self.iter().filter(|r| r.name() == name).map(Resource::quantity).sum()
    }

    /// Looks for the targets whatever their reservations: first in the target's role, then among
    /// the unreserved, then anywhere. The result is part of `self`.
    #[must_use]
    pub fn find(&self, targets: &Self) -> Option<Self> {
        let mut remaining = self.clone();
        let mut total = Self::new();
        for target in targets.iter() {
            let found = remaining.find_one(target)?;
            remaining -= &found;
            total += &found;
        }
        Some(total)
    }

    fn find_one(&self, target: &Resource) -> Option<Self> {
        let role = target.reservation_role();
        let mut missing = target.to_unreserved();
        let mut found = Self::new();
        // In order of preference; an entry belongs to the first class that fits.
        let class = |entry: &Resource| match entry.reservation_role() {
            reserved if reserved.is_some() && reserved == role => 0,
            None => 1,
            Some(_) => 2,
        };
        for wanted in 0..3 {
            for entry in self.iter().filter(|entry| class(entry) == wanted) {
                let available = entry.to_unreserved();
                if available.contains(&missing) {
                    found.add_one(missing.with_reservations(entry.reservations().to_vec()));
                    return Some(found);
                }
                if missing.contains(&available) {
                    found.add_one(entry.clone());
                    missing.value.subtract(&available.value);
                }
            }
        }
        None
    }

    /// At most the target's amounts, scalars only, cut entry by entry in order; what the target
    /// does not name is dropped, and what cannot be cut (a mounted disk) is left out when it is too
    /// large (upstream: `shrinkResources`, which shuffles first).
    #[must_use]
    pub fn shrink_to_quantities(&self, target: &ResourceQuantities) -> Self {
        let mut target = target.clone();
        self.iter()
            .filter_map(|resource| {
                let wanted = target.get(resource.name());
                let shrunk = resource.shrunk_to(wanted)?;
                target.decrease(resource.name(), shrunk.scalar()?);
                Some(shrunk)
            })
            .collect()
    }

    /// At most the limits' amounts, cut entry by entry in order; what has no limit is kept.
    #[must_use]
    pub fn shrink_to_limits(&self, limits: &ResourceLimits) -> Self {
        let mut limits = limits.clone();
        self.iter()
            .filter_map(|resource| {
                let Some(limit) = limits.get(resource.name()) else { return Some(resource.clone()) };
                let shrunk = resource.shrunk_to(limit)?;
                limits.decrease(resource.name(), shrunk.scalar()?);
                Some(shrunk)
            })
            .collect()
    }
}

impl Resource {
    /// The amount as a number; ranges and sets count their members.
    #[must_use]
    pub fn quantity(&self) -> Scalar {
        let members =
            |count: u64| Scalar::from_millis(i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(1000));
        match &self.value {
            ResourceValue::Scalar(scalar) => *scalar,
            ResourceValue::Ranges(ranges) => members(ranges.count()),
            ResourceValue::Set(set) => members(set.len() as u64),
        }
    }

    /// A scalar resource cut down to the amount; `None` when nothing would be left, it is no
    /// scalar, or it is larger and a whole thing.
    #[must_use]
    pub fn shrunk_to(&self, amount: Scalar) -> Option<Self> {
        let mine = self.scalar()?;
        if !amount.is_positive() {
            return None;
        }
        if mine <= amount {
            return Some(self.clone());
        }
        let divisible = !(self.is_exclusive() || self.is_shared());
        divisible.then(|| self.with_value(ResourceValue::Scalar(amount)))
    }
}

/// Each contains the other.
impl PartialEq for Resources {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && (self.is_the_same_list(other) || self.contains(other) && other.contains(self))
    }
}

impl Eq for Resources {}
