//! Sends a file, or one range of it, without holding it in memory.
//!
//! Small files go out as bytes, larger ones as a stream with a known length that is read as fast as the
//! peer takes it. It knows nothing of virtual paths.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bytes::Bytes;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::media_types::media_type;
use crate::http::{Body, Response, StreamSender, stream};
use crate::node::Node;

/// Files up to this size are sent as one piece.
const SMALL: u64 = 256 << 10;

/// Bytes that are read at once from larger ones.
const PIECE: usize = 256 << 10;

/// The answer that carries `file`. `range` is the request's `Range` header.
pub(super) fn send(node: &Node, mut file: File, path: &Path, size: u64, range: Option<&str>) -> Response {
    let (status, span) = match range.and_then(|text| parse_range(text, size)) {
        Some(Ok(span)) => (StatusCode::PARTIAL_CONTENT, span),
        Some(Err(())) => {
            return Response::new(StatusCode::RANGE_NOT_SATISFIABLE)
                .header("content-range", format!("bytes */{size}"));
        }
        None => (StatusCode::OK, 0..size),
    };
    if let Err(error) = file.seek(SeekFrom::Start(span.start)) {
        return Response::internal_server_error(format!("Failed to seek file: {error}.\n"));
    }
    let length = span.end - span.start;
    let body = if length <= SMALL {
        let mut bytes = Vec::with_capacity(length as usize);
        match file.take(length).read_to_end(&mut bytes) {
            Ok(_) => Body::Bytes(bytes.into()),
            Err(error) => {
                return Response::internal_server_error(format!("Failed to read file: {error}.\n"));
            }
        }
    } else {
        let (sender, body) = stream();
        node.spawn_task(pump(node.clone(), file, length, sender));
        body
    };
    let name = path.file_name().unwrap_or_default().as_bytes();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let mut response = Response::new(status)
        .header("content-type", media_type(&extension))
        .header("content-disposition", attachment(name))
        .header("x-content-type-options", "nosniff");
    if matches!(body, Body::Stream(_)) {
        response = response.header("content-length", length.to_string());
    }
    if status == StatusCode::PARTIAL_CONTENT {
        response = response.header("content-range", format!("bytes {}-{}/{size}", span.start, span.end - 1));
    }
    response.body = body;
    response
}

/// Says that a browser is to save the file under its name, and never to show it: it is a stranger's, and a page would
/// be one of this node's. Upstream writes the name as it is; one that a header cannot have in that form is encoded
/// (RFC 6266).
fn attachment(name: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(byte);
    match std::str::from_utf8(name) {
        Ok(plain) if name.iter().all(is_plain) => format!("attachment; filename={plain}"),
        _ => format!("attachment; filename*=UTF-8''{}", percent_encode(name, NON_ALPHANUMERIC)),
    }
}

/// Reads the file piece by piece as the peer takes them. A file that was cut meanwhile ends early, which
/// the peer sees by the length it was told.
async fn pump(node: Node, file: File, length: u64, sender: StreamSender) {
    let mut left = length;
    let mut file = file;
    while left > 0 && !sender.is_closed() {
        let (read, same) = node
            .blocking(move || {
                let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
                let read = file.read(&mut piece).map(|n| {
                    piece.truncate(n);
                    Bytes::from(piece)
                });
                (read, file)
            })
            .await;
        file = same;
        match read {
            Ok(piece) if !piece.is_empty() => {
                left -= piece.len() as u64;
                if sender.send(piece).is_err() {
                    return;
                }
                sender.drained(PIECE).await;
            }
            _ => return,
        }
    }
}

/// One range of a `Range` header. `None`: to be ignored (no bytes, several ranges, malformed);
/// `Some(Err)`: nothing of the file lies in it. (RFC 9110, 14.1.2)
fn parse_range(text: &str, size: u64) -> Option<Result<Range<u64>, ()>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let span = if first.is_empty() {
        let suffix: u64 = last.parse().ok()?;
        size.saturating_sub(suffix)..size
    } else {
        let first: u64 = first.parse().ok()?;
        let last: u64 = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
        if last < first {
            return None;
        }
        first..last.saturating_add(1).min(size)
    };
    Some(if span.start < span.end { Ok(span) } else { Err(()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_saved_under_its_name_whatever_that_is() {
        assert_eq!(attachment(b"std-out.1_a"), "attachment; filename=std-out.1_a");
        for (name, encoded) in [
            (&b"x\ny.html"[..], "x%0Ay%2Ehtml"),
            ("\u{fc}.html".as_bytes(), "%C3%BC%2Ehtml"),
            (b"a;b\"c d", "a%3Bb%22c%20d"),
            (b"\xff", "%FF"),
        ] {
            let value = attachment(name);
            assert_eq!(value, format!("attachment; filename*=UTF-8''{encoded}"));
            assert!(http::HeaderValue::from_str(&value).is_ok());
        }
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(parse_range("bytes=0-9", 100), Some(Ok(0..10)));
        assert_eq!(parse_range("bytes=90-", 100), Some(Ok(90..100)));
        assert_eq!(parse_range("bytes=-5", 100), Some(Ok(95..100)));
        assert_eq!(parse_range("bytes=-500", 100), Some(Ok(0..100)));
        assert_eq!(parse_range("bytes=50-500", 100), Some(Ok(50..100)));
        assert_eq!(parse_range("bytes=100-", 100), Some(Err(())));
        assert_eq!(parse_range("bytes=-0", 100), Some(Err(())));
        for ignored in ["bytes=9-0", "bytes=a-b", "lines=0-9", "bytes=0-9,20-29", "bytes=5"] {
            assert_eq!(parse_range(ignored, 100), None, "{ignored}");
        }
    }
}
