//! Feedback on operations: updates, acknowledgements, reconciliation.

use std::time::Duration;

use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use mesos::v1::{self, OperationState};
use serde_json::{Value, json};

use super::*;

fn named(id: &str) -> Value {
    let mut operation = reserve(json!([reserved(scalar("cpus", 1.0), "r")]));
    operation["id"] = json!({ "value": id });
    operation
}

async fn ask(scheduler: &mut Scheduler<'_>, operations: Value) -> Vec<(OperationState, String)> {
    scheduler.call("RECONCILE_OPERATIONS", json!({ "operations": operations })).await;
    let events = scheduler.pending().await.into_iter().filter_map(|event| event.update_operation_status);
    events.map(|event| (event.status.state(), event.status.message().to_owned())).collect()
}

fn acknowledged(got: Vec<Got>) -> usize {
    got.iter().filter(|got| matches!(got, Got::AcknowledgedOperation(_))).count()
}

/// Upstream: `OperationReconciliationTest.PendingOperation`, `OperationReconciliationTest.PendingAndFinishedOperations`,
/// `OperationReconciliationTest.UnknownOperationKnownAgent`, `OperationReconciliationTest.ReconcileUnackedAgentOperation`,
/// `SchedulerTest.OperationFeedbackValidationWithResourceProviderCapability`.
#[test]
fn a_framework_hears_of_its_operation_and_acknowledges_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        scheduler.accept(&offer, json!([named("x")])).await;
        let applied = agent.applied().await;
        // Known, and not answered yet.
        assert_eq!(ask(&mut scheduler, json!([])).await[0].0, OperationState::OperationPending);
        agent.end_operation(&applied[0], OperationState::OperationFinished).await;
        let status = scheduler.operation_status().await;
        assert_eq!(status.state(), OperationState::OperationFinished);
        assert_eq!(
            (status.operation_id.as_ref().unwrap().value.as_str(), status.uuid.is_some()),
            ("x", true)
        );
        let asked = json!([{ "operation_id": { "value": "x" } }]);
        assert_eq!(ask(&mut scheduler, asked.clone()).await[0].0, OperationState::OperationFinished);
        scheduler.acknowledge_operation(&status).await;
        assert_eq!(acknowledged(agent.taken().await), 1);
        assert_eq!(ask(&mut scheduler, asked).await[0].0, OperationState::OperationUnknown);
        // The second time it is about nothing.
        scheduler.acknowledge_operation(&status).await;
        let value = |name: &str| cluster.node.metrics().value(&format!("master/{name}"));
        assert_eq!(value("valid_operation_status_update_acknowledgements"), Some(1.0));
        assert_eq!(value("invalid_operation_status_update_acknowledgements"), Some(1.0));
        assert_eq!((value("operations/finished"), value("operations/pending")), (Some(1.0), Some(0.0)));
        let snapshot = cluster.node.metrics().snapshot();
        assert!(snapshot.undescribed().is_empty(), "{:?}", snapshot.undescribed());
    });
}

/// Upstream: `Master::accept`, which knows changed reservations from operators only.
#[test]
fn a_framework_cannot_change_one_reservation_into_another() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let mut change = named("x");
        change["reserve"]["source"] = json!([reserved(scalar("cpus", 1.0), "r")]);
        scheduler.accept(&offer, json!([change])).await;
        let status = scheduler.operation_status().await;
        assert_eq!(status.state(), OperationState::OperationError);
        assert_eq!(
            status.message(),
            "Operation attempted with invalid resources: Reservation updates are not yet implemented for the \
             scheduler API."
        );
        assert!(agent.applied().await.is_empty());
    });
}

#[test]
fn an_acknowledgement_that_names_another_agent_than_the_operations_is_invalid() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        scheduler.accept(&offer, json!([named("x")])).await;
        let applied = agent.applied().await;
        agent.end_operation(&applied[0], OperationState::OperationFinished).await;
        let status = scheduler.operation_status().await;
        let other = cluster.agent("cpus:4;mem:1024").await;
        let mistaken = v1::OperationStatus { agent_id: other.info.id.clone(), ..status.clone() };
        scheduler.acknowledge_operation(&mistaken).await;
        assert_eq!((acknowledged(agent.taken().await), acknowledged(other.taken().await)), (0, 0));
        let invalid = cluster.node.metrics().value("master/invalid_operation_status_update_acknowledgements");
        assert_eq!(invalid, Some(1.0));
        scheduler.acknowledge_operation(&status).await;
        assert_eq!(acknowledged(agent.taken().await), 1, "it was not forgotten");
    });
}

/// Upstream: `MasterTest.OperationUpdateCompletedFramework`.
/// Upstream, too: `OperationStatusUpdateManagerTest.Cleanup`.
#[test]
fn the_master_acknowledges_for_whoever_does_not_want_to_hear() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let silent = reserve(json!([reserved(scalar("cpus", 1.0), "r")]));
        scheduler.accept(&offer, json!([silent, named("x")])).await;
        let applied = agent.applied().await;
        agent.end_operation(&applied[0], OperationState::OperationFinished).await;
        assert_eq!(acknowledged(agent.taken().await), 1);
        assert!(!scheduler.pending().await.iter().any(|event| event.r#type() == Type::UpdateOperationStatus));
        // Nobody is left who could.
        scheduler.call("TEARDOWN", json!(null)).await;
        agent.end_operation(&applied[1], OperationState::OperationFinished).await;
        assert_eq!(acknowledged(agent.taken().await), 1);
    });
}

/// Upstream: `OperationReconciliationTest.UnknownOperationUnknownAgent`,
/// `OperationReconciliationTest.UnknownOperationUnreachableAgent`,
/// `OperationReconciliationTest.UnknownOperationAgentMarkedGone`,
/// `OperationReconciliationTest.ReconcileAgentOperationOnGoneAgent`,
/// `MasterAPITest.OperationUpdatesUponAgentGone`, `OperationUpdatesUponUnreachable`.
#[test]
fn the_loss_of_an_agent_is_told_for_its_operations_and_again_when_asked() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let (unreachable, gone) =
            (OperationState::OperationUnreachable, OperationState::OperationGoneByOperator);
        let mut agents = Vec::new();
        for (expected, id) in [(unreachable, "x"), (gone, "y")] {
            let agent = cluster.agent("cpus:4;mem:1024").await;
            let offer = scheduler.offer().await;
            scheduler.accept(&offer, json!([named(id)])).await;
            if expected == gone {
                let call = json!({
                    "type": "MARK_AGENT_GONE", "mark_agent_gone": { "agent_id": { "value": agent.id() } }
                });
                assert_eq!(cluster.api(call).await.0, 200);
            } else {
                *agent.healthy.lock() = false;
                tokio::time::sleep(Duration::from_secs(80)).await;
            }
            let status = scheduler.operation_status().await;
            assert_eq!((status.state(), status.uuid), (expected, None));
            let asked = json!([{ "operation_id": { "value": id }, "agent_id": { "value": agent.id() } }]);
            assert_eq!(ask(&mut scheduler, asked).await[0].0, expected);
            // Its operations are not in the books any more.
            assert_eq!(ask(&mut scheduler, json!([])).await, []);
            agents.push(agent);
        }
        let nobody = json!([{ "operation_id": { "value": "x" }, "agent_id": { "value": "nobody" } }]);
        assert_eq!(ask(&mut scheduler, nobody).await[0].0, OperationState::OperationUnknown);
        let counted = || {
            ["total", "pending", "unreachable", "reserve/unreachable", "gone_by_operator"]
                .map(|name| cluster.metric(&format!("master/operations/{name}")))
        };
        assert_eq!(counted(), [2.0, 0.0, 1.0, 1.0, 1.0]);
        // The agent that is back says itself what it has. What is over is counted for ever.
        *agents[0].healthy.lock() = true;
        agents[0].reregister(vec![], vec![]);
        agents[0].taken().await;
        assert_eq!(counted(), [1.0, 0.0, 0.0, 0.0, 1.0]);
    });
}

/// Upstream: `MasterSlaveReconciliationTest.ReconcileDroppedOperation`,
/// `MasterSlaveReconciliationTest.ForwardOperationDroppedAfterExplicitReconciliation`,
/// `AgentOperationFeedbackTest.DroppedOperationStatusUpdate`, `DroppedOperationDuplicateStatusUpdate`.
#[test]
fn an_operation_that_has_not_reached_its_agent_is_dropped() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        scheduler.accept(&offer, json!([named("x")])).await;
        let applied = agent.applied().await.remove(0);
        agent.die().await;
        agent.revive();
        agent.taken().await;
        // It knows of no reservation.
        agent.reregister(vec![], vec![]);
        agent.report_operations(vec![]).await;
        let got = agent.taken().await;
        let asked = got.iter().find_map(|got| match got {
            Got::ReconcileOperations(message) => Some(message.operations[0].clone()),
            _ => None,
        });
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["reserved_resources"], json!({}));
        let status = v1::OperationStatus {
            state: OperationState::OperationDropped.into(),
            agent_id: agent.info.id.clone(),
            ..Default::default()
        };
        let dropped = UpdateOperationStatusMessage {
            slave_id: agent.info.id.clone(),
            status,
            operation_uuid: asked.unwrap().operation_uuid,
            ..Default::default()
        };
        assert_eq!(dropped.operation_uuid, Some(applied.operation_uuid));
        agent.post(dropped.clone());
        let status = scheduler.operation_status().await;
        assert_eq!(status.state(), OperationState::OperationDropped);
        assert_eq!(
            (&status.uuid, &status.resource_provider_id, &status.agent_id),
            (&None, &None, &agent.info.id)
        );
        assert_eq!(status.operation_id.unwrap().value, "x");
        // The agent was asked twice, because it registered twice.
        agent.post(dropped);
        let events = scheduler.pending().await;
        assert!(!events.iter().any(|event| event.r#type() == Type::UpdateOperationStatus), "{events:?}");
        assert_eq!(cluster.metric("master/operations/dropped"), 1.0);
        let asked = json!([{ "operation_id": { "value": "x" } }]);
        assert_eq!(
            ask(&mut scheduler, asked).await[0].0,
            OperationState::OperationUnknown,
            "it is forgotten"
        );
    });
}

/// That it has not is said once: there is nothing to wait for (upstream: `Master::updateOperationStatus`).
#[test]
fn an_operation_that_has_not_reached_its_agent_is_forgotten_also_when_its_framework_is() {
    testing::run(async {
        let cluster = Cluster::with(Settings { max_completed_frameworks: 0, ..Settings::default() }).await;
        let mut agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        scheduler.accept(&offer, json!([named("x")])).await;
        let applied = agent.applied().await.remove(0);
        agent.die().await;
        scheduler.call("TEARDOWN", json!(null)).await;
        assert_eq!(cluster.get("/state").await["completed_frameworks"], json!([]));
        agent.revive();
        agent.taken().await;
        agent.reregister(vec![], vec![]);
        agent.report_operations(vec![]).await;
        let known = async || cluster.read("GET_OPERATIONS", mesos::MediaType::Protobuf).await.get_operations;
        assert_eq!(known().await.unwrap().operations.len(), 1);
        agent.post(UpdateOperationStatusMessage {
            slave_id: agent.info.id.clone(),
            status: v1::OperationStatus {
                state: OperationState::OperationDropped.into(),
                agent_id: agent.info.id.clone(),
                ..Default::default()
            },
            operation_uuid: Some(applied.operation_uuid),
            ..Default::default()
        });
        testing::settle().await;
        assert!(known().await.unwrap_or_default().operations.is_empty());
    });
}

/// Upstream: `OperationReconciliationTest.UnackedAgentOperationAfterMasterFailover`,
/// `MasterTest.OperationUpdateDuringFailover`.
#[test]
fn a_new_master_learns_of_operations_from_their_agents_and_waits_for_their_frameworks() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:4;mem:1024").await;
        agent.info.id = Some(v1::AgentId { value: "old-S0".into() });
        agent.reregister(vec![], vec![]);
        agent.taken().await;
        let apply = |framework: &str, id: u8| ApplyOperationMessage {
            framework_id: Some(v1::FrameworkId { value: framework.into() }),
            operation_info: mesos::json::from_slice(named("x").to_string().as_bytes()).unwrap(),
            operation_uuid: v1::Uuid { value: vec![id; 16] },
            ..Default::default()
        };
        let (early, late) = (apply("old-0000", 1), apply("old-0001", 2));
        let operation = |apply: &ApplyOperationMessage| v1::Operation {
            framework_id: apply.framework_id.clone(),
            agent_id: agent.info.id.clone(),
            info: apply.operation_info.clone(),
            latest_status: v1::OperationStatus {
                operation_id: apply.operation_info.id.clone(),
                state: OperationState::OperationFinished.into(),
                uuid: Some(v1::Uuid { value: vec![9; 16] }),
                ..Default::default()
            },
            uuid: apply.operation_uuid.clone(),
            ..Default::default()
        };
        agent.report_operations(vec![operation(&early), operation(&late)]).await;
        agent.end_operation(&early, OperationState::OperationFinished).await;
        assert_eq!(acknowledged(agent.taken().await), 0, "its framework may still come");
        let mut info = reserving_info();
        info["id"] = json!({ "value": "old-0000" });
        let mut scheduler = cluster.subscribe(info).await;
        agent.end_operation(&early, OperationState::OperationFinished).await;
        let status = scheduler.operation_status().await;
        scheduler.acknowledge_operation(&status).await;
        assert_eq!(acknowledged(agent.taken().await), 1);
        tokio::time::sleep(Duration::from_secs(601)).await;
        agent.end_operation(&late, OperationState::OperationFinished).await;
        assert_eq!(acknowledged(agent.taken().await), 1, "the other one has had its time");
    });
}

/// The agent comes back at the same place, as it is before a version that knows all of this.
fn downgraded(agent: &Agent, capabilities: mesos::AgentCapabilities) {
    agent.post(ReregisterSlaveMessage {
        slave: agent.info.clone(),
        version: Some("1.11.0".into()),
        agent_capabilities: capabilities.to_protos(),
        resource_version_uuid: Some(resource_version()),
        ..Default::default()
    });
}

/// Upstream: `MasterTest.AckOperationsAfterAgentCapabilityChange`, `CleanupOperationsAfterAgentDowngrade`.
/// Upstream, too: `AgentOperationFeedbackTest.CleanupAcknowledgedTerminalOperation`.
#[test]
fn an_operation_that_is_over_waits_for_its_acknowledgement_unless_its_agent_knows_nothing_of_those_any_more()
{
    testing::run(async {
        let all = mesos::AgentCapabilities::ALL;
        for (capabilities, kept) in [
            (mesos::AgentCapabilities { resource_provider: false, ..all }, true),
            (mesos::AgentCapabilities { agent_operation_feedback: false, ..all }, false),
        ] {
            let cluster = Cluster::start().await;
            let mut agent = cluster.agent("cpus:4;mem:1024").await;
            let mut scheduler = cluster.subscribe(reserving_info()).await;
            let offer = scheduler.offer().await;
            scheduler.accept(&offer, json!([named("x")])).await;
            let applied = agent.applied().await.remove(0);
            agent.end_operation(&applied, OperationState::OperationFinished).await;
            scheduler.operation_status().await;
            let shown = async || {
                let shown = cluster.read("GET_OPERATIONS", mesos::MediaType::Protobuf).await.get_operations;
                let shown = shown.unwrap_or_default().operations.into_iter();
                shown.map(|it| (it.info.id.unwrap().value, it.latest_status.state())).collect::<Vec<_>>()
            };
            let finished = ("x".to_owned(), OperationState::OperationFinished);
            assert_eq!(shown().await, std::slice::from_ref(&finished));
            agent.die().await;
            agent.revive();
            downgraded(&agent, capabilities);
            assert!(agent.taken().await.iter().any(|got| matches!(got, Got::Reregistered(_))));
            assert_eq!(shown().await, if kept { vec![finished] } else { vec![] });
            if kept {
                agent.end_operation(&applied, OperationState::OperationFinished).await;
                let status = scheduler.operation_status().await;
                scheduler.acknowledge_operation(&status).await;
                assert_eq!(acknowledged(agent.taken().await), 1);
                assert_eq!(shown().await, []);
            }
        }
    });
}

/// Upstream: `AgentOperationFeedbackTest.RetryOperationStatusUpdate`, `OperationUpdateContainsAgentID`.
#[test]
fn an_outcome_that_is_told_again_is_passed_on_again_and_counted_once() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        scheduler.accept(&offer, json!([named("x")])).await;
        let applied = agent.applied().await.remove(0);
        let outcome = v1::OperationStatus {
            operation_id: applied.operation_info.id.clone(),
            state: OperationState::OperationFinished.into(),
            uuid: Some(v1::Uuid { value: cluster.node.random().uuid().as_bytes().to_vec() }),
            agent_id: agent.info.id.clone(),
            ..Default::default()
        };
        for _ in 0..2 {
            agent.post(UpdateOperationStatusMessage {
                framework_id: applied.framework_id.clone(),
                slave_id: agent.info.id.clone(),
                status: outcome.clone(),
                latest_status: Some(outcome.clone()),
                operation_uuid: Some(applied.operation_uuid.clone()),
            });
            assert_eq!(scheduler.operation_status().await, outcome);
            assert_eq!(cluster.metric("master/operations/finished"), 1.0);
        }
        let shown = cluster.read("GET_OPERATIONS", mesos::MediaType::Protobuf).await.get_operations.unwrap();
        assert_eq!(shown.operations.len(), 1);
        assert_eq!(shown.operations[0].latest_status.agent_id, agent.info.id);
        scheduler.acknowledge_operation(&outcome).await;
        assert_eq!(acknowledged(agent.taken().await), 1);
        assert_eq!(cluster.metric("master/operations/finished"), 1.0);
    });
}
