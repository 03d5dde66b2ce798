//! The queue in front of an actor. What stands in it is in `envelope.rs`.
//!
//! actix hides its queue, so ours stands before it: what waits can be counted and listed, a kill overtakes
//! it, and actix is woken only when it becomes non-empty. Producers push under one short lock; the consumer
//! swaps the whole queue out and takes from its own half, so that both rarely meet.
//! A mailbox is unbounded, as upstream's; what comes from the network is held back by
//! [`crate::transport`] when a queue grows long.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::envelope::{Asked, End, Envelope, LinkBroken, QueuedEvent, Sent, Told};
use crate::install::Table;
use crate::pid::Pid;
use crate::process::{Exit, Handle, Message, Process};
use crate::queue::{Queue, QueueLengths};
use crate::transport::Delivery;
use crate::turn;
use crate::wire::{DecodeError, Encoding};

/// Puts what was read into the queue.
pub(crate) type QueueIt = Box<dyn FnOnce() + Send>;

/// How much waits in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Events of every kind.
    pub(crate) events: usize,
    /// Bytes of the messages that came from other nodes, as they were on the wire.
    pub(crate) bytes: usize,
}

/// A message's part of [`Waiting::bytes`], until it is handled or dropped.
#[derive(Debug)]
pub(crate) struct Weight {
    sum: Arc<AtomicUsize>,
    bytes: usize,
}

impl Weight {
    fn on(sum: &Arc<AtomicUsize>, bytes: usize) -> Weight {
        sum.fetch_add(bytes, Ordering::Relaxed);
        Weight { sum: Arc::clone(sum), bytes }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What producers touch.
struct Incoming<P> {
    queue: Queue<P>,
    /// Set while the actor sleeps: who pushes first wakes it.
    sleeper: Option<Waker>,
    closed: bool,
}

/// The queue of one actor, and everything about it that outlives it.
pub(crate) struct Mailbox<P: Process> {
    pid: Pid,
    table: Arc<Table<P>>,
    incoming: Mutex<Incoming<P>>,
    /// The consumer's half: what it swapped out and has not yet handled.
    batch: Mutex<Queue<P>>,
    /// See [`Waiting::bytes`].
    weight: Arc<AtomicUsize>,
    killed: AtomicBool,
    ending: Mutex<Ending>,
}

/// How the actor ended, and who waits for that. Few actors are waited for, and a channel is larger than all else here.
enum Ending {
    /// It lives.
    Ahead(Option<watch::Sender<Option<Exit>>>),
    Over(Exit),
}

impl<P: Process> Mailbox<P> {
    pub(crate) fn new(pid: Pid, table: Arc<Table<P>>) -> Mailbox<P> {
        Mailbox {
            pid,
            table,
            incoming: Mutex::new(Incoming { queue: Queue::default(), sleeper: None, closed: false }),
            batch: Mutex::new(Queue::default()),
            weight: Arc::default(),
            killed: AtomicBool::new(false),
            ending: Mutex::new(Ending::Ahead(None)),
        }
    }

    pub(crate) fn pid(&self) -> &Pid {
        &self.pid
    }

    pub(crate) fn table(&self) -> &Table<P> {
        &self.table
    }

    /// Puts an envelope behind all others. It is dropped if the actor has ended.
    pub(crate) fn push(&self, envelope: Envelope<P>) -> bool {
        let mut incoming = self.incoming.lock();
        if incoming.closed {
            drop(incoming);
            return false;
        }
        incoming.queue.push(envelope);
        let sleeper = incoming.sleeper.take();
        drop(incoming);
        if let Some(waker) = sleeper {
            turn::wake_actor(waker);
        }
        true
    }

    pub(crate) fn tell<M: Message>(&self, message: M) -> bool
    where
        P: Handle<M>,
    {
        self.push(Box::new(Told(message)))
    }

    pub(crate) fn tell_from<M: Message>(&self, from: Pid, message: M) -> bool
    where
        P: Handle<M>,
    {
        self.push(Box::new(Sent { from, message }))
    }

    pub(crate) fn ask<M: Message>(&self, message: M) -> oneshot::Receiver<M::Answer>
    where
        P: Handle<M>,
    {
        let (answer, receiver) = oneshot::channel();
        self.push(Box::new(Asked { message, answer }));
        receiver
    }

    /// Ends the actor before anything that waits.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        let sleeper = self.incoming.lock().sleeper.take();
        if let Some(waker) = sleeper {
            turn::wake_actor(waker);
        }
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// The next envelope. Only the actor itself takes.
    pub(crate) fn take(&self) -> Option<Envelope<P>> {
        let mut batch = self.batch.lock();
        if let Some(envelope) = batch.pop() {
            return Some(envelope);
        }
        std::mem::swap(&mut *batch, &mut self.incoming.lock().queue);
        batch.pop()
    }

    /// Registers whom to wake. False if something waits already.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let mut incoming = self.incoming.lock();
        if !incoming.queue.is_empty() {
            return false;
        }
        incoming.sleeper = Some(waker.clone());
        drop(incoming);
        !self.is_killed()
    }

    /// Takes nothing from now on, and drops what waits.
    pub(crate) fn close(&self) {
        let mut incoming = self.incoming.lock();
        incoming.closed = true;
        incoming.sleeper = None;
        let rest = std::mem::take(&mut incoming.queue);
        drop(incoming);
        let batch = std::mem::take(&mut *self.batch.lock());
        // Outside of the locks: dropping a message may run code that sends.
        drop((batch, rest));
    }

    /// Reads a message from outside; nothing if it has no handler.
    fn read(
        &self,
        from: Pid,
        name: &str,
        encoding: Encoding,
        body: &[u8],
    ) -> Result<Option<Envelope<P>>, DecodeError> {
        let Some(entry) = self.table.message(name) else {
            tracing::debug!(actor = %self.pid, %from, name, "dropping a message that has no handler");
            return Ok(None);
        };
        (entry.decode)(from, encoding, body, Weight::on(&self.weight, body.len())).map(Some)
    }

    /// How much waits, by kind.
    pub(crate) fn lengths(&self) -> QueueLengths {
        let batch = self.batch.lock();
        batch.lengths() + self.incoming.lock().queue.lengths()
    }

    /// It has ended. Whoever waits hears of it.
    pub(crate) fn publish(&self, exit: Exit) {
        let before = std::mem::replace(&mut *self.ending.lock(), Ending::Over(exit.clone()));
        if let Ending::Ahead(Some(waited_for)) = before {
            waited_for.send_replace(Some(exit));
        }
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> Option<Exit> {
        match &*self.ending.lock() {
            Ending::Ahead(_) => None,
            Ending::Over(exit) => Some(exit.clone()),
        }
    }

    /// Becomes how it ended.
    pub(crate) fn awaited_exit(&self) -> watch::Receiver<Option<Exit>> {
        match &mut *self.ending.lock() {
            Ending::Ahead(waited_for) => {
                waited_for.get_or_insert_with(|| watch::Sender::new(None)).subscribe()
            }
            Ending::Over(exit) => watch::channel(Some(exit.clone())).1,
        }
    }
}

/// What became of a message inside the node.
pub(crate) enum Moved {
    /// Into the queue.
    Yes,
    /// The actor has no handler for the name.
    UnknownName,
    /// The actor expects another type under this name: it must be encoded.
    OtherType(Box<dyn Any + Send>),
}

/// A mailbox of any actor: what the registry holds.
pub(crate) trait AnyMailbox: Send + Sync {
    /// The actor's pid.
    fn any_pid(&self) -> &Pid;
    /// Moves a boxed [`crate::install::Packet`] into the queue.
    fn move_in(&self, name: &str, packet: Box<dyn Any + Send>) -> Moved;
    /// Decodes and queues.
    fn decode_in(&self, from: Pid, name: &str, encoding: Encoding, body: &[u8]) -> Delivery;
    /// Reads a message from outside, and queues it when what is given back is called.
    ///
    /// # Errors
    /// When the bytes are no message of this name.
    fn decode(
        self: Arc<Self>,
        from: Pid,
        name: &str,
        encoding: Encoding,
        body: &[u8],
    ) -> Result<QueueIt, DecodeError>;
    /// Queues [`Process::exited`].
    fn link_broken(&self, pid: Pid);
    /// Behind the queue.
    fn terminate(&self);
    /// Before the queue.
    fn kill_now(&self);
    /// The first of what waits, in order, and how much waits in all. The actor waits for this, if it is about to take one.
    fn events(&self, most: usize) -> (Vec<QueuedEvent>, usize);
    /// How much waits.
    fn waiting(&self) -> Waiting;
    /// For [`crate::Address::wait`] without the type.
    fn any_exit(&self) -> watch::Receiver<Option<Exit>>;
}

impl<P: Process> AnyMailbox for Mailbox<P> {
    fn any_pid(&self) -> &Pid {
        &self.pid
    }

    fn move_in(&self, name: &str, packet: Box<dyn Any + Send>) -> Moved {
        match self.table.message(name) {
            None => Moved::UnknownName,
            Some(entry) => match (entry.unpack)(packet) {
                Ok(envelope) => {
                    self.push(envelope);
                    Moved::Yes
                }
                Err(packet) => Moved::OtherType(packet),
            },
        }
    }

    fn decode_in(&self, from: Pid, name: &str, encoding: Encoding, body: &[u8]) -> Delivery {
        match self.read(from, name, encoding, body) {
            Ok(envelope) => {
                if let Some(envelope) = envelope {
                    self.push(envelope);
                }
                Delivery::Accepted
            }
            Err(error) => Delivery::Undecodable(error),
        }
    }

    fn decode(
        self: Arc<Self>,
        from: Pid,
        name: &str,
        encoding: Encoding,
        body: &[u8],
    ) -> Result<QueueIt, DecodeError> {
        let envelope = self.read(from, name, encoding, body)?;
        Ok(Box::new(move || {
            if let Some(envelope) = envelope {
                self.push(envelope);
            }
        }))
    }

    fn link_broken(&self, pid: Pid) {
        self.push(Box::new(LinkBroken(pid)));
    }

    fn terminate(&self) {
        self.push(Box::new(End));
    }

    fn kill_now(&self) {
        self.kill();
    }

    fn events(&self, most: usize) -> (Vec<QueuedEvent>, usize) {
        let batch = self.batch.lock();
        let incoming = self.incoming.lock();
        let first = batch.iter().chain(incoming.queue.iter()).take(most);
        let first = first.map(|envelope| envelope.describe()).collect();
        (first, batch.lengths().total() + incoming.queue.lengths().total())
    }

    fn waiting(&self) -> Waiting {
        Waiting { events: self.lengths().total(), bytes: self.weight.load(Ordering::Relaxed) }
    }

    fn any_exit(&self) -> watch::Receiver<Option<Exit>> {
        self.awaited_exit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::envelope::EventKind;
    use crate::wire::WireMessage;

    struct Idle;
    struct Plain;
    struct Named;
    crate::messages! { Plain; Named; }
    impl Process for Idle {
        const NAME: &'static str = "idle";
        fn install(install: &mut crate::Install<Self>) {
            install.message::<Named>();
        }
    }
    impl Handle<Plain> for Idle {
        fn handle(&mut self, _: Plain, _: &Pid, _: &mut Context<Self>) {}
    }
    impl Handle<Named> for Idle {
        fn handle(&mut self, _: Named, _: &Pid, _: &mut Context<Self>) {}
    }
    impl WireMessage for Named {
        const NAME: &'static str = "test.Named";
        fn encode(&self, _: Encoding) -> Vec<u8> {
            Vec::new()
        }
        fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, crate::DecodeError> {
            if bytes.is_empty() { Ok(Named) } else { Err(crate::DecodeError::new("too long")) }
        }
    }

    fn mailbox() -> Mailbox<Idle> {
        Mailbox::new("idle@127.0.0.1:1".parse().unwrap(), Arc::new(Table::of_type()))
    }

    #[test]
    fn what_waits_is_listed_in_order_also_while_a_batch_is_being_handled() {
        let (mailbox, from): (_, Pid) = (mailbox(), "a@127.0.0.1:1".parse().unwrap());
        mailbox.tell(Plain);
        mailbox.tell_from(from.clone(), Plain);
        assert_eq!(
            mailbox.decode_in(from.clone(), "test.Named", Encoding::Protobuf, b""),
            Delivery::Accepted
        );
        assert!(mailbox.take().is_some(), "the first is being handled");
        mailbox.link_broken(from.clone());
        AnyMailbox::terminate(&mailbox);
        let (events, all) = mailbox.events(usize::MAX);
        assert_eq!(all, 4);
        let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::Dispatch, EventKind::Message, EventKind::Exited, EventKind::Terminate]);
        assert!(events[0].name.ends_with("::Plain"), "{}", events[0].name);
        assert_eq!((events[1].name.as_str(), &events[1].from), ("test.Named", &Some(from)));
        assert_eq!(mailbox.events(2), (events[..2].to_vec(), 4));
        assert_eq!(mailbox.waiting(), Waiting { events: 4, bytes: 0 });
        let counted = QueueLengths { dispatches: 1, messages: 1, exited: 1, terminate: 1, http_requests: 0 };
        assert_eq!(mailbox.lengths(), counted);
        assert!(mailbox.take().is_some() && mailbox.take().is_some(), "the second batch has begun");
        assert_eq!(mailbox.lengths(), QueueLengths { dispatches: 0, messages: 0, ..counted });
    }

    #[test]
    fn a_body_that_is_no_message_is_said_to_be_none_and_an_unknown_name_is_dropped() {
        let mailbox = mailbox();
        let deliver =
            |name: &str, body: &[u8]| mailbox.decode_in(Pid::nobody(), name, Encoding::Protobuf, body);
        assert!(matches!(deliver("test.Named", b"x"), Delivery::Undecodable(_)));
        assert_eq!(deliver("test.Unknown", b""), Delivery::Accepted);
        assert_eq!(mailbox.waiting(), Waiting::default());
    }

    #[test]
    fn bytes_from_the_network_weigh_until_they_are_taken() {
        let mailbox = mailbox();
        let sum = || AnyMailbox::waiting(&mailbox).bytes;
        let envelope = (mailbox.table.message("test.Named").unwrap().decode)(
            Pid::nobody(),
            Encoding::Protobuf,
            b"",
            Weight::on(&mailbox.weight, 7),
        );
        assert_eq!(sum(), 7);
        drop(envelope);
        assert_eq!(sum(), 0);
        let refused = mailbox.decode_in(Pid::nobody(), "test.Named", Encoding::Protobuf, b"xxx");
        assert!(matches!(refused, Delivery::Undecodable(_)));
        assert_eq!(sum(), 0);
    }

    #[test]
    fn a_closed_mailbox_takes_nothing_and_keeps_nothing() {
        let mailbox = mailbox();
        mailbox.tell(Plain);
        mailbox.close();
        assert!(!mailbox.tell(Plain));
        assert_eq!(mailbox.waiting(), Waiting::default());
    }
}
