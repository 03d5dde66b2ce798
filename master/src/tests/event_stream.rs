//! Operators who follow what happens (upstream: `api_tests.cpp`).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use libprocess::http::{Body, BodyReceiver, ClientRequest, ClientResponse, Request, dispatch};
use libprocess::{Limits, Node, testing};
use mesos::MediaType;
use mesos::recordio::Decoder;
use mesos::v1::master::{Event, event::Type};
use mesos::v1::{self, TaskState};
use serde_json::json;

use super::agents::{framework_info, reported, running_task};
use super::partition::{bring_back, lose};
use super::shelf::Shelf;
use super::{Cluster, Got, info, permits_all, task};
use crate::Settings;

/// A subscriber with its stream.
pub(super) struct Subscriber {
    media: MediaType,
    body: BodyReceiver,
    decoder: Decoder,
    events: VecDeque<Event>,
}

impl Subscriber {
    async fn of(cluster: &Cluster, media: MediaType) -> Self {
        let mut request = Request::new(http::Method::POST, "/api/v1");
        request.body = r#"{"type":"SUBSCRIBE"}"#.into();
        request.headers.insert("content-type", "application/json".parse().unwrap());
        request.headers.insert("accept", media.as_str().parse().unwrap());
        let response = dispatch(&cluster.node, request).await;
        assert_eq!(response.status, http::StatusCode::OK);
        assert_eq!(response.headers["content-type"], media.as_str());
        let Body::Stream(body) = response.body else { panic!("expected a stream") };
        Self { media, body, decoder: Decoder::new(1 << 20), events: VecDeque::new() }
    }

    /// A subscriber that has read the state, and the first heartbeat; and the state.
    pub(super) async fn begin(cluster: &Cluster, media: MediaType) -> (Self, v1::master::response::GetState) {
        let mut subscriber = Self::of(cluster, media).await;
        let subscribed = subscriber.next().await.unwrap().subscribed.unwrap();
        assert_eq!(subscribed.heartbeat_interval_seconds, Some(15.0));
        assert_eq!(subscriber.next().await.unwrap().r#type(), Type::Heartbeat);
        (subscriber, subscribed.get_state.unwrap())
    }

    /// The next event; time passes until it comes. `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        while self.events.is_empty() {
            let chunk = self.body.next().await?;
            for record in self.decoder.feed(&chunk).unwrap() {
                self.events.push_back(mesos::codec::decode(self.media, &record).unwrap());
            }
        }
        self.events.pop_front()
    }

    /// The events that are there without time passing, without heartbeats.
    pub(super) async fn pending(&mut self) -> Vec<Event> {
        testing::settle().await;
        let mut pending = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, self.next()).await {
            pending.push(event);
        }
        pending.retain(|event| event.r#type() != Type::Heartbeat);
        pending
    }

    pub(super) async fn kinds(&mut self) -> Vec<Type> {
        self.pending().await.iter().map(Event::r#type).collect()
    }
}

/// Upstream: `MasterAPITest.Subscribe`.
#[test]
fn a_subscriber_hears_of_a_task_from_its_launch_to_its_end() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        for media in [MediaType::Json, MediaType::Protobuf] {
            let (_, state) = Subscriber::begin(&cluster, media).await;
            assert_eq!(state.get_agents.unwrap().agents.len(), 1);
            assert_eq!(state.get_frameworks.unwrap().frameworks.len(), 1);
            assert!(state.get_tasks.unwrap().tasks.is_empty());
        }
        let (mut json, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        let (mut protobuf, _) = Subscriber::begin(&cluster, MediaType::Protobuf).await;
        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
        for state in [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished] {
            agent.update(&scheduler.id, "t", state);
            let status = scheduler.status().await;
            // A repetition is no news.
            agent.update(&scheduler.id, "t", state);
            scheduler.acknowledge(&status).await;
        }
        let events = json.pending().await;
        assert_eq!(events, protobuf.pending().await);
        let added = events[0].task_added.as_ref().unwrap();
        assert_eq!((&*added.task.task_id.value, added.task.state()), ("t", TaskState::TaskStaging));
        let updated = events[1..].iter().map(|event| event.task_updated.as_ref().unwrap());
        let states: Vec<_> = updated.clone().map(|update| update.state()).collect();
        assert_eq!(states, [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished]);
        assert!(updated.clone().all(|update| update.status.state() == update.state()));
        assert!(updated.clone().all(|update| update.framework_id.value == scheduler.id));
    });
}

/// Upstream: `MasterAPITest.FrameworksEvent`.
#[test]
fn a_subscriber_hears_of_frameworks() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let (mut subscriber, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        let scheduler = cluster.subscribe(info()).await;
        let added = subscriber.pending().await.remove(0).framework_added.unwrap().framework;
        assert_eq!(added.framework_info.id.unwrap().value, scheduler.id);
        assert!(added.active && added.connected && !added.recovered);
        let mut again = info();
        again["id"] = json!({ "value": scheduler.id });
        again["webui_url"] = json!("http://new");
        let scheduler = cluster.subscribe(again.clone()).await;
        let updated = subscriber.pending().await.remove(0).framework_updated.unwrap().framework;
        assert_eq!(updated.framework_info.webui_url(), "http://new");
        again["webui_url"] = json!("http://newer");
        let update = json!({ "framework_info": again });
        assert_eq!(scheduler.call("UPDATE_FRAMEWORK", update.clone()).await.0, 200);
        assert_eq!(subscriber.kinds().await, [Type::FrameworkUpdated]);
        // Nothing is new.
        assert_eq!(scheduler.call("UPDATE_FRAMEWORK", update).await.0, 200);
        assert_eq!(subscriber.kinds().await, []);
        assert_eq!(scheduler.call("TEARDOWN", json!(null)).await.0, 202);
        let removed = subscriber.pending().await.remove(0).framework_removed.unwrap().framework_info;
        assert_eq!(removed.id.unwrap().value, scheduler.id);
    });
}

#[test]
fn a_subscriber_hears_of_the_end_of_a_framework_that_is_not_remembered() {
    testing::run(async {
        let settings = Settings { max_completed_frameworks: 0, ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let scheduler = cluster.subscribe(info()).await;
        let (mut subscriber, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        assert_eq!(scheduler.call("TEARDOWN", json!(null)).await.0, 202);
        let removed = subscriber.pending().await.remove(0).framework_removed.unwrap().framework_info;
        assert_eq!(removed.id.unwrap().value, scheduler.id);
    });
}

/// Upstream: `MasterAPITest.SubscribeAgentEvents`.
#[test]
fn a_subscriber_hears_of_agents() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let (mut subscriber, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let added = subscriber.pending().await.remove(0).agent_added.unwrap().agent;
        assert_eq!(added.agent_info.id, agent.info.id);
        assert!(added.active);
        agent.post(mesos::internal::UnregisterSlaveMessage { slave_id: agent.info.id.clone().unwrap() });
        let removed = subscriber.pending().await.remove(0).agent_removed.unwrap();
        assert_eq!(removed.agent_id.value, agent.id());
    });
}

/// Upstream tells nothing of such an agent, but shows it no longer.
#[test]
fn what_a_subscriber_hears_of_an_agent_that_is_lost_and_found_adds_up_to_the_state() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let (mut subscriber, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        lose(&agent, &mut scheduler).await;
        assert_eq!(subscriber.kinds().await, [Type::TaskUpdated, Type::AgentRemoved]);
        let running = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        let got = bring_back(&agent, &scheduler.id, vec![running]).await;
        assert!(got.iter().any(|got| matches!(got, Got::Reregistered(_))));
        assert_eq!(subscriber.kinds().await, [Type::AgentAdded, Type::TaskAdded]);
    });
}

/// Upstream: `MasterAPITest.MasterFailover`.
#[test]
fn a_subscriber_of_a_new_leader_hears_what_agents_bring() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let id = running_task(&cluster, &agent, info()).await.id;
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        let (mut subscriber, state) = Subscriber::begin(&cluster, MediaType::Json).await;
        assert_eq!(state.get_agents.unwrap().recovered_agents.len(), 1);
        agent.reregister(vec![reported(&agent, &id, TaskState::TaskRunning)], vec![framework_info(&id)]);
        agent.taken().await;
        let events = subscriber.pending().await;
        let kinds: Vec<_> = events.iter().map(Event::r#type).collect();
        // The task last, so that whose it is and where are known.
        assert_eq!(kinds, [Type::FrameworkAdded, Type::AgentAdded, Type::TaskAdded]);
        let framework = &events[0].framework_added.as_ref().unwrap().framework;
        assert!(framework.recovered && !framework.active && !framework.connected);
    });
}

/// Upstream: `MasterAPITest.SubscribersReceiveHealthUpdates`.
#[test]
fn the_result_of_a_check_is_news_also_in_the_same_state() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, info()).await;
        let (mut subscriber, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        let uuid = Some(cluster.node.random().uuid().as_bytes().to_vec());
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: "t".into() },
            state: TaskState::TaskRunning.into(),
            reason: Some(v1::task_status::Reason::TaskHealthCheckStatusUpdated.into()),
            healthy: Some(false),
            uuid: uuid.clone(),
            ..Default::default()
        };
        let update = mesos::internal::StatusUpdate {
            framework_id: v1::FrameworkId { value: scheduler.id.clone() },
            slave_id: agent.info.id.clone(),
            status,
            uuid,
            ..Default::default()
        };
        agent.post(mesos::internal::StatusUpdateMessage { update, pid: None });
        let updated = subscriber.pending().await.remove(0).task_updated.unwrap();
        assert_eq!(updated.status.healthy, Some(false));
    });
}

/// Upstream: `MasterAPITest.Heartbeat`.
#[test]
fn a_heartbeat_comes_every_fifteen_seconds() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let (mut subscriber, _) = Subscriber::begin(&cluster, MediaType::Protobuf).await;
        for _ in 0..3 {
            let before = tokio::time::Instant::now();
            assert_eq!(subscriber.next().await.unwrap().r#type(), Type::Heartbeat);
            assert_eq!(before.elapsed().as_secs(), 15);
        }
    });
}

/// Upstream: `MasterAPITest.MaxEventStreamSubscribers`.
#[test]
fn the_oldest_subscriber_goes_when_there_are_too_many() {
    testing::run(async {
        let settings = Settings { max_operator_event_stream_subscribers: 2, ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let count = || cluster.node.metrics().value("master/operator_event_stream_subscribers").unwrap();
        let (mut first, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        let (mut second, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        assert_eq!(count(), 2.0);
        let (third, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        assert!(first.next().await.is_none());
        let _agent = cluster.agent("cpus:1").await;
        assert_eq!(second.kinds().await, [Type::AgentAdded]);
        assert_eq!(count(), 2.0);
        drop((second, third));
        testing::settle().await;
        assert_eq!(count(), 0.0);
    });
}

/// Operators who ask at the same time are a burden only once.
#[test]
fn subscribers_of_one_version_of_the_cluster_share_the_bytes_of_its_state() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut first = Subscriber::of(&cluster, MediaType::Json).await;
        let mut second = Subscriber::of(&cluster, MediaType::Json).await;
        let (state, same) = (first.body.next().await.unwrap(), second.body.next().await.unwrap());
        assert_eq!((state.as_ptr(), state.len()), (same.as_ptr(), same.len()));
        let _agent = cluster.agent("cpus:1").await;
        let mut third = Subscriber::of(&cluster, MediaType::Json).await;
        assert_ne!(third.body.next().await.unwrap(), state);
    });
}

/// A framework that takes so many bytes of the state.
fn large(bytes: usize) -> serde_json::Value {
    let mut info = info();
    info["webui_url"] = json!("x".repeat(bytes));
    info
}

#[test]
fn what_happens_while_the_state_is_read_comes_behind_it_in_order() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _scheduler = cluster.subscribe(large(300_000)).await;
        let mut subscriber = Subscriber::of(&cluster, MediaType::Json).await;
        let slice = subscriber.body.next().await.unwrap();
        assert!(slice.len() < 100_000 && subscriber.decoder.feed(&slice).unwrap().is_empty());
        let mut agents = Vec::new();
        for _ in 0..5 {
            agents.push(cluster.agent("cpus:1").await);
        }
        let state = subscriber.next().await.unwrap().subscribed.unwrap().get_state.unwrap();
        assert_eq!(state.get_frameworks.unwrap().frameworks.len(), 1);
        assert!(state.get_agents.unwrap().agents.is_empty());
        let events = subscriber.pending().await;
        let added = events.into_iter().map(|event| event.agent_added.unwrap().agent.agent_info.id);
        assert!(added.eq(agents.iter().map(|agent| agent.info.id.clone())));
    });
}

/// A master at a real socket, whose node has these limits.
async fn listening(limits: Limits) -> Cluster {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let node = Node::builder().bind(address).limits(limits).delegate("master").start().await.unwrap();
    Cluster::of(node, Settings::default(), Arc::new(permits_all)).await
}

/// Subscribes over that socket, for JSON. Whoever does not ask for the body does not read it.
async fn subscribe_from_afar(cluster: &Cluster) -> ClientResponse {
    let request = ClientRequest::post(format!("http://{}/api/v1", cluster.node.address()))
        .header("content-type", "application/json")
        .body(r#"{"type":"SUBSCRIBE"}"#);
    cluster.node.client().send(request).await.unwrap()
}

/// The way to a real socket and no further.
#[test]
fn a_subscriber_that_never_reads_the_state_is_disconnected_after_a_minute() {
    testing::run(async {
        // One host may hold 30 MiB.
        let limits = Limits { answers: 60 << 20, ..Limits::default() };
        let cluster = listening(limits).await;
        let count = || cluster.node.metrics().value("master/operator_event_stream_subscribers").unwrap();
        // More than the kernel's buffers take.
        let _scheduler = cluster.subscribe(large(20 << 20)).await;
        let subscribe = || subscribe_from_afar(&cluster);
        // The second has the same bytes.
        let began = tokio::time::Instant::now();
        let silent = (subscribe().await, subscribe().await);
        assert_eq!((silent.0.status, silent.1.status), (http::StatusCode::OK, http::StatusCode::OK));
        assert_eq!(count(), 2.0);
        let _agent = cluster.agent("cpus:1").await;
        // This is another state, for which there is no room.
        assert_eq!(subscribe().await.status, http::StatusCode::SERVICE_UNAVAILABLE);
        testing::settle().await;
        assert_eq!(count(), 2.0);
        while count() > 0.0 && began.elapsed() < Duration::from_secs(300) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let took = began.elapsed().as_secs();
        assert!((55..=65).contains(&took), "{took} s");
        assert_eq!(subscribe().await.status, http::StatusCode::OK);
    });
}

/// The same, of what happens once the state is read: there is no time for that, only room.
#[test]
fn a_subscriber_that_falls_behind_what_happens_is_disconnected_and_the_others_hear_it_all() {
    testing::run(async {
        // One host may hold 4 MiB; beside it there are the kernel's buffers.
        let cluster = listening(Limits { answers: 8 << 20, ..Limits::default() }).await;
        let count = || cluster.metric("master/operator_event_stream_subscribers");
        let scheduler = cluster.subscribe(info()).await;
        let mut behind = subscribe_from_afar(&cluster).await;
        let mut decoder = Decoder::new(1 << 20);
        let mut begun = Vec::new();
        while begun.len() < 2 {
            begun.extend(decoder.feed(&behind.chunk().await.unwrap().unwrap()).unwrap());
        }
        let (mut reader, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        assert_eq!(count(), 2.0);

        let (began, mut told) = (cluster.node.elapsed(), 0);
        while count() > 1.0 && told < 100 {
            let mut info = large(500_000 + told);
            info["id"] = json!({ "value": scheduler.id });
            let update = scheduler.call("UPDATE_FRAMEWORK", json!({ "framework_info": info }));
            assert_eq!(update.await.0, 200);
            let heard = reader.next().await.unwrap().framework_updated.unwrap().framework;
            assert_eq!(heard.framework_info.webui_url().len(), 500_000 + told);
            told += 1;
        }
        assert_eq!(count(), 1.0);
        assert!(told > 8, "4 MiB are room for {told}");
        assert_eq!(cluster.node.elapsed(), began, "nobody has waited for it");
        // It hears what was on its way, and does not take that for all.
        while let Ok(chunk) = behind.chunk().await {
            assert!(chunk.is_some(), "the stream is broken off");
        }
        let _agent = cluster.agent("cpus:1").await;
        assert_eq!(reader.kinds().await, [Type::AgentAdded]);
        assert_eq!(subscribe_from_afar(&cluster).await.status, http::StatusCode::OK);
        assert_eq!(count(), 2.0);
    });
}

/// State and events are one cut: what happens while the state is on its way comes once, behind it.
#[test]
fn nothing_is_missing_between_the_state_and_the_first_event() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut subscriber = Subscriber::of(&cluster, MediaType::Json).await;
        let agent = cluster.agent("cpus:1").await;
        let subscribed = subscriber.next().await.unwrap().subscribed.unwrap();
        assert!(subscribed.get_state.unwrap().get_agents.unwrap().agents.is_empty());
        let added = subscriber.pending().await.remove(0).agent_added.unwrap();
        assert_eq!(added.agent.agent_info.id, agent.info.id);
    });
}
