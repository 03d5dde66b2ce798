//! How messages reach other nodes. No actor knows a transport: it posts to a pid, and the node decides.
//!
//! [`Transport`] is the seam. [`HttpTransport`] speaks to real peers; a simulated network implements the same trait.
//! What comes in is handed to [`Node::deliver`].

pub(crate) mod format;
mod incoming;
mod outgoing;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::TcpStream;

use crate::node::Node;
use crate::pid::Pid;
use crate::wire::{DecodeError, Encoding};

pub(crate) use incoming::Listener;
pub(crate) use outgoing::DEFAULT_QUEUE_LIMIT;
pub use outgoing::HttpTransport;

/// Carries messages to other nodes.
pub trait Transport: Send + Sync + 'static {
    /// Called once, before any actor starts. A node opens no socket for a transport that is given to it.
    fn start(&self, node: &Node);

    /// Sends a message, in order with others of the same pair, or drops it. Must not block.
    fn send(&self, message: Outgoing<'_>);

    /// Someone watches an actor of that node: keep a connection open, and call [`Node::connection_closed`] when it
    /// closes or cannot be opened. With `reconnect` a present connection is replaced without that call.
    fn link(&self, to: SocketAddr, reconnect: bool);

    /// Closes everything.
    fn shutdown(&self) -> BoxFuture<'static, ()>;
}

/// A message on its way out.
pub struct Outgoing<'a> {
    /// The sender; [`Pid::nobody`] if no actor sent it.
    pub from: &'a Pid,
    /// The receiver.
    pub to: &'a Pid,
    /// The wire name.
    pub name: &'static str,
    /// Makes the body.
    pub encode: &'a dyn Fn(Encoding) -> Vec<u8>,
}

impl std::fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} from {} to {}", self.name, self.from, self.to)
    }
}

/// What became of a message from another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The actor has it in its queue, or knows no message of this name (upstream answers 202 to both).
    Accepted,
    /// No actor has this id.
    NoActor,
    /// The body is no such message.
    Undecodable(DecodeError),
}

/// After how long a silent connection is probed, and how often then (9 times, as Linux has it).
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// A host that vanished closes nothing; the kernel finds out, so that links break and connections do not pile up.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = socket2::TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    socket2::SockRef::from(stream).set_tcp_keepalive(&probes)
}
