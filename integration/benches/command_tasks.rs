//! Real command tasks: `true`, each with an executor process of its own, on one agent.
//!
//! The clock runs from the first ACCEPT until the last `TASK_FINISHED` is at the scheduler. The comparator
//! in the same run is a loop that does what such a task cannot do without: spawn `mesos-executor --help`
//! and wait for it, spawn `sh -c true` and wait for it, one child at a time.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use frameworks::scheduler::{Driver, Options, Scheduler, run};
use integration::bench::{self, Report, Target, median};
use integration::{AgentSpec, Cluster, binary};
use libprocess::Node;
use mesos::Resources;
use mesos::v1;

const TASKS: usize = 200;
/// Tasks that run at a time: the agent has room for no more.
const AT_ONCE: usize = 8;
const RUNS: usize = 3;
/// A run that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let mut report = Report::new("command_tasks", "real command tasks (`true`) on one agent");
    report.note(format!(
        "{TASKS} tasks, at most {AT_ONCE} at a time; no checkpointing; the median of {RUNS} runs"
    ));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let executor = folder.path().join("mesos-executor");
    symlink(binary::mesos(), &executor).expect("the folder is ours");
    let (tasks, loops) = libprocess::run(async {
        let (mut tasks, mut loops) = (Vec::new(), Vec::new());
        // No folder is deleted before the last run: ext4 looks for inodes that were not freed within the
        // last five seconds, and after thousands of deletions each new file costs it milliseconds.
        let mut clusters = Vec::new();
        for _ in 0..RUNS {
            loops.push(spawn_and_wait(&executor));
            let agent = AgentSpec::new(&format!("cpus:{AT_ONCE};mem:4096;disk:1000"));
            let mut cluster = Cluster::start(&[], &[agent]).await;
            tasks.push(measure(&report, &mut cluster).await);
            clusters.push(cluster);
        }
        (tasks, loops)
    });
    report.figure("loop of `mesos-executor --help` and `sh -c true`", median(&loops), "/s", Target::None);
    report.figure("command tasks", median(&tasks), "/s", Target::None);
    report.figure(
        "tasks for each turn of the loop",
        median(&tasks) / median(&loops),
        "",
        Target::AtLeast(0.5),
    );
    report.verdict()
}

/// Turns of the loop in a second.
fn spawn_and_wait(executor: &Path) -> f64 {
    let began = bench::now();
    for _ in 0..TASKS {
        let mut help = Command::new(executor);
        help.arg("--help");
        let mut shell = Command::new("sh");
        shell.args(["-c", "true"]);
        for command in [&mut help, &mut shell] {
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert!(status.is_ok_and(|status| status.success()), "{command:?} ends well");
        }
    }
    TASKS as f64 / began.elapsed().as_secs_f64()
}

/// Tasks in a second.
async fn measure(report: &Report, cluster: &mut Cluster) -> f64 {
    let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free");
    let user = integration::own_user();
    let framework = v1::FrameworkInfo { user, name: "command tasks".into(), ..Default::default() };
    let mut options = Options::new(cluster.master().to_string().parse().expect("host:port"), framework);
    options.connection_delay_max = Duration::ZERO;
    let processes =
        [cluster.master_process(0).pid().expect("it runs"), cluster.agent_process(0).pid().expect("it runs")];
    let before = processes.map(bench::cpu_time);
    let done = tokio::time::timeout(DEADLINE, run(&node, options, Commands::default())).await;
    let used = processes.map(bench::cpu_time);
    let done = done.expect("a run ends in time").expect("the master has no objections");
    let (began, ended) = (done.began.expect("tasks were launched"), done.ended.expect("tasks have ended"));
    let rate = TASKS as f64 / ended.duration_since(began).as_secs_f64();
    let cost = |index: usize| used[index].saturating_sub(before[index]).as_secs_f64() * 1e3 / TASKS as f64;
    report.note(format!(
        "{rate:.0} tasks/s; CPU for each: master {:.1} ms, agent {:.1} ms",
        cost(0),
        cost(1)
    ));
    node.shutdown().await;
    rate
}

/// Launches as many as an offer has room for, until all have finished.
#[derive(Default)]
struct Commands {
    began: Option<Instant>,
    ended: Option<Instant>,
    launched: usize,
    finished: usize,
}

impl Scheduler for Commands {
    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        self.began.get_or_insert_with(bench::now);
        let each = Resources::parse("cpus:1;mem:32", "*").expect("a constant that parses");
        for offer in offers {
            let mut free = Resources::try_from_protos(&offer.resources).unwrap_or_default().unallocated();
            let mut tasks = Vec::new();
            while self.launched < TASKS && free.contains(&each) {
                free -= each.clone();
                tasks.push(v1::TaskInfo {
                    name: "true".into(),
                    task_id: v1::TaskId { value: format!("task-{}", self.launched) },
                    agent_id: offer.agent_id.clone(),
                    resources: each.to_protos(),
                    command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
                    ..Default::default()
                });
                self.launched += 1;
            }
            // An offer without room for a task is kept: without a filter it would come back at once, for ever.
            if !tasks.is_empty() {
                driver.launch(&offer.id, tasks, Duration::ZERO);
            }
        }
    }

    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus) {
        match status.state() {
            v1::TaskState::TaskStarting | v1::TaskState::TaskRunning => {}
            v1::TaskState::TaskFinished => self.finished += 1,
            _ => assert_eq!(status.state(), v1::TaskState::TaskFinished, "{status:?}"),
        }
        if self.finished == TASKS {
            self.ended.get_or_insert_with(bench::now);
            driver.teardown();
        }
    }
}
