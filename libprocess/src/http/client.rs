//! The HTTP client: requests to anybody, pooled connections, answers as they come.
//!
//! Owns the idle connections. A connection in use belongs to its request or to its [`ClientResponse`], so
//! that nothing runs in the background: dropping either ends the request. A client may be shared by all threads;
//! each uses the idle connections again that it made itself, since they belong to its runtime.
//! It knows no actor. What it is reached by, TCP, TLS or a Unix socket, the URL says (`destination.rs`).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::http::header::LOCATION;
use ::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime;
use tokio::time::Instant;

use super::client_request::ClientRequest;
use super::codec::BodyScanner;
use super::connection::{Connection, Dialer, until};
use super::destination::{Carrier, Destination, UNIX_SCHEME};
use super::pipeline::Pipeline;
use super::proxies::{Proxies, Proxy};
use crate::simulation::Site;
use crate::stream::Stream;
use crate::tls::{Tls, TlsError, TlsSettings};

/// How long connecting may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
