//! What a node of a simulation has in the place of sockets.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::network::Network;
use super::pipe::{PipeId, Side};
use crate::node::Node;

/// A place on a simulated network, for one life of a node.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(super) network: Network,
    pub(super) address: SocketAddr,
    pub(super) life: u64,
    pub(super) freezer: Arc<Freezer>,
}

/// What keeps the actors of a node from doing anything for a while: neither messages nor timers reach them.
#[derive(Debug, Default)]
pub(super) struct Freezer {
    is_on: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Freezer {
    pub(super) fn freeze(&self) {
        self.is_on.store(true, Ordering::Release);
    }

    /// Those who would have done something do it now, in that order.
    pub(super) fn thaw(&self) {
        self.is_on.store(false, Ordering::Release);
        std::mem::take(&mut *self.waiting.lock()).into_iter().for_each(Waker::wake);
    }
}

impl Site {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the node is frozen; if it is, the task is woken when it thaws.
    pub(crate) fn is_frozen(&self, task: &Context<'_>) -> bool {
        let frozen = self.freezer.is_on.load(Ordering::Acquire);
        if frozen {
            self.freezer.waiting.lock().push(task.waker().clone());
        }
        frozen
    }

    /// Listens for a node.
    pub(crate) fn listen(&self, node: &Node) {
        self.network.arrive(self, node.downgrade());
    }

    /// The next connection; `None` once nobody listens any more.
    pub(crate) async fn accept(&self) -> Option<(SimulatedStream, SocketAddr)> {
        let (pipe, peer) = poll_fn(|task| self.network.poll_accept(self, task)).await?;
        Some((SimulatedStream { network: self.network.clone(), pipe, side: Side::Server }, peer))
    }

    /// Listens no more.
    pub(crate) fn leave(&self) {
        self.network.leave(self);
    }

    /// Connects; waits for as long as it takes.
    pub(crate) async fn connect(&self, to: SocketAddr) -> io::Result<SimulatedStream> {
        let pipe = self.network.open(self, to);
        // Dropped while it waits, it closes the connection.
        let stream = SimulatedStream { network: self.network.clone(), pipe, side: Side::Client };
        poll_fn(|task| self.network.poll_opened(pipe, task)).await?;
        Ok(stream)
    }
}

/// One end of a simulated connection.
#[derive(Debug)]
pub(crate) struct SimulatedStream {
    network: Network,
    pipe: PipeId,
    side: Side,
}

impl SimulatedStream {
    /// Whether the connection stands, and nothing came that was not read.
    pub(crate) fn is_silent(&self) -> bool {
        self.network.is_silent(self.pipe, self.side)
    }
}

impl AsyncRead for SimulatedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.network.poll_read(self.pipe, self.side, task, out)
    }
}

impl AsyncWrite for SimulatedStream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.network.poll_write(self.pipe, self.side, task, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.finish(self.pipe, self.side);
        Poll::Ready(Ok(()))
    }
}

impl SimulatedStream {
    /// Closes it, and takes back what has not arrived yet.
    pub(crate) fn abort(&self) {
        self.network.abort(self.pipe, self.side);
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        self.network.close(self.pipe, self.side);
    }
}
