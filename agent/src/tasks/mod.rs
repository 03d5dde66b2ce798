//! The way of a task through the agent: it is run (queued, launched), killed, and reported on.

pub mod kill;
pub mod run;
pub mod status;
pub mod update;
