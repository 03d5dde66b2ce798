//! A cluster on one thread, in virtual time, from a seed.
//!
//! [`run`] gives a thread with a clock that jumps whenever nothing is left to do. A [`Network`] makes nodes in it, moves
//! what they send, and breaks what it is told to break; a [`SimulatedDisk`], for nodes that are given one, loses what was
//! not synced when its host loses power. Above the sockets everything is the real thing: transport, HTTP, actors, timers.
//!
//! Chance comes from the seed alone, nothing runs on another thread, and nothing is iterated in an order that differs
//! between runs: one seed gives one trace, byte for byte.
//!
//! What to run on it, which faults to make and what must hold is the caller's: see `integration::simulation`.

mod disk;
mod network;
mod pipe;
mod shrink;
mod socket;
mod state;
mod trace;
mod volume;
mod weather;

use std::future::Future;

pub use disk::{Mount, SimulatedDisk, Torn};
pub use network::{Counts, Crash, Network};
pub use shrink::shrink;
pub(crate) use socket::{SimulatedStream, Site};
pub use trace::Trace;
pub use volume::Lost;
pub use weather::Weather;

/// Runs a simulation: as [`crate::testing::run`], but without sockets, pipes and signals of the host.
///
/// # Panics
/// If an actor panicked and nobody waited for it.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    crate::testing::run_on(tokio::runtime::Builder::new_current_thread().enable_time(), future)
}

/// Runs a future beside the rest of the simulation, to its end. It belongs to no node, and outlives them all.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    actix_rt::spawn(future);
}
