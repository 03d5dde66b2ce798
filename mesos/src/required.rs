//! Whether protobuf bytes carry every required field.
//!
//! prost takes a missing required field for its default, in silence. Upstream refuses the message,
//! so this walk goes over the bytes before prost does, led by the message's table. It looks at
//! tags and lengths only and steps into a sub-message only if something in there is required.

use std::fmt;

use prost::encoding::{WireType, decode_key, decode_varint, skip_field};

use crate::proto::{Kind, MessageDescriptor, Presence};

/// How deep messages may be nested. It is prost's own bound.
pub(crate) const MAX_DEPTH: usize = 100;

/// What is wrong with the bytes.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// Some required fields are not there.
    #[error("missing required fields: {}", Paths(.0))]
    Missing(Vec<String>),
    /// Not protobuf.
    #[error("not protobuf: {0}")]
    Malformed(String),
    /// Messages within messages, beyond any that the protocol has.
    #[error("messages are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Lists of what is small on the wire and large in memory.
    #[error("what it lists would take more than {0} bytes of memory")]
    TooMuch(usize),
}

struct Paths<'a>(&'a [String]);

impl fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Passes if every required field of the message, at every depth, is there.
///
/// # Errors
/// The paths of those that are not (at most 32), or what is wrong with the bytes.
pub fn check(descriptor: &'static MessageDescriptor, bytes: &[u8]) -> Result<(), Error> {
    if !descriptor.checked {
        return Ok(());
    }
    let mut missing = Vec::new();
    let mut report = |path| {
        if missing.len() < MAX_REPORTED {
            missing.push(path);
        }
    };
    walk(descriptor, &[bytes], MAX_DEPTH, &mut report)?;
    if missing.is_empty() { Ok(()) } else { Err(Error::Missing(missing)) }
}

/// More paths than anybody reads are not collected.
const MAX_REPORTED: usize = 32;

/// Checks one message, which may have come in several fragments (protobuf merges them).
fn walk(
    descriptor: &'static MessageDescriptor,
    fragments: &[&[u8]],
    depth: usize,
    report: &mut dyn FnMut(String),
) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
    // Which fields have been seen, by their position in the descriptor (the build script sees to
    // it that there are at most 256).
    let mut seen = [0u64; 4];
    let mut inner: Vec<(usize, &[u8])> = Vec::new();
    for fragment in fragments {
        scan(descriptor, fragment, &mut seen, &mut inner)?;
    }
    for (index, field) in descriptor.fields.iter().enumerate() {
        let found = seen[index / 64] & (1 << (index % 64)) != 0;
        if field.presence == Presence::Required && !found {
            report(field.name.to_owned());
        }
    }
    // A stable sort brings the fragments of one field together and keeps their order.
    inner.sort_by_key(|(index, _)| *index);
    for group in inner.chunk_by(|a, b| a.0 == b.0) {
        let field = &descriptor.fields[group[0].0];
        let Kind::Message(message) = field.kind else { continue };
        match field.presence {
            Presence::Required | Presence::Optional => {
                let fragments: Vec<&[u8]> = group.iter().map(|(_, bytes)| *bytes).collect();
                let mut prefixed = |path| report(format!("{}.{path}", field.name));
                walk(message, &fragments, depth, &mut prefixed)?;
            }
            Presence::Repeated => {
                for (position, (_, bytes)) in group.iter().enumerate() {
                    let mut prefixed = |path| report(format!("{}[{position}].{path}", field.name));
                    walk(message, &[bytes], depth, &mut prefixed)?;
                }
            }
            Presence::Map => {
                for (position, (_, entry)) in group.iter().enumerate() {
                    let values = map_values(entry)?;
                    if values.is_empty() {
                        // prost does not write a value that is the default, and reads it so.
                        continue;
                    }
                    let mut prefixed = |path| report(format!("{}[{position}].value.{path}", field.name));
                    walk(message, &values, depth, &mut prefixed)?;
                }
            }
        }
    }
    Ok(())
}

/// Goes over the fields of one fragment: marks them, and collects the sub-messages to look into.
fn scan<'a>(
    descriptor: &'static MessageDescriptor,
    mut bytes: &'a [u8],
    seen: &mut [u64; 4],
    inner: &mut Vec<(usize, &'a [u8])>,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        let (number, wire_type) = decode_key(&mut bytes).map_err(malformed)?;
        let Some(index) = descriptor.index_of_number(number) else {
            skip(wire_type, number, &mut bytes)?;
            continue;
        };
        match (descriptor.fields[index].kind, wire_type) {
            (Kind::Message(message), WireType::LengthDelimited) => {
                let value = length_delimited(&mut bytes)?;
                if message.checked {
                    inner.push((index, value));
                }
            }
            (Kind::Enum(names), WireType::Varint) => {
                let number = decode_varint(&mut bytes).map_err(malformed)?;
                // A number without a name counts as unset (proto2's unknown enum values).
                if names.name(number as i32).is_none() {
                    continue;
                }
            }
            _ => skip(wire_type, number, &mut bytes)?,
        }
        seen[index / 64] |= 1 << (index % 64);
    }
    Ok(())
}

/// The fragments of the value in a map's entry.
pub(crate) fn map_values(mut entry: &[u8]) -> Result<Vec<&[u8]>, Error> {
    const VALUE: u32 = 2;
    let mut values = Vec::new();
    while !entry.is_empty() {
        let (number, wire_type) = decode_key(&mut entry).map_err(malformed)?;
        if number == VALUE && wire_type == WireType::LengthDelimited {
            values.push(length_delimited(&mut entry)?);
        } else {
            skip(wire_type, number, &mut entry)?;
        }
    }
    Ok(values)
}

pub(crate) fn length_delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let length = decode_varint(bytes).map_err(malformed)?;
    let length = usize::try_from(length).ok();
    let (value, rest) = length
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or_else(|| Error::Malformed("a length goes beyond the end".to_owned()))?;
    *bytes = rest;
    Ok(value)
}

pub(crate) fn malformed(error: prost::DecodeError) -> Error {
    Error::Malformed(error.to_string())
}

pub(crate) fn skip(wire_type: WireType, number: u32, bytes: &mut &[u8]) -> Result<(), Error> {
    skip_field(wire_type, number, bytes, prost::encoding::DecodeContext::default()).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Message as _;
    use crate::v1;
    use prost::Message as _;

    fn missing<T: crate::Message>(bytes: &[u8]) -> Vec<String> {
        match check(T::descriptor(), bytes) {
            Ok(()) => Vec::new(),
            Err(Error::Missing(paths)) => paths,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_empty_message_lacks_all_that_is_required() {
        assert_eq!(missing::<v1::TaskInfo>(&[]), ["name", "task_id", "agent_id"]);
        assert_eq!(missing::<v1::Labels>(&[]), [""; 0]);
    }

    #[test]
    fn what_is_missing_further_down_is_named_by_its_path() {
        // TaskInfo { name: "", resources: [{}], labels: { labels: [{}] } }
        let bytes = [0x0a, 0, 0x22, 0, 0x52, 2, 0x0a, 0];
        let paths = missing::<v1::TaskInfo>(&bytes);
        let expected =
            ["task_id", "agent_id", "resources[0].name", "resources[0].type", "labels.labels[0].key"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn fragments_of_one_message_are_merged_before_they_are_judged() {
        // Two fragments of HealthCheck.http (port is required): one empty, one with the port.
        let halves = [vec![0x0a, 0], vec![0x0a, 2, 0x08, 80]];
        assert_eq!(missing::<v1::HealthCheck>(&halves[0]), ["http.port"]);
        assert_eq!(missing::<v1::HealthCheck>(&halves.concat()), [""; 0]);
        assert_eq!(v1::HealthCheck::decode(&*halves.concat()).unwrap().http.unwrap().port, 80);
    }

    #[test]
    fn a_required_enum_with_an_unknown_number_is_missing() {
        // TaskStatus.state = 99, task_id = { value: "" }
        let bytes = [0x10, 99, 0x0a, 2, 0x0a, 0];
        assert_eq!(missing::<v1::TaskStatus>(&bytes), ["state"]);
    }

    #[test]
    fn a_length_beyond_the_end_is_malformed() {
        let error = check(v1::TaskInfo::descriptor(), &[0x12, 200, 1]).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }

    #[test]
    fn a_message_nested_beyond_the_bound_is_refused() {
        let mut id = v1::ContainerId::default();
        for _ in 0..MAX_DEPTH {
            id = v1::ContainerId { value: String::new(), parent: Some(Box::new(id)) };
        }
        let bytes = id.encode_to_vec();
        assert_eq!(check(v1::ContainerId::descriptor(), &bytes), Err(Error::TooDeep));
    }
}
