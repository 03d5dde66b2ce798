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

use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, Permission};

pub use client::ZooKeeperClient;
pub use group::ZooKeeperGroup;

use crate::group::GroupError;
use crate::url::ZooKeeperUrl;

/// Its creator may do everything, everyone may read (upstream: `EVERYONE_READ_CREATOR_ALL`).
static READ_CREATOR_ALL: [Acl; 2] =
    [Acl::new_const(Permission::READ, "world", "anyone"), Acl::new_const(Permission::ALL, "auth", "")];

/// Starts a session.
async fn connect(url: &ZooKeeperUrl, timeout: std::time::Duration) -> Result<Client, GroupError> {
    let mut connector = Client::connector().with_session_timeout(timeout);
    if let Some(credentials) = &url.credentials {
        connector = connector.with_auth("digest", credentials.as_bytes());
    }
    connector.connect(&url.servers).await.map_err(|error| sort(error, "connecting"))
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
