//! A new leader gets its agents back (upstream: `MasterFailover_BENCHMARK_Test.AgentReregistrationDelay` in
//! `tests/master_benchmarks.cpp`).
//!
//! So many agents, each with so many frameworks and tasks, re-register at once with a master whose registry is empty; the
//! clock stops when the last one has its answer. Their messages are protobufs, as genuine agents' are, made beforehand,
//! and go over one connection; a thread writes them, another counts the answers. The registry is a file, synced before
//! agents are answered.
//!
//! The comparator in the same run: the same bytes, decoded by one thread with nothing around it, and one synced write.

#[path = "support/agents.rs"]
mod agents;
#[path = "support/reregistration.rs"]
mod reregistration;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use harness::bench::{self, Report, Target, in_turn};
use libprocess::http::{Client, ClientRequest};
use libprocess::{Encoding, Node, WireMessage};
use master::Settings;
use mesos::internal::ReregisterSlaveMessage;
use reregistration::message;
use tokio::sync::oneshot;

/// What the master's program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Agents, frameworks of each, tasks of each framework on each agent.
const SIZES: [(usize, usize, usize); 2] = [(2_000, 5, 20), (20_000, 1, 5)];
const ROUNDS: usize = 3;
/// A run that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let mut report = Report::new("AgentReregistrationDelay", "all agents re-register with a new leader");
    report.note(format!("medians of {ROUNDS}"));
    for (agents, frameworks, tasks) in SIZES {
        let encoded = |number| message(number, frameworks, tasks).encode(Encoding::Protobuf);
        let encoded = Arc::new((0..agents).map(encoded).collect::<Vec<_>>());
        let turns = in_turn(ROUNDS, [&mut || measure(&encoded), &mut || floor(&encoded)]);
        let name = format!("{agents} agents, {frameworks} frameworks each, {tasks} tasks each");
        report.figure(&format!("{name}: decoding, and a write"), turns.median(1), "s", Target::None);
        report.figure(&name, turns.median(0), "s", Target::None);
        let all = (agents * frameworks * tasks) as f64;
        report.figure("tasks a second", all / turns.median(0) / 1e3, "k/s", Target::None);
        report.figure("times the floor", turns.ratio(0, 1), "", Target::AtMost(3.0));
    }
    report.verdict()
}

/// How long it takes, in seconds.
fn measure(messages: &Arc<Vec<Vec<u8>>>) -> f64 {
    let work_dir = tempfile::Builder::new().prefix("registry").tempdir_in(target()).expect("target/ is ours");
    libprocess::run(async move {
        let settings = Settings {
            ip: Some([127, 0, 0, 1].into()),
            port: 0,
            work_dir: Some(work_dir.path().to_path_buf()),
            ..Settings::default()
        };
        let node = master::node(&settings).start().await.expect("a port is free");
        let running = master::start(&node, settings).await.expect("a master starts");
        serving(&node).await;
        let (ready, started) = oneshot::channel();
        let (back, all_back) = oneshot::channel();
        let (master, messages) = (node.address(), Arc::clone(messages));
        let agents = std::thread::spawn(move || agents::agents(&messages, master, ready, back));
        let go = started.await.expect("the agents start");
        let began = bench::now();
        go.send(()).expect("they wait for it");
        let done = tokio::time::timeout(DEADLINE, all_back).await;
        let took = began.elapsed().as_secs_f64();
        done.expect("it ends in time").expect("all agents are back");
        running.shutdown().await;
        node.shutdown().await;
        agents.join().expect("the agents' thread ends");
        took
    })
}

/// Waits until the master has read its registry.
async fn serving(node: &Node) {
    let client = Client::new();
    let url = format!("http://{}/state", node.address());
    loop {
        if client.send(ClientRequest::get(&url)).await.is_ok_and(|answer| answer.status.is_success()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The comparator.
fn floor(encoded: &[Vec<u8>]) -> f64 {
    let directory = tempfile::tempdir_in(target()).expect("target/ is ours");
    let path = directory.path().join("written");
    let began = bench::now();
    for bytes in encoded {
        let decoded =
            ReregisterSlaveMessage::decode(Encoding::Protobuf, bytes).expect("it was encoded by us");
        std::hint::black_box(decoded);
    }
    write(&path);
    began.elapsed().as_secs_f64()
}

#[allow(clippy::disallowed_methods, reason = "the comparator is no actor")]
fn write(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).expect("the directory is ours");
    file.write_all(&[0; 4096]).and_then(|()| file.sync_all()).expect("the disk is well");
}

/// On a disk: the temporary folder may be in memory.
fn target() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}
