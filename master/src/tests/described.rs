//! What the older endpoints answer is what `/openapi.json` says of it. That nothing else is answered, every test sees
//! to that reads one of them ([`Cluster::get`]); here is a cluster in which all that is described can be seen.

use std::collections::BTreeSet;

use allocator::core::explain::{
    AgentExplanation, AgentView, Explanation, Figures, Group, Holder, Limit, Line, Maintenance, MinimumOf,
    Missing, Obstacle, Reason, Rival, RoleExplanation, Violated,
};
use libprocess::files::{Attach, Files};
use libprocess::{Node, testing};
use mesos::settings::ProtoJson;
use mesos::v1::{self, TaskState};
use mesos::{AgentId, FrameworkId};
use serde_json::{Value, json};

use super::agents::reported;
use super::shelf::{Shelf, patient};
use super::{Agent, Cluster, info, permits_all};
use crate::Settings;
use crate::openapi::check::{self, Found};

fn read<M: mesos::Message>(json: &Value) -> M {
    mesos::json::from_slice(json.to_string().as_bytes()).unwrap()
}

fn domain() -> Value {
    json!({ "fault_domain": { "region": { "name": "r" }, "zone": { "name": "z" } } })
}

fn labels() -> Value {
    json!({ "labels": [{ "key": "k", "value": "v" }] })
}

/// A task that has all that a task can have.
fn full_task(agent: &Agent, framework: &str) -> v1::Task {
    let status = json!({
        "task_id": { "value": "t" }, "state": "TASK_RUNNING", "timestamp": 1.0, "healthy": true, "labels": labels(),
        "container_status": {
            "container_id": { "value": "c" }, "cgroup_info": { "net_cls": { "classid": 1 } },
            "network_infos": [{
                "name": "n", "groups": ["g"], "labels": labels(),
                "ip_addresses": [{ "protocol": "IPv4", "ip_address": "10.0.0.1" }],
                "port_mappings": [{ "host_port": 1, "container_port": 2, "protocol": "tcp" }]
            }]
        }
    });
    let command = json!({ "value": "true" });
    let extra = json!({
        "name": "t", "task_id": { "value": "t" }, "agent_id": { "value": agent.id() }, "state": "TASK_RUNNING",
        "framework_id": { "value": framework }, "executor_id": { "value": "e" }, "user": "u", "labels": labels(),
        "discovery": { "visibility": "CLUSTER", "name": "d" }, "container": { "type": "MESOS" },
        "health_check": { "type": "COMMAND", "command": command },
        "limits": { "cpus": { "value": 2.0 }, "mem": { "value": "Infinity" } }, "statuses": [status]
    });
    v1::Task { resources: reported(agent, framework, TaskState::TaskRunning).resources, ..read(&extra) }
}

/// An executor that has all that an executor can have.
fn full_executor(framework: &str) -> v1::ExecutorInfo {
    let resources = mesos::Resources::parse("cpus:0.5", "*").unwrap().allocated_to("*").to_protos();
    let command = json!({
        "value": "run", "shell": true, "arguments": ["a"], "uris": [{ "value": "u", "executable": true }],
        "environment": { "variables": [{ "name": "N", "value": "v" }] }
    });
    let extra = json!({
        "executor_id": { "value": "e" }, "framework_id": { "value": framework }, "name": "e", "command": command,
        "type": "CUSTOM", "labels": labels()
    });
    v1::ExecutorInfo { resources, ..read(&extra) }
}

/// A cluster after a failover: one agent has come back with a task, one has not, and one is drained.
async fn look_at_a_cluster(found: &mut Found) {
    let shelf = Shelf::default();
    let settings = Settings {
        domain: Some(ProtoJson(read(&domain()))),
        cluster: Some("c".into()),
        log_dir: Some("/var/log".into()),
        ..patient()
    };
    let cluster = Cluster::on(&shelf, settings.clone()).await;
    let mut agents = Vec::new();
    for _ in 0..2 {
        let mut agent = cluster.stranger("cpus:4;mem:1024;ports:[1-9];cpus(r):1");
        agent.info.domain = Some(read(&domain()));
        agent.info.attributes = mesos::Attributes::parse("rack:1;kind:ssd").unwrap().to_protos();
        agent.register("1.11.0", super::capabilities()).await;
        agents.push(agent);
    }
    let mut of_framework = info();
    of_framework["labels"] = labels();
    of_framework["principal"] = json!("p");
    let id = cluster.subscribe(of_framework.clone()).await.id;
    of_framework["id"] = json!({ "value": id });

    let cluster = cluster.fail_over(&shelf, settings).await;
    agents[0].reregister_with(
        vec![full_task(&agents[0], &id)],
        vec![read(&of_framework)],
        vec![full_executor(&id)],
    );
    testing::settle().await;
    drop(cluster.subscribe(of_framework.clone()).await);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut scheduler = cluster.subscribe(of_framework).await;
    let offer = scheduler.offer().await;
    let spare = cluster.agent("cpus:1;mem:32").await;
    let drain = json!({ "type": "DRAIN_AGENT", "drain_agent": { "agent_id": { "value": spare.id() } } });
    assert_eq!(cluster.api(drain).await.0, 200);
    // A driver has a pid, and this one's framework a single role.
    let driver = cluster.driver(json!({ "user": "u", "name": "driver" })).await;
    for path in ["/state", "/state-summary", "/slaves", "/frameworks", "/tasks", "/roles", "/flags"] {
        found.look_at(path, &cluster.get(path).await);
    }
    found.look_at(
        "/allocator/offer_constraints_debug",
        &cluster.get("/allocator/offer_constraints_debug").await,
    );
    let explain = format!("/allocator/explain?framework={}", driver.id);
    found.look_at(&explain, &cluster.get(&explain).await);
    assert_eq!(offer.hostname, "host");
}

/// An explanation with every reason that there can be.
fn explanation() -> Explanation {
    let figures = || Figures::from([("cpus".to_owned(), 1.0)]);
    let framework_id = || FrameworkId::from("f");
    let role = || "r".to_owned();
    let holder = || Holder {
        framework_id: framework_id(),
        role: role(),
        agents: 1,
        held: figures(),
        offered: figures(),
    };
    let rival = || Rival { framework_id: framework_id(), role: role(), share: 0.5, role_share: 0.5 };
    let view = || AgentView {
        agent_id: AgentId::from("a"),
        hostname: "h".into(),
        free: "cpus:1".into(),
        maintenance: Some(Maintenance { start_seconds: 1.0, duration_seconds: Some(1.0) }),
    };
    let reasons = [
        Reason::AgentInactive,
        Reason::NotWhitelisted,
        Reason::NothingFree { held: figures(), offered: figures(), holders: vec![holder()], more_holders: 1 },
        Reason::ReservedForOthers { reserved: [(role(), figures())].into() },
        Reason::BelowMinimum { minimums: vec![figures()], set_by: MinimumOf::Cluster },
        Reason::BelowMinimum { minimums: vec![figures()], set_by: MinimumOf::Framework },
        Reason::FrameworkLacks { capabilities: [role()].into(), regions: [role()].into() },
        Reason::AgentLacks { capability: "c".into() },
        Reason::ExcludedByConstraints {
            violations: vec![Violated { subject: "s".into(), rule: "r".into(), found: Some("f".into()) }],
        },
        Reason::LimitReached { role: role(), limits: [(role(), Limit { consumed: 1.0, limit: 2.0 })].into() },
        Reason::Headroom {
            available: figures(),
            required: figures(),
            held_for: vec![Missing { role: role(), missing: figures() }],
            more_roles: 1,
        },
        Reason::Filtered { seconds_left: 1.0, last_seconds_left: 2.0 },
        Reason::ExecutorLimit,
        Reason::NothingElse,
        Reason::InLine { ahead: vec![rival()], more: true },
        Reason::WouldBeOffered { resources: "cpus:1".into() },
    ];
    let obstacles = vec![
        Obstacle::NotReturned,
        Obstacle::Disconnected,
        Obstacle::NotSubscribed { subscribed: vec![role()] },
        Obstacle::Suppressed,
        Obstacle::Held { seconds_left: 1.0, agents_awaited: 1 },
        Obstacle::Paused,
        Obstacle::NoAgents,
    ];
    let group = |reason: &Reason| Group {
        reason: reason.clone(),
        agents: 1,
        free: figures(),
        example: view(),
        advice: reason.advice().into(),
    };
    let line = Line {
        position: None,
        by_lot: true,
        length: 1,
        share: 0.5,
        role_share: 0.5,
        role_weight: 1.0,
        ahead: vec![rival()],
    };
    let of_role = RoleExplanation {
        role: role(),
        obstacles,
        holds: holder(),
        line,
        agents_in_all: 1,
        reasons: reasons.iter().map(group).collect(),
        agents: reasons.into_iter().map(|reason| AgentExplanation { agent: view(), reason }).collect(),
    };
    Explanation {
        framework_id: framework_id(),
        roles: vec![of_role],
        more_roles: 0,
        names: [(framework_id(), "name".to_owned())].into(),
        absent_agents: Default::default(),
    }
}

/// What libprocess serves on a node with a socket.
async fn look_at_a_node(found: &mut Found) {
    let address = "127.0.0.1:0".parse().unwrap();
    let build = mesos::version::BuildInfo { git_sha: Some("0"), ..mesos::version::build() };
    let node =
        Node::builder().bind(address).delegate("master").version(build.to_json()).start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("mesos-master.log"), "hello\n").unwrap();
    let settings = Settings { log_dir: Some(directory.path().display().to_string()), ..Settings::default() };
    let cluster = Cluster::of(node, settings, std::sync::Arc::new(permits_all)).await;
    for path in [
        "/version",
        "/metrics/snapshot",
        "/system/stats.json",
        "/__processes__",
        "/help?format=json",
        "/files/debug",
        "/files/read?path=/master/log&offset=0",
    ] {
        assert!(found.look_at(path, &cluster.get(path).await), "{path}");
    }
    // The master shows no directory; an agent does.
    let files = cluster.node.spawn_as("others", Files::new());
    let all = Attach { virtual_path: "/all".into(), path: directory.path().to_owned() };
    files.ask(all).await.unwrap().unwrap();
    found.look_at("/files/browse", &cluster.get("/others/browse?path=/all").await);
}

/// A key that is not written any more is no longer described, either.
#[test]
fn all_that_is_described_is_there() {
    testing::run(async {
        let mut found = Found::default();
        look_at_a_cluster(&mut found).await;
        look_at_a_node(&mut found).await;
        assert!(found.look_at("/allocator/explain", &serde_json::to_value(explanation()).unwrap()));
        assert_eq!(found.wrong, Vec::<String>::new());
        // What only others have in them; what waits in no queue here; and a build that was told of its commit.
        let others = ["TaskCounts.", "FrameworkOutline.", "Reason.", "QueuedEvent.", "State.git_sha"];
        let is_other = |name: &String| others.iter().any(|other| name.starts_with(other));
        let described = check::properties().filter(|name| !is_other(name));
        let never: BTreeSet<String> = described.filter(|name| !found.seen.contains(name)).collect();
        assert_eq!(never, BTreeSet::new());
    });
}

/// Upstream's answers are as ours are described: what genuine Mesos answered was recorded (`integration/recorded`).
#[test]
fn what_upstream_answers_is_described_too() {
    let mut found = Found::default();
    let mut looked_at = 0;
    for file in ["endpoints", "auth", "mutating", "scheduler"] {
        let path = format!("{}/../integration/recorded/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let recorded = std::fs::read_to_string(path).unwrap();
        for step in recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let is_read = step["node"] == "master" && step["method"] == "GET";
            let is_ok = step["status"].as_str().is_some_and(|status| status.contains(" 200 "));
            let Some(Ok(answer)) = step["response"].as_str().map(serde_json::from_str::<Value>) else {
                continue;
            };
            if is_read && is_ok {
                looked_at += usize::from(found.look_at(step["path"].as_str().unwrap(), &answer));
            }
        }
    }
    assert!(looked_at > 100, "{looked_at}");
    // Version 1 has no such field; upstream's JSON lets it through from version 0 (`differences.tsv`).
    found.wrong.retain(|wrong| !wrong.ends_with("/info/checkpoint: mesos.v1.AgentInfo has no such property"));
    assert_eq!(found.wrong, Vec::<String>::new());
}
