//! One subscriber's stream: the state first, then what has happened since.
//!
//! The state is rendered on another thread, and read by the subscriber as fast as it likes. What happens meanwhile waits
//! here, so that nothing is missing and nothing comes twice. Both queues are bounded, this one and the stream's own:
//! a subscriber that falls behind is cut off. The master never waits.

use std::sync::Arc;

use bytes::Bytes;
use libprocess::http::{Body, StreamSender, stream};
use parking_lot::Mutex;

use crate::rendering::Pieces;

/// Bytes of events that may wait until the subscriber has read the state.
const BACKLOG: usize = 16 << 20;

/// Bytes of the state that wait in the stream before more is put there.
const AHEAD: usize = 4 << 20;

/// The writing end.
pub(super) struct Feed {
    sender: StreamSender,
    /// `None` once the state is out: events go straight into the stream.
    backlog: Mutex<Option<Backlog>>,
}

#[derive(Default)]
struct Backlog {
    records: Vec<Bytes>,
    bytes: usize,
}

impl Feed {
    /// A stream that begins with a state to come, and the body of the answer that it becomes.
    pub(super) fn new() -> (Arc<Self>, Body) {
        let (sender, body) = stream();
        (Arc::new(Self { sender, backlog: Mutex::new(Some(Backlog::default())) }), body)
    }

    /// Resolves when nobody reads any more.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        self.sender.closed()
    }

    /// Ends the stream behind what was written.
    pub(super) fn close(&self) {
        self.sender.close();
    }

    /// Writes a record, or keeps it until its turn. False if the subscriber is gone, or has fallen behind: then its
    /// stream is broken off.
    pub(super) fn send(&self, record: &Bytes) -> bool {
        let mut backlog = self.backlog.lock();
        let Some(waiting) = backlog.as_mut() else { return self.sender.send(record.clone()).is_ok() };
        if self.sender.is_closed() {
            return false;
        }
        waiting.bytes += record.len();
        if waiting.bytes > BACKLOG {
            self.sender.abort();
            return false;
        }
        waiting.records.push(record.clone());
        true
    }

    /// Writes the first record, the state, and then what has waited for it.
    pub(super) async fn begin(&self, state: Pieces) {
        let mut record = Pieces::new();
        record.text(format!("{}\n", state.len()));
        record.append(&state);
        for piece in record.into_pieces() {
            self.sender.drained(AHEAD).await;
            if self.sender.send(piece).is_err() {
                return;
            }
        }
        let mut backlog = self.backlog.lock();
        for record in backlog.take().unwrap_or_default().records {
            if self.sender.send(record).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn begin(feed: &Feed, state: Pieces) -> bool {
        feed.begin(state).now_or_never().is_some()
    }

    #[test]
    fn what_happens_while_the_state_is_rendered_comes_behind_it() {
        let (feed, body) = Feed::new();
        assert!(feed.send(&Bytes::from_static(b"1\na")));
        assert!(begin(&feed, b"state".to_vec().into()));
        assert!(feed.send(&Bytes::from_static(b"1\nb")));
        feed.close();
        assert_eq!(body.collect().now_or_never().unwrap(), "5\nstate1\na1\nb");
        assert!(!feed.send(&Bytes::from_static(b"1\nc")));
    }

    #[test]
    fn who_does_not_read_the_state_is_cut_off_when_too_much_has_happened() {
        let (feed, body) = Feed::new();
        let large = Bytes::from(vec![b' '; AHEAD + 1]);
        let mut state = Pieces::new();
        state.share(&large);
        state.share(&large);
        // The second piece waits for the first to be read.
        let mut begun = Box::pin(feed.begin(state));
        assert!(begun.as_mut().now_or_never().is_none());
        let event = Bytes::from(vec![b' '; BACKLOG / 2]);
        assert!(feed.send(&event) && feed.send(&event));
        assert!(!feed.send(&event));
        assert!(begun.as_mut().now_or_never().is_some());
        drop(body);
        assert!(!feed.send(&event));
    }
}
