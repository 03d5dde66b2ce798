//! What fuzzers feed: a function for each parser of bytes from outside, which panics when a promise is broken.
//!
//! Compiled only for tests, which feed them with `harness::fuzz`, and for cargo-fuzz (`integration/fuzz`).

use std::sync::Arc;

use ::http::Method;
use bytes::{Bytes, BytesMut};

use crate::http::dispatch::{Target, route_path};
use crate::http::routes::{Endpoint, Routes};
use crate::http::{Query, Request, Response};
use crate::pid::Pid;
use crate::transport::format::{Announced, AnswerDecoder, Head, MessageDecoder, kind, write_message};

/// A pid that can be read is printed as a text that reads as the same pid, and can stand in a header.
pub fn pid(data: &[u8]) {
    let Ok(pid) = String::from_utf8_lossy(data).parse::<Pid>() else { return };
    let text = pid.to_string();
    assert_eq!(text.parse(), Ok(pid));
    assert!(text.bytes().all(|byte| byte > b' ' && byte != 0x7f), "{text:?} can stand in no header");
}

/// Messages are the same however their bytes are cut, and what was read is written so that it reads the same.
pub fn message(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    kind(bytes);
    let (messages, whole) = messages(bytes, bytes.len());
    let (pieces, cut) = self::messages(bytes, usize::from(cut));
    assert_eq!((&messages, whole), (&pieces, cut), "whole and in pieces");
    messages.iter().for_each(reads_as_it_is_written);
    assert_eq!(answers(bytes, bytes.len()), answers(bytes, 1));
}

/// The messages in bytes that arrive in pieces, and whether all the bytes made sense.
fn messages(bytes: &[u8], piece: usize) -> (Vec<(Head, Bytes)>, bool) {
    let (mut decoder, mut buffer, mut all) = (MessageDecoder::default(), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(message)) => all.push(message),
                Ok(None) => break,
                Err(_) => return (all, false),
            }
        }
    }
    (all, true)
}

fn reads_as_it_is_written((head, body): &(Head, Bytes)) {
    let to = Pid::new(head.id.as_str(), ([127, 0, 0, 1], 5050).into());
    let mut written = BytesMut::new();
    let from = head.from.to_string();
    let announced = head.schema.as_deref().map(|schema| Announced { schema, order: head.order });
    write_message(&mut written, &from, &to, &head.name, body, announced, head.bincode);
    let (read, _) = messages(&written, written.len());
    let again = Head { close: false, ..head.clone() };
    assert_eq!(read, [(again, body.clone())]);
}

/// The schemas that answers announce, and whether all the bytes made sense.
fn answers(bytes: &[u8], piece: usize) -> (Vec<Option<String>>, bool) {
    let (mut decoder, mut buffer, mut all) = (AnswerDecoder::default(), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(schema)) => all.push(schema),
                Ok(None) => break,
                Err(_) => return (all, false),
            }
        }
    }
    (all, true)
}

/// A path is served by the longest route that is a part of it; paths are made plain once; queries are read.
///
/// The last line is a path with its query, the others are routes.
pub fn routes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (routes, wanted) = text.rsplit_once('\n').unwrap_or(("", &text));
    let request = Request::new(Method::GET, wanted);
    if !request.path.starts_with('/') {
        return;
    }
    let mut table = Routes::new();
    routes.lines().for_each(|route| table.add(route, endpoint()));

    let alive = |id: &str| id == "master" || id == "slave(1)";
    let Some(target) = Target::of(&request.path, Some("master"), alive) else { return };
    let whole = target.whole_path();
    assert!(whole.starts_with('/') && !whole.ends_with('/') && !whole.contains("//"), "{whole:?}");
    assert!(request.path.contains("/..") || !whole.contains("/.."), "{whole:?}");
    assert_eq!(Target::of(&whole, None, alive).map(|again| again.whole_path()), Some(whole));

    let segments = segments(target.rest);
    let expected = longest(routes, &segments);
    let found = table.find(target.rest);
    assert_eq!(found.as_ref().map(|found| found.path), expected.as_deref());
    if let Some(found) = found {
        assert!(found.handler(&Method::GET).is_ok());
        route_path(target.actor, found.path);
    }
    query(&request.query);
}

/// The rule of [`Routes::find`] in other words.
fn longest(routes: &str, wanted: &[&str]) -> Option<String> {
    let routes: Vec<Vec<&str>> = routes.lines().map(segments).collect();
    let longest =
        routes.iter().filter(|route| wanted.starts_with(route) && (!route.is_empty() || wanted.is_empty()));
    let anything = routes.iter().find(|route| **route == ["*"]);
    longest.max_by_key(|route| route.len()).or(anything).map(|route| route.join("/"))
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

fn endpoint() -> Endpoint {
    Endpoint {
        methods: Vec::new(),
        realm: None,
        help: "",
        handler: Arc::new(|_| Box::pin(async { Some(Response::accepted()) })),
    }
}

/// Each parameter is found by its name.
fn query(query: &Query) {
    for (name, _) in query.iter() {
        assert!(query.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use harness::fuzz::run;

    #[test]
    fn pids() {
        let samples: [&[u8]; 5] = [
            b"master@127.0.0.1:5050",
            b"slave(1)@10.1.2.3:5051",
            b"scheduler-1%20(2)@[::1]:80",
            b"a@[fe80::1%3]:1",
            b"(1)@0.0.0.0:0",
        ];
        run(
            super::pid,
            &samples,
            &[b"@", b"%40", b"%", b"%25", b"[::1]", b":", b"\xc3\xa4", b"%00", b"/", b" "],
        );
    }

    #[test]
    fn messages() {
        let samples: [&[u8]; 5] = [
            b"\x07POST /master/mesos.scheduler.Call HTTP/1.1\r\nUser-Agent: libprocess/scheduler-1@127.0.0.1:15061\r\nLibprocess-From: scheduler-1@127.0.0.1:15061\r\nConnection: Keep-Alive\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
            b"\x01POST /a/b HTTP/1.1\r\nContent-Length: 5\r\nLibprocess-Schema: 12ab\r\nLibprocess-Connection: 2a.7\r\nContent-Type: application/x-bincode\r\n\r\nhelloPOST /slave(1)/c HTTP/1.1\r\n\r\n",
            b"\x50POST /a/b HTTP/1.0\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n",
            b"\x03HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\nHTTP/1.1 404 Not Found\r\nLibprocess-Schema: 12ab\r\nContent-Length: 0\r\n\r\n",
            b"\x10HTTP/1.1 400 Bad Request\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        ];
        let words: [&[u8]; 20] = [
            b"\r\n",
            b"\n",
            b"\r\n\r\n",
            b"POST /",
            b" HTTP/1.1\r\n",
            b"Content-Length: ",
            b"0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Libprocess-From: a@1.2.3.4:5\r\n",
            b"User-Agent: libprocess/",
            b"Libprocess-Schema: ",
            b"Libprocess-Connection: ",
            b"Connection: close\r\n",
            b"%2F",
            b"%",
            b"?",
            b"/",
            b"ffffffffffffffff\r\n",
            b";",
            b"Content-Type: application/x-bincode\r\n",
        ];
        run(super::message, &samples, &words);
    }

    #[test]
    fn routes() {
        let samples: [&[u8]; 4] = [
            b"/\n/state\n/api/v1\n/api/v1/scheduler\n/master/api/v1/operator?a=1&b=x%20y",
            b"/*\n/quota\n/slave(1)//quota/?jsonp=f;g",
            b"/a\n/a/b\n/%2e%2e/a/b/c",
            b"/state\n/master/state.json",
        ];
        let words: [&[u8]; 12] =
            [b"/", b"//", b"\n", b"..", b"/..", b"%2F", b"%2e", b"*", b"master", b"slave(1)", b"?", b"&"];
        run(super::routes, &samples, &words);
    }
}
