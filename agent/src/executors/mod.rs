//! Executors and their frameworks on this agent: launched, subscribed, shut down, removed; and the
//! API that they speak.
//!
//! | file | what is there |
//! |---|---|
//! | [`executor`] | what the agent knows of an executor and of a framework |
//! | [`book`] | the tasks of one executor, and how they move; pure |
//! | [`command`] | the executor that is made up for a task that is only a command |
//! | [`launch`] | an executor from its launch to its end |
//! | [`environment`], [`sandbox`] | what it finds in its environment; its directory |
//! | [`api`], [`validation`] | its calls over HTTP, and what they must be like |
//! | [`subscribe`], [`connection`] | SUBSCRIBE, and the stream of events that answers it |
//! | [`shutdown`] | it is told to end, and destroyed if it does not |
//! | [`frameworks`] | messages between schedulers and executors; a framework changes, or is over |

pub mod api;
pub mod book;
pub mod command;
pub mod connection;
pub mod environment;
pub mod executor;
pub mod frameworks;
pub mod launch;
pub mod sandbox;
pub mod shutdown;
pub mod subscribe;
pub mod validation;
