//! The messages that drivers sent before there was `scheduler.Call`.

use libprocess::testing;
use mesos::internal::*;
use mesos::v1::{self, TaskState};
use serde_json::json;

use super::super::{Cluster, Got, amount};
use super::{Driver, Heard, again, error, info, message, task};

/// A driver that registered in the old way.
async fn registered(cluster: &Cluster) -> Driver {
    let mut driver = cluster.silent_driver();
    driver.post(RegisterFrameworkMessage { framework: message(info()) }).await;
    let Heard::Registered(registered) = driver.hears().await else { panic!("it is not registered") };
    driver.id = registered.framework_id.value;
    driver
}

impl Driver {
    fn framework_id(&self) -> v1::FrameworkId {
        v1::FrameworkId { value: self.id.clone() }
    }

    fn launch_tasks(&self, offer: &v1::Offer, tasks: Vec<v1::TaskInfo>) -> LaunchTasksMessage {
        LaunchTasksMessage {
            framework_id: self.framework_id(),
            tasks,
            filters: v1::Filters { refuse_seconds: Some(3600.0) },
            offer_ids: vec![offer.id.clone()],
        }
    }
}

#[test]
fn a_driver_registers_without_an_id_and_again_with_one() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = registered(&cluster).await;
        driver.post(RegisterFrameworkMessage { framework: message(again(&driver.id)) }).await;
        assert_eq!(driver.heard().await, [error("Registering with 'id' already set")]);
        let reregister = |failover| ReregisterFrameworkMessage { framework: message(info()), failover };
        driver.post(reregister(true)).await;
        assert_eq!(driver.heard().await, [error("Re-registering without an 'id'")]);

        let described: v1::FrameworkInfo = message(again(&driver.id));
        let reregister = |failover| ReregisterFrameworkMessage { framework: described.clone(), failover };
        driver.post(reregister(false)).await;
        assert!(matches!(driver.heard().await.as_slice(), [Heard::Reregistered(_)]));
        let second = cluster.silent_driver();
        second.post(reregister(false)).await;
        assert_eq!(second.heard().await, [error("Framework failed over")]);
        second.post(reregister(true)).await;
        assert!(matches!(second.heard().await.as_slice(), [Heard::Registered(_)]));
        assert_eq!(driver.heard().await, [error("Framework failed over")]);
    });
}

/// Upstream: `ResourceOffersTest.Request`.
#[test]
fn each_message_is_the_call_that_took_its_place() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = registered(&cluster).await;
        let offer = driver.offers().await.offers.remove(0);
        // No tasks decline.
        driver.post(driver.launch_tasks(&offer, vec![])).await;
        driver.post(ReviveOffersMessage { framework_id: driver.framework_id(), roles: vec![] }).await;
        let offer = driver.offers().await.offers.remove(0);
        assert_eq!(amount(&offer.resources, "cpus"), 4.0);
        driver.post(driver.launch_tasks(&offer, vec![message(task("t", &agent))])).await;
        assert_eq!(agent.launched().await.len(), 1);

        let uuid = agent.update(&driver.id, "t", TaskState::TaskRunning);
        driver.update().await;
        let acknowledge = StatusUpdateAcknowledgementMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: driver.framework_id(),
            task_id: v1::TaskId { value: "t".into() },
            uuid,
        };
        driver.post(acknowledge.clone()).await;
        assert_eq!(agent.taken().await, [Got::Acknowledged(acknowledge.clone())]);

        let say = FrameworkToExecutorMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: driver.framework_id(),
            executor_id: v1::ExecutorId { value: "t".into() },
            data: b"down".to_vec(),
        };
        driver.post(say.clone()).await;
        assert_eq!(agent.taken().await, [Got::Message(say.clone())]);
        let reconcile =
            || ReconcileTasksMessage { framework_id: driver.framework_id(), ..Default::default() };
        driver.post(reconcile()).await;
        assert_eq!(driver.update().await.update.status.state(), TaskState::TaskRunning);
        driver.post(ResourceRequestMessage { framework_id: driver.framework_id(), requests: vec![] }).await;
        assert_eq!(cluster.metric("master/messages_resource_request"), 1.0);
        let kill = KillTaskMessage {
            framework_id: driver.framework_id(),
            task_id: acknowledge.task_id.clone(),
            kill_policy: None,
        };
        driver.post(kill.clone()).await;
        assert_eq!(agent.taken().await, [Got::Kill(kill.clone())]);

        // Nobody else may say any of it.
        let other = registered(&cluster).await;
        other.post(kill).await;
        other.post(acknowledge.clone()).await;
        other.post(say).await;
        other.post(reconcile()).await;
        other.post(UnregisterFrameworkMessage { framework_id: driver.framework_id() }).await;
        driver.post(StatusUpdateAcknowledgementMessage { uuid: vec![1], ..acknowledge }).await;
        assert_eq!((agent.taken().await, driver.heard().await), (vec![], vec![]));
        assert_eq!(cluster.metric("master/invalid_status_update_acknowledgements"), 2.0);
        assert_eq!(cluster.metric("master/invalid_framework_to_executor_messages"), 1.0);

        driver.post(UnregisterFrameworkMessage { framework_id: driver.framework_id() }).await;
        assert!(matches!(agent.taken().await.as_slice(), [Got::ShutdownFramework(_)]));
        let completed = cluster.get("/frameworks").await["completed_frameworks"].clone();
        assert_eq!(completed[0]["id"], json!(driver.id));
    });
}
