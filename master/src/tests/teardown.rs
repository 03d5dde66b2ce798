//! Operators end frameworks (upstream: `teardown_tests.cpp`).

use http::Method;
use libprocess::testing;
use serde_json::json;

use super::agents::{framework_info, reported, running_task};
use super::shelf::Shelf;
use super::{Cluster, Got, info};
use crate::Settings;
use mesos::v1::TaskState;

/// Upstream: `TeardownTest.Success`, `MasterAPITest.Teardown`.
#[test]
fn a_framework_that_is_torn_down_is_over_with_its_tasks() {
    testing::run(async {
        for by_call in [false, true] {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let scheduler = running_task(&cluster, &agent, info()).await;
            let id = scheduler.id.clone();
            let answer = if by_call {
                let framework = json!({ "framework_id": { "value": id } });
                cluster.api(json!({ "type": "TEARDOWN", "teardown": framework })).await
            } else {
                cluster.ask(Method::POST, "/teardown", &format!("frameworkId={id}")).await
            };
            assert_eq!(answer, (200, String::new()));
            let state = cluster.get("/state").await;
            assert_eq!(state["frameworks"], json!([]));
            let over = &state["completed_frameworks"][0];
            assert_eq!(
                (&over["id"], &over["completed_tasks"][0]["state"]),
                (&json!(id), &json!("TASK_KILLED"))
            );
            assert!(agent.taken().await.iter().any(|got| matches!(got, Got::ShutdownFramework(_))));
        }
    });
}

/// Upstream: `TeardownTest.NoFrameworkId`, `NoHeader`; the texts are recorded.
#[test]
fn a_framework_that_is_not_there_cannot_be_torn_down() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let missing = "Missing 'frameworkId' query parameter in the request body";
        let unknown = "No framework found with specified ID";
        assert_eq!(cluster.ask(Method::POST, "/teardown", "").await, (400, missing.to_owned()));
        assert_eq!(
            cluster.ask(Method::POST, "/teardown", "frameworkId=nope").await,
            (400, unknown.to_owned())
        );
        let malformed = "Unable to decode query string: Malformed % escape in '%zz1': '%zz'";
        assert_eq!(
            cluster.ask(Method::POST, "/teardown", "frameworkId=%zz1").await,
            (400, malformed.to_owned())
        );
        let call = json!({ "type": "TEARDOWN", "teardown": { "framework_id": { "value": "nope" } } });
        assert_eq!(cluster.api(call).await, (400, unknown.to_owned()));
        let refused = "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'.";
        assert_eq!(cluster.ask(Method::GET, "/teardown", "").await, (405, refused.to_owned()));
    });
}

/// It would repeat itself for ever: nobody acknowledges.
#[test]
fn an_agent_that_still_speaks_of_a_framework_is_told_again_that_it_is_over() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let id = running_task(&cluster, &agent, info()).await.id;
        let answer = cluster.ask(Method::POST, "/teardown", &format!("frameworkId={id}")).await;
        assert_eq!(answer, (200, String::new()));
        agent.taken().await;
        agent.update(&id, "t", TaskState::TaskKilled);
        let got = agent.taken().await;
        let [Got::ShutdownFramework(shutdown)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(shutdown.framework_id.value, id);
        // Nobody was ever told of this one; its scheduler may be on its way.
        agent.update("another", "t", TaskState::TaskRunning);
        assert!(agent.taken().await.is_empty());
    });
}

/// Upstream: `TeardownTest.RecoveredFrameworkAfterMasterFailover`.
#[test]
fn a_framework_that_is_known_from_its_agents_only_can_be_torn_down() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let id = running_task(&cluster, &agent, info()).await.id;
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        agent.reregister(vec![reported(&agent, &id, TaskState::TaskRunning)], vec![framework_info(&id)]);
        agent.taken().await;
        assert_eq!(cluster.get("/state").await["frameworks"][0]["recovered"], true);
        let answer = cluster.ask(Method::POST, "/teardown", &format!("frameworkId={id}")).await;
        assert_eq!(answer, (200, String::new()));
        let completed = cluster.get("/state").await["completed_frameworks"][0].clone();
        assert_eq!(completed["id"], id);
        for (key, value) in [("recovered", true), ("active", false), ("connected", false)] {
            assert_eq!(completed[key], value, "{key}");
        }
        assert!(agent.taken().await.iter().any(|got| matches!(got, Got::ShutdownFramework(_))));
    });
}
