//! The bytes are upstream's, in every cut; what is malformed is refused.

use super::*;

fn pid(text: &str) -> Pid {
    text.parse().unwrap()
}

/// As recorded from a scheduler driver of genuine Mesos; docs/wire.md shows it with its body.
const RECORDED: &[u8] = b"POST /master/mesos.scheduler.Call HTTP/1.1\r\n\
    User-Agent: libprocess/scheduler-1@127.0.0.1:15061\r\n\
    Libprocess-From: scheduler-1@127.0.0.1:15061\r\n\
    Connection: Keep-Alive\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n\
    1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";

fn message(announced: Option<Announced<'_>>, bincode: bool, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let (from, to) = ("scheduler-1@127.0.0.1:15061", pid("master@127.0.0.1:5050"));
    write_message(&mut out, from, &to, "mesos.scheduler.Call", body, announced, bincode);
    out
}

/// All messages in bytes that arrive in pieces of `step`.
fn read(bytes: &[u8], step: usize) -> Result<Vec<(Head, Bytes)>, Malformed> {
    let mut decoder = MessageDecoder::default();
    let mut buffer = BytesMut::new();
    let mut all = Vec::new();
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        while let Some(message) = decoder.next(&mut buffer)? {
            all.push(message);
        }
    }
    assert!(buffer.is_empty() || all.is_empty(), "{buffer:?} is left");
    Ok(all)
}

fn one(text: &str) -> Result<(Head, Bytes), Malformed> {
    read(text.as_bytes(), 7).map(|mut all| all.remove(0))
}

#[test]
fn a_message_is_written_as_upstream_writes_it() {
    assert_eq!(message(None, false, b"abcdefghijklmnopqrstuvwxyz"), RECORDED);
}

#[test]
fn an_empty_body_has_neither_length_nor_chunks() {
    let text = String::from_utf8(message(None, false, b"").to_vec()).unwrap();
    assert!(text.ends_with("Host: \r\n\r\n"), "{text}");
    let (head, body) = one(&text).unwrap();
    assert_eq!((head.name.as_str(), body.len()), ("mesos.scheduler.Call", 0));
}

#[test]
fn recorded_messages_are_read_in_every_cut() {
    let pipelined = [RECORDED, RECORDED, &message(None, false, b""), RECORDED].concat();
    for step in 1..=RECORDED.len() + 1 {
        let all = read(&pipelined, step).unwrap();
        assert_eq!(all.len(), 4);
        let (head, body) = &all[3];
        assert_eq!((head.id.as_str(), head.name.as_str()), ("master", "mesos.scheduler.Call"));
        assert_eq!(head.from, pid("scheduler-1@127.0.0.1:15061"));
        assert_eq!(&body[..], b"abcdefghijklmnopqrstuvwxyz");
        assert!(!head.close && !head.bincode);
    }
}

#[test]
fn a_body_may_have_a_length_or_several_chunks() {
    let (_, body) = one("POST /a/b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    assert_eq!(&body[..], b"hello");
    let chunks = "POST /a/b HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n";
    let (_, body) = one(chunks).unwrap();
    assert_eq!(&body[..], b"hello");
}

#[test]
fn the_sender_stands_in_either_header_and_a_bad_one_is_nobody() {
    let from = |header: &str| one(&format!("POST /a/b HTTP/1.1\r\n{header}\r\n\r\n")).unwrap().0.from;
    assert_eq!(from("Libprocess-From: x@1.2.3.4:5"), pid("x@1.2.3.4:5"));
    assert_eq!(from("User-Agent: libprocess/x@1.2.3.4:5"), pid("x@1.2.3.4:5"));
    assert!(from("Libprocess-From: whoever").is_nobody());
}

#[test]
fn an_id_is_percent_coded_both_ways() {
    let mut out = BytesMut::new();
    write_message(
        &mut out,
        &Pid::nobody().to_string(),
        &pid("a%20b%2fc(1)@127.0.0.1:1"),
        "m",
        b"",
        None,
        false,
    );
    assert!(out.starts_with(b"POST /a%20b%2Fc(1)/m HTTP/1.1\r\n"), "{out:?}");
    let (head, _) = read(&out, 64).unwrap().remove(0);
    assert_eq!(head.id, "a b/c(1)");
}

#[test]
fn a_name_may_hold_slashes_and_may_be_missing() {
    let split = |path| split_path(path).map(|(id, name)| format!("{id}|{name}"));
    for (path, parts) in
        [("/a/b/c?d", "a|b/c"), ("/a", "a|"), ("/a/", "a|"), ("/", "|"), ("//b", "|b"), ("/a%20/b", "a |b")]
    {
        assert_eq!(split(path).as_deref(), Some(parts), "{path}");
    }
    for path in ["", "a/b", "/%ff/b"] {
        assert_eq!(split(path), None, "{path}");
    }
}

#[test]
fn what_is_malformed_is_refused() {
    let refused = |text: &str| read(text.as_bytes(), 5).unwrap_err();
    let head = "POST /a/b HTTP/1.1\r\n";
    assert_eq!(refused("GET /a/b HTTP/1.1\r\n\r\n"), Malformed::Path("GET /a/b".into()));
    assert!(matches!(refused("\0\0\0\0\0\0"), Malformed::Head(_)));
    assert_eq!(refused(&format!("{head}Content-Length: +5\r\n\r\n")), Malformed::Length);
    assert_eq!(refused(&format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n")), Malformed::Length);
    assert_eq!(
        refused(&format!("{head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")),
        Malformed::Length
    );
    assert_eq!(refused(&format!("{head}Transfer-Encoding: gzip\r\n\r\n")), Malformed::Length);
    assert_eq!(refused(&format!("{head}Content-Length: 999999999999\r\n\r\n")), Malformed::LongBody);
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(refused(&format!("{chunked}zz\r\n")), Malformed::Chunk);
    assert_eq!(refused(&format!("{chunked}2\r\nabc\r\n")), Malformed::Chunk);
    assert_eq!(refused(&format!("{chunked}ffffffff\r\n")), Malformed::LongBody);
    assert_eq!(refused(&format!("{chunked}ffffffffffffffffff\r\n")), Malformed::LongBody);
    assert_eq!(refused(&format!("{chunked}{}", "1".repeat(2000))), Malformed::Chunk);
    assert_eq!(refused(&format!("{head}X: {}", "y".repeat(MAX_HEAD))), Malformed::LongHead);
    assert_eq!(refused(&format!("{chunked}0\r\n{}", "t: u\r\n".repeat(MAX_HEAD))), Malformed::LongHead);
}

#[test]
fn answers_are_skipped_in_every_cut_and_show_the_schema() {
    let mut bytes = BytesMut::new();
    write_answer(&mut bytes, Status::Accepted, None);
    write_answer(&mut bytes, Status::NotFound, Some("f00"));
    bytes.extend_from_slice(b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nDate: x\r\n\r\nabc");
    bytes
        .extend_from_slice(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
    write_answer(&mut bytes, Status::BadRequest, None);
    for step in 1..bytes.len() {
        let (mut decoder, mut buffer, mut schemas) = (AnswerDecoder::default(), BytesMut::new(), Vec::new());
        for piece in bytes.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(schema) = decoder.next(&mut buffer).unwrap() {
                schemas.push(schema);
            }
        }
        assert_eq!(schemas, [None, Some("f00".to_owned()), None, None, None]);
    }
    let mut nonsense = BytesMut::from(&b"nonsense\r\n\r\n"[..]);
    assert!(AnswerDecoder::default().next(&mut nonsense).is_err());
}

#[test]
fn why_a_peer_closes_is_what_it_said_last() {
    let last_words = |answers: &str| {
        let (mut decoder, mut buffer) = (AnswerDecoder::default(), BytesMut::from(answers.as_bytes()));
        while decoder.next(&mut buffer).unwrap().is_some() {}
        decoder.last_words()
    };
    let lost = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
    let refused = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 9\r\n\r\nTLS\nonly\n";
    let short = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let done = "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(last_words(lost), None);
    assert_eq!(last_words(&format!("{lost}{refused}")).as_deref(), Some("400 TLS only"));
    assert_eq!(last_words(short).as_deref(), Some("400"));
    assert_eq!(last_words(done), None);
}

#[test]
fn a_schema_and_a_marked_body_are_read_back() {
    for order in [None, Some(Order { life: 0xfeed, number: 3 })] {
        let bytes = message(Some(Announced { schema: "f00", order }), true, b"x");
        let (head, _) = read(&bytes, 3).unwrap().remove(0);
        assert_eq!((head.schema.as_deref(), head.order, head.bincode), (Some("f00"), order, true));
    }
}

#[test]
fn a_peer_is_known_as_soon_as_its_header_is_there() {
    assert_eq!(kind(b""), Kind::Unclear);
    assert_eq!(kind(b"GET"), Kind::Client);
    assert_eq!(kind(b"PO"), Kind::Unclear);
    assert_eq!(kind(b"POST /a/b HTTP/1.1\r\nHost: x\r\n"), Kind::Unclear);
    assert_eq!(kind(b"POST /a/b HTTP/1.1\r\nHost: x\r\n\r\n"), Kind::Client);
    assert_eq!(kind(b"POST /a/b HTTP/1.1\r\nHost: x\r\nLibprocess-From: y\r\n\r\n"), Kind::Peer);
    assert_eq!(kind(b"POST /a/b HTTP/1.1\r\nUser-Agent: libprocess/y@1.2.3.4:5\r\n\r\n"), Kind::Peer);
    assert_eq!(
        kind(b"POST /a/b HTTP/1.1\r\nUser-Agent: curl/8\r\nLibprocess-From: y@1.2.3.4:5\r\n"),
        Kind::Client
    );
    assert_eq!(kind(RECORDED), Kind::Peer);
}
