//! From the leader's SIGKILL to the first offer of the new one, with 1,000 agents.
//!
//! Two masters are processes of their own. A real ZooKeeper of three servers elects, and keeps the registry; then a real etcd
//! of three does. The time-out of the dead leader's session is left out: its node is removed as soon as it is dead. The
//! agents are actors in this process, which speak the protocol as agents do: they find the leader themselves, pause for up
//! to a second (`--registration_backoff_factor`), and re-register. The framework uses our library, without its pause before it
//! connects to a new leader (`connection_delay_max`). The clock stops at the first offer that it is made.
//!
//! The comparator in the same run: a GET of the new leader's `/health`, there and back.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use election::etcd;
use election::etcd::api::{Operation, Range, TxnRequest};
use election::zookeeper::ZooKeeperClient;
use election::zookeeper::client::Step;
use election::{Detector, LeaderChanged, MasterUrl, WatchLeader};
use frameworks::scheduler::{Driver, Options, Scheduler, run};
use integration::bench::{self, Report, Target, median};
use integration::chaos::store::Store;
use integration::{Cluster, wait};
use libprocess::http::{Client, ClientRequest};
use libprocess::{Context, Handle, Install, Node, Pid, Process};
use mesos::internal::{
    PingSlaveMessage, PongSlaveMessage, RegisterSlaveMessage, ReregisterSlaveMessage, SlaveRegisteredMessage,
    SlaveReregisteredMessage,
};
use mesos::{Resources, v1};
use parking_lot::Mutex;
use tokio::sync::oneshot;

const AGENTS: usize = 1_000;
const FAILOVERS: usize = 5;
/// `--registration_backoff_factor` of agents.
const PAUSE: Duration = Duration::from_secs(1);
const SESSION: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut report =
        Report::new("failover", "the leader's SIGKILL to the first offer of the next, 1,000 agents");
    report.note(format!("{FAILOVERS} leaders killed in each"));
    libprocess::run(async {
        if let Some(store) = Store::zookeeper().await {
            note(&mut report, &store).await;
        }
        if let Some(store) = Store::etcd().await {
            note(&mut report, &store).await;
        }
    });
    report.verdict()
}

async fn note(report: &mut Report, store: &Store) {
    let (offers, gets) = measure(store).await;
    let mut figure = |what: &str, value, unit, target| {
        report.figure(&format!("{}: {what}", store.name()), value, unit, target);
    };
    figure("GET /health there and back, median", median(&gets) * 1e3, "ms", Target::None);
    figure("SIGKILL to offer, median", median(&offers), "s", Target::AtMost(1.0));
    figure("SIGKILL to offer, slowest", bench::quantile(&offers, 1.0), "s", Target::None);
}

/// Seconds from kills to offers, and of the comparator.
async fn measure(store: &Store) -> (Vec<f64>, Vec<f64>) {
    let url: MasterUrl = store.url().parse().expect("the URL is one");
    let mut cluster = Cluster::found_at(&store.url());
    cluster.add_master(&[]).await;
    cluster.add_master(&[]).await;
    let (stop, agents) = start_agents(url.clone());
    cluster.wait_for_agents(AGENTS).await;

    let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free");
    let framework = v1::FrameworkInfo {
        user: "root".into(),
        name: "failover".into(),
        failover_timeout: Some(3600.0),
        ..Default::default()
    };
    let mut options = Options::new(url.clone(), framework);
    options.connection_delay_max = Duration::ZERO;
    let offered = Arc::<Mutex<Option<Instant>>>::default();
    let scheduler = Watch { offered: offered.clone() };
    let running = async {
        let client = Client::new();
        let group = url.group(SESSION).expect("masters are elected");
        let session = group.connect().await.expect("it is there");
        let (mut offers, mut gets) = (Vec::new(), Vec::new());
        for _ in 0..FAILOVERS {
            wait::until("offers", async || offered.lock().map(|_| ()).ok_or_else(|| "none".to_owned())).await;
            cluster.wait_for_agents(AGENTS).await;
            let leader = cluster.leader_index().await;
            let (members, _) = session.members().await.expect("it answers");
            let node = members.into_iter().min().expect("somebody leads").name;
            *offered.lock() = None;
            let killed = bench::now();
            cluster.master_process(leader).crash();
            remove(&url, format!("/mesos/{node}")).await;
            wait::until("offers", async || offered.lock().map(|_| ()).ok_or_else(|| "none".to_owned())).await;
            let first = offered.lock().expect("it was there a moment ago");
            offers.push(first.duration_since(killed).as_secs_f64());
            let began = bench::now();
            let url = format!("http://{}/health", cluster.master_at(cluster.leader_index().await));
            assert!(client.send(ClientRequest::get(&url)).await.expect("it answers").status.is_success());
            gets.push(began.elapsed().as_secs_f64());
            cluster.master_process(leader).restart();
        }
        (offers, gets)
    };
    let figures = tokio::select! {
        biased;
        figures = running => figures,
        ended = run(&node, options, scheduler) => unreachable!("the scheduler ended: {:?}", ended.err()),
    };
    node.shutdown().await;
    let _ = stop.send(());
    agents.join().expect("the agents' thread ends");
    figures
}

/// Removes a node of the masters' group.
async fn remove(url: &MasterUrl, path: String) {
    match url {
        MasterUrl::ZooKeeper(url) => {
            let client = ZooKeeperClient::connect(url, SESSION).await.expect("it is there");
            client.transaction(&[Step::Delete { path }]).await.expect("the node is there");
        }
        MasterUrl::Etcd(url) => {
            let success = vec![Operation::Delete(Range::key(path))];
            let request = TxnRequest { success, ..TxnRequest::default() };
            etcd::Client::new(url, SESSION).txn(&request).await.expect("it answers");
        }
        other => unreachable!("{other} elects nobody"),
    }
}

/// Notes when it is made an offer, and keeps all.
struct Watch {
    offered: Arc<Mutex<Option<Instant>>>,
}

impl Scheduler for Watch {
    fn offers(&mut self, _: &mut Driver<Self>, _: Vec<v1::Offer>) {
        self.offered.lock().get_or_insert_with(bench::now);
    }

    fn update(&mut self, _: &mut Driver<Self>, _: v1::TaskStatus) {}
}

/// Agents in a thread of their own, until they are told to stop.
fn start_agents(url: MasterUrl) -> (oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        libprocess::run(async move {
            let node =
                Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free");
            let agents = (0..AGENTS).map(|_| node.spawn_numbered(Agent::default()));
            let agents: Vec<_> = agents.map(|agent| agent.recipient()).collect();
            let detector = node.spawn_numbered(Detector::with_timeout(url, SESSION));
            let crowd = node.spawn(Crowd { agents });
            detector.tell(WatchLeader(crowd.recipient()));
            let _ = stopped.await;
            node.shutdown().await;
        });
    });
    (stop, thread)
}

/// Finds the leader for all of them.
struct Crowd {
    agents: Vec<libprocess::Recipient<Lead>>,
}

/// Who leads from now on.
struct Lead(Pid);

/// The pause is over.
struct Speak;

libprocess::messages! { Lead; Speak; }

impl Process for Crowd {
    const NAME: &'static str = "crowd";
}

impl Handle<LeaderChanged> for Crowd {
    fn handle(&mut self, LeaderChanged { leader, .. }: LeaderChanged, _: &Pid, _: &mut Context<Self>) {
        let Some(pid) = leader.and_then(|leader| leader.pid().parse::<Pid>().ok()) else { return };
        for agent in &self.agents {
            agent.tell(Lead(pid.clone()));
        }
    }
}

/// Registers, comes back to each new leader, and answers pings.
#[derive(Default)]
struct Agent {
    master: Option<Pid>,
    id: Option<v1::AgentId>,
    /// The leader has answered.
    answered: bool,
}

impl Process for Agent {
    const NAME: &'static str = "slave";
    fn install(install: &mut Install<Self>) {
        install.message::<SlaveRegisteredMessage>();
        install.message::<SlaveReregisteredMessage>();
        install.message::<PingSlaveMessage>();
    }
}

impl Agent {
    fn info(&self) -> v1::AgentInfo {
        v1::AgentInfo {
            id: self.id.clone(),
            hostname: "localhost".into(),
            resources: Resources::parse("cpus:1;mem:128", "*").expect("a constant that parses").to_protos(),
            ..Default::default()
        }
    }
}

impl Handle<Lead> for Agent {
    fn handle(&mut self, Lead(master): Lead, _: &Pid, ctx: &mut Context<Self>) {
        self.master = Some(master);
        self.answered = false;
        let pause = ctx.node().random().duration_up_to(PAUSE);
        ctx.after(pause, Speak);
    }
}

impl Handle<Speak> for Agent {
    fn handle(&mut self, _: Speak, _: &Pid, ctx: &mut Context<Self>) {
        let Some(master) = self.master.as_ref().filter(|_| !self.answered) else { return };
        let version = Some(mesos::version().to_owned());
        let agent_capabilities = mesos::AgentCapabilities::ALL.to_protos();
        let slave = self.info();
        if self.id.is_some() {
            let message = ReregisterSlaveMessage { slave, version, agent_capabilities, ..Default::default() };
            ctx.post(master, message);
        } else {
            let message = RegisterSlaveMessage { slave, version, agent_capabilities, ..Default::default() };
            ctx.post(master, message);
        }
        ctx.after(PAUSE * 2, Speak);
    }
}

impl Handle<SlaveRegisteredMessage> for Agent {
    fn handle(&mut self, message: SlaveRegisteredMessage, _: &Pid, _: &mut Context<Self>) {
        self.id = Some(message.slave_id);
        self.answered = true;
    }
}

impl Handle<SlaveReregisteredMessage> for Agent {
    fn handle(&mut self, _: SlaveReregisteredMessage, _: &Pid, _: &mut Context<Self>) {
        self.answered = true;
    }
}

impl Handle<PingSlaveMessage> for Agent {
    fn handle(&mut self, _: PingSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, PongSlaveMessage {});
    }
}
