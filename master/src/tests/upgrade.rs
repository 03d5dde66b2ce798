//! Agents and schedulers of earlier versions, and what they become when they are upgraded (upstream: `upgrade_tests.cpp`).

use std::time::Duration;

use libprocess::testing;
use mesos::AgentCapabilities;
use mesos::internal::ReregisterSlaveMessage;
use mesos::v1::scheduler::event::Type;
use mesos::v1::{self, OperationState, TaskState};
use serde_json::{Value, json};

use super::agents::reported;
use super::shelf::Shelf;
use super::update_framework::proto;
use super::{Cluster, Got, amount, executor_task, info, launch, reserve, reserving_info, scalar};
use crate::Settings;

/// A framework of before there were several roles.
fn plain(role: &str) -> Value {
    json!({ "user": "user", "name": "test", "role": role, "failover_timeout": 604800.0, "checkpoint": true })
}

/// Upstream: `UpgradeTest.ReregisterOldAgentWithMultiRoleMaster`. Its scheduler may have learnt of several roles
/// meanwhile.
#[test]
fn what_an_agent_without_allocation_info_brings_is_of_the_role_that_it_was_launched_in() {
    for upgraded in [false, true] {
        testing::run(async move {
            let shelf = Shelf::default();
            let cluster = Cluster::on(&shelf, Settings::default()).await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = cluster.subscribe(plain("foo")).await;
            let id = scheduler.id.clone();
            let offer = scheduler.offer().await;
            scheduler.launch(&[&offer], json!([executor_task("t", &agent, "e", 1.0)])).await;
            let mut executor = agent.launched().await.remove(0).task.executor.unwrap();
            let cluster = cluster.fail_over(&shelf, Settings::default()).await;

            let mut now = if upgraded { info() } else { plain("foo") };
            if upgraded {
                now["roles"] = json!(["foo", "bar"]);
            }
            now["id"] = json!({ "value": id });
            let scheduler = cluster.subscribe(now).await;
            scheduler.call("SUPPRESS", json!(null)).await;

            let mut task = v1::Task {
                executor_id: Some(executor.executor_id.clone()),
                ..reported(&agent, &id, TaskState::TaskRunning)
            };
            for resource in task.resources.iter_mut().chain(&mut executor.resources) {
                resource.allocation_info = None;
            }
            let mut then = plain("foo");
            then["id"] = json!({ "value": id });
            agent.post(ReregisterSlaveMessage {
                slave: agent.info.clone(),
                tasks: vec![task],
                frameworks: vec![proto(&then)],
                executor_infos: vec![executor],
                version: Some("1.1.0".into()),
                agent_capabilities: AgentCapabilities { multi_role: false, ..AgentCapabilities::ALL }
                    .to_protos(),
                ..Default::default()
            });
            assert!(matches!(agent.taken().await[0], Got::Reregistered(_)));
            let state = cluster.get("/state").await;
            let framework = &state["frameworks"][0];
            assert_eq!(
                (&framework["tasks"][0]["role"], &framework["executors"][0]["role"]),
                (&json!("foo"), &json!("foo"))
            );
            // The allocator knows it, too: the rest goes to others.
            let mut other = cluster.subscribe(plain("*")).await;
            assert_eq!(amount(&other.offer().await.resources, "cpus"), 0.5);
        });
    }
}

/// Upstream: `UpgradeTest.UpgradeSlaveIntoMultiRole`, `UpgradeAgentIntoHierarchicalRoleForNonHierarchicalRole`,
/// `UpgradeAgentIntoHierarchicalRoleForHierarchicalRole`.
#[test]
fn an_agent_that_learns_of_roles_is_offered_to_those_who_need_that() {
    testing::run(async {
        let all = AgentCapabilities::ALL;
        let (one_role, flat) = (
            AgentCapabilities { multi_role: false, ..all },
            AgentCapabilities { hierarchical_role: false, ..all },
        );
        for (capabilities, role, is_offered) in
            [(one_role, "foo", false), (flat, "foo", true), (flat, "foo/bar", false)]
        {
            let cluster = Cluster::start().await;
            let agent = cluster.agent_with("cpus:2;mem:1024", capabilities).await;
            let mut info = info();
            info["roles"] = json!([role]);
            let mut scheduler = cluster.subscribe(info).await;
            if is_offered {
                let offer = scheduler.offer().await;
                let body = json!({ "offer_ids": [{ "value": offer.id.value }], "filters": { "refuse_seconds": 0.0 } });
                scheduler.call("DECLINE", body).await;
            } else {
                tokio::time::sleep(Duration::from_secs(60)).await;
                let events = scheduler.pending().await;
                assert!(events.iter().all(|event| event.r#type() == Type::Heartbeat), "{events:?}");
            }
            // It is the newer version now: this is what `reregister` says.
            agent.reregister(Vec::new(), Vec::new());
            assert!(agent.taken().await.iter().any(|got| matches!(got, Got::Reregistered(_))));
            let offer = scheduler.offer().await;
            assert_eq!((offer.agent_id.value, offer.allocation_info.unwrap().role()), (agent.id(), role));
        }
    });
}

/// Upstream: `UpgradeTest.RefineResourceOnOldAgent`.
#[test]
fn an_agent_that_knows_no_refined_reservations_is_not_asked_for_any() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let old = AgentCapabilities { reservation_refinement: false, ..AgentCapabilities::ALL };
        let agent = cluster.agent_with("cpus:1;mem:512;disk(role1):1024", old).await;
        let mut info = reserving_info();
        info["roles"] = json!(["role1/xyz"]);
        let mut scheduler = cluster.subscribe(info).await;
        let mut refined = scalar("disk", 1024.0);
        refined["reservations"] =
            json!([{ "type": "STATIC", "role": "role1" }, { "type": "DYNAMIC", "role": "role1/xyz" }]);
        let mut named = reserve(json!([refined]));
        named["id"] = json!({ "value": "x" });
        let mut task = super::task("t", &agent, 0.5, 32.0);
        task["resources"] = json!([refined]);
        for operations in [json!([named]), json!([named, launch(json!([task]))])] {
            let offer = scheduler.offer().await;
            let disk = offer.resources.iter().find(|resource| resource.name == "disk").unwrap();
            assert_eq!((disk.reservations.len(), disk.reservations[0].role()), (1, "role1"));
            scheduler.accept(&offer, operations.clone()).await;
            let status = scheduler.operation_status().await;
            assert_eq!(status.state(), OperationState::OperationError);
            assert!(status.message().contains("without RESERVATION_REFINEMENT capability"), "{status:?}");
            if operations.as_array().unwrap().len() == 2 {
                assert_eq!(scheduler.status().await.state(), TaskState::TaskError);
            }
            assert_eq!(agent.taken().await, []);
        }
        let again = scheduler.offer().await;
        assert_eq!(amount(&again.resources, "disk"), 1024.0);
    });
}
