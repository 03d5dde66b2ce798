//! How messages reach other nodes. No actor knows a transport: it posts to a pid, and the node decides.
//!
//! [`Transport`] owns the listener and the connections to other nodes: it accepts (`incoming`), sends (`outgoing`) and
//! tells the node when a connection closed. What comes in is handed to [`crate::Node::deliver`]. The bytes are
//! `format`'s, and docs/wire.md shows them; that they are heard in order is `order`'s. Below it is TCP, with or without
//! TLS, or a simulated network ([`crate::stream`]): it does not care which.

mod answers;
pub(crate) mod format;
mod incoming;
pub(crate) mod order;
mod outgoing;
#[cfg(test)]
mod page_tests;

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::pid::Pid;
use crate::wire::{DecodeError, Encoding};

pub(crate) use incoming::{Listener, converse};
pub(crate) use outgoing::{Connection, DEFAULT_QUEUE_LIMIT, Transport};

/// A message on its way out.
pub(crate) struct Outgoing<'a> {
    /// The sender; [`Pid::nobody`] if no actor sent it.
    pub(crate) from: &'a Pid,
    /// The receiver.
    pub(crate) to: &'a Pid,
    /// The wire name.
    pub(crate) name: &'static str,
    /// Makes the body.
    pub(crate) encode: &'a dyn Fn(Encoding) -> Vec<u8>,
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
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = socket2::TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
    socket2::SockRef::from(stream).set_tcp_keepalive(&probes)
}
