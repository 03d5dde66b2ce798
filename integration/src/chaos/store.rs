//! The store that elects the masters and keeps their registry: an ensemble of three servers.

use crate::etcd::Etcd;
use crate::wait;
use crate::zookeeper::Ensemble;

/// How many servers there are: one may be away.
const SERVERS: usize = 3;

/// One of the stores that can elect.
#[derive(Debug)]
pub enum Store {
    /// `zk://`
    ZooKeeper(Ensemble),
    /// `etcd://`
    Etcd(Etcd),
}

impl Store {
    /// ZooKeeper; `None`, with the reason printed, where there is none.
    pub async fn zookeeper() -> Option<Self> {
        Ensemble::start().await.map(Self::ZooKeeper)
    }

    /// etcd; `None`, with the reason printed, where there is none.
    pub async fn etcd() -> Option<Self> {
        Etcd::ensemble(SERVERS).await.map(Self::Etcd)
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ZooKeeper(_) => "ZooKeeper",
            Self::Etcd(_) => "etcd",
        }
    }

    /// `--zk` of the masters.
    pub fn url(&self) -> String {
        match self {
            Self::ZooKeeper(ensemble) => ensemble.url(),
            Self::Etcd(etcd) => etcd.url(),
        }
    }

    /// The server that leads the others; waits for one.
    pub async fn leader(&self) -> usize {
        match self {
            Self::ZooKeeper(ensemble) => {
                wait::until("a leader of ZooKeeper", async || ensemble.leader().await.ok_or("nobody leads"))
                    .await
            }
            Self::Etcd(etcd) => etcd.leader().await,
        }
    }

    /// Waits until a server serves.
    pub async fn wait_for(&self, server: usize) {
        match self {
            Self::ZooKeeper(ensemble) => ensemble.wait_for(server).await,
            Self::Etcd(etcd) => etcd.wait_for(server).await,
        }
    }

    /// Kills a server at once.
    pub fn crash(&mut self, server: usize) {
        match self {
            Self::ZooKeeper(ensemble) => ensemble.crash(server),
            Self::Etcd(etcd) => etcd.process(server).crash(),
        }
    }

    /// Starts it again.
    pub fn restart(&mut self, server: usize) {
        match self {
            Self::ZooKeeper(ensemble) => ensemble.restart(server),
            Self::Etcd(etcd) => etcd.process(server).restart(),
        }
    }

    /// Stops a server in its tracks.
    pub fn freeze(&mut self, server: usize) {
        match self {
            Self::ZooKeeper(ensemble) => ensemble.freeze(server),
            Self::Etcd(etcd) => etcd.process(server).freeze(),
        }
    }

    /// Lets it go on.
    pub fn resume(&mut self, server: usize) {
        match self {
            Self::ZooKeeper(ensemble) => ensemble.resume(server),
            Self::Etcd(etcd) => etcd.process(server).resume(),
        }
    }
}
