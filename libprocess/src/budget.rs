//! How many bytes the requests, or the answers, of all strangers together may hold.
//!
//! Whoever collects a body, the HTTP server or the loop that serves a peer, has a [`Share`] of the node's [`Budget`]
//! that grows with the body and is given back with it. The first [`SMALL`] bytes of each body are free: while somebody
//! holds all the rest, ordinary calls and messages go on. One host may hold half: the other half is for the others.
//! It counts; it knows neither sockets nor bodies.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Bytes of each body that do not count. There are at most as many bodies as connections.
pub(crate) const SMALL: usize = 64 << 10;

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
        Share { budget: Arc::clone(self), host: neighbourhood(host), held: 0 }
    }

    fn change(&self, host: IpAddr, from: usize, to: usize) -> Result<(), Exhausted> {
        let mut held = self.held.lock();
        let all = (held.all - from).saturating_add(to);
        let by_host = held.by_host.get(&host).copied().unwrap_or(0);
        let by_host = (by_host - from).saturating_add(to);
        if to > from && (all > self.limit || by_host > self.limit / 2) {
            return Err(Exhausted);
        }
        held.all = all;
        match by_host {
            0 => held.by_host.remove(&host),
            some => held.by_host.insert(host, some),
        };
        Ok(())
    }
}

/// The bytes of one body. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    host: IpAddr,
    held: usize,
}

impl Share {
    /// The body has so many bytes now.
    ///
    /// # Errors
    /// [`Exhausted`]: the body must wait, or be given up. The share is as it was.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let counted = bytes.saturating_sub(SMALL);
        if counted != self.held {
            self.budget.change(self.host, self.held, counted)?;
            self.held = counted;
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // What gets smaller is never refused.
        let _ = self.set(0);
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
    fn a_host_is_an_address_or_a_network_of_ipv6() {
        let of = |text: &str| neighbourhood(text.parse().unwrap()).to_string();
        assert_eq!(of("10.1.2.3"), "10.1.2.3");
        assert_eq!(of("::ffff:10.1.2.3"), "10.1.2.3");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
