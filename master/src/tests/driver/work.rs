//! What drivers do with a framework: offers, tasks, updates, messages.

use std::time::Duration;

use libprocess::{Pid, testing};
use mesos::internal::*;
use mesos::v1::{self, TaskState};
use serde_json::{Value, json};

use super::super::maintenance::{START, machine, ok, plan, schedule};
use super::super::{Cluster, Got, amount, executor_task, scalar};
use super::{Driver, Heard, again, error, info, launched, task};

/// A framework with two roles.
fn two_roles() -> Value {
    let mut info = info();
    info["roles"] = json!(["role1", "role2"]);
    info["capabilities"] = json!([{ "type": "MULTI_ROLE" }]);
    info
}

pub(super) fn roles(offers: &ResourceOffersMessage) -> Vec<&str> {
    let infos = offers.offers.iter().map(|offer| offer.allocation_info.as_ref().unwrap());
    infos.map(v1::resource::AllocationInfo::role).collect()
}

pub(super) async fn hears_nothing(driver: &Driver) {
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(driver.heard().await, []);
}

#[test]
fn offers_say_where_agents_are_and_look_as_before_roles_were_many() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;cpus(*):2").await;
        let driver = cluster.driver(info()).await;
        let ResourceOffersMessage { offers, pids } = driver.offers().await;
        assert_eq!(pids, [agent.actor.pid().to_string()]);
        assert_eq!(offers.len(), 1);
        let offer = &offers[0];
        assert_eq!(offer.allocation_info, None);
        assert_eq!(amount(&offer.resources, "cpus"), 6.0);
        for resource in &offer.resources {
            assert_eq!((resource.allocation_info.as_ref(), resource.role()), (None, "*"));
            assert!(resource.reservations.is_empty());
        }
    });
}

/// Upstream: `ExplicitAcknowledgements`.
#[test]
fn an_update_comes_with_its_agents_pid_and_is_acknowledged_to_the_master() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = launched(&cluster, &agent).await;
        let run = agent.launched().await;
        assert_eq!(run[0].pid, Some(driver.pid()));
        assert_eq!(run[0].task.resources[0].allocation_info.as_ref().unwrap().role(), "*");

        let uuid = agent.update(&driver.id, "t", TaskState::TaskRunning);
        let StatusUpdateMessage { update, pid } = driver.update().await;
        assert_eq!(pid, Some(agent.actor.pid().to_string()));
        assert_eq!((update.uuid.as_ref(), update.status.state()), (Some(&uuid), TaskState::TaskRunning));
        assert_eq!(update.slave_id, agent.info.id);
        // Who is not the framework's driver does not acknowledge for it.
        let mut other = cluster.driver(info()).await;
        other.id.clone_from(&driver.id);
        other.acknowledge(&update).await;
        assert_eq!(agent.taken().await, []);
        driver.acknowledge(&update).await;
        let got = agent.taken().await;
        let [Got::Acknowledged(acknowledged)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(acknowledged.uuid, uuid);
    });
}

/// Upstream: `ExplicitAcknowledgementsMasterGeneratedUpdate`.
#[test]
fn an_update_of_the_master_is_not_to_be_acknowledged() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = cluster.driver(info()).await;
        let offer = driver.offers().await.offers.remove(0);
        let mut greedy = task("t", &agent);
        greedy["resources"] = json!([scalar("cpus", 64.0)]);
        driver.launch(&offer, json!([greedy])).await;
        let StatusUpdateMessage { update, pid } = driver.update().await;
        assert_eq!(update.status.state(), TaskState::TaskError);
        assert_eq!((update.uuid, update.status.uuid), (None, None));
        assert_eq!(pid, Some(Pid::nobody().to_string()));
        assert_eq!(agent.taken().await, []);
    });
}

#[test]
fn calls_that_ask_are_answered_by_updates() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = launched(&cluster, &agent).await;
        agent.taken().await;
        driver.call("RECONCILE", json!({ "tasks": [] })).await;
        let StatusUpdateMessage { update, pid } = driver.update().await;
        assert_eq!((update.status.state(), update.uuid), (TaskState::TaskStaging, None));
        assert_eq!(pid, Some(Pid::nobody().to_string()));
        driver.call("KILL", json!({ "task_id": { "value": "unknown" } })).await;
        let update = driver.update().await.update;
        // The driver's framework is not partition-aware.
        assert_eq!(update.status.state(), TaskState::TaskLost);
        driver.call("KILL", json!({ "task_id": { "value": "t" } })).await;
        assert!(matches!(agent.taken().await.as_slice(), [Got::Kill(_)]));
    });
}

/// Upstream: `SchedulerFailoverExecutorToFrameworkMessage`, `SchedulerFailoverFrameworkToExecutorMessage`,
/// `MasterTest.FrameworkMessage`.
#[test]
fn executors_and_drivers_find_each_other_through_the_master() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = cluster.driver(info()).await;
        let offer = driver.offers().await.offers.remove(0);
        driver.launch(&offer, json!([executor_task("t", &agent, "e", 1.0)])).await;
        agent.taken().await;
        let down = json!({
            "agent_id": { "value": agent.id() }, "executor_id": { "value": "e" }, "data": "ZG93bg=="
        });
        driver.call("MESSAGE", down).await;
        let got = agent.taken().await;
        let [Got::Message(message)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(message.data, b"down");
        // Agents send theirs to the driver; by way of the master they come as well.
        let up = ExecutorToFrameworkMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: v1::FrameworkId { value: driver.id.clone() },
            executor_id: v1::ExecutorId { value: "e".into() },
            data: b"up".to_vec(),
        };
        agent.post(up.clone());
        assert_eq!(driver.heard().await, [Heard::Message(up.clone())]);
        let exited = ExitedExecutorMessage {
            slave_id: up.slave_id,
            framework_id: up.framework_id,
            executor_id: up.executor_id,
            status: 9,
        };
        agent.post(exited.clone());
        assert_eq!(driver.hears().await, Heard::LostExecutor(exited));
    });
}

/// Upstream: `PartitionedSlave`.
#[test]
fn a_driver_hears_of_lost_agents_and_of_offers_that_went_with_them() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = cluster.driver(info()).await;
        let offer = driver.offers().await.offers.remove(0);
        *agent.healthy.lock() = false;
        tokio::time::sleep(Duration::from_secs(100)).await;
        let lost = LostSlaveMessage { slave_id: agent.info.id.clone().unwrap() };
        let rescinded = RescindResourceOfferMessage { offer_id: offer.id };
        assert_eq!(driver.heard().await, [Heard::Rescinded(rescinded), Heard::LostAgent(lost)]);
    });
}

/// Upstream: `PreV1SchedulerSupport`.
#[test]
fn a_driver_hears_of_maintenance() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = launched(&cluster, &agent).await;
        let mut other = info();
        other["name"] = json!("other");
        let other = cluster.driver(other).await;
        let offer = other.offers().await.offers.remove(0);
        assert_eq!(offer.unavailability, None);
        assert_eq!(plan(&cluster, &schedule(&[json!([machine()])])).await, ok());
        assert_eq!(other.hears().await, Heard::Rescinded(RescindResourceOfferMessage { offer_id: offer.id }));
        assert_eq!(other.offers().await.offers[0].unavailability.unwrap().start.nanoseconds, START);

        // Upstream's own driver passes over what asks to leave; others need not.
        let Heard::InverseOffers(asked) = driver.hears().await else { panic!("it is not asked to leave") };
        assert_eq!(asked.pids, [agent.actor.pid().to_string()]);
        assert_eq!(asked.inverse_offers[0].agent_id, agent.info.id);
        assert_eq!(plan(&cluster, &json!({})).await, ok());
        let inverse_offer_id = asked.inverse_offers[0].id.clone();
        let rescinded = RescindInverseOfferMessage { inverse_offer_id };
        assert_eq!(driver.hears().await, Heard::InverseRescinded(rescinded));
    });
}

/// Upstream: `ReregisterAfterSuppress`.
#[test]
fn a_driver_that_returns_with_its_role_suppressed_is_offered_nothing_until_it_revives() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = cluster.driver(info()).await;
        driver.call("SUPPRESS", json!({})).await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let described = json!({ "framework_info": again(&driver.id), "suppressed_roles": ["*"] });
        driver.subscribe_with(described).await;
        let heard = driver.heard().await;
        assert!(matches!(heard.as_slice(), [Heard::Reregistered(_)]), "{heard:?}");
        hears_nothing(&driver).await;
        driver.call("REVIVE", json!(null)).await;
        driver.offers().await;
    });
}

/// Upstream: `RegisterWithSuppressedRole`.
#[test]
fn a_role_that_is_suppressed_from_the_start_is_offered_nothing() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = cluster.silent_driver();
        driver.subscribe_with(json!({ "framework_info": two_roles(), "suppressed_roles": ["role2"] })).await;
        assert!(matches!(driver.hears().await, Heard::Registered(_)));
        let offers = driver.offers().await;
        assert_eq!(roles(&offers), ["role1"]);
    });
}

/// Upstream: `SuppressSingleRole`, `ReviveSingleRole`.
#[test]
fn roles_are_suppressed_and_revived_one_by_one() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = cluster.driver(two_roles()).await;
        driver.call("SUPPRESS", json!({ "roles": ["role1"] })).await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let offers = driver.offers().await;
        assert_eq!(roles(&offers), ["role2"]);
        driver.decline(&offers.offers[0]).await;
        hears_nothing(&driver).await;
        driver.call("REVIVE", json!({ "roles": ["role1"] })).await;
        let offers = driver.offers().await;
        assert_eq!(roles(&offers), ["role1"]);
        driver.decline(&offers.offers[0]).await;
        hears_nothing(&driver).await;
    });
}

#[test]
fn a_driver_that_describes_its_framework_wrongly_is_told_so() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = cluster.driver(info()).await;
        let mut described = again(&driver.id);
        described["name"] = json!("renamed");
        driver.call("UPDATE_FRAMEWORK", json!({ "framework_info": described })).await;
        assert_eq!(driver.heard().await, []);
        assert_eq!(cluster.get("/frameworks").await["frameworks"][0]["name"], "renamed");
        described["principal"] = json!("somebody");
        driver.call("UPDATE_FRAMEWORK", json!({ "framework_info": described })).await;
        let text = "FrameworkInfo update is not valid: Changing framework's principal is not allowed.";
        assert_eq!(driver.heard().await, [error(text)]);
    });
}

#[test]
fn a_driver_may_not_ask_for_feedback_of_operations() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = cluster.driver(info()).await;
        let offer = driver.offers().await.offers.remove(0);
        let reserve = json!({ "type": "RESERVE", "id": { "value": "o" }, "reserve": { "resources": [] } });
        let launch = json!({ "type": "LAUNCH", "launch": { "task_infos": [task("t", &agent)] } });
        driver.accept(&offer, json!([reserve, launch])).await;
        let heard = driver.heard().await;
        let [Heard::Error(FrameworkErrorMessage { message })] = heard.as_slice() else { panic!("{heard:?}") };
        assert!(
            message.contains("operation feedback is not supported for the SchedulerDriver API"),
            "{message}"
        );
        // What else it wanted is done.
        assert_eq!(agent.launched().await.len(), 1);
        driver.call("RECONCILE_OPERATIONS", json!({ "operations": [] })).await;
        assert_eq!(driver.heard().await, []);
    });
}

#[test]
fn what_is_no_call_is_dropped_and_counted() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = cluster.driver(info()).await;
        driver.call("ACKNOWLEDGE", json!(null)).await;
        driver.call("MESSAGE", json!(null)).await;
        driver.post(mesos::v0::scheduler::Call::default()).await;
        assert_eq!(driver.heard().await, []);
        assert_eq!(cluster.metric("master/invalid_status_update_acknowledgements"), 1.0);
        assert_eq!(cluster.metric("master/invalid_framework_to_executor_messages"), 1.0);
        driver.call("TEARDOWN", json!(null)).await;
        driver.call("REVIVE", json!(null)).await;
        assert_eq!(driver.heard().await, [error("Framework has been removed")]);
        assert_eq!(cluster.get("/frameworks").await["frameworks"], json!([]));
    });
}
