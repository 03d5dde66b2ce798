//! Actors with addresses: processes, messages between nodes, HTTP routes, clocks and timers, metrics
pub mod duration;
pub mod http;
pub mod metrics;
