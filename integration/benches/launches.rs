//! Launches through the whole path: ACCEPT, the master, the agent, an executor, `TASK_RUNNING`, acknowledged.
//!
//! A master and one agent are processes of their own; the scheduler is in this one, written on our
//! library, in protobuf. The agent's containers are simulated: one executor, inside the agent's process,
//! answers each launch with `TASK_RUNNING`; everything else is the real path. The framework does not
//! checkpoint. All tasks go into one ACCEPT, a thousand to a LAUNCH: what an ACCEPT leaves comes back with
//! the allocator's next interval (1 s), which is not what is measured here. The clock runs
//! from the ACCEPT until the master has answered the last ACKNOWLEDGE.
//!
//! The comparator in the same run: as many GETs of the master's `/health`, all pipelined on one connection,
//! from the same process; what HTTP alone can do here.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use frameworks::scheduler::{Driver, Options, Scheduler, run};
use integration::bench::{self, Report, Target, median};
use integration::{AgentSpec, Cluster};
use libprocess::Node;
use libprocess::http::{Client, ClientRequest};
use mesos::v1::offer::{Operation, operation};
use mesos::{FrameworkId, Resources, v1};

const TASKS: usize = 20_000;
const TASKS_PER_LAUNCH: usize = 1_000;
const RUNS: usize = 3;
/// A run that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let mut report =
        Report::new("launches", "ACCEPT to TASK_RUNNING to acknowledged, one agent, simulated executor");
    report.note(format!(
        "{TASKS} tasks in one ACCEPT, {TASKS_PER_LAUNCH} to a LAUNCH; no checkpointing; protobuf; median of {RUNS}"
    ));
    let (mut launches, mut gets) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        // A cluster of its own for each run: none is slowed down by what the one before has left.
        let (launched, got) = libprocess::run(measure(&report));
        launches.push(launched);
        gets.push(got);
    }
    report.figure("GET /health, pipelined on one connection", median(&gets), "/s", Target::None);
    report.figure("launches", median(&launches), "/s", Target::AtLeast(5_000.0));
    report.figure("launches for each such GET", median(&launches) / median(&gets), "", Target::None);
    report.verdict()
}

/// Rates of launches and of the comparator.
async fn measure(report: &Report) -> (f64, f64) {
    let agent = AgentSpec::new("cpus:100000;mem:1000000;disk:1000").with("--containerizers=simulated");
    let mut cluster = Cluster::start(&[], &[agent]).await;
    let master = cluster.master();
    let client = Client::new();
    let pipeline = client.pipeline(master.to_string());
    let began = bench::now();
    let answers: Vec<_> = (0..TASKS).map(|_| pipeline.send(ClientRequest::get("/health"))).collect();
    for answer in answers {
        assert!(answer.await.expect("the master answers").status.is_success());
    }
    let gets = TASKS as f64 / began.elapsed().as_secs_f64();
    drop(pipeline);

    let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free");
    let framework = v1::FrameworkInfo { user: "root".into(), name: "launches".into(), ..Default::default() };
    let mut options = Options::new(master.to_string().parse().expect("host:port"), framework);
    options.connection_delay_max = Duration::ZERO;
    let processes = [
        i32::try_from(std::process::id()).expect("a pid fits"),
        cluster.master_process(0).pid().expect("it runs"),
        cluster.agent_process(0).pid().expect("it runs"),
    ];
    let before = processes.map(bench::cpu_time);
    let done = tokio::time::timeout(DEADLINE, run(&node, options, Launches::new())).await;
    let ended = bench::now();
    let used = processes.map(bench::cpu_time);
    let done = done.expect("a run ends in time").expect("the master has no objections");
    assert_eq!(done.running, TASKS, "every task ran, once");
    let began = done.began.expect("tasks were launched");
    let since = |at: Option<Instant>| at.map_or(f64::NAN, |at| at.duration_since(began).as_secs_f64());
    let took = since(Some(ended));
    let cost = |index: usize| used[index].saturating_sub(before[index]).as_secs_f64() * 1e6 / TASKS as f64;
    report.note(format!(
        "{:.0} launches/s; CPU for each: scheduler {:.0} us, master {:.0} us, agent {:.0} us",
        TASKS as f64 / took,
        cost(0),
        cost(1),
        cost(2)
    ));
    report.note(format!(
        "after the ACCEPT: the first runs after {:.2} s, the last after {:.2} s, all are acknowledged after {took:.2} s",
        since(done.first), since(done.last)
    ));
    node.shutdown().await;
    (TASKS as f64 / took, gets)
}

/// Launches until it has launched all, and stops when all run.
struct Launches {
    executor: v1::ExecutorInfo,
    resources: Vec<v1::Resource>,
    labels: v1::Labels,
    began: Option<Instant>,
    /// When the first task ran, and when the last did.
    first: Option<Instant>,
    last: Option<Instant>,
    launched: usize,
    running: usize,
}

impl Launches {
    fn new() -> Self {
        let parse = |text| Resources::parse(text, "*").expect("a constant that parses").to_protos();
        let label = v1::Label { key: "simulated.duration".into(), value: Some("1hrs".into()) };
        Self {
            executor: v1::ExecutorInfo {
                executor_id: v1::ExecutorId { value: "simulated".into() },
                command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
                resources: parse("cpus:1;mem:32"),
                ..Default::default()
            },
            resources: parse("cpus:0.1;mem:1"),
            labels: v1::Labels::from_iter([label]),
            began: None,
            first: None,
            last: None,
            launched: 0,
            running: 0,
        }
    }

    fn task(&self, number: usize, agent: &v1::AgentId) -> v1::TaskInfo {
        v1::TaskInfo {
            name: "t".into(),
            task_id: v1::TaskId { value: format!("task-{number}") },
            agent_id: agent.clone(),
            resources: self.resources.clone(),
            executor: Some(self.executor.clone()),
            labels: Some(self.labels.clone()),
            ..Default::default()
        }
    }
}

impl Scheduler for Launches {
    fn subscribed(&mut self, _: &mut Driver<Self>, framework: &FrameworkId) {
        self.executor.framework_id = Some(framework.to_proto());
    }

    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        self.began.get_or_insert_with(bench::now);
        for offer in offers {
            let tasks: Vec<_> =
                (self.launched..TASKS).map(|number| self.task(number, &offer.agent_id)).collect();
            self.launched = TASKS;
            let launches = tasks.chunks(TASKS_PER_LAUNCH).map(|tasks| Operation {
                r#type: Some(operation::Type::Launch.into()),
                launch: Some(operation::Launch { task_infos: tasks.to_vec() }),
                ..Default::default()
            });
            // Nothing more is wanted of what is left.
            driver.accept([&offer.id], launches.collect(), DEADLINE);
        }
    }

    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus) {
        assert_eq!(status.state(), v1::TaskState::TaskRunning, "{status:?}");
        self.first.get_or_insert_with(bench::now);
        self.running += 1;
        if self.running == TASKS {
            self.last = Some(bench::now());
            // The library ends when the master has answered everything, this acknowledgement too.
            driver.stop();
        }
    }
}
