//! What is under way on a simulated network, and what becomes of it: TCP, as a machine without tasks or locks.
//!
//! [`super::network`] locks it, moves it when something is due, and wakes whom it says.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use tokio::time::Instant;

use super::network::{Counts, Crash};
use super::pipe::{End, Over, Parcel, Pipe, PipeId, Side};
use super::socket::{Freezer, Site};
use super::trace::{Trace, What, checksum};
use super::weather::Weather;
use crate::node::WeakNode;

/// After how long a silent connection to a host that does not answer is given up: 60 s, and 9 probes 10 s apart.
const KEEP_ALIVE: Duration = Duration::from_secs(150);

/// How long what a broken connection leaves behind may be on its way, in milliseconds.
const LATE: std::ops::Range<u64> = 0..30_000;

/// A node as the network knows it.
pub(super) struct Present {
    pub(super) node: WeakNode,
    pub(super) life: u64,
    pub(super) freezer: Arc<Freezer>,
    /// Connections that it has not taken yet.
    pub(super) backlog: VecDeque<PipeId>,
    pub(super) acceptor: Option<Waker>,
}

pub(super) struct State {
    pub(super) random: SmallRng,
    pub(super) seed: u64,
    pub(super) weather: Weather,
    pub(super) started: Instant,
    pub(super) steps: BinaryHeap<Reverse<(Instant, u64, Step)>>,
    pub(super) sequence: u64,
    /// Until when the task sleeps.
    pub(super) armed: Option<Instant>,
    pub(super) pipes: BTreeMap<PipeId, Pipe>,
    pub(super) next_pipe: PipeId,
    pub(super) nodes: BTreeMap<SocketAddr, Present>,
    /// Those that were killed, and may not have ended yet.
    pub(super) dying: BTreeMap<SocketAddr, WeakNode>,
    pub(super) lives: BTreeMap<SocketAddr, u64>,
    pub(super) hosts_down: BTreeSet<IpAddr>,
    /// Ways (from, to) that nothing passes.
    pub(super) cuts: BTreeSet<(IpAddr, IpAddr)>,
    /// The ways, from client to server, whose connections break when they are used, and how many have.
    pub(super) fragile: BTreeMap<(SocketAddr, SocketAddr), usize>,
    /// Whom to wake once the lock is released.
    pub(super) wakers: Vec<Waker>,
    pub(super) trace: Trace,
    pub(super) counts: Counts,
}

/// What is due at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Something that this side sent arrives at the other.
    Arrive(PipeId, Side),
    /// This side has waited long enough for a word of the other.
    GiveUp(PipeId, Side),
}

impl State {
    pub(super) fn record(&mut self, what: What) {
        let at = self.started.elapsed();
        self.trace.add(at, what);
    }

    pub(super) fn count(&mut self, what: &'static str, times: usize) {
        if times > 0 {
            *self.counts.entry(what).or_default() += times as u64;
        }
    }

    pub(super) fn schedule(&mut self, at: Instant, step: Step) {
        self.sequence += 1;
        self.steps.push(Reverse((at, self.sequence, step)));
    }

    pub(super) fn is_present(&self, site: &Site) -> bool {
        self.nodes.get(&site.address).is_some_and(|present| present.life == site.life)
    }

    /// Whether nothing that `side` sends passes, or nothing that it is answered.
    pub(super) fn is_way_cut(&self, id: PipeId, side: Side) -> (bool, bool) {
        let Some(pipe) = self.pipes.get(&id) else { return (false, false) };
        let (from, to) = (pipe.end(side).address.ip(), pipe.end(side.other()).address.ip());
        (self.cuts.contains(&(from, to)), self.cuts.contains(&(to, from)))
    }

    /// Puts a parcel on its way.
    pub(super) fn send(&mut self, id: PipeId, side: Side, parcel: Parcel) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if pipe.end(side).lane.dead {
            self.lose(id, side, [parcel]);
            return;
        }
        let within_host = pipe.end(side).address.ip() == pipe.end(side.other()).address.ip();
        let arrival = Instant::now() + self.weather.one_way(within_host, &mut self.random);
        pipe.end_mut(side).lane.queue.push_back((arrival, parcel));
        self.schedule(arrival, Step::Arrive(id, side));
    }

    /// The last thing that a side sends.
    pub(super) fn send_last(&mut self, id: PipeId, side: Side, parcel: Parcel) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if !pipe.end(side).lane.dead {
            self.send(id, side, parcel);
            self.end_mut(id, side, |end| end.lane.dead = true);
        }
    }

    pub(super) fn end_mut(&mut self, id: PipeId, side: Side, change: impl FnOnce(&mut End)) {
        if let Some(pipe) = self.pipes.get_mut(&id) {
            change(pipe.end_mut(side));
        }
    }

    pub(super) fn lose(&mut self, id: PipeId, side: Side, parcels: impl IntoIterator<Item = Parcel>) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let (from, to) = (pipe.end(side).address, pipe.end(side.other()).address);
        for parcel in parcels {
            self.end_mut(id, side.other(), |end| end.unread -= parcel.len().min(end.unread));
            if matches!(parcel, Parcel::Bytes(_)) {
                self.count("writes lost", 1);
                self.record(What::Lost { from, to, name: parcel.name() });
            }
        }
    }

    /// A part of what a side has sent is lost: from some byte on, nothing arrives.
    pub(super) fn cut_short(&mut self, id: PipeId, side: Side) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let lane = &mut pipe.end_mut(side).lane;
        let kept = self.random.random_range(0..=lane.queue.len());
        let mut lost = lane.take_back(kept);
        // A request may be torn. (An answer, too; but the order of its headers is not ours, nor is what half of them is.)
        if let Some(Parcel::Bytes(bytes)) = lost.first_mut()
            && bytes.first().is_some_and(u8::is_ascii_uppercase)
            && !bytes.starts_with(b"HTTP/")
        {
            let torn = bytes.split_to(self.random.random_range(0..bytes.len()));
            if !torn.is_empty() {
                self.count("requests torn", 1);
                self.send(id, side, Parcel::Bytes(torn));
            }
        }
        self.lose(id, side, lost);
    }

    /// A side has enough of a connection. Answers whether it was not over for it.
    fn leave(&mut self, id: PipeId, side: Side) -> bool {
        let Some(pipe) = self.pipes.get_mut(&id) else { return false };
        let end = pipe.end_mut(side);
        if end.over.is_some() {
            return false;
        }
        end.over = Some(Over::Closed);
        end.inbox.clear();
        end.unread = 0;
        true
    }

    /// A side closes a connection in peace.
    pub(super) fn close(&mut self, id: PipeId, side: Side) {
        if self.leave(id, side) {
            self.send_last(id, side, Parcel::Fin);
        }
        self.forget_if_finished(id);
    }

    /// A side resets a connection: what it has sent, and has not arrived, does not arrive.
    pub(super) fn abort(&mut self, id: PipeId, side: Side) {
        if self.leave(id, side) {
            let mut taken_back = Vec::new();
            self.end_mut(id, side, |end| {
                taken_back = end.lane.take_back(0);
                // Who has only said that it writes no more can still reset.
                end.lane.dead = false;
            });
            self.lose(id, side, taken_back);
            self.send_last(id, side, Parcel::Reset("reset"));
        }
        self.forget_if_finished(id);
    }

    /// A side learns that the connection is over.
    pub(super) fn learn_end(&mut self, id: PipeId, side: Side, why: &'static str) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let end = pipe.end_mut(side);
        if end.over.is_some() {
            return;
        }
        end.over = Some(Over::Reset(why));
        end.lane.dead = true;
        let waiting: Vec<Waker> = end.wakers().collect();
        let (by, peer) = (end.address, pipe.end(side.other()).address);
        self.wakers.extend(waiting);
        self.record(What::Closed { by, peer, why });
        self.forget_if_finished(id);
    }

    pub(super) fn forget_if_finished(&mut self, id: PipeId) {
        // What is still under way arrives first.
        if self.pipes.get(&id).is_some_and(Pipe::is_finished) {
            self.pipes.remove(&id);
        }
    }

    /// The kernel, or nobody, closes what a process had open.
    pub(super) fn process_ended(&mut self, address: SocketAddr, life: u64, how: Crash) {
        let all = self.pipes.iter().flat_map(|(id, pipe)| {
            Side::BOTH
                .into_iter()
                .filter(move |&side| pipe.is_of(side, address, life))
                .map(move |side| (*id, side))
        });
        let all: Vec<(PipeId, Side)> = all.collect();
        for (id, side) in all {
            let Some(pipe) = self.pipes.get_mut(&id) else { continue };
            let end = pipe.end_mut(side);
            if end.over.is_some() {
                continue;
            }
            end.over = Some(Over::Reset("its process has ended"));
            let waiting: Vec<Waker> = end.wakers().collect();
            let unread = !std::mem::take(&mut end.inbox).is_empty();
            self.wakers.extend(waiting);
            match how {
                // As Linux has it: who ends without having read everything resets.
                Crash::Process if unread || self.random.random() => {
                    self.cut_short(id, side);
                    self.send_last(id, side, Parcel::Reset("its process has ended"));
                }
                Crash::Process => self.send_last(id, side, Parcel::Fin),
                Crash::Host => {
                    self.cut_short(id, side);
                    self.end_mut(id, side, |end| end.lane.dead = true);
                    self.doubt(id, side.other(), KEEP_ALIVE);
                }
            }
        }
    }

    pub(super) fn break_connections(&mut self, one: SocketAddr, other: SocketAddr) -> usize {
        let between = |pipe: &Pipe| {
            let (client, server) = (pipe.end(Side::Client), pipe.end(Side::Server));
            let ends = (client.address, server.address);
            ends == (one, other) || ends == (other, one)
        };
        let pipes: Vec<PipeId> =
            self.pipes.iter().filter(|(_, pipe)| between(pipe)).map(|(id, _)| *id).collect();
        pipes.into_iter().filter(|&id| self.break_connection(id)).count()
    }

    /// Answers whether there was one to break: if an end is gone, the other learns of that from its kernel, or in time.
    fn break_connection(&mut self, id: PipeId) -> bool {
        let is_over = |pipe: &Pipe| {
            let is_dead = Side::BOTH.into_iter().all(|side| pipe.end(side).lane.dead);
            is_dead || Side::BOTH.into_iter().any(|side| pipe.end(side).over.is_some())
        };
        if self.pipes.get(&id).is_none_or(is_over) {
            return false;
        }
        for side in Side::BOTH {
            self.cut_short(id, side);
            self.send_last(id, side, Parcel::Reset("broken"));
        }
        self.count("connections broken", 1);
        true
    }

    /// What a client has sent, and has not been lost, is long on its way. The client knows that its connection is over, and
    /// says other things meanwhile.
    fn hold_up(&mut self, id: PipeId) {
        let late = Duration::from_millis(self.random.random_range(LATE));
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let queue = &mut pipe.end_mut(Side::Client).lane.queue;
        queue.iter_mut().for_each(|(arrival, _)| *arrival += late);
        let arrivals: Vec<Instant> = queue.iter().map(|(arrival, _)| *arrival).collect();
        for arrival in arrivals {
            self.schedule(arrival, Step::Arrive(id, Side::Client));
        }
    }

    /// A client has written something: that may be the end of a connection that is fragile.
    pub(super) fn strain(&mut self, id: PipeId) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let way = (pipe.end(Side::Client).address, pipe.end(Side::Server).address);
        if self.fragile.contains_key(&way) && self.random.random_ratio(1, 3) && self.break_connection(id) {
            *self.fragile.entry(way).or_default() += 1;
            self.hold_up(id);
        }
    }

    pub(super) fn cut(&mut self, from: IpAddr, to: IpAddr) {
        if !self.cuts.insert((from, to)) {
            return;
        }
        // Probes, or their answers, do not pass: silent ends find out, too.
        let affected = self.pipes.iter().filter(|(_, pipe)| {
            let ends = (pipe.end(Side::Client).address.ip(), pipe.end(Side::Server).address.ip());
            ends == (from, to) || ends == (to, from)
        });
        let affected: Vec<PipeId> = affected.map(|(id, _)| *id).collect();
        for id in affected {
            Side::BOTH.into_iter().for_each(|side| self.doubt(id, side, KEEP_ALIVE));
        }
    }

    /// After so long, a side gives up if it cannot have heard of the other.
    pub(super) fn doubt(&mut self, id: PipeId, side: Side, patience: Duration) {
        if self.pipes.get(&id).is_some_and(|pipe| pipe.end(side).over.is_none()) {
            self.schedule(Instant::now() + patience, Step::GiveUp(id, side));
        }
    }

    /// A side has sent what does not arrive, or is not acknowledged.
    pub(super) fn lose_patience(&mut self, id: PipeId, side: Side) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if !std::mem::replace(&mut pipe.end_mut(side).giving_up, true) {
            let patience = self.weather.patience(&mut self.random);
            self.doubt(id, side, patience);
        }
    }

    /// Lets what waits go on where the way is free again.
    pub(super) fn resume(&mut self) {
        let mut free = Vec::new();
        for (id, pipe) in &mut self.pipes {
            for side in Side::BOTH {
                let way = (pipe.end(side).address.ip(), pipe.end(side.other()).address.ip());
                let end = pipe.end_mut(side);
                if end.lane.stalled && !self.cuts.contains(&way) {
                    end.lane.stalled = false;
                    free.push((*id, side));
                }
            }
        }
        for (id, side) in free {
            let after = self.weather.one_way(false, &mut self.random);
            self.schedule(Instant::now() + after, Step::Arrive(id, side));
        }
    }

    pub(super) fn give_up(&mut self, id: PipeId, side: Side) {
        let (there, back) = self.is_way_cut(id, side);
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.end_mut(side).giving_up = false;
        let dead = pipe.end(side.other()).over.is_some();
        if !(there || back || dead) || pipe.end(side).over.is_some() {
            return;
        }
        self.count("connections given up", 1);
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let lost = pipe.end_mut(side).lane.take_back(0);
        self.lose(id, side, lost);
        self.learn_end(id, side, "given up");
        // The other end is not told: it will find out as this one did.
        self.doubt(id, side.other(), KEEP_ALIVE);
    }

    /// What one side sent arrives at the other: all that is due.
    pub(super) fn arrive(&mut self, id: PipeId, side: Side, now: Instant) {
        loop {
            let (there, back) = self.is_way_cut(id, side);
            let Some(pipe) = self.pipes.get_mut(&id) else { return };
            let lane = &mut pipe.end_mut(side).lane;
            if lane.stalled || lane.queue.front().is_none_or(|(at, _)| *at > now) {
                return;
            }
            if there || back {
                self.lose_patience(id, side);
            }
            let Some(pipe) = self.pipes.get_mut(&id) else { return };
            let lane = &mut pipe.end_mut(side).lane;
            if there {
                lane.stalled = true;
                self.count("connections stalled", 1);
                return;
            }
            let Some((_, parcel)) = lane.queue.pop_front() else { return };
            self.receive(id, side, parcel);
            self.forget_if_finished(id);
        }
    }

    /// One parcel of `side` has arrived at the other.
    pub(super) fn receive(&mut self, id: PipeId, side: Side, parcel: Parcel) {
        let receiver = side.other();
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let (from, to) = (pipe.end(side).address, pipe.end(receiver).address);
        if matches!(parcel, Parcel::Open) {
            self.receive_open(id, to);
            return;
        }
        if pipe.end(receiver).over.is_some() {
            // It has closed, or its process has ended: the kernel says so, if there is one.
            let answer = !matches!(parcel, Parcel::Fin | Parcel::Reset(_));
            self.lose(id, side, [parcel]);
            if answer {
                self.reset(id, receiver, "nobody is there");
            }
            return;
        }
        match parcel {
            Parcel::Open => {}
            Parcel::Accept => {
                let end = pipe.end_mut(receiver);
                end.open = true;
                self.wakers.extend(end.reader.take());
            }
            Parcel::Bytes(bytes) => {
                let (size, sum) = (bytes.len(), checksum(&bytes));
                let parcel = Parcel::Bytes(bytes);
                self.record(What::Arrived { from, to, name: parcel.name(), size, sum });
                let Parcel::Bytes(bytes) = parcel else { return };
                let Some(pipe) = self.pipes.get_mut(&id) else { return };
                let end = pipe.end_mut(receiver);
                end.inbox.push_back(bytes);
                self.wakers.extend(end.reader.take());
            }
            Parcel::Fin => {
                let end = pipe.end_mut(receiver);
                end.finished = true;
                self.wakers.extend(end.reader.take());
                self.record(What::Closed { by: to, peer: from, why: "closed" });
            }
            Parcel::Reset(why) => self.learn_end(id, receiver, why),
        }
    }

    /// Somebody wants to connect.
    pub(super) fn receive_open(&mut self, id: PipeId, to: SocketAddr) {
        let Some(present) = self.nodes.get_mut(&to) else {
            self.reset(id, Side::Server, "refused");
            return;
        };
        present.backlog.push_back(id);
        self.wakers.extend(present.acceptor.take());
        let life = present.life;
        self.end_mut(id, Side::Server, |end| {
            end.life = Some(life);
            end.open = true;
        });
        self.count("connections opened", 1);
        self.send(id, Side::Server, Parcel::Accept);
    }

    /// The kernel of `side`'s host answers what comes for nobody, if it runs.
    pub(super) fn reset(&mut self, id: PipeId, side: Side, why: &'static str) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let end = pipe.end_mut(side);
        end.over.get_or_insert(Over::Closed);
        let host_is_down = self.hosts_down.contains(&end.address.ip());
        let told = end.lane.queue.iter().any(|(_, parcel)| matches!(parcel, Parcel::Reset(_)));
        if host_is_down {
            self.doubt(id, side.other(), KEEP_ALIVE);
        } else if !told && pipe.end(side.other()).over.is_none() {
            pipe.end_mut(side).lane.dead = false;
            self.send_last(id, side, Parcel::Reset(why));
        }
        self.forget_if_finished(id);
    }
}
