//! The Mesos master: frameworks, agents, offers and tasks, and the scheduler and operator APIs.
//!
//! | module | what is there |
//! |---|---|
//! | [`startup`] | from [`Settings`] to a leading master, step by step |
//! | [`master`] | the actor: what it owns, and its messages |
//! | [`cluster`] | the state and its transitions, pure; what readers get |
//! | `calls` | the scheduler API, one file per call |
//! | `driver` | the same for schedulers of the first API, by messages |
//! | [`agents`] | how agents come, are watched, and are lost |
//! | `operator` | the operator API: what operators ask and change |
//! | `frameworks`, `offers`, `updates` | streams and ends of frameworks; offers; what tasks report |
//! | `pulse` | whether this process was stopped for so long that another master may lead |
//! | `whitelist` | which agents may be offered, by their host names |
//! | `operations` | reservations and volumes, from the call to the acknowledged outcome |
//! | [`validation`] | what is accepted, pure |
//! | [`authorization`] | who may do what |
//! | `reads` | what each read shows, and that it is asked for |
//! | [`registrar`] | the registry and its storage |
//! | [`http`] | the older endpoints that operators read |
//! | `openapi` | a description of all that is served |
//! | [`rendering`] | from a snapshot to bytes, nothing of it twice |
//!
//! It never touches a container, and it does not decide who is offered what: that is the allocator's.

pub mod agents;
mod allocation;
pub mod authorization;
mod calls;
pub mod cluster;
mod driver;
mod frameworks;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
mod ids;
mod inverse_offers;
mod leadership;
pub mod master;
mod metrics;
mod offers;
mod openapi;
mod operations;
mod operator;
mod pulse;
mod reads;
pub mod registrar;
pub mod rendering;
pub mod settings;
pub mod startup;
#[cfg(test)]
mod tests;
mod updates;
pub mod validation;
mod whitelist;

pub use master::{EndReason, Master, TakeSnapshot};
pub use settings::{Settings, UNSUPPORTED};
pub use startup::{
    Running, StartError, node, node_with_authorizer, start, start_in_group, start_with_authorizer,
};
