//! What fuzzers feed: calls of schedulers and of operators, in either encoding. Whatever comes, the master answers with a
//! status that is no error of its own, nobody panics, and it goes on.
//!
//! Compiled only for tests, which feed it with `harness::fuzz`, and for cargo-fuzz (`integration/fuzz`). A master serves
//! several inputs, on a thread and in a virtual time of its own; it has an agent and a framework with an offer. So an
//! input may break a promise only together with those before it: the same seed feeds them again. Ids follow from the seed
//! of the node, and are the same for each master ([`MASTER_ID`]).

#![allow(clippy::unwrap_used, clippy::panic, reason = "it fails a test")]

mod edited;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use ::http::{HeaderName, Method, StatusCode};
use libprocess::http::{Body, BodyReceiver, Request, Response, dispatch};
use libprocess::{Context, Handle, Install, Node, Pid, Process, testing};
use mesos::internal::{PingSlaveMessage, PongSlaveMessage, RegisterSlaveMessage};
use mesos::recordio::Decoder;
use mesos::v1::scheduler::{self, call, event};
use mesos::{AgentCapabilities, MediaType, Message, Resources, codec, v1};
use serde_json::Value;

use crate::{Running, Settings};

/// The id of each master here; `-0000` is the framework's, `-S0` the agent's, `-O0` stands for the offer that is out.
pub const MASTER_ID: &str = "7f6f2ccd-b23f-4abb-bb69-278e947c01c6";

/// Inputs of one master. Each of them may end its framework, or leave it with nothing to do.
const INPUTS: usize = 32;

/// `POST /api/v1/scheduler`; see `feed`.
pub fn scheduler_call(data: &[u8]) {
    feed::<scheduler::Call>("/api/v1/scheduler", data);
}

/// `POST /api/v1`; see `feed`.
pub fn operator_call(data: &[u8]) {
    feed::<v1::master::Call>("/api/v1", data);
}

thread_local! {
    static MASTER: RefCell<Option<Handed>> = const { RefCell::new(None) };
}

/// The first byte says the encoding, by its last bit, and what the others are, by the one before: the body, or what is
/// changed in a call that was recorded ([`edited`]).
fn feed<C: Message>(path: &'static str, data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let media = if first % 2 == 0 { MediaType::Json } else { MediaType::Protobuf };
    let (media, body) = match first & 2 {
        0 => (media, rest.to_vec()),
        _ => encoded::<C>(media, &edited::call(path, rest)),
    };
    let mut master = MASTER.take().unwrap_or_else(Handed::start);
    let outcome = master.ask(Input { path, media, body: body.clone() });
    // A master that broke a promise is not asked again.
    let shown = || body.escape_ascii();
    let status = outcome.unwrap_or_else(|broken| panic!("{broken}: {path} {media:?} {}", shown()));
    // 501 is said of calls that are newer than this master.
    let own = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    assert!(!own, "{status}: {path} {media:?} {}", shown());
    if master.left > 0 {
        MASTER.set(Some(master));
    }
}

/// What is no message stays JSON.
fn encoded<C: Message>(media: MediaType, call: &Value) -> (MediaType, Vec<u8>) {
    match mesos::json::from_value::<C>(call) {
        Ok(call) => (media, codec::encode(media, &call).to_vec()),
        Err(_) => (MediaType::Json, call.to_string().into_bytes()),
    }
}

struct Input {
    path: &'static str,
    media: MediaType,
    body: Vec<u8>,
}

/// A master on a thread of its own, to which inputs are handed.
struct Handed {
    inputs: Sender<Input>,
    outcomes: Receiver<Result<StatusCode, String>>,
    left: usize,
}

impl Handed {
    fn start() -> Self {
        let (inputs, taken) = channel();
        let (outcome, outcomes) = channel();
        std::thread::spawn(move || {
            testing::run(async move {
                let mut world = World::start().await;
                while let Ok(input) = taken.recv() {
                    if outcome.send(world.ask(input).await).is_err() {
                        break;
                    }
                }
            });
        });
        Self { inputs, outcomes, left: INPUTS }
    }

    fn ask(&mut self, input: Input) -> Result<StatusCode, String> {
        self.left -= 1;
        let gone = || "the master's thread is gone".to_owned();
        self.inputs.send(input).map_err(|_| gone())?;
        self.outcomes.recv().map_err(|_| gone())?
    }
}

/// An agent that answers pings, and does nothing else.
struct Idle;

impl Process for Idle {
    const NAME: &'static str = "slave";
    fn install(install: &mut Install<Self>) {
        install.message::<PingSlaveMessage>();
    }
}

impl Handle<PingSlaveMessage> for Idle {
    fn handle(&mut self, _: PingSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, PongSlaveMessage {});
    }
}

/// A master with an agent and a framework.
struct World {
    node: Node,
    _running: Running,
    stream: Option<Stream>,
}

/// The framework's stream.
struct Stream {
    id: String,
    body: BodyReceiver,
    decoder: Decoder,
    /// Of the offer that came last.
    offer: String,
}

impl World {
    async fn start() -> Self {
        let node = Node::builder().offline().delegate("master").start().await.unwrap();
        let running = crate::start(&node, Settings::default()).await.unwrap();
        testing::settle().await;
        assert_eq!(running.info.id, MASTER_ID, "the id that inputs name");
        let agent = node.spawn_numbered(Idle);
        let total = "cpus:4;mem:4096;disk:4096;ports:[31000-31100];cpus(r):2;disk(r):512";
        let registration = RegisterSlaveMessage {
            slave: v1::AgentInfo {
                hostname: "host".into(),
                resources: Resources::parse(total, "*").unwrap().to_protos(),
                ..Default::default()
            },
            version: Some("1.11.0".into()),
            agent_capabilities: AgentCapabilities::ALL.to_protos(),
            ..Default::default()
        };
        node.post(agent.pid(), &node.pid("master"), registration);
        testing::settle().await;
        let mut world = Self { node, _running: running, stream: None };
        let subscribe = br#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n","roles":["r"],
            "failover_timeout":60,"checkpoint":true,"capabilities":[{"type":"MULTI_ROLE"},{"type":"PARTITION_AWARE"},
            {"type":"RESERVATION_REFINEMENT"},{"type":"SHARED_RESOURCES"}]}}}"#;
        let path = "/api/v1/scheduler";
        let answer = world.post(&Input { path, media: MediaType::Json, body: subscribe.to_vec() }).await;
        let id = answer.headers["Mesos-Stream-Id"].to_str().unwrap().to_owned();
        let Body::Stream(body) = answer.body else { panic!("a subscription has a stream") };
        world.stream = Some(Stream { id, body, decoder: Decoder::new(1 << 20), offer: String::new() });
        world
    }

    /// The status of the answer, or who panicked.
    async fn ask(&mut self, mut input: Input) -> Result<StatusCode, String> {
        // What the last input left is offered again.
        tokio::time::sleep(Duration::from_secs(6)).await;
        testing::settle().await;
        if let Some(stream) = &mut self.stream {
            stream.read().await;
            replace(&mut input.body, &format!("{MASTER_ID}-O0"), &stream.offer);
        }
        let answer = self.post(&input).await;
        let status = answer.status;
        if !matches!(answer.body, Body::Stream(_)) {
            answer.body.collect().await;
        }
        testing::settle().await;
        let panics = testing::take_panics();
        if panics.is_empty() { Ok(status) } else { Err(panics.join("; ")) }
    }

    async fn post(&self, input: &Input) -> Response {
        let mut request = Request::new(Method::POST, input.path);
        request.body = input.body.clone().into();
        let media = input.media.as_str();
        let subscribes = codec::decode_call::<scheduler::Call>(input.media, &input.body)
            .is_ok_and(|call| call.r#type() == call::Type::Subscribe);
        let stream = self.stream.as_ref().filter(|_| !subscribes).map(|stream| stream.id.as_str());
        let headers = [("Content-Type", Some(media)), ("Accept", Some(media)), ("Mesos-Stream-Id", stream)];
        for (name, value) in headers {
            let Some(value) = value else { continue };
            request.headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        dispatch(&self.node, request).await
    }
}

impl Stream {
    /// Reads what is there.
    async fn read(&mut self) {
        let mut records = VecDeque::new();
        while let Ok(Some(chunk)) = tokio::time::timeout(Duration::ZERO, self.body.next()).await {
            records.extend(self.decoder.feed(&chunk).unwrap());
        }
        for record in records {
            let event: scheduler::Event = mesos::json::from_slice(&record).unwrap();
            if event.r#type() == event::Type::Offers
                && let Some(offer) = event.offers.as_ref().and_then(|offers| offers.offers.last())
            {
                self.offer.clone_from(&offer.id.value);
            }
        }
    }
}

/// Puts a word in the place of another, if it is as long: lengths stand in protobuf.
fn replace(body: &mut [u8], word: &str, other: &str) {
    if word.len() != other.len() {
        return;
    }
    let places: Vec<usize> = body
        .windows(word.len())
        .enumerate()
        .filter(|(_, at)| *at == word.as_bytes())
        .map(|(at, _)| at)
        .collect();
    for at in places {
        body[at..at + word.len()].copy_from_slice(other.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use harness::fuzz::run;

    use super::*;

    /// The recorded calls as bytes, in both encodings, and as inputs that may be changed value by value.
    fn samples<C: Message>(path: &str) -> Vec<Vec<u8>> {
        let mut samples = Vec::new();
        for (which, body) in edited::bodies(path).iter().enumerate() {
            if let Ok(call) = mesos::json::from_slice::<C>(body.as_bytes()) {
                let bytes = codec::encode(MediaType::Protobuf, &call);
                samples.push([b"1", bytes.as_ref()].concat());
            }
            samples.push([b"0", body.as_bytes()].concat());
            let [high, low] = u16::try_from(which).unwrap().to_be_bytes();
            for at in [7, 11, 29] {
                let change = [at, which as u8, at, low];
                samples.push([[b'2', high, low].as_slice(), &change].concat());
                samples.push([[b'3', high, low].as_slice(), &change, &[at / 2, low, high, at]].concat());
            }
        }
        samples.sort_unstable();
        samples.dedup();
        assert!(samples.len() > 500, "{path}: {} samples", samples.len());
        samples
    }

    /// What calls are made of: a part of a field's name does little.
    const WORDS: &str = r#"{ } [ ] , : "" null true -1 0 1e400 0.001 9223372036854775807 "type": "framework_id": "value":
        "agent_id": "offer_ids": "operations": "task_infos": "resources": "reservations": "role": "disk": "persistence":
        "volume": "shared": "revocable": "allocation_info": "scalar": "ranges": "set": "LAUNCH" "LAUNCH_GROUP" "RESERVE"
        "UNRESERVE" "CREATE" "DESTROY" "GROW_VOLUME" "SHRINK_VOLUME" "CREATE_DISK" "DYNAMIC" "STATIC" "r" "r/x" "*" "cpus"
        "ports" "executor": "command": "container": "health_check": "limits": "filters": "refuse_seconds": "id": "uuid":
        "guarantees": "windows": "unavailability": "nanoseconds":"#;

    fn fuzz<C: Message>(target: fn(&[u8]), path: &str) {
        let samples = samples::<C>(path);
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        let ids = ["-0000", "-S0", "-O0"].map(|kind| format!("{MASTER_ID}{kind}"));
        let words = WORDS.split_whitespace().chain(ids.iter().map(String::as_str));
        run(target, &samples, &words.map(str::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn scheduler_call() {
        fuzz::<scheduler::Call>(super::scheduler_call, "/api/v1/scheduler");
    }

    #[test]
    fn operator_call() {
        fuzz::<v1::master::Call>(super::operator_call, "/api/v1");
    }

    /// Without it the inputs would hardly come past the first checks.
    #[test]
    fn the_framework_always_has_an_offer_that_inputs_can_name() {
        testing::run(async {
            let mut world = World::start().await;
            for _ in 0..3 {
                let accept = format!(
                    r#"{{"type":"ACCEPT","framework_id":{{"value":"{MASTER_ID}-0000"}},"accept":{{
                    "offer_ids":[{{"value":"{MASTER_ID}-O0"}}],"filters":{{"refuse_seconds":0}}}}}}"#
                );
                let input = Input { path: "/api/v1/scheduler", media: MediaType::Json, body: accept.into() };
                assert_eq!(world.ask(input).await, Ok(StatusCode::ACCEPTED));
            }
            let accepted = format!("master/frameworks/n/{MASTER_ID}-0000/offers/accepted");
            assert_eq!(world.node.metrics().value(&accepted), Some(3.0));
        });
    }
}
