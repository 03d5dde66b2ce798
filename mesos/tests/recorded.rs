//! What genuine Mesos was sent and what it answered (`data/recorded.jsonl`, a line for each
//! request): our reader takes the calls, refuses what it refused with the same text, and our writer
//! gives its answers back letter for letter.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it fails")]

use base64::Engine as _;
use mesos::codec::{CallError, decode_agent_call, decode_call};
use mesos::v1::{agent, executor, master, scheduler};
use mesos::{MediaType, Message, json, recordio, wire};
use serde_json::Value;

const RECORDED: &str = include_str!("data/recorded.jsonl");

struct Recorded {
    name: String,
    api: String,
    status: u64,
    media: MediaType,
    answer_media: Option<MediaType>,
    call: Vec<u8>,
    answer: Vec<u8>,
}

fn recorded() -> Vec<Recorded> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = RECORDED.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        Recorded {
            name: text(&line, "name"),
            api: text(&line, "api"),
            status: line["status"].as_u64().unwrap(),
            media: MediaType::of_content(line["content_type"].as_str()).unwrap(),
            answer_media: MediaType::from_name(&text(&line, "answer_type")),
            call: bytes(&line["call"]),
            answer: bytes(&line["answer"]),
        }
    });
    lines.collect()
}

/// A body: text, or an object with the base64 of bytes.
fn bytes(body: &Value) -> Vec<u8> {
    match body {
        Value::String(text) => text.clone().into_bytes(),
        other => {
            let base64 = other["base64"].as_str().unwrap();
            base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
        }
    }
}

impl Recorded {
    /// Upstream's refusal of the body, as opposed to one of what the call asks for.
    fn refused_body(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.answer).into_owned();
        let of_body = ["Failed to parse body", "Failed to convert", "Expecting a JSON", "Not expecting"];
        (self.status == 400 && of_body.iter().any(|start| text.starts_with(start))).then_some(text)
    }

    /// Reads the call, and writes and reads it once more.
    fn read_call(&self) -> Result<(), CallError> {
        match self.api.as_str() {
            "scheduler" => self.reread(decode_call::<scheduler::Call>(self.media, &self.call)?),
            "executor" => self.reread(decode_call::<executor::Call>(self.media, &self.call)?),
            "master" => self.reread(decode_call::<master::Call>(self.media, &self.call)?),
            "agent" => self.reread(decode_agent_call::<agent::Call>(self.media, &self.call)?),
            other => panic!("no API {other}"),
        }
        Ok(())
    }

    fn reread<T: Message>(&self, call: T) {
        let text = json::to_vec(&call);
        let again: T = json::from_slice(&text).unwrap();
        // Defaults have been written where there was nothing.
        assert_eq!(json::to_vec(&again), text, "{}", self.name);
        assert_eq!(wire::decode::<T>(&wire::encode(&call)).as_ref(), Ok(&call), "{}", self.name);
        if self.media == MediaType::Json {
            let given = serde_json::from_slice(&self.call).unwrap();
            assert_holds(&json::to_value(&call), &given, &self.name);
        }
    }
}

/// Every value that was given is in what we write.
fn assert_holds(written: &Value, given: &Value, context: &str) {
    match given {
        Value::Object(fields) => {
            for (key, value) in fields {
                // A name that no enum knows is dropped (a call with such an operation was sent).
                let unknown = value == "NOPE" || value == "FOO";
                if !unknown {
                    assert_holds(&written[key], value, &format!("{context}: {key}"));
                }
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) => {
            assert_eq!(written.as_array().map(Vec::len), Some(items.len()), "{context}");
            for (index, item) in items.iter().enumerate() {
                assert_holds(&written[index], item, &format!("{context}[{index}]"));
            }
        }
        Value::Number(number) => assert_eq!(written.as_f64(), number.as_f64(), "{context}"),
        other => assert_eq!(written, other, "{context}"),
    }
}

#[test]
fn calls_are_read_or_refused_as_upstream_does() {
    let (mut read, mut refused) = (0, 0);
    for recorded in recorded() {
        match (recorded.read_call(), recorded.refused_body()) {
            (Ok(()), None) => read += 1,
            (Err(error), Some(text)) => {
                assert_eq!(error.to_string(), text, "{}", recorded.name);
                refused += 1;
            }
            (Ok(()), Some(text)) => panic!("{} is accepted, upstream: {text}", recorded.name),
            (Err(error), None) => panic!("{} is refused: {error}", recorded.name),
        }
    }
    assert!(read >= 50 && refused >= 40, "{read} read, {refused} refused");
}

/// Parses and writes one message; gives the text back.
fn rewrite<T: Message>(text: &[u8], context: &str) -> String {
    let message: T = json::from_slice(text).unwrap_or_else(|error| panic!("{context}: {error}"));
    String::from_utf8(json::to_vec(&message)).unwrap()
}

/// Shows where two long texts part.
fn assert_same(actual: &str, expected: &str, context: &str) {
    let same = actual.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| -> String { text.chars().skip(same.saturating_sub(60)).take(160).collect() };
    assert!(actual == expected, "{context}:\n ours {}\nother {}", around(actual), around(expected));
}

fn rewrite_protobuf<T: Message>(bytes: &[u8], context: &str) -> Vec<u8> {
    wire::encode(&wire::decode::<T>(bytes).unwrap_or_else(|error| panic!("{context}: {error}")))
}

/// The text with its doubles in the digits nearest to them. rapidjson's 17th digit is not always
/// the nearest one, though it reads as the same double.
fn with_nearest_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut number = String::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if !in_string && (c.is_ascii_digit() || matches!(c, '.' | '-' | 'e')) {
            number.push(c);
            continue;
        }
        match number.parse::<f64>() {
            Ok(double) if number.contains('.') => out.push_str(&json::to_string(&double)),
            _ => out.push_str(&number),
        }
        number.clear();
        (in_string, escaped) = match c {
            '"' if !escaped => (!in_string, false),
            '\\' if in_string => (true, !escaped),
            _ => (in_string, false),
        };
        out.push(c);
    }
    out
}

/// The master writes agents in their v0 form, with a field that v1 does not have.
fn without_v0_leftovers(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace("},\"checkpoint\":true}", "}}")
}

#[test]
fn answers_are_written_letter_for_letter() {
    let mut written = 0;
    for recorded in recorded() {
        let Some(media) = recorded.answer_media else { continue };
        let name = recorded.name.as_str();
        let stream = recorded.api == "scheduler" || name.contains("SUBSCRIBE");
        let records: Vec<Vec<u8>> = if stream {
            let mut decoder = recordio::Decoder::new(1 << 20);
            decoder.feed(&recorded.answer).unwrap().iter().map(|record| record.to_vec()).collect()
        } else {
            vec![recorded.answer.clone()]
        };
        for record in records {
            written += 1;
            if media == MediaType::Json {
                let rewrite = match (recorded.api.as_str(), stream) {
                    ("scheduler", _) => rewrite::<scheduler::Event>,
                    ("master", true) => rewrite::<master::Event>,
                    ("master", false) => rewrite::<master::Response>,
                    _ => rewrite::<agent::Response>,
                };
                let (ours, theirs) = (rewrite(&record, name), without_v0_leftovers(&record));
                if name.contains("GET_QUOTA") {
                    // Upstream writes maps in the order of a hash table, we sorted.
                    let value = |text: &str| json::parse(text.as_bytes()).unwrap();
                    assert_eq!(value(&ours), value(&theirs), "{name}");
                } else {
                    assert_same(&ours, &with_nearest_digits(&theirs), name);
                }
            } else {
                let rewrite = match (recorded.api.as_str(), stream) {
                    ("scheduler", _) => rewrite_protobuf::<scheduler::Event>,
                    ("master", true) => rewrite_protobuf::<master::Event>,
                    ("master", false) => rewrite_protobuf::<master::Response>,
                    _ => rewrite_protobuf::<agent::Response>,
                };
                let rewritten = rewrite(&record, name);
                // The master's agents carry the same leftover here, before the port.
                let leftover = record.windows(5).any(|bytes| bytes == [56, 1, 64, 187, 39]);
                if leftover {
                    assert!(rewritten.len() < record.len(), "{name}");
                } else {
                    assert!(rewritten == record, "{name}: other bytes");
                }
            }
        }
    }
    assert!(written >= 50, "only {written}");
}
