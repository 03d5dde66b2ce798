//! Offer constraints from a scheduler's call to what is offered and shown.

use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use serde_json::{Value, json};

use super::{Cluster, Scheduler, info};

/// Constraints for the role `*`: the host name must be this.
fn on_host(name: &str) -> Value {
    predicate(&json!({ "text_equals": { "value": name } }))
}

fn predicate(predicate: &Value) -> Value {
    let constraint = json!({ "selector": { "pseudoattribute_type": "HOSTNAME" }, "predicate": predicate });
    json!({ "role_constraints": { "*": { "groups": [{ "attribute_constraints": [constraint] }] } } })
}

fn call(constraints: &Value) -> Value {
    let subscribe = json!({ "framework_info": info(), "offer_constraints": constraints });
    json!({ "type": "SUBSCRIBE", "subscribe": subscribe })
}

async fn subscribe<'a>(cluster: &'a Cluster, constraints: &Value) -> Scheduler<'a> {
    let mut scheduler = cluster.open(call(constraints)).await;
    scheduler.id = scheduler.next_of(Type::Subscribed).await.subscribed.unwrap().framework_id.value;
    scheduler
}

impl Scheduler<'_> {
    async fn update_constraints(&self, constraints: &Value) -> (u16, String) {
        let mut info = info();
        info["id"] = json!({ "value": self.id });
        let update = json!({ "framework_info": info, "offer_constraints": constraints });
        self.call("UPDATE_FRAMEWORK", update).await
    }
}

/// Upstream: `UpdateFrameworkTest.OfferConstraints`.
#[test]
fn agents_that_constraints_exclude_are_not_offered_until_the_constraints_change() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let elsewhere = on_host("elsewhere");
        let mut scheduler = subscribe(&cluster, &elsewhere).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let pending = scheduler.pending().await;
        assert!(pending.iter().all(|event| event.r#type() != Type::Offers), "{pending:?}");

        // Upstream's path is the second; the first has the name of the actor.
        let shown = json!({ "frameworks": { scheduler.id.clone(): {
            "suppressed_roles": [], "excluded_by_attribute_constraints": { "*": [agent.id()] }
        } } });
        for path in ["/hierarchical-allocator(1)", "/allocator", "/master/allocator"] {
            assert_eq!(cluster.get(&format!("{path}/offer_constraints_debug")).await, shown, "{path}");
        }
        assert_eq!(cluster.get("/frameworks").await["frameworks"][0]["offer_constraints"], elsewhere);

        assert_eq!(scheduler.update_constraints(&on_host("host")).await.0, 200);
        let offer = scheduler.offer().await;
        assert_eq!(offer.agent_id.value, agent.id());
        for path in ["/frameworks", "/state"] {
            assert_eq!(cluster.get(path).await["frameworks"][0]["offer_constraints"], on_host("host"));
        }
        let shown = super::update_framework::shown(&cluster).await.offer_constraints.unwrap();
        assert_eq!(mesos::json::to_value(&shown), on_host("host"));
    });
}

#[test]
fn without_constraints_an_empty_object_is_shown() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _scheduler = cluster.subscribe(info()).await;
        assert_eq!(cluster.get("/frameworks").await["frameworks"][0]["offer_constraints"], json!({}));
    });
}

/// Upstream: `createAllocatorFrameworkOptions` in `master.cpp`; `UpdateFrameworkTest.OfferConstraintsForUnsubscribedRole`.
#[test]
fn constraints_that_cannot_be_used_are_refused() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let scheduler = cluster.subscribe(info()).await;
        let foreign = json!({ "role_constraints": { "other": {} } });
        let empty = json!({ "role_constraints": { "*": {} } });
        let broken = predicate(&json!({ "text_matches": { "regex": "[a-d" } }));
        let complex = predicate(&json!({ "text_matches": { "regex": "(a+){50}" } }));
        for (constraints, text) in [
            (
                foreign,
                "Offer constraints specify `role_constraints` for a role 'other' not contained in the set of \
                 roles",
            ),
            (
                empty,
                "Offer constraints are not valid: 'OfferConstraints::role_constraints' has an empty \
                 'RoleConstraints::groups' for role *",
            ),
            (
                broken,
                "Offer constraints are not valid: A role * has an invalid 'AttributeConstraint': Failed to \
                 construct regex from pattern '[a-d': unclosed character class",
            ),
            (
                complex,
                "Offer constraints are not valid: A role * has an invalid 'AttributeConstraint': Regex \
                 '(a+){50}' is too complex: program size of 103 is larger than maximum of 100 allowed",
            ),
        ] {
            let mut refused = cluster.open(call(&constraints)).await;
            assert_eq!(refused.next().await.unwrap().error.unwrap().message, text);
            assert!(refused.next().await.is_none());
            let answer = scheduler.update_constraints(&constraints).await;
            assert_eq!(answer, (400, format!("'UpdateFramework' call is not valid: {text}")));
        }
        // A new role, but constraints for the old one: nothing changes.
        let before = super::update_framework::shown(&cluster).await;
        let mut info = info();
        info["id"] = json!({ "value": scheduler.id });
        info["roles"] = json!(["new"]);
        let update = json!({ "framework_info": info, "offer_constraints": on_host("host") });
        let (status, text) = scheduler.call("UPDATE_FRAMEWORK", update).await;
        assert_eq!(
            (status, text.contains("Offer constraints specify `role_constraints`")),
            (400, true),
            "{text}"
        );
        assert_eq!(super::update_framework::shown(&cluster).await, before);
    });
}
