//! What survives a restart of the agent: where it is kept, how it is written, how it is read back.
//!
//! | file | what is there |
//! |---|---|
//! | [`paths`] | where everything is; pure |
//! | [`checkpoint`] | how a file is written so that it is there as a whole, and read back |
//! | [`state`] | all that was kept, read back |
//! | [`compatible`] | whether the agent is still the one that kept it; pure |
//! | [`recover`] | the steps from the start of an agent to its search for a master |
//!
//! docs/recovery.md tells it as a whole. Status updates have files of their own: [`crate::status_updates`].

pub mod checkpoint;
pub mod compatible;
pub mod paths;
pub mod recover;
pub mod state;
