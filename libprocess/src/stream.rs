//! One connection, whatever carries it: TCP, TLS over TCP, a Unix socket, or a simulation.
//!
//! Servers, clients and the transport share this one type, so that none of them is generic. It knows neither HTTP nor
//! certificates ([`crate::tls`] makes the TLS ones). What was written to a TLS connection may wait inside of it: who
//! writes must flush.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use crate::simulation::SimulatedStream;

/// Writes, down to the socket.
pub(crate) async fn write(out: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes).await?;
    out.flush().await
}

/// Reads up to `room` bytes and more behind those in the buffer; 0 is the end. While nothing comes an empty buffer has no
/// memory: most connections are silent most of the time, and there may be tens of thousands.
pub(crate) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    room: usize,
) -> io::Result<usize> {
    poll_fn(|cx| {
        buffer.reserve(room);
        let polled = pin!(from.read_buf(buffer)).poll(cx);
        if polled.is_pending() && buffer.is_empty() {
            *buffer = BytesMut::new();
        }
        polled
    })
    .await
}

/// A connection to a peer.
#[derive(Debug)]
pub(crate) enum Stream {
    /// In the clear.
    Tcp(TcpStream),
    /// Encrypted, behind its handshake. Its state is some kilobytes; the others are small.
    Tls(Box<TlsStream<TcpStream>>),
    /// To another process of this host.
    Unix(UnixStream),
    /// To another node of a simulation.
    Simulated(SimulatedStream),
}

impl Stream {
    /// The TCP connection below, if there is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Stream::Tcp(stream) => Some(stream),
            Stream::Tls(stream) => Some(stream.get_ref().0),
            Stream::Unix(_) | Stream::Simulated(_) => None,
        }
    }

    /// Closes it at once: what the peer has not received yet, it shall not receive. (Otherwise the kernel goes on sending.)
    pub(crate) fn abort(self) {
        if let Some(stream) = self.tcp() {
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        if let Stream::Simulated(stream) = &self {
            stream.abort();
        }
    }

    /// Whether the peer keeps the connection open and has said nothing that was not read.
    pub(crate) fn is_silent(&self) -> bool {
        let socket = match self {
            Stream::Tcp(stream) => socket2::SockRef::from(stream),
            Stream::Tls(stream) => {
                let (socket, session) = stream.get_ref();
                if !session.wants_read() {
                    return false;
                }
                socket2::SockRef::from(socket)
            }
            Stream::Unix(stream) => socket2::SockRef::from(stream),
            Stream::Simulated(stream) => return stream.is_silent(),
        };
        let mut byte = [MaybeUninit::uninit()];
        matches!(socket.peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Calls a method of whatever carries the connection.
macro_rules! carried {
    ($stream:expr, $carrier:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => {
                let $carrier = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $carrier = Pin::new(&mut **stream);
                $call
            }
            Stream::Unix(stream) => {
                let $carrier = Pin::new(stream);
                $call
            }
            Stream::Simulated(stream) => {
                let $carrier = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        carried!(self, carrier => carrier.poll_read(cx, out))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        carried!(self, carrier => carrier.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self, carrier => carrier.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self, carrier => carrier.poll_shutdown(cx))
    }
}
