//! The address of an actor: `id@ip:port`.
//!
//! A [`Pid`] names an actor on a node, whether it is here, elsewhere, or gone. It is a plain value:
//! it keeps nothing alive and knows no node (upstream: `include/process/pid.hpp`, class `UPID`).

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest actor id that is read from outside, in bytes.
const MAX_ID: usize = 1024;

/// What an id is not printed with as it is: it could not be told from the rest, or stand in a header.
const UNPRINTED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'@');

/// `id@ip:port`, as printed, parsed and sent in `Libprocess-From`. What could be misread in an id is percent-encoded.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pid {
    id: Arc<str>,
    address: SocketAddr,
}

static NOBODY: LazyLock<Pid> = LazyLock::new(|| Pid {
    id: Arc::from(""),
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
});

impl Pid {
    /// The pid of actor `id` on the node that advertises `address`.
    pub fn new(id: impl Into<Arc<str>>, address: SocketAddr) -> Pid {
        Pid { id: id.into(), address }
    }

    /// The sender of a message that no actor sent: an empty id at `0.0.0.0:0`.
    pub fn nobody() -> Pid {
        NOBODY.clone()
    }

    /// [`Pid::nobody`] by reference.
    pub(crate) fn nobody_ref() -> &'static Pid {
        &NOBODY
    }

    /// Whether this is [`Pid::nobody`].
    pub fn is_nobody(&self) -> bool {
        self.id.is_empty() && self.address.port() == 0
    }

    /// The actor's id on its node, for example `slave(1)`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id without a copy.
    pub(crate) fn shared_id(&self) -> &Arc<str> {
        &self.id
    }

    /// The address that the actor's node advertises.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Parses `id@host:port` and looks the host up if it is a name. It may block on the resolver, so it
    /// belongs into start-up; what comes over the wire is parsed with [`FromStr`], which never looks up.
    ///
    /// # Errors
    /// As [`FromStr`], and when the name has no address.
    pub fn resolve(text: &str) -> Result<Pid, PidError> {
        let (id, place) = split(text)?;
        if let Ok(address) = place.parse() {
            return Ok(Pid::new(id, address));
        }
        let found = place.to_socket_addrs().ok().and_then(|mut all| all.next());
        found.map(|address| Pid::new(id, address)).ok_or_else(|| PidError::Address(place.to_owned()))
    }
}

/// Why a text is not a [`Pid`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PidError {
    /// There is no `@`.
    #[error("`{0}` is not a pid: expected `id@ip:port`")]
    Form(String),
    /// The id is empty or too long, or cannot stand in a URL's path.
    #[error("`{0}` is not an actor id: expected 1 to 1024 characters, no control characters")]
    Id(String),
    /// What follows the `@` is no `ip:port`.
    #[error("`{0}` is not an address: expected `ip:port`")]
    Address(String),
}

fn split(text: &str) -> Result<(String, &str), PidError> {
    let (id, place) = text.split_once('@').ok_or_else(|| PidError::Form(text.to_owned()))?;
    // Upstream percent-decodes the id when it parses (src/pid.cpp).
    let id = percent_decode_str(id).decode_utf8().map_err(|_| PidError::Id(id.to_owned()))?.into_owned();
    if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
        return Err(PidError::Id(id));
    }
    Ok((id, place))
}

impl FromStr for Pid {
    type Err = PidError;

    fn from_str(text: &str) -> Result<Pid, PidError> {
        let (id, place) = split(text)?;
        let address = place.parse().map_err(|_| PidError::Address(place.to_owned()))?;
        Ok(Pid::new(id, address))
    }
}

impl Ord for Pid {
    fn cmp(&self, other: &Pid) -> Ordering {
        (&*self.id, self.address).cmp(&(&*other.id, other.address))
    }
}

impl PartialOrd for Pid {
    fn partial_cmp(&self, other: &Pid) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", utf8_percent_encode(&self.id, UNPRINTED), self.address)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Pid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pid, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_reads_as_it_prints() {
        for text in ["master@127.0.0.1:5050", "slave(1)@10.1.2.3:5051", "x@[::1]:80"] {
            assert_eq!(text.parse::<Pid>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_id_is_percent_decoded() {
        assert_eq!("slave%281%29@127.0.0.1:1".parse::<Pid>().unwrap().id(), "slave(1)");
    }

    #[test]
    fn an_id_is_printed_so_that_it_reads_as_the_same() {
        for id in ["a@b", "a%40b", "two words", " edge ", "\u{e4}"] {
            let pid = Pid::new(id, ([127, 0, 0, 1], 1).into());
            assert_eq!(pid.to_string().parse(), Ok(pid));
        }
    }

    #[test]
    fn what_is_no_pid_is_refused_with_the_part_that_is_wrong() {
        assert_eq!("master".parse::<Pid>(), Err(PidError::Form("master".into())));
        assert_eq!("@127.0.0.1:1".parse::<Pid>(), Err(PidError::Id(String::new())));
        assert_eq!("m@localhost:1".parse::<Pid>(), Err(PidError::Address("localhost:1".into())));
        assert!(Pid::resolve("m@localhost:1").unwrap().address().ip().is_loopback());
    }

    #[test]
    fn nobody_is_nobody_and_others_are_somebody() {
        assert!(Pid::nobody().is_nobody());
        assert!(!"a@0.0.0.0:0".parse::<Pid>().unwrap().is_nobody());
    }
}
