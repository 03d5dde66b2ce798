//! Agents that an operator marks gone (upstream: `MasterAPITest`'s cases in `tests/api_tests.cpp`).

use std::time::Duration;

use libprocess::testing;
use mesos::MediaType;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use serde_json::{Value, json};

use super::agents::{framework_info, reported, running_task};
use super::event_stream::Subscriber;
use super::{Agent, Cluster, Got, info};
use crate::Settings;

fn ok() -> (u16, String) {
    (200, String::new())
}

fn mark_gone(agent: &str) -> Value {
    json!({ "type": "MARK_AGENT_GONE", "mark_agent_gone": { "agent_id": { "value": agent } } })
}

/// A framework that hears only of lost tasks.
fn unaware() -> Value {
    let mut info = info();
    info["capabilities"] = json!([{ "type": "MULTI_ROLE" }]);
    info
}

/// The agent does not answer its pings, until it is unreachable.
async fn become_unreachable(agent: &Agent) {
    *agent.healthy.lock() = false;
    tokio::time::sleep(Duration::from_secs(91)).await;
    testing::settle().await;
}

/// `MarkRegisteredAgentGone`.
#[test]
fn a_gone_agent_is_told_to_end_and_refused_when_it_comes_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:1;mem:32").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        assert_eq!(cluster.api(mark_gone(&agent.id())).await, ok());
        let message =
            || mesos::internal::ShutdownMessage { message: Some("Agent has been marked gone".into()) };
        assert_eq!(agent.taken().await, [Got::Shutdown(message())]);
        assert_eq!(cluster.get("/slaves").await["slaves"], json!([]));
        let told = scheduler.pending().await;
        let rescinded = told.iter().filter_map(|event| event.rescind.as_ref()).map(|event| &event.offer_id);
        assert_eq!(rescinded.collect::<Vec<_>>(), [&offer.id]);
        let lost = told.iter().filter_map(|event| event.failure.as_ref());
        assert_eq!(lost.map(|event| &event.agent_id).collect::<Vec<_>>(), [&agent.info.id]);

        agent.reregister(Vec::new(), Vec::new());
        assert_eq!(agent.taken().await, [Got::Shutdown(message())]);
        assert_eq!(cluster.get("/slaves").await["slaves"], json!([]));
        // It is gone already.
        assert_eq!(cluster.api(mark_gone(&agent.id())).await, ok());
        let gone = &cluster.get("/registrar(1)/registry").await["gone"]["slaves"];
        assert_eq!(gone[0]["id"]["value"], json!(agent.id()));
        assert_eq!(gone.as_array().unwrap().len(), 1);
    });
}

#[test]
fn an_agent_that_nobody_knows_cannot_be_gone() {
    testing::run(async {
        let cluster = Cluster::start().await;
        assert_eq!(cluster.api(mark_gone("x")).await, (404, "Agent 'x' not found".into()));
        let (status, text) = cluster.api(json!({ "type": "MARK_AGENT_GONE" })).await;
        assert_eq!(
            (status, text.contains("Expecting 'mark_agent_gone' to be present")),
            (400, true),
            "{text}"
        );
    });
}

/// `TaskUpdatesUponAgentGone`.
#[test]
fn the_tasks_of_a_gone_agent_are_gone_by_operator_or_lost() {
    testing::run(async {
        for (framework, state, reason) in [
            (info(), TaskState::TaskGoneByOperator, Reason::AgentRemovedByOperator),
            (unaware(), TaskState::TaskLost, Reason::AgentRemoved),
        ] {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = running_task(&cluster, &agent, framework).await;
            assert_eq!(cluster.api(mark_gone(&agent.id())).await, ok());
            let status = scheduler.status().await;
            assert_eq!((status.state(), status.reason()), (state, reason));
            assert_eq!((status.message(), status.uuid.as_ref()), ("Agent has been marked gone", None));
            assert_eq!(status.unreachable_time, None);
            let shown = &cluster.get("/state").await["frameworks"][0];
            assert_eq!(shown["completed_tasks"][0]["state"], state.as_str_name());
            assert_eq!((&shown["tasks"], &shown["unreachable_tasks"]), (&json!([]), &json!([])));

            let task = json!({ "task_id": { "value": "any" }, "agent_id": { "value": agent.id() } });
            scheduler.call("RECONCILE", json!({ "tasks": [task] })).await;
            assert_eq!(scheduler.status().await.state(), state);
        }
    });
}

/// `UnreachableAgentMarkedGone`.
#[test]
fn the_unreachable_tasks_of_an_agent_that_is_gone_after_all_are_over() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        become_unreachable(&agent).await;
        assert_eq!(scheduler.status().await.state(), TaskState::TaskUnreachable);
        assert_eq!(cluster.node.metrics().value("master/tasks_unreachable"), Some(1.0));
        let (mut subscriber, _) = Subscriber::begin(&cluster, MediaType::Json).await;
        let of_framework = |metric: &str| {
            cluster.node.metrics().value(&format!("master/frameworks/test/{}/{metric}", scheduler.id))
        };
        assert_eq!(of_framework("tasks/active/task_unreachable"), Some(1.0));
        assert_eq!(cluster.api(mark_gone(&agent.id())).await, ok());
        assert_eq!(of_framework("tasks/active/task_unreachable"), Some(0.0));
        assert_eq!(of_framework("tasks/terminal/task_gone_by_operator"), Some(1.0));
        let told = subscriber.pending().await;
        let ended: Vec<_> = told.iter().filter_map(|event| event.task_updated.as_ref()).collect();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].state(), TaskState::TaskGoneByOperator);
        let status = scheduler.status().await;
        assert_eq!(status.state(), TaskState::TaskGoneByOperator);
        assert_eq!(status.reason(), Reason::AgentRemovedByOperator);
        let shown = &cluster.get("/state").await["frameworks"][0];
        assert_eq!(shown["unreachable_tasks"], json!([]));
        assert_eq!(shown["completed_tasks"][0]["state"], "TASK_GONE_BY_OPERATOR");
        assert_eq!(cluster.node.metrics().value("master/tasks_unreachable"), Some(0.0));
        assert_eq!(cluster.node.metrics().value("master/slaves_unreachable"), Some(0.0));

        // It is refused, with what it runs.
        *agent.healthy.lock() = true;
        agent.taken().await;
        let running = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        agent.reregister(vec![running], vec![framework_info(&scheduler.id)]);
        assert!(matches!(agent.taken().await.as_slice(), [Got::Shutdown(_)]));
    });
}

#[test]
fn an_agent_that_is_awaited_after_a_failover_may_be_gone() {
    testing::run(async {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { work_dir: Some(directory.path().to_owned()), ..Settings::default() };
        let first = Cluster::with(settings.clone()).await;
        let id = first.agent("cpus:2;mem:1024").await.id();
        first.running.shutdown().await;

        let second = Cluster::with(settings.clone()).await;
        super::failover::wait_until_recovered(&second).await;
        assert_eq!(second.get("/slaves").await["recovered_slaves"].as_array().unwrap().len(), 1);
        assert_eq!(second.api(mark_gone(&id)).await, ok());
        assert_eq!(second.get("/slaves").await["recovered_slaves"], json!([]));
        second.running.shutdown().await;

        // The next master refuses it, too.
        let third = Cluster::with(settings).await;
        super::failover::wait_until_recovered(&third).await;
        let mut agent = third.stranger("cpus:2;mem:1024");
        agent.info.id = Some(v1::AgentId { value: id });
        agent.reregister(Vec::new(), Vec::new());
        assert!(matches!(agent.taken().await.as_slice(), [Got::Shutdown(_)]));
        let mut scheduler = third.subscribe(info()).await;
        let task = json!({ "task_id": { "value": "t" }, "agent_id": { "value": agent.id() } });
        scheduler.call("RECONCILE", json!({ "tasks": [task] })).await;
        let event = scheduler.next_of(Type::Update).await;
        assert_eq!(event.update.unwrap().status.state(), TaskState::TaskGoneByOperator);
    });
}
