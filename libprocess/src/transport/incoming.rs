//! Connections that others open: who they are, and the loop that reads a peer's messages.
//!
//! One port serves two kinds of conversation. A peer is served here, by httparse over the socket; anybody else is
//! handed to `crate::http::serve`. Everything runs on the node's HTTP thread; delivering is a push into a queue.
//!
//! Back-pressure: nothing is read while answers cannot be written, nor while the queue of the actor that was written
//! to last is longer than [`HIGH_WATER`]. One slow actor so holds up its peers' other messages on that connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::format::{Head, Kind, MAX_HEAD, MessageDecoder, Status, kind, write_answer};
use super::{Delivery, keep_alive};
use crate::node::Node;
use crate::wire::Encoding;

/// Events in an actor's queue above which its peers are not read.
const HIGH_WATER: usize = 100_000;
/// How often a long queue is looked at.
const DRAIN_POLL: Duration = Duration::from_millis(5);
/// Bytes of answers that are written at once, at the latest.
const ANSWERS: usize = 32 << 10;
/// Bytes that are read at once, at least.
const READ: usize = 64 << 10;
/// How long after its first byte a connection may stay unclear before it is taken for a client's.
const FIRST_BYTES: Duration = Duration::from_secs(10);
/// After an accept that failed (no file descriptors, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts until the node stops. Runs on an arbiter.
pub(super) async fn accept(node: Node, listener: std::net::TcpListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot accept connections");
            return;
        }
    };
    let mut stopped = std::pin::pin!(node.stopped());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let node = node.clone();
                let stopped = node.stopped();
                actix_rt::spawn(async move {
                    tokio::select! {
                        biased;
                        () = stopped => {}
                        () = serve(node, stream, peer) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(node: Node, stream: TcpStream, peer: SocketAddr) {
    // Answers and streamed events are small and must not wait for more.
    let _ = stream.set_nodelay(true);
    let _ = keep_alive(&stream);
    // A connection may be opened long before it is used: Mesos's C++ scheduler library does that.
    if !matches!(stream.peek(&mut [0]).await, Ok(1)) {
        return;
    }
    match tokio::time::timeout(FIRST_BYTES, first_bytes(&stream)).await {
        Ok(Ok(Kind::Peer)) => serve_peer(node, stream, peer).await,
        Ok(Ok(_)) | Err(_) => crate::http::serve(node, stream, peer).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection ended before its first request"),
    }
}

/// Looks at the first request without reading it, until it shows who speaks.
async fn first_bytes(stream: &TcpStream) -> std::io::Result<Kind> {
    let mut first = vec![0; MAX_HEAD];
    let mut pause = Duration::from_millis(1);
    let mut seen = 0;
    loop {
        let length = stream.peek(&mut first).await?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match kind(&first[..length]) {
            Kind::Unclear if length < first.len() => {}
            Kind::Unclear => return Ok(Kind::Client),
            clear => return Ok(clear),
        }
        // A peek does not wait for more than was there before; heads in pieces are rare.
        if length == seen {
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        seen = length;
        tokio::time::sleep(pause).await;
    }
}

async fn serve_peer(node: Node, mut stream: TcpStream, peer: SocketAddr) {
    let mut conversation = Conversation::new(node);
    let mut buffer = BytesMut::with_capacity(READ);
    loop {
        let go_on = conversation.take(&mut buffer);
        if !conversation.answers.is_empty() {
            if stream.write_all(&conversation.answers).await.is_err() {
                return;
            }
            conversation.answers.clear();
        }
        match go_on {
            Go::OnTaking => continue,
            Go::Away => return,
            Go::OnReading => {}
        }
        conversation.wait_for_queue().await;
        buffer.reserve(READ);
        match stream.read_buf(&mut buffer).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%peer, %error, "a peer's connection broke");
                return;
            }
        }
    }
}

/// What comes after the answers are written.
enum Go {
    OnTaking,
    OnReading,
    Away,
}

/// One peer's connection, without its socket.
struct Conversation {
    node: Node,
    decoder: MessageDecoder,
    answers: BytesMut,
    /// Whether the peer announced the schema that we have.
    same_schema: bool,
    /// The actor that the last message was for.
    target: String,
}

impl Conversation {
    fn new(node: Node) -> Conversation {
        let (decoder, answers) = (MessageDecoder::default(), BytesMut::new());
        Conversation { node, decoder, answers, same_schema: false, target: String::new() }
    }

    /// Delivers the messages in the buffer and collects the answers.
    fn take(&mut self, buffer: &mut BytesMut) -> Go {
        loop {
            match self.decoder.next(buffer) {
                Ok(None) => return Go::OnReading,
                Ok(Some((head, body))) => {
                    if !self.deliver(&head, &body) || head.close {
                        return Go::Away;
                    }
                    self.target = head.id;
                }
                Err(error) => {
                    tracing::warn!(%error, "closing a peer's connection");
                    write_answer(&mut self.answers, Status::BadRequest, None);
                    return Go::Away;
                }
            }
            if self.answers.len() >= ANSWERS {
                return Go::OnTaking;
            }
        }
    }

    /// False if the connection is of no use any more.
    fn deliver(&mut self, head: &Head, body: &[u8]) -> bool {
        let ours = self.node.settings().schema.as_deref();
        if head.schema.is_some() {
            self.same_schema = head.schema.as_deref() == ours;
        }
        let encoding = if head.bincode { Encoding::Bincode } else { Encoding::Protobuf };
        if head.bincode && !self.same_schema {
            tracing::warn!(from = %head.from, message = head.name, "refusing bincode of another schema");
            write_answer(&mut self.answers, Status::BadRequest, None);
            return false;
        }
        let status = match self.node.deliver(&head.id, &head.name, head.from.clone(), encoding, body) {
            Delivery::Accepted => Status::Accepted,
            Delivery::NoActor => Status::NotFound,
            // As upstream, which decodes after it has answered.
            Delivery::Undecodable(error) => {
                tracing::warn!(from = %head.from, message = head.name, %error, "dropping a message");
                Status::Accepted
            }
        };
        // Only who announced a schema is told ours: to others an answer looks as upstream's.
        write_answer(&mut self.answers, status, ours.filter(|_| head.schema.is_some()));
        true
    }

    async fn wait_for_queue(&self) {
        if self.node.waiting(&self.target) <= HIGH_WATER {
            return;
        }
        tracing::warn!(actor = self.target, "a queue is long: its peers wait");
        while self.node.waiting(&self.target) > HIGH_WATER / 2 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }
}
