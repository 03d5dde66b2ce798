//! Waiting for a change in etcd: a request whose answer comes in pieces, one a line.
//!
//! What is promised is that no change is missed: a watch begins at a revision and sees all that came after it, and one
//! that ends for whatever reason says so. It ends, too, when the client turns to another server, or has found none that
//! answers: a watch cannot tell a server that has nothing to say from one that is gone, but who keeps asking (a session's
//! keep-alive) can.

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
            _ = current.changed() => {
                Err(EtcdError::Unavailable("the server that was watched has not answered".to_owned()))
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::time::Duration;

    use super::super::api::RangeRequest;
    use super::super::testing::{answer, next_path};
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    /// A server that has nothing to say to watches, and says nothing else either once it is `silent`.
    struct Server {
        address: String,
        silent: Arc<AtomicBool>,
        watched: Arc<AtomicBool>,
    }

    impl Server {
        fn start() -> Server {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let (silent, watched) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
            let (is_silent, is_watched) = (silent.clone(), watched.clone());
            std::thread::spawn(move || {
                // Kept: what is silent does not hang up.
                let mut open = Vec::new();
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    if next_path(&stream).unwrap() == CALL {
                        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
                        is_watched.store(true, SeqCst);
                    } else if !is_silent.load(SeqCst) {
                        answer(&stream, "200 OK", r#"{"header":{"revision":"7"}}"#);
                    }
                    open.push(stream);
                }
            });
            Server { address, silent, watched }
        }
    }

    /// There is no server to turn to; a watch that went on with this one could miss all that happens from now on.
    #[test]
    fn a_watch_ends_when_the_only_server_has_not_answered() {
        libprocess::run(async {
            let server = Server::start();
            let url = format!("etcd://{}/mesos", server.address).parse().unwrap();
            let client = Client::new(&url, PATIENCE);
            let members = || Range::prefix("/mesos/");
            let asking = async {
                while !server.watched.load(SeqCst) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let answer = client.range(&RangeRequest::all(members())).await;
                assert_eq!(answer.unwrap().header.revision, 7);
                server.silent.store(true, SeqCst);
                client.range(&RangeRequest::all(members())).await.unwrap_err();
                // Time for the watch to end in.
                tokio::time::sleep(PATIENCE).await;
            };
            let ended = tokio::select! {
                biased;
                ended = client.changed(members(), 1) => Some(ended),
                () = asking => None,
            };
            assert!(matches!(ended, Some(Err(EtcdError::Unavailable(_)))), "{ended:?}");
            assert!(server.silent.load(SeqCst), "it ends no earlier");
        });
    }
}
