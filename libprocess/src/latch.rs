//! Something that happens once, and those who wait for it.
//!
//! They are woken in the order in which they began to wait: tokio's `watch` wakes in random order, and a simulation must
//! repeat itself. (Where one waits, as mostly for an actor's end, `watch` will do.)

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Closed at first; once it is open it stays open.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    is_open: AtomicBool,
    opened: Notify,
}

impl Latch {
    /// It happens.
    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::Release);
        self.opened.notify_waiters();
    }

    /// Waits until it has happened.
    pub(crate) fn opened(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let latch = Arc::clone(self);
        async move {
            // Made before the look: whatever comes after that wakes it.
            let opened = latch.opened.notified();
            if !latch.is_open.load(Ordering::Acquire) {
                opened.await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use parking_lot::Mutex;

    #[test]
    fn those_who_wait_are_woken_in_their_order_and_late_ones_do_not_wait() {
        crate::testing::run(async {
            let (latch, woken) = (Arc::new(Latch::default()), Arc::new(Mutex::new(Vec::new())));
            for number in 0..20 {
                let (opened, woken) = (latch.opened(), Arc::clone(&woken));
                actix_rt::spawn(async move {
                    opened.await;
                    woken.lock().push(number);
                });
            }
            crate::testing::settle().await;
            assert!(woken.lock().is_empty());
            latch.open();
            crate::testing::settle().await;
            assert_eq!(*woken.lock(), (0..20).collect::<Vec<_>>());
            assert_eq!(latch.opened().now_or_never(), Some(()));
        });
    }
}
