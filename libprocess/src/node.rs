//! A node: the value that holds actors together. It gives them addresses, threads, time, chance and a way out.
//!
//! Several nodes may live in one process; each has its own port, registry and clock. The node owns the table of pids
//! and the links; it owns no state of any actor.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::address::{Address, ended};
use crate::arbiters::Arbiters;
use crate::beside::Turns;
use crate::budget::Budget;
use crate::builder::NodeBuilder;
use crate::cell::{Cell, panic_text};
use crate::disk::Disk;
use crate::envelope::QueuedEvent;
use crate::hasher::FixedState;
use crate::http::{Client, Routes};
use crate::install::{Packet, Table};
use crate::latch::Latch;
use crate::links::Links;
use crate::mailbox::{AnyMailbox, Mailbox, Moved, Waiting};
use crate::metrics::Metrics;
use crate::pid::Pid;
use crate::process::{Exit, Place, Process};
use crate::random::Random;
use crate::simulation::Site;
use crate::system::Logging;
use crate::tls::Tls;
use crate::transport::order::Orders;
use crate::transport::{Delivery, Outgoing, Transport};
use crate::wire::{Encoding, WireMessage};

/// How long [`Node::shutdown`] waits for actors to end by themselves before it kills them.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// A node. Cheap to clone; clones are the same node.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

/// A node that may be gone: for what lives as long as sockets do.
#[derive(Clone)]
pub struct WeakNode(Weak<Inner>);

impl WeakNode {
    /// The node, if it still exists.
    pub fn upgrade(&self) -> Option<Node> {
        self.0.upgrade().map(Node)
    }
}

/// One registered actor.
struct Registered {
    mailbox: Arc<dyn AnyMailbox>,
    routes: Arc<Routes>,
}

pub(crate) struct Inner {
    pub(crate) address: SocketAddr,
    pub(crate) settings: Settings,
    pub(crate) arbiters: Arbiters,
    pub(crate) random: Random,
    /// Wall time when `started` was, if it is not the machine's.
    pub(crate) epoch: Option<SystemTime>,
    pub(crate) started: Instant,
    pub(crate) transport: Option<Arc<Transport>>,
    pub(crate) disk: Arc<dyn Disk>,
    /// Open once the node shuts down.
    pub(crate) stopping: Arc<Latch>,
    pub(crate) metrics: Metrics,
    pub(crate) client: Client,
    /// What bodies of requests, and messages, may hold.
    pub(crate) requests: Arc<Budget>,
    /// What bodies of answers may hold.
    pub(crate) answers: Arc<Budget>,
    /// Which connections of others are their latest.
    pub(crate) orders: Arc<Orders>,
    turns: Turns,
    state: State,
}

/// What [`NodeBuilder`] was told, as far as it is needed later.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) delegate: Option<String>,
    pub(crate) version: serde_json::Value,
    pub(crate) firewall: Vec<String>,
    pub(crate) schema: Option<String>,
    pub(crate) log_control: Option<crate::system::LogControl>,
    pub(crate) tls: Option<Tls>,
    /// Its place on a simulated network.
    pub(crate) site: Option<Site>,
    pub(crate) access: crate::http::access::Access,
    pub(crate) snapshot_rate: crate::system::SnapshotRate,
    pub(crate) limits: crate::limits::Limits,
    /// Whether a message must come from where its sender lives.
    pub(crate) require_peer_match: bool,
}

#[derive(Default)]
struct State {
    registry: DashMap<Arc<str>, Registered, FixedState>,
    /// What each type of actor takes, made once.
    tables: DashMap<TypeId, Arc<dyn Any + Send + Sync>, FixedState>,
    /// The last number given out for each name.
    numbers: Mutex<BTreeMap<String, u64>>,
    links: Mutex<Links>,
    logging: OnceLock<Address<Logging>>,
}

/// The parts of a node, as the builder puts them together.
pub(crate) struct Parts {
    pub(crate) address: SocketAddr,
    pub(crate) settings: Settings,
    pub(crate) arbiters: Arbiters,
    pub(crate) random: Random,
    pub(crate) epoch: Option<SystemTime>,
    pub(crate) transport: Option<Arc<Transport>>,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Node {
    /// Settings of a node to be.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    pub(crate) fn assemble(parts: Parts) -> Node {
        let Parts { address, settings, arbiters, random, epoch, transport, disk } = parts;
        let client = Client::of_node(settings.tls.clone(), settings.site.clone());
        let requests = Arc::new(Budget::new(settings.limits.requests));
        let answers = Arc::new(Budget::new(settings.limits.answers));
        Node(Arc::new(Inner {
            address,
            settings,
            arbiters,
            random,
            epoch,
            started: Instant::now(),
            transport,
            disk,
            stopping: Arc::default(),
            metrics: Metrics::new(),
            client,
            requests,
            orders: Arc::default(),
            answers,
            turns: Turns::default(),
            state: State::default(),
        }))
    }

    /// A reference that does not keep the node.
    pub fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.0))
    }

    /// The address that this node advertises: what its pids carry.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The pid of an actor of this node, whether it lives or not.
    pub fn pid(&self, id: &str) -> Pid {
        Pid::new(id, self.0.address)
    }

    /// Wall time: what the machine's clock says now, which may have been set meanwhile, also back. In a test and in a
    /// simulation it goes with [`Node::elapsed`].
    #[allow(clippy::disallowed_methods, reason = "this is what others ask")]
    pub fn now(&self) -> SystemTime {
        self.0.epoch.map_or_else(SystemTime::now, |epoch| epoch + self.elapsed())
    }

    /// Time since the node started. Monotonic; a test's paused clock moves it.
    pub fn elapsed(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// The node's source of chance.
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// The disk for what must survive.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.0.disk
    }

    /// The HTTP client.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// What this node counts and measures.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The actor that says and changes how much is logged. It is started when it is first needed: offline nodes have
    /// no actors of their own.
    pub fn logging(&self) -> &Address<Logging> {
        let control = || self.settings().log_control.clone();
        self.0.state.logging.get_or_init(|| self.spawn(Logging::new(control())))
    }

    /// How URLs of this node begin, and of those that it works with: `http` or, with TLS, `https`.
    pub fn scheme(&self) -> &'static str {
        if self.0.settings.tls.is_some() { "https" } else { "http" }
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.0.settings.tls.as_ref()
    }

    /// Which connections of others are their latest.
    pub(crate) fn orders(&self) -> &Arc<Orders> {
        &self.0.orders
    }

    /// The budget of what is being read.
    pub(crate) fn requests(&self) -> &Arc<Budget> {
        &self.0.requests
    }

    /// The budget of what waits to be read by others.
    pub(crate) fn answers(&self) -> &Arc<Budget> {
        &self.0.answers
    }

    /// Whose turn it is to read what is large.
    pub(crate) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Whether everything runs on one thread.
    pub(crate) fn is_single(&self) -> bool {
        self.0.arbiters.is_single()
    }

    /// Starts an actor under its name. If the id is taken, the new actor is dropped, an error is logged, and the
    /// address is that of an actor that was killed.
    pub fn spawn<P: Process>(&self, process: P) -> Address<P> {
        self.spawn_as(P::NAME, process)
    }

    /// Starts an actor as `NAME(1)`, `NAME(2)`, ...
    pub fn spawn_numbered<P: Process>(&self, process: P) -> Address<P> {
        let id = self.next_id(P::NAME);
        self.spawn_as(&id, process)
    }

    /// The next id for a name: `name(1)`, `name(2)`, ... (upstream: `ID::generate`).
    pub(crate) fn next_id(&self, name: &str) -> String {
        let mut numbers = self.0.state.numbers.lock();
        let last = numbers.entry(name.to_owned()).or_default();
        *last += 1;
        format!("{name}({last})")
    }

    /// Starts an actor under this id.
    pub fn spawn_as<P: Process>(&self, id: &str, process: P) -> Address<P> {
        self.spawn_at(P::PLACE, id, process)
    }

    /// Starts an actor under this id on another thread than its type asks for.
    pub fn spawn_at<P: Process>(&self, place: Place, id: &str, process: P) -> Address<P> {
        let table = self.table::<P>();
        let mailbox = Arc::new(Mailbox::new(self.pid(id), Arc::clone(&table)));
        let routes = Arc::new(table.routes_of(&mailbox, &self.downgrade()));
        let address = Address::new(Arc::clone(&mailbox));
        let any: Arc<dyn AnyMailbox> = mailbox.clone();
        match self.0.state.registry.entry(Arc::clone(mailbox.pid().shared_id())) {
            Entry::Occupied(_) => {
                tracing::error!(actor = %mailbox.pid(), "cannot spawn: the id is taken");
                mailbox.close();
                mailbox.publish(Exit::Killed);
                return address;
            }
            Entry::Vacant(vacant) => vacant.insert(Registered { mailbox: any, routes }),
        };
        let node = self.clone();
        let started = self.0.arbiters.start(place, move || Cell::start_here(process, node, mailbox));
        if !started {
            tracing::error!(actor = %address.pid(), "cannot spawn: its thread has ended");
            self.actor_ended(address.pid());
            address.abandon();
        }
        address
    }

    fn table<P: Process>(&self) -> Arc<Table<P>> {
        let tables = &self.0.state.tables;
        let known = tables.get(&TypeId::of::<P>()).map(|table| Arc::clone(table.value()));
        let table = known.unwrap_or_else(|| {
            let made: Arc<dyn Any + Send + Sync> = Arc::new(Table::<P>::of_type());
            Arc::clone(tables.entry(TypeId::of::<P>()).or_insert(made).value())
        });
        table.downcast().expect("the table of a type is stored under its TypeId")
    }

    /// Sends a message: moved if the receiver lives here, encoded if it does not.
    pub fn post<M: WireMessage>(&self, from: &Pid, to: &Pid, message: M) {
        if !self.is_local(to) {
            match &self.0.transport {
                Some(transport) => {
                    let encode = |encoding| message.encode(encoding);
                    transport.send(Outgoing { from, to, name: M::NAME, encode: &encode });
                }
                None => tracing::debug!(%to, name = M::NAME, "dropping a message: this node is offline"),
            }
            return;
        }
        let Some(mailbox) = self.find(to.id()) else {
            tracing::debug!(%to, name = M::NAME, "dropping a message: no such actor");
            return;
        };
        match mailbox.move_in(M::NAME, Box::new(Packet { from: from.clone(), message, weight: None })) {
            Moved::Yes => {}
            Moved::UnknownName => {
                tracing::debug!(%to, %from, name = M::NAME, "dropping a message that has no handler");
            }
            Moved::OtherType(packet) => {
                let Ok(packet) = packet.downcast::<Packet<M>>() else { return };
                let body = packet.message.encode(Encoding::Protobuf);
                mailbox.decode_in(packet.from, M::NAME, Encoding::Protobuf, &body);
            }
        }
    }

    /// Whether a pid is of this node.
    pub(crate) fn is_local(&self, pid: &Pid) -> bool {
        pid.address() == self.0.address
    }

    /// Whether a message that came from there may say that `from` sent it.
    pub(crate) fn believes(&self, from: &Pid, peer: SocketAddr) -> bool {
        let same = from.address().ip().to_canonical() == peer.ip().to_canonical();
        same || !self.0.settings.require_peer_match
    }

    /// Takes a message from outside, as the transport does, and the HTTP server when an ordinary client posts one.
    pub fn deliver(&self, id: &str, name: &str, from: Pid, encoding: Encoding, body: &[u8]) -> Delivery {
        match self.find(id) {
            Some(mailbox) => mailbox.decode_in(from, name, encoding, body),
            None => Delivery::NoActor,
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<dyn AnyMailbox>> {
        self.0.state.registry.get(id).map(|found| Arc::clone(&found.mailbox))
    }

    /// Whether an actor lives under this id.
    pub fn is_alive(&self, id: &str) -> bool {
        self.0.state.registry.contains_key(id)
    }

    /// What waits in an actor's queue; nothing if there is no such actor.
    pub(crate) fn waiting(&self, id: &str) -> Waiting {
        self.find(id).map_or_else(Waiting::default, |mailbox| mailbox.waiting())
    }

    /// The ids of all living actors, sorted.
    pub fn ids(&self) -> Vec<Arc<str>> {
        let mut ids: Vec<Arc<str>> =
            self.0.state.registry.iter().map(|entry| Arc::clone(entry.key())).collect();
        ids.sort();
        ids
    }

    /// How many actors live.
    pub(crate) fn population(&self) -> usize {
        self.0.state.registry.len()
    }

    /// The ids of all living actors that have routes, sorted, and these. Among very many actors they are few.
    pub(crate) fn serving(&self) -> Vec<(Arc<str>, Arc<Routes>)> {
        let serving = self.0.state.registry.iter().filter(|entry| !entry.routes.is_empty());
        let mut serving: Vec<_> =
            serving.map(|entry| (Arc::clone(entry.key()), Arc::clone(&entry.routes))).collect();
        serving.sort_by(|(one, _), (other, _)| one.cmp(other));
        serving
    }

    /// Asks an actor to end behind its queue, by id.
    pub fn terminate(&self, id: &str) {
        if let Some(mailbox) = self.find(id) {
            mailbox.terminate();
        }
    }

    /// Ends an actor before anything that waits in its queue, by id.
    pub fn kill(&self, id: &str) {
        if let Some(mailbox) = self.find(id) {
            mailbox.kill_now();
        }
    }

    /// The routes of an actor; `None` if no actor has this id.
    pub(crate) fn routes(&self, id: &str) -> Option<Arc<Routes>> {
        self.0.state.registry.get(id).map(|found| Arc::clone(&found.routes))
    }

    /// The first of what waits in an actor's queue, and how much waits there in all.
    pub(crate) fn events(&self, id: &str, most: usize) -> Option<(Vec<QueuedEvent>, usize)> {
        self.find(id).map(|mailbox| mailbox.events(most))
    }

    pub(crate) fn link(&self, watcher: &Pid, target: &Pid, reconnect: bool) {
        let remote = !self.is_local(target);
        self.0.state.links.lock().link(watcher, target, remote);
        if remote {
            match &self.0.transport {
                Some(transport) => transport.link(target.address(), reconnect),
                None => self.connection_closed(target.address()),
            }
        } else if !self.is_alive(target.id()) && self.0.state.links.lock().unlink(watcher, target) {
            self.break_link(watcher, target);
        }
    }

    pub(crate) fn unlink(&self, watcher: &Pid, target: &Pid) {
        self.0.state.links.lock().unlink(watcher, target);
    }

    /// Whether an actor here watches one of that node. The transport keeps such a connection open.
    pub(crate) fn watches(&self, address: SocketAddr) -> bool {
        self.0.state.links.lock().watches(address)
    }

    /// The connection to that node closed, or could not be opened. Breaks all links to it.
    pub(crate) fn connection_closed(&self, address: SocketAddr) {
        let broken = self.0.state.links.lock().closed(address);
        for (watcher, target) in broken {
            self.break_link(&watcher, &target);
        }
    }

    /// Ends the connection to another node; what it has not received is dropped.
    pub(crate) fn disconnect(&self, address: SocketAddr) {
        if let Some(transport) = &self.0.transport {
            transport.disconnect(address);
        }
        self.connection_closed(address);
    }

    fn break_link(&self, watcher: &Pid, target: &Pid) {
        if let Some(mailbox) = self.find(watcher.id()) {
            mailbox.link_broken(target.clone());
        }
    }

    /// An actor ended: it has no address any more, and its watchers are told.
    pub(crate) fn actor_ended(&self, pid: &Pid) {
        self.0.state.registry.remove(pid.id());
        let watchers = self.0.state.links.lock().ended(pid);
        for watcher in watchers {
            self.break_link(&watcher, pid);
        }
    }

    /// Runs a future until it ends or the node shuts down: on the current runtime, or else on the control plane's. A
    /// panic in it is logged.
    pub fn spawn_task(&self, future: impl Future<Output = ()> + Send + 'static) {
        let future = self.until_stopped(future);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(future)),
            Err(_) => drop(self.0.arbiters.spawn(Place::Control, future)),
        }
    }

    /// Runs a future on the thread of a place to its end, also while the node shuts down. False if the thread has ended.
    pub(crate) fn run_at(&self, place: Place, future: impl Future<Output = ()> + Send + 'static) -> bool {
        self.0.arbiters.spawn(place, future)
    }

    /// Runs `start` on the thread of a place: for what is not `Send`.
    pub(crate) fn start_at(&self, place: Place, start: impl FnOnce() + Send + 'static) {
        self.0.arbiters.start(place, start);
    }

    fn until_stopped<F: Future<Output = ()>>(&self, future: F) -> impl Future<Output = ()> + use<F> {
        let stopped = self.stopped();
        async move {
            tokio::select! {
                biased;
                () = stopped => {}
                ended = AssertUnwindSafe(future).catch_unwind() => if let Err(panic) = ended {
                    tracing::error!(panic = %panic_text(&*panic), "a task panicked");
                }
            }
        }
    }

    /// Ends when the node begins to shut down, or is gone.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.0.stopping.opened()
    }

    /// Ends everything: tasks, actors (in the order of their ids, each behind its queue; killed after 5 s),
    /// connections, threads. Not to be called from an actor of this node or a task of [`Node::spawn_task`], which end
    /// with it.
    pub async fn shutdown(&self) {
        self.0.stopping.open();
        let mailboxes: Vec<_> = self.ids().iter().filter_map(|id| self.find(id)).collect();
        for mailbox in &mailboxes {
            mailbox.terminate();
        }
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        for mailbox in mailboxes {
            if tokio::time::timeout_at(deadline, ended(mailbox.any_exit())).await.is_err() {
                tracing::warn!(actor = %mailbox.any_pid(), "killing an actor that did not end");
                mailbox.kill_now();
            }
        }
        if let Some(transport) = &self.0.transport {
            transport.shutdown().await;
        }
        let threads = self.0.arbiters.stop();
        if !threads.is_empty() {
            self.blocking(move || threads.into_iter().for_each(|thread| drop(thread.join()))).await;
        }
    }

    /// Ends everything at once, as a process that is killed: no actor handles anything more, nothing is waited for.
    /// What its actors still do while they are dropped must be kept from mattering by whoever calls this
    /// ([`crate::simulation::Network::crash`]).
    pub(crate) async fn die(&self) {
        loop {
            let mailboxes = self.kill_all();
            if mailboxes.is_empty() {
                break;
            }
            for mailbox in mailboxes {
                ended(mailbox.any_exit()).await;
            }
        }
    }

    /// As [`Node::die`], without waiting: also an actor of the node itself may call it, whose last handler it is in then.
    pub(crate) fn kill_all(&self) -> Vec<Arc<dyn AnyMailbox>> {
        self.0.stopping.open();
        let mailboxes: Vec<_> = self.ids().iter().filter_map(|id| self.find(id)).collect();
        mailboxes.iter().for_each(|mailbox| mailbox.kill_now());
        mailboxes
    }

    /// Whether the node does nothing for a while, in a simulation; then the task is woken when it goes on.
    pub(crate) fn is_frozen(&self, task: &std::task::Context<'_>) -> bool {
        self.0.settings.site.as_ref().is_some_and(|site| site.is_frozen(task))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stopping.open();
    }
}

impl fmt::Debug for WeakNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakNode")
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.0.address)
    }
}
