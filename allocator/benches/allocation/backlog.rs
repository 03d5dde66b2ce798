//! Events that wait in the actor's queue, and how many runs serve them
//! (upstream: `HierarchicalAllocator_BENCHMARK_Test.AllocatorBacklog`, MESOS-6904).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use allocator::messages::{AddAgent, AddFramework, Initialize, MakeOffers, ReviveOffers};
use allocator::{Allocator, FrameworkOptions, Options};
use harness::bench::{self, Report, Target, median};
use libprocess::{Node, Pid, Recipient, testing};

use crate::Settings;
use crate::cluster::{
    AGENT, agent_capabilities, agent_id, agent_info, count, framework_id, framework_info, resources, size,
};

const ROUNDS: usize = 5;

pub(crate) fn run(_: &Settings, report: &mut Report) {
    report
        .note("all agents are added and all frameworks revived before the allocator has a turn; one thread");
    for (agents, frameworks) in [(1_000, 200), (10_000, 1_000)] {
        let rounds: Vec<Served> =
            (0..ROUNDS).map(|_| testing::run(all_at_once(agents, frameworks))).collect();
        let is_target = agents == 10_000;
        let target = |bound| if is_target { Target::AtMost(bound) } else { Target::None };
        let size = size(agents, frameworks);
        let worst = rounds.iter().map(|served| served.runs).fold(0.0, f64::max);
        report.figure(&format!("runs, {size}"), worst, "", target(2.0));
        let events = (agents + frameworks) as f64;
        let all: Vec<f64> = rounds.iter().map(|served| served.microseconds / events).collect();
        report.figure(&format!("each event, the runs included, {size}"), median(&all), "us", target(5.0));
    }
}

struct Served {
    runs: f64,
    microseconds: f64,
}

async fn all_at_once(agents: usize, frameworks: usize) -> Served {
    let node = Node::builder().offline().start().await.expect("it needs no port");
    let allocator = node.spawn_numbered(Allocator::new());
    let offered = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&offered);
    let offers = Recipient::from_fn(Pid::nobody(), move |MakeOffers(offers): MakeOffers, _: &Pid| {
        counter.fetch_add(count(&offers), Ordering::Relaxed);
    });
    allocator.tell(Initialize { options: Options::default(), offers, inverse_offers: None });
    for at in 0..frameworks {
        allocator.tell(AddFramework {
            id: framework_id(at),
            info: framework_info("*", &[]),
            used: BTreeMap::new(),
            active: true,
            options: FrameworkOptions::default(),
        });
    }
    testing::settle().await;
    // The pause after the run that they asked for.
    tokio::time::sleep(Duration::from_millis(10)).await;
    testing::settle().await;
    let runs = || node.metrics().value("allocator/mesos/allocation_runs").unwrap_or(f64::NAN);
    let before = runs();
    let total = resources(AGENT);
    let new: Vec<AddAgent> = (0..agents)
        .map(|at| AddAgent {
            id: agent_id(at),
            info: agent_info(at),
            capabilities: agent_capabilities(),
            unavailability: None,
            total: total.clone(),
            used: BTreeMap::new(),
        })
        .collect();
    let revived: Vec<ReviveOffers> = (0..frameworks)
        .map(|at| ReviveOffers { framework: framework_id(at), roles: BTreeSet::new() })
        .collect();
    let began = bench::now();
    new.into_iter().for_each(|message| allocator.tell(message));
    revived.into_iter().for_each(|message| allocator.tell(message));
    testing::settle().await;
    let took = began.elapsed();
    // What was asked for during the run would come after the pause.
    tokio::time::sleep(Duration::from_millis(100)).await;
    testing::settle().await;
    assert_eq!(offered.load(Ordering::Relaxed), agents, "each agent is offered");
    Served { runs: runs() - before, microseconds: took.as_secs_f64() * 1e6 }
}
