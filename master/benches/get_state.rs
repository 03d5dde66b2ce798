//! An operator asks for the state of a cluster (upstream: `GetState` in `tests/master_benchmarks.cpp`).
//!
//! So many agents; on each of them five frameworks have two tasks that run, and have had two that are over. Rendered are
//! v0 `/state`, and v1 GET_STATE in JSON and in protobuf: when nothing was rendered before, when the same question was
//! answered before, and when one task has a new state since. The comparators, in turns with them: `serde_json::to_vec` of
//! the same agents, frameworks and tasks, as the structure that GET_STATE's protobuf decodes to; and bare actix-web, which
//! serves the same bytes as one piece.
//!
//! For scale: genuine Mesos (-O2) took 0.14, 0.15 and 0.08 s (v0, v1 JSON, v1 protobuf) at 1,000 agents, and 1.5, 2.0 and
//! 0.85 s at 10,000, on a machine of this kind.

#[path = "../../libprocess/benches/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use actix_web::HttpResponse;
use bytes::Bytes;
use harness::bench::{self, Report, Target, in_turn};
use libprocess::http::{Body, Response, SharedBytes};
use libprocess::{Install, Metrics, Node, Pid, Place, Process};
use master::cluster::{
    Agent, AgentResources, Cluster, Connection, Framework, Introduction, Limits, MasterView, Snapshot, Task,
};
use master::rendering::Renderings;
use mesos::v1::{self, TaskState};
use mesos::{FrameworkId, MediaType, Resources};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::BareServer;

/// What the master's program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many agents, and how often each thing is measured with them.
const SIZES: [(usize, usize); 3] = [(1_000, 5), (10_000, 5), (40_000, 3)];
const FRAMEWORKS: usize = 5;
/// Of each framework on each agent; and as many that are over.
const TASKS: usize = 2;
/// How often what does not depend on the size is measured.
const ROUNDS: usize = 5;
/// What a client reads in one measurement, in bytes; two bodies at least.
const READ: usize = 256 << 20;

/// What is asked.
#[derive(Clone, Copy)]
enum Read {
    V0,
    V1(MediaType),
}

const READS: [(&str, Read); 3] = [
    ("v0 /state", Read::V0),
    ("v1 GET_STATE, JSON", Read::V1(MediaType::Json)),
    ("v1 GET_STATE, protobuf", Read::V1(MediaType::Protobuf)),
];

impl Read {
    fn render(self, renderings: &Renderings, snapshot: &Snapshot) -> Vec<Bytes> {
        match self {
            Read::V0 => renderings.state(snapshot),
            Read::V1(media) => renderings.get_state(snapshot, media),
        }
    }
}

fn main() -> ExitCode {
    let mut report = Report::new("GetState", "operators ask for the state");
    report.note(format!("{FRAMEWORKS} frameworks, {TASKS} tasks each on each agent, {TASKS} over"));
    for (agents, rounds) in SIZES {
        let mut cluster = cluster(agents);
        report.note(format!("{agents} agents:"));
        held(&mut report, &mut cluster);
        let structure: v1::master::Response =
            decoded(&whole(&Read::V1(MediaType::Protobuf).render(&fresh(), &snapshot(&cluster))));
        for (name, read) in READS {
            rendered(&mut report, (name, read), rounds, &mut cluster, &structure);
            served(&mut report, name, rounds, read.render(&fresh(), &snapshot(&cluster)));
        }
    }
    report.verdict()
}

/// How long the master's own thread is held.
fn held(report: &mut Report, cluster: &mut Cluster) {
    let mut number = 0;
    let times = in_turn(
        ROUNDS * 10,
        [&mut || {
            number += 1;
            change(cluster, number);
            let began = bench::now();
            let taken = snapshot(cluster);
            let took = began.elapsed();
            drop(taken);
            took.as_secs_f64() * 1e3
        }],
    );
    report.figure(
        "a snapshot, which is all that holds the master",
        times.median(0),
        "ms",
        Target::AtMost(1.0),
    );
}

/// Cold, and after one task has changed, against serde_json.
fn rendered(
    report: &mut Report,
    (name, read): (&str, Read),
    rounds: usize,
    cluster: &mut Cluster,
    structure: &v1::master::Response,
) {
    let (warm, mut number) = (fresh(), 0);
    let before = read.render(&warm, &snapshot(cluster));
    let size = before.iter().map(Bytes::len).sum::<usize>() as f64 / 1e6;
    drop(before);
    let unchanged = snapshot(cluster);
    let turns = in_turn(
        rounds,
        [&mut || seconds(|| serde_json::to_vec(structure)), &mut || {
            let renderings = fresh();
            seconds(|| read.render(&renderings, &unchanged))
        }],
    );
    drop(unchanged);
    let changed = in_turn(
        rounds,
        [&mut || {
            number += 1;
            change(cluster, number);
            let taken = snapshot(cluster);
            seconds(|| read.render(&warm, &taken))
        }],
    );
    let (floor, cold, changed) = (turns.median(0), turns.median(1), changed.median(0));
    report.figure(&format!("{name}: serde_json::to_vec"), floor * 1e3, "ms", Target::None);
    report.figure(&format!("{name}: cold, {size:.1} MB"), cold * 1e3, "ms", Target::None);
    let target =
        if matches!(read, Read::V1(MediaType::Protobuf)) { Target::None } else { Target::AtMost(1.5) };
    report.figure(&format!("{name}: cold, for each to_vec"), turns.ratio(1, 0), "", target);
    report.figure(&format!("{name}: one task changed"), changed * 1e3, "ms", Target::None);
    report.figure(
        &format!("{name}: one task changed, for each cold"),
        changed / cold,
        "",
        Target::AtMost(0.2),
    );
}

fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let began = bench::now();
    let result = std::hint::black_box(work());
    let took = began.elapsed().as_secs_f64();
    drop(result);
    took
}

/// The answer that is there already, over loopback, against bare actix-web.
fn served(report: &mut Report, name: &str, rounds: usize, pieces: Vec<Bytes>) {
    *BODY.lock() = whole(&pieces);
    let length = BODY.lock().len();
    let turns = in_turn(
        rounds,
        [
            &mut || {
                libprocess::run(async {
                    let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await;
                    let node = node.expect("a port is free");
                    node.spawn(Shown(SharedBytes::new(pieces.clone())));
                    let rate = rate(node.address(), length).await;
                    node.shutdown().await;
                    rate
                })
            },
            &mut || {
                libprocess::run(async {
                    let server = BareServer::start(body);
                    let rate = rate(server.address, length).await;
                    server.stop().await;
                    rate
                })
            },
        ],
    );
    *BODY.lock() = Bytes::new();
    report.figure(&format!("{name}: served by bare actix-web"), turns.median(1), "/s", Target::None);
    report.figure(&format!("{name}: rendered before"), turns.median(0), "/s", Target::None);
    report.figure(
        &format!("{name}: rendered before, for each of bare actix-web"),
        turns.ratio(0, 1),
        "",
        Target::AtLeast(0.8),
    );
}

/// What the bare server serves.
static BODY: Mutex<Bytes> = Mutex::new(Bytes::new());

fn body() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(BODY.lock().clone())
}

/// Answers as the master does that has the pieces.
struct Shown(SharedBytes);

impl Process for Shown {
    const NAME: &'static str = "shown";
    const PLACE: Place = Place::Control;
    fn install(install: &mut Install<Self>) {
        install.get("/state", "The state.", |shown, _, _| {
            let body = Body::shared(shown.0.clone());
            Response { body, ..Response::new(http::StatusCode::OK) }
                .header("content-type", "application/json")
                .into()
        });
    }
}

/// Bodies of this length that one client reads in a second.
async fn rate(to: SocketAddr, length: usize) -> f64 {
    let mut stream = TcpStream::connect(to).await.expect("the server listens");
    let mut buffer = vec![0; 1 << 20];
    let began = bench::now();
    let requests = (READ / length).max(2);
    for _ in 0..requests {
        stream.write_all(b"GET /shown/state HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the server reads");
        let (mut received, mut head) = (0, None);
        while head.is_none_or(|head| received < head + length) {
            let read = stream.read(&mut buffer).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            // The head comes in one piece.
            let end = || buffer[..read].windows(4).position(|bytes| bytes == b"\r\n\r\n");
            head = head.or_else(|| Some(end()? + 4));
            received += read;
        }
    }
    requests as f64 / began.elapsed().as_secs_f64()
}

fn fresh() -> Renderings {
    Renderings::new(Metrics::new().counter("shared"))
}

fn whole(pieces: &[Bytes]) -> Bytes {
    pieces.concat().into()
}

fn decoded<T: mesos::Message>(bytes: &[u8]) -> T {
    let mut message = T::default();
    message.merge(bytes).expect("it was encoded by us");
    message
}

fn snapshot(cluster: &Cluster) -> Snapshot {
    let info = v1::MasterInfo { id: "master".into(), port: 5050, ..Default::default() };
    let view = MasterView {
        leader: Some(info.clone()),
        info,
        started: SystemTime::UNIX_EPOCH,
        elected: Some(SystemTime::UNIX_EPOCH),
        cluster: None,
        role_whitelist: None,
        flags: Arc::default(),
        log_dir: None,
    };
    cluster.snapshot(Arc::new(view), SystemTime::UNIX_EPOCH)
}

/// One task of the cluster has a new status.
fn change(cluster: &mut Cluster, number: usize) {
    let state = if number.is_multiple_of(2) { TaskState::TaskRunning } else { TaskState::TaskKilling };
    let framework = FrameworkId::from("framework1");
    cluster.update_task(&framework, &status("framework1-1-0", state), None).expect("the task is there");
}

fn status(task: &str, state: TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: v1::TaskId { value: task.into() },
        state: state.into(),
        source: Some(v1::task_status::Source::Executor.into()),
        timestamp: Some(1e9),
        uuid: Some(vec![7; 16]),
        ..Default::default()
    }
}

fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").expect("a constant that parses")
}

/// What upstream's benchmark has: tasks with ten labels.
fn cluster(agents: usize) -> Cluster {
    let limits = Limits { completed_tasks: usize::MAX, ..Limits::default() };
    let mut cluster = Cluster::new(limits);
    for framework in 0..FRAMEWORKS {
        let id = format!("framework{framework}");
        let info = v1::FrameworkInfo {
            id: Some(v1::FrameworkId { value: id.clone() }),
            user: "root".into(),
            name: "framework".into(),
            ..Default::default()
        };
        let connection = Connection::Connected { active: true };
        cluster.add_framework(Framework::new(id.as_str().into(), info, connection, SystemTime::UNIX_EPOCH));
    }
    let total = resources("cpus:24;mem:2048;disk:4096;ports:[31000-32000]");
    let (of_task, label) = (resources("cpus:0.1;mem:5").allocated_to("*"), |number| v1::Label {
        key: format!("key{number}"),
        value: Some(format!("value{number}")),
    });
    let labels: v1::Labels = (0..10).map(label).collect();
    for agent in 0..agents {
        let id = format!("agent{agent}");
        let info = v1::AgentInfo {
            id: Some(v1::AgentId { value: id.clone() }),
            hostname: "localhost".into(),
            resources: total.to_protos(),
            ..Default::default()
        };
        let introduction = Introduction {
            id: id.as_str().into(),
            info,
            pid: Pid::new(format!("slave({agent})"), ([127, 0, 0, 1], 5051).into()),
            version: mesos::version().to_owned(),
            capabilities: mesos::AgentCapabilities::ALL.to_protos(),
            resource_version: None,
            resources: AgentResources { checkpointed: Resources::default(), total: total.clone() },
        };
        cluster.add_agent(Agent::new(introduction, SystemTime::UNIX_EPOCH));
        for framework in 0..FRAMEWORKS {
            let framework = FrameworkId::from(format!("framework{framework}").as_str());
            for task in 0..2 * TASKS {
                let id = format!("{framework}-{agent}-{task}");
                let info = v1::TaskInfo {
                    name: "task".into(),
                    task_id: v1::TaskId { value: id.clone() },
                    agent_id: v1::AgentId { value: format!("agent{agent}") },
                    resources: of_task.to_protos(),
                    command: Some(v1::CommandInfo { value: Some("sleep".into()), ..Default::default() }),
                    labels: Some(labels.clone()),
                    ..Default::default()
                };
                let task_id = mesos::TaskId::from(&info.task_id);
                cluster.add_task(Task::staging(&info, of_task.clone(), &framework));
                cluster.update_task(&framework, &status(&id, TaskState::TaskRunning), None);
                if task >= TASKS {
                    cluster.update_task(&framework, &status(&id, TaskState::TaskFinished), None);
                    cluster.remove_task(&framework, &task_id, false);
                }
            }
        }
    }
    cluster
}
