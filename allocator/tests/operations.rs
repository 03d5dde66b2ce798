//! Operations on resources: what frameworks make of their offers, and operators of what is free.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use mesos::resources::{ResourceConversion, conversions};
use mesos::v1::offer::{Operation, operation};
use mesos::v1::resource::{ReservationInfo, reservation_info};

fn reserve(text: &str, role: &str, allocated: bool) -> Operation {
    let reservation = ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic as i32),
        role: Some(role.into()),
        ..Default::default()
    };
    let mut reserved = resources(text).push_reservation(&reservation).unwrap();
    if allocated {
        reserved.allocate(role);
    }
    Operation {
        r#type: Some(operation::Type::Reserve as i32),
        reserve: Some(operation::Reserve { resources: reserved.to_protos(), ..Default::default() }),
        ..Default::default()
    }
}

/// Upstream: `UpdateAllocation`, `QuotaAccountingReserveAllocatedResources`.
#[test]
fn a_reservation_changes_the_agent_and_what_the_framework_holds() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["a"]);
    cluster.framework("B", &["b"]);
    let offer = cluster.run().remove(0);
    let operation = reserve("cpus:1;mem:512", "a", true);
    let steps: Vec<ResourceConversion> = conversions(&operation).unwrap();
    let (a, agent) = (framework_id("A"), agent_id("agent"));
    let offered = offer.resources.allocated_to("a");
    cluster.core.update_allocation(&a, &agent, &offered, &steps).unwrap();
    assert!(cluster.core.balances());
    let held = cluster.core.held(&a, &agent).remove("a").unwrap();
    assert_eq!(held, resources("cpus:4;mem:1024").apply(&reserve("cpus:1;mem:512", "a", false)).unwrap());
    // A framework cannot convert what it does not hold.
    let again = cluster.core.update_allocation(&a, &agent, &offered, &steps);
    assert!(matches!(again, Err(allocator::EventError::NotHeld { .. })));
    // Given back, the reserved part is for the role alone.
    cluster.give_back(&offer, &held, None);
    cluster.core.suppress_offers(&a, &set(&["a"])).unwrap();
    assert_eq!(told(&cluster.tick()), ["B/b@agent: cpus:3; mem:512"]);
}

/// Upstream: `UpdateAvailableSuccess`, `UpdateAvailableFail`.
#[test]
fn an_operator_reserves_what_is_free_and_not_what_is_offered() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    let operation = reserve("cpus:3;mem:512", "a", false);
    cluster.core.update_available(&agent_id("agent"), std::slice::from_ref(&operation)).unwrap();
    assert!(cluster.core.balances());
    cluster.framework("B", &["b"]);
    assert_eq!(told(&cluster.run()), ["B/b@agent: cpus:1; mem:512"]);
    let refused = cluster.core.update_available(&agent_id("agent"), &[reserve("cpus:1", "b", false)]);
    assert!(matches!(refused, Err(allocator::EventError::Resources(_))));
    assert!(cluster.core.balances());
    cluster.framework("A", &["a"]);
    assert_eq!(cluster.run()[0].framework, "A");
}
