//! What happened, in order: the account of a run that can be printed, and compared with another run's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Happening {
    /// Virtual time since the network was made.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// See [`Happening`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// Something arrived: a request, an answer, a piece of either.
    Arrived {
        /// Who sent it.
        from: SocketAddr,
        /// Whom it reached.
        to: SocketAddr,
        /// What it is.
        name: Cow<'static, str>,
        /// How many bytes.
        size: usize,
        /// A checksum of them, in which the order of lines does not matter.
        sum: u32,
    },
    /// Something was lost on the way.
    Lost {
        /// Who sent it.
        from: SocketAddr,
        /// Whom it did not reach.
        to: SocketAddr,
        /// What it was.
        name: Cow<'static, str>,
    },
    /// One end of a connection learnt that the connection is over.
    Closed {
        /// Who learnt it.
        by: SocketAddr,
        /// Who is at the other end.
        peer: SocketAddr,
        /// Why.
        why: &'static str,
    },
    /// Whoever runs the simulation says something: a fault, the state of a task.
    Note(String),
}

/// The account of a run.
#[derive(Debug, Default)]
pub struct Trace {
    kept: bool,
    happenings: Vec<Happening>,
    names: BTreeMap<SocketAddr, String>,
    digest: Digest,
    count: u64,
}

impl Trace {
    /// An account that keeps what happened (`kept`), or only counts and digests it.
    pub(super) fn new(kept: bool) -> Trace {
        Trace { kept, ..Trace::default() }
    }

    pub(super) fn add(&mut self, at: Duration, what: What) {
        let happening = Happening { at, what };
        happening.hash(&mut self.digest);
        self.count += 1;
        if self.kept {
            self.happenings.push(happening);
        }
    }

    pub(super) fn name(&mut self, address: SocketAddr, name: &str) {
        self.names.insert(address, name.to_owned());
    }

    /// How much happened.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A number that two runs share only if the same happened in both.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// What happened, one line each, if it was kept.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for happening in &self.happenings {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{}", Line(self, happening));
        }
        text
    }

    /// How a node is called.
    fn name_of(&self, address: SocketAddr) -> Cow<'_, str> {
        match self.names.get(&address) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(address.to_string()),
        }
    }
}

struct Line<'a>(&'a Trace, &'a Happening);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line(trace, Happening { at, what }) = self;
        let name = |address: &SocketAddr| trace.name_of(*address);
        write!(f, "{:>7}.{:03}  ", at.as_secs(), at.subsec_millis())?;
        match what {
            What::Arrived { from, to, name: what, size, sum } => {
                write!(f, "{:>8} -> {:<8} {what} ({size} B {sum:08x})", name(from), name(to))
            }
            What::Lost { from, to, name: what } => {
                write!(f, "{:>8} -x {:<8} {what} is lost", name(from), name(to))
            }
            What::Closed { by, peer, why } => {
                write!(f, "{:>8} -| {:<8} connection over: {why}", name(by), name(peer))
            }
            What::Note(text) => write!(f, "# {text}"),
        }
    }
}

/// A folded multiplication for each word: stable over builds and machines, and quick.
#[derive(Debug)]
pub(super) struct Digest(u64);

impl Default for Digest {
    fn default() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        let mut pieces = bytes.chunks_exact(8);
        for piece in &mut pieces {
            self.write_u64(piece.try_into().map_or(0, u64::from_le_bytes));
        }
        for &byte in pieces.remainder() {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Folded, so that high bits reach the low ones.
        let product = u128::from(self.0 ^ word) * 0xa076_1d64_78bd_642f_u128;
        #[allow(clippy::cast_possible_truncation, reason = "both halves are used")]
        let folded = (product as u64) ^ ((product >> 64) as u64);
        self.0 = folded.rotate_left(23) ^ 0x9e37_79b9_7f4a_7c15;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A checksum of some bytes. The order of lines does not matter: actix-http writes headers in another order each time.
#[allow(clippy::cast_possible_truncation, reason = "half of a digest is enough to see a difference")]
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    bytes.split(|&byte| byte == b'\n').fold(0_u32, |sum, line| {
        let mut digest = Digest::default();
        digest.write(line);
        sum.wrapping_add(digest.finish() as u32)
    })
}

/// One number from several, each of which matters.
pub(super) fn mix(numbers: &[u64]) -> u64 {
    let mut digest = Digest::default();
    numbers.iter().for_each(|&number| digest.write_u64(number));
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_tell_bytes_apart_and_are_the_same_everywhere() {
        let sums: Vec<u32> =
            [&b""[..], b"a", b"b", b"ab", b"ba", b"12345678", b"123456780"].map(checksum).to_vec();
        let distinct: std::collections::BTreeSet<u32> = sums.iter().copied().collect();
        assert_eq!(distinct.len(), sums.len(), "{sums:x?}");
        assert_eq!(checksum(b"a\nb\n"), checksum(b"b\na\n"));
        assert_ne!(checksum(b"a\nb\n"), checksum(b"ab\n"));
    }

    #[test]
    fn lines_name_the_nodes() {
        let (from, to) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 1)));
        let mut trace = Trace::new(true);
        trace.name(from, "m1");
        let what =
            What::Arrived { from, to, name: "mesos.internal.PingSlaveMessage".into(), size: 2, sum: 7 };
        trace.add(Duration::from_millis(12_034), what);
        assert_eq!(
            trace.text(),
            "     12.034        m1 -> 10.0.0.2:1 mesos.internal.PingSlaveMessage (2 B 00000007)\n"
        );
        assert_eq!(trace.count(), 1);
        assert_ne!(trace.digest(), Trace::new(true).digest());
    }
}
