//! The vocabulary of Mesos: protocol messages and their JSON, ids, resources, roles, settings.
//!
//! # The protocol
//!
//! The messages are generated from the files of `proto/`, which are Mesos 1.11's in v1 naming:
//!
//! | module | what is in it |
//! |---|---|
//! | [`v1`] | ids, frameworks, agents, resources, offers, tasks, containers |
//! | [`v1::scheduler`], [`v1::executor`] | calls and events of the two APIs for frameworks |
//! | [`v1::master`], [`v1::agent`] | calls, responses and events of the operator APIs |
//! | [`v1::maintenance`], [`v1::quota`], [`v1::allocator`], [`v1::resource_provider`] | their parts |
//! | [`internal`] | what processes send each other, and the registry ([`internal::Registry`]) |
//! | [`internal::slave`], [`internal::state`], [`internal::log`] | what is checkpointed and stored |
//! | [`slave`] | containers, between agent, containerizer and launcher |
//! | [`resource_provider`] | what resource providers store |
//! | [`v0`] | what has no v1 twin: ACLs, modules, and the five exceptions |
//! | [`authorization`], [`fetcher`], [`seccomp`], [`docker`], [`appc`], [`oci`], [`google`] | as named |
//!
//! Every message is a [`Message`]: [`json`] and [`wire`] read and write it, `libprocess` sends those
//! of [`internal`] from actor to actor. [`codec`] reads calls with upstream's error texts, by
//! [`MediaType`]. Names are prost's: `FrameworkID` is `v1::FrameworkId`, a nested `Offer.Operation`
//! is `v1::offer::Operation`, an enum field is an `i32` with a getter (`task.state()`) and a setter.
//! One message is written by hand, because it would take most of the memory: [`labels`].
//! Nobody but this crate knows how a message becomes JSON.

#![recursion_limit = "256"]

pub mod attributes;
pub mod bincode_codec;
pub mod bytes;
pub mod capabilities;
mod claim;
pub mod codec;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod ids;
pub mod json;
pub mod labels;
mod machine;
pub mod media;
pub mod metrics;
pub mod operator;
pub mod proto;
pub mod quantities;
pub mod recordio;
pub mod required;
pub mod resources;
pub mod roles;
pub mod sabotage;
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
    AgentId, ContainerId, ExecutorId, FrameworkId, OfferId, OperationId, ResourceProviderId, TaskId, is_uuid,
};
pub use libprocess::{FixedState, duration};
pub use machine::MachineKey;
pub use media::MediaType;
pub use proto::{Enum, Message};
pub use quantities::{ResourceLimits, ResourceQuantities};
pub use resources::{Resource, ResourceError, Resources};
pub use roles::Role;
pub use values::{Interval, Ranges, Scalar, Set};
pub use version::version;

/// A number that two builds share exactly if they have the same messages in the same encoding.
///
/// It is computed at build time from the compiled descriptors and the version of the bincode form.
/// Two nodes that announce the same one may speak bincode to each other.
pub fn schema_fingerprint() -> u64 {
    proto::tables::FINGERPRINT
}

include!(concat!(env!("OUT_DIR"), "/protocol.rs"));
