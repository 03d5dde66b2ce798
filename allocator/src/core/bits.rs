//! A set of dense indices, one bit each: sets of members are united and subtracted 64 at a time.

use super::ids::Index;

const WORD: usize = u64::BITS as usize;

/// A set of indices of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Bits<I> {
    words: Vec<u64>,
    kind: std::marker::PhantomData<I>,
}

impl<I> Default for Bits<I> {
    fn default() -> Self {
        Bits { words: Vec::new(), kind: std::marker::PhantomData }
    }
}

impl<I: Index> Bits<I> {
    fn place(index: I) -> (usize, u64) {
        (index.position() / WORD, 1 << (index.position() % WORD))
    }

    pub(crate) fn contains(&self, index: I) -> bool {
        let (word, bit) = Self::place(index);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// True if it was not in it.
    pub(crate) fn insert(&mut self, index: I) -> bool {
        let (word, bit) = Self::place(index);
        if self.words.len() <= word {
            self.words.reserve_exact(word + 1 - self.words.len());
            self.words.resize(word + 1, 0);
        }
        let added = self.words[word] & bit == 0;
        self.words[word] |= bit;
        added
    }

    /// True if it was in it.
    pub(crate) fn remove(&mut self, index: I) -> bool {
        let (word, bit) = Self::place(index);
        let Some(bits) = self.words.get_mut(word) else { return false };
        let removed = *bits & bit != 0;
        *bits &= !bit;
        removed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|bits| *bits == 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.words.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// How many smaller indices are in it.
    pub(crate) fn rank(&self, index: I) -> usize {
        let (word, bit) = Self::place(index);
        let before = &self.words[..word.min(self.words.len())];
        let whole: u32 = before.iter().map(|bits| bits.count_ones()).sum();
        let part = self.words.get(word).map_or(0, |bits| (bits & (bit - 1)).count_ones());
        (whole + part) as usize
    }

    /// Makes it equal to another, without a new allocation if there is room.
    pub(crate) fn copy_from(&mut self, other: &Bits<I>) {
        self.words.clear();
        self.words.extend_from_slice(&other.words);
    }

    /// Takes out all that are in another.
    pub(crate) fn subtract(&mut self, other: &Bits<I>) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= !theirs;
        }
    }

    pub(crate) fn intersects(&self, other: &Bits<I>) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// All in it, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = I> {
        self.words.iter().enumerate().flat_map(|(at, bits)| {
            let next = |left: &u64| Some(left & (left - 1)).filter(|left| *left != 0);
            let first = Some(*bits).filter(|bits| *bits != 0);
            std::iter::successors(first, next)
                .map(move |left| I::from_position(at * WORD + left.trailing_zeros() as usize))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::MemberIdx;
    use super::*;

    fn bits(of: &[usize]) -> Bits<MemberIdx> {
        let mut bits = Bits::default();
        for position in of {
            bits.insert(MemberIdx::from_position(*position));
        }
        bits
    }

    fn positions(bits: &Bits<MemberIdx>) -> Vec<usize> {
        bits.iter().map(Index::position).collect()
    }

    #[test]
    fn what_was_put_in_is_in_it_once_and_in_order() {
        let mut set = bits(&[200, 3, 64, 63]);
        assert!(!set.insert(MemberIdx::from_position(3)));
        assert_eq!(positions(&set), [3, 63, 64, 200]);
        assert_eq!(set.len(), 4);
        assert!(set.remove(MemberIdx::from_position(64)));
        assert!(!set.remove(MemberIdx::from_position(1000)));
        assert!(!set.contains(MemberIdx::from_position(64)) && set.contains(MemberIdx::from_position(63)));
    }

    #[test]
    fn the_rank_is_the_number_of_smaller_ones() {
        let set = bits(&[0, 5, 64, 130]);
        let ranks = [0, 1, 5, 64, 65, 130, 1000].map(|at| set.rank(MemberIdx::from_position(at)));
        assert_eq!(ranks, [0, 1, 1, 2, 3, 3, 4]);
    }

    #[test]
    fn sets_of_different_lengths_are_subtracted() {
        let mut set = bits(&[1, 70, 300]);
        assert!(set.intersects(&bits(&[70])) && !set.intersects(&bits(&[2, 500])));
        set.subtract(&bits(&[1, 70, 1000]));
        assert_eq!(positions(&set), [300]);
        set.subtract(&bits(&[300]));
        assert!(set.is_empty());
    }
}
