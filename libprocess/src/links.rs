//! Who watches whom: the node's table of links. Plain data; the node locks it and delivers what it says.
//!
//! A link is told of once and is gone then; linking twice is linking once. What a break means is said at
//! [`crate::Context::link`].

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::few::FewSet;
use crate::pid::Pid;

/// Links of the actors of one node, by both ends.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Watched pid to the local actors that watch it.
    watchers: BTreeMap<Pid, FewSet<Pid>>,
    /// Local actor to the pids that it watches.
    watched: BTreeMap<Pid, FewSet<Pid>>,
    /// Watched pids of other nodes by address, since connections belong to addresses.
    remote: BTreeMap<SocketAddr, FewSet<Pid>>,
}

impl Links {
    /// Adds a link. `remote` says whether the target lives on another node.
    pub(crate) fn link(&mut self, watcher: &Pid, target: &Pid, remote: bool) {
        self.watchers.entry(target.clone()).or_default().insert(watcher.clone());
        self.watched.entry(watcher.clone()).or_default().insert(target.clone());
        if remote {
            self.remote.entry(target.address()).or_default().insert(target.clone());
        }
    }

    /// Removes a link; false if there was none.
    pub(crate) fn unlink(&mut self, watcher: &Pid, target: &Pid) -> bool {
        remove(&mut self.watched, watcher, target);
        let removed = remove(&mut self.watchers, target, watcher);
        if !self.watchers.contains_key(target) {
            remove(&mut self.remote, &target.address(), target);
        }
        removed
    }

    /// An actor of this node ended: who watched it, in order. Its own links are gone, too.
    pub(crate) fn ended(&mut self, pid: &Pid) -> Vec<Pid> {
        for target in self.watched.remove(pid).unwrap_or_default() {
            self.unlink(pid, &target);
        }
        self.take_watchers(pid)
    }

    /// The connection to a node closed: pairs of watcher and watched.
    pub(crate) fn closed(&mut self, address: SocketAddr) -> Vec<(Pid, Pid)> {
        let mut broken = Vec::new();
        for target in self.remote.remove(&address).unwrap_or_default() {
            for watcher in self.take_watchers(&target) {
                broken.push((watcher, target.clone()));
            }
        }
        broken
    }

    /// Whether anyone watches an actor of that node.
    pub(crate) fn watches(&self, address: SocketAddr) -> bool {
        self.remote.contains_key(&address)
    }

    fn take_watchers(&mut self, target: &Pid) -> Vec<Pid> {
        let watchers: Vec<Pid> = self.watchers.remove(target).unwrap_or_default().into_iter().collect();
        for watcher in &watchers {
            remove(&mut self.watched, watcher, target);
        }
        watchers
    }
}

fn remove<K: Ord, V: Ord>(map: &mut BTreeMap<K, FewSet<V>>, key: &K, value: &V) -> bool {
    let Some(set) = map.get_mut(key) else { return false };
    let removed = set.remove(value);
    if set.is_empty() {
        map.remove(key);
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(text: &str) -> Pid {
        text.parse().unwrap()
    }

    fn is_empty(links: &Links) -> bool {
        links.watchers.is_empty() && links.watched.is_empty() && links.remote.is_empty()
    }

    #[test]
    fn an_actor_that_ends_tells_its_watchers_and_forgets_whom_it_watched() {
        let (a, b, c) = (pid("a@127.0.0.1:1"), pid("b@127.0.0.1:1"), pid("c@127.0.0.1:1"));
        let mut links = Links::default();
        links.link(&a, &b, false);
        links.link(&c, &b, false);
        links.link(&b, &c, false);
        assert_eq!(links.ended(&b), [a, c.clone()]);
        assert_eq!(links.ended(&c), []);
        assert!(is_empty(&links));
    }

    #[test]
    fn a_closed_connection_breaks_all_links_to_its_node_and_no_others() {
        let (a, near) = (pid("a@127.0.0.1:1"), pid("b@127.0.0.1:1"));
        let (x, y, z) = (pid("x@127.0.0.1:2"), pid("y@127.0.0.1:2"), pid("z@127.0.0.1:3"));
        let mut links = Links::default();
        links.link(&a, &near, false);
        for far in [&x, &y, &z] {
            links.link(&a, far, true);
        }
        assert_eq!(links.closed(x.address()), vec![(a.clone(), x.clone()), (a.clone(), y)]);
        assert_eq!(links.closed(x.address()), vec![]);
        assert!(links.unlink(&a, &z));
        assert!(!links.unlink(&a, &z));
        assert!(!links.watches(z.address()));
        assert!(links.unlink(&a, &near));
        assert!(is_empty(&links));
    }
}
