//! A queue of envelopes that knows how many of each kind wait in it, without looking through them.
//!
//! First in, first out. It has no lock and no bound of its own: the mailbox around it has the one, and says who bounds it.

use std::collections::VecDeque;

use crate::envelope::{Envelope, EventKind};

/// How much waits for an actor, by kind (upstream: `ProcessBase::eventCount`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueLengths {
    /// Messages that came by name.
    pub messages: usize,
    /// HTTP requests.
    pub http_requests: usize,
    /// Messages of this node by type, and timers that fired.
    pub dispatches: usize,
    /// Links that broke.
    pub exited: usize,
    /// Requests to end.
    pub terminate: usize,
}

impl QueueLengths {
    /// Everything that waits.
    pub fn total(&self) -> usize {
        self.messages + self.http_requests + self.dispatches + self.exited + self.terminate
    }

    fn of(&mut self, kind: EventKind) -> &mut usize {
        match kind {
            EventKind::Message => &mut self.messages,
            EventKind::Http => &mut self.http_requests,
            EventKind::Dispatch => &mut self.dispatches,
            EventKind::Exited => &mut self.exited,
            EventKind::Terminate => &mut self.terminate,
        }
    }
}

impl std::ops::Add for QueueLengths {
    type Output = QueueLengths;

    fn add(self, other: QueueLengths) -> QueueLengths {
        QueueLengths {
            messages: self.messages + other.messages,
            http_requests: self.http_requests + other.http_requests,
            dispatches: self.dispatches + other.dispatches,
            exited: self.exited + other.exited,
            terminate: self.terminate + other.terminate,
        }
    }
}

/// First in, first out. The counts are plain numbers: whoever pushes or pops holds the queue's lock anyway.
pub(crate) struct Queue<P> {
    envelopes: VecDeque<Envelope<P>>,
    lengths: QueueLengths,
}

impl<P> Default for Queue<P> {
    fn default() -> Queue<P> {
        Queue { envelopes: VecDeque::new(), lengths: QueueLengths::default() }
    }
}

impl<P: crate::Process> Queue<P> {
    pub(crate) fn push(&mut self, envelope: Envelope<P>) {
        *self.lengths.of(envelope.kind()) += 1;
        self.envelopes.push_back(envelope);
    }

    pub(crate) fn pop(&mut self) -> Option<Envelope<P>> {
        let envelope = self.envelopes.pop_front()?;
        *self.lengths.of(envelope.kind()) -= 1;
        Some(envelope)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    pub(crate) fn lengths(&self) -> QueueLengths {
        self.lengths
    }

    /// What waits, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Envelope<P>> {
        self.envelopes.iter()
    }
}
