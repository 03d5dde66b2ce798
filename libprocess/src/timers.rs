//! The timers of one actor: a sorted list of deadlines, and one sleep for the earliest.
//!
//! tokio's timers have a grain of 1 ms and always round up. A due timer's message goes behind what already
//! waits in the actor's queue, as upstream's `delay` does; one that is cancelled after that is still not
//! delivered. A repeated timer counts its next interval from when it fired: a late one makes no burst.

use std::future::Future;
use std::pin::Pin;
use std::task;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::context::Context;
use crate::envelope::{Deliver, Envelope, EventKind, QueuedEvent};
use crate::few::{FewMap, FewSet};
use crate::pid::Pid;
use crate::process::{Handle, Message, Process};

/// A timer that can be cancelled ([`Context::cancel`]). Dropping it does not cancel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer(u64);

/// Makes the next envelope.
type Fire<P> = Box<dyn FnMut(Timer) -> Envelope<P>>;

struct Entry<P> {
    fire: Fire<P>,
    interval: Option<Duration>,
    deadline: Instant,
}

pub(crate) struct Timers<P> {
    next: u64,
    entries: FewMap<Timer, Entry<P>>,
    deadlines: FewSet<(Instant, Timer)>,
    /// Fired once-only timers whose message waits in the queue.
    queued: FewSet<Timer>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// A timer's message on its way through the queue.
struct Fired<M> {
    timer: Timer,
    message: M,
}

impl<P: Handle<M>, M: Message> Deliver<P> for Fired<M> {
    fn deliver(self: Box<Self>, process: &mut P, ctx: &mut Context<P>) {
        if ctx.timers.may_deliver(self.timer) {
            drop(process.handle(self.message, Pid::nobody_ref(), ctx));
        }
    }
    fn kind(&self) -> EventKind {
        EventKind::Dispatch
    }
    fn describe(&self) -> QueuedEvent {
        QueuedEvent { kind: EventKind::Dispatch, name: std::any::type_name::<M>().to_owned(), from: None }
    }
}

impl<P: Process> Timers<P> {
    pub(crate) fn new() -> Timers<P> {
        Timers {
            next: 0,
            entries: FewMap::default(),
            deadlines: FewSet::default(),
            queued: FewSet::default(),
            sleep: None,
        }
    }

    pub(crate) fn once<M: Message>(&mut self, delay: Duration, message: M) -> Timer
    where
        P: Handle<M>,
    {
        let mut message = Some(message);
        let fire: Fire<P> = Box::new(move |timer| {
            let message = message.take().expect("a timer without an interval is removed when it fires");
            Box::new(Fired { timer, message })
        });
        self.insert(delay, None, fire)
    }

    pub(crate) fn repeated<M: Message + Clone>(&mut self, interval: Duration, message: M) -> Timer
    where
        P: Handle<M>,
    {
        // An interval of zero would never let the actor rest.
        let interval = interval.max(Duration::from_millis(1));
        let fire: Fire<P> = Box::new(move |timer| Box::new(Fired { timer, message: message.clone() }));
        self.insert(interval, Some(interval), fire)
    }

    fn insert(&mut self, delay: Duration, interval: Option<Duration>, fire: Fire<P>) -> Timer {
        let timer = Timer(self.next);
        self.next += 1;
        let deadline = later(Instant::now(), delay);
        self.deadlines.insert((deadline, timer));
        self.entries.insert(timer, Entry { fire, interval, deadline });
        timer
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        self.queued.remove(&timer);
        if let Some(entry) = self.entries.remove(&timer) {
            self.deadlines.remove(&(entry.deadline, timer));
        }
    }

    /// Whether a queued message's timer was not cancelled since.
    fn may_deliver(&mut self, timer: Timer) -> bool {
        self.queued.remove(&timer) || self.entries.contains_key(&timer)
    }

    /// Fires what is due and sleeps until what is next. True if anything fired.
    pub(crate) fn poll(&mut self, task: &mut task::Context<'_>, mut push: impl FnMut(Envelope<P>)) -> bool {
        let mut fired = false;
        while let Some(&(deadline, _)) = self.deadlines.first() {
            if deadline <= Instant::now() {
                self.fire_first(&mut push);
                fired = true;
                continue;
            }
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            if sleep.as_mut().poll(task).is_pending() {
                break;
            }
        }
        if self.deadlines.is_empty() {
            self.sleep = None;
        }
        fired
    }

    fn fire_first(&mut self, push: &mut impl FnMut(Envelope<P>)) {
        let Some((_, timer)) = self.deadlines.pop_first() else { return };
        let Some(mut entry) = self.entries.remove(&timer) else { return };
        push((entry.fire)(timer));
        match entry.interval {
            Some(interval) => {
                entry.deadline = later(Instant::now(), interval);
                self.deadlines.insert((entry.deadline, timer));
                self.entries.insert(timer, entry);
            }
            None => {
                self.queued.insert(timer);
            }
        }
    }
}

/// A deadline; a delay beyond what the clock can hold is some 30 years.
fn later(now: Instant, delay: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    now + delay.min(FAR)
}
