//! Elections in a simulated group, in paused time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{sync::Arc, time::Duration};

use election::{
    CandidacyEnded, CandidacyObtained, Contend, Contender, Detector, LeaderChanged, MASTER_INFO_LABEL,
    StandaloneAppoint, WatchLeader, file, info, simulated::SimulatedGroup,
};
use libprocess::{
    Address, Context, Handle, Node, Pid, Process,
    testing::{self, settle},
};
use mesos::v1::MasterInfo;
use parking_lot::Mutex;
use tokio::time::sleep;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Notes what it is told.
#[derive(Clone, Default)]
struct Probe {
    leaders: Arc<Mutex<Vec<Option<String>>>>,
    /// Of the latest leader.
    port: Arc<Mutex<Option<u32>>>,
    /// The sequence numbers of the nodes by which it was a candidate.
    candidacies: Arc<Mutex<Vec<i64>>>,
    ends: Arc<Mutex<Vec<CandidacyEnded>>>,
}

impl Process for Probe {
    const NAME: &'static str = "probe";
}

impl Handle<LeaderChanged> for Probe {
    fn handle(&mut self, LeaderChanged { leader, .. }: LeaderChanged, _: &Pid, _: &mut Context<Self>) {
        *self.port.lock() = leader.as_ref().map(|leader| leader.port);
        self.leaders.lock().push(leader.map(|leader| leader.id));
    }
}

impl Handle<CandidacyObtained> for Probe {
    fn handle(&mut self, CandidacyObtained { node, .. }: CandidacyObtained, _: &Pid, _: &mut Context<Self>) {
        self.candidacies.lock().push(node.sequence);
    }
}

impl Handle<CandidacyEnded> for Probe {
    fn handle(&mut self, end: CandidacyEnded, _: &Pid, _: &mut Context<Self>) {
        self.ends.lock().push(end);
    }
}

impl Probe {
    fn leaders(&self) -> Vec<Option<String>> {
        self.leaders.lock().clone()
    }

    fn candidacies(&self) -> Vec<i64> {
        self.candidacies.lock().clone()
    }

    fn ended(&self) -> usize {
        self.ends.lock().len()
    }
}

fn master(id: &str) -> MasterInfo {
    info::from_address(id.into(), "localhost".into(), "127.0.0.1:5050".parse().unwrap())
}

async fn node() -> Node {
    Node::builder().offline().seed(1).start().await.unwrap()
}

fn watched_by(watcher: &Address<Probe>) -> Contend {
    Contend { obtained: watcher.recipient(), ended: watcher.recipient() }
}

/// The sequence numbers of the nodes that are there.
fn nodes(group: &SimulatedGroup) -> Vec<i64> {
    group.members().iter().map(|(member, _)| member.sequence).collect()
}

async fn contend(node: &Node, group: &SimulatedGroup, id: &str) -> (Address<Contender>, Probe) {
    let probe = Probe::default();
    let watcher = node.spawn_numbered(probe.clone());
    let contender = node.spawn_numbered(Contender::with_group(Arc::new(group.clone()), master(id)));
    contender.tell(watched_by(&watcher));
    settle().await;
    (contender, probe)
}

async fn watch(node: &Node, detector: Detector) -> (Address<Detector>, Probe) {
    let probe = Probe::default();
    let watcher = node.spawn_numbered(probe.clone());
    let detector = node.spawn_numbered(detector);
    detector.tell(WatchLeader(watcher.recipient()));
    settle().await;
    (detector, probe)
}

async fn detect(node: &Node, group: &SimulatedGroup) -> Probe {
    watch(node, Detector::with_group(Arc::new(group.clone()))).await.1
}

fn some(id: &str) -> Option<String> {
    Some(id.into())
}

/// Upstream: `GroupTest.RetryableErrors`, `ZooKeeperTest.LeaderContender`,
/// `ZooKeeperMasterContenderDetectorTest.MasterContender`,
/// `ZooKeeperMasterContenderDetectorTest.MasterDetectorExpireMasterZKSession`.
#[test]
fn the_first_contender_leads_until_its_session_expires() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let (_, first) = contend(&node, &group, "first").await;
        let (_, second) = contend(&node, &group, "second").await;
        let watcher = detect(&node, &group).await;
        assert_eq!(watcher.leaders().last(), Some(&some("first")));

        let session = group.sessions()[0];
        group.expire(session);
        settle().await;
        assert_eq!(first.ended(), 1);
        assert_eq!(second.ended(), 0);
        assert_eq!(watcher.leaders().last(), Some(&some("second")));
    });
}

#[test]
fn a_short_cut_costs_nothing() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let (_, probe) = contend(&node, &group, "only").await;
        group.cut(1);
        sleep(TIMEOUT - Duration::from_secs(1)).await;
        group.restore(1);
        sleep(TIMEOUT * 3).await;
        assert_eq!(probe.ended(), 0);
        assert_eq!(group.members().len(), 1);
    });
}

/// Upstream: `ZooKeeperMasterContenderDetectorTest.MasterDetectorTimedoutSession`, `ZooKeeperTest.LeaderContender`.
#[test]
fn a_cut_longer_than_the_timeout_ends_the_candidacy_before_the_service_says_so() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let (_, probe) = contend(&node, &group, "only").await;
        group.cut(1);
        sleep(TIMEOUT - Duration::from_millis(10)).await;
        assert_eq!(probe.ended(), 0);
        sleep(Duration::from_millis(20)).await;
        assert_eq!(probe.ends.lock().as_slice(), [CandidacyEnded { failure: None }]);
    });
}

#[test]
fn a_removed_node_ends_the_candidacy_and_contending_again_helps() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let (contender, probe) = contend(&node, &group, "only").await;
        let name = group.members()[0].0.name.clone();
        assert_eq!(name, "json.info_0000000000");
        group.remove(&name);
        settle().await;
        assert_eq!(probe.ended(), 1);

        let watcher = node.spawn_numbered(Probe::default());
        contender.tell(watched_by(&watcher));
        settle().await;
        assert_eq!(group.members()[0].0.sequence, 1);
    });
}

/// Upstream: `ZooKeeperMasterContenderDetectorTest.ContenderPendingElection`, `ZooKeeperTest.LeaderContender`.
#[test]
fn contending_again_withdraws_the_first_candidacy() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let (contender, probe) = contend(&node, &group, "only").await;
        let watcher = node.spawn_numbered(Probe::default());
        contender.tell(watched_by(&watcher));
        settle().await;
        assert_eq!(nodes(&group), [1]);
        assert_eq!(probe.ended(), 0, "who contended first hears nothing more");
    });
}

/// Upstream: `ZooKeeperMasterContenderDetectorTest.MasterContenders`.
#[test]
fn a_contender_that_ends_leaves_the_group() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let (contender, _) = contend(&node, &group, "only").await;
        assert_eq!(group.members().len(), 1);
        contender.terminate();
        settle().await;
        assert!(group.members().is_empty());
    });
}

/// How long a contender may take to try again.
const RETRY: Duration = Duration::from_secs(3);

#[test]
fn a_join_whose_answer_was_lost_makes_one_candidate() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        group.lose_one_answer();
        let (_, probe) = contend(&node, &group, "only").await;
        assert_eq!((nodes(&group), probe.candidacies()), (vec![0], vec![]), "it is in, and does not know");
        sleep(RETRY).await;
        assert_eq!((nodes(&group), probe.candidacies()), (vec![0], vec![0]));
        // It watches that node and no other.
        group.expire(1);
        settle().await;
        assert_eq!(probe.ended(), 1);
    });
}

#[test]
fn a_join_whose_answer_was_lost_is_made_again_if_nothing_came_of_it() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        group.lose_one_answer();
        let (_, probe) = contend(&node, &group, "only").await;
        let lost = group.members()[0].0.name.clone();
        group.remove(&lost);
        sleep(RETRY).await;
        assert_eq!((nodes(&group), probe.candidacies()), (vec![1], vec![1]));
        assert_eq!(probe.ended(), 0);
    });
}

/// The service ends a session later than its owner does.
#[test]
fn a_node_of_an_earlier_session_is_not_taken_for_the_candidates_own() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let (contender, first) = contend(&node, &group, "only").await;
        group.cut(1);
        sleep(TIMEOUT + Duration::from_secs(1)).await;
        assert_eq!((first.ended(), nodes(&group)), (1, vec![0]));

        group.lose_one_answer();
        let probe = Probe::default();
        contender.tell(watched_by(&node.spawn_numbered(probe.clone())));
        sleep(RETRY).await;
        assert_eq!((nodes(&group), probe.candidacies()), (vec![0, 1], vec![1]));
        group.expire(1);
        settle().await;
        assert_eq!((nodes(&group), probe.ended()), (vec![1], 0));
        group.expire(2);
        settle().await;
        assert_eq!((nodes(&group), probe.ended()), (vec![], 1));
    });
}

/// Upstream: `GroupTest.RetryableErrors`, `ZooKeeperMasterContenderDetectorTest.ContenderDetectorShutdownNetwork`.
#[test]
fn a_contender_waits_for_a_group_out_of_reach() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        group.set_reachable(false);
        let (_, probe) = contend(&node, &group, "only").await;
        sleep(Duration::from_secs(300)).await;
        group.set_reachable(true);
        sleep(Duration::from_secs(61)).await;
        assert_eq!(group.members().len(), 1);
        assert_eq!(probe.ended(), 0);
    });
}

/// Upstream: `ZooKeeperTest.LeaderDetector`, `ZooKeeperTest.LeaderDetectorCancellationHandling`.
#[test]
fn a_detector_tells_of_those_who_lead_and_not_of_those_who_follow() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let watcher = detect(&node, &group).await;
        let (leader, _) = contend(&node, &group, "first").await;
        let (follower, _) = contend(&node, &group, "second").await;
        follower.terminate();
        settle().await;
        let (follower, _) = contend(&node, &group, "second").await;
        assert_eq!(watcher.leaders(), [None, some("first")]);

        leader.terminate();
        settle().await;
        assert_eq!(watcher.leaders(), [None, some("first"), some("second")]);
        follower.terminate();
        settle().await;
        assert_eq!(watcher.leaders(), [None, some("first"), some("second"), None]);
        contend(&node, &group, "third").await;
        assert_eq!(watcher.leaders().last(), Some(&some("third")));
    });
}

/// The leader may be another one by then. Upstream: `ZooKeeperTest.LeaderDetectorTimeoutHandling`.
#[test]
fn a_detector_that_is_cut_off_for_the_timeout_sees_no_leader() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        contend(&node, &group, "leader").await;
        let watcher = detect(&node, &group).await;
        group.set_reachable(false);
        group.cut(2);
        sleep(TIMEOUT - Duration::from_millis(10)).await;
        assert_eq!(watcher.leaders(), [None, some("leader")]);
        sleep(Duration::from_millis(20)).await;
        assert_eq!(watcher.leaders(), [None, some("leader"), None]);
    });
}

/// Upstream: `ZooKeeperMasterContenderDetectorTest.MasterDetectorExpireSlaveZKSession`.
#[test]
fn a_detector_that_loses_its_session_sees_no_leader_until_it_is_back() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        contend(&node, &group, "leader").await;
        let watcher = detect(&node, &group).await;
        group.set_reachable(false);
        group.expire(2);
        settle().await;
        assert_eq!(watcher.leaders().last(), Some(&None));
        group.set_reachable(true);
        sleep(Duration::from_secs(61)).await;
        assert_eq!(watcher.leaders(), [None, some("leader"), None, some("leader")]);
    });
}

/// Upstream: `ZooKeeperMasterContenderDetectorTest.MasterDetectorExpireSlaveZKSessionNewMaster`.
#[test]
fn a_detector_that_was_away_sees_who_leads_now() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        contend(&node, &group, "first").await;
        contend(&node, &group, "second").await;
        let watcher = detect(&node, &group).await;
        let sessions = group.sessions();
        // Nobody can start a new session meanwhile, and the detector hears of its end first.
        group.set_reachable(false);
        group.expire(sessions[2]);
        settle().await;
        group.expire(sessions[0]);
        settle().await;
        assert_eq!(watcher.leaders(), [None, some("first"), None]);
        group.set_reachable(true);
        sleep(Duration::from_secs(61)).await;
        assert_eq!(watcher.leaders(), [None, some("first"), None, some("second")]);
    });
}

/// Upstream: `ZooKeeperMasterContenderDetectorTest.MasterDetectorUsesJson`.
#[test]
fn nodes_of_other_programs_are_no_leaders() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        group.add("info", b"protobuf");
        let watcher = detect(&node, &group).await;
        assert_eq!(watcher.leaders(), [None]);
        contend(&node, &group, "ours").await;
        assert_eq!(watcher.leaders(), [None, some("ours")]);
    });
}

#[test]
fn a_leader_whose_data_cannot_be_read_is_no_leader() {
    testing::run(async {
        let (node, group) = (node().await, SimulatedGroup::new(TIMEOUT));
        let bad = group.add(MASTER_INFO_LABEL, b"{");
        contend(&node, &group, "good").await;
        let watcher = detect(&node, &group).await;
        assert_eq!(watcher.leaders(), [None]);
        group.remove(&bad.name);
        settle().await;
        assert_eq!(watcher.leaders(), [None, some("good")]);
    });
}

/// Upstream: `BasicMasterContenderDetectorTest.Detector`.
#[test]
fn a_standalone_detector_tells_who_was_appointed() {
    testing::run(async {
        let node = node().await;
        let (detector, probe) = watch(&node, Detector::standalone()).await;
        detector.tell(StandaloneAppoint(Some(master("me"))));
        detector.tell(StandaloneAppoint(Some(master("me"))));
        settle().await;
        assert_eq!(probe.leaders(), [None, some("me")]);
    });
}

/// Upstream: `BasicMasterContenderDetectorTest.MasterInfo`.
#[test]
fn an_address_needs_no_election() {
    testing::run(async {
        let node = node().await;
        let (_, probe) = watch(&node, Detector::new("127.0.0.1:5050".parse().unwrap())).await;
        assert!(probe.leaders().last().unwrap().is_some());
        assert_eq!(*probe.port.lock(), Some(5050));
    });
}

/// Upstream: `MasterContenderDetectorTest.File`.
#[test]
fn a_file_may_name_another_master_while_it_is_watched() {
    testing::run(async {
        let (node, folder) = (node().await, tempfile::tempdir().unwrap());
        let path = folder.path().join("master");
        std::fs::write(&path, "127.0.0.1:5050").unwrap();
        let url = format!("file://{}", path.display()).parse().unwrap();
        let (_, probe) = watch(&node, Detector::new(url)).await;
        let later = async || {
            sleep(2 * file::INTERVAL).await;
            settle().await;
            (*probe.port.lock(), probe.leaders().len())
        };
        assert_eq!(later().await, (Some(5050), 2), "nobody, and then the master");

        std::fs::write(&path, "master@127.0.0.1:5051\n").unwrap();
        assert_eq!(later().await, (Some(5051), 3));
        // What makes no sense changes nothing, nor does a file that is missing for a while.
        for bad in ["", "nowhere", "file:///another", "zk://host/"] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(later().await, (Some(5051), 3), "{bad}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(later().await, (Some(5051), 3));
        std::fs::write(&path, "127.0.0.1:5051").unwrap();
        assert_eq!(later().await, (Some(5051), 3), "it is the same master");
        std::fs::write(&path, "127.0.0.1:5050").unwrap();
        assert_eq!(later().await, (Some(5050), 4));
    });
}
