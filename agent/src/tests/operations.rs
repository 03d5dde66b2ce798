//! Reservations and volumes: applied, stored, told, acknowledged; and what a restarted agent knows of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use libprocess::disk::{Durability, HostDisk};
use libprocess::simulation::SimulatedDisk;
use libprocess::testing::run;
use mesos::internal::slave::ResourceState;
use mesos::internal::{
    AcknowledgeOperationStatusMessage, ApplyOperationMessage, DrainSlaveMessage, PingSlaveMessage,
    ReconcileOperationsMessage, ResourceVersionUuid, UpdateOperationStatusMessage,
    reconcile_operations_message,
};
use mesos::v1::offer::{Operation, operation};
use mesos::v1::{self, OperationState, TaskState};
use mesos::{FrameworkId, Resources};

use super::harness::*;
use super::operator_api::get;
use super::restarts::reregistration;
use crate::Ended;
use crate::operations::volumes::testing::{reserved_disk, volume};
use crate::recovery::checkpoint;
use crate::recovery::paths::Paths;

/// As the master sends it: allocated to the role of the offer.
fn apply(number: u8, info: Operation) -> ApplyOperationMessage {
    let id = Some(v1::OperationId { value: format!("o{number}") });
    ApplyOperationMessage {
        framework_id: Some(FrameworkId::from(FRAMEWORK).to_proto()),
        operation_info: Operation { id, ..info },
        operation_uuid: v1::Uuid { value: vec![number; 16] },
        ..Default::default()
    }
}

fn allocated(resource: v1::Resource) -> v1::Resource {
    let allocation_info = Some(v1::resource::AllocationInfo { role: Some("r".into()) });
    v1::Resource { allocation_info, ..resource }
}

fn reserve(number: u8) -> ApplyOperationMessage {
    let reserve = operation::Reserve { resources: vec![allocated(reserved_disk("r"))], ..Default::default() };
    let kind = operation::Type::Reserve;
    apply(number, Operation { r#type: Some(kind.into()), reserve: Some(reserve), ..Default::default() })
}

fn create(number: u8) -> ApplyOperationMessage {
    let create = operation::Create { volumes: vec![allocated(volume("r", "v"))] };
    let kind = operation::Type::Create;
    apply(number, Operation { r#type: Some(kind.into()), create: Some(create), ..Default::default() })
}

fn destroy(number: u8) -> ApplyOperationMessage {
    let destroy = operation::Destroy { volumes: vec![allocated(volume("r", "v"))] };
    let kind = operation::Type::Destroy;
    apply(number, Operation { r#type: Some(kind.into()), destroy: Some(destroy), ..Default::default() })
}

fn told(world: &World) -> Vec<UpdateOperationStatusMessage> {
    let of = |heard| if let Heard::Operation(message) = heard { Some(message) } else { None };
    world.hears().into_iter().filter_map(of).collect()
}

fn states(world: &World) -> Vec<(u8, OperationState)> {
    let of = |message: UpdateOperationStatusMessage| {
        (message.operation_uuid.unwrap().value[0], message.status.state())
    };
    told(world).into_iter().map(of).collect()
}

async fn acknowledge(world: &World) {
    for message in told(world) {
        world
            .master_says(AcknowledgeOperationStatusMessage {
                status_uuid: message.status.uuid.unwrap(),
                operation_uuid: message.operation_uuid.unwrap(),
                resource_provider_id: None,
            })
            .await;
    }
    world.forget();
}

fn place(work_dir: &Path) -> PathBuf {
    work_dir.canonicalize().unwrap().join("volumes/roles/r/v")
}

const FINISHED: OperationState = OperationState::OperationFinished;

/// Upstream: `PersistentVolumeTest.CreateAndDestroyPersistentVolumes`.
/// Upstream, too: `AgentOperationFeedbackTest.OperationUpdateContainsAgentID`.
#[test]
fn volumes_are_directories_while_they_exist() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(reserve(1)).await;
        world.master_says(create(2)).await;
        assert_eq!(states(&world), [(1, FINISHED), (2, FINISHED)]);
        let told = told(&world);
        assert_eq!(told[0].status.operation_id.as_ref().unwrap().value, "o1");
        assert_eq!(told[0].slave_id.as_ref().unwrap().value, AGENT);
        assert_eq!(told[0].status.agent_id.as_ref().unwrap().value, AGENT);
        let place = place(directory.path());
        std::fs::write(place.join("data"), "x").unwrap();
        acknowledge(&world).await;
        world.master_says(destroy(3)).await;
        assert_eq!(states(&world), [(3, FINISHED)]);
        assert!(!place.exists());
    });
}

/// An earlier life of the master has sent it, to the same address.
#[test]
fn an_operation_that_was_on_its_way_when_the_agent_registered_again_is_ignored() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        let Heard::Register(message) = world.hears().remove(0) else { panic!("{:?}", world.hears()) };
        let of_version = |message: ApplyOperationMessage, version: &v1::Uuid| ApplyOperationMessage {
            resource_version_uuid: ResourceVersionUuid { resource_provider_id: None, uuid: version.clone() },
            ..message
        };
        let before = message.resource_version_uuid.unwrap();
        world.master_says(of_version(reserve(1), &before)).await;
        assert_eq!(states(&world), [(1, FINISHED)]);
        acknowledge(&world).await;
        world.forget();
        world.master_says(PingSlaveMessage { connected: false }).await;
        world.pass(Duration::from_secs(1)).await;
        let since = reregistration(&world).unwrap().resource_version_uuid.unwrap();
        world.forget();
        world.master_says(of_version(create(2), &before)).await;
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(told(&world), []);
        assert!(!place(directory.path()).exists());
        assert!(reregistration(&world).is_some(), "the master has to undo what it has made of its books");
        world.master_says(of_version(create(2), &since)).await;
        assert_eq!(states(&world), [(2, FINISHED)]);
        assert!(place(directory.path()).exists());
    });
}

/// Upstream: `SlaveTest.UpdateOperationStatusRetry`.
/// Upstream, too: `AgentOperationFeedbackTest.RetryOperationStatusUpdate`.
/// Upstream, too: `OperationStatusUpdateManagerTest.UpdateAndAck`,
/// `OperationStatusUpdateManagerTest.ResendUnacknowledged`, `OperationStatusUpdateManagerTest.RejectDuplicateAck`.
#[test]
fn an_outcome_is_told_again_until_it_is_acknowledged() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(reserve(1)).await;
        world.pass(Duration::from_secs(9)).await;
        assert_eq!(told(&world).len(), 1);
        world.pass(Duration::from_secs(2)).await;
        let again = told(&world);
        assert_eq!((again.len(), &again[0]), (2, &again[1]));
        // The second pause is of 20 seconds.
        world.pass(Duration::from_secs(15)).await;
        assert_eq!(told(&world).len(), 2);
        world.pass(Duration::from_secs(6)).await;
        assert_eq!(told(&world).len(), 3);
        // Another one does not wait for the first one's next turn.
        world.forget();
        world.master_says(create(2)).await;
        world.pass(Duration::from_secs(11)).await;
        assert_eq!(states(&world), [(2, FINISHED), (2, FINISHED)]);
        world.pass(Duration::from_secs(60)).await;
        acknowledge(&world).await;
        world.pass(Duration::from_secs(3600)).await;
        assert_eq!(told(&world), []);
    });
}

/// Upstream: `AgentAPITest.GetOperations`, there of a resource provider.
#[test]
fn operators_are_shown_an_operation_until_its_outcome_is_acknowledged() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(reserve(1)).await;
        let shown = get(&world, "GET_OPERATIONS").await;
        let operation = &shown["operations"][0];
        assert_eq!(operation["info"]["id"]["value"], "o1");
        assert_eq!(operation["latest_status"]["state"], "OPERATION_FINISHED");
        acknowledge(&world).await;
        assert_eq!(get(&world, "GET_OPERATIONS").await.to_string(), "{}");
    });
}

/// Upstream: `SlaveTest.RetryOperationStatusUpdateAfterRecovery`, `PersistentVolumeTest.SlaveRecovery`,
/// `ReservationTest.ResourcesCheckpointing`, `PersistentVolumeTest.ResourcesCheckpointing`,
/// `CompatibleCheckpointedResourcesWithPersistentVolumes`.
/// Upstream, too: `SlaveRecoveryTest.CheckpointedResources`,
/// `SlaveRecoveryTest.CheckpointedResourcesResourceProviderCapable`.
/// Upstream, too: `OperationStatusUpdateManagerTest.RecoverCheckpointedStream`,
/// `OperationStatusUpdateManagerTest.RecoverTerminatedStream`.
#[test]
fn a_restarted_agent_has_what_was_made_and_tells_what_nobody_acknowledged() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(reserve(1)).await;
        acknowledge(&world).await;
        world.master_says(create(2)).await;
        let first = told(&world).remove(0);
        std::fs::write(place(directory.path()).join("data"), "x").unwrap();
        world.crash().await;

        let world = World::new(directory.path()).await.once_registered().await;
        let message = reregistration(&world).unwrap();
        let kept = Resources::try_from_protos(&message.checkpointed_resources).unwrap();
        assert_eq!(kept.to_string(), Resources::try_from_protos(&[volume("r", "v")]).unwrap().to_string());
        let reported = world.hears().into_iter().find_map(|heard| match heard {
            Heard::Resources(message) => Some(message.operations.unwrap().operations),
            _ => None,
        });
        assert_eq!(reported.unwrap()[0].uuid.value, [2; 16], "the other one was acknowledged");
        assert_eq!(told(&world), [first]);
        assert!(place(directory.path()).join("data").exists());
        acknowledge(&world).await;
        world.crash().await;
        let world = World::new(directory.path()).await.once_registered().await;
        assert_eq!(told(&world), []);
    });
}

/// No master would take them. What they have made is the host's.
#[test]
fn operations_of_an_earlier_id_of_the_agent_are_not_told() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(reserve(1)).await;
        world.master_says(create(2)).await;
        world.crash().await;
        let file = Paths::new(directory.path()).resource_state();
        let mut state: ResourceState = checkpoint::read_message(&HostDisk, &file).unwrap().unwrap();
        assert_eq!(state.operations.len(), 2);
        state.operations[0].agent_id = Some(v1::AgentId { value: "M-S9".into() });
        checkpoint::write_message(&HostDisk, &file, &state, Durability::Process).unwrap();

        let world = World::new(directory.path()).await.once_registered().await;
        assert_eq!(states(&world), [(2, FINISHED)]);
        let reported = world.hears().into_iter().find_map(|heard| match heard {
            Heard::Resources(message) => Some(message.operations.unwrap().operations),
            _ => None,
        });
        assert_eq!(reported.unwrap().len(), 1);
        assert_eq!(reregistration(&world).unwrap().checkpointed_resources.len(), 1);
    });
}

/// Whatever the power takes, what the master heard of is there.
#[test]
fn a_power_failure_takes_nothing_that_was_told() {
    for seed in 0..20 {
        run(async move {
            let disk = SimulatedDisk::new(seed, SystemTime::UNIX_EPOCH);
            let work = Path::new("/work");
            let world = World::on(Arc::new(disk.mount()), work, &[]).await.once_registered().await;
            world.master_says(reserve(1)).await;
            world.master_says(create(2)).await;
            assert_eq!(states(&world), [(1, FINISHED), (2, FINISHED)]);
            world.crash().await;
            disk.lose_power();
            let world = World::on(Arc::new(disk.mount()), work, &[]).await.once_registered().await;
            let message = reregistration(&world).unwrap();
            assert_eq!(message.checkpointed_resources.len(), 1);
            assert_eq!(states(&world), [(1, FINISHED), (2, FINISHED)]);
            assert!(world.node.disk().exists(&work.join("volumes/roles/r/v")));
        });
    }
}

/// Upstream: `ReservationTest.IncompatibleCheckpointedResources`,
/// `PersistentVolumeTest.IncompatibleCheckpointedResources`.
#[test]
fn an_agent_that_is_given_less_than_what_was_made_of_it_does_not_start() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(reserve(1)).await;
        world.crash().await;
        // As a new agent: an old one would not start with other resources at all.
        std::fs::remove_file(directory.path().join("meta/slaves/latest")).unwrap();
        let mut world = World::with(directory.path(), &["--resources=cpus:4;mem:4096;disk:32"]).await;
        let Ended::Failed(reason) = world.running.wait().await else { panic!("it did not fail") };
        assert!(reason.contains("do not fit --resources: Incompatible agent resources"), "{reason}");
    });
}

/// What ran there, and what it was promised, is given up only for an agent that does start.
#[test]
fn after_a_boot_an_agent_that_does_not_start_with_less_is_the_same_once_it_has_what_it_had() {
    run(async {
        let (disk, work) = (SimulatedDisk::new(1, SystemTime::UNIX_EPOCH), Path::new("/work"));
        let world = World::on(Arc::new(disk.mount()), work, &[]).await.once_registered().await;
        world.master_says(reserve(1)).await;
        world.crash().await;
        disk.lose_power();
        let less = ["--resources=cpus:4;mem:4096;disk:32"];
        let mut world = World::on(Arc::new(disk.mount()), work, &less).await;
        let Ended::Failed(reason) = world.running.wait().await else { panic!("it did not fail") };
        assert!(reason.contains("do not fit --resources"), "{reason}");
        world.crash().await;
        let world = World::on(Arc::new(disk.mount()), work, &[]).await.once_registered().await;
        assert_eq!(reregistration(&world).unwrap().slave.id.unwrap().value, AGENT);
    });
}

#[test]
fn what_does_not_fit_is_dropped_and_the_agent_registers_again() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        // Nothing is reserved.
        world.master_says(create(1)).await;
        assert_eq!(states(&world), [(1, OperationState::OperationDropped)]);
        assert!(told(&world)[0].status.message().contains("does not contain"));
        world.pass(Duration::from_secs(2)).await;
        assert!(reregistration(&world).unwrap().checkpointed_resources.is_empty());
    });
}

/// Upstream: `MasterSlaveReconciliationTest.ReconcileDroppedOperation`,
/// `OperationReconciliationTest.FrameworkReconciliationRaceWithUpdateSlaveMessage`.
/// Upstream, too: `AgentOperationFeedbackTest.DroppedOperationStatusUpdate`.
#[test]
fn an_operation_that_never_came_was_dropped_and_one_that_nobody_knows_is_unknown() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        *world.admits.lock() = false;
        world.master_says(mesos::internal::PingSlaveMessage { connected: false }).await;
        world.master_says(reserve(1)).await;
        assert_eq!(told(&world), [], "it is registering");
        *world.admits.lock() = true;
        world.pass(Duration::from_secs(60)).await;
        world.master_says(reserve(2)).await;
        world.forget();
        let by_uuid = |number: u8| reconcile_operations_message::Operation {
            operation_uuid: Some(v1::Uuid { value: vec![number; 16] }),
            ..Default::default()
        };
        let asked = vec![by_uuid(1), by_uuid(2)];
        world.master_says(ReconcileOperationsMessage { operations: asked, framework_id: None }).await;
        assert_eq!(states(&world), [(1, OperationState::OperationDropped)]);
        let status = told(&world).remove(0).status;
        assert_eq!((status.uuid, status.resource_provider_id), (None, None));
        assert_eq!(status.agent_id.unwrap().value, AGENT);
        world.forget();
        let by_name = |name: &str| reconcile_operations_message::Operation {
            operation_id: Some(v1::OperationId { value: name.into() }),
            ..Default::default()
        };
        let framework_id = Some(FrameworkId::from(FRAMEWORK).to_proto());
        let asked = vec![by_name("o2"), by_name("o9")];
        world.master_says(ReconcileOperationsMessage { operations: asked, framework_id }).await;
        let told: Vec<_> = told(&world).iter().map(|message| message.status.state()).collect();
        assert_eq!(told, [FINISHED, OperationState::OperationUnknown]);
    });
}

/// Upstream: `Slave::updateDrainStatus`.
#[test]
fn an_agent_is_drained_when_its_operations_are_acknowledged() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let world = World::registered(directory.path()).await;
        world.master_says(reserve(1)).await;
        world.master_says(DrainSlaveMessage { config: v1::DrainConfig::default() }).await;
        world.run(&framework(false), task("t", "e")).await;
        assert_eq!(world.states("t"), [TaskState::TaskDropped]);
        world.acknowledge("t").await;
        acknowledge(&world).await;
        world.run(&framework(false), task("u", "e")).await;
        assert_eq!(world.containers.lock().launched.len(), 1, "it takes tasks again");
    });
}
