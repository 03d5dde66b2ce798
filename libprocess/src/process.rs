//! What an actor is: [`Process`], its messages and handlers, and how it ends ([`Exit`]).
//!
//! Promised to each: `started` comes first and `stopping` last; in between, handlers, exits of linked pids and deferred
//! continuations are called one at a time, on one thread; what stands in the queue, in its order. A panic in any of them
//! ends this actor and no other.

use crate::context::Context;
use crate::install::Install;
use crate::pid::Pid;

/// Which arbiter (thread) an actor runs on. A node that is offline or inside [`crate::testing::run`]
/// keeps all of them on the current thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The thread of the System: the control plane.
    Control,
    /// The thread of connections and HTTP answers.
    Http,
    /// A thread with this name, shared by the node's actors that ask for the same name.
    Own(&'static str),
}

/// An actor: state that one handler at a time may touch.
///
/// A panic in any of its functions ends it with [`Exit::Panicked`]; linked actors are told.
pub trait Process: Sized + Send + 'static {
    /// The id under which [`crate::Node::spawn`] registers it; [`crate::Node::spawn_numbered`] appends `(1)`, `(2)`, ...
    const NAME: &'static str;

    /// Where it runs.
    const PLACE: Place = Place::Control;

    /// Declares remote messages and HTTP routes. Called once per type and node.
    fn install(_: &mut Install<Self>) {}

    /// Called first, on the actor's thread, before any message.
    fn started(&mut self, _: &mut Context<Self>) {}

    /// Called last, whatever ended the actor; after a panic the state may be half changed.
    fn stopping(&mut self, _: &Exit, _: &mut Context<Self>) {}

    /// A linked pid ended (local), or the persistent connection to its node closed (remote): the remote
    /// actor may still be alive then. See [`Context::link`] for what is promised.
    fn exited(&mut self, _: &Pid, _: &mut Context<Self>) {}
}

/// A message: one type, one handler for each actor that takes it.
pub trait Message: Send + 'static {
    /// What the handler answers.
    type Answer: Send + 'static;
}

/// The handler of a message.
pub trait Handle<M: Message>: Process {
    /// Handles one message. `from` is [`Pid::nobody`] if no actor sent it.
    fn handle(&mut self, message: M, from: &Pid, ctx: &mut Context<Self>) -> M::Answer;
}

/// How an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By [`crate::Address::terminate`], after what was sent before; or by [`Context::terminate`], after the handler that
    /// called it: what waited was dropped.
    Terminated,
    /// By [`crate::Address::kill`], or because its node or thread ended: what waited was dropped.
    Killed,
    /// A handler panicked with this text.
    Panicked(String),
    /// By [`Context::fail`]: the actor cannot go on, for this reason.
    Failed(String),
}

/// The actor has ended, or ended before it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the actor has ended")]
pub struct Gone;

/// Implements [`Message`] for types: `messages! { Tick; GetState => Arc<State>; }`.
/// Without an arrow the answer is `()`.
#[macro_export]
macro_rules! messages {
    () => {};
    ($message:ty => $answer:ty; $($rest:tt)*) => {
        impl $crate::Message for $message { type Answer = $answer; }
        $crate::messages! { $($rest)* }
    };
    ($message:ty; $($rest:tt)*) => {
        impl $crate::Message for $message { type Answer = (); }
        $crate::messages! { $($rest)* }
    };
}
