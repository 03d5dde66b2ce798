//! [`EtcdGroup`]: a group of masters in etcd.
//!
//! A member is a key under a lease, `<path>/json.info_<lease>`: the lease is the session, and the key goes with it. The
//! revision in which the key was created is the member's sequence number. The name is no part of the order: the lease
//! stands there in 16 hexadecimal digits, and etcd's leases do not grow from one master to the next.
//!
//! A session that has joined nothing needs no lease: who only looks (agents, schedulers) does not write, and a plain
//! read shows it that etcd is there.
//!
//! A session lives for its timeout from when the last request that etcd answered was *sent*: etcd counts from a later
//! moment, so we know of the end before anybody else may lead. Asking every third of the timeout is done by whoever
//! follows [`Session::connection`]; nothing runs in the background. See `crate::group` for the rules.

use std::{sync::Arc, time::Duration};

use futures::{
    FutureExt,
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt},
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, warn};

use super::api::{Compare, KeyValue, Operation, PutRequest, Range, RangeRequest, TxnRequest};
use super::client::{Client, Code, EtcdError};
use super::url::EtcdUrl;
use crate::MASTER_INFO_LABEL;
use crate::group::{Changed, Connection, Group, GroupError, Membership, Session};

/// So many parts of the timeout pass between two signs of life.
const SIGNS_OF_LIFE: u32 = 3;

/// So many parts of the timeout one server may take, so that a second and a third can be asked in time.
const TRIES: u32 = 4;

/// The shortest timeout: etcd counts leases in seconds. With less, no request would be answered in time, and a session
/// would end before it begins, over and over.
const SHORTEST: Duration = Duration::from_secs(1);

/// After a sign of life that got no answer.
const RETRY: Duration = Duration::from_millis(200);

/// How long a broken watch waits before the group is listed again.
const BROKEN_WATCH: Duration = Duration::from_millis(500);

/// The masters below a path in etcd.
#[derive(Clone, Debug)]
pub struct EtcdGroup {
    url: EtcdUrl,
    timeout: Duration,
}

impl EtcdGroup {
    /// Nothing is connected before [`Group::connect`]. A session lives for a second at least.
    pub fn new(url: EtcdUrl, timeout: Duration) -> Self {
        EtcdGroup { url, timeout: timeout.max(SHORTEST) }
    }
}

impl Group for EtcdGroup {
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Session>, GroupError>> {
        let Self { url, timeout } = self.clone();
        async move {
            let client = Client::new(&url, timeout / TRIES);
            let shared = Shared { client, path: url.path, timeout, state: Mutex::new(State::new()) };
            shared.give_sign().await.map_err(|error| sort(&error))?;
            Ok(Box::new(EtcdSession(Arc::new(shared))) as Box<dyn Session>)
        }
        .boxed()
    }

    fn name(&self) -> String {
        self.url.to_string()
    }
}

/// The label and the lease in the name of a member.
fn parse(name: &str) -> Option<(&str, i64)> {
    let (label, lease) = name.rsplit_once('_')?;
    let is_lease = lease.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((label, i64::from_str_radix(lease, 16).ok().filter(|_| is_lease)?))
}

/// The lease under which a member's key stands, which its name says: while it does, and was created in the revision that
/// is the member's sequence number, the member's session lives. `None` for a member of something else than etcd.
pub fn lease_of(member: &Membership) -> Option<i64> {
    parse(&member.name).map(|(_, lease)| lease)
}

struct EtcdSession(Arc<Shared>);

/// What a session and the futures that it has handed out share.
struct Shared {
    client: Client,
    path: String,
    timeout: Duration,
    state: Mutex<State>,
}

struct State {
    /// When the last request that was answered was sent.
    alive: Instant,
    /// From when it has joined.
    lease: Option<i64>,
    /// The session is over.
    ended: bool,
}

impl State {
    fn new() -> State {
        State { alive: Instant::now(), lease: None, ended: false }
    }
}

impl Shared {
    /// Where the members are.
    fn members(&self) -> Range {
        Range::prefix(format!("{}/{MASTER_INFO_LABEL}_", self.path))
    }

    /// What a member of this session is called.
    fn name(label: &str, lease: i64) -> String {
        format!("{label}_{lease:016x}")
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// The member whose key this is. One that is not under the lease of its name is nobody's: somebody has set it, and
    /// it would stay, and perhaps lead, for ever.
    fn member(&self, found: &KeyValue) -> Option<Membership> {
        let name = std::str::from_utf8(&found.key).ok()?.strip_prefix(&self.path)?.strip_prefix('/')?;
        let (label, lease) = parse(name)?;
        (lease == found.lease).then(|| Membership {
            sequence: found.create_revision,
            label: label.into(),
            name: name.into(),
        })
    }

    /// Shows etcd that we live, and us that etcd does; `false` if it has ended the lease.
    async fn give_sign(&self) -> Result<bool, EtcdError> {
        let sent = Instant::now();
        let lease = self.state.lock().lease;
        let lives = match lease {
            Some(lease) => self.client.keep_alive(lease).await?,
            None => {
                let request = RangeRequest { count_only: true, ..RangeRequest::all(self.members()) };
                self.client.range(&request).await.map(|_| true)?
            }
        };
        let mut state = self.state.lock();
        // A lease that was granted meanwhile has a time of its own.
        if lives && state.lease == lease {
            state.alive = sent;
        }
        Ok(lives)
    }

    /// An error of its own once the session is over.
    fn check(&self) -> Result<(), GroupError> {
        match self.state.lock().ended {
            true => Err(GroupError::Session("it got no answer from etcd for its timeout".into())),
            false => Ok(()),
        }
    }

    /// The lease of this session, which begins with the first one who joins.
    async fn lease(&self) -> Result<i64, EtcdError> {
        if let Some(lease) = self.state.lock().lease {
            return Ok(lease);
        }
        let sent = Instant::now();
        let lease = self.client.grant(self.timeout).await?;
        let mut state = self.state.lock();
        (state.lease, state.alive) = (Some(lease), sent);
        Ok(lease)
    }

    /// Makes the member's key, or finds that it is there: an earlier try whose answer was lost may have made it.
    async fn join(&self, label: &str, data: Vec<u8>) -> Result<Membership, GroupError> {
        let lease = self.lease().await.map_err(|error| sort(&error))?;
        let name = Self::name(label, lease);
        let key = self.key(&name);
        let request = TxnRequest {
            compare: vec![Compare::created(key.as_str(), 0)],
            success: vec![Operation::Put(PutRequest { key: key.clone().into_bytes(), value: data, lease })],
            failure: vec![Operation::Range(RangeRequest::all(Range::key(key)))],
        };
        let answer = self.client.txn(&request).await.map_err(|error| sort(&error))?;
        let sequence = match (answer.succeeded, answer.first_read()) {
            (true, _) => answer.header.revision,
            (false, Some(found)) if found.lease == lease => found.create_revision,
            // Somebody has set it, and would keep it there for ever. Another lease has another name.
            (false, Some(_)) => {
                return Err(GroupError::Session(format!("the key of '{name}' is not under its lease")));
            }
            (false, None) => {
                return Err(GroupError::Retry(format!("etcd has and has not the key of '{name}'")));
            }
        };
        Ok(Membership { sequence, label: label.to_owned(), name })
    }

    /// The member of this session: its key, if that is under its lease.
    async fn joined(&self, label: &str) -> Result<Option<Membership>, GroupError> {
        let Some(lease) = self.state.lock().lease else { return Ok(None) };
        let request = RangeRequest::all(Range::key(self.key(&Self::name(label, lease))));
        let found = self.client.range(&request).await.map_err(|error| sort(&error))?;
        let own = found.kvs.iter().find(|found| found.lease == lease);
        Ok(own.and_then(|found| self.member(found)))
    }
}

impl Session for EtcdSession {
    fn timeout(&self) -> Duration {
        self.0.timeout
    }

    fn connection(&self) -> BoxStream<'static, Connection> {
        stream::unfold(Life { session: self.0.clone(), lost: false, ended: false }, Life::next).boxed()
    }

    fn join(&self, label: &str, data: Vec<u8>) -> BoxFuture<'static, Result<Membership, GroupError>> {
        let (session, label) = (self.0.clone(), label.to_owned());
        async move {
            session.check()?;
            session.join(&label, data).await
        }
        .boxed()
    }

    fn joined(&self, label: &str) -> BoxFuture<'static, Result<Option<Membership>, GroupError>> {
        let (session, label) = (self.0.clone(), label.to_owned());
        async move {
            session.check()?;
            session.joined(&label).await
        }
        .boxed()
    }

    fn members(&self) -> BoxFuture<'static, Result<(Vec<Membership>, Changed), GroupError>> {
        let session = self.0.clone();
        async move {
            session.check()?;
            let range = session.members();
            let found = session
                .client
                .range(&RangeRequest::all(range.clone()))
                .await
                .map_err(|error| sort(&error))?;
            let mut members: Vec<_> = found.kvs.iter().filter_map(|found| session.member(found)).collect();
            members.sort();
            let (client, next) = (session.client.clone(), found.header.revision + 1);
            let changed = async move {
                if let Err(error) = client.changed(range, next).await {
                    debug!(%error, "the group of masters is looked at again");
                    sleep(BROKEN_WATCH).await;
                }
            };
            Ok((members, changed.boxed()))
        }
        .boxed()
    }

    fn data(&self, member: &Membership) -> BoxFuture<'static, Result<Option<Vec<u8>>, GroupError>> {
        let (session, member) = (self.0.clone(), member.clone());
        async move {
            session.check()?;
            let request = RangeRequest::all(Range::key(session.key(&member.name)));
            let found = session.client.range(&request).await.map_err(|error| sort(&error))?;
            let mut found = found.kvs.into_iter();
            Ok(found.find(|found| found.create_revision == member.sequence).map(|found| found.value))
        }
        .boxed()
    }
}

impl Drop for EtcdSession {
    /// The members leave at once if etcd can be reached, else when the lease ends. This needs a task: there is nobody
    /// left to wait for it.
    fn drop(&mut self) {
        let Some(lease) = self.0.state.lock().lease else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let session = self.0.clone();
        runtime.spawn(async move {
            if let Err(error) = session.client.revoke(lease).await {
                debug!(%error, "a lease ends by itself");
            }
        });
    }
}

/// The life of a session: its signs of life, and what becomes of them.
struct Life {
    session: Arc<Shared>,
    lost: bool,
    ended: bool,
}

impl Life {
    /// The next thing that happens.
    async fn next(mut self) -> Option<(Connection, Self)> {
        if self.ended {
            return None;
        }
        let event = self.live().await;
        match event {
            Connection::Lost => self.lost = true,
            Connection::Restored => self.lost = false,
            Connection::Expired => {
                self.ended = true;
                self.session.state.lock().ended = true;
            }
        }
        Some((event, self))
    }

    async fn live(&self) -> Connection {
        let Shared { timeout, state, .. } = &*self.session;
        let mut retry = None;
        loop {
            let alive = state.lock().alive;
            let end = alive + *timeout;
            let next = retry.unwrap_or(alive + *timeout / SIGNS_OF_LIFE);
            sleep_until(next.min(end)).await;
            // Also for who was stopped for so long that the next sign would come too late.
            if Instant::now() >= end {
                warn!(?timeout, "no answer from etcd for the session's timeout");
                return Connection::Expired;
            }
            match timeout_at(end, self.session.give_sign()).await {
                // The end has come: the next turn says so.
                Err(_) => {}
                Ok(Ok(true)) if self.lost => return Connection::Restored,
                Ok(Ok(true)) => retry = None,
                Ok(Ok(false)) => {
                    warn!("etcd has ended our lease");
                    return Connection::Expired;
                }
                Ok(Err(error @ EtcdError::Refused { .. })) => {
                    warn!(%error, "etcd does not keep our session");
                    return Connection::Expired;
                }
                Ok(Err(error @ EtcdError::Unavailable(_))) => {
                    if !self.lost {
                        warn!(%error, "no sign of life could be given");
                        return Connection::Lost;
                    }
                    debug!(%error, "no sign of life could be given");
                    retry = Some(Instant::now() + RETRY);
                }
            }
        }
    }
}

/// What an error of etcd means for us.
fn sort(error: &EtcdError) -> GroupError {
    let message = error.to_string();
    match error {
        EtcdError::Refused { code: Code::NotFound, .. } => GroupError::Session(message),
        EtcdError::Refused {
            code: Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument,
            ..
        } => GroupError::Fatal(message),
        _ => GroupError::Retry(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_for_a_second_at_least() {
        let url: EtcdUrl = "etcd://host/mesos".parse().unwrap();
        assert_eq!(EtcdGroup::new(url.clone(), Duration::ZERO).timeout, Duration::from_secs(1));
        assert_eq!(EtcdGroup::new(url, Duration::from_secs(10)).timeout, Duration::from_secs(10));
    }
}
