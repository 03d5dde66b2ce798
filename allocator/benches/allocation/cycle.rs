//! A cycle in which all agents are free and nobody refuses anything, and the floor under it.

use harness::bench::{self, Report, Target, in_turn};

use crate::Settings;
use crate::cluster::{Cluster, size};
use crate::floor::Floor;

/// How many times the floor a cycle may cost.
const AT_MOST: f64 = 10.0;

pub(crate) fn run(_: &Settings, report: &mut Report) {
    report.note("agents x frameworks; everything is given back between cycles; medians");
    for (agents, frameworks, rounds) in
        [(1_000, 200, 31), (10_000, 200, 11), (10_000, 1_000, 11), (50_000, 1_000, 5)]
    {
        let mut cluster = Cluster::free(agents, frameworks);
        let mut floor = Floor::new(agents, frameworks);
        let turns = in_turn(rounds, [&mut || cluster.cycle_and_back(), &mut || floor_cycle(&mut floor)]);
        let size = size(agents, frameworks);
        report.figure(&format!("floor, {size}"), turns.median(1), "ms", Target::None);
        report.figure(&format!("cycle, {size}"), turns.median(0), "ms", Target::None);
        let name = format!("cycle for each floor, {size}");
        report.figure(&name, turns.ratio(0, 1), "times", Target::AtMost(AT_MOST));
    }
}

fn floor_cycle(floor: &mut Floor) -> f64 {
    let began = bench::now();
    let offers = floor.cycle();
    let took = began.elapsed();
    std::hint::black_box(offers);
    floor.give_back();
    took.as_secs_f64() * 1e3
}
