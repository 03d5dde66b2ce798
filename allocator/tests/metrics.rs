//! Metrics under upstream's names, and the figures behind them.
//!
//! Figures about roles and resources are set each second, not when they are read. What upstream's
//! tests read before that is checked in the core, where the figures come from.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use crate::common::actor::{MILLISECOND, Setup};
use crate::common::*;
use allocator::core::ResourceUse;
use allocator::messages::*;
use allocator::{Options, Quota};
use libprocess::testing;
use mesos::v1::framework_info::capability::Type;

/// Total, offered or allocated, of cpus, mem and disk.
fn resource_metrics(setup: &Setup) -> Vec<Option<f64>> {
    let names = ["cpus", "mem", "disk"].map(|name| format!("resources/{name}"));
    let metric = |of: &str, what: &str| setup.metric(&format!("{of}/{what}"));
    names.iter().flat_map(|name| [metric(name, "total"), metric(name, "offered_or_allocated")]).collect()
}

/// Upstream: `ResourceMetrics`.
#[test]
fn resources_in_total_and_taken_are_counted() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        let figures = |figures: [f64; 6]| figures.map(Some).to_vec();
        setup.add_agent_using("S", "cpus:2;mem:1024", &[]);
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(resource_metrics(&setup), figures([2.0, 0.0, 1024.0, 0.0, 0.0, 0.0]));
        setup.add_framework("F", "role1");
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(resource_metrics(&setup), figures([2.0, 2.0, 1024.0, 1024.0, 0.0, 0.0]));
        setup.allocator.tell(RemoveAgent { id: agent_id("S") });
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(resource_metrics(&setup), figures([0.0; 6]));
    });
}

#[test]
fn figures_are_no_older_than_a_second_however_seldom_all_agents_are_looked_at() {
    testing::run(async {
        let interval = 60_000 * MILLISECOND;
        let setup = Setup::new(Options { allocation_interval: interval, ..Options::default() }).await;
        setup.add_agent_using("S", "cpus:2;mem:1024", &[]);
        setup.add_framework("F", "role1");
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(resource_metrics(&setup)[..2], [Some(2.0), Some(2.0)]);
    });
}

#[test]
fn the_core_counts_what_is_taken_at_any_time() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:2;mem:1024");
    let cpus = |cluster: &Cluster| {
        let ResourceUse { total, offered_or_allocated } = cluster.core.resource_use("cpus");
        (total, offered_or_allocated)
    };
    assert_eq!(cpus(&cluster), (2.0, 0.0));
    cluster.framework("F", &["role"]);
    let offer = cluster.run().remove(0);
    assert_eq!(cpus(&cluster), (2.0, 2.0));
    cluster.launch(&offer, "cpus:0.5;mem:32", 0.0);
    assert_eq!(cpus(&cluster), (2.0, 0.5));
    cluster.core.remove_agent(&agent_id("agent")).unwrap();
    assert_eq!(cpus(&cluster), (0.0, 0.0));
}

/// Upstream: `ResourceMetricsUninitialized`.
#[test]
fn metrics_can_be_read_before_the_allocator_has_anything_to_count() {
    testing::run(async {
        let node = libprocess::Node::builder().offline().start().await.unwrap();
        let allocator = node.spawn_numbered(allocator::Allocator::new());
        testing::settle().await;
        assert!(node.metrics().snapshot().values().iter().all(|(name, _)| !name.starts_with("allocator/")));
        drop(allocator);
        let setup = Setup::new(Options::default()).await;
        assert_eq!(resource_metrics(&setup), [Some(0.0); 6]);
    });
}

/// Upstream: `AllocationRunsMetric`.
#[test]
fn each_event_that_asks_for_a_run_when_none_waits_counts_one() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        assert_eq!(setup.metric("allocation_runs"), Some(0.0));
        setup.add_agent("S");
        setup.pass(10 * MILLISECOND).await;
        assert_eq!(setup.metric("allocation_runs"), Some(1.0));
        setup.add_framework("F", "role");
        setup.pass(10 * MILLISECOND).await;
        assert_eq!(setup.metric("allocation_runs"), Some(2.0));
    });
}

/// Upstream: `AllocationRunTimerMetrics`, `AllocationRunLatencyMetrics`.
#[test]
fn how_long_runs_take_and_wait_is_measured_with_statistics_from_the_second_run_on() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        let names = ["count", "min", "max", "p50", "p95", "p99", "p999", "p9999"];
        let statistics = |timer: &str| {
            names.iter().filter(|name| setup.metric(&format!("{timer}/{name}")).is_some()).count()
        };
        for timer in ["allocation_run_ms", "allocation_run_latency_ms"] {
            assert_eq!((setup.metric(timer), statistics(timer)), (None, 0));
        }
        setup.add_agent("S");
        setup.pass(MILLISECOND).await;
        setup.add_framework("F", "role1");
        setup.pass(10 * MILLISECOND).await;
        // On a paused clock a run takes no time. The second waited for the pause after the first.
        for (timer, last) in [("allocation_run_ms", 0.0), ("allocation_run_latency_ms", 4.0)] {
            assert_eq!((setup.metric(timer), statistics(timer)), (Some(last), names.len()), "{timer}");
            assert_eq!(setup.metric(&format!("{timer}/count")), Some(2.0));
        }
    });
}

/// Upstream: `ActiveOfferFiltersMetrics`.
#[test]
fn filters_are_counted_by_role() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        let active = |role: &str| setup.metric(&format!("offer_filters/roles/{role}/active"));
        setup.add_agent("S");
        let expected =
            [("F1", "roleA", 1.0, None), ("F2", "roleB", 1.0, Some(1.0)), ("F3", "roleA", 2.0, Some(1.0))];
        for (framework, role, in_a, in_b) in expected {
            setup.add_framework(framework, role);
            setup.pass(10 * MILLISECOND).await;
            let offer = setup.only_heard();
            assert_eq!((&*offer.framework, &*offer.role), (framework, role));
            setup.recover(&offer, "cpus:4;mem:1024", false, Some(100.0));
            setup.pass(1100 * MILLISECOND).await;
            assert_eq!((active("roleA"), active("roleB")), (Some(in_a), in_b));
        }
    });
}

fn shares(cluster: &Cluster) -> BTreeMap<String, f64> {
    let roles = cluster.core.roles(cluster.now).into_iter();
    roles.filter_map(|role| Some((role.path, role.dominant_share?))).collect()
}

fn are<const N: usize>(shares: [(&str, f64); N]) -> BTreeMap<String, f64> {
    shares.map(|(role, share)| (role.to_owned(), share)).into()
}

/// Upstream: `DominantShareMetrics`.
#[test]
fn the_dominant_shares_of_roles_follow_what_their_frameworks_have() {
    let mut cluster = Cluster::new();
    cluster.agent("agent1", "cpus:1;mem:1024");
    cluster.framework("F1", &["roleA"]);
    let offer = cluster.run().remove(0);
    assert_eq!(shares(&cluster), are([("roleA", 1.0)]));
    cluster.give_back(&offer, &offer.resources.clone(), None);
    assert_eq!(shares(&cluster), are([("roleA", 0.0)]));
    // Both have nothing, and roleA was chosen before.
    cluster.framework("F2", &["roleB"]);
    assert_eq!(told(&cluster.run()), ["F2/roleB@agent1: cpus:1; mem:1024"]);
    assert_eq!(shares(&cluster), are([("roleA", 0.0), ("roleB", 1.0)]));
    assert_eq!(cluster.with_agent("agent2", "cpus:1;mem:1024"), ["F1/roleA@agent2: cpus:1; mem:1024"]);
    assert_eq!(shares(&cluster), are([("roleA", 0.5), ("roleB", 0.5)]));
    cluster.core.remove_framework(&framework_id("F2")).unwrap();
    assert_eq!(shares(&cluster), are([("roleA", 0.5)]));
}

/// Upstream: `DominantShareMetricsWithFairnessExclusion`.
#[test]
fn excluded_resources_are_in_no_dominant_share() {
    let options = Options { excluded_from_shares: set(&["gpus"]), ..Default::default() };
    let mut cluster = Cluster::with(options);
    cluster.agent("agent1", "cpus:1;mem:1024;gpus:1");
    cluster.framework_of("F1", &framework_with(&["roleA"], &[Type::MultiRole, Type::GpuResources]));
    assert_eq!(cluster.run().len(), 1);
    assert_eq!(shares(&cluster), are([("roleA", 1.0)]));
    cluster.framework("F2", &["roleB"]);
    assert!(cluster.run().is_empty());
    // F1 has all gpus, which do not count.
    assert_eq!(cluster.with_agent("agent2", "cpus:3;mem:3072"), ["F2/roleB@agent2: cpus:3; mem:3072"]);
    assert_eq!(shares(&cluster), are([("roleA", 0.25), ("roleB", 0.75)]));
}

/// Upstream: `DominantShareMetrics`, `ActiveOfferFiltersMetrics`: that these go with their roles.
#[test]
fn metrics_carry_upstreams_names_and_go_with_their_roles() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        setup.add_agent("S");
        setup.add_framework("F", "role");
        setup.pass(1100 * MILLISECOND).await;
        let metrics = setup.node.metrics();
        assert_eq!(metrics.value("allocator/mesos/resources/cpus/total"), Some(4.0));
        assert_eq!(metrics.value("allocator/mesos/resources/mem/offered_or_allocated"), Some(1024.0));
        assert_eq!(metrics.value("allocator/mesos/roles/role/shares/dominant"), Some(1.0));
        assert_eq!(metrics.value("allocator/mesos/offer_filters/roles/role/active"), Some(0.0));
        assert_eq!(metrics.value("allocator/mesos/event_queue_dispatches"), Some(0.0));
        let offer = setup.heard().remove(0).1.remove(0);
        setup.recover(&offer, "cpus:4;mem:1024", false, Some(1000.0));
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(metrics.value("allocator/mesos/offer_filters/roles/role/active"), Some(1.0));
        setup.allocator.tell(RemoveFramework { id: framework_id("F") });
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(metrics.value("allocator/mesos/offer_filters/roles/role/active"), None);
    });
}

/// Upstream: `QuotaMetrics`, and `Launch` of `consumption_metrics_tests.cpp`.
#[test]
fn quota_metrics_follow_the_quota_and_what_is_consumed() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        let shown = || -> Vec<(String, f64)> {
            let snapshot = setup.node.metrics().snapshot();
            let values = snapshot.values().into_iter();
            let of_quota = values.filter_map(|(name, value)| {
                Some((name.strip_prefix("allocator/mesos/quota/roles/")?.to_owned(), value))
            });
            of_quota.collect()
        };
        let set = |guarantees: &str, limits: &str| {
            let quota = Quota {
                guarantees: mesos::ResourceQuantities::parse(guarantees).unwrap(),
                limits: mesos::ResourceLimits::parse(limits).unwrap(),
            };
            setup.allocator.tell(UpdateQuota { role: "role".into(), quota });
        };
        let row = |name: &str, value: f64| (format!("role/resources/{name}"), value);
        setup.add_agent("S");
        setup.add_framework("F", "role");
        setup.pass(1100 * MILLISECOND).await;
        // What is only offered is not consumed.
        assert_eq!(shown(), []);
        let offer = setup.heard().remove(0).1.remove(0);
        let used = resources("cpus:1").allocated_to("role");
        setup.allocator.tell(TransitionOfferedToAllocated { agent: agent_id("S"), resources: used });
        setup.recover(&offer, "cpus:3;mem:1024", false, Some(1000.0));
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(shown(), [row("cpus/consumed", 1.0)]);

        set("mem:64", "cpus:2;mem:128;disk:0");
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(
            shown(),
            [
                row("cpus/consumed", 1.0),
                row("cpus/limit", 2.0),
                row("cpus/offered_or_allocated", 1.0),
                row("disk/limit", 0.0),
                row("disk/offered_or_allocated", 0.0),
                row("mem/guarantee", 64.0),
                row("mem/limit", 128.0),
                row("mem/offered_or_allocated", 0.0),
            ]
        );
        // Without a quota its figures are gone; with all frameworks, everything is.
        set("", "");
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(shown(), [row("cpus/consumed", 1.0)]);
        setup.allocator.tell(RemoveFramework { id: framework_id("F") });
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(shown(), []);
    });
}

/// Upstream: `QuotaMetrics`, and what `RemoveQuota`, `DRFWithQuota` and `RemoveSingleQuota` say of metrics.
#[test]
fn a_quota_has_the_metrics_of_what_it_names_as_long_as_it_is_one() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        let metric = |name: &str| setup.metric(&format!("quota/roles/role/resources/{name}"));
        let guarantees_and_limits =
            || ["cpus/guarantee", "cpus/limit", "mem/guarantee", "mem/limit"].map(metric);
        assert_eq!(guarantees_and_limits(), [None; 4]);
        setup.set_quota("role", quota("cpus:1", "mem:1024"));
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(guarantees_and_limits(), [Some(1.0), None, None, Some(1024.0)]);
        setup.set_quota("role", quota("cpus:2", "mem:1024"));
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(guarantees_and_limits(), [Some(2.0), None, None, Some(1024.0)]);
        setup.set_quota("role", quota("", ""));
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(guarantees_and_limits(), [None; 4]);

        // Of what the quota names it also shows what is taken.
        let taken = || ["cpus", "mem", "disk"].map(|name| metric(&format!("{name}/offered_or_allocated")));
        setup.set_quota("role", exact_quota("cpus:0.25;mem:128"));
        setup.add_framework("F", "role");
        setup.add_agent_using("S", "cpus:1;mem:512", &[("F", "role", "cpus:0.25;mem:128")]);
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(guarantees_and_limits(), [Some(0.25), Some(0.25), Some(128.0), Some(128.0)]);
        assert_eq!(taken(), [Some(0.25), Some(128.0), None]);
        setup.set_quota("role", quota("", ""));
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(taken(), [None; 3]);
    });
}

/// Upstream: `ActiveOfferFiltersMetrics`: every role of its tree has that metric.
#[test]
fn a_role_without_frameworks_has_a_metric_of_its_filters_as_long_as_anything_is_known_of_it() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        let shown = || {
            let metric = |role: &str| setup.metric(&format!("offer_filters/roles/{role}/active"));
            ["limited", "heavy/below", "heavy"].map(|role| metric(role).is_some())
        };
        let weigh = |weight: f64| {
            let role = Some("heavy/below".to_owned());
            let info = mesos::v1::WeightInfo { weight, role };
            setup.allocator.tell(UpdateWeights(vec![info]));
        };
        setup.set_quota("limited", quota("", "cpus:1"));
        weigh(2.0);
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(shown(), [true; 3]);
        assert_eq!(setup.metric("roles/limited/shares/dominant"), None);
        setup.set_quota("limited", quota("", ""));
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(shown(), [false, true, true]);
        weigh(1.0);
        setup.pass(1100 * MILLISECOND).await;
        assert_eq!(shown(), [false; 3]);
    });
}

/// The names that genuine Mesos shows with one framework, but for statistics of timers.
#[test]
fn the_names_of_all_metrics_are_upstreams() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        setup.add_agent("S");
        setup.add_framework("F", "role");
        setup.pass(1100 * MILLISECOND).await;
        let snapshot = setup.node.metrics().snapshot();
        let statistics = |name: &str| name.contains("_ms/");
        let values = snapshot.values();
        let names = values.iter().map(|(name, _)| &**name);
        let names = names.filter(|name| name.starts_with("allocator/") && !statistics(name));
        assert_eq!(snapshot.undescribed(), Vec::<&str>::new());
        assert_eq!(
            names.collect::<Vec<_>>(),
            [
                "allocator/event_queue_dispatches",
                "allocator/mesos/allocation_run_latency_ms",
                "allocator/mesos/allocation_run_ms",
                "allocator/mesos/allocation_runs",
                "allocator/mesos/event_queue_dispatches",
                "allocator/mesos/offer_filters/roles/role/active",
                "allocator/mesos/resources/cpus/offered_or_allocated",
                "allocator/mesos/resources/cpus/total",
                "allocator/mesos/resources/disk/offered_or_allocated",
                "allocator/mesos/resources/disk/total",
                "allocator/mesos/resources/mem/offered_or_allocated",
                "allocator/mesos/resources/mem/total",
                "allocator/mesos/roles/role/shares/dominant",
            ]
        );
    });
}

#[test]
fn roles_that_come_back_under_each_others_indices_keep_their_metrics() {
    testing::run(async {
        let setup = Setup::new(Options::default()).await;
        setup.add_framework_of("F", framework_info(&["a", "b"]));
        setup.pass(1100 * MILLISECOND).await;
        setup.allocator.tell(RemoveFramework { id: framework_id("F") });
        setup.add_framework_of("G", framework_info(&["a", "b"]));
        for _ in 0..2 {
            setup.pass(1100 * MILLISECOND).await;
            for role in ["a", "b"] {
                let name = format!("roles/{role}/shares/dominant");
                assert_eq!(setup.metric(&name), Some(0.0), "{name}");
            }
        }
    });
}
