//! What the registrar costs (upstream: `Registrar_BENCHMARK_Test.Performance`, `.MarkUnreachableThenReachable` and
//! `.GcManyAgents` in `tests/registrar_tests.cpp`).
//!
//! As upstream: so many agents are admitted, marked reachable again in another order (a new leader's agents come back),
//! read by a second registrar, marked unreachable, marked reachable, removed; half of the unreachable ones are forgotten
//! in one operation. All operations of a step are asked for at once, and the clock stops at the last answer. The registry
//! is a file (`--registry=local`), synced before an operation is answered.
//!
//! The comparators in the same run: the same records encoded and written in one synced transaction with nothing around
//! it, and moved in one from the agents to the unreachable ones; and one admission into a small registry beside one into
//! a large one.

use std::process::ExitCode;

use harness::bench::{self, Report, Target, median};
use libprocess::metrics::Metrics;
use libprocess::{Address, Node, promise};
use master::registrar::{
    Apply, Change, Entries, Local, Operation, Recover, Registrar, RegistrarError, Storage, Timeouts,
};
use mesos::internal::{Registry, registry};
use mesos::{AgentId, v1, wire};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

const SIZES: [usize; 2] = [10_000, 50_000];
const ROUNDS: usize = 3;
/// Admissions, one at a time.
const SINGLE: usize = 100;
/// The small registry into which one more is admitted.
const FEW: usize = 100;

fn main() -> ExitCode {
    let mut report = Report::new("RegistrarPerformance", "operations on a registry in a file");
    report.note(format!("medians of {ROUNDS}"));
    for agents in SIZES {
        let rounds: Vec<_> = (0..ROUNDS).map(|_| libprocess::run(round(agents))).collect();
        let of = |step: usize| median(&rounds.iter().map(|round| round[step]).collect::<Vec<_>>());
        for (step, name) in STEPS.into_iter().enumerate() {
            report.figure(&format!("{agents} {name}"), of(step), "s", Target::None);
        }
        let times = |step: usize, floor: usize| {
            median(&rounds.iter().map(|round| round[step] / round[floor]).collect::<Vec<_>>())
        };
        report.figure("admitting, times that write", times(ADMITTED, WRITTEN), "", Target::AtMost(3.0));
        report.figure("readmitting, times that write", times(READMITTED, WRITTEN), "", Target::AtMost(3.0));
        report.figure(
            "marking unreachable, times that move",
            times(MARKED_UNREACHABLE, MOVED),
            "",
            Target::None,
        );
    }
    let (few, many) = libprocess::run(single());
    let large = SIZES[SIZES.len() - 1];
    report.figure(&format!("one admission into {FEW}"), few * 1e6, "us", Target::None);
    report.figure(&format!("one admission into {large}"), many * 1e6, "us", Target::None);
    report.figure("the one for each of the other", many / few, "", Target::AtMost(1.25));
    report.figure(
        &format!("a copy of {large}, which is all that showing them holds the master"),
        copied(large) * 1e3,
        "ms",
        Target::AtMost(1.0),
    );
    report.verdict()
}

const STEPS: [&str; 9] = [
    "records encoded, one synced write",
    "records moved, one synced write",
    "agents admitted",
    "agents marked reachable that are",
    "agents read",
    "agents marked unreachable",
    "agents, half of them forgotten",
    "agents marked reachable",
    "agents removed",
];
const WRITTEN: usize = 0;
const MOVED: usize = 1;
const ADMITTED: usize = 2;
const READMITTED: usize = 3;
const MARKED_UNREACHABLE: usize = 5;

/// How long each step takes, in seconds; the comparators' first.
async fn round(agents: usize) -> [f64; STEPS.len()] {
    let directory = directory();
    let node = node().await;
    let [written, moved] = floors(&node, agents).await;
    let infos: Vec<_> = (0..agents).map(info).collect();
    let mut shuffled = infos.clone();
    shuffled.shuffle(&mut SmallRng::seed_from_u64(1));
    let since = v1::TimeInfo { nanoseconds: 1 };

    let registrar = registrar(&node, directory.path());
    recover(&registrar).await;
    let admitted = all(&registrar, infos.iter(), |info| Operation::AdmitAgent { info }).await;
    let again = all(&registrar, shuffled.iter(), |info| Operation::MarkAgentReachable { info }).await;
    registrar.terminate();
    registrar.wait().await;

    let registrar = self::registrar(&node, directory.path());
    let began = bench::now();
    let found = recover(&registrar).await;
    let read = began.elapsed().as_secs_f64();
    assert_eq!(found.slaves.map_or(0, |found| found.slaves.len()), agents);
    let unreachable =
        all(&registrar, shuffled.iter(), |info| Operation::MarkAgentUnreachable { info, since }).await;
    let half: Vec<AgentId> =
        infos.iter().step_by(2).filter_map(|info| Some(info.id.as_ref()?.into())).collect();
    let began = bench::now();
    let prune = Operation::PruneAgents { unreachable: half.into_iter().collect(), gone: Default::default() };
    assert!(apply(&registrar, prune).await);
    let pruned = began.elapsed().as_secs_f64();
    let reachable = all(&registrar, infos.iter(), |info| Operation::MarkAgentReachable { info }).await;
    let removed = all(&registrar, shuffled.iter(), |info| Operation::RemoveAgent {
        id: info.id.as_ref().map_or_else(|| AgentId::from(""), AgentId::from),
    })
    .await;
    registrar.terminate();
    registrar.wait().await;
    node.shutdown().await;
    [written, moved, admitted, again, read, unreachable, pruned, reachable, removed]
}

/// The medians of single admissions into a small and into a large registry, in turns, in seconds.
async fn single() -> (f64, f64) {
    let node = node().await;
    let (small, large) = (directory(), directory());
    let few = registrar(&node, small.path());
    let many = registrar(&node, large.path());
    for (registrar, agents) in [(&few, FEW), (&many, SIZES[SIZES.len() - 1])] {
        recover(registrar).await;
        let infos: Vec<_> = (0..agents).map(info).collect();
        all(registrar, infos.iter(), |info| Operation::AdmitAgent { info }).await;
    }
    let mut took = [Vec::new(), Vec::new()];
    for number in 0..SINGLE {
        for (registrar, took) in [&few, &many].into_iter().zip(&mut took) {
            let info = Box::new(info(1_000_000 + number));
            let began = bench::now();
            assert!(apply(registrar, Operation::AdmitAgent { info }).await);
            took.push(began.elapsed().as_secs_f64());
        }
    }
    for registrar in [few, many] {
        registrar.terminate();
        registrar.wait().await;
    }
    node.shutdown().await;
    (median(&took[0]), median(&took[1]))
}

/// How long the registrar, and with it the master, is held by whoever wants to see so many agents, in seconds.
fn copied(agents: usize) -> f64 {
    let mut entries = Entries::default();
    for info in (0..agents).map(info) {
        let id = info.id.as_ref().map_or_else(|| AgentId::from(""), AgentId::from);
        entries.put_agent(id, &registry::Slave { info, ..Default::default() });
    }
    entries.take_changes();
    let copy = || {
        let began = bench::now();
        let copy = entries.clone();
        let took = began.elapsed().as_secs_f64();
        assert_eq!(copy.to_registry().slaves.map_or(0, |found| found.slaves.len()), agents);
        took
    };
    median(&(0..ROUNDS).map(|_| copy()).collect::<Vec<_>>())
}

/// The comparators: what admitting them stores, stored; and what marking them unreachable does. In seconds.
async fn floors(node: &Node, agents: usize) -> [f64; 2] {
    let directory = directory();
    let mut storage = Local::open(node, directory.path()).expect("the directory is ours");
    let slaves: Vec<_> =
        (0..agents).map(|number| registry::Slave { info: info(number), ..Default::default() }).collect();
    let began = bench::now();
    let change =
        |(number, slave)| Change { key: format!("agent/{number}"), value: Some(wire::encode(slave)) };
    let changes = slaves.iter().enumerate().map(change).collect();
    storage.store(changes).await.expect("the disk is well");
    let written = began.elapsed().as_secs_f64();

    let began = bench::now();
    let moved = slaves.iter().enumerate().flat_map(|(number, slave)| {
        let unreachable = registry::UnreachableSlave {
            id: slave.info.id.clone().expect("all have one"),
            timestamp: v1::TimeInfo { nanoseconds: 1 },
            ..Default::default()
        };
        let value = Some(wire::encode(&unreachable));
        let key = format!("agent/{number}");
        [Change { key, value: None }, Change { key: format!("unreachable/{number}"), value }]
    });
    storage.store(moved.collect()).await.expect("the disk is well");
    [written, began.elapsed().as_secs_f64()]
}

/// What upstream's benchmark takes for real.
fn info(number: usize) -> v1::AgentInfo {
    let resources =
        mesos::Resources::parse("cpus:1.0;mem:512;disk:2048", "*").expect("a constant that parses");
    let attributes = mesos::Attributes::parse("foo:bar;baz:quux").expect("a constant that parses");
    v1::AgentInfo {
        id: Some(v1::AgentId { value: format!("201310101658-2280333834-5050-48574-{number}") }),
        hostname: "localhost".into(),
        resources: resources.to_protos(),
        attributes: attributes.to_protos(),
        ..Default::default()
    }
}

/// With threads, as a master has: one without a socket would keep to one, and the registrar wait for the disk in the place
/// of gathering the next batch.
async fn node() -> Node {
    Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free")
}

/// On a disk: the temporary folder may be in memory.
fn directory() -> tempfile::TempDir {
    let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    tempfile::Builder::new().prefix("registry").tempdir_in(target).expect("target/ is ours")
}

fn registrar(node: &Node, work_dir: &std::path::Path) -> Address<Registrar> {
    let storage = Local::open(node, work_dir).expect("the directory is ours");
    node.spawn_numbered(Registrar::new(Box::new(storage), Timeouts::default(), &Metrics::default()))
}

async fn recover(registrar: &Address<Registrar>) -> Registry {
    let (reply, answer) = promise();
    let info = v1::MasterInfo { id: "master".into(), ip: 10_000_000, port: 5050, ..Default::default() };
    registrar.tell(Recover { info, node: None, reply });
    answer.await.expect("it answers").expect("the disk is well")
}

async fn apply(registrar: &Address<Registrar>, operation: Operation) -> bool {
    let (reply, answer) = promise::<Result<bool, RegistrarError>>();
    registrar.tell(Apply { operation, reply });
    answer.await.expect("it answers").expect("the disk is well")
}

/// Asks for an operation on each, all at once; the time until the last is answered, in seconds.
async fn all<'a>(
    registrar: &Address<Registrar>,
    infos: impl Iterator<Item = &'a v1::AgentInfo>,
    operation: impl Fn(Box<v1::AgentInfo>) -> Operation,
) -> f64 {
    let operations: Vec<_> = infos.map(|info| operation(Box::new(info.clone()))).collect();
    let began = bench::now();
    let mut last = None;
    for operation in operations {
        let (reply, answer) = promise::<Result<bool, RegistrarError>>();
        registrar.tell(Apply { operation, reply });
        last = Some(answer);
    }
    let last = last.expect("there are agents").await;
    assert!(last.expect("it answers").expect("the disk is well"), "the last was possible");
    began.elapsed().as_secs_f64()
}
