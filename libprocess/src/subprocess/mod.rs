//! Programs that are run as processes of the operating system.
//!
//! - [`Subprocess`] says what to run and how, and starts it (`command.rs`);
//! - [`Child`] is what was started: its pid, its streams, its end (`child.rs`);
//! - [`reap`] and [`watch`] wait for processes that are known by their pid alone (`reaper.rs`);
//! - [`kill_tree`] and its kin know who descends from whom, and end them all (`tree.rs`).
//!
//! None of it knows an actor: an actor runs the futures with [`crate::Context::defer`]. A simulation starts no process.
//! Upstream: 3rdparty/libprocess/include/process/{subprocess,reap}.hpp and stout's `os::pstree`, `os::killtree`.

mod child;
mod command;
mod reaper;
mod tree;

pub use child::{Child, Output};
pub use command::{Stream, Subprocess};
pub use reaper::{reap, watch};
pub use tree::{ProcessEntry, descendants, kill_tree, process_table, send_signal, session_lives, session_of};
