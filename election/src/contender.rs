//! The [`Contender`]: puts one master up for election, and tells it when it is a candidate, and when no more.
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`Contend`] | Master | joins the group, withdrawing an earlier candidacy; answers with [`CandidacyObtained`] and then [`CandidacyEnded`], or with the latter alone |
//!
//! It owns a session with the group while it contends; when the session ends, so does the
//! candidacy. It does not know who leads: that is the detector's. A standalone contender has no
//! node, and nothing to say. Upstream: `src/master/contender/`, `src/zookeeper/contender.cpp`.

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;
use libprocess::{Context, Handle, Node, Pid, Process, Recipient};
use mesos::v1::MasterInfo;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    DEFAULT_SESSION_TIMEOUT, MASTER_INFO_LABEL,
    group::{self, Connection, Group, GroupError, Membership, Session},
    info,
    url::MasterUrl,
};

/// Put the master up for election. A second `Contend` withdraws the first candidacy, whose
/// recipients then hear nothing more.
pub struct Contend {
    /// Told once the master is in the group.
    pub obtained: Recipient<CandidacyObtained>,
    /// Told when that is over, or can never be.
    pub ended: Recipient<CandidacyEnded>,
}

/// The master is a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidacyObtained {
    /// Its node in the group. Only by this one may it lead: a node of an earlier session, which the
    /// service has not ended yet, says the same, but its end would come unheard.
    pub node: Membership,
    /// How long the session lives without contact, as it was agreed with the service.
    pub session_timeout: Duration,
}

/// The candidacy is lost: the node is gone, or the session with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidacyEnded {
    /// Set when contending again cannot help, with the reason (bad credentials, no permission).
    pub failure: Option<String>,
}

libprocess::messages! { Contend; CandidacyObtained; CandidacyEnded; }

/// One master's candidacy.
pub struct Contender {
    group: Option<Arc<dyn Group>>,
    info: MasterInfo,
    /// Counts the calls of [`Contend`], so that an earlier candidacy's end is not reported.
    round: u64,
    /// Dropping it withdraws the running candidacy.
    running: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Contender {
    /// A contender for the masters at `url`, with the default session timeout.
    pub fn new(url: MasterUrl, info: MasterInfo) -> Self {
        Self::with_timeout(url, info, DEFAULT_SESSION_TIMEOUT)
    }

    /// As [`Contender::new`], with another session timeout.
    pub fn with_timeout(url: MasterUrl, info: MasterInfo, timeout: Duration) -> Self {
        match url.group(timeout) {
            Some(group) => Self::with_group(group, info),
            None => Self::standalone(info),
        }
    }

    /// A contender whose candidacy never ends.
    pub fn standalone(info: MasterInfo) -> Self {
        Contender { group: None, info, round: 0, running: None }
    }

    /// A contender in any group (simulations).
    pub fn with_group(group: Arc<dyn Group>, info: MasterInfo) -> Self {
        Contender { group: Some(group), info, round: 0, running: None }
    }
}

impl Process for Contender {
    const NAME: &'static str = "master-contender";
}

impl Handle<Contend> for Contender {
    fn handle(&mut self, Contend { obtained, ended }: Contend, _: &Pid, ctx: &mut Context<Self>) {
        let Some(group) = self.group.clone() else { return };
        let data = info::to_json(&self.info);
        self.round += 1;
        let round = self.round;
        let (withdraw, withdrawn) = tokio::sync::oneshot::channel::<()>();
        self.running = Some(withdraw);
        let node = ctx.node().clone();
        let candidacy = async move {
            tokio::select! {
                biased;
                _ = withdrawn => None,
                end = candidacy(&node, &*group, data, &obtained) => Some(end),
            }
        };
        ctx.defer(candidacy, move |contender: &mut Contender, end, _| {
            if let (Some(end), true) = (end, contender.round == round) {
                ended.tell(CandidacyEnded { failure: end.err().map(|error| error.to_string()) });
            }
        });
    }
}

/// From joining to the end. The session ends with this future, and the member leaves with it.
///
/// # Errors
/// [`GroupError::Fatal`] only.
async fn candidacy(
    node: &Node,
    group: &dyn Group,
    data: Vec<u8>,
    obtained: &Recipient<CandidacyObtained>,
) -> Result<(), GroupError> {
    loop {
        let session = group::connect(group, node.random()).await?;
        let mut connection = session.connection();
        let member = match join(&*session, &mut connection, &data).await {
            Ok(Some(member)) => member,
            // The session ended before we were in: nothing is lost yet, so begin again.
            Ok(None) => continue,
            Err(error) => return Err(error),
        };
        info!(group = %group.name(), member = %member.name, "a new candidate for leadership");
        obtained.tell(CandidacyObtained { node: member.clone(), session_timeout: session.timeout() });
        tokio::select! {
            biased;
            () = group::ended(&mut connection, session.timeout()) => {
                warn!(member = %member.name, "the session with the group of masters has ended");
            }
            () = removed(&*session, &member) => {
                warn!(member = %member.name, "our node was removed from the group of masters");
            }
        }
        return Ok(());
    }
}

/// Joins, trying until it works; `None` when the session ended first.
async fn join(
    session: &dyn Session,
    connection: &mut BoxStream<'static, Connection>,
    data: &[u8],
) -> Result<Option<Membership>, GroupError> {
    let trying = async {
        let mut backoff = group::backoff();
        let mut doubtful = false;
        loop {
            let joined = match doubtful {
                false => session.join(MASTER_INFO_LABEL, data.to_vec()).await,
                true => rejoin(session, data).await,
            };
            match joined {
                Ok(member) => return Ok(Some(member)),
                Err(GroupError::Session(_)) => return Ok(None),
                Err(error @ GroupError::Fatal(_)) => return Err(error),
                Err(GroupError::Retry(error)) => {
                    warn!(%error, "could not join the group of masters, trying again");
                    // The answer may have been lost and the node made.
                    doubtful = true;
                    sleep(backoff.wait()).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        joined = trying => joined,
        () = group::ended(connection, session.timeout()) => Ok(None),
    }
}

/// Joins after a try whose outcome is unknown: the node may exist already, and a second one would
/// outlive the first. What counts is the session: a node of an earlier one that the service has not
/// ended yet has the same data, and will vanish. (Upstream joins again, and may have two nodes.)
async fn rejoin(session: &dyn Session, data: &[u8]) -> Result<Membership, GroupError> {
    match session.joined(MASTER_INFO_LABEL).await? {
        Some(member) => Ok(member),
        None => session.join(MASTER_INFO_LABEL, data.to_vec()).await,
    }
}

/// Returns when the member is no longer in the group (an operator may remove a node).
async fn removed(session: &dyn Session, member: &Membership) {
    let mut backoff = group::backoff();
    loop {
        match session.members().await {
            Ok((members, changed)) => {
                backoff.reset();
                if !members.contains(member) {
                    return;
                }
                changed.await;
            }
            // Its end is seen by `group::ended`, too; not that the group is another one.
            Err(GroupError::Session(_)) => return,
            Err(_) => sleep(backoff.wait()).await,
        }
    }
}
