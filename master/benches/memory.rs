//! What a master, and its books alone, hold in memory for each agent and for each running task with ten labels.
//!
//! An allocator counts the bytes that were asked for and not given back. For the books alone, agents are added to an
//! empty [`Cluster`], then tasks, each decoded from its own bytes as the master does, so that nothing is shared that would
//! not be. Twice: tasks that the master launched and that run, and tasks that agents brought when they re-registered. The
//! comparator is what such a task takes as protobuf.
//!
//! Before that, whole masters: agents that re-register take what the books, the allocator, the registry and the actor that
//! pings them keep, and what lists and maps have in reserve. Bytes that were asked for are not all that a program has of
//! its system: what an allocator keeps for itself is beside them. Sizes do not depend on how the program was optimized.

#[path = "support/agents.rs"]
mod agents;
#[path = "../../allocator/benches/allocation/memory.rs"]
mod counting;
#[path = "support/master.rs"]
mod in_process;
#[path = "support/reregistration.rs"]
mod reregistration;

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use harness::bench::{Report, Target};
use libprocess::{Encoding, Pid, WireMessage as _};
use master::cluster::{Agent, AgentResources, Cluster, Connection, Framework, Introduction, Limits, Task};
use mesos::v1::{self, TaskState};
use mesos::{FrameworkId, Resources, wire};
use tokio::sync::oneshot;

const AGENTS: usize = 1_000;
const TASKS: usize = 20_000;
/// Agents in a whole master, those with a connection each, and how many tasks each of the former has.
const WHOLE: usize = 4_000;
const CONNECTED: usize = 400;
const EACH: usize = 10;
/// Until a master has forgotten what it keeps for a moment only.
const SETTLED: Duration = Duration::from_secs(3);
/// What ids begin with: a master's own.
const MASTER: &str = "6f4cf4c5-9b7b-4c0f-8a45-5f4e8e0f5c6b";

fn main() -> ExitCode {
    libprocess::raise_file_limit().expect("connections need files");
    let mut report = Report::new("Memory", "what a master holds for each agent and task");
    report.note(format!(
        "{WHOLE} agents in whole masters; in books alone {AGENTS}, and {TASKS} tasks with ten labels"
    ));

    let idle = whole(WHOLE, 0, Wired::Together);
    let name = "an idle agent in a whole master";
    report.figure(name, idle / WHOLE as f64, "bytes", Target::AtMost(6_000.0));
    let apart = whole(CONNECTED, 0, Wired::Apart) / CONNECTED as f64;
    report.figure("the same with a connection of its own", apart, "bytes", Target::None);
    let with_tasks = whole(WHOLE, EACH, Wired::Together);
    let task = (with_tasks - idle) / (WHOLE * EACH) as f64;
    let of_tasks = |count| reregistration::message(0, 1, count).encode(Encoding::Protobuf).len();
    let encoded = (of_tasks(2 * EACH) - of_tasks(EACH)) as f64 / EACH as f64;
    report.figure("a running task in a whole master, as protobuf", encoded, "bytes", Target::None);
    report.figure("such a task, beyond that", task - encoded, "bytes", Target::AtMost(1_300.0));

    let mut cluster = empty();
    let before = counting::in_use();
    (0..AGENTS).for_each(|number| cluster.add_agent(agent(number)));
    report.figure("an idle agent", each(before, AGENTS), "bytes", Target::AtMost(6_000.0));

    let before = counting::in_use();
    (0..TASKS).for_each(|number| launch(&mut cluster, number));
    let launched = each(before, TASKS);
    let encoded =
        (0..TASKS).filter_map(|number| running(&cluster, number)).map(|task| task.len()).sum::<usize>()
            as f64
            / TASKS as f64;
    report.figure("a running task, as protobuf", encoded, "bytes", Target::None);
    report.figure(
        "a running task that was launched, beyond that",
        launched - encoded,
        "bytes",
        Target::AtMost(1_300.0),
    );

    let (other, bytes) = reported(&cluster, |_, _| {});
    report.figure(
        "a running task that was reported, beyond that",
        bytes - encoded,
        "bytes",
        Target::AtMost(1_300.0),
    );
    let (_, bytes) = reported(&cluster, |number, task| {
        task.resources[1].scalar = Some(v1::value::Scalar { value: number as f64 + 1.0 });
    });
    report.figure("the same if no two use the same resources", bytes - encoded, "bytes", Target::None);
    report.figure(
        "of which growth of lists that nothing fills, launched",
        slack(&cluster),
        "bytes",
        Target::None,
    );
    report.figure(
        "of which growth of lists that nothing fills, reported",
        slack(&other),
        "bytes",
        Target::None,
    );
    for (name, size) in [
        ("v1::Task, without what it points to", size_of::<v1::Task>()),
        ("v1::Resource, without what it points to", size_of::<v1::Resource>()),
        ("v1::TaskStatus, without what it points to", size_of::<v1::TaskStatus>()),
    ] {
        report.figure(name, size as f64, "bytes", Target::None);
    }
    report.verdict()
}

/// How agents are connected.
#[derive(Clone, Copy)]
enum Wired {
    Together,
    Apart,
}

/// Bytes that `agents` with so many tasks each take in a master, with all that belongs to one.
fn whole(agents: usize, tasks: usize, wired: Wired) -> f64 {
    let encoded: Vec<Vec<u8>> = (0..agents)
        .map(|number| {
            reregistration::message(number, usize::from(tasks > 0), tasks).encode(Encoding::Protobuf)
        })
        .collect();
    libprocess::run(async move {
        let (node, running) = in_process::master().await;
        tokio::time::sleep(SETTLED).await;
        let (ready, started) = oneshot::channel::<mpsc::Sender<()>>();
        let (back, all_back) = oneshot::channel();
        let before = counting::in_use() - encoded.iter().map(Vec::len).sum::<usize>();
        let master = node.address();
        let thread = std::thread::spawn(move || match wired {
            Wired::Together => agents::agents(&encoded, master, ready, back).into(),
            Wired::Apart => {
                let open = agents::agents_apart(&encoded, master);
                let _ = back.send(());
                open
            }
        });
        if let Ok(go) = started.await {
            go.send(()).expect("they wait for it");
        }
        all_back.await.expect("all agents are back");
        // What is kept for a moment: what waits to be sent, and the registrar's last write.
        tokio::time::sleep(SETTLED).await;
        let taken = counting::in_use() as f64 - before as f64;
        running.shutdown().await;
        node.shutdown().await;
        drop(thread.join());
        taken
    })
}

/// Another master's books, to which agents reported the tasks of these, each changed in some way, and the bytes that each
/// takes there.
fn reported(cluster: &Cluster, change: impl Fn(usize, &mut v1::Task)) -> (Cluster, f64) {
    let mut other = empty();
    (0..AGENTS).for_each(|number| other.add_agent(agent(number)));
    let before = counting::in_use();
    for number in 0..TASKS {
        let Some(bytes) = running(cluster, number) else { continue };
        let mut task = wire::decode(&bytes).expect("it was encoded by us");
        change(number, &mut task);
        other.add_task(Task::reported(task).expect("its resources were read before"));
    }
    let bytes = each(before, TASKS);
    (other, bytes)
}

/// Bytes more than before, for each of so many.
fn each(before: usize, count: usize) -> f64 {
    (counting::in_use() as f64 - before as f64) / count as f64
}

/// Bytes of each task's resources, statuses and labels that were allocated when the lists grew, and hold nothing.
fn slack(cluster: &Cluster) -> f64 {
    fn unused<T>(list: &Vec<T>) -> usize {
        (list.capacity() - list.len()) * size_of::<T>()
    }
    let tasks = (0..TASKS).filter_map(|number| cluster.task(&framework(), &id(number)));
    let of_task = |task: &v1::Task| {
        let labels = task.labels.as_ref().map_or(0, v1::Labels::unused);
        unused(&task.resources) + unused(&task.statuses) + labels
    };
    tasks.map(|task| of_task(&task.proto)).sum::<usize>() as f64 / TASKS as f64
}

/// No agents, one framework.
fn empty() -> Cluster {
    let mut cluster = Cluster::new(Limits::default());
    let info = v1::FrameworkInfo {
        id: Some(v1::FrameworkId { value: framework().to_string() }),
        user: "root".into(),
        name: "framework".into(),
        ..Default::default()
    };
    let connection = Connection::Connected { active: true };
    cluster.add_framework(Framework::new(framework(), info, connection, SystemTime::UNIX_EPOCH));
    cluster
}

fn framework() -> FrameworkId {
    FrameworkId::from(format!("{MASTER}-0000").as_str())
}

fn agent_id(number: usize) -> String {
    format!("{MASTER}-S{number}")
}

fn agent(number: usize) -> Agent {
    let id = agent_id(number);
    let total = resources("cpus:24;mem:2048;disk:4096;ports:[31000-32000]");
    let info = v1::AgentInfo {
        id: Some(v1::AgentId { value: id.clone() }),
        hostname: "localhost".into(),
        resources: total.to_protos(),
        ..Default::default()
    };
    let info = wire::decode(&wire::encode(&info)).expect("it was encoded by us");
    let introduction = Introduction {
        id: id.as_str().into(),
        info,
        pid: Pid::new(format!("slave({number})"), ([127, 0, 0, 1], 5051).into()),
        version: mesos::version().to_owned(),
        capabilities: mesos::AgentCapabilities::ALL.to_protos(),
        resource_version: None,
        resources: AgentResources { checkpointed: Resources::default(), total },
    };
    Agent::new(introduction, SystemTime::UNIX_EPOCH)
}

/// A task is launched and runs.
fn launch(cluster: &mut Cluster, number: usize) {
    let label = |number| v1::Label { key: format!("key{number}"), value: Some(format!("value{number}")) };
    let of_task = resources("cpus:0.1;mem:5").allocated_to("*");
    let info = v1::TaskInfo {
        name: "task".into(),
        task_id: v1::TaskId { value: id(number) },
        agent_id: v1::AgentId { value: agent_id(number % AGENTS) },
        resources: of_task.to_protos(),
        command: Some(v1::CommandInfo { value: Some("sleep".into()), ..Default::default() }),
        labels: Some((0..10).map(label).collect()),
        ..Default::default()
    };
    let info: v1::TaskInfo = wire::decode(&wire::encode(&info)).expect("it was encoded by us");
    cluster.add_task(Task::staging(&info, of_task, &framework()));
    let status = v1::TaskStatus {
        task_id: info.task_id,
        state: TaskState::TaskRunning.into(),
        source: Some(v1::task_status::Source::Executor.into()),
        timestamp: Some(1e9),
        uuid: Some(vec![7; 16]),
        ..Default::default()
    };
    let status = wire::decode(&wire::encode(&status)).expect("it was encoded by us");
    cluster.update_task(&framework(), &status, None).expect("the task is there");
}

/// What this task takes as protobuf.
fn running(cluster: &Cluster, number: usize) -> Option<Vec<u8>> {
    cluster.task(&framework(), &id(number)).map(|task| wire::encode(&task.proto))
}

fn id(number: usize) -> String {
    format!("{MASTER}-{}-{}", number % AGENTS, number / AGENTS)
}

fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").expect("a constant that parses")
}
