//! The roles of frameworks: which they may have, and how those change with a new subscription (upstream: the cases of
//! `FrameworkInfoValidationTest`).

use std::time::Duration;

use libprocess::http::{Request, dispatch};
use libprocess::testing;
use mesos::v1::TaskState;
use mesos::v1::scheduler::event::Type;
use serde_json::{Value, json};

use super::agents::{reported, running_task};
use super::partition::asked;
use super::shelf::Shelf;
use super::update_framework::{proto, shown, told};
use super::{Cluster, info};
use crate::Settings;
use crate::settings::{RoleList, Weights};

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
/// Upstream, too: `RoleTest.BadRegister`, `MasterAllocatorTest.RoleTest`.
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

/// `/roles`, as it is answered.
async fn all_roles(cluster: &Cluster) -> Value {
    let response = dispatch(&cluster.node, Request::new(http::Method::GET, "/roles")).await;
    assert_eq!(response.status, http::StatusCode::OK);
    assert_eq!(response.headers["content-type"], "application/json");
    let shown: Value = serde_json::from_slice(&response.body.collect().await).unwrap();
    shown["roles"].clone()
}

/// A role in which nobody holds anything.
fn idle(name: &str, weight: f64, frameworks: &[&str]) -> Value {
    json!({
        "name": name, "weight": weight, "frameworks": frameworks,
        "resources": {}, "allocated": {}, "offered": {}, "reserved": {},
        "quota": { "role": name, "consumed": {}, "guarantee": {}, "limit": {} }
    })
}

fn weighted(of: &[(&str, f64)]) -> Weights {
    Weights(of.iter().map(|(role, weight)| ((*role).to_owned(), *weight)).collect())
}

/// Upstream: `EndpointEmpty`, `AddAndRemoveFrameworkWithMultipleRoles`.
#[test]
fn all_roles_of_a_framework_come_and_go_with_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        assert_eq!(all_roles(&cluster).await, json!([]));
        let scheduler = cluster.subscribe(several(&["role1", "role2"])).await;
        let id = &*scheduler.id;
        assert_eq!(all_roles(&cluster).await, json!([idle("role1", 1.0, &[id]), idle("role2", 1.0, &[id])]));
        assert_eq!(scheduler.call("TEARDOWN", json!(null)).await.0, 202);
        assert_eq!(all_roles(&cluster).await, json!([]));
    });
}

/// Upstream: `EndpointWithWhitelistNoFrameworks`, `EndpointImplicitRolesWeights`.
#[test]
fn roles_that_are_listed_or_were_given_a_weight_are_shown_without_frameworks() {
    testing::run(async {
        let roles = Some(RoleList(["role1", "role2"].map(str::to_owned).into()));
        let settings = Settings { roles, weights: weighted(&[("role1", 5.0)]), ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let listed = json!([idle("*", 1.0, &[]), idle("role1", 5.0, &[]), idle("role2", 1.0, &[])]);
        assert_eq!(all_roles(&cluster).await, listed);

        let weights = weighted(&[("roleX", 5.0), ("roleY", 4.0)]);
        let cluster = Cluster::with(Settings { weights, ..Settings::default() }).await;
        let (x, z) =
            (cluster.subscribe(several(&["roleX"])).await, cluster.subscribe(several(&["roleZ"])).await);
        let shown =
            json!([idle("roleX", 5.0, &[&x.id]), idle("roleY", 4.0, &[]), idle("roleZ", 1.0, &[&z.id])]);
        assert_eq!(all_roles(&cluster).await, shown);
    });
}

/// Upstream: `EndpointImplicitRolesReservations`, `EndpointImplicitRolesAncestors`.
#[test]
fn a_role_with_nothing_but_a_reservation_is_shown_with_those_above_it() {
    testing::run(async {
        for names in [vec!["role"], vec!["ancestor", "ancestor/child"]] {
            let cluster = Cluster::start().await;
            let innermost = names.last().unwrap();
            let _agent = cluster.agent(&format!("cpus({innermost}):1;mem({innermost}):10;disk:100")).await;
            let shown = names.iter().map(|name| {
                let mut role = idle(name, 1.0, &[]);
                role["reserved"] = json!({ "cpus": 1.0, "mem": 10.0 });
                role["quota"]["consumed"] = role["reserved"].clone();
                role
            });
            assert_eq!(all_roles(&cluster).await, Value::Array(shown.collect()));
        }
    });
}

/// Upstream: `RolesEndpointContainsConsumedQuota`.
#[test]
fn what_is_used_or_reserved_is_consumed_and_what_is_only_offered_is_not() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut info = super::reserving_info();
        info["roles"] = json!(["role"]);
        let fixed = |name: &str, value: f64| {
            let mut resource = super::scalar(name, value);
            resource["reservations"] = json!([{ "type": "STATIC", "role": "role" }]);
            resource
        };
        let reserved = cluster.agent("cpus(role):1;mem(role):10").await;
        let mut scheduler = cluster.subscribe(info).await;
        let offer = scheduler.offer().await;
        let mut task = super::task("1", &reserved, 1.0, 10.0);
        task["resources"] = json!([fixed("cpus", 1.0), fixed("mem", 10.0)]);
        scheduler.launch(&[&offer], json!([task])).await;
        let free = cluster.agent("cpus:10;mem:100").await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([super::task("2", &free, 10.0, 100.0)])).await;
        let _offered = cluster
            .agent(
                "cpus(role):100;mem(role):1000;ports(role):[100-199];cpus:1000;mem:10000;ports:[1000-1999]",
            )
            .await;
        scheduler.offer().await;
        let shown = json!([{
            "name": "role", "weight": 1.0, "frameworks": [scheduler.id],
            "resources": { "cpus": 1111.0, "mem": 11110.0, "ports": 1100.0 },
            "allocated": { "cpus": 11.0, "mem": 110.0 },
            "offered": { "cpus": 1100.0, "mem": 11000.0, "ports": 1100.0 },
            "reserved": { "cpus": 101.0, "mem": 1010.0, "ports": 100.0 },
            "quota": {
                "role": "role", "guarantee": {}, "limit": {},
                "consumed": { "cpus": 111.0, "mem": 1110.0, "ports": 100.0 }
            }
        }]);
        assert_eq!(all_roles(&cluster).await, shown);
    });
}

/// Upstream: `UpgradeTest.MultiRoleSchedulerUpgrade`.
#[test]
fn tasks_run_on_when_their_scheduler_learns_of_several_roles() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut first = running_task(&cluster, &agent, plain("foo")).await;
        let id = first.id.clone();
        let mut second = cluster.subscribe(again(several(&["foo"]), &id)).await;
        assert_eq!(first.next_of(Type::Error).await.error.unwrap().message, "Framework failed over");
        let described = told(&agent).await.remove(0);
        assert_eq!((described.roles, described.role), (vec!["foo".to_owned()], None));
        let shown = cluster.get("/state").await["frameworks"][0].clone();
        assert_eq!((&shown["roles"], shown.get("role")), (&json!(["foo"]), None));
        assert_eq!(asked(&mut second, "t", &agent.id()).await.state(), TaskState::TaskRunning);
    });
}
