//! The etcd that elects the leader keeps the registry, too: one key for each record, `<path>/registry/<record>`.
//!
//! Every write is a transaction that compares two things. The leader's own node in the group must still be there, with
//! the revision in which it was created and under its lease: so a deposed leader's write fails. And the *mark*, the key
//! `<path>/registry`, must be as this master has left it; each write sets it to a text that no other write has. A
//! request whose answer was lost is sent again, perhaps to another server, and the first one may still arrive, late:
//! the mark makes the second one of them fail, and shows which of them it was that came first.
//!
//! etcd remembers every revision until it is told to forget it. Who writes tells it from time to time, up to what was
//! current some minutes ago: others may use the same etcd and look back. It knows nothing of what the records hold.

use std::sync::Arc;
use std::time::Duration;

use election::etcd::api::{
    Compare, KeyValue, Operation, PutRequest, Range, RangeRequest, TxnRequest, TxnResponse,
};
use election::etcd::{Client, Code, EtcdError, EtcdUrl, lease_of};
use election::group::Membership;
use futures::FutureExt;
use futures::future::BoxFuture;
use libprocess::Node;
use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{info, warn};

use super::batches::{Limits, Unfinished, settled};
use super::{Change, Record, Storage, StorageError};

/// etcd takes 128 operations in one transaction (its `--max-txn-ops`); one of them is the mark.
const CHANGES: usize = 127;

/// etcd takes 1.5 MiB in one request (its `--max-request-bytes`).
const BYTES: usize = 1 << 20;

/// What a change takes beside the name of its record and its value: the lengths in front of them, and the operation.
const OVERHEAD: usize = 64;

/// So many records are read at once, if etcd can answer that: an agent's may have 256 KiB.
const PAGE: i64 = 1000;

/// So many at least.
const SMALLEST_PAGE: i64 = 50;

/// How long one server may take before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(3);

/// After no server has answered. The registrar says for how long this may go on (`--registry_store_timeout`).
const RETRY: Duration = Duration::from_millis(200);

/// How far back etcd can be asked: in time, and in bytes written by us. Whichever is reached first counts.
const REMEMBERED: (Duration, usize) = (Duration::from_secs(5 * 60), 64 << 20);

/// The registry in etcd. Nothing is sent before it is loaded.
pub struct Etcd {
    shared: Arc<Shared>,
}

struct Shared {
    node: Node,
    client: Client,
    url: EtcdUrl,
    /// What tells this registrar's writes from those of all others.
    writer: String,
    /// See [`Etcd::remembering`].
    remembered: (Duration, usize),
    /// Changes only between two calls, of which there is one at a time.
    progress: Mutex<Progress>,
}

/// What the next write is built on.
#[derive(Clone, Default)]
struct Progress {
    /// The leader, if there is a group.
    leader: Option<Membership>,
    /// The revision in which the mark was set last; 0: never.
    mark: i64,
    /// Writes so far.
    writes: u64,
    /// What may be forgotten at the next occasion: the revision that was current at the last one.
    forget: i64,
    /// When the last occasion was, on the node's clock.
    since: Duration,
    /// Bytes written since then.
    written: usize,
    /// What the last leader has left undone.
    left: Unfinished,
}

impl Etcd {
    /// The registry below the path of `url`.
    pub fn new(node: &Node, url: &EtcdUrl) -> Self {
        let shared = Shared {
            node: node.clone(),
            client: Client::new(url, PATIENCE),
            url: url.clone(),
            writer: node.random().uuid().to_string(),
            remembered: REMEMBERED,
            progress: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Lets etcd forget what is older than `time`, or than the last `bytes` that were written, at least; it is told so
    /// seldom that it remembers up to twice of either.
    #[must_use]
    pub fn remembering(mut self, time: Duration, bytes: usize) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.remembered = (time, bytes);
        }
        self
    }
}

impl Storage for Etcd {
    fn name(&self) -> String {
        self.shared.url.to_string()
    }

    fn place_of(&self, key: &str) -> String {
        format!("{}, key '{}'", self.shared.url, self.shared.record(key))
    }

    fn load(&mut self, leader: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let mut page = PAGE;
            let found = loop {
                match shared.read(page).await {
                    Ok(found) => break found,
                    Err(error @ EtcdError::Unavailable(_)) => {
                        // The answer may have been too large, or too large to come in time.
                        page = (page / 4).max(SMALLEST_PAGE);
                        shared.wait(&error, "reading").await;
                    }
                    // Somebody has compacted what was being read.
                    Err(EtcdError::Refused { code: Code::OutOfRange, .. }) => {}
                    Err(error) => return Err(shared.failed(&error)),
                }
            };
            let since = shared.node.elapsed();
            let Found { records, revision, mark } = found;
            let record = |(key, value): (Vec<u8>, Vec<u8>)| match String::from_utf8(key) {
                Ok(key) => Ok((key, value)),
                Err(error) => Err(shared.failed(&format!("a record whose name is no text: {error}"))),
            };
            let records = records.into_iter().map(record).collect::<Result<Vec<Record>, _>>()?;
            let (records, left) = settled(records).map_err(|reason| shared.failed(&reason))?;
            *shared.progress.lock() =
                Progress { leader, mark, forget: revision, since, left, ..Progress::default() };
            Ok(records)
        }
        .boxed()
    }

    fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let limits = Limits {
                changes: CHANGES,
                bytes: BYTES,
                overhead: OVERHEAD + shared.url.path.len(),
                key_byte: 1,
            };
            let left = std::mem::take(&mut shared.progress.lock().left);
            for batch in left.batches(changes, limits).map_err(|error| shared.failed(&error))? {
                shared.write(batch).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// What is there, in one revision.
struct Found {
    /// By their names below the path.
    records: Vec<(Vec<u8>, Vec<u8>)>,
    revision: i64,
    mark: i64,
}

impl Shared {
    /// Where the mark is.
    fn mark(&self) -> String {
        format!("{}/registry", self.url.path)
    }

    /// Where a record is.
    fn record(&self, name: &str) -> String {
        format!("{}/registry/{name}", self.url.path)
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> StorageError {
        StorageError { place: self.url.to_string(), reason: reason.to_string() }
    }

    async fn wait(&self, error: &EtcdError, what: &str) {
        warn!(registry = %self.url, %error, "{what} the registry does not work, trying again");
        sleep(RETRY).await;
    }

    /// Reads page by page, so many records in each, all as it was when the first page was read.
    async fn read(&self, size: i64) -> Result<Found, EtcdError> {
        let prefix = self.record("");
        let mut range = Range::prefix(prefix.as_str());
        let (mut records, mut revision) = (Vec::new(), 0);
        loop {
            let request = RangeRequest { range: range.clone(), limit: size, revision, count_only: false };
            let page = self.client.range(&request).await?;
            if revision == 0 {
                revision = page.header.revision;
            }
            if let Some(last) = page.kvs.last() {
                range = range.behind(&last.key);
            }
            let named = page.kvs.into_iter().map(|found| (found.key[prefix.len()..].to_vec(), found.value));
            records.extend(named);
            if !page.more {
                break;
            }
        }
        let request = RangeRequest { revision, ..RangeRequest::all(Range::key(self.mark())) };
        let mark = self.client.range(&request).await?.kvs.first().map_or(0, |mark| mark.mod_revision);
        Ok(Found { records, revision, mark })
    }

    /// One transaction, tried until it is known whether it has happened.
    async fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let progress = self.progress.lock().clone();
        let bytes = changes.iter().map(|change| change.value.as_ref().map_or(0, Vec::len)).sum();
        let mark = format!("{} {}", self.writer, progress.writes);
        let request = self.transaction(&progress, &mark, changes);
        let answer = loop {
            match self.client.txn(&request).await {
                Ok(answer) => break answer,
                Err(error @ EtcdError::Unavailable(_)) => self.wait(&error, "writing").await,
                Err(error) => return Err(self.failed(&error)),
            }
        };
        let stored = match answer.succeeded {
            true => answer.header.revision,
            false => self.why_not(&progress, &mark, &answer)?,
        };
        self.stored(stored, bytes);
        Ok(())
    }

    fn transaction(&self, progress: &Progress, mark: &str, changes: Vec<Change>) -> TxnRequest {
        let node = |leader: &Membership| format!("{}/{}", self.url.path, leader.name);
        let mut compare = vec![Compare::changed(self.mark(), progress.mark)];
        let mut failure = vec![Operation::Range(RangeRequest::all(Range::key(self.mark())))];
        if let Some(leader) = &progress.leader {
            compare.push(Compare::created(node(leader), leader.sequence));
            // Under no lease it would not go with the session, and would guard nothing.
            compare.extend(lease_of(leader).map(|lease| Compare::leased(node(leader), lease)));
            failure.push(Operation::Range(RangeRequest::all(Range::key(node(leader)))));
        }
        let put = |key: String, value: Vec<u8>| {
            Operation::Put(PutRequest { key: key.into_bytes(), value, lease: 0 })
        };
        let mut success = vec![put(self.mark(), mark.as_bytes().to_vec())];
        success.extend(changes.into_iter().map(|Change { key, value }| match value {
            Some(value) => put(self.record(&key), value),
            None => Operation::Delete(Range::key(self.record(&key))),
        }));
        TxnRequest { compare, success, failure }
    }

    /// The comparisons did not hold: an earlier try whose answer was lost may have happened (then this is its
    /// revision), or somebody else has written.
    fn why_not(&self, progress: &Progress, mark: &str, answer: &TxnResponse) -> Result<i64, StorageError> {
        let read = |at: usize| answer.responses.get(at)?.response_range.as_ref()?.kvs.first();
        if let Some(found) = read(0).filter(|found| found.value == mark.as_bytes()) {
            return Ok(found.mod_revision);
        }
        if let Some(leader) = &progress.leader
            && !read(1).is_some_and(|found| guards(leader, found))
        {
            let node = &leader.name;
            let gone = format!("this master's node '{node}' is gone: it does not lead any more");
            return Err(self.failed(&gone));
        }
        let key = self.mark();
        Err(self.failed(&format!("somebody else has written the registry (see '{key}'); nothing was stored")))
    }

    /// Notes what was stored, and lets etcd forget what is long past.
    fn stored(&self, revision: i64, bytes: usize) {
        let (now, (time, most)) = (self.node.elapsed(), self.remembered);
        let mut progress = self.progress.lock();
        progress.mark = revision;
        progress.writes += 1;
        progress.written += bytes;
        if now.saturating_sub(progress.since) < time && progress.written < most {
            return;
        }
        let forget = std::mem::replace(&mut progress.forget, revision);
        (progress.since, progress.written) = (now, 0);
        drop(progress);
        let (client, url) = (self.client.clone(), self.url.clone());
        self.node.spawn_task(async move {
            match client.compact(forget).await {
                Ok(()) => info!(registry = %url, revision = forget, "old revisions are forgotten"),
                Err(error) => warn!(registry = %url, %error, "old revisions could not be forgotten"),
            }
        });
    }
}

/// Whether a key is the leader's node, and goes with its session.
fn guards(leader: &Membership, found: &KeyValue) -> bool {
    found.create_revision == leader.sequence && lease_of(leader).is_none_or(|lease| lease == found.lease)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde_json::{Value, json};

    use super::*;

    /// So many records fit into one answer of the server.
    const MOST: usize = 70;

    /// Reads a request; `None` when there is none any more.
    fn next_request(reader: &mut BufReader<TcpStream>) -> Option<Value> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            } else if line.is_empty() {
                let mut body = vec![0; length];
                reader.read_exact(&mut body).ok()?;
                return serde_json::from_slice(&body).ok();
            }
        }
    }

    /// Answers ranges of these keys, and hangs up on whoever wants too many at once.
    fn serve(mut stream: TcpStream, keys: &[String]) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = next_request(&mut reader) {
            let limit: usize = request["limit"].as_str().unwrap().parse().unwrap();
            if limit > MOST {
                return;
            }
            let first = STANDARD.decode(request["key"].as_str().unwrap()).unwrap();
            let is_range = request["range_end"].is_string();
            let found: Vec<_> =
                keys.iter().filter(|key| is_range && key.as_bytes() >= first.as_slice()).collect();
            let kvs: Vec<_> = found
                .iter()
                .take(limit)
                .map(|key| json!({ "key": STANDARD.encode(key), "value": STANDARD.encode("x") }))
                .collect();
            let body =
                json!({ "header": { "revision": "7" }, "kvs": kvs, "more": found.len() > limit }).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    }

    /// With a thousand agents of 256 KiB an answer would have 350 MB: no master could lead any more.
    #[test]
    fn what_is_too_large_for_one_answer_is_read_in_smaller_pages() {
        libprocess::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("etcd://{}/mesos", listener.local_addr().unwrap()).parse().unwrap();
            let records: Vec<Record> =
                (0..100).map(|number| (format!("agent/{number:03}"), b"x".to_vec())).collect();
            let keys: Vec<String> = records.iter().map(|(key, _)| format!("/mesos/registry/{key}")).collect();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let keys = keys.clone();
                    std::thread::spawn(move || serve(stream.unwrap(), &keys));
                }
            });
            let node = Node::builder().offline().start().await.unwrap();
            assert_eq!(Etcd::new(&node, &url).load(None).await.unwrap(), records);
            node.shutdown().await;
        });
    }
}
