//! The sorter alone (upstream: `CommonSorterTest.BENCHMARK_FullSort` and `BENCHMARK_HierarchyFullSort`).

use allocator::core::sorter::{Basis, Sorter};
use allocator::core::{Amounts, Names};
use harness::bench::{self, Report, Target};

use crate::Settings;
use crate::cluster::milliseconds;

/// Thousandths of cpus, mem and disk.
fn amounts(of: [i64; 3]) -> Amounts {
    let names = Names::new();
    let mut amounts = Amounts::ZERO;
    for (name, amount) in Names::STANDARD.into_iter().zip(of) {
        if let Some(name) = names.find(name) {
            amounts.set(name, amount);
        }
    }
    amounts
}

pub(crate) fn flat(settings: &Settings, report: &mut Report) {
    report.note("agents x clients; each agent's resources go to one client in turn");
    for (agents, clients) in [(1_000, 50), (10_000, 200), (50_000, 1_000)] {
        let paths: Vec<String> = (0..clients).map(|client| client.to_string()).collect();
        walk_through(settings, report, agents, &paths, "");
    }
}

pub(crate) fn hierarchy(settings: &Settings, report: &mut Report) {
    report.note("50,000 agents; trees of height and children of each node");
    for (height, children) in [(3, 32), (7, 3), (10, 2)] {
        let mut paths = Vec::new();
        tree("", height - 1, children, &mut paths);
        walk_through(settings, report, 50_000, &paths, &format!("{height} and {children}, "));
    }
}

/// All paths of a tree, what is below a node before the node.
fn tree(above: &str, height: usize, children: usize, paths: &mut Vec<String>) {
    if height == 0 {
        return;
    }
    for child in 0..children {
        let path = if above.is_empty() { child.to_string() } else { format!("{above}/{child}") };
        tree(&path, height - 1, children, paths);
        paths.push(path);
    }
}

fn walk_through(_: &Settings, report: &mut Report, agents: usize, paths: &[String], shape: &str) {
    let (mut sorter, mut basis) = (Sorter::new(), Basis::new(Vec::new()));
    let clients = paths.len();
    let mut step = |what: &str, action: &mut dyn FnMut(&mut Sorter, &mut Basis)| {
        let began = bench::now();
        action(&mut sorter, &mut basis);
        let took = milliseconds(began);
        report.figure(&format!("{shape}{agents} x {clients}: {what}"), took, "ms", Target::None);
    };
    let (agent, used) = (amounts([24_000, 4_096_000, 4_096_000]), amounts([16_000, 2_014_000, 1_024_000]));
    step("clients added", &mut |sorter, basis| {
        for (client, path) in paths.iter().enumerate() {
            sorter.add(client as u32, path);
            sorter.activate(client as u32, basis);
        }
    });
    step("agents added", &mut |_, basis| (0..agents).for_each(|_| basis.replace(&Amounts::ZERO, &agent)));
    step("allocated", &mut |sorter, basis| {
        (0..agents).for_each(|at| sorter.allocated((at % clients) as u32, &used, basis));
    });
    step("full sort", &mut |sorter, basis| assert_eq!(sorter.sorted(basis).len(), clients));
    step("nothing to sort", &mut |sorter, basis| assert_eq!(sorter.sorted(basis).len(), clients));
    step("unallocated", &mut |sorter, basis| {
        (0..agents).for_each(|at| sorter.unallocated((at % clients) as u32, &used, basis));
    });
    step("agents removed", &mut |_, basis| (0..agents).for_each(|_| basis.replace(&agent, &Amounts::ZERO)));
    step("clients removed", &mut |sorter, basis| {
        (0..clients).for_each(|client| sorter.remove(client as u32, basis));
    });
    assert!(sorter.is_empty(), "all clients are removed");
    let shares: Vec<f64> = (0..clients).map(|client| ((client * 7919) % clients) as f64).collect();
    let began = bench::now();
    let mut order: Vec<usize> = (0..clients).collect();
    order.sort_by(|left, right| shares[*left].total_cmp(&shares[*right]));
    std::hint::black_box(order);
    let took = milliseconds(began);
    report.figure(&format!("{shape}{clients}: the floor, an array is sorted"), took, "ms", Target::None);
}
