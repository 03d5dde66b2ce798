//! The actors that every node has: they show the node to its operator.
//!
//! | actor | serves |
//! |---|---|
//! | `__processes__` (`processes.rs`) | all actors and what waits in their queues |
//! | `help` (`help.rs`) | all routes of all actors with their help texts |
//! | `metrics` (`metrics.rs`) | what the node counts and measures |
//! | `version` (`version.rs`) | what was built, and when |
//! | `logging` (`logging.rs`) | more logging for a while |
//! | `system` (`stats.rs`) | load, processors and memory of the host |
//! | `profiler` (`profiler.rs`) | where CPU time is spent; with the cargo feature `profiler` |
//! | `memory-profiler` (`memory.rs`) | what the allocator has given out; with the cargo feature `allocation-stats` |
//!
//! They own nothing of the node's and know no other actor.

mod help;
mod logging;
#[cfg(feature = "allocation-stats")]
mod memory;
mod metrics;
mod processes;
#[cfg(feature = "profiler")]
mod profiler;
mod stats;
mod version;

pub use logging::{GetLevel, LevelError, LogControl, Logging, SetLevel};
pub(crate) use metrics::SnapshotRate;
pub use metrics::{METRICS_PATIENCE, show_metrics};

use crate::node::Node;

/// Starts them.
pub(crate) fn start(node: &Node) {
    node.spawn(processes::Processes);
    node.spawn(help::Help);
    node.spawn(metrics::MetricsEndpoint::new(node.settings().snapshot_rate));
    node.spawn(version::Version);
    node.logging();
    node.spawn(stats::System);
    #[cfg(feature = "profiler")]
    node.spawn(profiler::Profiler::default());
    #[cfg(feature = "allocation-stats")]
    node.spawn(memory::Memory);
}
