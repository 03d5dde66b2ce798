//! The Mesos agent: executors, tasks, containers, status updates and the HTTP APIs.
//!
//! [`startup`] makes an agent out of [`Settings`]; [`agent`] is its actor, with the table of all that
//! it receives. Around it: [`registration`] (finding and keeping a master), [`tasks`] and
//! [`executors`] (what runs), `draining` (what the master has ended), [`operations`] (reservations and volumes),
//! [`status_updates`] (what is reported), [`recovery`] (what survives a restart), [`containerizer`] (how it runs),
//! [`fetcher`], [`gc`].
//!
//! An agent never allocates: it launches what the master says, and reports what became of it.

pub mod agent;
pub mod containerizer;
mod draining;
pub mod executors;
pub mod fetcher;
pub mod gc;
pub mod housekeeping;
mod http;
mod metrics;
mod mounts;
pub mod operations;
pub mod recovery;
pub mod registration;
pub mod resources;
pub mod settings;
pub mod startup;
pub mod status_updates;
pub mod tasks;
pub mod users;

#[cfg(test)]
mod tests;

pub use agent::{Agent, Ended};
pub use settings::{Settings, UNSUPPORTED};
pub use startup::{Running, StartError, node, start};
