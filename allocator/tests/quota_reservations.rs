//! Reservations and quotas: what is reserved for a role counts against its quota, used or not, and is no
//! headroom for others.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::*;
use mesos::v1::framework_info::capability::Type;

const BOTH_KINDS: [Reservation; 2] = [Reservation::Dynamic, Reservation::Static];

/// Upstream: `ReservationUnallocated`.
#[test]
fn a_reservation_that_nobody_uses_counts_against_the_limit() {
    for kind in BOTH_KINDS {
        let mut cluster = Cluster::new();
        let part = reserved(&resources("cpus:1;mem:1024"), kind, "q");
        cluster.agent_of("agent1", &part);
        cluster.core.update_quota("q", &exact_quota("cpus:1;mem:1024"));
        cluster.framework("Q", &["q"]);
        let offer = cluster.run().remove(0);
        assert_offer(&offer, "Q", "q", "agent1", &part);
        cluster.decline(&offer, A_DAY);
        cluster.agent("agent2", "cpus:1;mem:1024");
        assert!(cluster.run().is_empty());
    }
}

/// Upstream: `ReservationAllocated`.
#[test]
fn a_reservation_that_is_used_counts_against_the_limit() {
    for kind in BOTH_KINDS {
        let mut cluster = Cluster::new();
        let part = reserved(&resources("cpus:1;mem:1024"), kind, "q");
        cluster.agent_of("agent1", &part);
        cluster.core.update_quota("q", &exact_quota("cpus:2;mem:2048"));
        cluster.framework("Q", &["q"]);
        assert_offer(&cluster.run()[0], "Q", "q", "agent1", &part);
        assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:1024"), ["Q/q@agent2: cpus:1; mem:1024"]);
        assert!(cluster.with_agent("agent3", "cpus:1;mem:1024").is_empty());
    }
}

/// Upstream: `NonQuotaRoleReservationWithQuotaRole`.
#[test]
fn headroom_for_one_role_holds_no_reservation_of_another_back() {
    for kind in BOTH_KINDS {
        let mut cluster = Cluster::new();
        let unreserved = resources("cpus:2;mem:2048");
        let part = reserved(&unreserved, kind, "n");
        cluster.agent_of("agent1", &(&unreserved + &part));
        cluster.core.update_quota("q", &exact_quota("cpus:2;mem:2048"));
        cluster.framework("Q", &["q"]);
        let offer = cluster.run().remove(0);
        assert_offer(&offer, "Q", "q", "agent1", &unreserved);
        cluster.decline(&offer, A_DAY);
        cluster.framework("N", &["n"]);
        let offers = cluster.run();
        assert_eq!(offers.len(), 1);
        assert_offer(&offers[0], "N", "n", "agent1", &part);
    }
}

/// Upstream: `SharedAllocatedResourceQuotaAccounting`.
#[test]
fn a_shared_volume_counts_once_against_the_quota_however_often_it_is_offered() {
    for kind in BOTH_KINDS {
        let mut cluster = Cluster::new();
        cluster.core.update_quota("q", &exact_quota("cpus:3;mem:2048;disk:100"));
        let total = reserved(&resources("cpus:2;mem:1024;disk:50"), kind, "q");
        cluster.agent_of("agent1", &total);
        cluster.framework_of("F", &framework_with(&["q"], &[Type::MultiRole, Type::SharedResources]));
        let offer = cluster.run().remove(0);
        assert_offer(&offer, "F", "q", "agent1", &total);

        let volume = shared_volume(&reserved(&resources("disk:50"), kind, "q"), "id1");
        let updated = cluster.apply(&offer, create, &volume);
        let half = reserved(&resources("cpus:1;mem:512"), kind, "q");
        cluster.give_back(&updated, &half, None);
        assert_offer(&cluster.only_offer(), "F", "q", "agent1", &(&half + &volume));
        // Offered twice, the volume is still 50 of the 100 that the role may have.
        let consumed = cluster.core.roles(cluster.now).remove(0).offered_or_consumed;
        assert_eq!(consumed["disk"], 50.0);
        let offers = cluster.with_agent("agent2", "cpus:1;mem:1024;disk:50");
        assert_eq!(offers, ["F/q@agent2: cpus:1; mem:1024; disk:50"]);
        assert!(cluster.with_agent("agent3", "cpus:0.5;mem:512;disk:50").is_empty());
    }
}

/// Upstream: `QuotaAccountingReserveAllocatedResources`.
#[test]
fn reserving_what_a_role_has_changes_nothing_in_what_its_quota_lacks() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:10;mem:1024"));
    cluster.framework("Q", &["q"]);
    let part = resources("cpus:5;mem:512");
    cluster.agent_of("agent1", &part);
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "Q", "q", "agent1", &part);
    cluster.apply(&offer, reserve, &reserved(&part, Reservation::Dynamic, "q"));
    cluster.agent_of("agent2", &(&part + &part));
    assert_offer(&cluster.run()[0], "Q", "q", "agent2", &part);
    cluster.nothing_at_tick();
}

/// Upstream: `QuotaAccountingUnreserveAllocatedResources`.
#[test]
fn unreserving_what_a_role_has_changes_nothing_in_what_its_quota_lacks() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:1;mem:1024"));
    cluster.framework("Q", &["q"]);
    let part = resources("cpus(q):1;mem(q):1024");
    cluster.agent_of("agent1", &part);
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "Q", "q", "agent1", &part);
    assert!(cluster.with_agent("agent2", "cpus:1;mem:1024").is_empty());
    let updated = cluster.apply(&offer, unreserve, &part);
    assert_eq!(updated.resources, resources("cpus:1;mem:1024"));
    cluster.nothing_at_tick();
    let consumed = cluster.core.roles(cluster.now).remove(0).offered_or_consumed;
    assert_eq!(consumed, BTreeMap::from([("cpus".to_owned(), 1.0), ("mem".to_owned(), 1024.0)]));
}

/// Upstream: `QuotaHeadroomWhenReservationsExceedQuota`.
#[test]
fn more_reservations_than_its_guarantee_are_no_headroom_for_other_roles() {
    for kind in BOTH_KINDS {
        let mut cluster = Cluster::new();
        cluster.core.update_quota("with", &exact_quota("cpus:1;mem:1024"));
        cluster.core.update_quota("without", &exact_quota("cpus:1;mem:1024"));
        cluster.agent_of("agent1", &reserved(&resources("cpus:2;mem:2048"), kind, "with"));
        cluster.agent("agent2", "cpus:1;mem:1024");
        cluster.framework("N", &["n"]);
        assert!(cluster.run().is_empty());
        assert_eq!(cluster.with_agent("agent3", "cpus:1;mem:1024"), ["N/n@agent3: cpus:1; mem:1024"]);
    }
}

/// Upstream: `ReservationWithinQuota`.
#[test]
fn reserved_resources_count_in_quota_and_share() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:2;mem:256"));
    cluster.framework("Q", &["q"]);
    cluster.framework("N", &["n"]);
    cluster.agent_using("agent1", "cpus:8;mem(q):256", &[("Q", "q", "cpus:2;mem(q):256")]);
    assert_eq!(told(&cluster.run()), ["N/n@agent1: cpus:6"]);
    // Of cpus n has more than q; of mem q has everything.
    assert_eq!(cluster.with_agent("agent2", "cpus:4"), ["N/n@agent2: cpus:4"]);
}

/// Upstream: `QuotaSetAsideReservedResources`.
#[test]
fn resources_reserved_for_others_are_not_what_is_held_back_for_a_guarantee() {
    let mut cluster = Cluster::new();
    cluster.agent("agent1", "cpus:4;mem:512");
    cluster.agent("agent2", "cpus:4;mem:512");
    let part = reserved(&resources("cpus:4;mem:512"), Reservation::Dynamic, "n");
    cluster.apply_to_free("agent2", &reserve(&part));
    cluster.core.update_quota("q", &exact_quota("cpus:4;mem:512"));
    cluster.framework("Q", &["q"]);
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "Q", "q", "agent1", &resources("cpus:4;mem:512"));
    cluster.decline(&offer, 10.0);
    cluster.nothing_at_tick();
    cluster.framework("N", &["n"]);
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "N", "n", "agent2", &part);
    cluster.decline(&offer, 10.0);
    // agent1 stays free for q, although q refuses it for now.
    cluster.nothing_at_tick();
}

/// Upstream: `QuotaWithAncestorReservations`.
#[test]
fn a_roles_reservation_that_a_role_below_it_uses_is_no_headroom() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:1;mem:1024"));
    cluster.agent("agent1", "cpus(a):1;mem(a):1024");
    cluster.framework("AB", &["a/b"]);
    assert_offer(&cluster.run()[0], "AB", "a/b", "agent1", &resources("cpus(a):1;mem(a):1024"));
    cluster.framework("N", &["n"]);
    assert!(cluster.run().is_empty());
    cluster.agent("agent2", "cpus:1;mem:1024");
    cluster.agent("agent3", "cpus:1;mem:1024");
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("N".into(), 1)]));
    assert_eq!(sum(&offers), resources("cpus:1;mem:1024"));
}

/// Upstream: `QuotaWithNestedRoleReservation`.
#[test]
fn a_reservation_for_a_role_below_counts_in_the_guarantee() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("a", &exact_quota("cpus:2;mem:200"));
    cluster.agent("agent1", "cpus(a/b):1;mem(a/b):100");
    cluster.agent("agent2", "cpus:10;mem:1000");
    cluster.framework("A", &["a"]);
    assert_eq!(told(&cluster.run()), ["A/a@agent2: cpus:1; mem:100"]);
}
