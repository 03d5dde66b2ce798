//! Connections that others open: who they are, and the loop that reads a peer's messages.
//!
//! One port serves two kinds of conversation. A peer is served here, by httparse over the socket; anybody else is
//! handed to `crate::http::serve`. Both may be behind TLS, which shows in a connection's first byte.
//! Everything runs on the node's HTTP thread, but large messages are read beside it; delivering is a push into a queue.
//!
//! A peer of our own kind, which needs no 202, gets those of a while together (`super::answers`). All others are answered
//! at once: who is not known may send its next message only when the last is answered.
//!
//! Back-pressure: nothing is read while answers cannot be written, nor while the queue of an actor that was just written
//! to holds more than [`HIGH_WATER`]. One slow actor so holds up its peers' other messages on that connection.
//! A message that comes too slowly, or a peer that does not take its answers, ends the conversation. Nothing is read,
//! either, while the node's budget for what is being read has no room for it. If the messages of many have come in part,
//! none may be whole when the budget is exhausted: then they go on one by one (as when all agents of a large cluster
//! report to a new master). Who had no patience left is closed, so that nobody waits for ever.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};

use super::answers::Answers;
use super::format::{Head, Kind, MAX_HEAD, MessageDecoder, Status, kind};
use super::order::Turn;
use super::{Delivery, keep_alive};
use crate::beside::LARGE_MESSAGE;
use crate::budget::Share;
use crate::crowd::{Activity, Visit};
use crate::http::Origin;
use crate::mailbox::Waiting;
use crate::node::Node;
use crate::pace::Pace;
use crate::simulation::Site;
use crate::stream::{self, Stream};
use crate::tls;
use crate::wire::Encoding;

/// What may wait in an actor's queue before its peers are not read any more.
const HIGH_WATER: Waiting = Waiting { events: 100_000, bytes: 64 << 20 };
/// How long the head of a message may take from its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a body waits for memory before it insists: those whose messages are whole soon give theirs back.
const STUCK: Duration = Duration::from_secs(1);
/// How soon a connection looks again whether a long queue is shorter, or whether there is memory; and how soon at last, since
/// thousands may look, and an actor that is late must not be held up by them.
const DRAIN_POLL: Duration = Duration::from_millis(5);
const LONGEST_POLL: Duration = Duration::from_millis(50);
/// Bytes that are read at once, at least, from a peer that sends much.
const READ: usize = 64 << 10;
/// Bytes that are read at once from others, and at first: most connections are silent most of the time.
const READ_LITTLE: usize = 4 << 10;
/// How long after its first byte a connection may stay unclear before it is taken for a client's.
const FIRST_BYTES: Duration = Duration::from_secs(10);
/// What somebody is told who does not speak TLS where it must be spoken.
const IN_THE_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\
    Content-Length: 43\r\n\r\nThis port speaks TLS only (https, not http)";

/// Where connections come from.
pub(crate) enum Listener {
    /// The host's network.
    Tcp(std::net::TcpListener),
    /// A simulated one.
    Simulated(Site),
}

/// Accepts until the node stops. Runs on an arbiter.
pub(super) async fn accept(node: Node, listener: Listener) {
    let of_port = |peer| Origin { node: node.clone(), peer, paths: None };
    match listener {
        Listener::Simulated(site) => {
            let serve = |stream, peer, visit| converse(of_port(peer), Stream::Simulated(stream), visit);
            crate::accept::accept(&node, async || Ok(site.accept().await), |_| (), serve).await;
            site.leave();
        }
        Listener::Tcp(listener) => match TcpListener::from_std(listener) {
            Ok(listener) => {
                // Who is behind a handshake could not read an answer.
                let refuse = |stream: &TcpStream| {
                    if node.tls().is_none() {
                        crate::http::refuse(stream);
                    }
                };
                let serve = |stream, peer, visit| serve(of_port(peer), stream, visit);
                crate::accept::accept(&node, async || listener.accept().await.map(Some), refuse, serve).await;
            }
            Err(error) => tracing::error!(%error, "cannot accept connections"),
        },
    }
}

async fn serve(origin: Origin, stream: TcpStream, visit: Visit) {
    // Answers and streamed events are small and must not wait for more.
    let _ = stream.set_nodelay(true);
    let _ = keep_alive(&stream);
    let mut first = [0];
    if !matches!(stream.peek(&mut first).await, Ok(1)) {
        return;
    }
    if let Some(stream) = secure(&origin.node, stream, first[0], origin.peer).await {
        converse(origin, stream, visit).await;
    }
}

/// Talks to whoever it is. A connection may be opened long before it is used: Mesos's C++ scheduler library does that.
pub(crate) async fn converse(origin: Origin, mut stream: Stream, mut visit: Visit) {
    let (peer, takes_messages) = (origin.peer, origin.paths.is_none());
    let mut buffer = BytesMut::new();
    match first_bytes(&mut stream, &mut buffer).await {
        Ok(Kind::Peer) if takes_messages && visit.becomes_peer() => {
            serve_peer(origin.node, stream, buffer, peer, visit.activity()).await;
        }
        Ok(Kind::Peer) if takes_messages => {
            tracing::warn!(%peer, "refusing a node's connection: there are too many");
        }
        // Apart: a server of HTTP takes some 8 kB, which each peer's connection would have room for.
        Ok(_) => Box::pin(crate::http::serve(origin, stream, buffer, Rc::clone(visit.activity()))).await,
        Err(error) => tracing::debug!(%peer, %error, "a connection ended before its first request"),
    }
}

/// The connection as others shall see it, given its first byte: behind the handshake if this node speaks TLS, unless
/// who connects does not and need not.
async fn secure(node: &Node, stream: TcpStream, first: u8, peer: SocketAddr) -> Option<Stream> {
    let Some(tls) = node.tls() else { return Some(Stream::Tcp(stream)) };
    if first != tls::FIRST_BYTE {
        if tls.supports_downgrade() {
            return Some(Stream::Tcp(stream));
        }
        tracing::info!(%peer, "refusing a connection in the clear");
        tls::refuse(stream, IN_THE_CLEAR).await;
        return None;
    }
    // Apart: what a handshake needs, each connection would have room for until its end.
    match Box::pin(tls.accept(stream)).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::warn!(%peer, %error, "refusing a connection: the TLS handshake failed");
            None
        }
    }
}

/// Reads until the first request shows who speaks. What comes too slowly, or is never clear, is a client's.
async fn first_bytes(stream: &mut Stream, buffer: &mut BytesMut) -> std::io::Result<Kind> {
    read_some(stream, buffer).await?;
    let clear = async {
        loop {
            match kind(buffer) {
                Kind::Unclear if buffer.len() < MAX_HEAD => read_some(stream, buffer).await?,
                Kind::Unclear => return Ok(Kind::Client),
                clear => return Ok(clear),
            }
        }
    };
    tokio::time::timeout(FIRST_BYTES, clear).await.unwrap_or(Ok(Kind::Client))
}

async fn read_some(stream: &mut Stream, buffer: &mut BytesMut) -> std::io::Result<()> {
    match stream::read(stream, buffer, READ_LITTLE).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Talks to a peer until one of both has enough. `buffer` holds what was read already.
async fn serve_peer(
    node: Node,
    mut stream: Stream,
    mut buffer: BytesMut,
    peer: SocketAddr,
    activity: &Activity,
) {
    let mut stopped = std::pin::pin!(node.stopped());
    // Kept, because it mostly rings for the same time: a timer for each read would cost more.
    let mut alarm = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
    let mut conversation = Conversation::new(node, peer);
    let mut appetite = READ_LITTLE;
    loop {
        let go_on = conversation.take(&mut buffer).await;
        if (matches!(go_on, Go::Away) || conversation.answers.are_due())
            && give(&mut conversation.answers, peer, &mut stream).await.is_err()
        {
            return;
        }
        match go_on {
            Go::OnTaking => continue,
            Go::Away => return,
            Go::OnReading => {}
        }
        match conversation.wait_for_room(&mut stream).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(%peer, "closing a peer's connection: there is no memory for its message");
                return;
            }
            Err(_) => return,
        }
        activity.rest();
        match conversation.hear(&mut stream, &mut buffer, appetite, stopped.as_mut(), alarm.as_mut()).await {
            Heard::Bytes(length) => appetite = if length >= READ_LITTLE { READ } else { READ_LITTLE },
            Heard::Nothing => continue,
            Heard::End => {
                let _ = give(&mut conversation.answers, peer, &mut stream).await;
                return;
            }
        }
        activity.work();
    }
}

/// Gives a peer the answers that wait for it.
async fn give(answers: &mut Answers, peer: SocketAddr, stream: &mut Stream) -> std::io::Result<()> {
    let given = answers.write(stream).await;
    if given.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
        tracing::info!(%peer, "closing a peer's connection: it does not take its answers");
    }
    given
}

/// What waiting for more came to.
enum Heard {
    Bytes(usize),
    /// Answers are due meanwhile.
    Nothing,
    End,
}

/// What comes after the messages that were in the buffer.
enum Go {
    OnTaking,
    OnReading,
    Away,
}

/// One peer's connection, without its socket.
struct Conversation {
    node: Node,
    decoder: MessageDecoder,
    answers: Answers,
    /// Whether the peer announced a schema: it is of our kind.
    announced: bool,
    /// Whether that is the one that we have.
    same_schema: bool,
    /// Its place among the peer's connections, if it has one.
    turn: Option<Turn>,
    /// The actors that messages were for since their queues were looked at.
    targets: BTreeSet<String>,
    /// When the head that is not complete yet must be.
    head_until: Option<Instant>,
    /// The body that is not complete yet.
    body: Option<Coming>,
    share: Share,
    peer: SocketAddr,
}

/// How a body comes.
struct Coming {
    pace: Pace,
    bytes: usize,
}

impl Conversation {
    fn new(node: Node, peer: SocketAddr) -> Conversation {
        let (decoder, answers) = (MessageDecoder::default(), Answers::default());
        let share = node.requests().share(peer.ip());
        Conversation {
            node,
            decoder,
            answers,
            announced: false,
            same_schema: false,
            turn: None,
            targets: BTreeSet::new(),
            head_until: None,
            body: None,
            share,
            peer,
        }
    }

    /// Delivers the messages in the buffer and collects the answers.
    async fn take(&mut self, buffer: &mut BytesMut) -> Go {
        loop {
            match self.decoder.next(buffer) {
                Ok(None) => return Go::OnReading,
                Ok(Some((head, body))) => {
                    let (head, goes_on) = if body.len() < LARGE_MESSAGE {
                        let goes_on = self.deliver(&head, &body);
                        (head, goes_on)
                    } else {
                        // Apart: what it needs, each connection would have room for until its end.
                        Box::pin(self.deliver_large(head, body)).await
                    };
                    if !goes_on || head.close {
                        return Go::Away;
                    }
                    self.head_until = None;
                    self.body = None;
                    if !self.targets.contains(&head.id) {
                        self.targets.insert(head.id);
                    }
                }
                Err(error) => {
                    tracing::warn!(peer = %self.peer, %error, "closing a peer's connection");
                    self.answers.add(Status::BadRequest, None);
                    return Go::Away;
                }
            }
            if self.answers.are_many() {
                return Go::OnTaking;
            }
        }
    }

    /// False if the connection is of no use any more.
    fn deliver(&mut self, head: &Head, body: &[u8]) -> bool {
        match self.admit(head) {
            Ok(encoding) => {
                let delivery = self.node.deliver(&head.id, &head.name, head.from.clone(), encoding, body);
                self.answer(head, Some(delivery))
            }
            Err(goes_on) => goes_on,
        }
    }

    /// The same, of a message that is not read on this thread. Its node may open a later connection meanwhile.
    async fn deliver_large(&mut self, head: Head, body: Bytes) -> (Head, bool) {
        let goes_on = match self.admit(&head) {
            Ok(encoding) => {
                let is_latest = || self.turn.as_ref().is_none_or(Turn::is_latest);
                let (id, name, from) = (&head.id, &head.name, head.from.clone());
                let delivery = self.node.deliver_when_read(id, name, from, encoding, body, is_latest).await;
                self.answer(&head, delivery)
            }
            Err(goes_on) => goes_on,
        };
        (head, goes_on)
    }

    /// Whether a message is taken, and how its body is encoded; else whether the connection is of use all the same.
    fn admit(&mut self, head: &Head) -> Result<Encoding, bool> {
        if head.schema.is_some() {
            self.announced = true;
            self.same_schema = head.schema.as_deref() == self.node.settings().schema.as_deref();
        }
        let encoding = if head.bincode { Encoding::Bincode } else { Encoding::Protobuf };
        if head.bincode && !self.same_schema {
            tracing::warn!(from = %head.from, name = head.name, "refusing bincode of another schema");
            self.answers.add(Status::BadRequest, None);
            return Err(false);
        }
        if !self.node.believes(&head.from, self.peer) {
            tracing::warn!(from = %head.from, peer = %self.peer, "refusing a message: its sender lives elsewhere");
            self.answers.add(Status::Unbelieved, None);
            return Err(true);
        }
        if let Some(order) = head.order.filter(|_| self.turn.is_none()) {
            self.turn = Some(self.node.orders().begin(self.peer.ip(), order));
        }
        if self.turn.as_ref().is_some_and(|turn| !turn.is_latest()) {
            return Err(self.answer(head, None));
        }
        Ok(encoding)
    }

    /// Answers a message; one that was not delivered came over a connection that is not the latest. Whether the connection
    /// is of use.
    fn answer(&mut self, head: &Head, delivery: Option<Delivery>) -> bool {
        let status = match delivery {
            None => {
                tracing::info!(from = %head.from, name = head.name, "closing a peer's connection: it has a later one");
                return false;
            }
            Some(Delivery::Accepted) => Status::Accepted,
            Some(Delivery::NoActor) => Status::NotFound,
            // As upstream, which decodes after it has answered.
            Some(Delivery::Undecodable(error)) => {
                tracing::warn!(from = %head.from, name = head.name, %error, "dropping a message");
                Status::Accepted
            }
        };
        if status == Status::Accepted && self.announced && head.schema.is_none() {
            // A node that announces its schema no more has read an answer, and needs nothing of the others.
            self.answers.add_patient();
        } else {
            // Only who announced a schema is told ours: to others an answer looks as upstream's.
            let ours = self.node.settings().schema.as_deref();
            self.answers.add(status, ours.filter(|_| head.schema.is_some()));
        }
        true
    }

    /// Waits for more. `alarm` is whatever timer the last call left.
    async fn hear(
        &mut self,
        stream: &mut Stream,
        buffer: &mut BytesMut,
        appetite: usize,
        stopped: Pin<&mut impl Future<Output = ()>>,
        mut alarm: Pin<&mut Sleep>,
    ) -> Heard {
        let (patience, peer) = (self.patience(buffer), self.peer);
        let until = patience.into_iter().chain(self.answers.due()).min();
        if let Some(until) = until.filter(|until| *until != alarm.deadline()) {
            alarm.as_mut().reset(until);
        }
        tokio::select! {
            biased;
            () = stopped => Heard::End,
            read = stream::read(stream, buffer, appetite) => match read {
                Ok(0) => Heard::End,
                Ok(length) => Heard::Bytes(length),
                Err(error) => {
                    tracing::debug!(%peer, %error, "a peer's connection broke");
                    Heard::End
                }
            },
            () = alarm, if until.is_some() => {
                if patience.is_none_or(|patience| patience > Instant::now()) {
                    return Heard::Nothing;
                }
                tracing::info!(%peer, "closing a peer's connection: a message came too slowly");
                Heard::End
            }
        }
    }

    /// Until when more bytes must come; `None` between two messages.
    fn patience(&mut self, buffer: &BytesMut) -> Option<Instant> {
        if let Some(body) = &self.body {
            return Some(body.pace.deadline());
        }
        if buffer.is_empty() {
            return None;
        }
        Some(*self.head_until.get_or_insert_with(|| Instant::now() + HEAD_TIMEOUT))
    }

    /// Waits until more may be read; the answers do not wait that long. False if it never may.
    async fn wait_for_room(&mut self, stream: &mut Stream) -> std::io::Result<bool> {
        self.wait_for_queues(stream).await?;
        self.wait_for_memory(stream).await
    }

    /// Waits until the budget has room for the body that is coming. False if that takes longer than the body may.
    async fn wait_for_memory(&mut self, stream: &mut Stream) -> std::io::Result<bool> {
        let Some(bytes) = self.decoder.body_bytes() else {
            // What gets smaller is never refused.
            return Ok(self.share.set(0).is_ok());
        };
        let now = Instant::now();
        let body = self.body.get_or_insert_with(|| Coming { pace: Pace::new(now), bytes: 0 });
        body.pace.go_on(now);
        body.pace.moved(bytes.saturating_sub(body.bytes), now);
        body.bytes = bytes;
        let mut pause = DRAIN_POLL;
        while self.share.set(bytes).is_err() {
            let waiting = Instant::now();
            let is_stuck = self.share.has_turn() || waiting - now >= STUCK;
            if is_stuck && self.share.insist(bytes, waiting) {
                break;
            }
            give(&mut self.answers, self.peer, stream).await?;
            if Instant::now() >= body.pace.deadline() {
                return Ok(false);
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_POLL);
        }
        Ok(true)
    }

    /// Waits until no actor that was just written to has a long queue.
    async fn wait_for_queues(&mut self, stream: &mut Stream) -> std::io::Result<()> {
        if let Some(body) = &mut self.body {
            body.pace.pause(Instant::now());
        }
        for target in std::mem::take(&mut self.targets) {
            let above = |part: usize| {
                let Waiting { events, bytes } = self.node.waiting(&target);
                events > HIGH_WATER.events / part || bytes > HIGH_WATER.bytes / part
            };
            if !above(1) {
                continue;
            }
            tracing::warn!(actor = target, "a queue is long: its peers wait");
            give(&mut self.answers, self.peer, stream).await?;
            let mut pause = DRAIN_POLL;
            while above(2) {
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST_POLL);
            }
        }
        Ok(())
    }
}
