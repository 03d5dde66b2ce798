//! A subscribed scheduler's stream of events.
//!
//! Each event is one RecordIO record and one chunk. Nothing waits: a scheduler that reads so slowly
//! that its buffer is full is disconnected, as if its connection had broken.

use libprocess::Context;
use libprocess::http::{Body, StreamSender, stream};
use mesos::v1::scheduler::Event;
use mesos::{FrameworkId, MediaType, codec};
use uuid::Uuid;

use super::events;
use crate::master::{Master, StreamBroken, Timeout};

/// The writing end of a stream.
pub(crate) struct Stream {
    /// What the scheduler's other calls carry in `Mesos-Stream-Id`.
    pub(crate) id: Uuid,
    media: MediaType,
    sender: StreamSender,
}

impl Stream {
    /// A stream, and the body of the answer that it becomes.
    pub(crate) fn new(id: Uuid, media: MediaType) -> (Self, Body) {
        let (sender, body) = stream();
        (Self { id, media, sender }, body)
    }

    /// Writes one event; whether it was taken.
    pub(crate) fn send(&self, event: &Event) -> bool {
        self.sender.send(codec::encode_record(self.media, event)).is_ok()
    }

    /// Ends the stream behind what was written.
    pub(crate) fn close(&self) {
        self.sender.close();
    }

    /// Ends the stream with the reason.
    pub(crate) fn refuse(&self, message: impl Into<String>) {
        self.send(&events::error(message));
        self.close();
    }
}

/// Makes a stream a framework's, from SUBSCRIBED on. What happens when it breaks is arranged here.
pub(super) fn attach(
    master: &mut Master,
    framework: &FrameworkId,
    stream: Stream,
    ctx: &mut Context<Master>,
) {
    let id = stream.id;
    let closed = stream.sender.closed();
    let owner = framework.clone();
    ctx.defer(closed, move |master, (), ctx| {
        super::lifecycle::stream_broken(master, StreamBroken { framework: owner, stream: id }, ctx);
    });
    master.streams.insert(framework.clone(), stream);
    let subscribed = events::subscribed(framework, &master.info);
    master.send(framework, subscribed, ctx);
    heartbeat(master, framework.clone(), id, ctx);
}

/// Sends a heartbeat, and another one after the interval, for as long as this stream is the framework's.
pub(crate) fn heartbeat(master: &mut Master, framework: FrameworkId, id: Uuid, ctx: &mut Context<Master>) {
    if master.streams.get(&framework).is_some_and(|stream| stream.id == id) {
        master.send(&framework, events::heartbeat(), ctx);
        ctx.after(events::HEARTBEAT_INTERVAL, Timeout::Heartbeat(framework, id));
    }
}
