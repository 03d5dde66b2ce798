//! Persistent volumes, regular and shared (upstream: `HierarchicalAllocations_BENCHMARK_Test.PersistentVolumes`).

use harness::bench::{Report, Target, median};
use mesos::v1::framework_info::capability::Type;
use mesos::v1::resource::{DiskInfo, SharedInfo, disk_info};
use mesos::{Resources, v1};

use crate::Settings;
use crate::cluster::{Cluster, beside_the_model, framework_id, framework_info, resources, size, used};
use crate::floor;

const ROLE: &str = "test";
/// How many cycles there are; everything comes back in between.
const CYCLES: usize = 6;

/// Which agents have a shared volume.
type IsShared = fn(usize) -> bool;

const SHAREDNESS: [(&str, IsShared); 3] =
    [("regular", |_| false), ("shared", |_| true), ("mixed", |agent| agent % 2 == 0)];

pub(crate) fn run(_: &Settings, report: &mut Report) {
    report.note(format!("agents x frameworks; all resources are reserved; medians of {CYCLES}"));
    let (agents, frameworks) = (1_000, 200);
    let floor = floor::of(agents, frameworks);
    report.figure(&format!("floor, {}", size(agents, frameworks)), floor, "ms", Target::None);
    for (name, is_shared) in SHAREDNESS {
        let mut cluster = fill(Cluster::new(), agents, frameworks, is_shared);
        let cycles: Vec<f64> = (0..CYCLES).map(|_| cluster.cycle_and_back()).collect();
        let what = format!("{name}, {}", size(agents, frameworks));
        report.figure(&what, median(&cycles), "ms", Target::None);
        report.figure(&format!("{what}, for each floor"), median(&cycles) / floor, "times", Target::None);
    }
    beside_the_model(
        report,
        &format!("mixed, {}", size(50, 10)),
        fill(Cluster::with_model(), 50, 10, SHAREDNESS[2].1),
    );
}

fn fill(mut cluster: Cluster, agents: usize, frameworks: usize, is_shared: IsShared) -> Cluster {
    for at in 0..frameworks {
        cluster.framework(at, &framework_info(ROLE, &[Type::SharedResources]));
    }
    let total = "cpus(test):24;mem(test):4096;disk(test):3072;ports(test):[31000-32000]";
    let used = resources("cpus(test):16;mem(test):1024;disk(test):1024") + ports();
    for at in 0..agents {
        let total = resources(total) + volume(at, is_shared(at));
        cluster.agent(at, &total, &[(framework_id(at % frameworks), used.allocated_to(ROLE))].into());
    }
    cluster
}

/// The ports that are used, reserved for the role.
fn ports() -> Resources {
    let mut protos = used().filter(|resource| resource.name() == "ports").to_protos();
    let reserved = resources("cpus(test):1").to_protos().remove(0).reservations;
    protos.iter_mut().for_each(|proto| proto.reservations.clone_from(&reserved));
    Resources::try_from_protos(&protos).expect("reserved ports are valid")
}

fn volume(at: usize, is_shared: bool) -> Resources {
    let mut proto = resources("disk(test):1024").to_protos().remove(0);
    let path = format!("path{at}");
    proto.disk = Some(Box::new(DiskInfo {
        persistence: Some(disk_info::Persistence { id: format!("id{at}"), ..Default::default() }),
        volume: Some(v1::Volume {
            mode: v1::volume::Mode::Rw as i32,
            container_path: path,
            ..Default::default()
        }),
        ..Default::default()
    }));
    proto.shared = is_shared.then(SharedInfo::default);
    Resources::try_from_protos(&[proto]).expect("the volume is valid")
}
