//! Cycles with quotas beside the same cycles without (upstream: `LargeAndSmallQuota`, `NonQuotaVsQuota`
//! in `hierarchical_allocator_benchmarks.cpp`, with the sorter `drf`).

use std::collections::BTreeMap;

use harness::bench::{Report, Target, in_turn};

use crate::Settings;
use crate::cluster::{Cluster, beside_the_model, count, quota, resources, size};
use crate::floor;

const AGENT: &str = "cpus:2;mem:2048;disk:2048";
/// Half an agent.
const SMALL: &str = "cpus:1;mem:1024;disk:1024";
/// Two agents.
const LARGE: &str = "cpus:4;mem:4096;disk:4096";

/// The role of a framework, and the quota of that role.
type RoleOf<'a> = &'a dyn Fn(usize) -> (String, String);

fn fill(
    mut cluster: Cluster,
    agents: usize,
    frameworks: usize,
    role: RoleOf<'_>,
    with_quota: bool,
) -> Cluster {
    cluster.frameworks(frameworks, |at| role(at).0);
    let total = resources(AGENT);
    for at in 0..agents {
        cluster.agent(at, &total, &BTreeMap::new());
    }
    for at in 0..frameworks {
        let (role, of_role) = role(at);
        if with_quota {
            cluster.set_quota(&role, &quota(&of_role));
        }
    }
    cluster
}

struct Targets {
    cycle: Target,
    ratio: Target,
}

fn compare(report: &mut Report, agents: usize, frameworks: usize, role: RoleOf<'_>, targets: &Targets) {
    let mut with = fill(Cluster::new(), agents, frameworks, role, true);
    let mut without = fill(Cluster::new(), agents, frameworks, role, false);
    let size = size(agents, frameworks);
    for (what, cluster) in [("with", &mut with), ("without", &mut without)] {
        let (offers, _) = cluster.cycle();
        report.note(format!("{} offers {what} quotas, {size}", count(&offers)));
        cluster.decline(&offers, None);
    }
    let turns = in_turn(11, [&mut || with.cycle_and_back(), &mut || without.cycle_and_back()]);
    report.figure(&format!("floor, {size}"), floor::of(agents, frameworks), "ms", Target::None);
    report.figure(&format!("cycle without quotas, {size}"), turns.median(1), "ms", Target::None);
    report.figure(&format!("cycle with quotas, {size}"), turns.median(0), "ms", targets.cycle);
    let name = format!("with quotas for each without, {size}");
    report.figure(&name, turns.ratio(0, 1), "times", targets.ratio);
    if agents <= 30 {
        let cluster = fill(Cluster::with_model(), agents, frameworks, role, true);
        beside_the_model(report, &format!("with quotas, {size}"), cluster);
    }
}

pub(crate) fn large_and_small(_: &Settings, report: &mut Report) {
    report
        .note("agents x roles of one framework each; everything is given back between cycles; medians of 11");
    for (small, large) in [(25, 5), (250, 50), (2_500, 500)] {
        let role = |at: usize| {
            if at < small {
                (format!("smallQuotaRole{at}"), SMALL.to_owned())
            } else {
                (format!("largeQuotaRole{}", at - small), LARGE.to_owned())
            }
        };
        let agents = small / 5 + large * 5;
        let targets = Targets {
            cycle: if agents == 300 { Target::AtMost(2.0) } else { Target::None },
            ratio: if agents == 3_000 { Target::AtMost(2.0) } else { Target::None },
        };
        compare(report, agents, small + large, &role, &targets);
    }
}

pub(crate) fn with_and_without(_: &Settings, report: &mut Report) {
    report.note("agents x frameworks, two of each to a role; quotas of whole agents; medians of 11");
    for roles in [10, 100, 1_000] {
        let role = |at: usize| (format!("role{}", at / 2), LARGE.to_owned());
        compare(report, roles * 2, roles * 2, &role, &Targets { cycle: Target::None, ratio: Target::None });
    }
}
