//! A request of the HTTP client: how it is made, its bytes, and what a redirect makes of it.

use std::time::Duration;

use ::http::header::{AUTHORIZATION, HeaderName, PROXY_AUTHORIZATION};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use super::client::ClientError;
use super::connection::encode_request;
use super::destination::Destination;
use super::location::{led_to, userinfo};
use super::proxies::Proxy;

/// How long a request may take until the head of its answer is there, unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A request to send.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    pub(super) method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    timeout: Option<Duration>,
    /// How many more redirects are followed.
    pub(super) redirects: u8,
    bad_header: Option<String>,
}

impl ClientRequest {
    /// A request of any method. `url` is `http://[user[:password]@]host[:port][/path][?query]`, the same with `https`, or
    /// what [`super::unix_url`] makes. A user is told to the host by the header `Authorization`, if the request has none.
    pub fn new(method: Method, url: impl Into<String>) -> ClientRequest {
        ClientRequest {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Some(DEFAULT_TIMEOUT),
            redirects: 0,
            bad_header: None,
        }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> ClientRequest {
        ClientRequest::new(Method::GET, url)
    }

    /// A POST.
    pub fn post(url: impl Into<String>) -> ClientRequest {
        ClientRequest::new(Method::POST, url)
    }

    /// With one header set. One that HTTP does not allow makes sending fail.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> ClientRequest {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.as_ref())) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
            }
            _ => self.bad_header = Some(name.to_owned()),
        }
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> ClientRequest {
        self.body = body.into();
        self
    }

    /// How long it may take until the head of the answer is there (30 s unless said), and for
    /// [`super::ClientResponse::bytes`] until the whole body is.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> ClientRequest {
        self.timeout = Some(timeout);
        self
    }

    /// Waits without a limit.
    #[must_use]
    pub fn without_timeout(mut self) -> ClientRequest {
        self.timeout = None;
        self
    }

    /// Follows up to `limit` redirects (307, 308 with the same method and body; 301, 302, 303 with GET
    /// unless the method is GET or HEAD already). Without this a redirect is an answer like any other.
    #[must_use]
    pub fn follow_redirects(mut self, limit: u8) -> ClientRequest {
        self.redirects = limit;
        self
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    pub(crate) fn deadline(&self) -> Option<(Instant, Duration)> {
        self.timeout.map(|timeout| (Instant::now() + timeout, timeout))
    }

    /// Where it goes, and the path with its query.
    pub(crate) fn target(&self) -> Result<(Destination, String), ClientError> {
        match &self.bad_header {
            Some(name) => Err(ClientError::Header(name.clone())),
            None => Destination::of(&self.url),
        }
    }

    /// The path with its query; the URL may consist of nothing else (on a [`super::Pipeline`]).
    pub(crate) fn path(&self) -> Result<String, ClientError> {
        if self.url.starts_with('/') && self.bad_header.is_none() {
            return Ok(self.url.clone());
        }
        self.target().map(|(_, target)| target)
    }

    /// The bytes of the request.
    pub(crate) fn encode(&self, out: &mut BytesMut, host: &str, target: &str) {
        self.encode_with(out, host, target, None);
    }

    /// The same for a proxy, which is to pass it on to `host`.
    pub(super) fn encode_for(&self, proxy: &Proxy, out: &mut BytesMut, host: &str, target: &str) {
        let target = format!("http://{host}{target}");
        let credentials = proxy.credentials.clone();
        self.encode_with(out, host, &target, credentials.map(|value| (PROXY_AUTHORIZATION, value)));
    }

    fn encode_with(
        &self,
        out: &mut BytesMut,
        host: &str,
        target: &str,
        added: Option<(HeaderName, HeaderValue)>,
    ) {
        let user = userinfo(&self.url).filter(|_| !self.headers.contains_key(AUTHORIZATION));
        let user = user.and_then(basic).map(|value| (AUTHORIZATION, value));
        if user.is_none() && added.is_none() {
            return encode_request(out, &self.method, target, host, &self.headers, &self.body);
        }
        let mut headers = self.headers.clone();
        headers.extend(user);
        headers.extend(added);
        encode_request(out, &self.method, target, host, &headers, &self.body);
    }

    /// The request that a redirect asks for.
    pub(super) fn redirected(&self, status: StatusCode, location: &str) -> ClientRequest {
        let url = led_to(&self.url, location);
        let mut next = ClientRequest { url, redirects: self.redirects - 1, ..self.clone() };
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
            || matches!(self.method, Method::GET | Method::HEAD);
        if !keeps_method {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.remove(::http::header::CONTENT_TYPE);
        }
        next
    }
}

/// What a user and the password are in the header `Authorization`; `user[:password]` as in a URL.
pub(super) fn basic(userinfo: &str) -> Option<HeaderValue> {
    let mut text: Vec<u8> = percent_decode_str(userinfo).collect();
    if !userinfo.contains(':') {
        text.push(b':');
    }
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_may_be_relative() {
        let request = ClientRequest::get("http://h:1/a/b/c?d=/e").follow_redirects(2);
        for (location, url) in [
            ("x.txt", "http://h:1/a/b/x.txt"),
            ("x/y?z=../w", "http://h:1/a/b/x/y?z=../w"),
            ("./x", "http://h:1/a/b/x"),
            ("../x", "http://h:1/a/x"),
            ("../../../x", "http://h:1/x"),
            ("..", "http://h:1/a/"),
            (".", "http://h:1/a/b/"),
            ("?x=1", "http://h:1/a/b/c?x=1"),
            ("/x", "http://h:1/x"),
            ("//other:2/x", "http://other:2/x"),
            ("//other:2", "http://other:2/a/b/c?d=/e"),
            ("//other:2?x=1", "http://other:2?x=1"),
            ("https://other/x", "https://other/x"),
            ("ftp:x", "ftp:x"),
            ("x/y:z", "http://h:1/a/b/x/y:z"),
        ] {
            assert_eq!(request.redirected(StatusCode::FOUND, location).url, url, "{location}");
        }
        let whole = ClientRequest::get("http://h").follow_redirects(1);
        assert_eq!(whole.redirected(StatusCode::FOUND, "x").url, "http://h/x");
        let without_path = ClientRequest::get("http://h?x=/y").follow_redirects(1);
        for (location, url) in [("/z", "http://h/z"), ("z", "http://h/z"), ("//i:2", "http://i:2?x=/y")] {
            assert_eq!(without_path.redirected(StatusCode::FOUND, location).url, url, "{location}");
        }
    }

    #[test]
    fn the_user_of_a_url_is_told_to_its_host() {
        for (url, expected) in [
            ("http://user:p%40ss@h:1/x", Some("authorization: Basic dXNlcjpwQHNz\r\n")),
            ("https://user@h", Some("authorization: Basic dXNlcjo=\r\n")),
            ("http://h/x?y=http://user:p@h/", None),
            ("/x?y=http://user:p@h/", None),
        ] {
            let mut bytes = BytesMut::new();
            ClientRequest::get(url).encode(&mut bytes, "h", "/x");
            let sent = String::from_utf8_lossy(&bytes);
            let start = sent.find("authorization: ");
            assert_eq!(start.map(|start| &sent[start..sent.len() - 2]), expected, "{url}");
        }
        let mut bytes = BytesMut::new();
        let bearer = ClientRequest::get("http://user:p@h/").header("Authorization", "Bearer x");
        bearer.encode(&mut bytes, "h", "/");
        assert!(String::from_utf8_lossy(&bytes).contains("authorization: Bearer x\r\n"));
    }

    #[test]
    fn a_redirect_takes_the_user_of_a_url_along_to_no_other_host() {
        let request = ClientRequest::get("http://u:p@h:1/a").follow_redirects(1);
        for (location, url) in [
            ("/x", "http://u:p@h:1/x"),
            ("x", "http://u:p@h:1/x"),
            ("http://h:1/x?y=http://h:1", "http://u:p@h:1/x?y=http://h:1"),
            ("http://h:2/x", "http://h:2/x"),
            ("http://other/x", "http://other/x"),
            ("//other/x", "http://other/x"),
            ("https://h:1/x", "https://h:1/x"),
        ] {
            assert_eq!(request.redirected(StatusCode::FOUND, location).url, url, "{location}");
        }
        let secured = ClientRequest::get("https://u:p@h/a").follow_redirects(1);
        assert_eq!(secured.redirected(StatusCode::FOUND, "http://h/x").url, "http://h/x");
    }
}
