//! Zeroes in the maps of quotas.
//!
//! prost leaves the value out of a map's entry when it is the default. For a scalar, whose number is
//! a required field, other implementations of protobuf then refuse the whole message. A scalar of
//! zero means something in a quota (nothing of this at all); in the protocol's other maps of scalars
//! it is not valid anyway. So messages that may hold a quota are gone over once more.

use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use crate::proto::{Kind, MessageDescriptor, Presence};

/// A map entry's value: a `Value.Scalar` (field 2, 9 bytes) whose number (field 1) is zero.
const ZERO: [u8; 11] = [0x12, 9, 0x09, 0, 0, 0, 0, 0, 0, 0, 0];

/// The message with every zero written.
pub(super) fn complete(descriptor: &'static MessageDescriptor, bytes: Vec<u8>) -> Vec<u8> {
    // These are prost's own bytes: there is nothing in them that cannot be read.
    rewrite(descriptor, &bytes).unwrap_or(bytes)
}

/// The message rewritten, or nothing if nothing had to be.
fn rewrite(descriptor: &'static MessageDescriptor, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = bytes;
    // Everything before this has been copied.
    let mut copied = 0;
    while !rest.is_empty() {
        let start = bytes.len() - rest.len();
        let (number, wire_type) = decode_key(&mut rest).ok()?;
        let field = descriptor.index_of_number(number).map(|index| &descriptor.fields[index]);
        let inner = match field.map(|field| (field.kind, field.presence)) {
            Some((Kind::Message(inner), presence)) if wire_type == WireType::LengthDelimited => {
                (inner, presence)
            }
            _ => {
                let context = prost::encoding::DecodeContext::default();
                prost::encoding::skip_field(wire_type, number, &mut rest, context).ok()?;
                continue;
            }
        };
        let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
        let (value, after) = rest.split_at_checked(length)?;
        rest = after;
        let replacement = match inner {
            (scalar, Presence::Map) if scalar.full_name == "mesos.v1.Value.Scalar" => {
                has_no_value(value)?.then(|| [value, &ZERO].concat())
            }
            (inner, Presence::Map) if inner.quotas => None,
            (inner, _) if inner.quotas => rewrite(inner, value),
            _ => None,
        };
        if let Some(replacement) = replacement {
            out.extend_from_slice(&bytes[copied..start]);
            encode_key(number, wire_type, &mut out);
            encode_varint(replacement.len() as u64, &mut out);
            out.extend_from_slice(&replacement);
            copied = bytes.len() - rest.len();
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&bytes[copied..]);
    Some(out)
}

/// Whether a map's entry is only its key.
fn has_no_value(mut entry: &[u8]) -> Option<bool> {
    while !entry.is_empty() {
        let (number, wire_type) = decode_key(&mut entry).ok()?;
        if number == 2 {
            return Some(false);
        }
        let context = prost::encoding::DecodeContext::default();
        prost::encoding::skip_field(wire_type, number, &mut entry, context).ok()?;
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use crate::v1::quota::{QuotaConfig, QuotaStatus};
    use crate::v1::{master, value::Scalar};
    use crate::wire::{decode, encode};

    #[test]
    fn a_limit_of_zero_is_written_for_everybody_to_read() {
        let limits = [("cpus".to_owned(), Scalar { value: 0.0 }), ("mem".to_owned(), Scalar { value: 1.0 })];
        let config = QuotaConfig { role: "r".to_owned(), limits: limits.into(), ..Default::default() };
        let response = master::Response {
            get_quota: Some(master::response::GetQuota {
                status: QuotaStatus { configs: vec![config.clone(), config], ..Default::default() },
            }),
            ..Default::default()
        };
        let bytes = encode(&response);
        let zero = [b"cpus".as_slice(), &super::ZERO].concat();
        let written = bytes.windows(zero.len()).filter(|window| *window == zero).count();
        assert_eq!(written, 2);
        assert_eq!(decode(&bytes).as_ref(), Ok(&response));
    }
}
