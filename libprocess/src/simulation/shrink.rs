//! From a list of events that makes something fail to a short one that still does.

/// Removes what is not needed for `fails` to stay true: ever smaller pieces, as in delta debugging (Zeller and
/// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). `fails` is asked at most `tries` times. The
/// order of what is left stays.
pub fn shrink<T: Clone>(events: &[T], tries: usize, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut left = events.to_vec();
    let mut tries = tries;
    let mut piece = left.len().div_ceil(2);
    while piece > 0 && !left.is_empty() {
        let mut removed = false;
        let mut from = 0;
        while from < left.len() {
            if tries == 0 {
                return left;
            }
            tries -= 1;
            let to = (from + piece).min(left.len());
            let without: Vec<T> = left[..from].iter().chain(&left[to..]).cloned().collect();
            if fails(&without) {
                left = without;
                removed = true;
            } else {
                from = to;
            }
        }
        // Single events are tried again for as long as one can go: others may have become needless.
        piece = if piece == 1 && removed { 1 } else { piece / 2 };
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_stays_in_its_order() {
        let needed = |events: &[u32]| [3, 50, 77].iter().all(|n| events.contains(n));
        let events: Vec<u32> = (0..100).collect();
        assert_eq!(shrink(&events, 1000, needed), [3, 50, 77]);
        assert!(shrink(&events, 1000, |_| true).is_empty());
        assert_eq!(shrink(&events, 1000, |events| events.len() == 100), events);
    }

    #[test]
    fn it_stops_after_so_many_tries() {
        let mut asked = 0;
        let left = shrink(&[1, 2, 3, 4, 5, 6, 7, 8], 2, |_| {
            asked += 1;
            true
        });
        assert_eq!((asked, left), (2, vec![]));
    }
}
