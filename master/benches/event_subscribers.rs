//! What an event costs the master when 1,000 operators are subscribed.
//!
//! An agent reports that a task has a new state, again and again; each time the subscribers are sent TASK_UPDATED, half of
//! them in JSON and half in protobuf. They are clients on a thread of their own, over loopback; one more never reads, and
//! nobody waits for it. What is measured is the CPU time of the master's own thread, with subscribers and without, and how
//! long it takes until all have all events.
//!
//! The comparator, in turns with it: one thread that gives a shared piece of bytes to 1,000 unbounded channels, which
//! another thread reads. (50 us for each event, and 38 for each piece.)

#[path = "support/master.rs"]
mod master_here;
#[path = "support/reregistration.rs"]
mod reregistration;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use harness::bench::{self, Report, Target, median};
use libprocess::http::{Client, ClientRequest};
use libprocess::{Context, Handle, Install, Message, Node, Pid, Place, Process};
use mesos::internal::{
    PingSlaveMessage, PongSlaveMessage, SlaveReregisteredMessage, StatusUpdate, StatusUpdateMessage,
};
use mesos::recordio::Decoder;
use mesos::v1::{self, TaskState};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// What the master's program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SUBSCRIBERS: usize = 1_000;
const EVENTS: usize = 500;
const ROUNDS: usize = 5;
/// Heartbeats are shorter, TASK_UPDATED is longer.
const HEARTBEAT: usize = 40;
/// A run that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(120);
const SUBSCRIBE: &str = r#"{"type":"SUBSCRIBE"}"#;

fn main() -> ExitCode {
    // Both ends of all connections are in this process; a node admits a fourth of that as clients.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to its maximum");
    let mut report = Report::new("EventSubscribers", "one event is told to 1,000 subscribers");
    report.note(format!("{EVENTS} events, medians of {ROUNDS}; CPU time of the master's thread"));
    let rounds = libprocess::run(measure());
    let of = |figure: fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
    report.figure("a status update, nobody subscribed", of(|round| round.alone) * 1e6, "us", Target::None);
    report.figure("a status update, told to all", of(|round| round.told) * 1e6, "us", Target::None);
    report.figure(
        "an event's share of it, which holds the master",
        of(|round| round.told - round.alone) * 1e3,
        "ms",
        Target::AtMost(1.0),
    );
    report.figure("one piece into 1,000 channels", of(|round| round.floor) * 1e6, "us", Target::None);
    let ratio = of(|round| (round.told - round.alone) / round.floor);
    report.figure("an event, for each of these", ratio, "", Target::AtMost(3.0));
    report.figure(
        "until all have had it, for each event",
        of(|round| round.arrived) * 1e3,
        "ms",
        Target::None,
    );
    report.verdict()
}

/// Seconds for each event.
struct Round {
    alone: f64,
    told: f64,
    arrived: f64,
    floor: f64,
}

async fn measure() -> Vec<Round> {
    let (node, running) = master_here::master().await;
    let (back, is_back) = oneshot::channel();
    let agent = Agent { master: node.pid("master"), back: Some(back), reported: 0 };
    let agent = node.spawn_numbered(agent);
    is_back.await.expect("the agent is registered");
    let client = Client::new();
    let health = format!("http://{}/health", node.address());
    // Until the master has handled all: it handles what it is sent in order.
    let burst = async || {
        let before = cpu_time().await;
        agent.tell(Burst);
        agent.ask(Sent).await.expect("the agent answers");
        let answer = client.send(ClientRequest::get(&health)).await.expect("the master answers");
        assert!(answer.status.is_success());
        (cpu_time().await - before) / EVENTS as f64
    };
    let mut rounds = Vec::new();
    for _ in 0..=ROUNDS {
        let alone = burst().await;
        let subscribers = Subscribers::start(&node).await;
        let began = bench::now();
        let told = burst().await;
        subscribers.have(EVENTS * SUBSCRIBERS).await;
        let arrived = began.elapsed().as_secs_f64() / EVENTS as f64;
        subscribers.stop().await;
        rounds.push(Round { alone, told, arrived, floor: floor().await });
    }
    running.shutdown().await;
    node.shutdown().await;
    // The first does not count.
    rounds.remove(0);
    rounds
}

/// Seconds of CPU time that this thread has used, which is the master's.
async fn cpu_time() -> f64 {
    // The kernel brings its books up to date when a thread pauses.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux keeps books of threads");
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.expect("its first figure is the time") / 1e9
}

/// The comparator: seconds for each piece.
async fn floor() -> f64 {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..SUBSCRIBERS).map(|_| mpsc::unbounded_channel::<Bytes>()).unzip();
    let (ready, started) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        libprocess::run(async move {
            let _ = ready.send(());
            let read = |mut receiver: mpsc::UnboundedReceiver<Bytes>| async move {
                let mut bytes = 0;
                while let Some(piece) = receiver.recv().await {
                    bytes += piece.len();
                }
                bytes
            };
            join_all(receivers.into_iter().map(read)).await
        })
    });
    started.await.expect("the thread starts");
    let piece = Bytes::from(vec![b' '; 400]);
    let before = cpu_time().await;
    for _ in 0..EVENTS {
        for sender in &senders {
            sender.send(piece.clone()).expect("it is read");
        }
        tokio::task::yield_now().await;
    }
    let took = (cpu_time().await - before) / EVENTS as f64;
    drop(senders);
    let read = thread.join().expect("the thread ends");
    assert!(read.iter().all(|bytes| *bytes == EVENTS * piece.len()));
    took
}

/// The subscribers, on a thread of their own.
struct Subscribers {
    events: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    _deaf: TcpStream,
}

impl Subscribers {
    /// Subscribes, and waits until all have the state.
    async fn start(node: &Node) -> Self {
        let (events, begun) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (stop, mut stopped) = oneshot::channel::<()>();
        let (address, counted, started) = (node.address(), Arc::clone(&events), Arc::clone(&begun));
        let thread = std::thread::spawn(move || {
            libprocess::run(async move {
                let client = Client::new();
                let all = (0..SUBSCRIBERS - 1).map(|number| {
                    let media = if number % 2 == 0 { "application/json" } else { "application/x-protobuf" };
                    let request = ClientRequest::post(format!("http://{address}/api/v1"))
                        .header("Content-Type", "application/json")
                        .header("Accept", media)
                        .body(SUBSCRIBE);
                    listen(&client, request, &started, &counted)
                });
                tokio::select! {
                    biased;
                    _ = &mut stopped => {}
                    _ = join_all(all) => unreachable!("streams do not end"),
                }
            });
        });
        let mut deaf = TcpStream::connect(address).await.expect("the master listens");
        let head = "POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ";
        let request = format!("{head}{}\r\n\r\n{SUBSCRIBE}", SUBSCRIBE.len());
        deaf.write_all(request.as_bytes()).await.expect("the master reads");
        deaf.read_u8().await.expect("the master answers");
        let subscribers = Self { events, stop, thread, _deaf: deaf };
        reach(&begun, SUBSCRIBERS - 1).await;
        subscribers
    }

    /// Waits until those who listen have so many events, of which the one who does not would have its share.
    async fn have(&self, events: usize) {
        reach(&self.events, events / SUBSCRIBERS * (SUBSCRIBERS - 1)).await;
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.thread.join().expect("their thread ends");
        // The master learns of it.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn reach(count: &AtomicUsize, wanted: usize) {
    let reached = async {
        while count.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let reached = tokio::time::timeout(DEADLINE, reached).await;
    reached.unwrap_or_else(|_| unreachable!("{wanted} are wanted, {count:?} are there"));
    assert_eq!(count.load(Ordering::Relaxed), wanted);
}

/// One subscriber: counts the state as `begun`, and then events.
async fn listen(client: &Client, request: ClientRequest, begun: &AtomicUsize, events: &AtomicUsize) {
    let mut stream = client.send(request).await.expect("the master answers");
    assert!(stream.status.is_success(), "{}", stream.status);
    let mut decoder = Decoder::new(1 << 20);
    let mut first = true;
    while let Ok(Some(chunk)) = stream.chunk().await {
        for record in decoder.feed(&chunk).expect("RecordIO") {
            if first {
                begun.fetch_add(1, Ordering::Relaxed);
                first = false;
            } else if record.len() > HEARTBEAT {
                events.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Has a task whose state changes when it is told to.
struct Agent {
    master: Pid,
    back: Option<oneshot::Sender<()>>,
    reported: usize,
}

/// So many updates at once.
struct Burst;

/// Whether a burst is out.
struct Sent;

libprocess::messages! { Burst; }

impl Message for Sent {
    type Answer = ();
}

impl Process for Agent {
    const NAME: &'static str = "slave";
    const PLACE: Place = Place::Control;
    fn install(install: &mut Install<Self>) {
        install.message::<SlaveReregisteredMessage>();
        install.message::<PingSlaveMessage>();
    }
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.post(&self.master, reregistration::message(0, 1, 1));
    }
}

impl Handle<Burst> for Agent {
    fn handle(&mut self, _: Burst, _: &Pid, ctx: &mut Context<Self>) {
        for _ in 0..EVENTS {
            self.reported += 1;
            let state = [TaskState::TaskKilling, TaskState::TaskRunning][self.reported % 2];
            let status = v1::TaskStatus {
                task_id: v1::TaskId { value: "framework0-0-0".into() },
                state: state.into(),
                source: Some(v1::task_status::Source::Executor.into()),
                ..Default::default()
            };
            let update = StatusUpdate {
                framework_id: v1::FrameworkId { value: "framework0".into() },
                slave_id: Some(v1::AgentId { value: "agent0".into() }),
                status,
                timestamp: 1.0,
                // Of version 4: others are refused.
                uuid: Some(vec![0x47; 16]),
                ..Default::default()
            };
            ctx.post(&self.master, StatusUpdateMessage { update, pid: None });
        }
    }
}

impl Handle<Sent> for Agent {
    fn handle(&mut self, _: Sent, _: &Pid, _: &mut Context<Self>) {}
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
