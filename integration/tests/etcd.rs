//! What elections and the registry do with a real etcd: sessions, members, watches, guarded writes; and what becomes of
//! them when servers freeze, answers are lost, and revisions are forgotten.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use election::etcd::api::{Range, RangeRequest};
use election::etcd::{Client, Code, EtcdError, EtcdGroup, EtcdUrl};
use election::group::{Connection, Group, GroupError, Membership, Session};
use futures::StreamExt;
use integration::etcd::Etcd;
use integration::wire::Wire;
use libprocess::Node;
use master::registrar::{self, Change, Storage};
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};

use crate::registry::each_finds_what_was_stored;

const LABEL: &str = "json.info";

/// Sessions of the tests end so soon.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Longer than anything takes that does not wait for the end of a session.
const SOON: Duration = Duration::from_secs(20);

fn url(text: &str) -> EtcdUrl {
    text.parse().unwrap()
}

async fn session(text: &str) -> Box<dyn Session> {
    EtcdGroup::new(url(text), TIMEOUT).connect().await.unwrap()
}

async fn members(session: &dyn Session) -> Vec<String> {
    session.members().await.unwrap().0.into_iter().map(|member| member.name).collect()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} does not come"))
}

/// A way to etcd that can be disturbed, and the URL by which it is taken.
async fn wire_to(etcd: &Etcd) -> (Wire, String) {
    let wire = Wire::to(etcd.address(0)).await;
    let url = format!("etcd://{}/mesos", wire.address());
    (wire, url)
}

#[test]
fn who_joined_first_leads_until_its_session_is_dropped() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        // Who leaves with its lease leaves long after what comes soon.
        let group = EtcdGroup::new(url(&etcd.url()), SOON * 3);
        let (first, second, watching) =
            (group.connect().await.unwrap(), group.connect().await.unwrap(), group.connect().await.unwrap());
        let a = first.join(LABEL, b"a".to_vec()).await.unwrap();
        let (seen, changed) = watching.members().await.unwrap();
        assert_eq!(seen, std::slice::from_ref(&a));
        let b = second.join(LABEL, b"b".to_vec()).await.unwrap();
        soon("the news of the second member", changed).await;
        assert!(a.sequence < b.sequence, "{a:?} {b:?}");
        let (seen, changed) = watching.members().await.unwrap();
        assert_eq!(seen, [a.clone(), b.clone()]);
        assert_eq!(watching.data(&a).await.unwrap().as_deref(), Some(&b"a"[..]));
        // Another node of the same name is another member.
        let other = Membership { sequence: a.sequence + 1, ..a.clone() };
        assert_eq!(watching.data(&other).await.unwrap(), None);

        // A change elsewhere is none of the group's.
        let node = Node::builder().offline().start().await.unwrap();
        let mut storage = storage(&node, &etcd.url());
        storage.load(None).await.unwrap();
        storage.store(vec![Change { key: "agent/x".into(), value: Some(Vec::new()) }]).await.unwrap();
        let mut changed = changed;
        assert_eq!(timeout(Duration::from_millis(300), &mut changed).await.ok(), None);

        drop(first);
        soon("the news of the first member's end", changed).await;
        assert_eq!(watching.members().await.unwrap().0, [b]);
        assert_eq!(watching.data(&a).await.unwrap(), None);
    });
}

#[test]
fn a_join_whose_answer_was_lost_makes_one_member() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let (wire, disturbed) = wire_to(&etcd).await;
        let joining = session(&disturbed).await;
        // The lease's answer is lost first, then the key's.
        wire.lose_one_answer();
        let member = joining.join(LABEL, b"a".to_vec()).await.unwrap();
        wire.lose_one_answer();
        let again = joining.join(LABEL, b"a".to_vec()).await.unwrap();
        assert_eq!(again, member);
        assert_eq!(joining.joined(LABEL).await.unwrap(), Some(member.clone()));
        let other = session(&etcd.url()).await;
        assert_eq!(other.joined(LABEL).await.unwrap(), None, "it has no lease yet");
        let second = other.join(LABEL, b"a".to_vec()).await.unwrap();
        assert_eq!(other.joined(LABEL).await.unwrap(), Some(second.clone()));
        assert_eq!(members(&*other).await, [member.name.clone(), second.name.clone()]);

        // Set by somebody else, the key is under no lease, and nobody's.
        let key = STANDARD.encode(format!("/mesos/{}", member.name));
        etcd.call(0, "/v3/kv/put", json!({ "key": key, "value": "" })).await.unwrap();
        assert_eq!(joining.joined(LABEL).await.unwrap(), None);
        assert_eq!(members(&*other).await, [second.name], "it would be the first one for ever");
        let refused = joining.join(LABEL, b"a".to_vec()).await.unwrap_err();
        assert!(matches!(refused, GroupError::Session(_)), "{refused}");
    });
}

#[test]
fn the_order_of_members_is_that_of_their_creation_and_not_of_their_names() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let names = ["694d7ba8a3a7c00a", "00000000000000ff", "7000000000000000"];
        for lease in names {
            let key = STANDARD.encode(format!("/mesos/{LABEL}_{lease}"));
            let lease = i64::from_str_radix(lease, 16).unwrap().to_string();
            etcd.call(0, "/v3/lease/grant", json!({ "ID": lease, "TTL": "60" })).await.unwrap();
            etcd.call(0, "/v3/kv/put", json!({ "key": key, "value": "", "lease": lease })).await.unwrap();
        }
        assert_eq!(
            members(&*session(&etcd.url()).await).await,
            names.map(|lease| format!("{LABEL}_{lease}"))
        );
    });
}

#[test]
fn a_change_is_not_missed_when_the_watch_breaks_or_its_revision_is_forgotten() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let (wire, disturbed) = wire_to(&etcd).await;
        let (watching, joining) = (session(&disturbed).await, session(&etcd.url()).await);
        let (seen, mut changed) = watching.members().await.unwrap();
        assert!(seen.is_empty());
        assert_eq!(timeout(Duration::from_millis(300), &mut changed).await.ok(), None);
        wire.cut();
        soon("the end of the broken watch", changed).await;

        // The watch begins only after the change, and after its revision was forgotten.
        let (_, changed) = watching.members().await.unwrap();
        let member = joining.join(LABEL, b"a".to_vec()).await.unwrap();
        let client = Client::new(&url(&etcd.url()), SOON);
        etcd.call(0, "/v3/kv/put", json!({ "key": "eA==", "value": "" })).await.unwrap();
        client.compact(member.sequence + 1).await.unwrap();
        let past = RangeRequest { revision: 1, ..RangeRequest::all(Range::key("x")) };
        let forgotten = client.range(&past).await.unwrap_err();
        assert!(matches!(forgotten, EtcdError::Refused { code: Code::OutOfRange, .. }), "{forgotten}");
        soon("the end of the watch of what is forgotten", changed).await;
        assert_eq!(members(&*watching).await, [member.name]);
    });
}

#[test]
fn a_change_is_not_missed_when_the_server_that_is_watched_freezes() {
    libprocess::run(async {
        let Some(mut etcd) = Etcd::ensemble(3).await else { return };
        let group = EtcdGroup::new(url(&etcd.url()), TIMEOUT * 2);
        let watching = group.connect().await.unwrap();
        let mut connection = watching.connection();
        let (seen, mut changed) = watching.members().await.unwrap();
        assert!(seen.is_empty());
        // It hears the first one of the URL; who joins asks the others.
        assert_eq!(timeout(Duration::from_millis(300), &mut changed).await.ok(), None);
        etcd.process(0).freeze();
        let others = format!("etcd://{},{}/mesos", etcd.address(1), etcd.address(2));
        let joining = EtcdGroup::new(url(&others), SOON).connect().await.unwrap();
        let member = joining.join(LABEL, b"a".to_vec()).await.unwrap();
        let news = async {
            tokio::select! {
                biased;
                () = changed => {}
                () = async { while connection.next().await != Some(Connection::Expired) {} } => {
                    panic!("two servers are enough")
                }
            }
        };
        soon("the news of the member", news).await;
        assert_eq!(members(&*watching).await, [member.name]);
    });
}

#[test]
fn a_session_outlives_a_short_silence_and_ends_by_itself_after_a_long_one() {
    libprocess::run(async {
        let Some(mut etcd) = Etcd::start().await else { return };
        let session = session(&etcd.url()).await;
        let member = session.join(LABEL, b"a".to_vec()).await.unwrap();
        let mut connection = session.connection();
        // Kept alive for longer than its timeout.
        assert_eq!(timeout(TIMEOUT * 2, connection.next()).await.ok(), None);
        assert_eq!(members(&*session).await, [member.name]);

        etcd.process(0).freeze();
        assert_eq!(soon("the loss", connection.next()).await, Some(Connection::Lost));
        etcd.process(0).resume();
        assert_eq!(soon("the return", connection.next()).await, Some(Connection::Restored));

        let frozen = Instant::now();
        etcd.process(0).freeze();
        // Before etcd ends the lease, which begins anew when it is heard. What has come by then counts also when this
        // process was held up, and sees it later.
        let until = frozen + TIMEOUT + TIMEOUT / 10;
        for event in [Connection::Lost, Connection::Expired] {
            assert_eq!(timeout_at(until, connection.next()).await.ok(), Some(Some(event)));
        }
        let after = frozen.elapsed();
        assert!(after >= TIMEOUT / 2, "{after:?}");
        assert_eq!(soon("nothing more", connection.next()).await, None);
        let refused = session.join(LABEL, b"a".to_vec()).await.unwrap_err();
        assert!(matches!(refused, GroupError::Session(_)), "{refused}");
        etcd.process(0).resume();
    });
}

#[test]
fn a_session_whose_lease_was_taken_ends() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let session = session(&etcd.url()).await;
        let member = session.join(LABEL, b"a".to_vec()).await.unwrap();
        let mut connection = session.connection();
        let lease = i64::from_str_radix(member.name.rsplit_once('_').unwrap().1, 16).unwrap();
        Client::new(&url(&etcd.url()), SOON).revoke(lease).await.unwrap();
        assert_eq!(soon("the end", connection.next()).await, Some(Connection::Expired));
        let refused = session.join(LABEL, b"a".to_vec()).await.unwrap_err();
        assert!(matches!(refused, GroupError::Session(_)), "{refused}");
        let other = EtcdGroup::new(url(&etcd.url()), TIMEOUT).connect().await.unwrap();
        assert!(members(&*other).await.is_empty());
    });
}

#[test]
fn with_three_servers_one_may_freeze_or_die() {
    libprocess::run(async {
        let Some(mut etcd) = Etcd::ensemble(3).await else { return };
        // Long enough for etcd to find another leader of its own, and for a second and a third server to be asked.
        let group = EtcdGroup::new(url(&etcd.url()), TIMEOUT * 3);
        let (session, other) = (group.connect().await.unwrap(), group.connect().await.unwrap());
        let member = session.join(LABEL, b"a".to_vec()).await.unwrap();
        let mut connection = session.connection();
        for freezes in [true, false] {
            let leader = etcd.leader().await;
            if freezes {
                etcd.process(leader).freeze();
            } else {
                etcd.process(leader).crash();
            }
            // The session lives on for longer than its timeout.
            let until = Instant::now() + TIMEOUT * 4;
            while let Ok(event) = timeout_at(until, connection.next()).await {
                assert_ne!(event, Some(Connection::Expired), "two servers are enough");
            }
            assert_eq!(members(&*other).await, std::slice::from_ref(&member.name));
            if freezes {
                etcd.process(leader).resume();
            } else {
                etcd.process(leader).restart();
            }
            etcd.wait_for(leader).await;
        }
    });
}

fn storage(node: &Node, text: &str) -> registrar::Etcd {
    registrar::Etcd::new(node, &url(text))
}

fn put(key: &str, value: &[u8]) -> Change {
    Change { key: key.into(), value: Some(value.to_vec()) }
}

#[test]
fn each_leader_finds_in_etcd_what_was_stored_before() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        each_finds_what_was_stored(|| Box::new(storage(&node, &etcd.url()))).await;
        node.shutdown().await;
    });
}

#[test]
fn a_deposed_leaders_write_fails() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        let (first, second) = (session(&etcd.url()).await, session(&etcd.url()).await);
        let a = first.join(LABEL, b"a".to_vec()).await.unwrap();
        let b = second.join(LABEL, b"b".to_vec()).await.unwrap();
        let (mut old, mut new) = (storage(&node, &etcd.url()), storage(&node, &etcd.url()));
        assert!(old.load(Some(a.clone())).await.unwrap().is_empty());
        old.store(vec![put("agent/1", b"old"), put("agent/2", b"old")]).await.unwrap();

        drop(first);
        let gone = async {
            while members(&*second).await.len() > 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon("the end of the old leader", gone).await;
        let refused = old.store(vec![put("agent/1", b"too late")]).await.unwrap_err().to_string();
        assert!(refused.contains(&a.name) && refused.contains("does not lead any more"), "{refused}");
        assert!(refused.contains("etcd://127.0.0.1"), "{refused}");

        let found = new.load(Some(b)).await.unwrap();
        assert_eq!(found, [("agent/1".to_owned(), b"old".to_vec()), ("agent/2".to_owned(), b"old".to_vec())]);
        let delete = Change { key: "agent/2".into(), value: None };
        new.store(vec![put("agent/1", b"new"), delete]).await.unwrap();
        assert_eq!(new.load(None).await.unwrap(), [("agent/1".to_owned(), b"new".to_vec())]);
        assert!(new.place_of("agent/1").ends_with("/mesos, key '/mesos/registry/agent/1'"));
        node.shutdown().await;
    });
}

#[test]
fn a_leader_whose_node_was_overwritten_leads_no_more() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        let leading = session(&etcd.url()).await;
        let leader = leading.join(LABEL, b"a".to_vec()).await.unwrap();
        let mut registry = storage(&node, &etcd.url());
        registry.load(Some(leader.clone())).await.unwrap();
        registry.store(vec![put("agent/1", b"x")]).await.unwrap();
        // Its revision stays what it was; but the key would outlive the session.
        let key = STANDARD.encode(format!("/mesos/{}", leader.name));
        etcd.call(0, "/v3/kv/put", json!({ "key": key, "value": "" })).await.unwrap();
        let refused = registry.store(vec![put("agent/1", b"y")]).await.unwrap_err().to_string();
        assert!(refused.contains(&leader.name) && refused.contains("does not lead any more"), "{refused}");
        assert!(members(&*leading).await.is_empty());
        assert_eq!(registry.load(None).await.unwrap(), [("agent/1".to_owned(), b"x".to_vec())]);
        node.shutdown().await;
    });
}

#[test]
fn a_write_whose_answer_was_lost_happens_once() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        let (wire, disturbed) = wire_to(&etcd).await;
        let (mut here, mut elsewhere) = (storage(&node, &disturbed), storage(&node, &etcd.url()));
        here.load(None).await.unwrap();
        elsewhere.load(None).await.unwrap();
        for round in 0..3_u8 {
            wire.lose_one_answer();
            here.store(vec![put("quota/a", &[round])]).await.unwrap();
            assert!(!wire.is_to_lose(), "an answer was lost");
        }
        here.store(vec![put("quota/b", b"x")]).await.unwrap();
        // Three rounds, and one: no write was repeated.
        let mark = etcd.call(0, "/v3/kv/range", json!({ "key": "L21lc29zL3JlZ2lzdHJ5" })).await.unwrap();
        assert_eq!(mark["kvs"][0]["version"], "4", "{mark}");

        // One that comes from elsewhere, or late, is not stored.
        let refused = elsewhere.store(vec![put("quota/a", b"?")]).await.unwrap_err().to_string();
        assert!(refused.contains("somebody else") && refused.contains("/mesos/registry"), "{refused}");
        let found = elsewhere.load(None).await.unwrap();
        assert_eq!(found, [("quota/a".to_owned(), vec![2]), ("quota/b".to_owned(), b"x".to_vec())]);
        node.shutdown().await;
    });
}

#[test]
fn a_large_registry_is_written_in_batches_and_read_in_pages() {
    const COUNT: usize = 2_500;
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        let mut storage = storage(&node, &etcd.url());
        storage.load(None).await.unwrap();
        let all: Vec<(String, Vec<u8>)> =
            (0..COUNT).map(|number| (format!("agent/{number:05}"), vec![7; 700])).collect();
        let changes = all.iter().map(|(key, value)| put(key, value)).collect();
        storage.store(changes).await.unwrap();
        assert_eq!(storage.load(None).await.unwrap(), all);
        // What belongs together is noted while it is stored, and not longer.
        let quotas = (0..300).map(|number| put(&format!("quota/{number}"), b"q")).collect();
        storage.store(quotas).await.unwrap();
        assert_eq!(storage.load(None).await.unwrap().len(), COUNT + 300);
        let note = RangeRequest::all(Range::prefix("/mesos/registry/pending"));
        let found = Client::new(&url(&etcd.url()), SOON).range(&note).await.unwrap();
        assert!(found.kvs.is_empty(), "{found:?}");
        let large = storage.store(vec![put("agent/large", &vec![7; 2 << 20])]).await.unwrap_err().to_string();
        assert!(large.contains("agent/large"), "{large}");
        node.shutdown().await;
    });
}

#[test]
fn what_is_long_past_is_forgotten() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        let mut storage = storage(&node, &etcd.url()).remembering(Duration::from_secs(3600), 10 << 10);
        storage.load(None).await.unwrap();
        for _ in 0..40 {
            storage.store(vec![put("agent/1", &[7; 1 << 10])]).await.unwrap();
        }
        let client = Client::new(&url(&etcd.url()), SOON);
        let at = async |revision| {
            let request = RangeRequest { revision, ..RangeRequest::all(Range::prefix("/mesos/registry/")) };
            client.range(&request).await.map(|found| found.header.revision)
        };
        let now = at(0).await.unwrap();
        let forgotten = async {
            while at(now - 25).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon("old revisions to be forgotten", forgotten).await;
        assert!(at(now - 10).await.is_ok(), "what was current a while ago can still be read");
        assert_eq!(storage.load(None).await.unwrap().len(), 1);
        node.shutdown().await;
    });
}

#[test]
fn etcd_may_want_a_password() {
    libprocess::run(async {
        let Some(mut etcd) = Etcd::start().await else { return };
        // Before it does, one that is given does no harm.
        let with = |user: &str| etcd.url().replace("etcd://", &format!("etcd://{user}@"));
        let (right, wrong, none) = (with("root:secret"), with("root:wrong"), etcd.url());
        session(&right).await;
        etcd.ask_for("secret").await;

        let open = session(&right).await;
        let member = open.join(LABEL, b"a".to_vec()).await.unwrap();
        let refused = EtcdGroup::new(url(&wrong), TIMEOUT).connect().await.err().unwrap();
        assert!(
            matches!(&refused, GroupError::Fatal(text) if text.contains("password") && !text.contains("wrong")),
            "{refused}"
        );
        let refused = EtcdGroup::new(url(&none), TIMEOUT).connect().await.err().unwrap();
        assert!(
            matches!(&refused, GroupError::Fatal(text) if text.contains("etcd://user:password@host/path")),
            "{refused}"
        );

        // A server that was started again has forgotten who we are.
        etcd.process(0).restart();
        etcd.wait_for(0).await;
        let found = async {
            while open.members().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            members(&*open).await
        };
        assert_eq!(soon("the members", found).await, [member.name]);
    });
}
