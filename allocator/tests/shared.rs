//! Shared resources: volumes that several tasks use at once.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crate::common::*;
use mesos::v1::framework_info::capability::Type;

fn sharing(cluster: &mut Cluster, name: &str, role: &str) {
    cluster.framework_of(name, &framework_with(&[role], &[Type::MultiRole, Type::SharedResources]));
}

/// Upstream: `SharedResourcesCapability`.
#[test]
fn a_shared_volume_is_not_offered_to_who_cannot_share_not_even_if_he_made_it() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:100;mem:100;disk(role1):100");
    cluster.framework("F1", &["role1"]);
    let offer = cluster.run().remove(0);
    let volume = shared_volume(&resources("disk(role1):5"), "id1");
    let updated = cluster.apply(&offer, create, &volume);
    cluster.give_back(&updated, &updated.resources, None);
    let offer = cluster.only_offer();
    assert_offer(&offer, "F1", "role1", "agent", &resources("cpus:100;mem:100;disk(role1):95"));

    cluster.give_back(&offer, &offer.resources.clone(), None);
    sharing(&mut cluster, "F2", "role1");
    assert_offer(&cluster.only_offer(), "F2", "role1", "agent", &updated.resources);
}

/// Upstream: `AllocateSharedResources` (with and without quota),
/// `PersistentVolumeTest.SharedPersistentVolumeMultipleIterations`.
#[test]
fn a_shared_volume_in_use_is_offered_to_the_next_framework() {
    for with_quota in [false, true] {
        let mut cluster = Cluster::new();
        sharing(&mut cluster, "F1", "role1");
        sharing(&mut cluster, "F2", "role1");
        if with_quota {
            cluster.core.update_quota("role1", &exact_quota("cpus:8;mem:2048;disk:4096"));
        }
        cluster.agent("agent", "cpus:4;mem:1024;disk(role1):2048");
        let offer = cluster.run().remove(0);
        assert_offer(&offer, "F1", "role1", "agent", &resources("cpus:4;mem:1024;disk(role1):2048"));
        // F1 makes a volume, starts a task that uses it, and gives the rest back.
        let volume = shared_volume(&resources("disk(role1):5"), "id1");
        let updated = cluster.apply(&offer, create, &volume);
        let rest = &updated.resources - &(resources("cpus:1;mem:5") + &volume);
        assert_eq!(rest, resources("cpus:3;mem:1019;disk(role1):2043"));
        cluster.give_back(&updated, &rest, None);
        assert_offer(&cluster.only_offer(), "F2", "role1", "agent", &(rest + &volume));
    }
}

#[test]
fn a_shared_volume_is_offered_once_a_run_while_it_is_in_use() {
    let mut cluster = Cluster::new();
    cluster.framework("N", &["role"]);
    sharing(&mut cluster, "S1", "role");
    sharing(&mut cluster, "S2", "role");
    cluster.core.suppress_offers(&framework_id("N"), &BTreeSet::new()).unwrap();
    let volume = shared_volume(&resources("disk(role):100"), "volume");
    let total = resources("cpus:4;mem:1024") + &volume;
    cluster.agent_of("agent", &total);
    let first = cluster.run();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].resources, total);
    cluster.launch(&first[0], "cpus:1;mem:512", 0.0);
    // The volume came back with the rest; now the first framework uses it.
    let second = cluster.tick();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].resources, resources("cpus:3;mem:512") + &volume);
    cluster.give_back(&second[0], &resources("cpus:3;mem:512"), None);
    let third = cluster.tick();
    assert_eq!(third.len(), 1);
    assert_eq!(third[0].resources, resources("cpus:3;mem:512") + &volume);
    cluster.core.revive_offers(&framework_id("N"), &BTreeSet::new()).unwrap();
    cluster.give_back(&third[0], &resources("cpus:3;mem:512"), None);
    cluster.core.suppress_offers(&framework_id("S1"), &BTreeSet::new()).unwrap();
    cluster.core.suppress_offers(&framework_id("S2"), &BTreeSet::new()).unwrap();
    assert_eq!(told(&cluster.tick()), ["N/role@agent: cpus:3; mem:512"]);
}
