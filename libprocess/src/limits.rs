//! What strangers may cost a node, all together; each Unix socket beside its port counts its connections for itself.
//! What one request may have is said where it is read (`http/server.rs`, `http/gate.rs`, `transport/format.rs`); how slow
//! it may be, in `pace.rs`.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bounds of what the connections that others open may cost; see [`crate::NodeBuilder::limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections of ordinary clients at a time. At the bound, the one goes for which nothing is to be done and which
    /// has asked nothing for the longest time, among those of the host that has most; if all are busy (with requests,
    /// or streams), the new one is refused, with 503 on a port in the clear. Default: 4,096, or a quarter of the
    /// process's open files.
    pub clients: usize,
    /// Connections of other nodes at a time; at the bound as with clients, but the new one is closed without an answer.
    /// Default: 65,536, or half of the process's open files.
    pub peers: usize,
    /// Bytes of requests and messages that are being read, beyond the first 64 KiB of each, of which one host may have
    /// half. At the bound, clients are answered with 503 and other nodes wait; if they all wait for each other, one after
    /// the other may have an eighth more. Default: 512 MiB.
    pub requests: usize,
    /// Bytes of answers that wait to be read, as with requests; those of a document that several clients are given
    /// ([`crate::http::SharedBytes`]) count once, and once for each host. At the bound, clients are answered with 503,
    /// and streams broken off (each has a bound of its own, too: [`crate::http::DEFAULT_STREAM_LIMIT`]). Default: 4 GiB.
    pub answers: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        // Without a limit there is none.
        let files = getrlimit(Resource::Nofile).current;
        let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
        Limits {
            clients: (files / 4).min(4096),
            peers: (files / 2).min(65_536),
            requests: 512 << 20,
            answers: 4 << 30,
        }
    }
}

/// How many files this process might have open before it raised that.
static AT_FIRST: OnceLock<Rlimit> = OnceLock::new();

/// Lets this process open as many files as the system allows at all (the hard limit): each connection is one, and the
/// soft limit of 1,024 that services usually start with is there for programs that use select(2). What is started
/// with [`crate::subprocess::Subprocess`] has the limit of before. For daemons, before they start a node, whose
/// [`Limits`] follow from it.
///
/// # Errors
/// The system refuses; the limit is as before.
pub fn raise_file_limit() -> io::Result<()> {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })?;
    // The first time, which is what was there before all.
    let _ = AT_FIRST.set(before);
    Ok(())
}

/// The limit to give back to a child, if this process has raised it.
pub(crate) fn file_limit_at_first() -> Option<Rlimit> {
    AT_FIRST.get().copied()
}
