//! Which connection of a node is its latest.
//!
//! A node has one connection to another at a time, and opens the next one when that is over. What the first still carried
//! may be on its way for long all the same, and arrive after what the second has brought: it would say what is not so any
//! more, and undo what was said since (found by simulation: a report of an agent that lacked what it had launched after it;
//! the start of a task that was over). So a node counts its connections, and who hears of a later one hears no more of
//! those before: messages between two nodes arrive in order, up to some message that is lost with all that follow until the
//! next connection. Upstream's nodes do not say how many they have had, and are heard on all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The place of a connection among those of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// Drawn at random for each life of a node: one that has started again is another one, and is not compared with itself.
    pub(crate) life: u64,
    /// Greater than that of every connection that the node has opened before.
    pub(crate) number: u64,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.life, self.number)
    }
}

impl FromStr for Order {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Order, Self::Err> {
        let (life, number) = text.split_once('.').unwrap_or((text, ""));
        Ok(Order { life: u64::from_str_radix(life, 16)?, number: number.parse()? })
    }
}

/// The latest connection of each node that is connected to this one.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<BTreeMap<u64, Arc<AtomicU64>>>);

impl Orders {
    /// A connection has brought its first message.
    pub(crate) fn begin(self: &Arc<Self>, order: Order) -> Turn {
        let latest = Arc::clone(self.0.lock().entry(order.life).or_default());
        latest.fetch_max(order.number, Ordering::Relaxed);
        Turn { order, latest, orders: Arc::clone(self) }
    }

    /// How many nodes are connected that have said which connection it is.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// A connection that has brought something.
#[derive(Debug)]
pub(crate) struct Turn {
    order: Order,
    latest: Arc<AtomicU64>,
    orders: Arc<Orders>,
}

impl Turn {
    /// Whether none has that its node opened later.
    pub(crate) fn is_latest(&self) -> bool {
        self.latest.load(Ordering::Relaxed) == self.order.number
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut latest = self.orders.0.lock();
        // This one's, and the table's.
        if Arc::strong_count(&self.latest) == 2 {
            latest.remove(&self.order.life);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let order = Order { life: 0x2a, number: 17 };
        assert_eq!(order.to_string(), "000000000000002a.17");
        assert_eq!(order.to_string().parse(), Ok(order));
        for wrong in ["", "2a", ".", "2a.", ".1", "x.1", "2a.-1", "1.2.3", "12345678901234567.1"] {
            assert!(wrong.parse::<Order>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_has_spoken_on_a_later_connection_is_not_heard_on_an_earlier_one() {
        let orders = Arc::new(Orders::default());
        let begin = |life, number| orders.begin(Order { life, number });
        let (first, other) = (begin(1, 7), begin(2, 3));
        assert!(first.is_latest() && other.is_latest());
        let second = begin(1, 8);
        assert!(!first.is_latest() && second.is_latest() && other.is_latest());
        // Its first words come when the second has spoken already.
        assert!(!begin(1, 6).is_latest());
        assert!(second.is_latest());
        drop(second);
        assert!(!first.is_latest(), "it is remembered as long as there is an earlier one");
        drop(first);
        assert_eq!(orders.len(), 1);
        drop(other);
        assert_eq!(orders.len(), 0);
    }
}
