//! Where an HTTP/1.1 message begins and ends: heads by httparse, bodies by length or chunk.
//!
//! Pure: bytes in, decisions out; sockets and buffers belong to the callers (the client's connection,
//! and the gate in front of the server). The rules are RFC 9112, sections 6 and 7. Every line and head has
//! a limit.

use std::ops::Range;

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use thiserror::Error;

/// Bytes that a head (start line and headers) may have.
pub(crate) const MAX_HEAD: usize = 128 << 10;

/// Headers that a head may have.
pub(crate) const MAX_HEADERS: usize = 96;

/// Bytes that the line of a chunk's size (with extensions) or of a trailer may have.
const MAX_LINE: usize = 4 << 10;

/// Trailer bytes that are read over after the last chunk.
const MAX_TRAILERS: usize = 16 << 10;

/// Why bytes are no HTTP message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FramingError {
    /// httparse refused the head.
    #[error("malformed head: {0}")]
    Head(String),
    /// A head, line or trailer is larger than allowed.
    #[error("{0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// A length that is no number, or lengths that contradict each other.
    #[error("invalid Content-Length")]
    Length,
    /// Something else than `chunked`, or a length beside it.
    #[error("unsupported Transfer-Encoding")]
    Encoding,
    /// A chunk's size is not hexadecimal, or its end is not where the size says.
    #[error("malformed chunk")]
    Chunk,
}

/// How far the bytes of a body go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    Empty,
    /// Exactly so many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until the connection ends (answers only).
    UntilClose,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// Whether the connection can carry another request after the body.
    pub(crate) keep_alive: bool,
}

/// Reads the head of an answer. `Ok(None)`: more bytes are needed. Gives the head and its length.
/// `to_head` says that the request was a HEAD, whose answer has no body whatever its headers say.
pub(crate) fn response_head(
    input: &[u8],
    to_head: bool,
) -> Result<Option<(ResponseHead, usize)>, FramingError> {
    let mut storage = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut storage);
    let length = match response.parse(input).map_err(|e| FramingError::Head(e.to_string()))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if input.len() > MAX_HEAD => {
            return Err(FramingError::TooLong("the head", MAX_HEAD));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let status = StatusCode::from_u16(response.code.unwrap_or(0))
        .map_err(|_| FramingError::Head("invalid status".to_owned()))?;
    let headers = header_map(response.headers)?;
    let bodiless = to_head
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    let framing = match framing_of(&headers)? {
        _ if bodiless => Framing::Empty,
        Some(framing) => framing,
        None => Framing::UntilClose,
    };
    let keep_alive =
        framing != Framing::UntilClose && keeps_alive(&headers, response.version.unwrap_or(0) == 1);
    Ok(Some((ResponseHead { status, headers, framing, keep_alive }, length)))
}

/// Finds the end of a request's head, and how its body ends. `Ok(None)`: more bytes are needed.
pub(crate) fn request_head(input: &[u8]) -> Result<Option<(Framing, usize)>, FramingError> {
    let mut storage = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut storage);
    let length = match request.parse(input).map_err(|e| FramingError::Head(e.to_string()))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if input.len() > MAX_HEAD => {
            return Err(FramingError::TooLong("the head", MAX_HEAD));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let mut framing = None;
    let mut chunked = false;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            framing = merge_length(framing, header.value)?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = is_chunked(header.value)?;
        }
    }
    match (chunked, framing) {
        (true, Some(_)) => Err(FramingError::Encoding),
        (true, None) => Ok(Some((Framing::Chunked, length))),
        (false, framing) => Ok(Some((framing.unwrap_or(Framing::Empty), length))),
    }
}

fn header_map(headers: &[httparse::Header<'_>]) -> Result<HeaderMap, FramingError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        match (name, value) {
            (Ok(name), Ok(value)) => map.append(name, value),
            _ => return Err(FramingError::Head(format!("invalid header '{}'", header.name))),
        };
    }
    Ok(map)
}

fn framing_of(headers: &HeaderMap) -> Result<Option<Framing>, FramingError> {
    // A sender that gives both means the encoding (RFC 9112, 6.3).
    if let Some(value) = headers.get(::http::header::TRANSFER_ENCODING)
        && is_chunked(value.as_bytes())?
    {
        return Ok(Some(Framing::Chunked));
    }
    let mut framing = None;
    for value in headers.get_all(::http::header::CONTENT_LENGTH) {
        framing = merge_length(framing, value.as_bytes())?;
    }
    Ok(framing)
}

fn is_chunked(value: &[u8]) -> Result<bool, FramingError> {
    let value = value.trim_ascii();
    if value.eq_ignore_ascii_case(b"chunked") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"identity") {
        Ok(false)
    } else {
        Err(FramingError::Encoding)
    }
}

fn merge_length(known: Option<Framing>, value: &[u8]) -> Result<Option<Framing>, FramingError> {
    let text = std::str::from_utf8(value.trim_ascii()).map_err(|_| FramingError::Length)?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(FramingError::Length);
    }
    let framing = Framing::Length(text.parse().map_err(|_| FramingError::Length)?);
    match known {
        Some(other) if other != framing => Err(FramingError::Length),
        _ => Ok(Some(framing)),
    }
}

fn keeps_alive(headers: &HeaderMap, http_1_1: bool) -> bool {
    let mut keep = http_1_1;
    for value in headers.get_all(::http::header::CONNECTION) {
        for option in value.to_str().unwrap_or("").split(',') {
            if option.trim().eq_ignore_ascii_case("close") {
                return false;
            }
            keep = keep || option.trim().eq_ignore_ascii_case("keep-alive");
        }
    }
    keep
}

/// Follows a body through the bytes of a connection.
#[derive(Debug)]
pub(crate) struct BodyScanner {
    state: Scan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Done,
    UntilClose,
    Remaining(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    /// With the trailer bytes read so far.
    Trailer(usize),
}

/// What one look at the input found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes that belong to the message and are done with; 0 means that more input is needed (or that
    /// the body is at its end).
    pub(crate) consumed: usize,
    /// Which of them are content.
    pub(crate) data: Range<usize>,
}

impl Step {
    fn skip(consumed: usize) -> Step {
        Step { consumed, data: 0..0 }
    }

    fn take(length: usize) -> Step {
        Step { consumed: length, data: 0..length }
    }
}

impl BodyScanner {
    pub(crate) fn new(framing: Framing) -> BodyScanner {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => Scan::Done,
            Framing::Length(length) => Scan::Remaining(length),
            Framing::Chunked => Scan::ChunkSize,
            Framing::UntilClose => Scan::UntilClose,
        };
        BodyScanner { state }
    }

    /// Whether the whole body was seen.
    pub(crate) fn is_done(&self) -> bool {
        self.state == Scan::Done
    }

    /// Whether the end of the connection is the end of the body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == Scan::UntilClose
    }

    /// What would end a chunked body here, in place of what [`BodyScanner::step`] has refused.
    pub(crate) fn end_of_chunks(&self) -> &'static [u8] {
        match self.state {
            Scan::ChunkSize => b"0\r\n\r\n",
            Scan::ChunkEnd => b"\r\n0\r\n\r\n",
            Scan::Trailer(_) => b"\r\n",
            Scan::Done | Scan::UntilClose | Scan::Remaining(_) | Scan::ChunkData(_) => b"",
        }
    }

    /// Takes what it can from the front of `input`; to be called again with the rest until it consumes
    /// nothing.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, FramingError> {
        match self.state {
            Scan::Done => Ok(Step::skip(0)),
            Scan::UntilClose => Ok(Step::take(input.len())),
            Scan::Remaining(remaining) => {
                let length = clamp(remaining, input.len());
                self.state = match remaining - length as u64 {
                    0 => Scan::Done,
                    left => Scan::Remaining(left),
                };
                Ok(Step::take(length))
            }
            Scan::ChunkSize => self.chunk_size(input),
            Scan::ChunkData(remaining) => {
                let length = clamp(remaining, input.len());
                self.state = match remaining - length as u64 {
                    0 => Scan::ChunkEnd,
                    left => Scan::ChunkData(left),
                };
                Ok(Step::take(length))
            }
            Scan::ChunkEnd => match line(input)? {
                Some(2 | 1) if input[0] == b'\r' || input[0] == b'\n' => {
                    self.state = Scan::ChunkSize;
                    Ok(Step::skip(if input[0] == b'\r' { 2 } else { 1 }))
                }
                Some(_) => Err(FramingError::Chunk),
                None if input.len() >= 2 => Err(FramingError::Chunk),
                None => Ok(Step::skip(0)),
            },
            Scan::Trailer(seen) => self.trailer(input, seen),
        }
    }

    fn chunk_size(&mut self, input: &[u8]) -> Result<Step, FramingError> {
        let Some(length) = line(input)? else { return Ok(Step::skip(0)) };
        let digits = input[..length].split(|b| *b == b';').next().unwrap_or(&[]).trim_ascii();
        let text = std::str::from_utf8(digits).map_err(|_| FramingError::Chunk)?;
        if text.is_empty() || text.len() > 15 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(FramingError::Chunk);
        }
        let size = u64::from_str_radix(text, 16).map_err(|_| FramingError::Chunk)?;
        self.state = if size == 0 { Scan::Trailer(0) } else { Scan::ChunkData(size) };
        Ok(Step::skip(length))
    }

    fn trailer(&mut self, input: &[u8], seen: usize) -> Result<Step, FramingError> {
        let Some(length) = line(input)? else { return Ok(Step::skip(0)) };
        if input[..length].trim_ascii().is_empty() {
            self.state = Scan::Done;
        } else if seen + length > MAX_TRAILERS {
            return Err(FramingError::TooLong("the trailer", MAX_TRAILERS));
        } else {
            self.state = Scan::Trailer(seen + length);
        }
        Ok(Step::skip(length))
    }
}

/// The length of the first line with its end, if it is there as a whole.
fn line(input: &[u8]) -> Result<Option<usize>, FramingError> {
    let window = &input[..input.len().min(MAX_LINE)];
    match window.iter().position(|b| *b == b'\n') {
        Some(at) => Ok(Some(at + 1)),
        None if window.len() == MAX_LINE => Err(FramingError::TooLong("a line", MAX_LINE)),
        None => Ok(None),
    }
}

fn clamp(remaining: u64, available: usize) -> usize {
    usize::try_from(remaining).unwrap_or(usize::MAX).min(available)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces of `size` bytes; gives the content and what was left.
    fn scan(framing: Framing, input: &[u8], size: usize) -> Result<(Vec<u8>, Vec<u8>), FramingError> {
        let mut scanner = BodyScanner::new(framing);
        let (mut content, mut buffer) = (Vec::new(), Vec::new());
        for piece in input.chunks(size) {
            buffer.extend_from_slice(piece);
            loop {
                let step = scanner.step(&buffer)?;
                content.extend_from_slice(&buffer[step.data.clone()]);
                buffer.drain(..step.consumed);
                if step.consumed == 0 {
                    break;
                }
            }
        }
        assert!(scanner.is_done(), "not at the end: {scanner:?}");
        Ok((content, buffer))
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let input = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\nNEXT";
        for size in 1..=input.len() {
            let (content, rest) = scan(Framing::Chunked, input, size).unwrap();
            assert_eq!((content.as_slice(), rest.as_slice()), (&b"hello world"[..], &b"NEXT"[..]), "{size}");
        }
    }

    #[test]
    fn lengths_end_where_they_say() {
        assert_eq!(scan(Framing::Length(3), b"abcdef", 2).unwrap(), (b"abc".to_vec(), b"def".to_vec()));
        assert!(BodyScanner::new(Framing::Length(0)).is_done());
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for input in [&b"x\r\n"[..], b"\r\n", b"-1\r\n", b"5\r\nhelloX\r\n", b"ffffffffffffffff\r\n"] {
            let mut scanner = BodyScanner::new(Framing::Chunked);
            let mut rest = input;
            let error = loop {
                match scanner.step(rest) {
                    Ok(step) if step.consumed == 0 => break None,
                    Ok(step) => rest = &rest[step.consumed..],
                    Err(error) => break Some(error),
                }
            };
            assert_eq!(error, Some(FramingError::Chunk), "{input:?}");
            let mut end = scanner.end_of_chunks();
            while !scanner.is_done() {
                let step = scanner.step(end).unwrap();
                assert!(step.consumed > 0, "{input:?}");
                end = &end[step.consumed..];
            }
            assert!(end.is_empty(), "{input:?}");
        }
        let endless = vec![b'1'; MAX_LINE];
        assert!(matches!(
            BodyScanner::new(Framing::Chunked).step(&endless),
            Err(FramingError::TooLong("a line", _))
        ));
    }

    #[test]
    fn requests_are_framed_by_their_headers() {
        let framed = |text: &str| request_head(text.as_bytes());
        assert_eq!(framed("GET / HTTP/1.1\r\nHost: x\r\n"), Ok(None));
        assert_eq!(framed("GET / HTTP/1.1\r\n\r\n"), Ok(Some((Framing::Empty, 18))));
        assert_eq!(
            framed("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n"),
            Ok(Some((Framing::Length(12), 39)))
        );
        assert_eq!(
            framed("POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n"),
            Ok(Some((Framing::Chunked, 47)))
        );
        assert_eq!(framed("POST / HTTP/1.1\r\nContent-Length: abc\r\n\r\n"), Err(FramingError::Length));
        assert_eq!(
            framed("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            Err(FramingError::Length)
        );
        assert_eq!(
            framed("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(FramingError::Encoding)
        );
        assert!(matches!(framed("garbage\r\n\r\n"), Err(FramingError::Head(_))));
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(MAX_HEAD));
        assert!(matches!(framed(&long), Err(FramingError::TooLong("the head", _))));
    }

    #[test]
    fn answers_are_framed_by_status_method_and_headers() {
        let framed = |text: &str, to_head| {
            response_head(text.as_bytes(), to_head).unwrap().map(|(head, _)| (head.framing, head.keep_alive))
        };
        assert_eq!(framed("HTTP/1.1 200 OK\r\n", false), None);
        assert_eq!(framed("HTTP/1.1 200 OK\r\n\r\n", false), Some((Framing::UntilClose, false)));
        assert_eq!(
            framed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false),
            Some((Framing::Length(5), true))
        );
        assert_eq!(
            framed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
            Some((Framing::Empty, true))
        );
        assert_eq!(framed("HTTP/1.1 204 No Content\r\n\r\n", false), Some((Framing::Empty, true)));
        assert_eq!(
            framed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", false),
            Some((Framing::Chunked, false))
        );
        assert_eq!(
            framed("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false),
            Some((Framing::Length(5), false))
        );
    }
}
