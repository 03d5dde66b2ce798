//! Whether somebody listens at an address: for who has to say why something cannot be reached.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connects to `address` (`host:port`; the name is looked up), and closes at once.
///
/// # Errors
/// What stands in the way; [`io::ErrorKind::TimedOut`] if nothing is known within `patience`.
pub async fn probe(address: &str, patience: Duration) -> io::Result<()> {
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")),
    }
}
