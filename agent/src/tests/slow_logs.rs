//! Status updates while the tasks' own logs take long to be written: on a node with threads, as a daemon's is.

use std::io::Read as _;
use std::time::Duration;

use libprocess::{Node, Pid, Recipient};
use mesos::v1::TaskState::TaskRunning;
use mesos::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::sync::mpsc::unbounded_channel;
use uuid::Uuid;

use crate::recovery::paths::{Paths, Run};
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

/// A named pipe holds up whoever writes to it until somebody reads.
#[test]
fn updates_are_stored_while_the_tasks_own_logs_are_written_but_nothing_is_removed_meanwhile() {
    libprocess::run(async {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.unwrap();
        let manager = node.spawn_numbered(StatusUpdateManager::new());
        let (tell, mut told) = unbounded_channel();
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
            failed: Recipient::from_fn(Pid::nobody(), |failed: StorageFailed, _: &Pid| {
                panic!("{}", failed.0)
            }),
        }));
        let run = Run {
            agent: AgentId::from("S0"),
            framework: FrameworkId::from("F"),
            executor: ExecutorId::from("e"),
            container: ContainerId::new("c"),
        };
        let [log, earlier] =
            ["t", "earlier"].map(|task| Paths::new(directory.path()).task_updates(&run, &TaskId::from(task)));
        for log in [&log, &earlier] {
            std::fs::create_dir_all(log.task()).unwrap();
        }
        let deliver = |n: u128, size: usize| {
            let mut update = update("t", n, TaskRunning);
            update.status.data = Some(vec![1; size]);
            manager.tell(Deliver { update, origin: Origin::Agent, log: Some(log.clone()) });
        };
        let mut next =
            async || tokio::time::timeout(Duration::from_secs(60), told.recv()).await.unwrap().unwrap();
        let stored = |n: u128| Told::Stored(Uuid::from_u128(n));

        deliver(1, 1);
        assert_eq!(next().await, stored(1));
        mknodat(CWD, log.path(), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        // So much that it does not wait for its time.
        deliver(2, 5 << 20);
        assert_eq!(next().await, stored(2));
        deliver(3, 1);
        assert_eq!(next().await, stored(3));
        manager.tell(Vacate {
            framework: run.framework.clone(),
            tasks: vec![(TaskId::from("earlier"), Some(earlier.clone()))],
        });
        deliver(4, 1);
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
