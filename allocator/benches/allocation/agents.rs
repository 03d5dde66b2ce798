//! Agents that come and change (upstream: `HierarchicalAllocator_BENCHMARK_Test.AddAndUpdateSlave`), and
//! the figures that are kept of the cluster (`Metrics`).

use std::collections::BTreeMap;

use harness::bench::{self, Report, Target};
use mesos::v1::framework_info::capability::Type;
use mesos::v1::resource::RevocableInfo;
use mesos::{FrameworkId, Resources};

use crate::Settings;
use crate::cluster::{
    Cluster, agent_id, agent_info, count, framework_id, framework_info, milliseconds, quota, resources, size,
};
use crate::floor;

const TOTAL: &str = "cpus:2;mem:1024;disk:4096;ports:[31000-32000]";
const USED: &str = "cpus:1;mem:128;disk:1024;ports:[31126-31510,31512-31623,31810-31852,31854-31964]";

pub(crate) fn add_and_update(_: &Settings, report: &mut Report) {
    report.note(
        "agents x frameworks; an agent comes with one framework's tasks, then with 10 revocable cpus more",
    );
    for (agents, frameworks) in [(1_000, 200), (10_000, 1_000)] {
        let size = size(agents, frameworks);
        let mut cluster = Cluster::new();
        for at in 0..frameworks {
            cluster.framework(at, &framework_info("*", &[Type::RevocableResources]));
        }
        let total = resources(TOTAL);
        let used = resources(USED).allocated_to("*");
        let used: Vec<BTreeMap<FrameworkId, Resources>> =
            (0..agents).map(|at| [(framework_id(at % frameworks), used.clone())].into()).collect();
        let began = bench::now();
        for (at, used) in used.iter().enumerate() {
            cluster.agent(at, &total, used);
        }
        let each = milliseconds(began) * 1e3 / agents as f64;
        report.figure(&format!("an agent is added, {size}"), each, "us", Target::None);
        let (offers, took) = cluster.cycle();
        report.figure(&format!("floor, {size}"), floor::of(agents, frameworks), "ms", Target::None);
        report.figure(
            &format!("the cycle after it: {} offers, {size}", count(&offers)),
            took,
            "ms",
            Target::None,
        );
        let mut protos = resources("cpus:10").to_protos();
        protos.iter_mut().for_each(|proto| proto.revocable = Some(RevocableInfo {}));
        let more = total + Resources::try_from_protos(&protos).expect("revocable cpus are valid");
        let began = bench::now();
        for at in 0..agents {
            let updated = cluster.core.update_agent(&agent_id(at), agent_info(at), Some(&more), None);
            updated.expect("the agent is there");
        }
        let each = milliseconds(began) * 1e3 / agents as f64;
        report.figure(&format!("an agent is updated, {size}"), each, "us", Target::None);
        let (offers, took) = cluster.cycle();
        report.figure(
            &format!("the cycle after it: {} offers, {size}", count(&offers)),
            took,
            "ms",
            Target::None,
        );
    }
}

/// What a periodic run computes for the metrics: a quota and a framework in each role.
pub(crate) fn metrics(_: &Settings, report: &mut Report) {
    report.note("agents x roles of one framework each, all with quotas");
    for (agents, roles) in [(1_000, 200), (10_000, 1_000)] {
        let mut cluster = Cluster::new();
        cluster.frameworks(roles, |at| at.to_string());
        for at in 0..roles {
            cluster.set_quota(&at.to_string(), &quota("cpus:1;mem:512;disk:256"));
        }
        let total = resources("cpus:16;mem:2048;disk:1024");
        for at in 0..agents {
            cluster.agent(at, &total, &BTreeMap::new());
        }
        cluster.cycle();
        let began = bench::now();
        let views = cluster.core.roles(cluster.now);
        let used: f64 = ["cpus", "mem", "disk"]
            .map(|name| cluster.core.resource_use(name).offered_or_allocated)
            .iter()
            .sum();
        let took = milliseconds(began);
        assert!(views.len() == roles && used > 0.0, "each role has its figures");
        report.figure(&format!("all figures, {}", size(agents, roles)), took, "ms", Target::None);
    }
}
