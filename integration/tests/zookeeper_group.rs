//! The group of masters in a real ZooKeeper: upstream's `group_tests.cpp`, `zookeeper_tests.cpp` and
//! `master_contender_detector_tests.cpp`, where they need a real one. (Those that need none are in
//! `election/tests/election.rs`.)
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::time::Duration;

use election::group::{Connection, Group, GroupError, Membership, Session, ended};
use election::zookeeper::client::Step;
use election::zookeeper::{ZooKeeperClient, ZooKeeperGroup};
use election::{
    CandidacyEnded, CandidacyObtained, Contend, Contender, Detector, LeaderChanged, WatchLeader,
    ZooKeeperUrl, info,
};
use futures::StreamExt;
use integration::wait;
use integration::wire::Wire;
use integration::zookeeper::ZooKeeper;
use libprocess::{Context, Handle, Node, Pid, Process, Random};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Permission};

const SESSION: Duration = Duration::from_secs(2);
/// Longer than anything takes that does not wait for the end of a session.
const SOON: Duration = Duration::from_secs(20);
/// Long enough for something that is pending to show that it is.
const PENDING: Duration = Duration::from_millis(500);

fn url(zookeeper: &ZooKeeper, user: &str, path: &str) -> ZooKeeperUrl {
    let at = if user.is_empty() { "" } else { "@" };
    zookeeper.url().replace("zk://", &format!("zk://{user}{at}")).replace("/mesos", path).parse().unwrap()
}

async fn session(zookeeper: &ZooKeeper) -> Box<dyn Session> {
    group(zookeeper, "", "/mesos").connect().await.unwrap()
}

fn group(zookeeper: &ZooKeeper, user: &str, path: &str) -> ZooKeeperGroup {
    ZooKeeperGroup::new(url(zookeeper, user, path), SESSION)
}

async fn members(session: &dyn Session) -> Vec<Membership> {
    let mut members = session.members().await.unwrap().0;
    members.sort();
    members
}

/// Upstream: `GroupTest.Group`, `GroupTest.GroupDataWithRemovedMembership`, `GroupTest.MultipleGroups`,
/// `GroupTest.LabelledGroup`.
#[test]
fn members_see_each_other_come_and_go() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let [one, two] = [session(&zookeeper).await, session(&zookeeper).await];
        let first = one.join("json.info", b"hello world".to_vec()).await.unwrap();
        let second = two.join("testlabel", b"group 2".to_vec()).await.unwrap();
        assert!(first < second && first.name.starts_with("json.info_") && second.label == "testlabel");
        for session in [&one, &two] {
            assert_eq!(members(&**session).await, [first.clone(), second.clone()]);
            assert_eq!(session.data(&first).await.unwrap(), Some(b"hello world".to_vec()));
            assert_eq!(session.data(&second).await.unwrap(), Some(b"group 2".to_vec()));
        }
        let (_, changed) = two.members().await.unwrap();
        drop(one);
        timeout(SOON, changed).await.unwrap();
        assert_eq!(members(&*two).await, [second]);
        assert_eq!(two.data(&first).await.unwrap(), None, "who has left has no data");
    });
}

#[test]
fn a_session_knows_its_own_member_also_when_the_answer_to_its_joining_was_lost() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let direct = url(&zookeeper, "", "/mesos");
        let wire = Wire::to(direct.servers.parse().unwrap()).await;
        let disturbed = ZooKeeperUrl { servers: wire.address().to_string(), ..direct };
        // Nothing else is answered between its beginning and its joining: it pings every few seconds.
        let group = ZooKeeperGroup::new(disturbed, Duration::from_secs(10));
        let (other, joining) = (session(&zookeeper).await, group.connect().await.unwrap());
        // As of an earlier session of the same master.
        let first = other.join("json.info", b"a".to_vec()).await.unwrap();
        assert_eq!(joining.joined("json.info").await.unwrap(), None);
        wire.lose_one_answer();
        let lost = joining.join("json.info", b"a".to_vec()).await.unwrap_err();
        assert!(matches!(lost, GroupError::Retry(_)) && !wire.is_to_lose(), "{lost}");
        let own = wait::until("an answer", async || joining.joined("json.info").await).await;
        let second = own.expect("ZooKeeper has done it");
        assert_eq!(members(&*other).await, [first.clone(), second]);
        assert_eq!(other.joined("json.info").await.unwrap(), Some(first));
        assert_eq!(other.joined("testlabel").await.unwrap(), None);
    });
}

/// Upstream: `GroupTest.GroupCancelWithDisconnect`,
/// `ZooKeeperMasterContenderDetectorTest.ContenderDetectorShutdownNetwork`.
#[test]
fn a_long_silence_ends_the_session_here_and_there() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let member = session(&zookeeper).await;
        let mut connection = member.connection();
        member.join("json.info", b"1".to_vec()).await.unwrap();
        zookeeper.freeze();
        // Nobody tells us: the service cannot.
        timeout(SOON, ended(&mut connection, SESSION)).await.expect("we end it ourselves");
        drop(member);
        zookeeper.resume();
        let (group, random) = (group(&zookeeper, "", "/mesos"), Random::seeded(1));
        let next = timeout(SOON, election::group::connect(&group, &random)).await.unwrap().unwrap();
        wait::until("the old member to be gone", async || match members(&*next).await {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        })
        .await;
    });
}

#[test]
fn a_member_that_is_cut_off_counts_from_its_last_sign_of_life() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let long = Duration::from_secs(5);
        let group = ZooKeeperGroup::new(url(&zookeeper, "", "/mesos"), long);
        let member = group.connect().await.unwrap();
        let mut connection = member.connection();
        member.join("json.info", b"1".to_vec()).await.unwrap();
        // It is given signs, or it would end in peace, too.
        assert!(timeout(long * 2, ended(&mut connection, long)).await.is_err(), "the session goes on");
        zookeeper.freeze();
        // The client needs 2 s to see that the connection is lost; the time-out does not begin then.
        timeout(long + Duration::from_millis(800), ended(&mut connection, long)).await.expect("it has ended");
    });
}

/// ZooKeeper decides, from two to twenty of its ticks. Upstream: `ZooKeeperTest.SessionTimeoutNegotiation`.
#[test]
fn a_session_lives_for_as_long_as_zookeeper_agrees_to() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let random = Random::seeded(1);
        for (asked, agreed) in [(900, 1_000), (3_000, 3_000), (60_000, 10_000)] {
            let group = ZooKeeperGroup::new(url(&zookeeper, "", "/mesos"), Duration::from_millis(asked));
            let connecting = election::group::connect(&group, &random);
            let session = timeout(SOON, connecting).await.unwrap().unwrap();
            assert_eq!(session.timeout(), Duration::from_millis(agreed), "{asked} ms were asked for");
        }
    });
}

/// Upstream: `GroupTest.GroupWatchWithSessionExpiration`.
#[test]
fn a_session_that_the_service_has_ended_is_over() {
    libprocess::run(async {
        let Some(mut zookeeper) = ZooKeeper::start().await else { return };
        let member = session(&zookeeper).await;
        let mut connection = member.connection();
        member.join("json.info", b"1".to_vec()).await.unwrap();
        // One that has forgotten everything knows no such session, either.
        zookeeper.crash();
        zookeeper.forget();
        assert_eq!(timeout(SOON, connection.next()).await.unwrap(), Some(Connection::Lost));
        zookeeper.restart().await;
        assert_eq!(timeout(SOON, connection.next()).await.unwrap(), Some(Connection::Expired));
        assert_eq!(connection.next().await, None);
        assert!(matches!(member.members().await, Err(GroupError::Session(_))));
    });
}

/// As an operator may have made nodes for us.
async fn make(zookeeper: &ZooKeeper, path: &str, acls: &[Acl]) {
    let servers = url(zookeeper, "", "/mesos").servers;
    let client = Client::connector().with_auth("digest", b"creator:creator").connect(&servers).await.unwrap();
    client.create(path, b"42", &CreateMode::Persistent.with_acls(Acls::new(acls))).await.unwrap();
}

/// Upstream: `GroupTest.GroupPathWithRestrictivePerms`, `ZooKeeperMasterContenderDetectorTest.NonRetryableFrrors`,
/// `ZooKeeperTest.Create`.
#[test]
fn a_path_where_others_may_not_write_is_refused() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let [everyone, creator] = [AuthId::anyone(), AuthId::authed()];
        let read_only =
            [Acl::new(Permission::READ, everyone.clone()), Acl::new(Permission::ALL, creator.clone())];
        make(&zookeeper, "/read-only", &read_only).await;
        make(&zookeeper, "/read-only/writable", &[Acl::new(Permission::ALL, everyone)]).await;
        make(&zookeeper, "/private", &[Acl::new(Permission::ALL, creator)]).await;

        let other = "non-creator:non-creator";
        let there = group(&zookeeper, other, "/read-only").connect().await.unwrap();
        assert!(matches!(there.join("fail", Vec::new()).await, Err(GroupError::Fatal(_))));
        let Err(GroupError::Fatal(text)) = group(&zookeeper, other, "/read-only/new").connect().await else {
            panic!("it was made")
        };
        assert!(text.contains("'/read-only/new'") && text.contains("not authorized"), "{text}");
        let below = group(&zookeeper, other, "/read-only/writable").connect().await.unwrap();
        below.join("succeed", Vec::new()).await.unwrap();
        let hidden = group(&zookeeper, "", "/private").connect().await.unwrap();
        assert!(matches!(hidden.members().await, Err(GroupError::Fatal(_))));
    });
}

/// Passes on what it is told.
struct Watcher {
    ended: UnboundedSender<CandidacyEnded>,
    leaders: UnboundedSender<LeaderChanged>,
}

impl Process for Watcher {
    const NAME: &'static str = "watcher";
}

impl Handle<CandidacyObtained> for Watcher {
    fn handle(&mut self, _: CandidacyObtained, _: &Pid, _: &mut Context<Self>) {}
}

impl Handle<CandidacyEnded> for Watcher {
    fn handle(&mut self, end: CandidacyEnded, _: &Pid, _: &mut Context<Self>) {
        self.ended.send(end).unwrap();
    }
}

impl Handle<LeaderChanged> for Watcher {
    fn handle(&mut self, change: LeaderChanged, _: &Pid, _: &mut Context<Self>) {
        self.leaders.send(change).unwrap();
    }
}

/// What a contender and a detector with this user are told.
fn take_part(
    node: &Node,
    zookeeper: &ZooKeeper,
    user: &str,
    id: &str,
) -> (UnboundedReceiver<CandidacyEnded>, UnboundedReceiver<LeaderChanged>) {
    take_part_in_sessions_of(SESSION, node, zookeeper, user, id)
}

fn take_part_in_sessions_of(
    session: Duration,
    node: &Node,
    zookeeper: &ZooKeeper,
    user: &str,
    id: &str,
) -> (UnboundedReceiver<CandidacyEnded>, UnboundedReceiver<LeaderChanged>) {
    let ((ended, ends), (leaders, changes)) = (unbounded_channel(), unbounded_channel());
    let watcher = node.spawn_numbered(Watcher { ended, leaders });
    let address = "127.0.0.1:5050".parse().unwrap();
    let master = info::from_address(id.to_owned(), "localhost".to_owned(), address);
    let url = election::MasterUrl::ZooKeeper(url(zookeeper, user, "/mesos"));
    let contender = node.spawn_numbered(Contender::with_timeout(url.clone(), master, session));
    contender.tell(Contend { obtained: watcher.recipient(), ended: watcher.recipient() });
    let detector = node.spawn_numbered(Detector::with_timeout(url, session));
    detector.tell(WatchLeader(watcher.recipient()));
    (ends, changes)
}

/// The id of the next leader that is told.
async fn next_leader(changes: &mut UnboundedReceiver<LeaderChanged>) -> String {
    loop {
        let change = timeout(SOON, changes.recv()).await.unwrap().unwrap();
        if let Some(leader) = change.leader {
            return leader.id;
        }
    }
}

/// Upstream: `GroupTest.GroupJoinWithDisconnect`, `GroupTest.GroupDataWithDisconnect`, `GroupTest.ConnectTimer`.
#[test]
fn a_zookeeper_that_hangs_is_waited_for_and_a_short_silence_costs_nothing() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        zookeeper.freeze();
        // A silence of half a session is seen; a machine that is busy may prolong it, but hardly by the other half.
        let session = SESSION * 3;
        let (mut ends, mut changes) = take_part_in_sessions_of(session, &node, &zookeeper, "", "first");
        let pending = timeout(PENDING, next_leader(&mut changes)).await;
        assert!(pending.is_err(), "nobody answers");
        zookeeper.resume();
        assert_eq!(next_leader(&mut changes).await, "first");

        zookeeper.freeze();
        tokio::time::sleep(session / 2).await;
        zookeeper.resume();
        tokio::time::sleep(session).await;
        assert!(changes.try_recv().is_err() && ends.try_recv().is_err(), "the session goes on");
        node.shutdown().await;
    });
}

/// Upstream: `ZooKeeperMasterContenderDetectorTest.NonRetryableFrrors`, `ZooKeeperTest.Auth`.
#[test]
fn who_has_the_wrong_password_does_not_contend_but_sees_the_leader() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        let (mut ends, mut changes) = take_part(&node, &zookeeper, "member:member", "first");
        assert_eq!(next_leader(&mut changes).await, "first");
        let (mut refused, mut sees) = take_part(&node, &zookeeper, "member:wrongpass", "second");
        let end = timeout(SOON, refused.recv()).await.unwrap().unwrap();
        let failure = end.failure.unwrap();
        assert!(failure.contains("not authorized") && !failure.contains("wrongpass"), "{failure}");
        assert_eq!(next_leader(&mut sees).await, "first");
        assert!(ends.try_recv().is_err(), "the first one's candidacy goes on");
        node.shutdown().await;
    });
}

/// An operator may remove all that a cluster has in ZooKeeper. (Upstream's masters and agents end then.)
#[test]
fn who_removes_the_whole_path_ends_the_candidacies_and_it_can_be_made_again() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        let (mut ends, mut changes) = take_part(&node, &zookeeper, "", "first");
        assert_eq!(next_leader(&mut changes).await, "first");
        let client = ZooKeeperClient::connect(&url(&zookeeper, "", "/mesos"), SESSION).await.unwrap();
        let names = client.list("/mesos").await.unwrap();
        let paths = names.iter().map(|name| format!("/mesos/{name}")).chain(["/mesos".to_owned()]);
        let steps: Vec<Step> = paths.map(|path| Step::Delete { path }).collect();
        // At once: nobody sees the path without its members.
        client.transaction(&steps).await.unwrap();
        let end = timeout(SOON, ends.recv()).await.unwrap().unwrap();
        assert_eq!(end.failure, None);
        let change = timeout(SOON, changes.recv()).await.unwrap().unwrap();
        assert_eq!(change.leader, None);

        let (_ends, mut seen) = take_part(&node, &zookeeper, "", "second");
        assert_eq!(next_leader(&mut seen).await, "second");
        assert_eq!(next_leader(&mut changes).await, "second");
        node.shutdown().await;
    });
}

/// The same, and it is made again before anybody has looked: the numbers begin anew, and with them the names.
#[test]
fn whoever_joins_below_a_path_that_was_made_anew_is_not_taken_for_the_one_who_had_that_name() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let node = Node::builder().offline().start().await.unwrap();
        let (mut ends, mut changes) = take_part(&node, &zookeeper, "", "first");
        assert_eq!(next_leader(&mut changes).await, "first");
        let client = ZooKeeperClient::connect(&url(&zookeeper, "", "/mesos"), SESSION).await.unwrap();
        let names = client.list("/mesos").await.unwrap();
        let [name] = names.as_slice() else { panic!("{names:?}") };
        let (path, member) = ("/mesos".to_owned(), format!("/mesos/{name}"));
        let address = "127.0.0.1:5051".parse().unwrap();
        let second = info::from_address("second".to_owned(), "localhost".to_owned(), address);
        let steps = [
            Step::Delete { path: member.clone() },
            Step::Delete { path: path.clone() },
            Step::Create { path, data: Vec::new() },
            Step::Create { path: member, data: info::to_json(&second) },
        ];
        client.transaction(&steps).await.unwrap();
        let end = timeout(SOON, ends.recv()).await.unwrap().unwrap();
        assert_eq!(end.failure, None);
        assert_eq!(next_leader(&mut changes).await, "second");
        node.shutdown().await;
    });
}

#[test]
fn what_masters_and_others_keep_beside_the_members_is_no_member() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let client = ZooKeeperClient::connect(&url(&zookeeper, "", "/mesos"), SESSION).await.unwrap();
        let member = session(&zookeeper).await;
        for foreign in ["registry", "log_replicas", "info_"] {
            client.ensure(&format!("/mesos/{foreign}"), b"").await.unwrap();
        }
        assert!(members(&*member).await.is_empty());
    });
}
