//! One connection on a simulated network, as TCP would have it: two lanes, in each of which bytes keep their order.
//!
//! Plain data. The network moves what is in it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::Waker;

use bytes::Bytes;
use tokio::time::Instant;

/// Connections are numbered in the order of their opening.
pub(super) type PipeId = u64;

/// Bytes that may be under way or unread in one direction; who writes more waits.
pub(super) const WINDOW: usize = 1 << 20;

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Who opened it.
    Client,
    /// Who was connected to.
    Server,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::Client, Side::Server];

    pub(super) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// What travels.
#[derive(Debug)]
pub(super) enum Parcel {
    /// The client wants to connect.
    Open,
    /// The server's host has accepted.
    Accept,
    /// A piece of what was written.
    Bytes(Bytes),
    /// The sender writes no more.
    Fin,
    /// The connection does not exist (any more), and why.
    Reset(&'static str),
}

impl Parcel {
    /// What a trace calls it: the first line if it is a request or an answer, and else nothing in particular.
    pub(super) fn name(&self) -> Cow<'static, str> {
        match self {
            Parcel::Bytes(bytes) => first_line(bytes).map_or(Cow::Borrowed("bytes"), Cow::Owned),
            Parcel::Open => "open".into(),
            Parcel::Accept => "accept".into(),
            Parcel::Fin => "fin".into(),
            Parcel::Reset(_) => "reset".into(),
        }
    }

    pub(super) fn len(&self) -> usize {
        if let Parcel::Bytes(bytes) = self { bytes.len() } else { 0 }
    }
}

/// The start line of an HTTP message without its version.
fn first_line(bytes: &[u8]) -> Option<String> {
    const LONGEST: usize = 256;
    if !bytes.first()?.is_ascii_uppercase() {
        return None;
    }
    let head = &bytes[..bytes.len().min(LONGEST)];
    let end = head.windows(2).position(|two| two == b"\r\n")?;
    let line = std::str::from_utf8(&head[..end]).ok()?;
    let line = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_suffix(" HTTP/1.1"))?;
    Some(line.to_owned())
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// In order, each with the time of its arrival. One that waits for another to arrive first arrives later.
    pub(super) queue: VecDeque<(Instant, Parcel)>,
    /// Nothing that is sent from now on arrives: the sender has said its last word.
    pub(super) dead: bool,
    /// The way is cut, and something waits.
    pub(super) stalled: bool,
}

impl Lane {
    /// Takes what is under way off it, all but the first so many parcels. If the sender's last word is among it, nobody
    /// has heard that, and the sender may say another.
    pub(super) fn take_back(&mut self, kept: usize) -> Vec<Parcel> {
        let taken: Vec<Parcel> = self.queue.drain(kept..).map(|(_, parcel)| parcel).collect();
        if taken.iter().any(|parcel| matches!(parcel, Parcel::Fin | Parcel::Reset(_))) {
            self.dead = false;
        }
        taken
    }
}

/// How an end sees the end of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Its process has closed it, or is gone.
    Closed,
    /// It was told, or found out, that the connection does not exist any more.
    Reset(&'static str),
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) address: SocketAddr,
    /// Which life of the node; `None` for a server that has not accepted.
    pub(super) life: Option<u64>,
    /// It can be read from and written to.
    pub(super) open: bool,
    pub(super) over: Option<Over>,
    /// The other end writes no more.
    pub(super) finished: bool,
    /// What has arrived and was not read.
    pub(super) inbox: VecDeque<Bytes>,
    /// Bytes in the inbox and under way to it.
    pub(super) unread: usize,
    /// Who waits for something to read, or for the connection to open.
    pub(super) reader: Option<Waker>,
    /// Who waits until it may write.
    pub(super) writer: Option<Waker>,
    /// A time is set at which it gives up.
    pub(super) giving_up: bool,
    /// What it sends.
    pub(super) lane: Lane,
}

impl End {
    fn new(address: SocketAddr, life: Option<u64>) -> End {
        End {
            address,
            life,
            open: false,
            over: None,
            finished: false,
            inbox: VecDeque::new(),
            unread: 0,
            reader: None,
            writer: None,
            giving_up: false,
            lane: Lane::default(),
        }
    }

    /// Those who wait at this end.
    pub(super) fn wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.reader.take().into_iter().chain(self.writer.take())
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Pipe {
    client: End,
    server: End,
}

impl Pipe {
    pub(super) fn new(client: (SocketAddr, u64), server: SocketAddr) -> Pipe {
        Pipe { client: End::new(client.0, Some(client.1)), server: End::new(server, None) }
    }

    pub(super) fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(super) fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Whether this end belongs to that life of that node.
    pub(super) fn is_of(&self, side: Side, address: SocketAddr, life: u64) -> bool {
        let end = self.end(side);
        end.address == address && end.life == Some(life)
    }

    /// Whether nobody has use for it any more, and nothing is under way.
    pub(super) fn is_finished(&self) -> bool {
        Side::BOTH.iter().all(|&side| self.end(side).over.is_some() && self.end(side).lane.queue.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_called_by_their_first_lines() {
        let name = |bytes: &'static [u8]| Parcel::Bytes(bytes.into()).name();
        assert_eq!(name(b"POST /master/ping HTTP/1.1\r\nHost: \r\n\r\n"), "POST /master/ping");
        assert_eq!(name(b"HTTP/1.1 202 Accepted\r\n\r\n"), "202 Accepted");
        for other in [&b""[..], b"POST", b"1a\r\n{}\r\n", b"Some text\r\n", b"GET \xff HTTP/1.1\r\n"] {
            assert_eq!(name(other), "bytes");
        }
    }

    #[tokio::test]
    async fn a_last_word_that_is_taken_back_may_be_said_again() {
        let mut lane = Lane { dead: true, ..Lane::default() };
        let parcels = [Parcel::Bytes("one".into()), Parcel::Bytes("two".into()), Parcel::Reset("broken")];
        lane.queue.extend(parcels.map(|parcel| (Instant::now(), parcel)));
        assert!(lane.take_back(3).is_empty() && lane.dead, "nothing is taken back");
        assert!(
            matches!(&lane.take_back(1)[..], [Parcel::Bytes(two), Parcel::Reset("broken")] if two == "two")
        );
        assert!(!lane.dead && lane.queue.len() == 1);
        lane.dead = true;
        assert_eq!(lane.take_back(0).len(), 1);
        assert!(lane.dead, "the last word has arrived before");
    }
}
