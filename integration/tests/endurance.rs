//! A cluster under fire, for a minute or two: `./test --long`.
//!
//! Two masters behind a real ZooKeeper and three agents run short tasks of a framework that is written on our library,
//! while agents and masters are killed, frozen and started again. Whatever happens, in the end every piece of work is
//! done, no task has run twice, and none has ended in two ways.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use frameworks::ledger::Ledger;
use frameworks::progress::Tally;
use frameworks::room::{Room, needed};
use frameworks::scheduler::{Driver, Options, Scheduler, run};
use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, mode, wait};
use libprocess::Node;
use mesos::tasks::is_terminal;
use mesos::{FrameworkId, Resources, v1};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const TASKS: usize = 900;
/// How long faults happen; what is left then must heal.
const UNDER_FIRE: Duration = Duration::from_secs(60);
const HEALING: Duration = Duration::from_secs(180);
/// How often the framework asks what became of its tasks: a launch may be lost with its master.
const RECONCILE: Duration = Duration::from_secs(5);

/// What the scheduler has seen, for the test to look at.
#[derive(Default)]
struct Seen {
    tally: Tally,
    /// The terminal states of each task; a repetition of one is none more.
    ends: BTreeMap<String, BTreeSet<&'static str>>,
    subscriptions: usize,
}

/// Runs a command for each piece of work, again if its task is lost.
struct Work {
    ledger: Ledger<(), ()>,
    folder: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

impl Work {
    fn task(&self, id: v1::TaskId, offer: &v1::Offer) -> v1::TaskInfo {
        let marker = self.folder.join(&id.value);
        let command = format!("echo started >> {}; sleep 1", marker.display());
        v1::TaskInfo {
            name: id.value.clone(),
            task_id: id,
            agent_id: offer.agent_id.clone(),
            resources: resources("cpus:1;mem:32").to_protos(),
            command: Some(v1::CommandInfo { value: Some(command), ..Default::default() }),
            ..Default::default()
        }
    }

    fn settle(&mut self, driver: &mut Driver<Self>) {
        self.seen.lock().tally = self.ledger.tally();
        if self.ledger.results().is_some() && !driver.is_ending() {
            driver.teardown();
        }
    }

    fn ask(&mut self, driver: &mut Driver<Self>) {
        driver.reconcile(self.ledger.alive());
        driver.after(RECONCILE, Self::ask);
    }
}

fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

impl Scheduler for Work {
    fn subscribed(&mut self, driver: &mut Driver<Self>, _: &FrameworkId) {
        let first = {
            let mut seen = self.seen.lock();
            seen.subscriptions += 1;
            seen.subscriptions == 1
        };
        if first {
            driver.after(RECONCILE, Self::ask);
        } else {
            driver.reconcile(self.ledger.alive());
        }
    }

    fn offers(&mut self, driver: &mut Driver<Self>, offers: Vec<v1::Offer>) {
        let each = needed(&v1::ExecutorInfo::default(), &resources("cpus:1;mem:32"));
        for offer in offers {
            let mut room = Room::of(&offer, &v1::ExecutorInfo::default());
            let mut tasks = Vec::new();
            while self.ledger.has_waiting() && room.take(&each) {
                let Some((id, ())) = self.ledger.assign(&offer.agent_id) else { break };
                tasks.push(self.task(id, &offer));
            }
            driver.launch(&offer.id, tasks, Duration::from_millis(200));
        }
        self.settle(driver);
    }

    fn update(&mut self, driver: &mut Driver<Self>, status: v1::TaskStatus) {
        let state = status.state();
        if is_terminal(state) {
            let mut seen = self.seen.lock();
            seen.ends.entry(status.task_id.value.clone()).or_default().insert(state.as_str_name());
        }
        let result = (state == v1::TaskState::TaskFinished).then_some(());
        self.ledger.update(&status, result).unwrap();
        self.settle(driver);
    }
}

/// A fault, and how often it happened.
const FAULTS: [&str; 4] = ["agent killed", "agent frozen", "leader killed", "leader frozen"];

async fn strike(cluster: &mut Cluster, fault: &str, chance: &mut StdRng) {
    let agent = chance.random_range(0..3);
    match fault {
        "agent killed" => {
            cluster.agent_process(agent).crash();
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..1500))).await;
            cluster.agent_process(agent).restart();
        }
        "agent frozen" => {
            cluster.agent_process(agent).freeze();
            tokio::time::sleep(Duration::from_millis(chance.random_range(500..4000))).await;
            cluster.agent_process(agent).resume();
        }
        "leader killed" => {
            let leader = cluster.leader_index().await;
            cluster.master_process(leader).crash();
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..1500))).await;
            cluster.master_process(leader).restart();
        }
        _ => {
            let leader = cluster.leader_index().await;
            cluster.master_process(leader).freeze();
            // Longer than its session: it wakes as one that has lost the lead, and ends.
            tokio::time::sleep(Duration::from_secs(4)).await;
            cluster.master_process(leader).resume();
            wait::until("the deposed leader to end", async || {
                cluster.master_process(leader).exit_code().map(drop)
            })
            .await;
            cluster.master_process(leader).restart();
        }
    }
}

fn starts(folder: &Path) -> BTreeMap<String, usize> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap().lines().count())
    };
    entries.map(count).collect()
}

#[test]
fn whatever_dies_every_task_ends_once_and_all_work_is_done() {
    if !mode::is_long() {
        println!("skipped: ./test --long runs it");
        return;
    }
    let seed = std::env::var("MESOS_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("seed {seed} (MESOS_TEST_SEED gives another)");
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        let mut cluster = Cluster::found_at(&zookeeper.url());
        let flags = [
            "--registry=in_memory",
            "--zk_session_timeout=2secs",
            "--agent_ping_timeout=1secs",
            "--max_agent_ping_timeouts=2",
        ];
        for _ in 0..2 {
            cluster.add_master(&flags).await;
        }
        for _ in 0..3 {
            cluster.add_agent(&AgentSpec::new("cpus:4;mem:2048"));
        }
        cluster.wait_for_agents(3).await;
        let folder = cluster.folder().join("started");
        std::fs::create_dir(&folder).unwrap();

        let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let work = Work {
            ledger: Ledger::new("work", std::iter::repeat_n((), TASKS)),
            folder: folder.clone(),
            seen: Arc::clone(&seen),
        };
        let framework = v1::FrameworkInfo {
            user: std::env::var("USER").unwrap_or_else(|_| "root".into()),
            name: "endurance".into(),
            checkpoint: Some(true),
            failover_timeout: Some(3600.0),
            capabilities: vec![v1::framework_info::Capability {
                r#type: Some(v1::framework_info::capability::Type::PartitionAware.into()),
            }],
            ..Default::default()
        };
        let options = Options::new(zookeeper.url().parse().unwrap(), framework);
        let mut working = std::pin::pin!(run(&node, options, work));

        let mut struck = BTreeMap::from(FAULTS.map(|fault| (fault, 0)));
        let mut chance = StdRng::seed_from_u64(seed);
        let fire = async {
            let until = tokio::time::Instant::now() + UNDER_FIRE;
            // Each kind once in each round, in an order of chance.
            while tokio::time::Instant::now() < until {
                let mut round = FAULTS.to_vec();
                while !round.is_empty() {
                    let fault = round.swap_remove(chance.random_range(0..round.len()));
                    strike(&mut cluster, fault, &mut chance).await;
                    *struck.entry(fault).or_default() += 1;
                    tokio::time::sleep(Duration::from_millis(chance.random_range(500..2500))).await;
                }
            }
        };
        tokio::select! {
            biased;
            done = &mut working => panic!("it was done before the faults were: {:?}", done.err()),
            () = fire => {}
        }
        println!("faults: {struck:?}; {:?}", seen.lock().tally);
        assert!(struck.values().all(|count| *count > 0), "{struck:?}");
        let done = tokio::time::timeout(HEALING, working).await;
        node.shutdown().await;
        let seen = seen.lock();
        assert!(done.is_ok(), "not healed: {:?}", seen.tally);
        done.unwrap().unwrap();

        let starts = starts(&folder);
        println!(
            "{} tasks for {TASKS} pieces of work, {} subscriptions; {:?}",
            starts.len(),
            seen.subscriptions,
            seen.tally
        );
        assert_eq!(seen.tally.done, TASKS);
        assert!(seen.subscriptions > 1, "no leader changed");
        for (task, count) in &starts {
            assert_eq!(*count, 1, "{task} was started {count} times");
        }
        for (task, ends) in &seen.ends {
            assert_eq!(ends.len(), 1, "{task} ended as {ends:?}");
            let finished = ends.contains("TASK_FINISHED");
            assert!(!finished || starts.contains_key(task), "{task} finished and was never started");
        }
    });
}
