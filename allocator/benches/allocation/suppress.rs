//! Frameworks that want no offers (upstream: `HierarchicalAllocator_BENCHMARK_Test.SuppressOffers` and
//! `ExtremeSuppressOffers`).

use harness::bench::{Report, Target, median};

use crate::Settings;
use crate::cluster::{Cluster, count, size};
use crate::floor;

/// How many cycles each benchmark has.
const CYCLES: usize = 5;
const SIZES: [(usize, usize); 2] = [(1_000, 200), (10_000, 1_000)];

/// Before each cycle another fifth of the frameworks suppresses its offers.
pub(crate) fn more_and_more(_: &Settings, report: &mut Report) {
    report.note("agents x frameworks; what was offered comes back without filters");
    for (agents, frameworks) in SIZES {
        let mut cluster = Cluster::new().partly_used(agents, frameworks);
        let size = size(agents, frameworks);
        report.figure(&format!("floor, {size}"), floor::of(agents, frameworks), "ms", Target::None);
        for (suppressed, offers, took) in fifths(&mut cluster, frameworks) {
            report.figure(
                &format!("{offers} offers, {suppressed} suppressed, {size}"),
                took,
                "ms",
                Target::None,
            );
        }
    }
    let (agents, frameworks) = (50, 20);
    let mut cluster = Cluster::with_model().partly_used(agents, frameworks);
    let core: Vec<f64> = fifths(&mut cluster, frameworks).into_iter().map(|(_, _, took)| took).collect();
    cluster.report_model(report, &size(agents, frameworks), &core);
}

/// How many are suppressed, how many offers there are, how many milliseconds the cycle takes.
fn fifths(cluster: &mut Cluster, frameworks: usize) -> Vec<(usize, usize, f64)> {
    let batch = frameworks / CYCLES;
    let cycles = (0..CYCLES).map(|cycle| {
        (cycle * batch..(cycle + 1) * batch).for_each(|framework| cluster.suppress(framework));
        let (offers, took) = cluster.cycle();
        cluster.decline(&offers, None);
        ((cycle + 1) * batch, count(&offers), took)
    });
    cycles.collect()
}

/// All but one of a hundred frameworks suppress their offers.
pub(crate) fn nearly_all(_: &Settings, report: &mut Report) {
    report.note("agents x frameworks; what was offered comes back without filters; medians of 5");
    for (agents, frameworks) in SIZES {
        let mut cluster = suppressed(Cluster::new().partly_used(agents, frameworks), frameworks);
        let cycles: Vec<f64> = (0..CYCLES).map(|_| cluster.cycle_and_back()).collect();
        let size = size(agents, frameworks);
        let floor = floor::of(agents, frameworks / 100);
        report.figure(&format!("floor with those that are left, {size}"), floor, "ms", Target::None);
        report.figure(&format!("99 % suppressed, {size}"), median(&cycles), "ms", Target::None);
    }
    let mut cluster = suppressed(Cluster::with_model().partly_used(50, 20), 20);
    let core: Vec<f64> = (0..CYCLES).map(|_| cluster.cycle_and_back()).collect();
    cluster.report_model(report, &size(50, 20), &core);
}

fn suppressed(mut cluster: Cluster, frameworks: usize) -> Cluster {
    (0..frameworks * 99 / 100).for_each(|framework| cluster.suppress(framework));
    cluster
}
