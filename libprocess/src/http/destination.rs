//! Where a request goes: a URL taken apart into a connection and what is asked for on it.
//!
//! `http://host[:port]/path`, `https://host[:port]/path`, and `http+unix://<path of the socket, percent-encoded>/path`
//! (as upstream's executor library and other clients have it). Pure.

use std::sync::Arc;

use ::http::Uri;
use ::http::uri::Authority;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::client::ClientError;

pub(crate) const UNIX_SCHEME: &str = "http+unix://";

/// What a connection is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Carrier {
    Tcp,
    Tls,
    Unix,
}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Destination {
    pub(crate) carrier: Carrier,
    /// `host:port`, or the path of a socket.
    pub(crate) name: Arc<str>,
}

impl Destination {
    /// `host:port`, in the clear.
    pub(crate) fn plain(address: &str) -> Destination {
        Destination { carrier: Carrier::Tcp, name: address.into() }
    }

    /// Takes a URL apart: where to connect to, and the path with its query.
    pub(crate) fn of(url: &str) -> Result<(Destination, String), ClientError> {
        let bad = |cause: &str| ClientError::Url { url: url.to_owned(), cause: cause.to_owned() };
        if let Some(rest) = url.strip_prefix(UNIX_SCHEME) {
            let (socket, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let socket = percent_decode_str(socket).decode_utf8().map_err(|error| bad(&error.to_string()))?;
            if !socket.starts_with('/') {
                return Err(bad("it names no socket by its whole path, percent-encoded"));
            }
            let target = if target.is_empty() { "/" } else { target };
            // What would end the request's first line early is no path.
            target.parse::<Uri>().map_err(|error| bad(&error.to_string()))?;
            return Ok((Destination { carrier: Carrier::Unix, name: socket.into() }, target.to_owned()));
        }
        let uri: Uri = url.parse().map_err(|error: ::http::uri::InvalidUri| bad(&error.to_string()))?;
        let (carrier, port) = match uri.scheme_str() {
            Some("http") => (Carrier::Tcp, 80),
            Some("https") => (Carrier::Tls, 443),
            _ => return Err(bad("only http://, https:// and http+unix:// are supported")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("it names no host"))?;
        let port = uri.authority().and_then(|authority| port_of(authority, port));
        let port = port.ok_or_else(|| bad("its port is none"))?;
        let name = format!("{host}:{port}").into();
        // Printed, it has a slash in front of a query that has no path.
        let target = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok((Destination { carrier, name }, target))
    }

    /// What the header `Host` says. A socket has no name; servers want one.
    pub(crate) fn host(&self) -> &str {
        if self.carrier == Carrier::Unix { "localhost" } else { &self.name }
    }
}

/// The port behind the host, or the one that is meant `otherwise`. `None` if what stands there is no port: to
/// `Authority::port_u16` that is as if there were nothing, and another server would be asked.
pub(super) fn port_of(authority: &Authority, otherwise: u16) -> Option<u16> {
    let place = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, place)| place);
    match place.strip_prefix(authority.host())?.strip_prefix(':') {
        None | Some("") => Some(otherwise),
        Some(port) => port.parse().ok(),
    }
}

/// The URL of `target` (a path with its query) on a Unix socket, which must be named by its whole path.
pub fn unix_url(socket: &str, target: &str) -> String {
    format!("{UNIX_SCHEME}{}{target}", utf8_percent_encode(socket, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, carrier, name, target) in [
            ("http://host/", Carrier::Tcp, "host:80", "/"),
            ("http://host:5050/a?b=c", Carrier::Tcp, "host:5050", "/a?b=c"),
            ("https://host", Carrier::Tls, "host:443", "/"),
            ("http://host?b=/c", Carrier::Tcp, "host:80", "/?b=/c"),
            ("http://host:/x", Carrier::Tcp, "host:80", "/x"),
            ("http://user:1@host/x", Carrier::Tcp, "host:80", "/x"),
            ("http://user:1@host:2/x", Carrier::Tcp, "host:2", "/x"),
            ("https://[::1]:5050/x", Carrier::Tls, "[::1]:5050", "/x"),
            (
                "http+unix://%2Fvar%2Frun%2Fa.sock/slave(1)/api",
                Carrier::Unix,
                "/var/run/a.sock",
                "/slave(1)/api",
            ),
            ("http+unix://%2Fa", Carrier::Unix, "/a", "/"),
        ] {
            let destination = Destination { carrier, name: name.into() };
            assert_eq!(Destination::of(url), Ok((destination, target.to_owned())), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (url, part) in [
            ("ftp://x/", "only http://, https:// and http+unix://"),
            ("http:///x", "invalid format"),
            ("no url", "invalid"),
            ("http://host:70000/x", "its port is none"),
            ("http://host:http/x", "its port is none"),
            ("http+unix://relative/x", "whole path"),
            ("http+unix://%2Fa/x y", "invalid"),
        ] {
            let error = Destination::of(url).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(url), "{error}");
        }
    }

    #[test]
    fn the_url_of_a_socket_leads_to_it() {
        let socket = "/var/run/me sos/%agent.sock";
        let (destination, target) =
            Destination::of(&unix_url(socket, "/slave(1)/api/v1/executor?x=1")).unwrap();
        assert_eq!((&*destination.name, target.as_str()), (socket, "/slave(1)/api/v1/executor?x=1"));
    }
}
