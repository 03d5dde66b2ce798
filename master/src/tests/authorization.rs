//! What an authorizer does not permit happens in no part, and is answered. (Upstream's tests of it are of ACLs, which are
//! not there yet.)

use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::Reason;
use mesos::v1::{OperationState, TaskState};
use serde_json::{Value, json};

use super::*;
use crate::authorization::Action;

/// What somebody of this name may not do at the moment: actions, with or without their objects, or one task.
#[derive(Clone, Default)]
pub(super) struct Denied(Arc<Mutex<Vec<&'static str>>>);

impl Denied {
    pub(super) fn only(&self, what: &'static str) {
        *self.0.lock() = vec![what];
    }

    pub(super) fn nothing(&self) {
        self.0.lock().clear();
    }

    /// The rules. They are for `p` and for `ops`; all others may do everything.
    pub(super) fn rules(&self) -> impl Authorizer + use<> {
        let denied = self.0.clone();
        move |principal: Option<&str>, action: &Action<'_>| {
            let denied = denied.lock();
            let task = if let Action::RunTask(task, _) = action { &task.task_id.value } else { "" };
            !matches!(principal, Some("p" | "ops"))
                || !denied.iter().any(|denied| [action.name(), task, &action.to_string()].contains(denied))
        }
    }

    /// A master with these rules.
    pub(super) async fn master(&self) -> Cluster {
        Cluster::with_authorizer(Settings::default(), self.rules()).await
    }
}

/// A framework of `p`.
fn described() -> Value {
    let mut info = reserving_info();
    info["principal"] = json!("p");
    info
}

/// Resources that are reserved by somebody.
fn reserved_by(principal: &str, megabytes: f64) -> Value {
    let mut resource = reserved(scalar("disk", megabytes), "r");
    resource["reservations"][0]["principal"] = json!(principal);
    resource
}

fn volume_of(principal: &str, megabytes: f64) -> Value {
    let mut volume = volume("v", megabytes, "r");
    volume["reservations"][0]["principal"] = json!(principal);
    volume["disk"]["persistence"]["principal"] = json!(principal);
    volume
}

impl Cluster {
    /// What `ops` asks.
    async fn as_ops(&self, method: http::Method, path: &str, body: &str) -> (u16, String) {
        let mut request = Request::new(method, path);
        request.body = body.to_owned().into();
        request.principal = Some(libprocess::http::Principal::named("ops"));
        request.headers.insert("content-type", "application/json".parse().unwrap());
        let response = dispatch(&self.node, request).await;
        let status = response.status.as_u16();
        let text = String::from_utf8(response.body.collect().await.to_vec()).unwrap();
        testing::settle().await;
        (status, text)
    }
}

#[test]
fn a_task_is_not_launched_and_a_group_not_if_one_of_it_may_not_be() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = denied.master().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let mut scheduler = cluster.subscribe(described()).await;
        denied.only("bad");
        let offer = scheduler.offer().await;
        let tasks = json!([task("bad", &agent, 1.0, 32.0), task("good", &agent, 1.0, 32.0)]);
        scheduler.launch(&[&offer], tasks).await;
        let status = scheduler.status().await;
        assert_eq!((status.state(), status.reason()), (TaskState::TaskError, Reason::TaskUnauthorized));
        let text = "Principal 'p' is not authorized to perform RUN_TASK 'bad' under user 'user'";
        assert_eq!(status.message(), text);
        assert_eq!(agent.launched().await[0].task.task_id.value, "good");

        let offer = scheduler.offer().await;
        let members: Vec<Value> = ["first", "bad"]
            .map(|id| {
                let mut member = task(id, &agent, 0.5, 32.0);
                member.as_object_mut().unwrap().remove("command");
                member
            })
            .into();
        let executor = json!({
            "type": "CUSTOM", "executor_id": { "value": "e" }, "framework_id": { "value": scheduler.id },
            "command": { "value": "run" },
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 32.0)]
        });
        let group = json!({ "executor": executor, "task_group": { "tasks": members } });
        scheduler.accept(&offer, json!([operation("LAUNCH_GROUP", group)])).await;
        for id in ["first", "bad"] {
            let status = scheduler.status().await;
            assert_eq!((status.task_id.value.as_str(), status.message()), (id, text));
            assert_eq!(
                (status.state(), status.reason()),
                (TaskState::TaskError, Reason::TaskGroupUnauthorized)
            );
        }
        assert_eq!(agent.taken().await, []);
    });
}

#[test]
fn an_operation_of_a_framework_is_an_error_until_it_is_permitted() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = denied.master().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let mut scheduler = cluster.subscribe(described()).await;
        let volume = |megabytes: f64| volume_of("p", megabytes);
        let grow = json!({ "volume": volume(64.0), "addition": reserved_by("p", 36.0) });
        let shrink = json!({ "volume": volume(100.0), "subtract": { "value": 36.0 } });
        for (action, operation) in [
            ("RESERVE_RESOURCES", reserve(json!([reserved_by("p", 100.0)]))),
            ("CREATE_VOLUME", create(json!([volume(64.0)]))),
            ("RESIZE_VOLUME", operation("GROW_VOLUME", grow)),
            ("RESIZE_VOLUME", operation("SHRINK_VOLUME", shrink)),
            ("DESTROY_VOLUME", operation("DESTROY", json!({ "volumes": [volume(64.0)] }))),
            (
                "UNRESERVE_RESOURCES",
                operation("UNRESERVE", json!({ "resources": [reserved_by("p", 100.0)] })),
            ),
        ] {
            let mut operation = operation;
            operation["id"] = json!({ "value": "x" });
            denied.only(action);
            let offer = scheduler.offer().await;
            scheduler.accept(&offer, json!([operation])).await;
            let status = scheduler.operation_status().await;
            assert_eq!(status.state(), OperationState::OperationError);
            let text = format!("Principal 'p' is not authorized to perform {action}");
            assert!(status.message().starts_with(&text), "{}", status.message());
            assert_eq!(agent.applied().await, []);
            denied.nothing();
            let offer = scheduler.offer().await;
            scheduler.accept(&offer, json!([operation])).await;
            assert_eq!(agent.applied().await.len(), 1, "{action}");
        }
    });
}

#[test]
fn a_framework_is_not_admitted_and_does_not_describe_itself_anew() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = denied.master().await;
        denied.only("REGISTER_FRAMEWORK");
        let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": described() } });
        let mut refused = cluster.open(call).await;
        let text = "Principal 'p' is not authorized to perform REGISTER_FRAMEWORK 'test' with roles 'r'";
        assert_eq!(refused.next_of(Type::Error).await.error.unwrap().message, text);
        assert_eq!(cluster.get("/state").await["frameworks"], json!([]));
        denied.nothing();
        let scheduler = cluster.subscribe(described()).await;
        denied.only("REGISTER_FRAMEWORK");
        let mut info = described();
        info["id"] = json!({ "value": scheduler.id });
        info["hostname"] = json!("another");
        let body = json!({ "framework_info": info });
        let (status, answer) = scheduler.call("UPDATE_FRAMEWORK", body.clone()).await;
        assert_eq!((status, answer.as_str()), (403, text));
        assert_eq!(cluster.get("/state").await["frameworks"][0]["hostname"], json!(""));
        denied.nothing();
        assert_eq!(scheduler.call("UPDATE_FRAMEWORK", body).await.0, 200);
    });
}

#[test]
fn a_call_of_an_operator_is_403_until_it_is_permitted() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = denied.master().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let scheduler = cluster.subscribe(info()).await;
        let id = json!({ "value": agent.id() });
        let of_agent = |name: &str, list: Value| json!({ "agent_id": id, name: list });
        let machine = json!({ "hostname": "elsewhere", "ip": "10.0.0.9" });
        let window = json!({ "machine_ids": [machine], "unavailability": { "start": { "nanoseconds": 1 } } });
        let volume = |megabytes: f64| volume_of("ops", megabytes);
        let disk = json!([reserved_by("ops", 100.0)]);
        let grow = json!({ "agent_id": id, "volume": volume(64.0), "addition": reserved_by("ops", 36.0) });
        let shrink = json!({ "agent_id": id, "volume": volume(100.0), "subtract": { "value": 36.0 } });
        let quota =
            json!({ "quota_request": { "role": "q", "force": true, "guarantee": [scalar("cpus", 1.0)] } });
        let configs = json!({ "quota_configs": [{ "role": "q", "limits": { "cpus": { "value": 9.0 } } }] });
        let weights = json!({ "weight_infos": [{ "role": "w", "weight": 2.0 }] });
        let only_agent = json!({ "agent_id": id });
        let level = json!({ "level": 1, "duration": { "nanoseconds": 1 } });
        for (kind, part, action) in [
            ("RESERVE_RESOURCES", of_agent("resources", disk.clone()), "RESERVE_RESOURCES"),
            ("CREATE_VOLUMES", of_agent("volumes", json!([volume(64.0)])), "CREATE_VOLUME"),
            ("GROW_VOLUME", grow, "RESIZE_VOLUME"),
            ("SHRINK_VOLUME", shrink, "RESIZE_VOLUME"),
            ("DESTROY_VOLUMES", of_agent("volumes", json!([volume(64.0)])), "DESTROY_VOLUME"),
            ("UNRESERVE_RESOURCES", of_agent("resources", disk), "UNRESERVE_RESOURCES"),
            ("SET_QUOTA", quota, "UPDATE_QUOTA_WITH_CONFIG"),
            ("REMOVE_QUOTA", json!({ "role": "q" }), "UPDATE_QUOTA_WITH_CONFIG"),
            ("UPDATE_QUOTA", configs, "UPDATE_QUOTA_WITH_CONFIG"),
            ("UPDATE_WEIGHTS", weights, "UPDATE_WEIGHT"),
            (
                "UPDATE_MAINTENANCE_SCHEDULE",
                json!({ "schedule": { "windows": [window] } }),
                "UPDATE_MAINTENANCE_SCHEDULE",
            ),
            ("START_MAINTENANCE", json!({ "machines": [machine] }), "START_MAINTENANCE"),
            ("STOP_MAINTENANCE", json!({ "machines": [machine] }), "STOP_MAINTENANCE"),
            ("DEACTIVATE_AGENT", only_agent.clone(), "DEACTIVATE_AGENT"),
            ("REACTIVATE_AGENT", only_agent.clone(), "REACTIVATE_AGENT"),
            ("DRAIN_AGENT", json!({ "agent_id": id, "mark_gone": true }), "MARK_AGENT_GONE"),
            ("DRAIN_AGENT", only_agent.clone(), "DRAIN_AGENT"),
            ("MARK_AGENT_GONE", only_agent, "MARK_AGENT_GONE"),
            ("SET_LOGGING_LEVEL", level, "SET_LOG_LEVEL"),
            ("TEARDOWN", json!({ "framework_id": { "value": scheduler.id } }), "TEARDOWN_FRAMEWORK"),
        ] {
            let mut call = json!({ "type": kind });
            call[kind.to_lowercase()] = part;
            denied.only(action);
            let before = cluster.running.master.ask(crate::TakeSnapshot).await.unwrap().version;
            let (status, text) = cluster.as_ops(http::Method::POST, "/api/v1", &call.to_string()).await;
            let expected = format!("Principal 'ops' is not authorized to perform {action}");
            assert!(status == 403 && text.starts_with(&expected), "{kind}: {status} {text}");
            let after = cluster.running.master.ask(crate::TakeSnapshot).await.unwrap().version;
            assert_eq!(before, after, "{kind} changed something");
            denied.nothing();
            let (status, text) = cluster.as_ops(http::Method::POST, "/api/v1", &call.to_string()).await;
            assert!([200, 202].contains(&status) || kind == "SET_LOGGING_LEVEL", "{kind}: {status} {text}");
        }
    });
}

/// Upstream, which takes as many as there are, refuses them.
#[test]
fn who_may_not_change_something_is_not_told_first_that_it_is_too_much() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = denied.master().await;
        let weights: Vec<Value> =
            (0..5_001).map(|at| json!({ "role": format!("r{at}"), "weight": 2.0 })).collect();
        let configs: Vec<Value> = (0..1_001).map(|at| json!({ "role": format!("r{at}") })).collect();
        let machines: Vec<Value> =
            (0..30_000).map(|at| json!({ "hostname": format!("host-{at}.example.org") })).collect();
        let window = json!({ "machine_ids": machines, "unavailability": { "start": { "nanoseconds": 1 } } });
        for (kind, part, action) in [
            ("UPDATE_WEIGHTS", json!({ "weight_infos": weights }), "UPDATE_WEIGHT"),
            ("UPDATE_QUOTA", json!({ "quota_configs": configs }), "UPDATE_QUOTA_WITH_CONFIG"),
            (
                "UPDATE_MAINTENANCE_SCHEDULE",
                json!({ "schedule": { "windows": [window] } }),
                "UPDATE_MAINTENANCE_SCHEDULE",
            ),
        ] {
            let mut call = json!({ "type": kind });
            call[kind.to_lowercase()] = part;
            denied.only(action);
            let (status, text) = cluster.as_ops(http::Method::POST, "/api/v1", &call.to_string()).await;
            let expected = format!("Principal 'ops' is not authorized to perform {action}");
            assert!(status == 403 && text.starts_with(&expected), "{kind}: {status} {text}");
            denied.nothing();
            let (status, text) = cluster.as_ops(http::Method::POST, "/api/v1", &call.to_string()).await;
            assert!(status == 400 && text.contains("; at most "), "{kind}: {status} {text}");
        }
    });
}

/// The older endpoints, with the same rules.
#[test]
fn the_endpoints_ask_as_the_calls_do() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = denied.master().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let scheduler = cluster.subscribe(info()).await;
        let (id, disk) = (agent.id(), json!([reserved_by("ops", 64.0)]));
        let schedule = json!({ "windows": [{
            "machine_ids": [{ "hostname": "elsewhere", "ip": "10.0.0.9" }],
            "unavailability": { "start": { "nanoseconds": 1 } }
        }] });
        let machines = json!([{ "hostname": "elsewhere", "ip": "10.0.0.9" }]).to_string();
        let quota = json!({ "role": "q", "force": true, "guarantee": [scalar("cpus", 1.0)] });
        let (post, put, delete) = (http::Method::POST, http::Method::PUT, http::Method::DELETE);
        for (method, path, body, action) in [
            (&post, "/reserve", format!("slaveId={id}&resources={disk}"), "RESERVE_RESOURCES"),
            (&post, "/unreserve", format!("slaveId={id}&resources={disk}"), "UNRESERVE_RESOURCES"),
            (&post, "/quota", quota.to_string(), "UPDATE_QUOTA_WITH_CONFIG"),
            (&delete, "/quota/q", String::new(), "UPDATE_QUOTA_WITH_CONFIG"),
            (&put, "/weights", json!([{ "role": "w", "weight": 2.0 }]).to_string(), "UPDATE_WEIGHT"),
            (&post, "/maintenance/schedule", schedule.to_string(), "UPDATE_MAINTENANCE_SCHEDULE"),
            (&post, "/machine/down", machines.clone(), "START_MAINTENANCE"),
            (&post, "/machine/up", machines, "STOP_MAINTENANCE"),
            (&post, "/teardown", format!("frameworkId={}", scheduler.id), "TEARDOWN_FRAMEWORK"),
        ] {
            denied.only(action);
            let (status, text) = cluster.as_ops(method.clone(), path, &body).await;
            let expected = format!("Principal 'ops' is not authorized to perform {action}");
            assert!(status == 403 && text.starts_with(&expected), "{path}: {status} {text}");
            denied.nothing();
            let (status, text) = cluster.as_ops(method.clone(), path, &body).await;
            assert!([200, 202].contains(&status), "{path}: {status} {text}");
        }
    });
}
