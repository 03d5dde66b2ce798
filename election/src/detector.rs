//! The [`Detector`]: tells who leads, at once and at each change.
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`WatchLeader`] | Master, Agent, schedulers | sends [`LeaderChanged`] now and at each change |
//! | [`StandaloneAppoint`] | who starts a standalone master | makes that master the leader |
//! | `Detected` | itself (the task that follows the group) | passes a change on |
//!
//! It owns a session with the group, and what it last saw there. When the session is lost there is
//! no leader until the group has been seen again. It knows nothing of what a leader does.
//! Upstream: `src/master/detector/`, `src/zookeeper/detector.cpp`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use libprocess::{Address, Context, Handle, Node, Pid, Process, Recipient};
use mesos::v1::MasterInfo;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::{
    DEFAULT_SESSION_TIMEOUT, MASTER_INFO_LABEL, file,
    group::{self, Changed, Group, GroupError, Membership, Session},
    info,
    url::{MasterFile, MasterUrl},
};

/// Tell this recipient who leads, now and at each change. A recipient is kept once for each PID.
pub struct WatchLeader(pub Recipient<LeaderChanged>);

/// Who leads now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeaderChanged {
    /// `None` when nobody does, or nobody can be seen.
    pub leader: Option<MasterInfo>,
    /// The leader's node in the group. Nobody else leads while it is there: what the leader writes is guarded by it.
    /// `None` without a group, and without a leader.
    pub node: Option<Membership>,
}

/// The leader of a cluster without election.
#[derive(Clone, Debug, PartialEq)]
pub struct StandaloneAppoint(pub Option<MasterInfo>);

/// What the task that follows the group has seen.
struct Detected(LeaderChanged);

libprocess::messages! { WatchLeader; LeaderChanged; StandaloneAppoint; Detected; }

/// Finds the leading master.
pub struct Detector {
    source: Source,
    seen: LeaderChanged,
    /// The local actors that watch: one entry for each, so as many as there are such actors.
    watchers: Vec<Recipient<LeaderChanged>>,
}

/// Where the knowledge comes from.
enum Source {
    /// Somebody appoints.
    Appointed,
    /// `host:port`.
    Address(String),
    /// What a file says; sessions with a group that it may name have this timeout.
    File(MasterFile, Duration),
    /// An election.
    Group(Arc<dyn Group>),
}

impl Detector {
    /// A detector for the masters at `url`, with the default session timeout.
    pub fn new(url: MasterUrl) -> Self {
        Self::with_timeout(url, DEFAULT_SESSION_TIMEOUT)
    }

    /// As [`Detector::new`], with another session timeout.
    pub fn with_timeout(url: MasterUrl, timeout: Duration) -> Self {
        Self::from(match (url.group(timeout), url) {
            (Some(group), _) => Source::Group(group),
            (None, MasterUrl::File(file)) => Source::File(file, timeout),
            // Of a single master the URL is the address.
            (None, url) => Source::Address(url.to_string()),
        })
    }

    /// A detector that waits for [`StandaloneAppoint`].
    pub fn standalone() -> Self {
        Self::from(Source::Appointed)
    }

    /// A detector in any group (simulations).
    pub fn with_group(group: Arc<dyn Group>) -> Self {
        Self::from(Source::Group(group))
    }

    fn from(source: Source) -> Self {
        Detector { source, seen: LeaderChanged::default(), watchers: Vec::new() }
    }

    fn changed(&mut self, seen: LeaderChanged) {
        if self.seen == seen {
            return;
        }
        match seen.leader.as_ref() {
            Some(leader) => info!(pid = leader.pid.as_deref(), "a new leading master"),
            None => info!("no leading master"),
        }
        self.seen = seen;
        for watcher in &self.watchers {
            watcher.tell(self.seen.clone());
        }
    }

    /// Of a master that was not elected.
    fn appointed(&mut self, leader: Option<MasterInfo>) {
        self.changed(LeaderChanged { leader, node: None });
    }
}

impl Process for Detector {
    const NAME: &'static str = "master-detector";

    fn started(&mut self, ctx: &mut Context<Self>) {
        match &self.source {
            Source::Appointed => {}
            Source::Address(address) => {
                let (address, id) = (address.clone(), ctx.node().random().uuid().to_string());
                ctx.defer(resolve(address, id), |detector: &mut Detector, leader, _| {
                    detector.appointed(Some(leader))
                });
            }
            Source::File(file, timeout) => {
                let (file, timeout, node, me) = (file.clone(), *timeout, ctx.node().clone(), ctx.address());
                ctx.defer(
                    async move { follow_file(&node, &file, timeout, &me).await },
                    |_: &mut Detector, (), _| (),
                );
            }
            Source::Group(group) => {
                let (group, node, me) = (group.clone(), ctx.node().clone(), ctx.address());
                ctx.defer(async move { follow(&node, &*group, &me).await }, |_: &mut Detector, (), _| ());
            }
        }
    }
}

impl Handle<WatchLeader> for Detector {
    fn handle(&mut self, WatchLeader(watcher): WatchLeader, _: &Pid, _: &mut Context<Self>) {
        watcher.tell(self.seen.clone());
        self.watchers.retain(|known| known.pid() != watcher.pid());
        self.watchers.push(watcher);
    }
}

impl Handle<StandaloneAppoint> for Detector {
    fn handle(&mut self, StandaloneAppoint(leader): StandaloneAppoint, _: &Pid, _: &mut Context<Self>) {
        self.appointed(leader);
    }
}

impl Handle<Detected> for Detector {
    fn handle(&mut self, Detected(seen): Detected, _: &Pid, _: &mut Context<Self>) {
        self.changed(seen);
    }
}

/// The master at `host:port`, once the name can be resolved. IPv4 is preferred, as upstream has
/// nothing else.
async fn resolve(address: String, id: String) -> MasterInfo {
    let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).to_owned();
    let mut backoff = group::backoff();
    loop {
        match look_up(&address).await {
            Ok(found) => return info::from_address(id, host, found),
            Err(error) => {
                let wait = backoff.wait();
                warn!(master = %address, %error, ?wait, "cannot resolve the master's address, trying again");
                sleep(wait).await;
            }
        }
    }
}

async fn look_up(address: &str) -> Result<SocketAddr, std::io::Error> {
    // Without a thread of the resolver where there is nothing to resolve: simulations have none.
    if let Ok(literal) = address.parse() {
        return Ok(literal);
    }
    let mut found: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
    found.sort_by_key(|address| matches!(address.ip(), IpAddr::V6(_)));
    found.into_iter().next().ok_or_else(|| std::io::Error::other("the name has no address"))
}

/// Follows what a file says for ever. The last leader holds until another one is known.
async fn follow_file(node: &Node, file: &MasterFile, timeout: Duration, detector: &Address<Detector>) {
    let mut url = (*file.first).clone();
    loop {
        let following = async {
            match url.group(timeout) {
                Some(group) => follow(node, &*group, detector).await,
                None => {
                    let id = node.random().uuid().to_string();
                    let leader = Some(resolve(url.to_string(), id).await);
                    detector.tell(Detected(LeaderChanged { leader, node: None }));
                    std::future::pending().await
                }
            }
        };
        url = tokio::select! {
            biased;
            changed = file::changed(node, file, &url) => changed,
            () = following => return,
        };
    }
}

/// Follows the group for ever, and tells the detector what it sees.
async fn follow(node: &Node, group: &dyn Group, detector: &Address<Detector>) {
    let mut backoff = group::backoff();
    loop {
        match group::connect(group, node.random()).await {
            Ok(session) => {
                backoff.reset();
                let mut connection = session.connection();
                tokio::select! {
                    biased;
                    () = group::ended(&mut connection, session.timeout()) => {}
                    () = follow_session(&*session, detector) => {}
                }
            }
            // It takes an operator to change that; meanwhile there is no leader to be seen.
            Err(error) => {
                error!(group = %group.name(), %error, "cannot see the group of masters");
                sleep(backoff.wait()).await;
            }
        }
        detector.tell(Detected(LeaderChanged::default()));
    }
}

/// Follows the group within one session; returns when the session is over.
async fn follow_session(session: &dyn Session, detector: &Address<Detector>) {
    let mut backoff = group::backoff();
    let mut seen: Option<Membership> = None;
    loop {
        match look(session, seen.as_ref()).await {
            Ok((sight, changed)) => {
                backoff.reset();
                match sight {
                    Sight::Same => {}
                    Sight::Nobody => {
                        seen = None;
                        detector.tell(Detected(LeaderChanged::default()));
                    }
                    Sight::Leader(member, leader) => {
                        seen = Some(member.clone());
                        let leader = leader.map(|leader| *leader);
                        detector.tell(Detected(LeaderChanged {
                            node: leader.is_some().then_some(member),
                            leader,
                        }));
                    }
                }
                changed.await;
            }
            Err(GroupError::Session(_)) => return,
            Err(error) => {
                warn!(%error, "cannot read the group of masters, trying again");
                sleep(backoff.wait()).await;
            }
        }
    }
}

/// What one look at the group shows.
enum Sight {
    /// The leader that was seen before.
    Same,
    /// No member.
    Nobody,
    /// Another leader; without its info when that cannot be read.
    Leader(Membership, Option<Box<MasterInfo>>),
}

async fn look(session: &dyn Session, seen: Option<&Membership>) -> Result<(Sight, Changed), GroupError> {
    let (members, changed) = session.members().await?;
    // Nodes with other labels are other programs' (upstream before 0.24 wrote protobuf there).
    let first = members.into_iter().filter(|member| member.label == MASTER_INFO_LABEL).min();
    let Some(first) = first else { return Ok((Sight::Nobody, changed)) };
    if seen == Some(&first) {
        return Ok((Sight::Same, changed));
    }
    // It may leave before we have read it: the change that follows brings the next one.
    let Some(data) = session.data(&first).await? else { return Ok((Sight::Nobody, changed)) };
    let leader = match info::from_json(&data) {
        Ok(leader) => Some(Box::new(leader)),
        Err(error) => {
            error!(member = %first.name, %error, "the leader cannot be known");
            None
        }
    };
    Ok((Sight::Leader(first, leader), changed))
}
