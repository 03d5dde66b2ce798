//! An operator asks for the metrics of very many frameworks (upstream: `MasterMetricsQuery_BENCHMARK_Test.GetMetrics` in
//! `tests/master_benchmarks.cpp`).
//!
//! One agent brings so many frameworks with two tasks each. Read are v0 `/metrics/snapshot`, and v1 GET_METRICS in JSON and
//! in protobuf: from the request to the last byte of the answer, over loopback, by a client on a thread of its own. The
//! comparators, in turns with them: `serde_json::to_vec` of what these answers decode to.
//!
//! For scale: genuine Mesos (-O2) took 3.1 s with 10,000 frameworks on a machine of this kind, ours 0.25 s. With 20,000
//! frameworks the answer would be larger than our own decoder takes.

#[path = "support/master.rs"]
mod master_here;
#[path = "support/reregistration.rs"]
mod reregistration;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use harness::bench::{self, Report, Target, median};
use libprocess::http::{Client, ClientRequest};
use libprocess::{Context, Handle, Install, Pid, Place, Process};
use mesos::internal::{PingSlaveMessage, PongSlaveMessage, SlaveReregisteredMessage};
use mesos::v1::master::{Call, Response, call::Type};
use mesos::wire;
use tokio::sync::oneshot;

/// What the master's program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FRAMEWORKS: [usize; 2] = [1_000, 10_000];
const TASKS: usize = 2;
const ROUNDS: usize = 5;
/// `/metrics/snapshot` is answered twice a second: nobody is to wait for a turn.
const TURN: Duration = Duration::from_millis(600);
const MAX_ANSWER: usize = 1 << 30;

/// What is asked, and how it is called.
const READS: [&str; 3] = ["/metrics/snapshot", "GET_METRICS, JSON", "GET_METRICS, protobuf"];

fn main() -> ExitCode {
    let mut report = Report::new("GetMetrics", "operators ask for the metrics of many frameworks");
    report.note(format!("{TASKS} tasks for each framework, one agent; medians of {ROUNDS}"));
    for frameworks in FRAMEWORKS {
        let Figures { metrics, bytes, took, floors } = libprocess::run(measure(frameworks));
        report.note(format!("{frameworks} frameworks, {metrics} metrics:"));
        for (read, name) in READS.into_iter().enumerate() {
            let size = bytes[read] as f64 / 1e6;
            report.figure(&format!("{name}, {size:.1} MB"), median(&took[read]) * 1e3, "ms", Target::None);
            // Protobuf is held against JSON, too.
            let floor = &floors[usize::from(read > 0)];
            if read < floors.len() {
                report.figure(
                    "serde_json::to_vec of what it decodes to",
                    median(floor) * 1e3,
                    "ms",
                    Target::None,
                );
            }
            let ratios = took[read].iter().zip(floor).map(|(took, floor)| took / floor);
            report.figure("for each to_vec", median(&ratios.collect::<Vec<_>>()), "", Target::None);
        }
        if frameworks == 10_000 {
            let slowest = took.iter().map(|took| median(took)).fold(0.0, f64::max);
            report.figure("the slowest of them, upstream 3.1", slowest, "s", Target::AtMost(0.31));
        }
    }
    report.verdict()
}

/// Seconds in each round: of the three, and of the floors of v0 and v1.
struct Figures {
    metrics: usize,
    bytes: [usize; 3],
    took: [Vec<f64>; 3],
    floors: [Vec<f64>; 2],
}

async fn measure(frameworks: usize) -> Figures {
    let (node, running) = master_here::master().await;
    let (back, is_back) = oneshot::channel();
    node.spawn_numbered(Agent { master: node.pid("master"), frameworks, back: Some(back) });
    is_back.await.expect("the agent is registered");
    let (address, (done, measured)) = (node.address().to_string(), oneshot::channel());
    let thread = std::thread::spawn(move || {
        let _ = done.send(libprocess::run(ask(address)));
    });
    let figures = measured.await.expect("the client measures");
    thread.join().expect("its thread ends");
    running.shutdown().await;
    node.shutdown().await;
    figures
}

/// The client.
async fn ask(address: String) -> Figures {
    let client = Client::new();
    let call = wire::encode(&Call {
        r#type: Some(Type::GetMetrics.into()),
        get_metrics: Some(mesos::v1::master::call::GetMetrics::default()),
        ..Default::default()
    });
    let get = async |read: usize| {
        let request = match read {
            0 => ClientRequest::get(format!("http://{address}/metrics/snapshot")),
            _ => ClientRequest::post(format!("http://{address}/api/v1"))
                .header("Content-Type", "application/x-protobuf")
                .header("Accept", if read == 1 { "application/json" } else { "application/x-protobuf" })
                .body(call.clone()),
        };
        tokio::time::sleep(TURN).await;
        let began = bench::now();
        let answer = client.send(request).await.expect("the master answers");
        assert!(answer.status.is_success(), "{}", answer.status);
        let body = answer.bytes(MAX_ANSWER).await.expect("it is whole");
        (began.elapsed().as_secs_f64(), body)
    };
    let v0: BTreeMap<String, f64> = serde_json::from_slice(&get(0).await.1).expect("it is an object");
    let v1: Response = wire::decode(&get(2).await.1).expect("it is a response");
    let mut figures = Figures {
        metrics: v0.len(),
        bytes: [0; 3],
        took: <[Vec<f64>; 3]>::default(),
        floors: <[Vec<f64>; 2]>::default(),
    };
    for _ in 0..ROUNDS {
        for read in 0..READS.len() {
            let (took, body) = get(read).await;
            figures.took[read].push(took);
            figures.bytes[read] = body.len();
        }
        figures.floors[0].push(seconds(|| serde_json::to_vec(&v0)));
        figures.floors[1].push(seconds(|| serde_json::to_vec(&v1)));
    }
    figures
}

fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let began = bench::now();
    let result = std::hint::black_box(work());
    let took = began.elapsed().as_secs_f64();
    drop(result);
    took
}

/// Brings the frameworks with their tasks, and answers pings.
struct Agent {
    master: Pid,
    frameworks: usize,
    back: Option<oneshot::Sender<()>>,
}

impl Process for Agent {
    const NAME: &'static str = "slave";
    const PLACE: Place = Place::Control;
    fn install(install: &mut Install<Self>) {
        install.message::<SlaveReregisteredMessage>();
        install.message::<PingSlaveMessage>();
    }
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.post(&self.master, reregistration::message(0, self.frameworks, TASKS));
    }
}

impl Handle<SlaveReregisteredMessage> for Agent {
    fn handle(&mut self, _: SlaveReregisteredMessage, _: &Pid, _: &mut Context<Self>) {
        if let Some(back) = self.back.take() {
            let _ = back.send(());
        }
    }
}

impl Handle<PingSlaveMessage> for Agent {
    fn handle(&mut self, _: PingSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, PongSlaveMessage {});
    }
}
