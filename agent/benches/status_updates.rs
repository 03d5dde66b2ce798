//! Durable status updates on one agent: many streams share one sync.
//!
//! Tasks of a checkpointing framework, each with one update on its way at a time, as executors send them: the next one
//! follows when the agent has said that the last one is stored. A framework acknowledges each as soon as it is
//! forwarded, so that half of the records are acknowledgements. The real StatusUpdateManager with its journal, on the
//! disk that the build is on, and on a node with threads as a daemon's, so that an update waits for the disk and for what is
//! done meanwhile, as there.
//!
//! The first updates of all streams come at once, and bring copies along of what says whose they are: tasks are launched
//! once, and report for long, so that their latency is a figure of its own. The others are counted from then on.
//!
//! The comparator, in turns with it: a loop that appends the records of such updates to the logs of 64 tasks, and syncs
//! after each. (Upstream syncs twice for each update: its acknowledgement, too.) Beside them a loop that writes 40,000 bytes,
//! as many as a group of 128 updates and acknowledgements has, over those of a file, and syncs: what the disk itself does to
//! a group.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::recovery::paths::{Owner, Paths, Run, UpdatesPath};
use agent::status_updates::journal::Record;
use agent::status_updates::log::update_record;
use agent::status_updates::manager::{
    Acknowledge, Acknowledged, Deliver, Forward, Initialize, Origin, Owner as Hearer, Resume,
    StatusUpdateManager, StorageFailed, Stored, Vacated,
};
use harness::bench::{self, Report, Target, in_turn, quantile};
use libprocess::disk::{Disk as _, Durability, HostDisk};
use libprocess::{Address, Node, Pid, Recipient};
use mesos::internal::StatusUpdate;
use mesos::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId, v1};
use uuid::Uuid;

/// What the agent's program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STREAMS: [usize; 3] = [1, 64, 256];
const ROUNDS: usize = 7;
/// How long each turn takes.
const TURN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut report = Report::new("StatusUpdates", "durable status updates on one agent");
    report.note(format!(
        "medians of {ROUNDS} rounds, {} s each; the clock of a latency runs from Deliver to Stored",
        TURN.as_secs()
    ));
    let (directories, mut syncs, mut groups) = (Directories::default(), Vec::new(), Vec::new());
    let mut latencies = STREAMS.map(|_| Latencies::default());
    let [one, many, more] = &mut latencies;
    let turns = in_turn(
        ROUNDS,
        [
            &mut || alone(&directories, &mut syncs),
            &mut || together(&directories, STREAMS[0], one),
            &mut || together(&directories, STREAMS[1], many),
            &mut || together(&directories, STREAMS[2], more),
            &mut || grouped(&directories, &mut groups),
        ],
    );
    let sync = syncs.iter().sum::<f64>() / syncs.len() as f64;
    report.figure("a loop that syncs each record", turns.median(0), "/s", Target::None);
    report.figure("one sync in it, mean", sync, "ms", Target::None);
    report.figure("one sync in it, median", quantile(&syncs, 0.5), "ms", Target::None);
    let slow = quantile(&syncs, 0.99);
    report.figure("one sync in it, 99th percentile", slow, "ms", Target::None);
    report.figure(
        "one sync of 40,000 bytes, mean",
        groups.iter().sum::<f64>() / groups.len() as f64,
        "ms",
        Target::None,
    );
    report.figure("one sync of 40,000 bytes, 99th percentile", quantile(&groups, 0.99), "ms", Target::None);
    for (index, (streams, latencies)) in STREAMS.into_iter().zip(&latencies).enumerate() {
        let shared = streams >= 64;
        let target = |target| if shared { target } else { Target::None };
        let of = |what: &str| format!("{streams} streams: {what}");
        let (first, latencies) = (&latencies.first, &latencies.later);
        report.figure(&of("updates"), turns.median(index + 1), "/s", Target::None);
        report.figure(
            &of("updates for each of the loop"),
            turns.ratio(index + 1, 0),
            "times",
            target(Target::AtLeast(20.0)),
        );
        report.figure(&of("first updates, latency, median"), quantile(first, 0.5), "ms", Target::None);
        report.figure(&of("latency, median"), quantile(latencies, 0.5), "ms", Target::None);
        let late = quantile(latencies, 0.99);
        report.figure(&of("latency, 99th percentile"), late, "ms", Target::None);
        report.figure(
            &of("99th percentile for each of a sync"),
            late / slow,
            "times",
            target(Target::AtMost(4.0)),
        );
    }
    report.verdict()
}

/// The directories of all turns. They are removed in the end: ext4 without a journal takes long to make a file when many
/// others have just been removed (`recently_deleted` in its ialloc.c), which is not what is measured.
#[derive(Default)]
struct Directories(RefCell<Vec<tempfile::TempDir>>);

impl Directories {
    fn make(&self) -> PathBuf {
        let made =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's disk can be written");
        let path = made.path().to_path_buf();
        self.0.borrow_mut().push(made);
        path
    }
}

fn log_of(work: &Path, task: &str) -> UpdatesPath {
    let run = Run {
        agent: AgentId::from("6f0e7e2c-5b0f-4f5e-9b0e-000000000000-S0"),
        framework: FrameworkId::from("6f0e7e2c-5b0f-4f5e-9b0e-000000000000-0000"),
        executor: ExecutorId::from("executor"),
        container: ContainerId::new("0d9d4f2c-7d7b-4bfb-8a57-2b1b5f4d5b3e"),
    };
    Paths::new(work).task_updates(&run, &TaskId::from(task))
}

/// The task's directory, with what says whose it is.
fn launch(log: &UpdatesPath) {
    for owner in log.owners() {
        let Owner::File(path) = owner else { continue };
        let parent = path.parent().expect("it has a directory");
        HostDisk.create_directory(parent, Durability::Process).expect("the disk can be written");
        HostDisk.write(&path, &[0; 400], Durability::Process).expect("the disk can be written");
    }
}

fn update(task: &str, uuid: Uuid) -> StatusUpdate {
    let status = v1::TaskStatus {
        task_id: TaskId::from(task).to_proto(),
        state: v1::TaskState::TaskRunning.into(),
        message: Some("the task reports that it is well".to_owned()),
        source: Some(v1::task_status::Source::Executor.into()),
        agent_id: Some(AgentId::from("6f0e7e2c-5b0f-4f5e-9b0e-000000000000-S0").to_proto()),
        executor_id: Some(ExecutorId::from("executor").to_proto()),
        timestamp: Some(1.6e9),
        uuid: Some(uuid.as_bytes().to_vec()),
        healthy: Some(true),
        ..v1::TaskStatus::default()
    };
    StatusUpdate {
        framework_id: FrameworkId::from("6f0e7e2c-5b0f-4f5e-9b0e-000000000000-0000").to_proto(),
        executor_id: status.executor_id.clone(),
        slave_id: status.agent_id.clone(),
        timestamp: 1.6e9,
        uuid: status.uuid.clone(),
        status,
        ..StatusUpdate::default()
    }
}

/// Records that are synced one by one: how many a second.
fn alone(directories: &Directories, syncs: &mut Vec<f64>) -> f64 {
    let directory = directories.make();
    let logs: Vec<PathBuf> = (0..64)
        .map(|n| {
            let log = log_of(&directory, &format!("task-{n}"));
            launch(&log);
            log.path().to_path_buf()
        })
        .collect();
    let began = bench::now();
    let mut written = 0_u128;
    for log in logs.iter().cycle() {
        let Record::Log { bytes, .. } =
            update_record(log.clone().into(), &mut update("task", Uuid::from_u128(written)), false)
        else {
            continue;
        };
        let before = bench::now();
        HostDisk.append(log, &bytes, Durability::Host).expect("the disk can be written");
        syncs.push(before.elapsed().as_secs_f64() * 1e3);
        written += 1;
        if began.elapsed() >= TURN {
            break;
        }
    }
    written as f64 / began.elapsed().as_secs_f64()
}

/// Groups that are synced one by one in a file that has room for them: how many a second.
fn grouped(directories: &Directories, syncs: &mut Vec<f64>) -> f64 {
    const GROUP: u64 = 40_000;
    const FILE: u64 = 64 << 20;
    let file = directories.make().join("groups");
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE).step_by(zeros.len()) {
        HostDisk.write_at(&file, at, &zeros, Durability::Process).expect("the disk can be written");
    }
    HostDisk.sync_file(&file).expect("the disk can be written");
    let group = vec![1; usize::try_from(GROUP).expect("it is small")];
    let began = bench::now();
    let mut written = 0_u64;
    while began.elapsed() < TURN {
        let before = bench::now();
        let at = written % (FILE / GROUP) * GROUP;
        HostDisk.write_at(&file, at, &group, Durability::Host).expect("the disk can be written");
        syncs.push(before.elapsed().as_secs_f64() * 1e3);
        written += 1;
    }
    written as f64 / began.elapsed().as_secs_f64()
}

/// How long updates took, in milliseconds.
#[derive(Default)]
struct Latencies {
    /// The first of each stream.
    first: Vec<f64>,
    later: Vec<f64>,
}

/// One stream of updates.
struct Stream {
    task: TaskId,
    log: UpdatesPath,
    began: Instant,
    stored: usize,
}

/// What the manager is told by, and what came of it.
struct Driver {
    manager: Address<StatusUpdateManager>,
    streams: Vec<Stream>,
    next: u128,
    until: Instant,
    latencies: Latencies,
    /// When the first updates of all streams were stored.
    warm: Option<Instant>,
    running: usize,
    over: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Driver {
    fn send(&mut self, index: usize) {
        self.next += 1;
        let uuid = Uuid::from_u128(self.next);
        let stream = &mut self.streams[index];
        stream.began = bench::now();
        self.manager.tell(Deliver {
            update: update(stream.task.as_str(), uuid),
            origin: Origin::Executor(ExecutorId::from("executor")),
            log: Some(stream.log.clone()),
        });
    }

    fn stored(&mut self, stored: &Stored) {
        let number = stored.task.as_str().strip_prefix("task-").and_then(|number| number.parse().ok());
        let index: usize = number.expect("it was sent");
        let stream = &mut self.streams[index];
        let latency = stream.began.elapsed().as_secs_f64() * 1e3;
        stream.stored += 1;
        if stream.stored == 1 {
            self.latencies.first.push(latency);
            self.running += 1;
            if self.running < self.streams.len() {
                return;
            }
            let now = bench::now();
            (self.warm, self.until) = (Some(now), now + TURN);
            return (0..self.streams.len()).for_each(|index| self.send(index));
        }
        self.latencies.later.push(latency);
        if bench::now() < self.until {
            return self.send(index);
        }
        self.running -= 1;
        if self.running == 0
            && let Some(over) = self.over.take()
        {
            let _ = over.send(());
        }
    }
}

/// Updates of so many streams: how many a second.
#[allow(clippy::panic, reason = "without its disk there is nothing to measure")]
fn together(directories: &Directories, streams: usize, latencies: &mut Latencies) -> f64 {
    libprocess::run(async {
        let directory = directories.make();
        let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.expect("a port is free");
        let manager = node.spawn_numbered(StatusUpdateManager::new());
        let (over, ended) = tokio::sync::oneshot::channel();
        let now = bench::now();
        let driver = Arc::new(parking_lot::Mutex::new(Driver {
            manager: manager.clone(),
            streams: (0..streams)
                .map(|n| {
                    let task = TaskId::from(format!("task-{n}"));
                    let log = log_of(&directory, task.as_str());
                    launch(&log);
                    Stream { task, log, began: now, stored: 0 }
                })
                .collect(),
            next: 0,
            until: now,
            latencies: Latencies::default(),
            warm: None,
            running: 0,
            over: Some(over),
        }));
        let hears = driver.clone();
        let acknowledges = manager.clone();
        manager.tell(Initialize(Hearer {
            forward: Recipient::from_fn(Pid::nobody(), move |Forward(update), _: &Pid| {
                acknowledges.tell(Acknowledge {
                    framework: FrameworkId::from(&update.framework_id),
                    task: TaskId::from(&update.status.task_id),
                    uuid: Uuid::from_slice(update.uuid.as_deref().unwrap_or_default()).unwrap_or_default(),
                });
            }),
            stored: Recipient::from_fn(Pid::nobody(), move |stored: Stored, _: &Pid| {
                hears.lock().stored(&stored)
            }),
            vacated: Recipient::from_fn(Pid::nobody(), |_: Vacated, _: &Pid| {}),
            acknowledged: Recipient::from_fn(Pid::nobody(), |_: Acknowledged, _: &Pid| {}),
            failed: Recipient::from_fn(Pid::nobody(), |failed: StorageFailed, _: &Pid| {
                panic!("{}", failed.0)
            }),
        }));
        manager.tell(Resume);
        (0..streams).for_each(|index| driver.lock().send(index));
        ended.await.expect("all streams end");
        let ended = bench::now();
        node.shutdown().await;
        let mut driver = driver.lock();
        let began = driver.warm.expect("all streams began");
        let stored = std::mem::take(&mut driver.latencies);
        let rate = stored.later.len() as f64 / (ended - began).as_secs_f64();
        latencies.first.extend(stored.first);
        latencies.later.extend(stored.later);
        rate
    })
}
