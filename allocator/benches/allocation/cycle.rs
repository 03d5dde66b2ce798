//! A cycle in which all agents are free and nobody refuses anything, and the floor under it.

use harness::bench::{Report, Target, in_turn};

use crate::Settings;
use crate::cluster::{Cluster, beside_the_model, size};
use crate::floor::Floor;

/// How many times the floor a cycle may cost.
const AT_MOST: f64 = 10.0;

pub(crate) fn run(_: &Settings, report: &mut Report) {
    report.note("agents x frameworks; everything is given back between cycles; medians");
    for (agents, frameworks, rounds) in
        [(1_000, 200, 31), (10_000, 200, 11), (10_000, 1_000, 11), (50_000, 1_000, 5)]
    {
        let mut cluster = Cluster::new().free(agents, frameworks);
        let mut floor = Floor::new(agents, frameworks);
        let turns = in_turn(rounds, [&mut || cluster.cycle_and_back(), &mut || floor.cycle_and_back()]);
        let size = size(agents, frameworks);
        report.figure(&format!("floor, {size}"), turns.median(1), "ms", Target::None);
        report.figure(&format!("cycle, {size}"), turns.median(0), "ms", Target::None);
        let name = format!("cycle for each floor, {size}");
        report.figure(&name, turns.ratio(0, 1), "times", Target::AtMost(AT_MOST));
    }
    beside_the_model(report, &size(100, 20), Cluster::with_model().free(100, 20));
}
