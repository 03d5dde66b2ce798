//! Schedulers of the first API: made-up drivers, which are actors that send what a driver sends and write down what they
//! hear.

mod messages;
mod reconciliation;
mod registration;
mod update_framework;
mod work;

use std::sync::Arc;
use std::time::Duration;

use libprocess::{Address, Context, Handle, Install, Node, Pid, Process, WireMessage, testing};
use mesos::internal::*;
use mesos::{v0, v1};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Cluster, scalar};

/// What a driver was sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    Registered(Box<FrameworkRegisteredMessage>),
    Reregistered(Box<FrameworkReregisteredMessage>),
    Offers(ResourceOffersMessage),
    Rescinded(RescindResourceOfferMessage),
    InverseOffers(InverseOffersMessage),
    InverseRescinded(RescindInverseOfferMessage),
    Update(Box<StatusUpdateMessage>),
    Message(ExecutorToFrameworkMessage),
    LostAgent(LostSlaveMessage),
    LostExecutor(ExitedExecutorMessage),
    Error(FrameworkErrorMessage),
    AuthenticationFailed(AuthenticationFailedMessage),
}

struct Ears(Arc<Mutex<Vec<Heard>>>);

macro_rules! heard {
    ($($message:ty => $heard:expr;)*) => {
        $(impl Handle<$message> for Ears {
            fn handle(&mut self, message: $message, from: &Pid, ctx: &mut Context<Self>) {
                assert_eq!(from, &ctx.node().pid("master"));
                self.0.lock().push($heard(message));
            }
        })*
        impl Process for Ears {
            const NAME: &'static str = "scheduler";
            fn install(install: &mut Install<Self>) {
                $(install.message::<$message>();)*
            }
        }
    };
}

heard! {
    FrameworkRegisteredMessage => |message| Heard::Registered(Box::new(message));
    FrameworkReregisteredMessage => |message| Heard::Reregistered(Box::new(message));
    ResourceOffersMessage => Heard::Offers;
    RescindResourceOfferMessage => Heard::Rescinded;
    InverseOffersMessage => Heard::InverseOffers;
    RescindInverseOfferMessage => Heard::InverseRescinded;
    StatusUpdateMessage => |message| Heard::Update(Box::new(message));
    ExecutorToFrameworkMessage => Heard::Message;
    LostSlaveMessage => Heard::LostAgent;
    ExitedExecutorMessage => Heard::LostExecutor;
    FrameworkErrorMessage => Heard::Error;
    AuthenticationFailedMessage => Heard::AuthenticationFailed;
}

pub(super) fn error(text: &str) -> Heard {
    Heard::Error(FrameworkErrorMessage { message: text.into() })
}

/// What most tests' drivers say of their framework: it has none of the newer capabilities.
pub(super) fn info() -> Value {
    json!({ "user": "user", "name": "test", "failover_timeout": 60.0, "checkpoint": true })
}

/// The same, of a framework that has its id.
pub(super) fn again(id: &str) -> Value {
    let mut info = info();
    info["id"] = json!({ "value": id });
    info
}

/// A message from the JSON of its fields.
pub(super) fn message<M: mesos::Message>(json: Value) -> M {
    mesos::json::from_slice(json.to_string().as_bytes()).unwrap()
}

/// The test's handle to a driver.
pub(super) struct Driver {
    node: Node,
    actor: Address<Ears>,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Its framework's, once it is registered.
    pub(super) id: String,
}

impl Cluster {
    /// A driver that has not said anything yet.
    pub(super) fn silent_driver(&self) -> Driver {
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let actor = self.node.spawn_numbered(Ears(heard.clone()));
        Driver { node: self.node.clone(), actor, heard, id: String::new() }
    }

    /// A registered driver.
    pub(super) async fn driver(&self, info: Value) -> Driver {
        let mut driver = self.silent_driver();
        driver.subscribe(info, false).await;
        let heard = driver.heard().await;
        let [Heard::Registered(registered), ..] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!(registered.master_info, self.running.info);
        driver.id = registered.framework_id.value.clone();
        driver.heard.lock().extend(heard.into_iter().skip(1));
        driver
    }
}

impl Driver {
    pub(super) fn pid(&self) -> String {
        self.actor.pid().to_string()
    }

    pub(super) async fn post<M: WireMessage>(&self, message: M) {
        self.say(message);
        testing::settle().await;
    }

    /// The same; nobody has a turn before the next one.
    fn say<M: WireMessage>(&self, message: M) {
        self.node.post(self.actor.pid(), &self.node.pid("master"), message);
    }

    /// What it was sent since the last time.
    pub(super) async fn heard(&self) -> Vec<Heard> {
        testing::settle().await;
        std::mem::take(&mut *self.heard.lock())
    }

    /// What it is sent, as soon as it is sent something.
    pub(super) async fn hears(&self) -> Heard {
        for _ in 0..1000 {
            testing::settle().await;
            let first = {
                let mut heard = self.heard.lock();
                (!heard.is_empty()).then(|| heard.remove(0))
            };
            if let Some(heard) = first {
                return heard;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the driver hears nothing");
    }

    pub(super) async fn subscribe(&self, info: Value, force: bool) {
        self.subscribe_with(json!({ "framework_info": info, "force": force })).await;
    }

    /// SUBSCRIBE with more than that.
    pub(super) async fn subscribe_with(&self, subscribe: Value) {
        let mut call = json!({ "type": "SUBSCRIBE", "subscribe": subscribe });
        if let Some(id) = call["subscribe"]["framework_info"].get("id").cloned() {
            call["framework_id"] = id;
        }
        self.post(message::<v0::scheduler::Call>(call)).await;
    }

    /// Makes a call; `body` is the part that its type names.
    pub(super) async fn call(&self, kind: &str, body: Value) {
        let mut call = json!({ "type": kind, "framework_id": { "value": self.id } });
        if !body.is_null() {
            call[kind.to_lowercase()] = body;
        }
        self.post(message::<v0::scheduler::Call>(call)).await;
    }

    /// The next offers; nothing else comes before them.
    pub(super) async fn offers(&self) -> ResourceOffersMessage {
        match self.hears().await {
            Heard::Offers(offers) => offers,
            other => panic!("{other:?} instead of offers"),
        }
    }

    /// The next update; nothing else comes before it.
    pub(super) async fn update(&self) -> StatusUpdateMessage {
        match self.hears().await {
            Heard::Update(update) => *update,
            other => panic!("{other:?} instead of an update"),
        }
    }

    pub(super) async fn accept(&self, offer: &v1::Offer, operations: Value) {
        let body = json!({
            "offer_ids": [{ "value": offer.id.value }], "operations": operations,
            "filters": { "refuse_seconds": 3600.0 }
        });
        self.call("ACCEPT", body).await;
    }

    pub(super) async fn launch(&self, offer: &v1::Offer, tasks: Value) {
        self.accept(offer, json!([{ "type": "LAUNCH", "launch": { "task_infos": tasks } }])).await;
    }

    pub(super) async fn decline(&self, offer: &v1::Offer) {
        let body = json!({
            "offer_ids": [{ "value": offer.id.value }], "filters": { "refuse_seconds": 86400.0 }
        });
        self.call("DECLINE", body).await;
    }

    pub(super) async fn acknowledge(&self, update: &StatusUpdate) {
        let status = mesos::json::to_value(&update.status);
        let body = json!({
            "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]
        });
        self.call("ACKNOWLEDGE", body).await;
    }

    /// Its process is gone: the link breaks.
    pub(super) async fn die(&self) {
        self.actor.kill();
        self.actor.wait().await;
        testing::settle().await;
    }
}

/// A task as a framework without MULTI_ROLE describes it.
pub(super) fn task(id: &str, agent: &super::Agent) -> Value {
    json!({
        "name": id, "task_id": { "value": id }, "agent_id": { "value": agent.id() },
        "resources": [scalar("cpus", 1.0), scalar("mem", 32.0)], "command": { "value": "true" }
    })
}

/// A driver with one task, of which the agent has been told.
pub(super) async fn launched(cluster: &Cluster, agent: &super::Agent) -> Driver {
    let driver = cluster.driver(info()).await;
    let offer = driver.offers().await.offers.remove(0);
    driver.launch(&offer, json!([task("t", agent)])).await;
    driver
}
