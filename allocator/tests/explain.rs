//! Why a framework gets no offers: each reason, and that the explanation and the pass agree.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use allocator::core::Scope;
use allocator::core::constraints::{OfferConstraintsFilter, RegexLimits};
use allocator::core::explain::{
    ExplainError, Explanation, Figures, Limit, MinimumOf, Missing, Obstacle, Question, Reason,
    RoleExplanation, Violated,
};
use allocator::options::SorterKind;
use allocator::{Options, Quota};
use mesos::v1::framework_info::capability::Type;
use mesos::v1::{self, DomainInfo};
use mesos::{ResourceLimits, ResourceQuantities};

fn question(framework: &str, role: Option<&str>) -> Question {
    Question {
        framework: framework_id(framework),
        role: role.map(str::to_owned),
        limit: 100,
        offset: 0,
        full: BTreeSet::new(),
    }
}

fn explain(cluster: &mut Cluster, framework: &str, role: &str) -> RoleExplanation {
    let answer = cluster.core.explain(&question(framework, Some(role)), cluster.now).unwrap();
    assert_eq!(answer.framework_id, framework_id(framework));
    let as_json = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&as_json).unwrap(), answer, "{as_json}");
    answer.roles.into_iter().next().unwrap()
}

/// The one reason of all agents.
fn only_reason(cluster: &mut Cluster, framework: &str, role: &str) -> Reason {
    let explained = explain(cluster, framework, role);
    assert_eq!(explained.reasons.len(), 1, "{explained:#?}");
    let group = &explained.reasons[0];
    assert_eq!(group.agents, explained.agents_in_all);
    assert!(!group.advice.is_empty());
    if group.agents == 1 {
        assert_eq!(group.reason, explained.agents[0].reason);
        assert_eq!(group.example, explained.agents[0].agent);
    }
    group.reason.clone()
}

fn figures(of: &[(&str, f64)]) -> Figures {
    of.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
}

fn set_quota(cluster: &mut Cluster, role: &str, guarantees: &str, limits: &str) {
    let guarantees = ResourceQuantities::parse(guarantees).unwrap();
    let limits = ResourceLimits::parse(limits).unwrap();
    cluster.core.update_quota(role, &Quota { guarantees, limits });
}

#[test]
fn an_unknown_framework_is_an_error() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    let answer = cluster.core.explain(&question("A", None), cluster.now);
    assert_eq!(answer, Err(ExplainError::UnknownFramework(framework_id("A"))));
    assert_eq!(answer.unwrap_err().to_string(), "framework A is not known to the allocator");
}

#[test]
fn what_is_free_for_a_role_is_told_without_what_is_reserved_for_others() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["role"]);
    cluster.agent("agent", "cpus:4;mem:1024;cpus(ops):2");
    let offer = cluster.tick().remove(0);
    cluster.decline(&offer, 60.0);
    let explained = explain(&mut cluster, "A", "role");
    assert_eq!(explained.reasons[0].free, figures(&[("cpus", 4.0), ("mem", 1024.0)]));
}

#[test]
fn while_allocation_is_paused_that_is_the_reason() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["role"]);
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.core.pause();
    assert_eq!(explain(&mut cluster, "A", "role").obstacles, [Obstacle::Paused]);
    assert!(cluster.core.allocate(cluster.now, Scope::All).is_empty());
    cluster.core.resume();
    assert_eq!(explain(&mut cluster, "A", "role").obstacles, []);
    assert_eq!(cluster.core.allocate(cluster.now, Scope::All).len(), 1);
}

#[test]
fn without_agents_that_is_the_reason() {
    let mut cluster = Cluster::new();
    cluster.framework("A", &["role"]);
    let explained = explain(&mut cluster, "A", "role");
    assert_eq!(explained.obstacles, [Obstacle::NoAgents]);
    assert_eq!((explained.agents_in_all, explained.reasons.len()), (0, 0));
}

#[test]
fn a_framework_that_has_not_come_back_is_known_by_its_tasks() {
    let mut cluster = Cluster::new();
    cluster.agent_using("agent", "cpus:4;mem:1024", &[("A", "role", "cpus:1;mem:100")]);
    let answer = cluster.core.explain(&question("A", None), cluster.now).unwrap();
    assert_eq!(answer.roles.len(), 1);
    let explained = &answer.roles[0];
    assert_eq!((explained.role.as_str(), &explained.obstacles[..]), ("role", &[Obstacle::NotReturned][..]));
    assert_eq!(explained.holds.held, figures(&[("cpus", 1.0), ("mem", 100.0)]));
    assert!(explained.reasons.is_empty());
}

#[test]
fn a_framework_may_be_disconnected_suppressed_or_not_subscribed() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["a", "b"]);
    cluster.core.deactivate_framework(&framework_id("A")).unwrap();
    cluster.core.suppress_offers(&framework_id("A"), &set(&["a"])).unwrap();
    assert_eq!(explain(&mut cluster, "A", "a").obstacles, [Obstacle::Disconnected, Obstacle::Suppressed]);
    assert_eq!(explain(&mut cluster, "A", "b").obstacles, [Obstacle::Disconnected]);
    assert_eq!(only_reason(&mut cluster, "A", "b"), Reason::NothingElse);
    assert_eq!(explain(&mut cluster, "A", "b").line.position, None);
    cluster.core.activate_framework(&framework_id("A")).unwrap();
    assert_eq!(explain(&mut cluster, "A", "a").obstacles, [Obstacle::Suppressed]);
    assert_eq!(explain(&mut cluster, "A", "b").obstacles, []);
    let elsewhere = explain(&mut cluster, "A", "c");
    assert_eq!(elsewhere.obstacles, [Obstacle::NotSubscribed { subscribed: vec!["a".into(), "b".into()] }]);
    assert!(elsewhere.reasons.is_empty());
    // Without a role all are explained, by path.
    let answer = cluster.core.explain(&question("A", None), cluster.now).unwrap();
    assert_eq!(answer.roles.iter().map(|role| role.role.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn after_a_failover_everything_waits_for_agents() {
    let mut cluster = Cluster::new();
    let quota = Quota { guarantees: ResourceQuantities::parse("cpus:1").unwrap(), ..Default::default() };
    cluster.core.recover(10, &BTreeMap::from([("other".to_owned(), quota)]), cluster.now);
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    cluster.now += 30 * SECOND;
    let explained = explain(&mut cluster, "A", "role");
    assert_eq!(explained.obstacles, [Obstacle::Held { seconds_left: 570.0, agents_awaited: 7 }]);
    assert_eq!(explained.reasons[0].reason, Reason::NothingElse);
    cluster.now += 570 * SECOND;
    assert_eq!(explain(&mut cluster, "A", "role").obstacles, []);
}

#[test]
fn an_agent_may_be_out_of_service_or_not_listed() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    cluster.core.update_whitelist(Some(set(&["other.example"])));
    assert_eq!(only_reason(&mut cluster, "A", "role"), Reason::NotWhitelisted);
    cluster.core.deactivate_agent(&agent_id("agent")).unwrap();
    assert_eq!(only_reason(&mut cluster, "A", "role"), Reason::AgentInactive);
}

#[test]
fn the_master_offers_nothing_of_an_agent_that_is_full() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:1024");
    cluster.agent("b", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let question = Question { full: BTreeSet::from([agent_id("b")]), ..question("A", Some("role")) };
    let answer = cluster.core.explain(&question, cluster.now).unwrap();
    let told = answer.roles[0].agents.iter().map(|told| (told.agent.agent_id.as_str(), &told.reason));
    let offered = Reason::WouldBeOffered { resources: "cpus:4; mem:1024".into() };
    assert_eq!(told.collect::<Vec<_>>(), [("a", &offered), ("b", &Reason::ExecutorLimit)]);
    assert_eq!(answer.roles[0].reasons.len(), 2);
    // What it lacks besides is said first.
    cluster.core.deactivate_agent(&agent_id("b")).unwrap();
    let answer = cluster.core.explain(&question, cluster.now).unwrap();
    assert_eq!(answer.roles[0].agents[1].reason, Reason::AgentInactive);
}

#[test]
fn planned_maintenance_is_shown_and_is_no_reason() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    let planned = v1::Unavailability {
        start: v1::TimeInfo { nanoseconds: 1_500_000_000_000_000_000 },
        duration: Some(v1::DurationInfo { nanoseconds: 60_000_000_000 }),
    };
    cluster.core.update_unavailability(&agent_id("agent"), Some(planned)).unwrap();
    let explained = explain(&mut cluster, "A", "role");
    assert!(matches!(explained.agents[0].reason, Reason::WouldBeOffered { .. }), "{explained:#?}");
    let maintenance = explained.agents[0].agent.maintenance.unwrap();
    assert_eq!((maintenance.start_seconds, maintenance.duration_seconds), (1.5e9, Some(60.0)));
}

#[test]
fn what_is_held_is_told_by_holder_and_by_whether_it_is_only_offered() {
    let mut cluster = Cluster::new();
    cluster.agent("one", "cpus:4;mem:1024");
    cluster.agent("two", "cpus:1;mem:100");
    cluster.framework("hoarder", &["x"]);
    let offers = cluster.run();
    assert_eq!(offers.len(), 2);
    let first = offers.iter().find(|offer| offer.agent == "one").unwrap();
    // One task on `one`; the rest of it is offered again, and `two` is not answered at all.
    cluster.launch(first, "cpus:1;mem:24", 0.0);
    cluster.tick();
    cluster.framework("A", &["role"]);
    let Reason::NothingFree { held, offered, holders, more_holders } = only_reason(&mut cluster, "A", "role")
    else {
        panic!("something is free");
    };
    assert_eq!(held, figures(&[("cpus", 5.0), ("mem", 1124.0)]));
    assert_eq!(offered, figures(&[("cpus", 4.0), ("mem", 1100.0)]));
    assert_eq!((holders.len(), more_holders), (1, 0));
    assert_eq!((holders[0].framework_id.as_str(), holders[0].role.as_str()), ("hoarder", "x"));
    assert_eq!((holders[0].agents, &holders[0].held, &holders[0].offered), (2, &held, &offered));
    let explained = explain(&mut cluster, "A", "role");
    assert!(explained.agents.iter().all(|agent| agent.agent.free.is_empty()), "{explained:#?}");
    // The same seen from the other side.
    let hoarder = explain(&mut cluster, "hoarder", "x");
    assert_eq!(hoarder.holds, holders[0]);
    // Whoever holds most is named first, and five are named.
    cluster.agent("big", "cpus:1000;mem:100000");
    for name in ["1", "2", "3", "4", "5"] {
        cluster.agent(name, "cpus:0.5;mem:50");
        cluster.framework(name, &[name]);
        cluster.tick();
    }
    let Reason::NothingFree { holders, more_holders, .. } = only_reason(&mut cluster, "A", "role") else {
        panic!("something is free");
    };
    assert_eq!((holders.len(), holders[0].held["cpus"]), (5, 1000.0));
    assert!(more_holders > 0);
}

#[test]
fn what_is_reserved_for_others_is_told_with_their_roles() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus(x):4;mem(y):1024");
    cluster.framework("A", &["role"]);
    let reserved = BTreeMap::from([
        ("x".to_owned(), figures(&[("cpus", 4.0)])),
        ("y".to_owned(), figures(&[("mem", 1024.0)])),
    ]);
    assert_eq!(only_reason(&mut cluster, "A", "role"), Reason::ReservedForOthers { reserved });
}

#[test]
fn a_minimum_is_the_clusters_or_the_frameworks() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:0.005;mem:16");
    cluster.framework("A", &["role"]);
    let minimums = vec![figures(&[("cpus", 0.01)]), figures(&[("mem", 32.0)])];
    assert_eq!(
        only_reason(&mut cluster, "A", "role"),
        Reason::BelowMinimum { minimums, set_by: MinimumOf::Cluster }
    );
    assert_eq!(
        explain(&mut cluster, "A", "role").reasons[0].free,
        figures(&[("cpus", 0.005), ("mem", 16.0)])
    );
    let mut info = framework_info(&["role"]);
    let quantities = v1::offer_filters::ResourceQuantities {
        quantities: [("mem".to_owned(), v1::value::Scalar { value: 64.0 })].into(),
    };
    let minimum = v1::offer_filters::MinAllocatableResources { quantities: vec![quantities] };
    let filters = v1::OfferFilters { min_allocatable_resources: Some(minimum) };
    info.offer_filters.insert("role".into(), filters);
    cluster.framework_of("B", &info);
    assert_eq!(
        only_reason(&mut cluster, "B", "role"),
        Reason::BelowMinimum { minimums: vec![figures(&[("mem", 64.0)])], set_by: MinimumOf::Framework }
    );
}

fn lacks(capabilities: &[&str], regions: &[&str]) -> Reason {
    Reason::FrameworkLacks { capabilities: set(capabilities), regions: set(regions) }
}

#[test]
fn gpus_are_for_those_who_say_that_they_use_them() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024;gpus:1");
    cluster.framework("A", &["role"]);
    assert_eq!(only_reason(&mut cluster, "A", "role"), lacks(&["GPU_RESOURCES"], &[]));
    cluster.framework_of("B", &framework_with(&["role"], &[Type::MultiRole, Type::GpuResources]));
    assert!(matches!(only_reason(&mut cluster, "B", "role"), Reason::WouldBeOffered { .. }));
}

#[test]
fn other_regions_are_for_those_who_know_of_them() {
    let mut cluster = Cluster::with(Options { region: Some("here".into()), ..Default::default() });
    let mut info = agent_info("agent");
    let region = v1::domain_info::fault_domain::RegionInfo { name: "there".into() };
    let zone = v1::domain_info::fault_domain::ZoneInfo { name: "z".into() };
    info.domain = Some(DomainInfo { fault_domain: Some(v1::domain_info::FaultDomain { region, zone }) });
    let total = resources("cpus:4;mem:1024");
    cluster
        .core
        .add_agent(&agent_id("agent"), info, &agent_capabilities(), None, &total, &BTreeMap::new())
        .unwrap();
    cluster.framework("A", &["role"]);
    assert_eq!(only_reason(&mut cluster, "A", "role"), lacks(&["REGION_AWARE"], &["there"]));
}

#[test]
fn old_agents_know_neither_several_roles_nor_roles_below_others() {
    let mut cluster = Cluster::new();
    let total = resources("cpus:4;mem:1024");
    cluster.core.add_agent(&agent_id("old"), agent_info("old"), &[], None, &total, &BTreeMap::new()).unwrap();
    cluster.framework("A", &["role"]);
    assert_eq!(
        only_reason(&mut cluster, "A", "role"),
        Reason::AgentLacks { capability: "MULTI_ROLE".into() }
    );
    let mut info = framework_with(&[], &[]);
    info.role = Some("a/b".into());
    cluster.framework_of("B", &info);
    assert_eq!(
        only_reason(&mut cluster, "B", "a/b"),
        Reason::AgentLacks { capability: "HIERARCHICAL_ROLE".into() }
    );
}

#[test]
fn constraints_that_do_not_hold_are_told() {
    let constraints = br#"{"role_constraints":{"role":{"groups":[
        {"attribute_constraints":[
            {"selector":{"pseudoattribute_type":"HOSTNAME"},"predicate":{"text_equals":{"value":"other"}}}]},
        {"attribute_constraints":[
            {"selector":{"attribute_name":"rack"},"predicate":{"exists":{}}}]}
    ]}}}"#;
    let constraints = mesos::json::from_slice(constraints).unwrap();
    let constraints = OfferConstraintsFilter::new(&constraints, RegexLimits::default()).unwrap();
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    let options = FrameworkOptions { constraints, ..FrameworkOptions::default() };
    let (id, info) = (framework_id("A"), framework_info(&["role", "free"]));
    cluster.core.add_framework(&id, &info, &BTreeMap::new(), true, &options).unwrap();
    let violated = |subject: &str, rule: &str, found: Option<&str>| Violated {
        subject: subject.into(),
        rule: rule.into(),
        found: found.map(str::to_owned),
    };
    let violations = vec![
        violated("hostname", "must be 'other'", Some("'agent.example'")),
        violated("attribute 'rack'", "must exist", None),
    ];
    assert_eq!(only_reason(&mut cluster, "A", "role"), Reason::ExcludedByConstraints { violations });
    assert!(matches!(only_reason(&mut cluster, "A", "free"), Reason::WouldBeOffered { .. }));
}

#[test]
fn where_lots_are_drawn_nobody_is_named_before_others() {
    let options = Options { role_sorter: SorterKind::Random, ..Options::default() };
    let mut cluster = Cluster::with(options);
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["a"]);
    assert!(matches!(only_reason(&mut cluster, "A", "a"), Reason::WouldBeOffered { .. }));
    cluster.framework("B", &["b"]);
    for (framework, role) in [("A", "a"), ("B", "b")] {
        let in_line = Reason::InLine { ahead: vec![], more: true };
        assert_eq!(only_reason(&mut cluster, framework, role), in_line);
        let line = explain(&mut cluster, framework, role).line;
        assert_eq!((line.by_lot, line.position, line.length), (true, None, 2));
        assert!(line.ahead.is_empty());
    }
}

#[test]
fn what_is_left_without_the_kinds_that_a_framework_cannot_use_may_be_nothing() {
    let mut cluster = Cluster::new();
    let mut revocable = resources("cpus:4").to_protos();
    revocable[0].revocable = Some(v1::resource::RevocableInfo {});
    let total = mesos::Resources::try_from_protos(&revocable).unwrap();
    let (info, capabilities) = (agent_info("agent"), agent_capabilities());
    cluster.core.add_agent(&agent_id("agent"), info, &capabilities, None, &total, &BTreeMap::new()).unwrap();
    cluster.framework("A", &["role"]);
    assert_eq!(only_reason(&mut cluster, "A", "role"), lacks(&["REVOCABLE_RESOURCES"], &[]));
}

#[test]
fn a_refusal_is_told_with_the_time_that_is_left() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.agent("bgent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    for (offer, seconds) in cluster.run().iter().zip([100.0, 40.0]) {
        cluster.decline(offer, seconds);
    }
    cluster.now += 10 * SECOND;
    assert_eq!(
        only_reason(&mut cluster, "A", "role"),
        Reason::Filtered { seconds_left: 30.0, last_seconds_left: 90.0 }
    );
    let explained = explain(&mut cluster, "A", "role");
    let single = Reason::Filtered { seconds_left: 30.0, last_seconds_left: 30.0 };
    let example = &explained.reasons[0].example;
    let of_example = explained.agents.iter().find(|agent| agent.agent == *example).unwrap();
    assert_eq!(of_example.reason, single);
    assert_eq!(explained.reasons[0].free, figures(&[("cpus", 8.0), ("mem", 2048.0)]));
    cluster.core.revive_offers(&framework_id("A"), &BTreeSet::new()).unwrap();
    assert!(matches!(only_reason(&mut cluster, "A", "role"), Reason::WouldBeOffered { .. }));
}

#[test]
fn a_limit_is_told_with_what_is_consumed() {
    let mut cluster = Cluster::new();
    cluster.agent("one", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    cluster.run();
    cluster.agent("two", "cpus:4;mem:1024");
    set_quota(&mut cluster, "role", "", "cpus:4;mem:1024;disk:1000");
    let explained = explain(&mut cluster, "A", "role");
    let of_two = explained.agents.iter().find(|agent| agent.agent.agent_id.as_str() == "two").unwrap();
    let limit = |consumed, limit| Limit { consumed, limit };
    let limits =
        BTreeMap::from([("cpus".to_owned(), limit(4.0, 4.0)), ("mem".to_owned(), limit(1024.0, 1024.0))]);
    assert_eq!(of_two.reason, Reason::LimitReached { role: "role".into(), limits });
    assert!(cluster.tick().is_empty());
}

#[test]
fn headroom_is_told_with_those_it_is_held_for() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024");
    cluster.framework("A", &["role"]);
    set_quota(&mut cluster, "x", "cpus:4;mem:1000", "");
    set_quota(&mut cluster, "y", "mem:500", "");
    let missing = |role: &str, of: &[(&str, f64)]| Missing { role: role.into(), missing: figures(of) };
    assert_eq!(
        only_reason(&mut cluster, "A", "role"),
        Reason::Headroom {
            available: figures(&[("cpus", 4.0), ("mem", 1024.0)]),
            required: figures(&[("cpus", 4.0), ("mem", 1500.0)]),
            held_for: vec![missing("x", &[("cpus", 4.0), ("mem", 1000.0)]), missing("y", &[("mem", 500.0)]),],
            more_roles: 0,
        }
    );
    assert!(cluster.tick().is_empty());
    // Whoever is in one of those roles gets it: in the first stage.
    cluster.framework("B", &["x"]);
    let explained = explain(&mut cluster, "B", "x");
    assert!(
        matches!(&explained.reasons[0].reason, Reason::InLine { ahead, more: false } if ahead.is_empty())
    );
    assert_eq!(cluster.only_offer().framework, "B");
}

#[test]
fn others_who_are_asked_before_are_named_with_their_shares() {
    let mut cluster = Cluster::new();
    cluster.agent("one", "cpus:10;mem:1000");
    cluster.framework("rich", &["role"]);
    let offer = cluster.run().remove(0);
    cluster.launch(&offer, "cpus:5;mem:100", 0.0);
    cluster.framework("poor", &["role"]);
    let Reason::InLine { ahead, more } = only_reason(&mut cluster, "rich", "role") else {
        panic!("it is not in line");
    };
    assert_eq!((ahead.len(), more), (1, false));
    assert_eq!((ahead[0].framework_id.as_str(), ahead[0].role.as_str()), ("poor", "role"));
    assert_eq!((ahead[0].share, ahead[0].role_share), (0.0, 0.5));
    let line = explain(&mut cluster, "rich", "role").line;
    assert_eq!((line.position, line.length, line.share), (Some(2), 2, 0.5));
    assert_eq!((line.role_share, line.role_weight, &line.ahead), (0.5, 1.0, &ahead));
    // The first is not promised anything either, while somebody else wants it.
    assert_eq!(only_reason(&mut cluster, "poor", "role"), Reason::InLine { ahead: vec![], more: false });
    assert_eq!(cluster.only_offer().framework, "poor");
}

#[test]
fn whoever_alone_wants_what_is_free_would_be_offered_it() {
    let mut cluster = Cluster::new();
    cluster.agent("agent", "cpus:4;mem:1024;ports:[31000-32000]");
    cluster.framework("A", &["role"]);
    cluster.framework("B", &["role"]);
    cluster.core.suppress_offers(&framework_id("B"), &BTreeSet::new()).unwrap();
    let Reason::WouldBeOffered { resources: told } = only_reason(&mut cluster, "A", "role") else {
        panic!("it would not be offered");
    };
    assert_eq!(told, cluster.only_offer().resources.to_string());
}

#[test]
fn a_page_of_agents_is_listed_and_all_are_summed_up() {
    let mut cluster = Cluster::new();
    for number in 0..50 {
        cluster.agent(&format!("S{number}"), "cpus:1;mem:32");
    }
    cluster.framework("A", &["role"]);
    for number in 0..20 {
        cluster.core.deactivate_agent(&agent_id(&format!("S{number}"))).unwrap();
    }
    let mut asked = question("A", Some("role"));
    (asked.limit, asked.offset) = (5, 18);
    let answer = cluster.core.explain(&asked, cluster.now).unwrap();
    let explained = &answer.roles[0];
    let listed: Vec<&str> = explained.agents.iter().map(|agent| agent.agent.agent_id.as_str()).collect();
    assert_eq!(listed, ["S18", "S19", "S20", "S21", "S22"]);
    assert_eq!(explained.agents_in_all, 50);
    let sums: Vec<usize> = explained.reasons.iter().map(|group| group.agents).collect();
    assert_eq!(sums, [30, 20]);
    assert_eq!(explained.reasons[1].reason, Reason::AgentInactive);
    assert_eq!(explained.reasons[1].free, figures(&[("cpus", 20.0), ("mem", 640.0)]));
    (asked.limit, asked.offset) = (usize::MAX, 49);
    assert_eq!(cluster.core.explain(&asked, cluster.now).unwrap().roles[0].agents.len(), 1);
    (asked.limit, asked.offset) = (0, usize::MAX);
    assert!(cluster.core.explain(&asked, cluster.now).unwrap().roles[0].agents.is_empty());
}

#[test]
fn of_many_roles_some_are_explained_and_the_rest_is_counted() {
    let mut cluster = Cluster::new();
    let names: Vec<String> = (0..30).map(|number| format!("r{number:02}")).collect();
    cluster.framework("A", &names.iter().map(String::as_str).collect::<Vec<_>>());
    let answer = cluster.core.explain(&question("A", None), cluster.now).unwrap();
    assert_eq!((answer.roles.len(), answer.more_roles), (20, 10));
    assert_eq!(answer.roles[19].role, "r19");
}

#[test]
fn asking_changes_nothing() {
    let mut asked = Cluster::new();
    let mut unasked = Cluster::new();
    for cluster in [&mut asked, &mut unasked] {
        for number in 0..10 {
            cluster.agent(&format!("S{number}"), "cpus:4;mem:1024");
        }
        for name in ["A", "B", "C"] {
            cluster.framework(name, &["role"]);
        }
    }
    for _ in 0..5 {
        for name in ["A", "B", "C"] {
            explain(&mut asked, name, "role");
        }
        let (one, other) = (asked.tick(), unasked.tick());
        assert_eq!(one, other);
        for offer in &one {
            asked.decline(offer, 0.0);
            unasked.decline(offer, 0.0);
        }
    }
}

/// A few milliseconds, even in a cluster of this size. Here only that the work has a bound: others are
/// not asked for ever.
#[test]
fn others_are_not_asked_without_end() {
    let mut cluster = Cluster::new();
    for number in 0..1_000 {
        cluster.agent(&format!("S{number}"), "cpus:4;mem:1024");
    }
    // None of these can use any agent, so that all of them would have to be asked about each.
    for number in 0..200 {
        let mut info = framework_with(&[], &[]);
        info.role = Some(format!("r{number}"));
        let mut minimum = v1::offer_filters::ResourceQuantities::default();
        minimum.quantities.insert("cpus".into(), v1::value::Scalar { value: 100.0 });
        let minimum = v1::offer_filters::MinAllocatableResources { quantities: vec![minimum] };
        let filters = v1::OfferFilters { min_allocatable_resources: Some(minimum) };
        info.offer_filters.insert(format!("r{number}"), filters);
        cluster.framework_of(&format!("F{number}"), &info);
    }
    cluster.framework("A", &["z"]);
    let explained = explain(&mut cluster, "A", "z");
    let sums: Vec<usize> = explained.reasons.iter().map(|group| group.agents).collect();
    // 200 others were asked about each of 500 agents.
    assert_eq!(sums, [500, 500], "{:?}", explained.reasons);
    let told = |at: usize| &explained.reasons[at].reason;
    assert!(matches!(told(0), Reason::InLine { more: true, .. } | Reason::WouldBeOffered { .. }));
}
