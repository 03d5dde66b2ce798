//! What `/state` and its like show of what frameworks and agents say of themselves and of their tasks (upstream:
//! `master_tests.cpp`).

use libprocess::testing;
use mesos::internal::{RegisterSlaveMessage, StatusUpdate, StatusUpdateMessage};
use mesos::settings::ProtoJson;
use mesos::v1::scheduler::event::Type;
use mesos::v1::{self, TaskState};
use serde_json::{Value, json};

use super::agents::{framework_info, reported, running_task};
use super::{Agent, Cluster, Got, capabilities, executor_task, info, scalar, task};
use crate::Settings;

fn proto<M: mesos::Message>(json: &Value) -> M {
    mesos::json::from_slice(json.to_string().as_bytes()).unwrap()
}

/// Three labels, two of which have the same key.
fn labels() -> Value {
    json!([
        { "key": "key1", "value": "value1" }, { "key": "key2", "value": "value2" },
        { "key": "key1", "value": "value3" }
    ])
}

async fn the_framework(cluster: &Cluster) -> Value {
    cluster.get("/state").await["frameworks"][0].clone()
}

/// Upstream: `MasterTest.StateEndpointFrameworkInfo`, `StateEndpointAllocationRole`, `ExecutorLabels`,
/// `TaskLabels`, `TaskDiscoveryInfo`, `FrameworkInfoLabels`.
#[test]
fn what_a_framework_says_of_itself_its_tasks_and_its_executors_is_shown() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut described = info();
        described["roles"] = json!(["foo"]);
        described["webui_url"] = json!("http://localhost:8080/");
        described["labels"] = json!({ "labels": labels() });
        let kinds = [
            "REVOCABLE_RESOURCES",
            "TASK_KILLING_STATE",
            "GPU_RESOURCES",
            "PARTITION_AWARE",
            "MULTI_ROLE",
            "RESERVATION_REFINEMENT",
        ];
        described["capabilities"] = kinds.iter().map(|kind| json!({ "type": kind })).collect();
        let mut scheduler = cluster.subscribe(described).await;
        let offer = scheduler.offer().await;
        let shown = the_framework(&cluster).await;
        assert_eq!(shown["offers"][0]["allocation_info"], json!({ "role": "foo" }));
        assert_eq!(shown["webui_url"], "http://localhost:8080/");
        assert_eq!(shown["labels"], labels());
        assert_eq!(shown["capabilities"], json!(kinds));

        let mut one = executor_task("t", &agent, "e", 1.0);
        one["labels"] = json!({ "labels": labels() });
        one["executor"]["labels"] = json!({ "labels": labels() });
        let discovery = json!({
            "visibility": "CLUSTER", "name": "mytask", "environment": "mytest", "location": "mylocation",
            "version": "v0.1.1", "labels": { "labels": labels() },
            "ports": { "ports": [
                { "number": 8888, "name": "myport1", "protocol": "tcp" },
                { "number": 9999, "name": "myport2", "protocol": "udp", "visibility": "CLUSTER" }
            ] }
        });
        one["discovery"] = discovery.clone();
        scheduler.launch(&[&offer], json!([one])).await;
        let shown = the_framework(&cluster).await;
        let (task, executor) = (&shown["tasks"][0], &shown["executors"][0]);
        assert_eq!((&task["labels"], &executor["labels"]), (&labels(), &labels()));
        assert_eq!((&task["role"], &executor["role"]), (&json!("foo"), &json!("foo")));
        assert_eq!(task["discovery"], discovery);
    });
}

/// Upstream: `MasterTest.TaskStatusLabels`, `TaskStatusContainerStatus`.
#[test]
fn what_an_executor_says_of_a_task_is_passed_on_and_shown() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
        let container = json!({ "network_infos": [{ "ip_addresses": [{ "ip_address": "10.0.0.1" }] }] });
        let status: v1::TaskStatus = proto(&json!({
            "task_id": { "value": "t" }, "state": "TASK_RUNNING", "uuid": "9q4vbTeEQ0yQmUs1Yt6GzA==",
            "labels": { "labels": labels() }, "container_status": container
        }));
        let update = StatusUpdate {
            framework_id: v1::FrameworkId { value: scheduler.id.clone() },
            slave_id: agent.info.id.clone(),
            uuid: status.uuid.clone(),
            latest_state: Some(TaskState::TaskRunning.into()),
            status,
            ..Default::default()
        };
        agent.post(StatusUpdateMessage { update, pid: Some(agent.actor.pid().to_string()) });
        let status = mesos::json::to_value(&scheduler.status().await);
        let shown = the_framework(&cluster).await["tasks"][0]["statuses"][0].clone();
        assert_eq!((&status["labels"]["labels"], &shown["labels"]), (&labels(), &labels()));
        let address = |status: &Value| {
            status["container_status"]["network_infos"][0]["ip_addresses"][0]["ip_address"].clone()
        };
        assert_eq!((address(&status), address(&shown)), (json!("10.0.0.1"), json!("10.0.0.1")));
    });
}

/// Upstream: `MasterTest.StateEndpoint`, `StateSummaryEndpoint`, `StateEndpointAgentCapabilities`.
#[test]
fn a_master_says_who_it_is_and_what_became_of_how_many_tasks() {
    testing::run(async {
        let settings = Settings {
            hostname: Some("localhost".into()),
            cluster: Some("test-cluster".into()),
            ..Settings::default()
        };
        let cluster = Cluster::with(settings).await;
        let state = cluster.get("/state").await;
        let master = &cluster.running.info;
        assert_eq!(state["version"], mesos::version());
        assert_eq!((&state["id"], &state["pid"]), (&json!(master.id), &json!(master.pid)));
        assert_eq!((&state["hostname"], &state["cluster"]), (&json!("localhost"), &json!("test-cluster")));
        assert_eq!(state["leader_info"]["hostname"], "localhost");
        assert_eq!(state["leader_info"]["port"], master.port);
        assert_eq!(state["flags"]["cluster"], "test-cluster");
        assert!(state["start_time"].as_f64().unwrap() > 0.0);
        assert_eq!(state["capabilities"], json!(["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"]));
        for empty in
            ["slaves", "orphan_tasks", "frameworks", "completed_frameworks", "unregistered_frameworks"]
        {
            assert_eq!(state[empty], json!([]), "{empty}");
        }

        let agent = cluster.agent("cpus:4;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, info()).await;
        agent.update(&scheduler.id, "t", TaskState::TaskKilled);
        testing::settle().await;
        let summary = cluster.get("/state-summary").await;
        assert_eq!(
            (&summary["hostname"], &summary["cluster"]),
            (&json!("localhost"), &json!("test-cluster"))
        );
        for owner in ["slaves", "frameworks"] {
            let counted = |state: &str| summary[owner][0][state].clone();
            assert_eq!((counted("TASK_RUNNING"), counted("TASK_KILLED")), (json!(0), json!(1)), "{owner}");
        }
        let known = cluster.get("/state").await["slaves"][0]["capabilities"].clone();
        let names: Vec<&str> =
            capabilities().iter().map(|capability| capability.r#type().as_str_name()).collect();
        assert_eq!(known, json!(names));
    });
}

/// Upstream: `MasterTest.TasksEndpoint`.
#[test]
fn tasks_are_listed_with_their_limits_and_found_by_their_frameworks_and_ids() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let mut limited = task("1", &agent, 0.1, 12.0);
        limited["limits"] = json!({ "cpus": { "value": 0.5 }, "mem": { "value": 64.0 } });
        scheduler.launch(&[&offer], json!([limited, task("2", &agent, 0.1, 12.0)])).await;
        let found = async |query: &str| {
            let tasks = cluster.get(&format!("/tasks?order=asc&{query}")).await["tasks"].clone();
            tasks.as_array().unwrap().clone()
        };
        let all = found("").await;
        assert_eq!(all.len(), 2);
        assert_eq!(all[0]["limits"], json!({ "cpus": 0.5, "mem": 64.0 }));
        assert_eq!((&all[0]["name"], &all[0]["framework_id"]), (&json!("1"), &json!(scheduler.id)));
        assert_eq!(all[1].get("limits"), None);
        let id = &scheduler.id;
        assert_eq!(found("limit=1").await, all[..1]);
        assert_eq!(found("limit=-1").await, all, "without a limit");
        assert_eq!(found("offset=1").await, all[1..]);
        assert_eq!(found("offset=-1").await, all[2..], "behind them all");
        assert_eq!(found(&format!("framework_id={id}")).await, all);
        assert_eq!(found(&format!("framework_id={id}&task_id=2")).await, all[1..]);
        assert_eq!(found("task_id=1").await, all[..1]);
        assert!(found("framework_id=other").await.is_empty());
    });
}

/// Upstream: `MasterTest.FrameworksEndpointWithoutFrameworks`, `FrameworksEndpointMultipleFrameworks`,
/// `MaxCompletedFrameworksFlag`.
#[test]
fn frameworks_are_listed_and_found_by_their_ids_and_the_completed_ones_as_many_as_are_remembered() {
    testing::run(async {
        for remembered in [0, 1, 2] {
            let settings = Settings { max_completed_frameworks: remembered, ..Settings::default() };
            let cluster = Cluster::with(settings).await;
            let listed = async |query: &str| {
                let frameworks = cluster.get(&format!("/frameworks{query}")).await;
                let ids = |list: &str| {
                    let list = frameworks[list].as_array().unwrap().iter();
                    list.map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
                };
                (ids("frameworks"), ids("completed_frameworks"))
            };
            assert_eq!(listed("").await, (vec![], vec![]));
            let first = cluster.subscribe(info()).await;
            let second = cluster.subscribe(info()).await;
            let (a, b) = (first.id.clone(), second.id.clone());
            assert_eq!(listed("").await, (vec![a.clone(), b.clone()], vec![]));
            assert_eq!(listed(&format!("?framework_id={b}")).await, (vec![b.clone()], vec![]));
            for scheduler in [&first, &second] {
                assert_eq!(scheduler.call("TEARDOWN", json!(null)).await.0, 202);
            }
            let ended = [&a, &b].into_iter().skip(2 - remembered).cloned().collect::<Vec<_>>();
            assert_eq!(listed("").await, (vec![], ended.clone()), "{remembered}");
            let last = ended.iter().filter(|id| **id == b).cloned().collect::<Vec<_>>();
            assert_eq!(listed(&format!("?framework_id={b}")).await, (vec![], last));
            let tasks = cluster.get("/tasks").await;
            assert_eq!(tasks["tasks"], json!([]));
            // Its metrics are there for as long.
            for id in [&a, &b] {
                let value = ended.contains(id).then_some(0.0);
                for name in ["subscribed", "roles/*/suppressed"] {
                    let metric = format!("master/frameworks/test/{id}/{name}");
                    assert_eq!(cluster.node.metrics().value(&metric), value, "{remembered}: {metric}");
                }
            }
        }
    });
}

/// Upstream: `MasterTest.MaxCompletedTasksPerFrameworkFlag`.
#[test]
fn completed_tasks_are_remembered_as_many_as_is_said() {
    testing::run(async {
        for remembered in [0, 1, 2] {
            let settings = Settings { max_completed_tasks_per_framework: remembered, ..Settings::default() };
            let cluster = Cluster::with(settings).await;
            let agent = cluster.agent("cpus:4;mem:1024").await;
            let mut scheduler = cluster.subscribe(info()).await;
            for id in ["1", "2"] {
                let offer = scheduler.offer().await;
                scheduler.launch(&[&offer], json!([task(id, &agent, 1.0, 32.0)])).await;
                agent.update(&scheduler.id, id, TaskState::TaskFinished);
                let finished = scheduler.status().await;
                scheduler.acknowledge(&finished).await;
            }
            let shown = the_framework(&cluster).await["completed_tasks"].clone();
            let ids: Vec<&str> =
                shown.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
            assert_eq!(ids, ["1", "2"][2 - remembered..], "{remembered}");
        }
    });
}

fn domain(region: &str, zone: &str) -> Value {
    json!({ "fault_domain": { "region": { "name": region }, "zone": { "name": zone } } })
}

/// A registered agent in this domain.
async fn agent_in(cluster: &Cluster, domain: Option<&Value>) -> Agent {
    let mut agent = cluster.stranger("cpus:4;mem:1024");
    agent.info.domain = domain.map(proto);
    agent.post(RegisterSlaveMessage {
        slave: agent.info.clone(),
        version: Some("1.11.0".into()),
        agent_capabilities: capabilities(),
        ..Default::default()
    });
    let got = agent.taken().await;
    let [Got::Registered(registered)] = got.as_slice() else { panic!("{got:?}") };
    agent.info.id = Some(registered.slave_id.clone());
    agent
}

/// Upstream: `MasterTest.DomainEndpoints`, `AgentDomainSameRegion`, `AgentDomainDifferentRegion`,
/// `AgentDomainUnset`.
#[test]
fn domains_are_shown_and_agents_elsewhere_are_offered_to_those_who_know_regions() {
    testing::run(async {
        let here = domain("here", "left");
        for (of_agent, is_remote) in
            [(Some(domain("here", "right")), false), (Some(domain("there", "left")), true), (None, false)]
        {
            let settings = Settings { domain: Some(ProtoJson(proto(&here))), ..Settings::default() };
            let cluster = Cluster::with(settings).await;
            let agent = agent_in(&cluster, of_agent.as_ref()).await;
            let state = cluster.get("/state").await;
            assert_eq!((&state["domain"], &state["leader_info"]["domain"]), (&here, &here));
            for path in ["/state", "/state-summary", "/slaves"] {
                let shown = cluster.get(path).await["slaves"][0].get("domain").cloned();
                assert_eq!(shown, of_agent, "{path}");
            }

            let mut plain = cluster.subscribe(info()).await;
            assert_eq!(cluster.running.info.domain.as_ref().map(mesos::json::to_value), Some(here.clone()));
            if is_remote {
                tokio::time::sleep(std::time::Duration::from_secs(5)).await;
                let events = plain.pending().await;
                assert!(events.iter().all(|event| event.r#type() == Type::Heartbeat), "{events:?}");
            }
            let mut aware = info();
            aware["capabilities"].as_array_mut().unwrap().push(json!({ "type": "REGION_AWARE" }));
            let mut scheduler = if is_remote { cluster.subscribe(aware).await } else { plain };
            let offer = scheduler.offer().await;
            assert_eq!(offer.domain.as_ref().map(mesos::json::to_value), of_agent);
            scheduler.launch(&[&offer], json!([task("t", &agent, 1.0, 32.0)])).await;
            assert_eq!(agent.launched().await.len(), 1);
        }
    });
}

/// A role that a framework gave up while its tasks ran there. Upstream:
/// `MasterTest.MultiRoleSchedulerUnsubscribeFromRole`.
#[test]
fn a_framework_is_shown_in_a_role_as_long_as_it_has_tasks_in_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:2048").await;
        let mut described = info();
        described["roles"] = json!(["foo"]);
        let scheduler = running_task(&cluster, &agent, described.clone()).await;
        let id = scheduler.id.clone();
        let suppressed =
            || cluster.node.metrics().value(&format!("master/frameworks/test/{id}/roles/foo/suppressed"));
        assert_eq!(suppressed(), Some(0.0));
        described["roles"] = json!([]);
        described["id"] = json!({ "value": id });
        let mut scheduler = cluster.subscribe(described.clone()).await;
        assert_eq!(suppressed(), None);
        let roles = async || {
            let roles = cluster.get("/roles").await["roles"].clone();
            let called = cluster
                .read("GET_ROLES", mesos::MediaType::Protobuf)
                .await
                .get_roles
                .unwrap_or_default()
                .roles;
            assert_eq!(called.len(), roles.as_array().unwrap().len());
            roles
        };
        let shown = roles().await;
        assert_eq!((&shown[0]["name"], &shown[0]["frameworks"]), (&json!("foo"), &json!([id])));

        *agent.healthy.lock() = false;
        assert_eq!(scheduler.status().await.state(), TaskState::TaskUnreachable);
        scheduler.pending().await;
        assert_eq!(roles().await, json!([]));

        *agent.healthy.lock() = true;
        let mut resources = vec![scalar("cpus", 1.0), scalar("mem", 32.0)];
        for resource in &mut resources {
            resource["allocation_info"] = json!({ "role": "foo" });
        }
        let task: v1::Task = proto(&json!({
            "name": "t", "task_id": { "value": "t" }, "framework_id": { "value": id },
            "agent_id": { "value": agent.id() }, "state": "TASK_RUNNING", "resources": resources
        }));
        agent.reregister(vec![task], vec![proto(&described)]);
        assert_eq!(scheduler.status().await.state(), TaskState::TaskRunning);
        let shown = roles().await;
        assert_eq!((&shown[0]["name"], &shown[0]["frameworks"]), (&json!("foo"), &json!([id])));
        // It is offered nothing for a role that it does not have.
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        let events = scheduler.pending().await;
        assert!(events.iter().all(|event| event.r#type() != Type::Offers), "{events:?}");
    });
}

/// Upstream: `MasterTest.TaskStateMetrics`.
#[test]
fn tasks_are_counted_by_their_states_also_when_their_agent_comes_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("over", &agent, 1.0, 32.0)])).await;
        agent.update(&scheduler.id, "over", TaskState::TaskFinished);
        scheduler.status().await;
        let counted = || {
            let of_framework =
                |name: &str| cluster.metric(&format!("master/frameworks/test/{}/tasks/{name}", scheduler.id));
            [
                cluster.metric("master/tasks_running"),
                cluster.metric("master/tasks_finished"),
                of_framework("active/task_running"),
                of_framework("terminal/task_finished"),
            ]
        };
        assert_eq!(counted(), [1.0; 4]);
        // Its end is not acknowledged, and so the agent brings it along.
        agent.die().await;
        agent.revive();
        let over = v1::Task {
            task_id: v1::TaskId { value: "over".into() },
            ..reported(&agent, &scheduler.id, TaskState::TaskFinished)
        };
        let running = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        agent.reregister(vec![running, over], vec![framework_info(&scheduler.id)]);
        agent.taken().await;
        assert_eq!(counted(), [1.0; 4]);
    });
}

/// Upstream: `MasterTest.MasterInfo`, `HostnameTest.LookupEnabled`, `LookupDisabled`,
/// `MasterZooKeeperTest.MasterInfoAddress`.
#[test]
fn a_master_says_where_it_is_by_the_name_that_it_was_given_or_found_or_by_its_address() {
    testing::run(async {
        let here = domain("here", "left");
        for (hostname, hostname_lookup, expected) in
            [(Some("given"), true, "given"), (None, true, "localhost"), (None, false, "127.0.0.1")]
        {
            let settings = Settings {
                hostname: hostname.map(str::to_owned),
                hostname_lookup,
                domain: Some(ProtoJson(proto(&here))),
                ..Settings::default()
            };
            let cluster = Cluster::with(settings).await;
            let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info() } });
            let subscribed = cluster.open(call).await.next().await.unwrap().subscribed.unwrap();
            let told = subscribed.master_info.unwrap();
            let address = cluster.node.address();
            assert_eq!(told.hostname(), expected);
            assert_eq!(told.port, u32::from(address.port()));
            assert_eq!(told.ip.to_le_bytes(), [127, 0, 0, 1]);
            assert_eq!(told.domain.as_ref().map(mesos::json::to_value), Some(here.clone()));
            let shown = told.address.unwrap();
            assert_eq!(
                (shown.ip(), shown.port, shown.hostname()),
                ("127.0.0.1", i32::from(address.port()), expected)
            );
        }
    });
}
