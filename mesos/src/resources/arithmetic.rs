//! Addition and subtraction of bags. Entries of one identity are one; whole things (mounted disks,
//! persistent volumes) stay apart; shared things are counted. Subtracting more than there is leaves
//! nothing, never less.

use std::{
    iter::Sum,
    ops::{Add, AddAssign, Sub, SubAssign},
};

use super::{Resource, Resources};

impl Resources {
    pub(super) fn add_one(&mut self, resource: Resource) {
        if resource.is_empty() {
            return;
        }
        let entries = self.entries_mut();
        match entries.iter_mut().find(|entry| entry.is_addable(&resource)) {
            Some(entry) if entry.is_shared() => entry.copies = entry.copies.saturating_add(resource.copies),
            Some(entry) => entry.value.add(&resource.value),
            None => entries.push(resource),
        }
    }

    pub(super) fn subtract_one(&mut self, resource: &Resource) {
        let Some(index) = self.iter().position(|entry| entry.is_subtractable(resource)) else { return };
        let entries = self.entries_mut();
        let entry = &mut entries[index];
        if entry.is_shared() {
            entry.copies = entry.copies.saturating_sub(resource.copies);
        } else {
            entry.value.subtract(&resource.value);
        }
        if entry.is_empty() {
            entries.remove(index);
            if entries.is_empty() {
                *self = Self::new();
            }
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
        for resource in resources {
            bag.add_one(resource);
        }
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
