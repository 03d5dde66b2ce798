//! What both drivers keep of their connection: one streaming subscription, and beside it one ordered
//! connection for everything else they say. Plain state; the drivers decide.

use libprocess::http::Pipeline;

/// As many calls may wait for their answers, and as many bytes of them: enough to keep a connection busy, and less than
/// what a [`Pipeline`] takes. What is more waits in the driver.
const MAX_IN_FLIGHT: usize = 8 << 10;
const MAX_BYTES: usize = 16 << 20;

/// How far a driver is with its subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is open.
    Disconnected,
    /// SUBSCRIBE was sent, SUBSCRIBED has not come.
    Subscribing,
    /// Events flow.
    Subscribed,
}

/// One connection after another; what belongs to an earlier one is recognised by its number.
pub(crate) struct Link {
    pub(crate) phase: Phase,
    /// Counts the connections. Answers, events and timers of an earlier one are ignored.
    pub(crate) epoch: u64,
    /// For calls other than SUBSCRIBE; open once the subscription is.
    pub(crate) pipeline: Option<Pipeline>,
    /// Calls that wait for their answer.
    pub(crate) in_flight: usize,
    /// The bytes of those.
    bytes: usize,
}

impl Link {
    pub(crate) fn new() -> Self {
        Link { phase: Phase::Disconnected, epoch: 0, pipeline: None, in_flight: 0, bytes: 0 }
    }

    /// Closes what is open. Answers whether events did flow.
    pub(crate) fn close(&mut self) -> bool {
        let was = std::mem::replace(&mut self.phase, Phase::Disconnected);
        self.epoch += 1;
        self.pipeline = None;
        self.in_flight = 0;
        self.bytes = 0;
        was == Phase::Subscribed
    }

    /// Whether another call may be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight == 0 || (self.in_flight < MAX_IN_FLIGHT && self.bytes < MAX_BYTES)
    }

    /// A call of so many bytes was sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.in_flight += 1;
        self.bytes += bytes;
    }

    /// One was answered.
    pub(crate) fn answered(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The connection for calls. A node that has too many connections, or a proxy, closes one that is idle. Nobody
    /// waits for an answer on it then, the subscription stands, and the next call has a new one.
    pub(crate) fn calls(&mut self, open: impl FnOnce() -> Pipeline) -> Option<Pipeline> {
        let pipeline = self.pipeline.as_mut()?;
        if self.in_flight == 0 && pipeline.ended().is_some() {
            *pipeline = open();
        }
        Some(pipeline.clone())
    }

    pub(crate) fn is_current(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }
}
