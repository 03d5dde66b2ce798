//! Waiting for a change in etcd: a request whose answer comes in pieces, one a line.
//!
//! What is promised is that no change is missed: a watch begins at a revision and sees all that came after it, and one
//! that ends for whatever reason says so. It ends, too, when the client turns to another server: who keeps asking (a
//! session's keep-alive) finds out that way that a silent server does not answer any more.

use bytes::BytesMut;
use libprocess::http::ClientResponse;

use super::api::{Range, Streamed, WatchCreateRequest, WatchRequest, WatchResponse};
use super::client::{Client, EtcdError, Failure, passing};

const CALL: &str = "/v3/watch";

/// The longest piece of an answer. etcd puts the changes of one revision into one piece.
const LONGEST_LINE: usize = 16 << 20;

impl Client {
    /// Returns at the first change of a key of `range` in `revision` or later.
    ///
    /// # Errors
    /// When the watch was broken off or could not begin, for instance because the revision was compacted: there may have
    /// been a change or not.
    pub async fn changed(&self, range: Range, revision: i64) -> Result<(), EtcdError> {
        let mut current = self.current.subscribe();
        let server = *current.borrow_and_update();
        tokio::select! {
            biased;
            changed = self.first_change(server, range, revision) => changed.map_err(|failure| match failure {
                Failure::Passing(why) => EtcdError::Unavailable(why),
                Failure::Refused(error) => error,
            }),
            _ = current.wait_for(|now| *now != server) => {
                Err(EtcdError::Unavailable("another server is asked now".to_owned()))
            }
        }
    }

    async fn first_change(&self, server: usize, range: Range, revision: i64) -> Result<(), Failure> {
        let create_request = WatchCreateRequest { range, start_revision: revision };
        let mut answer = Lines::of(self.send(server, CALL, &WatchRequest { create_request }).await?);
        loop {
            let line = answer.next().await?;
            match self.read(server, CALL, &line)? {
                Streamed::<WatchResponse> { error: Some(refusal), .. } => {
                    return Err(self.refused(server, CALL, refusal));
                }
                Streamed { result: Some(seen), .. } if seen.canceled => {
                    let WatchResponse { cancel_reason, compact_revision, .. } = seen;
                    let why =
                        format!("the watch was cancelled: {cancel_reason} (compacted {compact_revision})");
                    return Err(Failure::Passing(why));
                }
                Streamed { result: Some(seen), .. } if !seen.events.is_empty() => return Ok(()),
                // It has begun, or shows that it is alive.
                Streamed { .. } => {}
            }
        }
    }
}

/// The lines of an answer.
struct Lines {
    response: ClientResponse,
    buffer: BytesMut,
}

impl Lines {
    fn of(response: ClientResponse) -> Lines {
        Lines { response, buffer: BytesMut::new() }
    }

    /// The next one that is not empty. An answer that ends is broken off.
    async fn next(&mut self) -> Result<BytesMut, Failure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                if !line.trim_ascii().is_empty() {
                    return Ok(line);
                }
                continue;
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err(passing(format!(
                    "a piece of a watch's answer is longer than {LONGEST_LINE} bytes"
                )));
            }
            match self.response.chunk().await.map_err(passing)? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Err(passing("the watch was closed")),
            }
        }
    }
}
