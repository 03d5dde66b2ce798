//! Mesos's JSON dialect, written and read.
//!
//! Written: fields in the order of declaration, snake_case, enums by name, bytes in base64, 64-bit
//! integers as numbers, doubles always with a decimal point, infinity as a quoted word; unset
//! fields are absent, unless they are optional with an explicit default, which is written. Read:
//! `null` is unset, quoted numbers and booleans parse, `1.0` is an integer, unknown fields are
//! ignored, an unknown enum name is dropped unless the field is required. (upstream:
//! `3rdparty/stout/include/stout/protobuf.hpp`)
//!
//! Every message implements serde's `Serialize` (generated, see `writer`), so that it can stand inside whatever serde
//! writes. It is read by way of its protobuf, by one `reader` for all. The functions here are the front door: they add
//! upstream's number format and upstream's error texts. `diagnose` is the slow way that is taken only when the quick one
//! refuses.

mod diagnose;
mod format;
mod numeric;
mod reader;
pub mod schema;
mod writer;

use libprocess::breath;
use serde::Serialize;
use serde_json::Value;

pub use diagnose::{from_value, missing_in};
pub use format::Format;
pub use writer::Double;

use crate::claim;
use crate::proto::Message;

/// A longer text is not made a tree of values, which may take a hundred times its memory: what is read by the slow way has
/// at most so many bytes.
pub const MAX_TREE_BYTES: usize = 16 << 20;

/// Why a text is not the JSON of a message.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// Not JSON at all.
    #[error("{0}")]
    Syntax(String),
    /// JSON, but not of this message: a wrong type, an unknown name where one is required.
    #[error("{0}")]
    Mismatch(String),
    /// Required fields are absent; their paths in upstream's order.
    #[error("Missing required fields: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// It would take too much memory.
    #[error("{0}")]
    TooMuch(String),
}

/// Reads a message from its JSON.
///
/// # Errors
/// What is wrong, in upstream's words where upstream has any.
pub fn from_slice<T: Message>(text: &[u8]) -> Result<T, Error> {
    match read_regular(text) {
        Ok(message) => Ok(message),
        Err(error @ Error::TooMuch(_)) => Err(error),
        // The quick way's words are better than none.
        Err(error) if text.len() > MAX_TREE_BYTES => Err(error),
        // Either wrong, or right in a way that upstream accepts and the quick way does not.
        Err(_) => from_value(&parse(text)?),
    }
}

/// Reads a message from JSON in its regular form.
fn read_regular<T: Message>(text: &[u8]) -> Result<T, Error> {
    let bytes =
        reader::to_protobuf(T::descriptor(), text).map_err(|error| Error::Mismatch(error.to_string()))?;
    claim::check(T::descriptor(), &bytes).map_err(|error| Error::TooMuch(error.to_string()))?;
    T::read_protobuf(&bytes).map_err(|error| Error::Mismatch(error.to_string()))
}

/// Parses JSON of any shape, with upstream's words for what is none.
///
/// # Errors
/// `syntax error at line 1 near: ...` with the rest of the line from where parsing stopped, or that
/// something follows the JSON; [`Error::TooMuch`] if there are more bytes than [`MAX_TREE_BYTES`].
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    if text.len() > MAX_TREE_BYTES {
        return Err(Error::TooMuch(format!("it has more than {MAX_TREE_BYTES} bytes")));
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => {
            let rest = &text[values.byte_offset()..];
            if rest.iter().all(u8::is_ascii_whitespace) {
                Ok(value)
            } else {
                let introduction = "Parsed JSON included non-whitespace trailing characters: ";
                Err(Error::Syntax(format!("{introduction}{}", String::from_utf8_lossy(rest))))
            }
        }
        Some(Err(error)) if !error.is_eof() => {
            let line = text.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
            let near = line.and_then(|line| line.get(error.column().saturating_sub(1)..));
            let near = String::from_utf8_lossy(near.unwrap_or_default());
            Err(Error::Syntax(format!("syntax error at line {} near: {near}", error.line())))
        }
        end => {
            let line = end.and_then(Result::err).map_or(1, |error| error.line().max(1));
            Err(Error::Syntax(format!("syntax error at line {line} near: ")))
        }
    }
}

/// Writes anything that serde can write (messages, views) as upstream would.
///
/// In messages an infinite double is the word `"Infinity"`, which reads as one; one that is no number becomes `null`, which
/// reads as unset. What else is not finite becomes `null` ([`Double`] says it in words).
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    write(value, &mut text);
    text
}

/// [`to_vec`] into a buffer that is already there.
pub fn write<T: Serialize + ?Sized>(value: &T, text: &mut Vec<u8>) {
    let mut serializer = serde_json::Serializer::with_formatter(breath::Text::behind(text), Format);
    // A Vec takes every byte, and our own types have string keys: there is nothing to fail.
    if let Err(error) = value.serialize(&mut serializer) {
        debug_assert!(false, "not representable as JSON: {error}");
    }
}

/// [`to_vec`] as a string.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> String {
    String::from_utf8(to_vec(value)).unwrap_or_default()
}

/// The message as a JSON value, for code that goes on to edit it.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Value {
    serde_json::from_slice(&to_vec(value)).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    #[test]
    fn what_is_not_regular_and_very_long_is_not_made_a_tree() {
        // A key is there twice; the last one counts.
        let text = |bytes: usize| {
            let (begin, end) = (r#"{"key":"a","key":"b","value":""#, r#""}"#);
            format!("{begin}{}{end}", "x".repeat(bytes - begin.len() - end.len()))
        };
        let label: v1::Label = from_slice(text(MAX_TREE_BYTES).as_bytes()).unwrap();
        assert_eq!(label.key, "b");
        let long = text(MAX_TREE_BYTES + 1);
        let error = from_slice::<v1::Label>(long.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("'key' is there twice"), "{error}");
        assert!(matches!(parse(long.as_bytes()), Err(Error::TooMuch(_))));
    }
}
