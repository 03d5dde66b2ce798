//! docs/wire.md shows what is really written and read.

use bytes::{Bytes, BytesMut};

use super::format::{Announced, AnswerDecoder, Head, MessageDecoder, Status, write_answer, write_message};
use super::order::Order;

const PAGE: &str = include_str!("../../../docs/wire.md");
const SCHEMA: Option<&str> = Some("90ab3d1c5e7f0246");
const ORDER: Order = Order { life: 0x5d0c_3a91_e2b4_7f68, number: 12 };

/// The blocks of the page that begin so, in their order.
fn blocks(beginning: &str) -> Vec<&'static str> {
    let fenced = PAGE.split("\n```").skip(1).step_by(2);
    let blocks = fenced.filter_map(|block| block.strip_prefix("text\n"));
    blocks.filter(|block| block.starts_with(beginning)).collect()
}

/// Bytes as the page shows them.
fn shown(bytes: &[u8]) -> String {
    let lines = bytes.escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n");
    lines.trim_end().to_owned()
}

fn message(from: &str, to: &str, name: &str, body: &[u8], schema: Option<&str>, bincode: bool) -> String {
    let mut out = BytesMut::new();
    let announced = schema.map(|schema| Announced { schema, order: Some(ORDER) });
    write_message(&mut out, from, &to.parse().unwrap(), name, body, announced, bincode);
    shown(&out)
}

fn ping(body: &[u8], schema: Option<&str>, bincode: bool) -> String {
    let (observer, agent) = ("agent-observer(1)@127.0.0.1:5050", "slave(1)@127.0.0.1:5051");
    message(observer, agent, "mesos.internal.PingSlaveMessage", body, schema, bincode)
}

fn answer(status: Status, schema: Option<&str>) -> String {
    let mut out = BytesMut::new();
    write_answer(&mut out, status, schema);
    shown(&out)
}

/// The bytes that a block stands for.
fn meant(block: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    let mut letters = block.bytes().filter(|&letter| letter != b'\n');
    while let Some(letter) = letters.next() {
        let byte = match letter {
            b'\\' => match letters.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b'x' => {
                    let digits = [letters.next().unwrap(), letters.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                itself => itself,
            },
            letter => letter,
        };
        bytes.extend_from_slice(&[byte]);
    }
    bytes
}

fn read(block: &str) -> (Head, Bytes) {
    let mut bytes = meant(block);
    let read = MessageDecoder::default().next(&mut bytes).unwrap().unwrap();
    assert!(bytes.is_empty(), "{bytes:?} is left");
    read
}

#[test]
fn messages_are_written_as_the_page_shows_them() {
    let (observer, agent) = ("agent-observer(1)@127.0.0.1:5050", "slave(1)@127.0.0.1:5051");
    let ours = [
        ping(b"\x08\x01", None, false),
        message(agent, observer, "mesos.internal.PongSlaveMessage", b"", None, false),
        ping(b"\x08\x01", SCHEMA, false),
        ping(b"\x01", None, true),
    ];
    let blocks = blocks("POST");
    assert_eq!(blocks.len(), ours.len() + 2, "two of them are upstream's");
    for (block, ours) in blocks.iter().zip(&ours) {
        assert_eq!(block, ours);
    }
}

#[test]
fn answers_are_written_as_the_page_shows_them() {
    let ours = [
        answer(Status::Accepted, None),
        answer(Status::NotFound, None),
        answer(Status::Unbelieved, None),
        answer(Status::BadRequest, None),
        answer(Status::Accepted, SCHEMA),
    ];
    let blocks = blocks("HTTP");
    assert_eq!(blocks.len(), ours.len() + 1, "one of them is upstream's");
    for (block, ours) in blocks.iter().zip(&ours) {
        assert_eq!(block, ours);
    }
}

#[test]
fn what_upstream_sends_is_read() {
    let messages = blocks("POST");
    let (head, body) = read(messages[4]);
    assert_eq!((head.id.as_str(), head.name.as_str()), ("master", "mesos.scheduler.Call"));
    assert_eq!(head.from, "scheduler-1@127.0.0.1:15061".parse().unwrap());
    assert_eq!(&body[..], b"\x10\x01\x1a\x16\n\x12\n\x04root\x12\x06oracle:\x02vm\"\x00");
    // We would write the same.
    let ours =
        message("scheduler-1@127.0.0.1:15061", "master@127.0.0.1:15050", &head.name, &body, None, false);
    assert_eq!(messages[4], ours);

    let (head, body) = read(messages[5]);
    assert_eq!(
        (head.id.as_str(), head.name.as_str()),
        ("slave-observer(1)", "mesos.internal.PongSlaveMessage")
    );
    assert!(body.is_empty() && !head.close);

    let mut answer = meant(blocks("HTTP")[5]);
    assert_eq!(AnswerDecoder::default().next(&mut answer), Ok(Some(None)));
    assert!(answer.is_empty());
}
