//! A new master: what it knows from the registry, and what agents and frameworks bring.

use std::sync::Arc;
use std::time::Duration;

use election::group::{Group, GroupError, Session};
use election::simulated::SimulatedGroup;
use election::{CandidacyEnded, LeaderChanged};
use futures::FutureExt;
use futures::future::BoxFuture;
use libprocess::http::{Request, dispatch};
use libprocess::{Node, testing};
use mesos::v1::scheduler::event::Type;
use mesos::v1::{self, TaskState};
use serde_json::json;

use super::shelf::{Shelf, group, patient};
use super::{Cluster, Got, info};
use crate::{EndReason, Settings};

#[test]
fn frameworks_and_tasks_are_known_again_from_the_agents_that_run_them() {
    testing::run(async {
        // An agent and a framework of an earlier master.
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        agent.info.id = Some(v1::AgentId { value: "old-S0".into() });
        let mut framework = info();
        framework["id"] = json!({ "value": "old-0000" });
        let framework_info: v1::FrameworkInfo =
            mesos::json::from_slice(framework.to_string().as_bytes()).unwrap();
        let resources = mesos::Resources::parse("cpus:1;mem:32", "*").unwrap().allocated_to("*");
        let running = v1::Task {
            name: "t".into(),
            task_id: v1::TaskId { value: "t".into() },
            framework_id: v1::FrameworkId { value: "old-0000".into() },
            agent_id: agent.info.id.clone().unwrap(),
            state: TaskState::TaskRunning.into(),
            resources: resources.to_protos(),
            ..Default::default()
        };
        agent.reregister(vec![running], vec![framework_info]);
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Reregistered(_), Got::UpdateFramework(_)]), "{got:?}");
        let state = cluster.get("/state").await;
        assert_eq!(state["frameworks"][0]["recovered"], true);
        assert_eq!(state["frameworks"][0]["tasks"][0]["id"], "t");

        // Its scheduler comes, keeps its id, and can reconcile.
        let mut scheduler = cluster.subscribe(framework).await;
        assert_eq!(scheduler.id, "old-0000");
        scheduler.call("RECONCILE", json!({ "tasks": [] })).await;
        assert_eq!(scheduler.status().await.state(), TaskState::TaskRunning);
        assert_eq!(cluster.get("/state").await["frameworks"][0]["recovered"], false);
    });
}

/// An executor under upstream's agent may call its task unreachable, and the agent goes on saying so. Upstream's next
/// master aborts when the agent registers again.
#[test]
fn a_task_that_an_agent_brings_as_unreachable_goes_on_using_what_it_has() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.stranger("cpus:4;mem:1024");
        agent.info.id = Some(v1::AgentId { value: "old-S0".into() });
        let mut framework = info();
        framework["id"] = json!({ "value": "old-0000" });
        let framework_info: v1::FrameworkInfo =
            mesos::json::from_slice(framework.to_string().as_bytes()).unwrap();
        let resources = mesos::Resources::parse("cpus:1;mem:32", "*").unwrap().allocated_to("*");
        let task_id = v1::TaskId { value: "t".into() };
        let status = |state: TaskState| v1::TaskStatus {
            task_id: task_id.clone(),
            state: state.into(),
            ..Default::default()
        };
        let task = v1::Task {
            name: "t".into(),
            task_id: task_id.clone(),
            framework_id: v1::FrameworkId { value: "old-0000".into() },
            agent_id: agent.info.id.clone().unwrap(),
            state: TaskState::TaskUnreachable.into(),
            statuses: vec![status(TaskState::TaskRunning), status(TaskState::TaskUnreachable)],
            resources: resources.to_protos(),
            ..Default::default()
        };
        agent.reregister(vec![task], vec![framework_info]);
        agent.taken().await;
        let state = cluster.get("/state").await;
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 1.0);
        assert_eq!(state["frameworks"][0]["tasks"][0]["state"], "TASK_RUNNING");

        // It ends as others do, and what it used is free once.
        let mut scheduler = cluster.subscribe(framework).await;
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let status = scheduler.status().await;
        assert_eq!(status.state(), TaskState::TaskFinished);
        scheduler.acknowledge(&status).await;
        let state = cluster.get("/state").await;
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 0.0);
        assert_eq!(state["frameworks"][0]["completed_tasks"][0]["state"], "TASK_FINISHED");
    });
}

#[test]
fn agents_of_the_registry_are_awaited_and_then_unreachable() {
    testing::run(async {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { work_dir: Some(directory.path().to_owned()), ..Settings::default() };
        let first = Cluster::with(settings.clone()).await;
        let agent = first.agent("cpus:2;mem:1024").await;
        let id = agent.id();
        wait_until_stored(&first).await;
        first.running.shutdown().await;

        let second = Cluster::with(settings).await;
        wait_until_recovered(&second).await;
        let mut scheduler = second.subscribe(info()).await;
        let ask = |agent: &str| json!({ "tasks": [{ "task_id": { "value": "t" }, "agent_id": { "value": agent } }] });
        // The agent may still come: no answer.
        scheduler.call("RECONCILE", ask(&id)).await;
        assert!(scheduler.pending().await.iter().all(|event| event.r#type() == Type::Heartbeat));
        tokio::time::sleep(Duration::from_secs(601)).await;
        testing::settle().await;
        scheduler.next_of(Type::Failure).await;
        scheduler.call("RECONCILE", ask(&id)).await;
        assert_eq!(scheduler.status().await.state(), TaskState::TaskUnreachable);
    });
}

/// The registry's file is written by another thread: time stands still meanwhile.
async fn wait_until_stored(cluster: &Cluster) {
    for _ in 0..10_000 {
        if cluster.node.metrics().value("master/slave_registrations") == Some(1.0) {
            return;
        }
        testing::settle().await;
    }
    panic!("the agent was not admitted");
}

pub(super) async fn wait_until_recovered(cluster: &Cluster) {
    for _ in 0..10_000 {
        let response = cluster.post(&super::JSON, "{}").await;
        if response.status != http::StatusCode::SERVICE_UNAVAILABLE {
            return;
        }
        testing::settle().await;
    }
    panic!("the master did not recover");
}

/// A master of several that does not lead: nobody does, since nobody is at the address where they elect.
async fn standby() -> Cluster {
    let node = Node::builder().offline().delegate("master").start().await.unwrap();
    let settings = Settings {
        zk: Some(crate::settings::ElectionText("zk://127.0.0.1:1/mesos".into())),
        registry: Some(crate::settings::RegistryKind::InMemory),
        ..Settings::default()
    };
    let running = crate::start(&node, settings).await.unwrap();
    Cluster { node, running }
}

/// It hears that another master leads, at `leader:5055`, which is 10.0.0.1.
fn another_leads(cluster: &Cluster) {
    let mut leader = cluster.running.info.clone();
    leader.id = "another".into();
    leader.pid = Some("master@10.0.0.1:5055".into());
    leader.hostname = Some("leader".into());
    leader.port = 5055;
    cluster.running.master.tell(LeaderChanged { leader: Some(leader), node: None });
}

/// Status, `Location` and text of the answer to a request.
async fn answer(cluster: &Cluster, (method, path): (http::Method, &str)) -> (u16, String, String) {
    let response = dispatch(&cluster.node, Request::new(method, path)).await;
    let location = response.headers.get("Location").map_or("", |value| value.to_str().unwrap()).to_owned();
    let status = response.status.as_u16();
    (status, location, String::from_utf8(response.body.collect().await.to_vec()).unwrap())
}

/// Upstream: `Http::redirect`, `Http::api` and `Http::scheduler` in `master/http.cpp`.
#[test]
fn what_a_master_answers_that_does_not_serve() {
    use http::Method;
    // What is asked, and where at the leader that is. The base of `/redirect` is all that it leads to.
    let table = [
        (Method::GET, "/state", "/master/state"),
        (Method::GET, "/master/state", "/master/state"),
        (Method::GET, "/tasks?framework_id=a%2Fb&limit=3", "/master/tasks?framework_id=a%2Fb&limit=3"),
        (Method::POST, "/api/v1", "/master/api/v1"),
        (Method::POST, "/api/v1/scheduler", "/master/api/v1/scheduler"),
        // Before anybody looks at the method.
        (Method::GET, "/api/v1/scheduler", "/master/api/v1/scheduler"),
        (Method::GET, "/redirect", ""),
        (Method::GET, "/master/redirect", ""),
    ];
    let is_redirect = |path: &str| path.ends_with("/redirect");
    testing::run(async {
        let standby = standby().await;
        for (method, path, _) in &table {
            let said = answer(&standby, (method.clone(), path)).await;
            assert_eq!(
                said,
                (503, String::new(), "No leader elected".into()),
                "nobody leads: {method} {path}"
            );
        }
        another_leads(&standby);
        for (method, path, at_leader) in &table {
            let said = answer(&standby, (method.clone(), path)).await;
            let expected = (307, format!("//leader:5055{at_leader}"), String::new());
            assert_eq!(said, expected, "another leads: {method} {path}");
        }
        // It would lead there again, and so on.
        assert_eq!(answer(&standby, (Method::GET, "/redirect/state")).await.0, 404);
        // Its own.
        for path in ["/flags", "/health"] {
            assert_eq!(answer(&standby, (Method::GET, path)).await.0, 200, "{path}");
        }
        standby.running.shutdown().await;

        let shelf = Shelf::default();
        shelf.hold();
        let leader = Cluster::begin_on(&shelf, patient()).await;
        while shelf.waiting() == 0 {
            testing::settle().await;
        }
        let early = "Master has not finished recovery".to_owned();
        for (method, path, _) in &table {
            let said = answer(&leader, (method.clone(), path)).await;
            if is_redirect(path) {
                let info = &leader.running.info;
                let own = format!("//{}:{}", info.hostname(), info.port);
                assert_eq!(said, (307, own, String::new()), "it leads itself");
            } else {
                assert_eq!(said, (503, String::new(), early.clone()), "not recovered: {method} {path}");
            }
        }
        shelf.release().await;
        assert_eq!(answer(&leader, (Method::GET, "/state")).await.0, 200);
    });
}

#[test]
fn a_master_that_does_not_lead_drops_messages_and_redirects_calls() {
    testing::run(async {
        let cluster = standby().await;
        let node = &cluster.node;
        let response = cluster.post(&super::JSON, "{}").await;
        assert_eq!(response.status, http::StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.body.collect().await, "No leader elected");
        let slave = v1::AgentInfo { hostname: "h".into(), ..Default::default() };
        let message = mesos::internal::RegisterSlaveMessage { slave, ..Default::default() };
        node.post(&libprocess::Pid::nobody(), &node.pid("master"), message);
        testing::settle().await;
        assert_eq!(node.metrics().value("master/dropped_messages"), Some(1.0));

        another_leads(&cluster);
        let response = cluster.post(&super::JSON, "{}").await;
        assert_eq!(response.status, http::StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(response.headers["Location"], "//leader:5055/master/api/v1/scheduler");

        let mut leader = cluster.running.info.clone();
        (leader.id, leader.hostname, leader.port) = ("third".into(), Some("fd00::1".into()), 5056);
        cluster.running.master.tell(LeaderChanged { leader: Some(leader), node: None });
        let response = cluster.post(&super::JSON, "{}").await;
        assert_eq!(response.headers["Location"], "//[fd00::1]:5056/master/api/v1/scheduler");
    });
}

/// Upstream: `MasterZooKeeperTest.LostZooKeeperCluster`; `Master::detected`, `Master::lostCandidacy`.
#[test]
fn a_master_that_lost_leadership_ends_and_says_why() {
    testing::run(async {
        type News = fn(&Cluster);
        let table: [(News, &str); 4] = [
            (another_leads, "master master@10.0.0.1:5055 leads"),
            (|cluster| cluster.running.master.tell(LeaderChanged::default()), "nobody leads"),
            (
                |cluster| cluster.running.master.tell(CandidacyEnded { failure: None }),
                "the candidacy was lost",
            ),
            (
                |cluster| {
                    cluster.running.master.tell(CandidacyEnded { failure: Some("no permission".into()) });
                },
                "no permission",
            ),
        ];
        for (news, reason) in table {
            let mut cluster = Cluster::start().await;
            news(&cluster);
            assert_eq!(cluster.end().await, EndReason::LostLeadership(reason.into()));
        }
        let mut cluster = Cluster::start().await;
        cluster.running.master.terminate();
        assert!(matches!(cluster.end().await, EndReason::Ended(_)), "it was told to");
    });
}

/// Upstream: `MasterZooKeeperTest.LostZooKeeperCluster`.
#[test]
fn a_leader_that_cannot_reach_the_group_for_the_time_of_its_session_ends_and_a_standby_leads() {
    testing::run(async {
        let (shelf, group) = (Shelf::default(), group());
        let start = async |seed, name| {
            let group = Arc::new(group.handle(name));
            let cluster = Cluster::of_group(seed, group, &shelf, Settings::default()).await;
            testing::settle().await;
            cluster
        };
        let (mut leader, mut standby) = (start(1, "leader").await, start(2, "standby").await);
        let agent = leader.agent("cpus:1").await;
        let leaders = group.handle("leader");
        leaders.own_sessions().into_iter().for_each(|session| leaders.cut(session));
        leaders.set_reachable(false);
        let began = leader.node.elapsed();
        let reason = leader.end().await;
        assert_eq!(leader.node.elapsed() - began, Duration::from_secs(10));
        assert!(matches!(reason, EndReason::LostLeadership(_)), "{reason}");
        // The service still has its node, and so nobody leads before the session is over there, too.
        assert_eq!(group.members().len(), 2);
        assert_eq!(standby.post(&super::JSON, "{}").await.status, http::StatusCode::TEMPORARY_REDIRECT);
        group.expire_if_cut(&group.sessions());
        testing::settle().await;
        let awaited = standby.get("/slaves").await["recovered_slaves"].clone();
        assert_eq!(awaited[0]["id"], agent.id());
        let early = tokio::time::timeout(Duration::from_secs(60), standby.running.wait()).await;
        assert!(early.is_err(), "the new leader goes on: {early:?}");
    });
}

/// Upstream: `Master::lostCandidacy`, of a follower.
#[test]
fn a_standby_whose_candidacy_is_lost_stands_again_and_leads_in_its_turn() {
    testing::run(async {
        let (shelf, group) = (Shelf::default(), group());
        let mut masters = Vec::new();
        for (seed, name) in [(1, "leader"), (2, "standby")] {
            let group = Arc::new(group.handle(name));
            masters.push(Cluster::of_group(seed, group, &shelf, Settings::default()).await);
            testing::settle().await;
        }
        let mut standby = masters.pop().unwrap();
        let leader = masters.pop().unwrap();
        let node = || group.members()[1].0.clone();
        let before = node();
        group.remove(&before.name);
        testing::settle().await;
        assert!(node().sequence > before.sequence);
        leader.running.shutdown().await;
        testing::settle().await;
        assert_eq!(standby.get("/slaves").await["slaves"], json!([]));
        let early = tokio::time::timeout(Duration::from_secs(60), standby.running.wait()).await;
        assert!(early.is_err(), "the new leader goes on: {early:?}");
    });
}

/// Upstream: `Master::contended`, of a failure.
#[test]
fn a_master_that_cannot_stand_for_election_at_all_ends() {
    struct Locked;
    impl Group for Locked {
        fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Session>, GroupError>> {
            async { Err(GroupError::Fatal("no permission".into())) }.boxed()
        }

        fn name(&self) -> String {
            "locked".into()
        }
    }
    testing::run(async {
        let mut cluster =
            Cluster::of_group(1, Arc::new(Locked), &Shelf::default(), Settings::default()).await;
        let reason = cluster.end().await;
        assert_eq!(reason, EndReason::CannotStand("no permission".into()));
    });
}

/// Its registry would refuse it (`integration/src/simulation/registry.rs`), and agents do not obey it
/// (`agent/src/tests/masters.rs`); but it does not even try.
#[test]
fn a_master_that_lost_leadership_does_nothing_more() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = super::agents::running_task(&cluster, &agent, info()).await;
        cluster.running.master.tell(LeaderChanged { leader: None, node: None });
        // All this is in its queue when it learns of it, or comes later.
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        agent.reregister(Vec::new(), Vec::new());
        let (status, _) = scheduler.call("TEARDOWN", json!(null)).await;
        assert_ne!(status, 202);
        let events = scheduler.pending().await;
        assert!(
            events.iter().all(|event| matches!(event.r#type(), Type::Offers | Type::Heartbeat)),
            "{events:?}"
        );
        // Its end is the end of its streams; that is no tear-down.
        while let Some(event) = scheduler.next().await {
            assert_eq!(event.r#type(), Type::Heartbeat);
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(agent.taken().await, []);
    });
}

#[test]
fn a_standby_leads_when_the_leaders_session_is_gone() {
    testing::run(async {
        let (shelf, group) = (Shelf::default(), Arc::new(group()));
        let mut masters = Vec::new();
        for seed in 1..=2 {
            masters.push(Cluster::of_group(seed, group.clone(), &shelf, Settings::default()).await);
            testing::settle().await;
        }
        let mut standby = masters.pop().unwrap();
        let leader = masters.pop().unwrap();
        assert_eq!(leader.get("/slaves").await["slaves"], json!([]));
        let response = standby.post(&super::JSON, "{}").await;
        assert_eq!(response.status, http::StatusCode::TEMPORARY_REDIRECT);
        leader.running.shutdown().await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(standby.get("/slaves").await["slaves"], json!([]));
        let early = tokio::time::timeout(Duration::from_secs(60), standby.running.wait()).await;
        assert!(early.is_err(), "the new leader goes on: {early:?}");
    });
}

/// One that is lowest, and says who this master is: but the session is lost, and its end would come unheard.
#[test]
fn a_master_does_not_lead_by_the_node_of_an_earlier_session() {
    testing::run(async {
        let group = Arc::new(group());
        let mut other = v1::MasterInfo { id: "another".into(), port: 5055, ..Default::default() };
        other.hostname = Some("leader".into());
        let other = group.add(election::MASTER_INFO_LABEL, &election::info::to_json(&other));
        let node = Node::builder().offline().delegate("master").start().await.unwrap();
        let storage = Box::new(crate::registrar::InMemory);
        let running = crate::start_in_group(&node, Settings::default(), group.clone(), storage).await;
        let mut master = Cluster { node, running };
        testing::settle().await;
        let nodes = || group.members().into_iter().map(|(member, _)| member.sequence).collect::<Vec<_>>();
        let ask = async || answer(&master, (http::Method::GET, "/slaves")).await;
        assert_eq!(ask().await.0, 307);

        // The Contender has the second session. It is lost, and the service does not know yet.
        assert_eq!((group.sessions(), nodes()), (vec![1, 2], vec![0, 1]));
        group.cut(2);
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!((group.sessions(), nodes()), (vec![1, 2, 3], vec![0, 1, 2]), "it stands again");
        group.remove(&other.name);
        testing::settle().await;
        assert_eq!(ask().await, (503, String::new(), "No leader elected".into()));

        group.expire(2);
        testing::settle().await;
        assert_eq!((nodes(), ask().await.0), (vec![2], 200));
        let early = tokio::time::timeout(Duration::from_secs(60), master.running.wait()).await;
        assert!(early.is_err(), "the new leader goes on: {early:?}");
    });
}

#[test]
fn a_master_leads_as_soon_as_both_contender_and_detector_have_said_so() {
    testing::run(async {
        let cluster = standby().await;
        let [earlier, own] = ["json.info_0000000001", "json.info_0000000002"]
            .map(|name| election::group::Membership::parse(name).unwrap());
        let detected = |node: &election::group::Membership| {
            let leader = Some(cluster.running.info.clone());
            cluster.running.master.tell(election::LeaderChanged { leader, node: Some(node.clone()) });
        };
        let ask = async || {
            testing::settle().await;
            let (status, _, text) = answer(&cluster, (http::Method::GET, "/slaves")).await;
            (status, text)
        };
        assert_eq!(ask().await.0, 503, "the detector has said that there is no leader");
        detected(&own);
        assert_eq!(ask().await, (503, "No leader elected".into()), "it does not know of a candidacy");
        let session_timeout = Duration::from_secs(10);
        cluster.running.master.tell(election::CandidacyObtained { node: own.clone(), session_timeout });
        let (status, text) = ask().await;
        assert_eq!(status, 200, "{text}");
        // Whose end is another one's beginning.
        detected(&earlier);
        let Cluster { mut running, .. } = cluster;
        let reason = running.wait().await;
        assert!(matches!(reason, EndReason::LostLeadership(_)), "{reason}");
    });
}

/// What waited while the process was stopped is not answered from books that are old: another may lead.
#[test]
fn a_leader_that_has_stood_still_answers_nobody() {
    testing::run(async {
        let mut leader = Cluster::begin_on(&Shelf::default(), Settings::default()).await;
        testing::settle().await;
        let register = || {
            let slave = v1::AgentInfo { hostname: "h".into(), ..Default::default() };
            let message = mesos::internal::RegisterSlaveMessage { slave, ..Default::default() };
            leader.node.post(&libprocess::Pid::nobody(), &leader.node.pid("master"), message);
        };
        let metric = |name: &str| leader.node.metrics().value(name);
        register();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(metric("master/messages_register_slave"), Some(1.0));
        register();
        tokio::time::advance(Duration::from_secs(30)).await;
        testing::settle().await;
        assert_eq!(metric("master/messages_register_slave"), Some(1.0));
        assert_eq!(metric("master/dropped_messages"), Some(1.0));
        let reason = leader.running.wait().await;
        assert!(matches!(reason, EndReason::LostLeadership(_)), "{reason}");
    });
}

/// ZooKeeper may agree to sessions that are longer or shorter than `--zk_session_timeout` (ten seconds here).
#[test]
fn how_long_a_leader_may_stand_still_is_what_the_service_has_agreed_to() {
    testing::run(async {
        for (agreed, stop, ends) in [(60, 30, false), (4, 8, true)] {
            let group = Arc::new(SimulatedGroup::new(Duration::from_secs(agreed)));
            let mut leader = Cluster::of_group(1, group, &Shelf::default(), Settings::default()).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(leader.get("/slaves").await["slaves"], json!([]));
            tokio::time::advance(Duration::from_secs(stop)).await;
            let end = tokio::time::timeout(Duration::from_secs(60), leader.running.wait()).await;
            assert_eq!(end.is_ok(), ends, "a session of {agreed} s, stopped for {stop} s: {end:?}");
        }
    });
}
