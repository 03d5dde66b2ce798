//! What an init system is to daemons: whoever ends is started again.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use crate::Daemon;

/// How often it is looked who has ended.
const LOOK: Duration = Duration::from_millis(50);
/// How long who has ended by itself rests before it is started again.
const REST: Duration = Duration::from_millis(300);

/// Keeps daemons running. Dropping it ends them.
#[derive(Debug, Default)]
pub struct Init {
    services: RefCell<Vec<Service>>,
}

/// One of the daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(usize);

#[derive(Debug)]
struct Service {
    daemon: Daemon,
    /// When it is to be started again.
    due: Option<Instant>,
    restarts: usize,
}

impl Init {
    /// Keeps this one running, too.
    pub fn add(&self, daemon: Daemon) -> Name {
        let mut services = self.services.borrow_mut();
        services.push(Service { daemon, due: None, restarts: 0 });
        Name(services.len() - 1)
    }

    /// Starts again whoever ends; never returns.
    pub async fn watch(&self) {
        loop {
            let now = Instant::now();
            for service in self.services.borrow_mut().iter_mut() {
                service.look(now);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Kills it (SIGKILL); it is started again after this rest.
    pub fn kill(&self, name: Name, rest: Duration) {
        let service = &mut self.services.borrow_mut()[name.0];
        service.daemon.crash();
        service.due = Some(Instant::now() + rest);
    }

    /// Stops it in its tracks (SIGSTOP).
    pub fn freeze(&self, name: Name) {
        self.services.borrow()[name.0].daemon.freeze();
    }

    /// Lets it go on.
    pub fn resume(&self, name: Name) {
        self.services.borrow()[name.0].daemon.resume();
    }

    /// The processes below it.
    pub fn below(&self, name: Name) -> Vec<i32> {
        self.services.borrow()[name.0].daemon.below()
    }

    /// All that it has printed, over all its starts.
    pub fn log(&self, name: Name) -> String {
        self.services.borrow()[name.0].daemon.log()
    }

    /// How often daemons were started again.
    pub fn restarts(&self) -> usize {
        self.services.borrow().iter().map(|service| service.restarts).sum()
    }

    /// Ends all of them, and starts none again.
    pub fn end(&self) {
        self.services.borrow_mut().clear();
    }
}

impl Service {
    fn look(&mut self, now: Instant) {
        if self.daemon.is_running() {
            return;
        }
        if now >= *self.due.get_or_insert(now + REST) {
            self.due = None;
            self.restarts += 1;
            self.daemon.restart();
        }
    }
}
