//! UPDATE_FRAMEWORK: frameworks that describe themselves anew without a new subscription (upstream:
//! `master/update_framework_tests.cpp`). Offer constraints are in `constraints.rs`, drivers in
//! `driver/update_framework.rs`.

use std::time::Duration;

use libprocess::testing;
use mesos::MediaType;
use mesos::v1::master::event::Type as News;
use mesos::v1::scheduler::event::Type;
use mesos::v1::{self, FrameworkInfo};
use serde_json::{Value, json};

use super::event_stream::Subscriber;
use super::{Agent, Cluster, Got, Scheduler, info};

/// What the framework says of itself, with its id.
fn own(scheduler: &Scheduler<'_>, change: impl FnOnce(&mut Value)) -> Value {
    let mut own = info();
    own["id"] = json!({ "value": scheduler.id });
    change(&mut own);
    own
}

/// Everything that may change, has changed.
pub(super) fn change_all(described: &mut Value) {
    described["name"] = json!("other");
    described["failover_timeout"] = json!(1060.0);
    described["hostname"] = json!("host.other");
    described["webui_url"] = json!("http://other");
    described["labels"] = json!({ "labels": [{ "key": "k", "value": "v" }] });
    described["roles"] = json!(["*", "new"]);
    described["offer_filters"] = json!({ "new": {} });
    described["capabilities"].as_array_mut().unwrap().push(json!({ "type": "REGION_AWARE" }));
}

pub(super) fn proto(described: &Value) -> FrameworkInfo {
    mesos::json::from_slice(described.to_string().as_bytes()).unwrap()
}

/// The only framework as operators see it.
pub(super) async fn shown(cluster: &Cluster) -> v1::master::response::get_frameworks::Framework {
    let mut frameworks = cluster.read("GET_FRAMEWORKS", MediaType::Protobuf).await.get_frameworks.unwrap();
    assert_eq!(frameworks.frameworks.len(), 1);
    frameworks.frameworks.remove(0)
}

/// What the agent was told of the framework since the last time.
pub(super) async fn told(agent: &Agent) -> Vec<FrameworkInfo> {
    let got = agent.taken().await.into_iter();
    got.filter_map(|got| match got {
        Got::UpdateFramework(update) => update.framework_info,
        _ => None,
    })
    .collect()
}

async fn no_offers(scheduler: &mut Scheduler<'_>) {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let events = scheduler.pending().await;
    assert!(events.iter().all(|event| event.r#type() == Type::Heartbeat), "{events:?}");
}

impl Scheduler<'_> {
    async fn describe(&self, info: &Value, suppressed: &[&str]) -> (u16, String) {
        let update = json!({ "framework_info": info, "suppressed_roles": suppressed });
        self.call("UPDATE_FRAMEWORK", update).await
    }
}

/// Upstream: `UpdateFrameworkTest.UserChangeFails`, `PrincipalChangeFails`, `CheckpointingChangeFails`.
#[test]
fn what_cannot_change_is_refused_and_nothing_else_changes_with_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut described = info();
        described["principal"] = json!("p");
        let scheduler = cluster.subscribe(described.clone()).await;
        let before = shown(&cluster).await;
        for (field, value, text) in [
            (
                "user",
                json!("other"),
                "FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; attempted to update from \
                 'user' to 'other'",
            ),
            ("principal", json!("other"), "Changing framework's principal is not allowed"),
            ("checkpoint", json!(false), "Updating 'FrameworkInfo.checkpoint' is unsupported"),
        ] {
            let update = own(&scheduler, |own| {
                own["principal"] = json!("p");
                change_all(own);
                own[field] = value;
            });
            let (status, answer) = scheduler.describe(&update, &[]).await;
            assert_eq!((status, answer.contains(text)), (400, true), "{answer}");
            assert_eq!(shown(&cluster).await, before, "{field}");
        }
    });
}

/// Upstream: `UpdateFrameworkTest.MutableFieldsUpdateSuccessfully`, `NoRedundantUpdates`.
#[test]
fn agents_and_operators_hear_of_what_changed_and_of_nothing_that_did_not() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let (mut operator, _) = Subscriber::begin(&cluster, MediaType::Protobuf).await;
        let scheduler = cluster.subscribe(info()).await;
        assert_eq!(operator.kinds().await, [News::FrameworkAdded]);
        let same = own(&scheduler, |_| ());
        assert_eq!(scheduler.describe(&same, &[]).await, (200, String::new()));
        assert_eq!(told(&agent).await, []);
        assert_eq!(operator.kinds().await, [] as [News; 0]);

        let changed = own(&scheduler, change_all);
        assert_eq!(scheduler.describe(&changed, &[]).await, (200, String::new()));
        assert_eq!(told(&agent).await, [proto(&changed)]);
        let news = operator.pending().await;
        let [news] = news.as_slice() else { panic!("{news:?}") };
        let updated = news.framework_updated.as_ref().unwrap();
        assert_eq!(updated.framework.framework_info, proto(&changed));
        assert_eq!(shown(&cluster).await.framework_info, proto(&changed));
    });
}

/// Upstream: `UpdateFrameworkTest.OffersOnAddingRole`, `AddSuppressedRole`.
#[test]
fn a_role_that_is_added_is_offered_to_unless_it_is_suppressed() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let mut none = info();
        none["roles"] = json!([]);
        let mut scheduler = cluster.subscribe(none).await;
        no_offers(&mut scheduler).await;
        let one = own(&scheduler, |own| own["roles"] = json!(["new"]));
        assert_eq!(scheduler.describe(&one, &["new"]).await.0, 200);
        no_offers(&mut scheduler).await;
        assert_eq!(scheduler.describe(&one, &[]).await.0, 200);
        assert_eq!(scheduler.offer().await.allocation_info.unwrap().role(), "new");
    });
}

/// Upstream: `UpdateFrameworkTest.RescindOnRemovingRoles`.
#[test]
fn offers_to_a_role_that_is_given_up_are_taken_back_and_come_no_more() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let none = own(&scheduler, |own| own["roles"] = json!([]));
        assert_eq!(scheduler.describe(&none, &[]).await.0, 200);
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        no_offers(&mut scheduler).await;
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["offered_resources"]["cpus"], 0.0);
    });
}

/// The allocator had decided before it heard of it.
#[test]
fn what_was_meant_for_a_role_that_is_given_up_is_not_offered() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        scheduler.offer().await;
        let none = own(&scheduler, |own| own["roles"] = json!([]));
        assert_eq!(scheduler.describe(&none, &[]).await.0, 200);
        scheduler.next_of(Type::Rescind).await;
        cluster.decide(&scheduler, "*", &agent, 1);
        no_offers(&mut scheduler).await;
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["offered_resources"]["cpus"], 0.0);
    });
}

/// Upstream: `UpdateFrameworkTest.RemoveAndUnsuppress`.
#[test]
fn a_suppressed_role_can_be_given_up() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let subscribe = json!({ "framework_info": info(), "suppressed_roles": ["*"] });
        let mut scheduler = cluster.open(json!({ "type": "SUBSCRIBE", "subscribe": subscribe })).await;
        let subscribed = scheduler.next_of(Type::Subscribed).await.subscribed.unwrap();
        scheduler.id = subscribed.framework_id.value;
        let none = own(&scheduler, |own| own["roles"] = json!([]));
        assert_eq!(scheduler.describe(&none, &[]).await, (200, String::new()));
        no_offers(&mut scheduler).await;
    });
}
