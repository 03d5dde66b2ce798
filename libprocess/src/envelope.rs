//! What stands in an actor's queue: a message, a link that broke, the end.
//!
//! What came by name or over HTTP is in `install.rs`, what a timer brings in `timers.rs`.

use tokio::sync::oneshot;

use crate::context::Context;
use crate::pid::Pid;
use crate::process::{Handle, Message, Process};

/// What kind of event waits, under the names that `/__processes__` prints (upstream: `event.hpp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// A message that came by name.
    Message,
    /// An HTTP request.
    Http,
    /// A message of this node by type.
    Dispatch,
    /// A link that broke.
    Exited,
    /// The end.
    Terminate,
}

/// One waiting event, as `/__processes__` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueuedEvent {
    /// Its kind.
    pub(crate) kind: EventKind,
    /// The wire name, the Rust type, or method and path.
    pub(crate) name: String,
    /// Who sent it, where known.
    pub(crate) from: Option<Pid>,
}

/// Something an actor can be handed.
pub(crate) trait Deliver<P: Process>: Send {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>);
    /// Cheap: it is asked when the envelope goes into the queue and when it comes out.
    fn kind(&self) -> EventKind;
    fn describe(&self) -> QueuedEvent;
}

/// What stands in the queue: one box and nothing else.
pub(crate) type Envelope<P> = Box<dyn Deliver<P>>;

fn dispatch_event<M>(from: Option<&Pid>) -> QueuedEvent {
    QueuedEvent {
        kind: EventKind::Dispatch,
        name: std::any::type_name::<M>().to_owned(),
        from: from.cloned(),
    }
}

/// A message that nobody in particular sent, and that wants no answer.
pub(crate) struct Told<M>(pub(crate) M);

impl<P: Handle<M>, M: Message> Deliver<P> for Told<M> {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>) {
        drop(process.handle(self.0, Pid::nobody_ref(), ctx));
    }
    fn kind(&self) -> EventKind {
        EventKind::Dispatch
    }
    fn describe(&self) -> QueuedEvent {
        dispatch_event::<M>(None)
    }
}

/// A message with its sender.
pub(crate) struct Sent<M> {
    pub(crate) from: Pid,
    pub(crate) message: M,
}

impl<P: Handle<M>, M: Message> Deliver<P> for Sent<M> {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>) {
        let Sent { from, message } = *self;
        drop(process.handle(message, &from, ctx));
    }
    fn kind(&self) -> EventKind {
        EventKind::Dispatch
    }
    fn describe(&self) -> QueuedEvent {
        dispatch_event::<M>(Some(&self.from))
    }
}

/// A message that waits for its answer.
pub(crate) struct Asked<M: Message> {
    pub(crate) message: M,
    pub(crate) answer: oneshot::Sender<M::Answer>,
}

impl<P: Handle<M>, M: Message> Deliver<P> for Asked<M> {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>) {
        let Asked { message, answer } = *self;
        let _ = answer.send(process.handle(message, Pid::nobody_ref(), ctx));
    }
    fn kind(&self) -> EventKind {
        EventKind::Dispatch
    }
    fn describe(&self) -> QueuedEvent {
        dispatch_event::<M>(None)
    }
}

/// A link that broke.
pub(crate) struct LinkBroken(pub(crate) Pid);

impl<P: Process> Deliver<P> for LinkBroken {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>) {
        process.exited(&self.0, ctx);
    }
    fn kind(&self) -> EventKind {
        EventKind::Exited
    }
    fn describe(&self) -> QueuedEvent {
        QueuedEvent { kind: EventKind::Exited, name: self.0.to_string(), from: Some(self.0.clone()) }
    }
}

/// The end of the actor, behind what waits.
pub(crate) struct End;

impl<P: Process> Deliver<P> for End {
    fn deliver(self: Box<Self>, _: &mut P, ctx: &mut Context<P>) {
        ctx.terminate();
    }
    fn kind(&self) -> EventKind {
        EventKind::Terminate
    }
    fn describe(&self) -> QueuedEvent {
        QueuedEvent { kind: EventKind::Terminate, name: String::new(), from: None }
    }
}
