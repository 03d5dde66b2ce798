//! From a task's end to the next offer of its resources.
//!
//! The framework has no filter. Its task takes all that the agent has left; the clock runs from the time
//! that the executor wrote into `TASK_FINISHED` (one machine, one clock) until an offer that holds the
//! task's cpus is at the scheduler. Once with simulated containers, once with real command tasks (`sleep 0.1`:
//! long enough for `TASK_STARTING` and `TASK_RUNNING` to be acknowledged, which `TASK_FINISHED` waits for).
//!
//! The comparator in the same run: a GET of the master's `/health` on an open connection, there and back.
//! Upstream waits for its next interval: up to 1 s.

use std::process::ExitCode;
use std::time::Duration;

use frameworks::scheduler::{Driver, Options, Scheduler, run};
use integration::bench::{self, Report, Target, median, quantile};
use integration::{AgentSpec, Cluster};
use libprocess::Node;
use libprocess::http::{Client, ClientRequest};
use mesos::{FrameworkId, Resources, v1};

const ENDS: usize = 100;
/// A run that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let mut report = Report::new("reoffer", "a task's end to the next offer of its resources, no filter");
    for (name, simulated) in [("simulated tasks", true), ("command tasks", false)] {
        let (round_trips, ends) = libprocess::run(measure(simulated));
        report.note(format!("{name}, {ENDS} of them, one at a time:"));
        report.figure("GET /health there and back, median", median(&round_trips), "ms", Target::None);
        report.figure("end to offer, median", median(&ends), "ms", Target::AtMost(20.0));
        report.figure("end to offer, 95th percentile", quantile(&ends, 0.95), "ms", Target::None);
        report.figure("end to offer, slowest", quantile(&ends, 1.0), "ms", Target::None);
    }
    report.verdict()
}

/// Times in milliseconds: of the comparator, and from each end to its offer.
async fn measure(simulated: bool) -> (Vec<f64>, Vec<f64>) {
    let mut agent = AgentSpec::new("cpus:4;mem:1024;disk:1000");
    if simulated {
        agent = agent.with("--containerizers=simulated");
    }
    let cluster = Cluster::start(&[], &[agent]).await;
    let client = Client::new();
    let pipeline = client.pipeline(cluster.master().to_string());
    let mut round_trips = Vec::new();
    for _ in 0..ENDS {
        let began = bench::now();
        let answer = pipeline.send(ClientRequest::get("/health")).await.expect("the master answers");
        assert!(answer.status.is_success());
        round_trips.push(began.elapsed().as_secs_f64() * 1e3);
    }

    let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free");
    let user = integration::own_user();
    let framework = v1::FrameworkInfo { user, name: "reoffer".into(), ..Default::default() };
    let mut options = Options::new(cluster.master().to_string().parse().expect("host:port"), framework);
    options.connection_delay_max = Duration::ZERO;
    let scheduler = Ends { executor: simulated.then(executor), launched: 0, ended: None, times: Vec::new() };
    let done = tokio::time::timeout(DEADLINE, run(&node, options, scheduler)).await;
    let done = done.expect("a run ends in time").expect("the master has no objections");
    node.shutdown().await;
    (round_trips, done.times)
}

fn resources(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*").expect("a constant that parses").to_protos()
}

fn executor() -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: "simulated".into() },
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        resources: resources("cpus:0.1;mem:32"),
        ..Default::default()
    }
}

/// One task at a time, on the whole agent but what executors need.
struct Ends {
    executor: Option<v1::ExecutorInfo>,
    launched: usize,
    /// When the last task ended, until its resources are offered.
    ended: Option<f64>,
    times: Vec<f64>,
}

impl Ends {
    fn task(&self, offer: &v1::Offer) -> v1::TaskInfo {
        let command = v1::CommandInfo { value: Some("sleep 0.1".into()), ..Default::default() };
        let label = v1::Label { key: "simulated.duration".into(), value: Some("100ms".into()) };
        v1::TaskInfo {
            name: "t".into(),
            task_id: v1::TaskId { value: format!("task-{}", self.launched) },
            agent_id: offer.agent_id.clone(),
            resources: resources("cpus:3;mem:64"),
            command: self.executor.is_none().then_some(command),
            executor: self.executor.clone(),
            labels: Some(v1::Labels::from_iter([label])),
            ..Default::default()
        }
    }
}

impl Scheduler for Ends {
    fn subscribed(&mut self, _: &mut Driver<Self>, framework: &FrameworkId) {
        if let Some(executor) = &mut self.executor {
            executor.framework_id = Some(framework.to_proto());
        }
    }

    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        let now = bench::wall_clock();
        for offer in offers {
            let free = Resources::try_from_protos(&offer.resources).unwrap_or_default();
            if free.cpus().is_none_or(|cpus| cpus.to_f64() < 3.0) {
                // What the task has left, or an executor that has ended: no filter, and no answer either,
                // or it would come back at once, for ever.
                continue;
            }
            if let Some(ended) = self.ended.take() {
                self.times.push((now - ended) * 1e3);
            }
            if self.times.len() == ENDS {
                return driver.teardown();
            }
            let task = self.task(&offer);
            self.launched += 1;
            driver.launch(&offer.id, vec![task], Duration::ZERO);
        }
    }

    fn update(&mut self, _: &mut Driver<Self>, status: v1::TaskStatus) {
        match status.state() {
            v1::TaskState::TaskStarting | v1::TaskState::TaskRunning => {}
            state => {
                assert_eq!(state, v1::TaskState::TaskFinished, "{status:?}");
                self.ended = status.timestamp;
            }
        }
    }
}
