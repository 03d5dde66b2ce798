//! The handshakes that a server is in: so many at once, and the oldest makes room for the newest.
//!
//! An honest peer is through within two round trips. Whoever is not, when thousands of others have come since, is slow
//! or means harm, and it costs nobody else anything to let it go. (If newcomers had to wait instead, those who say
//! nothing would keep everybody out.)

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Handshakes that go on.
#[derive(Debug)]
pub(super) struct Handshakes {
    limit: usize,
    going: Mutex<Going>,
}

#[derive(Debug, Default)]
struct Going {
    /// Each by its number; they are counted in the order that they begin in.
    by_number: BTreeMap<u64, Arc<Notify>>,
    begun: u64,
}

/// One of them; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Handshake<'a> {
    all: &'a Handshakes,
    number: u64,
    ousted: Arc<Notify>,
}

impl Handshakes {
    pub(super) fn new(limit: usize) -> Handshakes {
        Handshakes { limit, going: Mutex::default() }
    }

    /// Begins one. The oldest is told to go if there are too many.
    pub(super) fn begin(&self) -> Handshake<'_> {
        let ousted = Arc::new(Notify::new());
        let mut going = self.going.lock();
        let number = going.begun;
        going.begun += 1;
        if going.by_number.len() >= self.limit
            && let Some((_, oldest)) = going.by_number.pop_first()
        {
            oldest.notify_one();
        }
        going.by_number.insert(number, ousted.clone());
        Handshake { all: self, number, ousted }
    }
}

impl Handshake<'_> {
    /// Resolves when it has to make room.
    pub(super) async fn ousted(&self) {
        self.ousted.notified().await;
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.all.going.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_oldest_makes_room_and_who_has_ended_takes_none() {
        let all = Handshakes::new(2);
        let is_ousted = |one: &Handshake<'_>| one.ousted().now_or_never().is_some();
        let (first, second) = (all.begin(), all.begin());
        assert!(!is_ousted(&first) && !is_ousted(&second));
        let third = all.begin();
        assert!(is_ousted(&first) && !is_ousted(&second));
        drop(second);
        let fourth = all.begin();
        assert!(!is_ousted(&third) && !is_ousted(&fourth), "there was room");
        drop((first, third, fourth));
        assert!(all.going.lock().by_number.is_empty());
    }
}
