//! The views against what genuine Mesos showed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use libprocess::http::Query;
use mesos::Resources;
use serde_json::Value;

use super::*;
use crate::cluster::testing::view;
use crate::cluster::{Cluster, testing};

/// A framework with two tasks on an agent.
fn running_cluster() -> Cluster {
    let mut cluster = testing::cluster(&["f"], &["a"]);
    for (id, resources) in [("t1", "cpus:1;mem:32"), ("t2", "cpus:0.5;mem:64")] {
        cluster.add_task(testing::task(id, resources));
    }
    cluster
}

fn rendered(cluster: &Cluster, render: Render, query: &str) -> Value {
    let snapshot = cluster.snapshot(Arc::new(view()), SystemTime::UNIX_EPOCH);
    let renderings = Renderings::new(libprocess::Metrics::new().counter("hits"));
    let body = render(&renderings, &snapshot, &Query::parse(query));
    serde_json::from_slice(&body.into_pieces().concat()).unwrap()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// Keys that a recorded answer of genuine Mesos has at some place.
fn expected(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// Upstream: `MasterTest.SlavesEndpointWithoutSlaves`.
#[test]
fn an_idle_cluster_has_the_keys_of_upstream() {
    let state = rendered(&Cluster::default(), state::render, "");
    assert_eq!(
        keys(&state),
        expected(
            "version build_date build_time build_user start_time elected_time id pid hostname capabilities \
             activated_slaves deactivated_slaves unreachable_slaves leader leader_info log_dir flags slaves \
             recovered_slaves frameworks completed_frameworks orphan_tasks unregistered_frameworks"
        )
    );
    assert_eq!(state["activated_slaves"].to_string(), "0.0");
    assert_eq!(keys(&state["leader_info"]), expected("id pid port hostname"));
    let roles = rendered(&Cluster::default(), |_, snapshot, _| json(&Roles::of(snapshot)).into(), "");
    assert_eq!(roles.to_string(), r#"{"roles":[]}"#);
    let agents = rendered(&Cluster::default(), agents::render, "slave_id=x");
    assert_eq!(agents.to_string(), r#"{"recovered_slaves":[],"slaves":[]}"#);
}

/// Upstream: `Master::knownRoles`, `Master::RoleResourceBreakdown`.
#[test]
fn a_role_is_shown_with_those_above_it_and_all_below_it() {
    let mut cluster = Cluster::default();
    let mut framework = testing::framework("f");
    framework.roles = Arc::new(["c/d/e".to_owned()].into());
    cluster.add_framework(framework);
    cluster.add_agent(testing::agent("a", "cpus:4;mem:64;cpus(c/d):2;ports:[1-10]"));
    let mut task = testing::task_of("t", "f", "a", "cpus:1;ports:[1-3];cpus(c/d):1");
    task.resources = task.resources.unallocated().allocated_to("c/d/e");
    cluster.add_task(task);
    let roles = rendered(&cluster, |_, snapshot, _| json(&Roles::of(snapshot)).into(), "");
    let names: Vec<&str> =
        roles["roles"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["c", "c/d", "c/d/e"]);
    for (index, reserved) in [(0, 2.0), (1, 2.0), (2, 0.0)] {
        let role = &roles["roles"][index];
        assert_eq!(role["allocated"]["cpus"], 2.0, "{role}");
        assert_eq!(role["allocated"]["ports"], 3.0, "{role}");
        assert_eq!(role["reserved"]["cpus"].as_f64().unwrap_or(0.0), reserved, "{role}");
    }
    // Two cpus are allocated, one of the two reserved is not.
    assert_eq!(roles["roles"][0]["quota"]["consumed"]["cpus"], 3.0);
    let mut view = view();
    view.role_whitelist = Some(Arc::new(["x/y".to_owned()].into()));
    let snapshot = cluster.snapshot(Arc::new(view), SystemTime::UNIX_EPOCH);
    let roles = serde_json::to_value(Roles::of(&snapshot)).unwrap();
    let names: Vec<&str> =
        roles["roles"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["*", "x", "x/y"]);
}

#[test]
fn agents_frameworks_and_tasks_have_the_keys_of_upstream() {
    let cluster = running_cluster();
    let state = rendered(&cluster, state::render, "");
    let agent = &state["slaves"][0];
    assert_eq!(
        keys(agent),
        expected(
            "id hostname port attributes pid registered_time resources used_resources offered_resources \
             reserved_resources unreserved_resources active deactivated version capabilities"
        )
    );
    let framework = &state["frameworks"][0];
    assert_eq!(
        keys(framework),
        expected(
            "id name used_resources offered_resources capabilities hostname webui_url active connected recovered \
             user failover_timeout checkpoint registered_time unregistered_time resources role tasks \
             unreachable_tasks completed_tasks offers executors offer_constraints"
        )
    );
    let task = &framework["tasks"][0];
    for key in expected("id name framework_id executor_id slave_id state resources role statuses") {
        assert!(task.get(&key).is_some(), "{key}: {task}");
    }
    // The books agree between the views.
    assert_eq!(agent["used_resources"], framework["used_resources"]);
    let used: Resources = cluster.agents().values().flat_map(|agent| agent.used.values().cloned()).sum();
    assert_eq!(agent["used_resources"]["cpus"].as_f64().unwrap(), used.cpus().unwrap().to_f64());

    let summary = rendered(&cluster, |_, snapshot, _| json(&StateSummary::of(snapshot)).into(), "");
    assert_eq!(summary["slaves"][0]["framework_ids"][0], framework["id"]);
    assert_eq!(summary["frameworks"][0]["slave_ids"][0], agent["id"]);
    let role = &rendered(&cluster, |_, snapshot, _| json(&Roles::of(snapshot)).into(), "")["roles"][0];
    assert_eq!(keys(role), expected("name weight quota resources allocated offered reserved frameworks"));
    assert_eq!(role["allocated"]["cpus"], agent["used_resources"]["cpus"]);
    assert_eq!(role["frameworks"][0], framework["id"]);
}

/// A rendering of all agents of a large cluster takes seconds, in which its parts are locked.
#[test]
fn one_agent_and_one_framework_are_shown_while_all_of_them_are_being_rendered() {
    let cluster = running_cluster();
    let snapshot = cluster.snapshot(Arc::new(view()), SystemTime::UNIX_EPOCH);
    let renderings = Renderings::new(libprocess::Metrics::new().counter("hits"));
    let (_all_frameworks, _all_agents) = (renderings.v0.lock(), renderings.v0_detailed.lock());
    let shown = |render: Render, query: &str| -> Value {
        let body = render(&renderings, &snapshot, &Query::parse(query));
        serde_json::from_slice(&body.into_pieces().concat()).unwrap()
    };
    assert_eq!(shown(agents::render, "slave_id=a"), rendered(&cluster, agents::render, "slave_id=a"));
    let framework = shown(frameworks::render, "framework_id=f");
    assert_eq!(framework, rendered(&cluster, frameworks::render, "framework_id=f"));
    assert_eq!(framework["frameworks"][0]["tasks"].as_array().unwrap().len(), 2);
}

/// What does not say how much it does keeps a core from the master for as long as it takes.
#[test]
fn whatever_is_made_of_many_things_gives_its_core_away_meanwhile() {
    let mut cluster = testing::cluster(&["f"], &["a"]);
    for number in 0..100 {
        cluster.add_task(testing::task(&format!("t{number}"), "cpus:0.01"));
        cluster.add_offer(testing::offer(&format!("o{number}"), "f", "a", "cpus:0.01"));
    }
    let roles: Render = |_, snapshot, _| json(&Roles::of(snapshot)).into();
    let tasks: Render = |_, snapshot, query| json(&Tasks::of(snapshot, &Page::of(query))).into();
    let summary: Render = |_, snapshot, _| json(&StateSummary::of(snapshot)).into();
    // The least that was done: offers and tasks are rendered, tasks are sorted, each is looked at.
    for (render, query, least) in [
        (state::render as Render, "", 200 * breath::RENDERED),
        (frameworks::render, "", 200 * breath::RENDERED),
        (tasks, "", 100 * breath::RENDERED / 4),
        (tasks, "task_id=none", 100),
        (summary, "", 100),
        (roles, "", 2 * breath::RENDERED),
    ] {
        let before = breath::spent();
        rendered(&cluster, render, query);
        let spent = breath::spent() - before;
        assert!(spent >= least, "{spent} of {least}");
    }
}

#[test]
fn tasks_come_a_page_at_a_time() {
    let cluster = running_cluster();
    let tasks = |query: &str| {
        let page = rendered(
            &cluster,
            |_, snapshot, query| json(&Tasks::of(snapshot, &Page::of(query))).into(),
            query,
        );
        page["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = tasks("order=asc");
    assert!(!all.is_empty());
    let mut reversed = tasks("");
    reversed.reverse();
    assert_eq!(all, reversed);
    assert_eq!(tasks("limit=0"), Vec::<String>::new());
    assert_eq!(tasks("limit=bogus&order=asc"), all);
    assert_eq!(tasks("offset=1&order=asc"), all[1..]);
    assert_eq!(tasks("framework_id=nope"), Vec::<String>::new());
    assert_eq!(tasks(&format!("task_id={}", all[0])), all[..1]);
}
