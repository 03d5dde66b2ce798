//! Group membership, as elections need it: the seam between the actors of this crate and a
//! coordination service (ZooKeeper or etcd; a simulated one in tests).
//!
//! A *member* is an ephemeral node with a sequence number: it vanishes when the session that made
//! it ends. The first member, by sequence number, leads. In ZooKeeper that number is part of the
//! node's name; in etcd it is the revision in which the key was created, and names, which end with
//! the lease, say nothing of the order.
//!
//! A session outlives its connection for its timeout; when that has passed without a connection we
//! end the session ourselves, because the service can only tell us when we reach it again (upstream:
//! `src/zookeeper/group.cpp`). Its members may stand a while longer, and are nobody's then.
//!
//! This module knows no actor. Nothing here waits for ever but for the group itself.

use std::{pin::pin, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use libprocess::{Backoff, Random};
use thiserror::Error;
use tokio::time::sleep;
use tracing::{info, warn};

/// A place where members meet; it hands out sessions.
pub trait Group: Send + Sync + 'static {
    /// Starts a session: connects, authenticates, and makes the group's path if it is missing.
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Session>, GroupError>>;

    /// What the group is called in logs; without credentials.
    fn name(&self) -> String;
}

/// A session with a group. Dropping it ends it, and its members leave.
pub trait Session: Send + Sync {
    /// The timeout that was agreed with the service.
    fn timeout(&self) -> Duration;

    /// What happens to the connection, from now on. Ends after [`Connection::Expired`].
    fn connection(&self) -> BoxStream<'static, Connection>;

    /// Joins the group: an ephemeral node with this data, whose name begins with `<label>_`. After
    /// [`GroupError::Retry`] it may have been made all the same: [`Session::joined`] knows.
    fn join(&self, label: &str, data: Vec<u8>) -> BoxFuture<'static, Result<Membership, GroupError>>;

    /// The member as which this session, and no other, has joined under this label; the first one,
    /// if there are several. It sees whatever the service had done when it was asked.
    fn joined(&self, label: &str) -> BoxFuture<'static, Result<Option<Membership>, GroupError>>;

    /// Everyone in the group, and a future that is ready once that has changed.
    /// In no order: sort them. Nodes that are no members (no sequence number) are left out.
    fn members(&self) -> BoxFuture<'static, Result<(Vec<Membership>, Changed), GroupError>>;

    /// A member's data; `None` when it has left.
    fn data(&self, member: &Membership) -> BoxFuture<'static, Result<Option<Vec<u8>>, GroupError>>;
}

/// Ready once the members may have changed (or the session has ended).
pub type Changed = BoxFuture<'static, ()>;

/// What happened to a session's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Lost; the session may live on if it comes back in time.
    Lost,
    /// Back, within the same session.
    Restored,
    /// The service has ended the session, or refuses us.
    Expired,
}

/// Why something in a group did not work.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GroupError {
    /// Worth another try in the same session.
    #[error("{0}")]
    Retry(String),
    /// The session is over; a new one may do better.
    #[error("the session has ended: {0}")]
    Session(String),
    /// Trying again cannot help (bad credentials, no permission).
    #[error("{0}")]
    Fatal(String),
}

/// One member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// Orders the members; the lowest leads.
    pub sequence: i64,
    /// What kind of member it is, for instance `json.info`; empty when the node has none.
    pub label: String,
    /// The node's name as the service has it. Only ZooKeeper's ends with the sequence number.
    pub name: String,
}

impl Membership {
    /// Reads the name of a node in ZooKeeper, `json.info_0000000012` or `0000000012`. `None` for
    /// nodes that are no members, as upstream's `log_replicas`.
    pub fn parse(name: &str) -> Option<Self> {
        let (label, digits) = name.rsplit_once('_').unwrap_or(("", name));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Membership { sequence: digits.parse().ok()?, label: label.into(), name: name.into() })
    }
}

/// The waits between tries of something in a group: 2 s, doubling to 60 s
/// (upstream: `GroupProcess::RETRY_INTERVAL` and `retry`).
pub(crate) fn backoff() -> Backoff {
    Backoff::new(Duration::from_secs(2), Duration::from_secs(60))
}

/// The longest wait between tries to connect: whoever takes part is back soon after the service is, however long it was
/// away (upstream leaves that to ZooKeeper's client, which tries without a pause).
const LONGEST_WAIT_TO_CONNECT: Duration = Duration::from_secs(5);

/// Starts a session, trying until it works. Of each wait between two tries half is left to chance: all agents and schedulers
/// of a cluster have lost their sessions in the same moment, and would go on asking together (upstream's do).
///
/// # Errors
/// Only [`GroupError::Fatal`]: when trying again cannot help.
pub async fn connect(group: &dyn Group, random: &Random) -> Result<Box<dyn Session>, GroupError> {
    let mut backoff = Backoff::new(Duration::from_secs(1), LONGEST_WAIT_TO_CONNECT);
    loop {
        match group.connect().await {
            Ok(session) => {
                info!(group = %group.name(), "connected to the group of masters");
                return Ok(session);
            }
            Err(error @ GroupError::Fatal(_)) => return Err(error),
            Err(error) => {
                let half = backoff.wait() / 2;
                let wait = half + random.duration_up_to(half);
                warn!(group = %group.name(), %error, ?wait, "no session with the group of masters, trying again");
                sleep(wait).await;
            }
        }
    }
}

/// Returns when the session is over: the service says so, or it has been out of reach for the
/// session's timeout.
pub async fn ended(connection: &mut BoxStream<'static, Connection>, timeout: Duration) {
    let mut lost = false;
    loop {
        let event = if lost {
            let mut patience = pin!(sleep(timeout));
            tokio::select! {
                biased;
                event = connection.next() => event,
                () = &mut patience => {
                    warn!(?timeout, "the group of masters was out of reach for the session's timeout");
                    return;
                }
            }
        } else {
            connection.next().await
        };
        match event {
            Some(Connection::Lost) => {
                info!("lost the connection to the group of masters, reconnecting");
                lost = true;
            }
            Some(Connection::Restored) => lost = false,
            Some(Connection::Expired) | None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_a_node_with_a_sequence_number() {
        let member = Membership::parse("json.info_0000000012").unwrap();
        assert_eq!((member.sequence, member.label.as_str()), (12, "json.info"));
        assert_eq!(Membership::parse("0000000007").map(|m| m.sequence), Some(7));
        assert_eq!(Membership::parse("log_replicas"), None);
        assert_eq!(Membership::parse("info_"), None);
    }

    #[test]
    fn the_lowest_sequence_comes_first_whatever_its_label() {
        let mut names = ["json.info_0000000010", "info_0000000009", "json.info_0000000002"]
            .map(|name| Membership::parse(name).unwrap());
        names.sort();
        assert_eq!(names.map(|m| m.sequence), [2, 9, 10]);
    }

    #[test]
    fn waits_double_from_two_seconds_to_a_minute() {
        let mut backoff = backoff();
        let waits = [0; 7].map(|_| backoff.wait().as_secs());
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.wait().as_secs(), 2);
    }

    #[test]
    fn waits_stay_at_a_minute_for_ever() {
        let mut backoff = backoff();
        assert_eq!((0..1000).map(|_| backoff.wait().as_secs()).last(), Some(60));
    }

    /// Out of reach until then; it says something else from then on.
    struct Away {
        until: tokio::time::Instant,
    }

    impl Group for Away {
        fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Session>, GroupError>> {
            let is_back = tokio::time::Instant::now() >= self.until;
            let error =
                if is_back { GroupError::Fatal("back".into()) } else { GroupError::Retry("away".into()) };
            Box::pin(async move { Err(error) })
        }

        fn name(&self) -> String {
            "away".into()
        }
    }

    #[test]
    fn a_group_that_was_away_for_long_is_found_soon_after_it_is_back() {
        libprocess::testing::run(async {
            let began = tokio::time::Instant::now();
            let until = began + Duration::from_secs(3600);
            let found = connect(&Away { until }, &Random::seeded(1)).await;
            assert_eq!(found.err(), Some(GroupError::Fatal("back".into())));
            assert!(until.elapsed() <= Duration::from_secs(5), "{:?} late", until.elapsed());
        });
    }

    /// They have lost it in the same moment.
    #[test]
    fn those_who_wait_for_a_group_do_not_all_come_at_once() {
        libprocess::testing::run(async {
            let until = tokio::time::Instant::now() + Duration::from_secs(60);
            let come = |seed| async move {
                assert!(connect(&Away { until }, &Random::seeded(seed)).await.is_err());
                until.elapsed()
            };
            let waits = futures::future::join_all((0..100).map(come)).await;
            for second in 0..4 {
                let is_within = |wait: &&Duration| wait.as_secs() == second;
                let come = waits.iter().filter(is_within).count();
                assert!(come < 50, "{come} of 100 in second {second}: {waits:?}");
            }
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(5)), "{waits:?}");
        });
    }
}
