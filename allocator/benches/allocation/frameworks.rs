//! Frameworks that launch many small tasks, few each, or large ones, all at once
//! (upstream: `BENCHMARK_HierarchicalAllocations.MultiFrameworkAllocations`).

use std::collections::BTreeMap;

use harness::bench::{Report, Target, median};
use mesos::Resources;

use crate::Settings;
use crate::cluster::{Cluster, framework_id, resources};
use crate::floor;

/// What a framework does: its role, its tasks, how many of them in all and to an offer.
struct Profile {
    role: String,
    task: Resources,
    tasks: usize,
    to_an_offer: usize,
}

fn profiles() -> Vec<Profile> {
    let profile = |role: String, task: &str, tasks, to_an_offer| Profile {
        role,
        task: resources(task),
        tasks,
        to_an_offer,
    };
    let marathon = (0..4).map(|at| profile(format!("roleA-{at}"), "cpus:0.07;mem:400", 4_000, 100));
    let jenkins = (0..500).map(|_| profile("roleB".into(), "cpus:0.1;mem:4000", 5, 1));
    let spark = (0..50).map(|at| profile(format!("roleC-{at}"), "cpus:1;mem:1000", 20, 5));
    marathon.chain(jenkins).chain(spark).collect()
}

pub(crate) fn run(_: &Settings, report: &mut Report) {
    const AGENTS: usize = 80;
    let mut profiles = profiles();
    let wanted: usize = profiles.iter().map(|profile| profile.tasks).sum();
    let mut cluster = Cluster::new();
    let roles: Vec<String> = profiles.iter().map(|profile| profile.role.clone()).collect();
    cluster.frameworks(roles.len(), |at| roles[at].clone());
    let total = resources("cpus:64;mem:488000");
    (0..AGENTS).for_each(|at| cluster.agent(at, &total, &BTreeMap::new()));
    let by_id: BTreeMap<_, usize> = (0..roles.len()).map(|at| (framework_id(at), at)).collect();
    let (mut cycles, mut launched, mut last) = (Vec::new(), 0, 0);
    // Those who are done decline without a filter and come first by their shares, so that others starve. Upstream
    // stops after 30 s.
    while launched < wanted && cycles.len() < last + 100 {
        let (offers, took) = cluster.cycle();
        cycles.push(took);
        let all = offers.iter().flat_map(|(framework, by_role)| {
            by_role.iter().flat_map(move |(role, by_agent)| {
                by_agent.iter().map(move |(agent, offered)| (framework, role, agent, offered))
            })
        });
        for (framework, role, agent, offered) in all {
            let profile = &mut profiles[by_id[framework]];
            let task = profile.task.allocated_to(role);
            let mut left = offered.clone();
            let mut tasks = 0;
            while tasks < profile.to_an_offer && profile.tasks > 0 && left.contains(&task) {
                left -= &task;
                tasks += 1;
                profile.tasks -= 1;
            }
            launched += tasks;
            if tasks > 0 {
                last = cycles.len();
            }
            cluster
                .core
                .transition_offered_to_allocated(agent, &(offered - &left))
                .expect("the agent is there");
            cluster.give_back(framework, agent, &left, None);
        }
    }
    report
        .note(format!("{AGENTS} agents, {} frameworks; {launched} of {wanted} tasks launched", roles.len()));
    report.figure("floor", floor::of(AGENTS, roles.len()), "ms", Target::None);
    report.figure("cycles", cycles.len() as f64, "", Target::None);
    report.figure("a cycle, median", median(&cycles), "ms", Target::None);
    report.figure("all cycles", cycles.iter().sum(), "ms", Target::None);
}
