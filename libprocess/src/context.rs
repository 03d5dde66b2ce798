//! What a handler can do besides changing its actor: send, wait, link, defer, end.
//!
//! Nothing here waits. What comes of it later comes back to the actor: as a message, as a call of
//! [`Process::exited`], as the second half of something deferred; one at a time, like everything that touches its state,
//! and never after its end.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;

use crate::address::{Address, Recipient};
use crate::mailbox::Mailbox;
use crate::node::Node;
use crate::pid::Pid;
use crate::process::{Exit, Handle, Message, Process};
use crate::timers::{Timer, Timers};
use crate::wire::WireMessage;

/// What a deferred future leaves to do on the actor.
type Continuation<P> = Box<dyn FnOnce(&mut P, &mut Context<P>)>;

/// An actor's own side of its node. It lives as long as the actor, and everything in it dies with the actor:
/// timers, deferred futures, links.
pub struct Context<P: Process> {
    node: Node,
    mailbox: Arc<Mailbox<P>>,
    pub(crate) timers: Timers<P>,
    deferred: FuturesUnordered<LocalBoxFuture<'static, Continuation<P>>>,
    /// How the actor ends after the current handler, if it does.
    ending: Option<Exit>,
}

impl<P: Process> Context<P> {
    pub(crate) fn new(node: Node, mailbox: Arc<Mailbox<P>>) -> Context<P> {
        Context { node, mailbox, timers: Timers::new(), deferred: FuturesUnordered::new(), ending: None }
    }

    /// This actor's pid.
    pub fn pid(&self) -> &Pid {
        self.mailbox.pid()
    }

    /// This actor's address.
    pub fn address(&self) -> Address<P> {
        Address::new(Arc::clone(&self.mailbox))
    }

    /// The node that this actor lives on.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Wall time by the node's clock.
    pub fn now(&self) -> SystemTime {
        self.node.now()
    }

    /// Sends a message to an actor anywhere: moved if it lives here, encoded if not. Nothing is said if it
    /// does not arrive; [`Context::link`] tells of a connection that closes. Between two actors order holds
    /// as long as the connection does.
    pub fn post<M: WireMessage>(&self, to: &Pid, message: M) {
        self.node.post(self.pid(), to, message);
    }

    /// Sends a message of this node; its handler sees this actor as the sender.
    pub fn tell<Q: Handle<M>, M: Message>(&self, to: &Address<Q>, message: M) {
        to.tell_from(self.pid(), message);
    }

    /// As [`Context::tell`], to whoever takes the message.
    pub fn send<M: Message>(&self, to: &Recipient<M>, message: M) {
        to.tell_from(self.pid(), message);
    }

    /// Delivers `message` to this actor after `delay`. Grain: 1 ms, rounded up.
    pub fn after<M: Message>(&mut self, delay: Duration, message: M) -> Timer
    where
        P: Handle<M>,
    {
        self.timers.once(delay, message)
    }

    /// Delivers `message` to this actor every `interval`, first after one interval. An interval begins when the
    /// last one fired: a late one makes no burst.
    pub fn every<M: Message + Clone>(&mut self, interval: Duration, message: M) -> Timer
    where
        P: Handle<M>,
    {
        self.timers.repeated(interval, message)
    }

    /// Cancels a timer: its message is not delivered any more, even if it fired and waits in the queue.
    pub fn cancel(&mut self, timer: Timer) {
        self.timers.cancel(timer);
    }

    /// Watches another actor: [`Process::exited`] is called once when the link breaks, and the link is gone then.
    ///
    /// What is promised differs (upstream: `include/process/process.hpp`, `ProcessBase::link`):
    /// - An actor of this node: its end is always noticed, also if it had ended before the link.
    /// - An actor of another node: the link opens the persistent connection to that node, if there is none, and
    ///   breaks when the connection closes or cannot be opened. The remote actor may still be alive then; and if
    ///   only the actor ends while its node lives on, the link does not notice. Messages in flight are lost with
    ///   the connection.
    pub fn link(&mut self, to: &Pid) {
        self.node.link(self.pid(), to, false);
    }

    /// As [`Context::link`], but on a new connection: an old one to that node, which may be dead without our
    /// knowing, is replaced. Other links to that node move to the new connection without being told
    /// (upstream: `RemoteConnection::RECONNECT`).
    pub fn relink(&mut self, to: &Pid) {
        self.node.link(self.pid(), to, true);
    }

    /// Ends the connection to a node at once, in this direction: what that node's host has not received yet, it shall not
    /// receive, not even when the network between the two is well again. All links to that node break, of other actors, too.
    pub fn disconnect(&mut self, to: &Pid) {
        self.node.disconnect(to.address());
    }

    /// Stops watching.
    pub fn unlink(&mut self, to: &Pid) {
        self.node.unlink(self.pid(), to);
    }

    /// Runs a future on this actor's thread, then `then` on the actor (upstream: `defer`). Both are dropped if the
    /// actor ends first. The future need not be `Send`; a panic in it is the actor's.
    pub fn defer<F>(&mut self, future: F, then: impl FnOnce(&mut P, F::Output, &mut Context<P>) + 'static)
    where
        F: Future + 'static,
    {
        let continuation = async move {
            let output = future.await;
            Box::new(move |process: &mut P, ctx: &mut Context<P>| then(process, output, ctx))
                as Continuation<P>
        };
        self.deferred.push(continuation.boxed_local());
    }

    /// Asks another actor and goes on with its answer, or with `None` if it ended.
    pub fn ask<Q: Handle<M>, M: Message>(
        &mut self,
        to: &Address<Q>,
        message: M,
        then: impl FnOnce(&mut P, Option<M::Answer>, &mut Context<P>) + 'static,
    ) {
        let answer = to.ask(message);
        self.defer(answer, |process, answer, ctx| then(process, answer.ok(), ctx));
    }

    /// Ends this actor after the current handler; what waits is dropped.
    pub fn terminate(&mut self) {
        self.ending.get_or_insert(Exit::Terminated);
    }

    /// Ends this actor after the current handler, because it cannot go on: [`Exit::Failed`], after which a
    /// [`crate::Supervisor`] makes it anew. What waits is dropped.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.ending.get_or_insert_with(|| Exit::Failed(reason.into()));
    }

    pub(crate) fn ending(&self) -> Option<&Exit> {
        self.ending.as_ref()
    }

    /// The next deferred future that is done.
    pub(crate) fn poll_deferred(&mut self, task: &mut task::Context<'_>) -> Option<Continuation<P>> {
        match self.deferred.poll_next_unpin(task) {
            task::Poll::Ready(done) => done,
            task::Poll::Pending => None,
        }
    }

    pub(crate) fn shared_mailbox(&self) -> Arc<Mailbox<P>> {
        Arc::clone(&self.mailbox)
    }

    pub(crate) fn mailbox(&self) -> &Mailbox<P> {
        &self.mailbox
    }

    /// Drops timers and deferred futures.
    pub(crate) fn release(&mut self) {
        self.timers = Timers::new();
        let deferred = std::mem::take(&mut self.deferred);
        // A future's destructor may panic; the actor is already ending.
        let _: Result<(), Box<dyn Any + Send>> =
            std::panic::catch_unwind(AssertUnwindSafe(|| drop(deferred)));
    }
}

impl<P: Process> std::fmt::Debug for Context<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("pid", self.pid()).finish_non_exhaustive()
    }
}
