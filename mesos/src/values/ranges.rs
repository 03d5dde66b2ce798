//! Sets of whole numbers as sorted intervals, the value of `ports`. Always coalesced: neighbouring
//! and overlapping intervals are one. Every operation is linear in the number of intervals (n log n
//! when they arrive unsorted), whatever they contain, so that a hostile list costs no more than
//! reading it did.

use std::{
    fmt,
    ops::{Add, AddAssign, Sub, SubAssign},
    sync::Arc,
};

use crate::v1;

/// The numbers from `begin` to `end`, both included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Interval {
    /// The first number.
    pub begin: u64,
    /// The last number; not below `begin`.
    pub end: u64,
}

/// What is wrong with a list of ranges; the texts are upstream's (`Resources::validate`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RangesError {
    /// A range that ends before it begins.
    #[error("Invalid ranges resource: begin > end")]
    Inverted,
    /// Two ranges share a number.
    #[error("Invalid ranges resource: overlapping ranges")]
    Overlapping,
}

/// A set of `u64` as sorted, disjoint, non-adjacent intervals. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Ranges {
    intervals: Arc<[Interval]>,
}

impl Ranges {
    /// The numbers from `begin` to `end`, both included; `None` when `begin > end`.
    #[must_use]
    pub fn single(begin: u64, end: u64) -> Option<Self> {
        (begin <= end).then(|| Self { intervals: Arc::new([Interval { begin, end }]) })
    }

    /// The union of the intervals, which may overlap.
    ///
    /// # Errors
    /// [`RangesError::Inverted`].
    pub fn union_of(intervals: Vec<Interval>) -> Result<Self, RangesError> {
        if intervals.iter().any(|interval| interval.begin > interval.end) {
            return Err(RangesError::Inverted);
        }
        Ok(Self::coalesced(intervals))
    }

    /// The intervals, which must not overlap (they may touch).
    ///
    /// # Errors
    /// [`RangesError`].
    pub fn disjoint(mut intervals: Vec<Interval>) -> Result<Self, RangesError> {
        if intervals.iter().any(|interval| interval.begin > interval.end) {
            return Err(RangesError::Inverted);
        }
        intervals.sort_unstable();
        if intervals.windows(2).any(|pair| pair[1].begin <= pair[0].end) {
            return Err(RangesError::Overlapping);
        }
        Ok(Self::coalesced(intervals))
    }

    fn coalesced(mut intervals: Vec<Interval>) -> Self {
        intervals.sort_unstable();
        // `dedup_by` hands the later element first and drops it when told that it was merged.
        intervals.dedup_by(|next, merged| {
            let touches = next.begin <= merged.end.saturating_add(1);
            if touches {
                merged.end = merged.end.max(next.end);
            }
            touches
        });
        Self { intervals: intervals.into() }
    }

    /// The intervals in rising order.
    #[must_use]
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// Whether there is no number in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// How many numbers there are; the largest `u64` when there are more.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.intervals.iter().fold(0, |sum: u64, i| sum.saturating_add((i.end - i.begin).saturating_add(1)))
    }

    /// The numbers in rising order; there may be very many: take what is needed.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.intervals.iter().flat_map(|i| i.begin..=i.end)
    }

    /// Whether the number is in it.
    #[must_use]
    pub fn contains_number(&self, number: u64) -> bool {
        let after = self.intervals.partition_point(|i| i.begin <= number);
        after > 0 && number <= self.intervals[after - 1].end
    }

    /// Whether every number of `other` is in it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let mut mine = self.intervals.iter().peekable();
        other.intervals.iter().all(|wanted| {
            while mine.next_if(|i| i.end < wanted.begin).is_some() {}
            mine.peek().is_some_and(|i| i.begin <= wanted.begin && wanted.end <= i.end)
        })
    }

    /// Whether they share a number.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.intervals.iter().peekable(), other.intervals.iter().peekable());
        while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
            if l.end < r.begin {
                left.next();
            } else if r.end < l.begin {
                right.next();
            } else {
                return true;
            }
        }
        false
    }

    /// The numbers that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self - &(self - other)
    }

    fn minus(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return self.clone();
        }
        let mut result = Vec::with_capacity(self.intervals.len());
        let mut cuts = other.intervals.iter().peekable();
        for interval in self.intervals.iter() {
            while cuts.next_if(|cut| cut.end < interval.begin).is_some() {}
            let mut begin = Some(interval.begin);
            while let Some(cut) = cuts.peek().filter(|cut| cut.begin <= interval.end) {
                if let Some(begin) = begin
                    && begin < cut.begin
                {
                    result.push(Interval { begin, end: cut.begin - 1 });
                }
                if cut.end >= interval.end {
                    // This cut may reach into the next interval as well: it stays.
                    begin = None;
                    break;
                }
                begin = Some(cut.end + 1);
                cuts.next();
            }
            if let Some(begin) = begin {
                result.push(Interval { begin, end: interval.end });
            }
        }
        Self { intervals: result.into() }
    }

    fn plus(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return other.clone();
        }
        Self::coalesced([&self.intervals[..], &other.intervals[..]].concat())
    }
}

impl Add for &Ranges {
    type Output = Ranges;
    fn add(self, other: Self) -> Ranges {
        self.plus(other)
    }
}

impl Sub for &Ranges {
    type Output = Ranges;
    fn sub(self, other: Self) -> Ranges {
        self.minus(other)
    }
}

impl AddAssign<&Self> for Ranges {
    fn add_assign(&mut self, other: &Self) {
        *self = self.plus(other);
    }
}

impl SubAssign<&Self> for Ranges {
    fn sub_assign(&mut self, other: &Self) {
        *self = self.minus(other);
    }
}

/// `[31000-32000, 33000-33000]`.
impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, interval) in self.intervals.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{}-{}", interval.begin, interval.end)?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Refuses inverted and overlapping ranges, as a resource must.
impl TryFrom<&v1::value::Ranges> for Ranges {
    type Error = RangesError;
    fn try_from(ranges: &v1::value::Ranges) -> Result<Self, RangesError> {
        Self::disjoint(ranges.range.iter().map(|r| Interval { begin: r.begin, end: r.end }).collect())
    }
}

impl From<&Ranges> for v1::value::Ranges {
    fn from(ranges: &Ranges) -> Self {
        let range =
            ranges.intervals.iter().map(|i| v1::value::Range { begin: i.begin, end: i.end }).collect();
        Self { range }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Ranges {
        Ranges::union_of(pairs.iter().map(|&(begin, end)| Interval { begin, end }).collect()).unwrap()
    }

    /// Upstream: `ValuesTest.RangesCoalesce`.
    #[test]
    fn neighbours_and_overlaps_become_one_interval() {
        assert_eq!(ranges(&[(3, 5), (1, 2), (4, 9), (20, 20)]).to_string(), "[1-9, 20-20]");
        assert_eq!(ranges(&[(0, u64::MAX), (5, 7)]).to_string(), format!("[0-{}]", u64::MAX));
        assert_eq!(ranges(&[(u64::MAX, u64::MAX), (u64::MAX - 1, u64::MAX - 1)]).intervals().len(), 1);
    }

    /// Upstream: `ValuesTest.AddRangeCoalesce`, `RangesAddition`.
    #[test]
    fn a_sum_has_no_more_intervals_than_it_must() {
        type Pairs<'a> = &'a [(u64, u64)];
        let cases: [(Pairs<'_>, Pairs<'_>, &str); 10] = [
            (&[(1, 4), (8, 10)], &[(4, 8)], "[1-10]"),
            (&[(1, 10)], &[(5, 7)], "[1-10]"),
            (&[(1, 10)], &[(20, 21)], "[1-10, 20-21]"),
            (&[(3, 8)], &[(4, 10)], "[3-10]"),
            (&[(3, 8)], &[(1, 4)], "[1-8]"),
            (&[(2, 3)], &[(1, 4)], "[1-4]"),
            (&[(2, 3)], &[(4, 6)], "[2-6]"),
            (&[(3, 5)], &[(1, 2)], "[1-5]"),
            (&[(3, 5), (7, 8)], &[(6, 6)], "[3-8]"),
            (&[(1, 4), (9, 10), (20, 22), (26, 30)], &[(5, 8), (23, 25)], "[1-10, 20-30]"),
        ];
        for (left, right, sum) in cases {
            assert_eq!((&ranges(left) + &ranges(right)).to_string(), sum);
        }
    }

    /// Upstream: `ValuesTest.RangesSubtraction`.
    #[test]
    fn subtraction_cuts_holes_and_ends() {
        assert_eq!((&ranges(&[(1, 10)]) - &ranges(&[(3, 4), (8, 20)])).to_string(), "[1-2, 5-7]");
        assert_eq!((&ranges(&[(1, 10), (20, 30)]) - &ranges(&[(5, 25)])).to_string(), "[1-4, 26-30]");
        assert_eq!((&ranges(&[(1, 10)]) - &ranges(&[(0, 40)])).to_string(), "[]");
        assert_eq!((&ranges(&[]) - &ranges(&[(1, 10)])).to_string(), "[]");
        for (cut, rest) in [
            ((3, 5), "[6-8]"),
            ((5, 8), "[3-4]"),
            ((5, 6), "[3-4, 7-8]"),
            ((1, 3), "[4-8]"),
            ((5, 10), "[3-4]"),
            ((9, 10), "[3-8]"),
            ((1, 2), "[3-8]"),
        ] {
            assert_eq!((&ranges(&[(3, 8)]) - &ranges(&[cut])).to_string(), rest);
        }
        assert_eq!((&ranges(&[(0, u64::MAX)]) - &ranges(&[(u64::MAX, u64::MAX)])).count(), u64::MAX);
    }

    #[test]
    fn a_resource_must_not_list_a_number_twice_or_backwards() {
        let interval = |begin, end| Interval { begin, end };
        assert_eq!(Ranges::disjoint(vec![interval(1, 3), interval(3, 4)]), Err(RangesError::Overlapping));
        assert_eq!(Ranges::disjoint(vec![interval(4, 3)]), Err(RangesError::Inverted));
        assert_eq!(Ranges::disjoint(vec![interval(4, 5), interval(1, 3)]).unwrap().to_string(), "[1-5]");
    }

    #[test]
    fn a_huge_list_costs_little() {
        let odd: Vec<_> = (0..400_000_u64).rev().map(|n| Interval { begin: 2 * n, end: 2 * n }).collect();
        let even: Vec<_> =
            (0..400_000_u64).rev().map(|n| Interval { begin: 2 * n + 1, end: 2 * n + 1 }).collect();
        let (odd, even) = (Ranges::disjoint(odd).unwrap(), Ranges::disjoint(even).unwrap());
        assert!(!odd.intersects(&even));
        assert_eq!((&odd + &even).to_string(), "[0-799999]");
        assert_eq!(&(&odd + &even) - &even, odd);
    }

    fn some_ranges() -> impl Strategy<Value = Ranges> {
        prop::collection::vec((0_u64..120, 0_u64..12), 0..12)
            .prop_map(|pairs| ranges(&pairs.into_iter().map(|(b, l)| (b, b + l)).collect::<Vec<_>>()))
    }

    proptest! {
        #[test]
        fn the_operations_agree_with_sets_of_numbers(a in some_ranges(), b in some_ranges()) {
            let numbers = |r: &Ranges| r.numbers().collect::<std::collections::BTreeSet<_>>();
            let (x, y) = (numbers(&a), numbers(&b));
            prop_assert_eq!(numbers(&(&a + &b)), &x | &y);
            prop_assert_eq!(numbers(&(&a - &b)), &x - &y);
            prop_assert_eq!(numbers(&a.intersection(&b)), &x & &y);
            prop_assert_eq!(a.contains(&b), x.is_superset(&y));
            prop_assert_eq!(a.intersects(&b), !x.is_disjoint(&y));
            prop_assert_eq!(a.count(), x.len() as u64);
            for number in 0..140 {
                prop_assert_eq!(a.contains_number(number), x.contains(&number));
            }
        }

        #[test]
        fn results_are_sorted_and_have_gaps_between_intervals(a in some_ranges(), b in some_ranges()) {
            for result in [&a + &b, &a - &b] {
                prop_assert!(result.intervals().windows(2).all(|w| w[0].end + 1 < w[1].begin));
                prop_assert!(result.intervals().iter().all(|i| i.begin <= i.end));
            }
        }

        #[test]
        fn what_was_added_can_be_taken_away(a in some_ranges(), b in some_ranges()) {
            let a = &a - &b;
            prop_assert_eq!(&(&a + &b) - &b, a);
        }
    }
}
