//! etcd: the masters' group in it, and the thin client that this and the registry's storage speak to it with.
//!
//! | module | what is there |
//! |---|---|
//! | [`url`] | [`EtcdUrl`]: where etcd is, and below which path everything of a cluster stands |
//! | [`tls`] | [`EtcdTls`]: which files an `etcds://` URL names, and what is made of them |
//! | [`api`] | the messages of etcd's JSON gateway, as far as they are used |
//! | [`client`] | [`Client`]: asks one server after the other until one answers |
//! | `watch` | waits for a change behind a revision |
//! | [`group`] | [`EtcdGroup`]: membership by leases |
//!
//! What stands where, for `etcd://host/mesos`:
//!
//! | key | value | whose |
//! |---|---|---|
//! | `/mesos/json.info_<lease>`, the lease in 16 hexadecimal digits | a master's `MasterInfo` as JSON | the lease of that master: it goes with it |
//! | `/mesos/registry` | which write of the registry was the last | the leader's registrar |
//! | `/mesos/registry/<record>` | one record of the registry | the leader's registrar |
//!
//! etcd counts each change of anything by a *revision*; the revision in which a key was created orders the members, and
//! the lowest leads. The names do not: a lease that was granted later may be the smaller number. Who looks for the leader
//! without this crate asks for the keys in the order of their creation (`sort_target: CREATE`; `etcdctl get --prefix
//! /mesos/json.info_ --sort-by=CREATE`), and takes the first.

pub mod api;
pub mod client;
pub mod group;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod url;
mod watch;

pub use client::{Client, Code, EtcdError};
pub use group::{EtcdGroup, lease_of};
pub use tls::EtcdTls;
pub use url::{Credentials, EtcdUrl, EtcdUrlError};
