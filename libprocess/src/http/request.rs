//! A request as a route sees it: decoded, read to its end, with the peer that sent it.
//!
//! Owns the decoding of paths and queries (upstream: 3rdparty/libprocess/src/http.cpp,
//! `http::decode` and `http::query::decode`). It knows neither routes nor sockets.

use std::net::SocketAddr;

use ::http::{HeaderMap, Method};
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::access::Principal;

/// A request to an actor's route.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole path, percent-decoded, beginning with `/`: `/master/state`.
    pub path: String,
    /// The query, decoded.
    pub query: Query,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The address that the connection came from.
    pub peer: SocketAddr,
    /// Who sent it, if the route's realm has an authenticator.
    pub principal: Option<Principal>,
}

impl Request {
    /// A request for `path_and_query` from nobody in particular (for tests and for callers inside
    /// the process); the path is decoded.
    pub fn new(method: Method, path_and_query: &str) -> Request {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Request {
            method,
            path: decode_path(path).unwrap_or_else(|| path.to_owned()),
            query: Query::parse(query),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            principal: None,
        }
    }

    /// A header as text; `None` when it is absent or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header that is a list, as one text: its values may stand in several lines (RFC 9110, section 5.3).
    /// `None` when it is absent.
    pub fn header_list(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Whether the peer takes answers encoded with `coding`, such as `gzip`. (Upstream:
    /// `Request::acceptsEncoding`.)
    pub(crate) fn accepts_encoding(&self, coding: &str) -> bool {
        self.header("accept-encoding").is_some_and(|text| accepts_coding(text, coding))
    }
}

/// Whether an `Accept-Encoding` value allows `coding`; an explicit entry beats `*`.
pub(crate) fn accepts_coding(accept_encoding: &str, coding: &str) -> bool {
    let mut wildcard = None;
    for choice in accept_encoding.split(',') {
        let mut parts = choice.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let wanted = !parts
            .any(|p| p.strip_prefix("q=").and_then(|q| q.parse::<f64>().ok()).is_some_and(|q| q <= 0.0));
        if name.eq_ignore_ascii_case(coding) {
            return wanted;
        }
        if name == "*" {
            wildcard = Some(wanted);
        }
    }
    wildcard.unwrap_or(false)
}

/// The decoded query of a request: names and values in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `a=1&b=x%20y`; `;` separates as well, `+` is a space, bytes that are no UTF-8 are
    /// replaced.
    pub fn parse(text: &str) -> Query {
        let pairs = text
            .split(['&', ';'])
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                (decode_component(name), decode_component(value))
            })
            .filter(|(name, _)| !name.is_empty())
            .collect();
        Query { pairs }
    }

    /// A form in a body, whose encoding must be right: `%` that was meant as itself may hide another mistake. (In a URL it
    /// is taken as it stands.)
    ///
    /// # Errors
    /// Says, in upstream's words, where a `%` is not followed by two hexadecimal digits.
    pub fn of_form(body: &[u8]) -> Result<Query, String> {
        let text = String::from_utf8_lossy(body);
        for component in text.split(['&', ';']).flat_map(|part| part.splitn(2, '=')) {
            if let Some(escape) = malformed_escape(component) {
                return Err(format!("Malformed % escape in '{component}': '{escape}'"));
            }
        }
        Ok(Query::parse(&text))
    }

    /// The value of `name`; the last one when it is given more than once (as upstream).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether `name` is given, with or without a value.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether no parameter is given.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// All parameters in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

fn decode_component(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// The first `%` that two hexadecimal digits do not follow, with the two characters behind it.
fn malformed_escape(text: &str) -> Option<String> {
    let is_escape = |at: usize| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let (at, _) = text.match_indices('%').find(|(at, _)| !is_escape(*at))?;
    Some(text[at..].chars().take(3).collect())
}

/// Percent-decodes a path. `None` when a `%` is not followed by two hexadecimal digits, or when the
/// result is not UTF-8.
pub(crate) fn decode_path(path: &str) -> Option<String> {
    if malformed_escape(path).is_some() {
        return None;
    }
    percent_decode_str(path).decode_utf8().ok().map(|text| text.into_owned())
}
