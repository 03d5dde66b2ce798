//! Whether a session lives: what the connection does, and for a member a count of its own.
//!
//! The service ends a session that has been silent for the time-out, but can tell us only when we reach it again. So a
//! member gives signs of life, and ends its session itself when none that it *sent* within the time-out was answered.
//! The service counts from when it received them, which is later: a leader knows that it leads no more before another
//! one does. (Upstream counts from when its client notices that the connection is lost: `GroupProcess::reconnecting`.)
//! Who only looks at the group loses nothing by being late, and spares the service the signs.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tracing::warn;
use zookeeper_client::{Client, SessionState, StateWatcher};

use crate::group::Connection;

/// A member gives so many signs of life within the time-out.
const SIGNS: u32 = 5;

/// When a member has sent what was answered last; `None` for who is no member.
pub(super) type LastSign = Arc<Mutex<Option<Instant>>>;

/// See the module.
pub(super) struct Life {
    /// Not held: dropping the session ends it, whoever still watches its life.
    client: Weak<Client>,
    /// What is asked for as a sign of life.
    path: String,
    watcher: StateWatcher,
    alive: LastSign,
    /// When the next sign is due.
    next: Instant,
    over: bool,
}

impl Life {
    pub(super) fn new(client: &Arc<Client>, path: &str, alive: &LastSign) -> Self {
        Self {
            watcher: client.state_watcher(),
            client: Arc::downgrade(client),
            path: path.to_owned(),
            alive: Arc::clone(alive),
            next: Instant::now(),
            over: false,
        }
    }

    /// The next thing that happens. Nothing does after the end: the watcher would be silent for ever.
    pub(super) async fn next(mut self) -> Option<(Connection, Self)> {
        if self.over {
            return None;
        }
        let event = self.live().await;
        self.over = event == Connection::Expired;
        Some((event, self))
    }

    async fn live(&mut self) -> Connection {
        loop {
            let Some(timeout) = self.client.upgrade().map(|client| client.session_timeout()) else {
                return Connection::Expired;
            };
            let end = self.alive.lock().map(|alive| alive + timeout);
            tokio::select! {
                biased;
                // First: who was stopped for so long may find old answers, too.
                () = sleep_until(end.unwrap_or(self.next)), if end.is_some() => {
                    warn!(?timeout, "no answer from ZooKeeper for the session's timeout");
                    return Connection::Expired;
                }
                state = self.watcher.changed() => return match state {
                    SessionState::Disconnected => Connection::Lost,
                    SessionState::SyncConnected | SessionState::ConnectedReadOnly => Connection::Restored,
                    _ => Connection::Expired,
                },
                sent = give_sign(&self.client, &self.path, &self.alive, self.next) => {
                    if sent.is_some() {
                        *self.alive.lock() = sent;
                    }
                    self.next = Instant::now() + timeout / SIGNS;
                }
            }
        }
    }
}

/// Waits until the sign is due; when it was sent, if it was answered.
async fn give_sign(client: &Weak<Client>, path: &str, alive: &LastSign, due: Instant) -> Option<Instant> {
    sleep_until(due).await;
    if alive.lock().is_none() {
        return None;
    }
    let sent = Instant::now();
    // Held for this one request. It goes through ZooKeeper's leader: a follower that is cut off from it answers reads by
    // itself, while the session ends.
    let client = client.upgrade()?;
    client.sync(path).await.is_ok().then_some(sent)
}
