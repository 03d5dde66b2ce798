//! What an answer of ours lacks, or has otherwise than genuine Mesos's. Of a stream it is the first event that is compared
//! here; those behind it are in [`events`].

use mesos::MediaType;
use serde_json::Value;

use super::events;
use super::exchange::{Answer, gunzip};
use super::shape::Shape;
use super::step::{Node, Pair};
use super::stream::{Api, records};
use super::translation::Translation;

/// The headers that clients rely on. Of `Mesos-Stream-Id` only whether it is there: each stream has another.
const HEADERS: &[&str] =
    &["Content-Type", "Allow", "Location", "Content-Encoding", "Transfer-Encoding", "WWW-Authenticate"];
/// How many keys of a kind are named.
const NAMED: usize = 12;

/// The id of the framework that a recorded SUBSCRIBED names.
pub fn recorded_framework(pair: &Pair) -> Option<String> {
    let event = meaning(pair, &pair.body).ok()?;
    event.pointer("/subscribed/framework_id/value")?.as_str().map(str::to_owned)
}

/// Which API a path belongs to.
pub fn api(pair: &Pair) -> Option<Api> {
    let path = pair.request.path.trim_start_matches("/master").trim_start_matches("/slave(1)");
    match (pair.request.node, path.trim_end_matches('/')) {
        (Node::Master, "/api/v1/scheduler") => Some(Api::Scheduler),
        (Node::Agent, "/api/v1/executor") => Some(Api::Executor),
        (Node::Master, path) if path.starts_with("/api/v1") => Some(Api::Master),
        (Node::Agent, path) if path.starts_with("/api/v1") => Some(Api::Agent),
        _ => None,
    }
}

/// The value of a recorded header.
pub fn recorded_header<'a>(pair: &'a Pair, name: &str) -> Option<&'a str> {
    pair.headers.iter().find_map(|header| {
        let (key, value) = header.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The answer is a stream of records.
pub fn is_stream(pair: &Pair) -> bool {
    recorded_header(pair, "Transfer-Encoding") == Some("chunked")
}

/// How many answers came: requests can be sent one behind the other on one connection.
pub fn answers(pair: &Pair) -> usize {
    1 + following(pair).len()
}

/// The statuses of the answers behind the first.
fn following(pair: &Pair) -> Vec<u16> {
    if pair.request.raw.is_none() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&pair.body);
    let heads = text.match_indices("HTTP/1.1 ");
    heads.map(|(at, _)| super::step::status_of(text[at..].lines().next().unwrap_or_default())).collect()
}

/// What differs, in short; empty if nothing does.
pub fn differences(pair: &Pair, answers: &[Answer], translation: &Translation) -> Vec<String> {
    let nothing = Answer::default();
    let ours = answers.first().unwrap_or(&nothing);
    if ours.status != pair.status {
        return vec![format!("{}, not {}", status(ours.status), status(pair.status))];
    }
    let mut found = headers(pair, ours, translation);
    let behind: Vec<u16> = answers.iter().skip(1).map(|answer| answer.status).collect();
    if behind != following(pair) {
        found.push(format!("then {behind:?}, not {:?}", following(pair)));
    }
    found.extend(body(pair, ours, translation));
    found
}

fn status(number: u16) -> String {
    if number == 0 { "no answer".to_owned() } else { format!("status {number}") }
}

fn headers(pair: &Pair, ours: &Answer, translation: &Translation) -> Vec<String> {
    let mut found = Vec::new();
    for name in HEADERS {
        let theirs = recorded_header(pair, name);
        let ours = ours.header(name).map(|value| translation.back(value));
        if theirs != ours.as_deref() {
            let quoted = |value: Option<&str>| value.map_or("none".to_owned(), |value| format!("'{value}'"));
            found.push(format!("{name}: {}, not {}", quoted(ours.as_deref()), quoted(theirs)));
        }
    }
    for name in ["Mesos-Stream-Id", "Content-Disposition"] {
        match (recorded_header(pair, name).is_some(), ours.header(name).is_some()) {
            (true, false) => found.push(format!("no {name}")),
            (false, true) => found.push(format!("{name} is there")),
            _ => {}
        }
    }
    found
}

/// What genuine Mesos answered, by its content type.
fn body(pair: &Pair, ours: &Answer, translation: &Translation) -> Vec<String> {
    if pair.left_out || pair.request.method == "HEAD" {
        return Vec::new();
    }
    match recorded_header(pair, "Content-Type") {
        Some("application/json" | "application/x-protobuf" | "text/javascript") => {
            match (meaning(pair, &unpacked(pair)), meaning(pair, &as_recorded(pair, ours, translation))) {
                (Ok(theirs), Ok(ours)) => {
                    let mut found = shapes(&Shape::of(&theirs), &Shape::of(&ours));
                    if is_stream(pair) {
                        found.extend(events::words(&theirs, &ours, translation));
                    }
                    found
                }
                (Err(error), _) => vec![format!("the recording: {error}")],
                (_, Err(error)) => vec![error],
            }
        }
        Some(kind) if kind.starts_with("text/plain") => text(pair, ours, translation),
        _ if pair.body.is_empty() != ours.body.is_empty() => {
            vec![format!("a body of {} bytes, not {}", ours.body.len(), pair.body.len())]
        }
        _ => Vec::new(),
    }
}

/// Our body with the names of the recording: ids stand in keys, too (of metrics). What has lengths in it is left as it is.
fn as_recorded(pair: &Pair, ours: &Answer, translation: &Translation) -> Vec<u8> {
    match std::str::from_utf8(&ours.body) {
        Ok(text) if !is_stream(pair) && ours.header("Content-Type") != Some("application/x-protobuf") => {
            translation.back(text).into_bytes()
        }
        _ => ours.body.clone(),
    }
}

/// The recorded body, decompressed; of several answers the first's.
fn unpacked(pair: &Pair) -> Vec<u8> {
    if recorded_header(pair, "Content-Encoding") == Some("gzip") {
        return gunzip(&pair.body).unwrap_or_default();
    }
    // Of requests behind each other the body has all answers; elsewhere names were shortened, and the length is not its.
    if pair.request.raw.is_none() {
        return pair.body.clone();
    }
    let length = recorded_header(pair, "Content-Length").and_then(|length| length.parse().ok());
    let length: usize = length.unwrap_or(pair.body.len());
    pair.body[..length.min(pair.body.len())].to_vec()
}

/// What genuine Mesos answered, as a value.
pub fn meaning_of(pair: &Pair) -> Result<Value, String> {
    match recorded_header(pair, "Content-Type") {
        Some("application/json" | "application/x-protobuf" | "text/javascript") if !pair.body.is_empty() => {
            meaning(pair, &unpacked(pair))
        }
        _ => Err("no value".to_owned()),
    }
}

/// A JSON or protobuf body as a value; of a stream the first record. (JSONP's call is taken away.)
fn meaning(pair: &Pair, body: &[u8]) -> Result<Value, String> {
    if is_stream(pair) {
        return all_events(pair, body)?.into_iter().next().ok_or("no record".to_owned());
    }
    let media = media(pair);
    if media == MediaType::Protobuf {
        return api(pair).ok_or("protobuf of no API")?.response(media, body);
    }
    let mut text = String::from_utf8_lossy(body).into_owned();
    if recorded_header(pair, "Content-Type") == Some("text/javascript") {
        let inner = text.strip_prefix("cb(").and_then(|text| text.strip_suffix(')'));
        text = inner.ok_or("not a call of `cb`")?.to_owned();
    }
    serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))
}

fn media(pair: &Pair) -> MediaType {
    match recorded_header(pair, "Content-Type") {
        Some("application/x-protobuf") => MediaType::Protobuf,
        _ => MediaType::Json,
    }
}

/// The events of a stream.
fn all_events(pair: &Pair, body: &[u8]) -> Result<Vec<Value>, String> {
    let api = api(pair).ok_or("a stream of no API")?;
    records(body)?.iter().map(|record| api.event(media(pair), record)).collect()
}

/// What genuine Mesos sent on a stream.
pub fn recorded_events(pair: &Pair) -> Result<Vec<Value>, String> {
    all_events(pair, &pair.body)
}

/// How two shapes differ, in short.
pub fn shapes(theirs: &Shape, ours: &Shape) -> Vec<String> {
    let found = theirs.differences(ours);
    let mut short = Vec::new();
    for (word, list) in [("lacks", &found.lacking), ("more", &found.more)] {
        if !list.is_empty() {
            let rest = list.len().saturating_sub(NAMED);
            let named = list.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let rest = if rest > 0 { format!(" and {rest} others") } else { String::new() };
            short.push(format!("{word} {named}{rest}"));
        }
    }
    short.extend(found.otherwise);
    short
}

/// Texts must be the same to the letter.
fn text(pair: &Pair, ours: &Answer, translation: &Translation) -> Vec<String> {
    let theirs = String::from_utf8_lossy(&pair.body);
    let ours = translation.back(&String::from_utf8_lossy(&ours.body));
    if theirs == ours { Vec::new() } else { vec![format!("'{ours}', not '{theirs}'")] }
}

#[cfg(test)]
mod tests {
    use super::super::step::Request;
    use super::*;

    fn pair(status: u16, content_type: &str, body: &str) -> Pair {
        let request = Request {
            node: Node::Master,
            method: "GET".into(),
            path: "/x".into(),
            headers: vec![],
            body: vec![],
            raw: None,
        };
        let headers = vec![format!("Content-Type: {content_type}")];
        let (group, name) = ("g".into(), "n".into());
        Pair { group, name, request, status, headers, body: body.into(), left_out: false, no_update: false }
    }

    fn answer(status: u16, content_type: &str, body: &str) -> Answer {
        Answer { status, headers: vec![("content-type".into(), content_type.into())], body: body.into() }
    }

    #[test]
    fn an_equal_answer_has_no_differences() {
        let text = "text/plain; charset=utf-8";
        let mut translation = Translation::default();
        translation.learn("theirs", "ours");
        let found = differences(&pair(400, text, "No theirs"), &[answer(400, text, "No ours")], &translation);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn each_part_of_an_answer_is_compared() {
        let none = Translation::default();
        let json = "application/json";
        assert_eq!(differences(&pair(200, json, "{}"), &[], &none), ["no answer, not status 200"]);
        let found = differences(&pair(200, json, r#"{"a":1.0}"#), &[answer(200, "x/y", r#"{"b":1}"#)], &none);
        assert_eq!(found, ["Content-Type: 'x/y', not 'application/json'", "lacks a", "more b"]);
        let text = "text/plain; charset=utf-8";
        let found = differences(&pair(400, text, "one"), &[answer(400, text, "two")], &none);
        assert_eq!(found, ["'two', not 'one'"]);
    }
}
