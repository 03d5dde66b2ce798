//! Frameworks from the master's side: their schedulers, what is sent there, and how they come and go.
//!
//! | file | what is there |
//! |---|---|
//! | `scheduler` | a framework's scheduler, whichever way it is connected; what is sent to it |
//! | `stream` | the one way: the stream of events of the HTTP API (the other is `crate::driver`) |
//! | `events` | the events, each made of what it says |
//! | `lifecycle` | the scheduler goes away, and may come back in time |
//! | `recover` | a framework that this master knows only from agents, or from its own subscription |
//! | `remove` | a framework is over |
//!
//! How a scheduler subscribes is in `crate::calls::subscribe`.

pub(crate) mod events;
pub(crate) mod lifecycle;
pub(crate) mod recover;
pub(crate) mod remove;
pub(crate) mod scheduler;
pub(crate) mod stream;
