//! A framework's scheduler, whichever way it is connected: by a stream of the HTTP API, or as a driver, by its pid.
//!
//! Who has something to say to a framework uses [`Master::send`], and does not know which way it is. A framework has one
//! scheduler: the streams are the master's (`Master::streams`), pids are in the books (`Framework::pid`), and a framework
//! that has the one does not have the other.

use libprocess::{Context, Pid};
use mesos::FrameworkId;
use mesos::v1::scheduler::{Event, event::Type};

use super::events;
use super::stream::{self, Stream};
use crate::driver;
use crate::master::{Master, StreamBroken};

/// Who subscribes.
pub(crate) enum Scheduler {
    /// One that reads a stream.
    Stream(Stream),
    /// A driver.
    Driver {
        /// Where it is.
        pid: Pid,
        /// It was the framework's scheduler before, and no other one may have been it since: it is told that it is
        /// *re*-registered.
        again: bool,
    },
}

impl Scheduler {
    /// Tells it that it is no framework's scheduler.
    pub(crate) fn refuse(&self, message: impl Into<String>, ctx: &Context<Master>) {
        match self {
            Self::Stream(stream) => stream.refuse(message),
            Self::Driver { pid, .. } => driver::events::refuse(pid, message, ctx),
        }
    }

    fn pid(&self) -> Option<&Pid> {
        match self {
            Self::Stream(_) => None,
            Self::Driver { pid, .. } => Some(pid),
        }
    }
}

impl Master {
    /// Sends an event to a framework, if it is connected.
    pub(crate) fn send(&mut self, framework: &FrameworkId, event: Event, ctx: &mut Context<Self>) {
        if let Some(stream) = self.streams.get(framework) {
            self.metrics.framework(framework).event(event.r#type());
            if !stream.send(&event) {
                let stream = stream.id;
                ctx.address().tell(StreamBroken { framework: framework.clone(), stream });
            }
        } else if let Some(state) = self.cluster.framework(framework).filter(|state| state.is_connected())
            && let Some(pid) = &state.pid
        {
            self.metrics.framework(framework).event(event.r#type());
            driver::events::post(&self.cluster, framework, pid, event, ctx);
        }
    }
}

/// Ends what another scheduler of the framework may still hold, which is told why. A driver that subscribes again from its
/// pid is the same one.
pub(crate) fn replace(master: &mut Master, id: &FrameworkId, next: &Scheduler, ctx: &mut Context<Master>) {
    let Some(state) = master.cluster.framework(id).filter(|state| state.is_connected()) else { return };
    if state.pid.is_some() && state.pid.as_ref() == next.pid() {
        return;
    }
    tracing::info!(framework_id = %id, "the framework failed over");
    match master.streams.swap_remove(id) {
        Some(old) => {
            old.refuse("Framework failed over");
            master.metrics.framework(id).event(Type::Error);
        }
        None => {
            master.send(id, events::error("Framework failed over"), ctx);
            master.cluster.set_framework_pid(id, None);
        }
    }
}

/// Makes a scheduler the framework's, and tells it so. What happens when it goes away is arranged here.
pub(crate) fn attach(master: &mut Master, id: &FrameworkId, scheduler: Scheduler, ctx: &mut Context<Master>) {
    master.cluster.set_framework_pid(id, scheduler.pid().cloned());
    master.metrics.framework(id).set_subscribed(true);
    match scheduler {
        Scheduler::Stream(stream) => stream::attach(master, id, stream, ctx),
        Scheduler::Driver { pid, again } => {
            // The link may have broken before.
            ctx.link(&pid);
            driver::events::registered(master, id, &pid, again, ctx);
        }
    }
}
