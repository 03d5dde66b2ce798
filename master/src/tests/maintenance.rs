//! Maintenance of machines (upstream: `tests/master_maintenance_tests.cpp`).

use std::time::Duration;

use http::Method;
use libprocess::testing;
use mesos::internal::{RegisterSlaveMessage, ShutdownMessage};
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::Reason;
use mesos::v1::{self, TaskState};
use serde_json::{Value, json};

use super::agents::running_task;
use super::shelf::Shelf;
use super::{Agent, Cluster, Got, Scheduler, info};
use crate::Settings;

pub(super) const START: i64 = 60_000_000_000;

/// The machine of all agents of these tests.
pub(super) fn machine() -> Value {
    json!({ "hostname": "host", "ip": "127.0.0.1" })
}

/// One window for each list of machines.
pub(super) fn schedule(windows: &[Value]) -> Value {
    let window = |ids: &Value| {
        json!({
            "machine_ids": ids,
            "unavailability": { "start": { "nanoseconds": START }, "duration": { "nanoseconds": 120_000_000_000_i64 } }
        })
    };
    json!({ "windows": windows.iter().map(window).collect::<Vec<_>>() })
}

pub(super) async fn plan(cluster: &Cluster, schedule: &Value) -> (u16, String) {
    cluster.ask(Method::POST, "/maintenance/schedule", &schedule.to_string()).await
}

async fn down(cluster: &Cluster, machines: Value) -> (u16, String) {
    cluster.ask(Method::POST, "/machine/down", &machines.to_string()).await
}

fn registration(agent: &Agent) -> RegisterSlaveMessage {
    RegisterSlaveMessage {
        slave: agent.info.clone(),
        version: Some("1.11.0".into()),
        agent_capabilities: mesos::AgentCapabilities::ALL.to_protos(),
        ..Default::default()
    }
}

async fn up(cluster: &Cluster, machines: Value) -> (u16, String) {
    cluster.ask(Method::POST, "/machine/up", &machines.to_string()).await
}

pub(super) fn ok() -> (u16, String) {
    (200, String::new())
}

fn bad(text: impl Into<String>) -> (u16, String) {
    (400, text.into())
}

async fn inverse_offer(scheduler: &mut Scheduler<'_>) -> v1::InverseOffer {
    let event = scheduler.next_of(Type::InverseOffers).await;
    event.inverse_offers.unwrap().inverse_offers.remove(0)
}

async fn answer(scheduler: &Scheduler<'_>, call: &str, offer: &v1::InverseOffer, refuse_seconds: f64) {
    let body = json!({
        "inverse_offer_ids": [{ "value": offer.id.value }], "filters": { "refuse_seconds": refuse_seconds }
    });
    assert_eq!(scheduler.call(call, body).await.0, 202);
}

/// What frameworks said of the only draining machine.
async fn answers(cluster: &Cluster) -> Vec<String> {
    let status = cluster.get("/maintenance/status").await;
    let statuses = status["draining_machines"][0].get("statuses").cloned().unwrap_or(json!([]));
    statuses.as_array().unwrap().iter().map(|status| status["status"].as_str().unwrap().to_owned()).collect()
}

/// `UpdateSchedule`. Upstream: `MasterAPITest.UpdateAndGetMaintenanceSchedule`.
#[test]
fn a_schedule_is_what_was_posted_last_and_made_sense() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for path in ["/maintenance/schedule", "/maintenance/status"] {
            assert_eq!(cluster.ask(Method::GET, path, "").await, (200, "{}".into()), "{path}");
        }
        let empty = cluster.ask(Method::POST, "/maintenance/schedule", "").await;
        assert_eq!(empty, bad("syntax error at line 1 near: "));
        let one = schedule(&[json!([{ "hostname": "one" }])]);
        assert_eq!(plan(&cluster, &one).await, ok());
        for (wrong, text) in [
            (schedule(&[json!([])]), "List of machines in the maintenance window is empty"),
            (schedule(&[json!([{}])]), "Both 'hostname' and 'ip' for a machine are empty"),
            (
                schedule(&[json!([{ "hostname": "one" }]), json!([{ "hostname": "ONE" }])]),
                r#"Machine '{"hostname":"ONE"}' appears more than once in the schedule"#,
            ),
        ] {
            assert_eq!(plan(&cluster, &wrong).await, bad(text));
        }
        let mut negative = one.clone();
        negative["windows"][0]["unavailability"]["duration"]["nanoseconds"] = json!(-10);
        assert_eq!(plan(&cluster, &negative).await, bad("Unavailability 'duration' is negative"));
        assert_eq!(cluster.ask(Method::POST, "/maintenance/schedule", "{").await.0, 400);
        assert_eq!(cluster.ask(Method::POST, "/maintenance/schedule", "[]").await.0, 400);
        assert_eq!(cluster.ask(Method::PUT, "/maintenance/schedule", "{}").await.0, 405);
        assert_eq!(cluster.get("/maintenance/schedule").await, one, "nothing of it was taken");

        let mut past = one.clone();
        past["windows"][0]["unavailability"]["start"]["nanoseconds"] = json!(-10);
        assert_eq!(plan(&cluster, &past).await, ok());
        let two = schedule(&[json!([{ "hostname": "one" }, { "hostname": "two" }])]);
        let call = json!({ "type": "UPDATE_MAINTENANCE_SCHEDULE", "update_maintenance_schedule": { "schedule": two } });
        assert_eq!(cluster.api(call).await, ok());
        let (status, text) = cluster.api(json!({ "type": "GET_MAINTENANCE_SCHEDULE" })).await;
        let shown: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &shown["get_maintenance_schedule"]["schedule"]), (200, &two));
        assert_eq!(plan(&cluster, &json!({})).await, ok());
        assert_eq!(
            cluster.get("/maintenance/status").await.get("draining_machines").unwrap_or(&json!([])),
            &json!([])
        );
    });
}

/// As recorded of genuine Mesos (`integration/recorded/mutating.jsonl`): a machine without a schedule is known by its
/// agents.
#[test]
fn a_machine_with_an_agent_is_up_without_a_schedule() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let there = cluster.agent("cpus:1;mem:64").await;
        let text = |why: &str| format!(r#"Machine '{{"hostname":"host","ip":"127.0.0.1"}}' {why}"#);
        let down_text = text("is not in DRAINING mode and cannot be brought down");
        assert_eq!(down(&cluster, json!([machine()])).await, bad(down_text));
        assert_eq!(
            up(&cluster, json!([machine()])).await,
            bad(text("is not in DOWN mode and cannot be brought up"))
        );
        drop(there);
    });
}

/// `FailToUnscheduleDeactivatedMachines`, `BringDownMachines`, `BringUpMachines`, `MachineStatus`. Upstream:
/// `MasterAPITest.GetMaintenanceStatus`, `StartAndStopMaintenance`.
#[test]
fn machines_go_down_and_up_again_only_as_they_are_scheduled() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let (one, two) = (json!({ "hostname": "one" }), json!({ "hostname": "two" }));
        let unscheduled = r#"Machine '{"hostname":"one"}' is not part of a maintenance schedule"#;
        assert_eq!(down(&cluster, json!([one])).await, bad(unscheduled));
        assert_eq!(up(&cluster, json!([one])).await, bad(unscheduled));
        assert_eq!(down(&cluster, json!([])).await, bad("List of machines is empty"));
        assert_eq!(cluster.ask(Method::POST, "/machine/down", "{}").await.0, 400);
        assert_eq!(cluster.ask(Method::GET, "/machine/down", "").await.0, 405);
        assert_eq!(cluster.ask(Method::GET, "/machine/up", "").await.0, 405);

        assert_eq!(plan(&cluster, &schedule(&[json!([one, two])])).await, ok());
        let text = r#"Machine '{"hostname":"one"}' is not in DOWN mode and cannot be brought up"#;
        assert_eq!(up(&cluster, json!([one])).await, bad(text));
        assert_eq!(down(&cluster, json!([one])).await, ok());
        let text = r#"Machine '{"hostname":"one"}' is not in DRAINING mode and cannot be brought down"#;
        assert_eq!(down(&cluster, json!([one])).await, bad(text));
        let status = cluster.get("/maintenance/status").await;
        assert_eq!(status["down_machines"], json!([one]));
        assert_eq!(status["draining_machines"], json!([{ "id": two }]));
        let text = r#"Machine '{"hostname":"one"}' is deactivated and cannot be removed from the schedule"#;
        assert_eq!(plan(&cluster, &schedule(&[json!([two])])).await, bad(text));

        let call = json!({ "type": "STOP_MAINTENANCE", "stop_maintenance": { "machines": [one] } });
        assert_eq!(cluster.api(call).await, ok());
        assert_eq!(cluster.get("/maintenance/schedule").await, schedule(&[json!([two])]));
        let call = json!({ "type": "START_MAINTENANCE", "start_maintenance": { "machines": [two] } });
        assert_eq!(cluster.api(call).await, ok());
        let (_, text) = cluster.api(json!({ "type": "GET_MAINTENANCE_STATUS" })).await;
        let shown: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(shown["get_maintenance_status"]["status"]["down_machines"], json!([two]));
        assert_eq!(up(&cluster, json!([two])).await, ok());
        let registry = cluster.get("/registrar(1)/registry").await;
        assert_eq!(registry.get("schedules").unwrap_or(&json!([])), &json!([]));
    });
}

/// `PendingUnavailabilityTest`.
#[test]
fn offers_say_when_their_agent_will_be_unavailable() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        assert_eq!(offer.unavailability, None);
        assert_eq!(plan(&cluster, &schedule(&[json!([machine()])])).await, ok());
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        let offer = scheduler.offer().await;
        assert_eq!(offer.unavailability.unwrap().start.nanoseconds, START);
        let text =
            format!("Agent {} is part of a maintenance schedule under Machine host (127.0.0.1)", agent.id());
        let drain = json!({ "type": "DRAIN_AGENT", "drain_agent": { "agent_id": { "value": agent.id() } } });
        assert_eq!(cluster.api(drain).await, bad(text));

        // It is cancelled.
        assert_eq!(plan(&cluster, &json!({})).await, ok());
        assert_eq!(scheduler.next_of(Type::Rescind).await.rescind.unwrap().offer_id, offer.id);
        assert_eq!(scheduler.offer().await.unavailability, None);
    });
}

/// `EnterMaintenanceMode`.
#[test]
fn an_agent_on_a_machine_that_goes_down_ends_and_is_refused_until_it_is_up() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        assert_eq!(plan(&cluster, &schedule(&[json!([machine()])])).await, ok());
        assert_eq!(down(&cluster, json!([machine()])).await, ok());
        let told = |text: &str| Got::Shutdown(ShutdownMessage { message: Some(text.into()) });
        assert_eq!(agent.taken().await, [told("Operator initiated 'Machine DOWN'")]);
        let lost = scheduler.status().await;
        assert_eq!((lost.state(), lost.reason()), (TaskState::TaskLost, Reason::AgentRemoved));
        assert_eq!(lost.message(), "Agent host removed: Operator initiated 'Machine DOWN'");
        let failure = scheduler.next_of(Type::Failure).await.failure.unwrap();
        assert_eq!(failure.agent_id, agent.info.id);
        assert_eq!(cluster.get("/slaves").await["slaves"], json!([]));

        agent.reregister(Vec::new(), Vec::new());
        assert_eq!(agent.taken().await, [told("Machine is `DOWN`")]);
        let newcomer = cluster.stranger("cpus:1;mem:32");
        newcomer.post(registration(&newcomer));
        assert_eq!(newcomer.taken().await, [told("Machine is `DOWN`")]);

        assert_eq!(up(&cluster, json!([machine()])).await, ok());
        newcomer.post(registration(&newcomer));
        assert!(matches!(newcomer.taken().await.as_slice(), [Got::Registered(_)]));
        assert_eq!(scheduler.offer().await.unavailability, None);
    });
}

/// Both were possible when they were asked for.
#[test]
fn a_machine_that_goes_down_is_not_left_out_of_a_schedule_at_the_same_time() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let both = schedule(&[json!([{ "hostname": "one" }]), json!([{ "hostname": "two" }])]);
        assert_eq!(plan(&cluster, &both).await, ok());
        let other = schedule(&[json!([{ "hostname": "one" }])]);
        let (went, planned) =
            tokio::join!(down(&cluster, json!([{ "hostname": "two" }])), plan(&cluster, &other));
        assert_eq!(went, ok());
        assert!([400, 409].contains(&planned.0), "{planned:?}");
        let status = cluster.get("/maintenance/status").await;
        assert_eq!(status["down_machines"], json!([{ "hostname": "two" }]));
        assert_eq!(cluster.get("/maintenance/schedule").await, both);
    });
}

/// It had asked before, and both are written to the registry together.
#[test]
fn an_agent_whose_machine_goes_down_while_it_comes_leaves_again() {
    testing::run(async {
        for known in [false, true] {
            let shelf = Shelf::default();
            let cluster = Cluster::on(&shelf, Settings::default()).await;
            assert_eq!(plan(&cluster, &schedule(&[json!([machine()])])).await, ok());
            let mut elsewhere = cluster.stranger("cpus:1;mem:32");
            elsewhere.info.hostname = "elsewhere".into();
            let mut newcomer = cluster.stranger("cpus:1;mem:32");
            shelf.hold();
            elsewhere.post(registration(&elsewhere));
            testing::settle().await;
            let comes = async {
                testing::settle().await;
                if known {
                    newcomer.info.id = Some(v1::AgentId { value: "earlier-S0".into() });
                    newcomer.reregister(Vec::new(), Vec::new());
                } else {
                    newcomer.post(registration(&newcomer));
                }
                testing::settle().await;
                assert_eq!(shelf.waiting(), 1);
                shelf.release().await;
                newcomer.taken().await
            };
            let (answer, taken) = futures::join!(down(&cluster, json!([machine()])), comes);
            assert_eq!(answer, ok());
            let told =
                Got::Shutdown(ShutdownMessage { message: Some("Operator initiated 'Machine DOWN'".into()) });
            assert_eq!(taken.last(), Some(&told), "{taken:?}");
            assert!(matches!(taken[0], Got::Registered(_) | Got::Reregistered(_)), "{taken:?}");
            let slaves = cluster.get("/slaves").await;
            let hosts = slaves["slaves"].as_array().unwrap().iter().map(|slave| slave["hostname"].clone());
            assert_eq!(hosts.collect::<Vec<_>>(), ["elsewhere"]);
        }
    });
}

/// `InverseOffers`, `AcceptInvalidInverseOffer`.
#[test]
fn frameworks_are_asked_to_leave_and_operators_see_what_they_answer() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let other = cluster.subscribe(info()).await;
        assert_eq!(plan(&cluster, &schedule(&[json!([machine()])])).await, ok());
        assert!(answers(&cluster).await.is_empty());
        let asked = inverse_offer(&mut scheduler).await;
        assert_eq!(asked.agent_id, agent.info.id);
        assert_eq!(asked.framework_id.value, scheduler.id);
        assert_eq!(asked.unavailability.start.nanoseconds, START);
        assert_eq!(asked.url.as_ref().unwrap().address.hostname(), "host");
        assert!(asked.resources.is_empty(), "everything is meant");

        // It is not the other's to answer.
        answer(&other, "ACCEPT_INVERSE_OFFERS", &asked, 0.0).await;
        assert!(answers(&cluster).await.is_empty());
        answer(&scheduler, "DECLINE_INVERSE_OFFERS", &asked, 0.0).await;
        assert_eq!(answers(&cluster).await, ["DECLINE"]);
        let again = inverse_offer(&mut scheduler).await;
        assert_ne!(again.id, asked.id);
        // The first one is not valid any more.
        answer(&scheduler, "ACCEPT_INVERSE_OFFERS", &asked, 0.0).await;
        assert_eq!(answers(&cluster).await, ["DECLINE"]);
        answer(&scheduler, "ACCEPT_INVERSE_OFFERS", &again, 0.0).await;
        assert_eq!(answers(&cluster).await, ["ACCEPT"]);
        let last = inverse_offer(&mut scheduler).await;

        // What is planned anew is asked anew.
        let mut later = schedule(&[json!([machine()])]);
        later["windows"][0]["unavailability"]["start"]["nanoseconds"] = json!(2 * START);
        assert_eq!(plan(&cluster, &later).await, ok());
        let rescinded = scheduler.next_of(Type::RescindInverseOffer).await.rescind_inverse_offer.unwrap();
        assert_eq!(rescinded.inverse_offer_id, last.id);
        assert_eq!(inverse_offer(&mut scheduler).await.unavailability.start.nanoseconds, 2 * START);
    });
}

/// `InverseOffersFilters`.
#[test]
fn a_framework_that_was_asked_is_not_asked_again_for_as_long_as_it_says() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        assert_eq!(plan(&cluster, &schedule(&[json!([machine()])])).await, ok());
        let asked = inverse_offer(&mut scheduler).await;
        answer(&scheduler, "ACCEPT_INVERSE_OFFERS", &asked, 100.0).await;
        tokio::time::sleep(Duration::from_secs(90)).await;
        let events = scheduler.pending().await;
        assert!(events.iter().all(|event| event.r#type() != Type::InverseOffers), "{events:?}");
        tokio::time::sleep(Duration::from_secs(20)).await;
        inverse_offer(&mut scheduler).await;
    });
}

#[test]
fn an_inverse_offer_is_taken_back_when_it_times_out_or_its_agent_is_deactivated() {
    testing::run(async {
        let settings = Settings { offer_timeout: Some(Duration::from_secs(30)), ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        assert_eq!(plan(&cluster, &schedule(&[json!([machine()])])).await, ok());
        let asked = inverse_offer(&mut scheduler).await;
        let rescinded = scheduler.next_of(Type::RescindInverseOffer).await.rescind_inverse_offer.unwrap();
        assert_eq!(rescinded.inverse_offer_id, asked.id);
        let asked = inverse_offer(&mut scheduler).await;
        let deactivate = json!({ "type": "DEACTIVATE_AGENT", "deactivate_agent": { "agent_id": { "value": agent.id() } } });
        assert_eq!(cluster.api(deactivate).await, ok());
        let rescinded = scheduler.next_of(Type::RescindInverseOffer).await.rescind_inverse_offer.unwrap();
        assert_eq!(rescinded.inverse_offer_id, asked.id);
    });
}

#[test]
fn the_next_master_knows_what_is_planned() {
    testing::run(async {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { work_dir: Some(directory.path().to_owned()), ..Settings::default() };
        let first = Cluster::with(settings.clone()).await;
        let agent = first.agent("cpus:2;mem:1024").await;
        let planned = schedule(&[json!([machine(), { "hostname": "other" }])]);
        assert_eq!(plan(&first, &planned).await, ok());
        assert_eq!(down(&first, json!([{ "hostname": "other" }])).await, ok());
        first.running.shutdown().await;

        let second = Cluster::with(settings).await;
        super::failover::wait_until_recovered(&second).await;
        assert_eq!(second.get("/maintenance/schedule").await, planned);
        let status = second.get("/maintenance/status").await;
        assert_eq!(status["down_machines"], json!([{ "hostname": "other" }]));
        assert_eq!(status["draining_machines"], json!([{ "id": machine() }]));
        let mut back = second.stranger("cpus:2;mem:1024");
        back.info.id = agent.info.id.clone();
        back.reregister(Vec::new(), Vec::new());
        let mut scheduler = second.subscribe(info()).await;
        assert_eq!(scheduler.offer().await.unavailability.unwrap().start.nanoseconds, START);
    });
}
