//! What it costs to say why a framework gets no offers (upstream has nothing like it).

use std::collections::BTreeSet;

use allocator::core::explain::Question;
use harness::bench::{self, Report, Target, median};

use crate::Settings;
use crate::cluster::{Cluster, framework_id, size};

/// The allocator does nothing else meanwhile.
const AT_MOST_MS: f64 = 50.0;

pub(crate) fn run(_: &Settings, report: &mut Report) {
    report.note("agents x frameworks; 100 agents listed; medians of 9");
    let (agents, frameworks) = (10_000, 1_000);
    let size = size(agents, frameworks);
    let mut cluster = Cluster::new().free(agents, frameworks);
    let last = frameworks - 1;
    let mut figure = |name: &str, cluster: &mut Cluster, framework: usize| {
        let took: Vec<f64> = (0..9).map(|_| explain(cluster, framework)).collect();
        report.figure(&format!("{name}, {size}"), median(&took), "ms", Target::AtMost(AT_MOST_MS));
    };
    figure("all free, and the last in line", &mut cluster, last);
    figure("all free, and the first in line", &mut cluster, 0);
    let (offers, _) = cluster.cycle();
    figure("all offered to others", &mut cluster, last);
    cluster.decline(&offers, Some(3600.0));
    let refused = offers.keys().next().and_then(|id| (0..frameworks).find(|at| framework_id(*at) == *id));
    figure("some refused, the rest in line", &mut cluster, refused.unwrap_or(last));
    for at in 0..last {
        cluster.core.suppress_offers(&framework_id(at), &Default::default()).expect("it was added");
    }
    figure("all free, and nobody else wants it", &mut cluster, last);
}

fn explain(cluster: &mut Cluster, framework: usize) -> f64 {
    let question = Question {
        framework: framework_id(framework),
        role: None,
        limit: 100,
        offset: 0,
        full: BTreeSet::new(),
    };
    let began = bench::now();
    let answer = cluster.core.explain(&question, cluster.now);
    let took = began.elapsed();
    assert!(std::hint::black_box(answer).is_ok(), "the framework was added");
    took.as_secs_f64() * 1e3
}
