//! The vocabulary of Mesos: protocol messages and their JSON, ids, resources, roles, settings.

#![recursion_limit = "256"]

pub mod attributes;
pub mod bincode_codec;
pub mod bytes;
pub mod capabilities;
pub mod codec;
pub mod duration;
pub mod ids;
pub mod json;
pub mod media;
pub mod proto;
pub mod quantities;
pub mod recordio;
pub mod required;
pub mod resources;
pub mod roles;
pub mod settings;
pub mod tasks;
pub mod text;
mod v0_conversions;
pub mod validation;
pub mod values;
pub mod version;
pub mod views;
pub mod wire;

pub use attributes::Attributes;
pub use capabilities::{AgentCapabilities, FrameworkCapabilities, MasterCapabilities};
pub use ids::{
    AgentId, ContainerId, ExecutorId, FrameworkId, OfferId, OperationId, ResourceProviderId, TaskId,
};
pub use media::MediaType;
pub use proto::{Enum, Message};
pub use quantities::{ResourceLimits, ResourceQuantities};
pub use resources::{Resource, ResourceError, Resources};
pub use roles::Role;
pub use values::{Interval, Ranges, Scalar, Set};
pub use version::VERSION;

/// A number that two builds share exactly if they have the same messages in the same encoding.
///
/// It is computed at build time from the compiled descriptors and the version of the bincode form.
/// Two nodes that announce the same one may speak bincode to each other.
pub fn schema_fingerprint() -> u64 {
    proto::tables::FINGERPRINT
}

include!(concat!(env!("OUT_DIR"), "/protocol.rs"));
