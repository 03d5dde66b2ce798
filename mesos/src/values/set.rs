//! A set of words, the value of resources like `disks:{sda1,sda2}`. Sorted, so that equal sets print
//! and compare equal.

use std::{
    collections::BTreeSet,
    fmt,
    ops::{Add, AddAssign, Sub, SubAssign},
    sync::Arc,
};

use crate::v1;

/// What is wrong with a list of items; the text is upstream's (`Resources::validate`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SetError {
    /// An item is listed twice.
    #[error("Invalid set resource: duplicated elements")]
    Duplicate,
}

/// A set of words. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Set {
    items: Arc<BTreeSet<String>>,
}

impl Set {
    /// The items, each at most once.
    ///
    /// # Errors
    /// [`SetError::Duplicate`].
    pub fn distinct(items: Vec<String>) -> Result<Self, SetError> {
        let listed = items.len();
        let items: BTreeSet<String> = items.into_iter().collect();
        if items.len() == listed { Ok(Self { items: Arc::new(items) }) } else { Err(SetError::Duplicate) }
    }

    /// The items in alphabetical order.
    pub fn items(&self) -> impl ExactSizeIterator<Item = &str> {
        self.items.iter().map(String::as_str)
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether every item of `other` is in it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.items.is_subset(&self.items)
    }
}

impl Add for &Set {
    type Output = Set;
    fn add(self, other: Self) -> Set {
        let mut sum = self.clone();
        sum += other;
        sum
    }
}

impl Sub for &Set {
    type Output = Set;
    fn sub(self, other: Self) -> Set {
        let mut difference = self.clone();
        difference -= other;
        difference
    }
}

impl AddAssign<&Self> for Set {
    fn add_assign(&mut self, other: &Self) {
        if !self.contains(other) {
            Arc::make_mut(&mut self.items).extend(other.items.iter().cloned());
        }
    }
}

impl SubAssign<&Self> for Set {
    fn sub_assign(&mut self, other: &Self) {
        Arc::make_mut(&mut self.items).retain(|item| !other.items.contains(item));
    }
}

/// `{a, b}`.
impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, item) in self.items.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{item}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Refuses duplicates, as a resource must.
impl TryFrom<&v1::value::Set> for Set {
    type Error = SetError;
    fn try_from(set: &v1::value::Set) -> Result<Self, SetError> {
        Self::distinct(set.item.clone())
    }
}

impl From<&Set> for v1::value::Set {
    fn from(set: &Set) -> Self {
        Self { item: set.items.iter().cloned().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(items: &[&str]) -> Set {
        Set::distinct(items.iter().map(|&item| item.to_owned()).collect()).unwrap()
    }

    /// Upstream: `ValuesTest.SetSubtraction`.
    #[test]
    fn sets_add_subtract_and_contain() {
        let (left, right) = (set(&["sda1", "sda2"]), set(&["sda2", "sda3"]));
        assert_eq!((&left + &right).to_string(), "{sda1, sda2, sda3}");
        assert_eq!((&left - &right).to_string(), "{sda1}");
        assert_eq!(&set(&["sda4"]) - &left, set(&["sda4"]));
        assert!((&left + &right).contains(&left));
        assert!(!left.contains(&right));
        assert!(left.contains(&Set::default()));
    }

    #[test]
    fn an_item_listed_twice_is_refused() {
        assert_eq!(Set::distinct(vec!["a".into(), "a".into()]), Err(SetError::Duplicate));
    }
}
