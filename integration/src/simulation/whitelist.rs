//! The agents that may be offered: an operator says so in the file that `--whitelist` names for every master. A host that
//! is left out is offered to nobody, once the masters have noticed (part of [`Invariant::OutOfServiceIsQuiet`]).

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use libprocess::disk::{Disk as _, Durability};
use libprocess::simulation::{Mount, Network, SimulatedDisk};
use master::cluster::{Offer, Snapshot};

use super::cluster::Cluster;
use super::invariant::Invariant;

/// Where the file is. There is one for all masters, as if it were copied to them at once.
pub const FILE: &str = "/etc/mesos/agents";
/// Masters look every 5 s, stand still for up to 3 s before it is noticed, and what their allocators have decided before
/// may be on its way.
const NOTICED: Duration = Duration::from_secs(10);

/// The file, and what it says.
pub struct Whitelist {
    disk: SimulatedDisk,
    hosts: BTreeSet<String>,
    left_out: RefCell<BTreeSet<String>>,
    since: Cell<Duration>,
}

impl Whitelist {
    /// A file with all of these hosts.
    pub fn new(seed: u64, network: &Network, hosts: impl Iterator<Item = String>) -> Whitelist {
        let disk = SimulatedDisk::new(seed, network.now());
        let list = Whitelist {
            disk,
            hosts: hosts.collect(),
            left_out: RefCell::default(),
            since: Cell::new(Duration::ZERO),
        };
        list.leave_out(BTreeSet::new(), Duration::ZERO);
        list
    }

    /// All hosts, listed or not.
    pub fn hosts(&self) -> impl Iterator<Item = &String> {
        self.hosts.iter()
    }

    /// The disk, for a master that starts.
    pub fn mount(&self) -> Mount {
        self.disk.mount()
    }

    /// From now on the file has all hosts but these.
    pub fn leave_out(&self, hosts: BTreeSet<String>, now: Duration) {
        let lines: String = self.hosts.difference(&hosts).map(|host| format!("{host}\n")).collect();
        let (disk, file) = (self.disk.mount(), Path::new(FILE));
        let written = disk
            .create_directory(file.parent().unwrap_or(file), Durability::Host)
            .and_then(|()| disk.write(file, lines.as_bytes(), Durability::Host));
        // Nobody breaks this disk.
        debug_assert!(written.is_ok(), "{written:?}");
        self.left_out.replace(hosts);
        self.since.set(now);
    }

    /// Looks at offers that are new with a master that has not stood still since then.
    pub fn look(
        &self,
        cluster: &Cluster,
        snapshot: &Snapshot,
        new: &[&Offer],
        steadily: Duration,
        now: Duration,
    ) {
        let left_out = self.left_out.borrow();
        if left_out.is_empty() || now - self.since.get().max(steadily) < NOTICED {
            return;
        }
        for offer in new {
            let Some(agent) = snapshot.agents.get(&offer.agent) else { continue };
            let host = &agent.info.hostname;
            cluster.truth.count("offers while hosts are not listed");
            if left_out.contains(host) {
                let text = format!("{host} is not listed, and offered to {}", offer.framework);
                cluster.truth.violation(Invariant::OutOfServiceIsQuiet, text);
            }
        }
    }
}
