//! Actors with addresses: processes, messages between nodes, HTTP routes, clocks and timers, metrics
pub mod http;
