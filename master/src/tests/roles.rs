//! The roles of frameworks: which they may have, and how those change with a new subscription (upstream: the cases of
//! `FrameworkInfoValidationTest`).

use std::time::Duration;

use libprocess::testing;
use mesos::v1::TaskState;
use mesos::v1::scheduler::event::Type;
use serde_json::{Value, json};

use super::agents::{reported, running_task};
use super::shelf::Shelf;
use super::update_framework::{proto, shown};
use super::{Cluster, info};
use crate::Settings;
use crate::settings::RoleList;

/// A framework of before there were several roles.
fn plain(role: &str) -> Value {
    json!({ "user": "user", "name": "test", "role": role, "failover_timeout": 604800.0, "checkpoint": true })
}

/// A framework that knows several roles.
fn several(roles: &[&str]) -> Value {
    let mut info = info();
    info["roles"] = json!(roles);
    info
}

fn again(mut info: Value, id: &str) -> Value {
    info["id"] = json!({ "value": id });
    info
}

/// Upstream: `FrameworkInfoValidationTest.MissingMultiRoleCapability`, `MultiRoleWhitelist`.
#[test]
fn who_does_not_know_several_roles_or_has_one_that_is_not_listed_is_refused() {
    testing::run(async {
        let roles = Some(RoleList(["role1".to_owned()].into()));
        let cluster = Cluster::with(Settings { roles, ..Settings::default() }).await;
        let mut unaware = several(&["role1"]);
        unaware["capabilities"] = json!([]);
        for (info, text) in [
            (unaware, "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"),
            (several(&["role1", "role2"]), "Roles { role2 } are not present in the master's --roles"),
        ] {
            let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info } });
            let error = cluster.open(call).await.next().await.unwrap();
            assert_eq!((error.r#type(), error.error.unwrap().message.as_str()), (Type::Error, text));
        }
        cluster.subscribe(several(&["role1"])).await;
    });
}

/// Upstream: `FrameworkInfoValidationTest.AcceptMultiRoleFramework`, `UpgradeToMultiRole`,
/// `DowngradeFromMultipleRoles`, `RoleChangeWithMultiRole`.
#[test]
fn a_framework_has_the_roles_that_it_named_last() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut scheduler = cluster.subscribe(plain("role1")).await;
        let id = scheduler.id.clone();
        for (info, roles) in [
            (several(&["role1"]), vec!["role1"]),
            (several(&["role1", "role2"]), vec!["role1", "role2"]),
            (several(&["role2"]), vec!["role2"]),
            (plain("role1"), vec!["role1"]),
        ] {
            scheduler = cluster.subscribe(again(info, &id)).await;
            assert_eq!(scheduler.id, id);
            let mut shown = shown(&cluster).await.framework_info;
            shown.roles.extend(shown.role.take());
            assert_eq!(shown.roles, roles);
        }
    });
}

/// Upstream: `FrameworkInfoValidationTest.RoleChangeWithMultiRoleMasterFailover`.
#[test]
fn a_framework_may_come_back_to_the_next_leader_with_another_role_than_its_agent_knows() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let id = running_task(&cluster, &agent, plain("role1")).await.id;
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        let described = proto(&again(plain("role1"), &id));
        agent.reregister(vec![reported(&agent, &id, TaskState::TaskRunning)], vec![described]);
        agent.taken().await;
        assert_eq!(shown(&cluster).await.framework_info.role(), "role1");

        let mut scheduler = cluster.subscribe(again(several(&["role2"]), &id)).await;
        assert_eq!(shown(&cluster).await.framework_info.roles, ["role2"]);
        assert_eq!(scheduler.offer().await.allocation_info.unwrap().role(), "role2");
    });
}

/// Upstream: `SchedulerTest.NoOffersWithAllRolesSuppressed`.
#[test]
fn a_framework_that_subscribes_with_its_roles_suppressed_is_offered_nothing_until_it_revives() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let subscribe = json!({ "framework_info": several(&["a", "b"]), "suppressed_roles": ["a", "b"] });
        let mut scheduler = cluster.open(json!({ "type": "SUBSCRIBE", "subscribe": subscribe })).await;
        let subscribed = scheduler.next_of(Type::Subscribed).await.subscribed.unwrap();
        scheduler.id = subscribed.framework_id.value;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let events = scheduler.pending().await;
        assert!(events.iter().all(|event| event.r#type() == Type::Heartbeat), "{events:?}");
        assert_eq!(scheduler.call("REVIVE", json!({ "roles": ["b"] })).await.0, 202);
        assert_eq!(scheduler.offer().await.allocation_info.unwrap().role(), "b");
    });
}
