//! A framework in a test's hands: it speaks the v1 scheduler API by hand, in JSON.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use libprocess::http::{Client, ClientRequest, ClientResponse};
use mesos::recordio::Decoder;
use serde_json::{Value, json};

use crate::wait::PATIENCE;

/// Largest event that a test expects.
const MAX_EVENT: usize = 16 << 20;

/// A subscribed framework. Dropping it breaks its stream, as a crash of the scheduler would.
pub struct ApiScheduler {
    client: Client,
    master: SocketAddr,
    stream: ClientResponse,
    decoder: Decoder,
    waiting: VecDeque<Value>,
    /// `Mesos-Stream-Id` of this subscription.
    pub stream_id: String,
    /// `FrameworkID.value`
    pub framework_id: String,
    /// The SUBSCRIBED event.
    pub subscribed: Value,
}

impl ApiScheduler {
    /// Subscribes with this FrameworkInfo; an `id` in it makes it a re-subscription.
    pub async fn subscribe(master: SocketAddr, framework_info: Value) -> Self {
        Self::try_subscribe(master, framework_info).await.expect("the master accepts the subscription")
    }

    /// [`ApiScheduler::subscribe`], or what the master answered instead: its status and text, or the text of
    /// an ERROR event.
    pub async fn try_subscribe(master: SocketAddr, framework_info: Value) -> Result<Self, (u16, String)> {
        let mut call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": framework_info } });
        let id = call["subscribe"]["framework_info"]["id"].clone();
        if !id.is_null() {
            call["framework_id"] = id;
        }
        let client = Client::new();
        let request = post(master, &call);
        let stream = client.send(request).await.map_err(|error| (0, error.to_string()))?;
        let status = stream.status.as_u16();
        if status != 200 {
            let text = stream.bytes(MAX_EVENT).await.unwrap_or_default();
            return Err((status, String::from_utf8_lossy(&text).into_owned()));
        }
        let stream_id = stream
            .headers
            .get("Mesos-Stream-Id")
            .and_then(|value| value.to_str().ok())
            .expect("a subscription names its stream")
            .to_owned();
        let mut scheduler = Self {
            client,
            master,
            stream,
            decoder: Decoder::new(MAX_EVENT),
            waiting: VecDeque::new(),
            stream_id,
            framework_id: String::new(),
            subscribed: Value::Null,
        };
        let first = scheduler.any_event().await.map_err(|error| (0, error))?;
        if first["type"] == "ERROR" {
            return Err((200, first["error"]["message"].to_string()));
        }
        assert_eq!(first["type"], "SUBSCRIBED", "the first event of a stream: {first}");
        scheduler.framework_id = first["subscribed"]["framework_id"]["value"]
            .as_str()
            .expect("SUBSCRIBED names the framework")
            .to_owned();
        scheduler.subscribed = first;
        Ok(scheduler)
    }

    /// The next event of any type; an error when the stream has ended or nothing came in time.
    pub async fn any_event(&mut self) -> Result<Value, String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.waiting.is_empty() {
            let chunk = tokio::time::timeout_at(deadline, self.stream.chunk())
                .await
                .map_err(|_| format!("no event within {PATIENCE:?}"))?
                .map_err(|error| error.to_string())?
                .ok_or("the stream has ended")?;
            for record in self.decoder.feed(&chunk).map_err(|error| error.to_string())? {
                let event = serde_json::from_slice(&record)
                    .map_err(|error| format!("an event is not JSON: {error}"))?;
                self.waiting.push_back(event);
            }
        }
        self.waiting.pop_front().ok_or_else(|| "no event".to_owned())
    }

    /// The next event of this type; others before it are passed over, an unexpected ERROR fails the test.
    pub async fn event(&mut self, kind: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            // Heartbeats come for ever.
            if tokio::time::Instant::now() > deadline {
                self.fail(kind, &format!("only others within {PATIENCE:?}"));
            }
            let event = self.any_event().await.unwrap_or_else(|error| self.fail(kind, &error));
            if event["type"] == kind {
                return event;
            }
            if event["type"] == "ERROR" {
                self.fail(kind, &event.to_string());
            }
        }
    }

    #[allow(clippy::panic, reason = "an event that does not come fails the test")]
    fn fail(&self, kind: &str, error: &str) -> Value {
        panic!("framework {} waited for {kind}: {error}", self.framework_id)
    }

    /// The next offer.
    pub async fn offer(&mut self) -> Value {
        self.event("OFFERS").await["offers"]["offers"][0].take()
    }

    /// The next status update of this task, acknowledged when it asks for it.
    pub async fn update(&mut self, task: &str) -> Value {
        loop {
            let status = self.event("UPDATE").await["update"]["status"].take();
            self.acknowledge(&status).await;
            if status["task_id"]["value"] == task {
                return status;
            }
        }
    }

    /// Waits until the task is in this state, acknowledging on the way.
    pub async fn state(&mut self, task: &str, state: &str) -> Value {
        loop {
            let status = self.update(task).await;
            if status["state"] == state {
                return status;
            }
        }
    }

    /// Acknowledges a status that carries a uuid; others must not be acknowledged.
    pub async fn acknowledge(&self, status: &Value) {
        if status["uuid"].is_string() {
            self.accepted(json!({ "type": "ACKNOWLEDGE", "acknowledge": {
                "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"] } }))
                .await;
        }
    }

    /// Sends a call; status and text of the answer.
    pub async fn call(&self, mut call: Value) -> (u16, String) {
        call["framework_id"] = json!({ "value": self.framework_id });
        let request = post(self.master, &call).header("Mesos-Stream-Id", &self.stream_id);
        self.send(request).await
    }

    /// Sends a request that the test made; status and text of the answer.
    pub async fn send(&self, request: ClientRequest) -> (u16, String) {
        let response = self.client.send(request).await.expect("the master answers");
        let status = response.status.as_u16();
        let body = response.bytes(MAX_EVENT).await.expect("an answer has an end");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// Sends a call that must be accepted.
    pub async fn accepted(&self, call: Value) {
        let (status, text) = self.call(call.clone()).await;
        assert_eq!(status, 202, "{call} was answered with {text}");
    }

    /// Launches these tasks on an offer; what they leave is declined for `refuse_seconds`.
    pub async fn launch(&self, offer: &Value, tasks: &[Value], refuse_seconds: f64) {
        self.accepted(json!({ "type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]],
            "operations": [{ "type": "LAUNCH", "launch": { "task_infos": tasks } }],
            "filters": { "refuse_seconds": refuse_seconds } } }))
            .await;
    }

    /// Declines an offer.
    pub async fn decline(&self, offer: &Value, refuse_seconds: f64) {
        self.accepted(json!({ "type": "DECLINE", "decline": {
            "offer_ids": [offer["id"]], "filters": { "refuse_seconds": refuse_seconds } } }))
            .await;
    }

    /// Asks for the state of these tasks, or of all.
    pub async fn reconcile(&self, tasks: &[&str]) {
        let tasks: Vec<Value> = tasks.iter().map(|task| json!({ "task_id": { "value": task } })).collect();
        self.accepted(json!({ "type": "RECONCILE", "reconcile": { "tasks": tasks } })).await;
    }

    /// The same framework at another master (after a failover the old stream is gone).
    pub fn at(&mut self, master: SocketAddr) {
        self.master = master;
    }
}

/// A POST of JSON to the scheduler API, with a time-out for everything but the stream.
pub fn post(master: SocketAddr, call: &Value) -> ClientRequest {
    ClientRequest::post(format!("http://{master}/api/v1/scheduler"))
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .body(call.to_string())
}

/// A FrameworkInfo for tests: partition-aware, checkpointing, with this failover timeout.
pub fn framework(name: &str, failover_timeout: Duration) -> Value {
    json!({
        "user": crate::own_user(),
        "name": name,
        "checkpoint": true,
        "failover_timeout": failover_timeout.as_secs_f64(),
        "roles": ["*"],
        "capabilities": [{ "type": "MULTI_ROLE" }, { "type": "PARTITION_AWARE" }],
    })
}

/// A command task on the agent of an offer.
pub fn command_task(id: &str, offer: &Value, cpus: f64, mem: f64, command: &str) -> Value {
    json!({
        "name": id, "task_id": { "value": id }, "agent_id": offer["agent_id"],
        "resources": scalars(cpus, mem),
        "command": { "shell": true, "value": command },
    })
}

/// `cpus` and `mem` as the protocol writes them.
pub fn scalars(cpus: f64, mem: f64) -> Value {
    json!([
        { "name": "cpus", "type": "SCALAR", "scalar": { "value": cpus } },
        { "name": "mem", "type": "SCALAR", "scalar": { "value": mem } },
    ])
}

/// The amount of a scalar in an offer.
pub fn offered(offer: &Value, name: &str) -> f64 {
    let resources = offer["resources"].as_array().map_or(&[][..], Vec::as_slice);
    resources
        .iter()
        .filter(|resource| resource["name"] == name)
        .filter_map(|resource| resource["scalar"]["value"].as_f64())
        .sum()
}
