//! The tasks' own logs, which are written beside the journal.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use libprocess::disk::HostDisk;
use libprocess::testing::run;
use libprocess::{Address, Node, Pid, Recipient};
use mesos::v1::TaskState::TaskRunning;
use mesos::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use uuid::Uuid;

use crate::recovery::paths::{Paths, Run, UpdatesPath};
use crate::status_updates::log;
use crate::status_updates::log::testing::update;
use crate::status_updates::manager::{
    Acknowledged, Deliver, Forward, Initialize, Origin, Owner, StatusUpdateManager, StorageFailed, Stored,
    Vacate, Vacated,
};

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Stored(Uuid),
    Vacated,
}

/// A manager that tells a test.
fn manager(node: &Node) -> (Address<StatusUpdateManager>, UnboundedReceiver<Told>) {
    let manager = node.spawn_numbered(StatusUpdateManager::new());
    let (tell, told) = unbounded_channel();
    let tell_vacated = tell.clone();
    manager.tell(Initialize(Owner {
        forward: Recipient::from_fn(Pid::nobody(), |_: Forward, _: &Pid| {}),
        stored: Recipient::from_fn(Pid::nobody(), move |stored: Stored, _: &Pid| {
            let _ = tell.send(Told::Stored(stored.uuid));
        }),
        vacated: Recipient::from_fn(Pid::nobody(), move |_: Vacated, _: &Pid| {
            let _ = tell_vacated.send(Told::Vacated);
        }),
        acknowledged: Recipient::from_fn(Pid::nobody(), |_: Acknowledged, _: &Pid| {}),
        failed: Recipient::from_fn(Pid::nobody(), |failed: StorageFailed, _: &Pid| panic!("{}", failed.0)),
    }));
    (manager, told)
}

/// The log of a task, whose directory is made.
fn log_of(work: &Path, task: &str) -> UpdatesPath {
    let run = Run {
        agent: AgentId::from("S0"),
        framework: FrameworkId::from("F"),
        executor: ExecutorId::from("e"),
        container: ContainerId::new("c"),
    };
    let log = Paths::new(work).task_updates(&run, &TaskId::from(task));
    std::fs::create_dir_all(log.task()).unwrap();
    log
}

fn deliver(manager: &Address<StatusUpdateManager>, log: &UpdatesPath, task: &str, n: u128, size: usize) {
    let mut update = update(task, n, TaskRunning);
    update.status.data = Some(vec![1; size]);
    manager.tell(Deliver { update, origin: Origin::Agent, log: Some(log.clone()) });
}

/// More than one part of them, and another update of each while they are written.
#[test]
fn all_logs_are_written_in_their_turn() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::builder().offline().start().await.unwrap();
        let (manager, mut told) = manager(&node);
        let tasks: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
        let logs: Vec<UpdatesPath> = tasks.iter().map(|task| log_of(directory.path(), task)).collect();
        for (round, pause) in [(0, 900), (1, 200), (2, 2000)] {
            for (n, (task, log)) in tasks.iter().zip(&logs).enumerate() {
                deliver(&manager, log, task, round * 100 + n as u128, 1);
            }
            for _ in &tasks {
                assert!(matches!(told.recv().await, Some(Told::Stored(_))));
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        for log in &logs {
            assert_eq!(log::read_back(&HostDisk, log.path()).unwrap().updates.len(), 3);
        }
        node.shutdown().await;
    });
}

/// On a node with threads, as a daemon's is. A named pipe holds up whoever writes to it until somebody reads.
#[test]
fn updates_are_stored_while_a_log_is_slow_to_be_written_but_nothing_is_removed_meanwhile() {
    libprocess::run(async {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.unwrap();
        let (manager, mut told) = manager(&node);
        let [log, earlier] = ["t", "earlier"].map(|task| log_of(directory.path(), task));
        let mut next = async || timeout(Duration::from_secs(60), told.recv()).await.unwrap().unwrap();
        let stored = |n: u128| Told::Stored(Uuid::from_u128(n));

        deliver(&manager, &log, "t", 1, 1);
        assert_eq!(next().await, stored(1));
        mknodat(CWD, log.path(), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        // So much that it does not wait for its time.
        deliver(&manager, &log, "t", 2, 5 << 20);
        assert_eq!(next().await, stored(2));
        deliver(&manager, &log, "t", 3, 1);
        assert_eq!(next().await, stored(3));
        let tasks = vec![(TaskId::from("earlier"), Some(earlier.clone()))];
        manager.tell(Vacate { framework: FrameworkId::from("F"), tasks });
        deliver(&manager, &log, "t", 4, 1);
        assert!(earlier.task().exists());

        let path = log.path().to_path_buf();
        let read = node.blocking(move || {
            let mut pipe = std::fs::File::open(&path).unwrap();
            // The next bytes are written to a file.
            std::fs::remove_file(&path).unwrap();
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            bytes.len()
        });
        assert!(read.await > 5 << 20);
        assert_eq!((next().await, next().await), (Told::Vacated, stored(4)));
        assert!(!earlier.task().exists());
        node.shutdown().await;
    });
}
