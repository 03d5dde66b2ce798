//! Executors and their frameworks on this agent: launched, subscribed, shut down, removed; and the
//! API that they speak.

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
