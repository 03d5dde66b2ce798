//! Reads a message's JSON, in one pass, into its protobuf, led by the message's table.
//!
//! So there is one reader for all messages, and what prost has generated makes structs of its bytes, as it does for
//! whatever comes in protobuf. A reader of its own for each of six hundred messages, once more in each crate that reads
//! JSON, was a third of all that the master's had to compile.
//!
//! It takes the regular form, and what upstream accepts besides in a single value: `null` for unset, numbers and booleans
//! in quotes, one value for a list of one. Whatever else there is (a repeated key, a required field that is absent, a list
//! within a list), it refuses: then the slow way (`diagnose`) finds what upstream would make of it, or say of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::numeric::Numeric;
use crate::proto::{FieldDescriptor, Kind, MessageDescriptor, Presence};

/// The protobuf of the message whose JSON this is.
pub(super) fn to_protobuf(
    descriptor: &'static MessageDescriptor,
    text: &[u8],
) -> serde_json::Result<Vec<u8>> {
    // JSON says the names of the fields, too.
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.deserialize_map(Fields { descriptor, bytes: &mut bytes })?;
    deserializer.end()?;
    Ok(bytes)
}

/// Reads an object's fields.
struct Fields<'a> {
    descriptor: &'static MessageDescriptor,
    bytes: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Fields { descriptor, bytes } = self;
        // By position; the build script sees to it that there are at most 256.
        let mut seen = [0u64; 4];
        while let Some(index) = object.next_key_seed(FieldIndex(descriptor))? {
            let Some(field) = descriptor.fields.get(index) else {
                // This build does not know it.
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            let (word, bit) = (&mut seen[index / 64], 1 << (index % 64));
            if *word & bit != 0 {
                return Err(A::Error::custom(format_args!("'{}' is there twice", field.name)));
            }
            *word |= bit;
            let is_set = if field.presence == Presence::Map {
                object.next_value_seed(Entries { field, bytes: &mut *bytes })?
            } else {
                let value = FieldValue { field, number: field.number, is_inner: false, bytes: &mut *bytes };
                object.next_value_seed(value)?
            };
            if !is_set && field.presence == Presence::Required {
                return Err(absent(field));
            }
        }
        let mut fields = descriptor.fields.iter().enumerate();
        let missing = fields.find(|(index, field)| {
            field.presence == Presence::Required && seen[index / 64] & (1 << (index % 64)) == 0
        });
        missing.map_or(Ok(()), |(_, field)| Err(absent(field)))
    }
}

fn absent<E: Error>(field: &FieldDescriptor) -> E {
    E::custom(format_args!("'{}' is required", field.name))
}

/// Reads a key as the position of the field that it names, or a position beyond all fields.
struct FieldIndex(&'static MessageDescriptor);

impl<'de> DeserializeSeed<'de> for FieldIndex {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldIndex {
    type Value = usize;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }
    fn visit_str<E>(self, name: &str) -> Result<usize, E> {
        Ok(self.0.index_of(name).unwrap_or(usize::MAX))
    }
}

/// Reads a field's value; whether it is set.
struct FieldValue<'a> {
    field: &'static FieldDescriptor,
    /// On the wire: the field's, or that of the value in an entry of a map.
    number: u32,
    /// It is one of a list's or a map's.
    is_inner: bool,
    bytes: &'a mut Vec<u8>,
}

/// A JSON number, or one in quotes.
#[derive(Clone, Copy)]
enum Given<'a> {
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Text(&'a str),
}

impl Given<'_> {
    fn to<T: Numeric>(self) -> Option<T> {
        match self {
            Given::Unsigned(value) => T::from_unsigned(value),
            Given::Signed(value) => T::from_signed(value),
            Given::Double(value) => T::from_double(value),
            Given::Text(text) => T::from_text(text),
        }
    }

    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Given::Unsigned(value) => Unexpected::Unsigned(*value),
            Given::Signed(value) => Unexpected::Signed(*value),
            Given::Double(value) => Unexpected::Float(*value),
            Given::Text(text) => Unexpected::Str(text),
        }
    }
}

impl FieldValue<'_> {
    fn varint(self, value: u64) -> bool {
        encode_key(self.number, WireType::Varint, self.bytes);
        encode_varint(value, self.bytes);
        true
    }

    fn delimited(self, value: &[u8]) -> bool {
        encode_key(self.number, WireType::LengthDelimited, self.bytes);
        encode_varint(value.len() as u64, self.bytes);
        self.bytes.extend_from_slice(value);
        true
    }

    fn number<E: Error>(self, given: Given<'_>) -> Result<bool, E> {
        let varint = match self.field.kind {
            Kind::Double => {
                let Some(value) = given.to::<f64>() else { return Err(self.refuse(given)) };
                encode_key(self.number, WireType::SixtyFourBit, self.bytes);
                self.bytes.extend_from_slice(&value.to_le_bytes());
                return Ok(true);
            }
            // The sign is extended to 64 bits.
            Kind::Int32 => given.to::<i32>().map(|value| i64::from(value) as u64),
            Kind::Int64 => given.to::<i64>().map(|value| value as u64),
            Kind::Uint32 => given.to::<u32>().map(u64::from),
            Kind::Uint64 => given.to::<u64>(),
            _ => None,
        };
        match varint {
            Some(value) => Ok(self.varint(value)),
            None => Err(self.refuse(given)),
        }
    }

    fn refuse<E: Error>(&self, given: Given<'_>) -> E {
        E::invalid_value(given.unexpected(), self)
    }
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldValue<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what '{}' can be", self.field.name)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        match self.field.kind {
            Kind::Bool => Ok(self.varint(value.into())),
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.number(Given::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.number(Given::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        self.number(Given::Double(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        match self.field.kind {
            Kind::String => Ok(self.delimited(text.as_bytes())),
            Kind::Bytes => match STANDARD.decode(text) {
                Ok(value) => Ok(self.delimited(&value)),
                Err(error) => Err(E::custom(error)),
            },
            Kind::Enum(names) => match names.number(text) {
                Some(number) => Ok(self.varint(i64::from(number) as u64)),
                // A name that is not known counts as unset.
                None if self.field.presence == Presence::Required => Err(absent(self.field)),
                None => Ok(false),
            },
            Kind::Bool => match text.trim() {
                "true" => Ok(self.varint(1)),
                "false" => Ok(self.varint(0)),
                _ => Err(self.refuse(Given::Text(text))),
            },
            _ => self.number(Given::Text(text)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        if self.is_inner || self.field.presence != Presence::Repeated {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        let FieldValue { field, number, bytes, .. } = self;
        while items
            .next_element_seed(FieldValue { field, number, is_inner: true, bytes: &mut *bytes })?
            .is_some()
        {}
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<bool, A::Error> {
        let Kind::Message(descriptor) = self.field.kind else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        let message = begin(self.number, self.bytes);
        Fields { descriptor, bytes: &mut *self.bytes }.visit_map(object)?;
        end(message, self.bytes);
        Ok(true)
    }
}

/// An entry of a map is a message of two fields on the wire.
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// Reads the value of a field that is a map; whether it is set.
struct Entries<'a> {
    field: &'static FieldDescriptor,
    bytes: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object for '{}'", self.field.name)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Entries { field, bytes } = self;
        while let Some(key) = object.next_key::<String>()? {
            let before = bytes.len();
            let entry = begin(field.number, bytes);
            prost::encoding::string::encode(KEY, &key, bytes);
            let value = FieldValue { field, number: VALUE, is_inner: true, bytes: &mut *bytes };
            if object.next_value_seed(value)? {
                end(entry, bytes);
            } else {
                bytes.truncate(before);
            }
        }
        Ok(true)
    }
}

/// Begins what has its length before it; where that is to be written.
fn begin(number: u32, bytes: &mut Vec<u8>) -> usize {
    encode_key(number, WireType::LengthDelimited, bytes);
    // Most have less than 128 bytes.
    bytes.push(0);
    bytes.len() - 1
}

/// Ends it: its length is known.
fn end(at: usize, bytes: &mut Vec<u8>) {
    let (begin, end) = (at + 1, bytes.len());
    let length = (end - begin) as u64;
    let more = encoded_len_varint(length) - 1;
    if more > 0 {
        bytes.resize(end + more, 0);
        bytes.copy_within(begin..end, begin + more);
    }
    encode_varint(length, &mut &mut bytes[at..=at + more]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    fn read<T: crate::Message>(text: &str) -> Result<T, String> {
        let bytes = to_protobuf(T::descriptor(), text.as_bytes()).map_err(|error| error.to_string())?;
        T::read_protobuf(&bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn lengths_of_any_size_stand_before_what_they_measure() {
        for length in [0, 1, 100, 127, 128, 200, 16_000, 16_383, 16_384, 3_000_000] {
            let value = "x".repeat(length);
            let text = format!(r#"{{"labels":[{{"key":"a","value":"{value}"}},{{"key":"b"}}]}}"#);
            let labels: v1::Labels = read(&text).unwrap();
            let given = [("a", Some(value.as_str())), ("b", None)]
                .map(|(key, value)| v1::Label { key: key.to_owned(), value: value.map(str::to_owned) });
            assert_eq!(labels, given.into_iter().collect(), "{length}");
        }
    }

    #[test]
    fn an_entry_of_a_map_without_a_value_is_not_there() {
        let text = r#"{"role":"r","limits":{"cpus":{"value":0.0},"mem":null,"disk":{"value":"7"}}}"#;
        let config: v1::quota::QuotaConfig = read(text).unwrap();
        let limits: Vec<_> = config.limits.iter().map(|(name, limit)| (name.as_str(), limit.value)).collect();
        assert_eq!(limits, [("cpus", 0.0), ("disk", 7.0)]);
    }

    #[test]
    fn what_is_not_regular_is_left_to_the_slow_way() {
        for (text, why) in [
            (r#"{"key":"a","key":"b"}"#, "'key' is there twice"),
            (r#"{"value":"b"}"#, "'key' is required"),
            (r#"{"key":null}"#, "'key' is required"),
            (r#"{"key":["a"]}"#, "invalid type: sequence, expected what 'key' can be"),
            (r#"{"key":"a"} x"#, "trailing characters"),
            (r#"["key"]"#, "invalid type: sequence, expected a JSON object"),
        ] {
            let error = read::<v1::Label>(text).unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
        let error = read::<v1::quota::QuotaConfig>(r#"{"role":"r","limits":"cpus"}"#).unwrap_err();
        assert!(
            error.starts_with("invalid type: string \"cpus\", expected an object for 'limits'"),
            "{error}"
        );
        // Which makes something of some of it: as upstream, the last of two counts.
        let last: v1::Label = crate::json::from_slice(br#"{"key":"a","key":"b"}"#).unwrap();
        assert_eq!(last.key, "b");
    }
}
