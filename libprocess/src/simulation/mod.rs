//! A cluster on one thread.
mod disk;
pub use disk::{Lost, Mount, SimulatedDisk};
