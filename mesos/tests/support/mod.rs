//! Random messages, made from descriptors: protobuf bytes that carry every required field and some
//! of the others. The numbers come from a seed, so that a failure can be repeated.

use mesos::proto::{FieldDescriptor, Kind, MessageDescriptor, Presence};
use prost::encoding::{WireType, encode_key, encode_varint};

/// A small generator of numbers (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 10] =
            ["a", "role/x", "*", " ", "\"", "\\", "\n\u{1}", "ünï", "\u{1F600}", "null"];
        let length = self.below(4);
        (0..length).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    fn double(&mut self) -> f64 {
        match self.below(7) {
            0 => 0.0,
            6 => [f64::INFINITY, f64::NEG_INFINITY][self.below(2)],
            1 => self.below(100_000) as f64,
            2 => self.below(100_000) as f64 / 1000.0,
            3 => -(self.below(1000) as f64),
            4 => 1e17 * self.below(1000) as f64,
            _ => {
                let double = f64::from_bits(self.next());
                if double.is_finite() { double } else { 0.5 }
            }
        }
    }
}

/// Which optional fields a random message has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    /// Any.
    Some,
    /// Any, and all those whose default JSON writes when they are unset: nothing is added on the way.
    WithDefaults,
}

/// The bytes of some message of that kind. `depth` bounds how deep optional messages are nested.
pub(crate) fn message(
    descriptor: &MessageDescriptor,
    random: &mut Random,
    fields: Fields,
    depth: usize,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in descriptor.fields {
        let times = match field.presence {
            Presence::Required => 1,
            Presence::Optional if field.write_default && fields == Fields::WithDefaults => 1,
            Presence::Optional if leaf(field) || depth > 0 => random.below(2),
            Presence::Repeated | Presence::Map if leaf(field) || depth > 0 => random.below(3),
            _ => 0,
        };
        for _ in 0..times {
            if field.presence == Presence::Map {
                let mut entry = Vec::new();
                length_delimited(1, random.text().as_bytes(), &mut entry);
                value(2, field.kind, random, fields, depth, &mut entry);
                length_delimited(field.number, &entry, &mut bytes);
            } else {
                value(field.number, field.kind, random, fields, depth, &mut bytes);
            }
        }
    }
    bytes
}

fn leaf(field: &FieldDescriptor) -> bool {
    !matches!(field.kind, Kind::Message(_))
}

fn value(number: u32, kind: Kind, random: &mut Random, fields: Fields, depth: usize, bytes: &mut Vec<u8>) {
    let varint = match kind {
        Kind::Bool => random.next() & 1,
        Kind::Int32 => random.next() as i32 as i64 as u64,
        Kind::Uint32 => u64::from(random.next() as u32),
        Kind::Int64 | Kind::Uint64 => random.next() >> random.below(64),
        Kind::Enum(names) => names.values[random.below(names.values.len())].1 as i64 as u64,
        Kind::Double => {
            encode_key(number, WireType::SixtyFourBit, bytes);
            bytes.extend(random.double().to_le_bytes());
            return;
        }
        Kind::String => return length_delimited(number, random.text().as_bytes(), bytes),
        Kind::Bytes => return length_delimited(number, &random.bytes(8), bytes),
        Kind::Message(inner) => {
            let inner = message(inner, random, fields, depth.saturating_sub(1));
            return length_delimited(number, &inner, bytes);
        }
    };
    encode_key(number, WireType::Varint, bytes);
    encode_varint(varint, bytes);
}

fn length_delimited(number: u32, value: &[u8], bytes: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, bytes);
    encode_varint(value.len() as u64, bytes);
    bytes.extend_from_slice(value);
}
