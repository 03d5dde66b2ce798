//! SUBSCRIBE: an operator is told the state, and then everything that happens to it (upstream: `Master::subscribe`,
//! `Master::Subscribers`).
//!
//! | event | when |
//! |---|---|
//! | SUBSCRIBED | first: the whole state |
//! | HEARTBEAT | at once behind it, and then every 15 s |
//! | FRAMEWORK_ADDED | a framework subscribed for the first time, or was found on an agent |
//! | FRAMEWORK_UPDATED | its scheduler subscribed again, or described it anew |
//! | FRAMEWORK_REMOVED | it was torn down, or did not come back |
//! | AGENT_ADDED | an agent registered, or came back |
//! | AGENT_REMOVED | it is no longer registered |
//! | TASK_ADDED | a task was launched, or found on an agent |
//! | TASK_UPDATED | a task has a new state, or the result of a check |
//!
//! State and events are one cut: the snapshot is taken, and the subscriber entered, in one turn of the master. An event
//! is written once for all subscribers of an encoding, the state once for all who subscribe while it is the same. There
//! are at most `--max_operator_event_stream_subscribers`: for one more, the oldest goes.
//!
//! The master never waits. The state is what the stream begins with ([`opened_stream`]): it is rendered elsewhere, poured
//! by whoever serves the connection, and counted as any large answer; 503 if there is no room for it. What happens
//! meanwhile waits in the stream. Who takes the state too slowly, or falls behind what happens, is disconnected.

use std::cell::OnceCell;

use bytes::Bytes;
use indexmap::IndexMap;
use libprocess::http::{Reply, Response, StreamSender, opened_stream};
use libprocess::metrics::Gauge;
use libprocess::{Context, FixedState};
use mesos::v1::master::{Event, event};
use mesos::{Enum, MediaType, codec};
use uuid::Uuid;

use super::state;
use crate::cluster::{Cluster, Snapshot};
use crate::frameworks::events::HEARTBEAT_INTERVAL;
use crate::master::{Master, Timeout};
use crate::rendering::document::Document;
use crate::rendering::{Pieces, Question, Reader, Renderings};

/// Those who are told.
pub(crate) struct Subscribers {
    /// The oldest first.
    streams: IndexMap<Uuid, (MediaType, StreamSender), FixedState>,
    limit: usize,
    /// `master/operator_event_stream_subscribers`.
    count: Gauge,
}

impl Subscribers {
    /// Nobody yet; at most `limit`.
    pub(crate) fn new(limit: usize, count: Gauge) -> Self {
        Self { streams: IndexMap::default(), limit, count }
    }

    fn add(&mut self, id: Uuid, media: MediaType, stream: StreamSender) {
        while self.streams.len() >= self.limit
            && let Some((oldest, (_, stream))) = self.streams.shift_remove_index(0)
        {
            tracing::info!(subscriber = %oldest, "too many subscribers: the oldest is disconnected");
            stream.close();
        }
        self.streams.insert(id, (media, stream));
        self.counted();
    }

    fn remove(&mut self, id: &Uuid) {
        if self.streams.shift_remove(id).is_some() {
            tracing::info!(subscriber = %id, "a subscriber is gone");
        }
        self.counted();
    }

    fn counted(&self) {
        self.count.set(self.streams.len() as f64);
    }

    /// Tells everybody. Who takes no more is not told again.
    fn publish(&mut self, event: &Event) {
        let encoded = Encoded::new(event);
        self.streams.retain(|id, (media, stream)| {
            let taken = stream.send(encoded.get(*media).clone()).is_ok();
            if !taken {
                tracing::warn!(subscriber = %id, "a subscriber is gone or has fallen behind");
            }
            taken
        });
        self.counted();
    }
}

/// An event, written at most once in each encoding.
struct Encoded<'a> {
    event: &'a Event,
    json: OnceCell<Bytes>,
    protobuf: OnceCell<Bytes>,
}

impl<'a> Encoded<'a> {
    fn new(event: &'a Event) -> Self {
        Self { event, json: OnceCell::new(), protobuf: OnceCell::new() }
    }

    fn get(&self, media: MediaType) -> &Bytes {
        let cell = match media {
            MediaType::Json => &self.json,
            MediaType::Protobuf => &self.protobuf,
        };
        cell.get_or_init(|| codec::encode_record(media, self.event))
    }
}

/// Tells subscribers of an event, if there are any and `make` finds that there is one.
pub(super) fn publish(master: &mut Master, make: impl FnOnce(&Cluster) -> Option<Event>) {
    if master.subscribers.streams.is_empty() {
        return;
    }
    if let Some(event) = make(&master.cluster) {
        master.subscribers.publish(&event);
    }
}

/// SUBSCRIBE.
pub(super) fn subscribe(master: &mut Master, media: MediaType, ctx: &mut Context<Master>) -> Reply {
    let id = ctx.node().random().uuid();
    tracing::info!(subscriber = %id, "an operator subscribes");
    let (stream, opening) = opened_stream();
    ctx.defer(stream.closed(), move |master, (), _| master.subscribers.remove(&id));
    master.subscribers.add(id, media, stream);
    let question = Question::call(event::Type::Subscribed.name(), media);
    let reply = Reader::of(master, ctx).answer(
        question,
        move |renderings, snapshot| subscribed(renderings, snapshot, media),
        move |state| Response::streaming(media.as_str(), opening.with(state)),
    );
    heartbeat(master, id, ctx);
    reply
}

/// The record of the first event.
fn subscribed(renderings: &Renderings, snapshot: &Snapshot, media: MediaType) -> Pieces {
    let mut parts = renderings.v1(media).lock();
    parts.forget_others(snapshot);
    let kind = event::Type::Subscribed;
    let mut subscribed = Document::new(media);
    subscribed.message(("get_state", 1), state::state(&mut parts, snapshot));
    subscribed.double(("heartbeat_interval_seconds", 2), HEARTBEAT_INTERVAL.as_secs_f64());
    let mut event = Document::new(media);
    event.value(("type", 1), kind.name(), kind.into());
    event.message(("subscribed", 2), subscribed);
    let event = event.complete();
    let mut record = Pieces::new();
    record.text(format!("{}\n", event.len()));
    record.append(&event);
    record
}

/// Sends a subscriber a heartbeat, and another one after the interval, for as long as it is there.
pub(crate) fn heartbeat(master: &mut Master, id: Uuid, ctx: &mut Context<Master>) {
    let Some((media, stream)) = master.subscribers.streams.get(&id) else { return };
    let event = Event { r#type: Some(event::Type::Heartbeat.into()), ..Default::default() };
    if stream.send(Encoded::new(&event).get(*media).clone()).is_ok() {
        ctx.after(HEARTBEAT_INTERVAL, Timeout::SubscriberHeartbeat(id));
    } else {
        master.subscribers.remove(&id);
    }
}
