//! Handles to actors of this process: [`Address`], typed by the actor, and [`Recipient`], typed by one message.
//!
//! A message that is told or asked is in the queue when the call returns, behind what was sent before; if the actor has
//! ended it is dropped, and an ask answers [`Gone`]. A handle does not keep its actor alive, and any thread may use it.
//! For actors of other nodes there is no handle, only the [`Pid`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::mailbox::{AnyMailbox, Mailbox};
use crate::pid::Pid;
use crate::process::{Exit, Gone, Handle, Message, Process};
use crate::queue::QueueLengths;

/// An actor of this process. Cheap to clone; it does not keep the actor alive.
pub struct Address<P: Process> {
    mailbox: Arc<Mailbox<P>>,
}

impl<P: Process> Address<P> {
    pub(crate) fn new(mailbox: Arc<Mailbox<P>>) -> Address<P> {
        Address { mailbox }
    }

    /// The actor's pid.
    pub fn pid(&self) -> &Pid {
        self.mailbox.pid()
    }

    /// Puts a message into the actor's queue; its handler sees [`Pid::nobody`] as the sender. An actor that has
    /// ended drops it.
    pub fn tell<M: Message>(&self, message: M)
    where
        P: Handle<M>,
    {
        self.mailbox.tell(message);
    }

    /// As [`Address::tell`], with a sender.
    pub fn tell_from<M: Message>(&self, from: &Pid, message: M)
    where
        P: Handle<M>,
    {
        self.mailbox.tell_from(from.clone(), message);
    }

    /// Puts a message into the queue at once, and gives its handler's answer. Dropping the future does not take
    /// the message back.
    ///
    /// # Errors
    /// [`Gone`] if the actor ended before it answered.
    pub fn ask<M: Message>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<M::Answer, Gone>> + Send + use<P, M>
    where
        P: Handle<M>,
    {
        let answer = self.mailbox.ask(message);
        async move { answer.await.map_err(|_| Gone) }
    }

    /// The same actor, by one message that it takes.
    pub fn recipient<M: Message>(&self) -> Recipient<M>
    where
        P: Handle<M>,
    {
        Recipient { target: Arc::clone(&self.mailbox) as Arc<dyn Receive<M>> }
    }

    /// The actor never started.
    pub(crate) fn abandon(&self) {
        self.mailbox.close();
        self.mailbox.publish(Exit::Killed);
    }

    /// Ends the actor behind what waits in its queue.
    pub fn terminate(&self) {
        self.mailbox.terminate();
    }

    /// Ends the actor before anything that waits in its queue (a running handler ends first).
    pub fn kill(&self) {
        self.mailbox.kill();
    }

    /// Waits until the actor has ended and released what it held.
    pub fn wait(&self) -> impl Future<Output = Exit> + Send + use<P> {
        let exit = self.mailbox.awaited_exit();
        let pid = self.pid().clone();
        async move {
            let exit = ended(exit).await;
            crate::testing::forgive(&pid);
            exit
        }
    }

    /// As [`Address::wait`], but not for longer than `limit` by the node's clock: `None` if the actor lives then.
    pub fn wait_within(&self, limit: Duration) -> impl Future<Output = Option<Exit>> + Send + use<P> {
        let exit = self.wait();
        async move { tokio::time::timeout(limit, exit).await.ok() }
    }

    /// How the actor ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.mailbox.exit()
    }

    /// How many events wait in the queue.
    pub fn waiting(&self) -> usize {
        self.queue_lengths().total()
    }

    /// How many events of each kind wait in the queue. They are counted, not looked through.
    pub fn queue_lengths(&self) -> QueueLengths {
        self.mailbox.lengths()
    }
}

pub(crate) async fn ended(mut exit: watch::Receiver<Option<Exit>>) -> Exit {
    match exit.wait_for(Option::is_some).await {
        Ok(exit) => exit.clone().unwrap_or(Exit::Killed),
        // The mailbox is gone with its node.
        Err(_) => Exit::Killed,
    }
}

impl<P: Process> Clone for Address<P> {
    fn clone(&self) -> Address<P> {
        Address { mailbox: Arc::clone(&self.mailbox) }
    }
}

impl<P: Process> fmt::Debug for Address<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.pid())
    }
}

/// Whoever takes `M`.
trait Receive<M: Message>: Send + Sync {
    fn pid(&self) -> &Pid;
    fn tell(&self, from: Option<&Pid>, message: M);
    fn ask(&self, message: M) -> oneshot::Receiver<M::Answer>;
}

impl<P: Handle<M>, M: Message> Receive<M> for Mailbox<P> {
    fn pid(&self) -> &Pid {
        Mailbox::pid(self)
    }
    fn tell(&self, from: Option<&Pid>, message: M) {
        match from {
            Some(from) => self.tell_from(from.clone(), message),
            None => Mailbox::tell(self, message),
        };
    }
    fn ask(&self, message: M) -> oneshot::Receiver<M::Answer> {
        Mailbox::ask(self, message)
    }
}

/// A function in an actor's place.
struct Function<F> {
    pid: Pid,
    function: F,
}

impl<M: Message, F: Fn(M, &Pid) -> M::Answer + Send + Sync> Receive<M> for Function<F> {
    fn pid(&self) -> &Pid {
        &self.pid
    }
    fn tell(&self, from: Option<&Pid>, message: M) {
        drop((self.function)(message, from.unwrap_or(Pid::nobody_ref())));
    }
    fn ask(&self, message: M) -> oneshot::Receiver<M::Answer> {
        let (answer, receiver) = oneshot::channel();
        let _ = answer.send((self.function)(message, Pid::nobody_ref()));
        receiver
    }
}

/// An actor of which only one message is known.
pub struct Recipient<M: Message> {
    target: Arc<dyn Receive<M>>,
}

impl<M: Message> Recipient<M> {
    /// A recipient without an actor, called on the sender's thread: for tests and for bridges out of the actors'
    /// world. The function must not block.
    pub fn from_fn(pid: Pid, function: impl Fn(M, &Pid) -> M::Answer + Send + Sync + 'static) -> Recipient<M>
    where
        M: 'static,
    {
        Recipient { target: Arc::new(Function { pid, function }) }
    }

    /// The actor's pid.
    pub fn pid(&self) -> &Pid {
        self.target.pid()
    }

    /// As [`Address::tell`].
    pub fn tell(&self, message: M) {
        self.target.tell(None, message);
    }

    /// As [`Address::tell_from`].
    pub fn tell_from(&self, from: &Pid, message: M) {
        self.target.tell(Some(from), message);
    }

    /// As [`Address::ask`].
    ///
    /// # Errors
    /// [`Gone`] if the actor ended before it answered.
    pub fn ask(&self, message: M) -> impl Future<Output = Result<M::Answer, Gone>> + Send + use<M> {
        let answer = self.target.ask(message);
        async move { answer.await.map_err(|_| Gone) }
    }
}

impl<M: Message> Clone for Recipient<M> {
    fn clone(&self) -> Recipient<M> {
        Recipient { target: Arc::clone(&self.target) }
    }
}

impl<M: Message> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.pid())
    }
}
