//! The HTTP client: requests to anybody, pooled connections, answers as they come.
//!
//! Owns the idle connections. A connection in use belongs to its request or to its [`ClientResponse`], so
//! that nothing runs in the background: dropping either ends the request. A client may be shared by all threads;
//! each uses the idle connections again that it made itself, since they belong to its runtime.
//! It knows no actor. What it is reached by, TCP, TLS or a Unix socket, the URL says (`destination.rs`).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::http::header::{AUTHORIZATION, HeaderName, LOCATION, PROXY_AUTHORIZATION};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use thiserror::Error;
use tokio::runtime;
use tokio::time::Instant;

use super::codec::BodyScanner;
use super::connection::{Connection, Dialer, encode_request, until};
use super::destination::{Carrier, Destination, UNIX_SCHEME};
use super::location::{led_to, userinfo};
use super::pipeline::Pipeline;
use super::proxies::{Proxies, Proxy};
use crate::simulation::Site;
use crate::stream::Stream;
use crate::tls::{Tls, TlsError, TlsSettings};

/// How long connecting may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request may take until the head of its answer is there, unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Idle connections to one address.
const IDLE_PER_ADDRESS: usize = 8;

/// Idle connections altogether.
const IDLE_ALTOGETHER: usize = 256;

/// How long a connection may be idle before it is not used again.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Why a request got no answer, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error("cannot use the URL '{url}': {cause}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A header cannot be sent.
    #[error("cannot send the header '{0}'")]
    Header(String),
    /// No connection.
    #[error("cannot connect to {address}: {cause}")]
    Connect {
        /// `host:port`, or the path of a Unix socket.
        address: Arc<str>,
        /// What the system says.
        cause: String,
    },
    /// Too slow.
    #[error("{address} took more than {after:?} ({what})")]
    Timeout {
        /// `host:port`, or the path of a Unix socket.
        address: Arc<str>,
        /// What was waited for.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The peer closed the connection before the answer was complete.
    #[error("{address} closed the connection before its answer was complete")]
    Closed {
        /// `host:port`, or the path of a Unix socket.
        address: Arc<str>,
    },
    /// The connection broke.
    #[error("the connection to {address} broke: {cause}")]
    Io {
        /// `host:port`, or the path of a Unix socket.
        address: Arc<str>,
        /// What the system says.
        cause: String,
    },
    /// The answer is no HTTP.
    #[error("{address} did not answer in HTTP: {cause}")]
    Protocol {
        /// `host:port`, or the path of a Unix socket.
        address: Arc<str>,
        /// What is wrong.
        cause: String,
    },
    /// The body is larger than the caller takes.
    #[error("the answer of {address} is larger than {limit} bytes")]
    BodyTooLarge {
        /// `host:port`, or the path of a Unix socket.
        address: Arc<str>,
        /// The limit in bytes.
        limit: usize,
    },
    /// Too many requests wait in a pipeline.
    #[error("too much waits for {address} already")]
    Overloaded {
        /// `host:port`, or the path of a Unix socket.
        address: Arc<str>,
    },
    /// More redirects than the request allows.
    #[error("too many redirects, the last to '{location}'")]
    Redirects {
        /// Where the last one led.
        location: String,
    },
}

impl ClientError {
    pub(crate) fn io(address: &Arc<str>, error: &std::io::Error) -> ClientError {
        ClientError::Io { address: address.clone(), cause: error.to_string() }
    }
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    timeout: Option<Duration>,
    redirects: u8,
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
    /// [`ClientResponse::bytes`] until the whole body is.
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

    /// The path with its query; the URL may consist of nothing else (on a [`Pipeline`]).
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
    fn encode_for(&self, proxy: &Proxy, out: &mut BytesMut, host: &str, target: &str) {
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
    fn redirected(&self, status: StatusCode, location: &str) -> ClientRequest {
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
pub(crate) fn basic(userinfo: &str) -> Option<HeaderValue> {
    let mut text: Vec<u8> = percent_decode_str(userinfo).collect();
    if !userinfo.contains(':') {
        text.push(b':');
    }
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// An answer whose body is read as it comes.
#[derive(Debug)]
pub struct ClientResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    connection: Option<Connection>,
    scanner: BodyScanner,
    keep_alive: bool,
    deadline: Option<(Instant, Duration)>,
    client: Client,
}

impl ClientResponse {
    /// The next piece of the body, as soon as it is there; `None` at the end. Waits without a limit: a
    /// stream may be silent for as long as it likes.
    ///
    /// # Errors
    /// The connection ends before the body does, or what comes is no HTTP.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        match connection.reader.chunk(&mut self.scanner).await {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                self.give_back();
                Ok(None)
            }
            Err(error) => {
                self.connection = None;
                Err(error)
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// It is larger than `limit` bytes, does not come in the request's time, or as with [`ClientResponse::chunk`].
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, ClientError> {
        let Some(connection) = &mut self.connection else { return Ok(Bytes::new()) };
        let authority = connection.destination.name.clone();
        let reading = connection.reader.collect(&mut self.scanner, limit);
        let bytes = until(self.deadline, &authority, "reading the body", reading).await?;
        self.give_back();
        Ok(bytes)
    }

    /// The whole body as text, at most `limit` bytes; what is no UTF-8 is replaced.
    ///
    /// # Errors
    /// As with [`ClientResponse::bytes`].
    pub async fn text(self, limit: usize) -> Result<String, ClientError> {
        Ok(String::from_utf8_lossy(&self.bytes(limit).await?).into_owned())
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body is at its end: the connection may serve another request.
    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.keep_alive
            && self.scanner.is_done()
            && !connection.reader.has_leftovers()
        {
            self.client.pool.put(connection);
        }
    }
}

/// The client. Clones share their idle connections.
#[derive(Debug, Clone, Default)]
pub struct Client {
    pool: Arc<Pool>,
    dialer: Dialer,
    proxies: Option<Arc<Proxies>>,
}

/// What `https://` URLs are asked with: a node's settings, or else those of a browser, which are read when they are
/// needed first.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientTls(Arc<OnceLock<Result<Tls, String>>>);

impl ClientTls {
    /// What is needed for a handshake, or why there can be none.
    pub(crate) fn get(&self) -> Result<&Tls, String> {
        let browser = || Tls::load(&TlsSettings::browser()).map_err(|error| error.to_string());
        self.0.get_or_init(browser).as_ref().map_err(String::clone)
    }
}

impl Client {
    /// A client without connections. Of servers behind TLS it believes those that the host believes.
    pub fn new() -> Client {
        Client::default()
    }

    /// A client with TLS settings of its own.
    ///
    /// # Errors
    /// [`TlsError`], if a file that they name cannot be used.
    pub fn secured(settings: &TlsSettings) -> Result<Client, TlsError> {
        Ok(Client::of_node(Some(Tls::load(settings)?), None))
    }

    /// The client of a node.
    pub(crate) fn of_node(tls: Option<Tls>, site: Option<Site>) -> Client {
        let tls = tls.map_or_else(ClientTls::default, |tls| ClientTls(Arc::new(OnceLock::from(Ok(tls)))));
        Client { pool: Arc::default(), dialer: Dialer { tls, site }, proxies: None }
    }

    /// A client like this one that asks through proxies. (Its [pipelines](Client::pipeline) do not.)
    #[must_use]
    pub fn through(&self, proxies: Proxies) -> Client {
        Client { pool: Arc::default(), dialer: self.dialer.clone(), proxies: Some(Arc::new(proxies)) }
    }

    /// What [`Client::through`] was told.
    pub fn proxies(&self) -> Option<&Proxies> {
        self.proxies.as_deref()
    }

    /// Sends a request and waits for the head of its answer. A status that says no is an answer.
    ///
    /// # Errors
    /// The request cannot be sent as it is, there is no answer in its time, or it leads on and on ([`ClientError`]).
    pub async fn send(&self, request: ClientRequest) -> Result<ClientResponse, ClientError> {
        let deadline = request.deadline();
        let mut request = request;
        loop {
            let response = self.send_once(&request, deadline).await?;
            let location = match response.header(LOCATION.as_str()) {
                Some(location) if response.status.is_redirection() => location.to_owned(),
                _ => return Ok(response),
            };
            if request.redirects == 0 {
                return Ok(response);
            }
            if location.starts_with(UNIX_SCHEME) {
                // A server elsewhere has no say about the sockets of this host.
                let cause = "a redirect must not lead to a socket of this host".to_owned();
                return Err(ClientError::Url { url: location, cause });
            }
            request = request.redirected(response.status, &location);
            if request.redirects == 0 {
                // The last one that is followed must not lead to another.
                let last = self.send_once(&request, deadline).await?;
                if last.status.is_redirection() && last.headers.contains_key(LOCATION) {
                    return Err(ClientError::Redirects { location });
                }
                return Ok(last);
            }
        }
    }

    /// A connection of its own to `address`, on which requests leave in the order of their calls and are answered in
    /// that order. `address` is `host:port` or a URL, whose path does not matter. Must be called on a thread with a
    /// tokio runtime.
    pub fn pipeline(&self, address: impl AsRef<str>) -> Pipeline {
        let address = address.as_ref();
        if !address.contains("://") {
            return Pipeline::open(Destination::plain(address), self.dialer.clone());
        }
        match Destination::of(address) {
            Ok((destination, _)) => Pipeline::open(destination, self.dialer.clone()),
            Err(error) => Pipeline::failed(address, error),
        }
    }

    async fn send_once(
        &self,
        request: &ClientRequest,
        deadline: Option<(Instant, Duration)>,
    ) -> Result<ClientResponse, ClientError> {
        let (destination, target) = request.target()?;
        let proxy = self.proxies.as_ref().map_or(Ok(None), |proxies| proxies.before(&destination));
        let proxy =
            proxy.map_err(|cause| ClientError::Connect { address: destination.name.clone(), cause })?;
        let mut bytes = BytesMut::new();
        match proxy.filter(|_| destination.carrier == Carrier::Tcp) {
            Some(proxy) => request.encode_for(proxy, &mut bytes, destination.host(), &target),
            None => request.encode(&mut bytes, destination.host(), &target),
        }
        let work = self.exchange(request, &destination, proxy, &bytes);
        let (connection, head) = until(deadline, &destination.name, "answering", work).await?;
        let mut response = ClientResponse {
            status: head.status,
            headers: head.headers,
            connection: Some(connection),
            scanner: BodyScanner::new(head.framing),
            keep_alive: head.keep_alive,
            deadline,
            client: self.clone(),
        };
        if response.scanner.is_done() {
            response.give_back();
        }
        Ok(response)
    }

    /// Over an idle connection if there is one, else over a new one. An idle connection may have been
    /// closed by its peer meanwhile; a request that may be repeated without harm is then sent again.
    async fn exchange(
        &self,
        request: &ClientRequest,
        destination: &Destination,
        proxy: Option<&Proxy>,
        bytes: &[u8],
    ) -> Result<(Connection, super::codec::ResponseHead), ClientError> {
        let to_head = request.is_head();
        if let Some(mut connection) = self.pool.take(destination) {
            match connection.exchange(bytes, to_head).await {
                Ok(Some(head)) => return Ok((connection, head)),
                Ok(None) | Err(ClientError::Io { .. }) if request.method.is_idempotent() => {}
                Ok(None) => return Err(ClientError::Closed { address: destination.name.clone() }),
                Err(error) => return Err(error),
            }
        }
        let stream = self.dialer.connect(destination, proxy, CONNECT_TIMEOUT).await?;
        let mut connection = Connection::new(stream, destination.clone());
        match connection.exchange(bytes, to_head).await? {
            Some(head) => Ok((connection, head)),
            None => Err(ClientError::Closed { address: destination.name.clone() }),
        }
    }
}

/// Idle connections by address.
#[derive(Debug, Default)]
struct Pool {
    idle: Mutex<BTreeMap<Destination, Vec<Idle>>>,
}

/// A connection that nobody uses.
#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: Instant,
    /// The runtime that it belongs to: in no other may it be used.
    runtime: runtime::Id,
}

impl Pool {
    /// The youngest idle connection of this runtime to `destination` that its peer has not closed.
    fn take(&self, destination: &Destination) -> Option<Connection> {
        let here = runtime::Handle::try_current().ok()?.id();
        loop {
            let found = {
                let mut idle = self.idle.lock();
                let list = idle.get_mut(destination)?;
                let last = list.iter().rposition(|one| one.runtime == here)?;
                let found = list.remove(last);
                if list.is_empty() {
                    idle.remove(destination);
                }
                found
            };
            if found.since.elapsed() < IDLE_TIME && found.stream.is_silent() {
                return Some(Connection::new(found.stream, destination.clone()));
            }
        }
    }

    fn put(&self, connection: Connection) {
        let Ok(runtime) = runtime::Handle::try_current() else { return };
        let now = Instant::now();
        let mut idle = self.idle.lock();
        if idle.values().map(Vec::len).sum::<usize>() >= IDLE_ALTOGETHER {
            idle.retain(|_, list| {
                list.retain(|one| now.duration_since(one.since) < IDLE_TIME);
                !list.is_empty()
            });
            if idle.values().map(Vec::len).sum::<usize>() >= IDLE_ALTOGETHER {
                return;
            }
        }
        let list = idle.entry(connection.destination).or_default();
        list.retain(|one| now.duration_since(one.since) < IDLE_TIME);
        if list.len() < IDLE_PER_ADDRESS {
            list.push(Idle { stream: connection.reader.into_io(), since: now, runtime: runtime.id() });
        }
    }
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
