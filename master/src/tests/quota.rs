//! Quotas, from an operator's call to what frameworks are offered.
//!
//! The answers are those that genuine Mesos gave to the same requests in the same order. Behaviour is that of
//! upstream's `master_quota_tests.cpp`.

use std::time::Duration;

use http::Method;
use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use serde_json::{Value, json};

use super::failover::wait_until_recovered;
use super::shelf::Shelf;
use super::{Cluster, amount, info, scalar, task};
use crate::Settings;
use crate::cluster::books;
use crate::settings::RoleList;

pub(super) fn in_role(role: &str) -> Value {
    let mut info = info();
    info["roles"] = json!([role]);
    info
}

/// `{ "cpus": { "value": 1 } }`
fn amounts(of: &[(&str, f64)]) -> Value {
    of.iter().map(|(name, value)| ((*name).to_owned(), json!({ "value": value }))).collect()
}

fn config(role: &str, guarantees: &[(&str, f64)], limits: &[(&str, f64)]) -> Value {
    json!({ "role": role, "guarantees": amounts(guarantees), "limits": amounts(limits) })
}

fn update(force: bool, configs: Vec<Value>) -> Value {
    json!({ "type": "UPDATE_QUOTA", "update_quota": { "force": force, "quota_configs": configs } })
}

async fn set(cluster: &Cluster, config: Value) {
    assert_eq!(cluster.api(update(false, vec![config])).await, (200, String::new()));
}

async fn set_forced(cluster: &Cluster, config: Value) {
    assert_eq!(cluster.api(update(true, vec![config])).await, (200, String::new()));
}

/// The quota of a role as `/roles` shows it.
async fn shown(cluster: &Cluster, role: &str) -> Value {
    let roles = cluster.get("/roles").await;
    let mut roles = roles["roles"].as_array().unwrap().iter();
    roles.find(|shown| shown["name"] == role).map_or(Value::Null, |shown| shown["quota"].clone())
}

/// A JSON body as a value, with what has no order sorted by role; another body as text.
pub(super) fn comparable(body: &str) -> Value {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else { return json!(body) };
    fn sort(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.sort_by_key(|item| item["role"].to_string());
                items.iter_mut().for_each(sort);
            }
            Value::Object(fields) => fields.values_mut().for_each(sort),
            _ => {}
        }
    }
    sort(&mut value);
    value
}

/// The second is asked for while the first is being stored.
#[test]
fn two_quotas_at_once_guarantee_no_more_than_one_after_the_other() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let half = |role| config(role, &[("cpus", 3.0)], &[]);
        let set = |role| {
            let guarantee = json!([{ "name": "cpus", "type": "SCALAR", "scalar": { "value": 3.0 } }]);
            let request = json!({ "role": role, "guarantee": guarantee });
            cluster.api(json!({ "type": "SET_QUOTA", "set_quota": { "quota_request": request } }))
        };
        let update = |role| cluster.api(update(false, vec![half(role)]));
        let (first, second) = tokio::join!(set("a"), set("b"));
        assert_eq!((first.0, second.0), (200, 409), "{}", second.1);
        let (removed, third) = tokio::join!(
            cluster.api(json!({ "type": "REMOVE_QUOTA", "remove_quota": { "role": "a" } })),
            update("b")
        );
        assert_eq!(
            (removed.0, third.0),
            (200, 200),
            "what is being removed is guaranteed no more: {}",
            third.1
        );
        let (fourth, fifth) = tokio::join!(update("b"), update("c"));
        assert_eq!((fourth.0, fifth.0), (200, 400), "{}", fifth.1);
    });
}

/// Upstream: `UpdateAndGetQuota`, `UpdateQuotaMultipleRoles`, `SetExistingQuota`, `RemoveSingleQuota`,
/// `Status`, `AvailableResourcesSingleAgent`, `InsufficientResourcesSingleAgent`, `MasterAPITest.GetQuota`,
/// `SetQuota`, `RemoveQuota`.
#[test]
fn quotas_are_set_shown_and_refused_as_genuine_mesos_does() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:4096;disk:1000;ports:[31000-31100]").await;
        let quota1 = r#"{"infos":[{"role":"q1","guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":1.0}},{"name":"mem","type":"SCALAR","scalar":{"value":64.0}}]}],"configs":[{"role":"q1","guarantees":{"mem":{"value":64.0},"cpus":{"value":1.0}},"limits":{"mem":{"value":128.0},"cpus":{"value":2.0}}}]}"#;
        let quota3 = r#"{"infos":[{"role":"q3","guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":1.0}},{"name":"mem","type":"SCALAR","scalar":{"value":64.0}}]},{"role":"q2"},{"role":"q1"}],"configs":[{"role":"q3","guarantees":{"mem":{"value":64.0},"cpus":{"value":1.0}},"limits":{"mem":{"value":64.0},"cpus":{"value":1.0}}},{"role":"q2"},{"role":"q1"}]}"#;
        let reset = r#"{"infos":[{"role":"q2"},{"role":"q1"}],"configs":[{"role":"q2"},{"role":"q1"}]}"#;
        let got = |status: &str| format!(r#"{{"type":"GET_QUOTA","get_quota":{{"status":{status}}}}}"#);
        let (cpu, mem) = (scalar("cpus", 1.0), scalar("mem", 64.0));
        let get = || json!({ "type": "GET_QUOTA" }).to_string();
        let set = |request: Value| json!({ "type": "SET_QUOTA", "set_quota": { "quota_request": request } });
        let remove = |role: &str| json!({ "type": "REMOVE_QUOTA", "remove_quota": { "role": role } });
        let update = |configs: Value, force: bool| json!({ "type": "UPDATE_QUOTA", "update_quota": { "force": force, "quota_configs": configs } });
        let cpus = |amount: u32| json!({ "cpus": { "value": amount } });
        for (method, path, body, status, answer) in [
            ("GET", "/quota", String::new(), 200, "{}".to_owned()),
            ("POST", "/api/v1", get(), 200, got("{}")),
            (
                "POST",
                "/api/v1",
                update(json!([config("q1", &[("cpus", 1.0), ("mem", 64.0)], &[("cpus", 2.0), ("mem", 128.0)])]), false).to_string(),
                200,
                String::new(),
            ),
            ("POST", "/api/v1", get(), 200, got(quota1)),
            ("GET", "/master/quota", String::new(), 200, quota1.to_owned()),
            (
                "POST",
                "/api/v1",
                update(json!([{ "role": "q2", "guarantees": cpus(3), "limits": cpus(2) }]), false).to_string(),
                400,
                "Invalid QuotaConfig: 'QuotaConfig.guarantees' { cpus: 3 } is not contained within the \
                 'QuotaConfig.limits' { cpus: 2 }"
                    .to_owned(),
            ),
            (
                "POST",
                "/api/v1",
                update(json!([{ "role": "q2", "guarantees": cpus(3000) }]), false).to_string(),
                400,
                "Invalid QuotaConfig: total quota guarantees 'cpus:3001; mem:64' exceed cluster capacity 'cpus:4; \
                 disk:1000; mem:4096' (use 'force' flag to bypass this check)"
                    .to_owned(),
            ),
            (
                "POST",
                "/api/v1",
                update(json!([{ "role": "q2", "guarantees": cpus(3000) }]), true).to_string(),
                200,
                String::new(),
            ),
            (
                "POST",
                "/api/v1",
                update(json!([{ "role": "*", "guarantees": cpus(1) }]), false).to_string(),
                400,
                "Invalid QuotaConfig: total quota guarantees 'cpus:3002; mem:64' exceed cluster capacity 'cpus:4; \
                 disk:1000; mem:4096' (use 'force' flag to bypass this check)"
                    .to_owned(),
            ),
            (
                "POST",
                "/api/v1",
                update(json!([{ "role": "/x", "guarantees": cpus(1) }]), false).to_string(),
                400,
                "Updating quota on nested role '/x' is not supported yet".to_owned(),
            ),
            ("POST", "/api/v1", update(json!([{ "role": "q1" }, { "role": "q2" }]), false).to_string(), 200, String::new()),
            ("POST", "/api/v1", get(), 200, got(reset)),
            ("POST", "/api/v1", update(json!([]), false).to_string(), 200, String::new()),
            ("POST", "/api/v1", set(json!({ "role": "q3", "guarantee": [cpu, mem] })).to_string(), 200, String::new()),
            (
                "POST",
                "/api/v1",
                set(json!({ "role": "q3", "guarantee": [cpu] })).to_string(),
                400,
                "Failed to validate set quota request: Cannot set quota for role 'q3' which already has quota"
                    .to_owned(),
            ),
            ("GET", "/quota", String::new(), 200, quota3.to_owned()),
            ("POST", "/api/v1", remove("q3").to_string(), 200, String::new()),
            // Upstream dies of it.
            (
                "POST",
                "/api/v1",
                remove("q3").to_string(),
                400,
                "Failed to remove quota: Role 'q3' has no quota set".to_owned(),
            ),
            ("GET", "/quota", String::new(), 200, reset.to_owned()),
            ("POST", "/quota", json!({ "role": "q4", "guarantee": [cpu, mem] }).to_string(), 200, String::new()),
            (
                "POST",
                "/quota",
                json!({ "role": "q5", "guarantee": [scalar("cpus", 100.0)] }).to_string(),
                409,
                "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees \
                 'cpus:101; mem:64' exceed cluster capacity 'cpus:4; disk:1000; mem:4096'"
                    .to_owned(),
            ),
            (
                "POST",
                "/quota",
                json!({ "guarantee": [cpu] }).to_string(),
                400,
                "Failed to validate set quota request: QuotaInfo with invalid role: Role names cannot be the empty \
                 string"
                    .to_owned(),
            ),
            (
                "POST",
                "/quota",
                "{".to_owned(),
                400,
                "Failed to parse set quota request JSON '{': syntax error at line 1 near: ".to_owned(),
            ),
            ("DELETE", "/quota/q4", String::new(), 200, String::new()),
            (
                "DELETE",
                "/quota/q4",
                String::new(),
                400,
                "Failed to remove quota for path '/master/quota/q4': Role 'q4' has no quota set".to_owned(),
            ),
            (
                "DELETE",
                "/quota",
                String::new(),
                400,
                "Failed to parse remove quota request for path '/master/quota': expected 3 tokens, found 2 tokens"
                    .to_owned(),
            ),
            (
                "PUT",
                "/quota",
                String::new(),
                405,
                "405 Method Not Allowed. Expecting one of { 'GET', 'POST', 'DELETE' }, but received 'PUT'."
                    .to_owned(),
            ),
        ] {
            let answered = cluster.ask(method.parse().unwrap(), path, &body).await;
            let found = (answered.0, comparable(&answered.1));
            assert_eq!(found, (status, comparable(&answer)), "{method} {path} {body}");
        }
    });
}

/// Upstream: `Http::api`; the texts are recorded ones. Also `MasterCallValidationTest.UpdateQuota`.
#[test]
fn a_call_is_refused_in_upstreams_order() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for (call, status, answer) in [
            (json!({}), 400, "Failed to validate master::Call: Expecting 'type' to be present"),
            (
                json!({ "type": "UPDATE_QUOTA" }),
                400,
                "Failed to validate master::Call: Expecting 'update_quota' to be present",
            ),
            (
                json!({ "type": "REMOVE_QUOTA", "remove_quota": {} }),
                400,
                "Failed to convert JSON into Call protobuf: Missing required fields: remove_quota.role",
            ),
            (
                json!({ "type": "SET_QUOTA", "set_quota": {} }),
                400,
                "Failed to convert JSON into Call protobuf: Missing required fields: set_quota.quota_request",
            ),
            (
                json!({ "type": "GET_METRICS" }),
                400,
                "Failed to validate master::Call: Expecting 'get_metrics' to be present",
            ),
            (json!({ "type": "UNKNOWN" }), 501, "501 Not Implemented."),
        ] {
            assert_eq!(cluster.api(call.clone()).await, (status, answer.to_owned()), "{call}");
        }
        let (status, _) = cluster.ask(Method::GET, "/api/v1", "").await;
        assert_eq!(status, 405);
    });
}

/// Upstream: `RescindOffersEnforcingLimits`, `ValidateLimitAgainstConsumed`.
#[test]
fn a_limit_takes_back_offers_and_binds_what_comes_after() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:4096").await;
        let mut scheduler = cluster.subscribe(in_role("r")).await;
        let offer = scheduler.offer().await;
        set(&cluster, config("r", &[], &[("cpus", 1.0)])).await;
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        let offer = scheduler.offer().await;
        assert_eq!((amount(&offer.resources, "cpus"), amount(&offer.resources, "mem")), (1.0, 4096.0));

        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 96.0)])).await;
        let quota = shown(&cluster, "r").await;
        assert_eq!(quota["limit"], json!({ "cpus": 1.0 }));
        assert_eq!(quota["guarantee"], json!({}));
        assert_eq!(quota["consumed"], json!({ "cpus": 1.0, "mem": 96.0 }));
        let less = config("r", &[], &[("cpus", 0.5)]);
        assert_eq!(
            cluster.api(update(false, vec![less.clone()])).await,
            (
                400,
                "Invalid QuotaConfig: Role 'r' is already consuming 'cpus:1; mem:96'; this is more than the requested \
                 limits 'cpus:0.5' (use 'force' flag to bypass this check)"
                    .to_owned()
            )
        );
        assert_eq!(cluster.api(update(true, vec![less])).await.0, 200);

        // Nothing is offered of what is limited; memory is, once the limit for it is gone.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let metrics = cluster.node.metrics();
        let name = |what: &str| format!("allocator/mesos/quota/roles/r/resources/cpus/{what}");
        assert_eq!(metrics.value(&name("limit")), Some(0.5));
        assert_eq!(metrics.value(&name("consumed")), Some(1.0));
        assert_eq!(metrics.value(&name("offered_or_allocated")), Some(1.0));
        assert_eq!(metrics.value(&name("guarantee")), None);
    });
}

/// Upstream: `RescindOffersForUpdateQuotaGuarantees`.
#[test]
fn a_guarantee_takes_back_others_offers_until_it_can_be_met() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agents = [cluster.agent("cpus:2;mem:1024").await, cluster.agent("cpus:2;mem:1024").await];
        let mut other = cluster.subscribe(in_role("other")).await;
        assert_eq!(other.next_of(Type::Offers).await.offers.unwrap().offers.len(), 2);
        let mut guaranteed = cluster.subscribe(in_role("r")).await;
        set(&cluster, config("r", &[("cpus", 1.0)], &[])).await;
        other.next_of(Type::Rescind).await;
        let offer = guaranteed.offer().await;
        assert!(amount(&offer.resources, "cpus") >= 1.0);
        // One agent was enough.
        let events = other.pending().await;
        assert!(events.iter().all(|event| event.r#type() != Type::Rescind), "{events:?}");
        assert_eq!(shown(&cluster, "r").await["guarantee"], json!({ "cpus": 1.0 }));
    });
}

/// Upstream: `AvailableResourcesAfterRescinding`.
#[test]
fn the_older_request_takes_back_whole_agents() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agents = [cluster.agent("cpus:2;mem:1024").await, cluster.agent("cpus:2;mem:1024").await];
        let mut other = cluster.subscribe(in_role("other")).await;
        assert_eq!(other.next_of(Type::Offers).await.offers.unwrap().offers.len(), 2);
        let body = json!({ "role": "r", "guarantee": [scalar("cpus", 3.0)] }).to_string();
        assert_eq!(cluster.ask(Method::POST, "/quota", &body).await.0, 200);
        let rescinded = other.pending().await;
        assert_eq!(rescinded.iter().filter(|event| event.r#type() == Type::Rescind).count(), 2);
        // 3 of 4 cpus are held back for a role without frameworks.
        let offer = other.offer().await;
        assert_eq!(amount(&offer.resources, "cpus"), 1.0);
    });
}

#[test]
fn the_books_are_made_once_for_all_quotas_of_a_call_and_what_one_of_them_takes_back_counts_for_the_next() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agents = Vec::new();
        for _ in 0..3 {
            agents.push(cluster.agent("cpus:2;mem:1024").await);
        }
        let mut scheduler = cluster.subscribe(in_role("r")).await;
        assert_eq!(scheduler.next_of(Type::Offers).await.offers.unwrap().offers.len(), 3);
        let before = books::made();
        let configs = vec![
            config("a", &[("cpus", 2.0)], &[]),
            config("b", &[("cpus", 2.0)], &[]),
            // It has no more by then.
            config("r", &[], &[("cpus", 2.0)]),
        ];
        assert_eq!(cluster.api(update(false, configs)).await, (200, String::new()));
        // One to see whether the quotas may be set, one to see what has to be taken back.
        assert_eq!(books::made() - before, 2);
        let events = scheduler.pending().await;
        assert_eq!(events.iter().filter(|event| event.r#type() == Type::Rescind).count(), 2);
    });
}

/// Upstream: `SetForNonExistentRole`, and `UnknownRole` of `dynamic_weights_tests.cpp`.
#[test]
fn roles_that_are_not_listed_have_neither_quota_nor_weight() {
    testing::run(async {
        let roles = Some(RoleList(["a".to_owned(), "b".to_owned()].into()));
        let cluster = Cluster::with(Settings { roles, ..Settings::default() }).await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        assert_eq!(
            cluster.api(update(false, vec![config("x", &[], &[("cpus", 1.0)])])).await,
            (400, "Invalid QuotaConfig: 'x' is not on the roles whitelist".to_owned())
        );
        let body = json!({ "role": "x", "guarantee": [scalar("cpus", 1.0)] }).to_string();
        assert_eq!(
            cluster.ask(Method::POST, "/quota", &body).await,
            (400, "Failed to validate set quota request: Unknown role 'x'".to_owned())
        );
        let weights = json!([{ "role": "x", "weight": 3.0 }]).to_string();
        assert_eq!(
            cluster.ask(Method::PUT, "/weights", &weights).await,
            (400, "Failed to validate update weights request JSON: Unknown role 'x'".to_owned())
        );
        set(&cluster, config("a", &[], &[("cpus", 1.0)])).await;
    });
}

/// Upstream: `AvailableResourcesSingleDisconnectedAgent`. It is likely to be back soon.
#[test]
fn what_a_disconnected_agent_has_can_be_guaranteed() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        agent.die().await;
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["active"], false);
        let all = config("r", &[("cpus", 2.0), ("mem", 1024.0)], &[]);
        let more = config("r", &[("cpus", 3.0)], &[]);
        assert_eq!(cluster.api(update(false, vec![more])).await.0, 400);
        set(&cluster, all).await;
    });
}

/// Upstream: `RemoveQuotaRace`.
#[test]
fn a_quota_that_is_removed_before_it_is_stored_stays_removed() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let quota = json!({ "role": "r", "guarantee": [scalar("cpus", 1.0)] }).to_string();
        let set = cluster.ask(Method::POST, "/quota", &quota);
        let remove = || cluster.ask(Method::DELETE, "/quota/r", "");
        let (set, removed, again) = tokio::join!(set, remove(), remove());
        assert_eq!((set.0, removed.0, again.0), (200, 200, 400));
        assert_eq!(cluster.get("/quota").await, json!({}));
        assert_eq!(shown(&cluster, "r").await, Value::Null);
    });
}

/// Another leader might not find what is not stored.
#[test]
fn a_quota_is_shown_when_it_is_stored_and_not_before() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let quota = json!({ "role": "r", "guarantee": [scalar("cpus", 1.0)] }).to_string();
        for (method, path, body, before) in [
            (Method::POST, "/quota", quota.as_str(), Value::Null),
            (Method::DELETE, "/quota/r", "", json!("r")),
        ] {
            let role = async || cluster.get("/quota").await["infos"][0]["role"].clone();
            shelf.hold();
            let change = cluster.ask(method.clone(), path, body);
            let looked = async {
                testing::settle().await;
                assert_eq!(shelf.waiting(), 1, "{method}");
                assert_eq!(role().await, before, "{method}");
                // Asked for again, it is as if it were done.
                assert_eq!(cluster.ask(method.clone(), path, body).await.0, 400, "{method}");
                shelf.release().await;
            };
            assert_eq!(tokio::join!(change, looked).0.0, 200);
            assert_ne!(role().await, before, "{method}");
        }
    });
}

/// Upstream: `RecoverQuotaEmptyCluster`.
#[test]
fn quotas_outlive_the_master_and_allocation_waits_for_agents_then() {
    testing::run(async {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { work_dir: Some(directory.path().to_owned()), ..Settings::default() };
        let first = Cluster::with(settings.clone()).await;
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(first.agent("cpus:2;mem:1024").await.info.id.unwrap());
        }
        set(&first, config("r", &[("cpus", 1.0)], &[("cpus", 3.0)])).await;
        first.running.shutdown().await;

        let second = Cluster::with(settings).await;
        wait_until_recovered(&second).await;
        let quota = shown(&second, "r").await;
        assert_eq!((&quota["guarantee"]["cpus"], &quota["limit"]["cpus"]), (&json!(1.0), &json!(3.0)));
        let registry = second.get("/registrar(1)/registry").await;
        assert_eq!(registry["minimum_capabilities"][0]["capability"], "QUOTA_V2");

        // 80 % of two agents, rounded down, is one: the first that comes back ends the hold.
        let mut scheduler = second.subscribe(in_role("r")).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(scheduler.pending().await.iter().all(|event| event.r#type() == Type::Heartbeat));
        let mut back = second.stranger("cpus:2;mem:1024");
        back.info.id = ids.pop();
        back.reregister(Vec::new(), Vec::new());
        assert_eq!(amount(&scheduler.offer().await.resources, "cpus"), 2.0);
    });
}

#[test]
fn quotas_are_bounded_in_number_and_in_names() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let many = (0..1_001).map(|at| config(&format!("r{at}"), &[], &[])).collect();
        let (status, text) = cluster.api(update(true, many)).await;
        assert_eq!((status, text.contains("at most 1000 are allowed")), (400, true), "{text}");
        let names: Vec<String> = (0..65).map(|at| format!("name{at}")).collect();
        let guarantees: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        set_forced(&cluster, config("a", &guarantees[..40], &[])).await;
        let (status, text) = cluster.api(update(true, vec![config("b", &guarantees[40..], &[])])).await;
        assert_eq!((status, text.contains("at most 64 are allowed")), (400, true), "{text}");
        set_forced(&cluster, config("b", &guarantees[..64], &[])).await;
    });
}

/// A record that the store refuses would end the leader.
#[test]
fn names_that_no_registry_could_keep_are_refused() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let long = "x".repeat(1_025);
        let refused = |(status, text): (u16, String), what: &str| {
            assert_eq!(status, 400, "{text}");
            let said =
                format!("{what} that begins with '{}' has 1025 bytes; at most 1024 are kept", &long[..32]);
            assert!(text.contains(&said) && text.len() < 300, "{text}");
        };
        let guaranteed = |name| json!({ "role": name, "guarantee": [scalar("cpus", 1.0)] }).to_string();
        let weigh = |role: &str| json!([{ "role": role, "weight": 3.0 }]).to_string();
        refused(cluster.api(update(true, vec![config(&long, &[], &[("cpus", 1.0)])])).await, "The role");
        refused(
            cluster.api(update(true, vec![config("r", &[], &[(&long, 1.0)])])).await,
            "The resource name",
        );
        refused(
            cluster.api(update(true, vec![config("r", &[(&long, 1.0)], &[])])).await,
            "The resource name",
        );
        refused(cluster.ask(Method::POST, "/quota", &guaranteed(&long)).await, "The role");
        refused(cluster.ask(Method::PUT, "/weights", &weigh(&long)).await, "The role");

        let longest = &long[..1_024];
        set_forced(&cluster, config(longest, &[], &[(longest, 1.0)])).await;
        assert_eq!(cluster.ask(Method::PUT, "/weights", &weigh(longest)).await.0, 200);
    });
}

#[test]
fn taking_away_a_quota_that_never_was_leaves_nothing() {
    testing::run(async {
        let cluster = Cluster::start().await;
        set(&cluster, config("unheard-of", &[], &[])).await;
        assert_eq!(shown(&cluster, "unheard-of").await, Value::Null);
    });
}

/// Upstream: `RolesEndpointContainsQuota`, `EndpointImplicitRolesQuotas`.
#[test]
fn a_role_with_nothing_but_a_quota_is_shown_until_the_quota_is_removed() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let guarantee = json!([scalar("cpus", 1.0), scalar("mem", 512.0)]);
        let body = json!({ "role": "foo", "guarantee": guarantee, "force": true }).to_string();
        assert_eq!(cluster.ask(Method::POST, "/quota", &body).await, (200, String::new()));
        let both = json!({ "cpus": 1.0, "mem": 512.0 });
        let quota = json!({ "role": "foo", "consumed": {}, "guarantee": both, "limit": both });
        assert_eq!(shown(&cluster, "foo").await, quota);
        assert_eq!(cluster.get("/roles").await["roles"].as_array().unwrap().len(), 1);
        assert_eq!(cluster.ask(Method::DELETE, "/quota/foo", "").await, (200, String::new()));
        assert_eq!(cluster.get("/roles").await, json!({ "roles": [] }));
    });
}
