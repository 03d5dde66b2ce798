//! The registry in the ZooKeeper that elects the leader: one node for each record.
//!
//! ```text
//! /mesos                         the group: the masters' ephemeral nodes
//!   json.info_0000000012         the leader's, which guards each of its writes
//!   registry                     the stamp: who wrote last
//!     00 ... ff                  buckets
//!       agent%2F1f0c...-S7       a record, its key escaped
//! ```
//!
//! Buckets, because ZooKeeper answers the list of a node's children in at most 1 MB, which 50,000 agents exceed.
//!
//! Each transaction checks that the leader's node in the group is there, so that a deposed leader's write fails. And
//! it moves the stamp on from the version that this master knows. Both together make an answer that was lost
//! harmless: the same transaction is made again, until there is an answer. If it had happened, the stamp is found with
//! this transaction's number, and all is well; if the first one is only late, it fails when it arrives. (The
//! registrar's time-out ends the tries, and the master with them.)
//!
//! With a user and a password in the URL the registry's nodes can be read by that user only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use election::ZooKeeperUrl;
use election::group::{GroupError, Membership};
use election::zookeeper::ZooKeeperClient;
use election::zookeeper::client::{Step, TransactionError};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use libprocess::Node;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::sleep;
use tracing::warn;

use super::batches::{Limits, Unfinished, settled};
use super::{Change, Record, Storage, StorageError};

/// ZooKeeper takes requests of less than 1 MB (`jute.maxbuffer`), and all other writes wait for a long one.
const BYTES: usize = 700 * 1024;
const CHANGES: usize = 500;
/// What a step of a transaction takes beside its path and its data.
const STEP: usize = 100;

/// As many as two hexadecimal digits name.
const BUCKETS: u32 = 256;

/// Requests that are on their way at the same time while everything is read.
const IN_FLIGHT: usize = 512;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// The version of what is described at the top of this file.
const FORMAT: u32 = 1;

/// What the node `registry` holds: who wrote last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// See [`FORMAT`].
    format: u32,
    /// Each storage is another writer, also that of the same master after a restart.
    writer: String,
    /// Counts its transactions.
    transaction: u64,
}

/// See the module.
pub struct ZooKeeper {
    place: String,
    root: String,
    access: Arc<Mutex<Access>>,
}

impl ZooKeeper {
    /// The registry beside the group at `url`. Nothing is connected before [`Storage::load`].
    pub fn new(node: &Node, url: ZooKeeperUrl, session_timeout: Duration) -> Self {
        let root = format!("{}/registry", url.path);
        let place = format!("{url}/registry");
        let access = Access {
            stamp: Stamp { format: FORMAT, writer: node.random().uuid().to_string(), transaction: 0 },
            url,
            session_timeout,
            root: root.clone(),
            client: None,
            leader: None,
            known: None,
            left: Unfinished::default(),
        };
        Self { place, root, access: Arc::new(Mutex::new(access)) }
    }
}

impl Storage for ZooKeeper {
    fn name(&self) -> String {
        self.place.clone()
    }

    fn place_of(&self, key: &str) -> String {
        format!("{}, node '{}'", self.place, node_of(&self.root, key))
    }

    fn load(&mut self, leader: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
        let (place, access) = (self.place.clone(), Arc::clone(&self.access));
        async move { access.lock().await.load(leader).await.map_err(|reason| StorageError { place, reason }) }
            .boxed()
    }

    fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
        let (place, access) = (self.place.clone(), Arc::clone(&self.access));
        async move { access.lock().await.store(changes).await.map_err(|reason| StorageError { place, reason }) }
            .boxed()
    }
}

/// Why a try has not worked.
enum Failure {
    /// The connection or the session was lost.
    Again(String),
    /// Another try cannot help.
    End(String),
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Retry(reason) | GroupError::Session(reason) => Self::Again(reason),
            GroupError::Fatal(reason) => Self::End(reason),
        }
    }
}

/// What one storage knows of the registry. It is the only writer while it knows it.
struct Access {
    url: ZooKeeperUrl,
    session_timeout: Duration,
    /// The path of the node `registry`.
    root: String,
    client: Option<ZooKeeperClient>,
    /// The path of the leader's node in the group.
    leader: Option<String>,
    /// Of this storage's latest transaction.
    stamp: Stamp,
    /// What is there, once it has been read.
    known: Option<Known>,
    /// What the last leader has left undone.
    left: Unfinished,
}

/// What is there.
struct Known {
    /// The version of the node `registry`; `None` if there is none.
    version: Option<i32>,
    /// The buckets that are missing.
    missing: Vec<String>,
    /// The keys of the records.
    keys: BTreeSet<String>,
}

/// Reading.
impl Access {
    async fn load(&mut self, leader: Option<Membership>) -> Result<Vec<Record>, String> {
        self.leader = leader.map(|node| format!("{}/{}", self.url.path, node.name));
        loop {
            match self.read_all().await {
                Ok(Some(records)) => {
                    let (records, left) = settled(records)?;
                    self.left = left;
                    return Ok(records);
                }
                Ok(None) => {
                    warn!(registry = %self.root, "it was changed while it was read, reading it again")
                }
                Err(Failure::Again(error)) => warn!(%error, "cannot read the registry, trying again"),
                Err(Failure::End(reason)) => return Err(reason),
            }
            sleep(PAUSE).await;
        }
    }

    /// The session; a new one if there is none any more.
    async fn client(&mut self) -> Result<ZooKeeperClient, Failure> {
        match &self.client {
            Some(client) if !client.is_over() => Ok(client.clone()),
            _ => {
                let client = ZooKeeperClient::connect(&self.url, self.session_timeout).await?;
                Ok(self.client.insert(client).clone())
            }
        }
    }

    /// Everything as it was at one moment; `None` if somebody wrote meanwhile.
    async fn read_all(&mut self) -> Result<Option<Vec<Record>>, Failure> {
        let client = self.client().await?;
        // After this nothing is missed that an earlier leader was told is stored.
        client.sync(&self.root).await?;
        if let Some(leader) = &self.leader
            && client.read(leader).await?.is_none()
        {
            return Err(Failure::End(deposed(leader)));
        }
        let before = self.read_stamp(&client).await?.map(|(_, version)| version);
        let (missing, nodes) = self.list_all(&client).await?;
        let reading = nodes.into_iter().map(|(key, path)| {
            let client = client.clone();
            async move { Ok::<_, Failure>(client.read(&path).await?.map(|(value, _)| (key, value))) }
        });
        let reading = stream::iter(reading.collect::<Vec<_>>()).buffered(IN_FLIGHT);
        let read: Vec<Option<Record>> = reading.try_collect().await?;
        let version = self.read_stamp(&client).await?.map(|(_, version)| version);
        // One that was listed and is not there any more says that somebody writes, too.
        let Some(records) = read.into_iter().collect::<Option<Vec<Record>>>() else { return Ok(None) };
        if before != version {
            return Ok(None);
        }
        let keys = records.iter().map(|(key, _)| key.clone()).collect();
        self.known = Some(Known { version, missing, keys });
        Ok(Some(records))
    }

    /// The paths of the buckets that are missing; key and path of each record.
    #[allow(clippy::type_complexity, reason = "two lists, of which one is of pairs")]
    async fn list_all(
        &self,
        client: &ZooKeeperClient,
    ) -> Result<(Vec<String>, Vec<(String, String)>), Failure> {
        let buckets: Vec<String> = (0..BUCKETS).map(bucket_name).collect();
        let found: BTreeSet<String> = client.list(&self.root).await?.into_iter().collect();
        if let Some(foreign) = found.iter().find(|name| !buckets.contains(name)) {
            return Err(foreign_node(&format!("{}/{foreign}", self.root)));
        }
        let missing = buckets.iter().filter(|name| !found.contains(*name));
        let missing = missing.map(|name| format!("{}/{name}", self.root)).collect();
        let listing = found.into_iter().map(|name| {
            let (client, path) = (client.clone(), format!("{}/{name}", self.root));
            async move { Ok::<_, Failure>((client.list(&path).await?, path)) }
        });
        let listed = stream::iter(listing.collect::<Vec<_>>()).buffered(IN_FLIGHT);
        let listed: Vec<(Vec<String>, String)> = listed.try_collect().await?;
        let mut nodes = Vec::new();
        for (names, bucket) in listed {
            for name in names {
                let path = format!("{bucket}/{name}");
                match unescape(&name).filter(|key| node_of(&self.root, key) == path) {
                    Some(key) => nodes.push((key, path)),
                    None => return Err(foreign_node(&path)),
                }
            }
        }
        Ok((missing, nodes))
    }

    /// Who wrote last, and the version of the node that says so; `None` if nobody wrote yet.
    async fn read_stamp(&self, client: &ZooKeeperClient) -> Result<Option<(Stamp, i32)>, Failure> {
        let Some((data, version)) = client.read(&self.root).await? else { return Ok(None) };
        match serde_json::from_slice::<Stamp>(&data) {
            Ok(stamp) if stamp.format == FORMAT => Ok(Some((stamp, version))),
            Ok(Stamp { format, .. }) => Err(Failure::End(format!(
                "node '{}': the registry has format {format}, but this version knows only {FORMAT}",
                self.root
            ))),
            Err(error) => Err(Failure::End(format!(
                "node '{}' is not a registry ({error}); choose another path in the URL, or remove it",
                self.root
            ))),
        }
    }
}

/// Writing.
impl Access {
    async fn store(&mut self, changes: Vec<Change>) -> Result<(), String> {
        let limits = Limits {
            changes: CHANGES,
            bytes: BYTES,
            // The path's length beside that of the key.
            overhead: STEP + self.root.len() + "/ff/".len(),
            // See `escape`.
            key_byte: "%2F".len(),
        };
        let left = std::mem::take(&mut self.left);
        for batch in left.batches(changes, limits).map_err(|error| error.to_string())? {
            self.transact(batch).await?;
        }
        Ok(())
    }

    /// Makes one transaction, and tries until it is known to have happened, or to be impossible.
    async fn transact(&mut self, batch: Vec<Change>) -> Result<(), String> {
        let Some(mut known) = self.known.take() else { return Err("it has not been read yet".to_owned()) };
        self.stamp.transaction += 1;
        loop {
            match self.try_transaction(&mut known, &batch).await {
                Ok(version) => {
                    known.version = Some(version);
                    for Change { key, value } in batch {
                        match value {
                            Some(_) => known.keys.insert(key),
                            None => known.keys.remove(&key),
                        };
                    }
                    self.known = Some(known);
                    return Ok(());
                }
                Err(Failure::Again(error)) => {
                    warn!(%error, "does not know whether the registry was written, trying again");
                    sleep(PAUSE).await;
                }
                // What is there is not known any more.
                Err(Failure::End(reason)) => return Err(reason),
            }
        }
    }

    /// The new version of the stamp's node.
    async fn try_transaction(&mut self, known: &mut Known, batch: &[Change]) -> Result<i32, Failure> {
        let client = self.client().await?;
        let version = self.prepare(&client, known).await?;
        let guards: Vec<Step> =
            self.leader.iter().map(|leader| Step::Exists { path: leader.clone() }).collect();
        let data = encoded(&self.stamp)?;
        let stamping = Step::Set { path: self.root.clone(), data, version: Some(version) };
        let stamp = guards.len();
        let steps = [guards, vec![stamping], self.steps(known, batch)].concat();
        match client.transaction(&steps).await {
            Ok(versions) => {
                versions.first().copied().ok_or_else(|| Failure::Again("an answer without a version".into()))
            }
            Err(TransactionError::Refused { step, .. }) if step < stamp => {
                Err(Failure::End(deposed(steps[step].path())))
            }
            Err(TransactionError::Refused { step, .. }) if step == stamp => self.whose_stamp(&client).await,
            Err(TransactionError::Refused { reason, .. }) => {
                Err(Failure::End(format!("{reason}: somebody else changes the registry's nodes")))
            }
            Err(TransactionError::Fatal(reason)) => Err(Failure::End(reason)),
            Err(TransactionError::Unknown(reason)) => Err(Failure::Again(reason)),
        }
    }

    /// Makes the nodes that all records need, and gives the version that the stamp must have.
    async fn prepare(&self, client: &ZooKeeperClient, known: &mut Known) -> Result<i32, Failure> {
        let version = match known.version {
            Some(version) => version,
            None => {
                client.make_path().await?;
                // Nobody has written yet: the first stamp is of no writer.
                let first = Stamp { format: FORMAT, writer: String::new(), transaction: 0 };
                client.ensure(&self.root, &encoded(&first)?).await?;
                *known.version.insert(0)
            }
        };
        let making = known.missing.iter().map(|path| client.ensure(path, &[]));
        futures::future::try_join_all(making).await?;
        known.missing.clear();
        Ok(version)
    }

    fn steps(&self, known: &Known, batch: &[Change]) -> Vec<Step> {
        let step = |Change { key, value }: &Change| {
            let path = node_of(&self.root, key);
            match (value.clone(), known.keys.contains(key)) {
                (Some(data), false) => Some(Step::Create { path, data }),
                (Some(data), true) => Some(Step::Set { path, data, version: None }),
                (None, true) => Some(Step::Delete { path }),
                (None, false) => None,
            }
        };
        batch.iter().filter_map(step).collect()
    }

    /// The stamp was moved on already: by an earlier try of this transaction, or by another master.
    async fn whose_stamp(&self, client: &ZooKeeperClient) -> Result<i32, Failure> {
        client.sync(&self.root).await?;
        match self.read_stamp(client).await? {
            Some((stamp, version)) if stamp == self.stamp => Ok(version),
            _ => Err(Failure::End(
                "another master has written the registry since this one read it: this master does not lead any \
                 more"
                .to_owned(),
            )),
        }
    }
}

fn encoded(stamp: &Stamp) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(stamp).map_err(|error| Failure::End(error.to_string()))
}

fn deposed(leader: &str) -> String {
    format!("the node '{leader}' has left the group of masters: this master does not lead any more")
}

fn foreign_node(path: &str) -> Failure {
    Failure::End(format!("node '{path}' is none of the registry's; remove it, if nobody needs it"))
}

fn bucket_name(number: u32) -> String {
    format!("{number:02x}")
}

/// The path of a record's node. It must never change, or records would not be found again.
fn node_of(root: &str, key: &str) -> String {
    // 32 bits of FNV-1a.
    let hash =
        key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{root}/{}/{}", bucket_name(hash % BUCKETS), escape(key))
}

/// A key as one name: without slashes, and without the characters that ZooKeeper does not allow in names.
fn escape(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 2);
    for letter in key.chars() {
        let allowed = matches!(letter, ' '..='~' | '\u{a0}'..='\u{d7ff}') && !matches!(letter, '/' | '%');
        if allowed {
            name.push(letter);
        } else {
            let mut bytes = [0; 4];
            let encoded = letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}"));
            name.extend(encoded);
        }
    }
    name
}

fn unescape(name: &str) -> Option<String> {
    percent_encoding::percent_decode_str(name).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_has_its_place_for_ever() {
        assert_eq!(node_of("/m/registry", "master"), "/m/registry/33/master");
        assert_eq!(node_of("/m/registry", "quota/a/b%"), "/m/registry/61/quota%2Fa%2Fb%25");
    }

    #[test]
    fn agents_are_spread_over_all_buckets() {
        let paths =
            (0..50_000).map(|n| node_of("", &format!("agent/3e9b4b1c-2b0e-4b0e-9d0e-0123456789ab-S{n}")));
        let mut counts = std::collections::BTreeMap::<String, u32>::new();
        for path in paths {
            *counts.entry(path[1..3].to_owned()).or_default() += 1;
        }
        assert_eq!(counts.len(), 256);
        assert!(counts.values().all(|count| (100..300).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn a_name_leads_back_to_its_key(key in any::<String>()) {
            let name = escape(&key);
            prop_assert!(!name.contains('/') && !name.chars().any(char::is_control));
            prop_assert_eq!(unescape(&name), Some(key));
        }
    }
}
