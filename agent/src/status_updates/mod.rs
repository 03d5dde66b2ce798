//! Status updates on their way to the framework: the stream of one task (pure), its log on disk, and
//! the actor that owns them all.

pub mod log;
pub mod manager;
pub mod stream;
