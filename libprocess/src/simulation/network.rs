//! The network between the nodes of a simulation, and what can go wrong with it.
//!
//! One task moves everything that is under way: it sleeps until the next parcel is due, hands it over, and sleeps
//! again; the clock jumps, since nothing else is left to do. Between two such moments all actors have done what they
//! could, so that whoever [watches](Network::drive) sees a cluster at rest.
//!
//! What is simulated is TCP, below everything else: messages, HTTP requests and streams take the same way through the
//! same code as on a real network. What is written arrives in order, late, or from some point on not at all, and never
//! twice. Where the way is cut it waits; after a while the sender gives the connection up. A process that ends has its
//! connections closed by the kernel; a host that loses power says nothing, and its peers find out when they send (if it
//! is there again) or by keep-alive. What was under way when a connection broke arrives up to some byte, perhaps after
//! what a new connection brought.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::io::ReadBuf;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pipe::{End, Over, Parcel, Pipe, PipeId, Side, WINDOW};
use super::socket::{Freezer, Site};
use super::state::{Present, State, Step};
use super::trace::{Trace, What, mix};
use super::weather::Weather;
use crate::builder::NodeBuilder;
use crate::node::{Node, WeakNode};

/// The wall clock at the start of a simulation: 2020-09-13 12:26:40 UTC.
const EPOCH: Duration = Duration::from_secs(1_600_000_000);

/// A network of simulated nodes. Clones are the same network.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something is due earlier than the task thinks.
    wake: Notify,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// By itself: the kernel closes its connections.
    Process,
    /// With its host: nobody is told.
    Host,
}

/// What happened to connections and what they carried, by name.
pub type Counts = BTreeMap<&'static str, u64>;

impl Network {
    /// A network without nodes. Delays and losses are drawn from the seed. Its trace is kept line by line if `traced`
    /// says so, else only counted and digested. Call it inside of [`super::run`].
    pub fn new(seed: u64, weather: Weather, traced: bool) -> Network {
        let state = State {
            random: SmallRng::seed_from_u64(seed),
            seed,
            weather,
            started: Instant::now(),
            steps: BinaryHeap::new(),
            sequence: 0,
            armed: None,
            pipes: BTreeMap::new(),
            next_pipe: 1,
            nodes: BTreeMap::new(),
            dying: BTreeMap::new(),
            lives: BTreeMap::new(),
            hosts_down: BTreeSet::new(),
            cuts: BTreeSet::new(),
            fragile: BTreeMap::new(),
            wakers: Vec::new(),
            trace: Trace::new(traced),
            counts: Counts::new(),
        };
        Network { shared: Arc::new(Shared { state: Mutex::new(state), wake: Notify::new() }) }
    }

    /// Moves what is under way, until the simulation ends. `watch` is called whenever the clock has advanced to what
    /// is due next, before it happens: everything that could be done before has been done then.
    pub fn drive(&self, mut watch: impl FnMut() -> LocalBoxFuture<'static, ()> + 'static) {
        let network = self.clone();
        actix_rt::spawn(async move {
            loop {
                let Some(due) = network.arm() else {
                    network.shared.wake.notified().await;
                    continue;
                };
                if due > Instant::now() {
                    tokio::select! {
                        biased;
                        () = network.shared.wake.notified() => continue,
                        () = tokio::time::sleep_until(due) => {}
                    }
                    watch().await;
                }
                network.step();
            }
        });
    }

    /// The settings of a node at `address`, called `name` in the trace.
    pub fn node(&self, address: SocketAddr, name: &str) -> NodeBuilder {
        self.place(Node::builder(), address, name)
    }

    /// Puts a node that has other settings at `address`. Each life of a node draws other chances.
    pub fn place(&self, builder: NodeBuilder, address: SocketAddr, name: &str) -> NodeBuilder {
        let (life, seed) = self.with(|state| {
            state.trace.name(address, name);
            let life = state.lives.entry(address).or_default();
            *life += 1;
            let life = *life;
            (life, mix(&[state.seed, u64::from(address.port()), host_number(address.ip()), life]))
        });
        let freezer = Arc::default();
        builder.seed(seed).epoch(self.now()).site(Site { network: self.clone(), address, life, freezer })
    }

    /// Wall time.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + self.elapsed()
    }

    /// Time since the network was made.
    pub fn elapsed(&self) -> Duration {
        self.with(|state| state.started.elapsed())
    }

    /// Ends a process at once: its actors handle nothing more, and nothing of what they still send leaves. Not to be
    /// called from the node itself. False if nothing runs there.
    pub async fn crash(&self, address: SocketAddr, how: Crash) -> bool {
        let killed = self.kill(address, how);
        let node = self.with(|state| state.dying.remove(&address));
        if let Some(node) = node.and_then(|node| node.upgrade()) {
            node.die().await;
        }
        killed
    }

    /// As [`Network::crash`], but for who is called by the node itself: an actor's handler that works runs to its end,
    /// nothing of what it sends leaves, and it is the last. [`Network::crash`] waits for that.
    pub fn kill(&self, address: SocketAddr, how: Crash) -> bool {
        let node = self.with(|state| {
            let present = state.nodes.remove(&address)?;
            state.process_ended(address, present.life, how);
            state.dying.insert(address, present.node.clone());
            Some((present.node, present.freezer))
        });
        let Some((node, freezer)) = node else { return false };
        if let Some(node) = node.upgrade() {
            drop(node.kill_all());
        }
        // Also frozen actors end.
        freezer.thaw();
        true
    }

    /// Nothing that a process is sent reaches its actors, and none of their timers fires, until it thaws: as one that was
    /// stopped (SIGSTOP), or waits for memory. Its kernel works on. False if nothing runs there.
    pub fn freeze(&self, address: SocketAddr) -> bool {
        let freezer = self.freezer(address);
        freezer.inspect(|freezer| freezer.freeze()).is_some()
    }

    /// A process goes on where it was.
    pub fn thaw(&self, address: SocketAddr) {
        if let Some(freezer) = self.freezer(address) {
            freezer.thaw();
        }
    }

    fn freezer(&self, address: SocketAddr) -> Option<Arc<Freezer>> {
        self.with(|state| state.nodes.get(&address).map(|present| present.freezer.clone()))
    }

    /// Whether a process runs at this address.
    pub fn is_up(&self, address: SocketAddr) -> bool {
        self.with(|state| state.nodes.contains_key(&address))
    }

    /// The processes that run on a host.
    pub fn processes(&self, host: IpAddr) -> Vec<SocketAddr> {
        self.with(|state| state.nodes.keys().copied().filter(|address| address.ip() == host).collect())
    }

    /// The host is off: nothing reaches it. Its processes are to be crashed besides, and its disk loses its power.
    pub fn power_off(&self, host: IpAddr) {
        self.with(|state| {
            state.hosts_down.insert(host);
        });
    }

    /// The host is on again: its kernel refuses what comes for processes that are gone.
    pub fn power_on(&self, host: IpAddr) {
        self.with(|state| {
            state.hosts_down.remove(&host);
        });
    }

    /// Nothing passes from one host to another any more; what is sent waits.
    pub fn cut(&self, from: IpAddr, to: IpAddr) {
        self.with(|state| state.cut(from, to));
    }

    /// The way is free again, and what waited comes.
    pub fn mend(&self, from: IpAddr, to: IpAddr) {
        self.with(|state| {
            if state.cuts.remove(&(from, to)) {
                state.resume();
            }
        });
    }

    /// All ways are free again, and all connections hold.
    pub fn mend_all(&self) {
        self.with(|state| {
            state.cuts.clear();
            state.fragile.clear();
            state.resume();
        });
    }

    /// Whether nothing passes from one host to another.
    pub fn is_cut(&self, from: IpAddr, to: IpAddr) -> bool {
        self.with(|state| state.cuts.contains(&(from, to)))
    }

    /// Breaks every connection between two nodes, in either direction: both ends learn it, each in its time. Answers
    /// how many there were.
    pub fn break_connections(&self, one: SocketAddr, other: SocketAddr) -> usize {
        self.with(|state| state.break_connections(one, other))
    }

    /// From now on, a connection that one process has opened to another breaks every now and then when something is written
    /// to it: what one of them says is lost, from some message on, or comes after what a later connection brought. Nothing
    /// is lost of what the other says.
    pub fn set_fragile(&self, from: SocketAddr, to: SocketAddr) {
        self.with(|state| {
            state.fragile.entry((from, to)).or_default();
        });
    }

    /// Whether connections from one process to another are fragile.
    pub fn is_fragile(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.with(|state| state.fragile.contains_key(&(from, to)))
    }

    /// They hold again. Answers how many of them have broken.
    pub fn strengthen(&self, from: SocketAddr, to: SocketAddr) -> usize {
        self.with(|state| state.fragile.remove(&(from, to))).unwrap_or_default()
    }

    /// How many connections there are between processes of two hosts.
    pub fn connections(&self, one: IpAddr, other: IpAddr) -> usize {
        let between = |pipe: &&Pipe| {
            let ends = (pipe.end(Side::Client), pipe.end(Side::Server));
            let hosts = (ends.0.address.ip(), ends.1.address.ip());
            (hosts == (one, other) || hosts == (other, one)) && ends.0.over.is_none() && ends.1.over.is_none()
        };
        self.with(|state| state.pipes.values().filter(between).count())
    }

    /// Changes how long things take from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.with(|state| state.weather = weather);
    }

    /// How long things take now.
    pub fn weather(&self) -> Weather {
        self.with(|state| state.weather)
    }

    /// What happened to connections and what they carried.
    pub fn counts(&self) -> Counts {
        self.with(|state| state.counts.clone())
    }

    /// Writes a line into the trace.
    pub fn note(&self, text: impl Into<String>) {
        self.with(|state| state.record(What::Note(text.into())));
    }

    /// Looks at the trace.
    pub fn with_trace<T>(&self, look: impl FnOnce(&Trace) -> T) -> T {
        self.with(|state| look(&state.trace))
    }

    // ---- for sockets

    /// A process is there, and connections to it are accepted.
    pub(super) fn arrive(&self, site: &Site, node: WeakNode) {
        let (life, freezer) = (site.life, site.freezer.clone());
        let present = Present { node, life, freezer, backlog: VecDeque::new(), acceptor: None };
        self.with(|state| drop(state.nodes.insert(site.address, present)));
    }

    /// A process closes its listener.
    pub(super) fn leave(&self, site: &Site) {
        self.with(|state| {
            if state.is_present(site)
                && let Some(gone) = state.nodes.remove(&site.address)
            {
                state.wakers.extend(gone.acceptor);
                gone.backlog.into_iter().for_each(|pipe| state.reset(pipe, Side::Server, "refused"));
            }
        });
    }

    /// The next connection, and who opened it; `None` once the process has left.
    pub(super) fn poll_accept(
        &self,
        site: &Site,
        task: &mut Context<'_>,
    ) -> Poll<Option<(PipeId, SocketAddr)>> {
        self.with(|state| {
            let Some(present) = state.nodes.get_mut(&site.address).filter(|p| p.life == site.life) else {
                return Poll::Ready(None);
            };
            let Some(pipe) = present.backlog.pop_front() else {
                present.acceptor = Some(task.waker().clone());
                return Poll::Pending;
            };
            // One that is over by now says so when it is read from.
            let peer = state.pipes.get(&pipe).map_or(site.address, |pipe| pipe.end(Side::Client).address);
            Poll::Ready(Some((pipe, peer)))
        })
    }

    pub(super) fn open(&self, from: &Site, to: SocketAddr) -> PipeId {
        self.with(|state| {
            let id = state.next_pipe;
            state.next_pipe += 1;
            let mut pipe = Pipe::new((from.address, from.life), to);
            if !state.is_present(from) {
                // What a dead process still does changes nothing.
                let end = pipe.end_mut(Side::Client);
                end.over = Some(Over::Reset("its process has ended"));
                end.lane.dead = true;
            }
            state.pipes.insert(id, pipe);
            state.send(id, Side::Client, Parcel::Open);
            id
        })
    }

    pub(super) fn poll_opened(&self, pipe: PipeId, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with_end(pipe, Side::Client, |_, end| match end.over {
            Some(over) => Poll::Ready(Err(over.refused())),
            None if end.open => Poll::Ready(Ok(())),
            None => {
                end.reader = Some(task.waker().clone());
                Poll::Pending
            }
        })
        .unwrap_or_else(|| Poll::Ready(Err(gone())))
    }

    pub(super) fn poll_read(
        &self,
        pipe: PipeId,
        side: Side,
        task: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with_end(pipe, side, |_, end| {
            if let Some(bytes) = end.inbox.front_mut() {
                let some = bytes.split_to(bytes.len().min(out.remaining()));
                out.put_slice(&some);
                if bytes.is_empty() {
                    end.inbox.pop_front();
                }
                let was_full = end.unread >= WINDOW;
                end.unread -= some.len();
                // The writer waits at the other end.
                return (was_full && end.unread < WINDOW, Poll::Ready(Ok(())));
            }
            match end.over {
                Some(over) => (false, Poll::Ready(Err(over.broken()))),
                None if end.finished => (false, Poll::Ready(Ok(()))),
                None => {
                    end.reader = Some(task.waker().clone());
                    (false, Poll::Pending)
                }
            }
        })
        .map_or_else(
            || Poll::Ready(Err(gone())),
            |(room, read)| {
                if room {
                    self.with_end(pipe, side.other(), |wakers, end| wakers.extend(end.writer.take()));
                }
                read
            },
        )
    }

    pub(super) fn poll_write(
        &self,
        pipe: PipeId,
        side: Side,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|state| {
            let Some(both) = state.pipes.get_mut(&pipe) else { return Poll::Ready(Err(gone())) };
            if let Some(over) = both.end(side).over {
                return Poll::Ready(Err(over.broken()));
            }
            if both.end(side.other()).unread >= WINDOW {
                both.end_mut(side).writer = Some(task.waker().clone());
                return Poll::Pending;
            }
            both.end_mut(side.other()).unread += bytes.len();
            state.send(pipe, side, Parcel::Bytes(Bytes::copy_from_slice(bytes)));
            if side == Side::Client {
                state.strain(pipe);
            }
            Poll::Ready(Ok(bytes.len()))
        })
    }

    /// This side writes no more.
    pub(super) fn finish(&self, pipe: PipeId, side: Side) {
        self.with(|state| state.send_last(pipe, side, Parcel::Fin));
    }

    /// This side has no more use for the connection.
    pub(super) fn close(&self, pipe: PipeId, side: Side) {
        self.with(|state| state.close(pipe, side));
    }

    /// This side resets the connection.
    pub(super) fn abort(&self, pipe: PipeId, side: Side) {
        self.with(|state| state.abort(pipe, side));
    }

    /// Whether nothing but silence has come and the connection stands.
    pub(super) fn is_silent(&self, pipe: PipeId, side: Side) -> bool {
        self.with_end(pipe, side, |_, end| end.inbox.is_empty() && !end.finished && end.over.is_none())
            .unwrap_or(false)
    }

    fn with_end<T>(
        &self,
        pipe: PipeId,
        side: Side,
        work: impl FnOnce(&mut Vec<Waker>, &mut End) -> T,
    ) -> Option<T> {
        self.with(|state| {
            let end = state.pipes.get_mut(&pipe)?.end_mut(side);
            Some(work(&mut state.wakers, end))
        })
    }

    /// Works on the state; wakes whoever is to be woken when the lock is released.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.state.lock();
        let result = work(&mut state);
        let next = state.steps.peek().map(|Reverse((at, _, _))| *at);
        let earlier = next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed));
        if earlier {
            state.armed = next;
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if earlier {
            self.shared.wake.notify_one();
        }
        result
    }

    /// When something is due next. Whoever makes something due earlier wakes the task.
    fn arm(&self) -> Option<Instant> {
        let mut state = self.shared.state.lock();
        state.armed = state.steps.peek().map(|Reverse((at, _, _))| *at);
        state.armed
    }

    /// Does what is due now.
    fn step(&self) {
        self.with(|state| {
            let now = Instant::now();
            while state.steps.peek().is_some_and(|Reverse((at, _, _))| *at <= now) {
                let Some(Reverse((_, _, step))) = state.steps.pop() else { return };
                match step {
                    Step::Arrive(pipe, side) => state.arrive(pipe, side, now),
                    Step::GiveUp(pipe, side) => state.give_up(pipe, side),
                }
            }
        });
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Over {
    fn broken(self) -> io::Error {
        match self {
            Over::Closed => io::ErrorKind::NotConnected.into(),
            Over::Reset(why) => io::Error::new(io::ErrorKind::ConnectionReset, why),
        }
    }

    fn refused(self) -> io::Error {
        match self {
            Over::Closed => io::ErrorKind::NotConnected.into(),
            Over::Reset(why) => io::Error::new(io::ErrorKind::ConnectionRefused, why),
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection is over")
}

fn host_number(host: IpAddr) -> u64 {
    match host {
        IpAddr::V4(host) => u64::from(u32::from(host)),
        IpAddr::V6(host) => {
            let [high, low] = [u128::from(host) >> 64, u128::from(host) & u128::from(u64::MAX)];
            mix(&[high, low].map(|half| u64::try_from(half).unwrap_or(u64::MAX)))
        }
    }
}
