//! Everybody declines every offer for good, until nothing is left to be offered
//! (upstream: `HierarchicalAllocator_BENCHMARK_Test.DeclineOffers` and `ResourceLabels`).

use harness::bench::{self, Report, Target, median};

use mesos::v1::resource::{ReservationInfo, reservation_info};
use mesos::{Resources, v1};

use crate::Settings;
use crate::cluster::{Cluster, USED, count, framework_id, resources, size, used};
use crate::floor::Floor;
use crate::memory;

const AN_HOUR: f64 = 3600.0;

pub(crate) fn run(_: &Settings, report: &mut Report) {
    report.note("agents x frameworks; each agent is used in part, as upstream has it");
    for (agents, frameworks) in [(1_000, 50), (1_000, 100)] {
        let cluster = Cluster::new().partly_used(agents, frameworks);
        until_nothing_is_offered(report, cluster, agents, frameworks, [Target::None; 2]);
    }
    report.note("each agent is wholly free, and everything is declined for an hour");
    let (agents, frameworks) = (10_000, 1_000);
    let cluster = Cluster::new().free(agents, frameworks);
    let targets = [Target::AtMost(5.0), Target::AtMost(100.0)];
    until_nothing_is_offered(report, cluster, agents, frameworks, targets);
    beside_the_model(report, Cluster::with_model().partly_used(40, 10), 10);
}

/// Every agent has two reservations, each with 12 labels of which the last alone is its own.
pub(crate) fn with_labels(_: &Settings, report: &mut Report) {
    report.note("agents x frameworks; two reservations with 12 labels each on every agent");
    let (agents, frameworks) = (1_000, 50);
    let cluster = labelled(Cluster::new(), agents, frameworks);
    until_nothing_is_offered(report, cluster, agents, frameworks, [Target::None; 2]);
    beside_the_model(report, labelled(Cluster::with_model(), 40, 10), 10);
}

fn labelled(mut cluster: Cluster, agents: usize, frameworks: usize) -> Cluster {
    const ROLE: &str = "role1";
    cluster.frameworks(frameworks, |_| ROLE.to_owned());
    for at in 0..agents {
        let reserved = |which: usize| {
            let label = |key: String, value: String| v1::Label { key, value: Some(value) };
            let mut labels: v1::Labels =
                (0..11).map(|at| label(format!("key{at}"), format!("value{at}"))).collect();
            labels.extend([label(format!("unique_key_{which}"), format!("value_{at}"))]);
            let reservation = ReservationInfo {
                r#type: Some(reservation_info::Type::Dynamic as i32),
                role: Some(ROLE.to_owned()),
                principal: Some("principal1".into()),
                labels: Some(labels),
            };
            let reserved = resources("cpus:8").push_reservation(&reservation);
            reserved.expect("what is unreserved can be reserved")
        };
        let reserved: Resources = reserved(1) + reserved(2);
        let total = resources("cpus:8;mem:4096;disk:4096;ports:[31000-32000]") + &reserved;
        let used = used() - resources(USED) + resources("mem:2014;disk:1024") + reserved;
        cluster.agent(at, &total, &[(framework_id(at % frameworks), used.allocated_to(ROLE))].into());
    }
    cluster
}

/// Until nothing is offered any more.
fn beside_the_model(report: &mut Report, mut cluster: Cluster, frameworks: usize) {
    let mut core = Vec::new();
    for _ in 0..=frameworks {
        let (offers, took) = cluster.cycle();
        core.push(took);
        cluster.decline(&offers, Some(AN_HOUR));
    }
    cluster.report_model(report, &size(40, frameworks), &core);
}

/// `targets`: of a cycle in which everything is filtered, in milliseconds; of all filters, in MB.
fn until_nothing_is_offered(
    report: &mut Report,
    mut cluster: Cluster,
    agents: usize,
    frameworks: usize,
    targets: [Target; 2],
) {
    let size = size(agents, frameworks);
    let before = memory::in_use();
    let began = bench::now();
    let mut all_cycles = Vec::new();
    let mut filters = 0;
    let first_empty = loop {
        let (offers, took) = cluster.cycle();
        let offered = count(&offers);
        if offered == 0 {
            break took;
        }
        all_cycles.push(took);
        filters += offered;
        cluster.decline(&offers, Some(AN_HOUR));
        assert!(all_cycles.len() <= 2 * frameworks, "each agent is offered to each framework once");
    };
    let took = began.elapsed().as_secs_f64();
    let bytes = memory::in_use() - before;
    assert_eq!(filters, agents * frameworks, "everybody declined every agent");
    // Its first cycle, too.
    let floor = Floor::new(agents, frameworks).cycle_and_back();
    report.figure(&format!("floor, {size}"), floor, "ms", Target::None);
    report.figure(
        &format!("first cycle for each floor, {size}"),
        all_cycles[0] / floor,
        "times",
        Target::None,
    );
    let later: Vec<f64> = (0..9).map(|_| cluster.cycle().1).collect();
    report.figure(&format!("first cycle, {size}"), all_cycles[0], "ms", Target::None);
    report.figure(&format!("median cycle with offers, {size}"), median(&all_cycles), "ms", Target::None);
    report.figure(
        &format!("last cycle with offers, {size}"),
        all_cycles[all_cycles.len() - 1],
        "ms",
        Target::None,
    );
    report.figure(&format!("first cycle without, all filtered, {size}"), first_empty, "ms", targets[0]);
    report.figure(&format!("later cycles, all filtered, {size}"), median(&later), "ms", targets[0]);
    report.figure(&format!("memory of the filters, {size}"), bytes as f64 / 1e6, "MB", targets[1]);
    report.figure(
        &format!("memory of a filter, {size}"),
        bytes as f64 / filters as f64,
        "bytes",
        Target::None,
    );
    let name = format!("{} cycles and all declines, {size}", all_cycles.len());
    report.figure(&name, took, "s", Target::None);
}
