//! Reservations and volumes of frameworks, in ACCEPT.

use libprocess::testing;
use mesos::v1::offer::operation;
use mesos::v1::scheduler::event::Type;
use mesos::v1::{self, OperationState, TaskState};
use mesos::{ResourceQuantities, Resources};
use serde_json::{Value, json};

use super::*;

fn reserved_part(offer: &v1::Offer) -> String {
    let resources = Resources::try_from_protos(&offer.resources).unwrap();
    ResourceQuantities::from_resources(&resources.reserved(Some("r"))).to_string()
}

fn volumes_of(offer: &v1::Offer) -> Vec<(String, f64)> {
    let volumes = offer.resources.iter().filter_map(|resource| {
        let persistence = resource.disk.as_ref()?.persistence.as_ref()?;
        Some((persistence.id.clone(), resource.scalar.as_ref()?.value))
    });
    volumes.collect()
}

/// A task of 1 cpu with this volume.
fn task_with(id: &str, agent: &Agent, volume: Value) -> Value {
    let mut task = task(id, agent, 1.0, 32.0);
    if let Some(resources) = task["resources"].as_array_mut() {
        resources.push(volume);
    }
    task
}

fn kinds(applied: &[ApplyOperationMessage]) -> Vec<operation::Type> {
    applied.iter().map(|message| message.operation_info.r#type()).collect()
}

/// Upstream: `ReservationTest.ReserveThenUnreserve`, `ReservationTest.WithoutAuthenticationWithoutPrincipal`.
/// Upstream, too: `RoleTest.ImplicitRoleRegister`.
#[test]
fn what_is_reserved_is_offered_so_until_it_is_unreserved() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        assert_eq!(reserved_part(&offer), "{}");
        let resources = json!([reserved(scalar("cpus", 1.0), "r")]);
        scheduler.accept(&offer, json!([reserve(resources.clone())])).await;
        let applied = agent.applied().await;
        assert_eq!(kinds(&applied), [operation::Type::Reserve]);
        assert_eq!(applied[0].framework_id.as_ref().unwrap().value, scheduler.id);
        // The offer's role was put in.
        let sent = &applied[0].operation_info.reserve.as_ref().unwrap().resources[0];
        assert_eq!(sent.allocation_info.as_ref().unwrap().role(), "r");
        let slaves = cluster.get("/slaves").await;
        assert_eq!(slaves["slaves"][0]["reserved_resources"]["r"]["cpus"], 1.0);
        // Speculatively: the agent has not answered.
        let offer = scheduler.offer().await;
        assert_eq!((reserved_part(&offer).as_str(), amount(&offer.resources, "cpus")), ("cpus:1", 4.0));
        let undo = operation("UNRESERVE", json!({ "resources": resources }));
        scheduler.accept(&offer, json!([undo])).await;
        assert_eq!(kinds(&agent.applied().await), [operation::Type::Unreserve]);
        assert_eq!(reserved_part(&scheduler.offer().await), "{}");
        assert_eq!(cluster.node.metrics().value("master/operations/pending"), Some(2.0));
    });
}

/// Upstream: `ReservationTest.ReserveAndLaunchThenUnreserve`, `PersistentVolumeTest.PreparePersistentVolume`.
/// Upstream, too: `RoleTest.ImplicitRoleRegister`.
#[test]
fn operations_of_one_call_use_what_those_before_them_made() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let operations = json!([
            reserve(json!([reserved(scalar("disk", 100.0), "r")])),
            create(json!([volume("v", 64.0, "r")])),
            launch(json!([task_with("t", &agent, volume("v", 64.0, "r"))]))
        ]);
        scheduler.accept(&offer, operations).await;
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Apply(_), Got::Apply(_), Got::Run(_)]), "{got:?}");
        let rest = scheduler.offer().await;
        assert_eq!((amount(&rest.resources, "cpus"), amount(&rest.resources, "disk")), (3.0, 936.0));
        assert_eq!(reserved_part(&rest), "disk:36");
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let finished = scheduler.status().await;
        scheduler.acknowledge(&finished).await;
        // The volume outlives the task. With the rest it is enough to undo everything.
        let offer = loop {
            let offer = scheduler.offer().await;
            if !volumes_of(&offer).is_empty() {
                break offer;
            }
        };
        assert_eq!(volumes_of(&offer), [("v".to_owned(), 64.0)]);
        let undo = json!([
            operation("DESTROY", json!({ "volumes": [volume("v", 64.0, "r")] })),
            operation("UNRESERVE", json!({ "resources": [reserved(scalar("disk", 64.0), "r")] }))
        ]);
        scheduler.accept(&offer, undo).await;
        assert_eq!(kinds(&agent.applied().await), [operation::Type::Destroy, operation::Type::Unreserve]);
        let slaves = cluster.get("/slaves").await;
        assert_eq!(slaves["slaves"][0]["reserved_resources"]["r"]["disk"], 36.0);
    });
}

/// Upstream: `ReservationTest.DropReserveTooLarge`, `ReservationTest.DropReserveWithDifferentRole`,
/// `CreateOperationValidationTest.InsufficientDiskResource`.
#[test]
fn an_operation_that_does_not_fit_is_dropped_and_the_others_are_applied() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let named = |mut operation: Value, id: &str| {
            operation["id"] = json!({ "value": id });
            operation
        };
        let too_much = reserve(json!([reserved(scalar("cpus", 5.0), "r")]));
        let of_others = reserve(json!([reserved(scalar("cpus", 1.0), "other")]));
        let not_there = create(json!([volume("v", 64.0, "r")]));
        let mut provided = scalar("disk", 8.0);
        provided["provider_id"] = json!({ "value": "p" });
        let disk = operation("CREATE_DISK", json!({ "source": provided, "target_type": "MOUNT" }));
        let fine = reserve(json!([reserved(scalar("cpus", 1.0), "r")]));
        let operations = json!([
            named(too_much, "1"),
            named(of_others, "2"),
            named(not_there, "3"),
            named(disk, "4"),
            fine
        ]);
        scheduler.accept(&offer, operations).await;
        assert_eq!(agent.applied().await.len(), 1);
        for (id, text) in [
            ("1", "does not contain"),
            ("2", "was allocated to role 'r'"),
            ("3", "does not contain"),
            ("4", "Resource provider p is unknown"),
        ] {
            let status = scheduler.operation_status().await;
            assert_eq!(status.operation_id.unwrap().value, id);
            assert_eq!((status.state, &status.uuid), (OperationState::OperationError.into(), &None));
            assert!(status.message.as_ref().unwrap().contains(text), "{:?}", status.message);
        }
        assert_eq!(reserved_part(&scheduler.offer().await), "cpus:1");
        assert_eq!(cluster.node.metrics().value("master/operations/error"), Some(4.0));
        assert_eq!(cluster.node.metrics().value("master/operations/create_disk/error"), Some(1.0));
    });
}

/// Upstream: `PersistentVolumeTest.GrowVolume`, `PersistentVolumeTest.ShrinkVolume`,
/// `PersistentVolumeTest.NonSpeculativeGrowAndLaunch`, `PersistentVolumeTest.NonSpeculativeShrinkAndLaunch`.
#[test]
fn a_volume_is_resized_and_nothing_of_the_same_call_can_use_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk(r):100").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let fixed = |mut resource: Value| {
            resource["reservations"] = json!([{ "type": "STATIC", "role": "r" }]);
            resource
        };
        let volume = |size: f64| fixed(volume("v", size, "r"));
        scheduler.accept(&offer, json!([create(json!([volume(64.0)]))])).await;
        agent.taken().await;
        let offer = scheduler.offer().await;
        let grow = operation(
            "GROW_VOLUME",
            json!({ "volume": volume(64.0), "addition": fixed(scalar("disk", 36.0)) }),
        );
        let launch = launch(json!([task_with("t", &agent, volume(100.0))]));
        scheduler.accept(&offer, json!([grow, launch])).await;
        assert_eq!(kinds(&agent.applied().await), [operation::Type::GrowVolume]);
        let status = scheduler.status().await;
        assert_eq!(status.state(), TaskState::TaskError);
        assert!(status.message().contains("is more than available"), "{}", status.message());
        let offer = scheduler.offer().await;
        assert_eq!(volumes_of(&offer), [("v".to_owned(), 100.0)]);
        let shrink = |size: f64| {
            operation("SHRINK_VOLUME", json!({ "volume": volume(size), "subtract": { "value": 10.0 } }))
        };
        let mut offer = offer;
        // The second time there is a rest beside the volume: what the volume gives up comes to it (found by simulation;
        // upstream's allocator keeps as much of the rest).
        for size in [100.0, 90.0] {
            scheduler.accept(&offer, json!([shrink(size)])).await;
            offer = scheduler.offer().await;
            assert_eq!(
                (volumes_of(&offer), amount(&offer.resources, "disk")),
                (vec![("v".to_owned(), size - 10.0)], 100.0)
            );
        }
    });
}

/// Upstream: `ReservationTest.ReserveShareWithinRole`, `ReservationTest.PreventUnreservingAlienResources`.
#[test]
fn a_reservation_is_of_its_role_and_not_of_its_framework() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut first = cluster.subscribe(reserving_info()).await;
        let offer = first.offer().await;
        let all = json!([reserved(scalar("cpus", 4.0), "r")]);
        first.accept(&offer, json!([reserve(all.clone())])).await;
        agent.taken().await;
        first.call("TEARDOWN", json!(null)).await;
        // Another role is offered the rest only, and cannot undo it.
        let mut info = reserving_info();
        info["roles"] = json!(["s"]);
        let mut alien = cluster.subscribe(info).await;
        let offer = alien.offer().await;
        assert_eq!(amount(&offer.resources, "cpus"), 0.0);
        let mut undo = operation("UNRESERVE", json!({ "resources": all }));
        undo["id"] = json!({ "value": "x" });
        alien.accept(&offer, json!([undo])).await;
        assert_eq!(alien.operation_status().await.state(), OperationState::OperationError);
        assert_eq!(agent.applied().await, []);
        // Another framework of the role can use it.
        let mut second = cluster.subscribe(reserving_info()).await;
        assert_eq!(reserved_part(&second.offer().await), "cpus:4");
    });
}

/// Upstream: `ReservationCheckpointingTest.SendingCheckpointResourcesMessage`,
/// `SchedulerTest.OperationFeedbackValidationNoResourceProviderCapability`.
#[test]
fn an_agent_that_knows_no_operations_is_told_what_it_has_to_remember() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.stranger("cpus:4;mem:1024");
        let capabilities = mesos::AgentCapabilities {
            resource_provider: false,
            agent_operation_feedback: false,
            ..mesos::AgentCapabilities::ALL
        };
        agent.post(RegisterSlaveMessage {
            slave: agent.info.clone(),
            version: Some("1.4.0".into()),
            agent_capabilities: capabilities.to_protos(),
            ..Default::default()
        });
        let got = agent.taken().await;
        let [Got::Registered(registered)] = got.as_slice() else { panic!("{got:?}") };
        agent.info.id = Some(registered.slave_id.clone());
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let mut feedback = reserve(json!([reserved(scalar("cpus", 2.0), "r")]));
        feedback["id"] = json!({ "value": "x" });
        let plain = reserve(json!([reserved(scalar("cpus", 1.0), "r")]));
        scheduler.accept(&offer, json!([plain, feedback])).await;
        let got = agent.taken().await;
        let [Got::Checkpoint(message)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(amount(&message.resources, "cpus"), 1.0);
        let status = scheduler.operation_status().await;
        assert!(status.message().contains("AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER"), "{status:?}");
    });
}

/// Upstream: `PersistentVolumeTest.SharedPersistentVolumeMultipleTasks`,
/// `PersistentVolumeTest.SharedPersistentVolumeRescindOnDestroy`,
/// `PersistentVolumeTest.SharedPersistentVolumeMultipleFrameworks`,
/// `PersistentVolumeTest.DestroyPersistentVolumeMultipleTasks`.
#[test]
fn a_shared_volume_has_as_many_tasks_as_want_it_and_is_not_destroyed_under_them() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let mut shared = volume("v", 64.0, "r");
        shared["shared"] = json!({});
        let tasks = json!([task_with("t", &agent, shared.clone()), task_with("u", &agent, shared.clone())]);
        let operations = json!([
            reserve(json!([reserved(scalar("disk", 64.0), "r")])),
            create(json!([shared.clone()])),
            launch(tasks)
        ]);
        scheduler.accept(&offer, operations).await;
        assert_eq!(agent.launched().await.len(), 2);
        // It is offered while it is used.
        let offer = scheduler.offer().await;
        assert_eq!(volumes_of(&offer), [("v".to_owned(), 64.0)]);
        let mut destroy = operation("DESTROY", json!({ "volumes": [shared] }));
        destroy["id"] = json!({ "value": "x" });
        scheduler.accept(&offer, json!([destroy.clone()])).await;
        let status = scheduler.operation_status().await;
        assert!(status.message().starts_with("Persistent volumes in use; on agent"), "{status:?}");
        // What the tasks give back is another framework's, and the volume is part of it, too.
        let offer = scheduler.offer().await;
        assert_eq!(volumes_of(&offer), [("v".to_owned(), 64.0)]);
        scheduler.call("SUPPRESS", json!(null)).await;
        let mut other = cluster.subscribe(reserving_info()).await;
        for id in ["t", "u"] {
            agent.update(&scheduler.id, id, TaskState::TaskFinished);
            let finished = scheduler.status().await;
            scheduler.acknowledge(&finished).await;
        }
        assert_eq!(volumes_of(&other.offer().await), [("v".to_owned(), 64.0)]);
        // It is told that the volume is no more.
        scheduler.accept(&offer, json!([destroy])).await;
        assert_eq!(kinds(&agent.applied().await), [operation::Type::Destroy]);
        other.next_of(Type::Rescind).await;
    });
}

#[test]
fn who_does_not_hold_a_shared_volume_and_destroys_it_takes_nobodys_offers_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000;cpus(s):1").await;
        let mut holder = cluster.subscribe(reserving_info()).await;
        let offer = holder.offer().await;
        let mut shared = volume("v", 64.0, "r");
        shared["shared"] = json!({});
        let operations =
            json!([reserve(json!([reserved(scalar("disk", 64.0), "r")])), create(json!([shared.clone()]))]);
        holder.accept(&offer, operations).await;
        let held = holder.offer().await;
        assert_eq!(volumes_of(&held), [("v".to_owned(), 64.0)]);
        agent.taken().await;
        let mut info = reserving_info();
        info["roles"] = json!(["s"]);
        let mut other = cluster.subscribe(info).await;
        let rest = other.offer().await;
        assert_eq!(volumes_of(&rest), []);
        let mut destroy = operation("DESTROY", json!({ "volumes": [shared] }));
        destroy["id"] = json!({ "value": "x" });
        other.accept(&rest, json!([destroy])).await;
        let status = other.operation_status().await;
        assert!(status.message().contains("does not contain"), "{status:?}");
        assert_eq!(agent.applied().await, []);
        let rescinded = holder.pending().await.iter().any(|event| event.r#type() == Type::Rescind);
        assert!(!rescinded);
    });
}

#[test]
fn every_offer_of_a_shared_volume_that_an_operator_destroys_is_taken_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let mut shared = volume("v", 64.0, "r");
        shared["shared"] = json!({});
        let task = json!([task_with("t", &agent, shared.clone())]);
        let operations = json!([
            reserve(json!([reserved(scalar("disk", 64.0), "r")])),
            create(json!([shared.clone()])),
            launch(task)
        ]);
        scheduler.accept(&offer, operations).await;
        assert_eq!(volumes_of(&scheduler.offer().await), [("v".to_owned(), 64.0)]);
        scheduler.call("SUPPRESS", json!(null)).await;
        let mut other = cluster.subscribe(reserving_info()).await;
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let finished = scheduler.status().await;
        scheduler.acknowledge(&finished).await;
        assert_eq!(volumes_of(&other.offer().await), [("v".to_owned(), 64.0)]);
        if let Some(members) = shared.as_object_mut() {
            members.remove("allocation_info");
        }
        let call = json!({ "type": "DESTROY_VOLUMES", "destroy_volumes": {
            "agent_id": { "value": agent.id() }, "volumes": [shared] } });
        let (status, text) = cluster.api(call).await;
        assert_eq!((status, text.as_str()), (202, ""));
        scheduler.next_of(Type::Rescind).await;
        other.next_of(Type::Rescind).await;
    });
}

/// Upstream: `ReservationTest.CompatibleCheckpointedResources`, `PersistentVolumeTest.MasterFailover`,
/// `ReservationTest.MasterFailover`.
#[test]
fn what_an_agent_has_kept_is_offered_when_it_registers() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.stranger("cpus:4;mem:1024");
        let kept: v1::Resource =
            mesos::json::from_slice(reserved(scalar("cpus", 1.0), "r").to_string().as_bytes()).unwrap();
        agent.post(RegisterSlaveMessage {
            slave: agent.info.clone(),
            version: Some("1.11.0".into()),
            agent_capabilities: mesos::AgentCapabilities::ALL.to_protos(),
            checkpointed_resources: vec![kept],
            ..Default::default()
        });
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        assert_eq!(reserved_part(&scheduler.offer().await), "cpus:1");
    });
}
