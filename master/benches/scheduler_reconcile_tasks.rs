//! A scheduler asks what became of very many tasks (upstream: `SchedulerReconcileTasks_BENCHMARK_Test` in
//! `tests/scheduler_tests.cpp`).
//!
//! One RECONCILE names so many tasks that the master does not know; the clock stops when the scheduler has decoded the last
//! answer. Twice: by a driver of the first API, whose answers are messages, and over HTTP, whose answers are a stream, both
//! in protobuf. The scheduler is on a thread of its own, and speaks to the master over loopback.
//!
//! The comparator in the same run: one thread decodes that call, and encodes and decodes that many answers, with nothing
//! around it. (With 100,000 tasks: 64 ms; over HTTP 98 ms, to a driver, each a message of its own, 223 ms.)

#[path = "support/master.rs"]
mod master_here;

use std::process::ExitCode;
use std::time::Duration;

use harness::bench::{self, Report, Target, in_turn};
use libprocess::http::{Client, ClientRequest};
use libprocess::{Context, Encoding, Handle, Install, Message, Node, Pid, Place, Process, WireMessage};
use mesos::internal::{FrameworkRegisteredMessage, StatusUpdate, StatusUpdateMessage};
use mesos::recordio::Decoder;
use mesos::v1::scheduler::call::{Reconcile, Subscribe, Type, reconcile};
use mesos::v1::scheduler::{Call, Event, event};
use mesos::{v0, v1, wire};
use tokio::sync::oneshot;

/// What the master's program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const ROUNDS: usize = 3;
/// A run that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(300);
/// Larger than any event here.
const MAX_EVENT: usize = 1 << 20;

fn main() -> ExitCode {
    let mut report =
        Report::new("SchedulerReconcileTasks", "tasks that the master does not know are asked for");
    report.note(format!("medians of {ROUNDS}"));
    for tasks in SIZES {
        let turns = in_turn(
            ROUNDS,
            [
                &mut || libprocess::run(by_driver(tasks)),
                &mut || libprocess::run(by_stream(tasks)),
                &mut || floor(tasks),
            ],
        );
        report.figure(&format!("{tasks} tasks: coding alone"), turns.median(2) * 1e3, "ms", Target::None);
        report.figure(&format!("{tasks} tasks, by a driver"), turns.median(0) * 1e3, "ms", Target::None);
        report.figure("times the coding", turns.ratio(0, 2), "", Target::None);
        report.figure(&format!("{tasks} tasks, over HTTP"), turns.median(1) * 1e3, "ms", Target::None);
        report.figure("times the coding", turns.ratio(1, 2), "", Target::None);
    }
    report.verdict()
}

fn info() -> v1::FrameworkInfo {
    v1::FrameworkInfo { user: "user".into(), name: "default".into(), ..Default::default() }
}

fn subscribe() -> Call {
    let subscribe = Subscribe { framework_info: info(), ..Default::default() };
    Call { r#type: Some(Type::Subscribe.into()), subscribe: Some(subscribe), ..Default::default() }
}

fn reconcile(framework: v1::FrameworkId, tasks: usize) -> Call {
    let task =
        |number| reconcile::Task { task_id: v1::TaskId { value: format!("task {number}") }, agent_id: None };
    let reconcile = Reconcile { tasks: (0..tasks).map(task).collect() };
    Call {
        framework_id: Some(framework),
        r#type: Some(Type::Reconcile.into()),
        reconcile: Some(reconcile),
        ..Default::default()
    }
}

/// Runs a scheduler on a thread of its own against a master on this one; what it measured.
async fn beside<F: Future<Output = f64>>(scheduler: impl FnOnce(Pid) -> F + Send + 'static) -> f64 {
    let (node, running) = master_here::master().await;
    let pid = node.pid("master");
    let (done, measured) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(libprocess::run(scheduler(pid)));
    });
    let took = tokio::time::timeout(DEADLINE, measured).await;
    let took = took.expect("it ends in time").expect("the scheduler measures");
    thread.join().expect("its thread ends");
    running.shutdown().await;
    node.shutdown().await;
    took
}

/// A driver that counts answers.
struct Driver {
    master: Pid,
    registered: Option<oneshot::Sender<v1::FrameworkId>>,
    missing: usize,
    answered: Option<oneshot::Sender<()>>,
}

/// Say it to the master.
struct Say(v0::scheduler::Call);

impl Message for Say {
    type Answer = ();
}

impl Process for Driver {
    const NAME: &'static str = "scheduler";
    const PLACE: Place = Place::Control;
    fn install(install: &mut Install<Self>) {
        install.message::<FrameworkRegisteredMessage>();
        install.message::<StatusUpdateMessage>();
    }
}

impl Handle<Say> for Driver {
    fn handle(&mut self, Say(call): Say, _: &Pid, ctx: &mut Context<Self>) {
        ctx.post(&self.master, call);
    }
}

impl Handle<FrameworkRegisteredMessage> for Driver {
    fn handle(&mut self, message: FrameworkRegisteredMessage, _: &Pid, _: &mut Context<Self>) {
        if let Some(registered) = self.registered.take() {
            let _ = registered.send(message.framework_id);
        }
    }
}

impl Handle<StatusUpdateMessage> for Driver {
    fn handle(&mut self, _: StatusUpdateMessage, _: &Pid, _: &mut Context<Self>) {
        self.missing -= 1;
        if self.missing == 0
            && let Some(answered) = self.answered.take()
        {
            let _ = answered.send(());
        }
    }
}

async fn by_driver(tasks: usize) -> f64 {
    beside(move |master| async move {
        let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free");
        let (registered, id) = oneshot::channel();
        let (answered, all) = oneshot::channel();
        let driver =
            Driver { master, registered: Some(registered), missing: tasks, answered: Some(answered) };
        let driver = node.spawn_numbered(driver);
        driver.tell(Say(subscribe().into()));
        let call = reconcile(id.await.expect("it is registered"), tasks).into();
        let began = bench::now();
        driver.tell(Say(call));
        all.await.expect("all are answered");
        let took = began.elapsed().as_secs_f64();
        node.shutdown().await;
        took
    })
    .await
}

async fn by_stream(tasks: usize) -> f64 {
    beside(move |master| async move {
        let url = format!("http://{}/api/v1/scheduler", master.address());
        let client = Client::new();
        let post = |call: &Call| {
            ClientRequest::post(&url)
                .header("Content-Type", "application/x-protobuf")
                .header("Accept", "application/x-protobuf")
                .body(wire::encode(call))
        };
        let mut stream = client.send(post(&subscribe())).await.expect("the master answers");
        let id = stream.headers["Mesos-Stream-Id"].to_str().expect("an id").to_owned();
        let mut decoder = Decoder::new(MAX_EVENT);
        let mut framework = None;
        let mut missing = tasks;
        let mut began = bench::now();
        while missing > 0 {
            let chunk = stream.chunk().await.expect("the stream goes on").expect("the stream goes on");
            for record in decoder.feed(&chunk).expect("RecordIO") {
                let event: Event = wire::decode(&record).expect("an event");
                missing -= usize::from(event.r#type() == event::Type::Update);
                framework = framework.or(event.subscribed.map(|event| event.framework_id));
            }
            if let Some(framework) = framework.take().filter(|_| missing == tasks) {
                let request = post(&reconcile(framework, tasks)).header("Mesos-Stream-Id", &id);
                began = bench::now();
                client.send(request).await.expect("the master answers");
            }
        }
        began.elapsed().as_secs_f64()
    })
    .await
}

/// The comparator.
fn floor(tasks: usize) -> f64 {
    let framework = v1::FrameworkId { value: "framework".into() };
    let call = wire::encode(&v0::scheduler::Call::from(reconcile(framework.clone(), tasks)));
    let began = bench::now();
    let call: v0::scheduler::Call = wire::decode(&call).expect("it was encoded by us");
    for task in call.reconcile.map_or_else(Vec::new, |reconcile| reconcile.tasks) {
        let status = v1::TaskStatus {
            task_id: task.task_id,
            state: v1::TaskState::TaskLost.into(),
            source: Some(v1::task_status::Source::Master.into()),
            reason: Some(v1::task_status::Reason::Reconciliation.into()),
            message: Some("Reconciliation: Task is unknown".into()),
            timestamp: Some(1.0),
            ..Default::default()
        };
        let update =
            StatusUpdate { framework_id: framework.clone(), timestamp: 1.0, status, ..Default::default() };
        let message = StatusUpdateMessage { update, pid: Some(Pid::nobody().to_string()) };
        let bytes = message.encode(Encoding::Protobuf);
        let decoded = StatusUpdateMessage::decode(Encoding::Protobuf, &bytes);
        std::hint::black_box(decoded.expect("it was encoded by us"));
    }
    began.elapsed().as_secs_f64()
}
