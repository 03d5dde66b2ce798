//! Operations as conversions.

use super::*;
use crate::v1::{offer::Operation, offer::operation, value};

fn operation(kind: operation::Type) -> Operation {
    let mut operation = Operation::default();
    operation.set_type(kind);
    operation
}

fn reserve(resources: &[v1::Resource]) -> Operation {
    let part = operation::Reserve { resources: resources.to_vec(), source: Vec::new() };
    Operation { reserve: Some(part), ..operation(operation::Type::Reserve) }
}

fn unreserve(resources: &[v1::Resource]) -> Operation {
    let part = operation::Unreserve { resources: resources.to_vec() };
    Operation { unreserve: Some(part), ..operation(operation::Type::Unreserve) }
}

fn create(volume: &v1::Resource) -> Operation {
    let part = operation::Create { volumes: vec![volume.clone()] };
    Operation { create: Some(part), ..operation(operation::Type::Create) }
}

fn destroy(volume: &v1::Resource) -> Operation {
    let part = operation::Destroy { volumes: vec![volume.clone()] };
    Operation { destroy: Some(part), ..operation(operation::Type::Destroy) }
}

/// Upstream: `ResourcesOperationTest.ReserveResources`, `UnreserveResources`, `FlattenResources`.
#[test]
fn reserving_and_unreserving_changes_only_the_reservation() {
    let total = resources("cpus:1;mem:512");
    let cpu = reserved("cpus:1", dynamic("role", "principal"));
    let with_reserved = bag(&[&cpu, &proto("mem:512")]);
    assert_eq!(total.apply(&reserve(std::slice::from_ref(&cpu))), Ok(with_reserved.clone()));
    assert_eq!(with_reserved.apply(&unreserve(&[cpu])), Ok(total.clone()));
    let two = reserved("cpus:2", dynamic("role", "principal"));
    assert!(with_reserved.apply(&unreserve(std::slice::from_ref(&two))).is_err());
    assert_eq!(
        total.apply(&reserve(&[two])).unwrap_err().to_string(),
        "cpus:1; mem:512 does not contain cpus:2"
    );
}

#[test]
fn a_reservation_can_name_what_it_is_made_of() {
    let ads = reserved("cpus:1", dynamic("eng/ads", "p"));
    let mobile = reserved("cpus:1", dynamic("eng/mobile", "p"));
    let mut operation = reserve(std::slice::from_ref(&mobile));
    operation.reserve.as_mut().unwrap().source = vec![ads.clone()];
    assert_eq!(bag(&[&ads]).apply(&operation), Ok(bag(&[&mobile])));
}

/// Upstream: `ResourcesOperationTest.CreatePersistentVolume`, `CreateSharedPersistentVolume`.
#[test]
fn a_volume_is_cut_out_of_its_disk_and_given_back() {
    let total = resources("cpus:1;disk(role):1000");
    for volume in [
        disk("disk(role):200", Some("1"), Some("path"), None),
        shared(disk("disk(role):200", Some("1"), Some("path"), None)),
    ] {
        let created = total.apply(&create(&volume)).unwrap();
        assert_eq!(created, resources("cpus:1;disk(role):800") + bag(&[&volume]));
        assert_eq!(created.apply(&destroy(&volume)), Ok(total.clone()));
    }
    let too_large = disk("disk(role):2000", Some("1"), Some("path"), None);
    assert!(total.apply(&create(&too_large)).is_err());
}

/// Upstream: `ResourcesOperationTest.CreatePersistentVolumeFromMount`.
#[test]
fn a_volume_on_a_mount_takes_all_of_it() {
    let mount = || Some(disk_source(source::Type::Mount, "mnt"));
    let total = bag(&[&disk("disk(role):200", None, None, mount())]);
    assert!(total.apply(&create(&disk("disk(role):200", Some("1"), Some("path"), mount()))).is_ok());
    assert!(total.apply(&create(&disk("disk(role):50", Some("1"), Some("path"), mount()))).is_err());
}

/// Upstream: `ResourcesOperationTest.DestroySharedPersistentVolumeMultipleCopies`.
#[test]
fn a_shared_volume_in_use_elsewhere_is_not_destroyed() {
    let volume = shared(disk("disk(role):200", Some("1"), Some("path"), None));
    let total = bag(&[&volume, &volume]);
    let message = total.apply(&destroy(&volume)).unwrap_err().to_string();
    assert!(message.ends_with("cannot be removed due to additional shared copies"), "{message}");
}

#[test]
fn volumes_grow_and_shrink() {
    let small = disk("disk(role):2", Some("1"), Some("path"), None);
    let large = disk("disk(role):6", Some("1"), Some("path"), None);
    let grow = Operation {
        grow_volume: Some(operation::GrowVolume { volume: small.clone(), addition: proto("disk(role):4") }),
        ..operation(operation::Type::GrowVolume)
    };
    let before = bag(&[&small, &proto("disk(role):4")]);
    let after = bag(&[&large]);
    assert_eq!(before.apply(&grow), Ok(after.clone()));
    let shrink = |by: f64| Operation {
        shrink_volume: Some(operation::ShrinkVolume {
            volume: large.clone(),
            subtract: value::Scalar { value: by },
        }),
        ..operation(operation::Type::ShrinkVolume)
    };
    assert_eq!(after.apply(&shrink(4.0)), Ok(before));
    assert!(after.apply(&shrink(6.0)).is_err());
}

#[test]
fn operations_without_conversion_say_so() {
    for kind in [operation::Type::Launch, operation::Type::CreateDisk] {
        let message = resources("cpus:1").apply(&operation(kind)).unwrap_err().to_string();
        assert_eq!(message, "Cannot get conversions: Operation not supported");
    }
    let message = resources("cpus:1").apply(&operation(operation::Type::Reserve)).unwrap_err().to_string();
    assert_eq!(message, "Cannot get conversions: RESERVE operation without its part");
}

#[test]
fn operations_from_outside_are_checked_and_brought_into_the_new_format() {
    let mut old = v1::Resource { role: Some("role".into()), ..proto("cpus:1") };
    old.reservation = Some(Box::new(ReservationInfo { principal: Some("p".into()), ..Default::default() }));
    let mut operation = reserve(&[old]);
    validate_and_upgrade_operation(&mut operation).unwrap();
    assert_eq!(operation, reserve(&[reserved("cpus:1", dynamic("role", "p"))]));
    for (kind, message) in [
        (
            operation::Type::Unreserve,
            "An UNRESERVE offer operation must have the Offer.Operation.unreserve field set.",
        ),
        (
            operation::Type::GrowVolume,
            "A GROW_VOLUME operation must have the Offer.Operation.grow_volume field set",
        ),
        (operation::Type::Unknown, "Unknown offer operation"),
    ] {
        let mut operation = super::operations::operation(kind);
        assert_eq!(validate_and_upgrade_operation(&mut operation).unwrap_err().to_string(), message);
    }
    let mut launch = operation_with_task(v1::Resource { name: String::new(), ..proto("cpus:1") });
    assert_eq!(
        validate_and_upgrade_operation(&mut launch).unwrap_err().to_string(),
        "Resource ':1' is invalid: Empty resource name"
    );
}

fn operation_with_task(resource: v1::Resource) -> Operation {
    let task = v1::TaskInfo { resources: vec![resource], ..Default::default() };
    Operation {
        launch: Some(operation::Launch { task_infos: vec![task] }),
        ..operation(operation::Type::Launch)
    }
}

#[test]
fn an_agent_finds_its_checkpointed_reservations_and_volumes_again() {
    let started_with = resources("cpus:4;disk:100;disk(role):50");
    let mut on_refined = disk("disk(role):20", Some("1"), Some("path"), None);
    on_refined.reservations.push(dynamic("role/sub", "p"));
    let checkpointed = bag(&[&reserved("cpus:1", dynamic("role", "p")), &on_refined]);
    let total = started_with.apply_checkpointed(&checkpointed).unwrap();
    assert_eq!(total, resources("cpus:3;disk:100;disk(role):30") + &checkpointed);
    assert!(resources("cpus:4").apply_checkpointed(&checkpointed).is_err());
    assert!(started_with.apply_checkpointed(&resources("cpus:1")).is_err());
}

/// Upstream: `ProtobufUtilTest.InjectAndStripAllocationInfoInOfferOperation`.
#[test]
fn every_resource_of_an_operation_is_given_its_role_and_loses_it_again() {
    let executor = v1::ExecutorInfo { resources: vec![proto("mem:32")], ..Default::default() };
    let task = v1::TaskInfo {
        resources: vec![proto("cpus:1")],
        executor: Some(executor.clone()),
        ..Default::default()
    };
    let launch = Operation {
        launch: Some(operation::Launch { task_infos: vec![task.clone()] }),
        ..operation(operation::Type::Launch)
    };
    let task_group = v1::TaskGroupInfo { tasks: vec![task] };
    let launch_group = Operation {
        launch_group: Some(operation::LaunchGroup { executor, task_group }),
        ..operation(operation::Type::LaunchGroup)
    };
    let one = proto("disk(role):1");
    for (before, resources) in [
        (launch, 2),
        (launch_group, 3),
        (reserve(std::slice::from_ref(&one)), 1),
        (unreserve(std::slice::from_ref(&one)), 1),
        (create(&one), 1),
        (destroy(&one), 1),
    ] {
        let mut injected = before.clone();
        injected.inject_allocation("role");
        let roles: Vec<_> = injected
            .resource_lists()
            .into_iter()
            .flatten()
            .map(|r| r.allocation_info.as_ref().unwrap().role().to_owned())
            .collect();
        assert_eq!(roles, vec!["role"; resources]);
        injected.strip_allocation();
        assert_eq!(injected, before);
    }
}

#[test]
fn the_provider_is_the_one_of_all_resources() {
    let mut provided = proto("cpus:1");
    provided.provider_id = Some(Box::new(v1::ResourceProviderId { value: "rp".into() }));
    assert_eq!(operation_provider(&reserve(&[provided.clone()])), Ok(Some("rp".into())));
    assert_eq!(operation_provider(&reserve(&[proto("cpus:1")])), Ok(None));
    assert!(operation_provider(&reserve(&[])).is_err());
    assert_eq!(bag(&[&provided]).provider(), Ok(Some(&"rp".into())));
    assert!(bag(&[&provided, &proto("mem:1")]).provider().is_err());
}

/// Upstream: `ResourcesTest.ReservationAncestor`.
#[test]
fn the_common_ancestor_of_two_reservations_is_what_both_begin_with() {
    let base = resources("cpus:2;mem:10");
    let eng = base.push_reservation(&dynamic("eng", "p")).unwrap();
    let ads = eng.push_reservation(&dynamic("eng/ads", "p")).unwrap();
    let mobile = eng.push_reservation(&dynamic("eng/mobile", "p")).unwrap();
    assert_eq!(ads.reservation_ancestor(&mobile), Some(eng.clone()));
    assert_eq!(ads.reservation_ancestor(&ads), Some(ads.clone()));
    assert_eq!(ads.reservation_ancestor(&base), Some(base.clone()));
    assert_eq!(ads.reservation_ancestor(&resources("cpus:1")), None);
}
