//! Messages, links and answers between nodes over loopback, and the bytes on the wire.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod addresses;
mod host;
mod links;
mod threads;
mod wire;
