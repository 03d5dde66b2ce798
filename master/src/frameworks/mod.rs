//! Frameworks from the master's side: their streams, what is sent there, and how they come and go.

pub(crate) mod events;
pub(crate) mod lifecycle;
pub(crate) mod recover;
pub(crate) mod remove;
pub(crate) mod stream;
