//! The actix actor around a [`Process`].
//!
//! actix gives the cell its thread, its task and its life cycle; the queue is ours ([`crate::mailbox`]). One future,
//! spawned into the actix context, takes envelopes in batches, fires timers and polls what was deferred. Panics end
//! here: actix would drop the actor in silence, we end it with [`Exit::Panicked`] and tell those who are linked.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use actix::{Actor, ActorContext, AsyncContext};

use crate::context::Context;
use crate::mailbox::Mailbox;
use crate::node::Node;
use crate::process::{Exit, Process};
use crate::turn;

/// Events that one actor handles before others of its thread get their turn.
const BATCH: usize = 128;
/// Deferred steps that one actor takes before its queue, and others of its thread, get their turn.
const DEFERRED: usize = 32;

/// A process and its context on their thread.
pub(crate) struct Cell<P: Process> {
    /// `None` once it has ended. Boxed, because actix wants its actors `Unpin`.
    living: Option<Box<Living<P>>>,
    node: Node,
    mailbox: Arc<Mailbox<P>>,
}

struct Living<P: Process> {
    process: P,
    ctx: Context<P>,
    started: bool,
}

/// How a turn ended.
enum Turn {
    Sleep,
    End(Exit),
}

impl<P: Process> Cell<P> {
    /// Starts the actor on the current thread, which must be an actix arbiter.
    pub(crate) fn start_here(process: P, node: Node, mailbox: Arc<Mailbox<P>>) {
        let ctx = Context::new(node.clone(), Arc::clone(&mailbox));
        let living = Some(Box::new(Living { process, ctx, started: false }));
        Cell { living, node, mailbox }.start();
    }

    /// Ends the actor: tells it, releases what it holds, then tells the node and whoever waits.
    fn end(&mut self, exit: Exit) {
        let Some(mut living) = self.living.take() else { return };
        if let Exit::Panicked(text) = &exit {
            tracing::error!(actor = %self.mailbox.pid(), panic = %text, "an actor panicked");
            crate::testing::note_panic(self.mailbox.pid(), text);
        }
        let mut exit = exit;
        let last = catch_unwind(AssertUnwindSafe(|| living.process.stopping(&exit, &mut living.ctx)));
        self.mailbox.close();
        living.ctx.release();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(living)));
        if let Err(panic) = last.and(dropped) {
            let text = panic_text(&*panic);
            tracing::error!(actor = %self.mailbox.pid(), panic = %text, "an actor panicked while it ended");
            crate::testing::note_panic(self.mailbox.pid(), &text);
            exit = Exit::Panicked(text);
        }
        self.node.actor_ended(self.mailbox.pid());
        self.mailbox.publish(exit);
    }
}

impl<P: Process> Living<P> {
    fn turn(&mut self, task: &mut task::Context<'_>) -> Turn {
        let Living { process, ctx, started } = self;
        if !*started {
            *started = true;
            process.started(ctx);
        }
        let mut budget = BATCH;
        loop {
            loop {
                if ctx.mailbox().is_killed() {
                    return Turn::End(Exit::Killed);
                }
                if let Some(exit) = ctx.ending() {
                    return Turn::End(exit.clone());
                }
                if budget == 0 {
                    break;
                }
                let Some(envelope) = ctx.mailbox().take() else { break };
                budget -= 1;
                envelope.deliver(process, ctx);
            }
            // In each turn, also when the queue is never empty: an actor that is flooded still hears its clock and
            // the answers that it waits for.
            let mailbox = ctx.shared_mailbox();
            let fired = ctx.timers.poll(task, |envelope| {
                mailbox.push(envelope);
            });
            let mut done = 0;
            while done < DEFERRED
                && ctx.ending().is_none()
                && let Some(then) = ctx.poll_deferred(task)
            {
                done += 1;
                then(process, ctx);
            }
            if budget == 0 || done == DEFERRED {
                task.waker().wake_by_ref();
                return Turn::Sleep;
            }
            if !fired && done == 0 && ctx.mailbox().sleep(task.waker()) {
                return Turn::Sleep;
            }
        }
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a text".to_owned()
    }
}

impl<P: Process> Actor for Cell<P> {
    type Context = actix::Context<Cell<P>>;

    fn started(&mut self, actix: &mut Self::Context) {
        actix.spawn(Drain(PhantomData));
    }
}

/// The arbiter ended, and the actor with it.
impl<P: Process> Drop for Cell<P> {
    fn drop(&mut self) {
        self.end(Exit::Killed);
    }
}

/// The future that drives a cell.
struct Drain<P>(PhantomData<fn() -> P>);

impl<P: Process> actix::fut::ActorFuture<Cell<P>> for Drain<P> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        cell: &mut Cell<P>,
        actix: &mut actix::Context<Cell<P>>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        crate::testing::note_activity();
        let Some(living) = &mut cell.living else { return Poll::Ready(()) };
        if cell.node.is_frozen(task) && !cell.mailbox.is_killed() {
            return Poll::Pending;
        }
        let exit = match turn::take(|| catch_unwind(AssertUnwindSafe(|| living.turn(task)))) {
            Ok(Turn::Sleep) => return Poll::Pending,
            Ok(Turn::End(exit)) => exit,
            Err(panic) => Exit::Panicked(panic_text(&*panic)),
        };
        cell.end(exit);
        actix.stop();
        Poll::Ready(())
    }
}
