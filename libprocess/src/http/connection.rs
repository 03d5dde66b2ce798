//! One client connection: a request out, an answer in.
//!
//! Owns the socket and the bytes that were read ahead. Used by [`super::client`] (one request at a time,
//! answers as streams) and, split in two, by [`super::pipeline`]. It knows neither pools nor redirects.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::PROXY_AUTHORIZATION;
use ::http::{HeaderMap, Method};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::client::{ClientError, ClientTls};
use super::codec::{BodyScanner, ResponseHead, response_head};
use super::destination::{Carrier, Destination};
use super::proxies::Proxy;
use crate::simulation::Site;
use crate::stream::{Stream, write};

/// Bytes that one read asks for.
const READ_SIZE: usize = 16 << 10;

/// What a connection is called in errors: `host:port`, or the path of a socket.
pub(crate) type Authority = Arc<str>;

/// What connecting needs to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dialer {
    pub(crate) tls: ClientTls,
    /// The place on a simulated network from which everything is reached, if the node has one.
    pub(crate) site: Option<Site>,
}

impl Dialer {
    /// Connects within `timeout`, by way of a proxy if there is one, the handshake of TLS included; all addresses of the
    /// host are tried in turn.
    pub(crate) async fn connect(
        &self,
        destination: &Destination,
        proxy: Option<&Proxy>,
        timeout: Duration,
    ) -> Result<Stream, ClientError> {
        let address = &destination.name;
        let failed = |cause: String| ClientError::Connect { address: address.clone(), cause };
        let what = if proxy.is_some() { "connecting through its proxy" } else { "connecting" };
        tokio::time::timeout(timeout, self.open(destination, proxy, &failed))
            .await
            .unwrap_or_else(|_| Err(ClientError::Timeout { address: address.clone(), what, after: timeout }))
    }

    async fn open(
        &self,
        destination: &Destination,
        proxy: Option<&Proxy>,
        failed: &impl Fn(String) -> ClientError,
    ) -> Result<Stream, ClientError> {
        let address = &destination.name;
        let no_connection = |error: io::Error| failed(error.to_string());
        match (destination.carrier, &self.site) {
            (Carrier::Tcp, None) => match proxy {
                Some(proxy) => connect_to(proxy).await.map(Stream::Tcp).map_err(failed),
                None => connect_tcp(address).await.map(Stream::Tcp).map_err(no_connection),
            },
            (Carrier::Unix, None) => {
                UnixStream::connect(&**address).await.map(Stream::Unix).map_err(no_connection)
            }
            (Carrier::Tls, None) => {
                let stream = match proxy {
                    Some(proxy) => tunnel(proxy, address).await.map_err(failed)?,
                    None => connect_tcp(address).await.map_err(no_connection)?,
                };
                let tls = self.tls.get().map_err(failed)?;
                let host = address.rsplit_once(':').map_or(&**address, |(host, _)| host);
                tls.connect(stream, host).await.map_err(|error| failed(format!("TLS: {error}")))
            }
            (Carrier::Tcp, Some(site)) => {
                let to = address.parse().map_err(|_| failed("a simulation knows no names".to_owned()))?;
                site.connect(to).await.map(Stream::Simulated).map_err(no_connection)
            }
            (carrier, Some(_)) => Err(failed(format!("a simulation knows no {carrier:?}"))),
        }
    }
}

async fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Requests are small and answers are waited for; Nagle's algorithm would delay them by 40 ms.
    stream.set_nodelay(true)?;
    // An answer may take for ever (a stream of events), and its server vanish without a word.
    crate::transport::keep_alive(&stream)?;
    Ok(stream)
}

async fn connect_to(proxy: &Proxy) -> Result<TcpStream, String> {
    connect_tcp(&proxy.address).await.map_err(|error| format!("its proxy {}: {error}", proxy.address))
}

/// Has a proxy connect to `address`, and pass on whatever is said from then on.
async fn tunnel(proxy: &Proxy, address: &Authority) -> Result<TcpStream, String> {
    let failed = |cause: String| format!("its proxy {}: {cause}", proxy.address);
    let mut stream = connect_to(proxy).await?;
    let credentials = proxy.credentials.clone().map(|value| (PROXY_AUTHORIZATION, value));
    let mut request = BytesMut::new();
    encode_request(
        &mut request,
        &Method::CONNECT,
        address,
        address,
        &HeaderMap::from_iter(credentials),
        &Bytes::new(),
    );
    write(&mut stream, &request).await.map_err(|error| failed(error.to_string()))?;
    let mut reader = AnswerReader::new(&mut stream, proxy.address.clone());
    // Nothing follows the head of a success; the rest of a refusal is not read.
    let head = reader.head(true).await.map_err(|error| error.to_string())?;
    let has_leftovers = reader.has_leftovers();
    match head {
        Some(head) if !head.status.is_success() => Err(failed(format!("it answered {}", head.status))),
        Some(_) if has_leftovers => Err(failed("it said more than was asked of it".to_owned())),
        Some(_) => Ok(stream),
        None => Err(failed("it closed the connection without an answer".to_owned())),
    }
}

/// Writes a request as one block of bytes, so that it leaves in one packet where it fits.
pub(crate) fn encode_request(
    out: &mut BytesMut,
    method: &Method,
    target: &str,
    host: &str,
    headers: &HeaderMap,
    body: &Bytes,
) {
    out.reserve(256 + target.len() + body.len());
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    if !headers.contains_key(::http::header::HOST) {
        header(out, "Host", host.as_bytes());
    }
    for (name, value) in headers {
        header(out, name.as_str(), value.as_bytes());
    }
    if !body.is_empty() || *method == Method::POST || *method == Method::PUT || *method == Method::PATCH {
        header(out, "Content-Length", body.len().to_string().as_bytes());
    }
    out.put_slice(b"\r\n");
    out.put_slice(body);
}

fn header(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// Reads answers from the receiving half of a connection.
#[derive(Debug)]
pub(crate) struct AnswerReader<R> {
    io: R,
    buffer: BytesMut,
    authority: Authority,
}

impl<R: AsyncRead + Unpin> AnswerReader<R> {
    pub(crate) fn new(io: R, authority: Authority) -> AnswerReader<R> {
        AnswerReader { io, buffer: BytesMut::new(), authority }
    }

    /// Whether bytes were read that belong to no answer yet.
    pub(crate) fn has_leftovers(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Waits until there is something to read; `false` at the end of the connection.
    pub(crate) async fn ready(&mut self) -> Result<bool, ClientError> {
        Ok(!self.buffer.is_empty() || self.fill().await? > 0)
    }

    pub(crate) fn into_io(self) -> R {
        self.io
    }

    pub(crate) fn io_mut(&mut self) -> &mut R {
        &mut self.io
    }

    /// The next head; informational ones (1xx) are read over. `Ok(None)`: the peer closed the connection
    /// before the first byte of an answer.
    pub(crate) async fn head(&mut self, to_head: bool) -> Result<Option<ResponseHead>, ClientError> {
        loop {
            match response_head(&self.buffer, to_head).map_err(|e| self.protocol(e.to_string()))? {
                Some((head, length)) => {
                    self.buffer.advance(length);
                    if !head.status.is_informational() {
                        return Ok(Some(head));
                    }
                }
                None => {
                    if self.fill().await? == 0 {
                        if self.buffer.is_empty() {
                            return Ok(None);
                        }
                        return Err(self.closed());
                    }
                }
            }
        }
    }

    /// The next piece of a body; `None` at its end.
    pub(crate) async fn chunk(&mut self, scanner: &mut BodyScanner) -> Result<Option<Bytes>, ClientError> {
        loop {
            if scanner.is_done() {
                return Ok(None);
            }
            let step = scanner.step(&self.buffer).map_err(|e| self.protocol(e.to_string()))?;
            if step.consumed > 0 {
                let mut piece = self.buffer.split_to(step.consumed).freeze();
                if !step.data.is_empty() {
                    return Ok(Some(piece.split_to(step.data.end)));
                }
                continue;
            }
            if self.fill().await? == 0 {
                return if scanner.ends_with_connection() { Ok(None) } else { Err(self.closed()) };
            }
        }
    }

    /// The rest of a body, at most `limit` bytes.
    pub(crate) async fn collect(
        &mut self,
        scanner: &mut BodyScanner,
        limit: usize,
    ) -> Result<Bytes, ClientError> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.chunk(scanner).await? {
            if all.len() + piece.len() > limit {
                return Err(ClientError::BodyTooLarge { address: self.authority.clone(), limit });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    async fn fill(&mut self) -> Result<usize, ClientError> {
        self.buffer.reserve(READ_SIZE);
        self.io.read_buf(&mut self.buffer).await.map_err(|error| ClientError::io(&self.authority, &error))
    }

    fn protocol(&self, cause: String) -> ClientError {
        ClientError::Protocol { address: self.authority.clone(), cause }
    }

    fn closed(&self) -> ClientError {
        ClientError::Closed { address: self.authority.clone() }
    }
}

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) reader: AnswerReader<Stream>,
    pub(crate) destination: Destination,
}

impl Connection {
    pub(crate) fn new(stream: Stream, destination: Destination) -> Connection {
        Connection { reader: AnswerReader::new(stream, destination.name.clone()), destination }
    }

    /// Writes `request` and reads the answer's head. While it writes, it does not read: an answer that
    /// comes early waits in the socket.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        to_head: bool,
    ) -> Result<Option<ResponseHead>, ClientError> {
        let written = write(self.reader.io_mut(), request).await;
        match (written, self.reader.head(to_head).await) {
            // A server may refuse a large request before it has read all of it.
            (_, Ok(Some(head))) => Ok(Some(head)),
            (Ok(()), other) => other,
            // Why a server behind TLS refuses a client can only be read.
            (Err(_), Err(error)) => Err(error),
            (Err(error), Ok(None)) => Err(ClientError::io(&self.destination.name, &error)),
        }
    }
}

/// What is left until `deadline`.
pub(crate) async fn until<T>(
    deadline: Option<(Instant, Duration)>,
    authority: &Authority,
    what: &'static str,
    future: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    match deadline {
        None => future.await,
        Some((at, after)) => match tokio::time::timeout_at(at, future).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout { address: authority.clone(), what, after }),
        },
    }
}
