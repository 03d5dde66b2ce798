//! Which connection of a node is its latest.
//!
//! A node has one connection to another at a time, and opens the next one when that is over. What the first still carried
//! may be on its way for long all the same, and arrive after what the second has brought: it would say what is not so any
//! more, and undo what was said since (found by simulation: a report of an agent that lacked what it had launched after it;
//! the start of a task that was over). So a node counts its connections, and who hears of a later one hears no more of
//! those before: messages between two nodes arrive in order, up to some message that is lost with all that follow until the
//! next connection. Upstream's nodes do not say how many they have had, and are heard on all of them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a node is remembered after its last connection: as long as the kernel of its host goes on sending what is not
/// acknowledged (Linux: `tcp_retries2`).
const KEPT: Duration = Duration::from_secs(15 * 60);
/// So many nodes that are gone are remembered at most.
const MOST: usize = 16_384;

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

/// The latest connection of each node that is connected to this one, or was not long ago.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<Table>);

/// Where a node is, and which of its lives this is: nobody speaks for a node of another host.
type Key = (IpAddr, u64);

/// What is known of a node's life.
#[derive(Debug, Default)]
struct Known {
    latest: Arc<AtomicU64>,
    /// When the last of its connections ended, if none is there.
    left: Option<Instant>,
}

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<Key, Known>,
    /// The nodes whose last connection has ended, and when; they may have come back, and left again.
    left: VecDeque<(Instant, Key)>,
}

impl Table {
    /// Forgets who has been gone for long.
    fn forget(&mut self, now: Instant) {
        while let Some((at, key)) = self.left.front().copied() {
            if now - at < KEPT && self.left.len() <= MOST {
                return;
            }
            self.left.pop_front();
            if self.known.get(&key).is_some_and(|known| known.left == Some(at)) {
                self.known.remove(&key);
            }
        }
    }
}

impl Orders {
    /// A connection from this host has brought its first message.
    pub(crate) fn begin(self: &Arc<Self>, host: IpAddr, order: Order) -> Turn {
        let key = (host.to_canonical(), order.life);
        let mut table = self.0.lock();
        table.forget(Instant::now());
        let known = table.known.entry(key).or_default();
        known.left = None;
        let latest = Arc::clone(&known.latest);
        latest.fetch_max(order.number, Ordering::Relaxed);
        Turn { key, number: order.number, latest, orders: Arc::clone(self) }
    }

    /// How many nodes are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().known.len()
    }
}

/// A connection that has brought something.
#[derive(Debug)]
pub(crate) struct Turn {
    key: Key,
    number: u64,
    latest: Arc<AtomicU64>,
    orders: Arc<Orders>,
}

impl Turn {
    /// Whether none has that its node opened later.
    pub(crate) fn is_latest(&self) -> bool {
        self.latest.load(Ordering::Relaxed) == self.number
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut table = self.orders.0.lock();
        // This one's, and the table's: an earlier connection may still be on its way.
        if Arc::strong_count(&self.latest) == 2 {
            let now = Instant::now();
            if let Some(known) = table.known.get_mut(&self.key) {
                known.left = Some(now);
            }
            table.left.push_back((now, self.key));
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

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn who_has_spoken_on_a_later_connection_is_not_heard_on_an_earlier_one() {
        crate::testing::run(async {
            let orders = Arc::new(Orders::default());
            let begin = |life, number| orders.begin(HERE, Order { life, number });
            let (first, other) = (begin(1, 7), begin(2, 3));
            assert!(first.is_latest() && other.is_latest());
            let second = begin(1, 8);
            assert!(!first.is_latest() && second.is_latest() && other.is_latest());
            // Its first words come when the second has spoken already.
            assert!(!begin(1, 6).is_latest());
            assert!(second.is_latest());
            // From elsewhere, who has learned of it has no say.
            assert!(orders.begin([10, 0, 0, 1].into(), Order { life: 1, number: 9 }).is_latest());
            assert!(second.is_latest());
            drop((first, second));
            assert!(!begin(1, 7).is_latest(), "what is under way when all are over is no newer");
        });
    }

    #[test]
    fn nodes_are_forgotten_some_time_after_they_have_left() {
        crate::testing::run(async {
            let orders = Arc::new(Orders::default());
            let begin = |life, number| orders.begin(HERE, Order { life, number });
            let stays = begin(1, 5);
            drop(begin(2, 5));
            drop(begin(3, 5));
            tokio::time::sleep(KEPT / 2).await;
            // It leaves once more.
            drop(begin(3, 6));
            tokio::time::sleep(KEPT / 2).await;
            drop(begin(4, 0));
            assert_eq!(orders.len(), 3, "1, 3 and 4");
            assert!(stays.is_latest() && !begin(3, 5).is_latest());
            tokio::time::sleep(KEPT).await;
            drop(begin(1, 4));
            assert_eq!(orders.len(), 1);
            let many = u64::try_from(MOST).unwrap();
            (10..10 + many + 100).for_each(|life| drop(begin(life, 0)));
            assert!(orders.len() <= MOST + 2, "{}", orders.len());
        });
    }
}
