//! Quotas: guarantees come first, limits are never exceeded, headroom is held back.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::*;
use allocator::Quota;

/// Upstream: `QuotaProvidesGuarantee`.
#[test]
fn what_a_guaranteed_role_refuses_for_a_while_is_kept_for_it() {
    let mut cluster = Cluster::new();
    cluster.framework("Q", &["q"]);
    cluster.core.update_quota("q", &exact_quota("cpus:2;mem:1024"));
    cluster.framework("N", &["n"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:1;mem:512"), ["Q/q@agent1: cpus:1; mem:512"]);
    // N has nothing, but q lacks something.
    cluster.agent("agent2", "cpus:1;mem:512");
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "Q", "q", "agent2", &resources("cpus:1;mem:512"));
    cluster.decline(&offer, 1.5);
    cluster.nothing_at_tick();
    assert_eq!(told(&cluster.tick()), ["Q/q@agent2: cpus:1; mem:512"]);
}

#[test]
fn a_guaranteed_role_comes_before_one_with_a_smaller_share() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:4;mem:1024", ""));
    cluster.framework("Q", &["q"]);
    cluster.framework("B", &["b"]);
    cluster.agent("one", "cpus:2;mem:512");
    assert_eq!(cluster.run()[0].framework, "Q");
    cluster.agent("two", "cpus:2;mem:512");
    assert_eq!(cluster.run()[0].framework, "Q");
    cluster.agent("three", "cpus:2;mem:512");
    assert_eq!(cluster.run()[0].framework, "B");
}

/// Upstream: `QuotaProvidesLimit`.
#[test]
fn the_rest_beyond_a_roles_limit_goes_to_others_and_a_limit_of_zero_is_one() {
    let mut cluster = Cluster::new();
    cluster.framework("Q", &["*"]);
    cluster.core.update_quota("*", &quota("", "cpus:0;mem:0;disk:0"));
    assert!(cluster.with_agent("agent1", "cpus:2;mem:1024;disk:1024").is_empty());
    cluster.framework("N", &["n"]);
    assert_eq!(told(&cluster.run()), ["N/n@agent1: cpus:2; mem:1024; disk:1024"]);
    cluster.core.update_quota("*", &quota("", "cpus:1;mem:512;disk:512"));
    assert_eq!(
        cluster.with_agent("agent2", "cpus:2;mem:1024;disk:1024"),
        ["N/n@agent2: cpus:1; mem:512; disk:512", "Q/*@agent2: cpus:1; mem:512; disk:512"]
    );
}

/// Upstream: `QuotaAllocationGranularity`.
#[test]
fn an_agent_is_cut_to_what_a_quota_lacks_and_others_get_the_rest() {
    let mut cluster = Cluster::new();
    cluster.framework("Q", &["q"]);
    cluster.core.update_quota("q", &exact_quota("cpus:0.5;mem:200"));
    assert_eq!(cluster.with_agent("agent", "cpus:1;mem:512"), ["Q/q@agent: cpus:0.5; mem:200"]);
    cluster.framework("N", &["n"]);
    assert_eq!(told(&cluster.run()), ["N/n@agent: cpus:0.5; mem:312"]);
}

/// Upstream: `RemoveQuota`, whose metrics `metrics.rs` checks.
#[test]
fn without_its_quota_a_role_gives_way_to_those_who_have_less() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:2;mem:1024"));
    cluster.framework("Q", &["q"]);
    cluster.framework("N", &["n"]);
    for agent in ["agent1", "agent2"] {
        cluster.agent_using(agent, "cpus:1;mem:512", &[("Q", "q", "cpus:1;mem:512")]);
    }
    cluster.core.update_quota("q", &Quota::default());
    assert!(cluster.run().is_empty());
    let used = resources("cpus:1;mem:512").allocated_to("q");
    cluster
        .core
        .recover_resources(&framework_id("Q"), &agent_id("agent1"), &used, None, false, cluster.now)
        .unwrap();
    assert_eq!(told(&cluster.tick()), ["N/n@agent1: cpus:1; mem:512"]);
}

/// Upstream: `MultipleFrameworksInRoleWithQuota`.
#[test]
fn frameworks_share_their_roles_quota_and_one_may_take_what_another_refuses() {
    let mut cluster = Cluster::new();
    cluster.framework("Q1", &["q"]);
    cluster.core.update_quota("q", &exact_quota("cpus:4;mem:2048"));
    cluster.framework("N", &["n"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:1;mem:512"), ["Q1/q@agent1: cpus:1; mem:512"]);
    cluster.framework("Q2", &["q"]);
    assert_eq!(cluster.with_agent("agent2", "cpus:2;mem:1024"), ["Q2/q@agent2: cpus:2; mem:1024"]);
    // Q1 has a third of the role's, Q2 two.
    cluster.agent("agent3", "cpus:1;mem:512");
    let offer = cluster.run().remove(0);
    assert_offer(&offer, "Q1", "q", "agent3", &resources("cpus:1;mem:512"));
    cluster.decline(&offer, 5.0);
    assert_eq!(told(&cluster.tick()), ["Q2/q@agent3: cpus:1; mem:512"]);
}

/// Upstream: `QuotaAllocationGranularityUnchoppableResource`.
#[test]
fn a_disk_that_cannot_be_cut_is_given_whole_or_not_at_all() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:2;mem:2048;disk:150"));
    let plain = resources("cpus:0.5;mem:512");
    let total = &plain + &mount_disk("disk:100");
    cluster.agent_of("agent1", &total);
    cluster.framework("Q", &["q"]);
    assert_offer(&cluster.run()[0], "Q", "q", "agent1", &total);
    // 50 of disk are missing to the quota.
    cluster.agent_of("agent2", &total);
    assert_offer(&cluster.run()[0], "Q", "q", "agent2", &plain);
    let offers = cluster.with_agent("agent3", "cpus:2;mem:2048;disk:150");
    assert_eq!(offers, ["Q/q@agent3: cpus:1; mem:1024; disk:50"]);
}

#[test]
fn of_disks_that_cannot_be_cut_as_many_are_given_as_fit() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("", "disk:60"));
    let total = resources("cpus:1;mem:512") + mount_disk("disk:50") + mount_disk("disk:50");
    cluster.agent_of("agent", &total);
    cluster.framework("Q", &["q"]);
    let one = resources("cpus:1;mem:512") + mount_disk("disk:50");
    assert_offer(&cluster.run()[0], "Q", "q", "agent", &one);
}

/// Upstream: `QuotaAllocationMultipleDisk`.
#[test]
fn several_kinds_of_disk_together_meet_a_quota() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:1;mem:512;disk:100"));
    let total = resources("cpus:1;mem:512;disk:50") + mount_disk("disk:50");
    cluster.agent_of("agent", &total);
    cluster.framework("Q", &["q"]);
    assert_offer(&cluster.run()[0], "Q", "q", "agent", &total);
}

/// Upstream: `QuotaRoleAllocateNonQuotaResource`.
#[test]
fn what_a_quota_does_not_name_is_given_along_unless_another_role_lacks_it() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q1", &exact_quota("cpus:2"));
    let total = "cpus:1;mem:1024;ports:[31000-32000]";
    cluster.agent("agent1", total);
    cluster.framework("Q", &["q1"]);
    assert_offer(&cluster.run()[0], "Q", "q1", "agent1", &resources(total));
    cluster.core.update_quota("q2", &exact_quota("mem:1024"));
    cluster.agent("agent2", total);
    assert_offer(&cluster.run()[0], "Q", "q1", "agent2", &resources("cpus:1;ports:[31000-32000]"));
    // q1 has its cpus; of what its quota does not name it gets the rest, and agent2 has mem for q2.
    cluster.agent("agent3", total);
    assert_offer(&cluster.run()[0], "Q", "q1", "agent3", &resources("mem:1024;ports:[31000-32000]"));
}

#[test]
fn an_agent_without_what_a_guarantee_lacks_goes_to_the_lowest_share() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:4", ""));
    cluster.framework("Q", &["q"]);
    cluster.framework("N", &["n"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:2;mem:512"), ["Q/q@agent1: cpus:2; mem:512"]);
    // q lacks cpus, of which there are none here, and has more than n.
    assert_eq!(cluster.with_agent("agent2", "mem:512"), ["N/n@agent2: mem:512"]);
}

/// Upstream: `DRFWithQuota`, whose metrics `metrics.rs` checks.
#[test]
fn what_quotas_do_not_need_is_shared_among_the_roles_without() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:0.25;mem:128"));
    cluster.framework("Q", &["q"]);
    cluster.framework("N", &["n"]);
    cluster.agent_using("agent1", "cpus:1;mem:512", &[("Q", "q", "cpus:0.25;mem:128")]);
    assert_eq!(told(&cluster.run()), ["N/n@agent1: cpus:0.75; mem:384"]);
    assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:512"), ["N/n@agent2: cpus:1; mem:512"]);
}

/// Upstream: `QuotaAgainstStarvation`.
#[test]
fn a_guarantee_breaks_the_circle_of_one_who_declines_and_is_always_lowest() {
    let mut cluster = Cluster::new();
    cluster.framework("Q", &["q"]);
    cluster.framework("N", &["n"]);
    cluster.agent_using("agent1", "cpus:1;mem:512", &[("Q", "q", "cpus:1;mem:512")]);
    cluster.agent("agent2", "cpus:1;mem:512");
    let mut offer = cluster.run().remove(0);
    for _ in 0..2 {
        assert_offer(&offer, "N", "n", "agent2", &resources("cpus:1;mem:512"));
        cluster.decline(&offer, 0.0);
        offer = cluster.only_offer();
    }
    cluster.decline(&offer, 0.0);
    cluster.core.update_quota("q", &exact_quota("cpus:2;mem:1024"));
    assert_eq!(told(&cluster.tick()), ["Q/q@agent2: cpus:1; mem:512"]);
}

/// Upstream: `QuotaAbsentFrameworkWholeAgent`.
#[test]
fn one_of_two_agents_is_held_back_for_a_guaranteed_role_without_frameworks() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:2;mem:1024"));
    cluster.framework("N", &["n"]);
    assert!(cluster.with_agent("agent1", "cpus:2;mem:1024").is_empty());
    cluster.agent("agent2", "cpus:2;mem:1024");
    let offers = cluster.run();
    assert_eq!(counts(&offers), BTreeMap::from([("N".into(), 1)]));
    assert_eq!(sum(&offers), resources("cpus:2;mem:1024"));
}

/// Upstream: `MultiQuotaAbsentFrameworks`.
#[test]
fn a_guaranteed_role_without_frameworks_takes_nothing_from_one_that_has_some() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:2;mem:2048");
    cluster.core.update_quota("q1", &exact_quota("cpus:1;mem:1024"));
    cluster.core.update_quota("q2", &exact_quota("cpus:2;mem:2048"));
    cluster.framework("Q2", &["q2"]);
    assert_eq!(told(&cluster.run()), ["Q2/q2@agent: cpus:2; mem:2048"]);
}

/// Upstream: `MultiQuotaWithFrameworks`.
#[test]
fn a_role_that_has_its_quota_does_not_keep_another_from_its() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q1", &exact_quota("cpus:1;mem:200"));
    cluster.core.update_quota("q2", &exact_quota("cpus:2;mem:2000"));
    cluster.framework("Q1", &["q1"]);
    cluster.framework("Q2", &["q2"]);
    cluster.agent_using("agent1", "cpus:1;mem:1024", &[("Q1", "q1", "cpus:1;mem:1024")]);
    cluster.agent_using("agent2", "cpus:1;mem:1024", &[("Q2", "q2", "cpus:1;mem:1024")]);
    assert_eq!(cluster.with_agent("agent3", "cpus:2;mem:2048"), ["Q2/q2@agent3: cpus:1; mem:976"]);
}

/// Upstream: `DisproportionateQuotaVsAllocation`.
#[test]
fn a_quota_is_filled_resource_by_resource() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &exact_quota("cpus:4;mem:1024"));
    cluster.framework("Q", &["q"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:2;mem:1024"), ["Q/q@agent1: cpus:2; mem:1024"]);
    assert_eq!(cluster.with_agent("agent2", "cpus:2;mem:1024"), ["Q/q@agent2: cpus:2"]);
}

#[test]
fn a_role_is_offered_no_more_than_its_limit() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("", "cpus:3;mem:700"));
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus:2;mem:512;disk:100;ports:[1-9]");
    cluster.agent("two", "cpus:2;mem:512");
    let offers = cluster.run();
    assert_eq!(sum(&offers), resources("cpus:3;mem:700;disk:100;ports:[1-9]"));
    cluster.core.update_quota("q", &Quota::default());
    assert_eq!(sum(&cluster.tick()), resources("cpus:1;mem:324"));
}

#[test]
fn a_limit_holds_in_the_first_stage_too() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:1", "cpus:2;mem:256"));
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus:8;mem:512");
    assert_eq!(told(&cluster.run()), ["Q/q@one: cpus:2; mem:256"]);
    assert!(cluster.tick().is_empty());
}

#[test]
fn what_an_absent_guaranteed_role_lacks_is_held_back() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:2;mem:512", ""));
    cluster.framework("B", &["b"]);
    cluster.agent("one", "cpus:2;mem:512");
    assert!(cluster.run().is_empty());
    cluster.agent("two", "cpus:2;mem:512;ports:[1-9]");
    let offers = cluster.run();
    assert_eq!(sum(&offers).cpus(), resources("cpus:2").cpus());
    cluster.framework("Q", &["q"]);
    let offers = cluster.run();
    assert!(offers.iter().all(|offer| offer.framework == "Q"), "{offers:?}");
    assert_eq!(sum(&offers), resources("cpus:2;mem:512"));
}

#[test]
fn guarantees_that_are_more_than_there_is_are_met_as_far_as_possible() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("p", &quota("cpus:10", ""));
    cluster.core.update_quota("q", &quota("cpus:10", ""));
    cluster.framework("P", &["p"]);
    cluster.framework("Q", &["q"]);
    for agent in ["one", "two", "three", "four"] {
        cluster.agent(agent, "cpus:2;mem:512");
    }
    assert_eq!(counts(&cluster.run()), BTreeMap::from([("P".into(), 2), ("Q".into(), 2)]));
}

#[test]
fn reservations_count_against_the_quota_whether_they_are_used_or_not() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:4;mem:512", "cpus:5;mem:1024"));
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus(q):4;mem(q):512");
    cluster.agent("two", "cpus:4;mem:1024");
    let offers = cluster.run();
    let of_two: Vec<&Offer> = offers.iter().filter(|offer| offer.agent == "two").collect();
    assert_eq!(sum(of_two), resources("cpus:1;mem:512"));
    // Nothing is missing to the guarantee, so nothing is held back from others.
    cluster.framework("B", &["b"]);
    assert_eq!(told(&cluster.run()), ["B/b@two: cpus:3; mem:512"]);
}

/// Upstream: `QuotaWithNestedRoleAllocation`.
#[test]
fn a_role_below_one_that_reached_its_limit_is_not_bound_by_it() {
    let mut cluster = Cluster::new();
    cluster.framework("AB", &["a/b"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:1;mem:1024"), ["AB/a/b@agent1: cpus:1; mem:1024"]);
    cluster.core.update_quota("a", &exact_quota("cpus:1;mem:1024"));
    cluster.framework("A", &["a"]);
    assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:1024"), ["AB/a/b@agent2: cpus:1; mem:1024"]);
}

/// Upstream: `QuotaHeadroomWithNestedRoleAllocation`.
#[test]
fn what_roles_below_have_is_not_counted_as_headroom() {
    let mut cluster = Cluster::new();
    cluster.framework("AB", &["a/b"]);
    assert_eq!(cluster.with_agent("agent1", "cpus:1;mem:100"), ["AB/a/b@agent1: cpus:1; mem:100"]);
    cluster.framework("A", &["a"]);
    assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:100"), ["A/a@agent2: cpus:1; mem:100"]);
    cluster.core.update_quota("q", &exact_quota("cpus:1;mem:100"));
    assert!(cluster.with_agent("agent3", "cpus:1;mem:100").is_empty());
    assert_eq!(cluster.with_agent("agent4", "cpus:1;mem:100").len(), 1);
    cluster.nothing_at_tick();
}

#[test]
fn what_roles_below_have_counts_for_the_guaranteed_role() {
    let mut cluster = Cluster::new();
    cluster.agent_using("one", "cpus:2;mem:512", &[("AB", "a/b", "cpus:2;mem:512")]);
    cluster.core.update_quota("a", &quota("cpus:2;mem:512", ""));
    cluster.framework("AB", &["a/b"]);
    cluster.framework("C", &["c"]);
    cluster.agent("two", "cpus:2;mem:512");
    assert_eq!(told(&cluster.run()), ["C/c@two: cpus:2; mem:512"]);
    let roles = cluster.core.roles(cluster.now);
    let a = roles.iter().find(|role| role.path == "a").unwrap();
    assert_eq!(a.consumed, BTreeMap::from([("cpus".into(), 2.0), ("mem".into(), 512.0)]));
}

#[test]
fn offers_count_as_offered_and_become_consumed_when_they_are_used() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("", "cpus:2"));
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus:8;mem:512");
    let offer = cluster.run().remove(0);
    let cpus = |cluster: &Cluster| {
        let role = cluster.core.roles(cluster.now).remove(0);
        (role.offered_or_consumed.get("cpus").copied(), role.consumed.get("cpus").copied())
    };
    assert_eq!(cpus(&cluster), (Some(2.0), None));
    cluster.launch(&offer, "cpus:1;mem:100", 0.0);
    assert_eq!(cpus(&cluster), (Some(1.0), Some(1.0)));
    cluster.task_ends(&offer, "cpus:1;mem:100");
    assert_eq!(cpus(&cluster), (None, None));
}

#[test]
fn resources_that_came_back_are_not_consumed_however_they_came_back() {
    let mut cluster = Cluster::new();
    cluster.framework("Q", &["q"]);
    cluster.agent("one", "cpus:8;mem:512");
    let offer = cluster.run().remove(0);
    cluster.launch(&offer, "cpus:1;mem:100", 0.0);
    cluster.give_back(&offer, &resources("cpus:1;mem:100"), None);
    assert_eq!(cluster.core.roles(cluster.now)[0].consumed, BTreeMap::new());
}

#[test]
fn headroom_is_held_back_from_all_agents_together_not_from_each() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:2", ""));
    cluster.framework("B", &["b"]);
    for agent in ["one", "two", "three"] {
        cluster.agent(agent, "cpus:2");
    }
    assert_eq!(sum(&cluster.run()), resources("cpus:4"));
    assert!(cluster.tick().is_empty());
}

#[test]
fn what_a_run_gives_to_a_guaranteed_role_is_no_longer_held_back_from_others() {
    let mut cluster = Cluster::new();
    cluster.core.update_quota("q", &quota("cpus:2", ""));
    cluster.framework("B", &["b"]);
    cluster.framework("Q", &["q"]);
    for agent in ["one", "two"] {
        cluster.agent(agent, "cpus:2");
    }
    assert_eq!(counts(&cluster.run()), BTreeMap::from([("B".into(), 1), ("Q".into(), 1)]));
}
