//! A group of masters in ZooKeeper.
//!
//! It owns one session at a time for each [`Group::connect`]. It knows nothing of masters: see
//! [`crate::group`] for the rules, `contender` and `detector` for what is made of them.

use std::sync::Arc;
use std::time::Duration;

use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use tokio::time::Instant;
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::life::{LastSign, Life};
use super::{make_path, sort};
use crate::{
    group::{Changed, Connection, Group, GroupError, Membership, Session},
    url::ZooKeeperUrl,
};

/// The group below a path in ZooKeeper.
#[derive(Clone, Debug)]
pub struct ZooKeeperGroup {
    url: ZooKeeperUrl,
    /// What we ask for; the server may agree on less or more.
    timeout: Duration,
}

impl ZooKeeperGroup {
    /// Nothing is connected before [`Group::connect`].
    pub fn new(url: ZooKeeperUrl, timeout: Duration) -> Self {
        ZooKeeperGroup { url, timeout }
    }
}

impl Group for ZooKeeperGroup {
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Session>, GroupError>> {
        let Self { url, timeout } = self.clone();
        async move {
            let client = Arc::new(super::connect(&url, timeout).await?);
            let acls = super::group_acls(&url);
            make_path(&client, &url.path, acls).await?;
            let (path, alive, made) = (url.path, LastSign::default(), Arc::default());
            let session = ZooKeeperSession { client, path, acls, alive, made };
            Ok(Box::new(session) as Box<dyn Session>)
        }
        .boxed()
    }

    fn name(&self) -> String {
        self.url.to_string()
    }
}

struct ZooKeeperSession {
    client: Arc<Client>,
    path: String,
    acls: Acls<'static>,
    alive: LastSign,
    /// The transaction that has made the path, as it was when the members were seen last: below another one their numbers,
    /// and so their names, begin anew.
    made: Arc<Mutex<Option<i64>>>,
}

impl Session for ZooKeeperSession {
    fn timeout(&self) -> Duration {
        self.client.session_timeout()
    }

    fn connection(&self) -> BoxStream<'static, Connection> {
        stream::unfold(Life::new(&self.client, &self.path, &self.alive), Life::next).boxed()
    }

    fn join(&self, label: &str, data: Vec<u8>) -> BoxFuture<'static, Result<Membership, GroupError>> {
        let (client, acls, label) = (self.client.clone(), self.acls, label.to_owned());
        let (prefix, alive) = (format!("{}/{label}_", self.path), self.alive.clone());
        async move {
            // From now on it gives signs of life; also where the answer is lost and the node made.
            alive.lock().get_or_insert(Instant::now());
            let options = CreateMode::EphemeralSequential.with_acls(acls);
            let created = client.create(&prefix, &data, &options).await;
            let (_, sequence) = created.map_err(|error| match error {
                // Somebody has removed the group's path. Who connects makes it again.
                Error::NoNode => GroupError::Session(format!("there is no path for '{prefix}' any more")),
                error => sort(error, &format!("creating an ephemeral node at '{prefix}'")),
            })?;
            let name = format!("{label}_{sequence}");
            Ok(Membership { sequence: sequence.into_i64(), label, name })
        }
        .boxed()
    }

    fn joined(&self, label: &str) -> BoxFuture<'static, Result<Option<Membership>, GroupError>> {
        let (client, path, label) = (self.client.clone(), self.path.clone(), label.to_owned());
        async move {
            // The server that is asked may be another one than the one whose answer was lost, and behind it.
            client.sync(&path).await.map_err(|error| sort(error, &format!("syncing '{path}'")))?;
            let names = match client.list_children(&path).await {
                Err(Error::NoNode) => return Ok(None),
                listed => listed.map_err(|error| sort(error, &format!("listing '{path}'")))?,
            };
            let mut members: Vec<_> = names.iter().filter_map(|name| Membership::parse(name)).collect();
            members.retain(|member| member.label == label);
            members.sort();
            for member in members {
                let node = format!("{path}/{}", member.name);
                let stat = client.check_stat(&node).await;
                let stat = stat.map_err(|error| sort(error, &format!("reading '{node}'")))?;
                if stat.is_some_and(|stat| stat.ephemeral_owner == client.session_id().0) {
                    return Ok(Some(member));
                }
            }
            Ok(None)
        }
        .boxed()
    }

    fn members(&self) -> BoxFuture<'static, Result<(Vec<Membership>, Changed), GroupError>> {
        let (client, path, made) = (self.client.clone(), self.path.clone(), self.made.clone());
        async move {
            loop {
                let failed = |error| sort(error, &format!("listing '{path}'"));
                match client.get_and_watch_children(&path).await {
                    Ok((names, stat, watcher)) => {
                        let known = *made.lock().get_or_insert(stat.czxid);
                        if known != stat.czxid {
                            // Nobody has seen it missing, and a member that has the same name may be another one.
                            let again = format!("somebody has removed '{path}', and it was made again");
                            return Err(GroupError::Session(again));
                        }
                        let members: Vec<_> =
                            names.iter().filter_map(|name| Membership::parse(name)).collect();
                        return Ok((members, watcher.changed().map(drop).boxed()));
                    }
                    // Somebody has removed the group's path, and all members with it: until it is made again.
                    Err(Error::NoNode) => {
                        let (stat, watcher) = client.check_and_watch_stat(&path).await.map_err(failed)?;
                        if stat.is_none() {
                            *made.lock() = None;
                            return Ok((Vec::new(), watcher.changed().map(drop).boxed()));
                        }
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        .boxed()
    }

    fn data(&self, member: &Membership) -> BoxFuture<'static, Result<Option<Vec<u8>>, GroupError>> {
        let (client, path) = (self.client.clone(), format!("{}/{}", self.path, member.name));
        async move {
            match client.get_data(&path).await {
                Ok((data, _)) => Ok(Some(data)),
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(sort(error, &format!("reading '{path}'"))),
            }
        }
        .boxed()
    }
}
