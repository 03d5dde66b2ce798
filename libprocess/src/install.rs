//! What an actor takes from outside: messages by wire name, and HTTP routes.
//!
//! The table is made once for each type of actor and node. It knows how to turn bytes or a moved message
//! into an envelope for the queue, and which route serves a path.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::Method;
use tokio::sync::oneshot;

use crate::context::Context;
use crate::http::{Endpoint, Reply, Request, RouteHandler, Routes};
use crate::mailbox::{Deliver, Envelope, EventKind, Mailbox, QueuedEvent, Weight};
use crate::pid::Pid;
use crate::process::{Handle, Process};
use crate::wire::{DecodeError, Encoding, WireMessage};

/// A message that came by name, moved or decoded.
pub(crate) struct Packet<M> {
    pub(crate) from: Pid,
    pub(crate) message: M,
    /// What it weighs in the queue, if it came from another node.
    pub(crate) weight: Option<Weight>,
}

impl<P: Handle<M>, M: WireMessage> Deliver<P> for Packet<M> {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>) {
        let Packet { from, message, weight } = *self;
        drop(weight);
        process.handle(message, &from, ctx);
    }
    fn kind(&self) -> EventKind {
        EventKind::Message
    }
    fn describe(&self) -> QueuedEvent {
        QueuedEvent { kind: EventKind::Message, name: M::NAME.to_owned(), from: Some(self.from.clone()) }
    }
}

/// Takes a moved message as it is; what is of another type comes back.
type Unpack<P> = fn(Box<dyn Any + Send>) -> Result<Envelope<P>, Box<dyn Any + Send>>;
/// Reads a message from its bytes.
type Decode<P> = fn(Pid, Encoding, &[u8], Weight) -> Result<Envelope<P>, DecodeError>;

/// How one wire name becomes an envelope.
pub(crate) struct MessageEntry<P> {
    pub(crate) unpack: Unpack<P>,
    pub(crate) decode: Decode<P>,
}

fn unpack<P: Handle<M>, M: WireMessage>(
    packet: Box<dyn Any + Send>,
) -> Result<Envelope<P>, Box<dyn Any + Send>> {
    packet.downcast::<Packet<M>>().map(|packet| packet as Envelope<P>)
}

fn decode<P: Handle<M>, M: WireMessage>(
    from: Pid,
    encoding: Encoding,
    body: &[u8],
    weight: Weight,
) -> Result<Envelope<P>, DecodeError> {
    let message = M::decode(encoding, body)?;
    Ok(Box::new(Packet { from, message, weight: Some(weight) }))
}

type Handler<P> = Arc<dyn Fn(&mut P, Request, &mut Context<P>) -> Reply + Send + Sync>;

struct Route<P: Process> {
    path: String,
    /// Empty: any method.
    methods: Vec<Method>,
    help: &'static str,
    handler: Handler<P>,
}

struct HttpEvent<P: Process> {
    request: Request,
    handler: Handler<P>,
    reply: oneshot::Sender<Reply>,
}

impl<P: Process> Deliver<P> for HttpEvent<P> {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>) {
        let HttpEvent { request, handler, reply } = *self;
        let _ = reply.send(handler(process, request, ctx));
    }
    fn kind(&self) -> EventKind {
        EventKind::Http
    }
    fn describe(&self) -> QueuedEvent {
        let name = format!("{} {}", self.request.method, self.request.path);
        QueuedEvent { kind: EventKind::Http, name, from: None }
    }
}

/// What a type of actor takes from outside.
pub(crate) struct Table<P: Process> {
    messages: BTreeMap<&'static str, MessageEntry<P>>,
    routes: Vec<Route<P>>,
}

impl<P: Process> Table<P> {
    /// Asks the type.
    pub(crate) fn of_type() -> Table<P> {
        let mut install = Install { table: Table { messages: BTreeMap::new(), routes: Vec::new() } };
        P::install(&mut install);
        install.table
    }

    pub(crate) fn message(&self, name: &str) -> Option<&MessageEntry<P>> {
        self.messages.get(name)
    }

    /// The routes of one actor of this type, each bound to the actor's queue.
    pub(crate) fn routes_of(&self, mailbox: &Arc<Mailbox<P>>) -> Routes {
        let mut routes = Routes::new();
        for route in &self.routes {
            let bound = bind(Arc::clone(mailbox), Arc::clone(&route.handler));
            routes.add(
                &route.path,
                Endpoint { methods: route.methods.clone(), help: route.help, handler: bound },
            );
        }
        routes
    }
}

/// Queues a request and waits for its answer; `None` if the actor ends before it answers. What a
/// [`Reply::Later`] still has to do happens in the caller's task, not on the actor.
fn bind<P: Process>(mailbox: Arc<Mailbox<P>>, handler: Handler<P>) -> RouteHandler {
    Arc::new(move |request| {
        let (reply, receiver) = oneshot::channel();
        mailbox.push(Box::new(HttpEvent { request, handler: Arc::clone(&handler), reply }));
        Box::pin(async move {
            match receiver.await.ok()? {
                Reply::Now(response) => Some(response),
                Reply::Later(response) => Some(response.await),
            }
        })
    })
}

/// Where [`Process::install`] declares what the actor takes.
pub struct Install<P: Process> {
    table: Table<P>,
}

impl<P: Process> Install<P> {
    /// Takes `M` from other actors by its wire name.
    pub fn message<M: WireMessage>(&mut self)
    where
        P: Handle<M>,
    {
        self.table.messages.insert(M::NAME, MessageEntry { unpack: unpack::<P, M>, decode: decode::<P, M> });
    }

    /// A route that answers GET (and with it HEAD). `path` is relative to the actor id and starts with a slash; it also
    /// serves what lies below it and has no route of its own.
    pub fn get(
        &mut self,
        path: &str,
        help: &'static str,
        handler: impl Fn(&mut P, Request, &mut Context<P>) -> Reply + Send + Sync + 'static,
    ) {
        self.route(&[Method::GET], path, help, handler);
    }

    /// A route that answers POST.
    pub fn post(
        &mut self,
        path: &str,
        help: &'static str,
        handler: impl Fn(&mut P, Request, &mut Context<P>) -> Reply + Send + Sync + 'static,
    ) {
        self.route(&[Method::POST], path, help, handler);
    }

    /// A route for these methods; none means every method (the handler answers 405 itself). Several routes may
    /// share a path if their methods differ.
    pub fn route(
        &mut self,
        methods: &[Method],
        path: &str,
        help: &'static str,
        handler: impl Fn(&mut P, Request, &mut Context<P>) -> Reply + Send + Sync + 'static,
    ) {
        let (path, methods) = (path.to_owned(), methods.to_vec());
        self.table.routes.push(Route { path, methods, help, handler: Arc::new(handler) });
    }
}
