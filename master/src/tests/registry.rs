//! A registry that cannot be read or written is the end of a master, and what was not stored was never said.

use std::time::Duration;

use libprocess::testing;
use serde_json::json;

use super::Cluster;
use super::admission::registers;
use super::failover::wait_until_recovered;
use super::shelf::Shelf;
use crate::{EndReason, Settings};

/// Why the master ended, and after which time.
async fn end(cluster: &mut Cluster) -> (EndReason, Duration) {
    let began = cluster.node.elapsed();
    let reason = cluster.end().await;
    (reason, cluster.node.elapsed() - began)
}

fn registry(reason: &str) -> EndReason {
    EndReason::Registry(reason.into())
}

/// Upstream: `RegistrarTest.StoreTimeout`, and what `Master::__registerSlave` does then.
#[test]
fn a_master_whose_registry_takes_too_long_to_store_ends() {
    testing::run(async {
        let shelf = Shelf::default();
        let settings = Settings { registry_store_timeout: Duration::from_secs(7), ..Settings::default() };
        let mut cluster = Cluster::on(&shelf, settings).await;
        shelf.hold();
        let agent = cluster.stranger("cpus:1");
        registers(&agent, "1.11.0");
        assert_eq!(agent.taken().await, []);
        let reason = registry("the test's registry took more than 7s to store");
        assert_eq!(end(&mut cluster).await, (reason, Duration::from_secs(7)));
        assert_eq!(agent.taken().await, []);
    });
}

/// Upstream: `RegistrarTest.Abort`.
#[test]
fn a_master_whose_registry_fails_ends_and_has_promised_nothing() {
    testing::run(async {
        let shelf = Shelf::default();
        let mut cluster = Cluster::on(&shelf, Settings::default()).await;
        let settled = cluster.agent("cpus:1").await;
        shelf.hold();
        shelf.break_down("no space is left");
        let agent = cluster.stranger("cpus:1");
        // The agent's batch is being stored, and the operator's gathers behind it.
        registers(&agent, "1.11.0");
        testing::settle().await;
        let weights = json!([{ "role": "r", "weight": 2.0 }]);
        let update = cluster.api(json!({
            "type": "UPDATE_WEIGHTS", "update_weights": { "weight_infos": weights }
        }));
        let fail = async {
            testing::settle().await;
            shelf.release().await;
        };
        let (refused, ()) = futures::future::join(update, fail).await;
        assert_eq!(refused.0, 503, "{refused:?}");
        assert_eq!(cluster.end().await, registry("the test's registry: no space is left"));
        assert_eq!(agent.taken().await, []);
        assert_eq!((shelf.stores(), shelf.has("agent", &settled.id())), (3, true));
    });
}

/// Upstream: `RegistrarTest.FetchTimeout`, and `fail` in `master.cpp`.
#[test]
fn a_new_leader_that_cannot_read_the_registry_ends() {
    testing::run(async {
        let limits = || Settings {
            registry_fetch_timeout: Duration::from_secs(11),
            registry_store_timeout: Duration::from_secs(7),
            ..Settings::default()
        };
        type Spoil = fn(&Shelf);
        // What is wrong, what the master says, after how many seconds, and whether it has tried to store something.
        let table: [(Spoil, &str, u64, usize); 3] = [
            (Shelf::close, "the test's registry took more than 11s to fetch", 11, 0),
            (|shelf| shelf.break_down("it is not there"), "the test's registry: it is not there", 0, 0),
            (Shelf::hold, "the test's registry took more than 7s to store", 7, 1),
        ];
        for (spoil, reason, after, stores) in table {
            let shelf = Shelf::default();
            spoil(&shelf);
            let mut cluster = Cluster::begin_on(&shelf, limits()).await;
            assert_eq!(end(&mut cluster).await, (registry(reason), Duration::from_secs(after)));
            assert_eq!(shelf.stores(), stores, "{reason}");
        }
        // Just in time.
        let shelf = Shelf::default();
        shelf.hold();
        let mut cluster = Cluster::begin_on(&shelf, limits()).await;
        assert!(tokio::time::timeout(Duration::from_millis(6_900), cluster.running.wait()).await.is_err());
        shelf.release().await;
        wait_until_recovered(&cluster).await;
    });
}
