//! Frameworks from the master's side: their schedulers, what is sent there, and how they come and go.

pub(crate) mod events;
pub(crate) mod lifecycle;
pub(crate) mod recover;
pub(crate) mod remove;
pub(crate) mod scheduler;
pub(crate) mod stream;
