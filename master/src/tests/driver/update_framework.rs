//! Drivers whose frameworks describe themselves anew (upstream: `master/update_framework_tests.cpp`).

use libprocess::testing;
use serde_json::{Value, json};

use super::super::Cluster;
use super::super::update_framework::{change_all, proto, shown, told};
use super::work::{hears_nothing, roles};
use super::{Driver, Heard};

/// What these tests' frameworks say of themselves: drivers may know several roles, too.
fn info() -> Value {
    super::super::info()
}

fn own(driver: &Driver, change: impl FnOnce(&mut Value)) -> Value {
    let mut own = info();
    own["id"] = json!({ "value": driver.id });
    change(&mut own);
    own
}

impl Driver {
    async fn describe(&self, info: &Value, suppressed: &[&str]) {
        let update = json!({ "framework_info": info, "suppressed_roles": suppressed });
        self.call("UPDATE_FRAMEWORK", update).await;
    }
}

/// Upstream: `UpdateFrameworkV0Test.CheckpointingChangeFails`, `MutableFieldsUpdateSuccessfully`.
#[test]
fn a_change_that_cannot_be_is_an_error_and_another_is_made() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("disk:1").await;
        let driver = cluster.driver(info()).await;
        let before = shown(&cluster).await.framework_info;
        let checkpoint = own(&driver, |own| {
            change_all(own);
            own["checkpoint"] = json!(false);
        });
        driver.describe(&checkpoint, &[]).await;
        let heard = driver.heard().await;
        let [Heard::Error(error)] = heard.as_slice() else { panic!("{heard:?}") };
        assert!(error.message.contains("Updating 'FrameworkInfo.checkpoint' is unsupported"), "{error:?}");
        assert_eq!(shown(&cluster).await.framework_info, before);

        let changed = own(&driver, change_all);
        driver.describe(&changed, &[]).await;
        assert_eq!(told(&agent).await, [proto(&changed)]);
        assert_eq!(shown(&cluster).await.framework_info, proto(&changed));
    });
}

/// Upstream: `UpdateFrameworkV0Test.OffersOnAddingRole`, `RescindOnRemovingRoles`.
#[test]
fn roles_that_come_and_go_bring_and_take_offers() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let mut none = info();
        none["roles"] = json!([]);
        let driver = cluster.driver(none).await;
        hears_nothing(&driver).await;
        driver.describe(&own(&driver, |own| own["roles"] = json!(["new"])), &[]).await;
        let offers = driver.offers().await;
        assert_eq!(roles(&offers), ["new"]);
        driver.describe(&own(&driver, |own| own["roles"] = json!([])), &[]).await;
        let heard = driver.hears().await;
        let Heard::Rescinded(rescinded) = heard else { panic!("{heard:?}") };
        assert_eq!(rescinded.offer_id, offers.offers[0].id);
        hears_nothing(&driver).await;
    });
}

/// Upstream: `UpdateFrameworkV0Test.SuppressedRoles`, `UnsuppressClearsFilters`.
#[test]
fn a_role_that_is_suppressed_gets_no_offers_and_all_of_them_when_it_is_no_more() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = cluster.driver(info()).await;
        let offers = driver.offers().await;
        driver.decline(&offers.offers[0]).await;
        driver.describe(&own(&driver, |_| ()), &["*"]).await;
        let _second = cluster.agent("cpus:2;mem:1024").await;
        hears_nothing(&driver).await;
        // What it declined for a day is forgotten with the suppression.
        driver.describe(&own(&driver, |_| ()), &[]).await;
        assert_eq!(driver.offers().await.offers.len(), 2);
    });
}
