//! What strangers may cost a node, all together; each Unix socket beside its port counts its connections for itself. What one request may have is said where it is read
//! (`http/server.rs`, `http/gate.rs`, `transport/format.rs`); how slow it may be, in `pace.rs`.

use rustix::process::{Resource, getrlimit};

/// Bounds of what the connections that others open may cost; see [`crate::NodeBuilder::limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections of ordinary clients at a time. At the bound, the one goes for which nothing is to be done and which
    /// has asked nothing for the longest time, among those of the host that has most; if all are busy (with requests,
    /// or streams), the new one is refused, with 503 on a port in the clear. Default: 4,096, or a quarter of the process's open files.
    pub clients: usize,
    /// Connections of other nodes at a time; at the bound as with clients, but the new one is closed without an answer.
    /// Default: 65,536, or half of the process's open files.
    pub peers: usize,
    /// Bytes of requests and messages that are being read, beyond the first 64 KiB of each, of which one host may have
    /// half. At the bound, clients are answered with 503 and other nodes wait. Default: 512 MiB.
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
