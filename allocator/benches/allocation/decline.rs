//! Everybody declines every offer for good, until nothing is left to be offered
//! (upstream: `HierarchicalAllocator_BENCHMARK_Test.DeclineOffers`).

use harness::bench::{self, Report, Target, median};

use crate::Settings;
use crate::cluster::{Cluster, count, size};
use crate::memory;

const AN_HOUR: f64 = 3600.0;

pub(crate) fn run(settings: &Settings, report: &mut Report) {
    report.note("agents x frameworks; each agent is used in part, as upstream has it");
    for (agents, frameworks) in [(1_000, 50), (1_000, 100)] {
        let cluster = Cluster::partly_used(agents, frameworks);
        until_nothing_is_offered(report, cluster, agents, frameworks, [Target::None; 2]);
    }
    report.note("each agent is wholly free, and everything is declined for an hour");
    let frameworks = if settings.full { 1_000 } else { 100 };
    let cluster = Cluster::free(10_000, frameworks);
    let targets = [Target::AtMost(5.0), Target::AtMost(10.0)];
    until_nothing_is_offered(report, cluster, 10_000, frameworks, targets);
    if !settings.full {
        report.note("with 1,000 frameworks: --full");
    }
}

/// `targets`: of the cycle in milliseconds, of each filter in bytes.
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
    report.figure(&format!("memory of the filters, {size}"), bytes as f64 / 1e6, "MB", Target::None);
    report.figure(&format!("memory of a filter, {size}"), bytes as f64 / filters as f64, "bytes", targets[1]);
    let name = format!("{} cycles and all declines, {size}", all_cycles.len());
    report.figure(&name, took, "s", Target::None);
}
