//! Status updates on their way to the framework: the stream of one task (pure), its log on disk, the journal that makes
//! the logs of all tasks durable together, and the actor that owns them all, with how it has them written.

pub mod journal;
pub mod log;
pub mod manager;
pub mod stream;
pub mod writing;
