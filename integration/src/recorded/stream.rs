//! The streams that SUBSCRIBE opens: what came on them, and what is still to be answered.

use std::collections::VecDeque;
use std::io::Error;

use bytes::Bytes;
use mesos::recordio::Decoder;
use mesos::{MediaType, Message, codec, json, v1};
use serde_json::Value;

use super::exchange::Connection;
use crate::wait::PATIENCE;

/// Largest event that is read.
const MAX_EVENT: usize = 16 << 20;

/// Whose messages they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// The master's scheduler API.
    Scheduler,
    /// The agent's executor API.
    Executor,
    /// The master's operator API.
    Master,
    /// The agent's operator API.
    Agent,
}

impl Api {
    /// An event as JSON.
    pub fn event(self, media: MediaType, bytes: &[u8]) -> Result<Value, String> {
        match self {
            Api::Scheduler => value::<v1::scheduler::Event>(media, bytes),
            Api::Executor => value::<v1::executor::Event>(media, bytes),
            Api::Master => value::<v1::master::Event>(media, bytes),
            Api::Agent => Err("the agent's operator API has no events".to_owned()),
        }
    }

    /// A response as JSON.
    pub fn response(self, media: MediaType, bytes: &[u8]) -> Result<Value, String> {
        match self {
            Api::Master => value::<v1::master::Response>(media, bytes),
            Api::Agent => value::<v1::agent::Response>(media, bytes),
            Api::Scheduler | Api::Executor => Err("only the operator APIs have responses".to_owned()),
        }
    }
}

/// JSON is taken as it is written; protobuf by what it means.
fn value<T: Message>(media: MediaType, bytes: &[u8]) -> Result<Value, String> {
    match media {
        MediaType::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        MediaType::Protobuf => codec::decode::<T>(media, bytes)
            .map(|message| json::to_value(&message))
            .map_err(|error| error.to_string()),
    }
}

/// The records of a whole stream.
pub fn records(bytes: &[u8]) -> Result<Vec<Bytes>, String> {
    Decoder::new(MAX_EVENT).feed(bytes).map_err(|error| error.to_string())
}

/// An open stream. Dropping it breaks the connection.
#[derive(Debug)]
pub struct Stream {
    connection: Connection,
    api: Api,
    media: MediaType,
    decoder: Decoder,
    /// Records that were read, and not looked at.
    waiting: VecDeque<Bytes>,
    /// Offers that nobody has answered.
    offers: VecDeque<String>,
    /// Statuses that nobody has acknowledged, in the order in which they came.
    updates: Vec<Value>,
    /// All that came.
    events: Vec<Value>,
}

impl Stream {
    /// The stream of an answer whose head was read.
    pub fn new(connection: Connection, api: Api, media: MediaType) -> Self {
        let decoder = Decoder::new(MAX_EVENT);
        let (waiting, offers) = (VecDeque::new(), VecDeque::new());
        let (updates, events) = (Vec::new(), Vec::new());
        Self { connection, api, media, decoder, waiting, offers, updates, events }
    }

    /// The events that were read.
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// The next record.
    pub async fn record(&mut self) -> Result<Bytes, Error> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Ok(record);
            }
            let chunk = self.connection.chunk().await?.ok_or_else(|| Error::other("the stream has ended"))?;
            self.waiting.extend(self.decoder.feed(&chunk).map_err(Error::other)?);
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Result<Value, Error> {
        let record = self.record().await?;
        self.note(&record)
    }

    /// The event that a record holds, which has come now.
    pub fn note(&mut self, record: &[u8]) -> Result<Value, Error> {
        let event = self.api.event(self.media, record).map_err(Error::other)?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        match event["type"].as_str() {
            Some("OFFERS") => {
                let offers = list(&event["offers"]["offers"]);
                self.offers.extend(offers.iter().filter_map(|offer| text(&offer["id"])));
            }
            Some("RESCIND") => {
                let rescinded = text(&event["rescind"]["offer_id"]);
                self.offers.retain(|offer| Some(offer) != rescinded.as_ref());
            }
            Some("UPDATE") if event["update"]["status"]["uuid"].is_string() => {
                self.updates.push(event["update"]["status"].clone());
            }
            Some("UPDATE_OPERATION_STATUS") => {
                let status = &event["update_operation_status"]["status"];
                if status["uuid"]["value"].is_string() {
                    self.updates.push(status.clone());
                }
            }
            _ => {}
        }
        self.events.push(event.clone());
        Ok(event)
    }

    /// Reads until an event of each kind has come that is among these. If that takes too long, or the stream ends, they
    /// have not all come.
    pub async fn has_all_kinds_of(&mut self, events: &[Value]) -> bool {
        let lacking = |came: &[Value]| {
            events.iter().any(|event| came.iter().all(|other| other["type"] != event["type"]))
        };
        let reading = async { while lacking(&self.events) && self.event().await.is_ok() {} };
        // Heartbeats come for as long as somebody waits.
        let _ = tokio::time::timeout(PATIENCE, reading).await;
        !lacking(&self.events)
    }

    /// The next offer, which is from now on answered.
    pub async fn offer(&mut self) -> Result<String, Error> {
        loop {
            if let Some(offer) = self.offers.pop_front() {
                return Ok(offer);
            }
            self.event().await?;
        }
    }

    /// The next update of this task or operation that asks to be acknowledged, in `state` if one is named.
    pub async fn update(&mut self, name: &str, state: Option<&str>) -> Result<Value, Error> {
        let wanted = |status: &Value| {
            let named = [&status["task_id"], &status["operation_id"]].iter().any(|id| id["value"] == name);
            named && state.is_none_or(|state| status["state"] == state)
        };
        loop {
            // The same update comes again until it is acknowledged.
            if let Some(found) = self.updates.iter().find(|status| wanted(status)) {
                return Ok(found.clone());
            }
            self.event().await?;
        }
    }

    /// From now on this update is acknowledged.
    pub fn acknowledged(&mut self, uuid: &Value) {
        self.updates.retain(|status| uuid_of(status) != uuid);
    }
}

/// What acknowledges a status: an operation's has a message around it.
pub fn uuid_of(status: &Value) -> &Value {
    status["uuid"].get("value").unwrap_or(&status["uuid"])
}

/// `value` of an id.
fn text(id: &Value) -> Option<String> {
    id["value"].as_str().map(str::to_owned)
}
