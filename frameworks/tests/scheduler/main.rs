//! The scheduler library against a master made for the test, over a real socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod connections;
mod failovers;
mod speaking;
#[path = "../support/mod.rs"]
mod support;
mod world;
