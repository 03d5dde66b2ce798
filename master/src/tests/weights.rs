//! Weights, from an operator's call to what frameworks are offered (upstream: `dynamic_weights_tests.cpp`). The answers
//! are those that genuine Mesos gave to the same requests in the same order.

use http::Method;
use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use serde_json::{Value, json};

use super::quota::{comparable, in_role};
use super::shelf::Shelf;
use super::{Cluster, amount, task};
use crate::Settings;
use crate::settings::RoleList;

/// Upstream: `PutInvalidRequest`, `ZeroWeight`, `NegativeWeight`, `MissingRole`, `MasterAPITest.GetWeights`,
/// `UpdateWeights`.
#[test]
fn weights_are_set_shown_and_refused_as_genuine_mesos_does() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let update = |weights: Value| {
            json!({ "type": "UPDATE_WEIGHTS", "update_weights": { "weight_infos": weights } }).to_string()
        };
        let refused = "Failed to validate update weights request JSON";
        for (method, path, body, status, answer) in [
            ("GET", "/weights", String::new(), 200, "[]".to_owned()),
            ("POST", "/api/v1", r#"{"type":"GET_WEIGHTS"}"#.to_owned(), 200, r#"{"type":"GET_WEIGHTS"}"#.to_owned()),
            ("POST", "/api/v1", update(json!([{ "role": "r1", "weight": 2.5 }])), 200, String::new()),
            ("GET", "/weights", String::new(), 200, r#"[{"role":"r1","weight":2.5}]"#.to_owned()),
            ("PUT", "/weights", r#"[{"role":" r2 ","weight":3.0}]"#.to_owned(), 200, String::new()),
            (
                "PUT",
                "/weights",
                r#"[{"role":"r2","weight":0}]"#.to_owned(),
                400,
                format!("{refused} for role 'r2': Invalid weight '0': Weights must be positive"),
            ),
            (
                "PUT",
                "/weights",
                r#"[{"role":"/r2","weight":1}]"#.to_owned(),
                400,
                format!("{refused}: Invalid role '/r2': Role '/r2' cannot start with a slash"),
            ),
            (
                "PUT",
                "/weights",
                r#"[{"role":"r2"}]"#.to_owned(),
                400,
                r#"Failed to convert weights JSON array to protobuf '[{"role":"r2"}]': Missing required fields: weight"#
                    .to_owned(),
            ),
            (
                "PUT",
                "/weights",
                "{".to_owned(),
                400,
                "Failed to parse update weights request JSON '{': syntax error at line 1 near: ".to_owned(),
            ),
            ("POST", "/api/v1", update(json!([])), 200, String::new()),
            (
                "POST",
                "/api/v1",
                update(json!([{ "role": "r", "weight": -1 }])),
                400,
                format!("{refused} for role 'r': Invalid weight '-1': Weights must be positive"),
            ),
            (
                "POST",
                "/api/v1",
                update(json!([{ "weight": 1 }])),
                400,
                format!("{refused}: Invalid role '': Role names cannot be the empty string"),
            ),
            (
                "POST",
                "/api/v1",
                update(json!([{ "role": "d", "weight": 1 }, { "role": "d", "weight": 2 }])),
                200,
                String::new(),
            ),
            (
                "GET",
                "/weights",
                String::new(),
                200,
                r#"[{"role":"d","weight":2.0},{"role":"r1","weight":2.5},{"role":"r2","weight":3.0}]"#.to_owned(),
            ),
            (
                "POST",
                "/weights",
                String::new(),
                405,
                "405 Method Not Allowed. Expecting one of { 'GET', 'PUT' }, but received 'POST'.".to_owned(),
            ),
        ] {
            let answered = cluster.ask(method.parse().unwrap(), path, &body).await;
            let found = (answered.0, comparable(&answered.1));
            assert_eq!(found, (status, comparable(&answer)), "{method} {path} {body}");
        }
        let roles = cluster.get("/roles").await;
        assert_eq!(roles["roles"][0]["weight"], 2.0);
    });
}

/// Upstream: `DynamicWeightsTest.PutInvalidRequest`, `NonNumericWeight`, `MissingRole`.
#[test]
fn a_request_that_makes_no_sense_changes_no_weight() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for body in [
            r#"[{"weight":3.2,"role"}]"#,
            r#"[{"weight":3.2,"invalidField":"role1"}]"#,
            r#"[{"role":"role1","weight":"two"}]"#,
            r#"weights=[{"weight":2.0}]"#,
            r#"[{"role":" ","weight":2.0}]"#,
            r#"[{"role":"role1","weight":1.0},{"role":"role2","weight":-2.0}]"#,
        ] {
            let (status, answer) = cluster.ask(Method::PUT, "/weights", body).await;
            assert_eq!((status, answer.is_empty()), (400, false), "{body}");
            assert_eq!(cluster.get("/weights").await, json!([]), "{body}");
        }
    });
}

#[test]
fn a_call_sets_the_weights_of_thousands_of_roles_but_not_of_any_number() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let weigh = |roles: usize| {
            let infos: Vec<Value> =
                (0..roles).map(|role| json!({ "role": format!("r{role}"), "weight": 2.0 })).collect();
            json!(infos).to_string()
        };
        let (status, text) = cluster.ask(Method::PUT, "/weights", &weigh(5_001)).await;
        assert_eq!(
            (status, text.contains("5001 roles are named; at most 5000 are allowed")),
            (400, true),
            "{text}"
        );
        assert_eq!(cluster.get("/weights").await, json!([]));
        assert_eq!(cluster.ask(Method::PUT, "/weights", &weigh(5_000)).await, (200, String::new()));
        assert_eq!(cluster.get("/weights").await.as_array().unwrap().len(), 5_000);
    });
}

/// Upstream: `WeightsHandler::rescindOffers`.
#[test]
fn new_weights_take_back_offers_if_they_concern_a_framework() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(in_role("r")).await;
        let offer = scheduler.offer().await;
        let weigh = |role: &str| json!([{ "role": role, "weight": 3.0 }]).to_string();
        assert_eq!(cluster.ask(Method::PUT, "/weights", &weigh("nobody")).await.0, 200);
        assert!(scheduler.pending().await.iter().all(|event| event.r#type() != Type::Rescind));
        assert_eq!(cluster.ask(Method::PUT, "/weights", &weigh("r")).await.0, 200);
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        scheduler.offer().await;
    });
}

/// As upstream, whose frameworks are tracked under a role for as long (`Framework::isTrackedUnderRole`).
#[test]
fn new_weights_concern_a_framework_that_has_left_the_role_while_its_tasks_hold_something_there() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(in_role("left")).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 96.0)])).await;
        let mut info = in_role("new");
        info["id"] = json!({ "value": scheduler.id });
        let answer = scheduler.call("UPDATE_FRAMEWORK", json!({ "framework_info": info })).await;
        assert_eq!(answer, (200, String::new()));
        let offer = scheduler.offer().await;
        assert_eq!(offer.allocation_info.as_ref().unwrap().role(), "new");
        let weights = json!([{ "role": "left", "weight": 3.0 }]).to_string();
        assert_eq!(cluster.ask(Method::PUT, "/weights", &weights).await.0, 200);
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        scheduler.offer().await;
    });
}

/// Upstream: `DynamicWeightsTest.UpdateWeightsWithExplictRoles`, `RecoveredWeightsFromRegistry`.
#[test]
fn the_next_leader_has_the_weights_that_were_set_of_the_roles_that_are_listed() {
    testing::run(async {
        let roles = Some(RoleList(["a".to_owned(), "b".to_owned()].into()));
        let settings = Settings { roles, ..Settings::default() };
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, settings.clone()).await;
        let weights = json!([{ "role": "a", "weight": 2.5 }, { "role": "b", "weight": 1.5 }]);
        let answer = cluster.ask(Method::PUT, "/weights", &weights.to_string()).await;
        assert_eq!(answer, (200, String::new()));
        assert_eq!(cluster.get("/weights").await, weights);
        let cluster = cluster.fail_over(&shelf, settings).await;
        assert_eq!(cluster.get("/weights").await, weights);
        let later = json!([{ "role": "a", "weight": 4.0 }]).to_string();
        assert_eq!(cluster.ask(Method::PUT, "/weights", &later).await.0, 200);
        assert_eq!(
            cluster.get("/weights").await,
            json!([{ "role": "a", "weight": 4.0 }, { "role": "b", "weight": 1.5 }])
        );
    });
}

/// Upstream: `RebalancedForUpdatedWeights`.
#[test]
fn what_new_weights_take_back_is_shared_out_by_them() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agents = Vec::new();
        for _ in 0..3 {
            agents.push(cluster.agent("cpus:2;mem:1024").await);
        }
        let mut first = cluster.subscribe(in_role("role1")).await;
        assert_eq!(first.next_of(Type::Offers).await.offers.unwrap().offers.len(), 3);
        let mut second = cluster.subscribe(in_role("role2")).await;
        let weights = json!([{ "role": "role2", "weight": 2.0 }]).to_string();
        assert_eq!(cluster.ask(Method::PUT, "/weights", &weights).await, (200, String::new()));
        let events = first.pending().await;
        assert_eq!(events.iter().filter(|event| event.r#type() == Type::Rescind).count(), 3);
        for (scheduler, number) in [(&mut first, 1), (&mut second, 2)] {
            let offers = scheduler.next_of(Type::Offers).await.offers.unwrap().offers;
            assert_eq!(offers.len(), number);
            assert!(offers.iter().all(|offer| amount(&offer.resources, "cpus") == 2.0));
        }
    });
}
