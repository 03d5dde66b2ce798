//! The connections that this node opens: one persistent, pipelined connection for each peer.
//!
//! A message is formatted at once, behind those that wait, into the connection's one buffer; the writer takes the whole
//! buffer and writes it, so that what queues up while it writes, or in one turn of an actor, leaves in one piece.
//! Answers are read and forgotten. The buffer is bounded by [`DEFAULT_QUEUE_LIMIT`] bytes, or what
//! [`crate::NodeBuilder::queue_limit`] says: past it the connection is broken and what waits is dropped, as when the
//! peer is gone; whoever is linked is told. A connection that cannot be opened within [`CONNECT`] likewise. One that
//! nobody needs for [`IDLE`] is closed.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::format::{Announced, AnswerDecoder, MAX_BODY, Printed, write_message};
use super::order::Order;
use super::{Listener, Outgoing, incoming, keep_alive};
use crate::latch::Latch;
use crate::node::{Node, WeakNode};
use crate::process::Place;
use crate::simulation::Site;
use crate::stream::{self, Stream, write};
use crate::tls::Tls;
use crate::turn;
use crate::wire::Encoding;

/// Bytes that may wait for one peer, unless the node says otherwise: four of the longest messages.
pub(crate) const DEFAULT_QUEUE_LIMIT: usize = 4 * MAX_BODY;
/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// After how long a connection that no link needs is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How long a shutdown waits for what is to be written.
const FLUSH: Duration = Duration::from_secs(2);
/// So many bytes are written although the actor that sends them still has its turn.
const PIECE: usize = 32 << 10;
/// Bytes of answers that are read at once: each is short, and a peer of our kind sends those of a while together.
const READ: usize = 4 << 10;
/// A buffer that grew beyond this is not kept.
const KEPT_BUFFER: usize = 1 << 20;

/// Carries messages to other nodes over HTTP/1.1, as upstream does.
pub(crate) struct Transport {
    node: Mutex<Option<WeakNode>>,
    /// Taken when the node starts.
    listener: Mutex<Option<Listener>>,
    /// Open once the listener is closed.
    closed: Arc<Latch>,
    connections: Arc<Connections>,
    /// Tells the lives of a node apart; drawn when it opens its first connection.
    life: OnceLock<u64>,
    /// How many it has opened.
    opened: AtomicU64,
    queue_limit: usize,
}

impl Transport {
    /// What is accepted comes from `listener`; up to `queue_limit` bytes may wait for one peer.
    pub(crate) fn new(listener: Listener, queue_limit: usize) -> Transport {
        Transport {
            node: Mutex::new(None),
            listener: Mutex::new(Some(listener)),
            closed: Arc::default(),
            connections: Arc::default(),
            life: OnceLock::new(),
            opened: AtomicU64::new(0),
            queue_limit,
        }
    }

    /// Begins to accept. Called once, before any actor starts.
    pub(crate) fn start(&self, node: &Node) {
        *self.node.lock() = Some(node.downgrade());
        let Some(listener) = self.listener.lock().take() else { return };
        if let Listener::Simulated(site) = &listener {
            site.listen(node);
        }
        let (node, closed) = (node.clone(), self.closed.clone());
        node.clone().start_at(Place::Http, move || {
            actix_rt::spawn(async move {
                incoming::accept(node, listener).await;
                closed.open();
            });
        });
    }

    /// Sends a message, in order with others of the same pair, or drops it. Does not block.
    pub(crate) fn send(&self, message: Outgoing<'_>) {
        // A connection that closes in peace while we look at it is followed by another; that is not closed so soon.
        for _ in 0..2 {
            let Some(connection) = self.connection(message.to.address()) else { return };
            match connection.push(&message) {
                Pushed::Yes => return,
                Pushed::Closing => {}
                Pushed::Overflow => {
                    // The next message opens another one; what this one's end means is told now.
                    self.connections.forget(&connection);
                    if let Some(node) = self.node.lock().as_ref().and_then(WeakNode::upgrade) {
                        node.connection_closed(message.to.address());
                    }
                    return;
                }
            }
        }
        tracing::debug!(?message, "dropping a message: its connection is closing");
    }

    /// Someone watches an actor of that node: a connection is kept open, and [`Node::connection_closed`] called when it
    /// closes or cannot be opened. With `reconnect` a present connection is replaced without that call.
    pub(crate) fn link(&self, to: SocketAddr, reconnect: bool) {
        if !reconnect {
            self.connection(to);
            return;
        }
        let mut open = self.connections.0.lock();
        let old = open.remove(&to);
        // What the old one has sent is as good as what comes on the new one: they have one place in the order.
        let (unsent, order) = old.map(|old| (old.replace(), old.order)).unzip();
        if let Some(connection) = self.open(to, unsent.unwrap_or_default(), order) {
            open.insert(to, connection);
        }
    }

    /// Ends the connection to a peer, if there is one: what it has not received is dropped. Whoever is linked is to be told.
    pub(crate) fn disconnect(&self, to: SocketAddr) {
        if let Some(connection) = self.connections.0.lock().remove(&to) {
            drop(connection.leave(Phase::Abandoned));
        }
    }

    /// Writes what waits, and closes everything.
    pub(crate) async fn shutdown(&self) {
        let open = std::mem::take(&mut *self.connections.0.lock());
        let closed = self.closed.opened();
        let flushed = async {
            for connection in open.into_values() {
                connection.finish().await;
            }
            closed.await;
        };
        let _ = tokio::time::timeout(FLUSH, flushed).await;
    }

    /// The connection to a peer; opened if there is none.
    fn connection(&self, to: SocketAddr) -> Option<Arc<Connection>> {
        let mut open = self.connections.0.lock();
        if let Some(connection) = open.get(&to).filter(|connection| !connection.is_closed()) {
            return Some(Arc::clone(connection));
        }
        let connection = self.open(to, BytesMut::new(), None)?;
        open.insert(to, Arc::clone(&connection));
        Some(connection)
    }

    /// A new connection, with the next place in the order unless it takes another's; `None` if the node is gone.
    fn open(&self, to: SocketAddr, buffer: BytesMut, order: Option<Order>) -> Option<Arc<Connection>> {
        let weak = self.node.lock().clone()?;
        let node = weak.upgrade()?;
        let order = order.unwrap_or_else(|| Order {
            life: *self.life.get_or_init(|| node.random().below(u64::MAX)),
            number: self.opened.fetch_add(1, Ordering::Relaxed),
        });
        let schema = node.settings().schema.clone();
        let connection = Arc::new(Connection::new(to, buffer, schema, order, self.queue_limit));
        let (running, connections) = (Arc::clone(&connection), Arc::clone(&self.connections));
        node.run_at(Place::Http, running.run(weak, connections)).then_some(connection)
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// The open connections by peer.
#[derive(Default)]
struct Connections(Mutex<BTreeMap<SocketAddr, Arc<Connection>>>);

impl Connections {
    /// Forgets a connection; false if another has taken its place, or it was forgotten before.
    fn forget(&self, connection: &Arc<Connection>) -> bool {
        let mut open = self.0.lock();
        let known = open.get(&connection.to).is_some_and(|known| Arc::ptr_eq(known, connection));
        if known {
            open.remove(&connection.to);
        }
        known
    }
}

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Write what waits, then close.
    Finishing,
    /// It broke, or too much waited.
    Broken,
    /// Another one took its place: nobody is told that this one closes.
    Replaced,
    /// The peer shall not have what it has not received. Who is linked is told by who says so.
    Abandoned,
}

struct Pending {
    buffer: BytesMut,
    /// Who sent the last message.
    sender: Printed,
    phase: Phase,
    connected: bool,
}

/// What is known of the peer's schema.
const UNKNOWN: u8 = 0;
const OTHER: u8 = 1;
const EQUAL: u8 = 2;

pub(crate) struct Connection {
    to: SocketAddr,
    pending: Mutex<Pending>,
    /// Bytes that may wait.
    limit: usize,
    /// There is something to write, or it shall finish.
    work: Notify,
    /// It is over, whatever is being written.
    abort: Notify,
    /// Our schema fingerprint, if the node has one.
    schema: Option<String>,
    peer_schema: AtomicU8,
    /// Its place among this node's.
    order: Order,
    /// Open once the task has ended.
    ended: Arc<Latch>,
}

/// What became of a message.
enum Pushed {
    /// It waits.
    Yes,
    /// The connection takes no more.
    Closing,
    /// More would wait than may: that broke the connection.
    Overflow,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no connection within {CONNECT:?}")]
    Connect,
    #[error("the peer closed the connection")]
    Closed,
    #[error("the peer closed the connection, because it refuses what it was sent: {0}")]
    Refused(String),
    #[error("the peer's answer: {0}")]
    Answer(#[from] super::format::Malformed),
    #[error("too many bytes wait")]
    Overflow,
    /// In peace.
    #[error("nobody needs the connection")]
    Done,
}

impl Connection {
    fn new(
        to: SocketAddr,
        buffer: BytesMut,
        schema: Option<String>,
        order: Order,
        limit: usize,
    ) -> Connection {
        let peer_schema = AtomicU8::new(if schema.is_some() { UNKNOWN } else { OTHER });
        let pending =
            Mutex::new(Pending { buffer, sender: Printed::default(), phase: Phase::Open, connected: false });
        let ended = Arc::default();
        Connection {
            to,
            pending,
            limit,
            work: Notify::new(),
            abort: Notify::new(),
            schema,
            peer_schema,
            order,
            ended,
        }
    }

    fn is_closed(&self) -> bool {
        self.pending.lock().phase != Phase::Open
    }

    /// Puts a message behind those that wait.
    fn push(self: &Arc<Self>, message: &Outgoing<'_>) -> Pushed {
        let peer = self.peer_schema.load(Ordering::Acquire);
        let bincode = peer == EQUAL;
        let body = (message.encode)(if bincode { Encoding::Bincode } else { Encoding::Protobuf });
        if body.len() > MAX_BODY {
            tracing::error!(
                ?message,
                bytes = body.len(),
                limit = MAX_BODY,
                "dropping a message that is too large"
            );
            return Pushed::Yes;
        }
        let schema = self.schema.as_deref().filter(|_| peer == UNKNOWN);
        let announced = schema.map(|schema| Announced { schema, order: Some(self.order) });
        let mut pending = self.pending.lock();
        if pending.phase != Phase::Open {
            return Pushed::Closing;
        }
        if pending.buffer.len() + body.len() > self.limit {
            pending.phase = Phase::Broken;
            pending.buffer = BytesMut::new();
            drop(pending);
            self.abort.notify_one();
            return Pushed::Overflow;
        }
        let before = pending.buffer.len();
        let Pending { buffer, sender, .. } = &mut *pending;
        let from = sender.text(message.from);
        write_message(buffer, from, message.to, message.name, &body, announced, bincode);
        let after = buffer.len();
        drop(pending);
        if before < PIECE && after >= PIECE {
            self.wake();
        } else if before == 0 {
            turn::wake_writer(self);
        }
        Pushed::Yes
    }

    /// Has what waits written.
    pub(crate) fn wake(&self) {
        self.work.notify_one();
    }

    /// Ends this connection in favour of another, which gets what was not sent. What is bincode already is dropped:
    /// the other connection has agreed on nothing yet.
    fn replace(&self) -> BytesMut {
        let unsent = self.leave(Phase::Replaced);
        if self.peer_schema.load(Ordering::Acquire) == EQUAL { BytesMut::new() } else { unsent }
    }

    /// Ends this connection. What was not sent is left.
    fn leave(&self, phase: Phase) -> BytesMut {
        let mut pending = self.pending.lock();
        pending.phase = phase;
        let unsent = std::mem::take(&mut pending.buffer);
        drop(pending);
        self.abort.notify_one();
        unsent
    }

    /// Writes what waits, and closes.
    async fn finish(&self) {
        {
            let mut pending = self.pending.lock();
            if pending.buffer.is_empty() && !pending.connected {
                return;
            }
            if pending.phase == Phase::Open {
                pending.phase = Phase::Finishing;
            }
        }
        self.wake();
        self.ended.opened().await;
    }

    /// The connection's task.
    async fn run(self: Arc<Connection>, node: WeakNode, connections: Arc<Connections>) {
        let ended = self.converse(&node).await;
        // Links belong to the connection that is there now. Before others see that this one is over: whoever opened one in
        // its place would keep its end from those that are linked.
        let current = connections.forget(&self);
        let mut pending = self.pending.lock();
        let (phase, dropped) = (pending.phase, std::mem::take(&mut pending.buffer).len());
        let is_left = matches!(phase, Phase::Replaced | Phase::Abandoned);
        if !is_left {
            pending.phase = Phase::Broken;
        }
        drop(pending);
        self.ended.open();
        if is_left {
            return;
        }
        if !matches!(ended, Ended::Done) && phase != Phase::Finishing {
            tracing::info!(peer = %self.to, reason = %ended, dropped_bytes = dropped, "a connection ended");
        }
        if let Some(node) = node.upgrade().filter(|_| current) {
            node.connection_closed(self.to);
        }
    }

    async fn converse(&self, node: &WeakNode) -> Ended {
        let Some((tls, site)) =
            node.upgrade().map(|node| (node.tls().cloned(), node.settings().site.clone()))
        else {
            return Ended::Done;
        };
        let connected = tokio::select! {
            biased;
            () = self.abort.notified() => return Ended::Overflow,
            connected = tokio::time::timeout(CONNECT, self.connect(tls.as_ref(), site.as_ref())) => connected,
        };
        self.pending.lock().connected = true;
        let (mut reader, mut writer) = match connected {
            Ok(Ok(stream)) => tokio::io::split(stream),
            Ok(Err(error)) => return error.into(),
            Err(_) => return Ended::Connect,
        };
        tokio::select! {
            biased;
            // The socket is closed at once, in the middle of a write as well: what the peer has not read is late.
            () = self.abort.notified() => {
                if self.pending.lock().phase != Phase::Replaced {
                    reader.unsplit(writer).abort();
                }
                Ended::Overflow
            }
            ended = self.read(&mut reader) => ended,
            ended = self.write(&mut writer, node) => ended,
        }
    }

    /// Connects as the node's settings want it. Where the handshake fails and the peer may do without (upstream:
    /// `SocketManager::link_connect`), once more in the clear.
    async fn connect(&self, tls: Option<&Tls>, site: Option<&Site>) -> io::Result<Stream> {
        if let Some(site) = site {
            return site.connect(self.to).await.map(Stream::Simulated);
        }
        let stream = self.connect_tcp().await?;
        let Some(tls) = tls else { return Ok(Stream::Tcp(stream)) };
        // Apart: what a handshake needs, each connection would have room for until its end.
        match Box::pin(tls.connect(stream, &self.to.ip().to_string())).await {
            Err(error) if tls.supports_downgrade() => {
                tracing::warn!(peer = %self.to, %error, "the TLS handshake failed: going on in the clear");
                self.connect_tcp().await.map(Stream::Tcp)
            }
            Err(error) => {
                // In rustls's words, what is no record of TLS is one of an unknown kind.
                let is_clear = error.to_string().contains("InvalidContentType");
                let question = if is_clear { "; does the peer speak TLS?" } else { "" };
                Err(io::Error::new(error.kind(), format!("the TLS handshake failed: {error}{question}")))
            }
            connected => connected,
        }
    }

    async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.to).await?;
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        Ok(stream)
    }

    async fn write(&self, mut writer: impl AsyncWrite + Unpin, node: &WeakNode) -> Ended {
        let mut batch = BytesMut::new();
        let mut last_use = Instant::now();
        // Kept, and set anew only when it rings: a timer for each message would cost more.
        let mut alarm = std::pin::pin!(tokio::time::sleep(IDLE));
        loop {
            let phase = {
                let mut pending = self.pending.lock();
                std::mem::swap(&mut pending.buffer, &mut batch);
                pending.phase
            };
            if !batch.is_empty() {
                if let Err(error) = write(&mut writer, &batch).await {
                    return error.into();
                }
                last_use = Instant::now();
                batch.clear();
                if batch.capacity() > KEPT_BUFFER {
                    batch = BytesMut::new();
                }
                continue;
            }
            if phase == Phase::Finishing {
                let _ = writer.shutdown().await;
                // Closing with answers unread would reset the connection, and the peer lose what it has not read yet:
                // the reader ends this when the peer closes.
                return futures::future::pending().await;
            }
            tokio::select! {
                biased;
                () = self.work.notified() => {}
                () = &mut alarm => {
                    if last_use.elapsed() >= IDLE {
                        if self.is_needless(node) {
                            return Ended::Done;
                        }
                        last_use = Instant::now();
                    }
                    alarm.as_mut().reset(last_use + IDLE);
                }
            }
        }
    }

    /// Whether nobody is linked to this peer and nothing waits; takes no more messages then.
    fn is_needless(&self, node: &WeakNode) -> bool {
        // Who links looks at the phase after the link is known: with the lock held, one of both sees the other.
        let mut pending = self.pending.lock();
        if node.upgrade().is_some_and(|node| node.watches(self.to)) {
            return false;
        }
        let needless = pending.buffer.is_empty() && pending.phase == Phase::Open;
        if needless {
            pending.phase = Phase::Broken;
        }
        needless
    }

    /// Reads answers until the peer closes.
    async fn read(&self, mut reader: impl AsyncRead + Unpin) -> Ended {
        let mut buffer = BytesMut::new();
        let mut decoder = AnswerDecoder::default();
        loop {
            match stream::read(&mut reader, &mut buffer, READ).await {
                Ok(0) => return decoder.last_words().map_or(Ended::Closed, Ended::Refused),
                Ok(_) => {}
                // A process that dies does not say goodbye, as TLS would have it.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ended::Closed,
                Err(error) => return error.into(),
            }
            loop {
                match decoder.next(&mut buffer) {
                    Ok(Some(schema)) => self.learn(schema.as_deref()),
                    Ok(None) => break,
                    Err(error) => return error.into(),
                }
            }
        }
    }

    /// The first answer decides what this connection speaks.
    fn learn(&self, peer: Option<&str>) {
        if self.peer_schema.load(Ordering::Acquire) == UNKNOWN {
            let equal = peer.is_some() && peer == self.schema.as_deref();
            self.peer_schema.store(if equal { EQUAL } else { OTHER }, Ordering::Release);
        }
    }
}
