//! What every message and enum of the protocol has in common.
//!
//! The types themselves are generated into the modules of the crate's root ([`crate::v1`],
//! [`crate::internal`] and so on, see the crate's documentation); here are the traits that generic
//! code uses, and the tables that describe each message. The tables serve the checks for missing
//! required fields, the JSON that is not quite regular, and the tests. Nothing here knows what a
//! message means.

use serde::Serialize;

pub use tables::{ENUMS, MESSAGES};

/// A message of the protocol.
///
/// Implemented by the build script for every generated struct. The name on the wire is declared
/// here and does not follow from the Rust path.
///
/// How it is read and written stands here, and not only in generic functions ([`crate::json`], [`crate::wire`]), because
/// a generic function is compiled once more in each crate that calls it, and so is what it does to all messages within.
pub trait Message:
    prost::Message
    + std::fmt::Debug
    + Default
    + Clone
    + PartialEq
    + Serialize
    + bincode::Encode
    + bincode::Decode<()>
    + Send
    + Sync
    + 'static
{
    /// Upstream's full name, for instance `mesos.internal.RegisterSlaveMessage`.
    const FULL_NAME: &'static str;
    /// The last part of it, as upstream's error texts use it (`Call`).
    const NAME: &'static str;
    /// Names, numbers and kinds of the fields.
    fn descriptor() -> &'static MessageDescriptor;
    /// Its JSON. ([`crate::json::to_vec`] writes anything.)
    fn write_json(&self) -> Vec<u8>;
    /// Reads protobuf, and does not ask whether anything is lacking. ([`crate::wire::decode`] does.)
    ///
    /// # Errors
    /// prost's.
    fn read_protobuf(bytes: &[u8]) -> Result<Self, prost::DecodeError>;
    /// Its protobuf, without what [`crate::wire::encode`] adds.
    fn write_protobuf(&self) -> Vec<u8>;
}

/// An enum of the protocol. In messages it is an `i32`, because the wire may carry numbers that
/// this build does not know.
pub trait Enum: Copy + TryFrom<i32> + Into<i32> + Send + Sync + 'static {
    /// The name of the value, for instance `TASK_RUNNING`.
    fn name(self) -> &'static str;
    /// The value of that name.
    fn from_name(name: &str) -> Option<Self>;
    /// All names and numbers.
    fn descriptor() -> &'static EnumDescriptor;
}

/// A message, described.
#[derive(Debug)]
pub struct MessageDescriptor {
    /// Upstream's full name.
    pub full_name: &'static str,
    /// Bytes that one has in memory, without what it points to.
    pub size: usize,
    /// Some field, here or in a message below, is required.
    pub checked: bool,
    /// A quota may be in it: a map in which a zero means something ([`crate::wire::encode`]).
    pub quotas: bool,
    /// In the order of declaration, which is the order of the JSON.
    pub fields: &'static [FieldDescriptor],
}

/// A field, described.
#[derive(Debug)]
pub struct FieldDescriptor {
    /// As in the `.proto` file and in JSON.
    pub name: &'static str,
    /// On the wire.
    pub number: u32,
    /// Required, optional, repeated or a map.
    pub presence: Presence,
    /// The type; of a map, that of its values.
    pub kind: Kind,
    /// Its message is pointed to, and no part of the one that it is a field of. (Lists and maps point to theirs anyway.)
    pub is_boxed: bool,
    /// The explicit default, as the `.proto` file spells it.
    pub default: Option<&'static str>,
    /// JSON carries the default when the field is unset.
    pub write_default: bool,
}

/// How often a field can be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Exactly once; a message without it is refused.
    Required,
    /// Once or not at all.
    Optional,
    /// Any number of times, in order.
    Repeated,
    /// From strings to values of the field's kind.
    Map,
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "protobuf's own names")]
pub enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Double,
    String,
    Bytes,
    Enum(&'static EnumDescriptor),
    Message(&'static MessageDescriptor),
}

/// An enum, described.
#[derive(Debug)]
pub struct EnumDescriptor {
    /// Upstream's full name.
    pub full_name: &'static str,
    /// In the order of declaration.
    pub values: &'static [(&'static str, i32)],
}

impl EnumDescriptor {
    /// The number of the value called `name`.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    }

    /// The first name that the number has.
    pub fn name(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
    }
}

impl MessageDescriptor {
    /// The message of that full name.
    pub fn find(full_name: &str) -> Option<&'static MessageDescriptor> {
        let found = MESSAGES.binary_search_by(|message| message.full_name.cmp(full_name));
        found.ok().map(|index| MESSAGES[index])
    }

    /// The last part of the full name.
    pub fn name(&self) -> &'static str {
        self.full_name.rsplit('.').next().unwrap_or(self.full_name)
    }

    /// The position among the fields of the field called `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The position among the fields of the field with that number.
    pub fn index_of_number(&self, number: u32) -> Option<usize> {
        // Most messages number their fields 1, 2, 3 in order: look there first.
        let guess = (number as usize).wrapping_sub(1);
        match self.fields.get(guess) {
            Some(field) if field.number == number => Some(guess),
            _ => self.fields.iter().position(|field| field.number == number),
        }
    }
}

/// Generated: a static for each message and enum, and the implementations that lead to them.
#[allow(non_upper_case_globals, reason = "named after full names")]
pub(crate) mod tables {
    use super::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Presence};
    include!(concat!(env!("OUT_DIR"), "/tables.rs"));
}
