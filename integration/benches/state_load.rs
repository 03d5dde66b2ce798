//! A master's answers while eight operators poll its state (upstream: `MasterActorResponsiveness_BENCHMARK_Test`,
//! `WithV0StateLoad`, in `tests/master_benchmarks.cpp`).
//!
//! The master is a process of its own. 1,000 agents are actors in this one that bring 20 running tasks each and answer
//! pings. Eight clients GET `/state`, each on its connection, one after the other, as fast as they can. Meanwhile one
//! client asks for `/version`, and one sends ACCEPTs, each of which launches a task on the agent of an offer: from the
//! request's first byte to the answer's last, with a pause of a millisecond in between. So the state changes while it is
//! polled. What is wanted is the 99th percentile, for each of that without the eight.
//!
//! All of them share the machine's two cores. The eight have the lowest priority, as if they were on other machines. What
//! the machine does to the master is shown beside it, in the same round: the eight poll another server, a bare actix-web
//! with one worker and the same bytes, while the master is asked; and that server's own `/version` meanwhile, which is what
//! HTTP alone can do.
//!
//! For scale: on genuine Mesos (-O2) with 10,000 tasks that run and 10,000 that are over the median of `/health` went from
//! 0.6 to 205 ms, on a machine of this kind. Ours: `/version` from 0.10 to 0.22 ms, ACCEPT from 0.32 to 0.39 ms.

#[path = "../../master/benches/support/reregistration.rs"]
mod reregistration;

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;
use integration::bench::{self, Report, Target, median, quantile};
use integration::{Cluster, beside};
use libprocess::http::{Client, ClientRequest};
use libprocess::{Context, Handle, Install, Node, Pid, Process};
use mesos::internal::{PingSlaveMessage, PongSlaveMessage, RunTaskMessage, SlaveReregisteredMessage};
use mesos::recordio::Decoder;
use mesos::v1::offer::{Operation, operation};
use mesos::v1::scheduler::call::{Accept, Subscribe, Type};
use mesos::v1::scheduler::{Call, Event};
use mesos::{Resources, v1, wire};
use tokio::sync::oneshot;

const AGENTS: usize = 1_000;
const FRAMEWORKS: usize = 5;
/// Of each framework on each agent.
const TASKS: usize = 4;
const POLLERS: usize = 8;
const ROUNDS: usize = 7;
/// Of each kind, under each load, in each round.
const REQUESTS: usize = 500;
const PAUSE: Duration = Duration::from_millis(1);
/// How long a load lasts before it counts.
const WARM_UP: Duration = Duration::from_millis(500);
/// An event of 1,000 offers is smaller.
const MAX_EVENT: usize = 16 << 20;

const VERSION: &[u8] = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
const STATE: &[u8] = b"GET /state HTTP/1.1\r\nHost: x\r\n\r\n";

/// Who is polled meanwhile.
#[derive(Clone, Copy)]
enum Load {
    Nobody,
    Other,
    Master,
}

fn main() -> ExitCode {
    let mut report = Report::new("WithV0StateLoad", "a master's answers while eight clients poll its /state");
    report.note(format!(
        "{AGENTS} agents, {} tasks; {REQUESTS} requests each, {ROUNDS} rounds: medians of the rounds",
        AGENTS * FRAMEWORKS * TASKS
    ));
    let rounds = libprocess::run(measure(&report));
    let of = |kind: usize, load: Load, part: f64| -> Vec<f64> {
        rounds.iter().map(|round| quantile(&round[kind][load as usize], part) * 1e3).collect()
    };
    let ratio = |kind: usize, load: Load, to: Load, part: f64| {
        let pairs = of(kind, load, part).into_iter().zip(of(kind, to, part));
        median(&pairs.map(|(one, other)| one / other).collect::<Vec<_>>())
    };
    for (kind, name) in ["/version", "ACCEPT"].into_iter().enumerate() {
        for (load, text) in [
            (Load::Nobody, "nobody polls"),
            (Load::Other, "another server is polled"),
            (Load::Master, "the master is polled"),
        ] {
            for (part, which) in [(0.5, "median"), (0.99, "99th percentile")] {
                let value = median(&of(kind, load, part));
                report.figure(&format!("{name}, {text}, {which}"), value, "ms", Target::None);
            }
        }
        let others = ratio(kind, Load::Other, Load::Nobody, 0.99);
        report.figure(&format!("{name}, 99th: another polled, for each quiet"), others, "", Target::None);
        let polled = ratio(kind, Load::Master, Load::Nobody, 0.99);
        report.figure(&format!("{name}, 99th: polled, for each quiet"), polled, "", Target::AtMost(3.0));
    }
    let bare = ratio(BARE, Load::Other, Load::Nobody, 0.99);
    report.figure("bare actix-web's /version, 99th: polled, quiet", bare, "", Target::None);
    report.verdict()
}

/// The third kind: `/version` of the other server.
const BARE: usize = 2;

/// Seconds that requests took: of `/version` and ACCEPTs of the master, and of the other server; under each load.
type Round = [[Vec<f64>; 3]; 3];

async fn measure(report: &Report) -> Vec<Round> {
    let cluster = Cluster::start(&[], &[]).await;
    let master = cluster.master();
    let agents = Agents::start(master);
    cluster.wait_for_agents(AGENTS).await;
    let state = Client::new().send(ClientRequest::get(format!("http://{master}/state"))).await;
    let state = state.expect("the master answers").bytes(1 << 30).await.expect("it is whole");
    report.note(format!("/state has {:.1} MB", state.len() as f64 / 1e6));
    let other = Other::start(state);
    let scheduler = Scheduler::start(master);
    let rounds = beside(move || {
        let (address, mut offers) = (other.address, scheduler);
        let (mut polled, mut rounds) = ([0.0; 3], Vec::new());
        // The first does not count.
        for _ in 0..=ROUNDS {
            let mut round = Round::default();
            for load in [Load::Nobody, Load::Other, Load::Master] {
                let pollers = match load {
                    Load::Nobody => None,
                    Load::Other => Some(Pollers::start(address)),
                    Load::Master => Some(Pollers::start(master)),
                };
                std::thread::sleep(WARM_UP);
                let index = load as usize;
                round[0][index] = versions(master);
                round[1][index] = offers.accepts(master);
                round[BARE][index] = versions(address);
                polled[index] = pollers.map_or(0.0, Pollers::stop);
            }
            rounds.push(round);
        }
        rounds.remove(0);
        (rounds, polled, other)
    });
    let (rounds, polled, other) = rounds.await;
    other.stop().await;
    report.note(format!(
        "bodies that the eight got in a second, in the last round: {:.0} of the other server, {:.0} of the master",
        polled[Load::Other as usize],
        polled[Load::Master as usize]
    ));
    agents.stop();
    rounds
}

/// Seconds that each `/version` took.
fn versions(server: SocketAddr) -> Vec<f64> {
    let mut connection = Connection::open(server);
    let mut ask = || {
        std::thread::sleep(PAUSE);
        let began = bench::now();
        assert_eq!(connection.ask(VERSION), 200);
        began.elapsed().as_secs_f64()
    };
    (0..REQUESTS).map(|_| ask()).collect()
}

/// A client's connection. It blocks: nothing else is to be done by its thread.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the server listens");
        stream.set_nodelay(true).expect("it is a socket");
        Self { stream, buffer: vec![0; 256 << 10] }
    }

    /// Sends this and reads the whole answer, whose length is said in its head. Its status.
    fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).expect("the server reads");
        let mut length = 0;
        let head = loop {
            length += self.read(length);
            // A head is small, and there as a whole soon.
            if let Some(end) = self.buffer[..length].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let said = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut left = said.map_or(0, |said| said.parse::<usize>().expect("a length")) + head - length;
        while left > 0 {
            left -= self.read(0);
        }
        status
    }

    /// Reads behind what is there.
    fn read(&mut self, filled: usize) -> usize {
        let read = self.stream.read(&mut self.buffer[filled..]).expect("the server answers");
        assert!(read > 0, "the server closed the connection");
        read
    }
}

/// Eight threads that read one state after the other.
struct Pollers {
    stop: Arc<AtomicBool>,
    bodies: Arc<AtomicUsize>,
    began: std::time::Instant,
    threads: Vec<JoinHandle<()>>,
}

impl Pollers {
    fn start(server: SocketAddr) -> Self {
        let (stop, bodies) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let poll = |_| {
            let (stop, bodies) = (Arc::clone(&stop), Arc::clone(&bodies));
            std::thread::spawn(move || {
                // On Linux a priority is a thread's.
                rustix::process::setpriority_process(None, 19).expect("lower is allowed");
                let mut connection = Connection::open(server);
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(connection.ask(STATE), 200);
                    bodies.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let threads = (0..POLLERS).map(poll).collect();
        Self { stop, bodies, began: bench::now(), threads }
    }

    /// Ends them; bodies that they got in a second.
    fn stop(self) -> f64 {
        let rate = self.bodies.load(Ordering::Relaxed) as f64 / self.began.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a poller ends");
        }
        rate
    }
}

/// The other server, on a thread of its own.
struct Other {
    address: SocketAddr,
    handle: ServerHandle,
    thread: JoinHandle<()>,
}

impl Other {
    /// Serves this as its state.
    fn start(state: Bytes) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let app = move || {
                    let state = state.clone();
                    App::new()
                        .route("/version", web::get().to(async || HttpResponse::Ok().body("{}")))
                        .route("/state", web::get().to(move || serve(state.clone())))
                };
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener);
                let server = server.expect("the socket is good").run();
                let _ = sender.send(server.handle());
                let _ = server.await;
            });
        });
        Self { address, handle: receiver.recv().expect("it starts"), thread }
    }

    async fn stop(self) {
        self.handle.stop(false).await;
        let _ = self.thread.join();
    }
}

async fn serve(state: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(state)
}

/// A framework of the v1 API: its stream is read by a thread of its own, its ACCEPTs are sent by who measures.
struct Scheduler {
    framework: v1::FrameworkId,
    stream_id: String,
    offers: mpsc::Receiver<v1::Offer>,
    waiting: VecDeque<v1::Offer>,
    launched: usize,
    resources: Vec<v1::Resource>,
}

impl Scheduler {
    fn start(master: SocketAddr) -> Self {
        let (sender, offers) = mpsc::channel();
        let (subscribed, known) = mpsc::channel();
        std::thread::spawn(move || libprocess::run(listen(master, subscribed, sender)));
        let (framework, stream_id) = known.recv().expect("it is subscribed");
        let resources = Resources::parse("cpus:0.01;mem:1", "*").expect("a constant that parses").to_protos();
        Self { framework, stream_id, offers, waiting: VecDeque::new(), launched: 0, resources }
    }

    /// Seconds that each ACCEPT took.
    fn accepts(&mut self, master: SocketAddr) -> Vec<f64> {
        let mut connection = Connection::open(master);
        let mut accept = || {
            std::thread::sleep(PAUSE);
            let request = self.request();
            let began = bench::now();
            assert_eq!(connection.ask(&request), 202);
            began.elapsed().as_secs_f64()
        };
        (0..REQUESTS).map(|_| accept()).collect()
    }

    /// One ACCEPT of the oldest offer.
    fn request(&mut self) -> Vec<u8> {
        self.waiting.extend(self.offers.try_iter());
        let offer = self.waiting.pop_front();
        let offer = offer.unwrap_or_else(|| self.offers.recv().expect("the stream goes on"));
        self.launched += 1;
        let task = v1::TaskInfo {
            name: "task".into(),
            task_id: v1::TaskId { value: format!("launched-{}", self.launched) },
            agent_id: offer.agent_id,
            resources: self.resources.clone(),
            command: Some(v1::CommandInfo { value: Some("sleep 1000".into()), ..Default::default() }),
            ..Default::default()
        };
        let launch = Operation {
            r#type: Some(operation::Type::Launch.into()),
            launch: Some(operation::Launch { task_infos: vec![task] }),
            ..Default::default()
        };
        let call = Call {
            framework_id: Some(self.framework.clone()),
            r#type: Some(Type::Accept.into()),
            accept: Some(Accept {
                offer_ids: vec![offer.id],
                operations: vec![launch],
                // What is left is wanted again at once.
                filters: Some(v1::Filters { refuse_seconds: Some(0.0) }),
            }),
            ..Default::default()
        };
        let body = wire::encode(&call);
        let head = format!(
            "POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nMesos-Stream-Id: {}\r\nAccept: application/x-protobuf\r\n\
             Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
            self.stream_id,
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }
}

/// Subscribes, and hands on who it is and what it is offered.
async fn listen(
    master: SocketAddr,
    subscribed: mpsc::Sender<(v1::FrameworkId, String)>,
    offers: mpsc::Sender<v1::Offer>,
) {
    let info = v1::FrameworkInfo { user: "root".into(), name: "load".into(), ..Default::default() };
    let subscribe = Subscribe { framework_info: info, ..Default::default() };
    let call =
        Call { r#type: Some(Type::Subscribe.into()), subscribe: Some(subscribe), ..Default::default() };
    let request = ClientRequest::post(format!("http://{master}/api/v1/scheduler"))
        .header("Content-Type", "application/x-protobuf")
        .header("Accept", "application/x-protobuf")
        .body(wire::encode(&call));
    let mut stream = Client::new().send(request).await.expect("the master answers");
    let id = stream.headers["Mesos-Stream-Id"].to_str().expect("an id").to_owned();
    let mut decoder = Decoder::new(MAX_EVENT);
    // Until the master has ended.
    while let Ok(Some(chunk)) = stream.chunk().await {
        for record in decoder.feed(&chunk).expect("RecordIO") {
            let event: Event = wire::decode(&record).expect("an event");
            if let Some(event) = event.subscribed {
                let _ = subscribed.send((event.framework_id, id.clone()));
            }
            for offer in event.offers.into_iter().flat_map(|event| event.offers) {
                let _ = offers.send(offer);
            }
        }
    }
}

/// The agents, on a thread of their own.
struct Agents {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Agents {
    fn start(master: SocketAddr) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            libprocess::run(async move {
                let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await;
                let node = node.expect("a port is free");
                for number in 0..AGENTS {
                    node.spawn_numbered(Agent { number, master: Pid::new("master", master) });
                }
                let _ = stopped.await;
                node.shutdown().await;
            });
        });
        Self { stop, thread }
    }

    fn stop(self) {
        let _ = self.stop.send(());
        self.thread.join().expect("the agents' thread ends");
    }
}

/// Brings its tasks and answers pings. Tasks that are sent to it are on their way for ever.
struct Agent {
    number: usize,
    master: Pid,
}

impl Process for Agent {
    const NAME: &'static str = "slave";
    fn install(install: &mut Install<Self>) {
        install.message::<SlaveReregisteredMessage>();
        install.message::<PingSlaveMessage>();
        install.message::<RunTaskMessage>();
    }
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.post(&self.master, reregistration::message(self.number, FRAMEWORKS, TASKS));
    }
}

impl Handle<SlaveReregisteredMessage> for Agent {
    fn handle(&mut self, _: SlaveReregisteredMessage, _: &Pid, _: &mut Context<Self>) {}
}

impl Handle<RunTaskMessage> for Agent {
    fn handle(&mut self, _: RunTaskMessage, _: &Pid, _: &mut Context<Self>) {}
}

impl Handle<PingSlaveMessage> for Agent {
    fn handle(&mut self, _: PingSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, PongSlaveMessage {});
    }
}
