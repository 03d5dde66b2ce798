//! Notes that this process runs, so that a leader that was stopped knows it before it answers anybody.
//!
//! Who is stopped (SIGSTOP, a machine that stands still) for longer than a session with the group of masters lives has
//! been deposed meanwhile. The session counts its own time (`election`), but its end comes to the master as a message,
//! behind what others have asked meanwhile: that would be answered from books that are old, that a task is gone, say,
//! which runs under the next leader (found by simulation; upstream answers). How long a session lives is what the
//! service has agreed to, which may be more or less than `--zk_session_timeout`.
//!
//! | receives | from | does |
//! |---|---|---|
//! | `Beat` | itself, every [`INTERVAL`] | notes the time; tells the master if the last one was too long ago |
//!
//! It is not the master that notes the time: its queue may be long, and it would take that for a stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use libprocess::{Address, Context, Handle, Node, Pid, Process, Recipient, messages};

/// How often the time is noted.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
struct Beat;

/// This process has stood still for longer than its session lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoodStill;

messages! { Beat; StoodStill; }

/// The actor `pulse(1)`. See the module.
pub(crate) struct Pulse {
    watch: Watch,
    master: Recipient<StoodStill>,
}

/// Says whether the process has stood still; for the master, before it answers.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    node: Node,
    /// A stop that is longer.
    limit: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// When the time was last noted, in milliseconds since the node started.
    noted: AtomicU64,
    stopped: AtomicBool,
}

/// Watches for stops that are longer than a session lives. From then on the answer stays the same, and `master` is told.
pub(crate) fn watch(
    node: &Node,
    session_timeout: Duration,
    master: Recipient<StoodStill>,
) -> (Watch, Address<Pulse>) {
    // The last note may be an interval old when the stop begins. Of a short session that is a large part: what the session
    // itself outlives (it gives five signs of life in its time) is no stop.
    let limit = session_timeout.max(session_timeout * 4 / 5 + INTERVAL);
    let watch = Watch { node: node.clone(), limit, shared: Arc::default() };
    watch.note();
    let pulse = Pulse { watch: watch.clone(), master };
    (watch, node.spawn_numbered(pulse))
}

impl Watch {
    /// Whether the process has stood still for longer than its session lives, now or before.
    pub(crate) fn has_stood_still(&self) -> bool {
        let noted = Duration::from_millis(self.shared.noted.load(Ordering::Acquire));
        if self.node.elapsed().saturating_sub(noted) > self.limit {
            self.shared.stopped.store(true, Ordering::Release);
        }
        self.shared.stopped.load(Ordering::Acquire)
    }

    fn note(&self) {
        let now = u64::try_from(self.node.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shared.noted.store(now, Ordering::Release);
    }
}

impl Process for Pulse {
    const NAME: &'static str = "pulse";

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.every(INTERVAL, Beat);
    }
}

impl Handle<Beat> for Pulse {
    fn handle(&mut self, _: Beat, _: &Pid, ctx: &mut Context<Self>) {
        // First: a stop that was noted over would be forgotten.
        if self.watch.has_stood_still() {
            self.master.tell(StoodStill);
            ctx.terminate();
        } else {
            self.watch.note();
        }
    }
}

#[cfg(test)]
mod tests {
    use libprocess::testing;
    use parking_lot::Mutex;

    use super::*;

    /// Another master may lead by then.
    #[test]
    fn a_stop_that_is_a_little_longer_than_a_session_is_seen() {
        testing::run(async {
            let node = Node::builder().offline().start().await.unwrap();
            let master = Recipient::from_fn(Pid::nobody(), |_: StoodStill, _: &Pid| {});
            let (watch, _pulse) = watch(&node, Duration::from_secs(10), master);
            tokio::time::advance(Duration::from_millis(10_500)).await;
            assert!(watch.has_stood_still());
        });
    }

    #[test]
    fn a_stop_that_is_longer_than_a_session_is_seen_at_once_and_stays_known() {
        testing::run(async {
            let node = Node::builder().offline().start().await.unwrap();
            let told = Arc::<Mutex<u32>>::default();
            let count = told.clone();
            let master = Recipient::from_fn(Pid::nobody(), move |_: StoodStill, _: &Pid| *count.lock() += 1);
            let (watch, _pulse) = watch(&node, Duration::from_secs(10), master);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert!(!watch.has_stood_still());
            // A short one.
            tokio::time::advance(Duration::from_secs(9)).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(!watch.has_stood_still());
            tokio::time::advance(Duration::from_secs(13)).await;
            assert!(watch.has_stood_still());
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(watch.has_stood_still());
            assert_eq!(*told.lock(), 1);
        });
    }
}
