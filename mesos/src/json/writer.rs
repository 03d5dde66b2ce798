//! What the generated `Serialize` of messages writes fields with that serde would not write as upstream does.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::proto::Enum;

/// An enum's number, written as its name.
struct EnumName<E> {
    number: i32,
    kind: PhantomData<E>,
}

impl<E: Enum> EnumName<E> {
    fn new(number: i32) -> Self {
        Self { number, kind: PhantomData }
    }

    /// Nothing for a number without a name: to JSON such a field is unset.
    fn known(number: Option<i32>) -> Option<Self> {
        number.filter(|number| E::try_from(*number).is_ok()).map(Self::new)
    }
}

impl<E: Enum> Serialize for EnumName<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match E::try_from(self.number) {
            Ok(value) => serializer.serialize_str(value.name()),
            // Only a required field that this program set to a number without a name.
            Err(_) => serializer.collect_str(&self.number),
        }
    }
}

/// A list of enum numbers, written as those of their names that are known.
struct EnumNames<'a, E> {
    numbers: &'a [i32],
    kind: PhantomData<E>,
}

impl<'a, E: Enum> EnumNames<'a, E> {
    fn new(numbers: &'a [i32]) -> Self {
        Self { numbers, kind: PhantomData }
    }
}

impl<E: Enum> Serialize for EnumNames<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = self.numbers.iter().filter_map(|number| E::try_from(*number).ok());
        serializer.collect_seq(known.map(Enum::name))
    }
}

/// Bytes, written in base64.
struct Base64<'a>(&'a Vec<u8>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

/// A double. JSON has no infinity: it is written as the word that upstream writes and reads, in quotes. What is no number
/// becomes `null`.
#[derive(Clone, Copy, Debug)]
pub struct Double(pub f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_infinite() {
            serializer.serialize_str(if self.0 > 0.0 { "Infinity" } else { "-Infinity" })
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// Generated: the implementations of `Serialize`.
#[allow(clippy::all, reason = "generated")]
mod generated {
    use super::*;
    include!(concat!(env!("OUT_DIR"), "/serde.rs"));
}

#[cfg(test)]
mod tests {
    use crate::{json, v1};

    /// Upstream: `ProtobufTest.JsonInfinity`.
    #[test]
    fn infinity_is_written_as_the_word_that_is_read() {
        for (value, text) in [
            (f64::INFINITY, r#"{"value":"Infinity"}"#),
            (f64::NEG_INFINITY, r#"{"value":"-Infinity"}"#),
            (0.5, r#"{"value":0.5}"#),
        ] {
            let scalar = v1::value::Scalar { value };
            assert_eq!(json::to_string(&scalar), text);
            assert_eq!(json::from_slice(text.as_bytes()), Ok(scalar));
        }
        let forever = v1::Filters { refuse_seconds: Some(f64::INFINITY) };
        assert_eq!(json::to_string(&forever), r#"{"refuse_seconds":"Infinity"}"#);
        assert_eq!(json::to_string(&v1::value::Scalar { value: f64::NAN }), r#"{"value":null}"#);
    }
}
