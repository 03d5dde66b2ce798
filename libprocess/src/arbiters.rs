//! The threads of a node: which arbiter an actor's place is.
//!
//! An actor stays on the thread that it started on. A thread begins when the first actor wants its place, and ends with
//! the node. A node in a test has one thread for everything.

use std::collections::BTreeMap;
use std::future::Future;
use std::thread::ThreadId;

use actix_rt::{Arbiter, ArbiterHandle, System};
use parking_lot::Mutex;

use crate::process::Place;

/// The arbiters of one node. Those beside the control plane's start when they are first needed.
pub(crate) struct Arbiters {
    system: System,
    control: ArbiterHandle,
    control_thread: ThreadId,
    /// `None`: everything runs on the control plane's thread.
    others: Option<Mutex<BTreeMap<&'static str, Arbiter>>>,
}

impl Arbiters {
    /// `None` outside of an actix System ([`crate::run`]).
    pub(crate) fn new(single: bool) -> Option<Arbiters> {
        let system = System::try_current()?;
        let control = Arbiter::try_current()?;
        let others = if single { None } else { Some(Mutex::new(BTreeMap::new())) };
        Some(Arbiters { system, control, control_thread: std::thread::current().id(), others })
    }

    /// Whether everything runs on one thread.
    pub(crate) fn is_single(&self) -> bool {
        self.others.is_none()
    }

    /// Runs `start` on the thread of `place`: at once if this is the thread. False if the thread has ended;
    /// `start` is dropped then.
    pub(crate) fn start(&self, place: Place, start: impl FnOnce() + Send + 'static) -> bool {
        match self.handle(place) {
            Some(arbiter) => arbiter.spawn_fn(start),
            None if std::thread::current().id() == self.control_thread => {
                start();
                true
            }
            None => self.control.spawn_fn(start),
        }
    }

    /// Runs a future on the thread of `place`.
    pub(crate) fn spawn(&self, place: Place, future: impl Future<Output = ()> + Send + 'static) -> bool {
        match self.handle(place) {
            Some(arbiter) => arbiter.spawn(future),
            None => self.control.spawn(future),
        }
    }

    /// The arbiter of a place; `None` means the control plane's.
    fn handle(&self, place: Place) -> Option<ArbiterHandle> {
        let name = match place {
            Place::Control => return None,
            Place::Http => "http",
            Place::Own(name) => name,
        };
        let mut others = self.others.as_ref()?.lock();
        let arbiter = others.entry(name).or_insert_with(|| {
            // A thread that is none of actix's may spawn actors, too.
            if System::try_current().is_none() {
                System::set_current(self.system.clone());
            }
            Arbiter::new()
        });
        Some(arbiter.handle())
    }

    /// Ends the threads; gives what waits for them.
    pub(crate) fn stop(&self) -> Vec<Arbiter> {
        let Some(others) = &self.others else { return Vec::new() };
        let stopped: Vec<Arbiter> = std::mem::take(&mut *others.lock()).into_values().collect();
        for arbiter in &stopped {
            arbiter.stop();
        }
        stopped
    }
}

/// Threads do not outlive their node.
impl Drop for Arbiters {
    fn drop(&mut self) {
        drop(self.stop());
    }
}
