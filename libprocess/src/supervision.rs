//! Keeping an actor alive: [`Supervisor`].
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`GetChild`] | anybody | the address of the living child, if it lives |
//! | `Start` | itself, after a pause | makes the child anew |
//!
//! A supervisor makes its child from a factory and waits for its end. A child that fails ([`Exit::Panicked`],
//! [`Exit::Failed`]) is made anew after a pause that doubles; one that was ended ([`Exit::Terminated`],
//! [`Exit::Killed`]) is not, and ends its supervisor, too. A child that fails too often ends it with
//! [`Exit::Failed`]: whoever waits for the supervisor, is linked to it, or supervises it (a supervisor may be
//! another's child) takes it from there.
//!
//! A new child has the id of the old one and none of its state: what waited in the queue is gone, links to it have
//! broken, and addresses of the old one reach nobody. Pids reach the new one.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::address::Address;
use crate::context::Context;
use crate::pid::Pid;
use crate::process::{Exit, Handle, Message, Place, Process};

/// How often, and how soon, a child that fails is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarts {
    /// How many restarts within `within` at most: the supervisor fails with the next one.
    pub most: u32,
    /// How long a restart is held against the child.
    pub within: Duration,
    /// How long to pause before a restart, if none is held against the child. Doubled for each that is.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Restarts {
    /// Five within a minute, after 100 ms, 200 ms, ... and at most 10 s.
    fn default() -> Restarts {
        Restarts {
            most: 5,
            within: Duration::from_secs(60),
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
        }
    }
}

impl Restarts {
    /// How long to pause before the next restart; `None` if there must not be another. `past` holds when the earlier
    /// ones were decided.
    fn next(&self, past: &mut VecDeque<Duration>, now: Duration) -> Option<Duration> {
        while past.front().is_some_and(|&at| now.saturating_sub(at) >= self.within) {
            past.pop_front();
        }
        let held = u32::try_from(past.len()).unwrap_or(u32::MAX);
        if held >= self.most {
            return None;
        }
        past.push_back(now);
        let doubled = 1u32.checked_shl(held).unwrap_or(u32::MAX);
        Some(self.pause.saturating_mul(doubled).min(self.longest_pause))
    }
}

/// An actor that keeps another one alive; the module says how.
pub struct Supervisor<P: Process> {
    id: String,
    restarts: Restarts,
    make: Box<dyn FnMut() -> P + Send>,
    child: Option<Address<P>>,
    past: VecDeque<Duration>,
}

impl<P: Process> Supervisor<P> {
    /// Of the actor that `make` makes and that lives under this id. A panic of `make` is the supervisor's own.
    pub fn new(
        id: impl Into<String>,
        restarts: Restarts,
        make: impl FnMut() -> P + Send + 'static,
    ) -> Supervisor<P> {
        Supervisor { id: id.into(), restarts, make: Box::new(make), child: None, past: VecDeque::new() }
    }

    fn start(&mut self, ctx: &mut Context<Self>) {
        let child = ctx.node().spawn_as(&self.id, (self.make)());
        ctx.defer(child.wait(), Self::child_ended);
        self.child = Some(child);
    }

    fn child_ended(&mut self, exit: Exit, ctx: &mut Context<Self>) {
        self.child = None;
        let reason = match exit {
            Exit::Terminated | Exit::Killed => {
                tracing::debug!(actor = self.id, ?exit, "a supervised actor was ended");
                ctx.terminate();
                return;
            }
            Exit::Panicked(text) => format!("panicked: {text}"),
            Exit::Failed(text) => format!("failed: {text}"),
        };
        match self.restarts.next(&mut self.past, ctx.node().elapsed()) {
            Some(pause) => {
                tracing::warn!(actor = self.id, reason, ?pause, "a supervised actor will be started again");
                ctx.after(pause, Start);
            }
            None => {
                let Restarts { most, within, .. } = self.restarts;
                let often = format!("after {most} restarts within {within:?}");
                ctx.fail(format!("`{}` is given up {often}; the last time it {reason}", self.id));
            }
        }
    }
}

impl<P: Process> Process for Supervisor<P> {
    const NAME: &'static str = "supervisor";
    const PLACE: Place = P::PLACE;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start(ctx);
    }

    /// Nobody would look after the child.
    fn stopping(&mut self, exit: &Exit, _: &mut Context<Self>) {
        match (&self.child, exit) {
            (Some(child), Exit::Terminated) => child.terminate(),
            (Some(child), _) => child.kill(),
            (None, _) => {}
        }
    }
}

/// The pause is over.
struct Start;

/// Asks a supervisor for its child; `None` during a pause.
pub struct GetChild<P>(PhantomData<fn() -> P>);

impl<P> GetChild<P> {
    /// The question.
    #[allow(clippy::new_without_default, reason = "a question has no default")]
    pub fn new() -> GetChild<P> {
        GetChild(PhantomData)
    }
}

crate::messages! { Start; }

impl<P: Process> Message for GetChild<P> {
    type Answer = Option<Address<P>>;
}

impl<P: Process> Handle<Start> for Supervisor<P> {
    fn handle(&mut self, _: Start, _: &Pid, ctx: &mut Context<Self>) {
        self.start(ctx);
    }
}

impl<P: Process> Handle<GetChild<P>> for Supervisor<P> {
    fn handle(&mut self, _: GetChild<P>, _: &Pid, _: &mut Context<Self>) -> Option<Address<P>> {
        self.child.clone()
    }
}

impl<P: Process> fmt::Debug for Supervisor<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("id", &self.id)
            .field("restarts", &self.restarts)
            .finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for GetChild<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GetChild")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(restarts: Restarts, at_ms: &[u64]) -> Vec<Option<u128>> {
        let mut past = VecDeque::new();
        let mut next =
            |&at| restarts.next(&mut past, Duration::from_millis(at)).map(|pause| pause.as_millis());
        at_ms.iter().map(&mut next).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_restarts_are_counted() {
        let restarts = Restarts { longest_pause: Duration::from_millis(300), ..Restarts::default() };
        let pauses = [Some(100), Some(200), Some(300), Some(300), Some(300), None, None];
        assert_eq!(decide(restarts, &[0, 1, 2, 3, 4, 5, 6]), pauses);
        assert_eq!(decide(Restarts { most: 0, ..restarts }, &[0]), [None]);
    }

    #[test]
    fn a_restart_is_forgotten_after_its_time() {
        let restarts = Restarts { most: 2, within: Duration::from_millis(1000), ..Restarts::default() };
        assert_eq!(
            decide(restarts, &[0, 500, 999, 1000, 1001, 3000]),
            [Some(100), Some(200), None, Some(200), None, Some(100)]
        );
    }
}
