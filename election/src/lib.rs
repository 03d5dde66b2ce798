//! Who leads: the actors by which masters contend for leadership, and by which everybody
//! (masters, agents, schedulers) finds the leader.
//!
//! There are three ways to elect. *Standalone*: one master, known by its address, leads for ever.
//! *ZooKeeper*: each master joins a group with an ephemeral sequential node that carries its
//! `MasterInfo` as JSON; the lowest sequence number leads, and a node vanishes with its session.
//! *etcd*: the same with a key under a lease; the lowest revision of creation leads. (The key's name
//! does not say which that is.)
//!
//! | module | what is there |
//! |---|---|
//! | [`url`] | [`MasterUrl`]: how a user names the masters |
//! | [`contender`] | the actor [`Contender`]: one master's candidacy |
//! | [`mod@file`] | a file that says where the masters are, and may change |
//! | [`detector`] | the actor [`Detector`]: tells who leads, at once and at each change |
//! | [`group`] | the seam: group membership as a trait, with its retry rules |
//! | [`zookeeper`] | the group in a real ZooKeeper |
//! | [`etcd`] | the group in a real etcd, and the client for it |
//! | [`simulated`] | the group in memory, with sessions that can be cut and expired |
//!
//! The crate knows nothing of what a leader does. Upstream: `src/zookeeper/`,
//! `src/master/contender/`, `src/master/detector/`.

pub mod contender;
pub mod detector;
pub mod etcd;
pub mod file;
pub mod group;
pub mod info;
pub mod simulated;
pub mod url;
pub mod zookeeper;

pub use contender::{CandidacyEnded, CandidacyObtained, Contend, Contender};
pub use detector::{Detector, LeaderChanged, StandaloneAppoint, WatchLeader};
pub use etcd::EtcdUrl;
pub use url::{MasterFile, MasterUrl, SharedGroup, UrlError, ZooKeeperUrl};

use std::time::Duration;

/// How long a session with ZooKeeper or etcd outlives its connection when nothing else is set
/// (`--zk_session_timeout`; upstream: `ZOOKEEPER_SESSION_TIMEOUT` in `src/master/constants.hpp`).
pub const DEFAULT_SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// The label of the nodes that carry a `MasterInfo` as JSON: `json.info_0000000012` in ZooKeeper,
/// `json.info_694d7ba8a3a7c00a` in etcd (upstream: `MASTER_INFO_JSON_LABEL`).
pub const MASTER_INFO_LABEL: &str = "json.info";
