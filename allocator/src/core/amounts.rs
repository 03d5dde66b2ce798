//! Amounts of scalar resources: what counts in shares, quotas and minimums.
//!
//! An [`Amounts`] is a vector of fixed-point numbers (thousandths, as `mesos::Scalar`) indexed by
//! [`NameIdx`]: an array for the four standard names, and a tail that stays empty in most clusters.
//! A name that is absent has the amount 0 (upstream: `ResourceQuantities`). In [`Limits`] an absent
//! name is unlimited (upstream: `ResourceLimits`).

use super::ids::{Index, NameIdx};

const FIXED: usize = 4;

/// An amount of each scalar resource, in thousandths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    fixed: [i64; FIXED],
    more: Tail,
}

/// Amounts of the names behind the standard ones. Has no zeros at its end, so that `==` is equality.
///
/// A pointer of its own, since amounts lie in every book of every agent, and most have no tail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tail(Option<Box<Names>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Names(Vec<i64>);

impl Tail {
    const EMPTY: Tail = Tail(None);

    fn get(&self) -> &[i64] {
        self.0.as_ref().map_or(&[], |names| &names.0)
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Changes what is there, with room for `length` amounts.
    fn change(&mut self, length: usize, change: impl FnOnce(&mut [i64])) {
        if length == 0 {
            return;
        }
        let mut amounts = self.0.take().map_or_else(Vec::new, |names| names.0);
        if amounts.len() < length {
            amounts.resize(length, 0);
        }
        change(&mut amounts);
        while amounts.last() == Some(&0) {
            amounts.pop();
        }
        if !amounts.is_empty() {
            self.0 = Some(Box::new(Names(amounts)));
        }
    }
}

impl Amounts {
    /// Nothing of anything.
    pub const ZERO: Amounts = Amounts { fixed: [0; FIXED], more: Tail::EMPTY };

    /// The amount of one resource, in thousandths.
    pub fn get(&self, name: NameIdx) -> i64 {
        let position = name.position();
        match self.fixed.get(position) {
            Some(amount) => *amount,
            None => self.more.get().get(position - FIXED).copied().unwrap_or(0),
        }
    }

    /// Sets the amount of one resource, in thousandths.
    pub fn set(&mut self, name: NameIdx, amount: i64) {
        let position = name.position();
        if let Some(place) = self.fixed.get_mut(position) {
            *place = amount;
            return;
        }
        let position = position - FIXED;
        if amount != 0 || position < self.more.get().len() {
            self.more.change(position + 1, |amounts| amounts[position] = amount);
        }
    }

    /// Adds to the amount of one resource.
    pub fn increase(&mut self, name: NameIdx, amount: i64) {
        self.set(name, self.get(name).saturating_add(amount));
    }

    /// Whether nothing is there.
    pub fn is_zero(&self) -> bool {
        self.fixed == [0; FIXED] && self.more.is_empty()
    }

    /// Whether there is any of the standard names.
    pub(crate) fn has_standard(&self) -> bool {
        self.fixed != [0; FIXED]
    }

    /// Whether there is any of the other names.
    pub(crate) fn has_other(&self) -> bool {
        !self.more.is_empty()
    }

    /// Whether there is at least as much of everything as in `other`.
    pub fn contains(&self, other: &Amounts) -> bool {
        self.fixed.iter().zip(&other.fixed).all(|(have, want)| have >= want)
            && other
                .more
                .get()
                .iter()
                .enumerate()
                .all(|(at, want)| self.more.get().get(at).copied().unwrap_or(0) >= *want)
    }

    /// What is left when `other` is taken away, never less than nothing.
    pub fn minus(&self, other: &Amounts) -> Amounts {
        self.combine(other, |have, taken| (have - taken).max(0))
    }

    /// The smaller of both, name by name.
    pub fn min(&self, other: &Amounts) -> Amounts {
        self.combine(other, i64::min)
    }

    /// The names with an amount other than 0, in the order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = (NameIdx, i64)> {
        self.fixed
            .iter()
            .chain(self.more.get())
            .enumerate()
            .filter(|(_, amount)| **amount != 0)
            .map(|(position, amount)| (NameIdx::from_position(position), *amount))
    }

    /// The largest of `self / total`, over the names that `counts` admits and that exist at all.
    ///
    /// A true division, not a product with a reciprocal: shares that are equal on paper (3 of 10 and
    /// 30 of 100) must be equal here, since ties are broken by other rules.
    pub(crate) fn dominant_share(&self, total: &Amounts, counts: impl Fn(NameIdx) -> bool) -> f64 {
        let mut share: f64 = 0.0;
        for (name, of) in total.iter() {
            if of > 0 && counts(name) {
                share = share.max(self.get(name) as f64 / of as f64);
            }
        }
        share
    }

    fn combine(&self, other: &Amounts, f: impl Fn(i64, i64) -> i64) -> Amounts {
        let mut fixed = [0; FIXED];
        for (at, place) in fixed.iter_mut().enumerate() {
            *place = f(self.fixed[at], other.fixed[at]);
        }
        let mut result = Amounts { fixed, more: Tail::EMPTY };
        if !self.more.is_empty() || !other.more.is_empty() {
            let (mine, theirs) = (self.more.get(), other.more.get());
            let at = |amounts: &[i64], at: usize| amounts.get(at).copied().unwrap_or(0);
            result.more.change(mine.len().max(theirs.len()), |amounts| {
                for (position, amount) in amounts.iter_mut().enumerate() {
                    *amount = f(at(mine, position), at(theirs, position));
                }
            });
        }
        result
    }
}

impl std::ops::AddAssign<&Amounts> for Amounts {
    fn add_assign(&mut self, other: &Amounts) {
        for (have, added) in self.fixed.iter_mut().zip(&other.fixed) {
            *have = have.saturating_add(*added);
        }
        self.more.change(other.more.get().len(), |amounts| {
            for (have, added) in amounts.iter_mut().zip(other.more.get()) {
                *have = have.saturating_add(*added);
            }
        });
    }
}

/// Takes away what was added before: the caller's books guarantee that it is there.
impl std::ops::SubAssign<&Amounts> for Amounts {
    fn sub_assign(&mut self, other: &Amounts) {
        debug_assert!(self.contains(other), "more is taken away than there is: {other:?} of {self:?}");
        *self = self.minus(other);
    }
}

impl std::ops::Add<&Amounts> for Amounts {
    type Output = Amounts;
    fn add(mut self, other: &Amounts) -> Amounts {
        self += other;
        self
    }
}

/// The most that a role may have of some resources; of all others there is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(Vec<(NameIdx, i64)>);

impl Limits {
    /// Limits in thousandths; the last one counts where a name comes twice.
    pub fn new(limits: impl IntoIterator<Item = (NameIdx, i64)>) -> Self {
        let map: std::collections::BTreeMap<_, _> = limits.into_iter().collect();
        Limits(map.into_iter().collect())
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limited names, in the order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = (NameIdx, i64)> {
        self.0.iter().copied()
    }

    /// `wanted`, cut down so that `consumed` and it together stay within the limits.
    pub fn shrink(&self, wanted: &Amounts, consumed: &Amounts) -> Amounts {
        let mut allowed = wanted.clone();
        for (name, limit) in self.iter() {
            let left = limit.saturating_sub(consumed.get(name)).max(0);
            allowed.set(name, allowed.get(name).min(left));
        }
        allowed
    }

    /// Whether `amounts` stays within the limits.
    pub fn admits(&self, amounts: &Amounts) -> bool {
        self.iter().all(|(name, limit)| amounts.get(name) <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(of: &[i64]) -> Amounts {
        let mut result = Amounts::ZERO;
        for (position, amount) in of.iter().enumerate() {
            result.set(NameIdx::from_position(position), *amount);
        }
        result
    }

    #[test]
    fn what_was_added_and_taken_away_again_leaves_the_same() {
        let mut some = amounts(&[1, 2, 3, 4, 5, 6]);
        let before = some.clone();
        some += &amounts(&[1, 0, 0, 0, 0, 0, 9]);
        assert_eq!(some, amounts(&[2, 2, 3, 4, 5, 6, 9]));
        some -= &amounts(&[1, 0, 0, 0, 0, 0, 9]);
        assert_eq!(some, before);
    }

    #[test]
    fn contains_asks_for_every_name() {
        assert!(amounts(&[2, 2]).contains(&amounts(&[2, 1])));
        assert!(!amounts(&[2, 2]).contains(&amounts(&[2, 1, 1])));
        assert!(!amounts(&[2, 2]).contains(&amounts(&[0, 0, 0, 0, 0, 1])));
        assert!(amounts(&[0, 0, 0, 0, 0, 1]).contains(&Amounts::ZERO));
    }

    #[test]
    fn minus_stops_at_nothing() {
        assert_eq!(amounts(&[2, 5]).minus(&amounts(&[3, 1])), amounts(&[0, 4]));
    }

    #[test]
    fn the_dominant_share_is_the_largest_over_counted_names() {
        let total = amounts(&[9_000, 18_000]);
        let taken = amounts(&[3_000, 1_000]);
        assert_eq!(taken.dominant_share(&total, |_| true), 3.0 / 9.0);
        assert_eq!(taken.dominant_share(&total, |name| name != NameIdx(0)), 1.0 / 18.0);
        assert_eq!(taken.dominant_share(&Amounts::ZERO, |_| true), 0.0);
    }

    #[test]
    fn limits_bind_only_the_names_they_mention() {
        let limits = Limits::new([(NameIdx(0), 10)]);
        assert_eq!(limits.shrink(&amounts(&[8, 100]), &amounts(&[4])), amounts(&[6, 100]));
        assert_eq!(limits.shrink(&amounts(&[8, 100]), &amounts(&[14])), amounts(&[0, 100]));
        assert!(limits.admits(&amounts(&[10, 99])));
        assert!(!limits.admits(&amounts(&[11])));
    }
}
