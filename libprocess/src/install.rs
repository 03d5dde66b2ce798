//! What an actor takes from outside: messages by wire name, and HTTP routes.
//!
//! The table is made once for each type of actor and node. It knows how to turn bytes or a moved message
//! into an envelope for the queue, and which route serves a path.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::Method;
use tokio::sync::oneshot;

use crate::beside::{LARGE_REQUEST, RequestTurn};
use crate::context::Context;
use crate::envelope::{Deliver, Envelope, EventKind, QueuedEvent};
use crate::http::{Assets, Endpoint, Realm, Reply, Request, RouteHandler, Routes, route_path};
use crate::mailbox::{Mailbox, Weight};
use crate::node::WeakNode;
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

/// A message of a name that the actor passes on.
struct Delegated<M>(Packet<M>);

impl<P: Process, M: WireMessage> Deliver<P> for Delegated<M> {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>) {
        let Delegated(Packet { from, message, weight }) = *self;
        drop(weight);
        match ctx.mailbox().table().delegates.get(M::NAME).and_then(|to| to(process)) {
            Some(to) => ctx.node().post(&from, &to, message),
            None => tracing::debug!(%from, name = M::NAME, "dropping a message that is not passed on"),
        }
    }
    fn kind(&self) -> EventKind {
        EventKind::Message
    }
    fn describe(&self) -> QueuedEvent {
        QueuedEvent { kind: EventKind::Message, name: M::NAME.to_owned(), from: Some(self.0.from.clone()) }
    }
}

/// How one wire name becomes an envelope.
pub(crate) struct MessageEntry<P> {
    pub(crate) unpack: Unpack<P>,
    pub(crate) decode: Decode<P>,
}

impl<P: Process> MessageEntry<P> {
    fn handled<M: WireMessage>() -> MessageEntry<P>
    where
        P: Handle<M>,
    {
        MessageEntry { unpack: unpack::<P, M>, decode: decode::<P, M> }
    }

    fn delegated<M: WireMessage>() -> MessageEntry<P> {
        MessageEntry {
            unpack: |packet| packet.downcast().map(|packet| Box::new(Delegated::<M>(*packet)) as Envelope<P>),
            decode: |from, encoding, body, weight| {
                let message = M::decode(encoding, body)?;
                Ok(Box::new(Delegated(Packet { from, message, weight: Some(weight) })))
            },
        }
    }
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

/// What an actor does with one request.
type Once<P> = Box<dyn FnOnce(&mut P, Request, &mut Context<P>) -> Reply + Send>;

/// Makes of a request what the actor needs of it; the rest is done on the actor.
type Preparation<P> = Arc<dyn Fn(&Request) -> Once<P> + Send + Sync>;

struct Route<P: Process> {
    path: String,
    /// Empty: any method.
    methods: Vec<Method>,
    realm: Option<Realm>,
    help: &'static str,
    service: Service<P>,
}

/// What serves a route.
enum Service<P: Process> {
    Actor(Handler<P>),
    Prepared(Preparation<P>),
    Assets(Arc<Assets>),
}

impl<P: Process> Service<P> {
    /// For one actor of the type. `path` is the route's own.
    fn bind(&self, mailbox: &Arc<Mailbox<P>>, path: &str, node: &WeakNode) -> RouteHandler {
        match self {
            Service::Actor(handler) => bind(Arc::clone(mailbox), Arc::clone(handler)),
            Service::Prepared(prepare) => {
                bind_prepared(Arc::clone(mailbox), Arc::clone(prepare), node.clone())
            }
            Service::Assets(assets) => {
                let (assets, path) = (Arc::clone(assets), path.trim_end_matches('*'));
                let prefix = route_path(mailbox.pid().id(), path);
                Arc::new(move |request| {
                    let below = request.path.strip_prefix(&prefix).unwrap_or_default();
                    let answer = assets.answer(below, &request);
                    Box::pin(std::future::ready(Some(answer)))
                })
            }
        }
    }
}

struct HttpEvent<P: Process> {
    request: Request,
    handler: Once<P>,
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

/// Says to whom an actor passes a message on at the moment.
type DelegateOf<P> = Arc<dyn Fn(&P) -> Option<Pid> + Send + Sync>;

/// What a type of actor takes from outside.
pub(crate) struct Table<P: Process> {
    messages: BTreeMap<&'static str, MessageEntry<P>>,
    /// To whom the messages of a name are passed on that have no handler.
    delegates: BTreeMap<&'static str, DelegateOf<P>>,
    routes: Vec<Route<P>>,
}

impl<P: Process> Table<P> {
    /// Asks the type.
    pub(crate) fn of_type() -> Table<P> {
        let table = Table { messages: BTreeMap::new(), delegates: BTreeMap::new(), routes: Vec::new() };
        let mut install = Install { table };
        P::install(&mut install);
        install.table
    }

    pub(crate) fn message(&self, name: &str) -> Option<&MessageEntry<P>> {
        self.messages.get(name)
    }

    /// The routes of one actor of this type, each bound to the actor's queue.
    pub(crate) fn routes_of(&self, mailbox: &Arc<Mailbox<P>>, node: &WeakNode) -> Routes {
        let mut routes = Routes::new();
        for route in &self.routes {
            let handler = route.service.bind(mailbox, &route.path, node);
            let (methods, realm, help) = (route.methods.clone(), route.realm, route.help);
            routes.add(&route.path, Endpoint { methods, realm, help, handler });
        }
        routes
    }
}

/// Queues a request and waits for its answer; `None` if the actor ends before it answers. What a
/// [`Reply::Later`] still has to do happens in the caller's task, not on the actor.
fn bind<P: Process>(mailbox: Arc<Mailbox<P>>, handler: Handler<P>) -> RouteHandler {
    Arc::new(move |request| {
        let handler = Arc::clone(&handler);
        let once = move |actor: &mut P, request: Request, ctx: &mut Context<P>| handler(actor, request, ctx);
        let reply = queue(&mailbox, request, Box::new(once));
        Box::pin(async move { Some(reply.await.ok()?.wait().await) })
    })
}

/// As [`bind`], of a request that is made ready before it is queued, if it is large, and not on this thread, on which others
/// wait.
fn bind_prepared<P: Process>(
    mailbox: Arc<Mailbox<P>>,
    prepare: Preparation<P>,
    node: WeakNode,
) -> RouteHandler {
    Arc::new(move |request| {
        let (mailbox, prepare, bytes) = (Arc::clone(&mailbox), Arc::clone(&prepare), request.body.len());
        if bytes < LARGE_REQUEST {
            let once = move |actor: &mut P, request: Request, ctx: &mut Context<P>| {
                prepare(&request)(actor, request, ctx)
            };
            let reply = queue(&mailbox, request, Box::new(once));
            return Box::pin(async move { Some(reply.await.ok()?.wait().await) });
        }
        let node = node.clone();
        Box::pin(async move {
            let node = node.upgrade()?;
            let RequestTurn { reading, handling } = node.turns().of_request(bytes).await;
            // It is queued there, too, and what is made of it holds its turn: if who sent it goes away meanwhile, the actor has
            // it all the same, as if it were small, and those who come then do not gather beside it.
            let work = move || {
                let once = prepare(&request);
                drop(reading);
                let in_turn = move |actor: &mut P, request: Request, ctx: &mut Context<P>| {
                    let reply = once(actor, request, ctx);
                    drop(handling);
                    reply
                };
                queue(&mailbox, request, Box::new(in_turn))
            };
            let reply = node.blocking(work).await.await.ok()?;
            Some(reply.wait().await)
        })
    })
}

fn queue<P: Process>(mailbox: &Mailbox<P>, request: Request, handler: Once<P>) -> oneshot::Receiver<Reply> {
    let (reply, receiver) = oneshot::channel();
    mailbox.push(Box::new(HttpEvent { request, handler, reply }));
    receiver
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
        self.table.messages.insert(M::NAME, MessageEntry::handled::<M>());
    }

    /// Passes `M`, for which this actor has no handler, on to another actor, here or elsewhere, which sees it as its
    /// sender's. A message keeps its place in this actor's queue until it is its turn; then `to` says where it goes, or
    /// that it is dropped. Two actors that delegate to each other pass a message on for ever (upstream:
    /// `ProcessBase::delegate`).
    pub fn delegate<M: WireMessage>(&mut self, to: impl Fn(&P) -> Option<Pid> + Send + Sync + 'static) {
        // A handler comes first, also if it is declared later.
        self.table.messages.entry(M::NAME).or_insert_with(MessageEntry::delegated::<M>);
        self.table.delegates.insert(M::NAME, Arc::new(to));
    }

    /// A route that answers GET (and with it HEAD). `path` is relative to the actor id and starts with a slash; it also
    /// serves what lies below it and has no route of its own.
    pub fn get(
        &mut self,
        path: &str,
        help: &'static str,
        handler: impl Fn(&mut P, Request, &mut Context<P>) -> Reply + Send + Sync + 'static,
    ) -> Declared<'_> {
        self.route(&[Method::GET], path, help, handler)
    }

    /// A route that answers POST.
    pub fn post(
        &mut self,
        path: &str,
        help: &'static str,
        handler: impl Fn(&mut P, Request, &mut Context<P>) -> Reply + Send + Sync + 'static,
    ) -> Declared<'_> {
        self.route(&[Method::POST], path, help, handler)
    }

    /// A route for these methods; none means every method (the handler answers 405 itself). Several routes may
    /// share a path if their methods differ.
    pub fn route(
        &mut self,
        methods: &[Method],
        path: &str,
        help: &'static str,
        handler: impl Fn(&mut P, Request, &mut Context<P>) -> Reply + Send + Sync + 'static,
    ) -> Declared<'_> {
        let handler: Handler<P> = Arc::new(handler);
        self.add(&[path], methods, help, || Service::Actor(Arc::clone(&handler)))
    }

    /// A route for requests that may be large: `prepare` makes of one what the actor needs (it reads the body, say) without
    /// the actor. With a large one it does so on another thread (of no lower priority: a call must not wait for those who
    /// render), while the actor, and whoever waits for the thread of the connection, go on. The requests of one connection
    /// keep their order: the next is read when this one is answered.
    pub fn prepared<T: Send + 'static>(
        &mut self,
        methods: &[Method],
        path: &str,
        help: &'static str,
        prepare: impl Fn(&Request) -> T + Send + Sync + 'static,
        handler: impl Fn(&mut P, Request, T, &mut Context<P>) -> Reply + Send + Sync + 'static,
    ) -> Declared<'_> {
        let handler = Arc::new(handler);
        let preparation: Preparation<P> = Arc::new(move |request: &Request| -> Once<P> {
            let (ready, handler) = (prepare(request), Arc::clone(&handler));
            Box::new(move |actor: &mut P, request: Request, ctx: &mut Context<P>| {
                handler(actor, request, ready, ctx)
            })
        });
        self.add(&[path], methods, help, || Service::Prepared(Arc::clone(&preparation)))
    }

    /// Serves files that are part of the program at `path` and below it, to GET and HEAD. Those at `/` serve whatever
    /// no other route does. The actor is not asked for them.
    pub fn provide(&mut self, path: &str, help: &'static str, assets: Assets) -> Declared<'_> {
        let assets = Arc::new(assets);
        let paths: &[&str] = if path == "/" { &["/", "/*"] } else { &[path] };
        self.add(paths, &[Method::GET], help, || Service::Assets(Arc::clone(&assets)))
    }

    fn add(
        &mut self,
        paths: &[&str],
        methods: &[Method],
        help: &'static str,
        service: impl Fn() -> Service<P>,
    ) -> Declared<'_> {
        let first = self.table.routes.len();
        for path in paths {
            let (path, methods) = ((*path).to_owned(), methods.to_vec());
            self.table.routes.push(Route { path, methods, realm: None, help, service: service() });
        }
        Declared { realms: self.table.routes[first..].iter_mut().map(|route| &mut route.realm).collect() }
    }
}

/// A route that was just declared, and what else may be said of it.
#[derive(Debug)]
pub struct Declared<'a> {
    realms: Vec<&'a mut Option<Realm>>,
}

impl Declared<'_> {
    /// Who calls it must be known, if the node has an authenticator for the realm. Default: anybody may.
    pub fn realm(self, realm: Realm) {
        for of_route in self.realms {
            *of_route = Some(realm);
        }
    }
}
