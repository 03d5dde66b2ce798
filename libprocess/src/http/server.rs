//! The HTTP server of a node: accepted connections of ordinary clients, answered by actix-web.
//!
//! Owns the translation between actix-web's types and ours, limits, and compression. A connection is served
//! on the thread that accepted it. Peers' connections never come here ([`crate::transport`]). It knows
//! routes only through [`super::dispatch`].

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::{ConnectionType, HttpService, KeepAlive};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use tokio::net::TcpStream;

use super::body::{Body, BodyReceiver};
use super::dispatch::dispatch;
use super::gate::{AnswerGuard, Gate, Progress};
use super::gzip::{self, GZIP_MINIMUM, UnpackError};
use super::pour::{Pour, next_slice};
use super::request::{Query, Request, accepts_coding, decode_path};
use super::response::Response;
use super::turns::Turns;
use crate::budget::{Exhausted, Share};
use crate::crowd::Activity;
use crate::node::Node;
use crate::stream::Stream;

/// Bytes that the body of a request may have, unpacked; more is answered with 413.
pub const MAX_REQUEST_BODY: usize = 64 << 20;

/// How long a connection's first request may take from its first bytes until its head is there; then 408.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection that is being closed may linger.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// When the kernel begins to probe a silent peer, and how often. There is no other limit for an idle
/// connection: Mesos's C++ scheduler library keeps one open for its calls, and takes its end for the
/// end of the master.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

type ServeFn = dyn Fn(Gate, SocketAddr) -> LocalBoxFuture<'static, Result<(), String>>;
type Serve = Rc<ServeFn>;

thread_local! {
    /// The service of this thread, as long as the runtime lives that it was made in: actix-http keeps the
    /// current date with a task of that runtime. A task of the runtime owns it, not this variable: it must
    /// not be dropped with the thread's variables, some of which are its own.
    static SERVICE: RefCell<Option<Weak<ServeFn>>> = const { RefCell::new(None) };
}

/// Where a connection came from, and what it may ask for.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) node: Node,
    /// Unspecified on a Unix socket.
    pub(crate) peer: SocketAddr,
    /// The only paths that are served on it; all if `None`.
    pub(crate) paths: Option<Rc<[String]>>,
}

/// What requests know about their connection.
struct Connection {
    origin: Origin,
    progress: Rc<Progress>,
}

thread_local! {
    /// The origin of the connection that is being set up: actix-http's hook for new connections gets nothing
    /// but the socket.
    static ARRIVING: RefCell<Option<Origin>> = const { RefCell::new(None) };
}

/// Serves one connection until it ends, or the caller drops it because the node stops. `first` was read from it
/// already. Runs on the thread that calls it, which must be an arbiter's.
pub(crate) async fn serve(origin: Origin, stream: Stream, first: BytesMut, activity: Rc<Activity>) {
    let peer = origin.peer;
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%peer, %error, "cannot set up a connection");
        return;
    }
    let Some(serve) = service().await else { return };
    // Between these two lines nothing else runs on this thread.
    ARRIVING.set(Some(origin));
    let connection = serve(Gate::new(stream, first, activity), peer);
    ARRIVING.set(None);
    if let Err(error) = connection.await {
        tracing::debug!(%peer, error, "a connection ended");
    }
}

/// Tells somebody that there is no room, without a wait.
pub(crate) fn refuse(stream: &TcpStream) {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let _ = stream.try_write(BUSY);
}

fn prepare(stream: &Stream) -> io::Result<()> {
    let Some(stream) = stream.tcp() else { return Ok(()) };
    stream.set_nodelay(true)?;
    let (idle, interval, probes) = KEEPALIVE;
    let keepalive = socket2::TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// The service of this thread; a new one if there is none yet in this runtime.
async fn service() -> Option<Serve> {
    let known = SERVICE.with_borrow(|known| known.as_ref().and_then(Weak::upgrade));
    if known.is_some() {
        return known;
    }
    let app = App::new().default_service(web::to(answer)).into_factory();
    let factory = HttpService::build()
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(REQUEST_TIMEOUT)
        .client_disconnect_timeout(CLOSE_TIMEOUT)
        // The gate decides when the end of a peer's side is the end of the connection.
        .h1_allow_half_closed(false)
        .on_connect_ext(|gate: &Gate, extensions| {
            if let Some(origin) = ARRIVING.take() {
                extensions.insert(Connection { origin, progress: gate.progress().clone() });
            }
        })
        .h1(map_config(app, |_| AppConfig::default()));
    let Ok(service) = factory.new_service(()).await else {
        tracing::error!("cannot start the HTTP service");
        return None;
    };
    let serve: Serve = Rc::new(move |gate, peer| {
        let ended = service.call((gate, Some(peer)));
        Box::pin(async move { ended.await.map_err(|error| error.to_string()) })
    });
    SERVICE.set(Some(Rc::downgrade(&serve)));
    let owned = serve.clone();
    actix_rt::spawn(async move {
        futures::future::pending::<()>().await;
        drop(owned);
    });
    Some(serve)
}

/// Answers every request: actix-web's one handler.
async fn answer(request: HttpRequest, payload: web::Payload) -> HttpResponse<BoxBody> {
    let Some(connection) = request.conn_data::<Connection>() else {
        return HttpResponse::InternalServerError().finish().map_into_boxed_body();
    };
    let guard = AnswerGuard::new(connection.progress.clone());
    let Origin { node, peer, paths } = &connection.origin;
    let mut share = node.requests().share(peer.ip());
    let response = match read(node, &request, payload, *peer, &mut share).await {
        Ok(_) if connection.progress.is_malformed() => {
            Response::bad_request("The chunks of the request's body are malformed")
        }
        Ok(request) if paths.as_ref().is_some_and(|paths| !paths.contains(&request.path)) => {
            Response::forbidden(format!("'{}' is not served on this socket", request.path))
        }
        Ok(request) => dispatch(node, request).await,
        Err(response) => response,
    };
    drop(share);
    let method = request.method().as_str();
    let codings = request.headers().get("accept-encoding").and_then(|v| v.to_str().ok()).unwrap_or("");
    let response = compress(node, response, codings).await;
    let (mut response, share) = count(response, node.answers().share(peer.ip()));
    // By the node's clock; actix-http would ask the host's.
    let date = httpdate::fmt_http_date(node.now());
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers.insert(::http::header::DATE, date);
    }
    let mut answer = write(response, method == "HEAD", Held { guard, _share: share });
    // actix-http answers nothing more on a connection on which an upgrade was proposed, and would say
    // `Connection: Upgrade`. Clients that propose one with each request (Java's: h2c) would ask again on it, in vain.
    // Behind a malformed request there is none.
    if request.head().upgrade() || connection.progress.is_malformed() {
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    answer
}

/// Counts what waits to be read of an answer; or says that there is no room for it.
fn count(mut response: Response, mut share: Share) -> (Response, Option<Share>) {
    let counted = match &mut response.body {
        Body::Empty => Ok(None),
        Body::Bytes(bytes) => share.set(bytes.len()).map(|()| Some(share)),
        Body::Shared(document) => document.count(share).map(Some),
        Body::Stream(receiver) => receiver.count(share).map(|()| None),
    };
    match counted {
        Ok(share) => (response, share),
        Err(exhausted) => (busy(exhausted), None),
    }
}

/// Our request from actix-web's, with its whole body.
async fn read(
    node: &Node,
    request: &HttpRequest,
    payload: web::Payload,
    peer: SocketAddr,
    share: &mut Share,
) -> Result<Request, Response> {
    let method = Method::from_bytes(request.method().as_str().as_bytes())
        .map_err(|_| Response::bad_request("Invalid method"))?;
    let mut headers = HeaderMap::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_ref()), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.append(name, value);
        }
    }
    // Without either header there is no body, whatever actix-http expects after an `Upgrade`.
    let has_body = headers.contains_key("content-length") || headers.contains_key("transfer-encoding");
    let mut body = if has_body { read_body(payload, share).await? } else { Bytes::new() };
    if headers.get("content-encoding").is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip")) {
        body = gzip::unpack_for(node, body, share).await.map_err(not_unpacked)?;
    }
    let raw = request.uri().path();
    if raw.contains("/..") {
        return Err(Response::not_found());
    }
    let path = decode_path(raw).ok_or_else(Response::not_found)?;
    let query = Query::parse(request.uri().query().unwrap_or(""));
    Ok(Request { method, path, query, headers, body, peer, principal: None })
}

async fn read_body(mut payload: web::Payload, share: &mut Share) -> Result<Bytes, Response> {
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    let mut length = 0;
    while let Some(piece) = payload.next().await {
        let piece =
            piece.map_err(|error| Response::bad_request(format!("Failed to read the body: {error}")))?;
        length += piece.len();
        if length > MAX_REQUEST_BODY {
            return Err(too_large());
        }
        hold(share, length)?;
        // Most bodies come in one piece, which is not copied.
        match first.take() {
            None if all.is_empty() => first = Some(piece),
            None => all.extend_from_slice(&piece),
            Some(head) => {
                all.reserve(head.len() + piece.len());
                all.extend_from_slice(&head);
                all.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

fn hold(share: &mut Share, bytes: usize) -> Result<(), Response> {
    share.set(bytes).map_err(busy)
}

fn busy(exhausted: Exhausted) -> Response {
    Response::service_unavailable(exhausted.to_string())
}

fn too_large() -> Response {
    Response::text(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The body of a request may have at most {MAX_REQUEST_BODY} bytes"),
    )
}

fn not_unpacked(error: UnpackError) -> Response {
    match error {
        UnpackError::Malformed(_) => Response::bad_request(error.to_string()),
        UnpackError::TooLarge => too_large(),
        UnpackError::Exhausted(exhausted) => busy(exhausted),
    }
}

/// Compresses a large body for those who accept it. Not a part of a document: compressed, it would be taken for that part of
/// the compressed document (RFC 9110, 14.2).
async fn compress(node: &Node, mut response: Response, accept_encoding: &str) -> Response {
    let pieces = response.body.pieces().unwrap_or_default();
    if pieces.iter().map(Bytes::len).sum::<usize>() < GZIP_MINIMUM
        || response.status == StatusCode::PARTIAL_CONTENT
        || response.headers.contains_key("content-encoding")
        || !accepts_coding(accept_encoding, "gzip")
    {
        return response;
    }
    let packed = match &response.body {
        Body::Shared(document) => document.packed(node).await.map(Body::shared),
        _ => gzip::pack_for(node, pieces).await.map(Body::Bytes),
    };
    if let Some(packed) = packed {
        response.body = packed;
        response.headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

/// actix-web's answer from ours. A stream whose route says its length (`content-length`) is not chunked.
fn write(mut response: Response, to_head: bool, held: Held) -> HttpResponse<BoxBody> {
    let length = response.headers.remove("content-length").and_then(|v| v.to_str().ok()?.parse().ok());
    let content = match response.body {
        Body::Empty => Content::Bytes(Bytes::new()),
        Body::Bytes(bytes) => Content::Bytes(bytes),
        Body::Shared(document) => Content::Shared(Pour::new(document)),
        // A HEAD has no body; a stream for it would never end.
        Body::Stream(_) if to_head => match length {
            Some(length) => Content::Announced(length),
            None => Content::Bytes(Bytes::new()),
        },
        Body::Stream(receiver) => match length {
            // It ends by itself, as bytes do.
            Some(length) => Content::Sized(receiver, length),
            None => {
                held.guard.streams(receiver.watch());
                Content::Stream(receiver)
            }
        },
    };
    let status = actix_http::StatusCode::from_u16(response.status.as_u16())
        .unwrap_or(actix_http::StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::with_body(
        status,
        BoxBody::new(AnswerBody { content, turns: Turns::default(), _held: held }),
    );
    // Upstream writes names in camel case; some clients look for exactly that.
    answer.head_mut().set_camel_case_headers(true);
    for (name, value) in &response.headers {
        if let (Ok(name), Ok(value)) = (
            actix_http::header::HeaderName::from_bytes(name.as_str().as_bytes()),
            actix_http::header::HeaderValue::from_bytes(value.as_bytes()),
        ) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// A body on its way out. Its end, however it comes, lets the next request in.
struct AnswerBody {
    content: Content,
    turns: Turns,
    _held: Held,
}

/// What a body on its way out holds.
struct Held {
    guard: AnswerGuard,
    _share: Option<Share>,
}

enum Content {
    Bytes(Bytes),
    Shared(Pour),
    /// What a HEAD is told of a stream's length; actix-http writes no body for it.
    Announced(u64),
    /// A stream of so many bytes.
    Sized(BodyReceiver, u64),
    Stream(BodyReceiver),
}

impl MessageBody for AnswerBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        match &self.content {
            Content::Bytes(bytes) => BodySize::Sized(bytes.len() as u64),
            Content::Shared(pour) => BodySize::Sized(pour.len() as u64),
            Content::Sized(_, length) | Content::Announced(length) => BodySize::Sized(*length),
            Content::Stream(_) => BodySize::Stream,
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        let Self { content, turns, .. } = &mut *self;
        ready!(turns.poll(cx));
        let slice = content.poll_next(cx);
        if let Poll::Ready(Some(Ok(slice))) = &slice {
            turns.gave(slice.len());
        }
        slice
    }
}

impl Content {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        match self {
            Content::Announced(_) => Poll::Ready(None),
            Content::Bytes(bytes) => Poll::Ready(next_slice(bytes).map(Ok)),
            Content::Shared(pour) => Poll::Ready(pour.next().map(Ok)),
            Content::Sized(receiver, _) | Content::Stream(receiver) => match receiver.poll_chunk(cx) {
                Poll::Ready(None) if receiver.watch().is_aborted() => {
                    Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())))
                }
                chunk => chunk.map(|chunk| chunk.map(Ok)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pour::SLICE;
    use crate::http::turns::TURN;

    #[test]
    fn an_answer_that_others_share_is_compressed_once_for_all() {
        use crate::http::SharedBytes;
        crate::testing::run(async {
            let node = Node::builder().offline().start().await.unwrap();
            let before = gzip::packings();
            let bytes = Bytes::from(vec![b'x'; 2 * SLICE]);
            let document = SharedBytes::new([bytes.clone()]);
            let compressed = async |body| {
                let response = Response { body, ..Response::default() };
                let response = compress(&node, response, "gzip, deflate").await;
                assert_eq!(response.headers["content-encoding"], "gzip");
                response.body.collect().await
            };
            let first = compressed(Body::shared(document.clone())).await;
            assert_eq!(first, compressed(Body::shared(document.clone())).await);
            assert_eq!(gzip::packings() - before, 1);
            assert_eq!(first, compressed(Body::Bytes(bytes.clone())).await);
            assert_eq!(gzip::packings() - before, 2);
            let part = Response { body: bytes.clone().into(), ..Response::new(StatusCode::PARTIAL_CONTENT) };
            assert_eq!(compress(&node, part, "gzip").await.body.as_bytes(), Some(&bytes[..]));
            // Who does not accept it has the document as it is.
            let response = Response { body: Body::shared(document), ..Response::default() };
            assert_eq!(compress(&node, response, "").await.body.as_bytes(), Some(&bytes[..]));
            node.shutdown().await;
        });
    }

    #[test]
    fn a_large_body_lets_others_go_first_and_misses_nothing() {
        crate::testing::run(async {
            let body = Bytes::from_iter((0..TURN * 2 + SLICE).map(|byte| byte as u8));
            let content = Content::Bytes(body.clone());
            let held = Held { guard: AnswerGuard::new(Rc::default()), _share: None };
            let mut answer = AnswerBody { content, turns: Turns::default(), _held: held };
            let (mut given, mut pauses) = (Vec::new(), 0);
            std::future::poll_fn(|cx| {
                loop {
                    match Pin::new(&mut answer).poll_next(cx) {
                        Poll::Ready(Some(slice)) => given.extend_from_slice(&slice.unwrap()),
                        Poll::Ready(None) => return Poll::Ready(()),
                        Poll::Pending => {
                            pauses += 1;
                            // It is woken: else this test would never end.
                            return Poll::Pending;
                        }
                    }
                }
            })
            .await;
            // The root of a runtime is polled when its other tasks have something to do, too.
            assert!(pauses >= 2, "{pauses}");
            assert!(given == body);
        });
    }
}
