//! A new leader gets its agents back (upstream: `MasterFailover_BENCHMARK_Test.AgentReregistrationDelay` in
//! `tests/master_benchmarks.cpp`).
//!
//! So many agents, each with so many frameworks and tasks, re-register at once with a master whose registry is empty; the
//! clock stops when the last one has its answer. The agents are actors on a node in a thread of its own; their messages
//! are protobufs, as genuine agents' are, and go over loopback. The registry is a file, synced before agents are answered.
//!
//! The comparator in the same run: the same bytes, decoded by one thread with nothing around it, and one synced write.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use harness::bench::{self, Report, Target, in_turn};
use libprocess::http::{Client, ClientRequest};
use libprocess::{Context, Encoding, Handle, Install, Message, Node, Pid, Place, Process, WireMessage};
use master::Settings;
use mesos::internal::{PingSlaveMessage, PongSlaveMessage, ReregisterSlaveMessage, SlaveReregisteredMessage};
use mesos::v1::{self, TaskState};
use tokio::sync::oneshot;

/// Agents, frameworks of each, tasks of each framework on each agent.
const SIZES: [(usize, usize, usize); 2] = [(2_000, 5, 20), (20_000, 1, 5)];
const ROUNDS: usize = 3;
/// A run that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let mut report = Report::new("AgentReregistrationDelay", "all agents re-register with a new leader");
    report.note(format!("medians of {ROUNDS}"));
    for (agents, frameworks, tasks) in SIZES {
        let messages: Vec<_> = (0..agents).map(|number| message(number, frameworks, tasks)).collect();
        let encoded: Vec<_> = messages.iter().map(|message| message.encode(Encoding::Protobuf)).collect();
        let messages = Arc::new(messages);
        let turns = in_turn(ROUNDS, [&mut || measure(&messages), &mut || floor(&encoded)]);
        let name = format!("{agents} agents, {frameworks} frameworks each, {tasks} tasks each");
        report.figure(&format!("{name}: decoding, and a write"), turns.median(1), "s", Target::None);
        report.figure(&name, turns.median(0), "s", Target::None);
        let all = (agents * frameworks * tasks) as f64;
        report.figure("tasks a second", all / turns.median(0) / 1e3, "k/s", Target::None);
        report.figure("times the floor", turns.ratio(0, 1), "", Target::AtMost(3.0));
    }
    report.verdict()
}

/// What upstream's benchmark has an agent say: running tasks with ten labels, no executors, no states.
fn message(agent: usize, frameworks: usize, tasks: usize) -> ReregisterSlaveMessage {
    let resources = |text| mesos::Resources::parse(text, "*").expect("a constant that parses").to_protos();
    let id = v1::AgentId { value: format!("agent{agent}") };
    let slave = v1::AgentInfo {
        id: Some(id.clone()),
        hostname: "localhost".into(),
        resources: resources("cpus:24;mem:2048;disk:4096"),
        ..Default::default()
    };
    let mut message = ReregisterSlaveMessage {
        slave,
        version: Some(mesos::version().to_owned()),
        agent_capabilities: mesos::AgentCapabilities::ALL.to_protos(),
        ..Default::default()
    };
    let label = |number| v1::Label { key: format!("key{number}"), value: Some(format!("value{number}")) };
    let labels = v1::Labels { labels: (0..10).map(label).collect() };
    let of_task = resources("cpus:0.1;mem:5");
    for framework in 0..frameworks {
        let framework = v1::FrameworkId { value: format!("framework{framework}") };
        message.frameworks.push(v1::FrameworkInfo {
            id: Some(framework.clone()),
            user: "root".into(),
            name: "framework".into(),
            roles: vec!["role".into()],
            capabilities: vec![v1::framework_info::Capability {
                r#type: Some(v1::framework_info::capability::Type::MultiRole.into()),
            }],
            ..Default::default()
        });
        for task in 0..tasks {
            let info = v1::TaskInfo {
                name: String::new(),
                task_id: v1::TaskId { value: format!("{}-{agent}-{task}", framework.value) },
                agent_id: id.clone(),
                resources: of_task
                    .iter()
                    .cloned()
                    .map(|resource| v1::Resource {
                        allocation_info: Some(v1::resource::AllocationInfo { role: Some("role".into()) }),
                        ..resource
                    })
                    .collect(),
                command: Some(v1::CommandInfo { value: Some("dummy command".into()), ..Default::default() }),
                labels: Some(labels.clone()),
                ..Default::default()
            };
            let framework = mesos::FrameworkId::from(&framework);
            message.tasks.push(mesos::tasks::new_task(&info, TaskState::TaskRunning, &framework));
        }
    }
    message
}

/// An agent that says one thing, once.
struct Agent {
    master: Pid,
    message: Option<ReregisterSlaveMessage>,
    back: Arc<Back>,
}

/// Who is back.
struct Back {
    missing: AtomicUsize,
    all: parking_lot::Mutex<Option<oneshot::Sender<()>>>,
}

/// Say it.
struct Go;

impl Message for Go {
    type Answer = ();
}

impl Process for Agent {
    const NAME: &'static str = "slave";
    const PLACE: Place = Place::Control;
    fn install(install: &mut Install<Self>) {
        install.message::<SlaveReregisteredMessage>();
        install.message::<PingSlaveMessage>();
    }
}

impl Handle<Go> for Agent {
    fn handle(&mut self, _: Go, _: &Pid, ctx: &mut Context<Self>) {
        let message = self.message.take().expect("it is told to once");
        ctx.post(&self.master, message);
    }
}

impl Handle<SlaveReregisteredMessage> for Agent {
    fn handle(&mut self, _: SlaveReregisteredMessage, _: &Pid, _: &mut Context<Self>) {
        if self.back.missing.fetch_sub(1, Relaxed) == 1
            && let Some(all) = self.back.all.lock().take()
        {
            let _ = all.send(());
        }
    }
}

impl Handle<PingSlaveMessage> for Agent {
    fn handle(&mut self, _: PingSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, PongSlaveMessage {});
    }
}

/// How long it takes, in seconds.
fn measure(messages: &Arc<Vec<ReregisterSlaveMessage>>) -> f64 {
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
        let (started, ready) = oneshot::channel();
        let (back, all_back) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let (master, messages) = (node.pid("master"), Arc::clone(messages));
        let agents = std::thread::spawn(move || {
            libprocess::run(async move {
                let node =
                    Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free");
                let missing = AtomicUsize::new(messages.len());
                let back = Arc::new(Back { missing, all: parking_lot::Mutex::new(Some(back)) });
                // Copied before the clock runs: an agent has its message.
                let agents: Vec<_> = messages
                    .iter()
                    .map(|message| {
                        let (master, message, back) = (master.clone(), Some(message.clone()), back.clone());
                        node.spawn_numbered(Agent { master, message, back })
                    })
                    .collect();
                let _ = started.send(());
                for agent in &agents {
                    agent.tell(Go);
                }
                let _ = stopped.await;
                node.shutdown().await;
            });
        });
        ready.await.expect("the agents start");
        let began = bench::now();
        let done = tokio::time::timeout(DEADLINE, all_back).await;
        let took = began.elapsed().as_secs_f64();
        done.expect("it ends in time").expect("all agents are back");
        let _ = stop.send(());
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
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).expect("the directory is ours");
    file.write_all(&[0; 4096]).and_then(|()| file.sync_all()).expect("the disk is well");
}

/// On a disk: the temporary folder may be in memory.
fn target() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}
