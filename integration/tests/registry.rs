//! The registry in a real ZooKeeper: what survives a master, and what a deposed leader cannot do.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::time::Duration;

use election::ZooKeeperUrl;
use election::group::{Group, GroupError, Membership, Session};
use election::zookeeper::client::Step;
use election::zookeeper::{ZooKeeperClient, ZooKeeperGroup};
use integration::wait;
use integration::wire::Wire;
use integration::zookeeper::{Ensemble, ZooKeeper};
use libprocess::Node;
use master::registrar::{Change, Record, Storage, ZooKeeper as ZooKeeperStorage};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

#[test]
fn an_ensemble_goes_on_without_its_leader() {
    libprocess::run(async {
        let Some(mut ensemble) = Ensemble::start().await else { return };
        let another = async |ensemble: &Ensemble, than: usize| {
            wait::until("another server to lead", async || match ensemble.leader().await {
                Some(leader) if leader != than => Ok(leader),
                other => Err(format!("{other:?}")),
            })
            .await
        };
        let first = ensemble.leader().await.unwrap();
        ensemble.crash(first);
        let second = another(&ensemble, first).await;
        ensemble.restart(first);
        ensemble.wait_for(first).await;
        ensemble.freeze(second);
        another(&ensemble, second).await;
        ensemble.resume(second);
        ensemble.wait_for(second).await;
    });
}

const SESSION: Duration = Duration::from_secs(2);

async fn node() -> Node {
    Node::builder().offline().start().await.unwrap()
}

fn url(text: &str) -> ZooKeeperUrl {
    text.parse().unwrap()
}

fn put(key: &str, value: &[u8]) -> Change {
    Change { key: key.into(), value: Some(value.to_vec()) }
}

fn delete(key: &str) -> Change {
    Change { key: key.into(), value: None }
}

/// One after the other, who opens the storage finds what is stored there, and makes changes by chance: new records, other
/// values, ends of records, also of such that are not there, and records that were there before.
pub(super) async fn each_finds_what_was_stored(open: impl Fn() -> Box<dyn Storage>) {
    let mut random = SmallRng::seed_from_u64(1);
    let mut stored = BTreeMap::<String, Vec<u8>>::new();
    for leader in 0..6_u8 {
        let mut storage = open();
        let found: BTreeMap<String, Vec<u8>> = storage.load(None).await.unwrap().into_iter().collect();
        assert_eq!(found, stored, "leader {leader}");
        for _ in 0..8 {
            let mut changes = Vec::new();
            for number in 0..10 {
                let key = format!("agent/{number}");
                match random.random_range(0..4) {
                    0 => {
                        changes.push(delete(&key));
                        stored.remove(&key);
                    }
                    1 => {
                        let value = vec![leader; random.random_range(0..20)];
                        changes.push(put(&key, &value));
                        stored.insert(key, value);
                    }
                    _ => {}
                }
            }
            storage.store(changes).await.unwrap();
        }
    }
}

/// Upstream: `FetchAndStoreAndFetch`, `FetchAndStoreAndStoreAndFetch`, `FetchAndStoreAndExpungeAndFetch`,
/// `FetchAndStoreAndExpungeAndExpunge`, `FetchAndStoreAndExpungeAndStoreAndFetch`, `Names` of `ZooKeeperStateTest`.
#[test]
fn each_leader_finds_in_zookeeper_what_was_stored_before() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let (node, url) = (node().await, url(&zookeeper.url()));
        each_finds_what_was_stored(|| Box::new(ZooKeeperStorage::new(&node, url.clone(), SESSION))).await;
        node.shutdown().await;
    });
}

/// A candidate's session with the group, and its node there.
async fn join(url: &ZooKeeperUrl) -> (Box<dyn Session>, Membership) {
    let session = ZooKeeperGroup::new(url.clone(), SESSION).connect().await.unwrap();
    let node = session.join("json.info", b"{}".to_vec()).await.unwrap();
    (session, node)
}

async fn sorted(storage: &mut ZooKeeperStorage, leader: Option<Membership>) -> Vec<Record> {
    let mut records = storage.load(leader).await.unwrap();
    records.sort();
    records
}

#[test]
fn what_one_leader_stored_the_next_one_reads() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let (node, url) = (node().await, url(&zookeeper.url()));
        let (first_session, first_node) = join(&url).await;
        let mut first = ZooKeeperStorage::new(&node, url.clone(), SESSION);
        let early = first.store(vec![put("master", b"1")]).await.unwrap_err();
        assert!(early.to_string().contains("not been read"), "{early}");
        assert!(first.load(Some(first_node)).await.unwrap().is_empty());

        let agents: Vec<Change> = (0..5000).map(|n| put(&format!("agent/{n}"), &[7; 600])).collect();
        let began = node.elapsed();
        first.store(agents.clone()).await.unwrap();
        println!("5000 agents stored in {:?}", node.elapsed() - began);
        first.store(vec![delete("agent/7"), put("unreachable/7", b"u"), delete("agent/none")]).await.unwrap();
        first.store(vec![put("quota/eng/ops", b"1")]).await.unwrap();
        first.store(vec![put("quota/eng/ops", b"2"), put("weight/a%b", b"")]).await.unwrap();

        drop(first_session);
        let (_session, second_node) = join(&url).await;
        wait::until("the first leader's node to go", async || {
            let error = first.store(vec![put("quota/late", b"")]).await.err();
            error
                .filter(|error| error.to_string().contains("has left the group of masters"))
                .ok_or("it is there")
        })
        .await;

        let mut second = ZooKeeperStorage::new(&node, url.clone(), SESSION);
        let began = node.elapsed();
        let found = sorted(&mut second, Some(second_node)).await;
        println!("{} records read in {:?}", found.len(), node.elapsed() - began);
        let mut expected: Vec<Record> =
            agents.into_iter().map(|change| (change.key, change.value.unwrap())).collect();
        expected.retain(|(key, _)| key != "agent/7");
        let more: [(&str, &[u8]); 3] =
            [("quota/eng/ops", b"2"), ("unreachable/7", b"u"), ("weight/a%b", b"")];
        expected.extend(more.map(|(key, value)| (key.to_owned(), value.to_vec())));
        expected.retain(|(key, _)| key != "quota/late");
        expected.sort();
        // Where the first leader's node was there still, it may have written this.
        let found: Vec<Record> = found.into_iter().filter(|(key, _)| key != "quota/late").collect();
        assert!(found == expected, "{} records instead of {}", found.len(), expected.len());
        node.shutdown().await;
    });
}

/// Upstream: `ZooKeeperStateTest.FetchAndStoreAndStoreFailAndFetch`.
#[test]
fn a_second_writer_stops_the_first() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let (node, url) = (node().await, url(&zookeeper.url()));
        let [mut first, mut second] = [(); 2].map(|()| ZooKeeperStorage::new(&node, url.clone(), SESSION));
        first.load(None).await.unwrap();
        first.store(vec![put("weight/a", b"1")]).await.unwrap();
        second.load(None).await.unwrap();
        second.store(vec![put("weight/a", b"2")]).await.unwrap();
        let refused = first.store(vec![put("weight/a", b"3")]).await.unwrap_err().to_string();
        assert!(refused.contains("another master has written the registry"), "{refused}");
        assert_eq!(sorted(&mut second, None).await, [("weight/a".to_owned(), b"2".to_vec())]);
        node.shutdown().await;
    });
}

#[test]
fn a_lost_answer_is_neither_success_nor_failure() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let (node, direct) = (node().await, url(&zookeeper.url()));
        let wire = Wire::to(direct.servers.parse().unwrap()).await;
        let disturbed = url(&format!("zk://{}/mesos", wire.address()));
        let (_session, leader) = join(&direct).await;
        let mut storage = ZooKeeperStorage::new(&node, disturbed, SESSION);
        storage.load(Some(leader.clone())).await.unwrap();

        // Made once, or the second try would have found it there already.
        for number in 0..5 {
            wire.lose_one_answer();
            storage.store(vec![put(&format!("quota/{number}"), b"1")]).await.unwrap();
            assert!(!wire.is_to_lose(), "an answer was lost");
        }
        storage.store((0..3).map(|number| delete(&format!("quota/{number}"))).collect()).await.unwrap();
        let found = sorted(&mut storage, Some(leader)).await;
        assert_eq!(found, [("quota/3".to_owned(), b"1".to_vec()), ("quota/4".to_owned(), b"1".to_vec())]);
        node.shutdown().await;
    });
}

#[test]
fn a_zookeeper_that_starts_again_is_waited_for() {
    libprocess::run(async {
        let Some(mut zookeeper) = ZooKeeper::start().await else { return };
        let (node, url) = (node().await, url(&zookeeper.url()));
        // The session must outlive ZooKeeper's restart.
        let group = ZooKeeperGroup::new(url.clone(), Duration::from_secs(10)).connect().await.unwrap();
        let leader = group.join("json.info", b"{}".to_vec()).await.unwrap();
        let mut storage = ZooKeeperStorage::new(&node, url.clone(), SESSION);
        storage.load(Some(leader.clone())).await.unwrap();
        for round in 0..2 {
            let storing = async {
                for number in 0..200 {
                    storage.store(vec![put(&format!("quota/{round}/{number}"), &[1; 1000])]).await.unwrap();
                }
            };
            let restarting = async {
                zookeeper.crash();
                zookeeper.restart().await;
            };
            futures::join!(storing, restarting);
        }
        assert_eq!(storage.load(Some(leader)).await.unwrap().len(), 400);
        node.shutdown().await;
    });
}

#[test]
fn what_is_none_of_the_registry_is_named() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let (node, url) = (node().await, url(&zookeeper.url()));
        let client = ZooKeeperClient::connect(&url, SESSION).await.unwrap();
        let mut storage = ZooKeeperStorage::new(&node, url.clone(), SESSION);
        storage.load(None).await.unwrap();
        assert!(client.list("/").await.unwrap().iter().all(|name| name != "mesos"), "looking makes nothing");
        storage.store(vec![put("quota/a", b"1")]).await.unwrap();
        let mut refused = async |path: &str| {
            client.ensure(path, b"x").await.unwrap();
            let error = storage.load(None).await.unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
            client.transaction(&[Step::Delete { path: path.into() }]).await.unwrap();
        };
        refused("/mesos/registry/mine").await;
        refused("/mesos/registry/00/master").await;
        refused("/mesos/registry/00/%FF").await;

        let set =
            |data: &str| [Step::Set { path: "/mesos/registry".into(), data: data.into(), version: None }];
        for (data, said) in [
            ("mine", "node '/mesos/registry' is not a registry"),
            (r#"{"format":2,"writer":"","transaction":0}"#, "has format 2"),
        ] {
            client.transaction(&set(data)).await.unwrap();
            let error = storage.load(None).await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        node.shutdown().await;
    });
}

#[test]
fn with_a_password_only_its_owner_reads_the_registry() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let node = node().await;
        let with = |user: &str| url(&zookeeper.url().replace("zk://", &format!("zk://{user}@")));
        let mut owner = ZooKeeperStorage::new(&node, with("jake:secret"), SESSION);
        owner.load(None).await.unwrap();
        owner.store(vec![put("quota/a", b"1")]).await.unwrap();
        for other in [with("mary:secret"), url(&zookeeper.url())] {
            let refused = ZooKeeperStorage::new(&node, other.clone(), SESSION).load(None).await.unwrap_err();
            let refused = refused.to_string();
            assert!(refused.contains("/mesos/registry': not authorized"), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
            // The group itself can be read by everyone, but joined by its owner only.
            let session = ZooKeeperGroup::new(other, SESSION).connect().await.unwrap();
            assert!(session.members().await.unwrap().0.is_empty());
            assert!(matches!(session.join("json.info", Vec::new()).await, Err(GroupError::Fatal(_))));
        }
        let mut again = ZooKeeperStorage::new(&node, with("jake:secret"), SESSION);
        assert_eq!(sorted(&mut again, None).await, [("quota/a".to_owned(), b"1".to_vec())]);
        node.shutdown().await;
    });
}
