//! Calls that genuine Mesos was asked (`integration/recorded`), with some of their values changed.
//!
//! Bytes that are changed at random seldom come past the parser. So an input may say which call it is, and what is
//! changed in it: two bytes for the call, and then four for each change. These are: which value; what is done to it;
//! and two that say what is put in its place, or in it.

use std::mem::discriminant;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::MASTER_ID;

const RECORDED: [&str; 3] = [
    include_str!("../../../integration/recorded/scheduler.jsonl"),
    include_str!("../../../integration/recorded/operator.jsonl"),
    include_str!("../../../integration/recorded/mutating.jsonl"),
];

/// Changes of one call.
const MOST_CHANGES: usize = 8;

/// The bodies that were sent to this path, in the words of this module's master.
pub(super) fn bodies(path: &str) -> Vec<String> {
    let lines = RECORDED.iter().flat_map(|file| file.lines());
    let pairs = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    pairs
        .filter(|pair| pair["method"] == "POST" && pair["path"] == path)
        .map(|pair| translated(pair["body"].as_str().unwrap_or_default()))
        .collect()
}

/// Those of them that are objects.
fn calls(path: &str) -> &'static [Value] {
    static OF_SCHEDULERS: OnceLock<Vec<Value>> = OnceLock::new();
    static OF_OPERATORS: OnceLock<Vec<Value>> = OnceLock::new();
    let all = if path == "/api/v1" { &OF_OPERATORS } else { &OF_SCHEDULERS };
    all.get_or_init(|| {
        let parsed = bodies(path).into_iter().filter_map(|body| serde_json::from_str(&body).ok());
        parsed.filter(Value::is_object).collect()
    })
}

/// The call that these bytes mean.
pub(super) fn call(path: &str, data: &[u8]) -> Value {
    let calls = calls(path);
    let (which, changes) = data.split_at(data.len().min(2));
    let which = which.iter().fold(0, |number, byte| number * 256 + usize::from(*byte));
    let mut call = calls[which % calls.len()].clone();
    for &[at, kind, first, second] in changes.as_chunks().0.iter().take(MOST_CHANGES) {
        let (first, second) = (usize::from(first), usize::from(second));
        let values = values();
        let other = &calls[first % calls.len()];
        let part = nth(other, second % count(other).max(1)).cloned().unwrap_or_default();
        let change = match kind % 8 {
            0 => Change::Remove,
            1 => Change::Double,
            2 => Change::Put(values[first % values.len()].clone()),
            3 | 4 => Change::Join(part),
            _ => Change::PutLike(first),
        };
        let mut at = usize::from(at) % count(&call).max(1);
        change.apply(&mut call, &mut at);
    }
    call
}

/// What a value may be that nobody expected.
fn values() -> [Value; 28] {
    [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(4),
        json!(100_000),
        json!(0.001),
        json!(0.0004),
        json!(-0.5),
        json!(1e15),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("/"),
        json!(".."),
        json!("*"),
        json!("r"),
        json!("r/x"),
        json!("x".repeat(300)),
        json!("cpus"),
        json!(format!("{MASTER_ID}-S0")),
        json!(format!("{MASTER_ID}-O0")),
        json!("AAAAAAAAQACAAAAAAAAAAA=="),
        json!({}),
        json!([]),
    ]
}

/// Most of them keep the type: what has another one does not come far.
enum Change {
    Remove,
    /// What a list has, or what is in a list, once more.
    Double,
    Put(Value),
    /// One of [`values`] of the same type.
    PutLike(usize),
    /// The fields of an object, or the items of a list, come to it; another value is replaced by one of its type.
    Join(Value),
}

impl Change {
    /// Changes the value that comes after so many others. Whether there was one.
    fn apply(&self, value: &mut Value, at: &mut usize) -> bool {
        match value {
            Value::Object(fields) => {
                let names: Vec<String> = fields.keys().cloned().collect();
                names.into_iter().any(|name| {
                    if *at == 0 {
                        self.apply_to_field(fields, name);
                        return true;
                    }
                    *at -= 1;
                    fields.get_mut(&name).is_some_and(|child| self.apply(child, at))
                })
            }
            Value::Array(items) => (0..items.len()).any(|index| {
                if *at == 0 {
                    self.apply_to_item(items, index);
                    return true;
                }
                *at -= 1;
                self.apply(&mut items[index], at)
            }),
            _ => false,
        }
    }

    fn apply_to_field(&self, fields: &mut serde_json::Map<String, Value>, name: String) {
        let Some(old) = fields.remove(&name) else { return };
        let new = match self {
            // Another kind of call has other parts.
            Self::PutLike(_) | Self::Join(_) if name == "type" => old,
            Self::Remove => return,
            Self::Double => joined(old.clone(), &old),
            Self::Put(value) => value.clone(),
            Self::PutLike(which) => like(old, *which),
            Self::Join(value) => joined(old, value),
        };
        fields.insert(name, new);
    }

    fn apply_to_item(&self, items: &mut Vec<Value>, index: usize) {
        let old = items.remove(index);
        match self {
            Self::Remove => {}
            Self::Double => items.splice(index..index, [old.clone(), old]).for_each(drop),
            Self::Put(value) => items.insert(index, value.clone()),
            Self::PutLike(which) => items.insert(index, like(old, *which)),
            Self::Join(value) => items.insert(index, joined(old, value)),
        }
    }
}

fn like(old: Value, which: usize) -> Value {
    let alike: Vec<Value> =
        values().into_iter().filter(|value| discriminant(value) == discriminant(&old)).collect();
    alike.get(which % alike.len().max(1)).cloned().unwrap_or(old)
}

fn joined(mut old: Value, more: &Value) -> Value {
    let alike = discriminant(&old) == discriminant(more);
    match (&mut old, more) {
        (Value::Object(fields), Value::Object(more)) => fields.extend(more.clone()),
        (Value::Array(items), Value::Array(more)) => items.extend(more.iter().cloned()),
        (_, more) if alike => return more.clone(),
        _ => {}
    }
    old
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// How many values there are in this one.
fn count(value: &Value) -> usize {
    children(value).into_iter().map(|child| 1 + count(child)).sum()
}

/// The value in this one that comes after so many others.
fn nth(value: &Value, mut n: usize) -> Option<&Value> {
    for child in children(value) {
        if n == 0 {
            return Some(child);
        }
        let inside = count(child);
        if n <= inside {
            return nth(child, n - 1);
        }
        n -= 1 + inside;
    }
    None
}

/// The ids of the recording's master are this one's, with its framework, its agent and its offer.
fn translated(body: &str) -> String {
    let (mut text, mut rest) = (String::new(), body);
    while let Some(first) = rest.chars().next() {
        if !begins_with_uuid(rest) {
            text.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        text.push_str(MASTER_ID);
        rest = &rest[MASTER_ID.len()..];
        for (kind, ours) in [("-S", "-S0"), ("-O", "-O0"), ("-0", "-0000")] {
            if let Some(number) = rest.strip_prefix(kind) {
                text.push_str(ours);
                rest = number.trim_start_matches(|digit: char| digit.is_ascii_digit());
            }
        }
    }
    text
}

fn begins_with_uuid(text: &str) -> bool {
    text.get(..MASTER_ID.len()).is_some_and(|word| uuid::Uuid::parse_str(word).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_the_same_call_and_each_change_changes_it() {
        let path = "/api/v1/scheduler";
        let whole = call(path, &[0, 40]);
        assert_eq!(call(path, &[0, 40]), whole);
        for (at, kind) in [(0, 0), (0, 2), (1, 2)] {
            assert_ne!(call(path, &[0, 40, at, kind, 3, 4]), whole, "{at} {kind}");
        }
        let value = json!({ "a": [1, { "b": 2 }], "c": 3 });
        assert_eq!(count(&value), 5);
        let all: Vec<Value> = (0..5).filter_map(|n| nth(&value, n)).cloned().collect();
        assert_eq!(all, [json!([1, { "b": 2 }]), json!(1), json!({ "b": 2 }), json!(2), json!(3)]);
        assert_eq!(nth(&value, 5), None);
    }

    #[test]
    fn ids_of_the_recording_become_the_ones_that_are_here() {
        let recorded = r#"{"value": "0eacc985-a9fa-4601-893d-2dab17bba24c-O16"}, "…-0007""#;
        assert_eq!(translated(recorded), format!(r#"{{"value": "{MASTER_ID}-O0"}}, "…-0007""#));
    }
}
