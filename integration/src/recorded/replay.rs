//! Sends the steps of a recording to a master and an agent, one after the other, and notes what differs.
//!
//! A stream that later steps use, or on which they are told of, stays open until a step closes it, or to the end; any other
//! only until what was recorded has come. Then its events are held against the recorded ones. Of a stream that stayed
//! open, all events are read until one that the run itself causes last, so that none is overlooked.

use std::collections::BTreeMap;
use std::io::Error;
use std::net::SocketAddr;

use mesos::MediaType;
use serde_json::{Value, json};

use super::compare;
use super::differences::{Id, Seen};
use super::events::{self, kind};
use super::exchange::{Answer, Connection, ask, render};
use super::step::{Action, Kept, Node, Own, Pair, Request, Step};
use super::stream::{Api, Stream, uuid_of};
use super::translation::Translation;
use crate::wait::PATIENCE;
use crate::{Cluster, wait};

/// The framework, and the task, of which streams tell when all steps are done.
const LAST: &str = "behind the recording";

/// Where the recording's master and agent listened.
const RECORDED_PORTS: [(&str, Node); 2] = [("5050", Node::Master), ("5051", Node::Agent)];

/// A run against one cluster.
pub struct Replay<'a> {
    cluster: &'a Cluster,
    translation: Translation,
    /// The id of the recording's master, with which its other ids begin.
    recorded_master: String,
    /// By what the recording calls them.
    streams: BTreeMap<String, Stream>,
    /// Those of them that were recorded.
    recorded: BTreeMap<String, &'a Pair>,
    seen: Seen,
    /// What the recording calls the framework that it is about, and its stream.
    framework: Option<(String, String)>,
}

/// Sends all steps; what differs, by pair.
///
/// # Panics
/// When the daemons do not answer at all, or a step of ours fails.
pub async fn run<'a>(cluster: &'a Cluster, steps: &'a [Step]) -> Seen {
    let mut replay = Replay::new(cluster, steps).await;
    for step in steps {
        match step {
            Step::Pair(pair) => {
                let done = replay.pair(pair, steps).await.map_err(|error| format!("{}: {error}", pair.name));
                done.expect("the daemons answer, and send what the next call needs");
            }
            Step::Ours(own) => {
                let done = replay.ours(own).await.map_err(|error| error.to_string());
                assert_eq!(done.is_err(), own.fails.is_some(), "a step of ours, '{}': {done:?}", own.why);
            }
        }
    }
    for name in replay.recorded.keys().cloned().collect::<Vec<_>>() {
        let done = replay.close(&name).await.map_err(|error| format!("{name}: {error}"));
        done.expect("the streams are still open");
    }
    replay.seen
}

impl<'a> Replay<'a> {
    async fn new(cluster: &'a Cluster, steps: &[Step]) -> Self {
        let mut translation = Translation::default();
        for (port, node) in RECORDED_PORTS {
            let ours = address(cluster, node);
            translation.learn(&format!("127.0.0.1:{port}"), &ours.to_string());
            translation.learn(&format!("localhost:{port}"), &format!("localhost:{}", ours.port()));
        }
        let recorded_master = recorded_master(steps).unwrap_or_default();
        let state = cluster.leader_state().await.expect("the master leads");
        let ours = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        translation.learn(&recorded_master, &ours(&state["id"]));
        translation.learn(&format!("{recorded_master}-S0"), &ours(&state["slaves"][0]["id"]));
        // Tasks end when they are told to, so that the run does not depend on the machine's speed.
        for (before, recorded, name) in
            [("echo hello; ", "sleep 3", "sleep3"), ("", "sleep 3", "sleep"), ("", "sleep 2", "sleep")]
        {
            let flag = cluster.folder().join(name).display().to_string();
            let ours = format!("\"{before}until [ -e {flag} ]; do sleep 0.05; done\"");
            translation.learn(&format!("\"{before}{recorded}\""), &ours);
        }
        // The test itself is the recording's executor; a process must be there for it.
        translation.learn("/usr/bin/python3 /opt/mesos", "sleep 1000");
        let (streams, recorded, seen) = (BTreeMap::new(), BTreeMap::new(), Seen::new());
        Self { cluster, translation, recorded_master, streams, recorded, seen, framework: None }
    }

    /// Sends a request, and notes what differs in our answer.
    ///
    /// # Panics
    /// When the pair was there before.
    async fn pair(&mut self, pair: &'a Pair, steps: &[Step]) -> Result<(), Error> {
        let twice = self.seen.contains_key(&(pair.group.clone(), pair.name.clone()));
        assert!(!twice, "{} stands there twice", pair.name);
        let request = self.translated(&pair.request, pair.status == 202 && !pair.no_update).await?;
        let node = address(self.cluster, request.node);
        if !compare::is_stream(pair) {
            let answers = ask(&request, node, compare::answers(pair), pair.status == 0).await?;
            self.acknowledged(&request);
            self.note(pair, compare::differences(pair, &answers, &self.translation));
            return Ok(());
        }
        let name = compare::recorded_header(pair, "Mesos-Stream-Id").unwrap_or(&pair.name).to_owned();
        let names = Kept { stream: name.clone(), framework: compare::recorded_framework(pair) };
        let (answer, stream) = self.subscribe(&request, compare::api(pair), &names).await?;
        self.note(pair, compare::differences(pair, &[answer], &self.translation));
        let Some(mut stream) = stream else { return Ok(()) };
        if !is_used(pair, &name, steps)? {
            return self.hold_against(pair, &mut stream, false).await;
        }
        self.keep(&names, stream);
        self.recorded.insert(name, pair);
        Ok(())
    }

    /// Adds to what differs.
    fn note(&mut self, pair: &Pair, found: Vec<String>) {
        let id: Id = (pair.group.clone(), pair.name.clone());
        self.seen.entry(id).or_default().extend(found);
    }

    /// Closes a stream. If it was recorded, its events are looked at first.
    async fn close(&mut self, name: &str) -> Result<(), Error> {
        let (stream, pair) = (self.streams.remove(name), self.recorded.remove(name));
        let (Some(mut stream), Some(pair)) = (stream, pair) else { return Ok(()) };
        self.hold_against(pair, &mut stream, true).await
    }

    /// Notes how the events of a stream differ from those of the recording, when what was recorded has come, and, if the
    /// stream stayed open, all that earlier steps caused.
    async fn hold_against(
        &mut self,
        pair: &Pair,
        stream: &mut Stream,
        stayed_open: bool,
    ) -> Result<(), Error> {
        let theirs = compare::recorded_events(pair).map_err(Error::other)?;
        let (first, theirs) = theirs.split_first().ok_or_else(|| Error::other("no event"))?;
        // Behind another beginning stands another conversation.
        if stream.events().first().map(kind) != Some(kind(first)) {
            return Ok(());
        }
        let complete = stream.has_all_kinds_of(theirs).await;
        let mut end = stream.events().len();
        if complete && stayed_open {
            self.await_last(pair, stream).await?;
            end = stream.events().len() - 1;
        }
        let found = events::differences(theirs, &stream.events()[1..end], &self.translation);
        self.note(pair, found);
        Ok(())
    }

    /// Causes one more event on a stream, and waits for it.
    async fn await_last(&mut self, pair: &Pair, stream: &mut Stream) -> Result<(), Error> {
        let node = self.cluster.master();
        // The framework is there as long as its connection is.
        let _connection = match compare::recorded_framework(pair) {
            Some(framework) => {
                let name = compare::recorded_header(pair, "Mesos-Stream-Id").unwrap_or_default();
                let reconcile = json!({ "tasks": [{ "task_id": { "value": LAST } }] });
                let call = json!({ "type": "RECONCILE", "reconcile": reconcile });
                self.call_of(&framework, name, call).await?;
                None
            }
            None => {
                let info = json!({ "user": "root", "name": LAST });
                let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info } });
                let request = render(&scheduler_call(&call, Vec::new()), node);
                Some(Connection::open(node, &request).await?)
            }
        };
        let waiting = async {
            while !events::label(&stream.event().await?).contains(LAST) {}
            Ok(())
        };
        tokio::time::timeout(PATIENCE, waiting).await?
    }

    async fn ours(&mut self, own: &Own) -> Result<(), Error> {
        match &own.action {
            Action::Request(request, keep) => {
                let request = self.translated(request, true).await?;
                let answer = match keep {
                    Some(names) => {
                        let api = if request.node == Node::Agent { Api::Executor } else { Api::Scheduler };
                        let (answer, stream) = self.subscribe(&request, Some(api), names).await?;
                        if let Some(stream) = stream {
                            self.keep(names, stream);
                        }
                        answer
                    }
                    None => ask(&request, address(self.cluster, request.node), 1, false).await?.remove(0),
                };
                self.acknowledged(&request);
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                let succeeded = (200..300).contains(&answer.status);
                if succeeded { Ok(()) } else { Err(Error::other(format!("{}: {text}", answer.status))) }
            }
            Action::Close(stream) => self.close(stream).await,
            Action::Acknowledge { task, state } => self.acknowledge_up_to(task, state).await,
            Action::Await { task, state } => self.framework()?.update(task, Some(state)).await.map(drop),
            Action::NoOffers => self.no_offers().await,
            Action::LetGo(name) => std::fs::write(self.cluster.folder().join(name), ""),
            Action::Until { node, path, pointer, is } => {
                let (node, path) = (address(self.cluster, *node), self.translation.translate(path));
                wait::until(&own.why, async || {
                    let value = self.cluster.get_at(node, &path).await?;
                    let found = value.pointer(pointer).unwrap_or(&Value::Null);
                    if found == is { Ok(()) } else { Err(format!("{pointer} of {path} is {found}")) }
                })
                .await;
                Ok(())
            }
        }
    }

    /// The request with the ids of this run. Those of offers and updates come from the framework's stream; an update is
    /// looked for only if upstream `accepted` the call.
    async fn translated(&mut self, request: &Request, accepted: bool) -> Result<Request, Error> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if ["ACCEPT", "DECLINE"].iter().any(|call| body["type"] == *call) {
            self.meet_offers(&body).await?;
        }
        if accepted && let Some(call) = acknowledgement(&body) {
            self.meet_update(call).await?;
        }
        let mut ours = request.clone();
        ours.path = self.translation.translate(&request.path);
        ours.headers = request.headers.iter().map(|header| self.translation.translate(header)).collect();
        ours.body = self.translation.translate_bytes(&request.body);
        ours.raw = request.raw.as_ref().map(|raw| self.translation.translate(raw));
        Ok(ours)
    }

    /// An offer of the recording that was not met before stands for the next one that we get.
    async fn meet_offers(&mut self, call: &Value) -> Result<(), Error> {
        let kind = if call["type"] == "ACCEPT" { "accept" } else { "decline" };
        let prefix = format!("{}-O", self.recorded_master);
        for offer in call[kind]["offer_ids"].as_array().into_iter().flatten() {
            let recorded = offer["value"].as_str().unwrap_or_default().to_owned();
            if recorded.starts_with(&prefix) && !self.translation.knows(&recorded) {
                let ours = self.framework()?.offer().await?;
                self.translation.learn(&recorded, &ours);
            }
        }
        Ok(())
    }

    /// A uuid of the recording stands for that of the next update of the task or operation.
    async fn meet_update(&mut self, call: &Value) -> Result<(), Error> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = call.get("task_id").unwrap_or(&call["operation_id"]);
        let (name, recorded) = (word(&id["value"]), word(&call["uuid"]));
        let genuine = word(&call["agent_id"]["value"]).starts_with(&self.recorded_master);
        if genuine && !self.translation.knows(&recorded) {
            let status = self.framework()?.update(&name, None).await?;
            self.translation.learn(&recorded, &word(uuid_of(&status)));
        }
        Ok(())
    }

    /// Notes what a call of ours has acknowledged.
    fn acknowledged(&mut self, request: &Request) {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if let (Some(call), Ok(stream)) = (acknowledgement(&body), self.framework()) {
            stream.acknowledged(&call["uuid"]);
        }
    }

    async fn acknowledge_up_to(&mut self, task: &str, state: &str) -> Result<(), Error> {
        loop {
            let status = self.framework()?.update(task, None).await?;
            let call = json!({ "type": "ACKNOWLEDGE", "acknowledge": {
                "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"] } });
            self.call(call).await?;
            if status["state"] == state {
                return Ok(());
            }
        }
    }

    /// SUPPRESS stops further offers. The allocator has heard of it when it answers a question that was asked later,
    /// and then the master knows all offers that were made before.
    async fn no_offers(&mut self) -> Result<(), Error> {
        self.call(json!({ "type": "SUPPRESS" })).await?;
        let master = self.cluster.master();
        let (framework, _) = self.framework.clone().unwrap_or_default();
        let framework = self.translation.translate(&framework);
        let question = format!("/allocator/explain?framework={framework}");
        self.cluster.get_at(master, &question).await.map_err(Error::other)?;
        let path = format!("/frameworks?framework_id={framework}");
        let shown = self.cluster.get_at(master, &path).await.map_err(Error::other)?;
        let offers = shown["frameworks"][0]["offers"].as_array().cloned().unwrap_or_default();
        let ids: Vec<Value> = offers.iter().map(|offer| json!({ "value": offer["id"] })).collect();
        self.call(json!({ "type": "DECLINE", "decline": { "offer_ids": ids } })).await?;
        // Their events are on the stream before whatever comes next.
        for id in &ids {
            while self.framework()?.offer().await? != id["value"] {}
        }
        Ok(())
    }

    /// Sends a call of the framework, which must be accepted.
    async fn call(&mut self, call: Value) -> Result<(), Error> {
        let (framework, stream) = self.framework.clone().unwrap_or_default();
        self.call_of(&framework, &stream, call).await
    }

    /// Sends a call of this framework, by what the recording calls it and its stream. It must be accepted.
    async fn call_of(&mut self, framework: &str, stream: &str, mut call: Value) -> Result<(), Error> {
        call["framework_id"] = json!({ "value": self.translation.translate(framework) });
        let stream = format!("Mesos-Stream-Id: {}", self.translation.translate(stream));
        let request = scheduler_call(&call, vec![stream]);
        let answer = ask(&request, self.cluster.master(), 1, false).await?.remove(0);
        self.acknowledged(&request);
        let accepted = answer.status == 202;
        if accepted { Ok(()) } else { Err(Error::other(String::from_utf8_lossy(&answer.body).into_owned())) }
    }

    fn framework(&mut self) -> Result<&mut Stream, Error> {
        let (_, name) = self.framework.as_ref().ok_or_else(|| Error::other("no framework is subscribed"))?;
        self.streams.get_mut(name).ok_or_else(|| Error::other(format!("the stream {name} is closed")))
    }

    /// Opens a stream, and reads its first record, which is the body of the answer.
    async fn subscribe(
        &mut self,
        request: &Request,
        api: Option<Api>,
        recorded: &Kept,
    ) -> Result<(Answer, Option<Stream>), Error> {
        let node = address(self.cluster, request.node);
        let mut connection = Connection::open(node, &render(request, node)).await?;
        let mut answer = connection.head().await?;
        let (200, Some(api)) = (answer.status, api) else { return Ok((answer, None)) };
        let media = match answer.header("Content-Type") {
            Some("application/x-protobuf") => MediaType::Protobuf,
            _ => MediaType::Json,
        };
        if let Some(ours) = answer.header("Mesos-Stream-Id") {
            self.translation.learn(&recorded.stream, ours);
        }
        let mut stream = Stream::new(connection, api, media);
        let record = stream.record().await?;
        answer.body = mesos::recordio::encode(&record);
        let event = stream.note(&record)?;
        if let Some(framework) = &recorded.framework {
            let ours = event["subscribed"]["framework_id"]["value"].as_str().unwrap_or_default();
            self.translation.learn(framework, ours);
        }
        Ok((answer, Some(stream)))
    }

    /// Leaves a stream open. That of a framework is from now on the one that the steps are about.
    fn keep(&mut self, recorded: &Kept, stream: Stream) {
        if let Some(framework) = &recorded.framework {
            self.framework = Some((framework.clone(), recorded.stream.clone()));
        }
        self.streams.insert(recorded.stream.clone(), stream);
    }
}

/// A call of the scheduler API.
fn scheduler_call(call: &Value, mut headers: Vec<String>) -> Request {
    headers.push("Content-Type: application/json".to_owned());
    let (method, path) = ("POST".to_owned(), "/api/v1/scheduler".to_owned());
    Request { node: Node::Master, method, path, headers, body: call.to_string().into_bytes(), raw: None }
}

fn address(cluster: &Cluster, node: Node) -> SocketAddr {
    match node {
        Node::Master => cluster.master(),
        Node::Agent => cluster.agent_at(0),
    }
}

/// Whether a step uses the stream after it was opened, or causes what was recorded on it.
fn is_used(pair: &Pair, stream: &str, steps: &[Step]) -> Result<bool, Error> {
    let named = steps.iter().any(|step| match step {
        Step::Pair(pair) => pair.request.headers.iter().any(|header| header.ends_with(stream)),
        Step::Ours(own) => matches!(&own.action, Action::Close(closed) if closed == stream),
    });
    let recorded = compare::recorded_events(pair).map_err(Error::other)?;
    let caused = recorded.iter().skip(1).any(|event| !events::ANY_NUMBER.contains(&kind(event)));
    Ok(named || caused)
}

/// The id of the recording's master: what stands before `-S0`, the id of its agent.
fn recorded_master(steps: &[Step]) -> Option<String> {
    let pairs = steps.iter().filter_map(|step| if let Step::Pair(pair) = step { Some(pair) } else { None });
    pairs.filter(|pair| pair.request.node == Node::Master).find_map(|pair| {
        let text = String::from_utf8_lossy(&pair.body);
        let end = text.find("-S0\"")?;
        text.get(end.checked_sub(36)?..end).map(str::to_owned)
    })
}

/// What a call acknowledges: the status of a task, or of an operation.
fn acknowledgement(call: &Value) -> Option<&Value> {
    match call["type"].as_str()? {
        "ACKNOWLEDGE" => call.get("acknowledge"),
        "ACKNOWLEDGE_OPERATION_STATUS" => call.get("acknowledge_operation_status"),
        _ => None,
    }
}
