//! The connections that others opened to a node, and which of them goes when there are too many.
//!
//! Each has a [`Visit`], which says what it is doing ([`Activity`]) and learns when it must go. Nobody goes for whom an
//! answer or a stream is being made. Of the others, the host with most connections gives one up: the one that has asked
//! nothing for the longest time. So whoever opens thousands closes their own. Lives on the thread that accepts; it
//! knows no socket.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::budget::neighbourhood;
use crate::limits::Limits;

/// All connections of one kind.
#[derive(Debug, Default)]
struct Members {
    by_host: BTreeMap<IpAddr, BTreeMap<u64, Rc<Activity>>>,
    count: usize,
}

impl Members {
    fn add(&mut self, host: IpAddr, number: u64, activity: Rc<Activity>) {
        self.by_host.entry(host).or_default().insert(number, activity);
        self.count += 1;
    }

    fn remove(&mut self, host: IpAddr, number: u64) {
        let Some(of_host) = self.by_host.get_mut(&host) else { return };
        if of_host.remove(&number).is_some() {
            self.count -= 1;
        }
        if of_host.is_empty() {
            self.by_host.remove(&host);
        }
    }

    /// Which one goes; none if all are busy.
    fn least_missed(&self) -> Option<(IpAddr, u64)> {
        let mut hosts: Vec<_> = self.by_host.iter().collect();
        hosts.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
        hosts.into_iter().find_map(|(host, members)| {
            let waiting = members.iter().filter(|(_, activity)| !activity.is_busy.get());
            let oldest = waiting.min_by_key(|(_, activity)| activity.last_use.get())?;
            Some((*host, *oldest.0))
        })
    }

    /// Makes room for one. False if there is none.
    fn make_room(&mut self, limit: usize) -> bool {
        if self.count < limit {
            return true;
        }
        let Some((host, number)) = self.least_missed() else { return false };
        if let Some(activity) = self.by_host.get(&host).and_then(|members| members.get(&number)) {
            activity.leave.notify_one();
        }
        self.remove(host, number);
        true
    }
}

/// The connections of a node.
#[derive(Debug)]
pub(crate) struct Crowd {
    limits: Limits,
    clients: RefCell<Members>,
    peers: RefCell<Members>,
    /// Counts uses: what was used later has a higher number.
    uses: Rc<Cell<u64>>,
}

impl Crowd {
    pub(crate) fn new(limits: Limits) -> Rc<Crowd> {
        Rc::new(Crowd { limits, clients: RefCell::default(), peers: RefCell::default(), uses: Rc::default() })
    }

    /// Takes in a connection, a client's until [`Visit::becomes_peer`]. `None` if there is no room for it.
    pub(crate) fn admit(self: &Rc<Crowd>, from: IpAddr) -> Option<Visit> {
        let host = neighbourhood(from);
        let mut clients = self.clients.borrow_mut();
        if !clients.make_room(self.limits.clients) {
            return None;
        }
        let activity = Rc::new(Activity::new(Rc::clone(&self.uses)));
        let number = activity.last_use.get();
        clients.add(host, number, Rc::clone(&activity));
        Some(Visit { crowd: Rc::clone(self), host, number, is_peer: false, activity })
    }
}

/// One connection's stay. Dropping it makes room.
#[derive(Debug)]
pub(crate) struct Visit {
    crowd: Rc<Crowd>,
    host: IpAddr,
    number: u64,
    is_peer: bool,
    activity: Rc<Activity>,
}

impl Visit {
    /// What the connection is doing.
    pub(crate) fn activity(&self) -> &Rc<Activity> {
        &self.activity
    }

    /// It is a node's. False if there are too many of those.
    pub(crate) fn becomes_peer(&mut self) -> bool {
        if !self.crowd.peers.borrow_mut().make_room(self.crowd.limits.peers) {
            return false;
        }
        self.crowd.clients.borrow_mut().remove(self.host, self.number);
        self.is_peer = true;
        self.crowd.peers.borrow_mut().add(self.host, self.number, Rc::clone(&self.activity));
        true
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let members = if self.is_peer { &self.crowd.peers } else { &self.crowd.clients };
        members.borrow_mut().remove(self.host, self.number);
    }
}

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Something is being done for it.
    is_busy: Cell<bool>,
    /// When something was done for it last, or it came.
    last_use: Cell<u64>,
    uses: Rc<Cell<u64>>,
    leave: Notify,
}

impl Activity {
    pub(crate) fn new(uses: Rc<Cell<u64>>) -> Activity {
        let activity =
            Activity { is_busy: Cell::new(false), last_use: Cell::new(0), uses, leave: Notify::new() };
        activity.rest();
        activity
    }

    /// Something is to be done for it.
    pub(crate) fn work(&self) {
        self.is_busy.set(true);
    }

    /// It is done; the next request is the other side's turn.
    pub(crate) fn rest(&self) {
        self.is_busy.set(false);
        self.uses.set(self.uses.get() + 1);
        self.last_use.set(self.uses.get());
    }

    /// Ends when the connection must go: there are too many.
    pub(crate) async fn must_leave(&self) {
        self.leave.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn crowd(clients: usize, peers: usize) -> Rc<Crowd> {
        Crowd::new(Limits { clients, peers, ..Limits::default() })
    }

    fn host(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn must_leave(visit: &Visit) -> bool {
        visit.activity.must_leave().now_or_never().is_some()
    }

    #[test]
    fn the_host_with_most_gives_up_what_it_used_least() {
        let crowd = crowd(4, 1);
        let other = crowd.admit(host(1)).unwrap();
        let mine: Vec<Visit> = (0..3).map(|_| crowd.admit(host(2)).unwrap()).collect();
        // The first was used since, the second is busy.
        mine[0].activity.work();
        mine[0].activity.rest();
        mine[1].activity.work();
        let new = crowd.admit(host(3)).unwrap();
        assert_eq!(
            [&other, &mine[0], &mine[1], &mine[2], &new].map(must_leave),
            [false, false, false, true, false]
        );
        assert_eq!(crowd.clients.borrow().count, 4);
        drop((mine, new, other));
        assert_eq!((crowd.clients.borrow().count, crowd.clients.borrow().by_host.len()), (0, 0));
    }

    #[test]
    fn nobody_goes_who_is_busy() {
        let crowd = crowd(1, 1);
        let visit = crowd.admit(host(1)).unwrap();
        visit.activity.work();
        assert!(crowd.admit(host(2)).is_none());
        visit.activity.rest();
        assert!(crowd.admit(host(2)).is_some());
        assert!(must_leave(&visit));
    }

    #[test]
    fn nodes_and_clients_do_not_crowd_each_other_out() {
        let crowd = crowd(1, 1);
        let mut peer = crowd.admit(host(1)).unwrap();
        assert!(peer.becomes_peer());
        let client = crowd.admit(host(1)).unwrap();
        let mut next = crowd.admit(host(1)).unwrap();
        assert_eq!((must_leave(&peer), must_leave(&client)), (false, true));
        assert!(next.becomes_peer());
        assert!(must_leave(&peer));
        next.activity.work();
        let mut last = crowd.admit(host(1)).unwrap();
        assert!(!last.becomes_peer());
        drop((peer, client, next, last));
        assert_eq!((crowd.clients.borrow().count, crowd.peers.borrow().count), (0, 0));
    }
}
