//! `--whitelist`: agents whose host is not listed are not offered.

use std::path::Path;
use std::time::Duration;

use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use serde_json::json;

use super::{Cluster, Scheduler, info};
use crate::{Settings, whitelist};

async fn with_list(path: &Path) -> Cluster {
    Cluster::with(Settings { whitelist: Some(path.to_owned()), ..Settings::default() }).await
}

/// The hosts that are offered within some time, by name. All is declined for no time.
async fn offered(scheduler: &mut Scheduler<'_>, within: Duration) -> Vec<String> {
    tokio::time::sleep(within).await;
    let mut hosts = Vec::new();
    for event in scheduler.pending().await {
        if event.r#type() != Type::Offers {
            continue;
        }
        for offer in event.offers.unwrap().offers {
            let body =
                json!({ "offer_ids": [{ "value": offer.id.value }], "filters": { "refuse_seconds": 0.0 } });
            assert_eq!(scheduler.call("DECLINE", body).await.0, 202);
            hosts.push(offer.hostname);
        }
    }
    hosts.sort();
    hosts
}

/// Upstream: `WhitelistTest.WhitelistSlave`, which changes nothing.
/// Upstream, too: `MasterAllocatorTest.Whitelist`.
#[test]
fn agents_are_offered_while_their_host_is_listed() {
    testing::run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("whitelist.txt");
        std::fs::write(&path, "one\nnobody").unwrap();
        let cluster = with_list(&path).await;
        // The first look is over.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let _one = cluster.agent_at("one", "cpus:1;mem:64").await;
        let _two = cluster.agent_at("two", "cpus:1;mem:64").await;
        let mut scheduler = cluster.subscribe(info()).await;
        // Longer than an allocation interval, shorter than one of the watcher's.
        let pause = Duration::from_secs(2);
        for (list, expected) in [
            ("one\nnobody", vec!["one"]),
            ("two\none", vec!["one", "two"]),
            ("two", vec!["two"]),
            ("", vec![]),
        ] {
            std::fs::write(&path, list).unwrap();
            tokio::time::sleep(whitelist::INTERVAL).await;
            // What was offered before is declined now.
            offered(&mut scheduler, Duration::ZERO).await;
            assert_eq!(offered(&mut scheduler, pause).await, expected, "{list:?}");
        }
        // What was read holds.
        std::fs::remove_file(&path).unwrap();
        assert_eq!(offered(&mut scheduler, 3 * whitelist::INTERVAL).await, [""; 0]);
    });
}

#[test]
fn every_agent_is_offered_until_there_is_a_list() {
    testing::run(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("whitelist.txt");
        let cluster = with_list(&path).await;
        let _agent = cluster.agent_at("one", "cpus:1;mem:64").await;
        let mut scheduler = cluster.subscribe(info()).await;
        assert_eq!(offered(&mut scheduler, Duration::from_secs(2)).await, ["one"]);
        std::fs::write(&path, "two").unwrap();
        tokio::time::sleep(whitelist::INTERVAL).await;
        offered(&mut scheduler, Duration::ZERO).await;
        assert_eq!(offered(&mut scheduler, Duration::from_secs(2)).await, [""; 0]);
        let told = cluster.get(&format!("/allocator/explain?framework={}", scheduler.id)).await;
        assert_eq!(told["roles"][0]["reasons"][0]["reason"], "not_whitelisted", "{told:#}");
    });
}

#[test]
fn the_watcher_ends_with_its_master() {
    testing::run(async {
        let cluster = with_list(Path::new("/nowhere/whitelist.txt")).await;
        let has_watcher = || cluster.node.ids().iter().any(|id| id.starts_with("whitelist"));
        assert!(has_watcher());
        cluster.running.master.terminate();
        cluster.running.master.wait().await;
        testing::settle().await;
        assert!(!has_watcher());
    });
}
