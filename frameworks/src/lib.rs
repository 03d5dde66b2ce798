//! Both ends of a framework, and frameworks that use them.
//!
//! | module | what is there |
//! |---|---|
//! | [`scheduler`] | the scheduler library: a trait to implement, the actor that keeps the subscription |
//! | [`executor`] | the executor library, likewise, and the environment that an agent gives |
//! | [`command_executor`] | runs the command of one task (`mesos-executor`) |
//! | [`sum`], [`integrate`] | two small frameworks, each with its own executor: read [`sum`] first |
//! | [`execute`] | runs one command as a task and prints what becomes of it (`mesos-execute`) |
//! | [`ledger`], [`room`], [`progress`] | bookkeeping that such frameworks share; pure |
//!
//! `examples/minimal.rs` is a whole framework in one file, with the `main` of its scheduler and of its executor.
//!
//! The crate speaks to masters and agents only through their HTTP APIs, version 1. It reads neither
//! the environment nor the command line: who starts a framework hands it typed options.

mod later;
mod link;
mod stream;

pub mod command_executor;
pub mod execute;
pub mod executor;
pub mod integrate;
pub mod ledger;
pub mod progress;
pub mod room;
pub mod scheduler;
pub mod sum;
