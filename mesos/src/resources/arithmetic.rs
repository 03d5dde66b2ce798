//! Addition and subtraction of bags. Entries of one identity are one; whole things (mounted disks,
//! persistent volumes) stay apart; shared things are counted. Subtracting more than there is leaves
//! nothing, never less.

use std::{
    iter::Sum,
    ops::{Add, AddAssign, Sub, SubAssign},
};

use super::{
    Resource, Resources,
    lookup::{Index, MANY},
};

impl Resource {
    /// Adds what is of its identity, see [`Resource::is_addable`].
    fn add(&mut self, other: &Self) {
        if self.is_shared() {
            self.copies = self.copies.saturating_add(other.copies);
        } else {
            self.value.add(&other.value);
        }
    }

    /// Takes away what is of its identity, see [`Resource::is_subtractable`]. May leave nothing.
    fn subtract(&mut self, other: &Self) {
        if self.is_shared() {
            self.copies = self.copies.saturating_sub(other.copies);
        } else {
            self.value.subtract(&other.value);
        }
    }
}

impl Resources {
    pub(super) fn add_one(&mut self, resource: Resource) {
        if resource.is_empty() {
            return;
        }
        let place = self.place_of(&resource, |entry| entry.is_addable(&resource));
        let entries = self.entries_mut();
        match place {
            Some(place) => entries[place].add(&resource),
            None => entries.push(resource),
        }
    }

    pub(super) fn subtract_one(&mut self, resource: &Resource) {
        let Some(place) = self.place_of(resource, |entry| entry.is_subtractable(resource)) else { return };
        let entries = self.entries_mut();
        entries[place].subtract(resource);
        if entries[place].is_empty() {
            entries.remove(place);
            if entries.is_empty() {
                *self = Self::new();
            }
        }
    }

    /// Adds many, which may have identities in common.
    fn add_many(&mut self, resources: impl Iterator<Item = Resource>) {
        // There are many short lists, those of tasks, and they are there for long: with room for what is in them.
        let most = resources.size_hint().1.filter(|most| self.is_empty() && *most <= MANY);
        let mut index = None;
        for resource in resources.filter(|resource| !resource.is_empty()) {
            if self.len() <= MANY {
                if let Some(most) = most.filter(|_| self.is_empty()) {
                    self.entries_mut().reserve_exact(most);
                }
                self.add_one(resource);
                continue;
            }
            let entries = self.entries_mut();
            let index = index.get_or_insert_with(|| Index::of(entries));
            let place = index.places(&resource).find(|place| entries[*place].is_addable(&resource));
            match place {
                Some(place) => entries[place].add(&resource),
                None => {
                    index.push(&resource);
                    entries.push(resource);
                }
            }
        }
    }

    fn subtract_many(&mut self, other: &Self) {
        let entries = self.entries_mut();
        let index = Index::of(entries);
        for resource in other.iter() {
            // What was taken as a whole keeps its place until the end, and is not there any more.
            let fits =
                |place: &usize| !entries[*place].is_empty() && entries[*place].is_subtractable(resource);
            if let Some(place) = index.places(resource).find(fits) {
                entries[place].subtract(resource);
            }
        }
        entries.retain(|entry| !entry.is_empty());
        if entries.is_empty() {
            *self = Self::new();
        }
    }
}

impl AddAssign<Resource> for Resources {
    fn add_assign(&mut self, resource: Resource) {
        self.add_one(resource);
    }
}

impl AddAssign<&Resource> for Resources {
    fn add_assign(&mut self, resource: &Resource) {
        self.add_one(resource.clone());
    }
}

impl AddAssign<&Self> for Resources {
    fn add_assign(&mut self, other: &Self) {
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        if other.len() > MANY {
            self.add_many(other.iter().cloned());
            return;
        }
        for resource in other.iter() {
            self.add_one(resource.clone());
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

impl SubAssign<&Resource> for Resources {
    fn sub_assign(&mut self, resource: &Resource) {
        self.subtract_one(resource);
    }
}

impl SubAssign<&Self> for Resources {
    fn sub_assign(&mut self, other: &Self) {
        if self.is_worth_an_index(other) {
            self.subtract_many(other);
            return;
        }
        for resource in other.iter() {
            self.subtract_one(resource);
        }
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Self) {
        *self -= &other;
    }
}

impl Add<&Resources> for &Resources {
    type Output = Resources;
    fn add(self, other: &Resources) -> Resources {
        self.clone() + other
    }
}

impl Sub<&Resources> for &Resources {
    type Output = Resources;
    fn sub(self, other: &Resources) -> Resources {
        self.clone() - other
    }
}

impl Add<&Resources> for Resources {
    type Output = Self;
    fn add(mut self, other: &Resources) -> Self {
        self += other;
        self
    }
}

impl Add for Resources {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sub<&Resources> for Resources {
    type Output = Self;
    fn sub(mut self, other: &Resources) -> Self {
        self -= other;
        self
    }
}

impl Sub for Resources {
    type Output = Self;
    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut bag = Self::new();
        bag.add_many(resources.into_iter());
        bag
    }
}

impl From<Resource> for Resources {
    fn from(resource: Resource) -> Self {
        Self::from_iter([resource])
    }
}

impl Sum for Resources {
    fn sum<I: Iterator<Item = Self>>(bags: I) -> Self {
        bags.fold(Self::new(), Add::add)
    }
}

impl<'a> Sum<&'a Resources> for Resources {
    fn sum<I: Iterator<Item = &'a Resources>>(bags: I) -> Self {
        bags.fold(Self::new(), Add::add)
    }
}
