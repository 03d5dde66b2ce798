//! The executor library and the command executor against an agent made for the test, over a real
//! socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod command;
mod library;
#[path = "../support/mod.rs"]
mod support;
mod world;
