//! What survives a restart of the agent: where it is kept, how it is written, how it is read back.

pub mod checkpoint;
pub mod compatible;
pub mod paths;
pub mod recover;
pub mod state;
