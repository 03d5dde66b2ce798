//! A persistent volume through its life, with real processes: made by a framework, written to by a task, there after the
//! agent was killed, read by another task, destroyed.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::PathBuf;
use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::{AgentSpec, Cluster};
use libprocess::http::ClientRequest;
use serde_json::{Value, json};

const ROLE: &str = "data";

fn disk(megabytes: f64) -> Value {
    json!({
        "name": "disk", "type": "SCALAR", "scalar": { "value": megabytes },
        "reservations": [{ "type": "DYNAMIC", "role": ROLE }]
    })
}

fn volume() -> Value {
    let mut volume = disk(64.0);
    volume["disk"] =
        json!({ "persistence": { "id": "v" }, "volume": { "container_path": "store", "mode": "RW" } });
    volume
}

fn operation(kind: &str, id: &str, part: Value) -> Value {
    let mut operation = json!({ "type": kind, "id": { "value": id } });
    operation[kind.to_lowercase()] = part;
    operation
}

/// A command task that has the volume.
fn task(id: &str, offer: &Value, command: &str) -> Value {
    let mut task = command_task(id, offer, 0.5, 32.0, command);
    task["resources"].as_array_mut().unwrap().push(volume());
    json!({ "type": "LAUNCH", "launch": { "task_infos": [task] } })
}

async fn accept(scheduler: &ApiScheduler, offer: &Value, operations: Value) {
    let accept = json!({
        "offer_ids": [offer["id"]], "operations": operations, "filters": { "refuse_seconds": 0.0 }
    });
    scheduler.accepted(json!({ "type": "ACCEPT", "accept": accept })).await;
}

/// The next status of an operation, acknowledged.
async fn finished(scheduler: &mut ApiScheduler, id: &str) {
    let status = scheduler.event("UPDATE_OPERATION_STATUS").await["update_operation_status"]["status"].take();
    assert_eq!(
        (&status["operation_id"]["value"], &status["state"]),
        (&json!(id), &json!("OPERATION_FINISHED")),
        "{status}"
    );
    let acknowledge = json!({
        "agent_id": status["agent_id"], "operation_id": status["operation_id"], "uuid": status["uuid"]["value"]
    });
    let call = json!({
        "type": "ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status": acknowledge
    });
    scheduler.accepted(call).await;
}

/// An offer that has the volume in it.
async fn offer_with_volume(scheduler: &mut ApiScheduler) -> Value {
    loop {
        let offer = scheduler.offer().await;
        let resources = offer["resources"].as_array().unwrap();
        if resources.iter().any(|resource| resource["disk"]["persistence"]["id"] == "v") {
            return offer;
        }
        scheduler.decline(&offer, 0.0).await;
    }
}

/// Has a task find in the volume what was written there.
async fn read(scheduler: &mut ApiScheduler) {
    for attempt in 0.. {
        let offer = offer_with_volume(scheduler).await;
        let id = format!("reads-{attempt}");
        accept(scheduler, &offer, json!([task(&id, &offer, "test \"$(cat store/file)\" = kept")])).await;
        // What it gives back is offered when it is waited for.
        scheduler.accepted(json!({ "type": "SUPPRESS" })).await;
        let first = scheduler.update(&id).await;
        // An offer from before the agent was killed is withdrawn when the master learns of that.
        let came_too_late = first["reason"] == "REASON_INVALID_OFFERS";
        if !came_too_late {
            scheduler.state(&id, "TASK_FINISHED").await;
        }
        scheduler.accepted(json!({ "type": "REVIVE" })).await;
        if !came_too_late {
            return;
        }
    }
}

/// Upstream: `PersistentVolumeTest.AccessPersistentVolume`, `PersistentVolumeTest.SlaveRecovery`.
#[test]
fn what_a_task_writes_into_a_volume_outlives_it_and_its_agent_until_the_volume_is_destroyed() {
    libprocess::run(async {
        let mut cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:1024;disk:1024")]).await;
        let mut info = framework("keeper", Duration::from_secs(600));
        info["roles"] = json!([ROLE]);
        info["capabilities"].as_array_mut().unwrap().push(json!({ "type": "RESERVATION_REFINEMENT" }));
        let mut scheduler = ApiScheduler::subscribe(cluster.master(), info).await;

        let offer = scheduler.offer().await;
        let operations = json!([
            operation("RESERVE", "reserve", json!({ "resources": [disk(64.0)] })),
            operation("CREATE", "create", json!({ "volumes": [volume()] })),
            task("writes", &offer, "echo kept > store/file")
        ]);
        accept(&scheduler, &offer, operations).await;
        finished(&mut scheduler, "reserve").await;
        finished(&mut scheduler, "create").await;
        scheduler.state("writes", "TASK_FINISHED").await;
        let place: PathBuf = cluster.agent_work_dir(0).join("volumes/roles").join(ROLE).join("v");
        assert_eq!(std::fs::read_to_string(place.join("file")).unwrap(), "kept\n");

        cluster.agent_process(0).restart();
        read(&mut scheduler).await;

        let offer = offer_with_volume(&mut scheduler).await;
        let operations = json!([
            operation("DESTROY", "destroy", json!({ "volumes": [volume()] })),
            operation("UNRESERVE", "unreserve", json!({ "resources": [disk(64.0)] }))
        ]);
        accept(&scheduler, &offer, operations).await;
        finished(&mut scheduler, "destroy").await;
        finished(&mut scheduler, "unreserve").await;
        assert!(!place.exists());

        // An operator does the same, and finds it done.
        let agent = offer["agent_id"]["value"].as_str().unwrap().to_owned();
        let body = format!("slaveId={agent}&resources={}", json!([disk(32.0)]));
        let request = ClientRequest::post(format!("http://{}/reserve", cluster.master())).body(body);
        assert_eq!(scheduler.send(request).await, (202, String::new()));
        let agents = cluster.get_at(cluster.master(), "/slaves").await.unwrap();
        assert_eq!(agents["slaves"][0]["reserved_resources"][ROLE]["disk"], 32.0, "{agents}");
    });
}
