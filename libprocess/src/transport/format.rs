//! The bytes of messages between nodes: what is written and how it is read, without any socket.
//!
//! A message is `POST /<actor id>/<message name>`; a body is one chunk, an empty body nothing at all (upstream:
//! 3rdparty/libprocess/src/encoder.hpp, `MessageEncoder`, and process.cpp, `parse`). The decoders are incremental:
//! they take from a buffer what they understand, and wait for more. Whatever the bytes, they do not panic.

use std::fmt::Write as _;
use std::mem;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::order::Order;
use crate::pid::Pid;
use crate::wire::BINCODE_CONTENT_TYPE;

/// The longest head (request or status line and headers), in bytes.
pub(crate) const MAX_HEAD: usize = 16 << 10;
/// The longest body of one message, in bytes.
pub(crate) const MAX_BODY: usize = crate::wire::MAX_MESSAGE_BYTES;
/// Headers of one head.
const MAX_HEADERS: usize = 64;
/// Bytes that are shown of a peer's last words.
const MAX_LAST_WORDS: usize = 200;
/// The longest line that gives a chunk's size, with its extensions.
const MAX_CHUNK_LINE: usize = 1 << 10;

/// The header in which a node says which schema it speaks. Ours alone; others ignore it.
pub(crate) const SCHEMA_HEADER: &str = "Libprocess-Schema";
/// The header in which such a node says which of its connections this is.
pub(crate) const ORDER_HEADER: &str = "Libprocess-Connection";

/// What a node of our kind says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced<'a> {
    /// Its schema.
    pub(crate) schema: &'a str,
    /// Which of its connections this is.
    pub(crate) order: Option<Order>,
}

/// What an actor id may not show in a request line.
const ID: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'/').add(b'?').add(b'#');

/// The text of the last sender: a connection's messages mostly come from one actor, and printing takes its time.
#[derive(Debug, Default)]
pub(crate) struct Printed(Option<(Pid, String)>);

impl Printed {
    /// The pid's text.
    pub(crate) fn text(&mut self, pid: &Pid) -> &str {
        if self.0.as_ref().is_none_or(|(known, _)| known != pid) {
            self.0 = Some((pid.clone(), pid.to_string()));
        }
        self.0.as_ref().map_or("", |(_, text)| text)
    }
}

/// Appends a message. `from` is the sender's pid as text; `announced` says who we are; `bincode` marks the body.
pub(crate) fn write_message(
    out: &mut BytesMut,
    from: &str,
    to: &Pid,
    name: &str,
    body: &[u8],
    announced: Option<Announced<'_>>,
    bincode: bool,
) {
    out.reserve(2 * from.len() + body.len() + 256);
    out.put_slice(b"POST /");
    utf8_percent_encode(to.id(), ID).for_each(|part| out.put_slice(part.as_bytes()));
    out.put_slice(b"/");
    out.put_slice(name.as_bytes());
    out.put_slice(b" HTTP/1.1\r\nUser-Agent: libprocess/");
    out.put_slice(from.as_bytes());
    out.put_slice(b"\r\nLibprocess-From: ");
    out.put_slice(from.as_bytes());
    out.put_slice(b"\r\nConnection: Keep-Alive\r\nHost: \r\n");
    // Writing into a BytesMut cannot fail.
    if let Some(Announced { schema, order }) = announced {
        let _ = write!(out, "{SCHEMA_HEADER}: {schema}\r\n");
        if let Some(order) = order {
            let _ = write!(out, "{ORDER_HEADER}: {order}\r\n");
        }
    }
    if bincode {
        let _ = write!(out, "Content-Type: {BINCODE_CONTENT_TYPE}\r\n");
    }
    if body.is_empty() {
        out.put_slice(b"\r\n");
    } else {
        let _ = write!(out, "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
        out.put_slice(body);
        out.put_slice(b"\r\n0\r\n\r\n");
    }
}

/// What a peer is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Accepted,
    NotFound,
    /// It says that somebody else sent it. The next may be right.
    Unbelieved,
    BadRequest,
}

/// Appends an answer.
pub(crate) fn write_answer(out: &mut BytesMut, status: Status, schema: Option<&str>) {
    out.put_slice(match status {
        Status::Accepted => b"HTTP/1.1 202 Accepted\r\n".as_slice(),
        Status::NotFound => b"HTTP/1.1 404 Not Found\r\n",
        Status::Unbelieved => b"HTTP/1.1 400 Bad Request\r\n",
        Status::BadRequest => b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n",
    });
    if let Some(schema) = schema {
        let _ = write!(out, "{SCHEMA_HEADER}: {schema}\r\n");
    }
    out.put_slice(b"Content-Length: 0\r\n\r\n");
}

/// Why a conversation cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the head is no HTTP: {0}")]
    Head(&'static str),
    #[error("the head is longer than {MAX_HEAD} bytes")]
    LongHead,
    #[error("the body is longer than {MAX_BODY} bytes")]
    LongBody,
    #[error("the length of the body is unclear")]
    Length,
    #[error("a chunk is malformed")]
    Chunk,
    #[error("`{0}` is not the path of a message")]
    Path(String),
}

impl From<httparse::Error> for Malformed {
    fn from(error: httparse::Error) -> Malformed {
        Malformed::Head(match error {
            httparse::Error::HeaderName => "a header's name",
            httparse::Error::HeaderValue => "a header's value",
            httparse::Error::NewLine => "a line's end",
            httparse::Error::Status => "the status",
            httparse::Error::Token => "the first line",
            httparse::Error::TooManyHeaders => "too many headers",
            httparse::Error::Version => "the version",
        })
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

/// What the headers say, as far as anybody here cares.
#[derive(Debug, Default)]
struct Headers<'a> {
    length: Option<usize>,
    chunked: bool,
    close: bool,
    agent: Option<&'a str>,
    from: Option<&'a str>,
    schema: Option<&'a str>,
    order: Option<Order>,
    content_type: Option<&'a str>,
}

impl<'a> Headers<'a> {
    fn read(headers: &[httparse::Header<'a>]) -> Result<Headers<'a>, Malformed> {
        let mut read = Headers::default();
        for header in headers {
            let value = std::str::from_utf8(header.value).unwrap_or("").trim();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("Content-Length") {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let length = value.parse().ok().filter(|_| digits).ok_or(Malformed::Length)?;
                if read.length.is_some_and(|other| other != length) {
                    return Err(Malformed::Length);
                }
                read.length = Some(length);
            } else if is("Transfer-Encoding") {
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err(Malformed::Length);
                }
                read.chunked = true;
            } else if is("Connection") {
                read.close |= value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close"));
            } else if is("User-Agent") {
                read.agent = Some(value);
            } else if is("Libprocess-From") {
                read.from = Some(value);
            } else if is(SCHEMA_HEADER) {
                read.schema = Some(value);
            } else if is(ORDER_HEADER) {
                read.order = value.parse().ok();
            } else if is("Content-Type") {
                read.content_type = Some(value);
            }
        }
        Ok(read)
    }

    /// Both a length and chunks is how requests are smuggled; it is refused.
    fn framing(&self) -> Result<Framing, Malformed> {
        match (self.chunked, self.length) {
            (true, None) => Ok(Framing::Chunked),
            (true, Some(_)) => Err(Malformed::Length),
            (false, length) => match length.unwrap_or(0) {
                length if length > MAX_BODY => Err(Malformed::LongBody),
                length => Ok(Framing::Length(length)),
            },
        }
    }
}

/// The head of a message, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The actor that it is for.
    pub(crate) id: String,
    /// The message's name.
    pub(crate) name: String,
    /// Who sent it; nobody if the header is no pid.
    pub(crate) from: Pid,
    /// The peer's schema, if it announced one.
    pub(crate) schema: Option<String>,
    /// Which of the peer's connections this is, if it said so with its schema.
    pub(crate) order: Option<Order>,
    /// Whether the body is marked as bincode.
    pub(crate) bincode: bool,
    /// Whether the peer wants the connection closed after the answer.
    pub(crate) close: bool,
}

/// A body on its way in.
#[derive(Debug)]
enum BodyState {
    Length(usize),
    ChunkSize,
    ChunkData(usize),
    ChunkEnd,
    Trailers,
}

#[derive(Debug)]
struct Body {
    state: BodyState,
    bytes: BytesMut,
    /// Bytes of trailers seen, which are bounded as a head is.
    trailers: usize,
}

impl Body {
    fn new(framing: Framing) -> Body {
        let state = match framing {
            Framing::Length(length) => BodyState::Length(length),
            Framing::Chunked => BodyState::ChunkSize,
        };
        Body { state, bytes: BytesMut::new(), trailers: 0 }
    }

    /// Takes what it can from the buffer. True once the body is whole.
    fn advance(&mut self, buffer: &mut BytesMut) -> Result<bool, Malformed> {
        loop {
            match self.state {
                BodyState::Length(left) => {
                    self.state = BodyState::Length(left - self.take(buffer, left));
                    return Ok(matches!(self.state, BodyState::Length(0)));
                }
                BodyState::ChunkSize => {
                    let Some(line) = take_line(buffer, MAX_CHUNK_LINE)? else { return Ok(false) };
                    let size = chunk_size(&line)?;
                    if size > MAX_BODY || self.bytes.len() + size > MAX_BODY {
                        return Err(Malformed::LongBody);
                    }
                    self.state = if size == 0 { BodyState::Trailers } else { BodyState::ChunkData(size) };
                }
                BodyState::ChunkData(left) => {
                    let left = left - self.take(buffer, left);
                    self.state = if left == 0 { BodyState::ChunkEnd } else { BodyState::ChunkData(left) };
                    if left > 0 {
                        return Ok(false);
                    }
                }
                BodyState::ChunkEnd => {
                    let Some(line) = take_line(buffer, 2)? else { return Ok(false) };
                    if !line.is_empty() {
                        return Err(Malformed::Chunk);
                    }
                    self.state = BodyState::ChunkSize;
                }
                BodyState::Trailers => {
                    let Some(line) = take_line(buffer, MAX_HEAD)? else { return Ok(false) };
                    self.trailers += line.len();
                    if line.is_empty() {
                        return Ok(true);
                    }
                    if self.trailers > MAX_HEAD {
                        return Err(Malformed::LongHead);
                    }
                }
            }
        }
    }

    /// Moves up to `wanted` bytes over; without a copy if they are all there.
    fn take(&mut self, buffer: &mut BytesMut, wanted: usize) -> usize {
        let taken = wanted.min(buffer.len());
        let part = buffer.split_to(taken);
        if self.bytes.is_empty() {
            self.bytes = part;
        } else {
            self.bytes.extend_from_slice(&part);
        }
        taken
    }
}

/// A line without its end (`\r\n`, or `\n` alone), if it is whole.
fn take_line(buffer: &mut BytesMut, limit: usize) -> Result<Option<BytesMut>, Malformed> {
    let searched = &buffer[..buffer.len().min(limit)];
    let Some(end) = searched.iter().position(|&byte| byte == b'\n') else {
        return if searched.len() < limit { Ok(None) } else { Err(Malformed::Chunk) };
    };
    let mut line = buffer.split_to(end + 1);
    line.truncate(end);
    if line.last() == Some(&b'\r') {
        line.truncate(end - 1);
    }
    Ok(Some(line))
}

fn chunk_size(line: &[u8]) -> Result<usize, Malformed> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| hex).ok_or(Malformed::Chunk)?;
    usize::from_str_radix(text, 16).map_err(|_| Malformed::LongBody)
}

/// Reads messages from the bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct MessageDecoder {
    /// A message whose head is read.
    current: Option<(Head, Body)>,
    /// The last sender's text: a connection's messages mostly come from one actor.
    sender: Option<(String, Pid)>,
}

impl MessageDecoder {
    /// The bytes that are there of a body that is not complete; `None` between two messages.
    pub(crate) fn body_bytes(&self) -> Option<usize> {
        self.current.as_ref().map(|(_, body)| body.bytes.len())
    }

    /// The next message, or `None` until there are more bytes.
    ///
    /// # Errors
    /// When the conversation cannot go on; it is to be answered with 400 and closed.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<(Head, Bytes)>, Malformed> {
        if self.current.is_none() {
            self.current = self.read_head(buffer)?;
        }
        let Some((_, body)) = &mut self.current else { return Ok(None) };
        if !body.advance(buffer)? {
            return Ok(None);
        }
        Ok(self.current.take().map(|(head, body)| (head, body.bytes.freeze())))
    }

    fn read_head(&mut self, buffer: &mut BytesMut) -> Result<Option<(Head, Body)>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(buffer)? else {
            return if buffer.len() < MAX_HEAD { Ok(None) } else { Err(Malformed::LongHead) };
        };
        if length > MAX_HEAD {
            return Err(Malformed::LongHead);
        }
        let path = request.path.unwrap_or_default();
        if request.method != Some("POST") {
            return Err(Malformed::Path(format!("{} {path}", request.method.unwrap_or_default())));
        }
        let (id, name) = split_path(path).ok_or_else(|| Malformed::Path(path.to_owned()))?;
        let headers = Headers::read(request.headers)?;
        let framing = headers.framing()?;
        let agent = headers.agent.and_then(|agent| agent.split_once("libprocess/")).map(|(_, pid)| pid);
        let head = Head {
            id,
            name,
            from: sender(&mut self.sender, headers.from.or(agent).unwrap_or_default()),
            schema: headers.schema.map(str::to_owned),
            order: headers.order.filter(|_| headers.schema.is_some()),
            bincode: headers.content_type == Some(BINCODE_CONTENT_TYPE),
            close: headers.close || request.version == Some(0),
        };
        buffer.advance(length);
        Ok(Some((head, Body::new(framing))))
    }
}

/// The pid in a header; nobody if it is none.
fn sender(last: &mut Option<(String, Pid)>, text: &str) -> Pid {
    if let Some((known, pid)) = last
        && known == text
    {
        return pid.clone();
    }
    let pid = text.parse().unwrap_or_else(|_| Pid::nobody());
    *last = Some((text.to_owned(), pid.clone()));
    pid
}

/// `/<id>/<name>`; the id is percent-decoded, the name is everything behind. A path without a name, or without an id,
/// is one that no actor knows: a message that is lost, not a conversation that cannot go on (as upstream).
pub(crate) fn split_path(path: &str) -> Option<(String, String)> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let path = path.strip_prefix('/')?;
    let (id, name) = path.split_once('/').unwrap_or((path, ""));
    let id = percent_decode_str(id).decode_utf8().ok()?;
    Some((id.into_owned(), name.to_owned()))
}

/// Reads a peer's answers, of which nothing matters but that they come, the schema that they announce, and why the peer
/// closes, if it says so.
#[derive(Debug, Default)]
pub(crate) struct AnswerDecoder {
    body: Option<Body>,
    schema: Option<String>,
    /// The status of the answer at hand, if it is an error after which the peer closes.
    refusal: Option<u16>,
    /// The last answer, if it was one of those.
    last_words: Option<String>,
}

impl AnswerDecoder {
    /// Skips one answer; gives the schema that it announced.
    ///
    /// # Errors
    /// When the bytes are no answers; the connection is to be closed.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Option<String>>, Malformed> {
        if self.body.is_none() {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(length) = response.parse(buffer)? else {
                return if buffer.len() < MAX_HEAD { Ok(None) } else { Err(Malformed::LongHead) };
            };
            let headers = Headers::read(response.headers)?;
            self.schema = headers.schema.map(str::to_owned);
            self.refusal = response.code.filter(|status| *status >= 400 && headers.close);
            self.body = Some(Body::new(headers.framing()?));
            buffer.advance(length);
        }
        let Some(body) = &mut self.body else { return Ok(None) };
        if !body.advance(buffer)? {
            return Ok(None);
        }
        let text = self.body.take().map(|body| body.bytes).unwrap_or_default();
        self.last_words = self.refusal.take().map(|status| refusal(status, &text));
        Ok(Some(mem::take(&mut self.schema)))
    }

    /// Why the peer closes: what it said last, if that was an error.
    pub(crate) fn last_words(&mut self) -> Option<String> {
        self.last_words.take()
    }
}

/// A refusal in one line: its status, and how its text begins.
fn refusal(status: u16, text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(MAX_LAST_WORDS)]);
    format!("{status} {text}").trim().replace(char::is_control, " ")
}

/// What the first bytes of a connection show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Another node: a POST with `User-Agent: libprocess/...`, or with `Libprocess-From` and no `User-Agent`.
    Peer,
    /// Anybody else.
    Client,
    /// Not to be told yet.
    Unclear,
}

/// Who opened a connection, told by its first bytes (which stay unread).
pub(crate) fn kind(first: &[u8]) -> Kind {
    let line = &first[..first.len().min(5)];
    if !b"POST ".starts_with(line) {
        return Kind::Client;
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let complete = match request.parse(first) {
        Ok(status) => status.is_complete(),
        // The server of ordinary clients has an answer for it.
        Err(_) => return Kind::Client,
    };
    let header = |name: &str| request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    match (header("User-Agent"), complete) {
        (Some(agent), _) if agent.value.starts_with(b"libprocess/") => Kind::Peer,
        // An ordinary client may send a message among other requests: the server delivers it.
        (Some(_), _) => Kind::Client,
        (None, true) if header("Libprocess-From").is_some() => Kind::Peer,
        (None, true) => Kind::Client,
        (None, false) => Kind::Unclear,
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
