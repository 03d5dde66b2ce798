//! Status updates on their way to the framework.
//!
//! | file | what is there |
//! |---|---|
//! | [`stream`] | the updates of one task: what is new, what is next, when to try again; pure |
//! | [`manager`] | the actor that owns the streams of all tasks |
//! | [`log`] | the log of one task on disk, in upstream's form |
//! | [`journal`] | what makes the logs of all tasks durable together |
//! | [`writing`] | how the actor has its records written |

pub mod journal;
pub mod log;
pub mod manager;
pub mod stream;
pub mod writing;
