//! The vocabulary of Mesos: protocol messages and their JSON, ids, resources, roles, settings.

#![recursion_limit = "256"]

pub mod bincode_codec;
pub mod codec;
pub mod json;
pub mod media;
pub mod proto;
pub mod recordio;
pub mod required;
mod v0_conversions;
pub mod wire;

pub use media::MediaType;
pub use proto::{Enum, Message};

/// A number that two builds share exactly if they have the same messages in the same encoding.
///
/// It is computed at build time from the compiled descriptors and the version of the bincode form.
/// Two nodes that announce the same one may speak bincode to each other.
pub fn schema_fingerprint() -> u64 {
    proto::tables::FINGERPRINT
}

include!(concat!(env!("OUT_DIR"), "/protocol.rs"));
