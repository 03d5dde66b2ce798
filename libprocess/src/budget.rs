//! How many bytes the requests, or the answers, of all strangers together may hold.
//!
//! Whoever collects a body, the HTTP server or the loop that serves a peer, has a [`Share`] of the node's [`Budget`]
//! that grows with the body and is given back with it. The first [`SMALL`] bytes of each body are free: while somebody
//! holds all the rest, ordinary calls and messages go on. One host may hold half: the other half is for the others.
//! Bodies that have come in part may all wait for each other: so one at a time may go beyond ([`Share::insist`]).
//! Bytes of which several bodies consist ([`Share::join`]) are there once, and count once, and once for each host that
//! takes them. It counts; it knows neither sockets nor bodies.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Bytes of each body that do not count. There are at most as many bodies as connections.
pub(crate) const SMALL: usize = 64 << 10;

/// This part of the limit comes on top of it for the body whose turn it is: 64 MiB, a whole message, if the limit is what it
/// is by default.
const BEYOND: usize = 8;
/// How long a body has its turn when another one wants to have it.
const TURN: Duration = Duration::from_secs(1);

/// The bytes that may be held.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// Hosts that hold nothing have no entry.
    by_host: BTreeMap<IpAddr, usize>,
    /// Part of both, by what was given as their id.
    common: BTreeMap<u64, Common>,
    /// Whose turn it is to go beyond the limits, and until when it has it for itself.
    turn: Option<(u64, Instant)>,
    /// Turns that there were.
    turns: u64,
}

impl Held {
    fn of_host(&self, host: IpAddr) -> usize {
        self.by_host.get(&host).copied().unwrap_or(0)
    }

    fn set_host(&mut self, host: IpAddr, bytes: usize) {
        match bytes {
            0 => self.by_host.remove(&host),
            some => self.by_host.insert(host, some),
        };
    }
}

/// Bytes of which several bodies consist.
#[derive(Debug)]
struct Common {
    bytes: usize,
    /// How many bodies each host takes. Whoever takes none has no entry.
    bodies: BTreeMap<IpAddr, usize>,
}

/// No more bytes may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory for it at the moment")]
pub(crate) struct Exhausted;

impl Budget {
    pub(crate) fn new(limit: usize) -> Budget {
        Budget { limit, held: Mutex::default() }
    }

    /// A share of nothing yet, for a body that comes from, or goes to, this host.
    pub(crate) fn share(self: &Arc<Self>, host: IpAddr) -> Share {
        Share { budget: Arc::clone(self), host: neighbourhood(host), held: 0, common: None, turn: None }
    }

    /// A body has grown, or become smaller. `beyond` comes on top of the limits.
    fn change(&self, host: IpAddr, from: usize, to: usize, beyond: usize) -> Result<(), Exhausted> {
        let mut held = self.held.lock();
        let all = (held.all - from).saturating_add(to);
        let by_host = (held.of_host(host) - from).saturating_add(to);
        let (most, most_of_host) =
            (self.limit.saturating_add(beyond), (self.limit / 2).saturating_add(beyond));
        if to > from && (all > most || by_host > most_of_host) {
            return Err(Exhausted);
        }
        held.all = all;
        held.set_host(host, by_host);
        Ok(())
    }

    fn join(&self, host: IpAddr, id: u64, bytes: usize) -> Result<(), Exhausted> {
        let mut held = self.held.lock();
        let common = held.common.get(&id);
        let (is_held, is_held_by_host) =
            (common.is_some(), common.is_some_and(|common| common.bodies.contains_key(&host)));
        let all = held.all.saturating_add(if is_held { 0 } else { bytes });
        let by_host = held.of_host(host).saturating_add(if is_held_by_host { 0 } else { bytes });
        if all > self.limit || by_host > self.limit / 2 {
            return Err(Exhausted);
        }
        held.all = all;
        held.set_host(host, by_host);
        let common = held.common.entry(id).or_insert_with(|| Common { bytes, bodies: BTreeMap::new() });
        *common.bodies.entry(host).or_default() += 1;
        Ok(())
    }

    /// The turn of who had `mine`, if it has one now.
    fn take_turn(&self, mine: Option<u64>, now: Instant) -> Option<u64> {
        let mut held = self.held.lock();
        let current = held.turn;
        match current {
            Some((turn, _)) if mine == Some(turn) => mine,
            Some((_, until)) if now < until => None,
            _ => {
                held.turns += 1;
                let turn = held.turns;
                held.turn = Some((turn, now + TURN));
                Some(turn)
            }
        }
    }

    fn end_turn(&self, turn: u64) {
        let mut held = self.held.lock();
        if held.turn.is_some_and(|(current, _)| current == turn) {
            held.turn = None;
        }
    }

    fn leave(&self, host: IpAddr, id: u64) {
        let mut held = self.held.lock();
        let Some(common) = held.common.get_mut(&id) else { return };
        let Some(bodies) = common.bodies.get_mut(&host) else { return };
        *bodies -= 1;
        if *bodies > 0 {
            return;
        }
        common.bodies.remove(&host);
        let (bytes, is_last) = (common.bytes, common.bodies.is_empty());
        let by_host = held.of_host(host) - bytes;
        held.set_host(host, by_host);
        if is_last {
            held.common.remove(&id);
            held.all -= bytes;
        }
    }
}

/// The bytes of one body. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    host: IpAddr,
    held: usize,
    /// The bytes that it holds together with others.
    common: Option<u64>,
    /// Its turn to go beyond the limits; somebody else may have taken it.
    turn: Option<u64>,
}

impl Share {
    /// A share for another body of the same host.
    pub(crate) fn another(&self) -> Share {
        self.budget.share(self.host)
    }

    /// The body consists of so many bytes that others may hold, too: those that have the same id, which stands for
    /// these bytes alone.
    ///
    /// # Errors
    /// [`Exhausted`]: the body must be given up.
    pub(crate) fn join(mut self, id: u64, bytes: usize) -> Result<Share, Exhausted> {
        let counted = bytes.saturating_sub(SMALL);
        if counted > 0 {
            self.budget.join(self.host, id, counted)?;
            self.common = Some(id);
        }
        Ok(self)
    }

    /// The body has so many bytes now.
    ///
    /// # Errors
    /// [`Exhausted`]: the body must wait, or be given up. The share is as it was.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let counted = bytes.saturating_sub(SMALL);
        if counted != self.held {
            self.budget.change(self.host, self.held, counted, 0)?;
            self.held = counted;
        }
        if counted == 0
            && let Some(turn) = self.turn.take()
        {
            self.budget.end_turn(turn);
        }
        Ok(())
    }

    /// As [`Share::set`], for a body that has waited. Of those that may all wait for each other one goes on, beyond the limits
    /// by an eighth, until it is whole and gives back what it holds; or for [`TURN`], if another one wants to. False if it
    /// must wait all the same.
    pub(crate) fn insist(&mut self, bytes: usize, now: Instant) -> bool {
        self.turn = self.budget.take_turn(self.turn, now);
        let (counted, beyond) = (bytes.saturating_sub(SMALL), self.budget.limit / BEYOND);
        let goes_on =
            self.turn.is_some() && self.budget.change(self.host, self.held, counted, beyond).is_ok();
        if goes_on {
            self.held = counted;
        }
        goes_on
    }

    /// Whether it goes on beyond the limits already, and need not wait before it insists.
    pub(crate) fn has_turn(&self) -> bool {
        self.turn.is_some()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // What gets smaller is never refused.
        let _ = self.set(0);
        if let Some(id) = self.common {
            self.budget.leave(self.host, id);
        }
    }
}

/// Whom an address counts for: one host may have a whole /64 of IPv6 to itself.
pub(crate) fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn bodies_share_the_budget_and_give_back_what_they_held() {
        let budget = Arc::new(Budget::new(100));
        let held = || budget.held.lock().all;
        let (mut one, mut other) = (budget.share(host(1)), budget.share(host(2)));
        assert_eq!(one.set(SMALL + 50), Ok(()));
        assert_eq!(other.set(SMALL + 40), Ok(()));
        assert_eq!(held(), 90);
        // Small ones are always taken.
        assert_eq!(budget.share(host(3)).set(SMALL), Ok(()));
        assert_eq!(budget.share(host(3)).set(SMALL + 11), Err(Exhausted));
        assert_eq!(budget.share(host(3)).set(SMALL + 10), Ok(()));
        assert_eq!(one.set(SMALL + 10), Ok(()));
        assert_eq!(held(), 50);
        drop(other);
        assert_eq!(held(), 10);
        assert_eq!(one.set(usize::MAX), Err(Exhausted));
        assert_eq!(one.set(0), Ok(()));
        assert_eq!(held(), 0);
        assert!(budget.held.lock().by_host.is_empty());
    }

    #[test]
    fn one_host_holds_half_at_most() {
        let budget = Arc::new(Budget::new(100));
        let (mut first, mut second) = (budget.share(host(1)), budget.share(host(1)));
        assert_eq!(first.set(SMALL + 30), Ok(()));
        assert_eq!(second.set(SMALL + 21), Err(Exhausted));
        assert_eq!(second.set(SMALL + 20), Ok(()));
        assert_eq!(budget.share(host(2)).set(SMALL + 50), Ok(()));
    }

    #[test]
    fn bodies_that_wait_for_each_other_go_on_one_after_the_other() {
        let budget = Arc::new(Budget::new(160));
        let now = Instant::now();
        let [mut one, mut other, mut third] = [1, 2, 3].map(|n| budget.share(host(n)));
        assert_eq!((one.set(SMALL + 80), other.set(SMALL + 80)), (Ok(()), Ok(())));
        assert_eq!((one.set(SMALL + 90), other.set(SMALL + 90)), (Err(Exhausted), Err(Exhausted)));
        assert!(one.insist(SMALL + 90, now) && one.has_turn());
        assert!(!other.insist(SMALL + 90, now) && !other.has_turn());
        // An eighth more, and no more.
        assert!(one.insist(SMALL + 100, now) && !one.insist(SMALL + 101, now));
        // It is whole.
        assert_eq!(one.set(0), Ok(()));
        assert!(other.insist(SMALL + 90, now));
        // Who takes long has its turn until another one wants it.
        assert_eq!(third.set(SMALL + 70), Ok(()));
        assert!(other.insist(SMALL + 91, now + TURN) && !third.insist(SMALL + 75, now));
        assert!(third.insist(SMALL + 75, now + TURN) && !other.insist(SMALL + 92, now + TURN));
        drop(third);
        assert!(other.insist(SMALL + 92, now + TURN));
        drop((one, other));
        let held = budget.held.lock();
        assert_eq!((held.all, held.turn), (0, None));
    }

    #[test]
    fn bytes_of_several_bodies_count_once_and_once_for_each_host() {
        let budget = Arc::new(Budget::new(100));
        let held = |n| {
            let held = budget.held.lock();
            (held.all, held.of_host(host(n)))
        };
        let join = |n, id, bytes: usize| budget.share(host(n)).join(id, SMALL + bytes);
        let first = join(1, 7, 50).unwrap();
        let same = join(1, 7, 50).unwrap();
        assert_eq!(held(1), (50, 50));
        let elsewhere = join(2, 7, 50).unwrap();
        assert_eq!((held(1), held(2)), ((50, 50), (50, 50)));
        // Others are other bytes, of which there is room for so many; and host 2 has its half.
        assert_eq!(join(2, 8, 1).err(), Some(Exhausted));
        assert_eq!(join(3, 8, 51).err(), Some(Exhausted));
        let other = join(3, 8, 50).unwrap();
        assert_eq!(join(4, 9, 1).err(), Some(Exhausted));
        assert!(join(4, 9, 0).is_ok() && join(3, 8, 50).is_ok());
        drop(first);
        assert_eq!(held(1), (100, 50));
        drop(same);
        assert_eq!((held(1), held(2)), ((100, 0), (100, 50)));
        drop((elsewhere, other));
        assert_eq!(held(2), (0, 0));
        assert!(budget.held.lock().common.is_empty() && budget.held.lock().by_host.is_empty());
    }

    #[test]
    fn a_host_is_an_address_or_a_network_of_ipv6() {
        let of = |text: &str| neighbourhood(text.parse().unwrap()).to_string();
        assert_eq!(of("10.1.2.3"), "10.1.2.3");
        assert_eq!(of("::ffff:10.1.2.3"), "10.1.2.3");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
