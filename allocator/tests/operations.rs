//! Operations on resources: what frameworks make of their offers, and operators of what is free.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::*;
use allocator::EventError;
use mesos::Resources;
use mesos::resources::{ResourceConversion, conversions};
use mesos::v1::framework_info::capability::Type;

fn give_all_back(cluster: &mut Cluster, offer: &Offer) {
    cluster.give_back(offer, &offer.resources.clone(), None);
}

#[test]
fn a_reservation_changes_the_agent_and_what_the_framework_holds() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["a"]);
    cluster.framework("B", &["b"]);
    let offer = cluster.run().remove(0);
    let part = reserved(&resources("cpus:1;mem:512"), Reservation::Dynamic, "a");
    let converted = cluster.apply(&offer, reserve, &part);
    assert_eq!(converted.resources, resources("cpus:3;mem:512") + &part);
    let (a, agent) = (framework_id("A"), agent_id("agent"));
    assert_eq!(cluster.core.held(&a, &agent)["a"], converted.resources);
    // A framework cannot convert what it does not hold.
    let steps: Vec<ResourceConversion> = conversions(&reserve(&part.allocated_to("a"))).unwrap();
    let again = cluster.core.update_allocation(&a, &agent, &offer.resources.allocated_to("a"), &steps);
    assert!(matches!(again, Err(EventError::NotHeld { .. })));
    // Given back, the reserved part is for the role alone.
    give_all_back(&mut cluster, &converted);
    cluster.core.suppress_offers(&a, &set(&["a"])).unwrap();
    assert_eq!(told(&cluster.tick()), ["B/b@agent: cpus:3; mem:512"]);
}

/// Upstream: `UpdateAllocation`.
#[test]
fn a_volume_that_a_framework_made_is_in_the_next_offer() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:100;mem:100;disk:100");
    cluster.framework("F", &["role1"]);
    let offer = cluster.run().remove(0);
    let volume = volume(&resources("disk:5"), "ID");
    let updated = cluster.apply(&offer, create, &volume);
    assert_eq!(updated.resources, resources("cpus:100;mem:100;disk:95") + &volume);
    give_all_back(&mut cluster, &updated);
    assert_offer(&cluster.only_offer(), "F", "role1", "agent", &updated.resources);
}

/// Upstream: `UpdateAllocationRemoveResources`.
#[test]
fn a_conversion_may_leave_nothing_of_what_it_takes() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:100;mem:100;disk:100");
    cluster.framework("F", &["role1"]);
    let offer = cluster.run().remove(0);
    let removed = ResourceConversion::new(resources("disk:100").allocated_to("role1"), Resources::new());
    let offered = offer.resources.allocated_to("role1");
    cluster.core.update_allocation(&framework_id("F"), &agent_id("agent"), &offered, &[removed]).unwrap();
    assert!(cluster.core.balances());
    assert_eq!(cluster.core.resource_use("disk").total, 0.0);
    cluster.give_back(&offer, &resources("cpus:100;mem:100"), None);
    assert_offer(&cluster.only_offer(), "F", "role1", "agent", &resources("cpus:100;mem:100"));
}

/// Upstream: `UpdateAllocationSharedPersistentVolume`.
#[test]
fn a_shared_volume_is_made_offered_and_destroyed() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:100;mem:100;disk(role1):100");
    cluster.framework_of("F", &framework_with(&["role1"], &[Type::MultiRole, Type::SharedResources]));
    let offer = cluster.run().remove(0);
    let volume = shared_volume(&resources("disk(role1):5"), "id1");
    let updated = cluster.apply(&offer, create, &volume);
    assert_eq!(updated.resources, resources("cpus:100;mem:100;disk(role1):95") + &volume);
    give_all_back(&mut cluster, &updated);
    let offer = cluster.only_offer();
    assert_offer(&offer, "F", "role1", "agent", &updated.resources);

    let updated = cluster.apply(&offer, destroy, &volume);
    assert_eq!(updated.resources, resources("cpus:100;mem:100;disk(role1):100"));
    give_all_back(&mut cluster, &updated);
    assert_offer(&cluster.only_offer(), "F", "role1", "agent", &updated.resources);
}

#[test]
fn an_operation_is_no_turn_of_its_framework() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024;disk:100");
    cluster.framework("A", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.framework("B", &["role"]);
    let updated = cluster.apply(&offer, create, &volume(&resources("disk:5"), "ID"));
    give_all_back(&mut cluster, &updated);
    let second = cluster.only_offer();
    assert_eq!(second.framework, "B");
    give_all_back(&mut cluster, &second);
    // Both had one turn, and the smaller name is next.
    assert_eq!(cluster.only_offer().framework, "A");
}

/// Upstream: `UpdateAvailableSuccess`, `UpdateAvailableFail`.
#[test]
fn an_operator_reserves_what_is_free_and_not_what_is_offered() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:100;mem:100;disk:100");
    let part = reserved(&resources("cpus:25;mem:50"), Reservation::Dynamic, "role1");
    cluster.apply_to_free("agent", &reserve(&part));
    cluster.framework("F", &["role1"]);
    let offers = cluster.run();
    assert_eq!(offers.len(), 1);
    assert_offer(&offers[0], "F", "role1", "agent", &(resources("cpus:75;mem:50;disk:100") + &part));

    let refused = cluster.core.update_available(&agent_id("agent"), &[reserve(&part)]);
    assert!(matches!(refused, Err(EventError::Resources(_))));
    assert!(cluster.core.balances());
    assert_eq!(cluster.core.free(&agent_id("agent")), Some(Resources::new()));
}

#[test]
fn what_an_operator_reserved_is_for_its_role_alone() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    let part = reserved(&resources("cpus:3;mem:512"), Reservation::Dynamic, "a");
    cluster.apply_to_free("agent", &reserve(&part));
    cluster.framework("B", &["b"]);
    assert_eq!(told(&cluster.run()), ["B/b@agent: cpus:1; mem:512"]);
    cluster.framework("A", &["a"]);
    assert_offer(&cluster.run()[0], "A", "a", "agent", &part);
}
