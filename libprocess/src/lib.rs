//! Actors with addresses: processes, messages between nodes, links, clocks and timers, HTTP routes, metrics.
//!
//! A [`Node`] holds actors ([`Process`]). Each has a [`Pid`] (`id@ip:port`), takes typed messages through a queue, and
//! handles one at a time. A message to a pid of the same node is moved; to another node it is sent as an HTTP
//! request, so that any HTTP client can send one, too. Time, chance and tasks come from the node, and tests run on a
//! paused clock ([`testing`]).
//!
//! This crate knows nothing of Mesos. It is built on actix (actors) and actix-web (answers to ordinary HTTP clients).
//! README.md teaches how to write an actor; `examples/ping_pong.rs` is a whole program.
//!
//! | to | see |
//! |---|---|
//! | write an actor | [`Process`], [`Handle`], [`Context`], [`messages!`] |
//! | start it, and reach it | [`Node`], [`Address`], [`Pid`] |
//! | send between machines | [`WireMessage`], [`Install::message`] |
//! | serve HTTP, and ask others | [`Install::get`], [`http`] |
//! | do what blocks, or takes long | [`Node::blocking`], [`Node::background`], [`Node::beside`], [`breath`] |
//! | keep it alive | [`Context::link`], [`Supervisor`] |
//! | show what it does | [`Metrics`], [`system`] |
//! | test it | [`testing`], [`simulation`] |

mod accept;
mod address;
mod arbiters;
mod backoff;
mod beside;
mod budget;
mod builder;
mod cell;
mod context;
mod crowd;
mod envelope;
mod few;
mod hasher;
mod install;
mod latch;
mod limiter;
mod limits;
mod links;
mod mailbox;
mod node;
mod pace;
mod pid;
mod probe;
mod process;
mod promise;
mod queue;
mod random;
mod stream;
mod supervision;
mod timers;
mod transport;
mod turn;
mod wire;

pub mod disk;
pub mod duration;
pub mod environment;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod metrics;
pub mod simulation;
pub mod subprocess;
pub mod system;
pub mod testing;
pub mod tls;

/// The examples of README.md are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

use std::future::Future;

pub use address::{Address, Recipient};
pub use backoff::Backoff;
pub use beside::breath;
pub use builder::{NodeBuilder, StartError};
pub use context::Context;
pub use environment::Environment;
pub use hasher::FixedState;
pub use install::{Declared, Install};
pub use limiter::{Rate, RateError, RateLimiter};
pub use limits::{Limits, raise_file_limit};
pub use metrics::Metrics;
pub use node::{Node, WeakNode};
pub use pid::{Pid, PidError};
pub use probe::probe;
pub use process::{Exit, Gone, Handle, Message, Place, Process};
pub use promise::{Abandoned, Answer, Promise, promise};
pub use queue::QueueLengths;
pub use random::Random;
pub use supervision::{GetChild, Restarts, Supervisor};
pub use timers::Timer;
pub use tls::TlsSettings;
pub use transport::Delivery;
pub use wire::{DecodeError, Encoding, MAX_MESSAGE_BYTES, WireMessage};

/// Runs a daemon: an actix System on this thread, which is the control plane's.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    actix::System::new().block_on(future)
}
