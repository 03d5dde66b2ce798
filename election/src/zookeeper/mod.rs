//! ZooKeeper, through the crate `zookeeper-client`: the one place of the project where a connection is not
//! libprocess's own.
//!
//! | module | what is there |
//! |---|---|
//! | [`group`] | [`ZooKeeperGroup`]: the group of masters, for contenders and detectors |
//! | `life` | whether a session lives, from the member's own point of view |
//! | [`client`] | [`ZooKeeperClient`]: reading, and guarded transactions, for whoever keeps more there than the group |
//!
//! Each of them has sessions of its own. Nothing here knows masters, or what the nodes hold.

pub mod client;
pub mod group;
mod life;

use std::time::Duration;

use libprocess::probe;
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, Permission};

pub use client::ZooKeeperClient;
pub use group::ZooKeeperGroup;

use crate::group::GroupError;
use crate::url::ZooKeeperUrl;

/// Where ZooKeeper listens unless told otherwise.
const DEFAULT_PORT: u16 = 2181;

/// How long a server may take to show whether it takes connections.
const PROBE: Duration = Duration::from_millis(300);

/// Its creator may do everything, everyone may read (upstream: `EVERYONE_READ_CREATOR_ALL`).
static READ_CREATOR_ALL: [Acl; 2] =
    [Acl::new_const(Permission::READ, "world", "anyone"), Acl::new_const(Permission::ALL, "auth", "")];

/// Starts a session.
async fn connect(url: &ZooKeeperUrl, timeout: Duration) -> Result<Client, GroupError> {
    let mut connector = Client::connector().with_session_timeout(timeout);
    if let Some(credentials) = &url.credentials {
        connector = connector.with_auth("digest", credentials.as_bytes());
    }
    match connector.connect(&url.servers).await {
        Ok(client) => Ok(client),
        // The client says no more than that, whatever the cause.
        Err(error @ Error::Timeout) => {
            let obstacles = obstacles(&url.servers).await;
            Err(GroupError::Retry(format!("ZooKeeper, connecting: {error} ({obstacles})")))
        }
        Err(error) => Err(sort(error, &format!("connecting to '{}'", url.servers))),
    }
}

/// What stands in the way of a connection to each of the servers: a name that leads nowhere, say, or a port where nobody
/// listens.
async fn obstacles(servers: &str) -> String {
    let mut told = Vec::new();
    for server in servers.split(',') {
        let has_port = server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { server.to_owned() } else { format!("{server}:{DEFAULT_PORT}") };
        let obstacle = match probe(&address, PROBE).await {
            Ok(()) => "takes connections, but gives no session".to_owned(),
            Err(error) => error.to_string(),
        };
        told.push(format!("{address}: {obstacle}"));
    }
    told.join("; ")
}

/// Who may do what with the group's nodes. With credentials only their owner may write; reading stays open to
/// everyone, so that frameworks can find the leader.
fn group_acls(url: &ZooKeeperUrl) -> Acls<'static> {
    if url.credentials.is_some() { Acls::new(&READ_CREATOR_ALL) } else { Acls::anyone_all() }
}

/// Makes the path of the group. An operator may have made it for us, below a node where we may not write: so look first.
async fn make_path(client: &Client, path: &str, acls: Acls<'static>) -> Result<(), GroupError> {
    let doing = |error| sort(error, &format!("creating '{path}'"));
    if client.check_stat(path).await.map_err(doing)?.is_some() {
        return Ok(());
    }
    client.mkdir(path, &CreateMode::Persistent.with_acls(acls)).await.map_err(doing)
}

/// What an error of ZooKeeper means for us (upstream: `ZooKeeper::retryable`).
fn sort(error: Error, doing: &str) -> GroupError {
    let message = format!("ZooKeeper, {doing}: {error}");
    match error {
        Error::SessionExpired | Error::SessionMoved | Error::ClientClosed => GroupError::Session(message),
        Error::AuthFailed | Error::NoAuth | Error::InvalidAcl | Error::BadArguments(_) => {
            GroupError::Fatal(message)
        }
        _ => GroupError::Retry(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way_of_a_connection_is_told_of_each_server() {
        libprocess::run(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mute = listener.local_addr().unwrap();
            let told = obstacles(&format!("127.0.0.1:1,nowhere.invalid,{mute}")).await;
            assert!(told.starts_with("127.0.0.1:1: Connection refused"), "{told}");
            assert!(told.contains("; nowhere.invalid:2181: "), "{told}");
            assert!(told.ends_with(&format!("; {mute}: takes connections, but gives no session")), "{told}");
        });
    }
}
