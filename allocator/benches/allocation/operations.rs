//! RESERVE and UNRESERVE by one framework on an agent that is full of others' reservations
//! (upstream: `HierarchicalAllocator__BENCHMARK_WithResourceParam.UpdateAllocation`).

use std::collections::BTreeMap;

use harness::bench::{self, Report, Target, median};
use mesos::resources::{ResourceConversion, conversions};
use mesos::v1::offer::{Operation, operation};
use mesos::v1::resource::{ReservationInfo, reservation_info};
use mesos::{Resources, v1};

use crate::Settings;
use crate::cluster::{Cluster, agent_id, framework_id, framework_info, resources};

const REPETITIONS: usize = 100;

pub(crate) fn run(_: &Settings, report: &mut Report) {
    report.note(format!("4 reservations to a role, each with a label of its own; medians of {REPETITIONS}"));
    for roles in [50, 100, 200] {
        let target = if roles == 200 { Target::AtMost(200.0) } else { Target::None };
        let [unreserve, reserve] = reserve_again_and_again(roles);
        let objects = roles * 4;
        report.figure(&format!("UNRESERVE, {objects} resource objects"), unreserve, "us", Target::None);
        report.figure(&format!("RESERVE, {objects} resource objects"), reserve, "us", target);
    }
}

/// Four resources, reserved dynamically for a role with a label that no other has.
fn reservations(role: &str, at: usize) -> Resources {
    let reserved = ["cpus:100", "mem:100", "disk:100", "port:[2-2]"].iter().enumerate().map(|(of, text)| {
        let label = v1::Label { key: "Label".into(), value: Some(format!("{:036}", at * 4 + of)) };
        let reservation = ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic as i32),
            role: Some(role.to_owned()),
            labels: Some(v1::Labels::from_iter([label])),
            ..Default::default()
        };
        resources(text).push_reservation(&reservation).expect("what is unreserved can be reserved")
    });
    reserved.sum()
}

/// Microseconds of an UNRESERVE and of a RESERVE.
fn reserve_again_and_again(roles: usize) -> [f64; 2] {
    let mut cluster = Cluster::new();
    let mut total = Resources::new();
    let mut used = BTreeMap::new();
    for at in 0..roles {
        // As long as upstream's, which are random.
        let role = format!("role-{at:036}");
        cluster.framework(at, &framework_info(&role, &[]));
        let reserved = reservations(&role, at);
        total += &reserved;
        used.insert(framework_id(at), reserved.allocated_to(&role));
    }
    assert_eq!(total.len(), roles * 4, "no two of them merge");
    let reserved = used.get(&framework_id(0)).cloned().unwrap_or_default();
    let unreserved = reserved.to_unreserved();
    cluster.agent(0, &total, &used);
    let protos = reserved.to_protos();
    let reserve = Operation {
        r#type: Some(operation::Type::Reserve as i32),
        reserve: Some(operation::Reserve { resources: protos.clone(), ..Default::default() }),
        ..Default::default()
    };
    let unreserve = Operation {
        r#type: Some(operation::Type::Unreserve as i32),
        unreserve: Some(operation::Unreserve { resources: protos }),
        ..Default::default()
    };
    let steps = [&unreserve, &reserve]
        .map(|operation| conversions(operation).expect("they convert what the framework has"));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..REPETITIONS {
        times[0].push(apply(&mut cluster, &reserved, &steps[0]));
        times[1].push(apply(&mut cluster, &unreserved, &steps[1]));
    }
    times.map(|times| median(&times))
}

fn apply(cluster: &mut Cluster, offered: &Resources, steps: &[ResourceConversion]) -> f64 {
    let (framework, agent) = (framework_id(0), agent_id(0));
    let began = bench::now();
    let applied = cluster.core.update_allocation(&framework, &agent, offered, steps);
    let took = began.elapsed();
    applied.expect("the framework has what it converts");
    took.as_secs_f64() * 1e6
}
